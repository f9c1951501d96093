// SPDX-License-Identifier: Apache-2.0
/* SYNC -- starts and stops the loop with its node, and feeds it commits.
 *
 * Everything of the node happens on the loop's thread; this file gets there by
 * posting (commits) and by calls that wait (calls.c).
 *
 * COMMITS. Whoever commits holds the writer, so commits enter the list below
 * the gate in their order; one post drains the list, however long it grew
 * meanwhile. From the moment that the node exists commits go to it, and no
 * link exists before, so none is missed by a session.
 *
 * STOPPING. The loop may be waiting for the writer, which a transaction of
 * the stopping thread may hold; so the lock first refuses the loop (the node
 * takes that as shutting down), and only then are calls made that wait for
 * the loop. */
#include "api/api.h"

#include "obs/object.h"

#define DEVICE_SEED_KEY  "device_seed"
#define DEVICE_ACTOR_KEY "device_actor"

tako_err api_sync_init(tako_db *db)
{
    api_sync *s = &db->sync;

    s->addresses = tako_buf_on(&db->env);
    s->wait_closed = true;
    s->host = (node_host){ db,
                           api_node_write_begin,
                           api_node_write_try,
                           api_node_write_end,
                           api_progress,
                           api_attachments_fetched };
    TAKO_TRY(sys_mutex_new(&db->env, &s->mutex));
    TAKO_TRY(sys_mutex_new(&db->env, &s->gate));
    TAKO_TRY(sys_mutex_new(&db->env, &s->wait_mutex));
    return sys_cond_new(&db->env, &s->wait_cond);
}

void api_sync_fini(tako_db *db)
{
    api_sync *s = &db->sync;

    if (s->running)
        tako_sync_stop(db);
    while (s->subs != NULL) {
        api_subscription *sub = s->subs;

        s->subs = sub->next;
        tako_buf_fini(&sub->text);
        tako_buf_fini(&sub->params);
        tako_env_free(&db->env, sub, sizeof *sub);
    }
    tako_buf_fini(&s->addresses);
    sec_wipe(&s->identity, sizeof s->identity);
    sec_wipe(&s->mesh, sizeof s->mesh);
    sys_cond_free(s->wait_cond);
    sys_mutex_free(s->wait_mutex);
    sys_mutex_free(s->gate);
    sys_mutex_free(s->mutex);
}

/* ---- who this device is ------------------------------------------------------- */

/* The stored seed, if it is this database's: a copied file has a new actor,
 * and must not speak with the original's key. moved: the actor is new, and this
 * file's all the same. */
static bool identity_load(tako_db *db, tako_buf *seed, bool *moved)
{
    store_conn *w = store_writer(db->store);
    crdt_actor actor = store_actor(db->store), owner;
    tako_buf key = tako_buf_on(&db->env);
    bool ours;

    ours = store_kv_get(w, DEVICE_SEED_KEY, seed) == TAKO_OK &&
           seed->len == SEC_KEY_BYTES &&
           store_kv_get(w, DEVICE_ACTOR_KEY, &key) == TAKO_OK &&
           key.len == sizeof owner.id;
    if (ours) {
        memcpy(owner.id, key.ptr, sizeof owner.id);
        *moved = crdt_actor_cmp(owner, actor) != 0;
        ours = store_actor_follows(db->store, owner);
    }
    tako_buf_fini(&key);
    return ours;
}

static tako_err owner_save(tako_db *db)
{
    crdt_actor actor = store_actor(db->store);

    return store_kv_put(db->store, DEVICE_ACTOR_KEY,
                        tako_slice_of(actor.id, sizeof actor.id));
}

static tako_err identity_save(tako_db *db, const sec_identity *id,
                              tako_errbuf *e)
{
    uint8_t seed[SEC_KEY_BYTES];
    tako_err err;

    sec_identity_seed(id, seed);
    err = store_kv_put(db->store, DEVICE_SEED_KEY,
                       tako_slice_of(seed, sizeof seed));
    if (err == TAKO_OK)
        err = owner_save(db);
    sec_wipe(seed, sizeof seed);
    return err == TAKO_OK ? err : tako_fail(e, err, "keeping the device's key");
}

