// SPDX-License-Identifier: Apache-2.0
/* STATUS -- what the node knows, as JSON; nothing in it is guessed from a
 * connection being open. */
#include "node/internal.h"

#include "codec/json.h"

static void put_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15u];
    }
    out[2 * len] = '\0';
}

static bool is_key(const uint8_t device[SEC_KEY_BYTES], const char *peer)
{
    char key[2 * SEC_KEY_BYTES + 1];

    put_hex(device, SEC_KEY_BYTES, key);
    return strcmp(peer, key) == 0;
}

static bool is_peer(const node_link *l, const char *peer)
{
    return peer == NULL || strcmp(peer, l->who.name) == 0 ||
           is_key(l->who.device, peer);
}

bool node_is_device(const node *n, const uint8_t device[SEC_KEY_BYTES],
                    const char *peer)
{
    if (peer == NULL || is_key(device, peer))
        return true;
    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (memcmp(l->who.device, device, SEC_KEY_BYTES) == 0 &&
            strcmp(peer, l->who.name) == 0)
            return true;
    return node_receipts_name(n, device) != NULL &&
           strcmp(peer, node_receipts_name(n, device)) == 0;
}

bool node_acknowledged(const node *n, const char *peer, uint64_t lsn)
{
    for (const node_link *l = n->links; l != NULL; l = l->next)
        if (l->session != NULL && is_peer(l, peer) &&
            sync_session_acked(l->session) >= lsn)
            return true;
    return false;
}

void node_copies(const node *n, uint64_t *copies, uint64_t *fresh)
{
    sync_counts c;

    *copies = n->copies;
    *fresh = n->copies_new;
    for (const node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL)
            continue;
        sync_session_counts(l->session, &c);
        *copies += c.copies_in;
        *fresh += c.copies_new;
    }
}

static void put_text(tako_buf *out, const char *key, const char *value)
{
    tako_put_fmt(out, "\"%s\":", key);
    json_put_string(out, tako_slice_str(value));
}

