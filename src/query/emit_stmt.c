// SPDX-License-Identifier: Apache-2.0
/* Whole statements: see emit.h. */
#include "query/emit.h"

#include <stdio.h>

#include "codec/cbor.h"
#include "query/check.h"
#include "query/resolve.h"

/* ---- the columns of a SELECT --------------------------------------------------- */

/* The only result field of a core, or NULL. */
static const node *single_out(const query_select *s, const query_core *c)
{
    const node *o = c->outs->first;

    return s->shape == SHAPE_COLUMNS && c->outs->count == 1 ? o->first : NULL;
}

/* The set operation that c is a SELECT * around, when each operand has one
 * field: they are one column, whatever they are called. Else NULL. */
static const query_source *single_compound(const query_core *c)
{
    const query_source *f = c->from;

    if (f == NULL || f->kind != SOURCE_SELECT || f->alias.len > 0 ||
        f->next != NULL || f->select->first->next == NULL ||
        f->select->shape != SHAPE_COLUMNS)
        return NULL;
    for (const query_core *k = f->select->first; k != NULL; k = k->next) {
        if (k->outs->count != 1)
            return NULL;
    }
    return f->select->name_count > 1 ? f : NULL;
}

static void put_single(emit *e, const query_select *s, const query_core *c)
{
    const node *one = single_out(s, c);
    const query_source *compound = single_compound(c);

    if (compound != NULL) {
        tako_put_str(&e->sql, "coalesce(");
        for (uint32_t i = 0; i < compound->select->name_count; i++)
            tako_put_fmt(&e->sql, i == 0 ? "t%u.f%u" : ",t%u.f%u",
                         compound->number, i);
        tako_put_u8(&e->sql, ')');
    } else if (one != NULL) {
        emit_value(e, one);
    } else {
        emit_row(e, c);
    }
}

static void put_comma(emit *e, bool *first)
{
    if (!*first)
        tako_put_u8(&e->sql, ',');
    *first = false;
}

/* What row.c puts together. */
static void put_rows(emit *e, const query_select *s, const query_core *c)
{
    const node *star = query_doc_star(c);
    const query_source *id;
    bool first = true;

    if (star == NULL && s->shape != SHAPE_COLUMNS) {
        emit_row(e, c);
        return;
    }
    if (star != NULL) {
        unsigned t = star->first->source->number;

        tako_put_fmt(&e->sql, "t%u.body,t%u.row,t%u.id", t, t, t);
        first = false;
    }
    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_STAR)
            continue;
        put_comma(e, &first);
        id = query_id_out(o);
        if (id != NULL)
            tako_put_fmt(&e->sql, "t%u.row,t%u.id", id->number, id->number);
        else
            emit_value(e, o->first);
    }
}

static const node *find_out(const emit *e, const query_core *c, tako_slice name)
{
    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op != OUT_WITHOUT &&
            tako_slice_eq(query_out_name(e->p, o), name))
            return o->first;
    }
    return NULL;
}

static void put_as_source(emit *e, const query_select *s, const query_core *c)
{
    unsigned t;

    switch (s->shape) {
    case SHAPE_DOC:
        t = c->outs->first->first->source->number;
        tako_put_fmt(&e->sql, "t%u.row AS row,t%u.id AS id,t%u.body AS body", t,
                     t, t);
        return;
    case SHAPE_COLUMNS:
        for (uint32_t i = 0; i < s->name_count; i++) {
            const node *value = find_out(e, c, s->names[i]);

            if (value != NULL)
                emit_value(e, value);
            else
                tako_put_str(&e->sql, "NULL");
            tako_put_fmt(&e->sql, " AS f%u,", i);
        }
        tako_put_str(&e->sql, "1 AS here");
        return;
    case SHAPE_VALUE:
        emit_row(e, c);
        tako_put_str(&e->sql, " AS value");
        return;
    }
}

static void put_columns(emit *e, const query_select *s, const query_core *c,
                        emit_form form)
{
    switch (form) {
    case FORM_ROWS:
        put_rows(e, s, c);
        return;
    case FORM_FROM:
        put_as_source(e, s, c);
        return;
    case FORM_SINGLE:
        put_single(e, s, c);
        tako_put_str(&e->sql, " AS v");
        return;
    case FORM_KNOWN:
        tako_put_str(&e->sql, "tql_known(");
        put_single(e, s, c);
        tako_put_str(&e->sql, ") AS k");
        return;
    case FORM_EXISTS:
        tako_put_u8(&e->sql, '1');
        return;
    }
}

