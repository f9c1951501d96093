// SPDX-License-Identifier: Apache-2.0
/* ENCODE -- a tree to its one stored form (meta.h), in one walk.
 *
 * Meta and body grow side by side. A child is written as if it were an
 * exception and taken back when nothing about it turned out to be one; counts
 * are put in front of what they count afterwards. */
#include "base/check.h"
#include "crdt/meta.h"

typedef struct encoder {
    const crdt_doc *d;
    crdt_dot origin;
    tako_buf *meta;
    tako_buf *body;
} encoder;

static size_t actor_number(const encoder *e, crdt_actor actor)
{
    bool found;
    size_t i = crdt_context_find(&e->d->context, &actor, &found);

    TAKO_ASSERT(found); /* the context covers every dot of the state */
    return i;
}

static void put_dot(encoder *e, crdt_dot dot)
{
    const crdt_context *c = &e->d->context;
    size_t i;

    if (crdt_dot_eq(&dot, &e->origin)) {
        tako_put_varint(e->meta, 0);
        return;
    }
    i = actor_number(e, dot.actor);
    if (c->dots[i].hlc == dot.hlc) {
        tako_put_varint(e->meta, 1 + i);
        return;
    }
    tako_put_varint(e->meta, 1 + c->count + i);
    crdt_hlc_put(e->meta, e->origin.hlc, dot.hlc);
}

/* The last of the values is in the body when `shown`. */
static void put_values(encoder *e, const crdt_entries *l, bool shown)
{
    tako_put_varint(e->meta, l->count);
    for (uint32_t i = 0; i < l->count; i++) {
        put_dot(e, l->at[i].dot);
        tako_put_varint(e->meta, l->at[i].type);
        if (!shown || i + 1 < l->count)
            tako_put_bytes(e->meta, l->at[i].value);
    }
}

static void put_counter(encoder *e, const crdt_counter *c)
{
    tako_put_varint(e->meta, c->generation);
    if (c->generation != CRDT_GENERATION_FIRST)
        put_dot(e, c->maker);
    if ((c->generation & 1) == 0)
        return;
    tako_put_varint(e->meta, c->starts.count);
    for (uint32_t i = 0; i < c->starts.count; i++) {
        put_dot(e, c->starts.at[i].dot);
        tako_put_bytes(e->meta, c->starts.at[i].value);
    }
    tako_put_varint(e->meta, c->sums.count);
    for (uint32_t i = 0; i < c->sums.count; i++) {
        put_dot(e, c->sums.at[i].dot);
        tako_put_varint(e->meta, c->sums.at[i].inc);
        tako_put_varint(e->meta, c->sums.at[i].dec);
    }
    tako_put_varint(e->meta, c->baselines.count);
    for (uint32_t i = 0; i < c->baselines.count; i++) {
        const crdt_sum *b = &c->baselines.at[i];

        tako_put_varint(e->meta, actor_number(e, b->dot.actor));
        tako_put_varint(e->meta, b->inc);
        tako_put_varint(e->meta, b->dec);
    }
}

static bool in_body(crdt_show show)
{
    return show < CRDT_SHOW_NOTHING;
}

static bool put_inside(encoder *e, const crdt_map *m, bool shown);

/* The map of a slot; returns the flags of what was written. */
static unsigned put_map(encoder *e, const crdt_map *m, bool shown)
{
    static const crdt_map none = { .generation = CRDT_GENERATION_FIRST };
    unsigned has = 0;
    bool plain;

    if (m == NULL)
        m = &none;
    if (m->generation != CRDT_GENERATION_FIRST) {
        has |= CRDT_HAS_GEN;
        tako_put_varint(e->meta, m->generation);
        put_dot(e, m->maker);
    }
    plain = shown ? m->marks.count == 1 &&
                        crdt_dot_eq(&m->marks.at[0].dot, &e->origin)
                  : m->marks.count == 0;
    if (!plain) {
        has |= CRDT_HAS_MARKS;
        tako_put_varint(e->meta, m->marks.count);
        for (uint32_t i = 0; i < m->marks.count; i++)
            put_dot(e, m->marks.at[i].dot);
    }
    if (put_inside(e, m, shown))
        has |= CRDT_HAS_INSIDE;
    return has;
}

/* Writes a slot that shows so in the body; false when it is all default, so
 * that what was put into meta can be taken back. */
