// SPDX-License-Identifier: Apache-2.0
/* CATCHUP -- how a subscription gets from "who knows" to "in sync": the side
 * that serves. ask.c has the other one, answer.c what is done about documents
 * that are known to differ; docs/protocol.md has the bytes.
 *
 *   subscriber                              server
 *   INTEREST text, count, check        ->
 *                                      <-   CAUGHT_UP           equal, or
 *                                      <-   STATES* CAUGHT_UP   we had nothing
 *                                      <-   STATES* FED         from the feed
 *   ASK count, check                   ->                       and once more
 *                                      <-   LISTS               few documents
 *   LIST* items                        ->
 *                                      <-   STATES* CAUGHT_UP
 *                                      <-   SYMBOLS*            otherwise
 *   STATES*, SEEN* key, context        ->
 *                                      <-   STATES* CAUGHT_UP
 *   SERVED number                      ->
 *
 * The sets compared are those of tables.h. What the server then sends: matching
 * documents that the subscriber lacks or has not seen all of, and those of the
 * subscriber's that are dead or match no more here. A document that only the
 * subscriber has is no matter of its question, unless we ask for the same:
 *
 * ONE FOR BOTH. Where both sides ask for one text, one reconciliation serves
 * both questions. The side with the lesser sum key leads: it answers at once,
 * and says in SYMBOLS that its own question is joined; the other one lets
 * that question wait (`put_off`) until its own has an answer, which never waits
 * for anything but a feed.
 *
 * HOW MANY SYMBOLS is estimated from the sketches, so that mostly one burst
 * does; where it does not, MORE asks for what is missing. Sending on without
 * waiting, in growing batches, would save that round trip and cost as many
 * bytes again on every link that is slower than it is long.
 *
 * THE FEED finds what matches now or died since the checkpoint, and what of it
 * the peer has not seen: the checkpoint says that it had all that we had then,
 * and the feed what each document had seen before (feed.c). It cannot
 * tell what left, nor is it trusted: ASK compares afterwards. As documents of
 * the other direction are on their way meanwhile, that comparison waits until
 * our own feed from that peer is in.
 *
 * Walks go over a collection by row number, SYNC_SCAN_ROWS at a time, each
 * piece in a snapshot of its own, so no snapshot is held while waiting. Rows
 * that change behind a walk are in the dirty set, because on_commit tells of
 * every commit after the walk's begin; so when a want is served, the peer has,
 * or is about to be sent, everything up to now, and all of commit `lsn`.
 *
 * WHAT WAS EVICTED at one side is never sent. In a list it stands with the
 * version that it had, whatever it was, so that the server does not send that
 * version again. What left by itself is in no summary and no list: where a
 * subscription matches it again it is to come.
 *
 * A first download copies stored bytes (actors by number) and decodes nothing.
 * Each of its messages says up to which row it goes: the subscriber stores
 * that with the documents, and names it when it was interrupted. */
#include "sync/state.h"

#include <stdlib.h>

#define SYMBOLS_FIRST  32u /* where no sketch tells how many */
#define SYMBOLS_MARGIN 8u

/* ---- walks --------------------------------------------------------------- */

static tako_err coll_of(sync_session *s, tako_slice name, uint32_t *coll)
{
    tako_err err;

    if (*coll != 0)
        return TAKO_OK;
    err = store_coll_find(s->reader, name, coll);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err walk_rows(sync_session *s, uint32_t coll, sync_walk *w,
                          sync_row_fn *fn, void *ctx, tako_errbuf *e)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = store_scan(s->reader, coll, w->after, &k);

    if (err != TAKO_OK)
        return tako_fail(e, err, "reading a collection failed");
    for (uint32_t n = 0; n < SYNC_SCAN_ROWS; n++) {
        err = store_scan_next(k, &row);
        if (err != TAKO_OK)
            break;
        if (!fn(s, ctx, &row, &err) || err != TAKO_OK)
            break;
        w->after = row.row;
    }
    store_scan_close(k);
    if (err == TAKO_NOTFOUND) {
        w->done = true;
        return TAKO_OK;
    }
    return err == TAKO_OK ? err : tako_fail(e, err, "reading a row failed");
}

