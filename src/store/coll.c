// SPDX-License-Identifier: Apache-2.0
/* COLL -- collections: names and numbers.
 *
 * Collections are never renamed nor removed, so what a connection has once
 * read in a committed state stays true: names are cached per connection and
 * only an unknown one asks the file. Those that a transaction made and rolled
 * back are forgotten by the writer's cache (coll_forget). Names live in an
 * arena of the connection, so that a borrowed one never moves. */
#include "store/internal.h"

#include <stdio.h>

static bool name_valid(tako_slice name)
{
    static const char system[] = "system:";

    if (name.len < 1 || name.len > TAKO_NAME_BYTES_MAX || !utf8_check(name))
        return false;
    if (name.len >= sizeof system - 1 &&
        memcmp(name.ptr, system, sizeof system - 1) == 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f ||
            /* U+0080..U+009F are C2 80..9F */
            (name.ptr[i] == 0xc2 && name.ptr[i + 1] < 0xa0))
            return false;
    return true;
}

static tako_err cache_room(store_conn *c, uint32_t number)
{
    size_t want = c->coll_cap == 0 ? 16 : c->coll_cap;
    coll_entry *p;

    while (want < number)
        want *= 2;
    if (want != c->coll_cap) {
        p = c->env->realloc(c->env->ctx, c->colls, c->coll_cap * sizeof *p,
                            want * sizeof *p);
        if (p == NULL)
            return TAKO_NOMEM;
        memset(p + c->coll_cap, 0, (want - c->coll_cap) * sizeof *p);
        c->colls = p;
        c->coll_cap = want;
    }
    return TAKO_OK;
}

static tako_err cache_put(store_conn *c, uint32_t number, tako_slice name)
{
    tako_slice copy;

    if (number == 0 || number > TAKO_COLLECTIONS_MAX)
        return TAKO_CORRUPT;
    TAKO_TRY(cache_room(c, number));
    if (c->colls[number - 1].name.len == 0) {
        copy = tako_arena_copy(&c->names, name);
        if (copy.ptr == NULL)
            return TAKO_NOMEM;
        c->colls[number - 1] = (coll_entry){ copy, 0 };
    }
    if (c->coll_count < number)
        c->coll_count = number;
    return TAKO_OK;
}

void coll_forget(store_conn *c, size_t keep)
{
    for (size_t i = keep; i < c->coll_count; i++)
        c->colls[i] = (coll_entry){ TAKO_SLICE_NONE, 0 };
    if (keep < c->coll_count)
        c->coll_count = keep;
    conn_coll_forget(c, (uint32_t)keep);
}

void coll_rows_forget(store_conn *c)
{
    for (size_t i = 0; i < c->coll_count; i++)
        c->colls[i].next_row = 0;
}

static uint32_t cache_find(const store_conn *c, tako_slice name)
{
    for (size_t i = 0; i < c->coll_count; i++)
        if (tako_slice_eq(c->colls[i].name, name))
            return (uint32_t)(i + 1);
    return 0;
}

/* Runs a query for one (number, name) and caches it. */
static tako_err load_one(store_conn *c, sqlite3_stmt *stmt, uint32_t *number)
{
    int rc = sqlite3_step(stmt);
    tako_slice name;
    int64_t found;

    if (rc == SQLITE_DONE)
        return TAKO_NOTFOUND;
    if (rc != SQLITE_ROW)
        return conn_fail(c, rc, "reading collections", NULL);
    found = sqlite3_column_int64(stmt, 0);
    name = conn_column(stmt, 1);
    if (found < 1 || found > (int64_t)TAKO_COLLECTIONS_MAX)
        return TAKO_CORRUPT;
    *number = (uint32_t)found;
    return cache_put(c, *number, name);
}

tako_err store_coll_find(store_conn *c, tako_slice name, uint32_t *coll)
{
    sqlite3_stmt *stmt;
    tako_err err;

    TAKO_ARG(c != NULL && coll != NULL);
    *coll = cache_find(c, name);
    if (*coll != 0)
        return TAKO_OK;
    if (!name_valid(name))
        return TAKO_NOTFOUND;
    stmt = store_sql(c, "SELECT number,name FROM coll WHERE name=?1", NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "coll", NULL);
    if (sqlite3_bind_text(stmt, 1, (const char *)name.ptr, (int)name.len,
                          SQLITE_STATIC) != SQLITE_OK)
        err = TAKO_NOMEM;
    else
        err = load_one(c, stmt, coll);
    store_done(c, stmt);
    return err;
}

