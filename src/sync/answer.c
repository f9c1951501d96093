// SPDX-License-Identifier: Apache-2.0
/* ANSWER -- documents that are known to differ, each by what the peer has seen
 * of it.
 *
 * SEEN names documents by the hash of their key, with the context of the peer's
 * state, or none where it has nothing. For each this side does what brings
 * both to the same:
 *
 *   nothing is here              ask for it, where we want the same (REPLY)
 *   the peer has nothing         the whole state, if it matches
 *   we have seen all of theirs   a delta against their context: also where the
 *                                document left the subscription, or is dead
 *   they have seen all of ours   ask for it, as above
 *   it is known here to be dead  they are told (deaths.c)
 *   neither                      the whole state: what they make of it comes
 *                                back as a change
 *   both (equal contexts)        the whole state, once: the states differ all
 *                                the same, and merging settles it (SYNC.md 2)
 *
 * A document is found by a walk over the collection: no index leads from the
 * hash to it, because it would cost each write a page. The peer's answer to
 * REPLY needs no second walk: it remembers where its own are. */
#include "sync/state.h"

#include <stdlib.h>

#include "crdt/tree.h"

static int seen_cmp(const void *a, const void *b)
{
    const sync_seen *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

sync_seen *sync_seen_find(sync_seen *list, size_t count, uint64_t key)
{
    sync_seen wanted = { .key = key };

    return count == 0 ? NULL
                      : bsearch(&wanted, list, count, sizeof *list, seen_cmp);
}

void sync_seen_sort(sync_seen *list, size_t count)
{
    if (count > 0)
        qsort(list, count, sizeof *list, seen_cmp);
}

/* ---- hearing ---------------------------------------------------------------- */

static tako_err note_seen(sync_session *s, sync_want *w, uint64_t key,
                          const crdt_context *context, tako_errbuf *e)
{
    void *list = w->seen;
    sync_seen *seen;
    size_t bytes = context->count * sizeof *context->dots;

    if (w->seen_count >= TAKO_SYNC_SEEN_MAX ||
        bytes > TAKO_SYNC_SEEN_BYTES_MAX - w->seen_bytes)
        return tako_fail(e, TAKO_LIMIT, "SEEN of too many documents");
    if (!sync_grow(s->env, &list, &w->seen_cap, w->seen_count, sizeof *seen))
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    w->seen = list;
    w->seen_bytes += bytes;
    seen = &w->seen[w->seen_count++];
    *seen = (sync_seen){ .key = key };
    if (context->count == 0)
        return TAKO_OK;
    seen->context.dots =
        tako_arena_array(&w->seen_arena, context->count, sizeof *context->dots);
    if (seen->context.dots == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    memcpy(seen->context.dots, context->dots, bytes);
    seen->context.count = seen->context.cap = context->count;
    return TAKO_OK;
}

/* What a reply asks for, we told of: our own question knows where it is. */
static void find_rows(sync_session *s, sync_want *w)
{
    const sync_sub *sub = sync_sub_find(s, w->joined - 1u);

    for (size_t i = 0; sub != NULL && i < w->seen_count; i++) {
        const sync_seen *told =
            sync_seen_find(sub->seen, sub->seen_count, w->seen[i].key);

        w->seen[i].met = told != NULL && told->met;
        w->seen[i].row = w->seen[i].met ? told->row : 0;
    }
}

static void heard_all(sync_session *s, sync_want *w, bool reply)
{
    sync_seen_sort(w->seen, w->seen_count);
    tako_env_free(s->env, w->symbols, w->symbols_have * sizeof *w->symbols);
    w->symbols = NULL;
    w->symbols_have = 0;
    w->seen_at = 0;
    sync_walk_start(&w->walk);
    if (w->seen_count == 0)
        w->walk.after = INT64_MAX; /* all was pushed */
    if (reply) {
        find_rows(s, w);
        w->walk.done = true; /* nothing needs to be looked for */
    }
    w->state = WANT_ANSWER;
}

/* Does it answer what is open? */
static bool is_taken(const sync_want *w, bool reply)
{
    if (w == NULL)
        return false;
    return reply ? w->state == WANT_JOINED ||
                       (w->state == WANT_SENT && w->offered)
                 : w->state == WANT_SYMBOLS;
}

void sync_offer_decline(sync_session *s, const sync_want *w)
{
    sync_sub *own = w->joined == 0 ? NULL : sync_sub_find(s, w->joined - 1u);

    if (own != NULL && own->offer == OFFER_TOLD)
        own->offer = OFFER_DECLINED;
    else if (own != NULL && own->offer == OFFER_HELD)
        own->offer = OFFER_NONE;
}

static void note_offer(sync_session *s, const sync_want *w, bool taken,
                       uint64_t number)
{
    sync_sub *own = sync_sub_find(s, number);

    if (own == NULL || own->state != SUB_ASKED)
        return;
    own->offer =
        taken && w->joined == number + 1u ? OFFER_TOLD : OFFER_DECLINED;
}

tako_err sync_on_seen(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint8_t flags = tako_read_u8(in);
    bool reply = (flags & SYNC_SEEN_REPLY) != 0;
    bool offered = (flags & SYNC_SEEN_OFFERED) != 0;
    uint64_t number = offered ? tako_read_varint(in) : 0, ref = 0, key;
    bool taken = is_taken(w, reply);
    crdt_context context;
    tako_err err;

    if (in->failed || flags > SYNC_SEEN_FLAGS || (offered && reply))
        return tako_fail(e, TAKO_CORRUPT, "malformed SEEN");
    if (offered && (flags & SYNC_SEEN_LAST) != 0)
        note_offer(s, w, taken, number);
    if (taken && w->seen_arena.env == NULL)
        w->seen_arena = tako_arena_on(s->env);
    for (;;) {
        err = sync_get_seen(&s->names_in[SYNC_CATCHUP], &s->arena, in, &ref,
                            &key, &context, e);
        if (err != TAKO_OK)
            break;
        /* Names are taken in also from what comes too late. */
        if (taken)
            TAKO_TRY(note_seen(s, w, key, &context, e));
        tako_arena_reset(&s->arena);
    }
    if (err != TAKO_NOTFOUND)
        return err;
    if (taken && (flags & SYNC_SEEN_LAST) != 0)
        heard_all(s, w, reply);
    return TAKO_OK;
}

/* ---- answering ----------------------------------------------------------------- */

typedef struct answer_walk {
    sync_want *want;
    sync_writer writer;
    uint32_t documents;
    tako_errbuf *e;
    bool known; /* their rows are: this is the answer to a REPLY */
} answer_walk;

static bool matches(sync_session *s, const sync_want *w, const store_row *row)
{
    return row->body.len > 0 &&
           s->host->predicate_match(s->host->ctx, w->predicate, row->id,
                                    row->body);
}

static tako_err context_of(sync_session *s, const store_row *row,
                           crdt_context *out)
{
    tako_slice meta = row->meta;

    *out = (crdt_context){ NULL, 0, 0 };
    if (store_row_is_notice(row))
        return TAKO_OK;
    if (store_row_is_marker(row))
        meta = crdt_marker_meta(meta);
    return crdt_meta_context(&s->arena, meta, out);
}

static tako_err put_delta(sync_session *s, answer_walk *d,
                          const sync_doc_name *name, const store_row *row,
                          const crdt_context *base)
{
    crdt_doc *doc;

    TAKO_TRY(crdt_doc_decode(&s->arena, row->meta, row->body, &doc, d->e));
    s->counts.deltas_out++;
    return sync_put_delta(&d->writer, name, doc, base, NULL, s->sum_key);
}

/* What died here may live there under the same _id: they are told of what
 * died, and asked for what that does not concern. */
static tako_err settle_dead(sync_session *s, answer_walk *d, sync_seen *seen,
                            const store_row *row)
{
    if (seen->context.count == 0)
        return TAKO_OK;
    TAKO_TRY(sync_tell_dead(s, d->want->coll, row, d->e));
    seen->reply = true;
    if (d->known) /* their answer to our question: there is no other */
        sync_need_whole(s, d->want->collection, row->id);
    return TAKO_OK;
}

/* A document of which both sides have something. */
static tako_err settle(sync_session *s, answer_walk *d, sync_seen *seen,
                       const store_row *row)
{
    sync_want *w = d->want;
    sync_doc_name name = { w->coll, w->collection, row->row, row->id };
    crdt_context own;

    tako_arena_reset(&s->arena);
    if (store_row_is_notice(row))
        return settle_dead(s, d, seen, row);
    TAKO_TRY(context_of(s, row, &own));
    if (store_row_is_marker(row)) {
        /* Of what left here the very state that left is to come back. */
        seen->reply =
            seen->context.count > 0 &&
            (!crdt_context_covers(&own, &seen->context) ||
             (store_row_is_left(row) && crdt_context_eq(&own, &seen->context)));
        return TAKO_OK;
    }
    if (seen->context.count == 0) {
        if (!matches(s, w, row))
            return TAKO_OK;
    } else if (!crdt_context_eq(&own, &seen->context)) {
        if (crdt_context_covers(&own, &seen->context)) {
            d->documents++;
            return put_delta(s, d, &name, row, &seen->context);
        }
        if (crdt_context_covers(&seen->context, &own)) {
            seen->reply = true;
            return TAKO_OK;
        }
    }
    d->documents++;
    return sync_put_state(&d->writer, &name, false, row->meta, row->body);
}

static bool answer_row(sync_session *s, void *ctx, const store_row *row,
                       tako_err *err)
{
    answer_walk *d = ctx;
    sync_want *w = d->want;
    sync_seen *seen;

    if (d->writer.out->len >= TAKO_SYNC_CHUNK_BYTES_MAX)
        return false;
    seen = sync_seen_find(w->seen, w->seen_count,
                          tako_hash64(s->digest_key, row->id));
    if (seen == NULL)
        return true;
    seen->met = true;
    seen->row = row->row;
    *err = settle(s, d, seen, row);
    return *err == TAKO_OK;
}

/* Those whose rows are known, one after another. */
static tako_err answer_known(sync_session *s, answer_walk *d)
{
    sync_want *w = d->want;
    store_row row;
    tako_err err = TAKO_OK;

    if (w->coll == 0)
        (void)store_coll_find(s->reader, w->collection, &w->coll);
    for (; w->seen_at < w->seen_count && err == TAKO_OK; w->seen_at++) {
        sync_seen *seen = &w->seen[w->seen_at];

        if (d->writer.out->len >= TAKO_SYNC_CHUNK_BYTES_MAX)
            return TAKO_OK;
        if (!seen->met)
            continue;
        err = store_get_row(s->reader, w->coll, seen->row, &row);
        if (err == TAKO_OK)
            err = settle(s, d, seen, &row);
        else if (err == TAKO_NOTFOUND)
            err = TAKO_OK;
    }
    return err;
}

static tako_err answer_piece(sync_session *s, answer_walk *d)
{
    sync_want *w = d->want;
    uint64_t lsn;
    tako_err err;

    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, d->e));
    store_note_sent(s->reader, lsn);
    err = d->known ? answer_known(s, d)
                   : sync_walk_piece(s, w->collection, &w->coll, &w->walk,
                                     answer_row, d, d->e);
    store_snapshot_end(s->reader);
    return err == TAKO_OK || d->e == NULL || d->e->text[0] != '\0'
               ? err
               : tako_fail(d->e, err, "reading a document failed");
}

