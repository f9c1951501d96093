// SPDX-License-Identifier: Apache-2.0
/* fuzz_blobs -- any messages about attachments may arrive, from two peers.
 *
 * Input: a series of (peer in the lowest bit, kind above it, two bytes of
 * length, body). The store has one content and fetches another; in a body the
 * bytes 0xF0 and 0xF1 stand for the ids of these two. After each message time
 * goes on a little, and both peers are sent what there is to say.
 * Property: no crash, no leak; after an error the peer is gone and the other is
 * served; what is fetched becomes whole only with the right bytes, and the
 * store passes its own check. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sync/blobs.h"
#include "sync/wire.h"
#include "sys/sys.h"

#define LEN              40000u
#define INPUTS_PER_STORE 500u

typedef struct world {
    tako_env env;
    tako_files files;
    store *st;
    store_conn *reader;
    char path[64];
    uint32_t inputs;
    uint8_t ids[2][BLOB_ID_BYTES];
    sync_blobs *b;
    sync_blob_peer *peers[2];
} world;

static world w;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static store *write_try(void *ctx)
{
    (void)ctx;
    return w.st;
}

static void write_end(void *ctx)
{
    (void)ctx;
}

static void on_event(void *ctx, sync_blob_event event, const uint8_t id[32])
{
    (void)ctx;
    (void)event;
    (void)id;
}

static bool automatic(void *ctx)
{
    (void)ctx;
    return true;
}

static const sync_blobs_host host = { NULL, write_try, write_end, on_event,
                                      automatic };

static void found(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

/* The content of one letter, put in for its id; `keep` it or not. */
static void content(uint8_t letter, uint8_t id[BLOB_ID_BYTES], bool keep)
{
    uint8_t bytes[LEN];
    blob_put *p;
    uint64_t len;

    memset(bytes, letter, sizeof bytes);
    must(store_begin(w.st, NULL) == TAKO_OK);
    must(store_blob_put_begin(w.st, &p, NULL) == TAKO_OK);
    must(store_blob_put_data(p, tako_slice_of(bytes, sizeof bytes), NULL) ==
         TAKO_OK);
    must(store_blob_put_end(p, id, &len, NULL) == TAKO_OK);
    store_blob_put_free(p);
    if (keep)
        must(store_commit(w.st, NULL, NULL) == TAKO_OK);
    else
        store_rollback(w.st);
}

static void store_renew(void)
{
    store_opts o = {
        .env = &w.env, .files = &w.files, .path = w.path, .create = true
    };
    uint64_t findings = 0;

    if (w.st != NULL) {
        must(store_check(w.reader, found, NULL, &findings, NULL) == TAKO_OK);
        must(findings == 0);
        store_reader_close(w.reader);
        store_close(w.st);
        (void)unlink(w.path);
    } else {
        sys_env_init(&w.env);
        w.env.log = NULL;
        sys_files_init(&w.files, &w.env);
        (void)snprintf(w.path, sizeof w.path, "/dev/shm/fuzz-blobs-%d.db",
                       (int)getpid());
    }
    must(store_open(&o, &w.st, NULL) == TAKO_OK);
    (void)sqlite3_exec(store_conn_db(store_writer(w.st)),
                       "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    must(store_reader_open(w.st, &w.reader, NULL) == TAKO_OK);
    content('a', w.ids[0], true);
    content('b', w.ids[1], false);
}

static void drain(uint64_t now)
{
    tako_buf out = tako_buf_on(&w.env);

    for (int k = 0; k < 2; k++)
        for (int i = 0;
             i < 64 && w.peers[k] != NULL && sync_blob_peer_due(w.peers[k]);
             i++) {
            tako_buf_reset(&out);
            must(sync_blob_peer_send(w.peers[k], now, &out, NULL) == TAKO_OK);
            must(out.len < TAKO_FRAME_BYTES_MAX);
        }
    tako_buf_fini(&out);
}

static void expand(tako_slice body, tako_buf *out)
{
    tako_buf_reset(out);
    for (size_t i = 0; i < body.len; i++)
        if (body.ptr[i] == 0xf0 || body.ptr[i] == 0xf1)
            tako_put_bytes(out, tako_slice_of(w.ids[body.ptr[i] & 1], 32));
        else
            tako_put_u8(out, body.ptr[i]);
}

static void message(tako_reader *in, uint64_t now, tako_buf *scratch)
{
    uint8_t head = tako_read_u8(in);
    size_t len = (size_t)tako_read_u8(in) << 8;
    sync_blob_peer **p = &w.peers[head & 1];
    tako_reader body;

    len |= tako_read_u8(in);
    if (len > tako_reader_left(in))
        len = tako_reader_left(in);
    expand(tako_read_bytes(in, len), scratch);
    body = tako_reader_of(tako_buf_slice(scratch));
    if (*p == NULL)
        return;
    if (sync_blob_peer_recv(*p, now,
                            (uint8_t)(SYNC_MSG_BLOB_ASK + (head >> 1) % 6u),
                            &body, NULL) == TAKO_OK)
        return;
    sync_blob_peer_free(*p);
    *p = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_reader in = tako_reader_of(tako_slice_of(data, size));
    tako_buf scratch;
    blob_view v;
    tako_slice got;
    uint64_t now = 1000;

    if (w.st == NULL || ++w.inputs % INPUTS_PER_STORE == 0)
        store_renew();
    scratch = tako_buf_on(&w.env);
    must(sync_blobs_new(&w.env, &host, w.reader, &w.b) == TAKO_OK);
    for (int k = 0; k < 2; k++) {
        must(sync_blob_peer_new(w.b, &w.peers[k]) == TAKO_OK);
        sync_blob_peer_ready(w.peers[k], now);
    }
    (void)sync_blobs_fetch(w.b, now, w.ids[1], LEN, NULL);
    while (tako_reader_left(&in) > 3) {
        message(&in, now, &scratch);
        drain(now);
        now += 300;
        if (sync_blobs_deadline(w.b) <= now)
            sync_blobs_tick(w.b, now);
        drain(now);
    }
    for (int k = 0; k < 2; k++)
        sync_blob_peer_free(w.peers[k]);
    sync_blobs_free(w.b);
    if (blob_view_open(w.reader, w.ids[1], &v, NULL) == TAKO_OK &&
        v.facts.whole) {
        must(blob_view_read(&v, w.reader, 0, &got, NULL) == TAKO_OK);
        must(got.len > 0 && got.ptr[0] == 'b');
    }
    blob_view_close(&v);
    tako_buf_fini(&scratch);
    return 0;
}
