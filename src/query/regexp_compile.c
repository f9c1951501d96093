// SPDX-License-Identifier: Apache-2.0
/* From a pattern to a program, in one pass without a tree: each part of a
 * pattern becomes one piece of program at the end, and what follows it in the
 * pattern wraps or copies that piece.
 *
 *   x*   split L2; L1: x; jump L0     x?  split L1; x; L1:
 *   x+   L0: x; split L1; jump L0; L1:
 *   x|y  split L1; x; jump L2; L1: y; L2:
 *
 * Classes are kept sorted and merged, so that one test is a binary search. */
#include "query/regexp_program.h"

#include <stdlib.h>

#include "base/limits.h"

#define CODE_POINT_MAX 0x10FFFFu

typedef struct compiler {
    regexp_program *p;
    tako_slice in;
    size_t at;
    unsigned flags, depth;
    tako_err err;
} compiler;

static void fail(compiler *c, tako_err err)
{
    if (c->err == TAKO_OK)
        c->err = err;
}

/* ---- program ------------------------------------------------------------------ */

static size_t step_count(const compiler *c)
{
    return c->p->steps.len / sizeof(regexp_step);
}

static regexp_step *step_at(compiler *c, size_t i)
{
    return (regexp_step *)(void *)c->p->steps.ptr + i;
}

/* Puts `n` steps at `at`, moving what follows. */
static void insert(compiler *c, size_t at, const regexp_step *steps, size_t n)
{
    if (c->err != TAKO_OK)
        return;
    if (step_count(c) + n > TAKO_REGEXP_PROGRAM_MAX) {
        fail(c, TAKO_LIMIT);
        return;
    }
    tako_buf_insert(&c->p->steps, at * sizeof *steps,
                    tako_slice_of(steps, n * sizeof *steps));
    if (c->p->steps.failed)
        fail(c, TAKO_NOMEM);
}

static void insert_one(compiler *c, size_t at, regexp_op op, int64_t x)
{
    regexp_step s;

    memset(&s, 0, sizeof s);
    s.op = (uint8_t)op;
    s.x = (int32_t)x;
    insert(c, at, &s, 1);
}

static void put(compiler *c, regexp_op op, int64_t x)
{
    insert_one(c, step_count(c), op, x);
}

/* ---- classes ------------------------------------------------------------------ */

static regexp_range *range_at(compiler *c, size_t i)
{
    return (regexp_range *)(void *)c->p->ranges.ptr + i;
}

static size_t range_count(const compiler *c)
{
    return c->p->ranges.len / sizeof(regexp_range);
}

static void put_range(compiler *c, uint32_t low, uint32_t high)
{
    regexp_range r = { low, high };

    if (range_count(c) >= TAKO_REGEXP_PROGRAM_MAX) {
        fail(c, TAKO_LIMIT);
        return;
    }
    tako_put_bytes(&c->p->ranges, tako_slice_of(&r, sizeof r));
    if (c->p->ranges.failed)
        fail(c, TAKO_NOMEM);
}

