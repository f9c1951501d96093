// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdlib.h>
#include <string.h>

static const char secret[] = "0123456789abcdef0123456789abcdef";

static void sync_start(tako_db *db, const char *name, const char *listen,
                       const char *peer)
{
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;

    o.name = name;
    o.secret = secret;
    o.secret_len = sizeof secret - 1;
    o.listen = &listen;
    o.listen_count = listen != NULL;
    o.peers = &peer;
    o.peers_count = peer != NULL;
    db_ok(db, tako_sync_start(db, &o), "sync");
}

/* Waits until a SELECT gives these rows. */
static void db_until(tako_db *db, const char *text, const char *json)
{
    char *rows = NULL;

    for (int i = 0; i < 2000; i++) {
        free(rows);
        rows = db_rows(db, text, NULL);
        if (strcmp(rows, json) == 0)
            break;
        sleep_ms(5);
    }
    assert_string_equal(rows, json);
    free(rows);
}

static void test_system__says_what_tako_status_says(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    db_fill(db, "c", 30);
    db_run(db, "DELETE FROM c WHERE n < 10", NULL);
    db_expect(db,
              "SELECT _id, documents, tombstones, collections, commit, syncing "
              "FROM system:info",
              NULL,
              "[{\"_id\":\"info\",\"commit\":2,\"syncing\":false,"
              "\"documents\":20,\"tombstones\":10,\"collections\":1}]");
    db_expect(db,
              "SELECT value FROM system:metrics WHERE name IN ('documents', "
              "'tombstones') ORDER BY value",
              NULL, "[{\"value\":10},{\"value\":20}]");
    db_expect(db, "SELECT * FROM system:links", NULL, "[]");
    db_expect(db, "SELECT * FROM system:peers", NULL, "[]");
    db_expect(db, "SELECT * FROM system:quarantine", NULL, "[]");
    db_expect(db, "SELECT * FROM system:blobs", NULL, "[]");
    tako_close(db);
}

static void test_system__shows_links_and_what_is_in_sync(void **state)
{
    tako_db *a = db_open(db_path(*state, "a.tako"));
    tako_db *b = db_open(db_path(*state, "b.tako"));
    tako_tx *tx = NULL;
    tako_result *res = NULL;
    char *address = NULL;

    /* Before they meet: it is to come by catching up, which counts it. */
    db_run(a, "INSERT INTO orders DOCUMENTS ({'_id': 1})", NULL);
    sync_start(a, "till", "tcp://127.0.0.1:0", NULL);
    db_ok(a, tako_sync_address(a, 0, &address), "address");
    sync_start(b, "kitchen", NULL, address);
    db_ok(b, tako_subscribe(b, "SELECT * FROM orders", NULL, NULL), "sub");

    db_until(b, "SELECT peer, state, dialled FROM system:links",
             "[{\"peer\":\"till\",\"state\":\"up\",\"dialled\":true}]");
    db_until(a, "SELECT peer, dialled FROM system:links",
             "[{\"peer\":\"kitchen\",\"dialled\":false}]");
    db_until(b, "SELECT linked, failures FROM system:peers",
             "[{\"linked\":true,\"failures\":0}]");
    db_until(b,
             "SELECT _id, direction, peer, in_sync, documents FROM system:sync",
             "[{\"_id\":\"in/1/till\",\"peer\":\"till\",\"in_sync\":true,"
             "\"direction\":\"in\",\"documents\":1}]");
    db_until(a, "SELECT _id, peer, in_sync FROM system:sync",
             "[{\"_id\":\"out/kitchen/1\",\"peer\":\"kitchen\",\"in_sync\":"
             "true}]");
    db_expect(
        b,
        "SELECT s._id, s.in_sync, l.peer FROM system:subscriptions s JOIN "
        "system:links l UNNEST s.peers AS p WHERE p.peer = l.peer",
        NULL, "[{\"_id\":1,\"peer\":\"till\",\"in_sync\":true}]");
    db_expect(b, "SELECT name, syncing FROM system:info", NULL,
              "[{\"name\":\"kitchen\",\"syncing\":true}]");

    /* The loop may wait for whoever writes, who then must not ask it. */
    db_ok(b, tako_tx_begin(b, 0, &tx), "begin");
    assert_int_equal(
        tako_tx_execute(tx, "SELECT * FROM system:links", NULL, &res),
        TAKO_INVALID);
    assert_non_null(strstr(tako_last_error(b), "while this transaction"));
    db_ok(b, tako_tx_execute(tx, "SELECT * FROM system:info", NULL, &res),
          "info");
    tako_result_free(res);
    tako_tx_rollback(tx);
    tako_free(address);
    tako_close(a);
    tako_close(b);
}

static void no_rows(void *ctx, const char *json, size_t len, uint64_t commit)
{
    (void)ctx;
    (void)json;
    (void)len;
    (void)commit;
}

static void test_system__shows_observers_and_has_none(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_observer o;

    assert_int_equal(tako_observe(db, "SELECT * FROM system:links", NULL,
                                  no_rows, NULL, NULL),
                     TAKO_UNSUPPORTED);
    assert_non_null(strstr(tako_last_error(db), "cannot be observed"));
    assert_int_equal(tako_observe(db,
                                  "SELECT * FROM c WHERE x IN (SELECT _id FROM "
                                  "system:links)",
                                  NULL, no_rows, NULL, NULL),
                     TAKO_UNSUPPORTED);
    assert_int_equal(
        tako_subscribe(db, "SELECT * FROM system:links", NULL, NULL),
        TAKO_INVALID);
    db_ok(db, tako_observe(db, "SELECT * FROM c", NULL, no_rows, NULL, &o),
          "observe");
    db_until(db, "SELECT statement, diff, runs FROM system:observers",
             "[{\"diff\":false,\"runs\":1,\"statement\":\"SELECT * FROM c\"}]");
    db_until(db,
             "SELECT statement FROM system:requests WHERE source = 'observer'",
             "[{\"statement\":\"SELECT * FROM c\"}]");
    db_ok(db, tako_unobserve(db, o), "unobserve");
    db_expect(db, "SELECT * FROM system:observers", NULL, "[]");
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_system__says_what_tako_status_says),
        T(test_system__shows_links_and_what_is_in_sync),
        T(test_system__shows_observers_and_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
