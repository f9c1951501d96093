// SPDX-License-Identifier: Apache-2.0
/* API -- what the files behind include/tako/tako.h share.
 *
 * THREADS. The store is used by one thread at a time: whoever holds
 * db->writer (lock.c). Each reader connection is used by whoever took it from
 * the pool (readers.c). Observers are told on one thread of their own
 * (observe.c), the node on the loop's (sync.c), and a keeper sees to what can
 * wait (keeper.c). Locks are taken in this
 * order, and none of the later ones is held while a callback runs:
 *
 *   sync.mutex   start, stop, subscriptions
 *   writer       the store
 *   sync.gate, observers.mutex, readers.mutex, errors.mutex,
 *   requests.mutex   leaves */
#ifndef TAKO_API_API_H
#define TAKO_API_API_H

#include <stdatomic.h>

#include "base/check.h"
#include "base/limits.h"
#include "node/node.h"
#include "obs/log.h"
#include "query/query.h"
#include "query/settings.h"
#include "store/store.h"
#include "sys/sys.h"
#include "tako/tako.h"

#define API_RESULT_BYTES_UPFRONT (64u << 10) /* of a SELECT, read at once */
#define API_PARAMS_DEPTH_MAX     (TAKO_VALUE_DEPTH_MAX + 4u)

/* ---- the writer's lock (lock.c) ------------------------------------------- */

/* Stands in the list while it waits; on the stack of who waits. */
typedef struct api_waiter {
    struct api_waiter *next;
} api_waiter;

typedef struct api_lock {
    const tako_env *env;
    sys_mutex *mutex;
    sys_cond *cond;
    api_waiter *first, *last; /* in the order they came */
    bool held;
    bool loop_refused;
} api_lock;

tako_err api_lock_init(api_lock *l, const tako_env *env);
void api_lock_fini(api_lock *l);
/* First come, first served; UINT64_MAX waits for ever. loop: the caller is
 * the node, which gets TAKO_CLOSED once api_lock_refuse_loop was called.
 * TAKO_BUSY. Any thread may release. */
tako_err api_lock_take(api_lock *l, uint64_t wait_ms, bool loop);
void api_lock_release(api_lock *l);
void api_lock_refuse_loop(api_lock *l, bool refuse);

/* ---- prepared queries of one connection (queries.c) ------------------------ */

typedef struct api_query {
    uint64_t hash;
    uint64_t used; /* tick of the last use */
    query *query;
    uint8_t *text;
    size_t len;
    bool busy;
} api_query;

typedef struct api_queries {
    const tako_env *env;
    query_pool *pool; /* not NULL: projections in it, not queries of conn */
    uint64_t tick;
    api_query at[TAKO_QUERIES_CACHED_MAX];
} api_queries;

void api_queries_init(api_queries *c, const tako_env *env);
void api_queries_fini(api_queries *c);
/* A query of this text, from the cache or prepared; give it back. */
tako_err api_query_take(api_queries *c, store_conn *conn, tako_slice text,
                        query **out, tako_errbuf *e);
void api_query_give(api_queries *c, query *q);

/* ---- readers (readers.c) ----------------------------------------------------- */

typedef struct api_reader {
    store_conn *conn;
    api_queries queries;
    tako_buf scratch; /* of whoever has the reader */
    bool snapshot;
    uint64_t epoch; /* db->epoch of the snapshot */
    uint64_t lsn;   /* the commit that it shows; 0: to be asked */
    unsigned users; /* a transaction and its open results */
    /* keeper.c, with the pool's mutex held: */
    unsigned missed; /* pages since it was mapped last */
    bool mapped;
    bool rested; /* not used since the keeper looked */
    struct api_reader *next;
} api_reader;

/* With the mutex of the readers held. */
typedef struct api_keeper {
    sys_thread *thread; /* started when there is something to keep */
    sys_cond *cond;
    bool heap_high;     /* a large transaction freed its memory */
    bool heap_rested;   /* none since the keeper looked */
    bool log_due;       /* the log is to be folded in a pause */
    uint64_t log_epoch; /* db->epoch when the keeper looked */
    bool stop;
} api_keeper;

typedef struct api_readers {
    sys_mutex *mutex;
    sys_cond *cond;
    api_reader *all[TAKO_READERS_MAX]; /* open ones */
    api_reader *idle;
    unsigned idle_count, open_count;

    unsigned mapped_count;
    api_keeper keeper;
} api_readers;

