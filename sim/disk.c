// SPDX-License-Identifier: Apache-2.0
/* DISK -- files, what of them is safe, and how they end.
 *
 * Each file is two images and the list between: `now` is what reads see,
 * `safe` what a power failure cannot touch, `pending` the writes and
 * truncations since the last sync, in order, each with its bytes. A sync
 * applies the list to `safe` and empties it.
 *
 * POWER. By the dice, per file: nothing of the list survived; a prefix of it
 * did, and the next write is torn; or each entry by itself was written, torn
 * or lost, which is what a disk that reorders does. A torn write keeps some
 * of its sectors. A file whose name was never synced may be gone; one whose
 * deletion was not synced may be back, and one that was replaced is, where
 * the new one is gone.
 *
 * A SYNC THAT FAILS leaves everything pending; with `sync_loses` some of it
 * is lost for good though reads still see it: Linux marks the pages clean and
 * the next fsync says all is well.
 *
 * SQLite does not promise that a process that has an I/O error goes on as if
 * nothing was; the store's answer to each is what is tested. */
#include "sim/disk_internal.h"

#include <stdio.h>

#include "base/hash.h"

#define COST_US_CALL 2u
#define COST_US_KB   1u
#define COST_US_SYNC 400u

/* An entry of a pending list, followed by its bytes. */
typedef struct pending_op {
    uint64_t at;
    uint64_t len; /* of a truncation: the new length */
    bool truncate;
} pending_op;

/* ---- life ------------------------------------------------------------------ */

static void boot_new(sim_disk *d)
{
    for (size_t i = 0; i < sizeof d->machine.boot; i++)
        d->machine.boot[i] = (uint8_t)sim_random_next(&d->random);
}

static void file_free(sim_disk *d, sim_file *f)
{
    disk_shm_drop(d, f);
    tako_buf_fini(&f->now);
    tako_buf_fini(&f->safe);
    tako_buf_fini(&f->pending);
    tako_env_free(d->env, f, sizeof *f);
}

void sim_disk_free(sim_disk *d)
{
    if (d == NULL)
        return;
    disk_vfs_fini(d);
    while (d->files != NULL) {
        sim_file *f = d->files;

        d->files = f->next;
        TAKO_ASSERT(f->handles == 0);
        file_free(d, f);
    }
    tako_env_free(d->env, d, sizeof *d);
}

const char *sim_disk_vfs(const sim_disk *d)
{
    return d->vfs_name;
}

const tako_files *sim_disk_files(const sim_disk *d)
{
    return &d->interface;
}

sim_disk_faults *sim_disk_faults_of(sim_disk *d)
{
    return &d->faults;
}

uint64_t sim_disk_bytes(const sim_disk *d)
{
    uint64_t bytes = 0;

    for (const sim_file *f = d->files; f != NULL; f = f->next)
        if (!f->deleted)
            bytes += f->now.len;
    return bytes;
}

uint64_t sim_disk_cost_us(sim_disk *d)
{
    uint64_t cost = d->cost_us;

    d->cost_us = 0;
    return cost;
}

uint64_t sim_disk_changes(const sim_disk *d)
{
    return d->changes;
}

uint64_t sim_disk_calls(const sim_disk *d, sim_disk_op op)
{
    return d->calls[op];
}

uint64_t sim_disk_trace(const sim_disk *d)
{
    return d->trace;
}

void sim_disk_fail_at(sim_disk *d, sim_disk_op op, uint64_t n, tako_err err)
{
    d->nth[op].at = n;
    d->nth[op].err = err;
    d->nth[op].on = false;
}

void sim_disk_fail_from(sim_disk *d, sim_disk_op op, uint64_t n, tako_err err)
{
    sim_disk_fail_at(d, op, n, err);
    d->nth[op].on = true;
}

void sim_disk_stop_at(sim_disk *d, sim_disk_end how, uint64_t n)
{
    d->stop_at = n;
    d->stop_how = how;
}

