// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <string.h>

static void expect(tako_db *db, const char *id, const char *want)
{
    char *json = NULL;

    db_ok(db, tako_get(db, "c", id, &json), id);
    assert_string_equal(json, want);
    tako_free(json);
}

static void test_get__prints_a_document_with_its_id(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *none = NULL;

    db_run(db, "INSERT INTO c DOCUMENTS (:a), (:b), (:c)",
           "{\"a\": {\"_id\": 1, \"name\": \"mole\", \"b\": {\"$bytes\": "
           "\"AAE=\"}},"
           " \"b\": {\"_id\": \"01KAR0JW4033XFZ37Z1HN2HHFF\", \"v\": 1.5},"
           " \"c\": {\"_id\": {\"a\": [true, null]}}}");
    expect(db, "1",
           "{\"_id\":1,\"b\":{\"$bytes\":\"AAE=\"},\"name\":\"mole\"}");
    expect(db, " \"01KAR0JW4033XFZ37Z1HN2HHFF\" ",
           "{\"_id\":\"01KAR0JW4033XFZ37Z1HN2HHFF\",\"v\":1.5}");
    expect(db, "{\"a\":[true,null]}", "{\"_id\":{\"a\":[true,null]}}");
    assert_int_equal(tako_get(db, "c", "2", &none), TAKO_NOTFOUND);
    assert_int_equal(tako_get(db, "none", "1", &none), TAKO_NOTFOUND);
    assert_int_equal(tako_get(db, "c", "1.0", &none), TAKO_INVALID);
    db_run(db, "DELETE FROM c WHERE _id = 1", NULL);
    assert_int_equal(tako_get(db, "c", "1", &none), TAKO_NOTFOUND);
    assert_null(none);
    tako_close(db);
}

static void test_get__says_misuse(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *json = NULL;

    assert_int_equal(tako_get(NULL, "c", "1", &json), TAKO_MISUSE);
    assert_int_equal(tako_get(db, NULL, "1", &json), TAKO_MISUSE);
    assert_int_equal(tako_get(db, "c", NULL, &json), TAKO_MISUSE);
    assert_int_equal(tako_get(db, "c", "1", NULL), TAKO_MISUSE);
    assert_int_equal(tako_get(db, "c", "01H", &json), TAKO_INVALID);
    assert_non_null(strstr(tako_last_error(db), "line 1"));
    assert_int_equal(tako_get(db, "c", "", &json), TAKO_INVALID);
    assert_null(json);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_get__prints_a_document_with_its_id),
        T(test_get__says_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
