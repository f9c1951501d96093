// SPDX-License-Identifier: Apache-2.0
/* VFS -- the simulated disk as SQLite sees it.
 *
 * One sqlite3_vfs a node, registered under a name of its own, so that any
 * number of nodes and worlds live in one process and SQLite's process-wide
 * settings stay as they are. The shared memory of WAL mode is plain memory of
 * the file; a node is one process, so locks are counters and a lock that is
 * not free is SQLITE_BUSY at once (the caller's busy handler then "sleeps",
 * which costs virtual time and nothing else).
 *
 * What the disk promises is what SQLite assumes of a POSIX disk, no more:
 * SQLITE_IOCAP_POWERSAFE_OVERWRITE, a torn write changes no byte outside it. */
#include <stdio.h>

#include "sim/disk_internal.h"

typedef struct vfs_file {
    sqlite3_file base;
    sim_disk *disk;
    sim_file *file;
    int level; /* SQLITE_LOCK_* held */
    bool delete_on_close;
    bool shm;
    unsigned shm_shared, shm_exclusive; /* bits */
} vfs_file;

static vfs_file *file_of(sqlite3_file *f)
{
    return (vfs_file *)f;
}

/* The error of a call, as SQLite's of that call. */
static int code(tako_err err, int io)
{
    switch ((int)err) {
    case TAKO_OK:
        return SQLITE_OK;
    case TAKO_FULL:
        return SQLITE_FULL;
    default:
        return io;
    }
}

/* ---- bytes ---------------------------------------------------------------- */

