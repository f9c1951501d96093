// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <sodium.h>

void tako_hash16(tako_slice data, uint8_t out[16])
{
    (void)crypto_generichash(out, 16, data.ptr, data.len, NULL, 0);
}

void tako_hash32(tako_slice data, uint8_t out[32])
{
    (void)crypto_generichash(out, 32, data.ptr, data.len, NULL, 0);
}

void tako_hash16_two(tako_slice a, tako_slice b, uint8_t out[16])
{
    crypto_generichash_state st;

    (void)crypto_generichash_init(&st, NULL, 0, 16);
    (void)crypto_generichash_update(&st, a.ptr, a.len);
    (void)crypto_generichash_update(&st, b.ptr, b.len);
    (void)crypto_generichash_final(&st, out, 16);
}

void tako_hash32_two(tako_slice a, tako_slice b, uint8_t out[32])
{
    crypto_generichash_state st;

    (void)crypto_generichash_init(&st, NULL, 0, 32);
    (void)crypto_generichash_update(&st, a.ptr, a.len);
    (void)crypto_generichash_update(&st, b.ptr, b.len);
    (void)crypto_generichash_final(&st, out, 32);
}

uint64_t tako_hash64(const uint8_t key[16], tako_slice data)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t v;

    _Static_assert(sizeof out == sizeof v, "SipHash gives 8 bytes");
    (void)crypto_shorthash(out, data.ptr, data.len, key);
    memcpy(&v, out, sizeof v);
    return v;
}
