// SPDX-License-Identifier: Apache-2.0
/* LOSS -- what a merge takes away though nobody meant to: the writes inside a
 * life that ended elsewhere, by somebody who had not seen them.
 *
 * An INSERT is lost as a whole, an update value by value, so that an app can
 * show a person what it was, and write it again. Listed are at most
 * TAKO_LOST_OF_MERGE_MAX losses of one merge; beyond that only `lost` tells.
 * Nothing is done here unless something is lost, which is rare. */
#include "base/check.h"
#include "crdt/tree.h"

static tako_err add(crdt_losing *l, const crdt_loss *what, crdt_path path)
{
    tako_slice *keys = NULL;
    crdt_loss *loss;

    if (l->count == TAKO_LOST_OF_MERGE_MAX)
        return TAKO_OK;
    loss = TAKO_NEW(l->a, crdt_loss);
    if (loss == NULL)
        return TAKO_NOMEM;
    if (path.count > 0) {
        keys = tako_arena_array(l->a, path.count, sizeof *keys);
        if (keys == NULL)
            return TAKO_NOMEM;
        memcpy(keys, path.keys, path.count * sizeof *keys);
    }
    *loss = *what;
    loss->path = (crdt_path){ keys, path.count };
    if (l->last != NULL)
        l->last->next = loss;
    else
        l->first = loss;
    l->last = loss;
    l->count++;
    return TAKO_OK;
}

static crdt_path here(const crdt_losing *l)
{
    return (crdt_path){ l->keys, l->depth };
}

void crdt_losing_enter(crdt_losing *l, tako_slice key)
{
    TAKO_ASSERT(l->depth < TAKO_VALUE_DEPTH_MAX + 1u);
    l->keys[l->depth++] = key;
}

void crdt_losing_leave(crdt_losing *l)
{
    TAKO_ASSERT(l->depth > 0);
    l->depth--;
}

/* Whatever `b` has, in the arena; frees it. */
static tako_err take(crdt_losing *l, tako_buf *b, tako_slice *out)
{
    *out =
        b->failed ? TAKO_SLICE_NONE : tako_arena_copy(l->a, tako_buf_slice(b));
    tako_buf_fini(b);
    return out->ptr != NULL ? TAKO_OK : TAKO_NOMEM;
}

/* ---- two contents under one dot ------------------------------------------- */

tako_err crdt_lose_forged(crdt_losing *l, crdt_dot dot, tako_slice lost,
                          tako_slice kept)
{
    const crdt_loss loss = {
        .kind = CRDT_LOST_FORGED, .dot = dot, .value = lost, .kept = kept
    };

    return add(l, &loss, here(l));
}

static tako_err sum_value(crdt_losing *l, const crdt_sum *sum, tako_slice *out)
{
    tako_buf b = tako_buf_on(l->a->env);

    cbor_put_map(&b, 2);
    cbor_put_text(&b, tako_slice_str("dec"));
    cbor_put_int(&b, (int64_t)(sum->dec & INT64_MAX));
    cbor_put_text(&b, tako_slice_str("inc"));
    cbor_put_int(&b, (int64_t)(sum->inc & INT64_MAX));
    return take(l, &b, out);
}

tako_err crdt_lose_forged_sum(crdt_losing *l, const crdt_sum *ours,
                              const crdt_sum *theirs)
{
    tako_slice a, b;

    TAKO_TRY(sum_value(l, ours, &a));
    TAKO_TRY(sum_value(l, theirs, &b));
    return crdt_lose_forged(l, ours->dot, b, a);
}

/* ---- a life that ended ------------------------------------------------------ */

/* Does `seen` take it away unseen? What a seed brought is nobody's work: any
 * real write beats it. */
static bool is_lost(crdt_dot dot, const crdt_context *seen)
{
    return dot.hlc > CRDT_SEED_HLC_MAX && !crdt_context_has(seen, dot);
}

static tako_err lose_entries(crdt_losing *l, const crdt_entries *list,
                             const crdt_context *seen)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const crdt_entry *e = &list->at[i];
        const crdt_loss loss = { .kind = CRDT_LOST_UPDATE,
                                 .dot = e->dot,
                                 .value = e->value };

        if (!is_lost(e->dot, seen))
            continue;
        l->any = true;
        TAKO_TRY(add(l, &loss, here(l)));
    }
    return TAKO_OK;
}

