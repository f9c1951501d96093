// SPDX-License-Identifier: Apache-2.0
/* BENCH_QUERY -- questions that a restaurant asks about its month, in TQL and
 * in SQL over JSON text, in one run.
 *
 * The data is support_sales.h's: orders and a menu. The peer is what somebody
 * writes who knows SQLite: tables of (id TEXT PRIMARY KEY, doc TEXT), the ->>
 * operator, json_each for items, prepared statements, indexes on the same
 * expressions with ANALYZE. Both sides have WAL, synchronous NORMAL, a cache
 * of 2 MB and a map of the file (ours maps it when that pays, api/maps.c; the
 * peer by mmap_size). A float sum may differ in its last bits, nothing else:
 * the rows of each question are compared before it is timed, and the program
 * stops with an error when they differ.
 *
 * Each question is asked in rounds, ours and the peer's alternating; a line
 * has medians in milliseconds and the peer's by ours: with rows read as CBOR,
 * and printed as JSON. First without indexes, then with them. A question that
 * this version of TQL cannot carry out is called unsupported.
 *
 *   bench_query [--docs N] [--rounds N] [--dir FOLDER] [--only q07] [--json]
 *               [--phase scan|index]
 *               [--profile q07]   ours alone, for 5 seconds, for a profiler */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support_bench.h"
#include "support_rows.h"
#include "support_sales.h"
#include "tako/tako.h"

#define BATCH      1000 /* documents in one INSERT of an array */
#define TURN       0.02 /* seconds; a turn has so many runs as fit */
#define RUNS_MAX   2000 /* of a turn */
#define PROFILE    5.0  /* seconds */
#define GOAL_SCAN  2.0  /* geometric mean without indexes */
#define GOAL_INDEX 1.0  /* and with them */
#define GOAL_EACH  0.7  /* no question below this */

/* ---- the questions ----------------------------------------------------------- */

typedef struct question {
    const char *name, *what, *tql, *sql;
} question;

