// SPDX-License-Identifier: Apache-2.0
/* RETENTION -- carries out the rules of collections (query/retention.h): once
 * in NODE_RETAIN_MS a round over all of them, in steps of bounded length.
 *
 * A rule about size needs two walks more: one that counts, and one that tells,
 * in RETAIN_SLOTS slots of time between the oldest and the newest, from which
 * slot on the rest is within the limit. What goes is evicted as by a statement:
 * the marker stays, so it does not come back by sync; and a document with own
 * changes that nobody is known to keep stays. In the last round that matters a
 * crash loses nothing: the next one begins anew.
 *
 * With it, once a day, markers of documents that left `tombstone_ttl` days ago are
 * forgotten (store/leave.c). */
#include "node/internal.h"

#include "query/retention.h"
#include "query/settings.h"
#include "store/deaths.h"

#define RETAIN_SLOTS 256u
#define DAY_MS       86400000u

typedef enum retain_phase {
    RETAIN_COUNT, /* how many, how large, from when to when */
    RETAIN_SLOT,  /* how many of each time */
    RETAIN_EVICT,
} retain_phase;

struct node_retain {
    uint64_t at_ms;
    uint32_t coll; /* 0: between two rounds */
    bool loaded;
    query_retention rule;
    tako_buf value; /* that it points into */
    retain_phase phase;
    int64_t after;
    uint64_t documents, bytes; /* counted; then those too many */
    int64_t oldest, newest;
    uint64_t slot_documents[RETAIN_SLOTS], slot_bytes[RETAIN_SLOTS];
    int64_t until_ms; /* from before it, the too many go */
    int64_t now_ms;
    uint64_t evicted;
    struct {
        int64_t row;
        uint64_t lsn;
    } gone[NODE_LEAVE_BATCH];
    size_t gone_count;
    uint64_t reaped_day;
    uint32_t reap_coll; /* 0: done for that day */
    int64_t reap_row;
};

tako_err node_retain_new(node *n)
{
    n->retain = tako_env_alloc(n->env, sizeof *n->retain);
    if (n->retain == NULL)
        return TAKO_NOMEM;
    n->retain->value = tako_buf_on(n->env);
    n->retain->at_ms = node_now(n) + NODE_LEAVE_GRACE_MS;
    return TAKO_OK;
}

static void rule_drop(node_retain *r)
{
    if (r->loaded)
        query_retention_free(&r->rule);
    r->loaded = false;
    tako_buf_reset(&r->value);
}

void node_retain_free(node *n)
{
    if (n->retain == NULL)
        return;
    rule_drop(n->retain);
    tako_buf_fini(&n->retain->value);
    tako_env_free(n->env, n->retain, sizeof *n->retain);
}

uint64_t node_retain_deadline(const node *n)
{
    return n->retain->at_ms;
}

static void walk_start(node_retain *r, retain_phase phase)
{
    r->phase = phase;
    r->after = INT64_MIN;
}

static bool limits_size(const node_retain *r)
{
    return r->rule.documents > 0 || r->rule.bytes > 0;
}

/* The rule of the collection, if it has one. */
static bool rule_load(node *n, node_retain *r)
{
    tako_slice name = store_coll_name(n->reader, r->coll);
    tako_errbuf e = { "" };

    rule_drop(r);
    if (name.len == 0 ||
        query_retention_get(n->reader, name, &r->value) != TAKO_OK ||
        (n->pool == NULL && query_pool_new(n->env, &n->pool, &e) != TAKO_OK) ||
        query_retention_read(n->pool, name, tako_buf_slice(&r->value), &r->rule,
                             &e) != TAKO_OK)
        return false;
    r->loaded = true;
    r->documents = r->bytes = r->evicted = 0;
    r->oldest = INT64_MAX;
    r->newest = INT64_MIN;
    r->until_ms = INT64_MIN;
    r->now_ms = (int64_t)n->env->wall_ms(n->env->ctx);
    memset(r->slot_documents, 0, sizeof r->slot_documents);
    memset(r->slot_bytes, 0, sizeof r->slot_bytes);
    walk_start(r, limits_size(r) ? RETAIN_COUNT : RETAIN_EVICT);
    return true;
}

