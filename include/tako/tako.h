// SPDX-License-Identifier: Apache-2.0
/* tako.h -- the whole public interface of libtako.
 *
 * If a name is not in this file it is not part of the library's promise and
 * may change in any release.
 *
 * RULES THAT HOLD FOR EVERY FUNCTION, so that they are not repeated:
 *   - a function that can fail returns tako_err; 0 (TAKO_OK) is success;
 *   - any of them may return TAKO_NOMEM, TAKO_IO, TAKO_FULL (the disk),
 *     TAKO_CORRUPT (what is on it), and TAKO_MISUSE (a NULL where none is
 *     allowed, options of another size); only other errors, and other reasons
 *     for these, are listed with each function;
 *   - output parameters come last and are untouched on failure unless the
 *     comment says otherwise;
 *   - strings and bytes passed in are copied before the call returns; strings
 *     are UTF-8 and end in NUL;
 *   - *_free, *_close and *_stop of NULL are no-ops;
 *   - a tako_db may be used from any thread at any time; a tako_result, a
 *     tako_tx by one thread at a time;
 *   - after a failure tako_last_error(db) has the detail (what and where) for
 *     the calling thread's last failed call on that database; TAKO_MISUSE for
 *     a NULL leaves it as it was.
 *
 * CAVEATS
 *   - One process has a database open at a time; tako_open says TAKO_BUSY to
 *     the second. Two handles in one process on one file likewise.
 *   - While a tako_tx is open, other writers wait: keep transactions short.
 *   - A tako_result of a SELECT reads from a snapshot, which holds back the
 *     cleaning of the write-ahead log: read it to its end, or free it. One of
 *     a transaction counts as a use of that transaction: by one thread at a
 *     time with it; it may be read after the transaction's end.
 *   - Copying a database file by hand is noticed at the next open and costs
 *     the copy a new identity; use tako_backup().
 *   - A transaction that ended with TAKO_IO or TAKO_FULL is not there, and is
 *     told to nobody. Where a sync failed it stands in the log until another
 *     is written over it: if the process dies before, it may be there, whole,
 *     when the database is opened again.
 *   - Callbacks (observers, status) run on tako's own threads: return soon,
 *     and do not close the database from one. */
#ifndef TAKO_H
#define TAKO_H

#include <stddef.h>
#include <stdint.h>

#include "tako/tako_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tako_db tako_db;
typedef struct tako_tx tako_tx;
typedef struct tako_result tako_result;

/* Small ids are structs, so that the compiler refuses one for another. */
typedef struct tako_sub {
    uint32_t id;
} tako_sub;
typedef struct tako_observer {
    uint32_t id;
} tako_observer;

/* ---- open, close ---------------------------------------------------------- */

typedef enum tako_durability {
    TAKO_DURABILITY_NORMAL = 0, /* commits survive a killed process */
    TAKO_DURABILITY_FULL = 1,   /* and power loss: each is synced to disk */
} tako_durability;

typedef enum tako_level {
    TAKO_LEVEL_ERROR = 0,
    TAKO_LEVEL_WARN = 1,
    TAKO_LEVEL_INFO = 2,
    TAKO_LEVEL_DEBUG = 3,
} tako_level;

/* One event; `fields` is a JSON object. From any thread. Among them
 * "actor_renewed" (this file was copied or rolled back, and took another name),
 * "clock_ahead" (a peer's clock is minutes before ours),
 * "update_lost_to_a_removal", "two_contents_under_one_dot": of the last two
 * system:conflicts has what and where. */
typedef void tako_log_fn(void *ctx, tako_level level, const char *event,
                         const char *fields);

typedef struct tako_open_opts {
    size_t size;      /* = sizeof(tako_open_opts): later versions add */
    const char *path; /* required; the directory must exist */
    int must_exist;   /* 1: do not make a new database */
    tako_durability durability;
    uint32_t busy_wait_ms; /* for another process to let go */
    tako_log_fn *log;      /* NULL: silence */
    void *log_ctx;
} tako_open_opts;
#define TAKO_OPEN_OPTS_INIT                                                    \
    {                                                                          \
        sizeof(tako_open_opts), NULL, 0, TAKO_DURABILITY_NORMAL, 2000, NULL,   \
            NULL                                                               \
    }

