// SPDX-License-Identifier: Apache-2.0
/* BLOBS -- peers, messages, and time.
 *
 * A fetch is a seek that keeps; TAKO_BLOB_ACTIVE_MAX of them run, the others
 * wait in the order they came. What is passed on for neighbours is a seek too,
 * so both are found and checked in one way. */
#include "sync/blob_state.h"

/* ---- bytes that wait ------------------------------------------------------- */

void blob_list_init(blob_list *l)
{
    l->first = NULL;
    l->last = &l->first;
    l->count = 0;
}

bool blob_list_put(const tako_env *env, blob_list *l, uint32_t part,
                   tako_slice bytes)
{
    blob_bytes *b = tako_env_alloc(env, sizeof *b + bytes.len);

    if (b == NULL)
        return false;
    b->part = part;
    b->len = bytes.len;
    if (bytes.len > 0)
        memcpy(b->bytes, bytes.ptr, bytes.len);
    *l->last = b;
    l->last = &b->next;
    l->count++;
    return true;
}

blob_bytes *blob_list_take(blob_list *l)
{
    blob_bytes *b = l->first;

    if (b == NULL)
        return NULL;
    l->first = b->next;
    if (l->first == NULL)
        l->last = &l->first;
    l->count--;
    return b;
}

void blob_bytes_free(const tako_env *env, blob_bytes *b)
{
    if (b != NULL)
        tako_env_free(env, b, sizeof *b + b->len);
}

void blob_list_clear(const tako_env *env, blob_list *l)
{
    blob_bytes *b;

    while ((b = blob_list_take(l)) != NULL)
        blob_bytes_free(env, b);
}

/* ---- messages -------------------------------------------------------------- */

void blob_say(sync_blob_peer *p, sync_msg kind, tako_slice body)
{
    tako_put_varint(&p->control, body.len + 1u);
    tako_put_u8(&p->control, (uint8_t)kind);
    tako_put_bytes(&p->control, body);
}

void blob_put_range(tako_buf *out, uint32_t *end, uint32_t first,
                    uint32_t count)
{
    tako_put_varint(out, first - *end);
    tako_put_varint(out, count - 1u);
    *end = first + count;
}

/* The next run of set bits from *at on; false: there is none. */
static bool next_run(const uint8_t *bits, uint32_t parts, uint32_t *at,
                     uint32_t *count)
{
    uint32_t i = *at;

    if (bits == NULL) {
        *count = parts - i;
        return i < parts;
    }
    while (i < parts && !blob_bit(bits, i))
        i++;
    *at = i;
    while (i < parts && blob_bit(bits, i))
        i++;
    *count = i - *at;
    return *count > 0;
}

void blob_put_ranges(tako_buf *out, const uint8_t *bits, uint32_t parts)
{
    uint32_t at = 0, count, runs = 0, end = 0;

    while (runs < TAKO_BLOB_RANGES_MAX && next_run(bits, parts, &at, &count)) {
        at += count;
        runs++;
    }
    tako_put_varint(out, runs);
    at = 0;
    for (uint32_t i = 0; i < runs && next_run(bits, parts, &at, &count); i++) {
        blob_put_range(out, &end, at, count);
        at += count;
    }
}

bool blob_ranges_begin(tako_reader *in, uint32_t parts, blob_ranges *out)
{
    *out = (blob_ranges){ in, tako_read_varint(in), 0, parts };
    if (out->left > TAKO_BLOB_RANGES_MAX)
        in->failed = true;
    return !in->failed;
}

bool blob_ranges_next(blob_ranges *r, uint32_t *first, uint32_t *count)
{
    uint64_t gap, n;

    if (r->left == 0)
        return false;
    r->left--;
    gap = tako_read_varint(r->in);
    n = tako_read_varint(r->in);
    if (r->in->failed || gap > r->parts || n >= r->parts ||
        r->end + gap + n + 1u > r->parts) {
        r->in->failed = true;
        return false;
    }
    *first = (uint32_t)(r->end + gap);
    *count = (uint32_t)(n + 1u);
    r->end += gap + n + 1u;
    return true;
}

/* ---- life -------------------------------------------------------------------- */

tako_err sync_blobs_new(const tako_env *env, const sync_blobs_host *host,
                        store_conn *reader, sync_blobs **out)
{
    sync_blobs *b = tako_env_alloc(env, sizeof *b);

    *out = NULL;
    if (b == NULL)
        return TAKO_NOMEM;
    b->env = env;
    b->host = host;
    b->reader = reader;
    b->write_ms = UINT64_MAX;
    b->look = true;
    *out = b;
    return TAKO_OK;
}

void sync_blobs_free(sync_blobs *b)
{
    if (b == NULL)
        return;
    TAKO_ASSERT(b->peers == NULL);
    while (b->seeks != NULL)
        blob_seek_free(b->seeks);
    tako_env_free(b->env, b, sizeof *b);
}

