// SPDX-License-Identifier: Apache-2.0
/* What the files of one session share and nobody else sees: its state. What they
 * call of each other is in calls.h, which comes with it. */
#ifndef TAKO_SYNC_STATE_H
#define TAKO_SYNC_STATE_H

#include "base/check.h"
#include "base/hash.h"
#include "store/deaths.h"
#include "sync/cover.h"
#include "sync/dirty.h"
#include "sync/receipts.h"
#include "sync/session.h"
#include "sync/symbols.h"
#include "sync/tables.h"
#include "sync/wire.h"

#define SYNC_SCAN_ROWS    4096u       /* looked at in one call of send */
#define SYNC_LIST_BYTES   (64u << 10) /* of one message */
#define SYNC_STALL_MS     5u /* patience with a commit not yet heard of */
#define SYNC_SCRATCH_KEEP (64u << 10) /* of a buffer between uses */
#define SYNC_WAIT_MS                                                           \
    2000u /* patience with what a cut depends on: a tree that was cut is mended by then */
#define SYNC_PEER_NAMES (TAKO_FORMER_ACTORS_MAX + 4u) /* that it had before */
#define SYNC_CLAIMS_MS  300u /* quiet, until claims go without documents */

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
    uint64_t item, when;  /* subscriber: as decoded (symbols.h) */
    int64_t row;          /* here, when met */
    bool met;             /* it is stored here */
    bool pushed;          /* subscriber: our state went already */
    bool reply;           /* server: the peer's state is wanted */
    crdt_context context; /* server: what the peer has seen of it */
} sync_seen;

sync_seen *sync_seen_find(sync_seen *list, size_t count, uint64_t key);
void sync_seen_sort(sync_seen *list, size_t count);

/* How a subscriber wants its changes. */
typedef enum sync_mode {
    SYNC_EAGER,  /* all, at once */
    SYNC_OWN,    /* what the server's own app writes; others are compared */
    SYNC_PRUNED, /* none: they come over another link */
    SYNC_MODES,
} sync_mode;

/* What a set came to, and of which events it was made (agree.c). */
typedef struct sync_agreement {
    bool known;
    uint64_t events; /* a hash of all */
    uint64_t check;  /* of the documents */
    uint64_t lsn;    /* the server's commit at which it was so */
} sync_agreement;

/* ---- what the peer wants --------------------------------------------------- */

/* WANT STATES
 *
 *   ASKED -+-> CLOSE                              equal, or nothing is here
 *          +-> STREAM --> CLOSE                   the peer has nothing
 *          +-> (STREAM ->) FEED -> FED -> ASKED   it named a checkpoint
 *          +-> LISTS --> DIFF --> CLOSE           few documents, or few equal
 *          +-> SYMBOLS -> ANSWER (-> REPLY) -> CLOSE
 *          +-> JOINED (-> SENT) --> ANSWER -> CLOSE   the peer leads (below)
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

/* Documents here, each in its state of commit `lsn` (past.c). */
typedef struct sync_doubt {
    uint32_t coll;
    int64_t row;
    uint64_t lsn;
    /* Of the state that was past there; 0 or UINT64_MAX: of an older one, on
     * which others wrote, or we. */
    uint64_t past_lsn;
    bool lacks; /* events that the peer knows of, for certain */
} sync_doubt;

typedef struct sync_doubts {
    sync_doubt *list;
    size_t count, cap;
} sync_doubts;

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
    sync_symbol *symbols; /* SYMBOLS: a copy, of symbols_have */
    uint32_t symbols_have, symbols_sent, symbols_due;
    bool offered;    /* the peer may take it as answered: see tell.c */
    bool offer_due;  /* CAUGHT_UP, of which that was said */
    sync_seen *seen; /* ANSWER, REPLY: sorted when complete */
    size_t seen_count, seen_cap, seen_at;
    tako_arena seen_arena;
    size_t seen_bytes;
    sync_version *items; /* DIFF: the peer's, sorted when complete */
    size_t item_count, item_cap;
    bool big;            /* its catch-up is longer than a cut */
    size_t bytes;        /* of it, sent */
    sync_vector bounded; /* what TARGET said, on the catch-up lane */
    sync_vector told;    /* what cuts said, on the live lane */
    uint8_t claim;       /* and how; SYNC_CLAIM_UNTOLD at first */
    sync_mode mode;      /* how the peer wants it */
    bool restart;        /* the mode rose: say so with the next cut */
    bool gaps;           /* since it was asked for, not all was pushed */
    sync_vector has;     /* what the peer's summaries say it has itself */
    bool has_whole;
    bool back;             /* it said so just now */
    bool met;              /* it was in sync once, in this session */
    sync_agreement agreed; /* what we said last */
    uint64_t kept; /* the peer keeps all up to this commit, which is less */
    uint64_t kept_told; /* than it said while something is past there */
    uint8_t kept_flags; /* and how it said so */
} sync_want;