bool sim_disk_stopped(const sim_disk *d)
{
    return d->stopped;
}

sim_disk_end sim_disk_how(const sim_disk *d)
{
    return d->how;
}

/* ---- one call --------------------------------------------------------------- */

static tako_err call_outcome(sim_disk *d, sim_disk_op op, uint64_t grows)
{
    if (d->nth[op].at > 0 && --d->nth[op].at == 0) {
        d->nth[op].at = d->nth[op].on ? 1 : 0;
        return d->nth[op].err;
    }
    if (sim_random_chance(&d->random, d->faults.fail_ppm[op]))
        return TAKO_IO;
    if (grows == 0)
        return TAKO_OK;
    if (d->faults.quota_bytes > 0 &&
        sim_disk_bytes(d) + grows > d->faults.quota_bytes)
        return TAKO_FULL;
    return sim_random_chance(&d->random, d->faults.full_ppm) ? TAKO_FULL
                                                             : TAKO_OK;
}

tako_err disk_call(sim_disk *d, sim_disk_op op, const sim_file *f, uint64_t at,
                   uint64_t len)
{
    uint64_t grows = 0, cost = COST_US_CALL;
    tako_err err;

    if (d->stopped)
        return TAKO_IO;
    if (d->paused)
        return TAKO_OK;
    d->calls[op]++;
    if (op != SIM_DISK_READ && op != SIM_DISK_OPEN) {
        d->changes++;
        if (d->stop_at > 0 && --d->stop_at == 0) {
            sim_disk_stop(d, d->stop_how);
            return TAKO_IO;
        }
    }
    if (op == SIM_DISK_READ || op == SIM_DISK_WRITE)
        cost += len / 1024u * COST_US_KB;
    if (op == SIM_DISK_SYNC)
        cost += COST_US_SYNC;
    d->cost_us += cost * (d->faults.slow > 0 ? d->faults.slow : 1u);
    if (op == SIM_DISK_WRITE && f != NULL && at + len > f->now.len)
        grows = at + len - f->now.len;
    err = call_outcome(d, op, grows);
    if (op != SIM_DISK_READ)
        d->trace = (d->trace ^ (uint64_t)op ^ at << 4 ^ len << 24 ^
                    (uint64_t)(unsigned)-err << 56) *
                   UINT64_C(0x9fb21c651e98df25);
    return err;
}

/* ---- images ------------------------------------------------------------------- */

/* The simulator's own memory: without it there is no simulation. */
static void image_write(tako_buf *b, uint64_t at, tako_slice data)
{
    size_t end = (size_t)at + data.len;

    if (end > b->len) {
        TAKO_ASSERT(tako_buf_reserve(b, end - b->len));
        memset(b->ptr + b->len, 0, end - b->len);
        b->len = end;
    }
    if (data.len > 0)
        memcpy(b->ptr + at, data.ptr, data.len);
}

static void image_truncate(tako_buf *b, uint64_t len)
{
    if (len < b->len)
        b->len = (size_t)len;
    else
        image_write(b, len, TAKO_SLICE_NONE);
}

static void image_copy(tako_buf *to, const tako_buf *from)
{
    tako_buf_reset(to);
    image_write(to, 0, tako_buf_slice(from));
}

static void pending_add(sim_file *f, pending_op op, tako_slice data)
{
    tako_put_bytes(&f->pending, tako_slice_of(&op, sizeof op));
    tako_put_bytes(&f->pending, data);
    TAKO_ASSERT(!f->pending.failed);
}

static bool pending_next(const sim_file *f, size_t *at, pending_op *op,
                         tako_slice *data)
{
    if (*at >= f->pending.len)
        return false;
    memcpy(op, f->pending.ptr + *at, sizeof *op);
    *at += sizeof *op;
    *data =
        tako_slice_of(f->pending.ptr + *at, op->truncate ? 0 : (size_t)op->len);
    *at += data->len;
    return true;
}

