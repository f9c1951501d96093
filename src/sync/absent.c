// SPDX-License-Identifier: Apache-2.0
/* ABSENT -- what only a subscriber has, and has had its day.
 *
 * A document that stops matching is told once, to who had it. Who comes back
 * after that, or comes to another server, has it still, and the server may
 * have no row of it: it let the document go, or came later and never had it.
 * Both sides' states are closed sets of events (cover.c), but each without what
 * does not match; put together they show the old state of that document beside
 * transactions that came after its end.
 *
 * So a server that has a subscription of its own with which it covers the want
 * names the documents of the subscriber's of which nothing is here (ABSENT),
 * with its last event of the subscriber's that it knows. Of those the
 * subscriber looks for the ones whose every event the server says to have had:
 * they are PASSED BY. While there is one, it does not take the server's word for
 * being complete, and so says that it is not whole. The host is told, and asks
 * keepers whether the document may go (node/leave.c): that is never decided by
 * vectors alone.
 *
 * Likewise a document that comes from a catch-up, matches a part that is whole
 * here, and has no event that is not here already: it is not taken. Whoever
 * brought it is told by our own ABSENT.
 *
 * Subscriptions to all of a collection have none of this: nothing stops
 * matching them, and deletions are told by tombstones and graves. */
#include "sync/state.h"

#include <stdlib.h>

/* ---- the server ---------------------------------------------------------------- */

/* Does a subscription of ours, here, cover the want? */
static bool is_ours(sync_session *s, const sync_want *w)
{
    tako_slice text = tako_slice_of(w->text, w->text_len);

    if (s->host->predicate_whole == NULL ||
        s->host->predicate_whole(s->host->ctx, w->predicate))
        return false;
    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(tako_slice_of(s->subs[i].text, s->subs[i].text_len),
                          text) ||
            s->host->predicate_covers(s->host->ctx, s->subs[i].predicate,
                                      w->predicate))
            return true;
    return false;
}

static bool note_key(sync_session *s, sync_want *w, uint64_t key)
{
    void *keys = w->absent;

    if (!sync_grow(s->env, &keys, &w->absent_cap, w->absent_count, sizeof key))
        return false;
    w->absent = keys;
    w->absent[w->absent_count++] = key;
    return true;
}

tako_err sync_absent_listed(sync_session *s, sync_want *w)
{
    if (!is_ours(s, w))
        return TAKO_OK;
    for (size_t i = 0; i < w->item_count; i++)
        if (w->items[i].item != SYNC_ITEM_MET &&
            !note_key(s, w, w->items[i].key))
            return TAKO_NOMEM;
    return TAKO_OK;
}

tako_err sync_absent_seen(sync_session *s, sync_want *w)
{
    if (!is_ours(s, w))
        return TAKO_OK;
    for (size_t i = 0; i < w->seen_count; i++)
        if (!w->seen[i].met && w->seen[i].context.count > 0 &&
            !note_key(s, w, w->seen[i].key))
            return TAKO_NOMEM;
    return TAKO_OK;
}

tako_err sync_absent_joined(sync_session *s, sync_want *w, const sync_sub *led)
{
    if (led == NULL || !is_ours(s, w))
        return TAKO_OK;
    for (size_t i = 0; i < led->seen_count; i++)
        if (led->seen[i].theirs && !led->seen[i].met &&
            !note_key(s, w, led->seen[i].key))
            return TAKO_NOMEM;
    return TAKO_OK;
}

tako_err sync_absent_put(sync_session *s, sync_want *w, tako_buf *out,
                         tako_errbuf *e)
{
    crdt_context has = { NULL, 0, 0 };
    sync_holds *h;
    uint8_t claim;
    tako_err err;

    if (w->absent_count == 0)
        return TAKO_OK;
    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    err = sync_holds_read(s, s->reader, w->collection, &h);
    if (err == TAKO_OK)
        err = sync_covers_want(s, h, w, &claim, &has);
    store_snapshot_end(s->reader);
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading what is complete failed");
    tako_put_u8(out, SYNC_MSG_ABSENT);
    tako_put_varint(out, w->number);
    tako_put_varint(out, crdt_context_get(&has, s->peer_actor));
    while (w->absent_count > 0 && out->len < SYNC_LIST_BYTES)
        tako_put_u64(out, w->absent[--w->absent_count]);
    return TAKO_OK;
}

/* ---- the subscriber -------------------------------------------------------------- */

void sync_absent_drop(sync_session *s, sync_sub *sub)
{
    tako_env_free(s->env, sub->absent, sub->absent_cap * sizeof *sub->absent);
    sub->absent = NULL;
    sub->absent_count = sub->absent_cap = 0;
    sub->absent_found = sub->doubted = false;
}

