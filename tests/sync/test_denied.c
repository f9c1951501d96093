// SPDX-License-Identifier: Apache-2.0
/* Writes of who may not write (SYNC.md 9): R may read and relay, W and V may
 * everything. */
#include "sync/support_net.h"

#include "store/deaths.h"
#include "sync/wire.h"

#define W 0u
#define R 1u
#define V 2u

typedef struct trio {
    net n;
    net_link *wr, *rv, *wv; /* wv is down until somebody connects it */
} trio;

/* W - R - V, all caught up with document 1. */
static void trio_begin(trio *t, uint64_t seed)
{
    net_init(&t->n, seed, 3);
    t->n.nodes[R].bars.write = true;
    net_subscribe_all(&t->n, "orders");
    t->wr = net_connect(&t->n, W, R);
    t->rv = net_connect(&t->n, R, V);
    t->wv = NULL;
    net_insert(&t->n, W, "orders", 1, "open", "w");
    net_settle(&t->n);
    assert_string_equal(net_get(&t->n, V, "orders", 1, "p"), "w");
}

static void trio_end(trio *t)
{
    tako_errbuf e = { "" };
    uint64_t findings;

    assert_int_equal(t->n.last_error, TAKO_OK);
    for (size_t i = 0; i < t->n.node_count; i++) {
        assert_int_equal(
            store_check(t->n.nodes[i].reader, NULL, NULL, &findings, &e),
            TAKO_OK);
        assert_int_equal(findings, 0);
    }
    net_fini(&t->n);
}

typedef struct seen {
    unsigned count, bodies;
} seen;

static bool see(void *ctx, const store_quarantined *q)
{
    seen *s = ctx;

    assert_int_equal(q->why, STORE_WHY_DENIED);
    s->count++;
    s->bodies += q->body.len > 0;
    return true;
}

static seen quarantined(net *n, size_t node)
{
    seen s = { 0, 0 };
    tako_errbuf e;

    assert_int_equal(
        store_quarantine_each(n->nodes[node].reader, see, &s, &e), TAKO_OK);
    return s;
}

static void check_as(net *n, uint64_t id, const char *field, const char *value)
{
    for (size_t i = 0; i < n->node_count; i++)
        assert_string_equal(net_get(n, i, "orders", id, field), value);
}

/* Where it was let go an empty notice stands. */
static void check_gone(net *n, uint64_t id)
{
    for (size_t i = 0; i < n->node_count; i++)
        assert_string_equal(net_get(n, i, "orders", id, "p"),
                            n->nodes[i].bars.write ? "x" : "-");
}

/* A live change is a delta; R has it back as W and V have it. */
static void test_denied__a_change(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 1);
    net_set(&t.n, R, "orders", 1, "x", "r");
    assert_string_equal(net_get(&t.n, R, "orders", 1, "x"), "r");
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "");
    check_as(&t.n, 1, "p", "w");
    assert_int_equal(quarantined(&t.n, R).bodies, 1);
    assert_int_equal(quarantined(&t.n, W).count, 0);
    assert_true(t.n.nodes[W].events[SYNC_EVENT_DENIED] > 0);
    assert_true(t.n.nodes[R].events[SYNC_EVENT_DENIED] > 0);
    net_check_equal(&t.n, "orders");
    /* and it goes on, under the same name */
    net_set(&t.n, W, "orders", 1, "x", "w2");
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "w2");
    net_set(&t.n, R, "orders", 1, "x", "again");
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "w2");
    assert_int_equal(quarantined(&t.n, R).count, 2);
    trio_end(&t);
}

/* What was made while nobody was there comes in a catch-up, as states. */
static void test_denied__after_an_absence(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 2);
    net_disconnect(&t.n, t.wr);
    net_disconnect(&t.n, t.rv);
    net_set(&t.n, R, "orders", 1, "x", "r");
    net_insert(&t.n, R, "orders", 2, "open", "r");
    net_set(&t.n, W, "orders", 1, "y", "w");
    net_reconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv);
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "");
    check_as(&t.n, 1, "y", "w");
    check_gone(&t.n, 2);
    assert_int_equal(quarantined(&t.n, R).count, 2);
    trio_end(&t);
}

static void test_denied__a_deletion(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 3);
    net_delete(&t.n, R, "orders", 1);
    net_settle(&t.n);
    check_as(&t.n, 1, "p", "w");
    assert_int_equal(quarantined(&t.n, R).count, 1);
    assert_int_equal(quarantined(&t.n, R).bodies, 0);
    trio_end(&t);
}

/* Nobody else has it, so nothing is here any more; and it may be inserted. */
static void test_denied__a_new_document(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 4);
    net_insert(&t.n, R, "orders", 2, "open", "r");
    net_settle(&t.n);
    check_gone(&t.n, 2);
    assert_int_equal(quarantined(&t.n, R).bodies, 1);
    net_insert(&t.n, W, "orders", 2, "open", "w");
    net_settle(&t.n);
    check_as(&t.n, 2, "p", "w");
    assert_int_equal(quarantined(&t.n, R).count, 1);
    net_check_equal(&t.n, "orders");
    trio_end(&t);
}

/* R passes on what others write, and what it changed in the same document
 * before it could takes nothing of theirs with it. */
static void test_denied__others_changes_go_through(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 5);
    net_set(&t.n, W, "orders", 1, "x", "w");
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "w");
    net_disconnect(&t.n, t.rv);
    net_set(&t.n, W, "orders", 1, "y", "w");
    net_settle(&t.n);
    net_set(&t.n, R, "orders", 1, "z", "r");
    net_disconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv); /* V lacks y, and refuses z */
    net_settle(&t.n);
    assert_string_equal(net_get(&t.n, V, "orders", 1, "z"), "");
    assert_string_equal(net_get(&t.n, R, "orders", 1, "z"), "");
    net_reconnect(&t.n, t.wr);
    net_settle(&t.n);
    check_as(&t.n, 1, "y", "w");
    check_as(&t.n, 1, "z", "");
    net_check_equal(&t.n, "orders");
    trio_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied__a_change),
        cmocka_unit_test(test_denied__after_an_absence),
        cmocka_unit_test(test_denied__a_deletion),
        cmocka_unit_test(test_denied__a_new_document),
        cmocka_unit_test(test_denied__others_changes_go_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
