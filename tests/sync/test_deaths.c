// SPDX-License-Identifier: Apache-2.0
/* Deletes that stay deleted: the schedules of SYNC.md 4, by name. */
#include "sync/support_net.h"

#include "store/deaths.h"
#include "sync/wire.h"

#define DAY_MS UINT64_C(86400000)
#define TTL    30u
#define A      0u
#define B      1u
#define C      2u
#define D      7u /* the document; its _id is a ULID */

static void sleep_days(net *n, uint32_t days)
{
    n->t.wall_ms += days * DAY_MS;
    n->t.mono_ms += days * DAY_MS;
}

static uint64_t reap_now(net *n, size_t node)
{
    tako_errbuf e = { "" };
    uint64_t reaped = 0, all = 0;
    bool more = true;

    while (more) {
        if (store_reap(n->nodes[node].st, TTL, 1000, &reaped, &more, &e) !=
            TAKO_OK)
            fail_msg("%s", e.text);
        all += reaped;
    }
    return all;
}

/* Days on which only this node is awake. */
static uint64_t live_days(net *n, size_t node, uint32_t days)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < days; i++) {
        sleep_days(n, 1);
        all += reap_now(n, node);
    }
    return all;
}

static void meet(net *n, net_link *l)
{
    net_reconnect(n, l);
    net_settle(n);
    assert_true(l->up);
    net_disconnect(n, l);
}

static uint32_t coll_at(net *n, size_t node)
{
    uint32_t coll = 0;

    (void)store_coll_find(store_writer(n->nodes[node].st),
                          tako_slice_str("orders"), &coll);
    return coll;
}

static store_yard yard_at(net *n, size_t node)
{
    store_yard y;
    tako_errbuf e;

    assert_int_equal(
        store_yard_read(n->nodes[node].reader, coll_at(n, node), &y, &e),
        TAKO_OK);
    return y;
}

static bool count_one(void *ctx, const store_quarantined *q)
{
    (void)q;
    ++*(unsigned *)ctx;
    return true;
}

static unsigned quarantined(net *n, size_t node)
{
    tako_errbuf e;
    unsigned count = 0;

    assert_int_equal(
        store_quarantine_each(n->nodes[node].reader, count_one, &count, &e),
        TAKO_OK);
    return count;
}

static void check_sound(net *n)
{
    tako_errbuf e = { "" };
    uint64_t findings;

    for (size_t i = 0; i < n->node_count; i++) {
        assert_int_equal(
            store_check(n->nodes[i].reader, NULL, NULL, &findings, &e),
            TAKO_OK);
        assert_int_equal(findings, 0);
    }
}

/* Three nodes that all have D, and the links ab, bc, ac, which are down. */
typedef struct trio {
    net n;
    net_link *ab, *bc, *ac;
} trio;

static void trio_begin(trio *t, uint64_t seed, const char *of_c)
{
    net_init(&t->n, seed, 3);
    net_subscribe(&t->n, A, "orders");
    net_subscribe(&t->n, B, "orders");
    net_subscribe(&t->n, C, of_c);
    t->ab = net_connect(&t->n, A, B);
    t->bc = net_connect(&t->n, B, C);
    t->ac = net_connect(&t->n, A, C);
    net_insert(&t->n, A, "orders", D, "open", "old");
    net_settle(&t->n);
    assert_string_equal(net_get(&t->n, C, "orders", D, "p"), "old");
    net_disconnect(&t->n, t->ab);
    net_disconnect(&t->n, t->bc);
    net_disconnect(&t->n, t->ac);
}

static void trio_end(trio *t)
{
    check_sound(&t->n);
    net_fini(&t->n);
}

