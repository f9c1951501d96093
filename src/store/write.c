// SPDX-License-Identifier: Apache-2.0
/* WRITE -- local writes: the fast insert, and load, change, save.
 *
 * INSERT  does not look whether the document is there: the meta of a fresh
 * state is made without a tree and the INSERT itself finds a conflict, which
 * SQLite reports before it has changed anything.
 *
 * EDIT  decodes into an arena, lets the caller use crdt_*, and writes the row
 * back where its version moved. Whether this transaction has touched the
 * document before is seen from the row's lsn, which then is the
 * transaction's own. */
#include "store/blob_ref.h"
#include "store/internal.h"

/* ---- rows ---------------------------------------------------------------- */

static tako_err bind_state(sqlite3_stmt *stmt, const store_row *row)
{
    int rc = conn_bind(stmt, 3, tako_slice_of(row->version, 16));

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 4, (int64_t)row->lsn);
    if (rc == SQLITE_OK)
        rc = conn_bind_or_null(stmt, 5, row->body);
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 6, row->meta);
    return rc == SQLITE_OK ? TAKO_OK : TAKO_NOMEM;
}

/* TAKO_EXISTS when the row, or an equal negative id, is there; any other
 * failure has rolled back. */
static tako_err row_insert(store *s, uint32_t coll, const store_row *row,
                           tako_slice column, tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    tako_err err;
    int rc;

    TAKO_TRY(conn_coll_stmt(&s->writer, coll, COLL_INSERT, &stmt, e));
    err = bind_state(stmt, row);
    if (err != TAKO_OK || sqlite3_bind_int64(stmt, 1, row->row) != SQLITE_OK ||
        conn_bind(stmt, 2, column) != SQLITE_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE) {
        (void)sqlite3_reset(stmt);
        return TAKO_OK;
    }
    err = (rc & 0xff) == SQLITE_CONSTRAINT
              ? TAKO_EXISTS
              : conn_fail(&s->writer, rc, "writing a document", e);
    (void)sqlite3_reset(stmt);
    return err == TAKO_EXISTS ? err : txn_break(s, err);
}

