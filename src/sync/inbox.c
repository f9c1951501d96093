// SPDX-License-Identifier: Apache-2.0
/* INBOX -- what arrived and waits until it is whole.
 *
 * STAGED are the states of catch-ups: each message is another snapshot of the
 * server, so they are whole only with the cut that the server sends when the
 * catch-up ends (CAUGHT_UP), which has all that changed since. One longer than
 * TAKO_SYNC_CUT_BYTES_MAX, as first downloads are, is applied as it comes, and
 * the subscription is `catching up` (cover.c); with the documents it is stored
 * up to where a first download came. What the feed brought is applied before the
 * sets are compared, likewise. Deltas that are refused then are asked for, and
 * the cut that closes the catch-up is not applied before the answers.
 *
 * HELD are cuts that cannot be applied yet, in order:
 *   of several messages, until the one that closes it is here;
 *   that close a catch-up whose CAUGHT_UP is on its way on another lane;
 *   with a delta whose base we do not have: applying the rest would show half
 *     of a transaction. The peer is asked for what was refused (NEEDS), by
 *     fields (fields.c) or whole, and all is applied when the answers are here,
 *     in later cuts. An answer by fields that is refused is asked for whole,
 *     and whole states are never refused, so this ends;
 *   that depend on what another link is to bring (cover.c): tried again after
 *     every commit, and taken as they are after SYNC_WAIT_MS.
 * What waits for a subscription that is asked anew is dropped: what is so still,
 * comes with the answer; and what the server changed since and did not push, since
 * not all is pushed, does not.
 * Staged and held are applied together, in one transaction, with what comes.
 * Both are bounded: by TAKO_SYNC_CUT_BYTES_MAX, TAKO_SYNC_HELD_BYTES_MAX. */
#include "sync/state.h"

/* ---- keeping ------------------------------------------------------------------ */

static void list_clear(sync_list *list)
{
    *list = (sync_list){ .tail = &list->first, .lane = SYNC_LIVE };
}

static void needs_drop(sync_session *s)
{
    tako_arena_reset(&s->need_arena);
    s->needs = NULL;
}

static void held_drop(sync_session *s)
{
    tako_arena_reset(&s->held_arena);
    list_clear(&s->held);
    s->held_bytes = 0;
    s->wait_ms = 0;
    s->impatient = false;
}

static void staged_drop(sync_session *s)
{
    tako_arena_fini(&s->stage_arena);
    s->stage_arena = tako_arena_on(s->env);
    list_clear(&s->staged);
    s->staged.lane = SYNC_CATCHUP;
    s->staged_bytes = 0;
}

void sync_inbox_drop(sync_session *s)
{
    held_drop(s);
    staged_drop(s);
    needs_drop(s);
}

/* Is it there only for this subscription? */
static bool is_only_for(sync_session *s, const sync_sub *sub,
                        const sync_held *h)
{
    const sync_coll *c = &s->colls[h->name];
    tako_slice name = tako_slice_of(c->name, c->len);
    bool mine = false;

    if (h->record.delta || h->record.body.len == 0)
        return false;
    for (size_t i = 0; i < s->sub_count; i++) {
        if (!tako_slice_eq(s->subs[i].collection, name) ||
            !s->host->predicate_match(s->host->ctx, s->subs[i].predicate,
                                      h->record.id, h->record.body))
            continue;
        if (&s->subs[i] != sub)
            return false;
        mine = true;
    }
    return mine;
}

static void outdate(sync_session *s, const sync_sub *sub, sync_list *list)
{
    sync_held **at = &list->first;

    while (*at != NULL) {
        if (is_only_for(s, sub, *at)) {
            *at = (*at)->next;
            list->count--;
        } else {
            at = &(*at)->next;
        }
    }
    list->tail = at;
}

void sync_inbox_outdate(sync_session *s, const sync_sub *sub)
{
    outdate(s, sub, &s->staged);
    outdate(s, sub, &s->held);
}