/* TAKO_NOTFOUND (must_exist, and there is none), TAKO_BUSY (another process,
 * or this one, has it open), TAKO_CORRUPT (not a tako database),
 * TAKO_UNSUPPORTED (a newer format), TAKO_IO (no such folder, no permission).
 * On failure *out is NULL and detail (NULL, or a buffer of detail_cap bytes)
 * gets the reason. */
TAKO_API tako_err tako_open(const tako_open_opts *opts, tako_db **out,
                            char *detail, size_t detail_cap);

/* Stops sync and observers, waits for running callbacks, checkpoints. Open
 * transactions are rolled back; results must be freed before. No other thread
 * may be in a call on db, nor make one later. */
TAKO_API void tako_close(tako_db *db);

/* Detail of this thread's last failed call on db; never NULL, "" when there is
 * none and for a db of NULL. Valid until the thread's next call on db. */
TAKO_API const char *tako_last_error(tako_db *db);

/* "0.1.0" */
TAKO_API const char *tako_version(void);

/* ---- statements -------------------------------------------------------------- */

/* Parameters: a JSON object, {"name": value}, or NULL. */
typedef struct tako_params {
    const char *json; /* NUL-terminated, or NULL */
    const void *cbor; /* else a deterministic CBOR map of cbor_len bytes */
    size_t cbor_len;
} tako_params;

/* Runs one statement of TQL (docs/query.md); a mutation is one transaction of
 * its own. params may be NULL. *out (NULL allowed for mutations) is to be
 * freed.
 *
 * TAKO_INVALID      the statement (line and column in the detail), a parameter,
 *                   or BEGIN, COMMIT, ROLLBACK: use tako_tx_begin and the rest
 * TAKO_UNSUPPORTED  a statement or clause that the language has and this
 *                   version does not carry out yet
 * TAKO_EXISTS       INSERT of an _id that is there, CREATE of an index that is
 * TAKO_NOTFOUND     DROP of an index that is not there
 * TAKO_DENIED       EVICT without FORCE of documents that were changed here
 * TAKO_LIMIT        a statement, a document, a result beyond docs/query.md
 * TAKO_BUSY         a transaction of the program writes for longer than the
 *                   opening's busy_wait_ms, or too many results are open
 * TAKO_TIMEOUT      it ran for longer than the setting statement_timeout_ms
 * TAKO_CANCELED     tako_cancel() was called for it
 * TAKO_MISUSE       a SELECT with out NULL; json and cbor both given
 *
 * A statement that fails, for whatever reason, has changed nothing. */
TAKO_API tako_err tako_execute(tako_db *db, const char *statement,
                               const tako_params *params, tako_result **out);

/* A mutation whose result is not needed: params_json is a JSON object or NULL;
 * *commit (commit may be NULL) gets the commit number, 0 when nothing changed,
 * for tako_wait(). Errors as tako_execute(); TAKO_MISUSE for a SELECT. */
TAKO_API tako_err tako_run(tako_db *db, const char *statement,
                           const char *params_json, uint64_t *commit);

/* The next row of a SELECT, or of a mutation with RETURNING: TAKO_OK, or
 * TAKO_NOTFOUND at the end, also at the first call for a mutation without.
 * TAKO_TIMEOUT, TAKO_CANCELED: as tako_execute() */
TAKO_API tako_err tako_result_next(tako_result *r);
/* The current row, valid until the next call of tako_result_next or
 * tako_result_free on r. TAKO_MISUSE when there is none: before the first
 * tako_result_next and after the last. len of the second may be NULL. */
TAKO_API tako_err tako_result_cbor(tako_result *r, const void **data,
                                   size_t *len);
TAKO_API tako_err tako_result_json(tako_result *r, const char **json,
                                   size_t *len);
/* What a mutation did: how many documents it touched, their ids as a JSON
 * array (valid until r is freed), and the commit number: 0 inside a
 * transaction, or when nothing changed. */
