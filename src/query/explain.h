// SPDX-License-Identifier: Apache-2.0
/* EXPLAIN -- what explain.c and advise.c share. */
#ifndef TAKO_QUERY_EXPLAIN_H
#define TAKO_QUERY_EXPLAIN_H

#include "query/internal.h"

#define PLAN_STEPS_MAX 4000u /* of SQLite's plan; more are not shown */
#define PLAN_DEPTH_MAX 60u   /* likewise */

typedef struct plan {
    query *q;
    store_index *indexes; /* of all collections */
    size_t index_count;
    const uint64_t *seen; /* PROFILE: documents, by number of source */
} plan;

/* A name as store_index_sql_name() makes it, taken apart. */
bool plan_index_name(const char *sql, int len, uint32_t *coll, tako_buf *name);

/* EXPLAIN QUERY PLAN of `sql`, to be stepped and finalized; text: scratch. */
tako_err plan_read(sqlite3 *db, const char *sql, tako_buf *text,
                   sqlite3_stmt **out, tako_errbuf *e);

#endif /* TAKO_QUERY_EXPLAIN_H */
