// SPDX-License-Identifier: Apache-2.0
/* Ideas for indexes: for each collection of each FROM, what WHERE and ON
 * compare for equality, then one range or the order of ORDER BY or GROUP BY.
 * Each side of an OR is an idea of its own, because SQLite searches each with
 * its own index. Whether an idea is any good is not decided here: advise.c
 * tries them. All recursion is over trees that the parser bounded. */
#include "query/advise.h"

#include "codec/json.h"
#include "query/check.h"
#include "query/emit.h"
#include "parse.h"

/* What one source's conditions ask for. */
typedef struct wants {
    advice *a;
    const query_source *source;
    const node *equal[ADVISED_KEYS_MAX];
    size_t equals;
    const node *range;
} wants;

/* ---- keys ------------------------------------------------------------------- */

/* A field of the source, or a step into one. */
static bool is_path(const node *n, const query_source *s)
{
    while (n->kind == AST_FIELD || (n->kind == AST_INDEX && emit_is_step(n))) {
        if (n->kind == AST_FIELD && n->first->kind == AST_NAME &&
            n->first->op == NAME_WHOLE && n->first->source == s)
            return true;
        n = n->first;
    }
    return n->kind == AST_NAME && n->op == NAME_FIELD && n->source == s;
}

/* Good as the key of an index: a path, or a function of paths and constants;
 * and no _id, which has its own. */
static bool is_key(const wants *w, const node *n)
{
    emit m = { .p = &w->a->q->parse };
    bool path = false;

    if (is_path(n, w->source))
        return emit_id_source(&m, n) == NULL;
    if (n->kind != AST_CALL || query_has_aggregate(n) ||
        query_find_volatile(n) != NULL)
        return false;
    for (const node *k = n->first; k != NULL; k = k->next) {
        path = path || is_path(k, w->source);
        if (k->kind != AST_CONST && !is_path(k, w->source))
            return false;
    }
    return path;
}

static bool has_key(const node *const *keys, size_t count, const node *n)
{
    for (size_t i = 0; i < count; i++) {
        if (ast_equal(keys[i], n))
            return true;
    }
    return false;
}

static void want_equal(wants *w, const node *n)
{
    if (is_key(w, n) && w->equals < ADVISED_KEYS_MAX &&
        !has_key(w->equal, w->equals, n))
        w->equal[w->equals++] = n;
}

static void want_range(wants *w, const node *n)
{
    if (w->range == NULL && is_key(w, n))
        w->range = n;
}

/* ---- ideas -------------------------------------------------------------------- */

static void add(advice *a, advised *idea)
{
    if (idea->count == 0 || a->count >= TAKO_ADVISED_MAX)
        return;
    for (size_t i = 0; i < a->count; i++) {
        const advised *b = &a->list[i];
        bool same = b->count == idea->count &&
                    tako_slice_eq(b->source->name, idea->source->name);

        for (size_t k = 0; k < b->count && same; k++)
            same = ast_equal(b->keys[k], idea->keys[k]) &&
                   b->desc[k] == idea->desc[k];
        if (same)
            return;
    }
    a->list[a->count++] = *idea;
}

static advised equals_of(const wants *w)
{
    advised idea = { .source = w->source };

    for (size_t i = 0; i < w->equals; i++)
        idea.keys[idea.count++] = w->equal[i];
    return idea;
}

static void add_range(const wants *w)
{
    advised idea = equals_of(w);

    if (w->range != NULL && idea.count < ADVISED_KEYS_MAX &&
        !has_key(idea.keys, idea.count, w->range))
        idea.keys[idea.count++] = w->range;
    add(w->a, &idea);
}

/* list: of ORDER, or of expressions of GROUP BY. Ends at what the source's
 * index cannot order. */
static void add_ordered(const wants *w, const node *list)
{
    advised idea = equals_of(w);
    size_t before = idea.count;

    for (const node *o = list->first; o != NULL; o = o->next) {
        const node *key = o->kind == AST_ORDER ? o->first : o;

        if (has_key(idea.keys, before, key) || key->kind == AST_CONST)
            continue; /* one value: any order is its order */
        if (!is_key(w, key) || idea.count == ADVISED_KEYS_MAX)
            break;
        idea.desc[idea.count] = o->kind == AST_ORDER && o->negated;
        idea.keys[idea.count++] = key;
    }
    if (idea.count > before)
        add(w->a, &idea);
}

/* ---- conditions --------------------------------------------------------------- */

static void want_compare(wants *w, const node *n)
{
    const node *a = n->first, *b = a->next;

    for (int turn = 0; turn < 2; turn++) {
        if (!emit_reads(b, w->source)) {
            if (n->op == COMPARE_EQ)
                want_equal(w, a);
            else if (n->op != COMPARE_NE)
                want_range(w, a);
        }
        a = b;
        b = n->first;
    }
}

static void want(wants *w, const node *n);

