// SPDX-License-Identifier: Apache-2.0
/* PAST -- what a document had seen at some time, as far as it still shows.
 *
 * Of an actor whose last event is later, the latest event that left something
 * alive, or began a life, is told: whoever has seen at least what was seen
 * here then has seen that. It is less than the truth where what an event wrote
 * was written over since; as the base of a delta it may be (delta.h), and the
 * receiver refuses it where it is more. */
#include "base/check.h"
#include "crdt/tree.h"

typedef struct past {
    uint64_t upto;
    crdt_context *out; /* the document's actors; 0 as long as none is found */
} past;

static void note(past *p, const crdt_dot *dot)
{
    size_t lo = 0, hi = p->out->count;

    if (dot->hlc > p->upto)
        return;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        crdt_dot *at = &p->out->dots[mid];
        int c = crdt_actor_cmp(dot->actor, at->actor);

        if (c == 0) {
            at->hlc = dot->hlc > at->hlc ? dot->hlc : at->hlc;
            return;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
}

static void note_entries(past *p, const crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        note(p, &l->at[i].dot);
}

static void note_map(past *p, const crdt_map *m)
{
    note_entries(p, &m->marks);
    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        note_entries(p, &s->values);
        if (s->counter != NULL)
            note_entries(p, &s->counter->starts);
        for (uint32_t k = 0; s->counter != NULL && k < s->counter->sums.count;
             k++)
            note(p, &s->counter->sums.at[k].dot);
        if (s->map != NULL)
            note_map(p, s->map);
    }
}

tako_err crdt_past(tako_arena *a, const crdt_doc *d, uint64_t upto,
                   crdt_context *out)
{
    past p = { upto, out };
    uint32_t n = 0;

    *out = (crdt_context){ NULL, 0, 0 };
    if (d->context.count == 0)
        return TAKO_OK;
    out->dots = tako_arena_array(a, d->context.count, sizeof *out->dots);
    if (out->dots == NULL)
        return TAKO_NOMEM;
    out->count = out->cap = d->context.count;
    for (uint32_t i = 0; i < out->count; i++) {
        out->dots[i] = d->context.dots[i];
        if (out->dots[i].hlc > upto)
            out->dots[i].hlc = 0;
    }
    for (uint32_t i = 0; i < d->births.count; i++)
        note(&p, &d->births.at[i].dot);
    note_map(&p, &d->root);
    for (uint32_t i = 0; i < out->count; i++)
        if (out->dots[i].hlc != 0)
            out->dots[n++] = out->dots[i];
    out->count = n;
    return TAKO_OK;
}
