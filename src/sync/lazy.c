// SPDX-License-Identifier: Apache-2.0
/* LAZY -- who pushes what, and how a mesh prunes itself to a tree (P11).
 *
 * A subscriber tells each server how it wants its changes (MODE):
 *
 *   EAGER   all of them, at once. So every link begins.
 *   OWN     only what the server's own app writes, and what merges make here
 *           of the subscriber's documents: the server does not cover the
 *           subscription, and another link does. Until the server, which takes
 *           all from here, is whole: then it covers again.
 *   PRUNED  none: the server covers it, and so does another link that is
 *           faster. After Leitao, Pereira, Rodrigues 2007, "Epidemic broadcast
 *           trees": a cut that brought nothing new prunes its link, both ways.
 *
 * SUMMARIES. What each side has itself (SUMMARY: up to which events, by
 * subscription) is told where not everything is pushed, when things are quiet,
 * at most once a second, with jitter. Who sees the other have more, and still
 * so after SYNC_DIFFERS_MS, in which the eager way had its chance, asks for a
 * catch-up over that link and makes it eager again (a graft). So two prunes
 * that cross and cut the tree cost a second, and no change. Summaries compare
 * events, in has_more(), and, where those are equal, documents (agree.c).
 *
 * A server that is asked for more than it pushed so far says with its next
 * cut: from here on (RESTART). What it did not push then is asked for.
 *
 * ACKNOWLEDGED over a link that is not eager is what the peer's summaries say
 * it has. A link that was not, and is again, has GAPS until it was asked anew:
 * its closes say nothing of what was not pushed. */
#include "sync/state.h"

#define SUMMARY_QUIET_MS   200u
#define SUMMARY_EVERY_MS   1000u
#define SUMMARY_JITTER_MS  200u
#define SYNC_DIFFERS_MS    300u
#define GRAFT_AGAIN_MS     2000u /* at first; twice as long each time */
#define GRAFT_AGAIN_MAX_MS 60000u
#define PRUNE_AFTER        2u /* cuts in a row that brought nothing */

/* ---- modes: the subscriber --------------------------------------------------- */

static void put_mode(sync_session *s, sync_sub *sub, sync_mode mode)
{
    tako_buf *b = &s->scratch;

    if (mode != SYNC_EAGER) {
        sub->held = sync_held_of(s, sub);
        sub->gaps = true;
    }
    sub->mode = mode;
    sub->useless = 0;
    sub->agreed.known = false;
    tako_buf_reset(b);
    tako_put_varint(b, sub->number);
    tako_put_u8(b, (uint8_t)mode);
    sync_control(s, SYNC_MSG_MODE, tako_buf_slice(b));
    s->host->event(s->host->ctx, SYNC_EVENT_HELD, 0, "");
}

static bool is_covered(const sync_sub *sub)
{
    return sub->claim == SYNC_CLAIM_ALL;
}

bool sync_session_covers(const sync_session *s, uint32_t number)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        const sync_sub *sub = &s->subs[i];

        if (sub->user == number)
            return sub->state == SUB_IN_SYNC && sub->mode == SYNC_EAGER &&
                   is_covered(sub);
    }
    return false;
}

static bool other_covers(const sync_session *s, const sync_sub *sub)
{
    return s->host->covered(s->host->ctx, sub->user);
}

/* Is the server, which takes all from here, whole again in the same? Then it
 * covers, and an edge of the tree goes both ways. Once for each summary that
 * says so: it may be not so any more. */
static bool is_back(sync_session *s, const sync_sub *sub)
{
    bool back = false;

    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];

        if (!w->back || w->mode != SYNC_EAGER || w->state != WANT_LIVE ||
            !tako_slice_eq(tako_slice_of(w->text, w->text_len),
                           tako_slice_of(sub->text, sub->text_len)))
            continue;
        w->back = false;
        back = true;
    }
    return back;
}

/* A server that does not cover gives only its own where another covers. */
static void choose_mode(sync_session *s, sync_sub *sub)
{
    bool other;

    if (sub->state != SUB_IN_SYNC || sub->claim == SYNC_CLAIM_NONE)
        return;
    other = other_covers(s, sub);
    if (sub->mode == SYNC_EAGER && !is_covered(sub) && other &&
        sub->graft_ms == 0)
        put_mode(s, sub, SYNC_OWN);
    else if (sub->mode == SYNC_OWN && other && is_back(s, sub)) {
        put_mode(s, sub, SYNC_EAGER);
        sub->claim = SYNC_CLAIM_NONE; /* it will say */
    } else if (sub->mode != SYNC_EAGER && !other) {
        put_mode(s, sub, SYNC_EAGER);
    }
}

