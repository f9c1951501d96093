// SPDX-License-Identifier: Apache-2.0
/* What one side has still, and is past at the other. */
#include "sync/support_net.h"

#include "store/deaths.h"
#include "sync/state.h"
#include "sync/wire.h"

static unsigned passed; /* documents that hosts were told to be past */

static void host_passed(void *ctx, uint32_t coll, int64_t row, uint64_t lsn)
{
    (void)ctx;
    (void)coll;
    (void)row;
    (void)lsn;
    passed++;
}

/* Node 0 wants all, the others what is open. */
static void start(net *n, uint64_t seed, size_t nodes)
{
    net_init(n, seed, nodes);
    passed = 0;
    n->nodes[2].host.passed = host_passed;
    net_subscribe(n, 0, "orders");
    for (size_t i = 1; i < nodes; i++)
        net_subscribe(n, i, "orders?open");
}

static void finish(net *n)
{
    if (n->last_error != TAKO_OK)
        fail_msg("%s", n->why.text);
    net_fini(n);
}

/* Document 1 ends with the transaction with which document 2 begins. */
static void done_and_next(net *n, size_t node)
{
    net_begin(n, node);
    net_set(n, node, "orders", 1, "s", "done");
    net_insert(n, node, "orders", 2, "open", "pad");
    net_commit_now(n, node);
}

static void settle_later(net *n)
{
    for (int i = 0; i < 4; i++) {
        net_settle(n);
        n->now += 2500;
    }
    net_settle(n);
}

/* What node/leave.c does when others let it, or an archive; with forget not
 * even a marker stays. */
static void leave_to(net *n, size_t node, uint64_t id, bool forget,
                     tako_slice archive)
{
    store *st = n->nodes[node].st;
    int64_t at = INT64_MIN;
    tako_errbuf e = { "" };
    uint8_t bytes[32];
    uint64_t reaped;
    uint32_t coll;

    net_begin(n, node);
    assert_int_equal(
        store_coll_find(store_writer(st), tako_slice_str("orders"), &coll),
        TAKO_OK);
    assert_int_equal(store_leave(st, coll, net_id(id, bytes), archive, &e),
                     TAKO_OK);
    net_commit_now(n, node);
    net_begin(n, node);
    while (forget && at != INT64_MAX)
        assert_int_equal(
            store_markers_reap(st, coll, UINT64_MAX, 100, &at, &reaped, &e),
            TAKO_OK);
    net_commit_now(n, node);
}

static void leave(net *n, size_t node, uint64_t id, bool forget)
{
    leave_to(n, node, id, forget, TAKO_SLICE_NONE);
}

static tako_err look(void *ctx, const store_held *row)
{
    uint8_t *why = ctx;

    *why = row->text.len > 0 ? row->why : *why;
    return TAKO_OK;
}

static bool is_whole(net *n, size_t node)
{
    uint8_t why = 0;

    assert_int_equal(store_held_each(store_writer(n->nodes[node].st),
                                     tako_slice_str("orders"), look, &why),
                     TAKO_OK);
    return why == 0;
}

/* Node 0 has all, 1 and 2 what is open. Node 2 is away when the document 1 is
 * done, with which document 2 begins. */
static net_link *begin(net *n, uint64_t seed)
{
    net_link *l;

    start(n, seed, 4);
    net_insert(n, 0, "orders", 1, "open", "pad");
    net_connect(n, 0, 1);
    l = net_connect(n, 1, 2);
    settle_later(n);
    assert_string_equal(net_get(n, 2, "orders", 1, "s"), "open");
    assert_true(is_whole(n, 2));
    net_disconnect(n, l);
    done_and_next(n, 0);
    settle_later(n);
    return l;
}

/* It has the old one, and gets the new one: not both as if that were all. */
static void meets_the_past(net *n, size_t node)
{
    settle_later(n);
    if (n->last_error != TAKO_OK)
        fail_msg("%s", n->why.text);
    assert_string_equal(net_get(n, 2, "orders", 1, "s"), "open");
    assert_string_equal(net_get(n, node, "orders", 2, "s"), "open");
    assert_string_not_equal(net_get(n, node, "orders", 1, "s"), "open");
    assert_int_not_equal(passed, 0);
    assert_false(strcmp(net_get(n, 2, "orders", 2, "s"), "open") == 0 &&
                 is_whole(n, 2));
    assert_true(is_whole(n, node));
    leave(n, 2, 1, false); /* as its keepers allow */
    settle_later(n);
    assert_string_equal(net_get(n, 2, "orders", 2, "s"), "open");
    assert_true(is_whole(n, 2));
    assert_string_not_equal(net_get(n, node, "orders", 1, "s"), "open");
    assert_int_equal(n->last_error, TAKO_OK);
}

