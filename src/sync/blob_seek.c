// SPDX-License-Identifier: Apache-2.0
/* BLOB SEEK -- finding a content among neighbours, and fetching its parts.
 *
 * ORDER  The root is wanted first, then each node before its chunks, so every
 * part can be checked when it comes. Chunks are wanted in order; which source
 * gets which is decided when it has room in its window, so ranges are disjoint
 * and a fast source takes more. A window begins small and grows by one with
 * each part; how many are under way from one neighbour is bounded over all that
 * is wanted of it (blob_pace.c), so a slow link never owes much.
 *
 * FAULTS  A wrong part: the source is bad for this content, what it owed is
 * wanted of others. Silence: likewise but for a time, and only where there is
 * somebody else; a slow link that is alone is waited for. A late part that is
 * still lacking is taken. When no source is left, neighbours are asked anew,
 * with pauses that grow; and when one comes, at once. */
#include "sync/blob_state.h"

#define ALONE_STALLS 15u /* times the patience with who is alone */

/* ---- parts under way ------------------------------------------------------------ */

static void flight_end(blob_seek *k, size_t i)
{
    blob_flight f = k->flights[i];

    if (blob_part_is_large(&k->form, f.part))
        blob_pace_ended(f.from->peer);
    f.from->flying--;
    blob_bit_clear(k->busy, f.part);
    k->flights[i] = k->flights[--k->flight_count];
}

/* What a source owes may be wanted of others. */
static void flights_drop(blob_seek *k, const blob_source *s)
{
    for (size_t i = k->flight_count; i > 0; i--)
        if (k->flights[i - 1].from == s)
            flight_end(k, i - 1);
}

/* ---- life -------------------------------------------------------------------- */

tako_err blob_seek_new(sync_blobs *b, const uint8_t id[BLOB_ID_BYTES],
                       const blob_form *form, blob_seek **out)
{
    blob_seek *k = tako_env_alloc(b->env, sizeof *k), **at;
    size_t bits = blob_bits_len(form->parts);

    if (k == NULL)
        return TAKO_NOMEM;
    k->b = b;
    memcpy(k->id, id, sizeof k->id);
    k->form = *form;
    k->hops = TAKO_BLOB_HOPS_MAX;
    k->root = tako_buf_on(b->env);
    for (size_t i = 0; i < BLOB_NODES_KEPT; i++)
        k->nodes[i].bytes = tako_buf_on(b->env);
    blob_list_init(&k->pending);
    k->ask_ms = UINT64_MAX;
    k->pause_ms = BLOB_ASK_FIRST_MS;
    k->have = tako_env_alloc(b->env, bits);
    k->busy = tako_env_alloc(b->env, bits);
    for (at = &b->seeks; *at != NULL; at = &(*at)->next)
        ;
    *at = k;
    b->fetch_count++;
    if (k->have != NULL && k->busy != NULL) {
        *out = k;
        return TAKO_OK;
    }
    blob_seek_free(k);
    return TAKO_NOMEM;
}

static void say_stop(const blob_source *s)
{
    uint8_t bytes[16];
    tako_buf b = { .ptr = bytes, .cap = sizeof bytes };

    tako_put_varint(&b, s->number);
    blob_say(s->peer, SYNC_MSG_BLOB_STOP, tako_buf_slice(&b));
}

static void source_free(blob_seek *k, blob_source *s)
{
    blob_source **at = &k->sources;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    tako_env_free(k->b->env, s->bits,
                  s->bits != NULL ? blob_bits_len(k->form.parts) : 0);
    tako_env_free(k->b->env, s, sizeof *s);
}

void blob_seek_free(blob_seek *k)
{
    sync_blobs *b = k->b;
    blob_seek **at = &b->seeks;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    if (k->down != NULL)
        b->pass_count--;
    else
        b->fetch_count--;
    while (k->sources != NULL) {
        if (k->sources->state != SOURCE_NONE)
            say_stop(k->sources);
        flights_drop(k, k->sources);
        source_free(k, k->sources);
    }
    blob_list_clear(b->env, &k->pending);
    tako_buf_fini(&k->root);
    for (size_t i = 0; i < BLOB_NODES_KEPT; i++)
        tako_buf_fini(&k->nodes[i].bytes);
    tako_env_free(b->env, k->have, blob_bits_len(k->form.parts));
    tako_env_free(b->env, k->busy, blob_bits_len(k->form.parts));
    tako_env_free(b->env, k->flights, k->flight_cap * sizeof *k->flights);
    tako_env_free(b->env, k, sizeof *k);
}

