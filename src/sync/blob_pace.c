// SPDX-License-Identifier: Apache-2.0
/* BLOB PACE -- how many parts may be under way from one neighbour.
 *
 * What is wanted and not here yet lies somewhere: on the wire, or in front of
 * the slowest piece of the way, where nothing overtakes it. A node hands its
 * own stream a part at a time, but of a modem or a router in between it sees
 * nothing; a full window would lie there, and an order's change behind it. So
 * who asks wants no more than what the way holds without a queue.
 *
 * What it holds is known from two times, each the least of late: how long a
 * part takes from WANT to here, and how long a small message takes. Their
 * difference is what a part occupies the way for; parts are wanted at least so
 * far apart, and as many at once as fit into the whole time; one always, so
 * that a time that was wrong costs one round at most. Where a part
 * occupies it for less than BLOB_QUEUE_MS, as many as make that up may be under
 * way: a clock of milliseconds sees no better, and no order notices.
 *
 * Both times are taken of parts from one neighbour whatever they belong to, as
 * the way is one. The least of the last BLOB_PACE_MS to twice that counts, so a
 * way that became slower is noticed. */
#include "sync/blob_state.h"

static void least_take(blob_least *l, uint64_t now_ms, uint64_t took_ms)
{
    uint32_t ms = took_ms < UINT32_MAX ? (uint32_t)took_ms + 1u : UINT32_MAX;

    if (now_ms >= l->since_ms + BLOB_PACE_MS) {
        l->before = l->now;
        l->now = 0;
        l->since_ms = now_ms;
    }
    if (l->now == 0 || ms < l->now)
        l->now = ms;
}

/* One more than it took; 0: not known. */
static uint32_t least_of(const blob_least *l)
{
    if (l->now == 0 || l->before == 0)
        return l->now + l->before;
    return l->now < l->before ? l->now : l->before;
}

/* How long a part occupies the way. */
static uint32_t part_ms(const sync_blob_peer *p)
{
    uint32_t whole = least_of(&p->part_least);
    uint32_t reply = least_of(&p->reply_least);

    return whole > reply ? whole - reply : 1;
}

static uint32_t window(const sync_blob_peer *p)
{
    uint32_t whole = least_of(&p->part_least), part = part_ms(p), fit, make_up;

    if (whole == 0)
        return 1;
    fit = (whole - 1u + part - 1u) / part;
    make_up = BLOB_QUEUE_MS / part;
    fit = fit > make_up ? fit : make_up;
    return fit > 0 ? fit : 1;
}

bool blob_part_is_large(const blob_form *f, uint32_t part)
{
    return blob_part_len(f, part) > BLOB_PART_BYTES / 2u;
}

bool blob_pace_lets(sync_blob_peer *p, uint64_t now_ms)
{
    bool lets = p->large_flying == 0 ||
                (p->large_flying < window(p) && now_ms >= p->want_ms);

    p->held = p->held || !lets;
    return lets;
}

void blob_pace_wanted(sync_blob_peer *p, uint64_t now_ms)
{
    uint32_t part = part_ms(p);

    p->large_flying++;
    if (part >= BLOB_QUEUE_MS && least_of(&p->part_least) > 0)
        p->want_ms = now_ms + part + part / 16u + 1u; /* rather too late */
}

void blob_pace_ended(sync_blob_peer *p)
{
    p->large_flying--;
    p->b->kick = p->b->kick || p->held; /* another's turn */
}

void blob_pace_replied(sync_blob_peer *p, uint64_t now_ms, uint64_t took_ms)
{
    least_take(&p->reply_least, now_ms, took_ms);
}

void blob_pace_came(sync_blob_peer *p, uint64_t now_ms, uint64_t took_ms,
                    size_t len)
{
    if (len == BLOB_PART_BYTES)
        least_take(&p->part_least, now_ms, took_ms);
    else if (len <= BLOB_SMALL_BYTES)
        least_take(&p->reply_least, now_ms, took_ms);
}

bool blob_pace_slower(const sync_blob_peer *p, uint64_t took_ms)
{
    uint32_t whole = least_of(&p->part_least);

    return whole > 0 && took_ms > 2u * (uint64_t)whole + 2u * BLOB_QUEUE_MS;
}

uint64_t blob_pace_deadline(const sync_blob_peer *p)
{
    return p->held && p->want_ms > 0 ? p->want_ms : UINT64_MAX;
}

bool blob_pace_tick(sync_blob_peer *p, uint64_t now_ms)
{
    if (blob_pace_deadline(p) > now_ms)
        return false;
    p->want_ms = 0;
    p->held = false;
    return true;
}
