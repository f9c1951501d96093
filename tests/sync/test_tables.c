// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const uint8_t digest_key[16] = { 1, 2, 3 };

/* Builds it as far as it can be. */
static sync_table_state build(sync_table *t)
{
    tako_errbuf e = { "" };

    while (sync_table_look(t) == SYNC_TABLE_BUILDING)
        if (sync_table_step(t, &e) != TAKO_OK)
            fail_msg("%s", e.text);
    return sync_table_look(t);
}

static sync_table *table_of(sync_tables *tables, const char *text)
{
    sync_table *t;
    tako_errbuf e = { "" };

    assert_int_equal(sync_table_get(tables, tako_slice_str(text), &t, &e),
                     TAKO_OK);
    return t;
}

/* A table that followed every commit is the one that is built now. */
static void check(net *n, sync_table *t, const char *text)
{
    net_node *d = &n->nodes[0];
    sync_tables_opts o = { &n->t.env, &d->host, d->reader, digest_key };
    const sync_summary *a, *b;
    sync_tables *fresh;
    sync_table *now;
    tako_errbuf e = { "" };

    assert_int_equal(sync_tables_new(&o, &fresh, &e), TAKO_OK);
    now = table_of(fresh, text);
    assert_int_equal(build(now), SYNC_TABLE_READY);
    assert_int_equal(build(t), SYNC_TABLE_READY);
    a = sync_table_summary(t);
    b = sync_table_summary(now);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->markers, b->markers);
    assert_true(a->check == b->check);
    assert_memory_equal(a->sketch, b->sketch, sizeof a->sketch);
    if (a->symbols != NULL && b->symbols != NULL)
        assert_memory_equal(a->symbols, b->symbols,
                            TAKO_SYNC_SYMBOLS_MAX * sizeof *a->symbols);
    sync_table_let_go(now, 0);
    sync_tables_free(fresh);
}

static void write_one(net *n, uint64_t ids)
{
    uint64_t id = test_below(&n->t, ids);
    const char *status = test_below(&n->t, 2) == 0 ? "open" : "done";

    switch (test_below(&n->t, 6)) {
    case 0:
        net_delete(n, 0, "orders", id);
        break;
    case 1:
        if (strlen(net_get(n, 0, "orders", id, "s")) == 4)
            net_evict(n, 0, "orders", id, true);
        break;
    case 2:
    case 3:
        net_set(n, 0, "orders", id, "s", status);
        break;
    default:
        net_insert(n, 0, "orders", id, status, "pad");
        break;
    }
}

/* Commits are told late, the walk stands in the middle, documents come, match
 * no more, die, are evicted and come back. */
static void test_tables__follow_every_commit(void **state)
{
    static const char *const texts[] = { "orders", "orders?open" };
    uint64_t first = test_seed(100);

    (void)state;
    for (uint64_t seed = first; seed < first + 60; seed++) {
        sync_table *t[2];
        net n;

        net_init(&n, seed, 1);
        n.slow_commits = true;
        for (int i = 0; i < 200; i++)
            write_one(&n, 400);
        for (int k = 0; k < 2; k++)
            t[k] = table_of(n.nodes[0].tables, texts[k]);
        for (int i = 0; i < 300; i++) {
            tako_errbuf e = { "" };

            if (i == 20 && seed % 2 == 0) { /* beyond one piece, and a list */
                net_begin(&n, 0);
                for (uint64_t id = 1000; id < 1700; id++)
                    net_insert(&n, 0, "orders", id, "open", "more");
                net_commit_now(&n, 0);
            }
            write_one(&n, 400);
            for (uint64_t k = test_below(&n.t, 4); k > 0; k--)
                (void)net_tell(&n, 0);
            if (test_below(&n.t, 40) == 0)
                assert_int_equal(sync_table_step(t[test_below(&n.t, 2)], &e),
                                 TAKO_OK);
        }
        while (net_tell(&n, 0))
            ;
        for (int k = 0; k < 2; k++)
            check(&n, t[k], texts[k]);
        for (int k = 0; k < 2; k++)
            sync_table_let_go(t[k], 0);
        net_fini(&n);
    }
}

static void test_tables__wait_for_what_was_not_told(void **state)
{
    sync_table *t;
    net n;

    (void)state;
    net_init(&n, 1, 1);
    n.slow_commits = true;
    net_insert(&n, 0, "orders", 1, "open", "pad");
    while (net_tell(&n, 0))
        ;
    net_set(&n, 0, "orders", 1, "x", "1");
    net_set(&n, 0, "orders", 1, "x", "2");
    t = table_of(n.nodes[0].tables, "orders");
    assert_int_equal(build(t), SYNC_TABLE_PENDING);
    assert_true(net_tell(&n, 0));
    assert_int_equal(build(t), SYNC_TABLE_PENDING);
    assert_true(net_tell(&n, 0));
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_int_equal(sync_table_summary(t)->count, 1);
    check(&n, t, "orders");
    sync_table_let_go(t, 0);
    net_fini(&n);
}

