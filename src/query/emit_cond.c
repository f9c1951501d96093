// SPDX-License-Identifier: Apache-2.0
/* Conditions: see emit.h. NOT is pushed down to the leaves (true(NOT a) is
 * false(a), by De Morgan for AND and OR), so that only leaves need to know
 * what MISSING does to them. */
#include "query/emit.h"

#include "codec/cbor.h"
#include "query/value.h"

/* Balanced, because SQLite bounds the depth of its own tree. */
void emit_joined(emit *e, const node *const *kids, size_t n, const char *op,
                 void (*one)(emit *e, const node *n))
{
    if (n == 1) {
        one(e, kids[0]);
        return;
    }
    tako_put_u8(&e->sql, '(');
    emit_joined(e, kids, n / 2, op, one);
    tako_put_str(&e->sql, op);
    emit_joined(e, kids + n / 2, n - n / 2, op, one);
    tako_put_u8(&e->sql, ')');
}

static void emit_list(emit *e, const node *n, const char *op,
                      void (*one)(emit *e, const node *n))
{
    const node **kids = tako_arena_array(&e->p->arena, n->count, sizeof *kids);
    size_t i = 0;

    if (kids == NULL) {
        e->sql.failed = true;
        return;
    }
    for (const node *k = n->first; k != NULL; k = k->next)
        kids[i++] = k;
    emit_joined(e, kids, i, op, one);
}

void emit_is(emit *e, const node *n, bool want)
{
    tako_put_u8(&e->sql, '(');
    emit_value(e, n);
    tako_put_str(&e->sql, want ? "=x'f5')" : "=x'f4')");
}

void emit_never(emit *e)
{
    tako_put_u8(&e->sql, '0');
}

bool emit_rank(emit *e, const node *l, const node *c)
{
    if (!emit_is_indexed(e, l))
        return false;
    tako_put_str(&e->sql, "tql_rank(");
    emit_value(e, l);
    if (c->kind == AST_CONST) {
        tako_put_fmt(&e->sql, ")=%d AND ",
                     value_sql_rank(value_rank_cbor(c->text)));
    } else {
        tako_put_str(&e->sql, ")=tql_known_rank(");
        emit_value(e, c);
        tako_put_str(&e->sql, ") AND ");
    }
    return true;
}

/* L = R, both written once: R as what SQL's = never takes for null. */
static void put_equal(emit *e, const node *l, const node *r)
{
    bool known = r->kind == AST_CONST;

    tako_put_u8(&e->sql, '(');
    (void)emit_rank(e, l, r);
    emit_value(e, l);
    tako_put_str(&e->sql, known ? "=" : "=tql_known(");
    emit_value(e, r);
    tako_put_str(&e->sql, known ? ")" : "))");
}

/* l = r where both change with the row. A document is looked up by its _id,
 * unless the other side is of the same row; an index can serve either side, so
 * what has one stands on the left, and both do when both have. */
static void emit_equal(emit *e, const node *l, const node *r)
{
    const query_source *s = emit_id_source(e, l);
    const query_source *t = emit_id_source(e, r);
    bool first = emit_is_indexed(e, l), second = emit_is_indexed(e, r);

    if (s == NULL || emit_reads(r, s)) {
        const node *x = l;
        bool was = first;

        s = t != NULL && !emit_reads(l, t) ? t : NULL;
        if (s != NULL || (second && !first)) {
            l = r;
            r = x;
            first = second;
            second = was;
        }
    }
    if (s == NULL && !(first && second)) {
        put_equal(e, l, r);
        return;
    }
    tako_put_u8(&e->sql, '(');
    if (s != NULL)
        emit_row_of(e, s, r);
    else
        put_equal(e, l, r);
    if (second && emit_is_path(e, l) && emit_is_path(e, r)) {
        tako_put_str(&e->sql, " AND ");
        put_equal(e, r, l);
    }
    tako_put_u8(&e->sql, ')');
}

/* L = c, c a constant or parameter. */
static void emit_equal_fixed(emit *e, const node *l, const node *c)
{
    const query_source *s = emit_id_source(e, l);

    if (s != NULL)
        emit_row_of(e, s, c);
    else
        put_equal(e, l, c);
}

static void emit_plain_compare(emit *e, const node *l, compare_op op,
                               const node *c)
{
    static const char *const ops[] = { "=", "<>", "<", "<=", ">", ">=" };

    emit_value(e, l);
    tako_put_str(&e->sql, ops[op]);
    emit_value(e, c);
}

/* L op c for an order; L is a path, c a constant or parameter. */
static void emit_range(emit *e, const node *l, compare_op op, const node *c)
{
    value_rank r =
        c->kind == AST_CONST ? value_rank_cbor(c->text) : RANK_MISSING;
    bool up = op == COMPARE_GT || op == COMPARE_GE;

    tako_put_u8(&e->sql, '(');
    (void)emit_rank(e, l, c);
    emit_plain_compare(e, l, op, c);
    /* The end of the kind; numbers have nothing below them. Also with the
     * rank: a partial index is recognised by the same terms. */
    if ((r == RANK_NUMBER && up) || r == RANK_TEXT) {
        tako_put_str(&e->sql, " AND ");
        emit_value(e, l);
        tako_put_str(&e->sql, !up ? ">=''" : r == RANK_NUMBER ? "<''" : "<x''");
    }
    tako_put_u8(&e->sql, ')');
}

