// SPDX-License-Identifier: Apache-2.0
/* SESSION -- greeting, subscriptions, and who handles what.
 *
 * Both sides send HELLO first and need not wait for the other's, so that "in
 * sync already" costs one round trip from the start: HELLO and INTEREST one
 * way, HELLO and CAUGHT_UP the other. The control lane overtakes the others,
 * so HELLO is the first message to arrive. To a HELLO the answer is KNOWN
 * (renew.c). Documents wait for it, nothing else does, so only a first
 * download begins half a round trip later.
 *
 * send() looks for work in the order of urgency: control messages, cuts,
 * questions, catching the peer up. It produces one message a call, or does one
 * piece of a walk that yields none yet; deadline() is then 0.
 *
 * INVARIANTS
 *   (S1) a number on the wire names one subscription for the whole session;
 *   (S2) nothing is sent of a want before HELLO (versions) is here, and no
 *        document goes out or in before KNOWN (who we may speak as);
 *   (S3) after an error `dead` is set and nothing more happens. */
#include "sync/state.h"

bool sync_grow(const tako_env *env, void **items, size_t *cap, size_t count,
               size_t size)
{
    size_t want = *cap == 0 ? 8 : *cap * 2;
    void *grown;

    if (count < *cap)
        return true;
    grown = env->realloc(env->ctx, *items, *cap * size, want * size);
    if (grown == NULL)
        return false;
    *items = grown;
    *cap = want;
    return true;
}

void sync_control(sync_session *s, sync_msg kind, tako_slice body)
{
    tako_put_varint(&s->control, body.len + 1u);
    tako_put_u8(&s->control, (uint8_t)kind);
    tako_put_bytes(&s->control, body);
}

sync_want *sync_want_find(sync_session *s, uint64_t number)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].number == number)
            return &s->wants[i];
    return NULL;
}

sync_sub *sync_sub_find(sync_session *s, uint64_t number)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->subs[i].number == number && s->subs[i].state != SUB_REFUSED)
            return &s->subs[i];
    return NULL;
}

/* ---- life ---------------------------------------------------------------------- */

static tako_err own_tables(sync_session *s, const sync_opts *opts,
                           tako_errbuf *e)
{
    sync_tables_opts o = { s->env, s->host, s->reader, opts->digest_key };

    TAKO_TRY(sync_tables_new(&o, &s->own_tables, e));
    s->tables = s->own_tables;
    return TAKO_OK;
}

