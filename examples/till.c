// SPDX-License-Identifier: Apache-2.0
/* TILL -- takes an order and waits until another device has it: a database in
 * this program, or the peer at the address given, as tcp://192.168.1.20:7400 */
#include <stdio.h>
#include <stdlib.h>

#include "tako/tako.h"

#define SECRET "a secret of this restaurant" /* yours: see `tako secret` */
#define OPEN   "SELECT * FROM orders WHERE status = 'open'"
#define TAKE   "INSERT INTO orders DOCUMENTS ({'table': :t, 'status': 'open'})"

static void must(tako_err err, tako_db *db)
{
    if (err == TAKO_OK)
        return;
    fprintf(stderr, "%s: %s\n", tako_err_message(err), tako_last_error(db));
    exit(1);
}

/* Runs at once and whenever the open orders change, whoever changed them. */
static void on_orders(void *who, const char *rows, size_t len, uint64_t commit)
{
    (void)len, (void)commit;
    printf("%s: %s\n", (const char *)who, rows);
}

static tako_db *device(char *name, const char *peer)
{
    const char *any_port = "tcp://127.0.0.1:0";
    tako_open_opts open = TAKO_OPEN_OPTS_INIT;
    tako_sync_opts sync = TAKO_SYNC_OPTS_INIT;
    tako_db *db = NULL;

    open.path = name;
    must(tako_open(&open, &db, NULL, 0), NULL);
    must(tako_subscribe(db, "SELECT * FROM orders", NULL, NULL), db);
    must(tako_observe(db, OPEN, NULL, on_orders, name, NULL), db);
    sync.secret = SECRET, sync.secret_len = sizeof SECRET - 1;
    sync.listen = &any_port, sync.listen_count = 1;
    sync.peers = &peer, sync.peers_count = peer != NULL;
    must(tako_sync_start(db, &sync), db);
    return db;
}

int main(int argc, char **argv)
{
    tako_db *kitchen = argc > 1 ? NULL : device("kitchen.tako", NULL);
    char *address = NULL;
    uint64_t commit;

    if (kitchen != NULL)
        must(tako_sync_address(kitchen, 0, &address), kitchen);
    tako_db *till = device("till.tako", kitchen != NULL ? address : argv[1]);
    must(tako_run(till, TAKE, "{\"t\": 7}", &commit), till);
    must(tako_wait(till, commit, NULL, 10000), till);
    printf("the order is known there\n");
    tako_close(till), tako_close(kitchen), tako_free(address);
    return 0;
}
