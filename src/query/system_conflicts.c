// SPDX-License-Identifier: Apache-2.0
/* system:conflicts: a document for each place in a document where concurrent
 * writes met: what shows, and what lost ("sibling"). Documents with one writer,
 * which are most, are passed over by the first bytes of their meta.
 *
 * Before them stands what merging took away and the store has kept
 * (store/lost.c): the others of the kinds below, oldest first. */
#include "query/system.h"

#include "codec/json.h"

#define LOST_PREFIX "lost/" /* of such an _id, before its number */

static const char *const lost_kinds[] = {
    [CRDT_LOST_UPDATE] = "update",
    [CRDT_LOST_INCREMENT] = "increment",
    [CRDT_LOST_INSERT] = "insert",
    [CRDT_LOST_FORGED] = "forged",
};

typedef struct losers {
    tako_buf *docs;
    tako_buf list; /* of the slot at hand */
    uint64_t count;
    tako_slice collection, id;
    tako_buf path, shown, shown_by; /* of the slot */
} losers;

static void put_key(tako_buf *b, const char *key)
{
    cbor_put_text(b, tako_slice_str(key));
}

/* The pairs of a write: its dot and, where there is one, its value. */
static void put_write(tako_buf *b, crdt_dot dot, tako_slice value)
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * sizeof dot.actor.id];

    cbor_put_map(b, value.len > 0 ? 4 : 3);
    for (size_t i = 0; i < sizeof dot.actor.id; i++) {
        hex[2 * i] = digits[dot.actor.id[i] >> 4];
        hex[2 * i + 1] = digits[dot.actor.id[i] & 15];
    }
    put_key(b, "hlc");
    cbor_put_int(b, (int64_t)(dot.hlc & INT64_MAX));
    put_key(b, "actor");
    cbor_put_text(b, tako_slice_of(hex, sizeof hex));
    if (value.len > 0) {
        put_key(b, "value");
        tako_put_bytes(b, value);
    }
    put_key(b, "time_ms");
    cbor_put_int(b, (int64_t)CRDT_HLC_MS(dot.hlc));
}

/* The _id: collection, _id of the document as JSON, and path. */
static void put_slot_id(losers *l)
{
    tako_buf text = tako_buf_on(l->docs->env);

    tako_put_bytes(&text, l->collection);
    tako_put_u8(&text, '/');
    (void)json_from_cbor(l->id, &text);
    tako_put_u8(&text, '/');
    (void)json_from_cbor(tako_buf_slice(&l->path), &text);
    put_key(l->docs, "_id");
    cbor_put_text(l->docs, tako_buf_slice(&text));
    l->docs->failed = l->docs->failed || text.failed;
    tako_buf_fini(&text);
}

/* Writes the slot that is whole; keys in CBOR's order. */
static void put_slot(losers *l)
{
    if (l->count == 0)
        return;
    cbor_put_map(l->docs, 8);
    put_key(l->docs, "id");
    tako_put_bytes(l->docs, l->id);
    put_slot_id(l);
    put_key(l->docs, "kind");
    put_key(l->docs, "sibling");
    put_key(l->docs, "path");
    tako_put_bytes(l->docs, tako_buf_slice(&l->path));
    put_key(l->docs, "shown");
    tako_put_bytes(l->docs, tako_buf_slice(&l->shown));
    put_key(l->docs, "losers");
    cbor_put_array(l->docs, l->count);
    tako_put_bytes(l->docs, tako_buf_slice(&l->list));
    put_key(l->docs, "shown_by");
    tako_put_bytes(l->docs, tako_buf_slice(&l->shown_by));
    put_key(l->docs, "collection");
    cbor_put_text(l->docs, l->collection);
    l->docs->failed = l->docs->failed || l->path.failed || l->shown.failed ||
                      l->shown_by.failed || l->list.failed;
    l->count = 0;
}

static void take_loser(void *ctx, crdt_path path, crdt_dot shown_dot,
                       tako_slice shown, crdt_dot loser_dot, tako_slice loser)
{
    losers *l = ctx;
    tako_buf keys = tako_buf_on(l->docs->env);

    cbor_put_array(&keys, path.count);
    for (size_t i = 0; i < path.count; i++)
        cbor_put_text(&keys, path.keys[i]);
    if (!tako_slice_eq(tako_buf_slice(&keys), tako_buf_slice(&l->path)))
        put_slot(l);
    if (l->count++ == 0) {
        tako_buf_reset(&l->path);
        tako_buf_reset(&l->shown);
        tako_buf_reset(&l->shown_by);
        tako_buf_reset(&l->list);
        tako_put_bytes(&l->path, tako_buf_slice(&keys));
        tako_put_bytes(&l->shown, shown);
        if (shown.len == 0)
            cbor_put_null(&l->shown);
        put_write(&l->shown_by, shown_dot, TAKO_SLICE_NONE);
    }
    put_write(&l->list, loser_dot, loser);
    l->list.failed = l->list.failed || keys.failed;
    tako_buf_fini(&keys);
}

static tako_err put_document(system_scan *k, const store_row *row,
                             tako_buf *docs, tako_errbuf *e)
{
    losers l = { .docs = docs, .id = row->id };
    crdt_doc *d;
    crdt_dot dot;
    tako_err err;

    if (row->body.len == 0 || crdt_meta_is_fresh(row->meta, &dot))
        return TAKO_OK;
    l.list = l.path = l.shown = l.shown_by = tako_buf_on(k->state->env);
    l.collection = store_coll_name(k->state->conn, k->coll);
    err = crdt_doc_decode_trusted(&k->arena, row->meta, row->body, &d, e);
    if (err == TAKO_OK)
        err = crdt_conflicts(d, take_loser, &l);
    if (err == TAKO_OK)
        put_slot(&l);
    tako_buf_fini(&l.list);
    tako_buf_fini(&l.path);
    tako_buf_fini(&l.shown);
    tako_buf_fini(&l.shown_by);
    tako_arena_reset(&k->arena);
    return err;
}

