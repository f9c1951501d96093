// SPDX-License-Identifier: Apache-2.0
/* MARKER -- what stays of a document that was evicted here (SYNC.md 3).
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
 * alone may follow. About 30 bytes. */
#include "base/check.h"
#include "crdt/tree.h"

static const uint8_t marker_head[2] = { 0, 1 };

bool crdt_meta_is_marker(tako_slice meta)
{
    return meta.len > sizeof marker_head &&
           memcmp(meta.ptr, marker_head, sizeof marker_head) == 0;
}

tako_slice crdt_marker_meta(tako_slice meta)
{
    return tako_slice_of(meta.ptr + sizeof marker_head,
                         meta.len - sizeof marker_head);
}

tako_err crdt_marker_put(const crdt_doc *d, tako_buf *meta)
{
    tako_buf body = tako_buf_on(meta->env);
    crdt_doc hollow = *d;
    tako_err err;

    TAKO_ARG(crdt_doc_alive(d));
    hollow.root.children = NULL;
    hollow.root.count = 0;
    tako_put_bytes(meta, tako_slice_of(marker_head, sizeof marker_head));
    err = crdt_doc_encode(&hollow, meta, &body);
    tako_buf_fini(&body);
    return err;
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