/* ---- sources --------------------------------------------------------------------- */

blob_source *blob_source_of(sync_blobs *b, const sync_blob_peer *p,
                            uint64_t number, blob_seek **k)
{
    for (*k = b->seeks; *k != NULL; *k = (*k)->next)
        for (blob_source *s = (*k)->sources; s != NULL; s = s->next)
            if (s->peer == p && s->number == number)
                return s;
    return NULL;
}

bool blob_source_useful(const blob_source *s)
{
    return s->state == SOURCE_HAS && !s->bad && (s->whole || s->bits != NULL);
}

static bool source_has(const blob_source *s, uint32_t part)
{
    return blob_source_useful(s) && (s->whole || blob_bit(s->bits, part));
}

bool blob_seek_known(const blob_seek *k, uint32_t part)
{
    for (const blob_source *s = k->sources; s != NULL; s = s->next)
        if (source_has(s, part))
            return true;
    return false;
}

bool blob_seek_flying(const blob_seek *k, uint32_t part)
{
    for (size_t i = 0; i < k->flight_count; i++)
        if (k->flights[i].part == part)
            return true;
    return false;
}

void blob_source_lacks(blob_seek *k, blob_source *s, uint32_t first,
                       uint32_t count)
{
    if (s->bits == NULL)
        return;
    s->whole = false;
    for (uint32_t i = first; i < first + count; i++)
        blob_bit_clear(s->bits, i);
    for (size_t i = k->flight_count; i > 0; i--)
        if (k->flights[i - 1].from == s && k->flights[i - 1].part >= first &&
            k->flights[i - 1].part - first < count)
            flight_end(k, i - 1);
}

void blob_seek_lose(blob_seek *k, const sync_blob_peer *p)
{
    for (blob_source *s = k->sources, *next; s != NULL; s = next) {
        next = s->next;
        if (s->peer != p)
            continue;
        flights_drop(k, s);
        source_free(k, s);
    }
}

/* ---- asking ------------------------------------------------------------------------ */

static blob_source *source_for(blob_seek *k, sync_blob_peer *p)
{
    blob_source *s;

    for (s = k->sources; s != NULL; s = s->next)
        if (s->peer == p)
            return s;
    s = tako_env_alloc(k->b->env, sizeof *s);
    if (s == NULL)
        return NULL; /* asked next time */
    s->peer = p;
    s->state = SOURCE_NONE;
    s->window = BLOB_WINDOW_FIRST;
    s->next = k->sources;
    k->sources = s;
    return s;
}

void blob_seek_ask_one(blob_seek *k, uint64_t now_ms, sync_blob_peer *p)
{
    blob_source *s = p->ready ? source_for(k, p) : NULL;
    uint8_t bytes[96];
    tako_buf b = { .ptr = bytes, .cap = sizeof bytes };

    if (s == NULL || s->bad || (s->state == SOURCE_HAS && s->whole))
        return;
    if (s->state != SOURCE_NONE)
        say_stop(s);
    flights_drop(k, s);
    if (s->bits != NULL)
        memset(s->bits, 0, blob_bits_len(k->form.parts));
    s->number = p->next_number++;
    s->state = SOURCE_ASKED;
    s->whole = s->slow = false;
    k->asked_ms = s->asked_ms = now_ms;
    tako_put_varint(&b, s->number);
    tako_put_bytes(&b, tako_slice_of(k->id, sizeof k->id));
    tako_put_varint(&b, k->form.len);
    tako_put_bytes(&b, tako_slice_of(k->search, sizeof k->search));
    tako_put_u8(&b, k->hops);
    blob_say(p, SYNC_MSG_BLOB_ASK, tako_buf_slice(&b));
}

