// SPDX-License-Identifier: Apache-2.0
/* Running statements that write. Each runs inside a savepoint of the store's
 * transaction, so it happens whole or not at all. UPDATE and DELETE first
 * find what they touch, and compute all new values from the documents as they
 * were, then write: a row is never met twice, and no statement reads what it
 * wrote itself.
 *
 * ONE DOCUMENT  A change of the document with a given _id, to values that are
 * given too, needs no SQL to find it (query.by_id). It and an INSERT of one
 * document also need no savepoint: their only write is the last thing that
 * can fail, and the store undoes a write that fails by itself. */
#include "query/internal.h"

#include "base/check.h"
#include "query/check.h"
#include "query/emit.h"

tako_err query_run_dot(query_run_state *r)
{
    if (r->have_dot)
        return TAKO_OK;
    TAKO_TRY(store_dot(r->s, &r->dot, r->e));
    r->have_dot = true;
    return TAKO_OK;
}

/* ---- UPDATE and DELETE --------------------------------------------------------- */

static bool removes(const query *q)
{
    return q->parse.stmt.kind == QUERY_DELETE ||
           q->parse.stmt.kind == QUERY_EVICT;
}

/* Appends what one found row needs to `out`: its _id, the new values in the
 * order of SET (empty: MISSING), a byte per UNSET (1: there is something). */
static tako_err collect_row(query_run_state *r, tako_buf *out)
{
    query *q = r->q;
    const void *id = sqlite3_column_blob(q->stmt, 1);
    int column = 2;
    tako_err err;

    tako_buf_reset(&r->a);
    err = store_id_encode(
        sqlite3_column_int64(q->stmt, 0),
        tako_slice_of(id, (size_t)sqlite3_column_bytes(q->stmt, 1)), &r->a);
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "a damaged _id");
    tako_put_block(out, tako_buf_slice(&r->a));
    for (size_t i = 0; i < q->sets.count; i++) {
        tako_buf_reset(&r->a);
        value_put(&r->a, sqlite3_column_value(q->stmt, column++));
        tako_put_block(out, tako_buf_slice(&r->a));
        out->failed = out->failed || r->a.failed;
    }
    for (size_t i = 0; i < q->unsets.count; i++)
        tako_put_u8(out, sqlite3_column_type(q->stmt, column++) != SQLITE_NULL);
    if (out->failed)
        return tako_fail(r->e, TAKO_NOMEM, "out of memory");
    if (out->len > TAKO_COLLECT_BYTES_MAX)
        return tako_fail(r->e, TAKO_LIMIT,
                         "the statement touches too much at once (over %u "
                         "bytes of ids and values); do it in parts",
                         TAKO_COLLECT_BYTES_MAX);
    return TAKO_OK;
}

tako_err query_collect(query_run_state *r, tako_buf *out)
{
    query *q = r->q;
    tako_err err = TAKO_OK;
    int rc;

    if (q->by_id != NULL)
        TAKO_TRY(query_bind_stmt(q, q->stmt, r->e));
    while ((rc = query_sql_step(q, q->stmt)) == SQLITE_ROW && err == TAKO_OK)
        err = collect_row(r, out);
    if (err == TAKO_OK)
        err = query_sql_error(sqlite3_db_handle(q->stmt), rc, r->e);
    (void)sqlite3_reset(q->stmt);
    return err;
}

/* Changes one found document. *touched: something was written. in: what
 * collect_row found out; NULL: all values are fixed. */
static tako_err change_doc(query_run_state *r, crdt_doc *d, tako_reader *in,
                           bool *touched)
{
    query *q = r->q;

    if (q->parse.stmt.kind == QUERY_DELETE) {
        *touched = true;
        return crdt_delete(d, r->dot);
    }
    TAKO_TRY(query_types_check(r, d));
    for (size_t i = 0; i < q->applies.count; i++) {
        *touched = true;
        TAKO_TRY(query_apply(r, d, &q->applies.ops[i]));
    }
    for (size_t i = 0; i < q->sets.count; i++) {
        const query_op *op = &q->sets.ops[i];
        tako_slice value =
            in != NULL ? tako_read_block(in) : query_fixed(q, op->value);

        if (value.len == 0)
            continue;
        *touched = true;
        TAKO_TRY(query_set_field(r, d, op->path, op->type, value));
    }
    for (size_t i = 0; in != NULL && i < q->unsets.count; i++) {
        if (tako_read_u8(in) == 0)
            continue;
        *touched = true;
        TAKO_TRY(crdt_unset(d, r->dot, q->unsets.ops[i].path));
    }
    return TAKO_OK;
}

