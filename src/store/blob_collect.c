// SPDX-License-Identifier: Apache-2.0
/* BLOB COLLECT -- content that nobody refers to goes, a piece at a time.
 *
 * First a row loses its id and its `free` becomes 0: from then on nobody finds
 * it, and who was still putting it in notices. Then its parts go, so many in
 * one transaction, and the row last; a crash in between leaves a row that is
 * gone on with. A wall clock that stood ahead and is set back would keep what
 * is free for too long: such times are brought down to now. */
#include "store/blob_rows.h"

#include <stdio.h>

#include "store/blob_ref.h"

bool store_blob_due(store *s, uint64_t now_ms, uint64_t grace_ms)
{
    return s->blob_free != UINT64_MAX &&
           (s->blob_free > now_ms || now_ms - s->blob_free >= grace_ms);
}

static tako_err run(store *s, const char *sql, int64_t a, int64_t b,
                    tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(&s->writer, sql, &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, a);
    if (sqlite3_bind_parameter_count(stmt) > 1)
        (void)sqlite3_bind_int64(stmt, 2, b);
    return blob_step(s, stmt, "collecting attachments", e);
}

/* One integer column of the first row; *found false: there is none. */
static tako_err ask(store *s, const char *sql, int64_t a, int64_t out[2],
                    bool *found, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(&s->writer, sql, &err, e);
    int rc;

    if (stmt == NULL)
        return txn_break(s, err);
    if (sqlite3_bind_parameter_count(stmt) > 0)
        (void)sqlite3_bind_int64(stmt, 1, a);
    rc = sqlite3_step(stmt);
    *found = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
    if (*found) {
        out[0] = sqlite3_column_int64(stmt, 0);
        out[1] = sqlite3_column_int64(stmt, 1);
    } else if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        err = conn_fail(&s->writer, rc, "collecting attachments", e);
    }
    store_done(&s->writer, stmt);
    return err == TAKO_OK ? err : txn_break(s, err);
}

/* Removes up to *budget parts of one row; the row too when none is left. */
static tako_err blob_remove(store *s, int64_t number, uint32_t *budget,
                            bool *gone, tako_errbuf *e)
{
    char sql[160];
    int removed;

    TAKO_TRY(
        run(s, "UPDATE blob SET id=NULL,free=0 WHERE number=?1", number, 0, e));
    (void)snprintf(sql, sizeof sql,
                   "DELETE FROM blob_part WHERE at IN(SELECT at FROM blob_part "
                   "WHERE at>=?1 AND at<?1+%u LIMIT ?2)",
                   1u << BLOB_PLACE_BITS);
    TAKO_TRY(run(s, sql, blob_at(number, 0), *budget, e));
    removed = sqlite3_changes(s->writer.db);
    *gone = (uint32_t)removed < *budget;
    *budget -= (uint32_t)removed;
    return *gone ? run(s, "DELETE FROM blob WHERE number=?1", number, 0, e)
                 : TAKO_OK;
}

/* What store_blob_due() goes by. */
static tako_err least_free(store *s, tako_errbuf *e)
{
    int64_t v[2];
    bool found;

    TAKO_TRY(ask(s,
                 "SELECT free,0 FROM blob WHERE free IS NOT NULL "
                 "ORDER BY free LIMIT 1",
                 0, v, &found, e));
    s->blob_free = found ? (uint64_t)v[0] : UINT64_MAX;
    return TAKO_OK;
}

tako_err store_blob_collect(store *s, uint64_t now_ms, uint64_t grace_ms,
                            uint32_t parts_max, blob_collected *out,
                            tako_errbuf *e)
{
    int64_t until = now_ms > grace_ms ? (int64_t)(now_ms - grace_ms) : 0;
    uint32_t budget = parts_max;
    int64_t v[2];
    bool found = true, gone = true;

    TAKO_ARG(s != NULL && out != NULL && parts_max > 0);
    *out = (blob_collected){ 0, 0, false };
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(
        run(s, "UPDATE blob SET free=?1 WHERE free>?1", (int64_t)now_ms, 0, e));
    while (budget > 0) {
        TAKO_TRY(ask(s,
                     "SELECT number,bytes FROM blob WHERE free<=?1 "
                     "ORDER BY free LIMIT 1",
                     until, v, &found, e));
        if (!found)
            break;
        TAKO_TRY(blob_remove(s, v[0], &budget, &gone, e));
        out->blobs += gone;
        out->bytes += gone ? (uint64_t)v[1] : 0;
        if (!gone)
            break;
    }
    out->more = found;
    return least_free(s, e);
}

/* ---- checking --------------------------------------------------------------------- */

typedef struct check {
    store_conn *c;
    void (*found)(void *ctx, const char *text);
    void *ctx;
} check;

