// SPDX-License-Identifier: Apache-2.0
/* Device keys: Ed25519 (RFC 8032) through libsodium. The 32-byte seed is what
 * is stored; libsodium's 64-byte secret key is seed and public key. */
#include "sec/sec.h"

#include <sodium.h>

#include "base/check.h"

_Static_assert(SEC_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(sizeof((sec_identity){ 0 }.secret_key) ==
                   crypto_sign_SECRETKEYBYTES,
               "Ed25519");

void sec_identity_from_seed(const uint8_t seed[32], sec_identity *out)
{
    TAKO_ASSERT(
        crypto_sign_seed_keypair(out->public_key, out->secret_key, seed) == 0);
}

void sec_identity_new(const tako_env *env, sec_identity *out)
{
    uint8_t seed[crypto_sign_SEEDBYTES];

    env->random(env->ctx, seed, sizeof seed);
    sec_identity_from_seed(seed, out);
    sec_wipe(seed, sizeof seed);
}

void sec_identity_seed(const sec_identity *id, uint8_t seed[32])
{
    TAKO_ASSERT(crypto_sign_ed25519_sk_to_seed(seed, id->secret_key) == 0);
}

void sec_wipe(void *ptr, size_t len)
{
    sodium_memzero(ptr, len);
}
