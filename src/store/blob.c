// SPDX-License-Identifier: Apache-2.0
/* BLOB -- rows of contents: what is here, reading, and what arrives.
 *
 * A content that arrives has a row with the set of parts that are here, and
 * that set is written in the transaction that brings the parts: after a crash
 * it says what is there, and fetching goes on with the rest. When the set is
 * full it goes away.
 *
 * A reader may hold a view of a content that is collected meanwhile: numbers
 * are never used again, so it finds nothing, and never another's bytes. */
#include "store/blob_rows.h"

#include <stdio.h>

sqlite3_stmt *blob_sql(store_conn *c, const char *sql, tako_err *err,
                       tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, sql, e);

    *err = stmt != NULL ? TAKO_OK
                        : conn_fail(c, sqlite3_extended_errcode(c->db),
                                    "attachments", e);
    return stmt;
}

tako_err blob_step(store *s, sqlite3_stmt *stmt, const char *what,
                   tako_errbuf *e)
{
    int rc = sqlite3_step(stmt);
    tako_err err = TAKO_OK;

    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        err = conn_fail(&s->writer, rc, what, e);
    store_done(&s->writer, stmt);
    return err == TAKO_OK ? err : txn_break(s, err);
}

/* ---- what is here ---------------------------------------------------------- */

tako_err blob_row_read(store_conn *c, sqlite3_stmt *stmt, blob_facts *out,
                       tako_errbuf *e)
{
    tako_slice id = conn_column(stmt, 1);
    int64_t len = sqlite3_column_int64(stmt, 2);
    int64_t have = sqlite3_column_int64(stmt, 3);

    *out = (blob_facts){ .number = sqlite3_column_int64(stmt, 0) };
    if (id.len == BLOB_ID_BYTES)
        memcpy(out->id, id.ptr, BLOB_ID_BYTES);
    if ((id.len != BLOB_ID_BYTES && id.len != 0) || len < 0 || have < 0 ||
        !blob_form_of((uint64_t)len, &out->form) ||
        (id.len > 0 && (uint64_t)have > out->form.parts))
        return tako_fail(e, TAKO_CORRUPT, "%s: table blob is damaged",
                         c->store->path);
    out->have = (uint32_t)have;
    out->bytes = (uint64_t)sqlite3_column_int64(stmt, 4);
    out->whole = id.len > 0 && sqlite3_column_int(stmt, 5) != 0;
    out->free_ms = (uint64_t)sqlite3_column_int64(stmt, 6);
    return TAKO_OK;
}

static tako_err one_row(store_conn *c, sqlite3_stmt *stmt, blob_facts *out,
                        tako_errbuf *e)
{
    int rc = sqlite3_step(stmt);
    tako_err err;

    if (rc == SQLITE_ROW)
        err = blob_row_read(c, stmt, out, e);
    else
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "attachments", e);
    store_done(c, stmt);
    return err;
}

tako_err store_blob_find(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                         blob_facts *out, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(c, "SELECT " BLOB_COLUMNS " FROM blob WHERE id=?1", &err, e);

    TAKO_TRY(err);
    (void)conn_bind(stmt, 1, tako_slice_of(id, BLOB_ID_BYTES));
    return one_row(c, stmt, out, e);
}

tako_err store_blob_next(store_conn *c, int64_t after, blob_facts *out,
                         tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(c,
                 "SELECT " BLOB_COLUMNS " FROM blob WHERE number>?1 AND id IS "
                 "NOT NULL ORDER BY number LIMIT 1",
                 &err, e);

    TAKO_TRY(err);
    (void)sqlite3_bind_int64(stmt, 1, after);
    return one_row(c, stmt, out, e);
}

tako_err store_blob_refs(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                         uint64_t *count, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(c, "SELECT count(*) FROM blob_ref WHERE id=?1", &err, e);
    int rc;

    TAKO_TRY(err);
    (void)conn_bind(stmt, 1, tako_slice_of(id, BLOB_ID_BYTES));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *count = (uint64_t)sqlite3_column_int64(stmt, 0);
    else
        err = conn_fail(c, rc, "attachments", e);
    store_done(c, stmt);
    return err;
}

tako_err store_blob_bits(store_conn *c, const blob_facts *f, tako_buf *out,
                         tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(c, "SELECT bits FROM blob WHERE number=?1", &err, e);
    size_t len = blob_bits_len(f->form.parts);
    tako_slice bits;
    int rc;

    TAKO_TRY(err);
    (void)sqlite3_bind_int64(stmt, 1, f->number);
    rc = sqlite3_step(stmt);
    bits = rc == SQLITE_ROW ? conn_column(stmt, 0) : TAKO_SLICE_NONE;
    if (rc != SQLITE_ROW) {
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "attachments", e);
    } else if (bits.len == len) {
        tako_put_bytes(out, bits);
    } else if (bits.len == 0) { /* all of them */
        for (size_t i = 0; i < len; i++)
            tako_put_u8(out, 0xff);
    } else {
        err = tako_fail(e, TAKO_CORRUPT, "%s: table blob is damaged",
                        c->store->path);
    }
    store_done(c, stmt);
    return err == TAKO_OK && out->failed
               ? tako_fail(e, TAKO_NOMEM, "out of memory")
               : err;
}