tako_err sync_session_new(const sync_opts *opts, uint64_t now_ms,
                          sync_session **out, tako_errbuf *e)
{
    sync_session *s = tako_env_alloc(opts->env, sizeof *s);
    tako_err err;

    *out = NULL;
    if (s == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    s->env = opts->env;
    s->host = opts->host;
    s->reader = opts->reader;
    memcpy(s->digest_key, opts->digest_key, sizeof s->digest_key);
    s->now_ms = now_ms;
    s->tables = opts->tables;
    s->bars = opts->bars;
    s->peer_bars = opts->peer_bars;
    s->peer_len = opts->peer.len <= sizeof s->peer ? opts->peer.len : 0;
    if (s->peer_len > 0)
        memcpy(s->peer, opts->peer.ptr, s->peer_len);
    s->env->random(s->env->ctx, s->sum_key, sizeof s->sum_key);
    for (size_t i = 0; i < SYNC_LANES; i++) {
        sync_names_init(&s->names_out[i], s->env);
        sync_names_init(&s->names_in[i], s->env);
    }
    s->scratch = tako_buf_on(s->env);
    s->control = tako_buf_on(s->env);
    s->deaths = tako_buf_on(s->env);
    s->denials = tako_buf_on(s->env);
    s->arena = tako_arena_on(s->env);
    s->held_arena = tako_arena_on(s->env);
    s->stage_arena = tako_arena_on(s->env);
    s->need_arena = tako_arena_on(s->env);
    sync_inbox_drop(s);
    sync_dirty_init(&s->dirty, s->env);
    err = s->tables == NULL ? own_tables(s, opts, e) : TAKO_OK;
    if (err == TAKO_OK)
        err = store_snapshot_begin(s->reader, &s->heard, e);
    if (err == TAKO_OK) {
        err = store_self(s->reader, &s->actor, s->incarnation, e);
        store_snapshot_end(s->reader);
    }
    if (err != TAKO_OK) {
        sync_session_free(s);
        return err;
    }
    if (opts->blobs != NULL &&
        sync_blob_peer_new(opts->blobs, &s->blobs) != TAKO_OK) {
        sync_session_free(s);
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    }
    s->sent_lsn = s->heard;
    *out = s;
    return TAKO_OK;
}

void sync_session_free(sync_session *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->want_count; i++)
        sync_want_free(s, &s->wants[i]);
    for (size_t i = 0; i < s->sub_count; i++)
        sync_sub_free(s, &s->subs[i]);
    for (size_t i = 0; i < s->coll_count; i++) {
        sync_vector_fini(s->env, &s->colls[i].bounds);
        tako_env_free(s->env, s->colls[i].name, s->colls[i].len);
    }
    for (size_t i = 0; i < SYNC_LANES; i++) {
        sync_names_fini(&s->names_out[i]);
        sync_names_fini(&s->names_in[i]);
    }
    sync_blob_peer_free(s->blobs);
    sync_receipts_free(s->env, s->receipts);
    tako_env_free(s->env, s->wants, s->want_cap * sizeof *s->wants);
    tako_env_free(s->env, s->subs, s->sub_cap * sizeof *s->subs);
    tako_env_free(s->env, s->colls, s->coll_cap * sizeof *s->colls);
    tako_env_free(s->env, s->known, s->known_cap * sizeof *s->known);
    tako_buf_fini(&s->scratch);
    tako_buf_fini(&s->control);
    tako_buf_fini(&s->deaths);
    tako_buf_fini(&s->denials);
    tako_arena_fini(&s->arena);
    tako_arena_fini(&s->held_arena);
    tako_arena_fini(&s->stage_arena);
    tako_arena_fini(&s->need_arena);
    sync_past_fini(s);
    sync_vector_fini(s->env, &s->peer_wrote);
    sync_dirty_fini(&s->dirty);
    sync_bulk_rest(s);
    sync_tables_free(s->own_tables);
    tako_env_free(s->env, s, sizeof *s);
}

/* ---- messages: greeting ------------------------------------------------------------- */

static void put_hello(sync_session *s, tako_buf *out)
{
    tako_put_u8(out, SYNC_MSG_HELLO);
    tako_put_varint(out, SYNC_VERSION_MAJOR);
    tako_put_varint(out, SYNC_VERSION_MINOR);
    tako_put_bytes(out, tako_slice_of(s->actor.id, 16));
    tako_put_bytes(out, tako_slice_of(s->incarnation, 16));
    tako_put_bytes(out, tako_slice_of(s->sum_key, 16));
    tako_put_varint(out, sync_clock_tell(s));
    tako_put_varint(out, SYNC_FEATURE_PACKED | SYNC_FEATURE_PACKED_CUTS |
                             (s->blobs != NULL ? SYNC_FEATURE_BLOBS : 0));
    tako_put_varint(out, s->next_number);
}

/* What follows the fields known here belongs to a newer minor version. */
static tako_err on_hello(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t major = tako_read_varint(in);
    uint64_t wall;
    tako_slice actor, incarnation, key;

    if (in->failed || s->greeted)
        return tako_fail(e, TAKO_CORRUPT, "malformed HELLO");
    if (major != SYNC_VERSION_MAJOR)
        return tako_fail(e, TAKO_UNSUPPORTED,
                         "the peer speaks sync version %llu, this one %u",
                         (unsigned long long)major, SYNC_VERSION_MAJOR);
    (void)tako_read_varint(in); /* minor */
    actor = tako_read_bytes(in, 16);
    incarnation = tako_read_bytes(in, 16);
    key = tako_read_bytes(in, 16);
    wall = tako_read_varint(in);
    s->features = (uint32_t)tako_read_varint(in);
    s->peer_interests = tako_read_varint(in);
    if (in->failed || s->peer_interests > TAKO_SUBSCRIPTIONS_MAX)
        return tako_fail(e, TAKO_CORRUPT, "malformed HELLO");
    memcpy(s->peer_actor.id, actor.ptr, 16);
    memcpy(s->peer_incarnation, incarnation.ptr, 16);
    memcpy(s->peer_sum_key, key.ptr, 16);
    s->greeted = true;
    sync_clock_heard(s, wall);
    if (s->blobs != NULL && (s->features & SYNC_FEATURE_BLOBS) != 0)
        sync_blob_peer_ready(s->blobs, s->now_ms);
    sync_settle(s);
    TAKO_TRY(sync_tell_names(s, e));
    TAKO_TRY(sync_tell_former(s, e));
    return sync_tell_known(s, e);
}

