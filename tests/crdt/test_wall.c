// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <stdlib.h>

#include "crdt/wall.h"

#define NOON   UINT64_C(1700000000000)
#define MINUTE INT64_C(60000)
#define YEAR   (INT64_C(365) * 24 * 60 * MINUTE)

static void hear(crdt_wall *w, uint8_t who, bool archive, int64_t ahead,
                 uint64_t mono)
{
    uint8_t key[CRDT_WALL_WHO_BYTES] = { who };

    crdt_wall_hear(w, key, archive, NOON + mono + (uint64_t)ahead, mono);
}

/* Our own clock is so wrong; what we go by is so far from noon. */
static int64_t goes_by(const crdt_wall *w, int64_t wrong, crdt_time *now)
{
    *now = crdt_wall_now(w, NOON + 5000 + (uint64_t)wrong, 5000);
    return (int64_t)(now->ms - NOON - 5000);
}

static void test_wall__alone_our_clock_counts(void **state)
{
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    assert_int_equal(goes_by(&w, YEAR, &now), YEAR);
    assert_false(now.confirmed || now.contradicted);
    assert_int_equal(now.votes, 0);
}

static void test_wall__one_neighbour_says_nothing(void **state)
{
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    hear(&w, 1, false, 0, 1000);
    hear(&w, 1, false, 0, 2000); /* twice is one */
    assert_int_equal(goes_by(&w, YEAR, &now), YEAR);
    assert_false(now.confirmed || now.contradicted);
    assert_int_equal(goes_by(&w, 0, &now), 0);
    assert_false(now.confirmed || now.contradicted);
}

static void test_wall__two_neighbours_confirm_or_contradict(void **state)
{
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    hear(&w, 1, false, 0, 1000);
    hear(&w, 2, false, 1000, 2000);
    assert_int_equal(goes_by(&w, 4 * MINUTE, &now), 4 * MINUTE);
    assert_true(now.confirmed && !now.contradicted);
    assert_int_equal(goes_by(&w, YEAR, &now), 1000);
    assert_true(now.confirmed && now.contradicted);
    assert_int_equal(goes_by(&w, -YEAR, &now), 0);
    assert_true(now.confirmed && now.contradicted);
}

static void test_wall__an_archive_is_enough(void **state)
{
    uint8_t key[CRDT_WALL_WHO_BYTES] = { 1 };
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    hear(&w, 1, true, 0, 1000);
    assert_int_equal(goes_by(&w, YEAR, &now), 0);
    assert_true(now.confirmed && now.contradicted);
    assert_false(crdt_wall_role(&w, key, true));
    assert_true(crdt_wall_role(&w, key, false));
    assert_int_equal(goes_by(&w, YEAR, &now), YEAR);
    assert_true(crdt_wall_role(&w, key, true));
    assert_int_equal(goes_by(&w, YEAR, &now), 0);
}

/* Up to five minutes our clock is believed, and beyond the median counts. */
static void test_wall__the_limit_is_five_minutes(void **state)
{
    const int64_t limit = TAKO_CLOCK_AHEAD_MS_MAX;
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    hear(&w, 1, false, 0, 1000);
    hear(&w, 2, false, 0, 1000);
    assert_int_equal(goes_by(&w, limit, &now), limit);
    assert_int_equal(goes_by(&w, -limit, &now), -limit);
    assert_int_equal(goes_by(&w, limit + 1, &now), 0);
    assert_int_equal(goes_by(&w, -limit - 1, &now), 0);
    assert_true(now.contradicted);
}

/* Two that lie within five minutes move nothing; nor do two that lie more and
 * differ, nor one among honest ones. */
static void test_wall__liars_do_only_what_the_median_does(void **state)
{
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    hear(&w, 1, false, 5 * MINUTE, 1000);
    hear(&w, 2, false, 5 * MINUTE, 1000);
    assert_int_equal(goes_by(&w, 0, &now), 0);
    hear(&w, 1, false, YEAR, 1000);
    hear(&w, 2, false, -YEAR, 1000);
    assert_int_equal(goes_by(&w, 0, &now), 0);
    assert_false(now.confirmed || now.contradicted);
    hear(&w, 2, false, 0, 1000);
    assert_int_equal(goes_by(&w, 0, &now), 0);
    assert_false(now.confirmed);
    hear(&w, 3, false, 0, 1000);
    assert_int_equal(goes_by(&w, YEAR, &now), 0);
    assert_true(now.confirmed && now.contradicted);
}

