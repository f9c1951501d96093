// SPDX-License-Identifier: Apache-2.0
/* Grants: COSE_Sign1 (RFC 9052 section 4.2, untagged) over CWT claims
 * (RFC 8392).
 *
 *   grant   = [ h'a10127', {}, bytes .cbor claims, bytes .size 64 ]
 *   signed  = [ "Signature1", h'a10127', "tako grant 1" as bytes, claims ]
 *   claims  = {
 *      2: subject, text              4: expiry, seconds; absent: never
 *      5: not before, seconds        6: issued at, seconds
 *      8: { 1: { 1: 1, -1: 6, -2: device key } }   RFC 8747, RFC 9053
 *     -65537: mesh id, 16 bytes     -65538: roles, uint
 *   }
 *
 * h'a10127' is { 1: -8 }: EdDSA. The external data "tako grant 1" keeps the
 * authority's signatures on grants apart from those on anything else.
 *
 * Reading is strict: deterministic encoding, keys ascending, no other header.
 * A claim that we do not know is skipped, unless its key says that it must be
 * understood: private-use keys from -65537 to -131072 are of that kind, and
 * those below are not. An authority that starts to limit grants in a new way
 * uses the first kind, and old devices refuse what they cannot enforce. */
#include "sec/sec.h"

#include <sodium.h>

#include "base/check.h"

#define GRANT_SIGNATURE_BYTES 64u
#define GRANT_CLAIM_DEPTH_MAX 8u
#define GRANT_CLAIMS_MAX      64u

enum claim_key {
    CLAIM_SUBJECT = 2,
    CLAIM_EXPIRES = 4,
    CLAIM_NOT_BEFORE = 5,
    CLAIM_ISSUED = 6,
    CLAIM_CONFIRMATION = 8,
    CLAIM_MESH = -65537,
    CLAIM_ROLES = -65538,
    CLAIM_CRITICAL_FIRST = -65537,
    CLAIM_CRITICAL_LAST = -131072,
};

static const uint8_t protected_header[] = { 0xa1, 0x01, 0x27 };
static const char external_aad[] = "tako grant 1";

/* { 1: { 1: 1, -1: 6, -2: bytes of 32 } } up to the key itself. */
static const uint8_t cnf_prefix[] = { 0xa1, 0x01, 0xa3, 0x01, 0x01,
                                      0x20, 0x06, 0x21, 0x58, 0x20 };

static tako_slice header_slice(void)
{
    return tako_slice_of(protected_header, sizeof protected_header);
}

/* The Sig_structure of RFC 9052 section 4.4 up to the claims' bytes, which
 * follow it. The longest head of a byte string within the limits has 3 bytes.
 */
#define SIGNED_BYTES_MAX (SEC_GRANT_BYTES_MAX + 64u)

typedef struct signed_bytes {
    uint8_t at[SIGNED_BYTES_MAX];
    size_t len;
} signed_bytes;

static void signed_put(signed_bytes *s, const void *ptr, size_t len)
{
    TAKO_ASSERT(len <= sizeof s->at - s->len);
    memcpy(s->at + s->len, ptr, len);
    s->len += len;
}

/* Major type and length, shortest (RFC 8949 section 3). */
static void signed_put_head(signed_bytes *s, uint8_t major, size_t n)
{
    uint8_t head[3];
    size_t len = n < 24 ? 1 : n < 256 ? 2 : 3;

    TAKO_ASSERT(n < 65536);
    head[0] = (uint8_t)((unsigned)major << 5 | (len == 1 ? n : 22 + len));
    head[1] = (uint8_t)(len == 3 ? n >> 8 : n);
    head[2] = (uint8_t)n;
    signed_put(s, head, len);
}

static void signed_build(signed_bytes *s, tako_slice claims)
{
    static const char context[] = "Signature1";

    s->len = 0;
    signed_put_head(s, 4, 4);
    signed_put_head(s, 3, sizeof context - 1);
    signed_put(s, context, sizeof context - 1);
    signed_put_head(s, 2, sizeof protected_header);
    signed_put(s, protected_header, sizeof protected_header);
    signed_put_head(s, 2, sizeof external_aad - 1);
    signed_put(s, external_aad, sizeof external_aad - 1);
    signed_put_head(s, 2, claims.len);
    signed_put(s, claims.ptr, claims.len);
}

