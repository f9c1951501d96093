// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_number.c mirrors src/query/number.c. */
#include "query/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support_query.h"

static void test_number__reads_what_is_one(void **state)
{
    static const struct {
        const char *text;
        bool fine, whole;
        int64_t integer;
        double real;
    } rows[] = {
        { "0", true, true, 0, 0 },
        { "-17", true, true, -17, -17 },
        { "+17", true, true, 17, 17 },
        { "007", true, true, 7, 7 },
        { "9223372036854775807", true, true, INT64_MAX, 9223372036854775807.0 },
        { "-9223372036854775808", true, true, INT64_MIN,
          -9223372036854775808.0 },
        { "9223372036854775808", true, false, 0, 9223372036854775808.0 },
        { "18446744073709551617", true, false, 0, 18446744073709551617.0 },
        { "1.5", true, false, 0, 1.5 },
        { ".5", true, false, 0, 0.5 },
        { "5.", true, false, 0, 5 },
        { "1e3", true, false, 0, 1000 },
        { "1E-2", true, false, 0, 0.01 },
        { "0.1e+1", true, false, 0, 1 },
        { "1e-999999999999", true, false, 0, 0 },
        { "1e999", false, false, 0, 0 },
        { "", false, false, 0, 0 },
        { "-", false, false, 0, 0 },
        { ".", false, false, 0, 0 },
        { "1e", false, false, 0, 0 },
        { "1e+", false, false, 0, 0 },
        { "1.2.3", false, false, 0, 0 },
        { "--1", false, false, 0, 0 },
        { "1 ", false, false, 0, 0 },
        { "0x1", false, false, 0, 0 },
        { "inf", false, false, 0, 0 },
        { "1,5", false, false, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        number_text n;
        bool fine = number_parse(tako_slice_str(rows[i].text), &n);

        if (fine != rows[i].fine ||
            (fine && (n.whole != rows[i].whole || n.real != rows[i].real ||
                      (n.whole && n.integer != rows[i].integer))))
            fail_msg("%s", rows[i].text);
    }
}

/* The C library rounds correctly, and is asked in the C locale. */
static void test_number__is_the_nearest(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(7));
    for (int i = 0; i < 200000; i++) {
        char text[80];
        uint64_t r[3];
        number_text n;

        t.env.random(t.env.ctx, r, sizeof r);
        (void)snprintf(text, sizeof text, "%s%llu.%llue%d",
                       (r[0] & 1) != 0 ? "-" : "",
                       (unsigned long long)(r[1] >> (r[0] >> 8 & 63)),
                       (unsigned long long)(r[2] >> (r[0] >> 16 & 63)),
                       (int)(r[0] >> 32 & 511) - 256);
        if (!number_parse(tako_slice_str(text), &n) ||
            n.real != strtod(text, NULL))
            fail_msg("%s", text);
    }
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number__reads_what_is_one),
        cmocka_unit_test(test_number__is_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
