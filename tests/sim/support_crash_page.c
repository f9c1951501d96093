// SPDX-License-Identifier: Apache-2.0
/* What a database holds, as text, and whether it is sound. */
#include "sim/support_crash.h"

#include <stdlib.h>

#include "base/hash.h"
#include "codec/json.h"
#include "query/query.h"

#define TOUCHES_MAX 4096u

typedef struct page {
    tako_buf text;
    size_t lines[2048]; /* where each begins */
    size_t count;
} page;

static void page_line(page *p)
{
    assert_true(p->count < sizeof p->lines / sizeof p->lines[0]);
    p->lines[p->count++] = p->text.len;
}

static void put_document(page *p, tako_slice coll, const store_row *row)
{
    static const uint8_t zero[16];

    page_line(p);
    tako_put_bytes(&p->text, coll);
    tako_put_u8(&p->text, ' ');
    assert_int_equal(json_from_cbor(row->id, &p->text), TAKO_OK);
    tako_put_u8(&p->text, ' ');
    if (store_row_is_marker(row))
        tako_put_str(&p->text, "evicted");
    else if (row->body.len == 0)
        tako_put_str(&p->text, "deleted");
    else if (row->body.len > 200)
        tako_put_fmt(&p->text, "%zu bytes, hash %llx", row->body.len,
                     (unsigned long long)tako_hash64(zero, row->body));
    else
        assert_int_equal(json_from_cbor(row->body, &p->text), TAKO_OK);
    tako_put_u8(&p->text, 0);
}

static void put_collections(page *p, store_conn *c)
{
    for (uint32_t coll = 1; coll <= store_coll_max(c); coll++) {
        char name[80];
        tako_slice s = store_coll_name(c, coll);
        store_cursor *k;
        store_row row;
        tako_err err;

        if (s.len == 0)
            continue;
        assert_true(s.len < sizeof name);
        memcpy(name, s.ptr, s.len);
        assert_int_equal(store_scan(c, coll, INT64_MIN, &k), TAKO_OK);
        while ((err = store_scan_next(k, &row)) == TAKO_OK)
            put_document(p, tako_slice_of(name, s.len), &row);
        assert_int_equal(err, TAKO_NOTFOUND);
        store_scan_close(k);
    }
}

static void put_indexes(page *p, store_conn *c)
{
    tako_arena a = tako_arena_on(p->text.env);
    store_index *list = NULL;
    size_t count = 0;

    assert_int_equal(store_index_list(c, &a, &list, &count), TAKO_OK);
    for (size_t i = 0; i < count; i++) {
        page_line(p);
        tako_put_str(&p->text, "index ");
        tako_put_bytes(&p->text, list[i].text);
        tako_put_u8(&p->text, 0);
    }
    tako_arena_fini(&a);
}

static void put_settings(page *p, store_conn *c)
{
    tako_buf row = tako_buf_on(p->text.env);
    tako_errbuf e = { "" };
    query *q = NULL;

    assert_int_equal(
        query_prepare(p->text.env, c, tako_slice_str("SHOW ALL"), &q, &e),
        TAKO_OK);
    assert_int_equal(query_bind(q, TAKO_SLICE_NONE, &e), TAKO_OK);
    while (tako_buf_reset(&row), query_step(q, &row, &e) == TAKO_OK) {
        page_line(p);
        assert_int_equal(json_from_cbor(tako_buf_slice(&row), &p->text),
                         TAKO_OK);
        tako_put_u8(&p->text, 0);
    }
    query_free(q);
    tako_buf_fini(&row);
}

static int by_text(const void *a, const void *b, void *text)
{
    const char *t = text;

    return strcmp(t + *(const size_t *)a, t + *(const size_t *)b);
}

/* Sorted: numbers of rows are nobody's business. */
static char *page_text(page *p)
{
    char *out = malloc(p->text.len + 1), *at = out;

    assert_non_null(out);
    qsort_r(p->lines, p->count, sizeof p->lines[0], by_text, p->text.ptr);
    for (size_t i = 0; i < p->count; i++) {
        const char *line = (const char *)p->text.ptr + p->lines[i];
        size_t len = strlen(line);

        memcpy(at, line, len);
        at += len;
        *at++ = '\n';
    }
    *at = '\0';
    return out;
}

char *crash_page(store_conn *c)
{
    test_env t;
    static page p;
    char *text;

    test_env_init(&t, 1);
    p.text = tako_buf_on(&t.env);
    p.count = 0;
    put_collections(&p, c);
    put_indexes(&p, c);
    put_settings(&p, c);
    assert_false(p.text.failed);
    text = page_text(&p);
    tako_buf_fini(&p.text);
    test_env_check_empty(&t);
    return text;
}

/* ---- soundness ------------------------------------------------------------ */

static void on_finding(void *ctx, const char *text)
{
    *(const char **)ctx = text;
    print_message("%s\n", text);
}

typedef struct touched {
    uint64_t lsn;
    uint32_t coll;
    int64_t row;
} touched;

/* The feed, from its beginning; its lsns rise. */
static size_t feed_read(store_conn *c, touched *out, const char *what)
{
    test_env t;
    tako_arena a;
    uint64_t after = 0, lsn = 0;
    store_touch *list = NULL;
    size_t count = 0, n = 0;
    tako_err err;

    test_env_init(&t, 1);
    a = tako_arena_on(&t.env);
    while ((err = store_feed_next(c, after, &a, &lsn, &list, &count)) ==
           TAKO_OK) {
        if (lsn <= after)
            fail_msg("%s: the feed goes back", what);
        after = lsn;
        for (size_t i = 0; i < count; i++, n++) {
            assert_true(n < TOUCHES_MAX);
            out[n] = (touched){ lsn, list[i].coll, list[i].row };
        }
    }
    assert_int_equal(err, TAKO_NOTFOUND);
    tako_arena_fini(&a);
    return n;
}

static bool feed_names(const touched *feed, size_t n, uint32_t coll,
                       const store_row *row)
{
    for (size_t i = n; i-- > 0 && feed[i].lsn >= row->lsn;)
        if (feed[i].lsn == row->lsn && feed[i].coll == coll &&
            feed[i].row == row->row)
            return true;
    return false;
}

static void feed_sound(store_conn *c, const char *what)
{
    static touched feed[TOUCHES_MAX];
    size_t n = feed_read(c, feed, what);

    for (uint32_t coll = 1; coll <= store_coll_max(c); coll++) {
        store_cursor *k;
        store_row row;

        if (store_coll_name(c, coll).len == 0)
            continue;
        assert_int_equal(store_scan(c, coll, INT64_MIN, &k), TAKO_OK);
        while (store_scan_next(k, &row) == TAKO_OK)
            if (!feed_names(feed, n, coll, &row))
                fail_msg("%s: commit %llu wrote row %lld, the feed does not "
                         "know",
                         what, (unsigned long long)row.lsn, (long long)row.row);
        store_scan_close(k);
    }
}

void crash_sound(store_conn *c, const char *what)
{
    const char *finding = "";
    uint64_t findings = 0;
    tako_errbuf e = { "" };
    tako_err err = store_check(c, on_finding, &finding, &findings, &e);

    if (err != TAKO_OK || findings > 0)
        fail_msg("%s: the database is damaged: %s %s", what, e.text, finding);
    feed_sound(c, what);
}
