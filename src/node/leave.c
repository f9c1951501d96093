// SPDX-License-Identifier: Apache-2.0
/* LEAVE -- documents that matched a subscription of ours and match none any
 * more (SYNC.md 3). They are noted in table `leaving`, durably and at once, and go
 * in steps of bounded length, each under the writer's lock for a moment.
 *
 * WHICH  Of a commit: what matched before, and not now. Of a subscription that
 * ended: what matched it and matches no other; the collection is walked for
 * that, some seconds later, so that who only exchanges one subscription for
 * another loses nothing. Where no subscription is left nothing leaves, and what
 * never matched one does not either. KEEP: the document stays, noted as stale.
 *
 * PASSED BY  What matches still, but others had and have no more (sync/past.c):
 * likewise, in that very state. That is not noted durably; it is found again.
 *
 * WHEN  Never on our own. A document goes when another says it may (mayi.c), or
 * when an archive has said that it keeps this very state; and not before every
 * linked peer that may want to hear of the change has acknowledged it. (In the
 * simplest other way, each waits for an acknowledgement of the other and both
 * let go: the document exists nowhere.) What waits is looked at again and again,
 * at growing intervals that begin anew when a peer comes, or says something.
 *
 * An answer counts only for the state that was asked about, and only if we have
 * not told another meanwhile that its copy may go because of ours: see mayi.c
 * for why that is safe. */
#include "node/internal.h"

bool node_wants(node *n, uint32_t coll, tako_slice id, tako_slice body,
                bool *keep)
{
    tako_slice name = store_coll_name(n->reader, coll);
    bool any = false;

    *keep = false;
    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next) {
        if (!tako_slice_eq(query_predicate_collection(sub->predicate->query),
                           name) ||
            !node_predicate_match(n, sub->predicate, id, body))
            continue;
        any = true;
        *keep = *keep || sub->keep;
    }
    return any;
}

void node_leave_wake(node *n)
{
    n->leave.wait_ms = 0;
    n->leave.tries = 0;
    if (n->leave.at_ms > n->leave.until_ms || n->leave.ask_count == 0)
        n->leave.at_ms = node_now(n) + NODE_LEAVE_SOON_MS;
}

/* ---- noting ------------------------------------------------------------------- */

static void going_add(node *n, uint32_t coll, int64_t row, store_leave_why why)
{
    node_leaving *v = &n->leave;
    size_t cap = v->going_cap == 0 ? 16 : v->going_cap * 2;
    node_going *grown;

    if (v->going_count == v->going_cap) {
        grown =
            n->env->realloc(n->env->ctx, v->going, v->going_cap * sizeof *grown,
                            cap * sizeof *grown);
        if (grown == NULL) { /* it stays, which loses nothing */
            tako_log(n->env, TAKO_LOG_WARN, "leaving_not_noted", "\"row\":%lld",
                     (long long)row);
            return;
        }
        v->going = grown;
        v->going_cap = cap;
    }
    v->going[v->going_count++] = (node_going){ coll, row, why };
}

/* Some subscription concerns the collection, and none asks for all of it. */
static bool is_partial(node *n, uint32_t coll)
{
    tako_slice name = store_coll_name(n->reader, coll);
    bool any = false;

    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next) {
        if (!tako_slice_eq(query_predicate_collection(sub->predicate->query),
                           name))
            continue;
        if (sub->predicate->all)
            return false;
        any = true;
    }
    return any;
}

void node_leave_note(node *n, const node_commit *c)
{
    size_t before = n->leave.going_count;

    if (n->archive || n->stopping)
        return;
    for (size_t i = 0; i < c->count; i++) {
        const store_change *change = &c->changes[i];
        store_row row;
        bool keep, kept;

        if (change->body_before.len == 0 || !change->alive ||
            !is_partial(n, change->coll) ||
            store_get_row(n->reader, change->coll, change->row, &row) !=
                TAKO_OK ||
            row.body.len == 0 ||
            !node_wants(n, change->coll, row.id, change->body_before, &keep) ||
            node_wants(n, change->coll, row.id, row.body, &kept))
            continue;
        going_add(n, change->coll, change->row,
                  keep ? STORE_STALE : STORE_CHANGED);
    }
    if (n->leave.going_count > before)
        node_leave_wake(n);
}