static void choose_modes(sync_session *s)
{
    s->modes_due = false;
    for (size_t i = 0; i < s->sub_count; i++)
        choose_mode(s, &s->subs[i]);
}

/* ---- modes: the server ---------------------------------------------------------- */

static sync_sub *same_sub(sync_session *s, const sync_want *w)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(tako_slice_of(s->subs[i].text, s->subs[i].text_len),
                          tako_slice_of(w->text, w->text_len)) &&
            s->subs[i].state == SUB_IN_SYNC)
            return &s->subs[i];
    return NULL;
}

static bool all_pruned(const sync_session *s)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].mode != SYNC_PRUNED)
            return false;
    return true;
}

tako_err sync_on_mode(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint8_t mode = tako_read_u8(in);
    sync_sub *own;

    if (!tako_reader_done(in) || mode >= SYNC_MODES)
        return tako_fail(e, TAKO_CORRUPT, "malformed MODE");
    if (w == NULL || mode == (uint8_t)w->mode)
        return TAKO_OK;
    /* More than before: until that was told, whatever it asks for then. */
    w->restart = w->restart || mode < (uint8_t)w->mode;
    w->mode = (sync_mode)mode;
    w->gaps = w->gaps || mode != SYNC_EAGER;
    w->agreed.known = false;
    s->close_due = s->close_due || w->restart;
    s->summary_due = true;
    own = same_sub(s, w);
    if (all_pruned(s))
        sync_dirty_clear(&s->dirty);
    if (own == NULL)
        return TAKO_OK;
    /* An edge of the tree goes both ways. */
    if (mode == SYNC_PRUNED && own->mode == SYNC_EAGER && is_covered(own) &&
        other_covers(s, own))
        put_mode(s, own, SYNC_PRUNED);
    else if (mode == SYNC_EAGER && own->mode == SYNC_PRUNED)
        put_mode(s, own, SYNC_EAGER);
    return TAKO_OK;
}

/* ---- pruning ----------------------------------------------------------------------- */

void sync_useless(sync_session *s, bool useless)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->state != SUB_IN_SYNC || sub->mode != SYNC_EAGER ||
            !is_covered(sub))
            continue;
        sub->useless = useless ? sub->useless + 1 : 0;
        if (useless && sub->useless >= PRUNE_AFTER && other_covers(s, sub))
            put_mode(s, sub, SYNC_PRUNED);
    }
}

/* ---- summaries ---------------------------------------------------------------------- */

/* What the server's app wrote is not all there: it asks what is here. */
static bool is_gone_there(const sync_sub *sub)
{
    return sub->claim == SYNC_CLAIM_GONE;
}

bool sync_is_lazy(const sync_session *s)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (sync_want_is_lazy(&s->wants[i]))
            return true;
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].mode != SYNC_EAGER || is_gone_there(&s->subs[i]))
            return true;
    return false;
}

void sync_summary_now(sync_session *s)
{
    s->summary_due = true;
    s->summary_ms = 1;
}

/* What a subscription of ours has; nothing where that was told. */
static tako_err put_summary(sync_session *s, sync_sub *sub)
{
    tako_slice text = tako_slice_of(sub->text, sub->text_len);
    tako_buf *b = &s->scratch;
    crdt_context has;
    sync_holds *h;
    sync_hold *o;
    bool whole;
    size_t before;

    TAKO_TRY(sync_holds_read(s, s->reader, sub->collection, &h));
    o = sync_hold_find(h, text);
    TAKO_TRY(sync_hold_has(s, h, o, &has));
    whole = crdt_context_covers(&has, &h->upper);
    tako_buf_reset(b);
    tako_put_varint(b, sub->number);
    tako_put_u8(b, whole);
    before = b->len;
    for (size_t i = 0; i < has.count; i++) {
        crdt_dot dot = has.dots[i];

        if (crdt_context_has(&sub->said, dot))
            continue;
        sync_put_dot(b, &dot);
        TAKO_TRY(sync_vector_raise(s->env, &sub->said, dot));
    }
    if (b->len == before && whole == sub->said_whole)
        return TAKO_OK;
    sub->said_whole = whole;
    sync_control(s, SYNC_MSG_SUMMARY, tako_buf_slice(b));
    return TAKO_OK;
}

