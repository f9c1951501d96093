// SPDX-License-Identifier: Apache-2.0
/* DIFF -- two results of one query, row by row.
 *
 * A row that has an _id is the same row as the other's with that _id; any
 * other is the same as one that is equal to it. What is left without an _id is
 * paired in order: a lone sum that changed is one row updated. Rows that keep
 * their order among themselves, as many as possible, did not move. */
#ifndef TAKO_QUERY_DIFF_H
#define TAKO_QUERY_DIFF_H

#include "base/buf.h"
#include "base/err.h"

/* The rows of a result, CBOR maps. */
typedef struct row_list {
    tako_buf bytes;
    size_t *ends;
    size_t count, cap;
} row_list;

row_list row_list_on(const tako_env *env);
void row_list_fini(row_list *l);
void row_list_reset(row_list *l);
tako_err row_list_add(row_list *l, tako_slice row);
tako_slice row_list_at(const row_list *l, size_t i);

typedef struct row_diff {
    const tako_env *env;
    size_t *new_of; /* of each old row, where it is now + 1; 0: removed */
    size_t *old_of; /* of each new row, where it was + 1; 0: inserted */
    bool *moved;    /* of each new row that is an old one */
    size_t was, is; /* how many rows there are */
    void *block;
    size_t bytes;
} row_diff;

/* key: random, as rows hold what peers wrote. TAKO_NOMEM */
tako_err row_diff_init(row_diff *d, const row_list *was, const row_list *is,
                       const uint8_t key[16]);
void row_diff_fini(row_diff *d);

#endif /* TAKO_QUERY_DIFF_H */
