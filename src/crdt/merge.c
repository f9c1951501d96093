// SPDX-License-Identifier: Apache-2.0
/* MERGE -- the join of two states.
 *
 * Each entry is unknown, present or removed in a state (its dot not in the
 * context; in the tree; in the context and not in the tree), in this order,
 * and the join takes the greater: the dot store of Almeida, Shoker and
 * Baquero, "Delta state replicated data types" (2018). Generations stand
 * above that: the greater wins with its inside, from which still goes what
 * the other side has removed, so that the join is associative for any states
 * whatsoever, not only for those of honest histories.
 *
 * The same walk applies deltas: then `from` tells only what is beyond `base`,
 * and an entry that it does not name is gone only if its dot is beyond base
 * or it stands where from names everything. */
#include "base/check.h"
#include "crdt/tree.h"

typedef struct merger {
    tako_arena *a;
    const crdt_context *ours;   /* of into, as it was */
    const crdt_context *theirs; /* of from */
    const crdt_context *base;   /* NULL: from is whole */
    bool beyond;                /* into may hold dots of theirs beyond base */
    crdt_merge_info info;
    crdt_losing *losing; /* NULL: nobody asks what is lost */
} merger;

static const crdt_map NO_MAP = { .generation = CRDT_GENERATION_FIRST };
static const crdt_counter NO_COUNTER = { .generation = CRDT_GENERATION_FIRST };

static void forged(merger *m, crdt_dot dot)
{
    m->info.forged = true;
    m->info.forged_dot = dot;
}

/* ---- entries ----------------------------------------------------------- */

/* Has the other side removed this entry of ours, which it does not name? */
static bool is_gone(const merger *m, const crdt_entry *e, bool all)
{
    if (!crdt_context_has(m->theirs, e->dot))
        return false;
    return all || !crdt_context_has(m->base, e->dot);
}

/* One dot, two contents: the greater, type first. */
static tako_err take_greater(merger *m, crdt_entry *ours,
                             const crdt_entry *theirs)
{
    crdt_entry was = *ours;
    bool less;

    if (ours->value.ptr == theirs->value.ptr && ours->type == theirs->type)
        return TAKO_OK;
    if (theirs->value.len == 0) /* only the dot was sent */
        return TAKO_OK;
    if (ours->type == theirs->type && tako_slice_eq(ours->value, theirs->value))
        return TAKO_OK;
    forged(m, ours->dot);
    less = ours->type != theirs->type
               ? ours->type < theirs->type
               : tako_slice_cmp(ours->value, theirs->value) < 0;
    if (less) {
        *ours = *theirs;
        m->info.changed = true;
    }
    if (m->losing == NULL)
        return TAKO_OK;
    return crdt_lose_forged(m->losing, was.dot,
                            less ? was.value : theirs->value, ours->value);
}

/* Drops what is gone from ours. Both lists ascend. */
static tako_err drop_entries(merger *m, crdt_entries *ours,
                             const crdt_entries *theirs, bool all)
{
    uint32_t kept = 0;
    uint32_t j = 0;

    for (uint32_t i = 0; i < ours->count; i++) {
        crdt_entry *e = &ours->at[i];

        while (j < theirs->count && crdt_dot_cmp(theirs->at[j].dot, e->dot) < 0)
            j++;
        if (j < theirs->count && crdt_dot_eq(&theirs->at[j].dot, &e->dot))
            TAKO_TRY(take_greater(m, e, &theirs->at[j]));
        else if (is_gone(m, e, all))
            continue;
        if (kept != i)
            ours->at[kept] = *e;
        kept++;
    }
    if (kept != ours->count)
        m->info.changed = true;
    ours->count = kept;
    return TAKO_OK;
}

/* Adds what we have not seen; from the back, in one pass. */
static tako_err add_entries(merger *m, crdt_entries *ours,
                            const crdt_entries *theirs)
{
    uint32_t more = 0;
    uint32_t i = ours->count;
    uint32_t k;

    for (uint32_t j = 0; j < theirs->count; j++)
        more += !crdt_context_has(m->ours, theirs->at[j].dot);
    if (more == 0)
        return TAKO_OK;
    m->info.changed = true;
    TAKO_TRY(crdt_entries_reserve(m->a, ours, (size_t)ours->count + more));
    k = ours->count += more;
    for (uint32_t j = theirs->count; j > 0; j--) {
        const crdt_entry *e = &theirs->at[j - 1];

        if (crdt_context_has(m->ours, e->dot))
            continue;
        while (i > 0 && crdt_dot_cmp(ours->at[i - 1].dot, e->dot) > 0)
            ours->at[--k] = ours->at[--i];
        ours->at[--k] = *e;
    }
    return TAKO_OK;
}

