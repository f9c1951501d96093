// SPDX-License-Identifier: Apache-2.0
/* Random histories over lines and rings: whatever is written, delivered, cut
 * off and in whichever order, nodes that are connected again and left alone
 * end with the same states. */
#include "sync/support_net.h"

#include <stdio.h>
#include <time.h>

#define SEEDS          300u
#define SECONDS        12
#define ROLLBACK_SEEDS 200u
#define ROLLBACK_LEAST 40u /* however slow: what is counted needs some */

static const char *const statuses[] = { "open", "done", "gone" };

static void write_one(net *n, size_t node)
{
    uint64_t id = test_below(&n->t, 12);
    const char *coll = test_below(&n->t, 4) == 0 ? "items" : "orders";
    char value[16];

    (void)snprintf(value, sizeof value, "v%llu",
                   (unsigned long long)test_below(&n->t, 1000));
    switch (test_below(&n->t, 6)) {
    case 0:
    case 1:
        net_insert(n, node, coll, id, statuses[test_below(&n->t, 3)], "pad");
        break;
    case 2:
    case 3:
        net_set(n, node, coll, id, "s", statuses[test_below(&n->t, 3)]);
        break;
    case 4:
        net_set(n, node, coll, id, test_below(&n->t, 2) == 0 ? "a" : "b",
                value);
        break;
    case 5:
        net_delete(n, node, coll, id);
        break;
    }
}

static void write_some(net *n, size_t node)
{
    uint64_t writes = 1 + test_below(&n->t, 4);

    net_begin(n, node);
    while (writes-- > 0)
        write_one(n, node);
    net_commit_now(n, node);
}

static void toggle(net *n)
{
    net_link *l = &n->links[test_below(&n->t, n->link_count)];

    if (l->up)
        net_disconnect(n, l);
    else
        net_reconnect(n, l);
}

/* A file goes back to what it was before, and the machine says nothing. */
static void roll_back(net *n, uint32_t *saved)
{
    size_t node = test_below(&n->t, n->node_count);
    char image[32];

    (void)snprintf(image, sizeof image, "img%zu", node);
    if ((*saved & 1u << node) == 0 || test_below(&n->t, 3) == 0)
        net_save(n, node, image);
    else
        net_restore(n, node, image);
    *saved |= 1u << node;
}

static void check_clean(net *n, uint64_t seed)
{
    if (n->last_error != TAKO_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, n->why.text);
}

/* Cuts wait for others, and over pruned links summaries tell. */
static void settle_all(net *n)
{
    for (int i = 0; i < 5; i++) {
        net_settle(n);
        n->now += 2500;
    }
    net_settle(n);
}

static void history(uint64_t seed)
{
    net n;
    size_t nodes = 2 + seed % 3;
    bool ring = nodes > 2 && (seed / 3) % 2 == 0;

    net_init(&n, seed, nodes);
    n.slow_commits = seed % 5 == 0;
    n.room = seed % 7 == 0 ? 1 : 4096;
    for (size_t i = 0; i < nodes; i++) {
        n.t.wall_ms += test_below(&n.t, 100);
        net_subscribe(&n, i, "orders");
        net_subscribe(&n, i, "items");
        for (uint64_t j = test_below(&n.t, 4); j > 0; j--)
            write_some(&n, i);
    }
    for (size_t i = 0; i + 1 < nodes; i++)
        net_connect(&n, i, i + 1);
    if (ring)
        net_connect(&n, nodes - 1, 0);
    for (uint32_t i = 0; i < 400; i++) {
        if (test_below(&n.t, 12) == 0)
            write_some(&n, test_below(&n.t, nodes));
        if (test_below(&n.t, 60) == 0)
            toggle(&n);
        net_step(&n);
        check_clean(&n, seed);
    }
    for (size_t i = 0; i < n.link_count; i++)
        if (!n.links[i].up)
            net_reconnect(&n, &n.links[i]);
    settle_all(&n);
    check_clean(&n, seed);
    for (size_t i = 1; i < nodes; i++)
        if (net_hash(&n, 0, "orders") != net_hash(&n, i, "orders") ||
            net_hash(&n, 0, "items") != net_hash(&n, i, "items"))
            fail_msg("seed %llu: nodes 0 and %zu differ",
                     (unsigned long long)seed, i);
    for (size_t i = 0; i < n.link_count; i++)
        for (int j = 0; j < 2; j++)
            assert_true(sync_session_acked(n.links[i].ends[j].session) ==
                        store_lsn(n.links[i].ends[j].node->st));
    net_fini(&n);
}

