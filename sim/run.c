// SPDX-License-Identifier: Apache-2.0
/* RUN -- a plan on a world: first with everything that goes wrong, then
 * healed, until all who want the same have the same, or patience ends. */
#include "sim/run.h"

#include <stdio.h>

#include "base/check.h"
#include "codec/json.h"
#include "sim/faults.h"
#include "sim/workload.h"

#define CHECK_US  (250 * SIM_MS) /* how often convergence is looked at */
#define QUEUE_MAX SIM_STREAM_BYTES_MAX

typedef struct run {
    const sim_run_opts *opts;
    sim_world *world;
    sim_model *model;
    sim_workload work;
    sim_receipts receipts;
    sim_blobs *blobs;
    uint64_t converged_us;
    uint64_t copies[2], fresh[2]; /* at half the time, and at its end */
} run;

/* ---- making the world ------------------------------------------------------------ */

static void make_nodes(run *r)
{
    const sim_plan *p = r->opts->plan;

    for (size_t i = 0; i < p->node_count; i++) {
        const sim_plan_node *s = &p->nodes[i];
        sim_node *n = sim_node_add(r->world, s->name);

        n->durability = s->durability;
        n->archive = s->archive;
        n->fetches = s->fetches;
        n->reads_only = s->reads_only;
        if (p->grace_us > 0)
            n->grace_ms = p->grace_us / SIM_MS;
        n->slow = s->slow;
        n->skew_ms = s->skew_ms;
        memcpy(n->setup, s->setup, sizeof n->setup);
        if (s->memory_bytes > 0)
            n->limit_bytes = (size_t)s->memory_bytes;
        sim_disk_faults_of(n->disk)->quota_bytes = s->quota_bytes;
    }
    for (size_t i = 0; i < p->sub_count; i++)
        sim_node_subscribe(r->world->nodes[p->subs[i].node], p->subs[i].text);
    for (size_t i = 0; i < p->link_count; i++) {
        const sim_plan_link *s = &p->links[i];
        sim_link *l = sim_link_add(r->world, r->world->nodes[s->a],
                                   r->world->nodes[s->b], &s->kind);

        if (s->down)
            sim_link_cut(l, 2);
    }
}

static void on_action(sim_world *w, void *ctx, uint64_t number)
{
    run *r = ctx;
    const sim_action *a = &r->opts->plan->actions[number];

    if (a->kind == SIM_DO)
        sim_work(&r->work, a);
    else
        sim_fault(w, a);
}

static void count_copies(const run *r, uint64_t *copies, uint64_t *fresh)
{
    *copies = *fresh = 0;
    for (size_t i = 0; i < r->world->count; i++) {
        const sim_node *n = r->world->nodes[i];
        uint64_t in, made;

        if (n->node == NULL)
            continue;
        node_copies(n->node, &in, &made);
        *copies += in;
        *fresh += made;
    }
}

static void make_actions(run *r)
{
    const sim_plan *p = r->opts->plan;

    for (size_t i = 0; i < p->action_count; i++)
        if (r->opts->without == NULL || !r->opts->without[i])
            sim_at(r->world, p->actions[i].at_us, on_action, r, i);
}

/* ---- the end ----------------------------------------------------------------------- */

static void settle(run *r)
{
    sim_world *w = r->world;
    uint64_t healed = w->now_us, end = healed + r->opts->plan->settle_us;
    char why[240] = "";

    sim_heal(w);
    while (!w->failed && w->now_us < end) {
        sim_run_until(w, w->now_us + CHECK_US);
        if (!w->failed && sim_model_converged(r->model, why, sizeof why)) {
            r->converged_us = w->now_us - healed;
            return;
        }
    }
    sim_fail(w, "equal interests, equal documents", "%llu s after healing: %s",
             (unsigned long long)(r->opts->plan->settle_us / SIM_SECOND), why);
}

static void check_bounds(run *r)
{
    for (size_t i = 0; i < r->world->count; i++) {
        const sim_node *n = r->world->nodes[i];

        if (n->limit_bytes > 0 && n->peak_bytes > n->limit_bytes)
            sim_fail(r->world, "bounded memory", "%s used %zu bytes of %zu",
                     n->name, n->peak_bytes, n->limit_bytes);
    }
}

