// SPDX-License-Identifier: Apache-2.0
/* What the files of one session share and nobody else sees. */
#ifndef TAKO_SYNC_STATE_H
#define TAKO_SYNC_STATE_H

#include "base/check.h"
#include "base/hash.h"
#include "store/deaths.h"
#include "sync/receipts.h"
#include "sync/session.h"
#include "sync/symbols.h"
#include "sync/tables.h"
#include "sync/wire.h"

#define SYNC_SCAN_ROWS    4096u       /* looked at in one call of send */
#define SYNC_LIST_BYTES   (64u << 10) /* of one message */
#define SYNC_STALL_MS     5u /* patience with a commit not yet heard of */
#define SYNC_SCRATCH_KEEP (64u << 10) /* of a buffer between uses */

/* A walk over a collection in row order, in pieces, each with a snapshot of
 * its own. Rows that change behind it are told by on_commit. */
typedef struct sync_walk {
    int64_t after;
    bool done;
} sync_walk;

static inline void sync_walk_start(sync_walk *w)
{
    *w = (sync_walk){ INT64_MIN, false };
}

/* ---- questions ------------------------------------------------------------- */

/* What a subscriber has, for the server to compare with. */
#define SYNC_ASK_NAMED     1u /* a checkpoint in the server's feed follows */
#define SYNC_ASK_STREAMING 2u /* and it is in the middle of a first download */
#define SYNC_ASK_SKETCHED  4u /* a sketch follows */
#define SYNC_ASK_NOTHING   8u /* the subscriber has nothing: all is wanted */
#define SYNC_ASK_FLAGS     15u

typedef struct sync_question {
    uint8_t flags;
    uint64_t count, check;
    uint8_t incarnation[2]; /* its first bytes, of the checkpoint */
    uint64_t lsn;
    int64_t row; /* STREAMING */
    int32_t sketch[SYNC_SKETCH];
} sync_question;

/* A document that one side has in a state that the other has not: what was
 * said of it, and where it is here. */
typedef struct sync_seen {
    uint64_t key;
    uint64_t item;        /* subscriber: of the server's state */
    int64_t row;          /* here, when met */
    bool theirs;          /* subscriber: the server has it */
    bool met;             /* it is stored here */
    bool reply;           /* server: the peer's state is wanted */
    crdt_context context; /* server: what the peer has seen of it */
} sync_seen;

sync_seen *sync_seen_find(sync_seen *list, size_t count, uint64_t key);
void sync_seen_sort(sync_seen *list, size_t count);

/* ---- what the peer wants --------------------------------------------------- */

/* WANT STATES
 *
 *   ASKED -+-> CLOSE                              equal, or nothing is here
 *          +-> STREAM --> CLOSE                   the peer has nothing
 *          +-> (STREAM ->) FEED -> FED -> ASKED   it named a checkpoint
 *          +-> LISTS --> DIFF --> CLOSE           few documents, or few equal
 *          +-> SYMBOLS -> ANSWER (-> REPLY) -> CLOSE
 *          +-> JOINED --> ANSWER -> CLOSE         the peer leads (below)
 *
 * ASKED owes an answer; STREAM sends all and FEED what changed; FED waits for
 * ASK; LISTS waits for the list and DIFF sends what it lacks; SYMBOLS waits
 * for what the peer has seen of what differs, ANSWER sends what it has not
 * seen, REPLY asks for what we have not; CLOSE owes CAUGHT_UP; SENT waits for
 * its receipt. Where changes were lost on the way (the dirty set overflowed) a
 * want goes to AGAIN: the peer was told to ask anew, under a new number, so
 * that late answers to the old question mean nothing. */
typedef enum sync_want_state {
    WANT_ASKED,
    WANT_STREAM,
    WANT_FEED,
    WANT_FED,
    WANT_LISTS,
    WANT_DIFF,
    WANT_SYMBOLS,
    WANT_JOINED,
    WANT_ANSWER,
    WANT_REPLY,
    WANT_CLOSE,
    WANT_SENT,
    WANT_LIVE,
    WANT_AGAIN,
} sync_want_state;

