// SPDX-License-Identifier: Apache-2.0
/* EXECUTE -- one statement, outside of transactions of the program.
 *
 * A SELECT runs on a reader of the pool and waits for no writer. Anything else
 * takes the writer and is a transaction of its own. Which it is shows in the
 * first word, so that a statement is parsed once, when it is prepared, and not
 * at all when it comes again. */
#include "api/api.h"

#include "codec/json.h"

tako_err api_params(const tako_params *params, tako_buf *own, tako_slice *out,
                    tako_errbuf *e)
{
    tako_slice map = TAKO_SLICE_NONE;

    *out = map;
    if (params == NULL || (params->json == NULL && params->cbor == NULL))
        return TAKO_OK;
    if (params->json != NULL && params->cbor != NULL)
        return tako_fail(e, TAKO_MISUSE,
                         "parameters are given both as JSON and as CBOR");
    if (params->json != NULL) {
        tako_buf_reset(own);
        TAKO_TRY(json_to_cbor(tako_slice_str(params->json),
                              API_PARAMS_DEPTH_MAX, own, e));
        map = tako_buf_slice(own);
    } else {
        map = tako_slice_of(params->cbor, params->cbor_len);
        if (map.len > TAKO_VALUE_BYTES_MAX)
            return tako_fail(e, TAKO_LIMIT, "parameters: more than %u bytes",
                             TAKO_VALUE_BYTES_MAX);
        TAKO_TRY(cbor_check(map, API_PARAMS_DEPTH_MAX, e));
    }
    if (cbor_kind_of(map) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID,
                         "parameters: an object of names and values expected");
    *out = map;
    return TAKO_OK;
}

tako_err api_statement(const char *text, tako_slice *out, tako_errbuf *e)
{
    if (text == NULL)
        return tako_fail(e, TAKO_MISUSE, "no statement");
    *out = tako_slice_str(text);
    if (out->len > TAKO_STATEMENT_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "statement: more than %u bytes",
                         TAKO_STATEMENT_BYTES_MAX);
    return TAKO_OK;
}

/* ---- kinds ------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The first word is `word` (upper case), and ends there. */
static bool first_word_is(tako_slice text, const char *word)
{
    size_t at = 0, n = strlen(word);

    while (at < text.len && is_space(text.ptr[at]))
        at++;
    if (text.len - at <= n || !is_space(text.ptr[at + n]))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.ptr[at + i];

        if (c >= 'a' && c <= 'z')
            c = (uint8_t)(c - 'a' + 'A');
        if (c != (uint8_t)word[i])
            return false;
    }
    return true;
}

tako_err api_kind_of(const tako_env *env, tako_slice text, query_kind *out,
                     tako_errbuf *e)
{
    static const struct {
        const char *word;
        query_kind kind;
    } words[] = {
        { "SELECT", QUERY_SELECT },
        { "INSERT", QUERY_INSERT },
        { "UPDATE", QUERY_UPDATE },
        { "DELETE", QUERY_DELETE },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (first_word_is(text, words[i].word)) {
            *out = words[i].kind;
            return TAKO_OK;
        }
    }
    return query_classify(env, text, out, e); /* comments, other statements */
}

/* ---- running -------------------------------------------------------------------- */

static tako_err take_note(tako_result *res, query *q)
{
    const char *note = query_note(q);

    if (note[0] == '\0' || res->note.len > 0)
        return TAKO_OK;
    tako_put_str(&res->note, note);
    (void)tako_buf_cstr(&res->note);
    return res->note.failed ? TAKO_NOMEM : TAKO_OK;
}

/* Begins a run of a query that was bound. */
static tako_err start(tako_result *res, query *q)
{
    TAKO_TRY(take_note(res, q));
    query_guard(q, api_request_stop, &res->request);
    api_request_enter(&res->request);
    return TAKO_OK;
}

tako_err api_select(tako_result *res, api_reader *r, tako_slice text,
                    tako_slice params, tako_errbuf *e)
{
    tako_err err;

    res->has_rows = true;
    res->reader = r;
    err = api_query_take(&r->queries, r->conn, text, &res->query, e);
    if (err == TAKO_OK && !query_kind_reads(query_kind_of(res->query)))
        err = tako_fail(e, TAKO_INVALID, "not a SELECT");
    if (err == TAKO_OK)
        err = query_bind(res->query, params, e);
    if (err != TAKO_OK)
        return err;
    TAKO_TRY(start(res, res->query));
    err = api_result_fill(res, API_RESULT_BYTES_UPFRONT, e);
    if (err == TAKO_OK && res->query != NULL)
        api_request_leave(&res->request); /* there may be more */
    return err;
}

