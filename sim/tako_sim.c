// SPDX-License-Identifier: Apache-2.0
/* TAKO_SIM -- include/tako/tako_sim.h: arguments, and calls of the rest. */
#include "tako/tako_sim.h"

#include <stdio.h>

#include "base/check.h"
#include "codec/json.h"
#include "sim/checkers.h"
#include "sim/faults.h"
#include "sys/sys.h"

typedef struct app_call {
    struct app_call *next;
    tako_sim *sim;
    uint32_t device;
    uint64_t period_us; /* 0: once */
    tako_sim_fn *fn;
    void *ctx;
} app_call;

struct tako_sim {
    tako_env env;
    sim_world *world;
    sim_model *model; /* who wants what */
    sim_random random;
    app_call *calls;
    bool running;
    tako_errbuf error;
};

static tako_err failed(tako_sim *s, tako_err err, const char *why)
{
    return tako_fail(&s->error, err, "%s", why);
}

static sim_node *device_of(tako_sim *s, tako_sim_device d)
{
    return s != NULL && d.id < s->world->count ? s->world->nodes[d.id] : NULL;
}

tako_err tako_sim_open(uint64_t seed, tako_sim **out)
{
    tako_env env;
    tako_sim *s;

    TAKO_ARG(out != NULL);
    sys_env_init(&env);
    s = tako_env_alloc(&env, sizeof *s);
    if (s == NULL)
        return TAKO_NOMEM;
    s->env = env;
    s->world = sim_world_new(&s->env, seed);
    s->model = sim_model_new(s->world);
    s->random = sim_random_fork(seed, 0xa44);
    *out = s;
    return TAKO_OK;
}

void tako_sim_close(tako_sim *s)
{
    tako_env env;

    if (s == NULL)
        return;
    env = s->env;
    sim_world_free(s->world);
    sim_model_free(s->model);
    while (s->calls != NULL) {
        app_call *c = s->calls;

        s->calls = c->next;
        tako_env_free(&env, c, sizeof *c);
    }
    tako_env_free(&env, s, sizeof *s);
}

const char *tako_sim_error(const tako_sim *s)
{
    return s != NULL ? s->error.text : "";
}

/* ---- devices and links --------------------------------------------------------- */

tako_err tako_sim_add(tako_sim *s, const char *name, tako_sim_device *out)
{
    sim_node *n;

    TAKO_ARG(s != NULL && name != NULL && out != NULL);
    if (name[0] == '\0' || strlen(name) > 60 || strpbrk(name, ":/") != NULL)
        return failed(s, TAKO_INVALID, "a name of 1 to 60 bytes expected");
    if (s->world->count >= SIM_NODES_MAX - 1)
        return failed(s, TAKO_LIMIT, "too many devices");
    for (size_t i = 0; i < s->world->count; i++)
        if (strcmp(s->world->nodes[i]->name, name) == 0)
            return failed(s, TAKO_EXISTS, "there is a device of this name");
    n = sim_node_add(s->world, name);
    sim_node_start(n);
    out->id = (uint32_t)n->index;
    return TAKO_OK;
}

tako_err tako_sim_subscribe(tako_sim *s, tako_sim_device d,
                            const char *statement)
{
    sim_node *n = device_of(s, d);
    query_predicate *p = NULL;
    tako_err err;

    TAKO_ARG(n != NULL && statement != NULL);
    if (n->sub_count >= SIM_SUBS_MAX)
        return failed(s, TAKO_LIMIT, "too many subscriptions");
    err = query_predicate_new(&s->env, tako_slice_str(statement),
                              TAKO_SLICE_NONE, &p, &s->error);
    query_predicate_free(p);
    if (err != TAKO_OK)
        return err;
    sim_enter(n);
    sim_node_subscribe(n, statement);
    sim_leave(n);
    return TAKO_OK;
}

