// SPDX-License-Identifier: Apache-2.0
/* QUARANTINE -- what people here wrote and the mesh does not take (SYNC.md 4).
 *
 * A document that was found to be dead and had changes made on this device is
 * kept here as it showed, for the app to write again or to drop. A doubtful
 * document is still in its collection; its row here says that a peer did not
 * take it. One that this device changed though it may not (deny.c) is kept as a
 * dead one is. Local: nothing of it ever travels.
 *
 * Bounded in documents and bytes; the oldest leave, with a line in the log.
 * That is looked at for every CHECK_EVERY-th: a device that comes back after a
 * year may bring thousands at once. */
#include "store/internal.h"

#define CHECK_EVERY 64

static tako_err quarantine_fail(store *s, int rc, tako_errbuf *e)
{
    return conn_fail(&s->writer, rc, "table quarantine", e);
}

static tako_err make_room(store *s, tako_errbuf *e)
{
    static const char *const sql =
        "DELETE FROM quarantine WHERE number<=(SELECT max(number)FROM("
        "SELECT number,row_number()OVER w AS n,sum(length(id)+"
        "ifnull(length(body),0))OVER w AS b FROM quarantine "
        "WINDOW w AS(ORDER BY number DESC))WHERE n>?1 OR b>?2)";
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = store_sql(c, sql, e);
    int rc, gone;

    if (stmt == NULL)
        return txn_break(
            s, quarantine_fail(s, sqlite3_extended_errcode(c->db), e));
    (void)sqlite3_bind_int64(stmt, 1, TAKO_QUARANTINE_DOCS_MAX);
    (void)sqlite3_bind_int64(stmt, 2, TAKO_QUARANTINE_BYTES_MAX);
    rc = sqlite3_step(stmt);
    gone = sqlite3_changes(c->db);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        return txn_break(s, quarantine_fail(s, rc, e));
    if (gone > 0)
        tako_log(s->env, TAKO_LOG_WARN, "quarantine_full", "\"dropped\":%d",
                 gone);
    return TAKO_OK;
}

tako_err quarantine_put(store *s, uint32_t coll, tako_slice id, store_why why,
                        tako_slice body, tako_errbuf *e)
{
    static const char *const words[] = { [STORE_WHY_DEAD] = "dead",
                                         [STORE_WHY_DOUBTFUL] = "doubtful",
                                         [STORE_WHY_DENIED] = "denied" };
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = store_sql(c,
                                   "INSERT INTO quarantine(coll,id,why,at,body)"
                                   "VALUES(?1,?2,?3,?4,?5)",
                                   e);
    int rc;

    if (stmt == NULL)
        return txn_break(
            s, quarantine_fail(s, sqlite3_extended_errcode(c->db), e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 3, why);
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)s->env->wall_ms(s->env->ctx));
    rc = conn_bind(stmt, 2, id);
    if (rc == SQLITE_OK)
        rc = conn_bind_or_null(stmt, 5, body);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        return txn_break(s, quarantine_fail(s, rc, e));
    tako_log(s->env, TAKO_LOG_WARN, "quarantined",
             "\"collection\":%u,\"why\":\"%s\"", coll, words[why]);
    return sqlite3_last_insert_rowid(c->db) % CHECK_EVERY == 0 ? make_room(s, e)
                                                               : TAKO_OK;
}

tako_err store_quarantine_each(store_conn *c, store_quarantine_fn *fn,
                               void *ctx, tako_errbuf *e)
{
    sqlite3_stmt *stmt =
        store_sql(c,
                  "SELECT number,coll,why,at,id,body FROM quarantine "
                  "ORDER BY number",
                  e);
    bool more = true;
    int rc = SQLITE_DONE;

    TAKO_ARG(fn != NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table quarantine",
                         e);
    while (more && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        store_quarantined q = { (uint64_t)sqlite3_column_int64(stmt, 0),
                                (uint32_t)sqlite3_column_int64(stmt, 1),
                                (store_why)sqlite3_column_int(stmt, 2),
                                (uint64_t)sqlite3_column_int64(stmt, 3),
                                conn_column(stmt, 4),
                                conn_column(stmt, 5) };

        more = fn(ctx, &q);
    }
    store_done(c, stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW
               ? TAKO_OK
               : conn_fail(c, rc, "reading table quarantine", e);
}

tako_err store_quarantine_drop(store *s, uint64_t number, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int rc;

    TAKO_ARG(s != NULL && number <= INT64_MAX);
    if (s->txn.open)
        TAKO_TRY(txn_check(s, e));
    stmt = store_sql(c, "DELETE FROM quarantine WHERE number=?1", e);
    if (stmt == NULL)
        return quarantine_fail(s, sqlite3_extended_errcode(c->db), e);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)number);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        return txn_break(s, quarantine_fail(s, rc, e));
    s->wrote = true;
    s->unsynced = s->unsynced || s->durability == STORE_NORMAL;
    if (sqlite3_changes(c->db) > 0)
        return TAKO_OK;
    return tako_fail(e, TAKO_NOTFOUND,
                     "nothing is in quarantine as number %llu",
                     (unsigned long long)number);
}

tako_err store_doubtful(store *s, uint32_t coll, tako_slice id, bool *fresh,
                        tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int rc;

    TAKO_ARG(s != NULL && fresh != NULL);
    TAKO_TRY(txn_check(s, e));
    stmt = store_sql(
        c, "SELECT 1 FROM quarantine WHERE coll=?1 AND id=?2 AND why=?3", e);
    if (stmt == NULL)
        return quarantine_fail(s, sqlite3_extended_errcode(c->db), e);
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)conn_bind(stmt, 2, id);
    (void)sqlite3_bind_int64(stmt, 3, STORE_WHY_DOUBTFUL);
    rc = sqlite3_step(stmt);
    *fresh = rc == SQLITE_DONE;
    store_done(c, stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return quarantine_fail(s, rc, e);
    return *fresh ? quarantine_put(s, coll, id, STORE_WHY_DOUBTFUL,
                                   TAKO_SLICE_NONE, e)
                  : TAKO_OK;
}
