// SPDX-License-Identifier: Apache-2.0
/* Crash points while two devices sync: see test_crash_points.c.
 *
 * A device on a disk that ends, and a peer. Both write, each its own documents,
 * the peer always two in one transaction; the device downloads, receives
 * cuts, sends, closes. For each n the device is killed, or loses power, in the
 * n-th change of its disk; it comes back by itself. Then, before it has heard
 * anything: it is sound, all that it acknowledged is there, nothing of what it
 * did not is half there, and of each of the peer's transactions both documents
 * or none. And a while later both have everything, and the same. */
#include "sim/net.h"
#include "sim/support_crash.h"

#include <stdio.h>
#include <time.h>

#define STEP_US   (150 * SIM_MS)
#define SETTLE_US (300 * SIM_SECOND)
#define OWN_MAX   8u
#define PAIRS     6u

/* Documents d0, d1, ... are the device's, p0a, p0b, p1a, ... the peer's. */
typedef struct step {
    bool device;
    const char *statements[3];
    size_t count;
    unsigned own; /* of the device's: which document, */
    int value;    /* and what it is then; -1: deleted */
} step;

#define PEER(text)                                                             \
    {                                                                          \
        false, { text }, 1, 0, 0                                               \
    }
#define DEVICE(text, own, value)                                               \
    {                                                                          \
        true, { text }, 1, own, value                                          \
    }

static const step steps[] = {
    PEER("INSERT INTO orders DOCUMENTS ({'_id': 'p0a', 'v': 1}), ({'_id': "
         "'p0b', 'v': 1})"),
    DEVICE("INSERT INTO orders DOCUMENTS ({'_id': 'd0', 'v': 1})", 0, 1),
    PEER("UPDATE orders SET v = 2 WHERE _id IN ('p0a', 'p0b')"),
    PEER("INSERT INTO orders DOCUMENTS ({'_id': 'p1a', 'v': 1, 'pad': "
         "REPEAT('x', 3000)}), ({'_id': 'p1b', 'v': 1})"),
    DEVICE("UPDATE orders SET v = 2 WHERE _id = 'd0'", 0, 2),
    { true,
      { "INSERT INTO orders DOCUMENTS ({'_id': 'd1', 'v': 1})",
        "UPDATE orders SET v = 1, more = REPEAT('y', 2000) WHERE _id = 'd1'" },
      2,
      1,
      1 },
    PEER("UPDATE orders SET v = v + 1 WHERE _id LIKE 'p%'"),
    PEER("DELETE FROM orders WHERE _id IN ('p0a', 'p0b')"),
    DEVICE("CREATE INDEX by_v ON orders (v)", 0, 2),
    PEER("INSERT INTO orders DOCUMENTS ({'_id': 'p0a', 'v': 9}), ({'_id': "
         "'p0b', 'v': 9})"),
    DEVICE("DELETE FROM orders WHERE _id = 'd1'", 1, -1),
    PEER("UPDATE orders APPLY n INCREMENT BY 2 SET v = 10 WHERE _id IN "
         "('p0a', 'p0b')"),
    DEVICE("INSERT INTO orders DOCUMENTS ({'_id': 'd1', 'v': 5})", 1, 5),
    PEER("UPDATE orders SET v = 11 UNSET pad WHERE _id LIKE 'p%'"),
    DEVICE("UPDATE orders SET v = 6 WHERE _id = 'd1'", 1, 6),
};
#define STEPS (sizeof steps / sizeof steps[0])

typedef struct pair {
    test_env t;
    sim_world *w;
    sim_node *device, *peer;
    char what[200];
    bool looked;          /* at what an end left */
    int own[OWN_MAX];     /* acknowledged; 0: nothing there yet */
    const step *underway; /* of the device: may be there, or not */
    bool ended;
    uint64_t again; /* once more, in this change after the first end */
} pair;

/* ---- what is there ------------------------------------------------------------ */

