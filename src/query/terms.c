// SPDX-License-Identifier: Apache-2.0
/* See terms.h. Terms are collected in the parse's arena and then copied into
 * one block: predicates outlive their trees, in numbers. */
#include "query/terms.h"

#include <stdlib.h>

#include "codec/cbor.h"
#include "query/check.h"
#include "query/value.h"

/* One term being collected. */
typedef struct draft {
    query_parse *p;
    query_term term;
    bool open; /* no path yet */
} draft;

static int key_cmp(const void *a, const void *b)
{
    return tako_slice_cmp(*(const tako_slice *)a, *(const tako_slice *)b);
}

/* A float that is whole is the integer that equals it. */
static bool float_is_int(double r, int64_t *i)
{
    if (r < -9223372036854775808.0 || r >= 9223372036854775808.0)
        return false;
    *i = (int64_t)r;
    return (double)*i == r;
}

/* The CBOR head of an integer, as cbor_put_int writes it. */
static tako_slice int_key(int64_t v, uint8_t out[TERM_SCRATCH_BYTES])
{
    uint8_t major = v < 0 ? 0x20 : 0;
    uint64_t n = v < 0 ? (uint64_t)(-1 - v) : (uint64_t)v;
    unsigned bytes = n < 24            ? 0
                     : n <= UINT8_MAX  ? 1
                     : n <= UINT16_MAX ? 2
                     : n <= UINT32_MAX ? 4
                                       : 8;

    if (bytes == 0) {
        out[0] = (uint8_t)(major | n);
        return tako_slice_of(out, 1);
    }
    out[0] = (uint8_t)(major | (bytes == 1   ? 24
                                : bytes == 2 ? 25
                                : bytes == 4 ? 26
                                             : 27));
    for (unsigned i = 0; i < bytes; i++)
        out[1 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
    return tako_slice_of(out, 1 + bytes);
}

static tako_slice key_of(tako_slice v, uint8_t scratch[TERM_SCRATCH_BYTES])
{
    tako_reader r = tako_reader_of(v);
    cbor_item item;
    int64_t i;

    if (value_rank_cbor(v) >= RANK_NULL)
        return TAKO_SLICE_NONE;
    if (v.ptr[0] >> 5 != 7 || v.ptr[0] < 0xF9)
        return v;
    if (!cbor_read(&r, &item) || item.kind != CBOR_FLOAT)
        return TAKO_SLICE_NONE;
    return float_is_int(item.real, &i) ? int_key(i, scratch) : v;
}

/* ---- collecting ----------------------------------------------------------- */

static bool same_path(const query_term *t, bool id, tako_slice path)
{
    return t->id == id && tako_slice_eq(t->path, path);
}

/* The path of an expression; false when it is none (or one with an index). */
static bool path_of(draft *d, const node *n, bool *id, tako_slice *path)
{
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];
    tako_buf b;
    size_t count;

    if (!query_path_keys(&d->p->stmt, n, keys, TAKO_VALUE_DEPTH_MAX, &count))
        return false;
    if (n->kind == AST_NAME && n->op == NAME_WHOLE)
        return false; /* the document itself */
    *id = tako_slice_eq(keys[0], tako_slice_str("_id"));
    b = tako_buf_on(d->p->env);
    for (size_t i = *id ? 1 : 0; i < count; i++)
        cbor_put_text(&b, keys[i]);
    *path = b.len == 0 ? TAKO_SLICE_NONE
                       : tako_arena_copy(&d->p->arena, tako_buf_slice(&b));
    if (b.failed || (b.len > 0 && path->ptr == NULL))
        d->p->err = TAKO_NOMEM;
    tako_buf_fini(&b);
    return true;
}

/* The term's path is this one from now on, or was. */
static bool take_path(draft *d, const node *n)
{
    tako_slice path;
    bool id;

    if (!path_of(d, n, &id, &path))
        return false;
    if (d->open) {
        d->term.id = id;
        d->term.path = path;
        d->open = false;
        return true;
    }
    return same_path(&d->term, id, path);
}

