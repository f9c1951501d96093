// SPDX-License-Identifier: Apache-2.0
/* The places of an item follow the paper: with r uniform in (0, 1], the place
 * after i is i + ceil((i + 3/2) (1 / sqrt(r) - 1)). The arithmetic is IEEE 754
 * double, whose division and square root are the same on every machine.
 *
 * HOSTILE SYMBOLS. In symbols of no set an item may be found at a place that
 * was never its own, and be found again, negated, where it was taken away
 * from, for ever. An honest difference of d items is never decoded from fewer
 * than d symbols; so finding more items than there are symbols ends it. */
#include "sync/symbols.h"

#include <math.h>

#include "base/check.h"
#include "base/hash.h"

#define DECODER_FIRST 64u
#define DECODER_BATCH 64u /* symbols whose keys are worked out together */
#define FIELD_POLY    UINT64_C(0x1b) /* x^64 + x^4 + x^3 + x + 1 */

/* ---- the field ----------------------------------------------------------------- */

/* a * x */
static uint64_t field_twice(uint64_t a)
{
    return a << 1 ^ ((a >> 63) * FIELD_POLY);
}

typedef struct field_row {
    uint64_t of[16]; /* a, times each of 4 bits */
} field_row;

static void field_prepare(field_row *row, uint64_t a)
{
    row->of[0] = 0;
    row->of[1] = a;
    for (size_t i = 2; i < 16; i += 2) {
        row->of[i] = field_twice(row->of[i / 2]);
        row->of[i + 1] = row->of[i] ^ a;
    }
}

static uint64_t field_times(const field_row *row, uint64_t b)
{
    uint64_t r = row->of[b >> 60];

    for (int shift = 56; shift >= 0; shift -= 4) {
        uint64_t h = r >> 60;

        r = r << 4 ^ h ^ h << 1 ^ h << 3 ^ h << 4;
        r ^= row->of[b >> shift & 15u];
    }
    return r;
}

static uint64_t field_mul(uint64_t a, uint64_t b)
{
    field_row row;

    field_prepare(&row, a);
    return field_times(&row, b);
}

/* a to the power of 2^64 - 2 is 1 / a: powers of 2^n - 1 are put together. */
static uint64_t field_inverse(uint64_t a)
{
    static const uint8_t steps[] = { 1, 0, 1, 0, 1, 0, 1, 0, 1, 0 };
    uint64_t r = a;
    int n = 1;

    /* 1, 2, 3, 6, 7, 14, 15, 30, 31, 62, 63 */
    for (size_t i = 0; i < sizeof steps; i++) {
        uint64_t one = steps[i] != 0 ? r : a, up = r;

        for (int k = steps[i] != 0 ? n : 1; k > 0; k--)
            up = field_mul(up, up);
        r = field_mul(up, one);
        n = steps[i] != 0 ? n * 2 : n + 1;
    }
    return field_mul(r, r);
}

/* ---- items ----------------------------------------------------------------------- */

static void put_le(uint8_t *out, uint64_t v)
{
    for (size_t i = 0; i < 8; i++) /* the same on every machine */
        out[i] = (uint8_t)(v >> (8 * i));
}

sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16], uint64_t top)
{
    uint8_t with[8 + 16];
    sync_item item;

    item.key = tako_hash64(key, id);
    memcpy(with + 8, version, 16);
    put_le(with, item.key);
    item.item = tako_hash64(key, tako_slice_of(with, sizeof with));
    item.item += item.item == 0;
    item.when = (top >> 16) & ((UINT64_C(1) << SYNC_WHEN_BITS) - 1u);
    return item;
}

uint64_t sync_key_hash(const uint8_t key[16], uint64_t of)
{
    uint8_t bytes[8];

    put_le(bytes, of);
    return tako_hash64(key, tako_slice_of(bytes, sizeof bytes));
}

/* A step of the generator: an odd constant is added, and the sum mixed. */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ z >> 32;
}

void sync_places_next(sync_places *p)
{
    double r = (double)((mix(&p->state) >> 11) + 1u) * 0x1p-53;
    double exact = ((double)p->at + 1.5) * (1.0 / sqrt(r) - 1.0);
    uint64_t step;

    if (exact >= (double)(UINT32_MAX - p->at)) {
        p->at = SYNC_SYMBOL_NOWHERE;
        return;
    }
    step = (uint64_t)(int64_t)exact;
    step += (double)(int64_t)step < exact;
    p->at += step == 0 ? 1u : step;
}

