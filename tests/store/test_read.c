// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static void test_read__scan_gives_every_row_in_order(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_cursor *k = NULL;
    store_row row;
    int64_t last = INT64_MIN, middle = 0;
    size_t n = 0, rest = 0;
    char json[24];

    (void)state;
    world_begin(&x, 1);
    must(w, store_begin(x.s, &w->e));
    for (uint64_t i = 0; i < 50; i++) {
        (void)snprintf(json, sizeof json, "%u", (unsigned)i);
        put_one(w, x.s, x.coll, id_at(w, (i * 37) % 50), "{\"a\":1}");
        put_one(w, x.s, x.coll, cb(w, json), "{\"a\":2}");
    }
    delete_one(w, x.s, x.coll, id_at(w, 9));
    must(w, store_commit(x.s, NULL, &w->e));
    must(w, store_scan(x.c, x.coll, INT64_MIN, &k));
    while (store_scan_next(k, &row) == TAKO_OK) {
        store_row again;

        assert_true(row.row > last);
        last = row.row;
        if (++n == 60)
            middle = row.row;
        assert_true(row.meta.len > 0 && row.lsn == store_lsn(x.s));
        must(w, store_get_row(x.c, x.coll, row.row, &again));
        assert_true(tako_slice_eq(again.id, row.id));
        assert_true(tako_slice_eq(again.body, row.body));
        assert_true(tako_slice_eq(again.meta, row.meta));
        assert_memory_equal(again.version, row.version, 16);
    }
    store_scan_close(k);
    assert_int_equal(n, 100);
    must(w, store_scan(x.c, x.coll, middle, &k));
    while (store_scan_next(k, &row) == TAKO_OK)
        rest++;
    store_scan_close(k);
    assert_int_equal(rest, 40);
    assert_int_equal(store_scan(x.c, 99, INT64_MIN, &k), TAKO_NOTFOUND);
    assert_null(k);
    store_scan_close(NULL);
    world_end(&x);
}

static void test_read__leaves_no_snapshot_behind(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *r = NULL;
    store_row row;
    store_facts f;

    (void)state;
    world_begin(&x, 2);
    put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    must(w, store_reader_open(x.s, &r, &w->e));
    must(w, store_get(r, x.coll, id_at(w, 1), &row));
    assert_int_equal(store_get(r, x.coll, id_at(w, 2), &row), TAKO_NOTFOUND);
    assert_int_equal(store_get(r, x.coll, cb(w, "1"), &row), TAKO_NOTFOUND);
    assert_int_equal(store_get_row(r, x.coll, 5, &row), TAKO_NOTFOUND);
    assert_int_equal(store_get(r, 7, id_at(w, 1), &row), TAKO_NOTFOUND);
    assert_int_equal(store_get(r, x.coll, cb(w, "null"), &row), TAKO_INVALID);
    must(w,
         store_checkpoint(x.s, STORE_FOLD_ALL, &w->e)); /* would be held back */
    must(w, store_facts_read(x.c, &f, &w->e));
    assert_true(f.wal_bytes == 0);
    store_reader_close(r);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read__scan_gives_every_row_in_order),
        cmocka_unit_test(test_read__leaves_no_snapshot_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
