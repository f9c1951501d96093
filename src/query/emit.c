// SPDX-License-Identifier: Apache-2.0
/* Values: see emit.h. */
#include "query/emit.h"

#include <stdio.h>

#include "codec/cbor.h"
#include "query/functions.h"

void emit_blob(emit *e, tako_slice bytes)
{
    static const char digits[] = "0123456789abcdef";

    tako_put_str(&e->sql, "x'");
    for (size_t i = 0; i < bytes.len; i++) {
        tako_put_u8(&e->sql, (uint8_t)digits[bytes.ptr[i] >> 4]);
        tako_put_u8(&e->sql, (uint8_t)digits[bytes.ptr[i] & 15]);
    }
    tako_put_u8(&e->sql, '\'');
}

static void emit_text(emit *e, tako_slice s)
{
    if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL) {
        tako_put_str(&e->sql, "tql_text(");
        emit_blob(e, s);
        tako_put_u8(&e->sql, ')');
        return;
    }
    tako_put_u8(&e->sql, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\'')
            tako_put_u8(&e->sql, '\'');
        tako_put_u8(&e->sql, s.ptr[i]);
    }
    tako_put_u8(&e->sql, '\'');
}

void emit_const(emit *e, tako_slice cbor)
{
    tako_reader r = tako_reader_of(cbor);
    value_rank rank = value_rank_cbor(cbor);
    cbor_item item;
    char text[40];

    if (rank == RANK_MISSING) {
        tako_put_str(&e->sql, "NULL");
        return;
    }
    if ((rank != RANK_NUMBER && rank != RANK_TEXT) || !cbor_read(&r, &item)) {
        emit_blob(e, cbor);
        return;
    }
    if (item.kind == CBOR_TEXT) {
        emit_text(e, item.str);
    } else if (item.kind == CBOR_INT) {
        tako_put_fmt(&e->sql, "(%lld)", (long long)item.integer);
    } else {
        (void)snprintf(text, sizeof text, "%.17g", item.real);
        tako_put_fmt(&e->sql, "(%s%s)", text,
                     strpbrk(text, ".e") == NULL ? ".0" : "");
    }
}

/* ---- paths -------------------------------------------------------------------- */

/* One step of a path: a key or a constant index. False for anything else. */
static bool put_step(tako_buf *b, const node *n)
{
    int64_t i;

    if (n->kind == AST_NAME || n->kind == AST_FIELD) {
        cbor_put_text(b, n->text);
        return true;
    }
    if (n->kind == AST_INDEX && ast_is_int(ast_kid(n, 1), &i)) {
        cbor_put_int(b, i);
        return true;
    }
    if (n->kind == AST_INDEX && ast_kid(n, 1)->kind == AST_CONST &&
        value_rank_cbor(ast_kid(n, 1)->text) == RANK_TEXT) {
        tako_put_bytes(b, ast_kid(n, 1)->text);
        return true;
    }
    return false;
}

/* Whether n is a step from its first kid that a path literal can hold. */
static bool is_step(const node *n)
{
    int64_t i;
    const node *by = n->kind == AST_INDEX ? ast_kid(n, 1) : NULL;

    if (by == NULL)
        return n->kind == AST_FIELD;
    return ast_is_int(by, &i) ||
           (by->kind == AST_CONST && value_rank_cbor(by->text) == RANK_TEXT);
}

/* Splits a chain of steps: *base is what the steps start from (NULL: the
 * document), *first the innermost step (NULL: none). Steps are walked from n
 * inwards, so they are collected in an array by put_steps. */
typedef struct chain {
    const node *steps[TAKO_EXPR_DEPTH_MAX + 1]; /* outermost first */
    size_t count;
    const node *base;
    bool id; /* starts from the _id */
} chain;

static void split_chain(const emit *e, const node *n, chain *c)
{
    tako_slice alias = e->p->stmt.alias;

    c->count = 0;
    c->base = NULL;
    c->id = false;
    for (;;) {
        if (!is_step(n) || c->count == TAKO_EXPR_DEPTH_MAX)
            break;
        c->steps[c->count++] = n;
        n = n->first;
    }
    if (n->kind != AST_NAME) {
        c->base = n;
        return;
    }
    if (tako_slice_eq(n->text, alias)) {
        if (c->count > 0 && c->steps[c->count - 1]->kind == AST_FIELD &&
            tako_slice_eq(c->steps[c->count - 1]->text,
                          tako_slice_str("_id"))) {
            c->count--;
            c->id = true;
        }
        return;
    }
    if (tako_slice_eq(n->text, tako_slice_str("_id")))
        c->id = true;
    else
        c->steps[c->count++] = n;
}

