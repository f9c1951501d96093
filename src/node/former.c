// SPDX-License-Identifier: Apache-2.0
/* FORMER -- gives up what was lost under former names.
 *
 * Who loses commits (a power failure, a file restored from a copy) goes on under
 * another name, and tells how far its file has the former one (sync/renew.c). Of
 * what came later others may have a part: an order whose other half is nowhere
 * any more. Nobody can say that all of that is here, ever: nobody would be
 * complete again.
 *
 * So who wrote it gives it up: what others name of a former actor of ours, and is
 * not here, while for PATIENCE_MS a neighbour that takes the whole collection lacks
 * it, and none has it. From then on that counts as told. Whatever remains of such a
 * commit is shown as it is, P7 or not; if the rest turns up later it is merged as
 * ever. A commit that was acknowledged as durable is lost by no power failure, so
 * this is not about those. */
#include "node/internal.h"

#include "sync/vector.h"

#define PATIENCE_MS 60000u
#define LOOK_MS     10000u /* not more often */
#define AGAIN_MS    1000u  /* after a failure */

void node_former_look(node *n)
{
    uint64_t at_ms = node_now(n) + LOOK_MS;

    if (n->former.at_ms > at_ms)
        n->former.at_ms = at_ms;
}

/* Of neighbours that take all: does one lack it, and none have it? */
static sync_word word_of(const node *n, crdt_dot dot)
{
    sync_word all = SYNC_SAID_NOTHING, word;
    sync_predicate *p;

    for (const node_link *l = n->links; l != NULL; l = l->next) {
        if (l->state != NODE_UP || l->session == NULL || l->failed != TAKO_OK)
            continue;
        for (size_t i = 0; sync_session_word(l->session, i, dot, &p, &word);
             i++)
            if (p != NULL && p->all && word > all)
                all = word;
    }
    return all;
}

/* ---- what others name ----------------------------------------------------------- */

typedef struct hearing {
    tako_arena arena;
    tako_buf actors;     /* ours that were, 16 bytes each */
    crdt_context named;  /* by anybody, of anybody */
    crdt_context former; /* of ours, as far as it is here */
} hearing;

static tako_err hear_row(void *ctx, const store_held *row)
{
    hearing *h = ctx;

    if (row->gone)
        return TAKO_OK;
    if (row->text.len == 0)
        return sync_vector_get(&h->arena, row->v, &h->former);
    TAKO_TRY(sync_vector_get(&h->arena, row->v, &h->named));
    return sync_vector_get(&h->arena, row->target, &h->named);
}

static tako_err hear_all(node *n, hearing *h)
{
    tako_err err = store_former_actors(n->reader, &h->actors);

    for (const node_sub *sub = n->subs;
         sub != NULL && err == TAKO_OK && h->actors.len > 0; sub = sub->next)
        err = store_held_each(n->reader,
                              query_predicate_collection(sub->predicate->query),
                              hear_row, h);
    return err;
}

static uint64_t since(const node_former *v, crdt_dot dot, uint64_t now_ms)
{
    for (size_t i = 0; i < v->count; i++)
        if (crdt_dot_cmp(v->list[i].upto, dot) == 0)
            return v->list[i].since_ms;
    return now_ms;
}

/* Those that are lacked, and since when; *open: of others it is not known. */
static void note(node *n, const hearing *h, uint64_t now_ms, bool *open)
{
    node_former now = { .at_ms = UINT64_MAX };

    *open = false;
    for (size_t i = 0; i + 16 <= h->actors.len; i += 16) {
        crdt_dot dot;
        sync_word word;

        memcpy(dot.actor.id, h->actors.ptr + i, 16);
        dot.hlc = crdt_context_get(&h->named, dot.actor);
        if (dot.hlc <= crdt_context_get(&h->former, dot.actor))
            continue;
        word = word_of(n, dot);
        *open = *open || (word == SYNC_SAID_NOTHING && n->links != NULL);
        if (word == SYNC_LACKS && now.count < TAKO_FORMER_ACTORS_MAX)
            now.list[now.count++] =
                (node_former_heard){ dot, since(&n->former, dot, now_ms) };
    }
    n->former = now;
}

/* ---- giving up -------------------------------------------------------------------- */

static bool is_due(const node_former_heard *one, uint64_t now_ms)
{
    return now_ms >= one->since_ms + PATIENCE_MS;
}

static tako_err give_up(node *n, store *st, uint64_t now_ms, size_t *count)
{
    tako_errbuf e = { "" };
    tako_err err = store_begin(st, &e);

    *count = 0;
    for (size_t i = 0; i < n->former.count && err == TAKO_OK; i++)
        if (is_due(&n->former.list[i], now_ms)) {
            err = store_former_give_up(st, n->former.list[i].upto, &e);
            ++*count;
        }
    if (err == TAKO_OK)
        err = store_commit(st, NULL, &e);
    if (err != TAKO_OK && store_in_transaction(st))
        store_rollback(st);
    node_wrote_own(n, st, 0);
    return err;
}

static void tell(node *n, size_t count)
{
    tako_log(n->env, TAKO_LOG_WARN, "lost_commits_given_up", "\"actors\":%zu",
             count);
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && l->failed == TAKO_OK)
            sync_session_gave_up(l->session);
}

void node_former_tick(node *n, uint64_t now_ms)
{
    node_former *v = &n->former;
    hearing h = { .arena = tako_arena_on(n->env),
                  .actors = tako_buf_on(n->env) };
    size_t count = 0;
    bool open;
    store *st;
    tako_err err;

    if (now_ms < v->at_ms || n->stopping)
        return;
    v->at_ms = UINT64_MAX;
    err = hear_all(n, &h);
    if (err == TAKO_OK)
        note(n, &h, now_ms, &open);
    tako_arena_fini(&h.arena);
    tako_buf_fini(&h.actors);
    if (err != TAKO_OK) {
        v->at_ms = now_ms + AGAIN_MS;
        return;
    }
    if (open)
        v->at_ms = now_ms + PATIENCE_MS;
    for (size_t i = 0; i < v->count; i++) {
        uint64_t at_ms = v->list[i].since_ms + PATIENCE_MS;

        count += is_due(&v->list[i], now_ms);
        v->at_ms = at_ms < v->at_ms ? at_ms : v->at_ms;
    }
    if (count == 0)
        return;
    v->at_ms = now_ms + AGAIN_MS;
    st = n->host->write_try(n->host->ctx);
    if (st != NULL && give_up(n, st, now_ms, &count) == TAKO_OK)
        tell(n, count);
}
