// SPDX-License-Identifier: Apache-2.0
/* DENIED -- writes of who may not write (SYNC.md 9).
 *
 *   who may not                           whoever it speaks with
 *   a state with an event of its own   ->
 *                                      <-  DENIED _id, its last event there
 *   lets it go (store/deny.c), and
 *   asks all it speaks with anew       ->  what they have, as after an absence
 *
 * JUDGED is the sender, and the document whole: by its context, before anything
 * of it is merged. A state that has an event of the peer's own actor which is
 * not here is not taken, as it comes or as a delta; what a peer merely passes on
 * is taken if it may relay. All else of the cut is applied. A device is told
 * by its actor; one that had others before, since it may not write, says so after
 * HELLO (NAMES), and when it takes another (RENEWED), and is judged by all of
 * them. Who forges a name is another matter: nothing is signed
 * (docs/security.md).
 *
 * THE PEER'S EVENTS ARE NOWHERE, once it has let go: everybody it offers them to
 * refuses them. So what it claims of them (cover.c) may be taken. V, which says
 * that everything up to there is or was here, then speaks of events that no
 * document can show; `upper` and the hash of events that agreeing goes by
 * (agree.c) name them on all sides alike. The documents differ until it has let
 * go, which a comparison notices, and leads to the same answer again.
 *
 * BUT OF OTHERS' EVENTS it proves nothing: a write of its own may have taken a
 * document out of what we ask for, so that it is not sent at all, and nobody
 * denies it. So a peer that may not write makes complete what it wrote itself,
 * as one that does not cover (CLAIM_OWN), whatever it claims: who has no other
 * neighbour is `loose`, and no tree of pushing leads through it.
 *
 * WITH THEM GO OTHERS' that the document had, and that we may lack. Of those the
 * claim does not hold: not ours of what came, nor the author's of what it has.
 * So both take no word of the other's for being complete (`regain`) until they
 * have asked anew, and what was said in the very cut is judged without it; the
 * author, who let go, empties V in the same transaction, and asks all its
 * neighbours; a session that has not heard of that commit yet makes nothing
 * complete either (`unheard`). A peer that does not let go is asked
 * TAKO_SYNC_REGAINS_MAX times; then it makes nothing complete any more in this
 * session.
 *
 * KEPT. Who may not write keeps for nobody, and vouches for nobody: its document
 * may go, with others' changes in it. So no peer counts what it says of KEPT
 * and RECEIPTS, it lets no other go (node/mayi.c), and knows of no keeper of its
 * own commits (node/keepers.c): a denied one never counts as kept, though the cut
 * that it came in is acknowledged.
 *
 * DELETIONS come as tombstones, with an event. As graves they have none: what
 * such a peer says of graves, of the dead and of epochs is not heard.
 *
 * Only who may not write heeds DENIED. It is idempotent: what was not let go (a
 * crash between) differs, is sent again and denied again. */
#include "sync/state.h"

/* ---- judging ---------------------------------------------------------------- */

bool sync_is_peers(const sync_session *s, crdt_actor actor)
{
    bool was = crdt_actor_cmp(actor, s->peer_actor) == 0;

    for (size_t i = 0; i < SYNC_PEER_NAMES && !was; i++)
        was = crdt_actor_cmp(actor, s->peer_former[i]) == 0;
    return was;
}

tako_err sync_tell_names(sync_session *s, tako_errbuf *e)
{
    tako_err err;

    if (!s->bars.write)
        return TAKO_OK;
    tako_buf_reset(&s->scratch);
    err = store_names(s->reader, &s->scratch, e);
    if (err == TAKO_OK && s->scratch.len > 0)
        sync_control(s, SYNC_MSG_NAMES, tako_buf_slice(&s->scratch));
    return err;
}

tako_err sync_on_names(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    while (tako_reader_left(in) > 0) {
        tako_slice actor = tako_read_bytes(in, 16);
        crdt_actor *at = &s->peer_former[s->peer_former_at % SYNC_PEER_NAMES];

        if (in->failed)
            return tako_fail(e, TAKO_CORRUPT, "malformed NAMES");
        memcpy(at->id, actor.ptr, sizeof at->id);
        s->peer_former_at++;
    }
    return TAKO_OK;
}

