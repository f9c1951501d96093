// SPDX-License-Identifier: Apache-2.0
/* Threads of the library run with all signals blocked, so that the embedding
 * program's handlers stay on its own threads and a write to a closed socket
 * can never kill the process: SIGPIPE is directed at the thread that wrote,
 * where it stays pending. */
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/check.h"

/* Address space, not memory: pages are only used when touched. SQLite's parser
 * and sanitizers' frames both fit. */
#define SYS_THREAD_STACK_BYTES (2u << 20)

struct sys_mutex {
    const tako_env *env;
    pthread_mutex_t handle;
};

struct sys_cond {
    const tako_env *env;
    pthread_cond_t handle;
};

struct sys_thread {
    const tako_env *env;
    pthread_t handle;
    void (*fn)(void *arg);
    void *arg;
};

tako_err sys_mutex_new(const tako_env *env, sys_mutex **out)
{
    sys_mutex *m = tako_env_alloc(env, sizeof *m);

    if (m == NULL)
        return TAKO_NOMEM;
    m->env = env;
    if (pthread_mutex_init(&m->handle, NULL) != 0) {
        tako_env_free(env, m, sizeof *m);
        return TAKO_NOMEM;
    }
    *out = m;
    return TAKO_OK;
}

void sys_mutex_free(sys_mutex *m)
{
    if (m == NULL)
        return;
    TAKO_ASSERT(pthread_mutex_destroy(&m->handle) == 0);
    tako_env_free(m->env, m, sizeof *m);
}

void sys_mutex_lock(sys_mutex *m)
{
    TAKO_ASSERT(pthread_mutex_lock(&m->handle) == 0);
}

bool sys_mutex_trylock(sys_mutex *m)
{
    return pthread_mutex_trylock(&m->handle) == 0;
}

void sys_mutex_unlock(sys_mutex *m)
{
    TAKO_ASSERT(pthread_mutex_unlock(&m->handle) == 0);
}

tako_err sys_cond_new(const tako_env *env, sys_cond **out)
{
    sys_cond *c = tako_env_alloc(env, sizeof *c);
    pthread_condattr_t attr;
    int rc;

    if (c == NULL)
        return TAKO_NOMEM;
    c->env = env;
    if (pthread_condattr_init(&attr) != 0)
        goto fail;
    /* A wait must not end early because somebody set the wall clock. */
    TAKO_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    rc = pthread_cond_init(&c->handle, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0)
        goto fail;
    *out = c;
    return TAKO_OK;
fail:
    tako_env_free(env, c, sizeof *c);
    return TAKO_NOMEM;
}

void sys_cond_free(sys_cond *c)
{
    if (c == NULL)
        return;
    TAKO_ASSERT(pthread_cond_destroy(&c->handle) == 0);
    tako_env_free(c->env, c, sizeof *c);
}

void sys_cond_signal(sys_cond *c)
{
    TAKO_ASSERT(pthread_cond_signal(&c->handle) == 0);
}

void sys_cond_broadcast(sys_cond *c)
{
    TAKO_ASSERT(pthread_cond_broadcast(&c->handle) == 0);
}

/* Waits longer than this are waits for ever; keeps time_t from overflowing. */
#define COND_FOREVER_MS (UINT64_C(1000) * 86400u * 365u)

bool sys_cond_wait(sys_cond *c, sys_mutex *m, uint64_t timeout_ms)
{
    struct timespec at;
    int rc;

    if (timeout_ms >= COND_FOREVER_MS) {
        TAKO_ASSERT(pthread_cond_wait(&c->handle, &m->handle) == 0);
        return true;
    }
    TAKO_ASSERT(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
    at.tv_sec += (time_t)(timeout_ms / 1000u);
    at.tv_nsec += (long)(timeout_ms % 1000u) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_nsec -= 1000000000L;
        at.tv_sec++;
    }
    rc = pthread_cond_timedwait(&c->handle, &m->handle, &at);
    TAKO_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

static void *thread_main(void *arg)
{
    sys_thread *t = arg;

    t->fn(t->arg);
    return NULL;
}

tako_err sys_thread_start(const tako_env *env, void (*fn)(void *arg), void *arg,
                          sys_thread **out)
{
    sys_thread *t = tako_env_alloc(env, sizeof *t);
    pthread_attr_t attr;
    sigset_t all, before;
    int rc;

    if (t == NULL)
        return TAKO_NOMEM;
    t->env = env;
    t->fn = fn;
    t->arg = arg;
    if (pthread_attr_init(&attr) != 0) {
        tako_env_free(env, t, sizeof *t);
        return TAKO_NOMEM;
    }
    (void)pthread_attr_setstacksize(&attr, SYS_THREAD_STACK_BYTES);
    (void)sigfillset(&all);
    TAKO_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    rc = pthread_create(&t->handle, &attr, thread_main, t);
    TAKO_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        tako_env_free(env, t, sizeof *t);
        return TAKO_NOMEM;
    }
    *out = t;
    return TAKO_OK;
}

void sys_thread_join(sys_thread *t)
{
    if (t == NULL)
        return;
    TAKO_ASSERT(pthread_join(t->handle, NULL) == 0);
    tako_env_free(t->env, t, sizeof *t);
}

uint64_t sys_thread_self(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}
