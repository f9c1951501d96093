// SPDX-License-Identifier: Apache-2.0
/* Any two stored states: what decodes encodes to the same bytes, merging it
 * with itself changes nothing, and merging two gives one state both ways,
 * which decodes again. Input: two states, each a 2-byte length of meta, one of
 * body (big-endian), meta, body. */
#include <stdlib.h>

#include "base/check.h"
#include "crdt/delta.h"
#include "crdt/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *fuzz_realloc(void *ctx, void *ptr, size_t old, size_t size)
{
    (void)ctx;
    (void)old;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

static crdt_doc *read_state(tako_arena *a, tako_reader *r)
{
    size_t meta_len = (size_t)tako_read_u8(r) << 8 | tako_read_u8(r);
    size_t body_len = (size_t)tako_read_u8(r) << 8 | tako_read_u8(r);
    tako_slice meta = tako_read_bytes(r, meta_len);
    tako_slice body = tako_read_bytes(r, body_len);
    tako_buf meta2 = tako_buf_on(a->env);
    tako_buf body2 = tako_buf_on(a->env);
    crdt_context context;
    crdt_dot dot;
    crdt_doc *trusted;
    crdt_doc *d = NULL;

    if (r->failed)
        return NULL;
    /* Must not read beyond its bytes, whatever they are. */
    (void)crdt_doc_decode_trusted(a, meta, body, &trusted, NULL);
    (void)crdt_meta_is_fresh(meta, &dot);
    (void)crdt_meta_context(a, meta, &context);
    if (crdt_doc_decode(a, meta, body, &d, NULL) != TAKO_OK)
        return NULL;
    TAKO_ASSERT(crdt_doc_encode(d, &meta2, &body2) == TAKO_OK);
    TAKO_ASSERT(tako_slice_eq(meta, tako_buf_slice(&meta2)));
    TAKO_ASSERT(tako_slice_eq(body, tako_buf_slice(&body2)));
    TAKO_ASSERT(crdt_meta_generation(meta) == crdt_doc_generation(d));
    TAKO_ASSERT(crdt_context_eq(&context, crdt_doc_context(d)));
    tako_buf_fini(&meta2);
    tako_buf_fini(&body2);
    return d;
}

static crdt_doc *joined(tako_arena *a, const crdt_doc *x, const crdt_doc *y)
{
    crdt_doc *d;

    TAKO_ASSERT(crdt_doc_new(a, &d) == TAKO_OK);
    TAKO_ASSERT(crdt_merge(d, x, NULL) == TAKO_OK);
    TAKO_ASSERT(crdt_merge(d, y, NULL) == TAKO_OK);
    return d;
}

static void expect_same(tako_arena *a, const crdt_doc *x, const crdt_doc *y)
{
    tako_buf b[4];
    crdt_doc *again;

    for (unsigned i = 0; i < 4; i++)
        b[i] = tako_buf_on(a->env);
    TAKO_ASSERT(crdt_doc_encode(x, &b[0], &b[1]) == TAKO_OK);
    TAKO_ASSERT(crdt_doc_encode(y, &b[2], &b[3]) == TAKO_OK);
    for (unsigned i = 0; i < 2; i++)
        TAKO_ASSERT(
            tako_slice_eq(tako_buf_slice(&b[i]), tako_buf_slice(&b[i + 2])));
    TAKO_ASSERT(crdt_doc_decode(a, tako_buf_slice(&b[0]), tako_buf_slice(&b[1]),
                                &again, NULL) == TAKO_OK);
    for (unsigned i = 0; i < 4; i++)
        tako_buf_fini(&b[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tako_env env = { .realloc = fuzz_realloc };
    tako_arena a = tako_arena_on(&env);
    tako_reader r = tako_reader_of(tako_slice_of(data, size));
    crdt_doc *x = read_state(&a, &r);
    crdt_doc *y = x != NULL ? read_state(&a, &r) : NULL;

    if (x != NULL)
        expect_same(&a, joined(&a, x, x), x);
    if (y != NULL)
        expect_same(&a, joined(&a, x, y), joined(&a, y, x));
    tako_arena_fini(&a);
    return 0;
}
