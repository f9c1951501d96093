// SPDX-License-Identifier: Apache-2.0
/* Building SELECTs. Sources are numbered as they are made, so that every one
 * has a name of its own in the SQL whatever the user called it. A SELECT knows
 * how deep SELECTs nest in it; none is deeper than TAKO_SELECT_DEPTH_MAX. */
#include "query/ast.h"

/* Zeroed memory of the parse, or NULL with the parse failed. */
static void *make(query_parse *p, size_t size)
{
    void *m;

    if (p->err != TAKO_OK)
        return NULL;
    m = tako_arena_alloc(&p->arena, size);
    if (m == NULL)
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
    return m;
}

query_source *ast_source(query_parse *p, source_kind kind, tako_slice name,
                         uint32_t pos)
{
    query_source *s;

    if (p->source_count >= TAKO_STATEMENT_SOURCES_MAX) {
        (void)query_fail_at(p, pos, TAKO_LIMIT,
                            "a statement reads from at most %u places",
                            TAKO_STATEMENT_SOURCES_MAX);
        return NULL;
    }
    s = make(p, sizeof *s);
    if (s == NULL)
        return NULL;
    s->kind = kind;
    s->name = s->alias = name;
    s->pos = pos;
    s->end = pos + (uint32_t)name.len;
    s->number = ++p->source_count;
    s->last = s;
    s->next_all = p->sources;
    p->sources = s;
    return s;
}

query_source *ast_join(query_parse *p, query_source *from, join_op join,
                       query_source *more, node *on)
{
    uint32_t count = 1;

    if (p->err != TAKO_OK || from == NULL || more == NULL)
        return NULL;
    for (const query_source *s = from; s != NULL; s = s->next)
        count++;
    if (count > TAKO_JOIN_SOURCES_MAX) {
        (void)query_fail_at(p, more->pos, TAKO_LIMIT,
                            "a FROM joins at most %u sources",
                            TAKO_JOIN_SOURCES_MAX);
        return NULL;
    }
    more->join = join;
    more->on = on;
    more->nullable = join == JOIN_LEFT;
    for (query_source *s = from; join == JOIN_RIGHT && s != NULL; s = s->next)
        s->nullable = true;
    from->last->next = more;
    from->last = more;
    return from;
}

query_core *ast_core(query_parse *p, uint32_t pos)
{
    query_core *c = make(p, sizeof *c);

    if (c == NULL)
        return NULL;
    c->pos = pos;
    c->last = c;
    return c;
}

query_core *ast_set_op(query_parse *p, query_core *first, set_op op,
                       query_core *more)
{
    uint32_t count = 1;

    if (p->err != TAKO_OK || first == NULL || more == NULL)
        return NULL;
    for (const query_core *c = first; c != NULL; c = c->next)
        count++;
    if (count > TAKO_SET_OPERANDS_MAX) {
        (void)query_fail_at(p, more->pos, TAKO_LIMIT,
                            "at most %u SELECTs are joined by set operators",
                            TAKO_SET_OPERANDS_MAX);
        return NULL;
    }
    more->op = op;
    first->last->next = more;
    first->last = more;
    return first;
}

query_with *ast_with(query_parse *p, query_with *list, query_token name,
                     query_select *select)
{
    query_with *w = make(p, sizeof *w);

    if (w == NULL || select == NULL)
        return NULL;
    w->name = name.text;
    w->pos = name.pos;
    w->number = ++p->with_count;
    w->select = select;
    w->last = w;
    if (list == NULL)
        return w;
    for (const query_with *at = list; at != NULL; at = at->next) {
        if (tako_slice_eq(at->name, w->name)) {
            (void)query_fail_at(p, name.pos, TAKO_INVALID,
                                "WITH names %.*s twice", (int)name.text.len,
                                (const char *)name.text.ptr);
            return NULL;
        }
    }
    list->last->next = w;
    list->last = w;
    return list;
}

/* ---- depth ------------------------------------------------------------------- */

/* The depth of the SELECTs in an expression. Recursion is bounded by the
 * depth of expressions. */
static uint32_t depth_of(const node *n)
{
    uint32_t most = 0;

    if (n == NULL)
        return 0;
    if (n->select != NULL)
        most = n->select->depth;
    for (const node *k = n->first; k != NULL; k = k->next) {
        uint32_t d = depth_of(k);

        most = d > most ? d : most;
    }
    return most;
}

static bool take_depth(void *ctx, node *n)
{
    uint32_t *most = ctx, d = depth_of(n);

    *most = d > *most ? d : *most;
    return true;
}