tako_err api_readers_init(tako_db *db);
void api_readers_fini(tako_db *db);
/* A reader with a snapshot of the last commit, used by the caller alone until
 * its last api_reader_give. TAKO_BUSY when too many are out. */
tako_err api_reader_take(tako_db *db, api_reader **out, tako_errbuf *e);
void api_reader_give(tako_db *db, api_reader *r);
/* Which commit the reader's snapshot shows. */
tako_err api_reader_commit(api_reader *r, uint64_t *commit, tako_errbuf *e);
/* Ends snapshots that idle readers keep. */
void api_readers_let_go(tako_db *db);

/* ---- what can wait (keeper.c) ------------------------------------------------ */

tako_err api_keeper_init(tako_db *db);
void api_keeper_fini(tako_db *db);
/* The heap may have much to give back. */
void api_keeper_heap(tako_db *db);
/* The log is worth to be folded. */
void api_keeper_log(tako_db *db);
/* With the pool's mutex held: a reader comes back to its idle ones, and is
 * mapped if that pays; a mapped one goes. */
void api_maps_consider(tako_db *db, api_reader *r);
void api_maps_forget(tako_db *db, api_reader *r);

/* ---- writing (write.c) --------------------------------------------------------- */

/* Takes the writer and begins a transaction. TAKO_BUSY, ... */
tako_err api_write_begin(tako_db *db, tako_errbuf *e);
/* Commits, tells observers and the node, and lets the writer go. */
tako_err api_write_commit(tako_db *db, uint64_t *lsn, tako_errbuf *e);
void api_write_rollback(tako_db *db);
/* In a pause, by the keeper: folds the log. */
void api_write_rest(tako_db *db);
/* The node's way in, on the loop's thread; see node_host. */
store *api_node_write_begin(void *ctx);
store *api_node_write_try(void *ctx);
void api_node_write_end(void *ctx, uint64_t lsn);

/* ---- requests (requests.c) -------------------------------------------------------- */

/* One statement from its begin to its end; zeroed, one that never began. */
typedef struct api_request {
    tako_db *db;
    uint64_t id;
    const char *source; /* "execute", "transaction", "observer" */
    uint64_t started_ms;
    uint64_t timeout_ms; /* 0: none */
    _Atomic uint64_t entered_ms, ran_ms, rows;
    atomic_bool running, opened, canceled;
    bool timed_out;
    uint16_t len;
    char text[TAKO_REQUEST_TEXT_MAX];
    bool listed; /* its own thread's; the rest is the list's: under the mutex */
    struct api_request *next, **at;
} api_request;

typedef struct api_request_counts {
    uint64_t ended, rows, failed, slow, canceled, timed_out, active;
} api_request_counts;

typedef struct api_past api_past;
typedef struct api_promise api_promise;

typedef struct api_requests {
    sys_mutex *mutex;
    uint64_t last_id;
    api_request *first; /* the newest */
    api_past *ring;     /* of `cap` ended ones; the next goes to `next` */
    size_t cap, count, next;
    api_promise *promises;
    size_t promise_count;
    api_request_counts counts;
} api_requests;

tako_err api_requests_init(tako_db *db);
void api_requests_fini(tako_db *db);
void api_request_begin(tako_db *db, api_request *r, const char *source,
                       tako_slice text);
/* Around each stretch of running. */
void api_request_enter(api_request *r);
void api_request_leave(api_request *r);
/* For query_guard. */
bool api_request_stop(void *r);
/* Ends it, once; gives err, or what it means of a request that was stopped. */
tako_err api_request_end(api_request *r, tako_err err, tako_errbuf *e);
/* Appends JSON objects, active ones first. */
void api_requests_put(tako_db *db, tako_buf *json);
void api_requests_count(tako_db *db, api_request_counts *out);

/* What holds now; loading: from a connection, after a commit that set one. */
int64_t api_setting(tako_db *db, setting which);
tako_err api_settings_load(tako_db *db, store_conn *c);

/* ---- statements (execute.c, result.c) ------------------------------------------- */

/* The parameters as a checked CBOR map, in `own` or borrowed; none: empty. */
tako_err api_params(const tako_params *params, tako_buf *own, tako_slice *out,
                    tako_errbuf *e);
