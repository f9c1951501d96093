// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static crdt_dot commit_one(world_store *x, uint64_t id, const char *key,
                           const char *json)
{
    test_world *w = &x->w;
    crdt_dot dot;

    w->t.wall_ms++;
    must(w, store_begin(x->s, &w->e));
    if (key == NULL)
        put_one(w, x->s, x->coll, id_at(w, id), json);
    else
        set_one(w, x->s, x->coll, id_at(w, id), key, json);
    must(w, store_dot(x->s, &dot, &w->e));
    must(w, store_commit(x->s, NULL, &w->e));
    return dot;
}

/* The file as it is on disk now comes back later, as after a crash. */
static void save(world_store *x)
{
    world_save(&x->w, "a", "img");
}

static void restore(world_store *x)
{
    store_close(x->s);
    world_restore(&x->w, "img", "a");
    x->s = world_open(&x->w, "a");
    x->c = store_writer(x->s);
}

static bool ours(world_store *x, crdt_dot dot)
{
    bool known;

    must(&x->w, store_own_known(x->c, dot.actor, dot.hlc, &known));
    return known;
}

static crdt_context context_of(world_store *x, uint64_t id)
{
    crdt_context c = { NULL, 0, 0 };
    store_row row;

    must(&x->w, store_get(x->c, x->coll, id_at(&x->w, id), &row));
    must(&x->w, crdt_meta_context(&x->w.arena, row.meta, &c));
    return c;
}

static void test_rollback__knows_each_of_its_own_events(void **state)
{
    world_store x;
    crdt_dot dots[6], lost, other;

    (void)state;
    world_begin(&x, 1);
    for (uint64_t i = 0; i < 6; i++)
        dots[i] = commit_one(&x, i, NULL, "{}");
    save(&x);
    lost = commit_one(&x, 7, NULL, "{}");
    assert_true(ours(&x, lost));
    restore(&x);
    for (size_t i = 0; i < 6; i++)
        assert_true(ours(&x, dots[i]));
    assert_false(ours(&x, lost));
    assert_true(store_own_hlc(x.s) == dots[5].hlc);
    /* after writing on it still knows what it did not say */
    other = commit_one(&x, 8, NULL, "{}");
    assert_true(other.hlc > lost.hlc);
    assert_true(ours(&x, other));
    assert_false(ours(&x, lost));
    lost.hlc = UINT64_MAX;
    assert_false(ours(&x, lost));
    lost.hlc = 0;
    assert_true(ours(&x, lost));
    lost = (crdt_dot){ { { 1 } }, 5 }; /* of somebody else: not our concern */
    assert_true(ours(&x, lost));
    world_end(&x);
}

/* A clean end, and what a closed database takes with it, change nothing. */
static void test_rollback__is_not_seen_where_there_is_none(void **state)
{
    world_store x;
    crdt_dot dots[20];

    (void)state;
    world_begin(&x, 2);
    for (uint64_t i = 0; i < 20; i++) {
        dots[i] = commit_one(&x, i, NULL, "{}");
        if (i % 3 == 0) { /* closed */
            store_close(x.s);
            x.s = world_open(&x.w, "a");
        } else if (i % 3 == 1) { /* killed */
            save(&x);
            restore(&x);
        }
        x.c = store_writer(x.s);
        must(&x.w, store_begin(x.s, &x.w.e)); /* a dot that no commit has */
        must(&x.w, store_dot(x.s, &(crdt_dot){ { { 0 } }, 0 }, &x.w.e));
        store_rollback(x.s);
        for (uint64_t k = 0; k <= i; k++)
            assert_true(ours(&x, dots[k]));
    }
    world_end(&x);
}

