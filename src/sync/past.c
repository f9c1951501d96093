// SPDX-License-Identifier: Apache-2.0
/* PAST -- what one side has still, and is past at the other.
 *
 * A document that stops matching is told once, to who had it. Who comes back
 * after that has it still, and who it comes back to may have no row of it: it let
 * the document go, or came later and never had it. Both sides' states are
 * closed sets of events (cover.c), but each without what does not match; put
 * together they would show the old state of that document beside transactions
 * that came after its end.
 *
 * PAST  A state of which nothing is here, and that matches a part whose V covers
 * all its events, is not taken: this node had all of that, and has it no more. The
 * peer is told, before anything of what brought it is acknowledged. Likewise where
 * a state without all of that is here which matches nothing, perhaps with writes
 * of our own: what came after until it matched nothing again was never sent. So is
 * one of which a later state left here, as its marker knows, whatever V says. And
 * of what went with denied writes (denied.c): since V was emptied with them, it
 * says only what was or is here after. But what we wrote before it says only again.
 *
 * Not so where the peer has, completely, all that V says: then it is as it is
 * now. A third had evicted it, or it was made elsewhere of events that were here
 * one by one. Where the peer has not all that yet, it is asked anew once it has.
 *
 * WHAT WAS JOINED  of events that did not know of each other, as when somebody
 * inserts over what left, V may cover one by one though nobody had the whole
 * before: each came with another's word, in a state that did not match. So V
 * proves that a state was here, or a later one is, only where one write made it.
 * Of any other the truth is what all events in V come to; who has all of V, and
 * of our own writes all that went from here, has joined just those. An archive
 * need not say that it has the latter, where they went because of it (cover.c).
 *
 * OLDER  News on top of such a state is taken, and goes to who has the rest. But
 * the peer may show it without what became of the older one, and is told that V
 * covers its birth: it doubts until it is another document than what it wrote.
 *
 * DOUBTS  Who is told, has the document in no later state, and has it match,
 * doubts: while there is one, it does not take that peer's word for being
 * complete, and so says that it is not whole. The host asks keepers whether the
 * document may go (node/leave.c): that is never decided by vectors. When it
 * goes, who may have it from here is told PAST too. Who takes all of the
 * collection lets nothing go, and hears of a later state if there is one; where
 * none is known of, what it has may be news after all (node/present.c).
 *
 * LACKS  Where the peer knows a later state, the document here lacks events
 * for certain, whatever our app writes on it: until others write on it
 * or it goes, it is doubted also while it does not match, since it may match
 * again, when V would have risen; and in all other sessions too. For that peer
 * and others may take what our app wrote, as news, and show just what is here:
 * with equal states there is nothing to tell, and yet V there covers the rest.
 *
 * UNSEEN  So a peer's word counts only once what it wants here itself is in sync,
 * for then it has seen all that is here. What came over another link since,
 * and the peer has neither sent nor acknowledged, it may be past as well: where
 * its word covers all events of such a document, it does not count until the
 * acknowledgement. So it is sent whatever the mode of the peer's interest, where
 * the peer's word counts. Nor does any word while a commit is here that the session has
 * not been told of, since that may have brought such a document.
 *
 * UNPROVEN  Who is not whole has taken words that are not closed: of one actor
 * all, and not of another that it wrote after. So what comes over another link,
 * and V does not cover, may be past at one whose word was taken before: V covers
 * what ended the document, and not what began it. While that peer has not seen
 * it, though it knows of all its events, no word counts; nor do we pass on a part
 * of them (cover.c). Who is whole has had closed sets only.
 *
 * Subscriptions to all of a collection have none of this: nothing stops
 * matching them, and deletions are told by tombstones and graves. */
#include "sync/state.h"

static bool is_part(const sync_session *s, const sync_predicate *p)
{
    return s->host->predicate_whole != NULL &&
           !s->host->predicate_whole(s->host->ctx, p);
}

/* Is there a subscription of ours to a part of the collection, or to all of it? */
static bool asks_for(const sync_session *s, tako_slice coll, bool part)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(s->subs[i].collection, coll) &&
            is_part(s, s->subs[i].predicate) == part)
            return true;
    return false;
}

/* ---- past here -------------------------------------------------------------------- */

/* Does the peer have all of this, for certain, but for what we wrote? That it
 * does not say. */