tako_err store_blob_missing(store_conn *c, const uint8_t *after,
                            uint8_t id[BLOB_ID_BYTES], uint64_t *len,
                            tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        c,
        "SELECT id, max(len) FROM blob_ref AS r WHERE id>?1 AND NOT EXISTS("
        "SELECT 1 FROM blob WHERE blob.id=r.id AND bits IS NULL) GROUP BY id "
        "ORDER BY id LIMIT 1",
        &err, e);
    tako_slice got;
    int rc;

    TAKO_TRY(err);
    (void)conn_bind(stmt, 1, tako_slice_of(after, after ? BLOB_ID_BYTES : 0));
    rc = sqlite3_step(stmt);
    got = rc == SQLITE_ROW ? conn_column(stmt, 0) : TAKO_SLICE_NONE;
    if (got.len == BLOB_ID_BYTES) {
        memcpy(id, got.ptr, BLOB_ID_BYTES);
        *len = (uint64_t)sqlite3_column_int64(stmt, 1);
    } else {
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "attachments", e);
    }
    store_done(c, stmt);
    return err;
}

/* ---- reading ---------------------------------------------------------------- */

tako_err blob_view_open(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                        blob_view *out, tako_errbuf *e)
{
    *out = (blob_view){ .root = tako_buf_on(c->env),
                        .node = tako_buf_on(c->env),
                        .part = tako_buf_on(c->env) };
    return store_blob_find(c, id, &out->facts, e);
}

void blob_view_close(blob_view *v)
{
    tako_buf_fini(&v->root);
    tako_buf_fini(&v->node);
    tako_buf_fini(&v->part);
    v->rooted = false;
    v->node_part = 0;
}

/* The stored bytes of a part, not checked. */
static tako_err part_load(blob_view *v, store_conn *c, uint32_t part,
                          tako_buf *out, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(c, "SELECT data FROM blob_part WHERE at=?1", &err, e);
    int rc;

    TAKO_TRY(err);
    (void)sqlite3_bind_int64(
        stmt, 1, blob_at(v->facts.number, blob_place(&v->facts.form, part)));
    tako_buf_reset(out);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        tako_put_bytes(out, conn_column(stmt, 0));
    else
        err = rc == SQLITE_DONE ? TAKO_NOTFOUND
                                : conn_fail(c, rc, "attachments", e);
    store_done(c, stmt);
    return err == TAKO_OK && out->failed
               ? tako_fail(e, TAKO_NOMEM, "out of memory")
               : err;
}

static tako_err damaged(const blob_view *v, const store_conn *c, uint32_t part,
                        tako_errbuf *e)
{
    return tako_fail(e, TAKO_CORRUPT,
                     "%s: part %u of an attachment of %llu bytes is damaged",
                     c->store->path, part,
                     (unsigned long long)v->facts.form.len);
}

static tako_err root_ready(blob_view *v, store_conn *c, tako_errbuf *e)
{
    if (v->rooted)
        return TAKO_OK;
    TAKO_TRY(part_load(v, c, 0, &v->root, e));
    if (!blob_root_is(&v->facts.form, v->facts.id, tako_buf_slice(&v->root)))
        return damaged(v, c, 0, e);
    v->rooted = true;
    return TAKO_OK;
}

static tako_err node_ready(blob_view *v, store_conn *c, uint32_t part,
                           tako_errbuf *e)
{
    size_t at;

    if (v->node_part == part)
        return TAKO_OK;
    TAKO_TRY(root_ready(v, c, e));
    v->node_part = 0;
    TAKO_TRY(part_load(v, c, part, &v->node, e));
    (void)blob_part_parent(&v->facts.form, part, &at);
    if (!blob_part_is(&v->facts.form, part, v->root.ptr + at,
                      tako_buf_slice(&v->node)))
        return damaged(v, c, part, e);
    v->node_part = part;
    return TAKO_OK;
}

tako_err blob_view_part(blob_view *v, store_conn *c, uint32_t part,
                        tako_slice *out, tako_errbuf *e)
{
    const blob_form *f = &v->facts.form;
    size_t at;

    if (part >= f->parts)
        return TAKO_NOTFOUND;
    if (part == 0) {
        TAKO_TRY(root_ready(v, c, e));
        *out = tako_buf_slice(&v->root);
        return TAKO_OK;
    }
    if (!blob_part_is_chunk(f, part)) {
        TAKO_TRY(node_ready(v, c, part, e));
        *out = tako_buf_slice(&v->node);
        return TAKO_OK;
    }
    TAKO_TRY(node_ready(v, c, blob_part_parent(f, part, &at), e));
    TAKO_TRY(part_load(v, c, part, &v->part, e));
    if (!blob_part_is(f, part, v->node.ptr + at, tako_buf_slice(&v->part)))
        return damaged(v, c, part, e);
    *out = tako_buf_slice(&v->part);
    return TAKO_OK;
}

