// SPDX-License-Identifier: Apache-2.0
/* What was evicted at one node, and stays or changes at others (SYNC.md 3). */
#include "sync/support_net.h"

#define DOCS 40u

/* Documents of node 0 that node 1 has too. */
static void two(net *n, uint64_t seed, const char *near, const char *far)
{
    net_init(n, seed, 2);
    net_subscribe(n, 0, near);
    net_subscribe(n, 1, far);
    net_begin(n, 0);
    for (uint64_t i = 0; i < DOCS; i++)
        net_insert(n, 0, "orders", i, "open", "pad");
    net_commit_now(n, 0);
    net_connect(n, 0, 1);
    net_settle(n);
    assert_int_equal(net_live_count(n, 1), DOCS);
}

static void again(net *n, sync_counts counts[2])
{
    net_disconnect(n, &n->links[0]);
    net_reconnect(n, &n->links[0]);
    net_settle(n);
    assert_int_equal(n->last_error, TAKO_OK);
    for (int i = 0; i < 2; i++)
        sync_session_counts(n->links[0].ends[i].session, &counts[i]);
}

/* Nothing is told of an eviction, and nothing of it travels afterwards. */
static void stays_away(const char *near, const char *far, bool digests_agree)
{
    net n;
    sync_counts c[2];

    two(&n, 1, near, far);
    for (uint64_t i = 0; i < DOCS; i += 3)
        net_evict(&n, 1, "orders", i, false);
    net_settle(&n);
    for (int round = 0; round < 3; round++) {
        if (round > 0)
            again(&n, c);
        for (uint64_t i = 0; i < DOCS; i++) {
            assert_string_equal(net_get(&n, 0, "orders", i, "s"), "open");
            assert_string_equal(net_get(&n, 1, "orders", i, "s"),
                                i % 3 == 0 ? "e" : "open");
        }
        if (round == 0)
            continue;
        assert_int_equal(c[0].documents_out + c[1].documents_out, 0);
        if (digests_agree) /* in sync already */
            assert_in_range(c[0].messages_out + c[1].messages_out, 1, 16);
        else
            assert_in_range(c[0].messages_out + c[1].messages_out, 1, 22);
    }
    net_fini(&n);
}

static void test_evict__stays_away_and_in_sync(void **state)
{
    (void)state;
    stays_away("orders", "orders", true);
    stays_away("orders", "orders?open", false);
    stays_away("orders?open", "orders", false);
    stays_away("none", "orders?open", false);
}

/* Also when nothing else is left here to be in sync with. */
static void test_evict__all_of_it_is_not_sent_again(void **state)
{
    static const char *const texts[] = { "orders", "orders?open" };
    net n;
    sync_counts c[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        two(&n, 2, "orders", texts[k]);
        for (uint64_t i = 0; i < DOCS; i++)
            net_evict(&n, 1, "orders", i, false);
        net_settle(&n);
        again(&n, c);
        assert_int_equal(c[0].documents_out + c[1].documents_out, 0);
        assert_int_equal(net_live_count(&n, 0), DOCS);
        assert_int_equal(net_live_count(&n, 1), 0);
        net_insert(&n, 0, "orders", 1000, "open", "new");
        net_settle(&n);
        assert_string_equal(net_get(&n, 1, "orders", 1000, "p"), "new");
        net_fini(&n);
    }
}

/* A change brings the whole document back, live and at the next catch-up. */
static void test_evict__a_change_brings_it_back_whole(void **state)
{
    net n;
    sync_counts c[2];

    (void)state;
    two(&n, 3, "orders", "orders");
    net_evict(&n, 1, "orders", 1, false);
    net_evict(&n, 1, "orders", 2, false);
    net_settle(&n);
    net_set(&n, 0, "orders", 1, "x", "1");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "p"), "pad");
    assert_string_equal(net_get(&n, 1, "orders", 1, "x"), "1");
    assert_string_equal(net_get(&n, 1, "orders", 2, "x"), "e");
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 2, "x", "2");
    again(&n, c);
    assert_string_equal(net_get(&n, 1, "orders", 2, "p"), "pad");
    assert_string_equal(net_get(&n, 1, "orders", 2, "x"), "2");
    net_check_equal(&n, "orders");
    net_set(&n, 1, "orders", 2, "x", "3"); /* and goes the other way */
    net_settle(&n);
    assert_string_equal(net_get(&n, 0, "orders", 2, "x"), "3");
    again(&n, c);
    assert_int_equal(c[0].documents_out + c[1].documents_out, 0);
    net_fini(&n);
}