tako_err api_identity(tako_db *db, sec_identity *out, tako_errbuf *e)
{
    tako_buf seed = tako_buf_on(&db->env);
    uint64_t lsn = 0;
    bool moved = false;
    tako_err err;

    TAKO_TRY(api_write_begin(db, e));
    if (identity_load(db, &seed, &moved)) {
        sec_identity_from_seed(seed.ptr, out);
        sec_wipe(seed.ptr, seed.cap);
        tako_buf_fini(&seed);
        if (moved && owner_save(db) == TAKO_OK)
            return api_write_commit(db, &lsn, e);
        api_write_rollback(db);
        return TAKO_OK;
    }
    tako_buf_fini(&seed);
    sec_identity_new(&db->env, out);
    err = identity_save(db, out, e);
    if (err != TAKO_OK) {
        api_write_rollback(db);
        return err;
    }
    return api_write_commit(db, &lsn, e);
}

static tako_err name_set(api_sync *s, const char *name, tako_errbuf *e)
{
    tako_slice text;

    if (name == NULL) {
        obs_hex(tako_slice_of(s->identity.public_key, 4), s->name);
        return TAKO_OK;
    }
    text = tako_slice_str(name);
    if (text.len == 0 || text.len > TAKO_NAME_BYTES_MAX || !utf8_check(text))
        return tako_fail(e, TAKO_INVALID,
                         "name: 1 to %u bytes of UTF-8 expected",
                         TAKO_NAME_BYTES_MAX);
    memcpy(s->name, name, text.len + 1);
    return TAKO_OK;
}

/* ---- commits -------------------------------------------------------------------- */

/* On the loop's thread. */
static void commits_drain(void *arg)
{
    tako_db *db = arg;
    api_sync *s = &db->sync;
    api_pending *p;
    bool missed;

    sys_mutex_lock(s->gate);
    p = s->first;
    s->first = s->last = NULL;
    s->posted = false;
    missed = s->missed;
    s->missed = false;
    sys_mutex_unlock(s->gate);
    if (missed && s->node != NULL && !s->node_stopping)
        node_on_commit_lost(s->node);
    while (p != NULL) {
        api_pending *next = p->next;

        if (s->node != NULL && !s->node_stopping)
            node_on_commit(s->node, p->commit);
        else
            node_commit_free(p->commit);
        tako_env_free(&db->env, p, sizeof *p);
        p = next;
    }
}

static bool is_live(api_sync *s)
{
    bool live;

    sys_mutex_lock(s->gate);
    live = s->live;
    sys_mutex_unlock(s->gate);
    return live;
}

/* Out of the list again, unless it was drained meanwhile. */
static bool take_back(api_sync *s, const api_pending *p)
{
    api_pending **at = &s->first, *last = NULL;

    while (*at != NULL && *at != p) {
        last = *at;
        at = &last->next;
    }
    if (*at == NULL)
        return false;
    *at = p->next;
    if (s->last == p)
        s->last = last;
    return true;
}

/* The loop is woken after the gate, on which it would go to sleep again. */
static bool commit_queue(tako_db *db, api_pending *p)
{
    api_sync *s = &db->sync;
    bool taken, post;

    sys_mutex_lock(s->gate);
    taken = s->live;
    post = taken && !s->posted;
    if (taken) {
        s->posted = true;
        if (s->last != NULL)
            s->last->next = p;
        else
            s->first = p;
        s->last = p;
    }
    sys_mutex_unlock(s->gate);
    if (!post || s->net.post(s->net.ctx, commits_drain, db) == TAKO_OK)
        return taken;
    sys_mutex_lock(s->gate);
    s->posted = false;
    taken = !take_back(s, p);
    sys_mutex_unlock(s->gate);
    return taken;
}

/* The loop is told now, or, where there is no memory for that either, with the
 * next commit. */