/* Each side of an OR with what is outside of it. */
static void want_or(const wants *w, const node *n)
{
    for (const node *k = n->first; k != NULL; k = k->next) {
        wants one = { .a = w->a, .source = w->source };

        want(&one, k);
        add_range(&one);
    }
}

static void want(wants *w, const node *n)
{
    const node *x, *y;

    if (n == NULL)
        return;
    x = n->first;
    y = x != NULL ? x->next : NULL;
    if (n->kind == AST_AND) {
        for (const node *k = x; k != NULL; k = k->next)
            want(w, k);
    } else if (n->kind == AST_OR) {
        want_or(w, n);
    } else if (n->kind == AST_COMPARE) {
        want_compare(w, n);
    } else if (n->kind == AST_BETWEEN) {
        if (!n->negated && !emit_reads(y, w->source) &&
            !emit_reads(y->next, w->source))
            want_range(w, x);
    } else if (n->kind == AST_IN) {
        if (!n->negated && (y->select != NULL || !emit_reads(y, w->source)))
            want_equal(w, x);
    } else if (n->kind == AST_LIKE) {
        if (!n->negated && n->op == LIKE_EXACT && !emit_reads(y, w->source))
            want_range(w, x);
    } else if (n->kind == AST_IS || n->kind == AST_NOT) {
        want_equal(w, x);
    } else {
        want_equal(w, n); /* WHERE done */
    }
}

/* ---- statements ------------------------------------------------------------------ */

static void find_in_select(advice *a, const query_select *s);

static void find_in_expr(advice *a, const node *n)
{
    if (n == NULL)
        return;
    if (n->select != NULL)
        find_in_select(a, n->select);
    for (const node *k = n->first; k != NULL; k = k->next)
        find_in_expr(a, k);
}

static void find_for_source(advice *a, const query_core *c,
                            const query_source *s, const node *order)
{
    wants w = { .a = a, .source = s };

    want(&w, c->where);
    for (const query_source *f = c->from; f != NULL; f = f->next)
        want(&w, f->on);
    add_range(&w);
    if (order != NULL && !c->grouped)
        add_ordered(&w, order);
    if (c->group != NULL)
        add_ordered(&w, c->group);
}

static void find_in_core(advice *a, const query_core *c, const node *order)
{
    for (const query_source *f = c->from; f != NULL; f = f->next) {
        if (f->kind == SOURCE_COLLECTION && f->coll != 0)
            find_for_source(a, c, f, order);
        if (f->kind == SOURCE_SELECT)
            find_in_select(a, f->select);
        find_in_expr(a, f->on);
        find_in_expr(a, f->expr);
    }
    find_in_expr(a, c->where);
    find_in_expr(a, c->having);
    find_in_expr(a, c->outs);
}

static void find_in_select(advice *a, const query_select *s)
{
    for (const query_with *w = s->with; w != NULL; w = w->next)
        find_in_select(a, w->select);
    for (const query_core *c = s->first; c != NULL; c = c->next)
        find_in_core(a, c, s->first->next == NULL ? s->order : NULL);
}

void advise_find(advice *a)
{
    const query_stmt *st = &a->q->parse.stmt;

    find_in_select(a, st->select);
    for (const node *s = st->sets == NULL ? NULL : st->sets->first; s != NULL;
         s = s->next)
        find_in_expr(a, ast_kid(s, 1));
}

/* ---- as text --------------------------------------------------------------------- */

static bool is_word(tako_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0;
}

void advise_put_name(tako_slice name, tako_buf *out)
{
    if (is_word(name) && query_keyword(name) == TK_ID) {
        tako_put_bytes(out, name);
        return;
    }
    tako_put_u8(out, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '`')
            tako_put_u8(out, '`');
        tako_put_u8(out, name.ptr[i]);
    }
    tako_put_u8(out, '`');
}

static void put_path(const node *n, tako_buf *out)
{
    if (n->kind == AST_INDEX) {
        put_path(n->first, out);
        tako_put_u8(out, '[');
        (void)json_from_cbor(ast_kid(n, 1)->text, out);
        tako_put_u8(out, ']');
        return;
    }
    if (n->kind == AST_FIELD &&
        !(n->first->kind == AST_NAME && n->first->op == NAME_WHOLE)) {
        put_path(n->first, out);
        tako_put_u8(out, '.');
    }
    advise_put_name(n->text, out);
}

void advise_put_key(const node *n, tako_buf *out)
{
    if (n->kind == AST_CONST) {
        if (n->text.len == 0)
            tako_put_str(out, "missing");
        else
            (void)json_from_cbor(n->text, out);
        return;
    }
    if (n->kind != AST_CALL) {
        put_path(n, out);
        return;
    }
    tako_put_bytes(out, n->text);
    tako_put_u8(out, '(');
    for (const node *k = n->first; k != NULL; k = k->next) {
        if (k != n->first)
            tako_put_str(out, ", ");
        advise_put_key(k, out);
    }
    tako_put_u8(out, ')');
}