static tako_err put_summaries(sync_session *s, uint64_t now_ms, tako_errbuf *e)
{
    uint64_t dice, lsn;
    bool built;
    tako_err err = sync_agree_build(s, &built, e);

    if (err != TAKO_OK || !built)
        return err;
    err = store_snapshot_begin(s->reader, &lsn, e);
    if (err != TAKO_OK)
        return err;
    for (size_t i = 0; i < s->sub_count && err == TAKO_OK; i++)
        if (s->subs[i].state == SUB_IN_SYNC || is_gone_there(&s->subs[i]))
            err = put_summary(s, &s->subs[i]);
    if (err == TAKO_OK)
        err = sync_agree_put(s, lsn);
    store_snapshot_end(s->reader);
    tako_arena_reset(&s->arena);
    s->env->random(s->env->ctx, &dice, sizeof dice);
    s->summary_due = false;
    s->summary_ms = 0;
    s->summary_after_ms = now_ms + SUMMARY_EVERY_MS + dice % SUMMARY_JITTER_MS;
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading what is complete failed");
}

tako_err sync_on_summary(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint8_t whole = tako_read_u8(in);

    if (in->failed || whole > 1)
        return tako_fail(e, TAKO_CORRUPT, "malformed SUMMARY");
    TAKO_TRY(sync_read_dots(s, in, w == NULL ? NULL : &w->has, e));
    if (w != NULL) {
        w->back = whole != 0;
        w->has_whole = whole != 0;
        s->modes_due = s->modes_due || w->back;
        if (w->claim == SYNC_CLAIM_GONE)
            sync_claims_now(s);
    }
    s->compare_due = true;
    return TAKO_OK;
}

/* ---- comparing ------------------------------------------------------------------------ */

/* Does the peer have what this subscription lacks, and the peer did not give? */
static tako_err has_more(sync_session *s, const sync_sub *sub,
                         const sync_holds *h, bool *more)
{
    tako_slice text = tako_slice_of(sub->text, sub->text_len);
    crdt_context have = { NULL, 0, 0 }, theirs = { NULL, 0, 0 };
    const sync_hold *o = sync_hold_find(h, text);

    TAKO_TRY(sync_hold_has(s, h, o, &have));
    TAKO_TRY(crdt_context_join(&s->arena, &have, &sub->given));
    for (size_t i = 0; i < s->want_count; i++)
        if (tako_slice_eq(s->wants[i].collection, sub->collection))
            TAKO_TRY(crdt_context_join(&s->arena, &theirs, &s->wants[i].has));
    *more = !crdt_context_covers(&have, &theirs);
    return TAKO_OK;
}

/* Not all of its feed came over this link: the sets tell what is missing. */
static void forget_place(sync_sub *sub)
{
    sub->peer_lsn = 0;
    sub->stored = (store_checkpoint_at){ .lsn = 0 };
}

static void graft(sync_session *s, sync_sub *sub, uint64_t now_ms)
{
    sub->differs_ms = 0;
    sub->graft_wait_ms =
        sub->graft_wait_ms == 0 ? GRAFT_AGAIN_MS : sub->graft_wait_ms * 2u;
    if (sub->graft_wait_ms > GRAFT_AGAIN_MAX_MS)
        sub->graft_wait_ms = GRAFT_AGAIN_MAX_MS;
    sub->graft_ms = now_ms + sub->graft_wait_ms;
    s->counts.grafts++;
    forget_place(sub);
    put_mode(s, sub, SYNC_EAGER);
    sync_sub_again(s, sub);
}

/* A server that pushes again is asked what it did not push. */
static void push_again(sync_session *s, sync_sub *sub)
{
    s->retry = true;
    forget_place(sub);
    sync_sub_again(s, sub);
}