static query_select *measured(query_parse *p, query_select *s)
{
    uint32_t most = 0;

    if (s == NULL || p->err != TAKO_OK)
        return NULL;
    for (const query_with *w = s->with; w != NULL; w = w->next)
        most = w->select->depth > most ? w->select->depth : most;
    for (const query_core *c = s->first; c != NULL; c = c->next) {
        for (const query_source *f = c->from; f != NULL; f = f->next) {
            if (f->select != NULL && f->select->depth > most)
                most = f->select->depth;
        }
    }
    (void)ast_each_expr(s, take_depth, &most);
    s->depth = most + 1;
    if (s->depth <= TAKO_SELECT_DEPTH_MAX)
        return s;
    (void)query_fail_at(p, s->first->pos, TAKO_LIMIT,
                        "a SELECT holds others at most %u deep",
                        TAKO_SELECT_DEPTH_MAX);
    return NULL;
}

/* ---- SELECTs ------------------------------------------------------------------ */

static query_select *bare(query_parse *p, query_core *first)
{
    query_select *s = make(p, sizeof *s);

    if (s == NULL || first == NULL)
        return NULL;
    s->first = first;
    return s;
}

/* SELECT * FROM (compound). */
static query_core *around(query_parse *p, query_core *compound)
{
    query_source *from =
        ast_source(p, SOURCE_SELECT, TAKO_SLICE_NONE, compound->pos);
    query_core *c = ast_core(p, compound->pos);
    node *star = ast_new(p, AST_OUT, compound->pos, compound->pos);

    if (from == NULL || c == NULL || star == NULL)
        return NULL;
    star->op = OUT_STAR;
    from->select = measured(p, bare(p, compound));
    c->from = from;
    c->outs = ast_one(p, AST_LIST, star);
    return from->select == NULL || c->outs == NULL ? NULL : c;
}

query_select *ast_select(query_parse *p, query_with *with, query_core *first,
                         node *order, node *limit, node *offset)
{
    query_select *s;

    if (p->err != TAKO_OK || first == NULL)
        return NULL;
    if (first->next != NULL)
        first = around(p, first);
    s = bare(p, first);
    if (s == NULL)
        return NULL;
    s->with = with;
    s->order = order;
    s->limit = limit;
    s->offset = offset;
    return measured(p, s);
}

query_select *ast_select_from(query_parse *p, query_source *from, node *where,
                              node *limit)
{
    query_core *c = ast_core(p, from == NULL ? 0 : from->pos);
    query_select *s = bare(p, c);

    if (s == NULL || from == NULL)
        return NULL;
    c->from = from;
    c->where = where;
    s->limit = limit;
    return measured(p, s);
}

/* ---- inside expressions --------------------------------------------------------- */

node *ast_subselect(query_parse *p, ast_kind kind, query_select *select,
                    uint32_t pos, uint32_t end)
{
    node *n = ast_new(p, kind, pos, end);

    if (n == NULL || select == NULL)
        return NULL;
    n->select = select;
    return n;
}

node *ast_for(query_parse *p, ast_kind kind, query_token name, bool within,
              node *list, node *a, node *b, node *c)
{
    node *n = ast_one(p, kind, list);
    node *kids[] = { a, b, c };

    for (size_t i = 0; i < sizeof kids / sizeof kids[0]; i++) {
        if (kids[i] != NULL)
            n = ast_add(p, n, kids[i]);
    }
    if (n == NULL)
        return NULL;
    n->source = ast_source(p, SOURCE_VARIABLE, name.text, name.pos);
    if (n->source == NULL)
        return NULL;
    n->source->expr = list;
    n->source->within = within;
    return n;
}

/* ---- walking -------------------------------------------------------------------- */

static bool each_of_list(node *list, ast_visit *fn, void *ctx)
{
    for (node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next) {
        if (!fn(ctx, n))
            return false;
    }
    return true;
}

static bool each_of_core(query_core *c, ast_visit *fn, void *ctx)
{
    for (query_source *s = c->from; s != NULL; s = s->next) {
        if ((s->expr != NULL && !fn(ctx, s->expr)) ||
            (s->on != NULL && !fn(ctx, s->on)) ||
            (s->ids != NULL && !fn(ctx, s->ids)) ||
            (s->kind == SOURCE_SELECT && !ast_each_expr(s->select, fn, ctx)))
            return false;
    }
    return each_of_list(c->outs, fn, ctx) &&
           (c->where == NULL || fn(ctx, c->where)) &&
           each_of_list(c->group, fn, ctx) &&
           (c->having == NULL || fn(ctx, c->having));
}

bool ast_each_expr(query_select *s, ast_visit *fn, void *ctx)
{
    for (query_with *w = s->with; w != NULL; w = w->next) {
        if (!ast_each_expr(w->select, fn, ctx))
            return false;
    }
    for (query_core *c = s->first; c != NULL; c = c->next) {
        if (!each_of_core(c, fn, ctx))
            return false;
    }
    return each_of_list(s->order, fn, ctx) &&
           (s->limit == NULL || fn(ctx, s->limit)) &&
           (s->offset == NULL || fn(ctx, s->offset));
}
