// SPDX-License-Identifier: Apache-2.0
/* BENCH_LOCAL -- tako.h beside raw SQLite with JSON text, in one run.
 *
 * The peer is what a user would write: t(id TEXT PRIMARY KEY, body TEXT), WAL,
 * prepared statements, json_extract and json_set. Rounds of the two alternate;
 * a line has the medians and their ratio. Both pay for their checkpoints.
 * Ours reads through a map of the file when that pays (src/api/maps.c): the
 * lines indexed_* and scan_equal give the peer PRAGMA mmap_size as well; scan
 * and indexed_*_default have it at its defaults, as a user would.
 *
 *   bench_local [--docs N] [--rounds N] [--dir FOLDER] [--only NAME] [--json]
 *               [--profile NAME]   ours alone, many times, for a profiler */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support_bench.h"
#include "tako/tako.h"

#define BATCH      1000 /* documents in one INSERT of an array */
#define FULL_SHARE 50   /* one by one, FULL: a part of the documents */
#define ONE_SHARE  10   /* one by one, NORMAL */

typedef struct local {
    bench_work work;
    bench_out out;
    size_t rounds;
    const char *only;
    char dir[512];
    char our_path[600], peer_path[600];
    tako_db *db;
    sqlite3 *peer;
    char *text; /* scratch for parameters */
    size_t text_cap;
} local;

/* ---- tako ------------------------------------------------------------------------ */

static void ours_need(local *l, tako_err err, const char *what)
{
    bench_need(err == TAKO_OK, what,
               l->db != NULL ? tako_last_error(l->db) : tako_err_name(err));
}

static void ours_open(local *l, tako_durability durability, bool fresh)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    char detail[256] = "";

    if (fresh)
        bench_file_remove(l->our_path);
    o.path = l->our_path;
    o.durability = durability;
    bench_need(tako_open(&o, &l->db, detail, sizeof detail) == TAKO_OK,
               "tako_open", detail);
}

static void ours_close(local *l)
{
    tako_close(l->db);
    l->db = NULL;
}

static void ours_insert_batches(local *l, size_t from, size_t count)
{
    tako_tx *tx = NULL;

    ours_need(l, tako_tx_begin(l->db, 0, &tx), "begin");
    for (size_t i = from; i < from + count; i += BATCH) {
        tako_params p = { l->text, NULL, 0 };
        size_t n = (size_t)snprintf(l->text, l->text_cap, "{\"d\":[");

        for (size_t k = i; k < i + BATCH && k < from + count; k++) {
            size_t len = strlen(l->work.orders[k].json);

            if (k > i)
                l->text[n++] = ',';
            memcpy(l->text + n, l->work.orders[k].json, len);
            n += len;
        }
        memcpy(l->text + n, "]}", 3);
        ours_need(
            l,
            tako_tx_execute(tx, "INSERT INTO orders DOCUMENTS (:d)", &p, NULL),
            "insert");
    }
    ours_need(l, tako_tx_commit(tx, NULL), "commit");
}

static tako_params ours_document(local *l, size_t i)
{
    (void)snprintf(l->text, l->text_cap, "{\"d\":%s}", l->work.orders[i].json);
    return (tako_params){ l->text, NULL, 0 };
}

static void ours_insert_each(local *l, size_t from, size_t count)
{
    tako_tx *tx = NULL;

    ours_need(l, tako_tx_begin(l->db, 0, &tx), "begin");
    for (size_t i = from; i < from + count; i++) {
        tako_params p = ours_document(l, i);

        ours_need(
            l,
            tako_tx_execute(tx, "INSERT INTO orders DOCUMENTS (:d)", &p, NULL),
            "insert");
    }
    ours_need(l, tako_tx_commit(tx, NULL), "commit");
}

static void ours_insert_alone(local *l, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        tako_params p = ours_document(l, i);

        ours_need(
            l,
            tako_execute(l->db, "INSERT INTO orders DOCUMENTS (:d)", &p, NULL),
            "insert");
    }
}

static void ours_read(local *l, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        const bench_order *o = &l->work.orders[l->work.shuffled[i]];
        char id[32], *json = NULL;

        (void)snprintf(id, sizeof id, "\"%s\"", o->id);
        ours_need(l, tako_get(l->db, "orders", id, &json), "get");
        tako_free(json);
    }
}

