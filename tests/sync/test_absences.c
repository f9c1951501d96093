// SPDX-License-Identifier: Apache-2.0
/* Random histories of devices that are away for weeks: deletes are reaped on
 * some before others hear of them, clocks are wrong, backups are restored,
 * parts of collections are wanted, documents are evicted.
 *
 * The oracle knows nothing of births and graveyards. Each INSERT brings a field
 * of its own, a token, so that what a document shows says which INSERTs made
 * its present life. Checked after each step:
 *   - what a node deleted, or stopped showing because it was deleted, that node
 *     never shows again (P8);
 *   - states with equal contexts have equal versions, wherever and whenever they
 *     were seen (P2), until a file is rolled back: what of two branches of one
 *     actor stays lost is in docs/storage.md;
 * and after all have met all:
 *   - nobody shows what anybody knows to be deleted;
 *   - a key that nobody deleted is everywhere where all is wanted.
 * TAKO_TEST_RUNS: how many histories. */
#include "sync/support_net.h"

#include "base/hash.h"
#include "crdt/doc.h"
#include "store/deaths.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS   200u
#define STEPS  90u
#define KEYS   6u
#define TOKENS 64u
#define TTL    3u
#define DAY_MS UINT64_C(86400000)
#define STATES 8192u /* a power of two, far more than a history makes */

typedef struct seen_state {
    uint64_t context; /* hash of key and context; 0: free */
    uint8_t version[16];
} seen_state;

typedef struct oracle_node {
    uint64_t known;       /* tokens that it knows to be dead */
    uint64_t shown[KEYS]; /* at the last look */
} oracle_node;

typedef struct history {
    net n;
    uint64_t seed;
    uint64_t wall_ms; /* the true time */
    uint64_t ahead_ms[NET_NODES];
    unsigned tokens;
    uint64_t deleted; /* tokens that a DELETE ended, and somebody knows it */
    unsigned keys_deleted;
    bool rolled_back;
    bool careless; /* documents leave though nobody keeps them */
    oracle_node now[NET_NODES], saved[NET_NODES];
    unsigned images;
    char what[64]; /* the last step */
    seen_state states[STATES];
    tako_arena arena;
} history;

static const char *const statuses[] = { "open", "done" };

/* ---- looking ------------------------------------------------------------------ */

static uint64_t tokens_of(tako_slice body)
{
    tako_reader r = tako_reader_of(body);
    uint64_t tokens = 0;
    cbor_item map, key;

    if (body.len == 0 || !cbor_read(&r, &map))
        return 0;
    for (uint64_t i = 0; i < map.count; i++) {
        assert_true(cbor_read(&r, &key));
        if (key.str.len == 3 && key.str.ptr[0] == 't')
            tokens |= UINT64_C(1) << ((unsigned)(key.str.ptr[1] - '0') * 10u +
                                      (unsigned)(key.str.ptr[2] - '0'));
        (void)cbor_read_value(&r);
    }
    return tokens;
}

