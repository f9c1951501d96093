// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_query.c mirrors src/query/query.c: statements from text to
 * rows. */
#include "support_query.h"

#include <ctype.h>
#include <stdio.h>

#include "query/ast.h"

#include "query/functions.h"

static void test_query__finds_by_id_without_a_scan(void **state)
{
    static const char *const queries[] = {
        "SELECT * FROM c WHERE _id = :x",
        "SELECT * FROM c WHERE _id = 'k3'",
        "SELECT * FROM c WHERE _id IN ('k3', 'k4')",
        "SELECT * FROM c WHERE _id IN :l AND v > 0",
        "SELECT * FROM c USE IDS 'k3', 'k4'",
        "SELECT * FROM c USE IDS LIST :l WHERE v = 4",
        "SELECT * FROM c WHERE _id = (SELECT min(x) FROM UNNEST :l AS x)",
        "SELECT * FROM c WHERE _id = lower(:x)",
    };
    test_db *db = *state;
    char text[200];
    const char *plan;

    for (int i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof text,
                       "INSERT INTO c DOCUMENTS ({'_id':'k%d','v':%d}), "
                       "({'v': %d, '_id': '01ARZ3NDEKTSV4RRFFQ69G5F%d0'})",
                       i, i, i, i);
        (void)must(db, text, NULL);
    }
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        plan = plan_of(db, queries[i], "{\"x\":\"k3\",\"l\":[\"k4\"]}");
        if (strstr(plan, "SCAN t0") != NULL)
            fail_msg("%s scans: %s", queries[i], plan);
    }
    expect(db, queries[0], "{\"x\":\"01ARZ3NDEKTSV4RRFFQ69G5F60\"}",
           "{\"v\":6,\"_id\":\"01ARZ3NDEKTSV4RRFFQ69G5F60\"}");
    expect(db, queries[0], "{\"x\":\"k5\"}", "{\"v\":5,\"_id\":\"k5\"}");
    expect(db, queries[0], "{\"x\":5}", "");
    expect(db, "SELECT v FROM c WHERE _id IN :l ORDER BY v",
           "{\"l\":[\"k4\",\"01ARZ3NDEKTSV4RRFFQ69G5F20\",\"no\",9,\"k4\"]}",
           "{\"v\":2} {\"v\":4}");
    expect(db, queries[5], "{\"l\":[\"k4\",\"k5\"]}",
           "{\"v\":4,\"_id\":\"k4\"}");
}

static void test_query__parameters_are_values(void **state)
{
    test_db *db = *state;

    insert_kinds(db);
    expect(db, "SELECT _id FROM p WHERE v = :v", "{\"v\":null}", "");
    expect(db, "SELECT _id FROM p WHERE v = :v", "{\"v\":true}",
           "{\"_id\":\"4\"}");
    expect(db, "SELECT _id FROM p WHERE v IN :v ORDER BY _id",
           "{\"v\":[1,true,null]}", "{\"_id\":\"1\"} {\"_id\":\"4\"}");
    expect(db, "SELECT _id FROM p WHERE v IN :v", "{\"v\":1}", "");
    expect(db, "SELECT :a AS a, :A AS b", "{\"a\":{\"k\":1},\"A\":2}",
           "{\"a\":{\"k\":1},\"b\":2}");
    expect(db, "SELECT :a AS a", NULL,
           "ERROR TAKO_INVALID: the parameter :a has no value");
    expect(db, "SELECT * FROM p LIMIT :a", "{\"a\":-1}",
           "ERROR TAKO_INVALID: the parameter :a of LIMIT must be a whole "
           "number from 0");
}

/* Runs the examples of a page: statements of its ```tql blocks, each ended by
 * its "-- =>" line. All their text is put into `all`. Returns how many. */
static unsigned run_page(test_db *db, const char *path, tako_buf *all)
{
    FILE *f = fopen(path, "r");
    char line[1000], text[4000] = "";
    bool inside = false;
    unsigned seen = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```tql") == 0;
        } else if (inside && strncmp(line, "-- => ", 6) == 0) {
            expect(db, text, "{\"ids\":[\"taco\",\"none\"]}", line + 6);
            tako_put_str(all, text);
            text[0] = '\0';
            seen++;
        } else if (inside) {
            assert_true(strlen(text) + strlen(line) + 2 < sizeof text);
            strcat(strcat(text, line), "\n");
        }
    }
    (void)fclose(f);
    return seen;
}

/* name( in the text, and not as the end of a longer name. */
static bool is_called(const char *text, const char *name)
{
    char call[80];

    (void)snprintf(call, sizeof call, "%s(", name);
    for (const char *at = strstr(text, call); at != NULL;
         at = strstr(at + 1, call)) {
        if (at == text || strchr(" ([,", at[-1]) != NULL)
            return true;
    }
    return false;
}

/* Whether a keyword stands in the text, in capitals and alone. */
static bool is_used(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = text; (at = strstr(at, word)) != NULL; at += n) {
        if ((at == text ||
             !(isalnum((unsigned char)at[-1]) || at[-1] == '_')) &&
            !isalnum((unsigned char)at[n]) && at[n] != '_')
            return true;
    }
    return false;
}

/* Each statement and clause begins with a word of its own, so every word of
 * the language in an example is every statement in one. */
static void test_query__the_examples_of_the_manual_hold(void **state)
{
    test_db *db = *state;
    tako_buf all = tako_buf_on(&db->t.env);
    unsigned missing = 0, names = 0;

    assert_true(run_page(db, TAKO_SOURCE_DIR "/docs/query.md", &all) > 20);
    for (const char *word; (word = query_keyword_at(names)) != NULL; names++) {
        if (!is_used(tako_buf_cstr(&all), word)) {
            print_message("docs/query.md has no example of %s\n", word);
            missing++;
        }
    }
    assert_true(names > 90);
    names = 0;
    tako_buf_reset(&all);
    assert_true(run_page(db, TAKO_SOURCE_DIR "/docs/query_functions.md", &all) >
                30);
    for (const char *name; (name = fn_name(names)) != NULL; names++) {
        if (!is_called(tako_buf_cstr(&all), name)) {
            print_message("docs/query_functions.md has no example of %s\n",
                          name);
            missing++;
        }
    }
    tako_buf_fini(&all);
    assert_true(names > 70);
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_query__finds_by_id_without_a_scan),
        IN_DB(test_query__parameters_are_values),
        IN_DB(test_query__the_examples_of_the_manual_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