static size_t ours_select(local *l, const char *text, const char *params,
                          bool print)
{
    tako_params p = { params, NULL, 0 };
    tako_result *r = NULL;
    size_t rows = 0, bytes = 0;
    tako_err err;

    ours_need(l, tako_execute(l->db, text, &p, &r), "select");
    while ((err = tako_result_next(r)) == TAKO_OK) {
        const void *cbor;
        const char *json;
        size_t n;

        if (print)
            ours_need(l, tako_result_json(r, &json, &n), "json");
        else
            ours_need(l, tako_result_cbor(r, &cbor, &n), "cbor");
        bytes += n;
        rows++;
    }
    bench_need(err == TAKO_NOTFOUND && bytes > 0, "select", NULL);
    tako_result_free(r);
    return rows;
}

static void ours_update(local *l, size_t from, size_t count)
{
    tako_tx *tx = NULL;

    ours_need(l, tako_tx_begin(l->db, 0, &tx), "begin");
    for (size_t i = from; i < from + count; i++) {
        tako_params p = { l->text, NULL, 0 };

        (void)snprintf(l->text, l->text_cap, "{\"id\":\"%s\",\"s\":\"n%zu\"}",
                       l->work.orders[l->work.shuffled[i]].id, i % 1000);
        ours_need(l,
                  tako_tx_execute(tx,
                                  "UPDATE orders SET note = :s WHERE _id = :id",
                                  &p, NULL),
                  "update");
    }
    ours_need(l, tako_tx_commit(tx, NULL), "commit");
}

/* ---- the peer ---------------------------------------------------------------------- */

static void peer_need(local *l, bool ok, const char *what)
{
    bench_need(ok, what, sqlite3_errmsg(l->peer));
}

static void peer_run(local *l, const char *sql)
{
    peer_need(l, sqlite3_exec(l->peer, sql, NULL, NULL, NULL) == SQLITE_OK,
              sql);
}

static sqlite3_stmt *peer_prepare(local *l, const char *sql)
{
    sqlite3_stmt *s = NULL;

    peer_need(l, sqlite3_prepare_v2(l->peer, sql, -1, &s, NULL) == SQLITE_OK,
              sql);
    return s;
}

