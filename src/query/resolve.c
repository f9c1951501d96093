// SPDX-License-Identifier: Apache-2.0
/* See resolve.h. Recursion is bounded by the depths of expressions and of
 * SELECTs. Nodes can be shared after names of the result were replaced, so a
 * name that has its meaning keeps it. */
#include "query/resolve.h"

#include <stdlib.h>

#include "codec/cbor.h"

/* What is visible: the sources of a FROM up to `stop`, or the variable of an
 * ANY or FOR, or the names of a WITH up to `with_stop`. */
typedef struct scope {
    query_source *from, *stop;
    bool variable;
    query_with *with, *with_stop;
    const struct scope *outer;
} scope;

static void resolve_expr(query_parse *p, node *n, const scope *in);
static void resolve_select(query_parse *p, query_select *s, const scope *outer);

static int shown(tako_slice s)
{
    return s.len > 64 ? 64 : (int)s.len;
}

/* ---- names -------------------------------------------------------------------- */

static bool name_in(const scope *s, node *n)
{
    for (query_source *f = s->from; f != s->stop; f = f->next) {
        name_op op = NAME_UNBOUND;

        if (f->alias.len > 0 && tako_slice_eq(f->alias, n->text))
            op = NAME_WHOLE;
        else if (f->at.len > 0 && tako_slice_eq(f->at, n->text))
            op = NAME_AT;
        if (op != NAME_UNBOUND) {
            n->op = (uint8_t)op;
            n->source = f;
            return true;
        }
    }
    return false;
}

/* The nearest alias to a name that is none, or an empty slice. */
static tako_slice nearest_alias(const scope *s, tako_slice name)
{
    tako_slice best = TAKO_SLICE_NONE;
    unsigned least = 3;

    for (; s != NULL; s = s->outer) {
        for (const query_source *f = s->from; f != s->stop; f = f->next) {
            if (f->alias.len > 0)
                query_word_nearer(name, f->alias, &least, &best);
        }
    }
    return best;
}

static void name_unclear(query_parse *p, const node *n, const scope *s)
{
    tako_slice near = nearest_alias(s, n->text);
    tako_slice a = s->from->alias, b = s->from->next->alias;

    if (near.len > 0)
        (void)query_fail_at(
            p, n->pos, TAKO_INVALID,
            "%.*s is none of the names in FROM; did you mean %.*s?",
            shown(n->text), (const char *)n->text.ptr, shown(near),
            (const char *)near.ptr);
    else
        (void)query_fail_at(
            p, n->pos, TAKO_INVALID,
            "it is not clear whose %.*s is meant: write %.*s.%.*s or "
            "%.*s.%.*s",
            shown(n->text), (const char *)n->text.ptr, shown(a),
            (const char *)a.ptr, shown(n->text), (const char *)n->text.ptr,
            shown(b), (const char *)b.ptr, shown(n->text),
            (const char *)n->text.ptr);
}

static void resolve_name(query_parse *p, node *n, const scope *in)
{
    if (n->op != NAME_UNBOUND)
        return;
    for (const scope *s = in; s != NULL; s = s->outer) {
        if (name_in(s, n))
            return;
    }
    for (const scope *s = in; s != NULL; s = s->outer) {
        if (s->variable || s->from == s->stop)
            continue;
        if (s->from->next != s->stop) {
            name_unclear(p, n, s);
            return;
        }
        n->op = NAME_FIELD;
        n->source = s->from;
        return;
    }
    (void)query_fail_at(p, n->pos, TAKO_INVALID,
                        "there is no document here whose %.*s could be meant; "
                        "texts are quoted",
                        shown(n->text), (const char *)n->text.ptr);
}

static void resolve_kids(query_parse *p, node *first, const scope *in)
{
    for (node *k = first; k != NULL; k = k->next)
        resolve_expr(p, k, in);
}

static void resolve_expr(query_parse *p, node *n, const scope *in)
{
    if (n == NULL || p->err != TAKO_OK)
        return;
    if (n->kind == AST_NAME) {
        resolve_name(p, n, in);
    } else if (n->kind == AST_ANY || n->kind == AST_ARRAY_FOR ||
               n->kind == AST_OBJECT_FOR) {
        scope inner = { .from = n->source, .variable = true, .outer = in };

        resolve_expr(p, n->first, in); /* the list */
        resolve_kids(p, n->first->next, &inner);
    } else if (n->select != NULL) {
        resolve_select(p, n->select, in);
    } else {
        resolve_kids(p, n->first, in);
    }
}

static void resolve_list(query_parse *p, node *list, const scope *in)
{
    if (list != NULL)
        resolve_kids(p, list->first, in);
}

