// SPDX-License-Identifier: Apache-2.0
/* DELTA -- writing what is beyond a base (SYNC.md section 2).
 *
 * Names are given out by the caller, who may remember each (a session sends a
 * key once): so nothing is written that could be taken back, and each slot is
 * first asked whether it has anything to say. */
#include "base/check.h"
#include "base/hash.h"
#include "crdt/delta_form.h"
#include "crdt/meta.h"

/* ---- the sum ----------------------------------------------------------- */

typedef struct summer {
    const crdt_context *base;
    const uint8_t *key;
    uint64_t sum;
} summer;

/* SipHash under the caller's key with its first half replaced by the hash of
 * what is around, so that paths need not be put together. */
static uint64_t hash_under(const summer *s, uint64_t around, tako_slice data)
{
    uint8_t key[16];

    for (size_t i = 0; i < 8; i++)
        key[i] = (uint8_t)(around >> (56 - 8 * i));
    memcpy(key + 8, s->key + 8, 8);
    return tako_hash64(key, data);
}

static void sum_entries(summer *s, uint64_t path, uint8_t kind,
                        const crdt_entries *l)
{
    uint8_t bytes[1 + sizeof(crdt_actor) + 8];

    for (uint32_t i = 0; i < l->count; i++) {
        const crdt_dot *dot = &l->at[i].dot;

        if (!crdt_context_has(s->base, *dot))
            continue;
        bytes[0] = kind;
        memcpy(bytes + 1, dot->actor.id, sizeof dot->actor);
        for (size_t j = 0; j < 8; j++)
            bytes[1 + sizeof dot->actor + j] =
                (uint8_t)(dot->hlc >> (56 - 8 * j));
        s->sum += hash_under(s, path, tako_slice_of(bytes, sizeof bytes));
    }
}

static void sum_map(summer *s, uint64_t path, const crdt_map *m);

static void sum_slot(summer *s, uint64_t around, const crdt_slot *c)
{
    uint64_t at = hash_under(s, around, c->key);

    sum_entries(s, at, 'v', &c->values);
    if (c->counter != NULL)
        sum_entries(s, at, 's', &c->counter->starts);
    if (c->map != NULL)
        sum_map(s, at, c->map);
}

static void sum_map(summer *s, uint64_t path, const crdt_map *m)
{
    sum_entries(s, path, 'm', &m->marks);
    for (uint32_t i = 0; i < m->count; i++)
        sum_slot(s, path, &m->children[i]);
}

static uint64_t root_path(const uint8_t key[16])
{
    tako_reader r = tako_reader_of(tako_slice_of(key, 16));

    return tako_read_u64(&r);
}

uint64_t crdt_delta_sum(const crdt_doc *d, const crdt_context *base,
                        const uint8_t key[16])
{
    summer s = { .base = base, .key = key };

    sum_map(&s, root_path(key), &d->root);
    return s.sum;
}

uint64_t crdt_delta_field_sum(const crdt_slot *field, const crdt_context *base,
                              const uint8_t key[16])
{
    summer s = { .base = base, .key = key };

    sum_slot(&s, root_path(key), field);
    return s.sum;
}

/* ---- what has something to say ------------------------------------------ */

typedef struct writer {
    const crdt_context *base;
    const crdt_context *full;
    const crdt_names_out *names;
    tako_buf *out;
    crdt_actor *actors; /* as numbered */
    size_t count;
} writer;

static bool is_new(const writer *w, crdt_dot dot)
{
    return !crdt_context_has(w->base, dot);
}

static bool any_new(const writer *w, const crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (is_new(w, l->at[i].dot))
            return true;
    }
    return false;
}

static bool any_old(const writer *w, const crdt_entries *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (!is_new(w, l->at[i].dot))
            return true;
    }
    return false;
}

/* Is one of `before` no longer there? */
static bool any_removed(const crdt_entries *now, const crdt_entries *before)
{
    uint32_t i = 0;

    for (uint32_t j = 0; j < before->count; j++) {
        while (i < now->count &&
               crdt_dot_cmp(now->at[i].dot, before->at[j].dot) < 0)
            i++;
        if (i == now->count ||
            !crdt_dot_eq(&now->at[i].dot, &before->at[j].dot))
            return true;
    }
    return false;
}

static bool counter_says(const writer *w, const crdt_counter *c,
                         const crdt_counter *before)
{
    if (c == NULL)
        return false;
    if ((c->generation != CRDT_GENERATION_FIRST && is_new(w, c->maker)) ||
        any_new(w, &c->starts))
        return true;
    for (uint32_t i = 0; i < c->sums.count; i++) {
        if (is_new(w, c->sums.at[i].dot))
            return true;
    }
    return before != NULL && before->generation == c->generation &&
           any_removed(&c->starts, &before->starts);
}

