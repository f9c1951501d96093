// SPDX-License-Identifier: Apache-2.0
/* A narrow format has `mant` bits of mantissa and `exps` bits of exponent.
 * Widening: a normal number gets a new bias; a subnormal m * 2^(emin - mant)
 * is normalised. Narrowing undoes the same, and is exact only where no bit
 * that is set would be shifted out. */
#include "codec/cbor_float.h"

#define DOUBLE_MANT 52
#define DOUBLE_BIAS 1023
#define DOUBLE_EXPS 0x7ffu

typedef struct narrow_form {
    int mant;
    int exps;
} narrow_form;

static const narrow_form form_half = { 10, 5 };
static const narrow_form form_single = { 23, 8 };

static double widen(uint64_t bits, narrow_form f)
{
    int bias = (1 << (f.exps - 1)) - 1;
    uint64_t sign = bits >> (f.mant + f.exps) << 63;
    uint64_t exp = bits >> f.mant & (((uint64_t)1 << f.exps) - 1);
    uint64_t mant = bits & (((uint64_t)1 << f.mant) - 1);
    uint64_t out;
    double v;

    if (exp == ((uint64_t)1 << f.exps) - 1) {
        exp = DOUBLE_EXPS; /* infinity and NaN */
    } else if (exp != 0) {
        exp += (uint64_t)(DOUBLE_BIAS - bias);
    } else if (mant != 0) {
        exp = (uint64_t)(DOUBLE_BIAS - bias + 1);
        while (mant >> f.mant == 0) {
            mant <<= 1;
            exp--;
        }
        mant &= ((uint64_t)1 << f.mant) - 1;
    }
    out = sign | exp << DOUBLE_MANT | mant << (DOUBLE_MANT - f.mant);
    memcpy(&v, &out, sizeof v);
    return v;
}

static bool narrow(double v, narrow_form f, uint64_t *out)
{
    int bias = (1 << (f.exps - 1)) - 1, drop = DOUBLE_MANT - f.mant, exp;
    uint64_t bits, sign, mant;

    memcpy(&bits, &v, sizeof bits);
    sign = bits >> 63 << (f.mant + f.exps);
    mant = bits & (((uint64_t)1 << DOUBLE_MANT) - 1);
    exp = (int)(bits >> DOUBLE_MANT & DOUBLE_EXPS);
    if (exp == 0) { /* zero; a subnormal double is far below any narrow one */
        *out = sign;
        return mant == 0;
    }
    exp += bias - DOUBLE_BIAS;
    if (exp >= (1 << f.exps) - 1)
        return false;
    if (exp <= 0) { /* subnormal there: the leading one becomes explicit */
        if (exp < -f.mant)
            return false;
        mant |= (uint64_t)1 << DOUBLE_MANT;
        drop += 1 - exp;
        exp = 0;
    }
    if ((mant & (((uint64_t)1 << drop) - 1)) != 0)
        return false;
    *out = sign | (uint64_t)exp << f.mant | mant >> drop;
    return true;
}

double cbor_float_of_half(uint16_t half)
{
    return widen(half, form_half);
}

double cbor_float_of_single(uint32_t single)
{
    return widen(single, form_single);
}

bool cbor_float_to_half(double v, uint16_t *half)
{
    uint64_t bits;

    if (!narrow(v, form_half, &bits))
        return false;
    *half = (uint16_t)bits;
    return true;
}

bool cbor_float_to_single(double v, uint32_t *single)
{
    uint64_t bits;

    if (!narrow(v, form_single, &bits))
        return false;
    *single = (uint32_t)bits;
    return true;
}
