// SPDX-License-Identifier: Apache-2.0
/* OBSERVE -- live queries: who there is, and the thread that tells them.
 *
 * One dispatcher thread, started with the first observer. A commit finds the
 * observers that it matters to (changes.c), which makes them due; those that
 * may deliver stand in a queue, once at most, and the dispatcher takes them
 * from its front (deliver.c). So commits that come meanwhile are answered by
 * one more delivery, of the latest state, and callbacks never overlap.
 *
 * ASKING. An observer with TAKO_OBSERVE_ASKED is due for as long as it takes
 * until it is asked for; each question gets one delivery, when there is one.
 *
 * ENDING. tako_unobserve takes the observer out of its place, the registry and
 * the queue. If the dispatcher has it in hand, the dispatcher frees it; the
 * caller waits for that unless it is the dispatcher itself (from the
 * callback). */
#include "api/observe.h"

#include "obs/object.h"

#define OBSERVE_RETRY_MS    50u /* after a failure that may pass */
#define OBSERVE_SLOTS_LEAST 16u

_Static_assert(TAKO_OBSERVERS_MAX <= 1u << 16, "an id has 16 bits of place");

tako_err api_observers_init(tako_db *db)
{
    api_observers *o = &db->observers;

    atomic_init(&o->count, 0);
    TAKO_TRY(sys_mutex_new(&db->env, &o->mutex));
    TAKO_TRY(sys_cond_new(&db->env, &o->work));
    return sys_cond_new(&db->env, &o->quiet);
}

/* NULL is a no-op. It stands nowhere any more. */
static void observer_free(tako_db *db, api_observer *o)
{
    if (o == NULL)
        return;
    tako_buf_fini(&o->text);
    tako_buf_fini(&o->params);
    row_list_fini(&o->rows);
    tako_env_free(&db->env, o, sizeof *o);
}

/* ---- the queue; with the mutex held ---------------------------------------- */

void api_observer_wake(api_observers *all, api_observer *o)
{
    if (o->queued || o->dead || !o->due || (o->by_asking && !o->asked))
        return;
    o->queued = true;
    o->queue_next = NULL;
    o->queue_prev = all->queue_last;
    if (all->queue_last != NULL)
        all->queue_last->queue_next = o;
    else
        all->queue = o;
    all->queue_last = o;
    all->woken = true;
}

/* The signal comes after the mutex: the dispatcher, which may run at once, would
 * only go to sleep again on it. */
void api_observers_leave(api_observers *all)
{
    bool woken = all->woken;

    all->woken = false;
    sys_mutex_unlock(all->mutex);
    if (woken)
        sys_cond_signal(all->work);
}

static void queue_remove(api_observers *all, api_observer *o)
{
    if (!o->queued)
        return;
    if (o->queue_prev != NULL)
        o->queue_prev->queue_next = o->queue_next;
    else
        all->queue = o->queue_next;
    if (o->queue_next != NULL)
        o->queue_next->queue_prev = o->queue_prev;
    else
        all->queue_last = o->queue_prev;
    o->queued = false;
}

/* The next that may deliver, or NULL. One that was queued before it answered
 * the question it had waits for another. */
static api_observer *queue_take(api_observers *all)
{
    api_observer *o;

    while ((o = all->queue) != NULL) {
        queue_remove(all, o);
        if (o->due && (!o->by_asking || o->asked))
            break;
    }
    if (o != NULL)
        o->due = false;
    return o;
}

/* ---- places; with the mutex held -------------------------------------------- */

