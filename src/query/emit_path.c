// SPDX-License-Identifier: Apache-2.0
/* Paths: what a chain of names and constant indexes starts from, and the steps
 * from there, which become one literal of tql_get(). */
#include "query/emit.h"

#include "codec/cbor.h"
#include "query/resolve.h"
#include "query/value.h"

typedef enum start_kind {
    START_NODE,    /* another expression */
    START_DOC,     /* the body of a document */
    START_ID,      /* its _id */
    START_VALUE,   /* the one column of a source */
    START_COLUMN,  /* a column of a SELECT */
    START_COLUMNS, /* all of them, as an object */
    START_AT,      /* the place in a list */
    START_NOTHING, /* MISSING */
} start_kind;

typedef struct chain {
    const node *steps[TAKO_EXPR_DEPTH_MAX + 1]; /* outermost first */
    size_t count;
    start_kind start;
    const node *base;
    const query_source *source;
    uint32_t column;
} chain;

/* Whether n is a step from its first kid that a path literal can hold. */
static bool is_step(const node *n)
{
    int64_t i;
    const node *by = n->kind == AST_INDEX ? ast_kid(n, 1) : NULL;

    if (by == NULL)
        return n->kind == AST_FIELD;
    return ast_is_int(by, &i) ||
           (by->kind == AST_CONST && value_rank_cbor(by->text) == RANK_TEXT);
}

/* The key of a step; false for an index. */
static bool key_of(const node *n, tako_slice *key)
{
    int64_t i;

    if (n->kind == AST_INDEX) {
        const node *by = ast_kid(n, 1);

        if (ast_is_int(by, &i))
            return false;
        *key = value_content(by->text);
        return true;
    }
    *key = n->text;
    return true;
}

static void put_step(tako_buf *b, const node *n)
{
    tako_slice key;
    int64_t i = 0;

    if (key_of(n, &key)) {
        cbor_put_text(b, key);
    } else {
        (void)ast_is_int(ast_kid(n, 1), &i);
        cbor_put_int(b, i);
    }
}

/* Takes the innermost step off, when it is a key. */
static bool take_key(chain *c, tako_slice *key)
{
    if (c->count == 0 || !key_of(c->steps[c->count - 1], key))
        return false;
    c->count--;
    return true;
}

static void start_at_columns(chain *c)
{
    const query_select *s = c->source->select;
    tako_slice key;

    if (c->count == 0) {
        c->start = START_COLUMNS;
        return;
    }
    c->start = START_NOTHING;
    if (!take_key(c, &key))
        return;
    for (uint32_t i = 0; i < s->name_count; i++) {
        if (tako_slice_eq(s->names[i], key)) {
            c->start = START_COLUMN;
            c->column = i;
        }
    }
}

static void start_at_source(chain *c)
{
    tako_slice key;

    if (source_is_doc(c->source)) {
        c->start = START_DOC;
        if (take_key(c, &key)) {
            if (tako_slice_eq(key, tako_slice_str("_id")))
                c->start = START_ID;
            else
                c->count++;
        }
    } else if (source_is(c->source, SHAPE_COLUMNS)) {
        start_at_columns(c);
    } else {
        c->start = START_VALUE;
    }
}

static void split_chain(const node *n, chain *c)
{
    c->count = 0;
    c->base = NULL;
    c->source = NULL;
    while (is_step(n) && c->count < TAKO_EXPR_DEPTH_MAX) {
        c->steps[c->count++] = n;
        n = n->first;
    }
    if (n->kind != AST_NAME) {
        c->start = START_NODE;
        c->base = n;
        return;
    }
    c->source = n->source;
    if (n->op == NAME_AT) {
        c->start = START_AT;
        return;
    }
    if (n->op == NAME_FIELD)
        c->steps[c->count++] = n;
    start_at_source(c);
}

static void put_id(emit *e, const query_source *s)
{
    if (e->id != NULL)
        tako_put_str(&e->sql, e->id);
    else
        tako_put_fmt(&e->sql, "tql_id(t%u.row,t%u.id)", s->number, s->number);
}

static void put_body(emit *e, const query_source *s)
{
    if (e->body != NULL)
        tako_put_str(&e->sql, e->body);
    else
        tako_put_fmt(&e->sql, "t%u.body", s->number);
}

/* An object of the columns; none where an outer join found no row. */
static void put_columns(emit *e, const query_source *s)
{
    if (s->nullable)
        tako_put_fmt(&e->sql, "CASE WHEN t%u.here THEN ", s->number);
    emit_names(e, s);
    if (s->nullable)
        tako_put_str(&e->sql, " END");
}

