// SPDX-License-Identifier: Apache-2.0
/* SYSTEM -- the documents of those system collections that the store knows
 * nothing of: query_host.system. They are written as JSON objects, one after
 * another, and become CBOR at the end.
 *
 * What sync knows is asked of its loop, as tako_status() does. The thread
 * that holds the writer must not do that: the loop may be waiting for it. */
#include "api/api.h"

#include "codec/json.h"
#include "obs/object.h"

typedef struct asked {
    tako_db *db;
    store_conn *conn;
    tako_buf *json;
    tako_errbuf *e;
} asked;

/* ---- info, metrics --------------------------------------------------------- */

static tako_err put_info(const asked *a)
{
    api_sync *s = &a->db->sync;
    store_facts facts;

    TAKO_TRY(store_facts_read(a->conn, &facts, a->e));
    tako_put_u8(a->json, '{');
    obs_put_str(a->json, "_id", tako_slice_str("info"));
    obs_put_str(a->json, "version", tako_slice_str(TAKO_VERSION));
    api_status_facts(&facts, a->json);
    sys_mutex_lock(s->gate);
    obs_put_bool(a->json, "syncing", s->running);
    if (s->running)
        api_status_node(s, a->json);
    sys_mutex_unlock(s->gate);
    tako_put_u8(a->json, '}');
    return TAKO_OK;
}

static void put_metric(const asked *a, const char *name, const char *kind,
                       uint64_t value, const char *about)
{
    tako_put_u8(a->json, '{');
    obs_put_str(a->json, "_id", tako_slice_str(name));
    obs_put_str(a->json, "name", tako_slice_str(name));
    obs_put_str(a->json, "kind", tako_slice_str(kind));
    obs_put_u64(a->json, "value", value);
    obs_put_str(a->json, "description", tako_slice_str(about));
    tako_put_u8(a->json, '}');
}

static void put_readers(const asked *a)
{
    api_readers *p = &a->db->readers;
    unsigned open, idle;

    sys_mutex_lock(p->mutex);
    open = p->open_count;
    idle = p->idle_count;
    sys_mutex_unlock(p->mutex);
    put_metric(a, "readers_open", "gauge", open,
               "connections that read or may read");
    put_metric(a, "readers_idle", "gauge", idle, "those that wait for work");
}

static tako_err put_metrics(const asked *a)
{
    api_request_counts n;
    store_facts facts;

    TAKO_TRY(store_facts_read(a->conn, &facts, a->e));
    api_requests_count(a->db, &n);
    put_metric(a, "requests", "counter", n.ended,
               "statements that ended since the database was opened");
    put_metric(a, "requests_active", "gauge", n.active, "that run now");
    put_metric(a, "requests_failed", "counter", n.failed,
               "that ended with an error");
    put_metric(a, "requests_slow", "counter", n.slow,
               "that ran for slow_request_ms or longer");
    put_metric(a, "requests_canceled", "counter", n.canceled,
               "that were canceled");
    put_metric(a, "requests_timed_out", "counter", n.timed_out,
               "that ran out of statement_timeout_ms");
    put_metric(a, "rows", "counter", n.rows, "rows that requests gave");
    put_metric(a, "commits", "counter", facts.lsn, "number of the last commit");
    put_metric(a, "documents", "gauge", facts.documents, "live documents");
    put_metric(a, "tombstones", "gauge", facts.tombstones,
               "deleted ones that are remembered");
    put_metric(a, "quarantine", "gauge", facts.quarantined,
               "documents in system:quarantine");
    put_metric(a, "lost", "gauge", facts.lost,
               "what merging took away and nobody dismissed");
    put_metric(a, "file_bytes", "gauge", facts.file_bytes, "of the database");
    put_metric(a, "wal_bytes", "gauge", facts.wal_bytes,
               "of its write-ahead log");
    put_metric(a, "free_bytes", "gauge", facts.free_bytes,
               "that tako_compact() would give back");
    put_metric(a, "attachments", "gauge", facts.blobs, "contents kept");
    put_metric(a, "attachment_bytes", "gauge", facts.blob_bytes,
               "of the file that they take");
    put_readers(a);
    put_metric(a, "observers", "gauge", atomic_load(&a->db->observers.count),
               "live queries");
    return TAKO_OK;
}

/* ---- what sync knows ---------------------------------------------------------- */

/* The first element of a map's array, then the others; false at the end. */
typedef struct elements {
    tako_reader in;
    uint64_t left;
} elements;

static elements elements_of(tako_slice map, const char *key)
{
    elements l = { tako_reader_of(cbor_map_get(map, tako_slice_str(key))), 0 };
    cbor_item head;

    if (l.in.in.len > 0 && cbor_read(&l.in, &head) && head.kind == CBOR_ARRAY)
        l.left = head.count;
    return l;
}

static bool next_element(elements *l, tako_slice *out)
{
    if (l->left == 0)
        return false;
    l->left--;
    *out = cbor_read_value(&l->in);
    return true;
}

/* The pairs of a map as members of the object that is being written. */
static void put_members(const asked *a, tako_slice map)
{
    tako_reader in = tako_reader_of(map);
    cbor_item head, key;

    if (!cbor_read(&in, &head) || head.kind != CBOR_MAP)
        return;
    for (uint64_t i = 0; i < head.count && cbor_read(&in, &key); i++) {
        tako_put_u8(a->json, ',');
        json_put_string(a->json, key.str);
        tako_put_u8(a->json, ':');
        (void)json_from_cbor(cbor_read_value(&in), a->json);
    }
}

