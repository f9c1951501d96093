// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync/wire.h"

struct sync_predicate {
    tako_slice collection;
    uint8_t text[64];
    size_t status; /* where it begins in text; 0 none */
    size_t len;
};

/* ---- host ------------------------------------------------------------------ */

static store *host_begin(void *ctx)
{
    return ((net_node *)ctx)->st;
}

static tako_slice copy(tako_arena *a, tako_slice s)
{
    return s.len == 0 ? TAKO_SLICE_NONE : tako_arena_copy(a, s);
}

/* Out of memory here is not under test. */
static void queue_commit(net_node *d, uint64_t lsn, sync_session *by)
{
    net_commit *c = calloc(1, sizeof *c);
    size_t count;
    const store_change *changes = store_changes(d->st, &count);
    long fail = d->net->t.fail_after;

    d->net->t.fail_after = -1;
    assert_non_null(c);
    c->arena = tako_arena_on(&d->net->t.env);
    c->lsn = lsn;
    c->actor = store_actor(d->st);
    c->by = by;
    c->merged = by != NULL;
    c->count = count;
    c->changes = tako_arena_array(&c->arena, count, sizeof *changes);
    for (size_t i = 0; i < count; i++) {
        c->changes[i] = changes[i];
        c->changes[i].id = copy(&c->arena, changes[i].id);
        c->changes[i].meta_before = copy(&c->arena, changes[i].meta_before);
        c->changes[i].body_before = copy(&c->arena, changes[i].body_before);
    }
    d->net->t.fail_after = fail;
    if (d->last != NULL)
        d->last->next = c;
    else
        d->first = c;
    d->last = c;
}

static void host_end(void *ctx, uint64_t lsn)
{
    net_node *d = ctx;

    if (lsn != 0)
        queue_commit(d, lsn, d->writing);
}

