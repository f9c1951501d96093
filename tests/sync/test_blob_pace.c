// SPDX-License-Identifier: Apache-2.0
/* Parts over a way of which nothing is known but when they come: that it is
 * used, and that nothing queues in it. */
#include "support/test_env.h"

#include "sync/blob_state.h"

#define PARTS 400u

/* A way: one part after the other, each occupies it for part_ms. */
typedef struct way {
    uint64_t reply_ms, part_ms;
} way;

typedef struct run {
    sync_blobs b;
    sync_blob_peer p;
    uint64_t now, free_ms;
    uint64_t sent[TAKO_BLOB_WINDOW_MAX], comes[TAKO_BLOB_WINDOW_MAX];
    size_t first, count;
    uint64_t done, waited_most; /* parts; ms in a queue */
    size_t flying_most;
} run;

/* WANT travels half of reply_ms, waits for the way, and the part travels the
 * other half. */
static void want_all(run *r, const way *y, uint64_t window)
{
    while (r->count < window && blob_pace_lets(&r->p, r->now)) {
        uint64_t there = r->now + y->reply_ms / 2;
        uint64_t starts = there > r->free_ms ? there : r->free_ms;
        size_t at = (r->first + r->count) % TAKO_BLOB_WINDOW_MAX;

        if (r->done > PARTS / 8 && starts - there > r->waited_most)
            r->waited_most = starts - there;
        r->free_ms = starts + y->part_ms;
        r->sent[at] = r->now;
        r->comes[at] = r->free_ms + (y->reply_ms + 1) / 2;
        r->count++;
        blob_pace_wanted(&r->p, r->now);
    }
    if (r->count > r->flying_most)
        r->flying_most = r->count;
}

static void come_one(run *r)
{
    uint64_t took = r->now - r->sent[r->first];

    r->first = (r->first + 1) % TAKO_BLOB_WINDOW_MAX;
    r->count--;
    r->done++;
    blob_pace_ended(&r->p);
    blob_pace_came(&r->p, r->now, took, BLOB_PART_BYTES);
}

static void run_over(run *r, const way *y, uint64_t parts)
{
    uint64_t until = r->done + parts;

    while (r->done < until) {
        uint64_t next = UINT64_MAX, pace;

        want_all(r, y, TAKO_BLOB_WINDOW_MAX);
        if (r->count > 0)
            next = r->comes[r->first];
        pace = blob_pace_deadline(&r->p);
        next = pace < next ? pace : next;
        assert_true(next != UINT64_MAX); /* it would stand for ever */
        r->now = next > r->now ? next : r->now;
        (void)blob_pace_tick(&r->p, r->now);
        while (r->count > 0 && r->comes[r->first] <= r->now)
            come_one(r);
    }
}

static void begin(run *r, const way *y)
{
    memset(r, 0, sizeof *r);
    r->p.b = &r->b;
    r->now = 1000;
    blob_pace_replied(&r->p, r->now, y->reply_ms);
}

static void test_pace__uses_the_way_and_queues_nowhere(void **state)
{
    static const way ways[] = { { 40, 123 },  { 2, 500 }, { 500, 12 },
                                { 100, 100 }, { 20, 31 }, { 0, 60 },
                                { 300, 15 },  { 40, 11 }, { 1000, 400 } };

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const way *y = &ways[i];
        uint64_t least = PARTS * y->part_ms, full;
        run r;

        begin(&r, y);
        run_over(&r, y, PARTS);
        print_message(
            "reply %llu ms, part %llu ms: %llu ms, at least %llu; "
            "waited %llu ms\n",
            (unsigned long long)y->reply_ms, (unsigned long long)y->part_ms,
            (unsigned long long)(r.now - 1000), (unsigned long long)least,
            (unsigned long long)r.waited_most);
        assert_true(r.waited_most <= y->part_ms / 4);
        /* Full, but for windows that are too small for the way. */
        full = PARTS * (y->reply_ms + y->part_ms) / TAKO_BLOB_WINDOW_MAX;
        full = full > least ? full : least;
        assert_true(r.now - 1000 <= full * 5 / 4 + y->reply_ms);
    }
}

/* Where a part takes next to no time, as many are under way as ever. */
static void test_pace__is_out_of_the_way_where_it_is_fast(void **state)
{
    const way y = { 1, 0 };
    run r;

    (void)state;
    begin(&r, &y);
    run_over(&r, &y, PARTS);
    assert_in_range(r.flying_most, BLOB_QUEUE_MS, TAKO_BLOB_WINDOW_MAX);
}

static void test_pace__notices_another_way(void **state)
{
    const way fast = { 20, 12 }, slow = { 40, 200 };
    uint64_t began;
    run r;

    (void)state;
    begin(&r, &fast);
    run_over(&r, &fast, 2000);
    run_over(&r, &slow, 150); /* the old times are forgotten meanwhile */
    r.waited_most = 0;
    run_over(&r, &slow, 100);
    assert_true(r.waited_most <= 50);
    run_over(&r, &fast, 50);
    began = r.now;
    run_over(&r, &fast, 1000);
    assert_true(r.now - began <= 1000 * 12 * 5 / 4);
}

/* The first part stood behind an outage: that is no reason to wait again. */
static void test_pace__one_wrong_time_costs_one_round(void **state)
{
    const way y = { 20, 30 };
    run r;

    (void)state;
    begin(&r, &y);
    r.free_ms = r.now + 20000;
    run_over(&r, &y, 1);
    r.now = r.now > 21000 ? r.now : 21000;
    run_over(&r, &y, 100);
    assert_true(r.now <= 21000 + 60 + 100 * 30 * 5 / 4);
}

static void test_pace__counts_what_ended(void **state)
{
    run r;

    (void)state;
    begin(&r, &(way){ 40, 100 });
    assert_true(blob_pace_lets(&r.p, r.now)); /* one, before it is known */
    blob_pace_wanted(&r.p, r.now);
    assert_false(blob_pace_lets(&r.p, r.now));
    assert_false(r.b.kick);
    blob_pace_ended(&r.p); /* whoever was refused gets a turn */
    assert_true(r.b.kick);
    assert_true(blob_pace_lets(&r.p, r.now));
    assert_false(blob_pace_slower(&r.p, 100000));
    blob_pace_came(&r.p, r.now, 140, BLOB_PART_BYTES);
    assert_true(blob_pace_slower(&r.p, 400));
    assert_false(blob_pace_slower(&r.p, 250));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace__uses_the_way_and_queues_nowhere),
        cmocka_unit_test(test_pace__is_out_of_the_way_where_it_is_fast),
        cmocka_unit_test(test_pace__notices_another_way),
        cmocka_unit_test(test_pace__one_wrong_time_costs_one_round),
        cmocka_unit_test(test_pace__counts_what_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
