// SPDX-License-Identifier: Apache-2.0
/* EVICT -- forgetting here what stays elsewhere (SYNC.md 3): by a statement, or
 * because the document left, which its marker says.
 *
 * The row keeps its number, id and version; body goes, and a marker stands in
 * meta (crdt/marker.c). Nothing of it is told to anyone: an eviction is a
 * commit of this file alone, and whoever sends states must pass over markers.
 * What a peer has comes back only through merge.c, which asks the marker.
 *
 * LIVES THAT ENDED before the present one are buried: a marker does not merge,
 * so it could not tell who comes with a copy of one of them that it is over.
 *
 * OWN CHANGES  Who else keeps a document is known above (query, node): here one
 * with an event that this file wrote, by whatever name, goes only when forced. A later INSERT here under
 * the same _id is a new life of it (crdt/marker.c). And where another's state
 * comes back that has not seen those events, a later event of this actor
 * would claim to have seen them all the same: so it is the last of its name,
 * and the next transaction has a new actor (actor_retire). */
#include "store/internal.h"

static tako_err load_living(store *s, uint32_t coll, tako_slice id, doc_edit *d,
                            tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    s->edit.open = false; /* its memory is used here */
    TAKO_TRY(edit_load(s, &s->edit_memory, coll, id, d, e));
    if (!d->stored || d->body.len == 0)
        return tako_fail(e, TAKO_NOTFOUND, "there is no such document here");
    conn_buf_reset(&s->meta);
    return TAKO_OK;
}

/* What of our own goes with it, and which lives of it had ended, stays known. */
static tako_err remember(store *s, doc_edit *d, tako_slice archive,
                         tako_errbuf *e)
{
    TAKO_TRY(held_gone(s, store_coll_name(&s->writer, d->coll),
                       crdt_doc_context(d->doc), archive, e));
    return death_bury_ended(s, d, e);
}

tako_err store_evict(store *s, uint32_t coll, tako_slice id, bool force,
                     tako_errbuf *e)
{
    doc_edit d;
    bool own = false;
    tako_err err;

    TAKO_TRY(load_living(s, coll, id, &d, e));
    if (!force)
        TAKO_TRY(store_has_own(s, crdt_doc_context(d.doc), &own, e));
    if (own)
        return tako_fail(e, TAKO_DENIED,
                         "the document has changes made on this device");
    TAKO_TRY(remember(s, &d, TAKO_SLICE_NONE, e));
    err = crdt_marker_put(d.doc, &s->meta);
    if (err != TAKO_OK)
        return tako_fail(e, err, "out of memory");
    /* What a peer's feed brought, and went here, its later part does not name. */
    TAKO_TRY(store_checkpoint_drop(s, store_coll_name(&s->writer, coll), e));
    return edit_replace(s, &d, d.version, tako_buf_slice(&s->meta),
                        TAKO_SLICE_NONE, e);
}

tako_err store_leave(store *s, uint32_t coll, tako_slice id, tako_slice archive,
                     tako_errbuf *e)
{
    doc_edit d;
    uint64_t day;
    tako_err err;

    TAKO_TRY(load_living(s, coll, id, &d, e));
    TAKO_TRY(day_read(s, &day, e));
    TAKO_TRY(remember(s, &d, archive, e));
    err = crdt_marker_put_left(d.doc, day, &s->meta);
    if (err != TAKO_OK)
        return tako_fail(e, err, "out of memory");
    /* Checkpoints stay: no subscription here matches it, and where one does
     * again, the comparison after the feed finds that it is missing. Dropping
     * them would make every session compare after each document that left. */
    return edit_replace(s, &d, d.version, tako_buf_slice(&s->meta),
                        TAKO_SLICE_NONE, e);
}

bool store_row_is_marker(const store_row *row)
{
    return row->body.len == 0 && crdt_meta_is_marker(row->meta);
}

bool store_row_is_left(const store_row *row)
{
    uint64_t day;

    return row->body.len == 0 && crdt_meta_is_left(row->meta, &day);
}
