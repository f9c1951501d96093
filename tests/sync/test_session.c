// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include "sync/state.h"

static void test_session__live_changes_arrive_both_ways(void **state)
{
    net n;

    (void)state;
    net_init(&n, 2, 2);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    net_settle(&n);
    for (uint64_t i = 0; i < 20; i++) {
        net_insert(&n, i % 2, "orders", i, "open", "pad");
        net_settle(&n);
        net_set(&n, (i + 1) % 2, "orders", i, "s", "done");
        net_settle(&n);
        assert_string_equal(net_get(&n, i % 2, "orders", i, "s"), "done");
    }
    net_delete(&n, 0, "orders", 7);
    net_settle(&n);
    assert_string_equal(net_get(&n, 1, "orders", 7, "s"), "x");
    assert_int_equal(n.last_error, TAKO_OK);
    net_check_equal(&n, "orders");
    assert_true(sync_session_acked(n.links[0].ends[0].session) ==
                store_lsn(n.nodes[0].st));
    net_fini(&n);
}

/* A receiver that lacks the base asks, holds the cut, and applies it with the
 * answer: simulated by a peer whose file went back in time. */

static void test_session__refuses_what_it_cannot_serve(void **state)
{
    net n;
    sync_subscription_state sub;
    tako_errbuf e = { "" };

    (void)state;
    net_init(&n, 10, 2);
    net_connect(&n, 0, 1);
    assert_int_equal(sync_session_subscribe(n.links[0].ends[0].session, 3,
                                            tako_slice_str("?bad"), &e),
                     TAKO_INVALID);
    net_subscribe(&n, 0, "orders");
    assert_int_equal(sync_session_subscribe(n.links[0].ends[0].session, 0,
                                            tako_slice_str("orders"), &e),
                     TAKO_EXISTS);
    net_settle(&n);
    assert_true(
        sync_session_subscription(n.links[0].ends[0].session, 0, n.now, &sub));
    assert_true(sub.in_sync);
    assert_int_equal(sync_session_unsubscribe(n.links[0].ends[0].session, 0),
                     TAKO_OK);
    assert_int_equal(sync_session_unsubscribe(n.links[0].ends[0].session, 0),
                     TAKO_NOTFOUND);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static tako_err one_message(net *n, sync_lane lane, const void *bytes,
                            size_t len, tako_errbuf *e)
{
    return sync_session_recv(n->links[0].ends[0].session, n->now, lane,
                             tako_slice_of(bytes, len), e);
}

static void test_session__versions_and_unknown_messages(void **state)
{
    static const uint8_t other_major[] = { 1, 9, 0 };
    static const uint8_t optional[] = { 0x90, 1, 2 };
    static const uint8_t mandatory[] = { 0x70 };
    tako_errbuf e = { "" };
    tako_buf bye;
    net n;

    (void)state;
    net_init(&n, 11, 2);
    net_connect(&n, 0, 1);
    assert_int_equal(one_message(&n, SYNC_CONTROL, other_major, 3, &e),
                     TAKO_UNSUPPORTED);
    assert_non_null(strstr(e.text, "version 9"));
    assert_int_equal(one_message(&n, SYNC_CONTROL, optional, 3, &e),
                     TAKO_CLOSED);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    assert_int_equal(one_message(&n, SYNC_CONTROL, optional, 3, &e), TAKO_OK);
    assert_int_equal(one_message(&n, SYNC_CONTROL, mandatory, 1, &e),
                     TAKO_UNSUPPORTED);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    bye = tako_buf_on(&n.t.env);
    sync_bye(&bye, "for a test");
    assert_int_equal(one_message(&n, SYNC_CONTROL, bye.ptr, bye.len, &e),
                     TAKO_CLOSED);
    assert_non_null(strstr(e.text, "for a test"));
    tako_buf_fini(&bye);
    net_fini(&n);
}

/* Another minor version, features that are not known here, and fields after
 * the known ones: nothing of it disturbs. A major version does. */
static void test_session__a_newer_minor_version_is_served(void **state)
{
    static const struct {
        uint8_t major, minor, features;
        const char *more;
        tako_err gives;
    } rows[] = {
        { 1, 0, 0, "", TAKO_OK },
        { 1, 7, 0, "", TAKO_OK },
        { 1, 7, 0x55, "fields of minor version 7", TAKO_OK },
        { 2, 0, 0, "", TAKO_UNSUPPORTED },
        { 0, 9, 0, "", TAKO_UNSUPPORTED },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_errbuf e = { "" };
        sync_lane lane;
        tako_buf hello;
        net n;

        net_init(&n, 11, 2);
        net_subscribe_all(&n, "orders");
        net_insert(&n, 1, "orders", 3, "open", "pad");
        net_connect(&n, 0, 1);
        hello = tako_buf_on(&n.t.env);
        assert_int_equal(sync_session_send(n.links[0].ends[1].session, n.now,
                                           SYNC_LANES_ALL, &lane, &hello, &e),
                         TAKO_OK);
        hello.ptr[1] = rows[i].major;
        hello.ptr[2] = rows[i].minor;
        hello.ptr[hello.len - 2] = rows[i].features;
        tako_put_str(&hello, rows[i].more);
        assert_int_equal(one_message(&n, lane, hello.ptr, hello.len, &e),
                         rows[i].gives);
        tako_buf_fini(&hello);
        if (rows[i].gives == TAKO_OK) {
            net_settle(&n);
            assert_int_equal(n.last_error, TAKO_OK);
            net_check_equal(&n, "orders");
        } else {
            net_disconnect(&n, &n.links[0]);
        }
        net_fini(&n);
    }
}

/* As HELLO, INTEREST and CAUGHT_UP may: what follows them is of a newer minor
 * version. What follows the body of any other message is malformed. */
static void test_session__three_messages_may_grow_at_their_end(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        sync_lane lane;
        bool may_grow;
    } rows[] = {
        { "\x02\1\0\1o\0\0\0\0\0\0\0\0\0\0!", 16, SYNC_CONTROL,
          true },                                /* INTEREST */
        { "\x03\0!", 3, SYNC_CONTROL, false },   /* DROP */
        { "\x04\0\0!", 4, SYNC_CONTROL, false }, /* REFUSED */
        { "\x05\7!", 3, SYNC_CATCHUP, false },   /* LISTS */
        { "\x06\7\1!", 4, SYNC_CATCHUP, false }, /* LIST */
        { "\x08\7\1!", 4, SYNC_CATCHUP, true },  /* CAUGHT_UP */
        { "\x09\0!", 3, SYNC_CONTROL, false },   /* SERVED */
        { "\x0b\0!", 3, SYNC_CONTROL, false },   /* ACK */
        { "\x0c\0!", 3, SYNC_CONTROL, false },   /* NEEDS */
        { "\x0d\0!", 3, SYNC_CONTROL, false },   /* RESYNC */
        { "\x0e\0!", 3, SYNC_CONTROL, false },   /* BYE */
        { "\x0f\0!", 3, SYNC_CONTROL, false },   /* KNOWN */
        { "\x11\0!", 3, SYNC_CONTROL, false },   /* CLOCK */
        { "\x15\7!", 3, SYNC_CATCHUP, false },   /* FED */
        { "\x17\7\1!", 4, SYNC_CONTROL, false }, /* MORE */
    };

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof rows[0]); i++) {
        bool longer = i % 2 == 1;
        tako_errbuf e = { "" };
        tako_err err;
        net n;

        net_init(&n, 11, 2);
        net_connect(&n, 0, 1);
        net_settle(&n);
        n.links[0].ends[0].session->cleared = false; /* for KNOWN */
        err = one_message(&n, rows[i / 2].lane, rows[i / 2].bytes,
                          rows[i / 2].len - (longer ? 0 : 1), &e);
        if (longer && !rows[i / 2].may_grow)
            assert_int_equal(err, TAKO_CORRUPT);
        else
            assert_true(err == TAKO_OK || err == TAKO_CLOSED);
        net_disconnect(&n, &n.links[0]);
        net_fini(&n);
    }
}

