// SPDX-License-Identifier: Apache-2.0
/* BENCH_SYNC -- processes that sync over TLS on loopback.
 *
 * The program starts itself again (support_nodes.h) as a server, which holds W
 * and listens, and as clients, which dial it.
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
 *   live2            the same over a process between the two; in turn with
 *                    live1, which is live between two other processes, and
 *                    beside it with what somebody would write by hand
 *                    (support_byhand.h): rounds of 400 changes, the medians of
 *                    the rounds
 *   grow_*           two processes that have opened their files, one with
 *                    --rss-docs documents and one with none, and link: how
 *                    much more than before they ever had resident until the
 *                    last is acknowledged. "seen": while the client observes a
 *                    count of all, which reads them all again and again
 *     _growth          VmHWM after against VmRSS before: what the goal is of
 *     _own             RssAnon, the most, against before
 *     _files           RssFile: libraries, the log's index, maps of the file
 *
 *   busy_*           a program that writes and reads a document of its own each
 *                    2 ms while its device downloads W: how long it waits. To
 *                    write: for a chunk, and at most for a move of the log,
 *                    which is the disk's
 *
 *   bench_sync [--docs N] [--rss-docs N] [--only two|first|busy|hops|growth]
 *              [--dir FOLDER] [--json] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support_bench.h"
#include "support_byhand.h"
#include "support_nodes.h"

#define HOP_ROUNDS  5
#define HOP_CHANGES 400
#define GROWTH_MB   64

typedef struct measure {
    bench_out out;
    size_t docs, rss_docs;
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

static void measure_cold(measure *m, bench_child *server)
{
    bench_pair p = { .rounds = 5 };
    char path[600];
    bench_work w;

    bench_work_make(&w, m->docs, 20261123);
    for (size_t i = 0; i < p.rounds; i++) {
        double start;
        bench_child c;

        p.peer[i] = (double)m->docs / peer_insert(m, &w);
        bench_file_remove(file_of(m, "cold.tako", path));
        start = bench_now();
        c = bench_child_start(path, 0, 0, m->address);
        bench_child_hear(&c, "address", NULL);
        bench_child_ask(server, "ack", "acked", NULL);
        p.ours[i] = (double)m->docs / (bench_now() - start);
        bench_child_end(&c);
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

static void measure_live(measure *m, bench_child *server)
{
    static const double known[] = { 40, 60, 0 }, first[] = { 0, 0, 0 };
    char path[600];
    double p50 = 0, p99 = 0, p999 = 0;
    size_t count = 0;
    bench_child c =
        bench_child_start(file_of(m, "cold.tako", path), 0, 0, m->address);

    bench_child_hear(&c, "address", NULL);
    bench_child_ask(server, "ack", "acked", NULL);
    bench_child_ask(server, "change", "changed", m->rest);
    change_lines(m, "first", first);
    bench_child_hear(server, "changed", m->rest);
    change_lines(m, "known", known);
    bench_child_ask(&c, "probe", "probing", NULL);
    bench_child_ask(server, "pace 50 2000", "paced", NULL); /* warm */
    bench_child_ask(server, "ack", "acked", NULL);
    (void)usleep(50000);
    bench_child_ask(&c, "latency", "latency", NULL);
    bench_child_ask(server, "pace 2000 3000", "paced", NULL);
    bench_child_ask(server, "ack", "acked", NULL);
    (void)usleep(50000);
    bench_child_ask(&c, "latency", "latency", m->rest);
    bench_need(sscanf(m->rest, "%zu %lf %lf %lf", &count, &p50, &p99, &p999) ==
                   4,
               "latency", m->rest);
    bench_value_line(&m->out, "live_samples", "of 2000", (double)count, 0,
                     false);
    bench_value_line(&m->out, "live_p50", "ms", p50, 0.5, true);
    bench_value_line(&m->out, "live_p99", "ms", p99, 3, true);
    bench_value_line(&m->out, "live_p999", "ms", p999, 0, true);
    bench_child_end(&c);
}

static void measure_rss(measure *m, bench_child *server)
{
    char path[600];
    bench_child c =
        bench_child_start(file_of(m, "cold.tako", path), 0, 0, m->address);

    bench_child_hear(&c, "address", NULL);
    bench_child_ask(server, "ack", "acked", NULL);
    (void)usleep(2000000);
    bench_value_line(&m->out, "idle_rss", "MB", bench_memory_of(c.pid).all, 16,
                     true);
    bench_child_end(&c);
}