static tako_err on_bye(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    tako_slice text = tako_read_block(in);
    char reason[TAKO_SYNC_REASON_BYTES_MAX + 1];

    (void)s;
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed BYE");
    return tako_fail(e, TAKO_CLOSED, "the peer ended the session: %s",
                     sync_reason(text, reason));
}

void sync_bye(tako_buf *out, const char *reason)
{
    tako_put_u8(out, SYNC_MSG_BYE);
    tako_put_block(
        out,
        tako_slice_of(reason, strnlen(reason, TAKO_SYNC_REASON_BYTES_MAX)));
}

/* ---- messages: which ------------------------------------------------------------------------ */

/* A message starts with its kind. */
static uint8_t kind_in(const tako_reader *in)
{
    return in->in.ptr[0];
}

static tako_err on_note(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    return s->host->note == NULL
               ? TAKO_OK
               : s->host->note(s->host->ctx, kind_in(in),
                               tako_read_bytes(in, tako_reader_left(in)), e);
}

static tako_err on_blob(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    return s->blobs != NULL
               ? sync_blob_peer_recv(s->blobs, s->now_ms, kind_in(in), in, e)
               : tako_fail(e, TAKO_CORRUPT, "attachments, unannounced");
}

typedef struct message_kind {
    tako_err (*fn)(sync_session *s, tako_reader *in, tako_errbuf *e);
    sync_lane lane;
    bool documents; /* not before KNOWN */
} message_kind;