static int range_cmp(const void *a, const void *b)
{
    const regexp_range *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

/* The ranges from `first` on in both cases of ASCII letters. */
static void fold_ranges(compiler *c, size_t first)
{
    for (size_t i = first, n = range_count(c); i < n && c->err == TAKO_OK;
         i++) {
        regexp_range r = *range_at(c, i);

        for (unsigned from = 'A'; from <= 'a'; from += 32) {
            uint32_t low = r.low > from ? r.low : from;
            uint32_t high = r.high < from + 25 ? r.high : from + 25;

            if (low <= high)
                put_range(c, low ^ 32, high ^ 32);
        }
    }
}

/* Sorts the ranges from `first` on and joins those that touch. */
static void merge_ranges(compiler *c, size_t first)
{
    size_t n = range_count(c), kept = first;

    if (n == first)
        return;
    qsort(range_at(c, first), n - first, sizeof(regexp_range), range_cmp);
    for (size_t i = first + 1; i < n; i++) {
        regexp_range *last = range_at(c, kept), r = *range_at(c, i);

        if (r.low <= last->high + 1)
            last->high = r.high > last->high ? r.high : last->high;
        else
            *range_at(c, ++kept) = r;
    }
    c->p->ranges.len = (kept + 1) * sizeof(regexp_range);
}

/* Everything but the ranges from `first` on, which are merged. */
static void negate_ranges(compiler *c, size_t first)
{
    size_t n = range_count(c);
    uint32_t next = 0;
    size_t kept = first;

    for (size_t i = first; i < n; i++) {
        regexp_range r = *range_at(c, i);

        if (r.low > next)
            *range_at(c, kept++) = (regexp_range){ next, r.low - 1 };
        next = r.high + 1;
    }
    c->p->ranges.len = kept * sizeof(regexp_range);
    if (next <= CODE_POINT_MAX)
        put_range(c, next, CODE_POINT_MAX);
}

/* Makes the ranges from `first` on a class and puts a step that tests it. */
static void put_class(compiler *c, size_t first, bool negated)
{
    regexp_class k;

    if (c->err != TAKO_OK)
        return;
    memset(&k, 0, sizeof k);
    if (c->flags & REGEXP_ANY_CASE)
        fold_ranges(c, first);
    merge_ranges(c, first);
    if (negated)
        negate_ranges(c, first);
    k.first = (uint32_t)first;
    k.count = (uint32_t)(range_count(c) - first);
    for (size_t i = first; i < range_count(c); i++) {
        regexp_range r = *range_at(c, i);

        for (uint32_t u = r.low; u <= r.high && u < 128; u++)
            k.ascii[u >> 6] |= UINT64_C(1) << (u & 63);
    }
    put(c, OP_CLASS, (int64_t)(c->p->classes.len / sizeof k));
    tako_put_bytes(&c->p->classes, tako_slice_of(&k, sizeof k));
    if (c->p->classes.failed)
        fail(c, TAKO_NOMEM);
}

/* The ranges of \d, \w, \s or, with the letter in upper case, all others. */
static void put_shorthand(compiler *c, uint32_t letter)
{
    static const regexp_range digit[] = { { '0', '9' } };
    static const regexp_range word[] = {
        { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' }
    };
    static const regexp_range space[] = { { '\t', '\r' }, { ' ', ' ' } };
    const regexp_range *r = digit;
    size_t n = 1;
    uint32_t next = 0;

    if ((letter | 32) == 'w') {
        r = word;
        n = sizeof word / sizeof word[0];
    } else if ((letter | 32) == 's') {
        r = space;
        n = sizeof space / sizeof space[0];
    }
    for (size_t i = 0; i < n; i++) {
        if (letter >= 'a')
            put_range(c, r[i].low, r[i].high);
        else if (r[i].low > next)
            put_range(c, next, r[i].low - 1);
        next = r[i].high + 1;
    }
    if (letter < 'a')
        put_range(c, next, CODE_POINT_MAX);
}

/* ---- characters of the pattern ------------------------------------------------ */

static bool more(const compiler *c)
{
    return c->err == TAKO_OK && c->at < c->in.len;
}

static bool see(const compiler *c, char what)
{
    return more(c) && c->in.ptr[c->at] == (uint8_t)what;
}

static bool take(compiler *c, char what)
{
    if (!see(c, what))
        return false;
    c->at++;
    return true;
}

static uint32_t take_char(compiler *c)
{
    size_t len;
    uint32_t u = regexp_char(c->in, c->at, &len);

    c->at += len;
    return u;
}

static void skip_spaces(compiler *c)
{
    while (c->flags & REGEXP_SPACED && more(c) &&
           (c->in.ptr[c->at] == ' ' ||
            (c->in.ptr[c->at] >= '\t' && c->in.ptr[c->at] <= '\r')))
        c->at++;
}

/* From min to max hexadecimal digits. */
static uint32_t take_hex(compiler *c, unsigned min, unsigned max)
{
    uint32_t v = 0;
    unsigned n = 0;

    for (; n < max && more(c); n++, c->at++) {
        uint8_t h = c->in.ptr[c->at];

        if (h >= '0' && h <= '9')
            v = v * 16 + (h - '0');
        else if ((h | 32) >= 'a' && (h | 32) <= 'f')
            v = v * 16 + ((h | 32) - 'a' + 10u);
        else
            break;
    }
    if (n < min || v > CODE_POINT_MAX)
        fail(c, TAKO_INVALID);
    return v;
}

/* The character that `\` and `u` stand for. */
static uint32_t take_escaped(compiler *c, uint32_t u)
{
    static const char letters[] = "n\nt\tr\rf\fv\v";
    bool braces;

    if (c->flags & REGEXP_SIMILAR)
        return u;
    for (size_t i = 0; letters[i] != '\0'; i += 2) {
        if (u == (uint8_t)letters[i])
            return (uint8_t)letters[i + 1];
    }
    if (u == 'x' || u == 'u') {
        braces = take(c, '{');
        u = braces     ? take_hex(c, 1, 6)
            : u == 'x' ? take_hex(c, 2, 2)
                       : take_hex(c, 4, 4);
        if (braces && !take(c, '}'))
            fail(c, TAKO_INVALID);
        return u;
    }
    /* What has no meaning yet may get one. */
    if (regexp_word_char(u) && u != '_')
        fail(c, TAKO_INVALID);
    return u;
}

static bool is_shorthand(const compiler *c, uint32_t u)
{
    return !(c->flags & REGEXP_SIMILAR) && u < 128 && u != 0 &&
           strchr("dDwWsS", (int)u) != NULL;
}

/* ---- [ ] ------------------------------------------------------------------------ */

/* [:name:]; the cursor is after the "[:". */
static void take_named_class(compiler *c)
{
    static const struct {
        const char *name;
        regexp_range ranges[4];
    } names[] = {
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "upper", { { 'A', 'Z' } } },
        { "lower", { { 'a', 'z' } } },
        { "digit", { { '0', '9' } } },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
        { "space", { { '\t', '\r' }, { ' ', ' ' } } },
        { "whitespace", { { '\t', '\r' }, { ' ', ' ' } } },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
    };

    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        size_t n = strlen(names[k].name), i;

        if (c->in.len - c->at < n + 2 || c->in.ptr[c->at + n] != ':' ||
            c->in.ptr[c->at + n + 1] != ']')
            continue;
        for (i = 0; i < n; i++) {
            if ((c->in.ptr[c->at + i] | 32) != names[k].name[i])
                break;
        }
        if (i < n)
            continue;
        for (i = 0; i < 4 && names[k].ranges[i].high != 0; i++)
            put_range(c, names[k].ranges[i].low, names[k].ranges[i].high);
        c->at += n + 2;
        return;
    }
    fail(c, TAKO_INVALID);
}