static tako_err compare_one(sync_session *s, sync_sub *sub, uint64_t lsn,
                            uint64_t now_ms)
{
    sync_agreeing agrees;
    sync_holds *h;
    bool more;

    if (sub->verify) {
        push_again(s, sub);
        return TAKO_OK;
    }
    if (sub->state != SUB_IN_SYNC || sub->mode == SYNC_EAGER) {
        sub->differs_ms = 0;
        return TAKO_OK;
    }
    if (sync_agrees_now(s, sub, lsn) && sub->held < sub->agreed.lsn)
        sub->held = sub->agreed.lsn;
    TAKO_TRY(sync_holds_read(s, s->reader, sub->collection, &h));
    TAKO_TRY(has_more(s, sub, h, &more));
    agrees = sync_agrees(s, sub, h, lsn);
    if (!more && agrees != SYNC_DIFFERS) {
        sub->differs_ms = 0;
        if (agrees == SYNC_AGREES)
            sub->graft_wait_ms = 0;
        if (sub->mode == SYNC_PRUNED && agrees == SYNC_AGREES)
            sub->complete_ms = s->env->wall_ms(s->env->ctx);
        return TAKO_OK;
    }
    if (sub->differs_ms == 0)
        sub->differs_ms = now_ms + SYNC_DIFFERS_MS;
    if (now_ms >= sub->differs_ms && now_ms >= sub->graft_ms)
        graft(s, sub, now_ms);
    return TAKO_OK;
}

static tako_err acked_all(sync_session *s, bool *all)
{
    bool pushed = sync_dirty_left(&s->dirty) == 0 && s->ack_in == s->cut_lsn;
    sync_holds *h = NULL;

    *all = true;
    for (size_t i = 0; i < s->want_count && *all; i++) {
        const sync_want *w = &s->wants[i];

        *all = pushed || sync_want_is_lazy(w);
        if (!*all || !sync_want_is_lazy(w))
            continue;
        if (h == NULL || !tako_slice_eq(h->coll, w->collection))
            TAKO_TRY(sync_holds_read(s, s->reader, w->collection, &h));
        *all = w->has_whole &&
               sync_vector_covers_but(&w->has, &h->upper, s->peer_actor);
    }
    return TAKO_OK;
}

static tako_err compare(sync_session *s, uint64_t now_ms, tako_errbuf *e)
{
    bool all = false;
    uint64_t lsn;
    tako_err err = store_snapshot_begin(s->reader, &lsn, e);

    if (err != TAKO_OK)
        return err;
    s->compare_due = false;
    for (size_t i = 0; i < s->sub_count && err == TAKO_OK; i++)
        err = compare_one(s, &s->subs[i], lsn, now_ms);
    if (err == TAKO_OK)
        err = acked_all(s, &all);
    store_snapshot_end(s->reader);
    tako_arena_reset(&s->arena);
    if (err != TAKO_OK)
        return tako_fail(e, err, "comparing what is complete failed");
    if (all && lsn == s->heard) {
        s->lazy_lsn = lsn;
        sync_settle(s);
    }
    return TAKO_OK;
}

/* ---- in time ---------------------------------------------------------------------------- */

static uint64_t compare_ms(const sync_session *s)
{
    uint64_t at = s->compare_due ? 0 : UINT64_MAX;

    for (size_t i = 0; i < s->sub_count; i++) {
        uint64_t due = s->subs[i].differs_ms;

        if (s->subs[i].verify)
            return 0;
        if (due != 0 && due < s->subs[i].graft_ms)
            due = s->subs[i].graft_ms;
        if (due != 0 && due < at)
            at = due;
    }
    return at;
}

tako_err sync_lazy_step(sync_session *s, uint64_t now_ms, tako_errbuf *e)
{
    if (!s->cleared)
        return TAKO_OK;
    if (s->modes_due)
        choose_modes(s);
    sync_regain_step(s);
    if (compare_ms(s) <= now_ms)
        TAKO_TRY(compare(s, now_ms, e));
    if (!s->summary_due || !sync_is_lazy(s))
        return TAKO_OK;
    if (s->summary_ms == 0) {
        s->summary_ms = now_ms + SUMMARY_QUIET_MS;
        if (s->summary_ms < s->summary_after_ms)
            s->summary_ms = s->summary_after_ms;
    }
    return now_ms >= s->summary_ms ? put_summaries(s, now_ms, e) : TAKO_OK;
}

uint64_t sync_lazy_deadline(const sync_session *s)
{
    uint64_t at = compare_ms(s);

    if (!s->cleared)
        return UINT64_MAX;
    if (s->modes_due || sync_regain_due(s))
        return 0;
    if (s->summary_due && sync_is_lazy(s) && s->summary_ms < at)
        at = s->summary_ms;
    return at;
}
