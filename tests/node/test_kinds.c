// SPDX-License-Identifier: Apache-2.0
/* Test vectors of the messages about letting go, as they come out of a session
 * (tests/sync/test_kinds.c has the other kinds): node 1 asks about two orders,
 * node 0, which wants all, has one of them as it is asked about. */
#include "node/support_world.h"

#include "support/describe.h"
#include "node/internal.h"
#include "sync/wire.h"

static node_ask ask_of(world *w, unsigned order)
{
    uint8_t id[1] = { (uint8_t)order };
    node_ask ask = { 0 };
    store_row row;

    assert_int_equal(store_coll_find(w->nodes[1].reader,
                                     tako_slice_str("orders"), &ask.coll),
                     TAKO_OK);
    assert_int_equal(
        store_get(w->nodes[1].reader, ask.coll, tako_slice_of(id, 1), &row),
        TAKO_OK);
    ask.row = row.row;
    ask.lsn = row.lsn;
    return ask;
}

/* What this session says next, which is of this kind, as a vector. */
static void said(sync_session *s, sync_msg kind, tako_buf *vectors,
                 tako_buf *out)
{
    sync_lane lane;

    do {
        tako_buf_reset(out);
        assert_int_equal(
            sync_session_send(s, 0, SYNC_LANES_ALL, &lane, out, NULL), TAKO_OK);
        assert_true(out->len > 0);
    } while (out->ptr[0] != kind);
    describe(vectors, lane, tako_buf_slice(out));
}

static void test_kinds__messages_are_as_documented(void **state)
{
    tako_buf vectors, message;
    sync_session *here, *there;
    node *n;
    world w;

    (void)state;
    world_init(&w, 21, 2);
    vectors = tako_buf_on(&w.t.env);
    message = tako_buf_on(&w.t.env);
    world_listen(&w, 0, "tcp://hub:1");
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_insert(&w, 1, 1, "open");
    world_insert(&w, 1, 2, "open");
    world_run(&w, 5000);
    n = w.nodes[1].n;
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done' WHERE _id = 1");
    n->leave.asks[0] = ask_of(&w, 1);
    n->leave.asks[1] = ask_of(&w, 2);
    n->leave.ask_count = 2;
    w.t.seed = 7; /* of the serial, whatever TLS took before */
    node_may_i(n, 2);
    here = n->links->session;
    there = w.nodes[0].n->links->session;
    said(here, SYNC_MSG_MAY_I, &vectors, &message);
    assert_int_equal(sync_session_recv(there, 0, SYNC_CONTROL,
                                       tako_buf_slice(&message), NULL),
                     TAKO_OK);
    said(there, SYNC_MSG_YOU_MAY, &vectors, &message);
    assert_int_equal(sync_session_recv(here, 0, SYNC_CONTROL,
                                       tako_buf_slice(&message), NULL),
                     TAKO_OK);
    assert_false(n->leave.asks[0].granted); /* not in its new state */
    assert_true(n->leave.asks[1].granted);
    vectors_check(&vectors, "may_i");
    tako_buf_fini(&vectors);
    tako_buf_fini(&message);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds__messages_are_as_documented),
    };

    return cmocka_run_group_tests_name("node/kinds", tests, NULL, NULL);
}