static const question questions[] = {
    { "q01", "filter, two fields",
      "SELECT _id, total FROM orders WHERE status = 'open' AND table = 7",

      "SELECT id AS _id, doc ->> '$.total' AS total FROM orders "
      "WHERE doc ->> '$.status' = 'open' AND doc ->> '$.table' = 7" },

    { "q02", "filter, range",
      "SELECT _id, status, total FROM orders "
      "WHERE total >= 95 AND total < 97.5",

      "SELECT id AS _id, doc ->> '$.status' AS status, "
      "doc ->> '$.total' AS total FROM orders "
      "WHERE doc ->> '$.total' >= 95 AND doc ->> '$.total' < 97.5" },

    { "q03", "filter, IN, OR, <>",
      "SELECT count(*) AS n, sum(total) AS revenue FROM orders "
      "WHERE kitchen IN ('bar', 'cold') AND (table = 3 OR table = 17) "
      "AND status <> 'paid'",

      "SELECT count(*) AS n, sum(doc ->> '$.total') AS revenue FROM orders "
      "WHERE doc ->> '$.kitchen' IN ('bar', 'cold') "
      "AND (doc ->> '$.table' = 3 OR doc ->> '$.table' = 17) "
      "AND doc ->> '$.status' <> 'paid'" },

    { "q04", "filter, prefix",
      "SELECT _id, createdAt FROM orders "
      "WHERE createdAt LIKE '2026-11-07T13%'",

      "SELECT id AS _id, doc ->> '$.createdAt' AS createdAt FROM orders "
      "WHERE doc ->> '$.createdAt' >= '2026-11-07T13' "
      "AND doc ->> '$.createdAt' < '2026-11-07T14'" },

    { "q05", "filter, missing",
      "SELECT count(*) AS n, avg(total) AS mean FROM orders "
      "WHERE status = 'paid' AND tip IS MISSING",

      "SELECT count(*) AS n, avg(doc ->> '$.total') AS mean FROM orders "
      "WHERE doc ->> '$.status' = 'paid' AND doc ->> '$.tip' IS NULL" },

    { "q06", "whole documents",
      "SELECT * FROM orders "
      "WHERE status = 'ready' AND table = 12 AND kitchen = 'oven'",

      "SELECT doc FROM orders WHERE doc ->> '$.status' = 'ready' "
      "AND doc ->> '$.table' = 12 AND doc ->> '$.kitchen' = 'oven'" },

    { "q07", "top 10",
      "SELECT _id, table, total FROM orders "
      "ORDER BY total DESC, _id LIMIT 10",

      "SELECT id AS _id, doc ->> '$.table' AS \"table\", "
      "doc ->> '$.total' AS total FROM orders "
      "ORDER BY doc ->> '$.total' DESC, id LIMIT 10" },

    { "q08", "count by status",
      "SELECT status, count(*) AS n FROM orders GROUP BY status",

      "SELECT doc ->> '$.status' AS status, count(*) AS n FROM orders "
      "GROUP BY doc ->> '$.status'" },

    { "q09", "revenue by two fields",
      "SELECT kitchen, status, count(*) AS n, sum(total) AS revenue, "
      "avg(total) AS mean FROM orders GROUP BY kitchen, status",

      "SELECT doc ->> '$.kitchen' AS kitchen, doc ->> '$.status' AS status, "
      "count(*) AS n, sum(doc ->> '$.total') AS revenue, "
      "avg(doc ->> '$.total') AS mean FROM orders "
      "GROUP BY doc ->> '$.kitchen', doc ->> '$.status'" },

    { "q10", "revenue by hour",
      "SELECT substr(createdAt, 11, 2) AS hour, count(*) AS n, "
      "sum(total) AS revenue FROM orders WHERE status = 'paid' "
      "GROUP BY hour ORDER BY hour",

      "SELECT substr(doc ->> '$.createdAt', 12, 2) AS hour, count(*) AS n, "
      "sum(doc ->> '$.total') AS revenue FROM orders "
      "WHERE doc ->> '$.status' = 'paid' GROUP BY hour ORDER BY hour" },

    { "q11", "days, HAVING",
      "SELECT substr(createdAt, 0, 10) AS day, sum(total) AS revenue "
      "FROM orders GROUP BY day HAVING avg(total) > 50 ORDER BY day",

      "SELECT substr(doc ->> '$.createdAt', 1, 10) AS day, "
      "sum(doc ->> '$.total') AS revenue FROM orders GROUP BY day "
      "HAVING avg(doc ->> '$.total') > 50 ORDER BY day" },

    { "q12", "count distinct",
      "SELECT kitchen, count(DISTINCT server) AS servers, "
      "count(DISTINCT table) AS tables FROM orders "
      "WHERE createdAt >= '2026-11-14T18' AND createdAt < '2026-11-14T22' "
      "GROUP BY kitchen",

      "SELECT doc ->> '$.kitchen' AS kitchen, "
      "count(DISTINCT doc ->> '$.server') AS servers, "
      "count(DISTINCT doc ->> '$.table') AS tables FROM orders "
      "WHERE doc ->> '$.createdAt' >= '2026-11-14T18' "
      "AND doc ->> '$.createdAt' < '2026-11-14T22' "
      "GROUP BY doc ->> '$.kitchen'" },

    { "q13", "min, max, avg",
      "SELECT count(*) AS n, min(total) AS low, max(total) AS high, "
      "avg(total) AS mean, sum(tip) AS tips FROM orders",

      "SELECT count(*) AS n, min(doc ->> '$.total') AS low, "
      "max(doc ->> '$.total') AS high, avg(doc ->> '$.total') AS mean, "
      "sum(doc ->> '$.tip') AS tips FROM orders" },

    { "q14", "CASE buckets",
      "SELECT CASE WHEN total < 20 THEN 'small' WHEN total < 60 THEN 'usual' "
      "WHEN total < 100 THEN 'large' ELSE 'party' END AS size, "
      "count(*) AS n, avg(total) AS mean FROM orders GROUP BY size",

      "SELECT CASE WHEN doc ->> '$.total' < 20 THEN 'small' "
      "WHEN doc ->> '$.total' < 60 THEN 'usual' "
      "WHEN doc ->> '$.total' < 100 THEN 'large' ELSE 'party' END AS size, "
      "count(*) AS n, avg(doc ->> '$.total') AS mean FROM orders "
      "GROUP BY size" },

    { "q15", "revenue by category",
      "SELECT m.category AS category, sum(n.qty) AS sold, "
      "sum(n.qty * n.cents) AS cents FROM orders o "
      "UNNEST o.items AS n AT sku JOIN menu m ON m._id = sku "
      "WHERE o.status = 'paid' GROUP BY m.category",

      "SELECT m.doc ->> '$.category' AS category, "
      "sum(n.value ->> '$.qty') AS sold, "
      "sum((n.value ->> '$.qty') * (n.value ->> '$.cents')) AS cents "
      "FROM orders AS o, json_each(o.doc, '$.items') AS n "
      "JOIN menu AS m ON m.id = n.key WHERE o.doc ->> '$.status' = 'paid' "
      "GROUP BY m.doc ->> '$.category'" },

    { "q16", "top dishes",
      "SELECT m.name AS dish, sum(n.qty) AS sold FROM orders o "
      "UNNEST o.items AS n AT sku JOIN menu m ON m._id = sku "
      "GROUP BY m.name ORDER BY sold DESC, dish LIMIT 5",

      "SELECT m.doc ->> '$.name' AS dish, sum(n.value ->> '$.qty') AS sold "
      "FROM orders AS o, json_each(o.doc, '$.items') AS n "
      "JOIN menu AS m ON m.id = n.key GROUP BY m.doc ->> '$.name' "
      "ORDER BY sold DESC, dish LIMIT 5" },

    { "q17", "IN (SELECT)",
      "SELECT kitchen, count(*) AS n FROM orders WHERE table = 5 AND kitchen "
      "IN (SELECT m.station FROM menu m WHERE m.category = 'dessert') "
      "GROUP BY kitchen",

      "SELECT doc ->> '$.kitchen' AS kitchen, count(*) AS n FROM orders "
      "WHERE doc ->> '$.table' = 5 AND doc ->> '$.kitchen' IN "
      "(SELECT m.doc ->> '$.station' FROM menu AS m "
      "WHERE m.doc ->> '$.category' = 'dessert') "
      "GROUP BY doc ->> '$.kitchen'" },

    { "q18", "EXISTS (SELECT)",
      "SELECT m._id AS _id, m.name AS name FROM menu m WHERE EXISTS "
      "(SELECT n.qty FROM orders o UNNEST o.items AS n AT sku "
      "WHERE o.status = 'open' AND o.table = 7 AND sku = m._id "
      "AND n.qty = 4)",

      "SELECT m.id AS _id, m.doc ->> '$.name' AS name FROM menu AS m "
      "WHERE EXISTS (SELECT 1 FROM orders AS o, "
      "json_each(o.doc, '$.items') AS n WHERE o.doc ->> '$.status' = 'open' "
      "AND o.doc ->> '$.table' = 7 AND n.key = m.id "
      "AND n.value ->> '$.qty' = 4)" },

    { "q19", "above the average",
      "SELECT o.kitchen AS kitchen, count(*) AS n FROM orders o "
      "WHERE o.total > (SELECT 2 * avg(x.total) FROM orders x) "
      "GROUP BY o.kitchen",

      "SELECT doc ->> '$.kitchen' AS kitchen, count(*) AS n FROM orders "
      "WHERE doc ->> '$.total' > "
      "(SELECT 2 * avg(x.doc ->> '$.total') FROM orders AS x) "
      "GROUP BY doc ->> '$.kitchen'" },

    { "q20", "EXCEPT",
      "SELECT table, substr(createdAt, 0, 10) AS day FROM orders "
      "WHERE kitchen = 'bar' AND status = 'open' EXCEPT "
      "SELECT table, substr(createdAt, 0, 10) AS day FROM orders "
      "WHERE kitchen = 'grill' AND status = 'open'",

      "SELECT doc ->> '$.table' AS \"table\", "
      "substr(doc ->> '$.createdAt', 1, 10) AS day FROM orders "
      "WHERE doc ->> '$.kitchen' = 'bar' AND doc ->> '$.status' = 'open' "
      "EXCEPT SELECT doc ->> '$.table', "
      "substr(doc ->> '$.createdAt', 1, 10) FROM orders "
      "WHERE doc ->> '$.kitchen' = 'grill' AND doc ->> '$.status' = 'open'" },

    { "q21", "WITH",
      "WITH daily AS (SELECT substr(createdAt, 0, 10) AS day, "
      "sum(total) AS revenue FROM orders WHERE status = 'paid' GROUP BY day) "
      "SELECT d.day AS day, d.revenue AS revenue FROM daily d "
      "WHERE d.revenue > (SELECT avg(x.revenue) FROM daily x)",

      "WITH daily AS (SELECT substr(doc ->> '$.createdAt', 1, 10) AS day, "
      "sum(doc ->> '$.total') AS revenue FROM orders "
      "WHERE doc ->> '$.status' = 'paid' GROUP BY day) "
      "SELECT d.day AS day, d.revenue AS revenue FROM daily AS d "
      "WHERE d.revenue > (SELECT avg(x.revenue) FROM daily AS x)" },

    { "q22", "count of one value",
      "SELECT count(*) AS n FROM orders WHERE status = 'served'",

      "SELECT count(*) AS n FROM orders WHERE doc ->> '$.status' = 'served'" },
};