static void test_wall__what_no_clock_shows_is_not_heard(void **state)
{
    uint8_t a[CRDT_WALL_WHO_BYTES] = { 1 }, b[CRDT_WALL_WHO_BYTES] = { 2 };
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    crdt_wall_hear(&w, a, true, 0, 1000);
    crdt_wall_hear(&w, a, true, TAKO_CLOCK_MS_MIN - 1, 1000);
    crdt_wall_hear(&w, b, true, TAKO_CLOCK_MS_MAX + 1, 1000);
    crdt_wall_hear(&w, b, true, UINT64_MAX, 1000);
    crdt_wall_hear(&w, b, true, NOON, UINT64_MAX);
    assert_int_equal(w.count, 0);
    crdt_wall_hear(&w, a, true, TAKO_CLOCK_MS_MAX, 1000);
    now = crdt_wall_now(&w, UINT64_MAX, 1000);
    assert_int_equal(now.ms, TAKO_CLOCK_MS_MAX);
    now = crdt_wall_now(&w, 0, 1000);
    assert_int_equal(now.ms, TAKO_CLOCK_MS_MAX);
}

static void test_wall__a_word_is_forgotten(void **state)
{
    crdt_wall w = { 0 };
    uint64_t last = 1000 + TAKO_CLOCK_TOLD_MS_MAX;

    (void)state;
    hear(&w, 1, true, 0, 1000);
    assert_true(crdt_wall_now(&w, NOON, last).contradicted);
    assert_false(crdt_wall_now(&w, NOON, last + 1).contradicted);
    assert_int_equal(crdt_wall_now(&w, NOON, last + 1).votes, 0);
}

static void test_wall__the_latest_words_are_kept(void **state)
{
    crdt_wall w = { 0 };
    crdt_time now;

    (void)state;
    for (uint8_t i = 0; i < TAKO_CLOCKS_MAX; i++)
        hear(&w, i, false, YEAR, 1000);
    assert_int_equal(goes_by(&w, 0, &now), YEAR);
    assert_int_equal(now.votes, TAKO_CLOCKS_MAX);
    hear(&w, 0, false, YEAR, 1000); /* so 1 is the oldest */
    hear(&w, 200, false, 0, 1000);
    assert_int_equal(w.count, TAKO_CLOCKS_MAX);
    for (size_t i = 0; i < w.count; i++)
        assert_int_not_equal(w.words[i].who[0], 1);
    for (uint8_t i = 100; i < 100 + TAKO_CLOCKS_MAX; i++)
        hear(&w, i, true, 0, 1000);
    assert_int_equal(goes_by(&w, YEAR, &now), 0);
    assert_int_equal(now.votes, 2 * TAKO_CLOCKS_MAX);
}

/* Against what the words of the rule say, slowly. */
static void test_wall__is_the_nearest_median(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(20271));
    for (unsigned round = 0; round < 20000; round++) {
        int64_t votes[8], own = (int64_t)test_below(&t, 40) * MINUTE;
        size_t n = test_below(&t, 9), below, above;
        crdt_wall w = { 0 };
        crdt_time now;
        int64_t by;

        for (size_t i = 0; i < n; i++) {
            votes[i] = (int64_t)test_below(&t, 40) * MINUTE;
            hear(&w, (uint8_t)i, false, votes[i], 1000);
        }
        by = goes_by(&w, own, &now);
        below = above = 0;
        for (size_t i = 0; i < n; i++) {
            below += votes[i] < by;
            above += votes[i] > by;
        }
        assert_int_equal(by != own, now.contradicted);
        if (now.contradicted) { /* no more than half are on a side */
            assert_true(n >= 2 && 2 * below <= n && 2 * above <= n);
            assert_true(llabs(by - own) > (int64_t)TAKO_CLOCK_AHEAD_MS_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wall__alone_our_clock_counts),
        cmocka_unit_test(test_wall__one_neighbour_says_nothing),
        cmocka_unit_test(test_wall__two_neighbours_confirm_or_contradict),
        cmocka_unit_test(test_wall__an_archive_is_enough),
        cmocka_unit_test(test_wall__the_limit_is_five_minutes),
        cmocka_unit_test(test_wall__liars_do_only_what_the_median_does),
        cmocka_unit_test(test_wall__what_no_clock_shows_is_not_heard),
        cmocka_unit_test(test_wall__a_word_is_forgotten),
        cmocka_unit_test(test_wall__the_latest_words_are_kept),
        cmocka_unit_test(test_wall__is_the_nearest_median),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