static void tell(const check *k, const char *what, tako_slice id)
{
    char text[160], hex[17];

    for (size_t i = 0; i < 8; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", i < id.len ? id.ptr[i] : 0);
    (void)snprintf(text, sizeof text, "attachment %s...: %s", hex, what);
    k->found(k->ctx, text);
}

static tako_err check_content(const check *k, const blob_facts *f,
                              tako_errbuf *e)
{
    tako_buf bits = tako_buf_on(k->c->env);
    blob_view v;
    tako_slice part, id = tako_slice_of(f->id, BLOB_ID_BYTES);
    uint32_t have = 0;
    tako_err err = blob_view_open(k->c, f->id, &v, e);

    if (err == TAKO_OK)
        err = store_blob_bits(k->c, f, &bits, e);
    for (uint32_t i = 0; i < f->form.parts && err == TAKO_OK; i++) {
        if (!blob_bit(bits.ptr, i))
            continue;
        have++;
        err = blob_view_part(&v, k->c, i, &part, e);
        if (err != TAKO_CORRUPT && err != TAKO_NOTFOUND)
            continue;
        tell(k,
             err == TAKO_CORRUPT ? "its content is damaged"
                                 : "a part of its content is missing",
             id);
        err = TAKO_CORRUPT;
    }
    if (err == TAKO_OK && have != f->have)
        tell(k, "its parts are counted wrongly", id);
    blob_view_close(&v);
    tako_buf_fini(&bits);
    return err == TAKO_CORRUPT ? TAKO_OK : err;
}

/* Does the table know what this document refers to? */
static tako_err check_row(const check *k, uint32_t coll, const store_row *row,
                          tako_arena *a, uint64_t *refs, tako_errbuf *e)
{
    blob_ids ids = { .arena = a };
    tako_err err;

    TAKO_TRY(blob_ids_of(row->meta, row->body, &ids));
    for (size_t i = 0; i < ids.count; i++) {
        sqlite3_stmt *stmt = blob_sql(k->c,
                                      "SELECT 1 FROM blob_ref WHERE id=?1 AND "
                                      "coll=?2 AND row=?3",
                                      &err, e);

        TAKO_TRY(err);
        (void)conn_bind(stmt, 1, tako_slice_of(ids.at[i].id, BLOB_ID_BYTES));
        (void)sqlite3_bind_int64(stmt, 2, coll);
        (void)sqlite3_bind_int64(stmt, 3, row->row);
        if (sqlite3_step(stmt) != SQLITE_ROW)
            tell(k, "a document refers to it, unknown to table blob_ref",
                 tako_slice_of(ids.at[i].id, BLOB_ID_BYTES));
        store_done(k->c, stmt);
    }
    *refs += ids.count;
    return TAKO_OK;
}

static tako_err check_refs(const check *k, tako_errbuf *e)
{
    tako_arena a = tako_arena_on(k->c->env);
    uint32_t max = store_coll_max(k->c);
    uint64_t refs = 0;
    int64_t count = 0;
    tako_err err = TAKO_OK;

    for (uint32_t coll = 1; coll <= max && err == TAKO_OK; coll++) {
        store_cursor *cursor;
        store_row row;

        if (store_coll_name(k->c, coll).len == 0)
            continue;
        err = store_scan(k->c, coll, INT64_MIN, &cursor);
        if (err != TAKO_OK)
            break;
        while ((err = store_scan_next(cursor, &row)) == TAKO_OK) {
            tako_err one = check_row(k, coll, &row, &a, &refs, e);

            tako_arena_reset(&a);
            if (one == TAKO_CORRUPT)
                continue; /* a damaged document: found elsewhere */
            err = one;
            if (err != TAKO_OK)
                break;
        }
        store_scan_close(cursor);
        if (err == TAKO_NOTFOUND || err == TAKO_CORRUPT)
            err = TAKO_OK; /* damaged rows: found elsewhere */
    }
    tako_arena_fini(&a);
    if (err == TAKO_OK)
        err = conn_int(k->c, "SELECT count(*) FROM blob_ref", &count, e);
    if (err == TAKO_OK && (uint64_t)count > refs)
        k->found(k->ctx, "table blob_ref names documents that do not refer to "
                         "an attachment");
    return err;
}

tako_err store_blob_check(store_conn *c,
                          void (*found)(void *ctx, const char *text), void *ctx,
                          tako_errbuf *e)
{
    check k = { c, found, ctx };
    blob_facts f;
    int64_t wrong = 0, after = 0;
    tako_err err;

    while ((err = store_blob_next(c, after, &f, e)) == TAKO_OK) {
        after = f.number;
        TAKO_TRY(check_content(&k, &f, e));
    }
    if (err != TAKO_NOTFOUND)
        return err;
    TAKO_TRY(conn_int(c,
                      "SELECT count(*) FROM blob WHERE id IS NOT NULL AND "
                      "(free IS NULL)<>EXISTS(SELECT 1 FROM blob_ref WHERE "
                      "blob_ref.id=blob.id)",
                      &wrong, e));
    if (wrong > 0)
        found(ctx, "table blob: content is kept, or free, against table "
                   "blob_ref");
    return check_refs(&k, e);
}
