// SPDX-License-Identifier: Apache-2.0
/* Arithmetic and the numeric functions. Two integers give an integer, also
 * when divided; where that does not fit in 64 bits the result is the nearest
 * float, as in SQLite. Division by zero, and a result that is no finite
 * number, is MISSING. */
#include "query/functions.h"

#include <math.h>

#include "query/ast.h"

static bool is_number(sqlite3_value *v)
{
    int t = sqlite3_value_type(v);

    return t == SQLITE_INTEGER || t == SQLITE_FLOAT;
}

static void result_real(sqlite3_context *ctx, double d)
{
    if (isfinite(d))
        sqlite3_result_double(ctx, d);
}

/* True when the exact integer result fits. */
static bool integer(arith_op op, int64_t a, int64_t b, int64_t *r)
{
    switch (op) {
    case ARITH_ADD:
        return !__builtin_add_overflow(a, b, r);
    case ARITH_SUB:
        return !__builtin_sub_overflow(a, b, r);
    case ARITH_MUL:
        return !__builtin_mul_overflow(a, b, r);
    case ARITH_DIV:
        if (a == INT64_MIN && b == -1)
            return false;
        *r = a / b;
        return true;
    case ARITH_REM:
        *r = b == -1 ? 0 : a % b;
        return true;
    case ARITH_CONCAT:
        break;
    }
    return false;
}

typedef struct number {
    bool whole;
    int64_t i;
    double d;
} number;

static number number_of(sqlite3_value *v)
{
    if (sqlite3_value_type(v) == SQLITE_INTEGER)
        return (number){ true, sqlite3_value_int64(v),
                         sqlite3_value_double(v) };
    return (number){ false, 0, sqlite3_value_double(v) };
}

/* *a becomes a op b; false when that is no number. */
static bool step(arith_op op, number *a, number b)
{
    if (b.d == 0 && (op == ARITH_DIV || op == ARITH_REM))
        return false;
    if (a->whole && b.whole && integer(op, a->i, b.i, &a->i)) {
        a->d = (double)a->i;
        return true;
    }
    a->whole = false;
    switch (op) {
    case ARITH_ADD:
        a->d += b.d;
        break;
    case ARITH_SUB:
        a->d -= b.d;
        break;
    case ARITH_MUL:
        a->d *= b.d;
        break;
    case ARITH_DIV:
        a->d /= b.d;
        break;
    case ARITH_REM:
        a->d = fmod(a->d, b.d);
        break;
    case ARITH_CONCAT:
        break;
    }
    return isfinite(a->d);
}

/* tql_add(a, b, c): from the left, as a + b + c. */
static void arith(sqlite3_context *ctx, int argc, sqlite3_value **argv,
                  arith_op op)
{
    number sum;

    for (int i = 0; i < argc; i++) {
        if (!is_number(argv[i]))
            return;
    }
    sum = number_of(argv[0]);
    for (int i = 1; i < argc; i++) {
        if (!step(op, &sum, number_of(argv[i])))
            return;
    }
    if (sum.whole)
        sqlite3_result_int64(ctx, sum.i);
    else
        sqlite3_result_double(ctx, sum.d);
}

#define ARITHMETIC(name, op)                                                   \
    static void name(sqlite3_context *ctx, int argc, sqlite3_value **argv)     \
    {                                                                          \
        arith(ctx, argc, argv, op);                                            \
    }
ARITHMETIC(run_add, ARITH_ADD)
ARITHMETIC(run_sub, ARITH_SUB)
ARITHMETIC(run_mul, ARITH_MUL)
ARITHMETIC(run_div, ARITH_DIV)
ARITHMETIC(run_rem, ARITH_REM)

static void run_neg(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (!is_number(argv[0]))
        return;
    if (sqlite3_value_type(argv[0]) == SQLITE_INTEGER &&
        sqlite3_value_int64(argv[0]) > INT64_MIN)
        sqlite3_result_int64(ctx, -sqlite3_value_int64(argv[0]));
    else
        result_real(ctx, -sqlite3_value_double(argv[0]));
}

static void run_abs(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    if (!is_number(argv[0]))
        return;
    if (sqlite3_value_double(argv[0]) < 0)
        run_neg(ctx, argc, argv);
    else
        sqlite3_result_value(ctx, argv[0]);
}

/* Rounding keeps the kind: a float stays a float. */
static void run_ceil(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_FLOAT)
        result_real(ctx, ceil(sqlite3_value_double(argv[0])));
    else if (is_number(argv[0]))
        sqlite3_result_value(ctx, argv[0]);
}

static void run_floor(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_FLOAT)
        result_real(ctx, floor(sqlite3_value_double(argv[0])));
    else if (is_number(argv[0]))
        sqlite3_result_value(ctx, argv[0]);
}

/* To a multiple of 10^places, exactly: doubles would lose low digits. */
static void round_integer(sqlite3_context *ctx, int64_t v, int64_t places)
{
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    uint64_t unit = 1, rest;

    if (places > 19) { /* beyond twice the largest integer */
        sqlite3_result_int64(ctx, 0);
        return;
    }
    for (int64_t i = 0; i < places; i++)
        unit *= 10;
    rest = size % unit;
    size -= rest;
    if (rest >= unit - rest)
        size += unit;
    if (size <= INT64_MAX)
        sqlite3_result_int64(ctx, v < 0 ? -(int64_t)size : (int64_t)size);
    else
        result_real(ctx, v < 0 ? -(double)size : (double)size);
}

/* round(x [, digits]): halves away from zero. */
static void run_round(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int64_t digits = 0;
    double d, scale;

    if (!is_number(argv[0]))
        return;
    if (argc > 1) {
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER)
            return;
        digits = sqlite3_value_int64(argv[1]);
    }
    if (digits < -300 || digits > 300)
        return;
    if (sqlite3_value_type(argv[0]) == SQLITE_INTEGER) {
        if (digits >= 0)
            sqlite3_result_value(ctx, argv[0]);
        else
            round_integer(ctx, sqlite3_value_int64(argv[0]), -digits);
        return;
    }
    d = sqlite3_value_double(argv[0]);
    scale = pow(10, fabs((double)digits));
    if (digits < 0)
        d = round(d / scale) * scale;
    else if (fabs(d) < 9007199254740992.0 && isfinite(d * scale))
        d = round(d * scale) / scale;
    result_real(ctx, d);
}

const fn_entry fn_number[] = {
    { "abs", 1, 1, run_abs, NULL, NULL },
    { "ceil", 1, 1, run_ceil, NULL, NULL },
    { "floor", 1, 1, run_floor, NULL, NULL },
    { "round", 1, 2, run_round, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};

const fn_entry fn_arith[] = {
    { "add", 2, 100, run_add, NULL, NULL },
    { "sub", 2, 100, run_sub, NULL, NULL },
    { "mul", 2, 100, run_mul, NULL, NULL },
    { "div", 2, 100, run_div, NULL, NULL },
    { "rem", 2, 100, run_rem, NULL, NULL },
    { "neg", 1, 1, run_neg, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