static bool room(draft *d, size_t more)
{
    size_t want = d->term.count + more;
    tako_slice *keys;

    if (want > TAKO_PREDICATE_KEYS_MAX)
        return false;
    if (more == 0)
        return true;
    keys = tako_arena_array(&d->p->arena, want, sizeof *keys);
    if (keys == NULL) {
        d->p->err = TAKO_NOMEM;
        return false;
    }
    if (d->term.count > 0)
        memcpy(keys, d->term.keys, d->term.count * sizeof *keys);
    d->term.keys = keys;
    return true;
}

/* There is room. */
static void add_key(draft *d, tako_slice value)
{
    uint8_t scratch[TERM_SCRATCH_BYTES];
    tako_slice key = key_of(value, scratch);

    if (key.len == 0)
        return; /* equals nothing */
    if (key.ptr == scratch) {
        key = tako_arena_copy(&d->p->arena, key);
        if (key.ptr == NULL)
            d->p->err = TAKO_NOMEM;
    }
    d->term.keys[d->term.count++] = key;
}

static bool collect_equal(draft *d, const node *n)
{
    const node *l = n->first, *c = l->next;

    if (l->kind == AST_CONST) {
        c = l;
        l = n->first->next;
    }
    if (c->kind != AST_CONST || !take_path(d, l) || !room(d, 1))
        return false;
    add_key(d, c->text);
    return true;
}

static bool collect_in(draft *d, const node *n)
{
    const node *list = n->first->next;
    uint64_t count = 0;
    value_iter it;

    if (n->negated || list->kind != AST_CONST ||
        value_rank_cbor(list->text) != RANK_ARRAY ||
        !value_iter_init(&it, list->text, &count) || !take_path(d, n->first) ||
        count > TAKO_PREDICATE_KEYS_MAX || !room(d, (size_t)count))
        return false;
    while (value_iter_next(&it))
        add_key(d, it.value);
    return true;
}

static bool is_ordered(const node *c)
{
    value_rank r =
        c->kind == AST_CONST ? value_rank_cbor(c->text) : RANK_MISSING;

    return r == RANK_NUMBER || r == RANK_TEXT;
}

static bool collect_bound(draft *d, const node *path, compare_op op,
                          const node *c)
{
    if (!is_ordered(c) || !take_path(d, path) || !room(d, 1))
        return false;
    d->term.order = true;
    d->term.op[d->term.count] = (uint8_t)op;
    d->term.keys[d->term.count++] = c->text;
    return true;
}

static bool collect_order(draft *d, const node *n)
{
    static const uint8_t turn[] = { COMPARE_EQ, COMPARE_NE, COMPARE_GT,
                                    COMPARE_GE, COMPARE_LT, COMPARE_LE };
    const node *l = n->first, *c = l->next;

    if (l->kind == AST_CONST)
        return collect_bound(d, c, (compare_op)turn[n->op], l);
    return collect_bound(d, l, (compare_op)n->op, c);
}

static bool collect_between(draft *d, const node *n)
{
    const node *x = n->first, *a = x->next, *b = a->next;

    return !n->negated && is_ordered(a) && is_ordered(b) &&
           value_rank_cbor(a->text) == value_rank_cbor(b->text) &&
           collect_bound(d, x, COMPARE_GE, a) &&
           collect_bound(d, x, COMPARE_LE, b);
}

/* Adds to the equality what n requires; false: n is none of its path. */
static bool collect(draft *d, const node *n)
{
    if (d->p->err != TAKO_OK)
        return false;
    if (n->kind == AST_COMPARE && n->op == COMPARE_EQ)
        return collect_equal(d, n);
    if (n->kind == AST_IN)
        return collect_in(d, n);
    if (n->kind != AST_OR)
        return false;
    for (const node *k = n->first; k != NULL; k = k->next)
        if (!collect(d, k))
            return false;
    return true;
}

static bool collect_term(draft *d, const node *n)
{
    if (n->kind == AST_BETWEEN)
        return collect_between(d, n);
    if (n->kind == AST_COMPARE && n->op != COMPARE_EQ)
        return collect_order(d, n);
    return collect(d, n);
}

static void sort_keys(query_term *t)
{
    size_t kept = 0;

    if (t->count == 0 || t->order)
        return;
    qsort(t->keys, t->count, sizeof *t->keys, key_cmp);
    for (size_t i = 0; i < t->count; i++)
        if (kept == 0 || !tako_slice_eq(t->keys[kept - 1], t->keys[i]))
            t->keys[kept++] = t->keys[i];
    t->count = kept;
}