static void emit_compare(emit *e, const node *n, compare_op op)
{
    static const char *const names[] = { "eq", "ne", "lt", "le", "gt", "ge" };
    static const uint8_t turn[] = { COMPARE_EQ, COMPARE_NE, COMPARE_GT,
                                    COMPARE_GE, COMPARE_LT, COMPARE_LE };
    const node *l = n->first, *c = n->first->next;
    value_rank r;

    if (emit_is_fixed(l) && !emit_is_fixed(c)) {
        const node *t = l;

        l = c;
        c = t;
        op = (compare_op)turn[op];
    }
    if (emit_is_fixed(c)) {
        r = c->kind == AST_CONST ? value_rank_cbor(c->text) : RANK_NUMBER;
        if (r >= RANK_NULL) {
            emit_never(e);
            return;
        }
        if (op == COMPARE_EQ) {
            emit_equal_fixed(e, l, c);
            return;
        }
        if (op != COMPARE_NE && emit_is_path(e, l) &&
            ((c->kind == AST_CONST && (r == RANK_NUMBER || r == RANK_TEXT)) ||
             emit_is_indexed(e, l))) {
            emit_range(e, l, op, c);
            return;
        }
    }
    if (op == COMPARE_EQ && !emit_is_fixed(l)) {
        emit_equal(e, l, c);
        return;
    }
    tako_put_fmt(&e->sql, "(tql_%s(", names[op]);
    emit_value(e, l);
    tako_put_u8(&e->sql, ',');
    emit_value(e, c);
    tako_put_str(&e->sql, ")=x'f5')");
}

/* x BETWEEN a AND b with constants of one simple kind reads x once. */
static void emit_between(emit *e, const node *n)
{
    const node *x = n->first, *a = x->next, *b = a->next;
    value_rank r;

    if (emit_is_path(e, x) && a->kind == AST_CONST && b->kind == AST_CONST) {
        r = value_rank_cbor(a->text);
        if (r == value_rank_cbor(b->text) &&
            (r == RANK_NUMBER || r == RANK_TEXT)) {
            tako_put_u8(&e->sql, '(');
            (void)emit_rank(e, x, a);
            emit_value(e, x);
            tako_put_str(&e->sql, " BETWEEN ");
            emit_value(e, a);
            tako_put_str(&e->sql, " AND ");
            emit_value(e, b);
            tako_put_u8(&e->sql, ')');
            return;
        }
    }
    if (emit_is_fixed(a) && emit_is_fixed(b) && emit_is_path(e, x) &&
        emit_is_indexed(e, x) &&
        (a->kind == AST_PARAM || value_rank_cbor(a->text) < RANK_NULL) &&
        (b->kind == AST_PARAM || value_rank_cbor(b->text) < RANK_NULL)) {
        tako_put_u8(&e->sql, '(');
        emit_range(e, x, COMPARE_GE, a);
        tako_put_str(&e->sql, " AND ");
        emit_range(e, x, COMPARE_LE, b);
        tako_put_u8(&e->sql, ')');
        return;
    }
    emit_is(e, n, true);
}

/* ---- LIKE ------------------------------------------------------------------------- */

/* x LIKE 'prefix...': the strings from the prefix to the next that does not
 * begin with it, then the pattern itself. */
static void emit_like(emit *e, const node *n)
{
    const node *x = n->first, *pattern = x->next;
    tako_slice s = pattern->kind == AST_CONST ? value_content(pattern->text)
                                              : TAKO_SLICE_NONE;
    size_t len = 0;
    node low = { .kind = AST_CONST };
    uint8_t *bytes;
    tako_buf b;

    if (n->op == LIKE_EXACT && pattern->kind == AST_CONST &&
        emit_is_path(e, x) && value_rank_cbor(pattern->text) == RANK_TEXT) {
        while (len < s.len && s.ptr[len] != '%' && s.ptr[len] != '_' &&
               s.ptr[len] != '\\')
            len++;
    }
    if (len == 0) {
        emit_is(e, n, true);
        return;
    }
    b = tako_buf_on(e->p->env);
    cbor_put_text(&b, tako_slice_of(s.ptr, len));
    low.text = tako_buf_slice(&b);
    bytes = tako_arena_alloc(&e->p->arena, len);
    if (b.failed || bytes == NULL) {
        e->sql.failed = true;
        tako_buf_fini(&b);
        return;
    }
    memcpy(bytes, s.ptr, len);
    bytes[len - 1]++; /* at most 0xF4 in UTF-8 */
    tako_put_u8(&e->sql, '(');
    (void)emit_rank(e, x, &low);
    emit_value(e, x);
    tako_put_str(&e->sql, ">=");
    emit_value(e, &low);
    tako_put_str(&e->sql, " AND ");
    emit_value(e, x);
    tako_put_str(&e->sql, "<tql_text(");
    emit_blob(e, tako_slice_of(bytes, len));
    tako_put_u8(&e->sql, ')');
    if (!(len + 1 == s.len && s.ptr[len] == '%')) {
        tako_put_str(&e->sql, " AND ");
        emit_is(e, n, true);
    }
    tako_put_u8(&e->sql, ')');
    tako_buf_fini(&b);
}

