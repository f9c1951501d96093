// SPDX-License-Identifier: Apache-2.0
/* Reconciliation, feed checkpoints and resumption: the schedules of SYNC.md 6.
 * Bytes are counted without greetings and without documents. */
#include "sync/support_net.h"

#include <stdio.h>
#include <stdlib.h>

#include "sync/wire.h"

#define MANY 4000u

/* Two nodes that have the same documents; link 0 is down. */
static void two(net *n, uint64_t seed, const char *a, const char *b,
                uint64_t docs)
{
    net_init(n, seed, 2);
    n->room = 1u << 20;
    net_subscribe(n, 0, a);
    net_subscribe(n, 1, b);
    net_begin(n, 0);
    for (uint64_t i = 0; i < docs; i++)
        net_insert(n, 0, "orders", i, "open", "pad");
    net_commit_now(n, 0);
    net_connect(n, 0, 1);
    net_settle(n);
    assert_int_equal(n->last_error, TAKO_OK);
    assert_int_equal(net_live_count(n, 1), docs);
    net_disconnect(n, &n->links[0]);
}

/* Connects again and counts half round trips until both are in sync. */
static unsigned trips(net *n, uint64_t *overhead)
{
    uint64_t before[64];
    unsigned halves = 0;

    memcpy(before, n->kinds, sizeof before);
    net_reconnect(n, &n->links[0]);
    while (net_half_trip(n, &n->links[0]))
        halves++;
    assert_int_equal(n->last_error, TAKO_OK);
    if (overhead != NULL)
        *overhead = net_overhead(n, before);
    return halves;
}

static sync_counts counts_of(net *n, int end)
{
    sync_counts c;

    sync_session_counts(n->links[0].ends[end].session, &c);
    return c;
}

static void test_ask__in_sync_is_one_round_trip_and_no_walk(void **state)
{
    net n;
    uint64_t overhead;

    (void)state;
    two(&n, 1, "orders", "orders", MANY);
    (void)trips(&n, NULL); /* the tables are built */
    net_disconnect(&n, &n.links[0]);
    /* INTEREST, CAUGHT_UP with its cut; SERVED and ACK are only receipts. */
    assert_int_equal(trips(&n, &overhead), 4);
    print_message("in sync: %d bytes both ways\n", (int)overhead);
    assert_in_range(overhead, 1, 160);
    net_fini(&n);
}

/* Edits on both sides, both ways by one reconciliation. */
static void differ(size_t each, bool edits, uint64_t bytes, unsigned halves)
{
    uint64_t id = edits ? 0 : 100000;
    net n;
    uint64_t overhead;
    unsigned took;

    two(&n, 2, "orders", "orders", MANY * 2);
    n.forgetful = true;
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    for (uint64_t i = 0; i < each; i++) {
        if (!edits)
            net_insert(&n, 0, "orders", id + i * 4, "open", "pad");
        if (!edits)
            net_insert(&n, 1, "orders", id + i * 4 + 1, "open", "pad");
        if (edits)
            net_set(&n, 0, "orders", id + i * 4, "p", "mine");
        if (edits)
            net_set(&n, 1, "orders", id + i * 4 + 1, "p", "theirs");
    }
    took = trips(&n, &overhead);
    print_message("%zu %s: %d bytes, %u half round trips\n", each * 2,
                  edits ? "edits" : "new documents", (int)overhead, took);
    net_check_equal(&n, "orders");
    assert_string_equal(net_get(&n, 1, "orders", id, "p"),
                        edits ? "mine" : "pad");
    assert_in_range(overhead, 1, bytes);
    assert_in_range(took, 1, halves);
    /* One for both: deltas answer, each document travels once. */
    assert_int_equal(counts_of(&n, 0).documents_out +
                         counts_of(&n, 1).documents_out,
                     each * 2);
    assert_int_equal(counts_of(&n, 0).deltas_out + counts_of(&n, 1).deltas_out,
                     edits ? each * 2 : 0);
    assert_int_equal(counts_of(&n, 0).needs_in + counts_of(&n, 1).needs_in, 0);
    net_fini(&n);
}

