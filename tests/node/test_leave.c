// SPDX-License-Identifier: Apache-2.0
/* Documents that leave: each schedule of SYNC.md 3 that the simpler readings
 * lose, with real stores. */
#include "node/support_world.h"

#include <stdio.h>
#include <stdlib.h>

#define OPEN "SELECT * FROM orders WHERE s = 'open'"
#define DONE "SELECT * FROM orders WHERE s = 'done'"

static bool has(world *w, size_t at, unsigned id)
{
    uint8_t key[8] = { (uint8_t)id };
    size_t len = 1;
    uint32_t coll;
    store_row row;

    if (id > 23) {
        key[0] = 0x18;
        key[1] = (uint8_t)id;
        len = 2;
    }
    return store_coll_find(w->nodes[at].reader, tako_slice_str("orders"),
                           &coll) == TAKO_OK &&
           store_get(w->nodes[at].reader, coll, tako_slice_of(key, len),
                     &row) == TAKO_OK &&
           row.body.len > 0;
}

static uint64_t leaving(world *w, size_t at)
{
    store_leaving_facts f;

    assert_int_equal(store_leaving_count(w->nodes[at].reader, &f, NULL),
                     TAKO_OK);
    return f.count;
}

static void unsubscribe(world *w, size_t at, uint32_t id)
{
    assert_int_equal(node_unsubscribe(w->nodes[at].n, id), TAKO_OK);
}

/* Node `a` dials node 0. */
static void star(world *w, uint64_t seed, size_t nodes)
{
    world_init(w, seed, nodes);
    world_listen(w, 0, "tcp://hub:1");
    for (size_t i = 1; i < nodes; i++)
        world_dial(w, i, "tcp://hub:1");
}

/* Node 0 begins again. */
static void hub(world *w, const char *text)
{
    world_start(w, 0);
    world_listen(w, 0, "tcp://hub:1");
    world_subscribe(w, 0, 1, text);
}

/* A star around an archive. */
static void archive_star(world *w, uint64_t seed, size_t nodes,
                         const char *text)
{
    star(w, seed, nodes);
    world_stop(w, 0);
    w->nodes[0].archive = true;
    hub(w, text);
}

/* ---- schedules -------------------------------------------------------------------- */

/* A and B want open orders, nobody wants finished ones. A finishes one. B hears
 * of it and acknowledges. Were an acknowledgement enough, both would let go. */
static void test_leave__the_finished_order_stays_somewhere(void **state)
{
    world w;

    (void)state;
    star(&w, 1, 2);
    world_subscribe(&w, 0, 1, OPEN);
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    assert_true(has(&w, 0, 1));
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 30000);
    assert_true(has(&w, 0, 1));
    assert_true(has(&w, 1, 1));
    assert_int_equal(leaving(&w, 0), 1);
    assert_int_equal(leaving(&w, 1), 1);
    world_run(&w, 600000); /* one copy is enough then, and stays */
    assert_int_equal(has(&w, 0, 1) + has(&w, 1, 1), 1);
    world_run(&w, 600000);
    assert_int_equal(has(&w, 0, 1) + has(&w, 1, 1), 1);
    world_fini(&w);
}

/* The same with somebody who wants all: both let go, soon. */
static void test_leave__goes_to_who_wants_it(void **state)
{
    world w;

    (void)state;
    star(&w, 2, 3);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, OPEN);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    assert_true(has(&w, 2, 1));
    (void)world_do(&w, 2, "UPDATE orders SET s = 'done'");
    world_run(&w, 5000);
    assert_true(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    assert_false(has(&w, 2, 1));
    assert_int_equal(leaving(&w, 1) + leaving(&w, 2), 0);
    world_fini(&w);
}

/* Likewise in a mesh where the tills push each other nothing, as the hub does.
 * What A writes next, finished as it is, is nothing to B, which only hears that
 * the hub has all up to it. Did B not say so to A in turn, A would wait for ever
 * for B to have heard of all that it wrote. */
static void test_leave__who_has_no_use_for_what_follows_says_so(void **state)
{
    node_commit *late;
    world w;

    (void)state;
    star(&w, 17, 3);
    world_listen(&w, 1, "tcp://till:1");
    world_dial(&w, 2, "tcp://till:1");
    world_subscribe(&w, 0, 1, OPEN);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, WORLD_ALL);
    world_run(&w, 10000);
    for (unsigned i = 1; i <= 3; i++) {
        world_insert(&w, 2, i, "open");
        world_run(&w, 3000);
    }
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done' WHERE _id = 1");
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 4, 's': 'done'})");
    world_run(&w, 300);
    node_on_commit(w.nodes[0].n, late);
    world_run(&w, 60000);
    assert_true(has(&w, 2, 1));
    assert_false(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    assert_int_equal(leaving(&w, 0) + leaving(&w, 1), 0);
    world_fini(&w);
}

