// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

/* Documents as another device would send them: with no change made here. */
static void from_elsewhere(test_db *db, const char *coll, unsigned count)
{
    char json[64];
    uint32_t number;

    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    assert_int_equal(
        store_coll_create(db->s, tako_slice_str(coll), &number, &db->e),
        TAKO_OK);
    for (unsigned i = 1; i <= count; i++) {
        tako_buf meta = tako_buf_on(&db->t.env), id = meta;
        crdt_dot dot = { { { 9 } }, i };
        tako_slice body;

        (void)snprintf(json, sizeof json, "{\"n\":%u}", i);
        body = cbor_of(db, json);
        cbor_put_int(&id, i);
        assert_int_equal(crdt_fresh_meta(dot, body, &meta), TAKO_OK);
        assert_int_equal(store_merge(db->s, number, tako_buf_slice(&id),
                                     tako_buf_slice(&meta), body, NULL, &db->e),
                         TAKO_OK);
        tako_buf_fini(&id);
        tako_buf_fini(&meta);
    }
    assert_int_equal(store_commit(db->s, NULL, &db->e), TAKO_OK);
}

static void test_exec_evict__forgets_what_it_finds(void **state)
{
    test_db *db = *state;

    from_elsewhere(db, "c", 6);
    (void)must(db, "CREATE INDEX by_n ON c (n)", NULL);
    expect(db, "EVICT FROM c WHERE n = :n RETURNING *", "{\"n\":3}",
           "1 3 {\"n\":3,\"_id\":3}");
    expect(db, "EVICT FROM c USE IDS 4, 3 RETURNING n", NULL, "1 4 {\"n\":4}");
    expect(db, "EVICT FROM c WHERE _id = 5", NULL, "1 5");
    expect(db, "EVICT FROM c WHERE _id = 5", NULL, "0");
    expect(db, "SELECT n FROM c ORDER BY n", NULL,
           "{\"n\":1} {\"n\":2} {\"n\":6}");
    expect(db, "SELECT n FROM c WHERE n = 5", NULL, "");
    expect(db, "UPDATE c SET n = 0 WHERE _id = 5", NULL, "0");
    expect(db, "UPDATE c USE IDS 5 SET n = 0", NULL, "0");
    expect(db, "DELETE FROM c WHERE _id = 5", NULL, "0");
    expect(db, "EVICT FROM c WHERE n > 1 LIMIT 1", NULL, "1 2");
    expect(db, "EVICT FROM c", NULL, "2 1 6");
    expect(db, "EVICT FROM nowhere", NULL, "0");
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":0}");
}

static void test_exec_evict__own_changes_need_force(void **state)
{
    test_db *db = *state;

    from_elsewhere(db, "c", 3);
    (void)must(db, "UPDATE c SET seen = true WHERE n > 1", NULL);
    expect(db, "EVICT FROM c RETURNING *", NULL,
           "ERROR TAKO_DENIED: 2 of the documents have changes made on this "
           "device that no other is known to keep; EVICT ... FORCE drops them");
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":3}");
    expect(db, "EVICT FROM c WHERE seen IS MISSING", NULL, "1 1");
    expect(db, "EVICT FROM c WHERE n > 0 FORCE RETURNING seen", NULL,
           "2 3 2 {\"seen\":true} {\"seen\":true}");
    expect(db, "SELECT * FROM c", NULL, "");
}

static void kept(test_db *db, uint64_t lsn)
{
    store_keeper k = { .text = tako_slice_str("SELECT * FROM c"), .lsn = lsn };

    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    assert_int_equal(store_keeper_put(db->s, &k, &db->e), TAKO_OK);
    assert_int_equal(store_commit(db->s, NULL, &db->e), TAKO_OK);
}

/* Who keeps the state before the last change does not keep the document. */
static void test_exec_evict__a_keeper_has_this_state_or_a_newer(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'n': 1})", NULL);
    kept(db, store_lsn(db->s));
    (void)must(db, "UPDATE c SET n = 2", NULL);
    expect(db, "EVICT FROM c", NULL,
           "ERROR TAKO_DENIED: 1 of the documents have changes made on this "
           "device that no other is known to keep; EVICT ... FORCE drops them");
    kept(db, store_lsn(db->s));
    expect(db, "EVICT FROM c", NULL, "1 1");
}

static void test_exec_evict__a_key_may_be_inserted_again(void **state)
{
    test_db *db = *state;

    from_elsewhere(db, "c", 2);
    (void)must(db, "EVICT FROM c", NULL);
    expect(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'x': 1}) RETURNING *", NULL,
           "1 1 {\"x\":1,\"_id\":1}");
    expect(db, "INSERT INTO c (x COUNTER) DOCUMENTS ({'_id': 2, 'x': 1})", NULL,
           "1 2");
    expect(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'x': 1})", NULL,
           "ERROR TAKO_EXISTS: a document with the _id 1 exists");
    expect(db, "UPDATE c APPLY x INCREMENT BY 1 WHERE _id = 2 RETURNING x",
           NULL, "1 2 {\"x\":2}");
    expect(db, "EVICT FROM c FORCE", NULL, "2 2 1");
    expect(db, "INSERT INTO c DOCUMENTS ({'_id': 2, 'y': 1}) RETURNING *", NULL,
           "1 2 {\"y\":1,\"_id\":2}");
}

/* A seed that was evicted stays away, also in a new version. */
static void test_exec_evict__seeds_stay_away(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c INITIAL DOCUMENTS ({'_id': 1, 'x': 1})",
               NULL);
    expect(db, "EVICT FROM c", NULL, "1 1");
    expect(db, "INSERT INTO c INITIAL DOCUMENTS ({'_id': 1, 'x': 1})", NULL,
           "0");
    expect(db, "INSERT INTO c INITIAL VERSION 2 DOCUMENTS ({'_id': 1, 'x': 2})",
           NULL, "0");
    expect(db, "SELECT * FROM c", NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_exec_evict__forgets_what_it_finds),
        IN_DB(test_exec_evict__own_changes_need_force),
        IN_DB(test_exec_evict__a_keeper_has_this_state_or_a_newer),
        IN_DB(test_exec_evict__a_key_may_be_inserted_again),
        IN_DB(test_exec_evict__seeds_stay_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
