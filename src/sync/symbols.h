// SPDX-License-Identifier: Apache-2.0
/* SYMBOLS -- a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh,
 * SIGCOMM 2024): two sets are told apart by as many coded symbols as they
 * differ, whatever their sizes.
 *
 * A set of items has an endless series of symbols: symbol i sums up (xor) the
 * items that have a place at i, and their checks, and counts them. Every item
 * has a place at 0; at i with probability 1 / (1 + i / 2), told by a generator
 * that begins with its check. The symbols of two sets, subtracted, are those of
 * their difference. A symbol in which one item is left shows it by its check;
 * taking that item away from its other places leaves more such symbols, until
 * symbol 0 is empty: then all differences are known. It takes 1.35 to 1.7
 * symbols per difference.
 *
 * Beside the symbols a set has a *sketch*: SYNC_SKETCH sums of +1 or -1 per
 * item, by bits of its check. The mean of the squared differences of two
 * sketches estimates how many items differ, within a quarter mostly; so the
 * right number of symbols can be sent at once.
 *
 * Pure: no I/O, no clock. What a peer sends is hostile: a decoder ends with
 * TAKO_LIMIT when it has found more than it has symbols. */
#ifndef TAKO_SYNC_SYMBOLS_H
#define TAKO_SYNC_SYMBOLS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#define SYNC_SKETCH           32u
#define SYNC_SYMBOL_BYTES_MAX 34u /* on the wire */
#define SYNC_SYMBOL_NOWHERE   UINT64_MAX

/* One document in one state. */
typedef struct sync_item {
    uint64_t key;  /* hash of the id */
    uint64_t item; /* hash of id and version */
} sync_item;

sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16]);
/* Of an item: what tells it from a sum of items, and where its places are. */
uint64_t sync_item_check(const uint8_t key[16], sync_item item);

typedef struct sync_symbol {
    uint64_t key, item, check; /* xor of the items' */
    int64_t count;
} sync_symbol;

static inline bool sync_symbol_empty(const sync_symbol *s)
{
    return (s->key | s->item | s->check | (uint64_t)s->count) == 0;
}

/* The places of an item, one after another, from 0. */
typedef struct sync_places {
    uint64_t at; /* SYNC_SYMBOL_NOWHERE: too far to matter */
    uint64_t state;
} sync_places;

static inline sync_places sync_places_of(uint64_t check)
{
    return (sync_places){ 0, check };
}
void sync_places_next(sync_places *p);

/* Adds an item (sign 1) to the first n symbols, or takes it away (-1). */
void sync_symbols_add(sync_symbol *symbols, size_t n, sync_item item,
                      uint64_t check, int sign);
void sync_sketch_add(int32_t sketch[SYNC_SKETCH], uint64_t check, int sign);
/* How many items differ, estimated. */
uint64_t sync_sketch_estimate(const int32_t a[SYNC_SKETCH],
                              const int32_t b[SYNC_SKETCH]);

/* key, item, check as 8 bytes each, zigzag of the count. */
void sync_symbol_put(tako_buf *out, const sync_symbol *s);
void sync_symbol_get(tako_reader *in, sync_symbol *s);
void sync_sketch_put(tako_buf *out, const int32_t sketch[SYNC_SKETCH]);
void sync_sketch_get(tako_reader *in, int32_t sketch[SYNC_SKETCH]);

/* ---- decoding --------------------------------------------------------------- */

typedef struct sync_found {
    sync_item item;
    bool theirs; /* only they have it; else only we */
    sync_places places;
} sync_found;

typedef struct sync_decoder {
    const tako_env *env;
    uint8_t key[16];
    sync_symbol *symbols; /* theirs - ours, without what is found */
    uint32_t count, cap;
    sync_found *found;
    uint32_t found_count, found_cap;
    uint32_t *pure; /* indexes to look at */
    uint32_t pure_count, pure_cap;
} sync_decoder;

void sync_decoder_init(sync_decoder *d, const tako_env *env,
                       const uint8_t key[16]);
void sync_decoder_fini(sync_decoder *d);
/* The next n symbols of both sides. TAKO_LIMIT: more than
 * TAKO_SYNC_SYMBOLS_MAX, or symbols of no set; TAKO_NOMEM. */
tako_err sync_decoder_feed(sync_decoder *d, const sync_symbol *theirs,
                           const sync_symbol *ours, size_t n);
/* All differences are in `found`. */
static inline bool sync_decoder_done(const sync_decoder *d)
{
    return d->count > 0 && sync_symbol_empty(&d->symbols[0]);
}

#endif /* TAKO_SYNC_SYMBOLS_H */
