// SPDX-License-Identifier: Apache-2.0
/* The conditional and type functions. */
#include "query/functions.h"
#include "query/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool is_missing(sqlite3_value *v)
{
    return value_rank_of(v) == RANK_MISSING;
}

static bool is_null(sqlite3_value *v)
{
    return value_rank_of(v) == RANK_NULL;
}

static bool is_neither(sqlite3_value *v)
{
    return value_rank_of(v) < RANK_NULL;
}

/* The first that is neither null nor MISSING; null when there was a null. */
static void run_coalesce(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    for (int i = 0; i < argc; i++) {
        if (is_neither(argv[i])) {
            sqlite3_result_value(ctx, argv[i]);
            return;
        }
    }
    for (int i = 0; i < argc; i++) {
        if (is_null(argv[i]))
            sqlite3_result_value(ctx, argv[i]);
    }
}

static void run_ifmissing(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!is_missing(argv[i])) {
            sqlite3_result_value(ctx, argv[i]);
            return;
        }
    }
}

static void run_ifnull(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!is_null(argv[i])) {
            sqlite3_result_value(ctx, argv[i]);
            return;
        }
    }
    sqlite3_result_value(ctx, argv[argc - 1]);
}

static void run_ismissing(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, is_missing(argv[0]));
}

static void run_isnull(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, is_null(argv[0]));
}

static void run_ismissingornull(sqlite3_context *ctx, int argc,
                                sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, !is_neither(argv[0]));
}

static bool equal(sqlite3_value *a, sqlite3_value *b)
{
    return is_neither(a) && value_compare(a, b) == 0;
}

static void run_nullif(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (equal(argv[0], argv[1]))
        sqlite3_result_blob(ctx, "\xF6", 1, SQLITE_STATIC);
    else
        sqlite3_result_value(ctx, argv[0]);
}

static void run_missingif(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (!equal(argv[0], argv[1]))
        sqlite3_result_value(ctx, argv[0]);
}

/* decode(x, a, ra, b, rb, ..., [else]): here null equals null and MISSING
 * equals MISSING. */
static void run_decode(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        if (value_compare(argv[0], argv[i]) == 0) {
            sqlite3_result_value(ctx, argv[i + 1]);
            return;
        }
    }
    if (i < argc)
        sqlite3_result_value(ctx, argv[i]);
}

/* ---- types ---------------------------------------------------------------- */

static void result_word(sqlite3_context *ctx, const char *word)
{
    sqlite3_result_text(ctx, word, -1, SQLITE_STATIC);
}

static void run_type(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    static const char *const names[] = {
        "boolean", "boolean", "number", "binary",  "string",
        "array",   "object",  "null",   "missing",
    };

    (void)argc;
    result_word(ctx, names[value_rank_of(argv[0])]);
}

/* As SQLite's json_type, with bytes; MISSING stays MISSING. */
static void run_json_type(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    static const char *const names[] = {
        "false", "true", "real", "bytes", "text", "array", "object", "null",
    };
    value_rank r = value_rank_of(argv[0]);

    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_INTEGER)
        result_word(ctx, "integer");
    else if (r != RANK_MISSING)
        result_word(ctx, names[r]);
}

static void run_is_number(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, value_rank_of(argv[0]) == RANK_NUMBER);
}

static void run_is_string(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, value_rank_of(argv[0]) == RANK_TEXT);
}

static void run_is_boolean(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result_bool(ctx, value_rank_of(argv[0]) <= RANK_TRUE);
}

static bool word_is(tako_slice s, const char *word)
{
    return s.len == strlen(word) &&
           sqlite3_strnicmp((const char *)s.ptr, word, (int)s.len) == 0;
}

