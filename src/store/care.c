// SPDX-License-Identifier: Apache-2.0
/* CARE -- checkpoints, backup, compaction, and the log after a failed sync.
 *
 * A SYNC THAT FAILED may have lost what it should have written, and yet the
 * system goes on to show it, and says of the next sync that all is well. In
 * the log that would be the end of every later commit: recovery after a power
 * failure stops at the first frame that is not there. So before anything is
 * added to a log of which a sync failed, or which an unclean end has left
 * (nobody knows why it ended), its bytes are written once more in their
 * places, and synced. Readers notice nothing, and no space is needed. */
#include "store/internal.h"

/* A log this long is worth a checkpoint: when there is time; at once. (Who reads
 * walks over all that the log has of a page: twice as long shows.) */
#define CARE_REST_PAGES   1000
#define CARE_LONG_PAGES   2000 /* 8 MB */
#define CARE_PIECE_BYTES  (64 << 10)
#define CARE_BACKUP_PAGES 256 /* between two reports of progress */

/* ---- the log --------------------------------------------------------------- */

static sqlite3_file *log_file(store_conn *c)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
                             &file) != SQLITE_OK ||
        file == NULL || file->pMethods == NULL)
        return NULL;
    return file;
}

bool log_is_there(store_conn *c)
{
    return log_file(c) != NULL;
}