static tako_err merge_entries(merger *m, crdt_entries *ours,
                              const crdt_entries *theirs, bool all)
{
    if (ours->count > 0 && (all || m->beyond || theirs->count > 0))
        TAKO_TRY(drop_entries(m, ours, theirs, all));
    if (theirs->count > 0)
        return add_entries(m, ours, theirs);
    return TAKO_OK;
}

/* ---- what is lost when a generation ends --------------------------------- */

static tako_err lose_map(const merger *m, const crdt_map *map,
                         const crdt_context *seen)
{
    /* Of the root who asks is told in one: lose_root(). */
    if (m->losing == NULL || m->losing->depth == 0)
        return TAKO_OK;
    return crdt_lose_map(m->losing, map, seen);
}

static tako_err lose_counter(const merger *m, const crdt_counter *c,
                             const crdt_context *seen)
{
    return m->losing == NULL ? TAKO_OK : crdt_lose_counter(m->losing, c, seen);
}

/* A life of the document that ends here. */
static tako_err lose_root(const merger *m, const crdt_doc *into,
                          const crdt_doc *from)
{
    if (m->losing == NULL)
        return TAKO_OK;
    if (into->root.generation > from->root.generation)
        return crdt_lose_doc(m->losing, from, m->ours);
    if (into->root.generation < from->root.generation)
        return crdt_lose_doc(m->losing, into, m->theirs);
    return TAKO_OK;
}

/* ---- counters ---------------------------------------------------------- */

static void raise_sum(merger *m, crdt_sum *ours, const crdt_sum *theirs)
{
    if (ours->inc < theirs->inc) {
        ours->inc = theirs->inc;
        m->info.changed = true;
    }
    if (ours->dec < theirs->dec) {
        ours->dec = theirs->dec;
        m->info.changed = true;
    }
}

static tako_err merge_sums(merger *m, crdt_sums *ours, const crdt_sums *theirs)
{
    for (uint32_t i = 0; i < theirs->count; i++) {
        const crdt_sum *t = &theirs->at[i];
        crdt_sum *o;

        TAKO_TRY(crdt_sums_of(m->a, ours, t->dot.actor, &o));
        if (o->dot.hlc < t->dot.hlc) {
            *o = *t;
            m->info.changed = true;
        } else if (o->dot.hlc == t->dot.hlc) {
            if (t->dot.hlc > 0 && (o->inc != t->inc || o->dec != t->dec)) {
                forged(m, t->dot);
                if (m->losing != NULL)
                    TAKO_TRY(crdt_lose_forged_sum(m->losing, o, t));
            }
            raise_sum(m, o, t); /* baselines, whose hlc is 0, come here */
        }
    }
    return TAKO_OK;
}

static tako_err merge_counter(merger *m, crdt_counter *ours,
                              const crdt_counter *theirs)
{
    if (ours->generation > theirs->generation) {
        TAKO_TRY(lose_counter(m, theirs, m->ours));
        return merge_entries(m, &ours->starts, &NO_MAP.marks, true);
    }
    if (ours->generation < theirs->generation) {
        TAKO_TRY(lose_counter(m, ours, m->theirs));
        *ours = (crdt_counter){ .generation = theirs->generation,
                                .maker = theirs->maker };
        m->info.changed = true;
    } else if (crdt_dot_cmp(theirs->maker, ours->maker) < 0) {
        ours->maker = theirs->maker;
        m->info.changed = true;
    }
    TAKO_TRY(merge_entries(m, &ours->starts, &theirs->starts, true));
    TAKO_TRY(merge_sums(m, &ours->sums, &theirs->sums));
    return merge_sums(m, &ours->baselines, &theirs->baselines);
}

/* ---- maps -------------------------------------------------------------- */

static tako_err merge_inside(merger *m, crdt_map *ours, const crdt_map *theirs,
                             bool all);

