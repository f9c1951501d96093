// SPDX-License-Identifier: Apache-2.0
#include "crdt/tree.h"

#define LIST_MIN 4u

/* The next capacity of a list, 0 when it cannot grow so far. */
static uint32_t list_cap(uint32_t cap, size_t count)
{
    size_t want = cap < LIST_MIN / 2 ? 1 : (size_t)cap * 2;

    if (count > UINT32_MAX / 2)
        return 0;
    return (uint32_t)(want < count ? count : want);
}

tako_err crdt_entries_reserve(tako_arena *a, crdt_entries *l, size_t count)
{
    uint32_t cap;
    crdt_entry *at;

    if (count <= l->cap)
        return TAKO_OK;
    cap = list_cap(l->cap, count);
    at = tako_arena_array(a, cap, sizeof *at);
    if (at == NULL)
        return TAKO_NOMEM;
    if (l->count > 0)
        memcpy(at, l->at, l->count * sizeof *at);
    l->at = at;
    l->cap = cap;
    return TAKO_OK;
}

tako_err crdt_entries_put(tako_arena *a, crdt_entries *l, crdt_entry e)
{
    uint32_t i = l->count;

    while (i > 0 && crdt_dot_cmp(l->at[i - 1].dot, e.dot) > 0)
        i--;
    if (i > 0 && crdt_dot_eq(&l->at[i - 1].dot, &e.dot)) {
        l->at[i - 1] = e;
        return TAKO_OK;
    }
    TAKO_TRY(crdt_entries_reserve(a, l, (size_t)l->count + 1));
    memmove(l->at + i + 1, l->at + i, (l->count - i) * sizeof e);
    l->at[i] = e;
    l->count++;
    return TAKO_OK;
}

tako_err crdt_sums_reserve(tako_arena *a, crdt_sums *l, size_t count)
{
    uint32_t cap;
    crdt_sum *at;

    if (count <= l->cap)
        return TAKO_OK;
    cap = list_cap(l->cap, count);
    at = tako_arena_array(a, cap, sizeof *at);
    if (at == NULL)
        return TAKO_NOMEM;
    if (l->count > 0)
        memcpy(at, l->at, l->count * sizeof *at);
    l->at = at;
    l->cap = cap;
    return TAKO_OK;
}

static uint32_t sums_find(const crdt_sums *l, const crdt_actor *actor,
                          bool *found)
{
    uint32_t lo = 0;
    uint32_t hi = l->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = crdt_actor_cmp(l->at[mid].dot.actor, *actor);

        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = false;
    return lo;
}

const crdt_sum *crdt_sums_find(const crdt_sums *l, crdt_actor actor)
{
    bool found;
    uint32_t i = sums_find(l, &actor, &found);

    return found ? &l->at[i] : NULL;
}

tako_err crdt_sums_of(tako_arena *a, crdt_sums *l, crdt_actor actor,
                      crdt_sum **out)
{
    bool found;
    uint32_t i = sums_find(l, &actor, &found);

    if (!found) {
        TAKO_TRY(crdt_sums_reserve(a, l, (size_t)l->count + 1));
        memmove(l->at + i + 1, l->at + i, (l->count - i) * sizeof *l->at);
        l->at[i] = (crdt_sum){ .dot = { .actor = actor } };
        l->count++;
    }
    *out = &l->at[i];
    return TAKO_OK;
}

static int birth_cmp(const crdt_birth *a, const crdt_birth *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return crdt_dot_cmp(a->dot, b->dot);
}

tako_err crdt_births_put(tako_arena *a, crdt_births *l, crdt_birth b)
{
    uint32_t i = l->count;

    while (i > 0 && birth_cmp(&l->at[i - 1], &b) > 0)
        i--;
    if (i > 0 && birth_cmp(&l->at[i - 1], &b) == 0)
        return TAKO_OK;
    if (l->count == l->cap) {
        uint32_t cap = list_cap(l->cap, (size_t)l->count + 1);
        crdt_birth *at = tako_arena_array(a, cap, sizeof *at);

        if (at == NULL)
            return TAKO_NOMEM;
        if (l->count > 0)
            memcpy(at, l->at, l->count * sizeof *at);
        l->at = at;
        l->cap = cap;
    }
    memmove(l->at + i + 1, l->at + i, (l->count - i) * sizeof b);
    l->at[i] = b;
    l->count++;
    return TAKO_OK;
}

crdt_dot crdt_default_dot(const crdt_births *l)
{
    uint32_t i = l->count - 1;

    while (i > 0 && l->at[i - 1].generation == l->at[i].generation)
        i--;
    return l->at[i].dot;
}

