// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_exec_insert__insert_reports_ids_and_keeps_fields(void **state)
{
    test_db *db = *state;

    expect(db, "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1}), (:d)",
           "{\"d\":[{\"_id\":7},{\"_id\":[1,2],\"x\":{\"y\":2}}]}",
           "3 \"a\" 7 [1,2]");
    expect(db, "SELECT * FROM c WHERE _id = 'a'", NULL,
           "{\"x\":1,\"_id\":\"a\"}");
    expect(db, "SELECT x.y AS y FROM c WHERE _id = [1, 2]", NULL, "{\"y\":2}");
    expect(db,
           "INSERT INTO COLLECTION c DOCUMENTS ({'_id': lower(:n), 'x': 2})",
           "{\"n\":\"B\"}", "1 \"b\"");
}

static void test_exec_insert__generated_ids_ascend(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS (:d)",
               "{\"d\":[{\"i\":0},{\"i\":1},{\"i\":2},{\"i\":3},{\"i\":4}]}");
    expect(db, "SELECT i FROM c ORDER BY _id", NULL,
           "{\"i\":0} {\"i\":1} {\"i\":2} {\"i\":3} {\"i\":4}");
    expect(db, "SELECT count(*) AS n FROM c WHERE char_length(_id) = 26", NULL,
           "{\"n\":5}");
}

static void test_exec_insert__conflicts_follow_the_policy(void **state)
{
    test_db *db = *state;

    (void)must(db,
               "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1, 'o': {'p': 1, "
               "'q': 2}})",
               NULL);
    expect(db, "INSERT INTO c DOCUMENTS ({'_id': 'b'}), ({'_id': 'a'})", NULL,
           "ERROR TAKO_EXISTS: a document with the _id \"a\" exists");
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":1}");
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'b'}), ({'_id': 'a', 'x': 2}) ON "
           "ID CONFLICT DO NOTHING",
           NULL, "1 \"b\"");
    expect(db, "SELECT x FROM c WHERE _id = 'a'", NULL, "{\"x\":1}");
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 3, 'y': 4, 'o': {'r': "
           "3}}) ON ID CONFLICT DO UPDATE",
           NULL, "1 \"a\"");
    expect(db, "SELECT * FROM c WHERE _id = 'a'", NULL,
           "{\"o\":{\"p\":1,\"q\":2,\"r\":3},\"x\":3,\"y\":4,\"_id\":\"a\"}");
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 3, 'o': {'p': 1}}) ON "
           "ID CONFLICT DO UPDATE_LOCAL_DIFF",
           NULL, "0");
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 3, 'o': {'p': 9}}) ON "
           "ID CONFLICT DO UPDATE_LOCAL_DIFF",
           NULL, "1 \"a\"");
    expect(db, "SELECT o FROM c WHERE _id = 'a'", NULL,
           "{\"o\":{\"p\":9,\"q\":2,\"r\":3}}");
}

static void test_exec_insert__initial_documents_are_seeds(void **state)
{
    test_db *db = *state;

    expect(db, "INSERT INTO c INITIAL DOCUMENTS ({'_id': 's', 'v': 1})", NULL,
           "1 \"s\"");
    expect(db, "INSERT INTO c INITIAL DOCUMENTS ({'_id': 's', 'v': 1})", NULL,
           "0");
    expect(db,
           "INSERT INTO c INITIAL VERSION 2 DOCUMENTS ({'_id': 's', 'v': 2})",
           NULL, "1 \"s\"");
    expect(db, "SELECT v FROM c", NULL, "{\"v\":2}");
    expect(db, "UPDATE c SET v = 9", NULL, "1 \"s\"");
    expect(db,
           "INSERT INTO c INITIAL VERSION 3 DOCUMENTS ({'_id': 's', 'v': 3})",
           NULL, "1 \"s\"");
    expect(db, "SELECT v FROM c", NULL, "{\"v\":9}");
    expect(db, "INSERT INTO c INITIAL DOCUMENTS ({'v': 1})", NULL,
           "ERROR TAKO_INVALID: an INITIAL document needs an _id: every device "
           "must seed the same one");
}

