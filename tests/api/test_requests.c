// SPDX-License-Identifier: Apache-2.0
/* tests/api/test_requests.c mirrors src/api/requests.c: what runs, cancelling
 * it, time limits, and settings at run time. */
#include "support_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/sys.h"

/* Hours, if nobody stops it. */
#define ENDLESS                                                                \
    "SELECT count(*) AS n FROM c a JOIN c b JOIN c d JOIN c e WHERE "          \
    "a.n + b.n + d.n + e.n = -1"

typedef struct runner {
    tako_db *db;
    const char *text;
    uint64_t request;
    tako_err err;
    char detail[200];
    sys_thread *thread;
    sys_mutex *mutex;
    tako_env env;
} runner;

static void run_main(void *arg)
{
    runner *r = arg;
    tako_result *res = NULL;
    uint64_t id = tako_request_next(r->db);

    sys_mutex_lock(r->mutex);
    r->request = id;
    sys_mutex_unlock(r->mutex);
    r->err = tako_execute(r->db, r->text, NULL, &res);
    (void)snprintf(r->detail, sizeof r->detail, "%s", tako_last_error(r->db));
    tako_result_free(res);
}

static void run_begin(runner *r, tako_db *db, const char *text)
{
    *r = (runner){ .db = db, .text = text };
    sys_env_init(&r->env);
    assert_int_equal(sys_mutex_new(&r->env, &r->mutex), TAKO_OK);
    assert_int_equal(sys_thread_start(&r->env, run_main, r, &r->thread),
                     TAKO_OK);
}

static uint64_t run_number(runner *r)
{
    uint64_t id = 0;

    while (id == 0) {
        sys_mutex_lock(r->mutex);
        id = r->request;
        sys_mutex_unlock(r->mutex);
        sleep_ms(1);
    }
    return id;
}

static void run_end(runner *r)
{
    sys_thread_join(r->thread);
    sys_mutex_free(r->mutex);
}

static void until_running(tako_db *db, uint64_t id)
{
    char text[120];
    bool running = false;

    (void)snprintf(text, sizeof text,
                   "SELECT state FROM system:requests WHERE _id = %llu AND "
                   "state = 'running'",
                   (unsigned long long)id);
    for (int i = 0; i < 5000 && !running; i++) {
        char *rows = db_rows(db, text, NULL);

        running = strcmp(rows, "[{\"state\":\"running\"}]") == 0;
        free(rows);
        sleep_ms(1);
    }
    assert_true(running);
}

static void test_cancel__stops_a_select(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    runner r;
    uint64_t id;

    db_fill(db, "c", 300);
    run_begin(&r, db, ENDLESS);
    id = run_number(&r);
    until_running(db, id);
    db_ok(db, tako_cancel(db, id), "cancel");
    run_end(&r);
    assert_int_equal(r.err, TAKO_CANCELED);
    assert_non_null(strstr(r.detail, "was canceled"));
    assert_int_equal(tako_cancel(db, id), TAKO_NOTFOUND);
    assert_int_equal(tako_cancel(NULL, 1), TAKO_MISUSE);
    db_expect(db, "SELECT count(*) AS n FROM c", NULL, "[{\"n\":300}]");
    tako_close(db);
}

/* What it wrote before is undone, in a transaction of the program too. */
static void test_cancel__undoes_a_mutation(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    runner r;
    uint64_t id;

    db_fill(db, "c", 300);
    run_begin(&r, db, "UPDATE c SET x = (" ENDLESS ")");
    id = run_number(&r);
    until_running(db, id);
    db_ok(db, tako_cancel(db, id), "cancel");
    run_end(&r);
    assert_int_equal(r.err, TAKO_CANCELED);
    db_expect(db, "SELECT count(*) AS n FROM c WHERE x IS NOT MISSING", NULL,
              "[{\"n\":0}]");
    db_run(db, "UPDATE c SET x = 1 WHERE _id = 1", NULL); /* the lock is free */
    tako_close(db);
}

/* A number that was promised can be canceled before its statement begins. */
static void test_cancel__comes_before_the_begin(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t id;

    db_fill(db, "c", 300);
    id = tako_request_next(db);
    assert_true(id > 0);
    db_ok(db, tako_cancel(db, id), "cancel");
    db_refused(db, ENDLESS, NULL, TAKO_CANCELED, "was canceled");
    id = tako_request_next(db); /* replaces the promise */
    db_ok(db, tako_cancel(db, id), "cancel");
    assert_true(tako_request_next(db) > id);
    db_expect(db, "SELECT count(*) AS n FROM c", NULL, "[{\"n\":300}]");
    assert_int_equal(tako_request_next(NULL), 0);
    tako_close(db);
}