crdt_slot *crdt_map_find(const crdt_map *m, tako_slice key, size_t *at)
{
    size_t lo = 0;
    size_t hi = m->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = cbor_key_cmp(m->children[mid].key, key);

        if (order == 0) {
            *at = mid;
            return &m->children[mid];
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *at = lo;
    return NULL;
}

tako_err crdt_map_reserve(tako_arena *a, crdt_map *m, size_t count)
{
    uint32_t cap;
    crdt_slot *children;

    if (count <= m->cap)
        return TAKO_OK;
    cap = list_cap(m->cap < LIST_MIN ? LIST_MIN / 2 : m->cap, count);
    children = tako_arena_array(a, cap, sizeof *children);
    if (children == NULL)
        return TAKO_NOMEM;
    if (m->count > 0)
        memcpy(children, m->children, m->count * sizeof *children);
    m->children = children;
    m->cap = cap;
    return TAKO_OK;
}

tako_err crdt_map_add(tako_arena *a, crdt_map *m, size_t at, tako_slice key,
                      crdt_slot **out)
{
    TAKO_TRY(crdt_map_reserve(a, m, (size_t)m->count + 1));
    memmove(m->children + at + 1, m->children + at,
            (m->count - at) * sizeof *m->children);
    m->children[at] = (crdt_slot){ .key = key };
    m->count++;
    *out = &m->children[at];
    return TAKO_OK;
}

tako_err crdt_slot_map(tako_arena *a, crdt_slot *s, crdt_map **out)
{
    if (s->map == NULL) {
        s->map = TAKO_NEW(a, crdt_map);
        if (s->map == NULL)
            return TAKO_NOMEM;
        s->map->generation = CRDT_GENERATION_FIRST;
    }
    *out = s->map;
    return TAKO_OK;
}

tako_err crdt_slot_counter(tako_arena *a, crdt_slot *s, crdt_counter **out)
{
    if (s->counter == NULL) {
        s->counter = TAKO_NEW(a, crdt_counter);
        if (s->counter == NULL)
            return TAKO_NOMEM;
        s->counter->generation = CRDT_GENERATION_FIRST;
    }
    *out = s->counter;
    return TAKO_OK;
}

bool crdt_counter_holds(const crdt_counter *c)
{
    return c->starts.count > 0 || c->sums.count > 0 || c->baselines.count > 0;
}

bool crdt_slot_trim(crdt_slot *s)
{
    if (s->map != NULL && s->map->generation == CRDT_GENERATION_FIRST &&
        s->map->count == 0 && s->map->marks.count == 0)
        s->map = NULL;
    if (s->counter != NULL && s->counter->generation == CRDT_GENERATION_FIRST &&
        !crdt_counter_holds(s->counter))
        s->counter = NULL;
    return s->values.count > 0 || s->map != NULL || s->counter != NULL;
}

bool crdt_map_live(const crdt_map *m)
{
    if (m->marks.count > 0)
        return true;
    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        if (s->values.count > 0 ||
            (s->counter != NULL && s->counter->starts.count > 0) ||
            (s->map != NULL && crdt_map_live(s->map)))
            return true;
    }
    return false;
}

static void raise_dot(crdt_dot *dot, crdt_dot to)
{
    if (crdt_dot_cmp(*dot, to) < 0)
        *dot = to;
}

static void raise_by_last(crdt_dot *dot, const crdt_entries *l)
{
    if (l->count > 0)
        raise_dot(dot, l->at[l->count - 1].dot);
}

crdt_dot crdt_counter_greatest(const crdt_counter *c)
{
    crdt_dot greatest = { .hlc = 0 };

    raise_by_last(&greatest, &c->starts);
    for (uint32_t i = 0; i < c->sums.count; i++)
        raise_dot(&greatest, c->sums.at[i].dot);
    return greatest;
}

/* Recursive, like all walks here: depth is bounded by TAKO_VALUE_DEPTH_MAX,
 * which writes and decoders check. */
crdt_dot crdt_map_greatest(const crdt_map *m)
{
    crdt_dot greatest = { .hlc = 0 };

    raise_by_last(&greatest, &m->marks);
    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        raise_by_last(&greatest, &s->values);
        if (s->counter != NULL && s->counter->starts.count > 0)
            raise_dot(&greatest, crdt_counter_greatest(s->counter));
        if (s->map != NULL)
            raise_dot(&greatest, crdt_map_greatest(s->map));
    }
    return greatest;
}

static crdt_show show_of_value(const crdt_entry *e)
{
    return crdt_type_known(e->type) ? CRDT_SHOW_VALUE : CRDT_SHOW_UNKNOWN;
}

crdt_show crdt_slot_shows(const crdt_slot *s)
{
    bool counts = s->counter != NULL && s->counter->starts.count > 0;
    crdt_show show = CRDT_SHOW_NOTHING;
    crdt_dot best = { .hlc = 0 };

    if (s->values.count > 0) {
        const crdt_entry *last = &s->values.at[s->values.count - 1];

        show = show_of_value(last);
        best = last->dot;
    }
    if (s->map == NULL && !counts)
        return show;
    if (s->map != NULL && crdt_map_live(s->map)) {
        if (s->values.count == 0 && !counts)
            return CRDT_SHOW_MAP;
        crdt_dot dot = crdt_map_greatest(s->map);
        if (crdt_dot_cmp(best, dot) < 0) {
            show = CRDT_SHOW_MAP;
            best = dot;
        }
    }
    if (counts && crdt_dot_cmp(best, crdt_counter_greatest(s->counter)) < 0)
        show = CRDT_SHOW_COUNTER;
    return show;
}

int64_t crdt_counter_moved(const crdt_counter *c)
{
    uint64_t total = 0; /* modulo 2^64 */

    for (uint32_t i = 0; i < c->sums.count; i++)
        total += c->sums.at[i].inc - c->sums.at[i].dec;
    for (uint32_t i = 0; i < c->baselines.count; i++)
        total -= c->baselines.at[i].inc - c->baselines.at[i].dec;
    return (int64_t)total;
}

void crdt_counter_put(const crdt_counter *c, tako_buf *out)
{
    tako_reader r = tako_reader_of(c->starts.at[c->starts.count - 1].value);
    int64_t moved = crdt_counter_moved(c);
    cbor_item start = { .kind = CBOR_INT };

    (void)cbor_read(&r, &start);
    if (start.kind == CBOR_FLOAT)
        cbor_put_float(out, start.real + (double)moved);
    else
        cbor_put_int(out, (int64_t)((uint64_t)start.integer + (uint64_t)moved));
}