/* ---- the block --------------------------------------------------------------- */

static tako_slice pack(uint8_t **at, tako_slice s)
{
    tako_slice copy = { *at, s.len };

    if (s.len == 0)
        return TAKO_SLICE_NONE;
    memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static tako_err block_make(query_terms *t, const query_term *from)
{
    size_t keys = 0, bytes = 0;
    tako_slice *slices;
    uint8_t *text;

    for (size_t i = 0; i < t->count; i++) {
        keys += from[i].count;
        bytes += from[i].path.len;
        for (size_t k = 0; k < from[i].count; k++)
            bytes += from[i].keys[k].len;
    }
    t->bytes = t->count * sizeof *t->at + keys * sizeof *slices + bytes;
    t->block = tako_env_alloc(t->env, t->bytes);
    if (t->block == NULL)
        return TAKO_NOMEM;
    t->at = t->block;
    slices = (tako_slice *)(void *)(t->at + t->count);
    text = (uint8_t *)(slices + keys);
    for (size_t i = 0; i < t->count; i++) {
        t->at[i] = from[i];
        t->at[i].path = pack(&text, from[i].path);
        t->at[i].keys = slices;
        for (size_t k = 0; k < from[i].count; k++)
            *slices++ = pack(&text, from[i].keys[k]);
    }
    return TAKO_OK;
}

tako_err query_terms_init(query_terms *t, query_parse *p, const node *where)
{
    query_term found[TAKO_PREDICATE_TERMS_MAX];
    const node *n = where;

    *t = (query_terms){ .env = p->env, .exact = where != NULL };
    if (where != NULL && where->kind == AST_AND)
        n = where->first;
    for (; n != NULL; n = n == where ? NULL : n->next) {
        draft d = { .p = p, .open = true };
        bool is_term =
            t->count < TAKO_PREDICATE_TERMS_MAX && collect_term(&d, n);

        if (p->err != TAKO_OK)
            return p->err;
        t->exact = t->exact && is_term;
        if (!is_term)
            continue;
        sort_keys(&d.term);
        found[t->count++] = d.term;
    }
    return t->count == 0 ? TAKO_OK : block_make(t, found);
}

void query_terms_fini(query_terms *t)
{
    if (t->block != NULL)
        tako_env_free(t->env, t->block, t->bytes);
    *t = (query_terms){ 0 };
}

/* ---- documents ---------------------------------------------------------------- */

static tako_slice value_of(const query_term *t, tako_slice id, tako_slice body)
{
    tako_slice v = t->id ? id : body;

    return t->path.len > 0 ? value_get(v, t->path) : v;
}

tako_slice query_term_key(const query_term *t, tako_slice id, tako_slice body,
                          uint8_t scratch[TERM_SCRATCH_BYTES])
{
    return key_of(value_of(t, id, body), scratch);
}

static bool order_holds(const query_term *t, tako_slice v)
{
    value_rank r = value_rank_cbor(v);

    for (size_t i = 0; i < t->count; i++) {
        compare_op op = (compare_op)t->op[i];
        int c;

        if (r != value_rank_cbor(t->keys[i]))
            return false;
        c = value_compare_cbor(v, t->keys[i]);
        if ((c < 0 && op != COMPARE_LT && op != COMPARE_LE &&
             op != COMPARE_NE) ||
            (c > 0 && op != COMPARE_GT && op != COMPARE_GE &&
             op != COMPARE_NE) ||
            (c == 0 && op != COMPARE_LE && op != COMPARE_GE))
            return false;
    }
    return true;
}

bool query_term_holds(const query_term *t, tako_slice id, tako_slice body)
{
    uint8_t scratch[TERM_SCRATCH_BYTES];
    tako_slice key;

    if (t->order)
        return order_holds(t, value_of(t, id, body));
    key = query_term_key(t, id, body, scratch);
    if (key.len == 0 || t->count == 0)
        return false;
    if (t->count == 1)
        return tako_slice_eq(t->keys[0], key);
    return bsearch(&key, t->keys, t->count, sizeof key, key_cmp) != NULL;
}
