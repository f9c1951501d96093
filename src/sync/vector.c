// SPDX-License-Identifier: Apache-2.0
#include "sync/vector.h"

#include "base/limits.h"

#define ENTRY_BYTES 24u

void sync_vector_fini(const tako_env *env, sync_vector *v)
{
    tako_env_free(env, v->dots, v->cap * sizeof *v->dots);
    *v = (sync_vector){ NULL, 0, 0 };
}

static tako_err grow(const tako_env *env, sync_vector *v)
{
    size_t cap = v->cap == 0 ? 4 : v->cap * 2;
    void *dots;

    if (v->count < v->cap)
        return TAKO_OK;
    if (v->count >= TAKO_SYNC_VECTOR_ACTORS_MAX)
        return TAKO_LIMIT;
    dots = env->realloc(env->ctx, v->dots, v->cap * sizeof *v->dots,
                        cap * sizeof *v->dots);
    if (dots == NULL)
        return TAKO_NOMEM;
    v->dots = dots;
    v->cap = cap;
    return TAKO_OK;
}

tako_err sync_vector_raise(const tako_env *env, sync_vector *v, crdt_dot dot)
{
    bool found;
    size_t at = crdt_context_find(v, &dot.actor, &found);
    tako_err err;

    if (dot.hlc == 0)
        return TAKO_OK;
    if (found) {
        if (v->dots[at].hlc < dot.hlc)
            v->dots[at].hlc = dot.hlc;
        return TAKO_OK;
    }
    err = grow(env, v);
    if (err != TAKO_OK)
        return err;
    memmove(v->dots + at + 1, v->dots + at, (v->count - at) * sizeof *v->dots);
    v->dots[at] = dot;
    v->count++;
    return TAKO_OK;
}

tako_err sync_vector_join(const tako_env *env, sync_vector *into,
                          const sync_vector *from)
{
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < from->count && err == TAKO_OK; i++)
        err = sync_vector_raise(env, into, from->dots[i]);
    return err;
}

bool sync_vector_covers_but(const sync_vector *big, const sync_vector *small,
                            crdt_actor but)
{
    for (size_t i = 0; i < small->count; i++)
        if (!crdt_context_has(big, small->dots[i]) &&
            crdt_actor_cmp(small->dots[i].actor, but) != 0)
            return false;
    return true;
}

void sync_vector_put(tako_buf *out, const sync_vector *v)
{
    for (size_t i = 0; i < v->count; i++) {
        tako_put_bytes(out, tako_slice_of(v->dots[i].actor.id, 16));
        tako_put_u64(out, v->dots[i].hlc);
    }
}

tako_err sync_vector_get(tako_arena *a, tako_slice bytes, crdt_context *into)
{
    tako_reader in = tako_reader_of(bytes);

    if (bytes.len % ENTRY_BYTES != 0 ||
        bytes.len / ENTRY_BYTES > TAKO_SYNC_VECTOR_ACTORS_MAX)
        return TAKO_CORRUPT;
    while (tako_reader_left(&in) > 0) {
        tako_slice actor = tako_read_bytes(&in, 16);
        crdt_dot dot;

        memcpy(dot.actor.id, actor.ptr, 16);
        dot.hlc = tako_read_u64(&in);
        if (dot.hlc != 0 && crdt_context_add(a, into, dot) != TAKO_OK)
            return TAKO_NOMEM;
    }
    return TAKO_OK;
}
