// SPDX-License-Identifier: Apache-2.0
/* BLOB REF -- references are kept where documents are written.
 *
 * Every row that is written passes here with what it was and what it is. Most
 * documents hold no token, and that must cost next to nothing: the bytes of a
 * token's key are looked for in meta and body, where a value stands verbatim,
 * be it shown or a sibling that lost. Only when they are found is the state
 * decoded, and the set of its tokens compared with the one in the table.
 *
 * A marker of what was evicted and a tombstone hold nothing. A value that only
 * looks like a token but is no ATTACHMENT does not count. */
#include "store/blob_ref.h"

#include "crdt/attachments.h"
#include "store/blob_rows.h"

/* ---- the tokens of a state ---------------------------------------------------- */

static tako_err ids_grow(blob_ids *l)
{
    size_t cap = l->cap == 0 ? 8 : l->cap * 2;
    blob_ref_id *at = tako_arena_array(l->arena, cap, sizeof *at);

    if (at == NULL)
        return TAKO_NOMEM;
    if (l->count > 0)
        memcpy(at, l->at, l->count * sizeof *at);
    l->at = at;
    l->cap = cap;
    return TAKO_OK;
}

static tako_err ids_add(void *ctx, tako_slice value)
{
    blob_ids *l = ctx;
    blob_token t;
    size_t at = 0;

    if (blob_token_read(value, &t, NULL) != TAKO_OK)
        return TAKO_OK; /* an attachment in no form of ours refers to nothing */
    while (at < l->count && memcmp(l->at[at].id, t.id, BLOB_ID_BYTES) < 0)
        at++;
    if (at < l->count && memcmp(l->at[at].id, t.id, BLOB_ID_BYTES) == 0)
        return TAKO_OK;
    if (l->count == l->cap)
        TAKO_TRY(ids_grow(l));
    memmove(l->at + at + 1, l->at + at, (l->count - at) * sizeof *l->at);
    memcpy(l->at[at].id, t.id, BLOB_ID_BYTES);
    l->at[at].len = t.len;
    l->count++;
    return TAKO_OK;
}

bool blob_refs_near(tako_slice meta, tako_slice body)
{
    return blob_token_near(body) || blob_token_near(meta);
}

tako_err blob_ids_of(tako_slice meta, tako_slice body, blob_ids *out)
{
    crdt_dot dot;
    crdt_doc *d;

    if (!blob_refs_near(meta, body))
        return TAKO_OK;
    if (crdt_meta_is_marker(meta) || crdt_meta_is_fresh(meta, &dot))
        return TAKO_OK; /* of plain values */
    TAKO_TRY(crdt_doc_decode_trusted(out->arena, meta, body, &d, NULL));
    return crdt_attachments(d, ids_add, out);
}

/* ---- the rows ------------------------------------------------------------------ */

void blob_freed(store *s, uint64_t now_ms)
{
    if (now_ms < s->blob_free)
        s->blob_free = now_ms;
}

/* ?1 the id; further ones, where there are: coll, row, last. */
static tako_err ref_run(store *s, const char *sql, uint32_t coll, int64_t row,
                        const blob_ref_id *id, int64_t last, tako_errbuf *e)
{
    const int64_t more[] = { coll, row, last };
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(&s->writer, sql, &err, e);
    int count;

    if (stmt == NULL)
        return txn_break(s, err);
    (void)conn_bind(stmt, 1, tako_slice_of(id->id, BLOB_ID_BYTES));
    count = sqlite3_bind_parameter_count(stmt);
    for (int i = 2; i <= count; i++)
        (void)sqlite3_bind_int64(stmt, i, more[i - 2]);
    return blob_step(s, stmt, "keeping what refers to an attachment", e);
}

static tako_err ref_add(store *s, uint32_t coll, int64_t row,
                        const blob_ref_id *id, tako_errbuf *e)
{
    TAKO_TRY(ref_run(s,
                     "INSERT OR REPLACE INTO blob_ref(id,coll,row,len)"
                     "VALUES(?1,?2,?3,?4)",
                     coll, row, id, (int64_t)id->len, e));
    return ref_run(s, "UPDATE blob SET free=NULL WHERE id=?1", 0, 0, id, 0, e);
}

static tako_err ref_drop(store *s, uint32_t coll, int64_t row,
                         const blob_ref_id *id, tako_errbuf *e)
{
    uint64_t now = blob_now(s);

    TAKO_TRY(ref_run(s,
                     "DELETE FROM blob_ref WHERE id=?1 AND coll=?2 AND row=?3",
                     coll, row, id, 0, e));
    blob_freed(s, now);
    return ref_run(s,
                   "UPDATE blob SET free=?4 WHERE id=?1 AND NOT EXISTS("
                   "SELECT 1 FROM blob_ref WHERE id=?1)",
                   0, 0, id, (int64_t)now, e);
}

static tako_err refs_differ(store *s, uint32_t coll, int64_t row,
                            const blob_ids *old, const blob_ids *new,
                            tako_errbuf *e)
{
    size_t i = 0, k = 0;

    while (i < old->count || k < new->count) {
        int c = i == old->count ? 1
                : k == new->count
                    ? -1
                    : memcmp(old->at[i].id, new->at[k].id, BLOB_ID_BYTES);

        if (c == 0 && old->at[i].len != new->at[k].len)
            TAKO_TRY(ref_add(s, coll, row, &new->at[k], e));
        if (c < 0)
            TAKO_TRY(ref_drop(s, coll, row, &old->at[i], e));
        if (c > 0)
            TAKO_TRY(ref_add(s, coll, row, &new->at[k], e));
        i += c <= 0;
        k += c >= 0;
    }
    return TAKO_OK;
}

/* What the table says of this document. */
static tako_err refs_known(store *s, uint32_t coll, int64_t row, blob_ids *out,
                           tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer,
        "SELECT id,len FROM blob_ref WHERE coll=?1 AND row=?2 ORDER BY id",
        &err, e);
    int rc;

    TAKO_TRY(err);
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, row);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        tako_slice id =
            rc == SQLITE_ROW ? conn_column(stmt, 0) : TAKO_SLICE_NONE;

        if (id.len != BLOB_ID_BYTES)
            err = conn_fail(&s->writer, rc == SQLITE_ROW ? SQLITE_CORRUPT : rc,
                            "attachments", e);
        else if (out->count == out->cap)
            err = ids_grow(out);
        if (err != TAKO_OK)
            break;
        memcpy(out->at[out->count].id, id.ptr, BLOB_ID_BYTES);
        out->at[out->count++].len = (uint64_t)sqlite3_column_int64(stmt, 1);
    }
    store_done(&s->writer, stmt);
    return err;
}

tako_err blob_refs_change(store *s, uint32_t coll, int64_t row, tako_slice meta,
                          tako_slice body, tako_errbuf *e)
{
    tako_arena a = tako_arena_on(s->env);
    blob_ids old = { .arena = &a }, new = { .arena = &a };
    tako_err err = refs_known(s, coll, row, &old, e);

    if (err == TAKO_OK)
        err = blob_ids_of(meta, body, &new);
    if (err == TAKO_OK)
        err = refs_differ(s, coll, row, &old, &new, e);
    else
        err = txn_break(
            s, tako_fail(e, err, "%s: looking for attachments", s->path));
    tako_arena_fini(&a);
    return err;
}
