// SPDX-License-Identifier: Apache-2.0
/* tests/api/test_deliver.c mirrors src/api/deliver.c and changes.c: an app
 * that applies what it is told has, at each commit that it is told of, what
 * the query gives at that commit. */
#include "support_mirror.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/observe.h"

/* ---- random histories ----------------------------------------------------------- */

static const struct {
    const char *select;
    bool set;
} queries[] = {
    { "SELECT * FROM c WHERE a = 1", true },
    { "SELECT * FROM c", true },
    { "SELECT v, a FROM c WHERE a IN (1, 2) AND v > 3", true },
    { "SELECT _id, v * 2 AS w FROM c WHERE v < 5 OR a = 0", true },
    { "SELECT * FROM c WHERE _id = 7", true },
    { "SELECT * FROM later WHERE a = 1", true },
    { "SELECT _id, v FROM c ORDER BY v, _id", false },
    { "SELECT v FROM c WHERE a = 2 ORDER BY v DESC", false },
    { "SELECT * FROM c ORDER BY v DESC, _id LIMIT 5", false },
    { "SELECT a, count(*) AS n, sum(v) AS s FROM c GROUP BY a ORDER BY a",
      false },
    { "SELECT count(*) AS n FROM c WHERE a = 2", false },
    { "SELECT DISTINCT a FROM c ORDER BY a DESC", false },
    { "SELECT * FROM c USE IDS [3, 5]", false },
};
#define QUERIES (sizeof queries / sizeof queries[0])
#define COMMITS 400

static void random_statement(test_env *t, char *out, size_t cap)
{
    unsigned id = (unsigned)test_below(t, 30), a = (unsigned)test_below(t, 4);
    unsigned v = (unsigned)test_below(t, 10);
    const char *c = test_below(t, 12) == 0 ? "later" : "c";

    switch (test_below(t, 6)) {
    case 0:
    case 1:
    case 2:
        (void)snprintf(out, cap,
                       "INSERT INTO %s DOCUMENTS ({'_id': %u, 'a': %u, 'v': "
                       "%u}) ON ID CONFLICT DO UPDATE",
                       c, id, a, v);
        break;
    case 3:
        (void)snprintf(out, cap, "UPDATE %s SET v = %u WHERE a = %u", c, v, a);
        break;
    case 4:
        (void)snprintf(out, cap, "UPDATE %s SET x = %u WHERE _id = %u", c, v,
                       id);
        break;
    default:
        (void)snprintf(out, cap, "DELETE FROM %s WHERE _id = %u", c, id);
        break;
    }
}

/* Runs a mutation; its commit. */
static uint64_t commit_of(tako_db *db, const char *text)
{
    uint64_t commit = 0;

    db_ok(db, tako_run(db, text, NULL, &commit), text);
    return commit;
}

/* A transaction of some statements; its commit. */
static uint64_t random_commit(test_env *t, tako_db *db)
{
    unsigned n = 1 + (unsigned)test_below(t, 4);
    uint64_t commit = 0;
    tako_tx *tx = NULL;

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    while (n-- > 0) {
        char text[200];

        random_statement(t, text, sizeof text);
        db_ok(db, tako_tx_execute(tx, text, NULL, NULL), text);
    }
    db_ok(db, tako_tx_commit(tx, &commit), "commit");
    return commit;
}

typedef struct history {
    uint64_t commits[COMMITS + 1];
    char *results[COMMITS + 1][QUERIES]; /* at each of them */
    size_t count;
} history;

static void note(history *h, tako_db *db, uint64_t commit)
{
    h->commits[h->count] = commit;
    for (size_t q = 0; q < QUERIES; q++)
        h->results[h->count][q] =
            mirror_result(db, queries[q].select, queries[q].set);
    h->count++;
}

/* A commit that was not noted changed nothing: the one before it counts. */
static const char *result_at(const history *h, size_t q, uint64_t commit)
{
    size_t i = h->count - 1;

    while (i > 0 && h->commits[i] > commit)
        i--;
    return h->results[i][q];
}