static const struct {
    const char *name;
    size_t at;
} expected[] = {
    [SIM_EXPECT_DOCUMENTS] = { "documents", offsetof(sim_result, documents) },
    [SIM_EXPECT_COMMITS] = { "commits", offsetof(sim_result, acked) },
    [SIM_EXPECT_CONVERGE] = { "converge", offsetof(sim_result, converged_us) },
    [SIM_EXPECT_MEMORY] = { "memory", offsetof(sim_result, memory_peak) },
    [SIM_EXPECT_BYTES] = { "bytes", offsetof(sim_result, bytes) },
    [SIM_EXPECT_TORN] = { "torn", offsetof(sim_result, torn) },
    [SIM_EXPECT_REDUNDANCY] = { "redundancy",
                                offsetof(sim_result, redundancy) },
    [SIM_EXPECT_DELAY] = { "delay", offsetof(sim_result, delay_us) },
};

static void check_expected(run *r, const sim_result *out)
{
    const sim_plan *p = r->opts->plan;

    for (size_t i = 0; i < p->expect_count; i++) {
        const sim_expect *x = &p->expects[i];
        uint64_t is;

        memcpy(&is, (const char *)out + expected[x->kind].at, sizeof is);
        if ((is <= x->value && x->relation < 0) ||
            (is >= x->value && x->relation > 0) || is == x->value)
            continue;
        sim_fail(r->world, "what the scenario expects",
                 "%s is %llu, and not %s %llu", expected[x->kind].name,
                 (unsigned long long)is,
                 x->relation < 0    ? "at most"
                 : x->relation == 0 ? "exactly"
                                    : "at least",
                 (unsigned long long)x->value);
    }
}

static void count(run *r, sim_result *out)
{
    sim_world *w = r->world;
    const sim_model *m = r->model;

    out->nodes = w->count;
    out->operations = r->work.operations;
    out->acked = m->acked;
    out->refused = m->refused;
    out->unknown = m->unknown;
    out->lost_to_power = m->lost_to_power;
    out->deliveries = m->deliveries;
    out->checked_cuts = m->checked_cuts;
    out->checked_order = m->checked_order;
    out->left = m->left;
    out->checked_states = m->checked_states;
    out->torn = m->torn;
    out->delay_us = m->delay_us;
    out->documents = sim_model_documents(r->model);
    if (r->fresh[1] > r->fresh[0])
        out->redundancy =
            (r->copies[1] - r->copies[0]) * 100 / (r->fresh[1] - r->fresh[0]);
    out->events = w->events_done;
    out->virtual_us = w->now_us;
    out->converged_us = r->converged_us;
    for (size_t i = 0; i < w->count; i++) {
        const sim_node *n = w->nodes[i];

        out->commits += n->commits;
        out->merges += n->merges;
        out->ends += n->ends;
        out->oom_hits += n->oom_hits;
        if (n->peak_bytes > out->memory_peak)
            out->memory_peak = n->peak_bytes;
    }
    for (const sim_link *l = sim_links(w); l != NULL; l = l->next) {
        out->links++;
        out->bytes += l->bytes[0] + l->bytes[1];
        out->segments += l->segments[0] + l->segments[1];
        out->resent += l->resent[0] + l->resent[1];
        out->dials += l->dials;
        out->resets += l->resets;
    }
}

static void verdict(run *r, sim_result *out)
{
    const sim_world *w = r->world;
    uint64_t first =
        w->line_count > SIM_LAST_LINES ? w->line_count - SIM_LAST_LINES : 0;

    out->seed = r->opts->seed;
    out->trace = sim_trace_hash(w);
    out->failed = w->failed;
    out->failed_us = w->failed_us;
    memcpy(out->checker, w->checker, sizeof out->checker);
    memcpy(out->failure, w->failure, sizeof out->failure);
    for (uint64_t i = first; i < w->line_count; i++)
        memcpy(out->last[i - first], w->last[i % SIM_LAST_LINES],
               sizeof out->last[0]);
}

