// SPDX-License-Identifier: Apache-2.0
/* What merging could not keep, as a program meets it: told to observers of
 * system:conflicts, settled by writing, or dismissed. Two databases sync over
 * 127.0.0.1; only `here` wants documents, so that all is noted there. */
#include "support_mirror.h"

#include <stdlib.h>
#include <string.h>

static const char secret[] = "0123456789abcdef0123456789abcdef";

typedef struct two {
    tako_db *here, *there;
} two;

static void sync_start(tako_db *db, const char *listen, const char *peer)
{
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;

    o.secret = secret;
    o.secret_len = sizeof secret - 1;
    o.listen = &listen;
    o.listen_count = listen != NULL;
    o.peers = &peer;
    o.peers_count = peer != NULL;
    db_ok(db, tako_sync_start(db, &o), "sync");
}

static void together(two *t)
{
    char *address = NULL;

    sync_start(t->there, "tcp://127.0.0.1:0", NULL);
    db_ok(t->there, tako_sync_address(t->there, 0, &address), "address");
    sync_start(t->here, NULL, address);
    tako_free(address);
}

static void apart(two *t)
{
    tako_sync_stop(t->here);
    tako_sync_stop(t->there);
}

#define KINDS "SELECT kind, id FROM system:conflicts ORDER BY kind"

/* The same two documents at both, which then write apart from each other. */
static void two_begin(two *t, db_dir *dir)
{
    tako_sub sub;

    t->here = db_open(db_path(dir, "here.tako"));
    t->there = db_open(db_path(dir, "there.tako"));
    db_ok(t->here, tako_subscribe(t->here, "SELECT * FROM orders", NULL, NULL),
          "subscribe");
    db_ok(t->there,
          tako_subscribe(t->there, "SELECT * FROM orders", NULL, &sub),
          "subscribe");
    db_run(t->here,
           "INSERT INTO orders DOCUMENTS ({'_id': 1, 'v': 0}), "
           "({'_id': 2, 'v': 0})",
           NULL);
    together(t);
    for (int i = 0; i < 2000; i++) {
        uint64_t n = 0;
        char hex[65];

        db_ok(t->there, tako_hash(t->there, "orders", hex, &n), "hash");
        if (n == 2)
            break;
        sleep_ms(5);
    }
    apart(t);
    db_ok(t->there, tako_unsubscribe(t->there, sub), "unsubscribe");
    db_run(t->here, "UPDATE orders SET v = 1 WHERE _id = 1", NULL);
    db_run(t->here, "DELETE FROM orders WHERE _id = 2", NULL);
    sleep_ms(5); /* the later one shows */
    db_run(t->there, "UPDATE orders SET v = 2 WHERE _id = 1", NULL);
    db_run(t->there, "UPDATE orders SET v = 5 WHERE _id = 2", NULL);
}

static void two_end(two *t)
{
    tako_close(t->here);
    tako_close(t->there);
}

static void test_conflicts__are_told_settled_and_dismissed(void **state)
{
    static mirror m;
    size_t told;
    two t;

    two_begin(&t, *state);
    mirror_start(&m, t.here, KINDS, false, 0);
    mirror_wait_rows(&m, "[]");
    together(&t);
    mirror_wait_rows(&m, "[{\"id\":1,\"kind\":\"sibling\"},"
                         "{\"id\":2,\"kind\":\"update\"}]");

    /* what has nothing to do with it is not told */
    told = mirror_states(&m);
    db_run(t.here, "INSERT INTO orders DOCUMENTS ({'_id': 3, 'v': 0})", NULL);
    db_run(t.here, "UPDATE orders SET v = 1 WHERE _id = 3", NULL);
    sleep_ms(50);
    assert_int_equal(mirror_states(&m), told);

    db_run(t.here, "UPDATE orders SET v = 3 WHERE _id = 1", NULL);
    mirror_wait_rows(&m, "[{\"id\":2,\"kind\":\"update\"}]");
    db_expect(t.here, "SELECT losers[0].value AS was FROM system:conflicts",
              NULL, "[{\"was\":5}]");
    apart(&t);

    tako_close(t.here); /* it is kept */
    mirror_free(&m);
    t.here = db_open(db_path(*state, "here.tako"));
    db_expect(t.here, KINDS, NULL, "[{\"id\":2,\"kind\":\"update\"}]");
    mirror_start(&m, t.here, KINDS, false, 0);
    mirror_wait_rows(&m, "[{\"id\":2,\"kind\":\"update\"}]");
    db_run(t.here, "DELETE FROM system:conflicts WHERE id = 2", NULL);
    mirror_wait_rows(&m, "[]"); /* though no document changed */
    two_end(&t);
    mirror_free(&m);
}

/* Also beside a collection, whose changes matter as ever. */
static void test_conflicts__are_observed_in_a_join(void **state)
{
    static mirror m;
    two t;

    two_begin(&t, *state);
    mirror_start(&m, t.here,
                 "SELECT o._id, o.v, c.losers[0].value AS other FROM orders o "
                 "JOIN system:conflicts c ON c.id = o._id ORDER BY o._id",
                 false, 0);
    mirror_wait_rows(&m, "[]");
    together(&t);
    mirror_wait_rows(&m, "[{\"v\":2,\"_id\":1,\"other\":1}]");
    db_run(t.here, "DELETE FROM orders", NULL);
    mirror_wait_rows(&m, "[]");
    apart(&t);
    two_end(&t);
    mirror_free(&m);
}

static void test_conflicts__are_dismissed_in_a_transaction(void **state)
{
    tako_tx *tx = NULL;
    two t;

    two_begin(&t, *state);
    together(&t);
    for (int i = 0; i < 2000; i++) {
        char *rows = db_rows(t.here, KINDS, NULL);
        bool here = strstr(rows, "update") != NULL;

        free(rows);
        if (here)
            break;
        sleep_ms(5);
    }
    apart(&t);
    db_ok(t.here, tako_tx_begin(t.here, 0, &tx), "begin");
    db_ok(t.here,
          tako_tx_execute(tx,
                          "INSERT INTO orders DOCUMENTS ({'_id': 2, 'v': 5})",
                          NULL, NULL),
          "again");
    db_ok(t.here,
          tako_tx_execute(tx, "DELETE FROM system:conflicts WHERE id = 2", NULL,
                          NULL),
          "dismiss");
    tako_tx_rollback(tx);
    db_expect(t.here, "SELECT id FROM system:conflicts WHERE kind = 'update'",
              NULL, "[{\"id\":2}]");
    two_end(&t);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_conflicts__are_told_settled_and_dismissed),
        T(test_conflicts__are_observed_in_a_join),
        T(test_conflicts__are_dismissed_in_a_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