void sync_peer_renamed(sync_session *s, crdt_actor actor)
{
    s->peer_former[s->peer_former_at++ % SYNC_PEER_NAMES] = s->peer_actor;
    s->peer_actor = actor;
}

static tako_err ours_of(sync_session *s, store *st, uint32_t coll,
                        tako_slice id, crdt_context *out)
{
    store_row row;
    tako_err err = store_get(store_writer(st), coll, id, &row);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && store_row_is_notice(&row)))
        return TAKO_OK;
    TAKO_TRY(err);
    return crdt_meta_context(&s->arena, row.meta, out);
}

/* Names are asked for in the order in which they come, so the context is what
 * is left of applying the delta to nothing. */
static tako_err context_of_delta(sync_session *s, sync_lane lane,
                                 const sync_record *r, crdt_context *out,
                                 tako_errbuf *e)
{
    sync_delta_in d = {
        &s->names_in[lane], &s->arena, r->ref, { NULL, 0, 0 }, false
    };
    tako_reader in = tako_reader_of(r->body);
    crdt_delta_result result;
    crdt_names_in names;
    crdt_doc *nothing;
    tako_err err;

    TAKO_TRY(crdt_doc_new(&s->arena, &nothing));
    sync_delta_names(&d, &names);
    err = crdt_delta_apply(nothing, &in, s->peer_sum_key, &names, &result, NULL,
                           e);
    *out = d.seen;
    return d.nomem ? TAKO_NOMEM : err;
}

tako_err sync_judge_right(sync_session *s, store *st, uint32_t coll,
                          sync_lane lane, const sync_record *r, sync_right *out,
                          tako_errbuf *e)
{
    crdt_context theirs = { NULL, 0, 0 }, ours = { NULL, 0, 0 };

    *out = (sync_right){ .denied = false };
    if (!s->peer_bars.write)
        return TAKO_OK;
    TAKO_TRY(r->delta ? context_of_delta(s, lane, r, &theirs, e)
                      : crdt_meta_context(&s->arena, r->meta, &theirs));
    TAKO_TRY(ours_of(s, st, coll, r->id, &ours));
    for (size_t i = 0; i < theirs.count; i++) {
        crdt_dot dot = theirs.dots[i];

        if (crdt_context_has(&ours, dot))
            continue;
        if (!sync_is_peers(s, dot.actor)) {
            out->others = true;
            continue;
        }
        out->denied = true;
        out->known.actor = dot.actor;
        out->known.hlc = crdt_context_get(&ours, dot.actor);
    }
    if (!out->denied && out->others && s->peer_bars.relay) {
        out->denied = true;
        out->known = (crdt_dot){ s->peer_actor, UINT64_MAX };
    }
    return TAKO_OK;
}

/* What came with it is not complete by the peer's word. *fresh: that is news. */
static void mistrust(sync_session *s, tako_slice coll, bool *fresh)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->regain || !tako_slice_eq(sub->collection, coll))
            continue;
        sub->regain = true;
        *fresh = true;
    }
}

