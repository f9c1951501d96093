// SPDX-License-Identifier: Apache-2.0
/* The schedules that SYNC.md section 1 tells, each by its name. */
#include "store/support_files.h"

static crdt_actor actor_of(store *s)
{
    return store_actor(s);
}

static void assert_same(crdt_actor a, crdt_actor b)
{
    assert_int_equal(crdt_actor_cmp(a, b), 0);
}

static void assert_other(crdt_actor a, crdt_actor b)
{
    assert_int_not_equal(crdt_actor_cmp(a, b), 0);
}

static crdt_dot dot_of(test_world *w, store *s)
{
    crdt_dot dot;

    must(w, store_begin(s, &w->e));
    must(w, store_dot(s, &dot, &w->e));
    must(w, store_commit(s, NULL, &w->e));
    return dot;
}

static void test_actor__stays_over_close_and_open(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;
    uint8_t incarnation[16];

    (void)state;
    world_init(&w, 1);
    s = world_open(&w, "a");
    a = actor_of(s);
    memcpy(incarnation, store_incarnation(s), 16);
    (void)coll_of(&w, s, "orders");
    for (int i = 0; i < 5; i++) {
        store_close(s);
        s = world_open(&w, "a");
        assert_same(a, actor_of(s));
        assert_memory_equal(incarnation, store_incarnation(s), 16);
        if (i % 2 == 0)
            (void)dot_of(&w, s);
    }
    store_close(s);
    world_fini(&w);
}

static int refuse_commit(void *ctx)
{
    (void)ctx;
    return 1;
}

static tako_err refuse_commits(void *ctx, sqlite3 *db)
{
    (void)sqlite3_commit_hook(db, refuse_commit, ctx);
    return TAKO_OK;
}

/* Its seal file is written before the file knows its new name: what is in it
 * by then must not vouch for the original's. */
