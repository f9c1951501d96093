// SPDX-License-Identifier: Apache-2.0
/* TILL -- takes an order and sees it arrive in the kitchen.
 *
 *   till                     a kitchen is opened in the same program
 *   till tcp://HOST:PORT     the kitchen is a peer with the same secret, as
 *                            `tako run kitchen.tako ...` on another machine */
#include <stdio.h>
#include <stdlib.h>

#include "tako/tako.h"

#define SECRET      "a secret of this restaurant"
#define OPEN_ORDERS "SELECT * FROM orders WHERE status = 'open'"

/* Everything here must work; a real program would look at the code. */
static void must(tako_err err, tako_db *db, const char *what)
{
    if (err == TAKO_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, tako_err_name(err),
            db != NULL ? tako_last_error(db) : "");
    exit(1);
}

static tako_db *open_database(const char *path)
{
    tako_open_opts opts = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;
    char detail[256] = "";

    opts.path = path;
    if (tako_open(&opts, &db, detail, sizeof detail) != TAKO_OK) {
        fprintf(stderr, "%s: %s\n", path, detail);
        exit(1);
    }
    return db;
}

/* Joins the mesh: listens on any port, and dials `peer` if there is one. */
static void join(tako_db *db, const char *name, const char *peer)
{
    const char *listen = "tcp://127.0.0.1:0";
    tako_sync_opts opts = TAKO_SYNC_OPTS_INIT;

    opts.name = name;
    opts.secret = SECRET;
    opts.secret_len = sizeof SECRET - 1;
    opts.listen = &listen;
    opts.listen_count = 1;
    opts.peers = &peer;
    opts.peers_count = peer != NULL;
    must(tako_subscribe(db, "SELECT * FROM orders", NULL, NULL), db, name);
    must(tako_sync_start(db, &opts), db, name);
}

/* Called at once and whenever the open orders change, from a thread of tako:
 * after a local commit or one that came from a peer. */
static void on_orders(void *who, const char *rows, size_t len, uint64_t commit)
{
    (void)commit;
    printf("%s sees %.*s\n", (const char *)who, (int)len, rows);
}

/* The order and the table's state change together, or not at all. */
static uint64_t take_order(tako_db *till)
{
    tako_params order = { "{\"order\": {\"table\": 7, \"status\": \"open\", "
                          "\"items\": {\"1\": {\"dish\": \"mole\", \"qty\": 2}"
                          "}}}",
                          NULL, 0 };
    tako_tx *tx = NULL;
    uint64_t commit = 0;

    must(tako_tx_begin(till, 0, &tx), till, "begin");
    must(tako_tx_execute(tx, "INSERT INTO orders DOCUMENTS (:order)", &order,
                         NULL),
         till, "order");
    must(tako_tx_execute(tx,
                         "INSERT INTO tables DOCUMENTS ({'_id': 7, 'busy': "
                         "true}) ON ID CONFLICT DO UPDATE",
                         NULL, NULL),
         till, "table");
    must(tako_tx_commit(tx, &commit), till, "commit");
    return commit;
}

int main(int argc, char **argv)
{
    tako_db *till = open_database("till.tako"), *kitchen = NULL;
    char *address = NULL;

    /* the same menu, however often this runs */
    must(tako_execute(till,
                      "INSERT INTO menu DOCUMENTS ({'_id': 'mole', 'cents"
                      "': 1150}) ON ID CONFLICT DO NOTHING",
                      NULL, NULL),
         till, "menu");
    if (argc < 2) {
        kitchen = open_database("kitchen.tako");
        join(kitchen, "kitchen", NULL);
        must(tako_observe(kitchen, OPEN_ORDERS, NULL, on_orders, "kitchen",
                          NULL),
             kitchen, "observe");
        must(tako_sync_address(kitchen, 0, &address), kitchen, "address");
    }
    must(tako_observe(till, OPEN_ORDERS, NULL, on_orders, "till", NULL), till,
         "observe");
    join(till, "till", argc < 2 ? address : argv[1]);
    tako_free(address);

    /* true once a peer that wants orders has it */
    must(tako_wait(till, take_order(till), NULL, 10000), till, "wait");
    printf("the order has arrived\n");

    tako_close(kitchen);
    tako_close(till);
    return 0;
}
