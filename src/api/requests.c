// SPDX-License-Identifier: Apache-2.0
/* REQUESTS -- what runs now, and what ran lately: for system:requests, for
 * cancelling, for time limits.
 *
 * A request stands in the list from its begin to its end. Its time is what it
 * spends in calls: a result that the program reads slowly is open, not
 * running. Whoever runs the statement asks api_request_stop() all the time
 * (query_guard), which reads an atomic and a clock. Ended requests are copied
 * into a ring.
 *
 * NUMBERS are given at the begin. A thread that wants to cancel what another
 * one is about to run has that one ask for its next number before
 * (tako_request_next); such promises are kept by thread, in a short list. */
#include "api/api.h"

#include "codec/json.h"
#include "obs/object.h"

typedef struct api_past {
    uint64_t id, started_ms, ran_ms, rows;
    const char *source;
    tako_err err;
    bool slow;
    uint16_t len;
    char text[TAKO_REQUEST_TEXT_MAX];
} api_past;

struct api_promise {
    uint64_t thread, id;
    bool canceled; /* before it began */
};

tako_err api_requests_init(tako_db *db)
{
    return sys_mutex_new(&db->env, &db->requests.mutex);
}

static void ring_free(tako_db *db)
{
    api_requests *all = &db->requests;

    tako_env_free(&db->env, all->ring, all->cap * sizeof *all->ring);
    all->ring = NULL;
    all->cap = all->count = 0;
}

void api_requests_fini(tako_db *db)
{
    api_requests *all = &db->requests;

    if (all->mutex == NULL)
        return;
    ring_free(db);
    tako_env_free(&db->env, all->promises,
                  TAKO_ERROR_THREADS_MAX * sizeof *all->promises);
    sys_mutex_free(all->mutex);
    *all = (api_requests){ 0 };
}

int64_t api_setting(tako_db *db, setting which)
{
    return db->settings[which];
}

tako_err api_settings_load(tako_db *db, store_conn *c)
{
    query_settings now;

    TAKO_TRY(query_settings_read(&db->env, c, &now));
    for (unsigned i = 0; i < SETTINGS; i++)
        db->settings[i] = now.value[i];
    return TAKO_OK;
}

/* ---- one request ------------------------------------------------------------- */

/* The number that was promised to this thread, or a new one. Locked. */
static uint64_t take_number(api_requests *all, bool *canceled)
{
    uint64_t thread;

    *canceled = false;
    if (all->promise_count == 0)
        return ++all->last_id;
    thread = sys_thread_self();
    for (size_t i = 0; i < all->promise_count; i++) {
        api_promise p = all->promises[i];

        if (p.thread != thread)
            continue;
        all->promises[i] = all->promises[--all->promise_count];
        *canceled = p.canceled;
        return p.id;
    }
    return ++all->last_id;
}

/* As much of a text as fits, in whole characters. */
static uint16_t cut_text(tako_slice text, char out[TAKO_REQUEST_TEXT_MAX])
{
    size_t n = text.len;

    if (n > TAKO_REQUEST_TEXT_MAX) {
        n = TAKO_REQUEST_TEXT_MAX;
        while (n > 0 && (text.ptr[n] & 0xC0) == 0x80)
            n--;
    }
    if (n > 0)
        memcpy(out, text.ptr, n);
    return (uint16_t)n;
}

void api_request_begin(tako_db *db, api_request *r, const char *source,
                       tako_slice text)
{
    api_requests *all = &db->requests;
    bool canceled;

    r->db = db;
    r->source = source;
    r->started_ms = db->env.wall_ms(db->env.ctx);
    r->timeout_ms = (uint64_t)api_setting(db, SETTING_STATEMENT_TIMEOUT_MS);
    r->len = cut_text(text, r->text);
    sys_mutex_lock(all->mutex);
    r->id = take_number(all, &canceled);
    atomic_init(&r->canceled, canceled);
    r->next = all->first;
    r->at = &all->first;
    if (r->next != NULL)
        r->next->at = &r->next;
    all->first = r;
    sys_mutex_unlock(all->mutex);
    r->listed = true;
}

void api_request_enter(api_request *r)
{
    r->entered_ms = r->db->env.mono_ms(r->db->env.ctx);
    atomic_store(&r->running, true);
}

void api_request_leave(api_request *r)
{
    r->ran_ms += r->db->env.mono_ms(r->db->env.ctx) - r->entered_ms;
    atomic_store(&r->running, false);
    atomic_store(&r->opened, true);
}

