// SPDX-License-Identifier: Apache-2.0
#include "crdt/doc.h"

#include "base/check.h"
#include "base/hash.h"
#include "crdt/tree.h"

tako_err crdt_doc_new(tako_arena *a, crdt_doc **out)
{
    crdt_doc *d = TAKO_NEW(a, crdt_doc);

    if (d == NULL)
        return TAKO_NOMEM;
    d->arena = a;
    *out = d;
    return TAKO_OK;
}

bool crdt_doc_alive(const crdt_doc *d)
{
    return (d->root.generation & 1) != 0;
}

uint64_t crdt_doc_generation(const crdt_doc *d)
{
    return d->root.generation;
}

const crdt_context *crdt_doc_context(const crdt_doc *d)
{
    return &d->context;
}

size_t crdt_doc_births(const crdt_doc *d, crdt_dot *out, size_t cap)
{
    for (size_t i = 0; i < d->births.count && i < cap; i++)
        out[i] = d->births.at[i].dot;
    return d->births.count;
}

crdt_dot crdt_doc_birth(const crdt_doc *d, size_t i, bool *ended)
{
    TAKO_ASSERT(i < d->births.count);
    *ended = d->births.at[i].generation < d->root.generation;
    return d->births.at[i].dot;
}

bool crdt_context_seeded(const crdt_context *c)
{
    /* No event is so near to 1970: see crdt_initial. */
    for (size_t i = 0; i < c->count; i++)
        if (c->dots[i].hlc <= CRDT_SEED_HLC_MAX)
            return true;
    return false;
}

void crdt_doc_after(crdt_doc *d, uint64_t generation)
{
    TAKO_ASSERT(d->context.count == 0 && (generation & 1) == 0);
    d->root.generation = generation;
}

/* ---- INSERT ... INITIAL ------------------------------------------------ */

tako_err crdt_initial(tako_arena *a, tako_slice id, uint64_t seed_version,
                      tako_slice fields, crdt_doc **out)
{
    tako_buf content = tako_buf_on(a->env);
    crdt_dot dot = { .hlc = 1 + seed_version };
    crdt_doc *d;
    tako_err err;

    TAKO_ARG(seed_version < CRDT_SEED_HLC_MAX);
    tako_put_block(&content, id);
    tako_put_u64(&content, seed_version);
    tako_put_bytes(&content, fields);
    err = content.failed ? TAKO_NOMEM : TAKO_OK;
    if (err == TAKO_OK)
        tako_hash16(tako_buf_slice(&content), dot.actor.id);
    tako_buf_fini(&content);
    TAKO_TRY(err);
    TAKO_TRY(crdt_doc_new(a, &d));
    TAKO_TRY(crdt_insert(d, dot, fields));
    *out = d;
    return TAKO_OK;
}

/* ---- what shows -------------------------------------------------------- */

static void put_shown(const crdt_slot *s, crdt_show show, tako_buf *out)
{
    switch (show) {
    case CRDT_SHOW_VALUE:
    case CRDT_SHOW_UNKNOWN:
        tako_put_bytes(out, s->values.at[s->values.count - 1].value);
        break;
    case CRDT_SHOW_MAP:
        crdt_map_put(s->map, out);
        break;
    case CRDT_SHOW_COUNTER:
        crdt_counter_put(s->counter, out);
        break;
    case CRDT_SHOW_NOTHING:
        break;
    }
}

void crdt_map_put(const crdt_map *m, tako_buf *out)
{
    uint64_t shown = 0;

    for (uint32_t i = 0; i < m->count; i++)
        shown += crdt_slot_shows(&m->children[i]) < CRDT_SHOW_NOTHING;
    cbor_put_map(out, shown);
    for (uint32_t i = 0; i < m->count; i++) {
        crdt_show show = crdt_slot_shows(&m->children[i]);

        if (show >= CRDT_SHOW_NOTHING)
            continue;
        cbor_put_text(out, m->children[i].key);
        put_shown(&m->children[i], show, out);
    }
}

