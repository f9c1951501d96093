// SPDX-License-Identifier: Apache-2.0
/* Attachments among a few nodes, with real stores and messages that the test
 * moves. */
#include "sync/support_net.h"

#include <stdlib.h>

#include "store/support_blob.h"
#include "support/describe.h"
#include "sync/wire.h"

#define LEN   (40u * 15360u + 99u)
#define LINKS 8

typedef struct mesh mesh;

typedef struct link {
    mesh *m;
    unsigned node[2];
    sync_blob_peer *peer[2];
    bool up;
    bool cut[2];  /* what this end sends is lost */
    bool lies[2]; /* and this end's parts are wrong */
} link;

struct mesh {
    net n;
    sync_blobs *b[NET_NODES];
    sync_blobs_host host[NET_NODES];
    unsigned busy[NET_NODES]; /* so often the writer is not free */
    bool automatic[NET_NODES];
    uint32_t events[NET_NODES][4];
    link links[LINKS];
    unsigned link_count;
    uint64_t now;
    uint64_t messages;
    tako_err last; /* error of a session */
};

typedef struct end {
    mesh *m;
    unsigned node;
} end;

static end ends[NET_NODES];

static store *write_try(void *ctx)
{
    const end *e = ctx;

    if (e->m->busy[e->node] > 0) {
        e->m->busy[e->node]--;
        return NULL;
    }
    return e->m->n.nodes[e->node].st;
}

static void write_end(void *ctx)
{
    (void)ctx;
}

static void on_event(void *ctx, sync_blob_event event, const uint8_t id[32])
{
    const end *e = ctx;

    (void)id;
    e->m->events[e->node][event]++;
}

static bool automatic(void *ctx)
{
    const end *e = ctx;

    return e->m->automatic[e->node];
}

static void node_begin(mesh *m, unsigned i)
{
    assert_int_equal(sync_blobs_new(&m->n.t.env, &m->host[i],
                                    m->n.nodes[i].reader, &m->b[i]),
                     TAKO_OK);
}

static void mesh_begin(mesh *m, uint64_t seed, unsigned nodes)
{
    memset(m, 0, sizeof *m);
    net_init(&m->n, seed, nodes);
    m->now = 1000;
    for (unsigned i = 0; i < nodes; i++) {
        ends[i] = (end){ m, i };
        m->host[i] = (sync_blobs_host){ &ends[i], write_try, write_end,
                                        on_event, automatic };
        node_begin(m, i);
    }
}

static void link_down(link *l)
{
    for (int k = 0; k < 2; k++) {
        sync_blob_peer_free(l->peer[k]);
        l->peer[k] = NULL;
    }
    l->up = false;
}

static void link_up(link *l)
{
    for (int k = 0; k < 2; k++)
        assert_int_equal(sync_blob_peer_new(l->m->b[l->node[k]], &l->peer[k]),
                         TAKO_OK);
    l->up = true;
    for (int k = 0; k < 2; k++)
        sync_blob_peer_ready(l->peer[k], l->m->now);
}

static link *join(mesh *m, unsigned a, unsigned b)
{
    link *l = &m->links[m->link_count++];

    *l = (link){ .m = m, .node = { a, b } };
    link_up(l);
    return l;
}

static void mesh_end(mesh *m)
{
    for (unsigned i = 0; i < m->link_count; i++)
        if (m->links[i].up)
            link_down(&m->links[i]);
    for (unsigned i = 0; i < m->n.node_count; i++)
        sync_blobs_free(m->b[i]);
    net_fini(&m->n);
}

