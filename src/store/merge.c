// SPDX-License-Identifier: Apache-2.0
/* MERGE -- remote states and deltas.
 *
 * Most of what a cold sync brings are fresh states (one INSERT wrote all) of
 * documents unknown here: such a state is checked and stored as it came,
 * without building a tree. Everything else is decoded, which checks it, and
 * merged.
 *
 * EVICTED  What is new of a document that was evicted here, by its marker's
 * context and generation, replaces the marker whole. A tombstone does so at
 * once, a living state only when the caller wants it (store_merge_back): only
 * it knows whether somebody here is still interested. Of what left by itself the
 * very state that left may also come back so: then somebody is interested anew.
 *
 * DEAD  is a state with a birth of its present life in the graveyard: it is
 * not taken, before anything is merged (death.c). So a delta is judged by what
 * it would make of the document here.
 *
 * A remote event of our own actor that we never made says that this file was
 * rolled back or copied. Our own events of a document were made here, on that
 * document: one that its context here lacks is not ours. It is merged, and
 * remembered in `foreign`, and the next transaction begins with a new actor
 * (txn.c); who can (sync) rolls back, lets rollback.c save what it can, and
 * merges then. */
#include "store/internal.h"

/* own: the greatest of our own hlcs that the document has here. */
static tako_err note_dot(store *s, crdt_dot dot, uint64_t own)
{
    if (crdt_actor_cmp(dot.actor, s->state.actor) != 0) {
        TAKO_TRY(seen_note(s, dot));
    } else if (dot.hlc > own && dot.hlc > s->foreign) {
        s->foreign = dot.hlc;
    }
    if (!store_observe_hlc(s, dot.hlc) && !s->txn.ahead_told) {
        s->txn.ahead_told = true;
        tako_log(s->env, TAKO_LOG_WARN, "clock_ahead", "\"remote_ms\":%llu",
                 (unsigned long long)CRDT_HLC_MS(dot.hlc));
    }
    return TAKO_OK;
}

/* own: as above. What an earlier life of the document had counts as well. */
static tako_err note_context(store *s, uint32_t coll, tako_slice id,
                             const crdt_context *context, uint64_t own,
                             tako_errbuf *e)
{
    tako_err err = TAKO_OK;

    if (crdt_context_get(context, s->state.actor) > own)
        TAKO_TRY(forgot_own(s, coll, id, &own, e));

    for (size_t i = 0; i < context->count && err == TAKO_OK; i++)
        err = note_dot(s, context->dots[i], own);
    return err == TAKO_OK ? err : tako_fail(e, err, "out of memory");
}

static uint64_t own_of(const store *s, const crdt_doc *d)
{
    return crdt_context_get(crdt_doc_context(d), s->state.actor);
}

/* A checked state of a document of which nothing may be stored here. */
static tako_err insert_state(store *s, uint32_t coll, const doc_key *key,
                             tako_slice meta, tako_slice body, tako_errbuf *e)
{
    int64_t row;

    TAKO_TRY(row_insert_new(s, coll, key, meta, body, &row, e));
    return body.len > 0 ? TAKO_OK : tomb_note(s, coll, row, meta, e);
}

static tako_err check_body(tako_slice body, tako_errbuf *e)
{
    tako_err err = cbor_check(body, TAKO_VALUE_DEPTH_MAX, e);

    if (err == TAKO_OK && cbor_kind_of(body) != CBOR_MAP)
        err = tako_fail(e, TAKO_CORRUPT, "a state's body is not a map");
    return err == TAKO_INVALID ? TAKO_CORRUPT : err;
}

/* A remote state of what was evicted here. */
static tako_err meet_marker(store *s, doc_edit *d, crdt_doc *remote, bool back,
                            crdt_merge_info *info, tako_errbuf *e)
{
    uint64_t day;
    bool same =
        crdt_meta_is_left(d->meta, &day) &&
        crdt_context_eq(crdt_doc_context(d->doc), crdt_doc_context(remote));

    if ((!same && crdt_context_covers(crdt_doc_context(d->doc),
                                      crdt_doc_context(remote))) ||
        crdt_doc_generation(remote) < crdt_doc_generation(d->doc))
        return TAKO_OK;
    if (crdt_doc_alive(remote) && !back) {
        info->evicted = true;
        return TAKO_OK;
    }
    if (own_of(s, remote) < own_of(s, d->doc))
        TAKO_TRY(actor_retire(s, e));
    TAKO_TRY(crdt_doc_left(d->doc, remote, info));
    TAKO_TRY(death_bury_left(s, d->coll, d->key.id, info, e));
    info->changed = true;
    d->doc = remote;
    return edit_save(s, d, false, e);
}

/* A state of which nothing is stored, or a notice that an earlier life of it
 * is dead. Our own events that a buried birth goes with were made here, though
 * nothing here shows it any more. */
static tako_err meet_nothing(store *s, doc_edit *d, crdt_doc *remote,
                             tako_slice meta, tako_slice body,
                             crdt_merge_info *info, tako_errbuf *e)
{
    bool all, some;

    TAKO_TRY(death_all_buried(s, d->coll, d->key.id, remote, &all, &some, e));
    if (all && !crdt_doc_alive(remote))
        return TAKO_OK; /* a tombstone that was reaped here */
    TAKO_TRY(forgot_meet(s, d->coll, d->key.id, remote, e));
    TAKO_TRY(note_context(s, d->coll, d->key.id, crdt_doc_context(remote),
                          some ? s->own_kept : 0, e));
    info->changed = crdt_doc_context(remote)->count > 0;
    if (!info->changed)
        return TAKO_OK;
    if (!d->stored)
        return insert_state(s, d->coll, &d->key, meta, body, e);
    d->doc = remote;
    return edit_save(s, d, false, e);
}

