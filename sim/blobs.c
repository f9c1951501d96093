// SPDX-License-Identifier: Apache-2.0
/* BLOBS -- see blobs.h for what must hold.
 *
 * LOOKING  Once a second all nodes are looked at, so what a device had when it
 * came to an end is known. What nobody refers to may be collected between two
 * looks, if its time of grace is over by then: it counts as not held before
 * that. */
#include "sim/blobs.h"

#include <stdio.h>

#include "base/check.h"
#include "sim/net.h"
#include "store/blob.h"

#define PUT_STEP_BYTES (64u << 10)  /* of one transaction */
#define PUT_PAUSE_US   (5 * SIM_MS) /* between them; twice that at most */
#define LOOK_US        SIM_SECOND
#define NEAR_GRACE_MS  (5 * LOOK_US / SIM_MS)
#define FINAL_GRACE_MS 600000u /* is waited for; a longer one not */
#define COLLECT_PARTS  1024u
#define PHOTO          "photo"

typedef struct content {
    uint64_t len;
    bool named; /* id is known */
    uint8_t id[BLOB_ID_BYTES];
    /* nodes, as bits: that had it whole at the last look; where it was put in;
     * whose app asked for it; that were counted as having fetched it; that were
     * seen to fetch it of several */
    uint64_t held, put, asked, fetched, shared;
} content;

/* A content that an app is putting in. */
typedef struct putting {
    struct putting *next;
    sim_node *node;
    uint64_t run;
    sim_action action;
    content *content;
    uint64_t done;
    blob_put *put;
    bool in; /* and the token is to be written */
} putting;

struct sim_blobs {
    sim_world *world;
    sim_attach_fn *attach;
    void *ctx;
    sim_watch before; /* who looked on already */
    content contents[SIM_CONTENTS_MAX];
    size_t count;
    putting *puts;
    bool looking;
    int64_t skew_ms[SIM_NODES_MAX]; /* at the last look */
    bool power[SIM_NODES_MAX];      /* failed since the last start */
    sim_blobs_counts counts;
};

static uint64_t bit_of(const sim_node *n)
{
    return UINT64_C(1) << n->index;
}

/* ---- contents ----------------------------------------------------------------- */

void sim_content_fill(uint64_t len, uint64_t at, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t word = ((at + i) / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
                        len * UINT64_C(0xbf58476d1ce4e5b9);

        word = (word ^ word >> 29) * UINT64_C(0x94d049bb133111eb);
        for (; i < n; i++) {
            out[i] = (uint8_t)(word >> ((at + i) % 8 * 8));
            if ((at + i) % 8 == 7)
                break;
        }
    }
}

/* NULL: there are too many. */
static content *content_of(sim_blobs *b, uint64_t len)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->contents[i].len == len)
            return &b->contents[i];
    if (b->count == SIM_CONTENTS_MAX) {
        sim_fail(b->world, "the scenario", "more than %u contents",
                 SIM_CONTENTS_MAX);
        return NULL;
    }
    b->contents[b->count].len = len;
    return &b->contents[b->count++];
}

static content *content_named(sim_blobs *b, const uint8_t *id)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->contents[i].named &&
            memcmp(b->contents[i].id, id, BLOB_ID_BYTES) == 0)
            return &b->contents[i];
    return NULL;
}

static void wrong(const sim_blobs *b, const sim_node *n, uint64_t len,
                  const char *what)
{
    sim_fail(b->world, "attachments are what they are", "%s: %llu bytes: %s",
             n->name, (unsigned long long)len, what);
}

