// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/test_link.c mirrors src/mesh/link.c: two links over memory. */
#include "mesh/support_pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "mesh/frame.h"
#include "mesh/transport/tls.h"

typedef struct world {
    test_env t;
    pair p;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);

    test_env_init(&w->t, 1);
    assert_int_equal(pair_init(&w->p, &w->t), TAKO_OK);
    *state = w;
    return 0;
}

static int setup_ends(void **state)
{
    world *w = calloc(1, sizeof *w);

    test_env_init(&w->t, 1);
    assert_int_equal(pair_init_ends(&w->p, &w->t), TAKO_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;

    pair_fini(&w->p);
    test_env_check_empty(&w->t);
    free(w);
    return 0;
}

static void test_link__both_ends_learn_who_the_other_is(void **state)
{
    world *w = *state;
    pair_end *a = &w->p.end[0], *b = &w->p.end[1];

    pair_connect(&w->p);
    assert_string_equal(a->peer.name, "bob");
    assert_string_equal(b->peer.name, "ann");
    assert_memory_equal(a->peer.device, b->identity.public_key, 32);
    assert_memory_equal(b->peer.device, a->identity.public_key, 32);
    assert_int_equal(a->peer.roles, SEC_ROLE_READ | SEC_ROLE_WRITE);
    assert_true(mesh_link_is_up(a->link) && mesh_link_is_up(b->link));
    assert_false(pair_pump(&w->p)); /* and then it is quiet */
}

/* The stream may cut bytes anywhere. */
static void test_link__every_size_of_chunk_works(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 700; chunk += 1 + chunk / 12) {
        test_env t;
        pair p;
        uint8_t data[40000];

        test_env_init(&t, chunk);
        assert_int_equal(pair_init(&p, &t), TAKO_OK);
        p.chunk = chunk;
        p.budget = chunk * 3;
        pair_connect(&p);
        pair_fill(data, sizeof data, chunk);
        for (size_t len = 0; len < sizeof data; len = len * 3 + 1)
            assert_int_equal(mesh_link_send(p.end[0].link, MESH_CATCHUP,
                                            tako_slice_of(data, len)),
                             TAKO_OK);
        (void)pair_pump(&p);
        assert_int_equal(p.end[1].err, TAKO_OK);
        assert_int_equal(p.end[1].count, 11);
        assert_memory_equal(p.end[1].last.ptr, data, p.end[1].last.len);
        pair_fini(&p);
        test_env_check_empty(&t);
    }
}

/* ---- refusals ----------------------------------------------------------- */

static void refused(world *w, tako_err dialler, tako_err accepter,
                    const char *text)
{
    assert_int_equal(pair_init_links(&w->p), TAKO_OK);
    (void)pair_pump(&w->p);
    assert_int_equal(w->p.end[0].err, dialler);
    assert_int_equal(w->p.end[1].err, accepter);
    assert_non_null(strstr(w->p.end[0].e.text, text));
    assert_int_equal(w->p.end[1].ups, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(mesh_link_is_closed(w->p.end[i].link));
        assert_int_equal(
            mesh_link_send(w->p.end[i].link, MESH_LIVE, tako_slice_str("x")),
            TAKO_CLOSED);
        assert_true(mesh_link_deadline(w->p.end[i].link) == UINT64_MAX);
        assert_int_equal(
            mesh_link_recv(w->p.end[i].link, 0, tako_slice_str("x"), NULL),
            TAKO_CLOSED);
    }
}

static void test_link__another_secret_is_refused_by_both(void **state)
{
    world *w = *state;

    for (int i = 0; i < 2; i++)
        assert_int_equal(w->p.end[i].ups, 0);
    assert_int_equal(
        sec_mesh_from_secret(tako_slice_str("some other long secret"),
                             &w->p.end[0].mesh, NULL),
        TAKO_OK);
    assert_int_equal(pair_grant(&w->p.end[0], "ann", 0, UINT64_MAX), TAKO_OK);
    refused(w, TAKO_DENIED, TAKO_DENIED, "another secret");
    assert_int_equal(w->p.end[0].ups, 0);
}

