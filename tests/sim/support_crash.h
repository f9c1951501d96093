// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_CRASH -- one device on a simulated disk that carries out a script,
 * and what must hold wherever that ends.
 *
 * A script is a list of steps: a transaction in TQL, one statement a line, or
 * something about the file, beginning with @. A first run writes down what the
 * database holds after each step (its *pages*: collections, documents, indexes,
 * settings, as text). After an end anywhere a database must hold exactly one
 * page: that of the last acknowledged step, or that of the step it died in. So
 * one comparison says that nothing acknowledged is lost, that no transaction
 * is half there, and that nothing else happened. Then the script goes on from
 * there, and must end on the last page. */
#ifndef TAKO_TESTS_SIM_SUPPORT_CRASH_H
#define TAKO_TESTS_SIM_SUPPORT_CRASH_H

#include "support/test_env.h"

#include "sim/disk.h"
#include "store/store.h"

#define CRASH_STEPS_MAX  80u
#define CRASH_ACTORS_MAX 16u

typedef struct crash_script {
    const char *name;
    store_durability durability;
    const char *const *steps; /* the last is NULL */
} crash_script;

/* P1: what was used already, of one actor or incarnation. */
typedef struct crash_used {
    uint8_t id[16];
    uint64_t last;
} crash_used;

typedef struct crash_device {
    test_env t;
    sim_disk *disk;
    store_durability durability;
    store *store;
    store_conn *reader;
    tako_errbuf e;
    crash_used hlcs[CRASH_ACTORS_MAX], lsns[CRASH_ACTORS_MAX];
    bool dirty;        /* the mark is set */
    crdt_actor marked; /* by whom */
} crash_device;

/* Of the run in which nothing happens. */
typedef struct crash_plan {
    crash_script script;
    size_t count;                     /* steps */
    char *pages[CRASH_STEPS_MAX + 1]; /* [k]: after k steps */
    uint64_t changes;                 /* of the disk */
    uint64_t calls[SIM_DISK_OPS];
} crash_plan;

typedef struct crash_end {
    sim_disk_end how;
    uint64_t at;    /* the change it ends in */
    uint64_t dice;  /* seed of the disk */
    uint64_t again; /* not 0: ends once more, in this change of the recovery */
} crash_end;

void crash_plan_init(crash_plan *p, const crash_script *script);
void crash_plan_fini(crash_plan *p);
/* Fails the test with the script, the end and the reason. */
void crash_run(const crash_plan *p, const crash_end *end);
/* The n-th call of a kind fails with err, once, or until its step has failed;
 * lost: a failed sync loses what it should have written. A step that fails has
 * changed nothing, and can be tried again. In the end the power fails.
 * Whether a step failed: some do without the call. */
typedef struct crash_fault {
    sim_disk_op op;
    uint64_t n;
    tako_err err;
    bool once, lost;
} crash_fault;
bool crash_fail(const crash_plan *p, const crash_fault *f);

/* How many points are skipped, and how many dice are thrown: TAKO_CRASH_POINTS
 * is "all" (every point), "few" (sanitizers), or not set. */
uint64_t crash_stride(uint64_t usual);
uint64_t crash_dice(uint64_t usual, uint64_t all);

/* What a database holds, as text; to be freed with free(). */
char *crash_page(store_conn *c);
/* SQLite's check, each version recomputed, and the feed: every document is
 * named by the commit that wrote it. Fails the test with `what`. */
void crash_sound(store_conn *c, const char *what);

#endif /* TAKO_TESTS_SIM_SUPPORT_CRASH_H */
