// SPDX-License-Identifier: Apache-2.0
/* FIELDS -- a refused delta of a long document: asked for by fields.
 *
 * The question in NEEDS has the sums of what is stored here, not of what the
 * transaction that was undone would have made of it: read after it, and with
 * the context that belongs to them. The peer puts it in the place of the
 * delta's base, and answers with the next cut (crdt/fields.c).
 *
 * STANDS is the answer while we have seen all that we had seen when we asked:
 * an entry that is alive here then was alive when the sums were made. So it is
 * unless the document was evicted or reaped meanwhile, or an older state of it
 * taken back. What does not stand is refused like any delta, and asked for
 * whole: once by fields is enough.
 *
 * A short document is asked for whole; so is one whose question would be half
 * as long as the document, and where a message has many long questions. */
#include "sync/state.h"

/* Appends the question; nothing where it is not worth it. */
static tako_err ask_of(sync_session *s, tako_arena *a, const store_row *row,
                       const crdt_context *seen, crdt_context *had,
                       tako_buf *out)
{
    size_t long_is = row->meta.len + row->body.len;
    tako_buf question = tako_buf_on(s->env);
    crdt_doc *d;
    tako_err err = crdt_doc_decode(a, row->meta, row->body, &d, NULL);

    if (err == TAKO_OK)
        err = crdt_fields_ask(d, seen, s->peer_sum_key, &question);
    if (err == TAKO_OK && question.len < long_is / 2 &&
        question.len <= TAKO_SYNC_NEEDS_BYTES_MAX) {
        tako_put_bytes(out, tako_buf_slice(&question));
        *had = *crdt_doc_context(d);
    }
    tako_buf_fini(&question);
    return err == TAKO_UNSUPPORTED ? TAKO_OK : err;
}

static tako_err read_and_ask(sync_session *s, tako_arena *a,
                             const sync_need *need, const crdt_context *seen,
                             crdt_context *had, tako_buf *out)
{
    const sync_coll *c = &s->colls[need->name];
    store_row row;
    uint32_t coll;
    tako_err err = store_snapshot_begin(s->reader, NULL, NULL);

    if (err != TAKO_OK)
        return err;
    err = store_coll_find(s->reader, tako_slice_of(c->name, c->len), &coll);
    if (err == TAKO_OK)
        err = store_get(s->reader, coll, need->id, &row);
    if (err == TAKO_OK && row.body.len > 0 && !store_row_is_marker(&row) &&
        row.meta.len + row.body.len > TAKO_SYNC_WHOLE_BYTES_MAX)
        err = ask_of(s, a, &row, seen, had, out);
    store_snapshot_end(s->reader);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

tako_err sync_fields_ask(sync_session *s, sync_need *need,
                         const crdt_context *seen, tako_buf *out)
{
    tako_arena scratch = tako_arena_on(s->env);
    tako_buf question = tako_buf_on(s->env);
    crdt_context had = { NULL, 0, 0 };
    tako_err err = TAKO_OK;

    if (seen->count > 0)
        err = read_and_ask(s, &scratch, need, seen, &had, &question);
    if (err == TAKO_OK)
        err = question.failed
                  ? TAKO_NOMEM
                  : crdt_context_join(&s->need_arena, &need->had, &had);
    if (err == TAKO_OK)
        tako_put_block(out, tako_buf_slice(&question));
    s->counts.fields_out += question.len > 0;
    tako_buf_fini(&question);
    tako_arena_fini(&scratch);
    return err;
}

tako_err sync_fields_stand(sync_session *s, store_conn *c, uint32_t name,
                           uint32_t coll, tako_slice id, bool *stands)
{
    const sync_need *need = sync_need_find(s->needs, name, id);
    crdt_context now = { NULL, 0, 0 };
    store_row row;
    tako_err err;

    *stands = false;
    if (need == NULL || need->had.count == 0)
        return TAKO_OK;
    err = store_get(c, coll, id, &row);
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &now));
    *stands = crdt_context_covers(&now, &need->had);
    return TAKO_OK;
}

tako_err sync_put_fields(sync_session *s, sync_writer *w,
                         const sync_doc_name *name, const sync_dirty_doc *doc,
                         const store_row *row, tako_errbuf *e)
{
    crdt_fields asked;
    crdt_doc *now;

    tako_arena_reset(&s->arena);
    TAKO_TRY(crdt_fields_read(
        &s->arena, tako_slice_of(doc->base, doc->meta_len), &asked, e));
    TAKO_TRY(crdt_doc_decode(&s->arena, row->meta, row->body, &now, e));
    if (!crdt_fields_fit(now, &asked))
        return sync_put_state(w, name, true, row->meta, row->body);
    s->counts.deltas_out++;
    return sync_put_answer(w, name, now, &asked, s->sum_key);
}
