// SPDX-License-Identifier: Apache-2.0
/* BENCH_STORE -- the store beside raw SQLite with JSON text, in one run.
 *
 * W = orders of a restaurant, about 260 bytes of JSON each, with ULIDs. The
 * peer is what a user would write: docs(id TEXT PRIMARY KEY, body TEXT), WAL,
 * prepared statements. Both checkpoint within the time that is measured. Each
 * line is the median of the rounds; rounds of the two alternate.
 *
 *   bench_store [documents] [folder] */
#include "support_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "codec/json.h"
#include "codec/ulid.h"
#include "store/store.h"
#include "sys/sys.h"

#define ROUNDS 5

typedef struct order {
    char id[ULID_TEXT_BYTES + 1];
    tako_slice json; /* with _id: the peer's */
    tako_slice id_cbor;
    tako_slice fields; /* without */
    tako_slice meta;   /* of a remote state */
} order;

typedef struct bench {
    tako_env env;
    tako_files files;
    const char *dir;
    char ours[256], peer[256];
    tako_arena arena;
    order *orders;
    size_t n;
    size_t *shuffled;
    double ours_s[ROUNDS], peer_s[ROUNDS];
    double bytes_ours, bytes_peer;
} bench;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "bench_store: %s failed\n", what);
        exit(1);
    }
}

/* ---- the documents ------------------------------------------------------- */

static uint32_t below(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

static tako_slice cbor_of(bench *b, const char *json)
{
    tako_buf buf = tako_buf_on(&b->env);
    tako_errbuf e = { "" };
    tako_slice out;

    need(json_to_cbor(tako_slice_str(json), 64, &buf, &e) == TAKO_OK, e.text);
    out = tako_arena_copy(&b->arena, tako_buf_slice(&buf));
    tako_buf_fini(&buf);
    return out;
}

static void make_order(bench *b, size_t i, uint64_t *seed)
{
    static const char *const status[] = { "open", "cooking", "ready", "paid" };
    static const char *const food[] = { "taco al pastor", "quesadilla",
                                        "burrito", "horchata", "guacamole" };
    char fields[512], json[640], id[32];
    uint8_t random[10], u[16];
    order *o = &b->orders[i];
    crdt_dot dot;
    tako_buf meta = tako_buf_on(&b->env);
    int at;

    b->env.random(b->env.ctx, random, sizeof random);
    ulid_make(1700000000000u + i * 3, random, u);
    ulid_to_text(u, o->id);
    at = snprintf(fields, sizeof fields,
                  "\"table\":%u,\"status\":\"%s\",\"kitchen\":\"north\","
                  "\"items\":{",
                  below(seed, 40), status[below(seed, 4)]);
    for (unsigned k = 0, m = 2 + below(seed, 2); k < m; k++)
        at += snprintf(fields + at, sizeof fields - (size_t)at,
                       "%s\"i%u\":{\"name\":\"%s\",\"qty\":%u,\"cents\":%u}",
                       k > 0 ? "," : "", k, food[below(seed, 5)],
                       1 + below(seed, 4), 300 + below(seed, 1200));
    (void)snprintf(fields + at, sizeof fields - (size_t)at,
                   "},\"total\":%u,\"createdAt\":\"2026-11-%02uT12:%02u:00Z\"",
                   900 + below(seed, 9000), 1 + below(seed, 28),
                   below(seed, 60));
    (void)snprintf(json, sizeof json, "{\"_id\":\"%s\",%s}", o->id, fields);
    o->json = tako_arena_copy(&b->arena, tako_slice_str(json));
    (void)snprintf(id, sizeof id, "\"%s\"", o->id);
    o->id_cbor = cbor_of(b, id);
    (void)snprintf(json, sizeof json, "{%s}", fields);
    o->fields = cbor_of(b, json);
    memset(&dot.actor, 7, sizeof dot.actor);
    dot.hlc = CRDT_HLC_OF_MS(1700000000000u + i * 3);
    need(crdt_fresh_meta(dot, o->fields, &meta) == TAKO_OK, "a state");
    o->meta = tako_arena_copy(&b->arena, tako_buf_slice(&meta));
    tako_buf_fini(&meta);
}

static void make_orders(bench *b)
{
    uint64_t seed = 42;

    b->orders = calloc(b->n, sizeof *b->orders);
    b->shuffled = calloc(b->n, sizeof *b->shuffled);
    need(b->orders != NULL && b->shuffled != NULL, "memory");
    for (size_t i = 0; i < b->n; i++) {
        make_order(b, i, &seed);
        b->shuffled[i] = i;
    }
    for (size_t i = b->n; i > 1; i--) {
        size_t k = below(&seed, (uint32_t)i), t = b->shuffled[k];

        b->shuffled[k] = b->shuffled[i - 1];
        b->shuffled[i - 1] = t;
    }
}

/* ---- files --------------------------------------------------------------- */

static void wipe(const char *path)
{
    static const char *const parts[] = { "", "-wal", "-shm", ".seal", ".lock" };
    char name[300];

    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, parts[i]);
        (void)unlink(name);
    }
}

