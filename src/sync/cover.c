// SPDX-License-Identifier: Apache-2.0
/* COVER -- what is complete here, and for whom (SYNC.md 5 and 7).
 *
 * Of each collection a node knows two things. V, for each own subscription:
 * actor -> hlc up to which every change of that actor, to documents that the
 * subscription matched before or after, is or was here. And `upper`: the same
 * for every event that any document here may show, or depend on. Where V of a
 * subscription covers `upper`, its documents are a closed set of events: each
 * transaction is whole in it, and after all it depended on. That is P7.
 *
 * A COVERS B when it is the same canonical text, the whole collection, or an OR
 * with B as an operand. A node covers a peer's want when an own subscription
 * does, and that one is whole. What such a node sends is closed, and a union
 * of closed sets is: so the receiver's V rises to the sender's.
 *
 * A CLAIM comes with the close of a cut, for each want that is caught up: the
 * sender's `upper` (what of it was not told before on this link), and
 *   ALL   it covers: everything up to that is here now;
 *   PART  it has a subscription that would, but is not whole: the same, but of
 *         some actors only up to a lesser hlc, which are named;
 *   OWN   it does not cover: what its own app wrote is, and depends on no more
 *         than that vector;
 *   GONE  likewise, but documents with writes of its own app went from here,
 *         after another kept them: who is not known to have those writes has
 *         not been given them. Until it says that it has (SUMMARY, at once),
 *         that vector is a bound. What goes in a session, it was given before;
 *         and the archive because of which it went had it, and never lets go,
 *         so that it is told OWN (else it might never be whole: nobody else
 *         covers what it asks for);
 *   NONE  that vector is a bound, and nothing else.
 * A batch with which V of some subscription would no longer cover `upper` is
 * not taken while another link may bring what it depends on (inbox.c). Taken
 * nonetheless, `upper` is written as the subscription's *target*: until V has
 * reached it, it is `catching up`, or `loose`, whoever restarts when.
 *
 * V rises also where no document came, and so no commit: as others may wait for
 * just that (a claim, or a summary of ours: lazy.c), all sessions are told.
 *
 * Of who may not write what is claimed may be more than what is taken: denied.c
 * says why it holds, and when it does not.
 *
 * Everything is read in the snapshot that the cut is of, and written in the
 * transaction that applies it. Our own entry is in no row: it is the last own
 * hlc of the feed (store/held.c). */
#include "sync/state.h"

/* ---- reading ---------------------------------------------------------------- */

typedef struct reading {
    sync_session *s;
    sync_holds *holds;
} reading;

sync_hold *sync_hold_find(const sync_holds *h, tako_slice text)
{
    sync_hold *o = h->first;

    while (o != NULL && !tako_slice_eq(o->text, text))
        o = o->next;
    return o;
}

static sync_hold *hold_add(reading *r, tako_slice text)
{
    sync_hold *o = TAKO_NEW(&r->s->arena, sync_hold);

    if (o == NULL)
        return NULL;
    memset(o, 0, sizeof *o);
    o->text = text;
    o->next = r->holds->first;
    r->holds->first = o;
    return o;
}

/* Of what went from here, what the peer is not known to have. */
static tako_err read_gone(reading *r, const store_held *row)
{
    const sync_session *s = r->s;
    bool has = row->archive.len > 0 &&
               tako_slice_eq(row->archive, tako_slice_of(s->peer, s->peer_len));

    TAKO_TRY(sync_vector_get(&r->s->arena, row->v, &r->holds->gone));
    return has ? TAKO_OK
               : sync_vector_get(&r->s->arena, row->target, &r->holds->gone);
}

static tako_err read_row(void *ctx, const store_held *row)
{
    reading *r = ctx;
    tako_arena *a = &r->s->arena;
    tako_slice text;
    sync_hold *o;

    if (row->gone)
        return read_gone(r, row);
    if (row->text.len == 0)
        return sync_vector_get(a, row->v, &r->holds->base);
    text = tako_arena_copy(a, row->text);
    o = text.ptr == NULL ? NULL : hold_add(r, text);
    if (o == NULL)
        return TAKO_NOMEM;
    TAKO_TRY(sync_vector_get(a, row->v, &o->v));
    TAKO_TRY(sync_vector_get(a, row->target, &o->target));
    o->why = row->why == SYNC_CATCHING_UP ? SYNC_CATCHING_UP
             : row->why == SYNC_LOOSE     ? SYNC_LOOSE
                                          : SYNC_WHOLE;
    return TAKO_OK;
}

