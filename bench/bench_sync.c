// SPDX-License-Identifier: Apache-2.0
/* BENCH_SYNC -- two processes that sync over TLS on loopback.
 *
 * The program starts itself again as a server, which holds W and listens, and
 * as clients, which dial it; it tells them what to do by lines on their
 * standard input and reads their answers.
 *
 *   cold_sync        W from the server into an empty client, from the
 *                    client's exec until the server has its acknowledgement of
 *                    its last commit; beside raw SQLite inserting W in one
 *                    transaction, in turn
 *   first_100        100 documents, from the client's exec to its observer
 *                    seeing them all
 *   change_*         changes of one short field, each awaited. "known": of
 *                    documents that this session has named, each field and
 *                    writer too; "first": a document's first on the session,
 *                    which names it. Of each
 *     _payload         the message of the change itself: its cut
 *     _framed          all bytes of frames both ways: the cut, the
 *                      acknowledgement, and their heads, without TLS
 *     _wire            bytes on the TCP streams both ways, TLS records included
 *   live             from before the call that writes to the observer in the
 *                    other process, paced
 *   idle_rss         VmRSS of a fresh process that holds W, listens and has one
 *                    link, two seconds after it is in sync
 *
 *   bench_sync [--docs N] [--dir FOLDER] [--json] */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support_bench.h"
#include "tako/tako.h"

#define SECRET  "the secret of a benchmark"
#define BATCH   1000
#define CHANGED 1000 /* documents that are changed */
#define TURNS   10   /* changes of each, once it is known */
#define PACED   2000
#define WAIT_MS 120000

/* ================= a node in a process of its own ====================== */

typedef struct peer_node {
    tako_db *db;
    uint64_t commit; /* the last one of ours */
    pthread_mutex_t mutex;
    double samples[PACED];
    size_t count;
    size_t expected; /* documents, for "complete" */
} peer_node;

static void node_need(peer_node *n, tako_err err, const char *what)
{
    bench_need(err == TAKO_OK, what, tako_last_error(n->db));
}