/* One end of a range in a class; a whole class instead: false. */
static bool take_class_char(compiler *c, uint32_t *u)
{
    *u = take_char(c);
    if (*u == '[' && take(c, ':')) {
        take_named_class(c);
        return false;
    }
    if (*u != '\\')
        return true;
    if (!more(c)) {
        fail(c, TAKO_INVALID);
        return false;
    }
    *u = take_char(c);
    if (is_shorthand(c, *u)) {
        put_shorthand(c, *u);
        return false;
    }
    *u = *u == 'b' && !(c->flags & REGEXP_SIMILAR) ? '\b' : take_escaped(c, *u);
    return true;
}

/* The cursor is after the '['. */
static void compile_class(compiler *c)
{
    size_t first = range_count(c);
    bool negated = take(c, '^'), begun = false;
    uint32_t low, high;

    /* A ] at the begin is a character of it. */
    while (more(c) && (!see(c, ']') || !begun)) {
        begun = true;
        if (!take_class_char(c, &low))
            continue;
        high = low;
        if (see(c, '-') && c->at + 1 < c->in.len &&
            c->in.ptr[c->at + 1] != ']') {
            c->at++;
            if (!take_class_char(c, &high) || high < low)
                fail(c, TAKO_INVALID);
        }
        put_range(c, low, high);
    }
    if (!take(c, ']'))
        fail(c, TAKO_INVALID);
    put_class(c, first, negated);
}

/* ---- parts ----------------------------------------------------------------------- */

static void compile_choice(compiler *c);

