// SPDX-License-Identifier: Apache-2.0
/* INSERT. Documents that are bound or constant are used as they lie in
 * memory: their _id is cut out of the map and the rest goes to the store,
 * which is all that the bulk path does per document. */
#include "query/internal.h"

#include "codec/json.h"
#include "codec/ulid.h"
#include "store/blob_token.h"

static const uint8_t id_key[4] = { 0x63, '_', 'i', 'd' };

/* A new _id: later than the last one of this statement, also within one
 * millisecond. */
static void generate_id(query_run_state *r, tako_buf *out)
{
    const tako_env *env = r->q->env;
    uint8_t random[10], next[16];
    char text[ULID_TEXT_BYTES];

    env->random(env->ctx, random, sizeof random);
    ulid_make(env->wall_ms(env->ctx), random, next);
    if (r->have_ulid && memcmp(next, r->ulid, sizeof next) <= 0) {
        memcpy(next, r->ulid, sizeof next);
        for (size_t i = sizeof next; i-- > 0 && ++next[i] == 0;)
            continue;
    }
    memcpy(r->ulid, next, sizeof next);
    r->have_ulid = true;
    ulid_to_text(next, text);
    cbor_put_text(out, tako_slice_of(text, sizeof text));
}

/* Splits a document: its _id (generated when absent) and, in r->b unless the
 * map has none, the map without it. */
