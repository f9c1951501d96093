// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/deaths.h"

#define DAY_MS UINT64_C(86400000)
#define TTL    30u

static uint64_t day(world_store *x)
{
    uint64_t out;

    must(&x->w, store_day(x->s, &out, &x->w.e));
    return out;
}

/* Real time goes on by so much, and the wall clock by so much. */
static uint64_t after(world_store *x, uint64_t mono_ms, int64_t wall_ms)
{
    x->w.t.mono_ms += mono_ms;
    x->w.t.wall_ms += (uint64_t)wall_ms;
    return day(x);
}

static void reopen(world_store *x)
{
    store_close(x->s);
    x->s = world_open(&x->w, "a");
    x->c = store_writer(x->s);
    x->coll = coll_of(&x->w, x->s, "orders");
}

static void test_reap__a_step_of_the_clock_is_a_day(void **state)
{
    world_store x;
    uint64_t first;

    (void)state;
    world_begin(&x, 1);
    first = day(&x);
    assert_int_equal(after(&x, 1000, 1000), first);
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(after(&x, DAY_MS, (int64_t)DAY_MS), first + i);
    /* a year ahead, and right again */
    assert_int_equal(after(&x, DAY_MS, 365 * (int64_t)DAY_MS), first + 6);
    assert_int_equal(after(&x, 1000, -364 * (int64_t)DAY_MS), first + 6);
    assert_int_equal(after(&x, DAY_MS, (int64_t)DAY_MS), first + 7);
    /* standing still; back and forth within a day */
    assert_int_equal(after(&x, 10 * DAY_MS, 0), first + 7);
    assert_int_equal(after(&x, DAY_MS, (int64_t)DAY_MS), first + 8);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(after(&x, 60000, -2 * (int64_t)DAY_MS), first + 8);
        assert_int_equal(after(&x, 60000, 2 * (int64_t)DAY_MS), first + 8);
    }
    world_end(&x);
}

static void test_reap__days_are_kept(void **state)
{
    world_store x;
    uint64_t first;

    (void)state;
    world_begin(&x, 2);
    first = day(&x);
    assert_int_equal(after(&x, DAY_MS, (int64_t)DAY_MS), first + 1);
    reopen(&x);
    assert_int_equal(day(&x), first + 1);
    x.w.t.wall_ms += 400 * DAY_MS; /* switched off for a year */
    reopen(&x);
    assert_int_equal(day(&x), first + 2);
    assert_int_equal(after(&x, 60000, 60000), first + 2);
    world_end(&x);
}

static uint64_t reap(world_store *x)
{
    uint64_t reaped, sum = 0;
    bool more = true;

    while (more) {
        must(&x->w, store_reap(x->s, TTL, 3, &reaped, &more, &x->w.e));
        sum += reaped;
    }
    return sum;
}

static uint64_t live(world_store *x, unsigned days)
{
    uint64_t sum = 0;

    for (; days > 0; days--) {
        x->w.t.wall_ms += DAY_MS;
        x->w.t.mono_ms += DAY_MS;
        sum += reap(x);
    }
    return sum;
}

static void delete_commit(world_store *x, tako_slice id)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    delete_one(&x->w, x->s, x->coll, id);
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void test_reap__counts_from_the_last_deletion(void **state)
{
    world_store x;
    tako_slice id;
    store_yard y;

    (void)state;
    world_begin(&x, 3);
    id = id_at(&x.w, 1);
    (void)live(&x, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    delete_commit(&x, id);
    assert_int_equal(live(&x, 20), 0);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":2}");
    assert_int_equal(live(&x, 15), 0); /* it lives */
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":2}");
    delete_commit(&x, id);
    assert_int_equal(live(&x, TTL - 1), 0);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    assert_int_equal(live(&x, 1), 1);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "");
    must(&x.w, store_yard_read(x.c, x.coll, &y, &x.w.e));
    assert_int_equal(y.graves, 2); /* both lives */
    assert_int_equal(y.epoch, 4);
    world_end(&x);
}

static uint64_t generation_of(world_store *x, tako_slice id)
{
    store_row row;

    must(&x->w, store_get(x->c, x->coll, id, &row));
    return crdt_meta_generation(row.meta);
}

