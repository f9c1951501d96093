// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_date__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* date_add, date_sub: as the argument was written */
        { "date_add('2024-01-31', 1, 'month')", "\"2024-02-29\"" },
        { "date_add('2024-01-31', -2, 'months')", "\"2023-11-30\"" },
        { "date_add('2024-02-29', 1, 'year')", "\"2025-02-28\"" },
        { "date_add('2024-02-29T10:00:00+02:00', 3, 'day')",
          "\"2024-03-03T10:00:00+02:00\"" },
        { "date_add('2024-01-01', 90, 'minute')", "\"2024-01-01T01:30:00\"" },
        { "date_add('2024-01-01 10:00', 1, 'second')",
          "\"2024-01-01 10:00:01\"" },
        { "date_add('2024-01-01', '1h30m')", "\"2024-01-01T01:30:00\"" },
        { "date_add('2024-01-01', 'P2D')", "\"2024-01-03\"" },
        { "date_add(0, 1, 'day')", "86400000" },
        { "date_add(0.7, 1, 'millisecond')", "1" },
        { "date_add(0, 250)", "250" },
        { "date_sub('2024-03-31', 1, 'month')", "\"2024-02-29\"" },
        { "date_sub(0, '1s')", "-1000" },
        { "date_sub('2024-01-01', 1, 'century')", "\"1924-01-01\"" },
        { "date_add('9999-12-31', 1, 'day')", "" },
        { "date_add('2024-01-01', 9223372036854775807, 'week')", "" },
        { "date_sub('2024-01-01', 0 - 9223372036854775807 - 1, 'day')", "" },
        { "date_add('2024-01-01', 1, 'fortnight')", "" },
        { "date_add('2024-01-01', 'one', 'day')", "" },
        { "date_add('2024-01-01', true)", "" },
        { "date_add(s, 1, 'day')", "" },
        { "date_add(null, 1, 'day')", "" },
        { "date_add(nothing, 1, 'day')", "" },
        { "date_add('2024-01-01', 1, 2)", "" },
        /* date_diff */
        { "date_diff('2024-03-01', '2024-02-01', 'day')", "29" },
        { "date_diff('2024-02-01', '2024-03-01', 'day')", "-29" },
        { "date_diff('2024-03-30', '2024-01-31', 'month')", "1" },
        { "date_diff('2024-03-31', '2024-01-31', 'months')", "2" },
        { "date_diff('2024-02-28', '2023-03-01', 'year')", "0" },
        { "date_diff('2024-01-01T12:00:00Z', '2024-01-01T12:00:00+01:00')",
          "3600000" },
        { "date_diff(86400000, '1970-01-01', 'hour')", "24" },
        { "date_diff('2024', 0, 'day')", "" },
        /* date_part */
        { "date_part('2024-07-14T15:16:17.018Z', 'quarter')", "3" },
        { "date_part('2024-07-14T23:00:00Z', 'day', '+02:00')", "15" },
        { "date_part(0, 'dow')", "4" },
        { "date_part(0, 'hour', '-05:00')", "19" },
        { "date_part(0, 'hour', 'America/New_York')", "" },
        { "date_part(0, 1)", "" },
        /* date_trunc */
        { "date_trunc('2024-07-14T15:16:17.018Z', 'hour')",
          "\"2024-07-14T15:00:00.000Z\"" },
        { "date_trunc('2024-07-14', 'week')", "\"2024-07-08\"" },
        { "date_trunc('2024-07-14', 'quarter')", "\"2024-07-01\"" },
        { "date_trunc('2024-07-14', 'decade')", "\"2020-01-01\"" },
        { "date_trunc(90061001, 'day')", "86400000" },
        { "date_trunc('2024-07-14T23:00:00Z', 'day', '+02:00')",
          "\"2024-07-15T00:00:00+02:00\"" },
        { "date_trunc(82800000, 'day', '+02:00')", "79200000" },
        { "date_trunc('2024-07-14', 'age')", "" },
        /* date_format */
        { "date_format('2024-07-14T15:16:17.018Z', '%d.%m.%Y %H:%M')",
          "\"14.07.2024 15:16\"" },
        { "date_format(0, 'YYYY-MM-DD')", "\"1970-01-01\"" },
        { "date_format(0, '%H:%M %Z', '+05:30')", "\"05:30 +05:30\"" },
        { "date_format(0, '%!')", "" },
        { "date_format(0, '')", "\"\"" },
        { "date_format(0, 1)", "" },
        /* date_cast */
        { "date_cast(1700000000123)", "\"2023-11-14T22:13:20.123Z\"" },
        { "date_cast('2024-01-01')", "\"2024-01-01T00:00:00.000Z\"" },
        { "date_cast('2024-01-01T00:00:00.5Z', 'number')", "1704067200500" },
        { "date_cast(-1, 'seconds')", "-1" },
        { "date_cast(1700000000123, 'Date')", "\"2023-11-14\"" },
        { "date_cast(1700000000123, 'datetime', '+01:00')",
          "\"2023-11-14T23:13:20+01:00\"" },
        { "date_cast(1700000000123, 'date', '+02:00')", "\"2023-11-15\"" },
        { "date_cast(1700000000123, 'moon')", "" },
        { "date_cast(1700000000123, 'date', 'CET')", "" },
        { "date_cast(1e300)", "" },
        { "date_cast('yesterday')", "" },
        /* date_range */
        { "date_range('2024-01-31', '2024-05-01', 'month')",
          "[\"2024-01-31\",\"2024-02-29\",\"2024-03-31\",\"2024-04-30\"]" },
        { "date_range(0, 10, 'millisecond', 4)", "[0,4,8]" },
        { "date_range(10, 0, 'millisecond', -4)", "[10,6,2]" },
        { "date_range(0, 10, 'millisecond', -4)", "[]" },
        { "date_range(0, 0, 'day')", "[]" },
        { "date_range('9999-12-30', '9999-12-31T12:00', 'day')",
          "[\"9999-12-30\",\"9999-12-31\"]" },
        { "date_range(0, 10, 'day', 0)", "" },
        { "date_range(0, 10, 'day', 'x')", "" },
        /* tz_offset */
        { "tz_offset('UTC')", "0" },
        { "tz_offset('-03:30')", "-12600" },
        { "tz_offset('2024-01-01T00:00:00+02:00')", "7200" },
        { "tz_offset('Europe/Paris')", "" },
        { "tz_offset(5)", "" },
        /* durations */
        { "duration_cast('1h30m')", "5400000" },
        { "duration_cast('1h30m', 'hours')", "1.5" },
        { "duration_cast('P1D', 'minute')", "1440" },
        { "duration_cast(90000, 'second')", "90" },
        { "duration_cast('1h', 'month')", "" },
        { "duration_cast('soon')", "" },
        { "duration_format(93784005)", "\"1d2h3m4.005s\"" },
        { "duration_format('90m', 'ISO')", "\"PT1H30M\"" },
        { "duration_format(93784005, 'clock')", "\"26:03:04.005\"" },
        { "duration_format(1, 'long')", "" },
        { "duration_format(1, 2)", "" },
        { "duration_format([])", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

static void test_fn_date__a_range_is_bounded(void **state)
{
    expect(*state, "SELECT array_length(date_range(0, 100000, 'millisecond'))",
           NULL,
           "{\"array_length(date_range(0, 100000, 'millisecond'))\":100000}");
    expect(*state, "SELECT date_range(0, 100001, 'millisecond')", NULL,
           "ERROR TAKO_LIMIT: string or blob too big");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_date__values_are_those_of_the_table),
        IN_DB(test_fn_date__a_range_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