/* Copies records to the end of a list. */
static tako_err keep(sync_list *to, tako_arena *a, const sync_list *list,
                     size_t *bytes, tako_errbuf *e)
{
    for (const sync_held *h = list->first; h != NULL; h = h->next) {
        sync_held *copy = TAKO_NEW(a, sync_held);

        if (copy == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        *copy = *h;
        copy->next = NULL;
        copy->record.id = tako_arena_copy(a, h->record.id);
        copy->record.meta = tako_arena_copy(a, h->record.meta);
        copy->record.body = tako_arena_copy(a, h->record.body);
        if ((h->record.id.len > 0 && copy->record.id.ptr == NULL) ||
            (h->record.meta.len > 0 && copy->record.meta.ptr == NULL) ||
            (h->record.body.len > 0 && copy->record.body.ptr == NULL))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        *bytes += sizeof *copy + h->record.id.len + h->record.meta.len +
                  h->record.body.len;
        *to->tail = copy;
        to->tail = &copy->next;
        to->count++;
    }
    return TAKO_OK;
}

static tako_err hold(sync_session *s, const sync_list *list, tako_errbuf *e)
{
    TAKO_TRY(keep(&s->held, &s->held_arena, list, &s->held_bytes, e));
    return s->held_bytes <= TAKO_SYNC_HELD_BYTES_MAX
               ? TAKO_OK
               : tako_fail(e, TAKO_LIMIT, "cuts of %u bytes wait for an answer",
                           TAKO_SYNC_HELD_BYTES_MAX);
}

/* ---- asking for what was refused ------------------------------------------------- */

/* Puts a document on the list of needs. *fresh: it was not there; *asked: it
 * is, unanswered. */
static sync_need *need_note(sync_session *s, const sync_need *refused,
                            bool *fresh, bool *asked)
{
    sync_need *need = sync_need_find(s->needs, refused->name, refused->id);

    *fresh = need == NULL;
    *asked = need != NULL && !need->answered;
    if (need != NULL) {
        need->answered = false;
        return need;
    }
    need = TAKO_NEW(&s->need_arena, sync_need);
    if (need == NULL)
        return NULL;
    *need = (sync_need){ .next = s->needs,
                         .name = refused->name,
                         .id = tako_arena_copy(&s->need_arena, refused->id) };
    if (need->id.ptr == NULL)
        return NULL;
    s->needs = need;
    return need;
}

/* By fields the first time, where that can be. */
static tako_err put_question(sync_session *s, sync_need *need,
                             const sync_need *refused, bool fresh)
{
    const sync_coll *c = &s->colls[need->name];

    tako_put_block(&s->scratch, tako_slice_of(c->name, c->len));
    sync_put_id(&s->scratch, need->id);
    need->had = (crdt_context){ NULL, 0, 0 };
    if (fresh && s->scratch.len < TAKO_SYNC_NEEDS_BYTES_MAX)
        return sync_fields_ask(s, need, &refused->seen, &s->scratch);
    tako_put_block(&s->scratch, TAKO_SLICE_NONE);
    return TAKO_OK;
}

/* Asks for what was refused and not asked for before. */
static tako_err ask(sync_session *s, const sync_need *refused, tako_errbuf *e)
{
    tako_buf head = tako_buf_on(s->env);
    uint64_t count = 0;
    bool fresh, asked;

    tako_buf_reset(&s->scratch);
    for (; refused != NULL; refused = refused->next) {
        sync_need *need = need_note(s, refused, &fresh, &asked);
        tako_err err;

        if (need == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        if (asked)
            continue;
        err = put_question(s, need, refused, fresh);
        if (err != TAKO_OK)
            return tako_fail(e, err, "asking for a document failed");
        if (++count > TAKO_SYNC_NEEDS_MAX)
            return tako_fail(e, TAKO_LIMIT, "too many refused deltas");
    }
    if (count == 0)
        return TAKO_OK;
    s->counts.needs_out += count;
    tako_put_varint(&head, count);
    if (!head.failed && !s->scratch.failed)
        tako_buf_insert(&s->scratch, 0, tako_buf_slice(&head));
    s->scratch.failed = s->scratch.failed || head.failed;
    tako_buf_fini(&head);
    sync_control(s, SYNC_MSG_NEEDS, tako_buf_slice(&s->scratch));
    return s->scratch.failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                             : TAKO_OK;
}

/* Are all answers here, with these records? */
static bool answered(sync_session *s, const sync_list *list)
{
    bool all = true;

    for (const sync_held *h = list->first; h != NULL && s->needs != NULL;
         h = h->next) {
        sync_need *need = h->record.delta && !h->record.answer
                              ? NULL
                              : sync_need_find(s->needs, h->name, h->record.id);

        if (need != NULL && (!h->record.answer || need->had.count > 0))
            need->answered = true;
    }
    for (const sync_need *n = s->needs; n != NULL; n = n->next)
        all = all && n->answered;
    return all;
}

/* ---- applying ---------------------------------------------------------------------- */

/* A cut that closes a catch-up may overtake its CAUGHT_UP. */
static bool claims_ready(const sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        const sync_sub *sub = &s->subs[i];

        if (sub->claim != SYNC_CLAIM_NONE && sub->state != SUB_IN_SYNC &&
            sub->state != SUB_CLOSING)
            return false;
    }
    return true;
}

static tako_err in_sync(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    sub->state = SUB_IN_SYNC;
    sub->placed = false;
    tako_buf_reset(&s->scratch);
    tako_put_varint(&s->scratch, sub->number);
    sync_control(s, SYNC_MSG_SERVED, tako_buf_slice(&s->scratch));
    if (sub->documents > 0)
        TAKO_TRY(sync_sub_save(s, sub, e));
    s->host->event(s->host->ctx, SYNC_EVENT_CAUGHT_UP, sub->user, "");
    return sync_tell_yard(s, sub->collection, e);
}

/* How much of what came in cuts was new (P11). */
static void count_copies(sync_session *s)
{
    if (s->staged.first != NULL || s->taken == 0)
        return;
    s->counts.copies_in += s->taken;
    s->counts.copies_new += s->fresh;
    sync_useless(s, s->fresh == 0);
}

/* What an eager server has, as far as it said, it gave. */
static tako_err note_given(sync_session *s)
{
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < s->sub_count && err == TAKO_OK; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->mode != SYNC_EAGER || sub->verify)
            continue;
        for (size_t k = 0; k < sub->theirs.count && err == TAKO_OK; k++) {
            crdt_dot dot = sync_claimed(s, sub, sub->theirs.dots[k]);

            err = sync_vector_raise(s->env, &sub->given, dot);
        }
    }
    return err;
}