/* All that this version knows: whose it is, and the lane that it belongs to. */
static const message_kind kinds[] = {
    [SYNC_MSG_HELLO] = { on_hello, SYNC_CONTROL, false },
    [SYNC_MSG_INTEREST] = { sync_on_interest, SYNC_CONTROL, false },
    [SYNC_MSG_DROP] = { sync_on_drop, SYNC_CONTROL, false },
    [SYNC_MSG_REFUSED] = { sync_on_refused, SYNC_CONTROL, false },
    [SYNC_MSG_LISTS] = { sync_on_lists, SYNC_CATCHUP, false },
    [SYNC_MSG_LIST] = { sync_on_list, SYNC_CATCHUP, false },
    [SYNC_MSG_STATES] = { sync_on_states, SYNC_CATCHUP, true },
    [SYNC_MSG_CAUGHT_UP] = { sync_on_caught_up, SYNC_CATCHUP, false },
    [SYNC_MSG_SERVED] = { sync_on_served, SYNC_CONTROL, false },
    [SYNC_MSG_CUT] = { sync_on_cut, SYNC_LIVE, true },
    [SYNC_MSG_ACK] = { sync_on_ack, SYNC_CONTROL, false },
    [SYNC_MSG_NEEDS] = { sync_on_needs, SYNC_CONTROL, false },
    [SYNC_MSG_RESYNC] = { sync_on_resync, SYNC_CONTROL, false },
    [SYNC_MSG_BYE] = { on_bye, SYNC_CONTROL, false },
    [SYNC_MSG_KNOWN] = { sync_on_known, SYNC_CONTROL, false },
    [SYNC_MSG_RENEWED] = { sync_on_renewed, SYNC_CONTROL, false },
    [SYNC_MSG_CLOCK] = { sync_on_clock, SYNC_CONTROL, false },
    [SYNC_MSG_ASK] = { sync_on_ask, SYNC_CATCHUP, false },
    [SYNC_MSG_FED] = { sync_on_fed, SYNC_CATCHUP, false },
    [SYNC_MSG_SYMBOLS] = { sync_on_symbols, SYNC_CATCHUP, false },
    [SYNC_MSG_MORE] = { sync_on_more, SYNC_CONTROL, false },
    [SYNC_MSG_SEEN] = { sync_on_seen, SYNC_CATCHUP, false },
    [SYNC_MSG_PACKED] = { sync_on_packed, SYNC_CATCHUP, true },
    [SYNC_MSG_PACKED_CUT] = { sync_on_packed_cut, SYNC_LIVE, true },
    [SYNC_MSG_YARD] = { sync_on_yard, SYNC_CONTROL, false },
    [SYNC_MSG_BURIED] = { sync_on_buried, SYNC_CONTROL, false },
    [SYNC_MSG_GRAVES] = { sync_on_graves, SYNC_CONTROL, false },
    [SYNC_MSG_DEAD] = { sync_on_dead, SYNC_CONTROL, false },
    [SYNC_MSG_KEPT] = { sync_on_kept, SYNC_CONTROL, false },
    [SYNC_MSG_MAY_I] = { on_note, SYNC_CONTROL, false },
    [SYNC_MSG_YOU_MAY] = { on_note, SYNC_CONTROL, false },
    [SYNC_MSG_RECEIPTS] = { sync_on_receipts, SYNC_CONTROL, false },
    [SYNC_MSG_MODE] = { sync_on_mode, SYNC_CONTROL, false },
    [SYNC_MSG_TARGET] = { sync_on_target, SYNC_CATCHUP, false },
    [SYNC_MSG_SUMMARY] = { sync_on_summary, SYNC_CONTROL, false },
    [SYNC_MSG_AGREEMENT] = { sync_on_agreement, SYNC_CONTROL, false },
    [SYNC_MSG_NAMES] = { sync_on_names, SYNC_CONTROL, false },
    [SYNC_MSG_FORMER] = { sync_on_former, SYNC_CONTROL, false },
    [SYNC_MSG_PAST] = { sync_on_past, SYNC_CONTROL, true },
    [SYNC_MSG_DENIED] = { sync_on_denied, SYNC_CONTROL, true },
    [SYNC_MSG_BLOB_ASK] = { on_blob, SYNC_BLOBS, false },
    [SYNC_MSG_BLOB_HAVE] = { on_blob, SYNC_BLOBS, false },
    [SYNC_MSG_BLOB_WANT] = { on_blob, SYNC_BLOBS, false },
    [SYNC_MSG_BLOB_PART] = { on_blob, SYNC_BLOBS, false },
    [SYNC_MSG_BLOB_NONE] = { on_blob, SYNC_BLOBS, false },
    [SYNC_MSG_BLOB_STOP] = { on_blob, SYNC_BLOBS, false },
};

/* The only place that meets unknown kinds. *kind is NULL for one to skip. */
static tako_err kind_of(uint8_t byte, const message_kind **kind, tako_errbuf *e)
{
    *kind = byte < sizeof kinds / sizeof kinds[0] && kinds[byte].fn != NULL
                ? &kinds[byte]
                : NULL;
    return *kind != NULL || (byte & SYNC_MSG_OPTIONAL) != 0
               ? TAKO_OK
               : tako_fail(e, TAKO_UNSUPPORTED,
                           "a message of the unknown kind %u", byte);
}

static tako_err dispatch(sync_session *s, sync_lane lane, tako_reader *in,
                         tako_errbuf *e)
{
    uint8_t byte = tako_read_u8(in);
    const message_kind *kind;

    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "an empty message");
    TAKO_TRY(kind_of(byte, &kind, e));
    if (kind == NULL)
        return TAKO_OK;
    if (kind->lane != lane)
        return tako_fail(e, TAKO_CORRUPT, "a message on the wrong lane");
    if (!s->cleared && kind->documents)
        return tako_fail(e, TAKO_CORRUPT, "a message before KNOWN");
    if (!s->greeted && byte != SYNC_MSG_HELLO && byte != SYNC_MSG_BYE)
        return tako_fail(e, TAKO_CORRUPT, "a message before HELLO");
    return kind->fn(s, in, e);
}

/* Keeps a usual buffer, gives a large one back. */
static void tidy(sync_session *s)
{
    tako_arena_reset(&s->arena);
    if (s->scratch.cap > SYNC_SCRATCH_KEEP)
        tako_buf_fini(&s->scratch);
    tako_buf_reset(&s->scratch);
}

