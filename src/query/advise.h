// SPDX-License-Identifier: Apache-2.0
/* ADVISE -- what advise.c and advise_find.c share: indexes that might serve a
 * statement, and which of them would. */
#ifndef TAKO_QUERY_ADVISE_H
#define TAKO_QUERY_ADVISE_H

#include "query/internal.h"

#define ADVISED_KEYS_MAX 6u /* of one index */

typedef struct advised {
    const query_source *source;
    const node *keys[ADVISED_KEYS_MAX];
    bool desc[ADVISED_KEYS_MAX];
    size_t count;

    /* Found in this order; strings of the parse's arena. */
    tako_slice statement, name;
    const char *sql;      /* what makes it */
    const char *sql_name; /* its name there */
    bool used, search;
    size_t used_keys;
} advised;

typedef struct advice {
    query *q;
    advised *list; /* of TAKO_ADVISED_MAX */
    size_t count;
    size_t had; /* ideas that are there already as indexes */
    tako_err err;
    tako_errbuf *e;
} advice;

/* advise_find.c: fills the list with keys, from conditions and orders. */
void advise_find(advice *a);
/* Appends a key as an index wants it, without the name of its source. */
void advise_put_key(const node *n, tako_buf *out);
/* A name as TQL wants it. */
void advise_put_name(tako_slice name, tako_buf *out);

#endif /* TAKO_QUERY_ADVISE_H */
