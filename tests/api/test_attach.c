// SPDX-License-Identifier: Apache-2.0
/* Putting contents in, and what becomes of them. */
#include "support_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOBS "SELECT bytes, state, documents FROM system:blobs ORDER BY bytes"

typedef struct slow_source {
    tako_db *db;
    uint64_t left;
    unsigned writes; /* statements that run beside it */
} slow_source;

/* A source that takes its time: others write meanwhile. */
static long slow_read(void *ctx, void *buf, size_t cap)
{
    slow_source *s = ctx;
    size_t n = s->left < cap ? (size_t)s->left : cap;

    db_run(s->db, "INSERT INTO c DOCUMENTS ({'x': 1})", NULL);
    s->writes++;
    memset(buf, 'x', n);
    s->left -= n;
    return (long)n;
}

static long failing_read(void *ctx, void *buf, size_t cap)
{
    unsigned *calls = ctx;

    memset(buf, 'x', cap);
    return ++*calls < 3 ? (long)cap : -1;
}

static void test_attach__does_not_hold_up_writers(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    slow_source s = { db, 3000000, 0 };
    char *token = NULL;

    db_ok(db, tako_attach(db, slow_read, &s, NULL, &token), "attach");
    assert_true(s.writes >= 12);
    assert_non_null(strstr(token, "\"len\":3000000"));
    tako_free(token);
    tako_close(db);
}

static void test_attach__a_source_that_fails_leaves_nothing(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    unsigned calls = 0;
    char *token = NULL;

    assert_int_equal(tako_attach(db, failing_read, &calls, NULL, &token),
                     TAKO_CANCELED);
    assert_null(token);
    db_expect(db, BLOBS, NULL, "[]");
    tako_close(db);
}

static void test_attach__says_misuse(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_attach_opts o = TAKO_ATTACH_OPTS_INIT;
    char long_name[400], *token = NULL;

    assert_int_equal(tako_attach(NULL, slow_read, NULL, NULL, &token),
                     TAKO_MISUSE);
    assert_int_equal(tako_attach(db, NULL, NULL, NULL, &token), TAKO_MISUSE);
    assert_int_equal(tako_attach_bytes(db, NULL, 1, NULL, &token), TAKO_MISUSE);
    o.size = 1;
    assert_int_equal(tako_attach_bytes(db, "x", 1, &o, &token), TAKO_MISUSE);
    o.size = sizeof o;
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    o.name = long_name;
    assert_int_equal(tako_attach_bytes(db, "x", 1, &o, &token), TAKO_LIMIT);
    assert_non_null(strstr(tako_last_error(db), "name"));
    o.name = "\xff";
    assert_int_equal(tako_attach_bytes(db, "x", 1, &o, &token), TAKO_INVALID);
    o.name = NULL;
    o.meta_json = "[1]";
    assert_int_equal(tako_attach_bytes(db, "x", 1, &o, &token), TAKO_INVALID);
    o.meta_json = "{";
    assert_int_equal(tako_attach_bytes(db, "x", 1, &o, &token), TAKO_INVALID);
    assert_null(token);
    db_expect(db, BLOBS, NULL, "[]");
    tako_close(db);
}

static char *params_of(const char *token)
{
    size_t len = strlen(token) + 16;
    char *p = malloc(len);

    assert_non_null(p);
    (void)snprintf(p, len, "{\"t\":%s}", token);
    return p;
}

