// SPDX-License-Identifier: Apache-2.0
/* BENCH_RECON -- what it takes to find out what differs.
 *
 * Two databases with the same N documents in one process, and a session
 * between them whose messages go from hand to hand, all that one side has to
 * say at a time: half a round trip. Bytes are those of both sides without
 * greetings (HELLO, KNOWN) and without documents (STATES, CUT, packed or not).
 *
 *   stream_*     CPU of a first download, packed, at each side
 *   in_sync_*    both have met before: bytes, round trips until both know, CPU
 *                of the side that needs more, the median of 9 sessions
 *   diff_10_*, diff_1000_*, diff_10000_*   so many new documents, half of them
 *                at each side, that have never met: bytes, round trips until
 *                both are equal
 *   edits_*      the same with changes of one field of known documents
 *   feed_1000_*  as edits, between two that have met before
 *   bulk_*       changes of one field of 10,000 documents, one commit each, by
 *                the feed; in one transaction, live; the same documents again.
 *                All bytes of messages, over 10,000
 *   resume       of a first download that was cut in the middle: documents
 *                received twice, in percent
 *
 *   bench_recon [--docs N] [--dir FOLDER] [--json] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/cbor.h"
#include "codec/ulid.h"
#include "store/store.h"
#include "support_bench.h"
#include "sync/session.h"
#include "sync/tables.h"
#include "sync/wire.h"
#include "sys/sys.h"

#define TEXT "SELECT * FROM orders"

struct sync_predicate {
    int all;
};

typedef struct message {
    struct message *next;
    sync_lane lane;
    size_t len;
    uint8_t bytes[];
} message;

typedef struct side {
    tako_env env;
    tako_files files;
    char path[600];
    store *st;
    store_conn *reader;
    sync_tables *tables;
    sync_host host;
    sync_session *session;
    message *out, **tail; /* said, not yet heard */
    double cpu;           /* seconds */
} side;

static side sides[2];
static uint64_t bytes; /* see the top */
static uint64_t all_bytes;
static uint64_t seed = 7;
static const uint8_t mesh[16] = { 3 };

static void need(tako_err err, const tako_errbuf *e)
{
    bench_need(err == TAKO_OK, "a step", e->text);
}

/* ---- host ----------------------------------------------------------------- */

static store *host_begin(void *ctx)
{
    return ((side *)ctx)->st;
}

static void tell(side *s, uint64_t lsn, bool own)
{
    size_t count;
    const store_change *changes = store_changes(s->st, &count);

    (void)sync_tables_on_commit(s->tables, lsn, changes, count);
    if (s->session != NULL)
        (void)sync_session_on_commit(s->session, lsn, changes, count, own);
}

static void host_end(void *ctx, uint64_t lsn)
{
    if (lsn != 0)
        tell(ctx, lsn, true);
}

static tako_err predicate_open(void *ctx, tako_slice text, sync_predicate **out,
                               tako_slice *collection, tako_errbuf *e)
{
    static sync_predicate all;

    (void)ctx;
    (void)text;
    (void)e;
    *out = &all;
    *collection = tako_slice_str("orders");
    return TAKO_OK;
}

static void predicate_close(void *ctx, sync_predicate *p)
{
    (void)ctx;
    (void)p;
}

static bool predicate_match(void *ctx, sync_predicate *p, tako_slice id,
                            tako_slice body)
{
    (void)ctx;
    (void)p;
    (void)id;
    return body.len > 0;
}

static void host_event(void *ctx, sync_event event, uint32_t number,
                       const char *text)
{
    (void)ctx;
    (void)event;
    (void)number;
    (void)text;
}

/* ---- databases --------------------------------------------------------------- */

static void side_open(side *s)
{
    store_opts o = {
        .env = &s->env, .files = &s->files, .path = s->path, .create = true
    };
    sync_tables_opts t = { &s->env, &s->host, NULL, mesh };
    tako_errbuf e = { "" };

    s->host = (sync_host){ .ctx = s,
                           .write_begin = host_begin,
                           .write_end = host_end,
                           .predicate_open = predicate_open,
                           .predicate_close = predicate_close,
                           .predicate_match = predicate_match,
                           .event = host_event };
    need(store_open(&o, &s->st, &e), &e);
    need(store_reader_open(s->st, &s->reader, &e), &e);
    t.reader = s->reader;
    need(sync_tables_new(&t, &s->tables, &e), &e);
    s->tail = &s->out;
}

static void side_close(side *s)
{
    sync_tables_free(s->tables);
    store_reader_close(s->reader);
    store_close(s->st);
}