static int io_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at)
{
    vfs_file *v = file_of(base);
    size_t got = 0;
    tako_err err =
        disk_call(v->disk, SIM_DISK_READ, v->file, (uint64_t)at, (uint64_t)len);

    if (err != TAKO_OK)
        return SQLITE_IOERR_READ;
    disk_read(v->file, (uint64_t)at, out, (size_t)len, &got);
    if (got == (size_t)len)
        return SQLITE_OK;
    memset((uint8_t *)out + got, 0, (size_t)len - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int io_write(sqlite3_file *base, const void *data, int len,
                    sqlite3_int64 at)
{
    vfs_file *v = file_of(base);

    return code(disk_write(v->disk, v->file, (uint64_t)at,
                           tako_slice_of(data, (size_t)len)),
                SQLITE_IOERR_WRITE);
}

static int io_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    vfs_file *v = file_of(base);

    return code(disk_truncate(v->disk, v->file, (uint64_t)len),
                SQLITE_IOERR_TRUNCATE);
}

static int io_sync(sqlite3_file *base, int flags)
{
    vfs_file *v = file_of(base);

    (void)flags; /* the unix VFS has one word for all that can go wrong */
    return disk_sync(v->disk, v->file) == TAKO_OK ? SQLITE_OK
                                                  : SQLITE_IOERR_FSYNC;
}

static int io_size(sqlite3_file *base, sqlite3_int64 *out)
{
    vfs_file *v = file_of(base);

    if (v->disk->stopped)
        return SQLITE_IOERR_FSTAT;
    *out = (sqlite3_int64)v->file->now.len;
    return SQLITE_OK;
}

/* ---- locks ------------------------------------------------------------------ */

static int lock_shared(vfs_file *v)
{
    sim_file *f = v->file;

    if (f->waiting != NULL || f->exclusive != NULL)
        return SQLITE_BUSY;
    f->shared++;
    v->level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
}

static int lock_exclusive(vfs_file *v)
{
    sim_file *f = v->file;

    if (f->exclusive != NULL || (f->waiting != NULL && f->waiting != v) ||
        (f->reserved != NULL && f->reserved != v))
        return SQLITE_BUSY;
    f->waiting = v;
    if (v->level < SQLITE_LOCK_PENDING)
        v->level = SQLITE_LOCK_PENDING;
    if (f->shared > 1)
        return SQLITE_BUSY; /* readers go, none comes */
    f->exclusive = v;
    v->level = SQLITE_LOCK_EXCLUSIVE;
    return SQLITE_OK;
}

static int io_lock(sqlite3_file *base, int level)
{
    vfs_file *v = file_of(base);
    sim_file *f = v->file;

    if (v->disk->stopped)
        return SQLITE_IOERR_LOCK;
    if (v->level >= level)
        return SQLITE_OK;
    switch (level) {
    case SQLITE_LOCK_SHARED:
        return lock_shared(v);
    case SQLITE_LOCK_RESERVED:
        if (f->reserved != NULL)
            return SQLITE_BUSY;
        f->reserved = v;
        v->level = level;
        return SQLITE_OK;
    default:
        return lock_exclusive(v);
    }
}

static int io_unlock(sqlite3_file *base, int level)
{
    vfs_file *v = file_of(base);
    sim_file *f = v->file;

    if (v->level <= level)
        return SQLITE_OK;
    if (f->exclusive == v)
        f->exclusive = NULL;
    if (f->waiting == v)
        f->waiting = NULL;
    if (f->reserved == v)
        f->reserved = NULL;
    if (level == SQLITE_LOCK_NONE && f->shared > 0)
        f->shared--;
    v->level = level;
    return SQLITE_OK;
}

static int io_reserved(sqlite3_file *base, int *out)
{
    *out = file_of(base)->file->reserved != NULL;
    return SQLITE_OK;
}

/* ---- shared memory ------------------------------------------------------------ */

static int io_shm_map(sqlite3_file *base, int region, int bytes, int extend,
                      void volatile **out)
{
    vfs_file *v = file_of(base);
    sim_file *f = v->file;

    *out = NULL;
    if (v->disk->stopped || region < 0 ||
        (unsigned)region >= SIM_SHM_REGIONS_MAX)
        return SQLITE_IOERR_SHMMAP;
    if (!v->shm) {
        v->shm = true;
        f->shm_users++;
    }
    if (f->regions[region] == NULL && extend) {
        f->region_bytes = (size_t)bytes;
        f->regions[region] = tako_env_alloc(v->disk->env, (size_t)bytes);
    }
    *out = f->regions[region];
    return SQLITE_OK;
}

static int shm_unlock(vfs_file *v, unsigned i)
{
    sim_file *f = v->file;
    unsigned bit = 1u << i;

    if ((v->shm_shared & bit) != 0)
        f->shm_shared[i]--;
    if ((v->shm_exclusive & bit) != 0)
        f->shm_exclusive[i] = NULL;
    v->shm_shared &= ~bit;
    v->shm_exclusive &= ~bit;
    return SQLITE_OK;
}

static bool shm_free(const vfs_file *v, unsigned i, bool shared)
{
    const sim_file *f = v->file;
    unsigned own = (v->shm_shared >> i) & 1u;

    if (f->shm_exclusive[i] != NULL && f->shm_exclusive[i] != v)
        return false;
    return shared || f->shm_shared[i] <= own;
}

static int io_shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    vfs_file *v = file_of(base);
    bool shared = (flags & SQLITE_SHM_SHARED) != 0;

    if (v->disk->stopped && (flags & SQLITE_SHM_LOCK) != 0)
        return SQLITE_IOERR_SHMLOCK;
    for (int i = first; i < first + count; i++)
        if ((flags & SQLITE_SHM_LOCK) != 0 && !shm_free(v, (unsigned)i, shared))
            return SQLITE_BUSY;
    for (int i = first; i < first + count; i++) {
        unsigned bit = 1u << i;

        if ((flags & SQLITE_SHM_UNLOCK) != 0) {
            (void)shm_unlock(v, (unsigned)i);
        } else if (!shared) {
            v->file->shm_exclusive[i] = v;
            v->shm_exclusive |= bit;
        } else if ((v->shm_shared & bit) == 0) {
            v->file->shm_shared[i]++;
            v->shm_shared |= bit;
        }
    }
    return SQLITE_OK;
}

static void io_shm_barrier(sqlite3_file *base)
{
    (void)base; /* one thread */
}