tako_err sync_walk_piece(sync_session *s, tako_slice name, uint32_t *coll,
                         sync_walk *w, sync_row_fn *fn, void *ctx,
                         tako_errbuf *e)
{
    tako_err err;

    TAKO_TRY(store_snapshot_begin(s->reader, NULL, e));
    err = coll_of(s, name, coll);
    if (err == TAKO_OK && *coll == 0)
        w->done = true;
    else if (err == TAKO_OK)
        err = walk_rows(s, *coll, w, fn, ctx, e);
    store_snapshot_end(s->reader);
    return err;
}

/* ---- the answer ----------------------------------------------------------- */

void sync_want_rest(sync_session *s, sync_want *w)
{
    tako_env_free(s->env, w->symbols, w->symbols_have * sizeof *w->symbols);
    tako_env_free(s->env, w->seen, w->seen_cap * sizeof *w->seen);
    tako_env_free(s->env, w->items, w->item_cap * sizeof *w->items);
    if (w->seen_arena.env != NULL)
        tako_arena_fini(&w->seen_arena);
    w->symbols = NULL;
    w->seen = NULL;
    w->items = NULL;
    w->symbols_have = w->symbols_sent = w->symbols_due = 0;
    w->seen_count = w->seen_cap = w->seen_at = w->seen_bytes = 0;
    w->item_count = w->item_cap = 0;
}

/* Our own subscription with the text of a want. */
static sync_sub *own_sub(sync_session *s, const sync_want *w)
{
    tako_slice text = tako_slice_of(w->text, w->text_len);

    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(tako_slice_of(s->subs[i].text, s->subs[i].text_len),
                          text))
            return &s->subs[i];
    return NULL;
}

/* Must the answer wait for one to our own question? See the top. */
static bool put_off(sync_session *s, const sync_want *w)
{
    const sync_sub *sub = own_sub(s, w);

    return sub != NULL && sub->state == SUB_ASKED &&
           (sub->named || (sub->open && !sync_leads(s)));
}

static bool symbols_busy(const sync_session *s)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (s->wants[i].state == WANT_SYMBOLS)
            return true;
    return false;
}

/* How many documents differ, as far as can be told. */
static uint64_t difference(const sync_question *q, const sync_summary *sum)
{
    uint64_t least =
        sum->count > q->count ? sum->count - q->count : q->count - sum->count;
    uint64_t about = (q->flags & SYNC_ASK_SKETCHED) == 0
                         ? 0
                         : sync_sketch_estimate(q->sketch, sum->sketch);

    return about > least ? about : least;
}

/* 0: it takes too many, or there are too few documents. */
static uint32_t symbols_for(const sync_want *w, const sync_summary *sum)
{
    const sync_question *q = &w->question;
    uint64_t most = sum->count > q->count ? sum->count : q->count;
    uint64_t about = difference(q, sum);

    if (w->listed || sum->symbols == NULL || sum->count < SYNC_TABLE_LIST ||
        q->count < SYNC_TABLE_LIST || about > most / 5u)
        return 0;
    if ((q->flags & SYNC_ASK_SKETCHED) == 0 && about < SYMBOLS_FIRST / 2u)
        return SYMBOLS_FIRST;
    about = sync_symbols_for(about) + SYMBOLS_MARGIN;
    return about <= TAKO_SYNC_WIDE_MAX ? (uint32_t)about : 0;
}

