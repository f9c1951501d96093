// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_loop.c mirrors src/sys/loop.c: posts, calls, the timer. */
#include "support/test_env.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "sys/sys.h"

static void start(tako_env *env, sys_loop **l, tako_net *net)
{
    sys_env_init(env);
    assert_int_equal(sys_loop_start(env, l, net, NULL), TAKO_OK);
}

static void test_loop__starts_and_stops_many_times(void **state)
{
    tako_env env;
    sys_loop *l[3];
    tako_net net;

    (void)state;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3; i++)
            start(&env, &l[i], &net);
        for (int i = 0; i < 3; i++)
            sys_loop_stop(l[i]);
    }
    sys_loop_stop(NULL);
}

typedef struct poster {
    tako_net *net;
    uint64_t next[4]; /* loop thread: per poster, the number expected */
    bool in_order;
    uint64_t done;
} poster;

typedef struct item {
    poster *p;
    unsigned from;
    uint64_t number;
} item;

static void take_item(void *arg)
{
    item *it = arg;
    poster *p = it->p;

    p->in_order = p->in_order && p->next[it->from] == it->number;
    p->next[it->from]++;
    p->done++;
    free(it);
}

typedef struct post_args {
    poster *p;
    unsigned from;
} post_args;

static void post_many(void *arg)
{
    post_args *a = arg;

    for (uint64_t i = 0; i < 1000; i++) {
        item *it = malloc(sizeof *it);
        *it = (item){ a->p, a->from, i };
        if (a->p->net->post(a->p->net->ctx, take_item, it) != TAKO_OK)
            abort();
    }
}

/* Also: what was posted before the stop has run when stop returns. */
static void test_loop__posts_of_a_thread_run_in_order(void **state)
{
    tako_env env;
    sys_loop *l;
    tako_net net;
    poster p = { &net, { 0 }, true, 0 };
    post_args args[4];
    sys_thread *threads[4];

    (void)state;
    start(&env, &l, &net);
    for (unsigned i = 0; i < 4; i++) {
        args[i] = (post_args){ &p, i };
        assert_int_equal(
            sys_thread_start(&env, post_many, &args[i], &threads[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        sys_thread_join(threads[i]);
    sys_loop_stop(l);
    assert_true(p.in_order);
    assert_int_equal(p.done, 4000);
}

static void note_thread(void *arg)
{
    *(uint64_t *)arg = sys_thread_self();
}

static sys_loop *inner_loop;

static void call_from_inside(void *arg)
{
    uint64_t ignored;

    *(tako_err *)arg = sys_loop_call(inner_loop, note_thread, &ignored);
}

static void test_loop__a_call_runs_on_the_loops_thread(void **state)
{
    tako_env env;
    tako_net net;
    uint64_t a = 0, b = 0;
    tako_err err = TAKO_OK;

    (void)state;
    start(&env, &inner_loop, &net);
    assert_int_equal(sys_loop_call(inner_loop, note_thread, &a), TAKO_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sys_loop_call(inner_loop, note_thread, &b), TAKO_OK);
    assert_true(a == b && a != sys_thread_self());
    assert_int_equal(sys_loop_call(inner_loop, call_from_inside, &err), 0);
    assert_int_equal(err, TAKO_MISUSE);
    sys_loop_stop(inner_loop);
}

typedef struct ticker {
    tako_env env;
    tako_net net;
    uint64_t at;
    _Atomic int early, count;
} ticker;

static void on_tick(void *ctx)
{
    ticker *t = ctx;
    uint64_t now = t->env.mono_ms(t->env.ctx);

    if (now < t->at)
        t->early++;
    if (++t->count < 10) {
        t->at = now + 3;
        t->net.timer(t->net.ctx, t->at, on_tick, t);
    }
}

static void set_timer(void *arg)
{
    ticker *t = arg;

    /* replaced by the next line, so it never runs */
    t->net.timer(t->net.ctx, t->env.mono_ms(t->env.ctx) + 1, on_tick, t);
    t->at = t->env.mono_ms(t->env.ctx) + 20;
    t->net.timer(t->net.ctx, t->at, on_tick, t);
}

static void clear_timer(void *arg)
{
    ticker *t = arg;

    t->net.timer(t->net.ctx, 0, on_tick, t);
    t->net.timer(t->net.ctx, UINT64_MAX, on_tick, t);
}

static void nap(const tako_env *env, uint64_t ms)
{
    sys_mutex *m;
    sys_cond *c;
    uint64_t end = env->mono_ms(env->ctx) + ms;

    assert_int_equal(sys_mutex_new(env, &m), TAKO_OK);
    assert_int_equal(sys_cond_new(env, &c), TAKO_OK);
    sys_mutex_lock(m);
    while (env->mono_ms(env->ctx) < end)
        (void)sys_cond_wait(c, m, end - env->mono_ms(env->ctx));
    sys_mutex_unlock(m);
    sys_cond_free(c);
    sys_mutex_free(m);
}

static void
test_loop__the_timer_is_never_early_and_can_be_replaced(void **state)
{
    ticker t = { .at = 0 };
    sys_loop *l;

    (void)state;
    start(&t.env, &l, &t.net);
    assert_int_equal(sys_loop_call(l, set_timer, &t), TAKO_OK);
    for (int i = 0; i < 500 && t.count < 10; i++)
        nap(&t.env, 5);
    assert_int_equal(t.count, 10);
    assert_int_equal(t.early, 0);
    assert_int_equal(sys_loop_call(l, clear_timer, &t), TAKO_OK);
    nap(&t.env, 10);
    assert_int_equal(t.count, 10);
    sys_loop_stop(l);
}

static void test_loop__without_memory_it_does_not_start(void **state)
{
    test_env t;
    sys_loop *l;
    tako_net net;

    (void)state;
    test_env_init(&t, 1);
    for (long nth = 0;; nth++) {
        tako_err err;

        assert_true(nth < 50);
        t.fail_after = nth;
        err = sys_loop_start(&t.env, &l, &net, NULL);
        t.fail_after = -1;
        if (err == TAKO_OK)
            break;
        assert_int_equal(err, TAKO_NOMEM);
        test_env_check_empty(&t);
    }
    sys_loop_stop(l);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop__starts_and_stops_many_times),
        cmocka_unit_test(test_loop__posts_of_a_thread_run_in_order),
        cmocka_unit_test(test_loop__a_call_runs_on_the_loops_thread),
        cmocka_unit_test(
            test_loop__the_timer_is_never_early_and_can_be_replaced),
        cmocka_unit_test(test_loop__without_memory_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
