// SPDX-License-Identifier: Apache-2.0
/* PLAN -- what a scenario and a seed decided, and how it is written down. */
#include "base/check.h"
#include "sim/scenario.h"

sim_plan *sim_plan_empty(const tako_env *env)
{
    sim_plan *p = sim_new(env, sizeof *p);

    p->env = env;
    return p;
}

void sim_plan_free(sim_plan *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->sub_count; i++)
        tako_env_free(p->env, p->subs[i].text, strlen(p->subs[i].text) + 1);
    tako_env_free(p->env, p->actions, p->action_cap * sizeof *p->actions);
    tako_env_free(p->env, p, sizeof *p);
}

void sim_plan_add(sim_plan *p, const sim_action *action)
{
    if (p->action_count == p->action_cap) {
        size_t cap = p->action_cap == 0 ? 256 : p->action_cap * 2;

        TAKO_ASSERT(cap <= SIM_ACTIONS_MAX);
        p->actions = p->env->realloc(p->env->ctx, p->actions,
                                     p->action_cap * sizeof *p->actions,
                                     cap * sizeof *p->actions);
        TAKO_ASSERT(p->actions != NULL);
        p->action_cap = cap;
    }
    p->actions[p->action_count++] = *action;
}

/* Merge sort, as the order of equals is kept. */
void sim_plan_sort(sim_plan *p)
{
    size_t n = p->action_count;
    sim_action *from = p->actions, *to, *spare;

    if (n < 2)
        return;
    spare = to = sim_new(p->env, n * sizeof *to);
    for (size_t width = 1; width < n; width *= 2) {
        sim_action *swap = from;

        for (size_t at = 0; at < n; at += 2 * width) {
            size_t i = at, mid = at + width < n ? at + width : n;
            size_t j = mid, end = mid + width < n ? mid + width : n;

            for (size_t k = at; k < end; k++)
                to[k] = j >= end || (i < mid && from[i].at_us <= from[j].at_us)
                            ? from[i++]
                            : from[j++];
        }
        from = to;
        to = swap;
    }
    if (from != p->actions)
        memcpy(p->actions, from, n * sizeof *from);
    tako_env_free(p->env, spare, n * sizeof *spare);
}

/* ---- as text ------------------------------------------------------------------ */

static void put_us(tako_buf *out, uint64_t us)
{
    if (us % SIM_SECOND == 0)
        tako_put_fmt(out, "%llus", (unsigned long long)(us / SIM_SECOND));
    else
        tako_put_fmt(out, "%lluus", (unsigned long long)us);
}

static void put_node(const sim_plan_node *n, tako_buf *out)
{
    tako_put_fmt(out, "node %s", n->name);
    if (n->durability == STORE_FULL)
        tako_put_str(out, " durability full");
    if (n->archive)
        tako_put_str(out, " archive");
    if (n->fetches)
        tako_put_str(out, " fetches");
    if (n->reads_only)
        tako_put_str(out, " reads-only");
    if (n->memory_bytes > 0)
        tako_put_fmt(out, " memory %llu", (unsigned long long)n->memory_bytes);
    if (n->quota_bytes > 0)
        tako_put_fmt(out, " disk %llu", (unsigned long long)n->quota_bytes);
    if (n->slow > 1)
        tako_put_fmt(out, " slow %u", n->slow);
    if (n->skew_ms != 0)
        tako_put_fmt(out, " clock %lldms", (long long)n->skew_ms);
    tako_put_u8(out, '\n');
}

static void put_chance(tako_buf *out, const char *name, uint32_t ppm)
{
    if (ppm > 0)
        tako_put_fmt(out, " %s %uppm", name, ppm);
}

static void put_link(const sim_plan *p, const sim_plan_link *l, tako_buf *out)
{
    const sim_link_kind *k = &l->kind;

    tako_put_fmt(out, "link %s %s%s latency ", p->nodes[l->a].name,
                 p->nodes[l->b].name, l->down ? " down" : "");
    put_us(out, k->latency_us);
    tako_put_str(out, " jitter ");
    put_us(out, k->jitter_us);
    if (k->bytes_per_s > 0)
        tako_put_fmt(out, " bandwidth %llub",
                     (unsigned long long)k->bytes_per_s);
    tako_put_fmt(out, " mtu %u", k->mtu);
    put_chance(out, "loss", k->loss_ppm);
    put_chance(out, "duplicate", k->duplicate_ppm);
    put_chance(out, "reorder", k->reorder_ppm);
    put_chance(out, "corrupt", k->corrupt_ppm);
    tako_put_u8(out, '\n');
}

