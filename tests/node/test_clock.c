// SPDX-License-Identifier: Apache-2.0
/* Devices with wrong clocks, and neighbours that know better. Node 0 is the one
 * whose clock is wrong. */
#include "node/support_world.h"

#include <stdio.h>

#include "node/internal.h"

#define MINUTE INT64_C(60000)
#define YEAR   (INT64_C(365) * 24 * 60 * MINUTE)

/* All want all, and node 0 listens. */
static void begin(world *w, uint64_t seed, size_t nodes)
{
    world_init(w, seed, nodes);
    for (size_t i = 0; i < nodes; i++)
        world_subscribe(w, i, 1, WORLD_ALL);
    world_listen(w, 0, "tcp://a:1");
}

static void join(world *w, size_t at)
{
    world_dial(w, at, "tcp://a:1");
    world_run(w, 3000);
}

/* Node 0 and node 1 set the order, neither having seen the other's write. */
static void write_apart(world *w, const char *theirs, const char *ours)
{
    w->unplugged = true;
    world_do(w, 1, theirs);
    w->t.wall_ms += 2000;
    world_do(w, 0, ours);
    w->t.wall_ms += 2000;
    world_do(w, 1, theirs); /* the later one */
    w->unplugged = false;
}

static bool shows(world *w, size_t at, const char *status)
{
    char text[200];
    query *q = NULL;
    tako_errbuf e = { "" };
    tako_buf ids = tako_buf_on(&w->t.env);
    uint64_t count = 0;
    store *st = w->nodes[at].st;
    tako_slice none = TAKO_SLICE_NONE;

    (void)snprintf(text, sizeof text,
                   "UPDATE orders SET seen = true WHERE _id = 1 AND s = '%s'",
                   status);
    assert_int_equal(query_prepare(&w->t.env, store_writer(st),
                                   tako_slice_str(text), &q, &e),
                     TAKO_OK);
    assert_int_equal(query_bind(q, none, &e), TAKO_OK);
    assert_int_equal(store_begin(st, &e), TAKO_OK);
    assert_int_equal(query_run(q, st, &ids, &count, &e), TAKO_OK);
    store_rollback(st);
    query_free(q);
    tako_buf_fini(&ids);
    return count == 1;
}

static const char *clock_of(world *w, size_t at, tako_buf *out)
{
    const char *found = strstr(world_status(w, at, out), "\"clock\":");

    assert_non_null(found);
    return found;
}

static void assert_clock(world *w, size_t at, const char *state)
{
    tako_buf out = tako_buf_on(&w->t.env);
    char text[60];

    (void)snprintf(text, sizeof text, "\"clock\":{\"state\":\"%s\"", state);
    assert_ptr_equal(strstr(clock_of(w, at, &out), text),
                     clock_of(w, at, &out));
    tako_buf_fini(&out);
}

static crdt_actor actor_of(world *w, size_t at)
{
    return store_actor(w->nodes[at].st);
}

#define THEIRS "UPDATE orders SET s = 'theirs' WHERE _id = 1"
#define OURS   "UPDATE orders SET s = 'ours' WHERE _id = 1"

/* A device ran a year ahead, and is set right. It wins on until two neighbours
 * confirm the time, and loses then, as it wrote earlier. */
static void test_clock__a_year_ahead_wins_nothing_once_corrected(void **state)
{
    world w;
    crdt_actor before;

    (void)state;
    begin(&w, 1, 3);
    w.nodes[0].wrong_ms = YEAR;
    world_insert(&w, 0, 1, "open");
    w.nodes[0].wrong_ms = 0;
    join(&w, 1);
    before = actor_of(&w, 0);
    assert_clock(&w, 0, "unconfirmed");
    write_apart(&w, THEIRS, OURS);
    world_run(&w, 1000);
    assert_true(world_equal(&w) || world_count(&w, 2) == 0);
    assert_true(shows(&w, 0, "ours") && shows(&w, 1, "ours"));
    assert_int_equal(crdt_actor_cmp(before, actor_of(&w, 0)), 0);

    join(&w, 2);
    assert_clock(&w, 0, "confirmed");
    write_apart(&w, THEIRS, OURS);
    world_run(&w, 1000);
    assert_int_not_equal(crdt_actor_cmp(before, actor_of(&w, 0)), 0);
    assert_true(world_equal(&w));
    for (size_t i = 0; i < 3; i++)
        assert_true(shows(&w, i, "theirs"));
    world_fini(&w);
}

