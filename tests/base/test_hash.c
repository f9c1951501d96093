// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>

#include "base/hash.h"

static void assert_hex(const uint8_t *bytes, size_t n, const char *want)
{
    char text[65];

    assert_true(n <= 32);
    for (size_t i = 0; i < n; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, want);
}

/* Computed with an independent implementation (Python's hashlib). */
static void test_hash__blake2b_of_known_texts(void **state)
{
    uint8_t h16[16], h32[32];
    (void)state;

    tako_hash32(TAKO_SLICE_NONE, h32);
    assert_hex(
        h32, 32,
        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    tako_hash32(tako_slice_str("abc"), h32);
    assert_hex(
        h32, 32,
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    tako_hash16(TAKO_SLICE_NONE, h16);
    assert_hex(h16, 16, "cae66941d9efbd404e4d88758ea67670");
    tako_hash16(tako_slice_str("abc"), h16);
    assert_hex(h16, 16, "cf4ab791c62b8d2b2109c90275287816");
}

/* The vectors of the SipHash paper: key 00..0f, data 00, 01, 02 ... */
static void test_hash__siphash_of_the_paper(void **state)
{
    uint8_t key[16], other[16], data[15];
    (void)state;

    for (uint8_t i = 0; i < 16; i++)
        key[i] = other[15 - i] = i;
    for (uint8_t i = 0; i < 15; i++)
        data[i] = i;
    /* a129ca6149be45e5, bytes of the value in the paper's own order */
    {
        uint64_t v = tako_hash64(key, tako_slice_of(data, sizeof data));
        uint8_t bytes[8];

        memcpy(bytes, &v, sizeof v);
        assert_hex(bytes, 8, "e545be4961ca29a1");
    }
    assert_true(tako_hash64(key, TAKO_SLICE_NONE) !=
                tako_hash64(other, TAKO_SLICE_NONE));
}

static void test_hash__two_slices_are_their_concatenation(void **state)
{
    test_env t;
    uint8_t in[100], one[16], two[16];
    (void)state;

    test_env_init(&t, test_seed(130));
    t.env.random(t.env.ctx, in, sizeof in);
    for (size_t cut = 0; cut <= sizeof in; cut++) {
        tako_hash16(tako_slice_of(in, sizeof in), one);
        tako_hash16_two(tako_slice_of(in, cut),
                        tako_slice_of(in + cut, sizeof in - cut), two);
        assert_memory_equal(one, two, sizeof one);
    }
    tako_hash16(TAKO_SLICE_NONE, one);
    tako_hash16_two(TAKO_SLICE_NONE, TAKO_SLICE_NONE, two);
    assert_memory_equal(one, two, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__blake2b_of_known_texts),
        cmocka_unit_test(test_hash__siphash_of_the_paper),
        cmocka_unit_test(test_hash__two_slices_are_their_concatenation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
