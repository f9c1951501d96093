// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <stdio.h>
#include <time.h>

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

static void test_session__a_known_change_is_short(void **state)
{
    net n;
    sync_counts before, after;
    uint64_t payload, ack;

    (void)state;
    net_init(&n, 3, 2);
    both_subscribe(&n, "orders");
    net_insert(&n, 0, "orders", 1, "open", "a pad as long as an order is");
    net_insert(&n, 0, "orders", 2, "open", "a pad as long as an order is");
    net_connect(&n, 0, 1);
    net_settle(&n);
    for (int round = 0; round < 3; round++) {
        n.t.wall_ms += 61234;
        sync_session_counts(n.links[0].ends[0].session, &before);
        net_set(&n, 0, "orders", 1, "s", round % 2 == 0 ? "ready" : "serve");
        net_settle(&n);
        sync_session_counts(n.links[0].ends[0].session, &after);
        payload = after.bytes_out - before.bytes_out;
        ack = after.bytes_in - before.bytes_in;
        assert_int_equal(after.deltas_out - before.deltas_out, 1);
        print_message("change %d: %d payload, %d framed, %d with its ack\n",
                      round + 1, (int)payload, (int)payload + 2,
                      (int)(payload + 2 + ack + 2));
        if (round > 0) {
            assert_in_range(payload, 1, 40);
            assert_in_range(payload + ack + 4, 1, 60);
        }
    }
    net_fini(&n);
}

static void test_session__being_in_sync_costs_one_round_trip(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 4, 2);
    both_subscribe(&n, "orders");
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
    /* HELLO, INTEREST, CAUGHT_UP, SERVED */
    assert_int_equal(c.messages_out, 4);
    assert_int_equal(c.documents_out + c.documents_in, 0);
    print_message("in sync already: %d bytes each way\n", (int)c.bytes_out);
    assert_in_range(c.bytes_out, 1, 120);
    net_fini(&n);
}

static void test_session__overlapping_edits_cost_their_buckets(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 5, 2);
    both_subscribe(&n, "orders");
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
    check_equal(&n, "orders");
    assert_int_equal(net_live_count(&n, 0), 2999);
    assert_string_equal(net_get(&n, 0, "orders", 7, "b"), "theirs");
    assert_string_equal(net_get(&n, 1, "orders", 7, "a"), "mine");
    sync_session_counts(n.links[0].ends[0].session, &c);
    assert_in_range(c.documents_out + c.documents_in, 17, 60);
    print_message("18 differences in 3000: %d bytes\n",
                  (int)(c.bytes_in + c.bytes_out));
    net_fini(&n);
}

static void test_session__what_leaves_an_interest_is_told_once(void **state)
{
    net n;
    sync_counts before, after;

    (void)state;
    net_init(&n, 6, 2);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "orders", 2, "done", "pad");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "-");
    net_set(&n, 0, "orders", 1, "s", "done");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "done");
    sync_session_counts(n.links[0].ends[0].session, &before);
    net_set(&n, 0, "orders", 1, "s", "paid");
    net_settle(&n);
    sync_session_counts(n.links[0].ends[0].session, &after);
    assert_int_equal(before.documents_out, after.documents_out);
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

