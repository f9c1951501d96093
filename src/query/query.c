// SPDX-License-Identifier: Apache-2.0
/* A statement from its text to its rows: parse, check, emit, prepare, bind,
 * step. Writes run in exec.c. */
#include "query/internal.h"

#include "base/check.h"
#include "query/check.h"
#include "query/emit.h"
#include "query/pool.h"

tako_err query_sql_error(sqlite3 *db, int rc, tako_errbuf *e)
{
    tako_err err;

    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return TAKO_OK;
    case SQLITE_NOMEM:
        err = TAKO_NOMEM;
        break;
    case SQLITE_TOOBIG:
        err = TAKO_LIMIT;
        break;
    case SQLITE_FULL:
        err = TAKO_FULL;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err = TAKO_BUSY;
        break;
    case SQLITE_INTERRUPT:
        err = TAKO_CANCELED;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err = TAKO_CORRUPT;
        break;
    default:
        err = TAKO_IO;
        break;
    }
    return tako_fail(e, err, "%s", sqlite3_errmsg(db));
}

tako_err query_classify(const tako_env *env, tako_slice text, query_kind *kind,
                        tako_errbuf *e)
{
    query_parse p;
    tako_err err = query_parse_init(&p, env, text, e);

    if (err == TAKO_OK)
        *kind = p.stmt.kind;
    query_parse_fini(&p);
    return err;
}

/* ---- preparing -------------------------------------------------------------- */

static tako_err schema_version(store_conn *c, int64_t *out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, "PRAGMA schema_version", e);
    int rc;

    if (stmt == NULL)
        return TAKO_IO;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    store_done(c, stmt);
    return rc == SQLITE_ROW ? TAKO_OK
                            : query_sql_error(store_conn_db(c), rc, e);
}