static void delete_and_reap(trio *t)
{
    net_delete(&t->n, A, "orders", D);
    assert_string_equal(net_get(&t->n, A, "orders", D, "p"), "x");
    assert_int_equal(live_days(&t->n, A, TTL - 1), 0);
    assert_string_equal(net_get(&t->n, A, "orders", D, "p"), "x");
    assert_int_equal(live_days(&t->n, A, 2), 1);
    assert_string_equal(net_get(&t->n, A, "orders", D, "p"), "-");
    assert_int_equal(yard_at(&t->n, A).graves, 1);
    assert_int_equal(yard_at(&t->n, A).epoch, 2);
}

/* B and C, both away, sync with each other on day 35; B meets A. */
static void test_day_35(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 1, "orders");
    delete_and_reap(&t);
    sleep_days(&t.n, 4);
    meet(&t.n, t.bc);
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "-");
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "x");
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "old");
    meet(&t.n, t.bc); /* who learnt of it passes it on */
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "-");
    assert_int_equal(quarantined(&t.n, B) + quarantined(&t.n, C), 0);
    /* the notices are reaped like tombstones */
    (void)live_days(&t.n, B, TTL + 1);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "-");
    meet(&t.n, t.bc);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "-");
    trio_end(&t);
}

/* A later life of what died at C comes from B, in a state that ended before C
 * was complete: that is past there, like any. */
static void test_a_later_life_may_be_past_too(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 31, "orders?open");
    delete_and_reap(&t);
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    net_insert(&t.n, A, "orders", D, "open", "new");
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "new");
    net_begin(&t.n, A);
    net_set(&t.n, A, "orders", D, "s", "done");
    net_insert(&t.n, A, "orders", D + 1, "open", "after");
    net_commit_now(&t.n, A);
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, C, "orders", D + 1, "p"), "after");
    meet(&t.n, t.bc);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    trio_end(&t);
}

/* All links up while the word goes round. */
static void test_passed_on_while_connected(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 2, "orders?open");
    delete_and_reap(&t);
    net_reconnect(&t.n, t.bc);
    net_settle(&t.n);
    net_reconnect(&t.n, t.ab);
    net_settle(&t.n);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "x");
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    trio_end(&t);
}

/* What a node that was away made is not destroyed. */
static void test_known_only_to_who_was_away(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 3, "orders");
    net_insert(&t.n, B, "orders", 8, "open", "E");
    delete_and_reap(&t);
    sleep_days(&t.n, 400);
    meet(&t.n, t.ab);
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, A, "orders", 8, "p"), "E");
    assert_string_equal(net_get(&t.n, C, "orders", 8, "p"), "E");
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    trio_end(&t);
}

/* The key is inserted again where nothing of it is left: neither another
 * node's tombstone kills it, nor do old fields return inside it. */
static void test_inserted_again_after_reaping(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 4, "orders");
    net_set(&t.n, B, "orders", D, "x", "old");
    net_delete(&t.n, A, "orders", D);
    meet(&t.n, t.ac); /* C has the tombstone and does not reap it */
    (void)live_days(&t.n, A, TTL + 1);
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "-");
    net_insert(&t.n, A, "orders", D, "open", "new");
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "new");
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "new");
    meet(&t.n, t.ab);
    meet(&t.n, t.bc);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(net_get(&t.n, i, "orders", D, "p"), "new");
        assert_string_equal(net_get(&t.n, i, "orders", D, "x"), "");
    }
    trio_end(&t);
}

/* The same by a node that only was told of the death. */
static void test_inserted_again_by_who_was_told(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 5, "orders");
    net_set(&t.n, C, "orders", D, "x", "old");
    delete_and_reap(&t);
    meet(&t.n, t.ab);
    assert_int_equal(yard_at(&t.n, B).epoch, 2);
    net_insert(&t.n, B, "orders", D, "open", "new");
    meet(&t.n, t.bc);
    meet(&t.n, t.ac);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(net_get(&t.n, i, "orders", D, "p"), "new");
        assert_string_equal(net_get(&t.n, i, "orders", D, "x"), "");
    }
    trio_end(&t);
}

/* Two INSERTs made one life; only one of them died. Who has only the other
 * keeps it, and gives it to those who had both. */
