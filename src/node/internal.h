// SPDX-License-Identifier: Apache-2.0
/* What the files of the node share and nobody else sees. */
#ifndef TAKO_NODE_INTERNAL_H
#define TAKO_NODE_INTERNAL_H

#include "base/check.h"
#include "crdt/wall.h"
#include "node/node.h"
#include "node/receipts.h"
#include "query/query.h"
#include "sync/session.h"
#include "sync/tables.h"

#define NODE_LANE_BYTES        (256u << 10) /* queued of a lane: no more then */
#define NODE_STREAM_BYTES      (256u << 10) /* queued below the link, likewise */
#define NODE_BLOB_BYTES        (4u << 10) /* likewise, before an attachment's part */
#define NODE_OUTPUT_BYTES      (64u << 10) /* taken from a link at a time */
#define NODE_PUMP_TURNS        16u    /* of work, before others have theirs */
#define NODE_GAP_MS            20u    /* patience with a commit on its way */
#define NODE_STABLE_MS         10000u /* up so long: back-off starts over */
#define NODE_QUIET_MS          5000u /* nothing said so long: the store is synced */
#define NODE_RECEIPT_BYTES     12u      /* shorter ones bring no document */
#define NODE_CARE_MS           3600000u /* between two looks for what to reap */
#define NODE_CARE_FIRST_MS     20000u   /* after the start */
#define NODE_CARE_STEP_MS      200u     /* between two pieces of it */
#define NODE_PEERS_MAX         256u
#define NODE_LISTENERS_MAX     16u
#define NODE_BUFFER_KEEP       (64u << 10)
#define NODE_LATEST_HELD_BYTES (8u << 10) /* beside what a commit left */
#define NODE_CLOCK_MS          1000u /* between two times that the store hears */
#define NODE_KEPT_MS           1000u /* between two times of saying what is kept */

/* Of documents that leave (leave.c): */
#define NODE_LEAVE_GRACE_MS  5000u  /* after a start, after an unsubscribe */
#define NODE_LEAVE_SOON_MS   20u    /* between two steps */
#define NODE_LEAVE_ASK_MS    1000u  /* an answer takes no longer */
#define NODE_LEAVE_WAIT_MS   60000u /* between two askings, at most */
#define NODE_LEAVE_BATCH     256u   /* documents of one step */
#define NODE_LEAVE_SCAN_ROWS 4096u  /* looked at in one step of a sweep */
#define NODE_PRESENT_MAX     256u   /* documents that are to be renewed */
#define NODE_RETAIN_MS       60000u /* between two rounds (retention.c) */
#define NODE_ASK_HOPS        8u     /* a question is passed on so often */
#define NODE_ASK_ROUTES      256u   /* questions whose answers go back */

_Static_assert((int)SYNC_CONTROL == (int)MESH_CONTROL &&
                   (int)SYNC_LIVE == (int)MESH_LIVE &&
                   (int)SYNC_CATCHUP == (int)MESH_CATCHUP &&
                   (int)SYNC_BLOBS == (int)MESH_BLOBS,
               "a session's lanes are the link's");

/* A compiled text, shared by all sessions that name it. */
struct sync_predicate {
    sync_predicate *next;
    query_predicate *query;
    uint32_t users;
    bool all; /* the whole collection */
};

struct node_commit {
    const tako_env *env;
    uint64_t lsn;
    crdt_actor actor; /* ours, when it was made */
    node_commit *next;
    const sync_session *by; /* whose merge it was; NULL: it is gone */
    bool merged;            /* not the app's */
    size_t bytes;           /* of the block */
    bool shown;             /* latest is what it left */
    sync_latest latest;
    size_t count;
    store_change changes[];
};

typedef struct node_peer node_peer;

/* What a device said that it keeps, for one of its subscriptions. */
typedef struct node_keeper {
    struct node_keeper *next;
    uint8_t device[SEC_KEY_BYTES];
    sync_predicate *predicate;
    uint64_t lsn;
    bool archive;
    bool changed; /* not yet in the file */
    bool gone;
} node_keeper;

