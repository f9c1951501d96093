// SPDX-License-Identifier: Apache-2.0
/* CHANGE -- what a transaction wrote, in order, each document once.
 *
 * A bulk load of fresh documents is the case that must be cheap: an entry has
 * 16 bytes, and only documents that existed before have a `prior` with copies
 * of what they were, in blocks that die with the list. (An arena would zero
 * and align what is only copied into: a tenth of an update's time.)
 *
 * Whether a document was changed before in this transaction is seen by the
 * caller from the lsn in its row; only then is its entry looked for, with a
 * hash table that is made at the first such case.
 *
 * NOW. The states that the first few entries wrote are kept as well, while they
 * are small. One is right as long as nothing else writes the row: so a second
 * change forgets it, and a row that goes forgets all.
 *
 * Savepoints: entries are appended, so undoing truncates. An entry before the
 * savepoint can only have turned its `alive`: such flips are logged. */
#include "store/internal.h"

#define CHANGE_BLOCK_BYTES (64u << 10)

struct change_block {
    change_block *next;
    size_t used, cap;
    uint8_t data[];
};

struct change_view {
    store_change *all;
    size_t cap;
    bool current;
};

tako_err change_init(change_list *l, const tako_env *env)
{
    *l = (change_list){ .env = env };
    l->view = tako_env_alloc(env, sizeof *l->view);
    return l->view != NULL ? TAKO_OK : TAKO_NOMEM;
}

static void change_free(change_list *l)
{
    const tako_env *env = l->env;

    tako_env_free(env, l->entries, l->cap * sizeof *l->entries);
    tako_env_free(env, l->priors, l->prior_cap * sizeof *l->priors);
    tako_env_free(env, l->flips, l->flip_cap * sizeof *l->flips);
    tako_env_free(env, l->table, l->table_cap * sizeof *l->table);
    tako_env_free(env, l->view->all, l->view->cap * sizeof *l->view->all);
    l->entries = NULL;
    l->priors = NULL;
    l->flips = NULL;
    l->table = NULL;
    l->cap = l->prior_cap = l->flip_cap = l->table_cap = 0;
    *l->view = (change_view){ NULL, 0, false };
}

/* All blocks but, with `keep`, one of the usual size. */
static void blocks_free(change_list *l, bool keep)
{
    change_block *kept = NULL;

    while (l->blocks != NULL) {
        change_block *b = l->blocks;

        l->blocks = b->next;
        if (keep && kept == NULL && b->cap == CHANGE_BLOCK_BYTES) {
            b->next = NULL;
            b->used = 0;
            kept = b;
        } else {
            tako_env_free(l->env, b, sizeof *b + b->cap);
        }
    }
    l->blocks = kept;
}

/* n bytes, unaligned and not zeroed. */
static uint8_t *blocks_take(change_list *l, size_t n)
{
    change_block *b = l->blocks;
    size_t cap = n > CHANGE_BLOCK_BYTES ? n : CHANGE_BLOCK_BYTES;

    if (b == NULL || n > b->cap - b->used) {
        b = l->env->realloc(l->env->ctx, NULL, 0, sizeof *b + cap);
        if (b == NULL)
            return NULL;
        *b = (change_block){ l->blocks, 0, cap };
        l->blocks = b;
    }
    b->used += n;
    return b->data + (b->used - n);
}

void change_fini(change_list *l)
{
    if (l->view == NULL)
        return;
    change_free(l);
    tako_env_free(l->env, l->view, sizeof *l->view);
    blocks_free(l, false);
    l->view = NULL;
}

void change_reset(change_list *l)
{
    size_t bytes =
        l->cap * sizeof *l->entries + l->prior_cap * sizeof *l->priors +
        l->table_cap * sizeof *l->table + l->view->cap * sizeof *l->view->all;

    if (bytes > STORE_KEEP_BYTES)
        change_free(l);
    if (l->blocks != NULL)
        blocks_free(l, true);
    if (l->table_used > 0 && l->table != NULL)
        memset(l->table, 0, l->table_cap * sizeof *l->table);
    l->count = l->prior_count = l->flip_count = l->table_used = 0;
    l->view->current = false;
}

change_mark change_here(const change_list *l)
{
    return (change_mark){ l->count, l->prior_count, l->flip_count };
}