static tako_err symbols_begin(sync_session *s, sync_want *w, uint32_t due,
                              tako_errbuf *e)
{
    const sync_sub *own = own_sub(s, w);

    /* Half as many again, should they not do. */
    if (!sync_table_widen(w->table, due + due / 2u))
        return TAKO_OK; /* it is built anew first */
    if (sync_table_take(w->table, due, &w->symbols, &w->symbols_have) !=
        TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    w->symbols_due = due;
    w->joined = own != NULL && own->state == SUB_ASKED && own->open &&
                        !own->named && sync_leads(s)
                    ? own->number + 1u
                    : 0;
    w->state = WANT_SYMBOLS;
    return TAKO_OK;
}

static void feed_begin(sync_session *s, sync_want *w)
{
    const sync_question *q = &w->question;
    bool ours =
        memcmp(q->incarnation, s->incarnation, sizeof q->incarnation) == 0 &&
        q->lsn <= s->heard;

    w->feed_lsn = q->lsn;
    w->feed_index = 0;
    w->feed_over = !ours;
    w->feed_then = true;
    w->state = WANT_FEED;
    if (ours && (q->flags & SYNC_ASK_STREAMING) != 0) {
        w->state = WANT_STREAM;
        w->walk = (sync_walk){ q->row, false };
    }
}

static tako_err decide(sync_session *s, sync_want *w, tako_buf *out,
                       tako_errbuf *e)
{
    const sync_summary *sum = sync_table_summary(w->table);
    sync_question *q = &w->question;
    uint32_t symbols;

    w->lsn = s->heard;
    if (sum->rows == 0 || (sum->count == q->count && sum->check == q->check)) {
        w->state = WANT_CLOSE;
        return TAKO_OK;
    }
    if ((q->flags & SYNC_ASK_NAMED) != 0) {
        feed_begin(s, w);
        return TAKO_OK;
    }
    symbols = symbols_for(w, sum);
    if (put_off(s, w) || (symbols != 0 && symbols_busy(s)))
        return TAKO_OK;
    if (symbols != 0)
        return symbols_begin(s, w, symbols, e);
    tako_put_u8(out, SYNC_MSG_LISTS);
    tako_put_varint(out, w->number);
    w->state = WANT_LISTS;
    return TAKO_OK;
}

static tako_err serve_asked(sync_session *s, sync_want *w, tako_buf *out,
                            tako_errbuf *e)
{
    if ((w->question.flags & SYNC_ASK_NOTHING) != 0) {
        w->lsn = s->heard;
        w->feed_lsn = s->heard;
        w->feed_then = false;
        w->state = WANT_STREAM;
        sync_walk_start(&w->walk);
        return TAKO_OK;
    }
    if (w->table == NULL)
        TAKO_TRY(sync_table_get(s->tables, tako_slice_of(w->text, w->text_len),
                                &w->table, e));
    switch (sync_table_look(w->table)) {
    case SYNC_TABLE_BUILDING:
        TAKO_TRY(sync_table_step(w->table, e));
        if (sync_table_look(w->table) != SYNC_TABLE_READY)
            return TAKO_OK;
        break;
    case SYNC_TABLE_PENDING:
        return TAKO_OK;
    case SYNC_TABLE_READY:
        break;
    }
    return decide(s, w, out, e);
}

static tako_err serve_symbols(sync_want *w, tako_buf *out)
{
    bool first = w->symbols_sent == 0;
    bool sketch = first && (w->question.flags & SYNC_ASK_SKETCHED) == 0;
    bool many = first && w->symbols_due > TAKO_SYNC_SYMBOLS_MAX;
    size_t flags_at;

    tako_put_u8(out, SYNC_MSG_SYMBOLS);
    tako_put_varint(out, w->number);
    flags_at = out->len;
    tako_put_u8(out,
                (uint8_t)((first && w->joined != 0 ? SYNC_SYMBOLS_JOINED : 0) |
                          (sketch ? SYNC_SYMBOLS_SKETCHED : 0) |
                          (many ? SYNC_SYMBOLS_MANY : 0)));
    if (first && w->joined != 0)
        tako_put_varint(out, w->joined - 1u);
    if (sketch)
        sync_sketch_put(out, sync_table_summary(w->table)->sketch);
    if (many)
        tako_put_varint(out, w->symbols_due);
    tako_put_varint(out, w->symbols_sent);
    while (w->symbols_sent < w->symbols_due && out->len < SYNC_LIST_BYTES)
        sync_symbol_put(out, &w->symbols[w->symbols_sent++]);
    if (out->failed)
        return TAKO_NOMEM;
    if (w->symbols_sent == w->symbols_due)
        out->ptr[flags_at] |= SYNC_SYMBOLS_LAST;
    return TAKO_OK;
}

/* ---- documents ------------------------------------------------------------------ */

typedef struct send_walk {
    sync_want *want;
    sync_writer writer;
    uint32_t documents;
    tako_arena arena; /* of one document */
} send_walk;

static int version_cmp(const void *a, const void *b)
{
    const sync_version *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

static bool matches(sync_session *s, const sync_want *w, const store_row *row)
{
    return row->body.len > 0 &&
           s->host->predicate_match(s->host->ctx, w->predicate, row->id,
                                    row->body);
}

/* Does the peer have to be told of this row? */
static bool is_wanted(sync_session *s, sync_want *w, const store_row *row)
{
    const sync_version *had = NULL;
    sync_version version;
    sync_item item;

    if (store_row_is_marker(row))
        return false;
    if (w->state == WANT_DIFF && w->item_count > 0) {
        item = sync_item_of(s->digest_key, row->id, row->version, 0);
        version = (sync_version){ item.key, item.item };
        had = bsearch(&version, w->items, w->item_count, sizeof version,
                      version_cmp);
        if (had != NULL)
            return had->item != item.item;
    }
    return matches(s, w, row);
}

static bool is_full(const send_walk *d)
{
    return d->documents >= TAKO_SYNC_CHUNK_DOCS_MAX ||
           d->writer.out->len >= TAKO_SYNC_CHUNK_BYTES_MAX;
}

static tako_err put_row(sync_session *s, send_walk *d, const store_row *row)
{
    sync_doc_name name = { d->want->coll, d->want->collection, row->row,
                           row->id };
    tako_errbuf e = { "" };

    if (store_row_is_notice(row))
        return sync_tell_dead(s, name.coll, row, &e);
    d->documents++;
    return sync_put_state(&d->writer, &name, false, row->meta, row->body);
}

static bool send_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    send_walk *d = ctx;

    if (is_full(d))
        return false;
    if (is_wanted(s, d->want, row))
        *err = put_row(s, d, row);
    return *err == TAKO_OK;
}

/* Is it asked for whatever is in it? Then the peer had it before. */
static bool takes_all(sync_session *s, const sync_want *w, const store_row *row)
{
    static const uint8_t no_fields[1] = { 0xa0 };

    return s->host->predicate_match(s->host->ctx, w->predicate, row->id,
                                    tako_slice_of(no_fields, 1));
}

/* A document that the peer has as it was before this touch: a delta against
 * what it still shows of that, where that is much. */
static tako_err put_changed(sync_session *s, send_walk *d, const store_row *row,
                            const store_touch *t)
{
    sync_doc_name name = { d->want->coll, d->want->collection, row->row,
                           row->id };
    crdt_context base;
    crdt_doc *doc;
    tako_errbuf e = { "" };

    if (t->lsn_before == 0 || store_row_is_notice(row) ||
        !takes_all(s, d->want, row))
        return put_row(s, d, row);
    tako_arena_reset(&d->arena);
    TAKO_TRY(crdt_doc_decode(&d->arena, row->meta, row->body, &doc, &e));
    TAKO_TRY(crdt_past(&d->arena, doc, t->top_before, &base));
    if (base.count == 0)
        return put_row(s, d, row);
    d->documents++;
    s->counts.deltas_out++;
    return sync_put_delta(&d->writer, &name, doc, &base, NULL, s->sum_key);
}

/* What a commit of the feed touched, from the index on. The first commit that
 * touched a document since the checkpoint sends it, as it is now. */
static tako_err feed_commit(sync_session *s, send_walk *d, uint64_t lsn,
                            const store_touch *touched, size_t count)
{
    sync_want *w = d->want;
    store_row row;
    tako_err err;

    for (; w->feed_index < count; w->feed_index++) {
        const store_touch *t = &touched[w->feed_index];

        if (t->coll != w->coll || t->lsn_before > w->question.lsn)
            continue;
        if (is_full(d))
            return TAKO_OK;
        err = store_get_row(s->reader, t->coll, t->row, &row);
        if (err == TAKO_NOTFOUND)
            continue;
        if (err != TAKO_OK)
            return err;
        if (!store_row_is_marker(&row) &&
            (row.body.len == 0 || matches(s, w, &row)))
            TAKO_TRY(put_changed(s, d, &row, t));
    }
    w->feed_lsn = lsn;
    w->feed_index = 0;
    return TAKO_OK;
}

static tako_err feed_piece(sync_session *s, send_walk *d, tako_errbuf *e)
{
    sync_want *w = d->want;
    tako_err err = coll_of(s, w->collection, &w->coll);

    for (uint32_t n = 0; n < SYNC_SCAN_ROWS && err == TAKO_OK && !is_full(d);) {
        uint64_t lsn;
        store_touch *touched;
        size_t count;

        tako_arena_reset(&s->arena);
        err = store_feed_next(s->reader, w->feed_lsn, &s->arena, &lsn, &touched,
                              &count);
        if (err != TAKO_OK)
            break;
        err = feed_commit(s, d, lsn, touched, count);
        n += (uint32_t)(count < SYNC_SCAN_ROWS ? count : SYNC_SCAN_ROWS);
    }
    if (err != TAKO_NOTFOUND && err != TAKO_UNSUPPORTED)
        return err == TAKO_OK ? err
                              : tako_fail(e, err, "reading the feed failed");
    w->feed_over = true;
    return TAKO_OK;
}

/* A message of states begins; in a first download it says how far it goes,
 * which put_place fills in. */
static size_t states_begin(sync_session *s, sync_want *w, tako_buf *out)
{
    size_t at;

    s->names_out[SYNC_CATCHUP].stamp++;
    tako_put_u8(out, SYNC_MSG_STATES);
    tako_put_varint(out, w->number);
    tako_put_u8(out, w->state == WANT_STREAM ? SYNC_STATES_PLACED : 0);
    if (w->state != WANT_STREAM)
        return 0;
    tako_put_varint(out, w->feed_lsn);
    at = out->len;
    tako_put_u64(out, 0);
    return at;
}

static void put_place(tako_buf *out, size_t at, int64_t row)
{
    if (at == 0 || out->failed)
        return;
    for (size_t i = 0; i < 8; i++)
        out->ptr[at + i] = (uint8_t)((uint64_t)row >> (56 - 8 * i));
}

static void sent(sync_session *s, sync_want *w, uint32_t documents,
                 tako_buf *out)
{
    if (documents == 0)
        tako_buf_reset(out);
    s->counts.documents_out += documents;
    if (w->state == WANT_FEED ? !w->feed_over : !w->walk.done)
        return;
    if (w->state == WANT_STREAM && w->feed_then)
        w->state = WANT_FEED;
    else if (w->state != WANT_FEED) {
        sync_want_rest(s, w);
        w->state = WANT_CLOSE;
    }
}

static tako_err serve_send(sync_session *s, sync_want *w, tako_buf *out,
                           tako_errbuf *e)
{
    send_walk d = { .want = w,
                    .writer = { .names = &s->names_out[SYNC_CATCHUP],
                                .out = out,
                                .scratch = &s->scratch,
                                .unnamed = true },
                    .arena = tako_arena_on(s->env) };
    size_t place;
    uint64_t lsn;
    tako_err err;

    TAKO_TRY(sync_mark(s, e));
    place = states_begin(s, w, out);
    TAKO_TRY(store_snapshot_begin(s->reader, &lsn, e));
    store_note_sent(s->reader, lsn);
    err = w->state == WANT_FEED ? feed_piece(s, &d, e)
                                : sync_walk_piece(s, w->collection, &w->coll,
                                                  &w->walk, send_row, &d, e);
    store_snapshot_end(s->reader);
    tako_arena_fini(&d.arena);
    if (err != TAKO_OK)
        return err;
    put_place(out, place, w->walk.after);
    sent(s, w, d.documents, out);
    return TAKO_OK;
}

static tako_err serve_feed(sync_session *s, sync_want *w, tako_buf *out,
                           tako_errbuf *e)
{
    if (!w->feed_over)
        TAKO_TRY(serve_send(s, w, out, e));
    if (!w->feed_over || out->len > 0)
        return TAKO_OK;
    tako_put_u8(out, SYNC_MSG_FED);
    tako_put_varint(out, w->number);
    w->state = WANT_FED;
    return TAKO_OK;
}

/* ---- which ------------------------------------------------------------------------ */

static void put_caught_up(const sync_want *w, tako_buf *out)
{
    tako_put_u8(out, SYNC_MSG_CAUGHT_UP);
    tako_put_varint(out, w->number);
    tako_put_varint(out, w->lsn);
}

static tako_err serve_want(sync_session *s, sync_want *w, tako_buf *out,
                           tako_errbuf *e)
{
    if (w->offer_due) {
        put_caught_up(w, out);
        w->offer_due = false;
        if (w->state == WANT_JOINED)
            w->state = WANT_SENT;
        return TAKO_OK;
    }
    switch (w->state) {
    case WANT_ASKED:
        return serve_asked(s, w, out, e);
    case WANT_STREAM:
    case WANT_DIFF:
        return serve_send(s, w, out, e);
    case WANT_FEED:
        return serve_feed(s, w, out, e);
    case WANT_SYMBOLS:
        return serve_symbols(w, out);
    case WANT_ANSWER:
    case WANT_REPLY:
        return sync_answer_step(s, w, out, e);
    case WANT_CLOSE:
        put_caught_up(w, out);
        w->state = WANT_SENT;
        return TAKO_OK;
    case WANT_FED:
    case WANT_LISTS:
    case WANT_JOINED:
    case WANT_SENT:
    case WANT_LIVE:
    case WANT_AGAIN:
        break;
    }
    return TAKO_OK;
}

/* An answer that can be given, or a walk that brings it nearer. */
static bool asked_due(sync_session *s, sync_want *w)
{
    const sync_summary *sum;
    const sync_question *q = &w->question;

    if (w->table == NULL || (q->flags & SYNC_ASK_NOTHING) != 0)
        return true;
    if (sync_table_look(w->table) != SYNC_TABLE_READY)
        return sync_table_look(w->table) == SYNC_TABLE_BUILDING;
    sum = sync_table_summary(w->table);
    if (sum->rows == 0 || (q->flags & SYNC_ASK_NAMED) != 0 ||
        (sum->count == q->count && sum->check == q->check))
        return true;
    return !put_off(s, w) && (!symbols_busy(s) || symbols_for(w, sum) == 0);
}

static bool want_due(sync_session *s, sync_want *w)
{
    if (w->offer_due)
        return true;
    switch (w->state) {
    case WANT_ASKED:
        return asked_due(s, w);
    case WANT_SYMBOLS:
        return w->symbols_sent < w->symbols_due;
    case WANT_CLOSE:
        return true;
    case WANT_STREAM:
    case WANT_FEED:
    case WANT_DIFF:
    case WANT_ANSWER:
    case WANT_REPLY:
        return s->cleared;
    case WANT_FED:
    case WANT_LISTS:
    case WANT_JOINED:
    case WANT_SENT:
    case WANT_LIVE:
    case WANT_AGAIN:
        break;
    }
    return false;
}

bool sync_serve_due(sync_session *s)
{
    for (size_t i = 0; i < s->want_count; i++)
        if (want_due(s, &s->wants[i]))
            return true;
    return false;
}

bool sync_want_sends(sync_session *s, sync_want *w)
{
    const sync_sub *own = own_sub(s, w);

    if (w->state == WANT_JOINED) /* tell.c pushes */
        return own != NULL && s->cleared &&
               (own->state == SUB_DECODED || own->state == SUB_TELLING);
    return want_due(s, w) &&
           (w->state == WANT_STREAM || w->state == WANT_FEED ||
            w->state == WANT_DIFF || w->state == WANT_ANSWER);
}

tako_err sync_serve_step(sync_session *s, tako_buf *out, tako_errbuf *e)
{
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[(s->want_turn + i) % s->want_count];

        if (!want_due(s, w))
            continue;
        s->want_turn = (size_t)(w - s->wants);
        TAKO_TRY(serve_want(s, w, out, e));
        /* A small answer at once, without another turn of the loop. */
        if (out->len == 0 &&
            (w->state == WANT_CLOSE || w->state == WANT_SYMBOLS))
            TAKO_TRY(serve_want(s, w, out, e));
        return out->failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                           : TAKO_OK;
    }
    return TAKO_OK;
}