static void peer_open(local *l, bool full, bool fresh)
{
    if (fresh)
        bench_file_remove(l->peer_path);
    bench_need(sqlite3_open(l->peer_path, &l->peer) == SQLITE_OK, "opening",
               l->peer_path);
    peer_run(l, "PRAGMA journal_mode=WAL");
    peer_run(l, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    peer_run(l, "CREATE TABLE IF NOT EXISTS t(id TEXT PRIMARY KEY, body TEXT)");
}

static void peer_close(local *l)
{
    (void)sqlite3_close(l->peer);
    l->peer = NULL;
}

static void peer_insert(local *l, size_t from, size_t count, bool one)
{
    sqlite3_stmt *s = peer_prepare(l, "INSERT INTO t VALUES(?1,?2)");

    if (one)
        peer_run(l, "BEGIN");
    for (size_t i = from; i < from + count; i++) {
        const bench_order *o = &l->work.orders[i];

        (void)sqlite3_bind_text(s, 1, o->id, 26, SQLITE_STATIC);
        (void)sqlite3_bind_text(s, 2, o->json, -1, SQLITE_STATIC);
        peer_need(l, sqlite3_step(s) == SQLITE_DONE, "insert");
        (void)sqlite3_reset(s);
    }
    if (one)
        peer_run(l, "COMMIT");
    (void)sqlite3_finalize(s);
}

static void peer_read(local *l, size_t from, size_t count)
{
    sqlite3_stmt *s = peer_prepare(l, "SELECT body FROM t WHERE id=?1");

    for (size_t i = from; i < from + count; i++) {
        const bench_order *o = &l->work.orders[l->work.shuffled[i]];
        char *copy;

        (void)sqlite3_bind_text(s, 1, o->id, 26, SQLITE_STATIC);
        peer_need(l, sqlite3_step(s) == SQLITE_ROW, "read");
        copy = strdup((const char *)sqlite3_column_text(s, 0));
        bench_need(copy != NULL, "memory", NULL);
        (void)sqlite3_reset(s);
        free(copy);
    }
    (void)sqlite3_finalize(s);
}

#define PEER_WHERE                                                             \
    "SELECT body FROM t WHERE json_extract(body,'$.status')=?1 "               \
    "AND json_extract(body,'$.table')=?2"

static size_t peer_select(local *l, sqlite3_stmt *s, int table)
{
    size_t rows = 0, bytes = 0;

    (void)sqlite3_bind_text(s, 1, "open", -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(s, 2, table);
    while (sqlite3_step(s) == SQLITE_ROW) {
        (void)sqlite3_column_text(s, 0);
        bytes += (size_t)sqlite3_column_bytes(s, 0);
        rows++;
    }
    (void)sqlite3_reset(s);
    peer_need(l, bytes > 0, "select");
    return rows;
}

static void peer_update(local *l, size_t from, size_t count)
{
    sqlite3_stmt *s = peer_prepare(
        l, "UPDATE t SET body=json_set(body,'$.note',?2) WHERE id=?1");

    peer_run(l, "BEGIN");
    for (size_t i = from; i < from + count; i++) {
        char note[16];

        (void)snprintf(note, sizeof note, "n%zu", i % 1000);
        (void)sqlite3_bind_text(s, 1, l->work.orders[l->work.shuffled[i]].id,
                                26, SQLITE_STATIC);
        (void)sqlite3_bind_text(s, 2, note, -1, SQLITE_STATIC);
        peer_need(l, sqlite3_step(s) == SQLITE_DONE, "update");
        (void)sqlite3_reset(s);
    }
    peer_run(l, "COMMIT");
    (void)sqlite3_finalize(s);
}

/* ---- measurements ---------------------------------------------------------------------- */

static bool wanted(const local *l, const char *name)
{
    return l->only == NULL || strcmp(l->only, name) == 0;
}

typedef void ours_fn(local *l, size_t from, size_t count);

static void measure_bulk(local *l, const char *name, ours_fn *insert,
                         double goal)
{
    bench_pair p = { .rounds = l->rounds };
    size_t n = l->work.count;

    if (!wanted(l, name))
        return;
    for (size_t i = 0; i < p.rounds; i++) {
        double start;

        ours_open(l, TAKO_DURABILITY_NORMAL, true);
        start = bench_now();
        insert(l, 0, n);
        p.ours[i] = (double)n / (bench_now() - start);
        ours_close(l);
        peer_open(l, false, true);
        start = bench_now();
        peer_insert(l, 0, n, true);
        p.peer[i] = (double)n / (bench_now() - start);
        peer_close(l);
    }
    bench_pair_line(&l->out, name, "documents/s", &p, goal);
}

static void measure_alone(local *l, const char *name, bool full, size_t n,
                          double goal)
{
    bench_pair p = { .rounds = l->rounds };

    if (!wanted(l, name))
        return;
    for (size_t i = 0; i < p.rounds; i++) {
        double start;

        ours_open(l, full ? TAKO_DURABILITY_FULL : TAKO_DURABILITY_NORMAL,
                  true);
        ours_insert_alone(l, 0, 1); /* makes the collection */
        start = bench_now();
        ours_insert_alone(l, 1, n - 1);
        p.ours[i] = (double)(n - 1) / (bench_now() - start);
        ours_close(l);
        peer_open(l, full, true);
        peer_insert(l, 0, 1, false);
        start = bench_now();
        peer_insert(l, 1, n - 1, false);
        p.peer[i] = (double)(n - 1) / (bench_now() - start);
        peer_close(l);
    }
    bench_pair_line(&l->out, name, "commits/s", &p, goal);
}

/* Both databases, filled, for what follows. */
static void fill(local *l)
{
    ours_open(l, TAKO_DURABILITY_NORMAL, true);
    ours_insert_batches(l, 0, l->work.count);
    ours_close(l);
    peer_open(l, false, true);
    peer_insert(l, 0, l->work.count, true);
    peer_close(l);
}

static double blob_bytes(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    double bytes = 0;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        bytes = sqlite3_column_double(s, 0);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    return bytes;
}

static void measure_disk(local *l)
{
    bench_pair p = { .rounds = 1 };
    double n = (double)l->work.count, body;

    p.ours[0] = bench_file_bytes(l->our_path) / n;
    p.peer[0] = bench_file_bytes(l->peer_path) / n;
    if (wanted(l, "disk")) {
        bench_value_line(&l->out, "disk_ours", "bytes/document", p.ours[0], 0,
                         true);
        bench_value_line(&l->out, "disk_peer", "bytes/document", p.peer[0], 0,
                         true);
        bench_value_line(&l->out, "disk_ratio", "of the peer's",
                         p.ours[0] / p.peer[0], 1.3, true);
    }
    body = blob_bytes(l->our_path, "SELECT sum(length(body)) FROM c1");
    if (wanted(l, "p6") && body > 0)
        bench_value_line(
            &l->out, "p6_overhead", "meta/body",
            blob_bytes(l->our_path, "SELECT sum(length(meta)) FROM c1") / body,
            0.25, true);
}

static void measure_read(local *l)
{
    bench_pair p = { .rounds = l->rounds };
    size_t n = l->work.count < 50000 ? l->work.count : 50000;

    if (!wanted(l, "point_read"))
        return;
    for (size_t i = 0; i < p.rounds; i++) {
        double start = bench_now();

        ours_read(l, 0, n);
        p.ours[i] = (double)n / (bench_now() - start);
        start = bench_now();
        peer_read(l, 0, n);
        p.peer[i] = (double)n / (bench_now() - start);
    }
    bench_pair_line(&l->out, "point_read", "reads/s", &p, 1.0);
}

#define OUR_WHERE "SELECT * FROM orders WHERE status = :s AND table = :t"

/* times: the query runs for so many tables; unit: documents or queries. */
static void measure_select(local *l, const char *name, const char *unit,
                           size_t times, double per, bool print, double goal)
{
    bench_pair p = { .rounds = l->rounds };
    sqlite3_stmt *s;

    if (!wanted(l, name))
        return;
    s = peer_prepare(l, PEER_WHERE);
    for (size_t i = 0; i < p.rounds; i++) {
        double start = bench_now();
        size_t ours = 0, peer = 0;

        for (size_t k = 0; k < times; k++) {
            char params[64];

            (void)snprintf(params, sizeof params, "{\"s\":\"open\",\"t\":%zu}",
                           k % BENCH_TABLES);
            ours += ours_select(l, OUR_WHERE, params, print);
        }
        p.ours[i] = (double)times * per / (bench_now() - start);
        start = bench_now();
        for (size_t k = 0; k < times; k++)
            peer += peer_select(l, s, (int)(k % BENCH_TABLES));
        p.peer[i] = (double)times * per / (bench_now() - start);
        bench_need(ours == peer, "both sides finding the same rows", name);
    }
    (void)sqlite3_finalize(s);
    bench_pair_line(&l->out, name, unit, &p, goal);
}

static void measure_indexed(local *l)
{
    if (!wanted(l, "indexed_cbor") && !wanted(l, "indexed_json"))
        return;
    ours_need(l,
              tako_execute(l->db,
                           "CREATE INDEX bench ON orders (status, table)", NULL,
                           NULL),
              "index");
    peer_run(l, "CREATE INDEX bench ON t(json_extract(body,'$.status'),"
                "json_extract(body,'$.table'))");
    measure_select(l, "indexed_cbor", "queries/s", 400, 1, false, 1.0);
    measure_select(l, "indexed_json", "queries/s", 400, 1, true, 0.8);
    peer_run(l, "PRAGMA mmap_size=0");
    measure_select(l, "indexed_cbor_default", "queries/s", 400, 1, false, 0);
    measure_select(l, "indexed_json_default", "queries/s", 400, 1, true, 0);
    ours_need(l, tako_execute(l->db, "DROP INDEX bench ON orders", NULL, NULL),
              "drop index");
    peer_run(l, "DROP INDEX bench");
}

static void measure_selects(local *l)
{
    double n = (double)l->work.count;

    measure_select(l, "scan", "documents/s", 2, n, false, 3.0);
    peer_run(l, "PRAGMA mmap_size=268435456");
    measure_select(l, "scan_equal", "documents/s", 2, n, false, 0);
    measure_indexed(l);
    peer_run(l, "PRAGMA mmap_size=0");
}

static void measure_update(local *l)
{
    bench_pair p = { .rounds = l->rounds };
    size_t n = l->work.count < 50000 ? l->work.count : 50000;

    if (!wanted(l, "update_by_id"))
        return;
    for (size_t i = 0; i < p.rounds; i++) {
        double start = bench_now();

        ours_update(l, 0, n);
        p.ours[i] = (double)n / (bench_now() - start);
        start = bench_now();
        peer_update(l, 0, n);
        p.peer[i] = (double)n / (bench_now() - start);
    }
    bench_pair_line(&l->out, "update_by_id", "updates/s", &p, 0.6);
}

static void measure_all(local *l)
{
    size_t n = l->work.count;

    bench_head(&l->out);
    measure_bulk(l, "bulk_insert", ours_insert_batches, 0.6);
    measure_bulk(l, "bulk_insert_each", ours_insert_each, 0);
    measure_alone(l, "commits_normal", false, n / ONE_SHARE + 2, 0.8);
    measure_alone(l, "commits_full", true, n / FULL_SHARE + 2, 0.9);
    fill(l);
    measure_disk(l);
    ours_open(l, TAKO_DURABILITY_NORMAL, false);
    peer_open(l, false, false);
    measure_read(l);
    measure_selects(l);
    measure_update(l);
    ours_close(l);
    peer_close(l);
}

/* ---- for a profiler ---------------------------------------------------------------------- */

static void profile(local *l, const char *name)
{
    size_t n = l->work.count;

    if (strcmp(name, "bulk_insert") == 0 ||
        strcmp(name, "bulk_insert_each") == 0) {
        for (size_t i = 0; i < 8; i++) {
            ours_open(l, TAKO_DURABILITY_NORMAL, true);
            (name[11] == '\0' ? ours_insert_batches : ours_insert_each)(l, 0,
                                                                        n);
            ours_close(l);
        }
        return;
    }
    if (strcmp(name, "commits_normal") == 0) {
        ours_open(l, TAKO_DURABILITY_NORMAL, true);
        ours_insert_alone(l, 0, n);
        ours_close(l);
        return;
    }
    ours_open(l, TAKO_DURABILITY_NORMAL, true);
    ours_insert_batches(l, 0, n);
    if (strncmp(name, "indexed", 7) == 0)
        ours_need(l,
                  tako_execute(l->db,
                               "CREATE INDEX bench ON orders (status, table)",
                               NULL, NULL),
                  "index");
    for (size_t i = 0; i < 10; i++) {
        if (strcmp(name, "point_read") == 0)
            ours_read(l, 0, n);
        if (strcmp(name, "update_by_id") == 0)
            ours_update(l, 0, n);
        for (size_t k = 0; strcmp(name, "scan") == 0 && k < 10; k++)
            (void)ours_select(l, OUR_WHERE, "{\"s\":\"open\",\"t\":7}", false);
        for (size_t k = 0; strncmp(name, "indexed", 7) == 0 && k < 1000; k++)
            (void)ours_select(l, OUR_WHERE, "{\"s\":\"open\",\"t\":7}",
                              strcmp(name, "indexed_json") == 0);
    }
    ours_close(l);
}

int main(int argc, char **argv)
{
    local l = { .rounds = 5 };
    size_t docs = 100000;
    const char *parent = ".", *profiled = NULL;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--json") == 0)
            l.out.json = true;
        else if (strcmp(argv[i], "--docs") == 0 && ++i < argc)
            docs = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && ++i < argc)
            l.rounds = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && ++i < argc)
            parent = value;
        else if (strcmp(argv[i], "--only") == 0 && ++i < argc)
            l.only = value;
        else if (strcmp(argv[i], "--profile") == 0 && ++i < argc)
            profiled = value;
        else
            bench_usage("bench_local",
                        "[--docs N] [--rounds N] [--dir FOLDER] [--only NAME] "
                        "[--json] [--profile NAME]",
                        argv[i]);
    }
    bench_need(docs >= 1000 && l.rounds >= 1 && l.rounds <= BENCH_ROUNDS_MAX,
               "options: 1000 documents and 1 to 31 rounds", NULL);
    l.text_cap = BATCH * 512 + 64;
    l.text = malloc(l.text_cap);
    bench_need(l.text != NULL, "memory", NULL);
    bench_dir_make(l.dir, sizeof l.dir, parent);
    (void)snprintf(l.our_path, sizeof l.our_path, "%s/ours.tako", l.dir);
    (void)snprintf(l.peer_path, sizeof l.peer_path, "%s/peer.sqlite", l.dir);
    bench_work_make(&l.work, docs, 20261123);
    if (!l.out.json)
        (void)printf("# %zu documents of %.1f bytes, %zu rounds\n", docs,
                     l.work.json_bytes, l.rounds);
    if (profiled != NULL)
        profile(&l, profiled);
    else
        measure_all(&l);
    bench_work_free(&l.work);
    free(l.text);
    bench_dir_remove(l.dir);
    return 0;
}