tako_err api_statement(const char *text, tako_slice *out, tako_errbuf *e);
tako_err api_kind_of(const tako_env *env, tako_slice text, query_kind *out,
                     tako_errbuf *e);
/* What reads, on a reader; takes one use of it over, whatever is returned. The
 * caller frees the result. */
tako_err api_select(tako_result *res, api_reader *r, tako_slice text,
                    tako_slice params, tako_errbuf *e);
/* A statement inside the writer's transaction; rows are read to their end. */
tako_err api_run(tako_result *res, tako_slice text, tako_slice params,
                 tako_errbuf *e);

/* Of a SELECT: `rows` holds rows that were read up front, each after its
 * length (4 bytes, native); query and reader are set while there may be more,
 * which then go through `rows` one by one. */
struct tako_result {
    tako_db *db;
    api_request request;
    bool has_rows;
    bool wrote; /* or might have */
    tako_buf note;
    api_reader *reader;
    query *query;
    tako_err failed; /* of an earlier next */
    tako_buf rows;
    size_t pos; /* in rows: where the next one begins */
    tako_slice current;
    tako_buf json;
    bool json_done;

    tako_buf ids; /* of a mutation, CBOR one after the other */
    tako_buf ids_json;
    uint64_t mutated, commit;
};

/* With its request begun. NULL: no memory */
tako_result *api_result_new(tako_db *db, const char *source, tako_slice text);
/* Frees it, NULL or not, after a failure, of which it gives the meaning. */
tako_err api_result_failed(tako_result *r, tako_err err, tako_errbuf *e);
/* Reads rows until `limit` bytes or the end; then the reader is given back.
 * TAKO_LIMIT: the result is larger than result_bytes_max. */
tako_err api_result_fill(tako_result *r, size_t limit, tako_errbuf *e);

/* ---- observers (observe.h) -------------------------------------------------------- */

typedef struct api_observer api_observer;

/* A place for an observer; its id is the place and how often it was used. */
typedef struct api_observer_slot {
    api_observer *observer; /* NULL: free */
    uint32_t next_free;     /* + 1; 0: none */
    uint16_t uses;
} api_observer_slot;

typedef struct api_observers {
    sys_mutex *mutex;
    sys_cond *work;  /* for the dispatcher */
    sys_cond *quiet; /* a callback returned */
    sys_thread *thread;
    uint64_t thread_id;
    api_observer_slot *slots;
    uint32_t slot_cap, slot_used, free; /* free: + 1 */
    api_observer *queue, *queue_last;   /* to be looked at */
    uint32_t running; /* its callback may be running; 0 none */
    atomic_uint count;
    bool stop;
    bool woken; /* the dispatcher is owed a signal */

    struct live *live; /* which commits matter to whom */
    query_pool *pool;  /* of its predicates */
    uint64_t marked;   /* the last commit that was looked at */
    size_t change_bytes;
    unsigned of_conflicts; /* observers of system:conflicts */
} api_observers;

tako_err api_observers_init(tako_db *db);
void api_observers_fini(tako_db *db);
/* The writer is held: commit lsn changed what the store tells. */
void api_observers_mark(tako_db *db, uint64_t lsn);
/* Likewise, one without a number: it may have changed what merging lost. */
void api_observers_mark_lost(tako_db *db);
/* system:observers, as JSON objects. */
void api_observers_put(tako_db *db, tako_buf *json);

/* ---- sync (sync.c, calls.c) -------------------------------------------------------- */

typedef struct api_pending {
    node_commit *commit;
    struct api_pending *next;
} api_pending;

typedef struct api_subscription {
    uint32_t id;
    bool keep;
    tako_buf text, params;
    struct api_subscription *next;
} api_subscription;

typedef struct api_wait {
    const char *peer;
    uint64_t commit;
    uint32_t keepers; /* 0: acknowledged is enough */
    bool looked;      /* the loop has answered at least once */
    bool done;
    struct api_wait *next;
} api_wait;

