// SPDX-License-Identifier: Apache-2.0
/* STATS -- what SQLite's planner knows of the indexes (table sqlite_stat1).
 *
 * Without statistics it takes two indexes that fit for equally good, whatever
 * they hold, and a partial index, as all of ours are, for shorter than its
 * table, so that it walks an index to read the whole table. They are taken
 * when an index is made, of its collection; and of all, at a checkpoint, when
 * the file has become STATS_GROWTH times as large: what that costs is a small
 * part of the writing in between. A collection of few documents has none: any
 * plan is good there, and what is true of ten is not of a million.
 *
 * Other connections read statistics with the schema, so it must change: a new
 * index does that, and otherwise the table of statistics is made anew. */
#include "store/internal.h"

#include <stdio.h>

#define STATS_KEY       "store.stats" /* in kv: pages of the file then, 8 bytes */
#define STATS_PAGES_MIN 256           /* a smaller file needs none */
#define STATS_GROWTH    4

static tako_err pages_now(store *s, int64_t *pages, tako_errbuf *e)
{
    return conn_int(&s->writer, "PRAGMA page_count", pages, e);
}

/* As it was when statistics were taken; 0: never. */
static tako_err pages_then(store *s, uint64_t *pages)
{
    tako_buf b = tako_buf_on(s->env);
    tako_err err = store_kv_get(&s->writer, STATS_KEY, &b);
    tako_reader r = tako_reader_of(tako_buf_slice(&b));

    *pages = err == TAKO_OK ? tako_read_u64(&r) : 0;
    tako_buf_fini(&b);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err keep_pages(store *s, int64_t pages)
{
    tako_buf b = tako_buf_on(s->env);
    tako_err err = TAKO_NOMEM;

    tako_put_u64(&b, (uint64_t)pages);
    if (!b.failed)
        err = store_kv_put(s, STATS_KEY, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return err;
}

/* Of one collection, if it has documents enough. */
static tako_err take(store *s, uint32_t coll, tako_errbuf *e)
{
    char sql[80];
    int64_t rows;

    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM (SELECT 1 FROM c%u LIMIT %u)", coll,
                   STORE_STATS_ROWS_MIN);
    TAKO_TRY(conn_int(&s->writer, sql, &rows, e));
    if (rows < (int64_t)STORE_STATS_ROWS_MIN)
        return TAKO_OK;
    (void)snprintf(sql, sizeof sql, "ANALYZE c%u", coll);
    return conn_exec(&s->writer, sql, e);
}

tako_err stats_take(store *s, uint32_t coll, tako_errbuf *e)
{
    uint64_t then;
    int64_t now;

    TAKO_TRY(take(s, coll, e));
    TAKO_TRY(pages_then(s, &then));
    if (then != 0)
        return TAKO_OK;
    TAKO_TRY(pages_now(s, &now, e));
    return now < STATS_PAGES_MIN ? TAKO_OK : keep_pages(s, now);
}

/* The numbers of the collections that have indexes, one after the other. */
static tako_err indexed(store *s, tako_buf *out, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = store_sql(c, "SELECT DISTINCT coll FROM idx", e);
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "idx", e);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        tako_put_u64(out, (uint64_t)sqlite3_column_int64(stmt, 0));
    store_done(c, stmt);
    if (out->failed)
        return TAKO_NOMEM;
    return rc == SQLITE_DONE ? TAKO_OK : conn_fail(c, rc, "reading indexes", e);
}

static tako_err take_all(store *s, tako_slice colls, int64_t pages,
                         tako_errbuf *e)
{
    tako_reader r = tako_reader_of(colls);
    tako_err err;

    TAKO_TRY(conn_run(&s->writer, "BEGIN IMMEDIATE", e));
    err = conn_exec(&s->writer, "DROP TABLE IF EXISTS sqlite_stat1", e);
    while (err == TAKO_OK && tako_reader_left(&r) > 0)
        err = take(s, (uint32_t)tako_read_u64(&r), e);
    if (err == TAKO_OK)
        err = keep_pages(s, pages);
    if (err == TAKO_OK)
        err = conn_run(&s->writer, "COMMIT", e);
    if (err != TAKO_OK && sqlite3_get_autocommit(s->writer.db) == 0)
        (void)conn_run(&s->writer, "ROLLBACK", NULL);
    return err;
}

tako_err stats_renew(store *s, tako_errbuf *e)
{
    tako_buf colls = tako_buf_on(s->env);
    uint64_t then;
    int64_t now;
    tako_err err;

    TAKO_TRY(pages_now(s, &now, e));
    if (now < STATS_PAGES_MIN)
        return TAKO_OK;
    TAKO_TRY(pages_then(s, &then));
    if ((uint64_t)now / STATS_GROWTH < then)
        return TAKO_OK;
    err = indexed(s, &colls, e);
    if (err == TAKO_OK && colls.len > 0)
        err = take_all(s, tako_buf_slice(&colls), now, e);
    tako_buf_fini(&colls);
    return err;
}
