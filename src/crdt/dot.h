// SPDX-License-Identifier: Apache-2.0
/* DOT -- who made an event and when; the hybrid logical clock; contexts.
 *
 * An actor is one incarnation of one database file: 16 random bytes. A dot is
 * (actor, hlc). An hlc is 48 bits of milliseconds and 16 bits of counter
 * (Kulkarni et al. 2014), strictly increasing per actor; one transaction has
 * one hlc. A context is a version vector: actor -> greatest hlc merged. */
#ifndef TAKO_CRDT_DOT_H
#define TAKO_CRDT_DOT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

typedef struct crdt_actor {
    uint8_t id[16];
} crdt_actor;

typedef struct crdt_dot {
    crdt_actor actor;
    uint64_t hlc; /* never 0 in a real dot */
} crdt_dot;

static inline int crdt_actor_cmp(crdt_actor a, crdt_actor b)
{
    return memcmp(a.id, b.id, sizeof a.id);
}

/* The order in which concurrent values win: by hlc, then by actor. */
static inline int crdt_dot_cmp(crdt_dot a, crdt_dot b)
{
    if (a.hlc != b.hlc)
        return a.hlc < b.hlc ? -1 : 1;
    return crdt_actor_cmp(a.actor, b.actor);
}

/* ---- hybrid logical clock -------------------------------------------- */

typedef struct crdt_clock {
    uint64_t last;     /* greatest hlc given out or taken over */
    uint64_t reserved; /* durable: hlcs up to this may be used */
} crdt_clock;

#define CRDT_HLC_OF_MS(ms) ((uint64_t)(ms) << 16)
#define CRDT_HLC_MS(hlc)   ((hlc) >> 16)

/* The next hlc: above `last`, at least wall_ms. Not yet taken: the caller
 * first makes sure that it is <= reserved (extending the reservation durably)
 * and then sets last. Saturates at UINT64_MAX - 1: the caller refuses then. */
uint64_t crdt_clock_next(const crdt_clock *c, uint64_t wall_ms);

/* Takes over a remote hlc, so that our next event sorts after what we have
 * seen. One more than TAKO_CLOCK_AHEAD_MS_MAX ahead of wall_ms does not move
 * the clock and returns false (the caller reports it). */
bool crdt_clock_observe(crdt_clock *c, uint64_t remote, uint64_t wall_ms);

/* ---- contexts ---------------------------------------------------------- */

/* Sorted by actor, no duplicates, every hlc > 0. Lives in an arena. */
typedef struct crdt_context {
    crdt_dot *dots;
    size_t count;
    size_t cap;
} crdt_context;

/* Where the actor is, or where it would be put. */
size_t crdt_context_find(const crdt_context *c, const crdt_actor *actor,
                         bool *found);

/* The hlc known of an actor, 0 when none. */
uint64_t crdt_context_get(const crdt_context *c, crdt_actor actor);
bool crdt_context_has(const crdt_context *c, crdt_dot dot);

/* Raises (never lowers) an actor's hlc. TAKO_NOMEM. */
tako_err crdt_context_add(tako_arena *a, crdt_context *c, crdt_dot dot);
tako_err crdt_context_join(tako_arena *a, crdt_context *into,
                           const crdt_context *from);
bool crdt_context_covers(const crdt_context *big, const crdt_context *small);
bool crdt_context_eq(const crdt_context *a, const crdt_context *b);

#endif /* TAKO_CRDT_DOT_H */