TAKO_API uint64_t tako_result_mutated(const tako_result *r);
TAKO_API const char *tako_result_ids_json(tako_result *r);
TAKO_API uint64_t tako_result_commit(const tako_result *r);
/* 1 when the statement gives rows, be they none: a SELECT and what else reads,
 * or a mutation with RETURNING, which has what it did as well. */
TAKO_API int tako_result_has_rows(const tako_result *r);
/* What may be a slip in a statement that is right, as a SELECT of a collection
 * that there is not (documents may arrive later); "" mostly, never NULL. Valid
 * until r is freed. */
TAKO_API const char *tako_result_note(const tako_result *r);
TAKO_API void tako_result_free(tako_result *r);

/* Has the request of this number, as system:requests gives it (0: all that run
 * now), stop soon, with TAKO_CANCELED for whoever waits for it. From any
 * thread. TAKO_NOTFOUND: it does not run (any more). */
TAKO_API tako_err tako_cancel(tako_db *db, uint64_t request);
/* The number that the calling thread's next statement on db will have, so that
 * another thread can cancel it; 0: too many threads were promised one. */
TAKO_API uint64_t tako_request_next(tako_db *db);

/* One document by _id (JSON text of the id, as "\"01H...\"" or "7"), as JSON
 * with its _id. *json is to be freed with tako_free. TAKO_NOTFOUND (also when
 * there is no such collection), TAKO_INVALID (id_json is no JSON), TAKO_BUSY */
TAKO_API tako_err tako_get(tako_db *db, const char *collection,
                           const char *id_json, char **json);
TAKO_API void tako_free(void *ptr);

/* ---- transactions ---------------------------------------------------------------- */

#define TAKO_TX_READ_ONLY 1u

/* Serializable. A writing transaction waits for the one before it
 * (TAKO_BUSY after the opening's busy_wait_ms). Read-only ones see one
 * snapshot and wait for nobody (TAKO_BUSY: too many results and read-only
 * transactions are open). TAKO_MISUSE (unknown flags). While a thread's own
 * writing transaction is open, it writes through that alone: tako_execute()
 * would wait for it in vain. */
TAKO_API tako_err tako_tx_begin(tako_db *db, uint32_t flags, tako_tx **out);
/* As tako_execute(). A statement that fails leaves the transaction as it was
 * before it. A SELECT of a writing transaction sees its writes and is read to
 * its end at once. TAKO_INVALID also for a mutation in a read-only one. */
TAKO_API tako_err tako_tx_execute(tako_tx *tx, const char *statement,
                                  const tako_params *params, tako_result **out);
/* Ends the transaction, whatever is returned; frees tx. commit may be NULL; it
 * gets 0 when nothing changed. */
TAKO_API tako_err tako_tx_commit(tako_tx *tx, uint64_t *commit);
TAKO_API void tako_tx_rollback(tako_tx *tx);

/* ---- observers ----------------------------------------------------------------------- */

/* The whole result as a JSON array, first at once and then after commits
 * (local or merged) that changed the result. Of the system collections only
 * system:conflicts can be observed: what merging could not keep
 * (docs/merge.md) comes as an event so. Deliveries to one observer never
 * overlap; commits that come while one runs are answered by one more, of the
 * latest state. rows_json ends in NUL and is gone when fn returns; out may be
 * NULL. TAKO_INVALID (the statement, or no SELECT), TAKO_UNSUPPORTED,
 * TAKO_LIMIT, TAKO_BUSY */
typedef void tako_observe_fn(void *ctx, const char *json, size_t len,
                             uint64_t commit);
TAKO_API tako_err tako_observe(tako_db *db, const char *select,
                               const tako_params *params, tako_observe_fn *fn,
                               void *ctx, tako_observer *out);