static void commit_missed(api_sync *s, tako_db *db)
{
    sys_mutex_lock(s->gate);
    s->missed = true;
    if (s->live && !s->posted)
        s->posted = s->net.post(s->net.ctx, commits_drain, db) == TAKO_OK;
    sys_mutex_unlock(s->gate);
}

void api_sync_commit(tako_db *db, uint64_t lsn)
{
    api_pending *p;
    tako_err err = TAKO_NOMEM;

    if (!is_live(&db->sync))
        return;
    p = tako_env_alloc(&db->env, sizeof *p);
    if (p != NULL)
        err = node_commit_copy(&db->env, db->store, lsn, &p->commit);
    if (err == TAKO_OK && commit_queue(db, p))
        return;
    if (err == TAKO_OK)
        node_commit_free(p->commit);
    tako_env_free(&db->env, p, sizeof *p);
    commit_missed(&db->sync, db);
    if (is_live(&db->sync))
        tako_log(&db->env, TAKO_LOG_ERROR, "commit_not_sent", "\"commit\":%llu",
                 (unsigned long long)lsn);
}

/* ---- starting -------------------------------------------------------------------- */

typedef struct start_call {
    tako_db *db;
    const tako_sync_opts *opts;
    tako_errbuf *e;
    tako_err err;
} start_call;