/* The accepter's grant is wrong: it lets the dialler in and is refused. */
static void test_link__a_dialler_refuses_an_impostor(void **state)
{
    world *w = *state;

    assert_int_equal(pair_init_links(&w->p), TAKO_OK);
    pair_fini(&w->p);
    assert_int_equal(pair_init_ends(&w->p, &w->t), TAKO_OK);
    /* bob shows ann's grant: it is genuine, but not for bob's key */
    tako_buf_reset(&w->p.end[1].grant);
    tako_put_bytes(&w->p.end[1].grant, tako_buf_slice(&w->p.end[0].grant));
    assert_int_equal(pair_init_links(&w->p), TAKO_OK);
    (void)pair_pump(&w->p);
    assert_int_equal(w->p.end[0].err, TAKO_DENIED);
    assert_int_equal(w->p.end[0].ups, 0);
    assert_int_equal(w->p.end[1].err, TAKO_DENIED);
    assert_non_null(strstr(w->p.end[1].e.text, "the peer refuses us"));
}

static void test_link__an_expired_grant_is_refused_and_told(void **state)
{
    world *w = *state;

    assert_int_equal(pair_grant(&w->p.end[0], "ann", w->t.wall_ms - 10000000,
                                w->t.wall_ms - 1000000),
                     TAKO_OK);
    refused(w, TAKO_DENIED, TAKO_DENIED, "refuses us: the grant expired");
}

static void test_link__a_grant_from_the_future_is_refused(void **state)
{
    world *w = *state;

    assert_int_equal(
        pair_grant(&w->p.end[0], "ann", w->t.wall_ms + 1000000, UINT64_MAX),
        TAKO_OK);
    refused(w, TAKO_DENIED, TAKO_DENIED, "clock");
}

/* ---- a hand-driven peer ------------------------------------------------- */

typedef struct puppet {
    tls_context *context;
    tls_session *tls;
    tako_buf sink, plain;
    uint8_t exporter[SEC_EXPORTER_BYTES];
    bool done;
} puppet;

static void puppet_init(puppet *u, world *w, sec_side side)
{
    memset(u, 0, sizeof *u);
    u->sink = u->plain = tako_buf_on(&w->t.env);
    assert_int_equal(tls_context_new(&w->t.env, &u->context, NULL), TAKO_OK);
    assert_int_equal(tls_session_new(u->context, side, &u->tls), TAKO_OK);
}

static void puppet_fini(puppet *u)
{
    tls_session_free(u->tls);
    tls_context_free(u->context);
    tako_buf_fini(&u->sink);
    tako_buf_fini(&u->plain);
}

/* Exchanges bytes with end `i` of the pair once; its error, if any. */
static tako_err puppet_turn(puppet *u, world *w, int i)
{
    pair_end *x = &w->p.end[i];
    tako_err err = TAKO_OK;
    tls_status status = TLS_MORE;
    uint8_t out[16384];
    size_t len;

    x->e.text[0] = '\0';
    if (u->sink.len > 0)
        err = mesh_link_recv(x->link, w->t.mono_ms, tako_buf_slice(&u->sink),
                             &x->e);
    tako_buf_reset(&u->sink);
    assert_int_equal(
        mesh_link_output(x->link, w->t.mono_ms, 1u << 20, &x->wire), TAKO_OK);
    tls_feed(u->tls, tako_buf_slice(&x->wire));
    if (!u->done) {
        status = tls_handshake(u->tls, &u->sink, NULL);
        u->done = status == TLS_DONE;
        if (u->done)
            assert_true(tls_exporter(u->tls, u->exporter));
    }
    while (u->done &&
           tls_read(u->tls, out, sizeof out, &len, &u->sink, NULL) == TLS_DONE)
        tako_put_bytes(&u->plain, tako_slice_of(out, len));
    tako_buf_reset(&x->wire);
    return err;
}

