// SPDX-License-Identifier: Apache-2.0
/* CARE -- what a node does about deletes when nothing else asks for it: once an
 * hour it counts the days and reaps old tombstones, and goes on with sweeps
 * that graves from peers made necessary (store/deaths.h). In pieces, and only
 * while nobody else has the writer. */
#include "node/internal.h"
#include "query/settings.h"
#include "store/deaths.h"

#define CARE_TOMBS 2000u  /* looked at in one piece */
#define CARE_ROWS  20000u /* likewise, of a sweep */

/* One piece of a sweep, in a transaction of its own. *lsn: documents died. */
static tako_err sweep_some(store *s, uint64_t *lsn, bool *more, tako_errbuf *e)
{
    uint32_t coll, died;
    tako_err err;

    *more = false;
    TAKO_TRY(store_sweep_due(s, &coll, e));
    if (coll == 0)
        return TAKO_OK;
    TAKO_TRY(store_begin(s, e));
    err = store_sweep(s, coll, CARE_ROWS, &died, more, e);
    if (err == TAKO_OK)
        return store_commit(s, lsn, e);
    store_rollback(s);
    return err;
}

static tako_err care(node *n, store *s, uint64_t *lsn, bool *more,
                     tako_errbuf *e)
{
    query_settings settings;
    uint64_t reaped;
    bool sweeps;

    TAKO_TRY(query_settings_read(n->env, n->reader, &settings));
    TAKO_TRY(store_reap(s, (uint32_t)settings.value[SETTING_TOMBSTONE_TTL],
                        CARE_TOMBS, &reaped, more, e));
    if (reaped > 0)
        tako_log(n->env, TAKO_LOG_INFO, "tombstones_reaped",
                 "\"documents\":%llu", (unsigned long long)reaped);
    TAKO_TRY(sweep_some(s, lsn, &sweeps, e));
    *more = *more || sweeps;
    return TAKO_OK;
}

void node_care(node *n, uint64_t now_ms)
{
    tako_errbuf e = { "" };
    uint64_t lsn = 0;
    bool more = false;
    store *s;
    tako_err err;

    if (now_ms < n->care_ms || n->stopping)
        return;
    n->care_ms = now_ms + NODE_CARE_STEP_MS;
    s = n->host->write_try(n->host->ctx);
    if (s == NULL)
        return;
    err = care(n, s, &lsn, &more, &e);
    node_wrote(n, s, lsn, NULL);
    if (err != TAKO_OK)
        tako_log(n->env, TAKO_LOG_WARN, "care_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
    if (err != TAKO_OK || !more)
        n->care_ms = now_ms + NODE_CARE_MS;
}
