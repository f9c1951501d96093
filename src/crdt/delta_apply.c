// SPDX-License-Identifier: Apache-2.0
/* DELTA_APPLY -- reading a delta and merging it.
 *
 * The bytes become a tree that tells only a part (tree.h), checked to the end
 * before anything changes, and then merge.c's walk takes it in. Where a sum
 * has to agree, the walk is tried on a copy of the nodes. Hostile bytes can
 * at worst make a state that honest writers would not have made: never one
 * that we could not encode and read again. */
#include "base/check.h"
#include "crdt/delta_form.h"
#include "crdt/meta.h"

typedef struct parser {
    tako_arena *a;
    tako_reader *in;
    const crdt_names_in *names;
    crdt_doc *x; /* the part that is told */
    crdt_context base;
    crdt_dot *dots; /* of the new context, as numbered */
    size_t count;
    bool nomem;
} parser;

static void bad(parser *p)
{
    p->in->failed = true;
}

static void check(parser *p, tako_err err)
{
    if (err == TAKO_OK)
        return;
    p->nomem = true;
    bad(p);
}

static uint32_t get_count(parser *p)
{
    uint64_t n = tako_read_varint(p->in);

    /* One byte each at least; what they allocate grows with what is read. */
    if (n > tako_reader_left(p->in)) {
        bad(p);
        return 0;
    }
    return (uint32_t)n;
}

static crdt_dot get_dot(parser *p)
{
    uint64_t code = tako_read_varint(p->in);
    crdt_dot dot = { .hlc = 0 };

    if (code >> 1 >= p->count) {
        bad(p);
        return dot;
    }
    dot = p->dots[code >> 1];
    if ((code & 1) != 0) {
        uint64_t hlc = crdt_hlc_read(p->in, dot.hlc);

        if (hlc >= dot.hlc)
            bad(p);
        dot.hlc = hlc;
    }
    return dot;
}

static tako_slice get_value(parser *p, unsigned depth)
{
    tako_slice value = cbor_read_value(p->in);

    if (value.len == 0 ||
        cbor_check(value, TAKO_VALUE_DEPTH_MAX - depth, NULL) != TAKO_OK) {
        bad(p);
        return TAKO_SLICE_NONE;
    }
    value = tako_arena_copy(p->a, value);
    if (value.ptr == NULL)
        check(p, TAKO_NOMEM);
    return value;
}

static void add_entry(parser *p, crdt_entries *l, crdt_entry e)
{
    if (l->count > 0 && crdt_dot_cmp(l->at[l->count - 1].dot, e.dot) >= 0)
        bad(p);
    if (!p->in->failed)
        check(p, crdt_entries_put(p->a, l, e));
}

static void get_generation(parser *p, uint64_t *generation, crdt_dot *maker)
{
    *generation = tako_read_varint(p->in);
    if (*generation == 0 || *generation > TAKO_GENERATION_MAX)
        bad(p);
    if (*generation != CRDT_GENERATION_FIRST)
        *maker = get_dot(p);
}

static void add_mark(parser *p, crdt_slot *s, crdt_dot dot)
{
    crdt_map *m;

    check(p, crdt_slot_map(p->a, s, &m));
    if (!p->in->failed)
        add_entry(p, &m->marks, (crdt_entry){ .dot = dot });
}

static void get_list(parser *p, crdt_slot *s, unsigned depth)
{
    uint32_t count = get_count(p);

    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        crdt_entry e = { .dot = get_dot(p) };

        if (!crdt_context_has(&p->base, e.dot)) {
            uint64_t type = tako_read_varint(p->in);

            if (type > INT32_MAX || crdt_type_refused((uint32_t)type))
                bad(p);
            e.type = (uint32_t)type;
            e.value = get_value(p, depth);
        }
        add_entry(p, &s->values, e);
    }
    count = get_count(p);
    for (uint32_t i = 0; i < count && !p->in->failed; i++)
        add_mark(p, s, get_dot(p));
}

