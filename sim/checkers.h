// SPDX-License-Identifier: Apache-2.0
/* CHECKERS -- what must hold, looked at from above.
 *
 * Every write of the workload puts a token of its own into the documents it
 * touches (`w.t17`), which nobody takes out again. So whether a write is there
 * shows in the bytes of a document, at every node, after every commit:
 *
 *   an acknowledged write is never lost   a token is in a document, or the
 *       document's generation is above the one it was written in (it was
 *       deleted). Excepted: with durability normal, what nobody else had when
 *       the power failed.
 *   the last copy does not leave   who lets a document go leaves each write
 *       in it at another device, be that one down; who evicts it, its own.
 *   counters are exact   n is the sum of the amounts of the tokens that show.
 *   equal contexts, equal bytes (P2)   one table of (key, context) -> version
 *       for the whole world.
 *   no resurrection (P8)   the generation of a document at a node never falls,
 *       whether its tombstone was reaped or not.
 *   whole transactions (P7)   who sees a transaction's token in one document
 *       sees it in all; and
 *   causal order   sees what the writer had seen last before it: both at
 *       every node, on every hop, but while the node itself says that it is
 *       catching up or loose. Who wants a part has to show what it wants.
 *   nobody takes what may not be written   the token of a node that reads only
 *       is never at another. Such a node may lose it, with what else was in the
 *       document (SYNC.md 9); in the end it has what all have.
 *   equal interests, equal documents   after healing, in bounded time; of what
 *       was evicted, who shows it has the state that was evicted elsewhere.
 *   rules of retention hold in the end, when everything is kept by somebody.
 *   bounded   memory of each node, what waits in each stream.
 *   all memory is given back; the database is sound. */
#ifndef TAKO_SIM_CHECKERS_H
#define TAKO_SIM_CHECKERS_H

#include "sim/scenario.h"

#define SIM_COLLECTION "orders"
#define SIM_NONE       SIZE_MAX

/* One document of a write. */
typedef struct sim_written {
    sim_op_kind kind;
    uint32_t key;
    int32_t amount;
    uint64_t generation; /* after it; 0: not known */
    uint64_t stamp;      /* of the last look that found the token */
    uint64_t holders;    /* nodes whose document has the token, as bits */
    uint64_t wanted;     /* nodes that wanted it, before or after */
    uint64_t let_go;     /* nodes that had it, and where the document left */
} sim_written;

typedef struct sim_write {
    size_t node;
    uint64_t at_us;
    sim_written docs[SIM_STEPS_MAX];
    size_t count;
    bool acked;
    bool losable;        /* a power failure may have taken it */
    size_t before;       /* the write that its node had seen last; SIM_NONE */
    uint8_t before_docs; /* in which of its documents, as bits */
} sim_write;

typedef struct sim_list { /* of writes, by number */
    uint32_t *items;
    size_t count, cap;
} sim_list;

typedef struct sim_state {
    uint64_t key; /* hash of a document's key and context; 0: free */
    uint64_t version;
} sim_state;

#define SIM_BURIED 4u

typedef struct sim_seen { /* a document at a node */
    uint64_t generation;
    bool alive;
    bool left;                   /* it was, and a marker stands for it */
    bool evicted;                /* which the app has asked for */
    bool dead;                   /* it was, and a notice does */
    uint64_t buried[SIM_BURIED]; /* of the births by which it was, the last */
    size_t buried_count;
} sim_seen;

typedef struct sim_model {
    sim_world *world;
    const tako_env *env;
    sim_write *writes;
    size_t write_count, write_cap;
    sim_list by_key[SIM_KEYS_MAX];
    sim_seen *seen[SIM_NODES_MAX]; /* by key */
    uint64_t whole;                /* nodes that want the whole collection */
    query_predicate *wants[SIM_NODES_MAX][SIM_SUBS_MAX];
    size_t last[SIM_NODES_MAX]; /* the write seen last */
    size_t running;             /* the write under way */
    size_t anew
        [SIM_KEYS_MAX]; /* the last that began with nothing, or over what left */
    sim_disk_end end[SIM_NODES_MAX];
    bool ended[SIM_NODES_MAX];
    uint64_t stamp;    /* counts looks */
    sim_state *states; /* P2: a hash table */
    size_t state_cap, state_count;
    sim_list fresh; /* writes that the present commit brought */
    tako_arena arena;

    uint64_t acked, refused, unknown, lost_to_power, torn, deliveries;
    uint64_t delay_us; /* the longest from a commit to any other node */
    uint64_t checked_cuts, checked_order, checked_states;
    uint64_t left; /* writes, with the documents that left a node */
    bool was_evicted[SIM_KEYS_MAX]; /* by anybody, at any time */
} sim_model;

sim_model *sim_model_new(sim_world *w);
void sim_model_free(sim_model *m);
/* The world tells the model what happens; sets world->watch (not `line`). */
void sim_model_watch(sim_model *m);

/* A write is about to be tried; what commits until the end is its. */
size_t sim_model_begin(sim_model *m, sim_node *n, const sim_action *a);
void sim_model_end(sim_model *m, size_t write, bool acked, bool refused);
/* Is the document alive at the node? */
bool sim_model_alive(sim_model *m, const sim_node *n, uint32_t key);

/* Do all who want the same have the same? `why` gets the first difference. */
bool sim_model_converged(sim_model *m, char *why, size_t cap);
/* At the very end: everything acknowledged is everywhere, and all is sound. */
void sim_model_final(sim_model *m);
uint64_t sim_model_documents(sim_model *m); /* of a whole interest; or 0 */
/* The tokens of a document at a node, "[1,17]"; for histories. */
void sim_model_tokens(sim_model *m, const sim_node *n, uint32_t key,
                      tako_buf *out);

/* ---- between checkers.c, tokens.c, cuts.c and equal.c --------------------------------- */

/* SIM_KEYS_MAX: none of ours. */
uint32_t sim_key_of(tako_slice id);
/* 0: it is none. */
int64_t sim_whole_number(tako_slice value);
/* Calls fn (may be NULL) for each token of a body; returns the sum of their
 * amounts. */
int64_t sim_tokens_each(const sim_model *m, tako_slice body,
                        void (*fn)(void *ctx, size_t token), void *ctx);
/* Whatever is stored under the key; false: nothing, or it cannot be read. */
bool sim_row_at(store_conn *c, uint32_t key, store_row *row);
/* Is its writer one whose writes others refuse? */
bool sim_may_not(const sim_model *m, const sim_write *w);
/* Which document of an acknowledged write is not at some node (*at) that wants
 * all: SIM_NONE when none. */
size_t sim_not_everywhere(const sim_model *m, size_t token, size_t *at);
/* Node `at` has this write of a document, or has ended it since. */
bool sim_has(const sim_model *m, const sim_written *d, size_t at);
/* Or has no such document, and it ended elsewhere. */
bool sim_has_or_ended(const sim_model *m, const sim_written *d, size_t at);
/* Of all that node `from` has of a document, node `at` has let some go, and has
 * the rest. */
bool sim_had(const sim_model *m, uint32_t key, size_t from, size_t at);
bool sim_wanted(const sim_model *m, const sim_node *n, const store_row *row);
/* The node says that it is neither catching up nor loose. */
bool sim_says_whole(const sim_model *m, const sim_node *n);
void sim_check_cut(sim_model *m, sim_node *n, size_t token, bool whole);
void sim_check_order(sim_model *m, sim_node *n, size_t token);

#endif /* TAKO_SIM_CHECKERS_H */