static void puppet_say(puppet *u, uint8_t kind, tako_slice body)
{
    uint8_t head[4];
    tako_buf b = tako_buf_on(u->sink.env);

    tako_put_bytes(&b, tako_slice_of(head, frame_head(head, body.len, kind)));
    tako_put_bytes(&b, body);
    for (size_t at = 0; at < b.len; at += 16384)
        assert_int_equal(
            tls_write(u->tls,
                      tako_slice_of(b.ptr + at,
                                    b.len - at < 16384 ? b.len - at : 16384),
                      &u->sink, NULL),
            TLS_DONE);
    tako_buf_fini(&b);
}

static void puppet_raw(puppet *u, const void *bytes, size_t n)
{
    assert_int_equal(tls_write(u->tls, tako_slice_of(bytes, n), &u->sink, NULL),
                     TLS_DONE);
}

/* The proof of the pair's other end, over this connection. */
static void puppet_proves(puppet *u, world *w, int as)
{
    tako_buf b = tako_buf_on(&w->t.env);

    assert_int_equal(sec_auth_make(&w->p.end[as].identity,
                                   tako_buf_slice(&w->p.end[as].grant),
                                   as == 0 ? SEC_DIALLER : SEC_ACCEPTER,
                                   u->exporter, &b),
                     TAKO_OK);
    puppet_say(u, FRAME_AUTH, tako_buf_slice(&b));
    tako_buf_fini(&b);
}

static void puppet_shakes(puppet *u, world *w, int with)
{
    for (int i = 0; i < 4 && !u->done; i++)
        assert_int_equal(puppet_turn(u, w, with), TAKO_OK);
    assert_true(u->done);
}