#define QUESTIONS (sizeof questions / sizeof questions[0])

static const char *const our_indexes[] = {
    "CREATE INDEX by_status ON orders (status, table)",
    "CREATE INDEX by_kitchen ON orders (kitchen, status)",
    "CREATE INDEX by_total ON orders (total)",
    "CREATE INDEX by_time ON orders (createdAt)",
    "CREATE INDEX by_category ON menu (category)",
};
static const char peer_indexes[] =
    "CREATE INDEX by_status ON orders(doc ->> '$.status', doc ->> '$.table');"
    "CREATE INDEX by_kitchen ON orders(doc ->> '$.kitchen',"
    "doc ->> '$.status');"
    "CREATE INDEX by_total ON orders(doc ->> '$.total');"
    "CREATE INDEX by_time ON orders(doc ->> '$.createdAt');"
    "CREATE INDEX by_category ON menu(doc ->> '$.category');"
    "ANALYZE;PRAGMA wal_checkpoint(TRUNCATE)";

/* ---- the two sides ----------------------------------------------------------- */

typedef struct sides {
    bench_work orders, menu;
    size_t rounds;
    const char *only, *phase, *profiled;
    bool json;
    char dir[512];
    tako_db *db;
    sqlite3 *peer;
} sides;

static void ours_need(const sides *s, tako_err err, const char *what)
{
    bench_need(err == TAKO_OK, what, tako_last_error(s->db));
}

