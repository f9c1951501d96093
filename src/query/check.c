// SPDX-License-Identifier: Apache-2.0
/* See check.h. All walks recurse over trees whose depth the parser bounded. */
#include "query/check.h"

#include <stdlib.h>

#include "codec/cbor.h"
#include "query/functions.h"

enum {
    MAY_NAME = 1,      /* there is a document */
    MAY_AGGREGATE = 2, /* an aggregate may stand here */
    MAY_PARAM = 4,
};

static void check_expr(query_parse *p, const node *n, unsigned may);

static void check_kids(query_parse *p, const node *n, unsigned may)
{
    for (const node *k = n->first; k != NULL; k = k->next)
        check_expr(p, k, may);
}

static void check_call(query_parse *p, const node *n, unsigned may)
{
    const fn_entry *f = fn_find(n->text);
    const char *near;
    unsigned args = n->count;

    if (f == NULL) {
        near = fn_nearest(n->text);
        (void)query_fail_at(
            p, n->pos, TAKO_INVALID, "there is no function %.*s%s%s%s",
            n->text.len > 64 ? 64 : (int)n->text.len, (const char *)n->text.ptr,
            near != NULL ? "; did you mean " : "", near != NULL ? near : "",
            near != NULL ? "?" : "");
        return;
    }
    if (n->star && strcmp(f->name, "count") != 0) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID, "only count takes *");
        return;
    }
    if (fn_is_aggregate(f)) {
        if (!(may & MAY_AGGREGATE)) {
            (void)query_fail_at(
                p, n->pos, TAKO_INVALID,
                "the aggregate %s cannot stand here; it belongs in the "
                "result, HAVING or ORDER BY, and not inside another",
                f->name);
            return;
        }
        if (args != 1 && !n->star) {
            (void)query_fail_at(p, n->pos, TAKO_INVALID,
                                "%s takes one argument", f->name);
            return;
        }
        may &= ~(unsigned)MAY_AGGREGATE;
    } else if (n->distinct) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "DISTINCT is for aggregates, not for %s", f->name);
        return;
    } else if (args < (unsigned)f->min || args > (unsigned)f->max) {
        if (f->min == f->max)
            (void)query_fail_at(p, n->pos, TAKO_INVALID,
                                "%s takes %d argument%s, not %u", f->name,
                                f->min, f->min == 1 ? "" : "s", args);
        else
            (void)query_fail_at(p, n->pos, TAKO_INVALID,
                                "%s takes %d to %d arguments, not %u", f->name,
                                f->min, f->max, args);
        return;
    }
    check_kids(p, n, may);
}

static void check_expr(query_parse *p, const node *n, unsigned may)
{
    if (p->err != TAKO_OK || n == NULL)
        return;
    if (n->kind == AST_NAME && !(may & MAY_NAME)) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "there is no document here whose %.*s could be "
                            "meant; texts are quoted",
                            n->text.len > 64 ? 64 : (int)n->text.len,
                            (const char *)n->text.ptr);
        return;
    }
    if (n->kind == AST_PARAM && !(may & MAY_PARAM)) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "an index cannot depend on a parameter");
        return;
    }
    if (n->kind == AST_CALL)
        check_call(p, n, may);
    else
        check_kids(p, n, may);
}

bool query_has_aggregate(const node *n)
{
    if (n == NULL)
        return false;
    if (n->kind == AST_CALL) {
        const fn_entry *f = fn_find(n->text);

        if (f != NULL && fn_is_aggregate(f))
            return true;
    }
    for (const node *k = n->first; k != NULL; k = k->next) {
        if (query_has_aggregate(k))
            return true;
    }
    return false;
}

const node *query_find_volatile(const node *n)
{
    const node *found = NULL;

    if (n == NULL)
        return NULL;
    if (n->kind == AST_CALL) {
        const fn_entry *f = fn_find(n->text);

        if (f != NULL && fn_is_volatile(f))
            return n;
    }
    for (const node *k = n->first; k != NULL && found == NULL; k = k->next)
        found = query_find_volatile(k);
    return found;
}

