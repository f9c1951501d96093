// SPDX-License-Identifier: Apache-2.0
/* BENCH_LIVE -- what live queries and predicates cost.
 *
 * predicate_*   one predicate over the bodies of W, evaluations/s: of two
 *               equalities; of an equality and a range, where one document in
 *               five comes to the range; of two ranges; of what only SQLite
 *               can say
 * live_*        N observers of diffs, each `SELECT * FROM orders WHERE serial
 *               = <its own>`. Commits that touch one of them, beside the same
 *               with none observing; documents/s of commits that touch none
 *
 *   bench_live [--observers N] [--docs N] [--rounds N] [--dir FOLDER]
 *              [--profile SECONDS]   predicate_sqlite alone, for a profiler
 *              [--json] [--cpu]   this thread's own time: for a busy machine;
 *                                 live_told is wrong then */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/json.h"
#include "query/query.h"
#include "support_bench.h"
#include "sys/sys.h"
#include "tako/tako.h"

#define BATCH 1000

typedef struct bench_live {
    bench_work work;
    bench_out out;
    size_t observers, rounds;
    char dir[512], path[600];
    tako_db *db;
    char *text; /* scratch for parameters */
    uint64_t seed;
    size_t next_order; /* of W, to be inserted */
    /* The callbacks' side. */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t calls;
    double called; /* when the last came */
} bench_live;

static bool own_time;

static double now(void)
{
    struct timespec t;

    if (!own_time)
        return bench_now();
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(bench_live *l, tako_err err, const char *what)
{
    bench_need(err == TAKO_OK, what,
               l->db != NULL ? tako_last_error(l->db) : tako_err_name(err));
}

/* ---- predicates ------------------------------------------------------------- */

static double evaluations(const tako_env *env, const tako_slice *bodies,
                          size_t count, const char *text, double seconds)
{
    query_predicate *p = NULL;
    tako_errbuf e = { "" };
    size_t matched = 0, done = 0;
    double start;

    bench_need(query_predicate_new(env, tako_slice_str(text), TAKO_SLICE_NONE,
                                   &p, &e) == TAKO_OK,
               text, e.text);
    start = now();
    while (now() - start < seconds)
        for (size_t i = 0; i < 1000; i++, done++)
            matched +=
                query_predicate_match(p, TAKO_SLICE_NONE, bodies[done % count]);
    seconds = now() - start;
    bench_need(matched > 0, "a predicate that never matches", text);
    query_predicate_free(p);
    return (double)done / seconds;
}

static void measure_predicates(bench_live *l, double profile)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        { "predicate_equal",
          "SELECT * FROM orders WHERE status = 'open' AND table = 7" },
        { "predicate_mixed",
          "SELECT * FROM orders WHERE status = 'open' AND total > 50" },
        { "predicate_range",
          "SELECT * FROM orders WHERE total > 50 AND table < 30" },
        { "predicate_sqlite",
          "SELECT * FROM orders WHERE total > 50 OR table < 30" },
    };
    size_t count = l->work.count < 1000 ? l->work.count : 1000;
    tako_slice *bodies = calloc(count, sizeof *bodies);
    tako_buf all;
    tako_env env;

    sys_env_init(&env);
    all = tako_buf_on(&env);
    for (size_t i = 0; i < count; i++) /* room first: slices are kept */
        (void)tako_buf_reserve(&all, strlen(l->work.orders[i].json) * count);
    for (size_t i = 0; i < count; i++) {
        size_t at = all.len;

        bench_need(json_to_cbor(tako_slice_str(l->work.orders[i].json),
                                TAKO_JSON_DEPTH_MAX, &all, NULL) == TAKO_OK,
                   "json", NULL);
        bodies[i] = tako_slice_of(all.ptr + at, all.len - at);
    }
    for (size_t k = 0; k < 4 && profile == 0; k++) {
        double rates[BENCH_ROUNDS_MAX];

        for (size_t r = 0; r < l->rounds; r++)
            rates[r] = evaluations(&env, bodies, count, rows[k].text, 0.3);
        bench_value_line(&l->out, rows[k].name, "evaluations/s",
                         bench_median(rates, l->rounds), k < 3 ? 1e6 : 0,
                         false);
    }
    if (profile > 0)
        (void)printf(
            "%.0f evaluations\n",
            profile * evaluations(&env, bodies, count, rows[3].text, profile));
    tako_buf_fini(&all);
    free(bodies);
}