/* Each element of an array with an _id, which is its `id`. */
static void put_list(const asked *a, tako_slice status, const char *key,
                     const char *id)
{
    elements l = elements_of(status, key);
    tako_slice one;

    while (next_element(&l, &one)) {
        tako_put_str(a->json, "{\"_id\":");
        (void)json_from_cbor(cbor_map_get(one, tako_slice_str(id)), a->json);
        put_members(a, one);
        tako_put_u8(a->json, '}');
    }
}

/* What we want of peers: a document for each subscription and peer. */
static void put_wanted(const asked *a, tako_slice status)
{
    elements subs = elements_of(status, "subscriptions");
    tako_slice sub, peer;

    while (next_element(&subs, &sub)) {
        elements peers = elements_of(sub, "peers");
        tako_slice id = cbor_map_get(sub, tako_slice_str("id"));

        while (next_element(&peers, &peer)) {
            tako_buf text = tako_buf_on(&a->db->env);

            tako_put_str(&text, "in/");
            (void)json_from_cbor(id, &text);
            tako_put_u8(&text, '/');
            tako_put_bytes(&text, cbor_map_text(peer, "peer"));
            tako_put_u8(a->json, '{');
            obs_put_str(a->json, "_id", tako_buf_slice(&text));
            obs_put_str(a->json, "direction", tako_slice_str("in"));
            obs_put_key(a->json, "subscription");
            (void)json_from_cbor(id, a->json);
            obs_put_str(a->json, "statement", cbor_map_text(sub, "statement"));
            put_members(a, peer);
            tako_put_u8(a->json, '}');
            a->json->failed = a->json->failed || text.failed;
            tako_buf_fini(&text);
        }
    }
}

/* What peers want of us. */
static void put_served(const asked *a, tako_slice status)
{
    elements links = elements_of(status, "links");
    tako_slice link, one;

    while (next_element(&links, &link)) {
        elements serves = elements_of(link, "serves");
        tako_slice peer = cbor_map_text(link, "peer");

        for (unsigned n = 1; next_element(&serves, &one); n++) {
            tako_buf text = tako_buf_on(&a->db->env);

            tako_put_str(&text, "out/");
            tako_put_bytes(&text, peer);
            tako_put_fmt(&text, "/%u", n);
            tako_put_u8(a->json, '{');
            obs_put_str(a->json, "_id", tako_buf_slice(&text));
            obs_put_str(a->json, "direction", tako_slice_str("out"));
            obs_put_str(a->json, "peer", peer);
            put_members(a, one);
            tako_put_u8(a->json, '}');
            a->json->failed = a->json->failed || text.failed;
            tako_buf_fini(&text);
        }
    }
}

static tako_err put_sync(const asked *a, tako_slice name)
{
    tako_buf text = tako_buf_on(&a->db->env), cbor = tako_buf_on(&a->db->env);
    tako_slice status;
    tako_err err;

    if (a->conn == store_writer(a->db->store))
        return tako_fail(a->e, TAKO_INVALID,
                         "system:%.*s cannot be read while this transaction "
                         "writes: sync may be waiting for it",
                         (int)name.len, (const char *)name.ptr);
    tako_put_u8(&text, '{');
    err = api_status_sync(a->db, &text, a->e);
    tako_put_u8(&text, '}');
    if (err == TAKO_OK && text.failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK)
        err = json_to_cbor(tako_buf_slice(&text), TAKO_JSON_DEPTH_MAX, &cbor,
                           a->e);
    status = tako_buf_slice(&cbor);
    if (err == TAKO_OK && tako_slice_eq(name, tako_slice_str("links")))
        put_list(a, status, "links", "address");
    else if (err == TAKO_OK && tako_slice_eq(name, tako_slice_str("peers")))
        put_list(a, status, "peers", "address");
    else if (err == TAKO_OK && tako_slice_eq(name, tako_slice_str("commits")))
        put_list(a, status, "commits", "commit");
    else if (err == TAKO_OK &&
             tako_slice_eq(name, tako_slice_str("subscriptions")))
        put_list(a, status, "subscriptions", "id");
    else if (err == TAKO_OK) {
        put_wanted(a, status);
        put_served(a, status);
    }
    tako_buf_fini(&text);
    tako_buf_fini(&cbor);
    return err;
}

/* ---- all of them --------------------------------------------------------------- */

static tako_err put_any(const asked *a, tako_slice name)
{
    if (tako_slice_eq(name, tako_slice_str("info")))
        return put_info(a);
    if (tako_slice_eq(name, tako_slice_str("metrics")))
        return put_metrics(a);
    if (tako_slice_eq(name, tako_slice_str("requests"))) {
        api_requests_put(a->db, a->json);
        return TAKO_OK;
    }
    if (tako_slice_eq(name, tako_slice_str("observers"))) {
        api_observers_put(a->db, a->json);
        return TAKO_OK;
    }
    if (tako_slice_eq(name, tako_slice_str("links")) ||
        tako_slice_eq(name, tako_slice_str("peers")) ||
        tako_slice_eq(name, tako_slice_str("commits")) ||
        tako_slice_eq(name, tako_slice_str("subscriptions")) ||
        tako_slice_eq(name, tako_slice_str("sync")))
        return put_sync(a, name);
    if (tako_slice_eq(name, tako_slice_str("blobs")))
        return api_attachments_put(a->conn, a->json, a->e);
    return TAKO_OK; /* the others read documents or tables (query/system.c) */
}

tako_err api_system(void *ctx, store_conn *c, tako_slice name, tako_buf *docs,
                    tako_errbuf *e)
{
    tako_db *db = ctx;
    tako_buf json = tako_buf_on(&db->env);
    asked a = { db, c, &json, e };
    tako_err err = put_any(&a, name);
    size_t at = 0, used = 0;

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
