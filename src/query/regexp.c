// SPDX-License-Identifier: Apache-2.0
/* Thompson's simulation (Programming Techniques: Regular expression search
 * algorithm, 1968): all places of the program that the text so far can lead to
 * are held at once, as a set, so that each character costs at most one visit
 * of each instruction. Sets are sparse (Briggs and Torczon 1993): emptying one
 * and asking it cost nothing. Only whether there is a match is asked, so the
 * order of places does not matter, and greedy and non-greedy are the same. */
#include "query/regexp.h"

#include "base/limits.h"
#include "query/regexp_program.h"

typedef struct place_set {
    uint32_t *dense, *sparse;
    uint32_t count;
} place_set;

struct regexp {
    const tako_env *env;
    regexp_program program;
    uint32_t size;
    bool at_begin; /* it can only match from the first character */
    bool skips;    /* a match begins with one of these bytes: */
    int first;     /* the only one, else -1 */
    uint8_t may_begin[256];
    uint32_t *memory; /* of the sets and the stack */
    place_set now, next;
    uint32_t *stack;
    uint64_t steps;
};

uint32_t regexp_char(tako_slice s, size_t i, size_t *len)
{
    const uint8_t *p = s.ptr + i;
    size_t left = s.len - i, n;
    uint32_t c = p[0];

    *len = 1;
    if (c < 0x80)
        return c;
    n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC0 || c > 0xF7 || left < n)
        return 0xFFFD;
    c &= 0x7Fu >> n;
    for (size_t k = 1; k < n; k++) {
        if ((p[k] & 0xC0) != 0x80)
            return 0xFFFD;
        c = c << 6 | (p[k] & 0x3Fu);
    }
    *len = n;
    return c > 0x10FFFF ? 0xFFFD : c;
}

/* ---- matching ------------------------------------------------------------------ */

static const regexp_range *range_of(const regexp_program *p,
                                    const regexp_class *k)
{
    return (const regexp_range *)(const void *)p->ranges.ptr + k->first;
}

static bool in_class(const regexp_program *p, int32_t which, uint32_t c)
{
    const regexp_class *k =
        (const regexp_class *)(const void *)p->classes.ptr + which;
    const regexp_range *r = range_of(p, k);
    uint32_t low = 0, high = k->count;

    if (c < 128)
        return k->ascii[c >> 6] >> (c & 63) & 1;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (c > r[mid].high)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->count && c >= r[low].low;
}

static bool takes(const regexp_program *p, const regexp_step *s, uint32_t c)
{
    switch ((regexp_op)s->op) {
    case OP_CHAR:
        return c == (uint32_t)s->x;
    case OP_LOWER:
        return (c | 32) == (uint32_t)s->x;
    case OP_ANY:
        return true;
    case OP_LINE:
        return c != '\n';
    case OP_CLASS:
        return in_class(p, s->x, c);
    case OP_JUMP:
    case OP_SPLIT:
    case OP_BEGIN:
    case OP_END:
    case OP_LINE_BEGIN:
    case OP_LINE_END:
    case OP_WORD:
    case OP_INSIDE:
    case OP_MATCH:
        break;
    }
    return false;
}

/* Whether a place in the text is as a step wants it. */
static bool stands(regexp_op op, tako_slice text, size_t at)
{
    bool before = at > 0 && regexp_word_char(text.ptr[at - 1]);
    bool after = at < text.len && regexp_word_char(text.ptr[at]);

    if (op == OP_BEGIN)
        return at == 0;
    if (op == OP_END)
        return at == text.len;
    if (op == OP_LINE_BEGIN)
        return at == 0 || text.ptr[at - 1] == '\n';
    if (op == OP_LINE_END)
        return at == text.len || text.ptr[at] == '\n';
    return (before != after) == (op == OP_WORD);
}

/* False when it was in the set. */
static bool set_add(place_set *set, uint32_t place)
{
    uint32_t i = set->sparse[place];

    if (i < set->count && set->dense[i] == place)
        return false;
    set->sparse[place] = set->count;
    set->dense[set->count++] = place;
    return true;
}

typedef struct spot {
    tako_slice text;
    size_t at;
} spot;

/* Adds a place and all that it leads to without a character, true when that
 * is a match: here, or without `here` anywhere. */
static bool reach(regexp *r, place_set *set, uint32_t place, const spot *here)
{
    const regexp_step *program = regexp_steps_of(&r->program);
    uint32_t depth = 0;

    r->stack[depth++] = place;
    while (depth > 0) {
        uint32_t i = r->stack[--depth];
        const regexp_step *s = &program[i];

        r->steps++;
        if (!set_add(set, i))
            continue;
        if (s->op == OP_MATCH)
            return true;
        if (s->op == OP_JUMP || s->op == OP_SPLIT)
            r->stack[depth++] = (uint32_t)((int32_t)i + s->x);
        if (s->op == OP_SPLIT ||
            (s->op >= OP_BEGIN &&
             (here == NULL || stands((regexp_op)s->op, here->text, here->at))))
            r->stack[depth++] = i + 1;
    }
    return false;
}

