// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

static void test_fn_request__values_are_those_of_the_table(void **state)
{
    /* test_env's clock stands at 1700000000000. */
    static const expr_row rows[] = {
        { "clock()", "\"2023-11-14T22:13:20.000Z\"" },
        { "clock('number')", "1700000000000" },
        { "clock('date', '+02:00')", "\"2023-11-15\"" },
        { "clock('moon')", "" },
        { "clock(1)", "" },
        { "date_diff(clock(), clock('number'))", "0" },
        { "request_info().engine", "\"tako\"" },
        { "request_info('time')", "1700000000000" },
        { "request_info('version') = request_info().version", "true" },
        { "object_keys(request_info())",
          "[\"time\",\"engine\",\"version\",\"statement\"]" },
        { "request_info('nothing')", "" },
        { "request_info(1)", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
    expect(*state, "SELECT request_info('statement') AS s", NULL,
           "{\"s\":\"SELECT request_info('statement') AS s\"}");
}

static uint64_t running_clock(void *ctx)
{
    return ((test_env *)ctx)->wall_ms++;
}

/* The clock moves each time it is asked, so a second look would show. */
static void test_fn_request__a_statement_has_one_time(void **state)
{
    test_db *db = *state;

    for (int i = 0; i < 5; i++)
        (void)must(db, "INSERT INTO c DOCUMENTS ({'k': 1})", NULL);
    db->t.env.wall_ms = running_clock;
    expect(db,
           "SELECT count(*) AS n FROM c WHERE clock('number') = "
           "date_cast(clock(), 'number') AND clock() = date_cast("
           "request_info('time'))",
           NULL, "{\"n\":5}");
    (void)must(db,
               "INSERT INTO i DOCUMENTS ({'t': clock()}), ({'t': clock()}), "
               "({'t': date_cast(clock('number'))})",
               NULL);
    expect(db, "SELECT count(DISTINCT t) AS n, count(t) AS m FROM i", NULL,
           "{\"m\":3,\"n\":1}");
    (void)must(db, "UPDATE c SET t = clock('number'), u = clock('number')",
               NULL);
    expect(db, "SELECT count(DISTINCT t) AS n FROM c WHERE t = u", NULL,
           "{\"n\":1}");
}

/* Each run has its own time; two that take turns keep theirs. */
static void test_fn_request__each_run_has_its_own_time(void **state)
{
    test_db *db = *state;
    const char *text = "SELECT clock('number') AS t, k FROM c";
    tako_buf a = tako_buf_on(&db->t.env), b = tako_buf_on(&db->t.env);
    query *p, *q;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'k': 1}), ({'k': 1})", NULL);
    assert_int_equal(
        query_prepare(&db->t.env, db->conn, tako_slice_str(text), &p, &db->e),
        TAKO_OK);
    assert_int_equal(
        query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q, &db->e),
        TAKO_OK);
    assert_int_equal(query_step(p, &a, &db->e), TAKO_OK);
    db->t.wall_ms += 1000;
    assert_int_equal(query_step(q, &b, &db->e), TAKO_OK);
    assert_false(tako_slice_eq(tako_buf_slice(&a), tako_buf_slice(&b)));
    tako_buf_reset(&b);
    assert_int_equal(query_step(p, &b, &db->e), TAKO_OK);
    assert_true(tako_slice_eq(tako_buf_slice(&a), tako_buf_slice(&b)));
    query_reset(p);
    tako_buf_reset(&b);
    assert_int_equal(query_step(p, &b, &db->e), TAKO_OK);
    assert_false(tako_slice_eq(tako_buf_slice(&a), tako_buf_slice(&b)));
    query_free(p);
    query_free(q);
    tako_buf_fini(&a);
    tako_buf_fini(&b);
}

static void test_fn_request__the_time_bounds_an_index_search(void **state)
{
    test_db *db = *state;
    const char *plan;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'t': 1})", NULL);
    (void)must(db, "CREATE INDEX byt ON c (t)", NULL);
    plan = plan_of(
        db, "SELECT * FROM c WHERE t > date_sub(clock('number'), 1, 'day')",
        NULL);
    if (strstr(plan, "USING INDEX") == NULL)
        fail_msg("%s", plan);
}

static void test_fn_request__what_must_not_change_refuses_it(void **state)
{
    static const char *const where[] = { "t < clock()",
                                         "request_info('version') = 'x'" };
    static const char *const names[] = { "clock", "request_info" };
    test_db *db = *state;
    char text[200], want[300];

    for (int i = 0; i < 2; i++) {
        query_predicate *p;

        (void)snprintf(text, sizeof text, "SELECT * FROM c WHERE a OR (%s)",
                       where[i]);
        assert_int_equal(query_predicate_new(&db->t.env, tako_slice_str(text),
                                             TAKO_SLICE_NONE, &p, &db->e),
                         TAKO_INVALID);
        (void)snprintf(want, sizeof want,
                       "a subscription or permission cannot depend on %s(), "
                       "which changes by itself; pass a parameter",
                       names[i]);
        if (strstr(db->e.text, want) == NULL)
            fail_msg("%s", db->e.text);
        (void)snprintf(text, sizeof text, "CREATE INDEX n ON c (a) WHERE %s",
                       where[i]);
        (void)snprintf(want, sizeof want,
                       "an index cannot depend on %s(), which changes by "
                       "itself",
                       names[i]);
        if (strstr(run(db, text, NULL), want) == NULL)
            fail_msg("%s", db->e.text);
    }
    assert_non_null(strstr(
        run(db, "CREATE INDEX n ON c (date_diff(clock(), t, 'day'))", NULL),
        "ERROR TAKO_INVALID"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_request__values_are_those_of_the_table),
        IN_DB(test_fn_request__a_statement_has_one_time),
        IN_DB(test_fn_request__each_run_has_its_own_time),
        IN_DB(test_fn_request__the_time_bounds_an_index_search),
        IN_DB(test_fn_request__what_must_not_change_refuses_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