/* Reads it to the end. False: something failed, or was wrong. */
static bool content_check(sim_blobs *b, sim_node *n, const content *c)
{
    uint8_t want[BLOB_PART_BYTES];
    blob_view v = { .rooted = false };
    uint64_t at = 0;
    tako_slice s;
    tako_err err = blob_view_open(n->reader, c->id, &v, NULL);

    while (err == TAKO_OK && at < c->len && !b->world->failed) {
        err = blob_view_read(&v, n->reader, at, &s, NULL);
        if (err != TAKO_OK)
            break;
        TAKO_ASSERT(s.len <= sizeof want);
        sim_content_fill(c->len, at, want, s.len);
        if (s.len == 0 || memcmp(s.ptr, want, s.len) != 0)
            wrong(b, n, c->len, "other bytes");
        at += s.len;
    }
    blob_view_close(&v);
    if (err == TAKO_CORRUPT)
        wrong(b, n, c->len, "it is damaged");
    b->counts.checked += err == TAKO_OK && !b->world->failed;
    return err == TAKO_OK && !b->world->failed;
}

/* ---- what a node has ----------------------------------------------------------- */

typedef struct standing {
    blob_facts facts; /* .have: 0 where there is none */
    uint64_t refs;
} standing;

/* False: it could not be read. */
static bool standing_of(const sim_node *n, const content *c, standing *out)
{
    tako_err err;

    *out = (standing){ .refs = 0 };
    if (!n->up || n->reader == NULL || n->node == NULL || n->stopping)
        return false;
    err = store_blob_find(n->reader, c->id, &out->facts, NULL);
    if (err == TAKO_NOTFOUND)
        out->facts = (blob_facts){ .have = 0 };
    return (err == TAKO_OK || err == TAKO_NOTFOUND) &&
           store_blob_refs(n->reader, c->id, &out->refs, NULL) == TAKO_OK;
}

/* Whole, and not to be collected before the next look. */
static bool stays(const sim_node *n, const standing *s)
{
    return s->facts.whole &&
           (s->refs > 0 || sim_node_wall_ms(n) + NEAR_GRACE_MS <
                               s->facts.free_ms + n->grace_ms);
}

static void note(sim_blobs *b, const sim_node *n, content *c, const standing *s)
{
    sync_blob_state at;

    if (node_blob_state(n->node, c->id, &at) == TAKO_OK && at.sources > 1 &&
        (c->shared & bit_of(n)) == 0) {
        c->shared |= bit_of(n);
        b->counts.shared++;
    }
    c->held &= ~bit_of(n);
    if (stays(n, s))
        c->held |= bit_of(n);
    if (s->facts.whole && ((c->put | c->fetched) & bit_of(n)) == 0) {
        c->fetched |= bit_of(n);
        b->counts.fetched++;
        sim_note(b->world, n, "has the attachment of %llu bytes",
                 (unsigned long long)c->len);
    }
    if (s->facts.have > 0 && !n->fetches &&
        ((c->put | c->asked) & bit_of(n)) == 0)
        sim_fail(b->world, "nobody keeps what it only passes on",
                 "%s has parts of the attachment of %llu bytes", n->name,
                 (unsigned long long)c->len);
}

static void look_at(sim_blobs *b, sim_node *n)
{
    sim_node_watch(n, true);
    b->skew_ms[n->index] = n->skew_ms;
    for (size_t i = 0; i < b->count && !b->world->failed; i++) {
        content *c = &b->contents[i];
        standing s;

        if (c->named && standing_of(n, c, &s))
            note(b, n, c, &s);
    }
    sim_node_watch(n, false);
}

static void on_look(sim_world *w, void *ctx, uint64_t number)
{
    sim_blobs *b = ctx;

    for (size_t i = 0; i < w->count && !w->failed; i++)
        look_at(b, w->nodes[i]);
    if (!w->failed)
        sim_at(w, w->now_us + LOOK_US, on_look, b, number);
}

/* ---- putting in ------------------------------------------------------------------ */

static void put_free(sim_blobs *b, putting *p)
{
    putting **at = &b->puts;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    store_blob_put_free(p->put);
    tako_env_free(b->world->env, p, sizeof *p);
}

