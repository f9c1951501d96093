// SPDX-License-Identifier: Apache-2.0
/* What the files of one session call of each other, by file. Included by state.h
 * alone, behind the types. */
#ifndef TAKO_SYNC_CALLS_H
#define TAKO_SYNC_CALLS_H

/* ---- interests.c ------------------------------------------------------------------ */

void sync_want_free(sync_session *s, sync_want *w);
void sync_sub_free(sync_session *s, sync_sub *sub);
tako_err sync_on_interest(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_drop(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_refused(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_served(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_resync(sync_session *s, tako_reader *in, tako_errbuf *e);
/* A text of the peer's, for people: cut, printable; in `out`, which has
 * TAKO_SYNC_REASON_BYTES_MAX + 1 bytes. */
const char *sync_reason(tako_slice text, char out[]);
sync_want *sync_want_find(sync_session *s, uint64_t number);
sync_sub *sync_sub_find(sync_session *s, uint64_t number);
/* Asks anew, under a new number. */
void sync_sub_again(sync_session *s, sync_sub *sub);

/* ---- catchup.c: the server's side ------------------------------------------------ */

/* One step: may leave `out` empty though there is more to do. */
tako_err sync_serve_step(sync_session *s, tako_buf *out, tako_errbuf *e);
bool sync_serve_due(sync_session *s);
/* Are states of it to be sent next? */
bool sync_want_sends(sync_session *s, sync_want *w);
tako_err sync_get_question(tako_reader *in, sync_question *q, tako_errbuf *e);
tako_err sync_on_ask(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_list(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_more(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Frees what a catch-up needed. */
void sync_want_rest(sync_session *s, sync_want *w);

/* Looks at one row; false stops the walk before this row. */
typedef bool sync_row_fn(sync_session *s, void *ctx, const store_row *row,
                         tako_err *err);
/* One piece of a walk over the collection `name`, which may not exist. */
tako_err sync_walk_piece(sync_session *s, tako_slice name, uint32_t *coll,
                         sync_walk *w, sync_row_fn *fn, void *ctx,
                         tako_errbuf *e);

/* ---- answer.c: the server's side, once the differences are known ----------------- */

tako_err sync_on_seen(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Nothing comes of what the peer told for the question w. */
void sync_offer_decline(sync_session *s, const sync_want *w);
/* ANSWER and REPLY. */
tako_err sync_answer_step(sync_session *s, sync_want *w, tako_buf *out,
                          tako_errbuf *e);

/* ---- ask.c: the subscriber's side ------------------------------------------------- */

tako_err sync_ask_step(sync_session *s, uint64_t now_ms, sync_lane *lane,
                       tako_buf *out, tako_errbuf *e);
bool sync_ask_due(const sync_session *s);
tako_err sync_on_lists(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_symbols(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_fed(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The peer has answered it. */
tako_err sync_caught_up(sync_session *s, sync_sub *sub, uint64_t lsn,
                        tako_errbuf *e);
void sync_sub_rest(sync_session *s, sync_sub *sub);
/* How far the subscription is in the peer's feed, as it may be stored. */
bool sync_sub_reached(const sync_session *s, const sync_sub *sub,
                      store_checkpoint_at *out);
/* Writes that now, in a transaction of its own. */
tako_err sync_sub_save(sync_session *s, sync_sub *sub, tako_errbuf *e);
/* Does the side that we are decide, where both ask for the same? */
static inline bool sync_leads(const sync_session *s)
{
    return memcmp(s->sum_key, s->peer_sum_key, sizeof s->sum_key) < 0;
}
/* What our own question no longer leads for answers by itself again. */
void sync_unjoin(sync_session *s, uint32_t number);

/* ---- tell.c: the subscriber's side, once the differences are known ---------------- */

/* DECODED and TELLING. */
tako_err sync_tell_step(sync_session *s, sync_sub *sub, tako_buf *out,
                        tako_errbuf *e);
/* The peer's question of that number is answered, or (lost) given up. */
void sync_pushes_over(sync_session *s, uint32_t number, bool lost);

/* ---- bulk.c ------------------------------------------------------------------------ */

/* Replaces `out`, a message, by a shorter one that holds it, if there is one. */
tako_err sync_pack(sync_session *s, tako_buf *out, tako_errbuf *e);
/* The message in a PACKED one, valid until the next call. */
tako_err sync_unpack(sync_session *s, tako_reader *in, tako_slice *out,
                     tako_errbuf *e);
tako_err sync_on_packed(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_packed_cut(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Nothing large is on its way any more. */
void sync_bulk_rest(sync_session *s);

/* ---- live.c -------------------------------------------------------------------- */

tako_err sync_cut_step(sync_session *s, uint64_t now_ms, tako_buf *out,
                       tako_errbuf *e);
tako_err sync_on_needs(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_ack(sync_session *s, tako_reader *in, tako_errbuf *e);
/* What is complete here is looked at, and told, with the next step. */
void sync_claims_now(sync_session *s);
/* Is there a close to be told that nothing else calls for? */
bool sync_rest_due(const sync_session *s);
/* matching: also where we want it */
void sync_tell_behind(sync_session *s, uint32_t coll, const store_row *row,
                      bool matching);
void sync_tell_differing(sync_session *s, uint32_t coll, int64_t row);
/* Cuts wait for a catch-up. */
bool sync_cuts_wait(const sync_session *s);
/* Raises `acked` where nothing is outstanding. */
void sync_settle(sync_session *s);
tako_err sync_mark(sync_session *s, tako_errbuf *e);

/* ---- renew.c -------------------------------------------------------------------- */

/* Says which actors this file had before, and how far it has each. */
tako_err sync_tell_former(sync_session *s, tako_errbuf *e);
tako_err sync_on_former(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Says what we know of the peer's events. */
tako_err sync_tell_known(sync_session *s, tako_errbuf *e);
tako_err sync_on_known(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_renewed(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The peer has event `hlc` of ours, and we have not. */
tako_err sync_rolled_back(sync_session *s, uint64_t hlc, tako_errbuf *e);

/* ---- clock.c -------------------------------------------------------------------- */

/* Our wall clock, to be told now. */
uint64_t sync_clock_tell(sync_session *s);
/* Tells it again where it was set. */
void sync_clock_step(sync_session *s);
void sync_clock_heard(sync_session *s, uint64_t wall_ms);
tako_err sync_on_clock(sync_session *s, tako_reader *in, tako_errbuf *e);

/* ---- kept.c --------------------------------------------------------------------- */

tako_err sync_on_kept(sync_session *s, tako_reader *in, tako_errbuf *e);
/* What is here of a subscription, by the peer's commits; 0: nobody can tell. */
uint64_t sync_held_of(const sync_session *s, const sync_sub *sub);
/* A want of the peer's is gone: it keeps nothing for it any more. */
void sync_kept_gone(sync_session *s, const sync_want *w);
/* What is past there is counted as kept no longer, or again. */
tako_err sync_kept_step(sync_session *s, tako_errbuf *e);

/* ---- receipts.c ------------------------------------------------------------------ */

tako_err sync_on_receipts(sync_session *s, tako_reader *in, tako_errbuf *e);

/* ---- apply.c -------------------------------------------------------------------- */

/* Applies lists in one transaction. torn: they are not whole, and are taken
 * nonetheless, without what is refused. Else nothing changed where there is
 * either of: *refused (in the arena): documents whose deltas were; *wait: it
 * would not be whole, and something may come. */
tako_err sync_apply(sync_session *s, const sync_list *lists, size_t count,
                    bool torn, sync_need **refused, bool *wait, tako_errbuf *e);
/* Reads all records of a message into the arena. */
tako_err sync_read_records(sync_session *s, sync_names *names, tako_reader *in,
                           sync_list *out, bool *replaced, tako_errbuf *e);
/* Takes the entries of a commit out of `known` and tells whether it had any
 * for this document. */
bool sync_known_has(const sync_session *s, uint64_t lsn, uint32_t coll,
                    int64_t row);
void sync_known_forget(sync_session *s, uint64_t lsn);
tako_err sync_coll_name(sync_session *s, tako_slice name, uint32_t *index);
bool sync_coll_named(const sync_session *s, tako_slice name);
/* A document is now what the peer knows it to be; its commit is told by
 * sync_known_commit, for all entries from `from` on. */
tako_err sync_known_add(sync_session *s, uint32_t coll, int64_t row);
void sync_known_commit(sync_session *s, size_t from, uint64_t lsn);
/* A transaction of its own, of what a message says. TAKO_CLOSED, and what
 * store_begin says: nothing is to be ended then. */
tako_err sync_write_begin(sync_session *s, store **st, tako_errbuf *e);
/* Commits, or where err is one already, undoes; then `known` has again the
 * entries that it had. Returns err, or what store_commit says. */
tako_err sync_write_end(sync_session *s, store *st, size_t known, tako_err err,
                        tako_errbuf *e);
/* Of what was refused, or asked for. */
sync_need *sync_need_find(sync_need *list, uint32_t name, tako_slice id);

/* ---- fields.c ------------------------------------------------------------------ */

/* Appends what NEEDS says of a document whose delta was refused, of a peer that
 * then had `seen`: a question by fields, or that the whole state is asked for. */
tako_err sync_fields_ask(sync_session *s, sync_need *need,
                         const crdt_context *seen, tako_buf *out);
/* May an answer by fields be applied to what is here now? */
tako_err sync_fields_stand(sync_session *s, store_conn *c, uint32_t name,
                           uint32_t coll, tako_slice id, bool *stands);
/* Appends the answer to the question that `doc` keeps. */
tako_err sync_put_fields(sync_session *s, sync_writer *w,
                         const sync_doc_name *name, const sync_dirty_doc *doc,
                         const store_row *row, tako_errbuf *e);

/* ---- inbox.c -------------------------------------------------------------------- */

tako_err sync_on_states(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_cut(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_caught_up(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The feed is over: what is compared next has it. */
tako_err sync_inbox_fed(sync_session *s, tako_errbuf *e);
/* What waits is tried again where that may help. */
tako_err sync_inbox_step(sync_session *s, tako_errbuf *e);
uint64_t sync_inbox_deadline(const sync_session *s);
void sync_inbox_drop(sync_session *s);
/* A subscription is asked anew: what came for it alone, and waits, goes. */
void sync_inbox_outdate(sync_session *s, const sync_sub *sub);

/* ---- lazy.c --------------------------------------------------------------------- */

bool sync_is_lazy(const sync_session *s);
/* What is here is told with the next step. */
void sync_summary_now(sync_session *s);
/* A cut brought documents, and nothing of them was new. */
void sync_useless(sync_session *s, bool useless);
/* Is something of it compared, as not all is pushed? */
static inline bool sync_want_is_lazy(const sync_want *w)
{
    return w->gaps || w->mode != SYNC_EAGER;
}
tako_err sync_lazy_step(sync_session *s, uint64_t now_ms, tako_errbuf *e);
uint64_t sync_lazy_deadline(const sync_session *s);
tako_err sync_on_mode(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_summary(sync_session *s, tako_reader *in, tako_errbuf *e);

/* ---- past.c --------------------------------------------------------------------- */

/* Is it a state of what matched a part that we have had all of, and is not in it
 * any more? denied: it went, whatever we wrote of it, with denied writes. */
tako_err sync_is_past(sync_session *s, const sync_holds *h,
                      const sync_record *r, bool denied, bool *past);
/* What the peer has rose: is what it gave, and was past, to be asked for? */
void sync_past_heard(sync_session *s);
/* later: one is known, not only V that covers this. */
void sync_tell_past(sync_session *s, tako_slice coll, tako_slice id,
                    const crdt_context *seen, bool later);
/* News is taken, but perhaps of an older one: then the peer is told of that. */
tako_err sync_tell_older(sync_session *s, const sync_holds *h, tako_slice coll,
                         const sync_record *r);
tako_err sync_on_past(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The peer has what it sends. */
tako_err sync_unseen_sent(sync_session *s, store_conn *c,
                          const sync_list *lists, size_t count);
/* The first commit of what matches the want and is past at the peer; else
 * UINT64_MAX. */
tako_err sync_past_first(sync_session *s, const sync_want *w, uint64_t *lsn);
/* Does the peer's word for being complete not do? */
/* Is there something here because of which no word counts, and ours is not to be
 * taken, but for closed ones? */
tako_err sync_doubted_elsewhere(sync_session *s, store_conn *c,
                                const sync_sub *sub, bool *any);
tako_err sync_doubts_word(sync_session *s, store_conn *c, sync_sub *sub,
                          bool *any);
/* A commit; an acknowledgement: may a doubt be over? */
bool sync_past_changed(sync_session *s, const store_change *c, uint64_t lsn,
                       sync_author author);
void sync_past_seen(sync_session *s);
void sync_past_fini(sync_session *s);

/* ---- agree.c -------------------------------------------------------------------- */

/* One piece of what comparing needs; *built: nothing is left to do. */
tako_err sync_agree_build(sync_session *s, bool *built, tako_errbuf *e);
/* AGREEMENT, where there is news; in a snapshot at `lsn`. */
tako_err sync_agree_put(sync_session *s, uint64_t lsn);
tako_err sync_on_agreement(sync_session *s, tako_reader *in, tako_errbuf *e);
typedef enum sync_agreeing {
    SYNC_NOT_COMPARED, /* not of the same events, or not known */
    SYNC_AGREES,
    SYNC_DIFFERS,
} sync_agreeing;
sync_agreeing sync_agrees(const sync_session *s, const sync_sub *sub,
                          const sync_holds *h, uint64_t lsn);
/* Have both the same documents, whatever they have heard of? */
bool sync_agrees_now(const sync_session *s, const sync_sub *sub, uint64_t lsn);

/* ---- cover.c -------------------------------------------------------------------- */

/* In the arena. */
tako_err sync_holds_read(sync_session *s, store_conn *c, tako_slice coll,
                         sync_holds **out);
/* The row of a text; an own subscription has one. */
sync_hold *sync_hold_find(const sync_holds *h, tako_slice text);
/* Up to what subscription o is complete. */
tako_err sync_hold_has(sync_session *s, const sync_holds *h, const sync_hold *o,
                       crdt_context *out);
/* Is its state whole? */
tako_err sync_hold_whole(sync_session *s, const sync_holds *h,
                         const sync_hold *o, bool *whole);
/* Appends what a cut makes complete; nothing where nothing changed. */
tako_err sync_claims_put(sync_session *s, sync_writer *w, bool last,
                         tako_errbuf *e);
/* Up to which event of an actor the server says to have given all; hlc 0: it says
 * nothing. */
crdt_dot sync_claimed(const sync_session *s, const sync_sub *sub, crdt_dot dot);
tako_err sync_claims_get(sync_session *s, tako_reader *in, bool closed,
                         tako_errbuf *e);
/* Is there anything that the peer has not said itself? */
tako_err sync_claims_new(sync_session *s, bool *any);
/* TARGET, before states that go beyond what was told. */
tako_err sync_target_put(sync_session *s, tako_buf *out, tako_errbuf *e);
tako_err sync_on_target(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The subscription's number is not to be used any more. */
void sync_retire(sync_session *s, const sync_sub *sub);
/* Actors in full and their hlcs, to the end; into NULL: only checked. */
tako_err sync_read_dots(sync_session *s, tako_reader *in, sync_vector *into,
                        tako_errbuf *e);

/* What a batch means for what is complete here, before it is applied (in the
 * transaction), and its writing. */
typedef struct sync_verdict {
    sync_holds *holds;
    bool wait;
    bool changed; /* something became whole, or is no more */
    bool rose;    /* V of something did */
} sync_verdict;
tako_err sync_judge(sync_session *s, store_conn *c, const sync_list *lists,
                    size_t count, bool torn, sync_verdict *out, tako_errbuf *e);
tako_err sync_verdict_write(sync_session *s, store *st,
                            const sync_verdict *verdict, tako_errbuf *e);

/* ---- deaths.c ------------------------------------------------------------------ */

/* Says what our graveyard has, and so asks for what the peer's has. */
tako_err sync_tell_yard(sync_session *s, tako_slice name, tako_errbuf *e);
/* The same to who asks for a collection that we do not ask for. */
tako_err sync_offer_yard(sync_session *s, tako_slice name, tako_errbuf *e);
tako_err sync_epoch_risen(sync_session *s, tako_errbuf *e);
tako_err sync_on_yard(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_buried(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_graves(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_dead(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Asks for the whole state of a document, by NEEDS. */
void sync_need_whole(sync_session *s, tako_slice name, tako_slice id);
/* Tells of a document that was found to be dead here: a notice's row. */
tako_err sync_tell_dead(sync_session *s, uint32_t coll, const store_row *row,
                        tako_errbuf *e);
/* Notes the answer to a state that the store did not take. Answers are sent
 * when what they belong to is applied, or dropped with it. */
tako_err sync_answer_dead(sync_session *s, store *st, uint32_t coll,
                          tako_slice id, const crdt_merge_info *info,
                          tako_errbuf *e);
void sync_dead_send(sync_session *s);
void sync_dead_drop(sync_session *s);

/* ---- denied.c ------------------------------------------------------------------ */

typedef struct sync_right {
    bool denied;
    crdt_dot known; /* the peer's last event in it that is here */
    bool others;    /* it has others' events that are not here */
} sync_right;
/* May the peer send this? With the writer held. */
tako_err sync_judge_right(sync_session *s, store *st, uint32_t coll,
                          sync_lane lane, const sync_record *r, sync_right *out,
                          tako_errbuf *e);
/* Notes the answer, as sync_answer_dead does. *again: what is complete is to be
 * judged anew. */
tako_err sync_answer_denied(sync_session *s, tako_slice coll, tako_slice id,
                            const sync_right *right, bool *again,
                            tako_errbuf *e);
void sync_denied_send(sync_session *s);
void sync_denied_drop(sync_session *s);
tako_err sync_on_denied(sync_session *s, tako_reader *in, tako_errbuf *e);
/* What a commit changed. */
void sync_denied_changed(sync_session *s, const store_change *c);
tako_err sync_tell_names(sync_session *s, tako_errbuf *e);
tako_err sync_on_names(sync_session *s, tako_reader *in, tako_errbuf *e);
/* A name that it has, or had. */
bool sync_is_peers(const sync_session *s, crdt_actor actor);
void sync_peer_renamed(sync_session *s, crdt_actor actor);
/* Asks anew where nothing is complete by what was said. */
bool sync_regain_due(const sync_session *s);
void sync_regain_step(sync_session *s);

#endif /* TAKO_SYNC_CALLS_H */
