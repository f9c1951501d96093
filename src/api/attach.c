// SPDX-License-Identifier: Apache-2.0
/* ATTACH -- putting contents in, and seeing to what is there.
 *
 * A content is written in transactions of its own, of ATTACH_BATCH_BYTES each;
 * between them the source is read without the writer, so a slow source holds
 * nobody up. A crash leaves rows without an id, which are collected. */
#include "api/api.h"

#include <stdio.h>

#include "codec/json.h"
#include "obs/object.h"
#include "store/blob.h"

#define ATTACH_BATCH_BYTES   (256u << 10)
#define ATTACH_COLLECT_PARTS 64u   /* removed after one commit */
#define ATTACH_COLLECT_ALL   1024u /* and in one transaction of many */

typedef struct attach {
    tako_db *db;
    tako_source_fn *source;
    void *ctx;
    blob_put *put;
    uint8_t *buf;
    tako_errbuf *e;
} attach;

/* ---- putting in ------------------------------------------------------------- */

/* Fills the buffer as far as the source goes. */
static tako_err source_read(const attach *a, size_t *len)
{
    *len = 0;
    while (*len < ATTACH_BATCH_BYTES) {
        size_t room = ATTACH_BATCH_BYTES - *len;
        long n = a->source(a->ctx, a->buf + *len, room);

        if (n < 0 || (size_t)n > room)
            return tako_fail(a->e, TAKO_CANCELED,
                             "the attachment's source failed");
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return TAKO_OK;
}

/* One transaction; with the last bytes also the end. */
static tako_err batch_write(attach *a, size_t len, blob_token *token)
{
    uint64_t lsn = 0;
    tako_err err;

    TAKO_TRY(api_write_begin(a->db, a->e));
    err = a->put != NULL ? TAKO_OK
                         : store_blob_put_begin(a->db->store, &a->put, a->e);
    if (err == TAKO_OK)
        err = store_blob_put_data(a->put, tako_slice_of(a->buf, len), a->e);
    if (err == TAKO_OK && len < ATTACH_BATCH_BYTES)
        err = store_blob_put_end(a->put, token->id, &token->len, a->e);
    if (err == TAKO_OK)
        return api_write_commit(a->db, &lsn, a->e);
    api_write_rollback(a->db);
    return err;
}

static tako_err put_all(attach *a, blob_token *token)
{
    size_t len;

    do {
        TAKO_TRY(source_read(a, &len));
        TAKO_TRY(batch_write(a, len, token));
    } while (len == ATTACH_BATCH_BYTES);
    return TAKO_OK;
}

static tako_err opts_read(const tako_attach_opts *opts, blob_token *token,
                          tako_buf *meta, tako_errbuf *e)
{
    if (opts == NULL)
        return TAKO_OK;
    if (opts->size < sizeof *opts)
        return tako_fail(e, TAKO_MISUSE,
                         "options: size must be sizeof(tako_attach_opts)");
    if (opts->name != NULL)
        token->name = tako_slice_str(opts->name);
    if (opts->type != NULL)
        token->type = tako_slice_str(opts->type);
    if (opts->meta_json != NULL)
        TAKO_TRY(json_to_cbor(tako_slice_str(opts->meta_json),
                              TAKO_VALUE_DEPTH_MAX - 4u, meta, e));
    token->meta = tako_buf_slice(meta);
    return TAKO_OK;
}

/* What can be refused is refused before the content is read. */
static tako_err token_check(tako_db *db, const blob_token *token,
                            tako_errbuf *e)
{
    tako_buf b = tako_buf_on(&db->env);
    tako_err err = blob_token_put(token, &b, e);

    tako_buf_fini(&b);
    return err;
}

static tako_err token_out(tako_db *db, const blob_token *token, char **json,
                          tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(&db->env), out = tako_buf_on(&db->env);
    tako_err err = blob_token_put(token, &cbor, e);

    api_text_begin(&out);
    if (err == TAKO_OK)
        err = json_from_cbor(tako_buf_slice(&cbor), &out);
    if (err == TAKO_OK)
        err = api_text_end(&out, json);
    if (err != TAKO_OK)
        tako_buf_fini(&out);
    tako_buf_fini(&cbor);
    return err;
}

tako_err tako_attach(tako_db *db, tako_source_fn *source, void *ctx,
                     const tako_attach_opts *opts, char **token_json)
{
    tako_errbuf e = { "" };
    attach a = { db, source, ctx, NULL, NULL, &e };
    blob_token token = { .len = 0 };
    tako_buf meta;
    tako_err err;

    TAKO_ARG(db != NULL && source != NULL && token_json != NULL);
    meta = tako_buf_on(&db->env);
    err = opts_read(opts, &token, &meta, &e);
    if (err == TAKO_OK)
        err = token_check(db, &token, &e);
    if (err == TAKO_OK) {
        a.buf = tako_env_alloc(&db->env, ATTACH_BATCH_BYTES);
        err = a.buf != NULL ? put_all(&a, &token) : TAKO_NOMEM;
    }
    if (err == TAKO_OK)
        err = token_out(db, &token, token_json, &e);
    store_blob_put_free(a.put);
    tako_env_free(&db->env, a.buf, a.buf != NULL ? ATTACH_BATCH_BYTES : 0);
    tako_buf_fini(&meta);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

static long bytes_read(void *ctx, void *buf, size_t cap)
{
    tako_slice *left = ctx;
    size_t n = left->len < cap ? left->len : cap;

    if (n > 0)
        memcpy(buf, left->ptr, n);
    *left = tako_slice_of(left->ptr + n, left->len - n);
    return (long)n;
}

tako_err tako_attach_bytes(tako_db *db, const void *data, size_t len,
                           const tako_attach_opts *opts, char **token_json)
{
    tako_slice left = tako_slice_of(data, len);

    TAKO_ARG(data != NULL || len == 0);
    if (data == NULL)
        left = tako_slice_str("");
    return tako_attach(db, bytes_read, &left, opts, token_json);
}

/* ---- collecting, and what is there ----------------------------------------------- */

void api_attachments_collect(tako_db *db, bool all)
{
    uint64_t now = db->env.wall_ms(db->env.ctx);
    uint64_t grace =
        (uint64_t)api_setting(db, SETTING_ATTACHMENT_GRACE_S) * 1000u;
    blob_collected c = { 0, 0, false };
    tako_errbuf e = { "" };
    tako_err err;

    do {
        err = store_begin(db->store, &e);
        if (err == TAKO_OK)
            err = store_blob_collect(
                db->store, now, grace,
                all ? ATTACH_COLLECT_ALL : ATTACH_COLLECT_PARTS, &c, &e);
        if (err == TAKO_OK)
            err = store_commit(db->store, NULL, &e);
        else
            store_rollback(db->store);
        if (err == TAKO_OK && c.blobs > 0)
            tako_log(&db->env, TAKO_LOG_INFO, "attachments_collected",
                     "\"count\":%llu,\"bytes\":%llu",
                     (unsigned long long)c.blobs, (unsigned long long)c.bytes);
    } while (err == TAKO_OK && all && c.more);
    if (err != TAKO_OK)
        tako_log(&db->env, TAKO_LOG_WARN, "attachments_not_collected",
                 "\"error\":\"%s\"", tako_err_name(err));
}

bool api_attachments_fetched(void *ctx)
{
    return api_setting(ctx, SETTING_ATTACHMENT_FETCH) != 0;
}

static void put_one(const blob_facts *f, uint64_t refs, tako_buf *json)
{
    tako_put_u8(json, '{');
    obs_put_hex(json, "_id", tako_slice_of(f->id, sizeof f->id));
    obs_put_u64(json, "bytes", f->form.len);
    obs_put_str(json, "state", tako_slice_str(f->whole ? "whole" : "partial"));
    obs_put_u64(json, "stored_bytes", f->bytes);
    obs_put_u64(json, "parts", f->form.parts);
    obs_put_u64(json, "parts_here", f->have);
    obs_put_u64(json, "documents", refs);
    if (f->free_ms != 0)
        obs_put_u64(json, "unreferenced_since", f->free_ms);
    tako_put_u8(json, '}');
}

tako_err api_attachments_put(store_conn *c, tako_buf *json, tako_errbuf *e)
{
    blob_facts f;
    int64_t after = 0;
    uint64_t refs;
    tako_err err;

    while ((err = store_blob_next(c, after, &f, e)) == TAKO_OK) {
        after = f.number;
        TAKO_TRY(store_blob_refs(c, f.id, &refs, e));
        put_one(&f, refs, json);
    }
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}