uint64_t log_bytes(store_conn *c)
{
    sqlite3_file *file = log_file(c);
    sqlite3_int64 size = 0;

    if (file == NULL || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return 0;
    return (uint64_t)size;
}

static int log_rewrite(sqlite3_file *file, uint64_t size, uint8_t *piece)
{
    const sqlite3_io_methods *io = file->pMethods;
    int rc = SQLITE_OK;

    for (uint64_t at = 0; rc == SQLITE_OK && at < size;) {
        uint64_t left = size - at;
        int len = left < CARE_PIECE_BYTES ? (int)left : CARE_PIECE_BYTES;

        rc = io->xRead(file, piece, len, (sqlite3_int64)at);
        if (rc == SQLITE_OK)
            rc = io->xWrite(file, piece, len, (sqlite3_int64)at);
        at += (uint64_t)len;
    }
    return rc == SQLITE_OK ? io->xSync(file, SQLITE_SYNC_NORMAL) : rc;
}

tako_err log_settle(store *s, tako_errbuf *e)
{
    uint64_t size;
    uint8_t *piece;
    int rc;

    if (!s->unsettled)
        return TAKO_OK;
    size = log_bytes(&s->writer);
    if (size > 0) {
        piece = tako_env_alloc(s->env, CARE_PIECE_BYTES);
        if (piece == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        rc = log_rewrite(log_file(&s->writer), size, piece);
        tako_env_free(s->env, piece, CARE_PIECE_BYTES);
        if (rc != SQLITE_OK)
            return conn_fail(&s->writer, rc, "writing the log once more", e);
    }
    s->unsettled = false;
    return TAKO_OK;
}

/* ---- checkpoints ----------------------------------------------------------- */

static bool has_grown(const store *s, int pages)
{
    return s->wal_pages - s->wal_tried >= pages;
}

static bool feed_is_long(const store *s)
{
    return s->feed_bytes > TAKO_FEED_BYTES_MAX / 4;
}

bool store_checkpoint_pays(const store *s)
{
    return has_grown(s, CARE_REST_PAGES) || feed_is_long(s);
}

tako_err store_checkpoint(store *s, store_fold fold, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int logged = 0, moved = 0, rc;

    TAKO_ARG(s != NULL);
    if (s->txn.open || c->snapshots > 0)
        return tako_fail(e, TAKO_MISUSE, "a transaction is open");
    TAKO_TRY(log_settle(s, e));
    if (feed_is_long(s))
        TAKO_TRY(feed_prune(s, e));
    if (fold != STORE_FOLD_ALL &&
        !has_grown(s,
                   fold == STORE_FOLD_REST ? CARE_REST_PAGES : CARE_LONG_PAGES))
        return TAKO_OK;
    rc = sqlite3_wal_checkpoint_v2(c->db, NULL,
                                   fold == STORE_FOLD_ALL
                                       ? SQLITE_CHECKPOINT_TRUNCATE
                                       : SQLITE_CHECKPOINT_PASSIVE,
                                   &logged, &moved);
    if ((rc & 0xff) == SQLITE_BUSY)
        rc = SQLITE_OK; /* a reader is in the way: as much as could be */
    if (rc != SQLITE_OK)
        return conn_fail(c, rc, "checkpoint", e);
    /* What readers hold back is tried again after so many pages more: an
     * attempt costs two syncs. */
    s->wal_tried = s->wal_pages;
    return stats_renew(s, e);
}

/* ---- backup -------------------------------------------------------------- */

static tako_err backup_steps(store_conn *c, sqlite3 *to, const char *path,
                             void (*progress)(void *, uint64_t, uint64_t),
                             void *ctx, tako_errbuf *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", c->db, "main");
    tako_err err;
    int rc;

    if (b == NULL)
        return tako_fail(e, TAKO_IO, "%s: %s", path, sqlite3_errmsg(to));
    do {
        rc = sqlite3_backup_step(b, CARE_BACKUP_PAGES);
        if (progress != NULL) {
            int all = sqlite3_backup_pagecount(b);

            progress(ctx, (uint64_t)(all - sqlite3_backup_remaining(b)),
                     (uint64_t)all);
        }
    } while (rc == SQLITE_OK);
    (void)sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE)
        return TAKO_OK;
    err = conn_fail(c, rc, "backup", NULL); /* the code; its text is of c */
    return tako_fail(e, err, "%s: backup: %s", path, sqlite3_errstr(rc));
}

static tako_err backup_open(store_conn *c, const char *to, sqlite3 **db,
                            tako_errbuf *e)
{
    const tako_files *f = c->store->files;
    uint64_t device, inode;
    tako_err err = f->identity(f->ctx, to, &device, &inode);
    int rc;

    if (err == TAKO_OK)
        return tako_fail(e, TAKO_EXISTS, "%s exists already", to);
    if (err != TAKO_NOTFOUND)
        return tako_fail(e, err, "%s: cannot be made", to);
    err = f->write(f->ctx, to, TAKO_SLICE_NONE); /* mode 0600 */
    if (err != TAKO_OK)
        return tako_fail(e, err, "%s: cannot be made", to);
    rc = sqlite3_open_v2(to, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                         c->store->vfs);
    /* EXTRA: also the end of the copy's journal is synced, which would undo it
     * if it came back after a power failure. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*db, "PRAGMA synchronous=EXTRA", NULL, NULL, NULL);
    return rc == SQLITE_OK ? TAKO_OK : conn_fail(c, rc, "opening a copy", e);
}

tako_err store_backup(store_conn *c, const char *to,
                      void (*progress)(void *ctx, uint64_t done, uint64_t all),
                      void *ctx, tako_errbuf *e)
{
    const tako_files *f;
    sqlite3 *db = NULL;
    tako_err err;

    TAKO_ARG(c != NULL && to != NULL);
    f = c->store->files;
    if (sqlite3_get_autocommit(c->db) == 0 && c->snapshots == 0)
        return tako_fail(e, TAKO_MISUSE, "a transaction is open");
    err = backup_open(c, to, &db, e);
    if (err == TAKO_EXISTS)
        return err;
    /* One snapshot: what is committed meanwhile does not restart the copy. */
    if (err == TAKO_OK)
        err = store_snapshot_begin(c, NULL, e);
    if (err == TAKO_OK) {
        err = backup_steps(c, db, to, progress, ctx, e);
        store_snapshot_end(c);
    }
    (void)sqlite3_close_v2(db);
    if (err != TAKO_OK)
        (void)f->remove(f->ctx, to);
    return err;
}

tako_err store_compact(store *s, tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    if (s->txn.open || s->writer.snapshots > 0)
        return tako_fail(e, TAKO_MISUSE, "a transaction is open");
    TAKO_TRY(conn_exec(&s->writer, "VACUUM", e));
    s->wrote = true;
    return store_checkpoint(s, STORE_FOLD_ALL, e);
}