void blob_seek_ask(blob_seek *k, uint64_t now_ms, const sync_blob_peer *except)
{
    if (k->down == NULL)
        k->b->env->random(k->b->env->ctx, k->search, sizeof k->search);
    k->asked_ms = now_ms;
    for (sync_blob_peer *p = k->b->peers; p != NULL; p = p->next)
        if (p != except)
            blob_seek_ask_one(k, now_ms, p);
    k->ask_ms = k->down == NULL ? now_ms + k->pause_ms : UINT64_MAX;
    if (k->pause_ms < BLOB_ASK_MAX_MS)
        k->pause_ms *= 2;
}

static bool any_useful(const blob_seek *k, const blob_source *but)
{
    for (const blob_source *s = k->sources; s != NULL; s = s->next)
        if (s != but && blob_source_useful(s) && !s->slow)
            return true;
    return false;
}

/* Has it a part that is lacking here? (Who begins to fetch it itself has none;
 * two who were cut off from the rest may have the same.) */
static bool has_lacking(const blob_seek *k, const blob_source *s)
{
    if (!blob_source_useful(s))
        return false;
    for (size_t i = 0; !s->whole && i < blob_bits_len(k->form.parts); i++)
        if ((s->bits[i] & ~(k->down == NULL ? k->have[i] : 0u)) != 0)
            return true;
    return s->whole;
}

bool blob_seek_hopeless(const blob_seek *k, uint64_t now_ms)
{
    bool late = now_ms >= k->asked_ms + BLOB_ANSWER_MS;

    if (k->down == NULL && k->have_count == k->form.parts)
        return false;
    for (const blob_source *s = k->sources; s != NULL; s = s->next)
        if (has_lacking(k, s) || (s->state == SOURCE_ASKED && !late))
            return false;
    return true;
}

/* ---- wanting ------------------------------------------------------------------------- */

static void node_keep(blob_seek *k, uint32_t part, tako_slice bytes)
{
    unsigned at = k->node_turn++ % BLOB_NODES_KEPT;
    tako_buf *b = &k->nodes[at].bytes;

    tako_buf_reset(b);
    tako_put_bytes(b, bytes);
    k->nodes[at].part = b->failed ? 0 : part;
}

/* From the store, where a fetch goes on after a pause. What was collected
 * meanwhile, or is damaged, is wanted again; once it is kept, it is seen what
 * else is gone. */
static void inner_load(blob_seek *k, uint32_t part)
{
    blob_view v;
    tako_slice bytes;
    tako_err err;

    if (!blob_bit(k->have, part) || !k->expected)
        return;
    err = blob_view_open(k->b->reader, k->id, &v, NULL);
    if (err == TAKO_OK && v.facts.form.len != k->form.len)
        err = TAKO_NOTFOUND;
    if (err == TAKO_OK)
        err = blob_view_part(&v, k->b->reader, part, &bytes, NULL);
    if (err == TAKO_OK) {
        if (part > 0)
            node_keep(k, part, bytes);
        else
            tako_put_bytes(&k->root, bytes);
        k->rooted = k->rooted || (part == 0 && !k->root.failed);
    } else if (err == TAKO_NOTFOUND || err == TAKO_CORRUPT) {
        blob_bit_clear(k->have, part);
        k->have_count--;
        k->kept_count--;
    }
    blob_view_close(&v);
}

static bool inner_find(blob_seek *k, uint32_t part, tako_slice *out)
{
    if (part == 0) {
        *out = tako_buf_slice(&k->root);
        return k->rooted;
    }
    for (size_t i = 0; i < BLOB_NODES_KEPT; i++) {
        *out = tako_buf_slice(&k->nodes[i].bytes);
        if (k->nodes[i].part == part)
            return true;
    }
    for (const blob_bytes *b = k->pending.first; b != NULL; b = b->next) {
        *out = tako_slice_of(b->bytes, b->len);
        if (b->part == part)
            return true;
    }
    return false;
}

bool blob_seek_inner(blob_seek *k, uint32_t part, tako_slice *out)
{
    if (inner_find(k, part, out))
        return true;
    if (k->down == NULL)
        inner_load(k, part);
    return inner_find(k, part, out);
}

