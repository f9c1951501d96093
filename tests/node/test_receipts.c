// SPDX-License-Identifier: Apache-2.0
/* Who keeps a commit, further away than one hop: told along lines and rings,
 * found out anew after a link was lost, never counted twice, and never said of
 * a device that has not got it. */
#include "node/internal.h"
#include "node/support_world.h"

#include <stdio.h>

#define OPEN "SELECT * FROM orders WHERE s = 'open'"
#define BIG  "SELECT * FROM orders WHERE v > 10"

static const char *const addresses[] = { "tcp://n0:1", "tcp://n1:1",
                                         "tcp://n2:1", "tcp://n3:1" };

/* Node i dials node i - 1; in a ring the first also the last. */
static void line(world *w, uint64_t seed, size_t nodes)
{
    world_init(w, seed, nodes);
    for (size_t i = 0; i < nodes; i++)
        world_listen(w, i, addresses[i]);
    for (size_t i = 1; i < nodes; i++)
        world_dial(w, i, addresses[i - 1]);
}

static void line_of_all(world *w, uint64_t seed, size_t nodes)
{
    line(w, seed, nodes);
    for (size_t i = 0; i < nodes; i++)
        world_subscribe(w, i, 1, WORLD_ALL);
    world_run(w, 5000);
}

static uint32_t kept(world *w, size_t at, const char *peer, uint64_t lsn)
{
    return node_kept_by(w->nodes[at].n, peer, lsn);
}

static uint64_t insert(world *w, size_t at, unsigned id, const char *status)
{
    world_insert(w, at, id, status);
    return store_lsn(w->nodes[at].st);
}

static void test_receipts__come_back_along_a_line(void **state)
{
    world w;
    uint64_t lsn;
    tako_buf out;

    (void)state;
    line_of_all(&w, 1, 4);
    out = tako_buf_on(&w.t.env);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 200);
    assert_int_equal(kept(&w, 0, NULL, lsn), 0);
    assert_false(node_has(w.nodes[0].n, "node3", lsn));
    world_run(&w, 3000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    assert_int_equal(kept(&w, 0, "node3", lsn), 1);
    assert_int_equal(kept(&w, 0, "node0", lsn), 0);
    assert_true(node_has(w.nodes[0].n, "node3", lsn));
    assert_non_null(strstr(world_status(&w, 0, &out), "\"kept\":3,"));
    assert_non_null(strstr(world_status(&w, 0, &out), "\"have\":3}"));
    assert_non_null(strstr(world_status(&w, 0, &out), "\"node3\""));
    /* Also of what comes from the middle, both ways. */
    lsn = insert(&w, 1, 2, "open");
    world_run(&w, 4000);
    assert_int_equal(kept(&w, 1, NULL, lsn), 3);
    assert_int_equal(kept(&w, 0, NULL, store_lsn(w.nodes[0].st)), 3);
    tako_buf_fini(&out);
    world_fini(&w);
}

/* While commits never cease the receipts of the earlier ones come all the same,
 * and one number stands for many: bytes do not grow with commits. */
static void test_receipts__come_while_commits_go_on(void **state)
{
    world w;
    uint64_t lsn, told;
    unsigned i = 0;
    sync_counts c;

    (void)state;
    line_of_all(&w, 2, 4);
    lsn = insert(&w, 0, i++, "open");
    for (; i < 200; i++) {
        world_run(&w, 50);
        (void)insert(&w, 0, i, "open");
    }
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    sync_session_counts(w.nodes[0].n->links->session, &c);
    told = c.bytes_in;
    for (; i < 600; i++) {
        (void)insert(&w, 0, i, "open");
        if (i % 20 == 0)
            world_run(&w, 50);
    }
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, store_lsn(w.nodes[0].st)), 3);
    sync_session_counts(w.nodes[0].n->links->session, &c);
    assert_true(c.bytes_in - told < 400); /* of 400 commits, ACKs and all */
    world_fini(&w);
}

static void test_receipts__count_a_device_once(void **state)
{
    world w;
    uint64_t lsn;
    size_t records = 0;

    (void)state;
    line(&w, 3, 4);
    world_dial(&w, 0, addresses[3]);
    for (size_t i = 0; i < 4; i++)
        world_subscribe(&w, i, 1, WORLD_ALL);
    world_run(&w, 5000);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    for (const node_receipt *r = w.nodes[0].n->receipts.first; r != NULL;
         r = r->next)
        records++;
    assert_int_equal(records, 3);
    world_fini(&w);
}

