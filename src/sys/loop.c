// SPDX-License-Identifier: Apache-2.0
/* The event loop: one thread, one libuv loop, one table of functions.
 *
 * Posts. Any thread appends to `posts` under the mutex and wakes the loop;
 * the loop swaps the array with an empty one and runs it in order. So a post
 * costs an append, and a burst costs one wake-up.
 *
 * Wake-ups are a byte in a pipe, written after the mutex, on which the loop would
 * go to sleep again (uv_async_send is no better: until it has returned, the loop
 * spins). `waking` keeps the pipe open meanwhile.
 *
 * End. sys_loop_stop() refuses new posts and wakes the loop, which runs what
 * was posted before, closes all handles (each stream's on_close runs on the
 * way), and returns from uv_run when none is left. Name look-ups under way
 * are let go (lookup.c), so stopping never waits for the network. */
#include "sys/loop.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "base/check.h"

static void mutex_lock(sys_loop *l)
{
    TAKO_ASSERT(pthread_mutex_lock(&l->mutex) == 0);
}

static void mutex_unlock(sys_loop *l)
{
    TAKO_ASSERT(pthread_mutex_unlock(&l->mutex) == 0);
}

/* ---- posts -------------------------------------------------------------- */

static tako_err posts_add(const tako_env *env, sys_posts *p, sys_post post)
{
    if (p->count == p->cap) {
        size_t cap = p->cap == 0 ? 16 : p->cap * 2;
        sys_post *at = env->realloc(env->ctx, p->at, p->cap * sizeof *at,
                                    cap * sizeof *at);
        if (at == NULL)
            return TAKO_NOMEM;
        p->at = at;
        p->cap = cap;
    }
    p->at[p->count++] = post;
    return TAKO_OK;
}

static void posts_fini(const tako_env *env, sys_posts *p)
{
    tako_env_free(env, p->at, p->cap * sizeof *p->at);
    *p = (sys_posts){ NULL, 0, 0 };
}

/* With the mutex held. True: wake() is to be called without it. */
static bool wake_owed(sys_loop *l)
{
    if (l->woken)
        return false;
    l->woken = true;
    (void)atomic_fetch_add(&l->waking, 1u);
    return true;
}

static void wake(sys_loop *l)
{
    ssize_t n;

    do {
        n = write(l->wake_fds[1], "", 1);
    } while (n < 0 && errno == EINTR);
    TAKO_ASSERT(n == 1);
    (void)atomic_fetch_sub(&l->waking, 1u);
}

void loop_wake(sys_loop *l)
{
    bool owed;

    mutex_lock(l);
    owed = wake_owed(l);
    mutex_unlock(l);
    if (owed)
        wake(l);
}

static tako_err loop_post(void *ctx, void (*fn)(void *arg), void *arg)
{
    sys_loop *l = ctx;
    tako_err err;
    bool owed;

    mutex_lock(l);
    err = l->stopping ? TAKO_CLOSED
                      : posts_add(l->env, &l->posts, (sys_post){ fn, arg });
    owed = err == TAKO_OK && wake_owed(l);
    mutex_unlock(l);
    if (owed)
        wake(l);
    return err;
}

static void close_handles(sys_loop *l)
{
    l->closing = true;
    tcp_close_all(l);
    lookup_abandon_all(l);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->flush, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    sys_loop *l = poll->data;
    char bytes[16];
    sys_posts run;
    bool stopping;

    (void)status;
    (void)events;
    (void)!read(l->wake_fds[0], bytes, sizeof bytes);
    mutex_lock(l);
    l->woken = false;
    run = l->posts;
    l->posts = l->running;
    l->running = (sys_posts){ NULL, 0, 0 };
    stopping = l->stopping;
    mutex_unlock(l);

    for (size_t i = 0; i < run.count; i++)
        run.at[i].fn(run.at[i].arg);
    run.count = 0;
    if (run.cap > SYS_POSTS_KEEP)
        posts_fini(l->env, &run);
    l->running = run;

    lookup_collect(l);
    if (stopping && !l->closing)
        close_handles(l);
}

/* ---- timer -------------------------------------------------------------- */

static void timer_arm(sys_loop *l);

static void on_timer(uv_timer_t *timer)
{
    sys_loop *l = timer->data;

    /* libuv's clock is coarser than ours and may be early by a little. */
    if (l->env->mono_ms(l->env->ctx) < l->timer_at) {
        timer_arm(l);
        return;
    }
    l->timer_at = UINT64_MAX;
    l->timer_fn(l->timer_ctx);
}

static void timer_arm(sys_loop *l)
{
    uint64_t now = l->env->mono_ms(l->env->ctx);

    uv_update_time(&l->uv);
    (void)uv_timer_start(&l->timer, on_timer,
                         l->timer_at > now ? l->timer_at - now : 0, 0);
}

static void loop_timer(void *ctx, uint64_t at_ms, void (*fn)(void *),
                       void *timer_ctx)
{
    sys_loop *l = ctx;

    l->timer_at = at_ms;
    l->timer_fn = fn;
    l->timer_ctx = timer_ctx;
    if (l->closing)
        return;
    if (at_ms == UINT64_MAX)
        (void)uv_timer_stop(&l->timer);
    else
        timer_arm(l);
}

