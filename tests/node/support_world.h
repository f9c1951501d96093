// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_WORLD -- nodes with real stores, TLS and queries on a fake tako_net,
 * in one thread, under one fake clock. Streams are pairs of queues; the world
 * moves bytes and fires timers. */
#ifndef TAKO_TESTS_NODE_SUPPORT_WORLD_H
#define TAKO_TESTS_NODE_SUPPORT_WORLD_H

#include "support/test_env.h"
#include "support/test_files.h"
#include "node/node.h"
#include "query/query.h"

#define WORLD_NODES     4
#define WORLD_LISTENERS 8

typedef struct world world;
typedef struct world_node world_node;

struct tako_stream {
    tako_stream *next;
    tako_stream *other; /* NULL: closed, or never connected */
    world_node *owner;
    const tako_stream_events *events;
    void *user;
    tako_buf in; /* sent by the other side, not yet given */
    bool opening, closing, drain_due;
    tako_err why;
    const char *detail;
};

struct tako_listener {
    char address[TAKO_ADDRESS_BYTES_MAX];
    tako_accept_fn *accept;
    void *ctx;
    bool used;
};

typedef struct world_commit {
    struct world_commit *next;
    node_commit *commit;
} world_commit;

struct world_node {
    world *w;
    size_t index;
    char path[128];
    char name[32];
    tako_files files;
    tako_net net;
    node_host host;
    store *st;
    store_conn *reader;
    sec_identity identity;
    node *n;
    bool stopped;
    uint64_t timer_ms;
    void (*timer)(void *);
    void *timer_ctx;
    uint32_t progress;
    uint8_t boot;   /* of its machine */
    bool tx_open;   /* the program has the writer */
    bool fetches;   /* attachments by itself */
    bool archive;   /* from its next start on */
    bool read_only; /* likewise */
    uint32_t dials;
    tako_env env;
    int64_t wrong_ms; /* its wall clock is ahead by so much */
};

struct world {
    test_env t;
    char dir[64];
    sec_mesh mesh;
    world_node nodes[WORLD_NODES];
    size_t count;
    tako_listener listeners[WORLD_LISTENERS];
    tako_stream *streams;
    size_t queued_max; /* most bytes that ever waited in a stream */
    bool unplugged;    /* dialling fails, bytes stand still */
};

void world_init(world *w, uint64_t seed, size_t nodes);
void world_fini(world *w);
void world_start(world *w, size_t at);
void world_stop(world *w, size_t at);
/* What the disk of a node holds now, under a name; and the node, stopped and
 * started with that again on another boot of the machine. */
void world_save(world *w, size_t at, const char *image);
void world_power_failure(world *w, size_t at, const char *image);
/* Breaks every stream of a node. */
void world_break(world *w, size_t at);
/* Until nothing moves at this time; then time goes on to the next timer, up
 * to so many milliseconds. */
void world_run(world *w, uint64_t ms);

#define WORLD_ALL "SELECT * FROM orders"
/* The node's own calls, which must succeed. */
void world_listen(world *w, size_t at, const char *address);
void world_subscribe(world *w, size_t at, uint32_t id, const char *text);
void world_dial(world *w, size_t at, const char *address);
void world_insert(world *w, size_t at, unsigned id, const char *status);

/* Runs a statement on a node, tells it, returns the commit. */
uint64_t world_do(world *w, size_t at, const char *statement);
/* The same without telling: the record is the caller's. */
node_commit *world_do_quietly(world *w, size_t at, const char *statement);
uint64_t world_count(world *w, size_t at);
bool world_equal(world *w);
/* The status, valid until the next call. */
const char *world_status(world *w, size_t at, tako_buf *out);
size_t world_links_up(world *w, size_t at);

#endif /* TAKO_TESTS_NODE_SUPPORT_WORLD_H */
