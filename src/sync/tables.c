// SPDX-License-Identifier: Apache-2.0
#include "sync/tables.h"

#include "base/check.h"

#define PENDING_FIRST 16u

struct sync_table {
    sync_table *next;
    sync_tables *tables;
    sync_predicate *predicate;
    tako_slice collection; /* the predicate's */
    uint8_t *text;
    size_t text_len;
    uint32_t coll; /* 0: not looked up yet, or not there */
    uint32_t users;
    uint64_t idle_ms; /* since when it has none */

    bool built;    /* the walk is over */
    int64_t after; /* rows up to it are in */
    uint64_t born; /* commits up to it are in every row that is read */
    sync_summary sum;
    sync_symbol *symbols;
    uint32_t width;   /* how many there are, or will be */
    int64_t *pending; /* rows that are not in: see the top of tables.h */
    size_t pending_count, pending_cap;
    size_t settle_at; /* so many are too many to wait until somebody looks */
    uint64_t settled; /* `told` when they were read last */
    /* The first items, until there are enough for symbols. */
    sync_item *first;
    size_t first_count;
};

struct sync_tables {
    const tako_env *env;
    const sync_host *host;
    store_conn *reader;
    uint8_t key[16];
    uint64_t heard; /* the last commit that was told */
    uint64_t told;  /* how many were */
    sync_table *all;
    size_t count;
};

static const uint8_t no_fields[1] = { 0xa0 };

static bool counted(const sync_host *host, sync_predicate *p, tako_slice id,
                    tako_slice meta, tako_slice body)
{
    if (body.len == 0 && crdt_meta_is_evicted(meta))
        body = tako_slice_of(no_fields, sizeof no_fields);
    return body.len > 0 && host->predicate_match(host->ctx, p, id, body);
}

bool sync_counted(const sync_host *host, sync_predicate *p,
                  const store_row *row)
{
    return counted(host, p, row->id, row->meta, row->body);
}

/* ---- life -------------------------------------------------------------------- */