static void check_mirror(const history *h, size_t q, mirror *m)
{
    if (m->wrong != NULL)
        fail_msg("%s: %s", m->select, m->wrong);
    for (size_t i = 0; i < m->state_count; i++) {
        const char *want = result_at(h, q, m->states[i].commit);

        if (strcmp(m->states[i].rows, want) != 0)
            fail_msg("%s at commit %llu\n  want %s\n  got  %s", m->select,
                     (unsigned long long)m->states[i].commit, want,
                     m->states[i].rows);
    }
}

static void run_history(void **state, uint64_t seed)
{
    static mirror mirrors[2 * QUERIES]; /* by itself, and when asked */
    static history h;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    test_env t;

    test_env_init(&t, seed);
    memset(&h, 0, sizeof h);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'a': 1, 'v': 4})", NULL);
    note(&h, db, 0);
    for (size_t i = 0; i < 2 * QUERIES; i++)
        mirror_start(&mirrors[i], db, queries[i % QUERIES].select,
                     queries[i % QUERIES].set,
                     i < QUERIES ? 0 : TAKO_OBSERVE_ASKED);
    for (int i = 0; i < COMMITS; i++) {
        uint64_t commit = random_commit(&t, db);

        if (commit != 0)
            note(&h, db, commit);
        for (size_t k = QUERIES; k < 2 * QUERIES; k++)
            if (test_below(&t, 8) == 0)
                db_ok(db, tako_observer_next(db, mirrors[k].observer), "next");
        if (test_below(&t, 20) == 0)
            sleep_ms(1);
    }
    for (size_t i = 0; i < 2 * QUERIES; i++) {
        const char *last = h.results[h.count - 1][i % QUERIES];

        if (i >= QUERIES) /* one is told at most; then what is left */
            db_ok(db, tako_observer_next(db, mirrors[i].observer), "next");
        if (i < QUERIES)
            mirror_wait_rows(&mirrors[i], last);
    }
    tako_close(db);
    for (size_t i = 0; i < 2 * QUERIES; i++) {
        check_mirror(&h, i % QUERIES, &mirrors[i]);
        mirror_free(&mirrors[i]);
    }
    for (size_t i = 0; i < h.count; i++)
        for (size_t q = 0; q < QUERIES; q++)
            free(h.results[i][q]);
}

static void test_diff__a_mirror_has_what_the_query_gives(void **state)
{
    run_history(state, test_seed(31));
}

/* ---- what is told ------------------------------------------------------------------ */

static void test_diff__a_lone_change_is_told_as_it_is(void **state)
{
    static mirror set, list;
    tako_db *db = db_open(db_path(*state, "a.tako"));

    db_fill(db, "c", 100);
    mirror_start(&set, db, "SELECT n FROM c WHERE `group` = 3", true, 0);
    mirror_start(&list, db, "SELECT _id, n FROM c ORDER BY n", false, 0);
    mirror_wait_commit(&set, 1);
    mirror_wait_commit(&list, 1);
    mirror_wait_commit(&list,
                       commit_of(db, "UPDATE c SET n = 1000 WHERE n = 13"));
    mirror_wait_commit(&set, 2);
    /* of the set one row; in the list that row, which moved to the end */
    assert_int_equal(set.inserted, 10);
    assert_int_equal(set.updated, 1);
    assert_int_equal(list.updated, 1);
    assert_int_equal(list.moved, 1);
    assert_int_equal(list.inserted, 100);
    /* nothing that they show changed */
    db_run(db, "UPDATE c SET other = 1 WHERE n = 23", NULL);
    mirror_wait_commit(&set, commit_of(db, "DELETE FROM c WHERE n = 33"));
    mirror_wait_commit(&list, 4);
    assert_int_equal(set.state_count, 3);
    assert_int_equal(list.state_count, 3);
    assert_int_equal(set.removed + list.removed, 2);
    assert_int_equal(set.resets + list.resets, 2);
    assert_null(set.wrong);
    assert_null(list.wrong);
    tako_close(db);
    mirror_free(&set);
    mirror_free(&list);
}

