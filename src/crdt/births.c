// SPDX-License-Identifier: Apache-2.0
/* BIRTHS -- which INSERTs a document remembers (doc.h has the model).
 *
 * What reaping forgets must not come back by a merge, or a state would depend
 * on whether its document met an old copy: two states with one context would
 * differ (P2). An INSERT of a key of which nothing is stored begins above the
 * epoch, with no birth but its own; so that birth itself says from where on
 * anything is remembered, and everybody who merges it forgets as much:
 *
 *   first(state) = the generation of its least birth
 *   births of a merge = those of both sides, from the greater first on
 *
 * This is a join: the union of all births, from the greatest first on, in
 * whatever order they come; and a function of the events, as whether an INSERT
 * remembers anything before it is fixed when it is made. A delta brings a part
 * of the births, so it says its first.
 *
 * What a merge leaves behind so is dead: a later life began without it. The
 * caller is told, and buries it. */
#include "crdt/tree.h"

uint64_t crdt_births_first(const crdt_births *l)
{
    return l->count > 0 ? l->at[0].generation : 0;
}

uint64_t crdt_doc_first(const crdt_doc *d)
{
    return crdt_births_first(&d->births);
}

/* How many of l are before `first`. */
static uint32_t count_before(const crdt_births *l, uint64_t first)
{
    uint32_t n = 0;

    while (n < l->count && l->at[n].generation < first)
        n++;
    return n;
}

static tako_err tell_left(tako_arena *a, const crdt_births *l, uint32_t n,
                          crdt_merge_info *info)
{
    size_t total = info->left_count + n;
    crdt_dot *left;

    if (n == 0)
        return TAKO_OK;
    left = tako_arena_array(a, total, sizeof *left);
    if (left == NULL)
        return TAKO_NOMEM;
    for (size_t i = 0; i < info->left_count; i++)
        left[i] = info->left[i];
    for (uint32_t i = 0; i < n; i++)
        left[info->left_count + i] = l->at[i].dot;
    info->left = left;
    info->left_count = total;
    return TAKO_OK;
}

tako_err crdt_births_join(tako_arena *a, crdt_births *ours,
                          const crdt_births *theirs, uint64_t first,
                          crdt_merge_info *info)
{
    uint64_t from = crdt_births_first(ours);
    uint32_t gone, skip, count;

    from = from > first ? from : first;
    gone = count_before(ours, from);
    skip = count_before(theirs, from);
    TAKO_TRY(tell_left(a, ours, gone, info));
    TAKO_TRY(tell_left(a, theirs, skip, info));
    if (gone > 0) {
        ours->count -= gone;
        memmove(ours->at, ours->at + gone, ours->count * sizeof *ours->at);
    }
    count = ours->count;
    for (uint32_t i = skip; i < theirs->count; i++)
        TAKO_TRY(crdt_births_put(a, ours, theirs->at[i]));
    info->changed = info->changed || gone > 0 || ours->count != count;
    return TAKO_OK;
}

tako_err crdt_doc_left(const crdt_doc *was, const crdt_doc *now,
                       crdt_merge_info *info)
{
    uint64_t first = crdt_births_first(&now->births);

    return tell_left(now->arena, &was->births,
                     count_before(&was->births, first), info);
}