/* ---- what the subscriber says ------------------------------------------------------- */

tako_err sync_get_question(tako_reader *in, sync_question *q, tako_errbuf *e)
{
    tako_slice prefix;

    q->flags = tako_read_u8(in);
    q->count = tako_read_varint(in);
    q->check = tako_read_u64(in);
    if ((q->flags & SYNC_ASK_NAMED) != 0) {
        prefix = tako_read_bytes(in, sizeof q->incarnation);
        q->lsn = tako_read_varint(in);
        if (prefix.len > 0)
            memcpy(q->incarnation, prefix.ptr, prefix.len);
        if ((q->flags & SYNC_ASK_STREAMING) != 0)
            q->row = (int64_t)tako_read_u64(in);
    }
    if ((q->flags & SYNC_ASK_SKETCHED) != 0)
        sync_sketch_get(in, q->sketch);
    if (in->failed || (q->flags & ~SYNC_ASK_FLAGS) != 0 ||
        (q->flags & (SYNC_ASK_NAMED | SYNC_ASK_STREAMING)) ==
            SYNC_ASK_STREAMING)
        return tako_fail(e, TAKO_CORRUPT, "malformed question");
    return TAKO_OK;
}

tako_err sync_on_ask(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    sync_question q = { 0 };

    TAKO_TRY(sync_get_question(in, &q, e));
    if (w == NULL || w->state == WANT_AGAIN)
        return TAKO_OK;
    if (w->state != WANT_FED || (q.flags & SYNC_ASK_NAMED) != 0)
        return tako_fail(e, TAKO_CORRUPT, "ASK out of turn");
    w->question = q;
    w->state = WANT_ASKED;
    return TAKO_OK;
}