static void measure_first(measure *m)
{
    enum { ROUNDS = 5 };
    double ms[ROUNDS];
    char path[600];
    bench_child server =
        bench_child_start(file_of(m, "small.tako", path), 100, 0, NULL);

    bench_child_hear(&server, "address", m->address);
    for (size_t i = 0; i < ROUNDS; i++) {
        double start;
        bench_child c;

        bench_file_remove(file_of(m, "first.tako", path));
        start = bench_now();
        c = bench_child_start(path, 0, 100, m->address);
        bench_child_hear(&c, "complete", NULL);
        ms[i] = (bench_now() - start) * 1000;
        bench_child_end(&c);
    }
    bench_value_line(&m->out, "first_100", "ms", bench_median(ms, ROUNDS), 150,
                     true);
    bench_child_end(&server);
}

/* ---- busy ------------------------------------------------------------------ */

static void measure_busy(measure *m)
{
    enum { ROUNDS = 5 };
    static const char *const lines[] = { "busy_write_p95", "busy_write_max",
                                         "busy_read_p95", "busy_read_max" };
    static const double goals[] = { 50, 0, 0, 0 };
    double ms[4][ROUNDS], samples = 0;
    char path[600], dial[300];
    bench_child server =
        bench_child_start(file_of(m, "fed.tako", path), m->docs, 0, NULL);

    bench_child_hear(&server, "address", m->address);
    (void)snprintf(dial, sizeof dial, "dial %s", m->address);
    for (size_t i = 0; i < ROUNDS; i++) {
        bench_child c;

        bench_file_remove(file_of(m, "busy.tako", path));
        c = bench_child_start(path, 0, 0, NULL);
        bench_child_hear(&c, "address", NULL);
        bench_child_ask(&c, "work", "working", NULL);
        bench_child_ask(&c, dial, "dialled", NULL);
        bench_child_ask(&server, "ack", "acked", NULL);
        bench_child_ask(&c, "rest", "rested", m->rest);
        bench_need(sscanf(m->rest, "%*u %lf %lf %lf %lf", &ms[0][i], &ms[1][i],
                          &ms[2][i], &ms[3][i]) == 4,
                   "rest", m->rest);
        samples += strtod(m->rest, NULL);
        bench_child_end(&c);
    }
    bench_value_line(&m->out, "busy_samples", "of both", samples, 0, false);
    for (size_t k = 0; k < 4; k++)
        bench_value_line(&m->out, lines[k], "ms", bench_median(ms[k], ROUNDS),
                         goals[k], true);
    bench_child_end(&server);
}

/* ---- hops ------------------------------------------------------------------ */

/* A line of nodes over which changes of the first are observed at the last. */
typedef struct line {
    bench_child nodes[3];
    size_t count;
    double p50[HOP_ROUNDS], p99[HOP_ROUNDS];
    size_t samples; /* less than the changes where one cut brought several */
} line;

static void line_start(measure *m, line *l, const char *name)
{
    char path[600], file[64], address[256];

    for (size_t i = 0; i < l->count; i++) {
        (void)snprintf(file, sizeof file, "%s%zu.tako", name, i);
        l->nodes[i] = bench_child_start(file_of(m, file, path),
                                        i == 0 ? BENCH_CHANGED : 0, 0,
                                        i == 0 ? NULL : address);
        bench_child_hear(&l->nodes[i], "address", address);
    }
}

static void line_pace(measure *m, line *l, const char *pace)
{
    bench_child_ask(&l->nodes[0], pace, "paced", NULL);
    bench_child_ask(&l->nodes[0], "ack", "acked", NULL);
    (void)usleep(50000);
    bench_child_ask(&l->nodes[l->count - 1], "latency", "latency", m->rest);
}

/* The last node observes only once it has what the first has: what it is told
 * before is no change that came live. */
static void line_warm(measure *m, line *l)
{
    bench_child *last = &l->nodes[l->count - 1];
    double end = bench_now() + 60;

    do {
        (void)usleep(10000);
        bench_child_ask(last, "count", "count", m->rest);
        bench_need(bench_now() < end, "documents at the end of", "a line");
    } while (strtoull(m->rest, NULL, 10) <= BENCH_CHANGED);
    bench_child_ask(last, "probe", "probing", NULL);
    line_pace(m, l, "pace 100 2000");
}

