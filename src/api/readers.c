// SPDX-License-Identifier: Apache-2.0
/* READERS -- a small pool of connections for reading.
 *
 * SNAPSHOTS. A reader that comes back keeps its read transaction; as long as
 * no commit was made since, the next user reads in it, which saves more than
 * half of a point read. Correctness: db->epoch is odd while a commit is on its
 * way and moves to a new even number after it, before the call that made it
 * returns. A snapshot is used again only when it was begun under an even epoch
 * that still stands, so whoever reads sees every commit that had returned, and
 * nobody sees less than another thread did before.
 *
 * WHICH COMMIT a snapshot shows costs as much as a short query to ask. Where
 * the same even epoch stood before it was taken and after, it is the one that
 * ended under that epoch.
 *
 * A kept snapshot holds back the emptying of the write-ahead log; each commit
 * therefore first ends those of idle readers (api_readers_let_go), and a
 * reader that comes back meanwhile or later ends its own. */
#include "api/api.h"

#define SCRATCH_KEEP_BYTES (64u << 10)

tako_err api_readers_init(tako_db *db)
{
    TAKO_TRY(sys_mutex_new(&db->env, &db->readers.mutex));
    TAKO_TRY(sys_cond_new(&db->env, &db->readers.cond));
    return api_keeper_init(db);
}

/* NULL is a no-op. */
static void reader_free(tako_db *db, api_reader *r)
{
    if (r == NULL)
        return;
    api_queries_fini(&r->queries);
    if (r->snapshot)
        store_snapshot_end(r->conn);
    store_reader_close(r->conn);
    tako_buf_fini(&r->scratch);
    tako_env_free(&db->env, r, sizeof *r);
}

void api_readers_fini(tako_db *db)
{
    api_readers *p = &db->readers;

    if (p->mutex == NULL)
        return;
    api_keeper_fini(db);
    if (p->open_count > p->idle_count)
        tako_log(&db->env, TAKO_LOG_ERROR, "results_not_freed", "\"count\":%u",
                 p->open_count - p->idle_count);
    for (size_t i = 0; i < TAKO_READERS_MAX; i++)
        reader_free(db, p->all[i]);
    sys_cond_free(p->cond);
    sys_mutex_free(p->mutex);
    *p = (api_readers){ 0 };
}

static void snapshot_end(api_reader *r)
{
    if (r->snapshot)
        store_snapshot_end(r->conn);
    r->snapshot = false;
}

static tako_err snapshot_renew(tako_db *db, api_reader *r, tako_errbuf *e)
{
    uint64_t epoch = atomic_load(&db->epoch);
    uint64_t commit = atomic_load(&db->commit);

    if (r->snapshot && r->epoch == epoch && (epoch & 1u) == 0)
        return TAKO_OK;
    snapshot_end(r);
    TAKO_TRY(store_snapshot_take(r->conn, e));
    r->snapshot = true;
    r->epoch = epoch;
    r->lsn = (epoch & 1u) == 0 && epoch == atomic_load(&db->epoch) ? commit : 0;
    return TAKO_OK;
}

tako_err api_reader_commit(api_reader *r, uint64_t *commit, tako_errbuf *e)
{
    if (r->lsn == 0) {
        TAKO_TRY(store_snapshot_begin(r->conn, &r->lsn, e));
        store_snapshot_end(r->conn);
    }
    *commit = r->lsn;
    return TAKO_OK;
}

