// SPDX-License-Identifier: Apache-2.0
/* Attachments among a few nodes. */
#include "sync/support_blobs.h"

#include "support/describe.h"
#include "sync/wire.h"

static void test_blobs__from_a_neighbour(void **state)
{
    static const uint64_t lens[] = { 0,     1,         15360,
                                     15361, BLOBS_LEN, 481u * 15360u + 1 };

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint8_t id[32];
        mesh m;

        blobs_begin(&m, i + 1, 2);
        (void)blobs_join(&m, 0, 1);
        blobs_put(&m, 0, i, lens[i], id);
        blobs_fetch(&m, 1, id, lens[i]);
        blobs_run(&m, 100);
        assert_true(blobs_here(&m, 1, id, i, lens[i]));
        assert_int_equal(m.events[1][SYNC_BLOB_WHOLE], 1);
        assert_int_equal(blobs_counts(&m, 1).parts_in, blobs_parts_of(lens[i]));
        assert_int_equal(blobs_counts(&m, 1).parts_again, 0);
        assert_int_equal(blobs_counts(&m, 1).fetching, 0);
        assert_int_equal(sync_blobs_fetch(m.b[1], m.now, id, lens[i], NULL),
                         TAKO_EXISTS);
        blobs_end(&m);
    }
}

/* A-B-C-D: C gets it through who does not want it, and keeps nothing. */
static void test_blobs__through_who_does_not_want_it(void **state)
{
    uint8_t id[32];
    blob_facts f;
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 4);
    for (unsigned i = 0; i < 3; i++)
        (void)blobs_join(&m, i, i + 1);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    blobs_fetch(&m, 3, id, BLOBS_LEN);
    blobs_run(&m, 1000);
    assert_true(blobs_here(&m, 3, id, 1, BLOBS_LEN));
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(store_blob_find(m.n.nodes[i].reader, id, &f, NULL),
                         TAKO_NOTFOUND);
        assert_int_equal(blobs_counts(&m, i).parts_passed,
                         blobs_parts_of(BLOBS_LEN));
        assert_int_equal(blobs_counts(&m, i).passing, 0); /* it was ended */
        assert_int_equal(blobs_counts(&m, i).bytes_out,
                         blobs_counts(&m, i).bytes_in);
    }
    blobs_end(&m);
}

/* Rings, in which a question could run for ever. */
static void test_blobs__nobody_has_it(void **state)
{
    uint8_t id[32] = { 7 };
    sync_blob_state s;
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 4);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = i + 1; k < 4; k++)
            (void)blobs_join(&m, i, k);
    blobs_fetch(&m, 0, id, BLOBS_LEN);
    blobs_fetch(&m, 2, id, BLOBS_LEN);
    blobs_run(&m, 900);
    assert_true(m.messages < 200);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(blobs_counts(&m, i).passing, 0);
    assert_int_equal(sync_blobs_state(m.b[0], id, &s), TAKO_OK);
    assert_true(s.unavailable);
    assert_int_equal(m.events[0][SYNC_BLOB_UNAVAILABLE], 1);
    /* It is asked for less and less often, and found when it comes. */
    blobs_run(&m, 600000);
    assert_true(m.messages < 5000);
    assert_int_equal(m.events[0][SYNC_BLOB_UNAVAILABLE], 1);
    blobs_put(&m, 3, 9, 100, id);
    blobs_fetch(&m, 0, id, 100);
    blobs_run(&m, 60000);
    assert_true(blobs_here(&m, 0, id, 9, 100));
    blobs_end(&m);
}

/* The writer belongs to the program for a while: little is held in memory
 * meanwhile. */
static void test_blobs__waits_for_the_writer(void **state)
{
    uint8_t id[32];
    sync_blob_state s;
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 2);
    (void)blobs_join(&m, 0, 1);
    blobs_put(&m, 0, 1, 10 * BLOBS_LEN, id);
    m.busy[1] = 500;
    blobs_fetch(&m, 1, id, 10 * BLOBS_LEN);
    blobs_run(&m, 200);
    assert_int_equal(sync_blobs_state(m.b[1], id, &s), TAKO_OK);
    assert_int_equal(s.have, 0);
    assert_in_range(blobs_counts(&m, 1).parts_in, 16, 64 + 16);
    blobs_run(&m, 60000);
    assert_true(blobs_here(&m, 1, id, 1, 10 * BLOBS_LEN));
    blobs_end(&m);
}

static void pages_max(mesh *m, unsigned node, const char *sql)
{
    assert_int_equal(
        sqlite3_exec(store_conn_db(store_writer(m->n.nodes[node].st)), sql,
                     NULL, NULL, NULL),
        SQLITE_OK);
}

