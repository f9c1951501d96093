// SPDX-License-Identifier: Apache-2.0
/* See print.h. Recursion is bounded by the parser's depth limit. Values print
 * as JSON, which TQL reads back; what JSON cannot say (bytes) is printed as
 * a hexadecimal text in deserialize_json, and MISSING as itself. */
#include "query/print.h"

#include <stdlib.h>

#include "codec/json.h"
#include "query/value.h"

/* The variables around what is being printed, the innermost first. */
typedef struct variable {
    const query_source *source;
    const struct variable *outer;
} variable;

typedef struct printer {
    const query_parse *parse;
    const variable *variables;
} printer;

static tako_err print(const printer *p, const node *n, tako_buf *out);

static void put_name(tako_buf *out, tako_slice name)
{
    tako_put_u8(out, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '`')
            tako_put_u8(out, '`');
        tako_put_u8(out, name.ptr[i]);
    }
    tako_put_u8(out, '`');
}

static bool holds_bytes(tako_slice v)
{
    value_iter it;
    uint64_t n;

    /* Values are at most TAKO_JSON_DEPTH_MAX deep: query_bind's contract. */
    if (value_rank_cbor(v) == RANK_BYTES)
        return true;
    if (!value_iter_init(&it, v, &n))
        return false;
    while (value_iter_next(&it)) {
        if (holds_bytes(it.value))
            return true;
    }
    return false;
}

static tako_err put_const(const printer *p, tako_slice v, tako_buf *out)
{
    tako_buf text;
    tako_err err;

    if (v.len == 0) {
        tako_put_str(out, "MISSING");
        return TAKO_OK;
    }
    if (!holds_bytes(v))
        return json_from_cbor(v, out);
    text = tako_buf_on(p->parse->env);
    err = json_from_cbor(v, &text);
    if (err == TAKO_OK) {
        tako_put_str(out, "deserialize_json(");
        json_put_string(out, tako_buf_slice(&text));
        tako_put_u8(out, ')');
    }
    tako_buf_fini(&text);
    return err;
}

/* Kids separated by `between`; sorted when asked, equal ones once. */
static tako_err put_list(const printer *p, const node *first,
                         const char *between, tako_buf *out)
{
    for (const node *k = first; k != NULL; k = k->next) {
        if (k != first)
            tako_put_str(out, between);
        TAKO_TRY(print(p, k, out));
    }
    return TAKO_OK;
}

static int text_cmp(const void *a, const void *b)
{
    const tako_slice *x = a;
    const tako_slice *y = b;

    return tako_slice_cmp(*x, *y);
}

static tako_err put_sorted(const printer *p, const node *n, const char *between,
                           tako_buf *out)
{
    tako_arena arena = tako_arena_on(p->parse->env);
    tako_slice *texts = tako_arena_array(&arena, n->count, sizeof *texts);
    tako_buf one = tako_buf_on(p->parse->env);
    size_t i = 0, put = 0;
    tako_err err = texts == NULL ? TAKO_NOMEM : TAKO_OK;

    for (const node *k = n->first; k != NULL && err == TAKO_OK; k = k->next) {
        tako_buf_reset(&one);
        err = print(p, k, &one);
        if (err == TAKO_OK && one.failed)
            err = TAKO_NOMEM;
        if (err == TAKO_OK) {
            texts[i] = tako_arena_copy(&arena, tako_buf_slice(&one));
            err = texts[i++].ptr == NULL ? TAKO_NOMEM : TAKO_OK;
        }
    }
    if (err == TAKO_OK) {
        qsort(texts, i, sizeof *texts, text_cmp);
        /* Equal operands once; but x AND x is not x where x is no boolean, so
         * two always stay. */
        for (size_t k = 0; k < i; k++) {
            if (k > 0 && tako_slice_eq(texts[k - 1], texts[k]) &&
                !(put == 1 && k + 1 == i))
                continue;
            if (put++ > 0)
                tako_put_str(out, between);
            tako_put_bytes(out, texts[k]);
        }
    }
    tako_buf_fini(&one);
    tako_arena_fini(&arena);
    return err;
}

static tako_err put_compare(const printer *p, const node *n, tako_buf *out)
{
    static const char *const names[] = { "=", "!=", "<", "<=", ">", ">=" };
    static const uint8_t turn[] = { COMPARE_EQ, COMPARE_NE, COMPARE_GT,
                                    COMPARE_GE, COMPARE_LT, COMPARE_LE };
    const node *a = n->first, *b = a->next;
    uint8_t op = n->op;

    if (a->kind == AST_CONST && b->kind != AST_CONST) {
        const node *t = a;

        a = b;
        b = t;
        op = turn[op];
    }
    TAKO_TRY(print(p, a, out));
    tako_put_str(out, names[op]);
    return print(p, b, out);
}

