// SPDX-License-Identifier: Apache-2.0
/* WORLD -- devices that run the shipping code on virtual time.
 *
 * A world is a queue of events in virtual microseconds, and nodes: each with
 * its own clock, memory, random numbers, disk and network, all from one seed.
 * One event at a time is taken from the queue and the clock jumps to it, so
 * the same seed gives the same world, and an hour passes in a second.
 *
 * A node's code runs between sim_enter() and sim_leave(). Where its disk comes
 * to an end in between (power, kill), what it still does has no effect on
 * anything, and at the outermost leave its memory is given back through the
 * usual functions, which must give back all of it: a leak is a finding.
 *
 * Nothing here is read from the process's clocks or random numbers; `env` is
 * the simulator's own memory only. */
#ifndef TAKO_SIM_WORLD_H
#define TAKO_SIM_WORLD_H

#include "node/node.h"
#include "query/query.h"
#include "sim/disk.h"

#define SIM_NODES_MAX        64u
#define SIM_SUBS_MAX         8u
#define SIM_SETUP_BYTES_MAX  256u
#define SIM_LINE_BYTES_MAX   480u
#define SIM_LAST_LINES       40u
#define SIM_EVENTS_MAX       (1u << 20)
#define SIM_MS               UINT64_C(1000) /* in microseconds */
#define SIM_SECOND           UINT64_C(1000000)
#define SIM_EPOCH_MS         UINT64_C(1700000000000) /* when worlds begin */
#define SIM_NODE_BYTES_MAX   (64u << 20) /* of one node, unless it says less */
#define SIM_STREAM_BYTES_MAX (32u << 20) /* queued in one stream */
#define SIM_GRACE_MS         UINT64_C(86400000) /* unless a scenario says less */

typedef struct sim_world sim_world;
typedef struct sim_node sim_node;
typedef void sim_event_fn(sim_world *w, void *ctx, uint64_t number);

/* A subscription of a node. */
typedef struct sim_sub {
    uint32_t id;
    char *text;
} sim_sub;

struct sim_node {
    sim_world *world;
    size_t index;
    char name[TAKO_NAME_BYTES_MAX + 1];
    tako_env env;
    sim_random random; /* what env->random gives */
    sim_disk *disk;
    store_durability durability;
    bool archive;
    bool reads_only;   /* its grant has no right to write */
    bool fetches;      /* what its documents refer to, by itself */
    uint64_t grace_ms; /* of attachments that nobody refers to */
    char setup[SIM_SETUP_BYTES_MAX]; /* what its app does at each start */
    sim_sub subs[SIM_SUBS_MAX];
    size_t sub_count;

    /* a run: from a start to its end */
    bool up;
    uint64_t run; /* counts them */
    unsigned depth;
    store *store;
    store_conn *reader;
    node *node;
    tako_net net;
    node_host host;
    sec_identity identity;
    bool stopping, stopped;
    bool dying;
    bool watched; /* somebody looks from above: no faults meanwhile */
    uint32_t start_tries;
    uint64_t timer_us; /* UINT64_MAX: none */
    void (*timer)(void *ctx);
    void *timer_ctx;
    uint64_t restart_us;    /* after an end: so much later; 0: not by itself */
    uint64_t restart_asked; /* counts; an older one is void */

    /* clocks */
    uint64_t boot_us; /* when mono began */
    int64_t skew_ms;
    bool stuck;
    uint64_t stuck_ms;

    /* what it may use */
    size_t live_bytes, live_blocks, peak_bytes, limit_bytes;
    uint32_t oom_ppm;
    uint64_t oom_at; /* the n-th allocation from now fails; 0 none */
    uint32_t slow;   /* times the usual CPU */
    uint64_t busy_until_us;

    crdt_actor actor; /* whose key `identity` is */
    uint64_t commits, merges, ends, oom_hits;
    uint64_t sent_bytes, received_bytes;
};

/* Who looks on. Any of them may be NULL. */
typedef struct sim_watch {
    void *ctx;
    /* After a commit, own or merged, inside the node: store_changes are its. */
    void (*committed)(void *ctx, sim_node *n, uint64_t lsn, bool own);
    /* A run began (the store is open) or ended. */
    void (*started)(void *ctx, sim_node *n);
    void (*ended)(void *ctx, sim_node *n, sim_disk_end how);
    /* Its store is about to be closed: what of it is in use is given back. */
    void (*closing)(void *ctx, sim_node *n);
    void *closing_ctx;
    /* One line of the world's log. */
    void (*line)(void *ctx, const char *line);
    void *line_ctx;
} sim_watch;