static void line_round(measure *m, line *l, size_t round)
{
    char pace[64];
    size_t count = 0;

    (void)snprintf(pace, sizeof pace, "pace %d 3000", HOP_CHANGES);
    line_pace(m, l, pace);
    bench_need(sscanf(m->rest, "%zu %lf %lf", &count, &l->p50[round],
                      &l->p99[round]) == 3 &&
                   count > 0,
               "latency", m->rest);
    l->samples += count;
}

/* What is written by hand, in the same rounds. */
static void byhand_round(bench_byhand *b, bench_pair pairs[2], const line *one,
                         size_t round)
{
    double peer[2];

    bench_byhand_pace(b, HOP_CHANGES, 3000, peer);
    pairs[0].ours[round] = one->p50[round] * 1000;
    pairs[1].ours[round] = one->p99[round] * 1000;
    for (size_t i = 0; i < 2; i++) {
        pairs[i].peer[round] = peer[i] * 1000;
        pairs[i].rounds = round + 1;
    }
}

/* goals: of the median, of the 99th percentile. */
static void line_lines(measure *m, const line *l, const char *name,
                       const double goals[2])
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s_samples", name);
    bench_value_line(&m->out, text, "of 2000", (double)l->samples, 0, false);
    (void)snprintf(text, sizeof text, "%s_p50", name);
    bench_value_line(&m->out, text, "ms", bench_median(l->p50, HOP_ROUNDS),
                     goals[0], true);
    (void)snprintf(text, sizeof text, "%s_p99", name);
    bench_value_line(&m->out, text, "ms", bench_median(l->p99, HOP_ROUNDS),
                     goals[1], true);
}

static void line_end(line *l)
{
    for (size_t i = 0; i < l->count; i++)
        bench_child_end(&l->nodes[i]);
}

static void measure_hops(measure *m)
{
    static const double one_goals[] = { 0, 0 }, two_goals[] = { 1, 6 };
    line one = { .count = 2 }, two = { .count = 3 };
    bench_pair byhand[2] = { { .rounds = 0 } };
    bench_byhand b;

    bench_byhand_start(&b, m->dir);
    line_start(m, &one, "one");
    line_start(m, &two, "two");
    line_warm(m, &one);
    line_warm(m, &two);
    for (size_t i = 0; i < HOP_ROUNDS; i++) {
        line_round(m, &one, i);
        line_round(m, &two, i);
        byhand_round(&b, byhand, &one, i);
    }
    bench_byhand_end(&b);
    bench_pair_line(&m->out, "live1_p50_by_hand", "us", &byhand[0], 0);
    bench_pair_line(&m->out, "live1_p99_by_hand", "us", &byhand[1], 0);
    line_lines(m, &one, "live1", one_goals);
    line_lines(m, &two, "live2", two_goals);
    bench_value_line(&m->out, "live2_ratio", "p50 of two hops by that of one",
                     bench_median(two.p50, HOP_ROUNDS) /
                         bench_median(one.p50, HOP_ROUNDS),
                     2, true);
    bench_value_line(&m->out, "live2_p99_ratio", "the same of the p99s",
                     bench_median(two.p99, HOP_ROUNDS) /
                         bench_median(one.p99, HOP_ROUNDS),
                     2, true);
    line_end(&one);
    line_end(&two);
}

/* ---- growth ---------------------------------------------------------------- */

static void growth_lines(measure *m, const char *name, double goal,
                         const bench_memory *before, const bench_memory *most)
{
    const struct {
        const char *part, *unit;
        double mb, goal;
    } lines[] = {
        { "growth", "MB, all that is resident", most->all - before->all, goal },
        { "own", "MB, memory of its own", most->own - before->own, 0 },
        { "files", "MB, pages of files", most->files - before->files, 0 },
    };
    char text[80];

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        (void)snprintf(text, sizeof text, "%s_%s", name, lines[i].part);
        bench_value_line(&m->out, text, lines[i].unit, lines[i].mb,
                         lines[i].goal, true);
    }
}

/* What the client's program observes meanwhile. */
static const struct {
    const char *name;    /* of the lines */
    const char *observe; /* the command, or NULL */
    double goals[2];     /* MB, documents/s */
} growths[] = {
    { "grow", NULL, { GROWTH_MB, 100000 } },
    { "grow_few",
      "diff SELECT * FROM orders WHERE status = 'open' AND table = 7",
      { GROWTH_MB, 0 } },
    { "grow_all", "observe SELECT count(*) AS n FROM orders", { 0, 0 } },
};

