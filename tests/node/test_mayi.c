// SPDX-License-Identifier: Apache-2.0
/* Asking before letting go, at random: nodes with partial interests that come
 * and go, orders whose status changes, devices that are away. The oracle knows
 * nothing of keepers: each acknowledged write put a field of its own into its
 * document, and has to be at some device, whatever happened. */
#include "node/support_world.h"

#include <stdio.h>
#include <stdlib.h>

#define NODES  4
#define ORDERS 12
#define WRITES 120
#define RUNS   100 /* TAKO_TEST_RUNS for more */

typedef struct run {
    world w;
    uint64_t random;
    unsigned written[WRITES]; /* order of each write */
    unsigned writes, orders;
    bool up[NODES];
    unsigned subs[NODES]; /* bits of statuses; 8: all */
} run;

static unsigned pick(run *r, unsigned n)
{
    r->random =
        r->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(r->random >> 33) % n;
}

static bool row_of(run *r, size_t at, unsigned order, store_row *row)
{
    uint8_t key[1] = { (uint8_t)order };
    uint32_t coll;

    return store_coll_find(r->w.nodes[at].reader, tako_slice_str("orders"),
                           &coll) == TAKO_OK &&
           store_get(r->w.nodes[at].reader, coll, tako_slice_of(key, 1), row) ==
               TAKO_OK &&
           row->body.len > 0;
}

static bool is_at(run *r, size_t at, unsigned write)
{
    char name[16];
    store_row row;

    (void)snprintf(name, sizeof name, "t%u", write);
    return row_of(r, at, r->written[write], &row) &&
           cbor_map_get(row.body, tako_slice_str(name)).len > 0;
}

static void check(run *r, uint64_t seed, const char *when)
{
    for (unsigned i = 0; i < r->writes; i++) {
        bool found = false;

        for (size_t at = 0; at < NODES && !found; at++)
            found = is_at(r, at, i);
        if (!found)
            fail_msg("seed %llu, after %s: write %u of order %u is nowhere",
                     (unsigned long long)seed, when, i, r->written[i]);
    }
}

static void address(size_t at, char out[32])
{
    (void)snprintf(out, 32, "tcp://n%zu:1", at);
}

static void statement(unsigned status, char out[80])
{
    if (status == 3)
        (void)snprintf(out, 80, WORLD_ALL);
    else
        (void)snprintf(out, 80, "SELECT * FROM orders WHERE s = %u", status);
}

static void connect(run *r, size_t at)
{
    char name[32], text[80];

    address(at, name);
    world_listen(&r->w, at, name);
    for (size_t i = 0; i < NODES; i++) {
        address(i, name);
        if (i != at)
            world_dial(&r->w, at, name);
    }
    for (unsigned s = 0; s < 4; s++) {
        statement(s, text);
        if ((r->subs[at] >> s & 1) != 0)
            world_subscribe(&r->w, at, s + 1, text);
    }
}

static void write_one(run *r, size_t at)
{
    char text[160];
    unsigned order = pick(r, ORDERS), token = r->writes;
    store_row row;

    if (r->writes == WRITES)
        return;
    if (order >= r->orders) {
        order = r->orders++;
        (void)snprintf(text, sizeof text,
                       "INSERT INTO orders DOCUMENTS ({'_id': %u, 's': %u, "
                       "'t%u': 1})",
                       order, pick(r, 3), token);
    } else {
        if (!row_of(r, at, order, &row))
            return;
        (void)snprintf(text, sizeof text,
                       "UPDATE orders SET s = %u, t%u = 1 WHERE _id = %u",
                       pick(r, 3), token, order);
    }
    (void)world_do(&r->w, at, text);
    r->written[r->writes++] = order;
}

static void change_interest(run *r, size_t at)
{
    unsigned status = pick(r, pick(r, 4) == 0 ? 4 : 3);
    char text[80];

    statement(status, text);
    if ((r->subs[at] >> status & 1) == 0)
        world_subscribe(&r->w, at, status + 1, text);
    else
        assert_int_equal(node_unsubscribe(r->w.nodes[at].n, status + 1),
                         TAKO_OK);
    r->subs[at] ^= 1u << status;
}

static const char *act(run *r)
{
    size_t at = pick(r, NODES);

    switch (pick(r, 10)) {
    case 0:
        if (!r->up[at]) {
            world_start(&r->w, at);
            connect(r, at);
        } else {
            world_stop(&r->w, at);
        }
        r->up[at] = !r->up[at];
        return "a device came or went";
    case 1:
        if (r->up[at])
            change_interest(r, at);
        return "an interest changed";
    case 2:
        world_break(&r->w, at);
        return "links broke";
    case 3:
        world_run(&r->w, 100000);
        return "a long time";
    case 4:
    case 5:
        world_run(&r->w, 8000);
        return "some time";
    default:
        write_one(r, at);
        world_run(&r->w, pick(r, 2) == 0 ? 3 : 400);
        return "a write";
    }
}

static uint64_t one_run(uint64_t seed)
{
    run *r = calloc(1, sizeof *r);
    uint64_t left = 0;

    assert_non_null(r);
    world_init(&r->w, seed, NODES);
    r->random = seed;
    for (size_t i = 0; i < NODES; i++) {
        r->up[i] = true;
        r->subs[i] = 1u << pick(r, 3);
        connect(r, i);
    }
    world_run(&r->w, 6000);
    for (unsigned step = 0; step < 100; step++) {
        const char *what = act(r);

        check(r, seed, what);
    }
    for (size_t i = 0; i < NODES; i++) {
        store_facts facts;
        tako_errbuf e;

        assert_int_equal(store_facts_read(r->w.nodes[i].reader, &facts, &e),
                         TAKO_OK);
        left += facts.evicted;
    }
    world_fini(&r->w);
    free(r);
    return left;
}

static void test_mayi__no_write_is_ever_nowhere(void **state)
{
    const char *runs = getenv("TAKO_TEST_RUNS");
    uint64_t n = runs != NULL ? strtoull(runs, NULL, 10) : RUNS, left = 0;
    const char *seed = getenv("TAKO_TEST_SEED");
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 1;

    (void)state;
    for (uint64_t i = 0; i < n; i++)
        left += one_run(first + i);
    printf("%llu documents left\n", (unsigned long long)left);
    assert_true(n < 10 || left > n); /* it is about documents that leave */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mayi__no_write_is_ever_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
