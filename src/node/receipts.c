// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- from whoever keeps it to whoever wrote it, hop by hop
 * (sync/receipts.c has the sentence that travels, and why it is true).
 *
 *   A --- B --- C        B's commits            told to A
 *                        ours   theirs (A's)
 *      marks at B:         40       17
 *                          52       21
 *      C says KEPT 41  ->                       C keeps A's up to 17
 *
 * MARKS. Each time that KEPT is said the store was just synced: whatever has
 * been taken from a peer is at or below our last commit. So that moment gives,
 * for each subscription at each peer, a pair: all up to `theirs` of the peer's
 * is here, by `ours`. It stays true when the session asks anew. A keeper's number k, in our commits, becomes the greatest
 * `theirs` whose `ours` is at most k. A peer that lags behind us needs an old
 * mark; when they are too many every second one of the older half goes.
 *
 * MOVED ON. A document may become something at B that C does not want: then C
 * has not got what A had of it. That is no lie as long as A knows, since there
 * the document is newer, then, than what is said of it. So
 *   - A is told only once it has acknowledged all that B had when it was told
 *     itself: merges, too, go back to A;
 *   - B hands on only what came by a subscription whose documents never leave
 *     (of the whole collection, with KEEP, or of an archive), or a change could
 *     leave with its document before A is there to hear of it;
 *   - A believes it of documents that it wants itself, for others it is not
 *     told of; or of a keeper that wants the whole collection.
 *
 * RECORDS. What neighbours say of themselves (KEPT) and of others (RECEIPTS) is
 * one record for each device and set of texts, with the greatest number that
 * any of them named. It outlives the link, since it speaks of the past. Nothing
 * is in the file: after a start all is said anew.
 *
 * TELLING. What is new goes out at most each NODE_RECEIPTS_MS, to every neighbour
 * but the device itself and who told it last. Of each of our subscriptions a
 * neighbour is told of TAKO_RECEIPTS_KEEPERS_MAX devices, so that what a link
 * carries does not grow with the mesh; one that has not moved for a while makes
 * room for one that has more. A device that somebody ASKS for, by its name or key, comes on top
 * of them; the question goes on through the mesh, once at each node, for so many
 * hops, and is told to new neighbours while it is fresh.
 *
 * Nothing that loses data depends on receipts: whether a document may be let go
 * is asked (mayi.c), and EVICT believes neighbours only. */
#include "node/internal.h"

#include <stdio.h>

_Static_assert(SYNC_DEVICE_BYTES == SEC_KEY_BYTES, "a device is its key");

static void wake(node *n)
{
    uint64_t at = node_now(n) + NODE_RECEIPTS_MS;

    if (n->receipts.due_ms > at)
        n->receipts.due_ms = at;
}

/* ---- marks -------------------------------------------------------------------- */

static void mark(node_marks *m, uint64_t theirs, uint64_t ours)
{
    node_mark *last = m->count > 0 ? &m->list[m->count - 1] : NULL;
    size_t left = 0;

    if (last != NULL && theirs <= last->theirs)
        return;
    if (last != NULL && ours <= last->ours) {
        last->theirs = theirs;
        return;
    }
    if (m->count == NODE_RECEIPTS_MARKS) {
        for (size_t i = 0; i < NODE_RECEIPTS_MARKS; i++)
            if (i >= NODE_RECEIPTS_MARKS / 2 || i % 2 == 0)
                m->list[left++] = m->list[i];
        m->count = left;
    }
    m->list[m->count++] = (node_mark){ theirs, ours };
}

/* The greatest `theirs` that was so by our commit `lsn`. */
static uint64_t reached(const node_marks *m, uint64_t lsn)
{
    for (size_t i = m->count; i > 0; i--)
        if (m->list[i - 1].ours <= lsn)
            return m->list[i - 1].theirs;
    return 0;
}

/* Every merge so far is at or below it. */
static uint64_t last_commit(const node *n)
{
    uint64_t lsn = n->told;

    for (const node_commit *c = n->commits; c != NULL; c = c->next)
        lsn = c->lsn > lsn ? c->lsn : lsn;
    return lsn;
}

/* ---- records ------------------------------------------------------------------ */

static bool same_texts(const node_receipt *r, sync_predicate *const *texts,
                       size_t count)
{
    size_t met = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < r->text_count; j++)
            met += texts[i] == r->texts[j];
    return met == count && count == r->text_count;
}

static void receipt_free(node *n, node_receipt *r)
{
    node_receipt **at = &n->receipts.first;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    n->receipts.count--;
    for (size_t i = 0; i < r->text_count; i++)
        node_predicate_drop(n, r->texts[i]);
    tako_env_free(n->env, r, sizeof *r);
}

