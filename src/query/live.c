// SPDX-License-Identifier: Apache-2.0
/* See live.h.
 *
 *   coll ── path ──┐
 *    │             ├── value (in the table) ── slot ── slot ── ...
 *    │             └── value                    │
 *    └── others ── watch ── watch               watch
 *
 * A watch has a slot for each value of its equality, and stands among the
 * others when it has none. A watch that several values lead to is judged once
 * per document: `seen` is the number of the document that was judged last. */
#include "query/live.h"

#include "base/check.h"
#include "base/hash.h"
#include "query/internal.h"
#include "query/terms.h"

#define LIVE_TABLE_LEAST 64u
#define LIVE_COLL_HEADS  256u

typedef struct live_path live_path;
typedef struct live_value live_value;
typedef struct live_slot live_slot;

struct live_slot {
    live_watch *watch;
    live_value *value;
    live_slot *prev, *next;
};

struct live_value {
    live_value *next; /* in the table */
    uint64_t hash;
    live_path *path;
    live_slot *first;
    size_t watches, len;
    uint8_t key[];
};

struct live_path {
    live_path *next;
    live_coll *coll;
    uint64_t number; /* part of the hash */
    size_t watches;
    query_term term; /* path alone; its bytes follow */
    size_t bytes;
};

struct live_watch {
    live_coll *coll;
    query_predicate *predicate;
    void *owner;
    uint64_t seen, sated;    /* a document's number, a commit's */
    live_watch *prev, *next; /* in the collection */
    live_path *path;         /* NULL: one of the others */
    live_watch *others_prev, *others_next;
    size_t count;
    live_slot slots[];
};

struct live_coll {
    live_coll *next;
    tako_slice name; /* its bytes follow */
    live_path *paths;
    live_watch *others;
    live_watch *all;
    size_t watches;
    size_t sated;      /* how many of them, */
    uint64_t sated_at; /* of this commit */
};

struct live {
    const tako_env *env;
    uint8_t key[16];
    live_coll *colls[LIVE_COLL_HEADS];
    /* Of numbers: what was found, as long as no collection came or went. */
    live_coll *by_number[TAKO_COLLECTIONS_MAX + 1];
    uint32_t looked[TAKO_COLLECTIONS_MAX + 1];
    uint32_t generation;
    live_value **table;
    size_t cap, count;
    uint64_t paths_made, document, commit;
};

tako_err live_new(const tako_env *env, live **out)
{
    live *l = tako_env_alloc(env, sizeof *l);

    *out = l;
    if (l == NULL)
        return TAKO_NOMEM;
    l->env = env;
    l->generation = 1;
    l->commit = 1; /* none is sated */
    /* Values come from peers: chains must not be theirs to make long. */
    env->random(env->ctx, l->key, sizeof l->key);
    return TAKO_OK;
}

void live_free(live *l)
{
    if (l == NULL)
        return;
    TAKO_ASSERT(l->count == 0);
    tako_env_free(l->env, l->table, l->cap * sizeof *l->table);
    tako_env_free(l->env, l, sizeof *l);
}

/* ---- collections ---------------------------------------------------------- */

static live_coll **coll_head(live *l, tako_slice name)
{
    return &l->colls[tako_hash64(l->key, name) % LIVE_COLL_HEADS];
}

static live_coll *coll_find(live *l, tako_slice name)
{
    live_coll *c = *coll_head(l, name);

    while (c != NULL && !tako_slice_eq(c->name, name))
        c = c->next;
    return c;
}

static live_coll *coll_get(live *l, tako_slice name)
{
    live_coll *c = coll_find(l, name), **head = coll_head(l, name);

    if (c != NULL)
        return c;
    c = tako_env_alloc(l->env, sizeof *c + name.len);
    if (c == NULL)
        return NULL;
    memcpy(c + 1, name.ptr, name.len);
    c->name = tako_slice_of(c + 1, name.len);
    c->next = *head;
    *head = c;
    l->generation++;
    return c;
}

static void coll_drop(live *l, live_coll *c)
{
    live_coll **at = coll_head(l, c->name);

    if (c->all != NULL)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    l->generation++;
    tako_env_free(l->env, c, sizeof *c + c->name.len);
}

live_coll *live_coll_of(live *l, store_conn *c, uint32_t coll)
{
    if (coll > TAKO_COLLECTIONS_MAX)
        return NULL;
    if (l->looked[coll] != l->generation) {
        l->by_number[coll] = coll_find(l, store_coll_name(c, coll));
        l->looked[coll] = l->generation;
    }
    return l->by_number[coll];
}

/* ---- the table ------------------------------------------------------------- */

static uint64_t value_hash(const live *l, const live_path *p, tako_slice key)
{
    return tako_hash64(l->key, key) ^ p->number * 0x9e3779b97f4a7c15u;
}

static live_value *value_find(const live *l, const live_path *p, tako_slice key,
                              uint64_t hash)
{
    live_value *v = l->cap == 0 ? NULL : l->table[hash & (l->cap - 1)];

    for (; v != NULL; v = v->next)
        if (v->hash == hash && v->path == p &&
            tako_slice_eq(tako_slice_of(v->key, v->len), key))
            return v;
    return NULL;
}

