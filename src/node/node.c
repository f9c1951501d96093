// SPDX-License-Identifier: Apache-2.0
/* NODE -- life, subscriptions, and the turn.
 *
 * node_turn() runs after anything happened (bytes, a commit, the timer, a
 * call): it ticks and pumps each link, closes what failed, dials what is due,
 * and sets the one timer to the earliest deadline of all. It may be entered
 * again from inside (a dial that fails at once): the inner call does nothing,
 * the outer one goes round once more.
 *
 * QUIET. What is sent before it is synced goes under the store's dirty mark
 * (SYNC.md 1), and with it a power failure costs an actor. When nothing was said or
 * written for NODE_QUIET_MS the store is synced and the mark cleared. Before
 * that every session is told, so that the next one to send sets it again,
 * synced, first.
 *
 * A node keeps nothing per document. */
#include "node/internal.h"

#include <stdio.h>

#include "store/deaths.h"

/* ---- the turn --------------------------------------------------------------- */

static void on_timer(void *ctx)
{
    node *n = ctx;

    n->timer_ms = UINT64_MAX;
    if (!n->stopping) {
        node_commits_drain(n, node_now(n));
        node_quiet(n, node_now(n));
        node_keepers_tick(n, node_now(n));
        node_receipts_tick(n, node_now(n));
        node_leave_tick(n, node_now(n));
        node_present_tick(n, node_now(n));
        node_former_tick(n, node_now(n));
        node_retain_tick(n, node_now(n));
        node_clock_tick(n, node_now(n));
        node_care(n, node_now(n));
    }
    node_turn(n);
}

void node_timer(node *n)
{
    uint64_t at = UINT64_MAX;

    if (!n->stopping) {
        uint64_t blobs = sync_blobs_deadline(n->blobs);
        uint64_t peers = node_peers_deadline(n);
        uint64_t commits = node_commits_deadline(n);

        uint64_t quiet = node_quiet_deadline(n);

        at = peers < commits ? peers : commits;
        at = quiet < at ? quiet : at;
        at = node_keepers_deadline(n) < at ? node_keepers_deadline(n) : at;
        at = node_receipts_deadline(n) < at ? node_receipts_deadline(n) : at;
        at = node_leave_deadline(n) < at ? node_leave_deadline(n) : at;
        at = n->present.at_ms < at ? n->present.at_ms : at;
        at = n->former.at_ms < at ? n->former.at_ms : at;
        at = node_retain_deadline(n) < at ? node_retain_deadline(n) : at;
        at = blobs < at ? blobs : at;
        at = n->care_ms < at ? n->care_ms : at;
        at = node_clock_deadline(n) < at ? node_clock_deadline(n) : at;
    }
    for (const node_link *l = n->links; l != NULL; l = l->next) {
        uint64_t d = node_link_deadline(l);

        at = d < at ? d : at;
    }
    if (at == n->timer_ms)
        return;
    n->timer_ms = at;
    n->net->timer(n->net->ctx, at, on_timer, n);
}

static void finish_stop(node *n)
{
    void (*stopped)(void *) = n->stopped;

    if (!n->stopping || n->links != NULL || stopped == NULL)
        return;
    n->stopped = NULL;
    n->net->timer(n->net->ctx, UINT64_MAX, on_timer, n);
    stopped(n->stopped_ctx); /* the node may be freed by it */
}

static void turn_links(node *n, uint64_t now_ms)
{
    for (node_link *l = n->links; l != NULL; l = l->next) {
        node_link_tick(l, now_ms);
        node_link_pump(l, now_ms);
        if (l->failed != TAKO_OK)
            node_link_close(l, now_ms);
    }
}