static void test_tables__are_shared_and_dropped_when_idle(void **state)
{
    sync_table *a, *b;
    net n;

    (void)state;
    net_init(&n, 2, 1);
    a = table_of(n.nodes[0].tables, "orders");
    b = table_of(n.nodes[0].tables, "orders");
    assert_ptr_equal(a, b);
    assert_int_equal(build(a), SYNC_TABLE_READY);
    sync_table_let_go(a, 1000);
    sync_tables_tick(n.nodes[0].tables, 1000 + 10 * SYNC_TABLE_IDLE_MS);
    assert_int_equal(sync_table_look(b), SYNC_TABLE_READY); /* still used */
    sync_table_let_go(b, 5000);
    sync_tables_tick(n.nodes[0].tables, 5000 + SYNC_TABLE_IDLE_MS - 1);
    a = table_of(n.nodes[0].tables, "orders");
    assert_int_equal(sync_table_look(a), SYNC_TABLE_READY);
    sync_table_let_go(a, 5000);
    sync_tables_tick(n.nodes[0].tables, 5000 + SYNC_TABLE_IDLE_MS);
    a = table_of(n.nodes[0].tables, "orders");
    assert_int_equal(sync_table_look(a), SYNC_TABLE_BUILDING);
    sync_table_let_go(a, 0);
    net_fini(&n);
}

/* Wide symbols begin as the others do, and are those of now. */
static void test_tables__are_wide_for_who_takes_them(void **state)
{
    net n;
    sync_table *t, *other;
    sync_symbol *narrow, *wide;
    uint32_t count;

    (void)state;
    net_init(&n, 4, 1);
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 3000; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    t = table_of(n.nodes[0].tables, "orders");
    other = table_of(n.nodes[0].tables, "orders");
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_true(sync_table_widen(t, 4096));
    assert_int_equal(sync_table_take(t, 10, &narrow, &count), TAKO_OK);
    assert_int_equal(count, TAKO_SYNC_SYMBOLS_MAX);
    assert_false(sync_table_widen(t, 10000));
    assert_false(sync_table_widen(other, 10000));
    (void)sync_table_step(t, NULL);
    net_set(&n, 0, "orders", 1, "s", "done");
    net_set(&n, 0, "orders", 1, "s", "open");
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_true(sync_table_widen(t, 10000));
    assert_int_equal(sync_table_take(t, 10000, &wide, &count), TAKO_OK);
    assert_int_equal(count, 16384);
    assert_memory_equal(sync_table_summary(t)->symbols, wide,
                        TAKO_SYNC_SYMBOLS_MAX * sizeof *wide);
    /* One document was changed since the narrow ones were taken. */
    assert_true(memcmp(narrow, wide, sizeof *wide) != 0);
    check(&n, t, "orders");
    assert_false(sync_table_widen(t, TAKO_SYNC_WIDE_MAX + 1u));
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_true(sync_table_widen(t, TAKO_SYNC_WIDE_MAX + 1u));
    check(&n, t, "orders");
    tako_env_free(&n.t.env, narrow, TAKO_SYNC_SYMBOLS_MAX * sizeof *narrow);
    tako_env_free(&n.t.env, wide, count * sizeof *wide);
    sync_table_let_go(t, 0);
    sync_table_let_go(other, 0);
    net_fini(&n);
}

/* What a change costs here, beside the reading of its row. */
static void test_tables__a_change_is_cheap(void **state)
{
    enum { TIMES = 200000 };
    static sync_symbol symbols[TAKO_SYNC_SYMBOLS_MAX];
    int32_t sketch[SYNC_SKETCH] = { 0 };
    struct timespec from, to;
    test_env t;
    double us;

    (void)state;
    test_env_init(&t, 3);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (size_t i = 0; i < TIMES; i++) {
        sync_item item = { i * UINT64_C(0x9e3779b97f4a7c15), i + 1, i };
        uint64_t hash = sync_key_hash(digest_key, item.key);

        sync_symbols_add(symbols, TAKO_SYNC_SYMBOLS_MAX, item, hash);
        sync_sketch_add(sketch, item, hash, 1);
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    us = ((double)(to.tv_sec - from.tv_sec) * 1e9 +
          (double)(to.tv_nsec - from.tv_nsec)) /
         1e3 / TIMES;
    print_message("%.3f us an item\n", us);
    assert_false(sync_symbol_empty(&symbols[0]));
}

/* What was deleted is no item, wherever its tombstone is; what was evicted is. */
static void test_tables__tombstones_are_no_items(void **state)
{
    sync_table *t;
    net n;

    (void)state;
    net_init(&n, 101, 1);
    for (uint64_t id = 0; id < 3; id++)
        net_insert(&n, 0, "orders", id, "open", "pad");
    net_delete(&n, 0, "orders", 0);
    net_evict(&n, 0, "orders", 1, true);
    t = table_of(n.nodes[0].tables, "orders");
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_int_equal(sync_table_summary(t)->count, 2);
    net_delete(&n, 0, "orders", 2);
    assert_int_equal(build(t), SYNC_TABLE_READY);
    assert_int_equal(sync_table_summary(t)->count, 1);
    sync_table_let_go(t, 0);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables__follow_every_commit),
        cmocka_unit_test(test_tables__tombstones_are_no_items),
        cmocka_unit_test(test_tables__wait_for_what_was_not_told),
        cmocka_unit_test(test_tables__are_shared_and_dropped_when_idle),
        cmocka_unit_test(test_tables__are_wide_for_who_takes_them),
        cmocka_unit_test(test_tables__a_change_is_cheap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
