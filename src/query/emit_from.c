// SPDX-License-Identifier: Apache-2.0
/* FROM and WHERE. Tombstones have no body; that condition stands where an
 * index of living documents can be recognised by it: in the WHERE for the
 * first source, in the ON for those that are joined. `a RIGHT JOIN b` is
 * written as `b LEFT JOIN (a)`: what stands in such parentheses, and b, have
 * their condition in a SELECT of their own. */
#include "query/emit.h"

#include <stdio.h>

#include "query/resolve.h"

const char *emit_some_column(const query_source *s)
{
    if (source_is_doc(s))
        return "row";
    return source_is(s, SHAPE_COLUMNS) ? "f0" : "value";
}

static void put_collection(emit *e, const query_source *s, bool sealed)
{
    if (s->coll == 0) {
        tako_put_str(&e->sql,
                     "(SELECT 0 AS row,x'' AS id,x'a0' AS body WHERE 0)");
    } else if (sealed) {
        tako_put_fmt(&e->sql, "(SELECT row,id,body FROM c%u WHERE ", s->coll);
        if (e->counted)
            tako_put_fmt(&e->sql, "tql_seen(%u,row) AND ", s->number);
        tako_put_str(&e->sql, "body IS NOT NULL");
        if (s->ids != NULL) {
            tako_put_str(&e->sql, " AND ");
            emit_rows_of(e, s, "row", s->ids);
        }
        tako_put_u8(&e->sql, ')');
    } else {
        tako_put_fmt(&e->sql, "c%u", s->coll);
    }
    tako_put_fmt(&e->sql, " AS t%u", s->number);
    if (s->coll != 0 && !sealed && s->use_index.len > 0 && !s->hint_failed) {
        tako_buf name = tako_buf_on(e->p->env);

        store_index_sql_name(s->coll, s->use_index, &name);
        tako_put_fmt(&e->sql, " INDEXED BY %s", tako_buf_cstr(&name));
        tako_buf_fini(&name);
    }
}

static void put_source(emit *e, const query_source *s, bool sealed)
{
    switch (s->kind) {
    case SOURCE_COLLECTION:
        put_collection(e, s, sealed);
        return;
    case SOURCE_SYSTEM:
        tako_put_fmt(&e->sql, "tql_system('%.*s')", (int)s->name.len,
                     (const char *)s->name.ptr);
        break;
    case SOURCE_SELECT:
        tako_put_u8(&e->sql, '(');
        emit_select(e, s->select, FORM_FROM);
        tako_put_u8(&e->sql, ')');
        break;
    case SOURCE_WITH:
        tako_put_fmt(&e->sql, "w%u", s->with_number);
        break;
    case SOURCE_UNNEST:
    case SOURCE_VARIABLE:
        tako_put_fmt(&e->sql, "tql_%s(", s->within ? "within" : "each");
        emit_value(e, s->expr);
        tako_put_u8(&e->sql, ')');
        break;
    }
    tako_put_fmt(&e->sql, " AS t%u", s->number);
}

/* " <before> cond AND cond" of a source that is not sealed; false: none. */
static bool put_conditions(emit *e, const query_source *s, const char *before)
{
    const char *next = before;

    if (s->kind == SOURCE_COLLECTION && s->coll != 0) {
        tako_put_str(&e->sql, next);
        if (e->counted)
            tako_put_fmt(&e->sql, "tql_seen(%u,t%u.row) AND ", s->number,
                         s->number);
        tako_put_fmt(&e->sql, "t%u.body IS NOT NULL", s->number);
        next = " AND ";
        if (s->ids != NULL) {
            char row[24];

            (void)snprintf(row, sizeof row, "t%u.row", s->number);
            tako_put_str(&e->sql, next);
            emit_rows_of(e, s, row, s->ids);
        }
    }
    if (s->on != NULL && s->join != JOIN_RIGHT) {
        tako_put_str(&e->sql, next);
        emit_true(e, s->on);
        next = " AND ";
    }
    return next != before;
}

static void put_joined(emit *e, const query_source *s, const query_source *end)
{
    for (; s != end; s = s->next) {
        tako_put_str(&e->sql, s->join == JOIN_LEFT ? " LEFT JOIN " : " JOIN ");
        put_source(e, s, false);
        if (!put_conditions(e, s, " ON ") && s->join == JOIN_LEFT)
            tako_put_str(&e->sql, " ON 1");
    }
}

static const query_source *last_right(const query_source *s,
                                      const query_source *end)
{
    const query_source *found = NULL;

    for (; s != end; s = s->next) {
        if (s->join == JOIN_RIGHT)
            found = s;
    }
    return found;
}

/* The sources from `first` up to `end`; sealed: nobody else writes the
 * condition of the first. Recursion: one level per RIGHT JOIN of one FROM. */
static void put_sources(emit *e, const query_source *first,
                        const query_source *end, bool sealed)
{
    const query_source *right = last_right(first->next, end);

    if (right == NULL) {
        put_source(e, first, sealed);
        put_joined(e, first->next, end);
        return;
    }
    put_source(e, right, true);
    /* SQLite forgets the name of a source that is alone in parentheses. */
    tako_put_str(&e->sql,
                 first->next == right ? " LEFT JOIN " : " LEFT JOIN (");
    put_sources(e, first, right, true);
    tako_put_str(&e->sql, first->next == right ? " ON " : ") ON ");
    if (right->on != NULL)
        emit_true(e, right->on);
    else
        tako_put_u8(&e->sql, '1');
    put_joined(e, right->next, end);
}

void emit_from(emit *e, const query_core *c, const char *more)
{
    const char *next = " WHERE ";

    if (c->from != NULL) {
        bool right = last_right(c->from->next, NULL) != NULL;

        tako_put_str(&e->sql, " FROM ");
        put_sources(e, c->from, NULL, right);
        if (!right && put_conditions(e, c->from, next))
            next = " AND ";
    }
    if (c->where != NULL) {
        tako_put_str(&e->sql, next);
        next = " AND ";
        emit_true(e, c->where);
    }
    if (more != NULL)
        tako_put_fmt(&e->sql, "%s%s", next, more);
}
