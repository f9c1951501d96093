// SPDX-License-Identifier: Apache-2.0
/* What the files of one session share and nobody else sees. */
#ifndef TAKO_SYNC_STATE_H
#define TAKO_SYNC_STATE_H

#include "base/check.h"
#include "base/hash.h"
#include "sync/session.h"
#include "sync/wire.h"

#define SYNC_SCAN_ROWS    4096u /* looked at in one call of send */
#define SYNC_BUCKETS_MAX  (1u << TAKO_SYNC_BUCKETS_BITS_MAX)
#define SYNC_BUCKET_DOCS  4u          /* aimed at in one bucket */
#define SYNC_LIST_BYTES   (64u << 10) /* of one message */
#define SYNC_STALL_MS     5u /* patience with a commit not yet heard of */
#define SYNC_SCRATCH_KEEP (64u << 10) /* of a buffer between uses */

/* ---- digests (digest.c) -------------------------------------------------- */

/* A set of documents: how many, and sums of hashes over (id, version), whole
 * and by bucket. Bucket: the first bits of the hash of the id. */
typedef struct sync_digest {
    uint64_t count;
    uint64_t sum;
    uint64_t rows;    /* seen on the way, of any state */
    uint64_t markers; /* of these */
    uint64_t buckets[SYNC_BUCKETS_MAX];
} sync_digest;

/* A walk over a collection in row order, in pieces, each with a snapshot of
 * its own. Rows that change behind it are told by on_commit. */
typedef struct sync_walk {
    int64_t after;
    bool done;
} sync_walk;

typedef struct sync_item {
    uint64_t key;  /* hash of the id */
    uint64_t item; /* hash of id and version */
} sync_item;

sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16]);
void sync_digest_add(sync_digest *d, sync_item item);
/* Folds the sums to 2^bits buckets in the front of `out`. */
void sync_digest_fold(const sync_digest *d, unsigned bits, uint64_t *out);
unsigned sync_digest_bits(uint64_t count);
static inline uint32_t sync_bucket(uint64_t key, unsigned bits)
{
    return bits == 0 ? 0 : (uint32_t)(key >> (64u - bits));
}

/* ---- what the peer wants --------------------------------------------------- */

/* WANT STATES
 *
 *   DIGEST -> LISTS -> DIFF -> CLOSE -> SENT -> LIVE
 *      |                         ^
 *      +-> STREAM ---------------+         DIGEST -> CLOSE: already in sync
 *
 * DIGEST walks our documents; LISTS waits for the peer's list of what differs;
 * STREAM sends all, DIFF what the list lacks; CLOSE owes the peer CAUGHT_UP;
 * SENT waits for its receipt. Where changes were lost on the way (the dirty set
 * overflowed) a want goes to AGAIN: the peer was told to ask anew, under a new
 * number, so that late answers to the old question mean nothing. */
typedef enum sync_want_state {
    WANT_DIGEST,
    WANT_LISTS,
    WANT_STREAM,
    WANT_DIFF,
    WANT_CLOSE,
    WANT_SENT,
    WANT_LIVE,
    WANT_AGAIN,
} sync_want_state;

typedef struct sync_want {
    uint32_t number;
    sync_want_state state;
    sync_predicate *predicate;
    tako_slice collection; /* the predicate's */
    uint8_t *text;
    size_t text_len;
    uint32_t coll; /* 0: not looked up yet, or not there */
    uint64_t their_count, their_sum;
    uint64_t lsn; /* the snapshot at which the catch-up began */
    sync_walk walk;
    sync_digest *digest; /* DIGEST */
    unsigned bits;       /* LISTS, DIFF */
    uint8_t *differs;    /* bit per bucket */
    sync_item *items;    /* the peer's, sorted when complete */
    size_t item_count, item_cap;
    uint64_t kept; /* what the peer keeps, it said: all up to this commit */
} sync_want;

/* ---- what we want ------------------------------------------------------------ */

/* SUB STATES
 *
 *   DIGEST -> ASKED -> LISTING -> ASKED -> IN_SYNC        any: REFUSED
 *
 * DIGEST walks our documents for the question; LISTING walks them again for
 * the list; RESYNC takes IN_SYNC or ASKED back to DIGEST. */
typedef enum sync_sub_state {
    SUB_DIGEST,
    SUB_ASKED,
    SUB_LISTING,
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
    sync_walk walk;
    sync_digest *digest; /* until in sync */
    bool empty;          /* we had nothing when we asked */
    uint32_t replaces;   /* 1 + the number that it had before */
    unsigned bits;
    uint8_t differs[SYNC_BUCKETS_MAX / 8u];
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

struct sync_session {
    const tako_env *env;
    const sync_host *host;
    store_conn *reader;
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

    sync_counts counts;
};

/* Grows *items (count used of *cap) to hold one more. */
bool sync_grow(const tako_env *env, void **items, size_t *cap, size_t count,
               size_t size);

/* Appends a control message that `body` was written into. */
void sync_control(sync_session *s, sync_msg kind, tako_slice body);

sync_want *sync_want_find(sync_session *s, uint64_t number);
sync_sub *sync_sub_find(sync_session *s, uint64_t number);

/* ---- catchup.c ---------------------------------------------------------------- */

/* One step: may leave `out` empty though there is more to do. */
tako_err sync_serve_step(sync_session *s, tako_buf *out, tako_errbuf *e);
tako_err sync_ask_step(sync_session *s, uint64_t now_ms, sync_lane *lane,
                       tako_buf *out, tako_errbuf *e);
bool sync_walks_due(const sync_session *s);
tako_err sync_on_buckets(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_list(sync_session *s, tako_reader *in, tako_errbuf *e);
/* Frees what a catch-up needed. */
void sync_want_rest(sync_session *s, sync_want *w);
void sync_sub_rest(sync_session *s, sync_sub *sub);

/* ---- live.c -------------------------------------------------------------------- */

tako_err sync_cut_step(sync_session *s, uint64_t now_ms, tako_buf *out,
                       tako_errbuf *e);
tako_err sync_on_needs(sync_session *s, tako_reader *in, tako_errbuf *e);
tako_err sync_on_ack(sync_session *s, tako_reader *in, tako_errbuf *e);
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
/* A want of the peer's is gone: it keeps nothing for it any more. */
void sync_kept_gone(sync_session *s, const sync_want *w);

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

#endif /* TAKO_SYNC_STATE_H */
