// SPDX-License-Identifier: Apache-2.0
#include "query/diff.h"

#include "base/hash.h"
#include "codec/cbor.h"

/* ---- lists ---------------------------------------------------------------- */

row_list row_list_on(const tako_env *env)
{
    return (row_list){ .bytes = tako_buf_on(env) };
}

void row_list_fini(row_list *l)
{
    const tako_env *env = l->bytes.env;

    tako_buf_fini(&l->bytes);
    tako_env_free(env, l->ends, l->cap * sizeof *l->ends);
    *l = row_list_on(env);
}

void row_list_reset(row_list *l)
{
    tako_buf_reset(&l->bytes);
    l->count = 0;
}

tako_err row_list_add(row_list *l, tako_slice row)
{
    const tako_env *env = l->bytes.env;
    size_t cap = l->cap == 0 ? 16 : l->cap * 2;
    size_t *ends;

    if (l->count == l->cap) {
        ends = env->realloc(env->ctx, l->ends, l->cap * sizeof *ends,
                            cap * sizeof *ends);
        if (ends == NULL)
            return TAKO_NOMEM;
        l->ends = ends;
        l->cap = cap;
    }
    tako_put_bytes(&l->bytes, row);
    if (l->bytes.failed)
        return TAKO_NOMEM;
    l->ends[l->count++] = l->bytes.len;
    return TAKO_OK;
}

tako_slice row_list_at(const row_list *l, size_t i)
{
    size_t from = i == 0 ? 0 : l->ends[i - 1];

    return tako_slice_of(l->bytes.ptr + from, l->ends[i] - from);
}

/* ---- pairs ------------------------------------------------------------------- */

/* What a pass over the old rows leaves behind: chains by identity. */
typedef struct pairing {
    row_diff *d;
    const row_list *was, *is;
    const uint8_t *key;
    size_t *heads; /* old row + 1 */
    size_t *nexts; /* of each old row; the next one of its chain + 1 */
    size_t mask;
} pairing;

static tako_slice id_of(tako_slice row)
{
    return cbor_map_get(row, tako_slice_str("_id"));
}

static tako_slice identity(tako_slice row)
{
    tako_slice id = id_of(row);

    return id.len > 0 ? id : row; /* an _id is no map */
}

static size_t *head_of(const pairing *p, tako_slice ident)
{
    return &p->heads[tako_hash64(p->key, ident) & p->mask];
}

/* Chains in the order of the rows: the last is put in first. */
static void chain_old(pairing *p)
{
    for (size_t i = p->was->count; i-- > 0;) {
        size_t *head = head_of(p, identity(row_list_at(p->was, i)));

        p->nexts[i] = *head;
        *head = i + 1;
    }
}

static void pair(row_diff *d, size_t was, size_t is)
{
    d->new_of[was] = is + 1;
    d->old_of[is] = was + 1;
}

static void pair_same(pairing *p)
{
    for (size_t i = 0; i < p->is->count; i++) {
        tako_slice ident = identity(row_list_at(p->is, i));
        size_t *at = head_of(p, ident);

        while (*at != 0 &&
               !tako_slice_eq(identity(row_list_at(p->was, *at - 1)), ident))
            at = &p->nexts[*at - 1];
        if (*at == 0)
            continue;
        pair(p->d, *at - 1, i);
        *at = p->nexts[*at - 1];
    }
}

static void pair_rest(pairing *p)
{
    size_t i = 0;

    for (size_t k = 0; k < p->is->count; k++) {
        if (p->d->old_of[k] != 0 || id_of(row_list_at(p->is, k)).len > 0)
            continue;
        while (i < p->was->count &&
               (p->d->new_of[i] != 0 || id_of(row_list_at(p->was, i)).len > 0))
            i++;
        if (i == p->was->count)
            return;
        pair(p->d, i, k);
    }
}

/* ---- moves ---------------------------------------------------------------------- */

/* The longest run of new rows whose old places ascend stays; the others
 * moved. last[n]: the new row at which the best run of n + 1 ends; before: the
 * one in front of each. Both are the pairing's arrays, used again. */
static void find_moves(row_diff *d, size_t *last, size_t *before)
{
    size_t best = 0;

    for (size_t i = 0; i < d->is; i++) {
        size_t low = 0, high = best;

        if (d->old_of[i] == 0)
            continue;
        while (low < high) {
            size_t mid = (low + high) / 2;

            if (d->old_of[last[mid]] < d->old_of[i])
                low = mid + 1;
            else
                high = mid;
        }
        before[i] = low == 0 ? SIZE_MAX : last[low - 1];
        last[low] = i;
        best += low == best;
        d->moved[i] = true;
    }
    for (size_t i = best == 0 ? SIZE_MAX : last[best - 1]; i != SIZE_MAX;
         i = before[i])
        d->moved[i] = false;
}

tako_err row_diff_init(row_diff *d, const row_list *was, const row_list *is,
                       const uint8_t key[16])
{
    const tako_env *env = was->bytes.env;
    size_t rows = was->count > is->count ? was->count : is->count;
    size_t heads = 16;
    size_t *p;
    pairing g;

    while (heads < was->count)
        heads *= 2;
    /* the lists that are kept, then those of the work */
    *d = (row_diff){ .env = env, .was = was->count, .is = is->count };
    d->bytes = (was->count + is->count + heads + 2 * rows) * sizeof *p +
               is->count * sizeof *d->moved;
    d->block = tako_env_alloc(env, d->bytes);
    if (d->block == NULL)
        return TAKO_NOMEM;
    p = d->block;
    d->new_of = p;
    d->old_of = d->new_of + was->count;
    g = (pairing){ .d = d, .was = was, .is = is, .key = key };
    g.heads = d->old_of + is->count;
    g.nexts = g.heads + heads;
    g.mask = heads - 1;
    d->moved = (bool *)(g.nexts + 2 * rows);
    chain_old(&g);
    pair_same(&g);
    pair_rest(&g);
    find_moves(d, g.nexts, g.nexts + rows);
    return TAKO_OK;
}

void row_diff_fini(row_diff *d)
{
    if (d->block != NULL)
        tako_env_free(d->env, d->block, d->bytes);
    *d = (row_diff){ 0 };
}
