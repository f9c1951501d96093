// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "a secret of this test"

/* ---- net -------------------------------------------------------------------- */

static tako_stream *stream_new(world_node *owner)
{
    tako_stream *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->owner = owner;
    s->in = tako_buf_on(&owner->w->t.env);
    s->next = owner->w->streams;
    owner->w->streams = s;
    return s;
}

static tako_err net_listen(void *ctx, const char *address,
                           tako_accept_fn *accept, void *accept_ctx,
                           tako_listener **out,
                           char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e)
{
    world *w = ((world_node *)ctx)->w;

    for (size_t i = 0; i < WORLD_LISTENERS; i++) {
        tako_listener *l = &w->listeners[i];

        if (l->used && strcmp(l->address, address) == 0)
            return tako_fail(e, TAKO_IO, "in use");
        if (l->used)
            continue;
        *l = (tako_listener){ .accept = accept, .ctx = accept_ctx };
        l->used = true;
        (void)snprintf(l->address, sizeof l->address, "%s", address);
        (void)snprintf(bound, TAKO_ADDRESS_BYTES_MAX, "%s", address);
        *out = l;
        return TAKO_OK;
    }
    return TAKO_LIMIT;
}

static void net_unlisten(void *ctx, tako_listener *listener)
{
    (void)ctx;
    listener->used = false;
}

static tako_err net_dial(void *ctx, const char *address,
                         const tako_stream_events *events, void *user,
                         tako_stream **out, tako_errbuf *e)
{
    world_node *d = ctx;
    tako_stream *s = stream_new(d), *t;

    (void)e;
    d->dials++;
    s->events = events;
    s->user = user;
    *out = s;
    for (size_t i = 0; i < WORLD_LISTENERS && !d->w->unplugged; i++) {
        tako_listener *l = &d->w->listeners[i];

        if (!l->used || strcmp(l->address, address) != 0)
            continue;
        t = stream_new(d);
        t->user = l->accept(l->ctx, t, "tcp://dialler:1", &t->events);
        if (t->user == NULL) {
            t->closing = true;
            break;
        }
        s->other = t;
        t->other = s;
        s->opening = true;
        return TAKO_OK;
    }
    s->closing = true;
    s->why = TAKO_UNREACH;
    s->detail = "connection refused";
    return TAKO_OK;
}

static tako_err net_send(tako_stream *s, tako_slice data)
{
    if (s->closing || s->other == NULL)
        return TAKO_CLOSED;
    tako_put_bytes(&s->other->in, data);
    if (s->other->in.len > s->owner->w->queued_max)
        s->owner->w->queued_max = s->other->in.len;
    return s->other->in.failed ? TAKO_NOMEM : TAKO_OK;
}

static size_t net_queued(const tako_stream *s)
{
    return s->other == NULL ? 0 : s->other->in.len;
}

static void net_close(tako_stream *s, bool flush)
{
    (void)flush;
    s->closing = true;
}

static void net_timer(void *ctx, uint64_t at_ms, void (*fn)(void *),
                      void *timer_ctx)
{
    world_node *d = ctx;

    d->timer_ms = at_ms;
    d->timer = fn;
    d->timer_ctx = timer_ctx;
}

static tako_err net_post(void *ctx, void (*fn)(void *arg), void *arg)
{
    (void)ctx;
    fn(arg);
    return TAKO_OK;
}

/* ---- moving --------------------------------------------------------------------- */

static void stream_end(world *w, tako_stream *s)
{
    tako_stream **at = &w->streams;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (s->other != NULL) {
        s->other->other = NULL;
        s->other->closing = true;
        s->other->why = TAKO_CLOSED;
        s->other->detail = "closed by the other side";
    }
    if (s->user != NULL)
        s->events->on_close(s->user, s->why, s->detail);
    tako_buf_fini(&s->in);
    free(s);
}

