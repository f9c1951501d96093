// SPDX-License-Identifier: Apache-2.0
/* See check.h. All walks recurse over trees whose depth the parser bounded. */
#include "query/check.h"

#include <stdlib.h>

#include "codec/cbor.h"
#include "query/functions.h"
#include "query/resolve.h"

enum {
    MAY_AGGREGATE = 1, /* an aggregate may stand here */
    MAY_PARAM = 2,
    MAY_SELECT = 4, /* and what SQL writes as one: ANY, FOR */
    MAY_ALL = MAY_PARAM | MAY_SELECT,
};

static void check_expr(query_parse *p, const node *n, unsigned may);
static void check_select(query_parse *p, const query_select *s);

static void check_kids(query_parse *p, const node *n, unsigned may)
{
    for (const node *k = n->first; k != NULL; k = k->next)
        check_expr(p, k, may);
}

static void check_call(query_parse *p, const node *n, unsigned may)
{
    const fn_entry *f = fn_find(n->text);
    tako_slice near;
    unsigned args = n->count;

    if (f == NULL) {
        near = fn_nearest(n->text);
        (void)query_fail_at(
            p, n->pos, TAKO_INVALID, "there is no function %.*s%s%.*s%s",
            n->text.len > 64 ? 64 : (int)n->text.len, (const char *)n->text.ptr,
            near.len > 0 ? "; did you mean " : "", (int)near.len,
            near.len > 0 ? (const char *)near.ptr : "",
            near.len > 0 ? "?" : "");
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
    if (n->kind == AST_PARAM && !(may & MAY_PARAM)) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "an index cannot depend on a parameter");
        return;
    }
    if (n->select != NULL || (n->kind != AST_NAME && n->source != NULL)) {
        if (!(may & MAY_SELECT)) {
            (void)query_fail_at(p, n->pos, TAKO_INVALID,
                                "an index cannot hold a SELECT, ANY, EVERY or "
                                "FOR");
            return;
        }
        may &= ~(unsigned)MAY_AGGREGATE;
    }
    if (n->select != NULL)
        check_select(p, n->select);
    else if (n->kind == AST_CALL)
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

/* ---- groups ----------------------------------------------------------------- */

typedef struct group_check {
    query_parse *p;
    const query_core *core;
} group_check;

static bool reads_core(const query_core *c, const node *n)
{
    for (const query_source *f = c->from; f != NULL; f = f->next) {
        if (f == n->source)
            return true;
    }
    return false;
}

static void check_grouped(query_parse *p, const query_core *c, const node *n,
                          bool inside);

static bool check_grouped_inside(void *ctx, node *n)
{
    group_check *g = ctx;

    check_grouped(g->p, g->core, n, true);
    return g->p->err == TAKO_OK;
}

/* Everything outside aggregates must be constant or grouped by. Inside another
 * SELECT aggregates are that one's own. */
static void check_grouped(query_parse *p, const query_core *c, const node *n,
                          bool inside)
{
    group_check all = { p, c };
    const fn_entry *f;

    if (n == NULL || p->err != TAKO_OK)
        return;
    for (const node *g = c->group == NULL ? NULL : c->group->first; g != NULL;
         g = g->next) {
        if (ast_equal(g, n))
            return;
    }
    if (n->select != NULL) {
        (void)ast_each_expr(n->select, check_grouped_inside, &all);
        return;
    }
    if (n->kind == AST_CALL && !inside) {
        f = fn_find(n->text);
        if (f != NULL && fn_is_aggregate(f))
            return;
    }
    if (n->kind == AST_NAME && !reads_core(c, n))
        return;
    if (n->kind == AST_NAME ||
        (n->kind == AST_FIELD && n->first->kind == AST_NAME &&
         n->first->op == NAME_WHOLE && reads_core(c, n->first))) {
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "%.*s is neither in GROUP BY nor in an aggregate",
                            n->end - n->pos > 80 ? 80 : (int)(n->end - n->pos),
                            (const char *)p->text.ptr + n->pos);
        return;
    }
    for (const node *k = n->first; k != NULL; k = k->next)
        check_grouped(p, c, k, inside);
}

/* ---- statements ------------------------------------------------------------- */

static void check_count(query_parse *p, const node *n, const char *what)
{
    int64_t v;

    if (n == NULL)
        return;
    if (n->kind == AST_PARAM)
        p->counts[n->count - 1] = what; /* looked at when it is bound */
    else if (!ast_is_int(n, &v) || v < 0)
        (void)query_fail_at(p, n->pos, TAKO_INVALID,
                            "%s wants a whole number from 0", what);
}

