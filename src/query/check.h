// SPDX-License-Identifier: Apache-2.0
/* CHECK -- what the grammar cannot say: functions and their arguments, where
 * aggregates may stand, names of result fields, paths that are written. It
 * begins with query_resolve(). */
#ifndef TAKO_QUERY_CHECK_H
#define TAKO_QUERY_CHECK_H

#include "query/ast.h"

/* TAKO_INVALID, TAKO_LIMIT, TAKO_UNSUPPORTED; p->e has the position. */
tako_err query_check(query_parse *p);

/* True when an expression of the SELECT holds another SELECT. */
bool query_has_select(query_select *s);

/* True when the expression holds an aggregate. */
bool query_has_aggregate(const node *n);

/* The first call of a function whose value is not of its arguments alone, or
 * NULL. */
const node *query_find_volatile(const node *n);

/* The keys of a path from the document's root in the order they are written,
 * without the alias; false when n is no such path or has over max keys.
 * Indexes are not allowed. */
bool query_path_keys(const query_stmt *st, const node *n, tako_slice *keys,
                     size_t max, size_t *count);

/* Whether it is DELETE FROM system:conflicts or system:quarantine. */
bool query_dismisses(const query_stmt *st);

/* Whether there is a collection system:<name>. */
bool query_is_system(tako_slice name);

#endif /* TAKO_QUERY_CHECK_H */
