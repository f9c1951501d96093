// SPDX-License-Identifier: Apache-2.0
/* CONN -- one SQLite connection, its settings and its statements.
 *
 * SETTINGS  WAL; no automatic checkpoint anywhere, and no checkpoint at close
 * but by the writer: the file has one connection that checkpoints (SQLite up
 * to 3.51.2 may corrupt a file when two do). Readers are opened read-only.
 * A small cache: what is needed again is in the system's page cache, and an
 * idle node must stay small. The writer's grows inside a transaction, because
 * a changed page that has no room there is written to the log each time, and
 * shrinks again after it. Readers can read through a map of the file, which
 * is off until store_reader_map(): it saves a read() a page, and its pages
 * count as the process's. A map of a file that somebody else makes shorter is
 * a SIGBUS, but the file is ours alone, under the lock. Files are not trusted: no triggers
 * or views of theirs may call functions that are not marked innocuous.
 *
 * STATEMENTS  store_sql() has a cache by text: a slot is busy between
 * store_sql() and store_done(); a text asked for while its slot is busy gets
 * a statement of its own that store_done() finalizes. The least recently used
 * free slot makes room. The four statements of the hot paths are kept per
 * collection, in a direct-mapped table, so that no text is hashed there. */
#include "store/internal.h"

#include <stdio.h>

#include "base/hash.h"

#define CONN_BUSY_MS   2000 /* for foreign programs that look into the file */
#define CONN_MAP_BYTES (sizeof(void *) < 8 ? 0 : 256 << 20)

/* Pages that a connection keeps, and those that a transaction may have. */
#define CACHE_SMALL       "PRAGMA cache_size=-2000;"
#define CACHE_LARGE       "PRAGMA cache_size=-16000;"
#define CACHE_SMALL_BYTES (2000 << 10)

static const char conn_pragmas[] =
    CACHE_SMALL "PRAGMA mmap_size=0;"
                "PRAGMA journal_size_limit=16777216;";

/* ---- errors -------------------------------------------------------------- */

static tako_err code_of(int rc)
{
    if (rc == SQLITE_IOERR_NOMEM)
        return TAKO_NOMEM;
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return TAKO_OK;
    case SQLITE_NOMEM:
        return TAKO_NOMEM;
    case SQLITE_FULL:
        return TAKO_FULL;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return TAKO_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TAKO_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return TAKO_BUSY;
    case SQLITE_INTERRUPT:
        return TAKO_CANCELED;
    case SQLITE_TOOBIG:
        return TAKO_LIMIT;
    case SQLITE_CONSTRAINT:
        return TAKO_EXISTS;
    case SQLITE_MISUSE:
        return TAKO_MISUSE;
    default:
        return TAKO_INVALID;
    }
}

tako_err conn_fail(const store_conn *c, int rc, const char *what,
                   tako_errbuf *e)
{
    const char *text =
        c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);

    if (c == &c->store->writer && c->db != NULL &&
        sqlite3_extended_errcode(c->db) == SQLITE_IOERR_FSYNC)
        c->store->unsettled = true;
    return tako_fail(e, code_of(rc), "%s: %s: %s", c->store->path, what, text);
}

/* ---- statements ---------------------------------------------------------- */

static uint64_t sql_hash(const char *sql)
{
    static const uint8_t key[16] = { 0 };

    return tako_hash64(key, tako_slice_str(sql));
}

static sqlite3_stmt *sql_prepare(store_conn *c, const char *sql, unsigned flags,
                                 tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(c->db, sql, -1, flags, &stmt, NULL);

    if (rc != SQLITE_OK)
        (void)conn_fail(c, rc, "preparing a statement", e);
    return stmt;
}

/* The free slot to take: an empty one, else the least recently used. */
static stmt_slot *slot_free(store_conn *c)
{
    stmt_slot *best = NULL;

    for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++) {
        stmt_slot *slot = &c->cached[i];

        if (slot->stmt == NULL)
            return slot;
        if (!slot->busy && (best == NULL || slot->used < best->used))
            best = slot;
    }
    return best;
}