static tako_err finish(sync_session *s, tako_err err, tako_errbuf *e)
{
    tidy(s);
    if (err == TAKO_OK && s->control.failed)
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    s->dead = s->dead || err != TAKO_OK;
    return err;
}

tako_err sync_session_recv(sync_session *s, uint64_t now_ms, sync_lane lane,
                           tako_slice message, tako_errbuf *e)
{
    tako_reader in = tako_reader_of(message);

    if (s->dead)
        return tako_fail(e, TAKO_CLOSED, "the session is over");
    s->now_ms = now_ms;
    s->counts.messages_in++;
    s->counts.bytes_in += message.len;
    return finish(s, dispatch(s, lane, &in, e), e);
}

/* ---- sending ----------------------------------------------------------------------------------- */

static void put_ack(sync_session *s, tako_buf *out)
{
    if (s->ack_due <= s->ack_out)
        return;
    tako_put_u8(out, SYNC_MSG_ACK);
    tako_put_varint(out, s->ack_due - s->ack_out);
    s->ack_out = s->ack_due;
}

/* The next control message: the hello, what waits, and then the
 * acknowledgement, because PAST is to be heard before it. */
static void send_control(sync_session *s, tako_buf *out)
{
    tako_reader in = tako_reader_of(tako_buf_slice(&s->control));

    if (!s->hello_sent) {
        put_hello(s, out);
        s->hello_sent = true;
        return;
    }
    if (s->control.len == 0) {
        put_ack(s, out);
        return;
    }
    in.pos = s->control_at;
    tako_put_bytes(out, tako_read_block(&in));
    s->control_at = in.pos;
    if (tako_reader_left(&in) > 0)
        return;
    s->control_at = 0;
    tako_buf_reset(&s->control);
}

/* Counts what a catch-up sent: one that is longer than a cut holds cuts back
 * no more. The cut that closes it is due when it ended. */
static tako_err serve(sync_session *s, tako_buf *out, tako_errbuf *e)
{
    tako_reader in;
    sync_want *w;
    uint8_t kind;

    TAKO_TRY(sync_serve_step(s, out, e));
    in = tako_reader_of(tako_buf_slice(out));
    kind = tako_read_u8(&in);
    if (out->failed || out->len == 0 ||
        (kind != SYNC_MSG_STATES && kind != SYNC_MSG_CAUGHT_UP))
        return TAKO_OK;
    w = sync_want_find(s, tako_read_varint(&in));
    if (w == NULL)
        return TAKO_OK;
    w->bytes += out->len;
    w->big = w->bytes > TAKO_SYNC_CUT_BYTES_MAX;
    s->close_due = s->close_due || kind == SYNC_MSG_CAUGHT_UP;
    return kind == SYNC_MSG_STATES ? sync_pack(s, out, e) : TAKO_OK;
}

/* What is told before states goes first, then questions, then answers. */
static tako_err catch_up(sync_session *s, uint64_t now_ms, sync_lane *lane,
                         tako_buf *out, tako_errbuf *e)
{
    *lane = SYNC_CATCHUP;
    if (s->greeted)
        TAKO_TRY(sync_target_put(s, out, e));
    if (out->len == 0)
        TAKO_TRY(sync_ask_step(s, now_ms, lane, out, e));
    if (out->len > 0 || !s->greeted)
        return TAKO_OK;
    *lane = SYNC_CATCHUP;
    return serve(s, out, e);
}