static void test_equal_generation_is_not_killed(void **state)
{
    net n;
    net_link *ab, *bc, *ac;

    (void)state;
    net_init(&n, 6, 3);
    net_subscribe_all(&n, "orders");
    net_insert(&n, A, "orders", D, "open", "a");
    net_insert(&n, C, "orders", D, "open", "c");
    ab = net_connect(&n, A, B);
    net_settle(&n);
    net_disconnect(&n, ab);
    net_delete(&n, A, "orders", D);
    (void)live_days(&n, A, TTL + 1);
    {
        /* B hears of C's, while C hears nothing of A's: B is copied there */
        net_link *l = net_connect(&n, B, C);

        bc = l;
        l->ends[0].node->sub_count = 0;
        net_disconnect(&n, l);
        l->ends[0].node->sub_count = 1;
        l->ends[1].node->sub_count = 0;
        net_reconnect(&n, l);
        net_settle(&n);
        net_disconnect(&n, l);
        l->ends[1].node->sub_count = 1;
    }
    assert_string_equal(net_get(&n, B, "orders", D, "s"), "open");
    meet(&n, ab); /* B has both, and is told of A's */
    assert_string_equal(net_get(&n, B, "orders", D, "p"), "x");
    assert_string_equal(net_get(&n, C, "orders", D, "p"), "c");
    meet(&n, bc);
    ac = net_connect(&n, A, C);
    net_settle(&n);
    net_disconnect(&n, ac);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(net_get(&n, i, "orders", D, "p"), "c");
    check_sound(&n);
    net_fini(&n);
}

/* Where the teller has another life of the key, the told one takes that, in
 * the same meeting. */
static void test_the_other_side_s_document_is_taken(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 7, "orders");
    net_set(&t.n, B, "orders", D, "x", "old");
    delete_and_reap(&t);
    net_insert(&t.n, A, "orders", D, "open", "new");
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "new");
    assert_string_equal(net_get(&t.n, B, "orders", D, "x"), "");
    trio_end(&t);
}

/* The same whatever order the messages come in: also where the other life came
 * before the word of the death, and went with our copy. */
static void test_the_other_life_is_asked_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        net n;
        net_link *ab, *bc, *ac;

        net_init(&n, seed, 3);
        net_subscribe_all(&n, "orders");
        net_insert(&n, A, "orders", D, "open", "a");
        net_insert(&n, C, "orders", D, "open", "c");
        ab = net_connect(&n, A, B);
        net_settle(&n);
        net_disconnect(&n, ab);
        net_delete(&n, A, "orders", D);
        (void)live_days(&n, A, TTL + 1);
        ac = net_connect(&n, A, C); /* A: c's life, and a's grave */
        net_settle(&n);
        net_disconnect(&n, ac);
        assert_string_equal(net_get(&n, A, "orders", D, "p"), "c");
        bc = net_connect(&n, B, C); /* B: both */
        for (int i = 0; i < 200 && seed % 2 == 0; i++)
            net_step(&n);
        net_disconnect(&n, bc);
        net_reconnect(&n, ab);
        for (int i = 0; i < 400; i++)
            net_step(&n);
        net_settle(&n);
        assert_true(ab->up);
        assert_string_equal(net_get(&n, A, "orders", D, "p"), "c");
        assert_string_equal(net_get(&n, B, "orders", D, "p"), "c");
        net_fini(&n);
    }
}

/* A concurrent INSERT across a reaping: the greater generation, whole. */
static void test_insert_across_a_reaping(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 8, "orders");
    delete_and_reap(&t);
    net_insert(&t.n, A, "orders", 8, "open", "high"); /* generation 3 */
    net_insert(&t.n, B, "orders", 8, "open", "low");  /* 1 */
    net_set(&t.n, B, "orders", 8, "x", "low");
    meet(&t.n, t.ab);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(net_get(&t.n, i, "orders", 8, "p"), "high");
        assert_string_equal(net_get(&t.n, i, "orders", 8, "x"), "");
    }
    assert_true(t.n.nodes[A].events[SYNC_EVENT_LOST] +
                    t.n.nodes[B].events[SYNC_EVENT_LOST] >
                0);
    trio_end(&t);
}

