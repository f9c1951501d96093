// SPDX-License-Identifier: Apache-2.0
/* LIVE -- commits become cuts.
 *
 * on_commit puts what one commit changed, where the peer may want it, into the
 * dirty set. A cut takes one read snapshot, at commit m, and sends the state
 * in it of every dirty document that matches now or did before; its end says
 * "closed at m" and what is complete with it (cover.c), and the receiver
 * applies it in one transaction. A cut longer than TAKO_SYNC_CUT_BYTES_MAX goes
 * in several messages: each reads a later snapshot, and what changed between is
 * dirty again, so that the close is one of all.
 *
 * WHILE A CATCH-UP GOES ON whose answer fits in a cut, cuts wait: the receiver
 * keeps the answer until the cut that closes it is here, which is sent when
 * the catch-up ends, be it empty.
 *
 * A snapshot may show commits that on_commit has not told of yet (another
 * thread made them a moment ago): half of such a commit would be sent. So the
 * cut waits for them SYNC_STALL_MS, and if they still do not come, reads from
 * the feed what they touched.
 *
 * MOST CUTS are of the last commit alone: then the host has at hand what a
 * snapshot of that commit shows (sync_latest), and none is begun. So where each
 * document that is dirty was changed by it, none goes but as its state, and
 * nothing of what is complete was written since (store_held_moves): a snapshot
 * begun now would show the same, or a commit more.
 *
 * THE BASE of a delta is the state before the first unsent change, if the
 * peer has it: a want that is served matched it, and it was sent in the
 * catch-up (its lsn is at most the want's) or in a cut (at most sent_lsn).
 * Being wrong here is not dangerous: the receiver refuses a delta whose base
 * it does not have, asks, and gets the whole state, or what differs (fields.c).
 *
 * DEAD documents (deaths.c) are a notice here, and the peer is told by DEAD.
 *
 * EVICTED documents are passed over: their commit has nothing for anyone. A
 * peer that waits for the whole state of one is told to ask for everything
 * anew, as where changes were lost. When one comes back, nobody knows any
 * more whether it matched, so the first state after a marker travels.
 *
 * ACKNOWLEDGED is a commit when each cut up to it is, or when nothing of it
 * was wanted. While a want is not served, nothing more is acknowledged. */
#include "sync/state.h"

tako_err sync_mark(sync_session *s, tako_errbuf *e)
{
    store *st;
    tako_err err;

    if (s->marked)
        return TAKO_OK;
    st = s->host->write_begin(s->host->ctx);
    if (st == NULL)
        return tako_fail(e, TAKO_CLOSED, "shutting down");
    err = store_mark_dirty(st);
    s->host->write_end(s->host->ctx, 0);
    if (err != TAKO_OK)
        return tako_fail(e, err, "marking the database as sent from failed");
    s->marked = true;
    s->host->event(s->host->ctx, SYNC_EVENT_MARKED, 0, "");
    return TAKO_OK;
}

/* ---- what a commit means for the peer --------------------------------------- */

/* Does the peer want this kind of change now? */
static bool takes(const sync_want *w, bool local)
{
    return w->mode == SYNC_EAGER || (w->mode == SYNC_OWN && local);
}

static bool want_has_coll(sync_session *s, sync_want *w, uint32_t coll)
{
    if (w->coll == 0)
        (void)store_coll_find(s->reader, w->collection, &w->coll);
    return w->coll == coll;
}

static bool coll_wanted(sync_session *s, uint32_t coll, bool local)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (want_has_coll(s, &s->wants[i], coll) && takes(&s->wants[i], local))
            return true;
    return false;
}

/* Does the peer want anything of it, now or later? */
static bool coll_named(sync_session *s, uint32_t coll)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (want_has_coll(s, &s->wants[i], coll))
            return true;
    return false;
}

/* Did the state before match, and does the peer have it? */
static void judge_before(sync_session *s, const store_change *c, bool local,
                         bool *matched, bool *has)
{
    *matched = *has = false;
    if (c->body_before.len == 0)
        return;
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];
        uint64_t known = w->lsn > s->sent_lsn ? w->lsn : s->sent_lsn;

        if (w->coll != c->coll || !takes(w, local) ||
            !s->host->predicate_match(s->host->ctx, w->predicate, c->id,
                                      c->body_before))
            continue;
        *matched = true;
        *has = *has || (w->state == WANT_LIVE && c->lsn_before <= known);
    }
}

