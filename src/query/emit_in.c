// SPDX-License-Identifier: Apache-2.0
/* IN, and documents by their _id: see emit.h. */
#include "query/emit.h"

#include <stdio.h>

#include "query/value.h"

/* x IN (constants): *same is the one rank of all, or -1. NULLs are left out,
 * nothing equals them. False when nothing is left. */
static bool const_list_kind(tako_slice list, int *same)
{
    value_iter it;
    uint64_t n;
    bool any = false;

    *same = -1;
    if (value_rank_cbor(list) != RANK_ARRAY || !value_iter_init(&it, list, &n))
        return false;
    while (value_iter_next(&it)) {
        value_rank r = value_rank_cbor(it.value);

        if (r >= RANK_NULL)
            continue;
        if (!any)
            *same = value_sql_rank(r);
        else if (*same != value_sql_rank(r))
            *same = -1;
        any = true;
    }
    return any;
}

static void emit_in_const(emit *e, const node *x, tako_slice list)
{
    value_iter it;
    uint64_t n;
    int same;
    bool first = true;

    if (!const_list_kind(list, &same)) {
        emit_never(e);
        return;
    }
    tako_put_u8(&e->sql, '(');
    if (same >= 0 && emit_is_indexed(e, x)) {
        tako_put_str(&e->sql, "tql_rank(");
        emit_value(e, x);
        tako_put_fmt(&e->sql, ")=%d AND ", same);
    }
    emit_value(e, x);
    tako_put_str(&e->sql, " IN (");
    (void)value_iter_init(&it, list, &n);
    while (value_iter_next(&it)) {
        if (value_rank_cbor(it.value) >= RANK_NULL)
            continue;
        if (!first)
            tako_put_u8(&e->sql, ',');
        first = false;
        emit_const(e, it.value);
    }
    tako_put_str(&e->sql, "))");
}

/* What stands before IN: x, or, as an index has it, its rank and x. */
static bool put_left(emit *e, const node *x)
{
    bool indexed = emit_is_indexed(e, x);

    tako_put_str(&e->sql, indexed ? "((tql_rank(" : "(");
    emit_value(e, x);
    if (indexed) {
        tako_put_str(&e->sql, "),");
        emit_value(e, x);
        tako_put_u8(&e->sql, ')');
    }
    return indexed;
}

static void emit_in_param(emit *e, const node *x, const node *list)
{
    bool indexed = put_left(e, x);

    tako_put_fmt(&e->sql,
                 " IN (SELECT %svalue FROM tql_each(?%u) WHERE "
                 "tql_rank(value)<%d))",
                 indexed ? "tql_rank(value)," : "", list->count,
                 (int)RANK_NULL);
}

/* x IN (SELECT ...): null and MISSING, on both sides, match nothing. */
static void emit_in_select(emit *e, const node *x, const query_select *s)
{
    bool indexed = put_left(e, x);

    tako_put_str(&e->sql,
                 indexed ? " IN (SELECT tql_rank(k),k FROM (" : " IN (");
    emit_select(e, s, FORM_KNOWN);
    tako_put_str(&e->sql, indexed ? ")))" : "))");
}

/* The value of x IN (SELECT ...) as SQL's: NULL where x is null or MISSING,
 * which needs a list that is never empty and whose last value equals none. */
static void put_in_select(emit *e, const node *x, const query_select *s)
{
    tako_put_str(&e->sql, "(tql_known(");
    emit_value(e, x);
    tako_put_str(&e->sql, ") IN (SELECT k FROM (");
    emit_select(e, s, FORM_KNOWN);
    tako_put_str(&e->sql, ") WHERE k IS NOT NULL UNION ALL SELECT x'ff'))");
}