static tako_err add_subs(reading *r)
{
    sync_session *s = r->s;

    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];
        tako_slice text = tako_slice_of(sub->text, sub->text_len);
        sync_hold *o;

        if (!tako_slice_eq(sub->collection, r->holds->coll))
            continue;
        o = sync_hold_find(r->holds, text);
        if (o == NULL)
            o = hold_add(r, text);
        if (o == NULL)
            return TAKO_NOMEM;
        o->sub = sub;
    }
    return TAKO_OK;
}

static tako_err read_all(reading *r, store_conn *c)
{
    tako_arena *a = &r->s->arena;
    sync_holds *h = r->holds;
    const sync_latest *shown = c == r->s->reader ? r->s->shown : NULL;
    crdt_dot own;

    if (shown != NULL) {
        TAKO_TRY(store_held_in(shown->held, h->coll, read_row, r));
        own = shown->own;
    } else {
        TAKO_TRY(store_held_each(c, h->coll, read_row, r));
        TAKO_TRY(store_own_last(c, &own));
    }
    TAKO_TRY(add_subs(r));
    h->self = own.actor;
    if (own.hlc != 0)
        TAKO_TRY(crdt_context_add(a, &h->base, own));
    TAKO_TRY(crdt_context_join(a, &h->upper, &h->base));
    for (const sync_hold *o = h->first; o != NULL; o = o->next) {
        TAKO_TRY(crdt_context_join(a, &h->upper, &o->v));
        TAKO_TRY(crdt_context_join(a, &h->upper, &o->target));
    }
    return TAKO_OK;
}

tako_err sync_holds_read(sync_session *s, store_conn *c, tako_slice coll,
                         sync_holds **out)
{
    reading r = { s, TAKO_NEW(&s->arena, sync_holds) };

    if (r.holds == NULL)
        return TAKO_NOMEM;
    memset(r.holds, 0, sizeof *r.holds);
    r.holds->coll = coll;
    *out = r.holds;
    return read_all(&r, c);
}

static bool covers(sync_session *s, const sync_hold *big,
                   const sync_predicate *small, tako_slice text)
{
    return big->sub != NULL && (tako_slice_eq(big->text, text) ||
                                s->host->predicate_covers(
                                    s->host->ctx, big->sub->predicate, small));
}

tako_err sync_hold_has(sync_session *s, const sync_holds *h, const sync_hold *o,
                       crdt_context *out)
{
    *out = (crdt_context){ NULL, 0, 0 };
    TAKO_TRY(crdt_context_join(&s->arena, out, &h->base));
    TAKO_TRY(crdt_context_join(&s->arena, out, &o->v));
    for (const sync_hold *k = h->first; k != NULL; k = k->next)
        if (k != o && o->sub != NULL &&
            covers(s, k, o->sub->predicate, o->text))
            TAKO_TRY(crdt_context_join(&s->arena, out, &k->v));
    return TAKO_OK;
}

tako_err sync_hold_whole(sync_session *s, const sync_holds *h,
                         const sync_hold *o, bool *whole)
{
    crdt_context has;

    TAKO_TRY(sync_hold_has(s, h, o, &has));
    *whole = crdt_context_covers(&has, &h->upper);
    return TAKO_OK;
}

/* ---- telling ------------------------------------------------------------------ */

/* Does it cover? ALL, PART (then *has is what), or as it was. */
static tako_err covers_want(sync_session *s, const sync_holds *h,
                            const sync_want *w, uint8_t *claim,
                            crdt_context *has)
{
    tako_slice text = tako_slice_of(w->text, w->text_len);
    bool whole = false;

    for (const sync_hold *o = h->first; o != NULL && !whole; o = o->next) {
        bool unproven = false;

        if (!covers(s, o, w->predicate, text))
            continue;
        TAKO_TRY(sync_hold_has(s, h, o, has));
        whole = crdt_context_covers(has, &h->upper);
        if (!whole)
            TAKO_TRY(sync_doubted_elsewhere(s, s->reader, o->sub, &unproven));
        if (!unproven)
            *claim = whole ? SYNC_CLAIM_ALL : SYNC_CLAIM_PART;
    }
    return TAKO_OK;
}