/* ---- conflicts --------------------------------------------------------- */

typedef struct lister {
    crdt_conflict_fn *fn;
    void *ctx;
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];
    size_t depth;
    tako_buf shown;
    tako_buf loser;
    bool failed;
} lister;

static void report(lister *l, crdt_dot shown_dot, crdt_dot dot,
                   tako_slice loser)
{
    crdt_path path = { l->keys, l->depth };

    /* Two who wrote the same do not disagree. */
    if (tako_slice_eq(tako_buf_slice(&l->shown), loser))
        return;
    l->fn(l->ctx, path, shown_dot, tako_buf_slice(&l->shown), dot, loser);
}

static void report_built(lister *l, crdt_dot shown_dot, crdt_dot dot)
{
    l->failed |= l->shown.failed || l->loser.failed;
    if (!l->failed)
        report(l, shown_dot, dot, tako_buf_slice(&l->loser));
    tako_buf_reset(&l->loser);
}

static void list_starts(lister *l, const crdt_counter *c)
{
    const crdt_entry *last = &c->starts.at[c->starts.count - 1];

    tako_buf_reset(&l->shown);
    tako_put_bytes(&l->shown, last->value);
    l->failed |= l->shown.failed;
    for (uint32_t i = 0; i + 1 < c->starts.count && !l->failed; i++)
        report(l, last->dot, c->starts.at[i].dot, c->starts.at[i].value);
}

static void list_slot(lister *l, const crdt_slot *s, crdt_show show)
{
    bool map = s->map != NULL && crdt_map_live(s->map);
    bool counts = s->counter != NULL && s->counter->starts.count > 0;
    bool value = show == CRDT_SHOW_VALUE || show == CRDT_SHOW_UNKNOWN;
    uint32_t losers = s->values.count - value;
    crdt_dot dot = { .hlc = 0 };

    if (losers + map + counts > (value ? 0u : 1u)) {
        if (value)
            dot = s->values.at[s->values.count - 1].dot;
        else
            dot = show == CRDT_SHOW_MAP ? crdt_map_greatest(s->map)
                                        : crdt_counter_greatest(s->counter);
        tako_buf_reset(&l->shown);
        put_shown(s, show, &l->shown);
        for (uint32_t i = 0; i < losers && !l->shown.failed; i++)
            report(l, dot, s->values.at[i].dot, s->values.at[i].value);
        if (map && show != CRDT_SHOW_MAP) {
            crdt_map_put(s->map, &l->loser);
            report_built(l, dot, crdt_map_greatest(s->map));
        }
        if (counts && show != CRDT_SHOW_COUNTER) {
            crdt_counter_put(s->counter, &l->loser);
            report_built(l, dot, crdt_counter_greatest(s->counter));
        }
        l->failed |= l->shown.failed;
    }
    if (show == CRDT_SHOW_COUNTER && s->counter->starts.count > 1)
        list_starts(l, s->counter);
}

static void list_map(lister *l, const crdt_map *m)
{
    for (uint32_t i = 0; i < m->count && !l->failed; i++) {
        const crdt_slot *s = &m->children[i];
        crdt_show show = crdt_slot_shows(s);

        if (show == CRDT_SHOW_NOTHING)
            continue;
        l->keys[l->depth++] = s->key;
        list_slot(l, s, show);
        if (show == CRDT_SHOW_MAP)
            list_map(l, s->map);
        l->depth--;
    }
}

tako_err crdt_conflicts(const crdt_doc *d, crdt_conflict_fn *fn, void *ctx)
{
    lister l = { .fn = fn, .ctx = ctx };

    l.shown = tako_buf_on(d->arena->env);
    l.loser = tako_buf_on(d->arena->env);
    if (crdt_doc_alive(d))
        list_map(&l, &d->root);
    tako_buf_fini(&l.shown);
    tako_buf_fini(&l.loser);
    return l.failed ? TAKO_NOMEM : TAKO_OK;
}
