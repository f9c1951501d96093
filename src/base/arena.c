// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#define ARENA_BLOCK_BYTES 4096u
#define ARENA_KEEP_BYTES  (256u << 10) /* a reset keeps no larger block */

struct tako_arena_block {
    tako_arena_block *next;
    size_t used;
    size_t cap;
    alignas(max_align_t) unsigned char data[];
};

static void block_free(tako_arena *a, tako_arena_block *b)
{
    tako_env_free(a->env, b, sizeof *b + b->cap);
}

static tako_arena_block *block_new(tako_arena *a, size_t size)
{
    size_t cap = size;
    tako_arena_block *b;

#ifndef TAKO_ARENA_PASSTHROUGH
    /* Doubling, so that the number of blocks stays logarithmic. */
    size_t want = a->head == NULL ? ARENA_BLOCK_BYTES : a->head->cap * 2;
    if (want > ARENA_KEEP_BYTES)
        want = ARENA_KEEP_BYTES;
    if (cap < want)
        cap = want;
#endif
    b = a->env->realloc(a->env->ctx, NULL, 0, sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->used = 0;
    b->cap = cap;
    b->next = a->head;
    a->head = b;
    return b;
}

void *tako_arena_alloc(tako_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    tako_arena_block *b = a->head;
    void *p;

    if (size == 0 || size > SIZE_MAX / 4)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
#ifdef TAKO_ARENA_PASSTHROUGH
    b = NULL;
#endif
    if (b == NULL || size > b->cap - b->used) {
        b = block_new(a, size);
        if (b == NULL)
            return NULL;
    }
    p = b->data + b->used;
    b->used += size;
    memset(p, 0, size);
    return p;
}

void *tako_arena_array(tako_arena *a, size_t n, size_t size)
{
    if (n == 0 || size == 0 || n > SIZE_MAX / 4 / size)
        return NULL;
    return tako_arena_alloc(a, n * size);
}

tako_slice tako_arena_copy(tako_arena *a, tako_slice s)
{
    uint8_t *p = tako_arena_alloc(a, s.len + 1);

    if (p == NULL)
        return TAKO_SLICE_NONE;
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    return tako_slice_of(p, s.len);
}

void tako_arena_reset(tako_arena *a)
{
    tako_arena_block *keep = NULL;

    while (a->head != NULL) {
        tako_arena_block *b = a->head;

        a->head = b->next;
#ifndef TAKO_ARENA_PASSTHROUGH
        if (keep == NULL && b->cap <= ARENA_KEEP_BYTES) {
            keep = b;
            continue;
        }
#endif
        block_free(a, b);
    }
    if (keep != NULL) {
        keep->used = 0;
        keep->next = NULL;
    }
    a->head = keep;
}

void tako_arena_fini(tako_arena *a)
{
    while (a->head != NULL) {
        tako_arena_block *b = a->head;

        a->head = b->next;
        block_free(a, b);
    }
}