tako_err sync_tables_new(const sync_tables_opts *opts, sync_tables **out,
                         tako_errbuf *e)
{
    sync_tables *t = tako_env_alloc(opts->env, sizeof *t);
    tako_err err;

    *out = NULL;
    if (t == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    t->env = opts->env;
    t->host = opts->host;
    t->reader = opts->reader;
    memcpy(t->key, opts->digest_key, sizeof t->key);
    err = store_snapshot_begin(t->reader, &t->heard, e);
    if (err != TAKO_OK) {
        tako_env_free(t->env, t, sizeof *t);
        return err;
    }
    store_snapshot_end(t->reader);
    *out = t;
    return TAKO_OK;
}

/* Back to nothing known. */
static void table_reset(sync_table *t)
{
    const tako_env *env = t->tables->env;

    tako_env_free(env, t->symbols, t->width * sizeof *t->symbols);
    tako_env_free(env, t->pending, t->pending_cap * sizeof *t->pending);
    tako_env_free(env, t->first, SYNC_TABLE_LIST * sizeof *t->first);
    t->symbols = NULL;
    t->pending = NULL;
    t->first = NULL;
    t->pending_count = t->pending_cap = t->first_count = 0;
    t->settle_at = SYNC_TABLE_GATHER;
    t->sum = (sync_summary){ 0 };
    t->built = false;
    t->after = INT64_MIN;
}

static void table_free(sync_table *t)
{
    const tako_env *env = t->tables->env;

    table_reset(t);
    if (t->predicate != NULL)
        t->tables->host->predicate_close(t->tables->host->ctx, t->predicate);
    tako_env_free(env, t->text, t->text_len);
    tako_env_free(env, t, sizeof *t);
}

void sync_tables_free(sync_tables *t)
{
    if (t == NULL)
        return;
    while (t->all != NULL) {
        sync_table *first = t->all;

        TAKO_ASSERT(first->users == 0);
        t->all = first->next;
        table_free(first);
    }
    tako_env_free(t->env, t, sizeof *t);
}

void sync_tables_tick(sync_tables *t, uint64_t now_ms)
{
    sync_table **at = &t->all;

    while (*at != NULL) {
        sync_table *one = *at;

        if (one->users > 0 || now_ms < one->idle_ms + SYNC_TABLE_IDLE_MS) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        t->count--;
        table_free(one);
    }
}

void sync_tables_start_over(sync_tables *t)
{
    uint64_t lsn = 0;

    /* What was missed is never told: nothing may wait for it. */
    if (store_snapshot_begin(t->reader, &lsn, NULL) == TAKO_OK)
        store_snapshot_end(t->reader);
    if (lsn > t->heard)
        t->heard = lsn;
    for (sync_table *one = t->all; one != NULL; one = one->next)
        table_reset(one);
}

static tako_err table_new(sync_tables *t, tako_slice text, sync_table **out,
                          tako_errbuf *e)
{
    sync_table *one = tako_env_alloc(t->env, sizeof *one);
    tako_err err;

    if (one == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    one->tables = t;
    one->width = TAKO_SYNC_SYMBOLS_MAX;
    one->text = tako_env_alloc(t->env, text.len);
    if (one->text == NULL) {
        tako_env_free(t->env, one, sizeof *one);
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    }
    one->text_len = text.len;
    memcpy(one->text, text.ptr, text.len);
    table_reset(one);
    err = t->host->predicate_open(t->host->ctx, text, &one->predicate,
                                  &one->collection, e);
    if (err != TAKO_OK) {
        table_free(one);
        return err;
    }
    *out = one;
    return TAKO_OK;
}

tako_err sync_table_get(sync_tables *t, tako_slice text, sync_table **out,
                        tako_errbuf *e)
{
    sync_table *one = t->all;

    while (one != NULL &&
           !tako_slice_eq(tako_slice_of(one->text, one->text_len), text))
        one = one->next;
    if (one == NULL) {
        if (t->count >= TAKO_SYNC_TABLES_MAX)
            sync_tables_tick(t, UINT64_MAX);
        if (t->count >= TAKO_SYNC_TABLES_MAX)
            return tako_fail(e, TAKO_LIMIT, "more than %u sets to compare",
                             TAKO_SYNC_TABLES_MAX);
        TAKO_TRY(table_new(t, text, &one, e));
        one->next = t->all;
        t->all = one;
        t->count++;
    }
    one->users++;
    *out = one;
    return TAKO_OK;
}

void sync_table_let_go(sync_table *t, uint64_t now_ms)
{
    if (t == NULL)
        return;
    TAKO_ASSERT(t->users > 0);
    t->users--;
    t->idle_ms = now_ms;
}

/* ---- the sums ----------------------------------------------------------------- */

static void symbols_add(sync_table *t, sync_item item)
{
    sync_symbols_add(t->symbols, t->width, item,
                     sync_key_hash(t->tables->key, item.key));
}

/* Symbols, once there are items enough. */
static tako_err symbols_begin(sync_table *t)
{
    const tako_env *env = t->tables->env;

    t->symbols = tako_env_alloc(env, t->width * sizeof *t->symbols);
    if (t->symbols == NULL)
        return TAKO_NOMEM;
    t->sum.symbols = t->symbols;
    for (size_t i = 0; i < t->first_count; i++)
        symbols_add(t, t->first[i]);
    tako_env_free(env, t->first, SYNC_TABLE_LIST * sizeof *t->first);
    t->first = NULL;
    t->first_count = 0;
    return TAKO_OK;
}

/* A small set remembers its items while the walk runs, so that it needs no
 * memory for symbols, and no second walk when it turns out to be large. */
static tako_err note_first(sync_table *t, sync_item item)
{
    if (t->first == NULL) {
        t->first =
            tako_env_alloc(t->tables->env, SYNC_TABLE_LIST * sizeof *t->first);
        if (t->first == NULL)
            return TAKO_NOMEM;
    }
    t->first[t->first_count++] = item;
    return t->first_count < SYNC_TABLE_LIST ? TAKO_OK : symbols_begin(t);
}

static void forget_first(sync_table *t, sync_item item)
{
    for (size_t i = 0; i < t->first_count; i++)
        if (t->first[i].key == item.key && t->first[i].item == item.item) {
            t->first[i] = t->first[--t->first_count];
            return;
        }
}

static tako_err sum_up(sync_table *t, sync_item item, int sign)
{
    uint64_t hash = sync_key_hash(t->tables->key, item.key);

    t->sum.count += (uint64_t)(int64_t)sign;
    t->sum.check ^= item.item;
    sync_sketch_add(t->sum.sketch, item, hash, sign);
    if (t->symbols != NULL) {
        sync_symbols_add(t->symbols, t->width, item, hash);
        return TAKO_OK;
    }
    if (sign > 0)
        return note_first(t, item);
    forget_first(t, item);
    return TAKO_OK;
}

static tako_err pend(sync_table *t, int64_t row)
{
    const tako_env *env = t->tables->env;
    size_t cap = t->pending_cap == 0 ? PENDING_FIRST : t->pending_cap * 2;
    int64_t *grown;

    if (t->pending_count >= TAKO_SYNC_PENDING_MAX) {
        table_reset(t);
        return TAKO_OK;
    }
    if (t->pending_count == t->pending_cap) {
        grown =
            env->realloc(env->ctx, t->pending, t->pending_cap * sizeof *grown,
                         cap * sizeof *grown);
        if (grown == NULL)
            return TAKO_NOMEM;
        t->pending = grown;
        t->pending_cap = cap;
    }
    t->pending[t->pending_count++] = row;
    return TAKO_OK;
}

/* The row is put in, or, newer than what was told, remembered. */
static tako_err put_in(sync_table *t, const store_row *row)
{
    sync_tables *all = t->tables;

    if (row->lsn > all->heard)
        return pend(t, row->row);
    t->sum.markers += store_row_is_marker(row) && !store_row_is_left(row);
    if (!sync_counted(all->host, t->predicate, row))
        return TAKO_OK;
    return sum_up(
        t,
        sync_item_of(all->key, row->id, row->version, crdt_meta_top(row->meta)),
        1);
}

static bool is_pending(const sync_table *t, int64_t row)
{
    for (size_t i = 0; i < t->pending_count; i++)
        if (t->pending[i] == row)
            return true;
    return false;
}

/* Puts in what is pending and not ahead of what was told. */
static tako_err settle(sync_table *t)
{
    size_t count = t->pending_count;
    tako_err err = TAKO_OK;

    t->pending_count = 0;
    t->settled = t->tables->told;
    for (size_t i = 0; i < count && err == TAKO_OK; i++) {
        int64_t at = t->pending[i]; /* what is pended again is before it */
        store_row row;

        err = store_get_row(t->tables->reader, t->coll, at, &row);
        if (err == TAKO_OK)
            err = put_in(t, &row);
        else if (err == TAKO_NOTFOUND) {
            t->sum.rows--; /* it was taken out of the file altogether */
            err = TAKO_OK;
        }
    }
    if (err != TAKO_OK)
        table_reset(t);
    t->settle_at = 2 * t->pending_count + SYNC_TABLE_GATHER;
    return err;
}

/* ---- commits -------------------------------------------------------------------- */

static tako_err take_out(sync_table *t, const store_change *c)
{
    sync_tables *all = t->tables;

    if (c->body_before.len == 0 && crdt_meta_is_evicted(c->meta_before))
        t->sum.markers--;
    if (!counted(all->host, t->predicate, c->id, c->meta_before,
                 c->body_before))
        return TAKO_OK;
    return sum_up(t,
                  sync_item_of(all->key, c->id, c->version_before,
                               crdt_meta_top(c->meta_before)),
                  -1);
}

static bool has_coll(sync_table *t, uint32_t coll)
{
    if (t->coll == 0)
        (void)store_coll_find(t->tables->reader, t->collection, &t->coll);
    return t->coll == coll;
}

static bool is_concerned(sync_table *t, uint64_t lsn, const store_change *c)
{
    return has_coll(t, c->coll) && c->row <= t->after && lsn > t->born;
}

/* What it was is taken out; what it is waits. */
static tako_err change(sync_table *t, const store_change *c)
{
    if (is_pending(t, c->row))
        return TAKO_OK;
    if (c->lsn_before == 0)
        t->sum.rows++;
    else
        TAKO_TRY(take_out(t, c));
    return pend(t, c->row);
}

static tako_err changes_take(sync_table *t, uint64_t lsn,
                             const store_change *changes, size_t count)
{
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < count && err == TAKO_OK; i++)
        if (is_concerned(t, lsn, &changes[i]))
            err = change(t, &changes[i]);
    if (err == TAKO_OK && t->pending_count >= t->settle_at)
        err = settle(t);
    return err;
}

static void drop_rewritten(sync_tables *t, size_t count)
{
    if (count < SYNC_TABLE_BULK)
        return;
    for (sync_table *one = t->all; one != NULL; one = one->next)
        if (one->built && count > one->sum.rows / 4u)
            table_reset(one);
}

tako_err sync_tables_on_commit(sync_tables *t, uint64_t lsn,
                               const store_change *changes, size_t count)
{
    tako_err err = TAKO_OK;

    drop_rewritten(t, count);
    t->told++;
    if (lsn > t->heard)
        t->heard = lsn;
    for (sync_table *one = t->all; one != NULL && err == TAKO_OK;
         one = one->next)
        err = changes_take(one, lsn, changes, count);
    if (err != TAKO_OK)
        sync_tables_start_over(t);
    return err == TAKO_NOMEM ? TAKO_OK : err;
}

/* ---- building --------------------------------------------------------------------- */

sync_table_state sync_table_look(sync_table *t)
{
    if (t->built && t->pending_count > 0 && t->settled != t->tables->told)
        (void)settle(t); /* what fails is built anew */
    if (!t->built)
        return SYNC_TABLE_BUILDING;
    return t->pending_count > 0 ? SYNC_TABLE_PENDING : SYNC_TABLE_READY;
}

static tako_err walk(sync_table *t)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = store_scan(t->tables->reader, t->coll, t->after, &k);

    if (err != TAKO_OK)
        return err;
    for (uint32_t n = 0; n < SYNC_TABLE_ROWS && err == TAKO_OK; n++) {
        err = store_scan_next(k, &row);
        if (err != TAKO_OK)
            break;
        t->after = row.row;
        t->sum.rows++;
        err = put_in(t, &row);
        if (t->after == INT64_MIN) /* too much is pending: it began anew */
            break;
    }
    store_scan_close(k);
    if (err != TAKO_NOTFOUND)
        return err;
    t->built = true;
    t->after = INT64_MAX;
    return TAKO_OK;
}

