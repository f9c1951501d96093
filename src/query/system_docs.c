// SPDX-License-Identifier: Apache-2.0
/* What system collections hold, as far as the store alone knows it; the rest
 * comes from the host. Documents are written as JSON and become CBOR. */
#include "query/system.h"

#include <stdio.h>

#include "codec/json.h"
#include "query/retention.h"
#include "query/settings.h"
#include "store/deaths.h"

static void put_text(tako_buf *json, const char *key, tako_slice text)
{
    tako_put_fmt(json, ",\"%s\":", key);
    json_put_string(json, text);
}

/* ---- collections, indexes, settings ------------------------------------------ */

static tako_err count_rows(store_conn *c, uint32_t coll, uint64_t *documents,
                           uint64_t *tombstones, tako_errbuf *e)
{
    char sql[80];
    sqlite3_stmt *stmt;
    int rc;

    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*),total(body IS NULL) FROM c%u", coll);
    stmt = store_sql(c, sql, e);
    if (stmt == NULL)
        return TAKO_IO;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *tombstones = (uint64_t)sqlite3_column_int64(stmt, 1);
        *documents = (uint64_t)sqlite3_column_int64(stmt, 0) - *tombstones;
    }
    store_done(c, stmt);
    return rc == SQLITE_ROW ? TAKO_OK
                            : tako_fail(e, TAKO_IO, "counting documents");
}

/* What ALTER COLLECTION ... SET evict says, if anything. */
static void put_rule(fn_state *s, tako_slice name, tako_buf *json)
{
    tako_buf value = tako_buf_on(s->env);

    if (query_retention_get(s->conn, name, &value) == TAKO_OK) {
        tako_put_str(json, ",\"evict\":");
        (void)json_from_cbor(tako_buf_slice(&value), json);
    }
    tako_buf_fini(&value);
}

static tako_err put_collections(fn_state *s, tako_buf *json, tako_errbuf *e)
{
    uint32_t max = store_coll_max(s->conn);
    tako_arena arena = tako_arena_on(s->env);
    store_index *list = NULL;
    size_t indexes = 0;
    tako_err err = store_index_list(s->conn, &arena, &list, &indexes);

    for (uint32_t i = 1; i <= max && err == TAKO_OK; i++) {
        tako_slice name = store_coll_name(s->conn, i);
        uint64_t documents = 0, tombstones = 0;
        unsigned own = 0;

        if (name.len == 0)
            continue;
        for (size_t k = 0; k < indexes; k++)
            own += list[k].coll == i;
        err = count_rows(s->conn, i, &documents, &tombstones, e);
        tako_put_str(json, "{\"_id\":");
        json_put_string(json, name);
        put_text(json, "name", name);
        tako_put_fmt(
            json, ",\"documents\":%llu,\"tombstones\":%llu,\"indexes\":%u",
            (unsigned long long)documents, (unsigned long long)tombstones, own);
        put_rule(s, name, json);
        tako_put_u8(json, '}');
    }
    tako_arena_fini(&arena);
    return err;
}

static tako_err put_indexes(fn_state *s, tako_buf *json)
{
    tako_arena arena = tako_arena_on(s->env);
    store_index *list = NULL;
    size_t count = 0;
    tako_err err = store_index_list(s->conn, &arena, &list, &count);

    for (size_t i = 0; i < count && err == TAKO_OK; i++) {
        tako_slice coll = store_coll_name(s->conn, list[i].coll);
        tako_buf id = tako_buf_on(s->env);

        tako_put_fmt(&id, "%.*s.%.*s", (int)coll.len, (const char *)coll.ptr,
                     (int)list[i].name.len, (const char *)list[i].name.ptr);
        tako_put_str(json, "{\"_id\":");
        json_put_string(json, tako_buf_slice(&id));
        put_text(json, "collection", coll);
        put_text(json, "name", list[i].name);
        put_text(json, "statement", list[i].text);
        tako_put_u8(json, '}');
        json->failed = json->failed || id.failed;
        tako_buf_fini(&id);
    }
    tako_arena_fini(&arena);
    return err;
}

static tako_err put_settings(fn_state *s, tako_buf *json)
{
    query_settings now;

    TAKO_TRY(query_settings_read(s->env, s->conn, &now));
    for (unsigned i = 0; i < SETTINGS; i++)
        query_setting_json(&now, (setting)i, json);
    return TAKO_OK;
}

/* ---- quarantine ------------------------------------------------------------------ */

