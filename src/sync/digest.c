// SPDX-License-Identifier: Apache-2.0
/* DIGEST -- sums of hashes: sets can be compared whole or by bucket, and a
 * sum does not care in which order documents are met.
 *
 * 64 bits of SipHash under a key that all of the mesh know: an accident in
 * 2^-64; members who want to hide a difference from their own mesh could. */
#include "sync/state.h"

sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16])
{
    uint8_t with[8 + 16];
    sync_item item;

    item.key = tako_hash64(key, id);
    memcpy(with + 8, version, 16);
    for (size_t i = 0; i < 8; i++) /* the same on every machine */
        with[i] = (uint8_t)(item.key >> (8 * i));
    item.item = tako_hash64(key, tako_slice_of(with, sizeof with));
    return item;
}

void sync_digest_add(sync_digest *d, sync_item item)
{
    d->count++;
    d->sum += item.item;
    d->buckets[sync_bucket(item.key, TAKO_SYNC_BUCKETS_BITS_MAX)] += item.item;
}

void sync_digest_fold(const sync_digest *d, unsigned bits, uint64_t *out)
{
    unsigned shift = TAKO_SYNC_BUCKETS_BITS_MAX - bits;

    /* `out` may be the sums themselves: reading is never behind writing. */
    for (uint32_t i = 0; i < SYNC_BUCKETS_MAX; i++) {
        uint64_t sum = d->buckets[i];

        out[i >> shift] =
            i >> shift << shift == i ? sum : out[i >> shift] + sum;
    }
}

unsigned sync_digest_bits(uint64_t count)
{
    unsigned bits = 0;

    while (bits < TAKO_SYNC_BUCKETS_BITS_MAX &&
           count >> bits > SYNC_BUCKET_DOCS)
        bits++;
    return bits;
}
