// SPDX-License-Identifier: Apache-2.0
/* KEPT -- who keeps what (SYNC.md 3), as far as one session can know.
 *
 * Of each own subscription that is in sync the receiver holds all that the
 * peer had of it up to a commit: that of the last closed cut, or of the end of
 * the catch-up. Once the store is synced it says so: KEPT, one number a
 * subscription. That is said lazily, when the host has synced anyway, so the
 * acknowledgement of a change stays as small as it is.
 *
 * OVER A LINK THAT DOES NOT PUSH ALL a close says nothing. There the server
 * tells what its documents come to, and at which commit (agree.c): who has the
 * same ones, has all up to it. What was so before the link became lazy is so
 * still.
 *
 * PAST  What the peer has not taken, because it is past there, it does not keep.
 * PAST (past.c) came before the KEPT that would count it, and until that document
 * is something else here the peer's number counts only up to before it.
 *
 * A close says how far the peer is; where nothing was wanted for a while there
 * is none, and the number stands still behind commits that concern nobody, or
 * came from this very peer. So a sender that has been told KEPT before sends,
 * when asked, a cut with nothing in it. */
#include "sync/state.h"

/* What is here of a subscription, by the peer's commits. */
uint64_t sync_held_of(const sync_session *s, const sync_sub *sub)
{
    uint64_t held = sub->held;

    if (sub->state != SUB_IN_SYNC)
        return 0;
    if (sub->gaps)
        return held;
    held = sub->peer_lsn > held ? sub->peer_lsn : held;
    return s->applied > held ? s->applied : held;
}

bool sync_session_kept_due(const sync_session *s)
{
    if (s->dead || !s->cleared || s->held.first != NULL ||
        s->staged.first != NULL)
        return false;
    for (size_t i = 0; i < s->sub_count; i++)
        if (sync_held_of(s, &s->subs[i]) > s->subs[i].kept_said)
            return true;
    return false;
}

void sync_session_kept(sync_session *s, bool archive)
{
    if (!sync_session_kept_due(s))
        return;
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];
        uint64_t held = sync_held_of(s, sub);

        if (held <= sub->kept_said)
            continue;
        tako_buf_reset(&s->scratch);
        tako_put_varint(&s->scratch, sub->number);
        tako_put_varint(&s->scratch, held);
        tako_put_u8(&s->scratch, archive ? SYNC_KEPT_ARCHIVE : 0);
        sync_control(s, SYNC_MSG_KEPT, tako_buf_slice(&s->scratch));
        sub->kept_said = held;
    }
}

/* Counts what the peer said, up to what is past there. */
static tako_err count(sync_session *s, sync_want *w, tako_errbuf *e)
{
    uint64_t past = UINT64_MAX, lsn;
    tako_err err;

    if (s->doubts.count > 0) {
        TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
        err = sync_past_first(s, w, &past);
        store_snapshot_end(s->reader);
        if (err != TAKO_OK)
            return tako_fail(e, err, "reading what is past failed");
    }
    lsn = w->kept_told < past ? w->kept_told : past - 1;
    if (lsn <= w->kept)
        return TAKO_OK;
    w->kept = lsn;
    if (s->host->kept != NULL)
        s->host->kept(s->host->ctx, tako_slice_of(w->text, w->text_len), lsn,
                      (w->kept_flags & SYNC_KEPT_ARCHIVE) != 0);
    return TAKO_OK;
}

tako_err sync_kept_step(sync_session *s, tako_errbuf *e)
{
    if (!s->kept_due)
        return TAKO_OK;
    s->kept_due = false;
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].kept < s->wants[i].kept_told)
            TAKO_TRY(count(s, &s->wants[i], e));
    return TAKO_OK;
}

tako_err sync_on_kept(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint64_t lsn = tako_read_varint(in);
    uint8_t flags = tako_read_u8(in);

    if (!tako_reader_done(in) || lsn == 0 || lsn > s->heard)
        return tako_fail(e, TAKO_CORRUPT, "malformed KEPT");
    if (w == NULL || w->state == WANT_AGAIN ||
        (flags & SYNC_KEPT_PASSED) != 0 || lsn <= w->kept_told ||
        s->peer_bars.write) /* it keeps for nobody: denied.c */
        return TAKO_OK;
    w->kept_told = lsn;
    w->kept_flags = flags;
    return count(s, w, e);
}

void sync_kept_gone(sync_session *s, const sync_want *w)
{
    if (s->host->kept != NULL)
        s->host->kept(s->host->ctx, tako_slice_of(w->text, w->text_len), 0,
                      false);
}

bool sync_session_close_due(const sync_session *s)
{
    bool behind = false;

    if (s->dead || !s->cleared || s->close_asked ||
        sync_dirty_left(&s->dirty) > 0 || s->ack_in != s->cut_lsn ||
        s->sent_lsn <= s->cut_lsn)
        return false;
    for (size_t i = 0; i < s->want_count; i++) {
        if (s->wants[i].state != WANT_LIVE)
            return false;
        behind = behind || (!sync_want_is_lazy(&s->wants[i]) &&
                            s->wants[i].kept_told > 0 &&
                            s->wants[i].kept_told < s->sent_lsn);
    }
    return behind;
}

void sync_session_close(sync_session *s)
{
    s->close_asked = s->close_asked || sync_session_close_due(s);
}

bool sync_session_listed(const sync_session *s)
{
    return s->greeted && s->interests_seen >= s->peer_interests;
}

bool sync_session_delivered(sync_session *s, uint32_t coll, uint64_t lsn)
{
    if (s->dead || s->acked >= lsn)
        return true;
    if (!sync_session_listed(s))
        return false;
    for (size_t i = 0; i < s->want_count; i++) {
        if (s->wants[i].coll == 0)
            (void)store_coll_find(s->reader, s->wants[i].collection,
                                  &s->wants[i].coll);
        if (s->wants[i].coll == coll)
            return false;
    }
    return true;
}

void sync_session_note(sync_session *s, unsigned kind, tako_slice body)
{
    TAKO_ASSERT(kind >= SYNC_MSG_MAY_I && kind <= SYNC_MSG_RECEIPTS);
    if (!s->dead)
        sync_control(s, (sync_msg)kind, body);
}
