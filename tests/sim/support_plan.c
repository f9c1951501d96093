// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

#include "sim/workload.h"

sim_plan *plan_of(test_env *t, const char *text, uint64_t seed)
{
    sim_scenario_error e;
    sim_plan *p = NULL;

    if (sim_plan_new(&t->env, tako_slice_str(text), seed, &p, &e) != TAKO_OK)
        fail_msg("%u:%u: %s", e.line, e.column, e.text);
    return p;
}

const sim_result *run_text(test_env *t, const char *text, uint64_t seed)
{
    static sim_result result;
    sim_plan *p = plan_of(t, text, seed);
    sim_run_opts o = { .env = &t->env, .seed = seed, .plan = p };

    sim_run(&o, &result);
    sim_plan_free(p);
    return &result;
}

static void init(pair *p, uint64_t seed, store_durability durability,
                 const char *third)
{
    memset(p, 0, sizeof *p);
    test_env_init(&p->t, seed);
    p->w = sim_world_new(&p->t.env, seed);
    p->m = sim_model_new(p->w);
    p->a = sim_node_add(p->w, "a");
    p->b = sim_node_add(p->w, "b");
    p->a->durability = p->b->durability = durability;
    sim_node_subscribe(p->a, "SELECT * FROM orders");
    sim_node_subscribe(p->b, "SELECT * FROM orders");
    p->link = sim_link_add(p->w, p->a, p->b, &sim_link_usual);
    if (third != NULL) {
        p->c = sim_node_add(p->w, "c");
        sim_node_subscribe(p->c, third);
    }
    sim_model_watch(p->m);
    sim_node_start(p->a);
    sim_node_start(p->b);
    if (third != NULL)
        sim_node_start(p->c);
}

void pair_init(pair *p, uint64_t seed, store_durability durability)
{
    init(p, seed, durability, NULL);
}

void pair_init_beside(pair *p, uint64_t seed, const char *third)
{
    init(p, seed, STORE_NORMAL, third);
}

void pair_fini(pair *p)
{
    sim_world_free(p->w);
    sim_model_free(p->m);
    test_env_check_empty(&p->t);
}

tako_err pair_do(sim_node *n, const char *statement)
{
    tako_errbuf e;
    uint64_t lsn;

    return sim_node_run(n, &statement, 1, &lsn, NULL, &e);
}

bool pair_op(pair *p, sim_node *n, sim_op_kind kind, uint32_t key)
{
    sim_workload work = { p->w, p->m, NULL, NULL, 0, NULL, NULL };
    sim_action a = { .kind = SIM_DO, .a = n->index, .step_count = 1 };
    uint64_t before = p->m->acked;

    a.steps[0] = (sim_op_step){ kind, key, 3 };
    sim_work(&work, &a);
    return p->m->acked > before;
}

void pair_run(pair *p, uint64_t ms)
{
    sim_run_until(p->w, p->w->now_us + ms * SIM_MS);
}

bool pair_equal(pair *p)
{
    char why[240];

    return sim_model_converged(p->m, why, sizeof why);
}
