// SPDX-License-Identifier: Apache-2.0
/* LINKS -- from a stream to a session and back.
 *
 *   net stream  <->  mesh_link (TLS, identity, frames)  <->  sync_session
 *
 * Everything that happens ends in node_turn(), and only there links are
 * closed: handlers run inside a link or a session and only mark it failed.
 *
 * BACK-PRESSURE. A session is asked for a message of a lane while less than
 * NODE_LANE_BYTES of that lane wait in the link (attachments: blobs.c); the link is asked for bytes
 * while less than NODE_STREAM_BYTES wait below it; on_drain starts again. What
 * one turn puts out leaves in one piece, so small messages share a record.
 *
 * ONE LINK PER PAIR. Two devices that dial each other at once get two links;
 * both sides keep the one that the device with the smaller key dialled. Of
 * two links dialled by the same side that side keeps the older. */
#include "node/internal.h"

#include "sync/wire.h"

/* ---- up and down ----------------------------------------------------------- */

static const char *link_name(const node_link *l, char *out, size_t cap)
{
    return tako_log_str(l->who.name[0] != '\0' ? l->who.name : l->address, out,
                        cap);
}

void node_link_fail(node_link *l, tako_err err, const char *why)
{
    if (l->failed != TAKO_OK)
        return;
    l->failed = err == TAKO_OK ? TAKO_CLOSED : err;
    (void)tako_fail(&l->why, l->failed, "%s", why);
}

static const uint8_t *dialler_of(const node_link *l)
{
    return l->side == SEC_DIALLER ? l->node->identity->public_key
                                  : l->who.device;
}

/* Of two links to the same device: which one goes? NULL: the peer decides. */
static node_link *worse(node_link *newer, node_link *older)
{
    int c = memcmp(dialler_of(newer), dialler_of(older), SEC_KEY_BYTES);

    if (c == 0)
        return newer->side == SEC_DIALLER ? newer : NULL;
    return c < 0 ? older : newer;
}

static sync_bars bars_of(uint32_t roles)
{
    return (sync_bars){ .read = (roles & SEC_ROLE_READ) == 0,
                        .write = (roles & SEC_ROLE_WRITE) == 0,
                        .relay = (roles & SEC_ROLE_RELAY) == 0 };
}

static tako_err session_start(node_link *l, tako_errbuf *e)
{
    node *n = l->node;
    sync_opts o = { .env = n->env,
                    .host = &l->host,
                    .reader = n->reader,
                    .digest_key = n->mesh->id,
                    .blobs = n->blobs,
                    .peer = tako_slice_of(l->who.device, sizeof l->who.device),
                    .bars = { .write = n->read_only },
                    .peer_bars = bars_of(l->who.roles) };

    TAKO_TRY(node_tables(n, &o.tables, e));
    TAKO_TRY(sync_session_new(&o, node_now(n), &l->session, e));
    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next)
        TAKO_TRY(sync_session_subscribe(
            l->session, sub->id, query_predicate_text(sub->predicate->query),
            e));
    return TAKO_OK;
}

static void check_duplicates(node_link *l)
{
    node_link *other = node_link_to(l->node, l->who.device, l);
    node_link *goes = other == NULL ? NULL : worse(l, other);

    if (goes != NULL)
        node_link_fail(goes, TAKO_EXISTS,
                       "another link between these devices is kept");
}

static void link_on_up(void *user, const mesh_peer *peer)
{
    node_link *l = user;
    tako_errbuf e = { "" };
    char name[160], address[300];
    tako_err err;

    l->who = *peer;
    l->state = NODE_UP;
    l->since_ms = node_now(l->node);
    if (l->peer != NULL) {
        l->peer->known = true;
        memcpy(l->peer->device, peer->device, sizeof l->peer->device);
        l->peer->error.text[0] = '\0';
    }
    if (memcmp(peer->device, l->node->identity->public_key, SEC_KEY_BYTES) ==
        0) {
        node_link_fail(l, TAKO_DENIED, "this address is the device itself");
        return;
    }
    check_duplicates(l);
    if (l->failed != TAKO_OK)
        return;
    err = session_start(l, &e);
    if (err != TAKO_OK) {
        node_link_fail(l, err, e.text);
        return;
    }
    tako_log(l->node->env, TAKO_LOG_INFO, "link_up",
             "\"peer\":%s,\"address\":%s,\"dialled\":%s",
             link_name(l, name, sizeof name),
             tako_log_str(l->address, address, sizeof address),
             l->side == SEC_DIALLER ? "true" : "false");
    l->node->host->progress(l->node->host->ctx);
}

