// SPDX-License-Identifier: Apache-2.0
/* Building the tree. Every maker counts nodes and depth, so that what follows
 * (checks, emitter, printer) can recurse over it without a thought. Constant
 * arrays and objects are folded to their CBOR at once: a document written in
 * the text costs the same as one that is bound. */
#include "query/ast.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "codec/cbor.h"
#include "query/number.h"

tako_err query_fail_at(query_parse *p, uint32_t pos, tako_err code,
                       const char *fmt, ...)
{
    unsigned line = 1, column = 1;
    char what[400];
    va_list ap;

    if (p->err != TAKO_OK)
        return p->err;
    for (size_t i = 0; i < pos && i < p->text.len; i++) {
        uint8_t c = p->text.ptr[i];

        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xC0) != 0x80) {
            column++; /* characters, not bytes */
        }
    }
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    p->err = code;
    return tako_fail(p->e, code, "line %u column %u: %s", line, column, what);
}

static void fail_memory(query_parse *p)
{
    if (p->err == TAKO_OK)
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
}

node *ast_new(query_parse *p, ast_kind kind, uint32_t pos, uint32_t end)
{
    node *n;

    if (p->err != TAKO_OK)
        return NULL;
    if (p->nodes++ >= TAKO_STATEMENT_NODES_MAX) {
        (void)query_fail_at(p, pos, TAKO_LIMIT,
                            "a statement has at most %u names, values and "
                            "operators",
                            TAKO_STATEMENT_NODES_MAX);
        return NULL;
    }
    n = TAKO_NEW(&p->arena, node);
    if (n == NULL) {
        fail_memory(p);
        return NULL;
    }
    n->kind = kind;
    n->pos = pos;
    n->end = end;
    n->depth = 1;
    return n;
}

node *ast_add(query_parse *p, node *parent, node *kid)
{
    if (p->err != TAKO_OK || parent == NULL || kid == NULL)
        return NULL;
    TAKO_ASSERT(kid->next == NULL);
    if (parent->last != NULL)
        parent->last->next = kid;
    else
        parent->first = kid;
    parent->last = kid;
    parent->count++;
    if (kid->pos < parent->pos)
        parent->pos = kid->pos;
    if (kid->end > parent->end)
        parent->end = kid->end;
    if (kid->depth >= parent->depth)
        parent->depth = (uint16_t)(kid->depth + 1);
    if (parent->depth > TAKO_EXPR_DEPTH_MAX) {
        (void)query_fail_at(p, kid->pos, TAKO_LIMIT,
                            "an expression nests at most %u deep",
                            TAKO_EXPR_DEPTH_MAX);
        return NULL;
    }
    return parent;
}

node *ast_one(query_parse *p, ast_kind kind, node *kid)
{
    if (kid == NULL)
        return NULL;
    return ast_add(p, ast_new(p, kind, kid->pos, kid->end), kid);
}

node *ast_two(query_parse *p, ast_kind kind, uint8_t op, node *a, node *b)
{
    node *n = ast_one(p, kind, a);

    if (n == NULL)
        return NULL;
    n->op = op;
    return ast_add(p, n, b);
}

node *ast_logic(query_parse *p, ast_kind kind, node *a, node *b)
{
    if (a != NULL && a->kind == kind && a->op2 == 0)
        return ast_add(p, a, b);
    return ast_two(p, kind, 0, a, b);
}

node *ast_span(node *n, uint32_t pos, uint32_t end)
{
    if (n == NULL)
        return NULL;
    n->pos = pos;
    n->end = end;
    if (n->kind == AST_AND || n->kind == AST_OR)
        n->op2 = 1; /* in parentheses: another list than what follows */
    return n;
}

