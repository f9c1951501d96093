// SPDX-License-Identifier: Apache-2.0
/* Proof of identity on one connection.
 *
 *   message = [ 1, grant as bytes, bytes .size 64 ]
 *   signed  = "tako auth 1", 0x00, side (1 dialler, 2 accepter),
 *             exporter (32 bytes), BLAKE2b-256(grant)
 *
 * The exporter (RFC 8446 section 7.5; the idea of RFC 9266) is a secret that
 * only the two ends of this TLS connection have, so whoever sits in the middle
 * of two connections cannot pass a proof on, and a recorded one fits nowhere.
 * The side keeps a proof from being sent back to who made it. The label keeps
 * the device's signatures here apart from those on anything else. */
#include "sec/sec.h"

#include <sodium.h>

#include "base/check.h"
#include "base/hash.h"

#define AUTH_VERSION         1
#define AUTH_SIGNATURE_BYTES 64u

static const char auth_label[] = "tako auth 1"; /* its NUL is signed too */

typedef struct auth_signed {
    uint8_t label[sizeof auth_label];
    uint8_t side;
    uint8_t exporter[SEC_EXPORTER_BYTES];
    uint8_t grant_hash[32];
} auth_signed;

_Static_assert(sizeof(auth_signed) == sizeof auth_label + 1 + 32 + 32,
               "signed as it lies in memory, so without padding");

static void auth_signed_build(auth_signed *s, sec_side side,
                              const uint8_t exporter[SEC_EXPORTER_BYTES],
                              tako_slice grant)
{
    memcpy(s->label, auth_label, sizeof auth_label);
    s->side = (uint8_t)side;
    memcpy(s->exporter, exporter, sizeof s->exporter);
    tako_hash32(grant, s->grant_hash);
}

tako_err sec_auth_make(const sec_identity *id, tako_slice grant, sec_side side,
                       const uint8_t exporter[SEC_EXPORTER_BYTES],
                       tako_buf *out)
{
    size_t start = out->len;
    uint8_t signature[AUTH_SIGNATURE_BYTES];
    auth_signed s;

    if (grant.len > SEC_GRANT_BYTES_MAX)
        return TAKO_LIMIT;
    auth_signed_build(&s, side, exporter, grant);
    TAKO_ASSERT(crypto_sign_detached(signature, NULL, (const uint8_t *)&s,
                                     sizeof s, id->secret_key) == 0);
    sec_wipe(&s, sizeof s);
    cbor_put_array(out, 3);
    cbor_put_int(out, AUTH_VERSION);
    cbor_put_bytes(out, grant);
    cbor_put_bytes(out, tako_slice_of(signature, sizeof signature));
    if (out->failed) {
        out->len = start;
        return TAKO_NOMEM;
    }
    return TAKO_OK;
}

tako_err sec_auth_check(const sec_mesh *mesh, tako_slice message, sec_side side,
                        const uint8_t exporter[SEC_EXPORTER_BYTES],
                        uint64_t wall_ms, sec_claims *out, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(message);
    cbor_item array, version, grant, signature;
    sec_claims claims;
    auth_signed s;
    int rc;

    if (message.len > SEC_AUTH_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the proof of identity is too long");
    if (cbor_check(message, 1, NULL) != TAKO_OK || !cbor_read(&r, &array) ||
        array.kind != CBOR_ARRAY || array.count < 1 ||
        !cbor_read(&r, &version) || version.kind != CBOR_INT)
        return tako_fail(e, TAKO_CORRUPT, "the proof of identity is malformed");
    if (version.integer != AUTH_VERSION)
        return tako_fail(e, TAKO_UNSUPPORTED,
                         "the proof of identity has version %lld",
                         (long long)version.integer);
    if (array.count != 3 || !cbor_read(&r, &grant) ||
        grant.kind != CBOR_BYTES || !cbor_read(&r, &signature) ||
        signature.kind != CBOR_BYTES ||
        signature.str.len != AUTH_SIGNATURE_BYTES)
        return tako_fail(e, TAKO_CORRUPT, "the proof of identity is malformed");
    TAKO_TRY(sec_grant_check(mesh, grant.str, wall_ms, &claims, e));
    auth_signed_build(&s, side, exporter, grant.str);
    rc = crypto_sign_verify_detached(signature.str.ptr, (const uint8_t *)&s,
                                     sizeof s, claims.device);
    sec_wipe(&s, sizeof s);
    if (rc != 0)
        return tako_fail(e, TAKO_DENIED,
                         "the proof of identity is not of this device on this "
                         "connection");
    *out = claims;
    return TAKO_OK;
}