typedef struct sim_event {
    uint64_t at_us, seq;
    sim_event_fn *fn;
    void *ctx;
    uint64_t number;
} sim_event;

typedef struct sim_net sim_net;

struct sim_world {
    const tako_env *env; /* the simulator's memory */
    uint64_t seed;
    sim_random random; /* delays, losses: what the world itself decides */
    uint64_t now_us;
    sim_event *events; /* a heap */
    size_t event_count, event_cap;
    uint64_t event_seq, events_done;
    sim_node *nodes[SIM_NODES_MAX];
    size_t count;
    sim_net *net;
    struct sim_blobs *blobs; /* NULL: no attachments */
    sec_mesh mesh;
    sim_watch watch;
    uint64_t trace;
    uint64_t healings; /* what began before one is over */
    bool faulted;      /* something went wrong already */
    char last[SIM_LAST_LINES][SIM_LINE_BYTES_MAX];
    uint64_t line_count;
    bool quiet;  /* nothing is written down any more */
    bool failed; /* the first failure ends the run */
    char checker[64];
    char failure[SIM_LINE_BYTES_MAX];
    uint64_t failed_us;
};

sim_world *sim_world_new(const tako_env *env, uint64_t seed);
void sim_world_free(sim_world *w);

/* ---- events ------------------------------------------------------------- */

/* fn(w, ctx, number) at virtual time at_us (now, when that is past). */
void sim_at(sim_world *w, uint64_t at_us, sim_event_fn *fn, void *ctx,
            uint64_t number);
/* One event at or before end_us; false when there is none, and then it is
 * end_us. */
bool sim_step(sim_world *w, uint64_t end_us);
void sim_run_until(sim_world *w, uint64_t end_us);

/* ---- what happened -------------------------------------------------------- */

/* One line for people, part of the trace hash; n may be NULL. */
void sim_note(sim_world *w, const sim_node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* For the hash alone. */
void sim_trace(sim_world *w, uint64_t a, uint64_t b);
/* The first call counts. */
void sim_fail(sim_world *w, const char *checker, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t sim_trace_hash(const sim_world *w);

/* ---- nodes ---------------------------------------------------------------- */

/* Made, not started. */
sim_node *sim_node_add(sim_world *w, const char *name);
void sim_node_subscribe(sim_node *n, const char *text);
/* Opens the store and starts the node; tried again every second where the
 * world's faults keep it from starting. */
void sim_node_start(sim_node *n);
/* In order: says good-bye, closes everything, and starts again so much later
 * (0: never). */
void sim_node_stop(sim_node *n, uint64_t restart_us);
/* The end of a run, and the next one restart_us later (0: never). */
void sim_node_end(sim_node *n, sim_disk_end how, uint64_t restart_us);

uint64_t sim_node_wall_ms(const sim_node *n);
void sim_enter(sim_node *n);
void sim_leave(sim_node *n);
/* It is at work until later: asks again then, by the same event. */
bool sim_busy(sim_node *n, sim_event_fn *fn, void *ctx, uint64_t number);

/* While watched, what an onlooker does in a node's name cannot fail and does
 * not count. */
void sim_node_watch(sim_node *n, bool begin);

/* Runs statements as one transaction of the app. TAKO_CLOSED: it is down. On
 * success *lsn is the commit, 0 when nothing was written; each statement's
 * count of touched documents goes to counts (NULL allowed). */
tako_err sim_node_run(sim_node *n, const char *const *statements, size_t count,
                      uint64_t *lsn, uint64_t *counts, tako_errbuf *e);
/* Likewise with parameters, a checked CBOR map for all of them. */
tako_err sim_node_run_with(sim_node *n, const char *const *statements,
                           size_t count, tako_slice params, uint64_t *lsn,
                           uint64_t *counts, tako_errbuf *e);
/* What is done after each commit: the log is kept short, and attachments go
 * that nobody refers to. */
void sim_node_care(sim_node *n);
/* One SELECT; each row's CBOR goes to fn. */
tako_err sim_node_select(sim_node *n, const char *statement,
                         void (*fn)(void *ctx, tako_slice row), void *ctx,
                         tako_errbuf *e);
/* All of its subscriptions are in sync on all of its links. */
bool sim_node_in_sync(sim_node *n);

void *sim_new(const tako_env *env, size_t bytes); /* or ends the process */
char *sim_copy(const tako_env *env, const char *text);

#endif /* TAKO_SIM_WORLD_H */
