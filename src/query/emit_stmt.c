// SPDX-License-Identifier: Apache-2.0
/* Whole statements: see emit.h. */
#include "query/emit.h"

#include "codec/cbor.h"

/* FROM and WHERE. A collection that does not exist reads as an empty table. */
static void emit_from(emit *e, uint32_t coll)
{
    const query_stmt *st = &e->p->stmt;

    if (coll == 0)
        tako_put_str(&e->sql, " FROM (SELECT 0 AS row, x'' AS id, x'a0' AS "
                              "body WHERE 0) AS t0");
    else
        tako_put_fmt(&e->sql, " FROM c%u AS t0", coll);
    if (coll != 0 && st->use_index.len > 0) {
        tako_buf name = tako_buf_on(e->p->env);

        store_index_sql_name(coll, st->use_index, &name);
        tako_put_fmt(&e->sql, " INDEXED BY %s", tako_buf_cstr(&name));
        tako_buf_fini(&name);
    }
    tako_put_str(&e->sql, " WHERE t0.body IS NOT NULL");
    if (coll != 0 && st->ids != NULL) {
        tako_put_str(&e->sql, " AND ");
        emit_rows_of(e, st->ids);
    }
    if (st->where != NULL) {
        tako_put_str(&e->sql, " AND ");
        emit_true(e, st->where);
    }
}

static void emit_order(emit *e)
{
    const query_stmt *st = &e->p->stmt;
    bool first = true;

    for (const node *o = st->order == NULL ? NULL : st->order->first; o != NULL;
         o = o->next) {
        const char *way = o->negated ? " DESC" : "";

        if (o->first->kind == AST_CONST)
            continue; /* orders nothing; SQLite would take it for a column */
        tako_put_str(&e->sql, first ? " ORDER BY tql_rank(" : ",tql_rank(");
        first = false;
        emit_value(e, o->first);
        tako_put_fmt(&e->sql, ")%s,", way);
        emit_value(e, o->first);
        tako_put_str(&e->sql, way);
    }
}

static void emit_limit(emit *e)
{
    const query_stmt *st = &e->p->stmt;

    if (st->limit == NULL && st->offset == NULL)
        return;
    tako_put_str(&e->sql, " LIMIT ");
    if (st->limit != NULL)
        emit_value(e, st->limit);
    else
        tako_put_str(&e->sql, "-1");
    if (st->offset != NULL) {
        tako_put_str(&e->sql, " OFFSET ");
        emit_value(e, st->offset);
    }
}

void emit_select(emit *e, uint32_t coll)
{
    const query_stmt *st = &e->p->stmt;
    bool star = false, first = true;

    for (const node *o = st->outs->first; o != NULL; o = o->next)
        star = star || o->op == OUT_STAR;
    /* With * every row is distinct by its _id. */
    tako_put_str(&e->sql,
                 st->distinct && !star ? "SELECT DISTINCT " : "SELECT ");
    if (star) {
        tako_put_str(&e->sql, "t0.body,t0.row,t0.id");
        first = false;
    }
    for (const node *o = st->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_STAR)
            continue;
        if (!first)
            tako_put_u8(&e->sql, ',');
        first = false;
        emit_value(e, o->first);
    }
    if (st->collection.len > 0) {
        emit_from(e, coll);
    } else if (st->where != NULL) {
        tako_put_str(&e->sql, " WHERE ");
        emit_true(e, st->where);
    }
    first = true;
    for (const node *g = st->group == NULL ? NULL : st->group->first; g != NULL;
         g = g->next) {
        bool fixed = g->kind == AST_CONST;

        tako_put_str(&e->sql, first ? " GROUP BY " : ",");
        first = false;
        if (fixed) /* else SQLite takes a number for a column */
            tako_put_str(&e->sql, "tql_known(");
        emit_value(e, g);
        if (fixed)
            tako_put_u8(&e->sql, ')');
    }
    if (st->having != NULL) {
        tako_put_str(&e->sql, " HAVING ");
        emit_true(e, st->having);
    }
    emit_order(e);
    emit_limit(e);
}

void emit_collect(emit *e, uint32_t coll)
{
    const query_stmt *st = &e->p->stmt;

    tako_put_str(&e->sql, "SELECT t0.row,t0.id");
    for (const node *s = st->sets == NULL ? NULL : st->sets->first; s != NULL;
         s = s->next) {
        tako_put_u8(&e->sql, ',');
        emit_value(e, ast_kid(s, 1));
    }
    for (const node *u = st->unsets == NULL ? NULL : st->unsets->first;
         u != NULL; u = u->next) {
        tako_put_u8(&e->sql, ',');
        emit_value(e, u->first);
    }
    emit_from(e, coll);
    emit_limit(e);
}

void emit_index(emit *e, uint32_t coll, tako_slice sql_name)
{
    const query_stmt *st = &e->p->stmt;

    tako_put_fmt(&e->sql, "CREATE INDEX %.*s ON c%u(", (int)sql_name.len,
                 (const char *)sql_name.ptr, coll);
    for (const node *k = st->index_keys->first; k != NULL; k = k->next) {
        const char *way = k->negated ? " DESC" : "";

        if (k != st->index_keys->first)
            tako_put_u8(&e->sql, ',');
        tako_put_str(&e->sql, "tql_rank(");
        emit_value(e, k->first);
        tako_put_fmt(&e->sql, ")%s,", way);
        emit_value(e, k->first);
        tako_put_str(&e->sql, way);
    }
    tako_put_str(&e->sql, ") WHERE body IS NOT NULL");
    if (st->where != NULL) {
        tako_put_str(&e->sql, " AND ");
        emit_true(e, st->where);
    }
}