/* A full disk: it is told, and goes on when there is room. */
static void test_blobs__a_full_disk_is_waited_for(void **state)
{
    uint8_t id[32];
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 2);
    (void)blobs_join(&m, 0, 1);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    pages_max(&m, 1, "PRAGMA max_page_count=60");
    blobs_fetch(&m, 1, id, BLOBS_LEN);
    blobs_run(&m, 30000);
    assert_false(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    assert_in_range(m.events[1][SYNC_BLOB_NOT_KEPT], 1, 10);
    pages_max(&m, 1, "PRAGMA max_page_count=100000");
    blobs_run(&m, 60000);
    assert_true(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    blobs_end(&m);
}

/* Every allocation fails once, anywhere in the three nodes: a session may end,
 * nothing else, and the content comes all the same. */
static void test_blobs__survives_every_allocation_failure(void **state)
{
    bool failed = true;

    (void)state;
    for (long nth = 0; failed; nth += nth < 100 ? 1 : 3) {
        uint8_t id[32];
        mesh m;

        blobs_begin(&m, 1, 3);
        (void)blobs_join(&m, 0, 1);
        (void)blobs_join(&m, 1, 2);
        blobs_put(&m, 0, 1, 20000, id);
        m.n.t.fail_after = nth;
        (void)sync_blobs_fetch(m.b[2], m.now, id, 20000, NULL);
        blobs_run(&m, 500);
        m.n.t.fail_after = -1;
        failed = m.n.t.failed_once;
        for (unsigned i = 0; i < 2; i++)
            if (!m.links[i].up)
                blobs_link_up(&m.links[i]);
        (void)sync_blobs_fetch(m.b[2], m.now, id, 20000, NULL);
        blobs_run(&m, 120000);
        if (!blobs_here(&m, 2, id, 1, 20000))
            fail_msg("allocation %ld", nth);
        blobs_end(&m);
    }
}

/* Documents refer to it: it comes by itself, where that is set. */
static void test_blobs__come_by_themselves(void **state)
{
    tako_slice key = tako_slice_str("photo");
    uint8_t id[32], raw[32];
    blob_token t = { .len = BLOBS_LEN };
    tako_errbuf e;
    crdt_doc *d;
    crdt_dot dot;
    uint32_t coll;
    tako_buf b;
    store *s;
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 2);
    b = tako_buf_on(&m.n.t.env);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    net_insert(&m.n, 1, "menu", 1, "open", "");
    memcpy(t.id, id, sizeof t.id);
    assert_int_equal(blob_token_put(&t, &b, &e), TAKO_OK);
    s = m.n.nodes[1].st;
    assert_int_equal(store_begin(s, &e), TAKO_OK);
    assert_int_equal(
        store_coll_find(store_writer(s), tako_slice_str("menu"), &coll),
        TAKO_OK);
    assert_int_equal(store_edit(s, coll, net_id(1, raw), &d, &e), TAKO_OK);
    assert_int_equal(store_dot(s, &dot, &e), TAKO_OK);
    assert_int_equal(crdt_set(d, dot, (crdt_path){ &key, 1 }, CRDT_ATTACHMENT,
                              tako_buf_slice(&b), &e),
                     TAKO_OK);
    assert_int_equal(store_edit_save(s, &e), TAKO_OK);
    assert_int_equal(store_commit(s, NULL, &e), TAKO_OK);
    tako_buf_fini(&b);
    (void)blobs_join(&m, 0, 1);
    sync_blobs_on_commit(m.b[1]);
    blobs_run(&m, 5000);
    assert_false(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    m.automatic[1] = true;
    blobs_run(&m, 5000);
    assert_true(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    blobs_end(&m);
}

/* ---- hostile messages ----------------------------------------------------------- */

static tako_err say(link *l, int to, uint8_t kind, tako_buf *b)
{
    tako_reader in = tako_reader_of(tako_buf_slice(b));
    tako_errbuf e = { "" };
    tako_err err = sync_blob_peer_recv(l->peer[to], l->m->now, kind, &in, &e);

    assert_true(err == TAKO_OK || e.text[0] != '\0');
    tako_buf_reset(b);
    return err;
}

static void put_ask(tako_buf *b, uint64_t number, const uint8_t id[32],
                    uint64_t len, uint8_t search, uint8_t hops)
{
    tako_put_varint(b, number);
    tako_put_bytes(b, tako_slice_of(id, 32));
    tako_put_varint(b, len);
    for (int i = 0; i < 8; i++)
        tako_put_u8(b, search);
    tako_put_u8(b, hops);
}

static void test_blobs__hostile_messages_end_the_session(void **state)
{
    uint8_t id[32];
    tako_buf b;
    mesh m;
    link *l;

    (void)state;
    blobs_begin(&m, 1, 2);
    l = blobs_join(&m, 0, 1);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    b = tako_buf_on(&m.n.t.env);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, TAKO_BLOB_BYTES_MAX + 1, 1, 8);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, BLOBS_LEN, 1, 9); /* more hops than there are */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, BLOBS_LEN, 1, 8);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_OK);
    put_ask(&b, 1, id, BLOBS_LEN, 2, 8); /* the same number again */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    tako_put_bytes(&b, tako_slice_of("\1\1\0\20", 4)); /* 17 parts */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_WANT, &b), TAKO_LIMIT);
    tako_put_bytes(&b, tako_slice_of("\1\1\177\0", 4)); /* beyond the last */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_WANT, &b), TAKO_CORRUPT);
    tako_put_bytes(&b, tako_slice_of("\1\377\1", 3)); /* 255 ranges */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_WANT, &b), TAKO_CORRUPT);
    tako_put_bytes(&b, tako_slice_of("\1\0\0", 3)); /* something after it */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_STOP, &b), TAKO_CORRUPT);
    tako_buf_fini(&b);
    blobs_end(&m);
}