bool node_leave_is_passed(const node *n, uint32_t coll, int64_t row)
{
    for (size_t i = 0; i < n->leave.passed_count; i++)
        if (n->leave.passed[i].coll == coll && n->leave.passed[i].row == row)
            return true;
    return false;
}

void node_leave_passed(node *n, uint32_t coll, int64_t row, uint64_t lsn)
{
    node_leaving *v = &n->leave;

    if (n->archive || n->stopping || v->passed_count == NODE_LEAVE_BATCH ||
        node_leave_is_passed(n, coll, row))
        return; /* it is found again */
    v->passed[v->passed_count++] = (node_passed){ coll, row, lsn, 0 };
    node_leave_wake(n);
}

void node_leave_sweep(node *n, sync_predicate *former, bool keep)
{
    node_sweep *w = n->archive ? NULL : tako_env_alloc(n->env, sizeof *w);

    if (w == NULL) {
        node_predicate_drop(n, former);
        return;
    }
    *w = (node_sweep){
        n->leave.sweeps, former, keep, node_now(n) + NODE_LEAVE_GRACE_MS, 0,
        INT64_MIN,       false
    };
    n->leave.sweeps = w;
    if (n->leave.at_ms > w->due_ms)
        n->leave.at_ms = w->due_ms;
}

typedef struct held_copy {
    tako_slice text; /* that is looked for */
    tako_buf v;      /* both vectors: one is as good as their join */
    bool found;
} held_copy;

static tako_err copy_held(void *ctx, const store_held *held)
{
    held_copy *k = ctx;

    if (!tako_slice_eq(held->text, k->text))
        return TAKO_OK;
    k->found = held->v.len > 0;
    tako_put_bytes(&k->v, held->v);
    tako_put_bytes(&k->v, held->target);
    return k->v.failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err write_forgotten(node *n, store *st, const query_predicate *q)
{
    tako_slice coll = query_predicate_collection(q);
    held_copy k = { query_predicate_text(q), tako_buf_on(n->env), false };
    store_held none = { .text = k.text, .why = SYNC_STATE_CATCHING_UP };
    tako_errbuf e = { "" };
    tako_err err = store_begin(st, &e);

    if (err == TAKO_OK)
        err = store_held_each(store_writer(st), coll, copy_held, &k);
    none.target = tako_buf_slice(&k.v);
    if (err == TAKO_OK && k.found)
        err = store_held_put(st, coll, &none);
    if (err == TAKO_OK)
        err = store_commit(st, NULL, &e);
    if (err != TAKO_OK && store_in_transaction(st))
        store_rollback(st);
    tako_buf_fini(&k.v);
    return err;
}

/* A subscription that ended is complete no more, since what matched it may go:
 * who subscribes again begins with nothing. What is still here is bounded by
 * what was. False: not now. */
static bool forget_held(node *n, node_sweep *w)
{
    const query_predicate *q = w->former->query;
    store *st;

    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next)
        if (tako_slice_eq(query_predicate_text(sub->predicate->query),
                          query_predicate_text(q)))
            return true;
    st = n->host->write_try(n->host->ctx);
    if (st == NULL)
        return false;
    w->forgotten = write_forgotten(n, st, q) == TAKO_OK;
    node_wrote(n, st, 0, NULL);
    return w->forgotten;
}

static void sweep_end(node *n, node_sweep *w)
{
    node_sweep **at = &n->leave.sweeps;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    node_predicate_drop(n, w->former);
    tako_env_free(n->env, w, sizeof *w);
}

static void sweep_row(node *n, const node_sweep *w, const store_row *row)
{
    bool keep;

    if (row->body.len > 0 &&
        node_predicate_match(n, w->former, row->id, row->body) &&
        !node_wants(n, w->coll, row->id, row->body, &keep))
        going_add(n, w->coll, row->row,
                  w->keep ? STORE_STALE : STORE_UNSUBSCRIBED);
}

