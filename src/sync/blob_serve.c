// SPDX-License-Identifier: Apache-2.0
/* BLOB SERVE -- answering neighbours: from the store, or by passing on.
 *
 * An open question has a window of parts that the asker wants; it may not want
 * more before it got some. From the store parts are read and checked when they
 * go out. What is passed on comes from a seek of its own (`pass`), checked
 * there, and waits in `ready` until the link has room. The lane is asked for
 * one message at a time, so questions take turns. */
#include "sync/blob_state.h"

/* ---- life -------------------------------------------------------------------- */

blob_serve *blob_serve_find(sync_blob_peer *p, uint64_t number)
{
    for (blob_serve *v = p->serves; v != NULL; v = v->next)
        if (v->number == number)
            return v;
    return NULL;
}

void blob_serve_free(blob_serve *v)
{
    sync_blob_peer *p = v->peer;
    blob_serve **at = &p->serves;

    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    p->serve_count--;
    if (v->pass != NULL)
        blob_seek_free(v->pass);
    if (v->viewed)
        blob_view_close(&v->view);
    blob_list_clear(p->b->env, &v->ready);
    tako_env_free(p->b->env, v, sizeof *v);
}

/* ---- answers ------------------------------------------------------------------ */

static void say_none(sync_blob_peer *p, uint64_t number)
{
    uint8_t bytes[16];
    tako_buf b = { .ptr = bytes, .cap = sizeof bytes };

    tako_put_varint(&b, number);
    tako_put_varint(&b, 0);
    blob_say(p, SYNC_MSG_BLOB_NONE, tako_buf_slice(&b));
}

static void say_lacking(blob_serve *v, uint32_t part)
{
    uint8_t bytes[32];
    tako_buf b = { .ptr = bytes, .cap = sizeof bytes };
    uint32_t end = 0;

    tako_put_varint(&b, v->number);
    tako_put_varint(&b, 1);
    blob_put_range(&b, &end, part, 1);
    blob_say(v->peer, SYNC_MSG_BLOB_NONE, tako_buf_slice(&b));
}

/* Of so many parts those whose bits are set; NULL: all. */
static void say_have(blob_serve *v, const uint8_t *bits, uint32_t parts,
                     bool growing)
{
    tako_buf b = tako_buf_on(v->peer->b->env);

    tako_put_varint(&b, v->number);
    tako_put_u8(&b, growing ? 1 : 0);
    blob_put_ranges(&b, bits, parts);
    if (b.failed)
        v->peer->control.failed = true; /* ends that session */
    blob_say(v->peer, SYNC_MSG_BLOB_HAVE, tako_buf_slice(&b));
    tako_buf_fini(&b);
    v->told = true;
}

/* What is here of it; false: nothing. */
static bool say_kept(blob_serve *v, bool growing)
{
    sync_blobs *b = v->peer->b;
    tako_buf bits = tako_buf_on(b->env);
    blob_facts f;
    bool some;

    some = store_blob_find(b->reader, v->id, &f, NULL) == TAKO_OK &&
           f.form.len == v->form.len && f.have > 0 &&
           store_blob_bits(b->reader, &f, &bits, NULL) == TAKO_OK;
    if (some)
        say_have(v, f.whole ? NULL : bits.ptr, f.form.parts, growing);
    tako_buf_fini(&bits);
    return some;
}

/* What the sources of a seek have together. */
static void say_passed(blob_serve *v)
{
    const blob_seek *k = v->pass;
    tako_buf bits = tako_buf_on(k->b->env);
    size_t len = blob_bits_len(v->form.parts);
    bool whole = false, growing = false;

    for (const blob_source *s = k->sources; s != NULL; s = s->next) {
        if (!blob_source_useful(s))
            continue;
        whole = whole || s->whole;
        growing = growing || s->growing;
        for (size_t i = 0; i < len && s->bits != NULL; i++)
            if (bits.len <= i)
                tako_put_u8(&bits, s->bits[i]);
            else
                bits.ptr[i] = (uint8_t)(bits.ptr[i] | s->bits[i]);
    }
    if (whole)
        say_have(v, NULL, v->form.parts, false);
    else if (!bits.failed && bits.len == len)
        say_have(v, bits.ptr, v->form.parts, growing);
    tako_buf_fini(&bits);
}

bool blob_serve_is_ready(const blob_serve *v, uint32_t part)
{
    for (const blob_bytes *b = v->ready.first; b != NULL; b = b->next)
        if (b->part == part)
            return true;
    return false;
}

/* Parts that no source has any more. */
static void wanted_trim(blob_serve *v)
{
    for (uint32_t i = v->wanted_count; i > 0; i--) {
        uint32_t part = v->wanted[i - 1];
        if (blob_seek_known(v->pass, part) || blob_serve_is_ready(v, part))
            continue;
        say_lacking(v, part);
        v->wanted[i - 1] = v->wanted[--v->wanted_count];
    }
}

