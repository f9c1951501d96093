// SPDX-License-Identifier: Apache-2.0
#include "query/duration.h"

#include <stdio.h>

#define INTEGER_DIGITS_MAX  18u /* that always fit in 64 bits */
#define FRACTION_DIGITS_MAX 9u  /* times a week in ms, likewise */

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
    WEEK_MS = 7 * DAY_MS,
};

typedef struct number {
    int64_t whole, part, scale; /* whole + part / scale */
} number;

/* Digits with at most one fraction; returns what follows, NULL without. */
static const uint8_t *take_number(const uint8_t *p, const uint8_t *end,
                                  number *n)
{
    const uint8_t *from = p;

    *n = (number){ 0, 0, 1 };
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        n->whole = (uint64_t)(p - from) < INTEGER_DIGITS_MAX
                       ? n->whole * 10 + (*p - '0')
                       : 0;
    if (p == from || (uint64_t)(p - from) > INTEGER_DIGITS_MAX)
        return NULL;
    if (p == end || (*p != '.' && *p != ','))
        return p;
    from = ++p;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if ((uint64_t)(p - from) < FRACTION_DIGITS_MAX) {
            n->part = n->part * 10 + (*p - '0');
            n->scale *= 10;
        }
    }
    return p == from ? NULL : p;
}

/* Adds n units to *ms. */
static bool add(int64_t *ms, const number *n, int64_t unit)
{
    int64_t whole;

    return unit > 0 && !__builtin_mul_overflow(n->whole, unit, &whole) &&
           !__builtin_add_overflow(*ms, whole, ms) &&
           !__builtin_add_overflow(*ms, n->part * unit / n->scale, ms);
}

/* The unit at p, 0 when there is none. */
static int64_t short_unit(const uint8_t **p, const uint8_t *end)
{
    size_t left = (size_t)(end - *p);
    const uint8_t *u = *p;

    if (left == 0)
        return 0;
    if (left > 1 && u[0] == 'm' && u[1] == 's') {
        *p += 2;
        return 1;
    }
    ++*p;
    switch (u[0]) {
    case 'w':
        return WEEK_MS;
    case 'd':
        return DAY_MS;
    case 'h':
        return HOUR_MS;
    case 'm':
        return MINUTE_MS;
    case 's':
        return SECOND_MS;
    default:
        return 0;
    }
}

static bool parse_short(const uint8_t *p, const uint8_t *end, int64_t *ms)
{
    number n;

    if (p == end)
        return false;
    while (p < end) {
        p = take_number(p, end, &n);
        if (p == NULL || !add(ms, &n, short_unit(&p, end)))
            return false;
    }
    return true;
}

/* Units may be left out, but those that are there are in order, each once. */
static bool parse_iso(const uint8_t *p, const uint8_t *end, int64_t *ms)
{
    static const struct {
        char letter;
        bool time;
        int64_t unit;
    } units[] = {
        { 'W', false, WEEK_MS },  { 'D', false, DAY_MS },
        { 'H', true, HOUR_MS },   { 'M', true, MINUTE_MS },
        { 'S', true, SECOND_MS },
    };
    size_t next = 0;
    bool time = false;
    number n;

    if (p == end)
        return false;
    while (p < end) {
        if (*p == 'T' && !time) {
            time = true;
            if (++p == end)
                return false;
        }
        p = take_number(p, end, &n);
        if (p == NULL || p == end)
            return false;
        while (next < 5 &&
               (units[next].letter != (char)*p || units[next].time != time))
            next++;
        if (next == 5 || !add(ms, &n, units[next].unit))
            return false;
        next++;
        p++;
    }
    return true;
}

bool duration_parse(tako_slice text, int64_t *ms)
{
    const uint8_t *p = text.ptr, *end;
    bool minus = false, fine;
    int64_t sum = 0;

    if (text.len == 0)
        return false;
    end = p + text.len;
    if (*p == '-' || *p == '+')
        minus = *p++ == '-';
    if (p < end && *p == 'P')
        fine = parse_iso(p + 1, end, &sum);
    else
        fine = parse_short(p, end, &sum);
    if (fine)
        *ms = minus ? -sum : sum;
    return fine;
}

/* ---- printing ------------------------------------------------------------------ */

typedef struct parts {
    uint64_t day, hour, minute, second, ms;
    char seconds[24]; /* with a fraction, without zeros at its end */
} parts;

static void put_seconds(parts *t)
{
    int n = snprintf(t->seconds, sizeof t->seconds, "%llu.%03llu",
                     (unsigned long long)t->second, (unsigned long long)t->ms);

    while (t->seconds[n - 1] == '0')
        n--;
    if (t->seconds[n - 1] == '.')
        n--;
    t->seconds[n] = '\0';
}

static parts parts_of(uint64_t ms)
{
    parts t = { ms / DAY_MS,         ms / HOUR_MS % 24, ms / MINUTE_MS % 60,
                ms / SECOND_MS % 60, ms % 1000,         "" };

    put_seconds(&t);
    return t;
}

static size_t print_units(const parts *t, bool iso, char *out, size_t size)
{
    size_t n = 0;
    bool time = t->hour > 0 || t->minute > 0 || t->second > 0 || t->ms > 0;

#define PUT(...) n += (size_t)snprintf(out + n, size - n, __VA_ARGS__)
    if (iso)
        PUT("P");
    if (t->day > 0)
        PUT("%llu%s", (unsigned long long)t->day, iso ? "D" : "d");
    if (iso && (time || t->day == 0))
        PUT("T");
    if (t->hour > 0)
        PUT("%llu%s", (unsigned long long)t->hour, iso ? "H" : "h");
    if (t->minute > 0)
        PUT("%llu%s", (unsigned long long)t->minute, iso ? "M" : "m");
    if (t->second > 0 || t->ms > 0 || (!time && t->day == 0))
        PUT("%s%s", t->seconds, iso ? "S" : "s");
#undef PUT
    return n;
}

size_t duration_print(int64_t ms, duration_style style,
                      char out[DURATION_TEXT_BYTES])
{
    uint64_t all = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    parts t = parts_of(all);
    size_t n = 0, size = DURATION_TEXT_BYTES;

    if (ms < 0)
        out[n++] = '-';
    if (style != DURATION_CLOCK)
        return n + print_units(&t, style == DURATION_ISO, out + n, size - n);
    n += (size_t)snprintf(out + n, size - n, "%02llu:%02llu:%02llu",
                          (unsigned long long)(all / HOUR_MS),
                          (unsigned long long)t.minute,
                          (unsigned long long)t.second);
    if (t.ms > 0)
        n += (size_t)snprintf(out + n, size - n, ".%03llu",
                              (unsigned long long)t.ms);
    return n;
}
