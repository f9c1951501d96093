// SPDX-License-Identifier: Apache-2.0
/* What the files of one session share and nobody else sees. */
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

/* Says what we know of the peer's events. */
tako_err sync_tell_former(sync_session *s, tako_errbuf *e);
tako_err sync_on_former(sync_session *s, tako_reader *in, tako_errbuf *e);
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

#endif /* TAKO_SYNC_STATE_H */