/* A document that a commit took out of our last subscription. */
typedef struct node_going {
    uint32_t coll;
    int64_t row;
    store_leave_why why;
} node_going;

/* A document that others had and have no more: in this state it may go, though
 * it matches. */
typedef struct node_passed {
    uint32_t coll;
    int64_t row;
    uint64_t lsn;
    uint64_t due_ms; /* present.c: when it is given an event */
} node_passed;

/* Likewise, where all of the collection is wanted: it does not go (present.c). */
typedef struct node_present {
    node_passed list[NODE_PRESENT_MAX];
    size_t count;
    uint64_t at_ms; /* when to look next */
} node_present;

/* What others name of a former actor of ours, and is not here (former.c). */
typedef struct node_former_heard {
    crdt_dot upto;
    uint64_t since_ms;
} node_former_heard;

typedef struct node_former {
    node_former_heard list[TAKO_FORMER_ACTORS_MAX];
    size_t count;
    uint64_t at_ms; /* when to look next */
} node_former;

/* A subscription that was ended: what matched it may leave. */
typedef struct node_sweep {
    struct node_sweep *next;
    sync_predicate *former;
    bool keep;
    uint64_t due_ms;
    uint32_t coll;
    int64_t after;
    bool forgotten; /* that it was complete */
} node_sweep;

/* A document that we asked others about. */
typedef struct node_ask {
    uint32_t coll;
    int64_t row;
    uint64_t lsn;    /* its state then */
    bool passed;     /* it is a node_passed */
    bool to_archive; /* an archive is to have it: no other's leave counts */
    bool granted;
    bool spoilt;   /* we told another that it may go, after we had asked */
    bool archived; /* granted by an archive: */
    uint8_t archive[SEC_KEY_BYTES];
} node_ask;

typedef struct node_route { /* a question that was passed on */
    uint8_t device[SEC_KEY_BYTES];
    uint64_t serial;
    uint64_t link;
} node_route;

typedef struct node_leaving {
    node_going *going;
    size_t going_count, going_cap;
    node_passed passed[NODE_LEAVE_BATCH];
    size_t passed_count;
    node_sweep *sweeps;
    uint64_t at_ms;    /* when to look next */
    uint64_t start_ms; /* nothing leaves before */
    uint64_t wait_ms;
    uint32_t tries; /* without an answer */
    uint32_t after_coll;
    int64_t after_row;
    node_ask asks[NODE_LEAVE_BATCH];
    size_t ask_count;
    uint64_t serial, until_ms;
    node_route routes[NODE_ASK_ROUTES];
    size_t route_at;
} node_leaving;

/* LINK STATES
 *
 *   DIALLING -> HANDSHAKE -> UP -> CLOSING      any: CLOSING
 *
 * CLOSING waits for the stream's on_close, which frees the link. */
typedef enum node_link_state {
    NODE_DIALLING,
    NODE_HANDSHAKE,
    NODE_UP,
    NODE_CLOSING,
} node_link_state;

typedef struct node_link {
    struct node_link *next;
    node *node;
    node_link_state state;
    sec_side side;
    tako_stream *stream;
    mesh_link *mesh;
    sync_session *session;
    sync_host host;  /* the session's; ctx is this link */
    node_peer *peer; /* whose address was dialled; NULL: accepted, removed */
    mesh_peer who;   /* from UP on */
    char address[TAKO_ADDRESS_BYTES_MAX];
    uint64_t since_ms; /* of this state */
    uint64_t id;       /* never used again */
    bool listed;       /* its keepers were compared with its interests */
    node_receipts_link receipts;
    bool again;      /* the session has work that needs no event */
    tako_err failed; /* to be closed at the end of this turn */
    tako_errbuf why;
} node_link;

