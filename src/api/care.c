// SPDX-License-Identifier: Apache-2.0
/* CARE -- hash, check, backup, restore, compact.
 *
 * RESTORE copies the backup with SQLite's own online copy, then opens the copy
 * as a database: the store notices that it is not the original and gives it a
 * new identity, and its check runs over all of it. The backup itself is opened
 * read-only and, where no log lies beside it, as immutable, so that restoring
 * neither changes nor adds a file there. What a failed restore made is removed,
 * and so is, before, the seal of an earlier database of that name: it must not
 * vouch for the copy. */
#include "api/api.h"

#include <stdio.h>

#include "base/hash.h"
#include "obs/object.h"

#define RESTORE_PAGES 1024 /* copied at once */

/* ---- hash, check ---------------------------------------------------------------- */

/* The hash of no documents, as store_hash has it (a sum and a count of zero):
 * a collection that was never made here equals one that is empty elsewhere. */
static void hash_of_none(uint8_t out[32])
{
    static const uint8_t zero[40] = { 0 };

    tako_hash32(tako_slice_of(zero, sizeof zero), out);
}

static tako_err hash_read(store_conn *c, const char *collection,
                          uint8_t out[32], uint64_t *documents, tako_errbuf *e)
{
    uint32_t coll = 0;
    tako_err err = TAKO_OK;

    if (collection != NULL)
        err = store_coll_find(c, tako_slice_str(collection), &coll);
    if (err == TAKO_NOTFOUND) {
        hash_of_none(out);
        *documents = 0;
        return TAKO_OK;
    }
    return err == TAKO_OK ? store_hash(c, coll, out, documents, e) : err;
}

tako_err tako_hash(tako_db *db, const char *collection, char hex[65],
                   uint64_t *documents)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    uint8_t sum[32];
    uint64_t count = 0;
    tako_err err;

    TAKO_ARG(db != NULL && hex != NULL);
    err = api_reader_take(db, &r, &e);
    if (err == TAKO_OK) {
        err = hash_read(r->conn, collection, sum, &count, &e);
        api_reader_give(db, r);
    }
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    obs_hex(tako_slice_of(sum, sizeof sum), hex);
    if (documents != NULL)
        *documents = count;
    return TAKO_OK;
}

typedef struct check_report {
    tako_text_fn *fn;
    void *ctx;
} check_report;

static void report(void *ctx, const char *text)
{
    check_report *r = ctx;

    if (r->fn != NULL)
        r->fn(r->ctx, text);
}

tako_err tako_check(tako_db *db, tako_text_fn *fn, void *ctx)
{
    check_report rep = { fn, ctx };
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    uint64_t findings = 0;
    tako_err err;

    TAKO_ARG(db != NULL);
    err = api_reader_take(db, &r, &e);
    if (err == TAKO_OK) {
        err = store_check(r->conn, report, &rep, &findings, &e);
        api_reader_give(db, r);
    }
    if (err == TAKO_OK && findings > 0)
        err = tako_fail(&e, TAKO_CORRUPT, "%llu findings",
                        (unsigned long long)findings);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

/* ---- backup, compact -------------------------------------------------------------- */

tako_err tako_backup(tako_db *db, const char *to, tako_progress_fn *fn,
                     void *ctx)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    tako_err err;

    TAKO_ARG(db != NULL && to != NULL);
    err = api_reader_take(db, &r, &e);
    if (err == TAKO_OK) {
        err = store_backup(r->conn, to, fn, ctx, &e);
        api_reader_give(db, r);
    }
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

tako_err tako_compact(tako_db *db)
{
    tako_errbuf e = { "" };
    tako_err err;

    TAKO_ARG(db != NULL);
    err = api_lock_take(&db->writer, db->busy_wait_ms, false);
    if (err != TAKO_OK) {
        (void)tako_fail(&e, err, "a transaction is open");
        return api_fail(db, err, &e);
    }
    (void)atomic_fetch_add(&db->epoch, 1u);
    api_readers_let_go(db);
    api_attachments_collect(db, true);
    err = store_compact(db->store, &e);
    (void)atomic_fetch_add(&db->epoch, 1u);
    api_lock_release(&db->writer);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

/* ---- restore ------------------------------------------------------------------------ */

typedef struct restorer {
    tako_env env;
    tako_files files;
    tako_buf path; /* scratch */
    tako_errbuf *e;
} restorer;

static const char *path_beside(restorer *r, const char *path,
                               const char *suffix)
{
    tako_buf_reset(&r->path);
    tako_put_str(&r->path, path);
    tako_put_str(&r->path, suffix);
    return tako_buf_cstr(&r->path);
}

static void remove_beside(restorer *r, const char *path, const char *suffix)
{
    const char *name = path_beside(r, path, suffix);

    if (!r->path.failed)
        (void)r->files.remove(r->files.ctx, name);
}

/* The backup as an SQLite URI; everything but plain characters escaped. */
static const char *backup_uri(restorer *r, const char *from)
{
    uint64_t device, inode;
    bool log = r->files.identity(r->files.ctx, path_beside(r, from, "-wal"),
                                 &device, &inode) == TAKO_OK;

    tako_buf_reset(&r->path);
    tako_put_str(&r->path, "file:");
    for (const char *c = from; *c != '\0'; c++) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
            (*c >= '0' && *c <= '9') || strchr("/._-", *c) != NULL)
            tako_put_u8(&r->path, (uint8_t)*c);
        else
            tako_put_fmt(&r->path, "%%%02x", (unsigned)(uint8_t)*c);
    }
    tako_put_str(&r->path, log ? "?mode=ro" : "?mode=ro&immutable=1");
    return tako_buf_cstr(&r->path);
}