/* Merges into what is stored, or into nothing. */
static tako_err merge_slow(store *s, uint32_t coll, tako_slice id,
                           tako_slice meta, tako_slice body, bool back,
                           crdt_merge_info *info, tako_errbuf *e)
{
    edit_memory *m = &s->merge_memory;
    crdt_doc *remote = NULL;
    doc_edit d;
    tako_err err;

    TAKO_TRY(edit_load(s, m, coll, id, &d, e));
    TAKO_TRY(crdt_doc_decode(&m->arena, meta, body, &remote, e));
    TAKO_TRY(death_check(s, coll, id, remote, d.stored && !d.notice, &m->arena,
                         info, e));
    if (info->dead || info->doubtful)
        return TAKO_OK;
    if (!d.stored || d.notice)
        return meet_nothing(s, &d, remote, meta, body, info, e);
    TAKO_TRY(note_context(s, coll, id, crdt_doc_context(remote),
                          own_of(s, d.doc), e));
    if (tako_slice_eq(meta, d.meta) && tako_slice_eq(body, d.body))
        return TAKO_OK;
    if (d.marker)
        return meet_marker(s, &d, remote, back, info, e);
    err = crdt_merge(d.doc, remote, info);
    if (err != TAKO_OK)
        return tako_fail(e, err, "merging a document failed");
    TAKO_TRY(death_bury_left(s, coll, id, info, e));
    TAKO_TRY(lost_note(s, coll, id, info, e));
    return edit_save(s, &d, false, e);
}

static tako_err merge_state(store *s, uint32_t coll, tako_slice id,
                            tako_slice meta, tako_slice body, bool back,
                            crdt_merge_info *info, tako_errbuf *e)
{
    crdt_merge_info local;
    crdt_dot dot;
    doc_key key;
    bool slow;
    tako_err err;

    TAKO_ARG(s != NULL);
    info = info != NULL ? info : &local;
    memset(info, 0, sizeof *info);
    TAKO_TRY(txn_check(s, e));
    if (meta.len > TAKO_DOC_STATE_BYTES_MAX ||
        body.len > TAKO_DOC_STATE_BYTES_MAX - meta.len)
        return tako_fail(e, TAKO_LIMIT, "a state has over %u bytes",
                         TAKO_DOC_STATE_BYTES_MAX);
    if (!crdt_meta_is_fresh(meta, &dot))
        return merge_slow(s, coll, id, meta, body, back, info, e);
    TAKO_TRY(doc_key_of(id, &key, e));
    TAKO_TRY(check_body(body, e));
    TAKO_TRY(death_check_fresh(s, coll, id, dot, &slow, info, e));
    if (info->dead)
        return TAKO_OK;
    if (!slow)
        TAKO_TRY(forgot_has(s, coll, id, &slow, e));
    err = slow ? TAKO_EXISTS : insert_state(s, coll, &key, meta, body, e);
    if (err == TAKO_EXISTS)
        return merge_slow(s, coll, id, meta, body, back, info, e);
    if (err != TAKO_OK)
        return err;
    info->changed = true;
    err = note_dot(s, dot, 0);
    return err == TAKO_OK ? err : tako_fail(e, err, "out of memory");
}

tako_err store_merge(store *s, uint32_t coll, tako_slice id, tako_slice meta,
                     tako_slice body, crdt_merge_info *info, tako_errbuf *e)
{
    return merge_state(s, coll, id, meta, body, false, info, e);
}

tako_err store_merge_back(store *s, uint32_t coll, tako_slice id,
                          tako_slice meta, tako_slice body,
                          crdt_merge_info *info, tako_errbuf *e)
{
    return merge_state(s, coll, id, meta, body, true, info, e);
}

tako_err store_merge_delta(store *s, uint32_t coll, tako_slice id,
                           tako_reader *delta, const uint8_t sum_key[16],
                           const crdt_names_in *names,
                           crdt_delta_result *result, crdt_merge_info *info,
                           tako_errbuf *e)
{
    crdt_merge_info local;
    uint64_t own;
    doc_edit d;

    TAKO_ARG(s != NULL && delta != NULL && names != NULL && result != NULL);
    info = info != NULL ? info : &local;
    memset(info, 0, sizeof *info);
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(edit_load(s, &s->merge_memory, coll, id, &d, e));
    own = own_of(s, d.doc);
    TAKO_TRY(crdt_delta_apply(d.doc, delta, sum_key, names, result, info, e));
    if (*result != CRDT_DELTA_APPLIED)
        return TAKO_OK;
    TAKO_TRY(
        death_check(s, coll, id, d.doc, true, &s->merge_memory.arena, info, e));
    if (info->dead)
        return TAKO_OK;
    if (!d.stored || d.notice)
        TAKO_TRY(forgot_meet(s, coll, id, d.doc, e));
    TAKO_TRY(death_bury_left(s, coll, id, info, e));
    TAKO_TRY(note_context(s, coll, id, crdt_doc_context(d.doc), own, e));
    TAKO_TRY(lost_note(s, coll, id, info, e));
    return edit_save(s, &d, false, e);
}