static void test_ask__one_reconciliation_serves_both(void **state)
{
    (void)state;
    differ(5, false, 1500, 5);
    differ(500, false, 90000, 5);
    differ(5, true, 1500, 5);
    differ(500, true, 90000, 5);
}

static void test_ask__new_documents_of_both_sides(void **state)
{
    net n;

    (void)state;
    two(&n, 3, "orders", "orders", MANY);
    n.forgetful = true;
    for (uint64_t i = 0; i < 20; i++) {
        net_insert(&n, 0, "orders", 10000 + i, "open", "pad");
        net_insert(&n, 1, "orders", 20000 + i, "open", "pad");
    }
    (void)trips(&n, NULL);
    net_check_equal(&n, "orders");
    assert_int_equal(net_live_count(&n, 0), MANY + 40);
    assert_int_equal(
        counts_of(&n, 0).documents_out + counts_of(&n, 1).documents_out, 40);
    net_fini(&n);
}

/* Concurrent edits of the same document: one whole state goes, and what it
 * became comes back. */
static void test_ask__concurrent_edits_meet(void **state)
{
    net n;

    (void)state;
    two(&n, 4, "orders", "orders", MANY);
    n.forgetful = true;
    for (uint64_t i = 0; i < 10; i++) {
        net_set(&n, 0, "orders", i, "s", "here");
        net_set(&n, 1, "orders", i, "s", "there");
    }
    (void)trips(&n, NULL);
    net_check_equal(&n, "orders");
    assert_int_equal(counts_of(&n, 0).resyncs, 0);
    net_fini(&n);
}

/* `newer`: what the other has is dead here, or of another subscription now. Of
 * few documents versions are listed. */
static void deleted_and_left(bool forgetful, const char *a, const char *b,
                             uint64_t docs)
{
    uint64_t step = docs == MANY ? 100 : 20;
    net n;

    two(&n, 5, a, b, docs);
    n.forgetful = forgetful;
    for (uint64_t i = 0; i < 8; i++) {
        net_delete(&n, 0, "orders", i);
        net_set(&n, 0, "orders", step + i, "s", "done");
        net_delete(&n, 1, "orders", 2 * step + i);
        net_set(&n, 1, "orders", 3 * step + i, "s", "done");
    }
    (void)trips(&n, NULL);
    for (uint64_t i = 0; i < 8; i++)
        for (size_t k = 0; k < 2; k++) {
            assert_string_equal(net_get(&n, k, "orders", i, "s"), "x");
            assert_string_equal(net_get(&n, k, "orders", step + i, "s"),
                                "done");
            assert_string_equal(net_get(&n, k, "orders", 2 * step + i, "s"),
                                "x");
            assert_string_equal(net_get(&n, k, "orders", 3 * step + i, "s"),
                                "done");
        }
    net_check_equal(&n, "orders");
    net_fini(&n);
}

static void test_ask__what_died_or_left_is_told(void **state)
{
    (void)state;
    for (int forgetful = 0; forgetful < 2; forgetful++) {
        deleted_and_left(forgetful, "orders", "orders", MANY);
        deleted_and_left(forgetful, "orders?open", "orders?open", MANY);
        deleted_and_left(forgetful, "orders", "orders", 100);
    }
}

/* One side does not ask: it only serves, and gets nothing. What died there is
 * told all the same. */
static void one_way(uint64_t docs)
{
    net n;

    two(&n, 6, "none", "orders", docs);
    n.forgetful = true;
    net_set(&n, 0, "orders", 1, "a", "new");
    net_delete(&n, 0, "orders", 3);
    net_set(&n, 1, "orders", 2, "b", "mine");
    net_insert(&n, 1, "orders", 30000, "open", "mine");
    (void)trips(&n, NULL);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "new");
    assert_string_equal(net_get(&n, 0, "orders", 2, "b"), "");
    assert_string_equal(net_get(&n, 0, "orders", 30000, "p"), "-");
    assert_string_equal(net_get(&n, 1, "orders", 3, "p"), "x");
    net_fini(&n);
}

