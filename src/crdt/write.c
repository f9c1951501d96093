// SPDX-License-Identifier: Apache-2.0
/* WRITE -- local writes, as doc.h lists them.
 *
 * Each looks first whether it may happen, on the unchanged document, and then
 * happens; only running out of memory, or of generations, can stop it half-way,
 * and then the document is to be thrown away. "Observed" is all that is in the
 * tree: the context covers it by definition. */
#include "base/check.h"
#include "crdt/tree.h"

typedef struct writer {
    tako_arena *a;
    crdt_dot dot;
} writer;

/* ---- taking away what was observed -------------------------------------- */

static void end_counter(const writer *w, crdt_counter *c)
{
    if (!crdt_counter_holds(c))
        return;
    c->generation = crdt_next_even(c->generation);
    c->maker = w->dot;
    c->starts.count = 0;
    c->sums.count = 0;
    c->baselines.count = 0;
}

static void clear_slot(const writer *w, crdt_slot *s);

/* All entries inside go; generations stay, as far as they say anything. */
static void clear_map(const writer *w, crdt_map *m)
{
    uint32_t kept = 0;

    m->marks.count = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        crdt_slot *s = &m->children[i];

        clear_slot(w, s);
        if (crdt_slot_trim(s))
            m->children[kept++] = *s;
    }
    m->count = kept;
}

static void clear_slot(const writer *w, crdt_slot *s)
{
    s->values.count = 0;
    if (s->counter != NULL)
        end_counter(w, s->counter);
    if (s->map != NULL)
        clear_map(w, s->map);
}

static void remove_map(const writer *w, crdt_map *m)
{
    m->marks.count = 0;
    m->count = 0;
    m->generation = crdt_next_even(m->generation);
    m->maker = w->dot;
}

/* ---- putting ----------------------------------------------------------- */

static tako_err put_value(const writer *w, crdt_slot *s, uint32_t type,
                          tako_slice value)
{
    return crdt_entries_put(w->a, &s->values,
                            (crdt_entry){ w->dot, value, type });
}

static tako_err become_map(const writer *w, crdt_slot *s, crdt_map **out)
{
    if (crdt_slot_shows(s) != CRDT_SHOW_MAP) {
        clear_slot(w, s);
        TAKO_TRY(crdt_slot_map(w->a, s, out));
        if (((*out)->generation & 1) == 0) {
            if ((*out)->generation >= TAKO_GENERATION_MAX)
                return TAKO_LIMIT;
            (*out)->generation = crdt_next_odd((*out)->generation);
            (*out)->maker = w->dot;
        }
        return crdt_entries_put(w->a, &(*out)->marks,
                                (crdt_entry){ .dot = w->dot });
    }
    *out = s->map;
    return TAKO_OK;
}

/* The child under key, made when there is none. */
static tako_err child_of(const writer *w, crdt_map *m, tako_slice key,
                         crdt_slot **out)
{
    size_t at = m->count;

    /* Keys mostly come in order. */
    if (m->count == 0 || cbor_key_cmp(m->children[at - 1].key, key) >= 0) {
        *out = crdt_map_find(m, key, &at);
        if (*out != NULL)
            return TAKO_OK;
    }
    return crdt_map_add(w->a, m, at, key, out);
}

static tako_err set_fields(const writer *w, crdt_map *m, tako_reader *r);

/* SET of a slot to the value that r stands at. */
static tako_err set_slot(const writer *w, crdt_slot *s, bool as_map,
                         uint32_t type, tako_reader *r)
{
    crdt_map *m;

    if (!as_map) {
        clear_slot(w, s);
        (void)crdt_slot_trim(s);
        return put_value(w, s, type, cbor_read_value(r));
    }
    TAKO_TRY(become_map(w, s, &m));
    /* The write is to this path: it absorbs what is hidden beside the map. */
    s->values.count = 0;
    if (s->counter != NULL)
        end_counter(w, s->counter);
    (void)crdt_slot_trim(s);
    return set_fields(w, m, r);
}

static bool reads_map(const tako_reader *r)
{
    return tako_reader_has(r, 1) &&
           cbor_kind_of(tako_slice_of(r->in.ptr + r->pos, 1)) == CBOR_MAP;
}