/* The same, but fn gets what changed since its last call, as one JSON object.
 * Each is of one commit, and holds also what was changed by more than one.
 *
 *   {"commit":7,"reset":false,
 *    "inserted":[{"at":2,"row":{...}}],
 *    "updated":[{"at":0,"old":{...},"new":{...}}],
 *    "removed":[{"at":1,"row":{...}}],
 *    "moved":[{"from":3,"to":1}]}
 *
 * All keys are always there. reset: true in the first call and whenever the
 * difference cannot be told (a result that is too large to be kept, too many
 * changes at once): forget all rows, then apply; all are "inserted".
 *
 * A SELECT of one collection with nothing but WHERE: its result is a set. There
 * is no "at", nothing moves, and nothing but the documents that changed is
 * looked at. A row is found by its _id, or, if it is not selected, by being
 * equal ("old", or the removed "row").
 *
 * Any other (ORDER BY, LIMIT, aggregates, DISTINCT, ...) is a list. To go from
 * the old list to the new one: (1) take out the rows at each removed "at" and
 * moved "from", which are places in the old list, from the last to the first;
 * (2) put in those inserted, and moved, at "at" and "to", which are places in
 * the new list, from the first to the last; (3) the row at each updated "at",
 * a place in the new list, becomes "new". A row that moved may also be
 * updated. Rows are the same when their _id is; rows without one when they
 * are equal, and what is left of those is paired in order.
 *
 * flags: 0, or TAKO_OBSERVE_ASKED: after the first call fn is called once for
 * each tako_observer_next(), at the next commit that changes something, or at
 * once when there was one. What happens in between is told in one. */
#define TAKO_OBSERVE_ASKED 1u
TAKO_API tako_err tako_observe_diff(tako_db *db, const char *select,
                                    const tako_params *params, uint32_t flags,
                                    tako_observe_fn *fn, void *ctx,
                                    tako_observer *out);
/* Asks for the next delivery; from any thread, also from the callback. Asking
 * twice before it came asks once. TAKO_NOTFOUND */
TAKO_API tako_err tako_observer_next(tako_db *db, tako_observer observer);

/* After it returns the callback does not run any more (when called from the
 * callback itself: after that returns). TAKO_NOTFOUND */
TAKO_API tako_err tako_unobserve(tako_db *db, tako_observer observer);

/* ---- attachments ----------------------------------------------------------------------- */

/* Large contents beside the documents (docs/attachments.md): tako_attach()
 * keeps a content and gives its token, a JSON object. A statement writes the
 * token into a document, as any value:
 *
 *   UPDATE menu SET photo = :t WHERE _id = 'taco'
 *
 * Tokens travel with their documents; contents are fetched when they are
 * opened (or by themselves: ALTER SYSTEM SET attachment_fetch = 1). Equal
 * contents are kept once. A content that no document here refers to goes after
 * attachment_grace_s. Nothing is ever held in memory whole. */
typedef struct tako_attachment tako_attachment;

/* Gives the next bytes: at most cap into buf, and how many; 0 at the end, -1
 * when it fails. */
typedef long tako_source_fn(void *ctx, void *buf, size_t cap);

typedef struct tako_attach_opts {
    size_t size;           /* = sizeof(tako_attach_opts) */
    const char *name;      /* of the file, for people; NULL: none */
    const char *type;      /* as "image/png"; NULL: none */
    const char *meta_json; /* an object of the program's own; NULL: none */
} tako_attach_opts;
#define TAKO_ATTACH_OPTS_INIT                                                  \
    {                                                                          \
        sizeof(tako_attach_opts), NULL, NULL, NULL                             \
    }

/* Keeps a content. opts may be NULL. *token_json is to be freed with
 * tako_free. The source is called on this thread, and other writers go on
 * meanwhile. TAKO_LIMIT (the content, the name, type or meta are too long),
 * TAKO_INVALID (opts), TAKO_CANCELED (the source failed), TAKO_BUSY */
TAKO_API tako_err tako_attach(tako_db *db, tako_source_fn *source, void *ctx,
                              const tako_attach_opts *opts, char **token_json);
/* The same of bytes in memory. */
TAKO_API tako_err tako_attach_bytes(tako_db *db, const void *data, size_t len,
                                    const tako_attach_opts *opts,
                                    char **token_json);
/* The token at a path of a document, as "photo" or "dish.`main photo`"; to be
 * freed with tako_free. TAKO_NOTFOUND (no such document, or nothing at the
 * path), TAKO_INVALID (id_json, the path, or what is there is no attachment) */
