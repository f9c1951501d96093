// SPDX-License-Identifier: Apache-2.0
/* DEATHS -- what neighbours tell each other of documents that are no more
 * (SYNC.md 4; store/deaths.h is what it means).
 *
 *   subscriber                             the other side
 *   YARD takes, epoch, count, sums     ->
 *                                      <-  nothing                 equal, or
 *                                      <-  BURIED epoch, sums by bucket, floors
 *   GRAVES which buckets differ        ->
 *                                      <-  GRAVES the births in these, parts
 *
 * YARD follows each CAUGHT_UP: then all that the other side has is here, so that
 * its floors can be taken over too (an unknown document below a floor is
 * doubtful, and its own are not). Who takes a part of a collection gets the
 * epoch, and that again when it rises. Graves it gets, as far as they are few,
 * only from one who takes no more than a part either: to who takes all of it
 * everything is offered, and what is dead is answered (P8). Floors it never
 * gets: what is unknown to it may well live elsewhere.
 *
 * DEAD answers a document that is dead, or doubtful, for who got it; and tells
 * of one that was found to be dead here to each neighbour who was sent it. The
 * receiver lets its copy go, passes the word on in the same way through its
 * commit, and, where the teller said that it has another life of the same key,
 * asks for that. */
#include "sync/state.h"

#define DEAD_IS       1u /* kinds in DEAD */
#define DEAD_DOUBT    2u
#define DEAD_OTHER    4u /* a flag: the teller has another life of it */
#define TAKES_NOTHING 0u /* in YARD */
#define TAKES_WHOLE   1u
#define TAKES_PART    2u
#define GRAVES_ASK    0u /* forms of GRAVES */
#define GRAVES_SOME   1u
#define GRAVES_LAST   2u
#define GRAVES_PART   (32u << 10) /* bytes of one message */
#define BUCKET_DOCS   8u
#define SWEEP_ROWS    20000u /* at once; care goes on with the rest */

static bool sub_is_whole(const sync_session *s, const sync_sub *sub)
{
    return s->host->predicate_whole != NULL && sub->predicate != NULL &&
           s->host->predicate_whole(s->host->ctx, sub->predicate);
}

/* What we take of this collection from the peer. */
static uint8_t takes(const sync_session *s, tako_slice name)
{
    uint8_t most = TAKES_NOTHING;

    for (size_t i = 0; i < s->sub_count && most != TAKES_WHOLE; i++)
        if (tako_slice_eq(s->subs[i].collection, name))
            most = sub_is_whole(s, &s->subs[i]) ? TAKES_WHOLE : TAKES_PART;
    return most;
}

static bool takes_whole(const sync_session *s, tako_slice name)
{
    return takes(s, name) == TAKES_WHOLE;
}

/* Shall the other side, which takes so much, hear of our graves? */
static bool gives_graves(const sync_session *s, tako_slice name, uint8_t taken,
                         const store_yard *ours)
{
    if (taken == TAKES_WHOLE)
        return ours->graves > 0 || ours->floors != 0;
    return taken == TAKES_PART && ours->graves > 0 &&
           ours->graves <= TAKO_SYNC_GRAVES_PART_MAX && !takes_whole(s, name);
}

static tako_err read_yard(sync_session *s, tako_slice name, uint32_t *coll,
                          store_yard *out, tako_errbuf *e)
{
    tako_err err = store_coll_find(s->reader, name, coll);

    *out = (store_yard){ 0, 0, 0, 0 };
    if (err == TAKO_NOTFOUND) {
        *coll = 0;
        return TAKO_OK;
    }
    if (err == TAKO_OK)
        return store_yard_read(s->reader, *coll, out, e);
    return tako_fail(e, err, "reading a collection failed");
}

/* ---- writing ------------------------------------------------------------------ */

/* One transaction of what a message says. */
typedef struct bury {
    sync_session *s;
    store *st;
    tako_slice name;
    uint32_t coll;
    tako_reader *in;
    uint32_t died, quarantined, doubtful;
    tako_buf needs; /* documents to be asked for */
    uint64_t need_count;
    bool sweeps; /* there is more to look at */
    tako_errbuf *e;
} bury;