/* The map of `before`, where it is in the same life as m. */
static const crdt_map *same_life(const crdt_map *m, const crdt_slot *before)
{
    if (before == NULL || before->map == NULL ||
        before->map->generation !=
            (m == NULL ? CRDT_GENERATION_FIRST : m->generation))
        return NULL;
    return before->map;
}

static bool slot_lists(const writer *w, const crdt_slot *s,
                       const crdt_slot *before)
{
    static const crdt_entries none = { NULL, 0, 0 };
    const crdt_entries *marks = s->map != NULL ? &s->map->marks : &none;
    const crdt_map *old = same_life(s->map, before);

    return any_new(w, &s->values) || any_new(w, marks) ||
           (before != NULL && any_removed(&s->values, &before->values)) ||
           (old != NULL && any_removed(marks, &old->marks));
}

static bool map_says(const writer *w, const crdt_map *m,
                     const crdt_map *before);

static bool slot_says(const writer *w, const crdt_slot *s,
                      const crdt_slot *before)
{
    static const crdt_map none = { .generation = CRDT_GENERATION_FIRST };
    const crdt_map *old = same_life(s->map, before);

    if (slot_lists(w, s, before) ||
        counter_says(w, s->counter, before != NULL ? before->counter : NULL))
        return true;
    if (s->map == NULL && old == NULL)
        return false;
    if (s->map != NULL && s->map->generation != CRDT_GENERATION_FIRST &&
        is_new(w, s->map->maker))
        return true;
    return map_says(w, s->map != NULL ? s->map : &none, old);
}

/* The children of two maps side by side; before may be NULL. */
typedef struct pairs {
    const crdt_map *now;
    const crdt_map *before;
    uint32_t i;
    uint32_t j;
} pairs;

static bool next_pair(pairs *p, const crdt_slot **now, const crdt_slot **before)
{
    bool has_now = p->i < p->now->count;
    bool has_before = p->before != NULL && p->j < p->before->count;
    int order;

    if (!has_now && !has_before)
        return false;
    order = !has_before ? -1
            : !has_now  ? 1
                        : cbor_key_cmp(p->now->children[p->i].key,
                                       p->before->children[p->j].key);
    *now = order <= 0 ? &p->now->children[p->i++] : NULL;
    *before = order >= 0 ? &p->before->children[p->j++] : NULL;
    return true;
}

/* A slot that is there no more, as if it were there and empty. */
static const crdt_slot *or_empty(const crdt_slot *now, const crdt_slot *before,
                                 crdt_slot *room)
{
    if (now != NULL)
        return now;
    *room = (crdt_slot){ .key = before->key };
    return room;
}

static bool map_says(const writer *w, const crdt_map *m, const crdt_map *before)
{
    pairs p = { .now = m, .before = before };
    const crdt_slot *s;
    const crdt_slot *b;
    crdt_slot room;

    while (next_pair(&p, &s, &b)) {
        if (slot_says(w, or_empty(s, b, &room), b))
            return true;
    }
    return false;
}

/* Is an entry alive inside that base has? */
static bool map_has_old(const writer *w, const crdt_map *m)
{
    for (uint32_t i = 0; m != NULL && i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        if (any_old(w, &s->values) ||
            (s->counter != NULL && any_old(w, &s->counter->starts)) ||
            (s->map != NULL &&
             (any_old(w, &s->map->marks) || map_has_old(w, s->map))))
            return true;
    }
    return false;
}

/* ---- writing ----------------------------------------------------------- */

static size_t actor_number(const writer *w, crdt_actor actor)
{
    size_t i = 0;

    while (i < w->count && crdt_actor_cmp(w->actors[i], actor) != 0)
        i++;
    TAKO_ASSERT(i < w->count);
    return i;
}

static void put_dot(const writer *w, crdt_dot dot)
{
    size_t i = actor_number(w, dot.actor);
    uint64_t known = crdt_context_get(w->full, dot.actor);

    tako_put_varint(w->out, 2 * i + (known != dot.hlc));
    if (known != dot.hlc)
        crdt_hlc_put(w->out, known, dot.hlc);
}

static bool is_first(const writer *w, crdt_dot dot)
{
    return crdt_actor_cmp(w->actors[0], dot.actor) == 0 &&
           crdt_context_get(w->full, dot.actor) == dot.hlc;
}

