// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <string.h>

/* P1: whatever the wall clock does, and whoever is observed, hlcs rise. */
static void test_dot__clock_always_rises(void **state)
{
    test_env t;
    crdt_clock c = { 0, 0 };
    uint64_t before = 0;

    (void)state;
    test_env_init(&t, test_seed(20270));
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t wall = t.wall_ms;

        switch (test_below(&t, 8)) {
        case 0:
            t.wall_ms += test_below(&t, 100000);
            break;
        case 1: /* back, or a dead clock */
            wall = test_below(&t, 2) == 0 ? 0 : wall - test_below(&t, wall);
            break;
        case 2:
            (void)crdt_clock_observe(
                &c, CRDT_HLC_OF_MS(wall) + test_random(&t) % (1u << 30), wall);
            break;
        default:
            break;
        }
        c.last = crdt_clock_next(&c, wall);
        assert_true(c.last > before);
        assert_true(CRDT_HLC_MS(c.last) >= wall);
        before = c.last;
    }
}

static void test_dot__counter_overflow_carries_into_time(void **state)
{
    crdt_clock c = { CRDT_HLC_OF_MS(5) + 0xffff, 0 };

    (void)state;
    assert_int_equal(crdt_clock_next(&c, 5), CRDT_HLC_OF_MS(6));
    assert_int_equal(crdt_clock_next(&c, 9), CRDT_HLC_OF_MS(9));
}

static void test_dot__clock_saturates(void **state)
{
    crdt_clock c = { UINT64_MAX - 2, 0 };

    (void)state;
    assert_int_equal(crdt_clock_next(&c, 1), UINT64_MAX - 1);
    c.last = UINT64_MAX - 1;
    assert_int_equal(crdt_clock_next(&c, 1), UINT64_MAX - 1);
    c.last = UINT64_MAX;
    assert_int_equal(crdt_clock_next(&c, UINT64_MAX), UINT64_MAX - 1);
    c.last = 0;
    assert_int_equal(crdt_clock_next(&c, UINT64_MAX), UINT64_MAX - 1);
}

/* P4, and published fault 5: a clock far ahead never moves ours. */
static void test_dot__clock_far_ahead_is_refused(void **state)
{
    static const uint64_t ahead[] = { TAKO_CLOCK_AHEAD_MS_MAX + 1, 86400000u,
                                      10ull * 365 * 86400000u };
    const uint64_t wall = 1700000000000u;
    crdt_clock c = { CRDT_HLC_OF_MS(wall), 0 };

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_false(
            crdt_clock_observe(&c, CRDT_HLC_OF_MS(wall + ahead[i]), wall));
    assert_false(crdt_clock_observe(&c, UINT64_MAX, wall));
    assert_int_equal(c.last, CRDT_HLC_OF_MS(wall));
    assert_true(crdt_clock_observe(
        &c, CRDT_HLC_OF_MS(wall + TAKO_CLOCK_AHEAD_MS_MAX), wall));
    assert_int_equal(c.last, CRDT_HLC_OF_MS(wall + TAKO_CLOCK_AHEAD_MS_MAX));
    assert_true(crdt_clock_observe(&c, 1, wall));
    assert_true(crdt_clock_observe(&c, UINT64_MAX, UINT64_MAX));
}

/* Contexts behave as arrays indexed by actor would. */
static void test_dot__contexts_are_maps_to_the_greatest(void **state)
{
    enum { ACTORS = 40 };
    test_env t;
    tako_arena a;

    (void)state;
    test_env_init(&t, test_seed(20271));
    a = tako_arena_on(&t.env);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t model[2][ACTORS] = { { 0 } };
        crdt_context c[2] = { { 0 }, { 0 } };
        bool covers = true;
        bool equal = true;

        for (unsigned i = test_below(&t, 60) != 0 ? 40 : 0; i > 0; i--) {
            unsigned k = (unsigned)test_below(&t, 2);
            unsigned n = (unsigned)test_below(
                &t, test_below(&t, 2) == 0 ? 4 : (uint64_t)ACTORS);
            crdt_dot dot = { .hlc = test_below(&t, 20) };

            memset(dot.actor.id, (int)n, sizeof dot.actor);
            assert_int_equal(crdt_context_add(&a, &c[k], dot), TAKO_OK);
            if (model[k][n] < dot.hlc)
                model[k][n] = dot.hlc;
        }
        for (unsigned n = 0; n < ACTORS; n++) {
            crdt_dot dot = { .hlc = 10 };

            memset(dot.actor.id, (int)n, sizeof dot.actor);
            for (unsigned k = 0; k < 2; k++) {
                assert_int_equal(crdt_context_get(&c[k], dot.actor),
                                 model[k][n]);
                assert_int_equal(crdt_context_has(&c[k], dot),
                                 model[k][n] >= 10);
            }
            covers = covers && model[0][n] >= model[1][n];
            equal = equal && model[0][n] == model[1][n];
        }
        assert_int_equal(crdt_context_covers(&c[0], &c[1]), covers);
        assert_int_equal(crdt_context_eq(&c[0], &c[1]), equal);
        assert_int_equal(crdt_context_join(&a, &c[0], &c[1]), TAKO_OK);
        assert_true(crdt_context_covers(&c[0], &c[1]));
        for (size_t i = 0; i < c[0].count; i++) {
            unsigned n = c[0].dots[i].actor.id[0];

            assert_true(i == 0 || c[0].dots[i - 1].actor.id[0] < n);
            assert_int_equal(c[0].dots[i].hlc, model[0][n] > model[1][n]
                                                   ? model[0][n]
                                                   : model[1][n]);
        }
        tako_arena_reset(&a);
    }
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot__clock_always_rises),
        cmocka_unit_test(test_dot__counter_overflow_carries_into_time),
        cmocka_unit_test(test_dot__clock_saturates),
        cmocka_unit_test(test_dot__clock_far_ahead_is_refused),
        cmocka_unit_test(test_dot__contexts_are_maps_to_the_greatest),
    };

    return cmocka_run_group_tests_name("crdt/dot", tests, NULL, NULL);
}