static void test_ask__one_way_stays_one_way(void **state)
{
    (void)state;
    one_way(MANY);
    one_way(100); /* listed */
}

/* Over a fifth differs: the list of versions, not symbols. */
static void test_ask__much_that_differs_is_listed(void **state)
{
    net n;
    uint64_t before[64];

    (void)state;
    two(&n, 7, "orders", "orders", 2000);
    n.forgetful = true;
    net_begin(&n, 0);
    for (uint64_t i = 0; i < 900; i++)
        net_set(&n, 0, "orders", i, "a", "new");
    net_commit_now(&n, 0);
    memcpy(before, n.kinds, sizeof before);
    (void)trips(&n, NULL);
    net_check_equal(&n, "orders");
    assert_true(n.kinds[SYNC_MSG_LIST] > before[SYNC_MSG_LIST]);
    assert_int_equal(n.kinds[SYNC_MSG_SYMBOLS] - before[SYNC_MSG_SYMBOLS], 0);
    net_fini(&n);
}

/* Both ends of link 0 have been quiet for a while. */
static void rest(net *n)
{
    tako_errbuf e = { "" };

    for (size_t k = 0; k < 2; k++)
        assert_int_equal(sync_session_rest(n->links[0].ends[k].session,
                                           n->nodes[k].st, true, &e),
                         TAKO_OK);
    net_settle(n);
}

/* ---- checkpoints ------------------------------------------------------------- */

/* The feed brings what changed, without a symbol, and a comparison ends it. */
static void test_ask__the_feed_brings_what_changed(void **state)
{
    net n;
    uint64_t before[64], overhead;

    (void)state;
    two(&n, 8, "orders", "orders", MANY);
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    for (uint64_t i = 0; i < 10; i++) {
        net_set(&n, 0, "orders", i, "a", "mine");
        net_set(&n, 1, "orders", 50 + i, "b", "theirs");
    }
    net_delete(&n, 0, "orders", 100);
    memcpy(before, n.kinds, sizeof before);
    (void)trips(&n, &overhead);
    net_check_equal(&n, "orders");
    assert_string_equal(net_get(&n, 1, "orders", 100, "a"), "x");
    assert_int_equal(n.kinds[SYNC_MSG_SYMBOLS] - before[SYNC_MSG_SYMBOLS], 0);
    assert_int_equal(n.kinds[SYNC_MSG_LIST] - before[SYNC_MSG_LIST], 0);
    assert_true(n.kinds[SYNC_MSG_FED] > before[SYNC_MSG_FED]);
    print_message("21 changes by the feed: %d bytes\n", (int)overhead);
    net_fini(&n);
}

/* And of that, what the other side has not seen, whatever came of it since. */
static void test_ask__the_feed_sends_deltas(void **state)
{
    net n;

    (void)state;
    two(&n, 14, "orders", "orders", MANY);
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    for (uint64_t i = 0; i < 150; i++) {
        n.t.wall_ms += 7;
        net_set(&n, 0, "orders", i % 50, i < 50 ? "a" : "b", "mine");
        net_set(&n, 1, "orders", 100 + i % 50, "s", i < 50 ? "one" : "two");
    }
    net_delete(&n, 0, "orders", 200);
    net_insert(&n, 0, "orders", 10000, "open", "pad");
    net_set(&n, 0, "orders", 10000, "a", "mine");
    (void)trips(&n, NULL);
    net_check_equal(&n, "orders");
    assert_string_equal(net_get(&n, 1, "orders", 200, "a"), "x");
    assert_string_equal(net_get(&n, 1, "orders", 10000, "a"), "mine");
    assert_int_equal(
        counts_of(&n, 0).documents_out + counts_of(&n, 1).documents_out, 102);
    assert_int_equal(counts_of(&n, 0).deltas_out + counts_of(&n, 1).deltas_out,
                     101);
    assert_int_equal(counts_of(&n, 0).needs_in + counts_of(&n, 1).needs_in, 0);
    net_fini(&n);
}

/* An event that is older than what both know, and came later: it is taken to
 * be known there. It is asked for. */
