// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_system_conflicts.c mirrors src/query/system_conflicts.c. */
#include "support_query.h"

#include <stdio.h>

/* Merges a document of `from` into `to`. */
static void carry(test_db *to, test_db *from, const char *collection,
                  const char *id)
{
    uint32_t a, b;
    store_row row;
    crdt_merge_info info;

    assert_int_equal(
        store_coll_find(from->conn, tako_slice_str(collection), &a), TAKO_OK);
    assert_int_equal(store_get(from->conn, a, cbor_of(from, id), &row),
                     TAKO_OK);
    assert_int_equal(store_begin(to->s, &to->e), TAKO_OK);
    assert_int_equal(
        store_coll_create(to->s, tako_slice_str(collection), &b, &to->e),
        TAKO_OK);
    assert_int_equal(
        store_merge(to->s, b, row.id, row.meta, row.body, &info, &to->e),
        TAKO_OK);
    assert_int_equal(store_commit(to->s, NULL, &to->e), TAKO_OK);
}

static void test_conflicts__show_who_won_and_who_lost(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    (void)must(a,
               "INSERT INTO orders DOCUMENTS ({'_id': 'o1', 'status': 'open', "
               "'guest': {'name': 'Ana'}, 'n': 1}), ({'_id': 'o2'})",
               NULL);
    expect(a, "SELECT * FROM system:conflicts", NULL, "");
    carry(&b, a, "orders", "\"o1\"");
    a->t.wall_ms += 1000;
    b.t.wall_ms += 5000;
    (void)must(a, "UPDATE orders SET status = 'paid', n = 2 WHERE _id = 'o1'",
               NULL);
    (void)must(&b,
               "UPDATE orders SET status = 'void', guest.name = 'Bo', n = 2",
               NULL);
    carry(a, &b, "orders", "\"o1\"");

    /* n is the same on both sides: no conflict; guest.name has one writer. */
    expect(a,
           "SELECT _id, collection, id, path, shown, losers[0].value AS lost, "
           "array_length(losers) AS n FROM system:conflicts",
           NULL,
           "{\"n\":1,\"id\":\"o1\",\"_id\":\"orders/\\\"o1\\\"/"
           "[\\\"status\\\"]\",\"lost\":\"paid\",\"path\":[\"status\"],"
           "\"shown\":\"void\",\"collection\":\"orders\"}");
    expect(a,
           "SELECT shown_by.time_ms - losers[0].time_ms AS later, "
           "shown_by.actor = losers[0].actor AS same, "
           "char_length(shown_by.actor) AS hex FROM system:conflicts",
           NULL, "{\"hex\":32,\"same\":false,\"later\":4000}");
    expect(a,
           "SELECT o.status, c.losers[0].value AS other FROM orders o JOIN "
           "system:conflicts c ON c.id = o._id",
           NULL, "{\"other\":\"paid\",\"status\":\"void\"}");

    (void)must(a, "UPDATE orders SET status = 'open' WHERE _id = 'o1'", NULL);
    expect(a, "SELECT * FROM system:conflicts", NULL, "");
    test_db_close(&b);
}

/* More documents and collections than one part of the scan. */
static void test_conflicts__are_found_in_all_collections(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    for (int i = 0; i < 3; i++) {
        char text[120];

        (void)snprintf(text, sizeof text,
                       "INSERT INTO c%d DOCUMENTS ({'_id': 1, 'v': 0}), "
                       "({'_id': 2, 'v': 0})",
                       i);
        (void)must(a, text, NULL);
        (void)snprintf(text, sizeof text, "c%d", i);
        carry(&b, a, text, "1");
        carry(&b, a, text, "2");
        (void)snprintf(text, sizeof text, "UPDATE c%d SET v = 1", i);
        (void)must(a, text, NULL);
        (void)snprintf(text, sizeof text, "UPDATE c%d SET v = 2", i);
        (void)must(&b, text, NULL);
        (void)snprintf(text, sizeof text, "c%d", i);
        carry(a, &b, text, "1");
        carry(a, &b, text, "2");
    }
    expect(a,
           "SELECT collection, count(*) AS n FROM system:conflicts GROUP BY "
           "collection ORDER BY collection",
           NULL,
           "{\"n\":2,\"collection\":\"c0\"} {\"n\":2,\"collection\":\"c1\"} "
           "{\"n\":2,\"collection\":\"c2\"}");
    expect(a, "SELECT id FROM system:conflicts LIMIT 1", NULL, "{\"id\":2}");
    test_db_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_conflicts__show_who_won_and_who_lost),
        IN_DB(test_conflicts__are_found_in_all_collections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
