// SPDX-License-Identifier: Apache-2.0
/* REDOT -- the last events of an actor under another actor's name.
 *
 * An actor that finds out that it was rolled back has made events that claim,
 * by its own vector, to have seen those that were lost (SYNC.md 1). Where
 * nobody else has them, they can be given to a new actor.
 *
 * One walk looks whether that is possible, a second one renames: dots of
 * entries, makers, births, and the sums of counters. Hlcs stay, so the order
 * of lists changes only among equal ones; and what removed something did it
 * by the context, which is split: `from` goes back to `seen`, `to` comes with
 * what `from` had.
 *
 * The sum of a counter cannot be split so: it is one number for all that the
 * actor added, before and since. Only a document that the renamed events made
 * (all its births are among them) has nothing from before. */
#include "base/check.h"
#include "crdt/tree.h"

typedef struct redot {
    const crdt_redot *r;
    bool all;      /* every dot of `from`, and its sums */
    bool summed;   /* a counter has its sum above */
    uint64_t last; /* the greatest hlc of `from` that stays */
} redot;

static bool is_renamed(const redot *x, const crdt_dot *dot)
{
    return dot->hlc > x->r->above &&
           crdt_actor_cmp(dot->actor, x->r->from) == 0;
}

/* ---- looking ------------------------------------------------------------- */

static void look_dot(redot *x, const crdt_dot *dot)
{
    if (dot->hlc <= x->r->above && dot->hlc > x->last &&
        crdt_actor_cmp(dot->actor, x->r->from) == 0)
        x->last = dot->hlc;
}

static void look_entries(redot *x, const crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        look_dot(x, &l->at[i].dot);
}

/* Nesting is bounded by TAKO_VALUE_DEPTH_MAX, as in all trees. */
static void look_map(redot *x, const crdt_map *m)
{
    look_dot(x, &m->maker);
    look_entries(x, &m->marks);
    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *slot = &m->children[i];
        const crdt_counter *c = slot->counter;

        look_entries(x, &slot->values);
        if (slot->map != NULL)
            look_map(x, slot->map);
        if (c == NULL)
            continue;
        look_dot(x, &c->maker);
        look_entries(x, &c->starts);
        for (uint32_t k = 0; k < c->sums.count; k++) {
            look_dot(x, &c->sums.at[k].dot);
            x->summed = x->summed || is_renamed(x, &c->sums.at[k].dot);
        }
    }
}

static bool look(redot *x, const crdt_doc *d)
{
    x->all = d->births.count > 0;
    for (uint32_t i = 0; i < d->births.count; i++) {
        look_dot(x, &d->births.at[i].dot);
        x->all = x->all && is_renamed(x, &d->births.at[i].dot);
    }
    look_map(x, &d->root);
    x->all = x->all && x->last == 0;
    return x->last <= x->r->seen && (x->all || !x->summed);
}

/* ---- renaming ------------------------------------------------------------ */

static void name_dot(const redot *x, crdt_dot *dot)
{
    if (is_renamed(x, dot))
        dot->actor = x->r->to;
}

static void name_entries(const redot *x, crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        crdt_entry moved = l->at[i];
        uint32_t k = i;

        name_dot(x, &moved.dot);
        for (; k > 0 && crdt_dot_cmp(l->at[k - 1].dot, moved.dot) > 0; k--)
            l->at[k] = l->at[k - 1];
        l->at[k] = moved;
    }
}

static void name_births(const redot *x, crdt_births *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        crdt_birth moved = l->at[i];
        uint32_t k = i;

        name_dot(x, &moved.dot);
        for (; k > 0 && l->at[k - 1].generation == moved.generation &&
               crdt_dot_cmp(l->at[k - 1].dot, moved.dot) > 0;
             k--)
            l->at[k] = l->at[k - 1];
        l->at[k] = moved;
    }
}

static void name_sums(const redot *x, crdt_sums *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        crdt_sum moved = l->at[i];
        uint32_t k = i;

        if (crdt_actor_cmp(moved.dot.actor, x->r->from) == 0)
            moved.dot.actor = x->r->to;
        for (; k > 0 &&
               crdt_actor_cmp(l->at[k - 1].dot.actor, moved.dot.actor) > 0;
             k--)
            l->at[k] = l->at[k - 1];
        l->at[k] = moved;
    }
}

static void name_map(const redot *x, crdt_map *m)
{
    name_dot(x, &m->maker);
    name_entries(x, &m->marks);
    for (uint32_t i = 0; i < m->count; i++) {
        crdt_slot *slot = &m->children[i];
        crdt_counter *c = slot->counter;

        name_entries(x, &slot->values);
        if (slot->map != NULL)
            name_map(x, slot->map);
        if (c == NULL)
            continue;
        name_dot(x, &c->maker);
        name_entries(x, &c->starts);
        if (x->all) {
            name_sums(x, &c->sums);
            name_sums(x, &c->baselines);
        }
    }
}

tako_err crdt_doc_redot(crdt_doc *d, const crdt_redot *r, bool *done)
{
    redot x = { .r = r };
    uint64_t had, stays;
    size_t at;
    bool found;

    TAKO_ARG(d != NULL && r != NULL && done != NULL && r->seen <= r->above);
    *done = false;
    had = crdt_context_get(&d->context, r->from);
    if (had <= r->above || crdt_context_get(&d->context, r->to) != 0 ||
        !look(&x, d))
        return TAKO_OK;
    TAKO_TRY(crdt_context_add(d->arena, &d->context, (crdt_dot){ r->to, had }));
    at = crdt_context_find(&d->context, &r->from, &found);
    TAKO_ASSERT(found);
    stays = x.all ? 0 : r->seen;
    if (stays > 0)
        d->context.dots[at].hlc = stays;
    else
        memmove(&d->context.dots[at], &d->context.dots[at + 1],
                (--d->context.count - at) * sizeof d->context.dots[0]);
    name_births(&x, &d->births);
    name_map(&x, &d->root);
    *done = true;
    return TAKO_OK;
}