static void reply(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void reply(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void node_fill(peer_node *n, size_t docs)
{
    bench_work w;
    tako_tx *tx = NULL;
    char *text = malloc(BATCH * 512 + 64);

    bench_need(text != NULL, "memory", NULL);
    bench_work_make(&w, docs, 20261123);
    node_need(n, tako_tx_begin(n->db, 0, &tx), "begin");
    for (size_t i = 0; i < docs; i += BATCH) {
        tako_params p = { text, NULL, 0 };
        size_t at = (size_t)sprintf(text, "{\"d\":[");

        for (size_t k = i; k < i + BATCH && k < docs; k++)
            at += (size_t)sprintf(text + at, "%s%s", k > i ? "," : "",
                                  w.orders[k].json);
        memcpy(text + at, "]}", 3);
        node_need(
            n,
            tako_tx_execute(tx, "INSERT INTO orders DOCUMENTS (:d)", &p, NULL),
            "insert");
    }
    node_need(n,
              tako_tx_execute(tx,
                              "INSERT INTO probe DOCUMENTS ({'_id': 1, 'at': "
                              "0})",
                              NULL, NULL),
              "probe");
    node_need(n, tako_tx_commit(tx, &n->commit), "commit");
    bench_work_free(&w);
    free(text);
}

/* The sum of a counter over all links, from the status. */
static double status_sum(peer_node *n, const char *key)
{
    char *json = NULL, name[64];
    double sum = 0;

    node_need(n, tako_status(n->db, &json), "status");
    (void)snprintf(name, sizeof name, "\"%s\":", key);
    for (const char *at = strstr(json, name); at != NULL;
         at = strstr(at + 1, name))
        sum += strtod(at + strlen(name), NULL);
    tako_free(json);
    return sum;
}

typedef struct traffic {
    double payload, framed, wire;
} traffic;

static traffic traffic_of(peer_node *n)
{
    traffic t;

    t.payload = status_sum(n, "live_bytes_out");
    t.framed =
        status_sum(n, "frame_bytes_in") + status_sum(n, "frame_bytes_out");
    t.wire = status_sum(n, "bytes_in") + status_sum(n, "bytes_out");
    return t;
}

static void change_one(peer_node *n, const char *id, const char *status)
{
    tako_result *r = NULL;
    char text[160];

    (void)snprintf(text, sizeof text,
                   "UPDATE orders SET status = '%s' WHERE _id = '%s'", status,
                   id);
    node_need(n, tako_execute(n->db, text, NULL, &r), "update");
    bench_need(tako_result_commit(r) != 0, "a change", id);
    n->commit = tako_result_commit(r);
    tako_result_free(r);
    node_need(n, tako_wait(n->db, n->commit, NULL, WAIT_MS), "wait");
}

/* Changes each document `turns` times; replies what one change costs. */
static void change_all(peer_node *n, char *const *ids, size_t count,
                       size_t turns, const char *const status[2])
{
    double changes = (double)(count * turns);
    traffic before = traffic_of(n), after;

    for (size_t turn = 0; turn < turns; turn++)
        for (size_t i = 0; i < count; i++)
            change_one(n, ids[i], status[turn % 2]);
    after = traffic_of(n);
    reply("changed %.3f %.3f %.3f", (after.payload - before.payload) / changes,
          (after.framed - before.framed) / changes,
          (after.wire - before.wire) / changes);
}

static void node_change(peer_node *n)
{
    static const char *const first[] = { "held", "held" };
    static const char *const later[] = { "shut", "done" };
    tako_result *r = NULL;
    char *ids[CHANGED];
    size_t count = 0;

    node_need(
        n, tako_execute(n->db, "SELECT _id FROM orders LIMIT 1000", NULL, &r),
        "select");
    while (count < CHANGED && tako_result_next(r) == TAKO_OK) {
        const char *json;

        node_need(n, tako_result_json(r, &json, NULL), "json");
        ids[count] = strdup(json + strlen("{\"_id\":\""));
        bench_need(ids[count] != NULL, "memory", NULL);
        ids[count++][26] = '\0';
    }
    tako_result_free(r);
    change_all(n, ids, count, 1, first);
    change_all(n, ids, count, TURNS, later);
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
}

static uint64_t nanoseconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void node_pace(peer_node *n, size_t count, unsigned us)
{
    struct timespec pause = { 0, (long)us * 1000 };
    char params[64];

    for (size_t i = 0; i < count; i++) {
        tako_params p = { params, NULL, 0 };

        (void)nanosleep(&pause, NULL);
        (void)snprintf(params, sizeof params, "{\"at\":%" PRIu64 "}",
                       nanoseconds());
        node_need(n,
                  tako_execute(n->db, "UPDATE probe SET at = :at WHERE _id = 1",
                               &p, NULL),
                  "update");
    }
    reply("paced");
}

static void on_probe(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    peer_node *n = ctx;
    uint64_t now = nanoseconds(), at = 0;

    (void)len;
    (void)commit;
    if (sscanf(rows, "[{\"at\":%" SCNu64, &at) != 1 || at == 0)
        return;
    (void)pthread_mutex_lock(&n->mutex);
    if (n->count < PACED)
        n->samples[n->count++] = (double)(now - at) / 1e6;
    (void)pthread_mutex_unlock(&n->mutex);
}

static void on_count(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    peer_node *n = ctx;
    size_t have = 0;

    (void)len;
    (void)commit;
    if (sscanf(rows, "[{\"n\":%zu", &have) == 1 && have == n->expected)
        reply("complete");
}

static void node_latency(peer_node *n)
{
    (void)pthread_mutex_lock(&n->mutex);
    reply("latency %zu %.4f %.4f %.4f", n->count,
          bench_percentile(n->samples, n->count, 0.5),
          bench_percentile(n->samples, n->count, 0.99),
          bench_percentile(n->samples, n->count, 0.999));
    n->count = 0;
    (void)pthread_mutex_unlock(&n->mutex);
}

static void node_rss(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f != NULL)
        (void)fclose(f);
    reply("rss %ld", kb);
}

static void node_obey(peer_node *n)
{
    char line[256];
    tako_observer o;

    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t count;
        unsigned us;

        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "ack") == 0) {
            node_need(n, tako_wait(n->db, n->commit, NULL, WAIT_MS), "wait");
            reply("acked");
        } else if (strcmp(line, "change") == 0) {
            node_change(n);
        } else if (sscanf(line, "pace %zu %u", &count, &us) == 2) {
            node_pace(n, count, us);
        } else if (strcmp(line, "probe") == 0) {
            node_need(n,
                      tako_observe(n->db, "SELECT at FROM probe", NULL,
                                   on_probe, n, &o),
                      "observe");
            reply("probing");
        } else if (strcmp(line, "latency") == 0) {
            node_latency(n);
        } else if (strcmp(line, "rss") == 0) {
            node_rss();
        } else {
            break; /* quit */
        }
    }
}

