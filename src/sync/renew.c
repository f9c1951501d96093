// SPDX-License-Identifier: Apache-2.0
/* RENEW -- who we may speak as (SYNC.md 1).
 *
 * Each side answers the other's HELLO with KNOWN: the greatest hlc that it
 * knows of that side's actor. If the receiver never committed that event, its
 * file was rolled back, or is a copy whose original went on: its store takes
 * a new actor and feed incarnation, what cannot have left is put under it
 * (store/rollback.c), and RENEWED tells the peer. Only then documents leave,
 * and none is taken before: what the peer sends would be merged into states
 * that claim to have seen it.
 *
 * The same where a document brings such an event in the middle of a session,
 * from a third node (apply.c).
 *
 * The store takes a new actor by itself, too, before a transaction (store/txn.c):
 * the commit tells it. Not before KNOWN, which is about the one in our HELLO.
 *
 * FORMER tells the actors that this file had before, and how far each came here:
 * so far, "what our app wrote is given" (OWN, in cover.c) is said of them too.
 * Later events of theirs, which this file lost, others may have; what of them
 * does not come in time is given up, and FORMER told again (node/former.c).
 *
 * Two sides with the same actor are a file and its copy. Both may have written
 * nothing since, so the one with the lesser sum key, which is random, goes. */
#include "sync/state.h"

#define FORMER_BYTES_MAX (TAKO_FORMER_ACTORS_MAX * 24u) /* of a vector */

tako_err sync_tell_known(sync_session *s, tako_errbuf *e)
{
    uint64_t hlc;
    tako_err err = store_seen_hlc(s->reader, s->peer_actor, &hlc);

    if (err != TAKO_OK)
        return tako_fail(e, err, "reading what is known of the peer failed");
    tako_buf_reset(&s->scratch);
    tako_put_varint(&s->scratch, hlc);
    sync_control(s, SYNC_MSG_KNOWN, tako_buf_slice(&s->scratch));
    return TAKO_OK;
}

/* With the writer held. */
static tako_err renew(sync_session *s, store *st, uint64_t hlc, uint64_t *count,
                      tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    /* Another session may have been here first. */
    if (store_foreign_self(st) != 0 ||
        crdt_actor_cmp(store_actor(st), s->actor) == 0)
        err = store_rolled_back(st, hlc, &s->redot_lsn, count, e);
    s->actor = store_actor(st);
    memcpy(s->incarnation, store_incarnation(st), sizeof s->incarnation);
    return err;
}

/* In the middle of a commit, too: the session's memory is in use. */
tako_err sync_tell_former(sync_session *s, tako_errbuf *e)
{
    tako_buf v = tako_buf_on(s->env), out = tako_buf_on(s->env);
    tako_err err = store_former_last(s->reader, &v);
    tako_reader in = tako_reader_of(tako_buf_slice(&v));
    crdt_dot dot;

    if (v.len > FORMER_BYTES_MAX)
        (void)tako_read_bytes(&in, v.len - FORMER_BYTES_MAX);
    while (err == TAKO_OK && tako_reader_left(&in) > 0) {
        memcpy(dot.actor.id, tako_read_bytes(&in, 16).ptr, 16);
        dot.hlc = tako_read_u64(&in);
        sync_put_dot(&out, &dot);
    }
    if (err == TAKO_OK && out.failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK && out.len > 0)
        sync_control(s, SYNC_MSG_FORMER, tako_buf_slice(&out));
    tako_buf_fini(&v);
    tako_buf_fini(&out);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading its former actors failed");
}

tako_err sync_on_former(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    s->judge_due = true;
    return sync_read_dots(s, in, &s->peer_wrote, e);
}