static void test_session__too_many_changes_start_over(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 7, 2);
    both_subscribe(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    net_begin(&n, 0);
    for (uint64_t i = 0; i < TAKO_SYNC_DIRTY_MAX + 10; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    sync_session_counts(n.links[0].ends[0].session, &c);
    assert_int_equal(c.resyncs, 1);
    check_equal(&n, "orders");
    net_delete(&n, 1, "orders", 4);
    net_settle(&n);
    check_equal(&n, "orders");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

static void test_session__transactions_arrive_whole_over_two_hops(void **state)
{
    net n;
    uint64_t seen = 0;

    (void)state;
    net_init(&n, 8, 3);
    both_subscribe(&n, "orders");
    both_subscribe(&n, "items");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "v0", "pad");
    net_insert(&n, 0, "items", 1, "v0", "pad");
    net_commit_now(&n, 0);
    net_settle(&n);
    for (uint32_t i = 0; i < 3000; i++) {
        char v[16], order[64];

        if (test_below(&n.t, 8) == 0) {
            (void)snprintf(v, sizeof v, "v%u", i);
            n.slow_commits = test_below(&n.t, 2) == 0;
            net_begin(&n, 0);
            net_set(&n, 0, "orders", 1, "s", v);
            net_set(&n, 0, "items", 1, "s", v);
            net_commit_now(&n, 0);
        }
        net_step(&n);
        for (size_t at = 1; at < 3; at++) {
            (void)snprintf(order, sizeof order, "%s",
                           net_get(&n, at, "orders", 1, "s"));
            assert_string_equal(order, net_get(&n, at, "items", 1, "s"));
            seen += at == 2 && strcmp(order, "v0") != 0;
        }
    }
    assert_true(seen > 100);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* A receiver that lacks the base asks, holds the cut, and applies it with the
 * answer: simulated by a peer whose file went back in time. */
static void test_session__a_refused_delta_holds_its_cut(void **state)
{
    net n;
    sync_counts c;
    bool held = false;

    (void)state;
    net_init(&n, 9, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders");
    net_insert(&n, 2, "orders", 9, "other", "pad");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "v0", "pad");
    net_insert(&n, 0, "orders", 2, "v0", "pad");
    net_settle(&n);
    /* Node 2 takes node 1's place behind the live session: it has nothing. */
    {
        store *st = n.nodes[1].st;

        n.nodes[1].st = n.nodes[2].st;
        n.t.wall_ms += 10;
        net_begin(&n, 0);
        net_set(&n, 0, "orders", 1, "s", "v1");
        net_set(&n, 0, "orders", 2, "s", "v1");
        net_commit_now(&n, 0);
        for (int i = 0; i < 50; i++) {
            (void)net_send(&n, &n.links[0], 0);
            (void)net_deliver(&n, &n.links[0], 0, SYNC_LIVE);
            sync_session_counts(n.links[0].ends[1].session, &c);
            held = held || c.held_bytes > 0;
            if (c.held_bytes > 0)
                assert_int_equal(net_live_count(&n, 2), 1);
            (void)net_send(&n, &n.links[0], 1);
            (void)net_deliver(&n, &n.links[0], 1, SYNC_CONTROL);
        }
        n.nodes[1].st = st;
    }
    assert_int_equal(n.last_error, TAKO_OK);
    assert_true(held);
    sync_session_counts(n.links[0].ends[1].session, &c);
    assert_int_equal(c.needs_out, 2);
    assert_int_equal(c.held_bytes, 0);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "v1");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

static void test_session__refuses_what_it_cannot_serve(void **state)
{
    net n;
    sync_subscription_state sub;
    tako_errbuf e = { "" };

    (void)state;
    net_init(&n, 10, 2);
    net_connect(&n, 0, 1);
    assert_int_equal(sync_session_subscribe(n.links[0].ends[0].session, 3,
                                            tako_slice_str("?bad"), &e),
                     TAKO_INVALID);
    net_subscribe(&n, 0, "orders");
    assert_int_equal(sync_session_subscribe(n.links[0].ends[0].session, 0,
                                            tako_slice_str("orders"), &e),
                     TAKO_EXISTS);
    net_settle(&n);
    assert_true(
        sync_session_subscription(n.links[0].ends[0].session, 0, n.now, &sub));
    assert_true(sub.in_sync);
    assert_int_equal(sync_session_unsubscribe(n.links[0].ends[0].session, 0),
                     TAKO_OK);
    assert_int_equal(sync_session_unsubscribe(n.links[0].ends[0].session, 0),
                     TAKO_NOTFOUND);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static tako_err one_message(net *n, sync_lane lane, const void *bytes,
                            size_t len, tako_errbuf *e)
{
    return sync_session_recv(n->links[0].ends[0].session, n->now, lane,
                             tako_slice_of(bytes, len), e);
}

static void test_session__versions_and_unknown_messages(void **state)
{
    static const uint8_t other_major[] = { 1, 9, 0 };
    static const uint8_t optional[] = { 0x90, 1, 2 };
    static const uint8_t mandatory[] = { 0x70 };
    tako_errbuf e = { "" };
    tako_buf bye;
    net n;

    (void)state;
    net_init(&n, 11, 2);
    net_connect(&n, 0, 1);
    assert_int_equal(one_message(&n, SYNC_CONTROL, other_major, 3, &e),
                     TAKO_UNSUPPORTED);
    assert_non_null(strstr(e.text, "version 9"));
    assert_int_equal(one_message(&n, SYNC_CONTROL, optional, 3, &e),
                     TAKO_CLOSED);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    assert_int_equal(one_message(&n, SYNC_CONTROL, optional, 3, &e), TAKO_OK);
    assert_int_equal(one_message(&n, SYNC_CONTROL, mandatory, 1, &e),
                     TAKO_UNSUPPORTED);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    bye = tako_buf_on(&n.t.env);
    sync_bye(&bye, "for a test");
    assert_int_equal(one_message(&n, SYNC_CONTROL, bye.ptr, bye.len, &e),
                     TAKO_CLOSED);
    assert_non_null(strstr(e.text, "for a test"));
    tako_buf_fini(&bye);
    net_fini(&n);
}

/* Messages of a real session with bytes changed: any answer, no crash. */
static void test_session__damaged_messages_end_it_cleanly(void **state)
{
    uint32_t ended = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        net n;

        net_init(&n, seed, 2);
        both_subscribe(&n, "orders");
        net_connect(&n, 0, 1);
        for (uint64_t i = 0; i < 8; i++)
            net_insert(&n, i % 2, "orders", i, "open", "pad");
        for (int i = 0; i < 300 && n.links[0].up; i++) {
            net_link *l = &n.links[0];
            net_message *m =
                l->ends[test_below(&n.t, 2)].out[test_below(&n.t, 3)].first;

            if (m != NULL && m->len > 0 && test_below(&n.t, 6) == 0)
                m->bytes[test_below(&n.t, m->len)] ^=
                    (uint8_t)(1u << test_below(&n.t, 8));
            if (test_below(&n.t, 20) == 0)
                net_set(&n, test_below(&n.t, 2), "orders", test_below(&n.t, 8),
                        "s", "done");
            net_step(&n);
        }
        ended += !n.links[0].up;
        net_fini(&n);
    }
    assert_true(ended > 20);
}

/* Every allocation refused once: the session ends or goes on, nothing leaks,
 * and a new session makes both sides equal. */
static void test_session__survives_every_allocation_failure(void **state)
{
    net n;
    uint32_t failures = 0;

    (void)state;
    net_init(&n, 12, 2);
    both_subscribe(&n, "orders");
    for (uint64_t i = 0; i < 6; i++)
        net_insert(&n, i % 2, "orders", i, "open", "pad");
    net_connect(&n, 0, 1);
    net_settle(&n);
    for (long nth = 0;; nth++) {
        if (n.links[0].up)
            net_disconnect(&n, &n.links[0]);
        for (size_t i = 0; i < 2; i++)
            net_set(&n, i, "orders", (uint64_t)nth % 6, "s",
                    nth % 2 == 0 ? "open" : "done");
        n.t.failed_once = false;
        n.t.fail_after = nth;
        net_reconnect(&n, &n.links[0]);
        net_settle(&n);
        n.t.fail_after = -1;
        if (!n.t.failed_once)
            break;
        failures++;
        assert_true(nth < 20000);
    }
    print_message("%u refused allocations\n", failures);
    net_settle(&n);
    check_equal(&n, "orders");
    net_fini(&n);
}

static void test_session__streams_a_cold_collection(void **state)
{
    enum { DOCS = 50000 };
    net n;
    sync_counts c;
    struct timespec from, to;
    double seconds;

    (void)state;
    net_init(&n, 13, 2);
    n.room = 1u << 20;
    both_subscribe(&n, "orders");
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
    check_equal(&n, "orders");
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__fills_an_empty_peer),
        cmocka_unit_test(test_session__live_changes_arrive_both_ways),
        cmocka_unit_test(test_session__a_known_change_is_short),
        cmocka_unit_test(test_session__being_in_sync_costs_one_round_trip),
        cmocka_unit_test(test_session__overlapping_edits_cost_their_buckets),
        cmocka_unit_test(test_session__what_leaves_an_interest_is_told_once),
        cmocka_unit_test(test_session__too_many_changes_start_over),
        cmocka_unit_test(test_session__transactions_arrive_whole_over_two_hops),
        cmocka_unit_test(test_session__a_refused_delta_holds_its_cut),
        cmocka_unit_test(test_session__refuses_what_it_cannot_serve),
        cmocka_unit_test(test_session__versions_and_unknown_messages),
        cmocka_unit_test(test_session__damaged_messages_end_it_cleanly),
        cmocka_unit_test(test_session__survives_every_allocation_failure),
        cmocka_unit_test(test_session__streams_a_cold_collection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
