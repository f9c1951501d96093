// SPDX-License-Identifier: Apache-2.0
/* DECIMAL -- doubles to and from decimal digits, exactly, in integer
 * arithmetic alone: neither the locale nor the rounding mode matters. */
#ifndef TAKO_CODEC_DECIMAL_H
#define TAKO_CODEC_DECIMAL_H

#include "base/slice.h"

#define DECIMAL_DIGITS_MAX 19u /* that always fit in `digits` */

/* A decimal number as a parser met it: digits * 10^exp10, where `digits` are
 * the first significant ones, at most DECIMAL_DIGITS_MAX. */
typedef struct decimal_text {
    uint64_t digits;
    int64_t exp10;
    bool cut;            /* digits that are not zero were left out */
    tako_slice mantissa; /* all digits, with at most one '.' between */
    int64_t exponent;    /* what was written after the 'e', else 0 */
} decimal_text;

/* The double nearest to a positive or zero number, ties to even. A number too
 * small becomes 0. False when it is beyond the largest double. */
bool decimal_to_double(const decimal_text *d, double *out);

/* The shortest digits that read back as v, and among those the nearest:
 * v ~ digits * 10^exp10, no zero at the end. v is finite and > 0. */
void decimal_shortest(double v, uint64_t *digits, int *exp10);

#endif /* TAKO_CODEC_DECIMAL_H */