/* The peer knows what it wrote itself. */
static bool is_news(const sync_session *s, const sync_vector *told,
                    crdt_dot dot)
{
    return !crdt_context_has(told, dot) &&
           crdt_actor_cmp(dot.actor, s->peer_actor) != 0;
}

static size_t news(const sync_session *s, const sync_vector *told,
                   const crdt_context *upper)
{
    size_t n = 0;

    for (size_t i = 0; i < upper->count; i++)
        n += is_news(s, told, upper->dots[i]);
    return n;
}

static bool is_served(const sync_want *w)
{
    return w->state == WANT_SENT || w->state == WANT_LIVE;
}

/* Our own writes are not all here, nor at the peer for sure. */
static bool is_gone(const sync_holds *h, const sync_want *w)
{
    bool given = w->claim == SYNC_CLAIM_OWN || w->claim == SYNC_CLAIM_ALL ||
                 w->claim == SYNC_CLAIM_PART;

    return !given && !crdt_context_covers(&w->has, &h->gone);
}

static tako_err claim_of(sync_session *s, const sync_holds *h,
                         const sync_want *w, uint8_t *claim, crdt_context *has)
{
    *claim = SYNC_CLAIM_NONE;
    if (!is_served(w) || w->mode == SYNC_PRUNED)
        return TAKO_OK;
    *claim = is_gone(h, w) ? SYNC_CLAIM_GONE : SYNC_CLAIM_OWN;
    if (w->mode == SYNC_EAGER)
        TAKO_TRY(covers_want(s, h, w, claim, has));
    if (w->restart)
        *claim |= SYNC_CLAIM_FLAG;
    return TAKO_OK;
}

/* Of whom it has less than it may show; an hlc of 0: nothing for sure. */
static void put_lacks(sync_writer *w, const sync_holds *h,
                      const crdt_context *has)
{
    size_t n = 0;

    for (size_t i = 0; i < h->upper.count; i++)
        n += !crdt_context_has(has, h->upper.dots[i]);
    tako_put_varint(w->scratch, n);
    for (size_t i = 0; i < h->upper.count; i++) {
        crdt_dot dot = h->upper.dots[i];

        if (crdt_context_has(has, dot))
            continue;
        dot.hlc = crdt_context_get(has, dot.actor);
        sync_put_claim(w, w->scratch, dot);
    }
}

/* One want's part. */
static tako_err put_claim(sync_session *s, sync_writer *w, const sync_holds *h,
                          sync_want *want, bool last)
{
    size_t n = news(s, &want->told, &h->upper);
    crdt_context has = { NULL, 0, 0 };
    uint8_t claim = want->claim;

    if (last)
        TAKO_TRY(claim_of(s, h, want, &claim, &has));
    if (n == 0 && claim == want->claim && claim != SYNC_CLAIM_PART)
        return TAKO_OK;
    if (claim == SYNC_CLAIM_UNTOLD || (!last && claim == SYNC_CLAIM_PART))
        claim = SYNC_CLAIM_NONE;
    tako_put_varint(w->scratch,
                    (uint64_t)want->number << SYNC_CLAIM_BITS | claim);
    tako_put_varint(w->scratch, n);
    for (size_t i = 0; i < h->upper.count; i++) {
        crdt_dot dot = h->upper.dots[i];

        if (!is_news(s, &want->told, dot))
            continue;
        sync_put_claim(w, w->scratch, dot);
        TAKO_TRY(sync_vector_raise(s->env, &want->told, dot));
    }
    if ((claim & SYNC_CLAIM_KIND) == SYNC_CLAIM_PART)
        put_lacks(w, h, &has);
    want->claim = claim & SYNC_CLAIM_KIND;
    want->restart = want->restart && !last;
    return TAKO_OK;
}

