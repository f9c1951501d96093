// SPDX-License-Identifier: Apache-2.0
/* NODE -- one device: an environment, a store on a simulated disk, and the
 * shipping node on top, hosted the way src/api hosts it, in one thread.
 *
 * AN END. sim_node_end() stops the disk, and with that nothing the device's
 * code does can be seen by anybody. Then the usual functions free it, with
 * memory that does not fail, and what they leave is reported as a leak.
 * Where the end comes from inside (the disk's n-th write), it is the same,
 * at the outermost sim_leave().
 *
 * A START may fail, because the disk or the memory does: then it is tried
 * again, as whoever runs a device would. Only a database that says it is
 * damaged is a failure of the run: no fault of the simulator may do that. */
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "sim/net.h"
#include "store/blob.h"

#define NODE_PATH          "node.db"
#define NODE_CPU_US        20u /* of any event */
#define NODE_RETRY_US      SIM_SECOND
#define NODE_TRIES_MAX     3600u
#define NODE_COLLECT_PARTS 64u /* of attachments, after one commit */

/* ---- environment ------------------------------------------------------------- */

static bool memory_refused(sim_node *n, size_t more)
{
    if (n->dying || n->watched)
        return false;
    if (n->oom_at > 0 && --n->oom_at == 0) {
        n->oom_hits++;
        return true;
    }
    if (n->limit_bytes > 0 && n->live_bytes + more > n->limit_bytes) {
        n->oom_hits++;
        return true;
    }
    if (!sim_random_chance(&n->random, n->oom_ppm))
        return false;
    n->oom_hits++;
    return true;
}

static void *env_realloc(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    sim_node *n = ctx;
    const tako_env *env = n->world->env;
    void *p;

    if (new_size == 0) {
        n->live_bytes -= ptr != NULL ? old_size : 0;
        n->live_blocks -= ptr != NULL;
        return env->realloc(env->ctx, ptr, old_size, 0);
    }
    if (new_size > old_size && memory_refused(n, new_size - old_size))
        return NULL;
    p = env->realloc(env->ctx, ptr, old_size, new_size);
    if (p == NULL)
        return NULL;
    n->live_bytes += new_size - (ptr != NULL ? old_size : 0);
    n->live_blocks += ptr == NULL;
    if (n->live_bytes > n->peak_bytes)
        n->peak_bytes = n->live_bytes;
    return p;
}

uint64_t sim_node_wall_ms(const sim_node *n)
{
    int64_t ms = (int64_t)(SIM_EPOCH_MS + n->world->now_us / SIM_MS);

    if (n->stuck)
        return n->stuck_ms;
    ms += n->skew_ms;
    return ms > 0 ? (uint64_t)ms : 0;
}

static uint64_t env_wall_ms(void *ctx)
{
    return sim_node_wall_ms(ctx);
}

static uint64_t env_mono_ms(void *ctx)
{
    const sim_node *n = ctx;

    return (n->world->now_us - n->boot_us) / SIM_MS;
}

static void env_random(void *ctx, void *buf, size_t len)
{
    sim_node *n = ctx;
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(sim_random_next(&n->random) >> 32);
}

static void env_log(void *ctx, tako_log_level level, const char *event,
                    const char *fields)
{
    sim_node *n = ctx;
    sim_world *w = n->world;

    if (n->dying)
        return;
    if (level < TAKO_LOG_DEBUG)
        sim_note(w, n, "%s %s", event, fields);
    if (strcmp(event, "two_contents_under_one_dot") == 0)
        sim_fail(w, "P1 a dot is used once", "%s: %s", n->name, fields);
}

void sim_node_watch(sim_node *n, bool begin)
{
    n->watched = begin;
    sim_disk_pause(n->disk, begin);
}

static void told(sim_node *n, uint64_t lsn, bool own)
{
    const sim_watch *w = &n->world->watch;

    if (w->committed == NULL)
        return;
    sim_node_watch(n, true);
    w->committed(w->ctx, n, lsn, own);
    sim_node_watch(n, false);
}