static tako_err start_listeners(api_sync *s, const tako_sync_opts *opts,
                                tako_errbuf *e)
{
    char bound[TAKO_ADDRESS_BYTES_MAX];

    tako_buf_reset(&s->addresses);
    s->address_count = 0;
    for (size_t i = 0; i < opts->listen_count; i++) {
        TAKO_TRY(node_listen(s->node, opts->listen[i], bound, e));
        tako_put_str(&s->addresses, bound);
        tako_put_u8(&s->addresses, 0);
        s->address_count++;
    }
    return s->addresses.failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err start_node(tako_db *db, const tako_sync_opts *opts,
                           tako_errbuf *e)
{
    api_sync *s = &db->sync;
    node_opts n = {
        .env = &db->env,
        .net = &s->net,
        .host = &s->host,
        .reader = s->reader,
        .identity = &s->identity,
        .mesh = &s->mesh,
        .name = s->name,
        .archive = opts->archive != 0,
        .read_only = opts->read_only != 0,
    };

    TAKO_TRY(node_new(&n, &s->node, e));
    s->node_stopping = false;
    sys_mutex_lock(s->gate);
    s->live = true;
    sys_mutex_unlock(s->gate);
    for (api_subscription *sub = s->subs; sub != NULL; sub = sub->next)
        TAKO_TRY(api_node_subscribe(s->node, sub, e));
    TAKO_TRY(start_listeners(s, opts, e));
    for (size_t i = 0; i < opts->peers_count; i++)
        TAKO_TRY(node_peer_add(s->node, opts->peers[i], e));
    return TAKO_OK;
}

static void start_on_loop(void *arg)
{
    start_call *c = arg;

    c->err = start_node(c->db, c->opts, c->e);
}

static tako_err opts_check(const tako_sync_opts *opts, tako_errbuf *e)
{
    if (opts == NULL || opts->size < sizeof *opts)
        return tako_fail(e, TAKO_MISUSE,
                         "options: size must be sizeof(tako_sync_opts)");
    if (opts->secret == NULL || opts->secret_len == 0)
        return tako_fail(e, TAKO_INVALID, "options: no mesh secret");
    if ((opts->listen_count > 0 && opts->listen == NULL) ||
        (opts->peers_count > 0 && opts->peers == NULL))
        return tako_fail(e, TAKO_MISUSE, "options: a count without a list");
    for (size_t i = 0; i < opts->listen_count; i++)
        if (opts->listen[i] == NULL)
            return tako_fail(e, TAKO_MISUSE, "options: listen[%zu] is NULL", i);
    for (size_t i = 0; i < opts->peers_count; i++)
        if (opts->peers[i] == NULL)
            return tako_fail(e, TAKO_MISUSE, "options: peers[%zu] is NULL", i);
    return TAKO_OK;
}

static void sync_end(tako_db *db);

static tako_err sync_begin(tako_db *db, const tako_sync_opts *opts,
                           tako_errbuf *e)
{
    api_sync *s = &db->sync;
    start_call call = { db, opts, e, TAKO_OK };
    tako_err err;

    TAKO_TRY(opts_check(opts, e));
    TAKO_TRY(sec_mesh_from_secret(tako_slice_of(opts->secret, opts->secret_len),
                                  &s->mesh, e));
    TAKO_TRY(api_identity(db, &s->identity, e));
    TAKO_TRY(name_set(s, opts->name, e));
    TAKO_TRY(store_reader_open(db->store, &s->reader, e));
    err = sys_loop_start(&db->env, &s->loop, &s->net, e);
    if (err != TAKO_OK) {
        store_reader_close(s->reader);
        s->reader = NULL;
        return err;
    }
    api_waits_close(db, false);
    err = sys_loop_call(s->loop, start_on_loop, &call);
    if (err == TAKO_OK)
        err = call.err;
    if (err != TAKO_OK)
        sync_end(db);
    return err;
}

tako_err tako_sync_start(tako_db *db, const tako_sync_opts *opts)
{
    tako_errbuf e = { "" };
    tako_err err;

    TAKO_ARG(db != NULL);
    sys_mutex_lock(db->sync.mutex);
    if (db->sync.running)
        err = tako_fail(&e, TAKO_MISUSE, "sync is running already");
    else
        err = sync_begin(db, opts, &e);
    if (err == TAKO_OK)
        db->sync.running = true;
    sys_mutex_unlock(db->sync.mutex);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}

/* ---- stopping --------------------------------------------------------------------- */

typedef struct stop_call {
    tako_db *db;
    bool stopped;
} stop_call;

static void node_stopped(void *arg)
{
    stop_call *c = arg;
    api_sync *s = &c->db->sync;

    sys_mutex_lock(s->wait_mutex);
    c->stopped = true;
    sys_cond_broadcast(s->wait_cond);
    sys_mutex_unlock(s->wait_mutex);
}

static void stop_on_loop(void *arg)
{
    stop_call *c = arg;
    api_sync *s = &c->db->sync;

    s->node_stopping = true;
    if (s->node != NULL)
        node_stop(s->node, node_stopped, c);
    else
        node_stopped(c);
}

static void free_on_loop(void *arg)
{
    tako_db *db = arg;

    commits_drain(db);
    node_free(db->sync.node);
    db->sync.node = NULL;
}

static void sync_end(tako_db *db)
{
    api_sync *s = &db->sync;
    stop_call call = { db, false };

    sys_mutex_lock(s->gate);
    s->live = false;
    sys_mutex_unlock(s->gate);
    api_lock_refuse_loop(&db->writer, true);
    api_waits_close(db, true);
    if (sys_loop_call(s->loop, stop_on_loop, &call) == TAKO_OK) {
        sys_mutex_lock(s->wait_mutex);
        while (!call.stopped)
            (void)sys_cond_wait(s->wait_cond, s->wait_mutex, UINT64_MAX);
        sys_mutex_unlock(s->wait_mutex);
        (void)sys_loop_call(s->loop, free_on_loop, db);
    }
    sys_loop_stop(s->loop);
    s->loop = NULL;
    store_reader_close(s->reader);
    s->reader = NULL;
    s->address_count = 0;
    tako_buf_reset(&s->addresses);
    sec_wipe(&s->mesh, sizeof s->mesh);
    api_lock_refuse_loop(&db->writer, false);
}

void tako_sync_stop(tako_db *db)
{
    if (db == NULL)
        return;
    sys_mutex_lock(db->sync.mutex);
    if (db->sync.running)
        sync_end(db);
    db->sync.running = false;
    sys_mutex_unlock(db->sync.mutex);
}
