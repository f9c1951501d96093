// SPDX-License-Identifier: Apache-2.0
/* RETURNING: a row for each document that a statement touched, in the order
 * of its ids: as the document is when all is written, or, of what is removed,
 * as it was before anything was. The rows are put together inside the
 * statement's savepoint, so that one too many undoes it, and kept for
 * query_step(). */
#include "query/internal.h"

tako_err query_leave_row(query *q, tako_slice row, tako_errbuf *e)
{
    tako_put_block(&q->rows, row);
    if (q->rows.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (q->rows.len > TAKO_RETURNING_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT,
                         "the statement returns over %u bytes of rows; do it "
                         "in parts",
                         TAKO_RETURNING_BYTES_MAX);
    return TAKO_OK;
}

/* What the statement's own collection is called in SQL. */
static void set_collection(query *q, uint32_t coll)
{
    tako_slice name = q->parse.stmt.target->name;

    for (query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind == SOURCE_COLLECTION && tako_slice_eq(f->name, name))
            f->coll = coll;
    }
}

tako_err query_returning_begin(query_run_state *r)
{
    query *q = r->q;
    tako_err err = TAKO_OK;

    if (q->returning == NULL)
        return TAKO_OK;
    if (q->parse.stmt.target->coll == 0) {
        /* This run made the collection, and may be undone: what is prepared
         * for it serves this run alone. */
        set_collection(q, q->coll);
        err = query_prepare_returning(q, r->e);
        set_collection(q, 0);
    }
    return err == TAKO_OK ? query_bind_stmt(q, q->returning, r->e) : err;
}

/* What SQL gives for the row that is bound. */
static tako_err leave_result(query_run_state *r)
{
    query *q = r->q;
    tako_err err;
    int rc = query_sql_step(q, q->returning);

    if (rc != SQLITE_ROW)
        return query_sql_error(sqlite3_db_handle(q->returning), rc, r->e);
    tako_buf_reset(&r->row);
    err = query_put_row(&q->returned, q->returning, &r->row);
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "%s", tako_err_message(err));
    return query_leave_row(q, tako_buf_slice(&r->row), r->e);
}

tako_err query_returning_one(query_run_state *r, tako_slice id)
{
    query *q = r->q;
    store_row found;
    tako_err err;
    int rc;

    if (q->returning == NULL)
        return TAKO_OK;
    err = store_get(q->conn, q->coll, id, &found);
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "reading a document failed");
    rc = sqlite3_bind_int64(q->returning, (int)q->parse.param_count + 1,
                            found.row);
    err = query_sql_error(sqlite3_db_handle(q->returning), rc, r->e);
    if (err == TAKO_OK)
        err = leave_result(r);
    (void)sqlite3_reset(q->returning);
    return err;
}

tako_err query_returning_blocks(query_run_state *r, tako_slice found)
{
    tako_reader in = tako_reader_of(found);

    if (r->q->returning == NULL || found.len == 0)
        return TAKO_OK;
    TAKO_TRY(query_returning_begin(r));
    while (tako_reader_left(&in) > 0)
        TAKO_TRY(query_returning_one(r, tako_read_block(&in)));
    return TAKO_OK;
}

tako_err query_returning_all(query_run_state *r, tako_slice ids)
{
    tako_reader in = tako_reader_of(ids);

    if (r->q->returning == NULL || ids.len == 0)
        return TAKO_OK;
    TAKO_TRY(query_returning_begin(r));
    while (tako_reader_left(&in) > 0)
        TAKO_TRY(query_returning_one(r, cbor_read_value(&in)));
    return TAKO_OK;
}
