// SPDX-License-Identifier: Apache-2.0
/* The link as test vectors: keys of a secret, grants, proofs, frames. */
#include "mesh/support_pair.h"

#include "mesh/assembly.h"
#include "mesh/frame.h"
#include "mesh/lanes.h"
#include "support/vectors.h"

/* ---- keys, grants, proofs ---------------------------------------------------- */

static sec_identity device(uint8_t first)
{
    uint8_t seed[32];
    sec_identity id;

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(first + i);
    sec_identity_from_seed(seed, &id);
    return id;
}

static void put_seed(tako_buf *out, const sec_identity *id)
{
    uint8_t seed[32];

    sec_identity_seed(id, seed);
    vectors_hex(out, "seed", tako_slice_of(seed, sizeof seed));
}

static void put_mesh(tako_buf *out, const char *secret)
{
    sec_mesh mesh;

    assert_int_equal(sec_mesh_from_secret(tako_slice_str(secret), &mesh, NULL),
                     TAKO_OK);
    vectors_open(out, "mesh", NULL);
    vectors_hex(out, "secret", tako_slice_str(secret));
    vectors_hex(out, "authority", tako_slice_of(mesh.authority_public, 32));
    vectors_hex(out, "id", tako_slice_of(mesh.id, 16));
    vectors_close(out);
}

typedef struct grant_case {
    const char *name, *subject;
    uint32_t roles;
    uint64_t issued_ms, expires_ms, wall_ms;
    tako_err gives;
} grant_case;

static const grant_case grants[] = {
    { "self-issued", "till-1", 7, 0, UINT64_MAX, 1700000000000u, TAKO_OK },
    { "expires", "tablet", 1, 1700000000000u, 1800000000000u, 1700000000000u,
      TAKO_OK },
    { "within the tolerance", "tablet", 1, 0, 1700000000000u, 1700000299000u,
      TAKO_OK },
    { "expired", "tablet", 1, 0, 1700000000000u, 1700000301000u, TAKO_DENIED },
    { "of the future", "tablet", 1, 1700000301000u, UINT64_MAX, 1700000000000u,
      TAKO_DENIED },
};

static void put_grant(test_env *t, tako_buf *out, const sec_mesh *mesh,
                      const grant_case *g)
{
    sec_identity id = device(1);
    sec_claims c = { .subject = tako_slice_str(g->subject),
                     .roles = g->roles,
                     .issued_ms = g->issued_ms,
                     .expires_ms = g->expires_ms };
    tako_buf grant = tako_buf_on(&t->env);
    sec_claims got;

    memcpy(c.device, id.public_key, sizeof c.device);
    assert_int_equal(sec_grant_issue(mesh, &c, &grant, NULL), TAKO_OK);
    assert_int_equal(
        sec_grant_check(mesh, tako_buf_slice(&grant), g->wall_ms, &got, NULL),
        g->gives);
    vectors_open(out, "grant", g->name);
    put_seed(out, &id);
    vectors_hex(out, "device", tako_slice_of(id.public_key, 32));
    vectors_text(out, "subject", c.subject);
    vectors_number(out, "roles", g->roles);
    vectors_number(out, "issued", g->issued_ms / 1000);
    if (g->expires_ms != UINT64_MAX)
        vectors_number(out, "expires", g->expires_ms / 1000);
    vectors_number(out, "now", g->wall_ms / 1000);
    vectors_bool(out, "good", g->gives == TAKO_OK);
    vectors_hex(out, "grant", tako_buf_slice(&grant));
    vectors_close(out);
    tako_buf_fini(&grant);
}

static void put_proof(test_env *t, tako_buf *out, const sec_mesh *mesh,
                      sec_side side)
{
    sec_identity id = device(side == SEC_DIALLER ? 1 : 77);
    sec_claims c = { .subject = tako_slice_str("till"),
                     .roles = 3,
                     .expires_ms = UINT64_MAX };
    tako_buf grant = tako_buf_on(&t->env), proof = tako_buf_on(&t->env);
    uint8_t exporter[SEC_EXPORTER_BYTES];
    sec_claims got;

    memcpy(c.device, id.public_key, sizeof c.device);
    memset(exporter, 0xe5, sizeof exporter);
    assert_int_equal(sec_grant_issue(mesh, &c, &grant, NULL), TAKO_OK);
    assert_int_equal(
        sec_auth_make(&id, tako_buf_slice(&grant), side, exporter, &proof),
        TAKO_OK);
    assert_int_equal(sec_auth_check(mesh, tako_buf_slice(&proof), side,
                                    exporter, t->wall_ms, &got, NULL),
                     TAKO_OK);
    vectors_open(out, "proof", side == SEC_DIALLER ? "dialler" : "accepter");
    put_seed(out, &id);
    vectors_number(out, "side", side);
    vectors_hex(out, "exporter", tako_slice_of(exporter, sizeof exporter));
    vectors_hex(out, "grant", tako_buf_slice(&grant));
    vectors_hex(out, "proof", tako_buf_slice(&proof));
    vectors_close(out);
    tako_buf_fini(&grant);
    tako_buf_fini(&proof);
}