/* One message of one end; false: none. */
static bool move_one(link *l, int k)
{
    mesh *m = l->m;
    tako_buf out = tako_buf_on(&m->n.t.env);
    tako_errbuf e = { "" };
    tako_reader in;
    tako_err err = TAKO_OK;
    bool moved;
    uint8_t kind;

    if (!l->up || !sync_blob_peer_due(l->peer[k]))
        return false;
    err = sync_blob_peer_send(l->peer[k], m->now, &out, &e);
    if (err == TAKO_OK && out.failed)
        err = TAKO_NOMEM;
    moved = err == TAKO_OK && out.len > 0;
    if (moved && !l->cut[k]) {
        in = tako_reader_of(tako_buf_slice(&out));
        kind = tako_read_u8(&in);
        assert_true(out.len < TAKO_FRAME_BYTES_MAX);
        if (l->lies[k] && kind == SYNC_MSG_BLOB_PART && out.len > 8)
            out.ptr[out.len - 1 - test_below(&m->n.t, out.len - 8)] ^= 1;
        m->messages++;
        if (m->n.tap != NULL)
            m->n.tap(m->n.tap_ctx, SYNC_BLOBS, tako_buf_slice(&out));
        err = sync_blob_peer_recv(l->peer[!k], m->now, kind, &in, &e);
    }
    tako_buf_fini(&out);
    if (err != TAKO_OK) {
        m->last = err;
        link_down(l);
    }
    return moved || err != TAKO_OK;
}

static bool move_any(mesh *m)
{
    unsigned first = (unsigned)test_below(&m->n.t, 2 * LINKS);

    for (unsigned i = 0; i < 2 * m->link_count; i++) {
        unsigned at = (first + i) % (2 * m->link_count);

        if (move_one(&m->links[at / 2], (int)(at % 2)))
            return true;
    }
    return false;
}

/* So many milliseconds; stops early when nothing moves any more. */
static void run(mesh *m, uint64_t ms)
{
    uint64_t until = m->now + ms;

    for (unsigned turns = 0;; turns++) {
        uint64_t next = UINT64_MAX;

        assert_true(turns < 2000000);
        if (move_any(m))
            continue;
        for (unsigned i = 0; i < m->n.node_count; i++) {
            uint64_t d = sync_blobs_deadline(m->b[i]);

            next = d < next ? d : next;
        }
        if (next > until)
            break;
        m->now = next > m->now ? next : m->now;
        for (unsigned i = 0; i < m->n.node_count; i++)
            if (sync_blobs_deadline(m->b[i]) <= m->now)
                sync_blobs_tick(m->b[i], m->now);
    }
    m->now = until;
}

static void put(mesh *m, unsigned node, uint64_t n, uint64_t len,
                uint8_t id[32])
{
    tako_errbuf e;

    assert_int_equal(content_put(m->n.nodes[node].st, n, len, 4096, id, &e),
                     TAKO_OK);
}