static void emit_path(emit *e, const node *n)
{
    chain c;
    tako_buf path;

    split_chain(e, n, &c);
    if (c.count == 0 && c.base == NULL) {
        if (c.id)
            tako_put_str(&e->sql, e->id);
        else
            tako_put_fmt(&e->sql, "tql_doc(%s,%s)", e->id, e->body);
        return;
    }
    path = tako_buf_on(e->p->env);
    for (size_t i = c.count; i-- > 0;)
        (void)put_step(&path, c.steps[i]);
    tako_put_str(&e->sql, "tql_get(");
    if (c.base != NULL)
        emit_value(e, c.base);
    else
        tako_put_str(&e->sql, c.id ? e->id : e->body);
    tako_put_u8(&e->sql, ',');
    emit_blob(e, tako_buf_slice(&path));
    tako_put_u8(&e->sql, ')');
    e->sql.failed = e->sql.failed || path.failed;
    tako_buf_fini(&path);
}

bool emit_is_id(const emit *e, const node *n)
{
    chain c;

    if (n->kind != AST_NAME && n->kind != AST_FIELD)
        return false;
    split_chain(e, n, &c);
    return c.id && c.count == 0 && c.base == NULL;
}

bool emit_is_path(const emit *e, const node *n)
{
    chain c;

    if (n->kind != AST_NAME && n->kind != AST_FIELD && n->kind != AST_INDEX)
        return false;
    split_chain(e, n, &c);
    return c.base == NULL && (c.count > 0 || c.id);
}

bool emit_is_indexed(emit *e, const node *n)
{
    emit plain = *e;
    bool found;

    if (e->indexes == NULL || e->indexes[0] == '\0')
        return false;
    plain.sql = tako_buf_on(e->p->env);
    plain.body = "body";
    plain.id = "tql_id(row,id)";
    plain.table = NULL;
    plain.indexes = NULL;
    tako_put_str(&plain.sql, "tql_rank(");
    emit_value(&plain, n);
    tako_put_u8(&plain.sql, ')');
    found = strstr(e->indexes, tako_buf_cstr(&plain.sql)) != NULL;
    e->sql.failed = e->sql.failed || plain.sql.failed;
    tako_buf_fini(&plain.sql);
    return found;
}

/* ---- operators and calls ---------------------------------------------------------- */

static void emit_call1(emit *e, const char *name, const node *kid)
{
    tako_put_fmt(&e->sql, "tql_%s(", name);
    emit_value(e, kid);
    tako_put_u8(&e->sql, ')');
}

static void emit_args(emit *e, const char *name, const node *kids)
{
    tako_put_fmt(&e->sql, "tql_%s(", name);
    for (const node *k = kids; k != NULL; k = k->next) {
        if (k != kids)
            tako_put_u8(&e->sql, ',');
        emit_value(e, k);
    }
    tako_put_u8(&e->sql, ')');
}

/* Writes kids in calls of at most `most` each, joined by `outer` when there
 * are more, so that no call passes SQLite's limit of arguments. */
static void emit_chunks(emit *e, const node *n, unsigned most,
                        const char *inner, const char *outer, bool pairs)
{
    const node *k = n->first;
    uint32_t chunks = (n->count + most - 1) / most;

    if (chunks > TAKO_CALL_ARGS_MAX) {
        (void)query_fail_at(e->p, n->pos, TAKO_LIMIT,
                            "at most %u elements are allowed here",
                            most * TAKO_CALL_ARGS_MAX);
        return;
    }
    if (chunks > 1)
        tako_put_fmt(&e->sql, "tql_%s(", outer);
    for (uint32_t c = 0; c < chunks || c == 0; c++) {
        tako_put_fmt(&e->sql, "%stql_%s(", c > 0 ? "," : "", inner);
        for (unsigned i = 0; i < most && k != NULL; i++, k = k->next) {
            if (i > 0)
                tako_put_u8(&e->sql, ',');
            if (pairs) {
                tako_buf key = tako_buf_on(e->p->env);

                cbor_put_text(&key, k->text);
                emit_blob(e, tako_buf_slice(&key));
                e->sql.failed = e->sql.failed || key.failed;
                tako_buf_fini(&key);
                tako_put_u8(&e->sql, ',');
                emit_value(e, k->first);
            } else {
                emit_value(e, k);
            }
        }
        tako_put_u8(&e->sql, ')');
    }
    if (chunks > 1)
        tako_put_u8(&e->sql, ')');
}