/* Messages of a real session with bytes changed: any answer, no crash. */
static void test_session__damaged_messages_end_it_cleanly(void **state)
{
    uint32_t ended = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        net n;

        net_init(&n, seed, 2);
        net_subscribe_all(&n, "orders");
        net_connect(&n, 0, 1);
        for (uint64_t i = 0; i < 8; i++)
            net_insert(&n, i % 2, "orders", i, "open", "pad");
        for (int i = 0; i < 300 && n.links[0].up; i++) {
            net_link *l = &n.links[0];
            net_message *m =
                l->ends[test_below(&n.t, 2)].out[test_below(&n.t, 3)].first;

            if (m != NULL && m->len > 0 && test_below(&n.t, 6) == 0)
                m->bytes[test_below(&n.t, m->len)] ^=
                    (uint8_t)(1u << test_below(&n.t, 8));
            if (test_below(&n.t, 20) == 0)
                net_set(&n, test_below(&n.t, 2), "orders", test_below(&n.t, 8),
                        "s", "done");
            net_step(&n);
        }
        ended += !n.links[0].up;
        net_fini(&n);
    }
    assert_true(ended > 20);
}

/* Every allocation refused once: the session ends or goes on, nothing leaks,
 * and a new session makes both sides equal. */
static void test_session__survives_every_allocation_failure(void **state)
{
    net n;
    uint32_t failures = 0;

    (void)state;
    net_init(&n, 12, 2);
    net_subscribe_all(&n, "orders");
    for (uint64_t i = 0; i < 6; i++)
        net_insert(&n, i % 2, "orders", i, "open", "pad");
    net_connect(&n, 0, 1);
    net_settle(&n);
    for (long nth = 0;; nth++) {
        if (n.links[0].up)
            net_disconnect(&n, &n.links[0]);
        for (size_t i = 0; i < 2; i++)
            net_set(&n, i, "orders", (uint64_t)nth % 6, "s",
                    nth % 2 == 0 ? "open" : "done");
        n.t.failed_once = false;
        n.t.fail_after = nth;
        net_reconnect(&n, &n.links[0]);
        net_settle(&n);
        n.t.fail_after = -1;
        if (!n.t.failed_once)
            break;
        failures++;
        assert_true(nth < 20000);
        /* In sync again, or what is to be caught up with grows with each round
         * and allocates more than the round before. */
        if (!n.links[0].up)
            net_reconnect(&n, &n.links[0]);
        net_settle(&n);
        assert_true(n.links[0].up);
    }
    print_message("%u refused allocations\n", failures);
    net_settle(&n);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__live_changes_arrive_both_ways),
        cmocka_unit_test(test_session__refuses_what_it_cannot_serve),
        cmocka_unit_test(test_session__versions_and_unknown_messages),
        cmocka_unit_test(test_session__a_newer_minor_version_is_served),
        cmocka_unit_test(test_session__three_messages_may_grow_at_their_end),
        cmocka_unit_test(test_session__damaged_messages_end_it_cleanly),
        cmocka_unit_test(test_session__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
