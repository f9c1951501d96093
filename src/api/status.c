// SPDX-License-Identifier: Apache-2.0
/* STATUS -- what is so, as one JSON object. */
#include "api/api.h"

#include "codec/json.h"
#include "obs/object.h"

/* ---- status ------------------------------------------------------------------ */

void api_status_facts(const store_facts *f, tako_buf *out)
{
    obs_put_u64(out, "documents", f->documents);
    obs_put_u64(out, "tombstones", f->tombstones);
    obs_put_u64(out, "evicted", f->evicted);
    obs_put_u64(out, "collections", f->collections);
    obs_put_u64(out, "file_bytes", f->file_bytes);
    obs_put_u64(out, "wal_bytes", f->wal_bytes);
    obs_put_u64(out, "free_bytes", f->free_bytes);
    obs_put_u64(out, "attachments_stored", f->blobs);
    obs_put_u64(out, "attachment_bytes", f->blob_bytes);
    obs_put_u64(out, "quarantine", f->quarantined);
    obs_put_u64(out, "lost", f->lost);
    obs_put_u64(out, "commit", f->lsn);
    obs_put_hex(out, "actor", tako_slice_of(f->actor.id, sizeof f->actor.id));
}

/* Sync is off: what would be asked for once it runs. */
static void put_subscriptions(const api_sync *s, tako_buf *out)
{
    obs_put_key(out, "links");
    tako_put_str(out, "[]");
    obs_put_key(out, "subscriptions");
    tako_put_u8(out, '[');
    for (const api_subscription *sub = s->subs; sub != NULL; sub = sub->next) {
        if (sub != s->subs)
            tako_put_u8(out, ',');
        tako_put_u8(out, '{');
        obs_put_u64(out, "id", sub->id);
        obs_put_str(out, "statement", tako_buf_slice(&sub->text));
        tako_put_u8(out, '}');
    }
    tako_put_u8(out, ']');
}

static const char *address_at(const api_sync *s, size_t index)
{
    const char *at = (const char *)s->addresses.ptr;

    if (index >= s->address_count)
        return NULL;
    while (index-- > 0)
        at += strlen(at) + 1;
    return at;
}

void api_status_node(const api_sync *s, tako_buf *out)
{
    obs_put_str(out, "name", tako_slice_str(s->name));
    obs_put_hex(
        out, "key",
        tako_slice_of(s->identity.public_key, sizeof s->identity.public_key));
    obs_put_key(out, "listeners");
    tako_put_u8(out, '[');
    for (size_t i = 0; i < s->address_count; i++) {
        if (i > 0)
            tako_put_u8(out, ',');
        json_put_string(out, tako_slice_str(address_at(s, i)));
    }
    tako_put_u8(out, ']');
}

typedef struct status_call {
    tako_db *db;
    tako_buf *out;
    tako_err err;
} status_call;

static void status_on_loop(void *arg)
{
    status_call *c = arg;

    c->err = node_status(c->db->sync.node, c->out);
}

tako_err api_status_sync(tako_db *db, tako_buf *out, tako_errbuf *e)
{
    status_call call = { db, out, TAKO_OK };
    tako_err err = TAKO_OK;

    sys_mutex_lock(db->sync.mutex);
    obs_put_bool(out, "syncing", db->sync.running);
    if (db->sync.running) {
        api_status_node(&db->sync, out);
        tako_put_u8(out, ',');
        err = api_loop_call(db, status_on_loop, &call, e);
        if (err == TAKO_OK)
            err = call.err;
    } else {
        put_subscriptions(&db->sync, out);
    }
    sys_mutex_unlock(db->sync.mutex);
    return err;
}

static tako_err facts_read(tako_db *db, store_facts *out, tako_errbuf *e)
{
    api_reader *r = NULL;
    tako_err err;

    TAKO_TRY(api_reader_take(db, &r, e));
    err = store_facts_read(r->conn, out, e);
    api_reader_give(db, r);
    return err;
}

tako_err tako_status(tako_db *db, char **json)
{
    tako_errbuf e = { "" };
    tako_buf out;
    store_facts facts;
    tako_err err;

    TAKO_ARG(db != NULL && json != NULL);
    out = tako_buf_on(&db->env);
    api_text_begin(&out);
    tako_put_u8(&out, '{');
    obs_put_str(&out, "version", tako_slice_str(TAKO_VERSION));
    err = facts_read(db, &facts, &e);
    if (err == TAKO_OK) {
        api_status_facts(&facts, &out);
        err = api_status_sync(db, &out, &e);
    }
    tako_put_u8(&out, '}');
    if (err == TAKO_OK)
        err = api_text_end(&out, json);
    if (err == TAKO_OK)
        return TAKO_OK;
    tako_buf_fini(&out);
    return api_fail(db, err, &e);
}

tako_err tako_sync_address(tako_db *db, size_t index, char **address)
{
    const char *at;
    tako_buf out;
    tako_err err = TAKO_NOTFOUND;

    TAKO_ARG(db != NULL && address != NULL);
    out = tako_buf_on(&db->env);
    sys_mutex_lock(db->sync.mutex);
    at = db->sync.running ? address_at(&db->sync, index) : NULL;
    if (at != NULL) {
        api_text_begin(&out);
        tako_put_str(&out, at);
        err = api_text_end(&out, address);
    }
    sys_mutex_unlock(db->sync.mutex);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, NULL);
}

/* ---- collections --------------------------------------------------------------- */

static void put_collections(store_conn *c, tako_buf *out)
{
    uint32_t max = store_coll_max(c);
    bool first = true;

    tako_put_u8(out, '[');
    for (uint32_t i = 1; i <= max; i++) {
        tako_slice name = store_coll_name(c, i);

        if (name.len == 0)
            continue;
        if (!first)
            tako_put_u8(out, ',');
        json_put_string(out, name);
        first = false;
    }
    tako_put_u8(out, ']');
}

tako_err tako_collections(tako_db *db, char **json)
{
    tako_errbuf e = { "" };
    api_reader *r = NULL;
    tako_buf out;
    tako_err err;

    TAKO_ARG(db != NULL && json != NULL);
    out = tako_buf_on(&db->env);
    err = api_reader_take(db, &r, &e);
    if (err == TAKO_OK) {
        api_text_begin(&out);
        put_collections(r->conn, &out);
        api_reader_give(db, r);
        err = api_text_end(&out, json);
    }
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}