/* ---- life --------------------------------------------------------------- */

static void loop_main(void *arg)
{
    sys_loop *l = arg;

    mutex_lock(l);
    l->thread_id = sys_thread_self();
    mutex_unlock(l);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    TAKO_ASSERT(l->closing && l->streams == NULL && l->listeners == NULL);
}

static void loop_free(sys_loop *l)
{
    const tako_env *env = l->env;

    for (size_t i = 0; i < 2; i++)
        if (l->wake_fds[i] >= 0)
            (void)close(l->wake_fds[i]);
    posts_fini(env, &l->posts);
    posts_fini(env, &l->running);
    tako_env_free(env, l->read_buf, SYS_READ_BYTES);
    tako_env_free(env, l, sizeof *l);
}

static int wake_init(sys_loop *l)
{
    int rc = uv_pipe(l->wake_fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE);

    if (rc == 0)
        rc = uv_poll_init(&l->uv, &l->wake, l->wake_fds[0]);
    if (rc == 0)
        rc = uv_poll_start(&l->wake, UV_READABLE, on_wake);
    return rc;
}

tako_err sys_loop_start(const tako_env *env, sys_loop **out, tako_net *net,
                        tako_errbuf *e)
{
    sys_loop *l = tako_env_alloc(env, sizeof *l);
    int rc;

    if (l == NULL)
        return TAKO_NOMEM;
    l->env = env;
    l->timer_at = UINT64_MAX;
    l->wake_fds[0] = l->wake_fds[1] = -1;
    /* not zeroed, so that pages that no read fills are never touched */
    l->read_buf = env->realloc(env->ctx, NULL, 0, SYS_READ_BYTES);
    if (l->read_buf == NULL || pthread_mutex_init(&l->mutex, NULL) != 0) {
        loop_free(l);
        return TAKO_NOMEM;
    }
    rc = uv_loop_init(&l->uv);
    if (rc != 0)
        goto fail;
    rc = wake_init(l);
    if (rc != 0) {
        (void)uv_loop_close(&l->uv);
        goto fail;
    }
    (void)uv_timer_init(&l->uv, &l->timer);
    (void)uv_idle_init(&l->uv, &l->flush);
    l->wake.data = l->timer.data = l->flush.data = l;

    if (sys_thread_start(env, loop_main, l, &l->thread) != TAKO_OK) {
        close_handles(l);
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
        TAKO_ASSERT(uv_loop_close(&l->uv) == 0);
        rc = UV_ENOMEM;
        goto fail;
    }
    tcp_net_init(net);
    net->ctx = l;
    net->timer = loop_timer;
    net->post = loop_post;
    *out = l;
    return TAKO_OK;
fail:
    (void)pthread_mutex_destroy(&l->mutex);
    loop_free(l);
    return rc == UV_ENOMEM
               ? TAKO_NOMEM
               : tako_fail(e, TAKO_IO, "no event loop: %s", uv_strerror(rc));
}

typedef struct loop_wait {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    void (*fn)(void *arg);
    void *arg;
} loop_wait;

static void run_and_tell(void *arg)
{
    loop_wait *w = arg;

    w->fn(w->arg);
    TAKO_ASSERT(pthread_mutex_lock(&w->mutex) == 0);
    w->done = true;
    /* Before the unlock: after it the waiter's stack frame may be gone. */
    (void)pthread_cond_signal(&w->cond);
    TAKO_ASSERT(pthread_mutex_unlock(&w->mutex) == 0);
}

static bool on_loop_thread(sys_loop *l)
{
    bool here;

    mutex_lock(l);
    here = l->thread_id == sys_thread_self();
    mutex_unlock(l);
    return here;
}

tako_err sys_loop_call(sys_loop *l, void (*fn)(void *arg), void *arg)
{
    loop_wait w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false,
                    fn, arg };
    tako_err err;

    TAKO_ARG(!on_loop_thread(l));
    err = loop_post(l, run_and_tell, &w);
    if (err == TAKO_OK) {
        TAKO_ASSERT(pthread_mutex_lock(&w.mutex) == 0);
        while (!w.done)
            TAKO_ASSERT(pthread_cond_wait(&w.cond, &w.mutex) == 0);
        TAKO_ASSERT(pthread_mutex_unlock(&w.mutex) == 0);
    }
    (void)pthread_cond_destroy(&w.cond);
    (void)pthread_mutex_destroy(&w.mutex);
    return err;
}

void sys_loop_stop(sys_loop *l)
{
    if (l == NULL)
        return;
    TAKO_ASSERT(!on_loop_thread(l));
    mutex_lock(l);
    l->stopping = true;
    mutex_unlock(l);
    loop_wake(l);
    sys_thread_join(l->thread);
    while (atomic_load(&l->waking) > 0)
        (void)sched_yield(); /* no more begin: it is stopping */
    TAKO_ASSERT(uv_loop_close(&l->uv) == 0);
    (void)pthread_mutex_destroy(&l->mutex);
    loop_free(l);
}
