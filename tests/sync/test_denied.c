// SPDX-License-Identifier: Apache-2.0
/* Writes of who may not write (SYNC.md 9): R may read and relay, W and V may
 * everything. */
#include "sync/support_net.h"

#include "store/deaths.h"
#include "sync/wire.h"

#define W 0u
#define R 1u
#define V 2u

#define LATER_MS 5000u

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

    assert_int_equal(store_quarantine_each(n->nodes[node].reader, see, &s, &e),
                     TAKO_OK);
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

static tako_err see_held(void *ctx, const store_held *h)
{
    if (h->text.len > 0 && h->why != SYNC_STATE_WHOLE)
        *(bool *)ctx = false;
    return TAKO_OK;
}

/* As its file says. */
static bool whole(net *n, size_t node)
{
    bool out = true;

    assert_int_equal(store_held_each(n->nodes[node].reader,
                                     tako_slice_str("orders"), see_held, &out),
                     TAKO_OK);
    return out;
}

/* What R writes on top of what it has not passed on yet takes nothing of it
 * from those behind it for good, and is not complete meanwhile. */
static void test_denied__is_not_complete_meanwhile(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 6);
    net_disconnect(&t.n, t.rv);
    net_set(&t.n, W, "orders", 1, "y", "w");
    net_settle(&t.n);
    net_set(&t.n, R, "orders", 1, "z", "r");
    net_disconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv);
    net_settle(&t.n);
    /* R has had y, and has it no more */
    assert_false(whole(&t.n, R));
    assert_string_equal(net_get(&t.n, R, "orders", 1, "y"), "");
    net_reconnect(&t.n, t.wr);
    net_settle(&t.n);
    t.n.now += LATER_MS;
    net_settle(&t.n);
    assert_true(whole(&t.n, R));
    /* who has nobody but R can never be sure of what W wrote */
    assert_true(sync_session_covers(t.wr->ends[1].session, 0));
    assert_false(sync_session_covers(t.rv->ends[1].session, 0));
    check_as(&t.n, 1, "y", "w");
    trio_end(&t);
}

static void until_denied(net *n, net_link *l)
{
    while (n->nodes[R].events[SYNC_EVENT_DENIED] == 0)
        assert_true(net_half_trip(n, l));
}

/* W ended document 1, with which 2 began, and V has not heard of it. R, which
 * V made let go of it, is complete by W's word, and V has it still. */
static void test_denied__what_is_past_does_not_come_back(void **state)
{
    trio t;

    (void)state;
    net_init(&t.n, 14, 3);
    t.n.nodes[R].bars.write = true;
    net_subscribe_all(&t.n, "orders?open");
    t.wr = net_connect(&t.n, W, R);
    t.rv = net_connect(&t.n, R, V);
    net_insert(&t.n, W, "orders", 1, "open", "w");
    net_settle(&t.n);
    net_disconnect(&t.n, t.wr);
    net_begin(&t.n, W);
    net_set(&t.n, W, "orders", 1, "s", "done");
    net_insert(&t.n, W, "orders", 2, "open", "w");
    net_commit_now(&t.n, W);
    net_set(&t.n, R, "orders", 1, "x", "r");
    until_denied(&t.n, t.rv);
    net_disconnect(&t.n, t.rv);
    net_reconnect(&t.n, t.wr);
    net_settle_later(&t.n, 4);
    assert_string_equal(net_get(&t.n, R, "orders", 1, "p"), "x");
    assert_true(whole(&t.n, R));
    net_reconnect(&t.n, t.rv);
    while (net_half_trip(&t.n, t.rv))
        ;
    assert_true(whole(&t.n, R));
    assert_string_equal(net_get(&t.n, R, "orders", 2, "s"), "open");
    assert_string_not_equal(net_get(&t.n, R, "orders", 1, "s"), "open");
    net_settle_later(&t.n, 4);
    assert_string_equal(net_get(&t.n, V, "orders", 1, "s"), "open");
    assert_false(whole(&t.n, V)); /* until its keepers let it go */
    trio_end(&t);
}

/* V denies x, with which y goes; W's next cut is here before its session knows. */
static void test_denied__a_word_from_before_is_not_taken(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 16);
    net_disconnect(&t.n, t.rv);
    net_set(&t.n, W, "orders", 1, "y", "w");
    net_settle(&t.n);
    assert_true(whole(&t.n, R));
    net_set(&t.n, R, "orders", 1, "x", "r");
    net_insert(&t.n, W, "orders", 2, "open", "w");
    while (net_send(&t.n, t.wr, 0))
        ;
    net_reconnect(&t.n, t.rv);
    until_denied(&t.n, t.rv);
    while (net_deliver(&t.n, t.wr, 0, SYNC_LIVE))
        ;
    assert_string_equal(net_get(&t.n, R, "orders", 2, "p"), "w");
    assert_string_equal(net_get(&t.n, R, "orders", 1, "y"), "x");
    assert_false(whole(&t.n, R));
    net_settle_later(&t.n, 4);
    check_as(&t.n, 1, "y", "w");
    assert_true(whole(&t.n, R));
    trio_end(&t);
}

