// SPDX-License-Identifier: Apache-2.0
/* NET -- streams over links.
 *
 * A stream is a pair of ends. What an end sends waits in `out` until the
 * window and the wire have room, is cut into segments of the link's MTU, and
 * stands in `flight`, in order, until each segment's own event delivers it. A
 * segment that arrives while its direction is cut, or behind one that did,
 * goes to `held`, and arrives some time after the link is mended. The sender
 * hears of an arrival by the other direction; while that is cut its window
 * stays taken.
 *
 * Ends are never freed while the world lives, so that an event may always
 * look at its own; what they hold is.
 *
 * What a dead node's code still sends is dropped, and so nothing that was not
 * on the wire before its end gets out. */
#include "sim/net.h"

#include <stdio.h>

#include "base/check.h"

typedef enum end_state {
    END_DIALLING,
    END_OPEN,
    END_CLOSING, /* told to; on_close comes */
    END_GONE,
} end_state;

typedef struct segment {
    struct segment *next;
    size_t len;
    uint8_t bytes[];
} segment;

struct tako_stream {
    tako_stream *next; /* all ends */
    tako_stream *other;
    sim_link *link;
    unsigned side; /* of the link */
    sim_node *node;
    uint64_t run;
    end_state state;
    bool quiet; /* accepted and refused at once: no events */
    const tako_stream_events *events;
    void *user;
    tako_buf out;
    size_t out_at;
    segment *flight, **flight_last;
    uint64_t arrives_us; /* the last in flight */
    size_t unseen;       /* sent, and no word of its arrival */
    size_t unsaid;       /* arrived there, word held back by a cut */
    tako_buf held;
    bool held_due;
    bool pump_due, drain_due;
    bool fin_due;   /* after all of out */
    bool fin_there; /* delivered to the other after what is in flight */
    uint64_t flush_until_us;
    tako_err why;
    const char *detail;
};

struct tako_listener {
    sim_node *node;
    uint64_t run;
    tako_accept_fn *accept;
    void *ctx;
};

struct sim_net {
    sim_world *world;
    sim_link *links;
    size_t link_count;
    tako_stream *streams;
    tako_listener listeners[SIM_NODES_MAX]; /* one a node */
};

static bool lives(const tako_stream *s)
{
    return s->node->up && s->node->run == s->run && !s->node->dying &&
           !sim_disk_stopped(s->node->disk);
}

/* ---- links ------------------------------------------------------------------- */

sim_net *sim_net_new(sim_world *w)
{
    sim_net *net = sim_new(w->env, sizeof *net);

    net->world = w;
    return net;
}

static void flight_drop(sim_world *w, tako_stream *s)
{
    while (s->flight != NULL) {
        segment *g = s->flight;

        s->flight = g->next;
        tako_env_free(w->env, g, sizeof *g + g->len);
    }
    s->flight_last = &s->flight;
}

static void buffers_drop(sim_world *w, tako_stream *s)
{
    tako_buf_fini(&s->out);
    tako_buf_fini(&s->held);
    s->out = tako_buf_on(w->env);
    s->held = tako_buf_on(w->env);
    s->out_at = 0;
    flight_drop(w, s);
}

void sim_net_free(sim_net *net)
{
    sim_world *w = net->world;

    while (net->streams != NULL) {
        tako_stream *s = net->streams;

        net->streams = s->next;
        buffers_drop(w, s);
        tako_env_free(w->env, s, sizeof *s);
    }
    while (net->links != NULL) {
        sim_link *l = net->links;

        net->links = l->next;
        tako_env_free(w->env, l, sizeof *l);
    }
    tako_env_free(w->env, net, sizeof *net);
}

sim_link *sim_link_add(sim_world *w, sim_node *from, sim_node *to,
                       const sim_link_kind *kind)
{
    sim_link *l = sim_new(w->env, sizeof *l);

    TAKO_ASSERT(w->net->link_count++ < SIM_LINKS_MAX && from != to);
    l->end[0] = from;
    l->end[1] = to;
    l->kind = *kind;
    l->next = w->net->links;
    w->net->links = l;
    return l;
}

sim_link *sim_links(sim_world *w)
{
    return w->net->links;
}

