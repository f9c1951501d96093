// SPDX-License-Identifier: Apache-2.0
#include "query/pool.h"

#include "base/check.h"
#include "query/internal.h"

tako_err query_pool_new(const tako_env *env, query_pool **out, tako_errbuf *e)
{
    query_pool *p = tako_env_alloc(env, sizeof *p);
    tako_err err;
    int rc;

    *out = NULL;
    if (p == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    p->env = env;
    rc = sqlite3_open_v2(
        ":memory:", &p->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        err = query_register((void *)(uintptr_t)env, p->db);
    else
        err = tako_fail(e, rc == SQLITE_NOMEM ? TAKO_NOMEM : TAKO_IO,
                        "opening a connection in memory");
    if (err != TAKO_OK) {
        query_pool_free(p);
        return err;
    }
    *out = p;
    return TAKO_OK;
}

void query_pool_free(query_pool *p)
{
    if (p == NULL)
        return;
    TAKO_ASSERT(p->newest == NULL);
    (void)sqlite3_finalize(p->clear);
    (void)sqlite3_finalize(p->put);
    (void)sqlite3_close(p->db);
    tako_env_free(p->env, p, sizeof *p);
}

/* ---- statements --------------------------------------------------------------- */

static void list_out(query_pool *p, pool_stmt *s)
{
    if (s->newer != NULL)
        s->newer->older = s->older;
    else
        p->newest = s->older;
    if (s->older != NULL)
        s->older->newer = s->newer;
    else
        p->oldest = s->newer;
    s->newer = s->older = NULL;
}

static void list_in(query_pool *p, pool_stmt *s)
{
    s->older = p->newest;
    if (p->newest != NULL)
        p->newest->newer = s;
    else
        p->oldest = s;
    p->newest = s;
}

void pool_use(query_pool *p, pool_stmt *s)
{
    if (p->newest == s)
        return;
    list_out(p, s);
    list_in(p, s);
}

void pool_drop(query_pool *p, pool_stmt *s)
{
    if (s->stmt == NULL)
        return;
    list_out(p, s);
    p->count--;
    (void)sqlite3_finalize(s->stmt);
    s->stmt = NULL;
}

tako_err pool_prepare(query_pool *p, pool_stmt *s, tako_slice sql,
                      tako_errbuf *e)
{
    int rc = sqlite3_prepare_v3(p->db, (const char *)sql.ptr, (int)sql.len + 1,
                                SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);

    TAKO_TRY(query_sql_error(p->db, rc, e));
    list_in(p, s);
    if (++p->count > TAKO_PREDICATES_PREPARED_MAX)
        pool_drop(p, p->oldest);
    return TAKO_OK;
}

/* ---- the document ---------------------------------------------------------------- */

tako_err pool_ready(query_pool *p, tako_errbuf *e)
{
    int rc;

    if (p->put != NULL)
        return TAKO_OK;
    rc = sqlite3_exec(p->db,
                      "CREATE TABLE IF NOT EXISTS c1(row INTEGER PRIMARY "
                      "KEY,id BLOB,version BLOB,lsn INTEGER,body BLOB,"
                      "meta BLOB)",
                      NULL, NULL, NULL);

    if (rc == SQLITE_OK && p->clear == NULL)
        rc = sqlite3_prepare_v3(p->db, "DELETE FROM c1", -1,
                                SQLITE_PREPARE_PERSISTENT, &p->clear, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(p->db,
                                "INSERT INTO c1(row,id,body) VALUES(?1,?2,?3)",
                                -1, SQLITE_PREPARE_PERSISTENT, &p->put, NULL);
    return query_sql_error(p->db, rc, e);
}

static int run(sqlite3_stmt *stmt)
{
    (void)sqlite3_step(stmt);
    return sqlite3_reset(stmt);
}

tako_err query_project_document(query_pool *p, int64_t row, tako_slice id,
                                tako_slice body, tako_errbuf *e)
{
    uint8_t rest[9];
    int64_t own;
    int rc;

    TAKO_TRY(pool_ready(p, e));
    if (row > 0 && store_id_row(id, &own, rest)) /* its column: store.h */
        id = tako_slice_of(rest, sizeof rest);
    rc = run(p->clear);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(p->put, 1, row);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(p->put, 2, id.ptr, (int)id.len, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(p->put, 3, body.ptr, (int)body.len,
                               SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = run(p->put);
    return query_sql_error(p->db, rc, e);
}