static tako_err row_update(store *s, uint32_t coll, const store_row *row,
                           tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    tako_err err;
    int rc;

    TAKO_TRY(conn_coll_stmt(&s->writer, coll, COLL_UPDATE, &stmt, e));
    err = bind_state(stmt, row);
    if (err != TAKO_OK || sqlite3_bind_int64(stmt, 1, row->row) != SQLITE_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(&s->writer, rc, "writing a document", e);
    (void)sqlite3_reset(stmt);
    return err == TAKO_OK ? err : txn_break(s, err);
}

/* Under a negative row, with the whole id in the column. */
static tako_err insert_below(store *s, uint32_t coll, store_row *row,
                             tako_errbuf *e)
{
    TAKO_TRY(coll_next_row(s, coll, &row->row, e));
    return row_insert(s, coll, row, row->id, e);
}

static tako_err insert_anywhere(store *s, uint32_t coll, const doc_key *key,
                                store_row *row, tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    bool taken;
    tako_err err;

    if (!key->ulid)
        return insert_below(s, coll, row, e);
    row->row = key->row;
    err =
        row_insert(s, coll, row, tako_slice_of(key->rest, STORE_REST_BYTES), e);
    if (err != TAKO_EXISTS)
        return err;
    err = row_find(&s->writer, coll, key, &stmt, &taken, e);
    if (err == TAKO_OK) {
        (void)sqlite3_reset(stmt);
        return TAKO_EXISTS;
    }
    if (err != TAKO_NOTFOUND)
        return err;
    return insert_below(s, coll, row, e);
}

tako_err row_insert_new(store *s, uint32_t coll, const doc_key *key,
                        tako_slice meta, tako_slice body, int64_t *row,
                        tako_errbuf *e)
{
    store_row now = {
        .id = key->id, .meta = meta, .body = body, .lsn = s->txn.lsn
    };
    tako_err err = change_reserve(&s->changes);

    if (err != TAKO_OK)
        return tako_fail(e, err, "out of memory");
    crdt_version(meta, body, now.version);
    TAKO_TRY(insert_anywhere(s, coll, key, &now, e));
    *row = now.row;
    if (blob_refs_near(meta, body))
        TAKO_TRY(blob_refs_change(s, coll, *row, meta, body, e));
    change_new(&s->changes, coll, *row, body.len > 0);
    change_wrote(&s->changes, &now);
    return TAKO_OK;
}

/* ---- edits --------------------------------------------------------------- */

/* Copies the row under the statement, which another call may reset, and the id,
 * which is needed until the edit is saved. */
static tako_err edit_take(sqlite3_stmt *stmt, tako_buf *b, doc_edit *d)
{
    tako_slice version = conn_column(stmt, COL_VERSION);
    tako_slice meta = conn_column(stmt, COL_META);
    tako_slice body = conn_column(stmt, COL_BODY);

    if (version.len != sizeof d->version)
        return TAKO_CORRUPT;
    memcpy(d->version, version.ptr, sizeof d->version);
    d->stored = true;
    d->row = sqlite3_column_int64(stmt, COL_ROW);
    d->lsn = (uint64_t)sqlite3_column_int64(stmt, COL_LSN);
    tako_put_bytes(b, meta);
    tako_put_bytes(b, body);
    tako_put_bytes(b, d->key.id);
    if (b->failed)
        return TAKO_NOMEM;
    d->meta = tako_slice_of(b->ptr, meta.len);
    if (body.len > 0)
        d->body = tako_slice_of(b->ptr + meta.len, body.len);
    d->key.id = tako_slice_of(b->ptr + meta.len + body.len, d->key.id.len);
    return TAKO_OK;
}

tako_err edit_load(store *s, edit_memory *m, uint32_t coll, tako_slice id,
                   doc_edit *out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = NULL;
    tako_arena *a = &m->arena;
    doc_edit d = { .coll = coll };
    bool taken;
    tako_err err;

    out->open = false;
    tako_arena_reset(a);
    conn_buf_reset(&m->bytes);
    TAKO_TRY(doc_key_of(id, &d.key, e));
    err = row_find(&s->writer, coll, &d.key, &stmt, &taken, e);
    if (err == TAKO_NOTFOUND) {
        if (stmt == NULL && store_coll_name(&s->writer, coll).len == 0)
            return tako_fail(e, TAKO_NOTFOUND,
                             "there is no collection number %u", coll);
        d.key.id = tako_arena_copy(a, id);
        err = d.key.id.ptr != NULL ? crdt_doc_new(a, &d.doc) : TAKO_NOMEM;
    } else if (err == TAKO_OK) {
        err = edit_take(stmt, &m->bytes, &d);
        (void)sqlite3_reset(stmt);
        d.marker = err == TAKO_OK && crdt_meta_is_marker(d.meta);
        d.notice = err == TAKO_OK && crdt_meta_is_notice(d.meta);
        if (d.notice)
            err = crdt_doc_new(a, &d.doc);
        else if (d.marker)
            err = crdt_marker_read(a, d.meta, &d.doc, e);
        else if (err == TAKO_OK)
            err = crdt_doc_decode_trusted(a, d.meta, d.body, &d.doc, e);
    }
    if (err == TAKO_NOMEM)
        (void)tako_fail(e, err, "out of memory");
    if (err != TAKO_OK)
        return err;
    d.open = true;
    *out = d;
    return TAKO_OK;
}

/* What a local write may make; shrinking is always possible. */
static tako_err size_check(store *s, size_t body, size_t before, tako_errbuf *e)
{
    if (body > TAKO_DOC_BYTES_MAX && body > before)
        return tako_fail(e, TAKO_LIMIT, "the document has %zu bytes, over %u",
                         body, TAKO_DOC_BYTES_MAX);
    if (body > TAKO_DOC_BYTES_WARN && body > before)
        tako_log(s->env, TAKO_LOG_WARN, "document_large", "\"bytes\":%zu",
                 body);
    return TAKO_OK;
}

/* The row is there: notes what was, then replaces it. */
tako_err edit_replace(store *s, doc_edit *d, const uint8_t version[16],
                      tako_slice meta, tako_slice body, tako_errbuf *e)
{
    bool first = d->lsn != s->txn.lsn;
    store_row now = { .row = d->row,
                      .id = d->key.id,
                      .meta = meta,
                      .body = body,
                      .lsn = s->txn.lsn };
    tako_err err;

    if (first) {
        change_prior prior = {
            .lsn = d->lsn, .id = d->key.id, .meta = d->meta, .body = d->body
        };

        memcpy(prior.version, d->version, sizeof prior.version);
        err = change_old(&s->changes, &prior);
        if (err != TAKO_OK)
            return tako_fail(e, err, "out of memory");
    }
    memcpy(now.version, version, sizeof now.version);
    TAKO_TRY(row_update(s, d->coll, &now, e));
    if (d->tokens || blob_refs_near(d->meta, d->body) ||
        blob_refs_near(meta, body)) {
        d->tokens = true;
        TAKO_TRY(blob_refs_change(s, d->coll, d->row, meta, body, e));
    }
    if (body.len == 0)
        TAKO_TRY(tomb_note(s, d->coll, d->row, meta, e));
    if (first) {
        change_old_done(&s->changes, d->coll, d->row, body.len > 0);
        change_wrote(&s->changes, &now);
        return TAKO_OK;
    }
    err = change_again(&s->changes, d->coll, d->row, body.len > 0);
    if (err == TAKO_OK)
        return TAKO_OK;
    (void)txn_break(s, err); /* the row is written, its change is not */
    return tako_fail(e, err, "%s: recording a change failed", s->path);
}

static tako_err save_new(store *s, doc_edit *d, tako_slice meta,
                         tako_slice body, tako_errbuf *e)
{
    TAKO_TRY(row_insert_new(s, d->coll, &d->key, meta, body, &d->row, e));
    d->tokens = blob_refs_near(meta, body);
    d->stored = true;
    return body.len > 0 ? TAKO_OK : tomb_note(s, d->coll, d->row, meta, e);
}

tako_err edit_save(store *s, doc_edit *d, bool local, tako_errbuf *e)
{
    uint8_t version[16];
    tako_slice meta, body;
    tako_err err;

    if (crdt_doc_context(d->doc)->count == 0)
        return TAKO_OK; /* nothing ever happened to it */
    conn_buf_reset(&s->meta);
    conn_buf_reset(&s->body);
    err = crdt_doc_encode(d->doc, &s->meta, &s->body);
    if (err != TAKO_OK)
        return tako_fail(e, err, "encoding the document failed");
    meta = tako_buf_slice(&s->meta);
    body = tako_buf_slice(&s->body);
    if (d->marker && local && !crdt_doc_alive(d->doc))
        return TAKO_OK; /* nothing happened to it since */
    if (d->marker && local)
        TAKO_TRY(death_bury_followed(s, d, e));
    crdt_version(meta, body, version);
    if (d->stored && !d->marker &&
        memcmp(version, d->version, sizeof version) == 0)
        return TAKO_OK;
    if (local)
        TAKO_TRY(size_check(s, body.len, d->body.len, e));
    if (meta.len + body.len > TAKO_DOC_STATE_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the state has %zu bytes, over %u",
                         meta.len + body.len, TAKO_DOC_STATE_BYTES_MAX);
    err = d->stored ? edit_replace(s, d, version, meta, body, e)
                    : save_new(s, d, meta, body, e);
    if (err == TAKO_OK) {
        memcpy(d->version, version, sizeof version);
        d->marker = d->notice = false;
        d->lsn = s->txn.lsn; /* a second save of this edit is no first one */
    }
    return err;
}

tako_err edit_local(store *s, uint32_t coll, tako_slice id, doc_edit *out,
                    tako_errbuf *e)
{
    uint64_t after;
    yard *y;
    tako_err err;

    TAKO_TRY(edit_load(s, &s->edit_memory, coll, id, out, e));
    if (!out->stored || out->notice) {
        TAKO_TRY(yard_of(s, coll, &y, e));
        after = y->epoch;
        TAKO_TRY(forgot_after(s, coll, id, &after, e));
        crdt_doc_after(out->doc, after);
    }
    if (!out->marker)
        return TAKO_OK;
    err = crdt_marker_follow(out->doc, s->state.actor, &out->doc);
    return err == TAKO_OK ? err : tako_fail(e, err, "out of memory");
}

tako_err store_edit(store *s, uint32_t coll, tako_slice id, crdt_doc **doc,
                    tako_errbuf *e)
{
    TAKO_ARG(s != NULL && doc != NULL);
    *doc = NULL;
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(edit_local(s, coll, id, &s->edit, e));
    *doc = s->edit.doc;
    return TAKO_OK;
}

tako_err store_edit_save(store *s, tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    if (!s->edit.open)
        return tako_fail(e, TAKO_MISUSE, "no document is being changed");
    return edit_save(s, &s->edit, true, e);
}

/* ---- the fast insert ----------------------------------------------------- */

/* Something is stored under the id: follow a tombstone, a marker or a notice,
 * refuse the living. */
static tako_err insert_after(store *s, uint32_t coll, tako_slice id,
                             tako_slice fields, crdt_dot dot, tako_errbuf *e)
{
    doc_edit d;
    tako_err err;

    s->edit.open = false; /* its memory is used here */
    TAKO_TRY(edit_local(s, coll, id, &d, e));
    if (crdt_doc_alive(d.doc))
        return tako_fail(e, TAKO_EXISTS, "a document with this _id exists");
    err = crdt_insert(d.doc, dot, fields);
    if (err != TAKO_OK)
        return tako_fail(e, err, "inserting failed");
    return edit_save(s, &d, true, e);
}

tako_err store_insert(store *s, uint32_t coll, tako_slice id, tako_slice fields,
                      tako_errbuf *e)
{
    doc_key key;
    crdt_dot dot;
    int64_t row;
    uint64_t after;
    yard *y;
    tako_err err;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(doc_key_of(id, &key, e));
    if (fields.len == 0 || cbor_kind_of(fields) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID, "a document is a map");
    TAKO_TRY(size_check(s, fields.len, 0, e));
    TAKO_TRY(store_dot(s, &dot, e));
    TAKO_TRY(yard_of(s, coll, &y, e));
    after = y->epoch;
    TAKO_TRY(forgot_after(s, coll, id, &after, e));
    conn_buf_reset(&s->meta);
    err = crdt_fresh_meta_at(dot, after + 1, fields, &s->meta);
    if (err != TAKO_OK)
        return tako_fail(e, err, "inserting failed");
    err = row_insert_new(s, coll, &key, tako_buf_slice(&s->meta), fields, &row,
                         e);
    return err == TAKO_EXISTS ? insert_after(s, coll, id, fields, dot, e) : err;
}
