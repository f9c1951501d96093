// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

#define AGAIN_US (2 * SIM_SECOND) /* a node that nobody said when to restart */

static uint64_t lasting(const sim_action *a)
{
    return a->for_us > 0 ? a->for_us : AGAIN_US;
}

/* ---- links ------------------------------------------------------------------- */

static unsigned direction_of(const sim_link *l, const sim_world *w,
                             const sim_action *a)
{
    if (a->kind != SIM_ONEWAY)
        return 2;
    return l->end[0] == w->nodes[a->a] ? 0 : 1;
}

static void link_fault(sim_world *w, const sim_action *a, bool begins)
{
    sim_link *l = sim_link_find(w, w->nodes[a->a], w->nodes[a->b]);
    bool cut = (a->kind == SIM_UP) != begins;

    sim_note(w, NULL, "%s %s-%s %s", sim_action_names[a->kind],
             w->nodes[a->a]->name, w->nodes[a->b]->name,
             begins ? "begins" : "ends");
    if (a->kind == SIM_RESET)
        sim_link_reset(l);
    else if (cut)
        sim_link_cut(l, direction_of(l, w, a));
    else
        sim_link_mend(l, direction_of(l, w, a));
}

/* ---- nodes --------------------------------------------------------------------- */

static void clock_fault(sim_node *n, const sim_action *a, bool begins)
{
    if (a->kind == SIM_STUCK) {
        n->stuck = false;
        n->stuck_ms = sim_node_wall_ms(n);
        n->stuck = begins;
    } else if (begins || a->for_us > 0) {
        n->skew_ms = begins ? a->value : 0;
    }
}

static void disk_fault(sim_node *n, const sim_action *a, bool begins)
{
    sim_disk_faults *f = sim_disk_faults_of(n->disk);
    uint32_t chance = begins ? (uint32_t)a->value : 0;

    switch ((int)a->kind) {
    case SIM_DISK_ERROR:
        f->fail_ppm[SIM_DISK_READ] = chance / 10;
        f->fail_ppm[SIM_DISK_WRITE] = chance;
        f->fail_ppm[SIM_DISK_TRUNCATE] = chance;
        f->fail_ppm[SIM_DISK_SYNC] = chance;
        f->fail_ppm[SIM_DISK_OPEN] = chance;
        break;
    case SIM_SYNC_ERROR:
        f->fail_ppm[SIM_DISK_SYNC] = chance;
        break;
    case SIM_SLOW_DISK:
        f->slow = begins ? (uint32_t)a->value : 1;
        break;
    default:
        f->quota_bytes =
            begins ? sim_disk_bytes(n->disk) + (uint64_t)a->value : 0;
        break;
    }
}

static void end_fault(sim_node *n, const sim_action *a)
{
    switch ((int)a->kind) {
    case SIM_KILL:
        sim_node_end(n, SIM_DISK_KILL, lasting(a));
        break;
    case SIM_POWER:
        sim_node_end(n, SIM_DISK_POWER, lasting(a));
        break;
    case SIM_STOP:
        sim_node_stop(n, lasting(a));
        break;
    default:
        n->restart_us = lasting(a);
        sim_disk_stop_at(
            n->disk, a->kind == SIM_KILL_MID ? SIM_DISK_KILL : SIM_DISK_POWER,
            (uint64_t)a->value);
        break;
    }
}

static void node_fault(sim_world *w, const sim_action *a, bool begins)
{
    sim_node *n = w->nodes[a->a];

    sim_note(w, n, "%s %lld %s", sim_action_names[a->kind], (long long)a->value,
             begins ? "begins" : "ends");
    switch ((int)a->kind) {
    case SIM_SKEW:
    case SIM_STUCK:
        clock_fault(n, a, begins);
        break;
    case SIM_SLOW:
        n->slow = begins ? (uint32_t)a->value : 1;
        break;
    case SIM_NO_MEMORY:
        n->oom_ppm = begins ? (uint32_t)a->value : 0;
        break;
    case SIM_NO_MEMORY_AT:
        n->oom_at = begins ? (uint64_t)a->value : 0;
        break;
    case SIM_DISK_ERROR:
    case SIM_SYNC_ERROR:
    case SIM_FULL:
    case SIM_SLOW_DISK:
        disk_fault(n, a, begins);
        break;
    default:
        if (begins)
            end_fault(n, a);
        break;
    }
}

/* ---- both ------------------------------------------------------------------------- */

static void apply(sim_world *w, const sim_action *a, bool begins)
{
    switch ((int)a->kind) {
    case SIM_PARTITION:
    case SIM_ONEWAY:
    case SIM_RESET:
    case SIM_UP:
    case SIM_DOWN:
        link_fault(w, a, begins);
        break;
    default:
        node_fault(w, a, begins);
        break;
    }
}

static void on_over(sim_world *w, void *ctx, uint64_t number)
{
    /* What sim_heal() undid may be undone once. */
    if (number == w->healings)
        apply(w, ctx, false);
}

void sim_fault(sim_world *w, const sim_action *a)
{
    w->faulted = true;
    apply(w, a, true);
    if (a->for_us > 0 && a->kind != SIM_RESET)
        sim_at(w, w->now_us + a->for_us, on_over, (void *)(uintptr_t)a,
               w->healings);
}

void sim_heal(sim_world *w)
{
    w->healings++;
    sim_note(w, NULL, "everything heals");
    for (sim_link *l = sim_links(w); l != NULL; l = l->next) {
        while (l->cut[0] > 0)
            sim_link_mend(l, 0);
        while (l->cut[1] > 0)
            sim_link_mend(l, 1);
        l->kind.loss_ppm = l->kind.corrupt_ppm = 0;
    }
    for (size_t i = 0; i < w->count; i++) {
        sim_node *n = w->nodes[i];

        memset(sim_disk_faults_of(n->disk), 0, sizeof(sim_disk_faults));
        sim_disk_stop_at(n->disk, SIM_DISK_KILL, 0);
        n->oom_ppm = 0;
        n->oom_at = 0;
        n->stuck = false;
        n->slow = 1;
        if (!n->up)
            sim_node_end(n, SIM_DISK_KILL, SIM_SECOND);
        else if (n->stopping)
            n->restart_us = SIM_SECOND;
    }
}
