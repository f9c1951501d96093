// SPDX-License-Identifier: Apache-2.0
/* TAQUERIA -- one device of a restaurant: a till, a kitchen, or the manager.
 *
 * Each device has a database of its own, and asks and writes only that one.
 * What the others do arrives by itself. There is no server, and no device
 * knows another one's part:
 *
 *   till      inserts the orders of its guests
 *   kitchen   sees an open order, claims it, cooks, says that it is ready
 *   manager   watches the totals
 *
 * TWO KITCHENS, ONE ORDER. Kitchens that cannot hear each other may claim the
 * same order. A claim is one UPDATE that writes two things:
 *
 *   kitchen         a plain field: when they meet again, one of the two shows,
 *                   the same one everywhere;
 *   claims.<name>   a key of a map: maps merge, so both claims show.
 *
 * So who has the order is decided without asking anybody, and both are told:
 * each kitchen observes the orders that it claimed and another one did too.
 * Status and kitchen are always written together, so that they show together.
 *
 * It prints JSON lines, and obeys lines on standard input:
 *   resume, pause           takes or claims orders (not at first), or stops it
 *   join URL, cut URL       a peer comes, a peer goes
 *   report, orders          the state in figures, and order by order
 *   quit                    (so does the end of input) */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tako/tako.h"

#define ORDER_EVERY_MS 50
#define COOKING_MS     35
#define TICK_MS        10 /* the longest time until a device looks around */
#define LINE_BYTES_MAX 65536
#define PEERS_MAX      8

typedef struct device device;

typedef struct role {
    const char *name;
    void (*start)(device *d);
    void (*work)(device *d); /* called every tick and after each command */
} role;

struct device {
    const role *role;
    const char *name;
    tako_db *db;
    bool paused, quit;
    long long next_ms; /* when there is something to do again */
    FILE *guests;      /* till: orders to come */
    char plate[512];   /* kitchen: {"id":...,"me":...} of what cooks */
    int wake[2];       /* observers write, the main loop reads */
};

/* ---- saying ------------------------------------------------------------------ */

static pthread_mutex_t saying = PTHREAD_MUTEX_INITIALIZER;

/* One line: {"event":...,"data":...}; observers speak from other threads. */
static void say(const char *event, const char *json)
{
    pthread_mutex_lock(&saying);
    printf("{\"event\":\"%s\",\"data\":%s}\n", event, json);
    fflush(stdout);
    pthread_mutex_unlock(&saying);
}

_Noreturn static void die(device *d, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", d->name, what,
            d->db == NULL ? strerror(errno) : tako_last_error(d->db));
    exit(1);
}

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- asking the database ------------------------------------------------------- */

/* Runs a statement with parameters in JSON; how many documents it touched. */
static uint64_t change(device *d, const char *statement, const char *json)
{
    tako_params params = { .json = json };
    tako_result *result;
    uint64_t touched;

    if (tako_execute(d->db, statement, &params, &result) != TAKO_OK)
        die(d, statement);
    touched = tako_result_mutated(result);
    tako_result_free(result);
    return touched;
}

/* The first row of a SELECT as JSON: false when there is none. A row is an
 * object, and so are parameters: what one statement finds, the next takes. */
static bool first_row(device *d, const char *select, const char *json,
                      char *row, size_t cap)
{
    tako_params params = { .json = json };
    tako_result *result;
    const char *text;
    size_t len;
    bool found = false;

    if (tako_execute(d->db, select, &params, &result) != TAKO_OK)
        die(d, select);
    if (tako_result_next(result) == TAKO_OK &&
        tako_result_json(result, &text, &len) == TAKO_OK && len < cap) {
        memcpy(row, text, len);
        row[len] = '\0';
        found = true;
    }
    tako_result_free(result);
    return found;
}

/* {"me":"kitchen1"} */
static const char *me(const device *d, char out[128])
{
    snprintf(out, 128, "{\"me\":\"%s\"}", d->name);
    return out;
}

static void observe(device *d, const char *select, tako_observe_fn *fn)
{
    char who[128];
    tako_params params = { .json = me(d, who) };
    tako_observer observer;

    if (tako_observe(d->db, select, strstr(select, ":me") ? &params : NULL, fn,
                     d, &observer) != TAKO_OK)
        die(d, select);
}

/* ---- till ------------------------------------------------------------------------ */

static void on_served(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    (void)ctx;
    (void)len;
    (void)commit;
    say("served", rows);
}

static void till_start(device *d)
{
    observe(d,
            "SELECT count(*) AS orders FROM orders "
            "WHERE till = :me AND status = 'ready'",
            on_served);
}

/* The next guest of this till. A till that was switched off in the middle
 * begins anew, and skips what it has. */
