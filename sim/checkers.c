// SPDX-License-Identifier: Apache-2.0
/* CHECKERS -- see checkers.h for what; here is how it stays cheap: only the
 * documents of a commit are looked at, when it is made. */
#include "sim/checkers.h"

#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"

static const uint8_t zero_key[16];

static uint64_t bit_of(const sim_node *n)
{
    return UINT64_C(1) << n->index;
}

static void list_add(const tako_env *env, sim_list *l, size_t item)
{
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 8 : l->cap * 2;

        l->items = env->realloc(env->ctx, l->items, l->cap * sizeof *l->items,
                                cap * sizeof *l->items);
        TAKO_ASSERT(l->items != NULL);
        l->cap = cap;
    }
    l->items[l->count++] = (uint32_t)item;
}

static void list_free(const tako_env *env, sim_list *l)
{
    tako_env_free(env, l->items, l->cap * sizeof *l->items);
}

/* ---- what a node has ---------------------------------------------------------------- */

static sim_written *written_on(sim_write *w, uint32_t key)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->docs[i].key == key)
            return &w->docs[i];
    return NULL;
}

/* Its writer may not: others refuse it. */
bool sim_may_not(const sim_model *m, const sim_write *w)
{
    return m->world->nodes[w->node]->reads_only;
}

/* The node's document has this write, or has ended it since. */
bool sim_has(const sim_model *m, const sim_written *d, size_t at)
{
    uint64_t g = m->seen[at][d->key].generation;

    /* Who has nothing under the key need not hear that it is deleted. */
    if (d->kind == SIM_OP_DELETE)
        return d->generation == 0 || g >= d->generation || g == 0;
    return (d->holders >> at & 1) != 0 || d->generation == 0 ||
           g > d->generation;
}

typedef struct look {
    sim_model *m;
    sim_node *n;
    uint32_t key;
    uint64_t generation;
    bool again; /* from the file: nothing is fresh */
} look;

static void look_token(void *ctx, size_t token)
{
    look *k = ctx;
    sim_write *w = &k->m->writes[token];
    sim_written *d = written_on(w, k->key);

    if (d == NULL) {
        sim_fail(k->m->world, "documents hold their own writes",
                 "%s: k%u has t%zu of another document", k->n->name, k->key,
                 token);
        return;
    }
    if (sim_may_not(k->m, w) && w->node != k->n->index)
        sim_fail(k->m->world, "nobody takes what may not be written",
                 "%s: k%u has t%zu of %s", k->n->name, k->key, token,
                 k->m->world->nodes[w->node]->name);
    /* A write whose outcome its writer never heard of. */
    if (d->generation == 0)
        d->generation = k->generation;
    d->stamp = k->m->stamp;
    if ((d->holders & bit_of(k->n)) == 0) {
        uint64_t took = k->m->world->now_us - w->at_us;

        if (!k->again)
            list_add(k->m->env, &k->m->fresh, token);
        if (!k->again && took > k->m->delay_us)
            k->m->delay_us = took;
        d->holders |= bit_of(k->n);
    }
}

static uint64_t context_hash(sim_model *m, uint32_t key, tako_slice meta)
{
    uint64_t h = key * UINT64_C(0x9fb21c651e98df25) + 1;
    crdt_context c;

    tako_arena_reset(&m->arena);
    if (crdt_meta_context(&m->arena, meta, &c) != TAKO_OK)
        return 0;
    for (size_t i = 0; i < c.count; i++) {
        h ^= tako_hash64(zero_key, tako_slice_of(c.dots[i].actor.id, 16));
        h = (h ^ h >> 31) * UINT64_C(0xbf58476d1ce4e5b9) + c.dots[i].hlc;
    }
    return h == 0 ? 1 : h;
}

static void states_grow(sim_model *m)
{
    size_t cap = m->state_cap == 0 ? 1024 : m->state_cap * 2;
    size_t old_cap = m->state_cap;
    sim_state *old = m->states, *next = sim_new(m->env, cap * sizeof *next);

    for (size_t i = 0; i < old_cap; i++) {
        size_t at = (size_t)old[i].key & (cap - 1);

        if (old[i].key == 0)
            continue;
        while (next[at].key != 0)
            at = (at + 1) & (cap - 1);
        next[at] = old[i];
    }
    tako_env_free(m->env, old, old_cap * sizeof *old);
    m->states = next;
    m->state_cap = cap;
}