static double size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (double)st.st_size : 0;
}

static store *open_ours(bench *b, store_durability durability, uint32_t *coll)
{
    tako_errbuf e = { "" };
    store_opts o = { .env = &b->env,
                     .files = &b->files,
                     .path = b->ours,
                     .create = true,
                     .durability = durability };
    store *s = NULL;

    need(store_open(&o, &s, &e) == TAKO_OK, e.text);
    need(store_coll_create(s, tako_slice_str("orders"), coll, &e) == TAKO_OK,
         e.text);
    return s;
}

static void run(sqlite3 *db, const char *sql)
{
    need(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
}

static sqlite3 *open_peer(bench *b, const char *synchronous)
{
    sqlite3 *db = NULL;

    need(sqlite3_open(b->peer, &db) == SQLITE_OK, "opening");
    run(db, "PRAGMA journal_mode=WAL");
    run(db, synchronous);
    run(db, "CREATE TABLE IF NOT EXISTS docs(id TEXT PRIMARY KEY, body TEXT)");
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    need(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK, sql);
    return stmt;
}

static void peer_insert(sqlite3_stmt *stmt, const order *o)
{
    (void)sqlite3_bind_text(stmt, 1, o->id, ULID_TEXT_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 2, (const char *)o->json.ptr,
                            (int)o->json.len, SQLITE_STATIC);
    need(sqlite3_step(stmt) == SQLITE_DONE, "insert");
    (void)sqlite3_reset(stmt);
}

/* ---- what is measured ---------------------------------------------------- */

static double ours_bulk(bench *b, bool merge)
{
    tako_errbuf e = { "" };
    uint32_t coll;
    store *s;
    double t;

    wipe(b->ours);
    s = open_ours(b, STORE_NORMAL, &coll);
    t = now();
    need(store_begin(s, &e) == TAKO_OK, e.text);
    for (size_t i = 0; i < b->n; i++) {
        const order *o = &b->orders[i];
        tako_err err = merge ? store_merge(s, coll, o->id_cbor, o->meta,
                                           o->fields, NULL, &e)
                             : store_insert(s, coll, o->id_cbor, o->fields, &e);

        need(err == TAKO_OK, e.text);
    }
    need(store_commit(s, NULL, &e) == TAKO_OK, e.text);
    need(store_checkpoint(s, STORE_FOLD_REST, &e) == TAKO_OK, e.text);
    t = now() - t;
    store_close(s);
    b->bytes_ours = size_of(b->ours);
    return t;
}

static double ours_insert(bench *b)
{
    return ours_bulk(b, false);
}

static double ours_merge(bench *b)
{
    return ours_bulk(b, true);
}

static double peer_bulk(bench *b)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    double t;

    wipe(b->peer);
    db = open_peer(b, "PRAGMA synchronous=NORMAL");
    stmt = prepare(db, "INSERT INTO docs VALUES(?1,?2)");
    t = now();
    run(db, "BEGIN");
    for (size_t i = 0; i < b->n; i++)
        peer_insert(stmt, &b->orders[i]);
    run(db, "COMMIT");
    t = now() - t;
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    b->bytes_peer = size_of(b->peer);
    return t;
}