static void fetch(mesh *m, unsigned node, const uint8_t id[32], uint64_t len)
{
    tako_errbuf e = { "" };

    if (sync_blobs_fetch(m->b[node], m->now, id, len, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

static bool here(mesh *m, unsigned node, const uint8_t id[32], uint64_t n,
                 uint64_t len)
{
    return content_is(m->n.nodes[node].reader, id, n, len);
}

static sync_blobs_counts counts(mesh *m, unsigned node)
{
    sync_blobs_counts c;

    sync_blobs_counts_read(m->b[node], &c);
    return c;
}

static uint32_t parts_of(uint64_t len)
{
    blob_form f;

    assert_true(blob_form_of(len, &f));
    return f.parts;
}

static void test_blobs__from_a_neighbour(void **state)
{
    static const uint64_t lens[] = {
        0, 1, 15360, 15361, LEN, 481u * 15360u + 1
    };

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint8_t id[32];
        mesh m;

        mesh_begin(&m, i + 1, 2);
        (void)join(&m, 0, 1);
        put(&m, 0, i, lens[i], id);
        fetch(&m, 1, id, lens[i]);
        run(&m, 100);
        assert_true(here(&m, 1, id, i, lens[i]));
        assert_int_equal(m.events[1][SYNC_BLOB_WHOLE], 1);
        assert_int_equal(counts(&m, 1).parts_in, parts_of(lens[i]));
        assert_int_equal(counts(&m, 1).parts_again, 0);
        assert_int_equal(counts(&m, 1).fetching, 0);
        assert_int_equal(sync_blobs_fetch(m.b[1], m.now, id, lens[i], NULL),
                         TAKO_EXISTS);
        mesh_end(&m);
    }
}

/* A-B-C-D: C gets it through who does not want it, and keeps nothing. */
static void test_blobs__through_who_does_not_want_it(void **state)
{
    uint8_t id[32];
    blob_facts f;
    mesh m;

    (void)state;
    mesh_begin(&m, 1, 4);
    for (unsigned i = 0; i < 3; i++)
        (void)join(&m, i, i + 1);
    put(&m, 0, 1, LEN, id);
    fetch(&m, 3, id, LEN);
    run(&m, 1000);
    assert_true(here(&m, 3, id, 1, LEN));
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(store_blob_find(m.n.nodes[i].reader, id, &f, NULL),
                         TAKO_NOTFOUND);
        assert_int_equal(counts(&m, i).parts_passed, parts_of(LEN));
        assert_int_equal(counts(&m, i).passing, 0); /* it was ended */
        assert_int_equal(counts(&m, i).bytes_out, counts(&m, i).bytes_in);
    }
    mesh_end(&m);
}

/* Rings, in which a question could run for ever. */
static void test_blobs__nobody_has_it(void **state)
{
    uint8_t id[32] = { 7 };
    sync_blob_state s;
    mesh m;

    (void)state;
    mesh_begin(&m, 1, 4);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = i + 1; k < 4; k++)
            (void)join(&m, i, k);
    fetch(&m, 0, id, LEN);
    fetch(&m, 2, id, LEN);
    run(&m, 900);
    assert_true(m.messages < 200);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(counts(&m, i).passing, 0);
    assert_int_equal(sync_blobs_state(m.b[0], id, &s), TAKO_OK);
    assert_true(s.unavailable);
    assert_int_equal(m.events[0][SYNC_BLOB_UNAVAILABLE], 1);
    /* It is asked for less and less often, and found when it comes. */
    run(&m, 600000);
    assert_true(m.messages < 5000);
    assert_int_equal(m.events[0][SYNC_BLOB_UNAVAILABLE], 1);
    put(&m, 3, 9, 100, id);
    fetch(&m, 0, id, 100);
    run(&m, 60000);
    assert_true(here(&m, 0, id, 9, 100));
    mesh_end(&m);
}

/* Two that got a part each and are told of each other's: neither has what the
 * other lacks, and both say so. */
static void test_blobs__nobody_has_the_rest(void **state)
{
    sync_blob_state s;
    uint8_t id[32];
    link *from[2];
    mesh m;

    (void)state;
    mesh_begin(&m, 1, 3);
    put(&m, 0, 3, LEN, id);
    (void)join(&m, 1, 2);
    from[0] = join(&m, 0, 1);
    from[1] = join(&m, 0, 2);
    fetch(&m, 1, id, LEN);
    fetch(&m, 2, id, LEN);
    for (unsigned i = 0; i < 60; i++)
        (void)move_any(&m);
    link_down(from[0]);
    link_down(from[1]);
    m.messages = 0;
    run(&m, 60000);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(sync_blobs_state(m.b[i], id, &s), TAKO_OK);
        assert_in_range(s.have, 2, s.parts - 1);
        assert_true(s.unavailable);
        /* Once more when what the other had came. */
        assert_in_range(m.events[i][SYNC_BLOB_UNAVAILABLE], 1, 2);
    }
    assert_true(m.messages < 500);
    link_up(from[1]);
    run(&m, 60000);
    assert_true(here(&m, 1, id, 3, LEN));
    assert_true(here(&m, 2, id, 3, LEN));
    mesh_end(&m);
}

