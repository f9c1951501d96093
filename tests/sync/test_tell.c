// SPDX-License-Identifier: Apache-2.0
/* What is said of documents that are known to differ: pushed, told, offered. */
#include "sync/support_net.h"

#include <stdio.h>

#include "sync/wire.h"

#define MANY 2000u

/* Two nodes that have the same documents, and remember no checkpoint. */
static void two(net *n, uint64_t seed, uint64_t docs)
{
    net_init(n, seed, 2);
    n->forgetful = true;
    n->room = 1u << 20;
    net_subscribe_all(n, "orders");
    net_begin(n, 0);
    for (uint64_t i = 0; i < docs; i++)
        net_insert(n, 0, "orders", i, "open", "pad");
    net_commit_now(n, 0);
    net_connect(n, 0, 1);
    net_settle(n);
    assert_int_equal(n->last_error, TAKO_OK);
    net_disconnect(n, &n->links[0]);
}

static unsigned meet(net *n)
{
    unsigned halves = 0;

    memset(n->kinds, 0, sizeof n->kinds);
    net_reconnect(n, &n->links[0]);
    while (net_half_trip(n, &n->links[0]))
        halves++;
    assert_int_equal(n->last_error, TAKO_OK);
    net_check_equal(n, "orders");
    return halves;
}

static sync_counts both(net *n)
{
    sync_counts a, b;

    sync_session_counts(n->links[0].ends[0].session, &a);
    sync_session_counts(n->links[0].ends[1].session, &b);
    a.documents_out += b.documents_out;
    a.deltas_out += b.deltas_out;
    a.needs_in += b.needs_in;
    return a;
}

/* A field that was written over and over leaves no trace of the state that the
 * other side has: the delta's base is less, and does. */
static void test_tell__deltas_need_no_question_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        net n;
        sync_counts c;

        two(&n, seed, MANY);
        for (uint64_t i = 0; i < 40; i++)
            net_set(&n, i % 2, "orders", i, "s", "first");
        (void)meet(&n);
        net_disconnect(&n, &n.links[0]);
        n.now += 5;
        for (uint64_t i = 0; i < 120; i++)
            net_set(&n, i / 2 % 2, "orders", i % 40, "s",
                    i < 40   ? "second"
                    : i < 80 ? "third"
                             : "last");
        assert_in_range(meet(&n), 1, 5);
        c = both(&n);
        assert_int_equal(c.documents_out, 40);
        assert_int_equal(c.deltas_out, 40);
        assert_int_equal(c.needs_in, 0);
        assert_string_equal(net_get(&n, 0, "orders", 7, "s"), "last");
        net_fini(&n);
    }
}

/* One side changed all: whoever leads, two round trips and no second
 * question. */
static void test_tell__the_later_state_goes_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        net n;
        sync_counts c;
        unsigned halves;

        two(&n, seed, MANY);
        n.now += 100;
        for (uint64_t i = 0; i < 100; i++)
            net_set(&n, seed % 2, "orders", i * 3, i % 3 == 0 ? "s" : "x",
                    "new");
        halves = meet(&n);
        c = both(&n);
        assert_int_equal(c.documents_out, 100);
        assert_int_equal(c.deltas_out, 100);
        assert_int_equal(c.needs_in, 0);
        assert_in_range(halves, 1, 5);
        net_fini(&n);
    }
}

/* What one lacks may have died there: then that comes back. */
static void test_tell__what_died_is_not_brought_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        net n;

        two(&n, seed, MANY);
        for (uint64_t i = 0; i < 30; i++)
            net_delete(&n, i % 2, "orders", i);
        for (uint64_t i = 30; i < 40; i++) {
            net_delete(&n, i % 2, "orders", i);
            net_set(&n, 1 - i % 2, "orders", i, "s", "late");
        }
        (void)meet(&n);
        for (uint64_t i = 0; i < 40; i++)
            for (size_t k = 0; k < 2; k++)
                assert_string_equal(net_get(&n, k, "orders", i, "s"), "x");
        net_fini(&n);
    }
}

/* Times go round after 34 years: what was changed 20 years later seems to be the
 * older state, and the older one is pushed. */
static void test_tell__a_wrong_guess_is_put_right(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        net n;

        two(&n, seed, MANY);
        n.t.wall_ms += UINT64_C(20) * 365 * 24 * 3600 * 1000;
        for (uint64_t i = 0; i < 10; i++)
            net_set(&n, 0, "orders", i, "s", "late");
        (void)meet(&n);
        for (uint64_t i = 0; i < 10; i++)
            assert_string_equal(net_get(&n, 1, "orders", i, "s"), "late");
        net_fini(&n);
    }
}