/* One piece of a walk over the collection. */
static void sweep(node *n, node_sweep *w)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = TAKO_OK;

    if (w->coll == 0)
        err = store_coll_find(
            n->reader, query_predicate_collection(w->former->query), &w->coll);
    if (err == TAKO_OK)
        err = store_scan(n->reader, w->coll, w->after, &k);
    for (size_t i = 0; err == TAKO_OK && i < NODE_LEAVE_SCAN_ROWS &&
                       n->leave.going_count < NODE_LEAVE_BATCH;
         i++) {
        err = store_scan_next(k, &row);
        if (err != TAKO_OK)
            break;
        sweep_row(n, w, &row);
        w->after = row.row;
    }
    store_scan_close(k);
    if (err == TAKO_NOTFOUND)
        sweep_end(n, w);
}

/* The first that is due; NULL: none now. */
static node_sweep *sweep_next(node *n, uint64_t now_ms)
{
    for (node_sweep *w = n->leave.sweeps; w != NULL; w = w->next)
        if (w->due_ms <= now_ms)
            return w;
    return NULL;
}

/* ---- one step ------------------------------------------------------------------ */

typedef enum verdict {
    STAYS, /* nothing to be done about it any more */
    WAITS, /* a peer is to hear of its change first */
    ASKS,
    GOES,
} verdict;

/* passed: it may match; its state is looked at by the caller. */
static verdict judge(node *n, uint32_t coll, int64_t row, bool passed,
                     store_row *out)
{
    bool keep;
    tako_err err = store_get_row(n->reader, coll, row, out);

    if (err == TAKO_NOTFOUND)
        return STAYS;
    if (err != TAKO_OK)
        return WAITS;
    if (out->body.len == 0 ||
        (!passed && node_wants(n, coll, out->id, out->body, &keep)))
        return STAYS;
    if (n->told != 0 && out->lsn > n->told)
        return WAITS;
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && l->failed == TAKO_OK &&
            !sync_session_delivered(l->session, coll, out->lsn))
            return WAITS;
    return node_archived(n, coll, out) != NULL ? GOES : ASKS;
}

typedef struct step {
    node *n;
    store *st;
    bool any; /* something went */
} step;

/* Those who have it from here hear of it as we did. */
static void tell_past(node *n, uint32_t coll, const store_row *row)
{
    tako_slice name = store_coll_name(n->reader, coll);

    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && l->failed == TAKO_OK)
            sync_session_past(l->session, name, row->id, row->meta);
}

/* asked: who said that it may; NULL: an archive has it. */
static tako_err let_go(step *p, uint32_t coll, int64_t row, uint64_t lsn,
                       bool passed, const node_ask *asked)
{
    tako_buf id = tako_buf_on(p->n->env);
    const uint8_t *archive = NULL;
    tako_errbuf e = { "" };
    store_row now;
    tako_err err = store_get_row(store_writer(p->st), coll, row, &now);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && now.lsn != lsn))
        return TAKO_OK; /* it changed: looked at anew */
    if (err == TAKO_OK && passed)
        tell_past(p->n, coll, &now);
    if (err == TAKO_OK) {
        archive = node_archived(p->n, coll, &now);
        if (archive == NULL && asked != NULL && asked->archived)
            archive = asked->archive;
        tako_put_bytes(&id, now.id);
    }
    if (err == TAKO_OK)
        err =
            id.failed
                ? TAKO_NOMEM
                : store_leave(p->st, coll, tako_buf_slice(&id),
                              tako_slice_of(
                                  archive, archive == NULL ? 0 : SEC_KEY_BYTES),
                              &e);
    if (err == TAKO_OK)
        err = store_leaving_remove(p->st, coll, row, &e);
    p->any = p->any || err == TAKO_OK;
    tako_buf_fini(&id);
    return err;
}

static tako_err write_going(step *p)
{
    node_leaving *v = &p->n->leave;
    uint64_t wall = p->n->env->wall_ms(p->n->env->ctx);
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < v->going_count && err == TAKO_OK; i++) {
        store_leaving one = { v->going[i].coll, v->going[i].row, wall,
                              v->going[i].why };

        err = store_leaving_put(p->st, &one, NULL);
    }
    return err;
}

/* What others let us let go. */
static tako_err write_granted(step *p)
{
    node_leaving *v = &p->n->leave;
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < v->ask_count && err == TAKO_OK; i++) {
        node_ask *a = &v->asks[i];
        store_row row;
        verdict what;

        if (!a->granted || a->spoilt)
            continue;
        what = judge(p->n, a->coll, a->row, a->passed, &row);
        if (what != ASKS && what != GOES)
            continue;
        err = let_go(p, a->coll, a->row, a->lsn, a->passed, a);
        a->granted = false;
    }
    return err;
}