static void test_ask__the_feed_is_wrong_about_late_events(void **state)
{
    net n;

    (void)state;
    net_init(&n, 15, 3);
    net_subscribe_all(&n, "orders");
    for (uint64_t i = 0; i < 300; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_settle(&n);
    net_disconnect(&n, &n.links[0]);
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[1]);
    net_set(&n, 2, "orders", 1, "a", "early");
    n.t.wall_ms += 5000;
    net_set(&n, 0, "orders", 1, "b", "late");
    net_settle(&n);
    rest(&n);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[1]);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "early");
    (void)trips(&n, NULL);
    net_settle(&n);
    net_check_equal(&n, "orders");
    assert_string_equal(net_get(&n, 0, "orders", 1, "a"), "early");
    assert_int_equal(counts_of(&n, 1).needs_in, 1);
    net_fini(&n);
}

/* Who asks for some may not have had what matches now. */
static void test_ask__the_feed_of_a_condition_sends_states(void **state)
{
    net n;

    (void)state;
    two(&n, 16, "none", "orders?open", MANY);
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 1, "s", "done");
    net_set(&n, 0, "orders", 2, "a", "new");
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 1, "s", "open");
    (void)trips(&n, NULL);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 2, "a"), "new");
    assert_int_equal(counts_of(&n, 0).deltas_out, 0);
    assert_int_equal(counts_of(&n, 0).needs_in, 0);
    net_fini(&n);
}

/* What left does not match now, so the feed has nothing of it: the comparison
 * finds it. */
static void test_ask__the_comparison_finds_what_the_feed_cannot(void **state)
{
    net n;
    uint64_t before[64];

    (void)state;
    two(&n, 9, "none", "orders?open", MANY);
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 1, "s", "done");
    memcpy(before, n.kinds, sizeof before);
    (void)trips(&n, NULL);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "done");
    assert_true(n.kinds[SYNC_MSG_FED] > before[SYNC_MSG_FED]);
    assert_true(n.kinds[SYNC_MSG_SYMBOLS] > before[SYNC_MSG_SYMBOLS]);
    net_fini(&n);
}

/* The server came back from an old image: its feed is another one. */
static void test_ask__another_incarnation_is_not_believed(void **state)
{
    net n;

    (void)state;
    two(&n, 10, "none", "orders", MANY);
    net_save(&n, 0, "old");
    net_set(&n, 0, "orders", 1, "a", "lost");
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    net_restore(&n, 0, "old");
    net_set(&n, 0, "orders", 2, "a", "other");
    (void)trips(&n, NULL);
    assert_string_equal(net_get(&n, 1, "orders", 2, "a"), "other");
    net_fini(&n);
}

static void count_states(void *ctx, unsigned lane, tako_slice message)
{
    unsigned *counts = ctx; /* before FED, and FED */

    if (lane == SYNC_CATCHUP && message.ptr[0] == SYNC_MSG_FED)
        counts[1]++;
    else if (lane == SYNC_CATCHUP && counts[1] == 0)
        counts[0] += message.ptr[0] == SYNC_MSG_STATES ||
                     message.ptr[0] == SYNC_MSG_PACKED;
}

/* Nor is anything of it sent: its commits are others than those named. */
static void test_ask__another_incarnation_has_no_feed(void **state)
{
    unsigned counts[2] = { 0, 0 };
    net n;

    (void)state;
    two(&n, 17, "none", "orders", MANY);
    net_save(&n, 0, "old");
    net_set(&n, 0, "orders", 1, "a", "lost");
    (void)trips(&n, NULL);
    net_disconnect(&n, &n.links[0]);
    net_restore(&n, 0, "old");
    assert_int_equal(store_renew_actor(n.nodes[0].st, NULL), TAKO_OK);
    for (uint64_t i = 0; i < 20; i++)
        net_set(&n, 0, "orders", 2 + i, "a", "other");
    n.tap = count_states;
    n.tap_ctx = counts;
    (void)trips(&n, NULL);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[0], 0);
    assert_string_equal(net_get(&n, 1, "orders", 2, "a"), "other");
    net_fini(&n);
}

