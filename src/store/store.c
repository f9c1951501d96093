// SPDX-License-Identifier: Apache-2.0
/* STORE -- opening and closing, and the facts about a database.
 *
 * ORDER OF OPENING  lock; make the file, mode 0600, when absent; look what it
 * is; tables; then who we are (actor.c), before anybody can write. The lock
 * file is not the database itself: SQLite's own locks are per process, and a
 * copy must be able to look at a database that is open. */
#include "store/internal.h"

#include <stdio.h>

static tako_slice path_with(store *s, const char *suffix)
{
    size_t n = s->path_cap - 1, m = strlen(suffix);
    char *p = tako_arena_alloc(&s->paths, n + m + 1);

    if (p == NULL)
        return TAKO_SLICE_NONE;
    memcpy(p, s->path, n);
    memcpy(p + n, suffix, m);
    return tako_slice_of(p, n + m);
}

static store *store_new(const store_opts *o)
{
    store *s = tako_env_alloc(o->env, sizeof *s);

    if (s == NULL)
        return NULL;
    s->env = o->env;
    s->files = o->files;
    s->durability = o->durability;
    s->on_connect = o->on_connect;
    s->on_connect_ctx = o->on_connect_ctx;
    s->paths = tako_arena_on(o->env);
    s->edit_memory =
        (edit_memory){ tako_buf_on(o->env), tako_arena_on(o->env) };
    s->merge_memory =
        (edit_memory){ tako_buf_on(o->env), tako_arena_on(o->env) };
    s->meta = tako_buf_on(o->env);
    s->body = tako_buf_on(o->env);
    s->blob = tako_buf_on(o->env);
    s->held.rows = tako_buf_on(o->env);
    s->seen_arena = tako_arena_on(o->env);
    s->writer.env = o->env;
    s->writer.store = s;
    s->path_cap = strlen(o->path) + 1;
    s->path = tako_arena_alloc(&s->paths, s->path_cap);
    if (s->path != NULL)
        memcpy(s->path, o->path, s->path_cap);
    if (o->vfs != NULL)
        s->vfs =
            (const char *)tako_arena_copy(&s->paths, tako_slice_str(o->vfs))
                .ptr;
    return s;
}

static void store_free(store *s)
{
    const tako_env *env = s->env;

    if (s->writer.db != NULL)
        conn_close(&s->writer);
    if (s->lock != NULL)
        s->files->unlock(s->files->ctx, s->lock);
    change_fini(&s->changes);
    yards_fini(s);
    tako_arena_fini(&s->edit_memory.arena);
    tako_arena_fini(&s->merge_memory.arena);
    tako_buf_fini(&s->edit_memory.bytes);
    tako_buf_fini(&s->merge_memory.bytes);
    tako_arena_fini(&s->seen_arena);
    tako_arena_fini(&s->paths);
    tako_buf_fini(&s->meta);
    tako_buf_fini(&s->body);
    tako_buf_fini(&s->blob);
    tako_buf_fini(&s->held.rows);
    tako_env_free(env, s, sizeof *s);
}

static int wal_hook(void *ctx, sqlite3 *db, const char *name, int pages)
{
    store *s = ctx;

    (void)db;
    (void)name;
    if (pages < s->wal_pages)
        s->wal_tried = 0; /* the log began anew */
    s->wal_pages = pages;
    return SQLITE_OK;
}

static tako_err file_ready(store *s, bool create, tako_errbuf *e)
{
    uint64_t device, inode;
    tako_err err;

    err = s->files->identity(s->files->ctx, s->path, &device, &inode);
    if (err == TAKO_NOTFOUND && create)
        err = s->files->write(s->files->ctx, s->path, TAKO_SLICE_NONE);
    if (err == TAKO_NOTFOUND)
        return tako_fail(e, err, "there is no file %s", s->path);
    if (err != TAKO_OK)
        return tako_fail(e, err, "%s: cannot be opened", s->path);
    return TAKO_OK;
}

static tako_err feed_position(store *s, tako_errbuf *e)
{
    int64_t last = 0;

    TAKO_TRY(conn_int(&s->writer, "SELECT max(lsn) FROM feed", &last, e));
    if (last < 0 || last > INT64_MAX / 2)
        return tako_fail(e, TAKO_CORRUPT, "%s: table feed is damaged", s->path);
    s->lsn = (uint64_t)last;
    atomic_store(&s->sent, s->lsn); /* for all we know */
    s->next_lsn = (s->lsn > s->state.lsn ? s->lsn : s->state.lsn) + 1;
    return TAKO_OK;
}

/* What store_blob_due() goes by. */
static tako_err blobs_position(store *s, tako_errbuf *e)
{
    int64_t least = -1;

    TAKO_TRY(conn_int(&s->writer,
                      "SELECT coalesce(min(free),-1) FROM blob "
                      "WHERE free IS NOT NULL",
                      &least, e));
    s->blob_free = least < 0 ? UINT64_MAX : (uint64_t)least;
    return TAKO_OK;
}

