// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <stdio.h>

#include "sync/wire.h"

static void test_apply__transactions_arrive_whole_over_two_hops(void **state)
{
    net n;
    uint64_t seen = 0;

    (void)state;
    net_init(&n, 8, 3);
    net_subscribe_all(&n, "orders");
    net_subscribe_all(&n, "items");
    net_connect(&n, 0, 1);
    net_connect(&n, 1, 2);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "v0", "pad");
    net_insert(&n, 0, "items", 1, "v0", "pad");
    net_commit_now(&n, 0);
    net_settle(&n);
    for (uint32_t i = 0; i < 3000; i++) {
        char v[16], order[64];

        if (test_below(&n.t, 8) == 0) {
            (void)snprintf(v, sizeof v, "v%u", i);
            n.slow_commits = test_below(&n.t, 2) == 0;
            net_begin(&n, 0);
            net_set(&n, 0, "orders", 1, "s", v);
            net_set(&n, 0, "items", 1, "s", v);
            net_commit_now(&n, 0);
        }
        net_step(&n);
        for (size_t at = 1; at < 3; at++) {
            (void)snprintf(order, sizeof order, "%s",
                           net_get(&n, at, "orders", 1, "s"));
            assert_string_equal(order, net_get(&n, at, "items", 1, "s"));
            seen += at == 2 && strcmp(order, "v0") != 0;
        }
    }
    assert_true(seen > 100);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static void test_apply__a_refused_delta_holds_its_cut(void **state)
{
    net n;
    sync_counts c;
    bool held = false;

    (void)state;
    net_init(&n, 9, 3);
    net_subscribe(&n, 0, "orders");
    net_subscribe(&n, 1, "orders");
    net_insert(&n, 2, "orders", 9, "other", "pad");
    net_connect(&n, 0, 1);
    net_insert(&n, 0, "orders", 1, "v0", "pad");
    net_insert(&n, 0, "orders", 2, "v0", "pad");
    net_settle(&n);
    /* Node 2 takes node 1's place behind the live session: it has nothing. */
    {
        store *st = n.nodes[1].st;

        n.nodes[1].st = n.nodes[2].st;
        n.t.wall_ms += 10;
        net_begin(&n, 0);
        net_set(&n, 0, "orders", 1, "s", "v1");
        net_set(&n, 0, "orders", 2, "s", "v1");
        net_insert(&n, 0, "orders", 3, "v1", "pad"); /* nobody refuses this */
        net_commit_now(&n, 0);
        for (int i = 0; i < 50; i++) {
            (void)net_send(&n, &n.links[0], 0);
            (void)net_deliver(&n, &n.links[0], 0, SYNC_LIVE);
            sync_session_counts(n.links[0].ends[1].session, &c);
            held = held || c.held_bytes > 0;
            if (c.held_bytes > 0) { /* nothing of it is here, or told so */
                assert_int_equal(net_live_count(&n, 2), 1);
                assert_true(sync_session_acked(n.links[0].ends[0].session) <
                            store_lsn(n.nodes[0].st));
            }
            (void)net_send(&n, &n.links[0], 1);
            (void)net_deliver(&n, &n.links[0], 1, SYNC_CONTROL);
        }
        n.nodes[1].st = st;
    }
    assert_int_equal(n.last_error, TAKO_OK);
    assert_true(held);
    sync_session_counts(n.links[0].ends[1].session, &c);
    assert_int_equal(c.needs_out, 2);
    assert_int_equal(c.held_bytes, 0);
    assert_string_equal(net_get(&n, 2, "orders", 1, "s"), "v1");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

/* A collection that nobody here has subscribed to. */
static void test_apply__only_what_was_asked_for_is_taken(void **state)
{
    static const uint8_t body[1] = { 0xa0 };
    net n;
    sync_names names;
    tako_buf out, scratch, meta;
    sync_writer w = { &names, &out, &scratch, 0, false };
    sync_doc_name name = { 5, tako_slice_str("secret"), 1, TAKO_SLICE_NONE };
    crdt_dot dot = { .hlc = CRDT_HLC_OF_MS(1000) };
    tako_errbuf e = { "" };
    uint8_t id[32];
    uint32_t coll;

    (void)state;
    net_init(&n, 12, 2);
    net_subscribe(&n, 0, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    out = scratch = meta = tako_buf_on(&n.t.env);
    sync_names_init(&names, &n.t.env);
    name.id = net_id(1, id);
    assert_int_equal(crdt_fresh_meta(dot, tako_slice_of(body, 1), &meta),
                     TAKO_OK);
    tako_put_u8(&out, SYNC_MSG_CUT);
    tako_put_varint(&out, 1);
    assert_int_equal(sync_put_state(&w, &name, true, tako_buf_slice(&meta),
                                    tako_slice_of(body, 1)),
                     TAKO_OK);
    assert_int_equal(sync_session_recv(n.links[0].ends[0].session, n.now,
                                       SYNC_LIVE, tako_buf_slice(&out), &e),
                     TAKO_DENIED);
    assert_int_equal(store_coll_find(store_writer(n.nodes[0].st),
                                     tako_slice_str("secret"), &coll),
                     TAKO_NOTFOUND);
    sync_names_fini(&names);
    tako_buf_fini(&out);
    tako_buf_fini(&scratch);
    tako_buf_fini(&meta);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply__transactions_arrive_whole_over_two_hops),
        cmocka_unit_test(test_apply__a_refused_delta_holds_its_cut),
        cmocka_unit_test(test_apply__only_what_was_asked_for_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
