// SPDX-License-Identifier: Apache-2.0
/* EMIT -- from the checked tree to SQL text.
 *
 * An expression is written in one of three ways: as a TQL value (query.h's
 * representation), or as an SQL condition that is true exactly where the
 * expression is TQL's true, or exactly where it is TQL's false. Where a
 * condition is wanted, comparisons become SQLite's own operators with bounds
 * of kind, so that they can be searched in an index; values use functions.
 * Only what is cheap (a path) is ever written more than once, so the SQL grows
 * in proportion to the text; it is at most TAKO_SQL_BYTES_MAX all the same.
 *
 * NAMES IN SQL  A source is t<number>, a WITH is w<number>. A collection has
 * the columns row, id and body; a SELECT in a FROM has the same (SHAPE_DOC),
 * f0, f1 ... (SHAPE_COLUMNS, and `here`, which tells an absent row of an outer
 * join) or value (SHAPE_VALUE); lists and system collections have value.
 *
 * An index on e has the columns (rank of e, e), which is the order of ORDER
 * BY; where an expression is indexed, comparisons name its rank too. */
#ifndef TAKO_QUERY_EMIT_H
#define TAKO_QUERY_EMIT_H

#include "query/ast.h"

typedef struct emit {
    query_parse *p;
    tako_buf sql;
    /* Not NULL: SQL for body and _id of the one document there is (of an
     * index, of a predicate), whatever its source. */
    const char *body, *id;
    const query_core *core; /* the innermost that is being written */
    const node *all;        /* the AND whose operands are being written */
    bool counted;           /* PROFILE: each document that is met is counted */
} emit;

/* ---- expressions (emit.c, emit_list.c, emit_cond.c, emit_in.c) ------------- */

void emit_value(emit *e, const node *n);
void emit_true(emit *e, const node *n);
void emit_false(emit *e, const node *n);
/* A literal of SQL. */
void emit_const(emit *e, tako_slice cbor);
void emit_blob(emit *e, tako_slice bytes);
/* A name, or steps from one or from a value. */
void emit_path(emit *e, const node *n);
/* The object that a core's rows are. */
void emit_row(emit *e, const query_core *c);

/* ---- statements (emit_stmt.c, emit_from.c) ----------------------------------- */

typedef enum emit_form {
    FORM_ROWS,   /* the columns that row.c reads */
    FORM_FROM,   /* those of a source */
    FORM_SINGLE, /* the one result field, or the row as an object */
    FORM_KNOWN,  /* the same, but SQL's NULL for null; for IN */
    FORM_EXISTS,
} emit_form;

void emit_select(emit *e, const query_select *s, emit_form form);
/* " FROM ... WHERE ..." of a core; more: another condition, or NULL. */
void emit_from(emit *e, const query_core *c, const char *more);
/* What finds the documents of an UPDATE, DELETE or EVICT: row, id, and for
 * UPDATE the new values and which UNSET paths exist. */
void emit_collect(emit *e);
/* RETURNING, of the document whose row is the parameter after the last. */
void emit_returning(emit *e);
/* CREATE INDEX. */
void emit_index(emit *e, uint32_t coll, tako_slice sql_name);

/* ---- used between emit*.c -------------------------------------------------------- */

void emit_string(emit *e, tako_slice s); /* the text, as a literal */
/* The columns of a SELECT in FROM as an object; one that is never absent. */
void emit_names(emit *e, const query_source *s);
const char *emit_some_column(const query_source *s);
/* Whether n is a step from its kid that a path literal can hold. */
bool emit_is_step(const node *n);
/* The collection whose _id n is, when its rows can be looked up by it. */
const query_source *emit_id_source(const emit *e, const node *n);
bool emit_is_path(const emit *e, const node *n); /* cheap to write twice */
/* Whether an index of its collection has this expression. */
bool emit_is_indexed(emit *e, const node *n);
/* The collection that n alone reads, when it has indexes, or NULL; whether one
 * of them is partial by a condition on n that ends in `end`. */
const query_source *emit_index_source(const emit *e, const node *n);
bool emit_is_bounded(emit *e, const node *n, const char *end);
/* Whether a source is of the FROM that is being written, not of one outside. */
bool emit_is_inner(const emit *e, const query_source *s);
/* Whether n says anything of the source. */
bool emit_reads(const node *n, const query_source *s);
void emit_joined(emit *e, const node *const *kids, size_t n, const char *op,
                 void (*one)(emit *e, const node *n));
/* The condition that a value is TQL's true (or false). */
void emit_is(emit *e, const node *n, bool want);
void emit_never(emit *e);
/* "tql_rank(x)=K AND " when x is indexed; c: what it is compared with. */
bool emit_rank(emit *e, const node *x, const node *c);
void emit_in(emit *e, const node *n);     /* where it is true */
void emit_not_in(emit *e, const node *n); /* where it is false */
void emit_in_value(emit *e, const node *n);
/* ANY, EVERY: where they are true or false; as values, with FOR. */
void emit_any(emit *e, const node *n, bool want);
void emit_any_value(emit *e, const node *n);
void emit_for(emit *e, const node *n);
/* "tN.row = (row of this id)", "<row> IN (rows of these ids)". */
void emit_row_of(emit *e, const query_source *s, const node *id);
void emit_rows_of(emit *e, const query_source *s, const char *row,
                  const node *list);
static inline bool emit_is_fixed(const node *n)
{
    return n->kind == AST_CONST || n->kind == AST_PARAM;
}

#endif /* TAKO_QUERY_EMIT_H */
