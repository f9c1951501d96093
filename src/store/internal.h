// SPDX-License-Identifier: Apache-2.0
/* What the files of the store share and nobody else sees. */
#ifndef TAKO_STORE_INTERNAL_H
#define TAKO_STORE_INTERNAL_H

#include <stdatomic.h>

#include "base/check.h"
#include "base/hash.h"
#include "store/graveyard.h"
#include "store/store.h"

#define STORE_APP_ID         0x74616b6f   /* "tako" in the file's header */
#define STORE_STATEMENTS_MAX 96u          /* cached by one connection */
#define STORE_HOT_COLLS      16u          /* with statements of their own */
#define STORE_SAVEPOINTS_MAX 16u          /* nested */
#define STORE_KEEP_BYTES     (256u << 10) /* of a buffer between uses */
#define STORE_REST_BYTES     9u           /* of a ULID beside its row */

/* ---- connections (conn.c) ------------------------------------------------ */

typedef enum coll_stmt_kind {
    COLL_GET,    /* by row */
    COLL_GET_ID, /* by id, among the negative rows */
    COLL_INSERT,
    COLL_UPDATE,
    COLL_STMTS,
} coll_stmt_kind;

/* Columns of COLL_GET, COLL_GET_ID and scans. */
#define ROW_COLUMNS "row, id, version, lsn, body, meta"
enum { COL_ROW, COL_ID, COL_VERSION, COL_LSN, COL_BODY, COL_META };

typedef struct stmt_slot {
    uint64_t hash; /* of the SQL text */
    uint64_t used; /* the connection's tick at its last use */
    sqlite3_stmt *stmt;
    bool busy;
} stmt_slot;

typedef struct coll_stmts {
    uint32_t coll;
    sqlite3_stmt *stmt[COLL_STMTS];
} coll_stmts;

typedef struct coll_entry {
    tako_slice name;  /* empty: not loaded */
    int64_t next_row; /* next negative row, 0 not known; writer only */
} coll_entry;

struct store_conn {
    const tako_env *env;
    store *store;
    sqlite3 *db;
    uint64_t tick;
    stmt_slot cached[STORE_STATEMENTS_MAX];
    coll_stmts hot[STORE_HOT_COLLS]; /* by number modulo size */
    tako_arena names;
    coll_entry *colls; /* by number - 1 */
    size_t coll_count;
    size_t coll_cap;
    tako_buf row; /* the row that was read last */
    unsigned snapshots;
    bool snapshot_own;   /* this BEGIN is the snapshot's */
    bool snapshot_known; /* which commit it shows, was asked */
    uint64_t snapshot_lsn;
};

tako_err conn_open(store *s, store_conn *c, bool writer, tako_errbuf *e);
void conn_close(store_conn *c);
/* Gives back what the cache has beyond its usual size, if it has much; the
 * writer, after a transaction. */
bool conn_shrink(store_conn *c);
/* The code for an SQLite result, with text naming `what` and the file. */
tako_err conn_fail(const store_conn *c, int rc, const char *what,
                   tako_errbuf *e);
tako_err conn_exec(store_conn *c, const char *sql, tako_errbuf *e);
/* Runs a statement without rows from the cache. */
tako_err conn_run(store_conn *c, const char *sql, tako_errbuf *e);
/* Runs a bound statement without rows, and gives it back. */
tako_err conn_step(store_conn *c, sqlite3_stmt *stmt, const char *what,
                   tako_errbuf *e);
/* The first column of the first row as an integer; 0 when NULL or no row. */
tako_err conn_int(store_conn *c, const char *sql, int64_t *out, tako_errbuf *e);
/* A statement of one collection, reset. TAKO_NOTFOUND: no such collection */
tako_err conn_coll_stmt(store_conn *c, uint32_t coll, coll_stmt_kind kind,
                        sqlite3_stmt **out, tako_errbuf *e);
/* Drops the statements of collections with greater numbers. */
void conn_coll_forget(store_conn *c, uint32_t above);
int conn_bind(sqlite3_stmt *stmt, int at, tako_slice bytes);
/* conn_bind, but NULL for empty bytes. */
int conn_bind_or_null(sqlite3_stmt *stmt, int at, tako_slice bytes);
tako_slice conn_column(sqlite3_stmt *stmt, int at);
/* Empties a buffer, giving memory beyond STORE_KEEP_BYTES back. */
void conn_buf_reset(tako_buf *b);

