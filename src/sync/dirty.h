// SPDX-License-Identifier: Apache-2.0
/* DIRTY -- the documents that changed and wait to be sent: a set, so that it does
 * not grow with the peer's slowness. dirty.c has the design. */
#ifndef TAKO_SYNC_DIRTY_H
#define TAKO_SYNC_DIRTY_H

#include <stdbool.h>

#include "base/env.h"
#include "base/slice.h"

typedef struct sync_dirty_doc {
    uint32_t coll;
    uint32_t next; /* 1 + index in the same chain */
    int64_t row;
    bool matched; /* the state before the first change did */
    bool whole;   /* the peer asked for the whole state */
    bool asked;   /* by fields: base is its question (fields.c) */
    bool based;   /* base is what the peer has */
    /* The state that the peer has: meta and body, or meta alone where the
     * body is long. NULL: the empty one, a whole state is sent. */
    uint8_t *base;
    uint32_t meta_len, body_len;
    bool has_body;
    bool local;  /* a write of this node's app is in it */
    bool jumped; /* more than one write may be in it */
} sync_dirty_doc;

typedef struct sync_dirty {
    const tako_env *env;
    sync_dirty_doc *docs;
    uint32_t *chains;
    uint32_t count, cap, chain_count;
    uint32_t first; /* those before are sent */
    size_t bytes;   /* of bases */
} sync_dirty;

void sync_dirty_init(sync_dirty *d, const tako_env *env);
void sync_dirty_fini(sync_dirty *d);
/* The entry of a document, made when absent (*fresh then). NULL: too many, or
 * out of memory. */
sync_dirty_doc *sync_dirty_touch(sync_dirty *d, uint32_t coll, int64_t row,
                                 bool *fresh);
/* Keeps what the peer has as the base, while there is room for it. */
void sync_dirty_base(sync_dirty *d, sync_dirty_doc *doc, tako_slice meta,
                     tako_slice body);
/* Keeps the peer's question in its place; there is none where it is empty, or
 * too long. */
void sync_dirty_ask(sync_dirty *d, sync_dirty_doc *doc, tako_slice question);
/* The first entry not sent; NULL: none. pop takes it off. */
sync_dirty_doc *sync_dirty_first(sync_dirty *d);
void sync_dirty_pop(sync_dirty *d);
void sync_dirty_clear(sync_dirty *d);
static inline uint32_t sync_dirty_left(const sync_dirty *d)
{
    return d->count - d->first;
}

#endif /* TAKO_SYNC_DIRTY_H */