static void test_next__gets_one_delivery_of_all_that_happened(void **state)
{
    static mirror m;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t commit = 0;

    mirror_start(&m, db, "SELECT * FROM c WHERE a = 1", true,
                 TAKO_OBSERVE_ASKED);
    mirror_wait_rows(&m, "[]");
    for (int i = 0; i < 20; i++) {
        char text[120];

        (void)snprintf(text, sizeof text,
                       "INSERT INTO c DOCUMENTS ({'_id': 1, 'a': 1, 'v': %d}) "
                       "ON ID CONFLICT DO UPDATE",
                       i);
        commit = commit_of(db, text);
    }
    sleep_ms(20);
    assert_int_equal(mirror_states(&m), 1);
    db_ok(db, tako_observer_next(db, m.observer), "next");
    mirror_wait_commit(&m, commit);
    mirror_wait_rows(&m, "[{\"a\":1,\"v\":19,\"_id\":1}]");
    assert_int_equal(m.inserted, 1);
    assert_int_equal(m.updated, 0);
    /* in and out again: there is nothing to tell, the question stays */
    db_ok(db, tako_observer_next(db, m.observer), "next");
    db_run(db, "UPDATE c SET b = 1 WHERE _id = 2", NULL);
    sleep_ms(20);
    assert_int_equal(mirror_states(&m), 2);
    db_run(db, "DELETE FROM c WHERE _id = 1", NULL);
    mirror_wait_rows(&m, "[]");
    assert_int_equal(m.resets, 1);
    assert_null(m.wrong);
    db_ok(db, tako_unobserve(db, m.observer), "unobserve");
    assert_int_equal(tako_observer_next(db, m.observer), TAKO_NOTFOUND);
    assert_int_equal(tako_observer_next(NULL, m.observer), TAKO_MISUSE);
    tako_close(db);
    mirror_free(&m);
}

/* ---- too much -------------------------------------------------------------------------- */

static void
test_changes__the_same_documents_over_and_over_stay_few(void **state)
{
    static mirror m;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *rows;
    uint64_t commit = 0;

    db_fill(db, "c", 10);
    mirror_start(&m, db, "SELECT * FROM c WHERE `group` >= 0", true,
                 TAKO_OBSERVE_ASKED);
    mirror_wait_commit(&m, 1);
    for (unsigned i = 0; i < TAKO_OBSERVER_CHANGES_MAX / 10 * 2; i++)
        commit = commit_of(db, "UPDATE c SET n = n + 1");
    db_ok(db, tako_observer_next(db, m.observer), "next");
    mirror_wait_commit(&m, commit);
    rows = mirror_result(db, m.select, true);
    mirror_wait_rows(&m, rows);
    assert_int_equal(m.updated, 10);
    assert_int_equal(m.resets, 1);
    free(rows);
    tako_close(db);
    mirror_free(&m);
}

static void test_changes__too_many_are_a_reset(void **state)
{
    static mirror m, other;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char *rows;

    mirror_start(&m, db, "SELECT n FROM c WHERE n >= 0", true,
                 TAKO_OBSERVE_ASKED);
    mirror_start(&other, db, "SELECT n FROM c WHERE n = 5", true, 0);
    mirror_wait_rows(&m, "[]");
    mirror_wait_rows(&other, "[]");
    db_fill(db, "c", TAKO_OBSERVER_CHANGES_MAX + 100);
    mirror_wait_rows(&other, "[{\"n\":5}]");
    assert_int_equal(other.resets, 1);
    db_ok(db, tako_observer_next(db, m.observer), "next");
    rows = mirror_result(db, m.select, true);
    mirror_wait_rows(&m, rows);
    free(rows);
    assert_int_equal(m.resets, 2);
    /* and then changes again */
    db_ok(db, tako_observer_next(db, m.observer), "next");
    mirror_wait_commit(&m, commit_of(db, "DELETE FROM c WHERE n = 7"));
    assert_int_equal(m.removed, 1);
    assert_int_equal(m.resets, 2);
    assert_null(m.wrong);
    tako_close(db);
    mirror_free(&m);
    mirror_free(&other);
}

