// SPDX-License-Identifier: Apache-2.0
/* regexp_like and SIMILAR TO. Compiled patterns are kept with the connection,
 * not with the running statement (SQLite's auxiliary data), because a
 * predicate is run anew for each document; what did not compile is kept too,
 * so that a bad pattern costs once. */
#include "query/functions.h"

#include "query/regexp.h"

typedef struct cached {
    regexp *r; /* NULL: does not compile */
    tako_buf pattern;
    unsigned flags;
    uint64_t used; /* when last; 0: never */
} cached;

struct fn_regexps {
    cached of[TAKO_REGEXPS_CACHED_MAX];
    uint64_t time;
};

void fn_regexps_free(fn_state *s)
{
    if (s->regexps == NULL)
        return;
    for (size_t i = 0; i < TAKO_REGEXPS_CACHED_MAX; i++) {
        regexp_free(s->regexps->of[i].r);
        tako_buf_fini(&s->regexps->of[i].pattern);
    }
    tako_env_free(s->env, s->regexps, sizeof *s->regexps);
    s->regexps = NULL;
}

static struct fn_regexps *regexps_of(fn_state *s)
{
    if (s->regexps == NULL) {
        s->regexps = tako_env_alloc(s->env, sizeof *s->regexps);
        for (size_t i = 0; s->regexps != NULL && i < TAKO_REGEXPS_CACHED_MAX;
             i++)
            s->regexps->of[i].pattern = tako_buf_on(s->env);
    }
    return s->regexps;
}

/* The cached place of a pattern: its own or, compiled now, the one that was
 * not used for longest. */
static tako_err find(fn_state *s, tako_slice pattern, unsigned flags,
                     regexp **out)
{
    struct fn_regexps *all = regexps_of(s);
    cached *at;
    tako_err err;

    if (all == NULL)
        return TAKO_NOMEM;
    at = &all->of[0];
    for (size_t i = 0; i < TAKO_REGEXPS_CACHED_MAX; i++) {
        cached *c = &all->of[i];

        if (c->used > 0 && c->flags == flags &&
            tako_slice_eq(tako_buf_slice(&c->pattern), pattern)) {
            c->used = ++all->time;
            *out = c->r;
            return TAKO_OK;
        }
        if (c->used < at->used)
            at = c;
    }
    regexp_free(at->r);
    at->r = NULL;
    at->used = 0;
    tako_buf_reset(&at->pattern);
    tako_put_bytes(&at->pattern, pattern);
    at->flags = flags;
    err = at->pattern.failed ? TAKO_NOMEM
                             : regexp_new(s->env, pattern, flags, &at->r);
    if (err == TAKO_NOMEM)
        return err;
    at->used = ++all->time;
    *out = at->r;
    return TAKO_OK;
}

static void match(sqlite3_context *ctx, sqlite3_value **argv, unsigned flags)
{
    regexp *r;

    if (value_rank_of(argv[0]) != RANK_TEXT ||
        value_rank_of(argv[1]) != RANK_TEXT)
        return;
    if (find(sqlite3_user_data(ctx), value_text(argv[1]), flags, &r) != TAKO_OK)
        sqlite3_result_error_nomem(ctx);
    else if (r != NULL)
        value_result_bool(ctx, regexp_match(r, value_text(argv[0])));
}

/* Letters of one argument; later ones win. */
static bool add_flags(tako_slice letters, unsigned *flags)
{
    for (size_t i = 0; i < letters.len; i++) {
        switch (letters.ptr[i]) {
        case 'i':
            *flags |= REGEXP_ANY_CASE;
            break;
        case 'c':
            *flags &= ~(unsigned)REGEXP_ANY_CASE;
            break;
        case 'm':
            *flags |= REGEXP_LINES;
            break;
        case 's':
            *flags |= REGEXP_DOT_ALL;
            break;
        case 'x':
            *flags |= REGEXP_SPACED;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* regexp_like(s, pattern [, flags, ...]) */
static void run_regexp_like(sqlite3_context *ctx, int argc,
                            sqlite3_value **argv)
{
    unsigned flags = 0;

    for (int i = 2; i < argc; i++) {
        if (value_rank_of(argv[i]) != RANK_TEXT ||
            !add_flags(value_text(argv[i]), &flags))
            return;
    }
    match(ctx, argv, flags);
}

static void run_similar(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    match(ctx, argv, REGEXP_SIMILAR);
}

const fn_entry fn_regexp[] = {
    { "regexp_like", 2, 7, run_regexp_like, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};

const fn_entry fn_similar[] = {
    { "similar", 2, 2, run_similar, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