void blob_serve_news(blob_serve *v, uint64_t now_ms)
{
    if (v->pass == NULL)
        return;
    if (blob_seek_hopeless(v->pass, now_ms)) {
        /* A part that waits to be sent still goes. */
        if (v->ready.count > 0)
            return;
        blob_seek_free(v->pass);
        v->pass = NULL;
        v->wanted_count = 0;
        if (v->told || !say_kept(v, false)) {
            say_none(v->peer, v->number);
            blob_serve_free(v);
        }
        return;
    }
    if (!v->told)
        for (const blob_source *s = v->pass->sources; s != NULL && !v->told;
             s = s->next)
            if (blob_source_useful(s))
                say_passed(v);
    wanted_trim(v);
}

/* ---- questions ------------------------------------------------------------------ */

static bool search_known(const sync_blobs *b, tako_slice search)
{
    for (const blob_seek *k = b->seeks; k != NULL; k = k->next)
        if (k->running && memcmp(k->search, search.ptr, BLOB_SEARCH_BYTES) == 0)
            return true;
    return false;
}

static const blob_seek *fetch_of(const sync_blobs *b, const uint8_t *id)
{
    for (const blob_seek *k = b->seeks; k != NULL; k = k->next)
        if (k->down == NULL && memcmp(k->id, id, BLOB_ID_BYTES) == 0)
            return k;
    return NULL;
}

static bool others_ready(const sync_blob_peer *p)
{
    for (const sync_blob_peer *o = p->b->peers; o != NULL; o = o->next)
        if (o != p && o->ready)
            return true;
    return false;
}

/* Asks the other neighbours. False: it cannot. */
static bool pass_on(blob_serve *v, uint64_t now_ms, tako_slice search,
                    uint8_t hops)
{
    sync_blobs *b = v->peer->b;
    blob_seek *k;

    if (hops == 0 || b->pass_count >= TAKO_BLOB_RELAYS_MAX ||
        !others_ready(v->peer) ||
        blob_seek_new(b, v->id, &v->form, &k) != TAKO_OK)
        return false;
    b->fetch_count--;
    b->pass_count++;
    k->down = v;
    k->running = true;
    k->hops = (uint8_t)(hops - 1u);
    memcpy(k->search, search.ptr, BLOB_SEARCH_BYTES);
    v->pass = k;
    blob_seek_ask(k, now_ms, v->peer);
    return true;
}

static tako_err serve_new(sync_blob_peer *p, uint64_t now_ms, uint32_t number,
                          const uint8_t *id, const blob_form *form,
                          blob_serve **out)
{
    blob_serve *v = tako_env_alloc(p->b->env, sizeof *v);

    if (v == NULL)
        return TAKO_NOMEM;
    v->peer = p;
    v->number = number;
    memcpy(v->id, id, BLOB_ID_BYTES);
    v->form = *form;
    v->used_ms = now_ms;
    blob_list_init(&v->ready);
    v->next = p->serves;
    p->serves = v;
    p->serve_count++;
    *out = v;
    return TAKO_OK;
}

/* False: nobody here has it, or can get it. */
static bool answer(blob_serve *v, uint64_t now_ms, tako_slice search,
                   uint8_t hops)
{
    sync_blobs *b = v->peer->b;
    const blob_seek *own = fetch_of(b, v->id);
    blob_facts f;

    if (store_blob_find(b->reader, v->id, &f, NULL) == TAKO_OK && f.whole &&
        f.form.len == v->form.len)
        return say_kept(v, false);
    if (own != NULL && own->form.len == v->form.len && !own->unavailable) {
        /* It is on its way here: soon there is more. */
        if (!say_kept(v, true))
            say_have(v, NULL, 0, true);
        return true;
    }
    if (pass_on(v, now_ms, search, hops))
        return true;
    return say_kept(v, false);
}

