// SPDX-License-Identifier: Apache-2.0
/* PRINT -- the canonical text of a predicate: what covers what between nodes
 * is decided by comparing it (SYNC.md 5), so equal interests must give equal
 * text. Constants and parameters are literals, operands of AND and OR sorted,
 * a constant stands right of its comparison, the alias is gone, and every
 * operator has parentheses. The text is TQL again. */
#ifndef TAKO_QUERY_PRINT_H
#define TAKO_QUERY_PRINT_H

#include "query/ast.h"

/* Appends "SELECT * FROM c [WHERE ...]". TAKO_NOMEM */
tako_err query_print(const query_parse *p, tako_buf *out);

#endif /* TAKO_QUERY_PRINT_H */