tako_err sync_claims_put(sync_session *s, sync_writer *w, bool last,
                         tako_errbuf *e)
{
    sync_holds *h = NULL;
    tako_err err = TAKO_OK;

    tako_buf_reset(w->scratch);
    tako_arena_reset(&s->arena);
    for (size_t i = 0; i < s->want_count && err == TAKO_OK; i++) {
        sync_want *want = &s->wants[i];

        if (!is_served(want) && !want->big)
            continue;
        if (h == NULL || !tako_slice_eq(h->coll, want->collection))
            err = sync_holds_read(s, s->reader, want->collection, &h);
        if (err == TAKO_OK)
            err = put_claim(s, w, h, want, last);
    }
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading what is complete failed");
    if (w->scratch->len == 0)
        return TAKO_OK;
    tako_put_u8(w->out, SYNC_TAG_CLAIMS);
    tako_put_bytes(w->out, tako_buf_slice(w->scratch));
    return w->scratch->failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                              : TAKO_OK;
}

static void join_told(const sync_session *s, tako_slice coll, crdt_context *out,
                      tako_arena *a, tako_err *err)
{
    for (size_t i = 0; i < s->sub_count && *err == TAKO_OK; i++)
        if (tako_slice_eq(s->subs[i].collection, coll))
            *err = crdt_context_join(a, out, &s->subs[i].theirs);
    for (size_t i = 0; i < s->want_count && *err == TAKO_OK; i++)
        if (tako_slice_eq(s->wants[i].collection, coll))
            *err = crdt_context_join(a, out, &s->wants[i].has);
}

tako_err sync_claims_new(sync_session *s, bool *any)
{
    sync_holds *h = NULL;

    *any = false;
    tako_arena_reset(&s->arena);
    for (size_t i = 0; i < s->want_count && !*any; i++) {
        const sync_want *w = &s->wants[i];
        crdt_context both = { NULL, 0, 0 }, has = { NULL, 0, 0 };
        tako_err err = TAKO_OK;
        uint8_t claim;

        if (!is_served(w) || w->mode == SYNC_PRUNED)
            continue;
        if (h == NULL || !tako_slice_eq(h->coll, w->collection))
            TAKO_TRY(sync_holds_read(s, s->reader, w->collection, &h));
        TAKO_TRY(claim_of(s, h, w, &claim, &has));
        TAKO_TRY(crdt_context_join(&s->arena, &both, &w->told));
        join_told(s, w->collection, &both, &s->arena, &err);
        if (err != TAKO_OK)
            return err;
        *any = claim != w->claim || claim == SYNC_CLAIM_PART ||
               news(s, &both, &h->upper) > 0;
    }
    return TAKO_OK;
}

/* ---- hearing -------------------------------------------------------------------- */

static tako_slice coll_name(const sync_coll *c)
{
    return tako_slice_of(c->name, c->len);
}

void sync_retire(sync_session *s, const sync_sub *sub)
{
    sync_retired *r = &s->retired[s->retired_count % TAKO_SYNC_RETIRED_MAX];

    r->number = sub->number;
    for (r->name = 0; r->name < s->coll_count; r->name++)
        if (tako_slice_eq(coll_name(&s->colls[r->name]), sub->collection))
            break;
    s->retired_count++;
}

/* What a cut says with a number that is no more, as it was sent before the peer
 * knew, bounds what its documents bring all the same. */
static sync_vector *bounds_of(sync_session *s, uint64_t number)
{
    size_t n = s->retired_count < TAKO_SYNC_RETIRED_MAX ? s->retired_count
                                                        : TAKO_SYNC_RETIRED_MAX;

    for (size_t i = 0; i < n; i++)
        if (s->retired[i].number == number &&
            s->retired[i].name < s->coll_count)
            return &s->colls[s->retired[i].name].bounds;
    return NULL;
}