/* P2 */
static void check_state(sim_model *m, const sim_node *n, uint32_t key,
                        const store_row *row)
{
    uint64_t h = context_hash(m, key, row->meta), version;
    size_t at;

    memcpy(&version, row->version, sizeof version);
    if (m->state_count * 2 >= m->state_cap)
        states_grow(m);
    for (at = (size_t)h & (m->state_cap - 1); m->states[at].key != 0;
         at = (at + 1) & (m->state_cap - 1)) {
        if (m->states[at].key != h)
            continue;
        m->checked_states++;
        if (m->states[at].version != version)
            sim_fail(m->world, "P2 equal contexts, equal bytes",
                     "%s: k%u has another state than a node with the same "
                     "context",
                     n->name, key);
        return;
    }
    m->states[at].key = h;
    m->states[at].version = version;
    m->state_count++;
}

static uint64_t birth_hash(crdt_dot dot)
{
    return tako_hash64(zero_key, tako_slice_of(dot.actor.id, 16)) ^
           dot.hlc * UINT64_C(0xbf58476d1ce4e5b9);
}

static tako_err note_buried(sim_model *m, sim_seen *s, tako_slice meta)
{
    crdt_dot *births;
    size_t count;

    tako_arena_reset(&m->arena);
    TAKO_TRY(crdt_notice_read(&m->arena, meta, &births, &count));
    for (size_t i = 0; i < count; i++)
        s->buried[s->buried_count++ % SIM_BURIED] = birth_hash(births[i]);
    return TAKO_OK;
}

static bool is_buried(const sim_seen *s, crdt_dot birth)
{
    bool found = false;

    for (size_t i = 0; i < s->buried_count && i < SIM_BURIED; i++)
        found = found || s->buried[i] == birth_hash(birth);
    return found;
}

/* What was found to be dead here is not shown again. Another life may be, that
 * began elsewhere, in whichever generation. */
static void check_buried(sim_model *m, const sim_node *n, uint32_t key,
                         const store_row *row)
{
    sim_seen *s = &m->seen[n->index][key];
    crdt_doc *d = NULL;
    tako_err err = TAKO_OK;
    bool ended, again = false;

    if (crdt_meta_is_notice(row->meta)) {
        err = note_buried(m, s, row->meta);
    } else if (s->buried_count > 0 && row->body.len > 0) {
        tako_arena_reset(&m->arena);
        err = crdt_doc_decode(&m->arena, row->meta, row->body, &d, NULL);
    }
    for (size_t i = 0; d != NULL && i < crdt_doc_births(d, NULL, 0); i++) {
        crdt_dot birth = crdt_doc_birth(d, i, &ended);

        again = again || (!ended && is_buried(s, birth));
    }
    if (err != TAKO_OK)
        sim_fail(m->world, "P8 no resurrection", "%s: k%u cannot be read",
                 n->name, key);
    else if (again && !n->reads_only)
        sim_fail(m->world, "P8 no resurrection",
                 "%s: k%u shows a life of which it knew that it was over",
                 n->name, key);
}

/* What was found to be dead has ended the life that it was in. What was reaped
 * is in the last one that was seen, for ever. */
static void check_generation(sim_model *m, const sim_node *n, uint32_t key,
                             const store_row *row)
{
    sim_seen *s = &m->seen[n->index][key];
    uint64_t g = crdt_meta_is_notice(row->meta)
                     ? s->generation + (s->generation & 1)
                     : crdt_meta_generation(row->meta);

    if (crdt_notice_is_bare(row->meta))
        g = 0; /* let go, as if it had never been */
    if (g < s->generation && !s->dead && !n->reads_only)
        sim_fail(m->world, "P8 no resurrection",
                 "%s: k%u was in generation %llu and is in %llu", n->name, key,
                 (unsigned long long)s->generation, (unsigned long long)g);
    s->generation = g;
    s->alive = row->body.len > 0;
    s->left = store_row_is_marker(row);
    s->evicted = s->left && !store_row_is_left(row);
    m->was_evicted[key] = m->was_evicted[key] || s->evicted;
    s->dead = crdt_meta_is_notice(row->meta);
    if (!s->left && (g & 1) != (uint64_t)s->alive)
        sim_fail(m->world, "P8 no resurrection",
                 "%s: k%u is %s in generation %llu", n->name, key,
                 s->alive ? "alive" : "gone", (unsigned long long)g);
}

