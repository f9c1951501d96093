// SPDX-License-Identifier: Apache-2.0
/* KEEPER -- a thread for what is done best when nobody waits; it sleeps while
 * there is nothing of the kind.
 *
 * MAPS  Readers may read through a map of the file. It saves a read() for each
 * page that is not in the small cache: a scan takes a third of the time. But
 * to touch a page of a new map costs several times a read(), and all touched
 * pages count as the process's memory. So a reader is mapped when it has
 * missed so many pages that a map would have paid for itself by then: however
 * it goes on, the choice costs at most about twice the best one. The keeper
 * gives the map of a reader back when it was not used for a second or two.
 *
 * HEAP  Likewise what large transactions left in the heap.
 *
 * LOG  To fold the log into the file takes two syncs, tens of milliseconds, for
 * which everybody waits who wants to write, the loop with what comes live as
 * well. (SQLite up to 3.51.2 may corrupt a file when another connection does
 * it meanwhile: conn.c.) So it is done in a pause: when nobody has committed
 * for a while. A log that finds none is folded when it has grown long, by who
 * commits (write.c). */
#include "api/api.h"

#include <limits.h>

#define MAP_MISSES   4096u /* pages; 16 MB */
#define REST_MS      1000u /* of maps and the heap */
#define LOG_PAUSE_MS 50u

static void unmap(api_readers *p, api_reader *r)
{
    store_reader_map(r->conn, false);
    r->mapped = false;
    r->missed = 0;
    p->mapped_count--;
}

static void keep_maps(api_readers *p)
{
    for (api_reader *r = p->idle; r != NULL; r = r->next) {
        if (r->mapped && r->rested)
            unmap(p, r);
        r->rested = true;
    }
}

static void keep_heap(api_readers *p)
{
    if (p->keeper.heap_high && p->keeper.heap_rested) {
        p->keeper.heap_high = false;
        sys_mutex_unlock(p->mutex);
        sys_memory_trim();
        sys_mutex_lock(p->mutex);
    }
    p->keeper.heap_rested = true;
}

static void keep_log(tako_db *db)
{
    api_keeper *k = &db->readers.keeper;
    uint64_t epoch = atomic_load(&db->epoch);

    if (epoch != k->log_epoch) {
        k->log_epoch = epoch; /* no pause yet */
        return;
    }
    k->log_due = false;
    sys_mutex_unlock(db->readers.mutex);
    api_write_rest(db);
    sys_mutex_lock(db->readers.mutex);
}

/* With the mutex held: how long there is nothing to do. */
static uint64_t idle_ms(const api_readers *p, uint64_t rest_at, uint64_t now)
{
    uint64_t ms = UINT64_MAX;

    if (p->mapped_count > 0 || p->keeper.heap_high)
        ms = rest_at > now ? rest_at - now : 0;
    return p->keeper.log_due && ms > LOG_PAUSE_MS ? LOG_PAUSE_MS : ms;
}

static void keep(void *arg)
{
    tako_db *db = arg;
    api_readers *p = &db->readers;
    uint64_t now = db->env.mono_ms(db->env.ctx), rest_at = now + REST_MS;

    sys_mutex_lock(p->mutex);
    while (!p->keeper.stop) {
        uint64_t ms = idle_ms(p, rest_at, now);

        if (ms > 0 && sys_cond_wait(p->keeper.cond, p->mutex, ms)) {
            now = db->env.mono_ms(db->env.ctx);
            continue; /* there is more to do, or nothing ever again */
        }
        now = db->env.mono_ms(db->env.ctx);
        if (p->keeper.log_due)
            keep_log(db);
        if (now < rest_at)
            continue;
        keep_maps(p);
        keep_heap(p);
        rest_at = now + REST_MS;
    }
    sys_mutex_unlock(p->mutex);
}

tako_err api_keeper_init(tako_db *db)
{
    return sys_cond_new(&db->env, &db->readers.keeper.cond);
}

void api_keeper_fini(tako_db *db)
{
    api_readers *p = &db->readers;
    api_keeper *k = &p->keeper;

    if (k->thread != NULL) {
        sys_mutex_lock(p->mutex);
        k->stop = true;
        sys_cond_signal(k->cond);
        sys_mutex_unlock(p->mutex);
        sys_thread_join(k->thread);
        k->thread = NULL;
    }
    sys_cond_free(k->cond);
    k->cond = NULL;
}

static bool keeper_started(tako_db *db)
{
    api_keeper *k = &db->readers.keeper;

    return k->thread != NULL ||
           sys_thread_start(&db->env, keep, db, &k->thread) == TAKO_OK;
}

void api_maps_consider(tako_db *db, api_reader *r)
{
    api_readers *p = &db->readers;
    unsigned missed = store_reader_missed(r->conn);

    r->missed = missed > UINT_MAX - r->missed ? UINT_MAX : r->missed + missed;
    if (r->mapped || r->missed < MAP_MISSES)
        return;
    if (!keeper_started(db))
        return; /* nobody would give the map back */
    store_reader_map(r->conn, true);
    r->mapped = true;
    r->rested = false;
    p->mapped_count++;
    sys_cond_signal(p->keeper.cond);
}

void api_maps_forget(tako_db *db, api_reader *r)
{
    if (r->mapped)
        unmap(&db->readers, r);
}

void api_keeper_heap(tako_db *db)
{
    api_readers *p = &db->readers;

    sys_mutex_lock(p->mutex);
    p->keeper.heap_rested = false;
    if (!p->keeper.heap_high && keeper_started(db)) {
        p->keeper.heap_high = true;
        sys_cond_signal(p->keeper.cond);
    }
    sys_mutex_unlock(p->mutex);
}

void api_keeper_log(tako_db *db)
{
    api_readers *p = &db->readers;

    sys_mutex_lock(p->mutex);
    if (!p->keeper.log_due && keeper_started(db)) {
        p->keeper.log_due = true;
        p->keeper.log_epoch = atomic_load(&db->epoch);
        sys_cond_signal(p->keeper.cond);
    }
    sys_mutex_unlock(p->mutex);
}