static tako_err put_infix(const printer *p, const node *n, const char *op,
                          tako_buf *out)
{
    TAKO_TRY(print(p, n->first, out));
    if (n->negated)
        tako_put_str(out, " NOT");
    tako_put_str(out, op);
    if (n->kind == AST_IN && n->first->next->kind == AST_CALL) {
        /* any other unit stands without parentheses */
        return print(p, n->first->next, out);
    }
    return print(p, n->first->next, out);
}

static tako_err put_case(const printer *p, const node *n, tako_buf *out)
{
    const node *k = n->first;
    uint32_t left = n->count;

    tako_put_str(out, "CASE ");
    if (n->op == 1) {
        TAKO_TRY(print(p, k, out));
        k = k->next;
        left--;
    }
    for (; left >= 2; left -= 2) {
        tako_put_str(out, " WHEN ");
        TAKO_TRY(print(p, k, out));
        tako_put_str(out, " THEN ");
        TAKO_TRY(print(p, k->next, out));
        k = k->next->next;
    }
    if (n->op2) {
        tako_put_str(out, " ELSE ");
        TAKO_TRY(print(p, k, out));
    }
    tako_put_str(out, " END");
    return TAKO_OK;
}

/* A variable of ANY and FOR is called by its depth, with a name that no
 * collection can have; the one that is innermost has the greatest. */
static void put_variable(const printer *p, const query_source *s, tako_buf *out)
{
    unsigned depth = 0;

    for (const variable *v = p->variables; v != NULL; v = v->outer)
        depth += v->source == s || depth > 0;
    tako_put_fmt(out, "`system:%u`", depth);
}

/* Names: without the alias, but inside ANY and FOR, where a bare name may be a
 * variable; what begins with the collection's is a path of the document. */
static tako_err put_path(const printer *p, const node *n, tako_buf *out)
{
    tako_slice collection = p->parse->stmt.select->first->from->name;
    bool plain = p->variables == NULL;

    if (n->kind == AST_NAME && n->source->kind == SOURCE_VARIABLE) {
        put_variable(p, n->source, out);
        return TAKO_OK;
    }
    if (n->kind == AST_NAME && n->op == NAME_WHOLE) {
        put_name(out, collection);
        return TAKO_OK;
    }
    if (n->kind == AST_NAME ||
        (n->first->kind == AST_NAME && n->first->op == NAME_WHOLE &&
         n->first->source->kind == SOURCE_COLLECTION)) {
        if (!plain || tako_slice_eq(n->text, collection)) {
            put_name(out, collection);
            tako_put_u8(out, '.');
        }
        put_name(out, n->text);
        return TAKO_OK;
    }
    TAKO_TRY(print(p, n->first, out));
    tako_put_u8(out, '.');
    put_name(out, n->text);
    return TAKO_OK;
}

/* ANY v IN list SATISFIES a END; ARRAY a FOR v IN list [WHEN b] END; OBJECT a:b
 * FOR v IN list [WHEN c] END. */
static tako_err put_for(const printer *p, const node *n, tako_buf *out)
{
    static const char *const anys[] = { "ANY", "EVERY", "ANY AND EVERY" };
    variable v = { n->source, p->variables };
    printer inner = { p->parse, &v };
    const node *list = n->first, *a = list->next, *b = a->next;
    bool any = n->kind == AST_ANY, object = n->kind == AST_OBJECT_FOR;
    const node *when = object ? b->next : b;

    if (!any) {
        tako_put_str(out, object ? "OBJECT " : "ARRAY ");
        TAKO_TRY(print(&inner, a, out));
        if (object) {
            tako_put_str(out, " : ");
            TAKO_TRY(print(&inner, b, out));
        }
    }
    tako_put_str(out, any ? anys[n->op] : " FOR");
    tako_put_u8(out, ' ');
    put_variable(&inner, n->source, out);
    tako_put_str(out, n->source->within ? " WITHIN " : " IN ");
    TAKO_TRY(print(p, list, out));
    if (any || when != NULL) {
        tako_put_str(out, any ? " SATISFIES " : " WHEN ");
        TAKO_TRY(print(&inner, any ? a : when, out));
    }
    tako_put_str(out, " END");
    return TAKO_OK;
}