/* Some other node has it, or has ended it; and not one that may let it go. */
static bool elsewhere(const sim_model *m, const sim_written *d)
{
    for (size_t i = 0; i < m->world->count; i++)
        if (m->seen[i][d->key].generation > 0 &&
            !m->world->nodes[i]->reads_only && sim_has(m, d, i))
            return true;
    return false;
}

/* The document left: its writes are to be somewhere else. Of an eviction, only
 * those of the device itself: others' are the app's to forget. */
static void check_left(sim_model *m, const sim_node *n, uint32_t key)
{
    const sim_list *l = &m->by_key[key];

    for (size_t i = 0; i < l->count; i++) {
        sim_write *w = &m->writes[l->items[i]];
        sim_written *d = written_on(w, key);

        if ((d->holders & bit_of(n)) == 0)
            continue;
        d->holders &= ~bit_of(n);
        d->let_go |= bit_of(n);
        m->left++;
        if ((w->node == n->index || !m->seen[n->index][key].evicted) &&
            !elsewhere(m, d))
            sim_fail(m->world, "the last copy does not leave",
                     "%s: let go of k%u, and nobody else has t%u", n->name, key,
                     l->items[i]);
    }
}

/* Tokens that were there and are not. Who wrote what it may not lets others' go
 * with it, until it has them again: that is asked at the end. */
static void check_kept(sim_model *m, const sim_node *n, uint32_t key)
{
    const sim_list *l = &m->by_key[key];

    for (size_t i = 0; i < l->count; i++) {
        sim_written *d = written_on(&m->writes[l->items[i]], key);

        if (d->stamp == m->stamp || (d->holders & bit_of(n)) == 0)
            continue;
        d->holders &= ~bit_of(n);
        if (!sim_has(m, d, n->index) && !n->reads_only)
            sim_fail(m->world, "no write is lost",
                     "%s: k%u had t%u in generation %llu and lost it", n->name,
                     key, l->items[i], (unsigned long long)d->generation);
    }
}

/* One document as the node's writer has it now. */
static void look_at(sim_model *m, sim_node *n, uint32_t key,
                    const store_row *row, bool again)
{
    look k = { m, n, key, crdt_meta_generation(row->meta), again };
    int64_t sum, shown;

    m->stamp++;
    check_buried(m, n, key, row);
    if (store_row_is_marker(row)) {
        check_generation(m, n, key, row);
        check_left(m, n, key);
        return;
    }
    sum = sim_tokens_each(m, row->body, look_token, &k);
    shown = sim_whole_number(cbor_map_get(row->body, tako_slice_str("n")));
    if (sum != shown)
        sim_fail(m->world, "counters are exact",
                 "%s: k%u shows %lld, its increments are %lld", n->name, key,
                 (long long)shown, (long long)sum);
    check_generation(m, n, key, row);
    check_kept(m, n, key);
    if (!crdt_meta_is_notice(row->meta))
        check_state(m, n, key, row);
}

/* The node has it; or has no such document alive, and elsewhere it ended: then
 * nobody needs to tell it that there was one (tombstones are not compared). */
bool sim_has_or_ended(const sim_model *m, const sim_written *d, size_t at)
{
    uint64_t end = d->generation + (d->kind != SIM_OP_DELETE);

    if (sim_has(m, d, at))
        return true;
    for (size_t i = 0; i < m->world->count && !m->seen[at][d->key].alive; i++)
        if (m->seen[i][d->key].generation >= end &&
            !m->world->nodes[i]->reads_only)
            return true;
    return false;
}