/* ---- names and numbers of the result --------------------------------------------- */

tako_slice query_out_name(const query_parse *p, const node *out)
{
    const node *e = out->first;

    if (out->op == OUT_NAMED || out->op == OUT_WITHOUT)
        return out->text;
    if (e->kind == AST_NAME || e->kind == AST_FIELD)
        return e->text;
    return tako_slice_of(p->text.ptr + out->pos, out->end - out->pos);
}

static void become(node *n, const node *other)
{
    node *next = n->next;

    *n = *other;
    n->next = next;
}

static bool is_alias(const query_core *c, tako_slice name)
{
    for (const query_source *f = c->from; f != NULL; f = f->next) {
        if (tako_slice_eq(f->alias, name))
            return true;
    }
    return false;
}

/* The expression that a name of the result stands for, or NULL. */
static const node *named_out(const query_core *c, tako_slice name)
{
    if (is_alias(c, name))
        return NULL;
    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_NAMED && tako_slice_eq(o->text, name))
            return o->first;
    }
    return NULL;
}

/* Replaces names of the result inside n. What was put in is not looked at
 * again: in lower(name) AS name the inner name is the document's. */
static void take_named(const query_core *c, node *n)
{
    const node *e;

    if (n == NULL)
        return;
    if (n->kind == AST_NAME && n->op == NAME_UNBOUND) {
        e = named_out(c, n->text);
        if (e != NULL)
            become(n, e);
        return;
    }
    if (n->source != NULL && named_out(c, n->source->alias) != NULL)
        return; /* its variable hides the name */
    for (node *k = n->first; k != NULL; k = k->next)
        take_named(c, k);
}

/* ORDER BY 2, GROUP BY 1: by number of the result field, as in SQL. */
static void take_number(query_parse *p, const query_core *c, node *n)
{
    int64_t i;
    const node *o;

    /* -(-2) is a constant by now, and no number of a field. */
    if (!ast_is_int(n, &i) || p->text.ptr[n->pos] < '0' ||
        p->text.ptr[n->pos] > '9')
        return;
    o = i >= 1 && i <= (int64_t)c->outs->count
            ? ast_kid(c->outs, (unsigned)(i - 1))
            : NULL;
    if (o == NULL || o->op == OUT_STAR || o->op == OUT_WITHOUT)
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "the result has no field number %lld",
                            (long long)i);
    else
        become(n, o->first);
}

/* ---- stars --------------------------------------------------------------------- */

static node *whole_of(query_parse *p, query_source *f, uint32_t pos)
{
    node *n = ast_new(p, AST_NAME, pos, pos);

    if (n == NULL)
        return NULL;
    n->text = f->alias;
    n->op = NAME_WHOLE;
    n->source = f;
    return n;
}

static void add_named(query_parse *p, node *list, tako_slice name, node *value)
{
    node *o = ast_one(p, AST_OUT, value);

    if (o == NULL)
        return;
    o->op = OUT_NAMED;
    o->text = name;
    (void)ast_add(p, list, o);
}

/* The fields of a source whose names are known, or a spread of it. */
static void add_spread(query_parse *p, node *list, query_source *f,
                       uint32_t pos)
{
    node *o;

    if (!source_is(f, SHAPE_COLUMNS)) {
        o = ast_one(p, AST_OUT, whole_of(p, f, pos));
        if (o == NULL)
            return;
        o->op = OUT_STAR;
        (void)ast_add(p, list, o);
        return;
    }
    for (uint32_t i = 0; i < f->select->name_count; i++) {
        tako_slice name = f->select->names[i];
        query_token t = { 0, pos, pos, name };

        add_named(p, list, name, ast_field(p, whole_of(p, f, pos), t));
    }
}

/* Each source under its name. */
static void add_nested(query_parse *p, node *list, query_core *c, uint32_t pos)
{
    for (query_source *f = c->from; f != NULL; f = f->next) {
        node *at;

        if (f->alias.len == 0) {
            (void)query_fail_at(p, f->pos, TAKO_INVALID,
                                "with * every source needs a name: add AS and "
                                "a name");
            return;
        }
        add_named(p, list, f->alias, whole_of(p, f, pos));
        if (f->at.len == 0)
            continue;
        at = whole_of(p, f, pos);
        if (at != NULL) {
            at->op = NAME_AT;
            at->text = f->at;
        }
        add_named(p, list, f->at, at);
    }
}