typedef tako_err bury_fn(bury *b);

static void tell_host(const bury *b)
{
    const sync_host *host = b->s->host;

    if (b->died > 0)
        host->event(host->ctx, SYNC_EVENT_DEAD, b->died,
                    b->quarantined > 0
                        ? "deleted elsewhere; changes made here are in "
                          "quarantine"
                        : "deleted elsewhere");
    if (b->doubtful > 0)
        host->event(host->ctx, SYNC_EVENT_DOUBTFUL, b->doubtful,
                    "the peer cannot know whether they were deleted");
    if (b->sweeps)
        host->event(host->ctx, SYNC_EVENT_SWEEP, 0, "");
}

static tako_err in_transaction(bury *b, bury_fn *fn)
{
    size_t known = b->s->known_count;
    tako_err err;

    TAKO_TRY(sync_write_begin(b->s, &b->st, b->e));
    err = sync_write_end(b->s, b->st, known, fn(b), b->e);
    if (err == TAKO_OK)
        tell_host(b);
    return err;
}

/* ---- YARD ------------------------------------------------------------------------ */

static void put_yard(tako_buf *out, const store_yard *y)
{
    tako_put_varint(out, y->epoch);
    tako_put_varint(out, y->graves);
    tako_put_u64(out, y->sum);
    tako_put_u64(out, y->floors);
}

static bool is_empty(const store_yard *y)
{
    return y->epoch == 0 && y->graves == 0 && y->floors == 0;
}

static void say_yard(sync_session *s, tako_slice name, const store_yard *y)
{
    tako_buf *b = &s->scratch;

    tako_buf_reset(b);
    tako_put_block(b, name);
    tako_put_u8(b, takes(s, name));
    put_yard(b, y);
    sync_control(s, SYNC_MSG_YARD, tako_buf_slice(b));
}

tako_err sync_tell_yard(sync_session *s, tako_slice name, tako_errbuf *e)
{
    store_yard y;
    uint32_t coll;

    TAKO_TRY(read_yard(s, name, &coll, &y, e));
    if (!is_empty(&y))
        say_yard(s, name, &y);
    return TAKO_OK;
}

tako_err sync_offer_yard(sync_session *s, tako_slice name, tako_errbuf *e)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(s->subs[i].collection, name))
            return TAKO_OK; /* told when that is caught up */
    return sync_tell_yard(s, name, e);
}

typedef struct summer {
    uint64_t *sums;
    unsigned bits;
    tako_buf *floors;
    uint64_t floor_count;
} summer;

static uint32_t bucket_of(uint64_t hash, unsigned bits)
{
    return bits == 0 ? 0 : (uint32_t)(hash >> (64u - bits));
}

static void sum_grave(void *ctx, const store_grave *g, bool floor)
{
    summer *m = ctx;
    uint64_t hash = store_grave_hash(g);

    if (!floor) {
        m->sums[bucket_of(hash, m->bits)] += hash;
    } else if (m->floors != NULL) {
        sync_put_dot(m->floors, &g->dot);
        m->floor_count++;
    }
}

static unsigned bits_for(uint64_t graves)
{
    unsigned bits = 0;

    while (bits < TAKO_SYNC_GRAVES_BITS_MAX &&
           (uint64_t)BUCKET_DOCS << bits < graves)
        bits++;
    return bits;
}

/* The epoch alone, as from an empty graveyard. */
static void put_epoch(sync_session *s, tako_slice name, uint64_t epoch)
{
    tako_buf *b = &s->scratch;

    tako_buf_reset(b);
    tako_put_block(b, name);
    tako_put_varint(b, epoch);
    tako_put_u8(b, 0);
    tako_put_u64(b, 0);
    tako_put_varint(b, 0);
    s->control.failed = s->control.failed || b->failed;
    sync_control(s, SYNC_MSG_BURIED, tako_buf_slice(b));
}

