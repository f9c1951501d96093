// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <string.h>

#include "api/api.h"

static const char secret[] = "sixteen bytes or more of secret";

static void start(tako_db *db)
{
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;

    o.secret = secret;
    o.secret_len = sizeof secret - 1;
    db_ok(db, tako_sync_start(db, &o), "start");
}

static void test_subscribe__tells_errors_with_or_without_sync(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_params p = { "{\"t\": 4}", NULL, 0 };
    tako_sub sub = { 0 }, second = { 0 };

    for (int round = 0; round < 2; round++) {
        assert_int_equal(tako_subscribe(NULL, "SELECT * FROM c", NULL, &sub),
                         TAKO_MISUSE);
        assert_int_equal(tako_subscribe(db, NULL, NULL, &sub), TAKO_MISUSE);
        assert_int_equal(tako_subscribe(db, "SELECT * FORM c", NULL, &sub),
                         TAKO_INVALID);
        assert_non_null(strstr(tako_last_error(db), "line 1"));
        assert_int_equal(
            tako_subscribe(db, "SELECT count(*) FROM c", NULL, &sub),
            TAKO_INVALID);
        assert_int_equal(
            tako_subscribe(db, "SELECT * FROM c WHERE t = :t", NULL, &sub),
            TAKO_INVALID);
        db_ok(db, tako_subscribe(db, "SELECT * FROM c WHERE t = :t", &p, &sub),
              "subscribe");
        db_ok(db, tako_subscribe(db, "SELECT * FROM c", NULL, &second),
              "subscribe");
        assert_int_not_equal(sub.id, second.id);
        db_ok(db, tako_unsubscribe(db, sub), "unsubscribe");
        assert_int_equal(tako_unsubscribe(db, sub), TAKO_NOTFOUND);
        if (round == 0)
            start(db); /* takes the second one over */
    }
    db_ok(db, tako_unsubscribe(db, second), "unsubscribe");
    tako_close(db);
}

static void test_subscribe__has_a_limit(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    for (unsigned i = 0; i < TAKO_SUBSCRIPTIONS_MAX; i++)
        db_ok(db, tako_subscribe(db, "SELECT * FROM c", NULL, NULL),
              "subscribe");
    assert_int_equal(tako_subscribe(db, "SELECT * FROM c", NULL, NULL),
                     TAKO_LIMIT);
    tako_close(db);
}

static void test_peers__come_and_go_while_sync_runs(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    assert_int_equal(tako_peer_add(db, "tcp://127.0.0.1:1"), TAKO_MISUSE);
    start(db);
    assert_int_equal(tako_peer_add(db, NULL), TAKO_MISUSE);
    assert_int_equal(tako_peer_add(db, "nonsense"), TAKO_INVALID);
    db_ok(db, tako_peer_add(db, "tcp://127.0.0.1:1"), "add");
    assert_int_equal(tako_peer_add(db, "tcp://127.0.0.1:1"), TAKO_EXISTS);
    db_ok(db, tako_peer_remove(db, "tcp://127.0.0.1:1"), "remove");
    assert_int_equal(tako_peer_remove(db, "tcp://127.0.0.1:1"), TAKO_NOTFOUND);
    assert_int_equal(tako_peer_remove(NULL, "x"), TAKO_MISUSE);
    tako_close(db);
}

typedef struct waiter {
    tako_db *db;
    tako_err err;
} waiter;

static void wait_long(void *arg)
{
    waiter *w = arg;

    w->err = tako_wait(w->db, 1, "nobody", 60000);
}

static void test_wait__ends_when_sync_stops(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    waiter w = { db, TAKO_OK };
    sys_thread *t = NULL;

    assert_int_equal(tako_wait(NULL, 1, NULL, 1), TAKO_MISUSE);
    assert_int_equal(tako_wait(db, 1, NULL, 60000), TAKO_CLOSED);
    start(db);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(tako_wait(db, 1, NULL, 30), TAKO_TIMEOUT);
    assert_non_null(strstr(tako_last_error(db), "commit 1"));
    assert_int_equal(sys_thread_start(&db->env, wait_long, &w, &t), TAKO_OK);
    sleep_ms(30);
    tako_sync_stop(db);
    sys_thread_join(t);
    assert_int_equal(w.err, TAKO_CLOSED);
    assert_int_equal(tako_wait(db, 1, NULL, 60000), TAKO_CLOSED);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_subscribe__tells_errors_with_or_without_sync),
        T(test_subscribe__has_a_limit),
        T(test_peers__come_and_go_while_sync_runs),
        T(test_wait__ends_when_sync_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