sim_link *sim_link_find(sim_world *w, const sim_node *a, const sim_node *b)
{
    for (sim_link *l = w->net->links; l != NULL; l = l->next)
        if ((l->end[0] == a && l->end[1] == b) ||
            (l->end[0] == b && l->end[1] == a))
            return l;
    return NULL;
}

bool sim_link_is_cut(const sim_link *l)
{
    return l->cut[0] > 0 || l->cut[1] > 0;
}

/* ---- the end of a stream --------------------------------------------------------- */

static void on_gone(sim_world *w, void *ctx, uint64_t number);

/* on_close comes from the queue, `delay` later. */
static void end_later(sim_world *w, tako_stream *s, tako_err why,
                      const char *detail, uint64_t delay_us)
{
    if (s->state == END_GONE)
        return;
    if (s->detail == NULL) {
        s->why = why;
        s->detail = detail;
    }
    sim_at(w, w->now_us + delay_us, on_gone, s, 0);
}

static void gone(sim_world *w, tako_stream *s)
{
    /* What is in flight still arrives. */
    s->state = END_GONE;
    tako_buf_fini(&s->out);
    s->out = tako_buf_on(w->env);
    s->out_at = 0;
}

static void on_gone(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx;
    sim_node *n = s->node;

    if (s->state == END_GONE || !lives(s))
        return;
    if (sim_busy(n, on_gone, ctx, number))
        return;
    gone(w, s);
    sim_trace(w, s->side, (uint64_t)(unsigned)-s->why);
    if (s->quiet)
        return;
    sim_enter(n);
    s->events->on_close(s->user, s->why, s->detail);
    sim_leave(n);
}

static uint64_t travel_us(sim_world *w, const sim_link *l)
{
    return l->kind.latency_us +
           sim_random_below(&w->random, l->kind.jitter_us + 1);
}

/* The other side hears of a reset, if anything gets there. */
static void reset_other(sim_world *w, tako_stream *s)
{
    tako_stream *o = s->other;

    if (o == NULL || o->state == END_GONE || s->link->cut[s->side] > 0)
        return;
    flight_drop(w, s);
    tako_buf_reset(&s->held);
    end_later(w, o, TAKO_IO, "connection reset by peer", travel_us(w, s->link));
}

void sim_link_reset(sim_link *l)
{
    sim_world *w = l->end[0]->world;

    l->resets++;
    for (tako_stream *s = w->net->streams; s != NULL; s = s->next) {
        if (s->link != l || s->state == END_GONE)
            continue;
        flight_drop(w, s);
        tako_buf_reset(&s->held);
        end_later(w, s, TAKO_IO, "connection reset", 0);
    }
}

void sim_net_end(sim_node *n, bool tell_peers)
{
    sim_world *w = n->world;

    for (tako_stream *s = w->net->streams; s != NULL; s = s->next) {
        if (s->node != n || s->run != n->run || s->state == END_GONE)
            continue;
        if (tell_peers)
            reset_other(w, s);
        gone(w, s);
        if (!s->quiet)
            s->events->on_close(s->user, TAKO_IO, "the process ended");
    }
}

size_t sim_net_queued_max(const sim_node *n)
{
    size_t most = 0;

    for (const tako_stream *s = n->world->net->streams; s != NULL; s = s->next)
        if (s->node == n && s->state != END_GONE && s->out.len > most)
            most = s->out.len;
    return most;
}

/* ---- bytes ------------------------------------------------------------------------ */

static void on_segment(sim_world *w, void *ctx, uint64_t number);
static void on_held(sim_world *w, void *ctx, uint64_t number);
static void on_pump(sim_world *w, void *ctx, uint64_t number);
static void on_drain(sim_world *w, void *ctx, uint64_t number);

static void pump_soon(sim_world *w, tako_stream *s)
{
    if (s->pump_due || s->state == END_GONE)
        return;
    s->pump_due = true;
    sim_at(w, w->now_us, on_pump, s, 0);
}

static uint64_t wire_us(sim_link *l, unsigned side, size_t bytes)
{
    if (l->kind.bytes_per_s == 0)
        return 0;
    (void)side;
    return (uint64_t)bytes * SIM_SECOND / l->kind.bytes_per_s;
}

