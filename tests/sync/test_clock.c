// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include "sync/state.h"

#define HOUR UINT64_C(3600000)

static uint64_t told(const net *n)
{
    return n->kinds[SYNC_MSG_CLOCK];
}

static void later(net *n, uint64_t ms, int64_t set)
{
    n->t.mono_ms += ms;
    n->t.wall_ms += ms + (uint64_t)set;
    n->now += ms;
    net_settle(n);
}

static void begin(net *n, uint64_t seed)
{
    net_init(n, seed, 2);
    net_connect(n, 0, 1);
    net_settle(n);
}

/* A clock that goes as it should is told by HELLO alone, until the other side
 * would forget it. */
static void test_clock__is_told_once(void **state)
{
    net n;

    (void)state;
    begin(&n, 1);
    for (unsigned i = 0; i < 11; i++)
        later(&n, HOUR, i % 2 == 0 ? 20000 : -20000);
    assert_int_equal(told(&n), 0);
    later(&n, HOUR, 0);
    assert_true(told(&n) > 0);
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

static void test_clock__is_told_again_when_it_was_set(void **state)
{
    uint64_t before;
    net n;

    (void)state;
    begin(&n, 2);
    later(&n, 2 * TAKO_CLOCK_MOVED_MS_MIN, (int64_t)HOUR);
    before = told(&n);
    assert_true(before > 0);
    later(&n, 2 * TAKO_CLOCK_MOVED_MS_MIN, 0);
    assert_int_equal(told(&n), before);
    later(&n, 2 * TAKO_CLOCK_MOVED_MS_MIN, -(int64_t)HOUR);
    assert_true(told(&n) > before);
    before = told(&n);
    later(&n, TAKO_CLOCK_MOVED_MS_MIN / 2, (int64_t)HOUR); /* so often only */
    assert_int_equal(told(&n), before);
    later(&n, TAKO_CLOCK_MOVED_MS_MIN, 0);
    assert_true(told(&n) > before);
    net_fini(&n);
}

typedef struct heard {
    sync_host host;
    uint64_t wall_ms;
    unsigned count;
} heard;

static heard last;

static void hear(void *ctx, uint64_t wall_ms)
{
    (void)ctx;
    last.wall_ms = wall_ms;
    last.count++;
}

/* HELLO and CLOCK come to the host as they are; what they say of a year ahead
 * is shown. */
static void test_clock__the_host_hears_it(void **state)
{
    uint8_t message[11] = { SYNC_MSG_CLOCK };
    sync_session *s;
    sync_counts c;
    tako_buf b;
    net n;

    (void)state;
    begin(&n, 3);
    s = n.links[0].ends[0].session;
    last = (heard){ .host = *s->host };
    last.host.clock = hear;
    s->host = &last.host;
    b = tako_buf_on(&n.t.env);
    tako_put_varint(&b, n.t.wall_ms + 365 * 24 * HOUR);
    memcpy(message + 1, b.ptr, b.len);
    assert_int_equal(sync_session_recv(s, n.now, SYNC_CONTROL,
                                       tako_slice_of(message, 1 + b.len), NULL),
                     TAKO_OK);
    assert_int_equal(last.count, 1);
    assert_int_equal(last.wall_ms, n.t.wall_ms + 365 * 24 * HOUR);
    sync_session_counts(s, &c);
    assert_int_equal(c.clock_ahead_ms, 365 * 24 * HOUR);
    assert_int_equal(sync_session_recv(s, n.now, SYNC_CONTROL,
                                       tako_slice_of(message, b.len), NULL),
                     TAKO_CORRUPT);
    tako_buf_fini(&b);
    net_fini(&n);
}

/* The store takes a new actor by itself; the peer hears of it with the next
 * commit, and nothing goes amiss. */
static void test_clock__a_new_actor_is_told(void **state)
{
    crdt_wall wall = { 0 };
    uint8_t hub[CRDT_WALL_WHO_BYTES] = { 1 };
    crdt_actor before;
    uint64_t noon;
    net n;

    (void)state;
    net_init(&n, 4, 2);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    noon = n.t.wall_ms;
    n.t.wall_ms += 365 * 24 * HOUR;
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 1, "open", "");
    net_commit_now(&n, 0);
    net_settle(&n);
    n.t.wall_ms = noon;
    before = store_actor(n.nodes[0].st);
    crdt_wall_hear(&wall, hub, true, noon, n.t.mono_ms);
    store_clocks_heard(n.nodes[0].st, &wall);
    net_begin(&n, 0);
    net_insert(&n, 0, "orders", 2, "open", "");
    net_commit_now(&n, 0);
    assert_int_not_equal(crdt_actor_cmp(before, store_actor(n.nodes[0].st)), 0);
    assert_int_equal(sync_session_renewed(n.links[0].ends[0].session,
                                          store_actor(n.nodes[0].st), NULL),
                     TAKO_OK);
    net_settle(&n);
    net_check_equal(&n, "orders");
    assert_int_equal(crdt_actor_cmp(n.links[0].ends[1].session->peer_actor,
                                    store_actor(n.nodes[0].st)),
                     0);
    before = store_actor(n.nodes[0].st);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    net_settle(&n);
    assert_int_equal(crdt_actor_cmp(before, store_actor(n.nodes[0].st)), 0);
    net_check_equal(&n, "orders");
    assert_int_equal(n.last_error, TAKO_OK);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__is_told_once),
        cmocka_unit_test(test_clock__is_told_again_when_it_was_set),
        cmocka_unit_test(test_clock__the_host_hears_it),
        cmocka_unit_test(test_clock__a_new_actor_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