static void test_link__before_the_proof_nothing_else_is_taken(void **state)
{
    static const struct {
        uint8_t kind;
        const char *body;
        tako_err want;
    } rows[] = {
        { 0x05, "a message", TAKO_DENIED },
        { FRAME_PING, "", TAKO_DENIED },
        { FRAME_PONG, "", TAKO_DENIED },
        { 0x42, "unknown", TAKO_DENIED },
        { 0xc2, "unknown, critical", TAKO_UNSUPPORTED },
        { FRAME_AUTH, "rubbish", TAKO_CORRUPT },
        { FRAME_AUTH, "", TAKO_CORRUPT },
        { FRAME_BYE, "\x07no", TAKO_DENIED },
        { FRAME_BYE, "", TAKO_CORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *inner;
        puppet u;
        world *w;

        assert_int_equal(setup(&inner), 0);
        w = inner;
        puppet_init(&u, w, SEC_DIALLER);
        puppet_shakes(&u, w, 1);
        puppet_say(&u, rows[i].kind, tako_slice_str(rows[i].body));
        assert_int_equal(puppet_turn(&u, w, 1), rows[i].want);
        assert_true(strlen(w->p.end[1].e.text) > 0);
        assert_int_equal(w->p.end[1].ups + (int)w->p.end[1].count, 0);
        /* nothing of bob but, at most, a reason has gone out */
        if (u.plain.len > 0)
            assert_int_equal(u.plain.ptr[u.plain.len > 130 ? 2 : 1], FRAME_BYE);
        puppet_fini(&u);
        assert_int_equal(teardown(&inner), 0);
    }
}

static void test_link__a_proof_from_another_connection_is_refused(void **state)
{
    world *w = *state;
    puppet one, two;
    tako_buf proof = tako_buf_on(&w->t.env);
    void *inner;

    /* what ann said on one connection */
    puppet_init(&one, w, SEC_ACCEPTER);
    puppet_shakes(&one, w, 0);
    for (int i = 0; i < 3; i++)
        (void)puppet_turn(&one, w, 0);
    assert_true(one.plain.len > 100 && one.plain.ptr[2] == FRAME_AUTH);
    tako_put_bytes(&proof, tako_buf_slice(&one.plain));

    /* said again, word by word, on another */
    assert_int_equal(setup(&inner), 0);
    puppet_init(&two, inner, SEC_DIALLER);
    puppet_shakes(&two, inner, 1);
    puppet_raw(&two, proof.ptr, proof.len);
    assert_int_equal(puppet_turn(&two, inner, 1), TAKO_DENIED);
    assert_non_null(
        strstr(((world *)inner)->p.end[1].e.text, "on this connection"));
    puppet_fini(&two);
    (void)teardown(&inner);
    tako_buf_fini(&proof);
    puppet_fini(&one);
}

/* A man in the middle, two TLS sessions, passes proofs from one to the other;
 * and a proof sent back to who made it is of the wrong side. */
static void test_link__proofs_cannot_be_passed_on_or_back(void **state)
{
    world *w = *state;
    puppet to_ann, to_bob;
    tako_buf proof = tako_buf_on(&w->t.env);

    puppet_init(&to_ann, w, SEC_ACCEPTER);
    puppet_init(&to_bob, w, SEC_DIALLER);
    puppet_shakes(&to_ann, w, 0);
    puppet_shakes(&to_bob, w, 1);
    for (int i = 0; i < 3; i++)
        (void)puppet_turn(&to_ann, w, 0);
    tako_put_bytes(&proof, tako_buf_slice(&to_ann.plain));
    puppet_raw(&to_bob, proof.ptr, proof.len);
    assert_int_equal(puppet_turn(&to_bob, w, 1), TAKO_DENIED);
    puppet_raw(&to_ann, proof.ptr, proof.len);
    assert_int_equal(puppet_turn(&to_ann, w, 0), TAKO_DENIED);
    tako_buf_fini(&proof);
    puppet_fini(&to_ann);
    puppet_fini(&to_bob);
}

static void test_link__frames_that_break_the_rules_close_it(void **state)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t len;
        tako_err want;
    } rows[] = {
        { "too long", "\x81\x80\x01\x05", 4, TAKO_LIMIT },
        { "far too long", "\xff\xff\xff\xff\x05", 5, TAKO_LIMIT },
        { "needless length byte", "\x80\x00\x05", 3, TAKO_CORRUPT },
        { "endless length", "\x80\x80\x80\x01", 4, TAKO_CORRUPT },
        { "nothing, not last", "\x00\x01", 2, TAKO_CORRUPT },
        { "critical kind", "\x01\x80z", 3, TAKO_UNSUPPORTED },
        { "PING with a body", "\x01\x11z", 3, TAKO_LIMIT },
        { "a second AUTH", "\x01\x10z", 3, TAKO_CORRUPT },
        { "unknown kind is skipped", "\x01\x70z\x01\x06z", 6, TAKO_OK },
        { "empty unknown kind too", "\x00\x70\x01\x06z", 5, TAKO_OK },
        { "PONG nobody asked for", "\x00\x12\x01\x06z", 5, TAKO_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *inner;
        puppet u;
        world *w;

        assert_int_equal(setup(&inner), 0);
        w = inner;
        puppet_init(&u, w, SEC_DIALLER);
        puppet_shakes(&u, w, 1);
        puppet_proves(&u, w, 0);
        assert_int_equal(puppet_turn(&u, w, 1), TAKO_OK);
        assert_int_equal(w->p.end[1].ups, 1);
        puppet_raw(&u, rows[i].bytes, rows[i].len);
        assert_int_equal(puppet_turn(&u, w, 1), rows[i].want);
        assert_int_equal(w->p.end[1].count, rows[i].want == TAKO_OK);
        puppet_fini(&u);
        assert_int_equal(teardown(&inner), 0);
    }
}

/* What is announced costs nothing, what is sent is bounded. */
static void test_link__a_message_without_end_is_cut_off(void **state)
{
    world *w = *state;
    puppet u;
    uint8_t *body = calloc(1, 16384);
    size_t sent = 0;
    tako_err err = TAKO_OK;

    puppet_init(&u, w, SEC_DIALLER);
    puppet_shakes(&u, w, 1);
    puppet_proves(&u, w, 0);
    assert_int_equal(puppet_turn(&u, w, 1), TAKO_OK);
    while (err == TAKO_OK && sent < 2u * TAKO_MESSAGE_BYTES_MAX) {
        for (int i = 0; i < 64; i++)
            puppet_say(&u, 0x03, tako_slice_of(body, 16384));
        err = puppet_turn(&u, w, 1);
        sent += 64u * 16384;
        assert_true(w->t.live_bytes < 3 * sent + (4u << 20));
    }
    assert_int_equal(err, TAKO_LIMIT);
    assert_true(sent <= TAKO_MESSAGE_BYTES_MAX + (2u << 20));
    assert_true(w->t.live_bytes < 8u << 20); /* and it has been let go */
    free(body);
    puppet_fini(&u);
}

