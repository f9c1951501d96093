// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- what nodes say of who keeps their commits, against what is so.
 *
 *   a keeper has it   who is said to keep a commit has a state of each of its
 *       documents that has seen what the teller's has; also after its power
 *       failed, since it said so of its disk. Or it had that, and let the
 *       document go: what others began anew under its key, without knowing, has
 *       seen nothing of that (SYNC.md 3).
 *   every keeper becomes known   when all is healed and in sync, whoever wrote
 *       knows of each of its last commits that all others keep it (or that
 *       TAKO_RECEIPTS_KEEPERS_MAX do), where all want the whole collection. */
#ifndef TAKO_SIM_RECEIPTS_H
#define TAKO_SIM_RECEIPTS_H

#include "sim/checkers.h"

#define SIM_RECEIPTS_COMMITS 8u /* of each node, its last ones */

typedef struct sim_receipts {
    const sim_model *model;
    uint64_t commits[SIM_NODES_MAX][SIM_RECEIPTS_COMMITS];
    size_t count[SIM_NODES_MAX];
    uint64_t serial, next_us, pause_us; /* of the next look */
    uint64_t claims;                    /* that were checked */
} sim_receipts;

/* From now on it looks at all nodes, twice a second while there is work. */
void sim_receipts_watch(sim_receipts *r, const sim_model *m);
/* A node committed something of its own. */
void sim_receipts_note(sim_receipts *r, const sim_node *n, uint64_t lsn);
/* After the world converged: time goes on until all is known. */
void sim_receipts_settle(sim_receipts *r);

#endif /* TAKO_SIM_RECEIPTS_H */
