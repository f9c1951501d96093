// SPDX-License-Identifier: Apache-2.0
/* OBSERVE -- live queries.
 *
 * One dispatcher thread, started with the first observer. A commit marks the
 * observers of the collections that it touched and puts them in a queue; the
 * dispatcher takes them from its front, runs each query on a reader and calls
 * back when the result's hash is another than last time. An observer stands
 * in the queue at most once, so commits that come meanwhile are answered by
 * one more run, of the latest state, and callbacks never overlap.
 *
 * ENDING. tako_unobserve takes the observer out of the list and the queue. If
 * the dispatcher has it in hand, the dispatcher frees it; the caller waits for
 * that unless it is the dispatcher itself (from the callback).
 *
 * NOT HERE: which documents changed. Every observer of a touched collection
 * runs its whole query again; the diff is that the callback is spared when
 * nothing changed. */
#include "api/api.h"

#include "base/hash.h"

#define OBSERVE_KEEP_BYTES (256u << 10) /* of the result's buffer */
#define OBSERVE_RETRY_MS   50u          /* after a failure that may pass */

struct api_observer {
    uint32_t id;
    uint32_t coll; /* 0: not made yet; the writer's holder alone */
    bool queued, dead;
    bool delivered;
    uint8_t hash[32];
    tako_buf text, params, collection;
    tako_observe_fn *fn;
    void *ctx;
    api_observer *next;       /* in the list */
    api_observer *queue_next; /* in the queue */
};

tako_err api_observers_init(tako_db *db)
{
    api_observers *o = &db->observers;

    atomic_init(&o->count, 0);
    TAKO_TRY(sys_mutex_new(&db->env, &o->mutex));
    TAKO_TRY(sys_cond_new(&db->env, &o->work));
    return sys_cond_new(&db->env, &o->quiet);
}

static void observer_free(tako_db *db, api_observer *o)
{
    if (o == NULL)
        return;
    tako_buf_fini(&o->text);
    tako_buf_fini(&o->params);
    tako_buf_fini(&o->collection);
    tako_env_free(&db->env, o, sizeof *o);
}

/* ---- the queue; with the mutex held ---------------------------------------- */

static void queue_add(api_observers *all, api_observer *o)
{
    if (o->queued || o->dead)
        return;
    o->queued = true;
    o->queue_next = NULL;
    if (all->queue_last != NULL)
        all->queue_last->queue_next = o;
    else
        all->queue = o;
    all->queue_last = o;
    sys_cond_signal(all->work);
}

static api_observer *queue_take(api_observers *all)
{
    api_observer *o = all->queue;

    all->queue = o->queue_next;
    if (all->queue == NULL)
        all->queue_last = NULL;
    o->queued = false;
    return o;
}

static void queue_remove(api_observers *all, api_observer *o)
{
    api_observer *before = NULL;

    if (!o->queued)
        return;
    for (api_observer *at = all->queue; at != o; at = at->queue_next)
        before = at;
    if (before != NULL)
        before->queue_next = o->queue_next;
    else
        all->queue = o->queue_next;
    if (all->queue_last == o)
        all->queue_last = before;
    o->queued = false;
}

static api_observer *list_remove(api_observers *all, uint32_t id)
{
    api_observer *before = NULL, *o = all->first;

    while (o != NULL && o->id != id) {
        before = o;
        o = o->next;
    }
    if (o == NULL)
        return NULL;
    if (before != NULL)
        before->next = o->next;
    else
        all->first = o->next;
    if (all->last == o)
        all->last = before;
    (void)atomic_fetch_sub(&all->count, 1u);
    return o;
}

/* ---- commits -------------------------------------------------------------------- */

/* One bit per collection number that the last commit touched. */
typedef struct touched {
    uint64_t bits[(TAKO_COLLECTIONS_MAX + 64u) / 64u];
} touched;

static void touched_read(const store *s, touched *out)
{
    size_t count = store_change_count(s);
    store_change c;

    *out = (touched){ { 0 } };
    for (size_t i = 0; i < count; i++) {
        store_change_at(s, i, &c);
        if (c.coll <= TAKO_COLLECTIONS_MAX)
            out->bits[c.coll / 64u] |= UINT64_C(1) << (c.coll % 64u);
    }
}

static bool touched_has(const touched *t, uint32_t coll)
{
    return (t->bits[coll / 64u] >> (coll % 64u) & 1u) != 0;
}