static void test_timeout__stops_and_undoes(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_tx *tx = NULL;
    tako_result *res = NULL;

    db_fill(db, "c", 300);
    db_run(db, "ALTER SYSTEM SET statement_timeout_ms = 60", NULL);
    db_refused(db, ENDLESS, NULL, TAKO_TIMEOUT, "statement_timeout_ms, 60 ms");
    db_refused(db, "UPDATE c SET x = (" ENDLESS ")", NULL, TAKO_TIMEOUT,
               "statement_timeout_ms");
    db_refused(db, "INSERT INTO e DOCUMENTS ({'v': (" ENDLESS ")})", NULL,
               TAKO_TIMEOUT, "statement_timeout_ms");
    /* also where SQLite sorts, groups, and joins with a list */
    db_refused(db,
               "SELECT a.n FROM c a JOIN c b JOIN c d UNNEST [1, 2, 3] AS u "
               "ORDER BY a.n + b.n LIMIT 1",
               NULL, TAKO_TIMEOUT, NULL);

    /* The transaction goes on as it was before the statement. */
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "UPDATE c SET y = 1 WHERE _id = 7", NULL, NULL),
          "update");
    assert_int_equal(
        tako_tx_execute(tx, "UPDATE c SET y = (" ENDLESS ")", NULL, NULL),
        TAKO_TIMEOUT);
    assert_int_equal(tako_tx_execute(tx, ENDLESS, NULL, &res), TAKO_TIMEOUT);
    assert_null(res);
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
    db_expect(db, "SELECT _id FROM c WHERE y = 1", NULL, "[{\"_id\":7}]");

    db_run(db, "RESET statement_timeout_ms", NULL);
    db_expect(db, "SELECT count(*) AS n FROM c a JOIN c b WHERE a.n = b.n",
              NULL, "[{\"n\":300}]");
    tako_close(db);
}

/* The time between calls is the program's own. */
static void test_timeout__does_not_count_what_the_program_does(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *res = NULL;
    unsigned rows = 0;

    db_fill(db, "c", 3000);
    db_run(db, "ALTER SYSTEM SET statement_timeout_ms = 1000", NULL);
    db_ok(db,
          tako_execute(db, "SELECT a.n, repeat('x', 100) AS t FROM c a", NULL,
                       &res),
          "select");
    while (rows < 2000 && tako_result_next(res) == TAKO_OK)
        rows++;
    db_expect(db, "SELECT state FROM system:requests WHERE state = 'open'",
              NULL, "[{\"state\":\"open\"}]");
    sleep_ms(1200);
    while (tako_result_next(res) == TAKO_OK)
        rows++;
    assert_int_equal(rows, 3000);
    tako_result_free(res);
    db_expect(db,
              "SELECT rows FROM system:requests WHERE rows > 100 AND state = "
              "'done'",
              NULL, "[{\"rows\":3000}]");
    tako_close(db);
}

static void test_requests__remember_the_latest(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char text[600] = "SELECT '";

    for (int i = 0; i < 150; i++)
        strcat(text, "\xC3\xA9");
    strcat(text, "' AS x");
    db_run(db, "ALTER SYSTEM SET requests_recent_max = 3", NULL);
    db_refused(db, "SELECT * FROM", NULL, TAKO_INVALID, NULL); /* no request */
    db_refused(db, "INSERT INTO c DOCUMENTS (1)", NULL, TAKO_INVALID, NULL);
    for (int i = 0; i < 4; i++)
        db_run(db, "INSERT INTO c DOCUMENTS ({})", NULL);
    db_expect(db,
              "SELECT state, count(*) AS n FROM system:requests GROUP BY state "
              "ORDER BY state",
              NULL,
              "[{\"n\":3,\"state\":\"done\"},{\"n\":1,\"state\":\"running\"}]");
    db_refused(db, "INSERT INTO c DOCUMENTS (:d)", "{\"d\":1}", TAKO_INVALID,
               NULL);
    db_expect(db,
              "SELECT error, source, rows FROM system:requests WHERE state = "
              "'failed'",
              NULL,
              "[{\"rows\":0,\"error\":\"TAKO_INVALID\",\"source\":"
              "\"execute\"}]");
    free(db_rows(db, text, NULL)); /* the text is cut in whole characters */
    db_expect(db,
              "SELECT byte_length(statement) AS b FROM system:requests WHERE "
              "statement LIKE \"SELECT '%\" LIMIT 1",
              NULL, "[{\"b\":200}]");
    db_run(db, "ALTER SYSTEM SET requests_recent_max = 0", NULL);
    db_expect(db, "SELECT count(*) AS n FROM system:requests", NULL,
              "[{\"n\":1}]");
    tako_close(db);
}

