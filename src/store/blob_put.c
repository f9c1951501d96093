// SPDX-License-Identifier: Apache-2.0
/* BLOB PUT -- a new content, as a stream.
 *
 * Chunks are written as they fill, nodes when they do, the root at the end; so
 * memory does not grow with the content. The row has no id before the end. If
 * a content with the id that comes out is there already, the new rows are
 * given to the collector, or, where that one is not whole, the old ones.
 *
 * The caller commits now and then between calls. Between two commits the
 * collector may run: a row whose `free` it has set to 0 is its own, so each
 * step asks whether the row is still ours. */
#include "store/blob_rows.h"

struct blob_put {
    store *s;
    int64_t number;
    uint64_t len;   /* of what is written */
    uint64_t bytes; /* of all parts written */
    uint32_t chunks, nodes;
    tako_buf chunk, node, root;
};

void store_blob_put_free(blob_put *p)
{
    if (p == NULL)
        return;
    tako_buf_fini(&p->chunk);
    tako_buf_fini(&p->node);
    tako_buf_fini(&p->root);
    tako_env_free(p->s->env, p, sizeof *p);
}

static tako_err row_new(blob_put *p, tako_errbuf *e)
{
    store *s = p->s;
    uint64_t now = blob_now(s);
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer, "INSERT INTO blob(len,have,bytes,free)VALUES(0,0,0,?1)",
        &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)now);
    TAKO_TRY(blob_step(s, stmt, "putting in an attachment", e));
    p->number = sqlite3_last_insert_rowid(s->writer.db);
    blob_freed(s, now);
    return TAKO_OK;
}

tako_err store_blob_put_begin(store *s, blob_put **out, tako_errbuf *e)
{
    blob_put *p;
    tako_err err;

    TAKO_ARG(s != NULL && out != NULL);
    *out = NULL;
    TAKO_TRY(txn_check(s, e));
    p = tako_env_alloc(s->env, sizeof *p);
    if (p == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    p->s = s;
    p->chunk = p->node = p->root = tako_buf_on(s->env);
    err = row_new(p, e);
    if (err == TAKO_OK)
        *out = p;
    else
        store_blob_put_free(p);
    return err;
}

static tako_err out_of_memory(tako_errbuf *e)
{
    return tako_fail(e, TAKO_NOMEM, "out of memory");
}

static tako_err node_write(blob_put *p, tako_errbuf *e)
{
    uint8_t hash[BLOB_HASH_BYTES];

    blob_hash_node(tako_buf_slice(&p->node), hash);
    tako_put_bytes(&p->root, tako_slice_of(hash, sizeof hash));
    if (p->root.failed)
        return out_of_memory(e);
    TAKO_TRY(blob_part_insert(p->s, p->number, blob_part_of_node(p->nodes),
                              tako_buf_slice(&p->node), e));
    p->bytes += p->node.len;
    p->nodes++;
    tako_buf_reset(&p->node);
    return TAKO_OK;
}

static tako_err chunk_write(blob_put *p, tako_errbuf *e)
{
    uint8_t hash[BLOB_HASH_BYTES];

    blob_hash_chunk(tako_buf_slice(&p->chunk), hash);
    tako_put_bytes(&p->node, tako_slice_of(hash, sizeof hash));
    if (p->node.failed)
        return out_of_memory(e);
    TAKO_TRY(blob_part_insert(p->s, p->number, BLOB_PLACE_CHUNK + p->chunks,
                              tako_buf_slice(&p->chunk), e));
    p->bytes += p->chunk.len;
    p->chunks++;
    tako_buf_reset(&p->chunk);
    return p->node.len == BLOB_PART_BYTES ? node_write(p, e) : TAKO_OK;
}

/* The row is still ours, and in use. */
static tako_err row_hold(blob_put *p, tako_errbuf *e)
{
    store *s = p->s;
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer,
        "UPDATE blob SET bytes=?2,free=?3 WHERE number=?1 AND free>0", &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, p->number);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)p->bytes);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)blob_now(s));
    TAKO_TRY(blob_step(s, stmt, "putting in an attachment", e));
    if (sqlite3_changes(s->writer.db) == 0)
        return tako_fail(e, TAKO_NOTFOUND,
                         "the attachment stood still for so long that it was "
                         "collected");
    return TAKO_OK;
}