TAKO_API tako_err tako_attachment_token(tako_db *db, const char *collection,
                                        const char *id_json, const char *path,
                                        char **token_json);

/* Fetches what is not here, from whoever has it, until it is here. */
#define TAKO_ATTACHMENT_FETCH 1u

/* A content to be read, here or not. One thread at a time. To be closed
 * before the database is. TAKO_INVALID (no token), TAKO_LIMIT (too many are
 * being fetched), TAKO_BUSY, TAKO_MISUSE (unknown flags) */
TAKO_API tako_err tako_attachment_open(tako_db *db, const char *token_json,
                                       uint32_t flags, tako_attachment **out);
/* What is being fetched goes on. */
TAKO_API void tako_attachment_close(tako_attachment *a);

/* Up to cap bytes from an offset; *got is 0 at the end of the content, and may
 * be less than cap before it. TAKO_UNREACH: that part is not here (yet): the
 * detail says how much is. TAKO_CORRUPT: the disk gave other bytes back. */
TAKO_API tako_err tako_attachment_read(tako_attachment *a, uint64_t offset,
                                       void *buf, size_t cap, size_t *got);

typedef enum tako_attachment_state {
    TAKO_ATTACHMENT_HERE = 0,        /* whole */
    TAKO_ATTACHMENT_FETCHING = 1,    /* from neighbours that have it */
    TAKO_ATTACHMENT_UNAVAILABLE = 2, /* wanted, and nobody linked has it */
    TAKO_ATTACHMENT_ABSENT = 3,      /* not whole, and not being fetched */
} tako_attachment_state;

typedef struct tako_attachment_info {
    uint64_t bytes; /* of the content */
    uint64_t here;  /* of these; exact at 0 and at the end */
    tako_attachment_state state;
    uint32_t sources; /* neighbours that it is fetched from */
} tako_attachment_info;
/* TAKO_BUSY (sync waits for a transaction of this program) */
TAKO_API tako_err tako_attachment_status(tako_attachment *a,
                                         tako_attachment_info *out);
/* Waits until it is here whole. 0 ms: only looks. TAKO_TIMEOUT, with how much
 * is here in the detail; TAKO_UNREACH: it is not being fetched, or the time is
 * over and nobody linked has it. */
TAKO_API tako_err tako_attachment_wait(tako_attachment *a, uint32_t timeout_ms);

/* ---- sync ------------------------------------------------------------------------------ */

typedef struct tako_sync_opts {
    size_t size;      /* = sizeof(tako_sync_opts) */
    const char *name; /* of this device, for people; NULL: a part of its key */
    const void *secret; /* the mesh secret: 16 random bytes or more; required */
    size_t secret_len;
    const char *const *listen; /* "tcp://HOST:PORT" ..., port 0: any */
    size_t listen_count;
    const char *const *peers; /* to dial, and redial for ever */
    size_t peers_count;
    int archive; /* 1: no document leaves this device by itself, so that others
                  * may let go of what it has */
    int read_only; /* 1: this device may not write. Its grant says so, and others
                    * refuse what it changed. Local writes are made all the same
                    * (nobody can judge them here while it is alone), show here
                    * until they meet somebody, and then go: what the document
                    * showed is in system:quarantine, and it is again as others
                    * have it. Write it again from there once this device may.
                    * What is written here never counts as kept by anybody, though
                    * a peer that refused it acknowledges that it came; and nobody
                    * counts this device as a keeper. */
} tako_sync_opts;
#define TAKO_SYNC_OPTS_INIT                                                    \
    {                                                                          \
        sizeof(tako_sync_opts), NULL, NULL, 0, NULL, 0, NULL, 0, 0, 0          \
    }

/* TAKO_INVALID (an address, the secret, the name), TAKO_EXISTS (a peer named
 * twice), TAKO_LIMIT (too many of something), TAKO_IO (cannot listen),
 * TAKO_BUSY (a transaction is open), TAKO_MISUSE (already started) */
TAKO_API tako_err tako_sync_start(tako_db *db, const tako_sync_opts *opts);
TAKO_API void tako_sync_stop(tako_db *db);
/* The address a listener got, by its place in opts.listen; to be freed with
 * tako_free. TAKO_NOTFOUND (also when sync is not running) */