/* One transaction; with the last bytes also the end. */
static tako_err put_some(putting *p, uint8_t id[BLOB_ID_BYTES], tako_errbuf *e)
{
    uint8_t bytes[4096];
    uint64_t end = p->done + PUT_STEP_BYTES, len = p->content->len;
    tako_err err = TAKO_OK;

    if (p->put == NULL)
        err = store_blob_put_begin(p->node->store, &p->put, e);
    for (; err == TAKO_OK && p->done < end && p->done < len;) {
        size_t n = len - p->done < sizeof bytes ? (size_t)(len - p->done)
                                                : sizeof bytes;

        sim_content_fill(len, p->done, bytes, n);
        err = store_blob_put_data(p->put, tako_slice_of(bytes, n), e);
        p->done += n;
    }
    p->in = p->done == len;
    if (err == TAKO_OK && p->in)
        err = store_blob_put_end(p->put, id, &len, e);
    return err;
}

static tako_err put_step(putting *p, uint8_t id[BLOB_ID_BYTES], tako_errbuf *e)
{
    sim_node *n = p->node;
    tako_err err = store_begin(n->store, e);

    if (err != TAKO_OK)
        return err;
    err = put_some(p, id, e);
    if (err != TAKO_OK) {
        store_rollback(n->store);
        return err;
    }
    err = store_commit(n->store, NULL, e);
    return sim_disk_stopped(n->disk) ? TAKO_IO : err;
}

static void put_is_in(sim_blobs *b, putting *p, const uint8_t *id)
{
    content *c = p->content;

    if (c->named && memcmp(c->id, id, BLOB_ID_BYTES) != 0)
        wrong(b, p->node, c->len, "it has two names");
    memcpy(c->id, id, BLOB_ID_BYTES);
    c->named = true;
    c->put |= bit_of(p->node);
    c->held |= bit_of(p->node);
    b->skew_ms[p->node->index] = p->node->skew_ms;
    b->counts.put++;
}

static void write_token(sim_blobs *b, const putting *p)
{
    tako_buf params = tako_buf_on(b->world->env);
    blob_token t = { .len = p->content->len };
    tako_errbuf e = { "" };

    memcpy(t.id, p->content->id, sizeof t.id);
    cbor_put_map(&params, 1);
    cbor_put_text(&params, tako_slice_str("t"));
    TAKO_ASSERT(blob_token_put(&t, &params, &e) == TAKO_OK && !params.failed);
    b->attach(b->ctx, p->node, &p->action, tako_buf_slice(&params));
    tako_buf_fini(&params);
}

static void on_put(sim_world *w, void *ctx, uint64_t number)
{
    putting *p = ctx;
    sim_blobs *b = w->blobs;
    sim_node *n = p->node;
    uint8_t id[BLOB_ID_BYTES];
    tako_errbuf e = { "" };
    tako_err err = TAKO_OK;

    if (!n->up || n->run != p->run || n->stopping) {
        put_free(b, p);
        return;
    }
    if (sim_busy(n, on_put, ctx, number))
        return;
    if (p->in) {
        write_token(b, p);
        put_free(b, p);
        return;
    }
    sim_enter(n);
    err = put_step(p, id, &e);
    if (err == TAKO_OK && p->in)
        put_is_in(b, p, id);
    if (err == TAKO_OK)
        sim_node_care(n);
    if (err != TAKO_OK) {
        store_blob_put_free(p->put);
        p->put = NULL;
    }
    sim_leave(n);
    sim_trace(w, n->index << 32 | (uint64_t)(unsigned)-err, p->done);
    if (err != TAKO_OK) {
        sim_note(w, n, "an attachment is not put in: %s: %.200s",
                 tako_err_name(err), e.text);
        put_free(b, p);
        return;
    }
    sim_at(w,
           w->now_us + PUT_PAUSE_US +
               sim_random_below(&w->random, PUT_PAUSE_US),
           on_put, p, 0);
}

void sim_blobs_put(sim_blobs *b, sim_node *n, const sim_action *a)
{
    sim_world *w = b->world;
    content *c = content_of(b, (uint64_t)a->steps[0].amount);
    putting *p;

    if (c == NULL)
        return;
    p = sim_new(w->env, sizeof *p);
    p->node = n;
    p->run = n->run;
    p->action = *a;
    p->content = c;
    p->next = b->puts;
    b->puts = p;
    if (!b->looking)
        sim_at(w, w->now_us, on_look, b, 0);
    b->looking = true;
    sim_at(w, w->now_us, on_put, p, 0);
}