static void put_order(tako_buf *out, uint64_t n)
{
    char pad[67] = { 0 }; /* as random as what is ordered */

    for (size_t i = 0; i < sizeof pad - 1; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        pad[i] = "aeiou rstln"[(seed >> 40) % 11];
    }
    tako_buf_reset(out);
    cbor_put_map(out, 4);
    cbor_put_text(out, tako_slice_str("n"));
    cbor_put_int(out, (int64_t)n);
    cbor_put_text(out, tako_slice_str("items"));
    cbor_put_text(out, tako_slice_str(pad));
    cbor_put_text(out, tako_slice_str("status"));
    cbor_put_text(out, tako_slice_str("open"));
    cbor_put_text(out, tako_slice_str("createdAt"));
    cbor_put_text(out, tako_slice_str("2026-11-26T07:13:00Z"));
}

/* New documents in commits of 10,000. */
static void insert(side *s, size_t count)
{
    tako_buf body = tako_buf_on(&s->env);
    tako_errbuf e = { "" };
    uint64_t lsn;

    for (size_t i = 0; i < count; i += 10000) {
        uint32_t coll;

        need(store_begin(s->st, &e), &e);
        need(store_coll_create(s->st, tako_slice_str("orders"), &coll, &e), &e);
        for (size_t k = i; k < i + 10000 && k < count; k++) {
            uint8_t id[28] = { 0x78, 26 };
            char text[27];

            bench_ulid(1795680000000u + seed % 1000000u, &seed, text);
            memcpy(id + 2, text, 26);
            put_order(&body, k);
            need(store_insert(s->st, coll, tako_slice_of(id, sizeof id),
                              tako_buf_slice(&body), &e),
                 &e);
        }
        need(store_commit(s->st, &lsn, &e), &e);
        tell(s, lsn, false);
    }
    tako_buf_fini(&body);
}

/* Sets a field of every step-th document, from one on, a commit each or all in
 * one. */
static void edit_to(side *s, size_t first, size_t step, size_t count,
                    const char *status, bool one)
{
    tako_slice key = tako_slice_str("status");
    tako_buf value = tako_buf_on(&s->env);
    tako_buf ids = tako_buf_on(&s->env);
    tako_reader in;
    tako_errbuf e = { "" };
    store_cursor *k;
    store_row row;
    uint32_t coll;

    need(store_coll_find(s->reader, tako_slice_str("orders"), &coll), &e);
    need(store_scan(s->reader, coll, INT64_MIN, &k), &e);
    for (size_t i = 0, n = 0; n < count && store_scan_next(k, &row) == TAKO_OK;
         i++)
        if (i >= first && (i - first) % step == 0) {
            tako_put_block(&ids, row.id);
            n++;
        }
    store_scan_close(k);
    cbor_put_text(&value, tako_slice_str(status));
    in = tako_reader_of(tako_buf_slice(&ids));
    while (tako_reader_left(&in) > 0) {
        crdt_doc *doc;
        crdt_dot dot;
        uint64_t lsn;

        if (!store_in_transaction(s->st))
            need(store_begin(s->st, &e), &e);
        need(store_dot(s->st, &dot, &e), &e);
        need(store_edit(s->st, coll, tako_read_block(&in), &doc, &e), &e);
        need(crdt_set(doc, dot, (crdt_path){ &key, 1 }, CRDT_AUTO,
                      tako_buf_slice(&value), &e),
             &e);
        need(store_edit_save(s->st, &e), &e);
        if (one && tako_reader_left(&in) > 0)
            continue;
        need(store_commit(s->st, &lsn, &e), &e);
        tell(s, lsn, false);
    }
    tako_buf_fini(&value);
    tako_buf_fini(&ids);
}

static void edit(side *s, size_t first, size_t step, size_t count)
{
    edit_to(s, first, step, count, "done", false);
}

/* ---- a session ------------------------------------------------------------------ */

static double cpu_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void connect_both(bool met)
{
    tako_errbuf e = { "" };

    bytes = 0;
    for (int i = 0; i < 2; i++) {
        side *s = &sides[i];
        sync_opts o = { .env = &s->env,
                        .host = &s->host,
                        .reader = s->reader,
                        .digest_key = mesh,
                        .tables = s->tables };

        if (met)
            o.peer = tako_slice_str(sides[1 - i].path);
        s->cpu = 0;
        need(sync_session_new(&o, 1, &s->session, &e), &e);
        need(sync_session_subscribe(s->session, 1, tako_slice_str(TEXT), &e),
             &e);
    }
}