/* Asks for the next one. What cannot be read stays, and keeps no other. */
static tako_err ask(step *p, node_ask next, const store_row *row)
{
    node_leaving *v = &p->n->leave;
    tako_arena a = tako_arena_on(p->n->env);
    crdt_context context;
    tako_err err = TAKO_OK;

    if (node_has_archive(p->n, next.coll, row)) {
        err = crdt_meta_context(&a, row->meta, &context);
        if (err == TAKO_OK)
            err = store_has_own(p->st, &context, &next.to_archive, NULL);
    }
    if (err == TAKO_OK)
        v->asks[v->ask_count++] = next;
    tako_arena_fini(&a);
    return err == TAKO_CORRUPT ? TAKO_OK : err;
}

/* Looks at the next ones in the table: who goes, who is to be asked about. */
static tako_err write_next(step *p, const store_leaving *list, size_t count)
{
    node_leaving *v = &p->n->leave;
    tako_err err = TAKO_OK;

    v->ask_count = 0;
    for (size_t i = 0; i < count && err == TAKO_OK; i++) {
        store_row row;

        switch (judge(p->n, list[i].coll, list[i].row, false, &row)) {
        case STAYS:
            err = store_leaving_remove(p->st, list[i].coll, list[i].row, NULL);
            break;
        case GOES:
            err = let_go(p, list[i].coll, list[i].row, row.lsn, false, NULL);
            break;
        case ASKS:
            err = ask(p,
                      (node_ask){ .coll = list[i].coll,
                                  .row = list[i].row,
                                  .lsn = row.lsn },
                      &row);
            break;
        case WAITS:
            break;
        }
        v->after_coll = list[i].coll;
        v->after_row = list[i].row;
    }
    return err;
}

/* Likewise those that were passed by. One in a newer state is none. */
static tako_err write_passed(step *p)
{
    node_leaving *v = &p->n->leave;
    size_t left = 0;
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < v->passed_count; i++) {
        node_passed one = v->passed[i];
        verdict what;
        store_row row;

        what =
            err == TAKO_OK ? judge(p->n, one.coll, one.row, true, &row) : WAITS;
        if (what == STAYS || (what != WAITS && row.lsn != one.lsn))
            continue;
        if (what == GOES) {
            err = let_go(p, one.coll, one.row, row.lsn, true, NULL);
            continue;
        }
        v->passed[left++] = one;
        if (what == ASKS && v->ask_count < NODE_LEAVE_BATCH)
            err = ask(p,
                      (node_ask){ .coll = one.coll,
                                  .row = one.row,
                                  .lsn = row.lsn,
                                  .passed = true },
                      &row);
    }
    v->passed_count = left;
    return err;
}

