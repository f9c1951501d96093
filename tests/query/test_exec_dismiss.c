// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_exec_dismiss.c mirrors src/query/exec_dismiss.c. */
#include "support_query.h"

#include <stdio.h>

#include "store/deaths.h"

static void carry(test_db *to, test_db *from, const char *id)
{
    store_row row;
    uint32_t a, b;

    assert_int_equal(store_coll_find(from->conn, tako_slice_str("c"), &a),
                     TAKO_OK);
    assert_int_equal(store_get(from->conn, a, cbor_of(from, id), &row),
                     TAKO_OK);
    assert_int_equal(store_begin(to->s, &to->e), TAKO_OK);
    assert_int_equal(store_coll_create(to->s, tako_slice_str("c"), &b, &to->e),
                     TAKO_OK);
    assert_int_equal(
        store_merge(to->s, b, row.id, row.meta, row.body, NULL, &to->e),
        TAKO_OK);
    assert_int_equal(store_commit(to->s, NULL, &to->e), TAKO_OK);
}

/* Documents 1, 2 and 3 are deleted here, and were changed elsewhere. */
static void lose_three(test_db *a, test_db *b)
{
    for (int i = 1; i <= 3; i++) {
        char text[80], id[12];

        (void)snprintf(id, sizeof id, "%d", i);
        (void)snprintf(text, sizeof text,
                       "INSERT INTO c DOCUMENTS ({'_id': %d, 'v': 0})", i);
        (void)must(a, text, NULL);
        carry(b, a, id);
        (void)snprintf(text, sizeof text, "UPDATE c SET v = %d WHERE _id = %d",
                       10 * i, i);
        (void)must(b, text, NULL);
        (void)snprintf(text, sizeof text, "DELETE FROM c WHERE _id = %d", i);
        (void)must(a, text, NULL);
        carry(a, b, id);
    }
}

#define IDS "SELECT id FROM system:conflicts"

static void test_dismiss__takes_what_it_finds_off_the_list(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    lose_three(a, &b);
    expect(a, IDS, NULL, "{\"id\":1} {\"id\":2} {\"id\":3}");
    expect(a, "DELETE FROM system:conflicts WHERE _id = 'lost/2'", NULL,
           "1 \"lost/2\"");
    expect(a, IDS, NULL, "{\"id\":1} {\"id\":3}");
    expect(a, "DELETE FROM system:conflicts WHERE _id = 'lost/2'", NULL, "0");
    expect(a,
           "DELETE FROM system:conflicts WHERE losers[0].value >= :v "
           "AND collection = 'c'",
           "{\"v\":20}", "1 \"lost/3\"");
    expect(a, "DELETE FROM system:conflicts LIMIT 5", NULL, "1 \"lost/1\"");
    expect(a, IDS, NULL, "");
    expect(a, "SELECT * FROM c", NULL, ""); /* and nothing came back */
    test_db_close(&b);
}

static void test_dismiss__leaves_what_stands_in_documents(void **state)
{
    test_db *a = *state;
    test_db b;

    test_db_open(&b, 2);
    lose_three(a, &b);
    (void)must(a, "INSERT INTO c DOCUMENTS ({'_id': 4, 'v': 0})", NULL);
    carry(&b, a, "4");
    (void)must(a, "UPDATE c SET v = 1 WHERE _id = 4", NULL);
    (void)must(&b, "UPDATE c SET v = 2 WHERE _id = 4", NULL);
    carry(a, &b, "4");
    expect(a, IDS " WHERE kind = 'sibling'", NULL, "{\"id\":4}");

    /* all or nothing */
    expect(a, "DELETE FROM system:conflicts", NULL,
           "ERROR TAKO_INVALID: 1 of the conflicts stand in documents (kind "
           "'sibling'): they go when the field is written");
    expect(a, "SELECT count(*) AS n FROM system:conflicts", NULL, "{\"n\":4}");
    expect(a, "DELETE FROM system:conflicts WHERE kind <> 'sibling'", NULL,
           "3 \"lost/1\" \"lost/2\" \"lost/3\"");

    /* the field is written, by who has seen both: nothing is left */
    (void)must(a, "UPDATE c SET v = 3 WHERE _id = 4", NULL);
    expect(a, "SELECT * FROM system:conflicts", NULL, "");
    test_db_close(&b);
}

