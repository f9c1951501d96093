// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "crdt/tree.h"

#define HLC_START CRDT_HLC_OF_MS(1700000000000u)
#define SECOND    CRDT_HLC_OF_MS(1000u)

const uint8_t world_key[16] = "sixteen for sums";

static void ok(tako_err err)
{
    if (err != TAKO_OK)
        fail_msg("%s", tako_err_name(err));
}

void world_clear(world *w)
{
    tako_arena_reset(&w->arena);
    for (unsigned i = 0; i < WORLD_REPLICAS; i++)
        ok(crdt_doc_new(&w->arena, &w->doc[i]));
    w->hlc = HLC_START;
}

void world_init(world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    test_env_init(&w->t, seed);
    w->arena = tako_arena_on(&w->t.env);
    w->text = tako_buf_on(&w->t.env);
    w->rare = 16;
    world_clear(w);
}

void world_fini(world *w)
{
    tako_buf_fini(&w->text);
    tako_arena_fini(&w->arena);
    test_env_check_empty(&w->t);
}

crdt_actor world_actor(unsigned i)
{
    crdt_actor a;

    memset(a.id, (int)(0x5a - 7 * i), sizeof a.id); /* not in dot order */
    a.id[0] = (uint8_t)('A' + i);
    return a;
}

crdt_dot world_dot_at(unsigned r, uint64_t hlc)
{
    return (crdt_dot){ world_actor(r), hlc };
}

/* Clocks that disagree: any replica may be a little behind or ahead, but each
 * goes on from what it has seen. */
crdt_dot world_dot(world *w, unsigned r)
{
    const crdt_context *c = crdt_doc_context(w->doc[r]);
    uint64_t hlc = HLC_START;

    for (size_t i = 0; i < c->count; i++)
        if (c->dots[i].hlc >= hlc)
            hlc = c->dots[i].hlc + 1;
    w->hlc += SECOND;
    if (w->hlc > hlc)
        hlc = w->hlc;
    return world_dot_at(r, hlc);
}

tako_slice world_value(world *w, const char *json)
{
    char text[512];
    tako_buf out = tako_buf_on(&w->t.env);
    tako_slice value;
    size_t n = strlen(json);

    assert_true(n < sizeof text);
    for (size_t i = 0; i < n; i++)
        text[i] = json[i] == '\'' ? '"' : json[i];
    ok(json_to_cbor(tako_slice_of(text, n), TAKO_JSON_DEPTH_MAX, &out, NULL));
    value = tako_arena_copy(&w->arena, tako_buf_slice(&out));
    tako_buf_fini(&out);
    return value;
}

crdt_path world_path(world *w, const char *path)
{
    tako_slice *keys = tako_arena_array(&w->arena, 80, sizeof *keys);
    crdt_path p = { keys, 0 };

    for (;;) {
        size_t n = strcspn(path, ".");

        keys[p.count++] = tako_slice_of(path, n);
        if (path[n] == '\0')
            return p;
        path += n + 1;
    }
}

void world_insert(world *w, unsigned r, const char *json)
{
    ok(crdt_insert(w->doc[r], world_dot(w, r), world_value(w, json)));
}

void world_set(world *w, unsigned r, const char *path, const char *json)
{
    ok(crdt_set(w->doc[r], world_dot(w, r), world_path(w, path), CRDT_AUTO,
                world_value(w, json), NULL));
}

void world_replace(world *w, unsigned r, const char *path, const char *json)
{
    ok(crdt_set(w->doc[r], world_dot(w, r), world_path(w, path), CRDT_REGISTER,
                world_value(w, json), NULL));
}

void world_unset(world *w, unsigned r, const char *path)
{
    ok(crdt_unset(w->doc[r], world_dot(w, r), world_path(w, path)));
}

void world_increment(world *w, unsigned r, const char *path, int64_t by)
{
    ok(crdt_increment(w->doc[r], world_dot(w, r), world_path(w, path), by,
                      NULL));
}

void world_restart(world *w, unsigned r, const char *path, int64_t with)
{
    ok(crdt_restart(w->doc[r], world_dot(w, r), world_path(w, path), with,
                    NULL));
}

void world_delete(world *w, unsigned r)
{
    ok(crdt_delete(w->doc[r], world_dot(w, r)));
}

/* ---- random writes ------------------------------------------------------- */

typedef struct sample {
    const char *json;
    size_t len;
    const char *cbor;
} sample;