static tako_err merge_map(merger *m, crdt_map *ours, const crdt_map *theirs,
                          bool listed, bool all)
{
    if (ours->generation > theirs->generation) {
        TAKO_TRY(lose_map(m, theirs, m->ours));
        TAKO_TRY(merge_entries(m, &ours->marks, &NO_MAP.marks, listed));
        return merge_inside(m, ours, &NO_MAP, all);
    }
    if (ours->generation < theirs->generation) {
        TAKO_TRY(lose_map(m, ours, m->theirs));
        ours->generation = theirs->generation;
        ours->maker = theirs->maker;
        ours->marks.count = 0;
        ours->count = 0;
        m->info.changed = true;
    } else if (crdt_dot_cmp(theirs->maker, ours->maker) < 0) {
        ours->maker = theirs->maker;
        m->info.changed = true;
    }
    TAKO_TRY(merge_entries(m, &ours->marks, &theirs->marks, listed));
    return merge_inside(m, ours, theirs, all);
}

static tako_err merge_parts(merger *m, crdt_slot *ours, const crdt_slot *theirs,
                            bool all)
{
    static const crdt_slot nothing = { .listed = false };
    const crdt_slot *t = theirs != NULL ? theirs : &nothing;
    const crdt_map *map = t->map != NULL ? t->map : &NO_MAP;
    crdt_map *our_map;
    crdt_counter *counter;

    TAKO_TRY(merge_entries(m, &ours->values, &t->values, all || t->listed));
    if (ours->map != NULL || t->map != NULL) {
        TAKO_TRY(crdt_slot_map(m->a, ours, &our_map));
        TAKO_TRY(merge_map(m, our_map, map, all || t->listed, all || t->all));
    }
    if (t->counter != NULL || (ours->counter != NULL && all)) {
        TAKO_TRY(crdt_slot_counter(m->a, ours, &counter));
        return merge_counter(m, counter,
                             t->counter != NULL ? t->counter : &NO_COUNTER);
    }
    if (ours->counter != NULL) /* not spoken of */
        return merge_entries(m, &ours->counter->starts, &NO_MAP.marks, false);
    return TAKO_OK;
}

/* `theirs` may be NULL: a slot that the other side does not speak of. `all`:
 * the other side names all it has in the map around. */
static tako_err merge_slot(merger *m, crdt_slot *ours, const crdt_slot *theirs,
                           bool all)
{
    if (m->losing != NULL)
        crdt_losing_enter(m->losing, ours->key);
    TAKO_TRY(merge_parts(m, ours, theirs, all));
    if (m->losing != NULL)
        crdt_losing_leave(m->losing);
    return TAKO_OK;
}

/* Children that only the other side has, put among ours. */
static tako_err add_children(merger *m, crdt_map *ours, const crdt_map *theirs,
                             uint32_t more, bool all)
{
    crdt_map out = *ours;
    uint32_t i = 0;
    uint32_t j = 0;

    out.count = 0;
    out.cap = 0;
    TAKO_TRY(crdt_map_reserve(m->a, &out, (size_t)ours->count + more));
    while (i < ours->count || j < theirs->count) {
        int order =
            i == ours->count ? 1
            : j == theirs->count
                ? -1
                : cbor_key_cmp(ours->children[i].key, theirs->children[j].key);

        if (order <= 0) {
            out.children[out.count++] = ours->children[i++];
            j += order == 0;
        } else {
            const crdt_slot *t = &theirs->children[j++];
            crdt_slot *s = &out.children[out.count];

            *s = (crdt_slot){ .key = t->key };
            TAKO_TRY(merge_slot(m, s, t, all));
            if (crdt_slot_trim(s))
                out.count++;
        }
    }
    ours->children = out.children;
    ours->count = out.count;
    ours->cap = out.cap;
    return TAKO_OK;
}

static tako_err merge_all_children(merger *m, crdt_map *ours,
                                   const crdt_map *theirs, bool all)
{
    uint32_t kept = 0;
    uint32_t met = 0;
    uint32_t j = 0;
    uint32_t count = ours->count;

    for (uint32_t i = 0; i < count; i++) {
        crdt_slot *s = &ours->children[i];
        const crdt_slot *t = NULL;
        int order = 1;

        while (j < theirs->count &&
               (order = cbor_key_cmp(theirs->children[j].key, s->key)) < 0)
            j++;
        if (j < theirs->count && order == 0) {
            t = &theirs->children[j++];
            met++;
        }
        TAKO_TRY(merge_slot(m, s, t, all));
        /* A slot left empty stays until theirs are added, so that the other
         * walk meets the same keys. */
        kept += crdt_slot_trim(s);
    }
    if (met < theirs->count)
        TAKO_TRY(add_children(m, ours, theirs, theirs->count - met, all));
    if (kept == count)
        return TAKO_OK;
    for (uint32_t i = kept = 0; i < ours->count; i++) {
        if (crdt_slot_trim(&ours->children[i]))
            ours->children[kept++] = ours->children[i];
    }
    ours->count = kept;
    return TAKO_OK;
}