/* What a merge joined goes to all who want something of the collection: what
 * came may have matched, and have it nowhere else any more, though the result
 * does not. Who has nothing of it, and no use for it, leaves it (apply.c).
 *
 * So does what JUMPED: a document that was here became what came of several
 * writes, and one of them may have had it match in between, or at who made it
 * beside the others. Who shows the document, as somebody else reopened it, is owed
 * that write with the rest of its transaction. Who sends such a state says so
 * (sync_put_jump); of what comes in a catch-up nobody knows. What is new here is
 * let be, or each first download would go to all.
 *
 * echo: the peer sent this document, and the merge made something else of it.
 * Then it has an older state, whether that matches here or not. What was made
 * is ours alone: a peer that asks for no more than our own gets it too.
 *
 * unseen: the peer has to see it before its word counts again (past.c). */
static void take_change(sync_session *s, const store_change *c, bool echo,
                        bool local, bool unseen)
{
    sync_dirty_doc *doc;
    bool fresh, matched, has;

    /* An echo is owed whatever the mode: nobody else can know of it, and no
     * summary tells, as it is no event. */
    if (echo || unseen ? !coll_named(s, c->coll)
                       : !coll_wanted(s, c->coll, local))
        return;
    doc = sync_dirty_touch(&s->dirty, c->coll, c->row, &fresh);
    if (doc == NULL) {
        s->overflow = true;
        return;
    }
    doc->local = doc->local || local;
    doc->jumped = doc->jumped || c->joined || c->jumped;
    doc->matched = doc->matched || echo || unseen || c->joined ||
                   crdt_meta_is_marker(c->meta_before) ||
                   (c->lsn_before == 0 && !c->alive); /* deletes travel */
    /* Also the second time: a walk may have sent the state between. */
    if (doc->matched)
        return;
    judge_before(s, c, local, &matched, &has);
    doc->matched = matched || (c->jumped && c->alive);
    if (has && fresh)
        sync_dirty_base(&s->dirty, doc, c->meta_before, c->body_before);
}

void sync_session_start_over(sync_session *s)
{
    tako_buf *b = &s->scratch;

    if (s->own_tables != NULL)
        sync_tables_start_over(s->own_tables);
    sync_dirty_clear(&s->dirty);
    s->overflow = s->close_asked = false;
    s->sent_lsn = s->heard;
    s->counts.resyncs++;
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];

        if (w->state == WANT_AGAIN)
            continue;
        sync_offer_decline(s, w);
        sync_want_rest(s, w);
        w->state = WANT_AGAIN;
        tako_buf_reset(b);
        tako_put_varint(b, w->number);
        sync_control(s, SYNC_MSG_RESYNC, tako_buf_slice(b));
        sync_pushes_over(s, w->number, true);
    }
}

tako_err sync_session_on_commit(sync_session *s, uint64_t lsn,
                                const store_change *changes, size_t count,
                                sync_author author)
{
    bool own = author == SYNC_BY_SESSION, local = author == SYNC_BY_APP;
    bool ended = false, unseen;
    tako_err err = TAKO_OK;

    if (s->dead)
        return TAKO_OK;
    if (s->own_tables != NULL)
        TAKO_TRY(sync_tables_on_commit(s->own_tables, lsn, changes, count));
    if (lsn == s->redot_lsn) {
        own = false;
        local = true;
    }
    s->kept_due = s->kept_due || s->doubts.count > 0;
    for (size_t i = 0; i < count; i++) {
        ended = ended || !changes[i].alive;
        sync_denied_changed(s, &changes[i]);
        unseen = sync_past_changed(s, &changes[i], lsn,
                                   local ? SYNC_BY_APP : author);
        if (own && (changes[i].lsn_before == 0 ||
                    sync_known_has(s, lsn, changes[i].coll, changes[i].row)))
            continue;
        take_change(s, &changes[i], own, own || local, unseen);
    }
    if (ended)
        err = sync_epoch_risen(s, NULL);
    if (own)
        sync_known_forget(s, lsn);
    if (lsn > s->heard)
        s->heard = lsn;
    s->retry = true;
    s->judge_due = s->judge_due || s->unheard || s->doubted;
    s->doubted = false;
    sync_session_rose(s);
    if (s->overflow && err == TAKO_OK)
        sync_session_start_over(s);
    sync_settle(s);
    return err;
}