static void put_start(emit *e, const chain *c)
{
    switch (c->start) {
    case START_NODE:
        emit_value(e, c->base);
        break;
    case START_DOC:
        put_body(e, c->source);
        break;
    case START_ID:
        put_id(e, c->source);
        break;
    case START_VALUE:
        tako_put_fmt(&e->sql, "t%u.value", c->source->number);
        break;
    case START_COLUMN:
        tako_put_fmt(&e->sql, "t%u.f%u", c->source->number, c->column);
        break;
    case START_COLUMNS:
        put_columns(e, c->source);
        break;
    case START_AT:
        tako_put_fmt(&e->sql, "t%u.key", c->source->number);
        break;
    case START_NOTHING:
        tako_put_str(&e->sql, "NULL");
        break;
    }
}

void emit_path(emit *e, const node *n)
{
    chain c;
    tako_buf path;

    split_chain(n, &c);
    if (c.count == 0 && c.start == START_DOC) {
        tako_put_str(&e->sql, "tql_doc(");
        put_id(e, c.source);
        tako_put_u8(&e->sql, ',');
        put_body(e, c.source);
        tako_put_u8(&e->sql, ')');
        return;
    }
    if (c.count == 0 || c.start == START_NOTHING) {
        put_start(e, &c);
        return;
    }
    path = tako_buf_on(e->p->env);
    for (size_t i = c.count; i-- > 0;)
        put_step(&path, c.steps[i]);
    tako_put_str(&e->sql, "tql_get(");
    put_start(e, &c);
    tako_put_u8(&e->sql, ',');
    emit_blob(e, tako_buf_slice(&path));
    tako_put_u8(&e->sql, ')');
    e->sql.failed = e->sql.failed || path.failed;
    tako_buf_fini(&path);
}

bool emit_is_step(const node *n)
{
    return is_step(n);
}

const query_source *emit_id_source(const emit *e, const node *n)
{
    chain c;

    if (e->body != NULL || (n->kind != AST_NAME && n->kind != AST_FIELD))
        return NULL;
    split_chain(n, &c);
    if (c.start != START_ID || c.count > 0 ||
        c.source->kind != SOURCE_COLLECTION || c.source->coll == 0)
        return NULL;
    return c.source;
}

bool emit_is_path(const emit *e, const node *n)
{
    chain c;

    (void)e;
    if (n->kind != AST_NAME && n->kind != AST_FIELD && n->kind != AST_INDEX)
        return false;
    split_chain(n, &c);
    return c.start != START_NODE && c.start != START_COLUMNS &&
           (c.count > 0 || c.start != START_DOC);
}

/* ---- indexes ---------------------------------------------------------------------- */

typedef struct reading {
    const query_source *source;
    bool found;
} reading;

static bool look(void *ctx, node *n)
{
    reading *r = ctx;

    if (n->kind == AST_NAME && n->source == r->source)
        r->found = true;
    if (n->select != NULL && !r->found)
        (void)ast_each_expr(n->select, look, r);
    for (node *k = n->first; k != NULL && !r->found; k = k->next)
        (void)look(r, k);
    return !r->found;
}

bool emit_reads(const node *n, const query_source *s)
{
    reading r = { s, false };

    (void)look(&r, (node *)(uintptr_t)n);
    return r.found;
}

/* The one source that n reads; false when there are others, or what an index
 * cannot hold. */
static bool one_source(const node *n, const query_source **s)
{
    if (n->kind == AST_NAME) {
        if (*s != NULL && *s != n->source)
            return false;
        *s = n->source;
        return true;
    }
    if (n->source != NULL || n->select != NULL || n->kind == AST_PARAM)
        return false;
    for (const node *k = n->first; k != NULL; k = k->next) {
        if (!one_source(k, s))
            return false;
    }
    return true;
}

const query_source *emit_index_source(const emit *e, const node *n)
{
    const query_source *s = NULL;

    if (e->body != NULL || !one_source(n, &s) || s == NULL ||
        s->kind != SOURCE_COLLECTION || s->indexes == NULL)
        return NULL;
    return s;
}

/* Whether the text of an index has n, as it is written there, between two
 * others. */
static bool in_index(emit *e, const node *n, const char *before,
                     const char *after)
{
    emit plain = { .p = e->p, .body = "body", .id = "tql_id(row,id)" };
    const query_source *s = emit_index_source(e, n);
    bool found;

    if (s == NULL)
        return false;
    plain.sql = tako_buf_on(e->p->env);
    tako_put_str(&plain.sql, before);
    emit_value(&plain, n);
    tako_put_str(&plain.sql, after);
    found = strstr(s->indexes, tako_buf_cstr(&plain.sql)) != NULL;
    e->sql.failed = e->sql.failed || plain.sql.failed;
    tako_buf_fini(&plain.sql);
    return found;
}

bool emit_is_indexed(emit *e, const node *n)
{
    return in_index(e, n, "tql_rank(", ")");
}

bool emit_is_bounded(emit *e, const node *n, const char *end)
{
    return in_index(e, n, "", end);
}

bool emit_is_inner(const emit *e, const query_source *s)
{
    for (const query_source *f = e->core == NULL ? NULL : e->core->from;
         f != NULL; f = f->next) {
        if (f == s)
            return true;
    }
    return false;
}