static void test_blobs__several_sources_share_the_work(void **state)
{
    uint8_t id[32];
    mesh m;

    (void)state;
    mesh_begin(&m, 3, 4);
    for (unsigned i = 0; i < 3; i++) {
        (void)join(&m, i, 3);
        put(&m, i, 1, LEN, id);
    }
    fetch(&m, 3, id, LEN);
    run(&m, 1000);
    assert_true(here(&m, 3, id, 1, LEN));
    assert_int_equal(counts(&m, 3).parts_in, parts_of(LEN));
    for (unsigned i = 0; i < 3; i++)
        assert_true(counts(&m, i).parts_out >= parts_of(LEN) / 6);
    mesh_end(&m);
}

/* What one sends is wrong: refused part by part, and the other gives it. */
static void test_blobs__a_liar_is_not_believed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint8_t id[32];
        mesh m;
        link *liar;

        mesh_begin(&m, seed, 3);
        liar = join(&m, 0, 2);
        liar->lies[0] = true;
        put(&m, 0, 1, LEN, id);
        put(&m, 1, 1, LEN, id);
        if (seed % 2 == 0) { /* alone, it gets nowhere */
            fetch(&m, 2, id, LEN);
            run(&m, 100000);
            assert_false(here(&m, 2, id, 1, LEN));
            assert_true(m.events[2][SYNC_BLOB_UNAVAILABLE] > 0);
            (void)join(&m, 1, 2);
        } else {
            (void)join(&m, 1, 2);
            fetch(&m, 2, id, LEN);
        }
        run(&m, 60000);
        assert_true(here(&m, 2, id, 1, LEN));
        assert_in_range(counts(&m, 2).parts_bad, seed % 2 == 0, 1);
        assert_true(liar->up); /* and nothing else of it is refused */
        mesh_end(&m);
    }
}

/* Who passes on checks, so the liar behind it does no harm, and it is not
 * taken for one. */
static void test_blobs__a_liar_behind_another(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint8_t id[32];
        mesh m;

        mesh_begin(&m, seed, 4);
        join(&m, 0, 2)->lies[0] = true;
        (void)join(&m, 1, 2);
        (void)join(&m, 2, 3);
        put(&m, 0, 1, LEN, id);
        put(&m, 1, 1, LEN, id);
        fetch(&m, 3, id, LEN);
        run(&m, 60000);
        assert_true(here(&m, 3, id, 1, LEN));
        assert_int_equal(counts(&m, 3).parts_bad, 0);
        mesh_end(&m);
    }
}

/* Links break and the getter is killed, at random; what was kept is never
 * sent again. */
static void test_blobs__goes_on_where_it_was_cut_off(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint8_t id[32];
        uint64_t cuts = 0;
        mesh m;

        mesh_begin(&m, test_seed(seed), 4);
        (void)join(&m, 0, 1);
        (void)join(&m, 1, 3);
        (void)join(&m, 2, 3);
        put(&m, 0, 1, LEN, id);
        put(&m, 2, 1, LEN, id);
        while (!here(&m, 3, id, 1, LEN)) {
            uint64_t steps = test_below(&m.n.t, 60);

            (void)sync_blobs_fetch(m.b[3], m.now, id, LEN, NULL);
            while (steps-- > 0 && move_any(&m))
                continue;
            m.now += test_below(&m.n.t, 400);
            for (unsigned i = 0; i < 4; i++)
                sync_blobs_tick(m.b[i], m.now);
            assert_true(++cuts < 3000);
            assert_int_equal(counts(&m, 3).parts_again, 0);
            if (test_below(&m.n.t, 4) == 0) { /* killed */
                link_down(&m.links[1]);
                link_down(&m.links[2]);
                sync_blobs_free(m.b[3]);
                node_begin(&m, 3);
                link_up(&m.links[1]);
                link_up(&m.links[2]);
            } else {
                link *l = &m.links[test_below(&m.n.t, 3)];

                link_down(l);
                link_up(l);
            }
        }
        assert_int_equal(m.last, TAKO_OK);
        mesh_end(&m);
    }
}

