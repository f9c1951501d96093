// SPDX-License-Identifier: Apache-2.0
/* tests/sec/test_auth.c mirrors src/sec/auth.c. */
#include "support/test_env.h"

#include <string.h>

#include "sec/sec.h"

#define NOW 1700000000000u

typedef struct world {
    test_env t;
    sec_mesh mesh;
    sec_identity id;
    tako_buf grant, message;
    uint8_t exporter[SEC_EXPORTER_BYTES];
} world;

static void begin(world *w)
{
    sec_claims c = { .subject = tako_slice_str("ann"),
                     .issued_ms = NOW,
                     .expires_ms = NOW + 1000000 };

    test_env_init(&w->t, 1);
    assert_int_equal(sec_mesh_from_secret(tako_slice_str("0123456789abcdef"),
                                          &w->mesh, NULL),
                     TAKO_OK);
    sec_identity_new(&w->t.env, &w->id);
    memcpy(c.device, w->id.public_key, 32);
    w->grant = w->message = tako_buf_on(&w->t.env);
    assert_int_equal(sec_grant_issue(&w->mesh, &c, &w->grant, NULL), TAKO_OK);
    memset(w->exporter, 5, sizeof w->exporter);
    assert_int_equal(sec_auth_make(&w->id, tako_buf_slice(&w->grant),
                                   SEC_DIALLER, w->exporter, &w->message),
                     TAKO_OK);
}

static void end(world *w)
{
    tako_buf_fini(&w->grant);
    tako_buf_fini(&w->message);
    test_env_check_empty(&w->t);
}

static tako_err check(world *w, sec_side side, uint64_t wall)
{
    sec_claims c;
    tako_errbuf e = { "" };
    tako_err err = sec_auth_check(&w->mesh, tako_buf_slice(&w->message), side,
                                  w->exporter, wall, &c, &e);

    assert_int_equal(e.text[0] != '\0', err != TAKO_OK);
    if (err == TAKO_OK)
        assert_memory_equal(c.device, w->id.public_key, 32);
    return err;
}

static void test_auth__holds_for_this_side_connection_and_time(void **state)
{
    world w;

    (void)state;
    begin(&w);
    assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_OK);
    assert_int_equal(check(&w, SEC_ACCEPTER, NOW), TAKO_DENIED);
    assert_int_equal(check(&w, SEC_DIALLER, NOW + 2000000), TAKO_DENIED);
    w.exporter[31] ^= 1;
    assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_DENIED);
    end(&w);
}

static void test_auth__a_grant_without_its_key_proves_nothing(void **state)
{
    world w;
    sec_identity thief;

    (void)state;
    begin(&w);
    sec_identity_new(&w.t.env, &thief);
    tako_buf_reset(&w.message);
    assert_int_equal(sec_auth_make(&thief, tako_buf_slice(&w.grant),
                                   SEC_DIALLER, w.exporter, &w.message),
                     TAKO_OK);
    assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_DENIED);
    end(&w);
}

static void test_auth__no_changed_bit_is_accepted(void **state)
{
    world w;

    (void)state;
    begin(&w);
    for (size_t bit = 0; bit < w.message.len * 8; bit++) {
        w.message.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(check(&w, SEC_DIALLER, NOW) != TAKO_OK);
        w.message.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    while (w.message.len > 0) {
        w.message.len--;
        assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_CORRUPT);
    }
    end(&w);
}

static void test_auth__a_newer_version_is_unsupported(void **state)
{
    world w;

    (void)state;
    begin(&w);
    tako_buf_reset(&w.message);
    cbor_put_array(&w.message, 2);
    cbor_put_int(&w.message, 2);
    cbor_put_null(&w.message);
    assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_UNSUPPORTED);
    end(&w);
}

static void test_auth__lengths_are_bounded(void **state)
{
    static uint8_t big[SEC_AUTH_BYTES_MAX + 1];
    world w;

    (void)state;
    begin(&w);
    assert_int_equal(sec_auth_make(&w.id,
                                   tako_slice_of(big, SEC_GRANT_BYTES_MAX + 1),
                                   SEC_DIALLER, w.exporter, &w.message),
                     TAKO_LIMIT);
    tako_buf_reset(&w.message);
    assert_int_equal(sec_auth_make(&w.id,
                                   tako_slice_of(big, SEC_GRANT_BYTES_MAX),
                                   SEC_DIALLER, w.exporter, &w.message),
                     TAKO_OK);
    assert_true(w.message.len <= SEC_AUTH_BYTES_MAX);
    tako_buf_reset(&w.message);
    tako_put_bytes(&w.message, tako_slice_of(big, sizeof big));
    assert_int_equal(check(&w, SEC_DIALLER, NOW), TAKO_LIMIT);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth__holds_for_this_side_connection_and_time),
        cmocka_unit_test(test_auth__a_grant_without_its_key_proves_nothing),
        cmocka_unit_test(test_auth__no_changed_bit_is_accepted),
        cmocka_unit_test(test_auth__a_newer_version_is_unsupported),
        cmocka_unit_test(test_auth__lengths_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