static tako_err slots_grow(tako_db *db, tako_errbuf *e)
{
    api_observers *all = &db->observers;
    uint32_t cap = all->slot_cap == 0 ? OBSERVE_SLOTS_LEAST : all->slot_cap * 2;
    api_observer_slot *p;

    p = db->env.realloc(db->env.ctx, all->slots, all->slot_cap * sizeof *p,
                        cap * sizeof *p);
    if (p == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    all->slots = p;
    all->slot_cap = cap;
    return TAKO_OK;
}

static tako_err slot_take(tako_db *db, api_observer *o, tako_errbuf *e)
{
    api_observers *all = &db->observers;
    api_observer_slot *s;

    if (atomic_load(&all->count) >= TAKO_OBSERVERS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u observers",
                         TAKO_OBSERVERS_MAX);
    if (all->free == 0) {
        if (all->slot_used == all->slot_cap)
            TAKO_TRY(slots_grow(db, e));
        all->slots[all->slot_used] = (api_observer_slot){ NULL, 0, 0 };
        all->free = ++all->slot_used;
    }
    s = &all->slots[all->free - 1];
    o->id = all->free - 1;
    all->free = s->next_free;
    if (++s->uses == 0) /* no id is 0 */
        s->uses = 1;
    o->id |= (uint32_t)s->uses << 16;
    s->observer = o;
    (void)atomic_fetch_add(&all->count, 1u);
    return TAKO_OK;
}

static api_observer *slot_find(const api_observers *all, uint32_t id)
{
    uint32_t place = id & 0xFFFFu;
    api_observer *o =
        place < all->slot_used ? all->slots[place].observer : NULL;

    return o != NULL && o->id == id ? o : NULL;
}

static void slot_give(api_observers *all, api_observer *o)
{
    uint32_t place = o->id & 0xFFFFu;

    all->slots[place].observer = NULL;
    all->slots[place].next_free = all->free;
    all->free = place + 1;
    (void)atomic_fetch_sub(&all->count, 1u);
}

/* Out of everything; the observer itself stays. */
static void forget(tako_db *db, api_observer *o)
{
    slot_give(&db->observers, o);
    queue_remove(&db->observers, o);
    api_observer_unwatch(db, o);
}

/* ---- the dispatcher ---------------------------------------------------------------- */

/* Without the mutex. */
static tako_err deliver(tako_db *db, api_delivery *d, api_observer *o)
{
    tako_errbuf e = { "" };
    tako_err err = TAKO_OK;
    char text[256];

    if (d->pool == NULL)
        err = api_delivery_init(d, db);
    if (err == TAKO_OK)
        err = api_deliver(db, d, o, &e);
    if (err != TAKO_OK)
        tako_log(&db->env, TAKO_LOG_ERROR, "observer_failed",
                 "\"observer\":%u,\"error\":\"%s\",\"detail\":%s", o->id,
                 tako_err_name(err), tako_log_str(e.text, text, sizeof text));
    return err;
}

/* What was stopped is not tried again before something changes. */
static bool is_worth_another(tako_err err)
{
    return tako_err_is_transient(err) && err != TAKO_TIMEOUT &&
           err != TAKO_CANCELED;
}

/* With the mutex held; lets go of it meanwhile. */
static void serve(tako_db *db, api_delivery *d, api_observer *o)
{
    api_observers *all = &db->observers;
    tako_err err;

    all->running = o->id;
    sys_mutex_unlock(all->mutex);
    err = deliver(db, d, o);
    sys_mutex_lock(all->mutex);
    all->running = 0;
    o->runs++;
    o->failed = err;
    if (o->dead) {
        observer_free(db, o);
    } else {
        o->due = o->due || is_worth_another(err);
        api_observer_wake(all, o); /* what came while it was told */
    }
    sys_cond_broadcast(all->quiet);
    if (is_worth_another(err) && !all->stop)
        (void)sys_cond_wait(all->work, all->mutex, OBSERVE_RETRY_MS);
}

static void dispatch(void *arg)
{
    tako_db *db = arg;
    api_observers *all = &db->observers;
    api_delivery d = { 0 };

    sys_mutex_lock(all->mutex);
    all->thread_id = sys_thread_self();
    while (!all->stop) {
        api_observer *o = queue_take(all);

        if (o != NULL)
            serve(db, &d, o);
        else
            (void)sys_cond_wait(all->work, all->mutex, UINT64_MAX);
    }
    sys_mutex_unlock(all->mutex);
    api_delivery_fini(&d);
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
    for (uint32_t i = 0; i < all->slot_used; i++) {
        api_observer *o = all->slots[i].observer;

        if (o == NULL)
            continue;
        forget(db, o);
        observer_free(db, o);
    }
    live_free(all->live);
    query_pool_free(all->pool);
    tako_env_free(&db->env, all->slots, all->slot_cap * sizeof *all->slots);
    sys_cond_free(all->work);
    sys_cond_free(all->quiet);
    sys_mutex_free(all->mutex);
    *all = (api_observers){ 0 };
}

/* ---- the program's calls ------------------------------------------------------------- */

/* With the mutex held: the first delivery is due at once. */
static tako_err observer_add(tako_db *db, api_observer *o, const query *q,
                             tako_errbuf *e)
{
    api_observers *all = &db->observers;
    tako_err err;

    if (all->thread == NULL)
        TAKO_TRY(sys_thread_start(&db->env, dispatch, db, &all->thread));
    TAKO_TRY(slot_take(db, o, e));
    err = api_observer_watch(db, o, q, e);
    if (err != TAKO_OK) {
        forget(db, o);
        return err;
    }
    o->due = o->asked = o->reset = true;
    api_observer_wake(all, o);
    return TAKO_OK;
}

/* Compiles the statement once, so that its errors are told here and now. */
static tako_err observer_start(tako_db *db, api_observer *o, uint32_t *id,
                               tako_errbuf *e)
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
    if (err == TAKO_OK && !query_is_told(q))
        err = tako_fail(e, TAKO_UNSUPPORTED,
                        "system collections other than system:conflicts "
                        "cannot be observed: nothing tells when they change; "
                        "read them again instead");
    if (err == TAKO_OK) {
        if (o->kind != OBSERVED_WHOLE)
            o->kind = query_is_simple(q) && !query_is_ordered(q)
                          ? OBSERVED_CHANGES
                          : OBSERVED_RESULTS;
        sys_mutex_lock(db->observers.mutex);
        err = observer_add(db, o, q, e);
        *id = o->id;
        api_observers_leave(&db->observers);
    }
    api_query_give(&r->queries, q);
    api_reader_give(db, r);
    return err;
}