typedef struct quarantined {
    store_conn *conn;
    tako_buf *docs;
} quarantined;

static void put_key(tako_buf *docs, const char *key)
{
    cbor_put_text(docs, tako_slice_str(key));
}

/* As SELECT * would show it, so that it can be inserted again as it is. */
static void put_content(const store_quarantined *q, tako_buf *docs)
{
    tako_reader r = tako_reader_of(q->body);
    bool before = true; /* the place of _id */
    cbor_item head, key;

    if (!cbor_read(&r, &head) || head.kind != CBOR_MAP) {
        docs->failed = true;
        return;
    }
    cbor_put_map(docs, head.count + 1);
    for (uint64_t i = 0; i < head.count && cbor_read(&r, &key); i++) {
        if (before && cbor_key_cmp(tako_slice_str("_id"), key.str) < 0) {
            put_key(docs, "_id");
            tako_put_bytes(docs, q->id);
            before = false;
        }
        cbor_put_text(docs, key.str);
        tako_put_bytes(docs, cbor_read_value(&r));
    }
    if (before) {
        put_key(docs, "_id");
        tako_put_bytes(docs, q->id);
    }
}

/* Written as CBOR, which has all that a document may hold. Keys stand in the
 * order of their encodings. */
static bool put_quarantined(void *ctx, const store_quarantined *q)
{
    static const char *const whys[] = {
        [STORE_WHY_DEAD] = "deleted elsewhere",
        [STORE_WHY_DOUBTFUL] = "doubtful: a peer cannot know whether it was "
                               "deleted",
        [STORE_WHY_DENIED] = "denied: this device may not write",
    };
    quarantined *k = ctx;
    tako_buf *docs = k->docs;

    cbor_put_map(docs, q->body.len > 0 ? 6 : 5);
    put_key(docs, "id");
    tako_put_bytes(docs, q->id);
    put_key(docs, "_id");
    cbor_put_int(docs, (int64_t)q->number);
    put_key(docs, "why");
    cbor_put_text(docs, tako_slice_str(whys[q->why]));
    put_key(docs, "at_ms");
    cbor_put_int(docs, (int64_t)q->at_ms);
    if (q->body.len > 0) {
        put_key(docs, "content");
        put_content(q, docs);
    }
    put_key(docs, "collection");
    cbor_put_text(docs, store_coll_name(k->conn, q->coll));
    return !docs->failed;
}

static tako_err put_quarantine(fn_state *s, tako_buf *docs, tako_errbuf *e)
{
    quarantined k = { s->conn, docs };

    TAKO_TRY(store_quarantine_each(s->conn, put_quarantined, &k, e));
    return docs->failed ? TAKO_NOMEM : TAKO_OK;
}

/* ---- all of them ----------------------------------------------------------------- */

/* *known: the collection is ours. */
static tako_err put_own(fn_state *s, tako_slice name, tako_buf *json,
                        tako_buf *docs, bool *known, tako_errbuf *e)
{
    *known = true;
    if (tako_slice_eq(name, tako_slice_str("dual")))
        tako_put_str(json, "{\"_id\":\"dual\"}");
    else if (tako_slice_eq(name, tako_slice_str("collections")))
        return put_collections(s, json, e);
    else if (tako_slice_eq(name, tako_slice_str("indexes")))
        return put_indexes(s, json);
    else if (tako_slice_eq(name, tako_slice_str("settings")))
        return put_settings(s, json);
    else if (tako_slice_eq(name, tako_slice_str("quarantine")))
        return put_quarantine(s, docs, e);
    else
        *known = false;
    return TAKO_OK;
}

tako_err system_docs_read(fn_state *s, tako_slice name, tako_buf *docs,
                          tako_errbuf *e)
{
    tako_buf json = tako_buf_on(s->env);
    bool known;
    tako_err err = put_own(s, name, &json, docs, &known, e);
    size_t at = 0, used = 0;

    if (err == TAKO_OK && !known && s->host != NULL)
        err = s->host->system(s->host->ctx, s->conn, name, docs, e);
    if (err == TAKO_OK && json.failed)
        err = TAKO_NOMEM;
    while (err == TAKO_OK && at < json.len) {
        err = json_next_to_cbor(tako_slice_of(json.ptr + at, json.len - at),
                                TAKO_JSON_DEPTH_MAX, docs, &used, e);
        at += used;
    }
    tako_buf_fini(&json);
    return err;
}
