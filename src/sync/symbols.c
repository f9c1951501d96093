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

static void put_le(uint8_t *out, uint64_t v)
{
    for (size_t i = 0; i < 8; i++) /* the same on every machine */
        out[i] = (uint8_t)(v >> (8 * i));
}

sync_item sync_item_of(const uint8_t key[16], tako_slice id,
                       const uint8_t version[16])
{
    uint8_t with[8 + 16];
    sync_item item;

    item.key = tako_hash64(key, id);
    memcpy(with + 8, version, 16);
    put_le(with, item.key);
    item.item = tako_hash64(key, tako_slice_of(with, sizeof with));
    return item;
}

uint64_t sync_item_check(const uint8_t key[16], sync_item item)
{
    uint8_t bytes[16];

    put_le(bytes, item.key);
    put_le(bytes + 8, item.item);
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

static void symbol_add(sync_symbol *s, sync_item item, uint64_t check, int sign)
{
    s->key ^= item.key;
    s->item ^= item.item;
    s->check ^= check;
    s->count += sign;
}

void sync_symbols_add(sync_symbol *symbols, size_t n, sync_item item,
                      uint64_t check, int sign)
{
    for (sync_places p = sync_places_of(check); p.at < n; sync_places_next(&p))
        symbol_add(&symbols[p.at], item, check, sign);
}

void sync_sketch_add(int32_t sketch[SYNC_SKETCH], uint64_t check, int sign)
{
    uint64_t state = ~check;
    uint64_t bits = mix(&state);

    for (size_t i = 0; i < SYNC_SKETCH; i++)
        sketch[i] += (bits >> i & 1u) != 0 ? sign : -sign;
}

uint64_t sync_sketch_estimate(const int32_t a[SYNC_SKETCH],
                              const int32_t b[SYNC_SKETCH])
{
    double sum = 0;

    for (size_t i = 0; i < SYNC_SKETCH; i++) {
        double d = (double)a[i] - (double)b[i];

        sum += d * d;
    }
    return (uint64_t)(sum / SYNC_SKETCH + 0.5);
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

void sync_symbol_put(tako_buf *out, const sync_symbol *s)
{
    tako_put_u64(out, s->key);
    tako_put_u64(out, s->item);
    tako_put_u64(out, s->check);
    tako_put_varint(out, zigzag(s->count));
}

void sync_symbol_get(tako_reader *in, sync_symbol *s)
{
    s->key = tako_read_u64(in);
    s->item = tako_read_u64(in);
    s->check = tako_read_u64(in);
    s->count = unzigzag(tako_read_varint(in));
    if (s->count > INT64_C(1) << 48 || s->count < -(INT64_C(1) << 48))
        in->failed = true;
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
    tako_env_free(d->env, d->pure, d->pure_cap * sizeof *d->pure);
    d->symbols = NULL;
    d->found = NULL;
    d->pure = NULL;
    d->count = d->cap = d->found_count = d->found_cap = 0;
    d->pure_count = d->pure_cap = 0;
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

/* Is one item left in it? */
static bool is_pure(const sync_decoder *d, const sync_symbol *s)
{
    return (s->count == 1 || s->count == -1) &&
           sync_item_check(d->key, (sync_item){ s->key, s->item }) == s->check;
}

static bool note_pure(sync_decoder *d, uint32_t index)
{
    void *p = d->pure;

    if (!room(d->env, &p, &d->pure_cap, d->pure_count + 1u, sizeof *d->pure))
        return false;
    d->pure = p;
    d->pure[d->pure_count++] = index;
    return true;
}

/* Takes a found item from its places up to the end of what is here. */
static bool take_away(sync_decoder *d, sync_found *f, uint64_t check)
{
    bool ok = true;

    while (f->places.at < d->count && ok) {
        sync_symbol *s = &d->symbols[f->places.at];

        symbol_add(s, f->item, check, f->theirs ? -1 : 1);
        if (s->count == 1 || s->count == -1)
            ok = note_pure(d, (uint32_t)f->places.at);
        sync_places_next(&f->places);
    }
    return ok;
}

static tako_err peel(sync_decoder *d)
{
    while (d->pure_count > 0) {
        sync_symbol s = d->symbols[d->pure[--d->pure_count]];
        void *p = d->found;
        sync_found *f;

        if (!is_pure(d, &s))
            continue;
        if (d->found_count >= d->count)
            return TAKO_LIMIT;
        if (!room(d->env, &p, &d->found_cap, d->found_count + 1u,
                  sizeof *d->found))
            return TAKO_NOMEM;
        d->found = p;
        f = &d->found[d->found_count++];
        *f = (sync_found){ { s.key, s.item },
                           s.count > 0,
                           sync_places_of(s.check) };
        if (!take_away(d, f, s.check))
            return TAKO_NOMEM;
    }
    return TAKO_OK;
}

tako_err sync_decoder_feed(sync_decoder *d, const sync_symbol *theirs,
                           const sync_symbol *ours, size_t n)
{
    uint32_t first = d->count;
    void *p = d->symbols;

    if (n > TAKO_SYNC_SYMBOLS_MAX - d->count)
        return TAKO_LIMIT;
    if (!room(d->env, &p, &d->cap, d->count + n, sizeof *d->symbols))
        return TAKO_NOMEM;
    d->symbols = p;
    for (size_t i = 0; i < n; i++)
        d->symbols[d->count++] = (sync_symbol){
            theirs[i].key ^ ours[i].key, theirs[i].item ^ ours[i].item,
            theirs[i].check ^ ours[i].check, theirs[i].count - ours[i].count
        };
    for (uint32_t i = 0; i < d->found_count; i++)
        if (!take_away(d, &d->found[i],
                       sync_item_check(d->key, d->found[i].item)))
            return TAKO_NOMEM;
    for (uint32_t i = first; i < d->count; i++)
        if ((d->symbols[i].count == 1 || d->symbols[i].count == -1) &&
            !note_pure(d, i))
            return TAKO_NOMEM;
    return peel(d);
}