typedef struct api_sync {
    sys_mutex *mutex;

    /* Written with mutex and gate held, so either is enough to read. */
    bool running;
    sys_loop *loop;
    tako_net net;

    node_host host;
    node *node; /* the loop's thread alone */
    bool node_stopping;
    bool tidying; /* the loop has posted itself to see to the log (write.c) */
    store_conn *reader;
    sec_identity identity;
    sec_mesh mesh;
    char name[TAKO_NAME_BYTES_MAX + 1];
    tako_buf addresses; /* of listeners, each ending in NUL */
    size_t address_count;

    api_subscription *subs;
    uint32_t sub_count, next_sub;

    sys_mutex *gate;
    bool live;   /* commits are handed over */
    bool posted; /* a drain is on its way */
    bool missed; /* a commit that the node could not be told of */
    api_pending *first, *last;

    sys_mutex *wait_mutex;
    sys_cond *wait_cond;
    api_wait *waits;
    bool wait_closed;
} api_sync;

tako_err api_sync_init(tako_db *db);
void api_sync_fini(tako_db *db);
/* The writer is held: hands the last commit's changes to the node. */
void api_sync_commit(tako_db *db, uint64_t lsn);
/* Runs fn(arg) on the loop's thread and waits; sync.mutex is held. TAKO_BUSY
 * when the loop itself waits for a transaction of the program. */
tako_err api_loop_call(tako_db *db, void (*fn)(void *arg), void *arg,
                       tako_errbuf *e);
/* This device's keys, made at their first use, and the store's actor. */
tako_err api_identity(tako_db *db, sec_identity *out, tako_errbuf *e);
/* On the loop's thread. */
tako_err api_node_subscribe(node *n, const api_subscription *sub,
                            tako_errbuf *e);
/* node_host.progress */
void api_progress(void *ctx);
void api_waits_close(tako_db *db, bool closed);

/* ---- attachments (attach.c, attachment.c) -------------------------------------------- */

/* With the writer held, between transactions: removes a piece of what nobody
 * refers to any more. all: until nothing is left. */
void api_attachments_collect(tako_db *db, bool all);
/* system:blobs, as JSON objects. */
tako_err api_attachments_put(store_conn *c, tako_buf *json, tako_errbuf *e);
/* node_host.fetches */
bool api_attachments_fetched(void *ctx);

/* ---- system collections (system.c, status.c) ---------------------------------------- */

/* query_host.system; ctx: the tako_db */
tako_err api_system(void *ctx, store_conn *c, tako_slice name, tako_buf *docs,
                    tako_errbuf *e);
/* Members of a JSON object. The second with sync.gate or sync.mutex held. */
void api_status_facts(const store_facts *f, tako_buf *out);
void api_status_node(const api_sync *s, tako_buf *out);
/* Links, peers, subscriptions, from the loop. TAKO_BUSY */
tako_err api_status_sync(tako_db *db, tako_buf *out, tako_errbuf *e);

/* ---- the handle (db.c) --------------------------------------------------------------- */

typedef struct api_error_text {
    uint64_t thread;
    uint64_t used;
    bool shown; /* its thread may hold the text */
    char text[sizeof((tako_errbuf){ 0 }.text)];
} api_error_text;

typedef struct api_errors {
    sys_mutex *mutex;
    uint64_t tick;
    api_error_text *at[TAKO_ERROR_THREADS_MAX];
} api_errors;

struct tako_db {
    tako_env env;
    obs_log log;
    tako_files files;
    uint64_t busy_wait_ms;
    store *store;
    query_host host; /* of all connections */
    _Atomic int64_t settings[SETTINGS];
    bool settings_set; /* by the writer's transaction; its holder alone */

    api_lock writer;
    api_queries writer_queries;
    /* Even; odd while a commit is on its way, when no snapshot may be taken
     * for the last one. */
    atomic_uint_fast64_t epoch;
    atomic_uint_fast64_t commit; /* the last one, where the epoch is even */

    api_readers readers;
    api_observers observers;
    api_sync sync;
    api_errors errors;
    api_requests requests;

    sys_mutex *tx_mutex;
    tako_tx *txs; /* open ones */
};

/* Keeps the detail for tako_last_error and returns err. */
tako_err api_fail(tako_db *db, tako_err err, const tako_errbuf *e);
/* Makes `text` a string for tako_free. TAKO_NOMEM */
tako_err api_text_out(tako_slice text, char **out);
/* The same without a copy: begin, append, end. */
void api_text_begin(tako_buf *b);
tako_err api_text_end(tako_buf *b, char **out);
/* Open transactions, rolled back when the database closes. */
void api_txs_end(tako_db *db);

#endif /* TAKO_API_API_H */