static tako_err get_dots(sync_session *s, tako_reader *in, sync_vector *into,
                         bool zero, tako_errbuf *e)
{
    uint64_t n = tako_read_varint(in);
    tako_err err = TAKO_OK;

    if (in->failed || n > TAKO_SYNC_VECTOR_ACTORS_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed claims");
    for (; n > 0 && err == TAKO_OK; n--) {
        crdt_dot dot;

        if (!sync_get_claim(&s->names_in[SYNC_LIVE], in, &dot) ||
            (dot.hlc == 0 && !zero))
            return tako_fail(e, TAKO_CORRUPT, "malformed claims");
        if (dot.hlc == 0)
            dot.hlc = 1; /* less than any event */
        if (into != NULL)
            err = sync_vector_raise(s->env, into, dot);
    }
    return err == TAKO_OK ? err : tako_fail(e, err, "too many actors");
}

static tako_err claim_set(sync_session *s, sync_sub *sub, uint8_t claim)
{
    uint8_t kind = claim & SYNC_CLAIM_KIND;

    if (s->peer_bars.write &&
        (kind == SYNC_CLAIM_ALL || kind == SYNC_CLAIM_PART))
        kind = SYNC_CLAIM_OWN; /* denied.c */
    s->covers_changed = s->covers_changed || kind != sub->claim;
    if (kind == SYNC_CLAIM_GONE && sub->claim != kind)
        sync_summary_now(s);
    sub->claim = kind;
    if ((claim & SYNC_CLAIM_FLAG) == 0)
        return TAKO_OK;
    sub->verify = true;
    sub->given.count = 0;
    return sync_vector_join(s->env, &sub->given, &sub->theirs);
}

tako_err sync_claims_get(sync_session *s, tako_reader *in, bool closed,
                         tako_errbuf *e)
{
    while (tako_reader_left(in) > 0) {
        uint64_t head = tako_read_varint(in);
        uint64_t number = head >> SYNC_CLAIM_BITS;
        sync_sub *sub = sync_sub_find(s, number);
        tako_err err = TAKO_OK;

        if (in->failed)
            return tako_fail(e, TAKO_CORRUPT, "malformed claims");
        TAKO_TRY(get_dots(s, in,
                          sub == NULL ? bounds_of(s, number) : &sub->theirs,
                          false, e));
        if (sub != NULL)
            sub->lacks.count = 0;
        if ((head & SYNC_CLAIM_KIND) == SYNC_CLAIM_PART)
            TAKO_TRY(
                get_dots(s, in, sub == NULL ? NULL : &sub->lacks, true, e));
        if ((head & SYNC_CLAIM_KIND) >= SYNC_CLAIMS)
            return tako_fail(e, TAKO_CORRUPT, "malformed claims");
        if (sub != NULL && closed)
            err = claim_set(s, sub, head & (SYNC_CLAIM_FLAG | SYNC_CLAIM_KIND));
        if (err != TAKO_OK)
            return tako_fail(e, err, "out of memory");
    }
    return TAKO_OK;
}

/* ---- targets ---------------------------------------------------------------------- */

static tako_err put_target(sync_session *s, sync_want *w, const sync_holds *h,
                           tako_buf *out)
{
    size_t n = news(s, &w->bounded, &h->upper);

    if (n == 0)
        return TAKO_OK;
    tako_put_u8(out, SYNC_MSG_TARGET);
    tako_put_varint(out, w->number);
    for (size_t i = 0; i < h->upper.count; i++) {
        crdt_dot dot = h->upper.dots[i];

        if (!is_news(s, &w->bounded, dot))
            continue;
        sync_put_dot(out, &dot);
        TAKO_TRY(sync_vector_raise(s->env, &w->bounded, dot));
    }
    return TAKO_OK;
}

/* What comes on the catch-up lane is no part of what the cuts say: one that was
 * sent before it, with a claim, may arrive after it.
 *
 * Merges are made by this thread, so until the states are read, which is next,
 * nothing else can come into them but what the app commits meanwhile. */
tako_err sync_target_put(sync_session *s, tako_buf *out, tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < s->want_count && err == TAKO_OK && out->len == 0;
         i++) {
        sync_want *w = &s->wants[i];
        sync_holds *h;

        if (!sync_want_sends(s, w))
            continue;
        tako_arena_reset(&s->arena);
        err = store_snapshot_begin(s->reader, NULL, e);
        if (err != TAKO_OK)
            return err;
        err = sync_holds_read(s, s->reader, w->collection, &h);
        store_snapshot_end(s->reader);
        if (err == TAKO_OK)
            err = put_target(s, w, h, out);
    }
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading what is complete failed");
}

tako_err sync_read_dots(sync_session *s, tako_reader *in, sync_vector *into,
                        tako_errbuf *e)
{
    while (tako_reader_left(in) > 0) {
        tako_slice actor = tako_read_bytes(in, 16);
        crdt_dot dot;
        tako_err err = TAKO_OK;

        dot.hlc = tako_read_varint(in);
        if (in->failed)
            return tako_fail(e, TAKO_CORRUPT, "a malformed vector");
        memcpy(dot.actor.id, actor.ptr, 16);
        if (into != NULL)
            err = sync_vector_raise(s->env, into, dot);
        if (err != TAKO_OK)
            return tako_fail(e, err, "too many actors");
    }
    return TAKO_OK;
}