/* How much later than usual: lost and sent again, or behind a later one.
 * UINT64_MAX: the stream's patience is at its end. */
static uint64_t misfortune_us(sim_world *w, sim_link *l, unsigned side,
                              size_t bytes)
{
    uint64_t late = 0, resend = SIM_RESEND_MS * SIM_MS;

    for (unsigned i = 0; sim_random_chance(&w->random, l->kind.loss_ppm); i++) {
        if (i == SIM_RESENDS_MAX)
            return UINT64_MAX;
        late += resend;
        resend *= 2;
        l->resent[side]++;
        l->free_us[side] += wire_us(l, side, bytes);
    }
    if (sim_random_chance(&w->random, l->kind.reorder_ppm))
        late += travel_us(w, l);
    if (sim_random_chance(&w->random, l->kind.duplicate_ppm)) {
        l->duplicated[side]++;
        l->free_us[side] += wire_us(l, side, bytes);
    }
    return late;
}

/* Puts the next `len` bytes of out on the wire. */
static bool segment_send(sim_world *w, tako_stream *s, size_t len)
{
    sim_link *l = s->link;
    segment *g = sim_new(w->env, sizeof *g + len);
    uint64_t late, at;

    g->len = len;
    memcpy(g->bytes, s->out.ptr + s->out_at, len);
    if (sim_random_chance(&w->random, l->kind.corrupt_ppm))
        g->bytes[sim_random_below(&w->random, len)] ^=
            (uint8_t)(1u << sim_random_below(&w->random, 8));
    s->out_at += len;
    if (l->free_us[s->side] < w->now_us)
        l->free_us[s->side] = w->now_us;
    l->free_us[s->side] += wire_us(l, s->side, len);
    late = misfortune_us(w, l, s->side, len);
    *s->flight_last = g;
    s->flight_last = &g->next;
    s->unseen += len;
    l->segments[s->side]++;
    l->bytes[s->side] += len;
    s->node->sent_bytes += len;
    if (late == UINT64_MAX)
        return false;
    at = l->free_us[s->side] + travel_us(w, l) + late;
    s->arrives_us = at > s->arrives_us ? at : s->arrives_us;
    sim_at(w, s->arrives_us, on_segment, s, 0);
    return true;
}

static void out_compact(tako_stream *s)
{
    if (s->out_at == s->out.len) {
        tako_buf_reset(&s->out);
        s->out_at = 0;
    }
}

static void fin_send(sim_world *w, tako_stream *s)
{
    s->fin_due = false;
    s->fin_there = true;
    if (s->other != NULL)
        sim_at(w, s->arrives_us, on_segment, s, 1);
    end_later(w, s, TAKO_CLOSED, "closed here", 0);
}

static void on_pump(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx;
    sim_link *l = s->link;

    (void)number;
    s->pump_due = false;
    if (!lives(s) || s->state == END_GONE || s->state == END_DIALLING ||
        s->fin_there)
        return;
    while (s->out_at < s->out.len && s->unseen < SIM_WINDOW_BYTES &&
           l->cut[s->side] == 0) {
        size_t n = s->out.len - s->out_at;

        n = n < l->kind.mtu ? n : l->kind.mtu;
        if (!segment_send(w, s, n)) {
            end_later(w, s, TAKO_IO, "connection timed out", 0);
            reset_other(w, s);
            return;
        }
    }
    out_compact(s);
    if (s->fin_due && (s->out.len == 0 || w->now_us >= s->flush_until_us))
        fin_send(w, s);
    else if (s->drain_due && s->out.len == 0)
        sim_at(w, w->now_us, on_drain, s, 0);
}

static void on_drain(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx;

    if (!s->drain_due || !lives(s) || s->state != END_OPEN ||
        sim_busy(s->node, on_drain, ctx, number))
        return;
    if (s->out.len > 0)
        return; /* it comes when that is gone */
    s->drain_due = false;
    sim_enter(s->node);
    s->events->on_drain(s->user);
    sim_leave(s->node);
    (void)w;
}

