// SPDX-License-Identifier: Apache-2.0
/* MAPS -- readers that read through a map of the file, while that pays.
 *
 * A map saves a read() for each page that is not in the small cache: a scan
 * takes a third of the time. But to touch a page of a new map costs several
 * times a read(), and all touched pages count as the process's memory. So a
 * reader is mapped when it has missed so many pages that a map would have paid
 * for itself by then: however it goes on, the choice costs at most about twice
 * the best one. A keeper thread, which sleeps while nothing is mapped, gives
 * the map of a reader back when it was not used for a second or two. It does
 * the same for what large transactions left in the heap. */
#include "api/api.h"

#include <limits.h>

#define MAP_MISSES  4096u /* pages; 16 MB */
#define MAP_REST_MS 1000u

static void unmap(api_readers *p, api_reader *r)
{
    store_reader_map(r->conn, false);
    r->mapped = false;
    r->missed = 0;
    p->mapped_count--;
}

static void keep_heap(api_readers *p)
{
    if (p->heap_high && p->heap_rested) {
        p->heap_high = false;
        sys_mutex_unlock(p->mutex);
        sys_memory_trim();
        sys_mutex_lock(p->mutex);
    }
    p->heap_rested = true;
}

static void keep(void *arg)
{
    tako_db *db = arg;
    api_readers *p = &db->readers;

    sys_mutex_lock(p->mutex);
    while (!p->stop) {
        bool work = p->mapped_count > 0 || p->heap_high;

        if (sys_cond_wait(p->keep, p->mutex, work ? MAP_REST_MS : UINT64_MAX))
            continue;
        for (api_reader *r = p->idle; r != NULL; r = r->next) {
            if (r->mapped && r->rested)
                unmap(p, r);
            r->rested = true;
        }
        keep_heap(p);
    }
    sys_mutex_unlock(p->mutex);
}

tako_err api_maps_init(tako_db *db)
{
    return sys_cond_new(&db->env, &db->readers.keep);
}

void api_maps_fini(tako_db *db)
{
    api_readers *p = &db->readers;

    if (p->keeper != NULL) {
        sys_mutex_lock(p->mutex);
        p->stop = true;
        sys_cond_signal(p->keep);
        sys_mutex_unlock(p->mutex);
        sys_thread_join(p->keeper);
        p->keeper = NULL;
    }
    sys_cond_free(p->keep);
    p->keep = NULL;
}

static bool keeper_started(tako_db *db)
{
    api_readers *p = &db->readers;

    return p->keeper != NULL ||
           sys_thread_start(&db->env, keep, db, &p->keeper) == TAKO_OK;
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
    sys_cond_signal(p->keep);
}

void api_maps_forget(tako_db *db, api_reader *r)
{
    if (r->mapped)
        unmap(&db->readers, r);
}

void api_maps_heap(tako_db *db)
{
    api_readers *p = &db->readers;

    sys_mutex_lock(p->mutex);
    p->heap_rested = false;
    if (!p->heap_high && keeper_started(db)) {
        p->heap_high = true;
        sys_cond_signal(p->keep);
    }
    sys_mutex_unlock(p->mutex);
}