static size_t slot_of(const node_retain *r, int64_t date)
{
    uint64_t span = (uint64_t)(r->newest - r->oldest) / RETAIN_SLOTS + 1u;

    if (date <= r->oldest)
        return 0;
    return date >= r->newest ? RETAIN_SLOTS - 1u
                             : (size_t)((uint64_t)(date - r->oldest) / span);
}

/* After counting: how many are too many; false: none are. */
static bool exceeds(node_retain *r)
{
    r->documents = r->rule.documents > 0 && r->documents > r->rule.documents
                       ? r->documents - r->rule.documents
                       : 0;
    r->bytes = r->rule.bytes > 0 && r->bytes > r->rule.bytes
                   ? r->bytes - r->rule.bytes
                   : 0;
    return r->documents > 0 || r->bytes > 0;
}

/* From the slots: before which moment the too many are. */
static void find_until(node_retain *r)
{
    uint64_t documents = 0, bytes = 0;
    uint64_t span = (uint64_t)(r->newest - r->oldest) / RETAIN_SLOTS + 1u;
    size_t i = 0;

    while (i < RETAIN_SLOTS && (documents < r->documents || bytes < r->bytes)) {
        documents += r->slot_documents[i];
        bytes += r->slot_bytes[i];
        i++;
    }
    r->until_ms = r->oldest + (int64_t)(span * i);
}

static bool too_many(node_retain *r, const store_row *row, int64_t date)
{
    if (date >= r->until_ms || (r->documents == 0 && r->bytes == 0))
        return false;
    r->documents -= r->documents > 0;
    r->bytes -= r->bytes < row->body.len ? r->bytes : row->body.len;
    return true;
}

static void look_at(node_retain *r, const store_row *row)
{
    int64_t date = 0;
    bool dated, goes;

    if (row->body.len == 0 ||
        (r->rule.where != NULL &&
         !query_predicate_match(r->rule.where, row->id, row->body)))
        return;
    dated = query_retention_date(&r->rule, row, &date);
    if (r->phase == RETAIN_COUNT) {
        r->documents++;
        r->bytes += row->body.len;
        r->oldest = dated && date < r->oldest ? date : r->oldest;
        r->newest = dated && date > r->newest ? date : r->newest;
        return;
    }
    if (r->phase == RETAIN_SLOT) {
        size_t i = dated ? slot_of(r, date) : RETAIN_SLOTS - 1u;

        r->slot_documents[i]++;
        r->slot_bytes[i] += row->body.len;
        return;
    }
    goes = r->rule.after_ms == 0 && !limits_size(r);
    goes = goes || (r->rule.after_ms > 0 && dated &&
                    date < r->now_ms - r->rule.after_ms);
    if (!goes && !(dated && too_many(r, row, date)))
        return;
    r->gone[r->gone_count].row = row->row;
    r->gone[r->gone_count++].lsn = row->lsn;
}

/* With changes made here, it goes once somebody is known to keep it. */
static tako_err evict_one(node *n, store *st, size_t i)
{
    node_retain *r = n->retain;
    tako_buf id = tako_buf_on(n->env);
    tako_errbuf e = { "" };
    store_row row;
    bool kept = false;
    tako_err err =
        store_get_row(store_writer(st), r->coll, r->gone[i].row, &row);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && row.lsn != r->gone[i].lsn))
        return TAKO_OK; /* it changed: the next round looks at it */
    if (err == TAKO_OK) {
        tako_put_bytes(&id, row.id);
        kept = node_is_kept(n, r->coll, &row);
        err = id.failed
                  ? TAKO_NOMEM
                  : store_evict(st, r->coll, tako_buf_slice(&id), kept, &e);
    }
    r->evicted += err == TAKO_OK;
    tako_buf_fini(&id);
    return err == TAKO_DENIED ? TAKO_OK : err;
}

