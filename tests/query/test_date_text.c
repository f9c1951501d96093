// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_date_text.c mirrors src/query/date_text.c. */
#include "support/test_env.h"

#include "query/date.h"

static void test_date_text__what_is_read_is_written_again(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *printed; /* NULL: the same */
    } rows[] = {
        { "1970-01-01", 0, NULL },
        { "0000-01-01T00:00:00Z", -62167219200000, NULL },
        { "9999-12-31T23:59:59.999Z", 253402300799999, NULL },
        { "2024-02-29", 1709164800000, NULL },
        { "2024-02-29T12:30", 1709209800000, NULL },
        { "2024-02-29 12:30:15", 1709209815000, NULL },
        { "2024-02-29T12:30:15.5Z", 1709209815500, "2024-02-29T12:30:15.500Z" },
        { "2024-02-29t12:30:15,123456789z", 1709209815123,
          "2024-02-29T12:30:15.123Z" },
        { "2024-02-29T12:30:15+02:00", 1709202615000, NULL },
        { "2024-02-29T12:30:15-0330", 1709222415000,
          "2024-02-29T12:30:15-03:30" },
        { "2024-02-29T12:30+05", 1709191800000, "2024-02-29T12:30+05:00" },
        { "2024-02-29T12:30+00:00", 1709209800000, "2024-02-29T12:30Z" },
        { "1969-12-31T23:59:59.999Z", -1, NULL },
    };
    char text[DATE_TEXT_BYTES];
    date d;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!date_parse(tako_slice_str(rows[i].text), &d) || d.ms != rows[i].ms)
            fail_msg("%s", rows[i].text);
        assert_int_equal(
            date_print(&d, text),
            strlen(rows[i].printed != NULL ? rows[i].printed : rows[i].text));
        assert_string_equal(text, rows[i].printed != NULL ? rows[i].printed
                                                          : rows[i].text);
    }
}

static void test_date_text__refuses_what_is_no_date(void **state)
{
    static const char *const rows[] = {
        "",
        "2024",
        "2024-1-1",
        "2024-00-01",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "2023-02-29",
        "1900-02-29",
        "2024-04-31",
        "2024-01-01T",
        "2024-01-01T1",
        "2024-01-01T24:00",
        "2024-01-01T10:60",
        "2024-01-01T10:10:60",
        "2024-01-01T10:10:10.",
        "2024-01-01T10:10:10.1234567890",
        "2024-01-01T10:10:10ZZ",
        "2024-01-01T10:10:10+",
        "2024-01-01T10:10:10+2",
        "2024-01-01T10:10:10+24:00",
        "2024-01-01T10:10:10+10:6",
        "2024-01-01T10:10:10+10:60",
        "2024-01-01X10:10",
        "2024-01-01Z",
        "2024-01-01 ",
        " 2024-01-01",
        "12024-01-01",
        "-024-01-01",
        "0000-01-01T00:00+01:00",
        "9999-12-31T23:59-01:00",
    };
    date d;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (date_parse(tako_slice_str(rows[i]), &d))
            fail_msg("%s", rows[i]);
    }
}

static void test_date_text__random_dates_survive(void **state)
{
    test_env t;
    char text[DATE_TEXT_BYTES];

    (void)state;
    test_env_init(&t, test_seed(12));
    for (int i = 0; i < 20000; i++) {
        date d = { 0, (int)test_below(&t, 2879) - 1439,
                   DATE_TIME | DATE_SECONDS | DATE_FRACTION | DATE_ZONE |
                       (test_below(&t, 2) ? DATE_SPACE : 0) };
        date back;

        d.ms = (int64_t)test_below(&t, 315537897600000) - 62135596800000;
        if (!date_in_range(&d))
            continue;
        (void)date_print(&d, text);
        assert_true(date_parse(tako_slice_str(text), &back));
        assert_int_equal(back.ms, d.ms);
        assert_int_equal(back.offset, d.offset);
        assert_int_equal(back.shape, d.shape);
        /* Every text that is cut or changed is refused or a date in range. */
        text[test_below(&t, strlen(text))] ^= (char)(1u << test_below(&t, 7));
        if (date_parse(tako_slice_of(text, test_below(&t, 30)), &back))
            assert_true(date_in_range(&back));
    }
}

static void test_date_text__zones_are_offsets(void **state)
{
    static const struct {
        const char *text;
        int want; /* 9999: none */
    } rows[] = {
        { "Z", 0 },
        { "utc", 0 },
        { "GMT", 0 },
        { "+02:00", 120 },
        { "-0330", -210 },
        { "+14", 840 },
        { "", 9999 },
        { "+", 9999 },
        { "02:00", 9999 },
        { "CET", 9999 },
        { "Europe/Paris", 9999 },
        { "+24:00", 9999 },
        { "Zulu", 9999 },
        { "+02:00:00", 9999 },
    };
    int offset;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        offset = 9999;
        if (!date_parse_zone(tako_slice_str(rows[i].text), &offset))
            offset = 9999;
        if (offset != rows[i].want)
            fail_msg("%s is %d", rows[i].text, offset);
    }
}

static void test_date_text__formats_are_those_of_the_table(void **state)
{
    static const struct {
        const char *format, *want; /* "": refused */
    } rows[] = {
        { "%Y-%m-%dT%H:%M:%S.%L%:z", "2024-03-05T16:07:08.009+01:30" },
        { "%F %T %z %Z", "2024-03-05 16:07:08 +0130 +01:30" },
        { "%A %a %B %b %e %j", "Tuesday Tue March Mar  5 065" },
        { "%I:%M %p, %y, %D %R", "04:07 PM, 24, 03/05/24 16:07" },
        { "%G-W%V-%u %w Q%q %s%%", "2024-W10-2 2 Q1 1709649428%" },
        { "%", "" },
        { "100% x", "" },
        { "%!", "" },
        { "YYYY-MM-DD hh:mm:ss.sssTZD", "2024-03-05 16:07:08.009+01:30" },
        { "DD/MM/YY HH.mm", "05/03/24 16.07" },
        { "\xC3\xA4", "\xC3\xA4" },
    };
    test_env t;
    tako_buf out;
    date d;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    assert_true(
        date_parse(tako_slice_str("2024-03-05T16:07:08.009+01:30"), &d));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool fine;

        tako_buf_reset(&out);
        fine = date_format(&d, tako_slice_str(rows[i].format), &out);
        if (fine != (rows[i].want[0] != '\0') ||
            (fine && strcmp(tako_buf_cstr(&out), rows[i].want) != 0))
            fail_msg("%s gives %s", rows[i].format, tako_buf_cstr(&out));
    }
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_text__what_is_read_is_written_again),
        cmocka_unit_test(test_date_text__refuses_what_is_no_date),
        cmocka_unit_test(test_date_text__random_dates_survive),
        cmocka_unit_test(test_date_text__zones_are_offsets),
        cmocka_unit_test(test_date_text__formats_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
