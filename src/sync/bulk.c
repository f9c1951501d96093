// SPDX-License-Identifier: Apache-2.0
/* BULK -- messages of many documents travel packed (zstd, level 1), where both
 * sides said that they can: STATES, and large cuts.
 *
 * Each packed message stands alone: what a message of half a megabyte gains
 * from the ones before it is little, and none needs to be kept. The contexts
 * are made at the first use, serve both directions, and go when a catch-up
 * closes, or with the cut, as they are larger than all else of an idle session. Their memory
 * comes from the environment, which wants to hear the size again when it is
 * freed: it stands in front of each block.
 *
 * A packed message says how long it will be; more than
 * TAKO_SYNC_PACKED_BYTES_MAX, or another length, ends the session. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "sync/state.h"

#define PACK_LEVEL     1
#define PACK_BYTES_MIN 512u
#define PACK_CUT_MIN   2048u /* below it making the context costs more */
#define BLOCK_HEAD     16u

struct sync_bulk {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    tako_buf packed, unpacked;
};

static void *block_alloc(void *opaque, size_t n)
{
    const tako_env *env = opaque;
    uint8_t *p;

    if (n > SIZE_MAX - BLOCK_HEAD)
        return NULL;
    p = env->realloc(env->ctx, NULL, 0, n + BLOCK_HEAD);
    if (p == NULL)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + BLOCK_HEAD;
}

static void block_free(void *opaque, void *block)
{
    const tako_env *env = opaque;
    uint8_t *p = block;
    size_t n;

    if (p == NULL)
        return;
    p -= BLOCK_HEAD;
    memcpy(&n, p, sizeof n);
    tako_env_free(env, p, n + BLOCK_HEAD);
}

/* zstd does not change what `opaque` points to; its type has no const. */
static ZSTD_customMem memory_of(const tako_env *env)
{
    return (ZSTD_customMem){ block_alloc, block_free, (void *)(uintptr_t)env };
}

static sync_bulk *bulk_of(sync_session *s)
{
    if (s->bulk != NULL)
        return s->bulk;
    s->bulk = tako_env_alloc(s->env, sizeof *s->bulk);
    if (s->bulk != NULL) {
        s->bulk->packed = tako_buf_on(s->env);
        s->bulk->unpacked = tako_buf_on(s->env);
    }
    return s->bulk;
}

void sync_bulk_rest(sync_session *s)
{
    sync_bulk *b = s->bulk;

    if (b == NULL)
        return;
    (void)ZSTD_freeCCtx(b->pack);
    (void)ZSTD_freeDCtx(b->unpack);
    tako_buf_fini(&b->packed);
    tako_buf_fini(&b->unpacked);
    tako_env_free(s->env, b, sizeof *b);
    s->bulk = NULL;
}

static bool is_packable(const sync_session *s, const tako_buf *out)
{
    bool cut = out->len > 0 && out->ptr[0] == SYNC_MSG_CUT;

    return (s->features &
            (cut ? SYNC_FEATURE_PACKED_CUTS : SYNC_FEATURE_PACKED)) != 0 &&
           out->len >= (cut ? PACK_CUT_MIN : PACK_BYTES_MIN) &&
           out->len <= TAKO_SYNC_PACKED_BYTES_MAX;
}

tako_err sync_pack(sync_session *s, tako_buf *out, tako_errbuf *e)
{
    sync_bulk *b;
    size_t most, n;

    if (!is_packable(s, out))
        return TAKO_OK;
    b = bulk_of(s);
    if (b != NULL && b->pack == NULL)
        b->pack = ZSTD_createCCtx_advanced(memory_of(s->env));
    if (b == NULL || b->pack == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    most = ZSTD_compressBound(out->len);
    tako_buf_reset(&b->packed);
    tako_put_u8(&b->packed, out->ptr[0] == SYNC_MSG_CUT ? SYNC_MSG_PACKED_CUT
                                                        : SYNC_MSG_PACKED);
    tako_put_varint(&b->packed, out->len);
    if (!tako_buf_reserve(&b->packed, most))
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    n = ZSTD_compressCCtx(b->pack, b->packed.ptr + b->packed.len, most,
                          out->ptr, out->len, PACK_LEVEL);
    if (ZSTD_isError(n))
        return tako_fail(e, TAKO_NOMEM, "packing failed: %s",
                         ZSTD_getErrorName(n));
    b->packed.len += n;
    if (b->packed.len >= out->len)
        return TAKO_OK;
    tako_buf_reset(out);
    tako_put_bytes(out, tako_buf_slice(&b->packed));
    return TAKO_OK;
}

tako_err sync_unpack(sync_session *s, tako_reader *in, tako_slice *out,
                     tako_errbuf *e)
{
    uint64_t len = tako_read_varint(in);
    tako_slice packed = tako_read_bytes(in, tako_reader_left(in));
    sync_bulk *b;
    size_t n;

    if (in->failed || len == 0 || len > TAKO_SYNC_PACKED_BYTES_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed PACKED");
    b = bulk_of(s);
    if (b != NULL && b->unpack == NULL)
        b->unpack = ZSTD_createDCtx_advanced(memory_of(s->env));
    if (b == NULL || b->unpack == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    tako_buf_reset(&b->unpacked);
    if (!tako_buf_reserve(&b->unpacked, (size_t)len))
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    n = ZSTD_decompressDCtx(b->unpack, b->unpacked.ptr, (size_t)len, packed.ptr,
                            packed.len);
    if (ZSTD_isError(n) || n != len)
        return tako_fail(e, TAKO_CORRUPT, "malformed PACKED: %s",
                         ZSTD_isError(n) ? ZSTD_getErrorName(n)
                                         : "not its length");
    b->unpacked.len = n;
    *out = tako_buf_slice(&b->unpacked);
    return TAKO_OK;
}

tako_err sync_on_packed(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice message;
    tako_reader inner;

    TAKO_TRY(sync_unpack(s, in, &message, e));
    inner = tako_reader_of(message);
    if (tako_read_u8(&inner) != SYNC_MSG_STATES)
        return tako_fail(e, TAKO_CORRUPT, "PACKED holds no STATES");
    return sync_on_states(s, &inner, e);
}

tako_err sync_on_packed_cut(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice message;
    tako_reader inner;
    tako_err err;

    TAKO_TRY(sync_unpack(s, in, &message, e));
    inner = tako_reader_of(message);
    if (tako_read_u8(&inner) != SYNC_MSG_CUT)
        return tako_fail(e, TAKO_CORRUPT, "PACKED_CUT holds no CUT");
    err = sync_on_cut(s, &inner, e);
    sync_bulk_rest(s);
    return err;
}
