// SPDX-License-Identifier: Apache-2.0
#include "crdt/meta.h"

#include <sodium.h>
#include "base/check.h"

#define ACTOR_BYTES  sizeof(crdt_actor)
#define COUNTER_BITS 16u
#define COUNTER_MASK 0xffffu

void crdt_hlc_put(tako_buf *out, uint64_t ref, uint64_t hlc)
{
    /* 48 bits each: the difference fits with room to spare. */
    int64_t diff = (int64_t)CRDT_HLC_MS(hlc) - (int64_t)CRDT_HLC_MS(ref);

    tako_put_varint(out, (uint64_t)diff << 1 ^ (diff < 0 ? UINT64_MAX : 0));
    tako_put_varint(out, hlc & COUNTER_MASK);
}

uint64_t crdt_hlc_read(tako_reader *r, uint64_t ref)
{
    uint64_t zigzag = tako_read_varint(r);
    uint64_t counter = tako_read_varint(r);
    uint64_t ms = CRDT_HLC_MS(ref) + (zigzag >> 1 ^ (0 - (zigzag & 1)));

    if (ms > UINT64_MAX >> COUNTER_BITS || counter > COUNTER_MASK ||
        (ms | counter) == 0) {
        r->failed = true;
        return 0;
    }
    return CRDT_HLC_OF_MS(ms) | counter;
}

crdt_actor crdt_front_actor(const crdt_front *f, size_t i)
{
    crdt_actor actor;

    memcpy(actor.id, f->actors.ptr + i * ACTOR_BYTES, ACTOR_BYTES);
    return actor;
}

bool crdt_front_read(tako_slice meta, crdt_front *out)
{
    tako_reader r = tako_reader_of(meta);
    uint64_t count = tako_read_varint(&r);
    uint64_t first = 0;

    *out = (crdt_front){ .count = (size_t)count };
    if (r.failed || count > TAKO_CONTEXT_ACTORS_MAX)
        return false;
    out->actors = tako_read_bytes(&r, out->count * ACTOR_BYTES);
    out->generation = tako_read_varint(&r);
    if (r.failed || out->generation > TAKO_GENERATION_MAX)
        return false;
    for (size_t i = 1; i < out->count; i++) {
        const uint8_t *id = out->actors.ptr + i * ACTOR_BYTES;

        if (memcmp(id - ACTOR_BYTES, id, ACTOR_BYTES) >= 0)
            return false;
    }
    if (count == 0 || out->generation == 0) {
        /* Never inserted: nothing else is known, nor may be. */
        out->rest = r;
        return count == 0 && out->generation == 0 && tako_reader_done(&r);
    }
    if (count > 1)
        first = tako_read_varint(&r);
    out->origin.hlc = crdt_hlc_read(&r, 0);
    if (r.failed || first >= count)
        return false;
    out->origin.actor = crdt_front_actor(out, (size_t)first);
    out->rest = r;
    return true;
}

void crdt_front_put(tako_buf *meta, const crdt_context *context,
                    uint64_t generation, crdt_dot origin)
{
    tako_put_varint(meta, context->count);
    for (size_t i = 0; i < context->count; i++)
        tako_put_bytes(meta,
                       tako_slice_of(context->dots[i].actor.id, ACTOR_BYTES));
    tako_put_varint(meta, generation);
    if (context->count == 0)
        return;
    if (context->count > 1) {
        size_t i = 0;

        while (i < context->count - 1 &&
               crdt_actor_cmp(context->dots[i].actor, origin.actor) != 0)
            i++;
        tako_put_varint(meta, i);
    }
    crdt_hlc_put(meta, 0, origin.hlc);
}

tako_err crdt_fresh_meta_at(crdt_dot dot, uint64_t generation, tako_slice body,
                            tako_buf *meta)
{
    crdt_context context = { .dots = &dot, .count = 1, .cap = 1 };

    /* All values are as the body has them, under the one dot. */
    TAKO_ARG(body.len > 0 && dot.hlc > 0 && (generation & 1) != 0);
    if (generation > TAKO_GENERATION_MAX)
        return TAKO_LIMIT;
    crdt_front_put(meta, &context, generation, dot);
    return meta->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err crdt_fresh_meta(crdt_dot dot, tako_slice body, tako_buf *meta)
{
    return crdt_fresh_meta_at(dot, CRDT_GENERATION_FIRST, body, meta);
}

bool crdt_meta_is_fresh(tako_slice meta, crdt_dot *dot)
{
    crdt_front f;

    if (meta.len == 0 || meta.ptr[0] != 1 || !crdt_front_read(meta, &f) ||
        (f.generation & 1) == 0 || !tako_reader_done(&f.rest))
        return false;
    *dot = f.origin;
    return true;
}

tako_err crdt_meta_context(tako_arena *a, tako_slice meta, crdt_context *out)
{
    crdt_front f;

    if (crdt_meta_is_marker(meta))
        meta = crdt_marker_meta(meta);
    if (!crdt_front_read(meta, &f))
        return TAKO_CORRUPT;
    *out = (crdt_context){ .count = f.count, .cap = f.count };
    if (f.count == 0)
        return TAKO_OK;
    out->dots = tako_arena_array(a, f.count, sizeof *out->dots);
    if (out->dots == NULL)
        return TAKO_NOMEM;
    if (f.count == 1 && tako_reader_done(&f.rest)) {
        out->dots[0] = f.origin;
        return TAKO_OK;
    }
    for (size_t i = 0; i < f.count; i++) {
        out->dots[i].actor = crdt_front_actor(&f, i);
        out->dots[i].hlc = crdt_hlc_read(&f.rest, f.origin.hlc);
    }
    return f.rest.failed ? TAKO_CORRUPT : TAKO_OK;
}

uint64_t crdt_meta_generation(tako_slice meta)
{
    crdt_front f;

    if (crdt_meta_is_marker(meta))
        meta = crdt_marker_meta(meta);
    return crdt_front_read(meta, &f) ? f.generation : 0;
}

uint64_t crdt_meta_top(tako_slice meta)
{
    crdt_front f;
    uint64_t top = 0;

    if (crdt_meta_is_marker(meta))
        meta = crdt_marker_meta(meta);
    if (!crdt_front_read(meta, &f) || f.count == 0)
        return 0;
    if (f.count == 1 && tako_reader_done(&f.rest))
        return f.origin.hlc;
    for (size_t i = 0; i < f.count; i++) {
        uint64_t hlc = crdt_hlc_read(&f.rest, f.origin.hlc);

        top = hlc > top ? hlc : top;
    }
    return f.rest.failed ? 0 : top;
}

void crdt_version(tako_slice meta, tako_slice body, uint8_t out[16])
{
    crypto_generichash_state state;
    uint8_t len[8];

    /* The length first, so that no byte can move from one to the other. */
    for (size_t i = 0; i < sizeof len; i++)
        len[i] = (uint8_t)((uint64_t)meta.len >> (56 - 8 * i));
    (void)crypto_generichash_init(&state, NULL, 0, 16);
    (void)crypto_generichash_update(&state, len, sizeof len);
    (void)crypto_generichash_update(&state, meta.ptr, meta.len);
    (void)crypto_generichash_update(&state, body.ptr, body.len);
    (void)crypto_generichash_final(&state, out, 16);
}