static tako_err put_buried(sync_session *s, tako_slice name, uint32_t coll,
                           const store_yard *ours, bool whole, tako_errbuf *e)
{
    tako_buf floors = tako_buf_on(s->env);
    tako_buf *b = &s->scratch;
    summer m = { .bits = bits_for(ours->graves),
                 .floors = whole ? &floors : NULL };
    tako_err err;

    m.sums = tako_arena_array(&s->arena, (size_t)1 << m.bits, sizeof *m.sums);
    if (m.sums == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    err = store_graves_each(s->reader, coll, sum_grave, &m, e);
    tako_buf_reset(b);
    tako_put_block(b, name);
    tako_put_varint(b, ours->epoch);
    tako_put_u8(b, (uint8_t)m.bits);
    for (size_t i = 0; i < (size_t)1 << m.bits; i++)
        tako_put_u64(b, m.sums[i]);
    tako_put_varint(b, m.floor_count);
    tako_put_bytes(b, tako_buf_slice(&floors));
    b->failed = b->failed || floors.failed;
    tako_buf_fini(&floors);
    if (err == TAKO_OK && b->failed)
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    if (err == TAKO_OK)
        sync_control(s, SYNC_MSG_BURIED, tako_buf_slice(b));
    return err;
}

/* A commit deleted something: has an epoch risen that the peer was told? */
tako_err sync_epoch_risen(sync_session *s, tako_errbuf *e)
{
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];
        store_yard y;

        TAKO_TRY(read_yard(s, w->collection, &w->coll, &y, e));
        if (y.epoch <= w->epoch)
            continue;
        w->epoch = y.epoch;
        put_epoch(s, w->collection, y.epoch);
    }
    return TAKO_OK;
}

typedef struct epoch_bury {
    bury b;
    uint64_t epoch;
} epoch_bury;

static tako_err raise_epoch(bury *b)
{
    return store_epoch_raise(b->st, b->coll, ((epoch_bury *)b)->epoch, b->e);
}

/* `epoch` is the greatest that anybody knows. */
static tako_err take_epoch(sync_session *s, uint32_t coll, uint64_t epoch,
                           tako_errbuf *e)
{
    epoch_bury x = { { .s = s, .coll = coll, .e = e }, epoch };

    return in_transaction(&x.b, raise_epoch);
}

tako_err sync_on_yard(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice name = tako_read_block(in);
    uint8_t taken = tako_read_u8(in);
    store_yard theirs = { tako_read_varint(in), tako_read_varint(in),
                          tako_read_u64(in), tako_read_u64(in) };
    store_yard ours;
    uint32_t coll;

    if (!tako_reader_done(in) || taken > TAKES_PART)
        return tako_fail(e, TAKO_CORRUPT, "malformed YARD");
    TAKO_TRY(read_yard(s, name, &coll, &ours, e));
    if (is_empty(&ours) && !is_empty(&theirs) &&
        takes(s, name) != TAKES_NOTHING)
        say_yard(s, name, &ours); /* it was not said before */
    if (coll == 0 || s->peer_bars.read)
        return TAKO_OK;
    if (theirs.epoch > ours.epoch && !s->peer_bars.write)
        TAKO_TRY(take_epoch(s, coll, theirs.epoch, e));
    if (gives_graves(s, name, taken, &ours) &&
        (ours.graves != theirs.graves || ours.sum != theirs.sum ||
         (taken == TAKES_WHOLE && ours.floors != theirs.floors)))
        return put_buried(s, name, coll, &ours, taken == TAKES_WHOLE, e);
    if (ours.epoch > theirs.epoch)
        put_epoch(s, name, ours.epoch);
    return TAKO_OK;
}

/* ---- BURIED ---------------------------------------------------------------------- */