/* A source falls silent: another gives what it owed, after a while. */
static void test_blobs__silence_is_not_waited_for(void **state)
{
    uint8_t id[32];
    sync_blob_state s;
    mesh m;
    link *quiet;

    (void)state;
    mesh_begin(&m, 1, 3);
    quiet = join(&m, 0, 2);
    (void)join(&m, 1, 2);
    put(&m, 0, 1, LEN, id);
    put(&m, 1, 1, LEN, id);
    fetch(&m, 2, id, LEN);
    for (unsigned i = 0; i < 12; i++)
        (void)move_any(&m);
    quiet->cut[0] = true;
    run(&m, 3000);
    if (sync_blobs_state(m.b[2], id, &s) == TAKO_OK)
        assert_true(s.have < s.parts);
    run(&m, 3000);
    assert_true(here(&m, 2, id, 1, LEN));
    mesh_end(&m);
}

/* One is slow and alone, one never answers: that is waited for, and without
 * haste: run() stops the test where time stands still. */
static void test_blobs__who_never_answers_costs_no_time(void **state)
{
    uint8_t id[32];
    mesh m;
    link *slow, *silent;

    (void)state;
    mesh_begin(&m, 1, 3);
    slow = join(&m, 0, 2);
    silent = join(&m, 1, 2);
    silent->cut[0] = silent->cut[1] = true;
    put(&m, 0, 1, LEN, id);
    fetch(&m, 2, id, LEN);
    for (unsigned i = 0; i < 12; i++)
        (void)move_any(&m);
    slow->cut[0] = true;
    run(&m, 30000);
    assert_false(here(&m, 2, id, 1, LEN));
    slow->cut[0] = false;
    run(&m, 120000);
    assert_true(here(&m, 2, id, 1, LEN));
    mesh_end(&m);
}

/* The writer belongs to the program for a while: little is held in memory
 * meanwhile. */
static void test_blobs__waits_for_the_writer(void **state)
{
    uint8_t id[32];
    sync_blob_state s;
    mesh m;

    (void)state;
    mesh_begin(&m, 1, 2);
    (void)join(&m, 0, 1);
    put(&m, 0, 1, 10 * LEN, id);
    m.busy[1] = 500;
    fetch(&m, 1, id, 10 * LEN);
    run(&m, 200);
    assert_int_equal(sync_blobs_state(m.b[1], id, &s), TAKO_OK);
    assert_int_equal(s.have, 0);
    assert_in_range(counts(&m, 1).parts_in, 16, 64 + 16);
    run(&m, 60000);
    assert_true(here(&m, 1, id, 1, 10 * LEN));
    mesh_end(&m);
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
    mesh_begin(&m, 1, 2);
    (void)join(&m, 0, 1);
    put(&m, 0, 1, LEN, id);
    pages_max(&m, 1, "PRAGMA max_page_count=60");
    fetch(&m, 1, id, LEN);
    run(&m, 30000);
    assert_false(here(&m, 1, id, 1, LEN));
    assert_in_range(m.events[1][SYNC_BLOB_NOT_KEPT], 1, 10);
    pages_max(&m, 1, "PRAGMA max_page_count=100000");
    run(&m, 60000);
    assert_true(here(&m, 1, id, 1, LEN));
    mesh_end(&m);
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

        mesh_begin(&m, 1, 3);
        (void)join(&m, 0, 1);
        (void)join(&m, 1, 2);
        put(&m, 0, 1, 20000, id);
        m.n.t.fail_after = nth;
        (void)sync_blobs_fetch(m.b[2], m.now, id, 20000, NULL);
        run(&m, 500);
        m.n.t.fail_after = -1;
        failed = m.n.t.failed_once;
        for (unsigned i = 0; i < 2; i++)
            if (!m.links[i].up)
                link_up(&m.links[i]);
        (void)sync_blobs_fetch(m.b[2], m.now, id, 20000, NULL);
        run(&m, 120000);
        if (!here(&m, 2, id, 1, 20000))
            fail_msg("allocation %ld", nth);
        mesh_end(&m);
    }
}