static void put_steps(const sim_action *a, tako_buf *out)
{
    for (size_t i = 0; i < a->step_count; i++) {
        const sim_op_step *s = &a->steps[i];

        tako_put_fmt(out, "%s %s %u", i > 0 ? " ," : "", sim_op_names[s->kind],
                     s->key);
        if (s->kind == SIM_OP_INCREMENT || s->kind == SIM_OP_ATTACH)
            tako_put_fmt(out, " by %s%d", s->amount < 0 ? "- " : "",
                         s->amount < 0 ? -s->amount : s->amount);
    }
}

static void put_value(const sim_action *a, tako_buf *out)
{
    switch ((int)a->kind) {
    case SIM_SKEW:
        tako_put_fmt(out, " %lldms", (long long)a->value);
        break;
    case SIM_NO_MEMORY:
    case SIM_DISK_ERROR:
    case SIM_SYNC_ERROR:
        tako_put_fmt(out, " %lldppm", (long long)a->value);
        break;
    case SIM_SLOW:
    case SIM_SLOW_DISK:
    case SIM_FULL:
    case SIM_KILL_MID:
    case SIM_POWER_MID:
    case SIM_NO_MEMORY_AT:
        tako_put_fmt(out, " %lld", (long long)a->value);
        break;
    default:
        break;
    }
}

static void put_action(const sim_plan *p, const sim_action *a, tako_buf *out)
{
    bool link = a->kind == SIM_PARTITION || a->kind == SIM_ONEWAY ||
                a->kind == SIM_RESET || a->kind == SIM_UP ||
                a->kind == SIM_DOWN;

    if (a->kind == SIM_DO) {
        tako_put_fmt(out, "do %s at ", p->nodes[a->a].name);
        put_us(out, a->at_us);
        put_steps(a, out);
        tako_put_u8(out, '\n');
        return;
    }
    tako_put_fmt(out, "fault %s %s", sim_action_names[a->kind],
                 p->nodes[a->a].name);
    if (link)
        tako_put_fmt(out, " %s", p->nodes[a->b].name);
    put_value(a, out);
    tako_put_str(out, " at ");
    put_us(out, a->at_us);
    if (a->for_us > 0) {
        tako_put_str(out, " for ");
        put_us(out, a->for_us);
    }
    tako_put_u8(out, '\n');
}

static void put_expect(const sim_expect *x, tako_buf *out)
{
    static const char *const kinds[] = { "documents",  "commits", "converge",
                                         "memory",     "bytes",   "torn",
                                         "redundancy", "delay" };
    static const char *const relations[] = { "<=", "=", ">=" };

    tako_put_fmt(out, "expect %s %s %llu%s\n", kinds[x->kind],
                 relations[x->relation + 1], (unsigned long long)x->value,
                 x->kind == SIM_EXPECT_CONVERGE || x->kind == SIM_EXPECT_DELAY
                     ? "us"
                     : "");
}

void sim_plan_print(const sim_plan *p, tako_buf *out)
{
    if (p->title[0] != '\0')
        tako_put_fmt(out, "scenario \"%s\"\n", p->title);
    tako_put_str(out, "time ");
    put_us(out, p->time_us);
    tako_put_str(out, "\nsettle ");
    put_us(out, p->settle_us);
    if (p->grace_us > 0) {
        tako_put_str(out, "\ngrace ");
        put_us(out, p->grace_us);
    }
    tako_put_u8(out, '\n');
    for (size_t i = 0; i < p->node_count; i++)
        put_node(&p->nodes[i], out);
    for (size_t i = 0; i < p->sub_count; i++)
        tako_put_fmt(out, "subscribe %s \"%s\"\n",
                     p->nodes[p->subs[i].node].name, p->subs[i].text);
    for (size_t i = 0; i < p->node_count; i++)
        if (p->nodes[i].setup[0] != '\0')
            tako_put_fmt(out, "setup %s \"%s\"\n", p->nodes[i].name,
                         p->nodes[i].setup);
    for (size_t i = 0; i < p->link_count; i++)
        put_link(p, &p->links[i], out);
    for (size_t i = 0; i < p->action_count; i++)
        put_action(p, &p->actions[i], out);
    for (size_t i = 0; i < p->expect_count; i++)
        put_expect(&p->expects[i], out);
}
