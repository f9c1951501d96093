// SPDX-License-Identifier: Apache-2.0
/* DB -- the handle: opening, closing, errors, text for the program.
 *
 * ERRORS. The detail of a thread's last failure lives in the handle, in a
 * table by thread, which grows to TAKO_ERROR_THREADS_MAX. Then the oldest
 * detail that nobody has asked for makes room; one that was handed out stays,
 * because its thread may be reading it. A success costs nothing. */
#include "api/api.h"

#include <stdio.h>

/* ---- text for the program ------------------------------------------------- */

/* Before the text stands the size of its block, which tako_free gives back. */
#define TEXT_HEAD_BYTES 16u

void api_text_begin(tako_buf *b)
{
    static const uint8_t head[TEXT_HEAD_BYTES] = { 0 };

    tako_buf_reset(b);
    tako_put_bytes(b, tako_slice_of(head, sizeof head));
}

tako_err api_text_end(tako_buf *b, char **out)
{
    (void)tako_buf_cstr(b);
    if (b->failed) {
        tako_buf_fini(b);
        return TAKO_NOMEM;
    }
    memcpy(b->ptr, &b->cap, sizeof b->cap);
    *out = (char *)b->ptr + TEXT_HEAD_BYTES;
    b->ptr = NULL;
    b->len = b->cap = 0;
    return TAKO_OK;
}

void tako_free(void *ptr)
{
    uint8_t *block = ptr;
    tako_env env;
    size_t cap;

    if (ptr == NULL)
        return;
    sys_env_init(&env);
    block -= TEXT_HEAD_BYTES;
    memcpy(&cap, block, sizeof cap);
    tako_env_free(&env, block, cap);
}

/* ---- errors ------------------------------------------------------------------ */

static api_error_text *error_find(tako_db *db, uint64_t thread)
{
    for (size_t i = 0; i < TAKO_ERROR_THREADS_MAX; i++) {
        if (db->errors.at[i] == NULL)
            return NULL;
        if (db->errors.at[i]->thread == thread)
            return db->errors.at[i];
    }
    return NULL;
}

/* A place for a thread that has none; NULL: there is no room. */
static api_error_text *error_room(tako_db *db, uint64_t thread)
{
    api_error_text *best = NULL;

    for (size_t i = 0; i < TAKO_ERROR_THREADS_MAX; i++) {
        api_error_text *at = db->errors.at[i];

        if (at == NULL) {
            best = tako_env_alloc(&db->env, sizeof *best);
            db->errors.at[i] = best;
            break;
        }
        if (!at->shown && (best == NULL || at->used < best->used))
            best = at;
    }
    if (best != NULL)
        best->thread = thread;
    return best;
}

tako_err api_fail(tako_db *db, tako_err err, const tako_errbuf *e)
{
    const char *text =
        e != NULL && e->text[0] != '\0' ? e->text : tako_err_message(err);
    uint64_t thread = sys_thread_self();
    api_error_text *slot;

    sys_mutex_lock(db->errors.mutex);
    slot = error_find(db, thread);
    if (slot == NULL)
        slot = error_room(db, thread);
    if (slot != NULL) {
        slot->used = ++db->errors.tick;
        slot->shown = false;
        (void)snprintf(slot->text, sizeof slot->text, "%s", text);
    }
    sys_mutex_unlock(db->errors.mutex);
    return err;
}

const char *tako_last_error(tako_db *db)
{
    api_error_text *slot;

    if (db == NULL)
        return "";
    sys_mutex_lock(db->errors.mutex);
    slot = error_find(db, sys_thread_self());
    if (slot != NULL)
        slot->shown = true;
    sys_mutex_unlock(db->errors.mutex);
    return slot != NULL ? slot->text : "";
}

static void errors_fini(tako_db *db)
{
    for (size_t i = 0; i < TAKO_ERROR_THREADS_MAX; i++)
        tako_env_free(&db->env, db->errors.at[i], sizeof *db->errors.at[i]);
    sys_mutex_free(db->errors.mutex);
}

/* ---- open, close -------------------------------------------------------------- */