/* One thing about one stream; false when there is none. */
static bool move_one(world *w)
{
    for (tako_stream *s = w->streams; s != NULL; s = s->next) {
        if (s->opening) {
            s->opening = false;
            s->events->on_open(s->user);
            return true;
        }
        if (s->in.len > 0 && s->user != NULL && !w->unplugged &&
            !(s->other == NULL && s->closing && s->why == TAKO_OK)) {
            tako_buf in = s->in;

            s->in = tako_buf_on(&w->t.env);
            if (s->other != NULL)
                s->other->drain_due = true;
            if (!s->closing || s->other == NULL)
                s->events->on_data(s->user, tako_buf_slice(&in));
            tako_buf_fini(&in);
            return true;
        }
        if (s->drain_due) {
            s->drain_due = false;
            if (!s->closing) {
                s->events->on_drain(s->user);
                return true;
            }
        }
        if (s->closing && (s->other == NULL || s->other->in.len == 0 ||
                           s->other->closing || w->unplugged)) {
            stream_end(w, s);
            return true;
        }
    }
    return false;
}

static bool fire(world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        world_node *d = &w->nodes[i];

        if (d->n == NULL || d->timer_ms > w->t.mono_ms)
            continue;
        d->timer_ms = UINT64_MAX;
        d->timer(d->timer_ctx);
        return true;
    }
    return false;
}

void world_run(world *w, uint64_t ms)
{
    uint64_t end = w->t.mono_ms + ms;

    for (uint32_t turns = 0;; turns++) {
        uint64_t next = UINT64_MAX;

        assert_true(turns < 10000000);
        if (move_one(w) || fire(w))
            continue;
        for (size_t i = 0; i < w->count; i++)
            if (w->nodes[i].n != NULL && w->nodes[i].timer_ms < next)
                next = w->nodes[i].timer_ms;
        if (next > end)
            break;
        w->t.wall_ms += next - w->t.mono_ms;
        w->t.mono_ms = next;
    }
    w->t.wall_ms += end - w->t.mono_ms;
    w->t.mono_ms = end;
}

/* ---- nodes ------------------------------------------------------------------------ */

static store *host_begin(void *ctx)
{
    return ((world_node *)ctx)->st;
}

static store *host_try(void *ctx)
{
    world_node *d = ctx;

    return d->tx_open ? NULL : d->st;
}

static void host_end(void *ctx, uint64_t lsn)
{
    (void)ctx;
    (void)lsn;
}

static void host_progress(void *ctx)
{
    ((world_node *)ctx)->progress++;
}

static bool host_fetches(void *ctx)
{
    return ((world_node *)ctx)->fetches;
}

/* A node's own world is the common one, but for its wall clock. */
static void *own_realloc(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    const tako_env *all = &((world_node *)ctx)->w->t.env;

    return all->realloc(all->ctx, ptr, old_size, new_size);
}

static uint64_t own_wall_ms(void *ctx)
{
    const world_node *d = ctx;

    return d->w->t.wall_ms + (uint64_t)d->wrong_ms;
}

static uint64_t own_mono_ms(void *ctx)
{
    return ((world_node *)ctx)->w->t.mono_ms;
}

static void own_random(void *ctx, void *buf, size_t len)
{
    const tako_env *all = &((world_node *)ctx)->w->t.env;

    all->random(all->ctx, buf, len);
}

