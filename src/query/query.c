// SPDX-License-Identifier: Apache-2.0
/* A statement from its text to its rows: parse, check, emit, prepare, bind,
 * step. Writes run in exec.c. */
#include "query/internal.h"

#include "codec/json.h"
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
    case SQLITE_AUTH: /* of system.c */
        err = TAKO_INVALID;
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

static query_kind kind_of(const query_stmt *st)
{
    if (st->explain == EXPLAIN_NONE)
        return st->kind;
    return st->explain == EXPLAIN_PROVISION ? QUERY_PROVISION : QUERY_EXPLAIN;
}

tako_err query_classify(const tako_env *env, tako_slice text, query_kind *kind,
                        tako_errbuf *e)
{
    query_parse p;
    tako_err err = query_parse_init(&p, env, text, e);

    if (err == TAKO_OK)
        *kind = kind_of(&p.stmt);
    query_parse_fini(&p);
    return err;
}

/* ---- running SQL, and stopping it ------------------------------------------- */

void query_guard(query *q, bool (*stop)(void *ctx), void *ctx)
{
    q->stop = stop;
    q->stop_ctx = ctx;
}

int query_sql_step(const query *q, sqlite3_stmt *stmt)
{
    fn_state *s = q->fn;
    int rc;

    if (s == NULL) /* of a pool: one document, and nobody who stops it */
        return sqlite3_step(stmt);
    s->conn = q->conn;
    s->stop = q->stop;
    s->stop_ctx = q->stop_ctx;
    s->run = q->run;
    rc = sqlite3_step(stmt);
    s->stop = NULL;
    return rc;
}

tako_err query_tick(const query *q, tako_errbuf *e)
{
    if (q->stop != NULL && q->stop(q->stop_ctx))
        return tako_fail(e, TAKO_CANCELED, "interrupted");
    return TAKO_OK;
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
static tako_err index_texts(query *q, uint32_t coll, tako_buf *out,
                            tako_errbuf *e)
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
    (void)sqlite3_snprintf(sizeof name, name, "c%u", coll);
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
    if (sql->len > TAKO_SQL_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT,
                         "the statement becomes over %u bytes of SQL",
                         TAKO_SQL_BYTES_MAX);
    rc = sqlite3_prepare_v3(q->db, text, (int)sql->len + 1,
                            keep ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL);
    if (rc == SQLITE_ERROR) /* SQLite's parser has limits of its own */
        return tako_fail(e, TAKO_LIMIT,
                         "the statement is nested too deep, or has too much "
                         "of something: %s",
                         sqlite3_errmsg(q->db));
    return query_sql_error(q->db, rc, e);
}

static bool forget_hints(query *q)
{
    bool any = false;

    for (query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->use_index.len == 0 || f->hint_failed)
            continue;
        f->hint_failed = any = true;
    }
    return any;
}

void query_emit_reading(query *q, tako_buf *sql, bool counted)
{
    query_stmt *st = &q->parse.stmt;
    emit m = { .p = &q->parse, .sql = *sql, .counted = counted };

    if (st->kind == QUERY_SELECT || st->kind == QUERY_INSERT)
        emit_select(&m, st->select, FORM_ROWS);
    else
        emit_collect(&m);
    *sql = m.sql;
}

/* The emitted statement that reads rows: the result, or what to change. */
static tako_err prepare_reading(query *q, tako_errbuf *e)
{
    bool counted = q->parse.stmt.explain == EXPLAIN_PROFILE;
    tako_buf sql = tako_buf_on(q->env);
    tako_err err;

    do {
        tako_buf_reset(&sql);
        query_emit_reading(q, &sql, counted);
        err = q->parse.err;
        if (err != TAKO_OK)
            break;
        err = query_sql_prepare(q, &sql, true, &q->stmt, e);
        /* USE INDEX is a hint: without that index, or where it cannot serve,
         * the statement runs as if it had not been given. */
    } while (err != TAKO_OK && forget_hints(q));
    tako_buf_fini(&sql);
    return err;
}

