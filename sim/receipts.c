// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- see receipts.h. A claim is looked at from above whenever it
 * stands, not once: a state only grows until it is let go, so what was true
 * stays true, and a keeper that lost it with its power is found out when it is
 * up again. */
#include "sim/receipts.h"

#include "store/deaths.h"

#define LOOK_US   (500 * SIM_MS)
#define REST_US   (60 * SIM_SECOND) /* between two looks when nothing happens */
#define SETTLE_US (60 * SIM_SECOND)

static sim_node *node_of(const sim_world *w, const uint8_t device[32])
{
    for (size_t i = 0; i < w->count; i++)
        if (w->nodes[i]->up && w->nodes[i]->reader != NULL &&
            memcmp(w->nodes[i]->identity.public_key, device, 32) == 0)
            return w->nodes[i];
    return NULL;
}

static bool context_of(const store_row *row, tako_arena *a, crdt_context *out)
{
    return crdt_meta_context(a, row->meta, out) == TAKO_OK;
}

/* Has the keeper let go what it had, and another document there since? */
static bool began_anew(const sim_receipts *r, const sim_node *n,
                       const sim_node *keeper, const store_row *row)
{
    uint32_t key = sim_key_of(row->id);

    return key < SIM_KEYS_MAX && r->model->seen[keeper->index][key].alive &&
           sim_had(r->model, key, n->index, keeper->index);
}

/* Has the keeper seen what the document has seen at the teller? */
static bool covers(sim_node *keeper, tako_slice coll_name, const store_row *row)
{
    tako_arena a = tako_arena_on(keeper->world->env);
    crdt_context ours, theirs;
    uint32_t coll;
    store_row there;
    tako_err err = store_coll_find(keeper->reader, coll_name, &coll);
    bool good;

    if (err == TAKO_OK)
        err = store_get(keeper->reader, coll, row->id, &there);
    if (err != TAKO_OK)
        good = err != TAKO_NOTFOUND; /* else it cannot be looked at now */
    else                             /* a later life ends all earlier ones */
        good = crdt_meta_generation(there.meta) >
                   crdt_meta_generation(row->meta) ||
               store_row_is_notice(&there) ||
               (context_of(row, &a, &ours) && context_of(&there, &a, &theirs) &&
                crdt_context_covers(&theirs, &ours));
    tako_arena_fini(&a);
    return good;
}

static void check_claim(sim_receipts *r, sim_node *n, uint64_t lsn,
                        sim_node *keeper, const store_touch *t)
{
    store_row row;

    if (store_get_row(n->reader, t->coll, t->row, &row) != TAKO_OK ||
        store_row_is_marker(&row) || store_row_is_notice(&row))
        return;
    /* Of a deletion it says that no older state was there; one may come since
     * from who never heard of it, or be inserted. */
    if (row.body.len == 0)
        return;
    r->claims++;
    sim_node_watch(keeper, true);
    if (!covers(keeper, store_coll_name(n->reader, t->coll), &row) &&
        !began_anew(r, n, keeper, &row))
        sim_fail(n->world, "a keeper has it",
                 "%s says that %s keeps commit %llu, which has it not "
                 "(row %lld, of commit %llu)",
                 n->name, keeper->name, (unsigned long long)lsn,
                 (long long)row.row, (unsigned long long)row.lsn);
    sim_node_watch(keeper, false);
}

/* What the node says of one commit. *known: how many keep it; SIZE_MAX: the
 * commit is not there any more, or what it wrote has left. */
