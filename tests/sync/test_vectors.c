// SPDX-License-Identifier: Apache-2.0
/* Messages and records as test vectors. Those of catching up are not here but
 * in tests/e2e/second_reader.py: they are answers, and depend on what both
 * sides have. */
#include "sync/support_net.h"

#include "support/vectors.h"
#include "sync/state.h"

/* ---- numbers, ids, items ------------------------------------------------------- */

static void put_numbers(test_env *t, tako_buf *out)
{
    static const uint64_t numbers[] = {
        0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX,
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        tako_buf b = tako_buf_on(&t->env);

        tako_put_varint(&b, numbers[i]);
        vectors_open(out, "varint", NULL);
        vectors_number(out, "number", numbers[i]);
        vectors_hex(out, "bytes", tako_buf_slice(&b));
        vectors_close(out);
        tako_buf_fini(&b);
    }
}

static void put_ids(test_env *t, tako_buf *out)
{
    static const char *const ids[] = {
        "\x78\x1a"
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "\x78\x1a"
        "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "\x78\x1a"
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "\x78\x1a"
        "01arz3ndektsv4rrffq69g5fav",
        "\x63"
        "abc",
        "\x18\x64",
        "\x82\x01\x61x",
    };
    static const uint8_t mesh_id[16] = "the id of a mesh";
    static const uint8_t version[16] = "some version of ";
    static const uint64_t top = UINT64_C(0xfedcba9876543210);

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        tako_slice id = tako_slice_str(ids[i]);
        sync_item item = sync_item_of(mesh_id, id, version, top);
        tako_buf b = tako_buf_on(&t->env);

        sync_put_id(&b, id);
        vectors_open(out, "id", NULL);
        vectors_hex(out, "cbor", id);
        vectors_hex(out, "bytes", tako_buf_slice(&b));
        vectors_hex(out, "mesh_id", tako_slice_of(mesh_id, 16));
        vectors_hex(out, "version", tako_slice_of(version, 16));
        vectors_number(out, "key", item.key);
        vectors_number(out, "item", item.item);
        vectors_number(out, "top", top);
        vectors_number(out, "when", item.when);
        vectors_close(out);
        tako_buf_fini(&b);
    }
}

/* The first symbols of a set of the numbers from 0 on, and its sketch. */
static void put_symbols(test_env *t, tako_buf *out)
{
    static const uint8_t mesh_id[16] = "the id of a mesh";

    for (uint8_t count = 1; count <= 20; count = (uint8_t)(count + 19u)) {
        sync_symbol symbols[12] = { { 0 } };
        int32_t sketch[SYNC_SKETCH] = { 0 };
        tako_buf b = tako_buf_on(&t->env), k = tako_buf_on(&t->env);

        for (uint8_t i = 0; i < count; i++) {
            uint8_t version[16] = { i };
            sync_item item = sync_item_of(mesh_id, tako_slice_of(&i, 1),
                                          version, (uint64_t)i << 40);
            uint64_t hash = sync_key_hash(mesh_id, item.key);

            sync_symbols_add(symbols, 12, item, hash);
            sync_sketch_add(sketch, item, hash, 1);
        }
        for (size_t i = 0; i < 12; i++)
            sync_symbol_put(&b, &symbols[i]);
        sync_sketch_put(&k, sketch);
        vectors_open(out, "symbols", NULL);
        vectors_hex(out, "mesh_id", tako_slice_of(mesh_id, 16));
        vectors_number(out, "count", count);
        vectors_hex(out, "symbols", tako_buf_slice(&b));
        vectors_hex(out, "sketch", tako_buf_slice(&k));
        vectors_close(out);
        tako_buf_fini(&b);
        tako_buf_fini(&k);
    }
}

/* ---- records ---------------------------------------------------------------------- */

static const uint8_t sum_key[16] = "a key for sums..";

static crdt_actor actor(char c)
{
    crdt_actor a;

    memset(a.id, c, sizeof a.id);
    return a;
}

