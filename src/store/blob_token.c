// SPDX-License-Identifier: Apache-2.0
#include "store/blob_token.h"

#include "codec/cbor.h"

/* The text "tako_blob" and the head of 32 bytes, as deterministic CBOR has
 * them: no token is without this. */
static const uint8_t mark[] = { 0x69, 't', 'a', 'k', 'o',  '_',
                                'b',  'l', 'o', 'b', 0x58, BLOB_ID_BYTES };

bool blob_token_near(tako_slice bytes)
{
    return bytes.len > sizeof mark &&
           memmem(bytes.ptr, bytes.len, mark, sizeof mark) != NULL;
}

static tako_slice id_of(tako_slice value)
{
    tako_slice id = cbor_map_get(value, tako_slice_str("tako_blob"));
    tako_reader r = tako_reader_of(id);
    cbor_item item;

    if (id.len == 0 || cbor_kind_of(id) != CBOR_BYTES || !cbor_read(&r, &item))
        return TAKO_SLICE_NONE;
    return item.str;
}

bool blob_token_is(tako_slice value)
{
    return blob_token_near(value) && cbor_kind_of(value) == CBOR_MAP &&
           id_of(value).len == BLOB_ID_BYTES;
}

static bool len_of(tako_slice value, uint64_t *len)
{
    tako_slice v = cbor_map_get(value, tako_slice_str("len"));
    tako_reader r = tako_reader_of(v);
    cbor_item item;

    if (v.len == 0 || cbor_kind_of(v) != CBOR_INT || !cbor_read(&r, &item) ||
        item.integer < 0)
        return false;
    *len = (uint64_t)item.integer;
    return true;
}

tako_err blob_token_read(tako_slice value, blob_token *out, tako_errbuf *e)
{
    tako_slice id;

    if (value.len == 0 || cbor_kind_of(value) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID, "an attachment's token is an object");
    if (value.len > TAKO_BLOB_TOKEN_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "a token has %zu bytes, over %u",
                         value.len, TAKO_BLOB_TOKEN_BYTES_MAX);
    id = id_of(value);
    if (id.len != BLOB_ID_BYTES)
        return tako_fail(e, TAKO_INVALID,
                         "a token has \"tako_blob\", the %u bytes of its id",
                         BLOB_ID_BYTES);
    if (!len_of(value, &out->len))
        return tako_fail(e, TAKO_INVALID, "a token has \"len\", its length");
    if (out->len > TAKO_BLOB_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT,
                         "an attachment has %llu bytes, over "
                         "%llu",
                         (unsigned long long)out->len,
                         (unsigned long long)TAKO_BLOB_BYTES_MAX);
    memcpy(out->id, id.ptr, sizeof out->id);
    out->name = cbor_map_text(value, "name");
    out->type = cbor_map_text(value, "type");
    out->meta = cbor_map_get(value, tako_slice_str("meta"));
    return TAKO_OK;
}

static void put_key(tako_buf *out, const char *key)
{
    cbor_put_text(out, tako_slice_str(key));
}

static tako_err check_text(tako_slice s, size_t max, const char *what,
                           tako_errbuf *e)
{
    if (s.len > max)
        return tako_fail(e, TAKO_LIMIT, "%s has %zu bytes, over %zu", what,
                         s.len, max);
    if (!utf8_check(s))
        return tako_fail(e, TAKO_INVALID, "%s is not UTF-8", what);
    return TAKO_OK;
}

tako_err blob_token_put(const blob_token *t, tako_buf *out, tako_errbuf *e)
{
    uint64_t pairs =
        2u + (t->meta.len > 0) + (t->name.len > 0) + (t->type.len > 0);

    TAKO_TRY(check_text(t->name, TAKO_BLOB_NAME_BYTES_MAX,
                        "an attachment's name", e));
    TAKO_TRY(check_text(t->type, TAKO_BLOB_TYPE_BYTES_MAX,
                        "an attachment's type", e));
    if (t->meta.len > TAKO_BLOB_META_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT,
                         "an attachment's meta has %zu bytes, over %u",
                         t->meta.len, TAKO_BLOB_META_BYTES_MAX);
    if (t->meta.len > 0 && cbor_kind_of(t->meta) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID, "an attachment's meta is an object");
    cbor_put_map(out, pairs);
    put_key(out, "len");
    cbor_put_int(out, (int64_t)t->len);
    if (t->meta.len > 0) {
        put_key(out, "meta");
        tako_put_bytes(out, t->meta);
    }
    if (t->name.len > 0) {
        put_key(out, "name");
        cbor_put_text(out, t->name);
    }
    if (t->type.len > 0) {
        put_key(out, "type");
        cbor_put_text(out, t->type);
    }
    put_key(out, "tako_blob");
    cbor_put_bytes(out, tako_slice_of(t->id, sizeof t->id));
    return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}