static void put_char(compiler *c, uint32_t u)
{
    if (c->flags & REGEXP_ANY_CASE && (u | 32) >= 'a' && (u | 32) <= 'z')
        put(c, OP_LOWER, u | 32);
    else
        put(c, OP_CHAR, u);
}

static void compile_escape(compiler *c)
{
    static const struct {
        char letter;
        regexp_op op;
    } places[] = {
        { 'b', OP_WORD },
        { 'B', OP_INSIDE },
        { 'A', OP_BEGIN },
        { 'z', OP_END },
    };
    size_t first = range_count(c);
    uint32_t u;

    if (!more(c)) {
        fail(c, TAKO_INVALID);
        return;
    }
    u = take_char(c);
    if (is_shorthand(c, u)) {
        put_shorthand(c, u);
        put_class(c, first, false);
        return;
    }
    for (size_t i = 0; i < 4 && !(c->flags & REGEXP_SIMILAR); i++) {
        if (u == (uint8_t)places[i].letter) {
            put(c, places[i].op, 0);
            return;
        }
    }
    put_char(c, take_escaped(c, u));
}

static void compile_group(compiler *c)
{
    if (take(c, '?') && !take(c, ':'))
        fail(c, TAKO_INVALID); /* look-around, names, flags */
    if (++c->depth > TAKO_REGEXP_DEPTH_MAX)
        fail(c, TAKO_LIMIT);
    if (c->err == TAKO_OK)
        compile_choice(c);
    c->depth--;
    if (!take(c, ')'))
        fail(c, TAKO_INVALID);
}

static void compile_similar_atom(compiler *c, uint32_t u)
{
    size_t start = step_count(c);

    if (u == '_') {
        put(c, OP_ANY, 0);
    } else if (u == '%') {
        put(c, OP_SPLIT, 3);
        put(c, OP_ANY, 0);
        put(c, OP_JUMP, (int64_t)start - (int64_t)step_count(c));
    } else if (u == '{' || u == '}' || u == ']') {
        fail(c, TAKO_INVALID);
    } else {
        put_char(c, u);
    }
}

/* One part, without what repeats it. */
static void compile_atom(compiler *c)
{
    bool similar = c->flags & REGEXP_SIMILAR;
    bool lines = c->flags & REGEXP_LINES;
    uint32_t u = take_char(c);

    if (u == '*' || u == '+' || u == '?')
        fail(c, TAKO_INVALID); /* nothing to repeat */
    else if (u == '(' && similar && see(c, '?'))
        fail(c, TAKO_INVALID);
    else if (u == '(')
        compile_group(c);
    else if (u == '[')
        compile_class(c);
    else if (u == '\\')
        compile_escape(c);
    else if (similar)
        compile_similar_atom(c, u);
    else if (u == '.')
        put(c, c->flags & REGEXP_DOT_ALL ? OP_ANY : OP_LINE, 0);
    else if (u == '^')
        put(c, lines ? OP_LINE_BEGIN : OP_BEGIN, 0);
    else if (u == '$')
        put(c, lines ? OP_LINE_END : OP_END, 0);
    else
        put_char(c, u);
}

/* ---- repeating -------------------------------------------------------------------- */

typedef struct repeat {
    uint32_t min, max; /* max: UINT32_MAX without one */
} repeat;

static bool take_count(compiler *c, uint32_t *n)
{
    size_t from = c->at;

    for (*n = 0; more(c) && c->in.ptr[c->at] >= '0' && c->in.ptr[c->at] <= '9';
         c->at++) {
        if (*n <= TAKO_REGEXP_PROGRAM_MAX)
            *n = *n * 10 + (c->in.ptr[c->at] - '0');
    }
    return c->at > from;
}

/* {m}, {m,} or {m,n}; anything else is text and stays where it is. */
static bool take_braces(compiler *c, repeat *r)
{
    size_t from = c->at;

    if (take(c, '{') && take_count(c, &r->min)) {
        r->max = r->min;
        if (take(c, ',') && !take_count(c, &r->max))
            r->max = UINT32_MAX;
        if (take(c, '}'))
            return true;
    }
    c->at = from;
    return false;
}