static tako_err predicate_open(void *ctx, tako_slice text, sync_predicate **out,
                               tako_slice *collection, tako_errbuf *e)
{
    net_node *d = ctx;
    sync_predicate *p;

    if (text.len >= 64 || text.ptr[0] == '!')
        return tako_fail(e, TAKO_INVALID, "no subscription");
    p = tako_env_alloc(&d->net->t.env, sizeof *p);
    if (p == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    memcpy(p->text, text.ptr, text.len);
    p->len = text.len;
    p->collection = tako_slice_of(p->text, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '?') {
            p->collection.len = i;
            p->status = i + 1;
        }
    if (p->collection.len == 0) {
        tako_env_free(&d->net->t.env, p, sizeof *p);
        return tako_fail(e, TAKO_INVALID, "no collection");
    }
    *out = p;
    *collection = p->collection;
    return TAKO_OK;
}

static void predicate_close(void *ctx, sync_predicate *p)
{
    tako_env_free(&((net_node *)ctx)->net->t.env, p, sizeof *p);
}

static bool text_is(tako_slice value, tako_slice text)
{
    tako_reader r = tako_reader_of(value);
    cbor_item item;

    return value.len > 0 && cbor_read(&r, &item) && item.kind == CBOR_TEXT &&
           tako_slice_eq(item.str, text);
}

static bool predicate_match(void *ctx, sync_predicate *p, tako_slice id,
                            tako_slice body)
{
    (void)ctx;
    (void)id;
    if (body.len == 0)
        return false;
    if (p->status == 0)
        return true;
    return text_is(cbor_map_get(body, tako_slice_str("s")),
                   tako_slice_of(p->text + p->status, p->len - p->status));
}

static bool predicate_whole(void *ctx, const sync_predicate *p)
{
    (void)ctx;
    return p->status == 0;
}

static bool predicate_covers(void *ctx, const sync_predicate *big,
                             const sync_predicate *small)
{
    (void)ctx;
    if (!tako_slice_eq(big->collection, small->collection))
        return false;
    return big->status == 0 || (big->len == small->len &&
                                memcmp(big->text, small->text, big->len) == 0);
}

static size_t host_others(void *ctx)
{
    const net_node *d = ctx;
    const net *n = d->net;
    size_t up = 0;

    for (size_t i = 0; i < n->link_count; i++)
        for (int j = 0; j < 2; j++)
            up += n->links[i].up && n->links[i].ends[j].node == d;
    return up > 0 ? up - 1 : 0;
}

static bool host_covered(void *ctx, uint32_t number)
{
    const net_node *d = ctx;
    const net *n = d->net;

    for (size_t i = 0; i < n->link_count; i++)
        for (int j = 0; j < 2; j++) {
            const net_end *end = &n->links[i].ends[j];

            if (n->links[i].up && end->node == d && end->session != d->asking &&
                sync_session_covers(end->session, number))
                return true;
        }
    return false;
}

static tako_err host_doubted(void *ctx, store_conn *c, uint32_t number,
                             bool *any)
{
    const net_node *d = ctx;
    const net *n = d->net;

    for (size_t i = 0; i < n->link_count; i++)
        for (int j = 0; j < 2; j++) {
            const net_end *end = &n->links[i].ends[j];

            if (n->links[i].up && end->node == d && !*any)
                TAKO_TRY(sync_session_doubts(end->session, c, number, any));
        }
    return TAKO_OK;
}

static void host_event(void *ctx, sync_event event, uint32_t number,
                       const char *text)
{
    net_node *d = ctx;

    (void)number;
    d->events[event]++;
    for (size_t i = 0; i < d->net->link_count; i++)
        for (int j = 0; j < 2; j++) {
            const net_end *end = &d->net->links[i].ends[j];

            if (!d->net->links[i].up || end->node != d)
                continue;
            if (event == SYNC_EVENT_HELD)
                sync_session_recheck(end->session);
            if (event == SYNC_EVENT_ROSE)
                sync_session_rose(end->session);
        }
    if (event == SYNC_EVENT_REFUSED)
        (void)snprintf(d->refused, sizeof d->refused, "%s", text);
}

/* ---- nodes and links --------------------------------------------------------- */

static const uint8_t digest_key[16] = { 1, 2, 3 };

static void node_open(net *n, net_node *d)
{
    sync_tables_opts t = { &n->t.env, &d->host, NULL, digest_key };
    store_opts o = {
        .env = &n->t.env, .files = &d->files, .path = d->path, .create = true
    };
    tako_errbuf e = { "" };

    if (store_open(&o, &d->st, &e) != TAKO_OK)
        fail_msg("%s", e.text);
    (void)sqlite3_exec(store_conn_db(store_writer(d->st)),
                       "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    assert_int_equal(store_reader_open(d->st, &d->reader, &e), TAKO_OK);
    t.reader = d->reader;
    assert_int_equal(sync_tables_new(&t, &d->tables, &e), TAKO_OK);
}

static void node_init(net *n, size_t i)
{
    net_node *d = &n->nodes[i];

    d->net = n;
    (void)snprintf(d->path, sizeof d->path, "%s/%zu.db", n->dir, i);
    test_files_init(&d->files, &d->boot);
    d->host = (sync_host){ .ctx = d,
                           .write_begin = host_begin,
                           .write_end = host_end,
                           .predicate_open = predicate_open,
                           .predicate_close = predicate_close,
                           .predicate_match = predicate_match,
                           .predicate_covers = predicate_covers,
                           .predicate_whole = predicate_whole,
                           .others = host_others,
                           .covered = host_covered,
                           .doubted = host_doubted,
                           .event = host_event };
    node_open(n, d);
}

void net_init(net *n, uint64_t seed, size_t nodes)
{
    memset(n, 0, sizeof *n);
    test_env_init(&n->t, seed);
    (void)snprintf(n->dir, sizeof n->dir, "%s/tako-sync-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(n->dir));
    n->now = 1000;
    n->room = 4096;
    n->node_count = nodes;
    for (size_t i = 0; i < nodes; i++)
        node_init(n, i);
}

static void queue_clear(net_queue *q)
{
    while (q->first != NULL) {
        net_message *m = q->first;

        q->first = m->next;
        free(m);
    }
    *q = (net_queue){ NULL, NULL, 0 };
}

void net_disconnect(net *n, net_link *l)
{
    (void)n;
    if (!l->up)
        return;
    l->up = false;
    for (int i = 0; i < 2; i++) {
        net_node *d = l->ends[i].node;

        for (net_commit *c = d->first; c != NULL; c = c->next)
            if (c->by == l->ends[i].session)
                c->by = NULL;
        if (l->ends[i].session != NULL && !store_in_transaction(d->st))
            (void)sync_session_rest(l->ends[i].session, d->st, false, NULL);
        sync_session_free(l->ends[i].session);
        l->ends[i].session = NULL;
        for (int lane = 0; lane < SYNC_LANES; lane++)
            queue_clear(&l->ends[i].out[lane]);
    }
}

static void commit_free(net_commit *c)
{
    tako_arena_fini(&c->arena);
    free(c);
}

static void node_close(net_node *d)
{
    while (d->first != NULL) {
        net_commit *c = d->first;

        d->first = c->next;
        commit_free(c);
    }
    d->last = NULL;
    sync_tables_free(d->tables);
    store_reader_close(d->reader);
    store_close(d->st);
}

void net_fini(net *n)
{
    DIR *dir;
    struct dirent *entry;

    for (size_t i = 0; i < n->link_count; i++)
        net_disconnect(n, &n->links[i]);
    for (size_t i = 0; i < n->node_count; i++)
        node_close(&n->nodes[i]);
    dir = opendir(n->dir);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[400];

        (void)snprintf(path, sizeof path, "%s/%s", n->dir, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(dir);
    (void)rmdir(n->dir);
    test_env_check_empty(&n->t);
}

static const char *const suffixes[] = { "", "-wal", ".seal" };

static void image_path(const net *n, const char *image, size_t part,
                       char out[128])
{
    (void)snprintf(out, 128, "%s/%s%s", n->dir, image, suffixes[part]);
}

void net_save(net *n, size_t node, const char *image)
{
    const tako_files *f = &n->nodes[node].files;

    for (size_t i = 0; i < 3; i++) {
        tako_buf all = tako_buf_on(&n->t.env);
        char from[160], to[128];

        (void)snprintf(from, sizeof from, "%s%s", n->nodes[node].path,
                       suffixes[i]);
        image_path(n, image, i, to);
        (void)unlink(to);
        if (f->read(f->ctx, from, &all) == TAKO_OK)
            (void)f->write(f->ctx, to, tako_buf_slice(&all));
        tako_buf_fini(&all);
    }
}

void net_restore(net *n, size_t node, const char *image)
{
    net_node *d = &n->nodes[node];
    const tako_files *f = &d->files;
    size_t len = strlen(d->path);

    for (size_t i = 0; i < n->link_count; i++)
        if (n->links[i].up &&
            (n->links[i].ends[0].node == d || n->links[i].ends[1].node == d))
            net_disconnect(n, &n->links[i]);
    node_close(d);
    for (size_t i = 0; i < 3; i++) {
        tako_buf all = tako_buf_on(&n->t.env);
        char from[128], to[160];

        (void)snprintf(to, sizeof to, "%s%s", d->path, suffixes[i]);
        (void)unlink(to);
        image_path(n, image, i, from);
        if (f->read(f->ctx, from, &all) == TAKO_OK) {
            if (i == 2) /* the path at the end of the seal: of equal length */
                memcpy(all.ptr + all.len - len, d->path, len);
            (void)f->write(f->ctx, to, tako_buf_slice(&all));
        }
        tako_buf_fini(&all);
    }
    node_open(n, d);
}

static void failed(net *n, net_link *l, tako_err err, const tako_errbuf *e)
{
    n->last_error = err;
    n->why = *e;
    net_disconnect(n, l);
}

void net_reconnect(net *n, net_link *l)
{
    tako_errbuf e = { "" };

    assert_false(l->up);
    for (int i = 0; i < 2; i++) {
        net_node *d = l->ends[i].node;
        const char *peer = l->ends[1 - i].node->path;
        sync_opts o = {
            .env = &n->t.env,
            .host = &d->host,
            .reader = d->reader,
            .digest_key = digest_key,
            .tables = d->tables,
            .peer = n->forgetful ? TAKO_SLICE_NONE : tako_slice_str(peer),
            .bars = d->bars,
            .peer_bars = l->ends[1 - i].node->bars,
        };
        tako_err err = sync_session_new(&o, n->now, &l->ends[i].session, &e);

        for (size_t j = 0; err == TAKO_OK && j < d->sub_count; j++)
            err = sync_session_subscribe(l->ends[i].session, (uint32_t)j,
                                         tako_slice_str(d->subs[j]), &e);
        if (err != TAKO_OK) {
            l->up = true; /* so that all is freed */
            failed(n, l, err, &e);
            return;
        }
    }
    l->up = true;
}

net_link *net_connect(net *n, size_t a, size_t b)
{
    net_link *l = &n->links[n->link_count++];

    assert_true(n->link_count <= NET_LINKS);
    memset(l, 0, sizeof *l);
    l->ends[0].node = &n->nodes[a];
    l->ends[1].node = &n->nodes[b];
    net_reconnect(n, l);
    return l;
}

void net_subscribe(net *n, size_t node, const char *text)
{
    net_node *d = &n->nodes[node];
    tako_errbuf e = { "" };

    d->subs[d->sub_count] = text;
    for (size_t i = 0; i < n->link_count; i++)
        for (int j = 0; j < 2; j++)
            if (n->links[i].up && n->links[i].ends[j].node == d)
                assert_int_equal(
                    sync_session_subscribe(n->links[i].ends[j].session,
                                           (uint32_t)d->sub_count,
                                           tako_slice_str(text), &e),
                    TAKO_OK);
    d->sub_count++;
}

/* ---- moving --------------------------------------------------------------------- */

static unsigned lanes_free(const net *n, const net_end *end)
{
    unsigned lanes = 0;

    for (unsigned i = 0; i < SYNC_LANES; i++)
        if (end->out[i].bytes < n->room)
            lanes |= SYNC_LANE_BIT(i);
    return lanes;
}

bool net_send(net *n, net_link *l, int end)
{
    net_end *from = &l->ends[end];
    tako_buf out = tako_buf_on(&n->t.env);
    tako_errbuf e = { "" };
    sync_lane lane = SYNC_CONTROL;
    net_message *m;
    tako_err err;

    if (!l->up)
        return false;
    from->node->writing = from->node->asking = from->session;
    err = sync_session_send(from->session, n->now, lanes_free(n, from), &lane,
                            &out, &e);
    from->node->writing = NULL;
    if (err == TAKO_OK && out.len > 0) {
        net_queue *q = &from->out[lane];

        m = malloc(sizeof *m + out.len);
        assert_non_null(m);
        m->next = NULL;
        m->len = out.len;
        memcpy(m->bytes, out.ptr, out.len);
        if (q->last != NULL)
            q->last->next = m;
        else
            q->first = m;
        q->last = m;
        q->bytes += m->len;
        n->kinds[m->bytes[0] & 63u] += m->len;
        if (n->tap != NULL)
            n->tap(n->tap_ctx, lane, tako_buf_slice(&out));
    }
    if (err != TAKO_OK)
        failed(n, l, err, &e);
    else if (out.len == 0 && sync_session_deadline(from->session) == 0) {
        tako_buf_fini(&out);
        return lanes_free(n, from) == SYNC_LANES_ALL;
    }
    err = out.len > 0 ? TAKO_OK : TAKO_NOTFOUND;
    tako_buf_fini(&out);
    return err == TAKO_OK;
}

bool net_deliver(net *n, net_link *l, int end, int lane)
{
    net_end *to = &l->ends[1 - end];
    net_queue *q = &l->ends[end].out[lane];
    tako_errbuf e = { "" };
    net_message *m = q->first;
    sync_counts counts;
    tako_err err;

    if (!l->up || m == NULL)
        return false;
    sync_session_counts(to->session, &counts);
    if (lane != SYNC_CONTROL && !counts.greeted)
        return false; /* HELLO and KNOWN overtake all */
    q->first = m->next;
    if (q->first == NULL)
        q->last = NULL;
    q->bytes -= m->len;
    if (getenv("NETDBG"))
        printf("t%llu %d->%d lane %d kind %d len %zu\n",
               (unsigned long long)n->now, (int)(l->ends[end].node - n->nodes),
               (int)(to->node - n->nodes), lane, m->bytes[0], m->len);
    to->node->writing = to->node->asking = to->session;
    err = sync_session_recv(to->session, n->now, (sync_lane)lane,
                            tako_slice_of(m->bytes, m->len), &e);
    to->node->writing = NULL;
    free(m);
    if (err != TAKO_OK)
        failed(n, l, err, &e);
    return true;
}

bool net_tell(net *n, size_t node)
{
    net_node *d = &n->nodes[node];
    net_commit *c = d->first;

    if (c == NULL)
        return false;
    d->first = c->next;
    if (d->first == NULL)
        d->last = NULL;
    assert_int_equal(
        sync_tables_on_commit(d->tables, c->lsn, c->changes, c->count),
        TAKO_OK);
    for (size_t i = 0; i < n->link_count; i++)
        for (int j = 0; j < 2; j++) {
            net_end *end = &n->links[i].ends[j];
            tako_err err;

            if (!n->links[i].up || end->node != d)
                continue;
            err = sync_session_renewed(end->session, c->actor, &n->why);
            if (err == TAKO_OK)
                err = sync_session_on_commit(
                    end->session, c->lsn, c->changes, c->count,
                    c->by == end->session ? SYNC_BY_SESSION
                    : c->merged           ? SYNC_BY_OTHER
                                          : SYNC_BY_APP);
            if (err != TAKO_OK)
                failed(n, &n->links[i], err, &n->why);
        }
    commit_free(c);
    return true;
}

void net_step(net *n)
{
    net_link *l = &n->links[test_below(&n->t, n->link_count)];
    int end = (int)test_below(&n->t, 2);

    if (!n->slow_commits || test_below(&n->t, 3) == 0)
        for (size_t i = 0; i < n->node_count; i++)
            while (net_tell(n, i) && !n->slow_commits)
                ;
    if (test_below(&n->t, 2) == 0)
        (void)net_send(n, l, end);
    else
        (void)net_deliver(n, l, end, (int)test_below(&n->t, SYNC_LANES));
    if (test_below(&n->t, 4) == 0)
        n->now++;
}

static void tell_all(net *n)
{
    for (size_t i = 0; i < n->node_count; i++)
        while (net_tell(n, i))
            ;
}

bool net_half_trip(net *n, net_link *l)
{
    size_t count[2][SYNC_LANES] = { { 0 } };
    size_t room = n->room;
    bool moved = false;

    n->now++;
    n->room = SIZE_MAX;
    tell_all(n);
    for (int j = 0; j < 2; j++)
        while (net_send(n, l, j))
            tell_all(n); /* answering may commit what was offered */
    n->room = room;
    for (int j = 0; j < 2; j++)
        for (int lane = 0; lane < SYNC_LANES; lane++)
            for (net_message *m = l->ends[j].out[lane].first; m != NULL;
                 m = m->next)
                count[j][lane]++;
    for (int lane = 0; lane < SYNC_LANES; lane++)
        for (int j = 0; j < 2; j++)
            for (; count[j][lane] > 0 && net_deliver(n, l, j, lane);
                 count[j][lane]--)
                moved = true;
    return moved;
}

uint64_t net_overhead(const net *n, const uint64_t before[64])
{
    static const uint8_t left_out[] = { SYNC_MSG_HELLO,  SYNC_MSG_KNOWN,
                                        SYNC_MSG_STATES, SYNC_MSG_CUT,
                                        SYNC_MSG_PACKED, SYNC_MSG_PACKED_CUT };
    uint64_t sum = 0;

    for (size_t i = 0; i < 64; i++)
        sum += n->kinds[i] - before[i];
    for (size_t i = 0; i < sizeof left_out; i++)
        sum -= n->kinds[left_out[i]] - before[left_out[i]];
    return sum;
}

void net_settle_but(net *n, net_held *held)
{
    bool moved = true;
    uint32_t turns = 0;

    while (moved) {
        moved = false;
        assert_true(++turns < 100000);
        n->now++;
        for (size_t i = 0; i < n->node_count; i++)
            while (net_tell(n, i))
                moved = true;
        for (size_t i = 0; i < n->link_count; i++)
            for (int j = 0; j < 2; j++) {
                net_link *l = &n->links[i];

                while (net_send(n, l, j))
                    moved = true;
                for (int lane = 0; lane < SYNC_LANES; lane++)
                    while ((held == NULL || !held(l, j, lane)) &&
                           net_deliver(n, l, j, lane))
                        moved = true;
            }
    }
}

void net_settle(net *n)
{
    net_settle_but(n, NULL);
}

void net_settle_later(net *n, int turns)
{
    for (; turns > 0; turns--) {
        net_settle(n);
        n->now += 1500;
    }
    net_settle(n);
}

/* ---- transactions ----------------------------------------------------------- */

void net_begin(net *n, size_t node)
{
    tako_errbuf e = { "" };

    if (store_begin(n->nodes[node].st, &e) != TAKO_OK)
        fail_msg("%s", e.text);
}

void net_commit_now(net *n, size_t node)
{
    net_node *d = &n->nodes[node];
    tako_errbuf e = { "" };
    uint64_t lsn;

    n->t.wall_ms++;
    assert_int_equal(store_commit(d->st, &lsn, &e), TAKO_OK);
    if (lsn != 0)
        queue_commit(d, lsn, NULL);
    if (!n->slow_commits)
        while (net_tell(n, node))
            ;
}

void net_subscribe_all(net *n, const char *text)
{
    for (size_t i = 0; i < n->node_count; i++)
        net_subscribe(n, i, text);
}

void net_check_equal(net *n, const char *coll)
{
    for (size_t i = 1; i < n->node_count; i++)
        assert_int_equal(net_hash(n, 0, coll), net_hash(n, i, coll));
}