static bool table_grow(live *l)
{
    size_t cap = l->cap == 0 ? LIVE_TABLE_LEAST : l->cap * 2;
    live_value **table;

    if (l->count < l->cap)
        return true;
    table = tako_env_alloc(l->env, cap * sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < l->cap; i++) {
        live_value *v = l->table[i], *next;

        for (; v != NULL; v = next) {
            next = v->next;
            v->next = table[v->hash & (cap - 1)];
            table[v->hash & (cap - 1)] = v;
        }
    }
    tako_env_free(l->env, l->table, l->cap * sizeof *l->table);
    l->table = table;
    l->cap = cap;
    return true;
}

static live_value *value_get_or_make(live *l, live_path *p, tako_slice key)
{
    uint64_t hash = value_hash(l, p, key);
    live_value *v = value_find(l, p, key, hash);

    if (v != NULL)
        return v;
    if (!table_grow(l))
        return NULL;
    v = tako_env_alloc(l->env, sizeof *v + key.len);
    if (v == NULL)
        return NULL;
    v->hash = hash;
    v->path = p;
    v->len = key.len;
    memcpy(v->key, key.ptr, key.len);
    v->next = l->table[hash & (l->cap - 1)];
    l->table[hash & (l->cap - 1)] = v;
    l->count++;
    return v;
}

static void value_drop(live *l, live_value *v)
{
    live_value **at = &l->table[v->hash & (l->cap - 1)];

    if (v->watches > 0)
        return;
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    l->count--;
    tako_env_free(l->env, v, sizeof *v + v->len);
}

/* ---- paths -------------------------------------------------------------------- */

static live_path *path_find(const live_coll *c, const query_term *t)
{
    live_path *p = c->paths;

    while (p != NULL &&
           (p->term.id != t->id || !tako_slice_eq(p->term.path, t->path)))
        p = p->next;
    return p;
}

static live_path *path_get(live *l, live_coll *c, const query_term *t)
{
    live_path *p = path_find(c, t);
    size_t bytes = sizeof *p + t->path.len;

    if (p != NULL)
        return p;
    p = tako_env_alloc(l->env, bytes);
    if (p == NULL)
        return NULL;
    p->bytes = bytes;
    p->coll = c;
    p->number = ++l->paths_made;
    p->term.id = t->id;
    if (t->path.len > 0) {
        memcpy(p + 1, t->path.ptr, t->path.len);
        p->term.path = tako_slice_of(p + 1, t->path.len);
    }
    p->next = c->paths;
    c->paths = p;
    return p;
}

static void path_drop(live *l, live_path *p)
{
    live_path **at = &p->coll->paths;

    if (p->watches > 0)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    tako_env_free(l->env, p, p->bytes);
}

/* ---- watches ------------------------------------------------------------------- */

/* How many watches stand where this term would be looked up. */
static size_t term_crowd(const live *l, const live_coll *c, const query_term *t)
{
    const live_path *p = path_find(c, t);
    size_t sum = 0;

    for (size_t i = 0; p != NULL && i < t->count; i++) {
        const live_value *v =
            value_find(l, p, t->keys[i], value_hash(l, p, t->keys[i]));

        sum += v == NULL ? 0 : v->watches;
    }
    return sum + t->count; /* few values before many */
}

static const query_term *term_choose(const live *l, const live_coll *c,
                                     const query_predicate *p)
{
    const query_terms *terms = p == NULL ? NULL : query_predicate_terms(p);
    const query_term *best = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; terms != NULL && i < terms->count; i++) {
        size_t crowd =
            terms->at[i].order ? SIZE_MAX : term_crowd(l, c, &terms->at[i]);

        if (crowd < least) {
            least = crowd;
            best = &terms->at[i];
        }
    }
    return best;
}

static bool slot_fill(live *l, live_watch *w, tako_slice key)
{
    live_slot *s = &w->slots[w->count];
    live_value *v = value_get_or_make(l, w->path, key);

    if (v == NULL)
        return false;
    *s = (live_slot){ .watch = w, .value = v, .next = v->first };
    if (v->first != NULL)
        v->first->prev = s;
    v->first = s;
    v->watches++;
    w->count++;
    return true;
}

static void slot_empty(live *l, live_slot *s)
{
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        s->value->first = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    s->value->watches--;
    value_drop(l, s->value);
}

static void others_add(live_coll *c, live_watch *w)
{
    w->others_next = c->others;
    if (c->others != NULL)
        c->others->others_prev = w;
    c->others = w;
}

static void others_remove(live_coll *c, live_watch *w)
{
    if (w->others_prev != NULL)
        w->others_prev->others_next = w->others_next;
    else
        c->others = w->others_next;
    if (w->others_next != NULL)
        w->others_next->others_prev = w->others_prev;
}

static void coll_add(live_coll *c, live_watch *w)
{
    c->watches++;
    w->coll = c;
    w->next = c->all;
    if (c->all != NULL)
        c->all->prev = w;
    c->all = w;
}

static void coll_remove(live_coll *c, live_watch *w)
{
    c->watches--;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        c->all = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
}