bool sim_had(const sim_model *m, uint32_t key, size_t from, size_t at)
{
    const sim_list *l = &m->by_key[key];
    bool any = false;

    for (size_t i = 0; i < l->count; i++) {
        const sim_written *d = written_on(&m->writes[l->items[i]], key);

        if ((d->holders >> from & 1) == 0)
            continue;
        any = any || (d->let_go >> at & 1) != 0;
        if ((d->let_go >> at & 1) == 0 && !sim_has(m, d, at))
            return false;
    }
    return any;
}

/* ---- what a commit brought ------------------------------------------------------------- */

static void check_fresh(sim_model *m, sim_node *n, bool own)
{
    bool whole = !own && m->fresh.count > 0 && sim_says_whole(m, n);

    for (size_t i = 0; i < m->fresh.count; i++) {
        size_t token = m->fresh.items[i];

        if (!own)
            sim_check_cut(m, n, token, whole);
        if (whole)
            sim_check_order(m, n, token);
        if (!own)
            m->last[n->index] = token;
    }
    m->fresh.count = 0;
}

/* ---- what the world tells ---------------------------------------------------------------- */

/* Who wants the document, as it was or as it is? */
static uint64_t wanted_by(const sim_model *m, const store_change *c,
                          const store_row *row)
{
    store_row before = *row;
    uint64_t nodes = 0;

    before.body = c->body_before;
    for (size_t i = 0; i < m->world->count; i++)
        if (sim_wanted(m, m->world->nodes[i], row) ||
            sim_wanted(m, m->world->nodes[i], &before))
            nodes |= UINT64_C(1) << i;
    return nodes;
}

static void note_own(sim_model *m, uint32_t key, const store_change *c,
                     const store_row *row)
{
    sim_written *d =
        m->running == SIM_NONE ? NULL : written_on(&m->writes[m->running], key);

    if (d == NULL)
        return;
    d->generation = crdt_meta_generation(row->meta);
    d->wanted = wanted_by(m, c, row);
    if (sim_may_not(m, &m->writes[m->running]))
        return;
    if (c->lsn_before == 0 || crdt_meta_is_marker(c->meta_before))
        m->anew[key] = m->running;
}

static void on_committed(void *ctx, sim_node *n, uint64_t lsn, bool own)
{
    sim_model *m = ctx;
    size_t count = store_change_count(n->store);
    store_conn *c = store_writer(n->store);

    (void)lsn;
    for (size_t i = 0; i < count && !m->world->failed; i++) {
        store_change change;
        store_row row;
        uint32_t key;

        store_change_at(n->store, i, &change);
        if (!tako_slice_eq(store_coll_name(c, change.coll),
                           tako_slice_str(SIM_COLLECTION)))
            continue;
        if (store_get_row(c, change.coll, change.row, &row) != TAKO_OK)
            continue; /* the disk or the memory: it is looked at later */
        key = sim_key_of(row.id);
        if (key == SIM_KEYS_MAX)
            continue;
        m->deliveries += !own;
        if (own)
            note_own(m, key, &change, &row);
        look_at(m, n, key, &row, false);
    }
    check_fresh(m, n, own);
}

/* Everything a node has, from its file. */
static void rescan(sim_model *m, sim_node *n)
{
    store_conn *c = n->reader;
    store_cursor *k = NULL;
    uint32_t coll;
    store_row row;

    if (store_coll_find(c, tako_slice_str(SIM_COLLECTION), &coll) != TAKO_OK ||
        store_scan(c, coll, INT64_MIN, &k) != TAKO_OK)
        return;
    while (store_scan_next(k, &row) == TAKO_OK && !m->world->failed) {
        uint32_t key = sim_key_of(row.id);

        if (key < SIM_KEYS_MAX)
            look_at(m, n, key, &row, true);
    }
    store_scan_close(k);
}