/* It is still wrong, and its neighbours' clocks are taken for its own. */
static void test_clock__a_contradicted_one_is_replaced(void **state)
{
    world w;

    (void)state;
    begin(&w, 2, 3);
    w.nodes[0].wrong_ms = YEAR;
    world_insert(&w, 0, 1, "open");
    join(&w, 1);
    join(&w, 2);
    assert_clock(&w, 0, "contradicted");
    assert_clock(&w, 1, "unconfirmed"); /* it has one neighbour */
    write_apart(&w, THEIRS, OURS);
    world_run(&w, 1000);
    assert_true(world_equal(&w) && shows(&w, 0, "theirs"));
    w.nodes[0].wrong_ms = 0;
    assert_clock(&w, 0, "confirmed");
    world_fini(&w);
}

/* What it wrote under the former name still goes out, and so does what it
 * writes under the next one; peers are told of it. */
static void test_clock__what_was_not_sent_is_sent(void **state)
{
    world w;
    sync_counts c;

    (void)state;
    begin(&w, 3, 3);
    w.nodes[0].wrong_ms = YEAR;
    world_insert(&w, 0, 1, "open");
    join(&w, 1);
    join(&w, 2);
    w.unplugged = true;
    w.nodes[0].tx_open = true; /* so its store hears nothing more */
    world_insert(&w, 0, 2, "open");
    w.nodes[0].tx_open = false;
    w.unplugged = false;
    world_insert(&w, 0, 3, "open");
    world_run(&w, 3000);
    world_do(&w, 0, OURS);
    world_run(&w, 3000);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 2), 3);
    for (size_t i = 1; i < 3; i++) {
        sync_session_counts(w.nodes[i].n->links->session, &c);
        assert_int_equal(crdt_actor_cmp(c.peer_actor, actor_of(&w, 0)), 0);
    }
    assert_true(
        node_acknowledged(w.nodes[0].n, NULL, store_lsn(w.nodes[0].st)));
    world_fini(&w);
}

/* One archive is enough, as soon as it said that it is one. */
static void test_clock__an_archive_is_enough(void **state)
{
    world w;

    (void)state;
    begin(&w, 4, 2);
    world_stop(&w, 1);
    w.nodes[1].archive = true;
    world_start(&w, 1);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    w.nodes[0].wrong_ms = YEAR;
    world_insert(&w, 0, 1, "open");
    join(&w, 1);
    world_run(&w, 10000);
    assert_true(world_equal(&w));
    assert_clock(&w, 0, "contradicted");
    world_fini(&w);
}

/* The links of one device are one neighbour, and so is one that came again. */
static void test_clock__a_device_has_one_vote(void **state)
{
    world w;

    (void)state;
    begin(&w, 5, 2);
    w.nodes[0].wrong_ms = YEAR;
    for (unsigned i = 0; i < 3; i++) {
        join(&w, 1);
        world_break(&w, 1);
        world_run(&w, 100);
        assert_int_equal(node_peer_remove(w.nodes[1].n, "tcp://a:1"), TAKO_OK);
    }
    assert_clock(&w, 0, "unconfirmed");
    assert_int_equal(w.nodes[0].n->clocks.count, 1);
    world_fini(&w);
}

/* A hub whose clock is set after its sessions began says so. */
static void test_clock__one_that_is_set_later_is_told(void **state)
{
    world w;

    (void)state;
    begin(&w, 6, 3);
    w.nodes[1].wrong_ms = -30 * 24 * 60 * MINUTE;
    w.nodes[2].wrong_ms = w.nodes[1].wrong_ms;
    join(&w, 1);
    join(&w, 2);
    assert_clock(&w, 0, "contradicted");
    w.nodes[1].wrong_ms = w.nodes[2].wrong_ms = 0;
    world_run(&w, 3 * (uint64_t)MINUTE);
    assert_clock(&w, 0, "confirmed");
    world_fini(&w);
}

/* A transaction that is open for long delays it, and no more. */
static void test_clock__the_store_hears_when_it_is_free(void **state)
{
    world w;

    (void)state;
    begin(&w, 7, 3);
    w.nodes[0].wrong_ms = YEAR;
    w.nodes[0].tx_open = true;
    join(&w, 1);
    join(&w, 2);
    world_run(&w, 5000);
    w.nodes[0].tx_open = false;
    world_run(&w, 2000);
    world_insert(&w, 0, 1, "open");
    assert_true(CRDT_HLC_MS(store_own_hlc(w.nodes[0].st)) <
                w.t.wall_ms + 60000);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__a_year_ahead_wins_nothing_once_corrected),
        cmocka_unit_test(test_clock__a_contradicted_one_is_replaced),
        cmocka_unit_test(test_clock__what_was_not_sent_is_sent),
        cmocka_unit_test(test_clock__an_archive_is_enough),
        cmocka_unit_test(test_clock__a_device_has_one_vote),
        cmocka_unit_test(test_clock__one_that_is_set_later_is_told),
        cmocka_unit_test(test_clock__the_store_hears_when_it_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
