// SPDX-License-Identifier: Apache-2.0
/* Rows of a result. Fields are known when the statement is prepared, so they
 * are sorted then, and a row is one pass: the body of a document for *, with
 * the other fields merged in where they belong; the stretches between them
 * are copied whole. The head of the map is written for the greatest count
 * and patched when fields turned out MISSING. */
#include "query/internal.h"

#include <stdlib.h>

#include "query/resolve.h"

#define ROW_ROOM_BYTES 64u /* for an _id, beside the body of a * */

static int out_cmp(const void *a, const void *b)
{
    const query_out *x = a;
    const query_out *y = b;

    return tako_slice_cmp(x->key, y->key);
}

static tako_err put_key(query *q, query_out *out, tako_slice name)
{
    tako_buf b = tako_buf_on(q->env);
    bool fine;

    cbor_put_text(&b, name);
    out->key = tako_arena_copy(&q->parse.arena, tako_buf_slice(&b));
    fine = !b.failed && out->key.ptr != NULL;
    tako_buf_fini(&b);
    return fine ? TAKO_OK : TAKO_NOMEM;
}

tako_err query_plan_outs(query *q, const query_select *s, query_plan *p)
{
    const node *list = s->first->outs;
    int column;
    bool id = false;

    p->star = query_doc_star(s->first) != NULL;
    p->whole = !p->star && s->shape != SHAPE_COLUMNS;
    if (p->whole)
        return TAKO_OK;

    p->outs =
        tako_arena_array(&q->parse.arena, list->count + 1, sizeof *p->outs);
    if (p->outs == NULL)
        return TAKO_NOMEM;
    column = p->star ? 3 : 0;
    for (const node *o = list->first; o != NULL; o = o->next) {
        query_out *out = &p->outs[p->out_count];
        tako_slice name;

        if (o->op == OUT_STAR)
            continue;
        name = query_out_name(&q->parse, o);
        id = id || tako_slice_eq(name, tako_slice_str("_id"));
        TAKO_TRY(put_key(q, out, name));
        out->column = o->op == OUT_WITHOUT ? OUT_IS_OFF : column;
        column++;
        p->out_count++;
    }
    if (p->star && !id) {
        TAKO_TRY(put_key(q, &p->outs[p->out_count], tako_slice_str("_id")));
        p->outs[p->out_count++].column = OUT_IS_ID;
    }
    qsort(p->outs, p->out_count, sizeof *p->outs, out_cmp);
    return TAKO_OK;
}

/* Appends a field; false when it is MISSING and nothing was appended. */
static bool put_field(sqlite3_stmt *stmt, const query_out *o, tako_buf *row)
{
    size_t start = row->len, value;

    if (o->column == OUT_IS_OFF)
        return false;
    tako_put_bytes(row, o->key);
    value = row->len;
    if (o->column == OUT_IS_ID) {
        const void *rest = sqlite3_column_blob(stmt, 2);

        (void)store_id_encode(
            sqlite3_column_int64(stmt, 1),
            tako_slice_of(rest, (size_t)sqlite3_column_bytes(stmt, 2)), row);
    } else {
        value_put(row, sqlite3_column_value(stmt, o->column));
    }
    if (row->len > value)
        return true;
    row->len = start;
    return false;
}

/* The map head at `at`, written for `guess` pairs, becomes one for `count`. */
static void patch_head(tako_buf *row, size_t at, size_t len, uint64_t count)
{
    tako_buf head = tako_buf_on(row->env);

    cbor_put_map(&head, count);
    if (!head.failed && !row->failed) {
        if (head.len < len) {
            memmove(row->ptr + at + head.len, row->ptr + at + len,
                    row->len - at - len);
            row->len -= len - head.len;
        }
        memcpy(row->ptr + at, head.ptr, head.len); /* never longer */
    }
    row->failed = row->failed || head.failed;
    tako_buf_fini(&head);
}

/* Merges the fields into the n pairs of a body from p to end; *count becomes
 * the number of pairs. Looks at no more pairs than stand before the last
 * field: with _id alone, which sorts among the first, at one or two. False
 * when the body is damaged. */
static bool merge_body(const query_plan *plan, sqlite3_stmt *stmt,
                       const uint8_t *p, const uint8_t *end, uint64_t n,
                       tako_buf *row, uint64_t *count)
{
    const uint8_t *from = p; /* not yet copied */
    size_t i = 0;

    *count = n;
    while (i < plan->out_count && n > 0) {
        const uint8_t *value = value_skip(p, end), *next = NULL;
        int c;

        if (value == NULL)
            return false;
        c = tako_slice_cmp(tako_slice_of(p, (size_t)(value - p)),
                           plan->outs[i].key);
        if (c <= 0) {
            next = value_skip(value, end);
            if (next == NULL)
                return false;
        }
        if (c >= 0) {
            bool put;

            tako_put_bytes(row, tako_slice_of(from, (size_t)(p - from)));
            put = put_field(stmt, &plan->outs[i++], row);
            *count += put;
            *count -= c == 0;
            from = c == 0 ? next : p;
        }
        if (c <= 0) {
            p = next;
            n--;
        }
    }
    if (i < plan->out_count) { /* all of the body comes before the others */
        tako_put_bytes(row, tako_slice_of(from, (size_t)(p - from)));
        from = p;
        for (; i < plan->out_count; i++)
            *count += put_field(stmt, &plan->outs[i], row);
    }
    tako_put_bytes(row, tako_slice_of(from, (size_t)(end - from)));
    return true;
}

/* A row of * and more fields, or less. */
static tako_err put_star(const query_plan *plan, sqlite3_stmt *stmt,
                         tako_buf *row)
{
    size_t at = row->len, head;
    const uint8_t *body = sqlite3_column_blob(stmt, 0), *end, *p;
    size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
    uint64_t n, count;

    if (len == 0 || body[0] >> 5 != 5)
        return TAKO_CORRUPT;
    end = body + len;
    p = value_head(body, end, &n);
    if (p == NULL || n > len)
        return TAKO_CORRUPT;
    (void)tako_buf_reserve(row, len + ROW_ROOM_BYTES);
    cbor_put_map(row, n + plan->out_count);
    head = row->len - at;
    if (!merge_body(plan, stmt, p, end, n, row, &count))
        return TAKO_CORRUPT;
    if (count != n + plan->out_count)
        patch_head(row, at, head, count);
    return row->failed ? TAKO_NOMEM : TAKO_OK;
}

tako_err query_put_row(const query_plan *plan, sqlite3_stmt *stmt,
                       tako_buf *row)
{
    size_t at = row->len, head;
    uint64_t count = 0;

    if (plan->star)
        return put_star(plan, stmt, row);
    if (plan->whole) {
        value_put(row, sqlite3_column_value(stmt, 0));
        return row->failed ? TAKO_NOMEM : TAKO_OK;
    }
    cbor_put_map(row, plan->out_count);
    head = row->len - at;
    for (size_t i = 0; i < plan->out_count; i++)
        count += put_field(stmt, &plan->outs[i], row);
    if (count != plan->out_count)
        patch_head(row, at, head, count);
    return row->failed ? TAKO_NOMEM : TAKO_OK;
}