static void till_work(device *d)
{
    char line[LINE_BYTES_MAX];
    char params[LINE_BYTES_MAX + 32];
    char mine[128];

    if (d->paused || d->guests == NULL || now_ms() < d->next_ms)
        return;
    snprintf(mine, sizeof mine, "\"till\": \"%s\"", d->name);
    while (fgets(line, sizeof line, d->guests) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strstr(line, mine) == NULL)
            continue;
        snprintf(params, sizeof params, "{\"order\":%s}", line);
        if (change(d,
                   "INSERT INTO orders DOCUMENTS (:order) "
                   "ON ID CONFLICT DO NOTHING",
                   params) == 0)
            continue;
        /* From here on the guest has a receipt: this order must not be lost. */
        say("placed", line);
        d->next_ms = now_ms() + ORDER_EVERY_MS;
        return;
    }
    fclose(d->guests);
    d->guests = NULL;
    say("closed", "{}");
}

/* ---- kitchen ----------------------------------------------------------------------- */

/* Something is open: wakes the main loop, which may do more than a callback. */
static void on_open_orders(void *ctx, const char *rows, size_t len,
                           uint64_t commit)
{
    device *d = ctx;

    (void)rows;
    (void)len;
    (void)commit;
    if (write(d->wake[1], "!", 1) < 0) {
        /* The pipe is full: the main loop will wake anyway. */
    }
}

static void on_two_kitchens(void *ctx, const char *rows, size_t len,
                            uint64_t commit)
{
    (void)ctx;
    (void)commit;
    if (len > 2) /* more than [] */
        say("two_kitchens", rows);
}

static void kitchen_start(device *d)
{
    char select[256];

    change(d, "CREATE INDEX IF NOT EXISTS by_status ON orders (status)", NULL);
    observe(d, "SELECT count(*) AS n FROM orders WHERE status = 'open'",
            on_open_orders);
    snprintf(select, sizeof select,
             "SELECT _id AS id, kitchen FROM orders WHERE claims.%s = true "
             "AND object_length(claims) > 1",
             d->name);
    observe(d, select, on_two_kitchens);
}

static void claim(device *d)
{
    char who[128];
    char update[256];
    char row[sizeof d->plate];

    /* What this kitchen was cooking when somebody pulled the plug? */
    if (first_row(d,
                  "SELECT _id AS id, :me AS me FROM orders "
                  "WHERE status = 'cooking' AND kitchen = :me LIMIT 1",
                  me(d, who), d->plate, sizeof d->plate)) {
        d->next_ms = now_ms() + COOKING_MS;
        return;
    }
    if (!first_row(d,
                   "SELECT _id AS id, :me AS me FROM orders "
                   "WHERE status = 'open' ORDER BY number LIMIT 1",
                   me(d, who), row, sizeof row))
        return;
    snprintf(update, sizeof update,
             "UPDATE orders SET status = 'cooking', kitchen = :me, "
             "claims.%s = true WHERE _id = :id AND status = 'open'",
             d->name);
    if (change(d, update, row) == 0)
        return; /* somebody was faster, between the two statements */
    strcpy(d->plate, row);
    d->next_ms = now_ms() + COOKING_MS;
    say("claimed", row);
}

static void serve(device *d)
{
    if (change(d,
               "UPDATE orders SET status = 'ready', kitchen = :me "
               "WHERE _id = :id AND kitchen = :me AND status = 'cooking'",
               d->plate) == 1)
        say("ready", d->plate);
    else
        say("given_up", d->plate); /* another kitchen has it: see claims */
    d->plate[0] = '\0';
}

static void kitchen_work(device *d)
{
    if (d->plate[0] != '\0' && now_ms() >= d->next_ms)
        serve(d);
    if (d->plate[0] == '\0' && !d->paused)
        claim(d);
}

/* ---- manager ------------------------------------------------------------------------- */

static void on_totals(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    (void)ctx;
    (void)len;
    (void)commit;
    say("totals", rows);
}

static void manager_start(device *d)
{
    observe(d,
            "SELECT status, count(*) AS orders, sum(total) AS total "
            "FROM orders GROUP BY status ORDER BY status",
            on_totals);
}

static void manager_work(device *d)
{
    (void)d; /* a manager watches */
}

static const role roles[] = {
    { "till", till_start, till_work },
    { "kitchen", kitchen_start, kitchen_work },
    { "manager", manager_start, manager_work },
};

/* ---- commands ---------------------------------------------------------------------------- */

static void report(device *d)
{
    char hash[65];
    uint64_t documents;
    char *status;
    char *line;
    size_t cap;

    if (tako_hash(d->db, NULL, hash, &documents) != TAKO_OK ||
        tako_status(d->db, &status) != TAKO_OK)
        die(d, "report");
    cap = strlen(status) + 256;
    line = malloc(cap);
    if (line == NULL)
        die(d, "report");
    snprintf(line, cap, "{\"hash\":\"%s\",\"documents\":%llu,\"status\":%s}",
             hash, (unsigned long long)documents, status);
    say("report", line);
    free(line);
    tako_free(status);
}

static void list_orders(device *d)
{
    tako_result *result;
    const char *text;
    size_t len;

    if (tako_execute(d->db, "SELECT _id, status, kitchen, claims FROM orders",
                     NULL, &result) != TAKO_OK)
        die(d, "orders");
    while (tako_result_next(result) == TAKO_OK &&
           tako_result_json(result, &text, &len) == TAKO_OK)
        say("order", text);
    tako_result_free(result);
    say("orders_end", "{}");
}