/* ---- getting ------------------------------------------------------------------------ */

static content *attached_to(sim_blobs *b, const sim_node *n, uint32_t key)
{
    tako_buf id = tako_buf_on(b->world->env);
    content *c = NULL;
    blob_token t;
    uint32_t coll;
    store_row row;
    char text[16];

    (void)snprintf(text, sizeof text, "k%u", key);
    cbor_put_text(&id, tako_slice_str(text));
    if (store_coll_find(n->reader, tako_slice_str(SIM_COLLECTION), &coll) ==
            TAKO_OK &&
        store_get(n->reader, coll, tako_buf_slice(&id), &row) == TAKO_OK &&
        blob_token_read(cbor_map_get(row.body, tako_slice_str(PHOTO)), &t,
                        NULL) == TAKO_OK) {
        c = content_named(b, t.id);
        if (c == NULL || c->len != t.len)
            wrong(b, n, t.len, "nobody put it in");
    }
    tako_buf_fini(&id);
    return c;
}

static void ask(sim_node *n, const content *c)
{
    tako_errbuf e = { "" };
    tako_err err;

    sim_enter(n);
    err = node_blob_fetch(n->node, c->id, c->len, &e);
    if (err != TAKO_OK && err != TAKO_EXISTS && !sim_disk_stopped(n->disk))
        sim_note(n->world, n, "an attachment is not fetched: %s: %.200s",
                 tako_err_name(err), e.text);
    sim_leave(n);
}

void sim_blobs_get(sim_blobs *b, sim_node *n, uint32_t key)
{
    standing s;
    content *c;
    bool known;

    if (n->reader == NULL || n->node == NULL)
        return;
    sim_node_watch(n, true);
    c = attached_to(b, n, key);
    known = c != NULL && standing_of(n, c, &s);
    if (known && s.facts.whole)
        (void)content_check(b, n, c);
    sim_node_watch(n, false);
    if (!known || s.facts.whole || b->world->failed)
        return;
    c->asked |= bit_of(n);
    ask(n, c);
}

/* ---- after an end ---------------------------------------------------------------------- */

static void check_survived(sim_blobs *b, const sim_node *n, content *c,
                           bool surely)
{
    blob_facts f;
    uint64_t refs;
    tako_err err = store_blob_find(n->reader, c->id, &f, NULL);

    if ((err != TAKO_OK && err != TAKO_NOTFOUND) ||
        store_blob_refs(n->reader, c->id, &refs, NULL) != TAKO_OK)
        return;
    if (err == TAKO_OK && f.whole)
        return;
    if (surely && refs > 0)
        sim_fail(b->world, "what is committed survives",
                 "%s: the attachment of %llu bytes was here, and is not",
                 n->name, (unsigned long long)c->len);
    c->held &= ~bit_of(n);
    b->counts.lost += !surely && c->held == 0;
}

static void on_started(void *ctx, sim_node *n)
{
    sim_blobs *b = ctx;
    bool surely = n->skew_ms == b->skew_ms[n->index] && !n->stuck &&
                  (!b->power[n->index] || n->durability == STORE_FULL);

    if (b->before.started != NULL)
        b->before.started(b->before.ctx, n);
    for (size_t i = 0; i < b->count && !b->world->failed; i++)
        if ((b->contents[i].held & bit_of(n)) != 0)
            check_survived(b, n, &b->contents[i], surely);
    b->power[n->index] = false;
}

static void on_closing(void *ctx, sim_node *n)
{
    sim_blobs *b = ctx;

    for (putting *p = b->puts; p != NULL; p = p->next) {
        if (p->node != n || p->run != n->run)
            continue;
        store_blob_put_free(p->put);
        p->put = NULL;
    }
}

static void on_committed(void *ctx, sim_node *n, uint64_t lsn, bool own)
{
    sim_blobs *b = ctx;

    if (b->before.committed != NULL)
        b->before.committed(b->before.ctx, n, lsn, own);
}

