// SPDX-License-Identifier: Apache-2.0
/* EMIT -- from the checked tree to SQL text.
 *
 * An expression is written in one of three ways: as a TQL value (query.h's
 * representation), or as an SQL condition that is true exactly where the
 * expression is TQL's true, or exactly where it is TQL's false. Where a
 * condition is wanted, comparisons become SQLite's own operators with bounds
 * of kind, so that they can be searched in an index; values use functions.
 * Each kid is written at most twice per level in conditions and once in
 * values, and conditions below values write their kids once, so the SQL grows
 * in proportion to the text.
 *
 * An index on e has the columns (rank of e, e), which is the order of ORDER
 * BY; where an expression is indexed, comparisons name its rank too. */
#ifndef TAKO_QUERY_EMIT_H
#define TAKO_QUERY_EMIT_H

#include "query/ast.h"

typedef struct emit {
    query_parse *p;
    tako_buf sql;
    const char *body;    /* SQL for the document's body */
    const char *id;      /* SQL for its _id as a value */
    const char *table;   /* "c5" where rows can be looked up by _id, or NULL */
    const char *indexes; /* SQL of the table's indexes, or NULL */
} emit;

void emit_value(emit *e, const node *n);
void emit_true(emit *e, const node *n);
void emit_false(emit *e, const node *n);
/* A literal of SQL. */
void emit_const(emit *e, tako_slice cbor);
void emit_blob(emit *e, tako_slice bytes);

/* The statement that finds (SELECT: the whole query; UPDATE, DELETE: row, id
 * and for UPDATE the new values and which UNSET paths exist). coll: 0 when
 * the collection does not exist. */
void emit_select(emit *e, uint32_t coll);
void emit_collect(emit *e, uint32_t coll);
/* CREATE INDEX. */
void emit_index(emit *e, uint32_t coll, tako_slice sql_name);

/* Used between emit*.c. */
bool emit_is_id(const emit *e, const node *n);   /* n is _id itself */
bool emit_is_path(const emit *e, const node *n); /* cheap to write twice */
bool emit_is_indexed(emit *e, const node *n);
void emit_joined(emit *e, const node *const *kids, size_t n, const char *op,
                 void (*one)(emit *e, const node *n));
/* "t0.row = (row of this id)", "t0.row IN (rows of these ids)". */
void emit_row_of(emit *e, const node *id);
void emit_rows_of(emit *e, const node *list);

#endif /* TAKO_QUERY_EMIT_H */