static void test_link__garbage_at_each_state_closes_with_a_reason(void **state)
{
    uint64_t seed = test_seed(7);

    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        void *inner;
        world *w;
        uint8_t junk[600];
        tako_errbuf e;
        tako_err err;

        assert_int_equal(setup(&inner), 0);
        w = inner;
        w->t.seed = seed + round;
        for (uint64_t i = 0; i < round % 6; i++)
            (void)pair_step(&w->p, (int)(i & 1));
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t)test_random(&w->t);
        if (round % 2 == 0) { /* looks like a record */
            junk[0] = 23;
            junk[1] = 3, junk[2] = 3;
            junk[3] = 0, junk[4] = 100;
        }
        err = mesh_link_recv(w->p.end[round % 2].link, w->t.mono_ms,
                             tako_slice_of(junk, sizeof junk), &e);
        assert_true(err == TAKO_CORRUPT || err == TAKO_LIMIT);
        assert_true(strlen(e.text) > 0);
        assert_true(mesh_link_is_closed(w->p.end[round % 2].link));
        assert_int_equal(teardown(&inner), 0);
    }
}

/* One flipped byte of the stream in UP is noticed. */
static void test_link__a_changed_byte_is_noticed(void **state)
{
    world *w = *state;
    pair_end *a = &w->p.end[0], *b = &w->p.end[1];

    pair_connect(&w->p);
    assert_int_equal(
        mesh_link_send(a->link, MESH_LIVE, tako_slice_str("pay 5")), TAKO_OK);
    assert_int_equal(mesh_link_output(a->link, 0, 100000, &a->wire), TAKO_OK);
    a->wire.ptr[a->wire.len / 2] ^= 1;
    assert_int_equal(mesh_link_recv(b->link, 0, tako_buf_slice(&a->wire), NULL),
                     TAKO_CORRUPT);
    assert_int_equal(b->count, 0);
}

/* An AUTH frame that comes one byte to a record: each record costs the sender
 * 23 bytes, and all of them count. */
static void test_link__an_unproven_peer_cannot_send_for_ever(void **state)
{
    world *w = *state;
    puppet u;
    tako_err err = TAKO_OK;
    int records = 0;

    puppet_init(&u, w, SEC_DIALLER);
    puppet_shakes(&u, w, 1);
    puppet_raw(&u, "\x81\x20\x10", 3); /* of 4097 bytes */
    for (; err == TAKO_OK && records < 4000; records++) {
        puppet_raw(&u, "x", 1);
        err = puppet_turn(&u, w, 1);
    }
    assert_int_equal(err, TAKO_LIMIT);
    assert_true(records < 1500);
    puppet_fini(&u);
}

/* ---- lanes -------------------------------------------------------------- */

static void test_link__a_small_message_overtakes_a_large_one(void **state)
{
    world *w = *state;
    pair_end *a = &w->p.end[0], *b = &w->p.end[1];
    size_t big = 10u << 20, before;
    uint8_t *data = calloc(1, big);

    pair_connect(&w->p);
    pair_fill(data, big, 3);
    assert_int_equal(
        mesh_link_send(a->link, MESH_CATCHUP, tako_slice_of(data, big)), 0);
    assert_int_equal(
        mesh_link_send(a->link, MESH_BLOBS, tako_slice_of(data, big)), 0);
    w->p.budget = 20000;
    for (int i = 0; i < 10; i++)
        (void)pair_step(&w->p, 0);
    assert_int_equal(b->count, 0);
    assert_int_equal(
        mesh_link_send(a->link, MESH_LIVE, tako_slice_str("hurry")), 0);
    before = mesh_link_queued(a->link, MESH_LANES);
    while (b->count == 0)
        (void)pair_step(&w->p, 0);
    assert_int_equal(b->log[0].lane, MESH_LIVE);
    assert_true(before - mesh_link_queued(a->link, MESH_LANES) < 3u * 20000);
    assert_int_equal(
        mesh_link_send(a->link, MESH_CONTROL, tako_slice_str("now")), 0);
    (void)pair_step(&w->p, 0); /* the very next output */
    assert_int_equal(b->count, 2);
    assert_int_equal(b->log[1].lane, MESH_CONTROL);
    (void)pair_pump(&w->p);
    assert_int_equal(b->count, 4);
    assert_int_equal(b->last.len, big);
    assert_memory_equal(b->last.ptr, data, big);
    assert_int_equal(mesh_link_queued(a->link, MESH_LANES), 0);
    free(data);
}

