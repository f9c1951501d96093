// SPDX-License-Identifier: Apache-2.0
/* The public header by itself is C99 and C++11. */
#include "support/test_env.h"

#include <stdio.h>
#include <stdlib.h>

static bool have(const char *program)
{
    char command[128];

    (void)snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1",
                   program);
    return system(command) == 0;
}

static void compiles(const char *compiler, const char *language)
{
    char command[640];

    if (!have(compiler))
        skip();
    (void)snprintf(command, sizeof command,
                   "printf '#include <tako/tako.h>\\n"
                   "int main(void) { tako_open_opts o = TAKO_OPEN_OPTS_INIT; "
                   "tako_sync_opts s = TAKO_SYNC_OPTS_INIT; "
                   "return o.size + s.size == 0; }\\n' | "
                   "%s %s -fsyntax-only -Wall -Wextra -Wpedantic -Werror "
                   "-I%s/include -",
                   compiler, language, TAKO_SOURCE_DIR);
    assert_int_equal(system(command), 0);
}

static void test_header__is_c99(void **state)
{
    (void)state;
    compiles("cc", "-xc -std=c99");
}

static void test_header__is_cpp11(void **state)
{
    (void)state;
    compiles("c++", "-xc++ -std=c++11");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header__is_c99),
        cmocka_unit_test(test_header__is_cpp11),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
