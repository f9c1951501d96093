// SPDX-License-Identifier: Apache-2.0
/* TX -- transactions of the program.
 *
 * A writing one holds the writer from begin to end; its SELECTs run on the
 * writer's connection, see what it wrote, and are read to their end at once,
 * so that later statements cannot change what a result shows. A read-only one
 * is a reader with its snapshot; the reader goes back to the pool when the
 * transaction and its last open result are done. */
#include "api/api.h"

struct tako_tx {
    tako_db *db;
    api_reader *reader; /* read-only ones */
    tako_tx *next;
};

static void tx_link(tako_tx *tx)
{
    tako_db *db = tx->db;

    sys_mutex_lock(db->tx_mutex);
    tx->next = db->txs;
    db->txs = tx;
    sys_mutex_unlock(db->tx_mutex);
}

static void tx_free(tako_tx *tx)
{
    tako_db *db = tx->db;
    tako_tx **at;

    sys_mutex_lock(db->tx_mutex);
    for (at = &db->txs; *at != tx; at = &(*at)->next)
        ;
    *at = tx->next;
    sys_mutex_unlock(db->tx_mutex);
    tako_env_free(&db->env, tx, sizeof *tx);
}

tako_err tako_tx_begin(tako_db *db, uint32_t flags, tako_tx **out)
{
    tako_errbuf e = { "" };
    tako_tx *tx;
    tako_err err;

    TAKO_ARG(db != NULL && out != NULL);
    if ((flags & ~TAKO_TX_READ_ONLY) != 0) {
        (void)tako_fail(&e, TAKO_MISUSE, "unknown flags %#x", flags);
        return api_fail(db, TAKO_MISUSE, &e);
    }
    tx = tako_env_alloc(&db->env, sizeof *tx);
    if (tx == NULL)
        return api_fail(db, TAKO_NOMEM, NULL);
    tx->db = db;
    if ((flags & TAKO_TX_READ_ONLY) != 0)
        err = api_reader_take(db, &tx->reader, &e);
    else
        err = api_write_begin(db, &e);
    if (err != TAKO_OK) {
        tako_env_free(&db->env, tx, sizeof *tx);
        return api_fail(db, err, &e);
    }
    tx_link(tx);
    *out = tx;
    return TAKO_OK;
}

static tako_err tx_execute(tako_tx *tx, tako_slice text, tako_slice params,
                           tako_result **out, tako_errbuf *e)
{
    tako_result *res;
    query_kind kind;
    tako_err err;

    TAKO_TRY(api_kind_of(&tx->db->env, text, &kind, e));
    if (query_kind_is_control(kind))
        return tako_fail(e, TAKO_INVALID,
                         "transactions do not nest; end this one with "
                         "tako_tx_commit() or tako_tx_rollback()");
    if (query_kind_reads(kind) && out == NULL)
        return tako_fail(e, TAKO_MISUSE,
                         "a SELECT needs a place for its result");
    if (tx->reader != NULL && !query_kind_reads(kind))
        return tako_fail(e, TAKO_INVALID, "the transaction is read-only");
    res = api_result_new(tx->db, "transaction", text);
    if (res == NULL)
        return api_result_failed(res, TAKO_NOMEM, e);
    if (tx->reader != NULL) {
        tx->reader->users++;
        err = api_select(res, tx->reader, text, params, e);
    } else {
        err = api_run(res, text, params, e);
        if (err == TAKO_OK)
            err = api_request_end(&res->request, err, e);
    }
    if (err != TAKO_OK)
        return api_result_failed(res, err, e);
    if (out != NULL)
        *out = res;
    else
        tako_result_free(res);
    return TAKO_OK;
}

tako_err tako_tx_execute(tako_tx *tx, const char *statement,
                         const tako_params *params, tako_result **out)
{
    tako_errbuf e = { "" };
    tako_buf own;
    tako_slice text = TAKO_SLICE_NONE, map = TAKO_SLICE_NONE;
    tako_err err;

    TAKO_ARG(tx != NULL);
    own = tako_buf_on(&tx->db->env);
    err = api_statement(statement, &text, &e);
    if (err == TAKO_OK)
        err = api_params(params, &own, &map, &e);
    if (err == TAKO_OK)
        err = tx_execute(tx, text, map, out, &e);
    tako_buf_fini(&own);
    return err == TAKO_OK ? TAKO_OK : api_fail(tx->db, err, &e);
}

tako_err tako_tx_commit(tako_tx *tx, uint64_t *commit)
{
    tako_errbuf e = { "" };
    tako_db *db;
    uint64_t lsn = 0;
    tako_err err = TAKO_OK;

    TAKO_ARG(tx != NULL);
    db = tx->db;
    if (tx->reader != NULL)
        api_reader_give(db, tx->reader);
    else
        err = api_write_commit(db, &lsn, &e);
    tx_free(tx);
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    if (commit != NULL)
        *commit = lsn;
    return TAKO_OK;
}

void tako_tx_rollback(tako_tx *tx)
{
    if (tx == NULL)
        return;
    if (tx->reader != NULL)
        api_reader_give(tx->db, tx->reader);
    else
        api_write_rollback(tx->db);
    tx_free(tx);
}

void api_txs_end(tako_db *db)
{
    while (db->txs != NULL)
        tako_tx_rollback(db->txs);
}
