// SPDX-License-Identifier: Apache-2.0
/* CHECKPOINT -- how far we are in whose feed, for which subscription.
 *
 * Few rows, written where a catch-up closes, with each chunk of a first
 * download, and when a session rests: not once per commit, whose one row more
 * would be a page more. A row may so be behind the truth, never ahead of it;
 * and as each catch-up from a feed ends with a comparison, being wrong would
 * cost bytes only.
 *
 * Row numbers grow with each write, so that the least ones are the oldest. */
#include "store/internal.h"

tako_err store_checkpoint_get(store_conn *c, tako_slice peer, tako_slice text,
                              store_checkpoint_at *out)
{
    sqlite3_stmt *stmt;
    tako_slice incarnation;
    tako_err err = TAKO_OK;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    stmt = store_sql(c,
                     "SELECT incarnation,lsn,row FROM checkpoint"
                     " WHERE peer=?1 AND text=?2",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "checkpoint",
                         NULL);
    (void)conn_bind(stmt, 1, peer);
    (void)conn_bind(stmt, 2, text);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        incarnation = conn_column(stmt, 0);
        if (incarnation.len == sizeof out->incarnation) {
            memcpy(out->incarnation, incarnation.ptr, incarnation.len);
            out->lsn = (uint64_t)sqlite3_column_int64(stmt, 1);
            out->streaming = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
            out->row = sqlite3_column_int64(stmt, 2);
        } else {
            err = TAKO_CORRUPT;
        }
    } else {
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "checkpoint", NULL);
    }
    store_done(c, stmt);
    return err;
}

static tako_err put(store_conn *c, tako_slice peer, tako_slice text,
                    tako_slice collection, const store_checkpoint_at *at,
                    tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(
        c,
        "INSERT OR REPLACE INTO checkpoint"
        "(peer,text,coll,incarnation,lsn,row)VALUES(?1,?2,?3,?4,?5,?6)",
        e);

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "checkpoint", e);
    (void)conn_bind(stmt, 1, peer);
    (void)conn_bind(stmt, 2, text);
    (void)conn_bind(stmt, 3, collection);
    (void)conn_bind(stmt, 4, tako_slice_of(at->incarnation, 16));
    (void)sqlite3_bind_int64(stmt, 5, (int64_t)at->lsn);
    if (at->streaming)
        (void)sqlite3_bind_int64(stmt, 6, at->row);
    return conn_step(c, stmt, "writing a checkpoint", e);
}

static tako_err prune(store_conn *c, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(
        c, "DELETE FROM checkpoint WHERE n<=(SELECT max(n) FROM checkpoint)-?1",
        e);

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "checkpoint", e);
    (void)sqlite3_bind_int64(stmt, 1, TAKO_CHECKPOINTS_MAX);
    return conn_step(c, stmt, "pruning checkpoints", e);
}

tako_err store_checkpoint_put(store *s, tako_slice peer, tako_slice text,
                              tako_slice collection,
                              const store_checkpoint_at *at, tako_errbuf *e)
{
    tako_err err;

    TAKO_ARG(s != NULL && at != NULL && at->lsn <= INT64_MAX);
    TAKO_TRY(txn_check(s, e));
    err = put(&s->writer, peer, text, collection, at, e);
    if (err == TAKO_OK)
        err = prune(&s->writer, e);
    return err == TAKO_OK ? err : txn_break(s, err);
}

tako_err store_checkpoint_drop(store *s, tako_slice collection, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    tako_err err;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    stmt = store_sql(c, "DELETE FROM checkpoint WHERE coll=?1", e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "checkpoint", e);
    (void)conn_bind(stmt, 1, collection);
    err = conn_step(c, stmt, "dropping checkpoints", e);
    return err == TAKO_OK ? err : txn_break(s, err);
}
