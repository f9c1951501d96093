// SPDX-License-Identifier: Apache-2.0
#include "store/internal.h"

#include <stdio.h>

static int step_by_row(sqlite3_stmt *stmt, int64_t row)
{
    int rc = sqlite3_bind_int64(stmt, 1, row);

    return rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
}

static tako_err find_by_id(store_conn *c, uint32_t coll, tako_slice id,
                           sqlite3_stmt **out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    TAKO_TRY(conn_coll_stmt(c, coll, COLL_GET_ID, &stmt, e));
    rc = conn_bind(stmt, 1, id);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *out = stmt;
        return TAKO_OK;
    }
    (void)sqlite3_reset(stmt);
    (void)sqlite3_bind_null(stmt, 1);
    return rc == SQLITE_DONE ? TAKO_NOTFOUND
                             : conn_fail(c, rc, "finding a document", e);
}

tako_err row_find(store_conn *c, uint32_t coll, const doc_key *key,
                  sqlite3_stmt **out, bool *taken, tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    tako_slice rest = tako_slice_of(key->rest, STORE_REST_BYTES);
    int rc;

    *taken = false;
    if (!key->ulid)
        return find_by_id(c, coll, key->id, out, e);
    TAKO_TRY(conn_coll_stmt(c, coll, COLL_GET, &stmt, e));
    rc = step_by_row(stmt, key->row);
    if (rc == SQLITE_ROW && tako_slice_eq(conn_column(stmt, COL_ID), rest)) {
        *out = stmt;
        return TAKO_OK;
    }
    (void)sqlite3_reset(stmt);
    if (rc == SQLITE_DONE)
        return TAKO_NOTFOUND;
    if (rc != SQLITE_ROW)
        return conn_fail(c, rc, "finding a document", e);
    *taken = true;
    return find_by_id(c, coll, key->id, out, e);
}

tako_err row_read(sqlite3_stmt *stmt, tako_buf *id, store_row *out)
{
    tako_slice version = conn_column(stmt, COL_VERSION);
    tako_slice column = conn_column(stmt, COL_ID);

    out->row = sqlite3_column_int64(stmt, COL_ROW);
    tako_buf_reset(id);
    TAKO_TRY(store_id_encode(out->row, column, id));
    if (version.len != sizeof out->version)
        return TAKO_CORRUPT;
    memcpy(out->version, version.ptr, sizeof out->version);
    out->id = tako_buf_slice(id);
    out->lsn = (uint64_t)sqlite3_column_int64(stmt, COL_LSN);
    out->body = conn_column(stmt, COL_BODY);
    out->meta = conn_column(stmt, COL_META);
    return TAKO_OK;
}

/* Copies the row, so that no statement, and with it no snapshot, stays open
 * behind the caller's back. */
static tako_err row_take(store_conn *c, sqlite3_stmt *stmt, store_row *out)
{
    tako_buf *b = &c->row;
    size_t id, body, meta;
    tako_err err;

    conn_buf_reset(b);
    err = row_read(stmt, b, out);
    if (err != TAKO_OK)
        return err;
    id = b->len;
    body = out->body.len;
    meta = out->meta.len;
    tako_put_bytes(b, out->body);
    tako_put_bytes(b, out->meta);
    if (b->failed)
        return TAKO_NOMEM;
    out->id = tako_slice_of(b->ptr, id);
    out->body = body > 0 ? tako_slice_of(b->ptr + id, body) : TAKO_SLICE_NONE;
    out->meta = tako_slice_of(b->ptr + id + body, meta);
    return TAKO_OK;
}

tako_err store_get(store_conn *c, uint32_t coll, tako_slice id, store_row *out)
{
    sqlite3_stmt *stmt = NULL;
    doc_key key;
    tako_err err;
    bool taken;

    TAKO_ARG(c != NULL && out != NULL);
    TAKO_TRY(doc_key_of(id, &key, NULL));
    TAKO_TRY(row_find(c, coll, &key, &stmt, &taken, NULL));
    err = row_take(c, stmt, out);
    (void)sqlite3_reset(stmt);
    return err;
}

tako_err store_get_row(store_conn *c, uint32_t coll, int64_t row,
                       store_row *out)
{
    sqlite3_stmt *stmt = NULL;
    tako_err err;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    TAKO_TRY(conn_coll_stmt(c, coll, COLL_GET, &stmt, NULL));
    rc = step_by_row(stmt, row);
    if (rc == SQLITE_ROW)
        err = row_take(c, stmt, out);
    else if (rc == SQLITE_DONE)
        err = TAKO_NOTFOUND;
    else
        err = conn_fail(c, rc, "reading a document", NULL);
    (void)sqlite3_reset(stmt);
    return err;
}

/* ---- scans --------------------------------------------------------------- */

struct store_cursor {
    store_conn *conn;
    sqlite3_stmt *stmt;
    tako_buf id;
};

tako_err store_scan(store_conn *c, uint32_t coll, int64_t after,
                    store_cursor **out)
{
    char sql[128];
    store_cursor *k;

    TAKO_ARG(c != NULL && out != NULL);
    *out = NULL;
    if (store_coll_name(c, coll).len == 0)
        return TAKO_NOTFOUND;
    k = tako_env_alloc(c->env, sizeof *k);
    if (k == NULL)
        return TAKO_NOMEM;
    (void)snprintf(sql, sizeof sql,
                   "SELECT " ROW_COLUMNS " FROM c%u WHERE row>?1 ORDER BY row",
                   coll);
    *k = (store_cursor){ c, store_sql(c, sql, NULL), tako_buf_on(c->env) };
    if (k->stmt == NULL) {
        tako_err err =
            conn_fail(c, sqlite3_extended_errcode(c->db), "scanning", NULL);

        store_scan_close(k);
        return err;
    }
    (void)sqlite3_bind_int64(k->stmt, 1, after);
    *out = k;
    return TAKO_OK;
}

tako_err store_scan_next(store_cursor *k, store_row *out)
{
    int rc = sqlite3_step(k->stmt);

    if (rc == SQLITE_ROW)
        return row_read(k->stmt, &k->id, out);
    if (rc == SQLITE_DONE)
        return TAKO_NOTFOUND;
    return conn_fail(k->conn, rc, "scanning", NULL);
}

void store_scan_close(store_cursor *k)
{
    const tako_env *env;

    if (k == NULL)
        return;
    env = k->conn->env;
    store_done(k->conn, k->stmt);
    tako_buf_fini(&k->id);
    tako_env_free(env, k, sizeof *k);
}
