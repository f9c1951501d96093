// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static copied far_state(world_pair *p, tako_slice id)
{
    return state_of(&p->near.w, p->far, p->far_coll, id);
}

static crdt_merge_info merge(world_pair *p, tako_slice id, copied state,
                             bool back)
{
    test_world *w = &p->near.w;
    crdt_merge_info info;

    must(w, store_begin(p->near.s, &w->e));
    must(w, (back ? store_merge_back : store_merge)(p->near.s, p->near.coll, id,
                                                    state.meta, state.body,
                                                    &info, &w->e));
    must(w, store_commit(p->near.s, NULL, &w->e));
    return info;
}

static tako_err evict(world_store *x, tako_slice id, bool force)
{
    tako_err err;

    must(&x->w, store_begin(x->s, &x->w.e));
    err = store_evict(x->s, x->coll, id, force, &x->w.e);
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    return err;
}

static void far_set(world_pair *p, tako_slice id, const char *key,
                    const char *json)
{
    test_world *w = &p->near.w;

    must(w, store_begin(p->far, &w->e));
    set_one(w, p->far, p->far_coll, id, key, json);
    must(w, store_commit(p->far, NULL, &w->e));
}

static void test_evict__leaves_a_marker(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    uint8_t version[16];
    store_change change;
    store_facts facts;
    store_row row;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 1);
    id = id_at(&x->w, 1);
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1}");
    (void)merge(&p, id, far_state(&p, id), false);
    must(&x->w, store_get(x->c, x->coll, id, &row));
    memcpy(version, row.version, 16);
    assert_int_equal(evict(x, id, false), TAKO_OK);
    assert_int_equal(store_change_count(x->s), 1);
    store_change_at(x->s, 0, &change);
    assert_true(change.alive_before && !change.alive);
    must(&x->w, store_get(x->c, x->coll, id, &row));
    assert_int_equal(row.body.len, 0);
    assert_true(store_row_is_marker(&row));
    assert_memory_equal(row.version, version, 16);
    assert_int_equal(evict(x, id, true), TAKO_NOTFOUND); /* again */
    assert_int_equal(evict(x, id_at(&x->w, 2), true), TAKO_NOTFOUND);
    must(&x->w, store_facts_read(x->c, &facts, &x->w.e));
    assert_int_equal(facts.documents, 0);
    assert_int_equal(facts.tombstones, 0);
    assert_int_equal(facts.evicted, 1);
    world_pair_end(&p);
}

/* A marker merges nothing: only a grave can tell an old copy that it is over. */
static void test_evict__buries_the_lives_that_ended(void **state)
{
    world_pair p;
    test_world *w = &p.near.w;
    world_store *x = &p.near;
    crdt_merge_info info;
    crdt_doc *d;
    crdt_dot dot;
    copied old;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 8);
    id = id_at(w, 1);
    put_commit(w, p.far, p.far_coll, id, "{\"a\":1}");
    old = far_state(&p, id);
    must(w, store_begin(p.far, &w->e));
    must(w, store_edit(p.far, p.far_coll, id, &d, &w->e));
    must(w, store_dot(p.far, &dot, &w->e));
    must(w, crdt_delete(d, dot));
    must(w, store_edit_save(p.far, &w->e));
    must(w, store_commit(p.far, NULL, &w->e));
    put_commit(w, p.far, p.far_coll, id, "{\"a\":2}");
    (void)merge(&p, id, far_state(&p, id), false);
    assert_false(merge(&p, id, old, false).dead);
    assert_int_equal(evict(x, id, false), TAKO_OK);
    info = merge(&p, id, old, true);
    assert_true(info.dead && !info.changed);
    assert_int_equal(info.birth_count, 1);
    /* the life that was evicted is not dead */
    assert_false(merge(&p, id, far_state(&p, id), true).dead);
    world_pair_end(&p);
}

static void test_evict__own_changes_need_force(void **state)
{
    world_store x;
    tako_slice id;

    (void)state;
    world_begin(&x, 2);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    assert_int_equal(evict(&x, id, false), TAKO_DENIED);
    /* nor what this file wrote under a former name */
    must(&x.w, store_renew_actor(x.s, &x.w.e));
    assert_int_equal(evict(&x, id, false), TAKO_DENIED);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":1}");
    assert_int_equal(evict(&x, id, true), TAKO_OK);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    world_end(&x);
}

/* Neither the same nor an older state comes back; a newer one does, whole,
 * when it is wanted. */