/* ---- making ------------------------------------------------------------------- */

/* The bytes of the characters that a step takes. */
static void add_first(regexp *r, const regexp_step *s)
{
    bool beyond = s->op == OP_ANY || s->op == OP_LINE;
    const regexp_class *k;

    if (s->op == OP_CLASS) {
        k = (const regexp_class *)(const void *)r->program.classes.ptr + s->x;
        beyond =
            k->count > 0 && range_of(&r->program, k)[k->count - 1].high > 127;
    }
    if (s->op == OP_CHAR)
        beyond = s->x > 127;
    for (unsigned c = 0; c < 256; c++)
        r->may_begin[c] |= c < 128 ? takes(&r->program, s, c) : beyond;
}

/* Follows the program to the first characters of all matches; where it needs
 * none, any place may be one. */
static void find_first(regexp *r)
{
    const regexp_step *program = regexp_steps_of(&r->program);
    unsigned count = 0;

    r->now.count = 0;
    r->first = -1;
    if (reach(r, &r->now, 0, NULL))
        return;
    for (uint32_t i = 0; i < r->now.count; i++)
        add_first(r, &program[r->now.dense[i]]);
    for (int c = 0; c < 256; c++) {
        count += r->may_begin[c];
        r->first = r->may_begin[c] ? c : r->first;
    }
    r->skips = true;
    if (count != 1)
        r->first = -1;
}

tako_err regexp_new(const tako_env *env, tako_slice pattern, unsigned flags,
                    regexp **out)
{
    regexp *r = tako_env_alloc(env, sizeof *r);
    tako_err err;

    *out = NULL;
    if (r == NULL)
        return TAKO_NOMEM;
    r->env = env;
    r->program.steps = r->program.ranges = r->program.classes =
        tako_buf_on(env);
    err = regexp_compile(&r->program, pattern, flags);
    if (err == TAKO_OK) {
        r->size = (uint32_t)(r->program.steps.len / sizeof(regexp_step));
        /* A place is on the stack at most once for each way into it. */
        r->memory = tako_env_alloc(env, 6u * r->size * sizeof *r->memory);
        err = r->memory == NULL ? TAKO_NOMEM : TAKO_OK;
    }
    if (err != TAKO_OK) {
        regexp_free(r);
        return err;
    }
    r->now = (place_set){ r->memory, r->memory + r->size, 0 };
    r->next =
        (place_set){ r->memory + 2 * r->size, r->memory + 3 * r->size, 0 };
    r->stack = r->memory + 4 * r->size;
    r->at_begin = (flags & REGEXP_SIMILAR) ||
                  regexp_steps_of(&r->program)->op == OP_BEGIN;
    find_first(r);
    *out = r;
    return TAKO_OK;
}

void regexp_free(regexp *r)
{
    if (r == NULL)
        return;
    tako_env_free(r->env, r->memory, 6u * r->size * sizeof *r->memory);
    tako_buf_fini(&r->program.steps);
    tako_buf_fini(&r->program.ranges);
    tako_buf_fini(&r->program.classes);
    tako_env_free(r->env, r, sizeof *r);
}

size_t regexp_size(const regexp *r)
{
    return r->size;
}

uint64_t regexp_steps(const regexp *r)
{
    return r->steps;
}

/* ---- searching ------------------------------------------------------------------ */

/* Where the next match can begin, when nothing is under way. */
static size_t skip(const regexp *r, tako_slice text, size_t at)
{
    const uint8_t *p;

    if (!r->skips || at == text.len)
        return at;
    if (r->first >= 0) {
        p = memchr(text.ptr + at, r->first, text.len - at);
        return p == NULL ? text.len : (size_t)(p - text.ptr);
    }
    while (at < text.len && !r->may_begin[text.ptr[at]])
        at++;
    return at;
}

/* One character further, from now to next; true when that is a match. */
static bool advance(regexp *r, uint32_t c, const spot *here)
{
    const regexp_step *program = regexp_steps_of(&r->program);
    place_set done = r->now;

    r->next.count = 0;
    for (uint32_t i = 0; i < done.count; i++) {
        uint32_t place = done.dense[i];

        r->steps++;
        if (takes(&r->program, &program[place], c) &&
            reach(r, &r->next, place + 1, here))
            return true;
    }
    r->now = r->next;
    r->next = done;
    return false;
}

bool regexp_match(regexp *r, tako_slice text)
{
    spot here = { text, 0 };
    size_t len;

    r->steps = 0;
    r->now.count = 0;
    for (;;) {
        uint32_t c;

        if (r->now.count == 0 && !r->at_begin)
            here.at = skip(r, text, here.at);
        if ((here.at == 0 || !r->at_begin) && reach(r, &r->now, 0, &here))
            return true;
        if (here.at == text.len || (r->at_begin && r->now.count == 0))
            return false;
        c = regexp_char(text, here.at, &len);
        here.at += len;
        if (advance(r, c, &here))
            return true;
    }
}
