// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "codec/json.h"

#include <stdio.h>

/* What stands in the table, as "kind path value[/kept]; ..."; valid until the
 * world ends. */
static const char *lost_in(test_world *w, store *s)
{
    static const char *const kinds[] = { "", "update", "increment", "insert",
                                         "forged" };
    tako_buf b = tako_buf_on(&w->t.env);
    store_lost l = { .number = 0 };
    tako_slice text;

    while (store_lost_next(store_writer(s), l.number, &l) == TAKO_OK) {
        tako_put_fmt(&b, "%s%s ", b.len > 0 ? "; " : "", kinds[l.kind]);
        must(w, json_from_cbor(l.path, &b));
        tako_put_u8(&b, ' ');
        if (l.value.len > 0)
            must(w, json_from_cbor(l.value, &b));
        if (l.kept.len > 0) {
            tako_put_u8(&b, '/');
            must(w, json_from_cbor(l.kept, &b));
        }
    }
    text = tako_arena_copy(&w->arena, tako_slice_str(tako_buf_cstr(&b)));
    tako_buf_fini(&b);
    return (const char *)text.ptr;
}

static uint64_t lost_count(store *s)
{
    store_lost l = { .number = 0 };
    uint64_t n = 0;

    while (store_lost_next(store_writer(s), l.number, &l) == TAKO_OK)
        n++;
    return n;
}

static void carry(test_world *w, store *from, store *to, uint32_t coll,
                  tako_slice id)
{
    store_row row;

    must(w, store_get(store_writer(from), coll, id, &row));
    must(w, store_begin(to, &w->e));
    must(w, store_merge(to, coll, id, row.meta, row.body, NULL, &w->e));
    must(w, store_commit(to, NULL, &w->e));
}

/* Two databases with the document {"a":1}; one deletes it, the other has set
 * a to 5 meanwhile. */
typedef struct pair {
    world_store a;
    store *b;
    tako_slice id;
} pair;

static void pair_begin(pair *p, uint64_t seed)
{
    test_world *w = &p->a.w;

    world_begin(&p->a, seed);
    p->b = world_open(w, "b");
    assert_int_equal(coll_of(w, p->b, "orders"), p->a.coll);
    p->id = id_at(w, 1);
    put_commit(w, p->a.s, p->a.coll, p->id, "{\"a\":1}");
    carry(w, p->a.s, p->b, p->a.coll, p->id);
    w->t.wall_ms += 1000;
    must(w, store_begin(p->b, &w->e));
    set_one(w, p->b, p->a.coll, p->id, "a", "5");
    must(w, store_commit(p->b, NULL, &w->e));
    must(w, store_begin(p->a.s, &w->e));
    delete_one(w, p->a.s, p->a.coll, p->id);
    must(w, store_commit(p->a.s, NULL, &w->e));
}

static void pair_end(pair *p)
{
    store_close(p->b);
    world_end(&p->a);
}

static void test_lost__is_noted_where_histories_meet(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    store_lost l;

    (void)state;
    pair_begin(&p, 1);
    assert_string_equal(lost_in(w, p.a.s), "");
    carry(w, p.b, p.a.s, p.a.coll, p.id);
    assert_string_equal(lost_in(w, p.a.s), "update [\"a\"] 5");
    carry(w, p.b, p.a.s, p.a.coll, p.id); /* again: nothing new */
    assert_string_equal(lost_in(w, p.a.s), "update [\"a\"] 5");

    must(w, store_lost_next(p.a.c, 0, &l));
    assert_int_equal(l.coll, p.a.coll);
    assert_true(tako_slice_eq(l.id, p.id));
    assert_int_equal(l.ms, w->t.wall_ms);
    assert_int_equal(crdt_actor_cmp(l.dot.actor, store_actor(p.b)), 0);
    assert_int_equal(CRDT_HLC_MS(l.dot.hlc), w->t.wall_ms);

    /* who hears of it later cannot tell it from a deletion that had seen it */
    carry(w, p.a.s, p.b, p.a.coll, p.id);
    assert_string_equal(lost_in(w, p.b), "");
    pair_end(&p);

    pair_begin(&p, 1); /* the deletion comes to who made the update */
    carry(w, p.a.s, p.b, p.a.coll, p.id);
    assert_string_equal(lost_in(w, p.b), "update [\"a\"] 5");
    pair_end(&p);
}

