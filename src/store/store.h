// SPDX-License-Identifier: Apache-2.0
/* STORE -- documents on disk: one SQLite file per database, in WAL mode.
 *
 * A store is one open database file: the writer connection, which also alone
 * checkpoints, the actor, the clock and the commit number (lsn). A conn is
 * one SQLite connection: the writer's, or a reader's. Nothing here locks: the
 * caller (api) lets one thread at a time use the store and its writer conn,
 * and one thread at a time each reader conn. Readers never wait for writers.
 *
 * Layout (docs/storage.md): per collection a table c<N>(row INTEGER PRIMARY
 * KEY, id BLOB, version BLOB, lsn INTEGER, body BLOB, meta BLOB). body is CBOR
 * of what shows, without _id; NULL for a tombstone. For an _id that is a ULID
 * text, row is its first 62 bits + 1 (positive) and id its other 9 bytes; all other ids (and
 * the rare ULID whose row is taken) have negative rows and the CBOR of the _id in
 * id, under a partial unique index. Of an evicted document body is NULL too,
 * and meta a marker. */
#ifndef TAKO_STORE_STORE_H
#define TAKO_STORE_STORE_H

#include <sqlite3.h>

#include "base/files.h"
#include "crdt/delta.h"
#include "crdt/doc.h"
#include "crdt/wall.h"

#define STORE_FORMAT 1u /* of the file; a newer one is refused */

typedef struct store store;
typedef struct store_conn store_conn;

typedef enum store_durability {
    STORE_NORMAL, /* survives a killed process */
    STORE_FULL,   /* survives power loss: each commit is synced */
} store_durability;

typedef struct store_opts {
    const tako_env *env;
    const tako_files *files;
    const char *path;
    const char *vfs; /* SQLite's, by name; NULL: the process's own */
    bool create;     /* make the file when absent */
    store_durability durability;
    uint32_t lock_wait_ms; /* for another process to let go */

    /* Called for each new SQLite connection before it touches a table, to
     * register the functions that indexes use. May be NULL. */
    tako_err (*on_connect)(void *ctx, sqlite3 *db);
    void *on_connect_ctx;
} store_opts;

/* Opens (or creates, mode 0600) a database; takes the lock; notices copies
 * by the seal and lost commits by the dirty mark (SYNC.md 1) and then mints a
 * new actor and feed incarnation before anything else.
 *
 * TAKO_NOTFOUND no file and not create   TAKO_BUSY another process has it
 * TAKO_CORRUPT not a database of ours    TAKO_UNSUPPORTED a newer format
 * TAKO_IO, TAKO_FULL, TAKO_NOMEM. *out is NULL on failure. */
tako_err store_open(const store_opts *opts, store **out, tako_errbuf *e);
/* Checkpoints. Every reader must be closed before. NULL is a no-op. */
void store_close(store *s);

/* ---- connections --------------------------------------------------------- */

store_conn *store_writer(store *s);
tako_err store_reader_open(store *s, store_conn **out, tako_errbuf *e);
void store_reader_close(store_conn *c);
/* Lets a reader read through a map of the file (up to 256 MB of it), or gives
 * the map back; between statements. */
void store_reader_map(store_conn *c, bool on);
/* Pages that a reader got from the file by read() since the last call. */
unsigned store_reader_missed(store_conn *c);
sqlite3 *store_conn_db(store_conn *c);
/* A prepared statement from the connection's cache, reset and unbound; give
 * it back with store_done(). NULL: e has the reason. */
sqlite3_stmt *store_sql(store_conn *c, const char *sql, tako_errbuf *e);
void store_done(store_conn *c, sqlite3_stmt *stmt);

/* A read snapshot on a reader: everything until end sees one commit. Nested
 * calls count. *lsn is that commit (NULL allowed). */
tako_err store_snapshot_begin(store_conn *c, uint64_t *lsn, tako_errbuf *e);
/* The same for who need not know which commit that is, or asks for it later, in
 * a nested call: half of what a short query in it costs. */
tako_err store_snapshot_take(store_conn *c, tako_errbuf *e);
void store_snapshot_end(store_conn *c);

/* ---- identity and facts --------------------------------------------------- */