static tako_err copy_fail(restorer *r, const char *path, int rc)
{
    tako_err err = TAKO_IO;

    switch (rc & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        err = TAKO_CORRUPT;
        break;
    case SQLITE_FULL:
        err = TAKO_FULL;
        break;
    case SQLITE_NOMEM:
        err = TAKO_NOMEM;
        break;
    default:
        break;
    }
    return tako_fail(r->e, err, "%s: %s", path, sqlite3_errstr(rc));
}

static tako_err copy_pages(restorer *r, sqlite3 *in, sqlite3 *out,
                           const char *from, const char *to)
{
    sqlite3_backup *b = sqlite3_backup_init(out, "main", in, "main");
    int rc;

    if (b == NULL)
        return copy_fail(r, to, sqlite3_errcode(out));
    do {
        rc = sqlite3_backup_step(b, RESTORE_PAGES);
    } while (rc == SQLITE_OK);
    (void)sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE)
        return TAKO_OK;
    return copy_fail(r, rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? from : to,
                     rc);
}

static tako_err copy_file(restorer *r, const char *from, const char *to)
{
    sqlite3 *in = NULL, *out = NULL;
    tako_err err;
    int rc = sqlite3_open_v2(backup_uri(r, from), &in,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);

    if (rc != SQLITE_OK) {
        err = copy_fail(r, from, rc);
    } else {
        rc = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE, NULL);
        err = rc == SQLITE_OK ? copy_pages(r, in, out, from, to)
                              : copy_fail(r, to, rc);
    }
    (void)sqlite3_close_v2(in);
    (void)sqlite3_close_v2(out);
    return err;
}

/* Opens the copy, which gives it its identity, and looks through it. */
static tako_err copy_check(const char *to, tako_errbuf *e)
{
    tako_open_opts opts = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;
    tako_err err;

    opts.path = to;
    opts.must_exist = 1;
    err = tako_open(&opts, &db, e->text, sizeof e->text);
    if (err != TAKO_OK)
        return err;
    err = tako_check(db, NULL, NULL);
    if (err != TAKO_OK)
        (void)tako_fail(e, err, "the backup is damaged: %s",
                        tako_last_error(db));
    tako_close(db);
    return err;
}

static tako_err restore(restorer *r, const char *from, const char *to)
{
    uint64_t device, inode;
    tako_err err = r->files.identity(r->files.ctx, to, &device, &inode);

    if (err == TAKO_OK)
        return tako_fail(r->e, TAKO_EXISTS, "%s exists already", to);
    err = r->files.identity(r->files.ctx, from, &device, &inode);
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "%s: no such file", from);
    remove_beside(r, to, ".seal");
    err = r->files.write(r->files.ctx, to, TAKO_SLICE_NONE); /* mode 0600 */
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "%s: cannot be made", to);
    err = copy_file(r, from, to);
    if (err == TAKO_OK)
        err = copy_check(to, r->e);
    if (err != TAKO_OK) {
        static const char *const made[] = { "",         "-wal",  "-shm",
                                            "-journal", ".seal", ".lock" };

        for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
            remove_beside(r, to, made[i]);
    }
    return err;
}

tako_err tako_restore(const char *from, const char *to, char *detail,
                      size_t detail_cap)
{
    tako_errbuf e = { "" };
    restorer r;
    tako_err err;

    TAKO_ARG(from != NULL && to != NULL);
    r.e = &e;
    sys_env_init(&r.env);
    sys_files_init(&r.files, &r.env);
    r.path = tako_buf_on(&r.env);
    err = restore(&r, from, to);
    tako_buf_fini(&r.path);
    if (err != TAKO_OK && detail != NULL && detail_cap > 0)
        (void)snprintf(detail, detail_cap, "%s",
                       e.text[0] != '\0' ? e.text : tako_err_message(err));
    return err;
}
