// SPDX-License-Identifier: Apache-2.0
/* The schedules that SYNC.md section 1 tells, with sessions and real stores.
 * Node 0 is A, whose file goes back; node 1 is B; node 2 a third one. */
#include "sync/support_net.h"

static bool same_actor(crdt_actor a, crdt_actor b)
{
    return crdt_actor_cmp(a, b) == 0;
}

static crdt_actor actor(net *n, size_t node)
{
    return store_actor(n->nodes[node].st);
}

/* A and B have document 1; the links are down. */
static void begin(net *n, uint64_t seed, size_t nodes)
{
    net_init(n, seed, nodes);
    net_subscribe_all(n, "orders");
    net_insert(n, 0, "orders", 1, "open", "pad");
    net_insert(n, 0, "orders", 2, "open", "pad");
    net_connect(n, 0, 1);
    net_settle(n);
    net_disconnect(n, &n->links[0]);
}

static void meet(net *n, size_t link)
{
    net_reconnect(n, &n->links[link]);
    net_settle(n);
    assert_int_equal(n->last_error, TAKO_OK);
    assert_true(n->links[link].up);
}

/* A sends f=1 to B, and then its file goes back to before. */
static void send_and_lose(net *n)
{
    net_save(n, 0, "img");
    net_set(n, 0, "orders", 1, "f", "sent");
    meet(n, 0);
    assert_string_equal(net_get(n, 1, "orders", 1, "f"), "sent");
    net_restore(n, 0, "img");
    assert_string_equal(net_get(n, 0, "orders", 1, "f"), "");
}

static void check_both_have(net *n, uint64_t id, const char *field,
                            const char *value)
{
    assert_string_equal(net_get(n, 0, "orders", id, field), value);
    assert_string_equal(net_get(n, 1, "orders", id, field), value);
}

/* The power fails; the unsynced tail, sent already, is gone; and A writes on
 * before it meets B. The mark was set before the first send. */
static void test_renew__power_failure_with_sent_commits(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 1, 2);
    a = actor(&n, 0);
    meet(&n, 0); /* the mark is synced with the first send */
    net_set(&n, 0, "orders", 2, "f", "first");
    net_settle(&n);
    net_save(&n, 0, "img"); /* so much is on the disk */
    net_set(&n, 0, "orders", 1, "f", "sent");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "f"), "sent");
    n.nodes[0].boot++;
    net_restore(&n, 0, "img");
    assert_false(same_actor(a, actor(&n, 0)));
    net_set(&n, 0, "orders", 1, "g", "since");
    meet(&n, 0);
    check_both_have(&n, 1, "f", "sent");
    check_both_have(&n, 1, "g", "since");
    assert_int_equal(n.nodes[0].events[SYNC_EVENT_RENEWED], 0); /* long ago */
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* Nothing on the machine tells that it was rolled back: no boot, no mark. */
static void test_renew__vm_rollback_before_any_write(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 2, 2);
    a = actor(&n, 0);
    send_and_lose(&n);
    assert_true(same_actor(a, actor(&n, 0)));
    meet(&n, 0);
    assert_false(same_actor(a, actor(&n, 0)));
    assert_int_equal(n.nodes[0].events[SYNC_EVENT_RENEWED], 1);
    net_set(&n, 0, "orders", 1, "g", "since");
    net_settle(&n);
    check_both_have(&n, 1, "f", "sent");
    check_both_have(&n, 1, "g", "since");
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* A device that only sends hears of what it lost in the handshake or never. */
static void test_renew__vm_rollback_of_a_node_that_only_sends(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 12, 2);
    a = actor(&n, 0);
    send_and_lose(&n);
    n.nodes[0].sub_count = 0;
    meet(&n, 0);
    assert_false(same_actor(a, actor(&n, 0)));
    net_set(&n, 0, "orders", 1, "g", "since");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "f"), "sent");
    assert_string_equal(net_get(&n, 1, "orders", 1, "g"), "since");
    net_fini(&n);
}

