// SPDX-License-Identifier: Apache-2.0
/* WALL -- what time it is: by our own wall clock, and by those of neighbours.
 *
 * Of each neighbour is remembered how far its wall clock is ahead of our
 * monotonic one, which nobody can set; so what it told goes on by itself, and
 * whoever sets our wall clock changes nothing in it.
 *
 * An archive (a hub) has two votes, any other device one: two votes that agree
 * confirm a time, so two neighbours do, or one archive. The median of the votes
 * contradicts our wall clock when they are TAKO_CLOCK_AHEAD_MS_MAX apart, and is
 * the time then. Where the number of votes is even, any time between the two in
 * the middle is a median, and the nearest to our own clock is meant: two
 * neighbours that disagree with each other overrule nobody.
 *
 * NOT TRUSTED  Who is believed is not: the votes of liars can only do what the
 * median does. A clock before TAKO_CLOCK_MS_MIN was never set, one after
 * TAKO_CLOCK_MS_MAX would use up our hlcs: both are as if nothing was told. One
 * vote, or less, says nothing. A device counts once, by its latest word, for
 * TAKO_CLOCK_TOLD_MS_MAX.
 *
 * Pure: nothing here reads a clock. */
#ifndef TAKO_CRDT_WALL_H
#define TAKO_CRDT_WALL_H

#include <stdbool.h>

#include "base/limits.h"
#include "base/slice.h"

#define CRDT_WALL_WHO_BYTES 32u

typedef struct crdt_wall_word {
    uint8_t who[CRDT_WALL_WHO_BYTES];
    int64_t ahead_ms; /* its wall clock, of our monotonic one */
    uint64_t told_ms; /* by our monotonic clock */
    bool archive;
} crdt_wall_word;

/* All zero: nobody said anything. */
typedef struct crdt_wall {
    crdt_wall_word words[TAKO_CLOCKS_MAX]; /* the latest first */
    size_t count;
} crdt_wall;

typedef struct crdt_time {
    uint64_t ms;       /* what to go by */
    bool contradicted; /* it is not our wall clock */
    bool confirmed;    /* two votes agree with it */
    uint32_t votes;
} crdt_time;

/* A device says what its wall clock shows, now, when our monotonic one shows
 * mono_ms. It takes the place of what it said before. */
void crdt_wall_hear(crdt_wall *w, const uint8_t who[CRDT_WALL_WHO_BYTES],
                    bool archive, uint64_t wall_ms, uint64_t mono_ms);
/* It is an archive, or no more. True: that is new. */
bool crdt_wall_role(crdt_wall *w, const uint8_t who[CRDT_WALL_WHO_BYTES],
                    bool archive);
/* wall_ms, mono_ms: our own clocks. */
crdt_time crdt_wall_now(const crdt_wall *w, uint64_t wall_ms, uint64_t mono_ms);

#endif /* TAKO_CRDT_WALL_H */