tako_slice store_coll_name(store_conn *c, uint32_t coll)
{
    sqlite3_stmt *stmt;
    uint32_t found = 0;

    if (coll == 0 || coll > TAKO_COLLECTIONS_MAX)
        return TAKO_SLICE_NONE;
    if (coll <= c->coll_count && c->colls[coll - 1].name.len > 0)
        return c->colls[coll - 1].name;
    stmt = store_sql(c, "SELECT number,name FROM coll WHERE number=?1", NULL);
    if (stmt == NULL)
        return TAKO_SLICE_NONE;
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)load_one(c, stmt, &found);
    store_done(c, stmt);
    return found == coll && coll <= c->coll_count ? c->colls[coll - 1].name
                                                  : TAKO_SLICE_NONE;
}

static tako_err coll_max(store_conn *c, uint32_t *out, tako_errbuf *e)
{
    int64_t max = 0;
    tako_err err = conn_int(c, "SELECT max(number) FROM coll", &max, e);

    *out = err == TAKO_OK && max > 0 && max <= (int64_t)TAKO_COLLECTIONS_MAX
               ? (uint32_t)max
               : 0;
    return err;
}

uint32_t store_coll_max(store_conn *c)
{
    uint32_t max;

    (void)coll_max(c, &max, NULL);
    return max;
}

tako_err coll_next_row(store *s, uint32_t coll, int64_t *row, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    char sql[64];
    int64_t min = 0;
    yard *y;

    if (store_coll_name(c, coll).len == 0)
        return tako_fail(e, TAKO_NOTFOUND, "there is no collection number %u",
                         coll);
    if (c->colls[coll - 1].next_row == 0) {
        (void)snprintf(sql, sizeof sql, "SELECT min(row) FROM c%u", coll);
        TAKO_TRY(conn_int(c, sql, &min, e));
        /* A number names one document for ever: sessions rely on it. */
        TAKO_TRY(yard_of(s, coll, &y, e));
        min = y->below < min ? y->below : min;
        if (min == INT64_MIN)
            return tako_fail(e, TAKO_LIMIT, "no row numbers are left");
        c->colls[coll - 1].next_row = (min < 0 ? min : 0) - 1;
    }
    *row = c->colls[coll - 1].next_row--;
    return TAKO_OK;
}

/* ---- making -------------------------------------------------------------- */

static tako_err make_steps(store *s, tako_slice name, uint32_t number,
                           tako_errbuf *e)
{
    store_conn *c = &s->writer;
    char sql[256];
    sqlite3_stmt *stmt;
    int rc;

    (void)snprintf(sql, sizeof sql,
                   "CREATE TABLE c%u(row INTEGER PRIMARY KEY,id BLOB NOT NULL,"
                   "version BLOB NOT NULL,lsn INTEGER NOT NULL,body BLOB,"
                   "meta BLOB NOT NULL);"
                   "CREATE UNIQUE INDEX c%u_id ON c%u(id)WHERE row<0",
                   number, number, number);
    TAKO_TRY(conn_exec(c, sql, e));
    stmt = store_sql(c, "INSERT INTO coll(number,name)VALUES(?1,?2)", e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "coll", e);
    (void)sqlite3_bind_int64(stmt, 1, number);
    rc = sqlite3_bind_text(stmt, 2, (const char *)name.ptr, (int)name.len,
                           SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        return conn_fail(c, rc, "making a collection", e);
    return cache_put(c, number, name);
}

tako_err store_coll_create(store *s, tako_slice name, uint32_t *coll,
                           tako_errbuf *e)
{
    bool own;
    uint32_t number;
    tako_err err;

    TAKO_ARG(s != NULL && coll != NULL);
    own = !s->txn.open;
    if (!own)
        TAKO_TRY(txn_check(s, e));
    err = store_coll_find(&s->writer, name, coll);
    if (err != TAKO_NOTFOUND)
        return err == TAKO_OK
                   ? err
                   : tako_fail(e, err, "%s: reading collections", s->path);
    if (!name_valid(name))
        return tako_fail(e, TAKO_INVALID,
                         "a collection's name has 1 to %u bytes of UTF-8, no "
                         "control characters, and does not begin system:",
                         TAKO_NAME_BYTES_MAX);
    TAKO_TRY(coll_max(&s->writer, &number, e));
    if (++number > TAKO_COLLECTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "there are %u collections already",
                         TAKO_COLLECTIONS_MAX);
    if (own)
        TAKO_TRY(store_begin(s, e));
    err = make_steps(s, name, number, e);
    if (err != TAKO_OK)
        err = txn_break(s, err);
    if (own)
        err = err == TAKO_OK ? store_commit(s, NULL, e)
                             : (store_rollback(s), err);
    if (err == TAKO_OK)
        *coll = number;
    return err;
}
