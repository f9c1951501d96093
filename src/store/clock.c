// SPDX-License-Identifier: Apache-2.0
/* CLOCK -- by which time our hlcs go (SYNC.md 1).
 *
 * By the wall clock, as long as neighbours do not contradict it; else by what
 * they say (crdt/wall.h). It is only asked for where hlcs are made or bounded:
 * what is shown to people, grants and retention go by the wall clock.
 *
 * NEVER BACK, within an actor: crdt_clock_next() begins after the last hlc,
 * whatever the time is. So an actor that once ran ahead would go on ahead, and
 * win against every concurrent write, long after its clock was set right. Where
 * its hlcs are more than TAKO_CLOCK_AHEAD_MS_MAX ahead of a time that two votes
 * confirm, it ends before the next transaction, and another begins at that
 * time. Nothing is lost by that: what the former one wrote is sent like all
 * that is here, and the hlcs of two actors are compared only where neither
 * write saw the other.
 *
 * BOUNDED  Who lies about the time can end an actor once in
 * TAKO_CLOCK_RESTART_MS_MIN, and gains that our writes lose, or win, against
 * those that are concurrent; what has seen others stays after them.
 *
 * NOT KEPT IN THE FILE  After a restart the wall clock counts until neighbours
 * speak again. What they told was told against a monotonic clock that is gone,
 * and a device that was off may have been set right meanwhile; an old
 * correction would put it wrong again, with nobody there to contradict it. */
#include "store/internal.h"

static uint64_t mono_ms(const store *s)
{
    return s->env->mono_ms(s->env->ctx);
}

crdt_time clock_time(const store *s)
{
    uint64_t wall = s->env->wall_ms(s->env->ctx);

    return s->wall.count == 0 ? (crdt_time){ .ms = wall }
                              : crdt_wall_now(&s->wall, wall, mono_ms(s));
}

tako_err clock_restart(store *s, tako_errbuf *e)
{
    crdt_time now = clock_time(s);
    uint64_t last = CRDT_HLC_MS(s->clock.last);
    uint64_t mono;

    if (!now.confirmed || last <= now.ms + TAKO_CLOCK_AHEAD_MS_MAX)
        return TAKO_OK;
    mono = mono_ms(s);
    if (s->restart_ms != 0 && mono - s->restart_ms < TAKO_CLOCK_RESTART_MS_MIN)
        return TAKO_OK;
    TAKO_TRY(actor_restart(s, CRDT_HLC_OF_MS(now.ms), e));
    s->restart_ms = mono > 0 ? mono : 1;
    tako_log(s->env, TAKO_LOG_WARN, "clock_restarted", "\"ahead_ms\":%llu",
             (unsigned long long)(last - now.ms));
    return TAKO_OK;
}

void store_clocks_heard(store *s, const crdt_wall *wall)
{
    s->wall = *wall;
}