const char *tako_version(void)
{
    return TAKO_VERSION;
}

static void db_free(tako_db *db)
{
    tako_env env;

    api_sync_fini(db);
    api_observers_fini(db);
    if (db->tx_mutex != NULL)
        api_txs_end(db);
    api_readers_fini(db);
    api_queries_fini(&db->writer_queries);
    api_requests_fini(db);
    store_close(db->store);
    api_lock_fini(&db->writer);
    sys_mutex_free(db->tx_mutex);
    errors_fini(db);
    env = db->log.inner;
    tako_env_free(&env, db, sizeof *db);
}

static tako_err db_init(tako_db *db, const tako_open_opts *opts, tako_errbuf *e)
{
    store_opts s = {
        .env = &db->env,
        .files = &db->files,
        .path = opts->path,
        .create = opts->must_exist == 0,
        .durability = opts->durability == TAKO_DURABILITY_FULL ? STORE_FULL
                                                               : STORE_NORMAL,
        .lock_wait_ms = opts->busy_wait_ms,
        .on_connect = query_register,
        .on_connect_ctx = &db->env,
    };

    db->busy_wait_ms = opts->busy_wait_ms;
    atomic_init(&db->epoch, 0);
    atomic_init(&db->commit, 0);
    sys_files_init(&db->files, &db->env);
    api_queries_init(&db->writer_queries, &db->env);
    TAKO_TRY(sys_mutex_new(&db->env, &db->errors.mutex));
    TAKO_TRY(sys_mutex_new(&db->env, &db->tx_mutex));
    TAKO_TRY(api_requests_init(db));
    TAKO_TRY(api_lock_init(&db->writer, &db->env));
    TAKO_TRY(api_readers_init(db));
    TAKO_TRY(api_observers_init(db));
    TAKO_TRY(api_sync_init(db));
    TAKO_TRY(store_open(&s, &db->store, e));
    db->host = (query_host){ db, api_system };
    TAKO_TRY(query_host_set(store_writer(db->store), &db->host, e));
    return api_settings_load(db, store_writer(db->store));
}

static void detail_out(tako_err err, const tako_errbuf *e, char *detail,
                       size_t detail_cap)
{
    if (detail != NULL && detail_cap > 0)
        (void)snprintf(detail, detail_cap, "%s",
                       e->text[0] != '\0' ? e->text : tako_err_message(err));
}

static tako_err opts_check(const tako_open_opts *opts, tako_errbuf *e)
{
    if (opts == NULL || opts->size < sizeof *opts)
        return tako_fail(e, TAKO_MISUSE,
                         "options: size must be sizeof(tako_open_opts)");
    if (opts->path == NULL || opts->path[0] == '\0')
        return tako_fail(e, TAKO_MISUSE, "options: no path");
    if (opts->durability != TAKO_DURABILITY_NORMAL &&
        opts->durability != TAKO_DURABILITY_FULL)
        return tako_fail(e, TAKO_MISUSE, "options: unknown durability %d",
                         (int)opts->durability);
    return TAKO_OK;
}

tako_err tako_open(const tako_open_opts *opts, tako_db **out, char *detail,
                   size_t detail_cap)
{
    tako_errbuf e = { "" };
    tako_env env;
    tako_db *db = NULL;
    tako_err err = TAKO_MISUSE;

    if (out != NULL)
        *out = NULL;
    if (out == NULL)
        (void)tako_fail(&e, err, "no place for the handle");
    else
        err = opts_check(opts, &e);
    if (err == TAKO_OK) {
        sys_env_init(&env);
        db = tako_env_alloc(&env, sizeof *db);
        if (db == NULL)
            err = TAKO_NOMEM;
    }
    if (err == TAKO_OK) {
        obs_log_env(&db->log, &env, opts->log, opts->log_ctx, &db->env);
        err = db_init(db, opts, &e);
        if (err != TAKO_OK)
            db_free(db);
    }
    if (err == TAKO_OK)
        *out = db;
    else
        detail_out(err, &e, detail, detail_cap);
    return err;
}

void tako_close(tako_db *db)
{
    if (db != NULL)
        db_free(db);
}
