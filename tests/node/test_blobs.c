// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

#include <stdio.h>

#include "store/support_blob.h"

#define LEN (3u << 20)

static void put(world *w, size_t at, uint64_t n, uint64_t len, uint8_t id[32])
{
    tako_errbuf e;

    assert_int_equal(content_put(w->nodes[at].st, n, len, 4096, id, &e),
                     TAKO_OK);
}

/* Writes its token into a document. */
static void attach(world *w, size_t at, unsigned doc, const uint8_t id[32],
                   uint64_t len)
{
    char text[200], base64[65];

    for (size_t i = 0; i < 32; i++)
        (void)snprintf(base64 + 2 * i, 3, "%02x", id[i]);
    (void)snprintf(text, sizeof text,
                   "INSERT INTO orders DOCUMENTS ({'_id': %u, 's': '%s'})", doc,
                   base64);
    (void)world_do(w, at, text);
    {
        store *s = w->nodes[at].st;
        tako_buf b = tako_buf_on(&w->t.env), doc_id = tako_buf_on(&w->t.env);
        tako_slice key = tako_slice_str("photo");
        blob_token t = { .len = len };
        node_commit *c = NULL;
        uint64_t lsn = 0;
        uint32_t coll;
        crdt_doc *d;
        crdt_dot dot;
        tako_errbuf e;

        memcpy(t.id, id, sizeof t.id);
        cbor_put_int(&doc_id, doc);
        assert_int_equal(blob_token_put(&t, &b, &e), TAKO_OK);
        assert_int_equal(store_begin(s, &e), TAKO_OK);
        assert_int_equal(
            store_coll_find(store_writer(s), tako_slice_str("orders"), &coll),
            TAKO_OK);
        assert_int_equal(store_edit(s, coll, tako_buf_slice(&doc_id), &d, &e),
                         TAKO_OK);
        assert_int_equal(store_dot(s, &dot, &e), TAKO_OK);
        assert_int_equal(crdt_set(d, dot, (crdt_path){ &key, 1 },
                                  CRDT_ATTACHMENT, tako_buf_slice(&b), &e),
                         TAKO_OK);
        assert_int_equal(store_edit_save(s, &e), TAKO_OK);
        assert_int_equal(store_commit(s, &lsn, &e), TAKO_OK);
        assert_int_equal(node_commit_copy(&w->t.env, s, lsn, &c), TAKO_OK);
        node_on_commit(w->nodes[at].n, c);
        tako_buf_fini(&b);
        tako_buf_fini(&doc_id);
    }
}

static void line(world *w, size_t nodes)
{
    char address[32];

    for (size_t i = 0; i + 1 < nodes; i++) {
        (void)snprintf(address, sizeof address, "tcp://n%zu:1", i);
        world_listen(w, i, address);
        world_dial(w, i + 1, address);
    }
}

static bool here(world *w, size_t at, const uint8_t id[32], uint64_t n,
                 uint64_t len)
{
    return content_is(w->nodes[at].reader, id, n, len);
}

static void test_blobs__come_over_tls_through_another_node(void **state)
{
    sync_blob_state s;
    uint8_t id[32];
    blob_facts f;
    tako_errbuf e = { "" };
    world w;

    (void)state;
    world_init(&w, 1, 3);
    line(&w, 3);
    world_run(&w, 100);
    put(&w, 0, 1, LEN, id);
    assert_int_equal(node_blob_fetch(w.nodes[2].n, id, LEN, &e), TAKO_OK);
    world_run(&w, 2000);
    assert_true(here(&w, 2, id, 1, LEN));
    assert_int_equal(store_blob_find(w.nodes[1].reader, id, &f, NULL),
                     TAKO_NOTFOUND);
    assert_int_equal(node_blob_state(w.nodes[2].n, id, &s), TAKO_NOTFOUND);
    assert_int_equal(node_blob_cancel(w.nodes[2].n, id), TAKO_NOTFOUND);
    world_fini(&w);
}

/* However large the content: in front of a change that is made now, there is
 * one frame of it in the stream at most, and a change leaves at once. */
static void test_blobs__delay_nothing_by_more_than_a_frame(void **state)
{
    uint8_t id[32];
    tako_errbuf e = { "" };
    world w;

    (void)state;
    world_init(&w, 2, 2);
    line(&w, 2);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_run(&w, 100);
    put(&w, 0, 1, LEN, id);
    w.queued_max = 0;
    assert_int_equal(node_blob_fetch(w.nodes[1].n, id, LEN, &e), TAKO_OK);
    world_run(&w, 2000);
    assert_true(here(&w, 1, id, 1, LEN));
    print_message("most that waited in a stream: %zu bytes\n", w.queued_max);
    assert_in_range(w.queued_max, 15360, TAKO_FRAME_BYTES_MAX + 4096 + 512);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 0);
    assert_int_equal(world_count(&w, 1), 1);
    world_fini(&w);
}

static void test_blobs__come_by_themselves_and_over_restarts(void **state)
{
    uint8_t id[32];
    world w;

    (void)state;
    world_init(&w, 3, 2);
    line(&w, 2);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    w.nodes[1].fetches = true;
    world_run(&w, 100);
    put(&w, 0, 1, LEN, id);
    attach(&w, 0, 7, id, LEN);
    world_run(&w, 3);
    world_break(&w, 0);
    world_run(&w, 1);
    world_stop(&w, 1);
    world_start(&w, 1);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_dial(&w, 1, "tcp://n0:1");
    world_run(&w, 60000);
    assert_true(here(&w, 1, id, 1, LEN));
    world_fini(&w);
}

/* The program's transaction holds the writer: documents and contents wait. */
static void test_blobs__wait_for_the_programs_transaction(void **state)
{
    uint8_t id[32];
    tako_errbuf e = { "" };
    world w;

    (void)state;
    world_init(&w, 4, 2);
    line(&w, 2);
    world_run(&w, 100);
    put(&w, 0, 1, LEN, id);
    w.nodes[1].tx_open = true;
    assert_int_equal(node_blob_fetch(w.nodes[1].n, id, LEN, &e), TAKO_OK);
    world_run(&w, 2000);
    assert_false(here(&w, 1, id, 1, LEN));
    w.nodes[1].tx_open = false;
    world_run(&w, 2000);
    assert_true(here(&w, 1, id, 1, LEN));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs__come_over_tls_through_another_node),
        cmocka_unit_test(test_blobs__delay_nothing_by_more_than_a_frame),
        cmocka_unit_test(test_blobs__come_by_themselves_and_over_restarts),
        cmocka_unit_test(test_blobs__wait_for_the_programs_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