static bool put_slot(encoder *e, const crdt_slot *s, crdt_show show)
{
    size_t at = e->meta->len;
    unsigned has = show;
    bool plain = show == CRDT_SHOW_MAP;

    tako_put_u8(e->meta, 0);
    if (show == CRDT_SHOW_VALUE) {
        const crdt_entry *last = &s->values.at[s->values.count - 1];

        tako_put_bytes(e->body, last->value);
        if (s->values.count == 1 && last->type == CRDT_REGISTER) {
            plain = crdt_dot_eq(&last->dot, &e->origin) &&
                    cbor_kind_of(last->value) != CBOR_MAP;
            if (plain && s->map == NULL && s->counter == NULL)
                return false;
            put_dot(e, last->dot);
        } else {
            has |= CRDT_HAS_VALUES;
            put_values(e, &s->values, true);
        }
    } else if (s->values.count > 0) {
        has |= CRDT_HAS_VALUES;
        put_values(e, &s->values, false);
    }
    if (s->map != NULL)
        has |= put_map(e, s->map, show == CRDT_SHOW_MAP);
    if (show == CRDT_SHOW_COUNTER)
        crdt_counter_put(s->counter, e->body);
    if (s->counter != NULL) {
        has |= CRDT_HAS_COUNTER;
        put_counter(e, s->counter);
    }
    if (!e->meta->failed)
        e->meta->ptr[at] = (uint8_t)has;
    return !plain || has != (unsigned)show;
}

/* Puts the counts before what began at `start`. */
static void put_counts(encoder *e, size_t start, uint64_t exceptions,
                       uint64_t hidden)
{
    size_t end = e->meta->len;
    uint8_t head[20];
    size_t n;

    tako_put_varint(e->meta, exceptions << 1 | (hidden > 0));
    if (hidden > 0)
        tako_put_varint(e->meta, hidden);
    if (e->meta->failed || start == end)
        return;
    n = e->meta->len - end;
    memcpy(head, e->meta->ptr + end, n);
    memmove(e->meta->ptr + start + n, e->meta->ptr + start, end - start);
    memcpy(e->meta->ptr + start, head, n);
}

static uint64_t put_hidden(encoder *e, const crdt_map *m, bool shown)
{
    uint64_t hidden = 0;

    for (uint32_t i = 0; i < m->count; i++) {
        const crdt_slot *s = &m->children[i];

        if (shown && in_body(crdt_slot_shows(s)))
            continue;
        hidden++;
        tako_put_block(e->meta, s->key);
        (void)put_slot(e, s, CRDT_SHOW_NOTHING);
    }
    return hidden;
}

/* Writes the children of a map, into the body only when `shown`; false, and
 * nothing in meta, when all are default. */
static bool put_inside(encoder *e, const crdt_map *m, bool shown)
{
    size_t start = e->meta->len;
    uint64_t hidden = put_hidden(e, m, shown);
    uint64_t exceptions = 0;
    uint64_t gap = 0;

    if (shown) {
        cbor_put_map(e->body, m->count - hidden);
        for (uint32_t i = 0; i < m->count; i++) {
            const crdt_slot *s = &m->children[i];
            crdt_show show = crdt_slot_shows(s);
            size_t at = e->meta->len;

            if (!in_body(show))
                continue;
            cbor_put_text(e->body, s->key);
            tako_put_varint(e->meta, gap);
            if (put_slot(e, s, show)) {
                exceptions++;
                gap = 0;
            } else {
                e->meta->len = at;
                gap++;
            }
        }
    }
    if (exceptions == 0 && hidden == 0)
        return false;
    put_counts(e, start, exceptions, hidden);
    return true;
}

static void put_births(encoder *e)
{
    const crdt_births *l = &e->d->births;
    uint64_t last = crdt_last_life(e->d->root.generation);

    tako_put_varint(e->meta, l->count - 1);
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->at[i].generation == last &&
            crdt_dot_eq(&l->at[i].dot, &e->origin))
            continue;
        tako_put_varint(e->meta, l->at[i].generation);
        put_dot(e, l->at[i].dot);
    }
}

tako_err crdt_doc_encode(const crdt_doc *d, tako_buf *meta, tako_buf *body)
{
    encoder e = { .d = d, .meta = meta, .body = body };
    size_t fresh;
    bool plain = true;

    if (d->root.generation == 0) {
        crdt_front_put(meta, &d->context, 0, e.origin);
        return meta->failed ? TAKO_NOMEM : TAKO_OK;
    }
    e.origin = crdt_default_dot(&d->births);
    crdt_front_put(meta, &d->context, d->root.generation, e.origin);
    fresh = meta->len;
    for (size_t i = 0; i < d->context.count; i++)
        crdt_hlc_put(meta, e.origin.hlc, d->context.dots[i].hlc);
    put_births(&e);
    if (crdt_doc_alive(d)) {
        plain = !put_inside(&e, &d->root, true);
        if (plain)
            tako_put_varint(meta, 0);
    }
    if (plain && d->context.count == 1 && d->births.count == 1 &&
        d->context.dots[0].hlc == e.origin.hlc && !meta->failed)
        meta->len = fresh;
    return meta->failed || body->failed ? TAKO_NOMEM : TAKO_OK;
}