void node_turn(node *n)
{
    uint64_t now;

    if (n->turning)
        return;
    n->turning = true;
    now = node_now(n);
    if (!n->stopping && sync_blobs_deadline(n->blobs) <= now)
        sync_blobs_tick(n->blobs, now);
    turn_links(n, now);
    if (!n->stopping) {
        node_peers_dial(n, now);
        node_keepers_look(n, now);
    }
    node_commits_rest(n);
    if (n->out.cap > NODE_BUFFER_KEEP && n->timer_ms != 0)
        tako_buf_fini(&n->out);
    n->turning = false;
    node_timer(n);
    finish_stop(n);
}

/* ---- life ---------------------------------------------------------------------- */

static tako_err context_new(node *n, tako_errbuf *e)
{
    tako_buf grant = tako_buf_on(n->env);
    sec_claims claims = {
        .subject = tako_slice_str(n->name),
        .roles = SEC_ROLE_READ | SEC_ROLE_RELAY |
                 (n->read_only ? 0 : SEC_ROLE_WRITE),
        /* No time of issue: it would come from this device's own clock, and
         * one that is wrong must not keep the device out (P4). */
        .issued_ms = 0,
        .expires_ms = UINT64_MAX,
    };
    tako_err err;

    memcpy(claims.mesh, n->mesh->id, sizeof claims.mesh);
    memcpy(claims.device, n->identity->public_key, sizeof claims.device);
    err = sec_grant_issue(n->mesh, &claims, &grant, e);
    if (err == TAKO_OK)
        err = mesh_context_new(n->env, n->identity, n->mesh,
                               tako_buf_slice(&grant), &n->context, e);
    tako_buf_fini(&grant);
    return err;
}

/* Before anybody is spoken to. */
static tako_err note_rights(node *n, tako_errbuf *e)
{
    store *st = n->host->write_begin(n->host->ctx);
    tako_err err;

    if (st == NULL)
        return tako_fail(e, TAKO_CLOSED, "shutting down");
    err = store_rights(st, !n->read_only, e);
    n->host->write_end(n->host->ctx, 0);
    return err;
}

