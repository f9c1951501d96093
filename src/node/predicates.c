// SPDX-License-Identifier: Apache-2.0
/* PREDICATES -- compiled subscriptions, one for each canonical text: a mesh
 * of neighbours that want the same costs one, and those that want different
 * things share a connection in memory. */
#include "node/internal.h"

#include <string.h>

/* Does the canonical text have no condition? A name that holds the word only
 * makes it slower. */
static bool is_whole(tako_slice text)
{
    static const char word[] = "WHERE";
    size_t len = sizeof word - 1;

    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.ptr + i, word, len) == 0)
            return false;
    return true;
}

tako_err node_predicate_get(node *n, tako_slice text, tako_slice params,
                            sync_predicate **out, tako_errbuf *e)
{
    query_predicate *made = NULL;
    sync_predicate *p;

    if (n->pool == NULL)
        TAKO_TRY(query_pool_new(n->env, &n->pool, e));
    TAKO_TRY(query_predicate_new_in(n->pool, text, params, &made, e));
    for (p = n->predicates; p != NULL; p = p->next)
        if (tako_slice_eq(query_predicate_text(p->query),
                          query_predicate_text(made))) {
            query_predicate_free(made);
            p->users++;
            *out = p;
            return TAKO_OK;
        }
    p = tako_env_alloc(n->env, sizeof *p);
    if (p == NULL) {
        query_predicate_free(made);
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    }
    *p = (sync_predicate){ n->predicates, made, 1,
                           is_whole(query_predicate_text(made)) };
    n->predicates = p;
    *out = p;
    return TAKO_OK;
}

void node_predicate_drop(node *n, sync_predicate *p)
{
    sync_predicate **at = &n->predicates;

    if (p == NULL || --p->users > 0)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    query_predicate_free(p->query);
    tako_env_free(n->env, p, sizeof *p);
}

static tako_err open_text(node *n, tako_slice text, sync_predicate **out,
                          tako_slice *collection, tako_errbuf *e)
{
    for (sync_predicate *p = n->predicates; p != NULL; p = p->next)
        if (tako_slice_eq(query_predicate_text(p->query), text)) {
            p->users++;
            *out = p;
            *collection = query_predicate_collection(p->query);
            return TAKO_OK;
        }
    TAKO_TRY(node_predicate_get(n, text, TAKO_SLICE_NONE, out, e));
    *collection = query_predicate_collection((*out)->query);
    return TAKO_OK;
}

tako_err node_predicate_open(void *ctx, tako_slice text, sync_predicate **out,
                             tako_slice *collection, tako_errbuf *e)
{
    return open_text(((node_link *)ctx)->node, text, out, collection, e);
}

void node_predicate_close(void *ctx, sync_predicate *p)
{
    node_predicate_drop(((node_link *)ctx)->node, p);
}

bool node_predicate_match(void *ctx, sync_predicate *p, tako_slice id,
                          tako_slice body)
{
    (void)ctx;
    if (p->all)
        return body.len > 0;
    return query_predicate_match(p->query, id, body);
}

bool node_predicate_covers(void *ctx, const sync_predicate *big,
                           const sync_predicate *small)
{
    (void)ctx;
    if (big == small)
        return true;
    return query_predicate_covers(big->query, small->query);
}

bool node_predicate_whole(void *ctx, const sync_predicate *p)
{
    (void)ctx;
    return p->all;
}

/* ---- tables ------------------------------------------------------------------ */

static tako_err tables_open(void *ctx, tako_slice text, sync_predicate **out,
                            tako_slice *collection, tako_errbuf *e)
{
    return open_text(ctx, text, out, collection, e);
}

static void tables_close(void *ctx, sync_predicate *p)
{
    node_predicate_drop(ctx, p);
}

tako_err node_tables(node *n, sync_tables **out, tako_errbuf *e)
{
    sync_tables_opts o = { n->env, &n->tables_host, n->reader, n->mesh->id };

    n->tables_host = (sync_host){ .ctx = n,
                                  .predicate_open = tables_open,
                                  .predicate_close = tables_close,
                                  .predicate_match = node_predicate_match };
    if (n->tables == NULL)
        TAKO_TRY(sync_tables_new(&o, &n->tables, e));
    *out = n->tables;
    return TAKO_OK;
}