/* Waits until an observer is about to read its first result. */
static void wait_gathering(tako_db *db, const api_observer *o)
{
    bool gathering = false;

    for (int i = 0; i < 10000 && !gathering; i++) {
        sys_mutex_lock(db->observers.mutex);
        gathering = o->gathering;
        sys_mutex_unlock(db->observers.mutex);
        if (!gathering)
            sleep_ms(1);
    }
    assert_true(gathering);
}

static void at_gate(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    pthread_mutex_t *gate = ctx;

    (void)rows;
    (void)len;
    (void)commit;
    (void)pthread_mutex_lock(gate);
    (void)pthread_mutex_unlock(gate);
}

/* What is committed while the first result waits for a reader is both in it
 * and noted as a change. The other observer holds the dispatcher until all
 * readers are taken. */
static void test_changes__that_a_result_shows_are_told_once(void **state)
{
    static mirror m;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    tako_result *open[TAKO_READERS_MAX];
    tako_observer o;

    db_fill(db, "c", 5000); /* well over API_RESULT_BYTES_UPFRONT */
    (void)pthread_mutex_lock(&gate);
    db_ok(db, tako_observe(db, "SELECT 1 AS x", NULL, at_gate, &gate, &o),
          "observe");
    mirror_start(&m, db, "SELECT n, v FROM c WHERE n < 5", true, 0);
    for (size_t i = 0; i < TAKO_READERS_MAX; i++)
        db_ok(db, tako_execute(db, "SELECT * FROM c", NULL, &open[i]), "open");
    (void)pthread_mutex_unlock(&gate);
    wait_gathering(db, db->observers.slots[1].observer);
    db_run(db, "UPDATE c SET v = 1 WHERE n = 3", NULL);
    for (size_t i = 0; i < TAKO_READERS_MAX; i++)
        tako_result_free(open[i]);
    mirror_wait_commit(&m, commit_of(db, "UPDATE c SET v = 2 WHERE n = 4"));
    assert_null(m.wrong);
    assert_in_range(m.updated, 0, 1); /* of 4, unless the result had that */
    tako_close(db);
    mirror_free(&m);
}

static void test_changes__of_too_many_bytes_are_a_reset(void **state)
{
    static mirror m, other;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    unsigned n = TAKO_OBSERVER_CHANGES_BYTES_MAX / 60000 / 2 + 10;
    char *rows;

    db_fill(db, "c", n);
    mirror_start(&m, db, "SELECT * FROM c", true, TAKO_OBSERVE_ASKED);
    mirror_start(&other, db, "SELECT n FROM c WHERE n = 5", true, 0);
    mirror_wait_commit(&m, 1);
    mirror_wait_commit(&other, 1);
    db_run(db, "UPDATE c SET t = repeat('x', 60000)", NULL);
    mirror_wait_commit(&other,
                       commit_of(db, "UPDATE c SET n = n + 1 WHERE n <> 5"));
    db_ok(db, tako_observer_next(db, m.observer), "next");
    rows = mirror_result(db, m.select, true);
    mirror_wait_rows(&m, rows);
    free(rows);
    assert_int_equal(m.resets, 2);
    assert_int_equal(other.resets, 1);
    assert_null(m.wrong);
    tako_close(db);
    mirror_free(&m);
    mirror_free(&other);
}

/* Where memory fails, now and then, on whatever thread. */
static atomic_uint allocations;
static atomic_bool failing;
static void *(*real_realloc)(void *ctx, void *p, size_t old, size_t n);

static void *flaky_realloc(void *ctx, void *p, size_t old, size_t n)
{
    if (n > 0 && atomic_load(&failing) &&
        atomic_fetch_add(&allocations, 1u) % 41 == 0)
        return NULL;
    return real_realloc(ctx, p, old, n);
}