static void test_past__who_let_it_go_does_not_take_it_back(void **state)
{
    net n;
    net_link *l;

    (void)state;
    for (int forget = 0; forget < 2; forget++) {
        l = begin(&n, 41);
        leave(&n, 1, 1, forget != 0);
        settle_later(&n);
        net_reconnect(&n, l);
        meets_the_past(&n, 1);
        net_fini(&n);
    }
}

/* Is complete of nothing any more, as after subscribing anew. */
static void forget_whole(net *n, size_t node)
{
    const store_held row = { .text = tako_slice_str("orders?open"), .why = 1 };

    net_begin(n, node);
    assert_int_equal(
        store_held_put(n->nodes[node].st, tako_slice_str("orders"), &row),
        TAKO_OK);
    net_commit_now(n, node);
}

/* Whoever is complete or not: the marker of a later state tells. */
static void test_past__a_marker_knows_it_too(void **state)
{
    net n;
    net_link *l;

    (void)state;
    l = begin(&n, 46);
    leave(&n, 1, 1, false);
    net_disconnect(&n, &n.links[0]);
    forget_whole(&n, 1);
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_not_equal(passed, 0);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_string_not_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    finish(&n);
}

/* What 1 is complete of comes with its cuts. */
static bool is_word_of_1(const net_link *l, int end, int lane)
{
    const net_node *from = l->ends[end].node;

    return from == &from->net->nodes[1] && lane == SYNC_LIVE;
}

/* Nor does a delta of what left here go by in silence. 2 has an old state, and was
 * told so; 3 brings it another one, which is old as well, and may be what it
 * lacked. 2 sends that on before it hears what 1 is complete of: if it were just
 * acknowledged, 2 would take the word of 1 for it, and be whole with it. */
static void test_past__a_marker_knows_it_of_a_delta(void **state)
{
    net_link *k[4], *l;
    sync_counts counts;
    net n;

    (void)state;
    start(&n, 51, 4);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    for (size_t i = 1; i < 4; i++)
        k[i] = net_connect(&n, 0, i);
    settle_later(&n);
    net_disconnect(&n, k[2]);
    net_set(&n, 0, "orders", 1, "a", "second");
    settle_later(&n);
    net_disconnect(&n, k[3]);
    done_and_next(&n, 0);
    settle_later(&n);
    leave(&n, 1, 1, false);
    l = net_connect(&n, 1, 2);
    net_settle_but(&n, is_word_of_1);
    assert_int_equal(passed, 1);
    net_connect(&n, 2, 3);
    net_settle_but(&n, is_word_of_1);
    n.now += 2500; /* no longer than that it waits for what it depends on */
    net_settle_but(&n, is_word_of_1);
    sync_session_counts(l->ends[1].session, &counts);
    assert_int_equal(counts.deltas_out, 1);
    assert_int_equal(passed, 2);
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "second");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_false(is_whole(&n, 2));
    assert_string_not_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    finish(&n);
}

/* 1 is pushed nothing by 2, as it has it from others: but what it has not seen
 * there it does not vouch for. */
static void test_past__who_is_pushed_nothing_sees_it_first(void **state)
{
    net_link *l, *k;
    net n;

    (void)state;
    start(&n, 52, 4);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    l = net_connect(&n, 0, 3);
    k = net_connect(&n, 1, 2);
    settle_later(&n);
    net_disconnect(&n, l);
    k->ends[1].session->wants[0].mode = SYNC_PRUNED;
    done_and_next(&n, 0);
    net_connect(&n, 2, 3);
    net_settle(&n);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    net_connect(&n, 0, 1);
    net_settle(&n);
    assert_false(strcmp(net_get(&n, 2, "orders", 1, "s"), "open") == 0 &&
                 strcmp(net_get(&n, 2, "orders", 2, "s"), "open") == 0 &&
                 is_whole(&n, 2));
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    assert_true(is_whole(&n, 2));
    finish(&n);
}