tako_err node_new(const node_opts *opts, node **out, tako_errbuf *e)
{
    node *n = tako_env_alloc(opts->env, sizeof *n);
    tako_err err;

    *out = NULL;
    if (n == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    n->env = opts->env;
    n->net = opts->net;
    n->host = opts->host;
    n->reader = opts->reader;
    n->identity = opts->identity;
    n->mesh = opts->mesh;
    (void)snprintf(n->name, sizeof n->name, "%s", opts->name);
    n->out = tako_buf_on(n->env);
    n->timer_ms = UINT64_MAX;
    n->marked = true; /* by an earlier node or process, for all we know */
    n->busy_ms = node_now(n);
    n->read_only = opts->read_only;
    n->archive = opts->archive;
    n->kept_ms = UINT64_MAX;
    n->clocks_ms = UINT64_MAX;
    n->receipts.due_ms = UINT64_MAX;
    n->leave.at_ms = n->leave.start_ms = n->busy_ms + NODE_LEAVE_GRACE_MS;
    n->care_ms = n->busy_ms + NODE_CARE_FIRST_MS;
    n->present.at_ms = UINT64_MAX;
    n->former.at_ms = UINT64_MAX;
    err = context_new(n, e);
    if (err == TAKO_OK)
        err = note_rights(n, e);
    if (err == TAKO_OK && node_blobs_begin(n) != TAKO_OK)
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    if (err == TAKO_OK)
        err = node_retain_new(n);
    if (err == TAKO_OK)
        err = node_keepers_load(n, e);
    if (err != TAKO_OK) {
        node_free(n);
        return err;
    }
    *out = n;
    return TAKO_OK;
}

void node_stop(node *n, void (*done)(void *ctx), void *ctx)
{
    n->stopping = true;
    n->stopped = done;
    n->stopped_ctx = ctx;
    for (size_t i = 0; i < n->listener_count; i++)
        n->net->unlisten(n->net->ctx, n->listeners[i].listener);
    n->listener_count = 0;
    for (node_link *l = n->links; l != NULL; l = l->next)
        node_link_fail(l, TAKO_CLOSED, "the peer is shutting down");
    node_turn(n);
}

void node_free(node *n)
{
    if (n == NULL)
        return;
    TAKO_ASSERT(n->links == NULL);
    while (n->subs != NULL) {
        node_sub *sub = n->subs;

        n->subs = sub->next;
        node_predicate_drop(n, sub->predicate);
        tako_env_free(n->env, sub, sizeof *sub);
    }
    node_leave_free(n);
    node_retain_free(n);
    node_keepers_free(n);
    node_receipts_free(n);
    node_commits_free(n);
    node_peers_free(n);
    sync_tables_free(n->tables);
    TAKO_ASSERT(n->predicates == NULL);
    query_pool_free(n->pool);
    sync_blobs_free(n->blobs);
    mesh_context_free(n->context);
    tako_buf_fini(&n->out);
    tako_env_free(n->env, n, sizeof *n);
}

tako_err node_listen(node *n, const char *address,
                     char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e)
{
    node_listener *l;

    if (n->listener_count >= NODE_LISTENERS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u listeners",
                         NODE_LISTENERS_MAX);
    l = &n->listeners[n->listener_count];
    TAKO_TRY(n->net->listen(n->net->ctx, address, node_accept, n, &l->listener,
                            l->address, e));
    n->listener_count++;
    memcpy(bound, l->address, TAKO_ADDRESS_BYTES_MAX);
    return TAKO_OK;
}

/* ---- subscriptions ---------------------------------------------------------------- */

static node_sub **sub_at(node *n, uint32_t id)
{
    node_sub **at = &n->subs;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static tako_err subscribe(node *n, uint32_t id, tako_slice text,
                          tako_slice params, bool keep, tako_errbuf *e)
{
    node_sub **at = sub_at(n, id);
    node_sub *sub;
    tako_err err;

    if (*at != NULL)
        return tako_fail(e, TAKO_EXISTS, "subscription %lu is there already",
                         (unsigned long)id);
    if (n->sub_count >= TAKO_SUBSCRIPTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u subscriptions",
                         TAKO_SUBSCRIPTIONS_MAX);
    sub = tako_env_alloc(n->env, sizeof *sub);
    if (sub == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    sub->id = id;
    sub->keep = keep;
    err = node_predicate_get(n, text, params, &sub->predicate, e);
    if (err != TAKO_OK) {
        tako_env_free(n->env, sub, sizeof *sub);
        return err;
    }
    *at = sub;
    n->sub_count++;
    for (node_link *l = n->links; l != NULL; l = l->next) {
        tako_errbuf why = { "" };

        if (l->session == NULL)
            continue;
        err = sync_session_subscribe(
            l->session, id, query_predicate_text(sub->predicate->query), &why);
        if (err != TAKO_OK)
            node_link_fail(l, err, why.text);
    }
    node_leave_wake(n);
    node_turn(n);
    return TAKO_OK;
}

tako_err node_subscribe(node *n, uint32_t id, tako_slice text,
                        tako_slice params, tako_errbuf *e)
{
    return subscribe(n, id, text, params, false, e);
}

tako_err node_subscribe_keep(node *n, uint32_t id, tako_slice text,
                             tako_slice params, tako_errbuf *e)
{
    return subscribe(n, id, text, params, true, e);
}

tako_err node_unsubscribe(node *n, uint32_t id)
{
    node_sub **at = sub_at(n, id);
    node_sub *sub = *at;

    if (sub == NULL)
        return TAKO_NOTFOUND;
    *at = sub->next;
    n->sub_count--;
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL)
            (void)sync_session_unsubscribe(l->session, id);
    node_receipts_unsubscribed(n, id);
    node_leave_sweep(n, sub->predicate, sub->keep);
    tako_env_free(n->env, sub, sizeof *sub);
    node_turn(n);
    return TAKO_OK;
}