tako_err sync_on_target(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    sync_vector *into = NULL;
    uint32_t name;

    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "malformed TARGET");
    if (sub != NULL && sync_coll_name(s, sub->collection, &name) == TAKO_OK)
        into = &s->colls[name].bounds;
    return sync_read_dots(s, in, into, e);
}

/* ---- judging ------------------------------------------------------------------------ */

static bool is_caught_up(const sync_sub *sub)
{
    return sub->state == SUB_IN_SYNC || sub->state == SUB_CLOSING;
}

/* Are there documents of the collection among the lists? */
static bool touches(const sync_session *s, const sync_list *lists, size_t count,
                    tako_slice coll)
{
    for (size_t i = 0; i < count; i++)
        for (const sync_held *h = lists[i].first; h != NULL; h = h->next)
            if (tako_slice_eq(coll_name(&s->colls[h->name]), coll))
                return true;
    return false;
}

/* Of an actor that it had before, up to where its file has that. */
static crdt_dot own_claimed(const sync_session *s, crdt_dot dot)
{
    uint64_t wrote = crdt_context_get(&s->peer_wrote, dot.actor);

    if (crdt_actor_cmp(dot.actor, s->peer_actor) == 0 ||
        (s->peer_bars.write && sync_is_peers(s, dot.actor)))
        return dot;
    dot.hlc = dot.hlc < wrote ? dot.hlc : wrote;
    return dot;
}

crdt_dot sync_claimed(const sync_session *s, const sync_sub *sub, crdt_dot dot)
{
    uint64_t less = crdt_context_get(&sub->lacks, dot.actor);

    switch ((sync_claim)(sub->claim & SYNC_CLAIM_KIND)) {
    case SYNC_CLAIM_ALL:
        return dot;
    case SYNC_CLAIM_PART:
        dot.hlc = less != 0 ? less : dot.hlc;
        return dot;
    case SYNC_CLAIM_OWN:
        return own_claimed(s, dot);
    case SYNC_CLAIM_NONE:
    case SYNC_CLAIM_GONE:
    case SYNC_CLAIMS:
        break;
    }
    dot.hlc = 0;
    return dot;
}

/* What the batch adds to V of one subscription. */
static tako_err gain(sync_session *s, store_conn *c, const sync_holds *h,
                     sync_hold *o, bool torn)
{
    sync_sub *sub = o->sub;
    tako_arena *a = &s->arena;
    unsigned kind = sub == NULL ? 0 : sub->claim & SYNC_CLAIM_KIND;
    bool doubts;

    TAKO_TRY(crdt_context_join(a, &o->old_v, &o->v));
    if (torn || kind == SYNC_CLAIM_NONE || kind == SYNC_CLAIM_GONE ||
        !is_caught_up(sub) || sub->verify || sub->regain ||
        (s->unheard && s->bars.write))
        return TAKO_OK;
    TAKO_TRY(sync_doubts_word(s, c, sub, &doubts));
    if (doubts)
        return TAKO_OK;
    for (size_t i = 0; i < sub->theirs.count; i++) {
        crdt_dot dot = sync_claimed(s, sub, sub->theirs.dots[i]);

        if (dot.hlc != 0 && crdt_actor_cmp(dot.actor, h->self) != 0)
            TAKO_TRY(crdt_context_add(a, &o->v, dot));
    }
    return TAKO_OK;
}

/* With `upper` as it will be: is it whole, and if not, why? */
static tako_err settle(sync_session *s, const sync_holds *h, sync_hold *o,
                       bool was, bool torn, sync_verdict *out)
{
    bool whole, rose = !crdt_context_eq(&o->v, &o->old_v);

    TAKO_TRY(sync_hold_whole(s, h, o, &whole));
    out->rose = out->rose || rose;
    out->changed = out->changed || was != whole || (!whole && rose);
    if (whole) {
        o->moved = o->target.count > 0;
        o->why = SYNC_WHOLE;
        o->target = (crdt_context){ NULL, 0, 0 };
        return TAKO_OK;
    }
    if (was) {
        out->wait = out->wait || !torn;
        o->why = torn || !is_caught_up(o->sub) ? SYNC_CATCHING_UP : SYNC_LOOSE;
    } else if (o->why == SYNC_WHOLE) {
        o->why = SYNC_CATCHING_UP; /* it was widened */
    }
    o->moved = !crdt_context_covers(&o->target, &h->upper);
    return crdt_context_join(&s->arena, &o->target, &h->upper);
}