/* The writes of after the rollback would claim to have seen the lost ones. */
static void test_renew__vm_rollback_and_writes_before_the_session(void **state)
{
    net n;
    crdt_actor a;
    sync_counts c;

    (void)state;
    begin(&n, 3, 2);
    a = actor(&n, 0);
    send_and_lose(&n);
    net_set(&n, 0, "orders", 1, "g", "since");
    net_insert(&n, 0, "orders", 5, "new", "pad");
    net_delete(&n, 0, "orders", 2);
    assert_true(same_actor(a, actor(&n, 0)));
    meet(&n, 0);
    assert_false(same_actor(a, actor(&n, 0)));
    assert_int_equal(n.nodes[0].events[SYNC_EVENT_RENEWED], 1);
    check_both_have(&n, 1, "f", "sent");
    check_both_have(&n, 1, "g", "since");
    check_both_have(&n, 5, "s", "new");
    check_both_have(&n, 2, "s", "x");
    net_check_equal(&n, "orders");
    sync_session_counts(n.links[0].ends[1].session, &c);
    assert_true(same_actor(c.peer_actor, actor(&n, 0))); /* B was told */

    /* once: the next sessions find nothing wrong */
    a = actor(&n, 0);
    for (int i = 0; i < 3; i++) {
        net_disconnect(&n, &n.links[0]);
        net_set(&n, 0, "orders", 1, "h", i % 2 == 0 ? "x" : "y");
        meet(&n, 0);
    }
    assert_true(same_actor(a, actor(&n, 0)));
    assert_int_equal(n.nodes[0].events[SYNC_EVENT_RENEWED], 1);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* The same, but what was lost comes back through a third node that was
 * connected all the while and brings it in the middle of a session. */
static void test_renew__lost_writes_return_by_a_third_node(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 4, 3);
    a = actor(&n, 0);
    net_connect(&n, 0, 2);
    net_settle(&n);
    net_disconnect(&n, &n.links[1]);
    send_and_lose(&n);
    meet(&n, 1); /* C knows of nothing */
    net_set(&n, 0, "orders", 5, "s", "x");
    assert_true(same_actor(a, actor(&n, 0)));
    net_connect(&n, 1, 2); /* and hears it from B */
    net_settle(&n);
    assert_false(same_actor(a, actor(&n, 0)));
    assert_true(n.links[1].up);
    assert_int_equal(n.last_error, TAKO_OK);
    net_set(&n, 0, "orders", 1, "g", "since");
    net_settle(&n);
    check_both_have(&n, 1, "f", "sent");
    check_both_have(&n, 1, "g", "since");
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* A file and its running copy, both connected to B, both writing. */
static void test_renew__a_file_and_its_running_copy(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 5, 3);
    a = actor(&n, 0);
    net_connect(&n, 1, 2);
    net_settle(&n);
    net_disconnect(&n, &n.links[1]);
    net_save(&n, 0, "img");
    net_restore(&n, 2, "img"); /* node 2 is now the copy */
    assert_true(same_actor(a, actor(&n, 2)));
    meet(&n, 0);
    net_set(&n, 0, "orders", 1, "f", "original");
    net_settle(&n);
    net_set(&n, 2, "orders", 1, "g", "copy"); /* not connected yet */
    net_set(&n, 2, "orders", 2, "g", "copy");
    meet(&n, 1);
    assert_true(same_actor(a, actor(&n, 0)));
    assert_false(same_actor(a, actor(&n, 2)));
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(net_get(&n, i, "orders", 1, "f"), "original");
        assert_string_equal(net_get(&n, i, "orders", 1, "g"), "copy");
        assert_string_equal(net_get(&n, i, "orders", 2, "g"), "copy");
    }
    net_set(&n, 0, "orders", 1, "h", "on");
    net_set(&n, 2, "orders", 1, "i", "on");
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 1, "h"), "on");
    assert_string_equal(net_get(&n, 1, "orders", 1, "i"), "on");
    assert_true(same_actor(a, actor(&n, 0)));
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* The two meet each other, having written nothing since, or both. */
static void test_renew__a_file_meets_its_copy(void **state)
{
    (void)state;
    for (int wrote = 0; wrote < 2; wrote++) {
        net n;

        begin(&n, 6 + (uint64_t)wrote, 3);
        net_save(&n, 0, "img");
        net_restore(&n, 2, "img");
        if (wrote) {
            net_set(&n, 0, "orders", 1, "f", "original");
            net_set(&n, 2, "orders", 2, "g", "copy");
        }
        net_connect(&n, 0, 2);
        net_settle(&n);
        assert_false(same_actor(actor(&n, 0), actor(&n, 2)));
        net_set(&n, 0, "orders", 2, "h", "a");
        net_set(&n, 2, "orders", 2, "i", "b");
        net_settle(&n);
        for (size_t i = 0; i < 3; i += 2) {
            assert_string_equal(net_get(&n, i, "orders", 2, "h"), "a");
            assert_string_equal(net_get(&n, i, "orders", 2, "i"), "b");
            assert_string_equal(net_get(&n, i, "orders", 1, "f"),
                                wrote ? "original" : "");
        }
        meet(&n, 0);
        net_check_equal(&n, "orders");
        assert_int_equal(n.last_error, TAKO_OK);
        net_fini(&n);
    }
}