tako_err query_prepare_returning(query *q, tako_errbuf *e)
{
    emit m = { .p = &q->parse, .sql = tako_buf_on(q->env) };
    tako_err err;

    (void)sqlite3_finalize(q->returning);
    q->returning = NULL;
    q->parse.e = e;
    emit_returning(&m);
    err = q->parse.err;
    if (err == TAKO_OK)
        err = query_sql_prepare(q, &m.sql, true, &q->returning, e);
    tako_buf_fini(&m.sql);
    q->parse.e = NULL;
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

static tako_err find_collection(query *q, query_source *f, tako_errbuf *e)
{
    tako_buf texts = tako_buf_on(q->env);
    tako_err err = store_coll_find(q->conn, f->name, &f->coll);

    if (err == TAKO_NOTFOUND) {
        f->coll = 0;
        return TAKO_OK;
    }
    if (err != TAKO_OK)
        return tako_fail(e, err, "finding the collection: %s",
                         tako_err_message(err));
    err = index_texts(q, f->coll, &texts, e);
    if (err == TAKO_OK && texts.len > 0) {
        tako_slice copy = tako_arena_copy(
            &q->parse.arena, tako_slice_of(texts.ptr, texts.len + 1));

        f->indexes = (const char *)copy.ptr;
        err = copy.ptr == NULL ? TAKO_NOMEM : TAKO_OK;
    }
    tako_buf_fini(&texts);
    return err;
}

static tako_err find_collections(query *q, tako_errbuf *e)
{
    for (query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind == SOURCE_COLLECTION)
            TAKO_TRY(find_collection(q, f, e));
    }
    if (q->parse.stmt.target != NULL)
        q->coll = q->parse.stmt.target->coll;
    return TAKO_OK;
}

/* INSERT: its documents are given, or the rows of a SELECT. */
static tako_err prepare_insert(query *q, tako_errbuf *e)
{
    const query_stmt *st = &q->parse.stmt;

    TAKO_TRY(query_plan_ops(q));
    if (st->select == NULL)
        return prepare_docs(q, e);
    TAKO_TRY(query_plan_outs(q, st->select, &q->plan));
    return prepare_reading(q, e);
}

static tako_err prepare_kind(query *q, tako_errbuf *e)
{
    if (q->parse.stmt.explain != EXPLAIN_NONE)
        return prepare_reading(q, e);
    switch (q->parse.stmt.kind) {
    case QUERY_SELECT:
        TAKO_TRY(query_plan_outs(q, q->parse.stmt.select, &q->plan));
        return prepare_reading(q, e);
    case QUERY_UPDATE:
        TAKO_TRY(query_plan_ops(q));
        query_plan_by_id(q);
        return prepare_reading(q, e);
    case QUERY_DELETE:
        if (!query_dismisses(&q->parse.stmt))
            query_plan_by_id(q);
        return prepare_reading(q, e);
    case QUERY_EVICT:
        return prepare_reading(q, e);
    case QUERY_INSERT:
        return prepare_insert(q, e);
    case QUERY_CREATE_INDEX:
    case QUERY_DROP_INDEX:
    case QUERY_BEGIN:
    case QUERY_BEGIN_READ_ONLY:
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
    case QUERY_EXPLAIN:
    case QUERY_PROVISION:
        break;
    case QUERY_SET:
    case QUERY_RESET:
    case QUERY_SHOW:
        return query_prepare_setting(q, e);
    }
    return TAKO_OK;
}

static bool has_call(sqlite3_stmt *stmt, const char *call)
{
    return stmt != NULL && strstr(sqlite3_sql(stmt), call) != NULL;
}

static bool mentions(const query *q, const char *call)
{
    bool found = has_call(q->stmt, call) || has_call(q->returning, call);

    for (size_t i = 0; i < q->doc_count && !found; i++)
        found = has_call(q->docs[i], call);
    return found;
}

/* What the statement asks about its own run; a text that only looks like it
 * does no harm. */
static void find_asked(query *q)
{
    q->asks_text = mentions(q, "tql_request_info(");
    q->asks = q->asks_text || mentions(q, "tql_clock(");
}

tako_err query_begin(query *q, tako_errbuf *e)
{
    sqlite3_stmt *stmt;
    int rc;

    if (q->fn == NULL)
        return TAKO_OK;
    if (!q->running) {
        q->run = ++q->fn->runs;
        if (q->asks)
            q->now_ms = (int64_t)q->env->wall_ms(q->env->ctx);
    }
    q->running = true;
    if (!q->asks)
        return TAKO_OK;
    stmt = store_sql(q->conn, "SELECT tql_begin(?1,?2)", e);
    if (stmt == NULL)
        return TAKO_IO;
    (void)sqlite3_bind_int64(stmt, 1, q->now_ms);
    if (q->asks_text)
        (void)sqlite3_bind_text(stmt, 2, (const char *)q->parse.text.ptr,
                                (int)q->parse.text.len, SQLITE_STATIC);
    rc = sqlite3_step(stmt);
    store_done(q->conn, stmt);
    return query_sql_error(store_conn_db(q->conn), rc, e);
}