static tako_err send_next(sync_session *s, uint64_t now_ms, unsigned lanes,
                          sync_lane *lane, tako_buf *out, tako_errbuf *e)
{
    *lane = SYNC_CONTROL;
    TAKO_TRY(sync_inbox_step(s, e));
    TAKO_TRY(sync_kept_step(s, e));
    TAKO_TRY(sync_lazy_step(s, now_ms, e));
    sync_clock_step(s);
    if ((lanes & SYNC_LANE_BIT(SYNC_CONTROL)) != 0)
        send_control(s, out);
    if (out->len == 0 && s->cleared &&
        (lanes & SYNC_LANE_BIT(SYNC_LIVE)) != 0) {
        *lane = SYNC_LIVE;
        TAKO_TRY(sync_cut_step(s, now_ms, out, e));
        if (out->len > 0 && !out->failed) {
            TAKO_TRY(sync_pack(s, out, e));
            sync_bulk_rest(s);
        }
    }
    if (out->len == 0 && (lanes & SYNC_LANE_BIT(SYNC_CATCHUP)) != 0)
        TAKO_TRY(catch_up(s, now_ms, lane, out, e));
    if (out->len == 0 && s->blobs != NULL &&
        (lanes & SYNC_LANE_BIT(SYNC_BLOBS)) != 0) {
        *lane = SYNC_BLOBS;
        TAKO_TRY(sync_blob_peer_send(s->blobs, now_ms, out, e));
    }
    return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory") : TAKO_OK;
}

tako_err sync_session_send(sync_session *s, uint64_t now_ms, unsigned lanes,
                           sync_lane *lane, tako_buf *out, tako_errbuf *e)
{
    tako_err err;

    tako_buf_reset(out);
    if (s->dead)
        return tako_fail(e, TAKO_CLOSED, "the session is over");
    s->now_ms = now_ms;
    /* What was queued since and found no memory is not to be forgotten. */
    err = s->control.failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                            : send_next(s, now_ms, lanes, lane, out, e);
    if (err == TAKO_OK && out->len > 0) {
        s->counts.messages_out++;
        s->counts.bytes_out += out->len;
    }
    return finish(s, err, e);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t sync_session_deadline(sync_session *s)
{
    uint64_t at;

    if (s->dead)
        return UINT64_MAX;
    if (!s->hello_sent || s->control.len > 0 || s->ack_due > s->ack_out ||
        s->kept_due || sync_ask_due(s) || (s->greeted && sync_serve_due(s)) ||
        sync_rest_due(s) || (s->blobs != NULL && sync_blob_peer_due(s->blobs)))
        return 0;
    at = least(sync_inbox_deadline(s), sync_lazy_deadline(s));
    if (!s->cleared || sync_cuts_wait(s))
        return at;
    if (sync_dirty_left(&s->dirty) == 0 && !s->close_due && !s->close_asked)
        return s->claims_due ? least(at, s->claims_ms) : at;
    return least(at, s->stall_ms == 0 ? 0 : s->stall_ms + SYNC_STALL_MS);
}

/* ---- what is known -------------------------------------------------------------------------------- */

void sync_session_unmark(sync_session *s)
{
    s->marked = false;
}

uint64_t sync_session_acked(const sync_session *s)
{
    return s->acked;
}

void sync_session_counts(const sync_session *s, sync_counts *out)
{
    *out = s->counts;
    out->dirty = sync_dirty_left(&s->dirty);
    out->held_bytes = (uint32_t)s->held_bytes;
    out->greeted = s->cleared;
    out->peer_actor = s->peer_actor;
    out->clock_ahead_ms = s->clock_ahead_ms;
}

bool sync_session_subscription(const sync_session *s, size_t i, uint64_t now_ms,
                               sync_subscription_state *out)
{
    const sync_sub *sub;

    if (i >= s->sub_count)
        return false;
    sub = &s->subs[i];
    *out = (sync_subscription_state){
        .number = sub->user,
        .in_sync = sub->state == SUB_IN_SYNC,
        .refused = sub->state == SUB_REFUSED,
        .peer_lsn = sub->peer_lsn,
        .documents = sub->documents,
        .catchup_ms = sub->took_ms,
        .covers = sub->claim == SYNC_CLAIM_ALL,
        .mode = (uint8_t)sub->mode,
        .complete_ms = sub->complete_ms,
        .waiting = s->held.count + s->staged.count,
        .waiting_bytes = s->held_bytes + s->staged_bytes,
    };
    if (!out->in_sync && !out->refused && sub->since_ms != 0)
        out->catchup_ms = now_ms - sub->since_ms;
    return true;
}

bool sync_session_served(const sync_session *s, size_t i, tako_slice *text,
                         bool *in_sync)
{
    if (i >= s->want_count)
        return false;
    *text = tako_slice_of(s->wants[i].text, s->wants[i].text_len);
    *in_sync = s->wants[i].state == WANT_LIVE;
    return true;
}
