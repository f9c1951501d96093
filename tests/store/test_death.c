// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/deaths.h"

static crdt_dot birth_of(world_store *x, tako_slice id)
{
    crdt_dot dot;
    store_row row;

    must(&x->w, store_get(x->c, x->coll, id, &row));
    assert_true(crdt_meta_is_fresh(row.meta, &dot));
    return dot;
}

static store_death die(world_store *x, tako_slice id, crdt_dot birth)
{
    store_death out;

    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_die(x->s, x->coll, id, &birth, 1, 2, &out, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    return out;
}

static uint64_t sound(world_store *x)
{
    uint64_t findings;

    must(&x->w, store_check(x->c, NULL, NULL, &findings, &x->w.e));
    return findings;
}

static void test_death__leaves_a_notice(void **state)
{
    world_store x;
    store_change change;
    store_death death;
    store_facts facts;
    store_row row;
    tako_arena a;
    crdt_dot birth, *births;
    tako_slice id;
    size_t count;

    (void)state;
    world_begin(&x, 1);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    birth = birth_of(&x, id);
    death = die(&x, id, birth);
    assert_true(death.removed && !death.quarantined);
    assert_int_equal(store_change_count(x.s), 1);
    store_change_at(x.s, 0, &change);
    assert_true(change.alive_before && !change.alive);
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_true(store_row_is_notice(&row) && !store_row_is_marker(&row));
    a = tako_arena_on(&x.w.t.env);
    must(&x.w, crdt_notice_read(&a, row.meta, &births, &count));
    assert_int_equal(count, 1);
    assert_memory_equal(births, &birth, sizeof birth);
    tako_arena_fini(&a);
    must(&x.w, store_facts_read(x.c, &facts, &x.w.e));
    assert_int_equal(facts.documents, 0);
    assert_int_equal(facts.evicted, 0);
    assert_int_equal(facts.tombstones, 1);
    assert_int_equal(sound(&x), 0);
    /* again: nothing is left to go; another life is none of its business */
    assert_false(die(&x, id, birth).removed);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":2}");
    assert_false(die(&x, id, birth).removed);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":2}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_int_equal(crdt_meta_generation(row.meta), 3);
    world_end(&x);
}

static crdt_dot present_birth(test_world *w, const store_row *row)
{
    crdt_doc *d;
    bool ended = true;
    size_t i = 0;

    must(w, crdt_doc_decode(&w->arena, row->meta, row->body, &d, &w->e));
    while (ended)
        (void)crdt_doc_birth(d, i++, &ended);
    return crdt_doc_birth(d, i - 1, &ended);
}

/* A copy goes that knew of an earlier life, and that it had ended. Nobody else
 * here knows that: so it is buried, too, and does not come back either. */