static tako_err prepare_returned(query *q, tako_errbuf *e)
{
    TAKO_TRY(query_plan_outs(q, q->parse.stmt.returning, &q->returned));
    return query_prepare_returning(q, e);
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
        q->parse.stmt.select->first->from->coll = POOL_COLL;
        return prepare_kind(q, e);
    }
    TAKO_TRY(fn_state_of(q->conn, &q->fn, e));
    TAKO_TRY(schema_version(q->conn, &q->schema, e));
    TAKO_TRY(find_collections(q, e));
    TAKO_TRY(prepare_kind(q, e));
    if (q->parse.stmt.returning != NULL &&
        q->parse.stmt.explain == EXPLAIN_NONE)
        TAKO_TRY(prepare_returned(q, e));
    return query_find_note(q);
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
    q->rows = tako_buf_on(env);
    q->note = "";
    q->prepare_ms = env->mono_ms(env->ctx);
    err = prepare_on(q, text, e);
    q->prepare_ms = env->mono_ms(env->ctx) - q->prepare_ms;
    q->parse.e = NULL; /* the caller's */
    if (err != TAKO_OK) {
        if (err == TAKO_NOMEM)
            (void)tako_fail(e, err, "out of memory");
        query_free(q);
        return err;
    }
    q->bound = q->parse.param_count == 0;
    find_asked(q);
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
    (void)sqlite3_finalize(q->returning);
    for (size_t i = 0; i < q->doc_count; i++)
        (void)sqlite3_finalize(q->docs[i]);
    tako_buf_fini(&q->params);
    tako_buf_fini(&q->rows);
    query_parse_fini(&q->parse);
    tako_env_free(q->env, q, sizeof *q);
}

query_kind query_kind_of(const query *q)
{
    return kind_of(&q->parse.stmt);
}

const char *query_note(const query *q)
{
    return q->note;
}

bool query_has_rows(const query *q)
{
    return query_kind_reads(kind_of(&q->parse.stmt)) ||
           kind_of(&q->parse.stmt) == QUERY_PROVISION ||
           q->parse.stmt.returning != NULL;
}

tako_slice query_collection(const query *q)
{
    const query_stmt *st = &q->parse.stmt;

    if (st->target != NULL)
        return st->target->name;
    return st->select != NULL && st->select->first->from != NULL
               ? st->select->first->from->name
               : TAKO_SLICE_NONE;
}

/* The sources are a list with the last one first; each collection counts at
 * its last mention. */
static bool mentioned_before(const query *q, const query_source *f)
{
    for (const query_source *b = q->parse.sources; b != f; b = b->next_all) {
        if (b->kind == SOURCE_COLLECTION && tako_slice_eq(b->name, f->name))
            return true;
    }
    return false;
}

size_t query_collection_count(const query *q)
{
    size_t n = 0;

    for (const query_source *f = q->parse.sources; f != NULL; f = f->next_all)
        n += f->kind == SOURCE_COLLECTION && !mentioned_before(q, f);
    return n;
}

tako_slice query_collection_at(const query *q, size_t i)
{
    for (const query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind != SOURCE_COLLECTION || mentioned_before(q, f))
            continue;
        if (i-- == 0)
            return f->name;
    }
    return TAKO_SLICE_NONE;
}

bool query_reads_system(const query *q)
{
    for (const query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind == SOURCE_SYSTEM)
            return true;
    }
    return false;
}

bool query_is_told(const query *q)
{
    for (const query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind == SOURCE_SYSTEM &&
            !tako_slice_eq(f->name, tako_slice_str("conflicts")))
            return false;
    }
    return true;
}

bool query_is_simple(const query *q)
{
    const query_stmt *st = &q->parse.stmt;
    const query_core *c;

    if (st->kind != QUERY_SELECT || st->explain != EXPLAIN_NONE ||
        st->select->limit != NULL || st->select->offset != NULL ||
        st->select->with != NULL)
        return false;
    c = st->select->first;
    return c->from != NULL && c->from->kind == SOURCE_COLLECTION &&
           c->from->next == NULL && c->from->ids == NULL && !c->distinct &&
           !c->grouped && !query_has_select(st->select) &&
           query_find_volatile(c->outs) == NULL &&
           query_find_volatile(c->where) == NULL &&
           query_find_volatile(st->select->order) == NULL;
}