/* Each says of what matches all conditions on the way, and no more. */
static void test_receipts__are_of_what_all_on_the_way_want(void **state)
{
    world w;
    uint64_t both, open, big;

    (void)state;
    line(&w, 4, 3);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    assert_int_equal(node_subscribe_keep(w.nodes[1].n, 1, tako_slice_str(OPEN),
                                         TAKO_SLICE_NONE, NULL),
                     TAKO_OK);
    world_subscribe(&w, 2, 1, BIG);
    world_run(&w, 5000);
    both = world_do(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id':1,'s':'open','v':20})");
    open = world_do(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id':2,'s':'open','v':5})");
    big = world_do(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id':3,'s':'done','v':20})");
    world_run(&w, 10000);
    assert_int_equal(kept(&w, 0, NULL, both), 2);
    assert_int_equal(kept(&w, 0, NULL, open), 1);
    assert_int_equal(kept(&w, 0, NULL, big), 0);
    world_fini(&w);
}

/* What may leave the device in the middle is not vouched for by it; nor is a
 * part believed by who does not want that part itself. */
static void test_receipts__are_not_of_what_may_have_moved_on(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    line(&w, 13, 3);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, OPEN);
    world_run(&w, 5000);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_int_equal(world_count(&w, 2), 1);
    assert_int_equal(kept(&w, 0, NULL, lsn), 1);
    world_fini(&w);
    line(&w, 14, 3);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_subscribe(&w, 2, 1, OPEN);
    world_run(&w, 5000);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_int_equal(world_count(&w, 2), 1);
    assert_int_equal(kept(&w, 0, NULL, lsn), 1);
    world_subscribe(&w, 0, 1, OPEN);
    assert_int_equal(kept(&w, 0, NULL, lsn), 2);
    world_fini(&w);
}

static void test_receipts__lost_with_a_link_come_with_the_next(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    line_of_all(&w, 5, 4);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 30); /* the change is everywhere, and nothing came back */
    assert_int_equal(world_count(&w, 3), 1);
    assert_int_equal(kept(&w, 0, NULL, lsn), 0);
    world_break(&w, 1);
    world_run(&w, 8000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    /* What was written while nobody was there. */
    w.unplugged = true;
    world_break(&w, 0);
    (void)insert(&w, 0, 2, "open");
    lsn = insert(&w, 0, 3, "open");
    world_run(&w, 3000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 0);
    w.unplugged = false;
    world_run(&w, 90000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    world_fini(&w);
}

/* Nothing of it is in the file, and nothing has to be. */
static void test_receipts__are_found_out_anew_after_a_start(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    line_of_all(&w, 6, 4);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 5000);
    world_stop(&w, 0);
    world_start(&w, 0);
    world_listen(&w, 0, addresses[0]);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    assert_int_equal(kept(&w, 0, NULL, lsn), 1); /* a neighbour: it is */
    world_run(&w, 40000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    world_fini(&w);
}

static void test_receipts__are_taken_back(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    line_of_all(&w, 7, 4);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    assert_int_equal(node_unsubscribe(w.nodes[3].n, 1), TAKO_OK);
    world_run(&w, 3000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 2);
    assert_int_equal(kept(&w, 0, "node3", lsn), 0);
    world_subscribe(&w, 3, 1, WORLD_ALL);
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 3);
    world_fini(&w);
}

/* What is here by one subscription is nothing that is here by the next, which
 * may have its number. */
static void test_receipts__end_with_the_subscription(void **state)
{
    world w;
    uint64_t done, open;

    (void)state;
    line(&w, 15, 3);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    assert_int_equal(node_subscribe_keep(w.nodes[1].n, 1, tako_slice_str(OPEN),
                                         TAKO_SLICE_NONE, NULL),
                     TAKO_OK);
    world_subscribe(&w, 2, 1, WORLD_ALL);
    world_run(&w, 5000);
    done = insert(&w, 0, 1, "done");
    open = insert(&w, 0, 2, "open");
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, "node2", open), 1);
    assert_int_equal(kept(&w, 0, "node2", done), 0);
    world_stop(&w, 2);
    assert_int_equal(node_unsubscribe(w.nodes[1].n, 1), TAKO_OK);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_run(&w, 5000);
    assert_int_equal(world_count(&w, 1), 2);
    assert_int_equal(kept(&w, 0, "node1", done), 1);
    assert_int_equal(kept(&w, 0, "node2", done), 0);
    world_start(&w, 2);
    world_dial(&w, 2, addresses[1]);
    world_subscribe(&w, 2, 1, WORLD_ALL);
    world_run(&w, 40000);
    assert_int_equal(kept(&w, 0, "node2", done), 1);
    world_fini(&w);
}

