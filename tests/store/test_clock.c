// SPDX-License-Identifier: Apache-2.0
/* By which time hlcs go, with the store alone. */
#include "store/support_files.h"

#define MINUTE UINT64_C(60000)
#define YEAR   (UINT64_C(365) * 24 * 60 * MINUTE)

/* Devices from `who` on, so many, whose clocks show the true time or are
 * wrong. The true time is the wall clock's at the start of a test. */
static void hear(world_store *x, crdt_wall *wall, uint8_t who, unsigned count,
                 uint64_t true_ms)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t key[CRDT_WALL_WHO_BYTES] = { (uint8_t)(who + i) };

        crdt_wall_hear(wall, key, false, true_ms, x->w.t.mono_ms);
    }
    store_clocks_heard(x->s, wall);
}

static crdt_dot write_one(world_store *x)
{
    uint8_t id[10] = { 0x49 }; /* bytes */
    crdt_dot dot;

    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_dot(x->s, &dot, &x->w.e));
    for (size_t i = 0; i < 8; i++)
        id[1 + i] = (uint8_t)(dot.hlc >> 8 * i);
    id[9] = dot.actor.id[0];
    must(&x->w, store_insert(x->s, x->coll, tako_slice_of(id, sizeof id),
                             cb(&x->w, "{\"a\":1}"), &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    return dot;
}

static uint64_t ms_of(crdt_dot dot)
{
    return CRDT_HLC_MS(dot.hlc);
}

static bool same_actor(crdt_dot a, crdt_dot b)
{
    return crdt_actor_cmp(a.actor, b.actor) == 0;
}

static void test_clock__once_ahead_stays_ahead_until_two_confirm(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot ahead, dot;
    uint64_t noon;

    (void)state;
    world_begin(&x, 1);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms += YEAR;
    ahead = write_one(&x);
    assert_true(ms_of(ahead) >= noon + YEAR);
    x.w.t.wall_ms = noon;
    dot = write_one(&x); /* nobody says anything */
    assert_true(same_actor(dot, ahead) && dot.hlc > ahead.hlc);
    hear(&x, &wall, 1, 1, noon);
    dot = write_one(&x); /* one is not enough */
    assert_true(same_actor(dot, ahead) && ms_of(dot) >= noon + YEAR);
    hear(&x, &wall, 2, 1, noon);
    dot = write_one(&x);
    assert_false(same_actor(dot, ahead));
    assert_in_range(ms_of(dot), noon, noon + 10);
    ahead = write_one(&x);
    assert_true(same_actor(dot, ahead) && ahead.hlc > dot.hlc);
    world_end(&x);
}

/* An archive is; and who is not corrected yet is put right all the same. */
static void test_clock__what_is_contradicted_is_replaced(void **state)
{
    uint8_t hub[CRDT_WALL_WHO_BYTES] = { 9 };
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before, dot;
    uint64_t noon;

    (void)state;
    world_begin(&x, 2);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms = noon + YEAR;
    before = write_one(&x);
    crdt_wall_hear(&wall, hub, true, noon, x.w.t.mono_ms);
    store_clocks_heard(x.s, &wall);
    dot = write_one(&x);
    assert_false(same_actor(dot, before));
    assert_in_range(ms_of(dot), noon, noon + 10);
    x.w.t.mono_ms +=
        3 * MINUTE; /* that time goes on, whatever the other does */
    dot = write_one(&x);
    assert_in_range(ms_of(dot), noon + 3 * MINUTE, noon + 3 * MINUTE + 10);
    x.w.t.wall_ms = noon - YEAR;
    before = write_one(&x);
    assert_true(same_actor(dot, before));
    assert_in_range(ms_of(before), noon + 3 * MINUTE, noon + 3 * MINUTE + 10);
    world_end(&x);
}

static void test_clock__two_liars_move_nothing_within_five_minutes(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before, dot;
    uint64_t noon;

    (void)state;
    world_begin(&x, 3);
    noon = x.w.t.wall_ms;
    before = write_one(&x);
    hear(&x, &wall, 1, 2, noon - 5 * MINUTE);
    dot = write_one(&x);
    assert_true(same_actor(dot, before));
    assert_in_range(ms_of(dot), noon, noon + 10);
    hear(&x, &wall, 1, 2, noon + 5 * MINUTE);
    dot = write_one(&x);
    assert_true(same_actor(dot, before));
    assert_in_range(ms_of(dot), noon, noon + 10);
    world_end(&x);
}

/* Liars that change their minds end an actor once in an hour. */
static void test_clock__ends_few_actors(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before, dot;
    uint64_t noon;
    unsigned actors = 0;

    (void)state;
    world_begin(&x, 4);
    noon = x.w.t.wall_ms;
    before = write_one(&x);
    for (unsigned i = 0; i < 120; i++) {
        x.w.t.mono_ms += MINUTE;
        x.w.t.wall_ms += MINUTE;
        hear(&x, &wall, 1, 2, noon + (i % 2 == 0 ? YEAR : 0));
        dot = write_one(&x);
        actors += !same_actor(dot, before);
        assert_true(!same_actor(dot, before) || dot.hlc > before.hlc);
        before = dot;
    }
    assert_in_range(actors, 1, 3);
    world_end(&x);
}

/* P1, whatever the clocks do and neighbours say, and over closing, opening and
 * crashes: no actor's hlc goes back, and no dot comes twice. */
static void test_clock__hlcs_of_an_actor_rise(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before = { { { 0 } }, 0 }, dot;
    unsigned actors = 0;
    test_env *t = &x.w.t;

    (void)state;
    world_begin(&x, test_seed(5));
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t odd = test_below(t, 3) == 0 ? YEAR : 7 * MINUTE;

        t->mono_ms += test_below(t, 40 * MINUTE);
        switch (test_below(t, 12)) {
        case 0:
            t->wall_ms += test_below(t, odd);
            break;
        case 1:
            t->wall_ms -= test_below(t, odd);
            break;
        case 2:
        case 3:
            hear(&x, &wall, (uint8_t)test_below(t, 4), 1 + i % 2,
                 t->wall_ms + odd / 2 - test_below(t, odd));
            break;
        case 4:
            if (i % 7 != 0)
                break;
            store_close(x.s);
            x.s = world_open(&x.w, "a");
            break;
        case 5:
            if (i % 7 != 0)
                break;
            world_save(&x.w, "a", "image");
            store_close(x.s);
            world_restore(&x.w, "image", "a");
            x.s = world_open(&x.w, "a");
            before.hlc = 0; /* it may have another actor */
            before.actor = store_actor(x.s);
            break;
        default:
            break;
        }
        dot = write_one(&x);
        if (same_actor(dot, before))
            assert_true(dot.hlc > before.hlc);
        else
            actors++;
        before = dot;
    }
    assert_true(actors > 5);
    world_end(&x);
}