/* Evicting makes the checkpoint a lie: it goes in the same transaction. */
static void test_ask__evicting_drops_the_checkpoint(void **state)
{
    net n;
    store_checkpoint_at at;
    tako_slice peer, text = tako_slice_str("orders");

    (void)state;
    two(&n, 11, "none", "orders", 300);
    peer = tako_slice_str(n.nodes[0].path);
    assert_int_equal(store_checkpoint_get(n.nodes[1].reader, peer, text, &at),
                     TAKO_OK);
    assert_false(at.streaming);
    net_evict(&n, 1, "orders", 5, false);
    assert_int_equal(store_checkpoint_get(n.nodes[1].reader, peer, text, &at),
                     TAKO_NOTFOUND);
    net_fini(&n);
}

/* When things rest a node is told how far it is also in what it brought. */
static void test_ask__nothing_of_ours_comes_back_by_the_feed(void **state)
{
    net n;

    (void)state;
    two(&n, 12, "orders", "orders", MANY);
    (void)trips(&n, NULL);
    for (uint64_t i = 0; i < 50; i++)
        net_set(&n, 1, "orders", i, "b", "mine");
    net_settle(&n);
    rest(&n);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 0, "orders", 60, "a", "one");
    (void)trips(&n, NULL);
    assert_int_equal(
        counts_of(&n, 0).documents_out + counts_of(&n, 1).documents_out, 1);
    net_fini(&n);
}

/* ---- resumption --------------------------------------------------------------- */

/* A first download that is cut again and again, at random bytes, with changes
 * meanwhile, sends hardly anything twice. */
static void resumed(uint64_t seed, bool changes)
{
    enum { DOCS = 20000 };
    uint64_t sent = 0, inserted = DOCS;
    unsigned cuts = 0;
    net n;

    net_init(&n, seed, 2);
    n.room = 64u << 10;
    net_subscribe(&n, 0, "none");
    net_subscribe(&n, 1, "orders");
    net_begin(&n, 0);
    for (uint64_t i = 0; i < DOCS; i++)
        net_insert(&n, 0, "orders", i, "open", "pad");
    net_commit_now(&n, 0);
    net_connect(&n, 0, 1);
    while (cuts < 12) {
        for (uint64_t k = test_below(&n.t, 60); k > 0; k--)
            net_step(&n);
        if (changes) {
            net_insert(&n, 0, "orders", inserted++, "open", "more");
            net_set(&n, 0, "orders", test_below(&n.t, DOCS), "x", "1");
        }
        sent += counts_of(&n, 1).documents_in;
        net_disconnect(&n, &n.links[0]);
        net_reconnect(&n, &n.links[0]);
        cuts++;
    }
    net_settle(&n);
    sent += counts_of(&n, 1).documents_in;
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(net_live_count(&n, 1), inserted);
    net_check_equal(&n, "orders");
    if (seed == 1)
        print_message("%d documents, cut %u times: %d received\n",
                      (int)inserted, cuts, (int)sent);
    /* Each change may come with the stream, and again with the feed. */
    assert_in_range(sent, DOCS, DOCS + DOCS / 100 + (changes ? 3 * cuts : 0));
    net_fini(&n);
}

static void test_ask__a_cut_download_goes_on_where_it_was(void **state)
{
    uint64_t first = test_seed(1);

    (void)state;
    for (uint64_t seed = first; seed < first + 6; seed++)
        resumed(seed, seed % 2 == 0);
}

/* ---- subscriptions come and go -------------------------------------------------- */