/* Only where somebody here asks for what it is now. */
static void test_evict__a_change_that_nobody_asks_for_does_not(void **state)
{
    net n;
    sync_counts c[2];

    (void)state;
    two(&n, 4, "none", "orders?open");
    net_evict(&n, 1, "orders", 1, false);
    net_evict(&n, 1, "orders", 2, false);
    net_settle(&n);
    net_set(&n, 0, "orders", 1, "s", "done"); /* live */
    net_set(&n, 0, "orders", 3, "x", "1");    /* in the same way after it */
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "e");
    assert_string_equal(net_get(&n, 1, "orders", 3, "x"), "1");
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 2, "s", "done");
    for (int i = 0; i < 2; i++) {
        again(&n, c);
        assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "e");
        assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "e");
    }
    net_set(&n, 0, "orders", 1, "s", "open");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "p"), "pad");
    net_fini(&n);
}

static void test_evict__a_delete_becomes_a_tombstone(void **state)
{
    net n;
    sync_counts c[2];

    (void)state;
    two(&n, 5, "orders", "orders");
    net_evict(&n, 1, "orders", 1, false);
    net_evict(&n, 1, "orders", 2, false);
    net_settle(&n);
    net_delete(&n, 0, "orders", 1);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "x");
    net_disconnect(&n, &n.links[0]);
    net_delete(&n, 0, "orders", 2);
    again(&n, c);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "x");
    again(&n, c);
    assert_int_equal(c[0].documents_out + c[1].documents_out, 0);
    net_fini(&n);
}

/* A marker in the middle: neither sent for a state nor in the way of one. */
static void test_evict__in_the_middle_of_a_line(void **state)
{
    net n;

    (void)state;
    net_init(&n, 6, 3);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    for (uint64_t i = 0; i < 6; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_settle(&n);
    for (uint64_t i = 0; i < 6; i++)
        net_evict(&n, 1, "orders", i, false);
    net_settle(&n);
    assert_string_equal(net_get(&n, 2, "orders", 0, "s"), "open");
    net_set(&n, 0, "orders", 1, "x", "1");
    net_delete(&n, 0, "orders", 2);
    net_set(&n, 2, "orders", 3, "x", "3");
    net_delete(&n, 2, "orders", 4);
    net_settle(&n);
    for (uint64_t i = 0; i < 6; i++)
        for (size_t node = 0; node < 3; node += 2)
            assert_string_equal(net_get(&n, node, "orders", i, "x"),
                                i == 2 || i == 4 ? "x"
                                : i == 1         ? "1"
                                : i == 3         ? "3"
                                                 : "");
    assert_string_equal(net_get(&n, 1, "orders", 0, "s"), "e");
    assert_string_equal(net_get(&n, 1, "orders", 1, "x"), "1");
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "x");
    net_fini(&n);
}

/* A peer waits for the whole of a document that goes meanwhile. */
static void test_evict__of_what_a_peer_waits_for(void **state)
{
    net n;

    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        two(&n, seed, "orders", "orders");
        net_evict(&n, 1, "orders", 1, false);
        net_settle(&n);
        net_set(&n, 0, "orders", 1, "x", "1"); /* a delta: refused */
        net_set(&n, 0, "orders", 2, "x", "2");
        for (uint64_t steps = test_below(&n.t, 30); steps > 0; steps--)
            net_step(&n);
        net_evict(&n, 0, "orders", 1, true);
        net_settle(&n);
        assert_int_equal(n.last_error, TAKO_OK);
        assert_string_equal(net_get(&n, 1, "orders", 2, "x"), "2");
        net_set(&n, 0, "orders", 3, "x", "3");
        net_settle(&n);
        assert_string_equal(net_get(&n, 1, "orders", 3, "x"), "3");
        net_fini(&n);
    }
}

/* An INSERT of an evicted key merges with what others have. */
static void test_evict__an_insert_merges(void **state)
{
    net n;

    (void)state;
    two(&n, 7, "orders", "orders");
    net_set(&n, 0, "orders", 1, "old", "yes");
    net_set(&n, 0, "orders", 2, "old", "yes");
    net_settle(&n);
    net_evict(&n, 1, "orders", 1, false);
    net_settle(&n);
    net_insert(&n, 1, "orders", 1, "new", "other");
    net_begin(&n, 1); /* before anything is sent */
    net_evict(&n, 1, "orders", 2, false);
    net_insert(&n, 1, "orders", 2, "new", "other");
    net_commit_now(&n, 1);
    net_settle(&n);
    net_check_equal(&n, "orders");
    for (uint64_t id = 1; id <= 2; id++) {
        assert_string_equal(net_get(&n, 0, "orders", id, "s"), "new");
        assert_string_equal(net_get(&n, 1, "orders", id, "old"), "yes");
    }
    net_fini(&n);
}