/* Documents refer to it: it comes by itself, where that is set. */
static void test_blobs__come_by_themselves(void **state)
{
    tako_slice key = tako_slice_str("photo");
    uint8_t id[32], raw[32];
    blob_token t = { .len = LEN };
    tako_errbuf e;
    crdt_doc *d;
    crdt_dot dot;
    uint32_t coll;
    tako_buf b;
    store *s;
    mesh m;

    (void)state;
    mesh_begin(&m, 1, 2);
    b = tako_buf_on(&m.n.t.env);
    put(&m, 0, 1, LEN, id);
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
    (void)join(&m, 0, 1);
    sync_blobs_on_commit(m.b[1]);
    run(&m, 5000);
    assert_false(here(&m, 1, id, 1, LEN));
    m.automatic[1] = true;
    run(&m, 5000);
    assert_true(here(&m, 1, id, 1, LEN));
    mesh_end(&m);
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
    mesh_begin(&m, 1, 2);
    l = join(&m, 0, 1);
    put(&m, 0, 1, LEN, id);
    b = tako_buf_on(&m.n.t.env);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, TAKO_BLOB_BYTES_MAX + 1, 1, 8);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, LEN, 1, 9); /* more hops than there are */
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_CORRUPT);
    put_ask(&b, 1, id, LEN, 1, 8);
    assert_int_equal(say(l, 0, SYNC_MSG_BLOB_ASK, &b), TAKO_OK);
    put_ask(&b, 1, id, LEN, 2, 8); /* the same number again */
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
    mesh_end(&m);
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
    mesh_begin(&m, 1, 2);
    l = join(&m, 0, 1);
    put(&m, 0, 1, LEN, id);
    b = tako_buf_on(&m.n.t.env);
    before = m.n.t.live_bytes;
    for (uint64_t i = 0; i < 100000 && err == TAKO_OK; i++) {
        put_ask(&b, i, id, LEN, (uint8_t)i, 8);
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
    mesh_end(&m);
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
    mesh_begin(&m, 1, 2);
    m.n.tap = describe_passing;
    m.n.tap_ctx = &d;
    (void)join(&m, 0, 1);
    fetch(&m, 1, id, 100); /* NONE */
    run(&m, 100);
    put(&m, 0, 3, 20, id);
    fetch(&m, 1, id, 20);
    run(&m, 100);
    assert_true(here(&m, 1, id, 3, 20));
    put(&m, 0, 4, LEN, id);
    fetch(&m, 1, id, LEN);
    while (move_any(&m) && d.taken[SYNC_MSG_BLOB_HAVE] < 2)
        ;
    assert_int_equal(sync_blobs_cancel(m.b[1], id), TAKO_OK);
    run(&m, 100);
    for (unsigned kind = SYNC_MSG_BLOB_ASK; kind <= SYNC_MSG_BLOB_STOP; kind++)
        assert_true(d.taken[kind] > 0);
    vectors_check(&out, "blobs");
    tako_buf_fini(&out);
    mesh_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs__from_a_neighbour),
        cmocka_unit_test(test_blobs__through_who_does_not_want_it),
        cmocka_unit_test(test_blobs__nobody_has_it),
        cmocka_unit_test(test_blobs__nobody_has_the_rest),
        cmocka_unit_test(test_blobs__several_sources_share_the_work),
        cmocka_unit_test(test_blobs__a_liar_is_not_believed),
        cmocka_unit_test(test_blobs__a_liar_behind_another),
        cmocka_unit_test(test_blobs__goes_on_where_it_was_cut_off),
        cmocka_unit_test(test_blobs__silence_is_not_waited_for),
        cmocka_unit_test(test_blobs__who_never_answers_costs_no_time),
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
