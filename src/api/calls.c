// SPDX-License-Identifier: Apache-2.0
/* CALLS -- the program asks the running node: peers, subscriptions, waits.
 *
 * A call posts a job to the loop and waits for it. The loop may at that moment
 * be waiting for the writer, and the writer may be held by a transaction of
 * the very thread that calls; so a job that has not begun in time is left
 * behind (the loop frees it) and the call says TAKO_BUSY.
 *
 * A wait for an acknowledgement is a record in a list. The node tells of
 * progress on its own thread, where the records are looked at, so that a
 * waiting thread wakes once. */
#include "api/api.h"

#define CALL_WAIT_MS_MIN 2000u /* a bulk merge may keep the loop so long */

typedef enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DONE,
    JOB_LEFT
} job_state;

typedef struct job {
    tako_db *db;
    void (*fn)(void *arg);
    void *arg;
    job_state state;
} job;

static void job_run(void *arg)
{
    job *j = arg;
    tako_db *db = j->db;
    api_sync *s = &db->sync;
    bool left;

    sys_mutex_lock(s->wait_mutex);
    left = j->state == JOB_LEFT;
    if (!left)
        j->state = JOB_RUNNING;
    sys_mutex_unlock(s->wait_mutex);
    if (left) {
        tako_env_free(&db->env, j, sizeof *j);
        return;
    }
    j->fn(j->arg);
    sys_mutex_lock(s->wait_mutex);
    j->state = JOB_DONE;
    sys_cond_broadcast(s->wait_cond);
    sys_mutex_unlock(s->wait_mutex);
}

/* True when the job was done; false when it was left behind. */
static bool job_wait(tako_db *db, job *j)
{
    api_sync *s = &db->sync;
    uint64_t wait = db->busy_wait_ms < CALL_WAIT_MS_MIN ? CALL_WAIT_MS_MIN
                                                        : db->busy_wait_ms;
    uint64_t until = db->env.mono_ms(db->env.ctx) + wait;
    bool done;

    sys_mutex_lock(s->wait_mutex);
    while (j->state == JOB_QUEUED || j->state == JOB_RUNNING) {
        uint64_t now = db->env.mono_ms(db->env.ctx);
        uint64_t left = now < until ? until - now : 0;

        if (left == 0 && j->state == JOB_QUEUED) {
            j->state = JOB_LEFT;
            break;
        }
        (void)sys_cond_wait(s->wait_cond, s->wait_mutex,
                            j->state == JOB_QUEUED ? left : UINT64_MAX);
    }
    done = j->state == JOB_DONE;
    sys_mutex_unlock(s->wait_mutex);
    return done;
}