crdt_actor store_actor(const store *s);
/* Is the present actor this one, or did it take its place in this very file,
 * which was neither copied nor rolled back since? So the device is the same. */
bool store_actor_follows(store *s, crdt_actor former);
/* Has a state with that context events that this file wrote, by any actor? */
tako_err store_has_own(store *s, const crdt_context *context, bool *own,
                       tako_errbuf *e);
uint64_t store_lsn(const store *s);               /* last commit */
const uint8_t *store_incarnation(const store *s); /* 16 bytes, of the feed */

/* No dot of the present actor is above this hlc. */
uint64_t store_own_hlc(const store *s);
/* Not 0: a remote state or delta brought an event of our own actor with this
 * hlc that we never made: this file was rolled back or copied. The next
 * store_begin() then mints a new actor and incarnation by itself, and until
 * then store_dot() refuses with TAKO_BUSY. Better is to roll back, call
 * store_rolled_back() with it, and merge again. */
uint64_t store_foreign_self(const store *s);
/* A new actor and a new incarnation of the feed, now and synced. Outside
 * transactions. */
tako_err store_renew_actor(store *s, tako_errbuf *e);

/* The actor and the incarnation as the connection sees them, for threads that
 * do not hold the writer. */
tako_err store_self(store_conn *c, crdt_actor *actor, uint8_t incarnation[16],
                    tako_errbuf *e);
/* The greatest hlc of an actor that is known here: merged, or, of our own,
 * committed; 0: none. The TAKO_SEEN_ACTORS_MAX actors with the greatest are
 * kept. */
tako_err store_seen_hlc(store_conn *c, crdt_actor actor, uint64_t *hlc);
/* A peer knows of an event of ours: *ours is false when we never committed
 * it, and so were rolled back, or are a copy. True also where that cannot be
 * told: the feed reaches not so far back, or `actor` is not ours any more. */
tako_err store_own_known(store_conn *c, crdt_actor actor, uint64_t hlc,
                         bool *ours);
/* Commits up to this one may have left this database. Any thread. */
void store_note_sent(store_conn *c, uint64_t lsn);

/* A peer knows event `hlc` of ours, which we do not (SYNC.md 1): takes a new
 * actor, and puts under it what was written after that event would have been
 * and cannot have left, so that it no longer claims to have seen it. Outside
 * transactions. *lsn: the commit that did so, 0 none; *redotted documents. */
tako_err store_rolled_back(store *s, uint64_t hlc, uint64_t *lsn,
                           uint64_t *redotted, tako_errbuf *e);

typedef struct store_facts {
    uint64_t documents, tombstones, evicted;
    uint64_t file_bytes, wal_bytes, free_bytes;
    uint64_t blobs, blob_bytes; /* attachments, and what is here of them */
    uint64_t quarantined, lost; /* that wait for somebody to look at them */
    uint32_t collections;
    uint64_t lsn;
    crdt_actor actor;
} store_facts;
tako_err store_facts_read(store_conn *c, store_facts *out, tako_errbuf *e);

/* Small values kept with the database: keys, names, checkpoints. Put inside a
 * transaction joins it, outside is one of its own. TAKO_NOTFOUND */
tako_err store_kv_get(store_conn *c, const char *key, tako_buf *out);
tako_err store_kv_put(store *s, const char *key, tako_slice value);

/* ---- collections ------------------------------------------------------------ */

/* Numbers from 1; names: 1..TAKO_NAME_BYTES_MAX bytes of UTF-8 without
 * control characters, not beginning "system:". find: TAKO_NOTFOUND. create:
 * makes it when absent, inside a transaction. */
tako_err store_coll_find(store_conn *c, tako_slice name, uint32_t *coll);
tako_err store_coll_create(store *s, tako_slice name, uint32_t *coll,
                           tako_errbuf *e);
/* Borrowed until the store closes; empty for an unknown number. */
tako_slice store_coll_name(store_conn *c, uint32_t coll);
uint32_t store_coll_max(store_conn *c); /* greatest number in use */

/* ---- reading ----------------------------------------------------------------- */

