// SPDX-License-Identifier: Apache-2.0
/* SCENARIO -- the statements of a scenario, carried out into a plan.
 *
 * One statement a line; each is a function in the table at the end. What is
 * left to chance is drawn here, from a generator for each line by its number,
 * so that a line more does not change what the others draw. A fault "every"
 * so long happens at intervals of half to one and a half times that, to a
 * node or link of the pattern, for half to one and a half times its "for". */
#include "sim/lex.h"

#include <stdio.h>

#define COUNT_OF(list) (sizeof(list) / sizeof(list)[0])

typedef struct place {
    char name[64];
    uint64_t members; /* bits, now: while the scenario is read in time order */
} place;

#define PLACES_MAX 16u

typedef struct builder {
    sim_plan *plan;
    sim_line *line;
    uint64_t seed;
    sim_random random; /* of this line */
    place places[PLACES_MAX];
    size_t place_count;
    sim_link_kind place_kind;
} builder;

/* ---- names and patterns ------------------------------------------------------ */

static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);

    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(pattern, name, n - 1) == 0;
    return strcmp(pattern, name) == 0;
}

/* The nodes of a pattern as bits; none is a mistake. */
static uint64_t take_pattern(builder *b)
{
    const sim_word *w = sim_line_word(b->line, "a node, or a pattern as till*");
    uint64_t bits = 0;

    for (size_t i = 0; w != NULL && i < b->plan->node_count; i++)
        if (matches(w->text, b->plan->nodes[i].name))
            bits |= UINT64_C(1) << i;
    if (w != NULL && bits == 0)
        sim_line_fail(b->line, w, "there is no node '%.40s'", w->text);
    return bits;
}

static size_t count_bits(uint64_t bits)
{
    size_t n = 0;

    for (; bits != 0; bits &= bits - 1)
        n++;
    return n;
}

/* The n-th of them, from 0. */
static size_t nth_bit(uint64_t bits, uint64_t n)
{
    size_t i = 0;

    for (; n > 0; n--)
        bits &= bits - 1;
    while (bits != 0 && (bits >> i & 1) == 0)
        i++;
    return i;
}

static size_t take_node(builder *b)
{
    size_t at = b->line->at;
    uint64_t bits = take_pattern(b);

    if (count_bits(bits) > 1)
        sim_line_fail(b->line, &b->line->words[at], "one node expected");
    return nth_bit(bits, 0);
}

/* ---- nodes ---------------------------------------------------------------------- */

static void node_options(builder *b, sim_plan_node *n)
{
    sim_line *l = b->line;

    while (!sim_line_done(l)) {
        if (sim_line_takes(l, "durability")) {
            static const char *const names[] = { "normal", "full" };

            n->durability = (store_durability)sim_line_choice(l, names, 2,
                                                              "normal or full");
        } else if (sim_line_takes(l, "memory")) {
            n->memory_bytes = sim_line_bytes(l);
        } else if (sim_line_takes(l, "disk")) {
            n->quota_bytes = sim_line_bytes(l);
        } else if (sim_line_takes(l, "slow")) {
            n->slow = (uint32_t)sim_line_number(l, 1, 100000);
        } else if (sim_line_takes(l, "clock")) {
            n->skew_ms = sim_line_time(l) / 1000;
        } else {
            sim_line_fail(l, sim_line_word(l, ""),
                          "durability, memory, disk, slow or clock expected");
        }
    }
}

static void add_node(builder *b, const char *name, const sim_plan_node *like,
                     const sim_word *at)
{
    sim_plan *p = b->plan;
    sim_plan_node *n = &p->nodes[p->node_count];

    if (p->node_count == SIM_NODES_MAX - 1) {
        sim_line_fail(b->line, at, "more than %u nodes", SIM_NODES_MAX - 1);
        return;
    }
    for (size_t i = 0; i < p->node_count; i++)
        if (strcmp(p->nodes[i].name, name) == 0)
            sim_line_fail(b->line, at, "there is a node '%.40s' already", name);
    *n = *like;
    if (strlen(name) >= sizeof n->name || strpbrk(name, "*:/\"") != NULL)
        sim_line_fail(b->line, at, "'%.40s' is not a name", name);
    (void)snprintf(n->name, sizeof n->name, "%.60s", name);
    p->node_count++;
}