static double ours_single(bench *b, store_durability durability, size_t n)
{
    tako_errbuf e = { "" };
    uint32_t coll;
    store *s;
    double t;

    wipe(b->ours);
    s = open_ours(b, durability, &coll);
    t = now();
    for (size_t i = 0; i < n; i++) {
        const order *o = &b->orders[i];

        need(store_begin(s, &e) == TAKO_OK, e.text);
        need(store_insert(s, coll, o->id_cbor, o->fields, &e) == TAKO_OK,
             e.text);
        need(store_commit(s, NULL, &e) == TAKO_OK, e.text);
        need(store_checkpoint(s, STORE_FOLD_REST, &e) == TAKO_OK, e.text);
    }
    t = now() - t;
    store_close(s);
    return t;
}

static double peer_single(bench *b, const char *synchronous, size_t n)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    double t;

    wipe(b->peer);
    db = open_peer(b, synchronous);
    stmt = prepare(db, "INSERT INTO docs VALUES(?1,?2)");
    t = now();
    for (size_t i = 0; i < n; i++)
        peer_insert(stmt, &b->orders[i]);
    t = now() - t;
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return t;
}

static double ours_normal(bench *b)
{
    return ours_single(b, STORE_NORMAL, b->n / 4);
}

static double peer_normal(bench *b)
{
    return peer_single(b, "PRAGMA synchronous=NORMAL", b->n / 4);
}

static double ours_full(bench *b)
{
    return ours_single(b, STORE_FULL, b->n / 50);
}

static double peer_full(bench *b)
{
    return peer_single(b, "PRAGMA synchronous=FULL", b->n / 50);
}

static double ours_update(bench *b)
{
    static const uint8_t ready[] = { 0x64, 'd', 'o', 'n', 'e' };
    tako_slice key = tako_slice_str("status");
    crdt_path path = { &key, 1 };
    tako_errbuf e = { "" };
    uint32_t coll;
    store *s;
    double t;

    (void)ours_insert(b);
    s = open_ours(b, STORE_NORMAL, &coll);
    t = now();
    need(store_begin(s, &e) == TAKO_OK, e.text);
    for (size_t i = 0; i < b->n; i++) {
        crdt_doc *doc;
        crdt_dot dot;

        need(store_edit(s, coll, b->orders[i].id_cbor, &doc, &e) == TAKO_OK,
             e.text);
        need(store_dot(s, &dot, &e) == TAKO_OK, e.text);
        need(crdt_set(doc, dot, path, CRDT_AUTO,
                      tako_slice_of(ready, sizeof ready), &e) == TAKO_OK,
             e.text);
        need(store_edit_save(s, &e) == TAKO_OK, e.text);
    }
    need(store_commit(s, NULL, &e) == TAKO_OK, e.text);
    need(store_checkpoint(s, STORE_FOLD_REST, &e) == TAKO_OK, e.text);
    t = now() - t;
    store_close(s);
    return t;
}

static double peer_update(bench *b)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    double t;

    (void)peer_bulk(b);
    db = open_peer(b, "PRAGMA synchronous=NORMAL");
    stmt = prepare(db, "UPDATE docs SET body=json_set(body,'$.status','done')"
                       " WHERE id=?1");
    t = now();
    run(db, "BEGIN");
    for (size_t i = 0; i < b->n; i++) {
        (void)sqlite3_bind_text(stmt, 1, b->orders[i].id, ULID_TEXT_BYTES,
                                SQLITE_STATIC);
        need(sqlite3_step(stmt) == SQLITE_DONE, "update");
        (void)sqlite3_reset(stmt);
    }
    run(db, "COMMIT");
    t = now() - t;
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return t;
}