/* ---- ids (id.c) ---------------------------------------------------------- */

typedef struct doc_key {
    tako_slice id; /* CBOR, borrowed */
    bool ulid;     /* row and rest are set */
    int64_t row;
    uint8_t rest[STORE_REST_BYTES];
} doc_key;

/* Checks an _id. TAKO_INVALID, TAKO_LIMIT */
tako_err doc_key_of(tako_slice id, doc_key *out, tako_errbuf *e);

/* ---- reading (read.c) ---------------------------------------------------- */

/* Finds a document. On success the statement stands on its row: the caller
 * resets it. TAKO_NOTFOUND; *taken then tells that another ULID has its row.*/
tako_err row_find(store_conn *c, uint32_t coll, const doc_key *key,
                  sqlite3_stmt **out, bool *taken, tako_errbuf *e);
/* A row as the columns say it, borrowed from the statement; the id is encoded
 * into `id`. TAKO_CORRUPT, TAKO_NOMEM */
tako_err row_read(sqlite3_stmt *stmt, tako_buf *id, store_row *out);

/* ---- the actor (actor.c) ------------------------------------------------- */

/* The one row of table `state`. */
typedef struct actor_state {
    crdt_actor actor;
    uint8_t incarnation[16];
    uint8_t seal[16];
    uint64_t hlc;   /* none above was used by the actor, or observed */
    uint64_t lsn;   /* no commit is above */
    uint64_t since; /* commits above it are the present actor's */
    uint64_t taken; /* own hlcs up to it count as committed */
    bool dirty;
    uint8_t boot[16]; /* of the machine, when dirty */
} actor_state;

void actor_random(const tako_env *env, actor_state *out);
tako_err actor_open(store *s, bool fresh, tako_errbuf *e);
void actor_close(store *s);
/* Makes sure that the next transaction's dot and lsn are reserved. */
tako_err actor_reserve(store *s, tako_errbuf *e);
/* Writes `next` synced and takes it over; outside transactions. */
tako_err actor_save(store *s, const actor_state *next, tako_errbuf *e);

/* Inside a transaction, and with it: the present actor writes no more, because
 * it would claim to have seen what it has not. */
tako_err actor_retire(store *s, tako_errbuf *e);
/* store_renew_actor; hlcs of the new actor up to `taken` are taken. */
tako_err actor_renew(store *s, uint64_t taken, uint64_t whole, tako_errbuf *e);
/* Another actor, whose hlcs begin after `hlc`. */
tako_err actor_restart(store *s, uint64_t hlc, tako_errbuf *e);

/* ---- time (clock.c) ------------------------------------------------------ */

/* By what hlcs go. */
crdt_time clock_time(const store *s);
/* Before a transaction: ends an actor that is ahead of the confirmed time. */
tako_err clock_restart(store *s, tako_errbuf *e);

/* ---- other actors (seen.c) ----------------------------------------------- */

/* Remembers a merged dot of another actor for the end of the transaction. */
tako_err seen_note(store *s, crdt_dot dot);
/* Writes what was noted, inside the transaction. */
tako_err seen_write(store *s, tako_errbuf *e);
void seen_reset(store *s);
/* One actor, outside transactions; nothing for hlc 0. */
tako_err seen_put(store *s, crdt_dot dot, tako_errbuf *e);
/* The greatest own hlc of an actor that this file had. */
tako_err held_former(store *s, crdt_dot last, tako_errbuf *e);
/* A document with this context goes from here, in the open transaction. An
 * archive has it; empty: none is known. */
tako_err held_gone(store *s, tako_slice coll, const crdt_context *context,
                   tako_slice archive, tako_errbuf *e);
void held_forget(store *s); /* something was rolled back, or moved */

/* ---- what merging lost (lost.c) ------------------------------------------ */

/* Notes what a merge into the document lost, with its transaction. */
tako_err lost_note(store *s, uint32_t coll, tako_slice id,
                   const crdt_merge_info *info, tako_errbuf *e);
/* Before the commit: the oldest go. */
tako_err lost_bound(store *s, tako_errbuf *e);