/* An archive never lets go of what it has, though somebody else wants it, and
 * whatever becomes of its own subscription; so its word is enough for others. */
static void test_leave__an_archive_stays(void **state)
{
    world w;

    (void)state;
    archive_star(&w, 13, 3, OPEN);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, WORLD_ALL);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 30000);
    assert_true(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    unsubscribe(&w, 0, 1);
    world_run(&w, 600000);
    assert_true(has(&w, 0, 1));
    assert_int_equal(leaving(&w, 0), 0);
    world_fini(&w);
}

static tako_err see_archive(void *ctx, const store_held *row)
{
    tako_buf *to = ctx;

    if (row->gone && row->v.len == 0)
        tako_put_bytes(to, row->archive);
    return TAKO_OK;
}

/* By its word, or as it was asked. */
static void test_leave__what_goes_to_an_archive_is_noted_as_such(void **state)
{
    world w;

    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        tako_buf who;

        archive_star(&w, 15 + i, 2, i == 0 ? WORLD_ALL : OPEN);
        world_subscribe(&w, 1, 1, OPEN);
        world_run(&w, 10000);
        world_insert(&w, 1, 1, "open");
        world_run(&w, 3000);
        (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
        world_run(&w, 30000);
        assert_false(has(&w, 1, 1));
        who = tako_buf_on(&w.t.env);
        assert_int_equal(store_held_each(w.nodes[1].reader,
                                         tako_slice_str("orders"), see_archive,
                                         &who),
                         TAKO_OK);
        assert_int_equal(who.len, SEC_KEY_BYTES);
        assert_memory_equal(who.ptr, w.nodes[0].identity.public_key,
                            SEC_KEY_BYTES);
        tako_buf_fini(&who);
        world_fini(&w);
    }
}

/* A till and a kitchen, each with an order of its own, both linked with an archive
 * that is then gone. */
static void orders_without_archive(world *w, uint64_t seed)
{
    archive_star(w, seed, 3, WORLD_ALL);
    world_listen(w, 2, "tcp://kitchen:1");
    world_dial(w, 1, "tcp://kitchen:1");
    world_subscribe(w, 1, 1, OPEN);
    world_subscribe(w, 2, 1, DONE);
    world_run(w, 10000);
    world_insert(w, 1, 1, "open");
    world_insert(w, 2, 2, "open");
    world_run(w, 3000);
    world_stop(w, 0);
}

/* What our app wrote waits for an archive, where there is one, though another keeps
 * it meanwhile: only we can say that this is all we wrote, and then we could not.
 * What others wrote does not wait. */