/* argv: --node PATH DOCS-to-make EXPECTED [ADDRESS] */
static int node_main(int argc, char **argv)
{
    static peer_node n = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    tako_open_opts open = TAKO_OPEN_OPTS_INIT;
    tako_sync_opts sync = TAKO_SYNC_OPTS_INIT;
    const char *listen = "tcp://127.0.0.1:0";
    const char *peer = argc > 5 ? argv[5] : NULL;
    char detail[256] = "", *address = NULL;
    tako_observer o;

    bench_need(argc >= 5, "arguments of a node", NULL);
    open.path = argv[2];
    bench_need(tako_open(&open, &n.db, detail, sizeof detail) == TAKO_OK,
               "open", detail);
    if (strtoull(argv[3], NULL, 10) > 0)
        node_fill(&n, strtoull(argv[3], NULL, 10));
    n.expected = strtoull(argv[4], NULL, 10);
    if (n.expected > 0)
        node_need(&n,
                  tako_observe(n.db, "SELECT count(*) AS n FROM orders", NULL,
                               on_count, &n, &o),
                  "observe");
    node_need(&n, tako_subscribe(n.db, "SELECT * FROM orders", NULL, NULL),
              "subscribe");
    node_need(&n, tako_subscribe(n.db, "SELECT * FROM probe", NULL, NULL),
              "subscribe");
    sync.secret = SECRET;
    sync.secret_len = sizeof SECRET - 1;
    sync.listen = &listen;
    sync.listen_count = 1;
    sync.peers = &peer;
    sync.peers_count = peer != NULL;
    node_need(&n, tako_sync_start(n.db, &sync), "start");
    node_need(&n, tako_sync_address(n.db, 0, &address), "address");
    reply("address %s", address);
    tako_free(address);
    node_obey(&n);
    tako_close(n.db);
    return 0;
}

/* ================= the one who measures ================================== */

typedef struct child {
    pid_t pid;
    FILE *in, *out; /* its standard input and output */
} child;