void sync_settle(sync_session *s)
{
    bool idle = sync_dirty_left(&s->dirty) == 0 && !s->overflow;
    uint64_t acked = s->ack_in;

    if (idle && s->sent_lsn < s->heard)
        s->sent_lsn = s->heard;
    if (!s->greeted || s->interests_seen < s->peer_interests)
        return;
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].state != WANT_LIVE)
            return;
    if (sync_is_lazy(s))
        acked = s->lazy_lsn;
    else if (idle && s->ack_in == s->cut_lsn)
        acked = s->heard;
    if (acked <= s->acked)
        return;
    s->acked = acked;
    sync_past_seen(s);
    s->host->event(s->host->ctx, SYNC_EVENT_ACKED, 0, "");
}

/* ---- a cut -------------------------------------------------------------------- */

/* What on_commit has not told yet, from the feed. Such documents are dirty
 * without a base; on_commit will name them again, which is harmless. */
static tako_err fill_from_feed(sync_session *s, tako_errbuf *e)
{
    uint64_t lsn = s->heard;
    store_touch *touched;
    size_t count;
    bool fresh;
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && !s->overflow) {
        tako_arena_reset(&s->arena);
        err =
            store_feed_next(s->reader, lsn, &s->arena, &lsn, &touched, &count);
        for (size_t i = 0; err == TAKO_OK && i < count; i++) {
            sync_dirty_doc *doc;

            if (!coll_wanted(s, touched[i].coll, true))
                continue;
            doc = sync_dirty_touch(&s->dirty, touched[i].coll, touched[i].row,
                                   &fresh);
            if (doc == NULL)
                s->overflow = true;
            else
                doc->jumped = true; /* for all that is known */
        }
    }
    if (err == TAKO_UNSUPPORTED)
        s->overflow = true;
    if (err == TAKO_NOTFOUND || err == TAKO_UNSUPPORTED || err == TAKO_OK)
        return TAKO_OK;
    return tako_fail(e, err, "reading the feed failed");
}

static tako_err put_delta(sync_session *s, sync_writer *w,
                          const sync_doc_name *name, const sync_dirty_doc *doc,
                          const store_row *row, tako_errbuf *e)
{
    tako_slice meta = tako_slice_of(doc->base, doc->meta_len);
    crdt_context bare = { NULL, 0, 0 };
    crdt_doc *now, *before = NULL;

    tako_arena_reset(&s->arena);
    TAKO_TRY(crdt_doc_decode(&s->arena, row->meta, row->body, &now, e));
    if (doc->has_body)
        TAKO_TRY(crdt_doc_decode(
            &s->arena, meta,
            tako_slice_of(doc->base + doc->meta_len, doc->body_len), &before,
            e));
    else
        TAKO_TRY(crdt_meta_context(&s->arena, meta, &bare));
    s->counts.deltas_out++;
    return sync_put_delta(w, name, now,
                          before != NULL ? crdt_doc_context(before) : &bare,
                          before, s->sum_key);
}

static bool matches_now(sync_session *s, uint32_t coll, const store_row *row,
                        bool local)
{
    if (row->body.len == 0)
        return false;
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].coll == coll && takes(&s->wants[i], local) &&
            s->host->predicate_match(s->host->ctx, s->wants[i].predicate,
                                     row->id, row->body))
            return true;
    return false;
}

static const store_row *row_in(const sync_latest *l, uint32_t coll, int64_t row)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->changes[i].row == row && l->changes[i].coll == coll)
            return &l->rows[i];
    return NULL;
}

static tako_err get_row(sync_session *s, const sync_dirty_doc *doc,
                        store_row *out)
{
    if (s->shown == NULL)
        return store_get_row(s->reader, doc->coll, doc->row, out);
    *out = *row_in(s->shown, doc->coll, doc->row);
    return TAKO_OK;
}

