// SPDX-License-Identifier: Apache-2.0
/* fuzz_session -- any messages may arrive from a peer.
 *
 * Input: a series of (lane, two bytes of length, message). They go into a
 * session with a real store that has subscribed to a collection, after a valid
 * HELLO; between them the session sends what it likes, into nowhere.
 * Property: no crash, no leak, no endless loop; after an error nothing more is
 * taken; and what was stored passes the store's own check. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sync/receipts.h"
#include "sync/session.h"
#include "sync/wire.h"
#include "sys/sys.h"

#define INPUTS_PER_STORE 5000u

typedef struct world {
    tako_env env;
    tako_files files;
    store *st;
    store_conn *reader;
    char path[64];
    uint32_t inputs;
    sync_session *session;
    store_change changes[1];
    uint64_t receipts[256]; /* how far each goes; 0: it means nothing */
    uint32_t receipt_count;
} world;

static world w;

struct sync_predicate {
    char name[32];
};

static store *host_begin(void *ctx)
{
    (void)ctx;
    return w.st;
}

static void host_end(void *ctx, uint64_t lsn)
{
    size_t count;
    const store_change *changes = store_changes(w.st, &count);

    (void)ctx;
    if (lsn != 0)
        (void)sync_session_on_commit(w.session, lsn, changes, count,
                                     SYNC_BY_SESSION);
}

static tako_err predicate_open(void *ctx, tako_slice text, sync_predicate **out,
                               tako_slice *collection, tako_errbuf *e)
{
    (void)ctx;
    if (text.len == 0 || text.len >= sizeof(*out)->name)
        return tako_fail(e, TAKO_INVALID, "not a subscription");
    *out = tako_env_alloc(&w.env, sizeof **out);
    memcpy((*out)->name, text.ptr, text.len);
    *collection = tako_slice_of((*out)->name, text.len);
    return TAKO_OK;
}

static void predicate_close(void *ctx, sync_predicate *p)
{
    (void)ctx;
    tako_env_free(&w.env, p, sizeof *p);
}

static bool predicate_covers(void *ctx, const sync_predicate *big,
                             const sync_predicate *small)
{
    (void)ctx;
    (void)big;
    (void)small;
    return true;
}

static size_t others(void *ctx)
{
    (void)ctx;
    return 0;
}

static bool covered(void *ctx, uint32_t number)
{
    (void)ctx;
    return number % 2 == 1;
}

static bool predicate_match(void *ctx, sync_predicate *p, tako_slice id,
                            tako_slice body)
{
    (void)ctx;
    (void)p;
    (void)id;
    return body.len % 2 == 1;
}

static bool predicate_whole(void *ctx, const sync_predicate *p)
{
    (void)ctx;
    (void)p;
    return true;
}

static void host_event(void *ctx, sync_event event, uint32_t number,
                       const char *text)
{
    (void)ctx;
    (void)event;
    (void)number;
    (void)text;
}

/* Receipts only grow, and come from what was defined. */
static tako_err receipt_made(void *ctx, const sync_receipt *r, uint32_t *id)
{
    (void)ctx;
    if (r->lsn == 0 || r->text_count == 0)
        abort();
    *id = w.receipt_count++ % 255u + 1u;
    w.receipts[*id] = r->lsn;
    return w.receipt_count % 64 == 63 ? TAKO_NOMEM : TAKO_OK;
}

static void receipt_raised(void *ctx, uint32_t id, uint64_t lsn)
{
    (void)ctx;
    if (id == 0 || id > 255 || lsn == 0)
        abort();
    w.receipts[id] = lsn;
}

static void receipt_gone(void *ctx, uint32_t id)
{
    (void)ctx;
    if (id == 0 || id > 255)
        abort();
    w.receipts[id] = 0;
}

static void receipt_asked(void *ctx, tako_slice who, unsigned hops)
{
    (void)ctx;
    if (who.len == 0 || hops > TAKO_RECEIPTS_HOPS_MAX)
        abort();
}

static const sync_receipts_host receipts = { receipt_made, receipt_raised,
                                             receipt_gone, receipt_asked };

