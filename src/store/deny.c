// SPDX-License-Identifier: Apache-2.0
/* DENY -- what this device wrote and may not: it is let go (SYNC.md 9).
 *
 * A peer that did not take a document says which events of ours in it it does
 * not know. If they are in it still, what the document shows goes to the
 * quarantine, and the row becomes a notice that names no birth: to a merge, to
 * an INSERT and to whoever reads, as if nothing were there. Neither context nor
 * marker stays, so whatever others have is taken as by a newcomer, also an older
 * state, unless that is past by what others said since (sync/past.c). The notice
 * is reaped as others are.
 *
 * THE EVENTS exist nowhere else: whoever was offered them refused them. So a
 * later event of this actor may follow them in a context that has them not; no
 * line in table forgot is needed, and the actor stays. That holds while every
 * event of this actor was made without the right to write. Who had it, and has
 * it no more, takes another actor first (store_rights). Should one of the
 * events turn up all the same, that is met as a rollback is (merge.c).
 *
 * NAMES. A file that lost something, or is a copy, goes on under another (actor.c).
 * What it wrote under one without the right is refused as well, so it says which
 * they were (store_names); but not those that it had while it might write.
 *
 * COMPLETE  is, for a subscription, that everything is or was here: of the
 * others' events that went with the document that is not so any more. The
 * session takes back what it said of that (sync/denied.c). */
#include "store/internal.h"

/* One byte: the actor may write. Its id: it was the last one that might. */
#define WROTE_KEY "actor.wrote"

#define ID_BYTES sizeof((crdt_actor *)NULL)->id

static tako_err let_go(store *s, doc_edit *d, tako_errbuf *e)
{
    uint8_t version[16];

    TAKO_TRY(
        quarantine_put(s, d->coll, d->key.id, STORE_WHY_DENIED, d->body, e));
    conn_buf_reset(&s->meta);
    crdt_notice_put(NULL, 0, &s->meta);
    if (s->meta.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    crdt_version(tako_buf_slice(&s->meta), TAKO_SLICE_NONE, version);
    return edit_replace(s, d, version, tako_buf_slice(&s->meta),
                        TAKO_SLICE_NONE, e);
}

/* One of the names under which this device may not write? */
static tako_err is_ours(store *s, crdt_actor actor, bool *ours, tako_errbuf *e)
{
    tako_buf names = tako_buf_on(s->env);
    tako_err err = store_names(&s->writer, &names, e);

    *ours = crdt_actor_cmp(actor, s->state.actor) == 0 ||
            (err == TAKO_OK && actor_listed(&names, actor));
    tako_buf_fini(&names);
    return err;
}

tako_err store_deny(store *s, uint32_t coll, tako_slice id, crdt_dot known,
                    store_denial *out, tako_errbuf *e)
{
    const crdt_context *c;
    doc_edit d;
    bool ours;

    TAKO_ARG(s != NULL && out != NULL);
    *out = (store_denial){ false, false };
    TAKO_TRY(txn_check(s, e));
    s->edit.open = false; /* its memory is used here */
    TAKO_TRY(edit_load(s, &s->edit_memory, coll, id, &d, e));
    if (!d.stored || d.marker || d.notice)
        return TAKO_OK;
    TAKO_TRY(is_ours(s, known.actor, &ours, e));
    if (!ours)
        return TAKO_OK;
    c = crdt_doc_context(d.doc);
    if (crdt_context_get(c, known.actor) <= known.hlc)
        return TAKO_OK; /* they are known there by now, or gone here */
    out->removed = true;
    out->others = c->count > 1;
    return let_go(s, &d, e);
}

bool store_row_is_denied(const store_row *row)
{
    return store_row_is_notice(row) && crdt_notice_is_bare(row->meta);
}

/* ---- rights ------------------------------------------------------------------ */

tako_err store_names(store_conn *c, tako_buf *out, tako_errbuf *e)
{
    size_t at = out->len;
    tako_buf last = tako_buf_on(c->env);
    tako_err err = store_kv_get(c, WROTE_KEY, &last);

    if (err == TAKO_OK || err == TAKO_NOTFOUND)
        err = store_former_actors(c, out);
    for (size_t i = at; last.len == ID_BYTES && i + ID_BYTES <= out->len;
         i += ID_BYTES)
        if (memcmp(out->ptr + i, last.ptr, ID_BYTES) == 0) {
            out->len -= i + ID_BYTES - at;
            memmove(out->ptr + at, out->ptr + i + ID_BYTES, out->len - at);
            break;
        }
    tako_buf_fini(&last);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading its former actors failed");
}

/* The actor is another one from here on. */
static tako_err retire_now(store *s, tako_errbuf *e)
{
    tako_err err = store_begin(s, e);

    if (err != TAKO_OK)
        return err;
    err = actor_retire(s, e);
    if (err == TAKO_OK)
        err = store_kv_put(s, WROTE_KEY,
                           tako_slice_of(s->state.actor.id, ID_BYTES));
    if (err == TAKO_OK)
        err = store_commit(s, NULL, e);
    else
        store_rollback(s);
    TAKO_TRY(err);
    TAKO_TRY(store_begin(s, e));
    return store_commit(s, NULL, e);
}

tako_err store_rights(store *s, bool write, tako_errbuf *e)
{
    static const uint8_t yes[1] = { 1 };
    tako_buf value = tako_buf_on(s->env);
    tako_err err = store_kv_get(&s->writer, WROTE_KEY, &value);
    bool wrote = err == TAKO_OK && value.len == 1;

    tako_buf_fini(&value);
    if (err == TAKO_NOTFOUND)
        err = TAKO_OK;
    if (err == TAKO_OK && write && !wrote)
        err = store_kv_put(s, WROTE_KEY, tako_slice_of(yes, sizeof yes));
    if (err != TAKO_OK)
        return tako_fail(e, err, "noting what this device may failed");
    return !write && wrote ? retire_now(s, e) : TAKO_OK;
}