/* Who came late was not whole at first, so its neighbours take no more than its
 * own from it; and links of a ring push nothing in the end. All becomes known
 * over them as well, and what was asked anew is said anew. */
static void test_receipts__come_over_links_that_push_less(void **state)
{
    world w;
    uint64_t lsn[4];

    (void)state;
    line(&w, 16, 4);
    world_dial(&w, 0, addresses[3]);
    for (size_t i = 0; i < 3; i++)
        world_subscribe(&w, i, 1, WORLD_ALL);
    for (unsigned i = 0; i < 20; i++)
        (void)insert(&w, 0, i, "open");
    world_run(&w, 5000);
    world_subscribe(&w, 3, 1, WORLD_ALL);
    for (unsigned i = 20; i < 80; i++) {
        world_run(&w, 20);
        lsn[i % 4] = insert(&w, i % 4, i, "open");
    }
    world_run(&w, 10000);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(kept(&w, i, NULL, lsn[i]), 3);
    world_break(&w, 1); /* the ring is mended over what was pruned */
    for (unsigned i = 80; i < 90; i++)
        lsn[i % 4] = insert(&w, i % 4, i, "open");
    world_run(&w, 20000);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(kept(&w, i, NULL, lsn[i]), 3);
    world_fini(&w);
}

/* A change makes what was kept old, until the new state is. */
static void test_receipts__are_of_documents_as_they_are(void **state)
{
    world w;
    uint64_t first, second;

    (void)state;
    line_of_all(&w, 8, 3);
    first =
        world_do(&w, 0, "INSERT INTO orders DOCUMENTS ({'_id':1}),({'_id':2})");
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, first), 2);
    second = world_do(&w, 0, "UPDATE orders SET v = 1 WHERE _id = 2");
    assert_int_equal(kept(&w, 0, NULL, first), 0);
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, first), 2);
    assert_int_equal(kept(&w, 0, NULL, second), 2);
    (void)world_do(&w, 0, "DELETE FROM orders WHERE _id = 1");
    world_run(&w, 5000);
    assert_int_equal(kept(&w, 0, NULL, store_lsn(w.nodes[0].st)), 2);
    world_fini(&w);
}

/* ---- many devices ------------------------------------------------------------ */

static node_link *link_between(world *w, size_t a, size_t b)
{
    for (node_link *l = w->nodes[a].n->links; l != NULL; l = l->next)
        if (strcmp(l->who.name, w->nodes[b].name) == 0)
            return l;
    fail();
    return NULL;
}

/* As if node 2 had told node 1 of a device behind it. */
static void tell(world *w, unsigned device, uint64_t lsn, bool passed)
{
    node_link *l = link_between(w, 1, 2);
    char name[16];
    uint32_t id;
    sync_receipt r = { .texts = { tako_slice_str("SELECT * FROM `orders`") },
                       .text_count = 1,
                       .passed = passed,
                       .lsn = lsn };

    (void)snprintf(name, sizeof name, "far%u", device);
    r.name = tako_slice_str(name);
    memset(r.device, (int)device, sizeof r.device);
    assert_int_equal(node_receipts_host.made(l, &r, &id), TAKO_OK);
    assert_true(id != 0);
    node_turn(w->nodes[1].n);
}

/* A link carries so many devices and no more; one that is asked for comes on
 * top, through whoever knows it. */