sqlite3_stmt *store_sql(store_conn *c, const char *sql, tako_errbuf *e)
{
    uint64_t hash = sql_hash(sql);
    sqlite3_stmt *stmt;
    stmt_slot *slot;

    c->tick++;
    for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++) {
        slot = &c->cached[i];
        if (slot->stmt == NULL)
            break; /* slots fill from the front and are only replaced */
        if (slot->hash != hash || slot->busy ||
            strcmp(sqlite3_sql(slot->stmt), sql) != 0)
            continue;
        slot->busy = true;
        slot->used = c->tick;
        return slot->stmt;
    }
    stmt = sql_prepare(c, sql, SQLITE_PREPARE_PERSISTENT, e);
    slot = stmt != NULL ? slot_free(c) : NULL;
    if (slot != NULL) {
        (void)sqlite3_finalize(slot->stmt);
        *slot = (stmt_slot){ hash, c->tick, stmt, true };
    }
    return stmt;
}

void store_done(store_conn *c, sqlite3_stmt *stmt)
{
    if (stmt == NULL)
        return;
    for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++) {
        if (c->cached[i].stmt == stmt) {
            (void)sqlite3_reset(stmt);
            (void)sqlite3_clear_bindings(stmt);
            c->cached[i].busy = false;
            return;
        }
    }
    (void)sqlite3_finalize(stmt);
}

static const char *const coll_sql[COLL_STMTS] = {
    [COLL_GET] = "SELECT " ROW_COLUMNS " FROM c%u WHERE row=?1",
    [COLL_GET_ID] = "SELECT " ROW_COLUMNS " FROM c%u WHERE id=?1 AND row<0",
    [COLL_INSERT] = "INSERT INTO c%u(row,id,version,lsn,body,meta)"
                    "VALUES(?1,?2,?3,?4,?5,?6)",
    [COLL_UPDATE] = "UPDATE c%u SET version=?3,lsn=?4,body=?5,meta=?6"
                    " WHERE row=?1",
};

static tako_err coll_prepare(store_conn *c, coll_stmts *hot,
                             coll_stmt_kind kind, tako_errbuf *e)
{
    const char *from = coll_sql[kind];
    const char *mark = strstr(from, "%u"); /* where the number goes */
    char sql[160];
    int rc;

    (void)snprintf(sql, sizeof sql, "%.*s%u%s", (int)(mark - from), from,
                   hot->coll, mark + 2);
    rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                            &hot->stmt[kind], NULL);
    if (rc == SQLITE_ERROR)
        return tako_fail(e, TAKO_NOTFOUND, "there is no collection number %u",
                         hot->coll);
    return rc == SQLITE_OK ? TAKO_OK
                           : conn_fail(c, rc, "preparing a statement", e);
}

static void coll_finalize(coll_stmts *hot)
{
    for (size_t i = 0; i < COLL_STMTS; i++)
        (void)sqlite3_finalize(hot->stmt[i]);
    *hot = (coll_stmts){ .coll = 0 };
}

void conn_coll_forget(store_conn *c, uint32_t above)
{
    for (size_t i = 0; i < STORE_HOT_COLLS; i++)
        if (c->hot[i].coll > above)
            coll_finalize(&c->hot[i]);
}

tako_err conn_coll_stmt(store_conn *c, uint32_t coll, coll_stmt_kind kind,
                        sqlite3_stmt **out, tako_errbuf *e)
{
    coll_stmts *hot = &c->hot[coll % STORE_HOT_COLLS];

    if (coll == 0 || coll > TAKO_COLLECTIONS_MAX)
        return tako_fail(e, TAKO_NOTFOUND, "there is no collection number %u",
                         coll);
    if (hot->coll != coll) {
        coll_finalize(hot);
        hot->coll = coll;
    }
    if (hot->stmt[kind] == NULL)
        TAKO_TRY(coll_prepare(c, hot, kind, e));
    *out = hot->stmt[kind];
    return TAKO_OK;
}

int conn_bind(sqlite3_stmt *stmt, int at, tako_slice bytes)
{
    const void *p = bytes.len > 0 ? (const void *)bytes.ptr : "";

    return sqlite3_bind_blob64(stmt, at, p, bytes.len, SQLITE_STATIC);
}

int conn_bind_or_null(sqlite3_stmt *stmt, int at, tako_slice bytes)
{
    return bytes.len > 0 ? conn_bind(stmt, at, bytes)
                         : sqlite3_bind_null(stmt, at);
}

