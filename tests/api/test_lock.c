// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include "api/api.h"

typedef struct world {
    tako_env env;
    api_lock lock;
} world;

static int setup(void **state)
{
    static world w;

    sys_env_init(&w.env);
    *state = &w;
    return api_lock_init(&w.lock, &w.env) == TAKO_OK ? 0 : 1;
}

static int teardown(void **state)
{
    api_lock_fini(&((world *)*state)->lock);
    return 0;
}

static void test_lock__times_out_as_busy_when_it_is_held(void **state)
{
    world *w = *state;
    uint64_t start;

    assert_int_equal(api_lock_take(&w->lock, 0, false), TAKO_OK);
    assert_int_equal(api_lock_take(&w->lock, 0, false), TAKO_BUSY);
    start = w->env.mono_ms(w->env.ctx);
    assert_int_equal(api_lock_take(&w->lock, 30, false), TAKO_BUSY);
    assert_in_range(w->env.mono_ms(w->env.ctx) - start, 29, 5000);
    api_lock_release(&w->lock);
    assert_int_equal(api_lock_take(&w->lock, 0, true), TAKO_OK);
    api_lock_release(&w->lock);
}

typedef struct taker {
    world *w;
    bool loop;
    unsigned place; /* in which order it came in */
    atomic_uint *turn;
    tako_err err;
    sys_thread *thread;
} taker;

static void take(void *arg)
{
    taker *t = arg;

    t->err = api_lock_take(&t->w->lock, UINT64_MAX, t->loop);
    if (t->err != TAKO_OK)
        return;
    t->place = atomic_fetch_add(t->turn, 1u);
    sleep_ms(1);
    api_lock_release(&t->w->lock);
}

static size_t waiting(world *w)
{
    size_t n = 0;

    sys_mutex_lock(w->lock.mutex);
    for (const api_waiter *at = w->lock.first; at != NULL; at = at->next)
        n++;
    sys_mutex_unlock(w->lock.mutex);
    return n;
}

/* Starts one and waits until it stands in the list. */
static void take_later(world *w, taker *t)
{
    size_t before = waiting(w);

    assert_int_equal(sys_thread_start(&w->env, take, t, &t->thread), TAKO_OK);
    while (waiting(w) == before)
        sleep_ms(1);
}

static void test_lock__serves_in_the_order_of_coming(void **state)
{
    enum { TAKERS = 6 };
    world *w = *state;
    atomic_uint turn;
    taker t[TAKERS];

    atomic_init(&turn, 0);
    assert_int_equal(api_lock_take(&w->lock, 0, false), TAKO_OK);
    for (unsigned i = 0; i < TAKERS; i++) {
        t[i] = (taker){ w, i % 2 == 0, 99, &turn, TAKO_OK, NULL };
        take_later(w, &t[i]);
    }
    api_lock_release(&w->lock);
    for (unsigned i = 0; i < TAKERS; i++) {
        sys_thread_join(t[i].thread);
        assert_int_equal(t[i].err, TAKO_OK);
        assert_int_equal(t[i].place, i);
    }
}

static void test_lock__refuses_the_loop_and_only_it(void **state)
{
    world *w = *state;
    atomic_uint turn;
    taker loop = { w, true, 99, &turn, TAKO_OK, NULL };
    taker other = { w, false, 99, &turn, TAKO_OK, NULL };

    atomic_init(&turn, 0);
    assert_int_equal(api_lock_take(&w->lock, 0, false), TAKO_OK);
    take_later(w, &loop);
    take_later(w, &other);
    api_lock_refuse_loop(&w->lock, true);
    sys_thread_join(loop.thread);
    assert_int_equal(loop.err, TAKO_CLOSED);
    assert_int_equal(api_lock_take(&w->lock, 0, true), TAKO_CLOSED);
    api_lock_release(&w->lock);
    sys_thread_join(other.thread);
    assert_int_equal(other.err, TAKO_OK);
    assert_int_equal(api_lock_take(&w->lock, 0, true), TAKO_CLOSED);
    api_lock_refuse_loop(&w->lock, false);
    assert_int_equal(api_lock_take(&w->lock, 0, true), TAKO_OK);
    api_lock_release(&w->lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_lock__times_out_as_busy_when_it_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_lock__serves_in_the_order_of_coming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock__refuses_the_loop_and_only_it,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
