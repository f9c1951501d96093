// SPDX-License-Identifier: Apache-2.0
/* CUTS -- whole transactions (P7) and causal order, asked at every node after
 * every commit that brought something, but while the node itself says that it
 * is catching up or loose.
 *
 * Who wants a part has to show what it wants: of a document that did not match
 * at its writer, before or after, nothing is asked, nor of one that it does
 * not have and that changed again since.
 *
 * APART are two documents that were inserted under one key, while nobody has of
 * both. Where one of them stopped matching, it passes by who wants a part and
 * has not had it; later that takes the other one, as news. Then its V covers
 * what ended the first one, and what came after; and neither what it has, nor
 * anything that a neighbour could compare with, shows that there were two. Who
 * gets both puts them together, and tells all. So of the one, who shows nothing
 * but the other is not asked; in the end it is, as everybody. */
#include "sim/checkers.h"

static uint64_t bit_of(const sim_node *n)
{
    return UINT64_C(1) << n->index;
}

typedef struct look_held {
    const query_predicate *p;
    size_t rows;
    bool found, whole;
} look_held;

static tako_err look_at_held(void *ctx, const store_held *row)
{
    look_held *k = ctx;

    k->rows += row->text.len > 0;
    if (!tako_slice_eq(row->text, query_predicate_text(k->p)))
        return TAKO_OK;
    k->found = true;
    k->whole = row->why == 0;
    return TAKO_OK;
}

/* What the node itself says of its subscriptions: neither catching up nor
 * loose. */
bool sim_says_whole(const sim_model *m, const sim_node *n)
{
    for (size_t i = 0; i < n->sub_count; i++) {
        look_held k = { m->wants[n->index][i], 0, false, false };

        if (store_held_each(store_writer(n->store),
                            query_predicate_collection(k.p), look_at_held,
                            &k) != TAKO_OK)
            return false;
        if (k.found ? !k.whole : k.rows > 0)
            return false;
    }
    return true;
}

bool sim_wanted(const sim_model *m, const sim_node *n, const store_row *row)
{
    for (size_t i = 0; i < n->sub_count; i++)
        if (query_predicate_match(m->wants[n->index][i], row->id, row->body))
            return true;
    return false;
}

/* Does another show the document, with this write, in a state that n wants? */
static bool shows_wanted(const sim_model *m, const sim_node *n, sim_node *at,
                         uint32_t key)
{
    store_row row;
    bool yes;

    sim_node_watch(at, true);
    yes = sim_row_at(at->reader, key, &row) && sim_wanted(m, n, &row);
    sim_node_watch(at, false);
    return yes;
}

/* Does the writer, if nobody wrote to the document since, show it in a state
 * that n wants? Not where somebody has put it together with what another wrote
 * meanwhile, in a state that n does not want: that is what n has heard of. */
static bool still_wanted(const sim_model *m, const sim_node *n, size_t token,
                         const sim_written *d)
{
    const sim_node *w = m->world->nodes[m->writes[token].node];
    const sim_list *l = &m->by_key[d->key];
    bool yes = l->items[l->count - 1] == token && w->up && w->reader != NULL &&
               w != n && sim_has(m, d, w->index);

    for (size_t i = 0; i < m->world->count && yes; i++) {
        sim_node *at = m->world->nodes[i];

        if (at != n && at->up && at->reader != NULL &&
            (d->holders >> i & 1) != 0)
            yes = shows_wanted(m, n, at, d->key);
    }
    return yes;
}

/* Did the document end somewhere, with this write or after it? Also where that
 * was lost since, with the power: somebody may have passed it by before. */
static bool is_ended(const sim_model *m, const sim_written *d)
{
    uint64_t end = d->generation + (d->kind != SIM_OP_DELETE);
    const sim_list *l = &m->by_key[d->key];

    if (d->kind == SIM_OP_DELETE)
        return true;
    for (size_t i = 0; i < l->count; i++) {
        const sim_write *w = &m->writes[l->items[i]];

        if (sim_may_not(m, w))
            continue;
        for (size_t k = 0; k < w->count; k++)
            if (w->docs[k].key == d->key && w->docs[k].kind == SIM_OP_DELETE &&
                w->docs[k].generation >= end)
                return true;
    }
    for (size_t i = 0; i < m->world->count; i++)
        if (m->seen[i][d->key].generation >= end &&
            !m->world->nodes[i]->reads_only)
            return true;
    return false;
}

static bool has_of(const sim_model *m, uint32_t key, uint32_t token, size_t at)
{
    const sim_write *w = &m->writes[token];

    for (size_t i = 0; i < w->count; i++)
        if (w->docs[i].key == key && (w->docs[i].holders >> at & 1) != 0)
            return true;
    return false;
}

/* Does n have of the document only what nobody has who has this write? */
static bool is_apart(const sim_model *m, const sim_node *n,
                     const sim_written *d)
{
    const sim_list *l = &m->by_key[d->key];

    for (size_t i = 0; i < l->count; i++)
        for (size_t at = 0; at < m->world->count; at++)
            if ((d->holders >> at & 1) != 0 &&
                has_of(m, d->key, l->items[i], n->index) &&
                has_of(m, d->key, l->items[i], at))
                return false;
    return d->holders != 0;
}

/* Who wants a part need not have what it does not want. */
static bool is_missing(sim_model *m, sim_node *n, size_t token,
                       const sim_written *d)
{
    store_row row;

    if (sim_has_or_ended(m, d, n->index))
        return false;
    if (m->seen[n->index][d->key].left) /* it was let go of */
        return false;
    /* Whoever inserts over what left has nothing of that (SYNC.md 3), nor has
     * who let it go and hears of the insert; only a keeper can put them
     * together. */
    if (token < m->anew[d->key] || (d->let_go & bit_of(n)) != 0)
        return false;
    /* Tombstones are not compared: a deletion passes by who has not heard of
     * the document, and what lies behind it keeps it for a while. */
    if (m->world->faulted && is_ended(m, d))
        return false;
    if ((m->whole & bit_of(n)) != 0)
        return true;
    if ((d->wanted & bit_of(n)) == 0)
        return false;
    if (!sim_row_at(store_writer(n->store), d->key, &row))
        return still_wanted(m, n, token, d);
    return row.body.len > 0 && sim_wanted(m, n, &row) && !is_apart(m, n, d);
}

void sim_check_cut(sim_model *m, sim_node *n, size_t token, bool whole)
{
    sim_write *w = &m->writes[token];

    for (size_t i = 0; w->count > 1 && i < w->count; i++) {
        if (!is_missing(m, n, token, &w->docs[i]))
            continue;
        if (!w->acked || !whole) {
            m->torn++;
            return;
        }
        sim_fail(m->world, "P7 whole transactions",
                 "%s: sees t%zu in part: not in k%u", n->name, token,
                 w->docs[i].key);
    }
    m->checked_cuts += w->count > 1 && w->acked && whole;
}

void sim_check_order(sim_model *m, sim_node *n, size_t token)
{
    const sim_write *w = &m->writes[token], *b;

    if (w->before == SIM_NONE)
        return;
    b = &m->writes[w->before];
    if (!w->acked || !b->acked || b->losable)
        return;
    m->checked_order++;
    for (size_t i = 0; i < b->count; i++)
        if ((w->before_docs >> i & 1) != 0 &&
            is_missing(m, n, w->before, &b->docs[i]))
            sim_fail(m->world, "causal order",
                     "%s: sees t%zu and not t%zu on k%u, which its writer had "
                     "seen",
                     n->name, token, w->before, b->docs[i].key);
}