tako_err sync_on_more(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint64_t more = tako_read_varint(in);

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed MORE");
    if (w == NULL || w->state == WANT_AGAIN)
        return TAKO_OK;
    if (w->state != WANT_SYMBOLS || w->symbols_sent < w->symbols_due)
        return tako_fail(e, TAKO_CORRUPT, "MORE out of turn");
    if (more > 0 && more <= w->symbols_have - w->symbols_due) {
        w->symbols_due += (uint32_t)more;
        return TAKO_OK;
    }
    sync_want_rest(s, w);
    w->listed = true;
    w->state = WANT_ASKED;
    return TAKO_OK;
}

tako_err sync_on_list(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_want *w = sync_want_find(s, tako_read_varint(in));
    uint8_t last = tako_read_u8(in);
    size_t count = tako_reader_left(in) / 16u;

    if (in->failed || last > 1u || tako_reader_left(in) % 16u != 0)
        return tako_fail(e, TAKO_CORRUPT, "malformed LIST");
    if (w == NULL || w->state == WANT_AGAIN)
        return TAKO_OK; /* dropped meanwhile */
    if (w->state != WANT_LISTS)
        return tako_fail(e, TAKO_CORRUPT, "a LIST that nobody asked for");
    if (count > TAKO_SYNC_LIST_ITEMS_MAX - w->item_count)
        return tako_fail(e, TAKO_LIMIT, "a LIST of more than %u documents",
                         TAKO_SYNC_LIST_ITEMS_MAX);
    for (; count > 0; count--) {
        void *items = w->items;

        if (!sync_grow(s->env, &items, &w->item_cap, w->item_count,
                       sizeof *w->items))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        w->items = items;
        w->items[w->item_count].key = tako_read_u64(in);
        w->items[w->item_count++].item = tako_read_u64(in);
    }
    if (last == 0)
        return TAKO_OK;
    if (w->item_count > 0)
        qsort(w->items, w->item_count, sizeof *w->items, version_cmp);
    w->state = WANT_DIFF;
    sync_walk_start(&w->walk);
    return TAKO_OK;
}
