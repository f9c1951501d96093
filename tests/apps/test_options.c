// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "support/test_env.h"
#include "support_capture.h"

#include <string.h>

typedef struct wanted {
    bool flag;
    const char *text;
    uint64_t number;
    unsigned choice;
    option_list list;
    const char *operand[2];
    char output[4096]; /* standard output, then standard error */
    int status;
} wanted;

#define ARGS_MAX 16

static const command test_command = { "test", "A [B]", "Tests.",
                                      "  tako test a\n", NULL };

/* Parses the words of a line; words hold no spaces here. */
static wanted parse(const char *line)
{
    static char words[256];
    wanted w = { .number = 7, .choice = 1 };
    const option_spec specs[] = {
        { "flag", OPTION_FLAG, &w.flag, NULL, "a flag" },
        { "text", OPTION_TEXT, &w.text, "TEXT", "a text" },
        { "number", OPTION_NUMBER, &w.number, "N", "a number" },
        { "choice", OPTION_CHOICE, &w.choice, "red|green|blue", "a colour" },
        { "list", OPTION_LIST, &w.list, "ITEM", "many" },
        OPTION_SPEC_END,
    };
    char *argv[ARGS_MAX];
    int argc = 0;
    capture out, err;

    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL;
         word = strtok(NULL, " "))
        argv[argc++] = word;
    capture_begin(&out, stdout);
    capture_begin(&err, stderr);
    w.status = options_parse(&test_command, specs, argc, argv, 1, 2, w.operand);
    (void)capture_end(&err);
    (void)snprintf(w.output, sizeof w.output, "%.2000s%.2000s",
                   capture_end(&out), err.text);
    return w;
}

static void test_options__takes_values_in_both_forms_anywhere(void **state)
{
    static const char *const lines[] = {
        "a b --flag --text t --number 42 --choice blue --list x --list y",
        "--flag a --text=t b --number=42 --choice=blue --list=x --list=y",
        "--list x --choice=blue --flag --number 42 --list y --text t a b",
        "--list x --choice=blue --flag --number 42 --list y --text t -- a b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        wanted w = parse(lines[i]);

        assert_int_equal(w.status, OPTIONS_GO_ON);
        assert_string_equal(w.output, "");
        assert_true(w.flag);
        assert_string_equal(w.text, "t");
        assert_int_equal(w.number, 42);
        assert_int_equal(w.choice, 2);
        assert_int_equal(w.list.count, 2);
        assert_string_equal(w.list.items[0], "x");
        assert_string_equal(w.list.items[1], "y");
        assert_string_equal(w.operand[0], "a");
        assert_string_equal(w.operand[1], "b");
    }
}

static void test_options__leaves_what_is_not_given_alone(void **state)
{
    wanted w = parse("a");

    (void)state;
    assert_int_equal(w.status, OPTIONS_GO_ON);
    assert_false(w.flag);
    assert_null(w.text);
    assert_int_equal(w.number, 7);
    assert_int_equal(w.choice, 1);
    assert_int_equal(w.list.count, 0);
    assert_null(w.operand[1]);
}

static void test_options__values_may_look_like_anything(void **state)
{
    wanted w;

    (void)state;
    w = parse("--text --flag -");
    assert_int_equal(w.status, OPTIONS_GO_ON);
    assert_string_equal(w.text, "--flag");
    assert_string_equal(w.operand[0], "-");
    w = parse("--text= -- --flag");
    assert_int_equal(w.status, OPTIONS_GO_ON);
    assert_string_equal(w.text, "");
    assert_string_equal(w.operand[0], "--flag");
    w = parse("--text=a=b x --number=18446744073709551615");
    assert_string_equal(w.text, "a=b");
    assert_true(w.number == UINT64_MAX);
}

static void test_options__explains_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *part;
    } rows[] = {
        { "", "an argument is missing: tako test A [B]" },
        { "a b c", "too many arguments: c" },
        { "a --flga", "unknown option: --flga; did you mean --flag?" },
        { "a --hlep", "did you mean --help?" },
        { "a --zzzzzzzz", "unknown option: --zzzzzzzz\n" },
        { "a --=", "unknown option: --\n" },
        { "a -f", "options have two dashes: -f" },
        { "a --text", "an option needs a value: --text" },
        { "a --flag=1", "this option takes no value" },
        { "a --number x", "not a number: --number x: N is wanted" },
        { "a --number -1", "not a number" },
        { "a --number 1x", "not a number" },
        { "a --number=", "not a number" },
        { "a --number 18446744073709551616", "not a number" },
        { "a --choice pink", "red|green|blue is wanted" },
        { "a --choice re", "not one of the choices" },
        { "a --choice=", "not one of the choices" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wanted w = parse(rows[i].line);

        assert_int_equal(w.status, STATUS_USAGE);
        if (strstr(w.output, rows[i].part) == NULL)
            fail_msg("%s: %s", rows[i].line, w.output);
        assert_non_null(strstr(w.output, "see: tako test --help"));
    }
}

static void test_options__help_is_made_from_the_table(void **state)
{
    wanted w = parse("--help --nonsense");

    (void)state;
    assert_int_equal(w.status, STATUS_OK);
    assert_string_equal(w.output,
                        "Tests.\n\nusage: tako test A [B] [options]\n\n"
                        "options:\n"
                        "  --flag                     a flag\n"
                        "  --text TEXT                a text\n"
                        "  --number N                 a number\n"
                        "  --choice red|green|blue    a colour\n"
                        "  --list ITEM ...            many\n"
                        "\nexamples:\n  tako test a\n");
}

static void test_options__a_list_has_an_end(void **state)
{
    option_list list = { { NULL }, OPTION_LIST_MAX };
    const option_spec specs[] = {
        { "list", OPTION_LIST, &list, "ITEM", "many" },
        OPTION_SPEC_END,
    };
    char option[] = "--list", value[] = "x";
    char *argv[] = { option, value };
    capture err;

    (void)state;
    capture_begin(&err, stderr);
    assert_int_equal(options_parse(&test_command, specs, 2, argv, 0, 0, NULL),
                     STATUS_USAGE);
    assert_non_null(strstr(capture_end(&err), "too many of one option"));
}

static void test_options__distance_is_an_edit_distance(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        { "", "", 0 },           { "", "abc", 3 },
        { "query", "query", 0 }, { "qery", "query", 1 },
        { "quary", "query", 1 }, { "queryy", "query", 1 },
        { "uqery", "query", 2 }, { "kitten", "sitting", 3 },
        { "abc", "xyz", 3 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(options_distance(rows[i].a, rows[i].b),
                         rows[i].distance);
        assert_int_equal(options_distance(rows[i].b, rows[i].a),
                         rows[i].distance);
    }
    /* names are cut, so that nobody's text costs more than 32 times 32 */
    assert_int_equal(
        options_distance("aaaaaaaaaabbbbbbbbbbccccccccccddX",
                         "aaaaaaaaaabbbbbbbbbbccccccccccddYYYYYYYYYYYY"),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options__takes_values_in_both_forms_anywhere),
        cmocka_unit_test(test_options__leaves_what_is_not_given_alone),
        cmocka_unit_test(test_options__values_may_look_like_anything),
        cmocka_unit_test(test_options__explains_what_is_wrong),
        cmocka_unit_test(test_options__help_is_made_from_the_table),
        cmocka_unit_test(test_options__a_list_has_an_end),
        cmocka_unit_test(test_options__distance_is_an_edit_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
