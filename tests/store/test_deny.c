// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/deaths.h"

static store_denial deny(world_store *x, tako_slice id, crdt_dot known)
{
    store_denial out;

    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_deny(x->s, x->coll, id, known, &out, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    return out;
}

/* Our last event, as whoever has all before it knows it. */
static crdt_dot before_last(world_store *x)
{
    crdt_dot dot;

    must(&x->w, store_own_last(x->c, &dot));
    dot.hlc--;
    return dot;
}

typedef struct entry {
    unsigned count;
    store_why why;
    size_t body;
} entry;

static bool see(void *ctx, const store_quarantined *q)
{
    entry *e = ctx;

    e->count++;
    e->why = q->why;
    e->body = q->body.len;
    return true;
}

static entry quarantine_of(world_store *x)
{
    entry out = { 0, STORE_WHY_DEAD, 0 };

    must(&x->w, store_quarantine_each(x->c, see, &out, &x->w.e));
    return out;
}

static uint64_t sound(world_store *x)
{
    uint64_t findings;

    must(&x->w, store_check(x->c, NULL, NULL, &findings, &x->w.e));
    return findings;
}

static void test_deny__lets_go_without_a_trace(void **state)
{
    world_store x;
    store_change change;
    store_denial out;
    store_row row;
    tako_slice id;

    (void)state;
    world_begin(&x, 1);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    out = deny(&x, id, before_last(&x));
    assert_true(out.removed && !out.others);
    assert_int_equal(store_change_count(x.s), 1);
    store_change_at(x.s, 0, &change);
    assert_true(change.alive_before && !change.alive);
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_true(store_row_is_denied(&row) && !store_row_is_marker(&row));
    assert_int_equal(quarantine_of(&x).count, 1);
    assert_int_equal(quarantine_of(&x).why, STORE_WHY_DENIED);
    assert_true(quarantine_of(&x).body > 0);
    assert_false(deny(&x, id, before_last(&x)).removed);
    assert_int_equal(sound(&x), 0);
    /* a new one begins as if there had been none */
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":2}");
    must(&x.w, store_get(x.c, x.coll, id, &row));
    assert_int_equal(crdt_meta_generation(row.meta), 1);
    assert_false(store_row_is_denied(&row));
    world_end(&x);
}

static void test_deny__what_is_known_there_stays(void **state)
{
    world_store x;
    crdt_dot last, other;
    tako_slice id;

    (void)state;
    world_begin(&x, 2);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    must(&x.w, store_own_last(x.c, &last));
    assert_false(deny(&x, id, last).removed);
    other = (crdt_dot){ { { 9 } }, 0 }; /* no name of ours */
    assert_false(deny(&x, id, other).removed);
    assert_false(deny(&x, id_at(&x.w, 2), before_last(&x)).removed);
    assert_int_equal(quarantine_of(&x).count, 0);
    world_end(&x);
}

static void test_deny__a_deletion_has_nothing_to_show(void **state)
{
    world_store x;
    crdt_dot inserted;
    tako_slice id;

    (void)state;
    world_begin(&x, 3);
    id = id_at(&x.w, 1);
    put_commit(&x.w, x.s, x.coll, id, "{\"a\":1}");
    must(&x.w, store_own_last(x.c, &inserted));
    must(&x.w, store_begin(x.s, &x.w.e));
    delete_one(&x.w, x.s, x.coll, id);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_true(deny(&x, id, inserted).removed);
    assert_int_equal(quarantine_of(&x).count, 1);
    assert_int_equal(quarantine_of(&x).body, 0);
    assert_int_equal(sound(&x), 0);
    world_end(&x);
}

/* What others wrote is told, and a state of theirs is taken as by a newcomer,
 * under the same actor. */
static void test_deny__what_others_have_comes_back(void **state)
{
    world_store x;
    store *far;
    store_denial out;
    crdt_actor actor;
    tako_slice id, meta, body;
    uint32_t coll;
    store_row row;

    (void)state;
    world_begin(&x, 4);
    far = world_open(&x.w, "far");
    coll = coll_of(&x.w, far, "orders");
    id = id_at(&x.w, 1);
    put_commit(&x.w, far, coll, id, "{\"a\":1}");
    must(&x.w, store_get(store_writer(far), coll, id, &row));
    meta = tako_arena_copy(&x.w.arena, row.meta);
    body = tako_arena_copy(&x.w.arena, row.body);
    for (int i = 0; i < 2; i++) {
        must(&x.w, store_begin(x.s, &x.w.e));
        must(&x.w, store_merge(x.s, x.coll, id, meta, body, NULL, &x.w.e));
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        must(&x.w, store_get(x.c, x.coll, id, &row));
        assert_true(tako_slice_eq(row.meta, meta));
        actor = store_actor(x.s);
        must(&x.w, store_begin(x.s, &x.w.e));
        set_one(&x.w, x.s, x.coll, id, "b", "2");
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        assert_int_equal(crdt_actor_cmp(actor, store_actor(x.s)), 0);
        out = deny(&x, id, before_last(&x));
        assert_true(out.removed && out.others);
    }
    assert_int_equal(quarantine_of(&x).count, 2);
    assert_int_equal(sound(&x), 0);
    store_close(far);
    world_end(&x);
}

static size_t names(world_store *x)
{
    tako_buf out = tako_buf_on(&x->w.t.env);
    size_t count;

    must(&x->w, store_names(x->c, &out, &x->w.e));
    count = out.len / 16;
    tako_buf_fini(&out);
    return count;
}

/* Who could write and may no more is another; its names from then on are told,
 * those before are not. */
static void test_deny__who_may_no_more_is_another(void **state)
{
    world_store x;
    crdt_actor actor;

    (void)state;
    world_begin(&x, 5);
    actor = store_actor(x.s);
    must(&x.w, store_rights(x.s, false, &x.w.e));
    assert_int_equal(crdt_actor_cmp(actor, store_actor(x.s)), 0);
    must(&x.w, store_renew_actor(x.s, &x.w.e));
    assert_int_equal(names(&x), 1);
    must(&x.w, store_rights(x.s, true, &x.w.e));
    must(&x.w, store_rights(x.s, true, &x.w.e));
    actor = store_actor(x.s);
    must(&x.w, store_rights(x.s, false, &x.w.e));
    assert_true(crdt_actor_cmp(actor, store_actor(x.s)) != 0);
    assert_int_equal(names(&x), 0);
    actor = store_actor(x.s);
    must(&x.w, store_rights(x.s, false, &x.w.e));
    assert_int_equal(crdt_actor_cmp(actor, store_actor(x.s)), 0);
    must(&x.w, store_renew_actor(x.s, &x.w.e));
    assert_int_equal(names(&x), 1);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deny__lets_go_without_a_trace),
        cmocka_unit_test(test_deny__what_is_known_there_stays),
        cmocka_unit_test(test_deny__a_deletion_has_nothing_to_show),
        cmocka_unit_test(test_deny__what_others_have_comes_back),
        cmocka_unit_test(test_deny__who_may_no_more_is_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