typedef struct sync_version {
    uint64_t key, item;
} sync_version;

typedef struct sync_want {
    uint32_t number;
    sync_want_state state;
    sync_predicate *predicate;
    tako_slice collection; /* the predicate's */
    uint8_t *text;
    size_t text_len;
    uint32_t coll;  /* 0: not looked up yet, or not there */
    uint64_t lsn;   /* the snapshot at which the catch-up began */
    uint64_t epoch; /* of the collection, as it was told after that */
    sync_table *table;
    sync_question question;
    bool listed;          /* symbols did not do: ask for the list */
    uint32_t joined;      /* 1 + the number of our own, which this serves too */
    sync_walk walk;       /* STREAM, DIFF, ANSWER */
    bool feed_then;       /* STREAM: then FEED */
    bool feed_over;       /* FEED: nothing more is in it */
    uint64_t feed_lsn;    /* FEED: after this commit */
    size_t feed_index;    /* and so many rows of the next */
    sync_symbol *symbols; /* SYMBOLS: a copy */
    uint32_t symbols_sent, symbols_due;
    sync_seen *seen; /* ANSWER, REPLY: sorted when complete */
    size_t seen_count, seen_cap, seen_at;
    tako_arena seen_arena;
    size_t seen_bytes;
    sync_version *items; /* DIFF: the peer's, sorted when complete */
    size_t item_count, item_cap;
    uint64_t kept; /* what the peer keeps, it said: all up to this commit */
} sync_want;

/* ---- what we want ------------------------------------------------------------ */

/* SUB STATES
 *
 *   NEW -> ASKED -+-> LISTING -> ASKED -> IN_SYNC        any: REFUSED
 *                 +-> DECODED -> ASKED
 *                 +-> AGAIN (after the feed) -> ASKED
 *
 * NEW and AGAIN wait for the table, to ask; LISTING walks our documents for
 * the list; DECODED walks them to tell what we have seen of what differs;
 * RESYNC takes IN_SYNC or ASKED back to NEW. */
typedef enum sync_sub_state {
    SUB_NEW,
    SUB_ASKED,
    SUB_AGAIN,
    SUB_LISTING,
    SUB_DECODED,
    SUB_IN_SYNC,
    SUB_REFUSED,
} sync_sub_state;

typedef struct sync_sub {
    uint32_t user;   /* the caller's number */
    uint32_t number; /* on the wire: never used again */
    sync_sub_state state;
    sync_predicate *predicate;
    tako_slice collection;
    uint8_t *text;
    size_t text_len;
    uint32_t coll;
    sync_table *table;
    sync_walk walk;
    bool empty;        /* we had nothing when we asked */
    bool open;         /* ASKED: the question has no answer yet */
    bool named;        /* ASKED: a checkpoint was named, its feed is not over */
    uint32_t replaces; /* 1 + the number that it had before */
    sync_symbol *symbols; /* while decoding: a copy */
    sync_decoder *decoder;
    sync_seen *seen; /* sorted by key */
    size_t seen_count;
    bool loaded; /* `stored` was looked up */
    store_checkpoint_at stored;
    uint64_t peer_lsn;
    uint64_t documents;
    uint64_t since_ms, took_ms;
    uint64_t said; /* the last KEPT */
} sync_sub;

/* ---- dirty documents (dirty.c) ------------------------------------------------ */

typedef struct sync_dirty_doc {
    uint32_t coll;
    uint32_t next; /* 1 + index in the same chain */
    int64_t row;
    bool matched; /* the state before the first change did */
    bool whole;   /* the peer asked for the whole state */
    bool based;   /* base is what the peer has */
    /* The state that the peer has: meta and body, or meta alone where the
     * body is long. NULL: the empty one, a whole state is sent. */
    uint8_t *base;
    uint32_t meta_len, body_len;
    bool has_body;
} sync_dirty_doc;

typedef struct sync_dirty {
    const tako_env *env;
    sync_dirty_doc *docs;
    uint32_t *chains;
    uint32_t count, cap, chain_count;
    uint32_t first; /* those before are sent */
    size_t bytes;   /* of bases */
} sync_dirty;

