// SPDX-License-Identifier: Apache-2.0
/* Dates to and from text. Names of months and weekdays are English: a query
 * does not depend on where it runs. */
#include "query/date.h"

#include <stdio.h>

typedef struct cursor {
    const uint8_t *p, *end;
} cursor;

/* Exactly n digits, within the limits. */
static bool take_digits(cursor *c, unsigned n, int low, int high, int *out)
{
    int v = 0;

    if ((size_t)(c->end - c->p) < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (c->p[i] < '0' || c->p[i] > '9')
            return false;
        v = v * 10 + (c->p[i] - '0');
    }
    c->p += n;
    *out = v;
    return v >= low && v <= high;
}

static bool take(cursor *c, char what)
{
    if (c->p == c->end || *c->p != (uint8_t)what)
        return false;
    c->p++;
    return true;
}

/* .1 to .123456789, of which milliseconds are kept. */
static bool take_fraction(cursor *c, int *ms)
{
    int digits = 0;

    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        if (digits < 3)
            *ms = *ms * 10 + (*c->p - '0');
        digits++;
    }
    for (int i = digits; i < 3; i++)
        *ms *= 10;
    return digits >= 1 && digits <= 9;
}

/* +hh, +hhmm or +hh:mm, to the end. */
static bool take_offset(cursor *c, int *offset)
{
    bool west = take(c, '-');
    int h, m = 0;

    if ((!west && !take(c, '+')) || !take_digits(c, 2, 0, 23, &h))
        return false;
    if (c->p < c->end) {
        (void)take(c, ':');
        if (!take_digits(c, 2, 0, 59, &m))
            return false;
    }
    *offset = (west ? -1 : 1) * (h * 60 + m);
    return c->p == c->end;
}

static bool take_zone(cursor *c, int *offset)
{
    if (take(c, 'Z') || take(c, 'z')) {
        *offset = 0;
        return c->p == c->end;
    }
    return take_offset(c, offset);
}

bool date_parse_zone(tako_slice text, int *offset)
{
    cursor c = { text.ptr, text.ptr + text.len };

    if (text.len == 0)
        return false;
    if (text.len == 3) {
        char upper[4] = { 0 };

        for (int i = 0; i < 3; i++)
            upper[i] = (char)(text.ptr[i] & ~0x20);
        if (strcmp(upper, "UTC") == 0 || strcmp(upper, "GMT") == 0) {
            *offset = 0;
            return true;
        }
    }
    return take_zone(&c, offset);
}

static bool take_time(cursor *c, date_civil *civil, unsigned *shape)
{
    *shape |= DATE_TIME;
    if (!take_digits(c, 2, 0, 23, &civil->hour) || !take(c, ':') ||
        !take_digits(c, 2, 0, 59, &civil->minute))
        return false;
    if (!take(c, ':'))
        return true;
    *shape |= DATE_SECONDS;
    if (!take_digits(c, 2, 0, 59, &civil->second))
        return false;
    if (!take(c, '.') && !take(c, ','))
        return true;
    *shape |= DATE_FRACTION;
    return take_fraction(c, &civil->ms);
}

bool date_parse(tako_slice text, date *out)
{
    cursor c = { text.ptr, text.ptr + text.len };
    date_civil civil = { 0 };
    date d = { 0, 0, 0 };
    int year;

    if (text.len < 10 || !take_digits(&c, 4, 0, 9999, &year) ||
        !take(&c, '-') || !take_digits(&c, 2, 1, 12, &civil.month) ||
        !take(&c, '-') || !take_digits(&c, 2, 1, 31, &civil.day) ||
        civil.day > date_month_days(year, civil.month))
        return false;
    if (c.p < c.end) {
        if (take(&c, ' '))
            d.shape |= DATE_SPACE;
        else if (!take(&c, 'T') && !take(&c, 't'))
            return false;
        if (!take_time(&c, &civil, &d.shape))
            return false;
        if (c.p < c.end) {
            d.shape |= DATE_ZONE;
            if (!take_zone(&c, &d.offset))
                return false;
        }
    }
    d.ms = ((date_days(year, civil.month, civil.day) * 24 + civil.hour) * 60 +
            civil.minute - d.offset) *
               60000 +
           civil.second * 1000 + civil.ms;
    *out = d;
    return date_in_range(&d);
}

