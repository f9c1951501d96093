// SPDX-License-Identifier: Apache-2.0
/* WORKLOAD -- an operation of a plan becomes statements of a node's app. */
#ifndef TAKO_SIM_WORKLOAD_H
#define TAKO_SIM_WORKLOAD_H

#include "sim/blobs.h"
#include "sim/receipts.h"

typedef struct sim_workload {
    sim_world *world;
    sim_model *model;
    void (*history)(void *ctx, const char *json);
    void *ctx;
    uint64_t operations;
    sim_receipts *receipts; /* NULL: nobody looks at them */
    sim_blobs *blobs;
} sim_workload;

void sim_work(sim_workload *w, const sim_action *a);
/* A content was put in: its token, as parameter `t`, goes into the document. */
void sim_work_attach(void *ctx, sim_node *n, const sim_action *a,
                     tako_slice params);

#endif /* TAKO_SIM_WORKLOAD_H */
