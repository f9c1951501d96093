// SPDX-License-Identifier: Apache-2.0
/* DURATION -- lengths of time as text, pure: 1d2h3m4.005s, P1DT2H3M4.005S.
 * In milliseconds; months and years have no fixed length and are none. */
#ifndef TAKO_QUERY_DURATION_H
#define TAKO_QUERY_DURATION_H

#include "base/slice.h"

#define DURATION_TEXT_BYTES 64u /* of duration_print, with its NUL */

typedef enum duration_style {
    DURATION_SHORT, /* 1d2h3m4.005s */
    DURATION_ISO,   /* P1DT2H3M4.005S */
    DURATION_CLOCK, /* 26:03:04.005 */
} duration_style;

/* A sign, then numbers with w d h m s ms, or ISO 8601 with W D T H M S. A
 * number may have a fraction; less than a millisecond is cut. False for
 * anything else, and when it does not fit. */
bool duration_parse(tako_slice text, int64_t *ms);
/* Returns the length. */
size_t duration_print(int64_t ms, duration_style style,
                      char out[DURATION_TEXT_BYTES]);

#endif /* TAKO_QUERY_DURATION_H */