/* Likewise who came later: it is complete, and never had it. */
static void test_past__who_never_had_it_does_not_take_it(void **state)
{
    net n;

    (void)state;
    (void)begin(&n, 42);
    net_connect(&n, 0, 3);
    settle_later(&n);
    assert_string_equal(net_get(&n, 3, "orders", 1, "s"), "-");
    assert_true(is_whole(&n, 3));
    net_connect(&n, 3, 2);
    meets_the_past(&n, 3);
    net_fini(&n);
}

/* Nor who has it in an older state that it does not want: document 1 was done,
 * open again, which only 2 heard of, and is done. */
static void test_past__who_has_an_older_one_does_not_take_it(void **state)
{
    net_link *l, *k;
    net n;

    (void)state;
    net_init(&n, 47, 3);
    n.forgetful = true;
    passed = 0;
    n.nodes[2].host.passed = host_passed;
    net_subscribe_all(&n, "orders?open");
    net_insert(&n, 0, "orders", 1, "open", "pad");
    l = net_connect(&n, 0, 1);
    k = net_connect(&n, 0, 2);
    settle_later(&n);
    net_set(&n, 0, "orders", 1, "s", "done");
    settle_later(&n);
    net_disconnect(&n, l);
    net_set(&n, 0, "orders", 1, "s", "open");
    settle_later(&n);
    net_disconnect(&n, k);
    done_and_next(&n, 0);
    net_reconnect(&n, l);
    settle_later(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "done");
    assert_true(is_whole(&n, 1));
    net_disconnect(&n, l);
    net_connect(&n, 1, 2);
    meets_the_past(&n, 1);
    net_fini(&n);
}

/* What another joined with its insert over a marker is made of what it has had:
 * where that one has not heard of all that is here, it comes later. */
static void test_past__what_another_joined_is_none(void **state)
{
    net_link *l;
    net n;

    (void)state;
    start(&n, 49, 3);
    n.forgetful = true;
    net_insert(&n, 0, "orders", 1, "open", "pad");
    net_set(&n, 0, "orders", 1, "a", "first");
    l = net_connect(&n, 0, 1);
    settle_later(&n);
    net_set(&n, 0, "orders", 1, "s", "done");
    settle_later(&n);
    leave(&n, 1, 1, false);
    net_insert(&n, 1, "orders", 1, "open", "mine");
    while (strcmp(net_get(&n, 0, "orders", 1, "p"), "mine") != 0)
        assert_true(net_half_trip(&n, l));
    net_disconnect(&n, l);
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "");
    net_set(&n, 1, "orders", 1, "s", "done");
    net_insert(&n, 2, "orders", 2, "open",
               "pad"); /* of which 0 has not heard */
    net_connect(&n, 1, 2);
    settle_later(&n);
    net_reconnect(&n, l);
    settle_later(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "first");
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "done");
    finish(&n);
}

/* Nor who wrote on an older one: document 1 was done, then open, which only 0
 * has, and is done, which 1 hears of by documents that came after it. */
static void test_past__who_wrote_on_an_older_one_does_not_take_it(void **state)
{
    net_link *l, *k, *m;
    net n;

    (void)state;
    net_init(&n, 50, 4);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders?open");
    net_subscribe(&n, 3, "orders");
    l = net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    settle_later(&n);
    net_set(&n, 0, "orders", 1, "s", "done");
    settle_later(&n);
    net_disconnect(&n, l);
    net_set(&n, 1, "orders", 1, "a", "mine");
    k = net_connect(&n, 0, 3);
    net_set(&n, 0, "orders", 1, "s", "open");
    settle_later(&n);
    net_disconnect(&n, k);
    done_and_next(&n, 3);
    m = net_connect(&n, 3, 2);
    settle_later(&n);
    net_disconnect(&n, m);
    net_connect(&n, 2, 1);
    settle_later(&n);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    net_reconnect(&n, l);
    settle_later(&n);
    assert_false(strcmp(net_get(&n, 1, "orders", 1, "s"), "open") == 0 &&
                 is_whole(&n, 1));
    net_reconnect(&n, k);
    settle_later(&n);
    assert_true(is_whole(&n, 1));
    assert_string_not_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 0, "orders", 1, "a"), "mine");
    assert_string_equal(net_get(&n, 3, "orders", 1, "a"), "mine");
    finish(&n);
}