/* ---- frames ------------------------------------------------------------------- */

/* The messages that whole frames give, and whether all went well. */
static bool read_frames(test_env *t, tako_slice in, tako_buf *messages)
{
    frame_reader r = { 0 };
    frame_part part;
    assembly a;
    bool good = true, got = true;

    assembly_init(&a, &t->env);
    while (good && got) {
        tako_slice message;
        bool done = false;

        good = frame_read(&r, &in, &part, &got, NULL) == TAKO_OK;
        if (!good || !got || r.kind != FRAME_PAYLOAD)
            continue;
        good = assembly_take(&a, &r, &part, &message, &done, NULL) == TAKO_OK;
        if (!good || !done)
            continue;
        tako_put_fmt(messages, "%s[%u,\"", messages->len > 1 ? "," : "",
                     (unsigned)r.lane);
        for (size_t i = 0; i < message.len; i++)
            tako_put_fmt(messages, "%02x", message.ptr[i]);
        tako_put_str(messages, "\"]");
        assembly_release(&a, r.lane);
    }
    assembly_fini(&a);
    return good;
}

static void put_frames(test_env *t, tako_buf *out, const char *name,
                       tako_slice bytes, bool good)
{
    tako_buf messages = tako_buf_on(&t->env);

    tako_put_str(&messages, "[");
    assert_int_equal(read_frames(t, bytes, &messages), good);
    tako_put_str(&messages, "]");
    vectors_open(out, "frames", name);
    vectors_hex(out, "bytes", bytes);
    vectors_bool(out, "good", good);
    vectors_json(out, "messages", tako_buf_cstr(&messages));
    vectors_close(out);
    tako_buf_fini(&messages);
}

#define FRAMES(bytes)                                                          \
    {                                                                          \
        (const uint8_t *)(bytes), sizeof(bytes) - 1                            \
    }
static const struct {
    const char *name;
    tako_slice bytes;
    bool good;
} frames[] = {
    { "one message on each lane",
      FRAMES("\x01\x04"
             "a\x02\x05"
             "bc\x01\x06"
             "d\x01\x07"
             "e"),
      true },
    { "an empty message", FRAMES("\x00\x04"), true },
    { "two frames, another lane between",
      FRAMES("\x02\x02"
             "ab\x01\x04x\x02\x06"
             "cd"),
      true },
    { "an empty last frame",
      FRAMES("\x01\x01"
             "a\x00\x05"),
      true },
    { "ping and pong", FRAMES("\x00\x11\x00\x12"), true },
    { "a kind of a later version, skipped",
      FRAMES("\x03\x20xyz\x01\x04"
             "a"),
      true },
    { "a kind that must be understood",
      FRAMES("\x03\x90xyz\x01\x04"
             "a"),
      false },
    { "a frame that carries nothing", FRAMES("\x00\x01"), false },
    { "a length with needless bytes", FRAMES("\x81\x00\x04"), false },
    { "a length beyond 16384", FRAMES("\x81\x80\x01\x04"), false },
    { "a length without an end", FRAMES("\x80\x80\x80\x01\x04"), false },
};

/* A long message as this implementation cuts it for records of 64 bytes. */
static void put_cut(test_env *t, tako_buf *out)
{
    uint8_t message[150], bytes[512];
    uint64_t count = 0;
    size_t n = 0;
    lanes q;

    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    lanes_init(&q, &t->env);
    assert_int_equal(
        lanes_put(&q, MESH_CATCHUP, tako_slice_of(message, sizeof message)),
        TAKO_OK);
    while (lanes_waiting(&q))
        n += lanes_cut(&q, bytes + n, LANES_CUT_BYTES_MIN, &count);
    lanes_fini(&q);
    assert_int_equal(count, 3);
    put_frames(t, out, "a message in three", tako_slice_of(bytes, n), true);
}

static void test_vectors__the_link_stays_as_it_is(void **state)
{
    test_env t;
    tako_buf out;
    sec_mesh mesh;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    put_mesh(&out, "0123456789abcdef");
    put_mesh(&out, "correct horse battery staple 7\r\n");
    (void)sec_mesh_from_secret(tako_slice_str("0123456789abcdef"), &mesh, NULL);
    for (size_t i = 0; i < sizeof grants / sizeof grants[0]; i++)
        put_grant(&t, &out, &mesh, &grants[i]);
    put_proof(&t, &out, &mesh, SEC_DIALLER);
    put_proof(&t, &out, &mesh, SEC_ACCEPTER);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        put_frames(&t, &out, frames[i].name, frames[i].bytes, frames[i].good);
    put_cut(&t, &out);
    vectors_check(&out, "link");
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__the_link_stays_as_it_is),
    };

    return cmocka_run_group_tests_name("mesh/vectors", tests, NULL, NULL);
}
