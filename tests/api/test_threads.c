// SPDX-License-Identifier: Apache-2.0
/* Threads that do everything at once on one database; to be run under TSan. */
#include "support_db.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

#define WRITERS  3u
#define ROUNDS   60u
#define ACCOUNTS 8u
#define START    1000

typedef struct hammer {
    tako_db *db;
    unsigned number;
    atomic_bool stop;
    atomic_uint wrong;
    atomic_uint deliveries;
} hammer;

typedef struct worker {
    hammer *h;
    unsigned number;
    sys_thread *thread;
} worker;

/* Moves money between accounts in transactions: the sum never changes. */
static void write_some(void *arg)
{
    worker *w = arg;
    tako_db *db = w->h->db;
    char text[160];

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned from = (i * 7 + w->number) % ACCOUNTS;
        unsigned to = (from + 1 + i % (ACCOUNTS - 1)) % ACCOUNTS;
        tako_tx *tx = NULL;
        tako_err err = tako_tx_begin(db, 0, &tx);

        if (err != TAKO_OK) {
            (void)atomic_fetch_add(&w->h->wrong, 1u);
            return;
        }
        (void)snprintf(text, sizeof text,
                       "UPDATE accounts SET v = v - 1 WHERE _id = %u", from);
        err = tako_tx_execute(tx, text, NULL, NULL);
        (void)snprintf(text, sizeof text,
                       "UPDATE accounts SET v = v + 1 WHERE _id = %u", to);
        if (err == TAKO_OK)
            err = tako_tx_execute(tx, text, NULL, NULL);
        if (err != TAKO_OK)
            (void)atomic_fetch_add(&w->h->wrong, 1u);
        if (i % 5 == 4)
            tako_tx_rollback(tx);
        else if (tako_tx_commit(tx, NULL) != TAKO_OK)
            (void)atomic_fetch_add(&w->h->wrong, 1u);
        if (tako_execute(db, "INSERT INTO log DOCUMENTS ({'a': 1})", NULL,
                         NULL) != TAKO_OK)
            (void)atomic_fetch_add(&w->h->wrong, 1u);
    }
}

static void read_sum(hammer *h)
{
    tako_result *r = NULL;
    const char *json = "";
    char want[32];

    (void)snprintf(want, sizeof want, "{\"s\":%u}", ACCOUNTS * START);
    if (tako_execute(h->db, "SELECT sum(v) AS s FROM accounts", NULL, &r) !=
            TAKO_OK ||
        tako_result_next(r) != TAKO_OK ||
        tako_result_json(r, &json, NULL) != TAKO_OK || strcmp(json, want) != 0)
        (void)atomic_fetch_add(&h->wrong, 1u);
    tako_result_free(r);
}

static void read_some(void *arg)
{
    worker *w = arg;
    hammer *h = w->h;
    unsigned n = 0;

    while (!atomic_load(&h->stop)) {
        char *json = NULL;
        char hex[65];

        read_sum(h);
        if (tako_get(h->db, "accounts", "3", &json) != TAKO_OK)
            (void)atomic_fetch_add(&h->wrong, 1u);
        tako_free(json);
        if (tako_execute(h->db, "nonsense", NULL, NULL) != TAKO_INVALID ||
            strstr(tako_last_error(h->db), "line 1") == NULL)
            (void)atomic_fetch_add(&h->wrong, 1u);
        if (++n % 16 == 0 && tako_hash(h->db, NULL, hex, NULL) != TAKO_OK)
            (void)atomic_fetch_add(&h->wrong, 1u);
    }
}

static void on_rows(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    hammer *h = ctx;

    (void)commit;
    if (len != strlen(rows))
        (void)atomic_fetch_add(&h->wrong, 1u);
    (void)atomic_fetch_add(&h->deliveries, 1u);
}

static void observe_some(void *arg)
{
    worker *w = arg;
    hammer *h = w->h;
    tako_sub sub;

    while (!atomic_load(&h->stop)) {
        tako_observer a, b;
        char *json = NULL;

        if (tako_observe(h->db, "SELECT * FROM accounts", NULL, on_rows, h,
                         &a) != TAKO_OK ||
            tako_observe(h->db, "SELECT count(*) AS n FROM log", NULL, on_rows,
                         h, &b) != TAKO_OK ||
            tako_subscribe(h->db, "SELECT * FROM log", NULL, &sub) != TAKO_OK)
            (void)atomic_fetch_add(&h->wrong, 1u);
        sleep_ms(2);
        if (tako_status(h->db, &json) != TAKO_OK ||
            tako_unobserve(h->db, a) != TAKO_OK ||
            tako_unobserve(h->db, b) != TAKO_OK ||
            tako_unsubscribe(h->db, sub) != TAKO_OK)
            (void)atomic_fetch_add(&h->wrong, 1u);
        tako_free(json);
    }
}

static void start(hammer *h, worker *w, unsigned number, void (*fn)(void *))
{
    *w = (worker){ h, number, NULL };
    assert_int_equal(sys_thread_start(&h->db->env, fn, w, &w->thread), TAKO_OK);
}

static void fill_accounts(tako_db *db)
{
    char text[96];

    for (unsigned i = 0; i < ACCOUNTS; i++) {
        (void)snprintf(text, sizeof text,
                       "INSERT INTO accounts DOCUMENTS ({'_id': %u, 'v': %d})",
                       i, START);
        db_run(db, text, NULL);
    }
}

static void test_threads__see_whole_transactions_only(void **state)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    hammer h = { NULL, 0, false, 0, 0 };
    worker w[WRITERS + 3];
    char want[48];

    o.path = db_path(*state, "a.tako");
    o.busy_wait_ms = 60000;
    assert_int_equal(tako_open(&o, &h.db, NULL, 0), TAKO_OK);
    fill_accounts(h.db);
    for (unsigned i = 0; i < WRITERS; i++)
        start(&h, &w[i], i, write_some);
    start(&h, &w[WRITERS], 0, read_some);
    start(&h, &w[WRITERS + 1], 1, read_some);
    start(&h, &w[WRITERS + 2], 2, observe_some);
    for (unsigned i = 0; i < WRITERS; i++)
        sys_thread_join(w[i].thread);
    atomic_store(&h.stop, true);
    for (unsigned i = WRITERS; i < WRITERS + 3; i++)
        sys_thread_join(w[i].thread);
    (void)snprintf(want, sizeof want, "[{\"n\":%u}]", WRITERS * ROUNDS);
    db_expect(h.db, "SELECT count(*) AS n FROM log", NULL, want);
    tako_close(h.db);
    assert_int_equal(atomic_load(&h.wrong), 0);
    assert_true(atomic_load(&h.deliveries) > 0);
}

/* Whoever reads after a commit returned sees it, from any thread. */
static void test_threads__read_what_was_committed_before(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char text[96], want[48];

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 0})", NULL);
    for (unsigned i = 1; i < 200; i++) {
        char *json = NULL;

        (void)snprintf(text, sizeof text, "UPDATE c SET v = %u WHERE _id = 1",
                       i);
        db_run(db, text, NULL);
        db_ok(db, tako_get(db, "c", "1", &json), "get");
        (void)snprintf(want, sizeof want, "{\"_id\":1,\"v\":%u}", i);
        assert_string_equal(json, want);
        tako_free(json);
    }
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_threads__see_whole_transactions_only),
        T(test_threads__read_what_was_committed_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