tako_err sync_blob_peer_new(sync_blobs *b, sync_blob_peer **out)
{
    sync_blob_peer *p = tako_env_alloc(b->env, sizeof *p);

    *out = NULL;
    if (p == NULL)
        return TAKO_NOMEM;
    p->b = b;
    p->control = tako_buf_on(b->env);
    p->next = b->peers;
    b->peers = p;
    *out = p;
    return TAKO_OK;
}

void sync_blob_peer_free(sync_blob_peer *p)
{
    sync_blob_peer **at;
    sync_blobs *b;

    if (p == NULL)
        return;
    b = p->b;
    for (at = &b->peers; *at != p; at = &(*at)->next)
        ;
    *at = p->next;
    while (p->serves != NULL)
        blob_serve_free(p->serves);
    for (blob_seek *k = b->seeks; k != NULL; k = k->next)
        blob_seek_lose(k, p);
    b->kick = true;
    tako_buf_fini(&p->control);
    tako_env_free(b->env, p, sizeof *p);
}

void sync_blob_peer_ready(sync_blob_peer *p, uint64_t now_ms)
{
    p->ready = true;
    for (blob_seek *k = p->b->seeks; k != NULL; k = k->next)
        if (k->running && k->down == NULL)
            blob_seek_ask_one(k, now_ms, p);
}

/* ---- fetching ------------------------------------------------------------------ */

static blob_seek *fetch_find(const sync_blobs *b,
                             const uint8_t id[BLOB_ID_BYTES])
{
    for (blob_seek *k = b->seeks; k != NULL; k = k->next)
        if (k->down == NULL && memcmp(k->id, id, BLOB_ID_BYTES) == 0)
            return k;
    return NULL;
}

/* Lets those begin that may. */
static void fetches_run(sync_blobs *b, uint64_t now_ms)
{
    uint32_t running = 0;

    for (blob_seek *k = b->seeks; k != NULL; k = k->next)
        running += k->down == NULL && k->running;
    for (blob_seek *k = b->seeks; k != NULL && running < TAKO_BLOB_ACTIVE_MAX;
         k = k->next) {
        if (k->down != NULL || k->running)
            continue;
        k->running = true;
        running++;
        blob_seek_ask(k, now_ms, NULL);
    }
}

tako_err sync_blobs_fetch(sync_blobs *b, uint64_t now_ms,
                          const uint8_t id[BLOB_ID_BYTES], uint64_t len,
                          tako_errbuf *e)
{
    blob_form form;
    blob_seek *k;
    tako_err err;

    if (!blob_form_of(len, &form))
        return tako_fail(e, TAKO_LIMIT, "an attachment has over %llu bytes",
                         (unsigned long long)TAKO_BLOB_BYTES_MAX);
    if (fetch_find(b, id) != NULL)
        return tako_fail(e, TAKO_EXISTS, "it is being fetched already");
    if (b->fetch_count >= TAKO_BLOB_FETCHES_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u attachments to fetch",
                         TAKO_BLOB_FETCHES_MAX);
    err = blob_seek_new(b, id, &form, &k);
    if (err == TAKO_OK) {
        err = blob_recall(k, e);
        if (err != TAKO_OK)
            blob_seek_free(k);
    }
    if (err == TAKO_NOMEM)
        return tako_fail(e, err, "out of memory");
    if (err != TAKO_OK)
        return err;
    fetches_run(b, now_ms);
    blob_seek_judge(k, now_ms);
    return TAKO_OK;
}

tako_err sync_blobs_cancel(sync_blobs *b, const uint8_t id[BLOB_ID_BYTES])
{
    blob_seek *k = fetch_find(b, id);

    if (k == NULL)
        return TAKO_NOTFOUND;
    blob_seek_free(k);
    return TAKO_OK;
}

void sync_blobs_on_commit(sync_blobs *b)
{
    b->look = true;
}

/* Begins to fetch what documents refer to and is not here: so many at a time,
 * going on after the last one. */
static void look(sync_blobs *b, uint64_t now_ms)
{
    uint8_t id[BLOB_ID_BYTES];
    uint64_t len;
    tako_err err = TAKO_OK;

    b->looked_ms = now_ms;
    for (uint32_t i = 0; i < BLOB_LOOK_MAX; i++) {
        err = store_blob_missing(b->reader, b->look_on ? b->look_after : NULL,
                                 id, &len, NULL);
        if (err != TAKO_OK)
            break;
        memcpy(b->look_after, id, sizeof id);
        b->look_on = true;
        if (sync_blobs_fetch(b, now_ms, id, len, NULL) == TAKO_LIMIT)
            break;
    }
    if (err == TAKO_NOTFOUND) { /* all were seen */
        b->look_on = false;
        b->look = false;
    }
}