/* What keepers say of what is on disk does not put off the quiet sync. */
static bool is_of_keepers(tako_slice message)
{
    return message.len > 0 && message.ptr[0] >= SYNC_MSG_KEPT &&
           message.ptr[0] <= SYNC_MSG_RECEIPTS;
}

static void link_on_message(void *user, mesh_lane lane, tako_slice message)
{
    node_link *l = user;
    tako_errbuf e = { "" };
    tako_err err;

    if (l->session == NULL || l->failed != TAKO_OK)
        return;
    if (!is_of_keepers(message) && message.len > NODE_RECEIPT_BYTES)
        l->node->busy_ms = node_now(l->node);
    err = sync_session_recv(l->session, node_now(l->node), (sync_lane)lane,
                            message, &e);
    if (err != TAKO_OK)
        node_link_fail(l, err, e.text);
}

static const mesh_link_events link_events = { link_on_up, link_on_message };

static size_t link_others(void *ctx)
{
    const node_link *l = ctx;
    size_t n = 0;

    for (const node_link *k = l->node->links; k != NULL; k = k->next)
        n += k != l && k->session != NULL && k->failed == TAKO_OK;
    return n;
}

static bool link_covered(void *ctx, uint32_t number)
{
    const node_link *l = ctx;

    for (const node_link *k = l->node->links; k != NULL; k = k->next)
        if (k != l && k->session != NULL && k->failed == TAKO_OK &&
            sync_session_covers(k->session, number))
            return true;
    return false;
}

static tako_err link_doubted(void *ctx, store_conn *c, uint32_t number,
                             bool *any)
{
    const node_link *l = ctx;

    for (const node_link *k = l->node->links; k != NULL && !*any; k = k->next)
        if (k != l && k->session != NULL && k->failed == TAKO_OK)
            TAKO_TRY(sync_session_doubts(k->session, c, number, any));
    return TAKO_OK;
}

static const sync_latest *link_latest(void *ctx)
{
    const node_commit *c = ((const node_link *)ctx)->node->latest;

    return c != NULL && c->shown ? &c->latest : NULL;
}

static void link_passed(void *ctx, uint32_t coll, int64_t row, uint64_t lsn)
{
    const node_link *l = ctx;

    if (node_takes_all(l->node, coll))
        node_present_note(l->node, coll, row, lsn);
    else
        node_leave_passed(l->node, coll, row, lsn);
}

/* Who covers what changed. */
static void recheck(const node *n)
{
    for (node_link *k = n->links; k != NULL; k = k->next)
        if (k->session != NULL)
            sync_session_recheck(k->session);
}

/* What is complete here rose. */
static void rose(const node *n)
{
    for (node_link *k = n->links; k != NULL; k = k->next)
        if (k->session != NULL)
            sync_session_rose(k->session);
}

/* A neighbour acknowledged: what it had not seen may have kept others' words
 * from counting. */
static void seen(const node_link *l)
{
    for (node_link *k = l->node->links; k != NULL; k = k->next)
        if (k != l && k->session != NULL)
            sync_session_seen(k->session);
}

