// SPDX-License-Identifier: Apache-2.0
/* CHECK -- is everything still what was written? And one hash for all of it.
 *
 * The hash of a collection is the same on every replica with the same states,
 * whatever the order of rows and the numbers of collections: each live
 * document gives BLAKE2b-256 of (name of the collection and _id, each with
 * its length as a varint before it, version); these are added as 256-bit
 * numbers (Bellare and Micciancio 1997, AdHash), and the sum is hashed with the
 * number of documents. */
#include "store/blob.h"
#include "store/internal.h"

#include <stdio.h>

#include "base/hash.h"
#include "codec/json.h"

#define CHECK_ID_TEXT_BYTES 120 /* of an _id, in a finding */

typedef struct checker {
    store_conn *conn;
    void (*report)(void *ctx, const char *text);
    void *ctx;
    uint64_t findings;
    tako_arena arena;
    tako_buf text;
} checker;

static void found(checker *k, const char *text)
{
    k->findings++;
    if (k->report != NULL)
        k->report(k->ctx, text);
}

static void found_doc(checker *k, uint32_t coll, const store_row *row,
                      const char *what)
{
    tako_slice name = store_coll_name(k->conn, coll);
    tako_buf *b = &k->text;
    size_t start;

    tako_buf_reset(b);
    tako_put_str(b, "collection ");
    tako_put_bytes(b, name);
    tako_put_fmt(b, ", row %lld, _id ", (long long)row->row);
    start = b->len;
    if (row->id.len > 0 &&
        cbor_check(row->id, TAKO_VALUE_DEPTH_MAX, NULL) == TAKO_OK)
        (void)json_from_cbor(row->id, b);
    if (!b->failed && b->len - start > CHECK_ID_TEXT_BYTES)
        b->len = start + CHECK_ID_TEXT_BYTES;
    tako_put_str(b, ": ");
    tako_put_str(b, what);
    found(k, tako_buf_cstr(b));
}

/* SQLite's own check: pages, b-trees, indexes against tables. */
static tako_err check_pages(checker *k, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(k->conn, "PRAGMA integrity_check(100)", e);
    int rc;

    if (stmt == NULL)
        return conn_fail(k->conn, sqlite3_extended_errcode(k->conn->db),
                         "checking", e);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        if (text != NULL && strcmp(text, "ok") != 0)
            found(k, text);
    }
    store_done(k->conn, stmt);
    if ((rc & 0xff) == SQLITE_CORRUPT) {
        found(k, "the file is too damaged to be checked to its end");
        return TAKO_OK;
    }
    return rc == SQLITE_DONE ? TAKO_OK : conn_fail(k->conn, rc, "checking", e);
}

/* What its version was of is gone. */
static tako_err check_marker(checker *k, uint32_t coll, const store_row *row)
{
    crdt_doc *doc = NULL;
    tako_err err;

    tako_arena_reset(&k->arena);
    err = crdt_marker_read(&k->arena, row->meta, &doc, NULL);
    if (err == TAKO_CORRUPT)
        found_doc(k, coll, row, "the marker of its eviction is malformed");
    return err == TAKO_CORRUPT ? TAKO_OK : err;
}

static tako_err check_notice(checker *k, uint32_t coll, const store_row *row)
{
    crdt_dot *births;
    size_t count;
    tako_err err;

    tako_arena_reset(&k->arena);
    err = crdt_notice_read(&k->arena, row->meta, &births, &count);
    if (err == TAKO_CORRUPT)
        found_doc(k, coll, row, "the notice of its death is malformed");
    return err == TAKO_CORRUPT ? TAKO_OK : err;
}

static tako_err check_row(checker *k, uint32_t coll, const store_row *row)
{
    uint8_t version[16];
    tako_errbuf why = { "" };
    crdt_doc *doc = NULL;
    doc_key key;
    tako_err err;

    if (doc_key_of(row->id, &key, &why) != TAKO_OK)
        found_doc(k, coll, row, "the _id is malformed");
    if (store_row_is_marker(row))
        return check_marker(k, coll, row);
    if (store_row_is_notice(row))
        return check_notice(k, coll, row);
    crdt_version(row->meta, row->body, version);
    if (memcmp(version, row->version, sizeof version) != 0) {
        found_doc(k, coll, row, "the version does not match the content");
        return TAKO_OK;
    }
    tako_arena_reset(&k->arena);
    err = crdt_doc_decode(&k->arena, row->meta, row->body, &doc, &why);
    if (err == TAKO_NOMEM)
        return err;
    if (err != TAKO_OK)
        found_doc(k, coll, row, "the state is malformed");
    else if (crdt_doc_alive(doc) != (row->body.len > 0))
        found_doc(k, coll, row, "body and generation disagree");
    return TAKO_OK;
}