/* ---- printing ------------------------------------------------------------------ */

static int offset_part(int offset, int unit)
{
    int minutes = offset < 0 ? -offset : offset;

    return unit == 60 ? minutes / 60 : minutes % 60;
}

static void put_zone(tako_buf *out, int offset, const char *colon)
{
    tako_put_fmt(out, "%c%02d%s%02d", offset < 0 ? '-' : '+',
                 offset_part(offset, 60), colon, offset_part(offset, 1));
}

size_t date_print(const date *d, char out[DATE_TEXT_BYTES])
{
    date_civil c = date_civil_of(d);
    size_t n = 0;

#define PUT(...)                                                               \
    n += (size_t)snprintf(out + n, DATE_TEXT_BYTES - n, __VA_ARGS__)
    PUT("%04d-%02d-%02d", (int)c.year, c.month, c.day);
    if (d->shape & DATE_TIME)
        PUT("%c%02d:%02d", d->shape & DATE_SPACE ? ' ' : 'T', c.hour, c.minute);
    if (d->shape & DATE_TIME &&
        (d->shape & DATE_SECONDS || c.second != 0 || c.ms != 0))
        PUT(":%02d", c.second);
    if (d->shape & DATE_TIME && (d->shape & DATE_FRACTION || c.ms != 0))
        PUT(".%03d", c.ms);
    if (d->shape & DATE_ZONE && d->offset == 0)
        PUT("Z");
    else if (d->shape & DATE_ZONE)
        PUT("%c%02d:%02d", d->offset < 0 ? '-' : '+',
            offset_part(d->offset, 60), offset_part(d->offset, 1));
#undef PUT
    return n;
}

/* ---- formats -------------------------------------------------------------------- */

static const char *const month_names[] = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December",
};
static const char *const day_names[] = {
    "Sunday",   "Monday", "Tuesday",  "Wednesday",
    "Thursday", "Friday", "Saturday",
};

/* A code of the calendar; false when it is none. */
static bool put_day_code(tako_buf *out, const date_civil *c, char code)
{
    int64_t iso_year;
    int iso_week = date_iso_week(c, &iso_year);
    int year = (int)c->year;

    switch (code) {
    case 'Y':
        tako_put_fmt(out, "%04d", year);
        return true;
    case 'y':
        tako_put_fmt(out, "%02d", year % 100);
        return true;
    case 'm':
        tako_put_fmt(out, "%02d", c->month);
        return true;
    case 'd':
        tako_put_fmt(out, "%02d", c->day);
        return true;
    case 'e':
        tako_put_fmt(out, "%2d", c->day);
        return true;
    case 'F':
        tako_put_fmt(out, "%04d-%02d-%02d", year, c->month, c->day);
        return true;
    case 'D':
        tako_put_fmt(out, "%02d/%02d/%02d", c->month, c->day, year % 100);
        return true;
    case 'j':
        tako_put_fmt(out, "%03d", c->yearday);
        return true;
    case 'q':
        tako_put_fmt(out, "%d", (c->month - 1) / 3 + 1);
        return true;
    case 'V':
        tako_put_fmt(out, "%02d", iso_week);
        return true;
    case 'G':
        tako_put_fmt(out, "%04d", (int)iso_year);
        return true;
    case 'u':
        tako_put_fmt(out, "%d", (c->weekday + 6) % 7 + 1);
        return true;
    case 'w':
        tako_put_fmt(out, "%d", c->weekday);
        return true;
    default:
        return false;
    }
}

