// SPDX-License-Identifier: Apache-2.0
/* See retention.h. */
#include "query/retention.h"

#include "query/date.h"
#include "query/duration.h"
#include "query/pool.h"

#include <stdio.h>

#define KEY_PREFIX "evict."

static tako_err wrong(tako_errbuf *e, const char *what)
{
    return tako_fail(e, TAKO_INVALID, "evict: %s", what);
}

static tako_err read_where(query_pool *pool, tako_slice collection,
                           tako_slice condition, query_retention *out,
                           tako_errbuf *e)
{
    tako_buf text = tako_buf_on(pool->env);
    tako_err err = TAKO_NOMEM;

    tako_put_str(&text, "SELECT * FROM `");
    tako_put_bytes(&text, collection);
    tako_put_str(&text, "` WHERE ");
    tako_put_bytes(&text, condition);
    if (!text.failed)
        err = query_predicate_new_in(pool, tako_buf_slice(&text),
                                     TAKO_SLICE_NONE, &out->where, e);
    tako_buf_fini(&text);
    return err;
}

static tako_err read_number(tako_slice value, uint64_t *out, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(value);
    cbor_item item;

    if (!cbor_read(&r, &item) || item.kind != CBOR_INT || item.integer < 1)
        return wrong(e, "documents and bytes are whole numbers from 1");
    *out = (uint64_t)item.integer;
    return TAKO_OK;
}

static tako_err read_member(query_pool *pool, tako_slice collection,
                            tako_slice key, tako_slice value,
                            query_retention *out, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(value);
    cbor_item item;
    bool text = cbor_read(&r, &item) && item.kind == CBOR_TEXT;

    if (tako_slice_eq(key, tako_slice_str("where")))
        return text ? read_where(pool, collection, item.str, out, e)
                    : wrong(e, "where is a condition, as text");
    if (tako_slice_eq(key, tako_slice_str("after")))
        return text && duration_parse(item.str, &out->after_ms) &&
                       out->after_ms > 0
                   ? TAKO_OK
                   : wrong(e, "after is a duration, as '30d'");
    if (tako_slice_eq(key, tako_slice_str("of"))) {
        out->of = text ? item.str : TAKO_SLICE_NONE;
        return text ? TAKO_OK : wrong(e, "of is the name of a field");
    }
    if (tako_slice_eq(key, tako_slice_str("documents")))
        return read_number(value, &out->documents, e);
    if (tako_slice_eq(key, tako_slice_str("bytes")))
        return read_number(value, &out->bytes, e);
    return wrong(e, "where, after, of, documents or bytes expected");
}

tako_err query_retention_read(query_pool *pool, tako_slice collection,
                              tako_slice value, query_retention *out,
                              tako_errbuf *e)
{
    tako_reader in = tako_reader_of(value);
    cbor_item head, key;
    tako_err err = TAKO_OK;

    *out = (query_retention){ 0 };
    if (value.len == 0 || !cbor_read(&in, &head) || head.kind != CBOR_MAP)
        return wrong(e, "an object expected");
    for (uint64_t i = 0; i < head.count && err == TAKO_OK; i++) {
        if (!cbor_read(&in, &key) || key.kind != CBOR_TEXT)
            err = wrong(e, "an object expected");
        else
            err = read_member(pool, collection, key.str, cbor_read_value(&in),
                              out, e);
    }
    if (err == TAKO_OK && out->where == NULL && out->after_ms == 0 &&
        out->documents == 0 && out->bytes == 0)
        err = wrong(e, "nothing says what goes");
    if (err == TAKO_OK && out->of.len > 0 && out->after_ms == 0)
        err = wrong(e, "of says what after is counted from");
    if (err != TAKO_OK)
        query_retention_free(out);
    return err;
}

void query_retention_free(query_retention *r)
{
    query_predicate_free(r->where);
    r->where = NULL;
}

static void put_key(tako_slice collection, char key[TAKO_NAME_BYTES_MAX + 16])
{
    (void)snprintf(key, TAKO_NAME_BYTES_MAX + 16, KEY_PREFIX "%.*s",
                   (int)collection.len, (const char *)collection.ptr);
}

tako_err query_retention_get(store_conn *c, tako_slice collection,
                             tako_buf *value)
{
    char key[TAKO_NAME_BYTES_MAX + 16];
    tako_err err;

    put_key(collection, key);
    err = store_kv_get(c, key, value);
    return err == TAKO_OK && value->len == 0 ? TAKO_NOTFOUND : err;
}

tako_err query_retention_put(store *s, tako_slice collection, tako_slice value,
                             tako_errbuf *e)
{
    char key[TAKO_NAME_BYTES_MAX + 16];
    tako_err err;

    put_key(collection, key);
    err = store_kv_put(s, key, value);
    return err == TAKO_OK ? err : tako_fail(e, err, "%s: cannot be kept", key);
}

/* The greatest hlc among its writers; counts also where a clock was wrong. */
static bool last_write(const store_row *row, int64_t *ms)
{
    uint64_t top = crdt_meta_top(row->meta);

    *ms = (int64_t)CRDT_HLC_MS(top);
    return top != 0;
}

bool query_retention_date(const query_retention *r, const store_row *row,
                          int64_t *ms)
{
    tako_slice value;
    tako_reader in;
    cbor_item item;
    date d;

    if (r->of.len == 0)
        return last_write(row, ms);
    value = cbor_map_get(row->body, r->of);
    in = tako_reader_of(value);
    if (value.len == 0 || !cbor_read(&in, &item))
        return false;
    if (item.kind == CBOR_INT) {
        *ms = item.integer;
        return true;
    }
    if (item.kind != CBOR_TEXT || !date_parse(item.str, &d))
        return false;
    *ms = d.ms;
    return true;
}
