// SPDX-License-Identifier: Apache-2.0
/* KEEPERS -- who keeps what of ours (SYNC.md 3), and saying what we keep.
 *
 * A device says KEPT for each of its subscriptions: all that matches and was
 * here by a commit of ours is on its disk. That is remembered, also over a
 * restart, in table `keeper`, and written there lazily: what the file says is
 * only ever behind what the device said. So a state of commit x is kept by
 * that device if its number reaches x and its text matches the state.
 *
 * We say KEPT after a sync of the store that is made for that, at most once in
 * NODE_KEPT_MS; nobody's acknowledgement waits for it. With the same beat a
 * session that has been told KEPT says how far it is (sync_session_close), or
 * what a keeper sent us would never count as known to it.
 *
 * It is no leave to let go: who said KEPT may have gone since. Only an archive,
 * which never lets go, is taken by its word; anybody else is asked (mayi.c). */
#include "node/internal.h"

static node_keeper *keeper_find(node *n, const uint8_t device[SEC_KEY_BYTES],
                                tako_slice text)
{
    for (node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (memcmp(k->device, device, SEC_KEY_BYTES) == 0 &&
            tako_slice_eq(query_predicate_text(k->predicate->query), text))
            return k;
    return NULL;
}

static node_keeper *keeper_add(node *n, const uint8_t device[SEC_KEY_BYTES],
                               tako_slice text)
{
    node_keeper *k;
    tako_errbuf e = { "" };

    if (n->keeper_count >= TAKO_KEEPERS_MAX)
        return NULL;
    k = tako_env_alloc(n->env, sizeof *k);
    if (k == NULL)
        return NULL;
    if (node_predicate_get(n, text, TAKO_SLICE_NONE, &k->predicate, &e) !=
        TAKO_OK) {
        tako_env_free(n->env, k, sizeof *k);
        return NULL;
    }
    memcpy(k->device, device, SEC_KEY_BYTES);
    k->next = n->keepers;
    n->keepers = k;
    n->keeper_count++;
    return k;
}

static void keeper_free(node *n, node_keeper *k)
{
    node_keeper **at = &n->keepers;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    n->keeper_count--;
    node_predicate_drop(n, k->predicate);
    tako_env_free(n->env, k, sizeof *k);
}

void node_keepers_free(node *n)
{
    while (n->keepers != NULL)
        keeper_free(n, n->keepers);
}

static tako_err load_one(void *ctx, const store_keeper *in)
{
    node *n = ctx;
    node_keeper *k = keeper_add(n, in->device, in->text);

    if (k != NULL) { /* else it will say it again */
        k->lsn = in->lsn;
        k->archive = in->archive;
    }
    return TAKO_OK;
}

tako_err node_keepers_load(node *n, tako_errbuf *e)
{
    return store_keepers(n->reader, load_one, n, e);
}

/* ---- what others say ----------------------------------------------------------- */

static void changed(node *n, node_keeper *k)
{
    k->changed = true;
    n->keepers_changed = true;
}

void node_kept(void *ctx, tako_slice text, uint64_t lsn, bool archive)
{
    node_link *l = ctx;
    node *n = l->node;
    node_keeper *k = keeper_find(n, l->who.device, text);

    node_receipts_kept(l, text, lsn);
    if (lsn == 0) {
        if (k == NULL)
            return;
        k->lsn = 0;
        k->gone = true;
        changed(n, k);
        return;
    }
    if (k == NULL)
        k = keeper_add(n, l->who.device, text);
    if (k == NULL)
        return;
    k->gone = false;
    k->archive = archive;
    node_clock_role(n, l->who.device, archive);
    if (lsn > k->lsn) {
        k->lsn = lsn;
        changed(n, k);
    }
    node_leave_wake(n);
    n->host->progress(n->host->ctx);
}

static bool serves(const node_link *l, tako_slice text)
{
    tako_slice one;
    bool in_sync;

    for (size_t i = 0; sync_session_served(l->session, i, &one, &in_sync); i++)
        if (tako_slice_eq(one, text))
            return true;
    return false;
}

/* A device that dropped a subscription while it was away says nothing of it. */
static void compare(node *n, node_link *l)
{
    if (l->listed || l->session == NULL || !sync_session_listed(l->session))
        return;
    l->listed = true;
    for (node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (memcmp(k->device, l->who.device, SEC_KEY_BYTES) == 0 &&
            !serves(l, query_predicate_text(k->predicate->query))) {
            k->lsn = 0;
            k->gone = true;
            changed(n, k);
            node_receipts_kept(l, query_predicate_text(k->predicate->query), 0);
        }
}

/* What was said, into the file. */
static void write_down(node *n, store *st)
{
    node_keeper *next;
    tako_err err = TAKO_OK;

    for (node_keeper *k = n->keepers; k != NULL && err == TAKO_OK; k = next) {
        store_keeper out = { .text = query_predicate_text(k->predicate->query),
                             .lsn = k->lsn,
                             .archive = k->archive };

        next = k->next;
        if (!k->changed)
            continue;
        memcpy(out.device, k->device, sizeof out.device);
        err = store_keeper_put(st, &out, NULL);
        if (err != TAKO_OK)
            return;
        k->changed = false;
        if (k->gone)
            keeper_free(n, k);
    }
    n->keepers_changed = false;
}

/* ---- what we say ---------------------------------------------------------------- */

static bool kept_due(node *n)
{
    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && l->failed == TAKO_OK &&
            sync_session_kept_due(l->session))
            return true;
    return false;
}

uint64_t node_keepers_deadline(const node *n)
{
    return n->kept_ms;
}

static bool synced(node *n, store *st)
{
    if (store_flush(st) != TAKO_OK)
        return false;
    n->synced_lsn = store_lsn(st);
    return true;
}

bool node_synced(node *n)
{
    store *st = n->stopping ? NULL : n->host->write_try(n->host->ctx);
    bool done;

    if (st == NULL)
        return false;
    done = synced(n, st);
    n->host->write_end(n->host->ctx, 0);
    return done;
}

/* Is there anything to say, or to write down? */
static bool is_due(node *n)
{
    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && l->failed == TAKO_OK &&
            (sync_session_kept_due(l->session) ||
             sync_session_close_due(l->session) ||
             (!l->listed && sync_session_listed(l->session))))
            return true;
    return n->keepers_changed;
}