static node *const_from(query_parse *p, const tako_buf *b, uint32_t pos,
                        uint32_t end)
{
    node *n = ast_new(p, AST_CONST, pos, end);

    if (n == NULL)
        return NULL;
    if (b->failed) {
        fail_memory(p);
        return NULL;
    }
    if (b->len > 0) {
        n->text = tako_arena_copy(&p->arena, tako_buf_slice(b));
        if (n->text.ptr == NULL) {
            fail_memory(p);
            return NULL;
        }
    }
    return n;
}

static node *const_int(query_parse *p, int64_t v, uint32_t pos, uint32_t end)
{
    tako_buf b = tako_buf_on(p->env);
    node *n;

    cbor_put_int(&b, v);
    n = const_from(p, &b, pos, end);
    tako_buf_fini(&b);
    return n;
}

static node *const_float(query_parse *p, double v, uint32_t pos, uint32_t end)
{
    tako_buf b = tako_buf_on(p->env);
    node *n;

    cbor_put_float(&b, v);
    n = const_from(p, &b, pos, end);
    tako_buf_fini(&b);
    return n;
}

static node *hex_number(query_parse *p, query_token t)
{
    uint64_t v = 0;

    for (size_t i = 2; i < t.text.len; i++) {
        uint8_t c = t.text.ptr[i];

        if (v > (uint64_t)INT64_MAX >> 4) {
            (void)query_fail_at(p, t.pos, TAKO_INVALID,
                                "%.*s does not fit in 64 bits",
                                t.text.len > 40 ? 40 : (int)t.text.len,
                                (const char *)t.text.ptr);
            return NULL;
        }
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return const_int(p, (int64_t)v, t.pos, t.end);
}

node *ast_number(query_parse *p, query_token t)
{
    number_text v;
    node *n;

    if (p->err != TAKO_OK)
        return NULL;
    if (t.text.len > 2 && (t.text.ptr[1] | 0x20) == 'x')
        return hex_number(p, t);
    if (!number_parse(t.text, &v)) {
        (void)query_fail_at(
            p, t.pos, TAKO_INVALID, "%.*s is beyond the range of numbers",
            t.text.len > 40 ? 40 : (int)t.text.len, (const char *)t.text.ptr);
        return NULL;
    }
    if (v.whole)
        return const_int(p, v.integer, t.pos, t.end);
    n = const_float(p, v.real, t.pos, t.end);
    /* The one integer that exists only with its sign. */
    if (n != NULL &&
        tako_slice_eq(t.text, tako_slice_str("9223372036854775808")))
        n->op2 = 1;
    return n;
}

node *ast_string(query_parse *p, query_token t)
{
    tako_buf b = tako_buf_on(p->env);
    node *n;

    cbor_put_text(&b, t.text);
    n = const_from(p, &b, t.pos, t.end);
    tako_buf_fini(&b);
    return n;
}

node *ast_simple(query_parse *p, query_token t, uint8_t byte)
{
    tako_buf b = tako_buf_on(p->env);
    node *n;

    if (byte != 0)
        tako_put_u8(&b, byte);
    n = const_from(p, &b, t.pos, t.end);
    tako_buf_fini(&b);
    return n;
}

/* -x: of a number at once, else an operator. */
node *ast_negate(query_parse *p, node *n, query_token op)
{
    tako_reader r;
    cbor_item item;

    if (n == NULL)
        return NULL;
    if (n->kind == AST_CONST && n->text.len > 0) {
        r = tako_reader_of(n->text);
        if (n->op2 == 1)
            return const_int(p, INT64_MIN, op.pos, n->end);
        if (cbor_read(&r, &item) && item.kind == CBOR_FLOAT)
            return const_float(p, -item.real, op.pos, n->end);
        if (!r.failed && item.kind == CBOR_INT && item.integer > INT64_MIN)
            return const_int(p, -item.integer, op.pos, n->end);
    }
    n = ast_one(p, AST_NEG, n);
    if (n != NULL)
        n->pos = op.pos;
    return n;
}

node *ast_param(query_parse *p, query_token t)
{
    node *n = ast_new(p, AST_PARAM, t.pos, t.end);
    uint32_t i;

    if (n == NULL)
        return NULL;
    if (p->params == NULL) {
        p->params = tako_arena_array(&p->arena, TAKO_STATEMENT_PARAMS_MAX,
                                     sizeof *p->params);
        p->counts = tako_arena_array(&p->arena, TAKO_STATEMENT_PARAMS_MAX,
                                     sizeof *p->counts);
        if (p->params == NULL || p->counts == NULL) {
            fail_memory(p);
            return NULL;
        }
    }
    for (i = 0; i < p->param_count; i++) {
        if (tako_slice_eq(p->params[i], t.text))
            break;
    }
    if (i == TAKO_STATEMENT_PARAMS_MAX) {
        (void)query_fail_at(p, t.pos, TAKO_LIMIT,
                            "a statement has at most %u parameters",
                            TAKO_STATEMENT_PARAMS_MAX);
        return NULL;
    }
    if (i == p->param_count)
        p->params[p->param_count++] = t.text;
    n->text = t.text;
    n->count = i + 1;
    return n;
}

node *ast_named(query_parse *p, ast_kind kind, query_token t)
{
    node *n = ast_new(p, kind, t.pos, t.end);

    if (n != NULL)
        n->text = t.text;
    return n;
}

node *ast_field(query_parse *p, node *of, query_token t)
{
    node *n = ast_one(p, AST_FIELD, of);

    if (n != NULL) {
        n->text = t.text;
        n->end = t.end;
    }
    return n;
}

node *ast_call(query_parse *p, query_token name, node *args, query_token end)
{
    node *n = ast_new(p, AST_CALL, name.pos, end.end);
    uint8_t *low;

    if (n == NULL || args == NULL)
        return NULL;
    low = tako_arena_alloc(&p->arena, name.text.len + 1);
    if (low == NULL) {
        fail_memory(p);
        return NULL;
    }
    for (size_t i = 0; i < name.text.len; i++) {
        uint8_t c = name.text.ptr[i];

        low[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    n->text = tako_slice_of(low, name.text.len);
    n->first = args->first;
    n->last = args->last;
    n->count = args->count;
    n->distinct = args->distinct;
    n->star = args->star;
    n->depth = args->depth;
    return n;
}

node *ast_set(query_parse *p, node *path, node *value)
{
    bool replace = value != NULL && value->kind == AST_CALL &&
                   tako_slice_eq(value->text, tako_slice_str("replace"));

    if (replace) {
        if (value->count != 1 || value->star) {
            (void)query_fail_at(p, value->pos, TAKO_INVALID,
                                "REPLACE takes one value");
            return NULL;
        }
        value = value->first;
    }
    return ast_two(p, AST_SET, replace, path, value);
}

/* ---- folding ---------------------------------------------------------------- */

static int pair_cmp(const void *a, const void *b)
{
    const node *const *x = a;
    const node *const *y = b;

    return cbor_key_cmp((*x)->text, (*y)->text);
}

/* Sorts the pairs of an object by key and refuses a key named twice. */
static bool sort_pairs(query_parse *p, node *n)
{
    node **all = tako_arena_array(&p->arena, n->count, sizeof *all);
    size_t i = 0;

    if (all == NULL) {
        fail_memory(p);
        return false;
    }
    for (node *k = n->first; k != NULL; k = k->next)
        all[i++] = k;
    qsort(all, n->count, sizeof *all, pair_cmp);
    for (i = 0; i < n->count; i++) {
        if (i > 0 && tako_slice_eq(all[i - 1]->text, all[i]->text)) {
            (void)query_fail_at(p, all[i]->pos, TAKO_INVALID,
                                "the object has the key '%.*s' twice",
                                (int)all[i]->text.len,
                                (const char *)all[i]->text.ptr);
            return false;
        }
        all[i]->next = i + 1 < n->count ? all[i + 1] : NULL;
    }
    n->first = all[0];
    n->last = all[n->count - 1];
    return true;
}

node *ast_sort(query_parse *p, node *n)
{
    return n->count > 1 && !sort_pairs(p, n) ? NULL : n;
}

node *ast_fold(query_parse *p, node *n)
{
    tako_buf b;
    node *out;
    bool object;
    uint64_t present = 0;

    if (n == NULL || p->err != TAKO_OK)
        return NULL;
    object = n->kind == AST_OBJECT;
    if (object && n->count > 1 && !sort_pairs(p, n))
        return NULL;
    for (const node *k = n->first; k != NULL; k = k->next) {
        const node *v = object ? k->first : k;

        if (v->kind != AST_CONST)
            return n;
        present += v->text.len > 0;
    }
    b = tako_buf_on(p->env);
    if (object)
        cbor_put_map(&b, present);
    else
        cbor_put_array(&b, n->count);
    for (const node *k = n->first; k != NULL; k = k->next) {
        const node *v = object ? k->first : k;

        if (object && v->text.len > 0)
            cbor_put_text(&b, k->text);
        if (v->text.len > 0)
            tako_put_bytes(&b, v->text);
        else if (!object)
            cbor_put_null(&b);
    }
    out = const_from(p, &b, n->pos, n->end);
    tako_buf_fini(&b);
    if (out != NULL)
        out->depth = n->depth;
    return out;
}

/* ---- looking ---------------------------------------------------------------- */

/* The same source; or variables of the same name, which in equal trees stand
 * for the same. */
static bool source_equal(const query_source *a, const query_source *b)
{
    return a == b || (a != NULL && b != NULL && a->kind == SOURCE_VARIABLE &&
                      b->kind == SOURCE_VARIABLE && a->within == b->within &&
                      tako_slice_eq(a->alias, b->alias));
}

bool ast_equal(const node *a, const node *b)
{
    const node *x, *y;

    if (a->kind != b->kind || a->op != b->op || a->count != b->count ||
        a->negated != b->negated || a->distinct != b->distinct ||
        a->star != b->star || !source_equal(a->source, b->source) ||
        a->select != b->select || !tako_slice_eq(a->text, b->text))
        return false;
    for (x = a->first, y = b->first; x != NULL && y != NULL;
         x = x->next, y = y->next) {
        if (!ast_equal(x, y))
            return false;
    }
    return x == NULL && y == NULL;
}

bool ast_is_int(const node *n, int64_t *v)
{
    tako_reader r;
    cbor_item item;

    if (n == NULL || n->kind != AST_CONST || n->text.len == 0)
        return false;
    r = tako_reader_of(n->text);
    if (!cbor_read(&r, &item) || item.kind != CBOR_INT)
        return false;
    *v = item.integer;
    return true;
}

/* ---- the parse as a whole --------------------------------------------------- */

tako_err query_parse_init(query_parse *p, const tako_env *env, tako_slice text,
                          tako_errbuf *e)
{
    memset(p, 0, sizeof *p);
    p->env = env;
    p->arena = tako_arena_on(env);
    p->e = e;
    if (text.len > TAKO_STATEMENT_BYTES_MAX)
        return p->err = tako_fail(e, TAKO_LIMIT,
                                  "line 1 column 1: a statement of %zu bytes; "
                                  "at most %u are allowed",
                                  text.len, TAKO_STATEMENT_BYTES_MAX);
    if (!utf8_check(text))
        return p->err = tako_fail(e, TAKO_INVALID,
                                  "line 1 column 1: the text is not UTF-8");
    p->text =
        tako_arena_copy(&p->arena, text.len > 0 ? text : tako_slice_str(" "));
    if (p->text.ptr == NULL)
        fail_memory(p);
    else
        query_parse_run(p);
    return p->err;
}

void query_parse_fini(query_parse *p)
{
    tako_arena_fini(&p->arena);
    memset(p, 0, sizeof *p);
}