static bool peer_has(const sync_session *s, const sync_sub *sub,
                     const crdt_context *v)
{
    for (size_t i = 0; i < v->count; i++) {
        crdt_dot dot = v->dots[i];

        if (crdt_actor_cmp(dot.actor, s->actor) == 0)
            continue;
        dot.hlc = crdt_context_get(&sub->theirs, dot.actor);
        if (sync_claimed(s, sub, dot).hlc < v->dots[i].hlc)
            return false;
    }
    return true;
}

/* What this app wrote and let go, the peer knows of by its vector, or by the
 * document's own. */
static bool knows_gone(const sync_sub *sub, const sync_holds *h,
                       const crdt_context *context)
{
    for (size_t i = 0; i < h->gone.count; i++)
        if (!crdt_context_has(&sub->theirs, h->gone.dots[i]) &&
            !crdt_context_has(context, h->gone.dots[i]))
            return false;
    return true;
}

static bool is_present(const sync_session *s, const sync_hold *o,
                       const sync_holds *h, const crdt_context *context)
{
    return !o->sub->verify && peer_has(s, o->sub, &h->base) &&
           peer_has(s, o->sub, &o->old_v) && knows_gone(o->sub, h, context);
}

/* What V says now, where the peer has not heard of all that. */
static tako_err note_passed(sync_session *s, const sync_hold *o,
                            const sync_holds *h)
{
    sync_sub *sub = o->sub;

    if (peer_has(s, sub, &h->base) && peer_has(s, sub, &o->old_v))
        return TAKO_OK;
    TAKO_TRY(sync_vector_join(s->env, &sub->passed, &h->base));
    return sync_vector_join(s->env, &sub->passed, &o->old_v);
}

static bool is_of_part(const sync_session *s, const sync_hold *o,
                       const sync_record *r)
{
    return o->sub != NULL && o->old_v.count > 0 &&
           is_part(s, o->sub->predicate) &&
           s->host->predicate_match(s->host->ctx, o->sub->predicate, r->id,
                                    r->body);
}

tako_err sync_is_past(sync_session *s, const sync_holds *h,
                      const sync_record *r, bool denied, bool *past)
{
    crdt_context context = { NULL, 0, 0 };

    *past = false;
    if (r->body.len == 0)
        return TAKO_OK;
    for (const sync_hold *o = h->first; o != NULL && !*past; o = o->next) {
        crdt_context had = { NULL, 0, 0 };

        if (!is_of_part(s, o, r))
            continue;
        if (context.count == 0)
            TAKO_TRY(crdt_meta_context(&s->arena, r->meta, &context));
        if (!denied)
            TAKO_TRY(crdt_context_join(&s->arena, &had, &h->base));
        TAKO_TRY(crdt_context_join(&s->arena, &had, &o->old_v));
        *past = crdt_context_covers(&had, &context) &&
                !is_present(s, o, h, &context);
        if (*past)
            TAKO_TRY(note_passed(s, o, h));
    }
    return TAKO_OK;
}

void sync_past_heard(sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->passed.count == 0 || !peer_has(s, sub, &sub->passed))
            continue;
        sub->passed.count = 0;
        sub->verify = true;
    }
}

void sync_tell_past(sync_session *s, tako_slice coll, tako_slice id,
                    const crdt_context *seen, bool later)
{
    tako_buf *b = &s->scratch;

    tako_buf_reset(b);
    tako_put_block(b, coll);
    sync_put_id(b, id);
    tako_put_u8(b, later);
    for (size_t i = 0; i < seen->count; i++)
        sync_put_dot(b, &seen->dots[i]);
    sync_control(s, SYNC_MSG_PAST, tako_buf_slice(b));
}

/* Those of the lives that it is in of which all up to V was here. */
static tako_err births_had(sync_session *s, const sync_holds *h,
                           const sync_hold *o, const sync_record *r,
                           crdt_context *out)
{
    crdt_context had = { NULL, 0, 0 };
    crdt_doc *doc;
    bool ended;

    TAKO_TRY(crdt_doc_decode(&s->arena, r->meta, r->body, &doc, NULL));
    if (is_present(s, o, h, crdt_doc_context(doc)))
        return TAKO_OK;
    TAKO_TRY(crdt_context_join(&s->arena, &had, &h->base));
    TAKO_TRY(crdt_context_join(&s->arena, &had, &o->old_v));
    for (size_t i = 0; i < crdt_doc_births(doc, NULL, 0); i++) {
        crdt_dot birth = crdt_doc_birth(doc, i, &ended);

        if (!ended && crdt_context_has(&had, birth))
            TAKO_TRY(crdt_context_add(&s->arena, out, birth));
    }
    return TAKO_OK;
}