/* The next part that this source could give to a fetch. */
static bool pick_own(blob_seek *k, const blob_source *s, uint32_t *part)
{
    const blob_form *f = &k->form;

    if (!blob_bit(k->have, 0)) {
        *part = 0;
        return !blob_bit(k->busy, 0) && source_has(s, 0);
    }
    while (k->cursor < f->chunks &&
           blob_bit(k->have, blob_part_of_chunk(f, k->cursor)))
        k->cursor++;
    for (uint32_t c = k->cursor; c < f->chunks; c++) {
        uint32_t p = blob_part_of_chunk(f, c);
        size_t at;
        uint32_t node = blob_part_parent(f, p, &at);

        if (!blob_bit(k->have, node)) {
            *part = node;
            if (!blob_bit(k->busy, node) && source_has(s, node))
                return true;
            c = (c / BLOB_NODE_MAX + 1u) * BLOB_NODE_MAX - 1u;
            continue;
        }
        *part = p;
        if (!blob_bit(k->have, p) && !blob_bit(k->busy, p) && source_has(s, p))
            return true;
    }
    return false;
}

/* Likewise for a neighbour's sake: what it wants, or what is needed to check
 * that. */
static bool pick_passed(blob_seek *k, const blob_source *s, uint32_t *part)
{
    const blob_serve *v = k->down;
    tako_slice bytes;
    size_t at;

    for (uint32_t i = 0; i < v->wanted_count; i++) {
        uint32_t p = v->wanted[i];

        if (blob_serve_is_ready(v, p))
            continue;
        if (p > 0 && !k->rooted)
            p = 0;
        else if (blob_part_is_chunk(&k->form, p) &&
                 !blob_seek_inner(k, blob_part_parent(&k->form, p, &at),
                                  &bytes))
            p = blob_part_parent(&k->form, p, &at);
        *part = p;
        if (!blob_bit(k->busy, p) && source_has(s, p))
            return true;
    }
    return false;
}

static bool fly(blob_seek *k, blob_source *s, uint64_t now_ms, uint32_t part)
{
    if (k->flight_count == k->flight_cap) {
        size_t cap = k->flight_cap == 0 ? 16 : k->flight_cap * 2;
        blob_flight *grown = k->b->env->realloc(k->b->env->ctx, k->flights,
                                                k->flight_cap * sizeof *grown,
                                                cap * sizeof *grown);

        if (grown == NULL)
            return false;
        k->flights = grown;
        k->flight_cap = cap;
    }
    k->flights[k->flight_count++] = (blob_flight){ part, s, now_ms };
    blob_bit_set(k->busy, part);
    s->flying++;
    return true;
}

/* Fills a source's window. */
static void want(blob_seek *k, blob_source *s, uint64_t now_ms)
{
    uint32_t parts[TAKO_BLOB_WINDOW_MAX], count = 0, runs = 0, end = 0;
    tako_buf b = tako_buf_on(k->b->env);

    while (s->flying < s->window && k->pending.count < BLOB_PENDING_MAX) {
        uint32_t part, at = count;
        bool large;

        if (!(k->down == NULL ? pick_own : pick_passed)(k, s, &part))
            break;
        large = blob_part_is_large(&k->form, part);
        if (large && !blob_pace_lets(s->peer, now_ms)) {
            k->held = true;
            break;
        }
        if (s->flying == 0)
            s->heard_ms = now_ms;
        if (!fly(k, s, now_ms, part))
            break;
        if (large)
            blob_pace_wanted(s->peer, now_ms);
        while (at > 0 && parts[at - 1] > part) {
            parts[at] = parts[at - 1];
            at--;
        }
        parts[at] = part;
        count++;
    }
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        runs += i == 0 || parts[i] != parts[i - 1] + 1u;
    tako_put_varint(&b, s->number);
    tako_put_varint(&b, runs);
    for (uint32_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && parts[i + n] == parts[i] + n; n++)
            ;
        blob_put_range(&b, &end, parts[i], n);
    }
    if (b.failed)
        s->peer->control.failed = true; /* ends that session */
    blob_say(s->peer, SYNC_MSG_BLOB_WANT, tako_buf_slice(&b));
    tako_buf_fini(&b);
}

