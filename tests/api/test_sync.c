// SPDX-License-Identifier: Apache-2.0
/* Two databases in one process that sync over 127.0.0.1. */
#include "support_db.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

#define WAIT_MS 15000u

static const char secret[] = "sixteen bytes or more of secret";

static tako_err join(tako_db *db, const char *name, const char *key,
                     const char *peer)
{
    const char *listen = "tcp://127.0.0.1:0";
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;

    o.name = name;
    o.secret = key;
    o.secret_len = strlen(key);
    o.listen = &listen;
    o.listen_count = 1;
    o.peers = &peer;
    o.peers_count = peer != NULL;
    return tako_sync_start(db, &o);
}

static void subscribe(tako_db *db)
{
    db_ok(db, tako_subscribe(db, "SELECT * FROM orders", NULL, NULL),
          "subscribe");
}

/* Joins two that want all orders, b dialling a. */
static void join_two(tako_db *a, tako_db *b)
{
    char *address = NULL;

    db_ok(a, join(a, "a", secret, NULL), "start a");
    db_ok(a, tako_sync_address(a, 0, &address), "address");
    db_ok(b, join(b, "b", secret, address), "start b");
    tako_free(address);
}

static void wait_equal(tako_db *a, tako_db *b, uint64_t documents)
{
    char ha[65], hb[65];
    uint64_t na = 0, nb = 0;

    for (unsigned ms = 0; ms < WAIT_MS; ms += 5) {
        db_ok(a, tako_hash(a, "orders", ha, &na), "hash");
        db_ok(b, tako_hash(b, "orders", hb, &nb), "hash");
        if (na == documents && nb == documents && strcmp(ha, hb) == 0)
            return;
        sleep_ms(5);
    }
    fail_msg("%llu and %llu documents instead of %llu", (unsigned long long)na,
             (unsigned long long)nb, (unsigned long long)documents);
}

static void insert(tako_db *db, const char *prefix, unsigned n,
                   uint64_t *commit)
{
    tako_tx *tx = NULL;
    char text[128];

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text,
                       "INSERT INTO orders DOCUMENTS ({'_id': '%s%u', 'n': "
                       "%u})",
                       prefix, i, i);
        db_ok(db, tako_tx_execute(tx, text, NULL, NULL), text);
    }
    db_ok(db, tako_tx_commit(tx, commit), "commit");
}

static void test_sync__makes_two_databases_equal_and_keeps_them_so(void **state)
{
    const char *pa = db_path(*state, "a.tako");
    const char *pb = db_path(*state, "b.tako");
    tako_db *a = db_open(pa), *b = db_open(pb);
    uint64_t commit = 0;
    char *json = NULL;

    subscribe(a);
    subscribe(b);
    insert(a, "a", 100, NULL);
    insert(b, "b", 50, NULL);
    join_two(a, b);
    wait_equal(a, b, 150); /* what was there before */
    insert(a, "live", 10, &commit);
    db_ok(a, tako_wait(a, commit, "b", WAIT_MS), "wait by name");
    db_ok(a, tako_wait(a, commit, NULL, WAIT_MS), "wait for any");
    db_ok(a, tako_wait(a, commit, "b", 0), "a look");
    assert_int_equal(tako_wait(a, commit + 1, "b", 0), TAKO_TIMEOUT);
    wait_equal(a, b, 160);
    db_run(b, "UPDATE orders SET n = 7 WHERE n < 5", NULL);
    db_run(a, "DELETE FROM orders WHERE _id = 'a99'", NULL);
    wait_equal(a, b, 159);
    db_ok(b, tako_status(b, &json), "status");
    assert_non_null(strstr(json, "\"syncing\":true"));
    assert_non_null(strstr(json, "\"name\":\"b\""));
    tako_free(json);

    /* b goes away, both change, b comes back to where a listens now */
    tako_close(b);
    insert(a, "later", 5, NULL);
    tako_sync_stop(a);
    b = db_open(pb);
    insert(b, "alone", 5, NULL);
    subscribe(b);
    join_two(a, b); /* a's subscription stands */
    wait_equal(a, b, 169);
    tako_close(a);
    tako_close(b);
}