static double ours_get(bench *b)
{
    uint32_t coll;
    store *s = open_ours(b, STORE_NORMAL, &coll);
    store_row row;
    double t = now();

    for (size_t i = 0; i < b->n; i++)
        need(store_get(store_writer(s), coll, b->orders[b->shuffled[i]].id_cbor,
                       &row) == TAKO_OK,
             "reading");
    t = now() - t;
    store_close(s);
    return t;
}

static double peer_get(bench *b)
{
    sqlite3 *db = open_peer(b, "PRAGMA synchronous=NORMAL");
    sqlite3_stmt *stmt = prepare(db, "SELECT body FROM docs WHERE id=?1");
    double t = now();

    for (size_t i = 0; i < b->n; i++) {
        (void)sqlite3_bind_text(stmt, 1, b->orders[b->shuffled[i]].id,
                                ULID_TEXT_BYTES, SQLITE_STATIC);
        need(sqlite3_step(stmt) == SQLITE_ROW, "reading");
        need(sqlite3_column_text(stmt, 0) != NULL, "reading");
        (void)sqlite3_reset(stmt);
    }
    t = now() - t;
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return t;
}

/* ---- the report ---------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void measure(bench *b, const char *what, size_t n,
                    double (*ours)(bench *), double (*peer)(bench *))
{
    double x, y;

    for (int i = 0; i < ROUNDS; i++) {
        b->ours_s[i] = ours(b);
        b->peer_s[i] = peer(b);
    }
    qsort(b->ours_s, ROUNDS, sizeof(double), by_value);
    qsort(b->peer_s, ROUNDS, sizeof(double), by_value);
    x = (double)n / b->ours_s[ROUNDS / 2];
    y = (double)n / b->peer_s[ROUNDS / 2];
    (void)printf("%-34s %10.0f /s %10.0f /s  %5.2fx\n", what, x, y, x / y);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    bench b;
    double json = 0, body = 0;

    if (argc > 1 && argv[1][0] == '-')
        bench_usage("bench_store", "[DOCUMENTS [FOLDER]]", argv[1]);
    memset(&b, 0, sizeof b);
    sys_env_init(&b.env);
    sys_files_init(&b.files, &b.env);
    b.arena = tako_arena_on(&b.env);
    b.n = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 100000;
    b.dir = argc > 2 ? argv[2] : "/tmp";
    need(b.n >= 100, "asking for 100 documents at least");
    (void)snprintf(b.ours, sizeof b.ours, "%s/bench_store_ours", b.dir);
    (void)snprintf(b.peer, sizeof b.peer, "%s/bench_store_peer", b.dir);
    make_orders(&b);
    for (size_t i = 0; i < b.n; i++) {
        json += (double)b.orders[i].json.len;
        body += (double)(b.orders[i].fields.len);
    }
    (void)printf("%zu documents, %.1f bytes of JSON, %.1f of body\n", b.n,
                 json / (double)b.n, body / (double)b.n);
    (void)printf("%-34s %13s %13s\n", "", "tako store", "SQLite JSON");
    measure(&b, "bulk insert, one transaction", b.n, ours_insert, peer_bulk);
    (void)printf("%-34s %10.1f    %10.1f     %5.2fx\n", "bytes per document",
                 b.bytes_ours / (double)b.n, b.bytes_peer / (double)b.n,
                 b.bytes_ours / b.bytes_peer);
    measure(&b, "point read by ULID, autocommit", b.n, ours_get, peer_get);
    measure(&b, "merge of fresh states / insert", b.n, ours_merge, peer_bulk);
    measure(&b, "one transaction each, NORMAL", b.n / 4, ours_normal,
            peer_normal);
    measure(&b, "one transaction each, FULL", b.n / 50, ours_full, peer_full);
    measure(&b, "update one field by id / json_set", b.n, ours_update,
            peer_update);
    wipe(b.ours);
    wipe(b.peer);
    tako_arena_fini(&b.arena);
    free(b.orders);
    free(b.shuffled);
    return 0;
}
