// SPDX-License-Identifier: Apache-2.0
#include "store/internal.h"

tako_err store_kv_get(store_conn *c, const char *key, tako_buf *out)
{
    sqlite3_stmt *stmt;
    tako_err err;
    int rc;

    TAKO_ARG(c != NULL && key != NULL && out != NULL);
    stmt = store_sql(c, "SELECT value FROM kv WHERE key=?1", NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "kv", NULL);
    rc = sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        tako_put_bytes(out, conn_column(stmt, 0));
        err = out->failed ? TAKO_NOMEM : TAKO_OK;
    } else {
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND : conn_fail(c, rc, "kv", NULL);
    }
    store_done(c, stmt);
    return err;
}

tako_err store_kv_put(store *s, const char *key, tako_slice value)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    tako_err err = TAKO_OK;
    int rc;

    TAKO_ARG(s != NULL && key != NULL);
    if (s->txn.open)
        TAKO_TRY(txn_check(s, NULL));
    stmt =
        store_sql(c, "INSERT OR REPLACE INTO kv(key,value)VALUES(?1,?2)", NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "kv", NULL);
    rc = sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 2, value);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(c, rc, "kv", NULL);
    store_done(c, stmt);
    s->wrote = true;
    if (s->durability == STORE_NORMAL)
        s->unsynced = true;
    return err != TAKO_OK && s->txn.open ? txn_break(s, err) : err;
}