static tako_err write_all(step *p, const store_leaving *list, size_t count)
{
    tako_errbuf e = { "" };
    uint64_t lsn = 0;
    tako_err err = store_begin(p->st, &e);

    if (err == TAKO_OK)
        err = write_granted(p);
    if (err == TAKO_OK)
        err = write_going(p);
    if (err == TAKO_OK && list != NULL)
        err = write_next(p, list, count);
    if (err == TAKO_OK && list != NULL)
        err = write_passed(p);
    if (err == TAKO_OK)
        err = store_commit(p->st, &lsn, &e);
    if (err != TAKO_OK && store_in_transaction(p->st))
        store_rollback(p->st);
    node_wrote(p->n, p->st, err == TAKO_OK ? lsn : 0, NULL);
    if (err == TAKO_OK)
        p->n->leave.going_count = 0;
    else
        tako_log(p->n->env, TAKO_LOG_WARN, "leaving_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
    return err;
}

static bool any_granted(const node_leaving *v)
{
    for (size_t i = 0; i < v->ask_count; i++)
        if (v->asks[i].granted && !v->asks[i].spoilt)
            return true;
    return false;
}

static void wait_longer(node_leaving *v, uint64_t now_ms, bool more)
{
    if (!more)
        v->wait_ms = v->wait_ms == 0 ? NODE_LEAVE_ASK_MS : v->wait_ms * 2;
    if (v->wait_ms > NODE_LEAVE_WAIT_MS)
        v->wait_ms = NODE_LEAVE_WAIT_MS;
    v->at_ms = now_ms + (more ? NODE_LEAVE_SOON_MS : v->wait_ms);
}

/* The next documents of the table; from its beginning when there are none. */
static tako_err next_list(node *n, store_leaving *list, size_t *count)
{
    node_leaving *v = &n->leave;
    tako_err err = store_leaving_list(n->reader, v->after_coll, v->after_row,
                                      list, NODE_LEAVE_BATCH, count);

    if (err != TAKO_OK || *count > 0 || v->after_coll == 0)
        return err;
    v->after_coll = 0;
    v->after_row = INT64_MIN;
    return store_leaving_list(n->reader, 0, INT64_MIN, list, NODE_LEAVE_BATCH,
                              count);
}

/* True: a step was made and may be followed by another at once. */
static void look(node *n, uint64_t now_ms)
{
    node_leaving *v = &n->leave;
    store_leaving list[NODE_LEAVE_BATCH];
    bool asking = v->ask_count > 0 && now_ms < v->until_ms;
    bool granted = any_granted(v), noted = v->going_count > 0;
    step p = { n, NULL, false };
    size_t count = 0;

    if (!asking && next_list(n, list, &count) != TAKO_OK)
        count = 0;
    if (count == 0 && v->going_count == 0 && v->passed_count == 0 && !granted) {
        if (asking)
            v->at_ms = v->until_ms;
        return;
    }
    p.st = n->host->write_try(n->host->ctx);
    if (p.st == NULL) {
        v->at_ms = now_ms + NODE_LEAVE_ASK_MS;
        return;
    }
    if (write_all(&p, asking ? NULL : list, count) != TAKO_OK) {
        v->at_ms = now_ms + NODE_LEAVE_ASK_MS;
        return;
    }
    if (!asking && v->ask_count > 0) {
        v->until_ms = now_ms + NODE_LEAVE_ASK_MS;
        node_may_i(n, v->tries < 2 ? 0 : NODE_ASK_HOPS);
        v->tries++;
        wait_longer(v, now_ms, p.any);
        if (count == NODE_LEAVE_BATCH && v->at_ms > v->until_ms)
            v->at_ms = v->until_ms; /* there are more */
        return;
    }
    wait_longer(v, now_ms, p.any || asking || noted);
    if (asking && v->at_ms < v->until_ms && !p.any)
        v->at_ms = v->until_ms;
}

uint64_t node_leave_deadline(const node *n)
{
    const node_leaving *v = &n->leave;

    if (n->sub_count == 0 || n->archive)
        return UINT64_MAX;
    return v->at_ms < v->start_ms && v->going_count == 0 ? v->start_ms
                                                         : v->at_ms;
}

/* Before anything may leave. A program that ends as soon would not find it
 * again. */
static void note_early(node *n, uint64_t now_ms)
{
    step p = { n, n->host->write_try(n->host->ctx), false };
    bool noted = p.st != NULL && write_all(&p, NULL, 0) == TAKO_OK;

    n->leave.at_ms = noted ? n->leave.start_ms : now_ms + NODE_LEAVE_ASK_MS;
}

void node_leave_tick(node *n, uint64_t now_ms)
{
    node_leaving *v = &n->leave;
    node_sweep *w;

    if (now_ms < node_leave_deadline(n))
        return;
    if (now_ms < v->start_ms) {
        note_early(n, now_ms);
        return;
    }
    v->at_ms = UINT64_MAX;
    w = sweep_next(n, now_ms);
    if (w != NULL && (w->forgotten || forget_held(n, w)))
        sweep(n, w);
    look(n, now_ms);
    if (sweep_next(n, now_ms) != NULL)
        v->at_ms = now_ms + NODE_LEAVE_SOON_MS;
    for (w = v->sweeps; w != NULL; w = w->next)
        if (w->due_ms > now_ms && w->due_ms < v->at_ms)
            v->at_ms = w->due_ms;
}

void node_leave_free(node *n)
{
    while (n->leave.sweeps != NULL)
        sweep_end(n, n->leave.sweeps);
    tako_env_free(n->env, n->leave.going,
                  n->leave.going_cap * sizeof *n->leave.going);
}
