// SPDX-License-Identifier: Apache-2.0
/* fuzz/fuzz_auth.c -- proofs of identity come from anybody.
 *
 * The first byte chooses: the rest is a proof; the rest is a grant; the rest
 * is a claims map that a genuine authority signs, so that the reader of claims
 * is reached. Properties: an error has a reason; nothing unsigned is accepted;
 * what is accepted has the fields that the header promises. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "sec/sec.h"
#include "sys/sys.h"

#define CHECK(x)                                                               \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(tako_err err, const tako_errbuf *e)
{
    CHECK(err == TAKO_CORRUPT || err == TAKO_DENIED || err == TAKO_LIMIT ||
          err == TAKO_UNSUPPORTED);
    CHECK(e->text[0] != '\0');
}

/* The grant of docs/security.md over any claims. */
static void sign_claims(const sec_mesh *mesh, tako_slice claims, tako_buf *out)
{
    static const uint8_t header[] = { 0xa1, 0x01, 0x27 };
    tako_buf s = tako_buf_on(out->env);
    uint8_t signature[64];

    cbor_put_array(&s, 4);
    cbor_put_text(&s, tako_slice_str("Signature1"));
    cbor_put_bytes(&s, tako_slice_of(header, sizeof header));
    cbor_put_bytes(&s, tako_slice_str("tako grant 1"));
    cbor_put_bytes(&s, claims);
    CHECK(crypto_sign_detached(signature, NULL, s.ptr, s.len,
                               mesh->authority_secret) == 0);
    cbor_put_array(out, 4);
    cbor_put_bytes(out, tako_slice_of(header, sizeof header));
    cbor_put_map(out, 0);
    cbor_put_bytes(out, claims);
    cbor_put_bytes(out, tako_slice_of(signature, sizeof signature));
    tako_buf_fini(&s);
}

static void claims_check(const sec_mesh *mesh, tako_slice grant,
                         const sec_claims *c)
{
    CHECK(c->subject.len >= 1 && c->subject.len <= SEC_SUBJECT_BYTES_MAX);
    CHECK(c->subject.ptr > grant.ptr &&
          c->subject.ptr + c->subject.len < grant.ptr + grant.len);
    CHECK(memchr(c->subject.ptr, 0, c->subject.len) == NULL);
    CHECK(memcmp(c->mesh, mesh->id, 16) == 0);
    CHECK(c->expires_ms == UINT64_MAX || c->expires_ms <= SEC_TIME_MS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t exporter[SEC_EXPORTER_BYTES] = { 1 };
    tako_env env;
    sec_mesh mesh;
    sec_claims c;
    tako_errbuf e = { "" };
    tako_slice rest;
    tako_err err;

    if (size == 0)
        return 0;
    sys_env_init(&env);
    CHECK(sec_mesh_from_secret(tako_slice_str("0123456789abcdef"), &mesh,
                               NULL) == TAKO_OK);
    rest = tako_slice_of(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        err =
            sec_auth_check(&mesh, rest, SEC_DIALLER, exporter, 1000000, &c, &e);
        /* the secret of the mesh is known here, but no device's key */
        refused(err, &e);
        break;
    case 1:
        err = sec_grant_check(&mesh, rest, 1000000, &c, &e);
        if (err == TAKO_OK)
            claims_check(&mesh, rest, &c);
        else
            refused(err, &e);
        break;
    default: {
        tako_buf b = tako_buf_on(&env);

        sign_claims(&mesh, rest, &b);
        err = sec_grant_check(&mesh, tako_buf_slice(&b), 1000000, &c, &e);
        if (err == TAKO_OK)
            claims_check(&mesh, tako_buf_slice(&b), &c);
        else
            refused(err, &e);
        tako_buf_fini(&b);
        break;
    }
    }
    return 0;
}