/* ---- the two conditions --------------------------------------------------------- */

static void emit_test(emit *e, const node *n, bool want)
{
    bool missing = n->op == IS_MISSING;

    tako_put_u8(&e->sql, '(');
    if (want && emit_is_indexed(e, n->first)) {
        tako_put_str(&e->sql, "tql_rank(");
        emit_value(e, n->first);
        tako_put_fmt(&e->sql, ")=%d AND ",
                     (int)(missing ? RANK_MISSING : RANK_NULL));
    }
    emit_value(e, n->first);
    tako_put_str(&e->sql, want ? " IS " : " IS NOT ");
    tako_put_str(&e->sql, missing ? "NULL)" : "x'f6')");
}

static void emit_const_truth(emit *e, const node *n, value_rank want)
{
    tako_put_u8(&e->sql, value_rank_cbor(n->text) == want ? '1' : '0');
}

static void emit_exists(emit *e, const node *n, const char *how)
{
    tako_put_str(&e->sql, how);
    emit_select(e, n->select, FORM_EXISTS);
    tako_put_u8(&e->sql, ')');
}

static bool emit_leaf_true(emit *e, const node *n)
{
    if (n->kind == AST_IN) {
        emit_in(e, n);
    } else if (n->kind == AST_BETWEEN) {
        emit_between(e, n);
    } else if (n->kind == AST_LIKE) {
        emit_like(e, n);
    } else {
        return false;
    }
    return true;
}

/* The collection whose index could find a side of an OR, or NULL. */
static const query_source *searched(emit *e, const node *n)
{
    const query_source *s = NULL;

    if (n->kind == AST_AND) {
        for (const node *k = n->first; k != NULL && s == NULL; k = k->next)
            s = searched(e, k);
        return s;
    }
    for (const node *x = n->first; x != NULL && n->count <= 3; x = x->next) {
        const node *name = x;

        if (!emit_is_path(e, x) || !emit_is_indexed(e, x))
            continue;
        while (name->kind != AST_NAME)
            name = name->first;
        return name->source->nullable ? NULL : name->source;
    }
    return NULL;
}

/* A side of an OR. SQLite searches each by itself and asks of it alone whether
 * an index of living documents will do, so it says that again. */
static void emit_side(emit *e, const node *n)
{
    const query_source *s = e->body == NULL ? searched(e, n) : NULL;

    if (s == NULL) {
        emit_true(e, n);
        return;
    }
    tako_put_fmt(&e->sql, "(t%u.body IS NOT NULL AND ", s->number);
    emit_true(e, n);
    tako_put_u8(&e->sql, ')');
}

void emit_true(emit *e, const node *n)
{
    if (n->kind == AST_CONST) {
        emit_const_truth(e, n, RANK_TRUE);
    } else if (n->kind == AST_AND) {
        emit_list(e, n, " AND ", emit_true);
    } else if (n->kind == AST_OR) {
        emit_list(e, n, " OR ", emit_side);
    } else if (n->kind == AST_NOT) {
        emit_false(e, n->first);
    } else if (n->kind == AST_COMPARE) {
        emit_compare(e, n, (compare_op)n->op);
    } else if (n->kind == AST_IS) {
        emit_test(e, n, !n->negated);
    } else if (n->kind == AST_ANY) {
        emit_any(e, n, true);
    } else if (n->kind == AST_EXISTS) {
        emit_exists(e, n, "EXISTS(");
    } else if (n->kind == AST_IN && n->negated) {
        emit_not_in(e, n);
    } else if (n->negated || !emit_leaf_true(e, n)) {
        emit_is(e, n, true);
    }
}

void emit_false(emit *e, const node *n)
{
    static const uint8_t other[] = { COMPARE_NE, COMPARE_EQ, COMPARE_GE,
                                     COMPARE_GT, COMPARE_LE, COMPARE_LT };

    if (n->kind == AST_CONST) {
        emit_const_truth(e, n, RANK_FALSE);
    } else if (n->kind == AST_AND) {
        emit_list(e, n, " OR ", emit_false);
    } else if (n->kind == AST_OR) {
        emit_list(e, n, " AND ", emit_false);
    } else if (n->kind == AST_NOT) {
        emit_true(e, n->first);
    } else if (n->kind == AST_COMPARE) {
        emit_compare(e, n, (compare_op)other[n->op]);
    } else if (n->kind == AST_IS) {
        emit_test(e, n, n->negated);
    } else if (n->kind == AST_ANY) {
        emit_any(e, n, false);
    } else if (n->kind == AST_EXISTS) {
        emit_exists(e, n, "NOT EXISTS(");
    } else if (n->kind == AST_IN && !n->negated) {
        emit_not_in(e, n);
    } else if (n->kind == AST_IN) {
        emit_in(e, n);
    } else {
        emit_is(e, n, false);
    }
}
