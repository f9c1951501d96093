// SPDX-License-Identifier: Apache-2.0
/* NUMBER -- numbers as TQL writes them, whatever the program's locale is:
 * [sign] digits [. digits] [e [sign] digits], digits on one side of the point
 * at least. */
#ifndef TAKO_QUERY_NUMBER_H
#define TAKO_QUERY_NUMBER_H

#include "base/slice.h"

typedef struct number_text {
    bool whole; /* no point, no exponent, and it fits in 64 bits */
    int64_t integer;
    double real; /* the nearest, also of a whole one */
} number_text;

/* The whole of `text`. False when it is no number, or beyond the range. */
bool number_parse(tako_slice text, number_text *out);

#endif /* TAKO_QUERY_NUMBER_H */