static void get_listing(parser *p, crdt_slot *s, unsigned flags, unsigned depth)
{
    delta_listing listing = (delta_listing)(flags & DELTA_LISTING_MASK);

    s->listed = listing != DELTA_UNLISTED;
    if ((flags & DELTA_MARK) != 0 && listing != DELTA_NONE)
        bad(p);
    if (p->count == 0 || p->in->failed)
        bad(p);
    else if (listing == DELTA_ONE)
        add_entry(
            p, &s->values,
            (crdt_entry){ p->dots[0], get_value(p, depth), CRDT_REGISTER });
    else if (listing == DELTA_LIST)
        get_list(p, s, depth);
    else if ((flags & DELTA_MARK) != 0)
        add_mark(p, s, p->dots[0]);
    /* An entry by its dot alone must be one that we are to have already. */
    if (listing == DELTA_ONE && !p->in->failed &&
        crdt_context_has(&p->base, p->dots[0]))
        bad(p);
}

static void get_sums(parser *p, crdt_counter *c)
{
    uint32_t count = get_count(p);
    crdt_sum *sum;

    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        crdt_dot dot = get_dot(p);

        check(p, crdt_sums_of(p->a, &c->sums, dot.actor, &sum));
        if (p->in->failed)
            return;
        sum->dot = dot;
        sum->inc = tako_read_varint(p->in);
        sum->dec = tako_read_varint(p->in);
    }
    count = get_count(p);
    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        uint64_t actor = tako_read_varint(p->in);

        if (actor >= p->count) {
            bad(p);
            return;
        }
        check(p, crdt_sums_of(p->a, &c->baselines, p->dots[actor].actor, &sum));
        if (p->in->failed)
            return;
        sum->inc = tako_read_varint(p->in);
        sum->dec = tako_read_varint(p->in);
        if ((sum->inc | sum->dec) == 0)
            bad(p);
    }
}

static void get_counter(parser *p, crdt_slot *s)
{
    crdt_counter *c;
    uint32_t count;

    check(p, crdt_slot_counter(p->a, s, &c));
    if (p->in->failed)
        return;
    get_generation(p, &c->generation, &c->maker);
    if ((c->generation & 1) == 0)
        return;
    count = get_count(p);
    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        crdt_entry e = { .dot = get_dot(p) };

        e.value = get_value(p, TAKO_VALUE_DEPTH_MAX);
        if (p->in->failed)
            return;
        if (cbor_kind_of(e.value) != CBOR_INT &&
            cbor_kind_of(e.value) != CBOR_FLOAT)
            bad(p);
        add_entry(p, &c->starts, e);
    }
    get_sums(p, c);
}

static void get_inside(parser *p, crdt_map *m, unsigned depth);

static void get_slot(parser *p, crdt_slot *s, unsigned depth)
{
    unsigned flags = tako_read_u8(p->in);
    crdt_map *m;

    if ((flags & ~DELTA_SLOT_MASK) != 0)
        bad(p);
    get_listing(p, s, flags, depth);
    s->all = (flags & DELTA_ALL_INSIDE) != 0;
    if ((flags & (DELTA_GEN | DELTA_INSIDE)) != 0) {
        check(p, crdt_slot_map(p->a, s, &m));
        if (p->in->failed)
            return;
        if ((flags & DELTA_GEN) != 0)
            get_generation(p, &m->generation, &m->maker);
        if ((flags & DELTA_INSIDE) != 0)
            get_inside(p, m, depth + 1);
    }
    if (s->map != NULL && (depth >= TAKO_VALUE_DEPTH_MAX ||
                           ((s->map->generation & 1) == 0 &&
                            (s->map->count > 0 || s->map->marks.count > 0))))
        bad(p);
    if ((flags & DELTA_COUNTER) != 0)
        get_counter(p, s);
}

