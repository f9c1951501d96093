// SPDX-License-Identifier: Apache-2.0
/* CATCHUP -- how a subscription gets from "who knows" to "in sync".
 *
 *   subscriber                              server
 *   INTEREST number, text, count, sum  ->
 *                                      <-   CAUGHT_UP            equal, or
 *                                      <-   STATES* CAUGHT_UP    we had nothing
 *                                      <-   BUCKETS sums         otherwise
 *   LIST* items of differing buckets   ->
 *                                      <-   STATES* CAUGHT_UP
 *   SERVED number                      ->
 *
 * The sets compared are the live documents that match in the state stored at
 * each side. What the server then sends: matching documents that the list
 * lacks or has in another version, and documents of the list that are dead or
 * match no more at the server. A document that only the subscriber has is no
 * matter of this question; the server has its own.
 *
 * Walks go over a collection by row number, SYNC_SCAN_ROWS at a time, each
 * piece in a snapshot of its own, so no snapshot is held while waiting. Rows
 * that change behind a walk are in the dirty set, because on_commit tells of
 * every commit after the walk's begin; so when a want is served, the peer has,
 * or is about to be sent, everything up to now, and all of commit `lsn`.
 *
 * WHAT WAS EVICTED at one side is a marker there, with the version that it was
 * of. It is never sent. It is in a list wherever its bucket differs, so that
 * the server does not send that version again; and it counts in a digest
 * where the subscription matches a document without fields: exact for
 * subscriptions that ask for the whole collection, or by _id. Where fields
 * are asked for nobody knows any more whether it matched; then the digests
 * of such a subscription differ, and cost their lists, only as long as the
 * server has that very version and it matches there. What left by itself is in
 * no digest and no list: where a subscription matches it again it is to come.
 *
 * A first download copies stored bytes (actors by number) and decodes
 * nothing. */
#include "sync/state.h"

#include <stdlib.h>

/* ---- walks --------------------------------------------------------------- */

/* Looks at one row; false stops the walk before this row. */
typedef bool row_fn(sync_session *s, void *ctx, const store_row *row,
                    tako_err *err);

static tako_err coll_of(sync_session *s, tako_slice name, uint32_t *coll)
{
    tako_err err;

    if (*coll != 0)
        return TAKO_OK;
    err = store_coll_find(s->reader, name, coll);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err walk_rows(sync_session *s, uint32_t coll, sync_walk *w,
                          row_fn *fn, void *ctx, tako_errbuf *e)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = store_scan(s->reader, coll, w->after, &k);

    if (err != TAKO_OK)
        return tako_fail(e, err, "reading a collection failed");
    for (uint32_t n = 0; n < SYNC_SCAN_ROWS; n++) {
        err = store_scan_next(k, &row);
        if (err != TAKO_OK)
            break;
        if (!fn(s, ctx, &row, &err) || err != TAKO_OK)
            break;
        w->after = row.row;
    }
    store_scan_close(k);
    if (err == TAKO_NOTFOUND) {
        w->done = true;
        return TAKO_OK;
    }
    return err == TAKO_OK ? err : tako_fail(e, err, "reading a row failed");
}

/* One piece of a walk over the collection `name`, which may not exist. */
static tako_err walk(sync_session *s, tako_slice name, uint32_t *coll,
                     sync_walk *w, row_fn *fn, void *ctx, tako_errbuf *e)
{
    tako_err err;

    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    err = coll_of(s, name, coll);
    if (err == TAKO_OK && *coll == 0)
        w->done = true;
    else if (err == TAKO_OK)
        err = walk_rows(s, *coll, w, fn, ctx, e);
    store_snapshot_end(s->reader);
    return err;
}

static void walk_start(sync_walk *w)
{
    *w = (sync_walk){ INT64_MIN, false };
}

/* Is it of the set that the digests are about? */
static bool is_counted(sync_session *s, sync_predicate *p, const store_row *row)
{
    static const uint8_t nothing[1] = { 0xa0 };
    tako_slice body = row->body;

    if (store_row_is_marker(row) && !store_row_is_left(row))
        body = tako_slice_of(nothing, sizeof nothing);
    return body.len > 0 &&
           s->host->predicate_match(s->host->ctx, p, row->id, body);
}

typedef struct digest_walk {
    sync_predicate *predicate;
    sync_digest *digest;
} digest_walk;

static bool digest_row(sync_session *s, void *ctx, const store_row *row,
                       tako_err *err)
{
    digest_walk *d = ctx;

    (void)err;
    d->digest->rows++;
    d->digest->markers += store_row_is_marker(row) && !store_row_is_left(row);
    if (is_counted(s, d->predicate, row))
        sync_digest_add(d->digest,
                        sync_item_of(s->digest_key, row->id, row->version));
    return true;
}