tako_err sync_table_step(sync_table *t, tako_errbuf *e)
{
    sync_tables *all = t->tables;
    uint64_t lsn;
    tako_err err = TAKO_OK;

    if (t->built)
        return TAKO_OK;
    TAKO_TRY(store_snapshot_begin(all->reader, &lsn, e));
    if (t->coll == 0) {
        err = store_coll_find(all->reader, t->collection, &t->coll);
        if (err == TAKO_NOTFOUND) {
            t->built = true;
            t->after = INT64_MAX;
            err = TAKO_OK;
        }
    }
    if (t->after == INT64_MIN)
        t->born = all->heard;
    if (err == TAKO_OK && t->coll != 0)
        err = walk(t);
    store_snapshot_end(all->reader);
    if (err != TAKO_OK) {
        table_reset(t);
        return tako_fail(e, err, "reading a collection failed");
    }
    return TAKO_OK;
}

const sync_summary *sync_table_summary(const sync_table *t)
{
    return &t->sum;
}

/* ---- wide ------------------------------------------------------------------------- */

bool sync_table_widen(sync_table *t, uint32_t symbols)
{
    uint32_t width = t->width;

    while (width < symbols && width < TAKO_SYNC_WIDE_MAX)
        width *= 2;
    if (width == t->width)
        return t->built;
    table_reset(t);
    t->width = width;
    return false;
}

tako_err sync_table_take(sync_table *t, uint32_t symbols, sync_symbol **out,
                         uint32_t *count)
{
    const tako_env *env = t->tables->env;
    size_t narrow = TAKO_SYNC_SYMBOLS_MAX * sizeof *t->symbols;
    sync_symbol *copy = tako_env_alloc(env, narrow);

    TAKO_ASSERT(t->symbols != NULL && symbols <= t->width);
    if (copy == NULL)
        return TAKO_NOMEM;
    memcpy(copy, t->symbols, narrow);
    if (symbols <= TAKO_SYNC_SYMBOLS_MAX) {
        *out = copy;
        *count = TAKO_SYNC_SYMBOLS_MAX;
        return TAKO_OK;
    }
    *out = t->symbols;
    *count = t->width;
    t->symbols = copy;
    t->sum.symbols = copy;
    t->width = TAKO_SYNC_SYMBOLS_MAX;
    return TAKO_OK;
}