static void test_receipts__of_whom_is_asked_for(void **state)
{
    world w;
    uint64_t lsn, at;

    (void)state;
    line_of_all(&w, 9, 3);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 5000);
    at = store_lsn(w.nodes[1].st);
    for (unsigned i = 0; i < 20; i++)
        tell(&w, 100 + i, at, false);
    world_run(&w, 1000);
    /* node1 itself, and eight that it told of */
    assert_int_equal(kept(&w, 0, NULL, lsn), 1 + TAKO_RECEIPTS_KEEPERS_MAX);
    assert_int_equal(kept(&w, 1, NULL, at), 22);
    assert_int_equal(kept(&w, 0, "far119", lsn) + kept(&w, 0, "far100", lsn) +
                         kept(&w, 0, "far110", lsn),
                     1);
    world_run(&w, 1000);
    assert_int_equal(kept(&w, 0, "far119", lsn), 1);
    assert_int_equal(kept(&w, 0, "far100", lsn), 1);
    assert_int_equal(kept(&w, 0, "far110", lsn), 1);
    assert_int_equal(kept(&w, 0, "far121", lsn), 0);
    world_fini(&w);
}

static void test_receipts__to_carry_is_not_to_keep(void **state)
{
    world w;
    uint64_t lsn;

    (void)state;
    line_of_all(&w, 10, 3);
    lsn = insert(&w, 0, 1, "open");
    world_run(&w, 5000);
    tell(&w, 100, store_lsn(w.nodes[1].st), true);
    world_run(&w, 1000);
    assert_int_equal(kept(&w, 0, NULL, lsn), 2);
    assert_int_equal(kept(&w, 0, "far100", lsn), 0);
    assert_true(node_has(w.nodes[0].n, "far100", lsn));
    world_fini(&w);
}

static uint32_t made(world *w, const sync_receipt *r)
{
    uint32_t id;

    assert_int_equal(node_receipts_host.made(link_between(w, 1, 2), r, &id),
                     TAKO_OK);
    return id;
}

/* A peer fills no memory with devices. */
static void test_receipts__are_bounded(void **state)
{
    world w;
    sync_receipt r = { .texts = { tako_slice_str("SELECT * FROM `orders`") },
                       .text_count = 1,
                       .lsn = 1 };

    (void)state;
    line_of_all(&w, 11, 3);
    for (unsigned i = 0; i < 3 * TAKO_RECEIPTS_MAX; i++) {
        memcpy(r.device, &i, sizeof i);
        r.device[31] = 1;
        assert_true(made(&w, &r) != 0);
    }
    assert_int_equal(w.nodes[1].n->receipts.count, TAKO_RECEIPTS_MAX);
    r.texts[0] = tako_slice_str("SELECT nonsense");
    assert_int_equal(made(&w, &r), 0);
    r.texts[0] = tako_slice_str("SELECT * FROM `a`");
    r.texts[1] = tako_slice_str("SELECT * FROM `b`");
    r.text_count = 2;
    assert_int_equal(made(&w, &r), 0);
    world_run(&w, 1000);
    world_fini(&w);
}

/* Whatever allocation fails, the receipt comes in the end. */
static void test_receipts__come_though_memory_runs_out(void **state)
{
    (void)state;
    for (long nth = 0, more = true; more; nth++) {
        world w;
        uint64_t lsn;

        line_of_all(&w, 12, 3);
        lsn = insert(&w, 0, 1, "open");
        world_run(&w, 900);
        w.t.failed_once = false;
        w.t.fail_after = nth;
        world_run(&w, 400);
        w.t.fail_after = -1;
        more = w.t.failed_once;
        world_run(&w, 60000);
        assert_int_equal(kept(&w, 0, NULL, lsn), 2);
        world_fini(&w);
        assert_true(nth < 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts__come_back_along_a_line),
        cmocka_unit_test(test_receipts__come_while_commits_go_on),
        cmocka_unit_test(test_receipts__count_a_device_once),
        cmocka_unit_test(test_receipts__are_of_what_all_on_the_way_want),
        cmocka_unit_test(test_receipts__are_not_of_what_may_have_moved_on),
        cmocka_unit_test(test_receipts__lost_with_a_link_come_with_the_next),
        cmocka_unit_test(test_receipts__are_found_out_anew_after_a_start),
        cmocka_unit_test(test_receipts__are_taken_back),
        cmocka_unit_test(test_receipts__end_with_the_subscription),
        cmocka_unit_test(test_receipts__come_over_links_that_push_less),
        cmocka_unit_test(test_receipts__are_of_documents_as_they_are),
        cmocka_unit_test(test_receipts__of_whom_is_asked_for),
        cmocka_unit_test(test_receipts__to_carry_is_not_to_keep),
        cmocka_unit_test(test_receipts__are_bounded),
        cmocka_unit_test(test_receipts__come_though_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