void node_keepers_look(node *n, uint64_t now_ms)
{
    if (n->kept_ms == UINT64_MAX && is_due(n))
        n->kept_ms = now_ms + NODE_KEPT_MS;
}

void node_keepers_tick(node *n, uint64_t now_ms)
{
    bool say, safe = false;
    store *st;

    if (now_ms < n->kept_ms)
        return;
    n->kept_ms = UINT64_MAX;
    for (node_link *l = n->links; l != NULL; l = l->next)
        compare(n, l);
    say = kept_due(n);
    st = say || n->keepers_changed ? n->host->write_try(n->host->ctx) : NULL;
    if (st != NULL) {
        if (n->keepers_changed)
            write_down(n, st);
        safe = say && synced(n, st);
        n->host->write_end(n->host->ctx, 0);
    }
    if (safe)
        node_receipts_synced(n);
    for (node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL || l->failed != TAKO_OK)
            continue;
        if (safe)
            sync_session_kept(l->session, n->archive);
        sync_session_close(l->session);
    }
}

/* ---- who keeps a state ------------------------------------------------------------ */

bool node_is_archive(const node *n, const uint8_t device[SEC_KEY_BYTES])
{
    for (const node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (k->archive && !k->gone &&
            memcmp(k->device, device, SEC_KEY_BYTES) == 0)
            return true;
    return false;
}

static bool takes(node *n, const node_keeper *k, uint32_t coll,
                  const store_row *row)
{
    return !k->gone &&
           tako_slice_eq(query_predicate_collection(k->predicate->query),
                         store_coll_name(n->reader, coll)) &&
           node_predicate_match(n, k->predicate, row->id, row->body);
}

static bool keeps(node *n, const node_keeper *k, uint32_t coll,
                  const store_row *row)
{
    return k->lsn >= row->lsn && takes(n, k, coll, row);
}

bool node_has_archive(node *n, uint32_t coll, const store_row *row)
{
    for (const node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (k->archive && takes(n, k, coll, row))
            return true;
    return false;
}

const uint8_t *node_archived(node *n, uint32_t coll, const store_row *row)
{
    for (const node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (k->archive && keeps(n, k, coll, row))
            return k->device;
    return NULL;
}

bool node_is_kept(node *n, uint32_t coll, const store_row *row)
{
    for (const node_keeper *k = n->keepers; k != NULL; k = k->next)
        if (keeps(n, k, coll, row))
            return true;
    return false;
}

/* ---- who keeps a commit ------------------------------------------------------------ */

/* A deletion is told to who wanted the document before, which nobody can tell
 * any more: only of who wants the whole collection it is sure that no older
 * state is there. */
bool node_told_of(node *n, sync_predicate *p, uint32_t coll,
                  const store_row *row)
{
    return tako_slice_eq(query_predicate_collection(p->query),
                         store_coll_name(n->reader, coll)) &&
           (row->body.len > 0 ? node_predicate_match(n, p, row->id, row->body)
                              : p->all);
}

/* Devices, of which fewer and fewer are left. */
typedef struct holders {
    node *n;
    bool have; /* to have it is enough */
    uint8_t (*devices)[SEC_KEY_BYTES];
    size_t count;
} holders;

static bool is_wanted(node *n, const node_link *l, uint32_t coll,
                      const store_row *row)
{
    tako_slice text;
    bool in_sync;

    for (size_t i = 0; sync_session_served(l->session, i, &text, &in_sync); i++)
        for (sync_predicate *p = n->predicates; p != NULL; p = p->next)
            if (in_sync &&
                tako_slice_eq(query_predicate_text(p->query), text) &&
                node_told_of(n, p, coll, row))
                return true;
    return false;
}

/* It is a neighbour that wants the document, and has acknowledged it. */
static bool acknowledged(node *n, const uint8_t device[SEC_KEY_BYTES],
                         uint32_t coll, const store_row *row)
{
    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL &&
            memcmp(l->who.device, device, SEC_KEY_BYTES) == 0 &&
            sync_session_acked(l->session) >= row->lsn &&
            is_wanted(n, l, coll, row))
            return true;
    return false;
}

static bool holds(const holders *h, const uint8_t device[SEC_KEY_BYTES],
                  uint32_t coll, const store_row *row)
{
    for (const node_keeper *k = h->n->keepers; k != NULL; k = k->next)
        if (memcmp(k->device, device, SEC_KEY_BYTES) == 0 && !k->gone &&
            k->lsn >= row->lsn && node_told_of(h->n, k->predicate, coll, row))
            return true;
    return node_receipts_has(h->n, device, coll, row, h->have) ||
           (h->have && acknowledged(h->n, device, coll, row));
}

/* Takes out those that have not this document as it is. */
static void narrow(holders *h, const store_touch *t)
{
    store_row row;
    size_t left = 0;

    if (store_get_row(h->n->reader, t->coll, t->row, &row) != TAKO_OK)
        return;
    if (store_row_is_marker(&row)) {
        h->count = h->count > 1 ? 1 : h->count;
        return;
    }
    for (size_t i = 0; i < h->count; i++)
        if (holds(h, h->devices[i], t->coll, &row))
            memmove(h->devices[left++], h->devices[i], SEC_KEY_BYTES);
    h->count = left;
}

static void add_device(holders *h, const uint8_t device[SEC_KEY_BYTES],
                       const char *peer)
{
    for (size_t i = 0; i < h->count; i++)
        if (memcmp(h->devices[i], device, SEC_KEY_BYTES) == 0)
            return;
    if (h->count < NODE_HOLDERS_MAX && node_is_device(h->n, device, peer))
        memcpy(h->devices[h->count++], device, SEC_KEY_BYTES);
}

static void all_devices(holders *h, const char *peer)
{
    for (const node_keeper *k = h->n->keepers; k != NULL; k = k->next)
        if (!k->gone)
            add_device(h, k->device, peer);
    for (const node_link *l = h->n->links; l != NULL; l = l->next)
        if (h->have && l->session != NULL)
            add_device(h, l->who.device, peer);
    for (const node_receipt *r = h->n->receipts.first; r != NULL; r = r->next)
        if (h->have || !r->passed)
            add_device(h, r->device, peer);
}

size_t node_holders(node *n, const char *peer, uint64_t lsn, bool have,
                    uint8_t devices[NODE_HOLDERS_MAX][SEC_KEY_BYTES])
{
    holders h = { n, have, devices, 0 };
    tako_arena a = tako_arena_on(n->env);
    size_t touches = 0;
    store_touch *touched = NULL;
    uint64_t found = 0;
    tako_err err = TAKO_NOTFOUND;

    all_devices(&h, peer);
    if (lsn > 0 && !n->read_only) /* what it wrote is refused, and goes */
        err =
            store_feed_next(n->reader, lsn - 1, &a, &found, &touched, &touches);
    if (err != TAKO_OK || found != lsn)
        h.count = 0; /* not made, or nobody can tell any more */
    for (size_t i = 0; i < touches && h.count > 0; i++)
        narrow(&h, &touched[i]);
    tako_arena_fini(&a);
    return h.count;
}

static uint32_t count_of(node *n, const char *peer, uint64_t lsn, bool have)
{
    uint8_t devices[NODE_HOLDERS_MAX][SEC_KEY_BYTES];
    size_t count = node_holders(n, peer, lsn, have, devices);

    if (count == 0 && peer != NULL)
        node_receipts_ask(n, peer);
    return (uint32_t)count;
}

uint32_t node_kept_by(node *n, const char *peer, uint64_t lsn)
{
    return count_of(n, peer, lsn, false);
}

bool node_has(node *n, const char *peer, uint64_t lsn)
{
    return count_of(n, peer, lsn, true) > 0;
}
