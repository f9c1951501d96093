// SPDX-License-Identifier: Apache-2.0
/* Links of which not all is pushed: what counts as acknowledged over them, and
 * how copies are counted (P11). How a mesh prunes and mends itself is in
 * test_cuts.c. */
#include "sync/support_net.h"

#include "sync/state.h"

/* Until nothing moves, but for the cuts that node 0 sends over the first link. */
static void settle_but_cuts(net *n)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (size_t i = 0; i < n->node_count; i++)
            while (net_tell(n, i))
                moved = true;
        for (size_t i = 0; i < n->link_count; i++)
            for (int end = 0; end < 2; end++) {
                moved = net_send(n, &n->links[i], end) || moved;
                for (int lane = 0; lane < SYNC_LANES; lane++)
                    if (i > 0 || end > 0 || lane != SYNC_LIVE)
                        moved =
                            net_deliver(n, &n->links[i], end, lane) || moved;
            }
    }
}

static sync_mode mode_of(const net_link *l, size_t sub)
{
    return l->ends[1].session->subs[sub].mode;
}

/* Nodes 0 and 1 want orders and items of each other, node 2 only orders: so
 * orders come to node 1 that way, and items over a link that is eager for them
 * alone. Summaries of orders say nothing of the items that are under way. */
static void
test_lazy__one_eager_and_one_pruned_are_acknowledged_both(void **state)
{
    net n;
    net_link *ab;
    uint64_t lsn;

    (void)state;
    net_init(&n, 1, 3);
    net_subscribe_all(&n, "orders");
    net_subscribe(&n, 0, "items");
    net_subscribe(&n, 1, "items");
    ab = net_connect(&n, 0, 1);
    net_connect(&n, 0, 2);
    net_connect(&n, 1, 2);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "items", 1, "open", "pad");
    net_settle_later(&n, 6);
    for (int i = 0; i < 4; i++)
        sync_useless(ab->ends[1].session, true);
    net_settle_later(&n, 6);
    assert_int_equal(mode_of(ab, 0), SYNC_PRUNED);
    assert_int_equal(mode_of(ab, 1), SYNC_EAGER);
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_settle_later(&n, 6);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    lsn = store_lsn(n.nodes[0].st);
    assert_int_equal(sync_session_acked(ab->ends[0].session), lsn);

    net_insert(&n, 0, "items", 2, "open", "pad");
    net_insert(&n, 0, "orders", 3, "open", "pad");
    for (int i = 0; i < 6; i++) {
        settle_but_cuts(&n);
        n.now += 1500;
    }
    assert_string_equal(net_get(&n, 1, "orders", 3, "s"), "open");
    assert_string_equal(net_get(&n, 1, "items", 2, "s"), "-");
    assert_int_equal(sync_session_acked(ab->ends[0].session), lsn);
    net_settle_later(&n, 6);
    assert_string_equal(net_get(&n, 1, "items", 2, "s"), "open");
    assert_int_equal(mode_of(ab, 0), SYNC_PRUNED);
    assert_int_equal(sync_session_acked(ab->ends[0].session),
                     store_lsn(n.nodes[0].st));
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Nodes 0 and 1 want open orders, node 2 all, and what 0 writes comes to 1 that
 * way. A finished order does not: node 1 hears only that node 2 has all up to
 * it, which is no commit there. That it has as much itself, node 0 has to
 * hear, or what it wrote counts as acknowledged nowhere, and would never leave. */
static void test_lazy__what_is_heard_of_without_a_commit_is_said(void **state)
{
    net n;
    net_link *ab;
    uint64_t lsn;

    (void)state;
    net_init(&n, 3, 3);
    net_subscribe(&n, 0, "orders?open");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders");
    ab = net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_settle_later(&n, 6);
    net_connect(&n, 0, 2);
    net_connect(&n, 1, 2);
    net_settle_later(&n, 6);
    for (int i = 0; i < 4; i++)
        sync_useless(ab->ends[1].session, true);
    net_settle_later(&n, 6);
    assert_int_equal(mode_of(ab, 0), SYNC_PRUNED);

    net_insert(&n, 0, "orders", 2, "done", "pad");
    lsn = store_lsn(n.nodes[1].st);
    net_settle_later(&n, 6);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "done");
    assert_int_equal(store_lsn(n.nodes[1].st), lsn);
    assert_int_equal(mode_of(ab, 0), SYNC_PRUNED);
    assert_int_equal(sync_session_acked(ab->ends[0].session),
                     store_lsn(n.nodes[0].st));
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* In a chain of those who want open orders a finished one goes nowhere; but who
 * has all up to it says so all along, without a commit of its own. */