#define CBOR(bytes) sizeof(bytes) - 1, bytes
static const sample SAMPLES[] = {
    { "1", CBOR("\x01") },
    { "-7", CBOR("\x26") },
    { "2.5", CBOR("\xf9\x41\x00") },
    { "\"tea\"", CBOR("\x63tea") },
    { "null", CBOR("\xf6") },
    { "[1,{\"a\":2}]", CBOR("\x82\x01\xa1\x61\x61\x02") },
    { "{}", CBOR("\xa0") },
    { "{\"a\":1}", CBOR("\xa1\x61\x61\x01") },
    { "{\"a\":{\"b\":3},\"c\":\"x\"}",
      CBOR("\xa2\x61\x61\xa1\x61\x62\x03\x61\x63\x61x") },
    { "{\"b\":{},\"c\":[]}", CBOR("\xa2\x61\x62\xa0\x61\x63\x80") },
};
#define SAMPLE_COUNT (sizeof SAMPLES / sizeof SAMPLES[0])
#define FIRST_MAP    6u

static crdt_path random_path(world *w, tako_slice keys[3], char *text)
{
    static const char *const names[] = { "a", "b", "cc" };
    crdt_path p = { keys, 1 + (size_t)test_below(&w->t, 6) / 2 };
    size_t n = 0;

    for (size_t i = 0; i < p.count; i++) {
        const char *name = names[test_below(&w->t, i == 0 ? 2 : 3)];

        keys[i] = tako_slice_str(name);
        n += (size_t)sprintf(text + n, "%s\"%s\"", i > 0 ? "," : "", name);
    }
    return p;
}

static void put_op(world *w, const char *op, const char *path, crdt_dot dot)
{
    tako_put_fmt(&w->text, "\"op\":\"%s\",\"path\":[%s],\"hlc\":%" PRIu64, op,
                 path, dot.hlc);
}

void world_forget(world *w, unsigned r)
{
    uint64_t generation = crdt_doc_generation(w->doc[r]);

    assert_false(crdt_doc_alive(w->doc[r]));
    ok(crdt_doc_new(&w->arena, &w->doc[r]));
    crdt_doc_after(w->doc[r], generation);
}

static void random_insert(world *w, unsigned r, const char *op)
{
    const sample *s =
        &SAMPLES[FIRST_MAP + test_below(&w->t, SAMPLE_COUNT - FIRST_MAP)];
    crdt_dot dot = world_dot(w, r);

    put_op(w, op, "", dot);
    tako_put_fmt(&w->text, ",\"value\":%s", s->json);
    ok(crdt_insert(w->doc[r], dot, tako_slice_of(s->cbor, s->len)));
}

/* The tombstone was reaped: an INSERT that remembers no life before it. */
static void random_insert_anew(world *w, unsigned r)
{
    world_forget(w, r);
    random_insert(w, r, "insert_anew");
}

static void random_set(world *w, unsigned r, bool replace)
{
    const sample *s = &SAMPLES[test_below(&w->t, SAMPLE_COUNT)];
    tako_slice keys[3];
    char text[64];
    crdt_path path = random_path(w, keys, text);
    crdt_dot dot = world_dot(w, r);

    put_op(w, replace ? "replace" : "set", text, dot);
    tako_put_fmt(&w->text, ",\"value\":%s", s->json);
    /* A declared type is refused on a counter: then nothing happens. */
    if (crdt_set(w->doc[r], dot, path, replace ? CRDT_REGISTER : CRDT_AUTO,
                 tako_slice_of(s->cbor, s->len), NULL) != TAKO_OK)
        tako_put_str(&w->text, ",\"refused\":true");
}

static void random_count(world *w, unsigned r, bool restart)
{
    tako_slice keys[3];
    char text[64];
    crdt_path path = random_path(w, keys, text);
    crdt_dot dot = world_dot(w, r);
    int64_t n = (int64_t)test_below(&w->t, 19) - 9;
    tako_err err;

    put_op(w, restart ? "restart" : "increment", text, dot);
    tako_put_fmt(&w->text, ",\"value\":%" PRId64, n);
    err = restart ? crdt_restart(w->doc[r], dot, path, n, NULL)
                  : crdt_increment(w->doc[r], dot, path, n, NULL);
    if (err != TAKO_OK)
        tako_put_str(&w->text, ",\"refused\":true");
}

