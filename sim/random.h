// SPDX-License-Identifier: Apache-2.0
/* RANDOM -- numbers from a seed, the same on every machine (SplitMix64,
 * Steele, Lea, Flood 2014). Whoever decides something has a generator of its
 * own, forked by name, so that one more decision in one part does not change
 * what the others decide. */
#ifndef TAKO_SIM_RANDOM_H
#define TAKO_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_PPM 1000000u /* chances are given in parts per million */

typedef struct sim_random {
    uint64_t state;
} sim_random;

static inline uint64_t sim_random_next(sim_random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. n - 1; 0 for n = 0. */
static inline uint64_t sim_random_below(sim_random *r, uint64_t n)
{
    return n == 0 ? 0 : (sim_random_next(r) >> 11) % n;
}

/* from .. to, both included. */
static inline uint64_t sim_random_between(sim_random *r, uint64_t from,
                                          uint64_t to)
{
    return to <= from ? from : from + sim_random_below(r, to - from + 1);
}

static inline bool sim_random_chance(sim_random *r, uint32_t ppm)
{
    return ppm > 0 && sim_random_below(r, SIM_PPM) < ppm;
}

static inline sim_random sim_random_fork(uint64_t seed, uint64_t name)
{
    sim_random r = { seed ^ (name * UINT64_C(0xd1342543de82ef95)) };

    (void)sim_random_next(&r);
    r.state = sim_random_next(&r) ^ name;
    return r;
}

#endif /* TAKO_SIM_RANDOM_H */