static child child_start(const char *path, size_t docs, size_t expected,
                         const char *address)
{
    int to[2], from[2];
    char made[32], all[32];
    child c;

    (void)snprintf(made, sizeof made, "%zu", docs);
    (void)snprintf(all, sizeof all, "%zu", expected);
    bench_need(pipe(to) == 0 && pipe(from) == 0, "pipe", NULL);
    c.pid = fork();
    bench_need(c.pid >= 0, "fork", NULL);
    if (c.pid == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        for (int i = 0; i < 2; i++) {
            (void)close(to[i]);
            (void)close(from[i]);
        }
        (void)execl("/proc/self/exe", "bench_sync", "--node", path, made, all,
                    address, (char *)NULL);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    (void)fcntl(to[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(from[0], F_SETFD, FD_CLOEXEC);
    c.in = fdopen(to[1], "w");
    c.out = fdopen(from[0], "r");
    bench_need(c.in != NULL && c.out != NULL, "pipe", NULL);
    return c;
}

/* Reads lines until one begins with `word`; the rest of it goes to `rest`. */
static void child_hear(child *c, const char *word, char rest[256])
{
    char line[256];
    size_t n = strlen(word);

    do {
        bench_need(fgets(line, sizeof line, c->out) != NULL,
                   "a node that was asked for", word);
        line[strcspn(line, "\n")] = '\0';
    } while (strncmp(line, word, n) != 0);
    if (rest != NULL)
        (void)snprintf(rest, 256, "%s", line[n] == ' ' ? line + n + 1 : "");
}

static void child_tell(child *c, const char *line)
{
    (void)fprintf(c->in, "%s\n", line);
    (void)fflush(c->in);
}

static void child_ask(child *c, const char *line, const char *word,
                      char rest[256])
{
    child_tell(c, line);
    child_hear(c, word, rest);
}

static void child_end(child *c)
{
    child_tell(c, "quit");
    (void)fclose(c->in);
    (void)fclose(c->out);
    (void)waitpid(c->pid, NULL, 0);
}

typedef struct measure {
    bench_out out;
    size_t docs;
    char dir[512];
    char rest[256];
    char address[256];
} measure;

static const char *file_of(measure *m, const char *name, char out[600])
{
    (void)snprintf(out, 600, "%s/%s", m->dir, name);
    return out;
}

/* What a program without sync does with W: seconds. */
static double peer_insert(measure *m, const bench_work *w)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    char path[600];
    double start;

    bench_file_remove(file_of(m, "peer.db", path));
    start = bench_now();
    bench_need(sqlite3_open(path, &db) == SQLITE_OK &&
                   sqlite3_exec(db,
                                "PRAGMA journal_mode=WAL;"
                                "PRAGMA synchronous=NORMAL;"
                                "CREATE TABLE t(id TEXT PRIMARY KEY, body "
                                "TEXT);BEGIN",
                                NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(db, "INSERT INTO t VALUES(?1,?2)", -1,
                                      &stmt, NULL) == SQLITE_OK,
               "raw SQLite", sqlite3_errmsg(db));
    for (size_t i = 0; i < w->count; i++) {
        (void)sqlite3_bind_text(stmt, 1, w->orders[i].id, 26, SQLITE_STATIC);
        (void)sqlite3_bind_text(stmt, 2, w->orders[i].json, -1, SQLITE_STATIC);
        bench_need(sqlite3_step(stmt) == SQLITE_DONE, "insert",
                   sqlite3_errmsg(db));
        (void)sqlite3_reset(stmt);
    }
    (void)sqlite3_finalize(stmt);
    bench_need(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK,
               "commit", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    return bench_now() - start;
}

static void measure_cold(measure *m, child *server)
{
    bench_pair p = { .rounds = 5 };
    char path[600];
    bench_work w;

    bench_work_make(&w, m->docs, 20261123);
    for (size_t i = 0; i < p.rounds; i++) {
        double start;
        child c;

        p.peer[i] = (double)m->docs / peer_insert(m, &w);
        bench_file_remove(file_of(m, "cold.tako", path));
        start = bench_now();
        c = child_start(path, 0, 0, m->address);
        child_hear(&c, "address", NULL);
        child_ask(server, "ack", "acked", NULL);
        p.ours[i] = (double)m->docs / (bench_now() - start);
        child_end(&c);
    }
    bench_work_free(&w);
    bench_pair_line(&m->out, "cold_sync", "documents/s", &p, 0.75);
    bench_value_line(&m->out, "cold_sync_rate", "documents/s",
                     bench_median(p.ours, p.rounds), 100000, false);
}

static void change_lines(measure *m, const char *which, const double goals[3])
{
    static const char *const what[] = { "payload", "framed", "wire" };
    double bytes[3];
    char name[64];

    bench_need(
        sscanf(m->rest, "%lf %lf %lf", &bytes[0], &bytes[1], &bytes[2]) == 3,
        "change", m->rest);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "change_%s_%s", which, what[i]);
        bench_value_line(&m->out, name, "bytes", bytes[i], goals[i], true);
    }
}

static void measure_live(measure *m, child *server)
{
    static const double known[] = { 40, 60, 0 }, first[] = { 0, 0, 0 };
    char path[600];
    double p50 = 0, p99 = 0, p999 = 0;
    size_t count = 0;
    child c = child_start(file_of(m, "cold.tako", path), 0, 0, m->address);

    child_hear(&c, "address", NULL);
    child_ask(server, "ack", "acked", NULL);
    child_ask(server, "change", "changed", m->rest);
    change_lines(m, "first", first);
    child_hear(server, "changed", m->rest);
    change_lines(m, "known", known);
    child_ask(&c, "probe", "probing", NULL);
    child_ask(server, "pace 50 2000", "paced", NULL); /* warm */
    child_ask(server, "ack", "acked", NULL);
    (void)usleep(50000);
    child_ask(&c, "latency", "latency", NULL);
    child_ask(server, "pace 2000 3000", "paced", NULL);
    child_ask(server, "ack", "acked", NULL);
    (void)usleep(50000);
    child_ask(&c, "latency", "latency", m->rest);
    bench_need(sscanf(m->rest, "%zu %lf %lf %lf", &count, &p50, &p99, &p999) ==
                   4,
               "latency", m->rest);
    bench_value_line(&m->out, "live_samples", "of 2000", (double)count, 0,
                     false);
    bench_value_line(&m->out, "live_p50", "ms", p50, 0.5, true);
    bench_value_line(&m->out, "live_p99", "ms", p99, 3, true);
    bench_value_line(&m->out, "live_p999", "ms", p999, 0, true);
    child_end(&c);
}

static void measure_rss(measure *m, child *server)
{
    char path[600];
    child c = child_start(file_of(m, "cold.tako", path), 0, 0, m->address);

    child_hear(&c, "address", NULL);
    child_ask(server, "ack", "acked", NULL);
    (void)usleep(2000000);
    child_ask(&c, "rss", "rss", m->rest);
    bench_value_line(&m->out, "idle_rss", "MB", strtod(m->rest, NULL) / 1024.0,
                     16, true);
    child_end(&c);
}

static void measure_first(measure *m)
{
    enum { ROUNDS = 5 };
    double ms[ROUNDS];
    char path[600];
    child server = child_start(file_of(m, "small.tako", path), 100, 0, NULL);

    child_hear(&server, "address", m->address);
    for (size_t i = 0; i < ROUNDS; i++) {
        double start;
        child c;

        bench_file_remove(file_of(m, "first.tako", path));
        start = bench_now();
        c = child_start(path, 0, 100, m->address);
        child_hear(&c, "complete", NULL);
        ms[i] = (bench_now() - start) * 1000;
        child_end(&c);
    }
    bench_value_line(&m->out, "first_100", "ms", bench_median(ms, ROUNDS), 150,
                     true);
    child_end(&server);
}

int main(int argc, char **argv)
{
    measure m = { .docs = 100000 };
    const char *parent = ".";
    char path[600];
    child server;

    if (argc > 1 && strcmp(argv[1], "--node") == 0)
        return node_main(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            m.out.json = true;
        else if (strcmp(argv[i], "--docs") == 0 && i + 1 < argc)
            m.docs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            parent = argv[++i];
        else
            bench_need(false, "unknown option", argv[i]);
    }
    bench_need(m.docs >= CHANGED, "options: 1000 documents or more", NULL);
    bench_dir_make(m.dir, sizeof m.dir, parent);
    bench_head(&m.out);
    server = child_start(file_of(&m, "server.tako", path), m.docs, 0, NULL);
    child_hear(&server, "address", m.address);
    measure_cold(&m, &server);
    measure_live(&m, &server);
    measure_rss(&m, &server);
    child_end(&server);
    measure_first(&m);
    bench_dir_remove(m.dir);
    return 0;
}
