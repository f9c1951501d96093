// SPDX-License-Identifier: Apache-2.0
/* Aggregates over documents: values that they are not for (null, MISSING;
 * for sum and avg everything but numbers) do not count. Integers are summed
 * exactly in 128 bits, and the sum is an integer while it fits in 64.
 * array_agg keeps null, as elements of arrays do. What median and array_agg
 * hold of one group is bounded by TAKO_ROW_BYTES_MAX. */
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

/* ---- median, array_agg -------------------------------------------------------- */

/* Values of one group, in a buffer that final gives back. */
typedef struct list_state {
    tako_buf buf;
    uint64_t count;
} list_state;

static list_state *list_begin(sqlite3_context *ctx)
{
    const fn_state *f = sqlite3_user_data(ctx);
    list_state *s = sqlite3_aggregate_context(ctx, sizeof *s);

    if (s != NULL && s->buf.env == NULL)
        s->buf = tako_buf_on(f->env);
    return s;
}

static void list_end(sqlite3_context *ctx, list_state *s)
{
    s->count++;
    if (s->buf.failed)
        sqlite3_result_error_nomem(ctx);
    else if (s->buf.len > TAKO_ROW_BYTES_MAX)
        sqlite3_result_error_toobig(ctx);
}

static void median_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_number n;
    list_state *s;

    (void)argc;
    memset(&n, 0, sizeof n);
    if (!value_number_of(argv[0], &n) || (s = list_begin(ctx)) == NULL)
        return;
    tako_put_bytes(&s->buf, tako_slice_of(&n, sizeof n));
    list_end(ctx, s);
}

/* 1 before 1.0, so that the order of rows cannot show. */
static int median_cmp(const value_number *a, const value_number *b)
{
    int c = value_number_compare(a, b);

    return c != 0 ? c : a->real - b->real;
}

/* Lets n[at] sink to its place in the heap of the greatest. */
static void sink(value_number *n, size_t at, size_t count)
{
    value_number v = n[at];
    size_t kid;

    for (; (kid = 2 * at + 1) < count; at = kid) {
        if (kid + 1 < count && median_cmp(&n[kid], &n[kid + 1]) < 0)
            kid++;
        if (median_cmp(&v, &n[kid]) >= 0)
            break;
        n[at] = n[kid];
    }
    n[at] = v;
}

/* Heapsort, but only down to the k-th: in place, and never quadratic. */
static void sort_down_to(value_number *n, size_t count, size_t k)
{
    for (size_t i = count / 2; i-- > 0;)
        sink(n, i, count);
    for (size_t i = count; i-- > k && i > 0;) {
        value_number greatest = n[0];

        n[0] = n[i];
        n[i] = greatest;
        sink(n, 0, i);
    }
}

static void result_median(sqlite3_context *ctx, value_number *n, size_t count)
{
    size_t k = count / 2;
    value_number a, b;
    double d, low, high;

    sort_down_to(n, count, k > 0 ? k - 1 : 0);
    b = n[k];
    if (count % 2 == 1 && b.real) {
        sqlite3_result_double(ctx, b.d);
    } else if (count % 2 == 1) {
        sqlite3_result_int64(ctx, b.i);
    } else {
        a = n[k - 1];
        low = a.real ? a.d : (double)a.i;
        high = b.real ? b.d : (double)b.i;
        /* Half of the smallest number is 0, twice the largest is none. */
        d = isfinite(low + high) ? (low + high) / 2 : low / 2 + high / 2;
        sqlite3_result_double(ctx, d);
    }
}

static void median_final(sqlite3_context *ctx)
{
    list_state *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL)
        return;
    if (s->count > 0 && !s->buf.failed)
        result_median(ctx, (value_number *)(void *)s->buf.ptr,
                      (size_t)s->count);
    tako_buf_fini(&s->buf);
}

static void array_agg_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    list_state *s;

    (void)argc;
    if (value_rank_of(argv[0]) == RANK_MISSING || (s = list_begin(ctx)) == NULL)
        return;
    value_put(&s->buf, argv[0]);
    list_end(ctx, s);
}

static void array_agg_final(sqlite3_context *ctx)
{
    list_state *s = sqlite3_aggregate_context(ctx, 0);
    tako_buf head;

    if (s == NULL)
        return;
    head = tako_buf_on(s->buf.env);
    cbor_put_array(&head, s->count);
    tako_buf_insert(&s->buf, 0, tako_buf_slice(&head));
    s->buf.failed = s->buf.failed || head.failed;
    value_result_buf(ctx, &s->buf);
    tako_buf_fini(&head);
    tako_buf_fini(&s->buf);
}

const fn_entry fn_aggregate[] = {
    { "count", 0, 1, NULL, count_step, count_final },
    { "sum", 1, 1, NULL, sum_step, sum_final },
    { "avg", 1, 1, NULL, sum_step, avg_final },
    { "min", 1, 1, NULL, min_step, extreme_final },
    { "max", 1, 1, NULL, max_step, extreme_final },
    { "median", 1, 1, NULL, median_step, median_final },
    { "array_agg", 1, 1, NULL, array_agg_step, array_agg_final },
    { NULL, 0, 0, NULL, NULL, NULL },
};