/* Names are shown to people: UTF-8 without control characters, not empty. */
static bool subject_ok(tako_slice subject)
{
    if (subject.len == 0 || subject.len > SEC_SUBJECT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < subject.len; i++)
        if (subject.ptr[i] < 0x20 || subject.ptr[i] == 0x7f)
            return false;
    return utf8_check(subject);
}

/* ---- issuing ------------------------------------------------------------ */

static void put_claims(tako_buf *b, const sec_mesh *mesh, const sec_claims *c)
{
    bool expires = c->expires_ms != UINT64_MAX;

    cbor_put_map(b, expires ? 6 : 5);
    cbor_put_int(b, CLAIM_SUBJECT);
    cbor_put_text(b, c->subject);
    if (expires) {
        cbor_put_int(b, CLAIM_EXPIRES);
        cbor_put_int(b, (int64_t)(c->expires_ms / 1000));
    }
    cbor_put_int(b, CLAIM_ISSUED);
    cbor_put_int(b, (int64_t)(c->issued_ms / 1000));
    cbor_put_int(b, CLAIM_CONFIRMATION);
    tako_put_bytes(b, tako_slice_of(cnf_prefix, sizeof cnf_prefix));
    tako_put_bytes(b, tako_slice_of(c->device, sizeof c->device));
    cbor_put_int(b, CLAIM_MESH);
    cbor_put_bytes(b, tako_slice_of(mesh->id, sizeof mesh->id));
    cbor_put_int(b, CLAIM_ROLES);
    cbor_put_int(b, (int64_t)c->roles);
}

tako_err sec_grant_issue(const sec_mesh *mesh, const sec_claims *claims,
                         tako_buf *out, tako_errbuf *e)
{
    size_t start = out->len;
    tako_buf b = tako_buf_on(out->env);
    uint8_t signature[GRANT_SIGNATURE_BYTES];
    signed_bytes s;

    if (!mesh->can_issue)
        return tako_fail(e, TAKO_DENIED,
                         "this device does not hold the mesh's authority");
    if (!subject_ok(claims->subject))
        return tako_fail(e, TAKO_INVALID,
                         "the subject must be 1 to %u bytes of UTF-8 without "
                         "control characters",
                         SEC_SUBJECT_BYTES_MAX);
    if (claims->issued_ms > SEC_TIME_MS_MAX ||
        (claims->expires_ms > SEC_TIME_MS_MAX &&
         claims->expires_ms != UINT64_MAX))
        return tako_fail(e, TAKO_INVALID, "a time is beyond the year 9999");
    put_claims(&b, mesh, claims);
    if (b.failed) {
        tako_buf_fini(&b);
        return TAKO_NOMEM;
    }
    signed_build(&s, tako_buf_slice(&b));
    TAKO_ASSERT(crypto_sign_detached(signature, NULL, s.at, s.len,
                                     mesh->authority_secret) == 0);
    cbor_put_array(out, 4);
    cbor_put_bytes(out, header_slice());
    cbor_put_map(out, 0);
    cbor_put_bytes(out, tako_buf_slice(&b));
    cbor_put_bytes(out, tako_slice_of(signature, sizeof signature));
    tako_buf_fini(&b);
    if (out->failed) {
        out->len = start;
        return TAKO_NOMEM;
    }
    return TAKO_OK;
}

/* ---- checking ----------------------------------------------------------- */

static tako_err corrupt(tako_errbuf *e, const char *what)
{
    return tako_fail(e, TAKO_CORRUPT, "the grant is malformed: %s", what);
}

typedef struct cose_sign1 {
    tako_slice claims;
    tako_slice signature;
} cose_sign1;

