// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

/* CREATE INDEX for a name, as the query layer would write it. */
static const char *sql_of(test_world *w, uint32_t coll, const char *name)
{
    tako_buf b = tako_buf_on(&w->t.env);
    tako_slice out;

    tako_put_str(&b, "CREATE INDEX ");
    store_index_sql_name(coll, tako_slice_str(name), &b);
    tako_put_fmt(&b, " ON c%u(length(body))", coll);
    out = tako_arena_copy(&w->arena, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return (const char *)out.ptr;
}

static tako_err create(world_store *x, const char *name, const char *sql)
{
    return store_index_create(x->s, x->coll, tako_slice_str(name),
                              tako_slice_str("CREATE INDEX ..."), sql, &x->w.e);
}

static size_t count(world_store *x)
{
    store_index *all;
    size_t n = 77;

    must(&x->w, store_index_list(x->c, &x->w.arena, &all, &n));
    return n;
}

static void test_index__is_made_listed_and_dropped(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_index *all;
    size_t n;

    (void)state;
    world_begin(&x, 1);
    put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    must(w, create(&x, "by size\"'", sql_of(w, x.coll, "by size\"'")));
    must(w, create(&x, "b", sql_of(w, x.coll, "b")));
    assert_int_equal(create(&x, "b", sql_of(w, x.coll, "b")), TAKO_EXISTS);
    must(w, store_index_list(x.c, &w->arena, &all, &n));
    assert_int_equal(n, 2);
    assert_true(tako_slice_eq(all[0].name, tako_slice_str("b")));
    assert_true(tako_slice_eq(all[1].name, tako_slice_str("by size\"'")));
    assert_int_equal(all[0].coll, x.coll);
    store_close(x.s);
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    assert_int_equal(count(&x), 2);
    put_commit(w, x.s, x.coll, id_at(w, 2), "{\"a\":1}");
    must(w, store_index_drop(x.s, x.coll, tako_slice_str("b"), &w->e));
    assert_int_equal(store_index_drop(x.s, x.coll, tako_slice_str("b"), &w->e),
                     TAKO_NOTFOUND);
    assert_int_equal(count(&x), 1);
    must(w, create(&x, "b", sql_of(w, x.coll, "b"))); /* the name is free */
    world_end(&x);
}

static void test_index__failures_leave_nothing(void **state)
{
    world_store x;
    test_world *w = &x.w;

    (void)state;
    world_begin(&x, 2);
    assert_int_equal(create(&x, "a", "CREATE INDEX nonsense"), TAKO_INVALID);
    assert_int_equal(create(&x, "a", sql_of(w, x.coll, "other")), TAKO_INVALID);
    assert_int_equal(create(&x, "", sql_of(w, x.coll, "")), TAKO_INVALID);
    assert_int_equal(store_index_create(x.s, 9, tako_slice_str("a"),
                                        TAKO_SLICE_NONE, "", &w->e),
                     TAKO_NOTFOUND);
    assert_int_equal(count(&x), 0);
    /* inside a transaction only the statement fails */
    must(w, store_begin(x.s, &w->e));
    put_one(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    assert_int_equal(create(&x, "a", "CREATE INDEX nonsense"), TAKO_INVALID);
    must(w, create(&x, "a", sql_of(w, x.coll, "a")));
    must(w, store_commit(x.s, NULL, &w->e));
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 1)), "{\"a\":1}");
    assert_int_equal(count(&x), 1);
    must(w, store_begin(x.s, &w->e));
    must(w, create(&x, "b", sql_of(w, x.coll, "b")));
    store_rollback(x.s);
    assert_int_equal(count(&x), 1);
    world_end(&x);
}

static void test_index__there_is_a_limit(void **state)
{
    world_store x;
    char name[16];

    (void)state;
    world_begin(&x, 3);
    for (unsigned i = 0; i <= TAKO_INDEXES_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(create(&x, name, sql_of(&x.w, x.coll, name)),
                         i < TAKO_INDEXES_MAX ? TAKO_OK : TAKO_LIMIT);
    }
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__is_made_listed_and_dropped),
        cmocka_unit_test(test_index__failures_leave_nothing),
        cmocka_unit_test(test_index__there_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