/* At any moment of a catch-up one is dropped and another asked for. */
static void test_ask__subscriptions_change_while_syncing(void **state)
{
    static const char *const texts[] = { "orders", "orders?open", "orders?done",
                                         "others" };
    uint64_t first = test_seed(1);

    (void)state;
    for (uint64_t seed = first; seed < first + 60; seed++) {
        bool has[2][4] = { { false } };
        net n;

        net_init(&n, seed, 2);
        n.forgetful = seed % 3 == 0;
        n.slow_commits = seed % 2 == 0;
        for (size_t k = 0; k < 2; k++) {
            net_begin(&n, k);
            for (uint64_t i = 0; i < 600; i++)
                net_insert(&n, k, "orders", i + 150 * k * (seed % 3), "open",
                           "pad");
            net_commit_now(&n, k);
        }
        net_connect(&n, 0, 1);
        for (int i = 0; i < 150; i++) {
            size_t k = (size_t)test_below(&n.t, 2);
            uint32_t which = (uint32_t)test_below(&n.t, 4);
            sync_session *s = n.links[0].ends[k].session;
            tako_errbuf e = { "" };

            for (uint64_t m = test_below(&n.t, 12); m > 0; m--)
                net_step(&n);
            if (test_below(&n.t, 4) == 0)
                net_set(&n, k, "orders", test_below(&n.t, 600), "s",
                        test_below(&n.t, 2) == 0 ? "open" : "done");
            assert_int_equal(n.last_error, TAKO_OK);
            assert_int_equal(
                has[k][which] ? sync_session_unsubscribe(s, which)
                              : sync_session_subscribe(
                                    s, which, tako_slice_str(texts[which]), &e),
                TAKO_OK);
            has[k][which] = !has[k][which];
            if (test_below(&n.t, 30) == 0)
                sync_session_start_over(n.links[0].ends[1 - k].session);
        }
        for (size_t k = 0; k < 2; k++)
            for (uint32_t w = 0; w < 4; w++) {
                sync_session *s = n.links[0].ends[k].session;
                tako_errbuf e = { "" };

                if (!has[k][w])
                    assert_int_equal(sync_session_subscribe(
                                         s, w, tako_slice_str(texts[w]), &e),
                                     TAKO_OK);
            }
        net_settle(&n);
        if (n.last_error != TAKO_OK)
            fail_msg("seed %d: %s", (int)seed, n.why.text);
        for (size_t k = 0; k < 2; k++) {
            sync_subscription_state sub;

            for (size_t i = 0; sync_session_subscription(
                     n.links[0].ends[k].session, i, n.now, &sub);
                 i++)
                if (!sub.in_sync)
                    fail_msg("seed %d: not in sync", (int)seed);
        }
        net_check_equal(&n, "orders");
        net_fini(&n);
    }
}

/* A subscription that overlaps another costs nothing twice. */
static void test_ask__overlapping_subscriptions_cost_once(void **state)
{
    net n;
    tako_errbuf e = { "" };

    (void)state;
    two(&n, 13, "orders", "orders", MANY);
    (void)trips(&n, NULL);
    assert_int_equal(sync_session_subscribe(n.links[0].ends[1].session, 7,
                                            tako_slice_str("orders?open"), &e),
                     TAKO_OK);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(counts_of(&n, 0).documents_out, 0);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ask__in_sync_is_one_round_trip_and_no_walk),
        cmocka_unit_test(test_ask__one_reconciliation_serves_both),
        cmocka_unit_test(test_ask__new_documents_of_both_sides),
        cmocka_unit_test(test_ask__concurrent_edits_meet),
        cmocka_unit_test(test_ask__what_died_or_left_is_told),
        cmocka_unit_test(test_ask__one_way_stays_one_way),
        cmocka_unit_test(test_ask__much_that_differs_is_listed),
        cmocka_unit_test(test_ask__the_feed_brings_what_changed),
        cmocka_unit_test(test_ask__the_feed_sends_deltas),
        cmocka_unit_test(test_ask__the_feed_is_wrong_about_late_events),
        cmocka_unit_test(test_ask__the_feed_of_a_condition_sends_states),
        cmocka_unit_test(test_ask__the_comparison_finds_what_the_feed_cannot),
        cmocka_unit_test(test_ask__another_incarnation_is_not_believed),
        cmocka_unit_test(test_ask__another_incarnation_has_no_feed),
        cmocka_unit_test(test_ask__evicting_drops_the_checkpoint),
        cmocka_unit_test(test_ask__nothing_of_ours_comes_back_by_the_feed),
        cmocka_unit_test(test_ask__a_cut_download_goes_on_where_it_was),
        cmocka_unit_test(test_ask__subscriptions_change_while_syncing),
        cmocka_unit_test(test_ask__overlapping_subscriptions_cost_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
