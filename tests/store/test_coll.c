// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static void test_coll__names_follow_the_rules(void **state)
{
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        { "a", true },           { "orders", true },
        { "caf\xc3\xa9", true }, { "with space", true },
        { "quote\"'`", true },   { "c1", true },
        { "feed", true },        { "", false },
        { "a\nb", false },       { "a\x7f", false },
        { "system:x", false },   { "system", true },
        { "bad\xff", false },    { "c1\xc2\x85", false },
    };
    world_store x;
    uint32_t coll;
    char big[TAKO_NAME_BYTES_MAX + 2];

    (void)state;
    world_begin(&x, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(
            store_coll_create(x.s, tako_slice_str(rows[i].name), &coll, &x.w.e),
            rows[i].ok ? TAKO_OK : TAKO_INVALID);
    memset(big, 'x', sizeof big);
    for (size_t n = TAKO_NAME_BYTES_MAX; n < TAKO_NAME_BYTES_MAX + 2; n++)
        assert_int_equal(
            store_coll_create(x.s, tako_slice_of(big, n), &coll, &x.w.e),
            n == TAKO_NAME_BYTES_MAX ? TAKO_OK : TAKO_INVALID);
    world_end(&x);
}

static void test_coll__numbers_stay(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *r = NULL;
    uint32_t a, b, found = 0;

    (void)state;
    world_begin(&x, 2);
    a = coll_of(w, x.s, "a");
    must(w, store_reader_open(x.s, &r, &w->e));
    b = coll_of(w, x.s, "b"); /* after the reader was opened */
    assert_int_equal(coll_of(w, x.s, "a"), a);
    must(w, store_coll_find(r, tako_slice_str("b"), &found));
    assert_int_equal(found, b);
    assert_true(tako_slice_eq(store_coll_name(r, a), tako_slice_str("a")));
    assert_int_equal(store_coll_max(r), b);
    assert_int_equal(store_coll_name(r, 77).len, 0);
    assert_int_equal(store_coll_name(r, 0).len, 0);
    assert_int_equal(store_coll_find(r, tako_slice_str("c"), &found),
                     TAKO_NOTFOUND);
    store_reader_close(r);
    store_close(x.s);
    x.s = world_open(w, "a");
    must(w, store_coll_find(store_writer(x.s), tako_slice_str("b"), &found));
    assert_int_equal(found, b);
    world_end(&x);
}

static void test_coll__rolled_back_ones_are_forgotten(void **state)
{
    world_store x;
    test_world *w = &x.w;
    uint32_t a, b, found = 0;

    (void)state;
    world_begin(&x, 3);
    must(w, store_begin(x.s, &w->e));
    a = coll_of(w, x.s, "a");
    put_one(w, x.s, a, id_at(w, 1), "{}");
    put_one(w, x.s, a, cb(w, "1"), "{}");
    store_rollback(x.s);
    assert_int_equal(store_coll_find(x.c, tako_slice_str("a"), &found),
                     TAKO_NOTFOUND);
    assert_int_equal(store_coll_name(x.c, a).len, 0);
    must(w, store_begin(x.s, &w->e));
    assert_int_equal(store_insert(x.s, a, id_at(w, 1), cb(w, "{}"), &w->e),
                     TAKO_NOTFOUND);
    b = coll_of(w, x.s, "b");
    assert_int_equal(b, a); /* the number is used again, by another name */
    must(w, store_savepoint(x.s, &w->e));
    (void)coll_of(w, x.s, "c");
    store_savepoint_undo(x.s);
    assert_int_equal(store_coll_find(x.c, tako_slice_str("c"), &found),
                     TAKO_NOTFOUND);
    put_one(w, x.s, b, id_at(w, 1), "{\"b\":1}");
    put_one(w, x.s, b, cb(w, "1"), "{\"b\":2}");
    must(w, store_commit(x.s, NULL, &w->e));
    assert_string_equal(show(w, x.c, b, id_at(w, 1)), "{\"b\":1}");
    assert_string_equal(show(w, x.c, b, cb(w, "1")), "{\"b\":2}");
    world_end(&x);
}

static void test_coll__there_is_a_limit(void **state)
{
    world_store x;
    test_world *w = &x.w;
    char name[32];
    uint32_t coll;

    (void)state;
    world_begin(&x, 4);
    must(w, store_begin(x.s, &w->e));
    for (unsigned i = 2; i <= TAKO_COLLECTIONS_MAX; i++) {
        (void)snprintf(name, sizeof name, "coll%u", i);
        assert_int_equal(coll_of(w, x.s, name), i);
    }
    assert_int_equal(
        store_coll_create(x.s, tako_slice_str("more"), &coll, &w->e),
        TAKO_LIMIT);
    must(w, store_commit(x.s, NULL, &w->e));
    for (unsigned i = 1; i <= TAKO_COLLECTIONS_MAX; i += 31) {
        put_commit(w, x.s, i, id_at(w, i), "{}");
        assert_string_equal(show(w, x.c, i, id_at(w, i)), "{}");
    }
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coll__names_follow_the_rules),
        cmocka_unit_test(test_coll__numbers_stay),
        cmocka_unit_test(test_coll__rolled_back_ones_are_forgotten),
        cmocka_unit_test(test_coll__there_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
