// SPDX-License-Identifier: Apache-2.0
/* Values: see emit.h. */
#include "query/emit.h"

#include <math.h>
#include <stdio.h>

#include "codec/cbor.h"
#include "codec/decimal.h"
#include "query/functions.h"
#include "query/resolve.h"

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

void emit_string(emit *e, tako_slice s)
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

/* A literal where SQLite surely reads it back exactly: up to 15 digits with a
 * power of ten that is a double itself. */
static void put_real(emit *e, double v, tako_slice cbor)
{
    uint64_t digits = 0;
    int exp10 = 0;

    if (v != 0)
        decimal_shortest(v < 0 ? -v : v, &digits, &exp10);
    if (!(v == 0 && signbit(v)) && digits < 1000000000000000u && exp10 >= -22 &&
        exp10 <= 22) {
        tako_put_fmt(&e->sql, "(%s%llu.0e%d)", v < 0 ? "-" : "",
                     (unsigned long long)digits, exp10);
        return;
    }
    tako_put_str(&e->sql, "tql_real(");
    emit_blob(e, cbor);
    tako_put_u8(&e->sql, ')');
}

void emit_const(emit *e, tako_slice cbor)
{
    tako_reader r = tako_reader_of(cbor);
    value_rank rank = value_rank_cbor(cbor);
    cbor_item item;

    if (rank == RANK_MISSING) {
        tako_put_str(&e->sql, "NULL");
        return;
    }
    if ((rank != RANK_NUMBER && rank != RANK_TEXT) || !cbor_read(&r, &item)) {
        emit_blob(e, cbor);
        return;
    }
    if (item.kind == CBOR_TEXT) {
        emit_string(e, item.str);
    } else if (item.kind == CBOR_INT) {
        tako_put_fmt(&e->sql, "(%lld)", (long long)item.integer);
    } else {
        put_real(e, item.real, cbor);
    }
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

static void put_key(emit *e, tako_slice name)
{
    tako_buf key = tako_buf_on(e->p->env);

    cbor_put_text(&key, name);
    emit_blob(e, tako_buf_slice(&key));
    e->sql.failed = e->sql.failed || key.failed;
    tako_buf_fini(&key);
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
                put_key(e, k->text);
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

static bool reads_something(const node *n)
{
    if (n->kind == AST_NAME || n->select != NULL)
        return true;
    for (const node *k = n->first; k != NULL; k = k->next) {
        if (reads_something(k))
            return true;
    }
    return false;
}

/* Whether n names a source of the core, not counting SELECTs inside. */
static bool names_source_of(const emit *e, const node *n)
{
    if (n->kind == AST_NAME)
        return emit_is_inner(e, n->source);
    if (n->select != NULL)
        return false;
    for (const node *k = n->first; k != NULL; k = k->next) {
        if (names_source_of(e, k))
            return true;
    }
    return false;
}

/* SQLite gives an aggregate that reads only outer sources to the outer SELECT;
 * ours belongs where it stands, so a column of an inner source is named too. */
static void put_aggregated(emit *e, const node *arg)
{
    const query_source *f = e->core == NULL ? NULL : e->core->from;

    if (f == NULL || !reads_something(arg) || names_source_of(e, arg)) {
        emit_value(e, arg);
        return;
    }
    tako_put_str(&e->sql, "tql_first(");
    emit_value(e, arg);
    tako_put_fmt(&e->sql, ",t%u.%s)", f->number, emit_some_column(f));
}

static void emit_aggregate(emit *e, const node *n)
{
    if (n->star || n->count == 0) {
        tako_put_str(&e->sql, "count(*)");
        return;
    }
    tako_put_fmt(&e->sql, "tql_%.*s(%s", (int)n->text.len,
                 (const char *)n->text.ptr, n->distinct ? "DISTINCT " : "");
    put_aggregated(e, n->first);
    tako_put_u8(&e->sql, ')');
}

static void emit_call(emit *e, const node *n)
{
    char name[64];
    const fn_entry *f = fn_find(n->text);

    if (f != NULL && fn_is_aggregate(f)) {
        emit_aggregate(e, n);
        return;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)n->text.len,
                   (const char *)n->text.ptr);
    emit_args(e, name, n->first);
}

/* a + b + c is one call: SQLite's parser has a stack of a hundred. */
static void emit_arith(emit *e, const node *n)
{
    static const char *const names[] = { "add", "sub", "mul",
                                         "div", "rem", "concat" };
    const node *parts[TAKO_CALL_ARGS_MAX];
    size_t count = 0;

    for (; count < TAKO_CALL_ARGS_MAX - 1; n = n->first) {
        parts[count++] = n->first->next;
        if (n->first->kind != AST_ARITH || n->first->op != n->op)
            break;
    }
    tako_put_fmt(&e->sql, "tql_%s(", names[n->op]);
    emit_value(e, n->first);
    while (count > 0) {
        tako_put_u8(&e->sql, ',');
        emit_value(e, parts[--count]);
    }
    tako_put_u8(&e->sql, ')');
}

/* ---- rows as objects ------------------------------------------------------------- */

/* The columns of a SELECT in FROM, which are in the order of keys. */
void emit_names(emit *e, const query_source *s)
{
    const query_select *q = s->select;
    const uint32_t most = TAKO_CALL_ARGS_MAX / 2;
    bool many = q->name_count > most;

    if (many)
        tako_put_str(&e->sql, "tql_joined(");
    tako_put_str(&e->sql, "tql_object(");
    for (uint32_t i = 0; i < q->name_count; i++) {
        if (i > 0)
            tako_put_str(&e->sql, i % most == 0 ? "),tql_object(" : ",");
        put_key(e, q->names[i]);
        tako_put_fmt(&e->sql, ",t%u.f%u", s->number, i);
    }
    tako_put_str(&e->sql, many ? "))" : ")");
}

/* The named fields as an object; NULL when there are none. */
static node *named_fields(emit *e, const query_core *c)
{
    node *o = ast_new(e->p, AST_OBJECT, c->outs->pos, c->outs->end);

    for (const node *k = c->outs->first; k != NULL && o != NULL; k = k->next) {
        node *pair;

        if (k->op == OUT_STAR || k->op == OUT_WITHOUT)
            continue;
        pair = ast_one(e->p, AST_PAIR, k->first);
        if (pair == NULL)
            return NULL;
        pair->text = query_out_name(e->p, k);
        o = ast_add(e->p, o, pair);
    }
    return o == NULL || o->count == 0 ? NULL : ast_sort(e->p, o);
}

void emit_row(emit *e, const query_core *c)
{
    const node *fields = named_fields(e, c);
    bool first = true;

    for (const node *k = c->outs->first; k != NULL; k = k->next)
        if (k->op == OUT_WITHOUT)
            tako_put_str(&e->sql, "tql_object_unset(");
    tako_put_str(&e->sql, "tql_merge(");
    for (const node *k = c->outs->first; k != NULL; k = k->next) {
        if (k->op != OUT_STAR)
            continue;
        if (!first)
            tako_put_u8(&e->sql, ',');
        first = false;
        emit_value(e, k->first);
    }
    if (fields != NULL) {
        if (!first)
            tako_put_u8(&e->sql, ',');
        emit_value(e, fields);
    }
    tako_put_u8(&e->sql, ')');
    for (const node *k = c->outs->first; k != NULL; k = k->next) {
        if (k->op != OUT_WITHOUT)
            continue;
        tako_put_u8(&e->sql, ',');
        emit_string(e, k->text);
        tako_put_u8(&e->sql, ')');
    }
}

/* ---- all of them ------------------------------------------------------------------- */

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
    static const char *const likes[] = { "like", "ilike", "similar" };

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
        if (emit_is_step(n))
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
        emit_arith(e, n);
        return;
    case AST_IS:
        emit_negated(e, n, n->op == IS_NULL ? "is_null" : "is_missing",
                     n->first);
        return;
    case AST_IN:
        emit_in_value(e, n);
        return;
    case AST_BETWEEN:
        emit_negated(e, n, "between", n->first);
        return;
    case AST_LIKE:
        emit_negated(e, n, likes[n->op], n->first);
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
    case AST_ANY:
        emit_any_value(e, n);
        return;
    case AST_ARRAY_FOR:
    case AST_OBJECT_FOR:
        emit_for(e, n);
        return;
    case AST_SELECT:
        tako_put_u8(&e->sql, '(');
        emit_select(e, n->select, FORM_SINGLE);
        tako_put_u8(&e->sql, ')');
        return;
    case AST_EXISTS:
        tako_put_str(&e->sql, "CASE WHEN EXISTS(");
        emit_select(e, n->select, FORM_EXISTS);
        tako_put_str(&e->sql, ") THEN x'f5' ELSE x'f4' END");
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
