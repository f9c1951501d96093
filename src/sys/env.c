// SPDX-License-Identifier: Apache-2.0
/* The process's own world. Nothing here has state, so the functions may be
 * used from any thread and the struct may be copied. */
#include "sys/sys.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sodium.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"

static void *env_realloc(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t;

    TAKO_ASSERT(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t env_wall_ms(void *ctx)
{
    (void)ctx;
    return clock_ms(CLOCK_REALTIME);
}

/* One that goes on while the machine sleeps, where there is one: neighbours'
 * wall clocks are remembered against it. */
static uint64_t env_mono_ms(void *ctx)
{
    (void)ctx;
#ifdef CLOCK_BOOTTIME
    return clock_ms(CLOCK_BOOTTIME);
#else
    return clock_ms(CLOCK_MONOTONIC);
#endif
}

static void env_random(void *ctx, void *buf, size_t len)
{
    uint8_t *p = buf;

    (void)ctx;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            /* Without random bytes keys would be guessable: stop. */
            TAKO_ASSERT(errno == EINTR);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

void sys_env_init(tako_env *out)
{
    /* Chooses libsodium's implementations for this CPU; may be called again
     * and from several threads. */
    TAKO_ASSERT(sodium_init() >= 0);
    *out = (tako_env){ NULL,        env_realloc, env_wall_ms,
                       env_mono_ms, env_random,  NULL };
}

void sys_memory_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0); /* others do by themselves, or cannot */
#endif
}
