// SPDX-License-Identifier: Apache-2.0
/* WORLD -- the queue of events, and what is written down of them. */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "sim/net.h"

/* Every simulated mesh has it; nothing real does. */
#define SIM_SECRET "the secret of a simulated mesh"

void *sim_new(const tako_env *env, size_t bytes)
{
    void *p = tako_env_alloc(env, bytes);

    TAKO_ASSERT(p != NULL); /* the simulator's own memory, not a node's */
    return p;
}

char *sim_copy(const tako_env *env, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = sim_new(env, n);

    memcpy(p, text, n);
    return p;
}

/* ---- events: a binary heap by (time, order of asking) ------------------------ */

static bool before(const sim_event *a, const sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void events_grow(sim_world *w)
{
    size_t cap = w->event_cap == 0 ? 256 : w->event_cap * 2;

    TAKO_ASSERT(cap <= SIM_EVENTS_MAX);
    w->events = w->env->realloc(w->env->ctx, w->events,
                                w->event_cap * sizeof(sim_event),
                                cap * sizeof(sim_event));
    TAKO_ASSERT(w->events != NULL);
    w->event_cap = cap;
}

void sim_at(sim_world *w, uint64_t at_us, sim_event_fn *fn, void *ctx,
            uint64_t number)
{
    sim_event e = { at_us > w->now_us ? at_us : w->now_us, w->event_seq++, fn,
                    ctx, number };
    size_t i = w->event_count;

    if (w->event_count == w->event_cap)
        events_grow(w);
    w->event_count++;
    while (i > 0 && before(&e, &w->events[(i - 1) / 2])) {
        w->events[i] = w->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->events[i] = e;
}

static sim_event events_pop(sim_world *w)
{
    sim_event first = w->events[0], last = w->events[--w->event_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->event_count)
            break;
        if (child + 1 < w->event_count &&
            before(&w->events[child + 1], &w->events[child]))
            child++;
        if (!before(&w->events[child], &last))
            break;
        w->events[i] = w->events[child];
        i = child;
    }
    w->events[i] = last;
    return first;
}

bool sim_step(sim_world *w, uint64_t end_us)
{
    sim_event e;

    if (w->event_count == 0 || w->events[0].at_us > end_us) {
        if (end_us > w->now_us)
            w->now_us = end_us;
        return false;
    }
    e = events_pop(w);
    w->now_us = e.at_us;
    w->events_done++;
    e.fn(w, e.ctx, e.number);
    return true;
}

void sim_run_until(sim_world *w, uint64_t end_us)
{
    while (!w->failed && sim_step(w, end_us))
        continue;
}

/* ---- the trace ------------------------------------------------------------------ */

void sim_trace(sim_world *w, uint64_t a, uint64_t b)
{
    uint64_t h = w->trace ^ w->now_us;

    h = (h ^ a) * UINT64_C(0x9fb21c651e98df25);
    h = (h ^ h >> 29 ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
    w->trace = h ^ h >> 32;
}

uint64_t sim_trace_hash(const sim_world *w)
{
    uint64_t h = w->trace;

    for (size_t i = 0; i < w->count; i++)
        h = (h ^ sim_disk_trace(w->nodes[i]->disk)) *
            UINT64_C(0x94d049bb133111eb);
    return h;
}

static void trace_text(sim_world *w, const char *text)
{
    uint64_t h = UINT64_C(1469598103934665603);

    for (const char *p = text; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    sim_trace(w, h, 1);
}

__attribute__((format(printf, 3, 0))) static void
put_line(sim_world *w, const sim_node *n, const char *fmt, va_list args)
{
    char *line;
    int at;

    if (w->quiet)
        return;
    line = w->last[w->line_count++ % SIM_LAST_LINES];
    at = snprintf(line, SIM_LINE_BYTES_MAX, "%8llu.%03llu %-8s ",
                  (unsigned long long)(w->now_us / SIM_SECOND),
                  (unsigned long long)(w->now_us / SIM_MS % 1000),
                  n != NULL ? n->name : "world");

    if (at > 0 && (size_t)at < SIM_LINE_BYTES_MAX)
        (void)vsnprintf(line + at, SIM_LINE_BYTES_MAX - (size_t)at, fmt, args);
    trace_text(w, line);
    if (w->watch.line != NULL)
        w->watch.line(w->watch.line_ctx, line);
}

void sim_note(sim_world *w, const sim_node *n, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    put_line(w, n, fmt, args);
    va_end(args);
}

void sim_fail(sim_world *w, const char *checker, const char *fmt, ...)
{
    va_list args;

    if (w->failed)
        return;
    w->failed = true;
    w->failed_us = w->now_us;
    (void)snprintf(w->checker, sizeof w->checker, "%s", checker);
    va_start(args, fmt);
    (void)vsnprintf(w->failure, sizeof w->failure, fmt, args);
    va_end(args);
    sim_note(w, NULL, "FAIL %s: %s", checker, w->failure);
}

/* ---- life ------------------------------------------------------------------------ */

sim_world *sim_world_new(const tako_env *env, uint64_t seed)
{
    sim_world *w = sim_new(env, sizeof *w);
    tako_errbuf e = { "" };

    w->env = env;
    w->seed = seed;
    w->random = sim_random_fork(seed, 0x3071d);
    w->net = sim_net_new(w);
    TAKO_ASSERT(sec_mesh_from_secret(tako_slice_str(SIM_SECRET), &w->mesh,
                                     &e) == TAKO_OK);
    return w;
}

static void node_free_all(sim_world *w, sim_node *n)
{
    if (n->up)
        sim_node_end(n, SIM_DISK_KILL, 0);
    for (size_t i = 0; i < n->sub_count; i++)
        tako_env_free(w->env, n->subs[i].text, strlen(n->subs[i].text) + 1);
    sim_disk_free(n->disk);
    tako_env_free(w->env, n, sizeof *n);
}

void sim_world_free(sim_world *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->count; i++)
        node_free_all(w, w->nodes[i]);
    sim_net_free(w->net);
    tako_env_free(w->env, w->events, w->event_cap * sizeof(sim_event));
    tako_env_free(w->env, w, sizeof *w);
}