static tako_err set_fields(const writer *w, crdt_map *m, tako_reader *r)
{
    cbor_item head;
    cbor_item key;

    if (!cbor_read(r, &head) || head.kind != CBOR_MAP ||
        head.count > tako_reader_left(r) / 2)
        return TAKO_INVALID;
    TAKO_TRY(crdt_map_reserve(w->a, m, m->count + (size_t)head.count));
    for (uint64_t i = 0; i < head.count; i++) {
        crdt_slot *s;

        if (!cbor_read(r, &key) || key.kind != CBOR_TEXT)
            return TAKO_INVALID;
        TAKO_TRY(child_of(w, m, key.str, &s));
        TAKO_TRY(set_slot(w, s, reads_map(r), CRDT_REGISTER, r));
    }
    return TAKO_OK;
}

/* ---- paths ------------------------------------------------------------- */

/* The slot that a reader would meet at path; NULL where a parent is no map
 * or nothing is there. */
static crdt_slot *find_slot(crdt_doc *d, crdt_path path, crdt_map **parent)
{
    crdt_map *m = &d->root;
    crdt_slot *s = NULL;
    size_t at;

    for (size_t i = 0; i < path.count; i++) {
        if (i > 0) {
            if (crdt_slot_shows(s) != CRDT_SHOW_MAP)
                return NULL;
            m = s->map;
        }
        s = crdt_map_find(m, path.keys[i], &at);
        if (s == NULL)
            return NULL;
    }
    if (parent != NULL)
        *parent = m;
    return s;
}

crdt_at crdt_look(const crdt_doc *d, crdt_path path)
{
    const crdt_slot *s = find_slot((crdt_doc *)d, path, NULL); /* reads */
    crdt_at at = { CRDT_AUTO, false, TAKO_SLICE_NONE };
    const crdt_entry *value;

    switch (s == NULL ? CRDT_SHOW_NOTHING : crdt_slot_shows(s)) {
    case CRDT_SHOW_VALUE:
        value = &s->values.at[s->values.count - 1];
        at.type = (crdt_type)value->type;
        at.value = value->value;
        break;
    case CRDT_SHOW_MAP:
        at.type = CRDT_MAP;
        break;
    case CRDT_SHOW_COUNTER:
        at.type = CRDT_COUNTER;
        break;
    case CRDT_SHOW_UNKNOWN:
        at.unknown = true;
        break;
    case CRDT_SHOW_NOTHING:
        break;
    }
    return at;
}

static crdt_show shows_at(crdt_doc *d, crdt_path path)
{
    const crdt_slot *s = find_slot(d, path, NULL);

    return s == NULL ? CRDT_SHOW_NOTHING : crdt_slot_shows(s);
}

/* The slot at path, with all its parents made maps. New keys are copied. */
static tako_err make_slot(const writer *w, crdt_doc *d, crdt_path path,
                          crdt_slot **out)
{
    crdt_map *m = &d->root;
    crdt_slot *s = NULL;

    for (size_t i = 0; i < path.count; i++) {
        size_t at;

        if (i > 0)
            TAKO_TRY(become_map(w, s, &m));
        s = crdt_map_find(m, path.keys[i], &at);
        if (s == NULL) {
            tako_slice key = tako_arena_copy(w->a, path.keys[i]);

            if (key.ptr == NULL)
                return TAKO_NOMEM;
            TAKO_TRY(crdt_map_add(w->a, m, at, key, &s));
        }
    }
    *out = s;
    return TAKO_OK;
}

/* Nesting of checked CBOR; a scalar has 0. */
static unsigned depth_of(tako_slice value)
{
    unsigned low = 0;
    unsigned high = TAKO_VALUE_DEPTH_MAX;

    /* Nearly always a scalar. */
    switch (cbor_kind_of(value)) {
    case CBOR_ARRAY:
    case CBOR_MAP:
        break;
    case CBOR_NULL:
    case CBOR_BOOL:
    case CBOR_INT:
    case CBOR_FLOAT:
    case CBOR_BYTES:
    case CBOR_TEXT:
        return 0;
    }
    while (low < high) {
        unsigned mid = low + (high - low) / 2;

        if (cbor_check(value, mid, NULL) == TAKO_OK)
            high = mid;
        else
            low = mid + 1;
    }
    if (cbor_check(value, low, NULL) != TAKO_OK)
        return TAKO_VALUE_DEPTH_MAX + 1;
    return low;
}