static tako_err observe(tako_db *db, const char *select,
                        const tako_params *params, api_observer *o,
                        uint32_t *id, tako_errbuf *e)
{
    tako_buf own = tako_buf_on(&db->env);
    tako_slice text = TAKO_SLICE_NONE, map = TAKO_SLICE_NONE;
    tako_err err = api_statement(select, &text, e);

    o->text = o->params = tako_buf_on(&db->env);
    o->rows = row_list_on(&db->env);
    if (err == TAKO_OK)
        err = api_params(params, &own, &map, e);
    if (err == TAKO_OK) {
        tako_put_bytes(&o->text, text);
        tako_put_bytes(&o->params, map);
        err = o->text.failed || o->params.failed ? TAKO_NOMEM
                                                 : observer_start(db, o, id, e);
    }
    tako_buf_fini(&own);
    return err;
}

static tako_err observe_as(tako_db *db, const char *select,
                           const tako_params *params, api_observer how,
                           tako_observer *out)
{
    tako_errbuf e = { "" };
    api_observer *o = tako_env_alloc(&db->env, sizeof *o);
    uint32_t id = 0;
    tako_err err;

    if (o == NULL)
        return api_fail(db, TAKO_NOMEM, NULL);
    *o = how;
    err = observe(db, select, params, o, &id, &e);
    if (err != TAKO_OK) {
        observer_free(db, o);
        return api_fail(db, err, &e);
    }
    if (out != NULL) /* the observer may be gone by now */
        out->id = id;
    return TAKO_OK;
}

tako_err tako_observe(tako_db *db, const char *select,
                      const tako_params *params, tako_observe_fn *fn, void *ctx,
                      tako_observer *out)
{
    TAKO_ARG(db != NULL && fn != NULL);
    return observe_as(
        db, select, params,
        (api_observer){ .kind = OBSERVED_WHOLE, .fn = fn, .ctx = ctx }, out);
}

tako_err tako_observe_diff(tako_db *db, const char *select,
                           const tako_params *params, uint32_t flags,
                           tako_observe_fn *fn, void *ctx, tako_observer *out)
{
    TAKO_ARG(db != NULL && fn != NULL && (flags & ~TAKO_OBSERVE_ASKED) == 0);
    return observe_as(
        db, select, params,
        (api_observer){ .kind = OBSERVED_CHANGES,
                        .fn = fn,
                        .ctx = ctx,
                        .by_asking = (flags & TAKO_OBSERVE_ASKED) != 0 },
        out);
}

tako_err tako_observer_next(tako_db *db, tako_observer observer)
{
    api_observers *all;
    api_observer *o;

    TAKO_ARG(db != NULL);
    all = &db->observers;
    sys_mutex_lock(all->mutex);
    o = slot_find(all, observer.id);
    if (o != NULL) {
        o->asked = true;
        api_observer_wake(all, o);
    }
    api_observers_leave(all);
    return o != NULL ? TAKO_OK : api_fail(db, TAKO_NOTFOUND, NULL);
}

tako_err tako_unobserve(tako_db *db, tako_observer observer)
{
    api_observers *all;
    api_observer *o;

    TAKO_ARG(db != NULL);
    all = &db->observers;
    sys_mutex_lock(all->mutex);
    o = slot_find(all, observer.id);
    if (o == NULL) {
        sys_mutex_unlock(all->mutex);
        return api_fail(db, TAKO_NOTFOUND, NULL);
    }
    forget(db, o);
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

/* ---- system:observers ------------------------------------------------------------------ */

void api_observers_put(tako_db *db, tako_buf *json)
{
    api_observers *all = &db->observers;

    sys_mutex_lock(all->mutex);
    for (uint32_t i = 0; i < all->slot_used; i++) {
        const api_observer *o = all->slots[i].observer;

        if (o == NULL)
            continue;
        tako_put_u8(json, '{');
        obs_put_u64(json, "_id", o->id);
        obs_put_str(json, "statement", tako_buf_slice(&o->text));
        obs_put_bool(json, "diff", o->kind != OBSERVED_WHOLE);
        obs_put_bool(json, "waiting", o->due);
        obs_put_u64(json, "runs", o->runs);
        if (o->failed != TAKO_OK)
            obs_put_str(json, "error",
                        tako_slice_str(tako_err_name(o->failed)));
        tako_put_u8(json, '}');
    }
    sys_mutex_unlock(all->mutex);
}