void world_random_write(world *w, unsigned r)
{
    uint64_t draw = test_below(&w->t, 16);
    tako_slice keys[3];
    char text[64];
    crdt_path path;
    crdt_dot dot;

    tako_buf_reset(&w->text);
    if (!crdt_doc_alive(w->doc[r])) {
        if (!w->keeps && crdt_doc_generation(w->doc[r]) > 0 &&
            test_below(&w->t, 2) == 0)
            random_insert_anew(w, r);
        else
            random_insert(w, r, "insert");
    } else if (test_below(&w->t, w->rare) == 0) {
        dot = world_dot(w, r);
        put_op(w, "delete", "", dot);
        ok(crdt_delete(w->doc[r], dot));
    } else if (draw < 6) {
        random_set(w, r, false);
    } else if (draw < 7) {
        random_set(w, r, true);
    } else if (draw < 10) {
        path = random_path(w, keys, text);
        dot = world_dot(w, r);
        put_op(w, "unset", text, dot);
        ok(crdt_unset(w->doc[r], dot, path));
    } else {
        random_count(w, r, draw >= 14);
    }
}

/* ---- merging --------------------------------------------------------------
 */

crdt_merge_info world_merge(world *w, unsigned into, unsigned r)
{
    crdt_merge_info info;

    ok(crdt_merge(w->doc[into], w->doc[r], &info));
    return info;
}

crdt_merge_info world_delta(world *w, unsigned into, unsigned r)
{
    crdt_context none = { 0 };
    const crdt_context *base = crdt_doc_context(w->doc[into]);
    crdt_merge_info info;

    for (unsigned i = 0;; i++, base = &none) {
        tako_buf out = tako_buf_on(&w->t.env);
        tako_reader in;
        crdt_delta_result result;

        assert_true(i < 2);
        ok(crdt_delta_encode(w->doc[r], base, NULL, world_key,
                             &crdt_names_plain_out, &out));
        in = tako_reader_of(tako_buf_slice(&out));
        ok(crdt_delta_apply(w->doc[into], &in, world_key, &crdt_names_plain_in,
                            &result, &info, NULL));
        assert_true(tako_reader_done(&in));
        tako_buf_fini(&out);
        if (result != CRDT_DELTA_NEEDS)
            return info;
    }
}

static void encode(const crdt_doc *d, tako_buf *meta, tako_buf *body)
{
    tako_buf_reset(meta);
    tako_buf_reset(body);
    ok(crdt_doc_encode(d, meta, body));
}

crdt_doc *world_copy(world *w, const crdt_doc *d)
{
    tako_buf meta = tako_buf_on(&w->t.env);
    tako_buf body = tako_buf_on(&w->t.env);
    tako_errbuf e = { "" };
    crdt_doc *copy;
    tako_slice m;
    tako_slice b;
    tako_err err;

    encode(d, &meta, &body);
    m = tako_arena_copy(&w->arena, tako_buf_slice(&meta));
    b = tako_arena_copy(&w->arena, tako_buf_slice(&body));
    err = crdt_doc_decode(&w->arena, m, b, &copy, &e);
    if (err != TAKO_OK)
        fail_msg("%s: %s", tako_err_name(err), e.text);
    encode(copy, &meta, &body);
    assert_true(tako_slice_eq(m, tako_buf_slice(&meta)));
    assert_true(tako_slice_eq(b, tako_buf_slice(&body)));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    return copy;
}

bool world_same(world *w, const crdt_doc *a, const crdt_doc *b)
{
    tako_buf buf[4];
    bool same;

    for (unsigned i = 0; i < 4; i++)
        buf[i] = tako_buf_on(&w->t.env);
    encode(a, &buf[0], &buf[1]);
    encode(b, &buf[2], &buf[3]);
    same = tako_slice_eq(tako_buf_slice(&buf[0]), tako_buf_slice(&buf[2])) &&
           tako_slice_eq(tako_buf_slice(&buf[1]), tako_buf_slice(&buf[3]));
    for (unsigned i = 0; i < 4; i++)
        tako_buf_fini(&buf[i]);
    return same;
}

const char *world_shown(world *w, unsigned r)
{
    tako_buf meta = tako_buf_on(&w->t.env);
    tako_buf body = tako_buf_on(&w->t.env);

    tako_buf_reset(&w->text);
    encode(w->doc[r], &meta, &body);
    if (body.len == 0)
        tako_put_str(&w->text, "deleted");
    else
        ok(json_from_cbor(tako_buf_slice(&body), &w->text));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    for (size_t i = 0; i < w->text.len; i++)
        if (w->text.ptr[i] == '"')
            w->text.ptr[i] = '\'';
    return tako_buf_cstr(&w->text);
}