static tako_err put_doc(sync_session *s, sync_writer *w,
                        const sync_dirty_doc *doc, uint32_t *documents,
                        tako_errbuf *e)
{
    sync_doc_name name;
    store_row row;
    tako_err err = get_row(s, doc, &row);

    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading a changed document failed");
    if (store_row_is_marker(&row)) {
        s->overflow = s->overflow || doc->whole;
        return TAKO_OK;
    }
    if (store_row_is_notice(&row)) {
        s->overflow = s->overflow || doc->whole;
        return doc->matched ? sync_tell_dead(s, doc->coll, &row, e) : TAKO_OK;
    }
    if (!doc->matched && !doc->whole &&
        !matches_now(s, doc->coll, &row, doc->local))
        return TAKO_OK;
    name = (sync_doc_name){ doc->coll, store_coll_name(s->reader, doc->coll),
                            doc->row, row.id };
    if (doc->jumped)
        sync_put_jump(w);
    if (doc->whole && doc->asked)
        err = sync_put_fields(s, w, &name, doc, &row, e);
    else if (doc->base != NULL && !doc->whole)
        err = put_delta(s, w, &name, doc, &row, e);
    else
        err = sync_put_state(w, &name, true, row.meta, row.body);
    if (err != TAKO_OK)
        return tako_fail(e, err, "encoding a changed document failed");
    ++*documents;
    return TAKO_OK;
}

/* Empties the dirty set into `out` as far as one message goes. */
static tako_err put_docs(sync_session *s, tako_buf *out, uint32_t *documents,
                         tako_errbuf *e)
{
    sync_names *names = &s->names_out[SYNC_LIVE];
    sync_writer w = { names, out, &s->scratch, 0, false };
    sync_dirty_doc *doc;

    names->stamp++;
    tako_put_u8(out, SYNC_MSG_CUT);
    for (;;) {
        doc = sync_dirty_first(&s->dirty);
        if (doc == NULL || out->len >= TAKO_SYNC_CUT_BYTES_MAX)
            return TAKO_OK;
        TAKO_TRY(put_doc(s, &w, doc, documents, e));
        sync_dirty_pop(&s->dirty);
    }
}

/* Its head, before the records, and its claims, behind them. A cut without
 * either is none. */
static tako_err close_cut(sync_session *s, uint64_t lsn, uint32_t documents,
                          tako_buf *out, tako_errbuf *e)
{
    sync_writer w = { &s->names_out[SYNC_LIVE], out, &s->scratch, 0, false };
    bool last = sync_dirty_left(&s->dirty) == 0;
    tako_buf head = tako_buf_on(s->env);
    size_t len = out->len;

    TAKO_TRY(sync_claims_put(s, &w, last, e));
    if (documents == 0 && out->len == len && !s->close_asked) {
        tako_buf_reset(out);
        s->sent_lsn = lsn;
        sync_settle(s);
        return TAKO_OK;
    }

    tako_put_varint(&head, last ? lsn - s->cut_lsn + 1u : 0);
    out->failed = out->failed || head.failed;
    if (!out->failed)
        tako_buf_insert(out, 1, tako_buf_slice(&head));
    tako_buf_fini(&head);
    if (last)
        s->cut_lsn = s->sent_lsn = lsn;
    s->counts.cuts_out++;
    s->counts.live_bytes_out += out->len;
    return TAKO_OK;
}

/* Is the snapshot one that may be sent? */
static bool stalled(sync_session *s, uint64_t now_ms, uint64_t lsn)
{
    if (lsn == s->heard) {
        s->stall_ms = 0;
        return false;
    }
    if (s->stall_ms == 0)
        s->stall_ms = now_ms > 0 ? now_ms : 1;
    return now_ms < s->stall_ms + SYNC_STALL_MS;
}