/* All rows, from the statement as it stands. */
static tako_err take_rows(tako_result *res, query *q, tako_errbuf *e)
{
    tako_err err;

    res->has_rows = true;
    res->query = q;
    err = api_result_fill(res, SIZE_MAX, e);
    res->query = NULL;
    return err;
}

/* Undone as well when its rows cannot be had. */
static tako_err run_returning(tako_db *db, query *q, tako_result *res,
                              tako_errbuf *e)
{
    tako_err err;

    TAKO_TRY(store_savepoint(db->store, e));
    err = query_run(q, db->store, &res->ids, &res->mutated, e);
    if (err == TAKO_OK)
        err = take_rows(res, q, e);
    if (err == TAKO_OK)
        store_savepoint_keep(db->store);
    else
        store_savepoint_undo(db->store);
    return err;
}

static tako_err run_query(tako_result *res, query *q, tako_slice params,
                          tako_errbuf *e)
{
    tako_db *db = res->db;
    query_kind kind = query_kind_of(q);

    TAKO_TRY(query_bind(q, params, e));
    TAKO_TRY(start(res, q));
    if (query_kind_reads(kind))
        return take_rows(res, q, e);
    res->wrote = true;
    if (query_has_rows(q)) {
        TAKO_TRY(run_returning(db, q, res, e));
        return take_note(res, q);
    }
    TAKO_TRY(query_run(q, db->store, &res->ids, &res->mutated, e));
    TAKO_TRY(take_note(res, q));
    if (kind == QUERY_SET || kind == QUERY_RESET)
        db->settings_set = true;
    return TAKO_OK;
}

tako_err api_run(tako_result *res, tako_slice text, tako_slice params,
                 tako_errbuf *e)
{
    tako_db *db = res->db;
    query *q = NULL;
    tako_err err = api_query_take(&db->writer_queries, store_writer(db->store),
                                  text, &q, e);

    if (err == TAKO_OK)
        err = run_query(res, q, params, e);
    api_query_give(&db->writer_queries, q);
    if (err == TAKO_OK && (res->ids.failed || res->rows.failed))
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    return err;
}

static tako_err execute_writing(tako_result *res, tako_slice text,
                                tako_slice params, tako_errbuf *e)
{
    tako_db *db = res->db;
    uint64_t lsn = 0;
    tako_err err;

    TAKO_TRY(api_write_begin(db, e));
    err = api_run(res, text, params, e);
    if (err != TAKO_OK) {
        api_write_rollback(db);
        return err;
    }
    TAKO_TRY(api_write_commit(db, &lsn, e));
    res->commit = lsn;
    return api_request_end(&res->request, TAKO_OK, e);
}

static tako_err execute_reading(tako_result *res, tako_slice text,
                                tako_slice params, tako_errbuf *e)
{
    api_reader *r = NULL;

    TAKO_TRY(api_reader_take(res->db, &r, e));
    return api_select(res, r, text, params, e);
}

static tako_err execute(tako_db *db, tako_slice text, tako_slice params,
                        tako_result **out, tako_errbuf *e)
{
    tako_result *res;
    query_kind kind;
    tako_err err;

    TAKO_TRY(api_kind_of(&db->env, text, &kind, e));
    if (query_kind_is_control(kind))
        return tako_fail(e, TAKO_INVALID,
                         "transactions are begun with tako_tx_begin()");
    if (query_kind_reads(kind) && out == NULL)
        return tako_fail(e, TAKO_MISUSE,
                         "a SELECT needs a place for its result");
    res = api_result_new(db, "execute", text);
    if (res == NULL)
        return api_result_failed(res, TAKO_NOMEM, e);
    err = query_kind_reads(kind) ? execute_reading(res, text, params, e)
                                 : execute_writing(res, text, params, e);
    if (err != TAKO_OK)
        return api_result_failed(res, err, e);
    if (out != NULL)
        *out = res;
    else
        tako_result_free(res);
    return TAKO_OK;
}

tako_err tako_execute(tako_db *db, const char *statement,
                      const tako_params *params, tako_result **out)
{
    tako_errbuf e = { "" };
    tako_buf own;
    tako_slice text = TAKO_SLICE_NONE, map = TAKO_SLICE_NONE;
    tako_err err;

    TAKO_ARG(db != NULL);
    own = tako_buf_on(&db->env);
    err = api_statement(statement, &text, &e);
    if (err == TAKO_OK)
        err = api_params(params, &own, &map, &e);
    if (err == TAKO_OK)
        err = execute(db, text, map, out, &e);
    tako_buf_fini(&own);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}