/* ---- serving -------------------------------------------------------------- */

void sync_want_rest(sync_session *s, sync_want *w)
{
    tako_env_free(s->env, w->digest, sizeof *w->digest);
    tako_env_free(s->env, w->differs, SYNC_BUCKETS_MAX / 8u);
    tako_env_free(s->env, w->items, w->item_cap * sizeof *w->items);
    w->digest = NULL;
    w->differs = NULL;
    w->items = NULL;
    w->item_count = w->item_cap = 0;
}

/* Asks for the list of what differs. */
static void put_buckets(sync_want *w, tako_buf *out)
{
    uint64_t *sums = w->digest->buckets;
    uint64_t most =
        w->digest->count > w->their_count ? w->digest->count : w->their_count;

    w->bits = sync_digest_bits(most);
    sync_digest_fold(w->digest, w->bits, sums);
    tako_put_u8(out, SYNC_MSG_BUCKETS);
    tako_put_varint(out, w->number);
    tako_put_u8(out, (uint8_t)w->bits);
    for (uint32_t i = 0; i < 1u << w->bits; i++)
        tako_put_u64(out, sums[i]);
}

static void digest_decide(sync_session *s, sync_want *w, tako_buf *out)
{
    const sync_digest *d = w->digest;

    if (d->rows == 0 ||
        (d->count == w->their_count && d->sum == w->their_sum)) {
        w->state = WANT_CLOSE;
    } else if (w->their_count == 0) {
        w->state = WANT_STREAM;
        walk_start(&w->walk);
    } else {
        put_buckets(w, out);
        w->state = WANT_LISTS;
    }
    sync_want_rest(s, w);
}

static tako_err serve_digest(sync_session *s, sync_want *w, tako_buf *out,
                             tako_errbuf *e)
{
    digest_walk d;

    if (w->digest == NULL) {
        w->digest = tako_env_alloc(s->env, sizeof *w->digest);
        if (w->digest == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        w->lsn = s->heard;
        walk_start(&w->walk);
    }
    d = (digest_walk){ w->predicate, w->digest };
    TAKO_TRY(walk(s, w->collection, &w->coll, &w->walk, digest_row, &d, e));
    if (w->walk.done)
        digest_decide(s, w, out);
    return TAKO_OK;
}

typedef struct send_walk {
    sync_want *want;
    sync_writer writer;
    uint32_t documents;
} send_walk;

static int item_cmp(const void *a, const void *b)
{
    const sync_item *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

/* Does the peer have to be told of this row? */
static bool is_wanted(sync_session *s, sync_want *w, const store_row *row)
{
    const sync_item *had = NULL;
    sync_item item;
    uint32_t bucket;

    if (store_row_is_marker(row))
        return false;
    if (w->state == WANT_DIFF) {
        item = sync_item_of(s->digest_key, row->id, row->version);
        bucket = sync_bucket(item.key, w->bits);
        if ((w->differs[bucket / 8u] & 1u << bucket % 8u) == 0)
            return false;
        if (w->item_count > 0)
            had =
                bsearch(&item, w->items, w->item_count, sizeof item, item_cmp);
        if (had != NULL)
            return had->item != item.item;
    }
    return row->body.len > 0 &&
           s->host->predicate_match(s->host->ctx, w->predicate, row->id,
                                    row->body);
}

static bool send_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    send_walk *d = ctx;
    sync_doc_name name;

    if (d->documents >= TAKO_SYNC_CHUNK_DOCS_MAX ||
        d->writer.out->len >= TAKO_SYNC_CHUNK_BYTES_MAX)
        return false;
    if (!is_wanted(s, d->want, row))
        return true;
    name = (sync_doc_name){ d->want->coll, d->want->collection, row->row,
                            row->id };
    *err = sync_put_state(&d->writer, &name, false, row->meta, row->body);
    d->documents++;
    return *err == TAKO_OK;
}

static tako_err serve_send(sync_session *s, sync_want *w, tako_buf *out,
                           tako_errbuf *e)
{
    sync_names *names = &s->names_out[SYNC_CATCHUP];
    send_walk d = { w, { names, out, &s->scratch, 0 }, 0 };
    uint64_t lsn;
    tako_err err;

    TAKO_TRY(sync_mark(s, e));
    names->stamp++;
    tako_put_u8(out, SYNC_MSG_STATES);
    tako_put_varint(out, w->number);
    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, e));
    store_note_sent(s->reader, lsn);
    err = walk(s, w->collection, &w->coll, &w->walk, send_row, &d, e);
    store_snapshot_end(s->reader);
    if (err != TAKO_OK)
        return err;
    if (d.documents == 0)
        tako_buf_reset(out);
    s->counts.documents_out += d.documents;
    if (w->walk.done) {
        sync_want_rest(s, w);
        w->state = WANT_CLOSE;
    }
    return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