static void ours_insert(sides *s, tako_tx *tx, const char *text,
                        const bench_work *w)
{
    size_t cap = BATCH * 640 + 64;
    char *json = malloc(cap);

    bench_need(json != NULL, "memory", NULL);
    for (size_t i = 0; i < w->count; i += BATCH) {
        tako_params p = { json, NULL, 0 };
        size_t n = (size_t)snprintf(json, cap, "{\"d\":[");

        for (size_t k = i; k < i + BATCH && k < w->count; k++)
            n += (size_t)snprintf(json + n, cap - n, "%s%s", k > i ? "," : "",
                                  w->orders[k].json);
        (void)snprintf(json + n, cap - n, "]}");
        ours_need(s, tako_tx_execute(tx, text, &p, NULL), "insert");
    }
    free(json);
}

static void ours_open(sides *s)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    char path[600], detail[256] = "";

    (void)snprintf(path, sizeof path, "%s/ours.tako", s->dir);
    o.path = path;
    o.durability = TAKO_DURABILITY_NORMAL;
    bench_need(tako_open(&o, &s->db, detail, sizeof detail) == TAKO_OK,
               "tako_open", detail);
}

/* Opens anew, so that nothing is left in the log. */
static void ours_settle(sides *s)
{
    tako_close(s->db);
    ours_open(s);
}

static void ours_fill(sides *s)
{
    tako_tx *tx = NULL;

    ours_need(s, tako_tx_begin(s->db, 0, &tx), "begin");
    ours_insert(s, tx, "INSERT INTO orders DOCUMENTS (:d)", &s->orders);
    ours_insert(s, tx, "INSERT INTO menu DOCUMENTS (:d)", &s->menu);
    ours_need(s, tako_tx_commit(tx, NULL), "commit");
    ours_settle(s);
}

static void ours_index(sides *s)
{
    for (size_t i = 0; i < sizeof our_indexes / sizeof our_indexes[0]; i++)
        ours_need(s, tako_execute(s->db, our_indexes[i], NULL, NULL), "index");
    ours_settle(s);
}