/* ---- clauses --------------------------------------------------------------------- */

/* Where it is indexed with its rank too: in the order of the index. */
static void put_group(emit *e, const query_core *c)
{
    const char *next = " GROUP BY ";

    for (const node *g = c->group == NULL ? NULL : c->group->first; g != NULL;
         g = g->next) {
        bool fixed = g->kind == AST_CONST;

        tako_put_str(&e->sql, next);
        next = ",";
        if (!fixed && emit_is_indexed(e, g)) {
            tako_put_str(&e->sql, "tql_rank(");
            emit_value(e, g);
            tako_put_str(&e->sql, "),");
        }
        if (fixed) /* else SQLite takes a number for a column */
            tako_put_str(&e->sql, "tql_known(");
        emit_value(e, g);
        if (fixed)
            tako_put_u8(&e->sql, ')');
    }
    if (c->having != NULL) {
        /* Also without an aggregate all rows are one group. */
        tako_put_str(&e->sql, c->group == NULL ? " HAVING count(*)>=0 AND "
                                               : " HAVING ");
        emit_true(e, c->having);
    }
}

static void put_order(emit *e, const node *order)
{
    bool first = true;

    for (const node *o = order == NULL ? NULL : order->first; o != NULL;
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

static void put_limit(emit *e, const query_select *s)
{
    if (s->limit == NULL && s->offset == NULL)
        return;
    tako_put_str(&e->sql, " LIMIT ");
    if (s->limit != NULL)
        emit_value(e, s->limit);
    else
        tako_put_str(&e->sql, "-1");
    if (s->offset != NULL) {
        tako_put_str(&e->sql, " OFFSET ");
        emit_value(e, s->offset);
    }
}

/* With one document of one collection every row is distinct by its _id. */
static bool is_distinct(const query_core *c)
{
    return c->distinct && query_doc_star(c) == NULL;
}

static void put_core(emit *e, const query_select *s, const query_core *c,
                     emit_form form, const char *more)
{
    const query_core *outer = e->core;

    e->core = c;
    tako_put_str(&e->sql, is_distinct(c) ? "SELECT DISTINCT " : "SELECT ");
    put_columns(e, s, c, form);
    emit_from(e, c, more);
    put_group(e, c);
    e->core = outer;
}

static void put_with(emit *e, const query_select *s)
{
    for (const query_with *w = s->with; w != NULL; w = w->next) {
        tako_put_fmt(&e->sql, "%sw%u AS (", w == s->with ? "WITH " : ",",
                     w->number);
        emit_select(e, w->select, FORM_FROM);
        tako_put_str(&e->sql, w->next == NULL ? ") " : ")");
    }
}

void emit_select(emit *e, const query_select *s, emit_form form)
{
    static const char *const ops[] = { "", " UNION ", " UNION ALL ",
                                       " INTERSECT ", " EXCEPT " };
    const query_core *outer = e->core;

    put_with(e, s);
    for (const query_core *c = s->first; c != NULL; c = c->next) {
        tako_put_str(&e->sql, ops[c->op]);
        put_core(e, s, c, form, NULL);
    }
    e->core = s->first; /* for aggregates in ORDER BY */
    put_order(e, s->order);
    e->core = outer;
    put_limit(e, s);
}

/* ---- statements that write ---------------------------------------------------------- */

void emit_collect(emit *e)
{
    const query_stmt *st = &e->p->stmt;
    unsigned t = st->target->number;

    e->core = st->select->first;
    if (query_dismisses(st))
        tako_put_fmt(&e->sql, "SELECT t%u.value", t);
    else
        tako_put_fmt(&e->sql, "SELECT t%u.row,t%u.id", t, t);
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
    emit_from(e, st->select->first, NULL);
    put_limit(e, st->select);
}

void emit_returning(emit *e)
{
    const query_stmt *st = &e->p->stmt;
    char more[48];

    (void)snprintf(more, sizeof more, "t%u.row=?%u", st->target->number,
                   e->p->param_count + 1);
    put_core(e, st->returning, st->returning->first, FORM_ROWS, more);
}

void emit_index(emit *e, uint32_t coll, tako_slice sql_name)
{
    const query_stmt *st = &e->p->stmt;
    const node *where = st->select->first->where;

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
    /* With the row's number the _id, so that who asks for that needs no row. */
    tako_put_str(&e->sql, ",id) WHERE body IS NOT NULL");
    if (where != NULL) {
        tako_put_str(&e->sql, " AND ");
        emit_true(e, where);
    }
}