/* Takes what was offered, where we lack nothing. */
static tako_err offer_take(sync_session *s, sync_sub *own, tako_errbuf *e)
{
    bool held = own->offer == OFFER_HELD;

    own->offer = OFFER_NONE;
    own->open = false;
    own->early = true;
    return held ? sync_caught_up(s, own, own->offer_lsn, e) : TAKO_OK;
}

static tako_err answered(sync_session *s, sync_want *w, tako_errbuf *e)
{
    sync_sub *own = w->joined == 0 ? NULL : sync_sub_find(s, w->joined - 1u);
    bool reply = false;

    for (size_t i = 0; i < w->seen_count; i++) {
        if (!w->seen[i].met)
            w->seen[i].reply = w->seen[i].context.count > 0;
        reply = reply || w->seen[i].reply;
    }
    w->seen_at = 0;
    if (reply || own == NULL || own->offer == OFFER_NONE)
        sync_offer_decline(s, w);
    else
        TAKO_TRY(offer_take(s, own, e));
    if (own != NULL && own->state == SUB_ASKED && own->open) {
        w->state = WANT_REPLY;
        return TAKO_OK;
    }
    sync_want_rest(s, w);
    w->state = WANT_CLOSE;
    return TAKO_OK;
}

static tako_err serve_answer(sync_session *s, sync_want *w, tako_buf *out,
                             tako_errbuf *e)
{
    answer_walk d = { w,
                      { &s->names_out[SYNC_CATCHUP], out, &s->scratch, 0,
                        true },
                      0,
                      e,
                      w->walk.done };
    bool known = d.known;

    TAKO_TRY(sync_mark(s, e));
    s->names_out[SYNC_CATCHUP].stamp++;
    tako_put_u8(out, SYNC_MSG_STATES);
    tako_put_varint(out, w->number);
    tako_put_u8(out, 0);
    TAKO_TRY(answer_piece(s, &d));
    if (d.documents == 0)
        tako_buf_reset(out);
    s->counts.documents_out += d.documents;
    if (!w->walk.done || (known && w->seen_at < w->seen_count))
        return TAKO_OK;
    if (!known)
        return answered(s, w, e);
    sync_want_rest(s, w);
    w->joined = 0;
    w->state = WANT_CLOSE;
    return TAKO_OK;
}