static void test_death__buries_the_lives_that_had_ended(void **state)
{
    world_store x;
    crdt_merge_info info;
    tako_slice id, meta, body;
    crdt_dot birth;
    store_row row;
    uint32_t coll;
    store *far;

    (void)state;
    world_begin(&x, 5);
    far = world_open(&x.w, "far");
    coll = coll_of(&x.w, far, "orders");
    id = id_at(&x.w, 1);
    put_commit(&x.w, far, coll, id, "{\"a\":1}");
    must(&x.w, store_get(store_writer(far), coll, id, &row));
    meta = tako_arena_copy(&x.w.arena, row.meta);
    body = tako_arena_copy(&x.w.arena, row.body);
    must(&x.w, store_begin(far, &x.w.e));
    delete_one(&x.w, far, coll, id);
    must(&x.w, store_commit(far, NULL, &x.w.e));
    put_commit(&x.w, far, coll, id, "{\"a\":2}");
    must(&x.w, store_get(store_writer(far), coll, id, &row));
    birth = present_birth(&x.w, &row);
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_merge(x.s, x.coll, id, row.meta, row.body, &info, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(die(&x, id, birth).removed);
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_merge(x.s, x.coll, id, meta, body, &info, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(info.dead && !info.changed);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    assert_int_equal(sound(&x), 0);
    store_close(far);
    world_end(&x);
}

static void test_death__quarantines_later_changes(void **state)
{
    world_store x;
    store_death death;
    store_facts facts;
    tako_slice id;
    crdt_dot birth;

    (void)state;
    world_begin(&x, 2);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    birth = birth_of(&x, id);
    must(&x.w, store_begin(x.s, &x.w.e));
    set_one(&x.w, x.s, x.coll, id, "b", "2");
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    /* also under an actor that it had before */
    must(&x.w, store_renew_actor(x.s, &x.w.e));
    death = die(&x, id, birth);
    assert_true(death.removed && death.quarantined);
    must(&x.w, store_facts_read(x.c, &facts, &x.w.e));
    assert_int_equal(facts.quarantined, 1);
    must(&x.w, store_quarantine_drop(x.s, 1, &x.w.e));
    must(&x.w, store_facts_read(x.c, &facts, &x.w.e));
    assert_int_equal(facts.quarantined, 0);
    world_end(&x);
}

/* Graves come by themselves: a walk finds what they concern. */
static void test_death__is_found_by_a_sweep(void **state)
{
    world_store x;
    uint32_t died, all = 0, coll;
    bool more = true, fresh;
    crdt_dot birth;
    store_grave g;

    (void)state;
    world_begin(&x, 3);
    must(&x.w, store_begin(x.s, &x.w.e));
    for (uint64_t i = 0; i < 50; i++)
        put_one(&x.w, x.s, x.coll, id_at(&x.w, i), "{\"a\":1}");
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    birth = birth_of(&x, id_at(&x.w, 0));
    must(&x.w, store_begin(x.s, &x.w.e));
    for (uint64_t i = 0; i < 50; i += 2) {
        g = (store_grave){ birth, store_grave_mark(id_at(&x.w, i)) };
        must(&x.w, store_bury(x.s, x.coll, &g, &fresh, &x.w.e));
        assert_true(fresh);
    }
    must(&x.w, store_sweep_begin(x.s, x.coll, &x.w.e));
    must(&x.w, store_sweep(x.s, x.coll, 7, &died, &more, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(more && died >= 3 && died <= 4);
    all += died;
    /* it goes on after a restart */
    store_close(x.s);
    x.s = world_open(&x.w, "a");
    x.c = store_writer(x.s);
    while (more) {
        must(&x.w, store_sweep_due(x.s, &coll, &x.w.e));
        assert_int_equal(coll, x.coll);
        must(&x.w, store_begin(x.s, &x.w.e));
        must(&x.w, store_sweep(x.s, x.coll, 7, &died, &more, &x.w.e));
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        all += died;
    }
    must(&x.w, store_sweep_due(x.s, &coll, &x.w.e));
    assert_int_equal(coll, 0);
    assert_int_equal(all, 25);
    assert_string_equal(show(&x.w, x.c, x.coll, id_at(&x.w, 1)), "{\"a\":1}");
    assert_int_equal(sound(&x), 0);
    world_end(&x);
}

/* A life that remembers nothing comes over a copy of the one before: that is
 * dead from then on, here too, though its tombstone was never seen. */
static void test_death__of_what_a_merge_leaves_behind(void **state)
{
    tako_slice old_meta, old_body, id;
    crdt_merge_info info;
    world_store x;
    store *far;
    uint32_t coll;
    store_row row;

    (void)state;
    world_begin(&x, 5);
    far = world_open(&x.w, "far");
    coll = coll_of(&x.w, far, "orders");
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    old_meta = tako_arena_copy(&x.w.arena, row.meta);
    old_body = tako_arena_copy(&x.w.arena, row.body);
    must(&x.w, store_begin(far, &x.w.e));
    must(&x.w, store_epoch_raise(far, coll, 2, &x.w.e));
    must(&x.w, store_commit(far, NULL, &x.w.e));
    put_commit(&x.w, far, coll, id, "{\"a\":2}");
    must(&x.w, store_get(store_writer(far), coll, id, &row));
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_merge(x.s, x.coll, id, row.meta, row.body, &info, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":2}");
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_merge(x.s, x.coll, id, old_meta, old_body, &info, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(info.dead && !info.changed);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":2}");
    assert_int_equal(sound(&x), 0);
    store_close(far);
    world_end(&x);
}

/* Every allocation fails once: nothing of it, or all of it. */
static void test_death__survives_every_allocation_failure(void **state)
{
    world_store x;
    store_death death;
    tako_slice id;
    crdt_dot birth;
    tako_err err = TAKO_NOMEM;

    (void)state;
    world_begin(&x, 4);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    birth = birth_of(&x, id);
    for (long nth = 0; err != TAKO_OK; nth++) {
        assert_true(nth < 300);
        x.w.t.fail_after = nth;
        err = store_begin(x.s, &x.w.e);
        if (err == TAKO_OK)
            err = store_die(x.s, x.coll, id, &birth, 1, 2, &death, &x.w.e);
        if (err == TAKO_OK)
            err = store_commit(x.s, NULL, &x.w.e);
        else
            store_rollback(x.s);
        x.w.t.fail_after = -1;
        if (err != TAKO_OK)
            assert_string_equal(show(&x.w, x.c, x.coll, id), "{\"a\":1}");
    }
    assert_true(death.removed);
    assert_string_equal(show(&x.w, x.c, x.coll, id), "-");
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death__leaves_a_notice),
        cmocka_unit_test(test_death__buries_the_lives_that_had_ended),
        cmocka_unit_test(test_death__quarantines_later_changes),
        cmocka_unit_test(test_death__is_found_by_a_sweep),
        cmocka_unit_test(test_death__of_what_a_merge_leaves_behind),
        cmocka_unit_test(test_death__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
