// SPDX-License-Identifier: Apache-2.0
/* DECODE -- the stored form (meta.h) to a tree.
 *
 * The body is walked once, with meta's exceptions beside it. All reads are
 * bounded, whoever made the bytes; what is only checked for bytes of others
 * is that values are deterministic CBOR and that the state would be encoded
 * to the same bytes again, which settles every question of form that the
 * walk does not ask. */
#include "crdt/meta.h"

/* The least bytes that a listed thing takes; so a claimed count allocates in
 * proportion to what was sent. */
#define ENTRY_BYTES_MIN 2u
#define CHILD_BYTES_MIN 2u

typedef struct decoder {
    tako_arena *a;
    crdt_doc *d;
    crdt_dot origin;
    tako_reader meta;
    tako_reader body;
    bool trusted;
    bool nomem;
    const char *what; /* the first thing that was wrong */
} decoder;

static void bad(decoder *d, const char *what)
{
    if (d->what == NULL)
        d->what = what;
    d->meta.failed = true;
    d->body.failed = true;
}

static bool failed(const decoder *d)
{
    return d->meta.failed || d->body.failed || d->nomem;
}

static void out_of_memory(decoder *d)
{
    d->nomem = true;
    bad(d, "out of memory");
}

static crdt_dot get_dot(decoder *d)
{
    const crdt_context *c = &d->d->context;
    uint64_t code = tako_read_varint(&d->meta);
    crdt_dot dot;

    if (code == 0)
        return d->origin;
    if (code <= c->count)
        return c->dots[code - 1];
    if (code - c->count > c->count) {
        bad(d, "dot of no actor");
        return d->origin;
    }
    dot = c->dots[code - c->count - 1];
    dot.hlc = crdt_hlc_read(&d->meta, d->origin.hlc);
    if (!crdt_context_has(c, dot))
        bad(d, "dot beyond the context");
    return dot;
}

/* How many things of at least `least` bytes follow. */
static uint32_t get_count(decoder *d, size_t least)
{
    uint64_t n = tako_read_varint(&d->meta);

    if (n > tako_reader_left(&d->meta) / least || n > UINT32_MAX / 2) {
        bad(d, "count beyond the end");
        return 0;
    }
    return (uint32_t)n;
}

/* One value out of meta. depth: what is around it. */
static tako_slice get_value(decoder *d, unsigned depth)
{
    tako_slice value = cbor_read_value(&d->meta);

    if (value.len == 0) {
        bad(d, "malformed value");
    } else if (!d->trusted && cbor_check(value, TAKO_VALUE_DEPTH_MAX - depth,
                                         NULL) != TAKO_OK) {
        bad(d, "malformed value");
        return TAKO_SLICE_NONE;
    }
    return value;
}

static void check_order(decoder *d, const crdt_entries *l)
{
    if (l->count > 1 &&
        crdt_dot_cmp(l->at[l->count - 2].dot, l->at[l->count - 1].dot) >= 0)
        bad(d, "entries out of order");
}

static bool start_entries(decoder *d, crdt_entries *l, uint32_t count)
{
    if (failed(d))
        return false;
    if (crdt_entries_reserve(d->a, l, count) != TAKO_OK) {
        out_of_memory(d);
        return false;
    }
    return true;
}

/* A list of values; `last` is the one in the body, when it is there. */
static void get_values(decoder *d, crdt_entries *l, tako_slice last,
                       unsigned depth)
{
    uint32_t count = get_count(d, ENTRY_BYTES_MIN);

    if (count == 0)
        bad(d, "no values");
    if (!start_entries(d, l, count))
        return;
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        crdt_entry e = { .dot = get_dot(d) };
        uint64_t type = tako_read_varint(&d->meta);

        if (type > INT32_MAX || crdt_type_refused((uint32_t)type))
            bad(d, "type that is no value's");
        e.type = (uint32_t)type;
        e.value = i + 1 == count && last.len > 0 ? last : get_value(d, depth);
        l->at[l->count++] = e;
        check_order(d, l);
    }
}