static void unset(net *n, size_t node, uint64_t id, const char *field)
{
    tako_slice key = tako_slice_str(field);
    store *st = n->nodes[node].st;
    tako_errbuf e = { "" };
    uint8_t bytes[32];
    uint32_t coll;
    crdt_doc *doc;
    crdt_dot dot;

    net_begin(n, node);
    assert_int_equal(
        store_coll_find(store_writer(st), tako_slice_str("orders"), &coll),
        TAKO_OK);
    assert_int_equal(store_dot(st, &dot, &e), TAKO_OK);
    assert_int_equal(store_edit(st, coll, net_id(id, bytes), &doc, &e),
                     TAKO_OK);
    assert_int_equal(crdt_unset(doc, dot, (crdt_path){ &key, 1 }), TAKO_OK);
    assert_int_equal(store_edit_save(st, &e), TAKO_OK);
    net_commit_now(n, node);
}

/* Document 1 shows "done" by what 1 wrote first, and with what it wrote since
 * "open", which 2 inserted: nobody has both but the archive, 0, where they meet.
 * Of each event 1 has heard. Meanwhile document 3 of its own has been at 0, by
 * 2, and went. */
static void test_past__what_an_archive_joined_is_as_it_is_now(void **state)
{
    net_link *first, *second;
    net n;

    (void)state;
    start(&n, 50, 3);
    net_insert(&n, 2, "orders", 1, "open", "two");
    net_insert(&n, 1, "orders", 1, "open", "one");
    net_set(&n, 1, "orders", 1, "s", "done");
    first = net_connect(&n, 0, 1);
    settle_later(&n);
    net_disconnect(&n, first);
    unset(&n, 1, 1, "s");
    second = net_connect(&n, 0, 2);
    settle_later(&n);
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "done");
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    net_connect(&n, 1, 2);
    net_insert(&n, 1, "orders", 3, "open", "pad");
    settle_later(&n);
    net_set(&n, 1, "orders", 3, "s", "done");
    settle_later(&n);
    assert_string_equal(net_get(&n, 0, "orders", 3, "s"), "done");
    leave_to(&n, 1, 3, false, tako_slice_str(n.nodes[0].path));
    net_disconnect(&n, second);
    net_reconnect(&n, first);
    settle_later(&n);
    assert_true(is_whole(&n, 0));
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    finish(&n);
}

/* What was written on top of it meanwhile is news: that is taken, and goes back
 * as what it is now. */
