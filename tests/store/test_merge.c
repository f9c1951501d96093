// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

typedef struct pair {
    world_store a;
    store *b;
    uint32_t coll_b;
} pair;

static void pair_begin(pair *p, uint64_t seed)
{
    world_begin(&p->a, seed);
    p->b = world_open(&p->a.w, "b");
    (void)coll_of(&p->a.w, p->b, "other"); /* numbers differ */
    p->coll_b = coll_of(&p->a.w, p->b, "orders");
}

static void pair_end(pair *p)
{
    store_close(p->b);
    world_end(&p->a);
}

/* Merges one document of `from` into `to`, in a transaction of its own. */
static void carry(test_world *w, store *from, uint32_t coll_from, store *to,
                  uint32_t coll_to, tako_slice id, crdt_merge_info *info)
{
    store_row row;

    must(w, store_get(store_writer(from), coll_from, id, &row));
    must(w, store_begin(to, &w->e));
    must(w, store_merge(to, coll_to, id, row.meta, row.body, info, &w->e));
    must(w, store_commit(to, NULL, &w->e));
}

static void assert_equal_docs(pair *p, tako_slice id)
{
    store_row x, y;

    must(&p->a.w, store_get(p->a.c, p->a.coll, id, &x));
    must(&p->a.w, store_get(store_writer(p->b), p->coll_b, id, &y));
    assert_memory_equal(x.version, y.version, 16);
    assert_true(tako_slice_eq(x.meta, y.meta));
    assert_true(tako_slice_eq(x.body, y.body));
}

static void test_merge__fresh_states_are_taken_as_they_are(void **state)
{
    static const char *const ids[] = { "\"x\"", "5", "[1]" };
    pair p;
    test_world *w = &p.a.w;
    crdt_merge_info info;

    (void)state;
    pair_begin(&p, 1);
    for (size_t i = 0; i < 6; i++) {
        tako_slice id = i < 3 ? cb(w, ids[i]) : id_at(w, i);

        put_commit(w, p.a.s, p.a.coll, id, "{\"a\":1,\"m\":{\"b\":2}}");
        carry(w, p.a.s, p.a.coll, p.b, p.coll_b, id, &info);
        assert_true(info.changed && !info.lost && !info.forged);
        assert_equal_docs(&p, id);
        carry(w, p.a.s, p.a.coll, p.b, p.coll_b, id, &info); /* again */
        assert_false(info.changed);
        assert_equal_docs(&p, id);
    }
    pair_end(&p);
}

static void test_merge__both_sides_end_with_the_same_bytes(void **state)
{
    static const char *const keys[] = { "a", "b", "c", "d" };
    static const char *const values[] = { "1", "\"x\"", "{\"y\":2}", "[]",
                                          "null" };
    pair p;
    test_world *w = &p.a.w;

    (void)state;
    pair_begin(&p, test_seed(7));
    for (uint64_t round = 0; round < 60; round++) {
        tako_slice id = id_at(w, round / 10);
        store_row row;

        for (int side = 0; side < 2; side++) {
            store *s = side == 0 ? p.a.s : p.b;
            uint32_t coll = side == 0 ? p.a.coll : p.coll_b;
            const char *shown = show(w, store_writer(s), coll, id);

            w->t.wall_ms += test_below(&w->t, 3);
            must(w, store_begin(s, &w->e));
            if (shown[0] != '{')
                put_one(w, s, coll, id, "{\"a\":0}");
            else if (test_below(&w->t, 6) == 0)
                delete_one(w, s, coll, id);
            else
                set_one(w, s, coll, id, keys[test_below(&w->t, 4)],
                        values[test_below(&w->t, 5)]);
            must(w, store_commit(s, NULL, &w->e));
        }
        must(w, store_get(p.a.c, p.a.coll, id, &row));
        carry(w, p.a.s, p.a.coll, p.b, p.coll_b, id, NULL);
        carry(w, p.b, p.coll_b, p.a.s, p.a.coll, id, NULL);
        assert_equal_docs(&p, id);
    }
    pair_end(&p);
}