static tako_err take_floors(bury *b)
{
    uint64_t count = tako_read_varint(b->in);
    bool whole = takes_whole(b->s, b->name);

    TAKO_TRY(store_coll_create(b->st, b->name, &b->coll, b->e));
    TAKO_TRY(raise_epoch(b));
    for (; count > 0 && !b->in->failed; count--) {
        tako_slice actor = tako_read_bytes(b->in, 16);
        crdt_dot floor = { .hlc = tako_read_varint(b->in) };

        if (b->in->failed)
            break;
        memcpy(floor.actor.id, actor.ptr, 16);
        if (whole)
            TAKO_TRY(store_floor_raise(b->st, b->coll, floor, b->e));
    }
    return tako_reader_done(b->in)
               ? TAKO_OK
               : tako_fail(b->e, TAKO_CORRUPT, "malformed BURIED");
}

/* Asks for the buckets that differ. */
static tako_err ask_graves(sync_session *s, tako_slice name, uint32_t coll,
                           unsigned bits, const uint8_t *theirs, tako_errbuf *e)
{
    size_t buckets = (size_t)1 << bits, bytes = (buckets + 7u) / 8u;
    summer m = { .bits = bits };
    tako_buf *b = &s->scratch;
    uint8_t *differs = tako_arena_array(&s->arena, bytes, 1);
    bool any = false;

    m.sums = tako_arena_array(&s->arena, buckets, sizeof *m.sums);
    if (m.sums == NULL || differs == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    TAKO_TRY(store_graves_each(s->reader, coll, sum_grave, &m, e));
    for (size_t i = 0; i < buckets; i++) {
        tako_reader r = tako_reader_of(tako_slice_of(theirs + i * 8u, 8));
        uint64_t sum = tako_read_u64(&r);

        if (sum == m.sums[i] || sum == 0)
            continue;
        differs[i / 8u] |= (uint8_t)(1u << i % 8u);
        any = true;
    }
    if (!any)
        return TAKO_OK;
    tako_buf_reset(b);
    tako_put_u8(b, GRAVES_ASK);
    tako_put_block(b, name);
    tako_put_u8(b, (uint8_t)bits);
    tako_put_bytes(b, tako_slice_of(differs, bytes));
    sync_control(s, SYNC_MSG_GRAVES, tako_buf_slice(b));
    return TAKO_OK;
}

tako_err sync_on_buried(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice name = tako_read_block(in);
    uint64_t epoch = tako_read_varint(in);
    uint8_t bits = tako_read_u8(in);
    epoch_bury x = { { .s = s, .name = name, .in = in, .e = e }, epoch };
    tako_slice sums;

    if (in->failed || bits > TAKO_SYNC_GRAVES_BITS_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed BURIED");
    sums = tako_read_bytes(in, (size_t)8u << bits);
    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "malformed BURIED");
    if (!sync_coll_named(s, name) || s->peer_bars.write)
        return TAKO_OK; /* nobody here asked for any of it */
    TAKO_TRY(in_transaction(&x.b, take_floors));
    if (takes(s, name) == TAKES_NOTHING)
        return TAKO_OK;
    return ask_graves(s, name, x.b.coll, bits, sums.ptr, e);
}

/* ---- GRAVES -------------------------------------------------------------------------- */

typedef struct giver {
    sync_session *s;
    tako_slice name, map;
    unsigned bits;
    crdt_dot last;
    tako_buf part;
} giver;

static void part_begin(giver *g)
{
    tako_buf_reset(&g->part);
    tako_put_u8(&g->part, GRAVES_SOME);
    tako_put_block(&g->part, g->name);
    memset(&g->last, 0, sizeof g->last);
}

static void part_end(giver *g, uint8_t form)
{
    if (g->part.len > 0)
        g->part.ptr[0] = form;
    g->s->control.failed = g->s->control.failed || g->part.failed;
    sync_control(g->s, SYNC_MSG_GRAVES, tako_buf_slice(&g->part));
    part_begin(g);
}

/* Milliseconds since the one before * 2, + 1 and the actor when that is a new
 * one and counting begins anew; the low bits; the mark. */
static void give_grave(void *ctx, const store_grave *v, bool floor)
{
    giver *g = ctx;
    uint32_t at = bucket_of(store_grave_hash(v), g->bits);
    bool same;

    if (floor || (g->map.ptr[at / 8u] & 1u << at % 8u) == 0)
        return;
    if (g->part.len >= GRAVES_PART)
        part_end(g, GRAVES_SOME);
    same = g->last.hlc != 0 && crdt_actor_cmp(g->last.actor, v->dot.actor) == 0;
    tako_put_varint(
        &g->part,
        (CRDT_HLC_MS(v->dot.hlc) - (same ? CRDT_HLC_MS(g->last.hlc) : 0)) << 1 |
            !same);
    if (!same)
        tako_put_bytes(&g->part, tako_slice_of(v->dot.actor.id, 16));
    tako_put_varint(&g->part, v->dot.hlc & 0xffff);
    tako_put_u64(&g->part, v->mark);
    g->last = v->dot;
}

static tako_err give_graves(sync_session *s, tako_slice name, tako_reader *in,
                            tako_errbuf *e)
{
    giver g = { .s = s, .name = name, .part = tako_buf_on(s->env) };
    uint32_t coll;
    tako_err err;

    g.bits = tako_read_u8(in);
    if (in->failed || g.bits > TAKO_SYNC_GRAVES_BITS_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed GRAVES");
    g.map = tako_read_bytes(in, (((size_t)1 << g.bits) + 7u) / 8u);
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed GRAVES");
    if (s->control.len > TAKO_SYNC_GRAVES_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "graves are asked for again and again");
    err = store_coll_find(s->reader, name, &coll);
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    part_begin(&g);
    err = store_graves_each(s->reader, coll, give_grave, &g, e);
    if (err == TAKO_OK)
        part_end(&g, GRAVES_LAST);
    tako_buf_fini(&g.part);
    return err;
}

static tako_err next_grave(tako_reader *in, store_grave *g, tako_errbuf *e)
{
    uint64_t head = tako_read_varint(in), ms = head >> 1, low;

    if ((head & 1u) != 0) {
        tako_slice actor = tako_read_bytes(in, 16);

        if (!in->failed)
            memcpy(g->dot.actor.id, actor.ptr, 16);
    } else {
        ms += CRDT_HLC_MS(g->dot.hlc);
    }
    low = tako_read_varint(in);
    g->mark = tako_read_u64(in);
    g->dot.hlc = CRDT_HLC_OF_MS(ms) | low;
    if (in->failed || low > 0xffff || ms >> 48 != 0 || g->dot.hlc == 0 ||
        g->mark == 0)
        return tako_fail(e, TAKO_CORRUPT, "malformed GRAVES");
    return TAKO_OK;
}

typedef struct grave_bury {
    bury b;
    bool last;
} grave_bury;

static tako_err take_graves(bury *b)
{
    store_grave g = { .mark = 0 };
    bool fresh, any = false;

    while (tako_reader_left(b->in) > 0) {
        TAKO_TRY(next_grave(b->in, &g, b->e));
        TAKO_TRY(store_bury(b->st, b->coll, &g, &fresh, b->e));
        any = any || fresh;
    }
    if (any)
        TAKO_TRY(store_sweep_begin(b->st, b->coll, b->e));
    if (!((grave_bury *)b)->last)
        return TAKO_OK;
    return store_sweep(b->st, b->coll, SWEEP_ROWS, &b->died, &b->sweeps, b->e);
}

tako_err sync_on_graves(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint8_t form = tako_read_u8(in);
    tako_slice name = tako_read_block(in);
    grave_bury x = { { .s = s, .in = in, .e = e }, form == GRAVES_LAST };
    tako_err err;

    if (in->failed || form > GRAVES_LAST)
        return tako_fail(e, TAKO_CORRUPT, "malformed GRAVES");
    if (form == GRAVES_ASK)
        return s->peer_bars.read ? TAKO_OK : give_graves(s, name, in, e);
    if (takes(s, name) == TAKES_NOTHING || s->peer_bars.write)
        return TAKO_OK;
    err = store_coll_find(s->reader, name, &x.b.coll);
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    return in_transaction(&x.b, take_graves);
}

/* ---- DEAD: telling ------------------------------------------------------------------- */

static void put_dead(tako_buf *out, tako_slice name, uint8_t kind,
                     uint64_t epoch, tako_slice id, const crdt_dot *births,
                     size_t count)
{
    if (count > TAKO_SYNC_BIRTHS_MAX)
        count = TAKO_SYNC_BIRTHS_MAX;
    tako_put_block(out, name);
    tako_put_u8(out, kind);
    tako_put_varint(out, epoch);
    sync_put_id(out, id);
    tako_put_varint(out, count);
    for (size_t i = 0; i < count; i++)
        sync_put_dot(out, &births[i]);
}

/* A row here that says so. */
tako_err sync_tell_dead(sync_session *s, uint32_t coll, const store_row *row,
                        tako_errbuf *e)
{
    tako_buf b = tako_buf_on(s->env);
    crdt_dot *births;
    store_yard y;
    size_t count;
    tako_err err = crdt_notice_read(&s->arena, row->meta, &births, &count);

    if (err != TAKO_OK)
        return tako_fail(e, err, "reading a notice failed");
    if (count == 0)
        return TAKO_OK; /* it was let go (denied.c): nobody died */
    TAKO_TRY(store_yard_read(s->reader, coll, &y, e));
    put_dead(&b, store_coll_name(s->reader, coll), DEAD_IS, y.epoch, row->id,
             births, count);
    s->control.failed = s->control.failed || b.failed;
    sync_control(s, SYNC_MSG_DEAD, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return TAKO_OK;
}

void sync_need_whole(sync_session *s, tako_slice name, tako_slice id)
{
    tako_buf b = tako_buf_on(s->env);

    tako_put_varint(&b, 1);
    tako_put_block(&b, name);
    sync_put_id(&b, id);
    tako_put_block(&b, TAKO_SLICE_NONE);
    s->control.failed = s->control.failed || b.failed;
    sync_control(s, SYNC_MSG_NEEDS, tako_buf_slice(&b));
    tako_buf_fini(&b);
    s->counts.needs_out++;
}

/* The answer to a state that was not taken; with the writer held. */
tako_err sync_answer_dead(sync_session *s, store *st, uint32_t coll,
                          tako_slice id, const crdt_merge_info *info,
                          tako_errbuf *e)
{
    store_conn *c = store_writer(st);
    uint8_t kind = info->dead ? DEAD_IS : DEAD_DOUBT;
    store_yard y;
    store_row row;
    tako_err err;

    s->counts.dead_in++;
    TAKO_TRY(store_yard_read(c, coll, &y, e));
    err = store_get(c, coll, id, &row);
    if (err == TAKO_OK && row.body.len > 0)
        kind |= DEAD_OTHER;
    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return tako_fail(e, err, "reading a document failed");
    put_dead(&s->deaths, store_coll_name(c, coll), kind, y.epoch, id,
             info->births, info->birth_count);
    return s->deaths.failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                            : TAKO_OK;
}

void sync_dead_drop(sync_session *s)
{
    tako_buf_reset(&s->deaths);
    sync_denied_drop(s);
}

void sync_dead_send(sync_session *s)
{
    if (s->deaths.len > 0)
        sync_control(s, SYNC_MSG_DEAD, tako_buf_slice(&s->deaths));
    tako_buf_fini(&s->deaths);
    sync_denied_send(s);
}

/* ---- DEAD: hearing -------------------------------------------------------------------- */

typedef struct told {
    tako_slice name, id;
    uint8_t kind;
    uint64_t epoch;
    crdt_dot *births;
    size_t count;
} told;

static tako_err next_told(bury *b, told *t)
{
    tako_reader *in = b->in;
    uint64_t count;

    t->name = tako_read_block(in);
    t->kind = tako_read_u8(in);
    t->epoch = tako_read_varint(in);
    t->id = sync_get_id(in, &b->s->arena);
    count = tako_read_varint(in);
    if (in->failed || count == 0 || count > TAKO_SYNC_BIRTHS_MAX ||
        ((t->kind & ~DEAD_OTHER) != DEAD_IS &&
         (t->kind & ~DEAD_OTHER) != DEAD_DOUBT))
        return tako_fail(b->e, TAKO_CORRUPT, "malformed DEAD");
    t->count = (size_t)count;
    t->births = tako_arena_array(&b->s->arena, t->count, sizeof *t->births);
    if (t->births == NULL)
        return tako_fail(b->e, TAKO_NOMEM, "out of memory");
    for (size_t i = 0; i < t->count; i++) {
        tako_slice actor = tako_read_bytes(in, 16);

        t->births[i].hlc = tako_read_varint(in);
        if (in->failed || t->births[i].hlc == 0)
            return tako_fail(b->e, TAKO_CORRUPT, "malformed DEAD");
        memcpy(t->births[i].actor.id, actor.ptr, 16);
    }
    return TAKO_OK;
}

/* Where the teller has another life of it, that is asked for. */
static tako_err told_dead(bury *b, uint32_t coll, const told *t)
{
    store_death death;
    store_row row;
    tako_err err;

    TAKO_TRY(store_die(b->st, coll, t->id, t->births, t->count, t->epoch,
                       &death, b->e));
    b->died += death.removed;
    b->quarantined += death.quarantined;
    err = store_get(store_writer(b->st), coll, t->id, &row);
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    if (death.removed)
        TAKO_TRY(sync_known_add(b->s, coll, row.row));
    /* Also of what died here a moment ago, by other news. */
    if ((t->kind & DEAD_OTHER) == 0 || !store_row_is_notice(&row) ||
        b->need_count >= TAKO_SYNC_NEEDS_MAX)
        return TAKO_OK;
    tako_put_block(&b->needs, t->name);
    sync_put_id(&b->needs, t->id);
    tako_put_block(&b->needs, TAKO_SLICE_NONE);
    b->need_count++;
    return TAKO_OK;
}

static tako_err told_doubt(bury *b, uint32_t coll, const told *t)
{
    store_row row;
    bool fresh;
    tako_err err = store_get(store_writer(b->st), coll, t->id, &row);

    if (err != TAKO_OK || row.body.len == 0)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    TAKO_TRY(store_doubtful(b->st, coll, t->id, &fresh, b->e));
    b->doubtful += fresh;
    return TAKO_OK;
}

static tako_err take_dead(bury *b)
{
    told t = { .kind = 0 };
    uint32_t coll;
    tako_err err;

    while (tako_reader_left(b->in) > 0) {
        TAKO_TRY(next_told(b, &t));
        if (b->s->peer_bars.write)
            continue; /* denied.c */
        err = store_coll_find(store_writer(b->st), t.name, &coll);
        if (err == TAKO_NOTFOUND)
            continue;
        if (err == TAKO_OK)
            err = (t.kind & ~DEAD_OTHER) == DEAD_IS ? told_dead(b, coll, &t)
                                                    : told_doubt(b, coll, &t);
        if (err != TAKO_OK)
            return tako_fail(b->e, err, "letting a dead document go failed");
    }
    return TAKO_OK;
}

tako_err sync_on_dead(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    bury b = { .s = s, .in = in, .needs = tako_buf_on(s->env), .e = e };
    tako_buf head = tako_buf_on(s->env);
    tako_err err = in_transaction(&b, take_dead);

    if (err == TAKO_OK && b.need_count > 0) {
        tako_put_varint(&head, b.need_count);
        tako_put_bytes(&head, tako_buf_slice(&b.needs));
        s->control.failed = s->control.failed || head.failed || b.needs.failed;
        sync_control(s, SYNC_MSG_NEEDS, tako_buf_slice(&head));
        s->counts.needs_out += b.need_count;
    }
    tako_buf_fini(&b.needs);
    tako_buf_fini(&head);
    return err;
}