static uint64_t context_hash(history *h, uint64_t key, tako_slice meta)
{
    static const uint8_t hash_key[16] = "absences";
    tako_buf b = tako_buf_on(&h->n.t.env);
    crdt_context c;
    uint64_t hash;

    tako_arena_reset(&h->arena);
    assert_int_equal(crdt_meta_context(&h->arena, meta, &c), TAKO_OK);
    tako_put_u64(&b, key);
    for (size_t i = 0; i < c.count; i++) {
        tako_put_bytes(&b, tako_slice_of(c.dots[i].actor.id, 16));
        tako_put_u64(&b, c.dots[i].hlc);
    }
    hash = tako_hash64(hash_key, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return hash != 0 ? hash : 1;
}

/* P2 */
static void check_state(history *h, size_t node, uint64_t key,
                        const store_row *row)
{
    uint64_t hash;
    seen_state *s;
    unsigned probes = 0;

    if (h->rolled_back || store_row_is_marker(row) || store_row_is_notice(row))
        return;
    hash = context_hash(h, key, row->meta);
    for (s = &h->states[hash % STATES]; s->context != 0 && s->context != hash;
         s = s + 1 < h->states + STATES ? s + 1 : h->states)
        assert_true(++probes < STATES);
    if (s->context == 0) {
        s->context = hash;
        memcpy(s->version, row->version, sizeof s->version);
    }
    if (memcmp(s->version, row->version, sizeof s->version) != 0)
        fail_msg("seed %llu: node %zu has another state of key %llu than was "
                 "seen with the same context, after %s",
                 (unsigned long long)h->seed, node, (unsigned long long)key,
                 h->what);
}

static uint64_t look(history *h, size_t node, uint64_t key, bool *evicted)
{
    store_conn *c = h->n.nodes[node].reader;
    uint8_t bytes[32];
    uint32_t coll;
    store_row row;

    *evicted = false;
    if (store_coll_find(c, tako_slice_str("orders"), &coll) != TAKO_OK ||
        store_get(c, coll, net_id(key, bytes), &row) != TAKO_OK)
        return 0;
    *evicted = store_row_is_marker(&row);
    check_state(h, node, key, &row);
    return tokens_of(row.body);
}

static bool is_one(uint64_t tokens)
{
    return tokens != 0 && (tokens & (tokens - 1)) == 0;
}

/* Of several INSERTs that made one life one may be dead without the others:
 * what stops showing says something only of single ones. */
static void observe(history *h)
{
    for (size_t i = 0; i < h->n.node_count; i++)
        for (uint64_t key = 0; key < KEYS; key++) {
            oracle_node *o = &h->now[i];
            bool evicted;
            uint64_t v = look(h, i, key, &evicted);
            uint64_t gone = o->shown[key] & ~v;

            if (!evicted && is_one(o->shown[key]))
                o->known |= gone & h->deleted;
            if ((v & o->known) != 0)
                fail_msg("seed %llu: node %zu shows key %llu again, after %s",
                         (unsigned long long)h->seed, i,
                         (unsigned long long)key, h->what);
            o->shown[key] = v;
        }
}

/* ---- steps ----------------------------------------------------------------------- */

static void clock_of(history *h, size_t node)
{
    h->n.t.wall_ms = h->wall_ms + h->ahead_ms[node];
}

static bool alive(history *h, size_t node, uint64_t key)
{
    bool evicted;

    return look(h, node, key, &evicted) != 0;
}

static void insert(history *h, size_t node, uint64_t key)
{
    tako_buf body = tako_buf_on(&h->n.t.env);
    tako_errbuf e = { "" };
    char token[4];
    uint8_t bytes[32];
    uint32_t coll;
    tako_err err;

    if (h->tokens == TOKENS)
        return;
    (void)snprintf(token, sizeof token, "t%02u", h->tokens % 100u);
    cbor_put_map(&body, 2);
    cbor_put_text(&body, tako_slice_str("s"));
    cbor_put_text(&body, tako_slice_str(statuses[test_below(&h->n.t, 2)]));
    cbor_put_text(&body, tako_slice_str(token));
    cbor_put_text(&body, tako_slice_str(""));
    assert_int_equal(store_coll_create(h->n.nodes[node].st,
                                       tako_slice_str("orders"), &coll, &e),
                     TAKO_OK);
    err = store_insert(h->n.nodes[node].st, coll, net_id(key, bytes),
                       tako_buf_slice(&body), &e);
    tako_buf_fini(&body);
    if (err != TAKO_OK && err != TAKO_EXISTS)
        fail_msg("%s", e.text);
    h->tokens += err == TAKO_OK;
}

/* One to three in one transaction: with one dot. */
static void step_insert(history *h, size_t node)
{
    uint64_t first = test_below(&h->n.t, KEYS);
    uint64_t count = 1 + test_below(&h->n.t, 3);

    net_begin(&h->n, node);
    for (uint64_t i = 0; i < count; i++)
        insert(h, node, (first + i) % KEYS);
    net_commit_now(&h->n, node);
}

static void step_delete(history *h, size_t node)
{
    uint64_t key = test_below(&h->n.t, KEYS);
    bool evicted;
    uint64_t v = look(h, node, key, &evicted);

    if (v == 0)
        return;
    net_delete(&h->n, node, "orders", key);
    h->deleted |= v;
    h->now[node].known |= v;
    h->now[node].shown[key] = 0;
    h->keys_deleted |= 1u << key;
}

static void step_evict(history *h, size_t node)
{
    uint64_t key = test_below(&h->n.t, KEYS);
    store *st = h->n.nodes[node].st;
    tako_errbuf e = { "" };
    uint8_t bytes[32];
    uint32_t coll;

    if (!alive(h, node, key))
        return;
    net_begin(&h->n, node);
    assert_int_equal(
        store_coll_find(store_writer(st), tako_slice_str("orders"), &coll),
        TAKO_OK);
    if (!h->careless)
        (void)store_evict(st, coll, net_id(key, bytes), false, &e);
    else if (test_below(&h->n.t, 2) == 0)
        (void)store_evict(st, coll, net_id(key, bytes), true, &e);
    else
        (void)store_leave(st, coll, net_id(key, bytes), TAKO_SLICE_NONE, &e);
    net_commit_now(&h->n, node);
}

/* Of what left nothing is remembered after some days. */
static void reap_markers(history *h, size_t node)
{
    store *st = h->n.nodes[node].st;
    int64_t at = INT64_MIN;
    tako_errbuf e = { "" };
    uint64_t reaped;
    uint32_t coll;

    if (store_coll_find(store_writer(st), tako_slice_str("orders"), &coll) !=
        TAKO_OK)
        return;
    net_begin(&h->n, node);
    while (at != INT64_MAX)
        assert_int_equal(
            store_markers_reap(st, coll, UINT64_MAX, 100, &at, &reaped, &e),
            TAKO_OK);
    net_commit_now(&h->n, node);
}

static void step_days(history *h, size_t node)
{
    static const uint64_t spans[] = { 1, 1, 2, 4, 5, 40 };
    uint64_t days = spans[test_below(&h->n.t, 6)];
    tako_errbuf e = { "" };

    for (uint64_t i = 0; i < days; i++) {
        uint64_t reaped;
        bool more;

        h->wall_ms += DAY_MS;
        h->n.t.mono_ms += DAY_MS;
        clock_of(h, node);
        if (store_reap(h->n.nodes[node].st, TTL, 100, &reaped, &more, &e) !=
            TAKO_OK)
            fail_msg("%s", e.text);
    }
    if (h->careless && days > 2)
        reap_markers(h, node);
}

static void step_clock(history *h, size_t node)
{
    static const uint64_t days[] = { 0, 1, 3, 30, 400 };

    h->ahead_ms[node] = days[test_below(&h->n.t, 5)] * DAY_MS;
}

static void step_link(history *h)
{
    net_link *l = &h->n.links[test_below(&h->n.t, h->n.link_count)];
    uint64_t moves = test_below(&h->n.t, 60);

    if (!l->up)
        net_reconnect(&h->n, l);
    if (test_below(&h->n.t, 3) > 0)
        net_settle(&h->n);
    for (; moves > 0; moves--)
        net_step(&h->n);
    if (test_below(&h->n.t, 3) > 0)
        net_disconnect(&h->n, l);
}

/* What only the lost file knew to be deleted is not deleted any more. */
static void forget_deleted(history *h)
{
    uint64_t known = 0;

    for (size_t i = 0; i < h->n.node_count; i++)
        known |= h->now[i].known;
    h->deleted &= known;
}

static void step_backup(history *h, size_t node)
{
    char image[32];

    (void)snprintf(image, sizeof image, "i%zu", node);
    if ((h->images & 1u << node) == 0 || test_below(&h->n.t, 2) == 0) {
        net_save(&h->n, node, image);
        h->saved[node] = h->now[node];
        h->images |= 1u << node;
        return;
    }
    net_restore(&h->n, node, image);
    h->now[node] = h->saved[node];
    h->rolled_back = true;
    forget_deleted(h);
}

static void step(history *h)
{
    size_t node = test_below(&h->n.t, h->n.node_count);
    uint64_t key = test_below(&h->n.t, KEYS);
    uint64_t what = test_below(&h->n.t, 24);

    (void)snprintf(h->what, sizeof h->what, "step kind %u at node %zu",
                   (unsigned)what, node);
    clock_of(h, node);
    if (what < 5)
        step_insert(h, node);
    else if (what < 8 && alive(h, node, key))
        net_set(&h->n, node, "orders", key, "s",
                statuses[test_below(&h->n.t, 2)]);
    else if (what < 11)
        step_delete(h, node);
    else if (what < 14)
        step_days(h, node);
    else if (what == 14)
        step_clock(h, node);
    else if (what == 15)
        step_evict(h, node);
    else if (what == 16 && h->seed % 3 == 0)
        step_backup(h, node);
    else
        step_link(h);
}

/* ---- the end ----------------------------------------------------------------------- */

static void meet_all(history *h)
{
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < h->n.link_count; i++)
            if (!h->n.links[i].up)
                net_reconnect(&h->n, &h->n.links[i]);
        for (int i = 0; i < 3; i++) { /* over pruned links summaries tell */
            net_settle(&h->n);
            h->n.now += 1500;
        }
        net_settle(&h->n);
        (void)snprintf(h->what, sizeof h->what, "round %d of the end", round);
        observe(h);
        for (size_t i = 0; i < h->n.link_count; i++) {
            if (!h->n.links[i].up)
                fail_msg("seed %llu: %s", (unsigned long long)h->seed,
                         h->n.why.text);
            net_disconnect(&h->n, &h->n.links[i]);
        }
    }
}