static void test_lost__is_noted_of_a_delta(void **state)
{
    static const uint8_t sum_key[16] = { 9 };
    pair p;
    test_world *w = &p.a.w;
    tako_buf delta;
    crdt_context base = { NULL, 0, 0 };
    crdt_delta_result result;
    crdt_doc *doc;
    store_row row;
    tako_reader in;

    (void)state;
    pair_begin(&p, 2);
    delta = tako_buf_on(&w->t.env);
    must(w, store_get(p.a.c, p.a.coll, p.id, &row));
    must(w, crdt_meta_context(&w->arena, row.meta, &base));
    must(w, store_begin(p.b, &w->e));
    must(w, store_edit(p.b, p.a.coll, p.id, &doc, &w->e));
    must(w, crdt_delta_encode(doc, &base, NULL, sum_key, &crdt_names_plain_out,
                              &delta));
    store_rollback(p.b);
    must(w, store_begin(p.a.s, &w->e));
    in = tako_reader_of(tako_buf_slice(&delta));
    must(w, store_merge_delta(p.a.s, p.a.coll, p.id, &in, sum_key,
                              &crdt_names_plain_in, &result, NULL, &w->e));
    assert_int_equal(result, CRDT_DELTA_APPLIED);
    must(w, store_commit(p.a.s, NULL, &w->e));
    assert_string_equal(lost_in(w, p.a.s), "update [\"a\"] 5");
    tako_buf_fini(&delta);
    pair_end(&p);
}

static void test_lost__stands_with_the_merge(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    store_row row;

    (void)state;
    pair_begin(&p, 3);
    must(w, store_get(store_writer(p.b), p.a.coll, p.id, &row));
    must(w, store_begin(p.a.s, &w->e));
    must(w,
         store_merge(p.a.s, p.a.coll, p.id, row.meta, row.body, NULL, &w->e));
    store_rollback(p.a.s);
    assert_string_equal(lost_in(w, p.a.s), "");
    assert_false(store_lost_changed(p.a.s));
    carry(w, p.b, p.a.s, p.a.coll, p.id);
    assert_true(store_lost_changed(p.a.s));
    assert_false(store_lost_changed(p.a.s)); /* asked last */

    store_close(p.a.s); /* it survives */
    p.a.s = world_open(w, "a");
    p.a.c = store_writer(p.a.s);
    assert_string_equal(lost_in(w, p.a.s), "update [\"a\"] 5");
    pair_end(&p);
}

static void test_lost__goes_when_it_is_dropped(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    store_lost l;
    uint64_t first;

    (void)state;
    pair_begin(&p, 4);
    carry(w, p.b, p.a.s, p.a.coll, p.id);
    must(w, store_lost_next(p.a.c, 0, &l));
    first = l.number;
    assert_int_equal(store_lost_drop(p.a.s, first, &w->e), TAKO_MISUSE);
    must(w, store_begin(p.a.s, &w->e));
    must(w, store_lost_drop(p.a.s, first, &w->e));
    must(w, store_lost_drop(p.a.s, first + 100, &w->e)); /* not there */
    must(w, store_commit(p.a.s, NULL, &w->e));
    assert_string_equal(lost_in(w, p.a.s), "");
    assert_true(store_lost_changed(p.a.s));

    /* the next has another number, so that nobody drops it by mistake */
    must(w, store_begin(p.b, &w->e));
    set_one(w, p.b, p.a.coll, p.id, "a", "6");
    must(w, store_commit(p.b, NULL, &w->e));
    carry(w, p.b, p.a.s, p.a.coll, p.id);
    must(w, store_lost_next(p.a.c, 0, &l));
    assert_true(l.number > first);
    pair_end(&p);
}

/* A state of one INSERT under a dot that somebody else's INSERT has, too. */
static void forge(test_world *w, const char *json, tako_buf *meta,
                  tako_buf *body)
{
    crdt_dot dot = { .hlc = CRDT_HLC_OF_MS(w->t.wall_ms) };
    crdt_doc *d;

    memset(dot.actor.id, 0x55, sizeof dot.actor.id);
    must(w, crdt_doc_new(&w->arena, &d));
    must(w, crdt_insert(d, dot, cb(w, json)));
    tako_buf_reset(meta);
    tako_buf_reset(body);
    must(w, crdt_doc_encode(d, meta, body));
}

static void test_lost__of_two_contents_is_noted_once(void **state)
{
    world_store x;
    test_world *w = &x.w;
    tako_buf meta, body;
    crdt_merge_info info;

    (void)state;
    world_begin(&x, 5);
    meta = body = tako_buf_on(&w->t.env);
    for (int i = 0; i < 4; i++) { /* the greater first, and then the lesser */
        forge(w, i % 2 == 0 ? "{\"a\":\"yes\"}" : "{\"a\":\"no\"}", &meta,
              &body);
        must(w, store_begin(x.s, &w->e));
        must(w, store_merge(x.s, x.coll, id_at(w, 1), tako_buf_slice(&meta),
                            tako_buf_slice(&body), &info, &w->e));
        must(w, store_commit(x.s, NULL, &w->e));
        assert_int_equal(info.forged, i % 2);
        assert_true(!info.changed || i == 0);
    }
    assert_string_equal(lost_in(w, x.s), "forged [\"a\"] \"no\"/\"yes\"");
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_end(&x);
}

