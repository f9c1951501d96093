// SPDX-License-Identifier: Apache-2.0
/* Who may push, and what waits until it is whole: the rows of the table in the
 * rules of cuts, each as the schedule that breaks the simpler reading. */
#include "sync/support_net.h"

#include "sync/state.h"

#include "sync/wire.h"

#include <stdio.h>
#include <stdlib.h>

static void settle_link(net *n, net_link *l)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (size_t i = 0; i < n->node_count; i++)
            while (net_tell(n, i))
                moved = true;
        for (int end = 0; end < 2; end++) {
            moved = net_send(n, l, end) || moved;
            for (int lane = 0; lane < SYNC_LANES; lane++)
                moved = net_deliver(n, l, end, lane) || moved;
        }
    }
}

typedef struct held {
    size_t rows;
    uint8_t why;
} held;

static tako_err look(void *ctx, const store_held *row)
{
    held *h = ctx;

    if (row->text.len == 0)
        return TAKO_OK;
    h->rows++;
    h->why = row->why;
    return TAKO_OK;
}

static held held_at(net *n, size_t node)
{
    held h = { 0, 0 };

    assert_int_equal(store_held_each(store_writer(n->nodes[node].st),
                                     tako_slice_str("orders"), look, &h),
                     TAKO_OK);
    return h;
}

/* "Each neighbour sends what it has of what I want." */
static void test_cuts__who_has_a_part_does_not_tear(void **state)
{
    net n;
    net_link *ab, *bc, *ac;

    (void)state;
    net_init(&n, 21, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders");
    ab = net_connect(&n, 0, 1);
    bc = net_connect(&n, 1, 2);
    ac = net_connect(&n, 0, 2);
    net_settle_later(&n, 4);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "orders", 2, "done", "pad");
    net_commit_now(&n, 0);
    settle_link(&n, ab);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "-");
    /* and it writes on top of what it has */
    net_set(&n, 1, "orders", 1, "a", "seen");
    settle_link(&n, bc);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "-");
    settle_link(&n, ac);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "done");
    settle_link(&n, bc);
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "seen");
    assert_int_equal(held_at(&n, 2).why, 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Where nobody covers, changes are taken as they come, and it is said. */
static void test_cuts__without_a_covering_neighbour_it_is_loose(void **state)
{
    net n;

    (void)state;
    net_init(&n, 22, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_settle_later(&n, 4);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "orders", 2, "done", "pad");
    net_commit_now(&n, 0);
    net_settle_later(&n, 4);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_int_equal(held_at(&n, 2).why, 2);
    net_connect(&n, 0, 2); /* and ends with the next complete close */
    net_settle_later(&n, 4);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "done");
    assert_int_equal(held_at(&n, 2).why, 0);
    net_fini(&n);
}

