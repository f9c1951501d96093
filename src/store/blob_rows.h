// SPDX-License-Identifier: Apache-2.0
/* What the files of blob.h share and nobody else sees.
 *
 * TABLES
 *   blob       number, never used again; id (NULL: being put in or taken
 *              away); len; have; bytes; bits (NULL: all parts are here); free:
 *              wall ms since when nobody refers to it, NULL: somebody does,
 *              0: it is being taken away
 *   blob_part  at = number << 18 | place, data. Places: 0 the root, 1 to 480
 *              nodes, from 481 chunks: they do not depend on the length, which
 *              is not known while a content is put in
 *   blob_ref   id, coll, row: that document holds a token of it; len */
#ifndef TAKO_STORE_BLOB_ROWS_H
#define TAKO_STORE_BLOB_ROWS_H

#include "store/blob.h"
#include "store/internal.h"

#define BLOB_PLACE_BITS  18u
#define BLOB_PLACE_CHUNK (1u + BLOB_NODE_MAX)

_Static_assert(BLOB_PLACE_CHUNK + BLOB_NODE_MAX * BLOB_NODE_MAX <=
                   1u << BLOB_PLACE_BITS,
               "every part has a place");

static inline int64_t blob_at(int64_t number, uint32_t place)
{
    return (int64_t)((uint64_t)number << BLOB_PLACE_BITS | place);
}
static inline uint32_t blob_place(const blob_form *f, uint32_t part)
{
    return part <= f->nodes ? part : BLOB_PLACE_CHUNK + (part - 1u - f->nodes);
}

static inline uint64_t blob_now(const store *s)
{
    uint64_t now = s->env->wall_ms(s->env->ctx);

    return now > 0 ? now : 1;
}

/* A statement with its failure told; NULL: failed. */
sqlite3_stmt *blob_sql(store_conn *c, const char *sql, tako_err *err,
                       tako_errbuf *e);
/* Steps a statement without rows, gives it back, and breaks the transaction on
 * a failure. */
tako_err blob_step(store *s, sqlite3_stmt *stmt, const char *what,
                   tako_errbuf *e);
tako_err blob_part_insert(store *s, int64_t number, uint32_t place,
                          tako_slice bytes, tako_errbuf *e);
/* Content is free from now on, as far as store_blob_due() knows. */
void blob_freed(store *s, uint64_t now_ms);
/* The column values of a row "blob, id, len, have, bytes, bits IS NULL, free" */
#define BLOB_COLUMNS                                                           \
    "number, id, len, have, bytes, bits IS NULL, coalesce(free,0)"
tako_err blob_row_read(store_conn *c, sqlite3_stmt *stmt, blob_facts *out,
                       tako_errbuf *e);

#endif /* TAKO_STORE_BLOB_ROWS_H */