/* ---- host --------------------------------------------------------------------- */

static store *host_begin(void *ctx)
{
    sim_node *n = ctx;

    return n->dying ? NULL : n->store;
}

/* As api/attach.c. */
static void collect(sim_node *n)
{
    uint64_t now = sim_node_wall_ms(n);
    blob_collected c;
    tako_err err;

    if (!store_blob_due(n->store, now, n->grace_ms))
        return;
    err = store_begin(n->store, NULL);
    if (err == TAKO_OK)
        err = store_blob_collect(n->store, now, n->grace_ms, NODE_COLLECT_PARTS,
                                 &c, NULL);
    if (err == TAKO_OK)
        err = store_commit(n->store, NULL, NULL);
    else
        store_rollback(n->store);
    if (err != TAKO_OK && !sim_disk_stopped(n->disk))
        sim_note(n->world, n, "collecting failed: %s", tako_err_name(err));
}

void sim_node_care(sim_node *n)
{
    tako_errbuf e = { "" };
    tako_err err = store_checkpoint(n->store, STORE_FOLD_REST, &e);

    if (err != TAKO_OK && !sim_disk_stopped(n->disk))
        sim_note(n->world, n, "checkpoint failed: %s", tako_err_name(err));
    collect(n);
}

static void host_end(void *ctx, uint64_t lsn)
{
    sim_node *n = ctx;
    sim_world *w = n->world;

    if (sim_disk_stopped(n->disk))
        return;
    if (lsn != 0) {
        n->merges++;
        sim_trace(w, n->index, lsn);
        told(n, lsn, false);
    }
    sim_node_care(n);
}

static void host_progress(void *ctx)
{
    (void)ctx;
}

static bool host_fetches(void *ctx)
{
    return ((const sim_node *)ctx)->fetches;
}

/* ---- ends ---------------------------------------------------------------------- */

static void on_stopped(void *ctx)
{
    ((sim_node *)ctx)->stopped = true;
}

static void close_store(sim_node *n)
{
    const sim_watch *w = &n->world->watch;

    if (w->closing != NULL && n->store != NULL)
        w->closing(w->closing_ctx, n);
    store_reader_close(n->reader);
    store_close(n->store);
    n->reader = NULL;
    n->store = NULL;
}

static void let_go(sim_node *n)
{
    close_store(n);
    n->up = false;
    n->dying = false;
    n->stopping = false;
    n->timer_us = UINT64_MAX;
    if (n->live_blocks != 0)
        sim_fail(n->world, "all memory is given back",
                 "%s: %zu blocks, %zu bytes are left", n->name, n->live_blocks,
                 n->live_bytes);
}

static void on_restart(sim_world *w, void *ctx, uint64_t number)
{
    sim_node *n = ctx;

    (void)w;
    if (!n->up && number == n->restart_asked)
        sim_node_start(n);
}

static void restart_later(sim_node *n)
{
    n->restart_asked++;
    if (n->restart_us > 0)
        sim_at(n->world, n->world->now_us + n->restart_us, on_restart, n,
               n->restart_asked);
}

static void finish_end(sim_node *n)
{
    sim_world *w = n->world;
    sim_disk_end how = sim_disk_how(n->disk);

    n->dying = true;
    n->depth++; /* nothing below may end it again */
    if (n->node != NULL) {
        if (!n->stopping)
            node_stop(n->node, on_stopped, n);
        sim_net_end(n, how == SIM_DISK_KILL);
        TAKO_ASSERT(n->stopped);
        node_free(n->node);
        n->node = NULL;
    }
    n->depth--;
    let_go(n);
    n->ends++;
    sim_note(w, n, how == SIM_DISK_POWER ? "lost power" : "was killed");
    if (w->watch.ended != NULL)
        w->watch.ended(w->watch.ctx, n, how);
    restart_later(n);
}