static const sync_host host = {
    .write_begin = host_begin,
    .write_end = host_end,
    .predicate_open = predicate_open,
    .predicate_close = predicate_close,
    .predicate_match = predicate_match,
    .predicate_covers = predicate_covers,
    .predicate_whole = predicate_whole,
    .others = others,
    .covered = covered,
    .event = host_event,
    .receipts = &receipts,
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void found(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

static void store_renew(void)
{
    store_opts o = {
        .env = &w.env, .files = &w.files, .path = w.path, .create = true
    };
    static const uint8_t id[] = { 0x61, 'a' };
    static const uint8_t body[] = { 0xa1, 0x61, 's', 0x64, 'o', 'p', 'e', 'n' };
    tako_errbuf e = { "" };
    uint64_t findings = 0;
    uint32_t coll;

    if (w.st != NULL) {
        must(store_check(w.reader, found, NULL, &findings, &e) == TAKO_OK);
        must(findings == 0);
        store_reader_close(w.reader);
        store_close(w.st);
        (void)unlink(w.path);
    } else {
        sys_env_init(&w.env);
        w.env.log = NULL;
        sys_files_init(&w.files, &w.env);
        (void)snprintf(w.path, sizeof w.path, "/dev/shm/fuzz-session-%d.db",
                       (int)getpid());
    }
    must(store_open(&o, &w.st, &e) == TAKO_OK);
    (void)sqlite3_exec(store_conn_db(store_writer(w.st)),
                       "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    must(store_reader_open(w.st, &w.reader, &e) == TAKO_OK);
    must(store_begin(w.st, &e) == TAKO_OK);
    must(store_coll_create(w.st, tako_slice_str("orders"), &coll, &e) ==
         TAKO_OK);
    must(store_insert(w.st, coll, tako_slice_of(id, sizeof id),
                      tako_slice_of(body, sizeof body), &e) == TAKO_OK);
    must(store_commit(w.st, NULL, &e) == TAKO_OK);
}

static tako_err drain(uint64_t *now)
{
    tako_buf out = tako_buf_on(&w.env);
    sync_lane lane;
    tako_err err = TAKO_OK;

    for (int i = 0; i < 32 && err == TAKO_OK; i++) {
        err = sync_session_send(w.session, ++*now, SYNC_LANES_ALL, &lane, &out,
                                NULL);
        if (out.len == 0 && sync_session_deadline(w.session) != 0)
            break;
    }
    tako_buf_fini(&out);
    return err;
}

static tako_err greet(uint64_t now)
{
    tako_buf b = tako_buf_on(&w.env);
    tako_err err;

    tako_put_u8(&b, SYNC_MSG_HELLO);
    tako_put_u8(&b, SYNC_VERSION_MAJOR);
    tako_put_u8(&b, SYNC_VERSION_MINOR);
    for (int i = 0; i < 48; i++)
        tako_put_u8(&b, 7);
    tako_put_u8(&b, 0);
    tako_put_u8(&b, 0);
    tako_put_u8(&b, 1);
    err = sync_session_recv(w.session, now, SYNC_CONTROL, tako_buf_slice(&b),
                            NULL);
    tako_buf_reset(&b);
    tako_put_u8(&b, SYNC_MSG_KNOWN);
    tako_put_u8(&b, 0);
    if (err == TAKO_OK)
        err = sync_session_recv(w.session, now, SYNC_CONTROL,
                                tako_buf_slice(&b), NULL);
    tako_buf_fini(&b);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    tako_reader in = tako_reader_of(tako_slice_of(data, size));
    uint64_t now = 1;
    tako_err err;

    if (w.st == NULL || ++w.inputs % INPUTS_PER_STORE == 0)
        store_renew();
    {
        sync_opts o = {
            .env = &w.env, .host = &host, .reader = w.reader, .digest_key = key
        };

        must(sync_session_new(&o, now, &w.session, NULL) == TAKO_OK);
    }
    must(sync_session_subscribe(w.session, 1, tako_slice_str("orders"), NULL) ==
         TAKO_OK);
    must(drain(&now) == TAKO_OK);
    err = greet(now);
    while (err == TAKO_OK && tako_reader_left(&in) > 3) {
        uint8_t lane = tako_read_u8(&in) % SYNC_LANES;
        size_t len = (size_t)tako_read_u8(&in) << 8;

        len |= tako_read_u8(&in);
        if (len > tako_reader_left(&in))
            len = tako_reader_left(&in);
        err = sync_session_recv(w.session, now, (sync_lane)lane,
                                tako_read_bytes(&in, len), NULL);
        if (err == TAKO_OK)
            err = drain(&now);
    }
    if (err != TAKO_OK)
        must(sync_session_recv(w.session, now, SYNC_CONTROL,
                               tako_slice_of("\x90", 1), NULL) == TAKO_CLOSED);
    sync_session_free(w.session);
    w.session = NULL;
    return 0;
}