void sync_dirty_init(sync_dirty *d, const tako_env *env);
void sync_dirty_fini(sync_dirty *d);
/* The entry of a document, made when absent (*fresh then). NULL: too many, or
 * out of memory. */
sync_dirty_doc *sync_dirty_touch(sync_dirty *d, uint32_t coll, int64_t row,
                                 bool *fresh);
/* Keeps what the peer has as the base, while there is room for it. */
void sync_dirty_base(sync_dirty *d, sync_dirty_doc *doc, tako_slice meta,
                     tako_slice body);
/* The first entry not sent; NULL: none. pop takes it off. */
sync_dirty_doc *sync_dirty_first(sync_dirty *d);
void sync_dirty_pop(sync_dirty *d);
void sync_dirty_clear(sync_dirty *d);
static inline uint32_t sync_dirty_left(const sync_dirty *d)
{
    return d->count - d->first;
}

/* ---- the session --------------------------------------------------------------- */

/* A document whose state here is what the peer just sent: not to be echoed. */
typedef struct sync_known {
    uint64_t lsn;
    uint32_t coll;
    int64_t row;
} sync_known;

/* A record of a cut that waits: see apply.c. */
typedef struct sync_held {
    struct sync_held *next;
    sync_record record;
    uint32_t name; /* of the collection, in `colls` */
} sync_held;

typedef struct sync_list {
    sync_held *first, **tail;
    size_t count;
} sync_list;

/* A document whose delta was refused. */
typedef struct sync_need {
    struct sync_need *next;
    uint32_t name; /* in `colls` */
    tako_slice id;
    bool answered;
} sync_need;

/* A collection that some subscription of ours named, in this session. */
typedef struct sync_coll {
    uint8_t *name;
    size_t len;
    uint32_t coll; /* here; 0 not known to exist */
} sync_coll;

typedef struct sync_bulk sync_bulk;

struct sync_session {
    const tako_env *env;
    const sync_host *host;
    store_conn *reader;
    sync_blob_peer *blobs; /* NULL: none are spoken of */
    sync_tables *tables;
    sync_tables *own_tables; /* when nobody gave us some */
    uint8_t peer[TAKO_NAME_BYTES_MAX];
    size_t peer_len;
    uint64_t now_ms; /* of the last call that said it */
    crdt_actor actor;
    uint8_t incarnation[16];
    uint8_t digest_key[16];
    uint8_t sum_key[16]; /* ours, for deltas we send */
    uint8_t peer_sum_key[16];

    bool dead;
    bool hello_sent;
    bool greeted;
    bool cleared; /* the peer knows nothing of us that we do not */
    bool marked;  /* the dirty mark is set for what we send */
    uint32_t features;
    uint64_t peer_interests; /* that its hello promised */
    uint64_t interests_seen;
    crdt_actor peer_actor;
    uint8_t peer_incarnation[16];
    uint64_t clock_ahead_ms;

    sync_names names_out[SYNC_LANES];
    sync_names names_in[SYNC_LANES];
    tako_buf scratch;
    tako_buf control; /* whole messages: varint length, bytes */
    size_t control_at;
    tako_arena arena; /* of one call */

    sync_want *wants;
    size_t want_count, want_cap;
    size_t want_turn; /* whose walk is next */
    sync_sub *subs;
    size_t sub_count, sub_cap;
    uint32_t next_number;

    /* live, out */
    sync_dirty dirty;
    bool overflow;     /* the dirty set lost something */
    uint64_t heard;    /* last commit that on_commit told */
    uint64_t sent_lsn; /* the peer was sent all it wants up to this commit */
    uint64_t cut_lsn;  /* last close sent */
    uint64_t ack_in;   /* last close the peer acknowledged */
    uint64_t acked;
    uint64_t redot_lsn; /* commit of ours that was no merge; 0 none */
    uint64_t stall_ms;  /* since when a cut waits for on_commit; 0 not */
    bool close_due;     /* the peer is to hear how far it is */