static void test_reap__inserts_begin_above_the_epoch(void **state)
{
    world_store x;
    crdt_doc *d;
    tako_slice id;

    (void)state;
    world_begin(&x, 4);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{}");
    assert_int_equal(generation_of(&x, id), 1);
    delete_commit(&x, id);
    put_commit(&x.w, x.s, x.coll, id, "{}"); /* the next of its own */
    assert_int_equal(generation_of(&x, id), 3);
    delete_commit(&x, id);
    (void)live(&x, TTL + 1);
    reopen(&x);
    put_commit(&x.w, x.s, x.coll, id, "{}");
    assert_int_equal(generation_of(&x, id), 5);
    put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{}");
    assert_int_equal(generation_of(&x, id_at(&x.w, 2)), 5);
    /* the slow way too; and looking alone changes nothing */
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_edit(x.s, x.coll, id_at(&x.w, 3), &d, &x.w.e));
    must(&x.w, store_edit_save(x.s, &x.w.e));
    assert_int_equal(store_change_count(x.s), 0);
    put_one(&x.w, x.s, x.coll, id_at(&x.w, 3), "{}");
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_int_equal(generation_of(&x, id_at(&x.w, 3)), 5);
    world_end(&x);
}

/* Any device may seed it again, and nobody would know that it was deleted. */
static void test_reap__leaves_what_was_seeded(void **state)
{
    world_store x;
    tako_arena a;
    tako_buf meta, body;
    crdt_doc *d;
    tako_slice id;

    (void)state;
    world_begin(&x, 5);
    id = id_at(&x.w, 1);
    a = tako_arena_on(&x.w.t.env);
    meta = body = tako_buf_on(&x.w.t.env);
    must(&x.w, crdt_initial(&a, id, 3, cb(&x.w, "{\"a\":1}"), &d));
    must(&x.w, crdt_doc_encode(d, &meta, &body));
    for (int i = 0; i < 2; i++) {
        must(&x.w, store_begin(x.s, &x.w.e));
        must(&x.w, store_merge(x.s, x.coll, id, tako_buf_slice(&meta),
                               tako_buf_slice(&body), NULL, &x.w.e));
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        if (i == 0)
            delete_commit(&x, id);
        assert_int_equal(live(&x, 2 * TTL), 0);
        assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    }
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    tako_arena_fini(&a);
    world_end(&x);
}

/* A row that another ULID gave way to stays while that one is there. */
static void test_reap__keeps_a_row_that_another_gave_way_to(void **state)
{
    world_store x;
    tako_slice holds, gave;

    (void)state;
    world_begin(&x, 6);
    holds = cb(&x.w, "\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"");
    gave = cb(&x.w, "\"01ARZ3NDEKTSVZRRFFQ69G5FAV\"");
    put_commit(&x.w, x.s, x.coll, holds, "{\"a\":1}");
    put_commit(&x.w, x.s, x.coll, gave, "{\"a\":2}");
    delete_commit(&x, holds);
    assert_int_equal(live(&x, 3 * TTL), 0);
    assert_string_equal(show(&x.w, x.c, x.coll, holds), "-");
    assert_string_equal(show(&x.w, x.c, x.coll, gave), "{\"a\":2}");
    delete_commit(&x, gave);
    assert_int_equal(live(&x, 2 * TTL), 2);
    assert_string_equal(show(&x.w, x.c, x.coll, holds), "");
    assert_string_equal(show(&x.w, x.c, x.coll, gave), "");
    world_end(&x);
}

static void test_reap__does_not_give_numbers_out_twice(void **state)
{
    world_store x;
    store_row row;
    tako_slice id;
    int64_t first;

    (void)state;
    world_begin(&x, 7);
    id = cb(&x.w, "\"a\"");
    put_commit(&x.w, x.s, x.coll, id, "{}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    first = row.row;
    delete_commit(&x, id);
    assert_int_equal(live(&x, TTL + 1), 1);
    reopen(&x);
    put_commit(&x.w, x.s, x.coll, cb(&x.w, "\"b\""), "{}");
    must(&x.w, store_get(x.c, x.coll, cb(&x.w, "\"b\""), &row));
    assert_true(row.row < first);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reap__a_step_of_the_clock_is_a_day),
        cmocka_unit_test(test_reap__days_are_kept),
        cmocka_unit_test(test_reap__counts_from_the_last_deletion),
        cmocka_unit_test(test_reap__inserts_begin_above_the_epoch),
        cmocka_unit_test(test_reap__leaves_what_was_seeded),
        cmocka_unit_test(test_reap__keeps_a_row_that_another_gave_way_to),
        cmocka_unit_test(test_reap__does_not_give_numbers_out_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