static tako_err put_operator(const printer *p, const node *n, tako_buf *out)
{
    static const char *const ariths[] = { "+", "- ", "*", "/", "%", "||" };
    static const char *const likes[] = { " LIKE ", " ILIKE ", " SIMILAR TO " };

    switch (n->kind) {
    case AST_NOT:
        tako_put_str(out, "NOT ");
        return print(p, n->first, out);
    case AST_NEG:
        tako_put_str(out, "- "); /* not --, which begins a comment */
        return print(p, n->first, out);
    case AST_AND:
        return put_sorted(p, n, " AND ", out);
    case AST_OR:
        return put_sorted(p, n, " OR ", out);
    case AST_COMPARE:
        return put_compare(p, n, out);
    case AST_ARITH:
        return put_infix(p, n, ariths[n->op], out);
    case AST_IN:
        return put_infix(p, n, " IN ", out);
    case AST_LIKE:
        return put_infix(p, n, likes[n->op], out);
    case AST_IS:
        TAKO_TRY(print(p, n->first, out));
        tako_put_str(out, n->negated ? " IS NOT " : " IS ");
        tako_put_str(out, n->op == IS_NULL ? "NULL" : "MISSING");
        return TAKO_OK;
    case AST_BETWEEN:
        TAKO_TRY(print(p, n->first, out));
        tako_put_str(out, n->negated ? " NOT BETWEEN " : " BETWEEN ");
        return put_list(p, n->first->next, " AND ", out);
    case AST_CONST:
    case AST_PARAM:
    case AST_NAME:
    case AST_FIELD:
    case AST_INDEX:
    case AST_SLICE:
    case AST_CASE:
    case AST_CALL:
    case AST_ARRAY:
    case AST_OBJECT:
    case AST_PAIR:
    case AST_ANY:
    case AST_ARRAY_FOR:
    case AST_OBJECT_FOR:
    case AST_SELECT:
    case AST_EXISTS:
    case AST_OUT:
    case AST_ORDER:
    case AST_TYPE:
    case AST_SET:
    case AST_UNSET:
    case AST_APPLY:
    case AST_LIST:
        break;
    }
    return TAKO_INVALID;
}

static tako_err print_operator(const printer *p, const node *n, tako_buf *out)
{
    tako_put_u8(out, '(');
    TAKO_TRY(put_operator(p, n, out));
    tako_put_u8(out, ')');
    return TAKO_OK;
}

static tako_err print_index(const printer *p, const node *n, tako_buf *out)
{
    const node *k = n->first;

    TAKO_TRY(print(p, k, out));
    tako_put_u8(out, '[');
    TAKO_TRY(print(p, k->next, out));
    if (n->kind == AST_SLICE) {
        tako_put_str(out, " : ");
        if (k->next->next != NULL)
            TAKO_TRY(print(p, k->next->next, out));
    }
    tako_put_u8(out, ']');
    return TAKO_OK;
}

static tako_err print(const printer *p, const node *n, tako_buf *out)
{
    switch (n->kind) {
    case AST_CONST:
        return put_const(p, n->text, out);
    case AST_PARAM:
        tako_put_u8(out, ':');
        tako_put_bytes(out, n->text);
        return TAKO_OK;
    case AST_NAME:
    case AST_FIELD:
        return put_path(p, n, out);
    case AST_INDEX:
    case AST_SLICE:
        return print_index(p, n, out);
    case AST_CASE:
        return put_case(p, n, out);
    case AST_CALL:
        tako_put_bytes(out, n->text);
        tako_put_u8(out, '(');
        TAKO_TRY(put_list(p, n->first, ",", out));
        tako_put_u8(out, ')');
        return TAKO_OK;
    case AST_ARRAY:
        tako_put_u8(out, '[');
        TAKO_TRY(put_list(p, n->first, ",", out));
        tako_put_u8(out, ']');
        return TAKO_OK;
    case AST_OBJECT:
        tako_put_u8(out, '{');
        TAKO_TRY(put_list(p, n->first, ",", out));
        tako_put_u8(out, '}');
        return TAKO_OK;
    case AST_PAIR:
        json_put_string(out, n->text);
        tako_put_u8(out, ':');
        return print(p, n->first, out);
    case AST_NOT:
    case AST_NEG:
    case AST_AND:
    case AST_OR:
    case AST_COMPARE:
    case AST_ARITH:
    case AST_IS:
    case AST_IN:
    case AST_BETWEEN:
    case AST_LIKE:
        return print_operator(p, n, out);
    case AST_ANY:
    case AST_ARRAY_FOR:
    case AST_OBJECT_FOR:
        return put_for(p, n, out);
    case AST_SELECT:
    case AST_EXISTS:
    case AST_OUT:
    case AST_ORDER:
    case AST_TYPE:
    case AST_SET:
    case AST_UNSET:
    case AST_APPLY:
    case AST_LIST:
        break;
    }
    return TAKO_INVALID;
}

tako_err query_print(const query_parse *p, tako_buf *out)
{
    const query_core *c = p->stmt.select->first;
    const printer plain = { p, NULL };

    tako_put_str(out, "SELECT * FROM ");
    put_name(out, c->from->name);
    if (c->where != NULL) {
        tako_put_str(out, " WHERE ");
        TAKO_TRY(print(&plain, c->where, out));
    }
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}