static void get_inside(parser *p, crdt_map *m, unsigned depth)
{
    uint32_t count = get_count(p);

    if (depth > TAKO_VALUE_DEPTH_MAX)
        bad(p);
    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        tako_slice key;
        crdt_slot *s;

        if (!p->names->key(p->names->ctx, p->in, &key) || !utf8_check(key) ||
            (i > 0 && cbor_key_cmp(m->children[i - 1].key, key) >= 0)) {
            bad(p);
            return;
        }
        key = tako_arena_copy(p->a, key);
        if (key.ptr == NULL)
            check(p, TAKO_NOMEM);
        else
            check(p, crdt_map_add(p->a, m, i, key, &s));
        if (!p->in->failed)
            get_slot(p, s, depth);
    }
}

static void get_actor(parser *p, bool changed, bool equal)
{
    crdt_context *full = &p->x->context;
    crdt_dot dot;
    crdt_dot old;

    if (!p->names->dot(p->names->ctx, p->in, &dot) || dot.hlc == 0 ||
        crdt_context_get(full, dot.actor) != 0) {
        bad(p);
        return;
    }
    check(p, crdt_context_add(p->a, full, dot));
    p->dots[p->count++] = old = dot;
    if (changed) {
        old.hlc = crdt_hlc_read(p->in, dot.hlc);
        if (old.hlc >= dot.hlc)
            bad(p);
    }
    if ((changed || equal) && !p->in->failed)
        check(p, crdt_context_add(p->a, &p->base, old));
}

static void get_actors(parser *p, delta_form_actors form)
{
    uint64_t counts[3] = { form != DELTA_ONE_NEW, form == DELTA_ONE_NEW,
                           form == DELTA_CHANGED_AND_EQUAL };
    uint64_t total = 0;

    for (size_t i = 0; i < 3; i++) {
        if (form == DELTA_COUNTS)
            counts[i] = tako_read_varint(p->in);
        if (counts[i] > TAKO_CONTEXT_ACTORS_MAX)
            bad(p);
        total += counts[i];
    }
    if (p->in->failed || total > TAKO_CONTEXT_ACTORS_MAX ||
        total > tako_reader_left(p->in)) {
        bad(p);
        return;
    }
    if (total == 0)
        return;
    p->dots = tako_arena_array(p->a, (size_t)total, sizeof *p->dots);
    if (p->dots == NULL) {
        check(p, TAKO_NOMEM);
        return;
    }
    for (size_t class = 0; class < 3; class ++) {
        for (uint64_t i = 0; i < counts[class] && !p->in->failed; i++)
            get_actor(p, class == 0, class == 2);
    }
}

static void get_births(parser *p)
{
    uint64_t generation = tako_read_varint(p->in);
    uint64_t last, back;
    uint32_t count;

    if (generation > TAKO_GENERATION_MAX || (generation == 0 && p->count > 0))
        bad(p);
    p->x->root.generation = generation;
    last = generation == 0 ? 0 : crdt_last_life(generation);
    back = tako_read_varint(p->in);
    if (back > last / 2)
        bad(p);
    p->x->first = last - 2 * back;
    count = get_count(p);
    for (uint32_t i = 0; i < count && !p->in->failed; i++) {
        crdt_dot dot;

        back = tako_read_varint(p->in);
        dot = get_dot(p);
        if (last == 0 || back > last / 2)
            bad(p);
        if (!p->in->failed)
            check(p, crdt_births_put(p->a, &p->x->births,
                                     (crdt_birth){ last - 2 * back, dot }));
    }
}