static delta_listing listing_of(const writer *w, const crdt_slot *s)
{
    uint32_t marks = s->map != NULL ? s->map->marks.count : 0;

    if (s->values.count == 0 &&
        (marks == 0 || (marks == 1 && is_first(w, s->map->marks.at[0].dot) &&
                        is_new(w, s->map->marks.at[0].dot))))
        return DELTA_NONE;
    if (s->values.count == 1 && marks == 0 &&
        s->values.at[0].type == CRDT_REGISTER &&
        is_first(w, s->values.at[0].dot) && is_new(w, s->values.at[0].dot))
        return DELTA_ONE;
    return DELTA_LIST;
}

static void put_listing(const writer *w, const crdt_slot *s,
                        delta_listing listing)
{
    if (listing == DELTA_ONE)
        tako_put_bytes(w->out, s->values.at[0].value);
    if (listing != DELTA_LIST)
        return;
    tako_put_varint(w->out, s->values.count);
    for (uint32_t i = 0; i < s->values.count; i++) {
        const crdt_entry *e = &s->values.at[i];

        put_dot(w, e->dot);
        if (!is_new(w, e->dot))
            continue;
        tako_put_varint(w->out, e->type);
        tako_put_bytes(w->out, e->value);
    }
    tako_put_varint(w->out, s->map != NULL ? s->map->marks.count : 0);
    for (uint32_t i = 0; s->map != NULL && i < s->map->marks.count; i++)
        put_dot(w, s->map->marks.at[i].dot);
}

static void put_counter(const writer *w, const crdt_counter *c)
{
    tako_put_varint(w->out, c->generation);
    if (c->generation != CRDT_GENERATION_FIRST)
        put_dot(w, c->maker);
    if ((c->generation & 1) == 0)
        return;
    tako_put_varint(w->out, c->starts.count);
    for (uint32_t i = 0; i < c->starts.count; i++) {
        put_dot(w, c->starts.at[i].dot);
        tako_put_bytes(w->out, c->starts.at[i].value);
    }
    tako_put_varint(w->out, c->sums.count);
    for (uint32_t i = 0; i < c->sums.count; i++) {
        put_dot(w, c->sums.at[i].dot);
        tako_put_varint(w->out, c->sums.at[i].inc);
        tako_put_varint(w->out, c->sums.at[i].dec);
    }
    tako_put_varint(w->out, c->baselines.count);
    for (uint32_t i = 0; i < c->baselines.count; i++) {
        tako_put_varint(w->out, actor_number(w, c->baselines.at[i].dot.actor));
        tako_put_varint(w->out, c->baselines.at[i].inc);
        tako_put_varint(w->out, c->baselines.at[i].dec);
    }
}

static void put_slot_flags(const writer *w, delta_listing listing,
                           const crdt_map *m, bool inside, bool all,
                           bool counts)
{
    bool mark = listing == DELTA_NONE && m->marks.count > 0;
    bool gen = m->generation != CRDT_GENERATION_FIRST;

    tako_put_u8(w->out,
                (uint8_t)((unsigned)listing | (mark ? DELTA_MARK : 0) |
                          (gen ? DELTA_GEN : 0) | (inside ? DELTA_INSIDE : 0) |
                          (all ? DELTA_ALL_INSIDE : 0) |
                          (counts ? DELTA_COUNTER : 0)));
}

static void put_inside(const writer *w, const crdt_map *m,
                       const crdt_map *before);

static void put_slot(const writer *w, const crdt_slot *s,
                     const crdt_slot *before)
{
    static const crdt_map none = { .generation = CRDT_GENERATION_FIRST };
    const crdt_map *m = s->map != NULL ? s->map : &none;
    const crdt_map *old = same_life(s->map, before);
    delta_listing listing = DELTA_UNLISTED;
    bool all = !map_has_old(w, s->map);
    bool inside;
    bool gen = m->generation != CRDT_GENERATION_FIRST;
    bool counts =
        counter_says(w, s->counter, before != NULL ? before->counter : NULL);

    if (all) /* says by itself what is gone */
        old = NULL;
    inside = map_says(w, m, old);
    if (slot_lists(w, s, before))
        listing = listing_of(w, s);
    put_slot_flags(w, listing, m, inside, all, counts);
    put_listing(w, s, listing);
    if (gen) {
        tako_put_varint(w->out, m->generation);
        put_dot(w, m->maker);
    }
    if (inside)
        put_inside(w, m, old);
    if (counts)
        put_counter(w, s->counter);
}