/* What it claims towards us; its summary, where it pushes us nothing. */
bool sync_session_word(const sync_session *s, size_t i, crdt_dot dot,
                       sync_predicate **predicate, sync_word *out)
{
    const sync_want *w = i < s->want_count ? &s->wants[i] : NULL;
    uint64_t lacks;

    if (w == NULL)
        return false;
    *predicate = w->predicate;
    *out = crdt_context_has(&w->has, dot)      ? SYNC_HAS
           : w->has.count > 0 && !w->has_whole ? SYNC_LACKS
                                               : SYNC_SAID_NOTHING;
    for (size_t k = 0; k < s->sub_count && *out != SYNC_HAS; k++) {
        const sync_sub *sub = &s->subs[k];

        if (!tako_slice_eq(sub->collection, w->collection))
            continue;
        if (sub->claim != SYNC_CLAIM_ALL && sub->claim != SYNC_CLAIM_PART)
            continue;
        lacks = crdt_context_get(&sub->lacks, dot.actor);
        if (lacks != 0 && lacks < dot.hlc)
            *out = SYNC_LACKS;
        else if (crdt_context_has(&sub->theirs, dot))
            *out = SYNC_HAS;
    }
    return true;
}

void sync_session_gave_up(sync_session *s)
{
    (void)sync_tell_former(s, NULL); /* no memory: the next session does */
    s->judge_due = true;
    sync_session_rose(s);
}

static void tell_renewed(sync_session *s)
{
    tako_buf_reset(&s->scratch);
    tako_put_bytes(&s->scratch, tako_slice_of(s->actor.id, 16));
    tako_put_bytes(&s->scratch, tako_slice_of(s->incarnation, 16));
    sync_control(s, SYNC_MSG_RENEWED, tako_buf_slice(&s->scratch));
}

tako_err sync_rolled_back(sync_session *s, uint64_t hlc, tako_errbuf *e)
{
    const sync_host *host = s->host;
    store *st = host->write_begin(host->ctx);
    uint64_t count = 0;
    tako_err err;

    if (st == NULL)
        return tako_fail(e, TAKO_CLOSED, "shutting down");
    s->redot_lsn = 0;
    err = renew(s, st, hlc, &count, e);
    host->write_end(host->ctx, err == TAKO_OK ? s->redot_lsn : 0);
    if (err != TAKO_OK)
        return err;
    tell_renewed(s);
    TAKO_TRY(sync_tell_former(s, e));
    host->event(host->ctx, SYNC_EVENT_RENEWED, (uint32_t)count,
                "the peer has writes of ours that this database lost");
    return TAKO_OK;
}

/* Who the store is now: a commit may be older than that. */
static tako_err take_self(sync_session *s, tako_errbuf *e)
{
    uint8_t incarnation[16];
    crdt_actor actor;
    uint64_t lsn;
    tako_err err;

    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, e));
    err = store_self(s->reader, &actor, incarnation, e);
    store_snapshot_end(s->reader);
    if (err != TAKO_OK || crdt_actor_cmp(actor, s->actor) == 0)
        return err;
    s->actor = actor;
    memcpy(s->incarnation, incarnation, sizeof s->incarnation);
    tell_renewed(s);
    return sync_tell_former(s, e);
}

tako_err sync_on_known(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t hlc = tako_read_varint(in);
    bool ours;
    tako_err err;

    if (!tako_reader_done(in) || s->cleared)
        return tako_fail(e, TAKO_CORRUPT, "malformed KNOWN");
    err = store_own_known(s->reader, s->actor, hlc, &ours);
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading what is ours failed");
    if (crdt_actor_cmp(s->actor, s->peer_actor) == 0)
        ours = ours && memcmp(s->sum_key, s->peer_sum_key, 16) > 0;
    if (!ours)
        TAKO_TRY(sync_rolled_back(s, hlc, e));
    s->cleared = true;
    return take_self(s, e);
}

tako_err sync_session_renewed(sync_session *s, crdt_actor actor, tako_errbuf *e)
{
    if (!s->cleared || crdt_actor_cmp(actor, s->actor) == 0)
        return TAKO_OK;
    return take_self(s, e);
}

tako_err sync_on_renewed(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice actor = tako_read_bytes(in, 16);
    tako_slice incarnation = tako_read_bytes(in, 16);
    crdt_actor next;

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed RENEWED");
    memcpy(next.id, actor.ptr, 16);
    sync_peer_renamed(s, next);
    memcpy(s->peer_incarnation, incarnation.ptr, 16);
    return TAKO_OK;
}
