// SPDX-License-Identifier: Apache-2.0
/* Calendar arithmetic. A year is counted from March, so that the leap day is
 * its last and the days before a month are (153 m + 2) / 5: no tables, no
 * loops, exact for any year. Units from months up move the calendar, weeks
 * and below move the clock. */
#include "query/date.h"

#define DAY_MS         INT64_C(86400000)
#define DAYS_TO_1970   719468 /* from 0000-03-01 */
#define DAYS_IN_400    146097
#define RANGE_FIRST_MS INT64_C(-62167219200000) /* 0000-01-01 */
#define RANGE_LAST_MS  INT64_C(253402300799999)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return a - floor_div(a, b) * b;
}

int64_t date_days(int64_t year, int month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400), of_era = y - era * 400;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;

    return era * DAYS_IN_400 + of_era * 365 + of_era / 4 - of_era / 100 +
           of_year - DAYS_TO_1970;
}

int date_month_days(int64_t year, int month)
{
    return (int)(month == 12 ? 31
                             : date_days(year, month + 1, 1) -
                                   date_days(year, month, 1));
}

static int64_t local_ms(const date *d)
{
    return d->ms + (int64_t)d->offset * 60000;
}

date_civil date_civil_of(const date *d)
{
    int64_t local = local_ms(d);
    int64_t days = floor_div(local, DAY_MS), ms = local - days * DAY_MS;
    int64_t since = days + DAYS_TO_1970, era = floor_div(since, DAYS_IN_400);
    int64_t in_era = since - era * DAYS_IN_400;
    /* Every 4 years a day more, but not every 100, but every 400. */
    int64_t of_era =
        (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (of_era * 365 + of_era / 4 - of_era / 100);
    int64_t m = (5 * in_year + 2) / 153;
    date_civil c;

    c.day = (int)(in_year - (153 * m + 2) / 5 + 1);
    c.month = (int)(m < 10 ? m + 3 : m - 9);
    c.year = era * 400 + of_era + (c.month <= 2);
    c.hour = (int)(ms / 3600000);
    c.minute = (int)(ms / 60000 % 60);
    c.second = (int)(ms / 1000 % 60);
    c.ms = (int)(ms % 1000);
    c.weekday = (int)floor_mod(days + 4, 7); /* 1970 began on a Thursday */
    c.yearday = (int)(days - date_days(c.year, 1, 1) + 1);
    return c;
}

bool date_in_range(const date *d)
{
    int64_t local;

    if (d->ms < RANGE_FIRST_MS || d->ms > RANGE_LAST_MS)
        return false;
    local = local_ms(d);
    return local >= RANGE_FIRST_MS && local <= RANGE_LAST_MS;
}

/* ---- units ------------------------------------------------------------------- */

static bool word_is(tako_slice s, const char *word)
{
    size_t n = strlen(word);

    if (s.len != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = s.ptr[i];

        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)word[i])
            return false;
    }
    return true;
}

bool date_unit_of(tako_slice name, date_unit *out)
{
    static const struct {
        const char *one, *many;
    } names[] = {
        { "millennium", "millennia" }, { "century", "centuries" },
        { "decade", "decades" },       { "year", "years" },
        { "quarter", "quarters" },     { "month", "months" },
        { "week", "weeks" },           { "day", "days" },
        { "hour", "hours" },           { "minute", "minutes" },
        { "second", "seconds" },       { "millisecond", "milliseconds" },
    };

    for (unsigned u = 0; u < sizeof names / sizeof names[0]; u++) {
        if (word_is(name, names[u].one) || word_is(name, names[u].many)) {
            *out = (date_unit)u;
            return true;
        }
    }
    return false;
}

int64_t date_unit_ms(date_unit u)
{
    static const int64_t ms[] = {
        0, 0, 0, 0, 0, 0, 7 * DAY_MS, DAY_MS, 3600000, 60000, 1000, 1,
    };

    return ms[u];
}

static int64_t unit_months(date_unit u)
{
    static const int64_t months[] = { 12000, 1200, 120, 12, 3, 1 };

    return u <= DATE_MONTH ? months[u] : 0;
}

/* ---- arithmetic --------------------------------------------------------------- */

/* d moved by months, without a check of the range; they are few enough. */
static int64_t moved_months(const date *d, int64_t n)
{
    date_civil c = date_civil_of(d);
    int64_t months = c.year * 12 + c.month - 1 + n;
    int64_t year = floor_div(months, 12);
    int month = (int)floor_mod(months, 12) + 1;
    int last = date_month_days(year, month);
    int day = c.day < last ? c.day : last;

    return d->ms +
           (date_days(year, month, day) - date_days(c.year, c.month, c.day)) *
               DAY_MS;
}

static bool move_to(date *d, int64_t ms)
{
    date to = *d;

    to.ms = ms;
    if (!date_in_range(&to))
        return false;
    *d = to;
    return true;
}