/* An object was assigned here, and nothing in it is lost by itself. */
static tako_err lose_marks(crdt_losing *l, const crdt_entries *marks,
                           const crdt_context *seen)
{
    static const uint8_t empty[1] = { 0xa0 };

    for (uint32_t i = 0; i < marks->count; i++) {
        const crdt_loss loss = { .kind = CRDT_LOST_UPDATE,
                                 .dot = marks->at[i].dot,
                                 .value = tako_slice_of(empty, 1) };

        if (!is_lost(marks->at[i].dot, seen))
            continue;
        l->any = true;
        TAKO_TRY(add(l, &loss, here(l)));
    }
    return TAKO_OK;
}

static tako_err lose_sum(crdt_losing *l, const crdt_sum *sum)
{
    tako_buf b = tako_buf_on(l->a->env);
    crdt_loss loss = { .kind = CRDT_LOST_INCREMENT, .dot = sum->dot };

    cbor_put_int(&b, (int64_t)(sum->inc - sum->dec));
    TAKO_TRY(take(l, &b, &loss.value));
    l->any = true;
    return add(l, &loss, here(l));
}

/* The start that an INCREMENT of nothing made says nothing beside its sum. */
static bool is_bare(const crdt_counter *c, const crdt_entry *start)
{
    return start->value.len == 1 && start->value.ptr[0] == 0 &&
           crdt_sums_find(&c->sums, start->dot.actor) != NULL;
}

tako_err crdt_lose_counter(crdt_losing *l, const crdt_counter *c,
                           const crdt_context *seen)
{
    for (uint32_t i = 0; i < c->starts.count; i++) {
        crdt_entries one = { &c->starts.at[i], 1, 1 };

        if (is_bare(c, &c->starts.at[i]))
            continue;
        TAKO_TRY(lose_entries(l, &one, seen));
    }
    for (uint32_t i = 0; i < c->sums.count; i++) {
        if (is_lost(c->sums.at[i].dot, seen))
            TAKO_TRY(lose_sum(l, &c->sums.at[i]));
    }
    return TAKO_OK;
}

static tako_err lose_slot(crdt_losing *l, const crdt_slot *s,
                          const crdt_context *seen)
{
    TAKO_TRY(lose_entries(l, &s->values, seen));
    if (s->counter != NULL)
        TAKO_TRY(crdt_lose_counter(l, s->counter, seen));
    return s->map != NULL ? crdt_lose_map(l, s->map, seen) : TAKO_OK;
}

tako_err crdt_lose_map(crdt_losing *l, const crdt_map *m,
                       const crdt_context *seen)
{
    uint32_t before = l->count;

    for (uint32_t i = 0; i < m->count; i++) {
        crdt_losing_enter(l, m->children[i].key);
        TAKO_TRY(lose_slot(l, &m->children[i], seen));
        crdt_losing_leave(l);
    }
    return l->count == before ? lose_marks(l, &m->marks, seen) : TAKO_OK;
}

/* The INSERT that made the present life of a document, if it is not seen. */
static const crdt_birth *unseen_birth(const crdt_doc *d,
                                      const crdt_context *seen)
{
    for (uint32_t i = 0; i < d->births.count; i++) {
        const crdt_birth *b = &d->births.at[i];

        if (b->generation == d->root.generation && is_lost(b->dot, seen))
            return b;
    }
    return NULL;
}

tako_err crdt_lose_doc(crdt_losing *l, const crdt_doc *d,
                       const crdt_context *seen)
{
    const crdt_birth *birth = unseen_birth(d, seen);
    tako_buf b = tako_buf_on(l->a->env);
    crdt_loss loss = { .kind = CRDT_LOST_INSERT };

    if (birth == NULL)
        return crdt_lose_map(l, &d->root, seen);
    crdt_map_put(&d->root, &b);
    TAKO_TRY(take(l, &b, &loss.value));
    loss.dot = birth->dot;
    l->any = true;
    return add(l, &loss, here(l));
}
