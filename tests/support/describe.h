// SPDX-License-Identifier: Apache-2.0
/* DESCRIBE -- messages of a session as test vectors: what is in one, read by the
 * table in docs/protocol.md (section 2) and by none of the code that is tested.
 * tests/protocol/vectors_kinds.py reads the same in its own way.
 *
 * What has vectors of its own is left as bytes: records and entries. */
#ifndef TAKO_TESTS_DESCRIBE_H
#define TAKO_TESTS_DESCRIBE_H

#include "support/vectors.h"

#define DESCRIBE_KINDS 64

/* Takes the first messages of each kind that go by. */
typedef struct describer {
    tako_buf *out;
    uint64_t kinds; /* bits: which of them */
    unsigned most;  /* of each kind */
    unsigned taken[DESCRIBE_KINDS];
} describer;

/* Appends one as a vector. Fails the test where it is not as the table says. */
void describe(tako_buf *out, unsigned lane, tako_slice message);

/* The same, if it is one that is looked for; ctx: a describer. */
void describe_passing(void *ctx, unsigned lane, tako_slice message);

#endif /* TAKO_TESTS_DESCRIBE_H */