/* ---- asking back ------------------------------------------------------------------ */

static tako_err put_reply(sync_session *s, sync_writer *w,
                          const sync_want *want, const sync_seen *seen)
{
    crdt_context own = { NULL, 0, 0 };
    store_row row;
    tako_err err = TAKO_OK;

    tako_arena_reset(&s->arena);
    if (seen->met) {
        err = store_get_row(s->reader, want->coll, seen->row, &row);
        if (err == TAKO_OK && !store_row_is_marker(&row))
            err = context_of(s, &row, &own);
        else if (err == TAKO_NOTFOUND)
            err = TAKO_OK;
    }
    return err == TAKO_OK ? sync_put_seen(w, seen->key, &own) : err;
}

static tako_err serve_reply(sync_session *s, sync_want *w, tako_buf *out,
                            tako_errbuf *e)
{
    sync_writer writer = { &s->names_out[SYNC_CATCHUP], out, &s->scratch, 0,
                           true };
    size_t flags_at;
    tako_err err = TAKO_OK;

    s->names_out[SYNC_CATCHUP].stamp++;
    tako_put_u8(out, SYNC_MSG_SEEN);
    tako_put_varint(out, w->joined - 1u);
    flags_at = out->len;
    tako_put_u8(out, SYNC_SEEN_REPLY);
    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    for (; w->seen_at < w->seen_count && err == TAKO_OK &&
           out->len < SYNC_LIST_BYTES;
         w->seen_at++)
        if (w->seen[w->seen_at].reply)
            err = put_reply(s, &writer, w, &w->seen[w->seen_at]);
    store_snapshot_end(s->reader);
    if (err != TAKO_OK || out->failed)
        return tako_fail(e, err == TAKO_OK ? TAKO_NOMEM : err,
                         "asking for documents failed");
    if (w->seen_at < w->seen_count)
        return TAKO_OK;
    out->ptr[flags_at] |= SYNC_SEEN_LAST;
    sync_want_rest(s, w);
    w->joined = 0;
    w->state = WANT_CLOSE;
    return TAKO_OK;
}

tako_err sync_answer_step(sync_session *s, sync_want *w, tako_buf *out,
                          tako_errbuf *e)
{
    return w->state == WANT_REPLY ? serve_reply(s, w, out, e)
                                  : serve_answer(s, w, out, e);
}
