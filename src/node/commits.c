// SPDX-License-Identifier: Apache-2.0
/* COMMITS -- from whoever made them to every session, in commit order.
 *
 * The app's commits come posted from other threads, a moment after they are
 * visible; merges are made here. So a merge may overtake a commit of the app
 * that was before it. Commit numbers leave no gaps while a database is open:
 * a gap in front of a commit means that one is still on its way, and the
 * queue waits. After NODE_GAP_MS it is taken as lost (the app was out of
 * memory), and the sessions start over from summaries. A gap cannot be seen
 * before the first commit that the node hears of, as numbers leap when a
 * database is opened; so who knows of a loss says it.
 *
 * LATEST. A small commit brings along what a snapshot of it would show of its
 * documents and of what is complete, so that the cut that follows it at once,
 * as most do, reads nothing (src/sync/live.c). The node keeps the last one until
 * its turn ends. */
#include "node/internal.h"

static tako_slice pack(uint8_t **at, tako_slice s)
{
    tako_slice copy = { *at, s.len };

    if (s.len == 0)
        return TAKO_SLICE_NONE;
    memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

/* The states that the commit left: whether all are at hand, and their bytes. */
static bool shows(store *s, size_t count, tako_slice *held, size_t *bytes)
{
    store_row row;

    *bytes = count * sizeof row;
    for (size_t i = 0; i < count; i++) {
        if (!store_change_now(s, i, &row))
            return false;
        *bytes += row.id.len + row.meta.len + row.body.len;
    }
    if (!store_held_kept(s, held) || held->len > NODE_LATEST_HELD_BYTES)
        return false;
    *bytes += held->len;
    return true;
}

static void show(node_commit *c, store *s, tako_slice held, store_row *rows,
                 uint8_t **at)
{
    c->shown = true;
    c->latest = (sync_latest){ .lsn = c->lsn,
                               .moves = store_held_moves(store_writer(s)),
                               .count = c->count,
                               .changes = c->changes,
                               .rows = rows };
    for (size_t i = 0; i < c->count; i++) {
        store_row *row = &rows[i];

        (void)store_change_now(s, i, row);
        row->id = pack(at, row->id);
        row->meta = pack(at, row->meta);
        row->body = pack(at, row->body);
    }
    c->latest.held = pack(at, held);
    (void)store_own_last(store_writer(s), &c->latest.own);
}

tako_err node_commit_copy(const tako_env *env, store *s, uint64_t lsn,
                          node_commit **out)
{
    size_t count = store_change_count(s);
    size_t bytes = sizeof(node_commit) + count * sizeof(store_change);
    size_t now_bytes;
    tako_slice held;
    bool shown = shows(s, count, &held, &now_bytes);
    store_change change;
    node_commit *c;
    uint8_t *at;

    *out = NULL;
    bytes += shown ? now_bytes : 0;
    for (size_t i = 0; i < count; i++) {
        store_change_at(s, i, &change);
        bytes +=
            change.id.len + change.meta_before.len + change.body_before.len;
    }
    c = tako_env_alloc(env, bytes);
    if (c == NULL)
        return TAKO_NOMEM;
    *c = (node_commit){ .env = env,
                        .lsn = lsn,
                        .actor = store_actor(s),
                        .bytes = bytes,
                        .count = count };
    at = (uint8_t *)&c->changes[count];
    if (shown) {
        store_row *rows = (store_row *)&c->changes[count];

        at = (uint8_t *)(rows + count);
        show(c, s, held, rows, &at);
    }
    for (size_t i = 0; i < count; i++) {
        store_change_at(s, i, &c->changes[i]);
        c->changes[i].id = pack(&at, c->changes[i].id);
        c->changes[i].meta_before = pack(&at, c->changes[i].meta_before);
        c->changes[i].body_before = pack(&at, c->changes[i].body_before);
    }
    *out = c;
    return TAKO_OK;
}

void node_commit_free(node_commit *c)
{
    if (c != NULL)
        tako_env_free(c->env, c, c->bytes);
}

static void tell(node *n, const node_commit *c)
{
    if (n->tables != NULL &&
        sync_tables_on_commit(n->tables, c->lsn, c->changes, c->count) !=
            TAKO_OK)
        sync_tables_start_over(n->tables);
    for (node_link *l = n->links; l != NULL; l = l->next) {
        tako_err err;

        if (l->session == NULL || l->failed != TAKO_OK)
            continue;
        err = sync_session_renewed(l->session, c->actor, NULL);
        if (err == TAKO_OK)
            err =
                sync_session_on_commit(l->session, c->lsn, c->changes, c->count,
                                       c->by == l->session ? SYNC_BY_SESSION
                                       : c->merged         ? SYNC_BY_OTHER
                                                           : SYNC_BY_APP);
        if (err != TAKO_OK)
            node_link_fail(l, err, "taking over a commit failed");
    }
    sync_blobs_on_commit(n->blobs);
    if (c->lsn > n->told)
        n->told = c->lsn;
    node_leave_note(n, c);
}

static void lost_commits(node *n)
{
    tako_log(n->env, TAKO_LOG_WARN, "commits_missed", "\"after\":%llu",
             (unsigned long long)n->told);
    if (n->tables != NULL)
        sync_tables_start_over(n->tables);
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL)
            sync_session_start_over(l->session);
}

