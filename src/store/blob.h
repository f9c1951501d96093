// SPDX-License-Identifier: Apache-2.0
/* BLOB -- the contents of attachments, beside the documents.
 *
 * Content is found by its id (blob_form.h), so the same one is kept once.
 * Writing goes through the writer inside a transaction; reading needs any
 * connection. Every part is checked against its hash when it is read, here and
 * by whoever it is sent to.
 *
 * WHO KEEPS IT  Table blob_ref names, for each content, the documents here
 * that hold a token of it, siblings included. It is changed in the very
 * transaction that changes the document, whatever way that comes (a write, a
 * merge, a delete, an eviction), so it cannot be wrong after a crash. Content
 * that nobody refers to any more is free from that moment, and collected when
 * it has been for a time of grace. */
#ifndef TAKO_STORE_BLOB_H
#define TAKO_STORE_BLOB_H

#include "store/blob_form.h"
#include "store/blob_token.h"
#include "store/store.h"

/* ---- what is here ---------------------------------------------------------- */

typedef struct blob_facts {
    int64_t number; /* of the row; never used again */
    uint8_t id[BLOB_ID_BYTES];
    blob_form form;
    uint32_t have;  /* parts that are here */
    uint64_t bytes; /* of these */
    bool whole;
    uint64_t free_ms; /* nobody refers to it since; 0: somebody does */
} blob_facts;

/* TAKO_NOTFOUND */
tako_err store_blob_find(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                         blob_facts *out, tako_errbuf *e);
/* The first one numbered above `after`. TAKO_NOTFOUND at the end */
tako_err store_blob_next(store_conn *c, int64_t after, blob_facts *out,
                         tako_errbuf *e);
/* How many documents refer to it. */
tako_err store_blob_refs(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                         uint64_t *count, tako_errbuf *e);
/* Appends the set of parts that are here, as bits. */
tako_err store_blob_bits(store_conn *c, const blob_facts *f, tako_buf *out,
                         tako_errbuf *e);
/* Contents that documents here refer to and that are not whole, by id, above
 * `after` (32 bytes; NULL: from the first). TAKO_NOTFOUND at the end */
tako_err store_blob_missing(store_conn *c, const uint8_t *after,
                            uint8_t id[BLOB_ID_BYTES], uint64_t *len,
                            tako_errbuf *e);

/* ---- reading ---------------------------------------------------------------- */

/* One content that is being read: what was checked already is kept. Zeroed it
 * is closed. */
typedef struct blob_view {
    blob_facts facts;
    tako_buf root, node, part;
    uint32_t node_part; /* whose bytes `node` has; 0 none */
    bool rooted;
} blob_view;

tako_err blob_view_open(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                        blob_view *out, tako_errbuf *e);
void blob_view_close(blob_view *v);
/* A part, checked; borrowed until the next call. c may be another connection
 * each time. TAKO_NOTFOUND: not here (yet, or any more). TAKO_CORRUPT */
tako_err blob_view_part(blob_view *v, store_conn *c, uint32_t part,
                        tako_slice *out, tako_errbuf *e);
/* The content from `offset`, up to the end of that chunk; empty at the end of
 * the content. Likewise. */
tako_err blob_view_read(blob_view *v, store_conn *c, uint64_t offset,
                        tako_slice *out, tako_errbuf *e);

/* ---- writing: a new content ---------------------------------------------------- */

/* A content that is being put in. Its id is known at the end; until then its
 * rows belong to nobody and are collected like any that are free. Memory: three
 * parts. */
typedef struct blob_put blob_put;

tako_err store_blob_put_begin(store *s, blob_put **out, tako_errbuf *e);
/* Appends. TAKO_LIMIT: longer than TAKO_BLOB_BYTES_MAX; TAKO_NOTFOUND: it was
 * taken for forgotten, and collected. After an error the transaction must be
 * rolled back, and after a rollback only free is allowed. */
tako_err store_blob_put_data(blob_put *p, tako_slice data, tako_errbuf *e);
tako_err store_blob_put_end(blob_put *p, uint8_t id[BLOB_ID_BYTES],
                            uint64_t *len, tako_errbuf *e);
void store_blob_put_free(blob_put *p); /* NULL is a no-op */

/* ---- writing: what arrives ------------------------------------------------------ */

typedef struct blob_piece {
    uint32_t part;
    tako_slice bytes; /* checked by the caller against its hash */
} blob_piece;

/* Makes room for a content that is to arrive; nothing when it is there. */
tako_err store_blob_expect(store *s, const uint8_t id[BLOB_ID_BYTES],
                           uint64_t len, tako_errbuf *e);
/* Keeps parts of it, also in place of such as are here and damaged. *whole: now
 * all are here. TAKO_NOTFOUND: there is no such content (any more). */
tako_err store_blob_take(store *s, const uint8_t id[BLOB_ID_BYTES],
                         const blob_piece *pieces, size_t count, bool *whole,
                         tako_errbuf *e);

/* ---- collecting -------------------------------------------------------------------- */

typedef struct blob_collected {
    uint64_t blobs, bytes;
    bool more; /* the budget was used up */
} blob_collected;

/* Could there be anything to collect now? Cheap. */
bool store_blob_due(store *s, uint64_t now_ms, uint64_t grace_ms);
/* Removes content that has been free for grace_ms, and so many parts at most.
 * Inside a transaction. */
tako_err store_blob_collect(store *s, uint64_t now_ms, uint64_t grace_ms,
                            uint32_t parts_max, blob_collected *out,
                            tako_errbuf *e);

/* Checks all contents and references, for store_check(): calls found(ctx, what)
 * for each fault. */
tako_err store_blob_check(store_conn *c,
                          void (*found)(void *ctx, const char *text), void *ctx,
                          tako_errbuf *e);

#endif /* TAKO_STORE_BLOB_H */
