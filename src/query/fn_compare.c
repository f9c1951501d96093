// SPDX-License-Identifier: Apache-2.0
/* Comparison and logic as functions, for the places where SQLite's own
 * operators cannot stand: their results are TQL's true, false and MISSING. A
 * comparison with null, MISSING or another kind is MISSING; AND and OR treat
 * whatever is neither true nor false as unknown (Kleene's logic). */
#include "query/functions.h"

typedef enum truth {
    TRUTH_FALSE,
    TRUTH_TRUE,
    TRUTH_UNKNOWN,
} truth;

static truth truth_of(sqlite3_value *v)
{
    value_rank r = value_rank_of(v);

    if (r == RANK_TRUE)
        return TRUTH_TRUE;
    return r == RANK_FALSE ? TRUTH_FALSE : TRUTH_UNKNOWN;
}

static void result_truth(sqlite3_context *ctx, truth t)
{
    if (t != TRUTH_UNKNOWN)
        value_result_bool(ctx, t == TRUTH_TRUE);
}

/* False when a and b cannot be compared. */
static bool compare(sqlite3_value *a, sqlite3_value *b, int *c)
{
    value_rank x = value_rank_of(a), y = value_rank_of(b);

    if (!value_same_kind(x, y) || x >= RANK_NULL)
        return false;
    *c = value_compare(a, b);
    return true;
}

#define COMPARISON(name, test)                                                 \
    static void name(sqlite3_context *ctx, int argc, sqlite3_value **argv)     \
    {                                                                          \
        int c;                                                                 \
                                                                               \
        (void)argc;                                                            \
        if (compare(argv[0], argv[1], &c))                                     \
            value_result_bool(ctx, c test 0);                                  \
    }
COMPARISON(run_eq, ==)
COMPARISON(run_ne, !=)
COMPARISON(run_lt, <)
COMPARISON(run_le, <=)
COMPARISON(run_gt, >)
COMPARISON(run_ge, >=)

static void run_and(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    truth all = TRUTH_TRUE;

    for (int i = 0; i < argc; i++) {
        truth t = truth_of(argv[i]);

        if (t == TRUTH_FALSE || all == TRUTH_FALSE)
            all = TRUTH_FALSE;
        else if (t == TRUTH_UNKNOWN)
            all = TRUTH_UNKNOWN;
    }
    result_truth(ctx, all);
}

static void run_or(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    truth any = TRUTH_FALSE;

    for (int i = 0; i < argc; i++) {
        truth t = truth_of(argv[i]);

        if (t == TRUTH_TRUE || any == TRUTH_TRUE)
            any = TRUTH_TRUE;
        else if (t == TRUTH_UNKNOWN)
            any = TRUTH_UNKNOWN;
    }
    result_truth(ctx, any);
}

static void run_not(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    truth t = truth_of(argv[0]);

    (void)argc;
    if (t != TRUTH_UNKNOWN)
        value_result_bool(ctx, t == TRUTH_FALSE);
}

static void run_is_null(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, value_rank_of(argv[0]) == RANK_NULL);
}

static void run_is_missing(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, value_rank_of(argv[0]) == RANK_MISSING);
}

static void run_between(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int low, high;
    truth a = TRUTH_UNKNOWN, b = TRUTH_UNKNOWN;

    (void)argc;
    if (compare(argv[0], argv[1], &low))
        a = low >= 0 ? TRUTH_TRUE : TRUTH_FALSE;
    if (compare(argv[0], argv[2], &high))
        b = high <= 0 ? TRUTH_TRUE : TRUTH_FALSE;
    if (a == TRUTH_FALSE || b == TRUTH_FALSE)
        value_result_bool(ctx, false);
    else if (a == TRUTH_TRUE && b == TRUTH_TRUE)
        value_result_bool(ctx, true);
}

/* Whether a float is an integer, exactly. */
static bool float_is(double d, int64_t i)
{
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 &&
           (double)(int64_t)d == d && (int64_t)d == i;
}

/* 1 and 1.0, 0.0 and -0.0 are equal numbers with different encodings. */
static bool equals_number(tako_slice element, sqlite3_value *n)
{
    tako_reader r = tako_reader_of(element);
    bool whole = sqlite3_value_type(n) == SQLITE_INTEGER;
    cbor_item v;

    if (value_rank_cbor(element) != RANK_NUMBER || !cbor_read(&r, &v))
        return false;
    if (v.kind == CBOR_INT)
        return !whole && float_is(sqlite3_value_double(n), v.integer);
    return whole ? float_is(v.real, sqlite3_value_int64(n))
                 : v.real == sqlite3_value_double(n);
}

