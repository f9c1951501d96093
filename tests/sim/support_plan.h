// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_PLAN -- scenarios as texts in tests, and worlds of two. */
#ifndef TAKO_TESTS_SIM_SUPPORT_PLAN_H
#define TAKO_TESTS_SIM_SUPPORT_PLAN_H

#include "sim/checkers.h"
#include "sim/run.h"
#include "support/test_env.h"

sim_plan *plan_of(test_env *t, const char *text, uint64_t seed);
/* Runs a text; the result is static memory of this file's. */
const sim_result *run_text(test_env *t, const char *text, uint64_t seed);

/* Two devices, a and b, that want everything and are linked; with a model. */
typedef struct pair {
    test_env t;
    sim_world *w;
    sim_model *m;
    sim_node *a, *b, *c;
    sim_link *link;
} pair;

void pair_init(pair *p, uint64_t seed, store_durability durability);
/* And c, which wants what `third` says, and is linked with nobody. */
void pair_init_beside(pair *p, uint64_t seed, const char *third);
void pair_fini(pair *p);
/* A statement at a node, past the model's workload. */
tako_err pair_do(sim_node *n, const char *statement);
/* One operation of the workload; true: acknowledged. */
bool pair_op(pair *p, sim_node *n, sim_op_kind kind, uint32_t key);
void pair_run(pair *p, uint64_t ms);
bool pair_equal(pair *p);

#endif /* TAKO_TESTS_SIM_SUPPORT_PLAN_H */
