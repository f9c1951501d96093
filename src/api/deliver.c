// SPDX-License-Identifier: Apache-2.0
/* DELIVER -- from changes to what the program is told.
 *
 *   whole     the query is run; nothing is said when the result's hash is that
 *             of last time
 *   changes   a diff of the documents that changed, each run through the query
 *             alone, as it was and as it is (query_project_*): the size of the
 *             result does not matter, and no part of it is kept
 *   results   the query is run, and its rows are compared with those of last
 *             time, which are kept as long as they are few; else whole
 *
 * A diff is of one commit: that of the reader's snapshot, or, from changes,
 * the last one that was marked. A whole result of an observer of changes is
 * read while commits go on: changes that come meanwhile are kept apart
 * (gathering), and those that the snapshot shows are dropped when it is known
 * which one it was. */
#include "api/observe.h"

#include "base/hash.h"
#include "codec/json.h"

#define DELIVER_KEEP_BYTES (256u << 10) /* of a buffer */

tako_err api_delivery_init(api_delivery *d, tako_db *db)
{
    const tako_buf none = tako_buf_on(&db->env);

    *d = (api_delivery){ .json = none,
                         .inserted = none,
                         .updated = none,
                         .removed = none,
                         .moved = none,
                         .row = none,
                         .other = none,
                         .rows = row_list_on(&db->env) };
    api_queries_init(&d->queries, &db->env);
    db->env.random(db->env.ctx, d->key, sizeof d->key);
    TAKO_TRY(query_pool_new(&db->env, &d->pool, NULL));
    d->queries.pool = d->pool;
    return TAKO_OK;
}

void api_delivery_fini(api_delivery *d)
{
    tako_buf *bufs[] = { &d->json,  &d->inserted, &d->updated, &d->removed,
                         &d->moved, &d->row,      &d->other };

    if (d->pool == NULL)
        return;
    api_queries_fini(&d->queries);
    query_pool_free(d->pool);
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        tako_buf_fini(bufs[i]);
    row_list_fini(&d->rows);
}

static void keep_little(tako_buf *b)
{
    if (b->cap > DELIVER_KEEP_BYTES)
        tako_buf_fini(b);
}

/* ---- telling ------------------------------------------------------------------ */

/* The program is told d->json. One answer per question. */
static void tell(tako_db *db, api_delivery *d, api_observer *o, uint64_t commit)
{
    sys_mutex_lock(db->observers.mutex);
    o->asked = false;
    sys_mutex_unlock(db->observers.mutex);
    o->delivered = true;
    o->fn(o->ctx, (const char *)d->json.ptr, d->json.len, commit);
    keep_little(&d->json);
}

static void diff_begin(api_delivery *d)
{
    tako_buf_reset(&d->json);
    tako_buf_reset(&d->inserted);
    tako_buf_reset(&d->updated);
    tako_buf_reset(&d->removed);
    tako_buf_reset(&d->moved);
}

static bool diff_is_empty(const api_delivery *d)
{
    return d->inserted.len + d->updated.len + d->removed.len + d->moved.len ==
           0;
}

/* "name":place; SIZE_MAX: no place. */
static void put_place(tako_buf *b, const char *name, size_t at)
{
    if (at != SIZE_MAX)
        tako_put_fmt(b, "\"%s\":%llu,", name, (unsigned long long)at);
}

static tako_err put_item(tako_buf *list, size_t at, const char *name,
                         tako_slice row)
{
    tako_put_str(list, list->len > 0 ? ",{" : "{");
    put_place(list, "at", at);
    tako_put_fmt(list, "\"%s\":", name);
    TAKO_TRY(json_from_cbor(row, list));
    tako_put_u8(list, '}');
    return TAKO_OK;
}

static tako_err put_update(tako_buf *list, size_t at, tako_slice was,
                           tako_slice is)
{
    TAKO_TRY(put_item(list, at, "old", was));
    if (list->failed)
        return TAKO_NOMEM;
    list->len--;
    tako_put_str(list, ",\"new\":");
    TAKO_TRY(json_from_cbor(is, list));
    tako_put_u8(list, '}');
    return TAKO_OK;
}

