// SPDX-License-Identifier: Apache-2.0
/* What scenario.c and events.c share: a plan that is being made. */
#ifndef TAKO_SIM_BUILD_H
#define TAKO_SIM_BUILD_H

#include "sim/lex.h"

#define COUNT_OF(list) (sizeof(list) / sizeof(list)[0])

typedef struct place {
    char name[64];
    uint64_t members; /* bits, now: while the scenario is read in time order */
} place;

#define PLACES_MAX 16u

typedef struct builder {
    sim_plan *plan;
    sim_line *line;
    uint64_t seed;
    sim_random random; /* of this line */
    place places[PLACES_MAX];
    size_t place_count;
    sim_link_kind place_kind;
} builder;

/* The nodes of a pattern as bits; none is a mistake. */
uint64_t build_pattern(builder *b);
/* One node. */
size_t build_node(builder *b);
size_t build_count(uint64_t bits);
/* The n-th of them, from 0. */
size_t build_nth(uint64_t bits, uint64_t n);

/* ---- events.c: statements about what happens ------------------------------ */

void build_work(builder *b);
void build_do(builder *b);
void build_fault(builder *b);

#endif /* TAKO_SIM_BUILD_H */
