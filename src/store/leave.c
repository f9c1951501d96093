// SPDX-License-Identifier: Apache-2.0
/* LEAVE -- documents that matched an own subscription and match none any more
 * (SYNC.md 3): which they are, durably, from when that is seen until they are
 * gone. Who may let them go is decided above (node/leave.c). What is written
 * here is no commit of the feed: it concerns nobody else.
 *
 * MARKERS of documents that left go after a time. A row by which another ULID
 * had to give way (id.c) stays. */
#include "store/internal.h"

/* Runs to its end what has no rows; gives the statement back. */
static tako_err finish(store *s, sqlite3_stmt *stmt, const char *what,
                       tako_errbuf *e)
{
    tako_err err = conn_step(&s->writer, stmt, what, e);

    s->wrote = true;
    if (s->durability == STORE_NORMAL)
        s->unsynced = true;
    return err != TAKO_OK && s->txn.open ? txn_break(s, err) : err;
}

static tako_err begin(store *s, const char *sql, sqlite3_stmt **stmt,
                      tako_errbuf *e)
{
    store_conn *c = &s->writer;

    if (s->txn.open)
        TAKO_TRY(txn_check(s, e));
    *stmt = store_sql(c, sql, e);
    return *stmt != NULL
               ? TAKO_OK
               : conn_fail(c, sqlite3_extended_errcode(c->db), "leaving", e);
}

tako_err store_leaving_put(store *s, const store_leaving *l, tako_errbuf *e)
{
    sqlite3_stmt *stmt;

    TAKO_ARG(s != NULL && l != NULL);
    TAKO_TRY(begin(s,
                   "INSERT INTO leaving(coll,row,since,why)VALUES(?1,?2,?3,?4)"
                   "ON CONFLICT DO UPDATE SET why=?4",
                   &stmt, e));
    (void)sqlite3_bind_int64(stmt, 1, l->coll);
    (void)sqlite3_bind_int64(stmt, 2, l->row);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)l->since_ms);
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)l->why);
    return finish(s, stmt, "noting what leaves", e);
}

tako_err store_leaving_remove(store *s, uint32_t coll, int64_t row,
                              tako_errbuf *e)
{
    sqlite3_stmt *stmt;

    TAKO_ARG(s != NULL);
    TAKO_TRY(
        begin(s, "DELETE FROM leaving WHERE coll=?1 AND row=?2", &stmt, e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, row);
    return finish(s, stmt, "noting what leaves", e);
}

static void read_one(sqlite3_stmt *stmt, store_leaving *out)
{
    int64_t why = sqlite3_column_int64(stmt, 3);

    *out = (store_leaving){ (uint32_t)sqlite3_column_int64(stmt, 0),
                            sqlite3_column_int64(stmt, 1),
                            (uint64_t)sqlite3_column_int64(stmt, 2),
                            why == STORE_STALE          ? STORE_STALE
                            : why == STORE_UNSUBSCRIBED ? STORE_UNSUBSCRIBED
                                                        : STORE_CHANGED };
}

tako_err store_leaving_list(store_conn *c, uint32_t coll, int64_t row,
                            store_leaving *out, size_t max, size_t *count)
{
    sqlite3_stmt *stmt;
    int rc = SQLITE_DONE;

    *count = 0;
    stmt =
        store_sql(c,
                  "SELECT coll,row,since,why FROM leaving WHERE"
                  " (coll,row)>(?1,?2) AND why<>2 ORDER BY coll,row LIMIT ?3",
                  NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "leaving", NULL);
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, row);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)max);
    while (*count < max && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        read_one(stmt, &out[(*count)++]);
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading what leaves", NULL);
}

tako_err store_leaving_find(store_conn *c, uint32_t coll, int64_t row,
                            store_leaving *out)
{
    sqlite3_stmt *stmt;
    int rc;

    stmt = store_sql(
        c, "SELECT coll,row,since,why FROM leaving WHERE coll=?1 AND row=?2",
        NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "leaving", NULL);
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, row);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        read_one(stmt, out);
    store_done(c, stmt);
    if (rc == SQLITE_ROW)
        return TAKO_OK;
    return rc == SQLITE_DONE ? TAKO_NOTFOUND
                             : conn_fail(c, rc, "reading what leaves", NULL);
}