static void get_marks(decoder *d, crdt_entries *l)
{
    uint32_t count = get_count(d, 1);

    if (!start_entries(d, l, count))
        return;
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        l->at[l->count++] = (crdt_entry){ .dot = get_dot(d) };
        check_order(d, l);
    }
}

static void get_generation(decoder *d, uint64_t *generation, crdt_dot *maker)
{
    *generation = tako_read_varint(&d->meta);
    if (*generation == 0 || *generation > TAKO_GENERATION_MAX)
        bad(d, "generation out of range");
    if (*generation != CRDT_GENERATION_FIRST)
        *maker = get_dot(d);
}

static bool start_sums(decoder *d, crdt_sums *l, uint32_t *count)
{
    *count = get_count(d, 3);
    if (failed(d))
        return false;
    if (crdt_sums_reserve(d->a, l, *count) != TAKO_OK) {
        out_of_memory(d);
        return false;
    }
    return true;
}

static void add_sum(decoder *d, crdt_sums *l, crdt_sum sum)
{
    if (l->count > 0 &&
        crdt_actor_cmp(l->at[l->count - 1].dot.actor, sum.dot.actor) >= 0)
        bad(d, "sums out of order");
    l->at[l->count++] = sum;
}

static void get_sums(decoder *d, crdt_counter *c)
{
    uint32_t count;

    if (!start_sums(d, &c->sums, &count))
        return;
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        crdt_sum sum = { .dot = get_dot(d) };

        sum.inc = tako_read_varint(&d->meta);
        sum.dec = tako_read_varint(&d->meta);
        add_sum(d, &c->sums, sum);
    }
    if (failed(d) || !start_sums(d, &c->baselines, &count))
        return;
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        uint64_t actor = tako_read_varint(&d->meta);
        crdt_sum sum = { .inc = tako_read_varint(&d->meta) };

        sum.dec = tako_read_varint(&d->meta);
        if (actor >= d->d->context.count || (sum.inc | sum.dec) == 0) {
            bad(d, "baseline of nothing");
            return;
        }
        sum.dot.actor = d->d->context.dots[actor].actor;
        add_sum(d, &c->baselines, sum);
    }
}

static void get_counter(decoder *d, crdt_slot *s)
{
    crdt_counter *c;
    uint32_t count;

    if (crdt_slot_counter(d->a, s, &c) != TAKO_OK) {
        out_of_memory(d);
        return;
    }
    get_generation(d, &c->generation, &c->maker);
    if ((c->generation & 1) == 0)
        return;
    count = get_count(d, ENTRY_BYTES_MIN);
    if (!start_entries(d, &c->starts, count))
        return;
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        crdt_entry e = { .dot = get_dot(d) };

        e.value = get_value(d, TAKO_VALUE_DEPTH_MAX);
        if (failed(d))
            return;
        if (cbor_kind_of(e.value) != CBOR_INT &&
            cbor_kind_of(e.value) != CBOR_FLOAT)
            bad(d, "counter that starts at no number");
        c->starts.at[c->starts.count++] = e;
        check_order(d, &c->starts);
    }
    get_sums(d, c);
}

static void get_inside(decoder *d, crdt_map *m, bool shown, bool plain,
                       unsigned depth);