static void do_node(builder *b)
{
    const sim_word *w = sim_line_word(b->line, "a name");
    sim_plan_node like = { .slow = 1 };

    node_options(b, &like);
    if (w != NULL)
        add_node(b, w->text, &like, w);
}

static void do_nodes(builder *b)
{
    sim_plan_node like = { .slow = 1 };
    uint64_t from, to, count;
    const sim_word *w;
    char name[80];

    sim_line_range(b->line, SIM_NODES_MAX - 1, &from, &to);
    w = sim_line_word(b->line, "a name");
    node_options(b, &like);
    count = sim_random_between(&b->random, from, to);
    for (uint64_t i = 1; w != NULL && i <= count && !b->line->failed; i++) {
        (void)snprintf(name, sizeof name, "%.60s%llu", w->text,
                       (unsigned long long)i);
        add_node(b, name, &like, w);
    }
}

static void do_subscribe(builder *b)
{
    uint64_t bits = take_pattern(b);
    const sim_word *w = sim_line_word(b->line, "a statement in quotes");
    sim_plan *p = b->plan;

    for (size_t i = 0; w != NULL && i < p->node_count; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        if (p->sub_count == SIM_PLAN_SUBS_MAX) {
            sim_line_fail(b->line, w, "more than %u subscriptions",
                          SIM_PLAN_SUBS_MAX);
            return;
        }
        p->subs[p->sub_count++] =
            (sim_plan_sub){ i, sim_copy(p->env, w->text) };
    }
}

/* ---- links ---------------------------------------------------------------------- */

const sim_link_kind sim_link_usual = { .latency_us = 2000,
                                       .jitter_us = 1000,
                                       .mtu = 16384 };

static sim_link_kind link_options(builder *b)
{
    sim_link_kind k = sim_link_usual;
    sim_line *l = b->line;

    while (!sim_line_done(l)) {
        if (sim_line_takes(l, "latency"))
            k.latency_us = sim_line_span(l);
        else if (sim_line_takes(l, "jitter"))
            k.jitter_us = sim_line_span(l);
        else if (sim_line_takes(l, "bandwidth"))
            k.bytes_per_s = sim_line_bytes(l);
        else if (sim_line_takes(l, "mtu"))
            k.mtu = (uint32_t)sim_line_number(l, 16, 65535);
        else if (sim_line_takes(l, "loss"))
            k.loss_ppm = sim_line_chance(l);
        else if (sim_line_takes(l, "duplicate"))
            k.duplicate_ppm = sim_line_chance(l);
        else if (sim_line_takes(l, "reorder"))
            k.reorder_ppm = sim_line_chance(l);
        else if (sim_line_takes(l, "corrupt"))
            k.corrupt_ppm = sim_line_chance(l);
        else
            sim_line_fail(l, sim_line_word(l, ""),
                          "latency, jitter, bandwidth, mtu, loss, duplicate, "
                          "reorder or corrupt expected");
    }
    return k;
}

static sim_plan_link *find_link(sim_plan *p, size_t a, size_t b)
{
    for (size_t i = 0; i < p->link_count; i++)
        if ((p->links[i].a == a && p->links[i].b == b) ||
            (p->links[i].a == b && p->links[i].b == a))
            return &p->links[i];
    return NULL;
}

static void add_link(builder *b, size_t x, size_t y, const sim_link_kind *k)
{
    sim_plan *p = b->plan;

    if (x == y || find_link(p, x, y) != NULL)
        return;
    if (p->link_count == SIM_LINKS_MAX) {
        sim_line_fail(b->line, NULL, "more than %u links", SIM_LINKS_MAX);
        return;
    }
    p->links[p->link_count++] = (sim_plan_link){ x, y, *k, false };
}

static void do_link(builder *b)
{
    size_t x = take_node(b), at = b->line->at, y = take_node(b);
    bool down = sim_line_takes(b->line, "down");
    sim_link_kind k = link_options(b);

    if (x == y && !b->line->failed)
        sim_line_fail(b->line, &b->line->words[at],
                      "a link joins two different nodes");
    if (b->line->failed)
        return;
    add_link(b, x, y, &k);
    if (down)
        find_link(b->plan, x, y)->down = true;
}