static void put_inside(const writer *w, const crdt_map *m,
                       const crdt_map *before)
{
    const crdt_slot *s;
    const crdt_slot *b;
    crdt_slot room;
    uint64_t count = 0;

    for (pairs p = { .now = m, .before = before }; next_pair(&p, &s, &b);)
        count += slot_says(w, or_empty(s, b, &room), b);
    tako_put_varint(w->out, count);
    for (pairs p = { .now = m, .before = before }; next_pair(&p, &s, &b);) {
        s = or_empty(s, b, &room);
        if (!slot_says(w, s, b))
            continue;
        w->names->key(w->names->ctx, w->out, s->key);
        put_slot(w, s, b);
    }
}

/* All that is in a slot, whether base has it or not. A counter that is not
 * there goes without saying in a map that is told, but not at its top. */
static void put_told(const writer *w, const crdt_slot *s, bool top)
{
    static const crdt_map none = { .generation = CRDT_GENERATION_FIRST };
    static const crdt_counter zero = { .generation = CRDT_GENERATION_FIRST };
    const crdt_map *m = s->map != NULL ? s->map : &none;
    const crdt_counter *c = s->counter == NULL && top ? &zero : s->counter;
    delta_listing listing = listing_of(w, s);

    put_slot_flags(w, listing, m, m->count > 0, true, c != NULL);
    put_listing(w, s, listing);
    if (m->generation != CRDT_GENERATION_FIRST) {
        tako_put_varint(w->out, m->generation);
        put_dot(w, m->maker);
    }
    if (m->count > 0)
        tako_put_varint(w->out, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        w->names->key(w->names->ctx, w->out, m->children[i].key);
        put_told(w, &m->children[i], false);
    }
    if (c != NULL)
        put_counter(w, c);
}

/* The inside of the root: the fields that `told` names in full. */
static void put_fields(const writer *w, const crdt_map *m, const crdt_map *told)
{
    const crdt_slot *s;
    const crdt_slot *t;
    crdt_slot room;
    uint64_t count = 0;

    for (pairs p = { .now = m, .before = told }; next_pair(&p, &s, &t);)
        count += t != NULL || slot_says(w, s, NULL);
    tako_put_varint(w->out, count);
    for (pairs p = { .now = m, .before = told }; next_pair(&p, &s, &t);) {
        if (t == NULL && !slot_says(w, s, NULL))
            continue;
        s = or_empty(s, t, &room);
        w->names->key(w->names->ctx, w->out, s->key);
        if (t != NULL)
            put_told(w, s, true);
        else
            put_slot(w, s, NULL);
    }
}

static void put_births(const writer *w, const crdt_doc *d)
{
    uint64_t last = crdt_last_life(d->root.generation);
    uint64_t count = 0;

    for (uint32_t i = 0; i < d->births.count; i++)
        count += is_new(w, d->births.at[i].dot);
    tako_put_varint(w->out, d->root.generation);
    tako_put_varint(w->out, d->births.count == 0
                                ? 0
                                : (last - crdt_births_first(&d->births)) / 2);
    tako_put_varint(w->out, count);
    for (uint32_t i = 0; i < d->births.count; i++) {
        const crdt_birth *b = &d->births.at[i];

        if (!is_new(w, b->dot))
            continue;
        tako_put_varint(w->out, (last - b->generation) / 2);
        put_dot(w, b->dot);
    }
}

/* Numbers the actors (changed, new, equal) and writes them. */
static void put_actors(writer *w, delta_form_actors form,
                       const size_t counts[3])
{
    if (form == DELTA_COUNTS) {
        for (size_t i = 0; i < 3; i++)
            tako_put_varint(w->out, counts[i]);
    }
    for (size_t class = 0; class < 3; class ++) {
        for (size_t i = 0; i < w->full->count; i++) {
            crdt_dot dot = w->full->dots[i];
            uint64_t base = crdt_context_get(w->base, dot.actor);
            size_t is = base == dot.hlc ? 2 : base == 0;

            if (is != class)
                continue;
            w->actors[w->count++] = dot.actor;
            w->names->dot(w->names->ctx, w->out, dot);
            if (is == 0)
                crdt_hlc_put(w->out, dot.hlc, base);
        }
    }
}

static delta_form_actors form_of(const writer *w, size_t counts[3])
{
    for (size_t i = 0; i < w->full->count; i++) {
        crdt_dot dot = w->full->dots[i];
        uint64_t base = crdt_context_get(w->base, dot.actor);

        counts[base == dot.hlc ? 2 : base == 0]++;
    }
    if (counts[0] == 1 && counts[1] == 0 && counts[2] <= 1)
        return counts[2] == 0 ? DELTA_ONE_CHANGED : DELTA_CHANGED_AND_EQUAL;
    if (counts[0] == 0 && counts[1] == 1 && counts[2] == 0)
        return DELTA_ONE_NEW;
    return DELTA_COUNTS;
}

