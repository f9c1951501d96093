// SPDX-License-Identifier: Apache-2.0
#include "sync/support_blobs.h"

#include "sync/wire.h"

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

void blobs_node_begin(mesh *m, unsigned i)
{
    assert_int_equal(sync_blobs_new(&m->n.t.env, &m->host[i],
                                    m->n.nodes[i].reader, &m->b[i]),
                     TAKO_OK);
}

void blobs_begin(mesh *m, uint64_t seed, unsigned nodes)
{
    memset(m, 0, sizeof *m);
    net_init(&m->n, seed, nodes);
    m->now = 1000;
    for (unsigned i = 0; i < nodes; i++) {
        ends[i] = (end){ m, i };
        m->host[i] = (sync_blobs_host){ &ends[i], write_try, write_end,
                                        on_event, automatic };
        blobs_node_begin(m, i);
    }
}

void blobs_link_down(link *l)
{
    for (int k = 0; k < 2; k++) {
        sync_blob_peer_free(l->peer[k]);
        l->peer[k] = NULL;
    }
    l->up = false;
}

void blobs_link_up(link *l)
{
    for (int k = 0; k < 2; k++)
        assert_int_equal(sync_blob_peer_new(l->m->b[l->node[k]], &l->peer[k]),
                         TAKO_OK);
    l->up = true;
    for (int k = 0; k < 2; k++)
        sync_blob_peer_ready(l->peer[k], l->m->now);
}

link *blobs_join(mesh *m, unsigned a, unsigned b)
{
    link *l = &m->links[m->link_count++];

    *l = (link){ .m = m, .node = { a, b } };
    blobs_link_up(l);
    return l;
}

void blobs_end(mesh *m)
{
    for (unsigned i = 0; i < m->link_count; i++)
        if (m->links[i].up)
            blobs_link_down(&m->links[i]);
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
        blobs_link_down(l);
    }
    return moved || err != TAKO_OK;
}

bool blobs_move_any(mesh *m)
{
    unsigned first = (unsigned)test_below(&m->n.t, 2 * BLOBS_LINKS);

    for (unsigned i = 0; i < 2 * m->link_count; i++) {
        unsigned at = (first + i) % (2 * m->link_count);

        if (move_one(&m->links[at / 2], (int)(at % 2)))
            return true;
    }
    return false;
}

void blobs_run(mesh *m, uint64_t ms)
{
    uint64_t until = m->now + ms;

    for (unsigned turns = 0;; turns++) {
        uint64_t next = UINT64_MAX;

        assert_true(turns < 2000000);
        if (blobs_move_any(m))
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

void blobs_put(mesh *m, unsigned node, uint64_t n, uint64_t len, uint8_t id[32])
{
    tako_errbuf e;

    assert_int_equal(content_put(m->n.nodes[node].st, n, len, 4096, id, &e),
                     TAKO_OK);
}

void blobs_fetch(mesh *m, unsigned node, const uint8_t id[32], uint64_t len)
{
    tako_errbuf e = { "" };

    if (sync_blobs_fetch(m->b[node], m->now, id, len, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

bool blobs_here(mesh *m, unsigned node, const uint8_t id[32], uint64_t n,
                uint64_t len)
{
    return content_is(m->n.nodes[node].reader, id, n, len);
}

sync_blobs_counts blobs_counts(mesh *m, unsigned node)
{
    sync_blobs_counts c;

    sync_blobs_counts_read(m->b[node], &c);
    return c;
}

uint32_t blobs_parts_of(uint64_t len)
{
    blob_form f;

    assert_true(blob_form_of(len, &f));
    return f.parts;
}
