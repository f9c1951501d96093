// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_settings.c mirrors src/query/settings.c and
 * exec_settings.c. */
#include "query/settings.h"

#include "support_query.h"

#define NAMES "SELECT name, value FROM system:settings WHERE value <> `default`"

static void test_settings__are_set_shown_and_reset(void **state)
{
    test_db *db = *state;

    expect(db, "ALTER SYSTEM SET slow_request_ms = 7 * 10", NULL, "0");
    expect(db, "ALTER SYSTEM SET statement_timeout_ms = :t", "{\"t\":250}",
           "0");
    expect(db, NAMES, NULL,
           "{\"name\":\"slow_request_ms\",\"value\":70} "
           "{\"name\":\"statement_timeout_ms\",\"value\":250}");
    assert_non_null(strstr(must(db, "SHOW slow_request_ms", NULL),
                           "\"value\":70,\"default\":500"));
    expect(db, "RESET slow_request_ms", NULL, "0");
    expect(db, NAMES, NULL,
           "{\"name\":\"statement_timeout_ms\",\"value\":250}");
    expect(db, "ALTER SYSTEM SET statement_timeout_ms = DEFAULT", NULL, "0");
    expect(db, NAMES, NULL, "");
    (void)must(db, "ALTER SYSTEM SET slow_request_ms = 1", NULL);
    (void)must(db, "ALTER SYSTEM SET requests_recent_max = 1", NULL);
    expect(db, "RESET ALL", NULL, "0");
    expect(db, NAMES, NULL, "");
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    while ((text = strstr(text, what)) != NULL) {
        n++;
        text++;
    }
    return n;
}

static void test_settings__show_takes_a_pattern(void **state)
{
    test_db *db = *state;

    assert_int_equal(count(must(db, "SHOW ALL", NULL), "\"_id\""), SETTINGS);
    assert_int_equal(
        count(must(db, "SHOW ALL LIKE '%request%'", NULL), "\"_id\""), 2);
    assert_int_equal(
        count(must(db, "SHOW ALL LIKE :p", "{\"p\":\"s%_ms\"}"), "\"_id\""), 2);
    expect(db, "SHOW ALL LIKE 'x%'", NULL, "");
}

static void test_settings__refuse_what_is_no_setting(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "ALTER SYSTEM SET slow_requst_ms = 1",
          "ERROR TAKO_INVALID: line 1 column 18: there is no setting "
          "slow_requst_ms; did you mean slow_request_ms?" },
        { "SHOW nothing_like_it",
          "ERROR TAKO_INVALID: line 1 column 6: there is no setting "
          "nothing_like_it" },
        { "RESET x", "ERROR TAKO_INVALID: line 1 column 7: there is no "
                     "setting x" },
        { "ALTER SYSTEM SET requests_recent_max = -1",
          "ERROR TAKO_INVALID: requests_recent_max is a whole number from 0 "
          "to 10000" },
        { "ALTER SYSTEM SET requests_recent_max = 10001",
          "ERROR TAKO_INVALID: requests_recent_max is a whole number from 0 "
          "to 10000" },
        { "ALTER SYSTEM SET requests_recent_max = '5'",
          "ERROR TAKO_INVALID: requests_recent_max is a whole number from 0 "
          "to 10000" },
        { "ALTER SYSTEM SET requests_recent_max = missing",
          "ERROR TAKO_INVALID: requests_recent_max is a whole number from 0 "
          "to 10000" },
        { "ALTER SYSTEM SET requests_recent_max = x",
          "ERROR TAKO_INVALID: line 1 column 40: there is no document here "
          "whose x could be meant; texts are quoted" },
    };
    test_db *db = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(db, rows[i].text, NULL, rows[i].want);
    expect(db, NAMES, NULL, "");
}

/* In the store, so over a reopening too; undone with its transaction; and what
 * a later version wrote is not believed. */
static void test_settings__are_kept_with_the_database(void **state)
{
    test_db *db = *state;
    query_settings now;
    store_opts o = { 0 };

    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    (void)must(db, "ALTER SYSTEM SET slow_request_ms = 9", NULL);
    store_rollback(db->s);
    expect(db, NAMES, NULL, "");
    (void)must(db, "ALTER SYSTEM SET slow_request_ms = 8", NULL);
    assert_int_equal(store_kv_put(db->s, "setting.result_bytes_max",
                                  cbor_of(db, "\"plenty\"")),
                     TAKO_OK);
    store_close(db->s);

    o.env = &db->t.env;
    o.files = &db->files;
    o.path = db->path;
    o.on_connect = query_register;
    o.on_connect_ctx = &db->t.env;
    assert_int_equal(store_open(&o, &db->s, &db->e), TAKO_OK);
    db->conn = store_writer(db->s);
    assert_int_equal(query_settings_read(&db->t.env, db->conn, &now), TAKO_OK);
    assert_int_equal(now.value[SETTING_SLOW_REQUEST_MS], 8);
    assert_int_equal(now.value[SETTING_RESULT_BYTES_MAX], 256 << 20);
    expect(db, NAMES, NULL, "{\"name\":\"slow_request_ms\",\"value\":8}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_settings__are_set_shown_and_reset),
        IN_DB(test_settings__show_takes_a_pattern),
        IN_DB(test_settings__refuse_what_is_no_setting),
        IN_DB(test_settings__are_kept_with_the_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