#define SYNC_CLAIM_UNTOLD 0xffu

/* ---- what we want ------------------------------------------------------------ */

/* SUB STATES
 *
 *   NEW -> ASKED -+-> LISTING -> ASKED -> CLOSING -> IN_SYNC   any: REFUSED
 *                 +-> DECODED -> TELLING -> ASKED
 *                 +-> AGAIN (after the feed) -> ASKED
 *
 * NEW and AGAIN wait for the table, to ask; LISTING walks our documents for
 * the list; DECODED walks them to find what differs; TELLING sends what the
 * peer lacks, and tells what we have seen of the rest; CLOSING has the answer
 * staged and waits for the cut that makes it whole. RESYNC takes any of the
 * later ones back to NEW. */
typedef enum sync_sub_state {
    SUB_NEW,
    SUB_ASKED,
    SUB_AGAIN,
    SUB_LISTING,
    SUB_DECODED,
    SUB_CLOSING,
    SUB_TELLING,
    SUB_IN_SYNC,
    SUB_REFUSED,
} sync_sub_state;

/* CAUGHT_UP that the peer is not sure of: see tell.c. */
typedef enum sync_offer {
    OFFER_NONE,
    OFFER_TOLD,     /* it will come, and we do not know yet */
    OFFER_HELD,     /* it came */
    OFFER_DECLINED, /* it will come, and means nothing */
} sync_offer;

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
    sync_symbol *symbols; /* while decoding: a copy, of symbols_have */
    uint32_t symbols_have;
    sync_decoder *decoder;
    sync_symbol *burst; /* a wide burst, while ours are not there yet */
    uint32_t burst_count, burst_due;
    bool burst_over;
    sync_seen *seen; /* sorted by key */
    size_t seen_count, seen_at;
    bool telling;       /* TELLING: what had to be pushed is */
    uint32_t pushed_to; /* 1 + the question that it was for, until SERVED */
    sync_offer offer;   /* of CAUGHT_UP */
    uint64_t offer_lsn; /* HELD */
    bool early;         /* it was taken: more of an answer means nothing */
    bool loaded;        /* `stored` was looked up */
    store_checkpoint_at stored;
    bool placed; /* a first download goes up to `place`, staged or applied */
    store_checkpoint_at place;
    uint64_t peer_lsn;
    uint64_t documents;
    uint64_t since_ms, took_ms;
    bool big;               /* the answer is applied as it comes */
    sync_vector theirs;     /* what its cuts said that it has */
    uint8_t claim;          /* sync_claim, of its last cut that was closed */
    sync_vector lacks;      /* PART: of these actors it has all up to less */
    sync_mode mode;         /* what we asked for */
    uint64_t differs_ms;    /* since when the server has more; 0 not */
    uint64_t graft_ms;      /* when we may ask because of that again */
    uint64_t graft_wait_ms; /* and how long after the last time that was */
    sync_vector given;      /* of what it has, what it gave */
    sync_vector said;       /* what our summaries said that we have */
    bool said_whole;
    uint64_t complete_ms;  /* wall clock of the last close that was whole */
    sync_agreement agreed; /* what the server said last */
    bool doubts;        /* the server's word for being complete does not do */
    sync_vector passed; /* what it gave was past to who has this much */
    bool verify;        /* it pushes again: what it did not is asked for */
    uint32_t useless;   /* cuts in a row that brought nothing */
    bool gaps;          /* since it was asked for, not all was pushed */
    uint64_t held;      /* where not: all is here up to this, for certain */
    uint64_t kept_said; /* the last KEPT */
    bool regain;        /* nothing said is complete until asked anew */
    uint32_t regains;   /* how often that was because of the peer */
} sync_sub;

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
    bool nameless; /* a delta whose names were replaced meanwhile */
    bool pushed;   /* the peer did not know what we have of it */
} sync_held;

typedef struct sync_list {
    sync_held *first, **tail;
    size_t count;
    bool cold; /* the peer fills an empty collection */
    sync_lane lane;
} sync_list;

