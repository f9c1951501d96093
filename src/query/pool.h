// SPDX-License-Identifier: Apache-2.0
/* POOL -- one connection in memory for what judges documents one at a time:
 * predicates and projections share it, because a connection each would be tens
 * of kilobytes for every live query. Of the predicates the last used
 * TAKO_PREDICATES_PREPARED_MAX are prepared.
 *
 * A projection reads its document from table c1, shaped as the store's, so
 * that the very statement that reads a collection reads the one document. */
#ifndef TAKO_QUERY_POOL_H
#define TAKO_QUERY_POOL_H

#include "query/query.h"

/* A statement that may be finalized when it has not been used for long; its
 * owner prepares it again. */
typedef struct pool_stmt {
    sqlite3_stmt *stmt; /* NULL: not prepared */
    struct pool_stmt *newer, *older;
} pool_stmt;

struct query_pool {
    const tako_env *env;
    sqlite3 *db;
    pool_stmt *newest, *oldest;
    size_t count;              /* of those in the list */
    sqlite3_stmt *clear, *put; /* of c1; NULL: not made yet */
};

#define POOL_COLL 1u /* the number of c1 */

/* Prepares (sql ends in NUL) or marks as used. */
tako_err pool_prepare(query_pool *p, pool_stmt *s, tako_slice sql,
                      tako_errbuf *e);
void pool_use(query_pool *p, pool_stmt *s);
void pool_drop(query_pool *p, pool_stmt *s);
/* Makes c1. */
tako_err pool_ready(query_pool *p, tako_errbuf *e);

#endif /* TAKO_QUERY_POOL_H */