/* Nor is past what R wrote when it might, and let go: it comes from W after V
 * has said that its own is complete. */
static void test_denied__own_writes_from_before_come_back(void **state)
{
    tako_errbuf e = { "" };
    trio t;

    (void)state;
    net_init(&t.n, 15, 3);
    net_subscribe(&t.n, W, "orders");
    net_subscribe(&t.n, R, "orders?open");
    net_subscribe(&t.n, V, "orders?done");
    assert_int_equal(store_rights(t.n.nodes[R].st, true, &e), TAKO_OK);
    net_insert(&t.n, R, "orders", 1, "open", "r");
    t.wr = net_connect(&t.n, W, R);
    net_settle(&t.n);
    net_disconnect(&t.n, t.wr);
    assert_int_equal(store_rights(t.n.nodes[R].st, false, &e), TAKO_OK);
    t.n.nodes[R].bars.write = true;
    net_insert(&t.n, V, "orders", 2, "open", "v");
    t.rv = net_connect(&t.n, R, V);
    net_settle(&t.n);
    net_set(&t.n, R, "orders", 1, "x", "r");
    net_reconnect(&t.n, t.wr);
    until_denied(&t.n, t.wr);
    while (net_half_trip(&t.n, t.rv))
        ;
    assert_string_equal(net_get(&t.n, R, "orders", 1, "s"), "x");
    net_settle_later(&t.n, 4);
    assert_string_equal(net_get(&t.n, R, "orders", 1, "s"), "open");
    assert_string_equal(net_get(&t.n, R, "orders", 1, "x"), "");
    assert_true(whole(&t.n, R));
    trio_end(&t);
}

/* A file that lost something goes on under another name; what it wrote under
 * the old one is its own still. */
static void test_denied__under_former_names(void **state)
{
    trio t;
    tako_errbuf e;

    (void)state;
    trio_begin(&t, 7);
    net_disconnect(&t.n, t.wr);
    net_disconnect(&t.n, t.rv);
    net_set(&t.n, R, "orders", 1, "x", "r");
    assert_int_equal(store_renew_actor(t.n.nodes[R].st, &e), TAKO_OK);
    net_insert(&t.n, R, "orders", 2, "open", "r");
    net_reconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv);
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "");
    check_gone(&t.n, 2);
    assert_int_equal(quarantined(&t.n, R).bodies, 2);
    /* and in the middle of a session */
    assert_int_equal(store_renew_actor(t.n.nodes[R].st, &e), TAKO_OK);
    net_set(&t.n, R, "orders", 1, "x", "r2");
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "");
    assert_int_equal(quarantined(&t.n, R).bodies, 3);
    trio_end(&t);
}

/* R's power fails when W has refused, and R not let go. */
static void test_denied__again_after_a_crash(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 8);
    net_disconnect(&t.n, t.rv);
    net_disconnect(&t.n, t.wr);
    net_set(&t.n, R, "orders", 1, "x", "r");
    net_save(&t.n, R, "before");
    net_reconnect(&t.n, t.wr);
    net_settle(&t.n);
    assert_string_equal(net_get(&t.n, R, "orders", 1, "x"), "");
    net_restore(&t.n, R, "before");
    assert_string_equal(net_get(&t.n, R, "orders", 1, "x"), "r");
    net_reconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv);
    net_settle(&t.n);
    check_as(&t.n, 1, "x", "");
    assert_int_equal(quarantined(&t.n, R).count, 1);
    trio_end(&t);
}

/* V may not read: it gets nothing, and what it writes is taken. */
static void test_denied__who_may_not_read_gets_nothing(void **state)
{
    net n;

    (void)state;
    net_init(&n, 9, 2);
    n.nodes[1].bars.read = true;
    net_subscribe_all(&n, "orders");
    net_insert(&n, 0, "orders", 1, "open", "w");
    net_insert(&n, 1, "orders", 2, "open", "v");
    net_connect(&n, 0, 1);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "p"), "-");
    assert_string_equal(net_get(&n, 0, "orders", 2, "p"), "v");
    assert_int_equal(n.nodes[1].events[SYNC_EVENT_REFUSED], 1);
    assert_string_equal(n.nodes[1].refused, "this device may not read");
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

/* Without the right to relay nothing of others comes through R either. */
static void test_denied__who_may_not_relay_passes_nothing_on(void **state)
{
    trio t;

    (void)state;
    net_init(&t.n, 10, 3);
    t.n.nodes[R].bars = (sync_bars){ .write = true, .relay = true };
    net_subscribe_all(&t.n, "orders");
    t.wr = net_connect(&t.n, W, R);
    t.rv = net_connect(&t.n, R, V);
    net_insert(&t.n, W, "orders", 1, "open", "w");
    net_settle(&t.n);
    assert_string_equal(net_get(&t.n, R, "orders", 1, "p"), "w");
    assert_string_equal(net_get(&t.n, V, "orders", 1, "p"), "-");
    assert_int_equal(quarantined(&t.n, R).count, 0);
    trio_end(&t);
}

