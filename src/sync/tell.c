// SPDX-License-Identifier: Apache-2.0
/* TELL -- what the side that decoded does about each document that differs.
 *
 * Found are hashes of keys, and for each the xor of the items of both sides
 * (symbols.h). A walk looks for those that are stored here: where our own
 * item is what was found the peer lacks the document; else ours, taken out,
 * leaves theirs, with the time of its last change.
 *
 * PUSHED. Where the peer asks for the same, and waits for this answer to its own
 * question (`joined`), what it lacks goes at once, not after it asked for it.
 * So does a delta, where ours was changed later: its base is what
 * ours had seen when theirs was changed last, as far as that still shows
 * (crdt_past). Mostly that is what the peer has. Where not, the usual rules
 * hold: it refuses the delta and asks for the whole, or merges and sends back
 * what came of it; and where it has more than we (a clock was wrong, or it
 * deleted what we took to be new) it sends that, because STATES says that this
 * was pushed.
 *
 * Where the peer gives up its question before it has said SERVED, what was pushed
 * for it may have come to nothing: nothing was sent back, and it is in no SEEN.
 * Then we ask anew.
 *
 * TOLD is what we have seen of all others: SEEN.
 *
 * OFFERED. After that there is nothing more in our answer to the peer's
 * question, unless it finds, looking at what we told, that it lacks something.
 * It mostly does not; so CAUGHT_UP follows, of which SEEN says that it is an
 * offer: the peer takes it when it has looked and asks for nothing, else
 * throws it away and gets another. This saves a round trip and a half. */
#include "sync/state.h"

#include "crdt/tree.h"

#define PUSH_BYTES_MAX 4096u /* of a document that may not be wanted */

typedef enum verdict {
    SKIP, /* both have the same */
    PUSH,
    TELL,
} verdict;

typedef struct telling {
    sync_sub *sub;
    sync_want *joined; /* or NULL */
    sync_writer writer;
    uint32_t documents;
    tako_errbuf *e;
} telling;

static sync_want *joined_want(sync_session *s, const sync_sub *sub)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].state == WANT_JOINED &&
            s->wants[i].joined == sub->number + 1u)
            return &s->wants[i];
    return NULL;
}

/* ---- finding --------------------------------------------------------------------- */

static bool find_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    sync_sub *sub = ctx;
    sync_seen *seen;

    (void)err;
    if (store_row_is_left(row))
        return true; /* as if it were not there: it is to come again */
    seen = sync_seen_find(sub->seen, sub->seen_count,
                          tako_hash64(s->digest_key, row->id));
    if (seen != NULL) {
        seen->met = true;
        seen->row = row->row;
    }
    return true;
}

/* ---- what is to be done ---------------------------------------------------------- */

static bool matches(sync_session *s, const sync_sub *sub, const store_row *row)
{
    return row->body.len > 0 &&
           s->host->predicate_match(s->host->ctx, sub->predicate, row->id,
                                    row->body);
}

/* Was ours changed later? *theirs: when theirs was, as hlc at most. */
static bool is_later(const store_row *row, const sync_item *own,
                     const sync_seen *seen, uint64_t *theirs)
{
    uint64_t range = UINT64_C(1) << SYNC_WHEN_BITS;
    uint64_t ago = (own->when - (own->when ^ seen->when)) & (range - 1u);
    uint64_t top = crdt_meta_top(row->meta) >> 16;

    if (ago == 0 || ago >= range / 2u || ago > top)
        return false;
    *theirs = (top - ago) << 16 | 0xffffu;
    return true;
}

/* *upto: PUSH of a delta beyond that; 0 of the whole state. */
static verdict judge(sync_session *s, const telling *d, const sync_seen *seen,
                     const store_row *row, uint64_t *upto)
{
    sync_item own = sync_item_of(s->digest_key, row->id, row->version,
                                 crdt_meta_top(row->meta));

    *upto = 0;
    if (store_row_is_marker(row))
        return seen->item == own.item ? SKIP : TELL;
    if (d->joined == NULL || !matches(s, d->sub, row))
        return TELL;
    if (seen->item == own.item)
        return row->meta.len + row->body.len <= PUSH_BYTES_MAX ? PUSH : TELL;
    return is_later(row, &own, seen, upto) ? PUSH : TELL;
}

static tako_err push(sync_session *s, telling *d, const store_row *row,
                     uint64_t upto)
{
    sync_doc_name name = { d->sub->coll, d->sub->collection, row->row,
                           row->id };
    crdt_context base;
    crdt_doc *doc;

    d->documents++;
    d->sub->pushed_to = d->joined->number + 1u;
    if (upto == 0)
        return sync_put_state(&d->writer, &name, false, row->meta, row->body);
    TAKO_TRY(crdt_doc_decode(&s->arena, row->meta, row->body, &doc, d->e));
    TAKO_TRY(crdt_past(&s->arena, doc, upto, &base));
    s->counts.deltas_out++;
    return sync_put_delta(&d->writer, &name, doc, &base, NULL, s->sum_key);
}