bool api_request_stop(void *ctx)
{
    api_request *r = ctx;
    uint64_t now;

    if (atomic_load(&r->canceled))
        return true;
    if (r->timeout_ms == 0)
        return false;
    now = r->db->env.mono_ms(r->db->env.ctx);
    r->timed_out = r->ran_ms + (now - r->entered_ms) >= r->timeout_ms;
    return r->timed_out;
}

/* Makes the ring as large as the setting says; keeps the newest. Locked. */
static void ring_fit(tako_db *db)
{
    api_requests *all = &db->requests;
    size_t want = (size_t)api_setting(db, SETTING_REQUESTS_RECENT_MAX);
    size_t keep = all->count < want ? all->count : want;
    api_past *ring = NULL;

    if (want == all->cap)
        return;
    if (want > 0) {
        ring = tako_env_alloc(&db->env, want * sizeof *ring);
        if (ring == NULL)
            return; /* the old one will do */
    }
    for (size_t i = 0; i < keep; i++)
        ring[i] = all->ring[(all->next + all->cap - keep + i) % all->cap];
    ring_free(db);
    all->ring = ring;
    all->cap = want;
    all->count = keep;
    all->next = want > 0 ? keep % want : 0;
}

/* Locked. */
static void ring_put(tako_db *db, const api_request *r, tako_err err, bool slow)
{
    api_requests *all = &db->requests;
    api_past *p;

    ring_fit(db);
    if (all->cap == 0)
        return;
    p = &all->ring[all->next];
    all->next = (all->next + 1) % all->cap;
    if (all->count < all->cap)
        all->count++;
    p->id = r->id;
    p->started_ms = r->started_ms;
    p->ran_ms = r->ran_ms;
    p->rows = r->rows;
    p->source = r->source;
    p->err = err;
    p->slow = slow;
    p->len = r->len;
    memcpy(p->text, r->text, r->len);
}

/* Locked. */
static void count_end(api_requests *all, const api_request *r, tako_err err,
                      bool slow)
{
    all->counts.ended++;
    all->counts.rows += r->rows;
    all->counts.slow += slow;
    all->counts.failed += err != TAKO_OK;
    all->counts.canceled += err == TAKO_CANCELED;
    all->counts.timed_out += err == TAKO_TIMEOUT;
}

static void log_slow(const api_request *r)
{
    char text[TAKO_REQUEST_TEXT_MAX + 1], shown[2 * TAKO_REQUEST_TEXT_MAX];

    memcpy(text, r->text, r->len);
    text[r->len] = '\0';
    tako_log(&r->db->env, TAKO_LOG_WARN, "slow_request",
             "\"request\":%llu,\"ms\":%llu,\"rows\":%llu,\"statement\":%s",
             (unsigned long long)r->id, (unsigned long long)r->ran_ms,
             (unsigned long long)r->rows,
             tako_log_str(text, shown, sizeof shown));
}

/* Why it was stopped, which those below could not know. */
static tako_err verdict(const api_request *r, tako_err err, tako_errbuf *e)
{
    if (err != TAKO_CANCELED)
        return err;
    if (atomic_load(&r->canceled))
        return tako_fail(e, err, "the request %llu was canceled",
                         (unsigned long long)r->id);
    return tako_fail(e, r->timed_out ? TAKO_TIMEOUT : err,
                     "the statement ran for longer than statement_timeout_ms, "
                     "%llu ms, and was stopped",
                     (unsigned long long)r->timeout_ms);
}

tako_err api_request_end(api_request *r, tako_err err, tako_errbuf *e)
{
    tako_db *db = r->db;
    uint64_t limit;
    bool slow;

    if (!r->listed)
        return err;
    if (atomic_load(&r->running))
        api_request_leave(r);
    err = verdict(r, err, e);
    limit = (uint64_t)api_setting(db, SETTING_SLOW_REQUEST_MS);
    slow = limit != 0 && r->ran_ms >= limit;
    sys_mutex_lock(db->requests.mutex);
    *r->at = r->next;
    if (r->next != NULL)
        r->next->at = r->at;
    r->listed = false;
    ring_put(db, r, err, slow);
    count_end(&db->requests, r, err, slow);
    sys_mutex_unlock(db->requests.mutex);
    if (slow)
        log_slow(r);
    return err;
}

/* ---- the program's calls ---------------------------------------------------------- */