static crdt_dot dot(char c, uint64_t ms, uint64_t counter)
{
    return (crdt_dot){ actor(c),
                       CRDT_HLC_OF_MS(1700000000000u + ms) | counter };
}

static void ok(tako_err err)
{
    assert_int_equal(err, TAKO_OK);
}

/* A sender and a receiver of records. */
typedef struct bench {
    test_env t;
    tako_arena arena;
    sync_names out, in;
    tako_buf bytes, scratch, vectors;
    bool jump; /* before the next record */
} bench;

static void bench_init(bench *b)
{
    test_env_init(&b->t, 1);
    b->arena = tako_arena_on(&b->t.env);
    b->bytes = b->scratch = b->vectors = tako_buf_on(&b->t.env);
    b->jump = false;
    sync_names_init(&b->out, &b->t.env);
    sync_names_init(&b->in, &b->t.env);
}

static void bench_fini(bench *b)
{
    sync_names_fini(&b->out);
    sync_names_fini(&b->in);
    tako_buf_fini(&b->bytes);
    tako_buf_fini(&b->scratch);
    tako_buf_fini(&b->vectors);
    tako_arena_fini(&b->arena);
    test_env_check_empty(&b->t);
}

static void put_doc(bench *b, const char *meta_field, const char *body_field,
                    const crdt_doc *d)
{
    tako_buf meta = tako_buf_on(&b->t.env), body = tako_buf_on(&b->t.env);

    ok(crdt_doc_encode(d, &meta, &body));
    vectors_hex(&b->vectors, meta_field, tako_buf_slice(&meta));
    vectors_hex(&b->vectors, body_field, tako_buf_slice(&body));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

static crdt_doc *copy_of(bench *b, const crdt_doc *d)
{
    tako_buf meta = tako_buf_on(&b->t.env), body = tako_buf_on(&b->t.env);
    crdt_doc *copy;

    ok(crdt_doc_encode(d, &meta, &body));
    ok(crdt_doc_decode(
        &b->arena, tako_arena_copy(&b->arena, tako_buf_slice(&meta)),
        tako_arena_copy(&b->arena, tako_buf_slice(&body)), &copy, NULL));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    return copy;
}

/* What one record is made of. before: of a delta, else NULL. */
static void put_record(bench *b, const char *name, const sync_doc_name *doc,
                       bool remember, const crdt_doc *d, const crdt_doc *before)
{
    sync_writer w = { &b->out, &b->bytes, &b->scratch, 0, false };
    tako_buf meta = tako_buf_on(&b->t.env), body = tako_buf_on(&b->t.env);
    tako_reader in;
    sync_record r;
    bool replaced = false;

    tako_buf_reset(&b->bytes);
    ok(crdt_doc_encode(d, &meta, &body));
    if (b->jump)
        sync_put_jump(&w);
    if (before != NULL)
        ok(sync_put_delta(&w, doc, d, crdt_doc_context(before), before,
                          sum_key));
    else
        ok(sync_put_state(&w, doc, remember, tako_buf_slice(&meta),
                          tako_buf_slice(&body)));
    in = tako_reader_of(tako_buf_slice(&b->bytes));
    ok(sync_get_record(&b->in, &b->arena, &in, &r, &replaced, NULL));
    assert_true(tako_reader_done(&in) && tako_slice_eq(r.id, doc->id));
    assert_true(r.jump == b->jump);
    vectors_open(&b->vectors, "record", name);
    vectors_bool(&b->vectors, "remember", remember);
    vectors_bool(&b->vectors, "jump", b->jump);
    vectors_text(&b->vectors, "collection", doc->coll_name);
    vectors_hex(&b->vectors, "id", doc->id);
    put_doc(b, "meta", "body", d);
    if (before != NULL)
        put_doc(b, "meta_before", "body_before", before);
    vectors_hex(&b->vectors, "sum_key", tako_slice_of(sum_key, 16));
    vectors_hex(&b->vectors, "bytes", tako_buf_slice(&b->bytes));
    vectors_close(&b->vectors);
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

/* What `before` asks for by fields of who has d, and the answer. */
static void put_answer(bench *b, const char *name, const sync_doc_name *doc,
                       const crdt_doc *d, const crdt_doc *before)
{
    sync_writer w = { &b->out, &b->bytes, &b->scratch, 0, false };
    tako_buf question = tako_buf_on(&b->t.env);
    crdt_fields asked;
    tako_reader in;
    sync_record r;
    bool replaced = false;

    tako_buf_reset(&b->bytes);
    ok(crdt_fields_ask(before, crdt_doc_context(d), sum_key, &question));
    ok(crdt_fields_read(&b->arena, tako_buf_slice(&question), &asked, NULL));
    ok(sync_put_answer(&w, doc, d, &asked, sum_key));
    in = tako_reader_of(tako_buf_slice(&b->bytes));
    ok(sync_get_record(&b->in, &b->arena, &in, &r, &replaced, NULL));
    assert_true(tako_reader_done(&in) && r.delta && r.answer);
    vectors_open(&b->vectors, "record", name);
    vectors_text(&b->vectors, "collection", doc->coll_name);
    vectors_hex(&b->vectors, "id", doc->id);
    vectors_hex(&b->vectors, "question", tako_buf_slice(&question));
    put_doc(b, "meta", "body", d);
    put_doc(b, "meta_before", "body_before", before);
    vectors_hex(&b->vectors, "sum_key", tako_slice_of(sum_key, 16));
    vectors_hex(&b->vectors, "bytes", tako_buf_slice(&b->bytes));
    vectors_close(&b->vectors);
    tako_buf_fini(&question);
}

/* One lane's records one after the other: names are defined once. */
static void put_records(bench *b)
{
    static const char long_key[] =
        "a field whose name is longer than what tables hold, 128 bytes: "
        "such a name is written in full wherever it stands, and so this "
        "one is written so";
    tako_slice fields = tako_slice_str("\xa1\x61s\x64open");
    tako_slice s = tako_slice_str("s"), n = tako_slice_str("n");
    tako_slice much = tako_slice_of(long_key, sizeof long_key - 1);
    sync_doc_name ulid = { 1, tako_slice_str("orders"), 5,
                           tako_slice_str("\x78\x1a"
                                          "01ARZ3NDEKTSV4RRFFQ69G5FAV") };
    sync_doc_name text = { 2, tako_slice_str("stock"), 1,
                           tako_slice_str("\x63tea") };
    crdt_doc *d, *e, *before;

    ok(crdt_doc_new(&b->arena, &d));
    ok(crdt_insert(d, dot('A', 0, 0), fields));
    put_record(b, "a first state", &ulid, true, d, NULL);
    before = copy_of(b, d);
    ok(crdt_set(d, dot('A', 61000, 0), (crdt_path){ &s, 1 }, CRDT_AUTO,
                tako_slice_str("\x65ready"), NULL));
    put_record(b, "a first delta", &ulid, true, d, before);
    before = copy_of(b, d);
    ok(crdt_set(d, dot('A', 122000, 0), (crdt_path){ &s, 1 }, CRDT_AUTO,
                tako_slice_str("\x64paid"), NULL));
    put_record(b, "a second: everything has a number", &ulid, true, d, before);
    before = copy_of(b, d);
    ok(crdt_increment(d, dot('B', 122001, 7), (crdt_path){ &n, 1 }, 5, NULL));
    put_record(b, "another writer, a counter", &ulid, true, d, before);
    before = copy_of(b, d);
    ok(crdt_unset(d, dot('A', 183000, 0), (crdt_path){ &s, 1 }));
    put_answer(b, "an answer by fields", &ulid, d, before);
    ok(crdt_doc_new(&b->arena, &e));
    ok(crdt_insert(e, dot('B', 0, 3), tako_slice_str("\xa0")));
    put_record(b, "another collection, not remembered", &text, false, e, NULL);
    before = copy_of(b, e);
    ok(crdt_set(e, dot('C', 9, 65535), (crdt_path){ &much, 1 }, CRDT_AUTO,
                tako_slice_str("\x01"), NULL));
    put_record(b, "a long key, a reference before the last", &text, true, e,
               before);
    ok(crdt_delete(e, dot('C', 10, 0)));
    put_record(b, "a tombstone", &text, true, e, NULL);
    before = copy_of(b, d);
    ok(crdt_set(d, dot('A', 244000, 0), (crdt_path){ &s, 1 }, CRDT_AUTO,
                tako_slice_str("\x64open"), NULL));
    ok(crdt_set(d, dot('B', 244001, 0), (crdt_path){ &s, 1 }, CRDT_AUTO,
                tako_slice_str("\x64"
                               "done"),
                NULL));
    b->jump = true;
    put_record(b, "two writes at once", &ulid, true, d, before);
}

static void test_vectors__records_stay_as_they_are(void **state)
{
    bench b;

    (void)state;
    bench_init(&b);
    put_numbers(&b.t, &b.vectors);
    put_ids(&b.t, &b.vectors);
    put_symbols(&b.t, &b.vectors);
    put_records(&b);
    vectors_check(&b.vectors, "records");
    bench_fini(&b);
}

/* ---- messages of a session ----------------------------------------------------------- */

static void put_message(tako_buf *out, const char *name, const char *fields,
                        sync_lane lane, tako_slice bytes)
{
    vectors_open(out, "message", name);
    vectors_number(out, "lane", lane);
    vectors_hex(out, "bytes", bytes);
    tako_put_str(out, fields);
    vectors_close(out);
}

static void send_one(net *n, int end, sync_lane *lane, tako_buf *out)
{
    sync_session *s = n->links[0].ends[end].session;

    ok(sync_session_send(s, n->now, SYNC_LANES_ALL, lane, out, NULL));
}

static void put_hello(net *n, tako_buf *out)
{
    sync_session *s = n->links[0].ends[0].session;
    tako_buf bytes = tako_buf_on(&n->t.env), fields = tako_buf_on(&n->t.env);
    sync_lane lane;

    send_one(n, 0, &lane, &bytes);
    vectors_number(&fields, "major", SYNC_VERSION_MAJOR);
    vectors_number(&fields, "minor", SYNC_VERSION_MINOR);
    vectors_hex(&fields, "actor", tako_slice_of(s->actor.id, 16));
    vectors_hex(&fields, "incarnation", tako_slice_of(s->incarnation, 16));
    vectors_hex(&fields, "sum_key", tako_slice_of(s->sum_key, 16));
    vectors_number(&fields, "wall_ms", n->t.wall_ms);
    vectors_number(&fields, "features",
                   SYNC_FEATURE_PACKED | SYNC_FEATURE_PACKED_CUTS);
    vectors_number(&fields, "interests", 1);
    put_message(out, "HELLO", tako_buf_cstr(&fields), lane,
                tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
    tako_buf_fini(&fields);
}

/* What the slots 0 of the live lane mean, and the last reference. */
static void put_tables(net *n, tako_buf *out)
{
    sync_names *names = &n->links[0].ends[0].session->names_out[SYNC_LIVE];
    uint8_t room[32];

    vectors_number(out, "closes_after", 1);
    vectors_text(out, "collection", tako_slice_str("orders"));
    vectors_hex(out, "id", net_id(4, room));
    vectors_hex(out, "actor",
                tako_slice_of(sync_dict_at(&names->actors, 0)->bytes, 16));
    vectors_text(out, "key", tako_slice_str("s"));
    vectors_text(out, "value", tako_slice_str("paid"));
    vectors_number(out, "claim_number", 0);
    vectors_number(out, "claim", SYNC_CLAIM_ALL);
    vectors_number(out, "ref_before", names->ref);
}

/* A change as it goes through a session whose tables have all names, and the
 * receipt. */
static void put_change(net *n, tako_buf *out)
{
    tako_buf bytes = tako_buf_on(&n->t.env), fields = tako_buf_on(&n->t.env);
    sync_lane lane;
    tako_errbuf e = { "" };

    net_set(n, 0, "orders", 4, "s", "ready");
    n->t.wall_ms += 61000;
    net_settle(n);
    net_set(n, 0, "orders", 4, "s", "paid");
    while (net_tell(n, 0))
        ;
    put_tables(n, &fields);
    send_one(n, 0, &lane, &bytes);
    vectors_number(&fields, "ref",
                   n->links[0].ends[0].session->names_out[SYNC_LIVE].ref);
    put_message(out, "CUT", tako_buf_cstr(&fields), lane,
                tako_buf_slice(&bytes));
    n->nodes[1].writing = n->links[0].ends[1].session;
    ok(sync_session_recv(n->links[0].ends[1].session, n->now, lane,
                         tako_buf_slice(&bytes), &e));
    n->nodes[1].writing = NULL;
    send_one(n, 1, &lane, &bytes);
    put_message(out, "ACK", ",\"more\":1", lane, tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
    tako_buf_fini(&fields);
}

/* The next message of a kind; others are let go. */
static void send_kind(net *n, int end, uint8_t kind, sync_lane *lane,
                      tako_buf *out)
{
    for (int i = 0; i < 16; i++) {
        send_one(n, end, lane, out);
        if (out->len > 0 && out->ptr[0] == kind)
            return;
    }
    fail_msg("no message of kind %u", kind);
}

static void receive(net *n, int end, sync_lane lane, const tako_buf *message)
{
    ok(sync_session_recv(n->links[0].ends[end].session, n->now, lane,
                         tako_buf_slice(message), NULL));
}

/* What answers HELLO, an INTEREST that cannot be served, and the end of a
 * subscription. */
static void put_answers(net *n, tako_buf *out)
{
    static const uint8_t bad_interest[] = { 2, 5, 0, 2, '!', 'x', 0, 0,
                                            0, 0, 0, 0, 0,   0,   0, 0 };
    tako_buf bytes = tako_buf_on(&n->t.env), fields = tako_buf_on(&n->t.env);
    uint64_t hlc;
    sync_lane lane;

    net_disconnect(n, &n->links[0]);
    net_reconnect(n, &n->links[0]);
    send_kind(n, 0, SYNC_MSG_HELLO, &lane, &bytes);
    receive(n, 1, lane, &bytes);
    send_kind(n, 1, SYNC_MSG_KNOWN, &lane, &bytes);
    ok(store_seen_hlc(n->nodes[1].reader, store_actor(n->nodes[0].st), &hlc));
    vectors_number(&fields, "hlc", hlc);
    put_message(out, "KNOWN", tako_buf_cstr(&fields), lane,
                tako_buf_slice(&bytes));
    tako_buf_fini(&fields);
    ok(sync_session_recv(n->links[0].ends[1].session, n->now, SYNC_CONTROL,
                         tako_slice_of(bad_interest, sizeof bad_interest),
                         NULL));
    send_kind(n, 1, SYNC_MSG_REFUSED, &lane, &bytes);
    put_message(out, "REFUSED", ",\"number\":5,\"reason\":\"no subscription\"",
                lane, tako_buf_slice(&bytes));
    ok(sync_session_unsubscribe(n->links[0].ends[1].session, 0));
    send_kind(n, 1, SYNC_MSG_DROP, &lane, &bytes);
    put_message(out, "DROP", ",\"number\":0", lane, tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
}

/* A delta whose base is not there calls for the whole state. */
static void put_needs(net *n, tako_buf *out)
{
    bench b;
    tako_buf bytes = tako_buf_on(&n->t.env), fields = tako_buf_on(&n->t.env);
    sync_writer w;
    sync_doc_name name = { 1, tako_slice_str("orders"), 5,
                           tako_slice_str("\x78\x1a"
                                          "01ARZ3NDEKTSV4RRFFQ69G5FAV") };
    tako_slice s = tako_slice_str("s");
    crdt_doc *d, *before;
    sync_lane lane;

    bench_init(&b);
    ok(crdt_doc_new(&b.arena, &d));
    ok(crdt_insert(d, dot('A', 0, 0), tako_slice_str("\xa1\x61s\x64open")));
    before = copy_of(&b, d);
    ok(crdt_set(d, dot('A', 1, 0), (crdt_path){ &s, 1 }, CRDT_AUTO,
                tako_slice_str("\x01"), NULL));
    net_disconnect(n, &n->links[0]);
    net_reconnect(n, &n->links[0]);
    net_settle(n);
    w = (sync_writer){ &b.out, &b.bytes, &b.scratch, 0, false };
    tako_put_u8(&b.bytes, SYNC_MSG_CUT);
    tako_put_varint(&b.bytes, 2);
    ok(sync_put_delta(&w, &name, d, crdt_doc_context(before), before, sum_key));
    n->nodes[1].writing = n->links[0].ends[1].session;
    receive(n, 1, SYNC_LIVE, &b.bytes);
    n->nodes[1].writing = NULL;
    send_kind(n, 1, SYNC_MSG_NEEDS, &lane, &bytes);
    vectors_text(&fields, "collection", name.coll_name);
    vectors_hex(&fields, "id", name.id);
    vectors_hex(&fields, "question", TAKO_SLICE_NONE);
    put_message(out, "NEEDS", tako_buf_cstr(&fields), lane,
                tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
    tako_buf_fini(&fields);
    bench_fini(&b);
}

/* Of a device behind the sender: defined, and then raised. */
static void put_receipts(net *n, tako_buf *out)
{
    sync_receipt r = { .name = tako_slice_str("till 3"),
                       .texts = { tako_slice_str("SELECT * FROM `orders`") },
                       .text_count = 1,
                       .lsn = 17 };
    tako_buf bytes = tako_buf_on(&n->t.env);
    sync_session *s = n->links[0].ends[1].session;
    sync_lane lane;

    memset(r.device, 'd', sizeof r.device);
    sync_session_receipt(s, 1, &r);
    sync_session_receipts_send(s);
    send_kind(n, 1, SYNC_MSG_RECEIPTS, &lane, &bytes);
    put_message(out, "RECEIPTS",
                ",\"entries\":[[\"define\",0,\"6464646464646464646464646464"
                "646464646464646464646464646464646464\",\"till 3\",0,"
                "[\"SELECT * FROM `orders`\"],17]]",
                lane, tako_buf_slice(&bytes));
    r.lsn = 3000;
    sync_session_receipt(s, 1, &r);
    sync_session_receipt_gone(s, 1);
    sync_session_receipt_ask(s, tako_slice_str("till 4"), 8);
    sync_session_receipts_send(s);
    send_kind(n, 1, SYNC_MSG_RECEIPTS, &lane, &bytes);
    put_message(out, "RECEIPTS",
                ",\"entries\":[[\"raise\",0,2983],[\"gone\",0],"
                "[\"ask\",8,\"till 4\"]]",
                lane, tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
}

static void let_go(net *n, size_t node, uint64_t id)
{
    store *st = n->nodes[node].st;
    uint8_t bytes[32];
    tako_errbuf e;
    uint32_t coll;

    net_begin(n, node);
    ok(store_coll_find(store_writer(st), tako_slice_str("orders"), &coll));
    ok(store_leave(st, coll, net_id(id, bytes), TAKO_SLICE_NONE, &e));
    net_commit_now(n, node);
}

/* Node 1 comes back with what node 0 had, and let go of. */
static void put_past(tako_buf *out)
{
    net n;
    tako_buf fields, bytes;
    crdt_dot written;
    uint8_t id[32];
    sync_lane lane;

    net_init(&n, 1, 3);
    fields = tako_buf_on(&n.t.env);
    bytes = tako_buf_on(&n.t.env);
    net_subscribe(&n, 0, "orders?open");
    net_subscribe(&n, 1, "orders?open");
    net_subscribe(&n, 2, "orders");
    net_insert(&n, 2, "orders", 4, "open", "pad");
    ok(store_own_last(n.nodes[2].reader, &written));
    net_connect(&n, 0, 1);
    net_connect(&n, 0, 2);
    net_settle(&n);
    net_disconnect(&n, &n.links[0]);
    net_set(&n, 2, "orders", 4, "s", "done");
    net_settle(&n);
    let_go(&n, 0, 4);
    net_settle(&n);
    net_reconnect(&n, &n.links[0]);
    for (int i = 0;
         i < 500 && (bytes.len == 0 || bytes.ptr[0] != SYNC_MSG_PAST); i++) {
        for (size_t node = 0; node < 3; node++)
            while (net_tell(&n, node))
                ;
        while (net_send(&n, &n.links[0], 1))
            ;
        for (int at = 0; at < SYNC_LANES; at++)
            while (net_deliver(&n, &n.links[0], 1, at))
                ;
        n.nodes[0].writing = n.links[0].ends[0].session;
        send_one(&n, 0, &lane, &bytes);
        n.nodes[0].writing = NULL;
        if (bytes.len > 0 && bytes.ptr[0] != SYNC_MSG_PAST)
            ok(sync_session_recv(n.links[0].ends[1].session, n.now, lane,
                                 tako_buf_slice(&bytes), NULL));
        n.now++;
    }
    assert_int_equal(bytes.ptr[0], SYNC_MSG_PAST);
    vectors_text(&fields, "collection", tako_slice_str("orders"));
    vectors_hex(&fields, "id", net_id(4, id));
    vectors_number(&fields, "later", 1);
    vectors_hex(&fields, "actor", tako_slice_of(written.actor.id, 16));
    vectors_number(&fields, "hlc", written.hlc);
    put_message(out, "PAST", tako_buf_cstr(&fields), lane,
                tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
    tako_buf_fini(&fields);
    net_fini(&n);
}

static void put_bye(net *n, tako_buf *out)
{
    tako_buf bytes = tako_buf_on(&n->t.env);

    sync_bye(&bytes, "shutting down");
    put_message(out, "BYE", ",\"reason\":\"shutting down\"", SYNC_CONTROL,
                tako_buf_slice(&bytes));
    tako_buf_fini(&bytes);
}

static void test_vectors__messages_stay_as_they_are(void **state)
{
    net n;
    tako_buf out;

    (void)state;
    net_init(&n, 1, 2);
    out = tako_buf_on(&n.t.env);
    net_subscribe_all(&n, "orders");
    net_connect(&n, 0, 1);
    put_hello(&n, &out);
    net_disconnect(&n, &n.links[0]);
    net_reconnect(&n, &n.links[0]);
    net_insert(&n, 0, "orders", 4, "open", "pad");
    net_settle(&n);
    put_change(&n, &out);
    put_needs(&n, &out);
    put_answers(&n, &out);
    put_receipts(&n, &out);
    put_past(&out);
    put_bye(&n, &out);
    assert_int_equal(n.last_error, TAKO_OK);
    vectors_check(&out, "messages");
    tako_buf_fini(&out);
    net_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__records_stay_as_they_are),
        cmocka_unit_test(test_vectors__messages_stay_as_they_are),
    };

    return cmocka_run_group_tests_name("sync/vectors", tests, NULL, NULL);
}