/* The whole delta; true when it was read. */
static bool parse(parser *p, unsigned *flags, uint64_t *sum)
{
    *flags = tako_read_u8(p->in);
    *sum = 0;
    if ((*flags & ~DELTA_MASK) != 0)
        bad(p);
    get_actors(p, (delta_form_actors)(*flags >> DELTA_FORM_SHIFT));
    p->x->root.generation = CRDT_GENERATION_FIRST;
    if ((*flags & DELTA_ROOT) != 0 && !p->in->failed)
        get_births(p);
    if (crdt_doc_alive(p->x) && !p->in->failed)
        get_inside(p, &p->x->root, 1);
    if ((*flags & DELTA_SUM) != 0)
        *sum = tako_read_u64(p->in);
    return !p->in->failed;
}

/* Would the births be those of a document after the merge? A life that we
 * have not is one whose birth must be told. */
static bool births_fit(const crdt_doc *d, const crdt_doc *x)
{
    uint64_t last;

    if (x->root.generation <= d->root.generation)
        return true;
    last = crdt_last_life(x->root.generation);
    if (x->births.count > 0 &&
        x->births.at[x->births.count - 1].generation == last)
        return true;
    return d->births.count > 0 &&
           d->births.at[d->births.count - 1].generation == last;
}

static tako_err apply(crdt_doc *d, const parser *p, unsigned flags,
                      uint64_t sum, const uint8_t sum_key[16],
                      crdt_delta_result *result, crdt_merge_info *info,
                      tako_errbuf *e)
{
    const crdt_doc *x = p->x;
    bool all = (flags & DELTA_ALL) != 0;
    crdt_doc *tried;

    *result = CRDT_DELTA_STALE;
    if (crdt_context_covers(&d->context, &x->context))
        return TAKO_OK;
    *result = CRDT_DELTA_NEEDS;
    if (d->hollow || !crdt_context_covers(&d->context, &p->base))
        return TAKO_OK;
    if (!births_fit(d, x))
        return tako_fail(e, TAKO_CORRUPT, "delta of a life without a birth");
    if ((flags & DELTA_SUM) == 0) {
        TAKO_TRY(crdt_merge_beyond(d, x, &p->base, all, info));
        *result = CRDT_DELTA_APPLIED;
        return TAKO_OK;
    }
    TAKO_TRY(crdt_doc_copy(d, &tried));
    TAKO_TRY(crdt_merge_beyond(tried, x, &p->base, all, info));
    if (crdt_delta_sum(tried, &p->base, sum_key) != sum) {
        if (info != NULL)
            *info = (crdt_merge_info){ 0 };
        return TAKO_OK;
    }
    *d = *tried;
    *result = CRDT_DELTA_APPLIED;
    return TAKO_OK;
}

tako_err crdt_delta_apply(crdt_doc *d, tako_reader *in,
                          const uint8_t sum_key[16], const crdt_names_in *names,
                          crdt_delta_result *result, crdt_merge_info *info,
                          tako_errbuf *e)
{
    parser p = { .a = d->arena, .in = in, .names = names };
    unsigned flags;
    uint64_t sum;

    if (info != NULL)
        *info = (crdt_merge_info){ 0 };
    TAKO_TRY(crdt_doc_new(d->arena, &p.x));
    if (!parse(&p, &flags, &sum))
        return p.nomem ? TAKO_NOMEM
                       : tako_fail(e, TAKO_CORRUPT,
                                   "malformed delta, near byte %zu", in->pos);
    return apply(d, &p, flags, sum, sum_key, result, info, e);
}

/* ---- plain names ------------------------------------------------------- */

static bool plain_get_dot(void *ctx, tako_reader *in, crdt_dot *dot)
{
    tako_slice id = tako_read_bytes(in, sizeof dot->actor);

    (void)ctx;
    dot->hlc = tako_read_varint(in);
    if (in->failed)
        return false;
    memcpy(dot->actor.id, id.ptr, id.len);
    return true;
}

static bool plain_get_key(void *ctx, tako_reader *in, tako_slice *key)
{
    (void)ctx;
    *key = tako_read_block(in);
    return !in->failed;
}

const crdt_names_in crdt_names_plain_in = { NULL, plain_get_dot,
                                            plain_get_key };
