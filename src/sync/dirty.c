// SPDX-License-Identifier: Apache-2.0
/* DIRTY -- documents that changed and that one peer has not been sent yet.
 *
 * A set, not a queue: a slow link gets the latest state of a document, not
 * each step, and its memory is bounded. Kept in order of first change. An
 * entry remembers what the peer had before, so that a delta can be made
 * against it; where that would take too much room, it does not, and the whole
 * state is sent. */
#include "sync/state.h"

#define DIRTY_FIRST    16u
#define DIRTY_BODY_MAX 4096u /* longer bodies are not kept */
#define DIRTY_META_MAX (256u << 10)

void sync_dirty_init(sync_dirty *d, const tako_env *env)
{
    *d = (sync_dirty){ .env = env };
}

static void drop_base(sync_dirty *d, sync_dirty_doc *doc)
{
    size_t bytes = doc->meta_len + (doc->has_body ? doc->body_len : 0);

    if (doc->base == NULL)
        return;
    d->bytes -= bytes;
    tako_env_free(d->env, doc->base, bytes);
    doc->base = NULL;
}

void sync_dirty_clear(sync_dirty *d)
{
    for (uint32_t i = d->first; i < d->count; i++)
        drop_base(d, &d->docs[i]);
    tako_env_free(d->env, d->docs, d->cap * sizeof *d->docs);
    tako_env_free(d->env, d->chains, d->chain_count * sizeof *d->chains);
    sync_dirty_init(d, d->env);
}

void sync_dirty_fini(sync_dirty *d)
{
    sync_dirty_clear(d);
}

static uint32_t *chain_of(const sync_dirty *d, uint32_t coll, int64_t row)
{
    uint64_t h = ((uint64_t)row ^ coll) * UINT64_C(0x9e3779b97f4a7c15);

    return &d->chains[(h >> 32) & (d->chain_count - 1u)];
}

/* Room for one more, chains as many as entries. */
static bool grow(sync_dirty *d)
{
    uint32_t cap = d->cap == 0 ? DIRTY_FIRST : d->cap * 2u;
    sync_dirty_doc *docs;
    uint32_t *chains;

    if (d->count < d->cap)
        return true;
    chains = tako_env_alloc(d->env, cap * sizeof *chains);
    if (chains == NULL)
        return false;
    docs = d->env->realloc(d->env->ctx, d->docs, d->cap * sizeof *docs,
                           cap * sizeof *docs);
    if (docs == NULL) {
        tako_env_free(d->env, chains, cap * sizeof *chains);
        return false;
    }
    tako_env_free(d->env, d->chains, d->chain_count * sizeof *chains);
    d->docs = docs;
    d->cap = d->chain_count = cap;
    d->chains = chains;
    for (uint32_t i = d->first; i < d->count; i++) {
        uint32_t *head = chain_of(d, docs[i].coll, docs[i].row);

        docs[i].next = *head;
        *head = i + 1u;
    }
    return true;
}

sync_dirty_doc *sync_dirty_touch(sync_dirty *d, uint32_t coll, int64_t row,
                                 bool *fresh)
{
    uint32_t *head;

    *fresh = false;
    for (uint32_t at = d->chain_count == 0 ? 0 : *chain_of(d, coll, row);
         at != 0; at = d->docs[at - 1u].next)
        if (d->docs[at - 1u].coll == coll && d->docs[at - 1u].row == row) {
            d->docs[at - 1u].jumped = true;
            return &d->docs[at - 1u];
        }
    if (d->count >= TAKO_SYNC_DIRTY_MAX || !grow(d))
        return NULL;
    head = chain_of(d, coll, row);
    d->docs[d->count] =
        (sync_dirty_doc){ .coll = coll, .row = row, .next = *head };
    *head = ++d->count;
    *fresh = true;
    return &d->docs[d->count - 1u];
}

void sync_dirty_base(sync_dirty *d, sync_dirty_doc *doc, tako_slice meta,
                     tako_slice body)
{
    bool has_body = body.len <= DIRTY_BODY_MAX;
    size_t bytes = meta.len + (has_body ? body.len : 0);

    if (meta.len == 0 || meta.len > DIRTY_META_MAX ||
        bytes > TAKO_SYNC_DIRTY_BYTES_MAX - d->bytes)
        return;
    doc->base = tako_env_alloc(d->env, bytes);
    if (doc->base == NULL)
        return;
    memcpy(doc->base, meta.ptr, meta.len);
    if (has_body && body.len > 0)
        memcpy(doc->base + meta.len, body.ptr, body.len);
    doc->meta_len = (uint32_t)meta.len;
    doc->body_len = (uint32_t)body.len;
    doc->has_body = has_body;
    d->bytes += bytes;
}

void sync_dirty_ask(sync_dirty *d, sync_dirty_doc *doc, tako_slice question)
{
    drop_base(d, doc);
    doc->asked = false;
    if (question.len == 0 ||
        question.len > TAKO_SYNC_DIRTY_BYTES_MAX - d->bytes)
        return;
    doc->base = tako_env_alloc(d->env, question.len);
    if (doc->base == NULL)
        return;
    memcpy(doc->base, question.ptr, question.len);
    doc->meta_len = (uint32_t)question.len;
    doc->body_len = 0;
    doc->has_body = false;
    doc->asked = true;
    d->bytes += question.len;
}

sync_dirty_doc *sync_dirty_first(sync_dirty *d)
{
    return d->first < d->count ? &d->docs[d->first] : NULL;
}

void sync_dirty_pop(sync_dirty *d)
{
    sync_dirty_doc *doc = sync_dirty_first(d);
    uint32_t *at = chain_of(d, doc->coll, doc->row);

    while (*at != d->first + 1u)
        at = &d->docs[*at - 1u].next;
    *at = doc->next;
    drop_base(d, doc);
    d->first++;
    if (d->first < d->count)
        return;
    if (d->cap > DIRTY_FIRST * 16u) { /* give a burst's memory back */
        sync_dirty_clear(d);
        return;
    }
    d->first = d->count = 0;
}
