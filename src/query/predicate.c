// SPDX-License-Identifier: Apache-2.0
/* Predicates: the WHERE of a subscription, permission or live query, as one
 * expression over a bound body, on a connection without tables. It is the
 * emitter's condition and SQLite's evaluator, so it cannot differ from what a
 * SELECT finds. Parameters become constants: a predicate has one canonical
 * text.
 *
 * TERMS. Conditions that are nothing but comparisons of paths with constants
 * (terms.h) are the many, and the ones that must cost little in time and
 * memory: they are judged by the terms alone and are never prepared. For the
 * others a term that does not hold spares the evaluation. */
#include "query/internal.h"

#include "base/check.h"
#include "query/check.h"
#include "query/emit.h"
#include "query/functions.h"
#include "query/pool.h"
#include "query/print.h"
#include "query/terms.h"

struct query_predicate {
    const tako_env *env;
    query_pool *pool;
    bool owns_pool;
    bool all; /* every document matches */
    bool uses_id;
    bool uses_body;
    tako_buf texts; /* the three below, each ending in NUL */
    tako_slice collection, text, sql;
    query_terms terms;
    pool_stmt stmt;
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

/* Arrays, objects and negations of what became constants; nested AND and OR. */
static tako_err fold_values(query_parse *p, node *n)
{
    const query_token minus = { 0, n == NULL ? 0 : n->pos, 0, TAKO_SLICE_NONE };
    node *folded;

    if (n == NULL)
        return TAKO_OK;
    for (node *k = n->first; k != NULL; k = k->next)
        TAKO_TRY(fold_values(p, k));
    if (n->kind == AST_AND || n->kind == AST_OR)
        flatten(n);
    if (n->kind == AST_ARRAY || n->kind == AST_OBJECT ||
        (n->kind == AST_NEG && n->first->kind == AST_CONST)) {
        folded = n->kind == AST_NEG ? ast_negate(p, n->first, minus)
                                    : ast_fold(p, n);
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

/* A SELECT of one collection, whose WHERE says which of its documents matter:
 * it may group, order and limit them, but read nothing else. */
static tako_err check_source(query_parse *p)
{
    query_select *s = p->stmt.select;
    const query_source *f;

    if (p->stmt.kind == QUERY_SELECT && p->stmt.explain == EXPLAIN_NONE) {
        f = s->first->from;
        if (s->with == NULL && f != NULL && f->kind == SOURCE_COLLECTION &&
            f->next == NULL && f->ids == NULL && !query_has_select(s) &&
            query_find_volatile(s->first->where) == NULL)
            return TAKO_OK;
    }
    p->err = tako_fail(p->e, TAKO_UNSUPPORTED,
                       "the statement reads more than one collection");
    return p->err;
}

/* ---- making one ------------------------------------------------------------- */

static void put_text(query_predicate *f, tako_slice s)
{
    tako_put_bytes(&f->texts, s);
    tako_put_u8(&f->texts, 0);
}

/* The texts of a checked and folded statement. */
static tako_err put_texts(query_predicate *f, query_parse *p, bool canonical)
{
    tako_slice name = p->stmt.select->first->from->name;
    emit m = { .p = p, .sql = tako_buf_on(f->env), .body = "?1", .id = "?2" };
    size_t text, sql;
    tako_err err = TAKO_OK;

    put_text(f, name);
    text = f->texts.len;
    if (canonical)
        err = query_print(p, &f->texts);
    put_text(f, TAKO_SLICE_NONE);
    sql = f->texts.len;
    if (err == TAKO_OK && !f->all && !f->terms.exact) {
        tako_put_str(&m.sql, "SELECT 1 WHERE ");
        emit_true(&m, p->stmt.select->first->where);
        put_text(f, tako_buf_slice(&m.sql));
        err = p->err;
    }
    if (err == TAKO_OK && (m.sql.failed || f->texts.failed))
        err = TAKO_NOMEM;
    tako_buf_fini(&m.sql);
    if (err != TAKO_OK)
        return err;
    f->collection = tako_slice_of(f->texts.ptr, name.len);
    f->text = tako_slice_of(f->texts.ptr + text, sql - text - 1);
    if (f->texts.len > sql)
        f->sql = tako_slice_of(f->texts.ptr + sql, f->texts.len - sql - 1);
    return TAKO_OK;
}

static tako_err compile(query_predicate *f, query_parse *p, tako_slice params,
                        tako_err (*check)(query_parse *p), bool canonical)
{
    node *where;

    TAKO_TRY(check(p));
    TAKO_TRY(query_check(p));
    where = p->stmt.select->first->where;
    TAKO_TRY(check_fixed(p));
    TAKO_TRY(fold_params(p, where, params));
    TAKO_TRY(fold_values(p, where));
    f->all = where == NULL;
    TAKO_TRY(query_terms_init(&f->terms, p, where));
    TAKO_TRY(put_texts(f, p, canonical));
    if (f->sql.len == 0)
        return TAKO_OK;
    TAKO_TRY(pool_prepare(f->pool, &f->stmt, f->sql, p->e));
    f->uses_body = sqlite3_bind_parameter_count(f->stmt.stmt) > 0;
    f->uses_id = sqlite3_bind_parameter_count(f->stmt.stmt) > 1;
    return TAKO_OK;
}

static tako_err predicate_make(query_pool *pool, bool owns, tako_slice text,
                               tako_slice params,
                               tako_err (*check)(query_parse *p),
                               bool canonical, query_predicate **out,
                               tako_errbuf *e)
{
    query_predicate *f = tako_env_alloc(pool->env, sizeof *f);
    query_parse parse;
    tako_err err;

    *out = NULL;
    if (f == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    f->env = pool->env;
    f->pool = pool;
    f->texts = tako_buf_on(f->env);
    err = query_parse_init(&parse, f->env, text, e);
    if (err == TAKO_OK)
        err = compile(f, &parse, params, check, canonical);
    query_parse_fini(&parse);
    if (err != TAKO_OK) {
        if (err == TAKO_NOMEM)
            (void)tako_fail(e, err, "out of memory");
        query_predicate_free(f);
        return err;
    }
    f->owns_pool = owns;
    *out = f;
    return TAKO_OK;
}

tako_err query_predicate_new(const tako_env *env, tako_slice text,
                             tako_slice params, query_predicate **out,
                             tako_errbuf *e)
{
    query_pool *pool;
    tako_err err;

    *out = NULL;
    TAKO_TRY(query_pool_new(env, &pool, e));
    err = predicate_make(pool, true, text, params, check_shape, true, out, e);
    if (err != TAKO_OK)
        query_pool_free(pool);
    return err;
}

tako_err query_predicate_new_in(query_pool *pool, tako_slice text,
                                tako_slice params, query_predicate **out,
                                tako_errbuf *e)
{
    return predicate_make(pool, false, text, params, check_shape, true, out, e);
}

tako_err query_predicate_of(query_pool *pool, tako_slice select,
                            tako_slice params, query_predicate **out,
                            tako_errbuf *e)
{
    return predicate_make(pool, false, select, params, check_source, false, out,
                          e);
}

void query_predicate_free(query_predicate *p)
{
    if (p == NULL)
        return;
    pool_drop(p->pool, &p->stmt);
    if (p->owns_pool)
        query_pool_free(p->pool);
    query_terms_fini(&p->terms);
    tako_buf_fini(&p->texts);
    tako_env_free(p->env, p, sizeof *p);
}

tako_slice query_predicate_collection(const query_predicate *p)
{
    return p->collection;
}

tako_slice query_predicate_text(const query_predicate *p)
{
    return p->text;
}

const query_terms *query_predicate_terms(const query_predicate *p)
{
    return &p->terms;
}

/* ---- covering ----------------------------------------------------------------- */

/* The WHERE of a canonical text; empty when it has none. */
static tako_slice condition(const query_predicate *p)
{
    static const char word[] = " WHERE ";
    size_t len = sizeof word - 1;

    if (p->all)
        return TAKO_SLICE_NONE;
    for (size_t i = sizeof "SELECT * FROM " - 1; i + len <= p->text.len; i++)
        if (memcmp(p->text.ptr + i, word, len) == 0)
            return tako_slice_of(p->text.ptr + i + len, p->text.len - i - len);
    return TAKO_SLICE_NONE;
}

/* Where the literal or quoted name that begins at `at` ends. */
static size_t quoted_end(tako_slice text, size_t at)
{
    uint8_t quote = text.ptr[at++];

    for (; at < text.len && text.ptr[at] != quote; at++)
        at += quote != '`' && text.ptr[at] == '\\';
    return at;
}

/* Where the operand that begins at `at` ends: at " OR ", or at the bracket
 * that closes them all. */
static size_t operand_end(tako_slice text, size_t at)
{
    static const char word[] = " OR ";
    size_t len = sizeof word - 1;
    unsigned depth = 0;

    for (; at < text.len; at++) {
        uint8_t c = text.ptr[at];

        if (c == '\'' || c == '"' || c == '`')
            at = quoted_end(text, at);
        else if (c == '(' || c == '[' || c == '{')
            depth++;
        else if ((c == ')' || c == ']' || c == '}') && depth-- == 0)
            return at;
        else if (depth == 0 && at + len <= text.len &&
                 memcmp(text.ptr + at, word, len) == 0)
            return at;
    }
    return at;
}

static bool has_operand(tako_slice text, tako_slice operand)
{
    size_t at = 1;

    if (text.len < 2 || text.ptr[0] != '(')
        return false;
    while (at < text.len) {
        size_t end = operand_end(text, at);

        if (end + 1 < text.len && text.ptr[end] == ')')
            return false; /* the first bracket is not of all of it */
        if (tako_slice_eq(tako_slice_of(text.ptr + at, end - at), operand))
            return true;
        at = end + sizeof " OR " - 1;
    }
    return false;
}

bool query_predicate_covers(const query_predicate *big,
                            const query_predicate *small)
{
    if (!tako_slice_eq(big->collection, small->collection))
        return false;
    return big->all || tako_slice_eq(big->text, small->text) ||
           has_operand(condition(big), condition(small));
}

/* ---- judging ------------------------------------------------------------------ */

static bool terms_hold(const query_terms *t, tako_slice id, tako_slice body)
{
    for (size_t i = 0; i < t->count; i++)
        if (!query_term_holds(&t->at[i], id, body))
            return false;
    return true;
}

tako_err query_predicate_eval(query_predicate *p, tako_slice id,
                              tako_slice body, bool *match)
{
    sqlite3_stmt *stmt;
    int rc = SQLITE_OK;

    *match = p->all && body.len > 0;
    if (body.len == 0 || p->all)
        return TAKO_OK;
    *match = terms_hold(&p->terms, id, body);
    if (p->terms.exact || !*match)
        return TAKO_OK;
    if (p->stmt.stmt == NULL)
        TAKO_TRY(pool_prepare(p->pool, &p->stmt, p->sql, NULL));
    else
        pool_use(p->pool, &p->stmt);
    stmt = p->stmt.stmt;
    if (p->uses_body)
        rc = sqlite3_bind_blob(stmt, 1, body.ptr, (int)body.len, SQLITE_STATIC);
    if (rc == SQLITE_OK && p->uses_id)
        rc = value_bind(stmt, 2, id);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *match = rc == SQLITE_ROW;
    (void)sqlite3_reset(stmt);
    return query_sql_error(p->pool->db, rc, NULL);
}

bool query_predicate_match(query_predicate *p, tako_slice id, tako_slice body)
{
    bool match;

    return query_predicate_eval(p, id, body, &match) == TAKO_OK && match;
}