/* A tree over all, and half as many links again. */
static void random_links(builder *b, uint64_t bits, size_t n,
                         const sim_link_kind *k)
{
    for (size_t i = 1; i < n; i++)
        add_link(b, nth_bit(bits, i),
                 nth_bit(bits, sim_random_below(&b->random, i)), k);
    for (size_t i = 0; i < n / 2; i++)
        add_link(b, nth_bit(bits, sim_random_below(&b->random, n)),
                 nth_bit(bits, sim_random_below(&b->random, n)), k);
}

static void full_links(builder *b, uint64_t bits, size_t from, size_t to,
                       const sim_link_kind *k)
{
    for (size_t i = from; i < to; i++)
        for (size_t j = i + 1; j < to; j++)
            add_link(b, nth_bit(bits, i), nth_bit(bits, j), k);
}

enum { LINE, RING, STAR, FULL, RANDOM, BRIDGE, ANY };

static void do_topology(builder *b)
{
    static const char *const names[] = { "line",   "ring",   "star", "full",
                                         "random", "bridge", "any" };
    size_t shape =
        sim_line_choice(b->line, names, COUNT_OF(names),
                        "line, ring, star, full, random, bridge or any");
    uint64_t bits = take_pattern(b);
    size_t n = count_bits(bits);
    sim_link_kind k = link_options(b);

    if (shape == ANY)
        shape = sim_random_below(&b->random, ANY);
    if (shape == RANDOM)
        random_links(b, bits, n, &k);
    if (shape == FULL)
        full_links(b, bits, 0, n, &k);
    if (shape == BRIDGE) {
        full_links(b, bits, 0, n / 2, &k);
        full_links(b, bits, n / 2, n, &k);
        if (n >= 2)
            add_link(b, nth_bit(bits, n / 2 - 1), nth_bit(bits, n / 2), &k);
    }
    if (shape > STAR)
        return;
    for (size_t i = 1; i < n; i++)
        add_link(b, nth_bit(bits, shape == STAR ? 0 : i - 1), nth_bit(bits, i),
                 &k);
    if (shape == RING && n > 2)
        add_link(b, nth_bit(bits, n - 1), nth_bit(bits, 0), &k);
}

/* ---- places: who is at one place is linked ------------------------------------------ */

static place *find_place(builder *b, const char *name)
{
    for (size_t i = 0; i < b->place_count; i++)
        if (strcmp(b->places[i].name, name) == 0)
            return &b->places[i];
    return NULL;
}

static void do_place(builder *b)
{
    const sim_word *w = sim_line_word(b->line, "a name");
    uint64_t bits = 0;
    place *at = w == NULL ? NULL : find_place(b, w->text);

    while (!sim_line_done(b->line) && !sim_line_takes(b->line, "with"))
        bits |= take_pattern(b);
    b->place_kind = link_options(b);
    if (w == NULL || b->line->failed)
        return;
    if (at == NULL && b->place_count == PLACES_MAX) {
        sim_line_fail(b->line, w, "more than %u places", PLACES_MAX);
        return;
    }
    if (at == NULL)
        at = &b->places[b->place_count++];
    (void)snprintf(at->name, sizeof at->name, "%.60s", w->text);
    at->members |= bits;
    full_links(b, bits, 0, count_bits(bits), &b->place_kind);
}

static void link_turns(builder *b, size_t x, size_t y, uint64_t at_us, bool up)
{
    sim_action a = {
        .at_us = at_us, .kind = up ? SIM_UP : SIM_DOWN, .a = x, .b = y
    };

    if (find_link(b->plan, x, y) == NULL) {
        add_link(b, x, y, &b->place_kind);
        if (find_link(b->plan, x, y) != NULL)
            find_link(b->plan, x, y)->down = true;
    }
    sim_plan_add(b->plan, &a);
}

