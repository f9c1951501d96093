// SPDX-License-Identifier: Apache-2.0
/* Who keeps what: said, remembered, and forgotten. */
#include "node/support_world.h"

#include <stdio.h>

#include "node/internal.h"

#define OPEN "SELECT * FROM orders WHERE s = 'open'"

static tako_err count_one(void *ctx, const store_keeper *k)
{
    *(uint64_t *)ctx += k->lsn;
    return TAKO_OK;
}

/* The sum of the numbers in the file. */
static uint64_t in_file(world *w, size_t at)
{
    uint64_t sum = 0;

    assert_int_equal(store_keepers(w->nodes[at].reader, count_one, &sum, NULL),
                     TAKO_OK);
    return sum;
}

static void pair(world *w, uint64_t seed)
{
    world_init(w, seed, 2);
    world_listen(w, 0, "tcp://hub:1");
    world_dial(w, 1, "tcp://hub:1");
}

static void test_keepers__say_so_once_it_is_on_disk(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    pair(&w, 1);
    world_subscribe(&w, 0, 1, OPEN);
    world_run(&w, 5000);
    world_insert(&w, 1, 1, "open");
    lsn = store_lsn(w.nodes[1].st);
    world_run(&w, 100);
    assert_true(node_acknowledged(w.nodes[1].n, "node0", lsn));
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 0);
    assert_true(w.nodes[0].n->synced_lsn < store_lsn(w.nodes[0].st));
    world_run(&w, 2000);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 1);
    assert_int_equal(w.nodes[0].n->synced_lsn, store_lsn(w.nodes[0].st));
    assert_int_equal(node_kept_by(w.nodes[1].n, "node0", lsn), 1);
    assert_int_equal(node_kept_by(w.nodes[1].n, "node7", lsn), 0);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn + 1), 0);
    world_fini(&w);
}

/* It acknowledges what it is told and does not want, and does not keep it. */
static void test_keepers__to_pass_is_not_to_keep(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    pair(&w, 2);
    world_subscribe(&w, 0, 1, OPEN);
    world_run(&w, 5000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 5000);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    lsn = store_lsn(w.nodes[1].st);
    world_run(&w, 5000);
    assert_true(node_acknowledged(w.nodes[1].n, NULL, lsn));
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 0);
    world_insert(&w, 1, 2, "draft"); /* not even told */
    lsn = store_lsn(w.nodes[1].st);
    world_run(&w, 5000);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 0);
    world_fini(&w);
}

static void test_keepers__are_remembered(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    pair(&w, 3);
    world_subscribe(&w, 0, 1, OPEN);
    world_run(&w, 5000);
    world_insert(&w, 1, 1, "open");
    lsn = store_lsn(w.nodes[1].st);
    world_run(&w, 5000);
    assert_true(in_file(&w, 1) >= lsn);
    world_stop(&w, 1);
    world_start(&w, 1);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 1);
    /* A subscription that is dropped while it is away. */
    assert_int_equal(node_unsubscribe(w.nodes[0].n, 1), TAKO_OK);
    world_dial(&w, 1, "tcp://hub:1");
    world_run(&w, 5000);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 0);
    assert_int_equal(in_file(&w, 1), 0);
    world_fini(&w);
}

/* What the keeper itself wrote is known here to be there, in a while. */
static void test_keepers__know_their_own_changes(void **state)
{
    world w;

    (void)state;
    pair(&w, 4);
    world_subscribe(&w, 0, 1, OPEN);
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 5000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 5000);
    (void)world_do(&w, 0, "UPDATE orders SET v = 1");
    world_run(&w, 5000);
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, store_lsn(w.nodes[1].st)),
                     1);
    world_fini(&w);
}

/* EVICT lets go what was changed here once another keeps it. */
static void test_keepers__let_evict(void **state)
{
    world w;

    (void)state;
    pair(&w, 5);
    world_subscribe(&w, 0, 1, OPEN);
    world_run(&w, 5000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 5000);
    (void)world_do(&w, 1, "EVICT FROM orders");
    assert_int_equal(world_count(&w, 1), 0);
    assert_int_equal(world_count(&w, 0), 1);
    world_fini(&w);
}

/* Its copy may go, so nobody counts it; and what it wrote itself is refused,
 * whatever else the peer says that it keeps. */
static void test_keepers__who_may_not_write_keeps_for_nobody(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    world_init(&w, 9, 2);
    world_stop(&w, 1);
    w.nodes[1].read_only = true;
    world_start(&w, 1);
    world_listen(&w, 0, "tcp://hub:1");
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_run(&w, 5000);
    world_insert(&w, 0, 1, "open");
    lsn = store_lsn(w.nodes[0].st);
    world_run(&w, 10000);
    assert_int_equal(world_count(&w, 1), 1);
    assert_int_equal(node_kept_by(w.nodes[0].n, NULL, lsn), 0);
    lsn = world_do(&w, 1, "UPDATE orders SET v = 1");
    world_run(&w, 10000);
    assert_true(node_acknowledged(w.nodes[1].n, NULL, lsn));
    assert_int_equal(node_kept_by(w.nodes[1].n, NULL, lsn), 0);
    assert_true(world_equal(&w));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keepers__say_so_once_it_is_on_disk),
        cmocka_unit_test(test_keepers__to_pass_is_not_to_keep),
        cmocka_unit_test(test_keepers__are_remembered),
        cmocka_unit_test(test_keepers__know_their_own_changes),
        cmocka_unit_test(test_keepers__let_evict),
        cmocka_unit_test(test_keepers__who_may_not_write_keeps_for_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