/* The sender hears that so much has arrived, if the way back is open. */
static void seen(sim_world *w, tako_stream *s, size_t len)
{
    if (s->link->cut[1 - s->side] > 0) {
        s->unsaid += len;
        return;
    }
    s->unseen -= len;
    if (s->out.len > 0)
        pump_soon(w, s);
}

static void give(sim_world *w, tako_stream *to, tako_slice data)
{
    sim_trace(w, data.len, to->side);
    to->node->received_bytes += data.len;
    sim_enter(to->node);
    to->events->on_data(to->user, data);
    sim_leave(to->node);
}

/* What came over a link from an end to one that is not there any more. */
static void nobody_there(sim_world *w, tako_stream *s)
{
    const sim_node *n = s->other->node;

    if (n->up || sim_disk_how(n->disk) == SIM_DISK_KILL)
        end_later(w, s, TAKO_IO, "connection reset by peer",
                  travel_us(w, s->link));
}

static void fin_arrives(sim_world *w, tako_stream *s)
{
    if (s->link->cut[s->side] > 0 || s->held.len > 0)
        return; /* it is heard of when somebody's patience ends */
    if (s->other->state != END_GONE)
        end_later(w, s->other, TAKO_CLOSED, "the peer closed the connection",
                  0);
}

static void on_segment(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx, *to = s->other;
    segment *g = s->flight;

    if (number == 1 && s->flight == NULL) {
        fin_arrives(w, s);
        return;
    }
    if (g == NULL)
        return; /* lost in a reset */
    if (to->state == END_OPEN && lives(to) &&
        sim_busy(to->node, on_segment, ctx, number))
        return;
    s->flight = g->next;
    if (s->flight == NULL)
        s->flight_last = &s->flight;
    if (s->link->cut[s->side] > 0 || s->held.len > 0) {
        tako_put_bytes(&s->held, tako_slice_of(g->bytes, g->len));
        TAKO_ASSERT(!s->held.failed);
    } else if (!lives(to) || to->state == END_GONE) {
        nobody_there(w, s);
    } else {
        seen(w, s, g->len);
        if (to->state == END_OPEN)
            give(w, to, tako_slice_of(g->bytes, g->len));
    }
    tako_env_free(w->env, g, sizeof *g + g->len);
    if (number == 1)
        fin_arrives(w, s);
}

/* What a cut held back arrives. */
static void on_held(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx, *to = s->other;
    tako_buf held;

    s->held_due = false;
    if (s->held.len == 0 || s->link->cut[s->side] > 0)
        return;
    if (!lives(to) || to->state == END_GONE) {
        tako_buf_reset(&s->held);
        nobody_there(w, s);
        return;
    }
    s->held_due = true;
    if (sim_busy(to->node, on_held, ctx, number))
        return;
    s->held_due = false;
    held = s->held;
    s->held = tako_buf_on(w->env);
    seen(w, s, held.len);
    if (to->state == END_OPEN)
        give(w, to, tako_buf_slice(&held));
    tako_buf_fini(&held);
    if (s->fin_there && s->flight == NULL)
        fin_arrives(w, s);
}

/* ---- cuts ---------------------------------------------------------------------------- */

void sim_link_cut(sim_link *l, unsigned direction)
{
    if (direction != 1)
        l->cut[0]++;
    if (direction != 0)
        l->cut[1]++;
}

static void mended(sim_world *w, tako_stream *s)
{
    uint64_t after = w->now_us + travel_us(w, s->link) +
                     sim_random_below(&w->random, SIM_SECOND);

    if (s->link->cut[s->side] == 0 && s->held.len > 0 && !s->held_due) {
        s->held_due = true;
        sim_at(w, after, on_held, s, 0);
    }
    if (s->link->cut[1 - s->side] == 0) {
        s->unseen -= s->unsaid;
        s->unsaid = 0;
    }
    if (s->out.len > 0 || s->fin_due)
        pump_soon(w, s);
}

void sim_link_mend(sim_link *l, unsigned direction)
{
    sim_world *w = l->end[0]->world;

    if (direction != 1 && l->cut[0] > 0)
        l->cut[0]--;
    if (direction != 0 && l->cut[1] > 0)
        l->cut[1]--;
    for (tako_stream *s = w->net->streams; s != NULL; s = s->next)
        if (s->link == l && s->other != NULL)
            mended(w, s);
}