static void test_merge__tombstones_travel(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    tako_slice id;

    (void)state;
    pair_begin(&p, 3);
    id = id_at(w, 1);
    put_commit(w, p.a.s, p.a.coll, id, "{\"a\":1}");
    must(w, store_begin(p.a.s, &w->e));
    delete_one(w, p.a.s, p.a.coll, id);
    must(w, store_commit(p.a.s, NULL, &w->e));
    carry(w, p.a.s, p.a.coll, p.b, p.coll_b, id, NULL); /* never had it */
    assert_string_equal(show(w, store_writer(p.b), p.coll_b, id), "-");
    put_commit(w, p.b, p.coll_b, id, "{\"a\":2}");
    carry(w, p.b, p.coll_b, p.a.s, p.a.coll, id, NULL);
    assert_string_equal(show(w, p.a.c, p.a.coll, id), "{\"a\":2}");
    assert_equal_docs(&p, id);
    pair_end(&p);
}

/* Hostile bytes: every cut and many flips of a real state. */
static void test_merge__hostile_states_do_no_harm(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    tako_slice id, meta, body, key;
    store_row row;
    uint8_t *m;
    int fits = 0;

    (void)state;
    pair_begin(&p, test_seed(4));
    id = id_at(w, 1);
    put_commit(w, p.a.s, p.a.coll, id, "{\"a\":1,\"b\":{\"c\":[1,2]}}");
    must(w, store_begin(p.a.s, &w->e));
    set_one(w, p.a.s, p.a.coll, id, "a", "\"z\"");
    must(w, store_commit(p.a.s, NULL, &w->e));
    must(w, store_get(p.a.c, p.a.coll, id, &row));
    meta = tako_arena_copy(&w->arena, row.meta);
    body = tako_arena_copy(&w->arena, row.body);
    m = (uint8_t *)(uintptr_t)meta.ptr;
    must(w, store_begin(p.b, &w->e));
    for (size_t n = 0; n < meta.len; n++) /* one cut is a fresh state's meta */
        fits +=
            store_merge(p.b, p.coll_b, id_at(w, 2), tako_slice_of(meta.ptr, n),
                        body, NULL, &w->e) == TAKO_OK;
    assert_true(fits <= 1);
    for (size_t n = 0; n < body.len; n++)
        assert_int_not_equal(store_merge(p.b, p.coll_b, id, meta,
                                         tako_slice_of(body.ptr, n), NULL,
                                         &w->e),
                             TAKO_OK);
    for (uint64_t i = 0; i < 4000; i++) {
        size_t at = test_below(&w->t, meta.len);
        uint8_t old = m[at];

        m[at] ^= (uint8_t)(1u << test_below(&w->t, 8));
        key = i % 2 == 0 ? id : id_at(w, i + 100);
        (void)store_merge(p.b, p.coll_b, key, meta, body, NULL, &w->e);
        assert_true(store_in_transaction(p.b));
        m[at] = old;
    }
    must(w, store_commit(p.b, NULL, &w->e));
    {
        uint64_t findings = 1;

        must(w, store_check(store_writer(p.b), NULL, NULL, &findings, &w->e));
        assert_int_equal(findings, 0);
    }
    pair_end(&p);
}