/* An unclean end without loss is no rollback: actors are not spent. */
static void test_renew__a_crash_that_loses_nothing_keeps_the_actor(void **state)
{
    net n;
    crdt_actor a;

    (void)state;
    begin(&n, 8, 2);
    a = actor(&n, 0);
    for (uint64_t i = 0; i < 5; i++) {
        meet(&n, 0);
        net_set(&n, 0, "orders", 1, "f", i % 2 == 0 ? "x" : "y");
        net_settle(&n);
        net_save(&n, 0, "img");
        net_restore(&n, 0, "img");
        net_set(&n, 0, "orders", 1, "g", i % 2 == 0 ? "x" : "y");
    }
    meet(&n, 0);
    assert_true(same_actor(a, actor(&n, 0)));
    assert_int_equal(n.nodes[0].events[SYNC_EVENT_RENEWED], 0);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* No document may come before the peer has said what it knows. */
static void test_renew__documents_wait_for_known(void **state)
{
    static const uint8_t cut[] = { 10, 1 };
    net n;
    net_link *l;
    sync_counts c;
    tako_errbuf e = { "" };

    (void)state;
    begin(&n, 9, 2);
    net_set(&n, 0, "orders", 1, "f", "more");
    l = &n.links[0];
    net_reconnect(&n, l);
    while (net_send(&n, l, 1)) /* HELLO and INTEREST, and no KNOWN */
        ;
    while (net_deliver(&n, l, 1, SYNC_CONTROL))
        ;
    while (net_send(&n, l, 0))
        ;
    net_set(&n, 0, "orders", 2, "f", "live");
    while (net_send(&n, l, 0))
        ;
    sync_session_counts(l->ends[0].session, &c);
    assert_int_equal(c.dirty, 1);
    assert_false(c.greeted);
    assert_int_equal(c.documents_out, 0);
    assert_int_equal(sync_session_recv(l->ends[0].session, n.now, SYNC_LIVE,
                                       tako_slice_of(cut, sizeof cut), &e),
                     TAKO_CORRUPT);
    assert_non_null(strstr(e.text, "KNOWN"));
    net_disconnect(&n, l);
    meet(&n, 0);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* A second KNOWN, and malformed ones. */
static void test_renew__malformed_messages_end_the_session(void **state)
{
    static const uint8_t messages[][4] = {
        { 15, 1 }, { 15 }, { 15, 1, 1 }, { 16, 1, 2 }
    };
    static const size_t len[] = { 2, 1, 3, 3 };
    net n;
    tako_errbuf e = { "" };

    (void)state;
    begin(&n, 10, 2);
    for (size_t i = 0; i < 4; i++) {
        meet(&n, 0);
        assert_int_equal(
            sync_session_recv(n.links[0].ends[0].session, n.now, SYNC_CONTROL,
                              tako_slice_of(messages[i], len[i]), &e),
            TAKO_CORRUPT);
        net_disconnect(&n, &n.links[0]);
    }
    net_fini(&n);
}

/* Each allocation of finding out refused once: the session ends, and the next
 * one does it. */
static void test_renew__survives_every_allocation_failure(void **state)
{
    uint32_t failures = 0;

    (void)state;
    for (long nth = 0;; nth++) {
        net n;
        bool failed_once;

        begin(&n, 11, 2);
        send_and_lose(&n);
        net_insert(&n, 0, "orders", 5, "new", "pad");
        n.t.failed_once = false;
        n.t.fail_after = nth * 3;
        net_reconnect(&n, &n.links[0]);
        net_settle(&n);
        n.t.fail_after = -1;
        failed_once = n.t.failed_once;
        n.last_error = TAKO_OK;
        if (n.links[0].up)
            net_disconnect(&n, &n.links[0]);
        meet(&n, 0);
        net_set(&n, 0, "orders", 1, "g", "since");
        net_settle(&n);
        check_both_have(&n, 1, "f", "sent");
        check_both_have(&n, 1, "g", "since");
        check_both_have(&n, 5, "s", "new");
        net_check_equal(&n, "orders");
        net_fini(&n);
        if (!failed_once)
            break;
        failures++;
        assert_true(nth < 2000);
    }
    print_message("%u refused allocations\n", failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renew__power_failure_with_sent_commits),
        cmocka_unit_test(test_renew__vm_rollback_before_any_write),
        cmocka_unit_test(test_renew__vm_rollback_of_a_node_that_only_sends),
        cmocka_unit_test(test_renew__vm_rollback_and_writes_before_the_session),
        cmocka_unit_test(test_renew__lost_writes_return_by_a_third_node),
        cmocka_unit_test(test_renew__a_file_and_its_running_copy),
        cmocka_unit_test(test_renew__a_file_meets_its_copy),
        cmocka_unit_test(
            test_renew__a_crash_that_loses_nothing_keeps_the_actor),
        cmocka_unit_test(test_renew__documents_wait_for_known),
        cmocka_unit_test(test_renew__malformed_messages_end_the_session),
        cmocka_unit_test(test_renew__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
