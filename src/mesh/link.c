// SPDX-License-Identifier: Apache-2.0
/* One connection to one proven peer.
 *
 *   NEW ---> TLS ---> AUTH ---> UP         any ---> CLOSED, for good
 *
 *   NEW    nothing has happened
 *   TLS    handshake under way
 *   AUTH   the session is encrypted, with whom is not known
 *   UP     `peer` is proven and knows us
 *
 * The dialler sends its AUTH frame as soon as TLS is done. The accepter checks
 * it before it sends its own, so that a scanner learns neither the name nor
 * the key of a device; its AUTH travels with its first messages. A dialler
 * that is refused is told why in a BYE frame.
 *
 *   dialler                        accepter
 *   ClientHello          -->
 *                        <--       ServerHello ... Finished
 *   Finished, AUTH       -->       checked: UP
 *                        <--       AUTH, messages
 *   checked: UP
 *
 * What a peer that has not proven itself can make us hold: OpenSSL's handshake
 * state, one AUTH frame, TAKO_HANDSHAKE_BYTES_MAX read in all, for
 * MESH_HANDSHAKE_MS. After UP: ASSEMBLY_BYTES_MAX, and only what it has sent.
 * Pings are answered by a flag and not by a queue.
 *
 * Bytes out. The handshake, alerts and last words go to `wire`. Frames are
 * cut and encrypted when output is called and not before, so that a message
 * queued late can still overtake; all that fits goes into one TLS record. */
#include "mesh/link.h"

#include "base/check.h"
#include "mesh/assembly.h"
#include "mesh/frame.h"
#include "mesh/lanes.h"
#include "mesh/transport/tls.h"

/* Even the smallest budget makes progress. */
#define LINK_CHUNK_BYTES_MIN 512u

typedef enum link_state {
    LINK_NEW,
    LINK_TLS,
    LINK_AUTH,
    LINK_UP,
    LINK_CLOSED,
    LINK_STATES,
} link_state;

#define TO(s) (1u << (LINK_##s))
static const unsigned link_allowed[LINK_STATES] = {
    [LINK_NEW] = TO(TLS) | TO(CLOSED),
    [LINK_TLS] = TO(AUTH) | TO(CLOSED),
    [LINK_AUTH] = TO(UP) | TO(CLOSED),
    [LINK_UP] = TO(CLOSED),
    [LINK_CLOSED] = 0,
};
#undef TO

struct mesh_context {
    const tako_env *env;
    const sec_identity *identity;
    const sec_mesh *mesh;
    tako_buf grant;
    tls_context *tls;
};

struct mesh_link {
    mesh_context *context;
    sec_side side;
    link_state state;
    tls_session *tls;
    const mesh_link_events *events;
    void *user;
    mesh_peer peer;
    bool peer_proven;
    uint8_t exporter[SEC_EXPORTER_BYTES]; /* zero but in AUTH */

    frame_reader reader;
    assembly in;
    tako_buf own; /* body of one of our own frames, coming in */

    lanes out;
    tako_buf wire; /* encrypted, goes first */

    uint64_t started_ms;
    uint64_t heard_ms;
    uint64_t asked_ms; /* last PING, or UP */
    bool ping_due, ping_open, pong_due;
    bool delivering; /* a handler looks at a message in `in` */

    mesh_link_counts counts;
};

/* The only place that writes l->state. */
static void link_move(mesh_link *l, link_state next)
{
    TAKO_ASSERT((link_allowed[l->state] & (1u << next)) != 0);
    l->state = next;
    TAKO_ASSERT(l->state != LINK_UP || l->peer_proven);
}

/* ---- context ------------------------------------------------------------ */