static void check_dead(history *h)
{
    uint64_t known = 0;
    bool evicted;

    for (size_t i = 0; i < h->n.node_count; i++)
        known |= h->now[i].known;
    for (size_t i = 0; i < h->n.node_count; i++)
        for (uint64_t key = 0; key < KEYS; key++)
            if ((look(h, i, key, &evicted) & known) != 0)
                fail_msg("seed %llu: key %llu lives on at node %zu",
                         (unsigned long long)h->seed, (unsigned long long)key,
                         i);
}

/* `before`: what somebody showed before all met all. */
static void check_alive(history *h, const uint64_t before[KEYS])
{
    for (size_t i = 0; i < 2 && !h->rolled_back && !h->careless; i++)
        for (uint64_t key = 0; key < KEYS; key++) {
            bool evicted;
            uint64_t v = look(h, i, key, &evicted);

            if (evicted || (h->keys_deleted & 1u << key) != 0)
                continue;
            /* INSERTs of one key across a reaping: the later life wins. */
            if (h->keys_deleted == 0 ? (before[key] & ~v) != 0
                                     : before[key] != 0 && v == 0)
                fail_msg("seed %llu: key %llu is lost at node %zu",
                         (unsigned long long)h->seed, (unsigned long long)key,
                         i);
        }
}