/* An address that is dialled for ever. */
struct node_peer {
    node_peer *next;
    char address[TAKO_ADDRESS_BYTES_MAX];
    mesh_backoff backoff;
    uint64_t retry_ms; /* when no link is there */
    node_link *link;
    bool known; /* device is set: who answered there last */
    uint8_t device[32];
    tako_errbuf error; /* of the last attempt */
};

typedef struct node_sub {
    struct node_sub *next;
    uint32_t id;
    bool keep;                 /* what leaves it stays, stale */
    sync_predicate *predicate; /* keeps it compiled */
} node_sub;

typedef struct node_listener {
    tako_listener *listener;
    char address[TAKO_ADDRESS_BYTES_MAX];
} node_listener;

typedef struct node_retain node_retain;

struct node {
    const tako_env *env;
    const tako_net *net;
    const node_host *host;
    store_conn *reader;
    const sec_identity *identity;
    const sec_mesh *mesh;
    char name[TAKO_NAME_BYTES_MAX + 1];
    mesh_context *context;
    node_listener listeners[NODE_LISTENERS_MAX];
    size_t listener_count;
    node_link *links;
    size_t link_count;
    node_peer *peers;
    size_t peer_count;
    node_sub *subs;
    size_t sub_count;
    sync_predicate *predicates;
    sync_host tables_host; /* of `tables`; ctx is the node */
    sync_tables *tables;   /* what peers ask for; NULL: nobody did yet */
    sync_blobs *blobs;
    sync_blobs_host blobs_host;
    query_pool *pool;     /* of all predicates; NULL: none was made yet */
    node_commit *commits; /* not yet told, in order */
    node_commit *latest;  /* told last, until the turn ends; NULL: none */
    uint64_t told;        /* the last commit that sessions heard of */
    uint64_t gap_ms;      /* since when a commit before the first is missing */
    bool marked;          /* the store has the dirty mark, for what we sent */
    uint64_t busy_ms;     /* when something was last said or written */
    bool read_only;       /* others refuse what is written here */
    bool archive;         /* never lets go of what it has */
    uint64_t synced_lsn;  /* commits up to it are on disk for sure */
    uint64_t kept_ms;     /* when it was last told what is kept; due after */
    uint64_t link_last;
    node_keeper *keepers;
    size_t keeper_count;
    bool keepers_changed;
    node_receipts receipts;
    node_leaving leave;
    node_present present;
    node_former former;
    node_retain *retain;
    uint64_t care_ms;     /* when to look for what to reap */
    crdt_wall clocks;     /* what neighbours told of theirs: clock.c */
    uint64_t clocks_ms;   /* when the store is to hear it */
    uint64_t clocks_rest; /* not before */
    bool contradicted;    /* our wall clock is; as it was last logged */
    store *writing;
    uint64_t copies, copies_new; /* of sessions that ended */
    tako_buf out;
    uint64_t timer_ms;
    bool turning;
    bool stopping;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

static inline uint64_t node_now(const node *n)
{
    return n->env->mono_ms(n->env->ctx);
}

/* After anything happened: sends what is due, closes what failed, dials, sets
 * the timer. */
void node_turn(node *n);
/* Only the timer. */
void node_timer(node *n);

/* ---- links.c ----------------------------------------------------------------- */

extern const tako_stream_events node_stream_events;
tako_accept_fn node_accept;
tako_err node_link_dial(node *n, node_peer *p, tako_errbuf *e);
/* To be closed at the end of the turn, for this reason. */
void node_link_fail(node_link *l, tako_err err, const char *why);
/* Sends what may be sent now. */
void node_link_pump(node_link *l, uint64_t now_ms);
/* Closes it, telling the peer why. */
void node_link_close(node_link *l, uint64_t now_ms);
uint64_t node_link_deadline(const node_link *l);
void node_link_tick(node_link *l, uint64_t now_ms);

/* ---- blobs.c ----------------------------------------------------------------- */

tako_err node_blobs_begin(node *n);
/* May a part of an attachment go out now? */
bool node_blobs_lane_free(const node_link *l);
void node_blobs_status(const node *n, tako_buf *json);

/* ---- peers.c ----------------------------------------------------------------- */

void node_peers_dial(node *n, uint64_t now_ms);
uint64_t node_peers_deadline(const node *n);
/* The link of an address is gone. */
void node_peer_lost(node_peer *p, const node_link *l, uint64_t now_ms);
void node_peers_wake(node *n, const uint8_t device[32], uint64_t now_ms);
void node_peers_free(node *n);
node_link *node_link_to(const node *n, const uint8_t device[32],
                        const node_link *except);

/* ---- commits.c --------------------------------------------------------------- */

void node_commits_drain(node *n, uint64_t now_ms);
void node_commits_rest(node *n); /* what was told is sent */
uint64_t node_commits_deadline(const node *n);
void node_commits_forget(node *n, const sync_session *by);
void node_commits_free(node *n);
/* Writes how far a session is in its peer's feed, if the store is free. */
void node_session_rest(node *n, sync_session *s);
/* Syncs the store once it is quiet, which clears the dirty mark. */
void node_quiet(node *n, uint64_t now_ms);
uint64_t node_quiet_deadline(const node *n);
/* Lets go of the writer and takes the commit (0 none) over, made for the
 * session `by` (NULL: for none). */
void node_wrote(node *n, store *st, uint64_t lsn, const sync_session *by);
/* Likewise after a write with a dot of ours, as the app's are. */
void node_wrote_own(node *n, store *st, uint64_t lsn);
/* node_host's part of sync_host. */
store *node_write_begin(void *ctx);
void node_write_end(void *ctx, uint64_t lsn);

/* ---- keepers.c ---------------------------------------------------------------- */

tako_err node_keepers_load(node *n, tako_errbuf *e);
void node_keepers_free(node *n);
/* sync_host's; ctx is the link. */
void node_kept(void *ctx, tako_slice text, uint64_t lsn, bool archive);
/* Says what is kept, and writes down what others said. */
void node_keepers_tick(node *n, uint64_t now_ms);
/* At the end of a turn: whether there will be something to say. */
void node_keepers_look(node *n, uint64_t now_ms);
uint64_t node_keepers_deadline(const node *n);
/* The commits so far are on disk. False: not now. */
bool node_synced(node *n);
/* Did the device say that it never lets go of what it keeps? */
bool node_is_archive(const node *n, const uint8_t device[SEC_KEY_BYTES]);
/* A device that never lets go of this state; NULL: none. */
const uint8_t *node_archived(node *n, uint32_t coll, const store_row *row);
/* Whether one that is known keeps such documents, this state or not. */
bool node_has_archive(node *n, uint32_t coll, const store_row *row);

bool node_is_kept(node *n, uint32_t coll, const store_row *row);
/* Who has all of the predicate up to this commit of ours: has it the document
 * as it is here? */
bool node_told_of(node *n, sync_predicate *p, uint32_t coll,
                  const store_row *row);

/* ---- clock.c ------------------------------------------------------------------ */

/* sync_host's; ctx is the link. */
void node_clock_heard(void *ctx, uint64_t wall_ms);
/* A device said whether it is an archive. */
void node_clock_role(node *n, const uint8_t device[SEC_KEY_BYTES],
                     bool archive);
void node_clock_tick(node *n, uint64_t now_ms);
uint64_t node_clock_deadline(const node *n);
void node_clock_status(const node *n, tako_buf *json);

/* ---- receipts.c --------------------------------------------------------------- */

extern const sync_receipts_host node_receipts_host; /* ctx is the link */
void node_receipts_free(node *n);
void node_receipts_link_free(node_link *l);
/* The peer said KEPT of this text; 0: it keeps nothing for it any more. */
void node_receipts_kept(node_link *l, tako_slice text, uint64_t lsn);
/* The store was just synced, n->synced_lsn. */
void node_receipts_synced(node *n);
void node_receipts_unsubscribed(node *n, uint32_t user);
/* The peer acknowledged more. */
void node_receipts_acked(node_link *l);
void node_receipts_tick(node *n, uint64_t now_ms);
uint64_t node_receipts_deadline(const node *n);
/* A commit of the program, for status. */
void node_receipts_commit(node *n, uint64_t lsn);
/* Asks neighbours, and those behind them, for receipts of this device. */
void node_receipts_ask(node *n, const char *peer);
/* Is the device known to have the document as it is here? passed: also where
 * it only passes it on. */
bool node_receipts_has(node *n, const uint8_t device[SEC_KEY_BYTES],
                       uint32_t coll, const store_row *row, bool passed);
/* NULL: nobody told. */
const char *node_receipts_name(const node *n,
                               const uint8_t device[SEC_KEY_BYTES]);

/* ---- retention.c --------------------------------------------------------------- */

tako_err node_retain_new(node *n);
void node_retain_free(node *n);
void node_retain_tick(node *n, uint64_t now_ms);
uint64_t node_retain_deadline(const node *n);

/* status.c: is it the device that `peer` (name, hex key, NULL any) means? */
bool node_is_device(const node *n, const uint8_t device[SEC_KEY_BYTES],
                    const char *peer);

/* ---- leave.c ------------------------------------------------------------------ */

/* Looks at what a commit changed. */
void node_leave_note(node *n, const node_commit *c);
/* A document that matches, in this state, may go all the same. */
void node_leave_passed(node *n, uint32_t coll, int64_t row, uint64_t lsn);
bool node_leave_is_passed(const node *n, uint32_t coll, int64_t row);
/* A subscription ends; takes its predicate over. */
void node_leave_sweep(node *n, sync_predicate *former, bool keep);
/* Something happened that may let documents go. */
void node_leave_wake(node *n);
void node_leave_tick(node *n, uint64_t now_ms);
uint64_t node_leave_deadline(const node *n);
void node_leave_free(node *n);
/* Does some subscription of ours match the document? *keep: one with KEEP. */
bool node_wants(node *n, uint32_t coll, tako_slice id, tako_slice body,
                bool *keep);

/* ---- present.c ---------------------------------------------------------------- */

/* Does some subscription of ours ask for the whole collection? */
bool node_takes_all(node *n, uint32_t coll);
/* A document of such a one is past for others in this state. */
void node_present_note(node *n, uint32_t coll, int64_t row, uint64_t lsn);
void node_present_tick(node *n, uint64_t now_ms);

/* ---- former.c ------------------------------------------------------------------ */

/* What is complete here changed: others may have named more of a former actor. */
void node_former_look(node *n);
void node_former_tick(node *n, uint64_t now_ms);

/* ---- mayi.c -------------------------------------------------------------------- */

/* Asks all peers about the documents of n->leave.asks. */
void node_may_i(node *n, unsigned hops);
/* sync_host's note; ctx is the link. */
tako_err node_note(void *ctx, unsigned kind, tako_slice body, tako_errbuf *e);
/* ---- care.c ------------------------------------------------------------------- */

/* Reaps and sweeps some, when it is time to (store/deaths.h). */
void node_care(node *n, uint64_t now_ms);

/* ---- predicates.c ------------------------------------------------------------- */

tako_err node_predicate_get(node *n, tako_slice text, tako_slice params,
                            sync_predicate **out, tako_errbuf *e);
void node_predicate_drop(node *n, sync_predicate *p);
/* The node's tables, made at first use. */
tako_err node_tables(node *n, sync_tables **out, tako_errbuf *e);
/* sync_host's; ctx is the link. */
tako_err node_predicate_open(void *ctx, tako_slice text, sync_predicate **out,
                             tako_slice *collection, tako_errbuf *e);
void node_predicate_close(void *ctx, sync_predicate *p);
bool node_predicate_match(void *ctx, sync_predicate *p, tako_slice id,
                          tako_slice body);
bool node_predicate_whole(void *ctx, const sync_predicate *p);
bool node_predicate_covers(void *ctx, const sync_predicate *big,
                           const sync_predicate *small);

#endif /* TAKO_NODE_INTERNAL_H */
