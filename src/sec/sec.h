// SPDX-License-Identifier: Apache-2.0
/* SEC -- who a device is, and what it may do.
 *
 * A device is an Ed25519 key pair. A mesh is an authority's public key; its id
 * is a hash of that. A grant is a COSE_Sign1 (RFC 9052) over a CWT-shaped
 * claims map (RFC 8392), signed by the authority: mesh id, device key,
 * subject (name), roles, expiry. For simple setups the authority's key is
 * derived from a shared mesh secret, so that every holder can issue.
 *
 * A link proves identity above TLS: each side sends an auth message with its
 * grant and a signature over (label, side, TLS exporter), so nothing can be
 * replayed on another connection (channel binding, RFC 9266 exporter idea). */
#ifndef TAKO_SEC_SEC_H
#define TAKO_SEC_SEC_H

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"
#include "codec/cbor.h"

#define SEC_KEY_BYTES         32u
#define SEC_EXPORTER_BYTES    32u
#define SEC_SECRET_BYTES_MIN  16u
#define SEC_GRANT_BYTES_MAX   4096u
#define SEC_AUTH_BYTES_MAX    (SEC_GRANT_BYTES_MAX + 128u)
#define SEC_SUBJECT_BYTES_MAX 128u
/* How far a grant's times may lie on the wrong side of our clock. */
#define SEC_CLOCK_TOLERANCE_MS (5u * 60u * 1000u)
/* The last moment a grant may name: the end of the year 9999. */
#define SEC_TIME_MS_MAX UINT64_C(253402300799000)

typedef struct sec_identity {
    uint8_t public_key[32];
    uint8_t secret_key[64]; /* libsodium's form */
} sec_identity;

/* A new key pair from env's random. */
void sec_identity_new(const tako_env *env, sec_identity *out);
/* From the 32-byte seed that sec_identity_seed gives, for storing. */
void sec_identity_from_seed(const uint8_t seed[32], sec_identity *out);
void sec_identity_seed(const sec_identity *id, uint8_t seed[32]);
/* Overwrites secrets. */
void sec_wipe(void *ptr, size_t len);

typedef struct sec_mesh {
    uint8_t id[16];
    uint8_t authority_public[32];
    uint8_t authority_secret[64];
    bool can_issue;
} sec_mesh;

/* The mesh of a shared secret: white space at the end of `secret` (a file's
 * newline) does not count. TAKO_INVALID: shorter than SEC_SECRET_BYTES_MIN. */
tako_err sec_mesh_from_secret(tako_slice secret, sec_mesh *out, tako_errbuf *e);

/* The mesh of an authority whose secret is elsewhere: checks, cannot issue. */
void sec_mesh_from_public(const uint8_t authority[SEC_KEY_BYTES],
                          sec_mesh *out);

/* Times are kept in whole seconds (RFC 8392), rounded down. */
typedef struct sec_claims {
    uint8_t mesh[16];
    uint8_t device[32];
    tako_slice subject; /* UTF-8, 1..SEC_SUBJECT_BYTES_MAX */
    uint32_t roles;     /* SEC_ROLE_* bits */
    uint64_t issued_ms;
    uint64_t expires_ms; /* UINT64_MAX: never */
} sec_claims;

#define SEC_ROLE_READ  1u /* everything, until grants carry predicates */
#define SEC_ROLE_WRITE 2u
#define SEC_ROLE_RELAY 4u

/* Appends a signed grant. TAKO_DENIED when the mesh cannot issue;
 * TAKO_INVALID (subject, time), TAKO_NOMEM. */
tako_err sec_grant_issue(const sec_mesh *mesh, const sec_claims *claims,
                         tako_buf *out, tako_errbuf *e);
/* Verifies a grant; *out borrows from `grant`. TAKO_CORRUPT (malformed),
 * TAKO_DENIED (signature, mesh, times; e says which), TAKO_UNSUPPORTED (has a
 * claim that must be understood and is not), TAKO_LIMIT (too long). */
tako_err sec_grant_check(const sec_mesh *mesh, tako_slice grant,
                         uint64_t wall_ms, sec_claims *out, tako_errbuf *e);

typedef enum sec_side { SEC_DIALLER = 1, SEC_ACCEPTER = 2 } sec_side;

/* Appends the message that proves this device on one connection.
 * TAKO_LIMIT (a grant too long), TAKO_NOMEM */
tako_err sec_auth_make(const sec_identity *id, tako_slice grant, sec_side side,
                       const uint8_t exporter[SEC_EXPORTER_BYTES],
                       tako_buf *out);
/* Verifies the other side's; `side` is the sender's. As sec_grant_check, and
 * TAKO_DENIED when the signature is not of this device, side and connection.
 * *out borrows from `message`. */
tako_err sec_auth_check(const sec_mesh *mesh, tako_slice message, sec_side side,
                        const uint8_t exporter[SEC_EXPORTER_BYTES],
                        uint64_t wall_ms, sec_claims *out, tako_errbuf *e);

#endif /* TAKO_SEC_SEC_H */