static tako_err check_coll(checker *k, uint32_t coll)
{
    store_cursor *cursor = NULL;
    store_row row;
    tako_err err = store_scan(k->conn, coll, INT64_MIN, &cursor);

    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    TAKO_TRY(err);
    for (;;) {
        memset(&row, 0, sizeof row);
        err = store_scan_next(cursor, &row);
        if (err == TAKO_CORRUPT && row.row != 0 && row.id.len == 0) {
            found_doc(k, coll, &row, "the row is malformed");
            continue;
        }
        if (err != TAKO_OK)
            break;
        err = check_row(k, coll, &row);
        if (err != TAKO_OK)
            break;
    }
    store_scan_close(cursor);
    if (err == TAKO_CORRUPT) {
        found(k, "a collection cannot be read to its end");
        return TAKO_OK;
    }
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err check_feed(checker *k)
{
    uint64_t lsn = 0;
    store_touch *touched;
    size_t count;
    tako_err err;
    int64_t floor = 0;

    TAKO_TRY(conn_int(k->conn, "SELECT floor FROM state", &floor, NULL));
    lsn = (uint64_t)floor;
    do {
        tako_arena_reset(&k->arena);
        err = store_feed_next(k->conn, lsn, &k->arena, &lsn, &touched, &count);
    } while (err == TAKO_OK);
    if (err == TAKO_CORRUPT) {
        found(k, "the feed is damaged");
        return TAKO_OK;
    }
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static void found_blob(void *ctx, const char *text)
{
    found(ctx, text);
}

static tako_err check_all(checker *k, tako_errbuf *e)
{
    uint32_t max;
    tako_err err;

    TAKO_TRY(check_pages(k, e));
    max = store_coll_max(k->conn);
    for (uint32_t coll = 1; coll <= max; coll++) {
        err = check_coll(k, coll);
        if (err != TAKO_OK)
            return tako_fail(e, err, "checking collection %u failed", coll);
    }
    err = check_feed(k);
    if (err == TAKO_OK)
        err = store_blob_check(k->conn, found_blob, k, e);
    return err == TAKO_OK ? err : tako_fail(e, err, "checking the feed failed");
}

tako_err store_check(store_conn *c, void (*report)(void *ctx, const char *text),
                     void *ctx, uint64_t *findings, tako_errbuf *e)
{
    checker k = { .conn = c, .report = report, .ctx = ctx };
    tako_err err;

    TAKO_ARG(c != NULL && findings != NULL);
    k.arena = tako_arena_on(c->env);
    k.text = tako_buf_on(c->env);
    err = store_snapshot_begin(c, NULL, e);
    if (err == TAKO_OK) {
        err = check_all(&k, e);
        store_snapshot_end(c);
    }
    *findings = k.findings;
    tako_arena_fini(&k.arena);
    tako_buf_fini(&k.text);
    return err;
}

/* ---- the hash ------------------------------------------------------------ */

typedef struct hash_sum {
    uint64_t limb[4]; /* least first */
    uint64_t documents;
    tako_buf item;
} hash_sum;

static void sum_add(hash_sum *h, const uint8_t in[32])
{
    uint64_t carry = 0;

    for (size_t i = 0; i < 4; i++) {
        tako_reader r = tako_reader_of(tako_slice_of(in + 24 - 8 * i, 8));
        uint64_t add = tako_read_u64(&r);
        uint64_t sum = h->limb[i] + add;
        uint64_t over = sum < add;

        sum += carry;
        carry = over | (sum < carry);
        h->limb[i] = sum;
    }
}

static tako_err hash_coll(store_conn *c, uint32_t coll, hash_sum *h)
{
    tako_slice name = store_coll_name(c, coll);
    store_cursor *cursor = NULL;
    store_row row;
    uint8_t one[32];
    tako_err err;

    TAKO_TRY(store_scan(c, coll, INT64_MIN, &cursor));
    while ((err = store_scan_next(cursor, &row)) == TAKO_OK) {
        if (row.body.len == 0)
            continue;
        tako_buf_reset(&h->item);
        tako_put_block(&h->item, name);
        tako_put_block(&h->item, row.id);
        tako_put_bytes(&h->item, tako_slice_of(row.version, 16));
        if (h->item.failed) {
            err = TAKO_NOMEM;
            break;
        }
        tako_hash32(tako_buf_slice(&h->item), one);
        sum_add(h, one);
        h->documents++;
    }
    store_scan_close(cursor);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err hash_finish(hash_sum *h, uint8_t out[32])
{
    tako_buf_reset(&h->item);
    for (size_t i = 4; i > 0; i--)
        tako_put_u64(&h->item, h->limb[i - 1]);
    tako_put_u64(&h->item, h->documents);
    if (h->item.failed)
        return TAKO_NOMEM;
    tako_hash32(tako_buf_slice(&h->item), out);
    return TAKO_OK;
}

tako_err store_hash(store_conn *c, uint32_t coll, uint8_t out[32],
                    uint64_t *documents, tako_errbuf *e)
{
    hash_sum h = { { 0 }, 0, { 0 } };
    tako_err err;

    TAKO_ARG(c != NULL && out != NULL);
    h.item = tako_buf_on(c->env);
    TAKO_TRY(store_snapshot_begin(c, NULL, e));
    if (coll != 0) {
        err = hash_coll(c, coll, &h);
    } else {
        uint32_t max = store_coll_max(c);

        err = TAKO_OK;
        for (uint32_t i = 1; i <= max && err == TAKO_OK; i++) {
            err = hash_coll(c, i, &h);
            if (err == TAKO_NOTFOUND)
                err = TAKO_OK; /* a number that is not in use */
        }
    }
    store_snapshot_end(c);
    if (err == TAKO_OK)
        err = hash_finish(&h, out);
    if (err == TAKO_OK && documents != NULL)
        *documents = h.documents;
    tako_buf_fini(&h.item);
    return err == TAKO_OK ? err : tako_fail(e, err, "hashing failed");
}