static void put_list(tako_buf *json, const char *name, tako_buf *list)
{
    tako_put_fmt(json, ",\"%s\":[", name);
    tako_put_bytes(json, tako_buf_slice(list));
    tako_put_u8(json, ']');
    json->failed = json->failed || list->failed;
    keep_little(list);
}

static tako_err diff_end(api_delivery *d, bool reset, uint64_t commit)
{
    tako_put_fmt(&d->json, "{\"commit\":%llu,\"reset\":%s",
                 (unsigned long long)commit, reset ? "true" : "false");
    put_list(&d->json, "inserted", &d->inserted);
    put_list(&d->json, "updated", &d->updated);
    put_list(&d->json, "removed", &d->removed);
    put_list(&d->json, "moved", &d->moved);
    tako_put_u8(&d->json, '}');
    (void)tako_buf_cstr(&d->json);
    return d->json.failed ? TAKO_NOMEM : TAKO_OK;
}

/* ---- running the query ---------------------------------------------------------- */

/* Takes each row of a result. */
typedef tako_err row_fn(api_delivery *d, tako_slice row);

static tako_err run_rows(api_reader *r, api_request *request, api_delivery *d,
                         const api_observer *o, row_fn *fn, tako_errbuf *e)
{
    query *q = NULL;
    tako_err err =
        api_query_take(&r->queries, r->conn, tako_buf_slice(&o->text), &q, e);

    if (err != TAKO_OK)
        return err;
    err = query_bind(q, tako_buf_slice(&o->params), e);
    query_guard(q, api_request_stop, request);
    api_request_enter(request);
    while (err == TAKO_OK) {
        tako_buf_reset(&r->scratch);
        err = query_step(q, &r->scratch, e);
        if (err == TAKO_OK)
            err = fn(d, tako_buf_slice(&r->scratch));
        request->rows += err == TAKO_OK;
    }
    api_query_give(&r->queries, q);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

/* Runs it on a snapshot, whose commit is told. */
static tako_err run(tako_db *db, api_delivery *d, const api_observer *o,
                    row_fn *fn, uint64_t *commit, tako_errbuf *e)
{
    api_reader *r = NULL;
    api_request request = { 0 };
    tako_err err;

    api_request_begin(db, &request, "observer", tako_buf_slice(&o->text));
    err = api_reader_take(db, &r, e);
    if (err == TAKO_OK) {
        err = api_reader_commit(r, commit, e);
        if (err == TAKO_OK)
            err = run_rows(r, &request, d, o, fn, e);
        api_reader_give(db, r);
    }
    return api_request_end(&request, err, e);
}

/* Commits that this snapshot shows have been told of. */
static void shown(tako_db *db, api_observer *o, uint64_t commit)
{
    sys_mutex_lock(db->observers.mutex);
    o->commit = commit;
    o->gathering = false;
    api_news_drop(db, &o->news, commit);
    o->due = o->due &&
             (o->news.count > 0 || o->reset || o->kind != OBSERVED_CHANGES);
    sys_mutex_unlock(db->observers.mutex);
}

/* True when this is what was told last. */
static bool same_hash(api_observer *o, tako_slice result)
{
    uint8_t hash[32];
    bool same;

    tako_hash32(result, hash);
    same = o->delivered && !o->kept && memcmp(hash, o->hash, sizeof hash) == 0;
    memcpy(o->hash, hash, sizeof hash);
    return same;
}

static tako_err take_json(api_delivery *d, tako_slice row)
{
    tako_put_str(&d->json, d->json.len > 1 ? "," : "");
    return json_from_cbor(row, &d->json);
}

static tako_err deliver_whole(tako_db *db, api_delivery *d, api_observer *o,
                              tako_errbuf *e)
{
    uint64_t commit = 0;

    tako_buf_reset(&d->json);
    tako_put_u8(&d->json, '[');
    TAKO_TRY(run(db, d, o, take_json, &commit, e));
    tako_put_u8(&d->json, ']');
    (void)tako_buf_cstr(&d->json);
    if (d->json.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    shown(db, o, commit);
    if (!same_hash(o, tako_buf_slice(&d->json)))
        tell(db, d, o, commit);
    return TAKO_OK;
}

/* ---- diffs of results ------------------------------------------------------------ */

static tako_err take_row(api_delivery *d, tako_slice row)
{
    return row_list_add(&d->rows, row);
}

static tako_err put_reset(api_delivery *d)
{
    for (size_t i = 0; i < d->rows.count; i++)
        TAKO_TRY(put_item(&d->inserted, i, "row", row_list_at(&d->rows, i)));
    return TAKO_OK;
}

/* In the order of the old rows: what goes; in that of the new: the rest. */
static tako_err put_diff(api_delivery *d, const row_list *was,
                         const row_diff *f)
{
    const row_list *is = &d->rows;

    for (size_t i = 0; i < f->was; i++)
        if (f->new_of[i] == 0)
            TAKO_TRY(put_item(&d->removed, i, "row", row_list_at(was, i)));
    for (size_t i = 0; i < f->is; i++) {
        tako_slice row = row_list_at(is, i), old;

        if (f->old_of[i] == 0) {
            TAKO_TRY(put_item(&d->inserted, i, "row", row));
            continue;
        }
        old = row_list_at(was, f->old_of[i] - 1);
        if (!tako_slice_eq(old, row))
            TAKO_TRY(put_update(&d->updated, i, old, row));
        if (f->moved[i])
            tako_put_fmt(&d->moved, "%s{\"from\":%llu,\"to\":%llu}",
                         d->moved.len > 0 ? "," : "",
                         (unsigned long long)f->old_of[i] - 1,
                         (unsigned long long)i);
    }
    return TAKO_OK;
}

/* The rows are kept for the next diff when they are few, else their hash. */
static void keep_rows(api_delivery *d, api_observer *o)
{
    row_list was = o->rows;

    tako_hash32(tako_buf_slice(&d->rows.bytes), o->hash);
    o->kept = d->rows.count <= TAKO_OBSERVER_ROWS_MAX &&
              d->rows.bytes.len <= TAKO_OBSERVER_ROWS_BYTES_MAX;
    if (!o->kept) {
        row_list_fini(&o->rows);
        row_list_fini(&d->rows);
        return;
    }
    o->rows = d->rows;
    d->rows = was;
}

static tako_err deliver_results(tako_db *db, api_delivery *d, api_observer *o,
                                tako_errbuf *e)
{
    bool kept = o->kept, news;
    uint64_t commit = 0;
    row_diff f;
    tako_err err;

    diff_begin(d);
    row_list_reset(&d->rows);
    TAKO_TRY(run(db, d, o, take_row, &commit, e));
    if (kept) {
        TAKO_TRY(row_diff_init(&f, &o->rows, &d->rows, d->key));
        err = put_diff(d, &o->rows, &f);
        row_diff_fini(&f);
    } else {
        err = put_reset(d);
    }
    news = kept ? !diff_is_empty(d)
                : !same_hash(o, tako_buf_slice(&d->rows.bytes));
    if (err == TAKO_OK)
        err = diff_end(d, !kept, commit);
    if (err != TAKO_OK)
        return err;
    shown(db, o, commit);
    if (!news)
        return TAKO_OK;
    keep_rows(d, o);
    tell(db, d, o, commit);
    return TAKO_OK;
}

/* ---- diffs of changes ------------------------------------------------------------- */

static tako_err take_inserted(api_delivery *d, tako_slice row)
{
    return put_item(&d->inserted, SIZE_MAX, "row", row);
}

static tako_err deliver_reset(tako_db *db, api_delivery *d, api_observer *o,
                              tako_errbuf *e)
{
    uint64_t commit = 0;
    tako_err err;

    diff_begin(d);
    sys_mutex_lock(db->observers.mutex);
    o->reset = false;
    o->gathering = true;
    sys_mutex_unlock(db->observers.mutex);
    err = run(db, d, o, take_inserted, &commit, e);
    if (err == TAKO_OK)
        err = diff_end(d, true, commit);
    if (err != TAKO_OK)
        return err;
    shown(db, o, commit);
    tell(db, d, o, commit);
    return TAKO_OK;
}

/* The row that a document gives; empty when it does not match after all. */
static tako_err project(api_delivery *d, query *q, const api_change *c,
                        tako_slice body, tako_buf *row, tako_errbuf *e)
{
    tako_err err;

    tako_buf_reset(row);
    query_reset(q);
    TAKO_TRY(query_project_document(d->pool, c->row, c->id, body, e));
    err = query_step(q, row, e);
    query_reset(q);
    if (err == TAKO_OK && row->failed)
        return TAKO_NOMEM;
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err put_change(api_delivery *d, query *q, const api_news *p,
                           tako_errbuf *e)
{
    tako_slice was, is;

    tako_buf_reset(&d->row);
    tako_buf_reset(&d->other);
    if (p->before)
        TAKO_TRY(project(d, q, p->first, p->first->before, &d->row, e));
    if (p->after)
        TAKO_TRY(project(d, q, p->last, p->last->after, &d->other, e));
    was = tako_buf_slice(&d->row);
    is = tako_buf_slice(&d->other);
    if (was.len == 0 && is.len == 0)
        return TAKO_OK;
    if (was.len == 0)
        return put_item(&d->inserted, SIZE_MAX, "row", is);
    if (is.len == 0)
        return put_item(&d->removed, SIZE_MAX, "row", was);
    if (tako_slice_eq(was, is))
        return TAKO_OK;
    return put_update(&d->updated, SIZE_MAX, was, is);
}

static tako_err put_changes(api_delivery *d, api_observer *o, api_news_list *p,
                            tako_errbuf *e)
{
    query *q = NULL;
    tako_err err =
        api_query_take(&d->queries, NULL, tako_buf_slice(&o->text), &q, e);

    if (err != TAKO_OK)
        return err;
    api_news_join(p);
    err = query_bind(q, tako_buf_slice(&o->params), e);
    for (size_t i = 0; err == TAKO_OK && i < p->joined; i++)
        err = put_change(d, q, &p->at[i], e);
    api_query_give(&d->queries, q);
    return err;
}

static tako_err deliver_changes(tako_db *db, api_delivery *d, api_observer *o,
                                tako_errbuf *e)
{
    api_observers *all = &db->observers;
    api_news_list p;
    uint64_t commit;
    tako_err err;
    bool news;

    diff_begin(d);
    sys_mutex_lock(all->mutex);
    p = o->news;
    o->news = (api_news_list){ 0 };
    commit = all->marked;
    sys_mutex_unlock(all->mutex);
    err = put_changes(d, o, &p, e);
    news = !diff_is_empty(d);
    if (err == TAKO_OK && news)
        err = diff_end(d, false, commit);
    sys_mutex_lock(all->mutex);
    api_news_free(db, &p);
    o->reset = o->reset || err != TAKO_OK;
    if (err == TAKO_OK && commit > o->commit)
        o->commit = commit;
    sys_mutex_unlock(all->mutex);
    if (err == TAKO_OK && news)
        tell(db, d, o, commit);
    return err;
}

tako_err api_deliver(tako_db *db, api_delivery *d, api_observer *o,
                     tako_errbuf *e)
{
    bool reset;
    tako_err err;

    if (o->kind == OBSERVED_WHOLE)
        return deliver_whole(db, d, o, e);
    if (o->kind == OBSERVED_RESULTS)
        return deliver_results(db, d, o, e);
    sys_mutex_lock(db->observers.mutex);
    reset = o->reset;
    sys_mutex_unlock(db->observers.mutex);
    if (!reset)
        return deliver_changes(db, d, o, e);
    err = deliver_reset(db, d, o, e);
    if (err == TAKO_OK)
        return TAKO_OK;
    sys_mutex_lock(db->observers.mutex);
    o->reset = true;
    o->gathering = false;
    api_news_free(db, &o->news);
    sys_mutex_unlock(db->observers.mutex);
    return err;
}
