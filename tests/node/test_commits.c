// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_commits__passes_changes_on(void **state)
{
    world w;

    (void)state;
    world_init(&w, 5, 3);
    for (size_t i = 0; i < 3; i++)
        world_subscribe(&w, i, 1, WORLD_ALL);
    world_listen(&w, 1, "tcp://b:1");
    world_dial(&w, 0, "tcp://b:1");
    world_dial(&w, 2, "tcp://b:1");
    world_run(&w, 100);
    for (unsigned i = 0; i < 30; i++)
        world_insert(&w, i % 3, i, "open");
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 2), 30);
    (void)world_do(&w, 0, "DELETE FROM orders WHERE _id < 10");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 2), 20);
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void test_commits__commits_that_come_late_are_put_in_order(void **state)
{
    world w;
    node_commit *late;

    (void)state;
    world_init(&w, 6, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_insert(&w, 0, 1, "open");
    world_run(&w, 100);
    world_insert(&w, 0, 2, "open");
    /* A merge (of 3) overtakes the app's commit (of 4). */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 4, 's': 'open'})");
    world_insert(&w, 1, 3, "open");
    world_run(&w, 10);
    node_on_commit(w.nodes[0].n, late);
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 4);
    /* One that never comes is found by summaries. */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 5, 's': 'open'})");
    node_commit_free(late);
    world_insert(&w, 0, 6, "open");
    world_run(&w, 1000);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 6);
    world_fini(&w);
}

/* Would a power failure at this moment cost the actor? */
static bool is_marked(world *w, size_t at)
{
    crdt_actor before = store_actor(w->nodes[at].st), after;
    tako_errbuf e = { "" };

    world_save(w, at, "now");
    world_power_failure(w, at, "now");
    after = store_actor(w->nodes[at].st);
    world_subscribe(w, at, 1, WORLD_ALL);
    world_dial(w, at, "tcp://a:1");
    world_run(w, 1000);
    assert_int_equal(world_links_up(w, at), 1);
    assert_int_equal(node_peer_add(w->nodes[at].n, "tcp://a:1", &e),
                     TAKO_EXISTS);
    return crdt_actor_cmp(before, after) != 0;
}

/* Node 1 writes, sends to node 0, and loses its power. */
static void quiet_begin(world *w, uint64_t seed)
{
    world_init(w, seed, 2);
    world_subscribe(w, 0, 1, WORLD_ALL);
    world_subscribe(w, 1, 1, WORLD_ALL);
    world_listen(w, 0, "tcp://a:1");
    world_dial(w, 1, "tcp://a:1");
    world_run(w, 100);
}

/* How many documents show this text? */
static unsigned showing(world *w, size_t at, const char *text)
{
    store_conn *c = w->nodes[at].reader;
    store_cursor *k = NULL;
    store_row row;
    uint32_t coll;
    unsigned n = 0;

    assert_int_equal(store_coll_find(c, tako_slice_str("orders"), &coll),
                     TAKO_OK);
    assert_int_equal(store_scan(c, coll, INT64_MIN, &k), TAKO_OK);
    while (store_scan_next(k, &row) == TAKO_OK)
        n += memmem(row.body.ptr, row.body.len, text, strlen(text)) != NULL;
    store_scan_close(k);
    return n;
}

/* A document that a merge joined holds a part of the app's transaction, whose
 * news is still on its way: the cut that takes it back is of that one, too. */
static void
test_commits__a_merge_that_overtakes_does_not_tear_what_it_met(void **state)
{
    node_commit *late;
    world w;

    (void)state;
    quiet_begin(&w, 10);
    world_insert(&w, 0, 1, "open");
    world_insert(&w, 0, 2, "open");
    world_run(&w, 100);
    late =
        world_do_quietly(&w, 0, "UPDATE orders SET s = 'paid' WHERE _id <= 2");
    (void)world_do(&w, 1, "UPDATE orders SET n = 1 WHERE _id = 1");
    world_run(&w, 10);
    assert_int_equal(showing(&w, 1, "paid"), 0);
    node_on_commit(w.nodes[0].n, late);
    world_run(&w, 100);
    assert_int_equal(showing(&w, 1, "paid"), 2);
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void
test_commits__a_power_failure_after_a_send_costs_the_actor(void **state)
{
    world w;

    (void)state;
    quiet_begin(&w, 7);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 0), 1);
    assert_true(is_marked(&w, 1));
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void test_commits__a_quiet_node_is_synced(void **state)
{
    world w;

    (void)state;
    quiet_begin(&w, 8);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 1000);
    world_insert(&w, 1, 2, "open"); /* not quiet until later */
    world_run(&w, 4500);
    world_save(&w, 1, "busy");
    world_run(&w, 1000);
    assert_false(is_marked(&w, 1));
    world_run(&w, 60000); /* links and their pings alone change nothing */
    assert_false(is_marked(&w, 1));
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 2);
    world_power_failure(&w, 1, "busy");
    world_fini(&w);
}

