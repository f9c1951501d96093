// SPDX-License-Identifier: Apache-2.0
/* CLOCK -- neighbours' wall clocks, collected for the store (SYNC.md 1).
 *
 * What they say is bound to their device, which their link proved: a device
 * with three links has one vote. Who is an archive is known from what it said
 * of what it keeps (keepers.c), in this session or an earlier one.
 *
 * The store hears it as soon as the writer is free, at most once in
 * NODE_CLOCK_MS; whose transaction is open goes on as it began. The store, not
 * the node, then compares it with the clock, at each transaction, so nobody
 * has to notice here that a clock was set. Only to tell people it is looked
 * at here, when there is something else to do anyway. */
#include "node/internal.h"

static crdt_time time_now(const node *n)
{
    return crdt_wall_now(&n->clocks, n->env->wall_ms(n->env->ctx), node_now(n));
}

static int64_t wrong_ms(const node *n, crdt_time now)
{
    return (int64_t)n->env->wall_ms(n->env->ctx) - (int64_t)now.ms;
}

static void changed(node *n)
{
    uint64_t now = node_now(n);

    n->clocks_ms = now > n->clocks_rest ? now : n->clocks_rest;
}

void node_clock_heard(void *ctx, uint64_t wall_ms)
{
    node_link *l = ctx;
    node *n = l->node;

    crdt_wall_hear(&n->clocks, l->who.device, node_is_archive(n, l->who.device),
                   wall_ms, node_now(n));
    changed(n);
}

void node_clock_role(node *n, const uint8_t device[SEC_KEY_BYTES], bool archive)
{
    if (crdt_wall_role(&n->clocks, device, archive))
        changed(n);
}

static void look(node *n)
{
    crdt_time now = time_now(n);

    if (now.contradicted == n->contradicted)
        return;
    n->contradicted = now.contradicted;
    tako_log(n->env, now.contradicted ? TAKO_LOG_WARN : TAKO_LOG_INFO,
             now.contradicted ? "clock_contradicted" : "clock_agrees",
             "\"wrong_ms\":%lld", (long long)wrong_ms(n, now));
}

void node_clock_tick(node *n, uint64_t now_ms)
{
    store *s;

    look(n);
    if (now_ms < n->clocks_ms)
        return;
    n->clocks_rest = now_ms + NODE_CLOCK_MS;
    n->clocks_ms = n->clocks_rest; /* again, where the writer is not free */
    s = n->host->write_try(n->host->ctx);
    if (s == NULL)
        return;
    store_clocks_heard(s, &n->clocks);
    n->host->write_end(n->host->ctx, 0);
    n->clocks_ms = UINT64_MAX;
}

uint64_t node_clock_deadline(const node *n)
{
    return n->clocks_ms;
}

void node_clock_status(const node *n, tako_buf *json)
{
    crdt_time now = time_now(n);

    tako_put_fmt(json,
                 ",\"clock\":{\"state\":\"%s\",\"votes\":%lu,"
                 "\"wrong_ms\":%lld}",
                 now.contradicted ? "contradicted"
                 : now.confirmed  ? "confirmed"
                                  : "unconfirmed",
                 (unsigned long)now.votes,
                 now.contradicted ? (long long)wrong_ms(n, now) : 0LL);
}