void node_commits_rest(node *n)
{
    node_commit_free(n->latest);
    n->latest = NULL;
}

void node_commits_drain(node *n, uint64_t now_ms)
{
    while (n->commits != NULL) {
        node_commit *c = n->commits;

        if (n->told != 0 && c->lsn > n->told + 1) {
            if (n->gap_ms == 0)
                n->gap_ms = now_ms > 0 ? now_ms : 1;
            if (now_ms < n->gap_ms + NODE_GAP_MS)
                return;
            lost_commits(n);
        }
        n->gap_ms = 0;
        n->commits = c->next;
        tell(n, c);
        node_commits_rest(n);
        n->latest = c;
    }
}

uint64_t node_commits_deadline(const node *n)
{
    return n->gap_ms == 0 ? UINT64_MAX : n->gap_ms + NODE_GAP_MS;
}

static void enqueue(node *n, node_commit *c)
{
    node_commit **at = &n->commits;

    while (*at != NULL && (*at)->lsn < c->lsn)
        at = &(*at)->next;
    c->next = *at;
    *at = c;
}

void node_on_commit(node *n, node_commit *take)
{
    if (n->stopping) {
        node_commit_free(take);
        return;
    }
    n->busy_ms = node_now(n);
    node_receipts_commit(n, take->lsn);
    enqueue(n, take);
    node_commits_drain(n, n->busy_ms);
    node_turn(n);
}

void node_on_commit_lost(node *n)
{
    if (n->stopping)
        return;
    lost_commits(n);
    node_turn(n);
}

void node_commits_forget(node *n, const sync_session *by)
{
    for (node_commit *c = n->commits; c != NULL; c = c->next)
        if (c->by == by)
            c->by = NULL;
}

void node_commits_free(node *n)
{
    node_commits_rest(n);
    while (n->commits != NULL) {
        node_commit *c = n->commits;

        n->commits = c->next;
        node_commit_free(c);
    }
}

/* ---- quiet --------------------------------------------------------------------- */

void node_session_rest(node *n, sync_session *s)
{
    store *st = n->host->write_try(n->host->ctx);

    if (st == NULL)
        return;
    (void)sync_session_rest(s, st, false, NULL);
    n->host->write_end(n->host->ctx, 0);
}

uint64_t node_quiet_deadline(const node *n)
{
    return n->marked ? n->busy_ms + NODE_QUIET_MS : UINT64_MAX;
}

void node_quiet(node *n, uint64_t now_ms)
{
    store *s;
    tako_err err;

    if (now_ms < node_quiet_deadline(n))
        return;
    n->busy_ms = now_ms; /* after a failure: not again at once */
    s = n->stopping ? NULL : n->host->write_try(n->host->ctx);
    if (s == NULL)
        return;
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL) {
            sync_session_unmark(l->session);
            (void)sync_session_rest(l->session, s, true, NULL);
        }
    if (n->tables != NULL)
        sync_tables_tick(n->tables, now_ms);
    err = store_sync(s);
    if (err == TAKO_OK)
        n->synced_lsn = store_lsn(s);
    n->host->write_end(n->host->ctx, 0);
    if (err == TAKO_OK)
        n->marked = false;
    else
        tako_log(n->env, TAKO_LOG_WARN, "quiet_sync_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
}

/* ---- writing for sessions ------------------------------------------------------- */

store *node_write_begin(void *ctx)
{
    node *n = ((node_link *)ctx)->node;

    n->writing = n->stopping ? NULL : n->host->write_begin(n->host->ctx);
    return n->writing;
}

static void wrote(node *n, store *st, uint64_t lsn, const sync_session *by,
                  bool merged)
{
    node_commit *c = NULL;
    tako_err err = TAKO_OK;

    if (lsn != 0)
        err = node_commit_copy(n->env, st, lsn, &c);
    n->host->write_end(n->host->ctx, lsn);
    if (err != TAKO_OK) {
        lost_commits(n);
        n->told = n->told < lsn ? lsn : n->told;
        return;
    }
    if (c == NULL)
        return;
    c->by = by;
    c->merged = merged;
    enqueue(n, c);
    node_commits_drain(n, node_now(n));
}

void node_wrote(node *n, store *st, uint64_t lsn, const sync_session *by)
{
    wrote(n, st, lsn, by, true);
}

void node_wrote_own(node *n, store *st, uint64_t lsn)
{
    wrote(n, st, lsn, NULL, false);
}

void node_write_end(void *ctx, uint64_t lsn)
{
    node_link *l = ctx;
    store *st = l->node->writing;

    l->node->writing = NULL;
    node_wrote(l->node, st, lsn, l->session);
}
