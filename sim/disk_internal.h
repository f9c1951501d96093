// SPDX-License-Identifier: Apache-2.0
/* What disk.c and vfs.c share. */
#ifndef TAKO_SIM_DISK_INTERNAL_H
#define TAKO_SIM_DISK_INTERNAL_H

#include <sqlite3.h>

#include "base/check.h"
#include "sim/disk.h"

#define SIM_SHM_REGIONS_MAX 64u
#define SIM_SHM_LOCKS       8u /* SQLITE_SHM_NLOCK */

typedef struct sim_file {
    struct sim_file *next;
    char name[SIM_NAME_BYTES_MAX];
    uint64_t inode;
    tako_buf now;     /* what reads see */
    tako_buf safe;    /* what survives anything */
    tako_buf pending; /* the writes between the two, see disk.c */
    bool entry_safe;  /* the name is in the folder, durably */
    bool deleted;
    bool replaced; /* deleted by a rename over it */
    unsigned handles;

    /* SQLite's locks */
    unsigned shared;
    const void *reserved, *waiting, *exclusive;
    uint8_t *regions[SIM_SHM_REGIONS_MAX];
    size_t region_bytes;
    unsigned shm_users;
    unsigned shm_shared[SIM_SHM_LOCKS];
    const void *shm_exclusive[SIM_SHM_LOCKS];
} sim_file;

struct sim_disk {
    const tako_env *env;
    sim_random random;
    sim_file *files;
    size_t file_count;
    uint64_t inodes;
    tako_machine machine;
    tako_files interface;
    sqlite3_vfs vfs;
    char vfs_name[40];
    sim_disk_faults faults;
    struct {
        uint64_t at;
        tako_err err;
        bool on; /* and from then on */
    } nth[SIM_DISK_OPS];
    uint64_t stop_at;
    sim_disk_end stop_how, how;
    bool stopped, paused;
    char locks[SIM_LOCKS_MAX][SIM_NAME_BYTES_MAX]; /* taken; "": free */
    uint64_t changes, cost_us, trace;
    uint64_t calls[SIM_DISK_OPS];
};

/* May this call go on? TAKO_OK, or how it fails. Changes count towards
 * sim_disk_stop_at(); one that the end comes in is not made. */
tako_err disk_call(sim_disk *d, sim_disk_op op, const sim_file *f, uint64_t at,
                   uint64_t len);

sim_file *disk_find(const sim_disk *d, const char *name);
sim_file *disk_make(sim_disk *d, const char *name);
void disk_read(const sim_file *f, uint64_t at, uint8_t *out, size_t len,
               size_t *got);
tako_err disk_write(sim_disk *d, sim_file *f, uint64_t at, tako_slice data);
tako_err disk_truncate(sim_disk *d, sim_file *f, uint64_t len);
tako_err disk_sync(sim_disk *d, sim_file *f);
tako_err disk_delete(sim_disk *d, sim_file *f, bool sync_folder);
void disk_release(sim_disk *d, sim_file *f); /* a handle was closed */
void disk_shm_drop(sim_disk *d, sim_file *f);

void disk_vfs_init(sim_disk *d);
void disk_vfs_fini(sim_disk *d);

#endif /* TAKO_SIM_DISK_INTERNAL_H */