tako_err tako_sim_connect(tako_sim *s, tako_sim_device a, tako_sim_device b,
                          const tako_sim_link *opts)
{
    sim_node *from = device_of(s, a), *to = device_of(s, b);
    sim_link_kind kind = sim_link_usual;
    tako_errbuf e = { "" };
    tako_err err;

    TAKO_ARG(from != NULL && to != NULL && from != to);
    TAKO_ARG(opts == NULL || opts->size == sizeof *opts);
    if (sim_link_find(s->world, from, to) != NULL)
        return failed(s, TAKO_EXISTS, "they are linked already");
    if (opts != NULL) {
        kind.latency_us = (uint64_t)opts->latency_ms * SIM_MS;
        kind.jitter_us = (uint64_t)opts->jitter_ms * SIM_MS;
        kind.bytes_per_s = opts->bytes_per_s;
        kind.loss_ppm = opts->loss_ppm;
    }
    if (sim_link_add(s->world, from, to, &kind) == NULL)
        return failed(s, TAKO_LIMIT, "too many links");
    sim_enter(from);
    err = sim_net_dial_all(from, &e);
    sim_leave(from);
    return err == TAKO_OK ? TAKO_OK : failed(s, err, e.text);
}

/* ---- what goes wrong ------------------------------------------------------------- */

static tako_err link_of(tako_sim *s, tako_sim_device a, tako_sim_device b,
                        sim_link **out)
{
    sim_node *x = device_of(s, a), *y = device_of(s, b);

    TAKO_ARG(x != NULL && y != NULL);
    *out = sim_link_find(s->world, x, y);
    return *out != NULL ? TAKO_OK
                        : failed(s, TAKO_NOTFOUND, "they are not linked");
}

tako_err tako_sim_cut(tako_sim *s, tako_sim_device a, tako_sim_device b)
{
    sim_link *l;

    TAKO_TRY(link_of(s, a, b, &l));
    if (!sim_link_is_cut(l))
        sim_link_cut(l, 2);
    return TAKO_OK;
}

tako_err tako_sim_mend(tako_sim *s, tako_sim_device a, tako_sim_device b)
{
    sim_link *l;

    TAKO_TRY(link_of(s, a, b, &l));
    sim_link_mend(l, 2);
    return TAKO_OK;
}

static tako_err end(tako_sim *s, tako_sim_device d, sim_disk_end how,
                    uint32_t off_ms)
{
    sim_node *n = device_of(s, d);

    TAKO_ARG(n != NULL);
    sim_node_end(n, how, off_ms * SIM_MS);
    return TAKO_OK;
}

tako_err tako_sim_kill(tako_sim *s, tako_sim_device d, uint32_t off_ms)
{
    return end(s, d, SIM_DISK_KILL, off_ms);
}

tako_err tako_sim_power(tako_sim *s, tako_sim_device d, uint32_t off_ms)
{
    return end(s, d, SIM_DISK_POWER, off_ms);
}

tako_err tako_sim_clock(tako_sim *s, tako_sim_device d, int64_t ms)
{
    sim_node *n = device_of(s, d);

    TAKO_ARG(n != NULL);
    n->skew_ms = ms;
    return TAKO_OK;
}

/* ---- the app ------------------------------------------------------------------------ */

static void on_call(sim_world *w, void *ctx, uint64_t number)
{
    app_call *c = ctx;
    const sim_node *n = w->nodes[c->device];

    (void)number;
    if (n->up && n->store != NULL && !n->stopping)
        c->fn(c->sim, (tako_sim_device){ c->device }, c->ctx);
    if (c->period_us > 0)
        sim_at(w, w->now_us + c->period_us, on_call, c, 0);
}

static tako_err call_later(tako_sim *s, tako_sim_device d, uint64_t at_us,
                           uint64_t period_us, tako_sim_fn *fn, void *ctx)
{
    app_call *c;

    TAKO_ARG(device_of(s, d) != NULL && fn != NULL);
    c = tako_env_alloc(&s->env, sizeof *c);
    if (c == NULL)
        return TAKO_NOMEM;
    *c = (app_call){ s->calls, s, d.id, period_us, fn, ctx };
    s->calls = c;
    sim_at(s->world, at_us, on_call, c, 0);
    return TAKO_OK;
}

