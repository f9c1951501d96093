// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_explain.c mirrors src/query/explain.c. */
#include "support_query.h"

#include <stdio.h>

#include "query/explain.h"

static void fill(test_db *db)
{
    (void)must(db, "INSERT INTO orders DOCUMENTS (:d)",
               "{\"d\":[{\"_id\":1,\"status\":\"open\",\"total\":5,\"lines\":"
               "[1,2]},{\"_id\":2,\"status\":\"open\",\"total\":50,\"lines\":"
               "[]},{\"_id\":3,\"status\":\"paid\",\"total\":9}]}");
    (void)must(db, "INSERT INTO menu DOCUMENTS ({'_id': 'm'}), ({'_id': 'n'})",
               NULL);
    (void)must(db, "CREATE INDEX by_status ON orders (status, total DESC)",
               NULL);
    (void)must(db, "CREATE INDEX by_guest ON orders (guest)", NULL);
}

/* The "plan" alone: from its key to where "sql" or a count begins. */
static void plan_is(test_db *db, const char *text, const char *params,
                    const char *want)
{
    const char *got = strstr(must(db, text, params), "\"plan\":");
    size_t n = strlen(want);

    assert_non_null(got);
    if (strncmp(got + 7, want, n) != 0)
        fail_msg("%s\n  want %s\n  got  %s", text, want, got + 7);
}

static void test_explain__plans_are_in_our_words(void **state)
{
    static const struct {
        const char *text, *plan;
    } rows[] = {
        { "SELECT * FROM menu", "[{\"op\":\"Scan\",\"collection\":\"menu\"}]" },
        { "SELECT * FROM menu WHERE _id = 'm'",
          "[{\"on\":\"_id = ?\",\"op\":\"IdSearch\",\"collection\":\"menu\"}" },
        { "SELECT * FROM orders o WHERE status = 'open'",
          "[{\"on\":\"status = ?\",\"op\":\"IndexSearch\",\"alias\":\"o\","
          "\"index\":\"by_status\",\"collection\":\"orders\"}]" },
        { "SELECT * FROM orders WHERE status = 'open' AND total >= 7",
          "[{\"on\":\"status = ? AND total > ?\",\"op\":"
          "\"IndexSearch\",\"index\":\"by_status\",\"collection\":"
          "\"orders\"}]" },
        { "SELECT * FROM menu ORDER BY x",
          "[{\"op\":\"Scan\",\"collection\":\"menu\"},{\"by\":\"order by\","
          "\"op\":\"Sort\"}]" },
        { "SELECT x, count(*) AS n FROM menu GROUP BY x",
          "[{\"op\":\"Scan\",\"collection\":\"menu\"},{\"by\":\"group by\","
          "\"op\":\"Group\"}]" },
        { "SELECT status, count(*) AS n FROM orders GROUP BY status",
          "[{\"op\":\"IndexScan\",\"index\":\"by_status\",\"collection\":"
          "\"orders\"}]" },
        { "SELECT * FROM orders WHERE status = 'x' AND total = 3 OR guest = 5",
          "[{\"op\":\"Or\",\"inputs\":[{\"op\":\"Branch\",\"inputs\":[{\"on\":"
          "\"status = ? AND total = ?\",\"op\":\"IndexSearch\",\"index\":"
          "\"by_status\",\"collection\":\"orders\"}]},{\"op\":\"Branch\","
          "\"inputs\":[{\"on\":\"guest = ?\",\"op\":\"IndexSearch\",\"index\":"
          "\"by_guest\",\"collection\":\"orders\"}]}]}]" },
        { "SELECT DISTINCT x FROM menu",
          "[{\"op\":\"Scan\",\"collection\":\"menu\"},{\"by\":\"distinct\","
          "\"op\":\"Distinct\"}]" },
        { "SELECT m._id, l FROM menu m UNNEST m.lines AS l",
          "[{\"op\":\"Scan\",\"alias\":\"m\",\"collection\":\"menu\"},{\"op\":"
          "\"ListScan\",\"list\":\"m.lines\",\"alias\":\"l\"}]" },
        { "SELECT * FROM system:links",
          "[{\"op\":\"SystemScan\",\"collection\":\"system:links\"}]" },
        { "DELETE FROM orders WHERE status = 'x'",
          "[{\"on\":\"status = ?\",\"op\":\"IndexSearch\",\"index\":"
          "\"by_status\",\"collection\":\"orders\"}]" },
        { "UPDATE menu SET a = 1 WHERE b = 2",
          "[{\"op\":\"Scan\",\"collection\":\"menu\"}]" },
        { "INSERT INTO copy SELECT * FROM menu",
          "[{\"op\":\"Scan\",\"collection\":\"menu\"}]" },
        { "SELECT 1 AS x", "[{\"op\":\"Values\"}]" },
        { "SELECT a.x FROM menu a UNION SELECT b.y FROM menu b",
          "[{\"op\":\"Subquery\",\"inputs\":[{\"op\":\"SetOperation\","
          "\"what\":\"compound query\",\"inputs\":["
          "{\"op\":\"SetOperation\",\"what\":\"left-most subquery\",\"inputs\""
          ":[{\"op\":\"Scan\",\"alias\":\"a\",\"collection\":\"menu\"}]}" },
    };
    test_db *db = *state;
    char text[300];

    fill(db);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, "EXPLAIN %s", rows[i].text);
        plan_is(db, text, NULL, rows[i].plan);
    }
    expect(db, "EXPLAIN INSERT INTO menu DOCUMENTS ({})", NULL,
           "ERROR TAKO_INVALID: line 1 column 1: an INSERT of documents reads "
           "nothing, so there is no plan to explain");
}