void sim_run(const sim_run_opts *opts, sim_result *out)
{
    run r = { .opts = opts };

    memset(out, 0, sizeof *out);
    r.world = sim_world_new(opts->env, opts->seed);
    r.model = sim_model_new(r.world);
    r.work = (sim_workload){ r.world, r.model,     opts->history, opts->ctx,
                             0,       &r.receipts, NULL };
    make_nodes(&r);
    sim_model_watch(r.model);
    r.blobs = r.work.blobs = sim_blobs_new(r.world, sim_work_attach, &r.work);
    sim_receipts_watch(&r.receipts, r.model);
    r.world->watch.line = opts->line;
    r.world->watch.line_ctx = opts->ctx;
    for (size_t i = 0; i < r.world->count; i++)
        sim_node_start(r.world->nodes[i]);
    make_actions(&r);
    sim_run_until(r.world, opts->plan->time_us / 2);
    count_copies(&r, &r.copies[0], &r.fresh[0]);
    sim_run_until(r.world, opts->plan->time_us);
    count_copies(&r, &r.copies[1], &r.fresh[1]);
    if (!r.world->failed)
        settle(&r);
    check_bounds(&r);
    count(&r, out);
    check_expected(&r, out);
    if (!r.world->failed)
        sim_receipts_settle(&r.receipts);
    out->checked_receipts = r.receipts.claims;
    if (!r.world->failed)
        sim_blobs_settle(r.blobs, opts->plan->settle_us);
    if (!r.world->failed)
        sim_blobs_final(r.blobs);
    out->attachments = *sim_blobs_counted(r.blobs);
    if (!r.world->failed)
        sim_model_final(r.model);
    /* What ends now must give its memory back, too. */
    r.world->quiet = true;
    for (size_t i = 0; i < r.world->count; i++)
        if (r.world->nodes[i]->up)
            sim_node_end(r.world->nodes[i], SIM_DISK_KILL, 0);
    verdict(&r, out);
    sim_blobs_free(r.blobs);
    sim_world_free(r.world);
    sim_model_free(r.model);
}

/* ---- as JSON ------------------------------------------------------------------------- */

static void put(tako_buf *out, const char *name, uint64_t value)
{
    tako_put_fmt(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

void sim_result_json(const sim_result *r, tako_buf *out)
{
    tako_put_fmt(out, "{\"seed\":%llu,\"ok\":%s,\"trace\":\"%016llx\"",
                 (unsigned long long)r->seed, r->failed ? "false" : "true",
                 (unsigned long long)r->trace);
    if (r->failed) {
        tako_put_str(out, ",\"checker\":");
        json_put_string(out, tako_slice_str(r->checker));
        tako_put_str(out, ",\"failure\":");
        json_put_string(out, tako_slice_str(r->failure));
        put(out, "failed_ms", r->failed_us / SIM_MS);
    }
    put(out, "nodes", r->nodes);
    put(out, "links", r->links);
    put(out, "operations", r->operations);
    put(out, "acknowledged", r->acked);
    put(out, "refused", r->refused);
    put(out, "unknown", r->unknown);
    put(out, "lost_to_power", r->lost_to_power);
    put(out, "ends", r->ends);
    put(out, "allocations_failed", r->oom_hits);
    put(out, "commits", r->commits);
    put(out, "merges", r->merges);
    put(out, "deliveries", r->deliveries);
    put(out, "documents", r->documents);
    put(out, "bytes", r->bytes);
    put(out, "segments", r->segments);
    put(out, "resent", r->resent);
    put(out, "dials", r->dials);
    put(out, "resets", r->resets);
    put(out, "events", r->events);
    put(out, "virtual_ms", r->virtual_us / SIM_MS);
    put(out, "converged_ms", r->converged_us / SIM_MS);
    put(out, "memory_peak", r->memory_peak);
    put(out, "checked_states", r->checked_states);
    put(out, "checked_cuts", r->checked_cuts);
    put(out, "checked_order", r->checked_order);
    put(out, "checked_receipts", r->checked_receipts);
    put(out, "left", r->left);
    put(out, "torn_while_catching_up", r->torn);
    put(out, "redundancy_percent", r->redundancy);
    put(out, "delay_ms", r->delay_us / SIM_MS);
    put(out, "attachments_put", r->attachments.put);
    put(out, "attachments_fetched", r->attachments.fetched);
    put(out, "attachments_shared", r->attachments.shared);
    put(out, "attachments_lost", r->attachments.lost);
    put(out, "attachments_unavailable", r->attachments.unavailable);
    put(out, "attachments_collected", r->attachments.collected);
    put(out, "checked_attachments", r->attachments.checked);
    tako_put_u8(out, '}');
}