/* A slot's map, which is in the body when `shown`; depth: that of the slot. */
static void get_map(decoder *d, crdt_slot *s, unsigned has, bool shown,
                    unsigned depth)
{
    crdt_map *m;

    if (!shown &&
        (has & (CRDT_HAS_GEN | CRDT_HAS_MARKS | CRDT_HAS_INSIDE)) == 0)
        return;
    if (depth >= TAKO_VALUE_DEPTH_MAX) {
        bad(d, "too deep");
        return;
    }
    if (crdt_slot_map(d->a, s, &m) != TAKO_OK) {
        out_of_memory(d);
        return;
    }
    if ((has & CRDT_HAS_GEN) != 0)
        get_generation(d, &m->generation, &m->maker);
    if ((has & CRDT_HAS_MARKS) != 0) {
        get_marks(d, &m->marks);
    } else if (shown && start_entries(d, &m->marks, 1)) {
        m->marks.at[m->marks.count++] = (crdt_entry){ .dot = d->origin };
    }
    if (shown || (has & CRDT_HAS_INSIDE) != 0)
        get_inside(d, m, shown, (has & CRDT_HAS_INSIDE) == 0, depth + 1);
    if ((m->generation & 1) == 0 && (m->count > 0 || m->marks.count > 0))
        bad(d, "removed map with something inside");
}

/* The value of the body that the reader stands at. */
static tako_slice get_shown(decoder *d)
{
    tako_slice value = cbor_read_value(&d->body);

    if (value.len == 0)
        bad(d, "body ends early");
    return value;
}

/* An exception or a hidden slot at `depth` keys from the root. */
static void get_slot(decoder *d, crdt_slot *s, bool in_body, unsigned depth)
{
    unsigned has = tako_read_u8(&d->meta);
    unsigned show = has & CRDT_SHOWS_MASK;
    tako_slice value = TAKO_SLICE_NONE;

    if ((has & ~CRDT_HAS_MASK) != 0 || in_body == (show == CRDT_SHOW_NOTHING)) {
        bad(d, "malformed slot");
        return;
    }
    if (show == CRDT_SHOW_VALUE || show == CRDT_SHOW_COUNTER)
        value = get_shown(d);
    if (failed(d))
        return;
    if ((has & CRDT_HAS_VALUES) != 0) {
        get_values(d, &s->values,
                   show == CRDT_SHOW_VALUE ? value : TAKO_SLICE_NONE, depth);
    } else if (show == CRDT_SHOW_VALUE && start_entries(d, &s->values, 1)) {
        s->values.at[s->values.count++] =
            (crdt_entry){ get_dot(d), value, CRDT_REGISTER };
    }
    if (failed(d))
        return;
    get_map(d, s, has, show == CRDT_SHOW_MAP, depth);
    if ((has & CRDT_HAS_COUNTER) != 0)
        get_counter(d, s);
    if (!failed(d) && !crdt_slot_trim(s))
        bad(d, "slot of nothing");
}

static tako_slice get_key(decoder *d)
{
    tako_slice key = tako_read_block(&d->meta);

    if (!d->trusted && !utf8_check(key))
        bad(d, "key is not UTF-8");
    return key;
}

/* The hidden children, alone in m for now. */
static void get_hidden(decoder *d, crdt_map *m, uint32_t count, unsigned depth)
{
    for (uint32_t i = 0; i < count && !failed(d); i++) {
        crdt_slot *s = &m->children[m->count];

        s->key = get_key(d);
        if (i > 0 && cbor_key_cmp(s[-1].key, s->key) >= 0)
            bad(d, "keys out of order");
        m->count++;
        get_slot(d, s, false, depth);
    }
}

/* A child that is as its body says. `one` is room for its entry. */
static void get_plain(decoder *d, crdt_slot *s, crdt_entry *one, unsigned depth)
{
    tako_reader *r = &d->body;

    if (tako_reader_has(r, 1) &&
        cbor_kind_of(tako_slice_of(r->in.ptr + r->pos, 1)) == CBOR_MAP) {
        get_map(d, s, 0, true, depth);
        return;
    }
    *one = (crdt_entry){ d->origin, get_shown(d), CRDT_REGISTER };
    s->values = (crdt_entries){ one, 1, 1 };
}

/* Walks the body's children of m into the free places after the hidden ones,
 * which stay at the front. */