tako_err blob_view_read(blob_view *v, store_conn *c, uint64_t offset,
                        tako_slice *out, tako_errbuf *e)
{
    const blob_form *f = &v->facts.form;
    size_t in = (size_t)(offset % BLOB_PART_BYTES);
    tako_slice s;

    *out = TAKO_SLICE_NONE;
    if (offset >= f->len)
        return TAKO_OK;
    TAKO_TRY(blob_view_part(
        v, c, blob_part_of_chunk(f, (uint32_t)(offset / BLOB_PART_BYTES)), &s,
        e));
    *out = tako_slice_of(s.ptr + in, s.len - in);
    return TAKO_OK;
}

/* ---- what arrives ------------------------------------------------------------- */

tako_err blob_part_insert(store *s, int64_t number, uint32_t place,
                          tako_slice bytes, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer, "INSERT OR REPLACE INTO blob_part(at,data)VALUES(?1,?2)",
        &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, blob_at(number, place));
    (void)conn_bind(stmt, 2, bytes);
    return blob_step(s, stmt, "keeping an attachment", e);
}

/* Nothing came under the length of an earlier token, which was wrong. */
static tako_err row_resize(store *s, const blob_facts *f, const blob_form *form,
                           tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer, "UPDATE blob SET len=?2,bits=zeroblob(?3) WHERE number=?1",
        &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, f->number);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)form->len);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)blob_bits_len(form->parts));
    return blob_step(s, stmt, "expecting an attachment", e);
}

tako_err store_blob_expect(store *s, const uint8_t id[BLOB_ID_BYTES],
                           uint64_t len, tako_errbuf *e)
{
    uint64_t now = blob_now(s);
    blob_facts facts;
    blob_form form;
    sqlite3_stmt *stmt;
    tako_err err;

    TAKO_TRY(txn_check(s, e));
    if (!blob_form_of(len, &form))
        return tako_fail(e, TAKO_LIMIT,
                         "an attachment has %llu bytes, over "
                         "%llu",
                         (unsigned long long)len,
                         (unsigned long long)TAKO_BLOB_BYTES_MAX);
    err = store_blob_find(&s->writer, id, &facts, e);
    if (err == TAKO_OK && facts.have == 0 && facts.form.len != len)
        return row_resize(s, &facts, &form, e);
    if (err != TAKO_NOTFOUND)
        return err;
    stmt = blob_sql(&s->writer,
                    "INSERT INTO blob(id,len,have,bytes,bits,free)"
                    "VALUES(?1,?2,0,0,zeroblob(?3),"
                    "CASE WHEN EXISTS(SELECT 1 FROM blob_ref WHERE id=?1)"
                    "THEN NULL ELSE ?4 END)",
                    &err, e);
    if (stmt == NULL)
        return txn_break(s, err);
    (void)conn_bind(stmt, 1, tako_slice_of(id, BLOB_ID_BYTES));
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)len);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)blob_bits_len(form.parts));
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)now);
    blob_freed(s, now);
    return blob_step(s, stmt, "expecting an attachment", e);
}

/* What is free stays so, but its time begins anew: it is in use. */
static tako_err row_update(store *s, const blob_facts *f, tako_slice bits,
                           tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer,
        "UPDATE blob SET have=?2,bytes=?3,bits=?4,"
        "free=CASE WHEN free IS NULL THEN NULL ELSE ?5 END WHERE number=?1",
        &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, f->number);
    (void)sqlite3_bind_int64(stmt, 2, f->have);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)f->bytes);
    (void)conn_bind_or_null(stmt, 4, bits);
    (void)sqlite3_bind_int64(stmt, 5, (int64_t)blob_now(s));
    return blob_step(s, stmt, "keeping an attachment", e);
}

tako_err store_blob_take(store *s, const uint8_t id[BLOB_ID_BYTES],
                         const blob_piece *pieces, size_t count, bool *whole,
                         tako_errbuf *e)
{
    tako_buf bits = tako_buf_on(s->env);
    blob_facts f;
    tako_err err;

    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(store_blob_find(&s->writer, id, &f, e));
    *whole = f.whole;
    if (f.whole)
        return TAKO_OK;
    err = store_blob_bits(&s->writer, &f, &bits, e);
    for (size_t i = 0; i < count && err == TAKO_OK; i++) {
        const blob_piece *p = &pieces[i];

        if (p->part >= f.form.parts ||
            p->bytes.len != blob_part_len(&f.form, p->part))
            err = tako_fail(e, TAKO_INVALID, "no part of this attachment");
        if (err != TAKO_OK)
            continue;
        err = blob_part_insert(s, f.number, blob_place(&f.form, p->part),
                               p->bytes, e);
        if (blob_bit(bits.ptr, p->part))
            continue;
        blob_bit_set(bits.ptr, p->part);
        f.have++;
        f.bytes += p->bytes.len;
    }
    *whole = err == TAKO_OK && f.have == f.form.parts;
    if (err == TAKO_OK)
        err = row_update(s, &f,
                         *whole ? TAKO_SLICE_NONE : tako_buf_slice(&bits), e);
    tako_buf_fini(&bits);
    return err;
}
