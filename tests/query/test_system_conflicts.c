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

/* {"a":1} with the _id in both; a deletes it while b has set a and counts. */
static void lose_update(test_db *a, test_db *b, const char *id)
{
    char text[120];

    (void)snprintf(text, sizeof text,
                   "INSERT INTO orders DOCUMENTS ({'_id': %s, 'a': 1})", id);
    (void)must(a, text, NULL);
    carry(b, a, "orders", id);
    a->t.wall_ms += 1000;
    b->t.wall_ms += 5000;
    (void)snprintf(text, sizeof text, "DELETE FROM orders WHERE _id = %s", id);
    (void)must(a, text, NULL);
    (void)snprintf(text, sizeof text,
                   "UPDATE orders APPLY n INCREMENT BY 3 SET a = 'five' "
                   "WHERE _id = %s",
                   id);
    (void)must(b, text, NULL);
    carry(a, b, "orders", id);
}

static void test_conflicts__show_what_a_removal_took(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    lose_update(a, &b, "7");
    expect(a,
           "SELECT _id, kind, collection, id, path, losers[0].value AS lost "
           "FROM system:conflicts",
           NULL,
           "{\"id\":7,\"_id\":\"lost/1\",\"kind\":\"update\",\"lost\":\"five\","
           "\"path\":[\"a\"],\"collection\":\"orders\"} "
           "{\"id\":7,\"_id\":\"lost/2\",\"kind\":\"increment\",\"lost\":3,"
           "\"path\":[\"n\"],\"collection\":\"orders\"}");
    expect(a,
           "SELECT time_ms - losers[0].time_ms AS ago, shown, "
           "char_length(losers[0].actor) AS hex FROM system:conflicts "
           "WHERE kind = 'update'",
           NULL, "{\"ago\":-4000,\"hex\":32}");
    expect(&b, "SELECT * FROM system:conflicts", NULL, "");
    test_db_close(&b);
}

static void test_conflicts__show_documents_that_did_not_merge(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    (void)must(a, "INSERT INTO orders DOCUMENTS ({'_id': 1, 'x': 1})", NULL);
    (void)must(a, "DELETE FROM orders", NULL);
    (void)must(a, "INSERT INTO orders DOCUMENTS ({'_id': 1, 'x': 2})", NULL);
    (void)must(&b, "INSERT INTO orders DOCUMENTS ({'_id': 1, 'y': {'z': 3}})",
               NULL);
    carry(a, &b, "orders", "1");
    expect(a, "SELECT * FROM orders", NULL, "{\"x\":2,\"_id\":1}");
    expect(a,
           "SELECT kind, id, path, losers[0].value AS lost "
           "FROM system:conflicts",
           NULL,
           "{\"id\":1,\"kind\":\"insert\",\"lost\":{\"y\":{\"z\":3}},"
           "\"path\":[]}");
    test_db_close(&b);
}

/* One dot, two contents: somebody's state is merged that says otherwise. */
static void test_conflicts__show_two_contents_of_one_write(void **state)
{
    test_db *a = *state;
    crdt_dot dot = { .hlc = CRDT_HLC_OF_MS(a->t.wall_ms) };
    tako_buf meta = tako_buf_on(&a->t.env), body = tako_buf_on(&a->t.env);
    crdt_merge_info info;
    uint32_t coll;
    crdt_doc *d;

    memset(dot.actor.id, 0x55, sizeof dot.actor.id);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(crdt_doc_new(&a->arena, &d), TAKO_OK);
        assert_int_equal(
            crdt_insert(d, dot, cbor_of(a, i == 0 ? "{\"a\":1}" : "{\"a\":2}")),
            TAKO_OK);
        tako_buf_reset(&meta);
        tako_buf_reset(&body);
        assert_int_equal(crdt_doc_encode(d, &meta, &body), TAKO_OK);
        assert_int_equal(store_begin(a->s, &a->e), TAKO_OK);
        assert_int_equal(
            store_coll_create(a->s, tako_slice_str("c"), &coll, &a->e),
            TAKO_OK);
        assert_int_equal(store_merge(a->s, coll, cbor_of(a, "1"),
                                     tako_buf_slice(&meta),
                                     tako_buf_slice(&body), &info, &a->e),
                         TAKO_OK);
        assert_int_equal(store_commit(a->s, NULL, &a->e), TAKO_OK);
    }
    expect(a,
           "SELECT kind, path, shown, losers[0].value AS lost, "
           "losers[0].actor AS who FROM system:conflicts",
           NULL,
           "{\"who\":\"55555555555555555555555555555555\","
           "\"kind\":\"forged\",\"lost\":1,\"path\":[\"a\"],\"shown\":2}");
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

static void test_conflicts__tell_which_documents_are_in_it(void **state)
{
    test_db *a = *state;
    test_db b;
    store_row row;
    uint32_t coll;

    test_db_open(&b, 2);
    (void)must(a, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 0})", NULL);
    carry(&b, a, "c", "1");
    (void)must(&b, "UPDATE c SET v = 2", NULL);
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            (void)must(a, "UPDATE c SET v = 1", NULL);
            carry(a, &b, "c", "1");
        } else if (i == 2) {
            (void)must(a, "UPDATE c SET v = 3", NULL); /* settles it */
        }
        assert_int_equal(store_coll_find(a->conn, tako_slice_str("c"), &coll),
                         TAKO_OK);
        assert_int_equal(store_get(a->conn, coll, cbor_of(a, "1"), &row),
                         TAKO_OK);
        assert_int_equal(query_has_conflicts(&a->t.env, row.meta, row.body),
                         i == 1);
    }
    assert_false(
        query_has_conflicts(&a->t.env, TAKO_SLICE_NONE, TAKO_SLICE_NONE));
    test_db_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_conflicts__show_who_won_and_who_lost),
        IN_DB(test_conflicts__are_found_in_all_collections),
        IN_DB(test_conflicts__show_what_a_removal_took),
        IN_DB(test_conflicts__show_documents_that_did_not_merge),
        IN_DB(test_conflicts__show_two_contents_of_one_write),
        IN_DB(test_conflicts__tell_which_documents_are_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