static void check_out_names(query_parse *p, const node *outs)
{
    tako_slice *names = tako_arena_array(&p->arena, outs->count, sizeof *names);
    size_t n = 0;

    if (names == NULL) {
        p->err = tako_fail(p->e, TAKO_NOMEM, "out of memory");
        return;
    }
    for (const node *o = outs->first; o != NULL; o = o->next) {
        if (o->op != OUT_STAR)
            names[n++] = query_out_name(p, o);
    }
    qsort(names, n, sizeof *names, query_out_name_cmp);
    for (size_t i = 1; i < n; i++) {
        if (tako_slice_eq(names[i - 1], names[i]))
            (void)query_fail_at(p, outs->pos, TAKO_INVALID,
                                "two fields of the result are called '%.*s'; "
                                "name them with AS",
                                names[i].len > 64 ? 64 : (int)names[i].len,
                                (const char *)names[i].ptr);
    }
}

static void check_outs(query_parse *p, const node *outs, unsigned may)
{
    if (outs->count > TAKO_PROJECTION_MAX)
        (void)query_fail_at(p, outs->pos, TAKO_LIMIT,
                            "a result has at most %u fields",
                            TAKO_PROJECTION_MAX);
    check_kids(p, outs, may);
    if (p->err == TAKO_OK)
        check_out_names(p, outs);
}

static const char *const system_names[] = {
    "blobs",    "collections", "commits",       "conflicts",
    "dual",     "indexes",     "info",          "links",
    "metrics",  "observers",   "peers",         "quarantine",
    "requests", "settings",    "subscriptions", "sync",
};

bool query_is_system(tako_slice name)
{
    for (size_t i = 0; i < sizeof system_names / sizeof *system_names; i++) {
        if (tako_slice_eq(name, tako_slice_str(system_names[i])))
            return true;
    }
    return false;
}

static void check_system(query_parse *p, const query_source *f)
{
    tako_slice near = TAKO_SLICE_NONE;
    unsigned least = 4;

    if (query_is_system(f->name))
        return;
    for (size_t i = 0; i < sizeof system_names / sizeof *system_names; i++)
        query_word_nearer(f->name, tako_slice_str(system_names[i]), &least,
                          &near);
    (void)query_fail_at(
        p, f->pos, TAKO_INVALID, "there is no collection system:%.*s%s%.*s%s",
        f->name.len > 64 ? 64 : (int)f->name.len, (const char *)f->name.ptr,
        near.len > 0 ? "; did you mean system:" : "", (int)near.len,
        near.len > 0 ? (const char *)near.ptr : "", near.len > 0 ? "?" : "");
}

static void check_source(query_parse *p, const query_source *f)
{
    if (f->kind == SOURCE_COLLECTION && f->name.len > TAKO_NAME_BYTES_MAX)
        (void)query_fail_at(p, f->pos, TAKO_LIMIT,
                            "the name of a collection has at most %u bytes",
                            TAKO_NAME_BYTES_MAX);
    if (f->kind == SOURCE_SYSTEM)
        check_system(p, f);
    if (f->kind == SOURCE_SELECT)
        check_select(p, f->select);
    check_expr(p, f->ids, MAY_PARAM);
    check_expr(p, f->expr, MAY_ALL);
    check_expr(p, f->on, MAY_ALL);
}

static void check_group(query_parse *p, const query_core *c, const node *order)
{
    bool star = false;

    for (const node *o = c->outs->first; o != NULL; o = o->next)
        star = star || o->op == OUT_STAR;
    if (star)
        (void)query_fail_at(p, c->outs->pos, TAKO_INVALID,
                            "* and aggregates do not go together");
    check_grouped(p, c, c->outs, false);
    check_grouped(p, c, c->having, false);
    check_grouped(p, c, order, false);
}

/* outs are NULL in what UPDATE and the like find. */
static void check_core(query_parse *p, query_core *c, const node *order)
{
    for (const query_source *f = c->from; f != NULL; f = f->next)
        check_source(p, f);
    check_expr(p, c->where, MAY_ALL);
    if (c->group != NULL)
        check_kids(p, c->group, MAY_ALL);
    if (c->outs == NULL)
        return;
    check_outs(p, c->outs, MAY_ALL | MAY_AGGREGATE);
    check_expr(p, c->having, MAY_ALL | MAY_AGGREGATE);
    c->grouped =
        c->group != NULL || c->having != NULL || query_has_aggregate(c->outs);
    if (order != NULL)
        check_kids(p, order, MAY_ALL | (c->grouped ? MAY_AGGREGATE : 0));
    if (c->grouped)
        check_group(p, c, order);
}

static void check_select(query_parse *p, const query_select *s)
{
    if (p->err != TAKO_OK)
        return;
    for (const query_with *w = s->with; w != NULL; w = w->next)
        check_select(p, w->select);
    for (query_core *c = s->first; c != NULL; c = c->next)
        check_core(p, c, c == s->first ? s->order : NULL);
    check_count(p, s->limit, "LIMIT");
    check_count(p, s->offset, "OFFSET");
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
    if (depth > 1 &&
        (at->op == NAME_WHOLE ||
         (st->target != NULL && tako_slice_eq(at->text, st->target->alias))))
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
    check_list(p, st->sets, MAY_ALL);
    check_list(p, st->unsets, 0);
    check_list(p, st->applies, MAY_PARAM);
    for (const node *a = st->applies == NULL ? NULL : st->applies->first;
         a != NULL; a = a->next)
        check_number(p, ast_kid(a, 1));
}

