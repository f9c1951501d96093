// SPDX-License-Identifier: Apache-2.0
/* A mesh is its authority's public key; its id is BLAKE2b-128 of that key.
 *
 * The authority of a shared secret: the seed of its Ed25519 key is
 * BLAKE2b-256 of the secret (RFC 7693), with a label as the hash's key, so
 * that the same secret used elsewhere gives other keys. That is a fast hash on
 * purpose: the secret must be random, not something people think of. Whoever
 * sees a grant can try secrets against it as fast as the hash allows, so only
 * entropy protects a mesh. SEC_SECRET_BYTES_MIN can only refuse what is
 * certainly too short. */
#include "sec/sec.h"

#include <sodium.h>

#include "base/check.h"

static const char authority_label[] = "tako mesh authority 1";
static const char mesh_id_label[] = "tako mesh id 1";

/* BLAKE2b keyed with a label. libsodium asks keys of 16 bytes at least, so
 * the label is padded with zeros to 32. */
static void labelled_hash(const char *label, size_t label_len, tako_slice data,
                          uint8_t *out, size_t out_len)
{
    uint8_t key[32] = { 0 };

    TAKO_ASSERT(label_len <= sizeof key);
    memcpy(key, label, label_len);
    TAKO_ASSERT(crypto_generichash(out, out_len, data.ptr, data.len, key,
                                   sizeof key) == 0);
}

void sec_mesh_from_public(const uint8_t authority[SEC_KEY_BYTES], sec_mesh *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->authority_public, authority, SEC_KEY_BYTES);
    labelled_hash(mesh_id_label, sizeof mesh_id_label - 1,
                  tako_slice_of(authority, SEC_KEY_BYTES), out->id,
                  sizeof out->id);
}

static tako_slice trim_end(tako_slice s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[s.len - 1], 4) != NULL)
        s.len--;
    return s;
}

tako_err sec_mesh_from_secret(tako_slice secret, sec_mesh *out, tako_errbuf *e)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];

    secret = trim_end(secret);
    if (secret.len < SEC_SECRET_BYTES_MIN)
        return tako_fail(e, TAKO_INVALID,
                         "a mesh secret has at least %u characters",
                         SEC_SECRET_BYTES_MIN);
    labelled_hash(authority_label, sizeof authority_label - 1, secret, seed,
                  sizeof seed);
    TAKO_ASSERT(crypto_sign_seed_keypair(public_key, secret_key, seed) == 0);
    sec_mesh_from_public(public_key, out);
    memcpy(out->authority_secret, secret_key, sizeof secret_key);
    out->can_issue = true;
    sec_wipe(seed, sizeof seed);
    sec_wipe(secret_key, sizeof secret_key);
    return TAKO_OK;
}
