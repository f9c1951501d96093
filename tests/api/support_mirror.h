// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_MIRROR -- an app that keeps a result by applying diffs, as tako.h
 * tells it to. Each state that it reaches is kept with its commit. */
#ifndef TAKO_TESTS_SUPPORT_MIRROR_H
#define TAKO_TESTS_SUPPORT_MIRROR_H

#include "support_db.h"

#include <pthread.h>

#include "tako/tako.h"

#define MIRROR_STATES_MAX 4096

typedef struct mirror_state {
    uint64_t commit;
    char *rows; /* a JSON array; of a set sorted */
} mirror_state;

typedef struct mirror {
    tako_db *db;
    tako_observer observer;
    const char *select;
    bool set; /* without places */
    char **rows;
    size_t count, cap;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    mirror_state states[MIRROR_STATES_MAX];
    size_t state_count;
    unsigned resets, inserted, updated, removed, moved;
    const char *wrong; /* what an app could not have applied */
} mirror;

/* Observes; flags as tako_observe_diff. */
void mirror_start(mirror *m, tako_db *db, const char *select, bool set,
                  uint32_t flags);
void mirror_free(mirror *m); /* after unobserve or close */
/* Waits for a state of this commit or a later one; fails after 10 s. */
void mirror_wait_commit(mirror *m, uint64_t commit);
/* Waits until the last state is `rows`, sorted if a set. */
void mirror_wait_rows(mirror *m, const char *rows);
/* How many deliveries there were. */
size_t mirror_states(mirror *m);
/* The result as of now as a state has it; to be freed with free(). */
char *mirror_result(tako_db *db, const char *select, bool set);

#endif /* TAKO_TESTS_SUPPORT_MIRROR_H */