/* The new actor's beginning is in the file: a crash does not bring the old
 * one's hlcs back. */
static void test_clock__a_crash_keeps_the_new_time(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot dot, after;
    uint64_t noon;

    (void)state;
    world_begin(&x, 6);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms += YEAR;
    (void)write_one(&x);
    x.w.t.wall_ms = noon;
    hear(&x, &wall, 1, 2, noon);
    dot = write_one(&x);
    world_save(&x.w, "a", "image");
    store_close(x.s);
    world_restore(&x.w, "image", "a");
    x.s = world_open(&x.w, "a");
    after = write_one(&x);
    assert_true(same_actor(dot, after) && after.hlc > dot.hlc);
    assert_in_range(ms_of(after), noon, noon + 2 * MINUTE);
    world_end(&x);
}

/* The device is the same; one that was copied is not. */
static void test_clock__the_next_actor_follows_the_former(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before;
    uint64_t noon;

    (void)state;
    world_begin(&x, 7);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms += YEAR;
    before = write_one(&x);
    assert_true(store_actor_follows(x.s, before.actor));
    x.w.t.wall_ms = noon;
    hear(&x, &wall, 1, 2, noon);
    assert_false(same_actor(write_one(&x), before));
    assert_true(store_actor_follows(x.s, before.actor));
    store_close(x.s);
    world_copy(&x.w, "a", "b");
    x.s = world_open(&x.w, "a");
    assert_true(store_actor_follows(x.s, before.actor));
    store_close(x.s);
    x.s = world_open(&x.w, "b");
    assert_false(store_actor_follows(x.s, before.actor));
    world_end(&x);
}

/* What an open transaction began under stays. */
static void test_clock__never_inside_a_transaction(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    crdt_dot before, dot;
    uint64_t noon;

    (void)state;
    world_begin(&x, 8);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms += YEAR;
    before = write_one(&x);
    x.w.t.wall_ms = noon;
    must(&x.w, store_begin(x.s, &x.w.e));
    hear(&x, &wall, 1, 2, noon);
    must(&x.w, store_dot(x.s, &dot, &x.w.e));
    assert_true(same_actor(dot, before) && dot.hlc > before.hlc);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_false(same_actor(write_one(&x), before));
    world_end(&x);
}

/* P4, by the time that neighbours confirm: who is ahead of it does not move
 * our clock, though our wall clock is ahead itself. */
static void test_clock__bounds_what_is_observed(void **state)
{
    world_store x;
    crdt_wall wall = { 0 };
    uint64_t noon;

    (void)state;
    world_begin(&x, 9);
    noon = x.w.t.wall_ms;
    x.w.t.wall_ms += YEAR;
    hear(&x, &wall, 1, 2, noon);
    assert_false(store_observe_hlc(x.s, CRDT_HLC_OF_MS(noon + 6 * MINUTE)));
    assert_true(store_observe_hlc(x.s, CRDT_HLC_OF_MS(noon + 4 * MINUTE)));
    x.w.t.wall_ms = noon - YEAR;
    assert_false(store_observe_hlc(x.s, CRDT_HLC_OF_MS(noon + 6 * MINUTE)));
    assert_true(ms_of(write_one(&x)) >= noon + 4 * MINUTE);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__once_ahead_stays_ahead_until_two_confirm),
        cmocka_unit_test(test_clock__what_is_contradicted_is_replaced),
        cmocka_unit_test(
            test_clock__two_liars_move_nothing_within_five_minutes),
        cmocka_unit_test(test_clock__ends_few_actors),
        cmocka_unit_test(test_clock__hlcs_of_an_actor_rise),
        cmocka_unit_test(test_clock__a_crash_keeps_the_new_time),
        cmocka_unit_test(test_clock__the_next_actor_follows_the_former),
        cmocka_unit_test(test_clock__never_inside_a_transaction),
        cmocka_unit_test(test_clock__bounds_what_is_observed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