/* Reads all rows; returns their number. rows: keeps them, or NULL. */
static size_t ours_ask(const sides *s, const question *q, bool print,
                       bench_rows *rows)
{
    tako_result *r = NULL;
    size_t count = 0, n;
    tako_err err;

    ours_need(s, tako_execute(s->db, q->tql, NULL, &r), q->name);
    while ((err = tako_result_next(r)) == TAKO_OK) {
        const void *cbor;
        const char *json;

        if (print || rows != NULL)
            ours_need(s, tako_result_json(r, &json, &n), "json");
        else
            ours_need(s, tako_result_cbor(r, &cbor, &n), "cbor");
        if (rows != NULL)
            bench_rows_json(rows, s->peer, json);
        count++;
    }
    bench_need(err == TAKO_NOTFOUND, q->name, tako_err_name(err));
    tako_result_free(r);
    return count;
}

/* Whether this version can carry it out; any other failure ends the run. */
static bool ours_supports(const sides *s, const question *q)
{
    tako_result *r = NULL;
    tako_err err = tako_execute(s->db, q->tql, NULL, &r);

    tako_result_free(r);
    if (err != TAKO_UNSUPPORTED && err != TAKO_INVALID)
        ours_need(s, err, q->name);
    return err == TAKO_OK;
}

static void peer_need(const sides *s, bool ok, const char *what)
{
    bench_need(ok, what, sqlite3_errmsg(s->peer));
}

static void peer_run(const sides *s, const char *sql)
{
    peer_need(s, sqlite3_exec(s->peer, sql, NULL, NULL, NULL) == SQLITE_OK,
              sql);
}

static sqlite3_stmt *peer_prepare(const sides *s, const char *sql)
{
    sqlite3_stmt *out = NULL;

    peer_need(s, sqlite3_prepare_v2(s->peer, sql, -1, &out, NULL) == SQLITE_OK,
              sql);
    return out;
}

static void peer_insert(const sides *s, const char *sql, const bench_work *w)
{
    sqlite3_stmt *in = peer_prepare(s, sql);

    for (size_t i = 0; i < w->count; i++) {
        (void)sqlite3_bind_text(in, 1, w->orders[i].id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(in, 2, w->orders[i].json, -1, SQLITE_STATIC);
        peer_need(s, sqlite3_step(in) == SQLITE_DONE, "insert");
        (void)sqlite3_reset(in);
    }
    (void)sqlite3_finalize(in);
}

static void peer_open(sides *s)
{
    char path[600];

    (void)snprintf(path, sizeof path, "%s/peer.sqlite", s->dir);
    bench_need(sqlite3_open(path, &s->peer) == SQLITE_OK, "opening", path);
    peer_run(s, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                "PRAGMA cache_size=-2000;PRAGMA mmap_size=268435456;"
                "CREATE TABLE orders(id TEXT PRIMARY KEY, doc TEXT);"
                "CREATE TABLE menu(id TEXT PRIMARY KEY, doc TEXT);BEGIN");
    peer_insert(s, "INSERT INTO orders VALUES(?1,?2)", &s->orders);
    peer_insert(s, "INSERT INTO menu VALUES(?1,?2)", &s->menu);
    peer_run(s, "COMMIT;PRAGMA wal_checkpoint(TRUNCATE)");
}

static size_t peer_ask(const sides *s, sqlite3_stmt *q, bench_rows *rows)
{
    size_t count = 0, bytes = 0;

    while (sqlite3_step(q) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            switch (sqlite3_column_type(q, i)) {
            case SQLITE_INTEGER:
                bytes += sqlite3_column_int64(q, i) != 0;
                break;
            case SQLITE_FLOAT:
                bytes += sqlite3_column_double(q, i) != 0;
                break;
            case SQLITE_TEXT:
                (void)sqlite3_column_text(q, i);
                bytes += (size_t)sqlite3_column_bytes(q, i);
                break;
            default:
                break;
            }
        }
        if (rows != NULL)
            bench_rows_step(rows, q);
        count++;
    }
    peer_need(s, sqlite3_reset(q) == SQLITE_OK && (count == 0 || bytes > 0),
              "asking");
    return count;
}

/* ---- measuring --------------------------------------------------------------- */

/* What one phase gave, for its last lines. */
typedef struct totals {
    double logs, json_logs; /* sums of logarithms of ratios */
    double worst;
    const char *worst_name;
    size_t count, unsupported, below;
} totals;

typedef struct turn {
    const sides *s;
    const question *q;
    sqlite3_stmt *peer; /* NULL: ours */
    bool print;
    size_t runs;
} turn;

