// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include <string.h>

#include "support/test_env.h"

static const char *put(test_env *t, tako_buf *out, const char *row,
                       tako_err want)
{
    (void)t;
    tako_buf_reset(out);
    assert_int_equal(tree_put(tako_slice_str(row), out), want);
    return tako_buf_cstr(out);
}

static void test_tree__is_a_line_for_each_operator(void **state)
{
    test_env t;
    tako_buf out;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    assert_string_equal(
        put(&t, &out,
            "{\"sql\":\"SELECT "
            "1\",\"plan\":[{\"op\":\"Or\",\"inputs\":[{\"op\":"
            "\"IndexSearch\",\"collection\":\"orders\",\"alias\":\"o\","
            "\"index\":\"by_status\",\"on\":\"status = ?\",\"documents\":2},"
            "{\"op\":\"Scan\",\"collection\":\"menu\"}]},{\"op\":\"Sort\","
            "\"by\":\"order by\"}],\"rows\":2,\"run_ms\":0}",
            TAKO_OK),
        "├─ Or\n"
        "│  ├─ IndexSearch orders AS o by by_status: status = ?  -- documents "
        "2\n"
        "│  └─ Scan menu\n"
        "└─ Sort for order by\n"
        "rows 2, run ms 0\n"
        "SQL: SELECT 1\n");
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

static void test_tree__leaves_other_rows_alone(void **state)
{
    static const char *const rows[] = {
        "{\"plan\":[]}", /* a field of some document */
        "{\"plan\":7,\"sql\":\"x\"}",
        "{\"sql\":\"x\"}",
        "[1]",
        "3",
    };
    test_env t;
    tako_buf out;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(put(&t, &out, rows[i], TAKO_NOTFOUND), "");
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__is_a_line_for_each_operator),
        cmocka_unit_test(test_tree__leaves_other_rows_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