typedef struct store_row {
    int64_t row;
    tako_slice id;   /* CBOR of the _id */
    tako_slice body; /* empty for a tombstone, and when evicted */
    tako_slice meta;
    uint8_t version[16]; /* when evicted: of what it was */
    uint64_t lsn;
} store_row;

/* Evicted: no state of a document, and never to be sent as one. */
bool store_row_is_marker(const store_row *row);
/* And so because it left: where a subscription matches it again, even the state
 * that left is taken back. */
bool store_row_is_left(const store_row *row);

/* Slices are borrowed until the next store call on the same conn.
 * TAKO_NOTFOUND: nothing stored under id, not even a tombstone. */
tako_err store_get(store_conn *c, uint32_t coll, tako_slice id, store_row *out);
tako_err store_get_row(store_conn *c, uint32_t coll, int64_t row,
                       store_row *out);

/* Rows of a collection in row order, tombstones included, starting above
 * `after` (INT64_MIN: all). TAKO_NOTFOUND at the end. Borrowed likewise. */
typedef struct store_cursor store_cursor;
tako_err store_scan(store_conn *c, uint32_t coll, int64_t after,
                    store_cursor **out);
tako_err store_scan_next(store_cursor *k, store_row *out);
void store_scan_close(store_cursor *k);

/* The id in a row's two columns as CBOR appended to out, and the way back:
 * what emitted SQL uses for _id. */
tako_err store_id_encode(int64_t row, tako_slice column, tako_buf *out);
/* The row of a ULID id; false when the id has none of its own. */
bool store_id_row(tako_slice id, int64_t *row, uint8_t rest[9]);

/* ---- writing -------------------------------------------------------------------- */

tako_err store_begin(store *s, tako_errbuf *e);
/* *lsn: the commit, 0 when nothing was written. After an error the
 * transaction is rolled back. */
tako_err store_commit(store *s, uint64_t *lsn, tako_errbuf *e);
void store_rollback(store *s);
bool store_in_transaction(const store *s);
/* Whether, since it was asked last, a transaction had so many pages that the
 * heap has some megabytes to give back. */
bool store_shrunk(store *s);
/* Savepoints, for a statement that fails inside an app's transaction. */
tako_err store_savepoint(store *s, tako_errbuf *e);
void store_savepoint_keep(store *s);
void store_savepoint_undo(store *s);

/* The transaction's own dot, reserved durably on first use. Merges of
 * remote states do not use it. */
tako_err store_dot(store *s, crdt_dot *out, tako_errbuf *e);

/* Moves our clock past a remote hlc, within limits; see crdt_clock_observe. */
bool store_observe_hlc(store *s, uint64_t hlc);
/* What neighbours said of their wall clocks: hlcs go by it from now on (clock.c).
 * The next store_begin() may mint a new actor because of it. */
void store_clocks_heard(store *s, const crdt_wall *wall);

/* A new document from a checked CBOR map (without _id), as one fresh state:
 * the fast path. TAKO_EXISTS when an alive one is there; a tombstone is
 * followed by the next generation. TAKO_LIMIT, TAKO_FULL, TAKO_IO, TAKO_NOMEM */
tako_err store_insert(store *s, uint32_t coll, tako_slice id, tako_slice fields,
                      tako_errbuf *e);

/* Loads a document to change it with crdt_*; when there is none, a new empty
 * one. It lives until the next edit or insert or the end of the transaction.
 * store_edit_save writes it back (and does nothing when it did not change);
 * not calling it leaves the stored one as it is. */
tako_err store_edit(store *s, uint32_t coll, tako_slice id, crdt_doc **doc,
                    tako_errbuf *e);
tako_err store_edit_save(store *s, tako_errbuf *e);

/* Merges a whole remote state (hostile bytes: checked here). Of what was
 * evicted here only a newer tombstone is taken; a newer living state sets
 * info->evicted and changes nothing: store_merge_back takes that too. */
tako_err store_merge(store *s, uint32_t coll, tako_slice id, tako_slice meta,
                     tako_slice body, crdt_merge_info *info, tako_errbuf *e);
tako_err store_merge_back(store *s, uint32_t coll, tako_slice id,
                          tako_slice meta, tako_slice body,
                          crdt_merge_info *info, tako_errbuf *e);