/* Milliseconds of one run, of as many as a turn has. */
static double turn_take(const turn *t)
{
    double start = bench_now();

    for (size_t i = 0; i < t->runs; i++) {
        if (t->peer != NULL)
            (void)peer_ask(t->s, t->peer, NULL);
        else
            (void)ours_ask(t->s, t->q, t->print, NULL);
    }
    return (bench_now() - start) * 1e3 / (double)t->runs;
}

static void turn_size(turn *t)
{
    double ms;

    t->runs = 1;
    ms = turn_take(t);
    while (t->runs < RUNS_MAX && ms * (double)t->runs < TURN * 1e3) {
        double fit = TURN * 1e3 / ms * 1.1;

        t->runs = fit > RUNS_MAX ? RUNS_MAX : (size_t)fit + 1;
        ms = turn_take(t);
    }
}

static size_t compare(const sides *s, const question *q, sqlite3_stmt *peer)
{
    bench_rows ours = { 0 }, theirs = { 0 };
    char why[640] = "";
    size_t count = ours_ask(s, q, true, &ours);

    (void)peer_ask(s, peer, &theirs);
    if (!bench_rows_equal(&ours, &theirs, why, sizeof why)) {
        (void)fprintf(stderr, "bench: %s: ours and the peer's differ: %s\n",
                      q->name, why);
        exit(1);
    }
    bench_rows_free(&ours);
    bench_rows_free(&theirs);
    return count;
}

static void print_line(const sides *s, const char *phase, const question *q,
                       size_t rows, const double ms[3])
{
    double ratio = ms[2] / ms[0], printed = ms[2] / ms[1];

    if (s->json)
        (void)printf("{\"name\":\"%s\",\"phase\":\"%s\",\"what\":\"%s\","
                     "\"unit\":\"ms\",\"ours\":%.4f,\"ours_json\":%.4f,"
                     "\"peer\":%.4f,\"ratio\":%.3f,\"ratio_json\":%.3f,"
                     "\"rows\":%zu,\"equal\":true,\"goal\":%.2f}\n",
                     q->name, phase, q->what, ms[0], ms[1], ms[2], ratio,
                     printed, rows, GOAL_EACH);
    else
        (void)printf("%-4s %-22s %9.3f %9.3f %9.3f %7.2f %7.2f %7zu equal%s\n",
                     q->name, q->what, ms[0], ms[1], ms[2], ratio, printed,
                     rows, ratio < GOAL_EACH ? "  BELOW" : "");
    (void)fflush(stdout);
}

static void print_unsupported(const sides *s, const char *phase,
                              const question *q)
{
    if (s->json)
        (void)printf("{\"name\":\"%s\",\"phase\":\"%s\",\"what\":\"%s\","
                     "\"unsupported\":true}\n",
                     q->name, phase, q->what);
    else
        (void)printf("%-4s %-22s unsupported: %s\n", q->name, q->what,
                     tako_last_error(s->db));
    (void)fflush(stdout);
}

static void measure(const sides *s, const char *phase, const question *q,
                    totals *all)
{
    double ms[3][BENCH_ROUNDS_MAX], median[3], ratio;
    turn turns[3] = { { .s = s, .q = q },
                      { .s = s, .q = q, .print = true },
                      { .s = s, .q = q } };
    size_t rows;

    if (!ours_supports(s, q)) {
        print_unsupported(s, phase, q);
        all->unsupported++;
        return;
    }
    turns[2].peer = peer_prepare(s, q->sql);
    rows = compare(s, q, turns[2].peer);
    for (size_t k = 0; k < 3; k++)
        turn_size(&turns[k]);
    for (size_t i = 0; i < s->rounds; i++)
        for (size_t k = 0; k < 3; k++)
            ms[k][i] = turn_take(&turns[k]);
    for (size_t k = 0; k < 3; k++)
        median[k] = bench_median(ms[k], s->rounds);
    (void)sqlite3_finalize(turns[2].peer);
    print_line(s, phase, q, rows, median);
    ratio = median[2] / median[0];
    all->logs += log(ratio);
    all->json_logs += log(median[2] / median[1]);
    all->below += ratio < GOAL_EACH;
    if (all->count++ == 0 || ratio < all->worst) {
        all->worst = ratio;
        all->worst_name = q->name;
    }
}