static tako_err serve_want(sync_session *s, sync_want *w, tako_buf *out,
                           tako_errbuf *e)
{
    switch (w->state) {
    case WANT_DIGEST:
        return serve_digest(s, w, out, e);
    case WANT_STREAM:
    case WANT_DIFF:
        return serve_send(s, w, out, e);
    case WANT_CLOSE:
        tako_put_u8(out, SYNC_MSG_CAUGHT_UP);
        tako_put_varint(out, w->number);
        tako_put_varint(out, w->lsn);
        w->state = WANT_SENT;
        return TAKO_OK;
    case WANT_LISTS:
    case WANT_SENT:
    case WANT_LIVE:
    case WANT_AGAIN:
        break;
    }
    return TAKO_OK;
}

static bool want_due(const sync_session *s, const sync_want *w)
{
    if (w->state == WANT_STREAM || w->state == WANT_DIFF)
        return s->cleared;
    return w->state == WANT_DIGEST || w->state == WANT_CLOSE;
}

tako_err sync_serve_step(sync_session *s, tako_buf *out, tako_errbuf *e)
{
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[(s->want_turn + i) % s->want_count];

        if (!want_due(s, w))
            continue;
        s->want_turn = (size_t)(w - s->wants);
        TAKO_TRY(serve_want(s, w, out, e));
        /* A small answer at once, without another turn of the loop. */
        if (out->len == 0 && w->state == WANT_CLOSE)
            TAKO_TRY(serve_want(s, w, out, e));
        return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                           : TAKO_OK;
    }
    return TAKO_OK;
}