static void test_sync__keeps_its_key_over_a_restart(void **state)
{
    const char *path = db_path(*state, "a.tako");
    char key[2][80];

    for (size_t i = 0; i < 2; i++) {
        tako_db *db = db_open(path);
        char *json = NULL, *at;

        db_ok(db, join(db, NULL, secret, NULL), "start");
        db_ok(db, tako_status(db, &json), "status");
        at = strstr(json, "\"key\":\"");
        assert_non_null(at);
        (void)snprintf(key[i], sizeof key[i], "%.64s", at + 7);
        at = strstr(json, "\"name\":\"");
        assert_non_null(at);
        assert_memory_equal(at + 8, key[i], 8); /* no name: part of the key */
        tako_free(json);
        tako_close(db);
    }
    assert_string_equal(key[0], key[1]);
}

static void test_sync__refuses_another_mesh(void **state)
{
    tako_db *a = db_open(db_path(*state, "a.tako"));
    tako_db *b = db_open(db_path(*state, "b.tako"));
    char *address = NULL;
    uint64_t commit = 0;

    subscribe(a);
    subscribe(b);
    db_ok(a, join(a, "a", secret, NULL), "start");
    db_ok(a, tako_sync_address(a, 0, &address), "address");
    db_ok(b, join(b, "b", "another secret, as long as it must be", address),
          "start");
    insert(a, "x", 3, &commit);
    assert_int_equal(tako_wait(a, commit, NULL, 400), TAKO_TIMEOUT);
    db_expect(b, "SELECT * FROM orders", NULL, "[]");
    tako_free(address);
    tako_close(b);
    tako_close(a);
}

static void test_sync__says_what_is_wrong(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;
    const char *bad[] = { "tcp://nowhere", NULL };
    char *address = NULL;

    assert_int_equal(tako_sync_start(NULL, &o), TAKO_MISUSE);
    assert_int_equal(tako_sync_start(db, NULL), TAKO_MISUSE);
    assert_int_equal(tako_sync_start(db, &o), TAKO_INVALID); /* no secret */
    assert_int_equal(join(db, "a", "short", NULL), TAKO_INVALID);
    assert_int_equal(join(db, "", secret, NULL), TAKO_INVALID);
    assert_int_equal(join(db, "\xff", secret, NULL), TAKO_INVALID);
    assert_int_equal(join(db, "a", secret, "udp://1.2.3.4:5"), TAKO_INVALID);
    o.secret = secret;
    o.secret_len = sizeof secret - 1;
    o.listen = bad;
    o.listen_count = 1;
    assert_int_equal(tako_sync_start(db, &o), TAKO_INVALID);
    assert_int_not_equal(tako_last_error(db)[0], '\0');
    o.listen = &bad[1];
    assert_int_equal(tako_sync_start(db, &o), TAKO_MISUSE);
    o.size = 1;
    assert_int_equal(tako_sync_start(db, &o), TAKO_MISUSE);
    assert_int_equal(tako_sync_address(db, 0, &address), TAKO_NOTFOUND);

    db_ok(db, join(db, "a", secret, NULL), "start");
    assert_int_equal(join(db, "a", secret, NULL), TAKO_MISUSE);
    assert_int_equal(tako_sync_address(db, 1, &address), TAKO_NOTFOUND);
    assert_int_equal(tako_sync_address(db, 0, NULL), TAKO_MISUSE);
    db_ok(db, tako_sync_address(db, 0, &address), "address");
    assert_non_null(strstr(address, "tcp://127.0.0.1:"));
    assert_null(strstr(address, ":0\0"));
    tako_free(address);
    tako_sync_stop(db);
    tako_sync_stop(db);
    db_ok(db, join(db, "a", secret, NULL), "start again");
    tako_close(db);
}

/* The loop waits for the writer that this very thread holds. */
static void test_sync__stops_while_a_transaction_is_open(void **state)
{
    tako_db *a = db_open(db_path(*state, "a.tako"));
    tako_db *b = db_open(db_path(*state, "b.tako"));
    tako_tx *tx = NULL;

    subscribe(a);
    subscribe(b);
    join_two(a, b);
    db_ok(a, tako_tx_begin(a, 0, &tx), "begin");
    db_ok(a,
          tako_tx_execute(tx, "INSERT INTO orders DOCUMENTS ({'_id': 'x'})",
                          NULL, NULL),
          "insert");
    insert(b, "b", 20, NULL); /* a's loop wants to merge this */
    sleep_ms(100);
    tako_sync_stop(a);
    db_ok(a, tako_tx_commit(tx, NULL), "commit");
    db_expect(a, "SELECT * FROM orders WHERE _id = 'x'", NULL,
              "[{\"_id\":\"x\"}]");
    tako_close(a);
    tako_close(b);
}