static tako_err tell(sync_session *s, telling *d, const sync_seen *seen,
                     const store_row *row)
{
    crdt_context own = { NULL, 0, 0 };

    if (row != NULL && !store_row_is_marker(row) && !store_row_is_notice(row))
        TAKO_TRY(crdt_meta_context(&s->arena, row->meta, &own));
    return sync_put_seen(&d->writer, seen->key, &own);
}

/* One document: in the first pass it is pushed, or not, in the second told. */
static tako_err say(sync_session *s, telling *d, sync_seen *seen)
{
    store_row row;
    uint64_t upto;
    verdict v = TELL;
    tako_err err = TAKO_NOTFOUND;

    tako_arena_reset(&s->arena);
    if (seen->pushed)
        return TAKO_OK;
    if (seen->met)
        err = store_get_row(s->reader, d->sub->coll, seen->row, &row);
    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return err;
    if (err == TAKO_OK)
        v = judge(s, d, seen, &row, &upto);
    if (v == PUSH && !d->sub->telling) {
        seen->pushed = true;
        return push(s, d, &row, upto);
    }
    if (v == SKIP || !d->sub->telling)
        return TAKO_OK;
    return tell(s, d, seen, err == TAKO_OK ? &row : NULL);
}

static tako_err say_some(sync_session *s, telling *d)
{
    sync_sub *sub = d->sub;
    size_t most =
        sub->telling ? SYNC_LIST_BYTES : (size_t)TAKO_SYNC_CHUNK_BYTES_MAX;
    uint64_t lsn;
    tako_err err = TAKO_OK;

    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, d->e));
    store_note_sent(s->reader, lsn);
    for (size_t n = 0; n < SYNC_SCAN_ROWS && sub->seen_at < sub->seen_count &&
                       d->documents < TAKO_SYNC_CHUNK_DOCS_MAX &&
                       d->writer.out->len < most && err == TAKO_OK;
         n++)
        err = say(s, d, &sub->seen[sub->seen_at++]);
    store_snapshot_end(s->reader);
    if (err == TAKO_OK && d->writer.out->failed)
        err = TAKO_NOMEM;
    return err == TAKO_OK || d->e == NULL || d->e->text[0] != '\0'
               ? err
               : tako_fail(d->e, err, "telling of documents failed");
}

/* ---- messages ----------------------------------------------------------------------- */

static tako_err push_some(sync_session *s, telling *d, tako_buf *out)
{
    sync_sub *sub = d->sub;

    TAKO_TRY(sync_mark(s, d->e));
    tako_put_u8(out, SYNC_MSG_STATES);
    tako_put_varint(out, d->joined->number);
    tako_put_u8(out, SYNC_STATES_PUSHED);
    TAKO_TRY(say_some(s, d));
    if (d->documents == 0)
        tako_buf_reset(out);
    s->counts.documents_out += d->documents;
    if (sub->seen_at == sub->seen_count) {
        sub->telling = true;
        sub->seen_at = 0;
    }
    return TAKO_OK;
}

static tako_err tell_some(sync_session *s, telling *d, tako_buf *out)
{
    sync_sub *sub = d->sub;
    size_t flags_at;

    tako_put_u8(out, SYNC_MSG_SEEN);
    tako_put_varint(out, sub->number);
    flags_at = out->len;
    tako_put_u8(out, d->joined != NULL ? SYNC_SEEN_OFFERED : 0);
    if (d->joined != NULL)
        tako_put_varint(out, d->joined->number);
    TAKO_TRY(say_some(s, d));
    if (sub->seen_at < sub->seen_count)
        return TAKO_OK;
    out->ptr[flags_at] |= SYNC_SEEN_LAST;
    if (d->joined != NULL)
        d->joined->offered = d->joined->offer_due = true;
    sub->state = SUB_ASKED;
    sub->open = false;
    return TAKO_OK;
}

tako_err sync_tell_step(sync_session *s, sync_sub *sub, tako_buf *out,
                        tako_errbuf *e)
{
    telling d = { sub,
                  joined_want(s, sub),
                  { &s->names_out[SYNC_CATCHUP], out, &s->scratch, 0, true },
                  0,
                  e };

    if (sub->state == SUB_DECODED) {
        if (sub->seen_count > 0)
            TAKO_TRY(sync_walk_piece(s, sub->collection, &sub->coll, &sub->walk,
                                     find_row, sub, e));
        if (sub->seen_count > 0 && !sub->walk.done)
            return TAKO_OK;
        sub->state = SUB_TELLING;
        sub->seen_at = 0;
        sub->telling = false;
    }
    s->names_out[SYNC_CATCHUP].stamp++;
    if (d.joined != NULL && !sub->telling)
        return push_some(s, &d, out);
    if (!sub->telling)
        sub->seen_at = 0; /* the peer does not ask for it any more */
    sub->telling = true;
    return tell_some(s, &d, out);
}

void sync_pushes_over(sync_session *s, uint32_t number, bool lost)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        sync_sub *sub = &s->subs[i];

        if (sub->pushed_to != number + 1u)
            continue;
        sub->pushed_to = 0;
        if (lost)
            sync_sub_again(s, sub);
    }
}
