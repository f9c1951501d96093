// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include "support/test_env.h"

#include <string.h>

static void test_text__finds_where_a_statement_ends(void **state)
{
    static const struct {
        const char *text;
        int end; /* -1: it may go on */
    } rows[] = {
        { "", -1 },
        { "a", -1 },
        { "a;", 2 },
        { "a;b;", 2 },
        { ";", 1 },
        { "'a;b';", 6 },
        { "\"a;b\";", 6 },
        { "`a;b`;", 6 },
        { "'a\\';';", 7 },
        { "`a\\`;", 5 }, /* no escapes inside backticks */
        { "'it''s; '';", -1 },
        { "'a;", -1 },
        { "-- a;b\n;", 8 },
        { "-- a;b", -1 },
        { "/* a;b */;", 10 },
        { "/* a;b * / ;", -1 },
        { "/*/;*/;", 7 },
        { "a - b;", 6 },
        { "a / b;", 6 },
        { "'\\", -1 },
        { "/*", -1 },
        { "-", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t end = 0;
        bool found = text_statement_end(tako_slice_str(rows[i].text), &end);

        if (found != (rows[i].end >= 0) || (found && (int)end != rows[i].end))
            fail_msg("%s: %d %zu", rows[i].text, found, end);
    }
}

static void test_text__knows_what_means_nothing(void **state)
{
    static const char *const blank[] = { "",       " \t\r\n", ";",
                                         "; ;\n;", "-- a",    "/* a */ -- b",
                                         "/* a",   "-- a\n;" };
    static const char *const full[] = {
        "a", "-", "/", "'", "-- a\nb", "/* */x"
    };

    (void)state;
    for (size_t i = 0; i < sizeof blank / sizeof blank[0]; i++)
        assert_true(text_is_blank(tako_slice_str(blank[i])));
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++)
        assert_false(text_is_blank(tako_slice_str(full[i])));
}

static void test_text__takes_one_statement(void **state)
{
    static const struct {
        const char *text, *part; /* part NULL: it is one */
    } rows[] = {
        { "a", NULL },
        { "a;", NULL },
        { " a ; -- b\n; /* c */", NULL },
        { "", "no statement" },
        { ";;", "no statement" },
        { "a; b", "line 1 column 4" },
        { "a;\n\n  b;", "line 3 column 3" },
        { "'\xC3\xA9';b", "line 1 column 5" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_errbuf e = { "" };
        tako_err err = text_one_statement(tako_slice_str(rows[i].text), &e);

        assert_int_equal(err, rows[i].part == NULL ? TAKO_OK : TAKO_INVALID);
        if (rows[i].part != NULL && strstr(e.text, rows[i].part) == NULL)
            fail_msg("%s: %s", rows[i].text, e.text);
    }
}

static void test_text__counts_lines_and_characters(void **state)
{
    static const char text[] = "ab\n\xC3\xA9\xE2\x82\xAC"
                               "c\n";
    static const struct {
        size_t offset;
        unsigned line, column;
    } rows[] = { { 0, 1, 1 }, { 2, 1, 3 }, { 3, 2, 1 },  { 5, 2, 2 },
                 { 8, 2, 3 }, { 9, 2, 4 }, { 10, 3, 1 }, { 99, 3, 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned line, column;

        text_place(tako_slice_str(text), rows[i].offset, &line, &column);
        assert_int_equal(line, rows[i].line);
        assert_int_equal(column, rows[i].column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__finds_where_a_statement_ends),
        cmocka_unit_test(test_text__knows_what_means_nothing),
        cmocka_unit_test(test_text__takes_one_statement),
        cmocka_unit_test(test_text__counts_lines_and_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
