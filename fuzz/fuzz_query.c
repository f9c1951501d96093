// SPDX-License-Identifier: Apache-2.0
/* fuzz/fuzz_query.c -- statements come from apps and shells, predicates from
 * peers.
 *
 * Any text is classified, prepared, bound and run on a small database inside
 * a transaction that is rolled back. Properties: an error has a reason; every
 * row is deterministic CBOR; what works as a predicate has a canonical text
 * that is its own canonical text, and finds the same documents as a SELECT. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/json.h"
#include "query/query.h"
#include "sys/sys.h"

#define CHECK(x)                                                               \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);            \
            abort();                                                           \
        }                                                                      \
    } while (0)
#define ROWS_MAX      2000
#define STEPS_MAX     500000 /* of SQLite's machine, for one input */
#define STEPS_AT_ONCE 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct world {
    tako_env env;
    tako_files files;
    store *s;
    tako_buf params;
    int steps; /* thousands, of this input */
} world;

static const char documents[] =
    "{\"a\":5,\"p\":1,\"l\":[1,\"x\",true,null],\"d\":["
    "{\"_id\":\"x\",\"a\":1,\"b\":\"two\",\"o\":{\"p\":{\"q\":3}}},"
    "{\"_id\":2,\"a\":2.5,\"b\":null,\"l\":[1,[2],{\"k\":true}]},"
    "{\"_id\":[1],\"a\":\"x\",\"b\":false},"
    "{\"_id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"n\":-7,\"b\":\"two\"},"
    "{\"_id\":\"e\"}]}";

static void run_text(world *w, tako_slice text);

static void fill(world *w)
{
    tako_errbuf e;

    w->params = tako_buf_on(&w->env);
    CHECK(json_to_cbor(tako_slice_str(documents), 64, &w->params, &e) ==
          TAKO_OK);
    CHECK(store_begin(w->s, &e) == TAKO_OK);
    run_text(w, tako_slice_str("INSERT INTO c DOCUMENTS (:d)"));
    run_text(w, tako_slice_str("INSERT INTO d DOCUMENTS (:d)"));
    run_text(w, tako_slice_str("CREATE INDEX i ON c (a, b DESC)"));
    CHECK(store_commit(w->s, NULL, &e) == TAKO_OK);
}

/* A join of many may be right and take for ever: who runs statements for
 * others has a timeout, and this target bounds SQLite's steps. */
static int count_steps(void *ctx)
{
    world *w = ctx;

    return ++w->steps > STEPS_MAX / STEPS_AT_ONCE;
}

static void open_world(world *w)
{
    char dir[] = "/tmp/tako-fuzz-XXXXXX", path[64];
    store_opts o = { 0 };
    tako_errbuf e;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/db", dir);
    sys_env_init(&w->env);
    sys_files_init(&w->files, &w->env);
    o.env = &w->env;
    o.files = &w->files;
    o.path = path;
    o.create = true;
    o.on_connect = query_register;
    o.on_connect_ctx = &w->env;
    CHECK(store_open(&o, &w->s, &e) == TAKO_OK);
    sqlite3_progress_handler(store_conn_db(store_writer(w->s)), STEPS_AT_ONCE,
                             count_steps, w);
    fill(w);
}

static void read_rows(world *w, query *q)
{
    tako_buf row = tako_buf_on(&w->env);
    tako_errbuf e;
    size_t n = 0;

    e.text[0] = '\0';
    while (n++ < ROWS_MAX) {
        tako_err err = query_step(q, &row, &e);

        if (err == TAKO_NOTFOUND)
            break;
        if (err != TAKO_OK) {
            CHECK(e.text[0] != '\0');
            break;
        }
        CHECK(cbor_check(tako_buf_slice(&row), TAKO_JSON_DEPTH_MAX, NULL) ==
              TAKO_OK);
        tako_buf_reset(&row);
    }
    tako_buf_fini(&row);
}

static void run_text(world *w, tako_slice text)
{
    tako_buf ids = tako_buf_on(&w->env);
    tako_errbuf e = { "" };
    query *q = NULL;
    query_kind kind;
    uint64_t n;
    tako_err err = query_prepare(&w->env, store_writer(w->s), text, &q, &e);

    if (err == TAKO_OK) {
        CHECK(query_classify(&w->env, text, &kind, &e) == TAKO_OK);
        CHECK(kind == query_kind_of(q));
        err = query_bind(q, tako_buf_slice(&w->params), &e);
    }
    if (err == TAKO_OK && query_kind_reads(kind))
        read_rows(w, q);
    else if (err == TAKO_OK && !query_kind_is_control(kind))
        err = query_run(q, w->s, &ids, &n, &e);
    if (err == TAKO_OK && kind < QUERY_BEGIN && query_has_rows(q))
        read_rows(w, q); /* of RETURNING; a SELECT has none left */
    CHECK(err == TAKO_OK || e.text[0] != '\0');
    query_free(q);
    tako_buf_fini(&ids);
}

/* The predicate and the SELECT of one text agree on every document. */
static void compare(world *w, query_predicate *p, tako_slice text)
{
    query *q = NULL;
    tako_buf row = tako_buf_on(&w->env);
    store_cursor *k;
    store_row r;
    uint32_t coll;
    size_t by_select = 0, by_predicate = 0;
    tako_err err;

    if (store_coll_find(store_writer(w->s), query_predicate_collection(p),
                        &coll) != TAKO_OK)
        return;
    if (query_prepare(&w->env, store_writer(w->s), text, &q, NULL) != TAKO_OK ||
        query_bind(q, tako_buf_slice(&w->params), NULL) != TAKO_OK)
        goto out;
    while ((err = query_step(q, &row, NULL)) == TAKO_OK)
        by_select++;
    if (err != TAKO_NOTFOUND)
        goto out;
    CHECK(store_scan(store_writer(w->s), coll, INT64_MIN, &k) == TAKO_OK);
    while (store_scan_next(k, &r) == TAKO_OK)
        by_predicate += query_predicate_match(p, r.id, r.body);
    store_scan_close(k);
    CHECK(by_select == by_predicate);
out:
    query_free(q);
    tako_buf_fini(&row);
}

static void as_predicate(world *w, tako_slice text)
{
    query_predicate *p, *again;
    tako_errbuf e = { "" };

    if (query_predicate_new(&w->env, text, tako_buf_slice(&w->params), &p,
                            &e) != TAKO_OK) {
        CHECK(e.text[0] != '\0');
        return;
    }
    if (query_predicate_new(&w->env, query_predicate_text(p), TAKO_SLICE_NONE,
                            &again, &e) == TAKO_OK) {
        CHECK(tako_slice_eq(query_predicate_text(p),
                            query_predicate_text(again)));
        query_predicate_free(again);
    } else {
        fprintf(stderr, "%.*s\n%s\n", (int)query_predicate_text(p).len,
                (const char *)query_predicate_text(p).ptr, e.text);
        CHECK(strstr(e.text, "nest") != NULL || /* parentheses add depth */
              strstr(e.text, "bytes") != NULL);
    }
    compare(w, p, text);
    query_predicate_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w; /* one database for all inputs */
    tako_slice text = tako_slice_of(data, size);
    tako_errbuf e;

    if (size > 4096)
        return 0;
    if (w.s == NULL)
        open_world(&w);
    w.steps = 0;
    as_predicate(&w, text);
    CHECK(store_begin(w.s, &e) == TAKO_OK);
    run_text(&w, text);
    store_rollback(w.s);
    return 0;
}