/* Before any write: is the document there, the path not too long, and the
 * dot one that may come now? */
static tako_err begin(crdt_doc *d, crdt_dot dot, crdt_path path, writer *w)
{
    TAKO_ARG(path.count > 0 && dot.hlc > 0);
    TAKO_ARG(crdt_context_get(&d->context, dot.actor) <= dot.hlc);
    if (!crdt_doc_alive(d))
        return TAKO_NOTFOUND;
    if (path.count > TAKO_VALUE_DEPTH_MAX)
        return TAKO_LIMIT;
    if (d->context.count >= TAKO_CONTEXT_ACTORS_MAX &&
        crdt_context_get(&d->context, dot.actor) == 0)
        return TAKO_LIMIT;
    *w = (writer){ d->arena, dot };
    return TAKO_OK;
}

/* ---- the writes -------------------------------------------------------- */

tako_err crdt_insert_at(crdt_doc *d, crdt_dot dot, uint64_t generation,
                        tako_slice fields)
{
    writer w = { d->arena, dot };
    tako_slice copy;
    tako_reader r;

    TAKO_ARG(dot.hlc > 0 && (generation & 1) != 0);
    TAKO_ARG(crdt_context_get(&d->context, dot.actor) <= dot.hlc);
    TAKO_ARG(generation > d->root.generation);
    if (crdt_doc_alive(d))
        return TAKO_EXISTS;
    if (generation > TAKO_GENERATION_MAX)
        return TAKO_LIMIT;
    if (cbor_kind_of(fields) != CBOR_MAP)
        return TAKO_INVALID;
    if (depth_of(fields) > TAKO_VALUE_DEPTH_MAX)
        return TAKO_LIMIT;
    if (d->context.count >= TAKO_CONTEXT_ACTORS_MAX &&
        crdt_context_get(&d->context, dot.actor) == 0)
        return TAKO_LIMIT;
    copy = tako_arena_copy(w.a, fields);
    if (copy.ptr == NULL)
        return TAKO_NOMEM;
    TAKO_TRY(crdt_context_add(w.a, &d->context, dot));
    TAKO_TRY(crdt_births_put(w.a, &d->births, (crdt_birth){ generation, dot }));
    d->root.generation = generation;
    r = tako_reader_of(copy);
    return set_fields(&w, &d->root, &r);
}

tako_err crdt_insert(crdt_doc *d, crdt_dot dot, tako_slice fields)
{
    if (crdt_doc_alive(d))
        return TAKO_EXISTS;
    return crdt_insert_at(d, dot, crdt_next_odd(d->root.generation), fields);
}

tako_err crdt_delete(crdt_doc *d, crdt_dot dot)
{
    static const tako_slice any = { (const uint8_t *)"", 0 };
    writer w;

    TAKO_TRY(begin(d, dot, (crdt_path){ &any, 1 }, &w));
    TAKO_TRY(crdt_context_add(w.a, &d->context, dot));
    d->root.generation = crdt_next_even(d->root.generation);
    d->root.count = 0;
    return TAKO_OK;
}

static tako_err check_type(crdt_show show, crdt_type type, bool is_map,
                           tako_errbuf *e)
{
    switch (type) {
    case CRDT_AUTO:
        return TAKO_OK;
    case CRDT_COUNTER:
        return tako_fail(e, TAKO_INVALID,
                         "a counter changes by INCREMENT and RESTART, not SET");
    case CRDT_MAP:
        if (!is_map)
            return tako_fail(e, TAKO_INVALID,
                             "declared a map, set to what is none");
        break;
    case CRDT_REGISTER:
    case CRDT_ATTACHMENT:
        break;
    }
    if (show == CRDT_SHOW_COUNTER)
        return tako_fail(e, TAKO_INVALID,
                         "the path is a counter, declared another type");
    return TAKO_OK;
}

