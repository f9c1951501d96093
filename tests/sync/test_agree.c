// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include "sync/vector.h"

static sync_subscription_state sub_at(const net_link *l, int end, uint64_t now)
{
    sync_subscription_state sub;

    assert_true(sync_session_subscription(l->ends[end].session, 0, now, &sub));
    return sub;
}

static bool always(void *ctx, uint32_t number)
{
    (void)ctx;
    (void)number;
    return true;
}

/* A triangle that pruned one of its links, which is the only one that is left;
 * and both its ends take another way for granted. */
static net_link *pruned_link(net *n)
{
    net_link *l = NULL;

    net_subscribe_all(n, "orders");
    for (size_t i = 0; i < 3; i++)
        net_connect(n, i, (i + 1) % 3);
    net_settle_later(n, 4);
    for (uint64_t i = 0; i < 40; i++) {
        net_insert(n, i / 10 % 3, "orders", 100 + i, "open", "pad");
        net_settle(n);
    }
    net_settle_later(n, 4);
    for (size_t i = 0; i < 3 && l == NULL; i++)
        if (sub_at(&n->links[i], 0, n->now).mode == 2 &&
            sub_at(&n->links[i], 1, n->now).mode == 2)
            l = &n->links[i];
    assert_non_null(l);
    l->ends[0].node->host.covered = l->ends[1].node->host.covered = always;
    for (size_t i = 0; i < 3; i++)
        if (&n->links[i] != l)
            net_disconnect(n, &n->links[i]);
    return l;
}

typedef struct joined {
    tako_arena arena;
    crdt_context v;
} joined;

static tako_err join_v(void *ctx, const store_held *row)
{
    joined *j = ctx;

    return row->text.len == 0 ? TAKO_OK
                              : sync_vector_get(&j->arena, row->v, &j->v);
}

/* What a node would have heard of, and let pass by. */
static void hear_of(net *n, size_t node, crdt_dot dot)
{
    store *st = n->nodes[node].st;
    tako_slice coll = tako_slice_str("orders");
    store_held row = { .text = coll };
    tako_buf v = tako_buf_on(&n->t.env);
    joined j = { tako_arena_on(&n->t.env), { NULL, 0, 0 } };

    assert_int_equal(store_held_each(store_writer(st), coll, join_v, &j),
                     TAKO_OK);
    assert_int_equal(crdt_context_add(&j.arena, &j.v, dot), TAKO_OK);
    sync_vector_put(&v, &j.v);
    row.v = tako_buf_slice(&v);
    assert_int_equal(store_held_put(st, coll, &row), TAKO_OK);
    tako_arena_fini(&j.arena);
    tako_buf_fini(&v);
}

/* Brings a document of one node to another, over no link. */
static void carry(net *n, size_t from, size_t to, uint64_t id)
{
    store_conn *c = n->nodes[from].reader;
    tako_errbuf e = { "" };
    crdt_merge_info info;
    uint32_t coll;
    uint8_t bytes[32];
    store_row row;

    assert_int_equal(store_coll_find(c, tako_slice_str("orders"), &coll),
                     TAKO_OK);
    assert_int_equal(store_get(c, coll, net_id(id, bytes), &row), TAKO_OK);
    assert_int_equal(
        store_coll_create(n->nodes[to].st, tako_slice_str("orders"), &coll, &e),
        TAKO_OK);
    assert_int_equal(store_merge(n->nodes[to].st, coll, row.id, row.meta,
                                 row.body, &info, &e),
                     TAKO_OK);
}

/* Both ends of a pruned link have heard of a stranger's last event; one has the
 * document that it made, the other has not. No vector will ever name that. */
static void test_agree__equal_vectors_and_other_documents(void **state)
{
    net n;
    net_link *l;
    crdt_dot last;
    size_t a, b;

    (void)state;
    net_init(&n, 31, 4);
    net_insert(&n, 3, "orders", 7, "open", "of a stranger");
    assert_int_equal(store_own_last(n.nodes[3].reader, &last), TAKO_OK);
    l = pruned_link(&n);
    a = (size_t)(l->ends[0].node - n.nodes);
    b = (size_t)(l->ends[1].node - n.nodes);
    net_begin(&n, a);
    carry(&n, 3, a, 7);
    hear_of(&n, a, last);
    net_commit_now(&n, a);
    net_begin(&n, b);
    hear_of(&n, b, last);
    net_commit_now(&n, b);
    net_settle(&n);
    assert_string_equal(net_get(&n, a, "orders", 7, "s"), "open");
    assert_string_equal(net_get(&n, b, "orders", 7, "s"), "-");
    net_settle_later(&n, 6);
    assert_string_equal(net_get(&n, b, "orders", 7, "s"), "open");
    assert_int_equal(net_hash(&n, a, "orders"), net_hash(&n, b, "orders"));
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static uint64_t kept; /* the last that a host was told */

static void host_kept(void *ctx, tako_slice text, uint64_t lsn, bool archive)
{
    (void)ctx;
    (void)text;
    (void)archive;
    kept = lsn;
}

/* Who agrees has all that the other side had then: so it can say what it keeps,
 * though no cut of that link brought it. */
static void test_agree__who_agrees_says_what_it_keeps(void **state)
{
    net n;
    net_link *l;

    (void)state;
    net_init(&n, 33, 4);
    kept = 0;
    l = pruned_link(&n);
    net_settle_later(&n, 6);
    l->ends[0].node->host.kept = host_kept;
    sync_session_kept(l->ends[1].session, false);
    net_settle(&n);
    assert_int_equal(sub_at(l, 1, n.now).mode, 2);
    assert_true(kept == store_lsn(l->ends[0].node->st));
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* While both have the same nobody asks, and it is known to be complete. */
static void test_agree__the_same_documents_cost_no_question(void **state)
{
    net n;
    net_link *l;
    sync_counts before, after;

    (void)state;
    net_init(&n, 32, 4);
    l = pruned_link(&n);
    net_settle_later(&n, 4);
    sync_session_counts(l->ends[0].session, &before);
    n.t.wall_ms += 1000;
    net_insert(&n, (size_t)(l->ends[0].node - n.nodes), "orders", 7, "open",
               "pad");
    net_settle_later(&n, 8);
    sync_session_counts(l->ends[0].session, &after);
    assert_int_equal(after.documents_out - before.documents_out, 1);
    assert_string_equal(
        net_get(&n, (size_t)(l->ends[1].node - n.nodes), "orders", 7, "s"),
        "open");
    assert_true(l->up);
    assert_true(sub_at(l, 1, n.now).in_sync);
    assert_int_equal(n.last_error, TAKO_OK);
    sync_session_counts(l->ends[1].session, &before);
    net_settle_later(&n, 8);
    sync_session_counts(l->ends[1].session, &after);
    assert_int_equal(after.grafts, before.grafts);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree__equal_vectors_and_other_documents),
        cmocka_unit_test(test_agree__who_agrees_says_what_it_keeps),
        cmocka_unit_test(test_agree__the_same_documents_cost_no_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