static tako_err cose_read(tako_slice grant, cose_sign1 *out, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(grant);
    cbor_item array, header, unprotected, claims, signature;

    if (grant.len > SEC_GRANT_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the grant is longer than %u bytes",
                         SEC_GRANT_BYTES_MAX);
    if (cbor_check(grant, 2, NULL) != TAKO_OK)
        return corrupt(e, "not deterministic CBOR");
    if (!cbor_read(&r, &array) || array.kind != CBOR_ARRAY || array.count != 4)
        return corrupt(e, "not an array of four");
    if (!cbor_read(&r, &header) || header.kind != CBOR_BYTES ||
        !tako_slice_eq(header.str, header_slice()))
        return corrupt(e, "another signature algorithm or header");
    if (!cbor_read(&r, &unprotected) || unprotected.kind != CBOR_MAP ||
        unprotected.count != 0)
        return corrupt(e, "an unprotected header");
    if (!cbor_read(&r, &claims) || claims.kind != CBOR_BYTES)
        return corrupt(e, "no claims");
    if (!cbor_read(&r, &signature) || signature.kind != CBOR_BYTES ||
        signature.str.len != GRANT_SIGNATURE_BYTES || !tako_reader_done(&r))
        return corrupt(e, "no signature");
    out->claims = claims.str;
    out->signature = signature.str;
    return TAKO_OK;
}

/* What was found, in the claims' own units. */
typedef struct claims_found {
    sec_claims claims;
    int64_t not_before_s;
    bool subject, issued, device, mesh, roles;
} claims_found;

static tako_err time_of(tako_slice value, int64_t *out, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(value);
    cbor_item v;

    if (!cbor_read(&r, &v) || v.kind != CBOR_INT || v.integer < 0 ||
        (uint64_t)v.integer > SEC_TIME_MS_MAX / 1000)
        return corrupt(e, "a time is not whole seconds");
    *out = v.integer;
    return TAKO_OK;
}

static tako_err confirmation_read(tako_slice value, claims_found *f,
                                  tako_errbuf *e)
{
    if (value.len != sizeof cnf_prefix + sizeof f->claims.device ||
        memcmp(value.ptr, cnf_prefix, sizeof cnf_prefix) != 0)
        return corrupt(e, "the device key is not Ed25519");
    memcpy(f->claims.device, value.ptr + sizeof cnf_prefix,
           sizeof f->claims.device);
    f->device = true;
    return TAKO_OK;
}

static tako_err claim_read(int64_t key, tako_slice value, claims_found *f,
                           tako_errbuf *e)
{
    tako_reader r = tako_reader_of(value);
    cbor_item v = { .kind = CBOR_NULL };
    int64_t seconds;

    if (key == CLAIM_CONFIRMATION) /* its keys are integers */
        return confirmation_read(value, f, e);
    if (cbor_check(value, GRANT_CLAIM_DEPTH_MAX, NULL) != TAKO_OK)
        return corrupt(e, "a claim is not deterministic CBOR");
    (void)cbor_read(&r, &v);
    switch (key) {
    case CLAIM_SUBJECT:
        if (v.kind != CBOR_TEXT || !subject_ok(v.str))
            return corrupt(e, "the subject is not a name");
        f->claims.subject = v.str;
        f->subject = true;
        return TAKO_OK;
    case CLAIM_EXPIRES:
        TAKO_TRY(time_of(value, &seconds, e));
        f->claims.expires_ms = (uint64_t)seconds * 1000;
        return TAKO_OK;
    case CLAIM_NOT_BEFORE:
        return time_of(value, &f->not_before_s, e);
    case CLAIM_ISSUED:
        TAKO_TRY(time_of(value, &seconds, e));
        f->claims.issued_ms = (uint64_t)seconds * 1000;
        f->issued = true;
        return TAKO_OK;
    case CLAIM_MESH:
        if (v.kind != CBOR_BYTES || v.str.len != sizeof f->claims.mesh)
            return corrupt(e, "the mesh id is not 16 bytes");
        memcpy(f->claims.mesh, v.str.ptr, sizeof f->claims.mesh);
        f->mesh = true;
        return TAKO_OK;
    case CLAIM_ROLES:
        if (v.kind != CBOR_INT || v.integer < 0 || v.integer > UINT32_MAX)
            return corrupt(e, "the roles are not bits");
        f->claims.roles = (uint32_t)v.integer;
        f->roles = true;
        return TAKO_OK;
    default:
        if (key <= CLAIM_CRITICAL_FIRST && key >= CLAIM_CRITICAL_LAST)
            return tako_fail(e, TAKO_UNSUPPORTED,
                             "the grant has claim %lld, which this version "
                             "does not know and must",
                             (long long)key);
        return TAKO_OK;
    }
}

