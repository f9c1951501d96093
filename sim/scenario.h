// SPDX-License-Identifier: Apache-2.0
/* SCENARIO -- a text and a seed become a plan; a plan becomes a text again.
 *
 * The text (docs/sim.md has the grammar) may leave things to chance: how many
 * nodes, when what happens to whom. A plan leaves nothing: every node, link,
 * operation and fault with its time. So leaving one of them out changes none
 * of the others, which is what makes a failing run small (minimise.c), and a
 * plan printed as text is a scenario that does the same under any seed's
 * network. */
#ifndef TAKO_SIM_SCENARIO_H
#define TAKO_SIM_SCENARIO_H

#include "sim/net.h"

#define SIM_STEPS_MAX         4u /* documents of one transaction */
#define SIM_ACTIONS_MAX       (1u << 20)
#define SIM_KEYS_MAX          4096u
#define SIM_PLAN_SUBS_MAX     512u
#define SIM_EXPECTS_MAX       16u
#define SIM_SCENARIO_BYTES    (4u << 20)
#define SIM_CONTENTS_MAX      1024u
#define SIM_CONTENT_BYTES_MAX (1u << 30)

typedef enum sim_op_kind {
    SIM_OP_INSERT, /* of an alive one: an update */
    SIM_OP_UPDATE, /* of none: an insert */
    SIM_OP_INCREMENT,
    SIM_OP_DELETE,
    SIM_OP_READ,   /* this and what follows are in no transaction with others */
    SIM_OP_ATTACH, /* puts in a content, and its token into the document */
    SIM_OP_GET,    /* reads what is attached, or fetches it */
    SIM_OP_EVICT,  /* forgets it at its node, where that is allowed */
    SIM_OP_KINDS,
} sim_op_kind;

typedef struct sim_op_step {
    sim_op_kind kind;
    uint32_t key;
    int32_t amount; /* of an increment; the content's length */
} sim_op_step;

typedef enum sim_action_kind {
    SIM_DO, /* an operation of the app */
    SIM_PARTITION,
    SIM_ONEWAY,
    SIM_RESET,
    SIM_KILL,
    SIM_POWER,
    SIM_KILL_MID, /* in the middle of the value-th change of its disk */
    SIM_POWER_MID,
    SIM_STOP,
    SIM_SKEW, /* the clock is value ms wrong */
    SIM_STUCK,
    SIM_SLOW,
    SIM_NO_MEMORY,    /* value: chance, ppm */
    SIM_NO_MEMORY_AT, /* value: the n-th allocation */
    SIM_DISK_ERROR,   /* value: chance, ppm */
    SIM_SYNC_ERROR,
    SIM_FULL, /* value: bytes that are left */
    SIM_SLOW_DISK,
    SIM_UP, /* of a link: for good */
    SIM_DOWN,
    SIM_ACTION_KINDS,
} sim_action_kind;

typedef struct sim_action {
    uint64_t at_us, for_us;
    sim_action_kind kind;
    size_t a, b; /* node; links: both ends */
    int64_t value;
    sim_op_step steps[SIM_STEPS_MAX];
    size_t step_count;
} sim_action;

typedef struct sim_plan_node {
    char name[64];
    store_durability durability;
    bool archive, fetches, reads_only;
    uint64_t memory_bytes, quota_bytes;
    uint32_t slow;
    int64_t skew_ms;
    char setup[SIM_SETUP_BYTES_MAX]; /* a statement; "": none */
} sim_plan_node;

typedef struct sim_plan_link {
    size_t a, b;
    sim_link_kind kind;
    bool down; /* at first */
} sim_plan_link;

typedef struct sim_plan_sub {
    size_t node;
    char *text;
} sim_plan_sub;

typedef enum sim_expect_kind {
    SIM_EXPECT_DOCUMENTS,  /* alive at the end, at a node of whole interest */
    SIM_EXPECT_COMMITS,    /* acknowledged */
    SIM_EXPECT_CONVERGE,   /* seconds after healing */
    SIM_EXPECT_MEMORY,     /* most of any node */
    SIM_EXPECT_BYTES,      /* over all links */
    SIM_EXPECT_TORN,       /* transactions that were seen in part, where the
                           * checkers do not ask */
    SIM_EXPECT_REDUNDANCY, /* percent: documents in cuts, of those that were
                            * new, in the second half of the time */
    SIM_EXPECT_DELAY,      /* the longest from a commit to any other node */
} sim_expect_kind;

typedef struct sim_expect {
    sim_expect_kind kind;
    int relation; /* -1: at most, 0: equal, 1: at least */
    uint64_t value;
} sim_expect;

typedef struct sim_plan {
    const tako_env *env;
    uint64_t time_us, settle_us;
    uint64_t grace_us; /* of attachments; 0: what is usual */
    char title[128];
    sim_plan_node nodes[SIM_NODES_MAX];
    size_t node_count;
    sim_plan_link links[SIM_LINKS_MAX];
    size_t link_count;
    sim_plan_sub subs[SIM_PLAN_SUBS_MAX];
    size_t sub_count;
    sim_action *actions;
    size_t action_count, action_cap;
    sim_expect expects[SIM_EXPECTS_MAX];
    size_t expect_count;
} sim_plan;

typedef struct sim_scenario_error {
    unsigned line, column;
    char text[160];
} sim_scenario_error;

/* TAKO_INVALID: *error says where and why. */
tako_err sim_plan_new(const tako_env *env, tako_slice text, uint64_t seed,
                      sim_plan **out, sim_scenario_error *error);
void sim_plan_free(sim_plan *p);
/* For programs that put one together themselves; time 0 s, nothing in it. */
sim_plan *sim_plan_empty(const tako_env *env);
void sim_plan_add(sim_plan *p, const sim_action *action);
/* By time; those of one moment in the order they were added. */
void sim_plan_sort(sim_plan *p);
/* Appends the plan as a scenario. */
void sim_plan_print(const sim_plan *p, tako_buf *out);

extern const char *const sim_op_names[SIM_OP_KINDS];
extern const char *const sim_action_names[SIM_ACTION_KINDS];
extern const sim_link_kind sim_link_usual;

#endif /* TAKO_SIM_SCENARIO_H */