static void check_insert(query_parse *p)
{
    const query_stmt *st = &p->stmt;
    uint32_t pos = st->docs != NULL ? st->docs->pos : st->target->pos;

    check_list(p, st->types, 0);
    for (const node *d = st->docs == NULL ? NULL : st->docs->first; d != NULL;
         d = d->next) {
        check_expr(p, d, MAY_ALL);
        if (d->kind == AST_CONST &&
            (d->text.len == 0 || cbor_kind_of(d->text) != CBOR_MAP))
            (void)query_fail_at(p, d->pos, TAKO_INVALID,
                                "expected a document, as {'key': value}");
    }
    if (st->initial && st->policy != CONFLICT_FAIL)
        (void)query_fail_at(p, pos, TAKO_INVALID,
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
        check_expr(p, k->first, 0);
        check_fixed(p, k->first);
    }
    check_expr(p, p->stmt.select->first->where, 0);
    check_fixed(p, p->stmt.select->first->where);
}

/* What can be explained: what reads. */
static void check_explained(query_parse *p)
{
    const query_stmt *st = &p->stmt;

    if (st->explain != EXPLAIN_NONE && st->select == NULL)
        (void)query_fail_at(p, 0, TAKO_INVALID,
                            "an INSERT of documents reads nothing, so there "
                            "is no plan to explain");
}

static void check_returning(query_parse *p, query_core *c)
{
    if (query_has_aggregate(c->outs))
        (void)query_fail_at(p, c->outs->pos, TAKO_INVALID,
                            "RETURNING gives a row for each document: no "
                            "aggregates");
    check_outs(p, c->outs, MAY_ALL);
}

static bool see_select(void *ctx, node *n)
{
    bool *seen = ctx;

    if (n->select != NULL)
        *seen = true;
    for (node *k = n->first; k != NULL && !*seen; k = k->next)
        (void)see_select(ctx, k);
    return !*seen;
}

bool query_has_select(query_select *s)
{
    bool seen = false;

    (void)ast_each_expr(s, see_select, &seen);
    return seen;
}

bool query_dismisses(const query_stmt *st)
{
    return st->kind == QUERY_DELETE && st->target != NULL &&
           st->target->kind == SOURCE_SYSTEM;
}

/* What is written to: a collection of the app's; and DELETE takes what was
 * looked at off the lists of system:conflicts and system:quarantine. */
static tako_err check_target(query_parse *p)
{
    const query_stmt *st = &p->stmt;
    const query_source *t = st->target;

    if (t == NULL || t->kind != SOURCE_SYSTEM)
        return TAKO_OK;
    if (st->kind != QUERY_DELETE ||
        (!tako_slice_eq(t->name, tako_slice_str("conflicts")) &&
         !tako_slice_eq(t->name, tako_slice_str("quarantine"))))
        return query_fail_at(p, t->pos, TAKO_INVALID,
                             "system collections can only be read");
    if (st->returning != NULL || t->ids != NULL)
        return query_fail_at(p, t->pos, TAKO_UNSUPPORTED,
                             "DELETE FROM system:%.*s takes neither USE IDS "
                             "nor RETURNING",
                             (int)t->name.len, (const char *)t->name.ptr);
    return TAKO_OK;
}

tako_err query_check(query_parse *p)
{
    const query_stmt *st = &p->stmt;

    TAKO_TRY(check_target(p));
    if (query_resolve(p) != TAKO_OK)
        return p->err;
    if (st->target != NULL)
        check_source(p, st->target);
    if (st->select != NULL && st->kind != QUERY_CREATE_INDEX)
        check_select(p, st->select);
    if (st->returning != NULL)
        check_returning(p, st->returning->first);
    check_explained(p);
    switch (st->kind) {
    case QUERY_INSERT:
        check_insert(p);
        break;
    case QUERY_UPDATE:
        check_update(p);
        break;
    case QUERY_CREATE_INDEX:
        check_index(p);
        break;
    case QUERY_SET:
        check_expr(p, st->setting_value, MAY_ALL);
        break;
    case QUERY_SHOW:
        check_expr(p, st->setting_like, MAY_ALL);
        break;
    case QUERY_SELECT:
    case QUERY_DELETE:
    case QUERY_EVICT:
    case QUERY_DROP_INDEX:
    case QUERY_BEGIN:
    case QUERY_BEGIN_READ_ONLY:
    case QUERY_COMMIT:
    case QUERY_ROLLBACK:
    case QUERY_RESET:
    case QUERY_EXPLAIN:
    case QUERY_PROVISION:
        break;
    }
    return p->err;
}
