// SPDX-License-Identifier: Apache-2.0
/* What may be a slip of the user in a statement that is right: a collection or
 * an index that there is not, and the nearest that there is. */
#include "query/internal.h"

#include <stdio.h>

#define NOTE_BYTES 400u

tako_slice query_near_collection(query *q, tako_slice name)
{
    uint32_t max = store_coll_max(q->conn);
    tako_slice best = TAKO_SLICE_NONE;
    unsigned least = 3;

    for (uint32_t i = 1; i <= max; i++)
        query_word_nearer(name, store_coll_name(q->conn, i), &least, &best);
    return best;
}

tako_slice query_near_index(query *q, tako_slice collection, tako_slice name)
{
    tako_slice best = TAKO_SLICE_NONE;
    store_index *list = NULL;
    size_t count = 0;
    unsigned least = 4;
    uint32_t coll;

    if (store_coll_find(q->conn, collection, &coll) != TAKO_OK ||
        store_index_list(q->conn, &q->parse.arena, &list, &count) != TAKO_OK)
        return best;
    for (size_t i = 0; i < count; i++) {
        if (list[i].coll == coll)
            query_word_nearer(name, list[i].name, &least, &best);
    }
    return best;
}

static int shown(tako_slice s)
{
    return s.len > 64 ? 64 : (int)s.len;
}

static int note_collection(query *q, const query_source *f, char *out)
{
    tako_slice near = query_near_collection(q, f->name);

    if (near.len == 0)
        return snprintf(out, NOTE_BYTES, "there is no collection %.*s",
                        shown(f->name), (const char *)f->name.ptr);
    return snprintf(out, NOTE_BYTES,
                    "there is no collection %.*s; did you mean %.*s?",
                    shown(f->name), (const char *)f->name.ptr, shown(near),
                    (const char *)near.ptr);
}

static int note_index(query *q, const query_source *f, char *out)
{
    tako_slice near = query_near_index(q, f->name, f->use_index);

    if (near.len == 0 || tako_slice_eq(near, f->use_index))
        return snprintf(out, NOTE_BYTES,
                        "the index %.*s on %.*s cannot be used here",
                        shown(f->use_index), (const char *)f->use_index.ptr,
                        shown(f->name), (const char *)f->name.ptr);
    return snprintf(
        out, NOTE_BYTES, "there is no index %.*s on %.*s; did you mean %.*s?",
        shown(f->use_index), (const char *)f->use_index.ptr, shown(f->name),
        (const char *)f->name.ptr, shown(near), (const char *)near.ptr);
}

tako_err query_find_note(query *q)
{
    const query_stmt *st = &q->parse.stmt;
    char text[NOTE_BYTES];
    int n = 0;

    if (st->select == NULL || st->kind == QUERY_CREATE_INDEX)
        return TAKO_OK;
    for (query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind != SOURCE_COLLECTION ||
            (f == st->target && st->kind == QUERY_INSERT))
            continue;
        if (f->coll == 0)
            n = note_collection(q, f, text);
        else if (f->hint_failed)
            n = note_index(q, f, text);
    }
    if (n <= 0)
        return TAKO_OK;
    if ((size_t)n >= sizeof text)
        n = (int)sizeof text - 1;
    q->note = (const char *)tako_arena_copy(
                  &q->parse.arena,
                  tako_slice_of((const uint8_t *)text, (size_t)n + 1))
                  .ptr;
    return q->note == NULL ? TAKO_NOMEM : TAKO_OK;
}
