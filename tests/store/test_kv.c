// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static void test_kv__keeps_joins_and_rolls_back(void **state)
{
    world_store x;
    test_world *w = &x.w;
    tako_buf b;

    (void)state;
    world_begin(&x, 1);
    b = tako_buf_on(&w->t.env);
    assert_int_equal(store_kv_get(x.c, "k", &b), TAKO_NOTFOUND);
    must(w, store_kv_put(x.s, "k", tako_slice_str("one")));
    must(w, store_begin(x.s, &w->e));
    must(w, store_kv_put(x.s, "k", tako_slice_str("two")));
    must(w, store_kv_put(x.s, "empty", TAKO_SLICE_NONE));
    store_rollback(x.s);
    must(w, store_kv_get(x.c, "k", &b));
    assert_true(tako_slice_eq(tako_buf_slice(&b), tako_slice_str("one")));
    must(w, store_begin(x.s, &w->e));
    must(w, store_kv_put(x.s, "k", tako_slice_str("two")));
    must(w, store_kv_put(x.s, "empty", TAKO_SLICE_NONE));
    must(w, store_commit(x.s, NULL, &w->e));
    store_close(x.s);
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    tako_buf_reset(&b);
    must(w, store_kv_get(x.c, "k", &b));
    must(w, store_kv_get(x.c, "empty", &b)); /* appends nothing */
    assert_true(tako_slice_eq(tako_buf_slice(&b), tako_slice_str("two")));
    assert_int_equal(store_kv_get(x.c, "K", &b), TAKO_NOTFOUND);
    tako_buf_fini(&b);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv__keeps_joins_and_rolls_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