/* What an item adds to each of its places. */
static sync_symbol symbol_of(sync_item item, uint64_t hash)
{
    field_row row;

    field_prepare(&row, item.item);
    return (sync_symbol){ .item = item.item,
                          .product = field_times(&row, item.key),
                          .when = item.when,
                          .check = (uint32_t)field_times(&row, hash) };
}

static void symbol_add(sync_symbol *s, const sync_symbol *one)
{
    s->item ^= one->item;
    s->product ^= one->product;
    s->when ^= one->when;
    s->check ^= one->check;
}

void sync_symbols_add(sync_symbol *symbols, size_t n, sync_item item,
                      uint64_t hash)
{
    sync_symbol one = symbol_of(item, hash);

    for (sync_places p = sync_places_of(hash); p.at < n; sync_places_next(&p))
        symbol_add(&symbols[p.at], &one);
}

void sync_sketch_add(int32_t sketch[SYNC_SKETCH], sync_item item, uint64_t hash,
                     int sign)
{
    uint64_t state = ~hash, bits = mix(&state);

    for (size_t i = 0; i < SYNC_SKETCH; i++) {
        int32_t one = (bits >> i & 1u) != 0 ? sign : -sign;

        sketch[i] += (item.item >> i & 1u) != 0 ? one : 0;
    }
}

uint64_t sync_sketch_estimate(const int32_t a[SYNC_SKETCH],
                              const int32_t b[SYNC_SKETCH])
{
    double sum = 0;

    for (size_t i = 0; i < SYNC_SKETCH; i++) {
        double d = (double)a[i] - (double)b[i];

        sum += d * d;
    }
    return (uint64_t)(sum * 2.0 / SYNC_SKETCH + 0.5);
}

/* ---- bytes ------------------------------------------------------------------- */

static uint64_t zigzag(int64_t v)
{
    return v < 0 ? ((uint64_t)(-(v + 1)) << 1) | 1u : (uint64_t)v << 1;
}

static int64_t unzigzag(uint64_t v)
{
    int64_t half = (int64_t)(v >> 1);

    return (v & 1u) != 0 ? -half - 1 : half;
}

static void put_be(tako_buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--)
        tako_put_u8(out, (uint8_t)(v >> (8 * (i - 1u))));
}

static uint64_t get_be(tako_reader *in, unsigned bytes)
{
    uint64_t v = 0;

    for (; bytes > 0; bytes--)
        v = v << 8 | tako_read_u8(in);
    return v;
}

void sync_symbol_put(tako_buf *out, const sync_symbol *s)
{
    put_be(out, s->item, 8);
    put_be(out, s->product, 8);
    put_be(out, s->when, SYNC_WHEN_BITS / 8u);
    put_be(out, s->check, 4);
}

void sync_symbol_get(tako_reader *in, sync_symbol *s)
{
    s->item = get_be(in, 8);
    s->product = get_be(in, 8);
    s->when = get_be(in, SYNC_WHEN_BITS / 8u);
    s->check = (uint32_t)get_be(in, 4);
    s->noted = 0;
}

void sync_sketch_put(tako_buf *out, const int32_t sketch[SYNC_SKETCH])
{
    for (size_t i = 0; i < SYNC_SKETCH; i++)
        tako_put_varint(out, zigzag(sketch[i]));
}

void sync_sketch_get(tako_reader *in, int32_t sketch[SYNC_SKETCH])
{
    for (size_t i = 0; i < SYNC_SKETCH; i++) {
        int64_t v = unzigzag(tako_read_varint(in));

        if (v > INT32_MAX || v < INT32_MIN)
            in->failed = true;
        sketch[i] = in->failed ? 0 : (int32_t)v;
    }
}

/* ---- decoding ---------------------------------------------------------------- */

void sync_decoder_init(sync_decoder *d, const tako_env *env,
                       const uint8_t key[16])
{
    *d = (sync_decoder){ .env = env };
    memcpy(d->key, key, sizeof d->key);
}

void sync_decoder_fini(sync_decoder *d)
{
    tako_env_free(d->env, d->symbols, d->cap * sizeof *d->symbols);
    tako_env_free(d->env, d->found, d->found_cap * sizeof *d->found);
    tako_env_free(d->env, d->todo, d->todo_cap * sizeof *d->todo);
    d->symbols = NULL;
    d->found = NULL;
    d->todo = NULL;
    d->count = d->cap = d->found_count = d->found_cap = 0;
    d->todo_count = d->todo_cap = 0;
}

/* Room for `want` items of a size in *items. */
static bool room(const tako_env *env, void **items, uint32_t *cap, size_t want,
                 size_t size)
{
    size_t grown = *cap == 0 ? DECODER_FIRST : *cap;
    void *p;

    if (want <= *cap)
        return true;
    while (grown < want)
        grown *= 2;
    p = env->realloc(env->ctx, *items, *cap * size, grown * size);
    if (p == NULL)
        return false;
    *items = p;
    *cap = (uint32_t)grown;
    return true;
}

