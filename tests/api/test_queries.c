// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdio.h>

#include "api/api.h"

static query *take(api_reader *r, const char *text)
{
    tako_errbuf e = { "" };
    query *q = NULL;

    if (api_query_take(&r->queries, r->conn, tako_slice_str(text), &q, &e) !=
        TAKO_OK)
        fail_msg("%s: %s", text, e.text);
    return q;
}

static void test_queries__are_prepared_once(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    query *a, *b;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    a = take(r, "SELECT * FROM c");
    /* one that runs gets a twin, which is not kept */
    b = take(r, "SELECT * FROM c");
    assert_ptr_not_equal(a, b);
    api_query_give(&r->queries, b);
    api_query_give(&r->queries, a);
    assert_ptr_equal(take(r, "SELECT * FROM c"), a);
    api_query_give(&r->queries, a);
    api_query_give(&r->queries, NULL);
    api_reader_give(db, r);
    tako_close(db);
}

static void test_queries__drop_the_least_recently_used(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    query *hot;
    char text[64];

    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    hot = take(r, "SELECT * FROM c");
    api_query_give(&r->queries, hot);
    for (unsigned i = 0; i < 3 * TAKO_QUERIES_CACHED_MAX; i++) {
        (void)snprintf(text, sizeof text, "SELECT * FROM c WHERE n = %u", i);
        api_query_give(&r->queries, take(r, text));
        assert_ptr_equal(take(r, "SELECT * FROM c"), hot);
        api_query_give(&r->queries, hot);
    }
    api_reader_give(db, r);
    tako_close(db);
}

/* More at once than there are places: all work. */
static void test_queries__go_on_when_all_places_run(void **state)
{
    enum { MANY = TAKO_QUERIES_CACHED_MAX + 5 };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    query *q[MANY];
    char text[64];

    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof text, "SELECT * FROM c WHERE n = %u", i);
        q[i] = take(r, text);
    }
    for (unsigned i = 0; i < MANY; i++)
        api_query_give(&r->queries, q[i]);
    api_reader_give(db, r);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_queries__are_prepared_once),
        T(test_queries__drop_the_least_recently_used),
        T(test_queries__go_on_when_all_places_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