/* Applies a remote delta. CRDT_DELTA_NEEDS leaves all as it was. */
tako_err store_merge_delta(store *s, uint32_t coll, tako_slice id,
                           tako_reader *delta, const uint8_t sum_key[16],
                           const crdt_names_in *names,
                           crdt_delta_result *result, crdt_merge_info *info,
                           tako_errbuf *e);

/* What merging lost, oldest first, until it is dropped, or the table, which is
 * bounded, drops it (lost.c). Borrowed until the next call on the connection.
 * TAKO_NOTFOUND: none above `after`. */
typedef struct store_lost {
    uint64_t number; /* from 1; never used again */
    crdt_loss_kind kind;
    uint64_t ms;      /* when it was noticed here */
    uint32_t coll;    /* of the document, */
    tako_slice id;    /* its _id as CBOR, */
    tako_slice path;  /* and a CBOR array of keys in it */
    crdt_dot dot;     /* of the write that is lost, */
    tako_slice value; /* and its value; empty: too long to be kept */
    tako_slice kept;  /* FORGED: the other content, likewise */
} store_lost;
tako_err store_lost_next(store_conn *c, uint64_t after, store_lost *out);
/* Inside a transaction; nothing when there is no such number. */
tako_err store_lost_drop(store *s, uint64_t number, tako_errbuf *e);
/* Whether, since it was asked last, a commit changed that list; with the
 * writer held. */
bool store_lost_changed(store *s);

/* Forgets what a living document holds, here alone: a marker stays, so that
 * neither this state nor an older one comes back by merging.
 * TAKO_NOTFOUND; TAKO_DENIED: it has changes that this file made, by whatever
 * actor, and not force; both leave all as it was. */
tako_err store_evict(store *s, uint32_t coll, tako_slice id, bool force,
                     tako_errbuf *e);

/* The same of a document that leaves (leave.c), whoever changed it. archive: a
 * device that has this state and never lets go; empty: none is known. */
tako_err store_leave(store *s, uint32_t coll, tako_slice id, tako_slice archive,
                     tako_errbuf *e);

/* ---- keepers and what leaves (leave.c, keeper.c) --------------------------- */

typedef enum store_leave_why {
    STORE_CHANGED,      /* a change took it out of the last own subscription */
    STORE_UNSUBSCRIBED, /* that subscription ended */
    STORE_STALE,        /* one of them had KEEP: it stays, as it was */
} store_leave_why;

typedef struct store_leaving {
    uint32_t coll;
    int64_t row;
    uint64_t since_ms; /* wall time */
    store_leave_why why;
} store_leaving;

/* Documents that are to leave. Inside a transaction, or outside of any. */
tako_err store_leaving_put(store *s, const store_leaving *l, tako_errbuf *e);
tako_err store_leaving_remove(store *s, uint32_t coll, int64_t row,
                              tako_errbuf *e);
/* Up to `max` of them after (coll, row), in order, STORE_STALE passed over. */
tako_err store_leaving_list(store_conn *c, uint32_t coll, int64_t row,
                            store_leaving *out, size_t max, size_t *count);
/* TAKO_NOTFOUND */
tako_err store_leaving_find(store_conn *c, uint32_t coll, int64_t row,
                            store_leaving *out);
typedef struct store_leaving_facts {
    uint64_t count, stale;
    uint64_t since_ms; /* of the one that waits longest; 0 none */
} store_leaving_facts;
tako_err store_leaving_count(store_conn *c, store_leaving_facts *out,
                             tako_errbuf *e);

/* What a device said: it keeps all that matches `text` and was here by commit
 * lsn, durably. */
typedef struct store_keeper {
    uint8_t device[32];
    tako_slice text; /* canonical */
    uint64_t lsn;
    bool archive; /* and never lets go */
} store_keeper;

/* lsn 0: not any more. Likewise inside a transaction or outside. */
tako_err store_keeper_put(store *s, const store_keeper *k, tako_errbuf *e);
/* Calls fn for each; what it is given lives during the call. */
tako_err store_keepers(store_conn *c,
                       tako_err (*fn)(void *ctx, const store_keeper *k),
                       void *ctx, tako_errbuf *e);