void api_observers_mark(tako_db *db)
{
    api_observers *all = &db->observers;
    touched t;

    if (atomic_load(&all->count) == 0)
        return;
    touched_read(db->store, &t);
    sys_mutex_lock(all->mutex);
    for (api_observer *o = all->first; o != NULL; o = o->next) {
        if (o->coll == 0 && store_coll_find(store_writer(db->store),
                                            tako_buf_slice(&o->collection),
                                            &o->coll) != TAKO_OK)
            o->coll = 0;
        if (o->coll != 0 && touched_has(&t, o->coll))
            queue_add(all, o);
    }
    sys_mutex_unlock(all->mutex);
}

/* ---- the dispatcher ---------------------------------------------------------------- */

static tako_err result_read(tako_db *db, api_observer *o, tako_buf *json,
                            uint64_t *commit, tako_errbuf *e)
{
    api_reader *r = NULL;
    tako_err err;

    TAKO_TRY(api_reader_take(db, &r, e));
    *commit = r->lsn;
    tako_buf_reset(json);
    err = api_select_json(r, tako_buf_slice(&o->text),
                          tako_buf_slice(&o->params), json, e);
    api_reader_give(db, r);
    (void)tako_buf_cstr(json);
    return err == TAKO_OK && json->failed ? TAKO_NOMEM : err;
}

/* Runs the query and the callback, without the mutex. */
static tako_err deliver(tako_db *db, api_observer *o, tako_buf *json)
{
    tako_errbuf e = { "" };
    uint8_t hash[32];
    uint64_t commit = 0;
    tako_err err = result_read(db, o, json, &commit, &e);
    char text[256];

    if (err != TAKO_OK) {
        tako_log(&db->env, TAKO_LOG_ERROR, "observer_failed",
                 "\"observer\":%u,\"error\":\"%s\",\"detail\":%s", o->id,
                 tako_err_name(err), tako_log_str(e.text, text, sizeof text));
        return err;
    }
    tako_hash32(tako_buf_slice(json), hash);
    if (o->delivered && memcmp(hash, o->hash, sizeof hash) == 0)
        return TAKO_OK;
    memcpy(o->hash, hash, sizeof hash);
    o->delivered = true;
    o->fn(o->ctx, (const char *)json->ptr, json->len, commit);
    if (json->cap > OBSERVE_KEEP_BYTES)
        tako_buf_fini(json);
    return TAKO_OK;
}

static void dispatch(void *arg)
{
    tako_db *db = arg;
    api_observers *all = &db->observers;
    tako_buf json = tako_buf_on(&db->env);

    sys_mutex_lock(all->mutex);
    all->thread_id = sys_thread_self();
    while (!all->stop) {
        api_observer *o;
        tako_err err;

        if (all->queue == NULL) {
            (void)sys_cond_wait(all->work, all->mutex, UINT64_MAX);
            continue;
        }
        o = queue_take(all);
        all->running = o->id;
        sys_mutex_unlock(all->mutex);
        err = deliver(db, o, &json);
        sys_mutex_lock(all->mutex);
        all->running = 0;
        if (o->dead) {
            observer_free(db, o);
        } else if (tako_err_is_transient(err)) {
            queue_add(all, o);
            (void)sys_cond_wait(all->work, all->mutex, OBSERVE_RETRY_MS);
        }
        sys_cond_broadcast(all->quiet);
    }
    sys_mutex_unlock(all->mutex);
    tako_buf_fini(&json);
}

void api_observers_fini(tako_db *db)
{
    api_observers *all = &db->observers;

    if (all->mutex == NULL)
        return;
    if (all->thread != NULL) {
        sys_mutex_lock(all->mutex);
        all->stop = true;
        sys_cond_signal(all->work);
        sys_mutex_unlock(all->mutex);
        sys_thread_join(all->thread);
    }
    while (all->first != NULL)
        observer_free(db, list_remove(all, all->first->id));
    sys_cond_free(all->work);
    sys_cond_free(all->quiet);
    sys_mutex_free(all->mutex);
    *all = (api_observers){ 0 };
}

/* ---- the program's calls ------------------------------------------------------------- */