/* Changes that nobody else can have are kept aside; a document that was only
 * inserted here is not. */
static void test_own_changes_are_quarantined(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 9, "orders");
    net_insert(&t.n, B, "orders", 10, "open", "mine");
    meet(&t.n, t.ab);
    net_set(&t.n, C, "orders", D, "x", "late");
    net_delete(&t.n, A, "orders", 10);
    net_delete(&t.n, A, "orders", D);
    assert_int_equal(live_days(&t.n, A, TTL + 1), 2);
    meet(&t.n, t.ac);
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    assert_int_equal(quarantined(&t.n, C), 1);
    assert_int_equal(t.n.nodes[C].events[SYNC_EVENT_DEAD], 1);
    assert_string_equal(net_get(&t.n, B, "orders", 10, "p"), "x");
    assert_int_equal(quarantined(&t.n, B), 0);
    trio_end(&t);
}

/* Who takes all of a collection takes its graveyard, and then knows what who
 * buried it knew. */
static void test_graveyard_comes_with_the_collection(void **state)
{
    net n;
    net_link *ab, *bc, *ac;
    store_yard a, c;

    (void)state;
    net_init(&n, 10, 3);
    net_subscribe_all(&n, "orders");
    for (uint64_t id = 1; id <= 300; id++)
        net_insert(&n, A, "orders", id, "open", "old");
    ab = net_connect(&n, A, B);
    net_settle(&n);
    net_disconnect(&n, ab);
    for (uint64_t id = 1; id <= 290; id++)
        net_delete(&n, A, "orders", id);
    assert_int_equal(live_days(&n, A, TTL + 1), 290);
    ac = net_connect(&n, A, C);
    net_settle(&n);
    net_disconnect(&n, ac);
    a = yard_at(&n, A);
    c = yard_at(&n, C);
    assert_memory_equal(&a, &c, sizeof a);
    assert_int_equal(c.graves, 290);
    assert_int_equal(net_live_count(&n, C), 10);
    bc = net_connect(&n, B, C);
    net_settle(&n);
    assert_int_equal(net_live_count(&n, B), 10);
    assert_int_equal(net_live_count(&n, C), 10);
    check_sound(&n);
    net_fini(&n);
    (void)bc;
}

/* Equal graveyards cost one message each way, empty ones none. */
static void test_equal_graveyards_are_one_message(void **state)
{
    trio t;
    sync_counts before, after;

    (void)state;
    trio_begin(&t, 11, "orders");
    net_reconnect(&t.n, t.ab);
    net_settle(&t.n);
    sync_session_counts(t.ab->ends[0].session, &before);
    net_disconnect(&t.n, t.ab);
    delete_and_reap(&t);
    meet(&t.n, t.ab);
    net_reconnect(&t.n, t.ab);
    net_settle(&t.n);
    sync_session_counts(t.ab->ends[0].session, &after);
    assert_int_equal(after.messages_in, before.messages_in + 1);
    assert_int_equal(after.messages_out, before.messages_out + 1);
    trio_end(&t);
}

/* A neighbour that never had a document inserts its key: once the tombstone is
 * reaped, that is a life of its own, whether the epoch was told or not. */