static void do_move(builder *b)
{
    size_t who = take_node(b);
    uint64_t bit = UINT64_C(1) << who, at_us = 0;
    const sim_word *w = NULL;
    place *to;

    if (sim_line_takes(b->line, "to"))
        w = sim_line_word(b->line, "a place");
    else
        sim_line_fail(b->line, sim_line_word(b->line, "to"), "to expected");
    if (sim_line_takes(b->line, "at"))
        at_us = sim_line_span(b->line);
    else
        sim_line_fail(b->line, sim_line_word(b->line, "at"), "at expected");
    to = w == NULL || b->line->failed ? NULL : find_place(b, w->text);
    if (w != NULL && to == NULL)
        sim_line_fail(b->line, w, "there is no place '%.40s'", w->text);
    if (b->line->failed || to == NULL)
        return;
    for (size_t i = 0; i < b->place_count; i++) {
        place *p = &b->places[i];
        bool here = p == to;

        if ((p->members & bit) == 0 && !here)
            continue;
        p->members &= ~bit;
        for (size_t j = 0; j < b->plan->node_count; j++)
            if ((p->members >> j & 1) != 0)
                link_turns(b, who, j, at_us, here);
        if (here)
            p->members |= bit;
    }
}

/* ---- what happens --------------------------------------------------------------------- */

typedef struct weights {
    uint64_t of[SIM_OP_KINDS];
    uint64_t transaction, all;
    uint64_t docs_from, docs_to;
    uint64_t keys;
} weights;

const char *const sim_op_names[SIM_OP_KINDS] = { "insert", "update",
                                                 "increment", "delete",
                                                 "read" };

static void work_options(builder *b, weights *w)
{
    sim_line *l = b->line;

    while (!sim_line_done(l)) {
        if (sim_line_takes(l, "keys")) {
            w->keys = sim_line_number(l, 1, SIM_KEYS_MAX);
        } else if (sim_line_takes(l, "transaction")) {
            w->transaction = sim_line_number(l, 0, 1000000);
        } else if (sim_line_takes(l, "documents")) {
            sim_line_range(l, SIM_STEPS_MAX, &w->docs_from, &w->docs_to);
        } else {
            size_t kind = sim_line_choice(l, sim_op_names, SIM_OP_KINDS,
                                          "keys, transaction, documents, "
                                          "insert, update, increment, delete "
                                          "or read");

            w->of[kind] = sim_line_number(l, 0, 1000000);
        }
    }
    w->all = 0;
    for (size_t i = 0; i < SIM_OP_KINDS; i++)
        w->all += w->of[i];
    if (w->all == 0)
        sim_line_fail(l, NULL, "all weights are 0");
}

static sim_op_kind draw_kind(builder *b, const weights *w)
{
    uint64_t dice = sim_random_below(&b->random, w->all);

    for (size_t i = 0; i < SIM_OP_KINDS; i++) {
        if (dice < w->of[i])
            return (sim_op_kind)i;
        dice -= w->of[i];
    }
    return SIM_OP_UPDATE;
}

/* Different documents in one transaction. */
static void draw_steps(builder *b, const weights *w, sim_action *a)
{
    bool several =
        sim_random_below(&b->random, w->all + w->transaction) < w->transaction;
    uint64_t n =
        several ? sim_random_between(&b->random, w->docs_from, w->docs_to) : 1;

    n = n < w->keys ? n : w->keys;
    while (a->step_count < n) {
        sim_op_step *s = &a->steps[a->step_count];
        bool again = false;

        s->kind = draw_kind(b, w);
        if (several && s->kind == SIM_OP_READ)
            s->kind = SIM_OP_UPDATE;
        s->key = (uint32_t)sim_random_below(&b->random, w->keys);
        s->amount = (int32_t)sim_random_between(&b->random, 0, 8) - 3;
        for (size_t i = 0; i < a->step_count; i++)
            again = again || a->steps[i].key == s->key;
        a->step_count += !again;
    }
}

static void do_work(builder *b)
{
    uint64_t bits = take_pattern(b), ops;
    weights w = { .of = { 20, 40, 20, 8, 5 },
                  .transaction = 12,
                  .docs_from = 2,
                  .docs_to = 3,
                  .keys = 40 };

    if (!sim_line_takes(b->line, "operations")) {
        sim_line_fail(b->line, sim_line_word(b->line, "operations"),
                      "operations expected");
        return;
    }
    ops = sim_line_number(b->line, 1, 1000000);
    work_options(b, &w);
    for (uint64_t i = 0; i < ops && !b->line->failed; i++) {
        sim_action a = { .kind = SIM_DO };

        a.at_us =
            SIM_SECOND / 2 + sim_random_below(&b->random, b->plan->time_us);
        a.a = nth_bit(bits, sim_random_below(&b->random, count_bits(bits)));
        draw_steps(b, &w, &a);
        sim_plan_add(b->plan, &a);
    }
}