/* Room for one more of n items of `size` in *p. */
static tako_err grow(const tako_env *env, void **p, size_t *cap, size_t n,
                     size_t size)
{
    size_t want = *cap < 8 ? 8 : *cap + *cap / 2;
    void *q;

    if (n < *cap)
        return TAKO_OK;
    q = env->realloc(env->ctx, *p, *cap * size, want * size);
    if (q == NULL)
        return TAKO_NOMEM;
    *p = q;
    *cap = want;
    return TAKO_OK;
}

static uint32_t pack(uint32_t coll, bool alive)
{
    return coll << 1 | (alive ? 1u : 0u);
}

tako_err change_reserve(change_list *l)
{
    void *p = l->entries;
    tako_err err;

    if (l->count >= UINT32_MAX - 1)
        return TAKO_LIMIT;
    err = grow(l->env, &p, &l->cap, l->count, sizeof *l->entries);
    l->entries = p;
    return err;
}

void change_new(change_list *l, uint32_t coll, int64_t row, bool alive)
{
    TAKO_ASSERT(l->count < l->cap);
    if (l->count < CHANGE_NOW_MAX)
        l->now[l->count].kept = false;
    l->entries[l->count++] = (change_entry){ row, pack(coll, alive), 0 };
    l->view->current = false;
}