void sim_node_end(sim_node *n, sim_disk_end how, uint64_t restart_us)
{
    n->restart_us = restart_us;
    if (!n->up) {
        restart_later(n);
        return;
    }
    sim_disk_stop(n->disk, how);
    if (n->depth == 0)
        finish_end(n);
}

static void on_stop_done(sim_world *w, void *ctx, uint64_t number)
{
    sim_node *n = ctx;

    if (!n->up || n->run != number || !n->stopping)
        return;
    if (!n->stopped) {
        sim_at(w, w->now_us + 10 * SIM_MS, on_stop_done, n, number);
        return;
    }
    n->depth++;
    node_free(n->node);
    n->node = NULL;
    close_store(n);
    n->depth--;
    if (sim_disk_stopped(n->disk)) {
        finish_end(n);
        return;
    }
    let_go(n);
    sim_note(w, n, "is closed");
    restart_later(n);
}

void sim_node_stop(sim_node *n, uint64_t restart_us)
{
    n->restart_us = restart_us;
    if (!n->up || n->stopping)
        return;
    n->stopping = true;
    sim_enter(n);
    node_stop(n->node, on_stopped, n);
    sim_leave(n);
    if (n->up)
        sim_at(n->world, n->world->now_us, on_stop_done, n, n->run);
}

void sim_enter(sim_node *n)
{
    n->depth++;
}

void sim_leave(sim_node *n)
{
    sim_world *w = n->world;
    uint64_t slow = n->slow > 0 ? n->slow : 1;
    uint64_t from = n->busy_until_us > w->now_us ? n->busy_until_us : w->now_us;

    TAKO_ASSERT(n->depth > 0);
    if (--n->depth > 0)
        return;
    n->busy_until_us = from + (NODE_CPU_US * slow) + sim_disk_cost_us(n->disk);
    if (n->up && sim_disk_stopped(n->disk))
        finish_end(n);
}

bool sim_busy(sim_node *n, sim_event_fn *fn, void *ctx, uint64_t number)
{
    if (n->busy_until_us <= n->world->now_us)
        return false;
    sim_at(n->world, n->busy_until_us, fn, ctx, number);
    return true;
}

/* ---- statements -------------------------------------------------------------------- */

static tako_err run_one(sim_node *n, const char *statement, tako_slice params,
                        uint64_t *count, tako_errbuf *e)
{
    tako_buf ids = tako_buf_on(&n->env);
    query *q = NULL;
    tako_err err = query_prepare(&n->env, store_writer(n->store),
                                 tako_slice_str(statement), &q, e);

    if (err == TAKO_OK)
        err = query_bind(q, params, e);
    if (err == TAKO_OK)
        err = query_run(q, n->store, &ids, count, e);
    query_free(q);
    tako_buf_fini(&ids);
    return err;
}

static tako_err transact(sim_node *n, const char *const *statements,
                         size_t count, tako_slice params, uint64_t *lsn,
                         uint64_t *counts, tako_errbuf *e)
{
    tako_err err = store_begin(n->store, e);

    if (err != TAKO_OK)
        return err;
    for (size_t i = 0; i < count && err == TAKO_OK; i++) {
        uint64_t touched = 0;

        err = run_one(n, statements[i], params, &touched, e);
        if (counts != NULL)
            counts[i] = touched;
    }
    if (err != TAKO_OK) {
        store_rollback(n->store);
        return err;
    }
    return store_commit(n->store, lsn, e);
}

/* ---- starts --------------------------------------------------------------------- */

sim_node *sim_node_add(sim_world *w, const char *name)
{
    sim_node *n = sim_new(w->env, sizeof *n);

    TAKO_ASSERT(w->count < SIM_NODES_MAX);
    n->world = w;
    n->index = w->count;
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    n->env = (tako_env){ n,           env_realloc, env_wall_ms,
                         env_mono_ms, env_random,  env_log };
    n->random = sim_random_fork(w->seed, 0x1000 + n->index);
    n->disk = sim_disk_new(w->env, w->seed ^ (n->index + 1) << 32);
    n->limit_bytes = SIM_NODE_BYTES_MAX;
    n->timer_us = UINT64_MAX;
    n->grace_ms = SIM_GRACE_MS;
    n->host = (node_host){ n,        host_begin,    host_begin,
                           host_end, host_progress, host_fetches };
    w->nodes[w->count++] = n;
    return n;
}