void blob_seek_go(blob_seek *k, uint64_t now_ms)
{
    k->held = false;
    if (!k->running || now_ms < k->hold_ms)
        return;
    for (blob_source *s = k->sources; s != NULL; s = s->next)
        if (blob_source_useful(s) && !s->slow)
            want(k, s, now_ms);
    for (blob_source *s = k->sources; s != NULL && k->flight_count == 0;
         s = s->next)
        if (blob_source_useful(s))
            want(k, s, now_ms);
    if (k->down != NULL || k->flight_count > 0 || k->held ||
        k->have_count == k->form.parts)
        return;
    /* Nothing more is to be had of these: of some of them, perhaps soon. */
    for (const blob_source *s = k->sources; s != NULL; s = s->next)
        if (s->state == SOURCE_HAS && s->growing &&
            now_ms + BLOB_GROWING_MS < k->ask_ms)
            k->ask_ms = now_ms + BLOB_GROWING_MS;
}

void blob_seeks_go(blob_seek *k, uint64_t now_ms)
{
    sync_blobs *b = k->b;

    for (blob_seek *j = k->next; j != NULL; j = j->next)
        blob_seek_go(j, now_ms);
    for (blob_seek *j = b->seeks; j != k; j = j->next)
        blob_seek_go(j, now_ms);
    blob_seek_go(k, now_ms);
}

/* ---- parts -------------------------------------------------------------------------- */

/* Is it right? *known false: that cannot be told. */
static bool part_right(blob_seek *k, uint32_t part, tako_slice bytes,
                       bool *known)
{
    tako_slice parent;
    size_t at;

    *known = true;
    if (part == 0)
        return blob_root_is(&k->form, k->id, bytes);
    *known = blob_seek_inner(k, blob_part_parent(&k->form, part, &at), &parent);
    return *known && at + BLOB_HASH_BYTES <= parent.len &&
           blob_part_is(&k->form, part, parent.ptr + at, bytes);
}

static void source_bad(blob_seek *k, blob_source *s)
{
    k->b->counts.parts_bad++;
    k->b->host->event(k->b->host->ctx, SYNC_BLOB_BAD_PART, k->id);
    s->bad = true;
    flights_drop(k, s);
    say_stop(s);
}

static tako_err inner_take(blob_seek *k, uint32_t part, tako_slice bytes)
{
    if (part > 0) {
        if (!blob_part_is_chunk(&k->form, part))
            node_keep(k, part, bytes);
        return TAKO_OK;
    }
    tako_buf_reset(&k->root);
    tako_put_bytes(&k->root, bytes);
    k->rooted = !k->root.failed;
    return k->rooted ? TAKO_OK : TAKO_NOMEM;
}

static bool is_wanted(const blob_serve *v, uint32_t part)
{
    for (uint32_t i = 0; i < v->wanted_count; i++)
        if (v->wanted[i] == part)
            return true;
    return false;
}

static tako_err part_pass(blob_seek *k, uint32_t part, tako_slice bytes)
{
    if (!is_wanted(k->down, part))
        return TAKO_OK; /* it was needed to check others */
    k->b->counts.parts_passed++;
    return blob_list_put(k->b->env, &k->down->ready, part, bytes) ? TAKO_OK
                                                                  : TAKO_NOMEM;
}

static tako_err part_take(blob_seek *k, uint32_t part, tako_slice bytes)
{
    if (!blob_list_put(k->b->env, &k->pending, part, bytes))
        return TAKO_NOMEM;
    blob_bit_set(k->have, part);
    k->have_count++;
    k->unavailable = k->told = false;
    k->pause_ms = BLOB_ASK_FIRST_MS;
    return TAKO_OK;
}

static void pace(blob_source *from, uint64_t now_ms, uint64_t took_ms,
                 size_t len)
{
    if (blob_pace_slower(from->peer, took_ms))
        from->window = from->window > 1 ? from->window / 2 : 1;
    else if (from->window < TAKO_BLOB_WINDOW_MAX)
        from->window++;
    blob_pace_came(from->peer, now_ms, took_ms, len);
}