static tako_slice block_put(uint8_t **at, tako_slice s)
{
    tako_slice copy = { *at, s.len };

    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

tako_err change_old(change_list *l, const change_prior *prior)
{
    void *p = l->priors;
    change_prior *x;
    uint8_t *at;
    tako_err err;

    TAKO_TRY(change_reserve(l));
    err = grow(l->env, &p, &l->prior_cap, l->prior_count, sizeof *l->priors);
    l->priors = p;
    TAKO_TRY(err);
    at = blocks_take(l, prior->id.len + prior->meta.len + prior->body.len);
    if (at == NULL)
        return TAKO_NOMEM;
    x = &l->priors[l->prior_count];
    *x = *prior;
    x->id = block_put(&at, prior->id);
    x->meta = block_put(&at, prior->meta);
    x->body = block_put(&at, prior->body);
    return TAKO_OK;
}

void change_old_done(change_list *l, uint32_t coll, int64_t row, bool alive)
{
    l->prior_count++;
    change_new(l, coll, row, alive);
    l->entries[l->count - 1].prior = (uint32_t)l->prior_count;
}

void change_wrote(change_list *l, const store_row *row)
{
    size_t bytes = row->id.len + row->meta.len + row->body.len;
    change_now *n;
    uint8_t *at;

    if (l->count > CHANGE_NOW_MAX || bytes > CHANGE_NOW_BYTES_MAX)
        return;
    n = &l->now[l->count - 1];
    at = blocks_take(l, bytes);
    if (at == NULL)
        return;
    *n = (change_now){ true, *row };
    n->row.id = block_put(&at, row->id);
    n->row.meta = block_put(&at, row->meta);
    n->row.body = block_put(&at, row->body);
}

void change_gone(change_list *l)
{
    for (size_t i = 0; i < CHANGE_NOW_MAX; i++)
        l->now[i].kept = false;
}

/* ---- finding an entry again ---------------------------------------------- */

static size_t slot_of(const change_list *l, uint32_t coll, int64_t row)
{
    uint64_t h = (uint64_t)row * 0x9e3779b97f4a7c15u ^ coll;

    return (size_t)(h >> 32 ^ h) & (l->table_cap - 1);
}

static void table_put(change_list *l, size_t entry)
{
    const change_entry *x = &l->entries[entry];
    size_t i = slot_of(l, x->coll_alive >> 1, x->row);

    while (l->table[i] != 0)
        i = (i + 1) & (l->table_cap - 1);
    l->table[i] = (uint32_t)entry + 1;
}

/* Brings the table up to the list; at most half full. */
static tako_err table_ready(change_list *l)
{
    const tako_env *env = l->env;
    size_t want = l->table_cap == 0 ? 64 : l->table_cap;
    uint32_t *p;

    while (want / 2 < l->count)
        want *= 2;
    if (want != l->table_cap) {
        p = tako_env_alloc(env, want * sizeof *p);
        if (p == NULL)
            return TAKO_NOMEM;
        tako_env_free(env, l->table, l->table_cap * sizeof *p);
        l->table = p;
        l->table_cap = want;
        l->table_used = 0;
    }
    for (; l->table_used < l->count; l->table_used++)
        table_put(l, l->table_used);
    return TAKO_OK;
}

static change_entry *entry_find(change_list *l, uint32_t coll, int64_t row)
{
    for (size_t i = slot_of(l, coll, row); l->table[i] != 0;
         i = (i + 1) & (l->table_cap - 1)) {
        change_entry *x = &l->entries[l->table[i] - 1];

        if (x->row == row && x->coll_alive >> 1 == coll)
            return x;
    }
    return NULL;
}

tako_err change_again(change_list *l, uint32_t coll, int64_t row, bool alive)
{
    change_entry *x;
    void *p = l->flips;
    tako_err err;

    TAKO_TRY(table_ready(l));
    x = entry_find(l, coll, row);
    if (x == NULL)
        return TAKO_CORRUPT; /* a row with an lsn that is not yet given out */
    if (x < l->entries + CHANGE_NOW_MAX)
        l->now[x - l->entries].kept = false;
    if (x->coll_alive == pack(coll, alive))
        return TAKO_OK;
    err = grow(l->env, &p, &l->flip_cap, l->flip_count, sizeof *l->flips);
    l->flips = p;
    TAKO_TRY(err);
    l->flips[l->flip_count++] =
        (change_flip){ (uint32_t)(x - l->entries), (x->coll_alive & 1) != 0 };
    x->coll_alive = pack(coll, alive);
    l->view->current = false;
    return TAKO_OK;
}

void change_undo(change_list *l, change_mark to)
{
    while (l->flip_count > to.flip_count) {
        change_flip f = l->flips[--l->flip_count];
        change_entry *x = &l->entries[f.entry];

        x->coll_alive = pack(x->coll_alive >> 1, f.alive);
    }
    l->count = to.count;
    l->prior_count = to.prior_count;
    if (l->table_used > l->count) {
        memset(l->table, 0, l->table_cap * sizeof *l->table);
        l->table_used = 0;
    }
    l->view->current = false;
}

/* ---- for the caller ------------------------------------------------------ */

tako_err store_change_came(store *s, uint32_t coll, int64_t row, bool joined,
                           bool jumped)
{
    change_list *l = &s->changes;
    change_entry *x = l->count == 0 ? NULL : &l->entries[l->count - 1];

    if (x == NULL || x->row != row || x->coll_alive >> 1 != coll) {
        TAKO_TRY(table_ready(l));
        x = entry_find(l, coll, row);
    }
    if (x != NULL && x->prior != 0) {
        l->priors[x->prior - 1].joined |= joined;
        l->priors[x->prior - 1].jumped |= jumped;
    }
    return TAKO_OK;
}

size_t store_change_count(const store *s)
{
    return s->changes.count;
}

void store_change_at(const store *s, size_t i, store_change *out)
{
    const change_list *l = &s->changes;
    const change_entry *x = &l->entries[i];

    TAKO_ASSERT(i < l->count);
    *out = (store_change){ .coll = x->coll_alive >> 1, .row = x->row };
    out->alive = (x->coll_alive & 1) != 0;
    if (x->prior != 0) {
        const change_prior *prior = &l->priors[x->prior - 1];

        out->lsn_before = prior->lsn;
        out->id = prior->id;
        out->meta_before = prior->meta;
        out->body_before = prior->body;
        memcpy(out->version_before, prior->version, sizeof prior->version);
        out->alive_before = prior->body.len > 0;
        out->joined = prior->joined;
        out->jumped = prior->jumped;
    }
}

bool store_change_now(const store *s, size_t i, store_row *out)
{
    const change_list *l = &s->changes;

    TAKO_ASSERT(i < l->count);
    if (i >= CHANGE_NOW_MAX || !l->now[i].kept)
        return false;
    *out = l->now[i].row;
    return true;
}

bool store_wrote(const store *s, uint32_t coll, tako_slice id, store_row *out)
{
    size_t n = s->changes.count;

    return n > 0 && s->changes.entries[n - 1].coll_alive >> 1 == coll &&
           store_change_now(s, n - 1, out) && tako_slice_eq(out->id, id);
}

const store_change *store_changes(const store *s, size_t *count)
{
    change_view *v = s->changes.view;
    const tako_env *env = s->changes.env;
    size_t n = s->changes.count;
    store_change *p;

    *count = n;
    if (v->current)
        return v->all;
    if (v->cap < n) {
        p = env->realloc(env->ctx, v->all, v->cap * sizeof *p, n * sizeof *p);
        if (p == NULL)
            return NULL;
        v->all = p;
        v->cap = n;
    }
    for (size_t i = 0; i < n; i++)
        store_change_at(s, i, &v->all[i]);
    v->current = true;
    return v->all;
}
