// SPDX-License-Identifier: Apache-2.0
/* RESULT -- the rows of a SELECT, or what a mutation did, or both (RETURNING).
 *
 * The first 64 KiB of rows are read when the statement runs; a result that
 * fits gives its reader back at once, so that a forgotten small result costs
 * memory only. A longer one keeps its reader, and the snapshot that it reads
 * from, until its end. */
#include "api/api.h"

#include "codec/json.h"

tako_result *api_result_new(tako_db *db, const char *source, tako_slice text)
{
    tako_result *r = tako_env_alloc(&db->env, sizeof *r);

    if (r == NULL)
        return NULL;
    r->db = db;
    r->rows = tako_buf_on(&db->env);
    r->json = tako_buf_on(&db->env);
    r->ids = tako_buf_on(&db->env);
    r->ids_json = tako_buf_on(&db->env);
    r->note = tako_buf_on(&db->env);
    api_request_begin(db, &r->request, source, text);
    return r;
}

tako_err api_result_failed(tako_result *r, tako_err err, tako_errbuf *e)
{
    if (r == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    err = api_request_end(&r->request, err, e);
    tako_result_free(r);
    return err;
}

static void result_let_go(tako_result *r)
{
    api_reader *reader = r->reader;

    if (reader == NULL)
        return;
    (void)api_request_end(&r->request, TAKO_OK, NULL);
    api_query_give(&reader->queries, r->query);
    r->query = NULL;
    r->reader = NULL;
    api_reader_give(r->db, reader);
}

tako_err api_result_fill(tako_result *r, size_t limit, tako_errbuf *e)
{
    size_t most = (size_t)api_setting(r->db, SETTING_RESULT_BYTES_MAX);
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && r->rows.len < limit) {
        size_t at = r->rows.len;
        uint32_t n = 0;

        tako_put_bytes(&r->rows, tako_slice_of(&n, sizeof n));
        err = query_step(r->query, &r->rows, e);
        if (err == TAKO_OK && r->rows.failed)
            err = tako_fail(e, TAKO_NOMEM, "out of memory");
        if (err != TAKO_OK) {
            if (!r->rows.failed)
                r->rows.len = at;
            break;
        }
        n = (uint32_t)(r->rows.len - at - sizeof n);
        memcpy(r->rows.ptr + at, &n, sizeof n);
        r->request.rows++;
        if (limit == SIZE_MAX && r->rows.len > most)
            return tako_fail(e, TAKO_LIMIT,
                             "the result is larger than result_bytes_max, %zu "
                             "bytes",
                             most);
    }
    if (err == TAKO_NOTFOUND && !r->rows.failed) {
        result_let_go(r);
        return TAKO_OK;
    }
    return err;
}

/* The next of the rows that were read up front. */
static tako_err next_upfront(tako_result *r)
{
    uint32_t n;

    memcpy(&n, r->rows.ptr + r->pos, sizeof n);
    r->current = tako_slice_of(r->rows.ptr + r->pos + sizeof n, n);
    r->pos += sizeof n + n;
    return TAKO_OK;
}

static tako_err next_step(tako_result *r)
{
    tako_errbuf e = { "" };
    tako_err err;

    tako_buf_reset(&r->rows);
    r->pos = 0;
    api_request_enter(&r->request);
    err = query_step(r->query, &r->rows, &e);
    api_request_leave(&r->request);
    if (err == TAKO_OK && r->rows.failed)
        err = tako_fail(&e, TAKO_NOMEM, "out of memory");
    if (err == TAKO_OK) {
        r->current = tako_buf_slice(&r->rows);
        r->pos = r->rows.len;
        r->request.rows++;
        return TAKO_OK;
    }
    if (err != TAKO_NOTFOUND)
        err = api_request_end(&r->request, err, &e);
    result_let_go(r);
    tako_buf_reset(&r->rows);
    if (err == TAKO_NOTFOUND)
        return err;
    r->failed = err;
    return api_fail(r->db, err, &e);
}

tako_err tako_result_next(tako_result *r)
{
    TAKO_ARG(r != NULL);
    r->json_done = false;
    r->current = TAKO_SLICE_NONE;
    if (r->failed != TAKO_OK)
        return r->failed;
    if (r->pos < r->rows.len)
        return next_upfront(r);
    return r->query != NULL ? next_step(r) : TAKO_NOTFOUND;
}

tako_err tako_result_cbor(tako_result *r, const void **data, size_t *len)
{
    TAKO_ARG(r != NULL && data != NULL && len != NULL);
    TAKO_ARG(r->current.len > 0);
    *data = r->current.ptr;
    *len = r->current.len;
    return TAKO_OK;
}

tako_err tako_result_json(tako_result *r, const char **json, size_t *len)
{
    TAKO_ARG(r != NULL && json != NULL);
    TAKO_ARG(r->current.len > 0);
    if (!r->json_done) {
        tako_buf_reset(&r->json);
        (void)json_from_cbor(r->current, &r->json);
        (void)tako_buf_cstr(&r->json);
        if (r->json.failed)
            return api_fail(r->db, TAKO_NOMEM, NULL);
        r->json_done = true;
    }
    *json = (const char *)r->json.ptr;
    if (len != NULL)
        *len = r->json.len;
    return TAKO_OK;
}

uint64_t tako_result_mutated(const tako_result *r)
{
    return r != NULL ? r->mutated : 0;
}

uint64_t tako_result_commit(const tako_result *r)
{
    return r != NULL ? r->commit : 0;
}

const char *tako_result_note(const tako_result *r)
{
    return r != NULL && r->note.len > 0 ? (const char *)r->note.ptr : "";
}

int tako_result_has_rows(const tako_result *r)
{
    return r != NULL && r->has_rows;
}

const char *tako_result_ids_json(tako_result *r)
{
    tako_reader ids;

    if (r == NULL)
        return "[]";
    if (r->ids_json.len > 0)
        return (const char *)r->ids_json.ptr;
    ids = tako_reader_of(tako_buf_slice(&r->ids));
    tako_put_u8(&r->ids_json, '[');
    while (!ids.failed && !tako_reader_done(&ids)) {
        if (ids.pos > 0)
            tako_put_u8(&r->ids_json, ',');
        (void)json_from_cbor(cbor_read_value(&ids), &r->ids_json);
    }
    tako_put_u8(&r->ids_json, ']');
    (void)tako_buf_cstr(&r->ids_json);
    if (!r->ids_json.failed)
        return (const char *)r->ids_json.ptr;
    tako_buf_reset(&r->ids_json);
    return "[]";
}

void tako_result_free(tako_result *r)
{
    if (r == NULL)
        return;
    result_let_go(r);
    (void)api_request_end(&r->request, TAKO_OK, NULL);
    tako_buf_fini(&r->rows);
    tako_buf_fini(&r->json);
    tako_buf_fini(&r->ids);
    tako_buf_fini(&r->ids_json);
    tako_buf_fini(&r->note);
    tako_env_free(&r->db->env, r, sizeof *r);
}
