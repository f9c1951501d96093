// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <math.h>

#include "codec/cbor_float.h"
#include "support_random.h"

/* By the definition in IEEE 754: 5 bits of exponent, 10 of mantissa. */
static double half_by_definition(unsigned half)
{
    int exp = (int)(half >> 10 & 31);
    double mant = half & 1023, v;

    if (exp == 0)
        v = ldexp(mant, -24);
    else
        v = ldexp(mant + 1024, exp - 25);
    return (half & 0x8000) != 0 ? -v : v;
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_cbor_float__every_half_is_itself(void **state)
{
    (void)state;

    for (unsigned half = 0; half < 0x10000; half++) {
        double v = cbor_float_of_half((uint16_t)half);
        uint16_t back = 0;
        uint32_t single = 0;

        if ((half >> 10 & 31) == 31) {
            assert_true((half & 1023) != 0 ? isnan(v) : isinf(v));
            continue;
        }
        assert_true(same(v, half_by_definition(half)));
        assert_true(cbor_float_to_half(v, &back) && back == half);
        assert_true(cbor_float_to_single(v, &single));
        assert_true(same(cbor_float_of_single(single), v));
    }
}

static void test_cbor_float__singles_agree_with_the_machine(void **state)
{
    test_env t;
    (void)state;

    test_env_init(&t, test_seed(30));
    for (unsigned i = 0; i < 2000000; i++) {
        double v = support_random_double(&t);
        uint32_t single;
        uint16_t half;
        float f;
        bool fits;

        /* (float) of a double beyond its range is undefined in C */
        fits = fabs(v) <= 3.4028234663852886e38 && same((double)(float)v, v);
        assert_int_equal(cbor_float_to_single(v, &single), fits);
        if (!fits)
            continue;
        f = (float)v;
        assert_memory_equal(&f, &single, sizeof f);
        assert_true(same(cbor_float_of_single(single), v));
        if (cbor_float_to_half(v, &half))
            assert_true(same(cbor_float_of_half(half), v));
    }
}

static void test_cbor_float__what_no_half_has_is_refused(void **state)
{
    static const double values[] = {
        65505.0, 65520.0,  65536.0,         1e300,
        2049.0,  0.1,      1.0009765625001, 5.9604644775390625e-8 / 2,
        5e-324,  1 / 3.0f, -65536.0,        8.940696716308594e-8,
    };
    uint16_t half;
    (void)state;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_false(cbor_float_to_half(values[i], &half));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cbor_float__every_half_is_itself),
        cmocka_unit_test(test_cbor_float__singles_agree_with_the_machine),
        cmocka_unit_test(test_cbor_float__what_no_half_has_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