static void link_on_event(void *ctx, sync_event event, uint32_t number,
                          const char *text)
{
    static const struct {
        const char *name;
        tako_log_level level;
    } logged[] = {
        [SYNC_EVENT_CAUGHT_UP] = { "caught_up", TAKO_LOG_INFO },
        [SYNC_EVENT_SERVED] = { "peer_caught_up", TAKO_LOG_INFO },
        [SYNC_EVENT_REFUSED] = { "subscription_refused", TAKO_LOG_WARN },
        [SYNC_EVENT_ACKED] = { NULL, TAKO_LOG_DEBUG },
        [SYNC_EVENT_FORGED] = { "two_contents_under_one_dot", TAKO_LOG_ERROR },
        [SYNC_EVENT_LOST] = { "update_lost_to_a_removal", TAKO_LOG_INFO },
        [SYNC_EVENT_RENEWED] = { "actor_renewed", TAKO_LOG_WARN },
        [SYNC_EVENT_MARKED] = { NULL, TAKO_LOG_DEBUG },
        [SYNC_EVENT_DEAD] = { "documents_dead", TAKO_LOG_WARN },
        [SYNC_EVENT_SWEEP] = { NULL, TAKO_LOG_DEBUG },
        [SYNC_EVENT_DOUBTFUL] = { "documents_doubtful", TAKO_LOG_WARN },
        [SYNC_EVENT_HELD] = { "subscription_is", TAKO_LOG_INFO },
        [SYNC_EVENT_DENIED] = { "documents_denied", TAKO_LOG_WARN },
        [SYNC_EVENT_ROSE] = { NULL, TAKO_LOG_DEBUG },
    };
    node_link *l = ctx;
    char name[160], why[300];

    if (event == SYNC_EVENT_MARKED) {
        l->node->marked = true;
        return;
    }
    if (event == SYNC_EVENT_SERVED || event == SYNC_EVENT_CAUGHT_UP)
        node_leave_wake(l->node);
    if (event == SYNC_EVENT_ACKED) {
        node_receipts_acked(l);
        seen(l);
    }
    if (event == SYNC_EVENT_SWEEP)
        l->node->care_ms = node_now(l->node);
    if (event == SYNC_EVENT_HELD || event == SYNC_EVENT_CAUGHT_UP)
        recheck(l->node);
    if (event == SYNC_EVENT_ROSE)
        rose(l->node);
    if (event == SYNC_EVENT_HELD || event == SYNC_EVENT_CAUGHT_UP ||
        event == SYNC_EVENT_ROSE)
        node_former_look(l->node);
    if (logged[event].name != NULL &&
        (event != SYNC_EVENT_HELD || *text != '\0'))
        tako_log(l->node->env, logged[event].level, logged[event].name,
                 "\"peer\":%s,\"subscription\":%lu,\"reason\":%s",
                 link_name(l, name, sizeof name), (unsigned long)number,
                 tako_log_str(text, why, sizeof why));
    l->node->host->progress(l->node->host->ctx);
}

/* ---- making and freeing -------------------------------------------------------- */

static node_link *link_new(node *n, sec_side side, const char *address)
{
    node_link *l = tako_env_alloc(n->env, sizeof *l);

    if (l == NULL)
        return NULL;
    l->node = n;
    l->side = side;
    l->since_ms = node_now(n);
    l->host = (sync_host){ .ctx = l,
                           .write_begin = node_write_begin,
                           .write_end = node_write_end,
                           .predicate_open = node_predicate_open,
                           .predicate_close = node_predicate_close,
                           .predicate_match = node_predicate_match,
                           .predicate_covers = node_predicate_covers,
                           .predicate_whole = node_predicate_whole,
                           .others = link_others,
                           .covered = link_covered,
                           .doubted = link_doubted,
                           .passed = link_passed,
                           .latest = link_latest,
                           .event = link_on_event,
                           .kept = node_kept,
                           .note = node_note,
                           .clock = node_clock_heard,
                           .receipts = &node_receipts_host };
    l->id = ++n->link_last;
    (void)strncpy(l->address, address, sizeof l->address - 1);
    l->next = n->links;
    n->links = l;
    n->link_count++;
    return l;
}

static void session_end(node_link *l)
{
    sync_session *s = l->session;
    sync_counts c;

    l->session = NULL;
    node_receipts_link_free(l);
    if (s == NULL)
        return;
    node_session_rest(l->node, s);
    node_commits_forget(l->node, s);
    sync_session_counts(s, &c);
    l->node->copies += c.copies_in;
    l->node->copies_new += c.copies_new;
    sync_session_free(s);
    recheck(l->node);
}

static void link_free(node_link *l)
{
    node *n = l->node;
    node_link **at = &n->links;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    n->link_count--;
    session_end(l);
    mesh_link_free(l->mesh);
    tako_env_free(n->env, l, sizeof *l);
}