static void test_dismiss__is_a_statement_of_its_own_kind(void **state)
{
    static const statement_row rows[] = {
        { "DELETE FROM system:info",
          "ERROR TAKO_INVALID: line 1 column 13: system collections can only "
          "be read" },
        { "EVICT FROM system:conflicts",
          "ERROR TAKO_INVALID: line 1 column 12: system collections can only "
          "be read" },
        { "UPDATE system:conflicts SET a = 1",
          "ERROR TAKO_INVALID: line 1 column 8: system collections can only be "
          "read" },
        { "INSERT INTO system:conflicts DOCUMENTS ({})",
          "ERROR TAKO_INVALID: line 1 column 13: system collections can only "
          "be read" },
        { "CREATE INDEX i ON system:conflicts (a)",
          "ERROR TAKO_INVALID: line 1 column 19: system collections can only "
          "be read" },
        { "EVICT FROM system:quarantine",
          "ERROR TAKO_INVALID: line 1 column 12: system collections can only "
          "be read" },
        { "DELETE FROM system:quarantine RETURNING *",
          "ERROR TAKO_UNSUPPORTED: line 1 column 13: DELETE FROM "
          "system:quarantine takes neither USE IDS nor RETURNING" },
        { "DELETE FROM system:quarantine", "0" },
        { "DELETE FROM system:conflicts RETURNING *",
          "ERROR TAKO_UNSUPPORTED: line 1 column 13: DELETE FROM "
          "system:conflicts takes neither USE IDS nor RETURNING" },
        { "DELETE FROM system:conflicts USE IDS ['lost/1']",
          "ERROR TAKO_UNSUPPORTED: line 1 column 13: DELETE FROM "
          "system:conflicts takes neither USE IDS nor RETURNING" },
        { "DELETE FROM system:conflicts", "0" },
        { "DELETE FROM system:conflicts WHERE _id = 'lost/x'", "0" },
    };

    assert_int_equal(expect_rows(*state, rows, sizeof rows / sizeof rows[0]),
                     0);
}

/* The document was changed here after a birth that turns out to be dead. */
static void quarantine(test_db *db, const char *id)
{
    tako_arena a = tako_arena_on(&db->t.env);
    store_death death;
    store_row row;
    crdt_doc *d;
    crdt_dot birth;
    uint32_t coll;
    char text[80];

    (void)snprintf(text, sizeof text,
                   "INSERT INTO c DOCUMENTS ({'_id': %s, 'v': 0, 'long': 1})",
                   id);
    (void)must(db, text, NULL);
    (void)snprintf(text, sizeof text, "UPDATE c SET v = _id WHERE _id = %s",
                   id);
    (void)must(db, text, NULL);
    assert_int_equal(store_coll_find(db->conn, tako_slice_str("c"), &coll),
                     TAKO_OK);
    assert_int_equal(store_get(db->conn, coll, cbor_of(db, id), &row), TAKO_OK);
    assert_int_equal(
        crdt_doc_decode_trusted(&a, row.meta, row.body, &d, &db->e), TAKO_OK);
    assert_int_equal(crdt_doc_births(d, &birth, 1), 1);
    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    assert_int_equal(
        store_die(db->s, coll, cbor_of(db, id), &birth, 1, 2, &death, &db->e),
        TAKO_OK);
    assert_true(death.quarantined);
    assert_int_equal(store_commit(db->s, NULL, &db->e), TAKO_OK);
    tako_arena_fini(&a);
}

/* What is in quarantine is inserted again by one statement, and dropped. */
static void test_dismiss__lets_go_of_what_is_in_quarantine(void **state)
{
    static const char *const all = "SELECT _id, id FROM system:quarantine";
    test_db *db = *state;

    quarantine(db, "7");
    quarantine(db, "8");
    quarantine(db, "9");
    expect(db, all, NULL,
           "{\"id\":7,\"_id\":1} {\"id\":8,\"_id\":2} "
           "{\"id\":9,\"_id\":3}");
    expect(db, "SELECT content FROM system:quarantine WHERE id = 9", NULL,
           "{\"content\":{\"v\":9,\"_id\":9,\"long\":1}}");
    expect(db,
           "INSERT INTO c SELECT doc.* FROM system:quarantine AS q "
           "UNNEST [q.content] AS doc WHERE q.id IN (8, 9)",
           NULL, "2 8 9");
    expect(db, "SELECT * FROM c ORDER BY _id", NULL,
           "{\"v\":8,\"_id\":8,\"long\":1} "
           "{\"v\":9,\"_id\":9,\"long\":1}");
    expect(db, "DELETE FROM system:quarantine WHERE id IN (8, 9)", NULL,
           "2 2 3");
    expect(db, all, NULL, "{\"id\":7,\"_id\":1}");
    expect(db, "DELETE FROM system:quarantine LIMIT 10", NULL, "1 1");
    expect(db, all, NULL, "");
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":2}");
}

/* Undone with the transaction around it. */
static void test_dismiss__stands_with_its_transaction(void **state)
{
    test_db *a = *state;
    test_db b;
    store_lost l;

    test_db_open(&b, 2);
    lose_three(a, &b);
    assert_int_equal(store_begin(a->s, &a->e), TAKO_OK);
    assert_int_equal(store_lost_drop(a->s, 1, &a->e), TAKO_OK);
    store_rollback(a->s);
    assert_int_equal(store_lost_next(a->conn, 0, &l), TAKO_OK);
    assert_int_equal(l.number, 1);
    test_db_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_dismiss__takes_what_it_finds_off_the_list),
        IN_DB(test_dismiss__leaves_what_stands_in_documents),
        IN_DB(test_dismiss__is_a_statement_of_its_own_kind),
        IN_DB(test_dismiss__lets_go_of_what_is_in_quarantine),
        IN_DB(test_dismiss__stands_with_its_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