static void test_merge__deltas_apply_or_ask(void **state)
{
    static const uint8_t sum_key[16] = { 9 };
    pair p;
    test_world *w = &p.a.w;
    tako_slice id;
    tako_buf delta;
    store_row row;
    crdt_doc *doc = NULL;
    crdt_context base = { NULL, 0, 0 }, empty = { NULL, 0, 0 };
    crdt_delta_result result;
    tako_reader in;

    (void)state;
    pair_begin(&p, 5);
    id = id_at(w, 1);
    delta = tako_buf_on(&w->t.env);
    put_commit(w, p.a.s, p.a.coll, id, "{\"a\":1,\"b\":2}");
    must(w, store_get(p.a.c, p.a.coll, id, &row));
    must(w, crdt_meta_context(&w->arena, row.meta, &base));
    must(w, store_begin(p.a.s, &w->e));
    set_one(w, p.a.s, p.a.coll, id, "a", "7");
    must(w, store_edit(p.a.s, p.a.coll, id, &doc, &w->e));
    must(w, crdt_delta_encode(doc, &base, NULL, sum_key, &crdt_names_plain_out,
                              &delta));
    must(w, store_commit(p.a.s, NULL, &w->e));

    must(w, store_begin(p.b, &w->e)); /* unknown there: it must ask */
    in = tako_reader_of(tako_buf_slice(&delta));
    must(w, store_merge_delta(p.b, p.coll_b, id, &in, sum_key,
                              &crdt_names_plain_in, &result, NULL, &w->e));
    assert_int_equal(result, CRDT_DELTA_NEEDS);
    store_rollback(p.b);
    assert_string_equal(show(w, store_writer(p.b), p.coll_b, id), "");

    must(w, store_begin(p.a.s, &w->e)); /* the delta against nothing */
    must(w, store_edit(p.a.s, p.a.coll, id, &doc, &w->e));
    tako_buf_reset(&delta);
    must(w, crdt_delta_encode(doc, &empty, NULL, sum_key, &crdt_names_plain_out,
                              &delta));
    store_rollback(p.a.s);
    for (int i = 0; i < 2; i++) {
        must(w, store_begin(p.b, &w->e));
        in = tako_reader_of(tako_buf_slice(&delta));
        must(w, store_merge_delta(p.b, p.coll_b, id, &in, sum_key,
                                  &crdt_names_plain_in, &result, NULL, &w->e));
        must(w, store_commit(p.b, NULL, &w->e));
        assert_int_equal(result,
                         i == 0 ? CRDT_DELTA_APPLIED : CRDT_DELTA_STALE);
    }
    assert_equal_docs(&p, id);
    tako_buf_fini(&delta);
    pair_end(&p);
}

static void test_merge__survives_every_failed_allocation(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    tako_slice id, meta, body;
    store_row row;
    bool done = false;

    (void)state;
    pair_begin(&p, 6);
    id = id_at(w, 1);
    put_commit(w, p.a.s, p.a.coll, id, "{\"a\":1}");
    carry(w, p.a.s, p.a.coll, p.b, p.coll_b, id, NULL);
    must(w, store_begin(p.a.s, &w->e));
    set_one(w, p.a.s, p.a.coll, id, "a", "{\"q\":[1]}");
    must(w, store_commit(p.a.s, NULL, &w->e));
    must(w, store_get(p.a.c, p.a.coll, id, &row));
    meta = tako_arena_copy(&w->arena, row.meta);
    body = tako_arena_copy(&w->arena, row.body);
    for (long n = 0; !done && n < 1000; n++) {
        tako_err err;

        w->t.failed_once = false;
        w->t.fail_after = n;
        err = store_begin(p.b, NULL);
        if (err == TAKO_OK)
            err = store_merge(p.b, p.coll_b, id, meta, body, NULL, NULL);
        if (err == TAKO_OK)
            err = store_commit(p.b, NULL, NULL);
        else
            store_rollback(p.b);
        w->t.fail_after = -1;
        done = !w->t.failed_once;
        assert_int_equal(err, done ? TAKO_OK : TAKO_NOMEM);
    }
    assert_true(done);
    assert_equal_docs(&p, id);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge__fresh_states_are_taken_as_they_are),
        cmocka_unit_test(test_merge__both_sides_end_with_the_same_bytes),
        cmocka_unit_test(test_merge__tombstones_travel),
        cmocka_unit_test(test_merge__hostile_states_do_no_harm),
        cmocka_unit_test(test_merge__deltas_apply_or_ask),
        cmocka_unit_test(test_merge__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