static tako_err applied(sync_session *s, tako_errbuf *e)
{
    count_copies(s);
    sync_inbox_drop(s);
    if (note_given(s) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    sync_past_heard(s);
    s->applied = s->close_in;
    if (s->close_in > s->ack_out)
        s->ack_due = s->close_in;
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].state == SUB_CLOSING)
            TAKO_TRY(in_sync(s, &s->subs[i], e));
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->state == SUB_IN_SYNC && sub->claim == SYNC_CLAIM_ALL &&
            !sub->verify && !sub->doubts && !sub->regain &&
            !(s->unheard && s->bars.write))
            sub->complete_ms = s->env->wall_ms(s->env->ctx);
    }
    if (s->covers_changed)
        s->host->event(s->host->ctx, SYNC_EVENT_HELD, 0, "");
    s->covers_changed = false;
    return TAKO_OK;
}

/* Takes as it is what is too much to wait for. */
static tako_err flush(sync_session *s, tako_errbuf *e)
{
    sync_list lists[2] = { s->staged, s->held };
    sync_need *refused = NULL;
    bool wait;
    tako_err err = sync_apply(s, lists, 2, true, &refused, &wait, e);

    if (err != TAKO_OK)
        return err;
    held_drop(s);
    staged_drop(s);
    return ask(s, refused, e);
}

/* All that waits and `list`, which is not kept yet. */
static tako_err try_all(sync_session *s, const sync_list *list, tako_errbuf *e)
{
    sync_list lists[3] = { s->staged, s->held, *list };
    sync_need *refused = NULL;
    bool wait = false;
    bool ready = answered(s, list) && !s->cut_open && claims_ready(s);
    tako_err err = TAKO_OK;

    s->retry = false;
    if (ready)
        err = sync_apply(s, lists, 3, false, &refused, &wait, e);
    if (err != TAKO_OK)
        return err;
    if (ready && refused == NULL && !wait)
        return applied(s, e);
    TAKO_TRY(hold(s, list, e));
    if (wait && s->wait_ms == 0)
        s->wait_ms = s->now_ms + SYNC_WAIT_MS;
    if (s->cut_open && s->needs == NULL &&
        s->held_bytes > TAKO_SYNC_CUT_BYTES_MAX)
        return flush(s, e);
    return ask(s, refused, e);
}

/* ---- messages ------------------------------------------------------------------------ */

/* How far the message takes a first download, to be stored with it; and whether
 * the peer sends unasked, not knowing what is here. */
