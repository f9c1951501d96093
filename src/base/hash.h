// SPDX-License-Identifier: Apache-2.0
/* HASH -- BLAKE2b for identity, SipHash-2-4 for tables and keyed sums. Both
 * from libsodium. BLAKE2b (RFC 7693) output of 16 or 32 bytes, no key. */
#ifndef TAKO_BASE_HASH_H
#define TAKO_BASE_HASH_H

#include "base/slice.h"

void tako_hash16(tako_slice data, uint8_t out[16]);
void tako_hash32(tako_slice data, uint8_t out[32]);

/* BLAKE2b-128 over the concatenation of two slices. */
void tako_hash16_two(tako_slice a, tako_slice b, uint8_t out[16]);
/* BLAKE2b-256 likewise. */
void tako_hash32_two(tako_slice a, tako_slice b, uint8_t out[32]);

/* SipHash-2-4 under a 16-byte key. */
uint64_t tako_hash64(const uint8_t key[16], tako_slice data);

#endif /* TAKO_BASE_HASH_H */
