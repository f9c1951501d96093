// SPDX-License-Identifier: Apache-2.0
/* CARE -- checkpoints, backup, compaction. */
#include "store/internal.h"

#define CARE_WAL_PAGES    1000 /* a log this long is worth a checkpoint */
#define CARE_BACKUP_PAGES 256  /* between two reports of progress */

tako_err store_checkpoint(store *s, bool force, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int logged = 0, moved = 0, rc;

    TAKO_ARG(s != NULL);
    if (s->txn.open || c->snapshots > 0)
        return tako_fail(e, TAKO_MISUSE, "a transaction is open");
    if (s->feed_bytes > TAKO_FEED_BYTES_MAX / 4)
        TAKO_TRY(feed_prune(s, e));
    if (s->wal_pages < s->wal_tried)
        s->wal_tried = 0; /* the log began anew */
    if (!force && s->wal_pages - s->wal_tried < CARE_WAL_PAGES)
        return TAKO_OK;
    rc = sqlite3_wal_checkpoint_v2(c->db, NULL,
                                   force ? SQLITE_CHECKPOINT_TRUNCATE
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
    return store_checkpoint(s, true, e);
}
