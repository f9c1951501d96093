// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "base/limits.h"
#include "store/internal.h"

static void take(test_world *w, store *s, uint32_t coll, tako_slice id,
                 copied state)
{
    must(w, store_begin(s, &w->e));
    must(w, store_merge(s, coll, id, state.meta, state.body, NULL, &w->e));
    must(w, store_commit(s, NULL, &w->e));
}

static void remove_doc(test_world *w, store *s, uint32_t coll, tako_slice id)
{
    crdt_doc *d;
    crdt_dot dot;

    must(w, store_begin(s, &w->e));
    must(w, store_edit(s, coll, id, &d, &w->e));
    must(w, store_dot(s, &dot, &w->e));
    must(w, crdt_delete(d, dot));
    must(w, store_edit_save(s, &w->e));
    must(w, store_commit(s, NULL, &w->e));
}

static void days(test_world *w, store *s, unsigned n)
{
    for (; n > 0; n--) {
        uint64_t reaped;
        bool more;

        w->t.wall_ms += UINT64_C(86400000);
        w->t.mono_ms += UINT64_C(86400000);
        must(w, store_reap(s, 1, 100, &reaped, &more, &w->e));
    }
}

/* A transaction of its own, so that a retired actor is followed by another. */
static crdt_actor next_actor(test_world *w, store *s)
{
    must(w, store_begin(s, &w->e));
    must(w, store_commit(s, NULL, &w->e));
    return store_actor(s);
}

static bool is_new_actor(test_world *w, store *s, crdt_actor before)
{
    crdt_actor now = next_actor(w, s);

    return crdt_actor_cmp(before, now) != 0;
}

/* Both inserted the key. Near deleted its document and reaped it before it met
 * far's, which is of the same life. */
static void test_forgot__who_claims_too_much_writes_no_more(void **state)
{
    world_pair p;
    test_world *w = &p.near.w;
    world_store *x = &p.near;
    crdt_actor before;
    copied other;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 1);
    id = id_at(w, 1);
    put_commit(w, p.far, p.far_coll, id, "{\"far\":1}");
    other = state_of(w, p.far, p.far_coll, id);
    put_commit(w, x->s, x->coll, id, "{\"near\":1}");
    remove_doc(w, x->s, x->coll, id);
    days(w, x->s, 4);
    assert_string_equal(show(w, x->c, x->coll, id), "");
    before = next_actor(w, x->s);
    take(w, x->s, x->coll, id, other);
    assert_string_equal(show(w, x->c, x->coll, id), "{\"far\":1}");
    assert_true(is_new_actor(w, x->s, before));
    /* That one has forgotten nothing. */
    before = next_actor(w, x->s);
    remove_doc(w, x->s, x->coll, id_at(w, 1));
    assert_false(is_new_actor(w, x->s, before));
    world_pair_end(&p);
}

static void test_forgot__a_life_that_remembers_no_more_is_no_claim(void **state)
{
    world_pair p;
    test_world *w = &p.near.w;
    world_store *x = &p.near;
    crdt_actor before;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 2);
    id = id_at(w, 1);
    put_commit(w, x->s, x->coll, id, "{\"near\":1}");
    remove_doc(w, x->s, x->coll, id);
    days(w, x->s, 4);
    before = next_actor(w, x->s);
    must(w, store_begin(p.far, &w->e));
    must(w, store_epoch_raise(p.far, p.far_coll, 2, &w->e));
    must(w, store_commit(p.far, NULL, &w->e));
    put_commit(w, p.far, p.far_coll, id, "{\"far\":2}");
    take(w, x->s, x->coll, id, state_of(w, p.far, p.far_coll, id));
    assert_string_equal(show(w, x->c, x->coll, id), "{\"far\":2}");
    assert_false(is_new_actor(w, x->s, before));
    world_pair_end(&p);
}

/* First without what we did to the life before, then with it. */
static void test_forgot__an_old_event_in_a_new_life_is_ours(void **state)
{
    world_pair p;
    test_world *w = &p.near.w;
    world_store *x = &p.near;
    crdt_actor before;
    copied old;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 6);
    id = id_at(w, 1);
    put_commit(w, x->s, x->coll, id, "{\"near\":1}");
    old = state_of(w, x->s, x->coll, id);
    remove_doc(w, x->s, x->coll, id);
    days(w, x->s, 4);
    before = next_actor(w, x->s);
    must(w, store_begin(p.far, &w->e));
    must(w, store_epoch_raise(p.far, p.far_coll, 2, &w->e));
    must(w, store_commit(p.far, NULL, &w->e));
    put_commit(w, p.far, p.far_coll, id, "{\"far\":2}");
    take(w, x->s, x->coll, id, state_of(w, p.far, p.far_coll, id));
    take(w, p.far, p.far_coll, id, old);
    take(w, x->s, x->coll, id, state_of(w, p.far, p.far_coll, id));
    assert_int_equal(store_foreign_self(x->s), 0);
    assert_false(is_new_actor(w, x->s, before));
    world_pair_end(&p);
}

