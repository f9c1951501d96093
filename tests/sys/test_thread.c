// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_thread.c mirrors src/sys/thread.c. */
#include "support/test_env.h"

#include <signal.h>

#include "sys/sys.h"

typedef struct shared {
    sys_mutex *mutex;
    sys_cond *cond;
    uint64_t count;
    uint64_t ids[4];
    size_t id_count;
    bool blocked;
} shared;

static void add_many(void *arg)
{
    shared *s = arg;
    sigset_t mask;

    for (int i = 0; i < 20000; i++) {
        sys_mutex_lock(s->mutex);
        s->count++;
        sys_mutex_unlock(s->mutex);
    }
    sys_mutex_lock(s->mutex);
    s->ids[s->id_count++] = sys_thread_self();
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->blocked = sigismember(&mask, SIGPIPE) && sigismember(&mask, SIGTERM);
    sys_cond_broadcast(s->cond);
    /* all stay until all are here, so that the ids are of living threads */
    while (s->id_count < 4)
        (void)sys_cond_wait(s->cond, s->mutex, UINT64_MAX);
    sys_mutex_unlock(s->mutex);
}

static void test_thread__four_threads_share_a_mutex(void **state)
{
    tako_env env;
    shared s = { 0 };
    sys_thread *threads[4];

    (void)state;
    sys_env_init(&env);
    assert_int_equal(sys_mutex_new(&env, &s.mutex), TAKO_OK);
    assert_int_equal(sys_cond_new(&env, &s.cond), TAKO_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sys_thread_start(&env, add_many, &s, &threads[i]), 0);
    for (int i = 0; i < 4; i++)
        sys_thread_join(threads[i]);
    assert_int_equal(s.count, 80000);
    assert_true(s.blocked);
    for (int i = 0; i < 4; i++) {
        assert_true(s.ids[i] != sys_thread_self());
        for (int j = 0; j < i; j++)
            assert_true(s.ids[i] != s.ids[j]);
    }
    sys_cond_free(s.cond);
    sys_mutex_free(s.mutex);
}

static void test_thread__a_wait_times_out_on_the_steady_clock(void **state)
{
    tako_env env;
    sys_mutex *m;
    sys_cond *c;
    uint64_t from;

    (void)state;
    sys_env_init(&env);
    assert_int_equal(sys_mutex_new(&env, &m), TAKO_OK);
    assert_int_equal(sys_cond_new(&env, &c), TAKO_OK);
    sys_mutex_lock(m);
    from = env.mono_ms(env.ctx);
    while (sys_cond_wait(c, m, 30))
        assert_true(env.mono_ms(env.ctx) - from < 5000);
    assert_true(env.mono_ms(env.ctx) - from >= 29);
    sys_mutex_unlock(m);
    assert_true(sys_mutex_trylock(m));
    assert_false(sys_mutex_trylock(m));
    sys_mutex_unlock(m);
    sys_cond_free(c);
    sys_mutex_free(m);
    sys_cond_free(NULL);
    sys_mutex_free(NULL);
    sys_thread_join(NULL);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void test_thread__without_memory_nothing_starts(void **state)
{
    test_env t;
    sys_mutex *m;
    sys_cond *c;
    sys_thread *th;

    (void)state;
    test_env_init(&t, 1);
    t.fail_after = 0;
    assert_int_equal(sys_mutex_new(&t.env, &m), TAKO_NOMEM);
    t.fail_after = 0;
    assert_int_equal(sys_cond_new(&t.env, &c), TAKO_NOMEM);
    t.fail_after = 0;
    assert_int_equal(sys_thread_start(&t.env, nothing, NULL, &th), TAKO_NOMEM);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread__four_threads_share_a_mutex),
        cmocka_unit_test(test_thread__a_wait_times_out_on_the_steady_clock),
        cmocka_unit_test(test_thread__without_memory_nothing_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
