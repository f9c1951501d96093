// SPDX-License-Identifier: Apache-2.0
/* MINIMISE -- the least that still fails.
 *
 * First actions, in blocks from half of them down to one (the delta debugging
 * of Zeller and Hildebrandt, 2002, without its complements): a block whose
 * absence leaves the same checker failing goes. Then nodes nobody does
 * anything to, one by one. What one run costs is virtual, so hundreds are
 * affordable. */
#include <stdio.h>

#include "base/check.h"
#include "sim/run.h"

typedef struct search {
    const sim_run_opts *opts;
    const sim_result *failing;
    sim_plan *plan;
    bool *without;
    sim_result *result;
    unsigned left;
    void (*progress)(void *ctx, size_t left, size_t all);
    void *ctx;
} search;

static bool still_fails(search *s, const sim_plan *plan, const bool *without)
{
    sim_run_opts o = { .env = s->opts->env,
                       .seed = s->opts->seed,
                       .plan = plan,
                       .without = without };

    if (s->left == 0)
        return false;
    s->left--;
    sim_run(&o, s->result);
    return s->result->failed &&
           strcmp(s->result->checker, s->failing->checker) == 0;
}

/* ---- actions ------------------------------------------------------------------ */

static size_t count_left(const search *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->plan->action_count; i++)
        n += !s->without[i];
    return n;
}

/* Tries without the next `block` actions that are still there, from *at on. */
static bool try_block(search *s, size_t block, size_t *at)
{
    size_t n = s->plan->action_count, first = *at, taken = 0;
    bool *before = sim_new(s->opts->env, n);
    bool good;

    memcpy(before, s->without, n);
    while (*at < n && taken < block) {
        taken += !s->without[*at];
        s->without[(*at)++] = true;
    }
    good = taken > 0 && still_fails(s, s->plan, s->without);
    if (!good)
        memcpy(s->without + first, before + first, n - first);
    tako_env_free(s->opts->env, before, n);
    return good;
}

static void less_actions(search *s)
{
    size_t block = s->plan->action_count / 2;

    for (; block > 0 && s->left > 0; block /= 2) {
        for (size_t at = 0; at < s->plan->action_count && s->left > 0;) {
            if (try_block(s, block, &at) && s->progress != NULL)
                s->progress(s->ctx, count_left(s), s->plan->action_count);
        }
    }
}

/* ---- plans without something ---------------------------------------------------- */

static size_t moved(size_t index, size_t gone)
{
    return index > gone ? index - 1 : index;
}

static bool is_link(const sim_action *a)
{
    return a->kind == SIM_PARTITION || a->kind == SIM_ONEWAY ||
           a->kind == SIM_RESET || a->kind == SIM_UP || a->kind == SIM_DOWN;
}

/* A copy without one node (SIM_NODES_MAX: with all) and the actions left out. */
static sim_plan *plan_less(const sim_plan *p, const bool *without, size_t gone)
{
    sim_plan *q = sim_plan_empty(p->env);

    q->time_us = p->time_us;
    q->settle_us = p->settle_us;
    q->grace_us = p->grace_us;
    memcpy(q->title, p->title, sizeof q->title);
    memcpy(q->expects, p->expects, sizeof q->expects);
    q->expect_count = p->expect_count;
    for (size_t i = 0; i < p->node_count; i++)
        if (i != gone)
            q->nodes[q->node_count++] = p->nodes[i];
    for (size_t i = 0; i < p->link_count; i++) {
        sim_plan_link l = p->links[i];

        if (l.a == gone || l.b == gone)
            continue;
        l.a = moved(l.a, gone);
        l.b = moved(l.b, gone);
        q->links[q->link_count++] = l;
    }
    for (size_t i = 0; i < p->sub_count; i++)
        if (p->subs[i].node != gone)
            q->subs[q->sub_count++] =
                (sim_plan_sub){ moved(p->subs[i].node, gone),
                                sim_copy(p->env, p->subs[i].text) };
    for (size_t i = 0; i < p->action_count; i++) {
        sim_action a = p->actions[i];

        if ((without != NULL && without[i]) || a.a == gone ||
            (is_link(&a) && a.b == gone))
            continue;
        a.a = moved(a.a, gone);
        a.b = is_link(&a) ? moved(a.b, gone) : a.b;
        sim_plan_add(q, &a);
    }
    return q;
}

static void less_nodes(search *s)
{
    for (size_t i = s->plan->node_count; i-- > 0 && s->left > 0;) {
        sim_plan *q;

        if (s->plan->node_count <= 1)
            return;
        q = plan_less(s->plan, NULL, i);
        if (!still_fails(s, q, NULL)) {
            sim_plan_free(q);
            continue;
        }
        sim_plan_free(s->plan);
        s->plan = q;
    }
}

sim_plan *sim_minimise(const sim_run_opts *opts, const sim_result *failing,
                       unsigned runs,
                       void (*progress)(void *ctx, size_t left, size_t all),
                       void *ctx)
{
    const tako_env *env = opts->env;
    search s = { opts, failing, NULL, NULL, NULL, runs, progress, ctx };
    sim_plan *smaller;
    size_t n = opts->plan->action_count;

    s.plan = plan_less(opts->plan, NULL, SIM_NODES_MAX);
    s.without = sim_new(env, n + 1);
    s.result = sim_new(env, sizeof *s.result);
    less_actions(&s);
    smaller = plan_less(s.plan, s.without, SIM_NODES_MAX);
    sim_plan_free(s.plan);
    s.plan = smaller;
    less_nodes(&s);
    tako_env_free(env, s.without, n + 1);
    tako_env_free(env, s.result, sizeof *s.result);
    return s.plan;
}