static void test_evict__only_what_is_newer_comes_back(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    copied old, same, newer;
    crdt_merge_info info;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 3);
    id = cb(&x->w, "\"o1\"");
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1,\"b\":{\"c\":2}}");
    old = far_state(&p, id);
    far_set(&p, id, "a", "2");
    same = far_state(&p, id);
    (void)merge(&p, id, same, false);
    assert_int_equal(evict(x, id, false), TAKO_OK);
    for (int back = 0; back < 2; back++) {
        info = merge(&p, id, old, back);
        assert_false(info.changed || info.evicted);
        info = merge(&p, id, same, back);
        assert_false(info.changed || info.evicted);
        assert_string_equal(show(&x->w, x->c, x->coll, id), "-");
    }
    far_set(&p, id, "a", "3");
    newer = far_state(&p, id);
    info = merge(&p, id, newer, false);
    assert_true(info.evicted && !info.changed);
    assert_string_equal(show(&x->w, x->c, x->coll, id), "-");
    info = merge(&p, id, newer, true);
    assert_true(info.changed);
    assert_string_equal(show(&x->w, x->c, x->coll, id),
                        "{\"a\":3,\"b\":{\"c\":2}}");
    assert_true(tako_slice_eq(far_state(&p, id).meta, newer.meta));
    world_pair_end(&p);
}

static void test_evict__a_delete_is_taken_and_an_older_life_is_not(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    copied first, deleted, second;
    crdt_merge_info info;
    store_row row;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 4);
    id = id_at(&x->w, 1);
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1}");
    (void)merge(&p, id, far_state(&p, id), false);
    far_set(&p, id, "a",
            "2"); /* of the first life, and unknown to the marker */
    first = far_state(&p, id);
    must(&x->w, store_begin(p.far, &x->w.e));
    delete_one(&x->w, p.far, p.far_coll, id);
    must(&x->w, store_commit(p.far, NULL, &x->w.e));
    deleted = far_state(&p, id);
    put_commit(&x->w, p.far, p.far_coll, id, "{\"b\":1}");
    second = far_state(&p, id);

    assert_int_equal(evict(x, id, false), TAKO_OK);
    info = merge(&p, id, deleted, false);
    assert_true(info.changed);
    must(&x->w, store_get(x->c, x->coll, id, &row));
    assert_false(store_row_is_marker(&row));
    assert_true(tako_slice_eq(row.meta, deleted.meta));
    info = merge(&p, id, second, false);
    assert_string_equal(show(&x->w, x->c, x->coll, id), "{\"b\":1}");
    assert_int_equal(evict(x, id, false), TAKO_OK);
    info = merge(&p, id, first, true);
    assert_false(info.changed || info.evicted);
    world_pair_end(&p);
}

/* Nor one of a generation that is over, which the marker never heard of: an
 * INSERT of the first, made while the document had its second. */
static void test_evict__a_lesser_generation_stays_away(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    store *third;
    uint32_t coll;
    crdt_merge_info info;
    copied own;
    store_row row;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 9);
    id = id_at(&x->w, 1);
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1}");
    must(&x->w, store_begin(p.far, &x->w.e));
    delete_one(&x->w, p.far, p.far_coll, id);
    must(&x->w, store_commit(p.far, NULL, &x->w.e));
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":2}");
    (void)merge(&p, id, far_state(&p, id), false);
    assert_int_equal(evict(x, id, false), TAKO_OK);

    third = world_open(&x->w, "third");
    coll = coll_of(&x->w, third, "orders");
    put_commit(&x->w, third, coll, id, "{\"a\":3}");
    must(&x->w, store_get(store_writer(third), coll, id, &row));
    own = (copied){ tako_arena_copy(&x->w.arena, row.meta),
                    tako_arena_copy(&x->w.arena, row.body) };
    info = merge(&p, id, own, true);
    assert_false(info.changed || info.evicted || info.dead);
    must(&x->w, store_get(x->c, x->coll, id, &row));
    assert_true(store_row_is_marker(&row));
    store_close(third);
    world_pair_end(&p);
}