tako_err sync_on_list(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint8_t flags = tako_read_u8(in);
    size_t count;

    if (in->failed || flags > 3u)
        return tako_fail(e, TAKO_CORRUPT, "malformed LIST");
    if (w == NULL || w->state == WANT_AGAIN)
        return TAKO_OK; /* dropped meanwhile */
    if (w->state != WANT_LISTS || (w->differs == NULL) != ((flags & 1u) != 0))
        return tako_fail(e, TAKO_CORRUPT, "a LIST that nobody asked for");
    if (w->differs == NULL) {
        size_t bytes = ((1u << w->bits) + 7u) / 8u;
        tako_slice map = tako_read_bytes(in, bytes);

        w->differs = tako_env_alloc(s->env, SYNC_BUCKETS_MAX / 8u);
        if (w->differs == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        if (map.len > 0)
            memcpy(w->differs, map.ptr, map.len);
    }
    count = tako_reader_left(in) / 16u;
    if (in->failed || tako_reader_left(in) % 16u != 0)
        return tako_fail(e, TAKO_CORRUPT, "malformed LIST");
    if (count > TAKO_SYNC_LIST_ITEMS_MAX - w->item_count)
        return tako_fail(e, TAKO_LIMIT, "a LIST of more than %u documents",
                         TAKO_SYNC_LIST_ITEMS_MAX);
    for (; count > 0; count--) {
        void *items = w->items;

        if (!sync_grow(s->env, &items, &w->item_cap, w->item_count,
                       sizeof *w->items))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        w->items = items;
        w->items[w->item_count].key = tako_read_u64(in);
        w->items[w->item_count++].item = tako_read_u64(in);
    }
    if ((flags & 2u) == 0)
        return TAKO_OK;
    if (w->item_count > 0)
        qsort(w->items, w->item_count, sizeof *w->items, item_cmp);
    w->state = WANT_DIFF;
    walk_start(&w->walk);
    return TAKO_OK;
}

/* ---- asking ----------------------------------------------------------------- */

void sync_sub_rest(sync_session *s, sync_sub *sub)
{
    tako_env_free(s->env, sub->digest, sizeof *sub->digest);
    sub->digest = NULL;
}

static tako_err ask_digest(sync_session *s, sync_sub *sub, uint64_t now_ms,
                           tako_buf *out, tako_errbuf *e)
{
    digest_walk d;
    bool bare;

    if (sub->digest == NULL) {
        sub->digest = tako_env_alloc(s->env, sizeof *sub->digest);
        if (sub->digest == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        walk_start(&sub->walk);
        sub->since_ms = now_ms;
    }
    d = (digest_walk){ sub->predicate, sub->digest };
    TAKO_TRY(
        walk(s, sub->collection, &sub->coll, &sub->walk, digest_row, &d, e));
    if (!sub->walk.done)
        return TAKO_OK;
    tako_put_u8(out, SYNC_MSG_INTEREST);
    tako_put_varint(out, sub->number);
    tako_put_varint(out, sub->replaces);
    tako_put_block(out, tako_slice_of(sub->text, sub->text_len));
    /* Who has only markers does not want all: one document, of hash 0. */
    bare = sub->digest->count == 0 && sub->digest->markers > 0;
    tako_put_varint(out, bare ? 1u : sub->digest->count);
    tako_put_u64(out, sub->digest->sum);
    sub->empty = sub->digest->rows == 0;
    sub->state = SUB_ASKED;
    if (sub->digest->count == 0 && !bare)
        sync_sub_rest(s, sub);
    return TAKO_OK;
}

typedef struct list_walk {
    sync_sub *sub;
    tako_buf *out;
} list_walk;

static bool list_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    list_walk *d = ctx;
    sync_item item;
    uint32_t bucket;

    (void)err;
    if (d->out->len >= SYNC_LIST_BYTES)
        return false;
    if (row->body.len == 0 &&
        (!store_row_is_marker(row) || store_row_is_left(row)))
        return true;
    item = sync_item_of(s->digest_key, row->id, row->version);
    bucket = sync_bucket(item.key, d->sub->bits);
    if ((d->sub->differs[bucket / 8u] & 1u << bucket % 8u) == 0 ||
        (row->body.len > 0 &&
         !s->host->predicate_match(s->host->ctx, d->sub->predicate, row->id,
                                   row->body)))
        return true;
    tako_put_u64(d->out, item.key);
    tako_put_u64(d->out, item.item);
    return true;
}

static tako_err ask_list(sync_session *s, sync_sub *sub, tako_buf *out,
                         tako_errbuf *e)
{
    list_walk d = { sub, out };
    bool first = sub->walk.after == INT64_MIN;
    size_t flags_at, empty;

    tako_put_u8(out, SYNC_MSG_LIST);
    tako_put_varint(out, sub->number);
    flags_at = out->len;
    tako_put_u8(out, first ? 1u : 0);
    if (first)
        tako_put_bytes(
            out, tako_slice_of(sub->differs, ((1u << sub->bits) + 7u) / 8u));
    empty = first ? 0 : out->len;
    TAKO_TRY(walk(s, sub->collection, &sub->coll, &sub->walk, list_row, &d, e));
    if (out->failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (sub->walk.done) {
        out->ptr[flags_at] |= 2u;
        sub->state = SUB_ASKED;
    } else if (out->len == empty) {
        tako_buf_reset(out);
    }
    return TAKO_OK;
}

tako_err sync_ask_step(sync_session *s, uint64_t now_ms, sync_lane *lane,
                       tako_buf *out, tako_errbuf *e)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];
        tako_err err;

        if (sub->state != SUB_DIGEST && sub->state != SUB_LISTING)
            continue;
        *lane = sub->state == SUB_DIGEST ? SYNC_CONTROL : SYNC_CATCHUP;
        err = sub->state == SUB_DIGEST ? ask_digest(s, sub, now_ms, out, e)
                                       : ask_list(s, sub, out, e);
        if (err == TAKO_OK && out->failed)
            err = tako_fail(e, TAKO_NOMEM, "out of memory");
        return err;
    }
    return TAKO_OK;
}

bool sync_walks_due(const sync_session *s)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (want_due(s, &s->wants[i]))
            return true;
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].state == SUB_DIGEST || s->subs[i].state == SUB_LISTING)
            return true;
    return false;
}

tako_err sync_on_buckets(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    uint8_t bits = tako_read_u8(in);
    uint64_t *sums;

    if (in->failed || bits > TAKO_SYNC_BUCKETS_BITS_MAX ||
        tako_reader_left(in) != (size_t)8u << bits)
        return tako_fail(e, TAKO_CORRUPT, "malformed BUCKETS");
    if (sub == NULL)
        return TAKO_OK; /* dropped, or asked anew, meanwhile */
    if (sub->state != SUB_ASKED || sub->digest == NULL)
        return tako_fail(e, TAKO_CORRUPT, "BUCKETS that nobody asked for");
    sums = sub->digest->buckets;
    sync_digest_fold(sub->digest, bits, sums);
    memset(sub->differs, 0, sizeof sub->differs);
    for (uint32_t i = 0; i < 1u << bits; i++)
        if (tako_read_u64(in) != sums[i])
            sub->differs[i / 8u] |= (uint8_t)(1u << (i % 8u));
    sync_sub_rest(s, sub);
    sub->bits = bits;
    sub->state = SUB_LISTING;
    walk_start(&sub->walk);
    return TAKO_OK;
}