static void pending_apply(sim_file *f, const pending_op *op, tako_slice data)
{
    if (op->truncate)
        image_truncate(&f->safe, op->len);
    else
        image_write(&f->safe, op->at, data);
}

/* Each sector by itself; sectors are the disk's, not the write's. */
static void pending_tear(sim_disk *d, sim_file *f, const pending_op *op,
                         tako_slice data)
{
    uint64_t done = 0;

    if (op->truncate)
        return;
    while (done < data.len) {
        uint64_t room = SIM_SECTOR_BYTES - (op->at + done) % SIM_SECTOR_BYTES;
        uint64_t n = room < data.len - done ? room : data.len - done;

        if (sim_random_chance(&d->random, SIM_PPM / 2))
            image_write(&f->safe, op->at + done,
                        tako_slice_of(data.ptr + done, (size_t)n));
        done += n;
    }
}

/* ---- what files can do ----------------------------------------------------------- */

sim_file *disk_find(const sim_disk *d, const char *name)
{
    for (sim_file *f = d->files; f != NULL; f = f->next)
        if (!f->deleted && strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

sim_file *disk_make(sim_disk *d, const char *name)
{
    sim_file *f = tako_env_alloc(d->env, sizeof *f);

    TAKO_ASSERT(f != NULL && strlen(name) < SIM_NAME_BYTES_MAX &&
                d->file_count < SIM_FILES_MAX);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->inode = ++d->inodes;
    f->now = tako_buf_on(d->env);
    f->safe = tako_buf_on(d->env);
    f->pending = tako_buf_on(d->env);
    f->next = d->files;
    d->files = f;
    d->file_count++;
    return f;
}

void disk_read(const sim_file *f, uint64_t at, uint8_t *out, size_t len,
               size_t *got)
{
    size_t n = at >= f->now.len ? 0 : f->now.len - (size_t)at;

    n = n < len ? n : len;
    if (n > 0)
        memcpy(out, f->now.ptr + at, n);
    *got = n;
}

tako_err disk_write(sim_disk *d, sim_file *f, uint64_t at, tako_slice data)
{
    pending_op op = { at, data.len, false };

    bool last = !d->stopped && d->stop_at == 1;

    /* What is killed or loses power while it writes may have written some. */
    if (last)
        op.len = sim_random_below(&d->random, data.len + 1);
    else
        TAKO_TRY(disk_call(d, SIM_DISK_WRITE, f, at, data.len));
    data.len = (size_t)op.len;
    image_write(&f->now, at, data);
    pending_add(f, op, data);
    return last ? disk_call(d, SIM_DISK_WRITE, f, at, data.len) : TAKO_OK;
}

tako_err disk_truncate(sim_disk *d, sim_file *f, uint64_t len)
{
    pending_op op = { 0, len, true };

    TAKO_TRY(disk_call(d, SIM_DISK_TRUNCATE, f, 0, len));
    image_truncate(&f->now, len);
    pending_add(f, op, TAKO_SLICE_NONE);
    return TAKO_OK;
}

static void survive(sim_disk *d, sim_file *f)
{
    uint64_t mode = sim_random_below(&d->random, 4);
    size_t at = 0, count = 0, keep;
    pending_op op;
    tako_slice data;

    while (pending_next(f, &at, &op, &data))
        count++;
    keep = (size_t)sim_random_below(&d->random, count + 1);
    at = 0;
    for (size_t i = 0; mode > 0 && pending_next(f, &at, &op, &data); i++) {
        uint64_t dice = sim_random_below(&d->random, 3);

        if (mode == 1 ? i < keep : dice == 0)
            pending_apply(f, &op, data);
        else if (mode == 1 ? i == keep : dice == 1)
            pending_tear(d, f, &op, data);
    }
    tako_buf_reset(&f->pending);
}

static void forget(sim_disk *d, sim_file *f)
{
    sim_file **at = &d->files;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    d->file_count--;
    file_free(d, f);
}

/* The folder is synced: every name in it is there, and no other. */
static void folder_sync(sim_disk *d)
{
    sim_file *next;

    for (sim_file *f = d->files; f != NULL; f = next) {
        next = f->next;
        f->entry_safe = !f->deleted;
        if (f->deleted && f->handles == 0)
            forget(d, f);
    }
}

tako_err disk_sync(sim_disk *d, sim_file *f)
{
    tako_err err = disk_call(d, SIM_DISK_SYNC, f, 0, 0);
    size_t at = 0;
    pending_op op;
    tako_slice data;

    if (err != TAKO_OK && !d->stopped && d->faults.sync_loses)
        survive(d, f);
    if (err != TAKO_OK)
        return err;
    while (pending_next(f, &at, &op, &data))
        pending_apply(f, &op, data);
    tako_buf_reset(&f->pending);
    /* SQLite's unix VFS syncs the folder with a new file's first sync. */
    if (!f->entry_safe && !f->deleted)
        folder_sync(d);
    return TAKO_OK;
}

tako_err disk_delete(sim_disk *d, sim_file *f, bool sync_folder)
{
    TAKO_TRY(disk_call(d, SIM_DISK_DELETE, f, 0, 0));
    f->deleted = true;
    disk_release(d, f);
    if (sync_folder)
        folder_sync(d);
    return TAKO_OK;
}

/* Nobody needs it any more? A deletion that may come undone is kept until the
 * folder is synced. */
void disk_release(sim_disk *d, sim_file *f)
{
    if (f->deleted && f->handles == 0 && !f->entry_safe)
        forget(d, f);
}

void disk_shm_drop(sim_disk *d, sim_file *f)
{
    for (size_t i = 0; i < SIM_SHM_REGIONS_MAX; i++) {
        tako_env_free(d->env, f->regions[i], f->region_bytes);
        f->regions[i] = NULL;
    }
    memset(f->shm_shared, 0, sizeof f->shm_shared);
    memset(f->shm_exclusive, 0, sizeof f->shm_exclusive);
}

/* ---- the end, and the next beginning ------------------------------------------------- */

static void power_off(sim_disk *d)
{
    for (sim_file *f = d->files; f != NULL; f = f->next) {
        survive(d, f);
        image_copy(&f->now, &f->safe);
        if (!f->entry_safe && sim_random_chance(&d->random, SIM_PPM / 2))
            f->deleted = true;
    }
    for (sim_file *f = d->files; f != NULL; f = f->next)
        if (f->deleted && f->entry_safe && disk_find(d, f->name) == NULL &&
            (f->replaced || sim_random_chance(&d->random, SIM_PPM / 2)))
            f->deleted = false;
    for (sim_file *f = d->files; f != NULL; f = f->next) {
        f->entry_safe = !f->deleted;
        f->replaced = false;
    }
}

void sim_disk_pause(sim_disk *d, bool pause)
{
    d->paused = pause;
}

void sim_disk_stop(sim_disk *d, sim_disk_end how)
{
    if (d->stopped)
        return;
    d->stopped = true;
    d->how = how;
    d->stop_at = 0;
    if (how == SIM_DISK_POWER)
        power_off(d);
}

void sim_disk_start(sim_disk *d)
{
    sim_file *next;

    for (size_t i = 0; i < SIM_LOCKS_MAX; i++)
        TAKO_ASSERT(d->locks[i][0] == '\0');
    for (sim_file *f = d->files; f != NULL; f = next) {
        next = f->next;
        TAKO_ASSERT(f->handles == 0 && f->shm_users == 0);
        f->shared = 0;
        f->reserved = f->waiting = f->exclusive = NULL;
        disk_release(d, f);
    }
    if (d->stopped && d->how == SIM_DISK_POWER)
        boot_new(d);
    d->stopped = false;
    d->how = SIM_DISK_KILL; /* of a clean stop, until another comes */
}

/* ---- tako_files ---------------------------------------------------------------------- */

static void files_machine(void *ctx, tako_machine *out)
{
    *out = ((const sim_disk *)ctx)->machine;
}

static tako_err files_identity(void *ctx, const char *path, uint64_t *device,
                               uint64_t *inode)
{
    sim_disk *d = ctx;
    const sim_file *f = disk_find(d, path);

    TAKO_TRY(disk_call(d, SIM_DISK_OPEN, f, 0, 0));
    if (f == NULL)
        return TAKO_NOTFOUND;
    *device = 1;
    *inode = f->inode;
    return TAKO_OK;
}

static tako_err files_read(void *ctx, const char *path, tako_buf *out)
{
    sim_disk *d = ctx;
    const sim_file *f = disk_find(d, path);

    TAKO_TRY(disk_call(d, SIM_DISK_READ, f, 0, 0));
    if (f == NULL)
        return TAKO_NOTFOUND;
    tako_put_bytes(out, tako_buf_slice(&f->now));
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

/* The steps of sys/files.c: a temporary file, written, synced, renamed, and
 * the folder synced. Where one fails, the old content or the new is there,
 * and, but for the last step, the old. */
static tako_err files_write(void *ctx, const char *path, tako_slice content)
{
    sim_disk *d = ctx;
    sim_file *old = disk_find(d, path), *f;
    tako_err err;

    TAKO_TRY(disk_call(d, SIM_DISK_WRITE, NULL, 0, content.len));
    TAKO_TRY(disk_call(d, SIM_DISK_SYNC, NULL, 0, 0));
    TAKO_TRY(disk_call(d, SIM_DISK_DELETE, NULL, 0, 0)); /* the rename */
    f = disk_make(d, path);
    image_write(&f->now, 0, content);
    image_copy(&f->safe, &f->now);
    if (old != NULL)
        old->deleted = old->replaced = true;
    err = disk_call(d, SIM_DISK_SYNC, NULL, 0, 0); /* the folder */
    if (err == TAKO_OK)
        folder_sync(d);
    return err;
}

static tako_err files_lock(void *ctx, const char *path, uint32_t wait_ms,
                           tako_file_lock **out)
{
    sim_disk *d = ctx;
    char *at = NULL;

    (void)wait_ms;
    TAKO_TRY(disk_call(d, SIM_DISK_OPEN, NULL, 0, strlen(path)));
    for (size_t i = SIM_LOCKS_MAX; i-- > 0;) {
        if (strcmp(d->locks[i], path) == 0)
            return TAKO_BUSY;
        if (d->locks[i][0] == '\0')
            at = d->locks[i];
    }
    TAKO_ASSERT(at != NULL && strlen(path) < SIM_NAME_BYTES_MAX);
    (void)snprintf(at, SIM_NAME_BYTES_MAX, "%s", path);
    *out = (tako_file_lock *)(void *)at;
    return TAKO_OK;
}

static void files_unlock(void *ctx, tako_file_lock *lock)
{
    (void)ctx;
    if (lock != NULL)
        *(char *)lock = '\0';
}

static tako_err files_remove(void *ctx, const char *path)
{
    sim_disk *d = ctx;
    sim_file *f = disk_find(d, path);

    return f == NULL ? TAKO_NOTFOUND : disk_delete(d, f, false);
}

sim_disk *sim_disk_new(const tako_env *env, uint64_t seed)
{
    sim_disk *d = tako_env_alloc(env, sizeof *d);

    TAKO_ASSERT(d != NULL);
    d->env = env;
    d->random = sim_random_fork(seed, 0xd15c);
    for (size_t i = 0; i < sizeof d->machine.machine; i++)
        d->machine.machine[i] = (uint8_t)sim_random_next(&d->random);
    boot_new(d);
    d->interface = (tako_files){ .ctx = d,
                                 .machine = files_machine,
                                 .identity = files_identity,
                                 .read = files_read,
                                 .write = files_write,
                                 .lock = files_lock,
                                 .unlock = files_unlock,
                                 .remove = files_remove };
    disk_vfs_init(d);
    return d;
}