    /* live, in */
    uint64_t close_in; /* last close received */
    uint64_t ack_out;  /* last acknowledged */
    uint64_t ack_due;  /* applied, to be acknowledged; 0 none */
    tako_arena held_arena;
    sync_list held; /* cuts that wait for an answer to `needs` */
    size_t held_bytes;
    sync_need *needs;
    sync_known *known;
    size_t known_count, known_cap;
    sync_coll *colls;
    size_t coll_count, coll_cap;
    uint64_t applied;  /* last close that is in the store */
    bool close_asked;  /* say how far it went, though nothing is wanted */
    bool keeps_listed; /* all promised interests of the peer were seen */

    sync_receipts *receipts; /* NULL: none yet */
    tako_buf deaths;         /* answers of the running transaction, of DEAD */
    sync_bulk *bulk;         /* while something large goes or comes */

    sync_counts counts;
};

/* Grows *items (count used of *cap) to hold one more. */
bool sync_grow(const tako_env *env, void **items, size_t *cap, size_t count,
               size_t size);

/* Appends a control message that `body` was written into. */
void sync_control(sync_session *s, sync_msg kind, tako_slice body);

sync_want *sync_want_find(sync_session *s, uint64_t number);
sync_sub *sync_sub_find(sync_session *s, uint64_t number);

/* ---- catchup.c: the server's side ------------------------------------------------ */

/* One step: may leave `out` empty though there is more to do. */
tako_err sync_serve_step(sync_session *s, tako_buf *out, tako_errbuf *e);
bool sync_serve_due(sync_session *s);
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

/* ---- bulk.c ------------------------------------------------------------------------ */

/* Replaces `out`, a message, by a shorter one that holds it, if there is one. */
tako_err sync_pack(sync_session *s, tako_buf *out, tako_errbuf *e);
/* The message in a PACKED one, valid until the next call. */
tako_err sync_unpack(sync_session *s, tako_reader *in, tako_slice *out,
                     tako_errbuf *e);
/* Nothing large is on its way any more. */
void sync_bulk_rest(sync_session *s);

/* ---- live.c -------------------------------------------------------------------- */

tako_err sync_cut_step(sync_session *s, uint64_t now_ms, tako_buf *out,
                       tako_errbuf *e);
tako_err sync_on_needs(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_ack(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Is there a close to be told that no document calls for? */
bool sync_close_due(const sync_session *s);
void sync_tell_behind(sync_session *s, uint32_t coll, const store_row *row);
/* Raises `acked` where nothing is outstanding. */
void sync_settle(sync_session *s);
tako_err sync_mark(sync_session *s, tako_errbuf *e);

/* ---- renew.c -------------------------------------------------------------------- */

/* Says what we know of the peer's events. */
tako_err sync_tell_known(sync_session *s, tako_errbuf *e);
tako_err sync_on_known(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_renewed(sync_session *s, tako_reader *in, tako_errbuf *e);
/* The peer has event `hlc` of ours, and we have not. */
tako_err sync_rolled_back(sync_session *s, uint64_t hlc, tako_errbuf *e);

/* ---- kept.c --------------------------------------------------------------------- */

tako_err sync_on_kept(sync_session *s, tako_reader *in, tako_errbuf *e);
/* What is here of a subscription, by the peer's commits; 0: nobody can tell. */
uint64_t sync_held_of(const sync_session *s, const sync_sub *sub);
/* A want of the peer's is gone: it keeps nothing for it any more. */
void sync_kept_gone(sync_session *s, const sync_want *w);

/* ---- receipts.c ------------------------------------------------------------------ */

tako_err sync_on_receipts(sync_session *s, tako_reader *in, tako_errbuf *e);

/* ---- apply.c -------------------------------------------------------------------- */

tako_err sync_on_states(sync_session *s, tako_reader *in, tako_errbuf *e);
void sync_held_drop(sync_session *s);
tako_err sync_on_cut(sync_session *s, tako_reader *in, tako_errbuf *e);
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

#endif /* TAKO_SYNC_STATE_H */
