// SPDX-License-Identifier: Apache-2.0
/* INTERESTS -- the two lists of a session: what we ask the peer for (subs), and
 * what it asks us for (wants); how they come, are replaced, and go.
 *
 * A number names one subscription for the whole session (S1): who asks anew
 * takes a new one, and says which it replaces. */
#include "sync/state.h"

void sync_want_free(sync_session *s, sync_want *w)
{
    sync_want_rest(s, w);
    sync_table_let_go(w->table, s->now_ms);
    sync_vector_fini(s->env, &w->bounded);
    sync_vector_fini(s->env, &w->told);
    sync_vector_fini(s->env, &w->has);
    if (w->predicate != NULL)
        s->host->predicate_close(s->host->ctx, w->predicate);
    tako_env_free(s->env, w->text, w->text_len);
}

void sync_sub_free(sync_session *s, sync_sub *sub)
{
    sync_sub_rest(s, sub);
    sync_table_let_go(sub->table, s->now_ms);
    sync_vector_fini(s->env, &sub->theirs);
    sync_vector_fini(s->env, &sub->given);
    sync_vector_fini(s->env, &sub->passed);
    sync_vector_fini(s->env, &sub->said);
    sync_vector_fini(s->env, &sub->lacks);
    if (sub->predicate != NULL)
        s->host->predicate_close(s->host->ctx, sub->predicate);
    tako_env_free(s->env, sub->text, sub->text_len);
}

/* ---- our own subscriptions -------------------------------------------------------- */

static uint8_t *copy_of(sync_session *s, tako_slice text)
{
    uint8_t *copy = tako_env_alloc(s->env, text.len);

    if (copy != NULL)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

tako_err sync_session_subscribe(sync_session *s, uint32_t number,
                                tako_slice text, tako_errbuf *e)
{
    sync_sub sub = { .user = number };
    void *items = s->subs;
    uint32_t index;
    tako_err err;

    TAKO_ARG(text.len > 0);
    if (s->sub_count >= TAKO_SUBSCRIPTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u subscriptions",
                         TAKO_SUBSCRIPTIONS_MAX);
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].user == number)
            return tako_fail(e, TAKO_EXISTS, "subscribed already");
    if (!sync_grow(s->env, &items, &s->sub_cap, s->sub_count, sizeof *s->subs))
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    s->subs = items;
    err = s->host->predicate_open(s->host->ctx, text, &sub.predicate,
                                  &sub.collection, e);
    if (err != TAKO_OK)
        return err;
    err = sync_coll_name(s, sub.collection, &index);
    sub.text = err == TAKO_OK ? copy_of(s, text) : NULL;
    if (sub.text == NULL) {
        s->host->predicate_close(s->host->ctx, sub.predicate);
        return tako_fail(e, err == TAKO_OK ? TAKO_NOMEM : err,
                         "no room for a subscription");
    }
    sub.text_len = text.len;
    sub.number = s->next_number++;
    s->subs[s->sub_count++] = sub;
    return TAKO_OK;
}

tako_err sync_session_unsubscribe(sync_session *s, uint32_t number)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];
        uint32_t told;

        if (sub->user != number)
            continue;
        told = sub->number;
        if (sub->state == SUB_NEW && sub->replaces != 0)
            told = sub->replaces - 1u;
        sync_unjoin(s, sub->number);
        sync_retire(s, sub);
        tako_buf_reset(&s->scratch);
        tako_put_varint(&s->scratch, told);
        sync_control(s, SYNC_MSG_DROP, tako_buf_slice(&s->scratch));
        sync_sub_free(s, sub);
        *sub = s->subs[--s->sub_count];
        return TAKO_OK;
    }
    return TAKO_NOTFOUND;
}

/* Interests with a promised number, come or dropped, count once. */
static void count_interest(sync_session *s, uint64_t number)
{
    if (number < s->peer_interests && s->interests_seen < s->peer_interests)
        s->interests_seen++;
}

static void want_remove(sync_session *s, uint64_t number)
{
    sync_want *w = sync_want_find(s, number);

    if (w == NULL)
        return;
    sync_offer_decline(s, w);
    sync_want_free(s, w);
    *w = s->wants[--s->want_count];
    s->want_turn = 0;
    sync_pushes_over(s, (uint32_t)number, true);
}

