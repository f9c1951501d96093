// SPDX-License-Identifier: Apache-2.0
/* INDEX -- the catalogue of indexes: what the user wrote, beside what SQLite
 * keeps. The SQL comes from the query layer; here is checked that it made
 * what it had to: an index of the agreed name on the collection's table. */
#include "store/internal.h"

#include <stdio.h>

static bool name_valid(tako_slice name)
{
    return name.len >= 1 && name.len <= TAKO_NAME_BYTES_MAX &&
           utf8_check(name) && memchr(name.ptr, 0, name.len) == NULL;
}

void store_index_sql_name(uint32_t coll, tako_slice name, tako_buf *out)
{
    static const char digits[] = "0123456789abcdef";

    tako_put_fmt(out, "i%u_", coll);
    for (size_t i = 0; i < name.len; i++) {
        tako_put_u8(out, (uint8_t)digits[name.ptr[i] >> 4]);
        tako_put_u8(out, (uint8_t)digits[name.ptr[i] & 15]);
    }
}

/* Runs a statement with (coll, name, text?) bound, to its first row. */
static int run_bound(store_conn *c, const char *sql, uint32_t coll,
                     tako_slice name, tako_slice text, int64_t *first)
{
    sqlite3_stmt *stmt = store_sql(c, sql, NULL);
    int rc;

    if (stmt == NULL)
        return sqlite3_extended_errcode(c->db);
    rc = sqlite3_bind_int64(stmt, 1, coll);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 2, (const char *)name.ptr, (int)name.len,
                               SQLITE_STATIC);
    if (rc == SQLITE_OK && text.ptr != NULL)
        rc = sqlite3_bind_text(stmt, 3, (const char *)text.ptr, (int)text.len,
                               SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && first != NULL)
        *first = sqlite3_column_int64(stmt, 0);
    store_done(c, stmt);
    return rc;
}

static tako_err index_known(store_conn *c, uint32_t coll, tako_slice name,
                            tako_errbuf *e)
{
    int rc = run_bound(c, "SELECT 1 FROM idx WHERE coll=?1 AND name=?2", coll,
                       name, TAKO_SLICE_NONE, NULL);

    if (rc == SQLITE_ROW)
        return TAKO_OK;
    return rc == SQLITE_DONE ? TAKO_NOTFOUND
                             : conn_fail(c, rc, "reading indexes", e);
}

static tako_err index_room(store_conn *c, uint32_t coll, tako_errbuf *e)
{
    int64_t n = 0;
    int rc = run_bound(c,
                       "SELECT count(*) FROM idx WHERE coll=?1"
                       " AND ?2 IS NOT NULL",
                       coll, tako_slice_str("-"), TAKO_SLICE_NONE, &n);

    if (rc != SQLITE_ROW)
        return conn_fail(c, rc, "reading indexes", e);
    if (n >= (int64_t)TAKO_INDEXES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the collection has %u indexes already",
                         TAKO_INDEXES_MAX);
    return TAKO_OK;
}

