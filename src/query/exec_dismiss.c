// SPDX-License-Identifier: Apache-2.0
/* DELETE FROM system:conflicts, or system:quarantine: what merging took away,
 * or what the mesh does not take, was looked at, and goes from the list. Nothing
 * is told to anyone; the documents stay as they are.
 * Values that stand beside each other in a document are not on that list: they
 * go when somebody writes the field, so a statement that finds one of them is
 * refused as a whole. */
#include "query/internal.h"

#include "query/system.h"
#include "store/deaths.h"

static bool is_quarantine(const query_run_state *r)
{
    return tako_slice_eq(r->q->parse.stmt.target->name,
                         tako_slice_str("quarantine"));
}

static tako_err drop_quarantined(query_run_state *r, tako_slice id)
{
    tako_reader in = tako_reader_of(id);
    cbor_item number;

    if (!cbor_read(&in, &number) || number.kind != CBOR_INT)
        return tako_fail(r->e, TAKO_CORRUPT, "a number that is none");
    return store_quarantine_drop(r->s, (uint64_t)number.integer, r->e);
}

static tako_err dismiss_one(query_run_state *r, tako_slice id,
                            uint64_t *siblings)
{
    uint64_t number;

    if (is_quarantine(r)) {
        TAKO_TRY(drop_quarantined(r, id));
    } else if (!system_lost_number(id, &number)) {
        ++*siblings;
        return TAKO_OK;
    } else {
        TAKO_TRY(store_lost_drop(r->s, number, r->e));
    }
    tako_put_bytes(r->ids, id);
    r->count++;
    return r->ids->failed ? TAKO_NOMEM : TAKO_OK;
}

/* The _ids of what the statement finds, as blocks. */
static tako_err find(query_run_state *r, tako_buf *out)
{
    query *q = r->q;
    tako_err err = TAKO_OK;
    int rc;

    while ((rc = query_sql_step(q, q->stmt)) == SQLITE_ROW && err == TAKO_OK) {
        tako_buf_reset(&r->a);
        value_put(&r->a, sqlite3_column_value(q->stmt, 0));
        tako_put_block(
            out, cbor_map_get(tako_buf_slice(&r->a), tako_slice_str("_id")));
        if (r->a.failed || out->failed)
            err = tako_fail(r->e, TAKO_NOMEM, "out of memory");
    }
    if (err == TAKO_OK)
        err = query_sql_error(sqlite3_db_handle(q->stmt), rc, r->e);
    (void)sqlite3_reset(q->stmt);
    return err;
}

tako_err query_run_dismiss(query_run_state *r)
{
    tako_buf found = tako_buf_on(r->q->env);
    uint64_t siblings = 0;
    tako_reader in;
    tako_err err = find(r, &found);

    in = tako_reader_of(tako_buf_slice(&found));
    while (err == TAKO_OK && tako_reader_left(&in) > 0)
        err = dismiss_one(r, tako_read_block(&in), &siblings);
    tako_buf_fini(&found);
    if (err != TAKO_OK || siblings == 0)
        return err;
    return tako_fail(r->e, TAKO_INVALID,
                     "%llu of the conflicts stand in documents (kind "
                     "'sibling'): they go when the field is written",
                     (unsigned long long)siblings);
}