static int value_of(sim_node *n, const char *id)
{
    tako_slice name = tako_slice_str("orders");
    uint8_t cbor[16];
    store_row row;
    cbor_item item;
    tako_reader r;
    tako_slice v;
    uint32_t coll;

    cbor[0] = (uint8_t)(0x60 + strlen(id));
    memcpy(cbor + 1, id, strlen(id));
    if (store_coll_find(n->reader, name, &coll) != TAKO_OK ||
        store_get(n->reader, coll, tako_slice_of(cbor, 1 + strlen(id)), &row) !=
            TAKO_OK)
        return 0;
    if (row.body.len == 0)
        return -1;
    v = cbor_map_get(row.body, tako_slice_str("v"));
    r = tako_reader_of(v);
    assert_true(v.len > 0 && cbor_read(&r, &item) && item.kind == CBOR_INT);
    return (int)item.integer;
}

static void own_is_there(pair *p)
{
    for (unsigned i = 0; i < OWN_MAX; i++) {
        char id[8];
        int v;

        (void)snprintf(id, sizeof id, "d%u", i);
        v = value_of(p->device, id);
        if (v == p->own[i])
            continue;
        if (p->underway == NULL || p->underway->own != i ||
            v != p->underway->value)
            fail_msg("%s: %s is %d, and was acknowledged as %d", p->what, id, v,
                     p->own[i]);
        p->own[i] = v;
    }
    p->underway = NULL;
}

static void pairs_are_whole(pair *p)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        char a[8], b[8];

        (void)snprintf(a, sizeof a, "p%ua", i);
        (void)snprintf(b, sizeof b, "p%ub", i);
        if (value_of(p->device, a) != value_of(p->device, b))
            fail_msg("%s: %s is %d, %s is %d: half a transaction", p->what, a,
                     value_of(p->device, a), b, value_of(p->device, b));
    }
}

static void on_ended(void *ctx, sim_node *n, sim_disk_end how)
{
    pair *p = ctx;

    if (n != p->device)
        return;
    if (!p->ended)
        sim_disk_stop_at(n->disk, how, p->again);
    p->ended = true;
}

/* The store is open, and nobody has spoken to it. */
static void on_started(void *ctx, sim_node *n)
{
    pair *p = ctx;

    if (n != p->device || !p->ended || p->looked)
        return;
    p->looked = true;
    crash_sound(n->reader, p->what);
    own_is_there(p);
    pairs_are_whole(p);
}

/* ---- a course ------------------------------------------------------------------- */

static void pair_init(pair *p, uint64_t seed)
{
    const sim_link_kind kind = { .latency_us = 2 * SIM_MS, .mtu = 1400 };

    memset(p, 0, sizeof *p);
    test_env_init(&p->t, seed);
    p->w = sim_world_new(&p->t.env, seed);
    p->w->watch.ctx = p;
    p->w->watch.started = on_started;
    p->w->watch.ended = on_ended;
    p->device = sim_node_add(p->w, "device");
    p->peer = sim_node_add(p->w, "peer");
    p->device->durability = STORE_FULL;
    p->device->restart_us = 200 * SIM_MS;
    sim_node_subscribe(p->device, "SELECT * FROM orders");
    sim_node_subscribe(p->peer, "SELECT * FROM orders");
    (void)sim_link_add(p->w, p->device, p->peer, &kind);
    sim_node_start(p->peer);
}

static void pair_fini(pair *p)
{
    sim_world_free(p->w);
    test_env_check_empty(&p->t);
}

static void pass(pair *p, uint64_t us)
{
    sim_run_until(p->w, p->w->now_us + us);
    if (p->w->failed)
        fail_msg("%s: %s: %s", p->what, p->w->checker, p->w->failure);
}

static void be_up(pair *p, const sim_node *n)
{
    while (!n->up)
        pass(p, 100 * SIM_MS);
}

static void do_step(pair *p, const step *s)
{
    sim_node *n = s->device ? p->device : p->peer;
    tako_errbuf e = { "" };
    uint64_t lsn;
    tako_err err;

    be_up(p, n);
    p->underway = s->device ? s : NULL;
    err = sim_node_run(n, s->statements, s->count, &lsn, NULL, &e);
    if (err != TAKO_OK && (!s->device || !p->ended))
        fail_msg("%s: %s: %s", p->what, s->statements[0], e.text);
    if (err != TAKO_OK) {
        be_up(p, n); /* own_is_there() has seen whether it was made */
        if (p->own[s->own] != s->value) {
            do_step(p, s);
            return;
        }
    } else if (s->device) {
        p->own[s->own] = s->value;
        p->underway = NULL;
    }
    pass(p, STEP_US);
}

