// SPDX-License-Identifier: Apache-2.0
/* NODE -- one device's side of the mesh: the logic of the one event loop.
 *
 * It joins what knows nothing of each other: links (mesh) carry the bytes of
 * sessions (sync), which read and write the store; predicates (query) decide
 * what a neighbour wants; peers are dialled and redialled; commits, local and
 * merged, become deltas to every interested neighbour.
 *
 * Every function is called on the loop's thread (tako_net of base/net.h),
 * except where said. The host (api) owns the store, its lock, and the loop. */
#ifndef TAKO_NODE_NODE_H
#define TAKO_NODE_NODE_H

#include "base/net.h"
#include "mesh/link.h"
#include "store/store.h"
#include "sync/blobs.h"

typedef struct node node;

/* What one commit changed: a copy of store_changes, so that it can cross
 * threads. One block of memory. */
typedef struct node_commit node_commit;

/* Copies the last commit's changes while the writer is still locked. */
tako_err node_commit_copy(const tako_env *env, store *s, uint64_t lsn,
                          node_commit **out);
void node_commit_free(node_commit *c);

/* What the host does for the node. */
typedef struct node_host {
    void *ctx;
    /* Locks the writer for the node; NULL while shutting down. */
    store *(*write_begin)(void *ctx);
    /* The same, but NULL at once when somebody else has it: for what can wait,
     * as the program may keep a transaction open for as long as it likes. */
    store *(*write_try)(void *ctx);
    /* Lets go. lsn: the commit just made (0 none), whose store_changes the host
     * hands to its observers. The node tells its own sessions itself. */
    void (*write_end)(void *ctx, uint64_t lsn);
    /* A peer acknowledged, a link came or went, a subscription caught up:
     * something that a waiting app thread may be waiting for. */
    void (*progress)(void *ctx);
    /* Are attachments of documents here fetched by themselves? NULL: no. */
    bool (*fetches)(void *ctx);
} node_host;

typedef struct node_opts {
    const tako_env *env;
    const tako_net *net;
    const node_host *host;
    store_conn *reader; /* the node's own */
    const sec_identity *identity;
    const sec_mesh *mesh;
    const char *name; /* of this device */
    bool read_only;   /* its grant has no right to write */
    bool archive;     /* what is here never leaves by itself, and so is kept */
} node_opts;

tako_err node_new(const node_opts *opts, node **out, tako_errbuf *e);
/* Starts to close listeners and links; then calls done(ctx) once, after which
 * node_free may be called. */
void node_stop(node *n, void (*done)(void *ctx), void *ctx);
void node_free(node *n);

tako_err node_listen(node *n, const char *address,
                     char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e);
/* Dials now and redials for ever with back-off. TAKO_INVALID, TAKO_EXISTS,
 * TAKO_LIMIT; removing: TAKO_NOTFOUND */
tako_err node_peer_add(node *n, const char *address, tako_errbuf *e);
tako_err node_peer_remove(node *n, const char *address);

/* TAKO_INVALID (e: why it is no subscription), TAKO_LIMIT */
tako_err node_subscribe(node *n, uint32_t id, tako_slice text,
                        tako_slice params, tako_errbuf *e);
tako_err node_unsubscribe(node *n, uint32_t id);
/* The same with KEEP: what leaves it stays here, as it was last. */
tako_err node_subscribe_keep(node *n, uint32_t id, tako_slice text,
                             tako_slice params, tako_errbuf *e);

/* A commit of the app; takes the record over. In commit order. */
void node_on_commit(node *n, node_commit *take);

/* One that could not be handed over, for lack of memory: before any later one
 * is told, the sessions start over from summaries. */
void node_on_commit_lost(node *n);

/* True when `peer` (name or hex key; NULL any) has acknowledged all that it
 * wants up to commit lsn. */
bool node_acknowledged(const node *n, const char *peer, uint64_t lsn);

/* Documents that came in cuts over all links, and how many changed something. */
void node_copies(const node *n, uint64_t *copies, uint64_t *fresh);

/* How many devices, neighbours or further away, are known to keep, on disk,
 * every document of this commit as it is now; only `peer` (name or hex key; NULL
 * any; who is no neighbour is asked about from then on). Of documents that left
 * since, one does. Counts NODE_HOLDERS_MAX at most. */
uint32_t node_kept_by(node *n, const char *peer, uint64_t lsn);

/* Those devices. have: also those that have the commit and do not keep it. */
#define NODE_HOLDERS_MAX 64u
size_t node_holders(node *n, const char *peer, uint64_t lsn, bool have,
                    uint8_t devices[NODE_HOLDERS_MAX][SEC_KEY_BYTES]);
/* Is it known of `peer` that it has the commit? */
bool node_has(node *n, const char *peer, uint64_t lsn);

/* Attachments: fetches a content from neighbours until it is here whole.
 * TAKO_EXISTS (it is, or is being fetched), TAKO_LIMIT; the others:
 * TAKO_NOTFOUND, it is not being fetched */
tako_err node_blob_fetch(node *n, const uint8_t id[BLOB_ID_BYTES], uint64_t len,
                         tako_errbuf *e);
tako_err node_blob_cancel(node *n, const uint8_t id[BLOB_ID_BYTES]);
tako_err node_blob_state(const node *n, const uint8_t id[BLOB_ID_BYTES],
                         sync_blob_state *out);

/* All subscriptions are in sync, on all links and one at least; and those of
 * all neighbours. */
bool node_in_sync(const node *n);
/* Appends the inside of a JSON object: "links":[...],"subscriptions":[...],... */
tako_err node_status(node *n, tako_buf *json);

#endif /* TAKO_NODE_NODE_H */