/* ---- names of the result --------------------------------------------------- */

tako_slice query_out_name(const query_parse *p, const node *out)
{
    const node *e = out->first;

    if (out->op == OUT_NAMED || out->op == OUT_WITHOUT)
        return out->text;
    if (e->kind == AST_NAME || e->kind == AST_FIELD)
        return e->text;
    return tako_slice_of(p->text.ptr + out->pos, out->end - out->pos);
}

/* The expression that a name of the result stands for, or NULL. */
static const node *named_out(const query_parse *p, tako_slice name)
{
    if (p->stmt.outs == NULL || tako_slice_eq(name, p->stmt.alias))
        return NULL;
    for (const node *o = p->stmt.outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_NAMED && tako_slice_eq(o->text, name))
            return o->first;
    }
    return NULL;
}

static void become(node *n, const node *other)
{
    node *next = n->next;

    *n = *other;
    n->next = next;
}

/* Replaces names of the result inside n. What was put in is not looked at
 * again: in lower(name) AS name the inner name is the document's. */
static void resolve(const query_parse *p, node *n)
{
    const node *e;

    if (n == NULL)
        return;
    if (n->kind == AST_NAME) {
        e = named_out(p, n->text);
        if (e != NULL)
            become(n, e);
        return;
    }
    for (node *k = n->first; k != NULL; k = k->next)
        resolve(p, k);
}

/* ORDER BY 2, GROUP BY 1: by number of the result field, as in SQL. */
static void resolve_number(query_parse *p, node *n)
{
    int64_t i;
    const node *o;

    if (!ast_is_int(n, &i))
        return;
    o = i >= 1 && i <= (int64_t)p->stmt.outs->count
            ? ast_kid(p->stmt.outs, (unsigned)(i - 1))
            : NULL;
    if (o == NULL || o->op == OUT_STAR || o->op == OUT_WITHOUT)
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "the result has no field number %lld",
                            (long long)i);
    else
        become(n, o->first);
}

/* Everything outside aggregates must be constant or grouped by. */
static void check_grouped(query_parse *p, const node *n)
{
    const fn_entry *f;

    if (n == NULL || p->err != TAKO_OK)
        return;
    for (const node *g = p->stmt.group == NULL ? NULL : p->stmt.group->first;
         g != NULL; g = g->next) {
        if (ast_equal(g, n))
            return;
    }
    if (n->kind == AST_CALL) {
        f = fn_find(n->text);
        if (f != NULL && fn_is_aggregate(f))
            return;
    }
    if (n->kind == AST_NAME || n->kind == AST_FIELD) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "%.*s is neither in GROUP BY nor in an aggregate",
                            n->end - n->pos > 80 ? 80 : (int)(n->end - n->pos),
                            (const char *)p->text.ptr + n->pos);
        return;
    }
    for (const node *k = n->first; k != NULL; k = k->next)
        check_grouped(p, k);
}

/* ---- statements ------------------------------------------------------------- */

static void check_count(query_parse *p, const node *n, const char *what)
{
    int64_t v;

    if (n == NULL || n->kind == AST_PARAM)
        return;
    if (!ast_is_int(n, &v) || v < 0)
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "%s wants a whole number from 0", what);
}

static void check_star(query_parse *p, const node *o)
{
    const node *of = o->first;

    if (p->stmt.collection.len == 0)
        (void)query_fail_at(p, o->pos, TAKO_INVALID, "* wants a FROM");
    else if (of != NULL &&
             (of->kind != AST_NAME || !tako_slice_eq(of->text, p->stmt.alias)))
        (void)query_fail_at(p, o->pos, TAKO_INVALID,
                            "expected %.*s.*, the name of the collection here",
                            (int)p->stmt.alias.len,
                            (const char *)p->stmt.alias.ptr);
}

static int name_cmp(const void *a, const void *b)
{
    const tako_slice *x = a;
    const tako_slice *y = b;

    return cbor_key_cmp(*x, *y);
}