/* ---- tako_net ------------------------------------------------------------------------- */

static tako_stream *stream_new(sim_node *n, sim_link *l)
{
    sim_world *w = n->world;
    tako_stream *s = sim_new(w->env, sizeof *s);

    s->node = n;
    s->run = n->run;
    s->link = l;
    s->side = l != NULL && l->end[1] == n;
    s->out = tako_buf_on(w->env);
    s->held = tako_buf_on(w->env);
    s->flight_last = &s->flight;
    s->next = w->net->streams;
    w->net->streams = s;
    return s;
}

static tako_err net_listen(void *ctx, const char *address,
                           tako_accept_fn *accept, void *accept_ctx,
                           tako_listener **out,
                           char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e)
{
    sim_node *n = ctx;
    tako_listener *l = &n->world->net->listeners[n->index];

    if (l->accept != NULL && l->run == n->run)
        return tako_fail(e, TAKO_IO, "%s: in use", address);
    *l = (tako_listener){ n, n->run, accept, accept_ctx };
    (void)snprintf(bound, TAKO_ADDRESS_BYTES_MAX, "%s", address);
    *out = l;
    return TAKO_OK;
}

static void net_unlisten(void *ctx, tako_listener *listener)
{
    (void)ctx;
    listener->accept = NULL;
}

static sim_node *node_at(sim_world *w, const char *address)
{
    char own[TAKO_ADDRESS_BYTES_MAX];

    for (size_t i = 0; i < w->count; i++) {
        sim_net_address(w->nodes[i], own);
        if (strcmp(own, address) == 0)
            return w->nodes[i];
    }
    return NULL;
}

static void on_opened(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx;

    (void)w;
    if (!lives(s) || s->state != END_DIALLING ||
        sim_busy(s->node, on_opened, ctx, number))
        return;
    s->state = END_OPEN;
    sim_enter(s->node);
    s->events->on_open(s->user);
    sim_leave(s->node);
}

/* The first packet arrives at the other side. */
static void on_dialled(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx, *t;
    sim_node *n = s->link->end[1 - s->side];
    tako_listener *l = &w->net->listeners[n->index];
    char from[TAKO_ADDRESS_BYTES_MAX];

    if (!lives(s) || s->state != END_DIALLING || s->link->cut[0] > 0 ||
        s->link->cut[1] > 0 ||
        (!n->up && sim_disk_how(n->disk) == SIM_DISK_POWER))
        return; /* the dialler's patience ends it */
    if (!n->up || l->accept == NULL || l->run != n->run) {
        end_later(w, s, TAKO_UNREACH, "connection refused",
                  travel_us(w, s->link));
        return;
    }
    if (sim_busy(n, on_dialled, ctx, number))
        return;
    t = stream_new(n, s->link);
    t->state = END_OPEN;
    t->other = s;
    s->other = t;
    sim_net_address(s->node, from);
    sim_enter(n);
    t->user = l->accept(l->ctx, t, from, &t->events);
    sim_leave(n);
    if (t->user == NULL) {
        t->quiet = true;
        gone(w, t);
        end_later(w, s, TAKO_CLOSED, "the peer closed the connection",
                  travel_us(w, s->link));
        return;
    }
    sim_at(w, w->now_us + travel_us(w, s->link), on_opened, s, 0);
}

static void on_dial_timeout(sim_world *w, void *ctx, uint64_t number)
{
    tako_stream *s = ctx;

    (void)number;
    if (s->state == END_DIALLING)
        end_later(w, s, TAKO_UNREACH, "connection timed out", 0);
}

static tako_err net_dial(void *ctx, const char *address,
                         const tako_stream_events *events, void *user,
                         tako_stream **out, tako_errbuf *e)
{
    sim_node *n = ctx;
    sim_world *w = n->world;
    sim_node *to = node_at(w, address);
    sim_link *l = to == NULL ? NULL : sim_link_find(w, n, to);
    tako_stream *s = stream_new(n, l);

    (void)e;
    s->events = events;
    s->user = user;
    s->state = END_DIALLING;
    *out = s;
    if (l == NULL) {
        end_later(w, s, TAKO_UNREACH, "no route to host", SIM_MS);
        return TAKO_OK;
    }
    l->dials++;
    sim_at(w, w->now_us + travel_us(w, l), on_dialled, s, 0);
    sim_at(w, w->now_us + SIM_DIAL_TIMEOUT_MS * SIM_MS, on_dial_timeout, s, 0);
    return TAKO_OK;
}

