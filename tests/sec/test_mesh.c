// SPDX-License-Identifier: Apache-2.0
/* tests/sec/test_mesh.c mirrors src/sec/mesh.c. */
#include "support/test_env.h"

#include <stdio.h>
#include <string.h>

#include "sec/sec.h"

static sec_mesh of(const char *secret)
{
    sec_mesh m;

    assert_int_equal(sec_mesh_from_secret(tako_slice_str(secret), &m, NULL),
                     TAKO_OK);
    return m;
}

static void test_mesh__the_newline_of_a_file_does_not_count(void **state)
{
    sec_mesh a = of("0123456789abcdef"), b = of("0123456789abcdef\r\n \t\n");
    sec_mesh c = of(" 0123456789abcdef"), d = of("0123456789abcdeg");

    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(a.id, c.id, 16);
    assert_memory_not_equal(a.id, d.id, 16);
    assert_true(a.can_issue);
}

/* Frozen: a change here would cut every existing mesh in two. The values were
 * computed with Python's hashlib and cryptography. */
static void test_mesh__the_derivation_never_changes(void **state)
{
    sec_mesh m = of("0123456789abcdef");
    char hex[65] = "";

    (void)state;
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", m.id[i]);
    assert_string_equal(hex, "e72004d99a33a74960481a07fe350807");
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", m.authority_public[i]);
    assert_string_equal(hex, "8f1fbd319f4e9aec494613641ad88d36"
                             "6ac199e30ef9c4292531fe761e2e3148");
}

static void test_mesh__too_short_a_secret_is_refused(void **state)
{
    sec_mesh m;
    tako_errbuf e = { "" };

    (void)state;
    assert_int_equal(
        sec_mesh_from_secret(tako_slice_str("0123456789abcde\n\n"), &m, &e),
        TAKO_INVALID);
    assert_non_null(strstr(e.text, "16"));
    assert_int_equal(sec_mesh_from_secret(TAKO_SLICE_NONE, &m, NULL),
                     TAKO_INVALID);
}

static void test_mesh__of_a_public_key_has_the_id_and_cannot_issue(void **state)
{
    test_env t;
    sec_mesh full = of("0123456789abcdef"), half;
    sec_claims c = { .subject = tako_slice_str("a"), .expires_ms = UINT64_MAX };
    tako_buf b;

    (void)state;
    test_env_init(&t, 1);
    b = tako_buf_on(&t.env);
    sec_mesh_from_public(full.authority_public, &half);
    assert_memory_equal(full.id, half.id, 16);
    assert_int_equal(sec_grant_issue(&half, &c, &b, NULL), TAKO_DENIED);
    assert_int_equal(b.len, 0);
    assert_int_equal(sec_grant_issue(&full, &c, &b, NULL), TAKO_OK);
    assert_int_equal(sec_grant_check(&half, tako_buf_slice(&b), 0, &c, NULL),
                     TAKO_OK);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh__the_newline_of_a_file_does_not_count),
        cmocka_unit_test(test_mesh__the_derivation_never_changes),
        cmocka_unit_test(test_mesh__too_short_a_secret_is_refused),
        cmocka_unit_test(
            test_mesh__of_a_public_key_has_the_id_and_cannot_issue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
