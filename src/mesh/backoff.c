// SPDX-License-Identifier: Apache-2.0
/* Exponential back-off with full jitter (M. Brooker, "Exponential Backoff And
 * Jitter", 2015): a uniform draw below a ceiling that doubles, so that many
 * devices that lost the same hub do not return together. A floor of an eighth
 * of the ceiling keeps a lucky draw from being a busy loop. */
#include "mesh/link.h"

uint32_t mesh_backoff_next_ms(mesh_backoff *b, const tako_env *env)
{
    uint64_t ceiling = MESH_BACKOFF_MAX_MS, floor, draw;

    if (b->failures < 16 &&
        ((uint64_t)MESH_BACKOFF_FIRST_MS << b->failures) < ceiling)
        ceiling = (uint64_t)MESH_BACKOFF_FIRST_MS << b->failures;
    if (b->failures < UINT32_MAX)
        b->failures++;
    floor = ceiling / 8;
    env->random(env->ctx, &draw, sizeof draw);
    return (uint32_t)(floor + draw % (ceiling - floor + 1));
}

void mesh_backoff_reset(mesh_backoff *b)
{
    b->failures = 0;
}
