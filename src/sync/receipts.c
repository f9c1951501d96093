// SPDX-License-Identifier: Apache-2.0
/* RECEIPTS -- who has what, further away than one hop (SYNC.md 7).
 *
 * KEPT is said to a neighbour and in its commits: "all that matches T and was
 * with you by commit m is on my disk". Such a sentence can be handed on. If B
 * has all that A had of T by A's commit m, and had it by its own commit k, and
 * C has said KEPT of T to B up to k, then C keeps all that A had of T by m. So B
 * tells A: device C, text T, commit m; and A, in the same way, its neighbours.
 *
 *   - It is proven at each hop from what was stored there, not guessed from a
 *     way that a change may have taken; whichever way that was.
 *   - Commits need no receipt each: one number stands for all up to it, and
 *     moves once in a while. A message of four bytes acknowledges a thousand.
 *   - A device is named by its key. Told by two neighbours, as in a ring, it is
 *     one device still, and the greater number counts.
 *   - The sentence speaks of the past and stays true. Lost with a link, it is
 *     said again by the next session, which finds out anew who holds what.
 *
 * Where B takes from A only what matches P, the sentence is about what matches
 * T and P: hence several texts, up to TAKO_RECEIPTS_TEXTS_MAX.
 *
 * Here is only the wire: sentences under numbers, so that raising one costs two
 * small numbers. What may be said is the node's to know (node/receipts.c).
 *
 * INVARIANTS
 *   (R1) a number means what its last definition said;
 *   (R2) the commit of a number never falls while it means the same;
 *   (R3) both sides keep at most TAKO_RECEIPTS_TOLD_MAX of them. */
#include "sync/receipts.h"

#include "codec/cbor.h"
#include "sync/state.h"

#define SEND_BYTES (16u << 10) /* of one message, about */

typedef enum entry_kind {
    ENTRY_RAISE,
    ENTRY_DEFINE,
    ENTRY_GONE,
    ENTRY_ASK,
} entry_kind;

#define ENTRY_BITS 2u

typedef struct told {
    uint64_t key;
    uint64_t lsn; /* 0: free */
} told;

typedef struct heard {
    uint32_t id;  /* the host's; 0: it does not care */
    uint64_t lsn; /* 0: never defined */
} heard;

struct sync_receipts {
    told out[TAKO_RECEIPTS_TOLD_MAX];
    size_t out_count, out_turn;
    heard in[TAKO_RECEIPTS_TOLD_MAX];
    tako_buf message; /* of entries, not yet sent */
};

void sync_receipts_free(const tako_env *env, sync_receipts *r)
{
    if (r == NULL)
        return;
    tako_buf_fini(&r->message);
    tako_env_free(env, r, sizeof *r);
}

/* Made at first use. NULL: no memory, which ends the session, as nothing that
 * is due may be left out for ever. */
static sync_receipts *table(sync_session *s)
{
    if (s->receipts == NULL) {
        s->receipts = tako_env_alloc(s->env, sizeof *s->receipts);
        if (s->receipts != NULL)
            s->receipts->message = tako_buf_on(s->env);
        s->control.failed = s->control.failed || s->receipts == NULL;
    }
    return s->receipts;
}

/* ---- telling -------------------------------------------------------------- */

static void put_head(sync_receipts *r, size_t number, entry_kind kind)
{
    tako_put_varint(&r->message, (uint64_t)number << ENTRY_BITS | kind);
}

static told *told_find(sync_receipts *r, uint64_t key)
{
    for (size_t i = 0; i < r->out_count; i++)
        if (r->out[i].lsn != 0 && r->out[i].key == key)
            return &r->out[i];
    return NULL;
}

/* A number for something new: a free one, or that of another in turn. */
static told *told_new(sync_receipts *r)
{
    for (size_t i = 0; i < r->out_count; i++)
        if (r->out[i].lsn == 0)
            return &r->out[i];
    if (r->out_count < TAKO_RECEIPTS_TOLD_MAX)
        return &r->out[r->out_count++];
    return &r->out[r->out_turn++ % TAKO_RECEIPTS_TOLD_MAX];
}

static void put_definition(sync_receipts *r, size_t number,
                           const sync_receipt *in)
{
    put_head(r, number, ENTRY_DEFINE);
    tako_put_bytes(&r->message, tako_slice_of(in->device, sizeof in->device));
    tako_put_block(&r->message, in->name);
    tako_put_u8(&r->message, in->passed ? SYNC_KEPT_PASSED : 0);
    tako_put_varint(&r->message, in->text_count);
    for (size_t i = 0; i < in->text_count; i++)
        tako_put_block(&r->message, in->texts[i]);
    tako_put_varint(&r->message, in->lsn);
}

void sync_session_receipt(sync_session *s, uint64_t key, const sync_receipt *r)
{
    sync_receipts *t = s->dead ? NULL : table(s);
    told *known;

    if (t == NULL)
        return;
    known = told_find(t, key);
    if (known != NULL && r->lsn <= known->lsn)
        return;
    if (known != NULL) {
        put_head(t, (size_t)(known - t->out), ENTRY_RAISE);
        tako_put_varint(&t->message, r->lsn - known->lsn);
        known->lsn = r->lsn;
    } else {
        known = told_new(t);
        put_definition(t, (size_t)(known - t->out), r);
        *known = (told){ key, r->lsn };
    }
    if (t->message.len >= SEND_BYTES)
        sync_session_receipts_send(s);
}

