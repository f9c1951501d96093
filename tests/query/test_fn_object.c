// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_object__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        { "object_keys(o)", "[\"p\",\"z\"]" },
        { "object_values(o)", "[{\"q\":7},1]" },
        { "object_length(o)", "2" },
        { "object_length(i)", "" },
        { "object_size({'a': 1})", "4" },
        { "object_set(o, 'b', 2)", "{\"b\":2,\"p\":{\"q\":7},\"z\":1}" },
        { "object_set(o, 'z', 2)", "{\"p\":{\"q\":7},\"z\":2}" },
        { "object_set(o, 'zz', 2)", "{\"p\":{\"q\":7},\"z\":1,\"zz\":2}" },
        { "object_unset(o, 'p')", "{\"z\":1}" },
        { "object_concat({'a': 1}, {'a': 2, 'b': 3})", "{\"a\":2,\"b\":3}" },
        { "object_rename(o, 'z', 'a')", "{\"a\":1,\"p\":{\"q\":7}}" },
        { "object_rename(o, 'nope', 'a')", "{\"p\":{\"q\":7},\"z\":1}" },
        { "array_length(a)", "5" },
        { "array_length(o)", "" },
        { "array_contains(a, 2.0)", "true" },
        { "array_contains(a, 9)", "false" },
        { "array_contains_null([1, null])", "true" },
        { "serialize_json({'a': [1, 2.0]})", "\"{\\\"a\\\":[1,2.0]}\"" },
        { "deserialize_json('{\"b\": [1]}')", "{\"b\":[1]}" },
        { "deserialize_json('{')", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_object__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