/* Takes it back from who was told. The record stays: who still vouches for it
 * would raise it. */
static void take_back(node *n, node_receipt *r)
{
    r->lsn = 0;
    r->heard.count = 0;
    for (node_link *l = n->links; l != NULL; l = l->next)
        for (size_t i = 0; l->session != NULL && i < l->receipts.count; i++)
            sync_session_receipt_gone(l->session, (uint64_t)r->id << 32 |
                                                      l->receipts.subs[i].id);
    wake(n);
}

/* The one that was not raised for the longest time. */
static void make_room(node *n)
{
    node_receipt *oldest = n->receipts.first;

    for (node_receipt *r = oldest; r != NULL; r = r->next)
        if (r->raised_ms < oldest->raised_ms)
            oldest = r;
    receipt_free(n, oldest);
}

/* Takes the texts over. NULL: no memory. */
static node_receipt *receipt_new(node *n, const sync_receipt *in,
                                 sync_predicate *const *texts)
{
    node_receipt *r = tako_env_alloc(n->env, sizeof *r);

    if (r == NULL) {
        for (size_t i = 0; i < in->text_count; i++)
            node_predicate_drop(n, texts[i]);
        return NULL;
    }
    if (n->receipts.count >= TAKO_RECEIPTS_MAX)
        make_room(n);
    memcpy(r->device, in->device, sizeof r->device);
    memcpy(r->texts, texts, in->text_count * sizeof *texts);
    r->text_count = in->text_count;
    r->passed = in->passed;
    r->id = ++n->receipts.last_id;
    r->next = n->receipts.first;
    n->receipts.first = r;
    n->receipts.count++;
    return r;
}

/* Compiles the texts. TAKO_INVALID: one is not understood, or they are of
 * different collections. */
static tako_err open_texts(node *n, const sync_receipt *in,
                           sync_predicate **texts)
{
    tako_errbuf e = { "" };
    size_t count = 0;
    tako_err err = TAKO_OK;

    while (count < in->text_count && err == TAKO_OK) {
        err = node_predicate_get(n, in->texts[count], TAKO_SLICE_NONE,
                                 &texts[count], &e);
        if (err == TAKO_OK &&
            !tako_slice_eq(query_predicate_collection(texts[0]->query),
                           query_predicate_collection(texts[count++]->query)))
            err = TAKO_INVALID;
    }
    while (err != TAKO_OK && count > 0)
        node_predicate_drop(n, texts[--count]);
    return err == TAKO_OK || err == TAKO_NOMEM ? err : TAKO_INVALID;
}

static void raise(node *n, node_receipt *r, uint64_t lsn, uint64_t via)
{
    if (lsn <= r->lsn)
        return;
    r->lsn = lsn;
    mark(&r->heard, lsn, last_commit(n));
    r->via = via;
    r->raised_ms = node_now(n);
    wake(n);
}

/* TAKO_INVALID: of no use here. */
static tako_err receipt_put(node_link *l, const sync_receipt *in, uint32_t *id)
{
    node *n = l->node;
    sync_predicate *texts[TAKO_RECEIPTS_TEXTS_MAX];
    node_receipt *r = n->receipts.first;

    TAKO_TRY(open_texts(n, in, texts));
    while (r != NULL &&
           (memcmp(r->device, in->device, sizeof r->device) != 0 ||
            r->passed != in->passed || !same_texts(r, texts, in->text_count)))
        r = r->next;
    if (r == NULL)
        r = receipt_new(n, in, texts);
    else
        for (size_t i = 0; i < in->text_count; i++)
            node_predicate_drop(n, texts[i]);
    if (r == NULL)
        return TAKO_NOMEM;
    if (in->name.len > 0 && in->name.len <= TAKO_NAME_BYTES_MAX) {
        memcpy(r->name, in->name.ptr, in->name.len);
        r->name[in->name.len] = '\0';
    }
    raise(n, r, in->lsn, l->id);
    *id = r->id;
    return TAKO_OK;
}

static node_receipt *receipt_of(const node *n, uint32_t id)
{
    node_receipt *r = n->receipts.first;

    while (r != NULL && r->id != id)
        r = r->next;
    return r;
}

void node_receipts_free(node *n)
{
    while (n->receipts.first != NULL)
        receipt_free(n, n->receipts.first);
}

/* ---- what neighbours say ------------------------------------------------------------ */