static void do_step(builder *b, sim_action *a)
{
    sim_op_step *s = &a->steps[a->step_count];

    if (a->step_count == SIM_STEPS_MAX) {
        sim_line_fail(b->line, NULL, "more than %u steps", SIM_STEPS_MAX);
        return;
    }
    s->kind = (sim_op_kind)sim_line_choice(
        b->line, sim_op_names, SIM_OP_KINDS,
        "insert, update, increment, delete or read");
    s->key = (uint32_t)sim_line_number(b->line, 0, SIM_KEYS_MAX - 1);
    if (s->kind == SIM_OP_INCREMENT && sim_line_takes(b->line, "by")) {
        bool minus = sim_line_takes(b->line, "-");

        s->amount = (int32_t)sim_line_number(b->line, 0, 1000000);
        s->amount = minus ? -s->amount : s->amount;
    }
    a->step_count++;
}

static void do_do(builder *b)
{
    sim_action a = { .kind = SIM_DO };

    a.a = take_node(b);
    if (!sim_line_takes(b->line, "at"))
        sim_line_fail(b->line, sim_line_word(b->line, "at"), "at expected");
    a.at_us = b->line->failed ? 0 : sim_line_span(b->line);
    do
        do_step(b, &a);
    while (!b->line->failed && sim_line_takes(b->line, ","));
    if (!sim_line_done(b->line))
        sim_line_fail(b->line, sim_line_word(b->line, ""),
                      "a comma or the end of the line expected");
    if (!b->line->failed)
        sim_plan_add(b->plan, &a);
}

/* ---- faults ----------------------------------------------------------------------------- */

const char *const sim_action_names[SIM_ACTION_KINDS] = {
    [SIM_PARTITION] = "partition",
    [SIM_ONEWAY] = "oneway",
    [SIM_RESET] = "reset",
    [SIM_KILL] = "kill",
    [SIM_POWER] = "power",
    [SIM_KILL_MID] = "kill-mid",
    [SIM_POWER_MID] = "power-mid",
    [SIM_STOP] = "stop",
    [SIM_SKEW] = "clock",
    [SIM_STUCK] = "stuck-clock",
    [SIM_SLOW] = "slow",
    [SIM_NO_MEMORY] = "no-memory",
    [SIM_NO_MEMORY_AT] = "no-memory-at",
    [SIM_DISK_ERROR] = "disk-error",
    [SIM_SYNC_ERROR] = "sync-error",
    [SIM_FULL] = "disk-full",
    [SIM_SLOW_DISK] = "slow-disk",
    [SIM_UP] = "up",
    [SIM_DOWN] = "down",
};

static bool is_of_link(sim_action_kind k)
{
    return k == SIM_PARTITION || k == SIM_ONEWAY || k == SIM_RESET ||
           k == SIM_UP || k == SIM_DOWN;
}

/* What a kind needs beside whom and when. */
static int64_t take_value(builder *b, sim_action_kind kind, bool *spread)
{
    *spread = false;
    switch ((int)kind) {
    case SIM_SKEW:
        *spread = sim_line_takes(b->line, "within");
        return sim_line_time(b->line) / 1000;
    case SIM_NO_MEMORY:
    case SIM_DISK_ERROR:
    case SIM_SYNC_ERROR:
        return sim_line_chance(b->line);
    case SIM_SLOW:
    case SIM_SLOW_DISK:
        return (int64_t)sim_line_number(b->line, 1, 1000000);
    case SIM_FULL:
        return (int64_t)sim_line_bytes(b->line);
    case SIM_KILL_MID:
    case SIM_POWER_MID:
    case SIM_NO_MEMORY_AT:
        *spread = sim_line_takes(b->line, "within");
        return (int64_t)sim_line_number(b->line, 1, 1000000);
    default:
        return 0;
    }
}