/* More than a message of documents, and of entries. */
static void test_tell__many_go_in_parts(void **state)
{
    net n;
    sync_counts c;

    (void)state;
    two(&n, 3, 30000);
    for (size_t k = 0; k < 2; k++) {
        net_begin(&n, k);
        for (uint64_t i = 0; i < 2500; i++)
            net_insert(&n, k, "orders", 100000 + 2 * i + k, "open", "pad");
        for (uint64_t i = 0; i < 300; i++)
            net_set(&n, k, "orders", 2 * i + k, "s", "done");
        net_commit_now(&n, k);
    }
    (void)meet(&n);
    c = both(&n);
    assert_int_equal(c.documents_out, 5600);
    assert_int_equal(c.needs_in, 0);
    assert_int_equal(n.kinds[SYNC_MSG_LIST], 0);
    assert_true(n.kinds[SYNC_MSG_SYMBOLS] / SYNC_SYMBOL_BYTES >
                TAKO_SYNC_SYMBOLS_MAX);
    print_message("5600 of 30000 differ: %d bytes of symbols\n",
                  (int)n.kinds[SYNC_MSG_SYMBOLS]);
    net_fini(&n);
}

/* Cut, or asked anew, or dropped, at any moment: all ends well. */
static void test_tell__offers_may_come_to_nothing(void **state)
{
    uint64_t first = test_seed(1);

    (void)state;
    for (uint64_t seed = first; seed < first + 40; seed++) {
        net n;
        sync_subscription_state sub;

        two(&n, seed, 600);
        n.room = 4096;
        n.slow_commits = seed % 2 == 0;
        for (uint64_t i = 0; i < 60; i++) {
            net_set(&n, i % 2, "orders", i, "s", "new");
            net_insert(&n, i % 2, "orders", 1000 + i, "open", "pad");
            if (i % 10 == 0)
                net_delete(&n, i % 2, "orders", 100 + i);
        }
        net_reconnect(&n, &n.links[0]);
        for (uint64_t k = test_below(&n.t, 120); k > 0; k--)
            net_step(&n);
        if (seed % 3 == 0)
            sync_session_start_over(n.links[0].ends[seed % 2].session);
        if (seed % 3 == 1)
            net_set(&n, seed % 2, "orders", test_below(&n.t, 60), "s", "last");
        net_settle(&n);
        if (n.last_error != TAKO_OK)
            fail_msg("seed %d: %s", (int)seed, n.why.text);
        for (int k = 0; k < 2; k++) {
            assert_true(sync_session_subscription(n.links[0].ends[k].session, 0,
                                                  n.now, &sub));
            assert_true(sub.in_sync);
        }
        net_check_equal(&n, "orders");
        net_fini(&n);
    }
}

/* A forged event, or a bug: one dot, and another value under it. */
static void forge(net *n, size_t node, uint64_t id, const char *status)
{
    sqlite3 *db = store_conn_db(store_writer(n->nodes[node].st));
    tako_buf body = tako_buf_on(&n->t.env);
    sqlite3_stmt *stmt;
    uint8_t bytes[32], version[16];
    uint32_t coll;
    store_row row;
    char sql[80];

    assert_int_equal(store_coll_find(store_writer(n->nodes[node].st),
                                     tako_slice_str("orders"), &coll),
                     TAKO_OK);
    assert_int_equal(store_get(store_writer(n->nodes[node].st), coll,
                               net_id(id, bytes), &row),
                     TAKO_OK);
    cbor_put_map(&body, 1);
    cbor_put_text(&body, tako_slice_str("s"));
    cbor_put_text(&body, tako_slice_str(status));
    crdt_version(row.meta, tako_buf_slice(&body), version);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE c%u SET body=?1,version=?2 WHERE row=%lld", coll,
                   (long long)row.row);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    (void)sqlite3_bind_blob(stmt, 1, body.ptr, (int)body.len, SQLITE_STATIC);
    (void)sqlite3_bind_blob(stmt, 2, version, 16, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    (void)sqlite3_finalize(stmt);
    tako_buf_fini(&body);
    sync_tables_start_over(n->nodes[node].tables); /* nobody told them */
}

/* Equal contexts and other bytes, which no delta would tell: whole states are
 * exchanged and merged, once, and it is reported. */
static void test_tell__equal_contexts_and_other_states(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) { /* by symbols, or lists */
        net n;

        two(&n, seed, seed % 2 == 0 ? 20 : MANY);
        forge(&n, seed / 2 % 2, 5, seed / 4 % 2 == 0 ? "aaaa" : "zzzz");
        assert_in_range(meet(&n), 1, 9);
        assert_true(n.nodes[0].events[SYNC_EVENT_FORGED] +
                        n.nodes[1].events[SYNC_EVENT_FORGED] >
                    0);
        assert_string_equal(net_get(&n, 0, "orders", 5, "s"),
                            seed / 4 % 2 == 0 ? "open" : "zzzz");
        net_fini(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tell__deltas_need_no_question_before),
        cmocka_unit_test(test_tell__the_later_state_goes_at_once),
        cmocka_unit_test(test_tell__what_died_is_not_brought_back),
        cmocka_unit_test(test_tell__a_wrong_guess_is_put_right),
        cmocka_unit_test(test_tell__many_go_in_parts),
        cmocka_unit_test(test_tell__offers_may_come_to_nothing),
        cmocka_unit_test(test_tell__equal_contexts_and_other_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