tako_err store_leaving_count(store_conn *c, store_leaving_facts *out,
                             tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(
        c,
        "SELECT total(why<>2),total(why=2),min(iif(why<>2,since,NULL))"
        " FROM leaving",
        e);
    int rc;

    *out = (store_leaving_facts){ 0, 0, 0 };
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "leaving", e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        out->count = (uint64_t)sqlite3_column_int64(stmt, 0);
        out->stale = (uint64_t)sqlite3_column_int64(stmt, 1);
        out->since_ms = (uint64_t)sqlite3_column_int64(stmt, 2);
    }
    store_done(c, stmt);
    return rc == SQLITE_ROW ? TAKO_OK
                            : conn_fail(c, rc, "counting what leaves", e);
}

/* ---- keepers ----------------------------------------------------------------- */

tako_err store_keeper_put(store *s, const store_keeper *k, tako_errbuf *e)
{
    sqlite3_stmt *stmt;

    TAKO_ARG(s != NULL && k != NULL);
    TAKO_TRY(begin(
        s,
        k->lsn > 0 ? "INSERT OR REPLACE INTO keeper(device,text,lsn,archive)"
                     "VALUES(?1,?2,?3,?4)"
                   : "DELETE FROM keeper WHERE device=?1 AND text=?2",
        &stmt, e));
    (void)conn_bind(stmt, 1, tako_slice_of(k->device, sizeof k->device));
    (void)sqlite3_bind_text(stmt, 2, (const char *)k->text.ptr,
                            (int)k->text.len, SQLITE_STATIC);
    if (k->lsn > 0) {
        (void)sqlite3_bind_int64(stmt, 3, (int64_t)k->lsn);
        (void)sqlite3_bind_int64(stmt, 4, k->archive);
    }
    return finish(s, stmt, "noting a keeper", e);
}

tako_err store_keepers(store_conn *c,
                       tako_err (*fn)(void *ctx, const store_keeper *k),
                       void *ctx, tako_errbuf *e)
{
    sqlite3_stmt *stmt =
        store_sql(c, "SELECT device,text,lsn,archive FROM keeper", e);
    tako_err err = TAKO_OK;
    int rc = SQLITE_DONE;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "keeper", e);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        tako_slice device = conn_column(stmt, 0);
        store_keeper k = { .text = conn_column(stmt, 1),
                           .lsn = (uint64_t)sqlite3_column_int64(stmt, 2),
                           .archive = sqlite3_column_int(stmt, 3) != 0 };

        if (device.len != sizeof k.device)
            continue;
        memcpy(k.device, device.ptr, device.len);
        err = fn(ctx, &k);
    }
    store_done(c, stmt);
    if (err == TAKO_OK && rc != SQLITE_DONE)
        return conn_fail(c, rc, "reading keepers", e);
    return err;
}

/* ---- markers ------------------------------------------------------------------ */

/* One by which another ULID had to give way stays. */
static tako_err remove_marker(store *s, uint32_t coll, int64_t row,
                              uint64_t *reaped, tako_errbuf *e)
{
    tako_arena *a = &s->merge_memory.arena;
    crdt_doc *d;
    store_row r;
    tako_err err = store_get_row(&s->writer, coll, row, &r);

    if (err == TAKO_OK) {
        tako_arena_reset(a);
        err = crdt_marker_read(a, r.meta, &d, e);
    }
    if (err == TAKO_OK)
        err = forgot_put(s, coll, r.id, d, e);
    if (err == TAKO_OK)
        err = row_remove(s, coll, row, r.id, e);
    if (err == TAKO_BUSY || err == TAKO_NOTFOUND)
        return TAKO_OK;
    *reaped += err == TAKO_OK;
    return err;
}

tako_err store_markers_reap(store *s, uint32_t coll, uint64_t day,
                            uint32_t rows, int64_t *row, uint64_t *reaped,
                            tako_errbuf *e)
{
    store_cursor *k = NULL;
    int64_t gone[64];
    size_t count = 0;
    store_row r;
    tako_err err;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    err = store_scan(&s->writer, coll, *row, &k);
    for (uint32_t n = 0; err == TAKO_OK && n < rows; n++) {
        uint64_t left;

        err = store_scan_next(k, &r);
        if (err != TAKO_OK)
            break;
        *row = r.row;
        if (r.body.len == 0 && crdt_meta_is_left(r.meta, &left) && left < day)
            gone[count++] = r.row;
        if (count == sizeof gone / sizeof gone[0])
            break;
    }
    store_scan_close(k);
    if (err == TAKO_NOTFOUND)
        *row = INT64_MAX;
    else if (err != TAKO_OK)
        return tako_fail(e, err, "looking for old markers failed");
    for (size_t i = 0; i < count; i++)
        TAKO_TRY(remove_marker(s, coll, gone[i], reaped, e));
    return TAKO_OK;
}