static void disconnect_both(void)
{
    for (int i = 0; i < 2; i++) {
        side *s = &sides[i];

        (void)sync_session_rest(s->session, s->st, false, NULL);
        sync_session_free(s->session);
        s->session = NULL;
        while (s->out != NULL) {
            message *m = s->out;

            s->out = m->next;
            free(m);
        }
        s->tail = &s->out;
    }
}

static void say(side *s, size_t most)
{
    tako_buf out = tako_buf_on(&s->env);
    tako_errbuf e = { "" };
    sync_lane lane;
    double start = cpu_now();

    for (size_t n = 0; n < most;) {
        message *m;

        need(sync_session_send(s->session, 1, SYNC_LANES_ALL, &lane, &out, &e),
             &e);
        if (out.len == 0 && sync_session_deadline(s->session) > 0)
            break;
        if (out.len == 0)
            continue;
        m = malloc(sizeof *m + out.len);
        bench_need(m != NULL, "memory", NULL);
        *m = (message){ NULL, lane, out.len };
        memcpy(m->bytes, out.ptr, out.len);
        *s->tail = m;
        s->tail = &m->next;
        n++;
    }
    s->cpu += cpu_now() - start;
    tako_buf_fini(&out);
}

static bool hear(side *from, side *to)
{
    message *m = from->out;
    tako_errbuf e = { "" };
    bool any = m != NULL;
    double start = cpu_now();

    from->out = NULL;
    from->tail = &from->out;
    /* The control lane overtakes. */
    for (int control = 1; control >= 0; control--)
        for (const message *at = m; at != NULL; at = at->next)
            if ((at->lane == SYNC_CONTROL) == (control == 1))
                need(sync_session_recv(to->session, 1, at->lane,
                                       tako_slice_of(at->bytes, at->len), &e),
                     &e);
    to->cpu += cpu_now() - start;
    while (m != NULL) {
        message *next = m->next;
        uint8_t kind = m->bytes[0];

        all_bytes += m->len;
        if (kind != SYNC_MSG_HELLO && kind != SYNC_MSG_KNOWN &&
            kind != SYNC_MSG_STATES && kind != SYNC_MSG_PACKED &&
            kind != SYNC_MSG_PACKED_CUT && kind != SYNC_MSG_CUT)
            bytes += m->len;
        free(m);
        m = next;
    }
    return any;
}

static bool knows(const side *s)
{
    sync_subscription_state state;

    return sync_session_subscription(s->session, 0, 0, &state) && state.in_sync;
}

/* Runs until nothing more is said. Half round trips until both know that they
 * are in sync; receipts follow, for which nobody waits. */
static unsigned run(void)
{
    unsigned halves = 0, known = 0;
    bool any;

    do {
        say(&sides[0], 1000000);
        say(&sides[1], 1000000);
        any = hear(&sides[0], &sides[1]);
        any = hear(&sides[1], &sides[0]) || any;
        halves += any;
        if (known == 0 && knows(&sides[0]) && knows(&sides[1]))
            known = halves;
    } while (any);
    return known;
}

static uint64_t documents_in(const side *s)
{
    sync_counts c;

    sync_session_counts(s->session, &c);
    return c.documents_in;
}

/* ---- measures -------------------------------------------------------------------- */

static void line(const bench_out *o, const char *what, const char *of,
                 const char *unit, double value, double goal)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%s_%s", what, of);
    bench_value_line(o, name, unit, value, goal, true);
}

static void measure(const bench_out *o, const char *what, bool met,
                    double most_bytes, double most_trips)
{
    unsigned halves;
    double cpu;

    connect_both(met);
    halves = run();
    cpu = sides[0].cpu > sides[1].cpu ? sides[0].cpu : sides[1].cpu;
    line(o, what, "bytes", "bytes", (double)bytes, most_bytes);
    line(o, what, "round_trips", "", (double)halves / 2.0, most_trips);
    line(o, what, "cpu", "ms", cpu * 1e3, 0);
    disconnect_both();
}

static int double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void measure_in_sync(const bench_out *o, const char *what)
{
    double cpu[9];
    unsigned halves = 0;

    for (size_t i = 0; i < 9; i++) {
        connect_both(true);
        halves = run();
        cpu[i] = sides[0].cpu > sides[1].cpu ? sides[0].cpu : sides[1].cpu;
        disconnect_both();
    }
    qsort(cpu, 9, sizeof cpu[0], double_cmp);
    line(o, what, "bytes", "bytes", (double)bytes, 100);
    line(o, what, "round_trips", "", (double)halves / 2.0, 1);
    line(o, what, "cpu", "ms", cpu[4] * 1e3, 0.2);
}