static void test_changes__memory_that_fails_misses_nothing(void **state)
{
    static mirror mirrors[QUERIES];
    tako_db *db = db_open(db_path(*state, "a.tako"));
    test_env t;

    test_env_init(&t, test_seed(41));
    real_realloc = db->env.realloc;
    db->env.realloc = flaky_realloc;
    for (size_t q = 0; q < QUERIES; q++)
        mirror_start(&mirrors[q], db, queries[q].select, queries[q].set, 0);
    for (int i = 0; i < 300; i++) {
        char text[200];

        random_statement(&t, text, sizeof text);
        if (i % 20 == 0)
            sleep_ms(1);
        atomic_store(&failing, i % 50 < 40);
        (void)tako_run(db, text, NULL, NULL); /* it may fail */
    }
    atomic_store(&failing, false);
    for (size_t q = 0; q < QUERIES; q++) {
        char *rows = mirror_result(db, queries[q].select, queries[q].set);

        mirror_wait_rows(&mirrors[q], rows);
        free(rows);
    }
    tako_close(db);
    for (size_t q = 0; q < QUERIES; q++) {
        if (mirrors[q].wrong != NULL)
            fail_msg("%s: %s", mirrors[q].select, mirrors[q].wrong);
        mirror_free(&mirrors[q]);
    }
}

static void test_results__too_large_to_keep_are_told_whole(void **state)
{
    static mirror m;
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char text[200];

    (void)snprintf(text, sizeof text,
                   "UPDATE c SET t = repeat('x', %u) WHERE n < 3",
                   TAKO_OBSERVER_ROWS_BYTES_MAX / 2);
    db_fill(db, "c", 4);
    mirror_start(&m, db, "SELECT n, t FROM c ORDER BY n", false, 0);
    mirror_wait_commit(&m, 1);
    mirror_wait_commit(&m, commit_of(db, text)); /* from what was kept */
    assert_int_equal(m.updated, 3);
    db_run(db, "UPDATE c SET other = 2", NULL); /* nothing that it shows */
    mirror_wait_commit(&m, commit_of(db, "UPDATE c SET t = 'y' WHERE n < 3"));
    assert_int_equal(m.resets, 2);
    assert_int_equal(m.state_count, 3);
    mirror_wait_commit(&m, commit_of(db, "UPDATE c SET t = 'z' WHERE n = 1"));
    assert_int_equal(m.resets, 2);
    assert_int_equal(m.updated, 4);
    assert_null(m.wrong);
    tako_close(db);
    mirror_free(&m);
}

static void test_observe_diff__refuses_what_is_no_select(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o = { 77 };
    tako_observe_fn *fn = (tako_observe_fn *)(void (*)(void))free;

    assert_int_equal(
        tako_observe_diff(db, "SELECT * FROM c", NULL, 8, fn, NULL, &o),
        TAKO_MISUSE);
    assert_int_equal(
        tako_observe_diff(db, "SELECT * FROM c", NULL, 0, NULL, NULL, &o),
        TAKO_MISUSE);
    assert_int_equal(
        tako_observe_diff(db, "DELETE FROM c", NULL, 0, fn, NULL, &o),
        TAKO_INVALID);
    assert_int_equal(tako_observe_diff(db, "SELECT * FROM c WHERE a = :a", NULL,
                                       0, fn, NULL, &o),
                     TAKO_INVALID);
    assert_int_equal(o.id, 77);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_diff__a_mirror_has_what_the_query_gives),
        T(test_diff__a_lone_change_is_told_as_it_is),
        T(test_next__gets_one_delivery_of_all_that_happened),
        T(test_changes__the_same_documents_over_and_over_stay_few),
        T(test_changes__that_a_result_shows_are_told_once),
        T(test_changes__too_many_are_a_reset),
        T(test_changes__of_too_many_bytes_are_a_reset),
        T(test_changes__memory_that_fails_misses_nothing),
        T(test_results__too_large_to_keep_are_told_whole),
        T(test_observe_diff__refuses_what_is_no_select),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
