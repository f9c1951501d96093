// SPDX-License-Identifier: Apache-2.0
/* Predicates: the WHERE of a subscription or permission, as one expression
 * over a bound body, on a connection without tables. It is the emitter's
 * condition and SQLite's evaluator, so it cannot differ from what a SELECT
 * finds. Parameters become constants: a predicate has one canonical text. */
#include "query/internal.h"

#include "base/check.h"
#include "query/check.h"
#include "query/emit.h"
#include "query/functions.h"
#include "query/print.h"

struct query_predicate {
    const tako_env *env;
    query_parse parse;
    tako_buf text;
    sqlite3 *db;
    sqlite3_stmt *stmt; /* NULL: every document matches */
    bool uses_id;
};

/* Replaces parameters by their values. */
static tako_err fold_params(query_parse *p, node *n, tako_slice params)
{
    tako_slice v;

    if (n == NULL)
        return TAKO_OK;
    if (n->kind == AST_PARAM) {
        v = params.len == 0 ? params : cbor_map_get(params, n->text);
        if (v.len == 0)
            return query_fail_at(p, n->pos, TAKO_INVALID,
                                 "the parameter :%.*s has no value",
                                 n->text.len > 128 ? 128 : (int)n->text.len,
                                 (const char *)n->text.ptr);
        n->kind = AST_CONST;
        n->text = tako_arena_copy(&p->arena, v);
        n->count = 0;
        return n->text.ptr == NULL ? TAKO_NOMEM : TAKO_OK;
    }
    for (node *k = n->first; k != NULL; k = k->next)
        TAKO_TRY(fold_params(p, k, params));
    return TAKO_OK;
}

/* (a AND b) AND c is a AND b AND c; the kids of n are flat already. */
static void flatten(node *n)
{
    node *kid = n->first, *next;

    n->first = n->last = NULL;
    n->count = 0;
    for (; kid != NULL; kid = next) {
        bool inner = kid->kind == n->kind;
        node *from = inner ? kid->first : kid;
        node *to = inner ? kid->last : kid;

        next = kid->next;
        n->count += inner ? kid->count : 1;
        if (n->last != NULL)
            n->last->next = from;
        else
            n->first = from;
        n->last = to;
        to->next = NULL;
    }
}

/* Arrays and objects whose parts became constants; nested AND and OR. */
static tako_err fold_values(query_parse *p, node *n)
{
    node *folded;

    if (n == NULL)
        return TAKO_OK;
    for (node *k = n->first; k != NULL; k = k->next)
        TAKO_TRY(fold_values(p, k));
    if (n->kind == AST_AND || n->kind == AST_OR)
        flatten(n);
    if (n->kind == AST_ARRAY || n->kind == AST_OBJECT) {
        folded = ast_fold(p, n);
        if (folded == NULL)
            return p->err;
        if (folded != n) {
            node *next = n->next;

            *n = *folded;
            n->next = next;
        }
    }
    return TAKO_OK;
}

/* What a predicate cannot have, or NULL. */
static const char *beyond(const query_parse *p)
{
    const query_select *s = p->stmt.select;
    const query_core *c;

    if (p->stmt.kind != QUERY_SELECT || p->stmt.explain != EXPLAIN_NONE)
        return "a statement other than SELECT";
    c = s->first;
    if (s->with != NULL)
        return "WITH";
    if (c->from == NULL)
        return "a SELECT without FROM";
    if (c->from->kind == SOURCE_SELECT)
        return "a SELECT in FROM, or a set operator,";
    if (c->from->kind == SOURCE_SYSTEM)
        return "a system collection";
    if (c->from->kind != SOURCE_COLLECTION)
        return "UNNEST";
    if (c->from->next != NULL)
        return "JOIN or UNNEST";
    if (c->outs->count != 1 || c->outs->first->op != OUT_STAR)
        return "a result other than *";
    if (c->distinct)
        return "DISTINCT";
    if (c->from->ids != NULL)
        return "USE IDS";
    if (c->group != NULL)
        return "GROUP BY";
    if (c->having != NULL)
        return "HAVING";
    if (s->order != NULL)
        return "ORDER BY";
    if (s->limit != NULL)
        return "LIMIT";
    return s->offset != NULL ? "OFFSET" : NULL;
}

static const node *find_select(const node *n)
{
    const node *found = NULL;

    if (n == NULL || n->select != NULL)
        return n;
    for (const node *k = n->first; k != NULL && found == NULL; k = k->next)
        found = find_select(k);
    return found;
}

/* Every device must judge a document the same, and again the same later. */
static tako_err check_fixed(query_parse *p)
{
    const node *call = query_find_volatile(p->stmt.select->first->where);

    if (call == NULL)
        return TAKO_OK;
    return query_fail_at(p, call->pos, TAKO_INVALID,
                         "a subscription or permission cannot depend on %s(), "
                         "which changes by itself; pass a parameter",
                         fn_find(call->text)->name);
}