tako_err sync_answer_denied(sync_session *s, tako_slice coll, tako_slice id,
                            const sync_right *right, bool *again,
                            tako_errbuf *e)
{
    tako_buf *b = &s->denials;

    tako_put_block(b, coll);
    sync_put_id(b, id);
    sync_put_dot(b, &right->known);
    s->denied++;
    if (right->others)
        mistrust(s, coll, again);
    return b->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

void sync_denied_drop(sync_session *s)
{
    tako_buf_reset(&s->denials);
    s->denied = 0;
}

void sync_denied_send(sync_session *s)
{
    if (s->denied > 0) {
        sync_control(s, SYNC_MSG_DENIED, tako_buf_slice(&s->denials));
        s->host->event(s->host->ctx, SYNC_EVENT_DENIED, s->denied,
                       "the peer may not write");
    }
    tako_buf_fini(&s->denials);
    s->denied = 0;
}

/* ---- letting go ---------------------------------------------------------------- */

typedef struct letting {
    sync_session *s;
    store *st;
    tako_reader *in;
    uint32_t count;
    tako_slice back; /* the collection that was taken back last */
    tako_errbuf *e;
} letting;

/* V says too much of the collection now: it is empty, and what it said is where
 * it is to come to again. The peer's next cut may be here before on_commit. */
static tako_err take_back(letting *l, tako_slice coll)
{
    sync_session *s = l->s;
    sync_holds *h;

    if (tako_slice_eq(coll, l->back))
        return TAKO_OK;
    l->back = coll;
    TAKO_TRY(sync_holds_read(s, store_writer(l->st), coll, &h));
    for (sync_hold *o = h->first; o != NULL; o = o->next) {
        tako_buf target = tako_buf_on(s->env);
        store_held row = { .text = o->text, .why = SYNC_CATCHING_UP };
        tako_err err;

        sync_vector_put(&target, &h->upper);
        row.target = tako_buf_slice(&target);
        err = target.failed ? TAKO_NOMEM : store_held_put(l->st, coll, &row);
        tako_buf_fini(&target);
        TAKO_TRY(err);
    }
    return TAKO_OK;
}

static tako_err let_go(letting *l, tako_slice name, tako_slice id,
                       crdt_dot known)
{
    store_denial denial;
    uint32_t coll;
    tako_err err = store_coll_find(store_writer(l->st), name, &coll);

    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    TAKO_TRY(err);
    TAKO_TRY(store_deny(l->st, coll, id, known, &denial, l->e));
    l->count += denial.removed;
    return denial.others ? take_back(l, name) : TAKO_OK;
}

static tako_err take_denials(letting *l)
{
    while (tako_reader_left(l->in) > 0) {
        tako_slice name = tako_read_block(l->in);
        tako_slice id = sync_get_id(l->in, &l->s->arena);
        tako_slice actor = tako_read_bytes(l->in, 16);
        crdt_dot known = { .hlc = tako_read_varint(l->in) };
        tako_err err;

        if (l->in->failed || id.len == 0)
            return tako_fail(l->e, TAKO_CORRUPT, "malformed DENIED");
        memcpy(known.actor.id, actor.ptr, 16);
        if (!l->s->bars.write)
            continue;
        err = let_go(l, name, id, known);
        if (err != TAKO_OK)
            return tako_fail(l->e, err, "letting a refused document go failed");
    }
    return TAKO_OK;
}

tako_err sync_on_denied(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    letting l = { .s = s, .in = in, .e = e };
    size_t known = s->known_count;

    TAKO_TRY(sync_write_begin(s, &l.st, e));
    TAKO_TRY(sync_write_end(s, l.st, known, take_denials(&l), e));
    if (!s->bars.write)
        s->host->event(s->host->ctx, SYNC_EVENT_DENIED, 0,
                       "the peer refuses what this device may write");
    else if (l.count > 0)
        s->host->event(s->host->ctx, SYNC_EVENT_DENIED, l.count,
                       "this device may not write: what it changed is in "
                       "quarantine");
    for (size_t i = 0; l.back.len > 0 && i < s->sub_count; i++)
        s->host->event(s->host->ctx, SYNC_EVENT_HELD, s->subs[i].user,
                       "catching up");
    return TAKO_OK;
}

/* ---- asking anew ----------------------------------------------------------------- */

static bool had_others(sync_session *s, const store_change *c, bool *out)
{
    crdt_context context = { NULL, 0, 0 };

    *out = false;
    if (crdt_meta_context(&s->arena, c->meta_before, &context) != TAKO_OK)
        return false;
    for (size_t i = 0; i < context.count; i++)
        *out = *out || crdt_actor_cmp(context.dots[i].actor, s->actor) != 0;
    return true;
}

void sync_denied_changed(sync_session *s, const store_change *c)
{
    store_row row;
    bool others, fresh = false;

    if (!s->bars.write || c->alive || c->lsn_before == 0 ||
        store_get_row(s->reader, c->coll, c->row, &row) != TAKO_OK ||
        !store_row_is_denied(&row))
        return;
    if (!had_others(s, c, &others) || others)
        mistrust(s, store_coll_name(s->reader, c->coll), &fresh);
}

bool sync_regain_due(const sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].regain && s->subs[i].state == SUB_IN_SYNC &&
            s->subs[i].regains < TAKO_SYNC_REGAINS_MAX)
            return true;
    return false;
}

void sync_regain_step(sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (!sub->regain || sub->state != SUB_IN_SYNC ||
            sub->regains >= TAKO_SYNC_REGAINS_MAX)
            continue;
        sub->regains += s->peer_bars.write; /* our own denials come to an end */
        sub->regain = false;
        sync_sub_again(s, sub);
    }
}