static void expand_star(query_parse *p, node *list, query_core *c, node *star,
                        const scope *in)
{
    node *of = star->first;

    if (c->from == NULL) {
        (void)query_fail_at(p, star->pos, TAKO_INVALID, "* wants a FROM");
    } else if (of != NULL) {
        if (of->kind == AST_NAME)
            resolve_name(p, of, in);
        if (of->kind == AST_NAME && of->op == NAME_WHOLE)
            add_spread(p, list, of->source, star->pos);
        else
            (void)query_fail_at(
                p, star->pos, TAKO_INVALID,
                "expected %.*s.*, the name of %s here", shown(c->from->alias),
                (const char *)c->from->alias.ptr,
                c->from->next == NULL ? "the collection" : "a source");
    } else if (c->from->next != NULL || c->from->kind == SOURCE_UNNEST) {
        add_nested(p, list, c, star->pos);
    } else {
        add_spread(p, list, c->from, star->pos);
    }
}

/* A new list of outs where each * is what it stands for. */
static void expand_stars(query_parse *p, query_core *c, const scope *in)
{
    node *list = ast_new(p, AST_LIST, c->outs->pos, c->outs->end), *next;

    for (node *o = c->outs->first; o != NULL && list != NULL; o = next) {
        next = o->next;
        o->next = NULL;
        if (o->op == OUT_STAR)
            expand_star(p, list, c, o, in);
        else
            (void)ast_add(p, list, o);
    }
    if (p->err == TAKO_OK)
        c->outs = list;
}

/* ---- shapes ---------------------------------------------------------------------- */

/* Rows of documents of one source differ by their _id, if they have it. */
static bool is_told_apart(const query_core *c)
{
    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op != OUT_STAR && o->op != OUT_UNNAMED &&
            tako_slice_eq(o->text, tako_slice_str("_id")))
            return false;
    }
    return c->from->next == NULL;
}

const node *query_doc_star(const query_core *c)
{
    const node *star = NULL;
    const query_source *f;

    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_STAR && star != NULL)
            return NULL;
        if (o->op == OUT_STAR)
            star = o;
    }
    if (star == NULL)
        return NULL;
    f = star->first->source;
    if (!source_is_doc(f) || f->nullable || (c->distinct && !is_told_apart(c)))
        return NULL;
    return star;
}

const query_source *query_id_out(const node *out)
{
    const node *n = out->first;
    const query_source *s = NULL;

    if (out->op == OUT_WITHOUT ||
        !tako_slice_eq(n->text, tako_slice_str("_id")))
        return NULL;
    if (n->kind == AST_NAME && n->op == NAME_FIELD)
        s = n->source;
    else if (n->kind == AST_FIELD && n->first->kind == AST_NAME &&
             n->first->op == NAME_WHOLE)
        s = n->first->source;
    return s != NULL && source_is_doc(s) ? s : NULL;
}

static bool has_star(const query_core *c)
{
    for (const node *o = c->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_STAR)
            return true;
    }
    return false;
}

int query_out_name_cmp(const void *a, const void *b)
{
    const tako_slice *x = a;
    const tako_slice *y = b;

    return cbor_key_cmp(*x, *y);
}

/* The names of all cores, each once, in the order of keys. */
static void collect_names(query_parse *p, query_select *s)
{
    size_t all = 0, n = 0, kept = 0;
    tako_slice *names;

    for (const query_core *c = s->first; c != NULL; c = c->next)
        all += c->outs->count;
    names = tako_arena_array(&p->arena, all + 1, sizeof *names);
    if (names == NULL) {
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
        return;
    }
    for (const query_core *c = s->first; c != NULL; c = c->next) {
        for (const node *o = c->outs->first; o != NULL; o = o->next) {
            if (o->op != OUT_WITHOUT)
                names[n++] = query_out_name(p, o);
        }
    }
    qsort(names, n, sizeof *names, query_out_name_cmp);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !tako_slice_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    }
    s->names = names;
    s->name_count = (uint32_t)kept;
}

static void find_shape(query_parse *p, query_select *s)
{
    bool star = false;

    for (const query_core *c = s->first; c != NULL; c = c->next)
        star = star || has_star(c);
    s->shape = SHAPE_VALUE;
    if (!star) {
        s->shape = SHAPE_COLUMNS;
        collect_names(p, s);
    } else if (s->first->next == NULL && s->first->outs->count == 1 &&
               query_doc_star(s->first) != NULL) {
        s->shape = SHAPE_DOC;
    }
}

/* ---- SELECTs ---------------------------------------------------------------------- */

static const query_with *find_with(const scope *in, tako_slice name)
{
    for (; in != NULL; in = in->outer) {
        for (query_with *w = in->with; w != in->with_stop; w = w->next) {
            if (tako_slice_eq(w->name, name))
                return w;
        }
    }
    return NULL;
}