/* The SQL of all indexes of a collection's table, one after the other. */
static tako_err index_texts(query *q, tako_buf *out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(
        q->conn,
        "SELECT sql FROM sqlite_schema WHERE type='index' AND tbl_name=?1 "
        "AND sql IS NOT NULL",
        e);
    char name[16];
    int rc;

    if (stmt == NULL)
        return TAKO_IO;
    (void)sqlite3_snprintf(sizeof name, name, "c%u", q->coll);
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const void *text = sqlite3_column_text(stmt, 0);

        tako_put_bytes(
            out, tako_slice_of(text, (size_t)sqlite3_column_bytes(stmt, 0)));
        tako_put_u8(out, '\n');
    }
    store_done(q->conn, stmt);
    if (rc != SQLITE_DONE)
        return query_sql_error(store_conn_db(q->conn), rc, e);
    (void)tako_buf_cstr(out);
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err query_sql_prepare(const query *q, tako_buf *sql, bool keep,
                           sqlite3_stmt **out, tako_errbuf *e)
{
    const char *text = tako_buf_cstr(sql);
    int rc;

    if (sql->failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    rc = sqlite3_prepare_v3(q->db, text, (int)sql->len + 1,
                            keep ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL);
    return query_sql_error(q->db, rc, e);
}

/* The emitted statement that reads rows: the result, or what to change. */
static tako_err prepare_reading(query *q, tako_errbuf *e)
{
    query_stmt *st = &q->parse.stmt;
    tako_buf indexes = tako_buf_on(q->env);
    char table[16];
    emit m = { .p = &q->parse,
               .sql = tako_buf_on(q->env),
               .body = "t0.body",
               .id = "tql_id(t0.row,t0.id)" };
    tako_err err = TAKO_OK;

    (void)sqlite3_snprintf(sizeof table, table, "c%u", q->coll);
    if (q->coll != 0) {
        err = q->conn == NULL ? TAKO_OK : index_texts(q, &indexes, e);
        m.table = table;
        m.indexes = (const char *)indexes.ptr;
    }
    for (int tries = 0; err == TAKO_OK; tries++) {
        tako_buf_reset(&m.sql);
        if (st->kind == QUERY_SELECT)
            emit_select(&m, q->coll);
        else
            emit_collect(&m, q->coll);
        err = q->parse.err;
        if (err != TAKO_OK)
            break;
        err = query_sql_prepare(q, &m.sql, true, &q->stmt, e);
        /* USE INDEX is a hint: without that index, or where it cannot serve,
         * the statement runs as if it had not been given. */
        if (err == TAKO_OK || st->use_index.len == 0 || tries > 0)
            break;
        st->use_index = TAKO_SLICE_NONE;
        err = TAKO_OK;
    }
    tako_buf_fini(&m.sql);
    tako_buf_fini(&indexes);
    return err;
}

/* Documents of INSERT that are neither constants nor parameters. */
static tako_err prepare_docs(query *q, tako_errbuf *e)
{
    const node *list = q->parse.stmt.docs;
    size_t i = 0;

    q->docs = tako_arena_array(&q->parse.arena, list->count, sizeof *q->docs);
    if (q->docs == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    q->doc_count = list->count;
    for (const node *d = list->first; d != NULL; d = d->next, i++) {
        emit m = { .p = &q->parse, .sql = tako_buf_on(q->env) };
        tako_err err;

        if (d->kind == AST_CONST || d->kind == AST_PARAM)
            continue;
        m.body = m.id = "NULL";
        tako_put_str(&m.sql, "SELECT ");
        emit_value(&m, d);
        err = q->parse.err;
        if (err == TAKO_OK)
            err = query_sql_prepare(q, &m.sql, false, &q->docs[i], e);
        tako_buf_fini(&m.sql);
        TAKO_TRY(err);
    }
    return TAKO_OK;
}

static tako_err find_collection(query *q, tako_errbuf *e)
{
    tako_err err;

    if (q->parse.stmt.collection.len == 0)
        return TAKO_OK;
    err = store_coll_find(q->conn, q->parse.stmt.collection, &q->coll);
    if (err == TAKO_NOTFOUND) {
        q->coll = 0;
        return TAKO_OK;
    }
    return err == TAKO_OK ? err
                          : tako_fail(e, err, "finding the collection: %s",
                                      tako_err_message(err));
}

static tako_err prepare_kind(query *q, tako_errbuf *e)
{
    switch (q->parse.stmt.kind) {
    case QUERY_SELECT:
        TAKO_TRY(query_plan_outs(q));
        return prepare_reading(q, e);
    case QUERY_UPDATE:
        TAKO_TRY(query_plan_ops(q));
        query_plan_by_id(q);
        return prepare_reading(q, e);
    case QUERY_DELETE:
        query_plan_by_id(q);
        return prepare_reading(q, e);
    case QUERY_INSERT:
        TAKO_TRY(query_plan_ops(q));
        return prepare_docs(q, e);
    case QUERY_CREATE_INDEX:
    case QUERY_DROP_INDEX:
    case QUERY_BEGIN:
    case QUERY_BEGIN_READ_ONLY:
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
        break;
    }
    return TAKO_OK;
}

/* Of a store's connection, or of a pool's, whose one collection is c1. */
static tako_err prepare_on(query *q, tako_slice text, tako_errbuf *e)
{
    TAKO_TRY(query_parse_init(&q->parse, q->env, text, e));
    TAKO_TRY(query_check(&q->parse));
    if (q->conn == NULL) {
        if (!query_is_simple(q))
            return tako_fail(e, TAKO_UNSUPPORTED,
                             "the statement reads more than one document");
        q->coll = POOL_COLL;
        return prepare_kind(q, e);
    }
    TAKO_TRY(schema_version(q->conn, &q->schema, e));
    TAKO_TRY(find_collection(q, e));
    return prepare_kind(q, e);
}

static tako_err prepare(const tako_env *env, store_conn *c, sqlite3 *db,
                        tako_slice text, query **out, tako_errbuf *e)
{
    query *q = tako_env_alloc(env, sizeof *q);
    tako_err err;

    *out = NULL;
    if (q == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    q->env = env;
    q->conn = c;
    q->db = db;
    q->params = tako_buf_on(env);
    err = prepare_on(q, text, e);
    q->parse.e = NULL; /* the caller's */
    if (err != TAKO_OK) {
        if (err == TAKO_NOMEM)
            (void)tako_fail(e, err, "out of memory");
        query_free(q);
        return err;
    }
    q->bound = q->parse.param_count == 0;
    *out = q;
    return TAKO_OK;
}

tako_err query_prepare(const tako_env *env, store_conn *c, tako_slice text,
                       query **out, tako_errbuf *e)
{
    return prepare(env, c, store_conn_db(c), text, out, e);
}

tako_err query_project_prepare(query_pool *p, tako_slice select, query **out,
                               tako_errbuf *e)
{
    TAKO_TRY(pool_ready(p, e));
    return prepare(p->env, NULL, p->db, select, out, e);
}

void query_free(query *q)
{
    if (q == NULL)
        return;
    (void)sqlite3_finalize(q->stmt);
    for (size_t i = 0; i < q->doc_count; i++)
        (void)sqlite3_finalize(q->docs[i]);
    tako_buf_fini(&q->params);
    query_parse_fini(&q->parse);
    tako_env_free(q->env, q, sizeof *q);
}

query_kind query_kind_of(const query *q)
{
    return q->parse.stmt.kind;
}

tako_slice query_collection(const query *q)
{
    return q->parse.stmt.collection;
}

size_t query_collection_count(const query *q)
{
    return q->parse.stmt.collection.len > 0 ? 1 : 0;
}

tako_slice query_collection_at(const query *q, size_t i)
{
    TAKO_ASSERT(i < query_collection_count(q));
    return q->parse.stmt.collection;
}

bool query_is_simple(const query *q)
{
    const query_stmt *st = &q->parse.stmt;

    return st->kind == QUERY_SELECT && st->collection.len > 0 &&
           !st->distinct && st->ids == NULL && st->group == NULL &&
           st->having == NULL && st->limit == NULL && st->offset == NULL &&
           !query_has_aggregate(st->outs) && !query_has_aggregate(st->order);
}

bool query_is_ordered(const query *q)
{
    return q->parse.stmt.order != NULL;
}

bool query_is_stale(const query *q)
{
    int64_t now = 0;

    return q->conn != NULL &&
           (schema_version(q->conn, &now, NULL) != TAKO_OK || now != q->schema);
}

/* ---- parameters --------------------------------------------------------------- */

tako_slice query_fixed(const query *q, const node *n)
{
    if (n->kind == AST_PARAM)
        return cbor_map_get(tako_buf_slice(&q->params), n->text);
    return n->text;
}

tako_err query_bind_stmt(const query *q, sqlite3_stmt *stmt, tako_errbuf *e)
{
    int n = sqlite3_bind_parameter_count(stmt);

    for (int i = 1; i <= n && (uint32_t)i <= q->parse.param_count; i++) {
        int rc = value_bind(
            stmt, i,
            cbor_map_get(tako_buf_slice(&q->params), q->parse.params[i - 1]));

        TAKO_TRY(query_sql_error(sqlite3_db_handle(stmt), rc, e));
    }
    return TAKO_OK;
}

static tako_err check_whole(const query *q, const node *n, const char *what,
                            tako_errbuf *e)
{
    tako_slice v;
    tako_reader r;
    cbor_item item;

    if (n == NULL || n->kind != AST_PARAM)
        return TAKO_OK;
    v = query_fixed(q, n);
    r = tako_reader_of(v);
    if (v.len == 0 || !cbor_read(&r, &item) || item.kind != CBOR_INT ||
        item.integer < 0)
        return tako_fail(e, TAKO_INVALID,
                         "the parameter :%.*s of %s must be a whole number "
                         "from 0",
                         (int)n->text.len, (const char *)n->text.ptr, what);
    return TAKO_OK;
}

tako_err query_bind(query *q, tako_slice params, tako_errbuf *e)
{
    static const uint8_t empty_map[1] = { 0xA0 };

    query_reset(q);
    q->bound = false;
    tako_buf_reset(&q->params);
    if (params.len == 0)
        params = tako_slice_of(empty_map, 1);
    tako_put_bytes(&q->params, params);
    if (q->params.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (cbor_kind_of(params) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID, "parameters are an object");
    for (uint32_t i = 0; i < q->parse.param_count; i++) {
        tako_slice name = q->parse.params[i];

        if (cbor_map_get(params, name).len == 0)
            return tako_fail(
                e, TAKO_INVALID, "the parameter :%.*s has no value",
                name.len > 128 ? 128 : (int)name.len, (const char *)name.ptr);
    }
    TAKO_TRY(check_whole(q, q->parse.stmt.limit, "LIMIT", e));
    TAKO_TRY(check_whole(q, q->parse.stmt.offset, "OFFSET", e));
    TAKO_TRY(check_whole(q, q->parse.stmt.seed_version, "VERSION", e));
    q->params_flat = q->parse.stmt.kind == QUERY_INSERT &&
                     cbor_check(params, TAKO_VALUE_DEPTH_MAX, NULL) == TAKO_OK;
    if (q->stmt != NULL && q->by_id == NULL) /* else when it is needed */
        TAKO_TRY(query_bind_stmt(q, q->stmt, e));
    q->bound = true;
    return TAKO_OK;
}

/* ---- reading rows --------------------------------------------------------------- */

tako_err query_step(query *q, tako_buf *row, tako_errbuf *e)
{
    size_t before = row->len;
    tako_err err;
    int rc;

    TAKO_ARG(q->parse.stmt.kind == QUERY_SELECT);
    if (!q->bound)
        return tako_fail(e, TAKO_INVALID, "the parameters are not bound");
    if (q->done)
        return TAKO_NOTFOUND;
    rc = sqlite3_step(q->stmt);
    if (rc == SQLITE_ROW) {
        err = query_put_row(q, row);
        if (err == TAKO_OK)
            return TAKO_OK;
        row->len = before;
        query_reset(q);
        return tako_fail(e, err, "%s", tako_err_message(err));
    }
    err = query_sql_error(sqlite3_db_handle(q->stmt), rc, e);
    query_reset(q);
    q->done = err == TAKO_OK;
    return err == TAKO_OK ? TAKO_NOTFOUND : err;
}

void query_reset(query *q)
{
    if (q->stmt != NULL)
        (void)sqlite3_reset(q->stmt);
    q->done = false;
}