/* Both are processes that have done nothing yet but open their files. */
static void growth_start(measure *m, bench_child peers[2], const char *observe)
{
    char path[600];

    peers[0] = bench_child_start(file_of(m, "many.tako", path), 0, 0, NULL);
    bench_child_hear(&peers[0], "address", m->address);
    bench_file_remove(file_of(m, "empty.tako", path));
    peers[1] = bench_child_start(path, 0, 0, NULL);
    bench_child_hear(&peers[1], "address", NULL);
    if (observe != NULL)
        bench_child_ask(&peers[1], observe, "observing", NULL);
    bench_child_ask(&peers[0], "pace 1 1", "paced", NULL); /* to be awaited */
}

static double growth_sync(measure *m, bench_child peers[2])
{
    double start = bench_now(), seconds;
    char dial[300];

    (void)snprintf(dial, sizeof dial, "dial %s", m->address);
    bench_child_ask(&peers[1], dial, "dialled", NULL);
    bench_child_ask(&peers[0], "ack", "acked", NULL);
    seconds = bench_now() - start;
    bench_child_ask(&peers[1], "count", "count", m->rest);
    bench_need(strtoull(m->rest, NULL, 10) == m->rss_docs + 1, "documents",
               m->rest);
    return (double)m->rss_docs / seconds;
}

static void growth_run(measure *m, size_t kind)
{
    static const char *const sides[] = { "server", "client" };
    const char *name = growths[kind].name;
    bench_child peers[2]; /* who has all, who has nothing */
    bench_memory before[2], most[2];
    bench_watch *watch;
    double rate;
    char text[64];

    growth_start(m, peers, growths[kind].observe);
    watch = bench_watch_start((pid_t[]){ peers[0].pid, peers[1].pid });
    for (size_t i = 0; i < 2; i++)
        before[i] = bench_memory_of(peers[i].pid);
    rate = growth_sync(m, peers);
    (void)usleep(200000);
    bench_watch_stop(watch, most);
    (void)snprintf(text, sizeof text, "%s_rate", name);
    bench_value_line(&m->out, text, "documents/s", rate, growths[kind].goals[1],
                     false);
    for (size_t i = kind == 0 ? 0 : 1; i < 2; i++) {
        (void)snprintf(text, sizeof text, "%s_%s", name, sides[i]);
        growth_lines(m, text, growths[kind].goals[0], &before[i], &most[i]);
    }
    bench_child_end(&peers[1]);
    bench_child_end(&peers[0]);
}

static void measure_growth(measure *m)
{
    char path[600];
    bench_child maker;

    if (m->rss_docs == 0)
        return;
    maker =
        bench_child_start(file_of(m, "many.tako", path), m->rss_docs, 0, NULL);
    bench_child_hear(&maker, "address", NULL);
    bench_child_end(&maker); /* it has made W in its memory too */
    for (size_t i = 0; i < sizeof growths / sizeof growths[0]; i++)
        growth_run(m, i);
}

/* ---- all of it ------------------------------------------------------------- */

/* What two processes that hold W do. */
static void measure_two(measure *m)
{
    char path[600];
    bench_child server =
        bench_child_start(file_of(m, "server.tako", path), m->docs, 0, NULL);

    bench_child_hear(&server, "address", m->address);
    measure_cold(m, &server);
    measure_live(m, &server);
    measure_rss(m, &server);
    bench_child_end(&server);
}

static const struct {
    const char *name;
    void (*run)(measure *m);
} parts[] = {
    { "two", measure_two },       { "first", measure_first },
    { "busy", measure_busy },     { "hops", measure_hops },
    { "growth", measure_growth },
};

int main(int argc, char **argv)
{
    measure m = { .docs = 100000 };
    const char *parent = ".", *only = NULL;

    if (argc > 1 && strcmp(argv[1], "--node") == 0)
        return bench_node_main(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            m.out.json = true;
        else if (strcmp(argv[i], "--docs") == 0 && i + 1 < argc)
            m.docs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rss-docs") == 0 && i + 1 < argc)
            m.rss_docs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            parent = argv[++i];
        else
            bench_usage("bench_sync", "[--docs N] [--dir FOLDER] [--json]",
                        argv[i]);
    }
    bench_need(m.docs >= BENCH_CHANGED, "options: 1000 documents or more",
               NULL);
    bench_dir_make(m.dir, sizeof m.dir, parent);
    bench_head(&m.out);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (only == NULL || strcmp(only, parts[i].name) == 0)
            parts[i].run(&m);
    bench_dir_remove(m.dir);
    return 0;
}