static void rolled_back_history(uint64_t seed, uint32_t *renewed)
{
    net n;
    size_t nodes = 2 + seed % 2;
    uint32_t saved = 0;

    net_init(&n, seed, nodes);
    net_subscribe_all(&n, "orders");
    net_subscribe_all(&n, "items");
    for (size_t i = 0; i + 1 < nodes; i++)
        net_connect(&n, i, i + 1);
    for (uint32_t i = 0; i < 600; i++) {
        if (test_below(&n.t, 20) == 0)
            write_some(&n, test_below(&n.t, nodes));
        if (test_below(&n.t, 60) == 0)
            roll_back(&n, &saved);
        for (size_t k = 0; k < n.link_count; k++)
            if (!n.links[k].up && test_below(&n.t, 20) == 0)
                net_reconnect(&n, &n.links[k]);
        net_step(&n);
        check_clean(&n, seed);
    }
    /* twice: what came from elsewhere may differ under equal contexts */
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < n.link_count; i++) {
            net_disconnect(&n, &n.links[i]);
            net_reconnect(&n, &n.links[i]);
        }
        settle_all(&n);
        check_clean(&n, seed);
    }
    for (size_t i = 1; i < nodes; i++)
        if (net_hash(&n, 0, "orders") != net_hash(&n, i, "orders") ||
            net_hash(&n, 0, "items") != net_hash(&n, i, "items"))
            fail_msg("seed %llu: nodes 0 and %zu differ",
                     (unsigned long long)seed, i);
    for (size_t i = 0; i < nodes; i++) {
        uint64_t findings = 1;
        tako_errbuf e;

        *renewed += n.nodes[i].events[SYNC_EVENT_RENEWED];
        if (n.nodes[i].events[SYNC_EVENT_FORGED] > 0)
            fail_msg("seed %llu: node %zu met two contents under one dot",
                     (unsigned long long)seed, i);
        assert_int_equal(
            store_check(store_writer(n.nodes[i].st), NULL, NULL, &findings, &e),
            TAKO_OK);
        assert_int_equal(findings, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(crdt_actor_cmp(store_actor(n.nodes[i].st),
                                                store_actor(n.nodes[k].st)),
                                 0);
    }
    net_fini(&n);
}

/* Whatever goes back in time, all nodes end equal. */
static void test_histories__with_rollbacks_end_equal(void **state)
{
    uint64_t seed = test_seed(1);
    time_t start = time(NULL);
    uint32_t renewed = 0, i = 0;

    (void)state;
    for (; i < ROLLBACK_LEAST ||
           (i < ROLLBACK_SEEDS && time(NULL) < start + SECONDS / 3);
         i++)
        rolled_back_history(seed + i, &renewed);
    print_message("%u histories, %u new actors\n", i, renewed);
    /* Two histories have one on average; a tenth says that it still happens. */
    assert_true(renewed > i / 10);
}

/* A catch-up brings a document over a link that becomes OWN, and the merge
 * with an own deletion has to go back over it. */
static const uint64_t merged_own[] = { 4187, 9299, 10031 };

static void test_histories__end_equal(void **state)
{
    uint64_t seed = test_seed(1);
    time_t start = time(NULL);
    uint32_t i = 0;

    (void)state;
    for (size_t k = 0; k < sizeof merged_own / sizeof *merged_own; k++)
        history(merged_own[k]);
    /* Sanitizers are slow; a release build does all. */
    for (; i < SEEDS && time(NULL) - start < SECONDS; i++)
        history(seed + i);
    print_message("%u histories\n", i);
}

/* A narrow interest holds what matches, as the other side has it, and never
 * misses that something left it. */
static void narrow(uint64_t seed)
{
    net n;

    net_init(&n, seed, 2);
    n.slow_commits = seed % 2 == 0;
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    for (uint32_t i = 0; i < 3; i++)
        write_some(&n, 0);
    net_connect(&n, 0, 1);
    for (uint32_t i = 0; i < 200; i++) {
        if (test_below(&n.t, 10) == 0)
            write_some(&n, test_below(&n.t, 2));
        if (test_below(&n.t, 60) == 0)
            toggle(&n);
        net_step(&n);
        check_clean(&n, seed);
    }
    if (!n.links[0].up)
        net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    check_clean(&n, seed);
    for (uint64_t id = 0; id < 12; id++) {
        char at0[256], at1[256];

        (void)snprintf(at0, sizeof at0, "%s",
                       net_get(&n, 0, "orders", id, "s"));
        (void)snprintf(at1, sizeof at1, "%s",
                       net_get(&n, 1, "orders", id, "s"));
        if ((strcmp(at0, "open") == 0) != (strcmp(at1, "open") == 0))
            fail_msg("seed %llu id %llu: %s here, %s there",
                     (unsigned long long)seed, (unsigned long long)id, at0,
                     at1);
    }
    net_fini(&n);
}

static void test_histories__narrow_interests_hold_what_matches(void **state)
{
    uint64_t seed = test_seed(5000);
    time_t start = time(NULL);

    (void)state;
    for (uint32_t i = 0; i < 100 && time(NULL) - start < 4; i++)
        narrow(seed + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories__end_equal),
        cmocka_unit_test(test_histories__with_rollbacks_end_equal),
        cmocka_unit_test(test_histories__narrow_interests_hold_what_matches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