static void print_totals(const sides *s, const char *phase, const totals *t,
                         double goal)
{
    double n = (double)t->count, mean = exp(t->logs / n);

    if (t->count == 0)
        return;
    if (s->json)
        (void)printf("{\"name\":\"geometric_mean\",\"phase\":\"%s\","
                     "\"ratio\":%.3f,\"ratio_json\":%.3f,\"worst\":%.3f,"
                     "\"worst_name\":\"%s\",\"questions\":%zu,"
                     "\"unsupported\":%zu,\"goal\":%.2f}\n",
                     phase, mean, exp(t->json_logs / n), t->worst,
                     t->worst_name, t->count, t->unsupported, goal);
    else
        (void)printf("geometric mean %.2f (goal %.2f%s), printed as JSON "
                     "%.2f; worst %s %.2f (goal %.2f%s); %zu below it; "
                     "%zu unsupported\n\n",
                     mean, goal, mean < goal ? ", BELOW" : "",
                     exp(t->json_logs / n), t->worst_name, t->worst, GOAL_EACH,
                     t->worst < GOAL_EACH ? ", BELOW" : "", t->below,
                     t->unsupported);
    (void)fflush(stdout);
}

static bool wanted(const char *only, const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

static void profile(const sides *s, const char *name)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        double start = bench_now();
        size_t runs = 0;

        if (strcmp(questions[i].name, name) != 0)
            continue;
        for (; bench_now() - start < PROFILE; runs++)
            (void)ours_ask(s, &questions[i], false, NULL);
        (void)printf("%s: %.3f ms\n", name,
                     (bench_now() - start) * 1e3 / (double)runs);
    }
}

static void measure_phase(const sides *s, const char *phase, const char *title,
                          double goal)
{
    totals all = { 0 };

    if (!wanted(s->phase, phase))
        return;
    if (s->profiled != NULL) {
        profile(s, s->profiled);
        return;
    }
    if (!s->json)
        (void)printf("%s\n%-27s %9s %9s %9s %7s %7s %7s\n", title,
                     "milliseconds", "ours", "as JSON", "peer", "ratio", "JSON",
                     "rows");
    for (size_t i = 0; i < QUESTIONS; i++)
        if (wanted(s->only, questions[i].name))
            measure(s, phase, &questions[i], &all);
    print_totals(s, phase, &all, goal);
}

static void measure_all(sides *s)
{
    ours_open(s);
    ours_fill(s);
    peer_open(s);
    measure_phase(s, "scan", "without indexes", GOAL_SCAN);
    ours_index(s);
    peer_run(s, peer_indexes);
    measure_phase(s, "index", "with indexes", GOAL_INDEX);
    tako_close(s->db);
    (void)sqlite3_close(s->peer);
}

int main(int argc, char **argv)
{
    sides s = { .rounds = 5 };
    size_t docs = 100000;
    const char *parent = ".";

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--json") == 0)
            s.json = true;
        else if (strcmp(argv[i], "--docs") == 0 && ++i < argc)
            docs = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && ++i < argc)
            s.rounds = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && ++i < argc)
            parent = value;
        else if (strcmp(argv[i], "--only") == 0 && ++i < argc)
            s.only = value;
        else if (strcmp(argv[i], "--phase") == 0 && ++i < argc)
            s.phase = value;
        else if (strcmp(argv[i], "--profile") == 0 && ++i < argc)
            s.profiled = value;
        else
            bench_usage("bench_query",
                        "[--docs N] [--rounds N] [--dir FOLDER] [--only q07] "
                        "[--json] [--phase scan|index] [--profile q07]",
                        argv[i]);
    }
    bench_need(docs >= 1000 && s.rounds >= 1 && s.rounds <= BENCH_ROUNDS_MAX,
               "options: 1000 documents and 1 to 31 rounds", NULL);
    bench_dir_make(s.dir, sizeof s.dir, parent);
    bench_sales_orders(&s.orders, docs, 20261101);
    bench_sales_menu(&s.menu);
    if (!s.json)
        (void)printf("# %zu orders of %.1f bytes, %zu dishes, %zu rounds; "
                     "SQLite %s\n# both: WAL, synchronous NORMAL, cache 2 MB, "
                     "mmap; the peer: ANALYZE\n",
                     docs, s.orders.json_bytes, s.menu.count, s.rounds,
                     sqlite3_libversion());
    measure_all(&s);
    bench_work_free(&s.orders);
    bench_work_free(&s.menu);
    bench_dir_remove(s.dir);
    return 0;
}
