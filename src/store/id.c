// SPDX-License-Identifier: Apache-2.0
/* ID -- where a document lives: row numbers made from ULIDs.
 *
 * A ULID has 128 bits. The first 62, plus one, are the row (1 .. 2^62): such
 * a document is found by the table's own b-tree, without an index, and new
 * ones come at the tree's right end, because ULIDs begin with the time. The
 * other 66 bits are the column id, 9 bytes, the first 6 bits zero.
 *
 * Every other _id has a negative row, counted downwards, and is its own CBOR
 * in the column id, unique by a partial index (WHERE row<0). So has a ULID
 * whose row another ULID holds. A row that is held is therefore never to be
 * removed while an id that gave way to it is stored. */
#include "store/internal.h"

#include "codec/ulid.h"

#define ULID_CBOR_BYTES (2u + ULID_TEXT_BYTES)
#define ULID_ROW_MAX    ((uint64_t)1 << 62)

/* CBOR head of a text of 26 bytes */
static const uint8_t ulid_head[2] = { 0x78, ULID_TEXT_BYTES };

bool store_id_row(tako_slice id, int64_t *row, uint8_t rest[9])
{
    uint8_t u[16];
    uint64_t high = 0;

    if (id.len != ULID_CBOR_BYTES ||
        memcmp(id.ptr, ulid_head, sizeof ulid_head) != 0 ||
        !ulid_from_text(tako_slice_of(id.ptr + 2, ULID_TEXT_BYTES), u))
        return false;
    for (size_t i = 0; i < 8; i++)
        high = high << 8 | u[i];
    *row = (int64_t)(high >> 2) + 1;
    rest[0] = u[7] & 3u;
    memcpy(rest + 1, u + 8, 8);
    return true;
}

tako_err store_id_encode(int64_t row, tako_slice column, tako_buf *out)
{
    char text[ULID_TEXT_BYTES];
    uint8_t u[16];
    uint64_t high;

    if (row < 0) {
        if (column.len == 0)
            return TAKO_CORRUPT;
        tako_put_bytes(out, column);
        return out->failed ? TAKO_NOMEM : TAKO_OK;
    }
    if (row == 0 || (uint64_t)row > ULID_ROW_MAX ||
        column.len != STORE_REST_BYTES || column.ptr[0] > 3)
        return TAKO_CORRUPT;
    high = ((uint64_t)row - 1) << 2 | column.ptr[0];
    for (size_t i = 0; i < 8; i++)
        u[i] = (uint8_t)(high >> (56 - 8 * i));
    memcpy(u + 8, column.ptr + 1, 8);
    ulid_to_text(u, text);
    tako_put_bytes(out, tako_slice_of(ulid_head, sizeof ulid_head));
    tako_put_bytes(out, tako_slice_of(text, sizeof text));
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err doc_key_of(tako_slice id, doc_key *out, tako_errbuf *e)
{
    *out = (doc_key){ .id = id };
    out->ulid = store_id_row(id, &out->row, out->rest);
    if (out->ulid)
        return TAKO_OK; /* checked by having been recognised */
    if (id.len == 0)
        return tako_fail(e, TAKO_INVALID, "the _id is missing");
    if (id.len > TAKO_ID_BYTES_MAX)
        return tako_fail(e, TAKO_INVALID, "the _id has %zu bytes, over %u",
                         id.len, TAKO_ID_BYTES_MAX);
    TAKO_TRY(cbor_check(id, TAKO_VALUE_DEPTH_MAX, e));
    switch (cbor_kind_of(id)) {
    case CBOR_NULL:
    case CBOR_FLOAT:
        return tako_fail(e, TAKO_INVALID,
                         "an _id is a string, an integer, a boolean, bytes, "
                         "an array or a map");
    case CBOR_BOOL:
    case CBOR_INT:
    case CBOR_BYTES:
    case CBOR_TEXT:
    case CBOR_ARRAY:
    case CBOR_MAP:
        break;
    }
    return TAKO_OK;
}
