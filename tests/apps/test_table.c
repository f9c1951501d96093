// SPDX-License-Identifier: Apache-2.0
#include "print.h"

#include "support/test_env.h"
#include "support_capture.h"

#include <string.h>

/* Prints rows, JSON texts ending in NULL, as a table into c->text. */
static const char *print(test_env *t, const char *const *rows,
                         const char *const *columns, size_t count, capture *c)
{
    table *out = NULL;

    capture_begin(c, stdout);
    assert_int_equal(table_new(&t->env, &out), TAKO_OK);
    if (columns != NULL)
        table_columns(out, columns, count);
    for (; *rows != NULL; rows++)
        assert_int_equal(table_row(out, tako_slice_str(*rows)), TAKO_OK);
    assert_int_equal(table_flush(out), TAKO_OK);
    table_free(out);
    return capture_end(c);
}

static void test_table__columns_are_the_keys_as_they_come(void **state)
{
    static const char *const rows[] = {
        "{\"a\":1,\"_id\":\"x\"}",
        "{\"_id\":2,\"bb\":[true,null]}",
        "{\"a\":\"In\xC3\xA9s\",\"_id\":\"long one\"}",
        NULL,
    };
    test_env t;
    capture c;

    (void)state;
    test_env_init(&t, 1);
    assert_string_equal(print(&t, rows, NULL, 0, &c),
                        "_id       a     bb\n"
                        "--------  ----  -----------\n"
                        "x         1     \n"
                        "2               [true,null]\n"
                        "long one  In\xC3\xA9s  \n");
    test_env_check_empty(&t);
}

static void test_table__shows_the_columns_asked_for(void **state)
{
    static const char *const rows[] = { "{\"a\":1,\"b\":2,\"c\":3}", NULL };
    static const char *const columns[] = { "c", "d", "a" };
    test_env t;
    capture c;

    (void)state;
    test_env_init(&t, 1);
    assert_string_equal(print(&t, rows, columns, 3, &c),
                        "c  d  a\n-  -  -\n3     1\n");
}

static void test_table__prints_nothing_of_nothing(void **state)
{
    static const char *const rows[] = { NULL };
    test_env t;
    capture c;

    (void)state;
    test_env_init(&t, 1);
    assert_string_equal(print(&t, rows, NULL, 0, &c), "");
}

static void test_table__cuts_cells_and_keeps_to_one_line(void **state)
{
    char row[512], cut[512], shown[1024];
    const char *rows[] = { row, NULL };
    test_env t;
    capture c;

    (void)state;
    test_env_init(&t, 1);
    (void)snprintf(row, sizeof row, "{\"a\":\"x\\ty\\nz\\u0007\"}");
    assert_string_equal(print(&t, rows, NULL, 0, &c), "a\n------\nx y z \n");
    row[0] = cut[0] = '\0';
    for (size_t i = 0; i < TABLE_CELL_MAX; i++) {
        (void)strcat(row, "\xC3\xA9"); /* counted as characters, not bytes */
        (void)strcat(cut, "\xC3\xA9");
    }
    (void)snprintf(shown, sizeof shown, "%s", cut);
    (void)snprintf(row, sizeof row, "{\"a\":\"%.300s\"}", shown);
    assert_non_null(strstr(print(&t, rows, NULL, 0, &c), cut));
    assert_null(strstr(c.text, "\xE2\x80\xA6"));
    (void)snprintf(row, sizeof row, "{\"a\":\"%.300s!\"}", shown);
    (void)strcat(cut, "\xE2\x80\xA6\n");
    assert_non_null(strstr(print(&t, rows, NULL, 0, &c), cut));
}

static void test_table__a_long_result_is_several_tables(void **state)
{
    test_env t;
    capture c;
    table *out = NULL;
    size_t heads = 0, lines = 0;

    (void)state;
    test_env_init(&t, 1);
    capture_begin(&c, stdout);
    assert_int_equal(table_new(&t.env, &out), TAKO_OK);
    for (int i = 0; i < 2500; i++)
        assert_int_equal(table_row(out, tako_slice_str("{\"k\":1}")), TAKO_OK);
    assert_int_equal(table_flush(out), TAKO_OK);
    table_free(out);
    (void)capture_end(&c);
    for (const char *p = c.text; *p != '\0'; p++) {
        heads += *p == 'k';
        lines += *p == '\n';
    }
    assert_int_equal(heads, 3);
    assert_int_equal(lines, 2500 + 3 * 2);
    test_env_check_empty(&t);
}

static void test_table__has_room_for_so_many_columns(void **state)
{
    char row[2048] = "{";
    const char *rows[] = { row, NULL };
    test_env t;
    capture c;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < TABLE_COLUMNS_MAX + 5; i++) {
        size_t at = strlen(row);

        (void)snprintf(row + at, sizeof row - at, "%s\"k%02zu\":1",
                       i > 0 ? "," : "", i);
    }
    (void)strcat(row, "}");
    assert_non_null(strstr(print(&t, rows, NULL, 0, &c), "k63\n"));
    assert_null(strstr(c.text, "k64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__columns_are_the_keys_as_they_come),
        cmocka_unit_test(test_table__shows_the_columns_asked_for),
        cmocka_unit_test(test_table__prints_nothing_of_nothing),
        cmocka_unit_test(test_table__cuts_cells_and_keeps_to_one_line),
        cmocka_unit_test(test_table__a_long_result_is_several_tables),
        cmocka_unit_test(test_table__has_room_for_so_many_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
