// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

static void test_live__a_known_change_is_short(void **state)
{
    net n;
    sync_counts before, after;
    uint64_t payload, ack;

    (void)state;
    net_init(&n, 3, 2);
    net_subscribe_all(&n, "orders");
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

/* The base for a neighbour is what was sent to it, and what it sent. */
static void test_live__what_the_peer_sent_is_a_base_too(void **state)
{
    net n;
    sync_counts before, after;

    (void)state;
    net_init(&n, 4, 2);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    net_insert(&n, 0, "orders", 1, "open", "a pad as long as an order is");
    net_settle(&n);
    for (size_t round = 0; round < 4; round++) { /* in turns */
        net_end *end = &n.links[0].ends[(round + 1) % 2];

        sync_session_counts(end->session, &before);
        net_set(&n, (round + 1) % 2, "orders", 1, "s",
                round % 2 == 0 ? "ready" : "serve");
        net_settle(&n);
        sync_session_counts(end->session, &after);
        assert_int_equal(after.deltas_out - before.deltas_out, 1);
        assert_int_equal(after.documents_out - before.documents_out, 1);
        assert_int_equal(after.needs_in, 0);
    }
    net_check_equal(&n, "orders");
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static void test_live__what_leaves_an_interest_is_told_once(void **state)
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

static void test_live__too_many_changes_start_over(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    net_init(&n, 7, 2);
    net_subscribe_all(&n, "orders");
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
    net_check_equal(&n, "orders");
    net_delete(&n, 1, "orders", 4);
    net_settle(&n);
    net_check_equal(&n, "orders");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

/* Who has the old state of it may have come by that over any link. */
static void test_live__what_a_merge_joined_goes_on(void **state)
{
    net n;
    net_link *ab;

    (void)state;
    net_init(&n, 9, 3);
    net_subscribe(&n, 0, "orders?open");
    net_subscribe(&n, 1, "orders");
    net_subscribe(&n, 2, "orders?open");
    ab = net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_insert(&n, 1, "orders", 1, "open", "pad");
    net_settle(&n);
    net_disconnect(&n, ab);
    net_set(&n, 0, "orders", 1, "a", "late");
    net_set(&n, 1, "orders", 1, "s", "done");
    net_settle(&n);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    net_reconnect(&n, ab);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "done");
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "late");
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* What node 3 tells node 2. */
static bool is_told_by_3(const net_link *l, int end, int lane)
{
    const net *n = l->ends[0].node->net;

    return lane != SYNC_CONTROL && l->ends[0].node == n->nodes + 2 &&
           l->ends[1].node == n->nodes + 3 && end == 1;
}

/* A line: all want all orders, but for node 3, which wants open ones. Order 1 is
 * done, but 4 has opened it again, which 2 has not heard of; and where node 0 is
 * away, it has it open still. */
static net_link *reopened(net *n, bool away)
{
    net_link *ab;

    net_init(n, 10, 5);
    for (size_t i = 0; i < 5; i++)
        net_subscribe(n, i, i == 3 ? "orders?open" : "orders");
    ab = net_connect(n, 0, 1);
    for (size_t i = 1; i + 1 < 5; i++)
        net_connect(n, i, i + 1);
    net_insert(n, 1, "orders", 1, "open", "pad");
    net_settle_later(n, 4);
    if (away)
        net_disconnect(n, ab);
    net_set(n, 1, "orders", 1, "s", "done");
    net_settle_later(n, 4);
    net_set(n, 4, "orders", 1, "s", "open");
    net_settle_but(n, is_told_by_3);
    assert_string_equal(net_get(n, 3, "orders", 1, "s"), "open");
    return ab;
}

/* The order that 0 wrote to, while it was open there, is done for those between;
 * node 3, which shows it, would have half of the transaction. */
static void test_live__what_was_joined_elsewhere_goes_on(void **state)
{
    net n;
    net_link *ab;

    (void)state;
    ab = reopened(&n, true);
    net_begin(&n, 0);
    net_set(&n, 0, "orders", 1, "a", "late");
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_commit_now(&n, 0);
    net_reconnect(&n, ab);
    net_settle_but(&n, is_told_by_3);
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    assert_string_equal(net_get(&n, 3, "orders", 2, "s"), "open");
    assert_string_equal(net_get(&n, 3, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 3, "orders", 1, "s"), "open");
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Likewise where it was open only between two writes that come as one. */
static void test_live__what_matched_between_goes_on(void **state)
{
    net n;

    (void)state;
    (void)reopened(&n, false);
    net_begin(&n, 0);
    net_set(&n, 0, "orders", 1, "a", "late");
    net_set(&n, 0, "orders", 1, "s", "open");
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_commit_now(&n, 0);
    net_set(&n, 0, "orders", 1, "s", "done");
    net_settle_but(&n, is_told_by_3);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    assert_string_equal(net_get(&n, 3, "orders", 2, "s"), "open");
    assert_string_equal(net_get(&n, 3, "orders", 1, "a"), "late");
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* One write of what nobody there wants is for nobody: nothing more than a state
 * before it and one after it can have matched. */
static void test_live__one_write_is_no_jump(void **state)
{
    net n;
    sync_counts before, after;

    (void)state;
    (void)reopened(&n, false);
    sync_session_counts(n.links[2].ends[0].session, &before);
    net_set(&n, 0, "orders", 1, "a", "late");
    net_settle_but(&n, is_told_by_3);
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "late");
    sync_session_counts(n.links[2].ends[0].session, &after);
    assert_int_equal(after.documents_out, before.documents_out);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* What the host has at hand of a commit, made to show what was before it: so
 * that what a cut is made of can be told. */
typedef struct at_hand {
    tako_arena a;
    sync_latest latest;
    store_change change;
    store_row row;
} at_hand;

static at_hand hand; /* a host's ctx is the node */

static const sync_latest *hand_over(void *ctx)
{
    (void)ctx;
    return hand.latest.count > 0 ? &hand.latest : NULL;
}

static void hand_take(net *n)
{
    store *st = n->nodes[0].st;
    tako_slice held;

    tako_arena_reset(&hand.a);
    store_change_at(st, 0, &hand.change);
    assert_true(store_change_now(st, 0, &hand.row));
    hand.row.id = tako_arena_copy(&hand.a, hand.row.id);
    hand.row.meta = tako_arena_copy(&hand.a, hand.change.meta_before);
    hand.row.body = tako_arena_copy(&hand.a, hand.change.body_before);
    assert_true(store_held_kept(st, &held));
    hand.latest = (sync_latest){ .lsn = store_lsn(st),
                                 .moves = store_held_moves(store_writer(st)),
                                 .held = tako_arena_copy(&hand.a, held),
                                 .count = 1,
                                 .changes = &hand.change,
                                 .rows = &hand.row };
    assert_int_equal(store_own_last(store_writer(st), &hand.latest.own),
                     TAKO_OK);
}

static void hand_begin(net *n)
{
    net_init(n, 7, 2);
    hand = (at_hand){ .a = tako_arena_on(&n->t.env) };
    net_subscribe_all(n, "orders");
    net_insert(n, 0, "orders", 1, "open", "pad");
    net_insert(n, 0, "orders", 2, "open", "pad");
    n->nodes[0].host.latest = hand_over;
    net_connect(n, 0, 1);
    net_settle(n);
    net_set(n, 0, "orders", 1, "s", "first");
    hand_take(n);
}

static void hand_end(net *n)
{
    assert_int_equal(n->last_error, TAKO_OK);
    tako_arena_fini(&hand.a);
    net_fini(n);
}

static void test_live__a_commit_at_hand_is_not_read(void **state)
{
    net n;

    (void)state;
    hand_begin(&n);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    hand_end(&n);
}

static void test_live__a_commit_at_hand_that_is_not_the_last_is(void **state)
{
    net n;

    (void)state;
    hand_begin(&n);
    net_set(&n, 0, "orders", 1, "s", "second");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "second");
    hand_end(&n);
}

/* The other one was changed before, and was not sent. */
static void test_live__a_commit_at_hand_is_not_all_that_is_dirty(void **state)
{
    net n;

    (void)state;
    hand_begin(&n);
    net_set(&n, 0, "orders", 2, "s", "second");
    hand_take(&n);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "first");
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "second");
    hand_end(&n);
}

static void test_live__what_is_complete_moves_under_a_commit(void **state)
{
    static const uint8_t v[24] = { 1 };
    store_held row = { .text = tako_slice_str("orders"),
                       .v = tako_slice_of(v, sizeof v) };
    tako_errbuf e;
    net n;

    (void)state;
    hand_begin(&n);
    assert_int_equal(store_begin(n.nodes[0].st, &e), TAKO_OK);
    assert_int_equal(
        store_held_put(n.nodes[0].st, tako_slice_str("others"), &row), TAKO_OK);
    assert_int_equal(store_commit(n.nodes[0].st, NULL, &e), TAKO_OK);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "first");
    hand_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live__a_known_change_is_short),
        cmocka_unit_test(test_live__what_the_peer_sent_is_a_base_too),
        cmocka_unit_test(test_live__what_leaves_an_interest_is_told_once),
        cmocka_unit_test(test_live__too_many_changes_start_over),
        cmocka_unit_test(test_live__what_a_merge_joined_goes_on),
        cmocka_unit_test(test_live__what_was_joined_elsewhere_goes_on),
        cmocka_unit_test(test_live__what_matched_between_goes_on),
        cmocka_unit_test(test_live__one_write_is_no_jump),
        cmocka_unit_test(test_live__a_commit_at_hand_is_not_read),
        cmocka_unit_test(test_live__a_commit_at_hand_that_is_not_the_last_is),
        cmocka_unit_test(test_live__a_commit_at_hand_is_not_all_that_is_dirty),
        cmocka_unit_test(test_live__what_is_complete_moves_under_a_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