static void test_past__what_was_changed_since_is_none(void **state)
{
    net n;
    net_link *l;

    (void)state;
    l = begin(&n, 43);
    leave(&n, 1, 1, true);
    net_set(&n, 2, "orders", 1, "a", "late");
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_equal(passed, 0);
    assert_string_equal(net_get(&n, 0, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "done");
    assert_string_not_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_true(is_whole(&n, 2));
    finish(&n);
}

/* 3 wrote on top of the old one as well: 2, which 1 told that it is past, lacks
 * with that what it lacked before. */
static void test_past__what_others_write_on_it_ends_no_doubt(void **state)
{
    net n;
    net_link *l;

    (void)state;
    l = begin(&n, 48);
    leave(&n, 1, 1, true);
    settle_later(&n);
    net_connect(&n, 2, 3);
    settle_later(&n);
    assert_string_equal(net_get(&n, 3, "orders", 1, "s"), "open");
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_not_equal(passed, 0);
    assert_false(is_whole(&n, 2));
    net_set(&n, 3, "orders", 1, "a", "late");
    while (net_half_trip(&n, &n.links[n.link_count - 1]))
        ;
    while (net_send(&n, l, 1)) /* 1 does not hear of it yet */
        ;
    assert_string_equal(net_get(&n, 2, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_false(is_whole(&n, 2));
    settle_later(&n);
    for (size_t i = 0; i < 4; i++)
        assert_string_not_equal(net_get(&n, i, "orders", 1, "s"), "open");
    assert_true(is_whole(&n, 2));
    finish(&n);
}

/* But as long as nobody is there who knows what became of it, what was written on
 * the old one is not all of it. */
static void test_past__what_was_changed_since_may_lack_more(void **state)
{
    net n;
    net_link *l;

    (void)state;
    l = begin(&n, 50);
    leave(&n, 1, 1, true);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 2, "orders", 1, "a", "late");
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_equal(passed, 0);
    assert_string_equal(net_get(&n, 1, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_false(is_whole(&n, 2));
    net_set(&n, 2, "orders", 1, "a", "later"); /* it lacks that still */
    settle_later(&n);
    assert_false(is_whole(&n, 2));
    net_reconnect(&n, &n.links[0]);
    settle_later(&n);
    assert_string_equal(net_get(&n, 0, "orders", 1, "a"), "later");
    assert_string_not_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_true(is_whole(&n, 2));
    finish(&n);
}

/* 2 writes on what was past elsewhere: it lacks what it lacked, also while it
 * does not match, for it may match again. */
static void test_past__what_matches_again_lacks_it_still(void **state)
{
    net n;
    net_link *l;

    (void)state;
    l = begin(&n, 52);
    leave(&n, 1, 1, false);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_equal(passed, 1);
    net_set(&n, 2, "orders", 1, "s", "mine");
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_false(is_whole(&n, 2));
    net_set(&n, 2, "orders", 1, "s", "open");
    settle_later(&n);
    assert_false(is_whole(&n, 2));
    net_reconnect(&n, &n.links[0]);
    settle_later(&n);
    assert_true(is_whole(&n, 2));
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"),
                        net_get(&n, 2, "orders", 1, "s"));
    finish(&n);
}

/* Nor is the word of 3 taken, who has let it go as 1 has, and shows since what 2
 * wrote on the old one: it has nothing else to tell. */
static void test_past__who_took_what_is_doubted_proves_nothing(void **state)
{
    net n;
    net_link *l, *k;

    (void)state;
    start(&n, 53, 4);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    k = net_connect(&n, 0, 1);
    l = net_connect(&n, 1, 2);
    net_connect(&n, 1, 3);
    settle_later(&n);
    net_disconnect(&n, l);
    done_and_next(&n, 0);
    settle_later(&n);
    leave(&n, 1, 1, false);
    leave(&n, 3, 1, false);
    net_disconnect(&n, k);
    net_reconnect(&n, l);
    settle_later(&n);
    assert_int_not_equal(passed, 0);
    net_set(&n, 2, "orders", 1, "a", "late");
    settle_later(&n);
    assert_string_equal(net_get(&n, 3, "orders", 1, "a"), "late");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    net_connect(&n, 2, 3);
    settle_later(&n);
    assert_false(is_whole(&n, 2));
    net_reconnect(&n, k);
    settle_later(&n);
    assert_string_not_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_true(is_whole(&n, 2));
    finish(&n);
}

/* What its own app wrote and let go, since another keeps it, a server has not
 * given to who was away: the keeper's state would be past there. */
static void test_past__own_writes_that_went_were_not_given(void **state)
{
    net n;

    (void)state;
    net_init(&n, 44, 3);
    passed = 0;
    n.nodes[1].host.passed = host_passed;
    net_subscribe(&n, 0, "orders?done");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders?open");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    settle_later(&n);
    assert_true(is_whole(&n, 1));
    leave(&n, 0, 1, false);
    net_connect(&n, 0, 2);
    net_insert(&n, 0, "orders", 2, "open", "pad");
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_false(is_whole(&n, 2));
    net_connect(&n, 1, 2);
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "open");
    assert_true(is_whole(&n, 2));
    assert_int_equal(passed, 0);
    finish(&n);
}

/* Who has them says so, and is told of the later ones again. */
static void test_past__who_has_what_went_is_whole_by_what_stays(void **state)
{
    net n;
    net_link *l;

    (void)state;
    net_init(&n, 45, 2);
    net_subscribe(&n, 0, "orders?done");
    net_subscribe(&n, 1, "orders?open");
    l = net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    settle_later(&n);
    leave(&n, 0, 1, true);
    net_insert(&n, 0, "orders", 2, "open", "pad"); /* in this session */
    settle_later(&n);
    assert_true(is_whole(&n, 1));
    net_disconnect(&n, l);
    net_insert(&n, 0, "orders", 3, "open", "pad");
    net_reconnect(&n, l);
    net_settle(&n); /* no second passes */
    assert_string_equal(net_get(&n, 1, "orders", 3, "s"), "open");
    assert_true(is_whole(&n, 1));
    finish(&n);
}

/* SERVED, which says that the peer has looked. */
static bool is_served(const net_link *l, int end, int lane)
{
    const net_message *m = l->ends[end].out[lane].first;

    return end == 0 && m != NULL && lane == SYNC_CONTROL &&
           m->bytes[0] == SYNC_MSG_SERVED;
}

/* A commit is told late: what it brought over another link is unseen by the peer
 * whose word comes meanwhile, like any. */
static void test_past__what_is_not_told_yet_is_unseen(void **state)
{
    net n;
    net_link *k, *l;

    (void)state;
    (void)begin(&n, 46);
    k = net_connect(&n, 0, 3);
    net_settle_but(&n, is_served);
    l = net_connect(&n, 3, 2);
    while (strcmp(net_get(&n, 3, "orders", 1, "s"), "open") != 0)
        assert_true(net_half_trip(&n, l));
    while (net_deliver(&n, k, 0, SYNC_CONTROL))
        ;
    while (net_send(&n, k, 1))
        ;
    assert_string_equal(net_get(&n, 3, "orders", 1, "s"), "open");
    assert_false(strcmp(net_get(&n, 3, "orders", 2, "s"), "open") == 0 &&
                 is_whole(&n, 3));
    settle_later(&n);
    assert_string_equal(net_get(&n, 3, "orders", 2, "s"), "open");
    finish(&n);
}

/* What node 0 says to node 1. */
static bool is_word_to_1(const net_link *l, int end, int lane)
{
    const net *n = l->ends[0].node->net;

    return lane != SYNC_CONTROL && end == 1 &&
           l->ends[0].node == n->nodes + 1 && l->ends[1].node == n->nodes;
}

/* Node 3 began an order, and 4, who had it by way of 2, ended it; so 0 has all
 * that 4 wrote, and has not heard what else 3 did. Node 1 has that word: all of 4,
 * less of 3, and the ended order is none for it. Then it takes the open one from
 * node 2, as news. It must not tell 2 meanwhile that it has all that 4 wrote. */
static void test_past__who_took_half_a_word_passes_none_on(void **state)
{
    net n;
    net_link *l;

    (void)state;
    start(&n, 41, 5);
    net_connect(&n, 2, 3);
    net_insert(&n, 3, "orders", 1, "open", "pad");
    settle_later(&n);
    l = net_connect(&n, 2, 4);
    settle_later(&n);
    assert_string_equal(net_get(&n, 4, "orders", 1, "s"), "open");
    net_disconnect(&n, l);
    l = net_connect(&n, 4, 0);
    done_and_next(&n, 4);
    settle_later(&n);
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "done");
    assert_false(is_whole(&n, 0));
    net_disconnect(&n, l);
    net_connect(&n, 1, 0);
    settle_later(&n);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "open");
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "-");
    assert_true(is_whole(&n, 2));

    net_connect(&n, 1, 2);
    net_settle_but(&n, is_word_to_1);
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "open");
    assert_false(is_whole(&n, 1));
    assert_true(!is_whole(&n, 2) ||
                strcmp(net_get(&n, 2, "orders", 2, "s"), "-") == 0);
    settle_later(&n);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "done");
    assert_string_equal(net_get(&n, 2, "orders", 2, "s"), "open");
    assert_true(is_whole(&n, 1));
    assert_true(is_whole(&n, 2));
    finish(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_past__who_let_it_go_does_not_take_it_back),
        cmocka_unit_test(test_past__a_marker_knows_it_too),
        cmocka_unit_test(test_past__a_marker_knows_it_of_a_delta),
        cmocka_unit_test(test_past__who_is_pushed_nothing_sees_it_first),
        cmocka_unit_test(test_past__who_never_had_it_does_not_take_it),
        cmocka_unit_test(test_past__who_has_an_older_one_does_not_take_it),
        cmocka_unit_test(test_past__what_another_joined_is_none),
        cmocka_unit_test(test_past__who_wrote_on_an_older_one_does_not_take_it),
        cmocka_unit_test(test_past__what_an_archive_joined_is_as_it_is_now),
        cmocka_unit_test(test_past__what_was_changed_since_is_none),
        cmocka_unit_test(test_past__what_was_changed_since_may_lack_more),
        cmocka_unit_test(test_past__what_others_write_on_it_ends_no_doubt),
        cmocka_unit_test(test_past__what_matches_again_lacks_it_still),
        cmocka_unit_test(test_past__who_took_what_is_doubted_proves_nothing),
        cmocka_unit_test(test_past__own_writes_that_went_were_not_given),
        cmocka_unit_test(test_past__who_has_what_went_is_whole_by_what_stays),
        cmocka_unit_test(test_past__what_is_not_told_yet_is_unseen),
        cmocka_unit_test(test_past__who_took_half_a_word_passes_none_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
