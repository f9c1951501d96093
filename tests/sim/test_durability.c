// SPDX-License-Identifier: Apache-2.0
/* The store's promises about power failures (SYNC.md 1), on a disk that loses
 * what was not synced; many seeds, as each loses something else. */
#include "sim/disk.h"

#include "support/test_env.h"

#include "store/store.h"

#define SEEDS   40u
#define COMMITS 12u

typedef struct device {
    test_env t;
    sim_disk *disk;
    store_durability durability;
    store *s;
    uint32_t coll;
    uint64_t hlc; /* of the last commit */
    tako_errbuf e;
} device;

static void device_open(device *d)
{
    store_opts o = { .env = &d->t.env,
                     .files = sim_disk_files(d->disk),
                     .path = "a.db",
                     .vfs = sim_disk_vfs(d->disk),
                     .create = true,
                     .durability = d->durability };

    assert_int_equal(store_open(&o, &d->s, &d->e), TAKO_OK);
}

static void device_init(device *d, uint64_t seed, store_durability durability)
{
    *d = (device){ .durability = durability };
    test_env_init(&d->t, seed);
    d->disk = sim_disk_new(&d->t.env, seed);
    device_open(d);
    assert_int_equal(store_begin(d->s, &d->e), TAKO_OK);
    assert_int_equal(
        store_coll_create(d->s, tako_slice_str("orders"), &d->coll, &d->e),
        TAKO_OK);
    assert_int_equal(store_commit(d->s, NULL, &d->e), TAKO_OK);
    assert_int_equal(store_sync(d->s), TAKO_OK);
}

static void device_fini(device *d)
{
    store_close(d->s);
    sim_disk_free(d->disk);
    test_env_check_empty(&d->t);
}

static void power(device *d)
{
    sim_disk_stop(d->disk, SIM_DISK_POWER);
    store_close(d->s);
    sim_disk_start(d->disk);
    device_open(d);
}

/* Documents from ... to - 1, one a commit, while the clock stands still. */
static void commits(device *d, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        const uint8_t id[2] = { 0x18, (uint8_t)(24 + i) };
        const uint8_t body[1] = { 0xa0 };
        crdt_dot dot;

        assert_int_equal(store_begin(d->s, &d->e), TAKO_OK);
        assert_int_equal(store_insert(d->s, d->coll, tako_slice_of(id, 2),
                                      tako_slice_of(body, 1), &d->e),
                         TAKO_OK);
        assert_int_equal(store_dot(d->s, &dot, &d->e), TAKO_OK);
        assert_int_equal(store_commit(d->s, NULL, &d->e), TAKO_OK);
        assert_true(dot.hlc > d->hlc);
        d->hlc = dot.hlc;
    }
}

static uint64_t documents(device *d)
{
    store_facts facts;

    assert_int_equal(store_facts_read(store_writer(d->s), &facts, &d->e),
                     TAKO_OK);
    return facts.documents;
}

static void test_durability__full_keeps_every_commit(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        device d;

        device_init(&d, seed, STORE_FULL);
        commits(&d, 0, COMMITS);
        power(&d);
        assert_int_equal(documents(&d), COMMITS);
        device_fini(&d);
    }
}

static void test_durability__a_sync_keeps_what_was_before_it(void **state)
{
    uint64_t lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        device d;

        device_init(&d, seed, STORE_NORMAL);
        commits(&d, 0, COMMITS);
        assert_int_equal(store_sync(d.s), TAKO_OK);
        power(&d);
        assert_int_equal(documents(&d), COMMITS);
        device_fini(&d);

        device_init(&d, seed, STORE_NORMAL); /* and without it they go */
        commits(&d, 0, COMMITS);
        power(&d);
        lost += COMMITS - documents(&d);
        device_fini(&d);
    }
    assert_true(lost > 0);
}

/* Whether the dirty mark stands, or not. */
static void test_durability__a_flush_keeps_what_was_before_it(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        device d;

        device_init(&d, seed, STORE_NORMAL);
        if (seed % 2 == 0)
            assert_int_equal(store_mark_dirty(d.s), TAKO_OK);
        commits(&d, 0, COMMITS);
        assert_int_equal(store_flush(d.s), TAKO_OK);
        power(&d);
        assert_int_equal(documents(&d), COMMITS);
        device_fini(&d);
    }
}

static void test_durability__what_was_sent_and_lost_ends_the_actor(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        device d;
        crdt_actor before;

        device_init(&d, seed, STORE_NORMAL);
        before = store_actor(d.s);
        commits(&d, 0, 2);
        assert_int_equal(store_mark_dirty(d.s), TAKO_OK);
        power(&d); /* at once: the mark itself is there */
        assert_int_not_equal(crdt_actor_cmp(before, store_actor(d.s)), 0);
        device_fini(&d);
    }
}

static void test_durability__no_dot_comes_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        device d;

        device_init(&d, seed, STORE_NORMAL);
        commits(&d, 0, 1);
        assert_int_equal(store_sync(d.s), TAKO_OK);
        for (int i = 0; i < 3; i++) {
            commits(&d, documents(&d), COMMITS);
            power(&d);
        }
        device_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durability__full_keeps_every_commit),
        cmocka_unit_test(test_durability__a_sync_keeps_what_was_before_it),
        cmocka_unit_test(test_durability__a_flush_keeps_what_was_before_it),
        cmocka_unit_test(
            test_durability__what_was_sent_and_lost_ends_the_actor),
        cmocka_unit_test(test_durability__no_dot_comes_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