/* ---- observers --------------------------------------------------------------- */

static void on_diff(void *ctx, const char *json, size_t len, uint64_t commit)
{
    bench_live *l = ctx;

    (void)json;
    (void)len;
    (void)commit;
    (void)pthread_mutex_lock(&l->mutex);
    l->calls++;
    l->called = now();
    (void)pthread_cond_signal(&l->cond);
    (void)pthread_mutex_unlock(&l->mutex);
}

static void wait_calls(bench_live *l, uint64_t calls)
{
    (void)pthread_mutex_lock(&l->mutex);
    while (l->calls < calls)
        (void)pthread_cond_wait(&l->cond, &l->mutex);
    (void)pthread_mutex_unlock(&l->mutex);
}

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long all = 0, resident = 0;

    bench_need(f != NULL && fscanf(f, "%ld %ld", &all, &resident) == 2,
               "reading /proc/self/statm", NULL);
    (void)fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void observe_all(bench_live *l)
{
    double start = now(), before = resident_bytes();

    for (size_t i = 0; i < l->observers; i++) {
        char params[64];
        tako_params p = { params, NULL, 0 };

        (void)snprintf(params, sizeof params, "{\"n\":%zu}", i);
        need(l,
             tako_observe_diff(l->db, "SELECT * FROM orders WHERE serial = :n",
                               &p, 0, on_diff, l, NULL),
             "observe");
    }
    wait_calls(l, l->observers);
    bench_value_line(&l->out, "live_observe", "us each, with its first result",
                     (now() - start) * 1e6 / (double)l->observers, 0, true);
    bench_value_line(&l->out, "live_memory", "bytes each, resident",
                     (resident_bytes() - before) / (double)l->observers, 0,
                     true);
}

/* Without the opening brace, for a field more. */
static const char *next_order(bench_live *l)
{
    bench_need(l->next_order < l->work.count, "more --docs are needed", NULL);
    return l->work.orders[l->next_order++].json + 1;
}

/* One document with a serial, 0: none; the seconds of its commit. */
static double commit_one(bench_live *l, size_t serial)
{
    double start;

    (void)snprintf(l->text, 4096, "{\"d\":{\"serial\":%zu,%s}", serial,
                   next_order(l));
    start = now();
    need(l, tako_run(l->db, "INSERT INTO orders DOCUMENTS (:d)", l->text, NULL),
         "insert");
    return now() - start;
}

#define COMMITS 2000

static double median_commit(bench_live *l, bool touching, double *p99,
                            double *latency)
{
    static double times[COMMITS], told[COMMITS];

    for (size_t i = 0; i < COMMITS; i++) {
        size_t serial = bench_random(&l->seed) % l->observers;
        uint64_t calls = l->calls; /* none is on its way */
        double start = now();

        times[i] = commit_one(l, touching ? serial : l->observers + 1);
        if (latency == NULL)
            continue;
        wait_calls(l, calls + 1);
        told[i] = l->called - start;
    }
    if (latency != NULL)
        *latency = bench_percentile(told, COMMITS, 0.5);
    *p99 = bench_percentile(times, COMMITS, 0.99);
    return bench_percentile(times, COMMITS, 0.5);
}

/* Documents/s of transactions of `batch` that touch no observer. */
static double untouching(bench_live *l, size_t documents, size_t batch)
{
    double start = now();

    for (size_t i = 0; i < documents; i += batch) {
        size_t n = (size_t)sprintf(l->text, "{\"d\":[");

        for (size_t k = 0; k < batch; k++)
            n += (size_t)sprintf(l->text + n, "%s{\"serial\":-1,%s",
                                 k > 0 ? "," : "", next_order(l));
        memcpy(l->text + n, "]}", 3);
        need(
            l,
            tako_run(l->db, "INSERT INTO orders DOCUMENTS (:d)", l->text, NULL),
            "insert");
    }
    return (double)documents / (now() - start);
}