typedef struct fault {
    sim_action_kind kind;
    uint64_t of, to; /* nodes; of links: their ends */
    int64_t value;
    bool spread; /* the value is drawn up to it */
    uint64_t at_us, every_us, for_us;
    bool once;
} fault;

static void fault_times(builder *b, fault *f)
{
    sim_line *l = b->line;

    while (!sim_line_done(l)) {
        if (sim_line_takes(l, "at")) {
            f->at_us = sim_line_span(l);
            f->once = true;
        } else if (sim_line_takes(l, "every")) {
            f->every_us = sim_line_span(l);
            if (f->every_us < SIM_MS)
                sim_line_fail(l, &l->words[l->at - 1], "1ms or more expected");
        } else if (sim_line_takes(l, "for")) {
            f->for_us = sim_line_span(l);
        } else {
            sim_line_fail(l, sim_line_word(l, ""), "at, every or for expected");
        }
    }
    if (f->once == (f->every_us > 0))
        sim_line_fail(l, NULL, "either at or every expected");
}

/* Draws whom of the pattern; false: there is nobody. */
static bool draw_target(builder *b, const fault *f, sim_action *a)
{
    const sim_plan *p = b->plan;
    size_t count = 0, chosen;

    if (!is_of_link(f->kind)) {
        a->a = nth_bit(f->of, sim_random_below(&b->random, count_bits(f->of)));
        return true;
    }
    for (int round = 0; round < 2; round++) {
        chosen = round == 0 ? 0 : (size_t)sim_random_below(&b->random, count);
        for (size_t i = 0; i < p->link_count; i++) {
            uint64_t x = UINT64_C(1) << p->links[i].a;
            uint64_t y = UINT64_C(1) << p->links[i].b;

            if (((f->of & x) == 0 || (f->to & y) == 0) &&
                ((f->of & y) == 0 || (f->to & x) == 0))
                continue;
            if (round == 0) {
                count++;
            } else if (chosen-- == 0) {
                bool turn = f->kind == SIM_ONEWAY &&
                            ((f->of & x) == 0 || (f->to & y) == 0 ||
                             (f->of == f->to &&
                              sim_random_chance(&b->random, SIM_PPM / 2)));

                a->a = turn ? p->links[i].b : p->links[i].a;
                a->b = turn ? p->links[i].a : p->links[i].b;
                return true;
            }
        }
    }
    return false;
}

static bool fault_add(builder *b, const fault *f, uint64_t at_us)
{
    sim_action a = { .kind = f->kind, .at_us = at_us, .value = f->value };

    a.for_us = f->once ? f->for_us
                       : sim_random_between(&b->random, f->for_us / 2,
                                            f->for_us + f->for_us / 2);
    if (f->spread && f->kind == SIM_SKEW)
        a.value =
            (int64_t)sim_random_between(&b->random, 0, 2 * (uint64_t)f->value) -
            f->value;
    else if (f->spread)
        a.value =
            (int64_t)sim_random_between(&b->random, 1, (uint64_t)f->value);
    if (!draw_target(b, f, &a))
        return false;
    sim_plan_add(b->plan, &a);
    return true;
}