static void see_conflict(void *ctx, crdt_path path, crdt_dot shown_dot,
                         tako_slice shown, crdt_dot loser_dot, tako_slice loser)
{
    (void)path;
    (void)shown_dot;
    (void)shown;
    (void)loser_dot;
    (void)loser;
    *(bool *)ctx = true;
}

bool query_has_conflicts(const tako_env *env, tako_slice meta, tako_slice body)
{
    tako_arena arena = tako_arena_on(env);
    bool any = false;
    crdt_doc *d;
    crdt_dot dot;
    tako_err err;

    if (body.len == 0 || crdt_meta_is_fresh(meta, &dot))
        return false;
    err = crdt_doc_decode_trusted(&arena, meta, body, &d, NULL);
    if (err == TAKO_OK)
        err = crdt_conflicts(d, see_conflict, &any);
    tako_arena_fini(&arena);
    return any || err == TAKO_NOMEM;
}

/* ---- what was lost ----------------------------------------------------------- */

bool system_lost_number(tako_slice id, uint64_t *number)
{
    static const char prefix[] = LOST_PREFIX;
    tako_reader r = tako_reader_of(id);
    cbor_item text;

    *number = 0;
    if (!cbor_read(&r, &text) || text.kind != CBOR_TEXT ||
        text.str.len < sizeof prefix ||
        memcmp(text.str.ptr, prefix, sizeof prefix - 1) != 0)
        return false;
    for (size_t i = sizeof prefix - 1; i < text.str.len; i++) {
        uint8_t c = text.str.ptr[i];

        if (c < '0' || c > '9' || *number > UINT64_MAX / 16)
            return false;
        *number = *number * 10 + (c - '0');
    }
    return true;
}

static void put_lost(system_scan *k, const store_lost *l, tako_slice collection,
                     tako_buf *docs)
{
    bool forged = l->kind == CRDT_LOST_FORGED;
    tako_buf id = tako_buf_on(k->state->env);

    tako_put_fmt(&id, LOST_PREFIX "%llu", (unsigned long long)l->number);
    cbor_put_map(docs, forged ? 8 : 7);
    put_key(docs, "id");
    tako_put_bytes(docs, l->id);
    put_key(docs, "_id");
    cbor_put_text(docs, tako_buf_slice(&id));
    put_key(docs, "kind");
    put_key(docs, lost_kinds[l->kind]);
    put_key(docs, "path");
    tako_put_bytes(docs, l->path);
    if (forged) {
        put_key(docs, "shown");
        if (l->kept.len > 0)
            tako_put_bytes(docs, l->kept);
        else
            cbor_put_null(docs);
    }
    put_key(docs, "losers");
    cbor_put_array(docs, 1);
    put_write(docs, l->dot, l->value);
    put_key(docs, "time_ms");
    cbor_put_int(docs, (int64_t)l->ms);
    put_key(docs, "collection");
    cbor_put_text(docs, collection);
    docs->failed = docs->failed || id.failed;
    tako_buf_fini(&id);
}

/* TAKO_NOTFOUND: no more. */
static tako_err next_lost(system_scan *k, tako_buf *docs, tako_errbuf *e)
{
    store_lost l;
    tako_err err = store_lost_next(k->state->conn, k->lost, &l);

    if (err == TAKO_NOTFOUND)
        return err;
    if (err == TAKO_OK &&
        (l.kind < CRDT_LOST_UPDATE || l.kind > CRDT_LOST_FORGED))
        err = TAKO_CORRUPT;
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading what was lost");
    k->lost = l.number;
    put_lost(k, &l, store_coll_name(k->state->conn, l.coll), docs);
    return docs->failed ? TAKO_NOMEM : TAKO_OK;
}

/* ---- all of it ---------------------------------------------------------------- */

void system_scan_begin(system_scan *k, fn_state *s)
{
    *k = (system_scan){ .state = s, .arena = tako_arena_on(s->env) };
}

void system_scan_end(system_scan *k)
{
    store_scan_close(k->cursor);
    k->cursor = NULL;
    tako_arena_fini(&k->arena);
}

/* The next row of all collections. */
static tako_err next_row(system_scan *k, store_row *row)
{
    for (;;) {
        tako_err err = TAKO_NOTFOUND;

        if (k->cursor != NULL)
            err = store_scan_next(k->cursor, row);
        if (err != TAKO_NOTFOUND)
            return err;
        store_scan_close(k->cursor);
        k->cursor = NULL;
        if (k->coll >= store_coll_max(k->state->conn))
            return TAKO_NOTFOUND;
        err = store_scan(k->state->conn, ++k->coll, INT64_MIN, &k->cursor);
        if (err != TAKO_OK && err != TAKO_NOTFOUND)
            return err;
    }
}

tako_err system_scan_next(system_scan *k, tako_buf *docs, tako_errbuf *e)
{
    size_t before = docs->len;
    store_row row;

    if (!k->lost_done) {
        tako_err err = next_lost(k, docs, e);

        if (err != TAKO_NOTFOUND)
            return err;
        k->lost_done = true;
    }
    while (docs->len == before) {
        tako_err err = next_row(k, &row);

        if (err == TAKO_NOTFOUND)
            return err;
        if (err != TAKO_OK)
            return tako_fail(e, err, "reading documents");
        TAKO_TRY(put_document(k, &row, docs, e));
        if (docs->failed)
            return TAKO_NOMEM;
    }
    return TAKO_OK;
}