/* Up to what the peer may have put into what came. */
static tako_err told_of(sync_session *s, tako_slice coll, crdt_context *out)
{
    for (size_t i = 0; i < s->coll_count; i++)
        if (tako_slice_eq(coll_name(&s->colls[i]), coll))
            TAKO_TRY(crdt_context_join(&s->arena, out, &s->colls[i].bounds));
    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(s->subs[i].collection, coll))
            TAKO_TRY(crdt_context_join(&s->arena, out, &s->subs[i].theirs));
    return TAKO_OK;
}

static tako_err judge_coll(sync_session *s, store_conn *c, sync_holds *h,
                           bool touched, bool torn, sync_verdict *out)
{
    crdt_context told = { NULL, 0, 0 };
    bool was[TAKO_SUBSCRIPTIONS_MAX];
    size_t n = 0;

    for (sync_hold *o = h->first; o != NULL; o = o->next)
        if (o->sub != NULL)
            TAKO_TRY(sync_hold_whole(s, h, o, &was[n++]));
    if (touched)
        TAKO_TRY(told_of(s, h->coll, &told));
    TAKO_TRY(crdt_context_join(&s->arena, &h->upper, &told));
    for (sync_hold *o = h->first; o != NULL; o = o->next) {
        TAKO_TRY(gain(s, c, h, o, torn));
        TAKO_TRY(crdt_context_join(&s->arena, &h->upper, &o->v));
    }
    n = 0;
    for (sync_hold *o = h->first; o != NULL; o = o->next)
        if (o->sub != NULL)
            TAKO_TRY(settle(s, h, o, was[n++], torn, out));
    return TAKO_OK;
}

static bool is_judged(const sync_verdict *v, tako_slice coll)
{
    for (const sync_holds *h = v->holds; h != NULL; h = h->next)
        if (tako_slice_eq(h->coll, coll))
            return true;
    return false;
}

tako_err sync_judge(sync_session *s, store_conn *c, const sync_list *lists,
                    size_t count, bool torn, sync_verdict *out, tako_errbuf *e)
{
    tako_err err = sync_unseen_sent(s, c, lists, count);

    *out = (sync_verdict){ 0 };
    for (size_t i = 0; i < s->sub_count && err == TAKO_OK; i++) {
        tako_slice coll = s->subs[i].collection;
        sync_holds *h;

        if (is_judged(out, coll))
            continue;
        err = sync_holds_read(s, c, coll, &h);
        if (err != TAKO_OK)
            break;
        h->next = out->holds;
        out->holds = h;
        err = judge_coll(s, c, h, touches(s, lists, count, coll), torn, out);
    }
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "judging what is complete failed");
}

/* ---- writing -------------------------------------------------------------------------- */

static tako_err write_hold(sync_session *s, store *st, const sync_holds *h,
                           const sync_hold *o)
{
    tako_buf v = tako_buf_on(s->env), target = tako_buf_on(s->env);
    store_held row = { .text = o->text, .why = (uint8_t)o->why };
    tako_err err;

    sync_vector_put(&v, &o->v);
    sync_vector_put(&target, &o->target);
    row.v = tako_buf_slice(&v);
    row.target = tako_buf_slice(&target);
    err = v.failed || target.failed ? TAKO_NOMEM
                                    : store_held_put(st, h->coll, &row);
    tako_buf_fini(&v);
    tako_buf_fini(&target);
    return err;
}

tako_err sync_verdict_write(sync_session *s, store *st,
                            const sync_verdict *verdict, tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    for (const sync_holds *h = verdict->holds; h != NULL; h = h->next)
        for (const sync_hold *o = h->first; o != NULL && err == TAKO_OK;
             o = o->next)
            if (o->sub != NULL &&
                (o->moved || !crdt_context_eq(&o->v, &o->old_v)))
                err = write_hold(s, st, h, o);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "writing what is complete failed");
}