void node_receipts_kept(node_link *l, tako_slice text, uint64_t lsn)
{
    sync_receipt in = { .name = tako_slice_str(l->who.name),
                        .texts = { text },
                        .text_count = 1,
                        .lsn = lsn };
    uint32_t id;

    memcpy(in.device, l->who.device, sizeof in.device);
    if (lsn > 0) {
        if (text.len <= TAKO_RECEIPTS_TEXT_BYTES_MAX &&
            receipt_put(l, &in, &id) == TAKO_NOMEM)
            node_link_fail(l, TAKO_NOMEM, "out of memory");
        return;
    }
    for (node_receipt *r = l->node->receipts.first; r != NULL; r = r->next)
        if (memcmp(r->device, in.device, sizeof in.device) == 0 &&
            r->text_count == 1 &&
            tako_slice_eq(query_predicate_text(r->texts[0]->query), text))
            take_back(l->node, r);
}

static tako_err on_made(void *ctx, const sync_receipt *in, uint32_t *id)
{
    node_link *l = ctx;

    *id = 0;
    if (memcmp(in->device, l->node->identity->public_key, SEC_KEY_BYTES) == 0)
        return TAKO_OK;
    return receipt_put(l, in, id) == TAKO_NOMEM ? TAKO_NOMEM : TAKO_OK;
}

static void on_raised(void *ctx, uint32_t id, uint64_t lsn)
{
    node_link *l = ctx;
    node_receipt *r = receipt_of(l->node, id);

    if (r != NULL)
        raise(l->node, r, lsn, l->id);
}

/* Another neighbour may still vouch for it. */
static void on_gone(void *ctx, uint32_t id)
{
    node_link *l = ctx;
    node_receipt *r = receipt_of(l->node, id);

    if (r != NULL && r->via == l->id)
        take_back(l->node, r);
}

/* ---- asking --------------------------------------------------------------------------- */

static bool is_fresh(const node *n, const node_asked *a)
{
    return a->who[0] != '\0' && node_now(n) < a->at_ms + NODE_RECEIPTS_ASK_MS;
}

static bool is_asked(const node *n, const node_receipt *r)
{
    for (size_t i = 0; i < TAKO_RECEIPTS_ASKED_MAX; i++) {
        const node_asked *a = &n->receipts.asked[i];

        if (a->who[0] != '\0' &&
            node_now(n) < a->at_ms + NODE_RECEIPTS_ASKED_MS &&
            (strcmp(a->who, r->name) == 0 ||
             node_is_device(n, r->device, a->who)))
            return true;
    }
    return false;
}

/* Remembers the question; false: it is known. */
static bool note_asked(node *n, tako_slice who, unsigned hops)
{
    node_receipts *t = &n->receipts;
    node_asked *a = NULL;

    for (size_t i = 0; i < TAKO_RECEIPTS_ASKED_MAX && a == NULL; i++)
        if (tako_slice_eq(tako_slice_str(t->asked[i].who), who))
            a = &t->asked[i];
    if (a != NULL && is_fresh(n, a))
        return false;
    if (a == NULL)
        a = &t->asked[t->asked_at++ % TAKO_RECEIPTS_ASKED_MAX];
    memcpy(a->who, who.ptr, who.len);
    a->who[who.len] = '\0';
    a->hops = hops;
    a->at_ms = node_now(n);
    wake(n);
    return true;
}

static void ask(node *n, const node_link *from, tako_slice who, unsigned hops)
{
    if (!note_asked(n, who, hops))
        return;
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l != from && hops > 0 && l->session != NULL &&
            l->failed == TAKO_OK && l->receipts.asked)
            sync_session_receipt_ask(l->session, who, hops - 1u);
}

void node_receipts_ask(node *n, const char *peer)
{
    tako_slice who = tako_slice_str(peer);

    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && node_is_device(n, l->who.device, peer))
            return; /* it says it itself */
    if (who.len > 0 && who.len <= TAKO_NAME_BYTES_MAX && !n->stopping)
        ask(n, NULL, who, TAKO_RECEIPTS_HOPS_MAX);
}

static void on_asked(void *ctx, tako_slice who, unsigned hops)
{
    node_link *l = ctx;

    ask(l->node, l, who, hops);
}

const sync_receipts_host node_receipts_host = { on_made, on_raised, on_gone,
                                                on_asked };

/* A neighbour that was not there when it was asked. */
static void ask_again(node *n, node_link *l)
{
    for (size_t i = 0; i < TAKO_RECEIPTS_ASKED_MAX && !l->receipts.asked; i++) {
        const node_asked *a = &n->receipts.asked[i];

        if (a->hops > 0 && is_fresh(n, a))
            sync_session_receipt_ask(l->session, tako_slice_str(a->who),
                                     a->hops - 1u);
    }
    l->receipts.asked = true;
}