static void put_number(tako_buf *out, const char *key, uint64_t value)
{
    tako_put_fmt(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void put_session(tako_buf *out, const node_link *l)
{
    sync_counts c;
    mesh_link_counts m;
    tako_slice text;
    bool in_sync;

    sync_session_counts(l->session, &c);
    mesh_link_counts_read(l->mesh, &m);
    put_number(out, "rtt_ms", m.rtt_ms);
    put_number(out, "acknowledged", sync_session_acked(l->session));
    put_number(out, "waiting_documents", c.dirty);
    put_number(out, "held_bytes", c.held_bytes);
    put_number(out, "messages_in", c.messages_in);
    put_number(out, "messages_out", c.messages_out);
    put_number(out, "documents_in", c.documents_in);
    put_number(out, "documents_out", c.documents_out);
    put_number(out, "bytes_in", m.wire_in);
    put_number(out, "bytes_out", m.wire_out);
    put_number(out, "frame_bytes_in", m.bytes_in);
    put_number(out, "frame_bytes_out", m.bytes_out);
    put_number(out, "live_bytes_out", c.live_bytes_out);
    put_number(out, "cuts_in", c.cuts_in);
    put_number(out, "cuts_out", c.cuts_out);
    put_number(out, "asked_again", c.needs_in + c.needs_out);
    put_number(out, "copies_in", c.copies_in);
    put_number(out, "copies_new", c.copies_new);
    put_number(out, "grafts", c.grafts);
    put_number(out, "clock_ahead_ms", c.clock_ahead_ms);
    tako_put_str(out, ",\"serves\":[");
    for (size_t i = 0; sync_session_served(l->session, i, &text, &in_sync);
         i++) {
        tako_put_str(out, i > 0 ? ",{\"statement\":" : "{\"statement\":");
        json_put_string(out, text);
        tako_put_fmt(out, ",\"in_sync\":%s}", in_sync ? "true" : "false");
    }
    tako_put_u8(out, ']');
}

static const char *state_name(node_link_state state)
{
    switch (state) {
    case NODE_DIALLING:
        return "dialling";
    case NODE_HANDSHAKE:
        return "handshake";
    case NODE_UP:
        return "up";
    case NODE_CLOSING:
        break;
    }
    return "closing";
}

static void put_link(const node *n, tako_buf *out, const node_link *l)
{
    char key[2 * SEC_KEY_BYTES + 1];

    tako_put_u8(out, '{');
    put_text(out, "address", l->address);
    tako_put_fmt(out, ",\"state\":\"%s\",\"dialled\":%s", state_name(l->state),
                 l->side == SEC_DIALLER ? "true" : "false");
    put_number(out, "since_ms", node_now(n) - l->since_ms);
    if (l->who.name[0] != '\0') {
        tako_put_u8(out, ',');
        put_text(out, "peer", l->who.name);
        put_hex(l->who.device, SEC_KEY_BYTES, key);
        tako_put_fmt(out, ",\"key\":\"%s\"", key);
    }
    if (l->session != NULL)
        put_session(out, l);
    tako_put_u8(out, '}');
}

static void put_peer(const node *n, tako_buf *out, const node_peer *p)
{
    uint64_t now = node_now(n);

    tako_put_u8(out, '{');
    put_text(out, "address", p->address);
    tako_put_fmt(out, ",\"linked\":%s",
                 (p->link != NULL && p->link->state == NODE_UP) ||
                         (p->known && node_link_to(n, p->device, NULL) != NULL)
                     ? "true"
                     : "false");
    put_number(out, "failures", p->backoff.failures);
    if (p->link == NULL && p->retry_ms != UINT64_MAX)
        put_number(out, "retry_ms", p->retry_ms > now ? p->retry_ms - now : 0);
    if (p->error.text[0] != '\0') {
        tako_put_u8(out, ',');
        put_text(out, "error", p->error.text);
    }
    tako_put_u8(out, '}');
}

/* One subscription at one peer; false when that link has it not. */
static bool find_state(const node_link *l, uint32_t id, uint64_t now_ms,
                       sync_subscription_state *out)
{
    for (size_t i = 0; sync_session_subscription(l->session, i, now_ms, out);
         i++)
        if (out->number == id)
            return true;
    return false;
}

typedef struct sub_rows {
    const node_sub *sub;
    size_t rows;
    bool found;
    uint8_t why;
} sub_rows;

static tako_err sub_row(void *ctx, const store_held *row)
{
    sub_rows *r = ctx;

    r->rows += row->text.len > 0;
    if (!tako_slice_eq(row->text,
                       query_predicate_text(r->sub->predicate->query)))
        return TAKO_OK;
    r->found = true;
    r->why = row->why;
    return TAKO_OK;
}

/* Whether a subscription is whole, from what is stored: 0, or a sync_held. */
static sync_state_why why_of(const node *n, const node_sub *sub)
{
    sub_rows r = { sub, 0, false, 0 };

    if (store_held_each(n->reader,
                        query_predicate_collection(sub->predicate->query),
                        sub_row, &r) != TAKO_OK)
        return SYNC_STATE_CATCHING_UP;
    if (!r.found)
        return r.rows > 0 ? SYNC_STATE_CATCHING_UP : SYNC_STATE_WHOLE;
    return r.why == 0   ? SYNC_STATE_WHOLE
           : r.why == 1 ? SYNC_STATE_CATCHING_UP
                        : SYNC_STATE_LOOSE;
}

/* One word for an own subscription (SYNC.md 7): what is proven, and no more.
 * `complete` names the peer and the time of the latest proof. */
static void put_state(const node *n, tako_buf *out, const node_sub *sub)
{
    sync_state_why why = why_of(n, sub);
    sync_subscription_state s, best = { 0 };
    const node_link *with = NULL;
    uint64_t behind = 0, behind_bytes = 0;
    bool served = false;

    for (const node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL || !find_state(l, sub->id, node_now(n), &s))
            continue;
        served = served || !s.refused;
        behind += s.waiting;
        behind_bytes += s.waiting_bytes;
        if (s.complete_ms > best.complete_ms) {
            best = s;
            with = l;
        }
    }
    tako_put_fmt(out, ",\"state\":\"%s\"",
                 why == SYNC_STATE_CATCHING_UP ? "catching up"
                 : why == SYNC_STATE_LOOSE     ? "loose"
                 : !served                     ? "waiting"
                 : behind > 0 || with == NULL  ? "behind"
                                               : "complete");
    put_number(out, "behind_documents", behind);
    put_number(out, "behind_bytes", behind_bytes);
    if (with == NULL)
        return;
    tako_put_u8(out, ',');
    put_text(out, "complete_with", with->who.name);
    put_number(out, "complete_ms", best.complete_ms);
}

bool node_in_sync(const node *n)
{
    sync_subscription_state s;
    tako_slice text;
    bool good = true;

    for (const node_link *l = n->links; l != NULL; l = l->next)
        for (size_t i = 0; good && l->session != NULL &&
                           sync_session_served(l->session, i, &text, &good);
             i++)
            ;
    for (const node_sub *sub = n->subs; sub != NULL && good; sub = sub->next) {
        size_t links = 0;

        for (const node_link *l = n->links; l != NULL && good; l = l->next)
            if (l->session != NULL && find_state(l, sub->id, node_now(n), &s)) {
                good = s.in_sync;
                links++;
            }
        good = good && links > 0;
    }
    return good;
}

static void put_sub(const node *n, tako_buf *out, const node_sub *sub)
{
    sync_subscription_state s;
    bool in_sync = false, first = true;

    tako_put_fmt(out, "{\"id\":%lu,\"statement\":", (unsigned long)sub->id);
    json_put_string(out, query_predicate_text(sub->predicate->query));
    tako_put_str(out, ",\"peers\":[");
    for (const node_link *l = n->links; l != NULL; l = l->next) {
        if (l->session == NULL || !find_state(l, sub->id, node_now(n), &s))
            continue;
        tako_put_str(out, first ? "{" : ",{");
        first = false;
        put_text(out, "peer", l->who.name);
        tako_put_fmt(out, ",\"in_sync\":%s,\"refused\":%s",
                     s.in_sync ? "true" : "false",
                     s.refused ? "true" : "false");
        put_number(out, "peer_commit", s.peer_lsn);
        put_number(out, "documents", s.documents);
        put_number(out, "catchup_ms", s.catchup_ms);
        tako_put_fmt(out, ",\"covers\":%s,\"mode\":\"%s\"}",
                     s.covers ? "true" : "false",
                     s.mode == 0   ? "eager"
                     : s.mode == 1 ? "own"
                                   : "pruned");
        in_sync = in_sync || s.in_sync;
    }
    tako_put_fmt(out, "],\"in_sync\":%s", in_sync ? "true" : "false");
    put_state(n, out, sub);
    tako_put_u8(out, '}');
}

/* What is to leave and waits for a keeper, or stays stale; nothing when that
 * cannot be read now. */
static void put_leaving(node *n, tako_buf *out)
{
    store_leaving_facts f;

    tako_put_fmt(out, ",\"archive\":%s", n->archive ? "true" : "false");
    if (store_leaving_count(n->reader, &f, NULL) == TAKO_OK)
        tako_put_fmt(out,
                     ",\"leaving\":{\"count\":%llu,\"since\":%llu,"
                     "\"stale\":%llu}",
                     (unsigned long long)f.count,
                     (unsigned long long)f.since_ms,
                     (unsigned long long)f.stale);
}

static const char *name_of(const node *n, const uint8_t device[SEC_KEY_BYTES],
                           char key[2 * SEC_KEY_BYTES + 1])
{
    const char *name = node_receipts_name(n, device);

    put_hex(device, SEC_KEY_BYTES, key);
    return name != NULL ? name : key;
}

static void put_commit(node *n, tako_buf *out, uint64_t lsn)
{
    uint8_t devices[NODE_HOLDERS_MAX][SEC_KEY_BYTES];
    char key[2 * SEC_KEY_BYTES + 1];
    size_t kept = node_holders(n, NULL, lsn, false, devices);

    tako_put_fmt(out, "{\"commit\":%llu", (unsigned long long)lsn);
    put_number(out, "kept", kept);
    tako_put_str(out, ",\"keepers\":[");
    for (size_t i = 0; i < kept && i < TAKO_RECEIPTS_KEEPERS_MAX; i++) {
        if (i > 0)
            tako_put_u8(out, ',');
        json_put_string(out, tako_slice_str(name_of(n, devices[i], key)));
    }
    tako_put_u8(out, ']');
    put_number(out, "have", node_holders(n, NULL, lsn, true, devices));
    tako_put_u8(out, '}');
}

/* Who has the program's last commits, the newest first. */
static void put_commits(node *n, tako_buf *out)
{
    const node_receipts *t = &n->receipts;

    tako_put_str(out, ",\"commits\":[");
    for (size_t i = 0; i < t->commit_count && i < TAKO_RECEIPTS_COMMITS_MAX;
         i++) {
        if (i > 0)
            tako_put_u8(out, ',');
        put_commit(
            n, out,
            t->commits[(t->commit_count - 1 - i) % TAKO_RECEIPTS_COMMITS_MAX]);
    }
    tako_put_u8(out, ']');
}

tako_err node_status(node *n, tako_buf *json)
{
    tako_put_str(json, "\"links\":[");
    for (const node_link *l = n->links; l != NULL; l = l->next) {
        put_link(n, json, l);
        if (l->next != NULL)
            tako_put_u8(json, ',');
    }
    tako_put_str(json, "],\"peers\":[");
    for (const node_peer *p = n->peers; p != NULL; p = p->next) {
        put_peer(n, json, p);
        if (p->next != NULL)
            tako_put_u8(json, ',');
    }
    tako_put_str(json, "],\"subscriptions\":[");
    for (const node_sub *sub = n->subs; sub != NULL; sub = sub->next) {
        put_sub(n, json, sub);
        if (sub->next != NULL)
            tako_put_u8(json, ',');
    }
    tako_put_u8(json, ']');
    put_leaving(n, json);
    put_commits(n, json);
    node_clock_status(n, json);
    tako_put_u8(json, ',');
    node_blobs_status(n, json);
    return json->failed ? TAKO_NOMEM : TAKO_OK;
}
