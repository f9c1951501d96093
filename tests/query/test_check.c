// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_check__refuses_what_has_no_meaning(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
#include "checks.inc"
    };
    test_db db;
    int bad = 0;

    (void)state;
    test_db_open(&db, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = run(&db, rows[i].text, "{\"p\":1}");

        if (strcmp(got, rows[i].want) != 0) {
            print_message("%s\n  want %s\n  got  %s\n", rows[i].text,
                          rows[i].want, got);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
    test_db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__refuses_what_has_no_meaning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