static void test_actor__a_copy_that_dies_opening_is_still_a_copy(void **state)
{
    test_world w;
    store *s = NULL;
    crdt_actor a;

    (void)state;
    world_init(&w, 2);
    s = world_open(&w, "a");
    a = actor_of(s);
    store_close(s);
    world_copy(&w, "a", "b");
    {
        store_opts o = { .env = &w.t.env,
                         .files = &w.files,
                         .path = world_path(&w, "b"),
                         .on_connect = refuse_commits };

        assert_int_not_equal(store_open(&o, &s, &w.e), TAKO_OK);
    }
    s = world_open(&w, "b");
    assert_other(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__changes_when_the_file_is_copied(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;
    uint8_t incarnation[16];

    (void)state;
    world_init(&w, 2);
    s = world_open(&w, "a");
    a = actor_of(s);
    memcpy(incarnation, store_incarnation(s), 16);
    (void)dot_of(&w, s);
    store_close(s);

    /* to another path, with its seal and without */
    world_save(&w, "a", "b");
    world_copy(&w, "a", "c");
    s = world_open(&w, "b");
    assert_other(a, actor_of(s));
    assert_memory_not_equal(incarnation, store_incarnation(s), 16);
    store_close(s);
    s = world_open(&w, "c");
    assert_other(a, actor_of(s));
    store_close(s);

    /* the original is untouched by all that */
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__changes_with_the_machine_and_the_inode(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)state;
    world_init(&w, 3);
    s = world_open(&w, "a");
    a = actor_of(s);
    store_close(s);
    w.inode++;
    s = world_open(&w, "a");
    assert_other(a, actor_of(s));
    a = actor_of(s);
    store_close(s);
    w.machine.machine[0]++;
    s = world_open(&w, "a");
    assert_other(a, actor_of(s));
    a = actor_of(s);
    store_close(s);
    w.machine.boot[0]++; /* a restart alone changes nothing */
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__changes_when_an_old_copy_is_put_in_place(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)state;
    world_init(&w, 4);
    s = world_open(&w, "a");
    a = actor_of(s);
    (void)dot_of(&w, s);
    store_close(s);
    world_copy(&w, "a", "old");
    s = world_open(&w, "a");
    (void)dot_of(&w, s);
    store_close(s);
    world_copy(&w, "old", "a"); /* same path, inode, machine; the seal tells */
    s = world_open(&w, "a");
    assert_other(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__changes_when_a_copy_of_this_session_returns(void **st)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)st;
    world_init(&w, 5);
    s = world_open(&w, "a");
    a = actor_of(s);
    must(&w, store_checkpoint(s, STORE_FOLD_ALL, &w.e));
    world_copy(&w, "a", "old");
    (void)dot_of(&w, s);
    store_close(s); /* renews the seal, because the session wrote */
    world_copy(&w, "old", "a");
    s = world_open(&w, "a");
    assert_other(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

/* PATH.seal with both seals, the file with the old one; the file with the new
 * one; PATH.seal with the new one alone. */
static void test_actor__seal_survives_a_crash_between_its_steps(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)state;
    world_init(&w, 6);
    s = world_open(&w, "a");
    a = actor_of(s);
    store_close(s);
    world_copy(&w, "a", "old");
    w.write_fails = TAKO_IO; /* of the third step */
    w.write_after = 1;
    s = world_open(&w, "a");
    world_save(&w, "a", "img");
    store_close(s);

    world_restore(&w, "img", "a"); /* died after the second step */
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);

    world_restore(&w, "img", "a"); /* died after the first */
    world_copy(&w, "old", "a");
    world_remove(&w, "a-wal");
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);

    w.write_fails = TAKO_IO; /* the first step fails: not opened, unharmed */
    assert_int_equal(world_try_open(&w, "a", false, &s), TAKO_IO);
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__a_full_disk_does_not_close_the_database(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)state;
    world_init(&w, 7);
    s = world_open(&w, "a");
    a = actor_of(s);
    store_close(s);
    w.write_fails = TAKO_FULL;
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

/* A commits f=1, sends it, the power fails, the unsynced tail is gone. */
static void test_actor__sent_commits_lost_with_the_power(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;
    crdt_dot sent;

    (void)state;
    world_init(&w, 8);
    s = world_open(&w, "a");
    a = actor_of(s);
    must(&w, store_mark_dirty(s));
    world_save(&w, "a", "img"); /* what was synced */
    sent = dot_of(&w, s);
    assert_same(a, sent.actor);
    store_close(s);
    world_restore(&w, "img", "a");
    w.machine.boot[0]++;
    s = world_open(&w, "a");
    assert_other(a, actor_of(s));
    store_close(s);

    world_restore(&w, "img", "a"); /* the same, but only the process died */
    w.machine.boot[0]--;
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__a_sync_clears_the_dirty_mark(void **state)
{
    test_world w;
    store *s;
    crdt_actor a;

    (void)state;
    world_init(&w, 9);
    s = world_open(&w, "a");
    a = actor_of(s);
    must(&w, store_mark_dirty(s));
    (void)dot_of(&w, s);
    must(&w, store_sync(s));
    world_save(&w, "a", "img");
    store_close(s);
    world_restore(&w, "img", "a");
    w.machine.boot[0]++;
    s = world_open(&w, "a");
    assert_same(a, actor_of(s));
    store_close(s);
    world_fini(&w);
}

static void test_actor__never_repeats_a_dot_or_lsn_after_a_crash(void **state)
{
    test_world w;
    store *s;
    crdt_dot last = { { { 0 } }, 0 };
    uint64_t lsn = 0;
    uint32_t coll;

    (void)state;
    world_init(&w, 10);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    put_commit(&w, s, coll, id_at(&w, 0), "{}");
    world_save(&w, "a", "img"); /* all later commits will be lost */
    for (uint64_t round = 1; round < 20; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            crdt_dot dot;
            uint64_t now = 0;

            if (round % 3 == 0)
                w.t.wall_ms -= 1000; /* a clock that goes back */
            must(&w, store_begin(s, &w.e));
            put_one(&w, s, coll, id_at(&w, round * 10 + i), "{}");
            must(&w, store_dot(s, &dot, &w.e));
            must(&w, store_commit(s, &now, &w.e));
            assert_true(dot.hlc > last.hlc);
            assert_true(now > lsn);
            last = dot;
            lsn = now;
        }
        /* a killed process: the commits are there, the close is not */
        world_save(&w, "a", "img");
        store_close(s);
        world_restore(&w, "img", "a");
        s = world_open(&w, "a");
        assert_true(store_lsn(s) == lsn);
    }
    store_close(s);
    world_fini(&w);
}

/* Only the reservation survives; the commits after it are gone. */
static void reservation_covers(bool earlier)
{
    test_world w;
    store *s;
    crdt_dot lost = { { { 0 } }, 0 }, next;
    uint64_t lsn = 0, after = 0;
    uint32_t coll;

    world_init(&w, 11);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    if (earlier)
        put_commit(&w, s, coll, id_at(&w, 5000), "{}");
    world_save(&w, "a", "img");
    for (uint64_t i = 0; i < 500; i++) {
        w.t.wall_ms += 100;
        must(&w, store_begin(s, &w.e));
        put_one(&w, s, coll, id_at(&w, i), "{}");
        must(&w, store_dot(s, &lost, &w.e));
        must(&w, store_commit(s, &lsn, &w.e));
    }
    store_close(s);
    world_restore(&w, "img", "a");
    w.t.wall_ms -= 3600u * 1000u; /* and a dead clock */
    s = world_open(&w, "a");
    must(&w, store_begin(s, &w.e));
    put_one(&w, s, coll, id_at(&w, 9999), "{}");
    must(&w, store_dot(s, &next, &w.e));
    must(&w, store_commit(s, &after, &w.e));
    assert_true(next.hlc > lost.hlc);
    assert_true(after > lsn);
    store_close(s);
    world_fini(&w);
}

static void test_actor__reservation_covers_what_was_lost(void **state)
{
    (void)state;
    reservation_covers(false);
    reservation_covers(true); /* where the file knows own events */
}

static void test_actor__crash_loop_does_not_run_away_from_the_clock(void **st)
{
    test_world w;
    store *s;
    crdt_dot dot = { { { 0 } }, 0 };

    (void)st;
    world_init(&w, 12);
    s = world_open(&w, "a");
    for (int i = 0; i < 50; i++) {
        dot = dot_of(&w, s);
        world_save(&w, "a", "img");
        store_close(s);
        world_restore(&w, "img", "a");
        s = world_open(&w, "a");
    }
    assert_true(CRDT_HLC_MS(dot.hlc) < w.t.wall_ms + 150000);
    store_close(s);
    world_fini(&w);
}

/* As with a machine that is set back to the same moment again and again: no
 * two lives may have a dot in common, or peers could not tell them apart. */
static void test_actor__lives_of_one_image_share_no_dot(void **state)
{
    test_world w;
    store *s;
    crdt_dot dots[20][3];

    (void)state;
    world_init(&w, 14);
    s = world_open(&w, "a");
    (void)dot_of(&w, s);
    world_save(&w, "a", "img");
    for (size_t life = 0; life < 20; life++) {
        store_close(s);
        world_restore(&w, "img", "a");
        s = world_open(&w, "a");
        for (size_t i = 0; i < 3; i++)
            dots[life][i] = dot_of(&w, s);
        assert_int_equal(crdt_actor_cmp(dots[life][0].actor, dots[0][0].actor),
                         0);
        for (size_t k = 0; k < life * 3; k++)
            for (size_t i = 0; i < 3; i++)
                assert_true(dots[k / 3][k % 3].hlc != dots[life][i].hlc);
    }
    store_close(s);
    world_fini(&w);
}

static void test_actor__clean_close_gives_the_reservation_back(void **state)
{
    test_world w;
    store *s;
    crdt_dot a, b;

    (void)state;
    world_init(&w, 13);
    s = world_open(&w, "a");
    a = dot_of(&w, s);
    store_close(s);
    s = world_open(&w, "a");
    b = dot_of(&w, s);
    assert_true(b.hlc > a.hlc && b.hlc < a.hlc + 1000);
    store_close(s);
    world_fini(&w);
}

/* A rolled back machine meets its own later events. */
static void test_actor__own_events_from_elsewhere_renew_it(void **state)
{
    test_world w;
    store *s;
    tako_buf meta;
    crdt_actor a;
    crdt_dot dot, own;
    uint32_t coll;

    (void)state;
    world_init(&w, 14);
    meta = tako_buf_on(&w.t.env);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    a = actor_of(s);
    own = dot_of(&w, s);
    assert_true(store_own_hlc(s) == own.hlc);
    dot = (crdt_dot){ a, own.hlc + 7 };
    must(&w, crdt_fresh_meta(dot, cb(&w, "{\"f\":1}"), &meta));
    must(&w, store_begin(s, &w.e));
    must(&w, store_merge(s, coll, id_at(&w, 1), tako_buf_slice(&meta),
                         cb(&w, "{\"f\":1}"), NULL, &w.e));
    assert_true(store_foreign_self(s) == dot.hlc);
    assert_int_equal(store_dot(s, &dot, &w.e), TAKO_BUSY);
    must(&w, store_commit(s, NULL, &w.e));
    own = dot_of(&w, s);
    assert_other(a, own.actor);
    assert_true(own.hlc > dot.hlc);
    assert_true(store_foreign_self(s) == 0);
    store_close(s);
    s = world_open(&w, "a");
    assert_same(own.actor, actor_of(s));
    store_close(s);
    tako_buf_fini(&meta);
    world_fini(&w);
}

static void test_actor__clock_ahead_is_not_followed(void **state)
{
    test_world w;
    store *s;
    crdt_dot dot;
    uint64_t year = CRDT_HLC_OF_MS(1700000000000u + 31536000000u);
    uint64_t minute = CRDT_HLC_OF_MS(1700000000000u + 60000u);

    (void)state;
    world_init(&w, 15);
    s = world_open(&w, "a");
    assert_false(store_observe_hlc(s, year));
    assert_true(store_observe_hlc(s, minute));
    dot = dot_of(&w, s);
    assert_true(dot.hlc > minute && dot.hlc < year);
    /* the same inside a transaction, beyond what is reserved */
    minute += CRDT_HLC_OF_MS(120000u);
    must(&w, store_begin(s, &w.e));
    assert_false(store_observe_hlc(s, year));
    assert_true(store_observe_hlc(s, minute));
    must(&w, store_dot(s, &dot, &w.e));
    must(&w, store_commit(s, NULL, &w.e));
    dot = dot_of(&w, s);
    assert_true(dot.hlc > minute && dot.hlc < year);
    store_close(s);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actor__stays_over_close_and_open),
        cmocka_unit_test(test_actor__changes_when_the_file_is_copied),
        cmocka_unit_test(test_actor__a_copy_that_dies_opening_is_still_a_copy),
        cmocka_unit_test(test_actor__changes_with_the_machine_and_the_inode),
        cmocka_unit_test(test_actor__changes_when_an_old_copy_is_put_in_place),
        cmocka_unit_test(
            test_actor__changes_when_a_copy_of_this_session_returns),
        cmocka_unit_test(test_actor__seal_survives_a_crash_between_its_steps),
        cmocka_unit_test(test_actor__a_full_disk_does_not_close_the_database),
        cmocka_unit_test(test_actor__sent_commits_lost_with_the_power),
        cmocka_unit_test(test_actor__a_sync_clears_the_dirty_mark),
        cmocka_unit_test(test_actor__never_repeats_a_dot_or_lsn_after_a_crash),
        cmocka_unit_test(test_actor__reservation_covers_what_was_lost),
        cmocka_unit_test(
            test_actor__crash_loop_does_not_run_away_from_the_clock),
        cmocka_unit_test(test_actor__lives_of_one_image_share_no_dot),
        cmocka_unit_test(test_actor__clean_close_gives_the_reservation_back),
        cmocka_unit_test(test_actor__own_events_from_elsewhere_renew_it),
        cmocka_unit_test(test_actor__clock_ahead_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
