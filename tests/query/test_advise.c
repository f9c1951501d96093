// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_advise.c mirrors src/query/advise.c and advise_find.c. */
#include "support_query.h"

#include <stdio.h>

static void fill(test_db *db)
{
    (void)must(db, "INSERT INTO orders DOCUMENTS ({'_id': 1})", NULL);
    (void)must(db, "INSERT INTO menu DOCUMENTS ({'_id': 1})", NULL);
    (void)must(db, "CREATE INDEX by_place ON orders (place)", NULL);
}

/* Rows: the statements of the advice, or the part of "why" for none. */
static void test_advise__proposes_what_the_planner_takes(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "SELECT * FROM orders WHERE status = 'open'",
          "CREATE INDEX by_status ON orders (status)" },
        { "SELECT * FROM orders WHERE total > 3 AND status = 'open'",
          "CREATE INDEX by_status_total ON orders (status, total)" },
        { "SELECT * FROM orders o WHERE o.guest.name = :n AND o.x IN (1, 2)",
          "CREATE INDEX by_guest_name_x ON orders (guest.name, x)" },
        { "SELECT * FROM orders WHERE status = 1 ORDER BY total DESC",
          "CREATE INDEX by_status_total ON orders (status, total DESC)" },
        { "SELECT * FROM orders ORDER BY total DESC, n",
          "CREATE INDEX by_total_n ON orders (total DESC, n)" },
        { "SELECT * FROM orders WHERE name LIKE 'A%'",
          "CREATE INDEX by_name ON orders (name)" },
        { "SELECT * FROM orders WHERE total BETWEEN 1 AND 2",
          "CREATE INDEX by_total ON orders (total)" },
        { "SELECT * FROM orders WHERE lower(name) = 'a'",
          "CREATE INDEX by_lower_name ON orders (lower(name))" },
        { "SELECT * FROM orders WHERE lines[0].sku = 'a'",
          "CREATE INDEX by_lines_0_sku ON orders (lines[0].sku)" },
        { "SELECT * FROM orders WHERE `the order` = 1 AND `select` = 2",
          "CREATE INDEX by_the_order_select ON orders (`the order`, "
          "`select`)" },
        { "DELETE FROM orders WHERE status = 'x'",
          "CREATE INDEX by_status ON orders (status)" },
        { "UPDATE orders SET a = 1 WHERE status = 'x'",
          "CREATE INDEX by_status ON orders (status)" },
        { "INSERT INTO copy SELECT * FROM orders WHERE status = 'x'",
          "CREATE INDEX by_status ON orders (status)" },
        { "SELECT m._id FROM menu m JOIN orders o ON o.item = m._id",
          "CREATE INDEX by_item ON orders (item)" },
        { "SELECT _id FROM menu m WHERE EXISTS (SELECT 1 AS x FROM orders o "
          "WHERE o.item = m._id)",
          "CREATE INDEX by_item ON orders (item)" },
        { "SELECT status, count(*) AS n FROM orders GROUP BY status",
          "CREATE INDEX by_status ON orders (status)" },
        /* nothing to do */
        { "SELECT * FROM orders WHERE place = 1",
          "the indexes that there are serve it already" },
        { "SELECT * FROM orders WHERE _id = 1", "there is nothing in it" },
        { "SELECT count(*) AS n FROM orders", "there is nothing in it" },
        { "SELECT * FROM orders WHERE a <> 1", "there is nothing in it" },
        { "SELECT * FROM absent WHERE a = 1", "there is nothing in it" },
        { "SELECT 1 AS x", "there is nothing in it" },
        { "SELECT * FROM system:links WHERE a = 1", "there is nothing in it" },
    };
    test_db *db = *state;
    char text[300];
    int bad = 0;

    fill(db);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got;

        (void)snprintf(text, sizeof text, "ADVISE %s", rows[i].text);
        got = must(db, text, strstr(text, ":n") ? "{\"n\":1}" : NULL);
        if (strstr(got, rows[i].want) != NULL)
            continue;
        print_message("%s\n  want %s\n  got  %s\n", text, rows[i].want, got);
        bad++;
    }
    assert_int_equal(bad, 0);
}

/* Each side of an OR has its own index; together they are used. */
static void test_advise__sees_both_sides_of_an_or(void **state)
{
    test_db *db = *state;
    const char *got;

    fill(db);
    got = must(db, "ADVISE SELECT * FROM orders WHERE a = 1 OR b = 2", NULL);
    assert_non_null(strstr(got, "orders (a)"));
    assert_non_null(strstr(got, "orders (b)"));
}

static void test_provision__makes_them(void **state)
{
    test_db *db = *state;

    fill(db);
    expect(db,
           "ADVISE AND PROVISION SELECT * FROM orders WHERE status = 1 AND "
           "total > 2",
           NULL,
           "0 {\"why\":\"finds the documents by status, total\",\"index\":"
           "\"by_status_total\",\"created\":true,\"statement\":\"CREATE INDEX "
           "by_status_total ON orders (status, total)\",\"collection\":"
           "\"orders\"}");
    expect(db, "SELECT statement FROM system:indexes WHERE name <> 'by_place'",
           NULL,
           "{\"statement\":\"CREATE INDEX by_status_total ON orders (status, "
           "total)\"}");
    expect(db,
           "ADVISE AND PROVISION SELECT * FROM orders WHERE status = 1 AND "
           "total > 2",
           NULL, "0 {\"why\":\"the indexes that there are serve it already\"}");
    assert_non_null(strstr(
        plan_of(db, "SELECT * FROM orders WHERE status = 1 AND total > 2",
                NULL),
        "USING INDEX i1_"));
    /* by_a is taken by something else */
    (void)must(db, "CREATE INDEX by_a ON orders (z)", NULL);
    assert_non_null(
        strstr(must(db, "ADVISE SELECT * FROM orders WHERE a = 1", NULL),
               "CREATE INDEX by_a_2 ON orders (a)"));
}

static void test_advise__survives_every_allocation_failure(void **state)
{
    test_db *db = *state;

    fill(db);
    for (long nth = 0;; nth++) {
        const char *got;

        assert_true(nth < 2000);
        db->t.fail_after = nth;
        got =
            run(db, "ADVISE SELECT * FROM orders WHERE a = 1 ORDER BY b", NULL);
        db->t.fail_after = -1;
        if (strncmp(got, "{\"why\"", 6) == 0)
            break;
        if (strncmp(got, "ERROR TAKO_NOMEM", 16) != 0)
            fail_msg("%ld: %s", nth, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_advise__proposes_what_the_planner_takes),
        IN_DB(test_advise__sees_both_sides_of_an_or),
        IN_DB(test_provision__makes_them),
        IN_DB(test_advise__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