static tako_err handshake(node_link *l)
{
    tako_err err = mesh_link_new(l->node->context, l->side, &link_events, l,
                                 node_now(l->node), &l->mesh);

    l->state = NODE_HANDSHAKE;
    l->since_ms = node_now(l->node);
    return err;
}

void *node_accept(void *ctx, tako_stream *stream, const char *remote_address,
                  const tako_stream_events **events)
{
    node *n = ctx;
    node_link *l;
    char address[300];

    if (n->stopping || n->link_count >= TAKO_LINKS_MAX) {
        tako_log(n->env, TAKO_LOG_WARN, "link_refused",
                 "\"address\":%s,\"reason\":\"too many links\"",
                 tako_log_str(remote_address, address, sizeof address));
        return NULL;
    }
    l = link_new(n, SEC_ACCEPTER, remote_address);
    if (l == NULL)
        return NULL;
    l->stream = stream;
    if (handshake(l) != TAKO_OK) {
        link_free(l);
        return NULL;
    }
    *events = &node_stream_events;
    node_timer(n);
    return l;
}

tako_err node_link_dial(node *n, node_peer *p, tako_errbuf *e)
{
    node_link *l = link_new(n, SEC_DIALLER, p->address);
    tako_err err;

    if (l == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    l->state = NODE_DIALLING;
    err = n->net->dial(n->net->ctx, p->address, &node_stream_events, l,
                       &l->stream, e);
    if (err != TAKO_OK) {
        link_free(l);
        return err;
    }
    l->peer = p;
    p->link = l;
    return TAKO_OK;
}

/* ---- stream events ------------------------------------------------------------------ */

static void stream_on_open(void *user)
{
    node_link *l = user;

    if (l->state == NODE_DIALLING && handshake(l) != TAKO_OK)
        node_link_fail(l, TAKO_NOMEM, "out of memory");
    node_turn(l->node);
}

static void stream_on_data(void *user, tako_slice data)
{
    node_link *l = user;
    tako_errbuf e = { "" };
    tako_err err;

    if (l->state == NODE_CLOSING || l->failed != TAKO_OK || l->mesh == NULL)
        return;
    err = mesh_link_recv(l->mesh, node_now(l->node), data, &e);
    if (err != TAKO_OK)
        node_link_fail(l, err, e.text);
    node_turn(l->node);
}

static void stream_on_drain(void *user)
{
    node_turn(((node_link *)user)->node);
}

static void stream_on_close(void *user, tako_err why, const char *detail)
{
    node_link *l = user;
    node *n = l->node;
    uint64_t now = node_now(n);
    char name[160], reason[600];
    bool was_up = l->state == NODE_UP;

    node_link_fail(l, why, detail != NULL ? detail : tako_err_message(why));
    if (was_up || l->state == NODE_HANDSHAKE)
        tako_log(n->env, TAKO_LOG_INFO, "link_down",
                 "\"peer\":%s,\"code\":\"%s\",\"reason\":%s",
                 link_name(l, name, sizeof name), tako_err_name(l->failed),
                 tako_log_str(l->why.text, reason, sizeof reason));
    if (l->peer != NULL)
        node_peer_lost(l->peer, l, now);
    if (l->who.name[0] != '\0')
        node_peers_wake(n, l->who.device, now);
    link_free(l);
    if (was_up)
        n->host->progress(n->host->ctx);
    node_turn(n);
}

const tako_stream_events node_stream_events = {
    stream_on_open,
    stream_on_data,
    stream_on_drain,
    stream_on_close,
};

/* ---- moving bytes ------------------------------------------------------------------- */

static unsigned lanes_free(const node_link *l)
{
    unsigned lanes = 0;

    for (unsigned i = 0; i < SYNC_BLOBS; i++)
        if (mesh_link_queued(l->mesh, (mesh_lane)i) < NODE_LANE_BYTES)
            lanes |= SYNC_LANE_BIT(i);
    if (node_blobs_lane_free(l))
        lanes |= SYNC_LANE_BIT(SYNC_BLOBS);
    return lanes;
}

/* Lets the session fill the link. True: there is more to do, without waiting
 * for anything. */
static bool pump_session(node_link *l, uint64_t now_ms)
{
    node *n = l->node;
    tako_errbuf e = { "" };
    sync_lane lane;
    unsigned lanes;
    tako_err err;

    for (unsigned turn = 0; turn < NODE_PUMP_TURNS; turn++) {
        lanes = lanes_free(l);
        if (lanes == 0)
            return false;
        err = sync_session_send(l->session, now_ms, lanes, &lane, &n->out, &e);
        if (err == TAKO_OK && n->out.len > 0)
            err = mesh_link_send(l->mesh, (mesh_lane)lane,
                                 tako_buf_slice(&n->out));
        if (err != TAKO_OK) {
            node_link_fail(l, err,
                           e.text[0] != '\0' ? e.text : tako_err_message(err));
            return false;
        }
        if (n->out.len > 0) {
            if (!is_of_keepers(tako_buf_slice(&n->out)) &&
                n->out.len > NODE_RECEIPT_BYTES)
                n->busy_ms = now_ms;
            continue;
        }
        return lanes == SYNC_LANES_ALL &&
               sync_session_deadline(l->session) <= now_ms;
    }
    return true;
}

/* Moves what the link has to the stream. True: something moved. */
static bool pump_stream(node_link *l, uint64_t now_ms)
{
    node *n = l->node;
    bool moved = false;
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && n->net->queued(l->stream) < NODE_STREAM_BYTES) {
        tako_buf_reset(&n->out);
        err = mesh_link_output(l->mesh, now_ms, NODE_OUTPUT_BYTES, &n->out);
        if (err != TAKO_OK || n->out.len == 0)
            break;
        err = n->net->send(l->stream, tako_buf_slice(&n->out));
        moved = true;
    }
    if (err != TAKO_OK)
        node_link_fail(l, err, "sending failed");
    return moved;
}