tako_err sync_tell_older(sync_session *s, const sync_holds *h, tako_slice coll,
                         const sync_record *r)
{
    crdt_context births = { NULL, 0, 0 };

    if (r->body.len == 0)
        return TAKO_OK;
    for (const sync_hold *o = h->first; o != NULL; o = o->next)
        if (is_of_part(s, o, r))
            TAKO_TRY(births_had(s, h, o, r, &births));
    if (births.count > 0)
        sync_tell_past(s, coll, r->id, &births, false);
    return TAKO_OK;
}

void sync_session_past(sync_session *s, tako_slice coll, tako_slice id,
                       tako_slice meta)
{
    crdt_context context = { NULL, 0, 0 };

    for (size_t i = 0; i < s->want_count && !s->dead; i++)
        if (tako_slice_eq(s->wants[i].collection, coll)) {
            if (crdt_meta_context(&s->arena, meta, &context) == TAKO_OK)
                sync_tell_past(s, coll, id, &context, false);
            else
                s->control.failed = true;
            tako_arena_reset(&s->arena);
            return;
        }
}

/* ---- a list of documents ----------------------------------------------------------- */

static sync_doubt *list_find(const sync_doubts *l, uint32_t coll, int64_t row)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->list[i].coll == coll && l->list[i].row == row)
            return &l->list[i];
    return NULL;
}

static bool list_put(sync_session *s, sync_doubts *l, sync_doubt one)
{
    sync_doubt *d = list_find(l, one.coll, one.row);
    void *list = l->list;

    if (d == NULL) {
        if (l->count >= TAKO_SYNC_PAST_MAX ||
            !sync_grow(s->env, &list, &l->cap, l->count, sizeof one))
            return false;
        l->list = list;
        d = &l->list[l->count++];
    }
    *d = one;
    return true;
}

/* Matching or not. */
static bool is_here(store_conn *c, const sync_doubt *d, const store_row *row,
                    tako_slice collection)
{
    return row->body.len > 0 &&
           tako_slice_eq(store_coll_name(c, d->coll), collection);
}

/* Does it match still? *row is read. */
static tako_err look(sync_session *s, store_conn *c, tako_slice collection,
                     sync_predicate *p, const sync_doubt *d, store_row *row,
                     bool *matches)
{
    tako_err err = store_get_row(c, d->coll, d->row, row);

    *matches = false;
    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    TAKO_TRY(err);
    *matches = is_here(c, d, row, collection) &&
               s->host->predicate_match(s->host->ctx, p, row->id, row->body);
    return TAKO_OK;
}

/* ---- past there --------------------------------------------------------------------- */

tako_err sync_past_first(sync_session *s, const sync_want *w, uint64_t *lsn)
{
    *lsn = UINT64_MAX;
    for (size_t i = 0; i < s->doubts.count; i++) {
        const sync_doubt *d = &s->doubts.list[i];
        bool matches;
        store_row row;

        TAKO_TRY(
            look(s, s->reader, w->collection, w->predicate, d, &row, &matches));
        if (matches && d->past_lsn < *lsn && row.lsn == d->past_lsn)
            *lsn = d->past_lsn;
    }
    return TAKO_OK;
}

static tako_err doubt(sync_session *s, tako_slice name, tako_slice id,
                      const crdt_context *theirs, bool later)
{
    crdt_context ours = { NULL, 0, 0 };
    uint64_t past_lsn = UINT64_MAX; /* we wrote on it */
    store_row row;
    uint32_t coll;
    bool all;
    tako_err err = store_coll_find(s->reader, name, &coll);

    if (err == TAKO_OK)
        err = store_get(s->reader, coll, id, &row);
    if (err == TAKO_NOTFOUND || (err == TAKO_OK && row.body.len == 0))
        return TAKO_OK;
    TAKO_TRY(err);
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &ours));
    all = crdt_context_covers(theirs, &ours);
    if (all)
        past_lsn = row.lsn;
    else if (crdt_context_get(&ours, s->actor) <=
             crdt_context_get(theirs, s->actor))
        past_lsn = 0; /* others wrote on it */
    if (!list_put(
            s, &s->doubts,
            (sync_doubt){ coll, row.row, row.lsn, past_lsn, later && all }))
        return TAKO_LIMIT;
    s->judge_due = true;
    if (all && s->host->passed != NULL && !(later && asks_for(s, name, false)))
        s->host->passed(s->host->ctx, coll, row.row, row.lsn);
    return TAKO_OK;
}