static void test_link__messages_keep_their_order_within_a_lane(void **state)
{
    world *w = *state;
    uint64_t sum[MESH_LANES] = { 0 };
    uint8_t data[30000];
    uint64_t seed = test_seed(11);
    size_t bytes = 0;

    w->t.seed = seed;
    pair_connect(&w->p);
    w->p.budget = 3000;
    for (int i = 0; i < 1000; i++) {
        mesh_lane lane = (mesh_lane)test_below(&w->t, MESH_LANES);
        size_t len = test_below(&w->t, 20) == 0 ? test_below(&w->t, 30000)
                                                : test_below(&w->t, 60);
        pair_fill(data, len, (uint64_t)i);
        for (size_t j = 0; j < len; j++)
            sum[lane] = sum[lane] * 31 + data[j];
        bytes += len;
        assert_int_equal(
            mesh_link_send(w->p.end[0].link, lane, tako_slice_of(data, len)),
            TAKO_OK);
        if (i % 5 == 0)
            (void)pair_step(&w->p, 0);
    }
    (void)pair_pump(&w->p);
    assert_int_equal(w->p.end[1].err, TAKO_OK);
    assert_int_equal(w->p.end[1].count, 1000);
    assert_int_equal(w->p.end[1].bytes, bytes);
    for (int lane = 0; lane < MESH_LANES; lane++)
        assert_true(w->p.end[1].sum[lane] == sum[lane]);
}

/* Largest messages in every lane at once: the sender sees to it that the
 * receiver's bound is kept. */
static void test_link__largest_messages_in_all_lanes_arrive(void **state)
{
    world *w = *state;
    pair_end *a = &w->p.end[0], *b = &w->p.end[1];
    uint8_t *data = calloc(1, TAKO_MESSAGE_BYTES_MAX + 1);

    pair_connect(&w->p);
    assert_int_equal(
        mesh_link_send(a->link, MESH_BLOBS,
                       tako_slice_of(data, TAKO_MESSAGE_BYTES_MAX + 1)),
        TAKO_LIMIT);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            mesh_link_send(a->link, (mesh_lane)(MESH_CATCHUP + i),
                           tako_slice_of(data, TAKO_MESSAGE_BYTES_MAX)),
            TAKO_OK);
    assert_int_equal(mesh_link_send(a->link, MESH_LIVE, tako_slice_str("x")),
                     TAKO_LIMIT); /* too much waits */
    (void)pair_pump(&w->p);
    assert_int_equal(b->err, TAKO_OK);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->bytes, 2u * TAKO_MESSAGE_BYTES_MAX);
    free(data);
}

static void test_link__a_burst_of_small_messages_is_one_record(void **state)
{
    world *w = *state;
    mesh_link_counts before, after;
    uint8_t m[30] = { 0 };

    pair_connect(&w->p);
    mesh_link_counts_read(w->p.end[0].link, &before);
    assert_int_equal(
        mesh_link_send(w->p.end[0].link, MESH_LIVE, tako_slice_of(m, 30)), 0);
    (void)pair_pump(&w->p);
    mesh_link_counts_read(w->p.end[0].link, &after);
    assert_int_equal(after.bytes_out - before.bytes_out, 32);
    assert_int_equal(after.wire_out - before.wire_out, 32 + 22);
    before = after;
    for (int i = 0; i < 100; i++)
        assert_int_equal(
            mesh_link_send(w->p.end[0].link, MESH_LIVE, tako_slice_of(m, 30)),
            0);
    (void)pair_pump(&w->p);
    mesh_link_counts_read(w->p.end[0].link, &after);
    assert_int_equal(after.frames_out - before.frames_out, 100);
    assert_int_equal(after.wire_out - before.wire_out, 100 * 32 + 22);
    assert_int_equal(w->p.end[1].count, 101);
    mesh_link_counts_read(w->p.end[1].link, &before);
    assert_int_equal(before.frames_in, 101);
    assert_int_equal(before.wire_in, after.wire_out);
    assert_int_equal(before.bytes_in, after.bytes_out);
}