/* Compiles the statement once, so that its errors are told here and now. */
static tako_err observer_check(tako_db *db, api_observer *o, tako_errbuf *e)
{
    tako_slice text = tako_buf_slice(&o->text);
    api_reader *r = NULL;
    query *q = NULL;
    query_kind kind;
    tako_err err;

    TAKO_TRY(api_kind_of(&db->env, text, &kind, e));
    if (kind != QUERY_SELECT)
        return tako_fail(e, TAKO_INVALID, "only a SELECT can be observed");
    TAKO_TRY(api_reader_take(db, &r, e));
    err = api_query_take(&r->queries, r->conn, text, &q, e);
    if (err == TAKO_OK)
        err = query_bind(q, tako_buf_slice(&o->params), e);
    if (err == TAKO_OK)
        tako_put_bytes(&o->collection, query_collection(q));
    api_query_give(&r->queries, q);
    api_reader_give(db, r);
    return err;
}

static tako_err observer_new(tako_db *db, const char *select,
                             const tako_params *params, api_observer **out,
                             tako_errbuf *e)
{
    api_observer *o = tako_env_alloc(&db->env, sizeof *o);
    tako_buf own = tako_buf_on(&db->env);
    tako_slice text = TAKO_SLICE_NONE, map = TAKO_SLICE_NONE;
    tako_err err;

    if (o == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    o->text = o->params = o->collection = own;
    err = api_statement(select, &text, e);
    if (err == TAKO_OK)
        err = api_params(params, &own, &map, e);
    if (err == TAKO_OK) {
        tako_put_bytes(&o->text, text);
        tako_put_bytes(&o->params, map);
        err = o->text.failed || o->params.failed ? TAKO_NOMEM
                                                 : observer_check(db, o, e);
    }
    if (err == TAKO_OK && o->collection.failed)
        err = TAKO_NOMEM;
    tako_buf_fini(&own);
    if (err != TAKO_OK)
        observer_free(db, o);
    else
        *out = o;
    return err;
}

/* With the mutex held. */
static tako_err observer_add(tako_db *db, api_observer *o, tako_errbuf *e)
{
    api_observers *all = &db->observers;

    if (atomic_load(&all->count) >= TAKO_OBSERVERS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u observers",
                         TAKO_OBSERVERS_MAX);
    if (all->thread == NULL)
        TAKO_TRY(sys_thread_start(&db->env, dispatch, db, &all->thread));
    if (++all->next_id == 0)
        all->next_id = 1;
    o->id = all->next_id;
    if (all->last != NULL)
        all->last->next = o;
    else
        all->first = o;
    all->last = o;
    (void)atomic_fetch_add(&all->count, 1u);
    queue_add(all, o); /* the first delivery */
    return TAKO_OK;
}

tako_err tako_observe(tako_db *db, const char *select,
                      const tako_params *params, tako_observe_fn *fn, void *ctx,
                      tako_observer *out)
{
    tako_errbuf e = { "" };
    api_observer *o = NULL;
    tako_err err;
    uint32_t id = 0;

    TAKO_ARG(db != NULL && fn != NULL);
    err = observer_new(db, select, params, &o, &e);
    if (err != TAKO_OK)
        return api_fail(db, err, &e);
    o->fn = fn;
    o->ctx = ctx;
    sys_mutex_lock(db->observers.mutex);
    err = observer_add(db, o, &e);
    id = o->id;
    sys_mutex_unlock(db->observers.mutex);
    if (err != TAKO_OK) {
        observer_free(db, o);
        return api_fail(db, err, &e);
    }
    if (out != NULL)
        out->id = id;
    return TAKO_OK;
}

tako_err tako_unobserve(tako_db *db, tako_observer observer)
{
    api_observers *all;
    api_observer *o;

    TAKO_ARG(db != NULL);
    all = &db->observers;
    sys_mutex_lock(all->mutex);
    o = list_remove(all, observer.id);
    if (o == NULL) {
        sys_mutex_unlock(all->mutex);
        return api_fail(db, TAKO_NOTFOUND, NULL);
    }
    queue_remove(all, o);
    if (all->running == observer.id) {
        o->dead = true; /* the dispatcher frees it */
        while (all->running == observer.id &&
               all->thread_id != sys_thread_self())
            (void)sys_cond_wait(all->quiet, all->mutex, UINT64_MAX);
        o = NULL;
    }
    sys_mutex_unlock(all->mutex);
    observer_free(db, o);
    return TAKO_OK;
}
