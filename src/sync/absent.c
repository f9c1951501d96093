// SPDX-License-Identifier: Apache-2.0
/* ABSENT -- what a peer has still, and is past here.
 *
 * A document that stops matching is told once, to who had it. Who comes back
 * after that has it still, and who it comes back to may have no row of it: it let
 * the document go, or came later and never had it. Both sides' states are
 * closed sets of events (cover.c), but each without what does not match; put
 * together they would show the old state of that document beside transactions
 * that came after its end.
 *
 * So a state of which nothing is here, that matches a part whose V covers every
 * event of it, is not taken (is_stale): this node had all of that, and has it no
 * more. The next cut to that peer says so (PAST), with the events of that state.
 * To have heard of all of them, a node claims to cover a peer's want only once
 * its own subscription is in sync with that peer.
 *
 * Who is told PAST of a document whose events here are no more than those, and
 * that matches, doubts: while there is one, it does not take that server's
 * word for being complete, and so says that it is not whole. The host is told,
 * and asks keepers whether the document may go (node/leave.c): that is never
 * decided by vectors.
 *
 * Subscriptions to all of a collection have none of this: nothing stops
 * matching them, and deletions are told by tombstones and graves. */
#include "sync/state.h"

/* ---- what comes and is past here ------------------------------------------------- */

tako_err sync_is_past(sync_session *s, const sync_holds *h,
                      const sync_record *r, bool *past)
{
    crdt_context context = { NULL, 0, 0 };

    *past = false;
    if (r->body.len == 0 || s->host->predicate_whole == NULL)
        return TAKO_OK;
    TAKO_TRY(crdt_meta_context(&s->arena, r->meta, &context));
    for (const sync_hold *o = h->first; o != NULL && !*past; o = o->next) {
        crdt_context had = { NULL, 0, 0 };

        if (o->sub == NULL ||
            s->host->predicate_whole(s->host->ctx, o->sub->predicate) ||
            !s->host->predicate_match(s->host->ctx, o->sub->predicate, r->id,
                                      r->body))
            continue;
        TAKO_TRY(crdt_context_join(&s->arena, &had, &h->base));
        TAKO_TRY(crdt_context_join(&s->arena, &had, &o->old_v));
        *past = crdt_context_covers(&had, &context);
    }
    return TAKO_OK;
}

tako_err sync_past_note(sync_session *s, uint32_t name, const sync_record *r)
{
    sync_past *p;

    for (p = s->past; p != NULL; p = p->next)
        if (p->name == name && tako_slice_eq(p->id, r->id))
            return TAKO_OK; /* it comes again if it is another state */
    if (s->past_count >= TAKO_SYNC_PAST_MAX)
        return TAKO_OK;
    p = TAKO_NEW(&s->past_arena, sync_past);
    if (p == NULL)
        return TAKO_NOMEM;
    *p = (sync_past){ s->past, name, tako_arena_copy(&s->past_arena, r->id),
                      tako_arena_copy(&s->past_arena, r->meta) };
    if (p->id.ptr == NULL || p->meta.ptr == NULL)
        return TAKO_NOMEM;
    s->past = p;
    s->past_count++;
    s->close_due = true;
    return TAKO_OK;
}

tako_err sync_past_put(sync_session *s, sync_writer *w)
{
    for (const sync_past *p = s->past; p != NULL; p = p->next) {
        const sync_coll *c = &s->colls[p->name];

        TAKO_TRY(
            sync_put_past(w, tako_slice_of(c->name, c->len), p->id, p->meta));
    }
    tako_arena_reset(&s->past_arena);
    s->past = NULL;
    s->past_count = 0;
    return TAKO_OK;
}

bool sync_may_cover(const sync_session *s, const sync_want *w)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].state != SUB_REFUSED && !s->subs[i].met &&
            tako_slice_eq(s->subs[i].collection, w->collection) &&
            !(s->host->predicate_whole != NULL &&
              s->host->predicate_whole(s->host->ctx, s->subs[i].predicate)))
            return false;
    return true;
}

/* ---- what is past there ----------------------------------------------------------- */

static sync_doubt *doubt_find(sync_session *s, uint32_t coll, int64_t row)
{
    for (size_t i = 0; i < s->doubt_count; i++)
        if (s->doubts[i].coll == coll && s->doubts[i].row == row)
            return &s->doubts[i];
    return NULL;
}

static tako_err doubt_add(sync_session *s, uint32_t coll, const store_row *row)
{
    void *list = s->doubts;
    sync_doubt *d = doubt_find(s, coll, row->row);

    if (d == NULL) {
        if (s->doubt_count >= TAKO_SYNC_PAST_MAX)
            return TAKO_LIMIT;
        if (!sync_grow(s->env, &list, &s->doubt_cap, s->doubt_count,
                       sizeof *s->doubts))
            return TAKO_NOMEM;
        s->doubts = list;
        d = &s->doubts[s->doubt_count++];
    }
    *d = (sync_doubt){ coll, row->row, row->lsn };
    if (s->host->passed != NULL)
        s->host->passed(s->host->ctx, coll, row->row, row->lsn);
    return TAKO_OK;
}

static tako_err take_one(sync_session *s, store_conn *c, const sync_held *h)
{
    const sync_coll *k = &s->colls[h->name];
    crdt_context theirs = { NULL, 0, 0 }, ours = { NULL, 0, 0 };
    store_row row;
    uint32_t coll;
    tako_err err = store_coll_find(c, tako_slice_of(k->name, k->len), &coll);

    if (err == TAKO_OK)
        err = store_get(c, coll, h->record.id, &row);
    if (err == TAKO_NOTFOUND || (err == TAKO_OK && row.body.len == 0))
        return TAKO_OK;
    TAKO_TRY(err);
    TAKO_TRY(crdt_meta_context(&s->arena, h->record.meta, &theirs));
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &ours));
    return crdt_context_covers(&theirs, &ours) ? doubt_add(s, coll, &row)
                                               : TAKO_OK;
}

tako_err sync_doubts_take(sync_session *s, store_conn *c,
                          const sync_list *lists, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (const sync_held *h = lists[i].first; h != NULL; h = h->next)
            if (h->record.past)
                TAKO_TRY(take_one(s, c, h));
    return TAKO_OK;
}

tako_err sync_doubts(sync_session *s, store_conn *c, sync_sub *sub, bool *any)
{
    *any = sub->doubts = false;
    for (size_t i = 0; i < s->doubt_count; i++) {
        const sync_doubt *d = &s->doubts[i];
        store_row row;
        tako_err err = store_get_row(c, d->coll, d->row, &row);

        if (err == TAKO_NOTFOUND)
            continue;
        TAKO_TRY(err);
        *any = *any ||
               (row.lsn == d->lsn && row.body.len > 0 &&
                tako_slice_eq(store_coll_name(c, d->coll), sub->collection) &&
                s->host->predicate_match(s->host->ctx, sub->predicate, row.id,
                                         row.body));
    }
    sub->doubts = *any;
    return TAKO_OK;
}

void sync_doubts_changed(sync_session *s, const store_change *c, uint64_t lsn,
                         bool local)
{
    sync_doubt *d = s->doubt_count == 0 ? NULL : doubt_find(s, c->coll, c->row);

    if (d == NULL)
        return;
    s->judge_due = true;
    if (local && c->alive) /* what it lacks it lacks still */
        d->lsn = lsn;
    else
        *d = s->doubts[--s->doubt_count];
}