TAKO_API tako_err tako_sync_address(tako_db *db, size_t index, char **address);
/* Adds or drops a peer address while sync runs; TAKO_MISUSE when it does not.
 * TAKO_INVALID (the address), TAKO_EXISTS, TAKO_LIMIT; removing:
 * TAKO_NOTFOUND; TAKO_BUSY (sync waits for a transaction of this program) */
TAKO_API tako_err tako_peer_add(tako_db *db, const char *address);
TAKO_API tako_err tako_peer_remove(tako_db *db, const char *address);

/* What this device wants from others: "SELECT * FROM c [WHERE ...]". Not kept
 * over a restart: subscribe after each open. May come before sync starts. out
 * may be NULL. TAKO_INVALID (the statement, a parameter, or no subscription),
 * TAKO_UNSUPPORTED, TAKO_LIMIT, TAKO_BUSY; dropping: TAKO_NOTFOUND, TAKO_BUSY */
TAKO_API tako_err tako_subscribe(tako_db *db, const char *select,
                                 const tako_params *params, tako_sub *out);
/* The same; flags: 0, or TAKO_SUBSCRIBE_KEEP: a document that stops matching
 * does not leave but stays here, as it was last. TAKO_MISUSE (unknown flags) */
#define TAKO_SUBSCRIBE_KEEP 1u
TAKO_API tako_err tako_subscribe_with(tako_db *db, const char *select,
                                      const tako_params *params, uint32_t flags,
                                      tako_sub *out);
/* A document that matched a subscription of this device and matches none any
 * more, because it was changed or the subscription was dropped, leaves: its
 * content goes as soon as another device says that it keeps it, and a marker
 * stays (docs/sync.md). Where no subscription is left nothing leaves. */
TAKO_API tako_err tako_unsubscribe(tako_db *db, tako_sub sub);

/* Waits until a peer (its name, or its key in hex; NULL: any one) has
 * acknowledged everything up to `commit` that it is interested in. A peer
 * that is linked and wants nothing acknowledges all. A peer that is named may
 * be some devices away: then until it is known to have on its disk all
 * documents of this commit, as they are now. 0 ms: only looks.
 * TAKO_TIMEOUT, TAKO_CLOSED (sync is not running, or is stopped meanwhile) */
TAKO_API tako_err tako_wait(tako_db *db, uint64_t commit, const char *peer,
                            uint32_t timeout_ms);

typedef struct tako_wait_opts {
    size_t size; /* = sizeof(tako_wait_opts) */
    uint64_t commit;
    const char *peer; /* as tako_wait() */
    uint32_t keepers; /* 0: acknowledged is enough */
    uint32_t timeout_ms;
} tako_wait_opts;
#define TAKO_WAIT_OPTS_INIT                                                    \
    {                                                                          \
        sizeof(tako_wait_opts), 0, NULL, 0, 0                                  \
    }

/* Waits until so many devices (with peer: that one) are known to keep the
 * documents of this commit as they are now: on their disks, for a subscription
 * of their own. They may be some devices away; each is counted once. Of those
 * behind one neighbour 8 are told of, and who is named as peer. Takes a second
 * or two for each device on the way longer than the change itself. Errors as
 * tako_wait(); TAKO_MISUSE (options) */
TAKO_API tako_err tako_wait_for(tako_db *db, const tako_wait_opts *opts);