static tako_err read_head(sync_session *s, sync_sub *sub, tako_reader *in,
                          bool *pushed, tako_errbuf *e)
{
    uint8_t flags = tako_read_u8(in);
    store_checkpoint_at place = { .streaming = true };

    *pushed = (flags & SYNC_STATES_PUSHED) != 0;
    if ((flags & SYNC_STATES_PLACED) != 0) {
        place.lsn = tako_read_varint(in);
        place.row = (int64_t)tako_read_u64(in);
    }
    if (in->failed || flags > SYNC_STATES_PUSHED || place.lsn > INT64_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed STATES");
    if (sub == NULL)
        return TAKO_OK;
    memcpy(place.incarnation, s->peer_incarnation, sizeof place.incarnation);
    sub->placed = s->peer_len > 0 && place.lsn != 0;
    sub->place = place;
    return TAKO_OK;
}

static void names_replaced(sync_list *list)
{
    for (sync_held *h = list->first; h != NULL; h = h->next)
        h->nameless = h->record.delta;
}

tako_err sync_on_states(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    sync_list list;
    bool replaced, pushed;

    TAKO_TRY(read_head(s, sub, in, &pushed, e));
    TAKO_TRY(sync_read_records(s, &s->names_in[SYNC_CATCHUP], in, &list,
                               &replaced, e));
    if (tako_reader_left(in) > 0)
        return tako_fail(e, TAKO_CORRUPT, "claims among states");
    if (replaced)
        names_replaced(&s->staged);
    if (sub == NULL) /* the answer to an older question */
        return TAKO_OK;
    for (sync_held *h = list.first; h != NULL; h = h->next)
        h->pushed = pushed;
    sub->documents += list.count;
    if (s->staged.first == NULL)
        s->staged.cold = sub->empty;
    s->staged.cold = s->staged.cold && sub->empty;
    TAKO_TRY(keep(&s->staged, &s->stage_arena, &list, &s->staged_bytes, e));
    if (!sub->big && s->staged_bytes <= TAKO_SYNC_CUT_BYTES_MAX)
        return TAKO_OK;
    sub->big = true;
    return flush(s, e); /* with the cuts that wait: they are later */
}

tako_err sync_inbox_fed(sync_session *s, tako_errbuf *e)
{
    return s->staged.first == NULL ? TAKO_OK : flush(s, e);
}

tako_err sync_on_cut(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t close = tako_read_varint(in);
    sync_list list;
    bool replaced;

    if (in->failed || (close > 0 && close - 1u > UINT64_MAX - s->close_in))
        return tako_fail(e, TAKO_CORRUPT, "malformed CUT");
    TAKO_TRY(
        sync_read_records(s, &s->names_in[SYNC_LIVE], in, &list, &replaced, e));
    TAKO_TRY(sync_claims_get(s, in, close > 0, e));
    if (replaced && s->held.first != NULL)
        return tako_fail(e, TAKO_LIMIT,
                         "names were replaced while a cut waits for an answer");
    if (close > 0)
        s->close_in += close - 1u;
    s->cut_open = close == 0;
    s->counts.cuts_in++;
    return try_all(s, &list, e);
}

tako_err sync_caught_up(sync_session *s, sync_sub *sub, uint64_t lsn,
                        tako_errbuf *e)
{
    sync_list none;

    sync_sub_rest(s, sub);
    sync_bulk_rest(s);
    sub->state = SUB_CLOSING;
    sub->peer_lsn = lsn;
    sub->took_ms = s->now_ms - sub->since_ms;
    if (s->staged.first == NULL && s->held.first == NULL && s->needs == NULL &&
        sub->claim == SYNC_CLAIM_NONE)
        return in_sync(s, sub, e);
    if (sub->claim == SYNC_CLAIM_NONE)
        return TAKO_OK; /* the cut that makes it whole is on its way */
    list_clear(&none);
    return try_all(s, &none, e);
}

tako_err sync_on_caught_up(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    uint64_t lsn = tako_read_varint(in);

    if (in->failed) /* what follows belongs to newer versions */
        return tako_fail(e, TAKO_CORRUPT, "malformed CAUGHT_UP");
    if (sub == NULL || (sub->early && sub->state != SUB_ASKED))
        return TAKO_OK;
    if (sub->state != SUB_ASKED)
        return tako_fail(e, TAKO_CORRUPT, "CAUGHT_UP that nobody asked for");
    if (sub->offer == OFFER_TOLD) {
        sub->offer = OFFER_HELD;
        sub->offer_lsn = lsn;
        return TAKO_OK;
    }
    if (sub->offer == OFFER_DECLINED) {
        sub->offer = OFFER_NONE;
        return TAKO_OK;
    }
    return sync_caught_up(s, sub, lsn, e);
}

/* ---- later ------------------------------------------------------------------------------ */

tako_err sync_inbox_step(sync_session *s, tako_errbuf *e)
{
    sync_list none;

    s->impatient = s->wait_ms != 0 && s->now_ms >= s->wait_ms;
    if (!s->judge_due && !s->impatient && (s->wait_ms == 0 || !s->retry))
        return TAKO_OK;
    s->judge_due = false;
    list_clear(&none);
    return try_all(s, &none, e);
}

uint64_t sync_inbox_deadline(const sync_session *s)
{
    if (s->judge_due)
        return 0;
    if (s->wait_ms == 0)
        return UINT64_MAX;
    return s->retry ? 0 : s->wait_ms;
}
