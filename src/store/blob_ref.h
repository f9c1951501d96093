// SPDX-License-Identifier: Apache-2.0
/* BLOB REF -- which documents refer to which contents. */
#ifndef TAKO_STORE_BLOB_REF_H
#define TAKO_STORE_BLOB_REF_H

#include "store/internal.h"

/* Could this state hold a token? Cheap; nearly always false. */
bool blob_refs_near(tako_slice meta, tako_slice body);

/* A document has a new state, inside the transaction: makes the table say so.
 * To be called when the state before or this one is near. A failure has broken
 * the transaction. */
tako_err blob_refs_change(store *s, uint32_t coll, int64_t row, tako_slice meta,
                          tako_slice body, tako_errbuf *e);

/* The tokens' ids of one state, each once, ascending; in the arena. */
typedef struct blob_ids {
    tako_arena *arena;
    struct blob_ref_id *at;
    size_t count, cap;
} blob_ids;
typedef struct blob_ref_id {
    uint8_t id[32];
    uint64_t len;
} blob_ref_id;
tako_err blob_ids_of(tako_slice meta, tako_slice body, blob_ids *out);

#endif /* TAKO_STORE_BLOB_REF_H */