static void check_alias(query_parse *p, const query_source *first,
                        const query_source *f)
{
    for (const query_source *b = first; b != f; b = b->next) {
        bool same = f->alias.len > 0 && (tako_slice_eq(b->alias, f->alias) ||
                                         tako_slice_eq(b->at, f->alias));

        if (same || (f->at.len > 0 && (tako_slice_eq(b->alias, f->at) ||
                                       tako_slice_eq(b->at, f->at)))) {
            tako_slice name = same ? f->alias : f->at;

            (void)query_fail_at(p, f->pos, TAKO_INVALID,
                                "two sources of one FROM are called %.*s; "
                                "name one with AS",
                                shown(name), (const char *)name.ptr);
        }
    }
}

static void resolve_source(query_parse *p, query_core *c, query_source *f,
                           const scope *outer)
{
    scope before = { .from = c->from, .stop = f, .outer = outer };
    const query_with *with;

    check_alias(p, c->from, f);
    switch (f->kind) {
    case SOURCE_COLLECTION:
        with = find_with(outer, f->name);
        if (with != NULL) {
            f->kind = SOURCE_WITH;
            f->select = with->select;
            f->with_number = with->number;
        }
        break;
    case SOURCE_SELECT:
        resolve_select(p, f->select, outer);
        break;
    case SOURCE_UNNEST:
        resolve_expr(p, f->expr, &before);
        break;
    case SOURCE_SYSTEM:
    case SOURCE_WITH:
    case SOURCE_VARIABLE:
        break;
    }
    resolve_expr(p, f->ids, NULL);
    before.stop = f->next;
    resolve_expr(p, f->on, &before);
}

static void resolve_core(query_parse *p, query_core *c, const scope *outer)
{
    scope in = { .from = c->from, .outer = outer };

    for (query_source *f = c->from; f != NULL && p->err == TAKO_OK; f = f->next)
        resolve_source(p, c, f, outer);
    if (c->outs != NULL && p->err == TAKO_OK)
        expand_stars(p, c, &in);
    if (p->err != TAKO_OK)
        return;
    for (node *o = c->outs == NULL ? NULL : c->outs->first; o != NULL;
         o = o->next)
        resolve_expr(p, o->first, &in);
    resolve_expr(p, c->where, &in);
    for (node *g = c->group == NULL ? NULL : c->group->first; g != NULL;
         g = g->next) {
        take_number(p, c, g);
        take_named(c, g);
    }
    resolve_list(p, c->group, &in);
    take_named(c, c->having);
    resolve_expr(p, c->having, &in);
}

static void resolve_select(query_parse *p, query_select *s, const scope *outer)
{
    scope with = { .with = s->with, .outer = outer };
    scope in = { .from = s->first->from, .outer = &with };

    if (s->bound || p->err != TAKO_OK)
        return;
    s->bound = true;
    for (query_with *w = s->with; w != NULL; w = w->next) {
        with.with_stop = w;
        resolve_select(p, w->select, &with);
    }
    with.with_stop = NULL;
    for (query_core *c = s->first; c != NULL; c = c->next)
        resolve_core(p, c, &with);
    for (node *o = s->order == NULL ? NULL : s->order->first;
         o != NULL && p->err == TAKO_OK; o = o->next) {
        take_number(p, s->first, o->first);
        take_named(s->first, o->first);
        resolve_expr(p, o->first, &in);
    }
    if (p->err == TAKO_OK && s->first->outs != NULL)
        find_shape(p, s);
}

/* ---- statements -------------------------------------------------------------------- */

/* The second kids of a list: values of SET; or all, of UNSET and index keys. */
static void resolve_written(query_parse *p, node *list, unsigned kid,
                            const scope *in)
{
    for (node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next)
        resolve_expr(p, ast_kid(n, kid), in);
}

tako_err query_resolve(query_parse *p)
{
    query_stmt *st = &p->stmt;
    scope target = { .from = st->target };

    if (st->select != NULL)
        resolve_select(p, st->select, NULL);
    resolve_list(p, st->docs, NULL);
    resolve_written(p, st->sets, 1, &target);
    resolve_written(p, st->unsets, 0, &target);
    resolve_written(p, st->applies, 1, NULL);
    resolve_written(p, st->index_keys, 0, &target);
    resolve_expr(p, st->setting_value, NULL);
    resolve_expr(p, st->setting_like, NULL);
    if (st->returning != NULL) {
        st->returning->first->from = st->target;
        resolve_select(p, st->returning, NULL);
    }
    return p->err;
}