tako_err blob_seek_part(blob_seek *k, blob_source *from, uint64_t now_ms,
                        uint32_t part, tako_slice bytes)
{
    bool asked = false, known;
    uint64_t took_ms = 0;

    for (size_t i = k->flight_count; i > 0; i--)
        if (k->flights[i - 1].part == part && k->flights[i - 1].from == from) {
            took_ms = now_ms - k->flights[i - 1].since_ms;
            flight_end(k, i - 1);
            asked = true;
        }
    if (!asked)
        from->peer->unasked++;
    if (k->down == NULL && blob_bit(k->have, part)) {
        k->b->counts.parts_again++;
        return TAKO_OK;
    }
    if (from->bad || (!asked && k->down != NULL))
        return TAKO_OK;
    if (!part_right(k, part, bytes, &known)) {
        if (known)
            source_bad(k, from);
        return TAKO_OK;
    }
    from->heard_ms = now_ms;
    from->slow = false;
    if (asked)
        pace(from, now_ms, took_ms, bytes.len);
    TAKO_TRY(inner_take(k, part, bytes));
    return k->down != NULL ? part_pass(k, part, bytes)
                           : part_take(k, part, bytes);
}

void blob_seek_forget(blob_seek *k, const blob_list *parts)
{
    for (const blob_bytes *b = parts->first; b != NULL; b = b->next)
        if (blob_bit(k->have, b->part)) {
            blob_bit_clear(k->have, b->part);
            k->have_count--;
        }
    k->cursor = 0;
}

/* ---- time ------------------------------------------------------------------------------ */

static uint64_t stall_ms(const blob_seek *k, const blob_source *s)
{
    if (s->flying == 0)
        return UINT64_MAX;
    return s->heard_ms +
           (any_useful(k, s) ? BLOB_STALL_MS : BLOB_STALL_MS * ALONE_STALLS);
}

uint64_t blob_seek_deadline(const blob_seek *k)
{
    uint64_t at = UINT64_MAX;
    bool open = false;

    if (!k->running)
        return at;
    for (const blob_source *s = k->sources; s != NULL; s = s->next) {
        uint64_t d = stall_ms(k, s);

        at = d < at ? d : at;
        open = open || s->state == SOURCE_ASKED;
    }
    if (open && k->asked_ms + BLOB_ANSWER_MS < at && !k->unavailable)
        at = k->asked_ms + BLOB_ANSWER_MS;
    if (k->down == NULL && k->flight_count == 0 && !k->held && k->ask_ms < at)
        at = k->ask_ms;
    if (k->down == NULL && k->flight_count == 0 && k->hold_ms > at)
        at = k->hold_ms;
    if (k->down != NULL && k->down->used_ms + BLOB_RELAY_IDLE_MS < at)
        at = k->down->used_ms + BLOB_RELAY_IDLE_MS;
    return at;
}

void blob_seek_judge(blob_seek *k, uint64_t now_ms)
{
    if (k->down != NULL || !k->running)
        return;
    if (blob_seek_hopeless(k, now_ms))
        k->unavailable = true;
    if (k->unavailable && !k->told)
        k->b->host->event(k->b->host->ctx, SYNC_BLOB_UNAVAILABLE, k->id);
    k->told = k->told || k->unavailable;
}

void blob_seek_tick(blob_seek *k, uint64_t now_ms)
{
    for (blob_source *s = k->sources; s != NULL; s = s->next) {
        if (s->state == SOURCE_ASKED &&
            now_ms >= k->asked_ms + BLOB_ANSWER_MS) {
            say_stop(s); /* it is asked again with the others */
            s->state = SOURCE_NONE;
        }
        if (now_ms < stall_ms(k, s))
            continue;
        s->slow = any_useful(k, s);
        s->window = BLOB_WINDOW_FIRST;
        flights_drop(k, s);
    }
    blob_seek_go(k, now_ms);
    if (k->down != NULL)
        return;
    blob_seek_judge(k, now_ms);
    if (k->flight_count == 0 && !k->held && now_ms >= k->ask_ms &&
        now_ms >= k->hold_ms)
        blob_seek_ask(k, now_ms, NULL);
}