static void emit_case(emit *e, const node *n)
{
    const node *k = n->first;
    uint32_t left = n->count;

    tako_put_str(&e->sql, "(CASE");
    if (n->op == 1) {
        /* SQLite's own: nothing equals null, as its side is taken away */
        tako_put_u8(&e->sql, ' ');
        emit_call1(e, "known", k);
        k = k->next;
        left--;
    }
    for (; left >= 2; left -= 2) {
        tako_put_str(&e->sql, " WHEN ");
        if (n->op == 1)
            emit_value(e, k);
        else
            emit_true(e, k);
        k = k->next;
        tako_put_str(&e->sql, " THEN ");
        emit_value(e, k);
        k = k->next;
    }
    if (n->op2) {
        tako_put_str(&e->sql, " ELSE ");
        emit_value(e, k);
    }
    tako_put_str(&e->sql, " END)");
}

static void emit_call(emit *e, const node *n)
{
    char name[64];
    const fn_entry *f = fn_find(n->text);

    (void)snprintf(name, sizeof name, "%.*s", (int)n->text.len,
                   (const char *)n->text.ptr);
    if (n->star || (n->count == 0 && f != NULL && fn_is_aggregate(f))) {
        tako_put_str(&e->sql, "count(*)");
        return;
    }
    if (n->distinct) {
        tako_put_fmt(&e->sql, "tql_%s(DISTINCT ", name);
        emit_value(e, n->first);
        tako_put_u8(&e->sql, ')');
        return;
    }
    emit_args(e, name, n->first);
}

static void emit_negated(emit *e, const node *n, const char *name,
                         const node *kids)
{
    if (n->negated)
        tako_put_str(&e->sql, "tql_not(");
    emit_args(e, name, kids);
    if (n->negated)
        tako_put_u8(&e->sql, ')');
}

void emit_value(emit *e, const node *n)
{
    static const char *const compares[] = {
        "eq", "ne", "lt", "le", "gt", "ge"
    };
    static const char *const ariths[] = { "add", "sub", "mul",
                                          "div", "rem", "concat" };

    switch (n->kind) {
    case AST_CONST:
        emit_const(e, n->text);
        return;
    case AST_PARAM:
        tako_put_fmt(&e->sql, "?%u", n->count);
        return;
    case AST_NAME:
    case AST_FIELD:
        emit_path(e, n);
        return;
    case AST_INDEX:
        if (is_step(n))
            emit_path(e, n);
        else
            emit_args(e, "at", n->first);
        return;
    case AST_SLICE:
        emit_args(e, "slice", n->first);
        return;
    case AST_NOT:
        emit_call1(e, "not", n->first);
        return;
    case AST_NEG:
        emit_call1(e, "neg", n->first);
        return;
    case AST_AND:
        emit_chunks(e, n, TAKO_CALL_ARGS_MAX, "and", "and", false);
        return;
    case AST_OR:
        emit_chunks(e, n, TAKO_CALL_ARGS_MAX, "or", "or", false);
        return;
    case AST_COMPARE:
        emit_args(e, compares[n->op], n->first);
        return;
    case AST_ARITH:
        emit_args(e, ariths[n->op], n->first);
        return;
    case AST_IS:
        emit_negated(e, n, n->op == IS_NULL ? "is_null" : "is_missing",
                     n->first);
        return;
    case AST_IN:
        emit_negated(e, n, "in", n->first);
        return;
    case AST_BETWEEN:
        emit_negated(e, n, "between", n->first);
        return;
    case AST_LIKE:
        emit_negated(e, n, n->op ? "ilike" : "like", n->first);
        return;
    case AST_CASE:
        emit_case(e, n);
        return;
    case AST_CALL:
        emit_call(e, n);
        return;
    case AST_ARRAY:
        emit_chunks(e, n, TAKO_CALL_ARGS_MAX, "array", "joined", false);
        return;
    case AST_OBJECT:
        emit_chunks(e, n, TAKO_CALL_ARGS_MAX / 2, "object", "joined", true);
        return;
    case AST_PAIR:
    case AST_OUT:
    case AST_ORDER:
    case AST_TYPE:
    case AST_SET:
    case AST_UNSET:
    case AST_APPLY:
    case AST_LIST:
        break;
    }
    (void)query_fail_at(e->p, n->pos, TAKO_INVALID, "not an expression");
}