tako_err tako_sim_at(tako_sim *s, tako_sim_device d, uint64_t at_ms,
                     tako_sim_fn *fn, void *ctx)
{
    TAKO_ARG(at_ms < UINT64_MAX / SIM_MS);
    return call_later(s, d, at_ms * SIM_MS, 0, fn, ctx);
}

tako_err tako_sim_every(tako_sim *s, tako_sim_device d, uint32_t period_ms,
                        tako_sim_fn *fn, void *ctx)
{
    TAKO_ARG(s != NULL && period_ms > 0);
    return call_later(s, d, s->world->now_us + period_ms * SIM_MS,
                      period_ms * SIM_MS, fn, ctx);
}

tako_err tako_sim_execute(tako_sim *s, tako_sim_device d,
                          const char *const *statements, size_t count,
                          uint64_t *touched)
{
    sim_node *n = device_of(s, d);
    uint64_t lsn, counts[16] = { 0 };

    TAKO_ARG(n != NULL && statements != NULL);
    if (count > 16)
        return failed(s, TAKO_LIMIT, "more than 16 statements");
    TAKO_TRY(sim_node_run(n, statements, count, &lsn, counts, &s->error));
    if (touched != NULL)
        *touched = 0;
    for (size_t i = 0; touched != NULL && i < count; i++)
        *touched += counts[i];
    return TAKO_OK;
}

typedef struct row_call {
    tako_sim *sim;
    tako_sim_row_fn *fn;
    void *ctx;
    tako_err err;
} row_call;

static void on_row(void *ctx, tako_slice cbor)
{
    row_call *r = ctx;
    tako_buf json = tako_buf_on(&r->sim->env);

    if (r->err == TAKO_OK)
        r->err = json_from_cbor(cbor, &json);
    if (r->err == TAKO_OK)
        r->fn(r->ctx, tako_buf_cstr(&json), json.len);
    tako_buf_fini(&json);
}

tako_err tako_sim_select(tako_sim *s, tako_sim_device d, const char *statement,
                         tako_sim_row_fn *row, void *ctx)
{
    sim_node *n = device_of(s, d);
    row_call r = { s, row, ctx, TAKO_OK };

    TAKO_ARG(n != NULL && statement != NULL && row != NULL);
    TAKO_TRY(sim_node_select(n, statement, on_row, &r, &s->error));
    return r.err;
}

uint64_t tako_sim_now(const tako_sim *s)
{
    return s->world->now_us / SIM_MS;
}

uint64_t tako_sim_random(tako_sim *s, uint64_t n)
{
    return sim_random_below(&s->random, n);
}

/* ---- time ------------------------------------------------------------------------------ */

static tako_err pass(tako_sim *s, uint64_t us)
{
    if (s->running)
        return failed(s, TAKO_MISUSE, "time passes already");
    s->running = true;
    sim_run_until(s->world, s->world->now_us + us);
    s->running = false;
    return s->world->failed ? tako_fail(&s->error, TAKO_CORRUPT, "%s: %.300s",
                                        s->world->checker, s->world->failure)
                            : TAKO_OK;
}

tako_err tako_sim_run(tako_sim *s, uint64_t ms)
{
    TAKO_ARG(s != NULL && ms < UINT64_MAX / SIM_MS / 2);
    return pass(s, ms * SIM_MS);
}

tako_err tako_sim_settle(tako_sim *s, uint64_t ms)
{
    uint64_t end_us;
    char why[240] = "";

    TAKO_ARG(s != NULL && ms < UINT64_MAX / SIM_MS / 2);
    end_us = s->world->now_us + ms * SIM_MS;
    sim_heal(s->world);
    while (s->world->now_us < end_us) {
        TAKO_TRY(pass(s, 100 * SIM_MS));
        if (sim_model_converged(s->model, why, sizeof why))
            return TAKO_OK;
    }
    return failed(s, TAKO_TIMEOUT, why);
}

uint64_t tako_sim_trace(const tako_sim *s)
{
    return sim_trace_hash(s->world);
}

void tako_sim_log(tako_sim *s, void (*line)(void *ctx, const char *line),
                  void *ctx)
{
    s->world->watch.line = line;
    s->world->watch.line_ctx = ctx;
}