static void test_explain__runs_nothing(void **state)
{
    test_db *db = *state;

    fill(db);
    (void)must(db, "EXPLAIN DELETE FROM orders", NULL);
    (void)must(db, "PROFILE DELETE FROM orders", NULL);
    (void)must(db, "PROFILE UPDATE orders SET total = 0 RETURNING total", NULL);
    (void)must(db, "ADVISE DELETE FROM orders WHERE lines = 1", NULL);
    expect(db, "SELECT sum(total) AS s FROM orders", NULL, "{\"s\":64}");
    assert_non_null(strstr(must(db, "EXPLAIN SELECT * FROM menu", NULL),
                           "\"sql\":\"SELECT "));
}

static bool holds(test_db *db, const char *text, const char *part)
{
    const char *got = must(db, text, NULL);

    if (strstr(got, part) == NULL)
        print_message("%s: %s\n", text, got);
    return strstr(got, part) != NULL;
}

static void test_profile__counts_what_was_met(void **state)
{
    test_db *db = *state;

    fill(db);
    assert_true(holds(db, "PROFILE SELECT * FROM orders WHERE total = 9",
                      "\"rows\":1"));
    assert_true(holds(db, "PROFILE SELECT * FROM orders WHERE total = 9",
                      "\"documents\":3"));
    assert_true(holds(db, "PROFILE SELECT * FROM orders WHERE status = 'open'",
                      "\"rows\":2,"));
    assert_true(holds(db, "PROFILE SELECT * FROM orders WHERE status = 'open'",
                      "\"documents\":2,\"prepare_ms\""));
    assert_true(holds(db,
                      "PROFILE SELECT o._id FROM menu m JOIN orders o ON "
                      "o.status = 'paid'",
                      "\"documents\":3,"));
    assert_true(
        holds(db, "PROFILE DELETE FROM menu WHERE _id = 'm'", "\"rows\":1,"));
    assert_true(
        holds(db, "PROFILE SELECT * FROM menu ORDER BY x", "\"sorts\":1"));
    /* A right join seals its sources in SELECTs. */
    assert_true(holds(db,
                      "PROFILE SELECT m._id FROM menu m RIGHT JOIN orders o ON "
                      "m._id = o.nothing",
                      "\"rows\":3,"));
    assert_false(strstr(run(db, "PROFILE SELECT * FROM menu", NULL),
                        "tql_seen") != NULL);
}

static void test_plan__index_names_are_read_back(void **state)
{
    test_db *db = *state;
    tako_buf sql = tako_buf_on(&db->t.env), name = sql;
    uint32_t coll;

    store_index_sql_name(12, tako_slice_str("\xC3\xA9 x"), &sql);
    assert_true(
        plan_index_name((const char *)sql.ptr, (int)sql.len, &coll, &name));
    assert_int_equal(coll, 12);
    assert_true(
        tako_slice_eq(tako_buf_slice(&name), tako_slice_str("\xC3\xA9 x")));
    assert_false(plan_index_name("c12_id", 6, &coll, &name));
    assert_false(plan_index_name("i1", 2, &coll, &name));
    assert_false(plan_index_name("i1_zz", 5, &coll, &name));
    tako_buf_fini(&sql);
    tako_buf_fini(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_explain__plans_are_in_our_words),
        IN_DB(test_explain__runs_nothing),
        IN_DB(test_profile__counts_what_was_met),
        IN_DB(test_plan__index_names_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