bool query_is_ordered(const query *q)
{
    return q->parse.stmt.select != NULL && q->parse.stmt.select->order != NULL;
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

/* The parameters of LIMIT, OFFSET and VERSION. */
static tako_err check_counts(const query *q, tako_errbuf *e)
{
    for (uint32_t i = 0; i < q->parse.param_count; i++) {
        tako_slice name = q->parse.params[i];
        tako_reader r;
        cbor_item item;

        if (q->parse.counts[i] == NULL)
            continue;
        r = tako_reader_of(cbor_map_get(tako_buf_slice(&q->params), name));
        if (!cbor_read(&r, &item) || item.kind != CBOR_INT || item.integer < 0)
            return tako_fail(e, TAKO_INVALID,
                             "the parameter :%.*s of %s must be a whole number "
                             "from 0",
                             (int)name.len, (const char *)name.ptr,
                             q->parse.counts[i]);
    }
    return TAKO_OK;
}

tako_err query_bind(query *q, tako_slice params, tako_errbuf *e)
{
    static const uint8_t empty_map[1] = { 0xA0 };

    query_reset(q);
    q->bound = false;
    if (q->note == q->said) /* of an earlier run */
        q->note = "";
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
    TAKO_TRY(check_counts(q, e));
    q->params_flat = q->parse.stmt.kind == QUERY_INSERT &&
                     cbor_check(params, TAKO_VALUE_DEPTH_MAX, NULL) == TAKO_OK;
    if (q->stmt != NULL && q->by_id == NULL) /* else when it is needed */
        TAKO_TRY(query_bind_stmt(q, q->stmt, e));
    q->bound = true;
    return TAKO_OK;
}

/* ---- reading rows --------------------------------------------------------------- */

/* The next of the rows that a run left. */
static tako_err step_left(query *q, tako_buf *row, tako_errbuf *e)
{
    tako_reader in = tako_reader_of(tako_buf_slice(&q->rows));

    in.pos = q->rows_at;
    if (tako_reader_left(&in) == 0)
        return TAKO_NOTFOUND;
    tako_put_bytes(row, tako_read_block(&in));
    q->rows_at = in.pos;
    return row->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

/* EXPLAIN, PROFILE and ADVISE make their rows at the first step. */
static tako_err step_explained(query *q, tako_buf *row, tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    if (!q->left) {
        q->left = true;
        TAKO_TRY(query_begin(q, e));
        err = q->parse.stmt.explain == EXPLAIN_ADVISE ? query_advise(q, NULL, e)
                                                      : query_explain(q, e);
        if (err != TAKO_OK)
            query_reset(q);
    }
    return err == TAKO_OK ? step_left(q, row, e) : err;
}

tako_err query_step(query *q, tako_buf *row, tako_errbuf *e)
{
    query_kind kind = kind_of(&q->parse.stmt);
    size_t before = row->len;
    tako_err err;
    int rc;

    if (!q->bound)
        return tako_fail(e, TAKO_INVALID, "the parameters are not bound");
    if (kind == QUERY_EXPLAIN)
        return step_explained(q, row, e);
    if (kind != QUERY_SELECT && kind != QUERY_SHOW)
        return step_left(q, row, e);
    if (q->done)
        return TAKO_NOTFOUND;
    TAKO_TRY(query_begin(q, e));
    rc = query_sql_step(q, q->stmt);
    if (rc == SQLITE_ROW) {
        err = query_put_row(&q->plan, q->stmt, row);
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

tako_err query_leave_json(query *q, const tako_buf *json, tako_errbuf *e)
{
    tako_buf row = tako_buf_on(q->env);
    tako_err err = json->failed ? TAKO_NOMEM : TAKO_OK;

    if (err == TAKO_OK)
        err = json_to_cbor(tako_buf_slice(json), TAKO_JSON_DEPTH_MAX, &row, e);
    if (err == TAKO_OK)
        err = query_leave_row(q, tako_buf_slice(&row), e);
    tako_buf_fini(&row);
    return err;
}

void query_forget_rows(query *q)
{
    tako_buf_fini(&q->rows); /* queries are kept; so much memory is not */
    tako_buf_reset(&q->rows);
    q->rows_at = 0;
    q->left = false;
}

void query_reset(query *q)
{
    if (q->stmt != NULL)
        (void)sqlite3_reset(q->stmt);
    query_forget_rows(q);
    q->stop = NULL;
    q->done = false;
    q->running = false;
}