static void state_of(const blob_seek *k, sync_blob_state *out)
{
    *out = (sync_blob_state){ .parts = k->form.parts,
                              .have = k->kept_count,
                              .waiting = !k->running,
                              .unavailable = k->unavailable };
    memcpy(out->id, k->id, BLOB_ID_BYTES);
    for (const blob_source *s = k->sources; s != NULL; s = s->next)
        out->sources += s->state == SOURCE_HAS && !s->bad;
}

bool sync_blobs_fetching(const sync_blobs *b, size_t i, sync_blob_state *out)
{
    for (const blob_seek *k = b->seeks; k != NULL; k = k->next) {
        if (k->down != NULL || i-- > 0)
            continue;
        state_of(k, out);
        return true;
    }
    return false;
}

tako_err sync_blobs_state(const sync_blobs *b, const uint8_t id[BLOB_ID_BYTES],
                          sync_blob_state *out)
{
    const blob_seek *k = fetch_find(b, id);

    if (k == NULL)
        return TAKO_NOTFOUND;
    state_of(k, out);
    return TAKO_OK;
}

void sync_blobs_counts_read(const sync_blobs *b, sync_blobs_counts *out)
{
    *out = b->counts;
    out->fetching = b->fetch_count;
    out->passing = b->pass_count;
}

/* ---- time ------------------------------------------------------------------------- */

static bool look_due(const sync_blobs *b)
{
    return b->look && b->peers != NULL && b->host->automatic(b->host->ctx);
}

uint64_t sync_blobs_deadline(const sync_blobs *b)
{
    uint64_t at = b->write_ms;

    if (b->kick)
        return 0;
    if (look_due(b) && b->looked_ms + BLOB_LOOK_MS < at)
        at = b->looked_ms + BLOB_LOOK_MS;
    for (const blob_seek *k = b->seeks; k != NULL; k = k->next) {
        uint64_t d = blob_seek_deadline(k);

        at = d < at ? d : at;
    }
    for (const sync_blob_peer *p = b->peers; p != NULL; p = p->next)
        at = blob_pace_deadline(p) < at ? blob_pace_deadline(p) : at;
    return at;
}

/* Passing on ends when nobody has it, or when the asker wants no more. */
static void passes_end(sync_blobs *b, uint64_t now_ms)
{
    blob_seek *next;

    for (blob_seek *k = b->seeks; k != NULL; k = next) {
        blob_serve *v = k->down;

        next = k->next;
        if (v == NULL)
            continue;
        if (now_ms >= v->used_ms + BLOB_RELAY_IDLE_MS)
            blob_serve_free(v);
        else
            blob_serve_news(v, now_ms);
    }
}

static void finish(sync_blobs *b, uint64_t now_ms)
{
    blob_seek *next;

    for (blob_seek *k = b->seeks; k != NULL; k = next) {
        next = k->next;
        if (k->down == NULL && k->kept_count == k->form.parts) {
            b->host->event(b->host->ctx, SYNC_BLOB_WHOLE, k->id);
            blob_seek_free(k);
        }
    }
    fetches_run(b, now_ms);
}

void sync_blobs_tick(sync_blobs *b, uint64_t now_ms)
{
    bool kick = b->kick;

    b->kick = false; /* what ends meanwhile gives others their turn */
    if (look_due(b) && now_ms >= b->looked_ms + BLOB_LOOK_MS)
        look(b, now_ms);
    if (now_ms >= b->write_ms) {
        blob_keep(b, now_ms);
        kick = true; /* there is room again */
    }
    for (sync_blob_peer *p = b->peers; p != NULL; p = p->next)
        kick = blob_pace_tick(p, now_ms) || kick;
    for (blob_seek *k = b->seeks; k != NULL; k = k->next)
        if (k->running && (kick || blob_seek_deadline(k) <= now_ms))
            blob_seek_tick(k, now_ms);
    passes_end(b, now_ms);
    finish(b, now_ms);
}

/* ---- messages in and out ------------------------------------------------------------ */

