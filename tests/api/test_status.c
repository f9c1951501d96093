// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <string.h>

#include "codec/json.h"
#include "sys/sys.h"

/* The value under `key` of a status, which must be one JSON object. */
static cbor_item value_of(tako_db *db, const char *key)
{
    tako_env env;
    tako_buf cbor;
    tako_errbuf e = { "" };
    cbor_item item = { .kind = CBOR_NULL };
    tako_reader in;
    char *json = NULL;

    sys_env_init(&env);
    cbor = tako_buf_on(&env);
    db_ok(db, tako_status(db, &json), "status");
    if (json_to_cbor(tako_slice_str(json), 16, &cbor, &e) != TAKO_OK)
        fail_msg("%s: %s", e.text, json);
    in = tako_reader_of(
        cbor_map_get(tako_buf_slice(&cbor), tako_slice_str(key)));
    if (!cbor_read(&in, &item))
        fail_msg("no %s in %s", key, json);
    tako_buf_fini(&cbor);
    tako_free(json);
    return item; /* numbers and counts only: strings are gone */
}

static void test_status__counts_what_there_is(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_sub sub;

    assert_int_equal(value_of(db, "documents").integer, 0);
    db_fill(db, "c", 30);
    db_run(db, "DELETE FROM c WHERE n < 10", NULL);
    db_run(db, "INSERT INTO d DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(value_of(db, "documents").integer, 21);
    assert_int_equal(value_of(db, "tombstones").integer, 10);
    assert_int_equal(value_of(db, "quarantine").integer, 0);
    assert_int_equal(value_of(db, "lost").integer, 0);
    assert_int_equal(value_of(db, "collections").integer, 2);
    assert_int_equal(value_of(db, "commit").integer, 3);
    assert_true(value_of(db, "file_bytes").integer > 0);
    assert_false(value_of(db, "syncing").boolean);
    assert_int_equal(value_of(db, "links").count, 0);
    db_ok(db, tako_subscribe(db, "SELECT * FROM c", NULL, &sub), "subscribe");
    assert_int_equal(value_of(db, "subscriptions").count, 1);
    db_ok(db, tako_unsubscribe(db, sub), "unsubscribe");
    assert_int_equal(value_of(db, "subscriptions").count, 0);
    assert_int_equal(tako_status(db, NULL), TAKO_MISUSE);
    assert_int_equal(tako_status(NULL, NULL), TAKO_MISUSE);
    tako_close(db);
}

static void test_collections__lists_names(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *json = NULL;

    db_ok(db, tako_collections(db, &json), "collections");
    assert_string_equal(json, "[]");
    tako_free(json);
    db_run(db, "INSERT INTO b DOCUMENTS ({})", NULL);
    db_run(db, "INSERT INTO `a \"q\"` DOCUMENTS ({})", NULL);
    db_ok(db, tako_collections(db, &json), "collections");
    assert_string_equal(json, "[\"b\",\"a \\\"q\\\"\"]");
    tako_free(json);
    assert_int_equal(tako_collections(db, NULL), TAKO_MISUSE);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_status__counts_what_there_is),
        T(test_collections__lists_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
