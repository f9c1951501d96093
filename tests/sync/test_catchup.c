// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <time.h>

static void test_catchup__fills_an_empty_peer(void **state)
{
    net n;
    sync_subscription_state sub;

    (void)state;
    net_init(&n, 1, 2);
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 5000; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(net_live_count(&n, 1), 5000);
    net_check_equal(&n, "orders");
    assert_true(
        sync_session_subscription(n.links[0].ends[1].session, 0, n.now, &sub));
    assert_true(sub.in_sync);
    assert_int_equal(sub.documents, 5000);
    net_fini(&n);
}

static void test_catchup__being_in_sync_costs_one_round_trip(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 4, 2);
    net_subscribe_all(&n, "orders");
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 1000; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    net_connect(&n, 0, 1);
    net_settle(&n);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    sync_session_counts(n.links[0].ends[0].session, &c);
    /* HELLO, INTEREST, KNOWN, CAUGHT_UP, SERVED, CUT, ACK */
    assert_int_equal(c.messages_out, 7);
    assert_int_equal(c.documents_out + c.documents_in, 0);
    print_message("in sync already: %d bytes each way\n", (int)c.bytes_out);
    /* with a sketch, and what the cut says is complete */
    assert_in_range(c.bytes_out, 1, 190);
    net_fini(&n);
}

static void test_catchup__overlapping_edits_cost_their_buckets(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 5, 2);
    net_subscribe_all(&n, "orders");
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 3000; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    net_connect(&n, 0, 1);
    net_settle(&n);
    net_disconnect(&n, &n.links[0]);
    for (uint64_t i = 0; i < 10; i++) {
        net_set(&n, 0, "orders", i, "a", "mine");
        net_set(&n, 1, "orders", i + 5, "b", "theirs");
    }
    net_delete(&n, 1, "orders", 100);
    net_delete(&n, 0, "orders", 101);
    net_insert(&n, 1, "orders", 5000, "open", "new");
    net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    net_check_equal(&n, "orders");
    assert_int_equal(net_live_count(&n, 0), 2999);
    assert_string_equal(net_get(&n, 0, "orders", 7, "b"), "theirs");
    assert_string_equal(net_get(&n, 1, "orders", 7, "a"), "mine");
    sync_session_counts(n.links[0].ends[0].session, &c);
    assert_in_range(c.documents_out + c.documents_in, 17, 60);
    print_message("18 differences in 3000: %d bytes\n",
                  (int)(c.bytes_in + c.bytes_out));
    net_fini(&n);
}

static void test_catchup__streams_a_cold_collection(void **state)
{
    enum { DOCS = 50000 };
    net n;
    sync_counts c;
    struct timespec from, to;
    double seconds;

    (void)state;
    net_init(&n, 13, 2);
    n.room = 1u << 20;
    net_subscribe_all(&n, "orders");
    net_begin(&n, 0);
    for (uint64_t i = 0; i < DOCS; i++)
        net_insert(&n, 0, "orders", i * 3 + 1, "open",
                   "0123456789012345678901234567890123456789012345678901234567"
                   "8901234567890123456789012345678901234567890123456789012345"
                   "6789012345678901234567890123456789012345678901234567890123"
                   "45678901234567890123456789");
    net_commit_now(&n, 0);
    net_connect(&n, 0, 1);
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    net_settle(&n);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    seconds = (double)(to.tv_sec - from.tv_sec) +
              (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    sync_session_counts(n.links[0].ends[0].session, &c);
    print_message("%d documents in %.2f s: %.0f/s, %.1f bytes each\n", DOCS,
                  seconds, DOCS / seconds, (double)c.bytes_out / DOCS);
    assert_int_equal(net_live_count(&n, 1), DOCS);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catchup__fills_an_empty_peer),
        cmocka_unit_test(test_catchup__being_in_sync_costs_one_round_trip),
        cmocka_unit_test(test_catchup__overlapping_edits_cost_their_buckets),
        cmocka_unit_test(test_catchup__streams_a_cold_collection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