/* Is there an index of this SQL name on table c<coll>? */
static tako_err index_made(store *s, uint32_t coll, tako_slice name,
                           tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int rc;

    tako_buf_reset(&s->blob);
    store_index_sql_name(coll, name, &s->blob);
    if (s->blob.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    rc = run_bound(c,
                   "SELECT 1 FROM sqlite_schema WHERE type='index' AND"
                   " name=?2 AND tbl_name='c'||?1",
                   coll, tako_buf_slice(&s->blob), TAKO_SLICE_NONE, NULL);
    if (rc == SQLITE_ROW)
        return TAKO_OK;
    return rc == SQLITE_DONE
               ? tako_fail(e, TAKO_INVALID, "the SQL made another index")
               : conn_fail(c, rc, "reading the schema", e);
}

static tako_err create_steps(store *s, uint32_t coll, tako_slice name,
                             tako_slice text, const char *sql, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int rc;

    TAKO_TRY(conn_exec(c, sql, e));
    TAKO_TRY(index_made(s, coll, name, e));
    rc = run_bound(c, "INSERT INTO idx(coll,name,text)VALUES(?1,?2,?3)", coll,
                   name, text.len > 0 ? text : tako_slice_str(""), NULL);
    return rc == SQLITE_DONE ? stats_take(s, coll, e)
                             : conn_fail(c, rc, "keeping an index", e);
}

static tako_err drop_steps(store *s, uint32_t coll, tako_slice name,
                           tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int rc;

    tako_buf_reset(&s->blob);
    tako_put_str(&s->blob, "DROP INDEX ");
    store_index_sql_name(coll, name, &s->blob);
    (void)tako_buf_cstr(&s->blob);
    if (s->blob.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    TAKO_TRY(conn_exec(c, (const char *)s->blob.ptr, e));
    rc = run_bound(c, "DELETE FROM idx WHERE coll=?1 AND name=?2", coll, name,
                   TAKO_SLICE_NONE, NULL);
    return rc == SQLITE_DONE ? TAKO_OK
                             : conn_fail(c, rc, "dropping an index", e);
}

/* Ends what begin_joined began: undone alone where it failed. */
static tako_err end_joined(store *s, bool own, tako_err err, tako_errbuf *e)
{
    if (err != TAKO_OK)
        store_savepoint_undo(s);
    else
        store_savepoint_keep(s);
    if (!own)
        return err;
    if (err == TAKO_OK)
        return store_commit(s, NULL, e);
    store_rollback(s);
    return err;
}

static tako_err begin_joined(store *s, bool *own, tako_errbuf *e)
{
    tako_err err;

    *own = !s->txn.open;
    if (*own)
        TAKO_TRY(store_begin(s, e));
    err = store_savepoint(s, e);
    if (err != TAKO_OK && *own)
        store_rollback(s);
    return err;
}

tako_err store_index_create(store *s, uint32_t coll, tako_slice name,
                            tako_slice text, const char *sql, tako_errbuf *e)
{
    tako_err err;
    bool own;

    TAKO_ARG(s != NULL && sql != NULL);
    if (!name_valid(name))
        return tako_fail(e, TAKO_INVALID,
                         "an index needs a name of 1 to %u "
                         "bytes of UTF-8",
                         TAKO_NAME_BYTES_MAX);
    if (store_coll_name(&s->writer, coll).len == 0)
        return tako_fail(e, TAKO_NOTFOUND, "there is no collection number %u",
                         coll);
    err = index_known(&s->writer, coll, name, e);
    if (err == TAKO_OK)
        return tako_fail(e, TAKO_EXISTS, "there is an index of this name");
    if (err != TAKO_NOTFOUND)
        return err;
    TAKO_TRY(index_room(&s->writer, coll, e));
    TAKO_TRY(begin_joined(s, &own, e));
    err = create_steps(s, coll, name, text, sql, e);
    return end_joined(s, own, err, e);
}

tako_err store_index_drop(store *s, uint32_t coll, tako_slice name,
                          tako_errbuf *e)
{
    tako_err err;
    bool own;

    TAKO_ARG(s != NULL);
    err = name_valid(name) ? index_known(&s->writer, coll, name, e)
                           : TAKO_NOTFOUND;
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND
                   ? tako_fail(e, err, "there is no index of this name")
                   : err;
    TAKO_TRY(begin_joined(s, &own, e));
    err = drop_steps(s, coll, name, e);
    return end_joined(s, own, err, e);
}

/* ---- listing ------------------------------------------------------------- */

static tako_err list_rows(store_conn *c, sqlite3_stmt *stmt, tako_arena *a,
                          store_index *out, size_t room, size_t *count)
{
    int rc = SQLITE_DONE;

    *count = 0;
    while (*count < room && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        store_index *x = &out[*count];

        x->coll = (uint32_t)sqlite3_column_int64(stmt, 0);
        x->name = tako_arena_copy(a, conn_column(stmt, 1));
        x->text = tako_arena_copy(a, conn_column(stmt, 2));
        if (x->name.ptr == NULL || x->text.ptr == NULL)
            return TAKO_NOMEM;
        ++*count;
    }
    return rc == SQLITE_DONE || rc == SQLITE_ROW
               ? TAKO_OK
               : conn_fail(c, rc, "reading indexes", NULL);
}

tako_err store_index_list(store_conn *c, tako_arena *a, store_index **out,
                          size_t *count)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n = 0;
    tako_err err;

    TAKO_ARG(c != NULL && a != NULL && out != NULL && count != NULL);
    *out = NULL;
    *count = 0;
    TAKO_TRY(store_snapshot_begin(c, NULL, NULL));
    err = conn_int(c, "SELECT count(*) FROM idx", &n, NULL);
    if (err == TAKO_OK && n > 0) {
        *out = tako_arena_array(a, (size_t)n, sizeof **out);
        stmt = store_sql(c, "SELECT coll,name,text FROM idx ORDER BY coll,name",
                         NULL);
        if (*out == NULL)
            err = TAKO_NOMEM;
        else if (stmt == NULL)
            err = conn_fail(c, sqlite3_extended_errcode(c->db), "idx", NULL);
        else
            err = list_rows(c, stmt, a, *out, (size_t)n, count);
        store_done(c, stmt);
    }
    store_snapshot_end(c);
    return err;
}