/* State for people and programs, as one JSON object, to be freed with
 * tako_free. Programs may rely on these keys; others may come and go.
 *
 *   version                    of the library
 *   documents, tombstones      live ones; deleted ones that are remembered
 *   evicted                    forgotten here, and remembered as such
 *   collections                how many
 *   file_bytes, wal_bytes, free_bytes   free_bytes: what tako_compact() gives
 *   attachments_stored, attachment_bytes   contents, and how much of the file
 *   commit                     the last commit's number
 *   actor                      this database's identity as a writer, hex
 *   syncing                    whether sync runs; while it does also:
 *   name, key                  this device's; the key in hex
 *   listeners                  addresses, as tako_sync_address() gives them
 *   peers                      of each address that is dialled: address,
 *                              linked, failures (since the last link), and
 *                              while not linked: retry_ms, error
 *   links                      of each: address, dialled (by us), state
 *                              ("dialling", "handshake", "up", "closing"),
 *                              since_ms (how long in it); once proven: peer,
 *                              key; when up: rtt_ms, acknowledged (the commit
 *                              up to which the peer has what it wants),
 *                              waiting_documents, bytes_in, bytes_out,
 *                              clock_ahead_ms (the peer's, before ours),
 *                              serves (what it wants: statement, in_sync)
 *   clock                      while sync runs: state (`confirmed` or
 *                              `contradicted` by two neighbours or an archive,
 *                              `unconfirmed`), votes, wrong_ms
 *   leaving                    while sync runs: count of documents that wait
 *                              for a keeper, since (wall time in ms, of the
 *                              one that waits longest), stale (that stay, see
 *                              TAKO_SUBSCRIBE_KEEP)
 *   commits                    while sync runs, of the last 16 that were made
 *                              here since it started, newest first: commit,
 *                              kept (how many devices are known to keep it,
 *                              as tako_wait_for() counts them), keepers (names
 *                              of 8, or keys), have (how many have it at all)
 *   attachments                fetching, passing (on, for others), parts_in,
 *                              parts_out, bytes_in, bytes_out, parts_again
 *                              (came twice), parts_bad (were refused)
 *   subscriptions              of each: id, statement; while sync runs also
 *                              in_sync (with one peer at least), state, and
 *                              peers (peer, in_sync, refused, documents,
 *                              covers, mode). state is what is proven:
 *                              "complete" (all that the peer complete_with,
 *                              which holds all of it, had at complete_ms, by
 *                              our clock), "behind" (behind_documents and
 *                              behind_bytes came and wait to be whole; or no
 *                              such peer closed yet), "catching up" (a first
 *                              download: transactions may show in part),
 *                              "loose" (no peer holds all of it: likewise),
 *                              "waiting" (no peer)
 *
 * links and subscriptions are always there. TAKO_BUSY (sync waits for a
 * transaction of this program) */
TAKO_API tako_err tako_status(tako_db *db, char **json);

/* ---- care --------------------------------------------------------------------------------- */

typedef void tako_text_fn(void *ctx, const char *text);
typedef void tako_progress_fn(void *ctx, uint64_t done, uint64_t all);

/* Canonical hash, 64 hex digits, of the live documents of a collection (NULL:
 * of all), and how many they are (documents may be NULL): equal on all devices
 * with equal states, that is, which have heard of the same changes. It covers
 * what merging needs, not only what queries show: the same file imported on two
 * devices apart is two histories, and two hashes. TAKO_BUSY */
TAKO_API tako_err tako_hash(tako_db *db, const char *collection, char hex[65],
                            uint64_t *documents);
/* Reports each finding to fn (may be NULL); TAKO_CORRUPT when there are any.
 * TAKO_BUSY */
TAKO_API tako_err tako_check(tako_db *db, tako_text_fn *fn, void *ctx);
/* Online copy into a new file, for tako_restore(). fn may be NULL.
 * TAKO_EXISTS (the file), TAKO_IO (it cannot be made), TAKO_BUSY */
TAKO_API tako_err tako_backup(tako_db *db, const char *to, tako_progress_fn *fn,
                              void *ctx);
/* Makes a database from a backup, checked, with an identity of its own; it
 * must not exist yet. detail as in tako_open. TAKO_EXISTS, TAKO_NOTFOUND (no
 * backup), TAKO_CORRUPT (no backup, or a damaged one), TAKO_UNSUPPORTED */
TAKO_API tako_err tako_restore(const char *from, const char *to, char *detail,
                               size_t detail_cap);
/* Gives free space back to the disk; writes the whole file anew, while other
 * writers wait. TAKO_BUSY (a transaction is open) */
TAKO_API tako_err tako_compact(tako_db *db);
/* Names of the collections as a JSON array, to be freed with tako_free. */
TAKO_API tako_err tako_collections(tako_db *db, char **json);

#ifdef __cplusplus
}
#endif

#endif /* TAKO_H */
