// SPDX-License-Identifier: Apache-2.0
/* RUN -- one plan, one seed, one result. */
#ifndef TAKO_SIM_RUN_H
#define TAKO_SIM_RUN_H

#include "sim/blobs.h"

typedef struct sim_run_opts {
    const tako_env *env;
    uint64_t seed;
    const sim_plan *plan;
    const bool *without; /* actions left out, by number; NULL: none */
    /* Lines of the log as they come; NULL: none. */
    void (*line)(void *ctx, const char *line);
    /* The history, as JSON lines; NULL: none. */
    void (*history)(void *ctx, const char *json);
    void *ctx;
} sim_run_opts;

typedef struct sim_result {
    uint64_t seed;
    bool failed;
    char checker[64];
    char failure[SIM_LINE_BYTES_MAX];
    uint64_t failed_us;
    uint64_t trace;

    size_t nodes, links;
    uint64_t operations, acked, refused, unknown, lost_to_power;
    uint64_t ends, oom_hits;
    uint64_t commits, merges, deliveries, documents;
    uint64_t bytes, segments, resent, dials, resets;
    uint64_t events, virtual_us, converged_us; /* after healing */
    uint64_t checked_receipts;
    uint64_t memory_peak, checked_cuts, checked_order, checked_states;
    uint64_t torn, redundancy;
    uint64_t delay_us; /* the longest from a commit to any other node */
    sim_blobs_counts attachments;
    uint64_t left; /* writes, with documents that left a node */
    char last[SIM_LAST_LINES][SIM_LINE_BYTES_MAX]; /* oldest first, "" none */
} sim_result;

void sim_run(const sim_run_opts *opts, sim_result *out);
/* Appends the result as one JSON object, or as lines for people. */
void sim_result_json(const sim_result *r, tako_buf *out);

/* ---- minimise.c ----------------------------------------------------------- */

/* Leaves out of a failing plan all it can while the same checker still fails,
 * trying at most `runs` times. Returns the smaller plan. */
sim_plan *sim_minimise(const sim_run_opts *opts, const sim_result *failing,
                       unsigned runs,
                       void (*progress)(void *ctx, size_t left, size_t all),
                       void *ctx);

#endif /* TAKO_SIM_RUN_H */