static tako_err cut_in_snapshot(sync_session *s, uint64_t now_ms, uint64_t lsn,
                                tako_buf *out, tako_errbuf *e)
{
    uint32_t documents = 0;

    if (stalled(s, now_ms, lsn))
        return TAKO_OK;
    if (lsn != s->heard)
        TAKO_TRY(fill_from_feed(s, e));
    s->stall_ms = 0;
    if (s->overflow) {
        sync_session_start_over(s);
        return TAKO_OK;
    }
    store_note_sent(s->reader, lsn);
    TAKO_TRY(put_docs(s, out, &documents, e));
    TAKO_TRY(close_cut(s, lsn, documents, out, e));
    s->close_due = s->claims_due = s->close_asked = false;
    s->claims_ms = 0;
    s->counts.documents_out += documents;
    if (s->overflow) /* what a peer waits for was evicted */
        sync_session_start_over(s);
    return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

bool sync_cuts_wait(const sync_session *s)
{
    if (!s->greeted || s->interests_seen < s->peer_interests)
        return true;
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].state != WANT_SENT && s->wants[i].state != WANT_LIVE &&
            !s->wants[i].big)
            return true;
    return false;
}

/* What rose without a document for this peer is told after a while. */
static tako_err claims_step(sync_session *s, uint64_t now_ms, tako_errbuf *e)
{
    tako_err err;

    if (!s->claims_due || s->close_due || sync_dirty_left(&s->dirty) > 0)
        return TAKO_OK;
    if (s->claims_ms == 0)
        s->claims_ms = now_ms + SYNC_CLAIMS_MS;
    if (now_ms < s->claims_ms)
        return TAKO_OK;
    s->claims_due = false;
    s->claims_ms = 0;
    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    err = sync_claims_new(s, &s->close_due);
    store_snapshot_end(s->reader);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading what is complete failed");
}

void sync_session_rose(sync_session *s)
{
    s->claims_due = true;
    s->summary_due = true;
    s->compare_due = s->compare_due || sync_is_lazy(s);
}

void sync_claims_now(sync_session *s)
{
    s->claims_due = true;
    s->claims_ms = 1;
}

void sync_session_recheck(sync_session *s)
{
    sync_claims_now(s);
    s->modes_due = true;
    s->judge_due = s->judge_due || s->doubted;
    s->doubted = false;
    s->summary_due = true;
}

bool sync_rest_due(const sync_session *s)
{
    if (!s->rest_due || !s->cleared || s->overflow || sync_cuts_wait(s) ||
        sync_dirty_left(&s->dirty) > 0 || s->close_due ||
        s->sent_lsn <= s->cut_lsn || s->want_count == 0)
        return false;
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].state != WANT_LIVE || s->wants[i].mode != SYNC_EAGER)
            return false;
    return true;
}

/* Things are quiet: what the peer itself brought here since the last cut is
 * nothing that it has to hear of again, only how far it is. */
static void put_rest(sync_session *s, tako_buf *out)
{
    s->rest_due = false;
    tako_put_u8(out, SYNC_MSG_CUT);
    tako_put_varint(out, s->sent_lsn - s->cut_lsn + 1u);
    s->cut_lsn = s->sent_lsn;
    s->counts.cuts_out++;
}

/* What is dirty, where the last commit shows all of it. */
static const sync_latest *shown(sync_session *s)
{
    const sync_dirty *d = &s->dirty;
    const sync_latest *l =
        s->host->latest == NULL ? NULL : s->host->latest(s->host->ctx);

    if (l == NULL || l->lsn != s->heard || sync_dirty_left(d) > l->count ||
        sync_dirty_left(d) == 0 || s->close_due || s->close_asked ||
        s->overflow || l->moves != store_held_moves(s->reader))
        return NULL;
    for (uint32_t i = d->first; i < d->count; i++) {
        const store_row *row = row_in(l, d->docs[i].coll, d->docs[i].row);

        if (row == NULL || d->docs[i].whole || store_row_is_marker(row) ||
            store_row_is_notice(row))
            return NULL;
    }
    return l;
}