/* ---- what is here of what peers have ----------------------------------------------------- */

static node_upto *upto_of(node_link *l, uint32_t user)
{
    node_receipts_link *t = &l->receipts;
    size_t cap = t->cap == 0 ? 4 : t->cap * 2;
    node_upto *grown;

    for (size_t i = 0; i < t->count; i++)
        if (t->subs[i].user == user)
            return &t->subs[i];
    if (t->count == t->cap) {
        grown =
            l->node->env->realloc(l->node->env->ctx, t->subs,
                                  t->cap * sizeof *grown, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        t->subs = grown;
        t->cap = cap;
    }
    t->subs[t->count] =
        (node_upto){ .user = user, .id = ++l->node->receipts.last_id };
    return &t->subs[t->count++];
}

/* Its number may be another's next. What was said because of it is taken back:
 * nobody would do so later. */
void node_receipts_unsubscribed(node *n, uint32_t user)
{
    for (node_link *l = n->links; l != NULL; l = l->next)
        for (size_t i = 0; i < l->receipts.count; i++) {
            node_upto *u = &l->receipts.subs[i];

            if (u->user != user)
                continue;
            for (const node_receipt *r = n->receipts.first;
                 l->session != NULL && r != NULL; r = r->next)
                sync_session_receipt_gone(l->session,
                                          (uint64_t)r->id << 32 | u->id);
            *u = l->receipts.subs[--l->receipts.count];
            break;
        }
    wake(n);
}

void node_receipts_synced(node *n)
{
    uint32_t user;
    uint64_t lsn;

    for (node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL || l->failed != TAKO_OK)
            continue;
        for (size_t i = 0; sync_session_held(l->session, i, &user, &lsn); i++) {
            node_upto *u = lsn > 0 ? upto_of(l, user) : NULL;

            if (u != NULL)
                mark(&u->held, lsn, n->synced_lsn);
            else if (lsn > 0)
                node_link_fail(l, TAKO_NOMEM, "out of memory");
        }
    }
    wake(n);
}

void node_receipts_link_free(node_link *l)
{
    tako_env_free(l->node->env, l->receipts.subs,
                  l->receipts.cap * sizeof *l->receipts.subs);
    l->receipts = (node_receipts_link){ .subs = NULL };
}

/* ---- telling ------------------------------------------------------------------------------ */

/* Of a subscription whose documents stay here whatever becomes of them; NULL:
 * they may leave. */
static sync_predicate *predicate_of(const node *n, uint32_t user)
{
    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next)
        if (sub->id == user)
            return sub->predicate->all || sub->keep || n->archive
                       ? sub->predicate
                       : NULL;
    return NULL;
}

/* By which of our subscriptions at the peer the record's documents come: best
 * by one that adds no condition. */
static node_upto *choose(node_link *l, const node_receipt *r,
                         sync_predicate **more)
{
    tako_slice name = query_predicate_collection(r->texts[0]->query);
    node_upto *best = NULL;

    for (size_t i = 0; i < l->receipts.count; i++) {
        sync_predicate *p = predicate_of(l->node, l->receipts.subs[i].user);
        bool adds = p != NULL && !p->all;

        if (p == NULL ||
            !tako_slice_eq(query_predicate_collection(p->query), name))
            continue;
        for (size_t j = 0; j < r->text_count; j++)
            adds = adds && r->texts[j] != p;
        if (best != NULL && adds)
            continue;
        best = &l->receipts.subs[i];
        *more = adds ? p : NULL;
        if (!adds)
            return best;
    }
    return best;
}

/* The device's place among those that the peer is told of, or one that is
 * free, or that of the one who has least and was not raised lately. */
static size_t place_of(node *n, const node_upto *u, const node_receipt *r)
{
    size_t least = 0;
    uint64_t free_ms;

    for (size_t i = 0; i < TAKO_RECEIPTS_KEEPERS_MAX; i++) {
        if (u->told[i].lsn != 0 &&
            memcmp(u->told[i].device, r->device, sizeof r->device) == 0)
            return i;
        if (u->told[i].lsn < u->told[least].lsn)
            least = i;
    }
    free_ms = u->told[least].raised_ms + NODE_RECEIPTS_FRESH_MS;
    if (u->told[least].lsn == 0)
        return least;
    if (u->told[least].lsn >= r->lsn)
        return TAKO_RECEIPTS_KEEPERS_MAX;
    if (node_now(n) >= free_ms)
        return least;
    if (n->receipts.due_ms > free_ms)
        n->receipts.due_ms = free_ms;
    return TAKO_RECEIPTS_KEEPERS_MAX;
}

