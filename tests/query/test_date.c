// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_date.c mirrors src/query/date.c: the calendar against one
 * that counts day by day, and the laws of its arithmetic. */
#include "support/test_env.h"

#include "query/date.h"

#define DAY_MS INT64_C(86400000)

static bool leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_of(int year, int month)
{
    static const int days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    return days[month - 1] + (month == 2 && leap(year));
}

/* Every day of ten thousand years, counted on the fingers. 0000-01-01 was a
 * Saturday and 719528 days before 1970. */
static void test_date__every_day_is_where_counting_puts_it(void **state)
{
    int64_t day = -719528;
    int weekday = 6;

    (void)state;
    for (int year = 0; year <= 9999; year++) {
        int yearday = 0;

        for (int month = 1; month <= 12; month++) {
            assert_int_equal(date_month_days(year, month),
                             days_of(year, month));
            for (int d = 1; d <= days_of(year, month); d++, day++) {
                date at = { day * DAY_MS + 86399999, 0, 0 };
                date_civil c = date_civil_of(&at);

                yearday++;
                if (date_days(year, month, d) != day || c.year != year ||
                    c.month != month || c.day != d || c.hour != 23 ||
                    c.minute != 59 || c.second != 59 || c.ms != 999 ||
                    c.weekday != weekday || c.yearday != yearday ||
                    !date_in_range(&at))
                    fail_msg("%04d-%02d-%02d", year, month, d);
                weekday = (weekday + 1) % 7;
            }
        }
    }
    assert_false(date_in_range(&(date){ day * DAY_MS, 0, 0 }));
    assert_false(date_in_range(&(date){ day * DAY_MS - 1, 1, 0 }));
    assert_true(date_in_range(&(date){ day * DAY_MS - 1, -1, 0 }));
}

/* The week with the year's first Thursday is its first: by searching. */
static void test_date__iso_weeks_begin_on_monday(void **state)
{
    (void)state;
    for (int year = 1; year <= 2500; year++) {
        int64_t first = date_days(year, 1, 1), week_year, monday;
        int week = 1;

        while ((first + 4 + 7000000) % 7 != 4) /* to the first Thursday */
            first++;
        monday = first - 3;
        for (int64_t day = monday; day < monday + 7 * 52; day++) {
            date at = { day * DAY_MS, 0, 0 };
            date_civil c = date_civil_of(&at);

            week = (int)((day - monday) / 7) + 1;
            assert_int_equal(date_iso_week(&c, &week_year), week);
            assert_int_equal(week_year, year);
        }
    }
}

static date random_date(test_env *t)
{
    date d = { 0, (int)test_below(t, 2879) - 1439, DATE_NUMBER };

    do {
        d.ms = (int64_t)test_below(t, 315537897600000) - 62135596800000;
    } while (!date_in_range(&d));
    if (test_below(t, 2) == 0) /* ends of months, often */
        (void)date_trunc(&d, DATE_MONTH);
    if (test_below(t, 2) == 0 && d.ms > -62135596800000 + DAY_MS)
        d.ms -= (int64_t)test_below(t, 2) * DAY_MS;
    return d;
}

/* b + (a - b) is not beyond a, and one more is; the same with dates turned. */
static void check_diff(const date *a, const date *b, date_unit u)
{
    int64_t n = date_diff(a, b, u);
    date low = *b, high = *b;

    assert_int_equal(date_diff(b, a, u), -n);
    if (a->ms < b->ms)
        return;
    assert_true(n >= 0);
    assert_true(date_add(&low, n, u));
    assert_true(low.ms <= a->ms);
    if (date_add(&high, n + 1, u))
        assert_true(high.ms > a->ms);
}

static void check_trunc(const date *d, date_unit u)
{
    date low = *d, again, next;

    if (!date_trunc(&low, u))
        return;
    again = low;
    assert_true(low.ms <= d->ms);
    assert_true(date_trunc(&again, u) && again.ms == low.ms);
    next = low;
    if (date_add(&next, 1, u))
        assert_true(next.ms > d->ms);
}

/* Adding months one at a time from the first of a month is adding all. */
static void check_months(const date *d, int64_t n)
{
    date at = *d, all;

    if (!date_trunc(&at, DATE_MONTH))
        return;
    all = at;
    if (!date_add(&all, n, DATE_MONTH))
        return;
    for (int64_t i = 0; i < n; i++)
        assert_true(date_add(&at, 1, DATE_MONTH));
    assert_int_equal(at.ms, all.ms);
    assert_true(date_add(&at, -n, DATE_MONTH));
    assert_true(date_trunc(&all, DATE_MONTH));
}

static void test_date__arithmetic_keeps_its_laws(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(11));
    for (int i = 0; i < 20000; i++) {
        date a = random_date(&t), b = random_date(&t);
        date_unit u = (date_unit)test_below(&t, 12);

        if (test_below(&t, 2) == 0) /* near each other */
            b.ms = a.ms - (int64_t)test_below(&t, 400 * (uint64_t)DAY_MS);
        if (!date_in_range(&b))
            continue;
        check_diff(&a, &b, u);
        check_trunc(&a, u);
        check_months(&a, (int64_t)test_below(&t, 40));
    }
}

static void test_date__nothing_leaves_the_range(void **state)
{
    static const int64_t far[] = { INT64_MAX, INT64_MIN, INT64_MAX / 7,
                                   INT64_C(1) << 40 };
    date d = { 0, 0, DATE_NUMBER };

    (void)state;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        for (int u = DATE_MILLENNIUM; u <= DATE_MILLISECOND; u++) {
            date to = d;

            if (date_add(&to, far[i], (date_unit)u))
                assert_true(date_in_range(&to));
            else
                assert_int_equal(to.ms, d.ms);
        }
    }
}

static void test_date__parts_are_those_of_the_table(void **state)
{
    static const struct {
        const char *name;
        int64_t want;
    } rows[] = {
        { "millennium", 3 },
        { "Century", 21 },
        { "decades", 202 },
        { "YEAR", 2024 },
        { "quarter", 4 },
        { "months", 12 },
        { "week", 1 },
        { "iso_year", 2025 },
        { "day", 30 },
        { "day_of_year", 365 },
        { "dow", 1 },
        { "iso_dow", 1 },
        { "hour", 23 },
        { "minute", 59 },
        { "second", 58 },
        { "millisecond", 7 },
        { "timezone", -16200 },
        { "timezone_hour", -4 },
        { "timezone_minute", -30 },
        { "epoch", 1735619398 },
    };
    date d;
    int64_t n;

    (void)state;
    assert_true(
        date_parse(tako_slice_str("2024-12-30T23:59:58.007-04:30"), &d));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(date_part(&d, tako_slice_str(rows[i].name), &n));
        if (n != rows[i].want)
            fail_msg("%s is %lld", rows[i].name, (long long)n);
    }
    assert_false(date_part(&d, tako_slice_str("yea"), &n));
    assert_false(date_part(&d, TAKO_SLICE_NONE, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date__every_day_is_where_counting_puts_it),
        cmocka_unit_test(test_date__iso_weeks_begin_on_monday),
        cmocka_unit_test(test_date__arithmetic_keeps_its_laws),
        cmocka_unit_test(test_date__nothing_leaves_the_range),
        cmocka_unit_test(test_date__parts_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
