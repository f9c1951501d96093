// SPDX-License-Identifier: Apache-2.0
/* AGREE -- who has heard of the same events shows the same documents, or asks.
 *
 * Vectors (lazy.c) tell what somebody has, or has had. Over a link that does not
 * push everything that is not enough: a deletion passes by a node that did not
 * know the document, whose vector rises nonetheless; then an old copy comes
 * from another side, and what a third node makes of it is no event that any
 * vector names. So the server of a want that is not eager also says, with its
 * summaries, what the want's documents come to at that snapshot (AGREEMENT):
 * the checks of all of them, as catch-ups compare them, beside a hash of all
 * the events that they are made of. A subscriber that has heard of those very
 * events and whose own documents come to something else asks for a catch-up.
 *
 * Both numbers are of one moment: the table (tables.h) has followed every
 * commit of the snapshot that the events are read in, or nothing is said. The
 * commit goes with them: who has the same documents has all that the server
 * had by it (kept.c). */
#include "sync/state.h"

/* Has the table the documents of a snapshot at `lsn`? */
static bool is_of(const sync_session *s, sync_table *t, uint64_t lsn)
{
    return t != NULL && lsn == s->heard &&
           sync_table_look(t) == SYNC_TABLE_READY;
}

static uint64_t hash_events(const sync_session *s, const sync_holds *h)
{
    uint64_t sum = 0;
    uint8_t bytes[24];

    for (size_t i = 0; i < h->upper.count; i++) {
        const crdt_dot *dot = &h->upper.dots[i];

        memcpy(bytes, dot->actor.id, 16);
        for (unsigned k = 0; k < 8; k++)
            bytes[16 + k] = (uint8_t)(dot->hlc >> (8u * k));
        sum += tako_hash64(s->digest_key, tako_slice_of(bytes, sizeof bytes));
    }
    return sum;
}

static tako_err build(sync_table *t, bool *built, tako_errbuf *e)
{
    if (t == NULL || sync_table_look(t) != SYNC_TABLE_BUILDING)
        return TAKO_OK;
    *built = false;
    return sync_table_step(t, e);
}

tako_err sync_agree_build(sync_session *s, bool *built, tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    *built = true;
    for (size_t i = 0; i < s->want_count && err == TAKO_OK && *built; i++) {
        sync_want *w = &s->wants[i];

        if (w->mode == SYNC_EAGER || w->state != WANT_LIVE)
            continue;
        if (w->table == NULL)
            err = sync_table_get(s->tables, tako_slice_of(w->text, w->text_len),
                                 &w->table, e);
        if (err == TAKO_OK)
            err = build(w->table, built, e);
    }
    for (size_t i = 0; i < s->sub_count && err == TAKO_OK && *built; i++)
        if (s->subs[i].mode != SYNC_EAGER) {
            err = build(s->subs[i].table, built, e);
            s->compare_due = s->compare_due || !*built;
        }
    return err;
}

tako_err sync_agree_put(sync_session *s, uint64_t lsn)
{
    sync_holds *h = NULL;

    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];
        sync_agreement now;
        tako_buf *b = &s->scratch;

        if (w->mode == SYNC_EAGER || w->state != WANT_LIVE ||
            !is_of(s, w->table, lsn))
            continue;
        if (h == NULL || !tako_slice_eq(h->coll, w->collection))
            TAKO_TRY(sync_holds_read(s, s->reader, w->collection, &h));
        now = (sync_agreement){ true, hash_events(s, h),
                                sync_table_summary(w->table)->check, lsn };
        if (w->agreed.known && w->agreed.events == now.events &&
            w->agreed.check == now.check && w->agreed.lsn == lsn)
            continue;
        w->agreed = now;
        tako_buf_reset(b);
        tako_put_varint(b, w->number);
        tako_put_u64(b, now.events);
        tako_put_u64(b, now.check);
        tako_put_varint(b, lsn);
        sync_control(s, SYNC_MSG_AGREEMENT, tako_buf_slice(b));
    }
    return TAKO_OK;
}

tako_err sync_on_agreement(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    sync_agreement said = { .known = true };

    said.events = tako_read_u64(in);
    said.check = tako_read_u64(in);
    said.lsn = tako_read_varint(in);
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed AGREEMENT");
    if (sub != NULL)
        sub->agreed = said;
    s->compare_due = true;
    return TAKO_OK;
}

bool sync_agrees_now(const sync_session *s, const sync_sub *sub, uint64_t lsn)
{
    return sub->agreed.known && is_of(s, sub->table, lsn) &&
           sync_table_summary(sub->table)->check == sub->agreed.check;
}

sync_agreeing sync_agrees(const sync_session *s, const sync_sub *sub,
                          const sync_holds *h, uint64_t lsn)
{
    if (!sub->agreed.known || !is_of(s, sub->table, lsn) ||
        hash_events(s, h) != sub->agreed.events)
        return SYNC_NOT_COMPARED;
    return sync_table_summary(sub->table)->check == sub->agreed.check
               ? SYNC_AGREES
               : SYNC_DIFFERS;
}
