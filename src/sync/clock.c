// SPDX-License-Identifier: Apache-2.0
/* CLOCK -- what the wall clock shows here and there (SYNC.md 1).
 *
 * HELLO tells it. A session may last for weeks, though, and a clock be set
 * meanwhile (a hub without a battery has its time some seconds after it
 * started): so it is told again, in CLOCK, when it was set by more than
 * TAKO_CLOCK_MOVED_MS_MIN, and before the host forgets it. Told is what the
 * clock shows, never what we hold for the time: else two neighbours would
 * confirm to each other what they had from a third.
 *
 * A message that was on its way for a while tells of an earlier time: that
 * needs no care, as nothing under five minutes matters. */
#include "sync/state.h"

#define WALL_MS_MAX   (UINT64_C(1) << 48)
#define TELL_AGAIN_MS (TAKO_CLOCK_TOLD_MS_MAX / 2)

static int64_t ahead_of_mono(uint64_t wall_ms, uint64_t mono_ms)
{
    return (int64_t)wall_ms - (int64_t)mono_ms;
}

static uint64_t mono_ms(const sync_session *s)
{
    return s->env->mono_ms(s->env->ctx);
}

/* 0: it shows nothing that could be told. */
static uint64_t wall_ms(const sync_session *s)
{
    uint64_t wall = s->env->wall_ms(s->env->ctx);

    return wall < WALL_MS_MAX ? wall : 0;
}

uint64_t sync_clock_tell(sync_session *s)
{
    uint64_t wall = wall_ms(s);

    s->clock_told_ms = mono_ms(s);
    s->clock_told = ahead_of_mono(wall, s->clock_told_ms);
    return wall;
}

void sync_clock_step(sync_session *s)
{
    uint64_t mono = mono_ms(s);
    uint64_t since = mono - s->clock_told_ms;
    int64_t moved;

    if (!s->hello_sent || !s->greeted || since < TAKO_CLOCK_MOVED_MS_MIN)
        return;
    moved = ahead_of_mono(wall_ms(s), mono) - s->clock_told;
    if (since < TELL_AGAIN_MS && moved <= (int64_t)TAKO_CLOCK_MOVED_MS_MIN &&
        moved >= -(int64_t)TAKO_CLOCK_MOVED_MS_MIN)
        return;
    tako_buf_reset(&s->scratch);
    tako_put_varint(&s->scratch, sync_clock_tell(s));
    sync_control(s, SYNC_MSG_CLOCK, tako_buf_slice(&s->scratch));
}

void sync_clock_heard(sync_session *s, uint64_t wall)
{
    uint64_t ours = s->env->wall_ms(s->env->ctx);

    s->clock_ahead_ms = wall > ours ? wall - ours : 0;
    if (s->clock_ahead_ms > TAKO_CLOCK_AHEAD_MS_MAX)
        tako_log(s->env, TAKO_LOG_WARN, "peer_clock_ahead", "\"ahead_ms\":%llu",
                 (unsigned long long)s->clock_ahead_ms);
    if (s->host->clock != NULL)
        s->host->clock(s->host->ctx, wall);
}

tako_err sync_on_clock(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t wall = tako_read_varint(in);

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed CLOCK");
    sync_clock_heard(s, wall);
    return TAKO_OK;
}