static void check_commit(sim_receipts *r, sim_node *n, uint64_t lsn,
                         size_t *known)
{
    uint8_t devices[NODE_HOLDERS_MAX][SEC_KEY_BYTES];
    size_t kept = node_holders(n->node, NULL, lsn, false, devices);
    tako_arena a = tako_arena_on(n->world->env);
    store_touch *touched = NULL;
    size_t touches = 0;
    uint64_t found = 0;
    store_row row;

    *known = SIZE_MAX;
    if (store_feed_next(n->reader, lsn - 1, &a, &found, &touched, &touches) ==
            TAKO_OK &&
        found == lsn)
        *known = kept;
    for (size_t i = 0; *known != SIZE_MAX && i < touches; i++)
        if (store_get_row(n->reader, touched[i].coll, touched[i].row, &row) !=
                TAKO_OK ||
            store_row_is_marker(&row))
            *known = SIZE_MAX;
    for (size_t k = 0; k < kept && found == lsn; k++) {
        sim_node *keeper = node_of(n->world, devices[k]);

        for (size_t i = 0; keeper != NULL && keeper != n && i < touches; i++)
            check_claim(r, n, lsn, keeper, &touched[i]);
    }
    tako_arena_fini(&a);
}

/* Looks at all; returns whether each commit is known to be kept by so many. */
static bool look(sim_receipts *r, const sim_world *w, size_t wanted,
                 const sim_node **who, uint64_t *which, size_t *least)
{
    bool all = true;

    for (size_t i = 0; i < w->count && !w->failed; i++) {
        sim_node *n = w->nodes[i];
        size_t count = r->count[i] < SIM_RECEIPTS_COMMITS
                           ? r->count[i]
                           : SIM_RECEIPTS_COMMITS;

        if (!n->up || n->node == NULL || n->reader == NULL || n->stopping)
            continue;
        sim_node_watch(n, true);
        for (size_t j = 0; j < count; j++) {
            size_t known;

            check_commit(r, n, r->commits[i][j], &known);
            if (known >= wanted)
                continue;
            all = false;
            *who = n;
            *which = r->commits[i][j];
            *least = known;
        }
        sim_node_watch(n, false);
    }
    return all;
}

static void on_look(sim_world *w, void *ctx, uint64_t number);

static void look_at(sim_receipts *r, uint64_t pause_us)
{
    sim_world *w = r->model->world;

    r->pause_us = pause_us;
    r->next_us = w->now_us + pause_us;
    sim_at(w, r->next_us, on_look, r, ++r->serial);
}

static void on_look(sim_world *w, void *ctx, uint64_t number)
{
    sim_receipts *r = ctx;
    const sim_node *who;
    uint64_t which;
    size_t least;

    if (number != r->serial)
        return;
    (void)look(r, w, 0, &who, &which, &least);
    if (!w->failed)
        look_at(r, r->pause_us * 2 < REST_US ? r->pause_us * 2 : REST_US);
}

void sim_receipts_watch(sim_receipts *r, const sim_model *m)
{
    r->model = m;
    look_at(r, LOOK_US);
}

void sim_receipts_note(sim_receipts *r, const sim_node *n, uint64_t lsn)
{
    if (r == NULL)
        return;
    r->commits[n->index][r->count[n->index]++ % SIM_RECEIPTS_COMMITS] = lsn;
    r->pause_us = LOOK_US;
    if (r->next_us > n->world->now_us + LOOK_US)
        look_at(r, LOOK_US);
}

void sim_receipts_settle(sim_receipts *r)
{
    sim_world *w = r->model->world;
    uint64_t end = w->now_us + SETTLE_US, which = 0;
    size_t wanted = w->count - 1, least = 0;
    const sim_node *who = NULL;

    if (r->model->whole == 0)
        return;
    for (size_t i = 0; i < w->count; i++)
        if ((r->model->whole >> i & 1) == 0 || w->nodes[i]->reads_only)
            return; /* it wants nothing, or keeps for nobody */
    if (wanted > TAKO_RECEIPTS_KEEPERS_MAX)
        wanted = TAKO_RECEIPTS_KEEPERS_MAX;
    while (!w->failed && !look(r, w, wanted, &who, &which, &least)) {
        if (w->now_us >= end) {
            sim_fail(w, "every keeper becomes known",
                     "%s knows of %zu of %zu who keep commit %llu", who->name,
                     least, wanted, (unsigned long long)which);
            return;
        }
        sim_run_until(w, w->now_us + LOOK_US);
    }
}
