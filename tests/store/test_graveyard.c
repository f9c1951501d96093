// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/deaths.h"

#define MANY 3000

static void begin(world_store *x)
{
    must(&x->w, store_begin(x->s, &x->w.e));
}

static void commit(world_store *x)
{
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static bool bury(world_store *x, const store_grave *g)
{
    bool fresh;

    must(&x->w, store_bury(x->s, x->coll, g, &fresh, &x->w.e));
    return fresh;
}

static store_yard yard_now(world_store *x)
{
    store_yard y;

    must(&x->w, store_yard_read(x->c, x->coll, &y, &x->w.e));
    return y;
}

/* Through the one thing that asks: a state of that birth. */
static bool is_dead(world_store *x, tako_slice id, crdt_dot dot)
{
    tako_buf meta = tako_buf_on(&x->w.t.env);
    crdt_merge_info info;

    must(&x->w, crdt_fresh_meta(dot, cb(&x->w, "{}"), &meta));
    must(&x->w, store_savepoint(x->s, &x->w.e));
    must(&x->w, store_merge(x->s, x->coll, id, tako_buf_slice(&meta),
                            cb(&x->w, "{}"), &info, &x->w.e));
    store_savepoint_undo(x->s);
    tako_buf_fini(&meta);
    return info.dead;
}

static crdt_dot dot_of(world_store *x, uint64_t actors, uint64_t hlcs)
{
    crdt_dot dot = { .hlc = 1 + test_below(&x->w.t, hlcs) };

    dot.actor.id[15] = (uint8_t)(1 + test_below(&x->w.t, actors));
    return dot;
}

typedef struct tally {
    uint64_t graves, sum, floors;
    store_grave last;
    bool ordered;
} tally;

static void count(void *ctx, const store_grave *g, bool floor)
{
    tally *t = ctx;
    int c = crdt_actor_cmp(t->last.dot.actor, g->dot.actor);

    t->floors += floor;
    if (floor)
        return;
    t->graves++;
    t->sum += store_grave_hash(g);
    t->ordered =
        t->ordered && (c < 0 || (c == 0 && (t->last.dot.hlc < g->dot.hlc ||
                                            (t->last.dot.hlc == g->dot.hlc &&
                                             t->last.mark < g->mark))));
    t->last = *g;
}

static tally all(world_store *x)
{
    tally t = { .ordered = true };

    must(&x->w, store_graves_each(x->c, x->coll, count, &t, &x->w.e));
    return t;
}

/* Against a list, in random order, twice. */
static void test_graveyard__is_a_set(void **state)
{
    static store_grave graves[MANY];
    world_store x;
    store_yard y;
    tally t;
    uint64_t fresh = 0;

    (void)state;
    world_begin(&x, 1);
    for (int turn = 0; turn < 2; turn++) {
        begin(&x);
        for (size_t i = 0; i < MANY; i++) {
            if (turn == 0) {
                graves[i].dot = dot_of(&x, 3, UINT64_C(1) << 40);
                graves[i].mark = 1 + test_below(&x.w.t, 100);
            }
            fresh += bury(&x, &graves[i]);
        }
        commit(&x);
    }
    y = yard_now(&x);
    t = all(&x);
    assert_int_equal(y.graves, fresh);
    assert_int_equal(t.graves, fresh);
    assert_int_equal(t.sum, y.sum);
    assert_true(t.ordered && fresh <= MANY && fresh > MANY - 100);
    world_end(&x);
}

static void test_graveyard__tells_documents_of_one_transaction_apart(void **s)
{
    world_store x;
    crdt_dot dot = { { { 7 } }, 1000 };
    store_grave g = { dot, 0 };

    (void)s;
    world_begin(&x, 2);
    g.mark = store_grave_mark(id_at(&x.w, 1));
    begin(&x);
    assert_false(is_dead(&x, id_at(&x.w, 1), dot));
    assert_true(bury(&x, &g));
    assert_true(is_dead(&x, id_at(&x.w, 1), dot));
    assert_false(is_dead(&x, id_at(&x.w, 2), dot));
    dot.hlc++;
    assert_false(is_dead(&x, id_at(&x.w, 1), dot));
    commit(&x);
    world_end(&x);
}

static void test_graveyard__forgets_what_is_rolled_back(void **state)
{
    world_store x;
    store_grave g = { { { { 7 } }, 1000 }, 0 };

    (void)state;
    world_begin(&x, 3);
    g.mark = store_grave_mark(id_at(&x.w, 1));
    begin(&x);
    assert_true(bury(&x, &g));
    assert_true(is_dead(&x, id_at(&x.w, 1), g.dot));
    must(&x.w, store_epoch_raise(x.s, x.coll, 4, &x.w.e));
    store_rollback(x.s);
    assert_int_equal(yard_now(&x).graves, 0);
    begin(&x);
    assert_false(is_dead(&x, id_at(&x.w, 1), g.dot));
    must(&x.w, store_savepoint(x.s, &x.w.e));
    assert_true(bury(&x, &g));
    store_savepoint_undo(x.s);
    assert_false(is_dead(&x, id_at(&x.w, 1), g.dot));
    put_one(&x.w, x.s, x.coll, id_at(&x.w, 1), "{}");
    commit(&x);
    assert_int_equal(yard_now(&x).epoch, 0);
    world_end(&x);
}

static void test_graveyard__floors_cut(void **state)
{
    world_store x;
    store_grave g = { { { { 7 } }, 0 }, 1 };
    crdt_dot floor = { { { 7 } }, 500 };

    (void)state;
    world_begin(&x, 4);
    begin(&x);
    for (g.dot.hlc = 1; g.dot.hlc <= 1000; g.dot.hlc++)
        assert_true(bury(&x, &g));
    must(&x.w, store_floor_raise(x.s, x.coll, floor, &x.w.e));
    floor.hlc = 400; /* never back */
    must(&x.w, store_floor_raise(x.s, x.coll, floor, &x.w.e));
    g.dot.hlc = 450;
    assert_false(bury(&x, &g));
    commit(&x);
    assert_int_equal(yard_now(&x).graves, 500);
    assert_int_equal(all(&x).graves, 500);
    assert_int_equal(all(&x).floors, 1);
    assert_int_equal(all(&x).sum, yard_now(&x).sum);
    world_end(&x);
}

static void test_graveyard__is_bounded(void **state)
{
    world_store x;
    store_grave g = { { { { 7 } }, 0 }, 0 };
    int64_t bytes;
    sqlite3_stmt *stmt;

    (void)state;
    world_begin(&x, 5);
    begin(&x);
    for (uint64_t i = 1; i <= 120000; i++) {
        g.dot.hlc = i << 20;
        g.mark = test_random(&x.w.t) | 1;
        (void)bury(&x, &g);
    }
    commit(&x);
    assert_int_equal(all(&x).floors, 1);
    assert_int_equal(all(&x).graves, yard_now(&x).graves);
    assert_true(yard_now(&x).graves > 40000);
    stmt = store_sql(x.c, "SELECT total(length(key)+length(dead)) FROM grave",
                     &x.w.e);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    bytes = sqlite3_column_int64(stmt, 0);
    store_done(x.c, stmt);
    assert_true(bytes <= (int64_t)TAKO_GRAVEYARD_BYTES_MAX + 4096);
    print_message("%.1f bytes a grave\n",
                  (double)bytes / (double)yard_now(&x).graves);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graveyard__is_a_set),
        cmocka_unit_test(
            test_graveyard__tells_documents_of_one_transaction_apart),
        cmocka_unit_test(test_graveyard__forgets_what_is_rolled_back),
        cmocka_unit_test(test_graveyard__floors_cut),
        cmocka_unit_test(test_graveyard__is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