static void after_end(sim_model *m, const sim_node *n, size_t token,
                      sim_written *d)
{
    sim_write *w = &m->writes[token];

    if (sim_has(m, d, n->index) && !(d->kind == SIM_OP_DELETE &&
                                     m->seen[n->index][d->key].generation == 0))
        return;
    /* It was letting go when it ended; or its disk went back to a marker; or it
     * is dead, and the notice does not say of which generation. */
    if ((m->seen[n->index][d->key].left || m->seen[n->index][d->key].dead) &&
        elsewhere(m, d))
        return;
    if (n->reads_only) { /* it was let go when it ended */
        m->last[n->index] = SIM_NONE;
        return;
    }
    if (m->end[n->index] == SIM_DISK_KILL || n->durability == STORE_FULL) {
        sim_fail(
            m->world, "what is committed survives",
            "%s (%s, durability %s): t%zu on k%u was here and is not", n->name,
            m->end[n->index] == SIM_DISK_KILL ? "killed" : "lost power",
            n->durability == STORE_FULL ? "full" : "normal", token, d->key);
        return;
    }
    m->last[n->index] = SIM_NONE; /* of what it had seen, some is lost */
    if (!elsewhere(m, d) && !w->losable) {
        w->losable = true;
        m->lost_to_power++;
    }
}

static void on_started(void *ctx, sim_node *n)
{
    sim_model *m = ctx;
    uint8_t *had;

    if (!m->ended[n->index])
        return;
    had = sim_new(m->env, m->write_count * SIM_STEPS_MAX + 1);
    m->ended[n->index] = false;
    for (size_t t = 0; t < m->write_count; t++) {
        for (size_t i = 0; i < m->writes[t].count; i++) {
            sim_written *d = &m->writes[t].docs[i];

            had[t * SIM_STEPS_MAX + i] =
                d->generation != 0 &&
                m->seen[n->index][d->key].generation > 0 &&
                sim_has(m, d, n->index);
            d->holders &= ~bit_of(n);
        }
    }
    memset(m->seen[n->index], 0, SIM_KEYS_MAX * sizeof(sim_seen));
    rescan(m, n);
    for (size_t t = 0; t < m->write_count; t++)
        for (size_t i = 0; i < m->writes[t].count; i++)
            if (had[t * SIM_STEPS_MAX + i])
                after_end(m, n, t, &m->writes[t].docs[i]);
    tako_env_free(m->env, had, m->write_count * SIM_STEPS_MAX + 1);
}

static void on_ended(void *ctx, sim_node *n, sim_disk_end how)
{
    sim_model *m = ctx;

    /* Two ends without a start between: the worse one counts. */
    if (!m->ended[n->index] || how == SIM_DISK_POWER)
        m->end[n->index] = how;
    m->ended[n->index] = true;
}

/* Compiled, so that it can be asked what a node wants. */
static void want_add(sim_model *m, const sim_node *n, size_t j)
{
    tako_errbuf e = { "" };

    if (query_predicate_new(m->env, tako_slice_str(n->subs[j].text),
                            TAKO_SLICE_NONE, &m->wants[n->index][j],
                            &e) != TAKO_OK)
        sim_fail(m->world, "the scenario", "%.100s: %.200s", n->subs[j].text,
                 e.text);
}

void sim_model_watch(sim_model *m)
{
    sim_watch *w = &m->world->watch;

    w->ctx = m;
    w->committed = on_committed;
    w->started = on_started;
    w->ended = on_ended;
    for (size_t i = 0; i < m->world->count; i++) {
        const sim_node *n = m->world->nodes[i];

        m->seen[i] = sim_new(m->env, SIM_KEYS_MAX * sizeof(sim_seen));
        m->last[i] = SIM_NONE;
        for (size_t j = 0; j < n->sub_count; j++) {
            want_add(m, n, j);
            if (strstr(n->subs[j].text, "WHERE") == NULL)
                m->whole |= bit_of(n);
        }
    }
}

sim_model *sim_model_new(sim_world *w)
{
    sim_model *m = sim_new(w->env, sizeof *m);

    m->world = w;
    m->env = w->env;
    m->running = SIM_NONE;
    m->arena = tako_arena_on(w->env);
    return m;
}

void sim_model_free(sim_model *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < SIM_KEYS_MAX; i++)
        list_free(m->env, &m->by_key[i]);
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        tako_env_free(m->env, m->seen[i], SIM_KEYS_MAX * sizeof(sim_seen));
        for (size_t j = 0; j < SIM_SUBS_MAX; j++)
            query_predicate_free(m->wants[i][j]);
    }
    list_free(m->env, &m->fresh);
    tako_env_free(m->env, m->states, m->state_cap * sizeof *m->states);
    tako_env_free(m->env, m->writes, m->write_cap * sizeof *m->writes);
    tako_arena_fini(&m->arena);
    tako_env_free(m->env, m, sizeof *m);
}