static tako_err reader_open(tako_db *db, api_reader **out, tako_errbuf *e)
{
    api_reader *r = tako_env_alloc(&db->env, sizeof *r);
    tako_err err;

    if (r == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    api_queries_init(&r->queries, &db->env);
    r->scratch = tako_buf_on(&db->env);
    err = store_reader_open(db->store, &r->conn, e);
    if (err == TAKO_OK) {
        err = query_host_set(r->conn, &db->host, e);
        if (err != TAKO_OK)
            store_reader_close(r->conn);
    }
    if (err != TAKO_OK) {
        tako_env_free(&db->env, r, sizeof *r);
        return err;
    }
    *out = r;
    return TAKO_OK;
}

/* An idle reader, or leave to open one (*out NULL). */
static tako_err pool_take(tako_db *db, api_reader **out, tako_errbuf *e)
{
    api_readers *p = &db->readers;
    uint64_t until = 0;
    tako_err err = TAKO_OK;

    *out = NULL;
    sys_mutex_lock(p->mutex);
    while (p->idle == NULL && p->open_count >= TAKO_READERS_MAX) {
        uint64_t now = db->env.mono_ms(db->env.ctx);

        if (until == 0)
            until = now + db->busy_wait_ms + 1;
        if (now >= until) {
            err = tako_fail(e, TAKO_BUSY,
                            "%u results are open: read them to their end, or "
                            "free them",
                            p->open_count);
            break;
        }
        (void)sys_cond_wait(p->cond, p->mutex, until - now);
    }
    if (err == TAKO_OK && p->idle != NULL) {
        *out = p->idle;
        p->idle = (*out)->next;
        p->idle_count--;
        (*out)->rested = false;
    } else if (err == TAKO_OK) {
        p->open_count++;
    }
    sys_mutex_unlock(p->mutex);
    return err;
}

/* Puts `to` in the place of `from` in the list of all; one of them is NULL. */
static void pool_note(api_readers *p, api_reader *from, api_reader *to)
{
    size_t i = 0;

    while (p->all[i] != from)
        i++;
    p->all[i] = to;
}

/* A reader that was counted goes; NULL: it could not be opened. */
static void pool_forget(tako_db *db, api_reader *r)
{
    sys_mutex_lock(db->readers.mutex);
    if (r != NULL) {
        pool_note(&db->readers, r, NULL);
        api_maps_forget(db, r);
    }
    db->readers.open_count--;
    sys_cond_signal(db->readers.cond);
    sys_mutex_unlock(db->readers.mutex);
    reader_free(db, r);
}

tako_err api_reader_take(tako_db *db, api_reader **out, tako_errbuf *e)
{
    api_reader *r = NULL;
    tako_err err = pool_take(db, &r, e);

    if (err == TAKO_OK && r == NULL) {
        err = reader_open(db, &r, e);
        if (err != TAKO_OK) {
            pool_forget(db, NULL);
            return err;
        }
        sys_mutex_lock(db->readers.mutex);
        pool_note(&db->readers, NULL, r);
        sys_mutex_unlock(db->readers.mutex);
    }
    if (err != TAKO_OK)
        return err;
    r->users = 1;
    err = snapshot_renew(db, r, e);
    if (err != TAKO_OK) {
        api_reader_give(db, r);
        return err;
    }
    *out = r;
    return TAKO_OK;
}

void api_reader_give(tako_db *db, api_reader *r)
{
    api_readers *p = &db->readers;
    uint64_t epoch;
    bool keep;

    if (r == NULL || --r->users > 0)
        return;
    if (r->scratch.cap > SCRATCH_KEEP_BYTES)
        tako_buf_fini(&r->scratch);
    sys_mutex_lock(p->mutex);
    keep = p->idle_count < TAKO_READERS_IDLE_MAX;
    if (keep) {
        /* Under the mutex: a commit now either is seen here, or finds the
         * reader in the list. */
        epoch = atomic_load(&db->epoch);
        if (r->epoch != epoch || (epoch & 1u) != 0)
            snapshot_end(r);
        api_maps_consider(db, r);
        r->next = p->idle;
        p->idle = r;
        p->idle_count++;
        sys_cond_signal(p->cond);
    }
    sys_mutex_unlock(p->mutex);
    if (!keep)
        pool_forget(db, r);
}

void api_readers_let_go(tako_db *db)
{
    sys_mutex_lock(db->readers.mutex);
    for (api_reader *r = db->readers.idle; r != NULL; r = r->next)
        snapshot_end(r);
    sys_mutex_unlock(db->readers.mutex);
}