/* Each time it falls quiet, and each time it is marked again before the next
 * change leaves. */
static void test_commits__what_is_sent_after_quiet_is_marked_again(void **state)
{
    world w;

    (void)state;
    quiet_begin(&w, 9);
    for (unsigned i = 0; i < 3; i++) {
        world_insert(&w, 1, i, "open");
        world_run(&w, 6000);
        world_insert(&w, 1, 10 + i, "open");
        world_run(&w, 1);
        assert_true(world_equal(&w)); /* it has left */
        assert_true(is_marked(&w, 1));
        world_run(&w, 6000);
        assert_false(is_marked(&w, 1));
        world_run(&w, 1000);
        assert_true(world_equal(&w));
    }
    world_fini(&w);
}

/* The quiet sync takes no lock that the program has. */
static void test_commits__an_open_transaction_puts_it_off(void **state)
{
    world w;

    (void)state;
    quiet_begin(&w, 10);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 100);
    w.nodes[1].tx_open = true;
    world_run(&w, 20000);
    world_save(&w, 1, "held");
    w.nodes[1].tx_open = false;
    world_run(&w, 6000);
    assert_false(is_marked(&w, 1));
    {
        crdt_actor before = store_actor(w.nodes[1].st);

        world_power_failure(&w, 1, "held");
        assert_int_not_equal(crdt_actor_cmp(before, store_actor(w.nodes[1].st)),
                             0);
    }
    world_fini(&w);
}

/* Nothing that the node heard of before shows the gap. */
static void test_commits__the_first_one_lost_is_found_when_told(void **state)
{
    world w;

    (void)state;
    world_init(&w, 9, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    node_commit_free(world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 1, 's': 'open'})"));
    node_on_commit_lost(w.nodes[0].n);
    world_insert(&w, 0, 2, "open");
    world_run(&w, 1000);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 2);
    world_fini(&w);
}

/* It was copied from an array of changes, for which there may be no memory. */
static void test_commits__without_memory_a_commit_is_copied_or_not(void **state)
{
    static const uint8_t empty_map[] = { 0xa0 };
    world w;
    store *st;
    node_commit *c = NULL;
    tako_err err = TAKO_NOMEM;
    tako_errbuf e;
    uint64_t lsn;
    uint32_t coll;

    (void)state;
    world_init(&w, 8, 1);
    st = w.nodes[0].st;
    assert_int_equal(store_begin(st, &e), TAKO_OK);
    assert_int_equal(store_coll_create(st, tako_slice_str("orders"), &coll, &e),
                     TAKO_OK);
    for (uint8_t id = 0; id < 20; id++)
        assert_int_equal(store_insert(st, coll, tako_slice_of(&id, 1),
                                      tako_slice_of(empty_map, 1), &e),
                         TAKO_OK);
    assert_int_equal(store_commit(st, &lsn, &e), TAKO_OK);
    for (long nth = 0; err == TAKO_NOMEM; nth++) {
        assert_true(nth < 10);
        w.t.fail_after = nth;
        err = node_commit_copy(&w.t.env, st, lsn, &c);
        w.t.fail_after = -1;
        assert_true(err == TAKO_OK || c == NULL);
    }
    assert_int_equal(err, TAKO_OK);
    node_commit_free(c);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commits__passes_changes_on),
        cmocka_unit_test(test_commits__commits_that_come_late_are_put_in_order),
        cmocka_unit_test(
            test_commits__a_merge_that_overtakes_does_not_tear_what_it_met),
        cmocka_unit_test(
            test_commits__a_power_failure_after_a_send_costs_the_actor),
        cmocka_unit_test(test_commits__a_quiet_node_is_synced),
        cmocka_unit_test(
            test_commits__what_is_sent_after_quiet_is_marked_again),
        cmocka_unit_test(test_commits__an_open_transaction_puts_it_off),
        cmocka_unit_test(test_commits__the_first_one_lost_is_found_when_told),
        cmocka_unit_test(
            test_commits__without_memory_a_commit_is_copied_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