static void check_out_names(query_parse *p)
{
    const query_stmt *st = &p->stmt;
    tako_slice *names =
        tako_arena_array(&p->arena, st->outs->count, sizeof *names);
    size_t n = 0;

    if (names == NULL) {
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
        return;
    }
    for (const node *o = st->outs->first; o != NULL; o = o->next) {
        if (o->op != OUT_STAR)
            names[n++] = query_out_name(p, o);
    }
    qsort(names, n, sizeof *names, name_cmp);
    for (size_t i = 1; i < n; i++) {
        if (tako_slice_eq(names[i - 1], names[i]))
            (void)query_fail_at(p, st->outs->pos, TAKO_INVALID,
                                "two fields of the result are called '%.*s'; "
                                "name them with AS",
                                names[i].len > 64 ? 64 : (int)names[i].len,
                                (const char *)names[i].ptr);
    }
}

static void check_outs(query_parse *p, unsigned may, bool *star)
{
    const query_stmt *st = &p->stmt;

    if (st->outs->count > TAKO_PROJECTION_MAX)
        (void)query_fail_at(p, st->outs->pos, TAKO_LIMIT,
                            "a result has at most %u fields",
                            TAKO_PROJECTION_MAX);
    for (const node *o = st->outs->first; o != NULL; o = o->next) {
        if (o->op == OUT_STAR) {
            *star = true;
            check_star(p, o);
        } else {
            check_expr(p, o->first, may);
        }
    }
    if (p->err == TAKO_OK)
        check_out_names(p);
}

static void check_select(query_parse *p)
{
    query_stmt *st = &p->stmt;
    unsigned may = MAY_PARAM | (st->collection.len > 0 ? MAY_NAME : 0);
    bool star = false, grouped;

    for (node *g = st->group == NULL ? NULL : st->group->first; g != NULL;
         g = g->next) {
        resolve_number(p, g);
        resolve(p, g);
        check_expr(p, g, may);
    }
    check_outs(p, may | MAY_AGGREGATE, &star);
    resolve(p, st->having);
    check_expr(p, st->having, may | MAY_AGGREGATE);
    grouped = st->group != NULL || st->having != NULL ||
              query_has_aggregate(st->outs);
    for (node *o = st->order == NULL ? NULL : st->order->first; o != NULL;
         o = o->next) {
        resolve_number(p, o->first);
        resolve(p, o->first);
        check_expr(p, o->first, may | (grouped ? MAY_AGGREGATE : 0));
    }
    if (grouped && star)
        (void)query_fail_at(p, st->outs->pos, TAKO_INVALID,
                            "* and aggregates do not go together");
    if (grouped) {
        check_grouped(p, st->outs);
        check_grouped(p, st->having);
        check_grouped(p, st->order);
    }
    if (st->collection.len == 0 && st->where != NULL)
        check_expr(p, st->where, may);
}

bool query_path_keys(const query_stmt *st, const node *n, tako_slice *keys,
                     size_t max, size_t *count)
{
    const node *at = n;
    size_t depth = 1, i;

    while (at->kind == AST_FIELD) {
        at = at->first;
        depth++;
    }
    if (at->kind != AST_NAME)
        return false;
    if (depth > 1 && tako_slice_eq(at->text, st->alias))
        depth--; /* alias.field */
    if (depth > max)
        return false;
    *count = depth;
    for (at = n, i = depth; i-- > 0; at = at->first)
        keys[i] = at->text;
    return true;
}

static void check_write_path(query_parse *p, const node *path)
{
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];
    size_t n;

    if (p->err != TAKO_OK)
        return;
    if (!query_path_keys(&p->stmt, path, keys, TAKO_VALUE_DEPTH_MAX, &n))
        (void)query_fail_at(p, path->pos, TAKO_LIMIT,
                            "a path has at most %u parts",
                            TAKO_VALUE_DEPTH_MAX);
    else if (tako_slice_eq(keys[0], tako_slice_str("_id")))
        (void)query_fail_at(p, path->pos, TAKO_INVALID,
                            "_id is fixed when a document is inserted");
}