static void test_lazy__what_is_heard_of_without_a_commit_goes_on(void **state)
{
    net n;
    crdt_dot own;
    const net_link *last;

    (void)state;
    net_init(&n, 4, 4);
    net_subscribe_all(&n, "orders?open");
    for (size_t i = 0; i + 1 < 4; i++)
        net_connect(&n, i, i + 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_settle_later(&n, 6);
    net_insert(&n, 0, "orders", 2, "done", "pad");
    assert_int_equal(store_own_last(n.nodes[0].reader, &own), TAKO_OK);
    net_settle_later(&n, 6);
    last = &n.links[2];
    assert_int_equal(mode_of(last, 0), SYNC_EAGER);
    assert_true(crdt_context_has(&last->ends[1].session->subs[0].theirs, own));
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static void count(const net *n, uint64_t *copies, uint64_t *fresh)
{
    *copies = *fresh = 0;
    for (size_t i = 0; i < n->link_count; i++)
        for (int end = 0; end < 2; end++) {
            sync_counts c;

            sync_session_counts(n->links[i].ends[end].session, &c);
            *copies += c.copies_in;
            *fresh += c.copies_new;
        }
}

/* In a triangle that is not pruned yet a change comes to two nodes, and once
 * more to one of them at least. Were what comes twice not counted, no mesh
 * would ever seem to push too much. */
static void test_lazy__a_copy_counts_each_time_it_comes(void **state)
{
    net n;
    uint64_t copies[2], fresh[2];

    (void)state;
    net_init(&n, 2, 3);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_connect(&n, 0, 2);
    net_connect(&n, 1, 2);
    net_settle_later(&n, 6);
    count(&n, &copies[0], &fresh[0]);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    while (net_tell(&n, 0))
        ;
    for (size_t i = 0; i < 2; i++) {
        assert_true(net_send(&n, &n.links[i], 0));
        assert_true(net_deliver(&n, &n.links[i], 0, SYNC_LIVE));
    }
    net_settle(&n); /* 1 and 2 tell each other */
    count(&n, &copies[1], &fresh[1]);
    assert_int_equal(fresh[1] - fresh[0], 2);
    assert_int_equal(copies[1] - copies[0], 4);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* What the two ways over node 2 carry, and what node 0 wants of 1. */
static bool is_round_or_word(const net_link *l, int end, int lane)
{
    const net *n = l->ends[1].node->net;

    return l->ends[1].node == n->nodes + 2 ? lane != SYNC_CONTROL
                                           : end == 0 && lane == SYNC_CONTROL;
}

static bool is_round(const net_link *l, int end, int lane)
{
    const net *n = l->ends[1].node->net;

    return l->ends[1].node == n->nodes + 2 && is_round_or_word(l, end, lane);
}

/* Of a triangle whose third side was pruned the other two stand still. Node 0
 * hears that 1 has more, and wants all from it again; so 1 wants all as well, and
 * at once no more than what 0 writes, as 0 last said (its word crossed the
 * prune) that it does not cover, and node 2 does. What 0 wrote meanwhile was not
 * pushed: were that forgotten with the second wish, the next write would make
 * node 1 whole without. */
static void test_lazy__who_asks_for_more_and_then_for_less_is_told(void **state)
{
    net n;
    net_link *ab;

    (void)state;
    net_init(&n, 5, 3);
    net_subscribe_all(&n, "orders");
    ab = net_connect(&n, 0, 1);
    net_connect(&n, 0, 2);
    net_connect(&n, 1, 2);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_settle_later(&n, 6);
    for (int i = 0; i < 4; i++)
        sync_useless(ab->ends[1].session, true);
    net_settle_later(&n, 6);
    assert_int_equal(mode_of(ab, 0), SYNC_PRUNED);
    assert_int_equal(ab->ends[0].session->subs[0].mode, SYNC_PRUNED);

    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_insert(&n, 1, "orders", 3, "open", "pad");
    for (int i = 0; i < 20 && ab->ends[0].session->subs[0].mode != SYNC_EAGER;
         i++) {
        n.now += 300;
        net_settle_but(&n, is_round_or_word);
    }
    while (mode_of(ab, 0) != SYNC_EAGER)
        assert_true(net_deliver(&n, ab, 0, SYNC_CONTROL));
    ab->ends[1].session->subs[0].claim = SYNC_CLAIM_PART;
    ab->ends[1].session->wants[0].back = false;
    sync_session_recheck(ab->ends[1].session);
    while (net_send(&n, ab, 1))
        ;
    assert_int_equal(mode_of(ab, 0), SYNC_OWN);
    net_insert(&n, 0, "orders", 4, "open", "pad");
    net_settle_but(&n, is_round);
    assert_string_equal(net_get(&n, 1, "orders", 4, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    net_settle_later(&n, 6);
    net_check_equal(&n, "orders");
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_lazy__one_eager_and_one_pruned_are_acknowledged_both),
        cmocka_unit_test(test_lazy__what_is_heard_of_without_a_commit_is_said),
        cmocka_unit_test(test_lazy__what_is_heard_of_without_a_commit_goes_on),
        cmocka_unit_test(test_lazy__a_copy_counts_each_time_it_comes),
        cmocka_unit_test(
            test_lazy__who_asks_for_more_and_then_for_less_is_told),
    };

    return cmocka_run_group_tests_name("sync/lazy", tests, NULL, NULL);
}