tako_err blob_on_ask(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                     tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    tako_slice id = tako_read_bytes(in, BLOB_ID_BYTES);
    uint64_t len = tako_read_varint(in);
    tako_slice search = tako_read_bytes(in, BLOB_SEARCH_BYTES);
    uint8_t hops = tako_read_u8(in);
    blob_serve *v;
    blob_form form;

    if (!tako_reader_done(in) || number > UINT32_MAX ||
        !blob_form_of(len, &form) || hops > TAKO_BLOB_HOPS_MAX ||
        blob_serve_find(p, number) != NULL)
        return tako_fail(e, TAKO_CORRUPT, "malformed ASK");
    if (search_known(p->b, search) || p->serve_count >= TAKO_BLOB_ASKS_MAX) {
        say_none(p, number);
        return TAKO_OK;
    }
    if (serve_new(p, now_ms, (uint32_t)number, id.ptr, &form, &v) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (!answer(v, now_ms, search, hops)) {
        say_none(p, number);
        blob_serve_free(v);
    }
    return TAKO_OK;
}

/* What is at hand to check other parts is also there to be sent. */
static bool ready_now(blob_serve *v, uint32_t part)
{
    tako_slice bytes;

    return v->pass != NULL && !blob_part_is_chunk(&v->form, part) &&
           blob_seek_inner(v->pass, part, &bytes) &&
           blob_list_put(v->peer->b->env, &v->ready, part, bytes);
}

tako_err blob_on_want(sync_blob_peer *p, uint64_t now_ms, tako_reader *in,
                      tako_errbuf *e)
{
    uint64_t number = tako_read_varint(in);
    blob_serve *v = blob_serve_find(p, number);
    blob_ranges r;
    uint32_t first, count;

    if (in->failed)
        return tako_fail(e, TAKO_CORRUPT, "malformed WANT");
    if (v == NULL) { /* it has been told, or is on its way */
        say_none(p, number);
        return TAKO_OK;
    }
    v->used_ms = now_ms;
    (void)blob_ranges_begin(in, v->form.parts, &r);
    while (blob_ranges_next(&r, &first, &count)) {
        if (count > TAKO_BLOB_WINDOW_MAX - v->wanted_count)
            return tako_fail(e, TAKO_LIMIT, "more than %u parts are wanted",
                             TAKO_BLOB_WINDOW_MAX);
        for (uint32_t i = 0; i < count; i++) {
            v->wanted[v->wanted_count++] = first + i;
            (void)ready_now(v, first + i);
        }
    }
    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed WANT");
    if (v->pass != NULL) {
        blob_seek_go(v->pass, now_ms);
        blob_serve_news(v, now_ms);
    }
    return TAKO_OK;
}

tako_err blob_on_stop(sync_blob_peer *p, tako_reader *in, tako_errbuf *e)
{
    blob_serve *v = blob_serve_find(p, tako_read_varint(in));

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed STOP");
    if (v != NULL)
        blob_serve_free(v);
    return TAKO_OK;
}

/* ---- sending ---------------------------------------------------------------------- */

static bool serve_due(const blob_serve *v)
{
    return v->ready.count > 0 || (v->pass == NULL && v->wanted_count > 0);
}

bool blob_serve_due(const sync_blob_peer *p)
{
    for (const blob_serve *v = p->serves; v != NULL; v = v->next)
        if (serve_due(v))
            return true;
    return false;
}

static void wanted_remove(blob_serve *v, uint32_t part)
{
    for (uint32_t i = 0; i < v->wanted_count; i++) {
        if (v->wanted[i] != part)
            continue;
        memmove(v->wanted + i, v->wanted + i + 1,
                (v->wanted_count - i - 1) * sizeof v->wanted[0]);
        v->wanted_count--;
        return;
    }
}

static void put_part(blob_serve *v, uint32_t part, tako_slice bytes,
                     tako_buf *out)
{
    tako_put_u8(out, SYNC_MSG_BLOB_PART);
    tako_put_varint(out, v->number);
    tako_put_varint(out, part);
    tako_put_bytes(out, bytes);
    v->peer->b->counts.parts_out++;
    v->peer->b->counts.bytes_out += bytes.len;
}

/* From the store; says it lacks what cannot be read, be it gone or damaged. */
static tako_err send_kept(blob_serve *v, tako_buf *out, tako_errbuf *e)
{
    store_conn *c = v->peer->b->reader;
    uint32_t part = v->wanted[0];
    tako_slice bytes;
    tako_err err = TAKO_OK;

    wanted_remove(v, part);
    if (!v->viewed) {
        err = blob_view_open(c, v->id, &v->view, e);
        v->viewed = true;
    }
    if (err == TAKO_OK)
        err = blob_view_part(&v->view, c, part, &bytes, e);
    if (err == TAKO_OK) {
        put_part(v, part, bytes, out);
    } else if (err == TAKO_NOTFOUND || err == TAKO_CORRUPT) {
        say_lacking(v, part);
        err = TAKO_OK;
    }
    if (v->wanted_count == 0 || err != TAKO_OK) {
        blob_view_close(&v->view); /* an idle question holds no memory */
        v->viewed = false;
    }
    return err;
}

/* So that questions take turns. */
static void to_the_end(sync_blob_peer *p, blob_serve *v)
{
    blob_serve **at = &p->serves;

    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    while (*at != NULL)
        at = &(*at)->next;
    *at = v;
    v->next = NULL;
}

tako_err blob_serve_send(sync_blob_peer *p, tako_buf *out, tako_errbuf *e)
{
    blob_serve *v = p->serves;
    blob_bytes *b;

    while (v != NULL && !serve_due(v))
        v = v->next;
    if (v == NULL)
        return TAKO_OK;
    to_the_end(p, v);
    b = blob_list_take(&v->ready);
    if (b == NULL)
        return send_kept(v, out, e);
    put_part(v, b->part, tako_slice_of(b->bytes, b->len), out);
    wanted_remove(v, b->part);
    blob_bytes_free(p->b->env, b);
    return TAKO_OK;
}