static void check_list(query_parse *p, const node *list, unsigned may)
{
    for (const node *k = list == NULL ? NULL : list->first; k != NULL;
         k = k->next) {
        check_write_path(p, k->first);
        if (k->count > 1)
            check_expr(p, ast_kid(k, 1), may);
    }
}

static void check_number(query_parse *p, const node *n)
{
    int64_t v;

    if (n != NULL && n->kind != AST_PARAM && !ast_is_int(n, &v))
        (void)query_fail_at(p, n->pos, TAKO_INVALID, "expected a whole number");
}

static void check_update(query_parse *p)
{
    const query_stmt *st = &p->stmt;

    check_list(p, st->types, 0);
    check_list(p, st->sets, MAY_NAME | MAY_PARAM);
    check_list(p, st->unsets, 0);
    check_list(p, st->applies, MAY_PARAM);
    for (const node *a = st->applies == NULL ? NULL : st->applies->first;
         a != NULL; a = a->next)
        check_number(p, ast_kid(a, 1));
}

static void check_insert(query_parse *p)
{
    const query_stmt *st = &p->stmt;

    check_list(p, st->types, 0);
    for (const node *d = st->docs->first; d != NULL; d = d->next) {
        check_expr(p, d, MAY_PARAM);
        if (d->kind == AST_CONST &&
            (d->text.len == 0 || cbor_kind_of(d->text) != CBOR_MAP))
            (void)query_fail_at(p, d->pos, TAKO_INVALID,
                                "expected a document, as {'key': value}");
    }
    if (st->initial && st->policy != CONFLICT_FAIL)
        (void)query_fail_at(p, st->docs->pos, TAKO_INVALID,
                            "INITIAL documents merge; ON ID CONFLICT does not "
                            "apply to them");
    if (st->initial && st->types != NULL)
        (void)query_fail_at(p, st->types->pos, TAKO_INVALID,
                            "types cannot be declared for INITIAL documents");
    check_count(p, st->seed_version, "VERSION");
}

static void check_fixed(query_parse *p, const node *n)
{
    const node *call = query_find_volatile(n);

    if (call != NULL)
        (void)query_fail_at(p, call->pos, TAKO_INVALID,
                            "an index cannot depend on %s(), which changes by "
                            "itself",
                            fn_find(call->text)->name);
}

static void check_index(query_parse *p)
{
    for (const node *k = p->stmt.index_keys->first; k != NULL; k = k->next) {
        if (k->first->kind == AST_CONST)
            (void)query_fail_at(p, k->pos, TAKO_INVALID,
                                "expected a field or an expression, found a "
                                "constant");
        check_expr(p, k->first, MAY_NAME);
        check_fixed(p, k->first);
    }
    check_expr(p, p->stmt.where, MAY_NAME);
    check_fixed(p, p->stmt.where);
}

tako_err query_check(query_parse *p)
{
    const query_stmt *st = &p->stmt;

    if (st->collection.len > TAKO_NAME_BYTES_MAX)
        return query_fail_at(p, st->collection_pos, TAKO_LIMIT,
                             "the name of a collection has at most %u bytes",
                             TAKO_NAME_BYTES_MAX);
    if (st->kind != QUERY_CREATE_INDEX && st->collection.len > 0)
        check_expr(p, st->where, MAY_NAME | MAY_PARAM);
    check_count(p, st->limit, "LIMIT");
    check_count(p, st->offset, "OFFSET");
    check_expr(p, st->ids, MAY_PARAM);
    switch (st->kind) {
    case QUERY_SELECT:
        check_select(p);
        break;
    case QUERY_INSERT:
        check_insert(p);
        break;
    case QUERY_UPDATE:
        check_update(p);
        break;
    case QUERY_CREATE_INDEX:
        check_index(p);
        break;
    case QUERY_DELETE:
    case QUERY_DROP_INDEX:
    case QUERY_BEGIN:
    case QUERY_BEGIN_READ_ONLY:
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
        break;
    }
    return p->err;
}
