// SPDX-License-Identifier: Apache-2.0
/* GET -- one document by its _id, without a statement: the fast path. */
#include "api/api.h"

#include "codec/json.h"

/* {"_id":..., the fields}: the body's own brace becomes the comma. */
static void document_print(const store_row *row, tako_buf *out)
{
    size_t at;

    tako_put_str(out, "{\"_id\":");
    (void)json_from_cbor(row->id, out);
    at = out->len;
    (void)json_from_cbor(row->body, out);
    if (out->failed)
        return;
    if (out->len == at + 2)
        out->len = at + 1, out->ptr[at] = '}';
    else
        out->ptr[at] = ',';
}

static tako_err get_read(api_reader *r, tako_slice collection, tako_slice id,
                         tako_buf *out, tako_errbuf *e)
{
    store_row row;
    uint32_t coll = 0;
    tako_err err = store_coll_find(r->conn, collection, &coll);

    if (err == TAKO_OK)
        err = store_get(r->conn, coll, id, &row);
    if (err == TAKO_OK && row.body.len == 0)
        err = TAKO_NOTFOUND; /* deleted */
    if (err != TAKO_OK)
        return tako_fail(e, err,
                         err == TAKO_NOTFOUND ? "no such document"
                                              : "reading failed");
    document_print(&row, out);
    return TAKO_OK;
}

tako_err tako_get(tako_db *db, const char *collection, const char *id_json,
                  char **json)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    tako_buf out;
    tako_err err;

    TAKO_ARG(db != NULL && collection != NULL && id_json != NULL &&
             json != NULL);
    out = tako_buf_on(&db->env);
    err = api_reader_take(db, &r, &e);
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    tako_buf_reset(&r->scratch);
    err = json_to_cbor(tako_slice_str(id_json), TAKO_VALUE_DEPTH_MAX,
                       &r->scratch, &e);
    if (err == TAKO_OK) {
        api_text_begin(&out);
        err = get_read(r, tako_slice_str(collection),
                       tako_buf_slice(&r->scratch), &out, &e);
    }
    api_reader_give(db, r);
    if (err == TAKO_OK)
        err = api_text_end(&out, json);
    if (err == TAKO_OK)
        return TAKO_OK;
    tako_buf_fini(&out);
    return api_fail(db, err, &e);
}