/* Is the peer to be told of the device? */
static bool has_place(node *n, node_upto *u, const node_receipt *r)
{
    size_t place = place_of(n, u, r);

    if (place == TAKO_RECEIPTS_KEEPERS_MAX)
        return is_asked(n, r);
    memcpy(u->told[place].device, r->device, sizeof r->device);
    if (u->told[place].lsn < r->lsn)
        u->told[place].lsn = r->lsn;
    u->told[place].raised_ms = r->raised_ms;
    return true;
}

/* How far the peer may be told that the keeper has what the peer had. */
static uint64_t far(node_link *l, const node_upto *u, const node_receipt *r)
{
    uint64_t acked = sync_session_acked(l->session);
    uint64_t theirs = reached(&r->heard, acked);

    l->receipts.waits = l->receipts.waits || theirs < r->lsn;
    theirs = theirs < acked ? theirs : acked;
    return reached(&u->held, theirs);
}

static void tell_one(node *n, node_link *l, const node_receipt *r)
{
    sync_predicate *more = NULL;
    node_upto *u = choose(l, r, &more);
    sync_receipt out = { .name = tako_slice_str(r->name),
                         .passed = r->passed,
                         .lsn = u != NULL ? far(l, u, r) : 0 };

    if (out.lsn == 0 ||
        (more != NULL && (r->text_count + 1u > TAKO_RECEIPTS_TEXTS_MAX ||
                          query_predicate_text(more->query).len >
                              TAKO_RECEIPTS_TEXT_BYTES_MAX)) ||
        !has_place(n, u, r))
        return;
    memcpy(out.device, r->device, sizeof out.device);
    for (size_t i = 0; i < r->text_count; i++)
        out.texts[out.text_count++] = query_predicate_text(r->texts[i]->query);
    if (more != NULL)
        out.texts[out.text_count++] = query_predicate_text(more->query);
    sync_session_receipt(l->session, (uint64_t)r->id << 32 | u->id, &out);
}

void node_receipts_acked(node_link *l)
{
    if (l->receipts.waits)
        wake(l->node);
}

uint64_t node_receipts_deadline(const node *n)
{
    return n->receipts.due_ms;
}

void node_receipts_tick(node *n, uint64_t now_ms)
{
    if (now_ms < n->receipts.due_ms)
        return;
    n->receipts.due_ms = UINT64_MAX;
    if (n->stopping)
        return;
    for (node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL || l->state != NODE_UP || l->failed != TAKO_OK ||
            !sync_session_listed(l->session))
            continue;
        ask_again(n, l);
        l->receipts.waits = false;
        for (const node_receipt *r = n->receipts.first; r != NULL; r = r->next)
            if (r->via != l->id &&
                memcmp(r->device, l->who.device, SEC_KEY_BYTES) != 0)
                tell_one(n, l, r);
        sync_session_receipts_send(l->session);
    }
    n->host->progress(n->host->ctx);
}

/* ---- what is known ------------------------------------------------------------------------- */

void node_receipts_commit(node *n, uint64_t lsn)
{
    node_receipts *t = &n->receipts;

    t->commits[t->commit_count++ % TAKO_RECEIPTS_COMMITS_MAX] = lsn;
}

/* Would we hear of it, if the document became something else where a keeper
 * does not want it any more? */
static bool would_hear(node *n, const node_receipt *r, uint32_t coll,
                       const store_row *row)
{
    bool keep, all = true;

    for (size_t i = 0; i < r->text_count; i++)
        all = all && r->texts[i]->all;
    return all || node_wants(n, coll, row->id, row->body, &keep);
}

bool node_receipts_has(node *n, const uint8_t device[SEC_KEY_BYTES],
                       uint32_t coll, const store_row *row, bool passed)
{
    for (const node_receipt *r = n->receipts.first; r != NULL; r = r->next) {
        bool yes = r->lsn >= row->lsn && (passed || !r->passed) &&
                   memcmp(r->device, device, SEC_KEY_BYTES) == 0;

        for (size_t i = 0; yes && i < r->text_count; i++)
            yes = node_told_of(n, r->texts[i], coll, row);
        if (yes && would_hear(n, r, coll, row))
            return true;
    }
    return false;
}

const char *node_receipts_name(const node *n,
                               const uint8_t device[SEC_KEY_BYTES])
{
    for (const node_receipt *r = n->receipts.first; r != NULL; r = r->next)
        if (r->name[0] != '\0' && memcmp(r->device, device, SEC_KEY_BYTES) == 0)
            return r->name;
    return NULL;
}
