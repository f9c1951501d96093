// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_system.c mirrors src/query/system.c. */
#include "support_query.h"

#include <stdio.h>

/* A host that says what it is asked, and counts. */
typedef struct fake_host {
    query_host host;
    unsigned calls;
    tako_err err;
} fake_host;

static tako_err answer(void *ctx, store_conn *c, tako_slice name,
                       tako_buf *docs, tako_errbuf *e)
{
    fake_host *f = ctx;

    assert_non_null(c);
    f->calls++;
    if (f->err != TAKO_OK)
        return tako_fail(e, f->err, "the host says no");
    if (!tako_slice_eq(name, tako_slice_str("links")))
        return TAKO_OK;
    for (int i = 1; i <= 3; i++) {
        cbor_put_map(docs, 2);
        cbor_put_text(docs, tako_slice_str("n"));
        cbor_put_int(docs, i + (int)f->calls * 10);
        cbor_put_text(docs, tako_slice_str("_id"));
        cbor_put_int(docs, i);
    }
    return TAKO_OK;
}

static void host_begin(test_db *db, fake_host *f)
{
    *f = (fake_host){ .host = { f, answer } };
    assert_int_equal(query_host_set(db->conn, &f->host, &db->e), TAKO_OK);
}

static void test_system__is_read_like_any_collection(void **state)
{
    test_db *db = *state;
    fake_host f;

    host_begin(db, &f);
    expect(db, "SELECT * FROM system:links WHERE n > 11 ORDER BY n DESC", NULL,
           "{\"n\":13,\"_id\":3} {\"n\":12,\"_id\":2}");
    expect(db, "SELECT count(*) AS c, max(l.n) AS m FROM system:links AS l",
           NULL, "{\"c\":3,\"m\":23}");
    expect(db, "SELECT * FROM system:blobs", NULL, "");
    expect(db,
           "SELECT _id IN (SELECT l._id FROM system:links l) AS v FROM "
           "system:dual",
           NULL, "{\"v\":false}");
    (void)must(db, "INSERT INTO seen SELECT _id, n FROM system:links", NULL);
    expect(db, "SELECT count(*) AS c FROM seen", NULL, "{\"c\":3}");
    assert_int_equal(f.calls, 5);
}

/* A join comes back to the collection for each row: it must not change. */
static void test_system__stands_still_in_a_run(void **state)
{
    test_db *db = *state;
    fake_host f;

    host_begin(db, &f);
    expect(db,
           "SELECT count(*) AS c FROM system:links a JOIN system:links b ON "
           "a.n = b.n JOIN system:links c ON b.n = c.n",
           NULL, "{\"c\":3}");
    assert_int_equal(f.calls, 1);
    expect(db, "SELECT min(n) AS n FROM system:links", NULL, "{\"n\":21}");
}

static void test_system__tells_what_the_host_says(void **state)
{
    static const struct {
        tako_err err;
        const char *want;
    } rows[] = {
        { TAKO_BUSY, "ERROR TAKO_BUSY: the host says no" },
        { TAKO_INVALID, "ERROR TAKO_INVALID: the host says no" },
        { TAKO_IO, "ERROR TAKO_IO: the host says no" },
        { TAKO_CANCELED, "ERROR TAKO_CANCELED: the host says no" },
    };
    test_db *db = *state;
    fake_host f;

    host_begin(db, &f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        f.err = rows[i].err;
        expect(db, "SELECT * FROM system:links", NULL, rows[i].want);
    }
    f.err = TAKO_OK; /* and all is well again */
    expect(db, "SELECT _id FROM system:links LIMIT 1", NULL, "{\"_id\":1}");
}

static void test_system__has_what_the_store_knows(void **state)
{
    test_db *db = *state;

    expect(db, "SELECT * FROM system:collections", NULL, "");
    expect(db, "SELECT * FROM system:links", NULL, ""); /* no host */
    (void)must(db, "INSERT INTO `a \"b\"` DOCUMENTS ({'_id': 1}), ({'_id': 2})",
               NULL);
    (void)must(db, "DELETE FROM `a \"b\"` WHERE _id = 2", NULL);
    (void)must(db, "CREATE INDEX `i.1` ON `a \"b\"` (x DESC)", NULL);
    expect(db, "SELECT * FROM system:collections", NULL,
           "{\"_id\":\"a \\\"b\\\"\",\"name\":\"a \\\"b\\\"\",\"indexes\":1,"
           "\"documents\":1,\"tombstones\":1}");
    expect(db, "SELECT * FROM system:indexes", NULL,
           "{\"_id\":\"a \\\"b\\\".i.1\",\"name\":\"i.1\",\"statement\":"
           "\"CREATE INDEX `i.1` ON `a \\\"b\\\"` (x DESC)\","
           "\"collection\":\"a \\\"b\\\"\"}");
    expect(db,
           "SELECT c.name, i.name AS idx FROM system:collections c LEFT JOIN "
           "system:indexes i ON i.collection = c.name",
           NULL, "{\"idx\":\"i.1\",\"name\":\"a \\\"b\\\"\"}");
    expect(db, "SELECT * FROM system:dual", NULL, "{\"_id\":\"dual\"}");
    expect(db, "SELECT * FROM system:indxes", NULL,
           "ERROR TAKO_INVALID: line 1 column 15: there is no collection "
           "system:indxes; did you mean system:indexes?");
    expect(db, "DELETE FROM system:indexes", NULL,
           "ERROR TAKO_INVALID: line 1 column 13: system collections can only "
           "be read");
}

/* Every allocation on the way fails once. */
static void test_system__survives_every_allocation_failure(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    (void)must(db, "CREATE INDEX i ON c (x)", NULL);
    for (long nth = 0;; nth++) {
        const char *got;

        assert_true(nth < 500);
        db->t.fail_after = nth;
        got = run(db,
                  "SELECT c.name FROM system:collections c JOIN system:indexes "
                  "i ON i.collection = c.name JOIN system:settings s",
                  NULL);
        db->t.fail_after = -1;
        if (strncmp(got, "{\"name\":\"c\"}", 12) == 0)
            break;
        if (got[0] == '\0')
            continue; /* the test's own copy of the rows */
        if (strncmp(got, "ERROR TAKO_NOMEM", 16) != 0)
            fail_msg("%ld: %s", nth, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_system__is_read_like_any_collection),
        IN_DB(test_system__stands_still_in_a_run),
        IN_DB(test_system__tells_what_the_host_says),
        IN_DB(test_system__has_what_the_store_knows),
        IN_DB(test_system__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