static void test_requests__mark_what_is_slow(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    db_fill(db, "c", 300);
    db_run(db, "ALTER SYSTEM SET slow_request_ms = 30", NULL);
    db_run(db, "ALTER SYSTEM SET statement_timeout_ms = 50", NULL);
    db_refused(db, ENDLESS, NULL, TAKO_TIMEOUT, NULL);
    db_expect(db, "SELECT slow, error FROM system:requests WHERE slow", NULL,
              "[{\"slow\":true,\"error\":\"TAKO_TIMEOUT\"}]");
    db_expect(db,
              "SELECT name, value FROM system:metrics WHERE name IN "
              "('requests_slow', 'requests_timed_out', 'requests_canceled') "
              "ORDER BY name",
              NULL,
              "[{\"name\":\"requests_canceled\",\"value\":0},{\"name\":"
              "\"requests_slow\",\"value\":1},{\"name\":\"requests_timed_out\","
              "\"value\":1}]");
    db_run(db, "ALTER SYSTEM SET slow_request_ms = 0", NULL);
    db_refused(db, ENDLESS, NULL, TAKO_TIMEOUT, NULL);
    db_expect(db, "SELECT count(*) AS n FROM system:requests WHERE slow", NULL,
              "[{\"n\":1}]");
    tako_close(db);
}

/* Settings hold for all connections at once, over a reopening, and not at all
 * when their transaction is rolled back. */
static void test_settings__hold_at_run_time(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    tako_tx *tx = NULL;
    tako_result *res = NULL;

    db_fill(db, "c", 300);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "ALTER SYSTEM SET statement_timeout_ms = 1", NULL,
                          NULL),
          "set");
    tako_tx_rollback(tx);
    db_expect(db, "SELECT count(*) AS n FROM c a JOIN c b WHERE a.n < b.n",
              NULL, "[{\"n\":44850}]");
    db_run(db, "ALTER SYSTEM SET statement_timeout_ms = 40", NULL);
    tako_close(db);
    db = db_open(path);
    db_refused(db, ENDLESS, NULL, TAKO_TIMEOUT, "40 ms");
    db_run(db, "RESET ALL", NULL);

    db_run(db, "ALTER SYSTEM SET result_bytes_max = 65536", NULL);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    assert_int_equal(
        tako_tx_execute(tx, "SELECT repeat('x', 1000) AS x FROM c", NULL, &res),
        TAKO_LIMIT);
    assert_non_null(strstr(tako_last_error(db), "result_bytes_max, 65536"));
    db_ok(db, tako_tx_execute(tx, "SELECT n FROM c", NULL, &res), "select");
    tako_result_free(res);
    tako_tx_rollback(tx);
    free(db_rows(db, "SELECT repeat('x', 1000) AS x FROM c", NULL));
    tako_close(db);
}

/* Prepared once, run twice: what the first run tried is forgotten. */
static void test_plans__are_the_same_again(void **state)
{
    static const char *const texts[] = {
        "ADVISE SELECT * FROM c WHERE x = 1 ORDER BY y",
        "EXPLAIN SELECT * FROM c WHERE x = 1 ORDER BY y",
        "SHOW slow_request_ms",
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));

    db_fill(db, "c", 30);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *first = db_rows(db, texts[i], NULL);

        assert_null(strstr(first, "serve it already"));
        for (int k = 0; k < 3; k++)
            db_expect(db, texts[i], NULL, first);
        free(first);
    }
    tako_close(db);
}

static void test_results__carry_a_note(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *res = NULL;

    db_run(db, "INSERT INTO orders DOCUMENTS ({})", NULL);
    for (int i = 0; i < 2; i++) { /* the second from the cache */
        db_ok(db, tako_execute(db, "SELECT * FROM ordres", NULL, &res), "x");
        assert_string_equal(
            tako_result_note(res),
            "there is no collection ordres; did you mean orders?");
        tako_result_free(res);
    }
    db_run(db, "INSERT INTO ordres DOCUMENTS ({})", NULL);
    db_ok(db, tako_execute(db, "SELECT * FROM ordres", NULL, &res), "x");
    assert_string_equal(tako_result_note(res), "");
    tako_result_free(res);
    assert_string_equal(tako_result_note(NULL), "");
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_cancel__stops_a_select),
        T(test_cancel__undoes_a_mutation),
        T(test_cancel__comes_before_the_begin),
        T(test_timeout__stops_and_undoes),
        T(test_timeout__does_not_count_what_the_program_does),
        T(test_requests__remember_the_latest),
        T(test_requests__mark_what_is_slow),
        T(test_settings__hold_at_run_time),
        T(test_plans__are_the_same_again),
        T(test_results__carry_a_note),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