static void random_write(net *n, bool deletes)
{
    size_t node = (size_t)test_below(&n->t, n->node_count);
    uint64_t id = test_below(&n->t, 12);
    const char *status = test_below(&n->t, 2) == 0 ? "open" : "done";

    switch (test_below(&n->t, 5)) {
    case 0:
        net_insert(n, node, "orders", id, status, "pad");
        break;
    case 1:
        if (deletes)
            net_delete(n, node, "orders", id);
        break;
    case 2:
        if (!deletes) /* a life that nobody heard of would not come back */
            net_settle(n);
        if (strlen(net_get(n, node, "orders", id, "s")) == 4)
            net_evict(n, node, "orders", id, true);
        break;
    default:
        net_set(n, node, "orders", id, "s", status);
        break;
    }
}

static void reconnect_all(net *n)
{
    for (size_t l = 0; l < n->link_count; l++) {
        net_disconnect(n, &n->links[l]);
        net_reconnect(n, &n->links[l]);
    }
    net_settle(n);
    assert_int_equal(n->last_error, TAKO_OK);
}

/* A line of three, at random; then each link anew. */
static void history(net *n, uint64_t seed, const char *text, bool deletes)
{
    net_init(n, seed, 3);
    net_subscribe_all(n, text);
    net_connect(n, 0, 1);
    net_connect(n, 1, 2);
    for (int i = 0; i < 80; i++) {
        random_write(n, deletes);
        for (uint64_t k = test_below(&n->t, 25); k > 0; k--)
            net_step(n);
        if (test_below(&n->t, 20) == 0) {
            net_link *l = &n->links[test_below(&n->t, 2)];

            net_disconnect(n, l);
            net_reconnect(n, l);
        }
    }
    net_settle(n);
    reconnect_all(n);
}

static void test_evict__random_histories_come_to_rest(void **state)
{
    uint64_t first = test_seed(1000);

    (void)state;
    for (uint64_t i = 0; i < 120; i++) {
        net n;
        sync_counts c;

        history(&n, first + i, i % 2 == 0 ? "orders" : "orders?open", true);
        for (size_t l = 0; l < 2; l++) { /* each at most once each way */
            sync_session_counts(n.links[l].ends[0].session, &c);
            assert_in_range(c.documents_in + c.documents_out, 0, 24);
        }
        net_fini(&n);
    }
}

/* Whatever was evicted where: one more change, and all have the same. */
static void test_evict__a_change_makes_all_equal(void **state)
{
    uint64_t first = test_seed(5000);

    (void)state;
    for (uint64_t i = 0; i < 120; i++) {
        net n;

        history(&n, first + i, "orders", false);
        for (uint64_t id = 0; id < 12; id++) {
            net_insert(&n, 0, "orders", id, "open", "last");
            net_set(&n, 0, "orders", id, "x", "last");
        }
        net_settle(&n);
        assert_int_equal(net_live_count(&n, 1), 12);
        net_check_equal(&n, "orders");
        reconnect_all(&n);
        net_check_equal(&n, "orders");
        net_fini(&n);
    }
}

/* Who evicted one covers all the same. Who was complete by that, and never had
 * it, takes it from who has. */
static void test_evict__comes_from_who_has_it(void **state)
{
    net n;
    net_link *l;

    (void)state;
    for (int how = 0; how < 3; how++) {
        net_init(&n, 8, 3);
        net_subscribe(&n, 0, "orders");
        net_subscribe(&n, 1, "orders?open");
        net_subscribe(&n, 2, "orders?open");
        l = net_connect(&n, 0, 1);
        net_insert(&n, 0, "orders", 1, "open", "pad");
        net_insert(&n, 0, "orders", 2, "open", "pad");
        net_settle(&n);
        net_disconnect(&n, l);
        net_evict(&n, 1, "orders", 1, false);
        net_connect(&n, 1, 2);
        net_settle_later(&n, 4);
        assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
        if (how == 2) /* of which who has it has not heard */
            net_insert(&n, 1, "orders", 4, "open", "pad");
        net_settle(&n);
        net_connect(&n, 0, 2);
        if (how == 1)
            net_insert(&n, 0, "orders", 3, "open", "pad");
        net_settle_later(&n, 4);
        if (how == 2) {
            assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "-");
            net_reconnect(&n, l);
            net_settle_later(&n, 4);
        }
        assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
        assert_int_equal(n.last_error, TAKO_OK);
        net_fini(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evict__stays_away_and_in_sync),
        cmocka_unit_test(test_evict__all_of_it_is_not_sent_again),
        cmocka_unit_test(test_evict__a_change_brings_it_back_whole),
        cmocka_unit_test(test_evict__a_change_that_nobody_asks_for_does_not),
        cmocka_unit_test(test_evict__a_delete_becomes_a_tombstone),
        cmocka_unit_test(test_evict__in_the_middle_of_a_line),
        cmocka_unit_test(test_evict__of_what_a_peer_waits_for),
        cmocka_unit_test(test_evict__an_insert_merges),
        cmocka_unit_test(test_evict__random_histories_come_to_rest),
        cmocka_unit_test(test_evict__a_change_makes_all_equal),
        cmocka_unit_test(test_evict__comes_from_who_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