static void on_ended(void *ctx, sim_node *n, sim_disk_end how)
{
    sim_blobs *b = ctx;

    b->power[n->index] |= how == SIM_DISK_POWER;
    if (b->before.ended != NULL)
        b->before.ended(b->before.ctx, n, how);
}

sim_blobs *sim_blobs_new(sim_world *w, sim_attach_fn *attach, void *ctx)
{
    sim_blobs *b = sim_new(w->env, sizeof *b);

    b->world = w;
    b->attach = attach;
    b->ctx = ctx;
    b->before = w->watch;
    w->blobs = b;
    w->watch.ctx = b;
    w->watch.committed = on_committed;
    w->watch.started = on_started;
    w->watch.ended = on_ended;
    w->watch.closing = on_closing;
    w->watch.closing_ctx = b;
    return b;
}

void sim_blobs_free(sim_blobs *b)
{
    while (b->puts != NULL)
        put_free(b, b->puts);
    tako_env_free(b->world->env, b, sizeof *b);
}

const sim_blobs_counts *sim_blobs_counted(const sim_blobs *b)
{
    return &b->counts;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Nodes that n is linked with, over so many others at most. */
static uint64_t reached(sim_world *w, const sim_node *n)
{
    uint64_t seen = bit_of(n);

    for (unsigned hop = 0; hop <= TAKO_BLOB_HOPS_MAX; hop++) {
        uint64_t next = seen;

        for (const sim_link *l = sim_links(w); l != NULL; l = l->next) {
            uint64_t a = bit_of(l->end[0]), z = bit_of(l->end[1]);

            if (!sim_link_is_cut(l) && (seen & (a | z)) != 0)
                next |= a | z;
        }
        seen = next;
    }
    return seen;
}

/* Has this node what it wants of a content, or does it say that nobody has? */
static bool satisfied(sim_blobs *b, sim_node *n, content *c, char *why,
                      size_t cap)
{
    sync_blob_state at;
    standing s;
    tako_err err;
    bool any;

    if (!standing_of(n, c, &s)) {
        (void)snprintf(why, cap, "%s is not up", n->name);
        return false;
    }
    note(b, n, c, &s);
    if (s.refs == 0 || s.facts.whole ||
        (!n->fetches && (c->asked & bit_of(n)) == 0))
        return true;
    any = (c->held & reached(b->world, n)) != 0;
    err = node_blob_state(n->node, c->id, &at);
    if (err != TAKO_OK && !n->fetches)
        ask(n, c);
    (void)snprintf(why, cap, "%s: the attachment of %llu bytes is %s", n->name,
                   (unsigned long long)c->len,
                   any               ? "not here, and elsewhere"
                   : err != TAKO_OK  ? "not being fetched"
                   : !at.unavailable ? "nowhere, and not said to be"
                                     : "unavailable");
    any = any || err != TAKO_OK || !at.unavailable;
    b->counts.unavailable += !any;
    return !any;
}

static bool all_satisfied(sim_blobs *b, char *why, size_t cap)
{
    bool all = true;

    b->counts.unavailable = 0;
    for (size_t i = 0; i < b->world->count; i++)
        look_at(b, b->world->nodes[i]);
    for (size_t i = 0; i < b->world->count && all; i++) {
        sim_node *n = b->world->nodes[i];

        sim_node_watch(n, true);
        for (size_t j = 0; j < b->count && all; j++)
            if (b->contents[j].named)
                all = satisfied(b, n, &b->contents[j], why, cap);
        sim_node_watch(n, false);
    }
    return all;
}

void sim_blobs_settle(sim_blobs *b, uint64_t patience_us)
{
    sim_world *w = b->world;
    uint64_t end = w->now_us + patience_us;
    char why[200] = "";

    while (!w->failed && !all_satisfied(b, why, sizeof why)) {
        if (w->now_us >= end) {
            sim_fail(w, "attachments arrive", "%s", why);
            return;
        }
        sim_run_until(w, w->now_us + LOOK_US);
    }
}

/* As `tako compact` does. */
static void collect_all(sim_blobs *b, sim_node *n)
{
    blob_collected c = { .more = true };
    tako_err err = TAKO_OK;

    sim_enter(n);
    while (err == TAKO_OK && c.more) {
        err = store_begin(n->store, NULL);
        if (err == TAKO_OK)
            err = store_blob_collect(n->store, sim_node_wall_ms(n), n->grace_ms,
                                     COLLECT_PARTS, &c, NULL);
        if (err == TAKO_OK)
            err = store_commit(n->store, NULL, NULL);
        else
            store_rollback(n->store);
        b->counts.collected += c.blobs;
    }
    sim_leave(n);
    if (err != TAKO_OK)
        sim_fail(b->world, "what is not referred to is collected", "%s: %s",
                 n->name, tako_err_name(err));
}

/* What is left: all of it referred to, all that is whole right, and no bytes
 * that belong to nothing. */
static void check_left(sim_blobs *b, sim_node *n, bool collected)
{
    uint64_t bytes = 0, refs = 0;
    store_facts facts;
    int64_t after = 0;
    blob_facts f;
    tako_errbuf e;

    while (store_blob_next(n->reader, after, &f, &e) == TAKO_OK &&
           !b->world->failed) {
        const content *c = content_named(b, f.id);

        after = f.number;
        bytes += f.bytes;
        if (c == NULL || store_blob_refs(n->reader, f.id, &refs, &e) != TAKO_OK)
            wrong(b, n, f.form.len, "nobody put it in");
        else if (f.whole)
            (void)content_check(b, n, c);
        if (collected && refs == 0)
            sim_fail(b->world, "what is not referred to is collected",
                     "%s: the attachment of %llu bytes is still here", n->name,
                     (unsigned long long)f.form.len);
    }
    if (!b->world->failed && collected &&
        store_facts_read(n->reader, &facts, &e) == TAKO_OK &&
        facts.blob_bytes != bytes)
        sim_fail(b->world, "what is not referred to is collected",
                 "%s: %llu bytes are of no attachment", n->name,
                 (unsigned long long)(facts.blob_bytes - bytes));
}

/* What was here before the collection, and is referred to, is here after it. */
static void check_stays(sim_blobs *b, const sim_node *n, uint64_t *before)
{
    for (size_t i = 0; i < b->count; i++) {
        standing s;

        if ((before[i] & bit_of(n)) != 0 &&
            standing_of(n, &b->contents[i], &s) && s.refs > 0 && !s.facts.whole)
            sim_fail(b->world, "what is referred to stays",
                     "%s: the attachment of %llu bytes was collected", n->name,
                     (unsigned long long)b->contents[i].len);
    }
}

/* Apps let go of what they no longer see. */
static void cancel_free(sim_blobs *b, sim_node *n)
{
    sim_enter(n);
    for (size_t i = 0; i < b->count; i++) {
        standing s;

        if (b->contents[i].named && standing_of(n, &b->contents[i], &s) &&
            s.refs == 0)
            (void)node_blob_cancel(n->node, b->contents[i].id);
    }
    sim_leave(n);
}

void sim_blobs_final(sim_blobs *b)
{
    sim_world *w = b->world;
    uint64_t held[SIM_CONTENTS_MAX] = { 0 };
    bool collects;

    if (b->count == 0)
        return;
    for (size_t i = 0; i < b->count; i++)
        held[i] = b->contents[i].held;
    collects = w->nodes[0]->grace_ms <= FINAL_GRACE_MS;
    for (size_t i = 0; i < w->count && !w->failed; i++) {
        cancel_free(b, w->nodes[i]);
        /* A time of grace that began in the future begins now. */
        if (collects)
            collect_all(b, w->nodes[i]);
    }
    if (collects)
        sim_run_until(w,
                      w->now_us + (w->nodes[0]->grace_ms * SIM_MS) + LOOK_US);
    for (size_t i = 0; i < w->count && !w->failed; i++) {
        sim_node *n = w->nodes[i];

        if (collects)
            collect_all(b, n);
        sim_node_watch(n, true);
        check_stays(b, n, held);
        check_left(b, n, collects);
        sim_node_watch(n, false);
    }
}
