// SPDX-License-Identifier: Apache-2.0
/* NOTICE -- what stays of a document that was found to be dead (SYNC.md 4).
 *
 * Its births are in the graveyard, and the state is gone: it must not be
 * merged with anything, as a tombstone would be, because a life that another
 * node began under the same _id goes on. Until the notice is reaped it says to
 * everybody who may still hold the document by which births it died.
 *
 *   notice = 00 02, count, per birth: 16 bytes of actor, its hlc
 *
 * One without births stands where a document was let go that nobody else is to
 * hear of (store/deny.c).
 *
 * No state begins with 00 02, and no marker does. */
#include "base/check.h"
#include "crdt/doc.h"

static const uint8_t notice_head[2] = { 0, 2 };

bool crdt_meta_is_notice(tako_slice meta)
{
    return meta.len > sizeof notice_head &&
           memcmp(meta.ptr, notice_head, sizeof notice_head) == 0;
}

void crdt_notice_put(const crdt_dot *births, size_t count, tako_buf *meta)
{
    tako_put_bytes(meta, tako_slice_of(notice_head, sizeof notice_head));
    tako_put_varint(meta, count);
    for (size_t i = 0; i < count; i++) {
        tako_put_bytes(meta, tako_slice_of(births[i].actor.id, 16));
        tako_put_varint(meta, births[i].hlc);
    }
}

bool crdt_notice_is_bare(tako_slice meta)
{
    return crdt_meta_is_notice(meta) && meta.ptr[sizeof notice_head] == 0;
}

tako_err crdt_notice_read(tako_arena *a, tako_slice meta, crdt_dot **out,
                          size_t *count)
{
    tako_reader r;
    uint64_t n;

    if (!crdt_meta_is_notice(meta))
        return TAKO_CORRUPT;
    r = tako_reader_of(tako_slice_of(meta.ptr + sizeof notice_head,
                                     meta.len - sizeof notice_head));
    n = tako_read_varint(&r);
    *out = NULL;
    *count = 0;
    if (r.failed || n > tako_reader_left(&r) / 17u)
        return TAKO_CORRUPT;
    if (n == 0)
        return tako_reader_done(&r) ? TAKO_OK : TAKO_CORRUPT;
    *out = tako_arena_array(a, (size_t)n, sizeof **out);
    if (*out == NULL)
        return TAKO_NOMEM;
    *count = (size_t)n;
    for (size_t i = 0; i < n; i++) {
        tako_slice actor = tako_read_bytes(&r, 16);

        if (r.failed)
            return TAKO_CORRUPT;
        memcpy((*out)[i].actor.id, actor.ptr, 16);
        (*out)[i].hlc = tako_read_varint(&r);
    }
    return tako_reader_done(&r) ? TAKO_OK : TAKO_CORRUPT;
}