static void test_epoch_is_told(void **state)
{
    for (int late = 0; late < 2; late++) {
        net n;
        net_link *l;

        (void)state;
        net_init(&n, 18, 2);
        net_subscribe(&n, A, "orders");
        net_subscribe(&n, B, late != 0 ? "orders?open" : "orders");
        if (late == 0) {
            net_insert(&n, A, "orders", D, "closed", "old");
            net_delete(&n, A, "orders", D);
            (void)live_days(&n, A, TTL + 1);
        }
        l = net_connect(&n, A, B);
        net_settle(&n);
        if (late != 0) {
            net_insert(&n, A, "orders", D, "closed", "old");
            net_settle(&n);
            net_delete(&n, A, "orders", D);
            net_settle(&n);
            (void)live_days(&n, A, TTL + 1);
        }
        net_disconnect(&n, l);
        net_insert(&n, B, "orders", D, "open", "new");
        meet(&n, l);
        assert_string_equal(net_get(&n, A, "orders", D, "p"), "new");
        assert_string_equal(net_get(&n, B, "orders", D, "p"), "new");
        net_fini(&n);
    }
}

/* C takes a part: no graves come, and what it offers is answered. */
static void test_part_of_a_collection(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 12, "orders?open");
    net_insert(&t.n, C, "orders", 8, "open", "E");
    delete_and_reap(&t);
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    assert_string_equal(net_get(&t.n, A, "orders", 8, "p"), "E");
    net_delete(&t.n, A, "orders", 8);
    meet(&t.n, t.ac);
    (void)live_days(&t.n, A, TTL + 1);
    meet(&t.n, t.ac);
    assert_int_equal(yard_at(&t.n, A).graves, 2);
    assert_int_equal(yard_at(&t.n, C).graves, 1);
    trio_end(&t);
}

/* Each takes a part, and B's document is in no part of A: it is not offered to
 * A, who knows that it is dead. The graveyard tells. */
static void test_between_two_parts(void **state)
{
    net n;
    net_link *l;

    (void)state;
    net_init(&n, 31, 2);
    net_subscribe(&n, A, "orders?done");
    net_subscribe(&n, B, "orders?open");
    net_insert(&n, A, "orders", D, "open", "old");
    net_insert(&n, A, "orders", 8, "open", "E");
    l = net_connect(&n, A, B);
    net_settle(&n);
    assert_string_equal(net_get(&n, B, "orders", D, "p"), "old");
    net_disconnect(&n, l);
    net_set(&n, B, "orders", D, "x", "changed");
    net_delete(&n, A, "orders", D);
    assert_int_equal(live_days(&n, A, TTL + 1), 1);
    meet(&n, l);
    assert_string_equal(net_get(&n, B, "orders", D, "p"), "x");
    assert_string_equal(net_get(&n, B, "orders", 8, "p"), "E");
    assert_int_equal(quarantined(&n, B), 1);
    assert_int_equal(yard_at(&n, B).graves, 1);
    /* equal from then on: each says what it has, and no more */
    n.kinds[SYNC_MSG_BURIED] = n.kinds[SYNC_MSG_GRAVES] = 0;
    meet(&n, l);
    assert_int_equal(n.kinds[SYNC_MSG_BURIED] + n.kinds[SYNC_MSG_GRAVES], 0);
    check_sound(&n);
    net_fini(&n);
}

/* A partial node reaped a deletion that nobody ever heard of. */
static void test_unheard_deletion_of_a_part(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 13, "orders?open");
    net_set(&t.n, A, "orders", D, "s", "closed");
    net_delete(&t.n, C, "orders", D);
    (void)live_days(&t.n, C, TTL + 1);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "-");
    meet(&t.n, t.ac); /* A offers nothing closed: the graveyard tells */
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "x");
    assert_int_equal(quarantined(&t.n, A), 1);
    trio_end(&t);
}

