// SPDX-License-Identifier: Apache-2.0
/* LOST -- what merging took away, kept until somebody has looked at it.
 *
 * A merge tells what it loses (crdt/loss.c); the rows of table `lost` are
 * written in its transaction, so that they stand exactly where the merge does.
 * They are this device's notes, and never travel: each device where two
 * histories met has its own.
 *
 * The same loss is noted once: two contents of one dot would otherwise be
 * noted each time that they meet. The table is bounded, in rows and bytes; the
 * oldest go. A value over TAKO_LOST_VALUE_MAX is not kept, only that there was
 * one. */
#include "store/internal.h"

static const char insert_sql[] =
    "INSERT OR IGNORE INTO lost(kind,ms,coll,id,path,actor,hlc,value,kept)"
    "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)";

static tako_slice value_kept(tako_slice value)
{
    return value.len <= TAKO_LOST_VALUE_MAX ? value : TAKO_SLICE_NONE;
}

static void put_path(crdt_path path, tako_buf *out)
{
    tako_buf_reset(out);
    cbor_put_array(out, path.count);
    for (size_t i = 0; i < path.count; i++)
        cbor_put_text(out, path.keys[i]);
}

static int bind_loss(store *s, sqlite3_stmt *stmt, uint32_t coll, tako_slice id,
                     const crdt_loss *l)
{
    uint64_t ms = s->env->wall_ms(s->env->ctx);
    int rc = sqlite3_bind_int(stmt, 1, (int)l->kind);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (int64_t)(ms & INT64_MAX));
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, coll);
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 4, id);
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 5, tako_buf_slice(&s->blob));
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 6, tako_slice_of(l->dot.actor.id, 16));
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 7, (int64_t)(l->dot.hlc & INT64_MAX));
    if (rc == SQLITE_OK)
        rc = conn_bind_or_null(stmt, 8, value_kept(l->value));
    if (rc == SQLITE_OK)
        rc = conn_bind_or_null(stmt, 9, value_kept(l->kept));
    return rc;
}

static tako_err insert_loss(store *s, uint32_t coll, tako_slice id,
                            const crdt_loss *l, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = store_sql(c, insert_sql, e);
    tako_err err = TAKO_OK;
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table lost", e);
    put_path(l->path, &s->blob);
    rc = s->blob.failed ? SQLITE_NOMEM : bind_loss(s, stmt, coll, id, l);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(c, rc, "writing table lost", e);
    else if (sqlite3_changes(c->db) > 0)
        s->txn.lost = true;
    store_done(c, stmt);
    return err == TAKO_OK ? err : txn_break(s, err);
}

tako_err lost_note(store *s, uint32_t coll, tako_slice id,
                   const crdt_merge_info *info, tako_errbuf *e)
{
    for (const crdt_loss *l = info->losses; l != NULL; l = l->next)
        TAKO_TRY(insert_loss(s, coll, id, l, e));
    return TAKO_OK;
}

tako_err lost_bound(store *s, tako_errbuf *e)
{
    static const char sql[] =
        "DELETE FROM lost WHERE n<=(SELECT max(n) FROM"
        "(SELECT n,row_number()OVER w AS rows,"
        "sum(200+length(id)+length(path)+ifnull(length(value),0)+"
        "ifnull(length(kept),0))OVER w AS bytes"
        " FROM lost WINDOW w AS(ORDER BY n DESC))"
        " WHERE rows>?1 OR bytes>?2)";
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int rc;

    if (!s->txn.lost)
        return TAKO_OK;
    stmt = store_sql(c, sql, e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table lost", e);
    (void)sqlite3_bind_int64(stmt, 1, TAKO_LOST_ROWS_MAX);
    (void)sqlite3_bind_int64(stmt, 2, TAKO_LOST_BYTES_MAX);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE ? TAKO_OK
                             : conn_fail(c, rc, "cutting table lost", e);
}

/* ---- reading, dropping ------------------------------------------------------ */

static tako_err take(store_conn *c, sqlite3_stmt *stmt, store_lost *out)
{
    tako_slice actor = conn_column(stmt, 6);
    size_t at[4];

    if (actor.len != sizeof out->dot.actor)
        return TAKO_CORRUPT;
    *out = (store_lost){
        .number = (uint64_t)sqlite3_column_int64(stmt, 0),
        .kind = (crdt_loss_kind)sqlite3_column_int(stmt, 1),
        .ms = (uint64_t)sqlite3_column_int64(stmt, 2),
        .coll = (uint32_t)sqlite3_column_int64(stmt, 3),
        .dot.hlc = (uint64_t)sqlite3_column_int64(stmt, 7),
    };
    memcpy(out->dot.actor.id, actor.ptr, sizeof out->dot.actor.id);
    conn_buf_reset(&c->row);
    for (int i = 0; i < 4; i++) {
        tako_put_bytes(&c->row, conn_column(stmt, i < 2 ? 4 + i : 6 + i));
        at[i] = c->row.len;
    }
    if (c->row.failed)
        return TAKO_NOMEM;
    out->id = tako_slice_of(c->row.ptr, at[0]);
    out->path = tako_slice_of(c->row.ptr + at[0], at[1] - at[0]);
    if (at[2] > at[1])
        out->value = tako_slice_of(c->row.ptr + at[1], at[2] - at[1]);
    if (at[3] > at[2])
        out->kept = tako_slice_of(c->row.ptr + at[2], at[3] - at[2]);
    return TAKO_OK;
}

tako_err store_lost_next(store_conn *c, uint64_t after, store_lost *out)
{
    sqlite3_stmt *stmt;
    tako_err err;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    if (after > INT64_MAX)
        return TAKO_NOTFOUND;
    stmt = store_sql(c,
                     "SELECT n,kind,ms,coll,id,path,actor,hlc,value,kept"
                     " FROM lost WHERE n>?1 ORDER BY n LIMIT 1",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "lost", NULL);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)after);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        err = take(c, stmt, out);
    else
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "reading table lost", NULL);
    store_done(c, stmt);
    return err;
}

tako_err store_lost_drop(store *s, uint64_t number, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    tako_err err = TAKO_OK;
    int rc;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    stmt = store_sql(c, "DELETE FROM lost WHERE n=?1", e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table lost", e);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)(number & INT64_MAX));
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        err = txn_break(s, conn_fail(c, rc, "writing table lost", e));
    else if (sqlite3_changes(c->db) > 0)
        s->txn.lost = true;
    return err;
}

bool store_lost_changed(store *s)
{
    bool was = s->lost_changed;

    s->lost_changed = false;
    return was;
}
