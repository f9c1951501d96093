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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_exec_insert__insert_reports_ids_and_keeps_fields),
        IN_DB(test_exec_insert__generated_ids_ascend),
        IN_DB(test_exec_insert__conflicts_follow_the_policy),
        IN_DB(test_exec_insert__initial_documents_are_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