tako_err crdt_set(crdt_doc *d, crdt_dot dot, crdt_path path, crdt_type type,
                  tako_slice value, tako_errbuf *e)
{
    writer w;
    tako_slice copy;
    tako_reader r;
    crdt_slot *s;
    bool is_map;

    TAKO_ARG(value.len > 0);
    TAKO_TRY(begin(d, dot, path, &w));
    is_map = cbor_kind_of(value) == CBOR_MAP;
    TAKO_TRY(check_type(shows_at(d, path), type, is_map, e));
    if (path.count + depth_of(value) > TAKO_VALUE_DEPTH_MAX)
        return tako_fail(e, TAKO_LIMIT, "nested deeper than %u",
                         TAKO_VALUE_DEPTH_MAX);
    copy = tako_arena_copy(w.a, value);
    if (copy.ptr == NULL)
        return TAKO_NOMEM;
    TAKO_TRY(crdt_context_add(w.a, &d->context, dot));
    TAKO_TRY(make_slot(&w, d, path, &s));
    r = tako_reader_of(copy);
    return set_slot(&w, s, is_map && (type == CRDT_AUTO || type == CRDT_MAP),
                    type == CRDT_ATTACHMENT ? CRDT_ATTACHMENT : CRDT_REGISTER,
                    &r);
}

tako_err crdt_unset(crdt_doc *d, crdt_dot dot, crdt_path path)
{
    writer w;
    crdt_slot *s;
    crdt_map *m;

    TAKO_TRY(begin(d, dot, path, &w));
    TAKO_TRY(crdt_context_add(w.a, &d->context, dot));
    s = find_slot(d, path, &m);
    if (s == NULL)
        return TAKO_OK;
    s->values.count = 0;
    if (s->counter != NULL)
        end_counter(&w, s->counter);
    if (s->map != NULL && crdt_map_live(s->map))
        remove_map(&w, s->map);
    if (!crdt_slot_trim(s)) {
        m->count--;
        memmove(s, s + 1, (size_t)(m->children + m->count - s) * sizeof *s);
    }
    return TAKO_OK;
}

tako_err crdt_touch(crdt_doc *d, crdt_dot dot)
{
    uint64_t last = crdt_context_get(&d->context, dot.actor);

    TAKO_ARG(dot.hlc > 0 && last <= dot.hlc);
    if (!crdt_doc_alive(d))
        return TAKO_NOTFOUND;
    if (d->context.count >= TAKO_CONTEXT_ACTORS_MAX && last == 0)
        return TAKO_LIMIT;
    return crdt_context_add(d->arena, &d->context, dot);
}

/* ---- counters ---------------------------------------------------------- */

/* The number that shows at path, as CBOR: empty where nothing shows. */
static tako_err number_at(crdt_doc *d, crdt_path path, tako_slice *out,
                          const crdt_counter **counter, tako_errbuf *e)
{
    const crdt_slot *s = find_slot(d, path, NULL);
    tako_slice value;

    *out = TAKO_SLICE_NONE;
    *counter = NULL;
    switch (s == NULL ? CRDT_SHOW_NOTHING : crdt_slot_shows(s)) {
    case CRDT_SHOW_COUNTER:
        *counter = s->counter;
        return TAKO_OK;
    case CRDT_SHOW_NOTHING:
        return TAKO_OK;
    case CRDT_SHOW_VALUE:
        value = s->values.at[s->values.count - 1].value;
        if (cbor_kind_of(value) == CBOR_INT ||
            cbor_kind_of(value) == CBOR_FLOAT) {
            *out = value;
            return TAKO_OK;
        }
        break;
    case CRDT_SHOW_MAP:
    case CRDT_SHOW_UNKNOWN:
        break;
    }
    return tako_fail(e, TAKO_INVALID, "the path holds what is no number");
}

/* Would moving what shows by `by` leave int64? */
static bool passes_int64(tako_slice start, int64_t moved, int64_t by)
{
    tako_reader r = tako_reader_of(start);
    cbor_item item = { .kind = CBOR_INT };
    int64_t now;

    if (start.len > 0)
        (void)cbor_read(&r, &item);
    if (item.kind == CBOR_FLOAT)
        return false;
    now = (int64_t)((uint64_t)item.integer + (uint64_t)moved);
    return by > 0 ? now > INT64_MAX - by : now < INT64_MIN - by;
}

