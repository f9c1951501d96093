// SPDX-License-Identifier: Apache-2.0
/* RETENTION -- the rule of a collection, as ALTER COLLECTION c SET evict = {...}
 * gives it, kept with the database under "evict.<collection>". Who carries it
 * out is above (node/retention.c). */
#ifndef TAKO_QUERY_RETENTION_H
#define TAKO_QUERY_RETENTION_H

#include "query/query.h"

typedef struct query_retention {
    query_predicate *where;    /* NULL: every document */
    int64_t after_ms;          /* older ones go; 0: no limit of age */
    tako_slice of;             /* a field that dates a document; empty: its last
                             * write */
    uint64_t documents, bytes; /* beyond it the oldest go; 0: no limit */
} query_retention;

/* Checks and compiles a value; what *out points to lives in value and pool.
 * TAKO_INVALID (e: what is wrong), TAKO_NOMEM */
tako_err query_retention_read(query_pool *pool, tako_slice collection,
                              tako_slice value, query_retention *out,
                              tako_errbuf *e);
void query_retention_free(query_retention *r);
/* The rule of a collection as it is kept. TAKO_NOTFOUND */
tako_err query_retention_get(store_conn *c, tako_slice collection,
                             tako_buf *value);
/* Keeps it, inside the store's transaction; empty: none any more. */
tako_err query_retention_put(store *s, tako_slice collection, tako_slice value,
                             tako_errbuf *e);
/* When the document is from, in ms since 1970; false: its field does not say
 * so, and it is never too old. */
bool query_retention_date(const query_retention *r, const store_row *row,
                          int64_t *ms);

#endif /* TAKO_QUERY_RETENTION_H */