bool query_run_room(query_run_state *r, tako_slice id)
{
    return tako_buf_reserve(r->ids, id.len);
}

/* The _id of the one document to change, when it can be loaded by it: a text
 * that is short enough. SQL knows what else compares with an _id. */
static tako_slice direct_id(const query *q)
{
    tako_slice id = TAKO_SLICE_NONE;

    if (q->by_id != NULL && q->coll != 0)
        id = query_fixed(q, q->by_id);
    return value_rank_cbor(id) == RANK_TEXT && id.len <= TAKO_ID_BYTES_MAX
               ? id
               : TAKO_SLICE_NONE;
}

/* Writes a document that store_edit() loaded, if that touches it. */
static tako_err change_one(query_run_state *r, crdt_doc *d, tako_slice id,
                           tako_reader *in)
{
    bool touched = false;

    TAKO_TRY(change_doc(r, d, in, &touched));
    if (!touched)
        return TAKO_OK;
    if (!query_run_room(r, id))
        return TAKO_NOMEM;
    TAKO_TRY(store_edit_save(r->s, r->e));
    tako_put_bytes(r->ids, id);
    r->count++;
    return TAKO_OK;
}

static tako_err change_direct(query_run_state *r, tako_slice id)
{
    crdt_doc *d;

    TAKO_TRY(query_run_dot(r));
    TAKO_TRY(store_edit(r->s, r->q->coll, id, &d, r->e));
    if (!crdt_doc_alive(d))
        return TAKO_OK;
    if (removes(r->q)) {
        TAKO_TRY(query_returning_begin(r));
        TAKO_TRY(query_returning_one(r, id));
    }
    return change_one(r, d, id, NULL);
}

tako_err query_run_change(query_run_state *r)
{
    query *q = r->q;
    tako_slice direct = direct_id(q);
    tako_buf found = tako_buf_on(q->env);
    tako_reader in;
    tako_err err = TAKO_OK;

    if (direct.len > 0)
        return change_direct(r, direct);
    if (q->coll != 0)
        err = query_collect(r, &found);
    if (err == TAKO_OK && removes(q))
        err = query_returning_blocks(r, tako_buf_slice(&found));
    in = tako_reader_of(tako_buf_slice(&found));
    while (err == TAKO_OK && tako_reader_left(&in) > 0) {
        tako_slice id = tako_read_block(&in);
        crdt_doc *d;

        err = query_tick(q, r->e);
        if (err == TAKO_OK)
            err = query_run_dot(r);
        if (err == TAKO_OK)
            err = store_edit(r->s, q->coll, id, &d, r->e);
        if (err == TAKO_OK)
            err = change_one(r, d, id, &in);
    }
    tako_buf_fini(&found);
    return err;
}

/* ---- indexes ----------------------------------------------------------------------- */

static tako_err run_create_index(query_run_state *r)
{
    query *q = r->q;
    query_stmt *st = &q->parse.stmt;
    tako_buf name = tako_buf_on(q->env);
    emit m = { .p = &q->parse,
               .sql = tako_buf_on(q->env),
               .body = "body",
               .id = "tql_id(row,id)" };
    const char *sql;
    tako_err err = store_coll_create(r->s, st->target->name, &q->coll, r->e);

    if (err == TAKO_OK) {
        q->parse.e = r->e;
        store_index_sql_name(q->coll, st->index_name, &name);
        emit_index(&m, q->coll, tako_buf_slice(&name));
        sql = tako_buf_cstr(&m.sql);
        err = q->parse.err;
        q->parse.e = NULL;
        if (err == TAKO_OK && (m.sql.failed || name.failed))
            err = tako_fail(r->e, TAKO_NOMEM, "out of memory");
        if (err == TAKO_OK)
            err = store_index_create(r->s, q->coll, st->index_name,
                                     q->parse.text, sql, r->e);
        if (err == TAKO_EXISTS && st->if_exists)
            err = TAKO_OK;
    }
    tako_buf_fini(&m.sql);
    tako_buf_fini(&name);
    return err;
}

