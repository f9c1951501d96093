// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"

#define MANY 5000u /* rows: well over API_RESULT_BYTES_UPFRONT */

static tako_result *all_of(tako_db *db)
{
    tako_result *r = NULL;

    db_ok(db, tako_execute(db, "SELECT * FROM c ORDER BY n", NULL, &r),
          "select");
    return r;
}

/* How many rows, checking that they come in order. */
static unsigned count_rows(tako_result *r)
{
    unsigned rows = 0;

    while (tako_result_next(r) == TAKO_OK) {
        const void *cbor = NULL;
        size_t n = 0;
        tako_slice at;
        cbor_item item;
        tako_reader in;

        assert_int_equal(tako_result_cbor(r, &cbor, &n), TAKO_OK);
        at = cbor_map_get(tako_slice_of(cbor, n), tako_slice_str("n"));
        in = tako_reader_of(at);
        assert_true(cbor_read(&in, &item));
        assert_int_equal(item.integer, rows);
        rows++;
    }
    return rows;
}

static unsigned readers_out(tako_db *db)
{
    return db->readers.open_count - db->readers.idle_count;
}

static void test_result__reads_a_small_one_at_once(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r;

    db_fill(db, "c", 100);
    r = all_of(db);
    assert_int_equal(readers_out(db), 0);
    db_run(db, "DELETE FROM c", NULL);
    assert_int_equal(count_rows(r), 100);
    assert_int_equal(tako_result_next(r), TAKO_NOTFOUND);
    tako_result_free(r);
    tako_close(db);
}

static void test_result__keeps_a_large_one_on_its_snapshot(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r;

    db_fill(db, "c", MANY);
    r = all_of(db);
    assert_int_equal(readers_out(db), 1);
    db_run(db, "DELETE FROM c", NULL);
    db_expect(db, "SELECT * FROM c", NULL, "[]");
    assert_int_equal(count_rows(r), MANY);
    assert_int_equal(readers_out(db), 0);
    tako_result_free(r);
    tako_close(db);
}

static void test_result__gives_its_reader_back_when_it_is_freed(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r[3];

    db_fill(db, "c", MANY);
    for (size_t i = 0; i < 3; i++) {
        r[i] = all_of(db);
        assert_int_equal(tako_result_next(r[i]), TAKO_OK);
    }
    assert_int_equal(readers_out(db), 3);
    for (size_t i = 0; i < 3; i++)
        tako_result_free(r[i]);
    assert_int_equal(readers_out(db), 0);
    assert_true(db->readers.open_count <= TAKO_READERS_IDLE_MAX);
    tako_close(db);
}

static void test_result__is_busy_when_all_readers_are_out(void **state)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;
    tako_result *r[TAKO_READERS_MAX], *more = NULL;

    o.path = db_path(*state, "a.tako");
    o.busy_wait_ms = 20;
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_OK);
    db_fill(db, "c", MANY);
    for (size_t i = 0; i < TAKO_READERS_MAX; i++)
        r[i] = all_of(db);
    assert_int_equal(tako_execute(db, "SELECT * FROM c", NULL, &more),
                     TAKO_BUSY);
    assert_non_null(strstr(tako_last_error(db), "free"));
    tako_result_free(r[0]);
    r[0] = all_of(db);
    for (size_t i = 0; i < TAKO_READERS_MAX; i++)
        tako_result_free(r[i]);
    tako_close(db);
}

static void test_result__says_misuse(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r = NULL;
    const void *cbor;
    const char *json;
    size_t n;

    db_fill(db, "c", 1);
    r = all_of(db);
    assert_int_equal(tako_result_next(NULL), TAKO_MISUSE);
    /* no current row yet, and after the end */
    assert_int_equal(tako_result_cbor(r, &cbor, &n), TAKO_MISUSE);
    assert_int_equal(tako_result_json(r, &json, &n), TAKO_MISUSE);
    assert_int_equal(tako_result_next(r), TAKO_OK);
    assert_int_equal(tako_result_cbor(r, NULL, &n), TAKO_MISUSE);
    assert_int_equal(tako_result_json(r, &json, NULL), TAKO_OK);
    assert_string_equal(json, "{\"n\":0,\"_id\":0,\"group\":0}");
    assert_int_equal(tako_result_next(r), TAKO_NOTFOUND);
    assert_int_equal(tako_result_cbor(r, &cbor, &n), TAKO_MISUSE);
    assert_string_equal(tako_result_ids_json(r), "[]");
    assert_int_equal(tako_result_mutated(r), 0);
    tako_result_free(r);
    assert_string_equal(tako_result_ids_json(NULL), "[]");
    assert_int_equal(tako_result_mutated(NULL), 0);
    assert_int_equal(tako_result_commit(NULL), 0);
    assert_int_equal(tako_result_has_rows(NULL), 0);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_result__reads_a_small_one_at_once),
        T(test_result__keeps_a_large_one_on_its_snapshot),
        T(test_result__gives_its_reader_back_when_it_is_freed),
        T(test_result__is_busy_when_all_readers_are_out),
        T(test_result__says_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