/* ---- writes ------------------------------------------------------------------------------- */

static sim_write *write_new(sim_model *m)
{
    if (m->write_count == m->write_cap) {
        size_t cap = m->write_cap == 0 ? 256 : m->write_cap * 2;

        m->writes = m->env->realloc(m->env->ctx, m->writes,
                                    m->write_cap * sizeof *m->writes,
                                    cap * sizeof *m->writes);
        TAKO_ASSERT(m->writes != NULL);
        m->write_cap = cap;
    }
    m->writes[m->write_count] = (sim_write){ .before = SIM_NONE };
    return &m->writes[m->write_count++];
}

size_t sim_model_begin(sim_model *m, sim_node *n, const sim_action *a)
{
    sim_write *w = write_new(m);
    size_t token = m->write_count - 1;

    w->node = n->index;
    w->at_us = m->world->now_us;
    w->count = a->step_count;
    w->before = m->last[n->index];
    for (size_t i = 0; w->before != SIM_NONE && i < m->writes[w->before].count;
         i++)
        if (sim_has(m, &m->writes[w->before].docs[i], n->index))
            w->before_docs |= (uint8_t)(1u << i);
    for (size_t i = 0; i < a->step_count; i++) {
        const sim_op_step *s = &a->steps[i];

        w->docs[i] = (sim_written){ .kind = s->kind,
                                    .key = s->key,
                                    .amount = s->amount };
        list_add(m->env, &m->by_key[s->key], token);
    }
    m->running = token;
    return token;
}

void sim_model_end(sim_model *m, size_t write, bool acked, bool refused)
{
    sim_write *w = &m->writes[write];

    m->running = SIM_NONE;
    w->acked = acked;
    m->acked += acked;
    m->refused += !acked && refused;
    m->unknown += !acked && !refused;
    if (acked)
        m->last[w->node] = write;
}

bool sim_model_alive(sim_model *m, const sim_node *n, uint32_t key)
{
    return m->seen[n->index][key].alive;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void on_finding(void *ctx, const char *text)
{
    (void)snprintf(ctx, 200, "%.190s", text);
}

static void check_sound(sim_model *m, sim_node *n)
{
    uint64_t findings = 0;
    char first[200] = "";
    tako_errbuf e = { "" };
    tako_err err = store_check(n->reader, on_finding, first, &findings, &e);

    if (err != TAKO_OK || findings > 0)
        sim_fail(m->world, "the database is sound", "%s: %s%s", n->name, first,
                 e.text);
}

static void check_everywhere(sim_model *m, size_t token)
{
    const sim_write *w = &m->writes[token];
    size_t at, i = sim_not_everywhere(m, token, &at);

    if (i != SIM_NONE)
        sim_fail(m->world, "no acknowledged write is lost",
                 "t%zu (%s of k%u by %s at %llu ms) is not at %s", token,
                 sim_op_names[w->docs[i].kind], w->docs[i].key,
                 m->world->nodes[w->node]->name,
                 (unsigned long long)(w->at_us / SIM_MS),
                 m->world->nodes[at]->name);
}

void sim_model_final(sim_model *m)
{
    for (size_t t = 0; t < m->write_count && !m->world->failed; t++)
        check_everywhere(m, t);
    for (size_t i = 0; i < m->world->count && !m->world->failed; i++)
        if (m->world->nodes[i]->up)
            check_sound(m, m->world->nodes[i]);
}

uint64_t sim_model_documents(sim_model *m)
{
    for (size_t i = 0; i < m->world->count; i++) {
        store_facts facts;
        tako_errbuf e;

        if ((m->whole >> i & 1) != 0 && m->world->nodes[i]->up &&
            store_facts_read(m->world->nodes[i]->reader, &facts, &e) == TAKO_OK)
            return facts.documents;
    }
    return 0;
}
