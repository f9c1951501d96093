// SPDX-License-Identifier: Apache-2.0
/* WRITE -- the way of every commit.
 *
 * With the writer held: commit, move the epoch (readers.c), find the observers
 * that it matters to, hand its changes to the node, and only then see to the
 * write-ahead log: in a pause (keeper.c), or at once when it has grown long.
 * So observers and the node hear of commits in the order they were made.
 * Commits of the node itself take the same way, but the node tells its own
 * sessions, after write_end(): so the loop posts the log to itself, and has
 * sent on what it merged, and acknowledged it, before it waits for a disk. */
#include "api/api.h"

#include "store/blob.h"

/* Snapshots that idle readers keep end before the commit writes: otherwise a
 * log that is wholly checkpointed could not begin anew. */
static void committing(tako_db *db)
{
    TAKO_DCHECK((atomic_load(&db->epoch) & 1u) == 0);
    (void)atomic_fetch_add(&db->epoch, 1u);
    api_readers_let_go(db);
}

static void committed(tako_db *db, uint64_t lsn)
{
    if (lsn != 0)
        atomic_store(&db->commit, lsn);
    (void)atomic_fetch_add(&db->epoch, 1u);
    if (lsn != 0)
        api_observers_mark(db, lsn);
    else
        api_observers_mark_lost(db);
}

/* What the transaction set holds from now on. */
static void settings_take(tako_db *db, bool kept)
{
    char text[32];
    tako_err err = TAKO_OK;

    if (db->settings_set && kept)
        err = api_settings_load(db, store_writer(db->store));
    db->settings_set = false;
    if (err != TAKO_OK)
        tako_log(&db->env, TAKO_LOG_ERROR, "settings_failed", "\"error\":%s",
                 tako_log_str(tako_err_name(err), text, sizeof text));
}

/* The writer is let go. */
static void release(tako_db *db)
{
    bool shrunk = store_shrunk(db->store);

    api_lock_release(&db->writer);
    if (shrunk)
        api_keeper_heap(db);
}

static void checkpoint(tako_db *db, store_fold fold)
{
    tako_errbuf e = { "" };
    tako_err err = store_checkpoint(db->store, fold, &e);
    char text[160];

    if (err != TAKO_OK)
        tako_log(&db->env, TAKO_LOG_WARN, "checkpoint_failed",
                 "\"error\":\"%s\",\"detail\":%s", tako_err_name(err),
                 tako_log_str(e.text, text, sizeof text));
}

static bool blobs_are_due(tako_db *db)
{
    return store_blob_due(
        db->store, db->env.wall_ms(db->env.ctx),
        (uint64_t)api_setting(db, SETTING_ATTACHMENT_GRACE_S) * 1000u);
}

/* What is to be done after a commit, out of the way of whoever waits for it. */
static void tidy(tako_db *db)
{
    if (store_checkpoint_pays(db->store)) {
        checkpoint(db, STORE_FOLD_LONG);
        api_keeper_log(db);
    }
    if (!blobs_are_due(db))
        return;
    committing(db);
    api_attachments_collect(db, false);
    committed(db, 0);
}

void api_write_rest(tako_db *db)
{
    if (api_lock_take(&db->writer, 0, false) != TAKO_OK)
        return; /* who has it commits, and asks for this again */
    checkpoint(db, STORE_FOLD_REST);
    release(db);
}

tako_err api_write_begin(tako_db *db, tako_errbuf *e)
{
    tako_err err = api_lock_take(&db->writer, db->busy_wait_ms, false);

    if (err != TAKO_OK)
        return tako_fail(e, err, "another transaction is writing");
    err = store_begin(db->store, e);
    if (err != TAKO_OK)
        api_lock_release(&db->writer);
    return err;
}

tako_err api_write_commit(tako_db *db, uint64_t *lsn, tako_errbuf *e)
{
    uint64_t made = 0;
    tako_err err;

    committing(db);
    err = store_commit(db->store, &made, e);
    committed(db, err == TAKO_OK ? made : 0);
    settings_take(db, err == TAKO_OK);
    if (err == TAKO_OK && made != 0)
        api_sync_commit(db, made);
    if (err == TAKO_OK)
        tidy(db);
    release(db);
    if (err == TAKO_OK)
        *lsn = made;
    return err;
}

void api_write_rollback(tako_db *db)
{
    store_rollback(db->store);
    settings_take(db, false);
    release(db);
}

store *api_node_write_begin(void *ctx)
{
    tako_db *db = ctx;

    if (api_lock_take(&db->writer, UINT64_MAX, true) != TAKO_OK)
        return NULL;
    committing(db);
    return db->store;
}

store *api_node_write_try(void *ctx)
{
    tako_db *db = ctx;

    if (api_lock_take(&db->writer, 0, true) != TAKO_OK)
        return NULL;
    committing(db);
    return db->store;
}

/* On the loop's thread. */
static void tidy_posted(void *arg)
{
    tako_db *db = arg;

    db->sync.tidying = false;
    if (api_lock_take(&db->writer, 0, true) != TAKO_OK)
        return; /* who has it commits, and tidies then */
    tidy(db);
    release(db);
}

/* By the loop, when it has sent what the node makes of the commit. */
static void tidy_later(tako_db *db)
{
    api_sync *s = &db->sync;

    if (!store_checkpoint_pays(db->store) && !blobs_are_due(db))
        return;
    if (!s->tidying)
        s->tidying = s->net.post(s->net.ctx, tidy_posted, db) == TAKO_OK;
    if (!s->tidying)
        tidy(db);
}

void api_node_write_end(void *ctx, uint64_t lsn)
{
    tako_db *db = ctx;

    committed(db, lsn);
    tidy_later(db); /* parts of attachments are no commit, and fill the log */
    release(db);
}
