// SPDX-License-Identifier: Apache-2.0
#include "crdt/wall.h"

#include <string.h>

#define VOTES_MAX   (2 * TAKO_CLOCKS_MAX)
#define VOTES_LEAST 2u /* fewer say nothing */

static size_t find(const crdt_wall *w, const uint8_t who[CRDT_WALL_WHO_BYTES])
{
    size_t i = 0;

    while (i < w->count && memcmp(w->words[i].who, who, sizeof w->words->who))
        i++;
    return i;
}

void crdt_wall_hear(crdt_wall *w, const uint8_t who[CRDT_WALL_WHO_BYTES],
                    bool archive, uint64_t wall_ms, uint64_t mono_ms)
{
    size_t at = find(w, who);

    if (wall_ms < TAKO_CLOCK_MS_MIN || wall_ms > TAKO_CLOCK_MS_MAX ||
        mono_ms > TAKO_CLOCK_MS_MAX)
        return;
    if (at == w->count && w->count < TAKO_CLOCKS_MAX)
        w->count++;
    if (at == w->count) /* full: the oldest word gives way */
        at--;
    memmove(w->words + 1, w->words, at * sizeof *w->words);
    memcpy(w->words[0].who, who, sizeof w->words->who);
    w->words[0].ahead_ms = (int64_t)wall_ms - (int64_t)mono_ms;
    w->words[0].told_ms = mono_ms;
    w->words[0].archive = archive;
}

bool crdt_wall_role(crdt_wall *w, const uint8_t who[CRDT_WALL_WHO_BYTES],
                    bool archive)
{
    size_t at = find(w, who);

    if (at == w->count || w->words[at].archive == archive)
        return false;
    w->words[at].archive = archive;
    return true;
}

/* Ascending. */
static void vote(int64_t votes[VOTES_MAX], size_t *count, int64_t ms)
{
    size_t at = (*count)++;

    for (; at > 0 && votes[at - 1] > ms; at--)
        votes[at] = votes[at - 1];
    votes[at] = ms;
}

static bool is_near(int64_t a, int64_t b)
{
    return (a > b ? a - b : b - a) <= (int64_t)TAKO_CLOCK_AHEAD_MS_MAX;
}

crdt_time crdt_wall_now(const crdt_wall *w, uint64_t wall_ms, uint64_t mono_ms)
{
    int64_t votes[VOTES_MAX], least, most, own, nearest;
    crdt_time now = { .ms = wall_ms };
    size_t count = 0, near = 0;

    for (size_t i = 0; i < w->count; i++) {
        const crdt_wall_word *word = &w->words[i];

        if (mono_ms < word->told_ms ||
            mono_ms - word->told_ms > TAKO_CLOCK_TOLD_MS_MAX)
            continue;
        for (unsigned n = word->archive ? 2 : 1; n > 0; n--)
            vote(votes, &count, word->ahead_ms + (int64_t)mono_ms);
    }
    now.votes = (uint32_t)count;
    if (count < VOTES_LEAST)
        return now;
    least = votes[(count - 1) / 2];
    most = votes[count / 2];
    own = wall_ms < INT64_MAX / 2 ? (int64_t)wall_ms : INT64_MAX / 2;
    nearest = own < least ? least : own > most ? most : own;
    if (!is_near(own, nearest)) {
        now.contradicted = true;
        now.ms = (uint64_t)nearest;
        own = nearest;
    }
    for (size_t i = 0; i < count; i++)
        near += is_near(votes[i], own);
    now.confirmed = near >= VOTES_LEAST;
    return now;
}