tako_err sync_on_past(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice name = tako_read_block(in);
    tako_slice id = sync_get_id(in, &s->arena);
    uint8_t later = tako_read_u8(in);
    crdt_context context = { NULL, 0, 0 };
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && !in->failed && tako_reader_left(in) > 0) {
        tako_slice actor = tako_read_bytes(in, 16);
        crdt_dot dot;

        dot.hlc = tako_read_varint(in);
        if (in->failed || dot.hlc == 0 ||
            context.count >= TAKO_CONTEXT_ACTORS_MAX)
            return tako_fail(e, TAKO_CORRUPT, "malformed PAST");
        memcpy(dot.actor.id, actor.ptr, 16);
        err = crdt_context_add(&s->arena, &context, dot);
    }
    if (in->failed || id.len == 0 || later > 1)
        return tako_fail(e, TAKO_CORRUPT, "malformed PAST");
    if (err == TAKO_OK)
        err = store_snapshot_begin(s->reader, NULL, e);
    if (err != TAKO_OK)
        return err;
    err = doubt(s, name, id, &context, later != 0);
    store_snapshot_end(s->reader);
    return err == TAKO_OK ? err
                          : tako_fail(e, err, "reading a document failed");
}

/* elsewhere: for another session's word, which only what is lacked concerns. */
static tako_err is_doubted(sync_session *s, store_conn *c, const sync_sub *sub,
                           bool elsewhere, bool *any)
{
    for (size_t i = 0; i < s->doubts.count && !*any; i++) {
        const sync_doubt *d = &s->doubts.list[i];
        crdt_context context = { NULL, 0, 0 };
        store_row row = { 0 };

        TAKO_TRY(look(s, c, sub->collection, sub->predicate, d, &row, any));
        *any = row.lsn == d->lsn &&
               (d->lacks ? is_here(c, d, &row, sub->collection)
                         : *any && !elsewhere);
        if (!*any || d->past_lsn != 0)
            continue;
        TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &context));
        *any = !sync_vector_covers_but(&sub->theirs, &context, s->actor);
    }
    return TAKO_OK;
}

/* ---- unseen there --------------------------------------------------------------------- */

static tako_err unseen_sent(sync_session *s, store_conn *c, const sync_held *h)
{
    const sync_coll *k = &s->colls[h->name];
    sync_doubt *d;
    store_row row;
    uint32_t coll;
    tako_err err = store_coll_find(c, tako_slice_of(k->name, k->len), &coll);

    if (err == TAKO_OK)
        err = store_get(c, coll, h->record.id, &row);
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    d = list_find(&s->unseen, coll, row.row);
    if (d != NULL)
        *d = s->unseen.list[--s->unseen.count];
    return TAKO_OK;
}

tako_err sync_unseen_sent(sync_session *s, store_conn *c,
                          const sync_list *lists, size_t count)
{
    for (size_t i = 0; s->unseen.count > 0 && i < count; i++)
        for (const sync_held *h = lists[i].first; h != NULL; h = h->next)
            TAKO_TRY(unseen_sent(s, c, h));
    return TAKO_OK;
}

/* Has the peer looked at what was here when the session began? */
static bool has_looked(const sync_session *s, const sync_sub *sub)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (!s->wants[i].met &&
            tako_slice_eq(s->wants[i].collection, sub->collection))
            return false;
    return sync_session_listed(s);
}

static tako_err is_unseen(sync_session *s, store_conn *c, const sync_sub *sub,
                          bool *any)
{
    size_t n = 0;

    for (size_t i = 0; i < s->unseen.count; i++)
        if (s->unseen.list[i].lsn > s->acked)
            s->unseen.list[n++] = s->unseen.list[i];
    s->unseen.count = n;
    *any = *any || s->unseen_lsn > s->acked; /* there were too many */
    for (size_t i = 0; i < s->unseen.count && !*any; i++) {
        crdt_context context = { NULL, 0, 0 };
        store_row row;

        TAKO_TRY(look(s, c, sub->collection, sub->predicate, &s->unseen.list[i],
                      &row, any));
        if (!*any)
            continue;
        TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &context));
        *any = sync_vector_covers_but(&sub->theirs, &context, s->actor);
    }
    return TAKO_OK;
}

/* Is there something that this peer has not seen, and knows of, and V does not
 * cover? */