void sim_node_subscribe(sim_node *n, const char *text)
{
    tako_errbuf e = { "" };
    sim_sub *sub = &n->subs[n->sub_count];

    TAKO_ASSERT(n->sub_count < SIM_SUBS_MAX);
    sub->id = (uint32_t)++n->sub_count;
    sub->text = sim_copy(n->world->env, text);
    if (n->node != NULL)
        (void)node_subscribe(n->node, sub->id, tako_slice_str(text),
                             TAKO_SLICE_NONE, &e);
}

static tako_err open_store(sim_node *n, tako_errbuf *e)
{
    store_opts o = { .env = &n->env,
                     .files = sim_disk_files(n->disk),
                     .path = NODE_PATH,
                     .vfs = sim_disk_vfs(n->disk),
                     .create = true,
                     .durability = n->durability,
                     .on_connect = query_register,
                     .on_connect_ctx = &n->env };

    TAKO_TRY(store_open(&o, &n->store, e));
    return store_reader_open(n->store, &n->reader, e);
}

/* As api/sync.c: a file that took another name takes another key. */
static void identity_choose(sim_node *n)
{
    crdt_actor actor = store_actor(n->store);
    uint8_t seed[32];

    if (store_actor_follows(n->store, n->actor)) {
        n->actor = actor;
        return;
    }
    n->actor = actor;
    tako_hash32(tako_slice_of(actor.id, sizeof actor.id), seed);
    sec_identity_from_seed(seed, &n->identity);
}

static tako_err start_node(sim_node *n, tako_errbuf *e)
{
    node_opts o = { .env = &n->env,
                    .net = &n->net,
                    .host = &n->host,
                    .reader = n->reader,
                    .identity = &n->identity,
                    .mesh = &n->world->mesh,
                    .name = n->name,
                    .read_only = n->reads_only,
                    .archive = n->archive };
    char address[TAKO_ADDRESS_BYTES_MAX], bound[TAKO_ADDRESS_BYTES_MAX];

    identity_choose(n);
    sim_net_init(n, &n->net);
    TAKO_TRY(node_new(&o, &n->node, e));
    sim_net_address(n, address);
    TAKO_TRY(node_listen(n->node, address, bound, e));
    for (size_t i = 0; i < n->sub_count; i++)
        TAKO_TRY(node_subscribe(n->node, n->subs[i].id,
                                tako_slice_str(n->subs[i].text),
                                TAKO_SLICE_NONE, e));
    return sim_net_dial_all(n, e);
}

/* As an app at its start, before sync: a setting, no documents. */
static tako_err set_up(sim_node *n, tako_errbuf *e)
{
    const char *statement = n->setup;
    uint64_t lsn = 0;

    if (n->setup[0] == '\0')
        return TAKO_OK;
    TAKO_TRY(transact(n, &statement, 1, TAKO_SLICE_NONE, &lsn, NULL, e));
    return lsn == 0 ? TAKO_OK
                    : tako_fail(e, TAKO_INVALID, "a setup writes no document");
}

static void start_failed(sim_node *n, tako_err err, const char *why)
{
    sim_world *w = n->world;

    sim_note(w, n, "does not start: %s: %s", tako_err_name(err), why);
    if (err == TAKO_CORRUPT || err == TAKO_UNSUPPORTED || err == TAKO_INVALID ||
        ++n->start_tries > NODE_TRIES_MAX) {
        sim_fail(w, "a node starts", "%s: %s: %s", n->name, tako_err_name(err),
                 why);
        return;
    }
    n->restart_us = NODE_RETRY_US;
    sim_node_end(n, SIM_DISK_KILL, NODE_RETRY_US);
}

