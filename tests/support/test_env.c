// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *env_realloc(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    test_env *t = ctx;
    void *p;

    if (new_size == 0) {
        if (ptr != NULL) {
            t->live_bytes -= old_size;
            t->live_blocks--;
        }
        free(ptr);
        return NULL;
    }
    if (t->fail_after >= 0 && t->fail_after-- == 0) {
        t->failed_once = true;
        return NULL;
    }
    p = realloc(ptr, new_size);
    if (p == NULL)
        return NULL;
    t->live_bytes += new_size - old_size;
    if (ptr == NULL)
        t->live_blocks++;
    return p;
}

static uint64_t env_wall_ms(void *ctx)
{
    return ((test_env *)ctx)->wall_ms;
}

static uint64_t env_mono_ms(void *ctx)
{
    return ((test_env *)ctx)->mono_ms;
}

static void env_random(void *ctx, void *buf, size_t len)
{
    unsigned char *p = buf;

    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)(test_random(ctx) >> 32);
}

void test_env_init(test_env *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->env = (tako_env){ t,           env_realloc, env_wall_ms,
                         env_mono_ms, env_random,  NULL };
    t->fail_after = -1;
    t->wall_ms = 1700000000000u;
    t->mono_ms = 1000;
    t->seed = seed;
}

void test_env_check_empty(const test_env *t)
{
    if (t->live_blocks != 0)
        fail_msg("%zu blocks, %zu bytes were not freed", t->live_blocks,
                 t->live_bytes);
}

uint64_t test_random(test_env *t)
{
    uint64_t z = (t->seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t test_seed(uint64_t fallback)
{
    const char *text = getenv("TAKO_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : fallback;

    (void)fprintf(stderr, "seed %llu (set TAKO_TEST_SEED to replay)\n",
                  (unsigned long long)seed);
    return seed;
}
