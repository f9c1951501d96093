// SPDX-License-Identifier: Apache-2.0
/* PRESENT -- what is past for others, and is not (sync/past.c).
 *
 * A merge makes states that no event names: an order that one till finished, and
 * that another had inserted anew meanwhile, may be open again in an archive.
 * Tills that let it go, and have heard of both, take that for past: they had all
 * of it, and have it no more. Were theirs the last word, an open order would be
 * shown to none of them, for ever.
 *
 * Who takes all of a collection lets nothing of it go, and hears of the end of
 * what it has from whoever has that: not all copies go (mayi.c). So where the
 * document is the same PATIENCE_MS after it was told that it is past, it is
 * what all in reach come to, and is given an event of ours that changes nothing.
 * That is news, which is taken. Who knows better after all is merged as ever.
 *
 * Once for each state: what has such an event is past for nobody. What did not
 * become one, as we ended, the next session tells again. */
#include "node/internal.h"

#define PATIENCE_MS 60000u
#define AGAIN_MS    1000u /* after a failure */

bool node_takes_all(node *n, uint32_t coll)
{
    tako_slice name = store_coll_name(n->reader, coll);
    bool all = false;

    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next)
        all = all ||
              (sub->predicate->all &&
               tako_slice_eq(query_predicate_collection(sub->predicate->query),
                             name));
    return all;
}

void node_present_note(node *n, uint32_t coll, int64_t row, uint64_t lsn)
{
    node_present *v = &n->present;
    uint64_t due_ms = node_now(n) + PATIENCE_MS;

    if (n->read_only || n->stopping)
        return;
    for (size_t i = 0; i < v->count; i++)
        if (v->list[i].coll == coll && v->list[i].row == row &&
            v->list[i].lsn == lsn)
            return;
    if (v->count == NODE_PRESENT_MAX)
        return; /* the next session tells it again */
    v->list[v->count++] = (node_passed){ coll, row, lsn, due_ms };
    if (v->at_ms > due_ms)
        v->at_ms = due_ms;
}

/* It is in another state by now: what was told of it is over. */
static bool is_over(node *n, const node_passed *one)
{
    store_row row;
    tako_err err = store_get_row(n->reader, one->coll, one->row, &row);

    return err == TAKO_NOTFOUND ||
           (err == TAKO_OK && (row.lsn != one->lsn || row.body.len == 0));
}

static tako_err renew(node *n, store *st, const node_passed *one,
                      tako_errbuf *e)
{
    tako_buf id = tako_buf_on(n->env);
    store_row row;
    crdt_doc *doc;
    crdt_dot dot;
    tako_err err = store_get_row(store_writer(st), one->coll, one->row, &row);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && row.lsn != one->lsn))
        return TAKO_OK;
    if (err == TAKO_OK)
        tako_put_bytes(&id, row.id);
    if (err == TAKO_OK)
        err = id.failed ? TAKO_NOMEM : store_dot(st, &dot, e);
    if (err == TAKO_OK)
        err = store_edit(st, one->coll, tako_buf_slice(&id), &doc, e);
    if (err == TAKO_OK)
        err = crdt_touch(doc, dot);
    if (err == TAKO_OK)
        err = store_edit_save(st, e);
    tako_buf_fini(&id);
    return err == TAKO_LIMIT ? TAKO_OK : err; /* too many have written to it */
}

/* Those that are due, in one commit of our own. */
static tako_err renew_due(node *n, store *st, uint64_t now_ms)
{
    node_present *v = &n->present;
    tako_errbuf e = { "" };
    uint64_t lsn = 0;
    tako_err err = store_begin(st, &e);

    for (size_t i = 0; i < v->count && err == TAKO_OK; i++)
        if (v->list[i].due_ms <= now_ms)
            err = renew(n, st, &v->list[i], &e);
    if (err == TAKO_OK)
        err = store_commit(st, &lsn, &e);
    if (err != TAKO_OK && store_in_transaction(st))
        store_rollback(st);
    node_wrote_own(n, st, err == TAKO_OK ? lsn : 0);
    if (err != TAKO_OK)
        tako_log(n->env, TAKO_LOG_WARN, "renewing_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
    return err;
}

static void forget(node *n, uint64_t upto_ms)
{
    node_present *v = &n->present;
    size_t left = 0;

    v->at_ms = UINT64_MAX;
    for (size_t i = 0; i < v->count; i++) {
        node_passed one = v->list[i];

        if (one.due_ms <= upto_ms || is_over(n, &one))
            continue;
        if (one.due_ms < v->at_ms)
            v->at_ms = one.due_ms;
        v->list[left++] = one;
    }
    v->count = left;
}

void node_present_tick(node *n, uint64_t now_ms)
{
    node_present *v = &n->present;
    store *st;

    if (now_ms < v->at_ms || n->stopping)
        return;
    forget(n, 0);
    if (now_ms < v->at_ms)
        return;
    st = n->host->write_try(n->host->ctx);
    if (st != NULL && renew_due(n, st, now_ms) == TAKO_OK)
        forget(n, now_ms);
    else
        v->at_ms = now_ms + AGAIN_MS;
}
