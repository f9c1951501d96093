// SPDX-License-Identifier: Apache-2.0
/* What a statement writes, resolved once when it is prepared. */
#include "query/internal.h"

#include "query/check.h"
#include "query/emit.h"

static tako_err plan_path(query *q, const node *n, crdt_path *out)
{
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];
    tako_slice *copy;
    size_t count;

    if (!query_path_keys(&q->parse.stmt, n, keys, TAKO_VALUE_DEPTH_MAX, &count))
        return TAKO_LIMIT; /* checked before */
    copy = tako_arena_array(&q->parse.arena, count, sizeof *copy);
    if (copy == NULL)
        return TAKO_NOMEM;
    memcpy(copy, keys, count * sizeof *copy);
    *out = (crdt_path){ copy, count };
    return TAKO_OK;
}

static tako_err plan_list(query *q, const node *list, query_ops *out)
{
    if (list == NULL)
        return TAKO_OK;
    out->ops = tako_arena_array(&q->parse.arena, list->count, sizeof *out->ops);
    if (out->ops == NULL)
        return TAKO_NOMEM;
    for (const node *n = list->first; n != NULL; n = n->next) {
        query_op *op = &out->ops[out->count++];

        TAKO_TRY(plan_path(q, n->first, &op->path));
        op->value = ast_kid(n, 1);
        op->op = n->op;
        op->pos = n->pos;
        if (n->kind == AST_TYPE)
            op->type = (crdt_type)n->op;
        else
            op->type = query_declared(q, op->path);
        if (n->kind == AST_SET && n->op == 1)
            op->type = CRDT_REGISTER; /* REPLACE */
    }
    return TAKO_OK;
}

crdt_type query_declared(const query *q, crdt_path path)
{
    for (size_t i = 0; i < q->types.count; i++) {
        crdt_path have = q->types.ops[i].path;
        size_t k = 0;

        while (k < path.count && k < have.count &&
               tako_slice_eq(path.keys[k], have.keys[k]))
            k++;
        if (k == path.count && k == have.count)
            return q->types.ops[i].type;
    }
    return CRDT_AUTO;
}

tako_err query_plan_ops(query *q)
{
    const query_stmt *st = &q->parse.stmt;

    TAKO_TRY(plan_list(q, st->types, &q->types)); /* the others ask it */
    TAKO_TRY(plan_list(q, st->sets, &q->sets));
    TAKO_TRY(plan_list(q, st->unsets, &q->unsets));
    return plan_list(q, st->applies, &q->applies);
}

void query_plan_by_id(query *q)
{
    const query_stmt *st = &q->parse.stmt;
    const emit m = { .p = &q->parse };
    const node *w = st->select->first->where, *a, *b;

    if (w == NULL || w->kind != AST_COMPARE || w->op != COMPARE_EQ ||
        st->target->ids != NULL || st->select->limit != NULL ||
        q->unsets.count > 0 || st->explain != EXPLAIN_NONE)
        return;
    for (size_t i = 0; i < q->sets.count; i++)
        if (!emit_is_fixed(q->sets.ops[i].value))
            return;
    a = w->first;
    b = a->next;
    if (emit_id_source(&m, a) != NULL && emit_is_fixed(b))
        q->by_id = b;
    else if (emit_id_source(&m, b) != NULL && emit_is_fixed(a))
        q->by_id = a;
}