static void on_rows(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    atomic_int *most = ctx;
    int n = 0;

    (void)len;
    (void)commit;
    if (sscanf(rows, "[{\"n\":%d", &n) == 1 && n > atomic_load(most))
        atomic_store(most, n);
}

/* Both write, read and observe while they merge; to be run under TSan. */
static void test_sync__goes_on_under_load(void **state)
{
    enum { EACH = 100 };
    tako_db *db[2] = { db_open(db_path(*state, "a.tako")),
                       db_open(db_path(*state, "b.tako")) };
    tako_observer o;
    atomic_int most;
    char text[96];

    atomic_init(&most, 0);
    subscribe(db[0]);
    subscribe(db[1]);
    db_ok(db[1],
          tako_observe(db[1], "SELECT count(*) AS n FROM orders", NULL, on_rows,
                       &most, &o),
          "observe");
    join_two(db[0], db[1]);
    for (int i = 0; i < EACH; i++) {
        for (int k = 0; k < 2; k++) {
            char *json = NULL;

            (void)snprintf(text, sizeof text,
                           "INSERT INTO orders DOCUMENTS ({'_id': '%d-%d'})", k,
                           i);
            db_run(db[k], text, NULL);
            if (i % 10 == 0) {
                db_ok(db[k], tako_status(db[k], &json), "status");
                tako_free(json);
            }
        }
    }
    wait_equal(db[0], db[1], 2 * EACH);
    for (unsigned ms = 0; ms < WAIT_MS && atomic_load(&most) < 2 * EACH; ms++)
        sleep_ms(1);
    assert_int_equal(atomic_load(&most), 2 * EACH);
    tako_close(db[0]);
    tako_close(db[1]);
}

/* Its clock ran ahead, and its actor ends: the device keeps its key. */
static void test_sync__a_new_actor_for_a_clock_keeps_the_key(void **state)
{
    uint8_t hub[CRDT_WALL_WHO_BYTES] = { 1 };
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    sec_identity before, after;
    crdt_wall wall = { 0 };
    crdt_actor actor;

    assert_int_equal(api_identity(db, &before, NULL), TAKO_OK);
    db_run(db, "INSERT INTO orders DOCUMENTS ({'_id': 1})", NULL);
    actor = store_actor(db->store);
    crdt_wall_hear(&wall, hub, true,
                   db->env.wall_ms(db->env.ctx) - UINT64_C(86400000),
                   db->env.mono_ms(db->env.ctx));
    store_clocks_heard(db->store, &wall);
    db_run(db, "UPDATE orders SET a = 1 WHERE _id = 1", NULL);
    assert_int_not_equal(crdt_actor_cmp(actor, store_actor(db->store)), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(api_identity(db, &after, NULL), TAKO_OK);
        assert_memory_equal(before.public_key, after.public_key,
                            sizeof before.public_key);
        tako_close(db);
        db = db_open(path);
    }
    tako_close(db);
}

static tako_err post_counted(void *ctx, void (*fn)(void *arg), void *arg)
{
    unsigned *count = ctx;

    (void)fn;
    (void)arg;
    ++*count;
    return TAKO_OK;
}

static void *no_memory(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)ptr;
    (void)old_size;
    (void)new_size;
    return NULL;
}

/* The loop is told at least that there was one. */
static void test_sync__a_commit_that_has_no_room_is_missed(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    api_sync *s = &db->sync;
    tako_env env = db->env;
    unsigned posts = 0;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    s->net.ctx = &posts;
    s->net.post = post_counted;
    s->live = true;
    db->env.realloc = no_memory;
    api_sync_commit(db, store_lsn(db->store));
    db->env = env;
    assert_true(s->missed);
    assert_int_equal(posts, 1);
    s->live = s->missed = s->posted = false;
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sync__a_commit_that_has_no_room_is_missed),
        T(test_sync__makes_two_databases_equal_and_keeps_them_so),
        T(test_sync__keeps_its_key_over_a_restart),
        T(test_sync__a_new_actor_for_a_clock_keeps_the_key),
        T(test_sync__refuses_another_mesh),
        T(test_sync__says_what_is_wrong),
        T(test_sync__stops_while_a_transaction_is_open),
        T(test_sync__goes_on_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
