// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_duration.c mirrors src/query/duration.c. */
#include "support/test_env.h"

#include "query/duration.h"

static void test_duration__texts_are_those_of_the_table(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *brief, *iso, *clock;
    } rows[] = {
        { "0s", 0, "0s", "PT0S", "00:00:00" },
        { "1h30m", 5400000, "1h30m", "PT1H30M", "01:30:00" },
        { "90m", 5400000, "1h30m", "PT1H30M", "01:30:00" },
        { "1.5h", 5400000, "1h30m", "PT1H30M", "01:30:00" },
        { "-2m5.5s", -125500, "-2m5.5s", "-PT2M5.5S", "-00:02:05.500" },
        { "1w2d3h4m5s6ms", 788645006, "9d3h4m5.006s", "P9DT3H4M5.006S",
          "219:04:05.006" },
        { "P1W2DT3H", 788400000, "9d3h", "P9DT3H", "219:00:00" },
        { "P1D", 86400000, "1d", "P1D", "24:00:00" },
        { "-PT0.25S", -250, "-0.25s", "-PT0.25S", "-00:00:00.250" },
        { "PT36H", 129600000, "1d12h", "P1DT12H", "36:00:00" },
        { "+5ms", 5, "0.005s", "PT0.005S", "00:00:00.005" },
        { "0.123456789123s", 123, "0.123s", "PT0.123S", "00:00:00.123" },
    };
    char text[DURATION_TEXT_BYTES];
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!duration_parse(tako_slice_str(rows[i].text), &ms) ||
            ms != rows[i].ms)
            fail_msg("%s is %lld", rows[i].text, (long long)ms);
        assert_int_equal(duration_print(ms, DURATION_SHORT, text),
                         strlen(rows[i].brief));
        assert_string_equal(text, rows[i].brief);
        (void)duration_print(ms, DURATION_ISO, text);
        assert_string_equal(text, rows[i].iso);
        (void)duration_print(ms, DURATION_CLOCK, text);
        assert_string_equal(text, rows[i].clock);
    }
}

static void test_duration__refuses_what_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        "-",
        "5",
        "h",
        "1x",
        "1h ",
        " 1h",
        "1.h",
        ".5h",
        "1h30",
        "P",
        "PT",
        "P1",
        "P1M",
        "P1Y",
        "P1DT",
        "PT1D",
        "P1H",
        "PT1M1H",
        "P1D1D",
        "1e3s",
        "--1s",
        "1234567890123456789ms",
        "99999999999999999w",
        "P1DTT1H",
        "1M",
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (duration_parse(tako_slice_str(rows[i]), &ms))
            fail_msg("%s", rows[i]);
    }
}

static void test_duration__what_is_printed_reads_the_same(void **state)
{
    test_env t;
    char text[DURATION_TEXT_BYTES];

    (void)state;
    test_env_init(&t, test_seed(13));
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)(test_random(&t) >> test_below(&t, 64)), back;

        if (test_below(&t, 2) == 0)
            ms = -ms;
        for (int style = DURATION_SHORT; style <= DURATION_ISO; style++) {
            size_t n = duration_print(ms, (duration_style)style, text);

            assert_int_equal(n, strlen(text));
            if (ms == INT64_MIN)
                continue;
            assert_true(duration_parse(tako_slice_str(text), &back));
            assert_int_equal(back, ms);
        }
        assert_true(duration_print(ms, DURATION_CLOCK, text) <
                    DURATION_TEXT_BYTES);
    }
    (void)duration_print(INT64_MIN, DURATION_SHORT, text);
    assert_string_equal(text, "-106751991167d7h12m55.808s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration__texts_are_those_of_the_table),
        cmocka_unit_test(test_duration__refuses_what_is_none),
        cmocka_unit_test(test_duration__what_is_printed_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