/* ---- the dump --------------------------------------------------------------
 */

static void dump_dot(tako_buf *out, crdt_dot dot)
{
    tako_put_fmt(out, "%c%" PRIu64, dot.actor.id[0], dot.hlc);
}

static void dump_entries(tako_buf *out, const char *name, const crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        tako_put_fmt(out, " %s:", name);
        dump_dot(out, l->at[i].dot);
        tako_put_str(out, "=");
        if (l->at[i].value.len > 0)
            ok(json_from_cbor(l->at[i].value, out));
    }
}

static void dump_sums(tako_buf *out, const char *name, const crdt_sums *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        tako_put_fmt(out, " %s:", name);
        dump_dot(out, l->at[i].dot);
        tako_put_fmt(out, "+%" PRIu64 "-%" PRIu64, l->at[i].inc, l->at[i].dec);
    }
}

static void dump_map(tako_buf *out, const crdt_map *m)
{
    tako_put_str(out, "{");
    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        tako_put_fmt(out, "%.*s(", (int)s->key.len, (const char *)s->key.ptr);
        dump_entries(out, "v", &s->values);
        if (s->counter != NULL) {
            tako_put_fmt(out, " c%" PRIu64, s->counter->generation);
            if (s->counter->generation > 1)
                dump_dot(out, s->counter->maker);
            dump_entries(out, "s", &s->counter->starts);
            dump_sums(out, "n", &s->counter->sums);
            dump_sums(out, "b", &s->counter->baselines);
        }
        if (s->map != NULL) {
            tako_put_fmt(out, " m%" PRIu64, s->map->generation);
            if (s->map->generation > 1)
                dump_dot(out, s->map->maker);
            dump_entries(out, "k", &s->map->marks);
            dump_map(out, s->map);
        }
        tako_put_str(out, ")");
    }
    tako_put_str(out, "}");
}

void world_dump(const crdt_doc *d, tako_buf *out)
{
    tako_put_fmt(out, "g%" PRIu64, d->root.generation);
    for (size_t i = 0; i < d->context.count; i++) {
        tako_put_str(out, " x:");
        dump_dot(out, d->context.dots[i]);
    }
    for (uint32_t i = 0; i < d->births.count; i++) {
        tako_put_fmt(out, " i%" PRIu64 ":", d->births.at[i].generation);
        dump_dot(out, d->births.at[i].dot);
    }
    dump_map(out, &d->root);
    tako_put_str(out, " shows ");
    if (crdt_doc_alive(d)) {
        tako_buf body = tako_buf_on(out->env);

        crdt_map_put(&d->root, &body);
        (void)json_from_cbor(tako_buf_slice(&body), out);
        tako_buf_fini(&body);
    }
}

/* ---- for histories ---------------------------------------------------------- */

crdt_doc *world_joined(world *w, const crdt_doc *a, const crdt_doc *b)
{
    crdt_doc *d;

    assert_int_equal(crdt_doc_new(&w->arena, &d), TAKO_OK);
    assert_int_equal(crdt_merge(d, a, NULL), TAKO_OK);
    if (b != NULL)
        assert_int_equal(crdt_merge(d, b, NULL), TAKO_OK);
    return d;
}

crdt_delta_result world_apply(crdt_doc *d, tako_slice delta)
{
    tako_reader in = tako_reader_of(delta);
    crdt_delta_result result;

    assert_int_equal(crdt_delta_apply(d, &in, world_key, &crdt_names_plain_in,
                                      &result, NULL, NULL),
                     TAKO_OK);
    assert_true(tako_reader_done(&in));
    return result;
}

void world_expect_same(world *w, uint64_t seed, const char *law,
                       const crdt_doc *a, const crdt_doc *b)
{
    tako_buf x = tako_buf_on(&w->t.env);
    tako_buf y = tako_buf_on(&w->t.env);

    if (world_same(w, a, b))
        return;
    world_dump(a, &x);
    world_dump(b, &y);
    fail_msg("%s, history seed %llu:\n%s\n%s", law, (unsigned long long)seed,
             tako_buf_cstr(&x), tako_buf_cstr(&y));
}