tako_err store_blob_put_data(blob_put *p, tako_slice data, tako_errbuf *e)
{
    TAKO_TRY(txn_check(p->s, e));
    if (data.len > TAKO_BLOB_BYTES_MAX - p->len)
        return tako_fail(e, TAKO_LIMIT, "an attachment has over %llu bytes",
                         (unsigned long long)TAKO_BLOB_BYTES_MAX);
    while (data.len > 0) {
        size_t room = BLOB_PART_BYTES - p->chunk.len;
        size_t n = data.len < room ? data.len : room;

        tako_put_bytes(&p->chunk, tako_slice_of(data.ptr, n));
        if (p->chunk.failed)
            return out_of_memory(e);
        p->len += n;
        data = tako_slice_of(data.ptr + n, data.len - n);
        if (p->chunk.len == BLOB_PART_BYTES)
            TAKO_TRY(chunk_write(p, e));
    }
    return row_hold(p, e);
}

/* Gives rows to the collector. */
static tako_err row_let_go(store *s, int64_t number, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt = blob_sql(
        &s->writer, "UPDATE blob SET id=NULL,free=0 WHERE number=?1", &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, number);
    s->blob_free = 0;
    return blob_step(s, stmt, "putting in an attachment", e);
}

static tako_err row_name(blob_put *p, const uint8_t id[BLOB_ID_BYTES],
                         tako_errbuf *e)
{
    store *s = p->s;
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(&s->writer,
                 "UPDATE blob SET id=?2,len=?3,have=?4,bytes=?5,bits=NULL,"
                 "free=CASE WHEN EXISTS(SELECT 1 FROM blob_ref WHERE id=?2)"
                 "THEN NULL ELSE ?6 END WHERE number=?1",
                 &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, p->number);
    (void)conn_bind(stmt, 2, tako_slice_of(id, BLOB_ID_BYTES));
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)p->len);
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)(1u + p->nodes) + p->chunks);
    (void)sqlite3_bind_int64(stmt, 5, (int64_t)p->bytes);
    (void)sqlite3_bind_int64(stmt, 6, (int64_t)blob_now(s));
    return blob_step(s, stmt, "putting in an attachment", e);
}

/* It is here already: it is in use again. */
static tako_err row_renew(store *s, int64_t number, tako_errbuf *e)
{
    tako_err err;
    sqlite3_stmt *stmt =
        blob_sql(&s->writer,
                 "UPDATE blob SET free=?2 WHERE number=?1 AND free>0", &err, e);

    if (stmt == NULL)
        return txn_break(s, err);
    (void)sqlite3_bind_int64(stmt, 1, number);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)blob_now(s));
    return blob_step(s, stmt, "putting in an attachment", e);
}

tako_err store_blob_put_end(blob_put *p, uint8_t id[BLOB_ID_BYTES],
                            uint64_t *len, tako_errbuf *e)
{
    store *s = p->s;
    blob_facts old;
    tako_err err;

    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(row_hold(p, e));
    if (p->chunk.len > 0)
        TAKO_TRY(chunk_write(p, e));
    if (p->node.len > 0)
        TAKO_TRY(node_write(p, e));
    blob_id_of(p->len, tako_buf_slice(&p->root), id);
    *len = p->len;
    err = store_blob_find(&s->writer, id, &old, e);
    if (err == TAKO_OK && old.whole) {
        TAKO_TRY(row_let_go(s, p->number, e));
        return row_renew(s, old.number, e);
    }
    if (err == TAKO_OK)
        err = row_let_go(s, old.number, e);
    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return err;
    TAKO_TRY(blob_part_insert(s, p->number, 0, tako_buf_slice(&p->root), e));
    p->bytes += p->root.len;
    return row_name(p, id, e);
}
