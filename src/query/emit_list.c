// SPDX-License-Identifier: Apache-2.0
/* Lists: ANY, EVERY, and FOR, as SELECTs over tql_each(list), which gives the
 * elements of an array and the values of an object, and no row for anything
 * else. A list is written where it is needed when it is a path, and else once,
 * as the only column of a SELECT around:
 *
 *     (SELECT <what uses l7.v> FROM (SELECT <list> AS v) AS l7) */
#include "query/emit.h"

static void put_list(emit *e, const node *n, bool once)
{
    if (once)
        tako_put_fmt(&e->sql, "l%u.v", n->source->number);
    else
        emit_value(e, n->first);
}

static void put_each(emit *e, const node *n, bool once)
{
    tako_put_fmt(&e->sql, "SELECT 1 FROM tql_%s(",
                 n->source->within ? "within" : "each");
    put_list(e, n, once);
    tako_put_fmt(&e->sql, ") AS t%u", n->source->number);
}

static void put_is_list(emit *e, const node *n, bool once)
{
    tako_put_str(&e->sql, "tql_is_list(");
    put_list(e, n, once);
    tako_put_u8(&e->sql, ')');
}

/* "[NOT ]EXISTS(an element[ for which the condition is (not) true])" */
static void put_exists(emit *e, const node *n, bool once, const char * not,
                       const char *which)
{
    tako_put_fmt(&e->sql, "%sEXISTS(", not );
    put_each(e, n, once);
    if (which != NULL) {
        tako_put_str(&e->sql, " WHERE (");
        emit_true(e, n->first->next);
        tako_put_fmt(&e->sql, ")%s", which);
    }
    tako_put_u8(&e->sql, ')');
}

#define WHERE_TRUE  ""
#define WHERE_WRONG " IS NOT TRUE"

static void put_true(emit *e, const node *n, bool once)
{
    switch ((any_op)n->op) {
    case ANY_SOME:
        put_exists(e, n, once, "", WHERE_TRUE);
        break;
    case ANY_EVERY:
        put_is_list(e, n, once);
        tako_put_str(&e->sql, " AND ");
        put_exists(e, n, once, "NOT ", WHERE_WRONG);
        break;
    case ANY_AND_EVERY:
        put_exists(e, n, once, "", NULL);
        tako_put_str(&e->sql, " AND ");
        put_exists(e, n, once, "NOT ", WHERE_WRONG);
        break;
    }
}

static void put_false(emit *e, const node *n, bool once)
{
    switch ((any_op)n->op) {
    case ANY_SOME:
        put_is_list(e, n, once);
        tako_put_str(&e->sql, " AND ");
        put_exists(e, n, once, "NOT ", WHERE_TRUE);
        break;
    case ANY_EVERY:
        put_exists(e, n, once, "", WHERE_WRONG);
        break;
    case ANY_AND_EVERY:
        put_is_list(e, n, once);
        tako_put_str(&e->sql, " AND (");
        put_exists(e, n, once, "NOT ", NULL);
        tako_put_str(&e->sql, " OR ");
        put_exists(e, n, once, "", WHERE_WRONG);
        tako_put_u8(&e->sql, ')');
        break;
    }
}

/* The SELECT around, when the list is no path. */
static bool begin(emit *e, const node *n)
{
    bool once = !emit_is_path(e, n->first) && n->first->kind != AST_PARAM;

    tako_put_str(&e->sql, once ? "(SELECT " : "(");
    return once;
}

static void end(emit *e, const node *n, bool once)
{
    if (once) {
        tako_put_str(&e->sql, " FROM (SELECT ");
        emit_value(e, n->first);
        tako_put_fmt(&e->sql, " AS v) AS l%u", n->source->number);
    }
    tako_put_u8(&e->sql, ')');
}

void emit_any(emit *e, const node *n, bool want)
{
    bool once = begin(e, n);

    if (want)
        put_true(e, n, once);
    else
        put_false(e, n, once);
    end(e, n, once);
}

/* The condition is written once: what is a list and not true is false. */
void emit_any_value(emit *e, const node *n)
{
    bool once = begin(e, n);

    tako_put_str(&e->sql, "CASE WHEN ");
    put_true(e, n, once);
    tako_put_str(&e->sql, " THEN x'f5' WHEN ");
    put_is_list(e, n, once);
    tako_put_str(&e->sql, " THEN x'f4' END");
    end(e, n, once);
}

/* Aggregates that keep the order of rows; nothing of what is no list. */
void emit_for(emit *e, const node *n)
{
    bool once = begin(e, n), object = n->kind == AST_OBJECT_FOR;
    const node *a = n->first->next, *b = a->next;
    const node *when = object ? b->next : b;

    tako_put_str(&e->sql, "CASE WHEN ");
    put_is_list(e, n, once);
    tako_put_fmt(&e->sql, " THEN (SELECT tql_%s(",
                 object ? "collect_object" : "collect");
    emit_value(e, a);
    if (object) {
        tako_put_u8(&e->sql, ',');
        emit_value(e, b);
    }
    /* SQLite gives an aggregate that reads only outer sources to the outer
     * SELECT, so a column of this one is named too. */
    tako_put_fmt(&e->sql, ",t%u.key) FROM tql_%s(", n->source->number,
                 n->source->within ? "within" : "each");
    put_list(e, n, once);
    tako_put_fmt(&e->sql, ") AS t%u", n->source->number);
    if (when != NULL) {
        tako_put_str(&e->sql, " WHERE ");
        emit_true(e, when);
    }
    tako_put_str(&e->sql, ") END");
    end(e, n, once);
}