static int io_shm_unmap(sqlite3_file *base, int delete_it)
{
    vfs_file *v = file_of(base);

    (void)delete_it; /* nobody is left to find it */
    if (!v->shm)
        return SQLITE_OK;
    for (unsigned i = 0; i < SIM_SHM_LOCKS; i++)
        (void)shm_unlock(v, i);
    v->shm = false;
    if (--v->file->shm_users == 0)
        disk_shm_drop(v->disk, v->file);
    return SQLITE_OK;
}

/* ---- files --------------------------------------------------------------------- */

static int io_close(sqlite3_file *base)
{
    vfs_file *v = file_of(base);

    (void)io_shm_unmap(base, 0);
    (void)io_unlock(base, SQLITE_LOCK_NONE);
    v->file->handles--;
    if (v->delete_on_close)
        v->file->deleted = true;
    disk_release(v->disk, v->file);
    v->base.pMethods = NULL;
    return SQLITE_OK;
}

static int io_control(sqlite3_file *base, int op, void *arg)
{
    (void)base;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int io_sector(sqlite3_file *base)
{
    (void)base;
    return 4096; /* what the unix VFS says; tears are at SIM_SECTOR_BYTES */
}

static int io_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods io_methods = {
    2,         io_close,   io_read,     io_write,       io_truncate,  io_sync,
    io_size,   io_lock,    io_unlock,   io_reserved,    io_control,   io_sector,
    io_traits, io_shm_map, io_shm_lock, io_shm_barrier, io_shm_unmap, NULL,
    NULL,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base,
                    int flags, int *out_flags)
{
    sim_disk *d = vfs->pAppData;
    vfs_file *v = file_of(base);
    char temporary[40];
    sim_file *f;

    memset(v, 0, sizeof *v);
    if (disk_call(d, SIM_DISK_OPEN, NULL, 0, 0) != TAKO_OK)
        return SQLITE_CANTOPEN;
    if (name == NULL) {
        (void)snprintf(temporary, sizeof temporary, "temporary-%llu",
                       (unsigned long long)d->inodes + 1);
        name = temporary;
    }
    f = disk_find(d, name);
    if (f == NULL && (flags & SQLITE_OPEN_CREATE) == 0)
        return SQLITE_CANTOPEN;
    if (f == NULL)
        f = disk_make(d, name);
    v->disk = d;
    v->file = f;
    v->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    v->base.pMethods = &io_methods;
    f->handles++;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    sim_disk *d = vfs->pAppData;
    sim_file *f = disk_find(d, name);

    if (f == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    return code(disk_delete(d, f, sync_folder != 0), SQLITE_IOERR_DELETE);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    sim_disk *d = vfs->pAppData;
    const sim_file *f = disk_find(d, name);

    if (d->stopped)
        return SQLITE_IOERR_ACCESS;
    /* As the unix VFS has it: an empty journal is none. */
    *out = f != NULL && (flags != SQLITE_ACCESS_EXISTS || f->now.len > 0);
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)cap, "%s", name) < cap ? SQLITE_OK
                                                        : SQLITE_CANTOPEN;
}

/* SQLite's own generator is process-wide and not the seed's: nothing that is
 * traced may depend on it (it salts the log and names temporary files). */
static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    sim_disk *d = vfs->pAppData;

    for (int i = 0; i < len; i++)
        out[i] = (char)(sim_random_next(&d->random) >> 32);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    ((sim_disk *)vfs->pAppData)->cost_us += (uint64_t)us;
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    *out = 2460000.5; /* no SQL of the store asks */
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    (void)len;
    (void)out;
    return 0;
}

void disk_vfs_init(sim_disk *d)
{
    (void)snprintf(d->vfs_name, sizeof d->vfs_name, "sim-%p", (void *)d);
    d->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(vfs_file),
        .mxPathname = SIM_NAME_BYTES_MAX,
        .zName = d->vfs_name,
        .pAppData = d,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    TAKO_ASSERT(sqlite3_vfs_register(&d->vfs, 0) == SQLITE_OK);
}

void disk_vfs_fini(sim_disk *d)
{
    (void)sqlite3_vfs_unregister(&d->vfs);
}
