// SPDX-License-Identifier: Apache-2.0
/* Rows of a result. Fields are known when the statement is prepared, so they
 * are sorted then, and a row is one pass: the body of a document for *, with
 * the other fields merged in where they belong; the stretches between them
 * are copied whole. The head of the map is written for the greatest count
 * and patched when fields turned out MISSING. */
#include "query/internal.h"

#include <stdlib.h>

#include "query/check.h"

static int out_cmp(const void *a, const void *b)
{
    const query_out *x = a;
    const query_out *y = b;

    return tako_slice_cmp(x->key, y->key);
}

static tako_err put_key(query *q, query_out *out, tako_slice name)
{
    tako_buf b = tako_buf_on(q->env);

    cbor_put_text(&b, name);
    out->key = tako_arena_copy(&q->parse.arena, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return out->key.ptr == NULL ? TAKO_NOMEM : TAKO_OK;
}

tako_err query_plan_outs(query *q)
{
    const node *list = q->parse.stmt.outs;
    int column;
    bool id = false;

    q->outs =
        tako_arena_array(&q->parse.arena, list->count + 1, sizeof *q->outs);
    if (q->outs == NULL)
        return TAKO_NOMEM;
    for (const node *o = list->first; o != NULL; o = o->next)
        q->star = q->star || o->op == OUT_STAR;
    column = q->star ? 3 : 0;
    for (const node *o = list->first; o != NULL; o = o->next) {
        query_out *out = &q->outs[q->out_count];
        tako_slice name;

        if (o->op == OUT_STAR)
            continue;
        name = query_out_name(&q->parse, o);
        id = id || tako_slice_eq(name, tako_slice_str("_id"));
        TAKO_TRY(put_key(q, out, name));
        out->column = o->op == OUT_WITHOUT ? OUT_IS_OFF : column;
        column++;
        q->out_count++;
    }
    if (q->star && !id) {
        TAKO_TRY(put_key(q, &q->outs[q->out_count], tako_slice_str("_id")));
        q->outs[q->out_count++].column = OUT_IS_ID;
    }
    qsort(q->outs, q->out_count, sizeof *q->outs, out_cmp);
    return TAKO_OK;
}

/* Appends a field; false when it is MISSING and nothing was appended. */
static bool put_field(const query *q, const query_out *o, tako_buf *row)
{
    size_t start = row->len, value;

    if (o->column == OUT_IS_OFF)
        return false;
    tako_put_bytes(row, o->key);
    value = row->len;
    if (o->column == OUT_IS_ID) {
        const void *rest = sqlite3_column_blob(q->stmt, 2);

        (void)store_id_encode(
            sqlite3_column_int64(q->stmt, 1),
            tako_slice_of(rest, (size_t)sqlite3_column_bytes(q->stmt, 2)), row);
    } else {
        value_put(row, sqlite3_column_value(q->stmt, o->column));
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

/* Merges the fields into the pairs of a body; returns the number of pairs. */
static uint64_t merge_body(const query *q, value_iter *it, uint64_t n,
                           tako_buf *row)
{
    const uint8_t *from = it->p; /* not yet copied */
    uint64_t count = n;
    size_t i = 0;

    for (uint64_t left = n; i < q->out_count;) {
        const uint8_t *at = it->p;
        int c = 1;

        if (left == 0)
            break;
        if (!value_iter_next(it))
            break;
        left--;
        for (; i < q->out_count; i++) {
            c = tako_slice_cmp(it->key, q->outs[i].key);
            if (c <= 0)
                break;
            tako_put_bytes(row, tako_slice_of(from, (size_t)(at - from)));
            from = at;
            count += put_field(q, &q->outs[i], row);
        }
        if (i < q->out_count && c == 0) {
            tako_put_bytes(row, tako_slice_of(from, (size_t)(at - from)));
            from = it->p;
            count -= !put_field(q, &q->outs[i], row);
            i++;
        }
    }
    if (i < q->out_count) { /* all that is left of the body comes before */
        tako_put_bytes(row, tako_slice_of(from, (size_t)(it->p - from)));
        from = it->p;
        for (; i < q->out_count; i++)
            count += put_field(q, &q->outs[i], row);
    }
    tako_put_bytes(row, tako_slice_of(from, (size_t)(it->end - from)));
    return count;
}

tako_err query_put_row(const query *q, tako_buf *row)
{
    size_t at = row->len, head;
    value_iter it;
    uint64_t n = 0, guess, count = 0;

    if (q->star) {
        const void *body = sqlite3_column_blob(q->stmt, 0);

        if (!value_iter_init(
                &it,
                tako_slice_of(body, (size_t)sqlite3_column_bytes(q->stmt, 0)),
                &n) ||
            it.key.ptr == NULL)
            return TAKO_CORRUPT;
    }
    guess = n + q->out_count;
    cbor_put_map(row, guess);
    head = row->len - at;
    if (q->star) {
        count = merge_body(q, &it, n, row);
    } else {
        for (size_t i = 0; i < q->out_count; i++)
            count += put_field(q, &q->outs[i], row);
    }
    if (count != guess)
        patch_head(row, at, head, count);
    return row->failed ? TAKO_NOMEM : TAKO_OK;
}