static tako_err net_send(tako_stream *s, tako_slice data)
{
    sim_world *w = s->node->world;

    if (!lives(s) || s->state != END_OPEN || s->fin_due)
        return TAKO_CLOSED;
    tako_put_bytes(&s->out, data);
    TAKO_ASSERT(!s->out.failed);
    if (s->out.len > SIM_STREAM_BYTES_MAX)
        sim_fail(w, "bounded queues", "%s queues %zu bytes for %s",
                 s->node->name, s->out.len, s->other->node->name);
    s->drain_due = true;
    pump_soon(w, s);
    return TAKO_OK;
}

static size_t net_queued(const tako_stream *s)
{
    return s->out.len - s->out_at;
}

static void net_close(tako_stream *s, bool flush)
{
    sim_world *w = s->node->world;

    if (s->state == END_GONE || s->state == END_CLOSING || !lives(s))
        return;
    if (s->state == END_OPEN && flush) {
        s->state = END_CLOSING;
        s->fin_due = true;
        s->flush_until_us = w->now_us + SIM_FLUSH_MS * SIM_MS;
        pump_soon(w, s);
        sim_at(w, s->flush_until_us, on_pump, s, 0);
        return;
    }
    s->state = END_CLOSING;
    reset_other(w, s);
    end_later(w, s, TAKO_CLOSED, "closed here", 0);
}

static void on_timer(sim_world *w, void *ctx, uint64_t number)
{
    sim_node *n = ctx;

    (void)w;
    if (!n->up || n->timer_us != number || sim_busy(n, on_timer, ctx, number))
        return;
    n->timer_us = UINT64_MAX;
    sim_enter(n);
    n->timer(n->timer_ctx);
    sim_leave(n);
}

static void net_timer(void *ctx, uint64_t at_ms, void (*fn)(void *),
                      void *timer_ctx)
{
    sim_node *n = ctx;
    sim_world *w = n->world;
    uint64_t at = UINT64_MAX;

    n->timer = fn;
    n->timer_ctx = timer_ctx;
    if (at_ms != UINT64_MAX)
        at = at_ms > UINT64_MAX / SIM_MS - n->boot_us
                 ? UINT64_MAX
                 : at_ms * SIM_MS + n->boot_us;
    /* At the earliest a moment later: a turn costs time. */
    if (at <= w->now_us)
        at = w->now_us + 1;
    n->timer_us = at;
    if (at != UINT64_MAX)
        sim_at(w, at, on_timer, n, at);
}

static tako_err net_post(void *ctx, void (*fn)(void *arg), void *arg)
{
    (void)ctx;
    fn(arg); /* one thread: it is the loop's */
    return TAKO_OK;
}

void sim_net_init(sim_node *n, tako_net *out)
{
    *out = (tako_net){ n,          net_listen, net_unlisten, net_dial, net_send,
                       net_queued, net_close,  net_timer,    net_post };
}

void sim_net_address(const sim_node *n, char out[TAKO_ADDRESS_BYTES_MAX])
{
    (void)snprintf(out, TAKO_ADDRESS_BYTES_MAX, "tcp://%s:%d", n->name,
                   SIM_PORT);
}

tako_err sim_net_dial_all(sim_node *n, tako_errbuf *e)
{
    char address[TAKO_ADDRESS_BYTES_MAX];
    tako_err err = TAKO_OK;

    for (sim_link *l = n->world->net->links; l != NULL; l = l->next) {
        if (l->end[0] != n || n->node == NULL)
            continue;
        sim_net_address(l->end[1], address);
        err = node_peer_add(n->node, address, e);
        if (err != TAKO_OK && err != TAKO_EXISTS)
            return err;
    }
    return TAKO_OK;
}