static void test_link__handlers_may_send(void **state)
{
    world *w = *state;

    pair_connect(&w->p);
    w->p.end[1].echo = true;
    assert_int_equal(mesh_link_send(w->p.end[0].link, MESH_LIVE,
                                    tako_slice_str("there and back")),
                     TAKO_OK);
    (void)pair_pump(&w->p);
    assert_int_equal(w->p.end[0].count, 1);
    assert_int_equal(w->p.end[0].log[0].len, 14);
}

static void test_link__nothing_is_sent_before_up(void **state)
{
    world *w = *state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mesh_link_send(w->p.end[0].link, MESH_LIVE, tako_slice_str("x")),
            TAKO_MISUSE);
        (void)pair_step(&w->p, i & 1);
    }
    pair_connect(&w->p);
    assert_int_equal(
        mesh_link_send(w->p.end[0].link, MESH_LANES, tako_slice_str("x")),
        TAKO_MISUSE);
}

static void test_link__closing_tells_the_peer_why(void **state)
{
    world *w = *state;

    pair_connect(&w->p);
    mesh_link_close(w->p.end[0].link, TAKO_CLOSED, "going \x01 home");
    mesh_link_close(w->p.end[0].link, TAKO_CLOSED, "twice");
    (void)pair_pump(&w->p);
    assert_int_equal(w->p.end[1].err, TAKO_CLOSED);
    assert_string_equal(w->p.end[1].e.text, "the peer closes: going ? home");
    assert_int_equal(w->p.end[0].err, TAKO_OK);
}

/* ---- time --------------------------------------------------------------- */

static void test_link__an_idle_link_pings_and_lives(void **state)
{
    world *w = *state;
    mesh_link_counts c;

    pair_connect(&w->p);
    for (int i = 0; i < 100; i++) {
        uint64_t at = UINT64_MAX;

        for (int j = 0; j < 2; j++) {
            uint64_t d = mesh_link_deadline(w->p.end[j].link);
            at = d < at ? d : at;
        }
        assert_true(at > w->t.mono_ms &&
                    at <= w->t.mono_ms + MESH_PING_IDLE_MS);
        w->t.mono_ms = at;
        for (int j = 0; j < 2; j++)
            assert_int_equal(
                mesh_link_tick(w->p.end[j].link, w->t.mono_ms, NULL), TAKO_OK);
        (void)pair_step(&w->p, 0);
        w->t.mono_ms += 40; /* the way there */
        (void)pair_pump(&w->p);
    }
    mesh_link_counts_read(w->p.end[0].link, &c);
    assert_int_equal(c.rtt_ms, 40);
    assert_true(c.wire_out < 4000 + 100 * 60);
}

static void test_link__a_silent_peer_is_given_up(void **state)
{
    world *w = *state;
    mesh_link *l = w->p.end[0].link;
    uint64_t from;
    tako_err err = TAKO_OK;
    tako_errbuf e;
    int ticks = 0;

    pair_connect(&w->p);
    from = w->t.mono_ms;
    while (err == TAKO_OK && ticks++ < 100) {
        w->t.mono_ms = mesh_link_deadline(l);
        err = mesh_link_tick(l, w->t.mono_ms, &e);
        tako_buf_reset(&w->p.end[0].wire);
        assert_int_equal(
            mesh_link_output(l, w->t.mono_ms, 10000, &w->p.end[0].wire), 0);
    }
    assert_int_equal(err, TAKO_TIMEOUT);
    assert_non_null(strstr(e.text, "45 s"));
    assert_int_equal(w->t.mono_ms - from, MESH_DEAD_MS);
    assert_true(ticks <= 4 && mesh_link_is_closed(l));
}