static void check_sound(history *h)
{
    tako_errbuf e = { "" };
    uint64_t findings;

    for (size_t i = 0; i < h->n.node_count; i++) {
        assert_int_equal(
            store_check(h->n.nodes[i].reader, NULL, NULL, &findings, &e),
            TAKO_OK);
        assert_int_equal(findings, 0);
    }
}

static void run(history *h, uint64_t seed)
{
    uint64_t before[KEYS] = { 0 };
    bool evicted;

    memset(h, 0, sizeof *h);
    h->seed = seed;
    h->careless = seed % 4 == 1;
    net_init(&h->n, seed, 3 + seed % 3);
    h->arena = tako_arena_on(&h->n.t.env);
    h->wall_ms = h->n.t.wall_ms;
    for (size_t i = 0; i < h->n.node_count; i++)
        net_subscribe(&h->n, i, i < 2 ? "orders" : "orders?open");
    for (size_t i = 0; i < h->n.node_count; i++)
        for (size_t j = 0; j < i; j++)
            net_disconnect(&h->n, net_connect(&h->n, j, i));
    for (unsigned i = 0; i < STEPS; i++) {
        step(h);
        observe(h);
    }
    for (size_t i = 0; i < h->n.node_count; i++)
        for (uint64_t key = 0; key < KEYS; key++)
            before[key] |= look(h, i, key, &evicted);
    meet_all(h);
    check_dead(h);
    check_alive(h, before);
    check_sound(h);
    tako_arena_fini(&h->arena);
    net_fini(&h->n);
}

static void test_absences(void **state)
{
    static history h;
    const char *text = getenv("TAKO_TEST_RUNS");
    uint64_t runs = text != NULL ? strtoull(text, NULL, 10) : RUNS;
    uint64_t first = test_seed(1);

    (void)state;
    for (uint64_t i = 0; i < runs; i++)
        run(&h, first + i);
    print_message("%llu histories\n", (unsigned long long)runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
