// SPDX-License-Identifier: Apache-2.0
/* FAULTS -- an action of a plan happens to the world; and everything heals. */
#ifndef TAKO_SIM_FAULTS_H
#define TAKO_SIM_FAULTS_H

#include "sim/scenario.h"

/* Begins it, and, for one that lasts, asks for its end. */
void sim_fault(sim_world *w, const sim_action *a);
/* All links up, all disks and memories good, all clocks running (wrong, where
 * they were set wrong), every node up or about to be. */
void sim_heal(sim_world *w);

#endif /* TAKO_SIM_FAULTS_H */
