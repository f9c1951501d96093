// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_RANDOM -- random values of every kind, with a liking for the edges
 * of encodings. */
#ifndef TAKO_TESTS_CODEC_SUPPORT_RANDOM_H
#define TAKO_TESTS_CODEC_SUPPORT_RANDOM_H

#include "support/test_env.h"

#include "base/buf.h"

/* Any finite double: random bits, short decimals, whole numbers, edges. */
double support_random_double(test_env *t);

/* Random well-formed text of up to `max` characters, appended raw. */
void support_random_text(test_env *t, tako_buf *out, size_t max);

/* A random value in deterministic CBOR, at most `depth` deep, appended. */
void support_random_value(test_env *t, tako_buf *out, unsigned depth);

#endif /* TAKO_TESTS_CODEC_SUPPORT_RANDOM_H */