/* A document whose delta was refused. */
typedef struct sync_need {
    struct sync_need *next;
    uint32_t name; /* in `colls` */
    tako_slice id;
    crdt_context seen; /* refused: what the delta says that the peer has */
    crdt_context had;  /* asked by fields: what we had; asked whole: nothing */
    bool answered;
} sync_need;

/* A collection that some subscription of ours named, in this session. */
typedef struct sync_coll {
    uint8_t *name;
    size_t len;
    uint32_t coll;      /* here; 0 not known to exist */
    sync_vector bounds; /* what may have come, that no number of now says */
} sync_coll;

/* A number that a subscription had: cuts that were sent before the peer knew
 * may still come, and say what is in them. */
typedef struct sync_retired {
    uint32_t number;
    uint32_t name; /* in `colls` */
} sync_retired;

typedef struct sync_bulk sync_bulk;

struct sync_session {
    const tako_env *env;
    const sync_host *host;
    store_conn *reader;
    const sync_latest *shown; /* what the cut at hand is of; NULL: reader's */
    sync_blob_peer *blobs;    /* NULL: none are spoken of */
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
    int64_t clock_told;     /* our wall clock, of the monotonic one, as told */
    uint64_t clock_told_ms; /* when, by the latter */
    sync_bars bars, peer_bars;
    crdt_actor peer_former[SYNC_PEER_NAMES]; /* a ring */
    size_t peer_former_at;
    sync_vector peer_wrote; /* its actors before, as far as its file has them */

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
    bool rest_due;      /* the peer is to hear how far it is */
    bool close_due;     /* a catch-up closes: a cut, be it without records */
    bool claims_due;    /* what we have rose, and the peer was not told */
    uint64_t claims_ms; /* when it is, without documents; 0 not */

    /* live, in */
    uint64_t close_in; /* last close received */
    uint64_t ack_out;  /* last acknowledged */
    uint64_t ack_due;  /* applied, to be acknowledged; 0 none */
    tako_arena held_arena;
    sync_list held; /* cuts that wait for an answer to `needs` */
    size_t held_bytes;
    tako_arena need_arena;
    sync_need *needs;
    bool cut_open;          /* the last message did not close its cut */
    tako_arena stage_arena; /* answers of catch-ups that are not whole yet */
    sync_list staged;
    size_t staged_bytes;
    uint64_t wait_ms;   /* since when a cut waits for what it depends on */
    bool retry;         /* something came that it may have waited for */
    bool judge_due;     /* a claim that was doubted may hold now */
    bool doubted;       /* another session doubts */
    bool unheard;       /* there are commits that on_commit has not told */
    bool impatient;     /* it has waited long enough */
    uint32_t differing; /* answers to equal contexts of other bytes */

    /* lazy links */
    bool covers_changed; /* by the last cut */
    bool modes_due;      /* who covers what changed */
    bool summary_due;    /* what we have rose */
    bool compare_due;    /* and what the peer has, or we */
    uint64_t summary_ms, summary_after_ms;
    uint64_t lazy_lsn; /* the peer has all up to this, by its summaries */

    uint32_t taken, fresh; /* documents of the last batch; changed by it */
    sync_known *known;
    size_t known_count, known_cap;
    sync_coll *colls;
    size_t coll_count, coll_cap;
    sync_doubts doubts;  /* past there, and matching here */
    sync_doubts unseen;  /* from other links, and not acknowledged */
    uint64_t unseen_lsn; /* the last that was too many */
    sync_retired retired[TAKO_SYNC_RETIRED_MAX]; /* a ring */
    size_t retired_count;
    uint64_t applied;  /* last close that is in the store */
    bool close_asked;  /* say how far it went, though nothing is wanted */
    bool kept_due;     /* what was past there may be no more */
    bool keeps_listed; /* all promised interests of the peer were seen */

    sync_receipts *receipts; /* NULL: none yet */
    tako_buf deaths;         /* answers of the running transaction, of DEAD */
    tako_buf denials;        /* likewise of DENIED */
    uint32_t denied;         /* how many */
    sync_bulk *bulk;         /* while something large goes or comes */

    sync_counts counts;
};

/* Grows *items (count used of *cap) to hold one more. */
bool sync_grow(const tako_env *env, void **items, size_t *cap, size_t count,
               size_t size);

/* Appends a control message that `body` was written into. */
void sync_control(sync_session *s, sync_msg kind, tako_slice body);

#include "sync/calls.h" /* what they call of each other, in these types */

#endif /* TAKO_SYNC_STATE_H */