static void do_fault(builder *b)
{
    fault f = { .kind = (sim_action_kind)sim_line_choice(
                    b->line, sim_action_names, SIM_ACTION_KINDS,
                    "a kind of fault, see docs/sim.md,") };
    uint64_t at;
    bool any = true;

    f.of = take_pattern(b);
    f.to = f.of;
    if (is_of_link(f.kind) && !sim_line_done(b->line) &&
        b->line->at + 1 <= b->line->count) {
        const char *next = b->line->words[b->line->at].text;

        if (strcmp(next, "at") != 0 && strcmp(next, "every") != 0 &&
            strcmp(next, "for") != 0)
            f.to = take_pattern(b);
    }
    f.value = take_value(b, f.kind, &f.spread);
    if (f.spread && f.value < 0)
        sim_line_fail(b->line, NULL, "a bound may not be negative");
    fault_times(b, &f);
    if (b->line->failed)
        return;
    at = f.once ? f.at_us : f.every_us / 2;
    while (any && (f.once || at < b->plan->time_us)) {
        any = fault_add(b, &f, at);
        if (f.once)
            break;
        at += sim_random_between(&b->random, f.every_us / 2,
                                 f.every_us + f.every_us / 2);
    }
    if (!any)
        sim_line_fail(b->line, NULL, "there is no such link");
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void do_expect(builder *b)
{
    static const char *const kinds[] = { "documents", "commits", "converge",
                                         "memory", "bytes" };
    static const char *const relations[] = { "<=", "=", ">=" };
    sim_expect x;

    x.kind = (sim_expect_kind)sim_line_choice(
        b->line, kinds, COUNT_OF(kinds),
        "documents, commits, converge, memory or bytes");
    x.relation = (int)sim_line_choice(b->line, relations, 3, "<=, = or >=") - 1;
    if (x.kind == SIM_EXPECT_CONVERGE)
        x.value = sim_line_span(b->line);
    else if (x.kind == SIM_EXPECT_MEMORY || x.kind == SIM_EXPECT_BYTES)
        x.value = sim_line_bytes(b->line);
    else
        x.value = sim_line_number(b->line, 0, UINT32_MAX);
    if (b->plan->expect_count == SIM_EXPECTS_MAX)
        sim_line_fail(b->line, NULL, "more than %u expectations",
                      SIM_EXPECTS_MAX);
    else
        b->plan->expects[b->plan->expect_count++] = x;
}

static void do_title(builder *b)
{
    const sim_word *w = sim_line_word(b->line, "a title in quotes");

    if (w != NULL)
        (void)snprintf(b->plan->title, sizeof b->plan->title, "%.120s",
                       w->text);
}

static void do_time(builder *b)
{
    b->plan->time_us = sim_line_span(b->line);
}

static void do_settle(builder *b)
{
    b->plan->settle_us = sim_line_span(b->line);
}

static const struct {
    const char *word;
    void (*run)(builder *b);
} statements[] = {
    { "scenario", do_title },    { "time", do_time },
    { "settle", do_settle },     { "node", do_node },
    { "nodes", do_nodes },       { "subscribe", do_subscribe },
    { "topology", do_topology }, { "link", do_link },
    { "place", do_place },       { "move", do_move },
    { "work", do_work },         { "do", do_do },
    { "fault", do_fault },       { "expect", do_expect },
};

static bool statement(builder *b)
{
    const sim_word *w;

    if (sim_line_done(b->line))
        return true;
    w = sim_line_word(b->line, "");
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        if (strcmp(statements[i].word, w->text) != 0)
            continue;
        statements[i].run(b);
        if (!b->line->failed && b->line->at < b->line->count)
            sim_line_fail(b->line, &b->line->words[b->line->at],
                          "the end of the line expected");
        return !b->line->failed;
    }
    sim_line_fail(b->line, w, "'%.40s' is not a statement of a scenario",
                  w->text);
    return false;
}

static bool build(builder *b, tako_slice text)
{
    size_t at = 0;

    while (at <= text.len) {
        size_t end = at;

        while (end < text.len && text.ptr[end] != '\n')
            end++;
        b->line->number++;
        b->random = sim_random_fork(b->seed, 0x11e0000 + b->line->number);
        if (!sim_line_split(b->line, tako_slice_of(text.ptr + at, end - at)) ||
            !statement(b))
            return false;
        at = end + 1;
    }
    if (b->plan->node_count > 0)
        return true;
    sim_line_fail(b->line, NULL, "a scenario needs nodes");
    return false;
}

tako_err sim_plan_new(const tako_env *env, tako_slice text, uint64_t seed,
                      sim_plan **out, sim_scenario_error *error)
{
    builder *b = sim_new(env, sizeof *b);
    bool good;

    memset(error, 0, sizeof *error);
    b->plan = sim_plan_empty(env);
    b->plan->time_us = 60 * SIM_SECOND;
    b->plan->settle_us = 300 * SIM_SECOND;
    b->line = sim_new(env, sizeof *b->line);
    b->line->error = error;
    b->seed = seed;
    b->place_kind = sim_link_usual;
    good = build(b, text);
    *out = b->plan;
    tako_env_free(env, b->line, sizeof *b->line);
    tako_env_free(env, b, sizeof *b);
    if (!good) {
        sim_plan_free(*out);
        *out = NULL;
        return TAKO_INVALID;
    }
    sim_plan_sort(*out);
    return TAKO_OK;
}