/* Every way that a token gets into a document, and out of it. */
static void test_attach__documents_refer_to_it(void **state)
{
    static const struct {
        const char *statement;
        unsigned documents;
    } rows[] = {
        { "INSERT INTO m DOCUMENTS ({'_id': 1, 'photo': :t})", 1 },
        { "INSERT INTO m DOCUMENTS ({'_id': 2, 'a': {'b': {'c': :t}}})", 2 },
        { "INSERT INTO m (photo ATTACHMENT) DOCUMENTS "
          "({'_id': 3, 'photo': :t})",
          3 },
        { "UPDATE m SET photo = {'len': 1} WHERE _id = 1 AND :t IS NOT NULL",
          2 },
        { "UPDATE m SET photo = :t WHERE _id = 1", 3 },
        { "UPDATE m SET a = {'b': {'c': 5}} WHERE _id = 2 AND :t IS NOT NULL",
          2 },
        { "UPDATE m SET a = {'b': :t} WHERE _id = 2", 3 },
        { "INSERT INTO m DOCUMENTS ({'_id': 4, 'p': 1})", 3 },
        { "INSERT INTO m DOCUMENTS ({'_id': 4, 'p': :t}) ON ID CONFLICT DO "
          "UPDATE",
          4 },
        { "INSERT INTO m DOCUMENTS ({'_id': 4, 'p': :t}) ON ID CONFLICT DO "
          "UPDATE_LOCAL_DIFF",
          4 },
        { "UPDATE m (r REGISTER) SET r = :t WHERE _id = 3", 4 },
        { "UPDATE m UNSET photo WHERE _id = 3 AND :t IS NOT NULL", 3 },
        { "INSERT INTO n SELECT * FROM m WHERE _id = 4 AND :t IS NOT NULL", 4 },
        { "EVICT FROM n WHERE _id = 4 AND :t IS NOT NULL FORCE", 3 },
        { "DELETE FROM m WHERE :t IS NOT NULL", 0 },
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *token = NULL, *params, want[80];

    db_ok(db, tako_attach_bytes(db, "hello", 5, NULL, &token), "attach");
    params = params_of(token);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strncmp(rows[i].statement, "EVICT", 5) == 0) {
            db_run(db, "EVICT FROM n FORCE", NULL);
        } else {
            db_run(db, rows[i].statement, params);
        }
        (void)snprintf(want, sizeof want,
                       "[{\"bytes\":5,\"state\":\"whole\",\"documents\":%u}]",
                       rows[i].documents);
        db_expect(db, BLOBS, NULL, want);
        db_ok(db, tako_check(db, NULL, NULL), rows[i].statement);
    }
    db_refused(db, "INSERT INTO m INITIAL DOCUMENTS ({'_id': 9, 'p': :t})",
               params, TAKO_INVALID, "INITIAL");
    free(params);
    tako_free(token);
    tako_close(db);
}

/* What a transaction wrote and took back refers to nothing. */
static void test_attach__transactions_count_whole(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *token = NULL, *params;
    tako_params p = { NULL, NULL, 0 };
    tako_tx *tx;

    db_ok(db, tako_attach_bytes(db, "", 0, NULL, &token), "attach");
    params = params_of(token);
    p.json = params;
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "INSERT INTO m DOCUMENTS ({'p': :t})", &p, NULL),
          "insert");
    tako_tx_rollback(tx);
    db_expect(db, BLOBS, NULL,
              "[{\"bytes\":0,\"state\":\"whole\",\"documents\":0}]");
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "INSERT INTO m DOCUMENTS ({'p': :t})", &p, NULL),
          "insert");
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
    db_expect(db, BLOBS, NULL,
              "[{\"bytes\":0,\"state\":\"whole\",\"documents\":1}]");
    free(params);
    tako_free(token);
    tako_close(db);
}

/* A backup holds the contents too. */
static void test_attach__backups_hold_it(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    const char *copy = db_path(*state, "a.backup");
    const char *back = db_path(*state, "b.tako");
    char *token = NULL, *params, bytes[8];
    tako_attachment *a;
    size_t got;

    db_ok(db, tako_attach_bytes(db, "content", 7, NULL, &token), "attach");
    params = params_of(token);
    db_run(db, "INSERT INTO m DOCUMENTS ({'p': :t})", params);
    db_ok(db, tako_backup(db, copy, NULL, NULL), "backup");
    tako_close(db);
    assert_int_equal(tako_restore(copy, back, NULL, 0), TAKO_OK);
    db = db_open(back);
    db_ok(db, tako_attachment_open(db, token, 0, &a), "open");
    db_ok(db, tako_attachment_read(a, 0, bytes, sizeof bytes, &got), "read");
    assert_int_equal(got, 7);
    assert_memory_equal(bytes, "content", 7);
    tako_attachment_close(a);
    free(params);
    tako_free(token);
    tako_close(db);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_attach__does_not_hold_up_writers),
        T(test_attach__a_source_that_fails_leaves_nothing),
        T(test_attach__says_misuse),
        T(test_attach__documents_refer_to_it),
        T(test_attach__transactions_count_whole),
        T(test_attach__backups_hold_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
