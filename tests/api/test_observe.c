// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

/* What an observer was told, for another thread to wait on. */
typedef struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned calls;
    unsigned inside; /* callbacks running now; never over 1 */
    bool overlapped;
    char last[512];
    uint64_t commit;
    tako_db *db;            /* unobserve from the callback */
    tako_observer observer; /* when `leave` */
    bool leave;
    unsigned slow_ms;
} seen;

static void seen_init(seen *s, tako_db *db)
{
    memset(s, 0, sizeof *s);
    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_cond_init(&s->cond, NULL);
    s->db = db;
}

static void on_rows(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    seen *s = ctx;

    (void)pthread_mutex_lock(&s->mutex);
    s->overlapped = s->overlapped || s->inside++ > 0;
    s->calls++;
    s->commit = commit;
    (void)snprintf(s->last, sizeof s->last, "%.*s", (int)len, rows);
    (void)pthread_cond_broadcast(&s->cond);
    (void)pthread_mutex_unlock(&s->mutex);
    if (s->slow_ms > 0)
        sleep_ms(s->slow_ms);
    if (s->leave && tako_unobserve(s->db, s->observer) != TAKO_OK)
        s->overlapped = true;
    (void)pthread_mutex_lock(&s->mutex);
    s->inside--;
    (void)pthread_mutex_unlock(&s->mutex);
}

static unsigned calls_of(seen *s)
{
    unsigned n;

    (void)pthread_mutex_lock(&s->mutex);
    n = s->calls;
    (void)pthread_mutex_unlock(&s->mutex);
    return n;
}

/* Waits until `json` was delivered last; 5 s at most. */
static void seen_wait(seen *s, const char *json)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    (void)pthread_mutex_lock(&s->mutex);
    while (s->calls == 0 || strcmp(s->last, json) != 0) {
        if (pthread_cond_timedwait(&s->cond, &s->mutex, &until) != 0) {
            (void)pthread_mutex_unlock(&s->mutex);
            fail_msg("%s instead of %s after %u calls", s->last, json,
                     s->calls);
        }
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

static void test_observe__delivers_at_once_and_after_changes(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_params p = { "{\"min\": 1}", NULL, 0 };
    tako_observer o;
    tako_tx *tx = NULL;
    uint64_t commit = 0;
    seen s;

    seen_init(&s, db);
    db_ok(db,
          tako_observe(db, "SELECT v FROM c WHERE v > :min ORDER BY v", &p,
                       on_rows, &s, &o),
          "observe");
    seen_wait(&s, "[]"); /* the collection does not exist yet */
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 2})", NULL);
    seen_wait(&s, "[{\"v\":2}]");
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "INSERT INTO c DOCUMENTS ({'_id': 2, 'v': 3})",
                          NULL, NULL),
          "insert");
    db_ok(db, tako_tx_commit(tx, &commit), "commit");
    seen_wait(&s, "[{\"v\":2},{\"v\":3}]");
    assert_int_equal(s.commit, commit);
    db_ok(db, tako_unobserve(db, o), "unobserve");
    assert_int_equal(tako_unobserve(db, o), TAKO_NOTFOUND);
    assert_false(s.overlapped);
    tako_close(db);
}

static void test_observe__is_silent_when_nothing_changed_for_it(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o, last;
    seen s, other;

    seen_init(&s, db);
    seen_init(&other, db);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 2})", NULL);
    db_ok(
        db,
        tako_observe(db, "SELECT v FROM c WHERE v = 2", NULL, on_rows, &s, &o),
        "observe");
    db_ok(db,
          tako_observe(db, "SELECT count(*) AS n FROM c", NULL, on_rows, &other,
                       &last),
          "observe");
    seen_wait(&s, "[{\"v\":2}]");
    /* another collection, then a document that it does not show */
    db_run(db, "INSERT INTO d DOCUMENTS ({'_id': 1, 'v': 2})", NULL);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 2, 'v': 9})", NULL);
    seen_wait(&other, "[{\"n\":2}]"); /* the queue is served in order */
    assert_int_equal(calls_of(&s), 1);
    tako_close(db);
}

static void test_observe__answers_many_commits_by_few_calls(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o;
    seen s;

    seen_init(&s, db);
    s.slow_ms = 30;
    db_ok(
        db,
        tako_observe(db, "SELECT count(*) AS n FROM c", NULL, on_rows, &s, &o),
        "observe");
    seen_wait(&s, "[{\"n\":0}]");
    for (unsigned i = 0; i < 200; i++)
        db_run(db, "INSERT INTO c DOCUMENTS ({'v': 1})", NULL);
    seen_wait(&s, "[{\"n\":200}]");
    assert_in_range(calls_of(&s), 2, 150);
    assert_false(s.overlapped);
    tako_close(db);
}