void emit_in(emit *e, const node *n)
{
    const node *x = n->first, *list = x->next;
    const query_source *s = emit_id_source(e, x);
    bool fixed = list->kind == AST_ARRAY;

    if (emit_is_fixed(list) && s != NULL) {
        char row[24];

        (void)snprintf(row, sizeof row, "t%u.row", s->number);
        emit_rows_of(e, s, row, list);
        return;
    }
    if (list->kind == AST_CONST) {
        emit_in_const(e, x, list->text);
        return;
    }
    if (list->kind == AST_PARAM) {
        emit_in_param(e, x, list);
        return;
    }
    if (list->kind == AST_SELECT) {
        emit_in_select(e, x, list->select);
        return;
    }
    for (const node *k = list->first; fixed && k != NULL; k = k->next)
        fixed = emit_is_fixed(k);
    if (!fixed) {
        tako_put_str(&e->sql, "(tql_in(");
        emit_value(e, x);
        tako_put_u8(&e->sql, ',');
        emit_value(e, list);
        tako_put_str(&e->sql, ")=x'f5')");
        return;
    }
    tako_put_u8(&e->sql, '(');
    emit_value(e, x);
    tako_put_str(&e->sql, " IN (");
    for (const node *k = list->first; k != NULL; k = k->next) {
        if (k != list->first)
            tako_put_u8(&e->sql, ',');
        tako_put_str(&e->sql, "tql_known(");
        emit_value(e, k);
        tako_put_u8(&e->sql, ')');
    }
    tako_put_str(&e->sql, "))");
}

void emit_not_in(emit *e, const node *n)
{
    const node *x = n->first, *list = x->next;

    if (list->kind == AST_SELECT) {
        tako_put_str(&e->sql, "NOT ");
        put_in_select(e, x, list->select);
        return;
    }
    tako_put_str(&e->sql, "(tql_in(");
    emit_value(e, x);
    tako_put_u8(&e->sql, ',');
    emit_value(e, list);
    tako_put_str(&e->sql, ")=x'f4')");
}

void emit_in_value(emit *e, const node *n)
{
    const node *x = n->first, *list = x->next;

    if (list->kind == AST_SELECT) {
        tako_put_str(&e->sql, "CASE ");
        put_in_select(e, x, list->select);
        tako_put_fmt(&e->sql, " WHEN %d THEN x'f5' WHEN %d THEN x'f4' END",
                     !n->negated, n->negated);
        return;
    }
    tako_put_str(&e->sql, n->negated ? "tql_not(tql_in(" : "tql_in(");
    emit_value(e, x);
    tako_put_u8(&e->sql, ',');
    emit_value(e, list);
    tako_put_str(&e->sql, n->negated ? "))" : ")");
}

static void put_id(emit *e, const node *id, bool once)
{
    if (once)
        tako_put_str(&e->sql, "i.v");
    else
        emit_value(e, id);
}

/* Scalar, so that SQLite goes to the row and makes no table of one. What is no
 * path is computed once. */
void emit_row_of(emit *e, const query_source *s, const node *id)
{
    bool once = !emit_is_path(e, id) && !emit_is_fixed(id);

    tako_put_fmt(&e->sql, "(t%u.row=%s", s->number, once ? "(SELECT " : "");
    tako_put_fmt(&e->sql,
                 "coalesce((SELECT k.row FROM c%u AS k WHERE "
                 "k.row=tql_idrow(",
                 s->coll);
    put_id(e, id, once);
    tako_put_str(&e->sql, ") AND k.id=tql_idrest(");
    put_id(e, id, once);
    tako_put_fmt(&e->sql,
                 ")),(SELECT k.row FROM c%u AS k WHERE k.row<0 AND "
                 "k.id=tql_idkey(",
                 s->coll);
    put_id(e, id, once);
    tako_put_str(&e->sql, ")))");
    if (once) {
        tako_put_str(&e->sql, " FROM (SELECT ");
        emit_value(e, id);
        tako_put_str(&e->sql, " AS v) AS i)");
    }
    tako_put_u8(&e->sql, ')');
}

void emit_rows_of(emit *e, const query_source *s, const char *row,
                  const node *list)
{
    tako_put_fmt(&e->sql,
                 "(%s IN (SELECT coalesce((SELECT k.row FROM c%u AS k WHERE "
                 "k.row=tql_idrow(value) AND k.id=tql_idrest(value)),"
                 "(SELECT k.row FROM c%u AS k WHERE k.row<0 AND "
                 "k.id=tql_idkey(value))) FROM tql_each(",
                 row, s->coll, s->coll);
    emit_value(e, list);
    tako_put_str(&e->sql, ")))");
}