tako_err sync_cut_step(sync_session *s, uint64_t now_ms, tako_buf *out,
                       tako_errbuf *e)
{
    uint64_t lsn;
    tako_err err;

    if (sync_cuts_wait(s))
        return TAKO_OK;
    TAKO_TRY(claims_step(s, now_ms, e));
    if (sync_rest_due(s)) {
        put_rest(s, out);
        return TAKO_OK;
    }
    if (sync_dirty_left(&s->dirty) == 0 && !s->close_due && !s->close_asked)
        return TAKO_OK;
    if (sync_dirty_left(&s->dirty) > 0)
        TAKO_TRY(sync_mark(s, e));
    s->shown = shown(s);
    if (s->shown != NULL) {
        err = cut_in_snapshot(s, now_ms, s->shown->lsn, out, e);
        s->shown = NULL;
        return err;
    }
    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, e));
    err = cut_in_snapshot(s, now_ms, lsn, out, e);
    store_snapshot_end(s->reader);
    return err;
}

/* The peer sent an old state of a document whose newer state here is nothing
 * that it wants: it may never have been told that the document left. */
void sync_tell_behind(sync_session *s, uint32_t coll, const store_row *row,
                      bool matching)
{
    sync_dirty_doc *doc;
    bool fresh;

    if (!coll_named(s, coll) ||
        (!matching && matches_now(s, coll, row, true)) ||
        store_row_is_marker(row) || store_row_is_notice(row))
        return;
    doc = sync_dirty_touch(&s->dirty, coll, row->row, &fresh);
    if (doc == NULL)
        s->overflow = true;
    else
        doc->matched = doc->jumped = true;
}

/* The peer's state has the context of ours, and other bytes. A delta would say
 * nothing, so ours goes whole; not for ever, should the peer make something else
 * of it each time. */
void sync_tell_differing(sync_session *s, uint32_t coll, int64_t row)
{
    sync_dirty_doc *doc;
    bool fresh;

    if (!coll_named(s, coll) || s->differing == TAKO_SYNC_DIFFERING_MAX)
        return;
    s->differing++;
    doc = sync_dirty_touch(&s->dirty, coll, row, &fresh);
    if (doc == NULL) {
        s->overflow = true;
        return;
    }
    doc->matched = doc->whole = doc->jumped = true;
    doc->asked = false;
}

/* ---- answers of the receiver --------------------------------------------------- */

tako_err sync_on_ack(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t more = tako_read_varint(in);

    if (!tako_reader_done(in) || more > s->cut_lsn - s->ack_in)
        return tako_fail(e, TAKO_CORRUPT, "an ACK of what was not sent");
    s->ack_in += more;
    s->compare_due = s->compare_due || sync_is_lazy(s);
    sync_settle(s);
    return TAKO_OK;
}

static tako_err need_one(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice name = tako_read_block(in);
    tako_slice id = sync_get_id(in, &s->arena);
    tako_slice question = tako_read_block(in);
    crdt_fields asked;
    sync_dirty_doc *doc;
    store_row row;
    uint32_t coll = 0;
    bool fresh;
    tako_err err;

    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "malformed NEEDS");
    if (question.len > 0)
        TAKO_TRY(crdt_fields_read(&s->arena, question, &asked, e));
    err = store_coll_find(s->reader, name, &coll);
    if (err == TAKO_OK)
        err = store_get(s->reader, coll, id, &row);
    if (err == TAKO_NOTFOUND && coll != 0) {
        s->overflow = true; /* it was reaped: as where changes were lost */
        return TAKO_OK;
    }
    if (err != TAKO_OK)
        return tako_fail(e, err, "NEEDS of a document that is not here");
    s->counts.needs_in++;
    doc = sync_dirty_touch(&s->dirty, coll, row.row, &fresh);
    if (doc == NULL) {
        s->overflow = true;
        return TAKO_OK;
    }
    doc->whole = doc->jumped = true;
    sync_dirty_ask(&s->dirty, doc, question);
    return TAKO_OK;
}

tako_err sync_on_needs(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t count = tako_read_varint(in);
    tako_err err = TAKO_OK;

    if (in->failed || count > TAKO_SYNC_NEEDS_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed NEEDS");
    if (s->peer_bars.read)
        return tako_fail(e, TAKO_DENIED, "the peer may not read");
    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    for (; count > 0 && err == TAKO_OK; count--)
        err = need_one(s, in, e);
    store_snapshot_end(s->reader);
    if (err == TAKO_OK && !tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed NEEDS");
    if (err == TAKO_OK && s->overflow)
        sync_session_start_over(s);
    return err;
}