static void test_observe__ends_from_the_callback_itself(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_tx *tx = NULL;
    seen s;

    seen_init(&s, db);
    s.leave = true;
    /* the first delivery waits for this: s.observer is set before it looks */
    (void)pthread_mutex_lock(&s.mutex);
    db_ok(db,
          tako_observe(db, "SELECT * FROM c", NULL, on_rows, &s, &s.observer),
          "observe");
    (void)pthread_mutex_unlock(&s.mutex);
    seen_wait(&s, "[]");
    for (int i = 0; i < 5; i++) {
        db_run(db, "INSERT INTO c DOCUMENTS ({'v': 1})", NULL);
        sleep_ms(5);
    }
    assert_int_equal(calls_of(&s), 1);
    assert_false(s.overlapped);
    assert_int_equal(tako_unobserve(db, s.observer), TAKO_NOTFOUND);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    tako_tx_rollback(tx);
    tako_close(db);
}

static void test_unobserve__waits_for_a_running_callback(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o;
    seen s;

    seen_init(&s, db);
    s.slow_ms = 50;
    db_ok(db, tako_observe(db, "SELECT * FROM c", NULL, on_rows, &s, &o),
          "observe");
    seen_wait(&s, "[]"); /* it sleeps now */
    db_ok(db, tako_unobserve(db, o), "unobserve");
    assert_int_equal(s.inside, 0);
    db_run(db, "INSERT INTO c DOCUMENTS ({'v': 1})", NULL);
    sleep_ms(20);
    assert_int_equal(calls_of(&s), 1);
    tako_close(db);
}

static void test_observe__refuses_what_is_no_select(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o = { 77 };
    seen s;

    seen_init(&s, db);
    assert_int_equal(
        tako_observe(NULL, "SELECT * FROM c", NULL, on_rows, &s, &o),
        TAKO_MISUSE);
    assert_int_equal(tako_observe(db, "SELECT * FROM c", NULL, NULL, &s, &o),
                     TAKO_MISUSE);
    assert_int_equal(tako_observe(db, NULL, NULL, on_rows, &s, &o),
                     TAKO_MISUSE);
    assert_int_equal(tako_observe(db, "DELETE FROM c", NULL, on_rows, &s, &o),
                     TAKO_INVALID);
    assert_int_equal(tako_observe(db, "SELECT FROM", NULL, on_rows, &s, &o),
                     TAKO_INVALID);
    assert_non_null(strstr(tako_last_error(db), "line 1"));
    assert_int_equal(
        tako_observe(db, "SELECT * FROM c WHERE v = :p", NULL, on_rows, &s, &o),
        TAKO_INVALID);
    assert_int_equal(o.id, 77);
    assert_int_equal(tako_unobserve(db, o), TAKO_NOTFOUND);
    assert_int_equal(tako_unobserve(NULL, o), TAKO_MISUSE);
    tako_close(db);
    assert_int_equal(s.calls, 0);
}

static void test_observe__thousands_come_and_go(void **state)
{
    enum { MANY = 3000 };
    static tako_observer o[MANY];
    static seen s, one;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer again;

    seen_init(&s, db);
    seen_init(&one, db);
    for (int i = 0; i < MANY; i++) {
        char text[80];

        (void)snprintf(text, sizeof text, "SELECT v FROM c WHERE v = %d", i);
        db_ok(db,
              tako_observe_diff(db, text, NULL, 0, on_rows,
                                i == 1234 ? &one : &s, &o[i]),
              text);
        for (int k = 0; k < i; k += 500)
            assert_int_not_equal(o[k].id, o[i].id);
    }
    while (calls_of(&s) + calls_of(&one) < MANY)
        sleep_ms(1);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 1234})", NULL);
    seen_wait(&one, "{\"commit\":1,\"reset\":false,\"inserted\":[{\"row\":"
                    "{\"v\":1234}}],\"updated\":[],\"removed\":[],"
                    "\"moved\":[]}");
    assert_int_equal(calls_of(&s), MANY - 1);
    for (int i = 0; i < MANY; i++)
        db_ok(db, tako_unobserve(db, o[(i * 7) % MANY]), "unobserve");
    db_ok(db, tako_observe(db, "SELECT v FROM c", NULL, on_rows, &s, &again),
          "observe");
    for (int i = 0; i < MANY; i++) { /* a used place has another id */
        assert_int_not_equal(again.id, o[i].id);
        assert_int_equal(tako_unobserve(db, o[i]), TAKO_NOTFOUND);
    }
    tako_close(db);
}

static void test_close__waits_for_observers(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o;
    seen s;

    seen_init(&s, db);
    s.slow_ms = 30;
    for (int i = 0; i < 20; i++)
        db_ok(db, tako_observe(db, "SELECT * FROM c", NULL, on_rows, &s, &o),
              "observe");
    seen_wait(&s, "[]");
    db_run(db, "INSERT INTO c DOCUMENTS ({'v': 1})", NULL);
    tako_close(db);
    assert_int_equal(s.inside, 0);
    assert_false(s.overlapped);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_observe__delivers_at_once_and_after_changes),
        T(test_observe__is_silent_when_nothing_changed_for_it),
        T(test_observe__answers_many_commits_by_few_calls),
        T(test_observe__ends_from_the_callback_itself),
        T(test_unobserve__waits_for_a_running_callback),
        T(test_observe__refuses_what_is_no_select),
        T(test_observe__thousands_come_and_go),
        T(test_close__waits_for_observers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