static void test_blobs__what_a_peer_may_ask_is_bounded(void **state)
{
    uint8_t id[32];
    size_t before;
    tako_buf b;
    mesh m;
    link *l;
    tako_err err = TAKO_OK;

    (void)state;
    blobs_begin(&m, 1, 2);
    l = blobs_join(&m, 0, 1);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    b = tako_buf_on(&m.n.t.env);
    before = m.n.t.live_bytes;
    for (uint64_t i = 0; i < 100000 && err == TAKO_OK; i++) {
        put_ask(&b, i, id, BLOBS_LEN, (uint8_t)i, 8);
        err = say(l, 0, SYNC_MSG_BLOB_ASK, &b);
    }
    assert_int_equal(err, TAKO_LIMIT); /* answers are not read */
    assert_true(m.n.t.live_bytes - before < (1u << 20));
    /* Parts that nobody asked for. */
    err = TAKO_OK;
    for (unsigned i = 0; i < 1000 && err == TAKO_OK; i++) {
        tako_put_bytes(&b, tako_slice_of("\7\1xxx", 5));
        err = say(l, 1, SYNC_MSG_BLOB_PART, &b);
    }
    assert_int_equal(err, TAKO_CORRUPT);
    tako_buf_fini(&b);
    blobs_end(&m);
}

/* One of each kind at least, as test vectors. */
static void test_blobs__messages_are_as_documented(void **state)
{
    uint8_t id[32] = { 7 };
    test_env t;
    tako_buf out;
    describer d = { .kinds = UINT64_C(63) << SYNC_MSG_BLOB_ASK, .most = 3 };
    mesh m;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    d.out = &out;
    blobs_begin(&m, 1, 2);
    m.n.tap = describe_passing;
    m.n.tap_ctx = &d;
    (void)blobs_join(&m, 0, 1);
    blobs_fetch(&m, 1, id, 100); /* NONE */
    blobs_run(&m, 100);
    blobs_put(&m, 0, 3, 20, id);
    blobs_fetch(&m, 1, id, 20);
    blobs_run(&m, 100);
    assert_true(blobs_here(&m, 1, id, 3, 20));
    blobs_put(&m, 0, 4, BLOBS_LEN, id);
    blobs_fetch(&m, 1, id, BLOBS_LEN);
    while (blobs_move_any(&m) && d.taken[SYNC_MSG_BLOB_HAVE] < 2)
        ;
    assert_int_equal(sync_blobs_cancel(m.b[1], id), TAKO_OK);
    blobs_run(&m, 100);
    for (unsigned kind = SYNC_MSG_BLOB_ASK; kind <= SYNC_MSG_BLOB_STOP; kind++)
        assert_true(d.taken[kind] > 0);
    vectors_check(&out, "blobs");
    tako_buf_fini(&out);
    blobs_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs__from_a_neighbour),
        cmocka_unit_test(test_blobs__through_who_does_not_want_it),
        cmocka_unit_test(test_blobs__nobody_has_it),
        cmocka_unit_test(test_blobs__waits_for_the_writer),
        cmocka_unit_test(test_blobs__a_full_disk_is_waited_for),
        cmocka_unit_test(test_blobs__survives_every_allocation_failure),
        cmocka_unit_test(test_blobs__come_by_themselves),
        cmocka_unit_test(test_blobs__hostile_messages_end_the_session),
        cmocka_unit_test(test_blobs__what_a_peer_may_ask_is_bounded),
        cmocka_unit_test(test_blobs__messages_are_as_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