static void get_shown_children(decoder *d, crdt_map *m, uint64_t shown,
                               uint64_t exceptions, unsigned depth)
{
    crdt_entry *ones;
    uint64_t gap = UINT64_MAX;

    if (exceptions > shown)
        bad(d, "more exceptions than children");
    if (shown == 0 || failed(d))
        return;
    ones = tako_arena_array(d->a, (size_t)shown, sizeof *ones);
    if (ones == NULL) {
        out_of_memory(d);
        return;
    }
    if (exceptions > 0)
        gap = tako_read_varint(&d->meta);
    for (uint64_t i = 0; i < shown && !failed(d); i++) {
        crdt_slot *s = &m->children[m->count];
        cbor_item key;

        if (!cbor_read(&d->body, &key) || key.kind != CBOR_TEXT) {
            bad(d, "body ends early");
            return;
        }
        s->key = key.str;
        m->count++;
        if (gap-- > 0) {
            get_plain(d, s, &ones[i], depth);
        } else {
            get_slot(d, s, true, depth);
            gap = --exceptions > 0 ? tako_read_varint(&d->meta) : UINT64_MAX;
        }
    }
    if (exceptions > 0)
        bad(d, "more exceptions than children");
}

/* Two ascending runs of children become one. */
static void merge_runs(decoder *d, crdt_map *m, uint32_t first)
{
    crdt_slot *all;
    uint32_t i = 0;
    uint32_t j = first;

    if (first == 0 || first == m->count)
        return;
    all = tako_arena_array(d->a, m->count, sizeof *all);
    if (all == NULL) {
        out_of_memory(d);
        return;
    }
    for (uint32_t k = 0; k < m->count; k++) {
        int order = i == first ? 1
                    : j == m->count
                        ? -1
                        : cbor_key_cmp(m->children[i].key, m->children[j].key);

        if (order == 0)
            bad(d, "key both hidden and shown");
        all[k] = m->children[order < 0 ? i++ : j++];
        if (order == 0)
            return;
    }
    m->children = all;
    m->cap = m->count;
}

static void get_inside(decoder *d, crdt_map *m, bool shown, bool plain,
                       unsigned depth)
{
    uint64_t head = plain ? 0 : tako_read_varint(&d->meta);
    uint32_t hidden = (head & 1) != 0 ? get_count(d, CHILD_BYTES_MIN) : 0;
    cbor_item item = { .count = 0 };

    if (depth > TAKO_VALUE_DEPTH_MAX)
        bad(d, "too deep");
    if (shown && (!cbor_read(&d->body, &item) || item.kind != CBOR_MAP ||
                  item.count > tako_reader_left(&d->body) / 2))
        bad(d, "body is not as meta says");
    if (failed(d))
        return;
    if (crdt_map_reserve(d->a, m, (size_t)(hidden + item.count)) != TAKO_OK) {
        out_of_memory(d);
        return;
    }
    get_hidden(d, m, hidden, depth);
    if (failed(d))
        return;
    get_shown_children(d, m, item.count, head >> 1, depth);
    if (!failed(d))
        merge_runs(d, m, hidden);
}

static void get_context(decoder *d, crdt_front *f, bool fresh)
{
    crdt_context *c = &d->d->context;

    c->dots = tako_arena_array(d->a, f->count, sizeof *c->dots);
    if (c->dots == NULL) {
        out_of_memory(d);
        return;
    }
    c->count = c->cap = f->count;
    for (size_t i = 0; i < f->count; i++) {
        c->dots[i].actor = crdt_front_actor(f, i);
        c->dots[i].hlc =
            fresh ? f->origin.hlc : crdt_hlc_read(&d->meta, f->origin.hlc);
    }
    if (!crdt_context_has(c, d->origin))
        bad(d, "dot beyond the context");
}