void sync_session_receipt_gone(sync_session *s, uint64_t key)
{
    told *known =
        s->dead || s->receipts == NULL ? NULL : told_find(s->receipts, key);

    if (known == NULL)
        return;
    put_head(s->receipts, (size_t)(known - s->receipts->out), ENTRY_GONE);
    *known = (told){ 0, 0 };
}

void sync_session_receipt_ask(sync_session *s, tako_slice who, unsigned hops)
{
    sync_receipts *t = s->dead ? NULL : table(s);

    if (t == NULL)
        return;
    put_head(t, hops, ENTRY_ASK);
    tako_put_block(&t->message, who);
}

void sync_session_receipts_send(sync_session *s)
{
    sync_receipts *t = s->receipts;

    if (t == NULL || s->dead || (t->message.len == 0 && !t->message.failed))
        return;
    sync_control(s, SYNC_MSG_RECEIPTS, tako_buf_slice(&t->message));
    s->control.failed = s->control.failed || t->message.failed;
    tako_buf_reset(&t->message);
}

bool sync_session_held(const sync_session *s, size_t i, uint32_t *user,
                       uint64_t *lsn)
{
    if (i >= s->sub_count)
        return false;
    *user = s->subs[i].user;
    *lsn = s->dead || !s->cleared || s->held.first != NULL
               ? 0
               : sync_held_of(s, &s->subs[i]);
    return true;
}

/* ---- being told ------------------------------------------------------------- */

/* A device's name, or what stands for it. */
static tako_slice get_name(tako_reader *in)
{
    tako_slice name = tako_read_block(in);

    if (name.len > TAKO_NAME_BYTES_MAX || !utf8_check(name))
        in->failed = true;
    return name;
}

static void get_definition(tako_reader *in, sync_receipt *out)
{
    tako_slice device = tako_read_bytes(in, SYNC_DEVICE_BYTES);
    uint64_t count;

    *out = (sync_receipt){ .text_count = 0 };
    if (!in->failed)
        memcpy(out->device, device.ptr, SYNC_DEVICE_BYTES);
    out->name = get_name(in);
    out->passed = (tako_read_u8(in) & SYNC_KEPT_PASSED) != 0;
    count = tako_read_varint(in);
    if (count == 0 || count > TAKO_RECEIPTS_TEXTS_MAX)
        in->failed = true;
    for (; !in->failed && count > 0; count--) {
        tako_slice text = tako_read_block(in);

        if (text.len == 0 || text.len > TAKO_RECEIPTS_TEXT_BYTES_MAX)
            in->failed = true;
        out->texts[out->text_count++] = text;
    }
    out->lsn = tako_read_varint(in);
}

static void on_define(sync_session *s, heard *h, tako_reader *in)
{
    const sync_receipts_host *host = s->host->receipts;
    sync_receipt r;

    get_definition(in, &r);
    if (in->failed || r.lsn == 0 || r.lsn > s->heard) {
        in->failed = true;
        return;
    }
    h->lsn = r.lsn;
    h->id = 0;
    if (host != NULL && host->made(s->host->ctx, &r, &h->id) != TAKO_OK)
        s->control.failed = true;
}

static void on_raise(sync_session *s, heard *h, tako_reader *in)
{
    uint64_t more = tako_read_varint(in);

    if (in->failed || h->lsn == 0 || more == 0 || more > s->heard - h->lsn) {
        in->failed = true;
        return;
    }
    h->lsn += more;
    if (h->id != 0)
        s->host->receipts->raised(s->host->ctx, h->id, h->lsn);
}

static void on_gone(sync_session *s, heard *h, tako_reader *in)
{
    if (h->lsn == 0)
        in->failed = true;
    if (h->id != 0)
        s->host->receipts->gone(s->host->ctx, h->id);
    *h = (heard){ 0, 0 };
}

static void on_ask(sync_session *s, uint64_t hops, tako_reader *in)
{
    tako_slice who = get_name(in);

    if (in->failed || who.len == 0 || hops > TAKO_RECEIPTS_HOPS_MAX) {
        in->failed = true;
        return;
    }
    if (s->host->receipts != NULL)
        s->host->receipts->asked(s->host->ctx, who, (unsigned)hops);
}

static void on_entry(sync_session *s, tako_reader *in)
{
    uint64_t head = tako_read_varint(in);
    uint64_t number = head >> ENTRY_BITS;
    entry_kind kind = (entry_kind)(head & ((1u << ENTRY_BITS) - 1u));
    heard *h;

    if (kind == ENTRY_ASK) {
        on_ask(s, number, in);
        return;
    }
    if (in->failed || number >= TAKO_RECEIPTS_TOLD_MAX || table(s) == NULL) {
        in->failed = true;
        return;
    }
    h = &s->receipts->in[number];
    switch (kind) {
    case ENTRY_RAISE:
        on_raise(s, h, in);
        return;
    case ENTRY_DEFINE:
        on_define(s, h, in);
        return;
    case ENTRY_GONE:
        on_gone(s, h, in);
        return;
    case ENTRY_ASK:
        return;
    }
}

tako_err sync_on_receipts(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    if (s->peer_bars.write) /* it vouches for nobody: denied.c */
        return TAKO_OK;
    while (!in->failed && tako_reader_left(in) > 0)
        on_entry(s, in);
    if (s->control.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    return in->failed ? tako_fail(e, TAKO_CORRUPT, "malformed RECEIPTS")
                      : TAKO_OK;
}