/* Forgets markers of documents that left before `day`, looking at up to `rows`
 * rows of a collection after *row; *row is INT64_MAX at its end. Inside a
 * transaction. */
tako_err store_markers_reap(store *s, uint32_t coll, uint64_t day,
                            uint32_t rows, int64_t *row, uint64_t *reaped,
                            tako_errbuf *e);

/* What the last commit (or the running transaction) wrote, in order, each
 * document once. Valid until the next store_begin. */
typedef struct store_change {
    uint32_t coll;
    int64_t row;
    uint64_t lsn_before; /* 0: the document is new here */
    bool alive_before, alive;
    bool joined;            /* it is neither what was here nor what came */
    bool jumped;            /* what came is more than one write's on that */
    tako_slice id;          /* of one that was before; empty when new */
    tako_slice meta_before; /* empty when new */
    tako_slice body_before;
    uint8_t version_before[16]; /* zeros when new */
} store_change;
const store_change *store_changes(const store *s, size_t *count);
/* The running transaction merged a document that was here with what came: notes
 * in its change what is true of that. TAKO_NOMEM */
tako_err store_change_came(store *s, uint32_t coll, int64_t row, bool joined,
                           bool jumped);
/* The same one by one, from 16 bytes a change, without the array that
 * store_changes() makes (NULL with *count > 0 means: out of memory). */
size_t store_change_count(const store *s);
void store_change_at(const store *s, size_t i, store_change *out);
/* What the document of change i is now, as store_get_row would say, where it is
 * at hand: of few and small changes. Borrowed from the store until the next
 * transaction. */
bool store_change_now(const store *s, size_t i, store_row *out);
/* The same where the last change was to this document. */
bool store_wrote(const store *s, uint32_t coll, tako_slice id, store_row *out);

/* ---- checkpoints ----------------------------------------------------------------- */

/* How far this database is in the feed of a peer, of what one subscription
 * asks for (SYNC.md 6): all of it up to commit `lsn` was applied here. Or,
 * while a first download runs, the peer's rows up to `row`, and what changes
 * after `lsn` is still to come. */
typedef struct store_checkpoint_at {
    uint8_t incarnation[16]; /* of the peer's feed */
    uint64_t lsn;
    bool streaming;
    int64_t row;
} store_checkpoint_at;

/* By the peer's name and the subscription's canonical text. TAKO_NOTFOUND */
tako_err store_checkpoint_get(store_conn *c, tako_slice peer, tako_slice text,
                              store_checkpoint_at *out);
/* Inside a transaction. The TAKO_CHECKPOINTS_MAX moved last are kept. */
tako_err store_checkpoint_put(store *s, tako_slice peer, tako_slice text,
                              tako_slice collection,
                              const store_checkpoint_at *at, tako_errbuf *e);
/* Forgets those of all subscriptions to a collection. */
tako_err store_checkpoint_drop(store *s, tako_slice collection, tako_errbuf *e);

/* ---- what is complete ------------------------------------------------------- */

/* Of one subscription; see held.c. The text is empty for what this file's
 * former actors wrote, and for what of our own is gone. */
typedef struct store_held {
    tako_slice text;
    tako_slice v, target; /* vectors: 16 bytes of actor, 8 of hlc */
    uint8_t why;          /* the caller's, of a target */
    bool gone;            /* v: own events of documents that went from here; */
    tako_slice archive;   /* of those in `target`, it has the documents */
} store_held;

/* Those of a collection, what of it is gone, and former actors; borrowed for
 * the call. */
tako_err store_held_each(store_conn *c, tako_slice coll,
                         tako_err (*fn)(void *ctx, const store_held *held),
                         void *ctx);
/* The same of rows that store_held_kept() gave. */
tako_err store_held_in(tako_slice kept, tako_slice coll,
                       tako_err (*fn)(void *ctx, const store_held *held),
                       void *ctx);
/* All of them, in a form of its own, borrowed until the next store call. False:
 * they are too many to be at hand, or could not be read. */
bool store_held_kept(store *s, tako_slice *out);
/* Another number whenever a row of them, or who the present actor is, was changed
 * since, in a transaction that ended or not. Any thread. */