void sim_node_start(sim_node *n)
{
    sim_world *w = n->world;
    tako_errbuf e = { "" };
    tako_err err;

    TAKO_ASSERT(!n->up);
    sim_disk_start(n->disk);
    n->run++;
    n->up = true;
    n->stopped = n->stopping = n->dying = false;
    n->boot_us = w->now_us;
    sim_enter(n);
    err = open_store(n, &e);
    if (err == TAKO_OK && w->watch.started != NULL &&
        !sim_disk_stopped(n->disk)) {
        sim_node_watch(n, true);
        w->watch.started(w->watch.ctx, n);
        sim_node_watch(n, false);
    }
    if (err == TAKO_OK)
        err = set_up(n, &e);
    if (err == TAKO_OK)
        err = start_node(n, &e);
    if (err != TAKO_OK && !sim_disk_stopped(n->disk))
        start_failed(n, err, e.text);
    else if (err == TAKO_OK)
        sim_note(w, n, "started");
    if (err == TAKO_OK)
        n->start_tries = 0;
    sim_leave(n);
}

/* ---- what apps do ------------------------------------------------------------------ */

static void hand_over(sim_node *n, uint64_t lsn)
{
    node_commit *c = NULL;

    if (n->node == NULL || n->stopping)
        return;
    if (node_commit_copy(&n->env, n->store, lsn, &c) == TAKO_OK)
        node_on_commit(n->node, c);
    else
        node_on_commit_lost(n->node);
}

tako_err sim_node_run(sim_node *n, const char *const *statements, size_t count,
                      uint64_t *lsn, uint64_t *counts, tako_errbuf *e)
{
    return sim_node_run_with(n, statements, count, TAKO_SLICE_NONE, lsn, counts,
                             e);
}

tako_err sim_node_run_with(sim_node *n, const char *const *statements,
                           size_t count, tako_slice params, uint64_t *lsn,
                           uint64_t *counts, tako_errbuf *e)
{
    sim_world *w = n->world;
    tako_err err;

    *lsn = 0;
    if (!n->up || n->store == NULL || n->stopping)
        return tako_fail(e, TAKO_CLOSED, "%s is down", n->name);
    sim_enter(n);
    err = transact(n, statements, count, params, lsn, counts, e);
    if (sim_disk_stopped(n->disk)) /* whether it was made will be seen */
        err = tako_fail(e, TAKO_IO, "%s came to an end", n->name);
    sim_trace(w, n->index << 32 | (uint64_t)(unsigned)-err, *lsn);
    if (err == TAKO_OK && *lsn != 0) {
        n->commits++;
        told(n, *lsn, true);
        hand_over(n, *lsn);
        sim_node_care(n);
    }
    sim_leave(n);
    return err;
}

tako_err sim_node_select(sim_node *n, const char *statement,
                         void (*fn)(void *ctx, tako_slice row), void *ctx,
                         tako_errbuf *e)
{
    tako_buf row;
    query *q = NULL;
    tako_err err;

    if (!n->up || n->store == NULL)
        return tako_fail(e, TAKO_CLOSED, "%s is down", n->name);
    sim_enter(n);
    row = tako_buf_on(&n->env);
    err = query_prepare(&n->env, n->reader, tako_slice_str(statement), &q, e);
    if (err == TAKO_OK)
        err = query_bind(q, TAKO_SLICE_NONE, e);
    while (err == TAKO_OK) {
        tako_buf_reset(&row);
        err = query_step(q, &row, e);
        if (err == TAKO_OK)
            fn(ctx, tako_buf_slice(&row));
    }
    query_free(q);
    tako_buf_fini(&row);
    sim_leave(n);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

bool sim_node_in_sync(sim_node *n)
{
    return n->up && n->node != NULL && node_in_sync(n->node);
}
