// SPDX-License-Identifier: Apache-2.0
/* The documents of support_net.h: written and read by number. */
#include <stdio.h>

#include "base/hash.h"
#include "codec/ulid.h"
#include "sync/support_net.h"

tako_slice net_id(uint64_t id, uint8_t out[32])
{
    test_env dummy = { .seed = id };
    uint8_t raw[16];

    if (id % 3 == 0) { /* an integer: a negative row */
        out[0] = 0x1a;
        out[1] = 0x10;
        out[2] = (uint8_t)(id >> 16);
        out[3] = (uint8_t)(id >> 8);
        out[4] = (uint8_t)id;
        return tako_slice_of(out, 5);
    }
    for (size_t i = 0; i < 16; i++)
        raw[i] = (uint8_t)test_random(&dummy);
    raw[0] = 1;
    out[0] = 0x78;
    out[1] = 26;
    ulid_to_text(raw, (char *)out + 2);
    return tako_slice_of(out, 28);
}

typedef struct one {
    bool mine;
    uint32_t coll;
    uint8_t id_bytes[32];
    tako_slice id;
} one;

static one start(net *n, size_t node, const char *coll, uint64_t id)
{
    one o;
    tako_errbuf e = { "" };

    o.mine = !store_in_transaction(n->nodes[node].st);
    if (o.mine)
        net_begin(n, node);
    if (store_coll_create(n->nodes[node].st, tako_slice_str(coll), &o.coll,
                          &e) != TAKO_OK)
        fail_msg("%s", e.text);
    o.id = net_id(id, o.id_bytes);
    o.id.ptr = o.id_bytes;
    return o;
}

void net_insert(net *n, size_t node, const char *coll, uint64_t id,
                const char *status, const char *pad)
{
    one o = start(n, node, coll, id);
    tako_buf body = tako_buf_on(&n->t.env);
    tako_errbuf e = { "" };
    tako_err err;
    uint8_t bytes[32];

    cbor_put_map(&body, 3);
    cbor_put_text(&body, tako_slice_str("n"));
    cbor_put_int(&body, (int64_t)id);
    cbor_put_text(&body, tako_slice_str("p"));
    cbor_put_text(&body, tako_slice_str(pad));
    cbor_put_text(&body, tako_slice_str("s"));
    cbor_put_text(&body, tako_slice_str(status));
    err = store_insert(n->nodes[node].st, o.coll, net_id(id, bytes),
                       tako_buf_slice(&body), &e);
    if (err != TAKO_OK && err != TAKO_EXISTS)
        fail_msg("%s", e.text);
    tako_buf_fini(&body);
    if (o.mine)
        net_commit_now(n, node);
}

void net_set(net *n, size_t node, const char *coll, uint64_t id,
             const char *field, const char *value)
{
    one o = start(n, node, coll, id);
    store *st = n->nodes[node].st;
    tako_buf cbor = tako_buf_on(&n->t.env);
    tako_slice key = tako_slice_str(field);
    tako_errbuf e = { "" };
    uint8_t bytes[32];
    crdt_doc *doc;
    crdt_dot dot;

    cbor_put_text(&cbor, tako_slice_str(value));
    assert_int_equal(store_dot(st, &dot, &e), TAKO_OK);
    assert_int_equal(store_edit(st, o.coll, net_id(id, bytes), &doc, &e),
                     TAKO_OK);
    if (crdt_doc_alive(doc)) {
        assert_int_equal(crdt_set(doc, dot, (crdt_path){ &key, 1 }, CRDT_AUTO,
                                  tako_buf_slice(&cbor), &e),
                         TAKO_OK);
        assert_int_equal(store_edit_save(st, &e), TAKO_OK);
    }
    tako_buf_fini(&cbor);
    if (o.mine)
        net_commit_now(n, node);
}

void net_delete(net *n, size_t node, const char *coll, uint64_t id)
{
    one o = start(n, node, coll, id);
    store *st = n->nodes[node].st;
    tako_errbuf e = { "" };
    uint8_t bytes[32];
    crdt_doc *doc;
    crdt_dot dot;

    assert_int_equal(store_dot(st, &dot, &e), TAKO_OK);
    assert_int_equal(store_edit(st, o.coll, net_id(id, bytes), &doc, &e),
                     TAKO_OK);
    if (crdt_doc_alive(doc)) {
        assert_int_equal(crdt_delete(doc, dot), TAKO_OK);
        assert_int_equal(store_edit_save(st, &e), TAKO_OK);
    }
    if (o.mine)
        net_commit_now(n, node);
}

void net_evict(net *n, size_t node, const char *coll, uint64_t id, bool force)
{
    one o = start(n, node, coll, id);
    tako_errbuf e = { "" };
    uint8_t bytes[32];

    if (store_evict(n->nodes[node].st, o.coll, net_id(id, bytes), force, &e) !=
        TAKO_OK)
        fail_msg("%s", e.text);
    if (o.mine)
        net_commit_now(n, node);
}

const char *net_get(net *n, size_t node, const char *coll, uint64_t id,
                    const char *field)
{
    static _Thread_local char text[256];
    store_conn *c = n->nodes[node].reader;
    uint8_t bytes[32];
    uint32_t number;
    store_row row;
    tako_reader r;
    cbor_item item;
    tako_slice value;

    if (store_coll_find(c, tako_slice_str(coll), &number) != TAKO_OK ||
        store_get(c, number, net_id(id, bytes), &row) != TAKO_OK)
        return "-";
    if (row.body.len == 0)
        return store_row_is_marker(&row) ? "e" : "x";
    value = cbor_map_get(row.body, tako_slice_str(field));
    r = tako_reader_of(value);
    if (value.len == 0 || !cbor_read(&r, &item) || item.kind != CBOR_TEXT)
        return "";
    (void)snprintf(text, sizeof text, "%.*s", (int)item.str.len,
                   (const char *)item.str.ptr);
    return text;
}

uint64_t net_hash(net *n, size_t node, const char *coll)
{
    static const uint8_t key[16] = { 9 };
    store_conn *c = n->nodes[node].reader;
    store_cursor *k;
    store_row row;
    uint32_t number;
    uint64_t sum = 0;

    if (store_coll_find(c, tako_slice_str(coll), &number) != TAKO_OK)
        return 0;
    assert_int_equal(store_scan(c, number, INT64_MIN, &k), TAKO_OK);
    while (store_scan_next(k, &row) == TAKO_OK) {
        uint64_t h = tako_hash64(key, row.id);

        if (row.body.len > 0)
            sum += tako_hash64(key, tako_slice_of(row.version, 16)) ^ h;
    }
    store_scan_close(k);
    return sum;
}

uint64_t net_live_count(net *n, size_t node)
{
    store_facts facts;
    tako_errbuf e;

    assert_int_equal(store_facts_read(n->nodes[node].reader, &facts, &e),
                     TAKO_OK);
    return facts.documents;
}
