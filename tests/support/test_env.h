// SPDX-License-Identifier: Apache-2.0
/* TEST_ENV -- a tako_env for tests: allocations are counted and the n-th can
 * be made to fail, clocks are plain variables, random comes from a seed. */
#ifndef TAKO_TESTS_TEST_ENV_H
#define TAKO_TESTS_TEST_ENV_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include "base/env.h"

typedef struct test_env {
    tako_env env;      /* give &t.env to the code under test */
    size_t live_bytes; /* allocated and not freed */
    size_t live_blocks;
    long
        fail_after; /* so many allocations succeed, the next fails; <0: never */
    bool failed_once; /* an allocation was refused */
    uint64_t wall_ms;
    uint64_t mono_ms;
    uint64_t seed;
} test_env;

/* Wall clock 1,700,000,000,000, mono 1000, seed as given. */
void test_env_init(test_env *t, uint64_t seed);

/* Fails the test when something was not freed. */
void test_env_check_empty(const test_env *t);

/* The next number of the seeded generator (splitmix64). */
uint64_t test_random(test_env *t);
static inline uint64_t test_below(test_env *t, uint64_t n)
{
    return test_random(t) % n;
}

/* Seed of a randomised test: TAKO_TEST_SEED, else `fallback`; printed. */
uint64_t test_seed(uint64_t fallback);

#endif /* TAKO_TESTS_TEST_ENV_H */