tako_err mesh_context_new(const tako_env *env, const sec_identity *identity,
                          const sec_mesh *mesh, tako_slice grant,
                          mesh_context **out, tako_errbuf *e)
{
    mesh_context *c;
    tako_err err;

    if (grant.len > SEC_GRANT_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the grant is too long");
    c = tako_env_alloc(env, sizeof *c);
    if (c == NULL)
        return TAKO_NOMEM;
    c->env = env;
    c->identity = identity;
    c->mesh = mesh;
    c->grant = tako_buf_on(env);
    tako_put_bytes(&c->grant, grant);
    err = c->grant.failed ? TAKO_NOMEM : tls_context_new(env, &c->tls, e);
    if (err != TAKO_OK) {
        mesh_context_free(c);
        return err;
    }
    *out = c;
    return TAKO_OK;
}

void mesh_context_free(mesh_context *c)
{
    if (c == NULL)
        return;
    tls_context_free(c->tls);
    tako_buf_fini(&c->grant);
    tako_env_free(c->env, c, sizeof *c);
}

/* ---- life --------------------------------------------------------------- */

tako_err mesh_link_new(mesh_context *c, sec_side side,
                       const mesh_link_events *events, void *user,
                       uint64_t now_ms, mesh_link **out)
{
    mesh_link *l = tako_env_alloc(c->env, sizeof *l);
    tako_err err;

    if (l == NULL)
        return TAKO_NOMEM;
    l->context = c;
    l->side = side;
    l->events = events;
    l->user = user;
    l->started_ms = l->heard_ms = now_ms;
    l->own = tako_buf_on(c->env);
    l->wire = tako_buf_on(c->env);
    assembly_init(&l->in, c->env);
    lanes_init(&l->out, c->env);
    err = tls_session_new(c->tls, side, &l->tls);
    if (err != TAKO_OK) {
        mesh_link_free(l);
        return err;
    }
    *out = l;
    return TAKO_OK;
}

static void link_drop_queues(mesh_link *l)
{
    if (!l->delivering)
        assembly_fini(&l->in);
    lanes_fini(&l->out);
    tako_buf_fini(&l->own);
    sec_wipe(l->exporter, sizeof l->exporter);
}

void mesh_link_free(mesh_link *l)
{
    if (l == NULL)
        return;
    link_drop_queues(l);
    tako_buf_fini(&l->wire);
    tls_session_free(l->tls);
    tako_env_free(l->context->env, l, sizeof *l);
}

bool mesh_link_is_up(const mesh_link *l)
{
    return l->state == LINK_UP;
}

bool mesh_link_is_closed(const mesh_link *l)
{
    return l->state == LINK_CLOSED;
}

/* Encrypts one whole frame of our own to the wire. */
static tako_err own_frame_put(mesh_link *l, frame_kind kind, tako_slice body,
                              tako_errbuf *e)
{
    uint8_t plain[FRAME_HEAD_BYTES_MAX + SEC_AUTH_BYTES_MAX];
    size_t n = frame_head(plain, body.len, (uint8_t)kind);

    TAKO_ASSERT(body.len <= SEC_AUTH_BYTES_MAX);
    if (body.len > 0)
        memcpy(plain + n, body.ptr, body.len);
    n += body.len;
    l->counts.bytes_out += n;
    if (tls_write(l->tls, tako_slice_of(plain, n), &l->wire, e) != TLS_DONE)
        return l->wire.failed ? TAKO_NOMEM : TAKO_CORRUPT;
    return TAKO_OK;
}

/* To the end. `tell`: the session still works, so say why. */
static void link_end(mesh_link *l, tako_err why, const char *text, bool tell)
{
    uint8_t body[1 + TAKO_GOODBYE_BYTES_MAX];
    size_t len = strlen(text);

    if (l->state == LINK_CLOSED)
        return;
    tell = tell && (l->state == LINK_AUTH || l->state == LINK_UP);
    link_move(l, LINK_CLOSED);
    link_drop_queues(l);
    if (!tell)
        return;
    if (len > TAKO_GOODBYE_BYTES_MAX)
        len = TAKO_GOODBYE_BYTES_MAX;
    body[0] = (uint8_t)-why;
    memcpy(body + 1, text, len);
    (void)own_frame_put(l, FRAME_BYE, tako_slice_of(body, 1 + len), NULL);
}

void mesh_link_close(mesh_link *l, tako_err why, const char *text)
{
    link_end(l, why, text, true);
}

/* ---- the peer's frames -------------------------------------------------- */

static tako_err auth_send(mesh_link *l, tako_errbuf *e)
{
    tako_buf b = tako_buf_on(l->context->env);
    tako_err err =
        sec_auth_make(l->context->identity, tako_buf_slice(&l->context->grant),
                      l->side, l->exporter, &b);

    if (err == TAKO_OK)
        err = own_frame_put(l, FRAME_AUTH, tako_buf_slice(&b), e);
    tako_buf_fini(&b);
    return err;
}

static tako_err auth_take(mesh_link *l, uint64_t now_ms, tako_errbuf *e)
{
    const tako_env *env = l->context->env;
    sec_side theirs = l->side == SEC_DIALLER ? SEC_ACCEPTER : SEC_DIALLER;
    sec_claims claims;

    TAKO_TRY(sec_auth_check(l->context->mesh, tako_buf_slice(&l->own), theirs,
                            l->exporter, env->wall_ms(env->ctx), &claims, e));
    if (l->side == SEC_ACCEPTER)
        TAKO_TRY(auth_send(l, e));
    memcpy(l->peer.device, claims.device, sizeof l->peer.device);
    memcpy(l->peer.name, claims.subject.ptr, claims.subject.len);
    l->peer.name[claims.subject.len] = '\0';
    l->peer.roles = claims.roles;
    l->peer_proven = true;
    sec_wipe(l->exporter, sizeof l->exporter);
    l->asked_ms = now_ms;
    link_move(l, LINK_UP);
    l->events->on_up(l->user, &l->peer);
    return TAKO_OK;
}

/* What a peer says may be shown to people: printable ASCII, the rest '?'. */
static tako_err bye_take(mesh_link *l, tako_errbuf *e)
{
    char text[TAKO_GOODBYE_BYTES_MAX + 1];
    size_t n = 0;
    bool denied;

    if (l->own.len == 0)
        return tako_fail(e, TAKO_CORRUPT, "a BYE without a reason");
    denied = l->own.ptr[0] == (uint8_t)-TAKO_DENIED;
    for (size_t i = 1; i < l->own.len && n < TAKO_GOODBYE_BYTES_MAX; i++) {
        uint8_t c = l->own.ptr[i];
        text[n++] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    }
    text[n] = '\0';
    return tako_fail(e, denied ? TAKO_DENIED : TAKO_CLOSED,
                     denied ? "the peer refuses us: %s" : "the peer closes: %s",
                     text);
}

static size_t own_body_max(frame_kind kind)
{
    switch (kind) {
    case FRAME_AUTH:
        return SEC_AUTH_BYTES_MAX;
    case FRAME_BYE:
        return 1 + TAKO_GOODBYE_BYTES_MAX;
    case FRAME_PING:
    case FRAME_PONG:
        return 0;
    case FRAME_SKIP:
        return TAKO_FRAME_BYTES_MAX;
    case FRAME_PAYLOAD:
        break;
    }
    return 0;
}

static tako_err own_frame_take(mesh_link *l, uint64_t now_ms, tako_errbuf *e)
{
    switch (l->reader.kind) {
    case FRAME_AUTH:
        return auth_take(l, now_ms, e);
    case FRAME_BYE:
        return bye_take(l, e);
    case FRAME_PING:
        l->pong_due = true;
        return TAKO_OK;
    case FRAME_PONG:
        if (l->ping_open)
            l->counts.rtt_ms = (uint32_t)(now_ms - l->asked_ms);
        l->ping_open = false;
        return TAKO_OK;
    case FRAME_SKIP:
    case FRAME_PAYLOAD:
        break;
    }
    return TAKO_OK;
}

/* Which frames a state admits. Before UP only what leads to UP. */
static tako_err kind_admit(const mesh_link *l, tako_errbuf *e)
{
    frame_kind kind = l->reader.kind;

    if (l->state == LINK_AUTH && kind != FRAME_AUTH && kind != FRAME_BYE)
        return tako_fail(e, TAKO_DENIED,
                         "the peer did not begin with its proof of identity");
    if (l->state == LINK_UP && kind == FRAME_AUTH)
        return tako_fail(e, TAKO_CORRUPT, "a second proof of identity");
    return TAKO_OK;
}

static tako_err part_take(mesh_link *l, uint64_t now_ms, const frame_part *part,
                          tako_errbuf *e)
{
    tako_slice message;
    bool done;
    tako_err err;

    if (part->first)
        TAKO_TRY(kind_admit(l, e));
    if (l->reader.kind == FRAME_PAYLOAD) {
        TAKO_TRY(assembly_take(&l->in, &l->reader, part, &message, &done, e));
        l->counts.frames_in += part->end;
        if (done) {
            l->delivering = true;
            l->events->on_message(l->user, l->reader.lane, message);
            l->delivering = false;
            assembly_release(&l->in, l->reader.lane);
        }
        return TAKO_OK;
    }
    if (l->own.len + part->body.len > own_body_max(l->reader.kind) &&
        l->reader.kind != FRAME_SKIP)
        return tako_fail(e, TAKO_LIMIT, "a frame of kind %u is too long",
                         (unsigned)l->reader.kind);
    if (l->reader.kind != FRAME_SKIP)
        tako_put_bytes(&l->own, part->body);
    if (l->own.failed)
        return TAKO_NOMEM;
    if (!part->end)
        return TAKO_OK;
    err = own_frame_take(l, now_ms, e);
    tako_buf_fini(&l->own);
    return err;
}

static tako_err plain_take(mesh_link *l, uint64_t now_ms, tako_slice plain,
                           tako_errbuf *e)
{
    l->counts.bytes_in += plain.len;
    while (plain.len > 0 && l->state != LINK_CLOSED) {
        frame_part part;
        bool got;

        TAKO_TRY(frame_read(&l->reader, &plain, &part, &got, e));
        if (got)
            TAKO_TRY(part_take(l, now_ms, &part, e));
    }
    return TAKO_OK;
}

/* ---- bytes in ----------------------------------------------------------- */

static tako_err tls_result(const mesh_link *l, tls_status status,
                           tako_errbuf *e)
{
    if (status == TLS_FAIL)
        return l->wire.failed ? TAKO_NOMEM : TAKO_CORRUPT;
    if (status == TLS_END)
        return tako_fail(e, TAKO_CLOSED, "the peer ended the TLS session");
    return TAKO_OK;
}

static tako_err handshake_step(mesh_link *l, bool *more, tako_errbuf *e)
{
    tls_status status;

    if (l->state == LINK_NEW)
        link_move(l, LINK_TLS);
    status = tls_handshake(l->tls, &l->wire, e);
    *more = status == TLS_DONE;
    TAKO_TRY(tls_result(l, status, e));
    if (status == TLS_MORE)
        return TAKO_OK;
    if (!tls_exporter(l->tls, l->exporter))
        return TAKO_NOMEM;
    link_move(l, LINK_AUTH);
    return l->side == SEC_DIALLER ? auth_send(l, e) : TAKO_OK;
}

static tako_err read_step(mesh_link *l, uint64_t now_ms, bool *more,
                          tako_errbuf *e)
{
    uint8_t plain[TLS_RECORD_BYTES_MAX];
    size_t len;
    tls_status status =
        tls_read(l->tls, plain, sizeof plain, &len, &l->wire, e);

    *more = status == TLS_DONE;
    TAKO_TRY(tls_result(l, status, e));
    return plain_take(l, now_ms, tako_slice_of(plain, len), e);
}

static tako_err unproven_check(const mesh_link *l, tako_errbuf *e)
{
    if (l->state < LINK_UP && tls_consumed(l->tls) > TAKO_HANDSHAKE_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT,
                         "the peer sent %u bytes without proving itself",
                         TAKO_HANDSHAKE_BYTES_MAX);
    return TAKO_OK;
}

static tako_err link_read(mesh_link *l, uint64_t now_ms, tako_slice data,
                          tako_errbuf *e)
{
    bool more = true;

    tls_feed(l->tls, data);
    while (more && l->state != LINK_CLOSED) {
        if (l->state < LINK_AUTH)
            TAKO_TRY(handshake_step(l, &more, e));
        else
            TAKO_TRY(read_step(l, now_ms, &more, e));
        TAKO_TRY(unproven_check(l, e));
    }
    return TAKO_OK;
}

/* Ends after `err`, telling the peer unless it is the peer or TLS that ended. */
static tako_err link_failed(mesh_link *l, tako_err err, tako_errbuf *e)
{
    bool theirs = l->reader.kind == FRAME_BYE;

    if (e->text[0] == '\0')
        (void)tako_fail(e, err, "%s", tako_err_message(err));
    link_end(l, err, e->text, !theirs && err != TAKO_CLOSED);
    return err;
}

tako_err mesh_link_recv(mesh_link *l, uint64_t now_ms, tako_slice data,
                        tako_errbuf *e)
{
    tako_errbuf local = { "" };
    tako_err err;

    if (e == NULL)
        e = &local;
    e->text[0] = '\0';
    if (l->state == LINK_CLOSED)
        return tako_fail(e, TAKO_CLOSED, "the link is closed");
    if (data.len == 0)
        return TAKO_OK;
    l->counts.wire_in += data.len;
    l->heard_ms = now_ms;
    err = link_read(l, now_ms, data, e);
    if (err != TAKO_OK)
        return link_failed(l, err, e);
    if (l->state == LINK_CLOSED)
        return tako_fail(e, TAKO_CLOSED, "closed here");
    return TAKO_OK;
}

/* ---- bytes out ---------------------------------------------------------- */

tako_err mesh_link_send(mesh_link *l, mesh_lane lane, tako_slice message)
{
    TAKO_ARG(lane < MESH_LANES);
    if (l->state == LINK_CLOSED)
        return TAKO_CLOSED;
    TAKO_ARG(l->state == LINK_UP);
    return lanes_put(&l->out, lane, message);
}

size_t mesh_link_queued(const mesh_link *l, mesh_lane lane)
{
    return lanes_bytes(&l->out, lane);
}

/* Due frames of our own, then as much of the lanes as fits, as one record. */
static tako_err record_put(mesh_link *l, uint64_t now_ms, size_t budget,
                           tako_buf *out, bool *more)
{
    uint8_t plain[TLS_RECORD_BYTES_MAX];
    size_t room = lanes_room(&l->out) + 2 * FRAME_HEAD_BYTES_MAX, n = 0;
    size_t cap = budget < LINK_CHUNK_BYTES_MIN ? LINK_CHUNK_BYTES_MIN : budget;

    *more = false;
    if (cap > sizeof plain)
        cap = sizeof plain;
    if (!l->pong_due && !l->ping_due && !lanes_waiting(&l->out))
        return TAKO_OK;
    /* Before anything is taken, so that no memory means nothing is lost. */
    if (!tako_buf_reserve(out, (room < cap ? room : cap) +
                                   TLS_RECORD_OVERHEAD_MAX)) {
        out->failed = false;
        return TAKO_NOMEM;
    }
    if (l->pong_due)
        n += frame_head(plain + n, 0, FRAME_PONG);
    if (l->ping_due)
        n += frame_head(plain + n, 0, FRAME_PING);
    if (l->ping_due)
        l->asked_ms = now_ms;
    l->ping_open = l->ping_open || l->ping_due;
    l->pong_due = l->ping_due = false;
    n += lanes_cut(&l->out, plain + n, cap - n, &l->counts.frames_out);
    if (n == 0)
        return TAKO_OK;
    l->counts.bytes_out += n;
    *more = true;
    if (tls_write(l->tls, tako_slice_of(plain, n), out, NULL) == TLS_DONE)
        return TAKO_OK;
    link_end(l, TAKO_NOMEM, "", false);
    return TAKO_NOMEM;
}

static tako_err wire_give(mesh_link *l, tako_buf *out)
{
    if (l->wire.len == 0)
        return TAKO_OK;
    if (!tako_buf_reserve(out, l->wire.len)) {
        out->failed = false;
        return TAKO_NOMEM;
    }
    tako_put_bytes(out, tako_buf_slice(&l->wire));
    tako_buf_fini(&l->wire);
    return TAKO_OK;
}

tako_err mesh_link_output(mesh_link *l, uint64_t now_ms, size_t budget,
                          tako_buf *out)
{
    size_t start = out->len;
    bool more = true;
    tako_err err = TAKO_OK;

    if (l->state == LINK_NEW && l->side == SEC_DIALLER) {
        tako_errbuf e = { "" };

        l->started_ms = l->heard_ms = now_ms;
        err = handshake_step(l, &more, &e);
        if (err != TAKO_OK)
            return link_failed(l, err, &e);
    }
    TAKO_TRY(wire_give(l, out));
    more = l->state == LINK_UP;
    while (more && err == TAKO_OK && out->len - start < budget)
        err = record_put(l, now_ms, budget - (out->len - start), out, &more);
    l->counts.wire_out += out->len - start;
    return err;
}

/* ---- time --------------------------------------------------------------- */

uint64_t mesh_link_deadline(const mesh_link *l)
{
    uint64_t dead = l->heard_ms + MESH_DEAD_MS, ping;

    if (l->state == LINK_CLOSED)
        return UINT64_MAX;
    if (l->state != LINK_UP)
        return l->started_ms + MESH_HANDSHAKE_MS;
    ping = (l->asked_ms > l->heard_ms ? l->asked_ms : l->heard_ms) +
           MESH_PING_IDLE_MS;
    return ping < dead ? ping : dead;
}

tako_err mesh_link_tick(mesh_link *l, uint64_t now_ms, tako_errbuf *e)
{
    tako_err err;

    if (now_ms < mesh_link_deadline(l))
        return TAKO_OK;
    if (l->state != LINK_UP) {
        err = tako_fail(e, TAKO_TIMEOUT, "no handshake within %u s",
                        MESH_HANDSHAKE_MS / 1000);
        link_end(l, err, "the handshake took too long", true);
        return err;
    }
    if (now_ms >= l->heard_ms + MESH_DEAD_MS) {
        err = tako_fail(e, TAKO_TIMEOUT, "nothing heard for %u s",
                        MESH_DEAD_MS / 1000);
        link_end(l, err, "nothing heard from you", true);
        return err;
    }
    l->ping_due = true;
    l->asked_ms = now_ms;
    return TAKO_OK;
}

void mesh_link_counts_read(const mesh_link *l, mesh_link_counts *out)
{
    *out = l->counts;
}