static void cast_number(sqlite3_context *ctx, sqlite3_value *v, bool to_int,
                        bool to_float)
{
    value_rank r = value_rank_of(v);
    number_text text;
    int64_t i = 0;
    double d = 0;
    bool whole = true;

    if (r <= RANK_TRUE) {
        i = r == RANK_TRUE;
        d = (double)i;
    } else if (r == RANK_NUMBER) {
        whole = sqlite3_value_type(v) == SQLITE_INTEGER;
        i = whole ? sqlite3_value_int64(v) : 0;
        d = sqlite3_value_double(v);
    } else if (r == RANK_TEXT && number_parse(value_text(v), &text)) {
        i = text.integer;
        d = text.real;
        whole = text.whole;
    } else {
        return;
    }
    if (to_float || (!whole && !to_int)) {
        sqlite3_result_double(ctx, d);
    } else if (whole) {
        sqlite3_result_int64(ctx, i);
    } else if (d >= -9223372036854775808.0 && d < 9223372036854775808.0) {
        sqlite3_result_int64(ctx, (int64_t)d);
    }
}

static void cast_text(sqlite3_context *ctx, sqlite3_value *v)
{
    value_rank r = value_rank_of(v);
    number_text back;
    char buf[40];

    if (r <= RANK_TRUE) {
        result_word(ctx, r == RANK_TRUE ? "true" : "false");
    } else if (r == RANK_TEXT) {
        sqlite3_result_value(ctx, v);
    } else if (sqlite3_value_type(v) == SQLITE_INTEGER) {
        (void)sqlite3_snprintf(sizeof buf, buf, "%lld", sqlite3_value_int64(v));
        sqlite3_result_text(ctx, buf, -1, SQLITE_TRANSIENT);
    } else if (r == RANK_NUMBER) {
        (void)sqlite3_snprintf(sizeof buf, buf, "%!.15g",
                               sqlite3_value_double(v));
        if (!number_parse(tako_slice_str(buf), &back) ||
            back.real != sqlite3_value_double(v))
            (void)sqlite3_snprintf(sizeof buf, buf, "%!.17g",
                                   sqlite3_value_double(v));
        sqlite3_result_text(ctx, buf, -1, SQLITE_TRANSIENT);
    }
}

static void cast_word(sqlite3_context *ctx, tako_slice s)
{
    if (word_is(s, "true") || word_is(s, "false"))
        value_result_bool(ctx, word_is(s, "true"));
}

/* cast(x, 'string' | 'number' | 'integer' | 'float' | 'boolean') */
static void run_cast(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_rank r = value_rank_of(argv[0]);
    tako_slice to;

    (void)argc;
    if (value_rank_of(argv[1]) != RANK_TEXT || r >= RANK_NULL)
        return;
    to = value_text(argv[1]);
    if (word_is(to, "string")) {
        cast_text(ctx, argv[0]);
    } else if (word_is(to, "number") || word_is(to, "integer") ||
               word_is(to, "float")) {
        cast_number(ctx, argv[0], word_is(to, "integer"), word_is(to, "float"));
    } else if (word_is(to, "boolean")) {
        if (r <= RANK_TRUE)
            sqlite3_result_value(ctx, argv[0]);
        else if (r == RANK_NUMBER)
            value_result_bool(ctx, sqlite3_value_double(argv[0]) != 0);
        else if (r == RANK_TEXT)
            cast_word(ctx, value_text(argv[0]));
    }
}

const fn_entry fn_cond[] = {
    { "coalesce", 1, 100, run_coalesce, NULL, NULL },
    { "ifmissingornull", 1, 100, run_coalesce, NULL, NULL },
    { "nvl", 2, 2, run_coalesce, NULL, NULL },
    { "ifmissing", 1, 100, run_ifmissing, NULL, NULL },
    { "ifnull", 1, 100, run_ifnull, NULL, NULL },
    { "ismissing", 1, 1, run_ismissing, NULL, NULL },
    { "isnull", 1, 1, run_isnull, NULL, NULL },
    { "ismissingornull", 1, 1, run_ismissingornull, NULL, NULL },
    { "nullif", 2, 2, run_nullif, NULL, NULL },
    { "missingif", 2, 2, run_missingif, NULL, NULL },
    { "decode", 3, 100, run_decode, NULL, NULL },
    { "type", 1, 1, run_type, NULL, NULL },
    { "json_type", 1, 1, run_json_type, NULL, NULL },
    { "is_number", 1, 1, run_is_number, NULL, NULL },
    { "is_string", 1, 1, run_is_string, NULL, NULL },
    { "is_boolean", 1, 1, run_is_boolean, NULL, NULL },
    { "cast", 2, 2, run_cast, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
