// SPDX-License-Identifier: Apache-2.0
/* MAY I -- asking others whether documents may be let go here (SYNC.md 3).
 *
 *   MAY_I     asker, serial, hops, and of each document: collection, _id,
 *             context
 *   YOU_MAY   asker, serial, who says so, and the numbers of those documents
 *
 * There is no "no": who asked, asks again. YOU_MAY means: I have this or a newer
 * state (my context covers yours), on disk, and am not letting go of it myself.
 * That is said by who has an interest in the document or KEEPs it, and by an
 * archive. Of two that both want to let go the one with the smaller key stays,
 * and says yes: at once where subscriptions ended; where a change took the
 * document out of both, only after it has waited PATIENCE_MS for somebody who
 * wants it, because as long as both have it both can pass it on. A tombstone
 * that covers the asker's state says yes too.
 *
 * WHY THAT IS SAFE  Who says yes spoils its own questions about that document
 * that are under way: an answer counts only if nothing was granted since the
 * question. Suppose all copies went, and z's was the last. z asked at time r(z),
 * g said yes at s(g) > r(z), and went later, so by a question r(g) > s(g). Who
 * answered it, h, did so at s(h) > r(g) > r(z): it is not z, whose question that
 * yes would have spoilt. h went too, by r(h) > s(h), and so on: an endless chain
 * of ever later questions before z went. There is none. Contexts only grow along
 * the chain, since a yes is for the state that was asked about.
 *
 * WHO MAY NOT WRITE never says yes: a copy that was changed there is refused, and
 * goes whole (sync/denied.c).
 *
 * AN ARCHIVE  Where one is known, documents that our own app wrote to go when it
 * says so, and no sooner: others cannot tell it what all we wrote, only we can,
 * and not of what is not here any more (GONE, in sync/cover.c).
 *
 * FURTHER AWAY  Who keeps a document may be no neighbour. A question that the
 * neighbours did not answer is asked again with hops: each passes on what it
 * cannot answer as an archive, once, and the answer back to where the question
 * came from. */
#include "node/internal.h"

#include "store/deaths.h"
#include "sync/wire.h"

#define PATIENCE_MS 60000u

static void send(node_link *l, unsigned kind, const tako_buf *b)
{
    if (!b->failed && l->session != NULL && l->state == NODE_UP &&
        l->failed == TAKO_OK)
        sync_session_note(l->session, kind, tako_buf_slice(b));
}

/* ---- asking --------------------------------------------------------------------- */

static void put_context(tako_buf *out, const crdt_context *c)
{
    tako_put_varint(out, c->count);
    for (size_t i = 0; i < c->count; i++) {
        tako_put_bytes(out, tako_slice_of(c->dots[i].actor.id, 16));
        tako_put_u64(out, c->dots[i].hlc);
    }
}

static tako_err put_one(node *n, tako_arena *a, uint64_t number,
                        const node_ask *ask, tako_buf *out)
{
    crdt_context context;
    store_row row;

    TAKO_TRY(store_get_row(n->reader, ask->coll, ask->row, &row));
    if (row.lsn != ask->lsn)
        return TAKO_NOTFOUND;
    TAKO_TRY(crdt_meta_context(a, row.meta, &context));
    tako_put_varint(out, number);
    tako_put_block(out, store_coll_name(n->reader, ask->coll));
    sync_put_id(out, row.id);
    put_context(out, &context);
    return TAKO_OK;
}

static void put_head(tako_buf *out, const uint8_t device[SEC_KEY_BYTES],
                     uint64_t serial)
{
    tako_put_bytes(out, tako_slice_of(device, SEC_KEY_BYTES));
    tako_put_u64(out, serial);
}

void node_may_i(node *n, unsigned hops)
{
    node_leaving *v = &n->leave;
    tako_buf b = tako_buf_on(n->env);
    tako_arena a = tako_arena_on(n->env);

    n->env->random(n->env->ctx, &v->serial, sizeof v->serial);
    put_head(&b, n->identity->public_key, v->serial);
    tako_put_varint(&b, hops);
    for (size_t i = 0; i < v->ask_count; i++) {
        size_t at = b.len;

        tako_arena_reset(&a);
        if (put_one(n, &a, i, &v->asks[i], &b) != TAKO_OK)
            b.len = at;
    }
    for (node_link *l = n->links; l != NULL; l = l->next)
        send(l, SYNC_MSG_MAY_I, &b);
    tako_arena_fini(&a);
    tako_buf_fini(&b);
}

/* ---- answering ------------------------------------------------------------------- */

typedef struct question {
    uint8_t device[SEC_KEY_BYTES];
    uint64_t serial;
    uint64_t number; /* of the document */
    tako_slice name, id;
    crdt_context context;
} question;

