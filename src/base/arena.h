// SPDX-License-Identifier: Apache-2.0
/* ARENA -- memory with one lifetime.
 *
 * Parsers and decoders make many small nodes that die together; nodes own
 * nothing. A reset keeps one block for the next use, so a hot path that
 * resets per document allocates nothing. With TAKO_ARENA_PASSTHROUGH each
 * object is its own allocation, so that ASan sees into it. */
#ifndef TAKO_BASE_ARENA_H
#define TAKO_BASE_ARENA_H

#include "base/env.h"
#include "base/slice.h"

typedef struct tako_arena_block tako_arena_block;

typedef struct tako_arena {
    const tako_env *env;
    tako_arena_block *head;
} tako_arena;

static inline tako_arena tako_arena_on(const tako_env *env)
{
    return (tako_arena){ env, NULL };
}

/* Zeroed memory, aligned for any type, living until reset or fini; NULL when
 * out of memory or size is 0. */
void *tako_arena_alloc(tako_arena *a, size_t size);

/* n objects of `size`; NULL on overflow too. */
void *tako_arena_array(tako_arena *a, size_t n, size_t size);

/* A copy of s (NUL-terminated beyond its length); ptr NULL on failure. */
tako_slice tako_arena_copy(tako_arena *a, tako_slice s);

void tako_arena_reset(tako_arena *a);
void tako_arena_fini(tako_arena *a);

#define TAKO_NEW(arena, type) ((type *)tako_arena_alloc((arena), sizeof(type)))

#endif /* TAKO_BASE_ARENA_H */