/* ---- changes (change.c) -------------------------------------------------- */

typedef struct change_prior {
    uint64_t lsn;
    uint8_t version[16];
    tako_slice id, meta, body;
    bool joined, jumped;
} change_prior;

typedef struct change_entry {
    int64_t row;
    uint32_t coll_alive; /* coll << 1 | alive */
    uint32_t prior;      /* 1 + index, 0 when the document is new */
} change_entry;

typedef struct change_flip { /* `alive` of an entry, before a savepoint's */
    uint32_t entry;
    bool alive;
} change_flip;

/* What the first entries' documents are now, where that is little: kept so that
 * who is told of the commit need not read it. */
#define CHANGE_NOW_MAX       8u
#define CHANGE_NOW_BYTES_MAX 4096u /* of one */

typedef struct change_now {
    bool kept;
    store_row row;
} change_now;

typedef struct change_view change_view;

typedef struct change_block change_block; /* of bytes, see change.c */

typedef struct change_list {
    const tako_env *env;
    change_block *blocks; /* what was before, and what is now */
    change_now now[CHANGE_NOW_MAX];
    change_entry *entries;
    size_t count, cap;
    change_prior *priors;
    size_t prior_count, prior_cap;
    change_flip *flips;
    size_t flip_count, flip_cap;
    uint32_t *table; /* (coll, row) -> 1 + entry; made when needed */
    size_t table_cap, table_used;
    change_view *view;
} change_list;

typedef struct change_mark {
    size_t count, prior_count, flip_count;
} change_mark;

tako_err change_init(change_list *l, const tako_env *env);
void change_fini(change_list *l);
void change_reset(change_list *l);
change_mark change_here(const change_list *l);
void change_undo(change_list *l, change_mark to);
/* A document that was not stored before this transaction. */
tako_err change_reserve(change_list *l);
void change_new(change_list *l, uint32_t coll, int64_t row, bool alive);
/* One that was, at its first change; `prior` is copied, with what its slices
 * hold. Nothing is recorded before change_old_done. */
tako_err change_old(change_list *l, const change_prior *prior);
void change_old_done(change_list *l, uint32_t coll, int64_t row, bool alive);
/* What the entry added last says of its document: `row` is copied, or, where that
 * is much, not kept. Changed again it is forgotten. */
void change_wrote(change_list *l, const store_row *row);
/* Some row went without an entry. */
void change_gone(change_list *l);
/* One that this transaction changed already. */
tako_err change_again(change_list *l, uint32_t coll, int64_t row, bool alive);

/* ---- the store ----------------------------------------------------------- */

typedef struct store_savepoint_mark {
    change_mark changes;
    size_t coll_count;
} store_savepoint_mark;

typedef struct store_txn {
    bool open;
    tako_err broken; /* the failure that rolled it back */
    bool dotted;
    bool retired;    /* the actor is, when this commits */
    bool ahead_told; /* a clock ahead of ours was logged */
    bool coll_made;
    bool lost; /* table lost was written */
    crdt_dot dot;
    uint64_t lsn;
    size_t coll_count; /* cached at its beginning */
    store_savepoint_mark marks[STORE_SAVEPOINTS_MAX];
    unsigned mark_count;
} store_txn;

/* Where an edit lives: the row as it was, and the tree over it. */
typedef struct edit_memory {
    tako_buf bytes;
    tako_arena arena;
} edit_memory;

/* A document that is being changed. */
typedef struct doc_edit {
    bool open;
    bool stored;
    bool taken;  /* another ULID has its row */
    bool marker; /* it was evicted: doc tells only what was known */
    bool notice; /* it was found to be dead: doc is as if nothing were there */
    uint32_t coll;
    doc_key key;
    int64_t row;
    bool tokens; /* a state that was saved may hold tokens */
    uint64_t lsn;
    uint8_t version[16];
    tako_slice meta, body;
    crdt_doc *doc;
} doc_edit;

/* Where reaping stands, and the day (reap.c). */
typedef struct reaper {
    bool day_known;
    uint64_t day, wall_day; /* as they are on disk */
    uint64_t moved_ms;      /* by the monotonic clock, when it last moved */
    bool moved;             /* since the store was opened */
    uint32_t coll;          /* of the tombstone looked at last */
    int64_t row;
    bool rests; /* all were looked at on `done_day`, with this ttl */
    uint64_t done_day;
    uint32_t done_ttl;
} reaper;

