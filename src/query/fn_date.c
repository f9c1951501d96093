// SPDX-License-Identifier: Apache-2.0
/* The date functions. A date is a text of ISO 8601 or a number, milliseconds
 * since 1970; a result is written as its argument was. A text without an
 * offset is UTC. A duration is a text or a number of milliseconds. */
#include "query/functions.h"

#include <math.h>

#include "query/date.h"
#include "query/duration.h"

#define WHOLE_MAX 9007199254740992.0 /* floats are whole numbers up to here */

/* ---- arguments ---------------------------------------------------------------- */

/* A number without its fraction, which is cut downwards. */
static bool whole_of(sqlite3_value *v, int64_t *out)
{
    value_number n;
    double d;

    if (!value_number_of(v, &n))
        return false;
    d = floor(n.d);
    if (n.real && (d < -WHOLE_MAX || d > WHOLE_MAX))
        return false;
    *out = n.real ? (int64_t)d : n.i;
    return true;
}

static bool date_of(sqlite3_value *v, date *out)
{
    if (sqlite3_value_type(v) == SQLITE_TEXT)
        return date_parse(value_text(v), out);
    *out = (date){ 0, 0, DATE_NUMBER };
    return whole_of(v, &out->ms) && date_in_range(out);
}

static bool duration_of(sqlite3_value *v, int64_t *ms)
{
    if (sqlite3_value_type(v) == SQLITE_TEXT)
        return duration_parse(value_text(v), ms);
    return whole_of(v, ms);
}

static bool unit_of(sqlite3_value *v, date_unit *out)
{
    return sqlite3_value_type(v) == SQLITE_TEXT &&
           date_unit_of(value_text(v), out);
}

/* Moves a date to another offset: the same moment. */
static bool set_zone(date *d, sqlite3_value *v)
{
    if (sqlite3_value_type(v) != SQLITE_TEXT ||
        !date_parse_zone(value_text(v), &d->offset))
        return false;
    if (d->shape & DATE_NUMBER)
        return date_in_range(d);
    d->shape |= DATE_TIME | DATE_SECONDS | DATE_ZONE;
    return date_in_range(d);
}

static void result_date(sqlite3_context *ctx, const date *d)
{
    char text[DATE_TEXT_BYTES];

    if (d->shape & DATE_NUMBER)
        sqlite3_result_int64(ctx, d->ms);
    else
        sqlite3_result_text(ctx, text, (int)date_print(d, text),
                            SQLITE_TRANSIENT);
}

static bool word_is(tako_slice s, const char *word)
{
    return s.len == strlen(word) &&
           sqlite3_strnicmp((const char *)s.ptr, word, (int)s.len) == 0;
}

/* ---- clock, date_cast ---------------------------------------------------------- */

/* The shape of a form of date_cast: false when there is no such form. */
static bool form_of(tako_slice name, unsigned *shape)
{
    static const struct {
        const char *name;
        unsigned shape;
    } forms[] = {
        { "string", DATE_TIME | DATE_SECONDS | DATE_FRACTION | DATE_ZONE },
        { "datetime", DATE_TIME | DATE_SECONDS | DATE_ZONE },
        { "date", 0 },
        { "number", DATE_NUMBER },
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (word_is(name, forms[i].name)) {
            *shape = forms[i].shape;
            return true;
        }
    }
    return false;
}

static void cast(sqlite3_context *ctx, date d, int argc, sqlite3_value **argv)
{
    unsigned shape = 0;
    bool seconds = false;

    if (argc > 1 && !set_zone(&d, argv[1]))
        return;
    if (argc > 0 && sqlite3_value_type(argv[0]) != SQLITE_TEXT)
        return;
    if (argc > 0)
        seconds = word_is(value_text(argv[0]), "seconds");
    if (!seconds &&
        !form_of(argc > 0 ? value_text(argv[0]) : tako_slice_str("string"),
                 &shape))
        return;
    d.shape = seconds ? DATE_NUMBER : shape;
    if (seconds)
        d.ms = d.ms / 1000 - (d.ms % 1000 < 0);
    else if (!(shape & DATE_FRACTION) && !(shape & DATE_NUMBER))
        (void)date_trunc(&d, shape & DATE_TIME ? DATE_SECOND : DATE_DAY);
    result_date(ctx, &d);
}

void fn_date_result(sqlite3_context *ctx, int64_t ms, int argc,
                    sqlite3_value **argv)
{
    date d = { ms, 0, DATE_NUMBER };

    if (date_in_range(&d))
        cast(ctx, d, argc, argv);
}

/* date_cast(date [, form [, offset]]) */
static void run_cast(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    date d;

    if (date_of(argv[0], &d))
        cast(ctx, d, argc - 1, argv + 1);
}

/* ---- arithmetic ----------------------------------------------------------------- */

/* date_add(date, n, unit) or date_add(date, duration). */
static void move(sqlite3_context *ctx, int argc, sqlite3_value **argv,
                 bool back)
{
    date d;
    date_unit u;
    int64_t n;

    if (!date_of(argv[0], &d))
        return;
    if (argc == 2 ? !duration_of(argv[1], &n)
                  : !whole_of(argv[1], &n) || !unit_of(argv[2], &u))
        return;
    if (back && n == INT64_MIN)
        return;
    n = back ? -n : n;
    if (argc == 2 ? date_add_ms(&d, n) : date_add(&d, n, u))
        result_date(ctx, &d);
}

static void run_add(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    move(ctx, argc, argv, false);
}

static void run_sub(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    move(ctx, argc, argv, true);
}