/* The other has seen all that we did to it. */
static void test_forgot__what_comes_back_whole_is_no_claim(void **state)
{
    world_pair p;
    test_world *w = &p.near.w;
    world_store *x = &p.near;
    crdt_actor before;
    tako_slice id;
    int64_t at = INT64_MIN;
    uint64_t reaped = 0;

    (void)state;
    world_pair_begin(&p, 3);
    id = id_at(w, 1);
    put_commit(w, x->s, x->coll, id, "{\"near\":1}");
    take(w, p.far, p.far_coll, id, state_of(w, x->s, x->coll, id));
    must(w, store_begin(x->s, &w->e));
    must(w, store_leave(x->s, x->coll, id, TAKO_SLICE_NONE, &w->e));
    must(w, store_markers_reap(x->s, x->coll, 1000, 100, &at, &reaped, &w->e));
    must(w, store_commit(x->s, NULL, &w->e));
    assert_int_equal(reaped, 1);
    before = next_actor(w, x->s);
    take(w, x->s, x->coll, id, state_of(w, p.far, p.far_coll, id));
    assert_string_equal(show(w, x->c, x->coll, id), "{\"near\":1}");
    assert_int_equal(store_foreign_self(x->s), 0);
    assert_false(is_new_actor(w, x->s, before));
    world_pair_end(&p);
}

/* The marker would have said so; see crdt/marker.c. */
static void test_forgot__an_insert_begins_a_new_life(void **state)
{
    world_store x;
    uint64_t reaped = 0;
    int64_t at = INT64_MIN;
    store_row row;
    tako_slice id;

    (void)state;
    world_begin(&x, 4);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_leave(x.s, x.coll, id, TAKO_SLICE_NONE, &x.w.e));
    must(&x.w,
         store_markers_reap(x.s, x.coll, 1000, 100, &at, &reaped, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":2}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_int_equal(crdt_meta_generation(row.meta), 3);
    put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{\"a\":2}");
    must(&x.w, store_get(x.c, x.coll, id_at(&x.w, 2), &row));
    assert_int_equal(crdt_meta_generation(row.meta), 1);
    world_end(&x);
}

static void test_forgot__is_bounded(void **state)
{
    world_store x;
    crdt_actor before;
    crdt_doc *d;
    crdt_dot dot;
    tako_arena a;

    (void)state;
    world_begin(&x, 5);
    a = tako_arena_on(&x.w.t.env);
    before = next_actor(&x.w, x.s);
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_dot(x.s, &dot, &x.w.e));
    must(&x.w, crdt_doc_new(&a, &d));
    must(&x.w, crdt_insert(d, dot, tako_slice_of("\xa0", 1)));
    for (uint64_t i = 0; i < TAKO_FORGOT_MAX; i++)
        must(&x.w, forgot_put(x.s, x.coll, id_at(&x.w, i), d, &x.w.e));
    assert_false(x.s->txn.retired);
    must(&x.w, forgot_put(x.s, x.coll, id_at(&x.w, 0), d, &x.w.e)); /* again */
    assert_false(x.s->txn.retired);
    must(&x.w,
         forgot_put(x.s, x.coll, id_at(&x.w, TAKO_FORGOT_MAX), d, &x.w.e));
    assert_true(x.s->txn.retired);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(is_new_actor(&x.w, x.s, before));
    must(&x.w, store_begin(x.s, &x.w.e));
    for (uint64_t i = 0; i < 3; i++) {
        bool has;

        must(&x.w, forgot_has(x.s, x.coll, id_at(&x.w, i), &has, &x.w.e));
        assert_false(has);
    }
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    tako_arena_fini(&a);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forgot__who_claims_too_much_writes_no_more),
        cmocka_unit_test(
            test_forgot__a_life_that_remembers_no_more_is_no_claim),
        cmocka_unit_test(test_forgot__an_old_event_in_a_new_life_is_ours),
        cmocka_unit_test(test_forgot__what_comes_back_whole_is_no_claim),
        cmocka_unit_test(test_forgot__an_insert_begins_a_new_life),
        cmocka_unit_test(test_forgot__is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