void node_link_pump(node_link *l, uint64_t now_ms)
{
    l->again = false;
    if (l->mesh == NULL || l->state == NODE_CLOSING || l->failed != TAKO_OK)
        return;
    for (unsigned turn = 0; turn < NODE_PUMP_TURNS; turn++) {
        bool more = l->session != NULL && pump_session(l, now_ms);

        if (l->failed != TAKO_OK)
            return;
        l->again = more;
        if (!pump_stream(l, now_ms) || l->failed != TAKO_OK)
            return;
    }
    l->again = true;
}

void node_link_close(node_link *l, uint64_t now_ms)
{
    node *n = l->node;
    char name[160], reason[600];

    if (l->state == NODE_CLOSING)
        return;
    tako_log(n->env, TAKO_LOG_INFO, "link_closed",
             "\"peer\":%s,\"code\":\"%s\",\"reason\":%s",
             link_name(l, name, sizeof name), tako_err_name(l->failed),
             tako_log_str(l->why.text, reason, sizeof reason));
    session_end(l);
    if (l->mesh != NULL) {
        mesh_link_close(l->mesh, l->failed, l->why.text);
        tako_buf_reset(&n->out);
        if (mesh_link_output(l->mesh, now_ms, NODE_OUTPUT_BYTES, &n->out) ==
                TAKO_OK &&
            n->out.len > 0)
            (void)n->net->send(l->stream, tako_buf_slice(&n->out));
    }
    if (l->state == NODE_UP)
        n->host->progress(n->host->ctx);
    l->state = NODE_CLOSING;
    n->net->close(l->stream, true);
}

uint64_t node_link_deadline(const node_link *l)
{
    uint64_t at, session;

    if (l->mesh == NULL || l->state == NODE_CLOSING)
        return UINT64_MAX;
    if (l->again)
        return 0;
    at = mesh_link_deadline(l->mesh);
    if (l->session == NULL)
        return at;
    session = sync_session_deadline(l->session);
    /* Work due now without `again` waits for room: on_drain comes. */
    return session != 0 && session < at ? session : at;
}

void node_link_tick(node_link *l, uint64_t now_ms)
{
    tako_errbuf e = { "" };
    tako_err err;

    if (l->mesh == NULL || l->state == NODE_CLOSING || l->failed != TAKO_OK ||
        mesh_link_deadline(l->mesh) > now_ms)
        return;
    err = mesh_link_tick(l->mesh, now_ms, &e);
    if (err != TAKO_OK)
        node_link_fail(l, err, e.text);
}