static void test_rollback__renames_what_nobody_can_have(void **state)
{
    world_store x;
    crdt_dot before, lost, since;
    crdt_context c;
    uint64_t lsn, redotted;
    size_t count;

    (void)state;
    world_begin(&x, 3);
    before = commit_one(&x, 1, NULL, "{\"a\":1}");
    (void)commit_one(&x, 2, NULL, "{\"a\":1}");
    before = commit_one(&x, 3, NULL, "{\"a\":1}");
    save(&x);
    lost = commit_one(&x, 1, "f", "1");
    restore(&x);
    since = commit_one(&x, 1, "g", "1");
    since = commit_one(&x, 9, NULL, "{\"new\":1}");
    must(&x.w, store_rolled_back(x.s, lost.hlc, &lsn, &redotted, &x.w.e));
    assert_int_equal(redotted, 2);
    assert_true(lsn == store_lsn(x.s));
    (void)store_changes(x.s, &count);
    assert_int_equal(count, 2);
    assert_int_not_equal(crdt_actor_cmp(store_actor(x.s), lost.actor), 0);

    c = context_of(&x, 1); /* goes back to what it had seen of itself */
    assert_int_equal(c.count, 2);
    assert_true(crdt_context_get(&c, lost.actor) == before.hlc);
    assert_true(crdt_context_get(&c, store_actor(x.s)) < since.hlc);
    c = context_of(&x, 9); /* as if the new one had made it */
    assert_int_equal(c.count, 1);
    assert_true(crdt_context_get(&c, store_actor(x.s)) == since.hlc);
    c = context_of(&x, 2); /* was before */
    assert_int_equal(c.count, 1);
    assert_true(crdt_context_get(&c, lost.actor) != 0);

    /* all of the new actor's events are its own, and later ones later */
    assert_true(ours(&x, (crdt_dot){ store_actor(x.s), since.hlc }));
    assert_true(ours(&x, (crdt_dot){ store_actor(x.s), since.hlc - 5 }));
    assert_false(ours(&x, (crdt_dot){ store_actor(x.s), since.hlc + 5 }));
    before = commit_one(&x, 1, "g", "2");
    assert_true(before.hlc > since.hlc && ours(&x, before));
    store_close(x.s);
    x.s = world_open(&x.w, "a");
    x.c = store_writer(x.s);
    assert_true(ours(&x, (crdt_dot){ store_actor(x.s), since.hlc }));
    assert_true(ours(&x, before));
    {
        uint64_t findings = 1;

        must(&x.w, store_check(x.c, NULL, NULL, &findings, &x.w.e));
        assert_int_equal(findings, 0);
    }
    world_end(&x);
}

/* Renaming an event that another node may have would make it two. */
static void test_rollback__leaves_what_may_have_been_sent(void **state)
{
    world_store x;
    crdt_dot lost, since;
    crdt_context c;
    uint64_t lsn, redotted;

    (void)state;
    world_begin(&x, 4);
    (void)commit_one(&x, 1, NULL, "{\"a\":1}");
    save(&x);
    lost = commit_one(&x, 1, "f", "1");
    restore(&x);
    since = commit_one(&x, 1, "g", "1");
    store_note_sent(x.c, store_lsn(x.s));
    (void)commit_one(&x, 1, "g", "2");
    must(&x.w, store_rolled_back(x.s, lost.hlc, &lsn, &redotted, &x.w.e));
    assert_int_equal(redotted, 0);
    assert_true(lsn == 0);
    assert_int_not_equal(crdt_actor_cmp(store_actor(x.s), lost.actor), 0);
    c = context_of(&x, 1);
    assert_true(crdt_context_get(&c, lost.actor) > since.hlc);
    assert_true(store_own_hlc(x.s) == 0);
    world_end(&x);
}

/* The mark speaks of what was sent, under whichever name. */
static void test_rollback__keeps_the_dirty_mark(void **state)
{
    world_store x;
    crdt_actor renewed;

    (void)state;
    world_begin(&x, 5);
    (void)commit_one(&x, 1, NULL, "{}");
    must(&x.w, store_mark_dirty(x.s));
    must(&x.w, store_renew_actor(x.s, &x.w.e));
    renewed = store_actor(x.s);
    save(&x);
    x.w.machine.boot[0]++;
    restore(&x);
    assert_int_not_equal(crdt_actor_cmp(renewed, store_actor(x.s)), 0);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollback__knows_each_of_its_own_events),
        cmocka_unit_test(test_rollback__is_not_seen_where_there_is_none),
        cmocka_unit_test(test_rollback__renames_what_nobody_can_have),
        cmocka_unit_test(test_rollback__leaves_what_may_have_been_sent),
        cmocka_unit_test(test_rollback__keeps_the_dirty_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