/* Graves are no way around it: R deletes, and reaps, alone. */
static void test_denied__graves_are_not_heard(void **state)
{
    trio t;
    tako_errbuf e = { "" };
    uint64_t reaped;
    bool more;

    (void)state;
    trio_begin(&t, 11);
    net_disconnect(&t.n, t.wr);
    net_disconnect(&t.n, t.rv);
    net_delete(&t.n, R, "orders", 1);
    for (int day = 0; day < 4; day++) {
        t.n.t.wall_ms += UINT64_C(86400000);
        t.n.t.mono_ms += UINT64_C(86400000);
        assert_int_equal(
            store_reap(t.n.nodes[R].st, 2, 1000, &reaped, &more, &e), TAKO_OK);
    }
    assert_string_equal(net_get(&t.n, R, "orders", 1, "p"), "-");
    net_reconnect(&t.n, t.wr);
    net_reconnect(&t.n, t.rv);
    net_settle(&t.n);
    assert_string_equal(net_get(&t.n, W, "orders", 1, "p"), "w");
    assert_string_equal(net_get(&t.n, V, "orders", 1, "p"), "w");
    trio_end(&t);
}

/* Who may write lets nothing go, whatever a peer says. */
static void test_denied__is_ignored_by_who_may_write(void **state)
{
    trio t;
    tako_buf b;
    tako_errbuf e = { "" };
    crdt_dot own;
    uint8_t id[32];

    (void)state;
    trio_begin(&t, 12);
    b = tako_buf_on(&t.n.t.env);
    assert_int_equal(store_own_last(t.n.nodes[W].reader, &own), TAKO_OK);
    own.hlc = 0;
    tako_put_u8(&b, SYNC_MSG_DENIED);
    tako_put_block(&b, tako_slice_str("orders"));
    sync_put_id(&b, net_id(1, id));
    sync_put_dot(&b, &own);
    assert_int_equal(sync_session_recv(t.wr->ends[0].session, t.n.now,
                                       SYNC_CONTROL, tako_buf_slice(&b), &e),
                     TAKO_OK);
    check_as(&t.n, 1, "p", "w");
    assert_int_equal(quarantined(&t.n, W).count, 0);
    b.len--; /* cut, it is an error */
    assert_int_equal(sync_session_recv(t.wr->ends[0].session, t.n.now,
                                       SYNC_CONTROL, tako_buf_slice(&b), &e),
                     TAKO_CORRUPT);
    tako_buf_fini(&b);
    trio_end(&t);
}

/* Every allocation fails once: a session may end, and the next one goes on. */
static void test_denied__survives_every_allocation_failure(void **state)
{
    bool failed = true;

    (void)state;
    for (int64_t at = 0; failed; at += 1 + at / 8) {
        trio t;

        trio_begin(&t, 13);
        net_set(&t.n, R, "orders", 1, "x", "r");
        t.n.t.failed_once = false;
        t.n.t.fail_after = at;
        net_settle(&t.n);
        failed = t.n.t.failed_once;
        t.n.t.fail_after = -1;
        t.n.last_error = TAKO_OK;
        for (size_t i = 0; i < 2; i++) {
            net_link *l = i == 0 ? t.wr : t.rv;

            if (l->up)
                net_disconnect(&t.n, l);
            net_reconnect(&t.n, l);
        }
        net_settle(&t.n);
        check_as(&t.n, 1, "x", "");
        assert_int_equal(quarantined(&t.n, R).count, 1);
        trio_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied__a_change),
        cmocka_unit_test(test_denied__after_an_absence),
        cmocka_unit_test(test_denied__a_deletion),
        cmocka_unit_test(test_denied__a_new_document),
        cmocka_unit_test(test_denied__others_changes_go_through),
        cmocka_unit_test(test_denied__is_not_complete_meanwhile),
        cmocka_unit_test(test_denied__what_is_past_does_not_come_back),
        cmocka_unit_test(test_denied__a_word_from_before_is_not_taken),
        cmocka_unit_test(test_denied__own_writes_from_before_come_back),
        cmocka_unit_test(test_denied__under_former_names),
        cmocka_unit_test(test_denied__again_after_a_crash),
        cmocka_unit_test(test_denied__who_may_not_read_gets_nothing),
        cmocka_unit_test(test_denied__who_may_not_relay_passes_nothing_on),
        cmocka_unit_test(test_denied__graves_are_not_heard),
        cmocka_unit_test(test_denied__is_ignored_by_who_may_write),
        cmocka_unit_test(test_denied__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