static tako_err want_add(sync_session *s, sync_want *w, tako_slice text,
                         tako_errbuf *e)
{
    void *items = s->wants;
    tako_err err;

    if (s->want_count >= TAKO_SUBSCRIPTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u subscriptions",
                         TAKO_SUBSCRIPTIONS_MAX);
    if (!sync_grow(s->env, &items, &s->want_cap, s->want_count,
                   sizeof *s->wants))
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    s->wants = items;
    w->text = copy_of(s, text);
    if (w->text == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    w->text_len = text.len;
    err = s->host->predicate_open(s->host->ctx, text, &w->predicate,
                                  &w->collection, e);
    if (err != TAKO_OK) {
        tako_env_free(s->env, w->text, w->text_len);
        return err;
    }
    s->wants[s->want_count++] = *w;
    return TAKO_OK;
}

tako_err sync_on_interest(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    uint64_t replaces = tako_read_varint(in);
    tako_slice text = tako_read_block(in);
    sync_want w = { .number = (uint32_t)number, .claim = SYNC_CLAIM_UNTOLD };
    tako_errbuf why = { "" };
    tako_err err;

    if (!in->failed)
        TAKO_TRY(sync_get_question(in, &w.question, e));
    if (in->failed || number > UINT32_MAX || text.len == 0 ||
        text.len > TAKO_STATEMENT_BYTES_MAX || sync_want_find(s, number))
        return tako_fail(e, TAKO_CORRUPT, "malformed INTEREST");
    if (replaces > 0) {
        const sync_want *before = sync_want_find(s, replaces - 1u);

        w.met = before != NULL && before->met;
        want_remove(s, replaces - 1u);
    } else
        count_interest(s, number);
    err = s->peer_bars.read
              ? tako_fail(&why, TAKO_INVALID, "this device may not read")
              : want_add(s, &w, text, &why);
    if (err == TAKO_OK)
        return TAKO_OK;
    if (err != TAKO_INVALID && err != TAKO_UNSUPPORTED)
        return tako_fail(e, err, "%s", why.text);
    tako_buf_reset(&s->scratch);
    tako_put_varint(&s->scratch, number);
    tako_put_block(
        &s->scratch,
        tako_slice_of(why.text, strnlen(why.text, TAKO_SYNC_REASON_BYTES_MAX)));
    sync_control(s, SYNC_MSG_REFUSED, tako_buf_slice(&s->scratch));
    return TAKO_OK;
}

tako_err sync_on_drop(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed DROP");
    if (sync_want_find(s, number) == NULL)
        count_interest(s, number);
    else
        sync_kept_gone(s, sync_want_find(s, number));
    want_remove(s, number);
    sync_settle(s);
    return TAKO_OK;
}

/* A text of the peer's, for people: cut, printable. */
const char *sync_reason(tako_slice text, char out[])
{
    size_t n = text.len < TAKO_SYNC_REASON_BYTES_MAX
                   ? text.len
                   : TAKO_SYNC_REASON_BYTES_MAX;

    for (size_t i = 0; i < n; i++)
        out[i] =
            text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? (char)text.ptr[i] : '?';
    out[n] = '\0';
    return out;
}

tako_err sync_on_refused(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    tako_slice text = tako_read_block(in);
    char reason[TAKO_SYNC_REASON_BYTES_MAX + 1];

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed REFUSED");
    if (sub == NULL)
        return TAKO_OK;
    sync_sub_rest(s, sub);
    sub->state = SUB_REFUSED;
    s->host->event(s->host->ctx, SYNC_EVENT_REFUSED, sub->user,
                   sync_reason(text, reason));
    return TAKO_OK;
}

tako_err sync_on_served(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed SERVED");
    if (w == NULL || w->state == WANT_AGAIN)
        return TAKO_OK;
    if (w->state != WANT_SENT && !w->offered)
        return tako_fail(e, TAKO_CORRUPT, "SERVED out of turn");
    sync_want_rest(s, w);
    w->state = WANT_LIVE;
    w->met = true;
    sync_past_seen(s);
    w->offered = w->offer_due = false;
    sync_pushes_over(s, w->number, false);
    sync_bulk_rest(s);
    s->host->event(s->host->ctx, SYNC_EVENT_SERVED, w->number, "");
    sync_settle(s);
    return sync_offer_yard(s, w->collection, e);
}

void sync_sub_again(sync_session *s, sync_sub *sub)
{
    (void)sync_sub_reached(s, sub, &sub->stored);
    sync_inbox_outdate(s, sub);
    sync_sub_rest(s, sub);
    sync_unjoin(s, sub->number);
    sync_retire(s, sub);
    sub->replaces = sub->number + 1u;
    sub->number = s->next_number++;
    sub->state = SUB_NEW;
    sub->claim = SYNC_CLAIM_NONE;
    sub->big = sub->placed = false;
    sub->given.count = sub->said.count = 0; /* `theirs` bounds what is held */
    sub->passed.count = 0;
    sub->said_whole = sub->verify = sub->agreed.known = false;
    sub->offer = OFFER_NONE;
    sub->early = false;
    sub->pushed_to = 0;
    sub->mode = SYNC_EAGER; /* as the server takes a new question */
    sub->gaps = false;
    sub->kept_said = 0; /* under the new number */
    sub->useless = 0;
    s->counts.resyncs++;
}

/* The peer lost track of its changes: asks us to ask anew. What was held
 * comes again with the answer. */
tako_err sync_on_resync(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed RESYNC");
    sync_inbox_drop(s);
    s->cut_open = false;
    if (s->close_in > s->ack_out)
        s->ack_due = s->close_in;
    if (sub == NULL)
        return TAKO_OK;
    if (sub->state == SUB_NEW)
        return tako_fail(e, TAKO_CORRUPT, "RESYNC of what was not asked");
    sync_sub_again(s, sub);
    return TAKO_OK;
}