/* A document of a question; false: malformed. */
static bool get_one(tako_reader *in, tako_arena *a, question *q)
{
    uint64_t count;

    q->number = tako_read_varint(in);
    q->name = tako_read_block(in);
    q->id = sync_get_id(in, a);
    count = tako_read_varint(in);
    if (in->failed || q->number >= TAKO_ASK_MAX || q->id.len == 0 ||
        count > TAKO_CONTEXT_ACTORS_MAX || count > tako_reader_left(in) / 24u)
        return false;
    q->context = (crdt_context){ NULL, 0, 0 };
    for (; count > 0; count--) {
        crdt_dot dot;
        tako_slice actor = tako_read_bytes(in, 16);

        memcpy(dot.actor.id, actor.ptr, 16);
        dot.hlc = tako_read_u64(in);
        if (crdt_context_add(a, &q->context, dot) != TAKO_OK)
            return false;
    }
    return !in->failed;
}

/* Both want to let go: does ours stay? */
static bool stays(node *n, const question *q, const store_leaving *l)
{
    uint64_t wall = n->env->wall_ms(n->env->ctx);

    if (memcmp(n->identity->public_key, q->device, SEC_KEY_BYTES) >= 0)
        return false;
    return l->why == STORE_UNSUBSCRIBED || wall >= l->since_ms + PATIENCE_MS;
}

/* What we asked of this document ourselves does not count any more. */
static void spoil(node *n, uint32_t coll, int64_t row)
{
    for (size_t i = 0; i < n->leave.ask_count; i++)
        if (n->leave.asks[i].coll == coll && n->leave.asks[i].row == row)
            n->leave.asks[i].spoilt = true;
}

static bool holds(node *n, tako_arena *a, const question *q, uint32_t *coll,
                  store_row *row)
{
    crdt_context ours;

    return store_coll_find(n->reader, q->name, coll) == TAKO_OK &&
           store_get(n->reader, *coll, q->id, row) == TAKO_OK &&
           !store_row_is_marker(row) && !store_row_is_notice(row) &&
           crdt_meta_context(a, row->meta, &ours) == TAKO_OK &&
           crdt_context_covers(&ours, &q->context);
}

/* May the asker's copy go, because ours stays? */
static bool grants(node *n, tako_arena *a, const question *q)
{
    store_leaving leaving;
    uint32_t coll;
    store_row row;
    bool keep, yes;

    if (n->read_only || !holds(n, a, q, &coll, &row))
        return false;
    yes = row.body.len == 0 || n->archive ||
          node_wants(n, coll, row.id, row.body, &keep);
    if (!yes &&
        store_leaving_find(n->reader, coll, row.row, &leaving) == TAKO_OK)
        yes = leaving.why == STORE_STALE || stays(n, q, &leaving);
    if (!yes || (row.lsn > n->synced_lsn && !node_synced(n)))
        return false;
    spoil(n, coll, row.row);
    return true;
}

static node_route *route_find(node *n, const uint8_t device[SEC_KEY_BYTES],
                              uint64_t serial)
{
    for (size_t i = 0; i < NODE_ASK_ROUTES; i++) {
        node_route *r = &n->leave.routes[i];

        if (r->link != 0 && r->serial == serial &&
            memcmp(r->device, device, SEC_KEY_BYTES) == 0)
            return r;
    }
    return NULL;
}

static void route_add(node *n, const question *q, uint64_t link)
{
    node_route *r = &n->leave.routes[n->leave.route_at++ % NODE_ASK_ROUTES];

    memcpy(r->device, q->device, SEC_KEY_BYTES);
    r->serial = q->serial;
    r->link = link;
}

static tako_err bad(tako_errbuf *e, const char *what)
{
    return tako_fail(e, TAKO_CORRUPT, "malformed %s", what);
}

static bool get_head(tako_reader *in, question *q)
{
    tako_slice device = tako_read_bytes(in, SEC_KEY_BYTES);

    q->serial = tako_read_u64(in);
    if (in->failed)
        return false;
    memcpy(q->device, device.ptr, SEC_KEY_BYTES);
    return true;
}

/* Answers what can be answered. *rest gets, as they came, the other documents, and
 * those that an archive may be asked for. */
static tako_err answer(node *n, question *q, tako_reader *in, tako_buf *yes,
                       tako_buf *rest, tako_errbuf *e)
{
    tako_arena a = tako_arena_on(n->env);
    tako_err err = TAKO_OK;
    bool granted;

    for (size_t count = 0; err == TAKO_OK && tako_reader_left(in) > 0;
         count++) {
        size_t from = in->pos;

        tako_arena_reset(&a);
        if (count == TAKO_ASK_MAX || !get_one(in, &a, q)) {
            err = bad(e, "MAY_I");
            break;
        }
        granted = grants(n, &a, q);
        if (granted)
            tako_put_varint(yes, q->number);
        if (!granted || !n->archive)
            tako_put_bytes(rest,
                           tako_slice_of(in->in.ptr + from, in->pos - from));
    }
    tako_arena_fini(&a);
    return err;
}