/* New start: what it counted before is behind it. */
static tako_err start_counter(const writer *w, crdt_counter *c,
                              tako_slice number)
{
    if ((c->generation & 1) == 0) {
        if (c->generation >= TAKO_GENERATION_MAX)
            return TAKO_LIMIT;
        c->generation = crdt_next_odd(c->generation);
        c->maker = w->dot;
    }
    c->starts.count = 0;
    for (uint32_t i = 0; i < c->sums.count; i++) {
        const crdt_sum *sum = &c->sums.at[i];
        crdt_sum *base;

        if ((sum->inc | sum->dec) == 0)
            continue;
        TAKO_TRY(crdt_sums_of(w->a, &c->baselines, sum->dot.actor, &base));
        base->inc = base->inc > sum->inc ? base->inc : sum->inc;
        base->dec = base->dec > sum->dec ? base->dec : sum->dec;
    }
    return crdt_entries_put(w->a, &c->starts,
                            (crdt_entry){ .dot = w->dot, .value = number });
}

/* A start number in the arena: `number`, or n when that is empty. */
static tako_err number_copy(const writer *w, tako_slice number, int64_t n,
                            tako_slice *out)
{
    uint8_t room[16]; /* more than an integer takes */
    tako_buf b = { w->a->env, room, 0, sizeof room, false };

    if (number.len > 0) {
        *out = number; /* of this document already */
        return TAKO_OK;
    }
    cbor_put_int(&b, n);
    *out = tako_arena_copy(w->a, tako_buf_slice(&b));
    return out->ptr == NULL ? TAKO_NOMEM : TAKO_OK;
}

/* The counter at path, alone there. */
static tako_err make_counter(const writer *w, crdt_doc *d, crdt_path path,
                             crdt_counter **out)
{
    crdt_slot *s;

    TAKO_TRY(crdt_context_add(w->a, &d->context, w->dot));
    TAKO_TRY(make_slot(w, d, path, &s));
    s->values.count = 0;
    if (s->map != NULL)
        clear_map(w, s->map);
    (void)crdt_slot_trim(s);
    return crdt_slot_counter(w->a, s, out);
}

tako_err crdt_increment(crdt_doc *d, crdt_dot dot, crdt_path path, int64_t by,
                        tako_errbuf *e)
{
    writer w;
    tako_slice number;
    const crdt_counter *old;
    const crdt_sum *mine = NULL;
    crdt_slot *s;
    crdt_counter *c;
    crdt_sum *sum;
    tako_slice start;
    uint64_t size = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;

    TAKO_TRY(begin(d, dot, path, &w));
    TAKO_TRY(number_at(d, path, &number, &old, e));
    start = number;
    if (old != NULL)
        start = old->starts.at[old->starts.count - 1].value;
    s = find_slot(d, path, NULL);
    if (s != NULL && s->counter != NULL) /* also a hidden one */
        mine = crdt_sums_find(&s->counter->sums, dot.actor);
    if (passes_int64(start, old == NULL ? 0 : crdt_counter_moved(old), by) ||
        (mine != NULL && (by < 0 ? mine->dec : mine->inc) > UINT64_MAX - size))
        return tako_fail(e, TAKO_LIMIT, "the counter would pass int64");
    TAKO_TRY(make_counter(&w, d, path, &c));
    if (old == NULL) {
        TAKO_TRY(number_copy(&w, number, 0, &start));
        TAKO_TRY(start_counter(&w, c, start));
    }
    TAKO_TRY(crdt_sums_of(w.a, &c->sums, dot.actor, &sum));
    sum->dot.hlc = dot.hlc;
    if (by < 0)
        sum->dec += size;
    else
        sum->inc += size;
    return TAKO_OK;
}

tako_err crdt_restart(crdt_doc *d, crdt_dot dot, crdt_path path, int64_t with,
                      tako_errbuf *e)
{
    writer w;
    tako_slice number;
    const crdt_counter *old;
    crdt_counter *c;

    TAKO_TRY(begin(d, dot, path, &w));
    TAKO_TRY(number_at(d, path, &number, &old, e));
    TAKO_TRY(number_copy(&w, TAKO_SLICE_NONE, with, &number));
    TAKO_TRY(make_counter(&w, d, path, &c));
    return start_counter(&w, c, number);
}
