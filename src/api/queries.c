// SPDX-License-Identifier: Apache-2.0
/* QUERIES -- prepared queries of one connection, by statement text, so that a
 * statement that comes again with other parameters costs no parsing. The least
 * recently used makes room. One that is running when its text comes again (two
 * open results of one transaction) gets a twin that is not kept. */
#include "api/api.h"

#include "base/hash.h"

static const uint8_t hash_key[16] = { 0 }; /* equality is checked by bytes */

void api_queries_init(api_queries *c, const tako_env *env)
{
    memset(c, 0, sizeof *c);
    c->env = env;
}

static void entry_clear(api_queries *c, api_query *at)
{
    query_free(at->query);
    tako_env_free(c->env, at->text, at->len);
    *at = (api_query){ 0 };
}

void api_queries_fini(api_queries *c)
{
    for (size_t i = 0; i < TAKO_QUERIES_CACHED_MAX; i++)
        if (c->at[i].query != NULL)
            entry_clear(c, &c->at[i]);
}

static api_query *entry_find(api_queries *c, uint64_t hash, tako_slice text)
{
    for (size_t i = 0; i < TAKO_QUERIES_CACHED_MAX; i++) {
        api_query *at = &c->at[i];

        if (at->query != NULL && at->hash == hash &&
            tako_slice_eq(tako_slice_of(at->text, at->len), text))
            return at;
    }
    return NULL;
}

/* An empty place, or the least recently used one, emptied; NULL: all run. */
static api_query *entry_room(api_queries *c)
{
    api_query *oldest = NULL;

    for (size_t i = 0; i < TAKO_QUERIES_CACHED_MAX; i++) {
        api_query *at = &c->at[i];

        if (at->query == NULL)
            return at;
        if (!at->busy && (oldest == NULL || at->used < oldest->used))
            oldest = at;
    }
    if (oldest != NULL)
        entry_clear(c, oldest);
    return oldest;
}

tako_err api_query_take(api_queries *c, store_conn *conn, tako_slice text,
                        query **out, tako_errbuf *e)
{
    uint64_t hash = tako_hash64(hash_key, text);
    api_query *at = entry_find(c, hash, text);
    bool running = at != NULL && at->busy;
    query *q = NULL;

    if (at != NULL && !running) {
        if (!query_is_stale(at->query)) {
            at->busy = true;
            at->used = ++c->tick;
            *out = at->query;
            return TAKO_OK;
        }
        entry_clear(c, at);
    }
    TAKO_TRY(c->pool != NULL ? query_project_prepare(c->pool, text, &q, e)
                             : query_prepare(c->env, conn, text, &q, e));
    *out = q;
    at = running ? NULL : entry_room(c);
    if (at == NULL)
        return TAKO_OK;
    at->text = c->env->realloc(c->env->ctx, NULL, 0, text.len);
    if (at->text == NULL)
        return TAKO_OK; /* works, only not kept */
    memcpy(at->text, text.ptr, text.len);
    at->len = text.len;
    at->hash = hash;
    at->query = q;
    at->busy = true;
    at->used = ++c->tick;
    return TAKO_OK;
}

void api_query_give(api_queries *c, query *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < TAKO_QUERIES_CACHED_MAX; i++) {
        if (c->at[i].query == q) {
            query_reset(q);
            c->at[i].busy = false;
            return;
        }
    }
    query_free(q);
}