static void insert_many(net *n, size_t node, uint64_t from, uint64_t count)
{
    char pad[600];

    memset(pad, 'p', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    net_begin(n, node);
    for (uint64_t i = from; i < from + count; i++)
        net_insert(n, node, "orders", i, "open", pad);
    net_commit_now(n, node);
}

/* "A large cut applied in chunks": whoever has half of a download says so,
 * also after a new start, and covers it for nobody. */
static void test_cuts__a_half_download_is_catching_up(void **state)
{
    net n;
    net_link *ab;
    sync_subscription_state sub;

    (void)state;
    net_init(&n, 23, 3);
    net_subscribe_all(&n, "orders");
    insert_many(&n, 0, 1, 5000);
    ab = net_connect(&n, 0, 1);
    n.room = 1u << 20;
    for (int i = 0; i < 100000 && net_live_count(&n, 1) < 2000; i++)
        net_step(&n);
    assert_in_range(net_live_count(&n, 1), 2000, 4999);
    assert_int_equal(held_at(&n, 1).why, 1);
    net_disconnect(&n, ab);
    net_connect(&n, 1, 2);
    net_settle_later(&n, 4);
    assert_true(
        sync_session_subscription(n.links[1].ends[1].session, 0, n.now, &sub));
    assert_false(sub.covers);
    assert_int_not_equal(held_at(&n, 2).why, 0);
    net_reconnect(&n, ab);
    net_settle_later(&n, 4);
    assert_int_equal(held_at(&n, 1).why, 0);
    assert_int_equal(held_at(&n, 2).why, 0);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* A catch-up that fits in a cut shows all of itself at once. */
static void test_cuts__a_small_catch_up_is_one_transaction(void **state)
{
    net n;
    net_link *ab;
    uint64_t seen[2] = { 0, 0 }, kinds = 0;

    (void)state;
    net_init(&n, 24, 2);
    net_subscribe_all(&n, "orders");
    insert_many(&n, 0, 1, 1400);
    ab = net_connect(&n, 0, 1);
    for (int i = 0; i < 200000 && net_live_count(&n, 1) < 1400; i++) {
        net_step(&n);
        seen[1] = net_live_count(&n, 1);
        kinds += seen[1] != seen[0];
        seen[0] = seen[1];
    }
    assert_int_equal(kinds, 1);
    assert_true(ab->up);
    assert_int_equal(held_at(&n, 1).why, 0);
    net_fini(&n);
}

/* Writes in the middle of a cut: when it asks whether the first document matches,
 * the app commits once more. */
static struct {
    net *n;
    bool armed;
    bool (*match)(void *ctx, sync_predicate *p, tako_slice id, tako_slice body);
} meddler;

static bool match_and_write(void *ctx, sync_predicate *p, tako_slice id,
                            tako_slice body)
{
    bool matched = meddler.match(ctx, p, id, body);

    if (!meddler.armed)
        return matched;
    meddler.armed = false;
    meddler.n->slow_commits = true; /* the loop hears of it later */
    net_begin(meddler.n, 0);
    net_set(meddler.n, 0, "orders", 1, "a", "k+1");
    net_set(meddler.n, 0, "orders", 2, "a", "k+1");
    net_commit_now(meddler.n, 0);
    return matched;
}

static void check_same(net *n, size_t node, uint64_t a, uint64_t b)
{
    char one[32];

    (void)snprintf(one, sizeof one, "%s", net_get(n, node, "orders", a, "a"));
    assert_string_equal(one, net_get(n, node, "orders", b, "a"));
}

/* "Dirty documents read when the frame is built": X of commit k, Y of k + 1. */
static void test_cuts__all_of_one_is_read_in_one_snapshot(void **state)
{
    net n;
    net_link *l;

    (void)state;
    net_init(&n, 28, 2);
    net_subscribe_all(&n, "orders");
    l = net_connect(&n, 0, 1);
    net_settle_later(&n, 4);
    meddler.n = &n;
    meddler.match = n.nodes[0].host.predicate_match;
    n.nodes[0].host.predicate_match = match_and_write;
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_commit_now(&n, 0);
    while (net_tell(&n, 0))
        ;
    meddler.armed = true;
    assert_true(net_send(&n, l, 0));
    assert_false(meddler.armed);
    n.slow_commits = false;
    while (net_deliver(&n, l, 0, SYNC_LIVE))
        ;
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    check_same(&n, 1, 1, 2);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "k+1");
    check_same(&n, 1, 1, 2);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* "Urgent subscriptions first": an order overtakes the stock line of its own
 * transaction. The first subscription would be the urgent one. */
static void test_cuts__an_order_does_not_overtake_its_stock_line(void **state)
{
    net n;
    bool moved = false;

    (void)state;
    net_init(&n, 29, 2);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 1, "orders?stock");
    net_connect(&n, 0, 1);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "stock", "pad");
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_commit_now(&n, 0);
    net_settle_later(&n, 4);
    for (uint32_t i = 0; i < 2000; i++) {
        char v[16];

        if (test_below(&n.t, 8) == 0) {
            (void)snprintf(v, sizeof v, "v%u", i);
            net_begin(&n, 0);
            net_set(&n, 0, "orders", 1, "a", v);
            net_set(&n, 0, "orders", 2, "a", v);
            net_commit_now(&n, 0);
        }
        net_step(&n);
        check_same(&n, 1, 1, 2);
        moved = moved || net_get(&n, 1, "orders", 1, "a")[0] == 'v';
    }
    assert_true(moved);
    assert_int_equal(held_at(&n, 1).why, 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static uint64_t complete_at(net *n, const net_link *l, int end)
{
    sync_subscription_state sub;

    assert_true(
        sync_session_subscription(l->ends[end].session, 0, n->now, &sub));
    return sub.complete_ms;
}

/* A subscription is complete with who covers it, and with nobody else, though
 * all that this one has was asked for, and is here. */
static void test_cuts__complete_is_said_of_who_covers(void **state)
{
    net n;
    net_link *part, *all;

    (void)state;
    net_init(&n, 30, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders");
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_insert(&n, 0, "orders", 2, "done", "pad");
    net_connect(&n, 0, 1);
    net_settle_later(&n, 4);
    part = net_connect(&n, 1, 2);
    net_settle_later(&n, 4);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_int_equal(complete_at(&n, part, 1), 0);
    all = net_connect(&n, 0, 2);
    net_settle_later(&n, 4);
    assert_int_equal(complete_at(&n, all, 1), n.t.wall_ms);
    assert_int_equal(complete_at(&n, part, 1), 0);
    net_fini(&n);
}

/* Snapshots are of one step: whatever a session waits for, its reader lets the
 * log be written back. */
static void test_cuts__no_snapshot_is_held_across_a_wait(void **state)
{
    net n;

    (void)state;
    net_init(&n, 31, 3);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    insert_many(&n, 0, 1, 600);
    for (uint32_t i = 0; i < 6000; i++) {
        if (test_below(&n.t, 20) == 0)
            net_set(&n, test_below(&n.t, 3), "orders", 1 + i % 600, "a", "b");
        if (test_below(&n.t, 50) == 0)
            n.now += 200; /* what is said after a while */
        net_step(&n);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(
                sqlite3_txn_state(store_conn_db(n.nodes[k].reader), NULL),
                SQLITE_TXN_NONE);
    }
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* A ring prunes itself to a line; when the line is cut, summaries mend it. */
static void test_cuts__a_ring_is_pruned_and_mended(void **state)
{
    net n;
    sync_counts c;
    uint64_t copies[2], fresh[2];

    (void)state;
    net_init(&n, 25, 3);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_connect(&n, 2, 0);
    net_settle_later(&n, 4);
    for (int half = 0; half < 2; half++) {
        for (uint64_t i = 0; i < 40; i++) {
            net_insert(&n, i % 3, "orders", (uint64_t)half * 100 + i, "open",
                       "pad");
            net_settle(&n);
        }
        net_settle_later(&n, 4);
        copies[half] = fresh[half] = 0;
        for (size_t i = 0; i < 3; i++)
            for (int j = 0; j < 2; j++) {
                sync_session_counts(n.links[i].ends[j].session, &c);
                copies[half] += c.copies_in;
                fresh[half] += c.copies_new;
            }
    }
    print_message("%d copies of %d\n", (int)(copies[1] - copies[0]),
                  (int)(fresh[1] - fresh[0]));
    assert_true((copies[1] - copies[0]) * 10 <= (fresh[1] - fresh[0]) * 13);
    for (size_t cut = 0; cut < 3; cut++) {
        net_disconnect(&n, &n.links[cut]);
        net_insert(&n, cut, "orders", 500 + cut, "open", "pad");
        net_settle_later(&n, 4);
        for (size_t i = 0; i < 3; i++)
            assert_string_equal(net_get(&n, i, "orders", 500 + cut, "s"),
                                "open");
        net_reconnect(&n, &n.links[cut]);
        net_settle_later(&n, 4);
    }
    net_fini(&n);
}

static tako_err copy_v(void *ctx, const store_held *row)
{
    if (row->text.len > 0)
        tako_put_bytes(ctx, row->v);
    return TAKO_OK;
}

/* All that it had is a target now, and nothing complete. */
static void forget_whole(net *n, size_t node)
{
    tako_slice coll = tako_slice_str("orders");
    store *st = n->nodes[node].st;
    tako_buf v = tako_buf_on(&n->t.env);
    store_held row = { .text = coll, .why = 1 };

    net_begin(n, node);
    assert_int_equal(store_held_each(store_writer(st), coll, copy_v, &v),
                     TAKO_OK);
    row.target = tako_buf_slice(&v);
    assert_int_equal(store_held_put(st, coll, &row), TAKO_OK);
    net_commit_now(n, node);
    tako_buf_fini(&v);
}

/* Who is not whole, as after a new start, is asked only for its own as long as
 * another covers; when it is whole, the edge of the tree goes both ways again. */
static void test_cuts__who_was_not_whole_covers_again(void **state)
{
    net n;
    net_link *l;
    sync_subscription_state sub;
    bool own = false;

    (void)state;
    net_init(&n, 27, 3);
    net_subscribe_all(&n, "orders");
    insert_many(&n, 0, 1, 10);
    l = net_connect(&n, 0, 1);
    net_connect(&n, 0, 2);
    net_settle_later(&n, 4);
    net_disconnect(&n, l);
    forget_whole(&n, 1);
    net_reconnect(&n, l);
    for (int i = 0; i < 40; i++) {
        (void)net_half_trip(&n, l);
        assert_true(
            sync_session_subscription(l->ends[0].session, 0, n.now, &sub));
        own = own || sub.mode == 1;
    }
    assert_true(own);
    net_settle_later(&n, 4);
    assert_int_equal(held_at(&n, 1).why, 0);
    assert_true(sync_session_subscription(l->ends[0].session, 0, n.now, &sub));
    assert_int_equal(sub.mode, 0);
    assert_true(sub.covers);
    net_fini(&n);
}

/* A question is asked anew, while a cut is on its way whose claim has the old
 * number: what that says bounds what the cut brings all the same. */
static void test_cuts__a_claim_of_a_retired_number_bounds(void **state)
{
    net n;
    net_link *ab, *ac;
    uint64_t acks;

    (void)state;
    net_init(&n, 26, 3);
    net_subscribe_all(&n, "orders");
    net_insert(&n, 0, "orders", 1, "open", "pad");
    ab = net_connect(&n, 0, 1);
    ac = net_connect(&n, 0, 2);
    net_settle_later(&n, 4);
    net_insert(&n, 2, "orders", 2, "open", "pad");
    settle_link(&n, ac);
    while (ab->ends[0].out[SYNC_LIVE].first == NULL)
        assert_true(net_send(&n, ab, 0));
    sync_session_start_over(ab->ends[0].session);
    while (net_send(&n, ab, 0))
        ;
    while (net_deliver(&n, ab, 0, SYNC_CONTROL))
        ;
    while (net_send(&n, ab, 1))
        ;
    acks = n.kinds[SYNC_MSG_ACK];
    assert_true(net_deliver(&n, ab, 0, SYNC_LIVE));
    while (net_tell(&n, 1))
        ;
    while (net_send(&n, ab, 1))
        ;
    /* The answer may have more: this is not shown as if it were whole, nor
     * acknowledged. */
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "-");
    assert_int_equal(n.kinds[SYNC_MSG_ACK], acks);
    net_settle_later(&n, 4);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    assert_int_equal(held_at(&n, 1).why, 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Node 0 has heard of a commit that nobody has, or has it. */
static void stranger(net *n, bool has)
{
    crdt_dot dot = { { "nobody at all" }, 1000 };
    const crdt_context one = { &dot, 1, 1 };
    tako_slice coll = tako_slice_str("orders");
    tako_buf v = tako_buf_on(&n->t.env);
    store_held row = { .text = coll, .why = !has };

    sync_vector_put(&v, &one);
    row.v = has ? tako_buf_slice(&v) : TAKO_SLICE_NONE;
    row.target = has ? TAKO_SLICE_NONE : tako_buf_slice(&v);
    net_begin(n, 0);
    assert_int_equal(store_held_put(n->nodes[0].st, coll, &row), TAKO_OK);
    net_commit_now(n, 0);
    tako_buf_fini(&v);
}

/* A cut waits for what it depends on; what the server commits then it does not
 * push, and is asked for, anew. The answer is later than what waits. */
static void test_cuts__what_waits_is_older_than_a_new_answer(void **state)
{
    sync_session *asks;
    net_link *l;
    net n;

    (void)state;
    net_init(&n, 23, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders?open");
    l = net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_settle_later(&n, 2);
    asks = l->ends[1].session;
    stranger(&n, false);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_settle(&n);
    assert_non_null(asks->held.first);
    l->ends[0].session->wants[0].mode = SYNC_PRUNED;
    net_begin(&n, 0);
    net_set(&n, 0, "orders", 1, "s", "done");
    net_insert(&n, 0, "orders", 2, "open", "pad");
    net_commit_now(&n, 0);
    stranger(&n, true);
    sync_sub_again(asks, &asks->subs[0]);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    assert_string_not_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_int_equal(held_at(&n, 1).why, 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static uint64_t checkpoint(const sync_session *s)
{
    store_checkpoint_at at = { .lsn = 0 };

    assert_true(sync_sub_reached(s, &s->subs[0], &at));
    return at.lsn;
}

/* What waits is here, and no checkpoint says so. */
static void test_cuts__a_checkpoint_is_of_what_was_applied(void **state)
{
    sync_session *asks;
    uint64_t before;
    net n;

    (void)state;
    net_init(&n, 25, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders?open");
    net_insert(&n, 0, "orders", 9, "open", "pad");
    asks = net_connect(&n, 0, 1)->ends[1].session;
    net_connect(&n, 1, 2);
    net_settle_later(&n, 2);
    before = checkpoint(asks);
    stranger(&n, false);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_settle(&n);
    assert_non_null(asks->held.first);
    assert_int_equal(checkpoint(asks), before);
    stranger(&n, true);
    net_settle_later(&n, 4);
    assert_null(asks->held.first);
    assert_true(checkpoint(asks) > before);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Who wrote under another name before, as after a power failure, gives what it
 * wrote then, too: who hears of it from nobody else is whole by that. */
static void test_cuts__what_former_actors_wrote_is_own(void **state)
{
    net n;

    (void)state;
    net_init(&n, 24, 2);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_insert(&n, 1, "orders", 1, "open", "pad");
    assert_int_equal(store_renew_actor(n.nodes[1].st, NULL), TAKO_OK);
    net_insert(&n, 1, "orders", 2, "open", "pad");
    net_connect(&n, 0, 1);
    net_settle_later(&n, 4);
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "open");
    assert_int_equal(held_at(&n, 0).why, 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts__who_has_a_part_does_not_tear),
        cmocka_unit_test(test_cuts__without_a_covering_neighbour_it_is_loose),
        cmocka_unit_test(test_cuts__a_half_download_is_catching_up),
        cmocka_unit_test(test_cuts__a_small_catch_up_is_one_transaction),
        cmocka_unit_test(test_cuts__all_of_one_is_read_in_one_snapshot),
        cmocka_unit_test(test_cuts__an_order_does_not_overtake_its_stock_line),
        cmocka_unit_test(test_cuts__complete_is_said_of_who_covers),
        cmocka_unit_test(test_cuts__no_snapshot_is_held_across_a_wait),
        cmocka_unit_test(test_cuts__a_ring_is_pruned_and_mended),
        cmocka_unit_test(test_cuts__who_was_not_whole_covers_again),
        cmocka_unit_test(test_cuts__a_claim_of_a_retired_number_bounds),
        cmocka_unit_test(test_cuts__what_waits_is_older_than_a_new_answer),
        cmocka_unit_test(test_cuts__a_checkpoint_is_of_what_was_applied),
        cmocka_unit_test(test_cuts__what_former_actors_wrote_is_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
