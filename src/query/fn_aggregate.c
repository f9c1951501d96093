// SPDX-License-Identifier: Apache-2.0
/* Aggregates over documents: values that they are not for (null, MISSING;
 * for sum and avg everything but numbers) do not count. Integers are summed
 * exactly in 128 bits, and the sum is an integer while it fits in 64. */
#include "query/functions.h"

#include <math.h>

typedef struct sum_state {
    int64_t high; /* of the sum of integers, modulo 2^128 */
    uint64_t low;
    double real; /* of the floats, compensated (Neumaier 1974) */
    double lost;
    int64_t count, floats;
} sum_state;

static void sum_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int type = sqlite3_value_type(argv[0]);
    sum_state *s;

    (void)argc;
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT)
        return;
    s = sqlite3_aggregate_context(ctx, sizeof *s);
    if (s == NULL)
        return;
    s->count++;
    if (type == SQLITE_INTEGER) {
        int64_t v = sqlite3_value_int64(argv[0]);
        uint64_t before = s->low;

        s->low += (uint64_t)v;
        s->high += (v < 0 ? -1 : 0) + (s->low < before);
    } else {
        double v = sqlite3_value_double(argv[0]), t = s->real + v;

        s->lost += fabs(s->real) >= fabs(v) ? s->real - t + v : v - t + s->real;
        s->real = t;
        s->floats++;
    }
}

static double sum_real(const sum_state *s)
{
    double whole = (double)s->high * 18446744073709551616.0 + (double)s->low;

    if (s->high == -1) /* exact near zero */
        whole = -(double)(~s->low + 1);
    if (s->high == -1 && s->low == 0)
        whole = -18446744073709551616.0;
    return whole + (s->real + s->lost);
}

static void sum_final(sqlite3_context *ctx)
{
    sum_state *s = sqlite3_aggregate_context(ctx, 0);
    double d;

    if (s == NULL || s->count == 0)
        return;
    if (s->floats == 0 && ((s->high == 0 && s->low <= INT64_MAX) ||
                           (s->high == -1 && s->low > INT64_MAX))) {
        sqlite3_result_int64(ctx, (int64_t)s->low);
        return;
    }
    d = sum_real(s);
    if (isfinite(d))
        sqlite3_result_double(ctx, d);
}

static void avg_final(sqlite3_context *ctx)
{
    sum_state *s = sqlite3_aggregate_context(ctx, 0);
    double d;

    if (s == NULL || s->count == 0)
        return;
    d = sum_real(s) / (double)s->count;
    if (isfinite(d))
        sqlite3_result_double(ctx, d);
}

static void count_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int64_t *n = sqlite3_aggregate_context(ctx, sizeof *n);

    if (n != NULL && (argc == 0 || value_rank_of(argv[0]) < RANK_NULL))
        ++*n;
}

static void count_final(sqlite3_context *ctx)
{
    int64_t *n = sqlite3_aggregate_context(ctx, 0);

    sqlite3_result_int64(ctx, n == NULL ? 0 : *n);
}

typedef struct extreme_state {
    sqlite3_value *best;
} extreme_state;

static void extreme_step(sqlite3_context *ctx, sqlite3_value *v, int sign)
{
    extreme_state *s;
    sqlite3_value *copy;

    if (value_rank_of(v) >= RANK_NULL)
        return;
    s = sqlite3_aggregate_context(ctx, sizeof *s);
    if (s == NULL || (s->best != NULL && value_compare(v, s->best) * sign <= 0))
        return;
    copy = sqlite3_value_dup(v);
    if (copy == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    sqlite3_value_free(s->best);
    s->best = copy;
}

static void min_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    extreme_step(ctx, argv[0], -1);
}

static void max_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    extreme_step(ctx, argv[0], 1);
}

static void extreme_final(sqlite3_context *ctx)
{
    extreme_state *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL || s->best == NULL)
        return;
    sqlite3_result_value(ctx, s->best);
    sqlite3_value_free(s->best);
    s->best = NULL;
}

const fn_entry fn_aggregate[] = {
    { "count", 0, 1, NULL, count_step, count_final },
    { "sum", 1, 1, NULL, sum_step, sum_final },
    { "avg", 1, 1, NULL, sum_step, avg_final },
    { "min", 1, 1, NULL, min_step, extreme_final },
    { "max", 1, 1, NULL, max_step, extreme_final },
    { NULL, 0, 0, NULL, NULL, NULL },
};