static void open_store(world *w, size_t i)
{
    world_node *d = &w->nodes[i];
    store_opts o = { .env = &d->env,
                     .files = &d->files,
                     .path = d->path,
                     .create = true,
                     .on_connect = query_register,
                     .on_connect_ctx = &d->env };
    tako_errbuf e = { "" };

    if (store_open(&o, &d->st, &e) != TAKO_OK)
        fail_msg("%s", e.text);
    (void)sqlite3_exec(store_conn_db(store_writer(d->st)),
                       "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    assert_int_equal(store_reader_open(d->st, &d->reader, &e), TAKO_OK);
}

void world_start(world *w, size_t at)
{
    world_node *d = &w->nodes[at];
    node_opts o = { .env = &d->env,
                    .net = &d->net,
                    .host = &d->host,
                    .reader = d->reader,
                    .identity = &d->identity,
                    .mesh = &w->mesh,
                    .name = d->name,
                    .archive = d->archive,
                    .read_only = d->read_only };
    tako_errbuf e = { "" };

    d->timer_ms = UINT64_MAX;
    if (node_new(&o, &d->n, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

static void on_stopped(void *ctx)
{
    ((world_node *)ctx)->stopped = true;
}

void world_stop(world *w, size_t at)
{
    world_node *d = &w->nodes[at];

    if (d->n == NULL)
        return;
    d->stopped = false;
    node_stop(d->n, on_stopped, d);
    for (uint32_t i = 0; !d->stopped && i < 1000000; i++)
        (void)(move_one(w) || fire(w));
    assert_true(d->stopped);
    node_free(d->n);
    d->n = NULL;
}

void world_break(world *w, size_t at)
{
    for (tako_stream *s = w->streams; s != NULL; s = s->next)
        if (s->owner == &w->nodes[at] ||
            (s->other != NULL && s->other->owner == &w->nodes[at])) {
            s->closing = true;
            s->why = TAKO_IO;
            s->detail = "connection reset";
        }
}

void world_init(world *w, uint64_t seed, size_t nodes)
{
    tako_errbuf e = { "" };

    memset(w, 0, sizeof *w);
    test_env_init(&w->t, seed);
    w->count = nodes;
    (void)snprintf(w->dir, sizeof w->dir, "%s/tako-node-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(sec_mesh_from_secret(tako_slice_str(SECRET), &w->mesh, &e),
                     TAKO_OK);
    for (size_t i = 0; i < nodes; i++) {
        world_node *d = &w->nodes[i];

        d->w = w;
        d->index = i;
        (void)snprintf(d->path, sizeof d->path, "%s/%zu.db", w->dir, i);
        (void)snprintf(d->name, sizeof d->name, "node%zu", i);
        d->env = (tako_env){ d,           own_realloc, own_wall_ms,
                             own_mono_ms, own_random,  NULL };
        test_files_init(&d->files, &d->boot);
        d->net = (tako_net){ d,         net_listen, net_unlisten,
                             net_dial,  net_send,   net_queued,
                             net_close, net_timer,  net_post };
        d->host = (node_host){ d,        host_begin,    host_try,
                               host_end, host_progress, host_fetches };
        sec_identity_new(&w->t.env, &d->identity);
        open_store(w, i);
        world_start(w, i);
    }
}

static const char *const suffixes[] = { "", "-wal", ".seal" };

static void copy_file(world *w, const char *from, const char *to)
{
    const tako_files *f = &w->nodes[0].files;
    tako_buf all = tako_buf_on(&w->t.env);

    (void)unlink(to);
    if (f->read(f->ctx, from, &all) == TAKO_OK)
        (void)f->write(f->ctx, to, tako_buf_slice(&all));
    tako_buf_fini(&all);
}

static void copy_image(world *w, size_t at, const char *image, bool save)
{
    for (size_t i = 0; i < 3; i++) {
        char real[160], copy[160];

        (void)snprintf(real, sizeof real, "%s%s", w->nodes[at].path,
                       suffixes[i]);
        (void)snprintf(copy, sizeof copy, "%s/%s%s", w->dir, image,
                       suffixes[i]);
        copy_file(w, save ? real : copy, save ? copy : real);
    }
}

void world_save(world *w, size_t at, const char *image)
{
    copy_image(w, at, image, true);
}

void world_power_failure(world *w, size_t at, const char *image)
{
    world_node *d = &w->nodes[at];

    world_break(w, at);
    world_stop(w, at);
    store_reader_close(d->reader);
    store_close(d->st);
    copy_image(w, at, image, false);
    d->boot++;
    open_store(w, at);
    world_start(w, at);
}

void world_fini(world *w)
{
    DIR *dir;
    struct dirent *entry;

    for (size_t i = 0; i < w->count; i++)
        world_stop(w, i);
    while (w->streams != NULL) {
        w->streams->closing = true;
        stream_end(w, w->streams);
    }
    for (size_t i = 0; i < w->count; i++) {
        store_reader_close(w->nodes[i].reader);
        store_close(w->nodes[i].st);
    }
    dir = opendir(w->dir);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[400];

        (void)snprintf(path, sizeof path, "%s/%s", w->dir, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(dir);
    (void)rmdir(w->dir);
    test_env_check_empty(&w->t);
}

/* ---- writing and reading ------------------------------------------------------------ */

node_commit *world_do_quietly(world *w, size_t at, const char *statement)
{
    world_node *d = &w->nodes[at];
    tako_buf ids = tako_buf_on(&w->t.env);
    node_commit *c = NULL;
    tako_errbuf e = { "" };
    uint64_t lsn = 0, count;
    query *q = NULL;
    tako_err err;

    w->t.wall_ms++;
    err = query_prepare(&w->t.env, store_writer(d->st),
                        tako_slice_str(statement), &q, &e);
    if (err == TAKO_OK)
        err = query_bind(q, TAKO_SLICE_NONE, &e);
    if (err == TAKO_OK)
        err = store_begin(d->st, &e);
    if (err == TAKO_OK)
        err = query_run(q, d->st, &ids, &count, &e);
    if (err == TAKO_OK)
        err = store_commit(d->st, &lsn, &e);
    query_free(q);
    tako_buf_fini(&ids);
    if (err != TAKO_OK)
        fail_msg("%s: %s", statement, e.text);
    if (lsn != 0)
        assert_int_equal(node_commit_copy(&w->t.env, d->st, lsn, &c), TAKO_OK);
    return c;
}

uint64_t world_do(world *w, size_t at, const char *statement)
{
    node_commit *c = world_do_quietly(w, at, statement);

    if (c != NULL && w->nodes[at].n != NULL)
        node_on_commit(w->nodes[at].n, c);
    else
        node_commit_free(c);
    return store_lsn(w->nodes[at].st);
}

uint64_t world_count(world *w, size_t at)
{
    store_facts facts;
    tako_errbuf e;

    assert_int_equal(store_facts_read(w->nodes[at].reader, &facts, &e),
                     TAKO_OK);
    return facts.documents;
}

bool world_equal(world *w)
{
    uint8_t first[32], other[32];
    tako_errbuf e;
    uint64_t documents;

    assert_int_equal(store_hash(w->nodes[0].reader, 0, first, &documents, &e),
                     TAKO_OK);
    for (size_t i = 1; i < w->count; i++) {
        assert_int_equal(
            store_hash(w->nodes[i].reader, 0, other, &documents, &e), TAKO_OK);
        if (memcmp(first, other, sizeof first) != 0)
            return false;
    }
    return true;
}

const char *world_status(world *w, size_t at, tako_buf *out)
{
    tako_buf_reset(out);
    assert_int_equal(node_status(w->nodes[at].n, out), TAKO_OK);
    return tako_buf_cstr(out);
}

size_t world_links_up(world *w, size_t at)
{
    tako_buf out = tako_buf_on(&w->t.env);
    const char *p = world_status(w, at, &out);
    size_t count = 0;

    while ((p = strstr(p, "\"state\":\"up\"")) != NULL) {
        count++;
        p++;
    }
    tako_buf_fini(&out);
    return count;
}

void world_listen(world *w, size_t at, const char *address)
{
    char bound[TAKO_ADDRESS_BYTES_MAX];
    tako_errbuf e = { "" };

    if (node_listen(w->nodes[at].n, address, bound, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

void world_subscribe(world *w, size_t at, uint32_t id, const char *text)
{
    tako_errbuf e = { "" };

    if (node_subscribe(w->nodes[at].n, id, tako_slice_str(text),
                       TAKO_SLICE_NONE, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

void world_dial(world *w, size_t at, const char *address)
{
    tako_errbuf e = { "" };

    if (node_peer_add(w->nodes[at].n, address, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

void world_insert(world *w, size_t at, unsigned id, const char *status)
{
    char text[128];

    (void)snprintf(text, sizeof text,
                   "INSERT INTO orders DOCUMENTS ({'_id': %u, 's': '%s'})", id,
                   status);
    (void)world_do(w, at, text);
}