/* Table held as the writer sees it (held.c). */
typedef struct held_kept {
    tako_buf rows;
    bool known;              /* rows are those of the table */
    bool much;               /* it is too long to be kept */
    _Atomic(uint64_t) moves; /* see store_held_moves() */
} held_kept;

struct store {
    const tako_env *env;
    const tako_files *files;
    char *path;
    size_t path_cap;
    const char *vfs;                 /* NULL: SQLite's default */
    tako_slice seal_path, lock_path; /* NUL-terminated */
    tako_arena paths;
    store_durability durability;
    tako_err (*on_connect)(void *ctx, sqlite3 *db);
    void *on_connect_ctx;

    tako_file_lock *lock;
    store_conn writer;
    _Atomic(unsigned) readers;

    actor_state state;
    bool state_open; /* state was read from the file */
    crdt_clock clock;
    uint64_t own_last;    /* given out */
    uint64_t own_kept;    /* the greatest that a commit has */
    uint64_t pending_hlc; /* observed inside a transaction */
    crdt_wall wall;       /* what neighbours told of theirs: clock.c */
    uint64_t restart_ms;  /* when the clock began anew; monotonic, 0 never */
    uint64_t foreign;     /* our actor's hlc that we never gave out */
    bool retired;         /* our actor is: actor_retire() */
    uint64_t lsn;         /* last commit */
    uint64_t next_lsn;
    _Atomic(uint64_t) sent; /* commits up to it may have left */
    crdt_context seen;      /* of the running transaction */
    tako_arena seen_arena;
    crdt_dot seen_last; /* noted last */
    bool wrote;         /* in this session */
    bool lost_changed;  /* see store_lost_changed() */
    bool shrunk;        /* see store_shrunk() */
    bool unsynced;      /* a commit may be lost by power loss */
    bool unsettled;     /* the log may be on no disk: log_settle() */

    store_txn txn;
    change_list changes;
    doc_edit edit;
    edit_memory edit_memory;
    edit_memory merge_memory;
    tako_buf meta, body, blob;
    uint64_t feed_bytes; /* added since the last pruning */
    uint64_t blob_free;  /* the least `free` there may be; UINT64_MAX none */
    int wal_pages;       /* in the log after the last commit */
    int wal_tried;       /* of these, when it was checkpointed last */

    held_kept held;
    yards yards;
    uint64_t forgot_count; /* rows of table forgot, or more */
    bool forgot_known;     /* is that so? */
    crdt_dot dead_dot;     /* what merge info of the last call borrows */
    reaper reaper;
};

/* schema.c: checks what the file is, makes or migrates it. *fresh: made. */
tako_err schema_open(store *s, bool create, bool *fresh, tako_errbuf *e);

/* care.c: to be called before anything is written. */
tako_err log_settle(store *s, tako_errbuf *e);
bool log_is_there(store_conn *c); /* after the first statement */
uint64_t log_bytes(store_conn *c);

/* txn.c: fails unless a usable transaction is open. */
tako_err txn_check(const store *s, tako_errbuf *e);
/* A write failed with `err`: rolls back and keeps the reason. */
tako_err txn_break(store *s, tako_err err);

/* write.c */
tako_err edit_load(store *s, edit_memory *m, uint32_t coll, tako_slice id,
                   doc_edit *out, tako_errbuf *e);
tako_err edit_save(store *s, doc_edit *d, bool local, tako_errbuf *e);
/* edit_load for a local write: what was evicted is as if it were new. */
tako_err edit_local(store *s, uint32_t coll, tako_slice id, doc_edit *out,
                    tako_errbuf *e);
/* Replaces the row, which is there, by these bytes. */
tako_err edit_replace(store *s, doc_edit *d, const uint8_t version[16],
                      tako_slice meta, tako_slice body, tako_errbuf *e);
/* A state that shows nothing was written to a row: its days are counted from
 * today (reap.c). */
tako_err tomb_note(store *s, uint32_t coll, int64_t row, tako_slice meta,
                   tako_errbuf *e);