static tako_err claims_read(tako_slice claims, claims_found *f, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(claims);
    tako_slice key, value, before = TAKO_SLICE_NONE;
    cbor_item map, k;

    if (!cbor_read(&r, &map) || map.kind != CBOR_MAP ||
        map.count > GRANT_CLAIMS_MAX || r.pos != (map.count < 24 ? 1u : 2u))
        return corrupt(e, "the claims are not a map");
    for (uint64_t i = 0; i < map.count; i++, before = key) {
        tako_reader kr;

        key = cbor_read_value(&r);
        value = cbor_read_value(&r);
        if (r.failed || cbor_check(key, 0, NULL) != TAKO_OK)
            return corrupt(e, "a claim is cut off");
        kr = tako_reader_of(key);
        if (!cbor_read(&kr, &k) ||
            (before.len > 0 && tako_slice_cmp(before, key) >= 0))
            return corrupt(e, "the claims are not in order");
        if (k.kind == CBOR_TEXT)
            continue; /* somebody else's, RFC 8392 section 1.1: skipped */
        if (k.kind != CBOR_INT)
            return corrupt(e, "a claim's key is not a number");
        TAKO_TRY(claim_read(k.integer, value, f, e));
    }
    if (!tako_reader_done(&r))
        return corrupt(e, "bytes after the claims");
    if (!f->subject || !f->issued || !f->device || !f->mesh || !f->roles)
        return corrupt(e, "a claim is missing");
    return TAKO_OK;
}

static tako_err times_check(const claims_found *f, uint64_t wall_ms,
                            tako_errbuf *e)
{
    const uint64_t slack = SEC_CLOCK_TOLERANCE_MS;
    uint64_t not_before_ms = (uint64_t)f->not_before_s * 1000;

    if (f->claims.expires_ms != UINT64_MAX &&
        wall_ms > f->claims.expires_ms + slack)
        return tako_fail(e, TAKO_DENIED,
                         "the grant expired %llu s ago, or our clock is ahead",
                         (unsigned long long)(wall_ms - f->claims.expires_ms) /
                             1000);
    if (f->claims.issued_ms > wall_ms && f->claims.issued_ms - wall_ms > slack)
        return tako_fail(e, TAKO_DENIED,
                         "the grant was issued %llu s in our future: a clock "
                         "is wrong",
                         (unsigned long long)(f->claims.issued_ms - wall_ms) /
                             1000);
    if (not_before_ms > wall_ms && not_before_ms - wall_ms > slack)
        return tako_fail(e, TAKO_DENIED, "the grant is not valid yet");
    return TAKO_OK;
}

/* The order matters: nothing but the form of the grant is looked at before the
 * signature has been verified. */
tako_err sec_grant_check(const sec_mesh *mesh, tako_slice grant,
                         uint64_t wall_ms, sec_claims *out, tako_errbuf *e)
{
    cose_sign1 cose = { TAKO_SLICE_NONE, TAKO_SLICE_NONE };
    signed_bytes s;
    claims_found f = { .claims = { .expires_ms = UINT64_MAX } };

    TAKO_TRY(cose_read(grant, &cose, e));
    signed_build(&s, cose.claims);
    if (crypto_sign_verify_detached(cose.signature.ptr, s.at, s.len,
                                    mesh->authority_public) != 0)
        return tako_fail(e, TAKO_DENIED,
                         "the grant is not signed by this mesh's authority: "
                         "another mesh or another secret");
    TAKO_TRY(claims_read(cose.claims, &f, e));
    if (sodium_memcmp(f.claims.mesh, mesh->id, sizeof mesh->id) != 0)
        return tako_fail(e, TAKO_DENIED, "the grant is for another mesh");
    TAKO_TRY(times_check(&f, wall_ms, e));
    *out = f.claims;
    return TAKO_OK;
}