tako_err sync_on_absent(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    uint64_t own = tako_read_varint(in);
    size_t count = tako_reader_left(in) / 8u;

    if (in->failed || tako_reader_left(in) % 8u != 0)
        return tako_fail(e, TAKO_CORRUPT, "malformed ABSENT");
    if (sub == NULL)
        return TAKO_OK;
    if (sub->state != SUB_ASKED ||
        count > TAKO_SYNC_LIST_ITEMS_MAX - sub->absent_count)
        return tako_fail(e, TAKO_CORRUPT, "ABSENT that nobody asked for");
    sub->absent_own = own;
    for (; count > 0; count--) {
        void *list = sub->absent;

        if (!sync_grow(s->env, &list, &sub->absent_cap, sub->absent_count,
                       sizeof *sub->absent))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        sub->absent = list;
        sub->absent[sub->absent_count++] =
            (sync_absent){ tako_read_u64(in), 0, false };
    }
    return TAKO_OK;
}

static int absent_cmp(const void *a, const void *b)
{
    const sync_absent *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

bool sync_absent_walks(const sync_sub *sub)
{
    return sub->state == SUB_CLOSING && sub->absent_count > 0 &&
           !sub->absent_found;
}

static bool find_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    sync_sub *sub = ctx;
    sync_absent wanted = { tako_hash64(s->digest_key, row->id), 0, false };
    sync_absent *found;

    (void)err;
    if (row->body.len == 0)
        return true;
    found = bsearch(&wanted, sub->absent, sub->absent_count,
                    sizeof *sub->absent, absent_cmp);
    if (found != NULL) {
        found->row = row->row;
        found->met = true;
    }
    return true;
}

void sync_absent_begin(sync_sub *sub)
{
    if (sub->absent_count > 0)
        qsort(sub->absent, sub->absent_count, sizeof *sub->absent, absent_cmp);
    sync_walk_start(&sub->walk);
}

tako_err sync_absent_step(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    size_t n = 0;

    TAKO_TRY(sync_walk_piece(s, sub->collection, &sub->coll, &sub->walk,
                             find_row, sub, e));
    if (!sub->walk.done)
        return TAKO_OK;
    for (size_t i = 0; i < sub->absent_count; i++)
        if (sub->absent[i].met)
            sub->absent[n++] = sub->absent[i];
    sub->absent_count = n;
    sub->absent_found = true;
    s->judge_due = true;
    if (n == 0)
        sync_absent_drop(s, sub);
    return TAKO_OK;
}

/* Has the server had every event of the document's? */
static tako_err is_passed(sync_session *s, store_conn *c, const sync_sub *sub,
                          const sync_absent *a, bool *passed, uint64_t *lsn)
{
    crdt_context context = { NULL, 0, 0 };
    store_row row;
    tako_err err = store_get_row(c, sub->coll, a->row, &row);

    *passed = false;
    if (err == TAKO_NOTFOUND || (err == TAKO_OK && row.body.len == 0))
        return TAKO_OK;
    TAKO_TRY(err);
    if (!s->host->predicate_match(s->host->ctx, sub->predicate, row.id,
                                  row.body))
        return TAKO_OK;
    *lsn = row.lsn;
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &context));
    for (size_t i = 0; i < context.count; i++) {
        crdt_dot dot = context.dots[i];
        bool own = crdt_actor_cmp(dot.actor, s->actor) == 0;

        if (own ? dot.hlc > sub->absent_own
                : !crdt_context_has(&sub->theirs, dot))
            return TAKO_OK;
    }
    *passed = true;
    return TAKO_OK;
}

tako_err sync_absent_doubts(sync_session *s, store_conn *c, sync_sub *sub,
                            bool *any)
{
    *any = sub->doubted = false;
    for (size_t i = 0; i < sub->absent_count; i++) {
        bool passed;
        uint64_t lsn;

        TAKO_TRY(is_passed(s, c, sub, &sub->absent[i], &passed, &lsn));
        if (passed && s->host->passed != NULL)
            s->host->passed(s->host->ctx, sub->coll, sub->absent[i].row, lsn);
        *any = sub->doubted = *any || passed;
    }
    return TAKO_OK;
}

void sync_absent_changed(sync_session *s, const store_change *c)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        const sync_sub *sub = &s->subs[i];

        for (size_t k = 0; sub->absent_found && k < sub->absent_count; k++)
            s->judge_due = s->judge_due || (sub->coll == c->coll &&
                                            sub->absent[k].row == c->row);
    }
}

/* ---- what comes -------------------------------------------------------------------- */

tako_err sync_absent_stale(sync_session *s, const sync_holds *h, tako_slice id,
                           tako_slice meta, tako_slice body, bool *stale)
{
    crdt_context context = { NULL, 0, 0 };

    *stale = false;
    if (body.len == 0 || s->host->predicate_whole == NULL)
        return TAKO_OK;
    TAKO_TRY(crdt_meta_context(&s->arena, meta, &context));
    for (const sync_hold *o = h->first; o != NULL && !*stale; o = o->next) {
        crdt_context had = { NULL, 0, 0 };

        if (o->sub == NULL ||
            s->host->predicate_whole(s->host->ctx, o->sub->predicate) ||
            !s->host->predicate_match(s->host->ctx, o->sub->predicate, id,
                                      body))
            continue;
        TAKO_TRY(crdt_context_join(&s->arena, &had, &h->base));
        TAKO_TRY(crdt_context_join(&s->arena, &had, &o->old_v));
        *stale = crdt_context_covers(&had, &context);
    }
    return TAKO_OK;
}
