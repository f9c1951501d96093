// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_NET -- some nodes with real stores, and links between them that are
 * queues in memory. Subscriptions are "collection" or "collection?status",
 * the latter matching documents whose field s is that text. */
#ifndef TAKO_TESTS_SYNC_SUPPORT_NET_H
#define TAKO_TESTS_SYNC_SUPPORT_NET_H

#include "support/test_env.h"
#include "support/test_files.h"
#include "base/limits.h"
#include "sync/session.h"
#include "sync/tables.h"

#define NET_NODES 5
#define NET_LINKS 10

typedef struct net_message {
    struct net_message *next;
    size_t len;
    uint8_t bytes[];
} net_message;

typedef struct net_queue {
    net_message *first, *last;
    size_t bytes;
} net_queue;

typedef struct net_commit {
    struct net_commit *next;
    uint64_t lsn;
    crdt_actor actor; /* ours, when it was made */
    sync_session *by; /* whose merge it was */
    bool merged;
    store_change *changes;
    size_t count;
    tako_arena arena;
} net_commit;

struct net;

typedef struct net_node {
    struct net *net;
    char path[128];
    tako_files files;
    sync_host host;
    store *st;
    store_conn *reader;
    sync_tables *tables;
    net_commit *first, *last; /* not yet told */
    sync_session *writing;
    sync_session *asking; /* the one that runs, or ran last */
    uint32_t events[16];
    char refused[128];
    const char *subs[8];
    size_t sub_count;
    uint8_t boot;   /* of its machine */
    sync_bars bars; /* what it may not do */
} net_node;

typedef struct net_end {
    net_node *node;
    sync_session *session;
    net_queue out[SYNC_LANES];
    uint64_t round_trips; /* turns in which it had to wait */
} net_end;

typedef struct net_link {
    bool up;
    net_end ends[2];
} net_link;

typedef struct net {
    test_env t;
    char dir[64];
    uint64_t now;
    bool forgetful;     /* no checkpoints are kept */
    bool slow_commits;  /* on_commit is told later, at random */
    size_t room;        /* bytes that a lane takes */
    uint64_t kinds[64]; /* bytes sent of each kind of message */
    void (*tap)(void *ctx, unsigned lane, tako_slice message); /* or NULL */
    void *tap_ctx;
    size_t node_count, link_count;
    net_node nodes[NET_NODES];
    net_link links[NET_LINKS];
    tako_err last_error;
    tako_errbuf why;
} net;

void net_init(net *n, uint64_t seed, size_t nodes);
void net_fini(net *n);

/* What the disk of a node holds now, under a name; and the node as it starts
 * with that again, after a crash or a rollback (its links go down). The image
 * may be another node's: then it is that one's running copy. */
void net_save(net *n, size_t node, const char *image);
void net_restore(net *n, size_t node, const char *image);
net_link *net_connect(net *n, size_t a, size_t b);
void net_reconnect(net *n, net_link *l);
void net_disconnect(net *n, net_link *l);
void net_subscribe(net *n, size_t node, const char *text);
void net_subscribe_all(net *n, const char *text);
/* Fails the test when live documents differ somewhere. */
void net_check_equal(net *n, const char *coll);

/* Each returns whether anything happened. An error of a session takes its
 * link down and is kept in last_error. */
bool net_send(net *n, net_link *l, int end);
bool net_deliver(net *n, net_link *l, int end, int lane);
bool net_tell(net *n, size_t node);
/* One random thing. */
void net_step(net *n);
/* Both ends of a link say all that they can, then hear it: half a round trip.
 * False: there was nothing to say. */
bool net_half_trip(net *n, net_link *l);
/* Bytes sent since, of what is no greeting and no document. */
uint64_t net_overhead(const net *n, const uint64_t before[64]);
/* Until nothing moves; and so many times more, each after all that waits a
 * second would be due. */
void net_settle(net *n);
/* All but what is held, and what is behind that on its lane. */
typedef bool net_held(const net_link *l, int end, int lane);
void net_settle_but(net *n, net_held *held);
void net_settle_later(net *n, int turns);

/* Writes, each its own transaction unless inside net_begin / net_commit. */
void net_begin(net *n, size_t node);
void net_commit_now(net *n, size_t node);
void net_insert(net *n, size_t node, const char *coll, uint64_t id,
                const char *status, const char *pad);
void net_set(net *n, size_t node, const char *coll, uint64_t id,
             const char *field, const char *value);
void net_delete(net *n, size_t node, const char *coll, uint64_t id);
void net_evict(net *n, size_t node, const char *coll, uint64_t id, bool force);
/* Text under a field, "" when absent, "-" when there is no such document, "x"
 * a tombstone, "e" evicted. */
const char *net_get(net *n, size_t node, const char *coll, uint64_t id,
                    const char *field);
/* Sum over everything stored, tombstones included. */
uint64_t net_hash(net *n, size_t node, const char *coll);
uint64_t net_live_count(net *n, size_t node);
tako_slice net_id(uint64_t id, uint8_t out[32]);

#endif /* TAKO_TESTS_SYNC_SUPPORT_NET_H */