static void test_exec_insert__rows_of_a_select_become_documents(void **state)
{
    test_db *db = *state;

    (void)must(db,
               "INSERT INTO a DOCUMENTS ({'_id': 1, 'x': 1}), ({'_id': 2, 'x': "
               "2}), ({'_id': 3, 'x': 3})",
               NULL);
    expect(db, "INSERT INTO b SELECT * FROM a WHERE x > :min ORDER BY x DESC",
           "{\"min\":1}", "2 3 2");
    expect(db, "SELECT * FROM b ORDER BY x", NULL,
           "{\"x\":2,\"_id\":2} {\"x\":3,\"_id\":3}");
    expect(db, "INSERT INTO b SELECT * FROM a", NULL,
           "ERROR TAKO_EXISTS: a document with the _id 3 exists");
    expect(db,
           "INSERT INTO b SELECT _id, x * 10 AS x FROM a ORDER BY _id ON ID "
           "CONFLICT DO UPDATE RETURNING x",
           NULL, "3 1 2 3 {\"x\":10} {\"x\":20} {\"x\":30}");
    expect(db,
           "INSERT INTO s (n COUNTER) SELECT 's' AS _id, sum(x) AS n FROM b",
           NULL, "1 \"s\"");
    expect(db, "UPDATE s APPLY n INCREMENT BY 1 RETURNING n", NULL,
           "1 \"s\" {\"n\":61}");
    expect(db, "INSERT INTO b SELECT * FROM nowhere", NULL, "0");
}

/* All is read before anything is written. */
static void test_exec_insert__a_collection_may_be_put_into_itself(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO a DOCUMENTS ({'x': 1}), ({'x': 2})", NULL);
    (void)must(db, "INSERT INTO a SELECT x + 10 AS x FROM a", NULL);
    expect(db, "SELECT x FROM a ORDER BY x", NULL,
           "{\"x\":1} {\"x\":2} {\"x\":11} {\"x\":12}");
    expect(db,
           "INSERT INTO a SELECT _id, x * 2 AS x FROM a ON ID CONFLICT DO "
           "NOTHING",
           NULL, "0");
}

/* Declared types are kept; what did not change is not written. */
static void test_exec_insert__a_local_diff_writes_what_differs(void **state)
{
    static const char text[] =
        "INSERT INTO c (r REGISTER, o.n COUNTER) DOCUMENTS (:d) ON ID CONFLICT "
        "DO UPDATE_LOCAL_DIFF";
    test_db *db = *state;
    uint64_t before;

    (void)must(db, text,
               "{\"d\":{\"_id\":1,\"r\":{\"a\":1,\"b\":2},\"o\":{\"n\":5,"
               "\"p\":{\"q\":1,\"s\":[1]}},\"t\":1}}");
    before = store_lsn(db->s);
    expect(db, text,
           "{\"d\":{\"_id\":1,\"r\":{\"a\":1,\"b\":2},\"o\":{\"n\":5,"
           "\"p\":{\"q\":1,\"s\":[1]}},\"t\":1}}",
           "0");
    assert_int_equal(store_lsn(db->s), before);
    /* a register is replaced whole, maps field by field */
    expect(db, text,
           "{\"d\":{\"_id\":1,\"r\":{\"a\":1},\"o\":{\"p\":{\"q\":2}}}}",
           "1 1");
    expect(db, "SELECT * FROM c", NULL,
           "{\"o\":{\"n\":5,\"p\":{\"q\":2,\"s\":[1]}},\"r\":{\"a\":1},\"t\":1,"
           "\"_id\":1}");
    /* a counter that differs is started anew, one that does not goes on */
    expect(db, text, "{\"d\":{\"_id\":1,\"o\":{\"n\":9}}}", "1 1");
    expect(db, "UPDATE c APPLY o.n INCREMENT BY 1 RETURNING o.n", NULL,
           "1 1 {\"n\":10}");
    /* without its type a number would end the counter: that is no diff */
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 1, 'o': {'n': 10}}) ON ID "
           "CONFLICT DO UPDATE_LOCAL_DIFF",
           NULL, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_exec_insert__insert_reports_ids_and_keeps_fields),
        IN_DB(test_exec_insert__generated_ids_ascend),
        IN_DB(test_exec_insert__conflicts_follow_the_policy),
        IN_DB(test_exec_insert__initial_documents_are_seeds),
        IN_DB(test_exec_insert__rows_of_a_select_become_documents),
        IN_DB(test_exec_insert__a_collection_may_be_put_into_itself),
        IN_DB(test_exec_insert__a_local_diff_writes_what_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
