// SPDX-License-Identifier: Apache-2.0
/* RESOLVE -- what names mean: after it every AST_NAME knows its source, `*` is
 * replaced by what it stands for, names and numbers of result fields in GROUP
 * BY, HAVING and ORDER BY by their expressions, and every SELECT has a shape.
 *
 * A name is, first, a variable of ANY and FOR, an alias, or an AT, from the
 * innermost scope outwards. Else it is a field of the innermost FROM's only
 * source; with several sources it must be said whose. */
#ifndef TAKO_QUERY_RESOLVE_H
#define TAKO_QUERY_RESOLVE_H

#include "query/ast.h"

/* TAKO_INVALID, TAKO_LIMIT; p->e has the position. */
tako_err query_resolve(query_parse *p);

/* The name of a result field. */
tako_slice query_out_name(const query_parse *p, const node *out);
/* For qsort: slices in the order of keys. */
int query_out_name_cmp(const void *a, const void *b);

/* What a source's SELECT looks like from outside. */
static inline bool source_is(const query_source *s, shape want)
{
    return (s->kind == SOURCE_SELECT || s->kind == SOURCE_WITH) &&
           s->select->shape == want;
}

/* True when it has the columns row, id and body. */
static inline bool source_is_doc(const query_source *s)
{
    return s->kind == SOURCE_COLLECTION || source_is(s, SHAPE_DOC);
}

/* The only star of a core whose rows are a document and columns beside it:
 * such rows need not be put together in SQL. Else NULL. */
const node *query_doc_star(const query_core *c);

/* The source whose _id a result field is: it is read from the columns row and
 * id, without making a value of it. Else NULL. */
const query_source *query_id_out(const node *out);

#endif /* TAKO_QUERY_RESOLVE_H */
