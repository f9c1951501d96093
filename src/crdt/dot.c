// SPDX-License-Identifier: Apache-2.0
#include "crdt/dot.h"

#define HLC_LAST    (UINT64_MAX - 1)
#define LINEAR_MAX  8u /* contexts up to this size are searched in a line */
#define CONTEXT_MIN 4u

uint64_t crdt_clock_next(const crdt_clock *c, uint64_t wall_ms)
{
    uint64_t wall = HLC_LAST;

    if (wall_ms <= CRDT_HLC_MS(HLC_LAST))
        wall = CRDT_HLC_OF_MS(wall_ms);
    if (c->last >= HLC_LAST)
        return HLC_LAST;
    return c->last + 1 > wall ? c->last + 1 : wall;
}

bool crdt_clock_observe(crdt_clock *c, uint64_t remote, uint64_t wall_ms)
{
    if (CRDT_HLC_MS(remote) > TAKO_CLOCK_AHEAD_MS_MAX &&
        CRDT_HLC_MS(remote) - TAKO_CLOCK_AHEAD_MS_MAX > wall_ms)
        return false;
    if (remote > c->last)
        c->last = remote;
    return true;
}

size_t crdt_context_find(const crdt_context *c, const crdt_actor *actor,
                         bool *found)
{
    size_t lo = 0;
    size_t hi = c->count;

    if (c->count <= LINEAR_MAX) {
        for (size_t i = 0; i < c->count; i++) {
            if (memcmp(&c->dots[i].actor, actor, sizeof *actor) == 0) {
                *found = true;
                return i;
            }
        }
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = memcmp(&c->dots[mid].actor, actor, sizeof *actor);

        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = false;
    return lo;
}

uint64_t crdt_context_get(const crdt_context *c, crdt_actor actor)
{
    bool found;
    size_t i = crdt_context_find(c, &actor, &found);

    return found ? c->dots[i].hlc : 0;
}

bool crdt_context_has(const crdt_context *c, crdt_dot dot)
{
    return crdt_context_get(c, dot.actor) >= dot.hlc;
}

static tako_err context_reserve(tako_arena *a, crdt_context *c, size_t count)
{
    size_t cap = c->cap < CONTEXT_MIN ? CONTEXT_MIN : c->cap;
    crdt_dot *dots;

    if (count <= c->cap)
        return TAKO_OK;
    while (cap < count)
        cap *= 2;
    dots = tako_arena_array(a, cap, sizeof *dots);
    if (dots == NULL)
        return TAKO_NOMEM;
    if (c->count > 0)
        memcpy(dots, c->dots, c->count * sizeof *dots);
    c->dots = dots;
    c->cap = cap;
    return TAKO_OK;
}

tako_err crdt_context_add(tako_arena *a, crdt_context *c, crdt_dot dot)
{
    bool found;
    size_t i = crdt_context_find(c, &dot.actor, &found);

    if (found) {
        if (c->dots[i].hlc < dot.hlc)
            c->dots[i].hlc = dot.hlc;
        return TAKO_OK;
    }
    if (dot.hlc == 0) /* 0 means unknown: there is nothing to add */
        return TAKO_OK;
    TAKO_TRY(context_reserve(a, c, c->count + 1));
    memmove(c->dots + i + 1, c->dots + i, (c->count - i) * sizeof *c->dots);
    c->dots[i] = dot;
    c->count++;
    return TAKO_OK;
}

tako_err crdt_context_join(tako_arena *a, crdt_context *into,
                           const crdt_context *from)
{
    size_t missing = 0;
    size_t i = into->count;
    size_t j = from->count;
    size_t k;

    /* Merged from the back, so that large contexts cost a line and not a
     * square. */
    for (size_t n = 0; n < from->count; n++)
        missing += crdt_context_get(into, from->dots[n].actor) == 0;
    TAKO_TRY(context_reserve(a, into, into->count + missing));
    k = into->count += missing;
    while (j > 0) {
        int order = i == 0 ? -1
                           : crdt_actor_cmp(into->dots[i - 1].actor,
                                            from->dots[j - 1].actor);

        if (order > 0) {
            into->dots[--k] = into->dots[--i];
        } else if (order < 0) {
            into->dots[--k] = from->dots[--j];
        } else {
            into->dots[--k] = into->dots[--i];
            if (into->dots[k].hlc < from->dots[--j].hlc)
                into->dots[k].hlc = from->dots[j].hlc;
        }
    }
    return TAKO_OK;
}

bool crdt_context_covers(const crdt_context *big, const crdt_context *small)
{
    if (small->count > big->count)
        return false;
    for (size_t i = 0; i < small->count; i++) {
        if (!crdt_context_has(big, small->dots[i]))
            return false;
    }
    return true;
}

bool crdt_context_eq(const crdt_context *a, const crdt_context *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (crdt_dot_cmp(a->dots[i], b->dots[i]) != 0)
            return false;
    }
    return true;
}