/* tql_in(x, array): whether an element equals x; elements of other kinds
 * just do not. */
static void run_in(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_rank r = value_rank_of(argv[0]);
    tako_slice array = value_blob(argv[1]);
    tako_buf *mine;
    value_iter it;
    uint64_t n;
    bool found = false;

    (void)argc;
    if (r >= RANK_NULL || value_rank_cbor(array) != RANK_ARRAY ||
        !value_iter_init(&it, array, &n))
        return;
    mine = fn_buf(ctx);
    value_put(mine, argv[0]);
    if (mine->failed) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    while (!found && value_iter_next(&it)) {
        found = tako_slice_eq(it.value, tako_buf_slice(mine));
        if (!found && r == RANK_NUMBER)
            found = equals_number(it.value, argv[0]);
    }
    value_result_bool(ctx, found);
}

/* ---- LIKE ---------------------------------------------------------------------- */

static size_t char_bytes(uint8_t first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

static uint8_t fold(uint8_t c, bool any_case)
{
    return any_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Whether the run of pattern items from p to the next % (or the end, *stop)
 * matches at s; *len is the length matched. `\` quotes what follows. */
static bool match_run(tako_slice p, size_t at, tako_slice s, size_t from,
                      bool any_case, size_t *stop, size_t *len)
{
    size_t i = from;

    while (at < p.len && p.ptr[at] != '%') {
        if (i >= s.len)
            return false;
        if (p.ptr[at] == '_') {
            i += char_bytes(s.ptr[i]);
            at++;
            continue;
        }
        if (p.ptr[at] == '\\' && at + 1 < p.len)
            at++;
        if (fold(p.ptr[at], any_case) != fold(s.ptr[i], any_case))
            return false;
        at++;
        i++;
    }
    *stop = at;
    *len = (i > s.len ? s.len : i) - from;
    return true;
}

/* Each % takes the first place where the run after it fits: going back to an
 * earlier % can never help, so the time is at most text times pattern. */
static bool like(tako_slice p, tako_slice s, bool any_case)
{
    size_t at = 0, i = 0, star = SIZE_MAX, mark = 0, stop, len;

    for (;;) {
        if (at < p.len && p.ptr[at] == '%') {
            star = ++at;
            mark = i;
            if (at == p.len)
                return true;
        }
        if (match_run(p, at, s, i, any_case, &stop, &len) &&
            (stop < p.len || i + len == s.len)) {
            at = stop;
            i += len;
            if (at == p.len)
                return true;
            continue;
        }
        if (star == SIZE_MAX || mark >= s.len)
            return false;
        mark += char_bytes(s.ptr[mark]);
        at = star;
        i = mark < s.len ? mark : s.len;
    }
}

static void run_like_any(sqlite3_context *ctx, sqlite3_value **argv,
                         bool any_case)
{
    if (value_rank_of(argv[0]) == RANK_TEXT &&
        value_rank_of(argv[1]) == RANK_TEXT)
        value_result_bool(
            ctx, like(value_text(argv[1]), value_text(argv[0]), any_case));
}

static void run_like(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    run_like_any(ctx, argv, false);
}

static void run_ilike(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    run_like_any(ctx, argv, true);
}

const fn_entry fn_compare[] = {
    { "eq", 2, 2, run_eq, NULL, NULL },
    { "ne", 2, 2, run_ne, NULL, NULL },
    { "lt", 2, 2, run_lt, NULL, NULL },
    { "le", 2, 2, run_le, NULL, NULL },
    { "gt", 2, 2, run_gt, NULL, NULL },
    { "ge", 2, 2, run_ge, NULL, NULL },
    { "and", 1, 100, run_and, NULL, NULL },
    { "or", 1, 100, run_or, NULL, NULL },
    { "not", 1, 1, run_not, NULL, NULL },
    { "is_null", 1, 1, run_is_null, NULL, NULL },
    { "is_missing", 1, 1, run_is_missing, NULL, NULL },
    { "between", 3, 3, run_between, NULL, NULL },
    { "in", 2, 2, run_in, NULL, NULL },
    { "like", 2, 2, run_like, NULL, NULL },
    { "ilike", 2, 2, run_ilike, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