/* The row goes for ever. TAKO_BUSY: another document gave way to it. */
/* The day as it was counted last; also inside a transaction. */
tako_err day_read(store *s, uint64_t *day, tako_errbuf *e);
tako_err row_remove(store *s, uint32_t coll, int64_t row, tako_slice id,
                    tako_errbuf *e);

/* death.c: may this state be taken, by its births (in info)? `known`: there is
 * something stored under the id. */
/* A row with events of ours goes: forgot.c. */
tako_err forgot_put(store *s, uint32_t coll, tako_slice id, const crdt_doc *d,
                    tako_errbuf *e);
tako_err forgot_has(store *s, uint32_t coll, tako_slice id, bool *has,
                    tako_errbuf *e);
/* Raises *own to our last hlc in what was. */
tako_err forgot_own(store *s, uint32_t coll, tako_slice id, uint64_t *own,
                    tako_errbuf *e);
/* A state comes where nothing is stored. */
tako_err forgot_meet(store *s, uint32_t coll, tako_slice id,
                     const crdt_doc *remote, tako_errbuf *e);
/* A local INSERT begins above *generation, which may rise. */
tako_err forgot_after(store *s, uint32_t coll, tako_slice id,
                      uint64_t *generation, tako_errbuf *e);
/* The actor is a new one. */
tako_err forgot_clear(store *s, tako_errbuf *e);
void forgot_unknown(store *s); /* something was rolled back */

tako_err death_check(store *s, uint32_t coll, tako_slice id,
                     const crdt_doc *remote, bool known, tako_arena *a,
                     crdt_merge_info *info, tako_errbuf *e);
/* The same for a state that one INSERT made. *slow: what is stored decides. */
tako_err death_check_fresh(store *s, uint32_t coll, tako_slice id, crdt_dot dot,
                           bool *slow, crdt_merge_info *info, tako_errbuf *e);
/* Buries what a merge left behind. */
tako_err death_bury_left(store *s, uint32_t coll, tako_slice id,
                         const crdt_merge_info *info, tako_errbuf *e);
/* Buries the births of all lives that are over by what d knows. */
tako_err death_bury_ended(store *s, const doc_edit *d, tako_errbuf *e);
/* The same of the marker that a local INSERT, in d, follows. */
tako_err death_bury_followed(store *s, const doc_edit *d, tako_errbuf *e);
/* Are all births buried, and of how many of our own actor's lives? */
tako_err death_all_buried(store *s, uint32_t coll, tako_slice id,
                          const crdt_doc *d, bool *all, bool *some,
                          tako_errbuf *e);

/* quarantine.c: what a document here showed, before it goes. */
tako_err quarantine_put(store *s, uint32_t coll, tako_slice id, store_why why,
                        tako_slice body, tako_errbuf *e);

/* actor.c: is it among ids in a row? */
bool actor_listed(const tako_buf *list, crdt_actor actor);
/* The greatest hlc that the context has of an actor which is, or
 * was, this file's; above what `births` show to be known elsewhere. */
tako_err actor_own_beyond(store *s, const crdt_context *context,
                          const crdt_dot *births, size_t count, bool *beyond,
                          tako_errbuf *e);

/* Inserts a state under an id that may be known. TAKO_EXISTS */
tako_err row_insert_new(store *s, uint32_t coll, const doc_key *key,
                        tako_slice meta, tako_slice body, int64_t *row,
                        tako_errbuf *e);

/* coll.c: forgets all that a rolled back transaction may have made. */
void coll_forget(store_conn *c, size_t keep);
void coll_rows_forget(store_conn *c);
tako_err coll_next_row(store *s, uint32_t coll, int64_t *row, tako_errbuf *e);

/* feed.c */
tako_err feed_write(store *s, tako_errbuf *e);
tako_err feed_prune(store *s, tako_errbuf *e);

/* stats.c: of a collection that got an index, inside its transaction; of all,
 * outside of any, when the file has grown much. */
#define STORE_STATS_ROWS_MIN 1000u
tako_err stats_take(store *s, uint32_t coll, tako_errbuf *e);
tako_err stats_renew(store *s, tako_errbuf *e);

#endif /* TAKO_STORE_INTERNAL_H */