static tako_err on_have(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                        tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    uint8_t flags = tako_read_u8(in);
    blob_seek *k = NULL;
    blob_source *s = blob_source_of(p->b, p, number, &k);
    blob_ranges r;
    uint32_t first, count;

    if (in->failed || (flags & ~1u) != 0)
        return tako_fail(e, TAKO_CORRUPT, "malformed HAVE");
    if (s == NULL)
        return TAKO_OK; /* not wanted any more */
    if (s->state == SOURCE_ASKED)
        blob_pace_replied(p, now_ms, now_ms - s->asked_ms);
    s->state = SOURCE_HAS;
    s->growing = (flags & 1u) != 0;
    s->heard_ms = now_ms;
    if (s->bits == NULL)
        s->bits = tako_env_alloc(p->b->env, blob_bits_len(k->form.parts));
    if (s->bits == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    (void)blob_ranges_begin(in, k->form.parts, &r);
    while (blob_ranges_next(&r, &first, &count)) {
        s->whole = s->whole || count == k->form.parts;
        for (uint32_t i = 0; i < count; i++)
            blob_bit_set(s->bits, first + i);
    }
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed HAVE");
    k->unavailable = k->unavailable && blob_seek_hopeless(k, now_ms);
    blob_seek_go(k, now_ms);
    blob_seek_judge(k, now_ms);
    if (k->down != NULL)
        blob_serve_news(k->down, now_ms);
    return TAKO_OK;
}

static tako_err on_none(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                        tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    blob_seek *k = NULL;
    blob_source *s = blob_source_of(p->b, p, number, &k);
    blob_ranges r;
    uint32_t first, count;

    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "malformed NONE");
    if (s == NULL)
        return TAKO_OK;
    (void)blob_ranges_begin(in, k->form.parts, &r);
    if (!in->failed && r.left == 0) {
        s->state = SOURCE_NONE;
        blob_source_lacks(k, s, 0, k->form.parts);
    }
    while (blob_ranges_next(&r, &first, &count))
        blob_source_lacks(k, s, first, count);
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed NONE");
    blob_seek_go(k, now_ms);
    blob_seek_judge(k, now_ms);
    if (k->down != NULL)
        blob_serve_news(k->down, now_ms);
    return TAKO_OK;
}

static tako_err on_part(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                        tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    uint64_t part = tako_read_varint(in);
    blob_seek *k = NULL;
    blob_source *s = blob_source_of(p->b, p, number, &k);
    tako_slice bytes = tako_read_bytes(in, tako_reader_left(in));

    if (in->failed || bytes.len > BLOB_PART_BYTES)
        return tako_fail(e, TAKO_CORRUPT, "malformed PART");
    p->b->counts.parts_in++;
    p->b->counts.bytes_in += bytes.len;
    if (s == NULL) { /* late: the question was taken back */
        if (++p->unasked > TAKO_BLOB_UNASKED_MAX)
            return tako_fail(e, TAKO_CORRUPT, "parts that nobody asked for");
        return TAKO_OK;
    }
    if (part >= k->form.parts)
        return tako_fail(e, TAKO_CORRUPT, "a part beyond the last");
    TAKO_TRY(blob_seek_part(k, s, now_ms, (uint32_t)part, bytes));
    if (p->unasked > TAKO_BLOB_UNASKED_MAX)
        return tako_fail(e, TAKO_CORRUPT, "parts that nobody asked for");
    blob_keep(p->b, now_ms);
    blob_seeks_go(k, now_ms);
    finish(p->b, now_ms);
    return TAKO_OK;
}

tako_err sync_blob_peer_recv(sync_blob_peer *p, uint64_t now_ms, uint8_t kind,
                             tako_reader *in, tako_errbuf *e)
{
    if (p->control.len > BLOB_CONTROL_MAX)
        return tako_fail(e, TAKO_LIMIT, "questions without reading answers");
    switch (kind) {
    case SYNC_MSG_BLOB_ASK:
        return blob_on_ask(p, now_ms, in, e);
    case SYNC_MSG_BLOB_HAVE:
        return on_have(p, now_ms, in, e);
    case SYNC_MSG_BLOB_WANT:
        return blob_on_want(p, now_ms, in, e);
    case SYNC_MSG_BLOB_PART:
        return on_part(p, now_ms, in, e);
    case SYNC_MSG_BLOB_NONE:
        return on_none(p, now_ms, in, e);
    case SYNC_MSG_BLOB_STOP:
        return blob_on_stop(p, in, e);
    default:
        return tako_fail(e, TAKO_UNSUPPORTED, "no message of attachments");
    }
}

bool sync_blob_peer_due(const sync_blob_peer *p)
{
    return p->ready &&
           (p->control.len > 0 || p->control.failed || blob_serve_due(p));
}

tako_err sync_blob_peer_send(sync_blob_peer *p, uint64_t now_ms, tako_buf *out,
                             tako_errbuf *e)
{
    tako_reader in = tako_reader_of(tako_buf_slice(&p->control));

    (void)now_ms;
    if (!p->ready)
        return TAKO_OK;
    if (p->control.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (p->control.len == 0)
        return blob_serve_send(p, out, e);
    in.pos = p->control_at;
    tako_put_bytes(out, tako_read_block(&in));
    p->control_at = in.pos;
    if (tako_reader_left(&in) == 0) {
        p->control_at = 0;
        tako_buf_reset(&p->control);
    }
    return TAKO_OK;
}