static void pass_on(node *n, const node_link *from, const question *q,
                    uint64_t hops, const tako_buf *rest)
{
    tako_buf b = tako_buf_on(n->env);

    put_head(&b, q->device, q->serial);
    tako_put_varint(&b, hops - 1);
    tako_put_bytes(&b, tako_buf_slice(rest));
    b.failed = b.failed || rest->failed;
    route_add(n, q, from->id);
    for (node_link *l = n->links; l != NULL; l = l->next)
        if (l != from && memcmp(l->who.device, q->device, SEC_KEY_BYTES) != 0)
            send(l, SYNC_MSG_MAY_I, &b);
    tako_buf_fini(&b);
}

static tako_err on_may_i(node_link *l, tako_reader *in, tako_errbuf *e)
{
    node *n = l->node;
    tako_buf yes = tako_buf_on(n->env), rest = tako_buf_on(n->env);
    question q;
    uint64_t hops;
    size_t head;
    tako_err err = TAKO_OK;

    if (!get_head(in, &q))
        return bad(e, "MAY_I");
    hops = tako_read_varint(in);
    if (in->failed || hops > NODE_ASK_HOPS)
        return bad(e, "MAY_I");
    if (memcmp(q.device, n->identity->public_key, SEC_KEY_BYTES) == 0 ||
        route_find(n, q.device, q.serial) != NULL)
        return TAKO_OK; /* it went round */
    put_head(&yes, q.device, q.serial);
    tako_put_bytes(&yes, tako_slice_of(n->identity->public_key, SEC_KEY_BYTES));
    head = yes.len;
    err = answer(n, &q, in, &yes, &rest, e);
    if (err == TAKO_OK && yes.len > head)
        send(l, SYNC_MSG_YOU_MAY, &yes);
    if (err == TAKO_OK && rest.len > 0 && hops > 0)
        pass_on(n, l, &q, hops, &rest);
    tako_buf_fini(&yes);
    tako_buf_fini(&rest);
    return err;
}

/* ---- answers ----------------------------------------------------------------------- */

static void pass_back(node *n, const question *q, tako_slice body)
{
    node_route *r = route_find(n, q->device, q->serial);

    for (node_link *l = n->links; r != NULL && l != NULL; l = l->next)
        if (l->id == r->link && l->session != NULL && l->failed == TAKO_OK)
            sync_session_note(l->session, SYNC_MSG_YOU_MAY, body);
}

/* True: it counts. */
static bool granted(node *n, node_ask *ask, const uint8_t who[SEC_KEY_BYTES])
{
    bool archive = node_is_archive(n, who);

    if (ask->to_archive && !archive)
        return false;
    ask->granted = true;
    if (archive && !ask->archived) {
        ask->archived = true;
        memcpy(ask->archive, who, SEC_KEY_BYTES);
    }
    return true;
}

static tako_err on_you_may(node_link *l, tako_slice body, tako_errbuf *e)
{
    node *n = l->node;
    node_leaving *v = &n->leave;
    tako_reader in = tako_reader_of(body);
    bool any = false;
    tako_slice who;
    question q;

    if (!get_head(&in, &q))
        return bad(e, "YOU_MAY");
    who = tako_read_bytes(&in, SEC_KEY_BYTES);
    if (memcmp(q.device, n->identity->public_key, SEC_KEY_BYTES) != 0) {
        pass_back(n, &q, body);
        return in.failed ? bad(e, "YOU_MAY") : TAKO_OK;
    }
    while (!in.failed && tako_reader_left(&in) > 0) {
        uint64_t number = tako_read_varint(&in);

        if (!in.failed && q.serial == v->serial && number < v->ask_count)
            any = granted(n, &v->asks[number], who.ptr) || any;
    }
    if (any) {
        v->tries = 0;
        v->wait_ms = 0;
        v->at_ms = node_now(n);
    }
    return in.failed ? bad(e, "YOU_MAY") : TAKO_OK;
}

tako_err node_note(void *ctx, unsigned kind, tako_slice body, tako_errbuf *e)
{
    node_link *l = ctx;
    tako_reader in = tako_reader_of(body);

    if (kind == SYNC_MSG_MAY_I)
        return on_may_i(l, &in, e);
    if (kind == SYNC_MSG_YOU_MAY)
        return on_you_may(l, body, e);
    return TAKO_OK;
}
