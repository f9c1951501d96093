// SPDX-License-Identifier: Apache-2.0
/* DATE -- moments and the calendar, pure: the proleptic Gregorian calendar of
 * ISO 8601, years 0000 to 9999, to the millisecond, without leap seconds.
 * Time zones are fixed offsets: rules of named zones change with the system
 * that has them, and a query must give the same everywhere. */
#ifndef TAKO_QUERY_DATE_H
#define TAKO_QUERY_DATE_H

#include "base/buf.h"

#define DATE_TEXT_BYTES 40u /* of date_print, with its NUL */

/* How a date was written, so that a result is written the same way. */
enum {
    DATE_NUMBER = 1, /* milliseconds since 1970; nothing below applies */
    DATE_TIME = 2,   /* hours and minutes */
    DATE_SECONDS = 4,
    DATE_FRACTION = 8,
    DATE_ZONE = 16,
    DATE_SPACE = 32, /* ' ' before the time, not 'T' */
};

typedef struct date {
    int64_t ms; /* since 1970-01-01T00:00:00Z */
    int offset; /* minutes east of UTC */
    unsigned shape;
} date;

/* Ascending by length reversed: from DATE_WEEK on a fixed time. */
typedef enum date_unit {
    DATE_MILLENNIUM,
    DATE_CENTURY,
    DATE_DECADE,
    DATE_YEAR,
    DATE_QUARTER,
    DATE_MONTH,
    DATE_WEEK,
    DATE_DAY,
    DATE_HOUR,
    DATE_MINUTE,
    DATE_SECOND,
    DATE_MILLISECOND,
} date_unit;

/* A date as the calendar and the clock at its offset show it. */
typedef struct date_civil {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second, ms;
    int weekday; /* 0 is Sunday */
    int yearday; /* from 1 */
} date_civil;

/* Of a date in the proleptic Gregorian calendar since 1970-01-01; month from
 * 1 to 12, day any number. */
int64_t date_days(int64_t year, int month, int64_t day);
int date_month_days(int64_t year, int month);
date_civil date_civil_of(const date *d);
/* False outside the years 0000 to 9999, in UTC or at the offset. */
bool date_in_range(const date *d);

/* "year", "Years", ...: in any case, singular or plural. */
bool date_unit_of(tako_slice name, date_unit *out);
/* Milliseconds of a unit of fixed length, else 0. */
int64_t date_unit_ms(date_unit u);

/* Moves d by n units; a day that the month lacks becomes its last. A date
 * without a time gets one when it is moved by less than days. False when the
 * result is out of range, and d is as it was. */
bool date_add(date *d, int64_t n, date_unit u);
bool date_add_ms(date *d, int64_t ms);
/* Whole units from b to a, towards zero: b moved by them is not beyond a. */
int64_t date_diff(const date *a, const date *b, date_unit u);
/* The beginning of the unit that d is in, at its offset; weeks begin on
 * Monday. False when that is before the year 0000. */
bool date_trunc(date *d, date_unit u);
/* A named part of d; false when there is no such part. */
bool date_part(const date *d, tako_slice name, int64_t *out);
/* ISO 8601 week and the year it is in. */
int date_iso_week(const date_civil *c, int64_t *year);

/* ---- text (date_text.c) --------------------------------------------------- */

/* YYYY-MM-DD, or that and a time: 'T' or ' ', hh:mm[:ss[.fraction]], then
 * nothing (UTC), Z or an offset. Digits of a fraction beyond milliseconds are
 * cut. False for anything else. */
bool date_parse(tako_slice text, date *out);
/* Z, UTC, GMT, +hh, +hhmm, +hh:mm (or -). Minutes. */
bool date_parse_zone(tako_slice text, int *offset);
/* As d.shape says; d is in range. Returns the length. */
size_t date_print(const date *d, char out[DATE_TEXT_BYTES]);
/* By a format with % or, without any, with YYYY MM DD hh mm ss sss TZD.
 * False for an unknown %. */
bool date_format(const date *d, tako_slice format, tako_buf *out);

#endif /* TAKO_QUERY_DATE_H */