static void test_link__a_handshake_has_ten_seconds(void **state)
{
    (void)state;
    for (int steps = 0; steps < 4; steps++) {
        void *inner;
        world *w;
        mesh_link *l;

        assert_int_equal(setup(&inner), 0);
        w = inner;
        l = w->p.end[1].link;
        for (int i = 0; i < steps && !mesh_link_is_up(l); i++)
            (void)pair_step(&w->p, i & 1);
        if (!mesh_link_is_up(l)) {
            assert_int_equal(mesh_link_deadline(l),
                             w->t.mono_ms + MESH_HANDSHAKE_MS);
            assert_int_equal(
                mesh_link_tick(l, w->t.mono_ms + MESH_HANDSHAKE_MS - 1, NULL),
                TAKO_OK);
            assert_int_equal(
                mesh_link_tick(l, w->t.mono_ms + MESH_HANDSHAKE_MS, NULL),
                TAKO_TIMEOUT);
        }
        assert_int_equal(teardown(&inner), 0);
    }
}

/* ---- memory ------------------------------------------------------------- */

static tako_err whole_life(pair *p, test_env *t)
{
    uint8_t data[50000];

    TAKO_TRY(pair_init(p, t));
    (void)pair_pump(p);
    pair_fill(data, sizeof data, 1);
    for (int i = 0; i < 2; i++)
        if (p->end[i].err != TAKO_OK)
            return p->end[i].err;
    if (p->end[0].ups + p->end[1].ups != 2)
        return TAKO_NOMEM;
    TAKO_TRY(mesh_link_send(p->end[0].link, MESH_LIVE,
                            tako_slice_of(data, sizeof data)));
    for (int i = 0; i < 3; i++) /* an output without memory may be repeated */
        (void)pair_pump(p);
    for (int i = 0; i < 2; i++)
        if (p->end[i].err != TAKO_OK)
            return p->end[i].err;
    return p->end[1].count == 1 && p->end[1].bytes == sizeof data ? TAKO_OK
                                                                  : TAKO_NOMEM;
}

static void test_link__every_failed_allocation_is_survived(void **state)
{
    static pair p;

    (void)state;
    for (long nth = 0;; nth++) {
        test_env t;
        tako_err err;

        assert_true(nth < 1000);
        test_env_init(&t, 5);
        t.fail_after = nth;
        err = whole_life(&p, &t);
        t.fail_after = -1;
        pair_fini(&p);
        test_env_check_empty(&t);
        if (!t.failed_once) {
            assert_int_equal(err, TAKO_OK);
            break;
        }
        /* NOMEM here, or the other end is told so */
        assert_true(err == TAKO_OK || err == TAKO_NOMEM || err == TAKO_CLOSED);
    }
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(test_link__##name, setup, teardown)
#define E(name)                                                                \
    cmocka_unit_test_setup_teardown(test_link__##name, setup_ends, teardown)
#define P(name) cmocka_unit_test(test_link__##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(both_ends_learn_who_the_other_is),
        P(every_size_of_chunk_works),
        E(another_secret_is_refused_by_both),
        E(a_dialler_refuses_an_impostor),
        E(an_expired_grant_is_refused_and_told),
        E(a_grant_from_the_future_is_refused),
        P(before_the_proof_nothing_else_is_taken),
        T(a_proof_from_another_connection_is_refused),
        T(proofs_cannot_be_passed_on_or_back),
        P(frames_that_break_the_rules_close_it),
        T(a_message_without_end_is_cut_off),
        P(garbage_at_each_state_closes_with_a_reason),
        T(a_changed_byte_is_noticed),
        T(an_unproven_peer_cannot_send_for_ever),
        T(a_small_message_overtakes_a_large_one),
        T(messages_keep_their_order_within_a_lane),
        T(largest_messages_in_all_lanes_arrive),
        T(a_burst_of_small_messages_is_one_record),
        T(handlers_may_send),
        T(nothing_is_sent_before_up),
        T(closing_tells_the_peer_why),
        T(an_idle_link_pings_and_lives),
        T(a_silent_peer_is_given_up),
        P(a_handshake_has_ten_seconds),
        P(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