uint64_t tako_request_next(tako_db *db)
{
    uint64_t thread = sys_thread_self();
    api_requests *all;
    uint64_t id = 0;
    size_t i = 0;

    if (db == NULL)
        return 0;
    all = &db->requests;
    sys_mutex_lock(all->mutex);
    if (all->promises == NULL)
        all->promises = tako_env_alloc(&db->env, TAKO_ERROR_THREADS_MAX *
                                                     sizeof *all->promises);
    while (i < all->promise_count && all->promises[i].thread != thread)
        i++;
    if (all->promises != NULL && i < TAKO_ERROR_THREADS_MAX) {
        if (i == all->promise_count)
            all->promise_count++;
        id = ++all->last_id;
        all->promises[i] = (api_promise){ thread, id, false };
    }
    sys_mutex_unlock(all->mutex);
    return id;
}

tako_err tako_cancel(tako_db *db, uint64_t request)
{
    tako_errbuf e = { "" };
    api_requests *all;
    bool found = false;

    TAKO_ARG(db != NULL);
    all = &db->requests;
    sys_mutex_lock(all->mutex);
    for (api_request *r = all->first; r != NULL; r = r->next) {
        if (request == 0 || r->id == request) {
            atomic_store(&r->canceled, true);
            found = true;
        }
    }
    for (size_t i = 0; i < all->promise_count; i++) {
        if (all->promises[i].id == request)
            all->promises[i].canceled = found = true;
    }
    sys_mutex_unlock(all->mutex);
    if (found)
        return TAKO_OK;
    if (request == 0)
        (void)tako_fail(&e, TAKO_NOTFOUND, "no request runs now");
    else
        (void)tako_fail(&e, TAKO_NOTFOUND, "no request %llu runs now",
                        (unsigned long long)request);
    return api_fail(db, TAKO_NOTFOUND, &e);
}

/* ---- system:requests ---------------------------------------------------------------- */

static void put_request(tako_buf *json, uint64_t id, const char *source,
                        const char *state, uint64_t started_ms, uint64_t ran_ms,
                        uint64_t rows, tako_slice text)
{
    tako_put_u8(json, '{');
    obs_put_u64(json, "_id", id);
    obs_put_str(json, "source", tako_slice_str(source));
    obs_put_str(json, "state", tako_slice_str(state));
    obs_put_u64(json, "started_ms", started_ms);
    obs_put_u64(json, "running_ms", ran_ms);
    obs_put_u64(json, "rows", rows);
    obs_put_str(json, "statement", text);
}

static void put_active(const api_request *r, uint64_t now, uint64_t limit,
                       tako_buf *json)
{
    bool running = atomic_load(&r->running);
    uint64_t ran = r->ran_ms + (running ? now - r->entered_ms : 0);

    put_request(json, r->id, r->source,
                running     ? "running"
                : r->opened ? "open"
                            : "waiting",
                r->started_ms, ran, r->rows,
                tako_slice_of((const uint8_t *)r->text, r->len));
    obs_put_bool(json, "slow", limit != 0 && ran >= limit);
    tako_put_u8(json, '}');
}

static void put_past(const api_past *p, tako_buf *json)
{
    put_request(json, p->id, p->source, p->err == TAKO_OK ? "done" : "failed",
                p->started_ms, p->ran_ms, p->rows,
                tako_slice_of((const uint8_t *)p->text, p->len));
    obs_put_bool(json, "slow", p->slow);
    if (p->err != TAKO_OK)
        obs_put_str(json, "error", tako_slice_str(tako_err_name(p->err)));
    tako_put_u8(json, '}');
}

void api_requests_put(tako_db *db, tako_buf *json)
{
    api_requests *all = &db->requests;
    uint64_t now = db->env.mono_ms(db->env.ctx);
    uint64_t limit = (uint64_t)api_setting(db, SETTING_SLOW_REQUEST_MS);

    sys_mutex_lock(all->mutex);
    ring_fit(db);
    for (const api_request *r = all->first; r != NULL; r = r->next)
        put_active(r, now, limit, json);
    for (size_t i = 1; i <= all->count; i++)
        put_past(&all->ring[(all->next + all->cap - i) % all->cap], json);
    sys_mutex_unlock(all->mutex);
}

void api_requests_count(tako_db *db, api_request_counts *out)
{
    sys_mutex_lock(db->requests.mutex);
    *out = db->requests.counts;
    out->active = 0;
    for (const api_request *r = db->requests.first; r != NULL; r = r->next)
        out->active++;
    sys_mutex_unlock(db->requests.mutex);
}