static bool take_repeat(compiler *c, repeat *r)
{
    skip_spaces(c);
    if (take(c, '*'))
        *r = (repeat){ 0, UINT32_MAX };
    else if (take(c, '+'))
        *r = (repeat){ 1, UINT32_MAX };
    else if (take(c, '?'))
        *r = (repeat){ 0, 1 };
    else if (!take_braces(c, r))
        return false;
    if (!(c->flags & REGEXP_SIMILAR))
        (void)take(c, '?'); /* the same texts match */
    return true;
}

/* The piece from `start` on so often, made of `n` steps. */
static void repeat_piece(compiler *c, size_t start, size_t n, repeat r)
{
    regexp_step *piece;
    size_t at;

    if (n == 0 || c->err != TAKO_OK)
        return;
    if (r.min > TAKO_REGEXP_PROGRAM_MAX ||
        (r.max != UINT32_MAX && r.max > TAKO_REGEXP_PROGRAM_MAX)) {
        fail(c, TAKO_LIMIT);
        return;
    }
    piece = tako_env_alloc(c->p->steps.env, n * sizeof *piece);
    if (piece == NULL) {
        fail(c, TAKO_NOMEM);
        return;
    }
    memcpy(piece, step_at(c, start), n * sizeof *piece);
    c->p->steps.len = start * sizeof *piece;
    for (uint32_t i = 0; i < r.min && c->err == TAKO_OK; i++)
        insert(c, step_count(c), piece, n);
    for (uint32_t i = r.min; r.max != UINT32_MAX && i < r.max; i++) {
        if (c->err != TAKO_OK)
            break;
        /* x?x? takes the same texts as (xx?)? */
        put(c, OP_SPLIT, (int64_t)n + 1);
        insert(c, step_count(c), piece, n);
    }
    if (r.max == UINT32_MAX) {
        at = step_count(c);
        put(c, OP_SPLIT, (int64_t)n + 2);
        insert(c, step_count(c), piece, n);
        put(c, OP_JUMP, (int64_t)at - (int64_t)step_count(c));
    }
    tako_env_free(c->p->steps.env, piece, n * sizeof *piece);
}

static void compile_repeated(compiler *c)
{
    size_t start = step_count(c);
    repeat r, again;

    compile_atom(c);
    if (c->err != TAKO_OK || !take_repeat(c, &r))
        return;
    if (r.min > r.max || take_repeat(c, &again))
        fail(c, TAKO_INVALID);
    else
        repeat_piece(c, start, step_count(c) - start, r);
}

static void compile_sequence(compiler *c)
{
    skip_spaces(c);
    while (more(c) && !see(c, '|') && !see(c, ')')) {
        compile_repeated(c);
        skip_spaces(c);
    }
}

/* Alternatives. Jumps to the end are chained through their x until it is
 * known where that is. */
static void compile_choice(compiler *c)
{
    size_t start = step_count(c), chain = SIZE_MAX, end;

    compile_sequence(c);
    while (take(c, '|')) {
        put(c, OP_JUMP, chain == SIZE_MAX ? -1 : (int64_t)chain);
        insert_one(c, start, OP_SPLIT, (int64_t)(step_count(c) - start) + 1);
        if (c->err != TAKO_OK)
            return;
        chain = step_count(c) - 1;
        start = step_count(c);
        compile_sequence(c);
    }
    end = step_count(c);
    while (chain != SIZE_MAX && c->err == TAKO_OK) {
        regexp_step *s = step_at(c, chain);
        int32_t next = s->x;

        s->x = (int32_t)(end - chain);
        chain = next < 0 ? SIZE_MAX : (size_t)next;
    }
}

tako_err regexp_compile(regexp_program *p, tako_slice pattern, unsigned flags)
{
    compiler c = { p, pattern, 0, flags, 0, TAKO_OK };

    compile_choice(&c);
    if (c.err == TAKO_OK && c.at < pattern.len)
        fail(&c, TAKO_INVALID); /* a ) without ( */
    if (flags & REGEXP_SIMILAR)
        put(&c, OP_END, 0);
    put(&c, OP_MATCH, 0);
    return c.err;
}
