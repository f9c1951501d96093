// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_BLOBS -- attachments among a few nodes, with real stores and messages
 * that the test moves. */
#ifndef TAKO_TESTS_SYNC_SUPPORT_BLOBS_H
#define TAKO_TESTS_SYNC_SUPPORT_BLOBS_H

#include "store/support_blob.h"
#include "sync/blobs.h"
#include "sync/support_net.h"

#define BLOBS_LEN   (40u * 15360u + 99u)
#define BLOBS_LINKS 8

typedef struct mesh mesh;

typedef struct link {
    mesh *m;
    unsigned node[2];
    sync_blob_peer *peer[2];
    bool up;
    bool cut[2];  /* what this end sends is lost */
    bool lies[2]; /* and this end's parts are wrong */
} link;

struct mesh {
    net n;
    sync_blobs *b[NET_NODES];
    sync_blobs_host host[NET_NODES];
    unsigned busy[NET_NODES]; /* so often the writer is not free */
    bool automatic[NET_NODES];
    uint32_t events[NET_NODES][4];
    link links[BLOBS_LINKS];
    unsigned link_count;
    uint64_t now;
    uint64_t messages;
    tako_err last; /* error of a session */
};

void blobs_begin(mesh *m, uint64_t seed, unsigned nodes);
void blobs_end(mesh *m);
/* After sync_blobs_free(): its process starts. */
void blobs_node_begin(mesh *m, unsigned i);
link *blobs_join(mesh *m, unsigned a, unsigned b);
void blobs_link_down(link *l);
void blobs_link_up(link *l);
/* One message of any end; false: there is none. */
bool blobs_move_any(mesh *m);
/* So many milliseconds; stops early when nothing moves any more. */
void blobs_run(mesh *m, uint64_t ms);

/* Content n of this length, at a node. */
void blobs_put(mesh *m, unsigned node, uint64_t n, uint64_t len,
               uint8_t id[32]);
void blobs_fetch(mesh *m, unsigned node, const uint8_t id[32], uint64_t len);
bool blobs_here(mesh *m, unsigned node, const uint8_t id[32], uint64_t n,
                uint64_t len);
sync_blobs_counts blobs_counts(mesh *m, unsigned node);
uint32_t blobs_parts_of(uint64_t len);

#endif /* TAKO_TESTS_SYNC_SUPPORT_BLOBS_H */