static void obey(device *d, const char *line)
{
    if (strcmp(line, "pause") == 0)
        d->paused = true;
    else if (strcmp(line, "resume") == 0)
        d->paused = false;
    else if (strcmp(line, "quit") == 0)
        d->quit = true;
    else if (strcmp(line, "report") == 0)
        report(d);
    else if (strcmp(line, "orders") == 0)
        list_orders(d);
    else if (strncmp(line, "join ", 5) == 0)
        (void)tako_peer_add(d->db, line + 5); /* there already: well */
    else if (strncmp(line, "cut ", 4) == 0)
        (void)tako_peer_remove(d->db, line + 4);
    else
        fprintf(stderr, "%s: what is \"%s\"?\n", d->name, line);
}

/* Takes what standard input has, obeys the whole lines in it. */
static void listen_to_people(device *d)
{
    static char text[4096];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, text + len, sizeof text - len);
    char *end;

    if (n <= 0) {
        d->quit = true;
        return;
    }
    len += (size_t)n;
    while ((end = memchr(text, '\n', len)) != NULL) {
        size_t used = (size_t)(end - text) + 1;

        *end = '\0';
        obey(d, text);
        memmove(text, text + used, len - used);
        len -= used;
    }
    if (len == sizeof text)
        len = 0; /* no command is that long */
}

static void run(device *d)
{
    struct pollfd what[2] = { { STDIN_FILENO, POLLIN, 0 },
                              { d->wake[0], POLLIN, 0 } };
    char bells[64];

    while (!d->quit) {
        (void)poll(what, 2, TICK_MS);
        if (what[0].revents != 0)
            listen_to_people(d);
        if (what[1].revents != 0 && read(d->wake[0], bells, sizeof bells) < 0)
            die(d, "pipe");
        d->role->work(d);
    }
}

/* ---- opening ------------------------------------------------------------------------------- */

static void open_database(device *d, const char *path)
{
    tako_open_opts opts = TAKO_OPEN_OPTS_INIT;
    char detail[256];

    opts.path = path;
    if (tako_open(&opts, &d->db, detail, sizeof detail) != TAKO_OK) {
        fprintf(stderr, "%s: %s: %s\n", d->name, path, detail);
        exit(1);
    }
}

/* Every device has the menu; the first to bring it wins, the rest agree. */
static void bring_menu(device *d, const char *path)
{
    char text[LINE_BYTES_MAX];
    char params[LINE_BYTES_MAX + 32];
    FILE *f = fopen(path, "rb");
    size_t n;

    if (f == NULL)
        die(d, path);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    snprintf(params, sizeof params, "{\"menu\":%s}", text);
    change(d, "INSERT INTO menu DOCUMENTS (:menu) ON ID CONFLICT DO NOTHING",
           params);
}

static void join_mesh(device *d, const char *secret, const char *address,
                      const char *const *peers, size_t count)
{
    tako_sync_opts opts = TAKO_SYNC_OPTS_INIT;
    tako_sub sub;
    char *bound;
    char line[512];

    opts.name = d->name;
    opts.secret = secret;
    opts.secret_len = strlen(secret);
    opts.listen = &address;
    opts.listen_count = 1;
    opts.peers = peers;
    opts.peers_count = count;
    if (tako_subscribe(d->db, "SELECT * FROM orders", NULL, &sub) != TAKO_OK ||
        tako_subscribe(d->db, "SELECT * FROM menu", NULL, &sub) != TAKO_OK ||
        tako_sync_start(d->db, &opts) != TAKO_OK ||
        tako_sync_address(d->db, 0, &bound) != TAKO_OK)
        die(d, "sync");
    snprintf(line, sizeof line, "{\"address\":\"%s\"}", bound);
    tako_free(bound);
    say("listening", line);
}

/* taqueria ROLE NAME DATABASE FOLDER SECRET LISTEN [PEER ...] */
int main(int argc, char **argv)
{
    device d = { 0 };
    char path[4096];

    for (size_t i = 0; argc > 6 && i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(argv[1], roles[i].name) == 0)
            d.role = &roles[i];
    }
    if (d.role == NULL || argc - 7 > PEERS_MAX) {
        fprintf(stderr, "usage: taqueria till|kitchen|manager NAME DATABASE "
                        "FOLDER SECRET LISTEN [PEER ...]\n");
        return 2;
    }
    d.name = argv[2];
    d.paused = true;
    if (pipe(d.wake) != 0)
        die(&d, "pipe");
    open_database(&d, argv[3]);
    if (d.role == &roles[0]) {
        snprintf(path, sizeof path, "%s/orders.jsonl", argv[4]);
        d.guests = fopen(path, "rb");
    } else if (strcmp(d.role->name, "manager") == 0) {
        snprintf(path, sizeof path, "%s/menu.json", argv[4]);
        bring_menu(&d, path);
    }
    join_mesh(&d, argv[5], argv[6], (const char *const *)argv + 7,
              (size_t)argc - 7);
    d.role->start(&d);
    run(&d);
    tako_close(d.db);
    return 0;
}
