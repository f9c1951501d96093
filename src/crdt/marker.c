// SPDX-License-Identifier: Apache-2.0
/* MARKER -- what stays of a document that was evicted here, or left (SYNC.md 3).
 *
 * WRITING AGAIN  An INSERT of the key must not claim to have seen what is gone
 * here: it has a context of its own, and is concurrent to what others have
 * (one document, fields merged). Where the marker knows events of the very
 * actor that writes, its new dot does claim them, all of them: what they made
 * has to be gone everywhere then, to the last counter and generation (P2), so
 * a new life begins.
 *
 * The meta that the document would have with nothing inside, behind two bytes
 * that no state begins with: 0 actors, and then not the generation 0 that
 * alone may follow: 1, evicted, or 3, left; after that the day of leaving as a
 * varint. About 30 bytes. */
#include "base/check.h"
#include "crdt/tree.h"

#define MARKER_HEAD    2u
#define MARKER_EVICTED 1u
#define MARKER_LEFT    3u /* 2 is a notice's (notice.c) */

bool crdt_meta_is_marker(tako_slice meta)
{
    return meta.len > MARKER_HEAD && meta.ptr[0] == 0 &&
           (meta.ptr[1] == MARKER_EVICTED || meta.ptr[1] == MARKER_LEFT);
}

bool crdt_meta_is_evicted(tako_slice meta)
{
    return crdt_meta_is_marker(meta) && meta.ptr[1] == MARKER_EVICTED;
}

bool crdt_meta_is_left(tako_slice meta, uint64_t *day)
{
    tako_reader in = tako_reader_of(meta);

    if (!crdt_meta_is_marker(meta) || meta.ptr[1] != MARKER_LEFT)
        return false;
    in.pos = MARKER_HEAD;
    *day = tako_read_varint(&in);
    return !in.failed;
}

tako_slice crdt_marker_meta(tako_slice meta)
{
    tako_reader in = tako_reader_of(meta);

    in.pos = MARKER_HEAD;
    if (meta.ptr[1] == MARKER_LEFT)
        (void)tako_read_varint(&in);
    return in.failed ? TAKO_SLICE_NONE
                     : tako_slice_of(meta.ptr + in.pos, meta.len - in.pos);
}

static tako_err put_hollow(const crdt_doc *d, tako_buf *meta)
{
    tako_buf body = tako_buf_on(meta->env);
    crdt_doc hollow = *d;
    tako_err err;

    TAKO_ARG(crdt_doc_alive(d));
    hollow.root.children = NULL;
    hollow.root.count = 0;
    err = crdt_doc_encode(&hollow, meta, &body);
    tako_buf_fini(&body);
    return err;
}

tako_err crdt_marker_put(const crdt_doc *d, tako_buf *meta)
{
    tako_put_u8(meta, 0);
    tako_put_u8(meta, MARKER_EVICTED);
    return put_hollow(d, meta);
}

tako_err crdt_marker_put_left(const crdt_doc *d, uint64_t day, tako_buf *meta)
{
    tako_put_u8(meta, 0);
    tako_put_u8(meta, MARKER_LEFT);
    tako_put_varint(meta, day);
    return put_hollow(d, meta);
}

tako_err crdt_marker_read(tako_arena *a, tako_slice meta, crdt_doc **out,
                          tako_errbuf *e)
{
    static const uint8_t nothing[1] = { 0xa0 };

    if (!crdt_meta_is_marker(meta))
        return tako_fail(e, TAKO_CORRUPT, "a marker that is none");
    TAKO_TRY(crdt_doc_decode(a, crdt_marker_meta(meta),
                             tako_slice_of(nothing, sizeof nothing), out, e));
    if (!crdt_doc_alive(*out))
        return tako_fail(e, TAKO_CORRUPT, "a marker of a deleted document");
    (*out)->hollow = true;
    return TAKO_OK;
}

tako_err crdt_marker_follow(const crdt_doc *marker, crdt_actor self,
                            crdt_doc **out)
{
    uint64_t known = crdt_context_get(&marker->context, self);
    crdt_doc *d;

    TAKO_ARG(marker->hollow);
    TAKO_TRY(crdt_doc_new(marker->arena, &d));
    *out = d;
    d->root.generation = marker->root.generation - 1;
    if (known == 0)
        return TAKO_OK;
    d->root.generation += 2;
    for (uint32_t i = 0; i < marker->births.count; i++)
        if (crdt_actor_cmp(marker->births.at[i].dot.actor, self) == 0)
            TAKO_TRY(
                crdt_births_put(d->arena, &d->births, marker->births.at[i]));
    return crdt_context_add(d->arena, &d->context, (crdt_dot){ self, known });
}