static tako_err split_id(query_run_state *r, tako_slice doc, tako_slice *id,
                         tako_slice *fields)
{
    value_iter it;
    uint64_t n;
    const uint8_t *before, *first;
    tako_buf *b = &r->b;

    *id = TAKO_SLICE_NONE;
    *fields = doc;
    if (!value_iter_init(&it, doc, &n))
        return tako_fail(r->e, TAKO_CORRUPT, "a damaged document");
    first = before = it.p;
    while (value_iter_next(&it)) {
        int c = tako_slice_cmp(it.key, tako_slice_of(id_key, sizeof id_key));

        if (c == 0)
            *id = it.value;
        if (c >= 0)
            break;
        before = it.p;
    }
    if (id->len == 0) {
        if (r->q->parse.stmt.initial)
            return tako_fail(r->e, TAKO_INVALID,
                             "an INITIAL document needs an _id: every device "
                             "must seed the same one");
        tako_buf_reset(&r->c);
        generate_id(r, &r->c);
        *id = tako_buf_slice(&r->c);
        return r->c.failed ? tako_fail(r->e, TAKO_NOMEM, "out of memory")
                           : TAKO_OK;
    }
    tako_buf_reset(b);
    cbor_put_map(b, n - 1);
    tako_put_bytes(b, tako_slice_of(first, (size_t)(before - first)));
    tako_put_bytes(b, tako_slice_of(it.p, (size_t)(it.end - it.p)));
    *fields = tako_buf_slice(b);
    return b->failed ? tako_fail(r->e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

/* ---- ON ID CONFLICT ----------------------------------------------------------- */

/* SETs what differs: maps are compared key by key, everything else whole. The
 * depth is that of a stored value. */
static tako_err set_differing(query_run_state *r, crdt_doc *d, tako_slice *keys,
                              size_t depth, tako_slice have, tako_slice want,
                              bool *touched)
{
    value_iter it;
    uint64_t n;

    if (!value_iter_init(&it, want, &n))
        return TAKO_OK;
    while (value_iter_next(&it)) {
        tako_slice old;
        crdt_path path = { keys, depth + 1 };
        crdt_type type;

        keys[depth] = value_content(it.key);
        old = cbor_map_get(have, keys[depth]);
        type = query_declared(r->q, path);
        if (tako_slice_eq(old, it.value))
            continue;
        if (old.len > 0 && value_rank_cbor(old) == RANK_OBJECT &&
            value_rank_cbor(it.value) == RANK_OBJECT && type != CRDT_REGISTER &&
            type != CRDT_ATTACHMENT && !blob_token_is(it.value) &&
            depth + 1 < TAKO_VALUE_DEPTH_MAX) {
            TAKO_TRY(
                set_differing(r, d, keys, depth + 1, old, it.value, touched));
            continue;
        }
        *touched = true;
        TAKO_TRY(query_set_field(r, d, path, type, it.value));
    }
    return TAKO_OK;
}

static tako_err set_all(query_run_state *r, crdt_doc *d, tako_slice fields,
                        bool *touched)
{
    value_iter it;
    uint64_t n;

    if (!value_iter_init(&it, fields, &n))
        return TAKO_OK;
    while (value_iter_next(&it)) {
        tako_slice key = value_content(it.key);
        crdt_path path = { &key, 1 };

        *touched = true;
        TAKO_TRY(
            query_set_field(r, d, path, query_declared(r->q, path), it.value));
    }
    return TAKO_OK;
}

static tako_err exists(query_run_state *r, tako_slice id)
{
    tako_buf text = tako_buf_on(r->q->env);
    tako_err err = TAKO_EXISTS;

    if (json_from_cbor(id, &text) == TAKO_OK)
        (void)tako_fail(r->e, err, "a document with the _id %.*s exists",
                        text.len > 200 ? 200 : (int)text.len,
                        (const char *)text.ptr);
    else
        err = TAKO_NOMEM;
    tako_buf_fini(&text);
    return err;
}

static tako_err touched_one(query_run_state *r, tako_slice id)
{
    tako_put_bytes(r->ids, id); /* there is room */
    r->count++;
    return TAKO_OK;
}

/* The document is there already. */
static tako_err conflict(query_run_state *r, tako_slice id, tako_slice fields)
{
    query *q = r->q;
    crdt_doc *d;
    store_row row;
    bool touched = false;
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];

    switch (q->parse.stmt.policy) {
    case CONFLICT_FAIL:
        return exists(r, id);
    case CONFLICT_NOTHING:
        return TAKO_OK;
    case CONFLICT_UPDATE:
    case CONFLICT_LOCAL_DIFF:
        break;
    }
    TAKO_TRY(query_run_dot(r));
    tako_buf_reset(&r->a);
    if (q->parse.stmt.policy == CONFLICT_LOCAL_DIFF) {
        TAKO_TRY(store_get(q->conn, q->coll, id, &row));
        tako_put_bytes(&r->a, row.body); /* borrowed until the next call */
        if (r->a.failed)
            return tako_fail(r->e, TAKO_NOMEM, "out of memory");
    }
    TAKO_TRY(store_edit(r->s, q->coll, id, &d, r->e));
    TAKO_TRY(query_types_check(r, d));
    if (q->parse.stmt.policy == CONFLICT_UPDATE)
        TAKO_TRY(set_all(r, d, fields, &touched));
    else
        TAKO_TRY(set_differing(r, d, keys, 0, tako_buf_slice(&r->a), fields,
                               &touched));
    if (!touched)
        return TAKO_OK;
    TAKO_TRY(store_edit_save(r->s, r->e));
    return touched_one(r, id);
}

/* ---- ways to insert one ---------------------------------------------------------- */

/* Tokens of attachments at the top, or in objects. Depth: that of a stored
 * value. */
static tako_err set_tokens(query_run_state *r, crdt_doc *d, tako_slice *keys,
                           size_t depth, tako_slice object)
{
    value_iter it;
    uint64_t n;

    if (!value_iter_init(&it, object, &n))
        return TAKO_OK;
    while (value_iter_next(&it)) {
        crdt_path path = { keys, depth + 1 };

        keys[depth] = value_content(it.key);
        if (!blob_token_near(it.value) ||
            value_rank_cbor(it.value) != RANK_OBJECT ||
            query_declared(r->q, path) != CRDT_AUTO)
            continue;
        if (blob_token_is(it.value))
            TAKO_TRY(query_set_field(r, d, path, CRDT_AUTO, it.value));
        else if (depth + 1 < TAKO_VALUE_DEPTH_MAX)
            TAKO_TRY(set_tokens(r, d, keys, depth + 1, it.value));
    }
    return TAKO_OK;
}

/* With declared types, or tokens: the fields, then each such one again as its
 * type. */
static tako_err insert_typed(query_run_state *r, tako_slice id,
                             tako_slice fields)
{
    query *q = r->q;
    tako_slice keys[TAKO_VALUE_DEPTH_MAX];
    crdt_doc *d;

    TAKO_TRY(query_run_dot(r));
    TAKO_TRY(store_edit(r->s, q->coll, id, &d, r->e));
    if (crdt_doc_alive(d))
        return conflict(r, id, fields);
    TAKO_TRY(crdt_insert(d, r->dot, fields));
    for (size_t i = 0; i < q->types.count; i++) {
        const query_op *op = &q->types.ops[i];
        tako_slice v = fields;

        for (size_t k = 0; k < op->path.count && v.len > 0; k++)
            v = cbor_map_get(v, op->path.keys[k]);
        if (v.len > 0)
            TAKO_TRY(query_set_field(r, d, op->path, op->type, v));
    }
    if (blob_token_near(fields))
        TAKO_TRY(set_tokens(r, d, keys, 0, fields));
    TAKO_TRY(store_edit_save(r->s, r->e));
    return touched_one(r, id);
}

static tako_err insert_initial(query_run_state *r, tako_slice id,
                               tako_slice fields)
{
    query *q = r->q;
    tako_arena arena = tako_arena_on(q->env);
    tako_buf meta = tako_buf_on(q->env);
    crdt_merge_info info = { 0 };
    crdt_doc *d;
    int64_t version = 0;
    cbor_item item;
    tako_err err = TAKO_OK;

    if (q->parse.stmt.seed_version != NULL) {
        tako_reader in =
            tako_reader_of(query_fixed(q, q->parse.stmt.seed_version));

        version = cbor_read(&in, &item) ? item.integer : 0;
    }
    if (version >= (int64_t)1 << 40)
        err = tako_fail(r->e, TAKO_LIMIT, "VERSION is below 2^40");
    tako_buf_reset(&r->a);
    if (err == TAKO_OK)
        err = crdt_initial(&arena, id, (uint64_t)version, fields, &d);
    if (err == TAKO_OK)
        err = crdt_doc_encode(d, &meta, &r->a);
    if (err == TAKO_OK)
        err = store_merge(r->s, q->coll, id, tako_buf_slice(&meta),
                          tako_buf_slice(&r->a), &info, r->e);
    if (err == TAKO_OK && info.changed)
        err = touched_one(r, id);
    tako_buf_fini(&meta);
    tako_arena_fini(&arena);
    return err;
}

/* `flat`: known to be no deeper than a document may be. */
static tako_err insert_one(query_run_state *r, tako_slice doc, bool flat)
{
    tako_slice id, fields;
    tako_err err;

    if (doc.len == 0 || value_rank_cbor(doc) != RANK_OBJECT)
        return tako_fail(r->e, TAKO_INVALID,
                         "a document is an object, as {'key': value}");
    if (!flat)
        TAKO_TRY(cbor_check(doc, TAKO_VALUE_DEPTH_MAX, r->e));
    TAKO_TRY(split_id(r, doc, &id, &fields));
    if (!query_run_room(r, id))
        return TAKO_NOMEM;
    if (r->q->parse.stmt.initial && blob_token_near(fields))
        return tako_fail(r->e, TAKO_INVALID,
                         "an INITIAL document holds no attachment: put it in "
                         "with an UPDATE");
    if (r->q->parse.stmt.initial)
        return insert_initial(r, id, fields);
    if (r->q->types.count > 0 || blob_token_near(fields))
        return insert_typed(r, id, fields);
    err = store_insert(r->s, r->q->coll, id, fields, r->e);
    if (err == TAKO_EXISTS)
        return conflict(r, id, fields);
    return err == TAKO_OK ? touched_one(r, id) : err;
}

/* One document, or an array of them. */
static tako_err insert_value(query_run_state *r, tako_slice v, bool flat)
{
    value_iter it;
    uint64_t n;

    if (value_rank_cbor(v) != RANK_ARRAY)
        return insert_one(r, v, flat);
    if (!value_iter_init(&it, v, &n))
        return tako_fail(r->e, TAKO_CORRUPT, "a damaged array");
    while (value_iter_next(&it)) {
        TAKO_TRY(query_tick(r->q, r->e));
        TAKO_TRY(insert_one(r, it.value, flat));
    }
    return TAKO_OK;
}

/* A document that is an expression: its SELECT computes it. */
static tako_err insert_computed(query_run_state *r, sqlite3_stmt *stmt)
{
    tako_buf doc = tako_buf_on(r->q->env);
    tako_err err;
    int rc;

    TAKO_TRY(query_bind_stmt(r->q, stmt, r->e));
    rc = query_sql_step(r->q, stmt);
    if (rc == SQLITE_ROW)
        value_put(&doc, sqlite3_column_value(stmt, 0));
    err = query_sql_error(sqlite3_db_handle(stmt), rc, r->e);
    (void)sqlite3_reset(stmt);
    if (err == TAKO_OK && doc.failed)
        err = tako_fail(r->e, TAKO_NOMEM, "out of memory");
    if (err == TAKO_OK)
        err = insert_value(r, tako_buf_slice(&doc), false);
    tako_buf_fini(&doc);
    return err;
}

/* All rows of the SELECT, as blocks: what is read is what was there before
 * anything is written. */
static tako_err select_docs(query_run_state *r, tako_buf *out)
{
    query *q = r->q;
    tako_err err = TAKO_OK;
    int rc;

    while (err == TAKO_OK && (rc = query_sql_step(q, q->stmt)) != SQLITE_DONE) {
        err = query_sql_error(sqlite3_db_handle(q->stmt), rc, r->e);
        if (err != TAKO_OK)
            break;
        tako_buf_reset(&r->a);
        err = query_put_row(&q->plan, q->stmt, &r->a);
        tako_put_block(out, tako_buf_slice(&r->a));
        if (err == TAKO_OK && out->failed)
            err = TAKO_NOMEM;
        if (err != TAKO_OK)
            err = tako_fail(r->e, err, "%s", tako_err_message(err));
        else if (out->len > TAKO_COLLECT_BYTES_MAX)
            err = tako_fail(r->e, TAKO_LIMIT,
                            "the SELECT gives over %u bytes of documents; do "
                            "it in parts",
                            TAKO_COLLECT_BYTES_MAX);
    }
    (void)sqlite3_reset(q->stmt);
    return err;
}

static tako_err insert_selected(query_run_state *r)
{
    tako_buf docs = tako_buf_on(r->q->env);
    tako_reader in;
    tako_err err = select_docs(r, &docs);

    in = tako_reader_of(tako_buf_slice(&docs));
    while (err == TAKO_OK && tako_reader_left(&in) > 0)
        err = insert_one(r, tako_read_block(&in), false);
    tako_buf_fini(&docs);
    return err;
}

tako_err query_run_insert(query_run_state *r)
{
    query *q = r->q;
    const node *d;

    TAKO_TRY(
        store_coll_create(r->s, q->parse.stmt.target->name, &q->coll, r->e));
    if (q->parse.stmt.select != NULL)
        return insert_selected(r);
    d = q->parse.stmt.docs->first;
    for (size_t i = 0; i < q->doc_count; i++, d = d->next) {
        if (q->docs[i] != NULL)
            TAKO_TRY(insert_computed(r, q->docs[i]));
        else
            TAKO_TRY(insert_value(r, query_fixed(q, d),
                                  d->kind == AST_PARAM && q->params_flat));
    }
    return TAKO_OK;
}