/* Each of n documents is deleted at a, while b set a value in it. */
static void lose_many(pair *p, uint64_t n, const char *value)
{
    test_world *w = &p->a.w;

    for (uint64_t i = 0; i < n; i++) {
        tako_slice id = id_at(w, 100 + i);
        store_row row;

        must(w, store_begin(p->a.s, &w->e));
        put_one(w, p->a.s, p->a.coll, id, "{\"a\":1}");
        must(w, store_commit(p->a.s, NULL, &w->e));
        carry(w, p->a.s, p->b, p->a.coll, id);
        must(w, store_begin(p->b, &w->e));
        set_one(w, p->b, p->a.coll, id, "a", value);
        must(w, store_commit(p->b, NULL, &w->e));
        must(w, store_get(store_writer(p->b), p->a.coll, id, &row));
        must(w, store_begin(p->a.s, &w->e));
        delete_one(w, p->a.s, p->a.coll, id);
        must(w, store_merge(p->a.s, p->a.coll, id, row.meta, row.body, NULL,
                            &w->e));
        must(w, store_commit(p->a.s, NULL, &w->e));
    }
}

static void test_lost__has_a_bound_and_the_oldest_go(void **state)
{
    pair p;
    store_lost l;

    (void)state;
    pair_begin(&p, 6);
    lose_many(&p, TAKO_LOST_ROWS_MAX + 5, "2");
    assert_int_equal(lost_count(p.a.s), TAKO_LOST_ROWS_MAX);
    must(&p.a.w, store_lost_next(p.a.c, 0, &l));
    assert_int_equal(l.number, 6);
    pair_end(&p);
}

static void test_lost__values_have_a_bound(void **state)
{
    static char json[TAKO_LOST_VALUE_MAX + 8];
    pair p;
    store_lost l;
    uint64_t most = TAKO_LOST_BYTES_MAX / TAKO_LOST_VALUE_MAX;

    (void)state;
    pair_begin(&p, 7);
    memset(json, 'x', sizeof json);
    json[0] = json[sizeof json - 2] = '"';
    json[sizeof json - 1] = '\0';
    lose_many(&p, 1, json); /* too long: that there was one is told */
    must(&p.a.w, store_lost_next(p.a.c, 0, &l));
    assert_int_equal(l.value.len, 0);
    json[TAKO_LOST_VALUE_MAX - 16] = '"';
    json[TAKO_LOST_VALUE_MAX - 15] = '\0';
    for (uint64_t i = 0; i < most + 3; i++) {
        world_store *a = &p.a;

        p.id = id_at(&a->w, 10000 + i);
        lose_many(&p, 1, json);
        must(&a->w, store_begin(a->s, &a->w.e)); /* anew next time */
        put_one(&a->w, a->s, a->coll, id_at(&a->w, 100), "{\"a\":1}");
        must(&a->w, store_commit(a->s, NULL, &a->w.e));
        must(&a->w, store_begin(a->s, &a->w.e));
        delete_one(&a->w, a->s, a->coll, id_at(&a->w, 100));
        must(&a->w, store_commit(a->s, NULL, &a->w.e));
    }
    assert_true(lost_count(p.a.s) < most + 1);
    assert_true(lost_count(p.a.s) > most - 4);
    pair_end(&p);
}

static void test_lost__survives_every_failed_allocation(void **state)
{
    pair p;
    test_world *w = &p.a.w;
    tako_slice meta, body;
    store_row row;
    bool done = false;

    (void)state;
    pair_begin(&p, 8);
    must(w, store_get(store_writer(p.b), p.a.coll, p.id, &row));
    meta = tako_arena_copy(&w->arena, row.meta);
    body = tako_arena_copy(&w->arena, row.body);
    for (long n = 0; !done && n < 1000; n++) {
        tako_err err;

        w->t.failed_once = false;
        w->t.fail_after = n;
        err = store_begin(p.a.s, NULL);
        if (err == TAKO_OK)
            err = store_merge(p.a.s, p.a.coll, p.id, meta, body, NULL, NULL);
        if (err == TAKO_OK)
            err = store_commit(p.a.s, NULL, NULL);
        else
            store_rollback(p.a.s);
        w->t.fail_after = -1;
        done = !w->t.failed_once;
        assert_int_equal(err, done ? TAKO_OK : TAKO_NOMEM);
        assert_string_equal(lost_in(w, p.a.s), done ? "update [\"a\"] 5" : "");
    }
    assert_true(done);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost__is_noted_where_histories_meet),
        cmocka_unit_test(test_lost__is_noted_of_a_delta),
        cmocka_unit_test(test_lost__stands_with_the_merge),
        cmocka_unit_test(test_lost__goes_when_it_is_dropped),
        cmocka_unit_test(test_lost__of_two_contents_is_noted_once),
        cmocka_unit_test(test_lost__has_a_bound_and_the_oldest_go),
        cmocka_unit_test(test_lost__values_have_a_bound),
        cmocka_unit_test(test_lost__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
