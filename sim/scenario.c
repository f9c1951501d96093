// SPDX-License-Identifier: Apache-2.0
/* SCENARIO -- the statements of a scenario, carried out into a plan.
 *
 * One statement a line; each is a function in the table at the end. What is
 * left to chance is drawn here, from a generator for each line by its number,
 * so that a line more does not change what the others draw. A fault "every"
 * so long happens at intervals of half to one and a half times that, to a
 * node or link of the pattern, for half to one and a half times its "for". */
#include "sim/build.h"

#include <stdio.h>

/* ---- names and patterns ------------------------------------------------------ */

static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);

    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(pattern, name, n - 1) == 0;
    return strcmp(pattern, name) == 0;
}

uint64_t build_pattern(builder *b)
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

size_t build_count(uint64_t bits)
{
    size_t n = 0;

    for (; bits != 0; bits &= bits - 1)
        n++;
    return n;
}

size_t build_nth(uint64_t bits, uint64_t n)
{
    size_t i = 0;

    for (; n > 0; n--)
        bits &= bits - 1;
    while (bits != 0 && (bits >> i & 1) == 0)
        i++;
    return i;
}

size_t build_node(builder *b)
{
    size_t at = b->line->at;
    uint64_t bits = build_pattern(b);

    if (build_count(bits) > 1)
        sim_line_fail(b->line, &b->line->words[at], "one node expected");
    return build_nth(bits, 0);
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
        } else if (sim_line_takes(l, "archive")) {
            n->archive = true;
        } else if (sim_line_takes(l, "fetches")) {
            n->fetches = true;
        } else if (sim_line_takes(l, "reads-only")) {
            n->reads_only = true;
        } else if (sim_line_takes(l, "clock")) {
            n->skew_ms = sim_line_time(l) / 1000;
        } else {
            sim_line_fail(l, sim_line_word(l, ""),
                          "durability, archive, fetches, reads-only, memory, "
                          "disk, slow or clock expected");
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
    uint64_t bits = build_pattern(b);
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

/* Whether it is one is told when the first node starts. */
static void do_setup(builder *b)
{
    uint64_t bits = build_pattern(b);
    const sim_word *w = sim_line_word(b->line, "a statement in quotes");
    size_t len = w == NULL ? 0 : strlen(w->text);

    if (len >= SIM_SETUP_BYTES_MAX) {
        sim_line_fail(b->line, w, "a setup of more than %u bytes",
                      SIM_SETUP_BYTES_MAX - 1);
        return;
    }
    for (size_t i = 0; w != NULL && i < b->plan->node_count; i++)
        if ((bits >> i & 1) != 0)
            memcpy(b->plan->nodes[i].setup, w->text, len + 1);
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
    size_t x = build_node(b), at = b->line->at, y = build_node(b);
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
        add_link(b, build_nth(bits, i),
                 build_nth(bits, sim_random_below(&b->random, i)), k);
    for (size_t i = 0; i < n / 2; i++)
        add_link(b, build_nth(bits, sim_random_below(&b->random, n)),
                 build_nth(bits, sim_random_below(&b->random, n)), k);
}

static void full_links(builder *b, uint64_t bits, size_t from, size_t to,
                       const sim_link_kind *k)
{
    for (size_t i = from; i < to; i++)
        for (size_t j = i + 1; j < to; j++)
            add_link(b, build_nth(bits, i), build_nth(bits, j), k);
}

/* Rows as wide as there are rows, or one wider. */
static void grid_links(builder *b, uint64_t bits, size_t n,
                       const sim_link_kind *k)
{
    size_t width = 1;

    while (width * width < n)
        width++;
    for (size_t i = 0; i < n; i++) {
        if (i % width > 0)
            add_link(b, build_nth(bits, i - 1), build_nth(bits, i), k);
        if (i >= width)
            add_link(b, build_nth(bits, i - width), build_nth(bits, i), k);
    }
}

/* `any` is one of those before it. */
enum { LINE, RING, STAR, FULL, RANDOM, BRIDGE, ANY, GRID };

static void do_topology(builder *b)
{
    static const char *const names[] = { "line",   "ring",   "star", "full",
                                         "random", "bridge", "any",  "grid" };
    size_t shape =
        sim_line_choice(b->line, names, COUNT_OF(names),
                        "line, ring, star, full, random, bridge, grid or any");
    uint64_t bits = build_pattern(b);
    size_t n = build_count(bits);
    sim_link_kind k = link_options(b);

    if (shape == ANY)
        shape = sim_random_below(&b->random, ANY);
    if (shape == RANDOM)
        random_links(b, bits, n, &k);
    if (shape == GRID)
        grid_links(b, bits, n, &k);
    if (shape == FULL)
        full_links(b, bits, 0, n, &k);
    if (shape == BRIDGE) {
        full_links(b, bits, 0, n / 2, &k);
        full_links(b, bits, n / 2, n, &k);
        if (n >= 2)
            add_link(b, build_nth(bits, n / 2 - 1), build_nth(bits, n / 2), &k);
    }
    if (shape > STAR)
        return;
    for (size_t i = 1; i < n; i++)
        add_link(b, build_nth(bits, shape == STAR ? 0 : i - 1),
                 build_nth(bits, i), &k);
    if (shape == RING && n > 2)
        add_link(b, build_nth(bits, n - 1), build_nth(bits, 0), &k);
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
        bits |= build_pattern(b);
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
    full_links(b, bits, 0, build_count(bits), &b->place_kind);
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
    size_t who = build_node(b);
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

/* ---- the rest ------------------------------------------------------------------------------ */

static void do_expect(builder *b)
{
    static const char *const kinds[] = { "documents",  "commits", "converge",
                                         "memory",     "bytes",   "torn",
                                         "redundancy", "delay" };
    static const char *const relations[] = { "<=", "=", ">=" };
    sim_expect x;

    x.kind = (sim_expect_kind)sim_line_choice(
        b->line, kinds, COUNT_OF(kinds),
        "documents, commits, converge, memory, bytes, torn, "
        "redundancy or delay");
    x.relation = (int)sim_line_choice(b->line, relations, 3, "<=, = or >=") - 1;
    if (x.kind == SIM_EXPECT_CONVERGE || x.kind == SIM_EXPECT_DELAY)
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

static void do_grace(builder *b)
{
    b->plan->grace_us = sim_line_span(b->line);
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
    { "work", build_work },      { "do", build_do },
    { "fault", build_fault },    { "expect", do_expect },
    { "grace", do_grace },       { "setup", do_setup },
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