/* What the walk found goes; false: not now. */
static bool evict_found(node *n)
{
    node_retain *r = n->retain;
    store *st;
    uint64_t lsn = 0;
    tako_errbuf e = { "" };
    tako_err err;

    if (r->gone_count == 0)
        return true;
    st = n->host->write_try(n->host->ctx);
    if (st == NULL)
        return false;
    err = store_begin(st, &e);
    for (size_t i = 0; err == TAKO_OK && i < r->gone_count; i++)
        err = evict_one(n, st, i);
    if (err == TAKO_OK)
        err = store_commit(st, &lsn, &e);
    if (err != TAKO_OK && store_in_transaction(st))
        store_rollback(st);
    r->gone_count = 0;
    node_wrote(n, st, err == TAKO_OK ? lsn : 0, NULL);
    if (err != TAKO_OK)
        tako_log(n->env, TAKO_LOG_WARN, "retention_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
    return true;
}

/* One piece of a walk; true at its end. */
static bool walk(node *n, node_retain *r)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = store_scan(n->reader, r->coll, r->after, &k);

    for (size_t i = 0; err == TAKO_OK && i < NODE_LEAVE_SCAN_ROWS &&
                       r->gone_count < NODE_LEAVE_BATCH;
         i++) {
        err = store_scan_next(k, &row);
        if (err != TAKO_OK)
            break;
        look_at(r, &row);
        r->after = row.row;
    }
    store_scan_close(k);
    return err != TAKO_OK;
}

static void next_collection(node *n, node_retain *r, uint64_t now_ms)
{
    if (r->evicted > 0)
        tako_log(n->env, TAKO_LOG_INFO, "retention",
                 "\"collection\":%u,\"evicted\":%llu", r->coll,
                 (unsigned long long)r->evicted);
    r->evicted = 0;
    do {
        r->coll++;
    } while (r->coll <= store_coll_max(n->reader) && !rule_load(n, r));
    if (r->coll <= store_coll_max(n->reader))
        return;
    rule_drop(r);
    r->coll = 0;
    r->at_ms = now_ms + NODE_RETAIN_MS;
}

/* Markers of what left long ago, a piece at a time. */
static void reap(node *n, node_retain *r)
{
    store *st = n->host->write_try(n->host->ctx);
    uint64_t reaped = 0, day = 0, ttl = 0;
    query_settings settings;
    tako_errbuf e = { "" };
    tako_err err;

    if (st == NULL)
        return;
    err = query_settings_read(n->env, n->reader, &settings);
    if (err == TAKO_OK) {
        ttl = (uint64_t)settings.value[SETTING_TOMBSTONE_TTL];
        err = store_day(st, &day, &e);
    }
    if (err == TAKO_OK)
        err = store_begin(st, &e);
    if (err == TAKO_OK && store_coll_name(n->reader, r->reap_coll).len > 0)
        err =
            store_markers_reap(st, r->reap_coll, day > ttl ? day - ttl : 0,
                               NODE_LEAVE_SCAN_ROWS, &r->reap_row, &reaped, &e);
    else
        r->reap_row = INT64_MAX;
    if (err == TAKO_OK)
        err = store_commit(st, NULL, &e);
    if (err != TAKO_OK && store_in_transaction(st))
        store_rollback(st);
    n->host->write_end(n->host->ctx, 0);
    if (err == TAKO_OK && r->reap_row != INT64_MAX)
        return;
    r->reap_row = INT64_MIN;
    if (++r->reap_coll > store_coll_max(n->reader))
        r->reap_coll = 0;
}

/* Once a day; true: there was something to do. */
static bool reap_due(node *n, node_retain *r)
{
    uint64_t day = n->env->wall_ms(n->env->ctx) / DAY_MS;

    if (day != r->reaped_day) {
        r->reaped_day = day;
        r->reap_coll = store_coll_max(n->reader) > 0;
        r->reap_row = INT64_MIN;
    }
    if (r->reap_coll == 0)
        return false;
    reap(n, r);
    return true;
}

void node_retain_tick(node *n, uint64_t now_ms)
{
    node_retain *r = n->retain;
    bool end;

    if (now_ms < r->at_ms)
        return;
    r->at_ms = now_ms + NODE_LEAVE_SOON_MS;
    if (reap_due(n, r))
        return;
    if (r->coll == 0) {
        next_collection(n, r, now_ms);
        return;
    }
    if (!evict_found(n))
        return;
    end = walk(n, r);
    if (!evict_found(n) || !end)
        return;
    if (r->phase == RETAIN_COUNT && exceeds(r)) {
        walk_start(r, RETAIN_SLOT);
    } else if (r->phase == RETAIN_SLOT) {
        find_until(r);
        walk_start(r, RETAIN_EVICT);
    } else if (r->phase == RETAIN_COUNT && r->rule.after_ms > 0) {
        walk_start(r, RETAIN_EVICT);
    } else {
        next_collection(n, r, now_ms);
    }
}