/* What cannot be told any more is neither taken nor dropped. */
static void test_doubtful(void **state)
{
    trio t;
    crdt_dot floor = { .hlc = UINT64_C(1) << 62 };
    tako_errbuf e;

    (void)state;
    trio_begin(&t, 14, "orders");
    net_insert(&t.n, B, "orders", 8, "open", "E");
    floor.actor = store_actor(t.n.nodes[B].st);
    net_begin(&t.n, A);
    assert_int_equal(
        store_floor_raise(t.n.nodes[A].st, coll_at(&t.n, A), floor, &e),
        TAKO_OK);
    net_commit_now(&t.n, A);
    meet(&t.n, t.ab);
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, A, "orders", 8, "p"), "-");
    assert_string_equal(net_get(&t.n, B, "orders", 8, "p"), "E");
    assert_int_equal(quarantined(&t.n, B), 1);
    assert_int_equal(t.n.nodes[B].events[SYNC_EVENT_DOUBTFUL], 1);
    /* what is known here is no doubt */
    net_set(&t.n, B, "orders", D, "x", "new");
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, A, "orders", D, "x"), "new");
    /* floors come with a collection: after its documents */
    meet(&t.n, t.ac);
    assert_string_equal(net_get(&t.n, C, "orders", D, "x"), "new");
    assert_int_equal(yard_at(&t.n, C).floors, yard_at(&t.n, A).floors);
    trio_end(&t);
}

/* A backup from before the deletion is opened again. */
static void test_backup_restored(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 15, "orders");
    net_save(&t.n, B, "B1");
    net_delete(&t.n, A, "orders", D);
    meet(&t.n, t.ab);
    (void)live_days(&t.n, A, TTL + 1);
    (void)reap_now(&t.n, B);
    net_restore(&t.n, B, "B1");
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "old");
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "-");
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "x");
    trio_end(&t);
}

/* An evicted document is no document that lives. */
static void test_evicted_meanwhile(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 16, "orders");
    net_evict(&t.n, B, "orders", D, false);
    delete_and_reap(&t);
    meet(&t.n, t.bc);
    meet(&t.n, t.ab);
    assert_string_equal(net_get(&t.n, B, "orders", D, "p"), "x");
    meet(&t.n, t.bc);
    assert_string_equal(net_get(&t.n, C, "orders", D, "p"), "x");
    trio_end(&t);
}

/* A delta to what was reaped here. */
static void test_change_of_what_was_reaped(void **state)
{
    trio t;

    (void)state;
    trio_begin(&t, 17, "orders?open");
    net_delete(&t.n, A, "orders", D);
    (void)live_days(&t.n, A, TTL + 1);
    net_reconnect(&t.n, t.bc);
    net_settle(&t.n);
    net_reconnect(&t.n, t.ac);
    net_set(&t.n, B, "orders", D, "x", "1");
    net_settle(&t.n);
    net_reconnect(&t.n, t.ab);
    net_set(&t.n, B, "orders", D, "x", "2");
    net_settle(&t.n);
    for (size_t i = 1; i < 3; i++)
        assert_string_equal(net_get(&t.n, i, "orders", D, "p"), "x");
    assert_string_equal(net_get(&t.n, A, "orders", D, "p"), "-");
    trio_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_later_life_may_be_past_too),
        cmocka_unit_test(test_day_35),
        cmocka_unit_test(test_passed_on_while_connected),
        cmocka_unit_test(test_known_only_to_who_was_away),
        cmocka_unit_test(test_inserted_again_after_reaping),
        cmocka_unit_test(test_inserted_again_by_who_was_told),
        cmocka_unit_test(test_equal_generation_is_not_killed),
        cmocka_unit_test(test_the_other_side_s_document_is_taken),
        cmocka_unit_test(test_the_other_life_is_asked_for),
        cmocka_unit_test(test_insert_across_a_reaping),
        cmocka_unit_test(test_own_changes_are_quarantined),
        cmocka_unit_test(test_graveyard_comes_with_the_collection),
        cmocka_unit_test(test_equal_graveyards_are_one_message),
        cmocka_unit_test(test_epoch_is_told),
        cmocka_unit_test(test_part_of_a_collection),
        cmocka_unit_test(test_between_two_parts),
        cmocka_unit_test(test_unheard_deletion_of_a_part),
        cmocka_unit_test(test_doubtful),
        cmocka_unit_test(test_backup_restored),
        cmocka_unit_test(test_evicted_meanwhile),
        cmocka_unit_test(test_change_of_what_was_reaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