/* date_diff(a, b [, unit]): a - b in whole units, of milliseconds without. */
static void run_diff(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    date a, b;
    date_unit u = DATE_MILLISECOND;

    if (date_of(argv[0], &a) && date_of(argv[1], &b) &&
        (argc < 3 || unit_of(argv[2], &u)))
        sqlite3_result_int64(ctx, date_diff(&a, &b, u));
}

/* date_part(date, part [, offset]) */
static void run_part(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    date d;
    int64_t n;

    if (date_of(argv[0], &d) && (argc < 3 || set_zone(&d, argv[2])) &&
        sqlite3_value_type(argv[1]) == SQLITE_TEXT &&
        date_part(&d, value_text(argv[1]), &n))
        sqlite3_result_int64(ctx, n);
}

/* date_trunc(date, unit [, offset]) */
static void run_trunc(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    date d;
    date_unit u;

    if (date_of(argv[0], &d) && unit_of(argv[1], &u) &&
        (argc < 3 || set_zone(&d, argv[2])) && date_trunc(&d, u))
        result_date(ctx, &d);
}

/* date_format(date, format [, offset]) */
static void run_format(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    date d;

    if (!date_of(argv[0], &d) || sqlite3_value_type(argv[1]) != SQLITE_TEXT ||
        (argc > 2 && !set_zone(&d, argv[2])) ||
        !date_format(&d, value_text(argv[1]), out))
        return;
    if (out->failed)
        sqlite3_result_error_nomem(ctx);
    else if (out->len > TAKO_ROW_BYTES_MAX)
        sqlite3_result_error_toobig(ctx);
    else
        sqlite3_result_text(ctx, out->len > 0 ? (const char *)out->ptr : "",
                            (int)out->len, SQLITE_TRANSIENT);
}

/* date_range(from, to, unit [, step]): from, from + step, ... before to; with
 * a step below 0 after to. Each is `from` moved once, so that the ends of
 * months do not wear off. */
static void run_range(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_buf head = tako_buf_on(out->env);
    int64_t step = 1, by;
    uint64_t n = 0;
    char text[DATE_TEXT_BYTES];
    date from, to, at;
    date_unit u;

    if (!date_of(argv[0], &from) || !date_of(argv[1], &to) ||
        !unit_of(argv[2], &u) || (argc > 3 && !whole_of(argv[3], &step)) ||
        step == 0)
        return;
    for (at = from; step > 0 ? at.ms < to.ms : at.ms > to.ms;) {
        if (n++ == TAKO_DATE_RANGE_MAX) {
            sqlite3_result_error_toobig(ctx);
            return;
        }
        if (at.shape & DATE_NUMBER)
            cbor_put_int(out, at.ms);
        else
            cbor_put_text(out, tako_slice_of(text, date_print(&at, text)));
        at = from;
        if (__builtin_mul_overflow((int64_t)n, step, &by) ||
            !date_add(&at, by, u))
            break;
    }
    cbor_put_array(&head, n);
    tako_buf_insert(out, 0, tako_buf_slice(&head));
    out->failed = out->failed || head.failed;
    tako_buf_fini(&head);
    value_result_buf(ctx, out);
}

/* tz_offset(offset or date): seconds east of UTC. */
static void run_tz_offset(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int offset;
    date d;

    (void)argc;
    if (sqlite3_value_type(argv[0]) != SQLITE_TEXT)
        return;
    if (date_parse_zone(value_text(argv[0]), &offset))
        sqlite3_result_int(ctx, offset * 60);
    else if (date_parse(value_text(argv[0]), &d))
        sqlite3_result_int(ctx, d.offset * 60);
}

/* ---- durations -------------------------------------------------------------------- */

/* duration_cast(duration [, unit]): a number, whole where it can be. */
static void run_duration_cast(sqlite3_context *ctx, int argc,
                              sqlite3_value **argv)
{
    date_unit u = DATE_MILLISECOND;
    int64_t ms, unit;

    if (!duration_of(argv[0], &ms) || (argc > 1 && !unit_of(argv[1], &u)))
        return;
    unit = date_unit_ms(u);
    if (unit == 0)
        return;
    if (ms % unit == 0)
        sqlite3_result_int64(ctx, ms / unit);
    else
        sqlite3_result_double(ctx, (double)ms / (double)unit);
}

/* duration_format(duration [, 'short' | 'iso' | 'clock']) */
static void run_duration_format(sqlite3_context *ctx, int argc,
                                sqlite3_value **argv)
{
    static const char *const styles[] = { "short", "iso", "clock" };
    char text[DURATION_TEXT_BYTES];
    size_t style = 0;
    int64_t ms;

    if (!duration_of(argv[0], &ms))
        return;
    if (argc > 1) {
        if (sqlite3_value_type(argv[1]) != SQLITE_TEXT)
            return;
        while (style < 3 && !word_is(value_text(argv[1]), styles[style]))
            style++;
    }
    if (style < 3)
        sqlite3_result_text(
            ctx, text, (int)duration_print(ms, (duration_style)style, text),
            SQLITE_TRANSIENT);
}

const fn_entry fn_date[] = {
    { "date_add", 2, 3, run_add, NULL, NULL },
    { "date_sub", 2, 3, run_sub, NULL, NULL },
    { "date_diff", 2, 3, run_diff, NULL, NULL },
    { "date_part", 2, 3, run_part, NULL, NULL },
    { "date_trunc", 2, 3, run_trunc, NULL, NULL },
    { "date_format", 2, 3, run_format, NULL, NULL },
    { "date_cast", 1, 3, run_cast, NULL, NULL },
    { "date_range", 3, 4, run_range, NULL, NULL },
    { "tz_offset", 1, 1, run_tz_offset, NULL, NULL },
    { "duration_cast", 1, 2, run_duration_cast, NULL, NULL },
    { "duration_format", 1, 2, run_duration_format, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
