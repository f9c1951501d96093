// SPDX-License-Identifier: Apache-2.0
/* CHANGES -- from commits to observers.
 *
 * With the writer held, each document that a commit changed is looked up in
 * the registry (query/live.h) as it was and as it is. Observers that it
 * matters to become due; those whose diffs come from changes alone are left
 * the change. So commits are seen in their order, and an observer that lags
 * behind has one list from which any of its deliveries can be made.
 *
 * TOO MUCH. A list that is full is joined to one entry a document; when that
 * does not help, or the changes of all observers are too many bytes, or memory
 * is short, the list is given up and the next delivery is the whole result.
 * Nothing that a commit did can so be missed. */
#include "api/observe.h"

#include <stdlib.h>

/* ---- changes ---------------------------------------------------------------- */

static tako_slice pack(uint8_t **at, tako_slice s)
{
    tako_slice copy = { *at, s.len };

    if (s.len == 0)
        return TAKO_SLICE_NONE;
    memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

/* Without references; NULL: out of memory, or of what is allowed. */
static api_change *change_new(tako_db *db, uint64_t lsn, const store_row *now,
                              tako_slice before)
{
    size_t bytes =
        sizeof(api_change) + now->id.len + before.len + now->body.len;
    api_change *c;
    uint8_t *at;

    if (bytes > TAKO_OBSERVERS_CHANGES_BYTES_MAX - db->observers.change_bytes)
        return NULL;
    c = db->env.realloc(db->env.ctx, NULL, 0, bytes);
    if (c == NULL)
        return NULL;
    *c = (api_change){ .lsn = lsn, .row = now->row, .bytes = bytes };
    at = (uint8_t *)(c + 1);
    c->id = pack(&at, now->id);
    c->before = pack(&at, before);
    c->after = pack(&at, now->body);
    db->observers.change_bytes += bytes;
    return c;
}

static void change_drop(tako_db *db, api_change *c)
{
    if (c == NULL || (c->refs > 0 && --c->refs > 0))
        return;
    db->observers.change_bytes -= c->bytes;
    tako_env_free(&db->env, c, c->bytes);
}

/* ---- what waits for one observer ------------------------------------------------ */

static size_t news_bytes(const api_news *p)
{
    return p->first->bytes + p->last->bytes;
}

static void news_drop(tako_db *db, api_news_list *l, api_news *p)
{
    l->bytes -= news_bytes(p);
    change_drop(db, p->first);
    change_drop(db, p->last);
}

void api_news_free(tako_db *db, api_news_list *p)
{
    for (size_t i = 0; i < p->count; i++)
        news_drop(db, p, &p->at[i]);
    tako_env_free(&db->env, p->at, p->cap * sizeof *p->at);
    *p = (api_news_list){ 0 };
}

void api_news_drop(tako_db *db, api_news_list *p, uint64_t commit)
{
    size_t n = 0;

    while (n < p->count && p->at[n].first->lsn <= commit)
        news_drop(db, p, &p->at[n++]);
    if (n == 0)
        return;
    memmove(p->at, p->at + n, (p->count - n) * sizeof *p->at);
    p->count -= n;
}

static int news_cmp(const void *a, const void *b)
{
    const api_change *x = ((const api_news *)a)->first;
    const api_change *y = ((const api_news *)b)->first;

    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

/* References go with the changes: those in the middle are put at the end,
 * behind the count, for who has the mutex to drop. */
void api_news_join(api_news_list *p)
{
    size_t kept = 0;

    p->joined = 0;
    if (p->count == 0)
        return;
    qsort(p->at, p->count, sizeof *p->at, news_cmp);
    for (size_t i = 0; i < p->count; i++) {
        api_news *to = kept > 0 ? &p->at[kept - 1] : NULL;

        if (to != NULL && to->first->row == p->at[i].first->row) {
            api_news from = p->at[i];

            p->at[i] = (api_news){ from.first, to->last, false, false };
            to->last = from.last;
            to->after = from.after;
        } else {
            api_news swap = p->at[kept];

            p->at[kept++] = p->at[i];
            if (kept - 1 != i)
                p->at[i] = swap;
        }
    }
    p->joined = kept;
}

/* Joins and drops what that left over. */
static void news_shrink(tako_db *db, api_news_list *p)
{
    api_news_join(p);
    for (size_t i = p->joined; i < p->count; i++)
        news_drop(db, p, &p->at[i]);
    p->count = p->joined;
}

static bool news_room(tako_db *db, api_observer *o)
{
    api_news_list *p = &o->news;
    size_t cap = p->cap == 0 ? 4 : p->cap * 2;
    api_news *at;

    if (p->count >= TAKO_OBSERVER_CHANGES_MAX ||
        p->bytes >= TAKO_OBSERVER_CHANGES_BYTES_MAX) {
        if (o->gathering) /* the commits in it must stay apart */
            return false;
        news_shrink(db, p);
        if (p->count > TAKO_OBSERVER_CHANGES_MAX / 2 ||
            p->bytes > TAKO_OBSERVER_CHANGES_BYTES_MAX / 2)
            return false;
    }
    if (p->count < p->cap)
        return true;
    at = db->env.realloc(db->env.ctx, p->at, p->cap * sizeof *at,
                         cap * sizeof *at);
    if (at == NULL)
        return false;
    p->at = at;
    p->cap = cap;
    return true;
}

/* ---- commits ----------------------------------------------------------------------- */

/* The document at hand. */
typedef struct marking {
    tako_db *db;
    uint64_t lsn;
    store_row now;
    tako_slice before;
    api_change *change; /* made when the first observer wants it */
} marking;

static bool news_add(marking *m, api_observer *o, unsigned matched)
{
    if ((matched & LIVE_UNKNOWN) != 0 || !news_room(m->db, o))
        return false;
    if (m->change == NULL)
        m->change = change_new(m->db, m->lsn, &m->now, m->before);
    if (m->change == NULL)
        return false;
    m->change->refs += 2; /* first and last */
    o->news.bytes += 2 * m->change->bytes;
    o->news.at[o->news.count++] =
        (api_news){ m->change, m->change, (matched & LIVE_BEFORE) != 0,
                    (matched & LIVE_AFTER) != 0 };
    return true;
}

static bool on_match(void *ctx, void *owner, unsigned matched)
{
    marking *m = ctx;
    api_observer *o = owner;

    if (o->commit >= m->lsn)
        return false; /* its last snapshot shows this already */
    o->due = true;
    if (o->kind == OBSERVED_CHANGES && !o->reset && !news_add(m, o, matched)) {
        o->reset = true;
        api_news_free(m->db, &o->news);
    }
    api_observer_wake(&m->db->observers, o);
    return o->kind == OBSERVED_CHANGES && !o->reset;
}

/* What change i left; read only where it is not at hand: the transaction is over,
 * and each read begins one. */
static bool state_now(marking *m, size_t i, const store_change *c)
{
    return store_change_now(m->db->store, i, &m->now) ||
           store_get_row(store_writer(m->db->store), c->coll, c->row,
                         &m->now) == TAKO_OK;
}

static void mark_one(marking *m, size_t i, const store_change *c)
{
    api_observers *all = &m->db->observers;
    store_conn *conn = store_writer(m->db->store);
    live_coll *coll = live_coll_of(all->live, conn, c->coll);

    if (coll == NULL || !live_wants(all->live, coll) ||
        (!c->alive && !c->alive_before))
        return;
    if (!state_now(m, i, c)) {
        live_lost(all->live, coll, on_match, m);
        return;
    }
    m->before = c->body_before;
    m->change = NULL;
    if (tako_slice_eq(m->before, m->now.body))
        return;
    live_match(all->live, coll, m->now.id, m->before, m->now.body, on_match, m);
    if (m->change != NULL && m->change->refs == 0)
        change_drop(m->db, m->change);
}

/* ---- system:conflicts ------------------------------------------------------- */

/* Did the commit change a document that is in it, or was? */
static bool touches_conflicts(tako_db *db, size_t count)
{
    store_conn *conn = store_writer(db->store);

    for (size_t i = 0; i < count; i++) {
        store_change c;
        store_row now;

        store_change_at(db->store, i, &c);
        if (query_has_conflicts(&db->env, c.meta_before, c.body_before))
            return true;
        if (c.alive && (store_get_row(conn, c.coll, c.row, &now) != TAKO_OK ||
                        query_has_conflicts(&db->env, now.meta, now.body)))
            return true;
    }
    return false;
}

/* With the mutex held. A run reads all documents, so only what may have
 * changed its result is worth one. */
static void mark_conflicts(tako_db *db, size_t count)
{
    api_observers *all = &db->observers;

    if (all->of_conflicts == 0 ||
        (!store_lost_changed(db->store) && !touches_conflicts(db, count)))
        return;
    for (uint32_t i = 0; i < all->slot_used; i++) {
        api_observer *o = all->slots[i].observer;

        if (o == NULL || !o->conflicts)
            continue;
        o->due = true;
        api_observer_wake(all, o);
    }
}

void api_observers_mark_lost(tako_db *db)
{
    if (atomic_load(&db->observers.count) == 0)
        return;
    sys_mutex_lock(db->observers.mutex);
    mark_conflicts(db, 0);
    api_observers_leave(&db->observers);
}

void api_observers_mark(tako_db *db, uint64_t lsn)
{
    api_observers *all = &db->observers;
    size_t count = store_change_count(db->store);
    marking m = { .db = db, .lsn = lsn };

    if (atomic_load(&all->count) == 0)
        return;
    sys_mutex_lock(all->mutex);
    if (all->live != NULL) {
        live_commit(all->live);
        for (size_t i = 0; i < count; i++) {
            store_change c;

            store_change_at(db->store, i, &c);
            mark_one(&m, i, &c);
        }
    }
    mark_conflicts(db, count);
    all->marked = lsn;
    api_observers_leave(all);
}

/* ---- who watches what ------------------------------------------------------------------ */

static tako_err watch_collection(tako_db *db, api_observer *o,
                                 tako_slice collection, query_predicate *p)
{
    tako_err err = live_add(db->observers.live, collection, p, o,
                            &o->watches[o->watch_count]);

    if (err == TAKO_OK)
        o->watch_count++;
    return err;
}

/* Each change of any collection that the statement reads. */
static tako_err watch_all(tako_db *db, api_observer *o, const query *q)
{
    for (size_t i = 0; i < query_collection_count(q); i++)
        TAKO_TRY(watch_collection(db, o, query_collection_at(q, i), NULL));
    return TAKO_OK;
}

static tako_err registry_ready(tako_db *db, tako_errbuf *e)
{
    api_observers *all = &db->observers;

    if (all->pool == NULL)
        TAKO_TRY(query_pool_new(&db->env, &all->pool, e));
    if (all->live == NULL && live_new(&db->env, &all->live) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    return TAKO_OK;
}

tako_err api_observer_watch(tako_db *db, api_observer *o, const query *q,
                            tako_errbuf *e)
{
    size_t count = query_collection_count(q);
    query_predicate *p = NULL;
    tako_err err;

    if (count > TAKO_OBSERVER_COLLECTIONS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u collections in one query",
                         TAKO_OBSERVER_COLLECTIONS_MAX);
    o->conflicts = query_reads_system(q);
    db->observers.of_conflicts += o->conflicts;
    if (count == 0)
        return TAKO_OK; /* a SELECT without FROM never changes */
    TAKO_TRY(registry_ready(db, e));
    o->watches = tako_env_alloc(&db->env, count * sizeof(live_watch *));
    if (o->watches == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    o->watch_cap = count;
    err = query_predicate_of(db->observers.pool, tako_buf_slice(&o->text),
                             tako_buf_slice(&o->params), &p, e);
    if (err == TAKO_OK)
        err = watch_collection(db, o, query_collection_at(q, 0), p);
    else if (err == TAKO_UNSUPPORTED)
        err = watch_all(db, o, q);
    return err == TAKO_NOMEM ? tako_fail(e, err, "out of memory") : err;
}

void api_observer_unwatch(tako_db *db, api_observer *o)
{
    db->observers.of_conflicts -= o->conflicts;
    o->conflicts = false;
    for (size_t i = 0; i < o->watch_count; i++)
        live_remove(db->observers.live, o->watches[i]);
    tako_env_free(&db->env, o->watches, o->watch_cap * sizeof(live_watch *));
    o->watches = NULL;
    o->watch_count = o->watch_cap = 0;
    api_news_free(db, &o->news);
}