static void put_delta(writer *w, const crdt_doc *d, const crdt_doc *before,
                      const crdt_map *told, const uint8_t *sum_key)
{
    size_t counts[3] = { 0, 0, 0 };
    delta_form_actors form = form_of(w, counts);
    bool alive = crdt_doc_alive(d);
    bool all = !alive || !map_has_old(w, &d->root);
    bool sum = !all && before == NULL && told == NULL;
    bool root = d->root.generation != CRDT_GENERATION_FIRST;

    for (uint32_t i = 0; i < d->births.count; i++)
        root |= is_new(w, d->births.at[i].dot);
    tako_put_u8(w->out,
                (uint8_t)((root ? DELTA_ROOT : 0) | (sum ? DELTA_SUM : 0) |
                          (all ? DELTA_ALL : 0) |
                          (unsigned)form << DELTA_FORM_SHIFT));
    put_actors(w, form, counts);
    if (root)
        put_births(w, d);
    if (alive && told != NULL)
        put_fields(w, &d->root, told);
    else if (alive)
        put_inside(w, &d->root,
                   all || before == NULL ||
                           before->root.generation != d->root.generation
                       ? NULL
                       : &before->root);
    if (sum)
        tako_put_u64(w->out, crdt_delta_sum(d, w->base, sum_key));
}

tako_err crdt_context_meet(tako_arena *a, const crdt_context *base,
                           const crdt_context *full, crdt_context *out)
{
    if (crdt_context_covers(full, base)) {
        *out = *base;
        return TAKO_OK;
    }
    *out = (crdt_context){ 0 };
    for (size_t i = 0; i < base->count; i++) {
        crdt_dot dot = base->dots[i];
        uint64_t known = crdt_context_get(full, dot.actor);

        dot.hlc = dot.hlc < known ? dot.hlc : known;
        TAKO_TRY(crdt_context_add(a, out, dot));
    }
    return TAKO_OK;
}

#define ACTORS_ON_STACK 8u

static tako_err encode(const crdt_doc *d, const crdt_context *base,
                       const crdt_doc *before, const crdt_map *told,
                       const uint8_t *sum_key, const crdt_names_out *names,
                       tako_buf *out)
{
    crdt_actor few[ACTORS_ON_STACK];
    tako_arena scratch = tako_arena_on(d->arena->env);
    crdt_context met;
    writer w = { .full = &d->context, .names = names, .out = out };
    size_t len = out->len;
    tako_err err;

    err = crdt_context_meet(&scratch, base, &d->context, &met);
    if (err != TAKO_OK)
        goto out;
    w.base = &met;
    w.actors = few;
    if (d->context.count > ACTORS_ON_STACK) {
        w.actors = tako_arena_array(&scratch, d->context.count, sizeof *few);
        if (w.actors == NULL) {
            err = TAKO_NOMEM;
            goto out;
        }
    }
    /* A state at any other context cannot name what is gone since base. */
    if (before != NULL && !crdt_context_eq(&before->context, &met))
        before = NULL;
    put_delta(&w, d, before, told, sum_key);
    if (out->failed) {
        err = TAKO_NOMEM;
        out->len = len;
    }
out:
    tako_arena_fini(&scratch);
    return err;
}

tako_err crdt_delta_encode(const crdt_doc *d, const crdt_context *base,
                           const crdt_doc *before, const uint8_t sum_key[16],
                           const crdt_names_out *names, tako_buf *out)
{
    return encode(d, base, before, NULL, sum_key, names, out);
}

tako_err crdt_delta_encode_told(const crdt_doc *d, const crdt_context *base,
                                const crdt_map *told,
                                const crdt_names_out *names, tako_buf *out)
{
    return encode(d, base, NULL, told, NULL, names, out);
}

/* ---- plain names ------------------------------------------------------- */

static void plain_put_dot(void *ctx, tako_buf *out, crdt_dot dot)
{
    (void)ctx;
    tako_put_bytes(out, tako_slice_of(dot.actor.id, sizeof dot.actor));
    tako_put_varint(out, dot.hlc);
}

static void plain_put_key(void *ctx, tako_buf *out, tako_slice key)
{
    (void)ctx;
    tako_put_block(out, key);
}

const crdt_names_out crdt_names_plain_out = { NULL, plain_put_dot,
                                              plain_put_key };