static void test_leave__what_is_ours_waits_for_the_archive(void **state)
{
    world w;

    (void)state;
    orders_without_archive(&w, 18);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done' WHERE _id = 1");
    (void)world_do(&w, 2, "UPDATE orders SET s = 'done' WHERE _id = 2");
    world_run(&w, 120000);
    assert_true(has(&w, 2, 1));
    assert_true(has(&w, 2, 2));
    assert_true(has(&w, 1, 1));
    assert_false(has(&w, 1, 2));
    hub(&w, WORLD_ALL);
    world_run(&w, 120000);
    assert_true(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    world_fini(&w);
}

/* One that a bad disk made unreadable waits for ever, and nothing with it. */
static void test_leave__what_cannot_be_read_keeps_no_other(void **state)
{
    world w;

    (void)state;
    orders_without_archive(&w, 20);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done' WHERE _id = 1");
    world_run(&w, 500);
    assert_true(has(&w, 2, 1));
    assert_int_equal(sqlite3_exec(store_conn_db(store_writer(w.nodes[1].st)),
                                  "UPDATE c1 SET meta = x'ff' WHERE id = x'01'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)world_do(&w, 2, "UPDATE orders SET s = 'done' WHERE _id = 2");
    world_run(&w, 120000);
    assert_true(has(&w, 1, 1));
    assert_false(has(&w, 1, 2));
    world_fini(&w);
}

/* Also where it is a neighbour no more: another that has the document asks it, too. */
static void test_leave__an_archive_is_asked_through_who_has_it(void **state)
{
    world w;

    (void)state;
    archive_star(&w, 19, 3, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    world_stop(&w, 0);
    world_listen(&w, 2, "tcp://kitchen:1");
    world_dial(&w, 1, "tcp://kitchen:1");
    world_dial(&w, 2, "tcp://hub:2");
    world_subscribe(&w, 2, 1, DONE);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 30000);
    assert_true(has(&w, 2, 1));
    assert_true(has(&w, 1, 1));
    world_start(&w, 0);
    world_listen(&w, 0, "tcp://hub:2");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_run(&w, 600000);
    assert_int_equal(world_links_up(&w, 1), 1);
    assert_true(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    world_fini(&w);
}

/* Who may not write says no yes, though it has the document and wants it. */
static void test_leave__who_may_not_write_is_no_keeper(void **state)
{
    world w;

    (void)state;
    star(&w, 14, 2);
    world_stop(&w, 0);
    w.nodes[0].read_only = true;
    hub(&w, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 120000);
    assert_true(has(&w, 0, 1));
    assert_true(has(&w, 1, 1));
    world_fini(&w);
}

/* The keeper is away: what waits, waits, also over a restart, and goes when the
 * keeper is back. */
static void test_leave__waits_for_the_keeper(void **state)
{
    world w;

    (void)state;
    star(&w, 3, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    world_stop(&w, 0);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 100000);
    assert_true(has(&w, 1, 1));
    assert_int_equal(leaving(&w, 1), 1);
    world_stop(&w, 1);
    world_start(&w, 1);
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 1, 1, OPEN);
    world_run(&w, 100000);
    assert_true(has(&w, 1, 1));
    hub(&w, WORLD_ALL);
    world_run(&w, 100000);
    assert_true(has(&w, 0, 1));
    assert_false(has(&w, 1, 1));
    assert_int_equal(leaving(&w, 1), 0);
    world_fini(&w);
}

static void begin_again(world *w)
{
    world_start(w, 1);
    world_dial(w, 1, "tcp://hub:1");
    world_subscribe(w, 1, 1, OPEN);
}

/* A program that is up for moments alone: nothing leaves so early, but what is
 * to leave is known the next time. */
static void test_leave__is_noted_by_who_ends_soon(void **state)
{
    world w;

    (void)state;
    star(&w, 11, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    world_stop(&w, 1);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    begin_again(&w);
    world_run(&w, 3000);
    assert_true(world_equal(&w));
    assert_int_equal(leaving(&w, 1), 1);
    world_stop(&w, 1);
    begin_again(&w);
    world_run(&w, 100000);
    assert_false(has(&w, 1, 1));
    assert_int_equal(leaving(&w, 1), 0);
    world_fini(&w);
}

/* Two keepers end their subscriptions at once: the smaller key stays. */
static void test_leave__both_keepers_ask_at_once(void **state)
{
    world w;

    (void)state;
    for (uint64_t seed = 1; seed < 12; seed++) {
        star(&w, seed, 2);
        for (size_t i = 0; i < 2; i++) {
            world_subscribe(&w, i, 1, DONE);
            world_subscribe(&w, i, 2, OPEN);
        }
        world_insert(&w, 0, 1, "done");
        world_run(&w, 10000);
        assert_true(has(&w, 1, 1));
        unsubscribe(&w, 0, 1);
        unsubscribe(&w, 1, 1);
        world_run(&w, 60000);
        assert_int_equal(has(&w, 0, 1) + has(&w, 1, 1), 1);
        assert_true(
            has(&w,
                memcmp(w.nodes[0].identity.public_key,
                       w.nodes[1].identity.public_key, SEC_KEY_BYTES) < 0
                    ? 0
                    : 1,
                1));
        world_fini(&w);
    }
}

/* The smaller key is let go of by the other, and cannot act on it at once, as its
 * program writes. Meanwhile the other ends its subscription as well and asks, and
 * is let go of in turn. The first answer must not count any more. */
static void test_leave__a_yes_spoils_own_questions(void **state)
{
    size_t small, large;
    world w;

    (void)state;
    star(&w, 4, 2);
    small = memcmp(w.nodes[0].identity.public_key,
                   w.nodes[1].identity.public_key, SEC_KEY_BYTES) < 0
                ? 0
                : 1;
    large = 1 - small;
    for (size_t i = 0; i < 2; i++) {
        world_subscribe(&w, i, 1, DONE);
        world_subscribe(&w, i, 2, OPEN);
    }
    world_insert(&w, 0, 1, "done");
    world_run(&w, 10000);
    unsubscribe(&w, small, 1);
    w.unplugged = true; /* the question waits on the line */
    world_run(&w, 5500);
    assert_int_equal(leaving(&w, small), 1);
    w.nodes[small].tx_open = true;
    w.unplugged = false;
    world_run(&w, 10);
    assert_true(has(&w, small, 1));
    unsubscribe(&w, large, 1);
    world_run(&w, 8000);
    assert_false(has(&w, large, 1));
    w.nodes[small].tx_open = false;
    world_run(&w, 200000);
    assert_true(has(&w, small, 1));
    world_fini(&w);
}

/* Who keeps it is no neighbour of who lets go. */
static void test_leave__asks_further_away(void **state)
{
    world w;

    (void)state;
    world_init(&w, 5, 3);
    world_listen(&w, 1, "tcp://b:1");
    world_dial(&w, 0, "tcp://b:1");
    world_dial(&w, 2, "tcp://b:1");
    world_subscribe(&w, 0, 1, OPEN);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, WORLD_ALL);
    world_run(&w, 10000);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 3000);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    world_run(&w, 60000);
    assert_true(has(&w, 2, 1));
    assert_false(has(&w, 1, 1));
    assert_false(has(&w, 0, 1));
    world_fini(&w);
}

/* Exchanging one subscription for another one that has it loses nothing, and
 * where none is left nothing leaves. */
static void test_leave__not_while_subscriptions_are_exchanged(void **state)
{
    world w;

    (void)state;
    star(&w, 6, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    unsubscribe(&w, 1, 1);
    world_run(&w, 60000);
    assert_true(has(&w, 1, 1));
    world_subscribe(&w, 1, 2, OPEN);
    world_run(&w, 60000);
    assert_true(has(&w, 1, 1));
    world_subscribe(&w, 1, 3, DONE);
    unsubscribe(&w, 1, 2);
    world_run(&w, 60000);
    assert_false(has(&w, 1, 1));
    assert_true(has(&w, 0, 1));
    world_fini(&w);
}

/* What left comes back with the subscription, the very state that left. */
static void test_leave__comes_back_when_it_is_wanted_again(void **state)
{
    world w;

    (void)state;
    star(&w, 7, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_true(has(&w, 1, 1));
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    world_run(&w, 10000);
    assert_false(has(&w, 1, 1));
    world_subscribe(&w, 1, 2, DONE);
    world_run(&w, 10000);
    assert_true(has(&w, 1, 1));
    assert_true(world_equal(&w));
    world_fini(&w);
}

/* A marker knows what was, so a stale copy does not come back; and who has it
 * is told that it is past, asks, and lets go of it too. */
static void test_leave__stale_copies_stay_away(void **state)
{
    world w;

    (void)state;
    world_init(&w, 8, 3);
    world_listen(&w, 0, "tcp://a:1");
    world_listen(&w, 1, "tcp://b:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 2, 1, OPEN);
    world_dial(&w, 1, "tcp://a:1");
    world_dial(&w, 2, "tcp://b:1");
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_true(has(&w, 2, 1));
    assert_int_equal(node_peer_remove(w.nodes[2].n, "tcp://b:1"), TAKO_OK);
    world_run(&w, 1000);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    world_run(&w, 10000);
    assert_false(has(&w, 1, 1));
    world_dial(&w, 2, "tcp://b:1"); /* which has the open one still */
    world_run(&w, 100000);
    assert_false(has(&w, 2, 1));
    assert_false(has(&w, 1, 1));
    world_fini(&w);
}

static void test_leave__keep(void **state)
{
    tako_buf out;
    tako_errbuf e = { "" };
    world w;

    (void)state;
    star(&w, 9, 2);
    out = tako_buf_on(&w.t.env);
    world_subscribe(&w, 0, 1, OPEN);
    assert_int_equal(node_subscribe_keep(w.nodes[1].n, 1, tako_slice_str(OPEN),
                                         TAKO_SLICE_NONE, &e),
                     TAKO_OK);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    world_run(&w, 10000);
    assert_true(has(&w, 1, 1)); /* and so is its keeper */
    assert_false(has(&w, 0, 1));
    assert_non_null(strstr(world_status(&w, 1, &out), "\"stale\":1"));
    assert_int_equal(leaving(&w, 1), 0);
    tako_buf_fini(&out);
    world_fini(&w);
}

static void test_leave__what_never_matched_stays(void **state)
{
    world w;

    (void)state;
    star(&w, 10, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_insert(&w, 1, 1, "draft");
    world_run(&w, 100000);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 100000);
    assert_true(has(&w, 1, 1));
    world_fini(&w);
}

typedef struct held {
    size_t rows, complete, bounded;
} held;

static tako_err count_held(void *ctx, const store_held *row)
{
    held *h = ctx;

    h->rows += row->text.len > 0;
    h->complete += row->text.len > 0 && row->v.len > 0;
    h->bounded += row->text.len > 0 && row->target.len > 0;
    return TAKO_OK;
}

static held held_at(world *w, size_t at)
{
    held h = { 0 };

    assert_int_equal(store_held_each(w->nodes[at].reader,
                                     tako_slice_str("orders"), count_held, &h),
                     TAKO_OK);
    return h;
}

/* What matched it may go: who subscribes again is complete of nothing, and what
 * is still here may show all that was. */
static void test_leave__an_ended_subscription_is_complete_no_more(void **state)
{
    world w;

    (void)state;
    star(&w, 11, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 1, 2, DONE);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 10000);
    assert_true(has(&w, 1, 1));
    assert_int_equal(held_at(&w, 1).complete, 2);
    unsubscribe(&w, 1, 1);
    world_run(&w, 60000);
    assert_false(has(&w, 1, 1));
    assert_int_equal(held_at(&w, 1).rows, 2);
    assert_int_equal(held_at(&w, 1).complete, 1);
    world_subscribe(&w, 1, 3, OPEN);
    world_run(&w, 10000);
    assert_true(has(&w, 1, 1));
    assert_int_equal(held_at(&w, 1).complete, 2);
    assert_int_equal(held_at(&w, 1).bounded, 0);
    world_fini(&w);
}

/* Tills 1 and 2 push nothing to each other, since both have all from node 0 as
 * fast. A finished order that is put away goes to node 0, and till 2 hears only
 * that node 0 has all up to it. That it heard as much it has to say, or at till 1
 * the order would wait for it for ever. */
static void test_leave__waits_for_nobody_who_heard_of_it(void **state)
{
    world w;

    (void)state;
    world_init(&w, 14, 3);
    world_listen(&w, 0, "tcp://hub:1");
    world_listen(&w, 1, "tcp://till:1");
    world_dial(&w, 2, "tcp://till:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 1, 2, DONE);
    world_subscribe(&w, 2, 1, OPEN);
    world_run(&w, 3000);
    world_dial(&w, 1, "tcp://hub:1");
    world_dial(&w, 2, "tcp://hub:1");
    world_run(&w, 10000);
    for (unsigned i = 1; i <= 6; i++) { /* they prune their link */
        world_insert(&w, 0, i, "open");
        world_run(&w, 3000);
    }
    world_insert(&w, 1, 7, "done");
    world_run(&w, 10000);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'away' WHERE _id = 7");
    world_run(&w, 60000);
    assert_true(has(&w, 0, 7));
    assert_false(has(&w, 1, 7));
    assert_int_equal(leaving(&w, 1), 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leave__the_finished_order_stays_somewhere),
        cmocka_unit_test(test_leave__goes_to_who_wants_it),
        cmocka_unit_test(test_leave__who_has_no_use_for_what_follows_says_so),
        cmocka_unit_test(test_leave__an_archive_stays),
        cmocka_unit_test(test_leave__what_goes_to_an_archive_is_noted_as_such),
        cmocka_unit_test(test_leave__what_is_ours_waits_for_the_archive),
        cmocka_unit_test(test_leave__what_cannot_be_read_keeps_no_other),
        cmocka_unit_test(test_leave__an_archive_is_asked_through_who_has_it),
        cmocka_unit_test(test_leave__who_may_not_write_is_no_keeper),
        cmocka_unit_test(test_leave__waits_for_the_keeper),
        cmocka_unit_test(test_leave__is_noted_by_who_ends_soon),
        cmocka_unit_test(test_leave__both_keepers_ask_at_once),
        cmocka_unit_test(test_leave__a_yes_spoils_own_questions),
        cmocka_unit_test(test_leave__asks_further_away),
        cmocka_unit_test(test_leave__not_while_subscriptions_are_exchanged),
        cmocka_unit_test(test_leave__comes_back_when_it_is_wanted_again),
        cmocka_unit_test(test_leave__stale_copies_stay_away),
        cmocka_unit_test(test_leave__keep),
        cmocka_unit_test(test_leave__what_never_matched_stays),
        cmocka_unit_test(test_leave__an_ended_subscription_is_complete_no_more),
        cmocka_unit_test(test_leave__waits_for_nobody_who_heard_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
