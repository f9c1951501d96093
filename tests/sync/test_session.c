// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <stdio.h>

static void both_subscribe(net *n, const char *text)
{
    for (size_t i = 0; i < n->node_count; i++)
        net_subscribe(n, i, text);
}

static void check_equal(net *n, const char *coll)
{
    for (size_t i = 1; i < n->node_count; i++)
        assert_int_equal(net_hash(n, 0, coll), net_hash(n, i, coll));
}

static void test_session__fills_an_empty_peer(void **state)
{
    net n;
    sync_subscription_state sub;

    (void)state;
    net_init(&n, 1, 2);
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 5000; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    both_subscribe(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(net_live_count(&n, 1), 5000);
    check_equal(&n, "orders");
    assert_true(
        sync_session_subscription(n.links[0].ends[1].session, 0, n.now, &sub));
    assert_true(sub.in_sync);
    assert_int_equal(sub.documents, 5000);
    net_fini(&n);
}

static void test_session__live_changes_arrive_both_ways(void **state)
{
    net n;

    (void)state;
    net_init(&n, 2, 2);
    both_subscribe(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    for (uint64_t i = 0; i < 20; i++) {
        net_insert(&n, i % 2, "orders", i, "open", "pad");
        net_settle(&n);
        net_set(&n, (i + 1) % 2, "orders", i, "s", "done");
        net_settle(&n);
        assert_string_equal(net_get(&n, i % 2, "orders", i, "s"), "done");
    }
    net_delete(&n, 0, "orders", 7);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 7, "s"), "x");
    assert_int_equal(n.last_error, TAKO_OK);
    check_equal(&n, "orders");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__fills_an_empty_peer),
        cmocka_unit_test(test_session__live_changes_arrive_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