bool date_add_ms(date *d, int64_t ms)
{
    int64_t to;

    if (__builtin_add_overflow(d->ms, ms, &to) || !move_to(d, to))
        return false;
    if (!(d->shape & DATE_NUMBER) && ms % DAY_MS != 0)
        d->shape |= DATE_TIME | DATE_SECONDS;
    return true;
}

bool date_add(date *d, int64_t n, date_unit u)
{
    int64_t by;

    if (u <= DATE_MONTH)
        return !__builtin_mul_overflow(n, unit_months(u), &by) &&
               by <= 120000 && by >= -120000 && /* ten millennia */
               move_to(d, moved_months(d, by));
    if (__builtin_mul_overflow(n, date_unit_ms(u), &by) || !date_add_ms(d, by))
        return false;
    if (!(d->shape & DATE_NUMBER) && u > DATE_DAY)
        d->shape |= DATE_TIME | DATE_SECONDS;
    return true;
}

/* Whole months from b to a >= b. */
static int64_t months_between(const date *a, const date *b)
{
    date there = *a;
    date_civil x, y;
    int64_t n;

    there.offset = b->offset;
    x = date_civil_of(&there);
    y = date_civil_of(b);
    n = (x.year - y.year) * 12 + x.month - y.month;
    return moved_months(b, n) > a->ms ? n - 1 : n;
}

int64_t date_diff(const date *a, const date *b, date_unit u)
{
    if (u > DATE_MONTH)
        return (a->ms - b->ms) / date_unit_ms(u);
    if (a->ms < b->ms)
        return -date_diff(b, a, u);
    return months_between(a, b) / unit_months(u);
}

bool date_trunc(date *d, date_unit u)
{
    date_civil c = date_civil_of(d);
    int64_t back = local_ms(d), unit = date_unit_ms(u);
    int month = 1;

    if (u == DATE_WEEK) {
        back = floor_mod(back, DAY_MS) + (c.weekday + 6) % 7 * DAY_MS;
    } else if (u > DATE_WEEK) {
        back = floor_mod(back, unit);
    } else {
        if (u == DATE_MONTH)
            month = c.month;
        else if (u == DATE_QUARTER)
            month = (c.month - 1) / 3 * 3 + 1;
        else
            c.year -= floor_mod(c.year, unit_months(u) / 12);
        back -= date_days(c.year, month, 1) * DAY_MS;
    }
    return move_to(d, d->ms - back);
}

/* ---- parts --------------------------------------------------------------------- */

int date_iso_week(const date_civil *c, int64_t *year)
{
    /* The week belongs to the year that its Thursday is in. */
    int64_t monday_to = (c->weekday + 6) % 7;
    int64_t thursday =
        date_days(c->year, 1, 1) + c->yearday - 1 - monday_to + 3;
    date t = { thursday * DAY_MS, 0, 0 };
    date_civil of = date_civil_of(&t);

    *year = of.year;
    return (of.yearday - 1) / 7 + 1;
}

static int64_t unit_part(const date_civil *c, date_unit u)
{
    int64_t year;

    switch (u) {
    case DATE_MILLENNIUM:
        return c->year / 1000 + 1;
    case DATE_CENTURY:
        return c->year / 100 + 1;
    case DATE_DECADE:
        return c->year / 10;
    case DATE_YEAR:
        return c->year;
    case DATE_QUARTER:
        return (c->month - 1) / 3 + 1;
    case DATE_MONTH:
        return c->month;
    case DATE_WEEK:
        return date_iso_week(c, &year);
    case DATE_DAY:
        return c->day;
    case DATE_HOUR:
        return c->hour;
    case DATE_MINUTE:
        return c->minute;
    case DATE_SECOND:
        return c->second;
    case DATE_MILLISECOND:
        return c->ms;
    }
    return 0;
}

bool date_part(const date *d, tako_slice name, int64_t *out)
{
    date_civil c = date_civil_of(d);
    date_unit u;

    if (date_unit_of(name, &u))
        *out = unit_part(&c, u);
    else if (word_is(name, "iso_week"))
        *out = unit_part(&c, DATE_WEEK);
    else if (word_is(name, "iso_year"))
        (void)date_iso_week(&c, out);
    else if (word_is(name, "day_of_year") || word_is(name, "doy"))
        *out = c.yearday;
    else if (word_is(name, "day_of_week") || word_is(name, "dow"))
        *out = c.weekday;
    else if (word_is(name, "iso_dow"))
        *out = (c.weekday + 6) % 7 + 1;
    else if (word_is(name, "epoch"))
        *out = floor_div(d->ms, 1000);
    else if (word_is(name, "timezone"))
        *out = (int64_t)d->offset * 60;
    else if (word_is(name, "timezone_hour"))
        *out = d->offset / 60;
    else if (word_is(name, "timezone_minute"))
        *out = d->offset % 60;
    else
        return false;
    return true;
}