static bool note(sync_decoder *d, uint32_t index)
{
    void *p = d->todo;

    if (d->symbols[index].noted != 0 || sync_symbol_empty(&d->symbols[index]))
        return true;
    if (!room(d->env, &p, &d->todo_cap, d->todo_count + 1u, sizeof *d->todo))
        return false;
    d->todo = p;
    d->todo[d->todo_count++] = index;
    d->symbols[index].noted = 1;
    return true;
}

/* Takes a found item from its places up to the end of what is here. */
static bool take_away(sync_decoder *d, sync_found *f, uint64_t hash)
{
    sync_symbol one = symbol_of(f->item, hash);
    bool ok = true;

    while (f->places.at < d->count && ok) {
        symbol_add(&d->symbols[f->places.at], &one);
        ok = note(d, (uint32_t)f->places.at);
        sync_places_next(&f->places);
    }
    return ok;
}

/* The last of those to be looked at, of which the keys are worked out, were
 * they one item each: one inverse serves all. */
typedef struct batch {
    uint32_t index[DECODER_BATCH];
    sync_symbol was[DECODER_BATCH];
    uint64_t key[DECODER_BATCH];
    size_t count;
} batch;

static void batch_take(sync_decoder *d, batch *b)
{
    uint64_t upto[DECODER_BATCH], all = 1;

    b->count = 0;
    while (d->todo_count > 0 && b->count < DECODER_BATCH) {
        uint32_t index = d->todo[--d->todo_count];
        sync_symbol *s = &d->symbols[index];

        s->noted = 0;
        if (s->item == 0)
            continue;
        b->index[b->count] = index;
        b->was[b->count] = *s;
        upto[b->count++] = all;
        all = field_mul(all, s->item);
    }
    if (b->count > 0)
        all = field_inverse(all);
    for (size_t i = b->count; i > 0; i--) {
        const sync_symbol *s = &b->was[i - 1];

        b->key[i - 1] = field_mul(s->product, field_mul(all, upto[i - 1]));
        all = field_mul(all, s->item);
    }
}

static tako_err found(sync_decoder *d, sync_item item, uint64_t hash)
{
    void *p = d->found;
    sync_found *f;

    if (d->found_count >= d->count)
        return TAKO_LIMIT;
    if (!room(d->env, &p, &d->found_cap, d->found_count + 1u, sizeof *d->found))
        return TAKO_NOMEM;
    d->found = p;
    f = &d->found[d->found_count++];
    *f = (sync_found){ item, sync_places_of(hash) };
    return take_away(d, f, hash) ? TAKO_OK : TAKO_NOMEM;
}

static tako_err peel(sync_decoder *d)
{
    batch b;

    while (d->todo_count > 0) {
        batch_take(d, &b);
        for (size_t i = 0; i < b.count; i++) {
            const sync_symbol *was = &b.was[i];
            sync_item item = { b.key[i], was->item, was->when };
            const sync_symbol *now = &d->symbols[b.index[i]];
            uint64_t hash;

            /* Changed since: then it is noted again. */
            if (now->item != was->item || now->product != was->product)
                continue;
            hash = sync_key_hash(d->key, item.key);
            if ((uint32_t)field_mul(item.item, hash) != was->check)
                continue;
            TAKO_TRY(found(d, item, hash));
        }
    }
    return TAKO_OK;
}

tako_err sync_decoder_feed(sync_decoder *d, const sync_symbol *theirs,
                           const sync_symbol *ours, size_t n)
{
    uint32_t first = d->count;
    void *p = d->symbols;

    if (n > TAKO_SYNC_WIDE_MAX - d->count)
        return TAKO_LIMIT;
    if (!room(d->env, &p, &d->cap, d->count + n, sizeof *d->symbols))
        return TAKO_NOMEM;
    d->symbols = p;
    for (size_t i = 0; i < n; i++) {
        sync_symbol *s = &d->symbols[d->count++];

        *s = theirs[i];
        s->noted = 0;
        symbol_add(s, &ours[i]);
    }
    for (uint32_t i = 0; i < d->found_count; i++)
        if (!take_away(d, &d->found[i],
                       sync_key_hash(d->key, d->found[i].item.key)))
            return TAKO_NOMEM;
    for (uint32_t i = first; i < d->count; i++)
        if (!note(d, i))
            return TAKO_NOMEM;
    return peel(d);
}