/* A local INSERT begins anew, beside what others have. */
static void test_evict__an_insert_begins_anew(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    crdt_merge_info info;
    crdt_doc *doc;
    store_row row;
    tako_slice id;

    (void)state;
    world_pair_begin(&p, 5);
    id = id_at(&x->w, 1);
    put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1,\"b\":1}");
    (void)merge(&p, id, far_state(&p, id), false);
    assert_int_equal(evict(x, id, false), TAKO_OK);
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_edit(x->s, x->coll, id, &doc, &x->w.e));
    assert_false(crdt_doc_alive(doc));
    assert_int_equal(crdt_doc_context(doc)->count, 0);
    must(&x->w,
         store_insert(x->s, x->coll, id, cb(&x->w, "{\"a\":9}"), &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    must(&x->w, store_get(x->c, x->coll, id, &row));
    assert_int_equal(crdt_meta_generation(row.meta), 1);
    assert_string_equal(show(&x->w, x->c, x->coll, id), "{\"a\":9}");
    info = merge(&p, id, far_state(&p, id), false); /* the old one again */
    assert_true(info.changed && !info.lost);
    assert_string_equal(show(&x->w, x->c, x->coll, id), "{\"a\":9,\"b\":1}");
    world_pair_end(&p);
}

/* Events of ours that are gone here and unknown to what comes back: nothing
 * that we write from then on may claim to have seen them. */
static void
test_evict__an_actor_whose_events_are_gone_writes_no_more(void **state)
{
    world_pair p;
    world_store *x = &p.near;
    crdt_actor first, second;
    crdt_merge_info info;
    tako_slice id;

    (void)state;
    for (int reopen = 0; reopen < 2; reopen++) {
        world_pair_begin(&p, 8);
        id = id_at(&x->w, 1);
        put_commit(&x->w, p.far, p.far_coll, id, "{\"a\":1}");
        (void)merge(&p, id, far_state(&p, id), false);
        must(&x->w, store_begin(x->s, &x->w.e));
        set_one(&x->w, x->s, x->coll, id, "mine", "1");
        must(&x->w, store_commit(x->s, NULL, &x->w.e));
        first = store_actor(x->s);
        assert_int_equal(evict(x, id, true), TAKO_OK);
        far_set(&p, id, "a", "2"); /* without `mine` */
        info = merge(&p, id, far_state(&p, id), true);
        assert_true(info.changed);
        if (reopen == 1) {
            store_close(x->s);
            x->s = world_open(&x->w, "a");
            x->c = store_writer(x->s);
        }
        must(&x->w, store_begin(x->s, &x->w.e));
        set_one(&x->w, x->s, x->coll, id, "b", "1");
        must(&x->w, store_commit(x->s, NULL, &x->w.e));
        second = store_actor(x->s);
        assert_int_not_equal(crdt_actor_cmp(first, second), 0);
        store_close(x->s);
        x->s = world_open(&x->w, "a"); /* once only */
        x->c = store_writer(x->s);
        assert_int_equal(crdt_actor_cmp(store_actor(x->s), second), 0);
        world_pair_end(&p);
    }
}

/* An INSERT where our own events are gone is a new life. */
static void test_evict__an_insert_over_own_events_is_a_new_life(void **state)
{
    world_store x;
    store_row row;
    tako_slice id;

    (void)state;
    world_begin(&x, 9);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    assert_int_equal(evict(&x, id, true), TAKO_OK);
    put_commit(&x.w, x.s, x.coll, id, "{\"b\":1}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_int_equal(crdt_meta_generation(row.meta), 3);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"b\":1}");
    must(&x.w, store_begin(x.s, &x.w.e));
    delete_one(&x.w, x.s, x.coll, id);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_false(store_row_is_marker(&row));
    world_end(&x);
}

/* A savepoint and a rollback undo it; it is there after opening again. */
static void test_evict__is_of_its_transaction(void **state)
{
    world_store x;
    tako_slice id;

    (void)state;
    world_begin(&x, 6);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_savepoint(x.s, &x.w.e));
    must(&x.w, store_evict(x.s, x.coll, id, true, &x.w.e));
    store_savepoint_undo(x.s);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":1}");
    must(&x.w, store_evict(x.s, x.coll, id, true, &x.w.e));
    store_rollback(x.s);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":1}");
    assert_int_equal(evict(&x, id, true), TAKO_OK);
    store_close(x.s);
    x.s = world_open(&x.w, "a");
    x.c = store_writer(x.s);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    world_end(&x);
}

static void test_evict__survives_every_allocation_failure(void **state)
{
    world_store x;
    tako_slice id;
    long n = 0;

    (void)state;
    world_begin(&x, 7);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1,\"b\":{\"c\":[1,2]}}");
    for (;; n++) {
        tako_err err;

        must(&x.w, store_begin(x.s, &x.w.e));
        x.w.t.fail_after = n;
        err = store_evict(x.s, x.coll, id, true, &x.w.e);
        x.w.t.fail_after = -1;
        if (err == TAKO_OK)
            break;
        assert_int_equal(err, TAKO_NOMEM);
        store_rollback(x.s);
        assert_string_equal(show(&x.w, x.c, x.coll, id),
                            "{\"a\":1,\"b\":{\"c\":[1,2]}}");
        assert_true(n < 1000);
    }
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evict__leaves_a_marker),
        cmocka_unit_test(test_evict__buries_the_lives_that_ended),
        cmocka_unit_test(test_evict__own_changes_need_force),
        cmocka_unit_test(test_evict__only_what_is_newer_comes_back),
        cmocka_unit_test(
            test_evict__a_delete_is_taken_and_an_older_life_is_not),
        cmocka_unit_test(test_evict__a_lesser_generation_stays_away),
        cmocka_unit_test(test_evict__an_insert_begins_anew),
        cmocka_unit_test(
            test_evict__an_actor_whose_events_are_gone_writes_no_more),
        cmocka_unit_test(test_evict__an_insert_over_own_events_is_a_new_life),
        cmocka_unit_test(test_evict__is_of_its_transaction),
        cmocka_unit_test(test_evict__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