/* The few children of a delta, each looked up among ours. */
static tako_err merge_few_children(merger *m, crdt_map *ours,
                                   const crdt_map *theirs)
{
    for (uint32_t j = 0; j < theirs->count; j++) {
        const crdt_slot *t = &theirs->children[j];
        size_t at;
        crdt_slot *s = crdt_map_find(ours, t->key, &at);

        if (s == NULL) {
            crdt_slot fresh = { .key = t->key };

            TAKO_TRY(merge_slot(m, &fresh, t, false));
            if (crdt_slot_trim(&fresh)) {
                TAKO_TRY(crdt_map_add(m->a, ours, at, t->key, &s));
                *s = fresh;
            }
            continue;
        }
        TAKO_TRY(merge_slot(m, s, t, false));
        if (!crdt_slot_trim(s)) {
            ours->count--;
            memmove(s, s + 1, (ours->count - at) * sizeof *s);
        }
    }
    return TAKO_OK;
}

static tako_err merge_inside(merger *m, crdt_map *ours, const crdt_map *theirs,
                             bool all)
{
    /* Few of theirs: a search for each is less than a walk over ours. */
    if (!all && !m->beyond && theirs->count < 4)
        return merge_few_children(m, ours, theirs);
    return merge_all_children(m, ours, theirs, all);
}

/* ---- documents --------------------------------------------------------- */

static tako_err check_actors(const crdt_doc *into, const crdt_doc *from)
{
    size_t count = into->context.count;

    if (count + from->context.count <= TAKO_CONTEXT_ACTORS_MAX)
        return TAKO_OK;
    for (size_t i = 0; i < from->context.count; i++)
        count +=
            crdt_context_get(&into->context, from->context.dots[i].actor) == 0;
    return count <= TAKO_CONTEXT_ACTORS_MAX ? TAKO_OK : TAKO_LIMIT;
}

/* Could into hold entries whose dots are theirs, but beyond base? */
static bool holds_beyond(const crdt_doc *into, const crdt_context *theirs,
                         const crdt_context *base)
{
    for (size_t i = 0; i < into->context.count; i++) {
        crdt_dot dot = into->context.dots[i];
        uint64_t based = crdt_context_get(base, dot.actor);

        if (dot.hlc > based && crdt_context_get(theirs, dot.actor) > based)
            return true;
    }
    return false;
}

static tako_err merge_docs(merger *m, crdt_doc *into, const crdt_doc *from,
                           bool all)
{
    bool whole = m->base == NULL;
    uint64_t first = whole ? crdt_births_first(&from->births) : from->first;

    m->info.changed = !crdt_context_covers(&into->context, &from->context);
    m->beyond = whole || holds_beyond(into, &from->context, m->base);
    TAKO_TRY(lose_root(m, into, from));
    TAKO_TRY(
        crdt_births_join(m->a, &into->births, &from->births, first, &m->info));
    TAKO_TRY(merge_map(m, &into->root, &from->root, whole, whole || all));
    if (!m->info.changed)
        return TAKO_OK;
    return crdt_context_join(into->arena, &into->context, &from->context);
}

tako_err crdt_merge_beyond(crdt_doc *into, const crdt_doc *from,
                           const crdt_context *base, bool all,
                           crdt_merge_info *info)
{
    merger m = { .a = into->arena,
                 .ours = &into->context,
                 .theirs = &from->context,
                 .base = base };
    crdt_losing losing;

    if (info != NULL)
        *info = (crdt_merge_info){ 0 };
    TAKO_TRY(check_actors(into, from));
    if (info == NULL)
        return merge_docs(&m, into, from, all);
    losing.a = into->arena; /* the keys need no zeros */
    losing.first = losing.last = NULL;
    losing.count = losing.depth = 0;
    losing.any = false;
    m.losing = &losing;
    TAKO_TRY(merge_docs(&m, into, from, all));
    m.info.lost = losing.any;
    m.info.losses = losing.first;
    *info = m.info;
    return TAKO_OK;
}

tako_err crdt_merge(crdt_doc *into, const crdt_doc *from, crdt_merge_info *info)
{
    return crdt_merge_beyond(into, from, NULL, true, info);
}

tako_err crdt_doc_copy(const crdt_doc *d, crdt_doc **out)
{
    TAKO_TRY(crdt_doc_new(d->arena, out));
    return crdt_merge(*out, d, NULL);
}
