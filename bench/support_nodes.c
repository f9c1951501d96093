// SPDX-License-Identifier: Apache-2.0
#include "support_nodes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support_bench.h"
#include "tako/tako.h"

#define SECRET   "the secret of a benchmark"
#define BATCH    1000
#define TURNS    10 /* changes of each, once it is known */
#define PACED    2000
#define WAIT_MS  120000
#define WATCH_MS 10
#define WORKED   20000
#define WORK_US  2000

/* ---- a node ---------------------------------------------------------------- */

/* What a program waits for while it works. */
typedef struct peer_work {
    pthread_t thread;
    atomic_bool rest;
    double writes[WORKED], reads[WORKED]; /* ms */
    size_t count;
} peer_work;

typedef struct peer_node {
    tako_db *db;
    peer_work *work;
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
    char *ids[BENCH_CHANGED];
    size_t count = 0;

    node_need(
        n, tako_execute(n->db, "SELECT _id FROM orders LIMIT 1000", NULL, &r),
        "select");
    while (count < BENCH_CHANGED && tako_result_next(r) == TAKO_OK) {
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
        tako_result *r = NULL;

        (void)nanosleep(&pause, NULL);
        (void)snprintf(params, sizeof params, "{\"at\":%" PRIu64 "}",
                       nanoseconds());
        node_need(n,
                  tako_execute(n->db, "UPDATE probe SET at = :at WHERE _id = 1",
                               &p, &r),
                  "update");
        n->commit = tako_result_commit(r);
        tako_result_free(r);
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

static void on_any(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    (void)ctx;
    (void)rows;
    (void)len;
    (void)commit;
}

static void node_observe(peer_node *n, const char *select, bool diff)
{
    tako_observer o;

    node_need(n,
              diff ? tako_observe_diff(n->db, select, NULL, 0, on_any, n, &o)
                   : tako_observe(n->db, select, NULL, on_any, n, &o),
              "observe");
    reply("observing");
}

static double milliseconds(uint64_t since)
{
    return (double)(nanoseconds() - since) / 1e6;
}

static void *work_run(void *ctx)
{
    peer_node *n = ctx;
    peer_work *w = n->work;
    const struct timespec pause = { 0, WORK_US * 1000 };

    while (!atomic_load(&w->rest) && w->count < WORKED) {
        tako_result *r = NULL;
        uint64_t start = nanoseconds();

        node_need(n,
                  tako_execute(n->db, "UPDATE own SET n = n + 1 WHERE _id = 1",
                               NULL, NULL),
                  "update");
        w->writes[w->count] = milliseconds(start);
        start = nanoseconds();
        node_need(
            n, tako_execute(n->db, "SELECT n FROM own WHERE _id = 1", NULL, &r),
            "select");
        node_need(n, tako_result_next(r), "a row");
        tako_result_free(r);
        w->reads[w->count++] = milliseconds(start);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void node_work(peer_node *n)
{
    n->work = calloc(1, sizeof *n->work);
    bench_need(n->work != NULL, "memory", NULL);
    node_need(n,
              tako_execute(n->db,
                           "INSERT INTO own DOCUMENTS ({'_id': 1, 'n': 0})",
                           NULL, NULL),
              "insert");
    bench_need(pthread_create(&n->work->thread, NULL, work_run, n) == 0,
               "a thread", NULL);
    reply("working");
}

static void node_rest(peer_node *n)
{
    peer_work *w = n->work;

    bench_need(w != NULL, "rest without work", NULL);
    atomic_store(&w->rest, true);
    (void)pthread_join(w->thread, NULL);
    reply("rested %zu %.3f %.3f %.3f %.3f", w->count,
          bench_percentile(w->writes, w->count, 0.95),
          bench_percentile(w->writes, w->count, 1),
          bench_percentile(w->reads, w->count, 0.95),
          bench_percentile(w->reads, w->count, 1));
    free(w);
    n->work = NULL;
}

/* The database's own number comes before those of its parts. */
static void node_count(peer_node *n)
{
    static const char key[] = "\"documents\":";
    char *json = NULL;
    const char *at;
    tako_err err;

    do {
        err = tako_status(n->db, &json);
    } while (err == TAKO_BUSY); /* it merges */
    node_need(n, err, "status");
    at = strstr(json, key);
    bench_need(at != NULL, "status", json);
    reply("count %llu", strtoull(at + strlen(key), NULL, 10));
    tako_free(json);
}

static void node_dial(peer_node *n, const char *address)
{
    node_need(n, tako_peer_add(n->db, address), "dial");
    reply("dialled");
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
        } else if (strcmp(line, "work") == 0) {
            node_work(n);
        } else if (strcmp(line, "rest") == 0) {
            node_rest(n);
        } else if (strcmp(line, "count") == 0) {
            node_count(n);
        } else if (strncmp(line, "observe ", 8) == 0) {
            node_observe(n, line + 8, false);
        } else if (strncmp(line, "diff ", 5) == 0) {
            node_observe(n, line + 5, true);
        } else if (strncmp(line, "dial ", 5) == 0) {
            node_dial(n, line + 5);
        } else {
            break; /* quit */
        }
    }
}

int bench_node_main(int argc, char **argv)
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

/* ---- who started it -------------------------------------------------------- */

bench_child bench_child_start(const char *path, size_t docs, size_t expected,
                              const char *address)
{
    int to[2], from[2];
    char made[32], all[32];
    bench_child c;

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

void bench_child_hear(bench_child *c, const char *word, char rest[256])
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

static void child_tell(bench_child *c, const char *line)
{
    (void)fprintf(c->in, "%s\n", line);
    (void)fflush(c->in);
}

void bench_child_ask(bench_child *c, const char *line, const char *word,
                     char rest[256])
{
    child_tell(c, line);
    bench_child_hear(c, word, rest);
}

void bench_child_end(bench_child *c)
{
    child_tell(c, "quit");
    (void)fclose(c->in);
    (void)fclose(c->out);
    (void)waitpid(c->pid, NULL, 0);
}

/* ---- memory ---------------------------------------------------------------- */

static double field_of(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncmp(line, name, n) == 0 ? strtod(line + n, NULL) / 1024 : 0;
}

/* peak: `all` is the high-water mark. */
static bench_memory memory_read(pid_t pid, bool peak)
{
    bench_memory m = { 0, 0, 0 };
    char line[256];
    FILE *f;

    (void)snprintf(line, sizeof line, "/proc/%d/status", (int)pid);
    f = fopen(line, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        m.all += field_of(line, peak ? "VmHWM:" : "VmRSS:");
        m.own += field_of(line, "RssAnon:");
        m.files += field_of(line, "RssFile:") + field_of(line, "RssShmem:");
    }
    if (f != NULL)
        (void)fclose(f);
    return m;
}

bench_memory bench_memory_of(pid_t pid)
{
    return memory_read(pid, false);
}

struct bench_watch {
    pthread_t thread;
    pid_t pids[2];
    bench_memory most[2];
    atomic_bool stopped;
};

static void watch_once(bench_watch *w)
{
    for (size_t i = 0; i < 2; i++) {
        bench_memory m = memory_read(w->pids[i], true);

        if (m.all > w->most[i].all)
            w->most[i].all = m.all;
        if (m.own > w->most[i].own)
            w->most[i].own = m.own;
        if (m.files > w->most[i].files)
            w->most[i].files = m.files;
    }
}

static void *watch_run(void *ctx)
{
    bench_watch *w = ctx;

    while (!atomic_load(&w->stopped)) {
        watch_once(w);
        (void)usleep(WATCH_MS * 1000);
    }
    return NULL;
}

bench_watch *bench_watch_start(const pid_t pids[2])
{
    bench_watch *w = calloc(1, sizeof *w);
    char name[64];

    bench_need(w != NULL, "memory", NULL);
    for (size_t i = 0; i < 2; i++) {
        FILE *f;

        w->pids[i] = pids[i];
        (void)snprintf(name, sizeof name, "/proc/%d/clear_refs", (int)pids[i]);
        f = fopen(name, "w");
        bench_need(f != NULL && fputs("5", f) >= 0 && fclose(f) == 0,
                   "resetting a high-water mark", name);
    }
    bench_need(pthread_create(&w->thread, NULL, watch_run, w) == 0, "a thread",
               NULL);
    return w;
}

void bench_watch_stop(bench_watch *w, bench_memory most[2])
{
    atomic_store(&w->stopped, true);
    (void)pthread_join(w->thread, NULL);
    watch_once(w);
    memcpy(most, w->most, sizeof w->most);
    free(w);
}
