// SPDX-License-Identifier: Apache-2.0
/* EVENTS -- the statements of a scenario that say what happens when: work of
 * apps, single operations, faults. */
#include "sim/build.h"

/* ---- what happens --------------------------------------------------------------------- */

typedef struct weights {
    uint64_t of[SIM_OP_KINDS];
    uint64_t transaction, all;
    uint64_t docs_from, docs_to;
    uint64_t keys;
    uint64_t bytes_from, bytes_to; /* of attachments */
    uint64_t contents;             /* different ones */
} weights;

const char *const sim_op_names[SIM_OP_KINDS] = {
    "insert", "update", "increment", "delete", "read", "attach", "get", "evict"
};

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
        } else if (sim_line_takes(l, "bytes")) {
            w->bytes_from = w->bytes_to = sim_line_bytes(l);
            if (sim_line_takes(l, "to"))
                w->bytes_to = sim_line_bytes(l);
        } else if (sim_line_takes(l, "contents")) {
            w->contents = sim_line_number(l, 1, SIM_CONTENTS_MAX);
        } else {
            size_t kind = sim_line_choice(l, sim_op_names, SIM_OP_KINDS,
                                          "keys, transaction, documents, "
                                          "bytes, contents, insert, update, "
                                          "increment, delete, read, attach, "
                                          "get or evict");

            w->of[kind] = sim_line_number(l, 0, 1000000);
        }
    }
    w->all = 0;
    for (size_t i = 0; i < SIM_OP_KINDS; i++)
        w->all += w->of[i];
    if (w->all == 0)
        sim_line_fail(l, NULL, "all weights are 0");
    if (w->bytes_to < w->bytes_from || w->bytes_to > SIM_CONTENT_BYTES_MAX)
        sim_line_fail(l, NULL, "bytes: from the least to the most, at most %u",
                      SIM_CONTENT_BYTES_MAX);
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

/* A content is its length: two of one length are the same. */
static int32_t draw_content(builder *b, const weights *w)
{
    uint64_t which = sim_random_below(&b->random, w->contents);
    uint64_t last = w->contents > 1 ? w->contents - 1 : 1;

    return (int32_t)(w->bytes_from +
                     (w->bytes_to - w->bytes_from) * which / last);
}

static bool alone(sim_op_kind kind)
{
    return kind >= SIM_OP_READ;
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
        if (several && alone(s->kind))
            s->kind = SIM_OP_UPDATE;
        s->key = (uint32_t)sim_random_below(&b->random, w->keys);
        s->amount = (int32_t)sim_random_between(&b->random, 0, 8) - 3;
        if (s->kind == SIM_OP_ATTACH)
            s->amount = draw_content(b, w);
        for (size_t i = 0; i < a->step_count; i++)
            again = again || a->steps[i].key == s->key;
        a->step_count += !again;
    }
}

void build_work(builder *b)
{
    uint64_t bits = build_pattern(b), ops;
    weights w = { .of = { 20, 40, 20, 8, 5 },
                  .transaction = 12,
                  .docs_from = 2,
                  .docs_to = 3,
                  .keys = 40,
                  .bytes_from = 1024,
                  .bytes_to = 100u << 10,
                  .contents = 16 };

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
        a.a = build_nth(bits, sim_random_below(&b->random, build_count(bits)));
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
        "insert, update, increment, delete, read, attach, get or evict");
    if (a->step_count > 0 && (alone(s->kind) || alone(a->steps[0].kind)))
        sim_line_fail(b->line, NULL, "%s stands alone", sim_op_names[s->kind]);
    s->key = (uint32_t)sim_line_number(b->line, 0, SIM_KEYS_MAX - 1);
    if (s->kind == SIM_OP_INCREMENT && sim_line_takes(b->line, "by")) {
        bool minus = sim_line_takes(b->line, "-");

        s->amount = (int32_t)sim_line_number(b->line, 0, 1000000);
        s->amount = minus ? -s->amount : s->amount;
    }
    if (s->kind == SIM_OP_ATTACH) {
        if (!sim_line_takes(b->line, "by"))
            sim_line_fail(b->line, sim_line_word(b->line, "by"), "by expected");
        s->amount = (int32_t)sim_line_number(b->line, 0, SIM_CONTENT_BYTES_MAX);
    }
    a->step_count++;
}

void build_do(builder *b)
{
    sim_action a = { .kind = SIM_DO };

    a.a = build_node(b);
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
        a->a =
            build_nth(f->of, sim_random_below(&b->random, build_count(f->of)));
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

void build_fault(builder *b)
{
    fault f = { .kind = (sim_action_kind)sim_line_choice(
                    b->line, sim_action_names, SIM_ACTION_KINDS,
                    "a kind of fault, see docs/sim.md,") };
    uint64_t at;
    bool any = true;

    f.of = build_pattern(b);
    f.to = f.of;
    if (is_of_link(f.kind) && !sim_line_done(b->line) &&
        b->line->at + 1 <= b->line->count) {
        const char *next = b->line->words[b->line->at].text;

        if (strcmp(next, "at") != 0 && strcmp(next, "every") != 0 &&
            strcmp(next, "for") != 0)
            f.to = build_pattern(b);
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