static tako_err run_drop_index(query_run_state *r)
{
    query *q = r->q;
    query_stmt *st = &q->parse.stmt;
    tako_err err = TAKO_NOTFOUND;

    if (q->coll != 0)
        err = store_index_drop(r->s, q->coll, st->index_name, r->e);
    if (err == TAKO_NOTFOUND && st->if_exists)
        return TAKO_OK;
    if (err == TAKO_NOTFOUND) {
        tako_slice near = query_near_index(q, st->target->name, st->index_name);

        return tako_fail(
            r->e, err, "there is no index %.*s on %.*s%s%.*s%s",
            (int)st->index_name.len, (const char *)st->index_name.ptr,
            (int)st->target->name.len, (const char *)st->target->name.ptr,
            near.len > 0 ? "; did you mean " : "", (int)near.len,
            near.len > 0 ? (const char *)near.ptr : "",
            near.len > 0 ? "?" : "");
    }
    return err;
}

/* ---- all of them ---------------------------------------------------------------------- */

static tako_err run_kind(query_run_state *r)
{
    if (r->q->parse.stmt.explain == EXPLAIN_PROVISION)
        return query_advise(r->q, r->s, r->e);
    if (r->q->parse.stmt.explain != EXPLAIN_NONE)
        return TAKO_MISUSE;
    switch (r->q->parse.stmt.kind) {
    case QUERY_INSERT:
        return query_run_insert(r);
    case QUERY_UPDATE:
        return query_run_change(r);
    case QUERY_DELETE:
        return query_dismisses(&r->q->parse.stmt) ? query_run_dismiss(r)
                                                  : query_run_change(r);
    case QUERY_EVICT:
        return query_run_evict(r);
    case QUERY_CREATE_INDEX:
        return run_create_index(r);
    case QUERY_DROP_INDEX:
        return run_drop_index(r);
    case QUERY_SELECT:
    case QUERY_BEGIN:
    case QUERY_BEGIN_READ_ONLY:
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
    case QUERY_SHOW:
    case QUERY_EXPLAIN:
    case QUERY_PROVISION:
        break;
    case QUERY_SET:
    case QUERY_RESET:
        return query_run_setting(r->q, r->s, r->e);
    }
    return TAKO_MISUSE;
}

/* Whether a statement writes one document at most, as its last step. */
static bool writes_one(const query_run_state *r)
{
    const query *q = r->q;
    const query_stmt *st = &q->parse.stmt;
    uint32_t coll;

    if (st->returning != NULL || st->explain != EXPLAIN_NONE)
        return false;
    if (st->kind == QUERY_UPDATE || st->kind == QUERY_DELETE)
        return direct_id(q).len > 0;
    return st->kind == QUERY_INSERT && !st->initial && q->doc_count == 1 &&
           q->docs[0] == NULL &&
           value_rank_cbor(query_fixed(q, st->docs->first)) == RANK_OBJECT &&
           store_coll_find(q->conn, st->target->name, &coll) == TAKO_OK;
}

/* Runs it inside a savepoint. */
static tako_err run_guarded(query_run_state *r)
{
    size_t before = r->ids->len;
    tako_err err;

    TAKO_TRY(store_savepoint(r->s, r->e));
    err = run_kind(r);
    if (err == TAKO_OK && r->ids->failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK && !removes(r->q) && r->ids->len > before)
        err = query_returning_all(
            r, tako_slice_of(r->ids->ptr + before, r->ids->len - before));
    if (err == TAKO_OK)
        store_savepoint_keep(r->s);
    else
        store_savepoint_undo(r->s);
    return err;
}

tako_err query_run(query *q, store *s, tako_buf *ids, uint64_t *count,
                   tako_errbuf *e)
{
    query_run_state r = { .q = q, .s = s, .ids = ids, .e = e };
    size_t before = ids->len;
    tako_err err;

    *count = 0;
    if (!q->bound)
        return tako_fail(e, TAKO_INVALID, "the parameters are not bound");
    q->running = false;
    query_forget_rows(q);
    TAKO_TRY(query_begin(q, e));
    r.a = tako_buf_on(q->env);
    r.b = tako_buf_on(q->env);
    r.c = tako_buf_on(q->env);
    r.row = tako_buf_on(q->env);
    err = writes_one(&r) ? run_kind(&r) : run_guarded(&r);
    if (err == TAKO_NOMEM)
        (void)tako_fail(e, err, "out of memory");
    if (err == TAKO_OK) {
        *count = r.count;
    } else {
        ids->len = before;
        query_forget_rows(q);
    }
    tako_buf_fini(&r.a);
    tako_buf_fini(&r.b);
    tako_buf_fini(&r.c);
    tako_buf_fini(&r.row);
    return err;
}
