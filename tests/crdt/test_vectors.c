// SPDX-License-Identifier: Apache-2.0
/* What documents and deltas are on the wire: histories as test vectors, and
 * random ones to the second reader (tests/protocol), which does the same
 * writes and merges by itself. An argument prints so many random ones. */
#include "crdt/support_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "codec/json.h"
#include "crdt/fields.h"
#include "crdt/tree.h"
#include "support/vectors.h"

#define HISTORIES 150u
#define STEPS     16u

#define UNKNOWN_TYPE 9u

/* ---- one line -------------------------------------------------------------- */

static void put_bytes(world *w, tako_buf *out, const crdt_doc *d)
{
    tako_buf meta = tako_buf_on(&w->t.env);
    tako_buf body = tako_buf_on(&w->t.env);
    uint8_t version[16];

    assert_int_equal(crdt_doc_encode(d, &meta, &body), TAKO_OK);
    crdt_version(tako_buf_slice(&meta), tako_buf_slice(&body), version);
    vectors_hex(out, "meta", tako_buf_slice(&meta));
    vectors_hex(out, "body", tako_buf_slice(&body));
    vectors_hex(out, "version", tako_slice_of(version, 16));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

static void put_state(world *w, tako_buf *out, const crdt_doc *d)
{
    tako_buf dump = tako_buf_on(&w->t.env);
    tako_buf text = tako_buf_on(&w->t.env);

    put_bytes(w, out, d);
    world_dump(d, &dump);
    json_put_string(&text, tako_buf_slice(&dump));
    vectors_json(out, "is", tako_buf_cstr(&text));
    tako_buf_fini(&dump);
    tako_buf_fini(&text);
}

/* After a write: whose it was, and what then is. */
static void close_write(world *w, tako_buf *out, unsigned r)
{
    crdt_actor actor = world_actor(r);

    vectors_hex(out, "actor", tako_slice_of(actor.id, sizeof actor.id));
    put_state(w, out, w->doc[r]);
    vectors_close(out);
    w->doc[r] = world_copy(w, w->doc[r]);
}

static void put_merge(world *w, tako_buf *out, unsigned r, unsigned from)
{
    (void)world_merge(w, r, from);
    vectors_open(out, "merge", NULL);
    vectors_number(out, "r", r);
    vectors_number(out, "from", from);
    put_state(w, out, w->doc[r]);
    vectors_close(out);
    w->doc[r] = world_copy(w, w->doc[r]);
}

static void put_context(tako_buf *out, const char *name, const crdt_context *c)
{
    tako_put_fmt(out, ",\"%s\":{", name);
    for (size_t i = 0; i < c->count; i++) {
        tako_put_str(out, i > 0 ? ",\"" : "\"");
        for (size_t j = 0; j < 16; j++)
            tako_put_fmt(out, "%02x", c->dots[i].actor.id[j]);
        tako_put_fmt(out, "\":%" PRIu64, c->dots[i].hlc);
    }
    tako_put_str(out, "}");
}

/* One delta from `from`, against what r has, to r. */
static void put_delta(world *w, tako_buf *out, unsigned r, unsigned from,
                      const crdt_context *base, bool exact)
{
    static const char *const results[] = { "applied", "stale", "needs" };
    tako_buf bytes = tako_buf_on(&w->t.env);
    crdt_delta_result result;
    tako_reader in;

    vectors_open(out, "delta", NULL);
    vectors_number(out, "r", r);
    vectors_number(out, "from", from);
    vectors_bool(out, "exact", exact);
    assert_int_equal(crdt_delta_encode(w->doc[from], base,
                                       exact ? w->doc[r] : NULL, world_key,
                                       &crdt_names_plain_out, &bytes),
                     TAKO_OK);
    vectors_hex(out, "sum_key", tako_slice_of(world_key, 16));
    put_context(out, "base", base);
    vectors_hex(out, "delta", tako_buf_slice(&bytes));
    in = tako_reader_of(tako_buf_slice(&bytes));
    assert_int_equal(crdt_delta_apply(w->doc[r], &in, world_key,
                                      &crdt_names_plain_in, &result, NULL,
                                      NULL),
                     TAKO_OK);
    vectors_text(out, "result", tako_slice_str(results[result]));
    put_state(w, out, w->doc[r]);
    vectors_close(out);
    w->doc[r] = world_copy(w, w->doc[r]);
    tako_buf_fini(&bytes);
}

/* The answer of `from`, and what it makes of r. */
static void put_answer(world *w, tako_buf *out, unsigned r, unsigned from,
                       const crdt_fields *asked)
{
    static const char *const results[] = { "applied", "stale", "needs" };
    tako_buf bytes = tako_buf_on(&w->t.env);
    crdt_delta_result result;
    tako_reader in;

    assert_int_equal(crdt_fields_answer(w->doc[from], asked, world_key,
                                        &crdt_names_plain_out, &bytes),
                     TAKO_OK);
    vectors_hex(out, "delta", tako_buf_slice(&bytes));
    in = tako_reader_of(tako_buf_slice(&bytes));
    assert_int_equal(crdt_delta_apply(w->doc[r], &in, world_key,
                                      &crdt_names_plain_in, &result, NULL,
                                      NULL),
                     TAKO_OK);
    vectors_text(out, "result", tako_slice_str(results[result]));
    put_state(w, out, w->doc[r]);
    tako_buf_fini(&bytes);
}

/* A question by fields of r, and what is answered; r refused a delta of the
 * state that `from` is in. */
static void put_fields(world *w, tako_buf *out, unsigned r, unsigned from)
{
    const crdt_context *seen = crdt_doc_context(w->doc[from]);
    tako_buf question = tako_buf_on(&w->t.env);
    tako_err err = crdt_fields_ask(w->doc[r], seen, world_key, &question);
    crdt_fields asked;

    assert_true(err == TAKO_OK || err == TAKO_UNSUPPORTED);
    vectors_open(out, "fields", NULL);
    vectors_number(out, "r", r);
    vectors_number(out, "from", from);
    vectors_hex(out, "sum_key", tako_slice_of(world_key, 16));
    put_context(out, "seen", seen);
    vectors_hex(out, "question", tako_buf_slice(&question));
    if (err == TAKO_OK) {
        assert_int_equal(crdt_fields_read(&w->arena, tako_buf_slice(&question),
                                          &asked, NULL),
                         TAKO_OK);
        vectors_bool(out, "fits", crdt_fields_fit(w->doc[from], &asked));
        if (crdt_fields_fit(w->doc[from], &asked))
            put_answer(w, out, r, from, &asked);
    }
    vectors_close(out);
    w->doc[r] = world_copy(w, w->doc[r]);
    tako_buf_fini(&question);
}

/* ---- named histories --------------------------------------------------------- */

/* op: a write, or "merge", "delta", "exact" with `arg` as from, or a name
 * alone, which begins a history. */
typedef struct line {
    const char *op;
    unsigned r;
    const char *path;
    const char *json;
    long arg;
} line;

static const line lines[] = {
    { .op = "fresh" },
    { "insert", 0, "", "{'name':'tea','price':2.5,'sold':false}", 0 },
    { .op = "fresh, with objects, an array and every kind of value" },
    { "insert", 0, "",
      "{'a':null,'b':{'c':{},'d':[1,{'e':-7}]},'f':0.1,'g':''}", 0 },
    { .op = "one field set again, and again" },
    { "insert", 0, "", "{'status':'open','total':12}", 0 },
    { "set", 0, "status", "'ready'", 0 },
    { "delta", 1, "", "", 0 },
    { "set", 0, "status", "'paid'", 0 },
    { "exact", 1, "", "", 0 },
    { .op = "two writers, different fields" },
    { "insert", 0, "", "{'a':1}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "b", "2", 0 },
    { "set", 1, "c", "3", 0 },
    { "delta", 1, "", "", 0 },
    { "merge", 0, "", "", 1 },
    { .op = "two writers, one field: siblings, then settled" },
    { "insert", 0, "", "{'f':0}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "f", "'ours'", 0 },
    { "set", 1, "f", "'theirs'", 0 },
    { "merge", 0, "", "", 1 },
    { "set", 0, "f", "'both seen'", 0 },
    { "delta", 1, "", "", 0 },
    { .op = "objects: fields join, UNSET wins, set again" },
    { "insert", 0, "", "{'o':{'a':1}}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "o.b", "2", 0 },
    { "set", 1, "o", "{'c':3}", 0 },
    { "merge", 0, "", "", 1 },
    { "unset", 0, "o", "", 0 },
    { "set", 1, "o.c", "4", 0 },
    { "merge", 0, "", "", 1 },
    { "set", 0, "o.d", "5", 0 },
    { "delta", 1, "", "", 0 },
    { .op = "an object beside a value" },
    { "insert", 0, "", "{'f':1}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "f", "'text'", 0 },
    { "set", 1, "f.x", "1", 0 },
    { "merge", 0, "", "", 1 },
    { "merge", 1, "", "", 0 },
    { .op = "an object as one value" },
    { "insert", 0, "", "{'o':{'a':1}}", 0 },
    { "replace", 0, "o", "{'b':2}", 0 },
    { "delta", 1, "", "", 0 },
    { .op = "counters add up" },
    { "insert", 0, "", "{'n':40}", 0 },
    { "merge", 1, "", "", 0 },
    { "increment", 0, "n", "", 5 },
    { "merge", 1, "", "", 0 },
    { "increment", 0, "n", "", 2 },
    { "increment", 1, "n", "", -3 },
    { "delta", 1, "", "", 0 },
    { "restart", 1, "n", "", 100 },
    { "increment", 0, "n", "", 1 },
    { "merge", 0, "", "", 1 },
    { "set", 0, "n", "'no more'", 0 },
    { "exact", 1, "", "", 0 },
    { .op = "a counter that starts at a float" },
    { "insert", 0, "", "{'n':0.5}", 0 },
    { "increment", 0, "n", "", 2 },
    { .op = "deleted, and inserted again" },
    { "insert", 0, "", "{'a':1}", 0 },
    { "merge", 1, "", "", 0 },
    { "delete", 0, "", "", 0 },
    { "exact", 1, "", "", 0 },
    { "insert", 1, "", "{'b':2}", 0 },
    { "merge", 0, "", "", 1 },
    { "delete", 0, "", "", 0 },
    { "set", 1, "b", "3", 0 },
    { "merge", 1, "", "", 0 },
    { .op = "inserted twice at once" },
    { "insert", 0, "", "{'a':1,'x':1}", 0 },
    { "insert", 1, "", "{'b':2,'x':2}", 0 },
    { "merge", 0, "", "", 1 },
    { "delta", 1, "", "", 0 },
    { .op = "an attachment, and a value of a type to come" },
    { "insert", 0, "", "{'a':1,'b':2}", 0 },
    { "attachment", 0, "a", "{'id':'x','len':3}", 0 },
    { "unknown", 0, "b", "'later'", 0 },
    { "delta", 1, "", "", 0 },
    { .op = "a delta whose base is not here" },
    { "insert", 0, "", "{'a':1}", 0 },
    { "set", 0, "a", "2", 0 },
    { "false base", 1, "", "", 0 },
    { .op = "a delta that is known already" },
    { "insert", 0, "", "{'a':1}", 0 },
    { "merge", 1, "", "", 0 },
    { "delta", 1, "", "", 0 },
    { .op = "asked for by fields: each wrote another field" },
    { "insert", 0, "", "{'a':1,'b':2,'c':3}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "a", "4", 0 },
    { "set", 1, "b", "5", 0 },
    { "delta", 1, "", "", 0 },
    { "fields", 1, "", "", 0 },
    { .op = "asked for by fields: all kinds of what a field holds" },
    { "insert", 0, "", "{'a':{'b':{'c':1},'d':2},'gone':3,'n':5,'z':0}", 0 },
    { "increment", 0, "n", "", 1 },
    { "merge", 1, "", "", 0 },
    { "unset", 0, "a.b.c", "", 0 },
    { "unset", 0, "gone", "", 0 },
    { "set", 0, "n", "6", 0 },
    { "set", 0, "new", "{'e':7}", 0 },
    { "set", 1, "a.d", "8", 0 },
    { "increment", 1, "n", "", 2 },
    { "fields", 1, "", "", 0 },
    { .op = "asked for by fields: nothing differs but what is new" },
    { "insert", 0, "", "{'a':1,'b':{'c':2}}", 0 },
    { "merge", 1, "", "", 0 },
    { "set", 0, "b.d", "3", 0 },
    { "fields", 1, "", "", 0 },
    { .op = "asked for by fields: deleted, so that it does not fit" },
    { "insert", 0, "", "{'a':1}", 0 },
    { "merge", 1, "", "", 0 },
    { "delete", 0, "", "", 0 },
    { "fields", 1, "", "", 0 },
};

/* A type that this version does not know, as a newer one would write it. */
static void set_unknown(world *w, unsigned r, const char *key, const char *json)
{
    size_t at;
    crdt_slot *s;

    world_replace(w, r, key, json);
    s = crdt_map_find(&w->doc[r]->root, tako_slice_str(key), &at);
    assert_true(s != NULL && s->values.count == 1);
    s->values.at[0].type = UNKNOWN_TYPE;
}

static void do_write(world *w, const line *l)
{
    if (strcmp(l->op, "insert") == 0)
        world_insert(w, l->r, l->json);
    else if (strcmp(l->op, "set") == 0)
        world_set(w, l->r, l->path, l->json);
    else if (strcmp(l->op, "replace") == 0)
        world_replace(w, l->r, l->path, l->json);
    else if (strcmp(l->op, "unset") == 0)
        world_unset(w, l->r, l->path);
    else if (strcmp(l->op, "increment") == 0)
        world_increment(w, l->r, l->path, l->arg);
    else if (strcmp(l->op, "restart") == 0)
        world_restart(w, l->r, l->path, l->arg);
    else if (strcmp(l->op, "delete") == 0)
        world_delete(w, l->r);
    else if (strcmp(l->op, "attachment") == 0)
        assert_int_equal(crdt_set(w->doc[l->r], world_dot(w, l->r),
                                  world_path(w, l->path), CRDT_ATTACHMENT,
                                  world_value(w, l->json), NULL),
                         TAKO_OK);
    else if (strcmp(l->op, "unknown") == 0)
        set_unknown(w, l->r, l->path, l->json);
    else
        fail_msg("no write: %s", l->op);
}

static void put_write(world *w, tako_buf *out, const line *l)
{
    tako_buf json = tako_buf_on(&w->t.env);
    crdt_path path = world_path(w, l->path);

    do_write(w, l);
    vectors_open(out, "write", NULL);
    vectors_number(out, "r", l->r);
    vectors_text(out, "op", tako_slice_str(l->op));
    tako_put_str(out, ",\"path\":[");
    for (size_t i = 0; i < path.count && l->path[0] != '\0'; i++)
        tako_put_fmt(out, "%s\"%.*s\"", i > 0 ? "," : "", (int)path.keys[i].len,
                     (const char *)path.keys[i].ptr);
    tako_put_str(out, "]");
    vectors_number(
        out, "hlc",
        crdt_context_get(crdt_doc_context(w->doc[l->r]), world_actor(l->r)));
    if (l->json[0] != '\0') {
        assert_int_equal(json_from_cbor(world_value(w, l->json), &json),
                         TAKO_OK);
        vectors_json(out, "value", tako_buf_cstr(&json));
    } else {
        tako_put_fmt(out, ",\"value\":%ld", l->arg);
    }
    close_write(w, out, l->r);
    tako_buf_fini(&json);
}

static void put_line(world *w, tako_buf *out, const line *l)
{
    unsigned from = (unsigned)l->arg;

    if (l->path == NULL) {
        world_clear(w);
        vectors_open(out, "new", l->op);
        vectors_close(out);
    } else if (strcmp(l->op, "merge") == 0) {
        put_merge(w, out, l->r, from);
    } else if (strcmp(l->op, "delta") == 0 || strcmp(l->op, "exact") == 0) {
        put_delta(w, out, l->r, from, crdt_doc_context(w->doc[l->r]),
                  l->op[0] == 'e');
    } else if (strcmp(l->op, "fields") == 0) {
        put_fields(w, out, l->r, from);
    } else if (strcmp(l->op, "false base") == 0) {
        put_delta(w, out, l->r, from, crdt_doc_context(w->doc[from]), false);
    } else {
        put_write(w, out, l);
    }
}

/* ---- what must be refused --------------------------------------------------------- */

static const char *const wrong[][3] = {
    { "an actor twice",
      "0241414141414141414141414141414141414141414141414141414141414141410100"
      "d0afabfef9620000000000000000",
      "a0" },
    { "a varint that is not the shortest",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a81 00d0afabfef96200", "a1616101" },
    { "written at length though it is fresh",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01d0afabfef962000000 0000",
      "a1616101" },
    { "a body that is not deterministic",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01d0afabfef96200", "a261620161 6102" },
    { "a float that a half would hold",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01d0afabfef96200",
      "a16161fa3fc00000" },
    { "a tombstone with a body",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a02d0afabfef962000000 00", "a0" },
    { "an exception that is none",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01d0afabfef962000000 00 02 00 00 00",
      "a1616101" },
    { "an hlc of 0", "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a010000", "a0" },
    { "bytes after the end of meta",
      "01415a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01d0afabfef962000000 00 00 00", "a0" },
};

static void get_hex(const char *text, tako_buf *out)
{
    unsigned byte;

    for (; *text != '\0'; text += 2) {
        while (*text == ' ')
            text++;
        assert_int_equal(sscanf(text, "%2x", &byte), 1);
        tako_put_u8(out, (uint8_t)byte);
    }
}

static void put_read(world *w, tako_buf *out, const char *name, tako_slice meta,
                     tako_slice body)
{
    tako_arena arena = tako_arena_on(&w->t.env);
    crdt_doc *d;

    vectors_open(out, "read", name);
    vectors_hex(out, "meta", meta);
    vectors_hex(out, "body", body);
    vectors_bool(out, "good",
                 crdt_doc_decode(&arena, meta, body, &d, NULL) == TAKO_OK);
    vectors_close(out);
    tako_arena_fini(&arena);
}

static void put_wrong(world *w, tako_buf *out)
{
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tako_buf meta = tako_buf_on(&w->t.env);
        tako_buf body = tako_buf_on(&w->t.env);

        get_hex(wrong[i][1], &meta);
        get_hex(wrong[i][2], &body);
        put_read(w, out, wrong[i][0], tako_buf_slice(&meta),
                 tako_buf_slice(&body));
        tako_buf_fini(&meta);
        tako_buf_fini(&body);
    }
}

static void test_vectors__documents_stay_as_they_are(void **state)
{
    world w;
    tako_buf out;

    (void)state;
    world_init(&w, 1);
    out = tako_buf_on(&w.t.env);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        put_line(&w, &out, &lines[i]);
    put_wrong(&w, &out);
    assert_null(strstr(tako_buf_cstr(&out), "\"good\":true"));
    vectors_check(&out, "documents");
    tako_buf_fini(&out);
    world_fini(&w);
}

/* ---- random histories ---------------------------------------------------------- */

static void damage(world *w, tako_buf *b)
{
    size_t at = b->len > 0 ? test_below(&w->t, b->len) : 0;

    if (b->len > 0 && test_below(&w->t, 4) == 0)
        b->len = at;
    else if (b->len > 0)
        b->ptr[at] =
            (uint8_t)(test_below(&w->t, 2) == 0 ? test_below(&w->t, 8)
                                                : test_below(&w->t, 256));
}

/* A state, a byte of which is another, or the end missing. */
static void put_damaged_state(world *w, tako_buf *out, unsigned r)
{
    tako_buf meta = tako_buf_on(&w->t.env);
    tako_buf body = tako_buf_on(&w->t.env);

    assert_int_equal(crdt_doc_encode(w->doc[r], &meta, &body), TAKO_OK);
    damage(w, test_below(&w->t, 4) == 0 ? &body : &meta);
    put_read(w, out, "damaged", tako_buf_slice(&meta), tako_buf_slice(&body));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

/* Likewise a delta. What comes of one that is taken all the same is not kept,
 * but both must come to it. */
static void put_damaged_delta(world *w, tako_buf *out, unsigned r,
                              unsigned from)
{
    static const char *const results[] = { "applied", "stale", "needs" };
    crdt_doc *before = world_copy(w, w->doc[r]);
    tako_buf bytes = tako_buf_on(&w->t.env);
    crdt_delta_result result;
    tako_reader in;
    tako_err err;

    assert_int_equal(
        crdt_delta_encode(w->doc[from], crdt_doc_context(w->doc[r]), NULL,
                          world_key, &crdt_names_plain_out, &bytes),
        TAKO_OK);
    damage(w, &bytes);
    in = tako_reader_of(tako_buf_slice(&bytes));
    err = crdt_delta_apply(w->doc[r], &in, world_key, &crdt_names_plain_in,
                           &result, NULL, NULL);
    vectors_open(out, "damaged delta", NULL);
    vectors_number(out, "r", r);
    vectors_hex(out, "sum_key", tako_slice_of(world_key, 16));
    vectors_hex(out, "delta", tako_buf_slice(&bytes));
    vectors_text(out, "result",
                 tako_slice_str(err != TAKO_OK ? "corrupt" : results[result]));
    if (err == TAKO_OK)
        put_bytes(w, out, w->doc[r]);
    vectors_close(out);
    w->doc[r] = before;
    tako_buf_fini(&bytes);
}

static void put_random_step(world *w, tako_buf *out, unsigned replicas)
{
    unsigned r = (unsigned)test_below(&w->t, replicas);
    unsigned from = (unsigned)test_below(&w->t, replicas);
    const crdt_context *ours = crdt_doc_context(w->doc[r]);

    put_damaged_state(w, out, r);
    if (from != r)
        put_damaged_delta(w, out, r, from);
    ours = crdt_doc_context(w->doc[r]);
    if (from != r && test_below(&w->t, 2) == 0) {
        switch (test_below(&w->t, 5)) {
        case 0:
            put_merge(w, out, r, from);
            return;
        case 4:
            put_fields(w, out, r, from);
            return;
        case 1: /* of a third: often not covered, then refused */
            put_delta(w, out, r, from,
                      crdt_doc_context(w->doc[test_below(&w->t, replicas)]),
                      false);
            return;
        default:
            put_delta(
                w, out, r, from, ours,
                test_below(&w->t, 2) == 0 &&
                    crdt_context_covers(crdt_doc_context(w->doc[from]), ours));
            return;
        }
    }
    world_random_write(w, r);
    vectors_open(out, "write", NULL);
    vectors_number(out, "r", r);
    tako_put_fmt(out, ",%s", tako_buf_cstr(&w->text));
    close_write(w, out, r);
}

static void print_histories(FILE *f, uint64_t seed, unsigned count)
{
    world w;
    tako_buf out;

    world_init(&w, seed);
    w.rare = 24;
    out = tako_buf_on(&w.t.env);
    for (unsigned i = 0; i < count; i++) {
        unsigned replicas = 2 + (unsigned)test_below(&w.t, 3);

        world_clear(&w);
        tako_buf_reset(&out);
        vectors_open(&out, "new", "random");
        vectors_close(&out);
        for (unsigned j = 0; j < STEPS; j++)
            put_random_step(&w, &out, replicas);
        assert_int_equal(fwrite(out.ptr, 1, out.len, f), out.len);
    }
    tako_buf_fini(&out);
    world_fini(&w);
}

static void test_vectors__a_second_reader_does_the_same(void **state)
{
    FILE *reader = popen(
        "python3 -B " TAKO_SOURCE_DIR "/tests/protocol/vectors.py -", "w");
    uint64_t seed = test_seed(20265);
    int status;

    (void)state;
    assert_non_null(reader);
    print_histories(reader, seed, HISTORIES);
    status = pclose(reader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__documents_stay_as_they_are),
        cmocka_unit_test(test_vectors__a_second_reader_does_the_same),
    };

    if (argc > 1) {
        print_histories(stdout, test_seed(20265),
                        (unsigned)strtoul(argv[1], NULL, 10));
        return 0;
    }
    return cmocka_run_group_tests_name("crdt/vectors", tests, NULL, NULL);
}
