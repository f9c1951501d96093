// SPDX-License-Identifier: Apache-2.0
/* EVICT: found as for DELETE, and forgotten here alone.
 *
 * Documents with changes made on this device go when some other device has said
 * that it keeps this state (table `keeper`: its number reaches the document's
 * commit, and its text matches). The others need FORCE: one of them refuses the
 * statement, which says how many there are, and FORCE says how many it dropped.
 * It is the file that is asked, which is only ever behind what was said. */
#include "query/internal.h"

#include <stdio.h>

typedef struct keeper {
    struct keeper *next;
    query_predicate *predicate;
    uint64_t lsn;
} keeper;

typedef struct eviction {
    query_run_state *r;
    bool loaded;
    tako_arena arena;
    query_pool *pool;
    keeper *keepers; /* of this collection */
    uint64_t own;    /* with changes that nobody is known to keep */
} eviction;

/* A keeper whose text cannot be compiled keeps nothing that we know of. */
static tako_err keeper_add(void *ctx, const store_keeper *in)
{
    eviction *v = ctx;
    keeper *k = TAKO_NEW(&v->arena, keeper);
    tako_slice name = store_coll_name(v->r->q->conn, v->r->q->coll);
    tako_errbuf e = { "" };

    if (k == NULL)
        return TAKO_NOMEM;
    k->lsn = in->lsn;
    if (query_predicate_new_in(v->pool, in->text, TAKO_SLICE_NONE,
                               &k->predicate, &e) != TAKO_OK)
        return TAKO_OK;
    if (!tako_slice_eq(query_predicate_collection(k->predicate), name)) {
        query_predicate_free(k->predicate);
        return TAKO_OK;
    }
    k->next = v->keepers;
    v->keepers = k;
    return TAKO_OK;
}

static tako_err keepers_load(eviction *v)
{
    query_run_state *r = v->r;

    if (v->loaded)
        return TAKO_OK;
    v->loaded = true;
    TAKO_TRY(query_pool_new(r->q->env, &v->pool, r->e));
    return store_keepers(store_writer(r->s), keeper_add, v, r->e);
}

static void eviction_end(eviction *v)
{
    for (keeper *k = v->keepers; k != NULL; k = k->next)
        query_predicate_free(k->predicate);
    query_pool_free(v->pool);
    tako_arena_fini(&v->arena);
}

static tako_err is_kept(eviction *v, tako_slice id, bool *kept)
{
    query_run_state *r = v->r;
    store_row row;

    *kept = false;
    TAKO_TRY(keepers_load(v));
    TAKO_TRY(store_get(store_writer(r->s), r->q->coll, id, &row));
    for (const keeper *k = v->keepers; k != NULL && !*kept; k = k->next)
        *kept = k->lsn >= row.lsn &&
                query_predicate_match(k->predicate, row.id, row.body);
    return TAKO_OK;
}

static tako_err evict_one(eviction *v, tako_slice id)
{
    query_run_state *r = v->r;
    tako_errbuf e = { "" };
    bool kept;
    tako_err err = store_evict(r->s, r->q->coll, id, false, &e);

    if (err == TAKO_DENIED) {
        TAKO_TRY(is_kept(v, id, &kept));
        v->own += !kept;
        if (!kept && !r->q->parse.stmt.force)
            return TAKO_OK;
        err = store_evict(r->s, r->q->coll, id, true, &e);
    }
    if (err != TAKO_OK)
        return tako_fail(r->e, err, "%s", e.text);
    tako_put_bytes(r->ids, id);
    r->count++;
    return r->ids->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err evict_found(eviction *v, tako_slice found)
{
    tako_reader in = tako_reader_of(found);
    query *q = v->r->q;

    TAKO_TRY(query_returning_blocks(v->r, found));
    while (tako_reader_left(&in) > 0)
        TAKO_TRY(evict_one(v, tako_read_block(&in)));
    if (v->own == 0)
        return TAKO_OK;
    if (!q->parse.stmt.force)
        return tako_fail(v->r->e, TAKO_DENIED,
                         "%llu of the documents have changes made on this "
                         "device that no other is known to keep; EVICT ... "
                         "FORCE drops them",
                         (unsigned long long)v->own);
    (void)snprintf(q->said, sizeof q->said,
                   "%llu of the documents had changes made on this device "
                   "that no other is known to keep",
                   (unsigned long long)v->own);
    q->note = q->said;
    return TAKO_OK;
}

tako_err query_run_evict(query_run_state *r)
{
    tako_buf found = tako_buf_on(r->q->env);
    eviction v = { .r = r, .arena = tako_arena_on(r->q->env) };
    tako_err err = TAKO_OK;

    if (r->q->coll != 0)
        err = query_collect(r, &found);
    if (err == TAKO_OK)
        err = evict_found(&v, tako_buf_slice(&found));
    eviction_end(&v);
    tako_buf_fini(&found);
    return err;
}