uint64_t store_held_moves(const store_conn *c);
/* Inside a transaction. */
tako_err store_held_put(store *s, tako_slice coll, const store_held *held);
/* Appends the ids of this file's former actors, 16 bytes each, oldest first. */
tako_err store_former_actors(store_conn *c, tako_buf *out);
/* Likewise, in a vector as above, those of whose events something is known to be
 * here: up to which one, or up to which the rest was given up. */
tako_err store_former_last(store_conn *c, tako_buf *out);
/* Inside a transaction: gives up what is not here of a former actor, up to that. */
tako_err store_former_give_up(store *s, crdt_dot upto, tako_errbuf *e);
/* The present actor and its last committed hlc (0: none), as c sees them. */
tako_err store_own_last(store_conn *c, crdt_dot *out);

/* ---- feed --------------------------------------------------------------------------- */

/* The first commit after `after`: its lsn and what it touched. TAKO_NOTFOUND:
 * none; TAKO_UNSUPPORTED: the feed no longer reaches back so far. */
typedef struct store_touch {
    uint32_t coll;
    int64_t row;
    uint64_t lsn_before; /* of the document's state before; 0: it was new */
    uint64_t top_before; /* and the greatest hlc that this had seen */
} store_touch;
tako_err store_feed_next(store_conn *c, uint64_t after, tako_arena *a,
                         uint64_t *lsn, store_touch **touched, size_t *count);

/* ---- care ------------------------------------------------------------------------------ */

typedef enum store_fold {
    STORE_FOLD_LONG, /* others wait for the writer: a log that is very long */
    STORE_FOLD_REST, /* nobody does: one that is worth the syncs */
    STORE_FOLD_ALL   /* now; it is emptied if no reader is in the way */
} store_fold;

/* To be called now and then on the writer: folds the log into the file. */
tako_err store_checkpoint(store *s, store_fold fold, tako_errbuf *e);
/* Whether STORE_FOLD_REST would do something. */
bool store_checkpoint_pays(const store *s);
/* The durable dirty mark (SYNC.md 1): set before the first unsynced commit is
 * sent, cleared by store_sync(), which syncs the log. */
tako_err store_mark_dirty(store *s);
tako_err store_sync(store *s);
/* Syncs the log, and leaves the mark as it is. */
tako_err store_flush(store *s);
/* SQLite's integrity check, and each document's version recomputed. Calls
 * report(ctx, text) per finding; *findings counts. */
tako_err store_check(store_conn *c, void (*report)(void *ctx, const char *text),
                     void *ctx, uint64_t *findings, tako_errbuf *e);
/* Online copy to a new file (mode 0600, refused when it exists); opening that
 * copy, or a restored one, mints a new actor. */
tako_err store_backup(store_conn *c, const char *to,
                      void (*progress)(void *ctx, uint64_t done, uint64_t all),
                      void *ctx, tako_errbuf *e);
tako_err store_compact(store *s, tako_errbuf *e);
/* Canonical hash of the live documents of one collection (or, coll 0, of
 * all): the same on every replica with the same states, whatever the order. */
tako_err store_hash(store_conn *c, uint32_t coll, uint8_t out[32],
                    uint64_t *documents, tako_errbuf *e);

/* ---- indexes ------------------------------------------------------------------------------- */

/* The catalogue of indexes; the SQL comes from query's emitter. sql is a whole
 * CREATE INDEX statement for table c<N>. TAKO_EXISTS, TAKO_NOTFOUND */
typedef struct store_index {
    tako_slice name, text; /* text: the statement as the user wrote it */
    uint32_t coll;
} store_index;
tako_err store_index_create(store *s, uint32_t coll, tako_slice name,
                            tako_slice text, const char *sql, tako_errbuf *e);
tako_err store_index_drop(store *s, uint32_t coll, tako_slice name,
                          tako_errbuf *e);
tako_err store_index_list(store_conn *c, tako_arena *a, store_index **out,
                          size_t *count);
/* SQL name of an index of a collection: "i<coll>_<name in hex>". */
void store_index_sql_name(uint32_t coll, tako_slice name, tako_buf *out);

#endif /* TAKO_STORE_STORE_H */
