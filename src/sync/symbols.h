// SPDX-License-Identifier: Apache-2.0
/* SYMBOLS -- a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh,
 * SIGCOMM 2024), in which a document that differs counts once, whether one
 * side lacks it or both have it in different states.
 *
 * A set of items has an endless series of symbols: symbol i sums up (xor) the
 * items that have a place at i. Every item has a place at 0; at i with
 * probability 1 / (1 + i / 2), told by a generator that begins with a hash of
 * its *key*. So the two states of an edited document have the same places, and
 * what is left of them in the difference of two sets is the xor of their
 * items. That the key is not lost with it, a symbol also has the sum of the
 * products key * item, in the field of 2^64 elements: where one document is left
 * in a symbol, product / item is its key, also when `item` is a difference. A
 * third sum, of the low bits of hash(key) * item, tells whether one is left.
 * Taking that away from its other places leaves more such symbols, until symbol
 * 0 is empty: then all differences are known. It takes 1.35 to 1.7 symbols per
 * document.
 *
 * Beside it symbols sum up *when* documents were changed last, so that of two
 * states the side that decodes knows which is newer.
 *
 * Beside the symbols a set has a *sketch*: SYNC_SKETCH sums over about half the
 * items, as bits of the item say, of +1 or -1, as bits of the key's hash say.
 * The mean of the squared differences of two sketches estimates how many
 * documents differ (both kinds count the same again), within a sixth mostly;
 * so the right number of symbols can be sent at once.
 *
 * Pure: no I/O, no clock. What a peer sends is hostile: a decoder ends with
 * TAKO_LIMIT when it has found more than it has symbols. */
#ifndef TAKO_SYNC_SYMBOLS_H
#define TAKO_SYNC_SYMBOLS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#define SYNC_SKETCH         64u
#define SYNC_SYMBOL_BYTES   25u /* on the wire */
#define SYNC_SYMBOL_NOWHERE UINT64_MAX
#define SYNC_WHEN_BITS      40u

/* One document in one state. */
typedef struct sync_item {
    uint64_t key;  /* hash of the id */
    uint64_t item; /* hash of that and the version; never 0 */
    uint64_t when; /* the last change: SYNC_WHEN_BITS of its milliseconds */
} sync_item;

/* `top` is the greatest hlc of its context. */
sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16], uint64_t top);
/* Of an item's key: where its places are. */
uint64_t sync_key_hash(const uint8_t key[16], uint64_t of);

typedef struct sync_symbol {
    uint64_t item, product, when; /* see the top */
    uint32_t check;
    uint32_t noted; /* of a decoder: it is to be looked at */
} sync_symbol;

static inline bool sync_symbol_empty(const sync_symbol *s)
{
    return (s->item | s->product | s->check) == 0;
}

/* The places of an item, one after another, from 0. */
typedef struct sync_places {
    uint64_t at; /* SYNC_SYMBOL_NOWHERE: too far to matter */
    uint64_t state;
} sync_places;

static inline sync_places sync_places_of(uint64_t hash)
{
    return (sync_places){ 0, hash };
}
void sync_places_next(sync_places *p);

/* Adds an item to the first n symbols, or takes it away: that is the same. */
void sync_symbols_add(sync_symbol *symbols, size_t n, sync_item item,
                      uint64_t hash);
void sync_sketch_add(int32_t sketch[SYNC_SKETCH], sync_item item, uint64_t hash,
                     int sign);
/* How many documents differ, estimated. */
uint64_t sync_sketch_estimate(const int32_t a[SYNC_SKETCH],
                              const int32_t b[SYNC_SKETCH]);

/* How many symbols mostly do: 1.4 each, of an estimate that may be twice its
 * usual error wrong. */
static inline uint64_t sync_symbols_for(uint64_t estimate)
{
    return estimate * 2u + estimate / 4u;
}

/* item and product as 8 bytes each, when as 5, check as 4. */
void sync_symbol_put(tako_buf *out, const sync_symbol *s);
void sync_symbol_get(tako_reader *in, sync_symbol *s);
void sync_sketch_put(tako_buf *out, const int32_t sketch[SYNC_SKETCH]);
void sync_sketch_get(tako_reader *in, int32_t sketch[SYNC_SKETCH]);

/* ---- decoding --------------------------------------------------------------- */

/* A document that differs. Of the item that one side has, or the xor of those
 * of both: who knows its own knows the other's, 0 for none. */
typedef struct sync_found {
    sync_item item;
    sync_places places;
} sync_found;

typedef struct sync_decoder {
    const tako_env *env;
    uint8_t key[16];
    sync_symbol *symbols; /* theirs - ours, without what is found */
    uint32_t count, cap;
    sync_found *found;
    uint32_t found_count, found_cap;
    uint32_t *todo; /* indexes to look at */
    uint32_t todo_count, todo_cap;
} sync_decoder;

void sync_decoder_init(sync_decoder *d, const tako_env *env,
                       const uint8_t key[16]);
void sync_decoder_fini(sync_decoder *d);
/* The next n symbols of both sides. TAKO_LIMIT: more than
 * TAKO_SYNC_WIDE_MAX, or symbols of no set; TAKO_NOMEM. */
tako_err sync_decoder_feed(sync_decoder *d, const sync_symbol *theirs,
                           const sync_symbol *ours, size_t n);
/* All differences are in `found`. */
static inline bool sync_decoder_done(const sync_decoder *d)
{
    return d->count > 0 && sync_symbol_empty(&d->symbols[0]);
}

#endif /* TAKO_SYNC_SYMBOLS_H */