static void get_births(decoder *d, bool fresh)
{
    uint64_t last = crdt_last_life(d->d->root.generation);
    uint32_t count = fresh ? 0 : get_count(d, 2);
    crdt_birth before = { .generation = 0 };
    crdt_birth b = { last, d->origin };
    tako_err err = crdt_births_put(d->a, &d->d->births, b);

    for (uint32_t i = 0; i < count && err == TAKO_OK && !failed(d); i++) {
        b.generation = tako_read_varint(&d->meta);
        b.dot = get_dot(d);
        if ((b.generation & 1) == 0 || b.generation > last ||
            b.generation < before.generation ||
            (b.generation == before.generation &&
             crdt_dot_cmp(before.dot, b.dot) >= 0) ||
            (b.generation == last && crdt_dot_cmp(d->origin, b.dot) >= 0)) {
            bad(d, "births out of order");
            return;
        }
        err = crdt_births_put(d->a, &d->d->births, b);
        before = b;
    }
    if (err != TAKO_OK)
        out_of_memory(d);
}

static tako_err decode(tako_arena *a, tako_slice meta, tako_slice body,
                       bool trusted, crdt_doc **out, tako_errbuf *e)
{
    crdt_front f;
    decoder d = { .a = a, .body = tako_reader_of(body), .trusted = trusted };
    bool fresh;

    if (meta.len > TAKO_DOC_STATE_BYTES_MAX ||
        body.len > TAKO_DOC_STATE_BYTES_MAX - meta.len)
        return tako_fail(e, TAKO_LIMIT, "state of %zu bytes",
                         meta.len + body.len);
    if (!crdt_front_read(meta, &f))
        return tako_fail(e, TAKO_CORRUPT, "malformed front of meta");
    TAKO_TRY(crdt_doc_new(a, &d.d));
    d.d->root.generation = f.generation;
    d.origin = f.origin;
    d.meta = f.rest;
    fresh = f.count == 1 && tako_reader_done(&f.rest);
    if (f.generation > 0) {
        get_context(&d, &f, fresh);
        if (!failed(&d))
            get_births(&d, fresh);
    }
    if (crdt_doc_alive(d.d) && !failed(&d))
        get_inside(&d, &d.d->root, true, fresh, 1);
    if (!failed(&d) &&
        (!tako_reader_done(&d.meta) || !tako_reader_done(&d.body)))
        bad(&d, "bytes beyond the end");
    if (d.nomem)
        return TAKO_NOMEM;
    if (failed(&d))
        return tako_fail(e, TAKO_CORRUPT, "stored document: %s",
                         d.what != NULL ? d.what : "meta ends early");
    *out = d.d;
    return TAKO_OK;
}

tako_err crdt_doc_decode_trusted(tako_arena *a, tako_slice meta,
                                 tako_slice body, crdt_doc **out,
                                 tako_errbuf *e)
{
    return decode(a, meta, body, true, out, e);
}

tako_err crdt_doc_decode(tako_arena *a, tako_slice meta, tako_slice body,
                         crdt_doc **out, tako_errbuf *e)
{
    tako_buf meta2 = tako_buf_on(a->env);
    tako_buf body2 = tako_buf_on(a->env);
    crdt_doc *d = NULL;
    crdt_dot dot;
    tako_err err;

    if (body.len > 0 && cbor_check(body, TAKO_VALUE_DEPTH_MAX, NULL) != TAKO_OK)
        return tako_fail(e, TAKO_CORRUPT, "stored document: malformed body");
    TAKO_TRY(decode(a, meta, body, false, &d, e));
    if (!crdt_meta_is_fresh(meta, &dot)) {
        err = crdt_doc_encode(d, &meta2, &body2);
        if (err == TAKO_OK && (!tako_slice_eq(meta, tako_buf_slice(&meta2)) ||
                               !tako_slice_eq(body, tako_buf_slice(&body2))))
            err = tako_fail(e, TAKO_CORRUPT,
                            "stored document: not in its one form");
        tako_buf_fini(&meta2);
        tako_buf_fini(&body2);
        TAKO_TRY(err);
    }
    *out = d;
    return TAKO_OK;
}