tako_err api_loop_call(tako_db *db, void (*fn)(void *arg), void *arg,
                       tako_errbuf *e)
{
    job *j = tako_env_alloc(&db->env, sizeof *j);
    tako_err err;

    if (j == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    *j = (job){ db, fn, arg, JOB_QUEUED };
    err = db->sync.net.post(db->sync.net.ctx, job_run, j);
    if (err == TAKO_OK && !job_wait(db, j))
        return tako_fail(e, TAKO_BUSY,
                         "sync waits for a transaction of this program");
    tako_env_free(&db->env, j, sizeof *j);
    return err;
}

/* ---- peers and subscriptions --------------------------------------------------- */

typedef struct node_call {
    tako_db *db;
    const char *address;
    api_subscription *sub;
    tako_errbuf *e;
    tako_err err;
} node_call;

static void peer_add(void *arg)
{
    node_call *c = arg;

    c->err = node_peer_add(c->db->sync.node, c->address, c->e);
}

static void peer_remove(void *arg)
{
    node_call *c = arg;

    c->err = node_peer_remove(c->db->sync.node, c->address);
}

tako_err api_node_subscribe(node *n, const api_subscription *sub,
                            tako_errbuf *e)
{
    return (sub->keep ? node_subscribe_keep
                      : node_subscribe)(n, sub->id, tako_buf_slice(&sub->text),
                                        tako_buf_slice(&sub->params), e);
}

static void subscribe(void *arg)
{
    node_call *c = arg;

    c->err = api_node_subscribe(c->db->sync.node, c->sub, c->e);
}

static void unsubscribe(void *arg)
{
    node_call *c = arg;

    c->err = node_unsubscribe(c->db->sync.node, c->sub->id);
}

static tako_err node_do(node_call *c, void (*fn)(void *arg))
{
    tako_err err = api_loop_call(c->db, fn, c, c->e);

    return err == TAKO_OK ? c->err : err;
}

static tako_err peer_call(tako_db *db, const char *address,
                          void (*fn)(void *arg))
{
    tako_errbuf e = { "" };
    node_call call = { db, address, NULL, &e, TAKO_OK };
    tako_err err;

    TAKO_ARG(db != NULL && address != NULL);
    sys_mutex_lock(db->sync.mutex);
    err = db->sync.running ? node_do(&call, fn)
                           : tako_fail(&e, TAKO_MISUSE, "sync is not running");
    sys_mutex_unlock(db->sync.mutex);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

tako_err tako_peer_add(tako_db *db, const char *address)
{
    return peer_call(db, address, peer_add);
}

tako_err tako_peer_remove(tako_db *db, const char *address)
{
    return peer_call(db, address, peer_remove);
}

static void sub_free(tako_db *db, api_subscription *sub)
{
    if (sub == NULL)
        return;
    tako_buf_fini(&sub->text);
    tako_buf_fini(&sub->params);
    tako_env_free(&db->env, sub, sizeof *sub);
}

/* Compiles it once, so that its errors are told here, sync running or not. */
static tako_err sub_check(tako_db *db, const api_subscription *sub,
                          tako_errbuf *e)
{
    query_predicate *p = NULL;

    TAKO_TRY(query_predicate_new(&db->env, tako_buf_slice(&sub->text),
                                 tako_buf_slice(&sub->params), &p, e));
    query_predicate_free(p);
    return TAKO_OK;
}

static tako_err sub_new(tako_db *db, const char *select,
                        const tako_params *params, api_subscription **out,
                        tako_errbuf *e)
{
    api_subscription *sub = tako_env_alloc(&db->env, sizeof *sub);
    tako_buf own = tako_buf_on(&db->env);
    tako_slice text = TAKO_SLICE_NONE, map = TAKO_SLICE_NONE;
    tako_err err;

    if (sub == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    sub->text = sub->params = own;
    err = api_statement(select, &text, e);
    if (err == TAKO_OK)
        err = api_params(params, &own, &map, e);
    if (err == TAKO_OK) {
        tako_put_bytes(&sub->text, text);
        tako_put_bytes(&sub->params, map);
        err = sub->text.failed || sub->params.failed ? TAKO_NOMEM
                                                     : sub_check(db, sub, e);
    }
    tako_buf_fini(&own);
    if (err != TAKO_OK)
        sub_free(db, sub);
    else
        *out = sub;
    return err;
}

/* With sync.mutex held. */
static tako_err sub_add(tako_db *db, api_subscription *sub, tako_errbuf *e)
{
    api_sync *s = &db->sync;
    node_call call = { db, NULL, sub, e, TAKO_OK };

    if (s->sub_count >= TAKO_SUBSCRIPTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u subscriptions",
                         TAKO_SUBSCRIPTIONS_MAX);
    if (++s->next_sub == 0)
        s->next_sub = 1;
    sub->id = s->next_sub;
    if (s->running)
        TAKO_TRY(node_do(&call, subscribe));
    sub->next = s->subs;
    s->subs = sub;
    s->sub_count++;
    return TAKO_OK;
}

tako_err tako_subscribe(tako_db *db, const char *select,
                        const tako_params *params, tako_sub *out)
{
    return tako_subscribe_with(db, select, params, 0, out);
}

tako_err tako_subscribe_with(tako_db *db, const char *select,
                             const tako_params *params, uint32_t flags,
                             tako_sub *out)
{
    tako_errbuf e = { "" };
    api_subscription *sub = NULL;
    tako_err err;

    TAKO_ARG(db != NULL && (flags & ~TAKO_SUBSCRIBE_KEEP) == 0);
    err = sub_new(db, select, params, &sub, &e);
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    sub->keep = (flags & TAKO_SUBSCRIBE_KEEP) != 0;
    sys_mutex_lock(db->sync.mutex);
    err = sub_add(db, sub, &e);
    if (err == TAKO_OK && out != NULL)
        out->id = sub->id;
    sys_mutex_unlock(db->sync.mutex);
    if (err == TAKO_OK)
        return TAKO_OK;
    sub_free(db, sub);
    return api_fail(db, err, &e);
}

tako_err tako_unsubscribe(tako_db *db, tako_sub sub)
{
    tako_errbuf e = { "" };
    node_call call = { db, NULL, NULL, &e, TAKO_OK };
    api_subscription **at, *found;
    tako_err err = TAKO_OK;

    TAKO_ARG(db != NULL);
    sys_mutex_lock(db->sync.mutex);
    at = &db->sync.subs;
    while (*at != NULL && (*at)->id != sub.id)
        at = &(*at)->next;
    call.sub = found = *at;
    if (found == NULL)
        err = TAKO_NOTFOUND;
    else if (db->sync.running)
        err = node_do(&call, unsubscribe);
    if (err == TAKO_OK) {
        *at = found->next;
        db->sync.sub_count--;
        sub_free(db, found);
    }
    sys_mutex_unlock(db->sync.mutex);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

/* ---- waiting ------------------------------------------------------------------------ */

static bool is_reached(node *n, const api_wait *w)
{
    if (w->keepers == 0)
        return node_acknowledged(n, w->peer, w->commit) ||
               (w->peer != NULL && node_has(n, w->peer, w->commit));
    return node_kept_by(n, w->peer, w->commit) >= w->keepers;
}

void api_progress(void *ctx)
{
    tako_db *db = ctx;
    api_sync *s = &db->sync;
    bool wake = false;

    if (s->node == NULL || s->node_stopping)
        return;
    sys_mutex_lock(s->wait_mutex);
    for (api_wait *w = s->waits; w != NULL; w = w->next) {
        wake = wake || !w->looked;
        w->looked = true;
        if (!w->done && is_reached(s->node, w)) {
            w->done = true;
            wake = true;
        }
    }
    if (wake)
        sys_cond_broadcast(s->wait_cond);
    sys_mutex_unlock(s->wait_mutex);
}

void api_waits_close(tako_db *db, bool closed)
{
    sys_mutex_lock(db->sync.wait_mutex);
    db->sync.wait_closed = closed;
    sys_cond_broadcast(db->sync.wait_cond);
    sys_mutex_unlock(db->sync.wait_mutex);
}

/* Has the loop look at all waits now; it has then seen all commits made. */
static bool wait_look(tako_db *db)
{
    api_sync *s = &db->sync;
    bool live;

    sys_mutex_lock(s->gate);
    live = s->live && s->net.post(s->net.ctx, api_progress, db) == TAKO_OK;
    sys_mutex_unlock(s->gate);
    return live;
}

/* Time is not over before the loop has answered once, so that a wait of no time
 * looks; unless the loop waits for a transaction of the program. */
static tako_err wait_for(tako_db *db, api_wait *w, uint64_t until)
{
    api_sync *s = &db->sync;
    uint64_t patience = db->env.mono_ms(db->env.ctx) + CALL_WAIT_MS_MIN;
    api_wait **at;
    tako_err err = TAKO_OK;

    sys_mutex_lock(s->wait_mutex);
    w->looked = w->looked || until == 0; /* there is nobody to ask */
    while (!w->done && err == TAKO_OK) {
        uint64_t now = db->env.mono_ms(db->env.ctx);
        uint64_t end = w->looked || until > patience ? until : patience;

        if (s->wait_closed)
            err = TAKO_CLOSED;
        else if (now >= end)
            err = TAKO_TIMEOUT;
        else
            (void)sys_cond_wait(s->wait_cond, s->wait_mutex, end - now);
    }
    for (at = &s->waits; *at != w; at = &(*at)->next)
        ;
    *at = w->next;
    sys_mutex_unlock(s->wait_mutex);
    return err;
}

tako_err tako_wait_for(tako_db *db, const tako_wait_opts *opts)
{
    tako_errbuf e = { "" };
    api_wait w = { 0 };
    uint64_t until;
    tako_err err;

    TAKO_ARG(db != NULL && opts != NULL && opts->size >= sizeof *opts);
    w.peer = opts->peer;
    w.commit = opts->commit;
    w.keepers = opts->keepers;
    until = db->env.mono_ms(db->env.ctx) + opts->timeout_ms;
    sys_mutex_lock(db->sync.wait_mutex);
    w.next = db->sync.waits;
    db->sync.waits = &w;
    sys_mutex_unlock(db->sync.wait_mutex);
    err = wait_for(db, &w, wait_look(db) ? until : 0);
    if (err == TAKO_CLOSED)
        (void)tako_fail(&e, err, "sync is not running");
    if (err == TAKO_TIMEOUT && w.keepers > 0)
        (void)tako_fail(&e, err, "commit %llu is not known to be kept by %s",
                        (unsigned long long)w.commit,
                        w.peer != NULL ? w.peer : "so many devices");
    else if (err == TAKO_TIMEOUT)
        (void)tako_fail(&e, err, "commit %llu was not acknowledged by %s",
                        (unsigned long long)w.commit,
                        w.peer != NULL ? w.peer : "any peer");
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

tako_err tako_wait(tako_db *db, uint64_t commit, const char *peer,
                   uint32_t timeout_ms)
{
    tako_wait_opts opts = { sizeof opts, commit, peer, 0, timeout_ms };

    return tako_wait_for(db, &opts);
}