static double rates_of(bench_live *l, size_t batch, size_t documents)
{
    double rates[BENCH_ROUNDS_MAX];

    for (size_t r = 0; r < l->rounds; r++)
        rates[r] = untouching(l, documents, batch);
    return bench_median(rates, l->rounds);
}

static void open_fresh(bench_live *l)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    char detail[256] = "";

    bench_file_remove(l->path);
    l->next_order = 0;
    o.path = l->path;
    bench_need(tako_open(&o, &l->db, detail, sizeof detail) == TAKO_OK,
               "tako_open", detail);
    (void)untouching(l, BATCH, BATCH);
}

static void measure_observers(bench_live *l)
{
    double without, with, p99_without, p99, latency, bulk, single;

    open_fresh(l);
    without = median_commit(l, true, &p99_without, NULL);
    bulk = rates_of(l, BATCH, 20 * BATCH);
    single = rates_of(l, 1, 5 * BATCH);
    tako_close(l->db);
    open_fresh(l);
    observe_all(l);
    with = median_commit(l, true, &p99, &latency);
    bench_value_line(&l->out, "live_commit_added", "ms, median",
                     (with - without) * 1e3, 1, true);
    bench_value_line(&l->out, "live_commit_added_p99", "ms, of the p99s",
                     (p99 - p99_without) * 1e3, 1, true);
    bench_value_line(&l->out, "live_told", "ms from call to callback",
                     latency * 1e3, 0, true);
    bench_value_line(&l->out, "live_bulk", "documents/s that touch none",
                     rates_of(l, BATCH, 20 * BATCH), 50000, false);
    bench_value_line(&l->out, "live_bulk_unobserved", "documents/s", bulk, 0,
                     false);
    bench_value_line(&l->out, "live_single", "commits/s that touch none",
                     rates_of(l, 1, 5 * BATCH), 0, false);
    bench_value_line(&l->out, "live_single_unobserved", "commits/s", single, 0,
                     false);
    tako_close(l->db);
    bench_file_remove(l->path);
}

int main(int argc, char **argv)
{
    bench_live l = { .rounds = 5, .observers = 10000, .seed = 1 };
    size_t docs = 150000;
    const char *parent = ".";
    double profile = 0;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--json") == 0)
            l.out.json = true;
        else if (strcmp(argv[i], "--cpu") == 0)
            own_time = true;
        else if (strcmp(argv[i], "--docs") == 0 && ++i < argc)
            docs = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--observers") == 0 && ++i < argc)
            l.observers = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && ++i < argc)
            l.rounds = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && ++i < argc)
            parent = value;
        else if (strcmp(argv[i], "--profile") == 0 && ++i < argc)
            profile = strtod(value, NULL);
        else
            bench_usage(
                "bench_live",
                "[--observers N] [--docs N] [--rounds N] [--dir FOLDER] "
                "[--profile SECONDS] [--json] [--cpu]",
                argv[i]);
    }
    bench_need(docs >= 1000 && l.observers >= 1 && l.rounds >= 1 &&
                   l.rounds <= BENCH_ROUNDS_MAX,
               "options: 1000 documents, 1 observer, 1 to 31 rounds", NULL);
    (void)pthread_mutex_init(&l.mutex, NULL);
    (void)pthread_cond_init(&l.cond, NULL);
    l.text = malloc(BATCH * 1024);
    bench_need(l.text != NULL, "memory", NULL);
    bench_dir_make(l.dir, sizeof l.dir, parent);
    (void)snprintf(l.path, sizeof l.path, "%s/live.tako", l.dir);
    bench_work_make(&l.work, docs, 20261123);
    if (!l.out.json && profile == 0) {
        (void)printf("# %zu observers, documents of %.1f bytes, %zu rounds\n",
                     l.observers, l.work.json_bytes, l.rounds);
        bench_head(&l.out);
    }
    measure_predicates(&l, profile);
    if (profile == 0)
        measure_observers(&l);
    bench_work_free(&l.work);
    free(l.text);
    bench_dir_remove(l.dir);
    return 0;
}
