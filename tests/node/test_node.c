// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

#include <stdio.h>

#define ALL "SELECT * FROM orders"

static void listen_at(world *w, size_t at, const char *address)
{
    char bound[TAKO_ADDRESS_BYTES_MAX];
    tako_errbuf e = { "" };

    if (node_listen(w->nodes[at].n, address, bound, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

static void subscribe(world *w, size_t at, uint32_t id, const char *text)
{
    tako_errbuf e = { "" };

    if (node_subscribe(w->nodes[at].n, id, tako_slice_str(text),
                       TAKO_SLICE_NONE, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

static void dial(world *w, size_t at, const char *address)
{
    tako_errbuf e = { "" };

    if (node_peer_add(w->nodes[at].n, address, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

static void insert(world *w, size_t at, unsigned id, const char *status)
{
    char text[128];

    (void)snprintf(text, sizeof text,
                   "INSERT INTO orders DOCUMENTS ({'_id': %u, 's': '%s'})", id,
                   status);
    (void)world_do(w, at, text);
}

static void test_node__two_nodes_share_what_they_subscribe_to(void **state)
{
    world w;
    tako_buf out;
    uint64_t lsn;

    (void)state;
    world_init(&w, 1, 2);
    out = tako_buf_on(&w.t.env);
    insert(&w, 0, 1, "open");
    subscribe(&w, 0, 1, ALL);
    subscribe(&w, 1, 7, ALL);
    listen_at(&w, 0, "tcp://a:1");
    dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    assert_int_equal(world_links_up(&w, 0), 1);
    assert_int_equal(world_count(&w, 1), 1);
    insert(&w, 1, 2, "open");
    lsn = world_do(&w, 1, "UPDATE orders SET s = 'done' WHERE _id = 1");
    assert_false(node_acknowledged(w.nodes[1].n, "node0", lsn));
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_true(node_acknowledged(w.nodes[1].n, "node0", lsn));
    assert_true(node_acknowledged(w.nodes[1].n, NULL, lsn));
    assert_false(node_acknowledged(w.nodes[1].n, "nobody", lsn));
    assert_non_null(strstr(world_status(&w, 1, &out), "\"in_sync\":true"));
    tako_buf_fini(&out);
    world_fini(&w);
}

static void test_node__redials_with_back_off(void **state)
{
    world w;
    uint32_t dials;

    (void)state;
    world_init(&w, 2, 2);
    dial(&w, 1, "tcp://a:1");
    world_run(&w, 120000);
    dials = w.nodes[1].dials;
    assert_in_range(dials, 5, 60); /* a cap of 30 s, jitter down to 0 */
    listen_at(&w, 0, "tcp://a:1");
    world_run(&w, 40000);
    assert_int_equal(world_links_up(&w, 1), 1);
    world_break(&w, 1);
    world_run(&w, 20);
    world_run(&w, 60000);
    assert_int_equal(world_links_up(&w, 1), 1);
    world_fini(&w);
}

static void test_node__keeps_one_link_per_pair(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        world w;

        world_init(&w, seed, 2);
        listen_at(&w, 0, "tcp://a:1");
        listen_at(&w, 1, "tcp://b:1");
        listen_at(&w, 1, "tcp://b:2");
        dial(&w, 0, "tcp://b:1");
        dial(&w, 1, "tcp://a:1");
        if (seed > 4)
            dial(&w, 0, "tcp://b:2");
        world_run(&w, 100000);
        assert_int_equal(world_links_up(&w, 0), 1);
        assert_int_equal(world_links_up(&w, 1), 1);
        assert_in_range(w.nodes[0].dials + w.nodes[1].dials, 2, 8);
        world_break(&w, 0);
        world_run(&w, 100000);
        assert_int_equal(world_links_up(&w, 0), 1);
        world_fini(&w);
    }
}

static void test_node__refuses_itself(void **state)
{
    world w;
    tako_buf out;

    (void)state;
    world_init(&w, 3, 1);
    out = tako_buf_on(&w.t.env);
    listen_at(&w, 0, "tcp://a:1");
    dial(&w, 0, "tcp://a:1");
    world_run(&w, 50);
    assert_int_equal(world_links_up(&w, 0), 0);
    assert_non_null(strstr(world_status(&w, 0, &out), "itself"));
    tako_buf_fini(&out);
    world_fini(&w);
}

static void test_node__survives_a_restart_of_the_peer(void **state)
{
    world w;

    (void)state;
    world_init(&w, 4, 2);
    subscribe(&w, 0, 1, ALL);
    subscribe(&w, 1, 1, ALL);
    listen_at(&w, 0, "tcp://a:1");
    dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    insert(&w, 0, 1, "open");
    world_run(&w, 100);
    world_stop(&w, 0);
    insert(&w, 1, 2, "open");
    insert(&w, 0, 3, "open"); /* while the node is down */
    world_run(&w, 1000);
    world_start(&w, 0);
    subscribe(&w, 0, 1, ALL);
    listen_at(&w, 0, "tcp://a:1");
    world_run(&w, 60000);
    assert_int_equal(world_links_up(&w, 1), 1);
    assert_int_equal(world_count(&w, 0), 3);
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void test_node__passes_changes_on(void **state)
{
    world w;

    (void)state;
    world_init(&w, 5, 3);
    for (size_t i = 0; i < 3; i++)
        subscribe(&w, i, 1, ALL);
    listen_at(&w, 1, "tcp://b:1");
    dial(&w, 0, "tcp://b:1");
    dial(&w, 2, "tcp://b:1");
    world_run(&w, 100);
    for (unsigned i = 0; i < 30; i++)
        insert(&w, i % 3, i, "open");
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 2), 30);
    (void)world_do(&w, 0, "DELETE FROM orders WHERE _id < 10");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 2), 20);
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void test_node__commits_that_come_late_are_put_in_order(void **state)
{
    world w;
    node_commit *late;

    (void)state;
    world_init(&w, 6, 2);
    subscribe(&w, 0, 1, ALL);
    subscribe(&w, 1, 1, ALL);
    listen_at(&w, 0, "tcp://a:1");
    dial(&w, 1, "tcp://a:1");
    insert(&w, 0, 1, "open");
    world_run(&w, 100);
    insert(&w, 0, 2, "open");
    /* A merge (of 3) overtakes the app's commit (of 4). */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 4, 's': 'open'})");
    insert(&w, 1, 3, "open");
    world_run(&w, 10);
    node_on_commit(w.nodes[0].n, late);
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 4);
    /* One that never comes is found by summaries. */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 5, 's': 'open'})");
    node_commit_free(late);
    insert(&w, 0, 6, "open");
    world_run(&w, 1000);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 6);
    world_fini(&w);
}