static bool equal(const pair *p)
{
    uint8_t a[32], b[32];
    uint64_t count;
    tako_errbuf e;

    if (!p->device->up || !p->peer->up)
        return false;
    assert_int_equal(store_hash(p->device->reader, 0, a, &count, &e), TAKO_OK);
    assert_int_equal(store_hash(p->peer->reader, 0, b, &count, &e), TAKO_OK);
    return memcmp(a, b, sizeof a) == 0;
}

static void settle(pair *p)
{
    uint64_t end = p->w->now_us + SETTLE_US;

    while (!equal(p) || !sim_node_in_sync(p->device)) {
        if (p->w->now_us > end)
            fail_msg("%s: not equal after %llu s", p->what,
                     (unsigned long long)(SETTLE_US / SIM_SECOND));
        pass(p, 500 * SIM_MS);
    }
    sim_node_watch(p->device, true);
    crash_sound(p->device->reader, p->what);
    own_is_there(p);
    pairs_are_whole(p);
    sim_node_watch(p->device, false);
}

static void course(pair *p)
{
    static const char *const before[] = {
        "INSERT INTO orders SELECT n AS _id, n AS v, REPEAT('z', 400) AS pad "
        "FROM UNNEST date_range(0, 12, 'millisecond') AS n"
    };
    tako_errbuf e = { "" };
    uint64_t lsn;

    assert_int_equal(sim_node_run(p->peer, before, 1, &lsn, NULL, &e), TAKO_OK);
    sim_node_start(p->device);
    pass(p, SIM_SECOND);
    for (size_t i = 0; i < STEPS; i++)
        do_step(p, &steps[i]);
    if (p->device->up)
        sim_node_stop(p->device, 200 * SIM_MS);
    pass(p, SIM_SECOND);
    be_up(p, p->device);
}

static uint64_t count_changes(void)
{
    uint64_t changes;
    pair p;

    pair_init(&p, 1);
    (void)snprintf(p.what, sizeof p.what, "sync, without an end");
    course(&p);
    changes = sim_disk_changes(p.device->disk);
    settle(&p);
    pair_fini(&p);
    return changes;
}

/* False: the disk had fewer changes this time. */
static bool end_at(sim_disk_end how, uint64_t at, uint64_t seed, uint64_t again)
{
    bool ended;
    pair p;

    pair_init(&p, seed);
    (void)snprintf(p.what, sizeof p.what,
                   "sync: %s in change %llu, seed %llu, again in %llu",
                   how == SIM_DISK_KILL ? "killed" : "power failed",
                   (unsigned long long)at, (unsigned long long)seed,
                   (unsigned long long)again);
    p.again = again;
    sim_disk_stop_at(p.device->disk, how, at);
    course(&p);
    ended = p.ended && p.looked;
    settle(&p);
    pair_fini(&p);
    return ended;
}

static void test_crash_sync__ends_anywhere_and_is_equal_again(void **state)
{
    uint64_t stride = crash_stride(2), dice = crash_dice(2, 8);
    uint64_t killed = 0, failed = 0, twice = 0, changes = count_changes();
    clock_t start = clock();

    (void)state;
    for (uint64_t at = 1; at <= changes; at += stride) {
        killed += end_at(SIM_DISK_KILL, at, 1, 0);
        for (uint64_t i = 1; i <= dice; i++)
            failed += end_at(SIM_DISK_POWER, at, i, 0);
        if (at / stride % 8 == 0)
            twice += end_at(SIM_DISK_POWER, at, at, 1 + at / stride % 29);
    }
    print_message("sync: %zu steps, %llu changes; killed at %llu, power "
                  "failed %llu times, twice in a row %llu; %.1f s\n",
                  STEPS, (unsigned long long)changes,
                  (unsigned long long)killed, (unsigned long long)failed,
                  (unsigned long long)twice,
                  (double)(clock() - start) / CLOCKS_PER_SEC);
    assert_true(killed * stride >= changes * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_sync__ends_anywhere_and_is_equal_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