static tako_err is_unproven(sync_session *s, store_conn *c, const sync_sub *sub,
                            bool *any)
{
    tako_slice text = tako_slice_of(sub->text, sub->text_len);
    crdt_context has = { NULL, 0, 0 };
    sync_holds *h = NULL;

    for (size_t i = 0; i < s->unseen.count && !*any; i++) {
        const sync_doubt *d = &s->unseen.list[i];
        crdt_context context = { NULL, 0, 0 };
        store_row row;
        bool matches;

        if (d->lsn <= s->acked)
            continue;
        TAKO_TRY(
            look(s, c, sub->collection, sub->predicate, d, &row, &matches));
        if (!matches)
            continue;
        TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &context));
        if (!sync_vector_covers_but(&sub->theirs, &context, s->actor))
            continue;
        if (h == NULL) {
            TAKO_TRY(sync_holds_read(s, c, sub->collection, &h));
            TAKO_TRY(sync_hold_has(s, h, sync_hold_find(h, text), &has));
        }
        *any = !crdt_context_covers(&has, &context);
    }
    return TAKO_OK;
}

/* ---- both ------------------------------------------------------------------------------- */

void sync_past_fini(sync_session *s)
{
    tako_env_free(s->env, s->doubts.list,
                  s->doubts.cap * sizeof *s->doubts.list);
    tako_env_free(s->env, s->unseen.list,
                  s->unseen.cap * sizeof *s->unseen.list);
}

tako_err sync_session_doubts(sync_session *s, store_conn *c, uint32_t number,
                             bool *any)
{
    for (size_t i = 0; i < s->sub_count && !*any; i++) {
        const sync_sub *sub = &s->subs[i];

        if (sub->user != number || !is_part(s, sub->predicate))
            continue;
        TAKO_TRY(is_doubted(s, c, sub, true, any));
        if (!*any)
            TAKO_TRY(is_unproven(s, c, sub, any));
    }
    return TAKO_OK;
}

void sync_session_seen(sync_session *s)
{
    if (s->doubted)
        sync_session_recheck(s);
}

tako_err sync_doubted_elsewhere(sync_session *s, store_conn *c,
                                const sync_sub *sub, bool *any)
{
    if (s->host->doubted != NULL)
        TAKO_TRY(s->host->doubted(s->host->ctx, c, sub->user, any));
    s->doubted = s->doubted || *any;
    return TAKO_OK;
}

tako_err sync_doubts_word(sync_session *s, store_conn *c, sync_sub *sub,
                          bool *any)
{
    *any = false;
    if (!is_part(s, sub->predicate))
        return TAKO_OK;
    *any = !has_looked(s, sub) || s->unheard;
    if (!*any)
        TAKO_TRY(is_doubted(s, c, sub, false, any));
    if (!*any)
        TAKO_TRY(sync_doubted_elsewhere(s, c, sub, any));
    if (!*any)
        TAKO_TRY(is_unseen(s, c, sub, any));
    sub->doubts = *any;
    return TAKO_OK;
}

/* Is it one whose word counts here, of a part? */
static bool is_believed(sync_session *s, uint32_t coll)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        const sync_sub *sub = &s->subs[i];

        if (sub->mode == SYNC_EAGER &&
            (sub->claim == SYNC_CLAIM_ALL || sub->claim == SYNC_CLAIM_PART) &&
            is_part(s, sub->predicate) &&
            tako_slice_eq(store_coll_name(s->reader, coll), sub->collection))
            return true;
    }
    return false;
}

bool sync_past_changed(sync_session *s, const store_change *c, uint64_t lsn,
                       sync_author author)
{
    sync_doubt *d = list_find(&s->doubts, c->coll, c->row);

    s->judge_due = s->judge_due || d != NULL;
    if (d != NULL && author != SYNC_BY_SESSION && c->alive) {
        d->lsn = lsn; /* what it lacks it lacks still */
        d->past_lsn = author == SYNC_BY_OTHER ? 0 : d->past_lsn;
        d->lacks = d->lacks && author != SYNC_BY_OTHER; /* that may be it */
    } else if (d != NULL) {
        *d = s->doubts.list[--s->doubts.count];
    }
    if (author != SYNC_BY_OTHER || !c->alive ||
        !asks_for(s, store_coll_name(s->reader, c->coll), true))
        return false;
    if (!list_put(s, &s->unseen,
                  (sync_doubt){ c->coll, c->row, lsn, 0, false }))
        s->unseen_lsn = lsn;
    return is_believed(s, c->coll);
}

void sync_past_seen(sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++)
        s->judge_due = s->judge_due || s->subs[i].doubts;
}