/* Only `SELECT * FROM c [WHERE ...]`, and no SELECT in the WHERE. */
static tako_err check_shape(query_parse *p)
{
    const char *what = beyond(p);
    const node *select =
        what == NULL ? find_select(p->stmt.select->first->where) : NULL;

    if (select != NULL)
        return query_fail_at(p, select->pos, TAKO_INVALID,
                             "a SELECT inside cannot be a subscription or "
                             "permission: each document is judged alone");
    if (what == NULL)
        return TAKO_OK;
    p->err = tako_fail(p->e, TAKO_INVALID,
                       "%s cannot be a subscription or permission: each "
                       "document is judged alone",
                       what);
    return p->err;
}

static tako_err open_db(query_predicate *f, tako_errbuf *e)
{
    int rc = sqlite3_open_v2(
        ":memory:", &f->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc != SQLITE_OK)
        return tako_fail(e, rc == SQLITE_NOMEM ? TAKO_NOMEM : TAKO_IO,
                         "opening a connection in memory");
    return query_register((void *)(uintptr_t)f->env, f->db);
}

static tako_err prepare(query_predicate *f, tako_errbuf *e)
{
    emit m = { .p = &f->parse, .sql = tako_buf_on(f->env) };
    const char *sql;
    tako_err err;
    int rc;

    m.body = "?1";
    m.id = "?2";
    tako_put_str(&m.sql, "SELECT 1 WHERE ");
    emit_true(&m, f->parse.stmt.select->first->where);
    sql = tako_buf_cstr(&m.sql);
    err = f->parse.err;
    if (err == TAKO_OK && m.sql.failed)
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    if (err == TAKO_OK) {
        rc = sqlite3_prepare_v3(f->db, sql, (int)m.sql.len + 1,
                                SQLITE_PREPARE_PERSISTENT, &f->stmt, NULL);
        err = query_sql_error(f->db, rc, e);
    }
    if (err == TAKO_OK)
        f->uses_id = sqlite3_bind_parameter_count(f->stmt) > 1;
    tako_buf_fini(&m.sql);
    return err;
}

tako_err query_predicate_new(const tako_env *env, tako_slice text,
                             tako_slice params, query_predicate **out,
                             tako_errbuf *e)
{
    query_predicate *f = tako_env_alloc(env, sizeof *f);
    tako_err err;

    *out = NULL;
    if (f == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    f->env = env;
    f->text = tako_buf_on(env);
    err = query_parse_init(&f->parse, env, text, e);
    if (err == TAKO_OK)
        err = check_shape(&f->parse);
    if (err == TAKO_OK)
        err = query_check(&f->parse);
    if (err == TAKO_OK)
        err = check_fixed(&f->parse);
    if (err == TAKO_OK)
        err =
            fold_params(&f->parse, f->parse.stmt.select->first->where, params);
    if (err == TAKO_OK)
        err = fold_values(&f->parse, f->parse.stmt.select->first->where);
    if (err == TAKO_OK)
        err = query_print(&f->parse, &f->text);
    if (err == TAKO_OK && f->parse.stmt.select->first->where != NULL) {
        err = open_db(f, e);
        if (err == TAKO_OK)
            err = prepare(f, e);
    }
    f->parse.e = NULL;
    if (err != TAKO_OK) {
        if (err == TAKO_NOMEM)
            (void)tako_fail(e, err, "out of memory");
        query_predicate_free(f);
        return err;
    }
    *out = f;
    return TAKO_OK;
}

void query_predicate_free(query_predicate *p)
{
    if (p == NULL)
        return;
    (void)sqlite3_finalize(p->stmt);
    (void)sqlite3_close(p->db);
    tako_buf_fini(&p->text);
    query_parse_fini(&p->parse);
    tako_env_free(p->env, p, sizeof *p);
}

tako_slice query_predicate_collection(const query_predicate *p)
{
    return p->parse.stmt.select->first->from->name;
}

tako_slice query_predicate_text(const query_predicate *p)
{
    return tako_buf_slice(&p->text);
}

bool query_predicate_match(query_predicate *p, tako_slice id, tako_slice body)
{
    bool match;

    if (body.len == 0)
        return false;
    if (p->stmt == NULL)
        return true;
    if (sqlite3_bind_parameter_count(p->stmt) > 0 &&
        sqlite3_bind_blob(p->stmt, 1, body.ptr, (int)body.len, SQLITE_STATIC) !=
            SQLITE_OK)
        return false;
    if (p->uses_id && value_bind(p->stmt, 2, id) != SQLITE_OK)
        return false;
    match = sqlite3_step(p->stmt) == SQLITE_ROW;
    (void)sqlite3_reset(p->stmt);
    return match;
}
