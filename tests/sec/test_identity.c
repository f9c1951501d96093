// SPDX-License-Identifier: Apache-2.0
/* tests/sec/test_identity.c mirrors src/sec/identity.c. */
#include "support/test_env.h"

#include <stdio.h>
#include <string.h>

#include "sec/sec.h"

/* RFC 8032 section 7.1, tests 1 and 2: seed and public key. */
static void test_identity__public_keys_are_those_of_the_rfc(void **state)
{
    static const struct {
        const char *seed, *public_key;
    } rows[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sec_identity id;
        uint8_t seed[32], back[32];
        char hex[65] = "";

        for (size_t j = 0; j < 32; j++) {
            unsigned byte;
            assert_int_equal(sscanf(rows[i].seed + 2 * j, "%2x", &byte), 1);
            seed[j] = (uint8_t)byte;
        }
        sec_identity_from_seed(seed, &id);
        for (size_t j = 0; j < 32; j++)
            (void)snprintf(hex + 2 * j, 3, "%02x", id.public_key[j]);
        assert_string_equal(hex, rows[i].public_key);
        sec_identity_seed(&id, back);
        assert_memory_equal(seed, back, 32);
    }
}

static void test_identity__new_ones_differ_and_come_from_env(void **state)
{
    test_env one, two;
    sec_identity a, b, c;

    (void)state;
    test_env_init(&one, 1);
    test_env_init(&two, 1);
    sec_identity_new(&one.env, &a);
    sec_identity_new(&one.env, &b);
    sec_identity_new(&two.env, &c);
    assert_memory_not_equal(a.public_key, b.public_key, 32);
    assert_memory_equal(&a, &c, sizeof a);
}

static void test_identity__wipe_leaves_zeros(void **state)
{
    uint8_t secret[64], zero[64] = { 0 };

    (void)state;
    memset(secret, 7, sizeof secret);
    sec_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zero, sizeof secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity__public_keys_are_those_of_the_rfc),
        cmocka_unit_test(test_identity__new_ones_differ_and_come_from_env),
        cmocka_unit_test(test_identity__wipe_leaves_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
