// SPDX-License-Identifier: Apache-2.0
/* BLOB KEEP -- what came goes into the store, at once, so that a cut costs no
 * more than what was under way. The writer is only tried: content can wait
 * for a transaction of the program, and then nothing more is wanted. */
#include "sync/blob_state.h"

tako_err blob_recall(blob_seek *k, tako_errbuf *e)
{
    tako_buf bits = tako_buf_on(k->b->env);
    blob_facts f;
    tako_slice bytes;
    tako_err err = store_blob_find(k->b->reader, k->id, &f, e);

    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    if (err != TAKO_OK)
        return err;
    if (f.form.len != k->form.len)
        return f.have == 0 ? TAKO_OK
                           : tako_fail(e, TAKO_INVALID,
                                       "the attachment has %llu bytes, and its "
                                       "token says %llu",
                                       (unsigned long long)f.form.len,
                                       (unsigned long long)k->form.len);
    if (f.whole)
        return tako_fail(e, TAKO_EXISTS, "it is here already");
    err = store_blob_bits(k->b->reader, &f, &bits, e);
    if (err == TAKO_OK) {
        memcpy(k->have, bits.ptr, bits.len);
        k->have_count = k->kept_count = f.have;
        k->expected = true;
        if (blob_bit(k->have, 0) && !blob_seek_inner(k, 0, &bytes))
            err = tako_fail(e, TAKO_CORRUPT, "its root is damaged here");
    }
    tako_buf_fini(&bits);
    return err;
}

static tako_err keep_one(blob_seek *k, store *s, tako_errbuf *e)
{
    blob_piece pieces[BLOB_PENDING_MAX];
    const blob_bytes *b = k->pending.first;
    bool whole;

    TAKO_TRY(store_blob_expect(s, k->id, k->form.len, e));
    while (b != NULL) {
        size_t n = 0;

        for (; b != NULL && n < BLOB_PENDING_MAX; b = b->next)
            pieces[n++] =
                (blob_piece){ b->part, tako_slice_of(b->bytes, b->len) };
        TAKO_TRY(store_blob_take(s, k->id, pieces, n, &whole, e));
    }
    return TAKO_OK;
}

static tako_err keep_all(sync_blobs *b, store *s, tako_errbuf *e)
{
    tako_err err;

    TAKO_TRY(store_begin(s, e));
    for (blob_seek *k = b->seeks; k != NULL; k = k->next) {
        if (k->pending.count == 0)
            continue;
        err = keep_one(k, s, e);
        if (err == TAKO_OK)
            continue;
        store_rollback(s);
        return err;
    }
    return store_commit(s, NULL, e);
}

/* Everything is fetched again that was lost, after a while. */
static void lose_all(sync_blobs *b, uint64_t now_ms)
{
    for (blob_seek *k = b->seeks; k != NULL; k = k->next) {
        if (k->pending.count == 0)
            continue;
        blob_seek_forget(k, &k->pending);
        blob_list_clear(b->env, &k->pending);
        if (now_ms >= k->hold_ms) /* else: what was still under way */
            b->host->event(b->host->ctx, SYNC_BLOB_NOT_KEPT, k->id);
        k->hold_ms = now_ms + BLOB_WRITE_FAIL_MS;
    }
}

/* The store has what it has: a content may have been put in here meanwhile, or
 * been collected. */
static void settle(blob_seek *k)
{
    blob_facts f;

    k->kept_count += (uint32_t)k->pending.count;
    blob_list_clear(k->b->env, &k->pending);
    k->expected = true;
    if (store_blob_find(k->b->reader, k->id, &f, NULL) != TAKO_OK ||
        f.have == k->kept_count)
        return;
    if (f.whole) {
        k->kept_count = k->have_count = k->form.parts;
        return;
    }
    memset(k->have, 0, blob_bits_len(k->form.parts));
    k->have_count = k->kept_count = 0;
    k->cursor = 0;
    (void)blob_recall(k, NULL);
}

void blob_keep(sync_blobs *b, uint64_t now_ms)
{
    bool any = false;
    store *s;
    tako_err err;

    for (const blob_seek *k = b->seeks; k != NULL && !any; k = k->next)
        any = k->pending.count > 0;
    b->write_ms = UINT64_MAX;
    if (!any)
        return;
    s = b->host->write_try(b->host->ctx);
    if (s == NULL) {
        b->write_ms = now_ms + BLOB_WRITE_RETRY_MS;
        return;
    }
    err = keep_all(b, s, NULL);
    b->host->write_end(b->host->ctx);
    if (err != TAKO_OK) {
        lose_all(b, now_ms);
        return;
    }
    for (blob_seek *k = b->seeks; k != NULL; k = k->next)
        if (k->pending.count > 0)
            settle(k);
}
