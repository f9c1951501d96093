// SPDX-License-Identifier: Apache-2.0
/* What a session says that it holds, and takes for kept or acknowledged, is so:
 * over links that push all, that push nothing, and that changed between; and of
 * what is past at the other side. */
#include "sync/support_net.h"

#include "sync/state.h"

#include <stdlib.h>

#define RUNS  12u
#define STEPS 800u

/* ---- looking from above -------------------------------------------------------- */

/* Has this node seen of a document what the row has seen? */
static bool has_seen(net *n, const net_node *d, const store_row *row)
{
    tako_arena a = tako_arena_on(&n->t.env);
    crdt_context ours, theirs;
    store_row here;
    uint32_t coll;
    bool good;

    good = store_coll_find(store_writer(d->st), tako_slice_str("orders"),
                           &coll) == TAKO_OK &&
           store_get(store_writer(d->st), coll, row->id, &here) == TAKO_OK &&
           crdt_meta_context(&a, here.meta, &ours) == TAKO_OK &&
           crdt_meta_context(&a, row->meta, &theirs) == TAKO_OK &&
           crdt_context_covers(&ours, &theirs);
    tako_arena_fini(&a);
    return good;
}

/* How many documents there are with `from`, as of its commit lsn or before, of
 * which `to` has not seen as much. */
static size_t missing(net *n, const net_node *from, const net_node *to,
                      uint64_t lsn)
{
    store_cursor *k = NULL;
    store_row row;
    uint32_t coll;
    size_t count = 0;

    if (store_coll_find(from->reader, tako_slice_str("orders"), &coll) !=
        TAKO_OK)
        return 0;
    assert_int_equal(store_scan(from->reader, coll, INT64_MIN, &k), TAKO_OK);
    while (store_scan_next(k, &row) == TAKO_OK)
        count += row.body.len > 0 && row.lsn <= lsn && !has_seen(n, to, &row);
    store_scan_close(k);
    return count;
}

static void check_end(net *n, const net_link *l, int end)
{
    const net_node *here = l->ends[end].node, *there = l->ends[1 - end].node;
    uint32_t user;
    uint64_t lsn;

    assert_true(sync_session_held(l->ends[end].session, 0, &user, &lsn));
    if (missing(n, there, here, lsn) > 0)
        fail_msg("a node has not what it says it has, up to commit %llu",
                 (unsigned long long)lsn);
    lsn = sync_session_acked(l->ends[end].session);
    if (missing(n, here, there, lsn) > 0)
        fail_msg("a node has not what counts as acknowledged, up to %llu",
                 (unsigned long long)lsn);
}

static void check_all(net *n)
{
    for (size_t i = 0; i < n->link_count; i++)
        for (int end = 0; end < 2 && n->links[i].up; end++)
            check_end(n, &n->links[i], end);
}

static void settle_later(net *n)
{
    for (int i = 0; i < 6; i++) {
        net_settle(n);
        n->now += 1500;
    }
    net_settle(n);
}

static size_t lazy_ends(const net *n)
{
    size_t count = 0;

    for (size_t i = 0; i < n->link_count; i++)
        for (int end = 0; end < 2 && n->links[i].up; end++)
            count += n->links[i].ends[end].session->subs[0].mode != SYNC_EAGER;
    return count;
}

/* Three nodes, all linked, that have met often enough to prune a link. */
static void ring(net *n, uint64_t seed)
{
    net_init(n, seed, 3);
    net_subscribe_all(n, "orders");
    net_connect(n, 0, 1);
    net_connect(n, 1, 2);
    net_connect(n, 2, 0);
    settle_later(n);
    for (uint64_t i = 0; i < 200 && lazy_ends(n) == 0; i++) {
        net_insert(n, i % 3, "orders", i, "open", "pad");
        for (int j = 0; j < 30; j++)
            net_step(n);
    }
    settle_later(n);
}

/* ---- lazy links ------------------------------------------------------------------- */

/* What nodes do once in a while: they say what they keep, and how far they are. */
static void beat(net *n)
{
    for (size_t i = 0; i < n->link_count; i++)
        for (int end = 0; end < 2; end++) {
            sync_session_kept(n->links[i].ends[end].session, false);
            sync_session_close(n->links[i].ends[end].session);
        }
    settle_later(n);
}

/* In the end all is kept at the other end of every link, also of one that pushes
 * nothing. */
static void test_kept__comes_over_lazy_links(void **state)
{
    net n;

    (void)state;
    ring(&n, 1);
    net_insert(&n, 0, "orders", 500, "open", "pad");
    net_insert(&n, 1, "orders", 501, "open", "pad");
    settle_later(&n);
    assert_true(lazy_ends(&n) > 0);
    for (int i = 0; i < 3; i++)
        beat(&n);
    for (size_t i = 0; i < n.link_count; i++)
        for (int end = 0; end < 2; end++)
            assert_int_equal(n.links[i].ends[end].session->wants[0].kept,
                             store_lsn(n.links[i].ends[end].node->st));
    net_fini(&n);
}

/* Whatever is pushed, pruned, cut, mended and asked anew, in whatever order:
 * after each message nothing is said to be held, or acknowledged, that is not.
 * (A link that was lazy and is eager again closes for more than it sent.) */