static bool put_name_code(tako_buf *out, const date_civil *c, char code)
{
    switch (code) {
    case 'B':
        tako_put_str(out, month_names[c->month - 1]);
        return true;
    case 'b':
        tako_put_fmt(out, "%.3s", month_names[c->month - 1]);
        return true;
    case 'A':
        tako_put_str(out, day_names[c->weekday]);
        return true;
    case 'a':
        tako_put_fmt(out, "%.3s", day_names[c->weekday]);
        return true;
    case 'p':
        tako_put_str(out, c->hour < 12 ? "AM" : "PM");
        return true;
    case '%':
        tako_put_u8(out, '%');
        return true;
    default:
        return false;
    }
}

static bool put_time_code(tako_buf *out, const date *d, const date_civil *c,
                          char code)
{
    switch (code) {
    case 'H':
        tako_put_fmt(out, "%02d", c->hour);
        return true;
    case 'I':
        tako_put_fmt(out, "%02d", (c->hour + 11) % 12 + 1);
        return true;
    case 'M':
        tako_put_fmt(out, "%02d", c->minute);
        return true;
    case 'S':
        tako_put_fmt(out, "%02d", c->second);
        return true;
    case 'L':
        tako_put_fmt(out, "%03d", c->ms);
        return true;
    case 'T':
        tako_put_fmt(out, "%02d:%02d:%02d", c->hour, c->minute, c->second);
        return true;
    case 'R':
        tako_put_fmt(out, "%02d:%02d", c->hour, c->minute);
        return true;
    case 's':
        tako_put_fmt(out, "%lld",
                     (long long)(d->ms / 1000 - (d->ms % 1000 < 0)));
        return true;
    case 'z':
        put_zone(out, d->offset, "");
        return true;
    case 'Z':
        if (d->offset == 0)
            tako_put_str(out, "UTC");
        else
            put_zone(out, d->offset, ":");
        return true;
    default:
        return false;
    }
}

static bool format_percent(const date *d, const date_civil *c, tako_slice f,
                           tako_buf *out)
{
    for (size_t i = 0; i < f.len; i++) {
        if (f.ptr[i] != '%') {
            tako_put_u8(out, f.ptr[i]);
            continue;
        }
        if (++i == f.len)
            return false;
        if (f.ptr[i] == ':' && i + 1 < f.len && f.ptr[i + 1] == 'z') {
            put_zone(out, d->offset, ":");
            i++;
        } else if (!put_day_code(out, c, (char)f.ptr[i]) &&
                   !put_name_code(out, c, (char)f.ptr[i]) &&
                   !put_time_code(out, d, c, (char)f.ptr[i])) {
            return false;
        }
    }
    return true;
}

static void format_letters(const date *d, const date_civil *c, tako_slice f,
                           tako_buf *out)
{
    const struct {
        const char *token;
        int width, value;
    } tokens[] = {
        { "YYYY", 4, (int)c->year },
        { "MM", 2, c->month },
        { "DD", 2, c->day },
        { "hh", 2, c->hour },
        { "HH", 2, c->hour },
        { "mm", 2, c->minute },
        { "sss", 3, c->ms },
        { "SSS", 3, c->ms },
        { "ss", 2, c->second },
        { "YY", 2, (int)(c->year % 100) },
        { "TZD", -1, 0 },
    };
    size_t i = 0;

    while (i < f.len) {
        size_t k, n = 0;

        for (k = 0; k < sizeof tokens / sizeof tokens[0]; k++) {
            n = strlen(tokens[k].token);
            if (n <= f.len - i && memcmp(f.ptr + i, tokens[k].token, n) == 0)
                break;
        }
        if (k == sizeof tokens / sizeof tokens[0]) {
            tako_put_u8(out, f.ptr[i++]);
            continue;
        }
        i += n;
        if (tokens[k].width > 0)
            tako_put_fmt(out, "%0*d", tokens[k].width, tokens[k].value);
        else if (d->offset == 0)
            tako_put_u8(out, 'Z');
        else
            put_zone(out, d->offset, ":");
    }
}

bool date_format(const date *d, tako_slice format, tako_buf *out)
{
    date_civil c = date_civil_of(d);

    if (format.len > 0 && memchr(format.ptr, '%', format.len) != NULL)
        return format_percent(d, &c, format, out);
    format_letters(d, &c, format, out);
    return true;
}