static tako_err open_steps(store *s, const store_opts *o, tako_errbuf *e)
{
    bool fresh;
    tako_err err;

    if (s->path == NULL || (o->vfs != NULL && s->vfs == NULL) ||
        change_init(&s->changes, s->env) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    s->seal_path = path_with(s, ".seal");
    s->lock_path = path_with(s, ".lock");
    if (s->seal_path.ptr == NULL || s->lock_path.ptr == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (!o->create) /* a mistyped name must not leave a lock behind */
        TAKO_TRY(file_ready(s, false, e));
    err = s->files->lock(s->files->ctx, (const char *)s->lock_path.ptr,
                         o->lock_wait_ms, &s->lock);
    if (err != TAKO_OK)
        return tako_fail(e, err, "%s: %s", s->path,
                         err == TAKO_BUSY ? "another process has it open"
                                          : "locking it failed");
    TAKO_TRY(file_ready(s, o->create, e));
    TAKO_TRY(conn_open(s, &s->writer, true, e));
    TAKO_TRY(schema_open(s, o->create, &fresh, e));
    /* After an error SQLite may say "wal" and have none: then the last commit
     * would not be safe from a power failure, whatever is asked for. */
    if (!log_is_there(&s->writer))
        return tako_fail(e, TAKO_IO, "%s: its log cannot be begun", s->path);
    (void)sqlite3_wal_hook(s->writer.db, wal_hook, s);
    TAKO_TRY(conn_run(&s->writer,
                      s->durability == STORE_FULL ? "PRAGMA synchronous=FULL"
                                                  : "PRAGMA synchronous=NORMAL",
                      e));
    s->unsettled = log_bytes(&s->writer) > 0; /* an unclean end */
    TAKO_TRY(actor_open(s, fresh, e));
    TAKO_TRY(blobs_position(s, e));
    return feed_position(s, e);
}

tako_err store_open(const store_opts *opts, store **out, tako_errbuf *e)
{
    store *s;
    tako_err err;

    TAKO_ARG(opts != NULL && out != NULL);
    *out = NULL;
    TAKO_ARG(opts->env != NULL && opts->files != NULL && opts->path != NULL &&
             opts->path[0] != '\0');
    s = store_new(opts);
    if (s == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    err = open_steps(s, opts, e);
    if (err != TAKO_OK) {
        store_free(s);
        return err;
    }
    *out = s;
    return TAKO_OK;
}

void store_close(store *s)
{
    if (s == NULL)
        return;
    TAKO_ASSERT(atomic_load(&s->readers) == 0); /* they borrow from s */
    while (s->writer.snapshots > 0)
        store_snapshot_end(&s->writer);
    store_rollback(s);
    if (s->feed_bytes > 0)
        (void)feed_prune(s, NULL);
    actor_close(s);
    store_free(s); /* SQLite checkpoints when the last connection goes */
}

uint64_t store_lsn(const store *s)
{
    return s->lsn;
}

/* ---- facts --------------------------------------------------------------- */

static tako_err count_rows(store_conn *c, store_facts *out, tako_errbuf *e)
{
    uint32_t max = store_coll_max(c);

    for (uint32_t coll = 1; coll <= max; coll++) {
        char sql[100];
        int64_t all = 0, alive = 0, evicted = 0;

        if (store_coll_name(c, coll).len == 0)
            continue;
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM c%u", coll);
        TAKO_TRY(conn_int(c, sql, &all, e));
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM c%u WHERE body IS NOT NULL", coll);
        TAKO_TRY(conn_int(c, sql, &alive, e));
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM c%u WHERE body IS NULL AND"
                       " substr(meta,1,2) IN(x'0001',x'0003')",
                       coll);
        TAKO_TRY(conn_int(c, sql, &evicted, e));
        out->documents += (uint64_t)alive;
        out->tombstones += (uint64_t)(all - alive - evicted);
        out->evicted += (uint64_t)evicted;
        out->collections++;
    }
    return TAKO_OK;
}

/* From the file: the writer may be about to have another. */
static tako_err facts_actor(store_conn *c, crdt_actor *out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, "SELECT actor FROM state WHERE one=1", e);
    tako_err err = TAKO_CORRUPT;
    tako_slice id;
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "its state", e);
    rc = sqlite3_step(stmt);
    id = rc == SQLITE_ROW ? conn_column(stmt, 0) : TAKO_SLICE_NONE;
    if (id.len == sizeof out->id) {
        memcpy(out->id, id.ptr, sizeof out->id);
        err = TAKO_OK;
    } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        err = conn_fail(c, rc, "its state", e);
    } else {
        (void)tako_fail(e, err, "%s: its state is damaged", c->store->path);
    }
    store_done(c, stmt);
    return err;
}

static tako_err facts_inside(store_conn *c, store_facts *out, tako_errbuf *e)
{
    int64_t pages = 0, size = 0, unused = 0, blobs = 0, blob_bytes = 0;
    int64_t quarantined = 0, lost = 0;

    TAKO_TRY(count_rows(c, out, e));
    TAKO_TRY(conn_int(c, "PRAGMA page_count", &pages, e));
    TAKO_TRY(conn_int(c, "PRAGMA page_size", &size, e));
    TAKO_TRY(conn_int(c, "PRAGMA freelist_count", &unused, e));
    out->file_bytes = (uint64_t)(pages * size);
    out->free_bytes = (uint64_t)(unused * size);
    out->wal_bytes = log_bytes(c);
    TAKO_TRY(conn_int(c, "SELECT count(*) FROM blob WHERE id IS NOT NULL",
                      &blobs, e));
    TAKO_TRY(conn_int(c, "SELECT sum(bytes) FROM blob", &blob_bytes, e));
    TAKO_TRY(conn_int(c, "SELECT count(*) FROM quarantine", &quarantined, e));
    TAKO_TRY(conn_int(c, "SELECT count(*) FROM lost", &lost, e));
    out->quarantined = (uint64_t)quarantined;
    out->lost = (uint64_t)lost;
    out->blobs = (uint64_t)blobs;
    out->blob_bytes = (uint64_t)blob_bytes;
    return facts_actor(c, &out->actor, e);
}

tako_err store_facts_read(store_conn *c, store_facts *out, tako_errbuf *e)
{
    tako_err err;

    TAKO_ARG(c != NULL && out != NULL);
    memset(out, 0, sizeof *out);
    TAKO_TRY(store_snapshot_begin(c, &out->lsn, e));
    err = facts_inside(c, out, e);
    store_snapshot_end(c);
    return err;
}