static void test_kept__is_true_after_every_message(void **state)
{
    size_t lazy = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        net n;

        ring(&n, seed);
        for (uint64_t i = 0; i < STEPS; i++) {
            net_link *l = &n.links[test_below(&n.t, 3)];

            switch (test_below(&n.t, 60)) {
            case 0:
                if (l->up)
                    net_disconnect(&n, l);
                else
                    net_reconnect(&n, l);
                break;
            case 1:
            case 2:
                net_insert(&n, test_below(&n.t, 3), "orders", 1000 + i, "open",
                           "pad");
                break;
            case 3:
                n.now += test_below(&n.t, 1500);
                break;
            default:
                net_step(&n);
                break;
            }
            check_all(&n);
            lazy += lazy_ends(&n);
        }
        net_fini(&n);
    }
    assert_true(lazy > 0);
}

/* Who only carries what it has acknowledged is no keeper: nothing counts. */
static void test_kept__to_carry_is_not_to_keep(void **state)
{
    net n;
    uint8_t kept[] = { SYNC_MSG_KEPT, 0, 1, SYNC_KEPT_PASSED };

    (void)state;
    net_init(&n, 2, 2);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    settle_later(&n);
    for (int passed = 1; passed >= 0; passed--) {
        kept[3] = passed != 0 ? SYNC_KEPT_PASSED : 0;
        assert_int_equal(
            sync_session_recv(n.links[0].ends[0].session, n.now, SYNC_CONTROL,
                              tako_slice_of(kept, sizeof kept), NULL),
            TAKO_OK);
        assert_int_equal(n.links[0].ends[0].session->wants[0].kept,
                         passed != 0 ? 0 : 1);
    }
    net_fini(&n);
}

/* ---- asked anew ---------------------------------------------------------------------- */

static net_end *end_of(net *n, int end)
{
    return &n->links[0].ends[end];
}

/* A number that is new has been told nothing: KEPT is said again, or nobody
 * would be asked for a close any more. */
static void test_kept__is_said_again_under_a_new_number(void **state)
{
    net n;
    uint64_t bytes;

    (void)state;
    net_init(&n, 3, 2);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "open", "pad");
    settle_later(&n);
    sync_session_kept(end_of(&n, 1)->session, false);
    net_settle(&n);
    assert_false(sync_session_kept_due(end_of(&n, 1)->session));
    sync_session_start_over(end_of(&n, 0)->session);
    settle_later(&n);
    bytes = n.kinds[SYNC_MSG_KEPT];
    assert_true(sync_session_kept_due(end_of(&n, 1)->session));
    sync_session_kept(end_of(&n, 1)->session, false);
    net_settle(&n);
    assert_true(n.kinds[SYNC_MSG_KEPT] > bytes);
    assert_int_equal(end_of(&n, 0)->session->wants[0].kept,
                     store_lsn(n.nodes[0].st));
    net_fini(&n);
}

/* ---- past there --------------------------------------------------------------------- */

static uint64_t kept_lsn;

static void on_kept(void *ctx, tako_slice text, uint64_t lsn, bool archive)
{
    (void)ctx;
    (void)text;
    (void)archive;
    kept_lsn = lsn;
}

static void leave(net *n, size_t node, uint64_t id)
{
    store *st = n->nodes[node].st;
    uint8_t bytes[32];
    uint32_t coll;

    assert_int_equal(
        store_coll_find(store_writer(st), tako_slice_str("orders"), &coll),
        TAKO_OK);
    net_begin(n, node);
    assert_int_equal(
        store_leave(st, coll, net_id(id, bytes), TAKO_SLICE_NONE, NULL),
        TAKO_OK);
    net_commit_now(n, node);
}

static void say_kept(net *n)
{
    settle_later(n);
    sync_session_kept(end_of(n, 1)->session, false);
    net_settle(n);
}

/* Node 0 has document 1 as it was; at node 1 it was done, and left. */
static void one_past(net *n, uint64_t seed)
{
    net_init(n, seed, 2);
    n->nodes[0].host.kept = on_kept;
    kept_lsn = 0;
    net_subscribe(n, 0, "orders?open");
    net_subscribe(n, 1, "orders?open");
    net_connect(n, 0, 1);
    net_insert(n, 0, "orders", 1, "open", "pad");
    settle_later(n);
    net_disconnect(n, &n->links[0]);
    net_set(n, 1, "orders", 1, "s", "done");
    leave(n, 1, 1);
    net_settle(n);
    net_insert(n, 0, "orders", 2, "open", "pad");
    net_reconnect(n, &n->links[0]);
    say_kept(n);
}

/* What the peer did not take, since it is past there, is not kept there; until
 * it is something else here. */
static void test_kept__is_not_what_is_past_there(void **state)
{
    net n;

    (void)state;
    one_past(&n, 4);
    assert_true(n.kinds[SYNC_MSG_PAST] > 0);
    assert_string_equal(net_get(&n, 0, "orders", 1, "s"), "open");
    assert_true(end_of(&n, 0)->session->wants[0].kept_told > 1);
    assert_true(kept_lsn < end_of(&n, 0)->session->wants[0].kept_told);
    assert_int_equal(kept_lsn, end_of(&n, 0)->session->wants[0].kept);
    leave(&n, 0, 1); /* somebody let it go */
    say_kept(&n);
    assert_int_equal(kept_lsn, end_of(&n, 0)->session->wants[0].kept_told);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept__comes_over_lazy_links),
        cmocka_unit_test(test_kept__is_true_after_every_message),
        cmocka_unit_test(test_kept__to_carry_is_not_to_keep),
        cmocka_unit_test(test_kept__is_said_again_under_a_new_number),
        cmocka_unit_test(test_kept__is_not_what_is_past_there),
    };

    return cmocka_run_group_tests_name("sync/kept", tests, NULL, NULL);
}