tako_slice conn_column(sqlite3_stmt *stmt, int at)
{
    const void *p = sqlite3_column_blob(stmt, at);

    if (p == NULL)
        return TAKO_SLICE_NONE;
    return tako_slice_of(p, (size_t)sqlite3_column_bytes(stmt, at));
}

void conn_buf_reset(tako_buf *b)
{
    const tako_env *env = b->env;

    if (b->cap > STORE_KEEP_BYTES) {
        tako_buf_fini(b);
        *b = tako_buf_on(env);
    }
    tako_buf_reset(b);
}

tako_err conn_exec(store_conn *c, const char *sql, tako_errbuf *e)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? TAKO_OK : conn_fail(c, rc, "running SQL", e);
}

tako_err conn_run(store_conn *c, const char *sql, tako_errbuf *e)
{
    tako_errbuf local = { "" };
    sqlite3_stmt *stmt = store_sql(c, sql, e != NULL ? e : &local);
    tako_err err = TAKO_OK;
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "preparing", e);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        err = conn_fail(c, rc, sql, e);
    store_done(c, stmt);
    return err;
}

tako_err conn_step(store_conn *c, sqlite3_stmt *stmt, const char *what,
                   tako_errbuf *e)
{
    int rc = sqlite3_step(stmt);
    tako_err err = rc == SQLITE_DONE ? TAKO_OK : conn_fail(c, rc, what, e);

    store_done(c, stmt);
    return err;
}

tako_err conn_int(store_conn *c, const char *sql, int64_t *out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, sql, e);
    tako_err err = TAKO_OK;
    int rc;

    *out = 0;
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "preparing", e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    else if (rc != SQLITE_DONE)
        err = conn_fail(c, rc, sql, e);
    store_done(c, stmt);
    return err;
}

/* ---- opening and closing ------------------------------------------------- */

/* The pragma alone makes SQLite ask for maps at all; the file's own limit then
 * turns them off and on, without a statement. */
static tako_err map_prepare(store_conn *c, tako_errbuf *e)
{
    char sql[40];

    (void)snprintf(sql, sizeof sql, "PRAGMA mmap_size=%d", CONN_MAP_BYTES);
    TAKO_TRY(conn_exec(c, sql, e));
    store_reader_map(c, false);
    return TAKO_OK;
}

void store_reader_map(store_conn *c, bool on)
{
    sqlite3_int64 bytes = on ? CONN_MAP_BYTES : 0;

    (void)sqlite3_file_control(c->db, "main", SQLITE_FCNTL_MMAP_SIZE, &bytes);
}

unsigned store_reader_missed(store_conn *c)
{
    int missed = 0, most = 0;

    (void)sqlite3_db_status(c->db, SQLITE_DBSTATUS_CACHE_MISS, &missed, &most,
                            1);
    return missed > 0 ? (unsigned)missed : 0;
}

static tako_err conn_settings(store_conn *c, bool writer, tako_errbuf *e)
{
    int rc;

    (void)sqlite3_extended_result_codes(c->db, 1);
    (void)sqlite3_busy_timeout(c->db, CONN_BUSY_MS);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    rc = sqlite3_wal_autocheckpoint(c->db, 0);
    if (rc == SQLITE_OK && !writer)
        rc =
            sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc != SQLITE_OK)
        return conn_fail(c, rc, "setting up", e);
    TAKO_TRY(conn_exec(c, conn_pragmas, e));
    return writer ? conn_exec(c, CACHE_LARGE, e) : map_prepare(c, e);
}

bool conn_shrink(store_conn *c)
{
    int bytes = 0, most = 0;

    (void)sqlite3_db_status(c->db, SQLITE_DBSTATUS_CACHE_USED, &bytes, &most,
                            0);
    if (bytes <= CACHE_SMALL_BYTES + CACHE_SMALL_BYTES / 4)
        return false;
    (void)conn_exec(c, CACHE_SMALL CACHE_LARGE, NULL);
    return true;
}