/* The room for slots is part of the block; keys of a term never change. */
static size_t watch_bytes(size_t slots)
{
    return sizeof(live_watch) + slots * sizeof(live_slot);
}

static tako_err watch_place(live *l, live_watch *w, const query_term *t)
{
    if (t == NULL) {
        others_add(w->coll, w);
        return TAKO_OK;
    }
    w->path = path_get(l, w->coll, t);
    if (w->path == NULL)
        return TAKO_NOMEM;
    w->path->watches++;
    for (size_t i = 0; i < t->count; i++)
        if (!slot_fill(l, w, t->keys[i]))
            return TAKO_NOMEM;
    return TAKO_OK;
}

static void watch_free(live *l, live_watch *w, size_t slots)
{
    live_coll *c = w->coll;

    for (size_t i = 0; i < w->count; i++)
        slot_empty(l, &w->slots[i]);
    if (w->path != NULL) {
        w->path->watches--;
        path_drop(l, w->path);
    } else if (w->others_prev != NULL || c->others == w) {
        others_remove(c, w);
    }
    coll_remove(c, w);
    coll_drop(l, c);
    query_predicate_free(w->predicate);
    tako_env_free(l->env, w, watch_bytes(slots));
}

tako_err live_add(live *l, tako_slice collection, query_predicate *p,
                  void *owner, live_watch **out)
{
    live_coll *c = coll_get(l, collection);
    const query_term *t = c == NULL ? NULL : term_choose(l, c, p);
    size_t slots = t == NULL ? 0 : t->count;
    live_watch *w =
        c == NULL ? NULL : tako_env_alloc(l->env, watch_bytes(slots));

    if (w == NULL) {
        query_predicate_free(p);
        if (c != NULL)
            coll_drop(l, c);
        return TAKO_NOMEM;
    }
    w->predicate = p;
    w->owner = owner;
    coll_add(c, w);
    if (watch_place(l, w, t) != TAKO_OK) {
        watch_free(l, w, slots);
        return TAKO_NOMEM;
    }
    *out = w;
    return TAKO_OK;
}

void live_remove(live *l, live_watch *w)
{
    if (w != NULL)
        watch_free(l, w, w->count);
}

/* ---- matching --------------------------------------------------------------------- */

typedef struct live_look {
    live *l;
    tako_slice id, before, after;
    live_fn *fn;
    void *ctx;
} live_look;

static void sate(const live *l, live_watch *w)
{
    live_coll *c = w->coll;

    w->sated = l->commit;
    c->sated = c->sated_at == l->commit ? c->sated + 1 : 1;
    c->sated_at = l->commit;
}

static unsigned judge_one(live_watch *w, tako_slice id, tako_slice body,
                          unsigned bit)
{
    bool match = body.len > 0;

    if (!match)
        return 0;
    if (w->predicate != NULL &&
        query_predicate_eval(w->predicate, id, body, &match) != TAKO_OK)
        return LIVE_UNKNOWN;
    return match ? bit : 0;
}

static void judge(const live_look *k, live_watch *w)
{
    unsigned matched;

    if (w->seen == k->l->document || w->sated == k->l->commit)
        return;
    w->seen = k->l->document;
    matched = judge_one(w, k->id, k->before, LIVE_BEFORE) |
              judge_one(w, k->id, k->after, LIVE_AFTER);
    if (matched != 0 && !k->fn(k->ctx, w->owner, matched))
        sate(k->l, w);
}

static void judge_found(const live_look *k, const live_path *p, tako_slice key)
{
    const live_value *v =
        key.len == 0 ? NULL
                     : value_find(k->l, p, key, value_hash(k->l, p, key));

    for (live_slot *s = v == NULL ? NULL : v->first; s != NULL; s = s->next)
        judge(k, s->watch);
}

void live_commit(live *l)
{
    l->commit++;
}

bool live_wants(const live *l, const live_coll *c)
{
    return c->sated_at != l->commit || c->sated < c->watches;
}

void live_match(live *l, live_coll *c, tako_slice id, tako_slice before,
                tako_slice after, live_fn *fn, void *ctx)
{
    live_look k = { l, id, before, after, fn, ctx };

    l->document++;
    for (const live_path *p = c->paths; p != NULL; p = p->next) {
        uint8_t one[TERM_SCRATCH_BYTES], two[TERM_SCRATCH_BYTES];
        tako_slice was = TAKO_SLICE_NONE, is = TAKO_SLICE_NONE;

        if (before.len > 0)
            was = query_term_key(&p->term, id, before, one);
        if (after.len > 0)
            is = query_term_key(&p->term, id, after, two);
        judge_found(&k, p, was);
        if (!tako_slice_eq(was, is))
            judge_found(&k, p, is);
    }
    for (live_watch *w = c->others; w != NULL; w = w->others_next)
        judge(&k, w);
}

void live_lost(live *l, live_coll *c, live_fn *fn, void *ctx)
{
    for (live_watch *w = c->all; w != NULL; w = w->next)
        if (w->sated != l->commit && !fn(ctx, w->owner, LIVE_UNKNOWN))
            sate(l, w);
}
