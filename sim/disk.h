// SPDX-License-Identifier: Apache-2.0
/* DISK -- one device's disk, in memory: a folder of files under SQLite's VFS
 * and under tako_files, which knows what is written from what is synced.
 *
 * A write changes what reads see at once, and joins the list of what a power
 * failure may lose. A sync makes a file, and its name, safe. At a power
 * failure each write since the last sync survives, is lost, or is torn at a
 * sector, by the disk's seed and independently of the order they were made
 * in; a killed process loses nothing that was written.
 *
 * Both ends are a moment: after sim_disk_stop() every call fails and changes
 * nothing, so that the dead process's memory can be given back by the usual
 * functions; sim_disk_start() is the next boot or start. */
#ifndef TAKO_SIM_DISK_H
#define TAKO_SIM_DISK_H

#include "base/files.h"
#include "sim/random.h"

#define SIM_SECTOR_BYTES   512u
#define SIM_FILES_MAX      64u
#define SIM_NAME_BYTES_MAX 96u
#define SIM_LOCKS_MAX      4u

typedef struct sim_disk sim_disk;

typedef enum sim_disk_op {
    SIM_DISK_READ,
    SIM_DISK_WRITE,
    SIM_DISK_TRUNCATE,
    SIM_DISK_SYNC,
    SIM_DISK_OPEN,
    SIM_DISK_DELETE,
    SIM_DISK_OPS,
} sim_disk_op;

typedef enum sim_disk_end {
    SIM_DISK_KILL,  /* the process: what is written stays */
    SIM_DISK_POWER, /* the machine: what is not synced is at the dice's mercy */
} sim_disk_end;

typedef struct sim_disk_faults {
    uint32_t fail_ppm[SIM_DISK_OPS]; /* EIO */
    uint32_t full_ppm;               /* ENOSPC, of writes that grow a file */
    uint64_t quota_bytes;            /* 0: none */
    bool sync_loses; /* a failed sync drops what it should have written, and
                      * the next says all is well (as Linux does) */
    uint32_t slow;   /* times the usual cost; 0: 1 */
} sim_disk_faults;

/* `env` is the simulator's own memory. */
sim_disk *sim_disk_new(const tako_env *env, uint64_t seed);
void sim_disk_free(sim_disk *d);

const char *sim_disk_vfs(const sim_disk *d);
const tako_files *sim_disk_files(const sim_disk *d);
sim_disk_faults *sim_disk_faults_of(sim_disk *d);

/* Fails the n-th call of a kind from now on, n >= 1, once. 0: none. */
void sim_disk_fail_at(sim_disk *d, sim_disk_op op, uint64_t n, tako_err err);
/* The same, and every later one, until sim_disk_fail_at. */
void sim_disk_fail_from(sim_disk *d, sim_disk_op op, uint64_t n, tako_err err);
/* Power fails, or the process is killed, in the middle of the n-th change
 * from now on; 0: never. */
void sim_disk_stop_at(sim_disk *d, sim_disk_end how, uint64_t n);

void sim_disk_stop(sim_disk *d, sim_disk_end how);
bool sim_disk_stopped(const sim_disk *d);
sim_disk_end sim_disk_how(const sim_disk *d); /* it stopped */
/* Every file must be closed. After a power failure with another boot id. */
void sim_disk_start(sim_disk *d);

/* While paused nothing fails, counts, costs or is traced: who looks at a
 * disk from above is not there. */
void sim_disk_pause(sim_disk *d, bool pause);

uint64_t sim_disk_bytes(const sim_disk *d);
/* What its calls have cost since this was asked last, in microseconds. */
uint64_t sim_disk_cost_us(sim_disk *d);
uint64_t sim_disk_changes(const sim_disk *d); /* writes, syncs, ... so far */
/* Of one kind, so far. */
uint64_t sim_disk_calls(const sim_disk *d, sim_disk_op op);
/* A folded hash of every call and its outcome so far, contents left out. */
uint64_t sim_disk_trace(const sim_disk *d);

#endif /* TAKO_SIM_DISK_H */