tako_err conn_open(store *s, store_conn *c, bool writer, tako_errbuf *e)
{
    int flags = SQLITE_OPEN_NOMUTEX;
    tako_err err;
    int rc;

    flags |= writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    *c = (store_conn){ .env = s->env, .store = s };
    c->names = tako_arena_on(s->env);
    c->row = tako_buf_on(s->env);
    rc = sqlite3_open_v2(s->path, &c->db, flags, s->vfs);
    if (rc != SQLITE_OK) {
        err = conn_fail(c, rc, "opening", e);
        goto fail;
    }
    err = conn_settings(c, writer, e);
    if (err == TAKO_OK && s->on_connect != NULL) {
        err = s->on_connect(s->on_connect_ctx, c->db);
        if (err != TAKO_OK)
            (void)tako_fail(e, err, "%s: registering functions failed",
                            s->path);
    }
    if (err == TAKO_OK)
        return TAKO_OK;
fail:
    conn_close(c);
    return err;
}

void conn_close(store_conn *c)
{
    for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++)
        (void)sqlite3_finalize(c->cached[i].stmt);
    conn_coll_forget(c, 0);
    /* close_v2: a statement somebody forgot must not leak the connection */
    (void)sqlite3_close_v2(c->db);
    tako_env_free(c->env, c->colls, c->coll_cap * sizeof *c->colls);
    tako_arena_fini(&c->names);
    tako_buf_fini(&c->row);
    memset(c, 0, sizeof *c);
}

tako_err store_reader_open(store *s, store_conn **out, tako_errbuf *e)
{
    store_conn *c;
    tako_err err;

    TAKO_ARG(s != NULL && out != NULL);
    *out = NULL;
    c = tako_env_alloc(s->env, sizeof *c);
    if (c == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    err = conn_open(s, c, false, e);
    if (err != TAKO_OK) {
        tako_env_free(s->env, c, sizeof *c);
        return err;
    }
    (void)atomic_fetch_add(&s->readers, 1u);
    *out = c;
    return TAKO_OK;
}

void store_reader_close(store_conn *c)
{
    const tako_env *env;

    if (c == NULL)
        return;
    env = c->env;
    (void)atomic_fetch_sub(&c->store->readers, 1u);
    conn_close(c);
    tako_env_free(env, c, sizeof *c);
}

store_conn *store_writer(store *s)
{
    return &s->writer;
}

sqlite3 *store_conn_db(store_conn *c)
{
    return c->db;
}

/* ---- snapshots ----------------------------------------------------------- */

static tako_err read_lsn(store_conn *c, tako_errbuf *e)
{
    int64_t last;

    TAKO_TRY(conn_int(c, "SELECT max(lsn) FROM feed", &last, e));
    c->snapshot_lsn = (uint64_t)last;
    c->snapshot_known = true;
    return TAKO_OK;
}

/* The least that there is to read. */
static tako_err read_little(store_conn *c, tako_errbuf *e)
{
    int64_t version;

    c->snapshot_known = false;
    return conn_int(c, "PRAGMA schema_version", &version, e);
}

/* The first read fixes what is seen. */
static tako_err snapshot_fix(store_conn *c,
                             tako_err (*first)(store_conn *, tako_errbuf *),
                             tako_errbuf *e)
{
    tako_err err;

    c->snapshot_own = sqlite3_get_autocommit(c->db) != 0;
    if (c->snapshot_own)
        TAKO_TRY(conn_run(c, "BEGIN", e));
    err = first(c, e);
    if (err != TAKO_OK && c->snapshot_own)
        (void)conn_run(c, "ROLLBACK", NULL);
    return err;
}

tako_err store_snapshot_begin(store_conn *c, uint64_t *lsn, tako_errbuf *e)
{
    if (c->snapshots == 0)
        TAKO_TRY(snapshot_fix(c, read_lsn, e));
    else if (lsn != NULL && !c->snapshot_known)
        TAKO_TRY(read_lsn(c, e));
    c->snapshots++;
    if (lsn != NULL)
        *lsn = c->snapshot_lsn;
    return TAKO_OK;
}

tako_err store_snapshot_take(store_conn *c, tako_errbuf *e)
{
    if (c->snapshots == 0)
        TAKO_TRY(snapshot_fix(c, read_little, e));
    c->snapshots++;
    return TAKO_OK;
}

void store_snapshot_end(store_conn *c)
{
    TAKO_ASSERT(c->snapshots > 0);
    if (--c->snapshots == 0 && c->snapshot_own)
        (void)conn_run(c, "COMMIT", NULL);
}