/* The second side fills itself from the first and is cut in the middle. */
static void measure_resume(const bench_out *o, size_t docs)
{
    double serve, take;
    uint64_t twice;

    connect_both(true);
    for (int i = 0; i < 4 || documents_in(&sides[1]) < docs / 2; i++) {
        say(&sides[1], 4);
        say(&sides[0], 4);
        (void)hear(&sides[0], &sides[1]);
        (void)hear(&sides[1], &sides[0]);
    }
    twice = documents_in(&sides[1]);
    serve = sides[0].cpu;
    take = sides[1].cpu;
    disconnect_both();
    connect_both(true);
    (void)run();
    line(o, "stream", "serve", "us/document",
         (serve + sides[0].cpu) * 1e6 / (double)docs, 0);
    line(o, "stream", "take", "us/document",
         (take + sides[1].cpu) * 1e6 / (double)docs, 0);
    twice += documents_in(&sides[1]);
    bench_value_line(o, "resume", "percent",
                     100.0 * ((double)twice - (double)docs) / (double)docs, 1,
                     true);
    disconnect_both();
}

static const struct {
    size_t count;
    const char *fresh, *edits;
    double bytes;
} diffs[] = { { 10, "diff_10", "edits_10", 1500 },
              { 1000, "diff_1000", "edits_1000", 90000 },
              { 10000, "diff_10000", "edits_10000", 900000 } };

static void measure_bulk(const bench_out *o)
{
    enum { MANY = 10000 };
    static const struct {
        const char *name, *status;
        bool live;
    } ways[] = { { "feed", "gone", false },
                 { "live", "paid", true },
                 { "live_again", "back", true } };

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (i < 2)
            connect_both(true);
        if (i < 2)
            (void)run();
        if (!ways[i].live)
            disconnect_both();
        edit_to(&sides[0], 3, 2, MANY / 2, ways[i].status, ways[i].live);
        edit_to(&sides[0], 4, 2, MANY / 2, ways[i].status, ways[i].live);
        if (!ways[i].live)
            connect_both(true);
        all_bytes = 0;
        (void)run();
        line(o, "bulk", ways[i].name, "bytes/update", (double)all_bytes / MANY,
             25);
        if (i == 0)
            disconnect_both();
    }
    disconnect_both();
}

int main(int argc, char **argv)
{
    bench_out o = { false };
    const char *parent = ".";
    char dir[512];
    size_t docs = 100000;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o.json = true;
        else if (strcmp(argv[i], "--docs") == 0 && i + 1 < argc)
            docs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            parent = argv[++i];
        else
            bench_usage("bench_recon", "[--docs N] [--dir FOLDER] [--json]",
                        argv[i]);
    }
    bench_need(docs >= 20010, "options: 20010 documents or more", NULL);
    bench_dir_make(dir, sizeof dir, parent);
    for (int i = 0; i < 2; i++) {
        sys_env_init(&sides[i].env);
        sys_files_init(&sides[i].files, &sides[i].env);
        (void)snprintf(sides[i].path, sizeof sides[i].path, "%s/%d.tako", dir,
                       i);
        side_open(&sides[i]);
    }
    insert(&sides[0], docs);
    bench_head(&o);
    measure_resume(&o, docs);
    connect_both(true); /* the tables are built */
    (void)run();
    disconnect_both();
    measure_in_sync(&o, "in_sync");
    for (size_t i = 0; i < sizeof diffs / sizeof diffs[0]; i++) {
        size_t n = diffs[i].count;

        if (n > docs / 10u)
            continue;
        insert(&sides[0], n / 2);
        insert(&sides[1], n / 2);
        measure(&o, diffs[i].fresh, false, diffs[i].bytes, 2);
        edit(&sides[0], n, 7, n / 2);
        edit(&sides[1], n + 3, 7, n / 2);
        measure(&o, diffs[i].edits, false, diffs[i].bytes, 2);
    }
    measure_in_sync(&o, "in_sync_again");
    edit(&sides[0], 5000, 5, 500);
    edit(&sides[1], 5001, 5, 500);
    measure(&o, "feed_1000", true, 0, 0);
    measure_bulk(&o);
    for (int i = 0; i < 2; i++)
        side_close(&sides[i]);
    bench_dir_remove(dir);
    return 0;
}