static void test_node__subscriptions_come_and_go(void **state)
{
    world w;
    tako_errbuf e = { "" };

    (void)state;
    world_init(&w, 7, 2);
    listen_at(&w, 0, "tcp://a:1");
    dial(&w, 1, "tcp://a:1");
    insert(&w, 0, 1, "open");
    insert(&w, 0, 2, "done");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 0);
    assert_int_equal(node_subscribe(w.nodes[1].n, 1, tako_slice_str("rubbish"),
                                    TAKO_SLICE_NONE, &e),
                     TAKO_INVALID);
    subscribe(&w, 1, 1, "SELECT * FROM orders WHERE s = 'open'");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 1);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'open' WHERE _id = 2");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 2);
    assert_int_equal(node_unsubscribe(w.nodes[1].n, 1), TAKO_OK);
    assert_int_equal(node_unsubscribe(w.nodes[1].n, 1), TAKO_NOTFOUND);
    world_run(&w, 100);
    insert(&w, 0, 3, "open");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 2);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node__two_nodes_share_what_they_subscribe_to),
        cmocka_unit_test(test_node__redials_with_back_off),
        cmocka_unit_test(test_node__keeps_one_link_per_pair),
        cmocka_unit_test(test_node__refuses_itself),
        cmocka_unit_test(test_node__survives_a_restart_of_the_peer),
        cmocka_unit_test(test_node__passes_changes_on),
        cmocka_unit_test(test_node__commits_that_come_late_are_put_in_order),
        cmocka_unit_test(test_node__subscriptions_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
