// SPDX-License-Identifier: Apache-2.0
/* What the emitter makes lists and rows with. The aggregates keep the order in
 * which rows come; their memory is bounded by TAKO_ROW_BYTES_MAX. */
#include "query/functions.h"

#include <stdlib.h>

#include "base/arena.h"

/* ---- objects ---------------------------------------------------------------- */

/* Two objects into one; where both have a key, b's value stays. */
static void put_merged(tako_buf *out, tako_slice a, tako_slice b)
{
    value_iter x, y;
    uint64_t n, m, count = 0;
    bool more_x, more_y;

    for (int pass = 0; pass < 2; pass++) {
        if (!value_iter_init(&x, a, &n) || !value_iter_init(&y, b, &m))
            return;
        if (pass == 1)
            cbor_put_map(out, count);
        more_x = value_iter_next(&x);
        more_y = value_iter_next(&y);
        while (more_x || more_y) {
            int c = !more_y ? -1 : !more_x ? 1 : tako_slice_cmp(x.key, y.key);
            const value_iter *from = c < 0 ? &x : &y;

            if (pass == 0) {
                count++;
            } else {
                tako_put_bytes(out, from->key);
                tako_put_bytes(out, from->value);
            }
            if (c <= 0)
                more_x = value_iter_next(&x);
            if (c >= 0)
                more_y = value_iter_next(&y);
        }
    }
}

/* tql_merge(object, ...): later ones win; what is no object is passed over. */
static void run_merge(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_buf other = tako_buf_on(out->env);

    cbor_put_map(out, 0);
    for (int i = 0; i < argc; i++) {
        tako_slice v = value_blob(argv[i]);
        tako_buf swap;

        if (value_rank_cbor(v) != RANK_OBJECT)
            continue;
        tako_buf_reset(&other);
        put_merged(&other, tako_buf_slice(out), v);
        swap = *out;
        *out = other;
        other = swap;
    }
    value_result_buf(ctx, out);
    tako_buf_fini(&other);
}

/* ---- what FOR collects --------------------------------------------------------- */

/* tql_collect(value, _), tql_collect_object(key, value, _): the last argument
 * only ties the aggregate to its rows (emit_list.c). */

typedef struct collect_state {
    tako_buf items;
    uint64_t count;
    bool begun;
} collect_state;

static collect_state *collect_begin(sqlite3_context *ctx)
{
    collect_state *s = sqlite3_aggregate_context(ctx, sizeof *s);
    const fn_state *f = sqlite3_user_data(ctx);

    if (s == NULL) {
        sqlite3_result_error_nomem(ctx);
        return NULL;
    }
    if (!s->begun) {
        s->begun = true;
        s->items = tako_buf_on(f->env);
    }
    return s;
}

static void collect_grown(sqlite3_context *ctx, collect_state *s)
{
    if (s->items.failed)
        sqlite3_result_error_nomem(ctx);
    else if (s->items.len > TAKO_ROW_BYTES_MAX)
        sqlite3_result_error_toobig(ctx);
}

static void collect_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    collect_state *s = collect_begin(ctx);
    size_t before;

    (void)argc;
    if (s == NULL)
        return;
    before = s->items.len;
    value_put(&s->items, argv[0]);
    if (s->items.len == before)
        cbor_put_null(&s->items); /* as in an array literal */
    s->count++;
    collect_grown(ctx, s);
}

static void collect_final(sqlite3_context *ctx)
{
    collect_state *s = sqlite3_aggregate_context(ctx, 0);
    tako_buf *out = fn_buf(ctx);

    cbor_put_array(out, s == NULL ? 0 : s->count);
    if (s != NULL && s->begun) {
        tako_put_bytes(out, tako_buf_slice(&s->items));
        out->failed = out->failed || s->items.failed;
        tako_buf_fini(&s->items);
        s->begun = false;
    }
    value_result_buf(ctx, out);
}

/* Pairs of a text and a value; others are passed over. */
static void pair_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    collect_state *s;

    (void)argc;
    if (value_rank_of(argv[0]) != RANK_TEXT ||
        value_rank_of(argv[1]) == RANK_MISSING)
        return;
    s = collect_begin(ctx);
    if (s == NULL)
        return;
    value_put(&s->items, argv[0]);
    value_put(&s->items, argv[1]);
    s->count++;
    collect_grown(ctx, s);
}

typedef struct pair {
    tako_slice key, value; /* of the encodings: of equal keys the place tells */
} pair;

static int pair_cmp(const void *a, const void *b)
{
    const pair *x = a;
    const pair *y = b;
    int c = tako_slice_cmp(x->key, y->key);

    return c != 0 ? c : x->key.ptr < y->key.ptr ? -1 : 1;
}

static void put_pairs(sqlite3_context *ctx, collect_state *s, tako_buf *out)
{
    size_t count = (size_t)s->count, kept = 0, i = 0;
    tako_arena arena = tako_arena_on(out->env);
    pair *pairs = tako_arena_array(&arena, count, sizeof *pairs);
    tako_reader r = tako_reader_of(tako_buf_slice(&s->items));

    if (pairs == NULL || s->items.failed) {
        sqlite3_result_error_nomem(ctx);
        tako_arena_fini(&arena);
        return;
    }
    while (i < count) {
        pairs[i].key = cbor_read_value(&r);
        pairs[i++].value = cbor_read_value(&r);
    }
    qsort(pairs, count, sizeof *pairs, pair_cmp);
    for (i = 0; i < count; i++) { /* of equal keys the last */
        if (i + 1 < count && tako_slice_eq(pairs[i].key, pairs[i + 1].key))
            continue;
        pairs[kept++] = pairs[i];
    }
    cbor_put_map(out, kept);
    for (i = 0; i < kept; i++) {
        tako_put_bytes(out, pairs[i].key);
        tako_put_bytes(out, pairs[i].value);
    }
    value_result_buf(ctx, out);
    tako_arena_fini(&arena);
}

static void pair_final(sqlite3_context *ctx)
{
    collect_state *s = sqlite3_aggregate_context(ctx, 0);
    tako_buf *out = fn_buf(ctx);

    if (s == NULL || !s->begun) {
        cbor_put_map(out, 0);
        value_result_buf(ctx, out);
        return;
    }
    put_pairs(ctx, s, out);
    tako_buf_fini(&s->items);
    s->begun = false;
}

const fn_entry fn_list[] = {
    { "merge", 1, 100, run_merge, NULL, NULL },
    { "collect", 2, 2, NULL, collect_step, collect_final },
    { "collect_object", 3, 3, NULL, pair_step, pair_final },
    { NULL, 0, 0, NULL, NULL, NULL },
};
