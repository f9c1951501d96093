// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_BLOB -- contents of a fixed sequence, for the store's and sync's
 * tests of attachments. */
#ifndef TAKO_TESTS_STORE_SUPPORT_BLOB_H
#define TAKO_TESTS_STORE_SUPPORT_BLOB_H

#include "support/test_env.h"

#include "store/blob.h"

/* Byte i of the content number n. */
static inline uint8_t content_byte(uint64_t n, uint64_t i)
{
    uint64_t v = (i / 7 + n * 977) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint8_t)(v >> (i % 7 * 8));
}

/* Puts content n of this length in, `step` bytes at a time, all in one
 * transaction. */
static inline tako_err content_put(store *s, uint64_t n, uint64_t len,
                                   size_t step, uint8_t id[BLOB_ID_BYTES],
                                   tako_errbuf *e)
{
    uint8_t bytes[4096];
    blob_put *p = NULL;
    uint64_t done = 0, got;
    tako_err err = store_begin(s, e);

    if (err != TAKO_OK)
        return err;
    err = store_blob_put_begin(s, &p, e);
    while (err == TAKO_OK && done < len) {
        size_t some = step < sizeof bytes ? step : sizeof bytes;

        some = some < len - done ? some : (size_t)(len - done);
        for (size_t i = 0; i < some; i++)
            bytes[i] = content_byte(n, done + i);
        err = store_blob_put_data(p, tako_slice_of(bytes, some), e);
        done += some;
    }
    if (err == TAKO_OK)
        err = store_blob_put_end(p, id, &got, e);
    store_blob_put_free(p);
    if (err == TAKO_OK)
        return store_commit(s, NULL, e);
    store_rollback(s);
    return err;
}

/* Is the content here, whole and right? */
static inline bool content_is(store_conn *c, const uint8_t id[BLOB_ID_BYTES],
                              uint64_t n, uint64_t len)
{
    blob_view v;
    tako_slice s;
    uint64_t at = 0;
    bool ok = blob_view_open(c, id, &v, NULL) == TAKO_OK &&
              v.facts.form.len == len && v.facts.whole;

    while (ok && at < len) {
        ok = blob_view_read(&v, c, at, &s, NULL) == TAKO_OK && s.len > 0;
        for (size_t i = 0; ok && i < s.len; i++)
            ok = s.ptr[i] == content_byte(n, at + i);
        at += ok ? s.len : 0;
    }
    blob_view_close(&v);
    return ok;
}

#endif /* TAKO_TESTS_STORE_SUPPORT_BLOB_H */
