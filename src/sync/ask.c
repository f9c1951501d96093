// SPDX-License-Identifier: Apache-2.0
/* ASK -- the side that wants: what it has is summed up for the server, and the
 * server's symbols are decoded against its own. What then is said of each
 * document that differs is in tell.c; catchup.c has the whole.
 *
 * A WIDE BURST has more symbols than a table keeps. Ours are made by a walk
 * while theirs come; those wait for that.
 *
 * CHECKPOINTS. How far we are in the peer's feed: up to the commit of the last
 * close of a catch-up, or of the last cut, whichever is later; while a first
 * download runs, up to a row of the peer's. Stored with the chunk, when a
 * catch-up closes, and when the session rests; named in the next question. A
 * session that asks anew names what it knows itself. Of a server that does not
 * push all there is none that is later. */
#include "sync/state.h"

/* ---- checkpoints ---------------------------------------------------------- */

bool sync_sub_reached(const sync_session *s, const sync_sub *sub,
                      store_checkpoint_at *out)
{
    uint64_t applied = s->ack_due > s->ack_out ? s->ack_due : s->ack_out;

    if (sub->state != SUB_IN_SYNC || sub->peer_lsn == 0 || !s->greeted ||
        sub->mode != SYNC_EAGER || sub->verify)
        return false;
    *out =
        (store_checkpoint_at){ .lsn = applied > sub->peer_lsn ? applied
                                                              : sub->peer_lsn };
    memcpy(out->incarnation, s->peer_incarnation, sizeof out->incarnation);
    return true;
}

static bool is_stored(const sync_sub *sub, const store_checkpoint_at *at)
{
    return sub->stored.lsn == at->lsn && !sub->stored.streaming &&
           memcmp(sub->stored.incarnation, at->incarnation, 16) == 0;
}

static tako_err save_in(sync_session *s, store *st, sync_sub *sub,
                        const store_checkpoint_at *at, tako_errbuf *e)
{
    tako_slice peer = tako_slice_of(s->peer, s->peer_len);
    tako_err err = store_begin(st, e);

    if (err != TAKO_OK)
        return err;
    err =
        store_checkpoint_put(st, peer, tako_slice_of(sub->text, sub->text_len),
                             sub->collection, at, e);
    if (err == TAKO_OK)
        err = store_commit(st, NULL, e);
    if (store_in_transaction(st))
        store_rollback(st);
    if (err == TAKO_OK)
        sub->stored = *at;
    return err;
}

tako_err sync_sub_save(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    store_checkpoint_at at;
    store *st;
    tako_err err;

    if (s->peer_len == 0 || !sync_sub_reached(s, sub, &at) ||
        is_stored(sub, &at))
        return TAKO_OK;
    st = s->host->write_begin(s->host->ctx);
    if (st == NULL)
        return tako_fail(e, TAKO_CLOSED, "shutting down");
    err = save_in(s, st, sub, &at, e);
    s->host->write_end(s->host->ctx, 0);
    return err;
}

tako_err sync_session_rest(sync_session *s, store *st, bool quiet,
                           tako_errbuf *e)
{
    store_checkpoint_at at;

    if (s->dead && quiet)
        return TAKO_OK;
    if (quiet)
        s->rest_due = s->sent_lsn > s->cut_lsn;
    for (size_t i = 0; s->peer_len > 0 && i < s->sub_count; i++)
        if (sync_sub_reached(s, &s->subs[i], &at) &&
            !is_stored(&s->subs[i], &at))
            TAKO_TRY(save_in(s, st, &s->subs[i], &at, e));
    return TAKO_OK;
}

static tako_err load_stored(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    tako_err err;

    if (sub->loaded)
        return TAKO_OK;
    sub->loaded = true;
    if (s->peer_len == 0)
        return TAKO_OK;
    err = store_checkpoint_get(s->reader, tako_slice_of(s->peer, s->peer_len),
                               tako_slice_of(sub->text, sub->text_len),
                               &sub->stored);
    if (err == TAKO_NOTFOUND)
        return TAKO_OK;
    return err == TAKO_OK ? err
                          : tako_fail(e, err, "reading a checkpoint failed");
}

/* ---- asking ----------------------------------------------------------------- */

void sync_unjoin(sync_session *s, uint32_t number)
{
    for (size_t i = 0; i < s->want_count; i++) {
        sync_want *w = &s->wants[i];

        if (w->joined != number + 1u ||
            (w->state != WANT_JOINED &&
             !(w->state == WANT_SENT && w->offered) &&
             !(w->state == WANT_ANSWER && w->walk.done)))
            continue;
        sync_want_rest(s, w);
        w->joined = 0;
        w->state = WANT_ASKED;
    }
}

static void decode_rest(sync_session *s, sync_sub *sub)
{
    tako_env_free(s->env, sub->symbols,
                  sub->symbols_have * sizeof *sub->symbols);
    tako_env_free(s->env, sub->burst, sub->burst_due * sizeof *sub->burst);
    if (sub->decoder != NULL) {
        sync_decoder_fini(sub->decoder);
        tako_env_free(s->env, sub->decoder, sizeof *sub->decoder);
    }
    sub->symbols = NULL;
    sub->burst = NULL;
    sub->decoder = NULL;
    sub->symbols_have = sub->burst_count = sub->burst_due = 0;
    sub->burst_over = false;
}

void sync_sub_rest(sync_session *s, sync_sub *sub)
{
    decode_rest(s, sub);
    tako_env_free(s->env, sub->seen, sub->seen_count * sizeof *sub->seen);
    sub->seen = NULL;
    sub->seen_count = sub->seen_at = 0;
    sub->open = sub->named = false;
}

static void put_question(const sync_summary *sum, uint8_t flags,
                         const store_checkpoint_at *at, tako_buf *out)
{
    /* Who has only markers does not want all: one document, of check 0. */
    bool bare = sum->count == 0 && sum->markers > 0;

    tako_put_u8(out, flags);
    tako_put_varint(out, bare ? 1u : sum->count);
    tako_put_u64(out, sum->check);
    if ((flags & SYNC_ASK_NAMED) != 0) {
        tako_put_bytes(out, tako_slice_of(at->incarnation, 2));
        tako_put_varint(out, at->lsn);
    }
    if ((flags & SYNC_ASK_STREAMING) != 0)
        tako_put_u64(out, (uint64_t)at->row);
    if ((flags & SYNC_ASK_SKETCHED) != 0)
        sync_sketch_put(out, sum->sketch);
}

static uint8_t flags_of(const sync_summary *sum, const store_checkpoint_at *at)
{
    uint8_t flags = 0;

    if (sum->count == 0 && sum->markers == 0 &&
        (sum->rows == 0 || at == NULL || at->lsn == 0))
        flags |= SYNC_ASK_NOTHING;
    if (at != NULL && at->lsn != 0 && (flags & SYNC_ASK_NOTHING) == 0)
        flags |= at->streaming ? SYNC_ASK_NAMED | SYNC_ASK_STREAMING
                               : SYNC_ASK_NAMED;
    if ((flags & (SYNC_ASK_NAMED | SYNC_ASK_NOTHING)) == 0 &&
        sum->count >= SYNC_TABLE_LIST)
        flags |= SYNC_ASK_SKETCHED;
    return flags;
}

/* The first question, or after the feed. */
static tako_err put_ask(sync_session *s, sync_sub *sub, tako_buf *out,
                        tako_errbuf *e)
{
    const sync_summary *sum = sync_table_summary(sub->table);
    bool first = sub->state == SUB_NEW;
    store_checkpoint_at at = { .lsn = 0 };
    uint8_t flags;

    if (first) {
        TAKO_TRY(load_stored(s, sub, e));
        at = sub->stored;
    }
    flags = flags_of(sum, first ? &at : NULL);
    tako_put_u8(out, first ? SYNC_MSG_INTEREST : SYNC_MSG_ASK);
    tako_put_varint(out, sub->number);
    if (first) {
        tako_put_varint(out, sub->replaces);
        tako_put_block(out, tako_slice_of(sub->text, sub->text_len));
    }
    put_question(sum, flags, &at, out);
    sub->empty = sum->rows == 0;
    sub->named = (flags & SYNC_ASK_NAMED) != 0;
    sub->open = true;
    sub->state = SUB_ASKED;
    return TAKO_OK;
}

static tako_err ask(sync_session *s, sync_sub *sub, uint64_t now_ms,
                    tako_buf *out, tako_errbuf *e)
{
    if (sub->state == SUB_NEW && sub->since_ms == 0)
        sub->since_ms = now_ms;
    if (sub->table == NULL)
        TAKO_TRY(sync_table_get(s->tables,
                                tako_slice_of(sub->text, sub->text_len),
                                &sub->table, e));
    if (sync_table_look(sub->table) == SYNC_TABLE_BUILDING)
        TAKO_TRY(sync_table_step(sub->table, e));
    if (sync_table_look(sub->table) != SYNC_TABLE_READY)
        return TAKO_OK;
    return put_ask(s, sub, out, e);
}

/* ---- the list ------------------------------------------------------------------ */

typedef struct list_walk {
    sync_sub *sub;
    tako_buf *out;
} list_walk;

static bool list_row(sync_session *s, void *ctx, const store_row *row,
                     tako_err *err)
{
    list_walk *d = ctx;
    sync_item item;

    (void)err;
    if (d->out->len >= SYNC_LIST_BYTES)
        return false;
    if (row->body.len == 0 &&
        (!store_row_is_marker(row) || store_row_is_left(row)))
        return true;
    if (row->body.len > 0 &&
        !s->host->predicate_match(s->host->ctx, d->sub->predicate, row->id,
                                  row->body))
        return true;
    item = sync_item_of(s->digest_key, row->id, row->version, 0);
    tako_put_u64(d->out, item.key);
    tako_put_u64(d->out, item.item);
    return true;
}

static tako_err ask_list(sync_session *s, sync_sub *sub, tako_buf *out,
                         tako_errbuf *e)
{
    list_walk d = { sub, out };
    size_t last_at, empty;

    tako_put_u8(out, SYNC_MSG_LIST);
    tako_put_varint(out, sub->number);
    last_at = out->len;
    tako_put_u8(out, 0);
    empty = out->len;
    TAKO_TRY(sync_walk_piece(s, sub->collection, &sub->coll, &sub->walk,
                             list_row, &d, e));
    if (out->failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (sub->walk.done) {
        out->ptr[last_at] = 1u;
        sub->state = SUB_ASKED;
    } else if (out->len == empty) {
        tako_buf_reset(out);
    }
    return TAKO_OK;
}

tako_err sync_on_lists(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed LISTS");
    if (sub == NULL)
        return TAKO_OK; /* dropped, or asked anew, meanwhile */
    if (sub->early)
        return TAKO_OK; /* on its way when we took what was offered */
    if (sub->state != SUB_ASKED)
        return tako_fail(e, TAKO_CORRUPT, "LISTS that nobody asked for");
    sync_sub_rest(s, sub);
    sync_unjoin(s, sub->number); /* no reply will come */
    sub->state = SUB_LISTING;
    sync_walk_start(&sub->walk);
    return TAKO_OK;
}

/* ---- symbols --------------------------------------------------------------------- */

/* More of them, or, 0, another way. */
static void ask_more(sync_session *s, const sync_sub *sub, uint64_t more)
{
    tako_buf_reset(&s->scratch);
    tako_put_varint(&s->scratch, sub->number);
    tako_put_varint(&s->scratch, more);
    sync_control(s, SYNC_MSG_MORE, tako_buf_slice(&s->scratch));
}

static bool decoding_another(const sync_session *s, const sync_sub *sub)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (&s->subs[i] != sub && s->subs[i].decoder != NULL)
            return true;
    return false;
}

/* Our own symbols as they are now, at least so many. *ready: there are any. */
static tako_err take_symbols(sync_sub *sub, uint32_t many, bool *ready,
                             tako_errbuf *e)
{
    *ready = sync_table_look(sub->table) != SYNC_TABLE_BUILDING &&
             sync_table_summary(sub->table)->symbols != NULL;
    if (*ready && sync_table_take(sub->table, many, &sub->symbols,
                                  &sub->symbols_have) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    return TAKO_OK;
}

/* many: 0, or how many there are in a wide burst. */
static tako_err decode_begin(sync_session *s, sync_sub *sub, uint64_t many,
                             bool *ready, tako_errbuf *e)
{
    *ready = true;
    sub->decoder = tako_env_alloc(s->env, sizeof *sub->decoder);
    if (sub->decoder == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    sync_decoder_init(sub->decoder, s->env, s->digest_key);
    if (many == 0)
        return take_symbols(sub, 0, ready, e);
    sub->burst = tako_env_alloc(s->env, (size_t)many * sizeof *sub->burst);
    if (sub->burst == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    sub->burst_due = (uint32_t)many;
    (void)sync_table_widen(sub->table, (uint32_t)(many + many / 2u));
    return TAKO_OK;
}

/* The differences by document: which side has it is found by a walk. */
static tako_err decoded(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    const sync_decoder *d = sub->decoder;
    sync_seen *seen;

    if (d->found_count > 0) {
        seen = tako_env_alloc(s->env, d->found_count * sizeof *seen);
        if (seen == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        sub->seen = seen;
        sub->seen_count = d->found_count;
        sub->seen_at = 0;
    }
    for (uint32_t i = 0; i < d->found_count; i++)
        sub->seen[i] = (sync_seen){ .key = d->found[i].item.key,
                                    .item = d->found[i].item.item,
                                    .when = d->found[i].item.when };
    sync_seen_sort(sub->seen, sub->seen_count);
    decode_rest(s, sub);
    sub->telling = false;
    sub->state = SUB_DECODED;
    sync_walk_start(&sub->walk);
    return TAKO_OK;
}

/* The symbols are no use: the list is. */
static void decode_give_up(sync_session *s, sync_sub *sub)
{
    sync_sub_rest(s, sub);
    sub->open = true;
    ask_more(s, sub, 0);
}

static tako_err decode(sync_session *s, sync_sub *sub, tako_reader *in,
                       tako_errbuf *e)
{
    sync_decoder *d = sub->decoder;
    sync_symbol symbol;
    tako_err err = TAKO_OK;

    while (err == TAKO_OK && tako_reader_left(in) > 0 &&
           d->count < sub->symbols_have) {
        sync_symbol_get(in, &symbol);
        if (in->failed)
            return tako_fail(e, TAKO_CORRUPT, "malformed SYMBOLS");
        err = sync_decoder_feed(d, &symbol, &sub->symbols[d->count], 1);
        if (err == TAKO_OK && sync_decoder_done(d))
            return decoded(s, sub, e);
    }
    if (err == TAKO_NOMEM)
        return tako_fail(e, err, "out of memory");
    if (err != TAKO_OK || tako_reader_left(in) > 0 ||
        d->count >= sub->symbols_have)
        decode_give_up(s, sub);
    return TAKO_OK;
}

/* A burst did not do. `about`: how many documents differ, if that is known now.
 * Else half as many symbols again; twice as many of few, which were a guess. */
static void want_more(sync_session *s, sync_sub *sub, uint64_t about)
{
    uint64_t have = sub->decoder->count, all = sync_symbols_for(about);
    uint64_t more = all > have ? all - have : have < 64u ? have : have / 2u;

    if (all > sub->symbols_have || have >= sub->symbols_have)
        more = 0; /* the list is less */
    else if (more > sub->symbols_have - have)
        more = sub->symbols_have - have;
    if (more == 0)
        decode_give_up(s, sub);
    else
        ask_more(s, sub, more);
}

static tako_err keep_burst(sync_sub *sub, tako_reader *in, bool over,
                           tako_errbuf *e)
{
    while (tako_reader_left(in) > 0 && !in->failed &&
           sub->burst_count < sub->burst_due)
        sync_symbol_get(in, &sub->burst[sub->burst_count++]);
    sub->burst_over = over;
    return in->failed || tako_reader_left(in) > 0
               ? tako_fail(e, TAKO_CORRUPT, "malformed SYMBOLS")
               : TAKO_OK;
}

/* Our own part of a wide burst is made, and the burst decoded. */
static tako_err decode_wide(sync_session *s, sync_sub *sub, tako_errbuf *e)
{
    sync_decoder *d = sub->decoder;
    uint32_t many = sub->burst_count;
    bool ready;
    tako_err err;

    if (sync_table_look(sub->table) == SYNC_TABLE_BUILDING)
        return sync_table_step(sub->table, e);
    /* It began anew, or another took the wide ones, meanwhile. */
    if (!sync_table_widen(sub->table, sub->burst_due + sub->burst_due / 2u))
        return TAKO_OK;
    TAKO_TRY(take_symbols(sub, many, &ready, e));
    if (!ready) {
        decode_give_up(s, sub);
        return TAKO_OK;
    }
    err = sync_decoder_feed(d, sub->burst, sub->symbols, many);
    tako_env_free(s->env, sub->burst, sub->burst_due * sizeof *sub->burst);
    sub->burst = NULL;
    sub->burst_count = sub->burst_due = 0;
    if (err == TAKO_NOMEM)
        return tako_fail(e, err, "out of memory");
    if (err != TAKO_OK)
        decode_give_up(s, sub);
    else if (sync_decoder_done(d))
        return decoded(s, sub, e);
    else
        want_more(s, sub, 0);
    return TAKO_OK;
}

/* Joined: our answer to the question that the peer named waits for ours. */
static void join(sync_session *s, const sync_sub *sub, uint64_t number)
{
    sync_want *w = sync_want_find(s, number);

    if (w == NULL || w->state != WANT_ASKED || w->text_len != sub->text_len ||
        memcmp(w->text, sub->text, w->text_len) != 0)
        return;
    w->state = WANT_JOINED;
    w->joined = sub->number + 1u;
    w->lsn = s->heard;
}

/* What a message of symbols says before them. */
typedef struct symbols_head {
    uint8_t flags;
    uint64_t joined, many, first;
    int32_t sketch[SYNC_SKETCH];
} symbols_head;

static tako_err get_head(tako_reader *in, symbols_head *h, tako_errbuf *e)
{
    h->flags = tako_read_u8(in);
    h->joined = (h->flags & SYNC_SYMBOLS_JOINED) != 0 ? tako_read_varint(in)
                                                      : UINT64_MAX;
    if ((h->flags & SYNC_SYMBOLS_SKETCHED) != 0)
        sync_sketch_get(in, h->sketch);
    h->many = (h->flags & SYNC_SYMBOLS_MANY) != 0 ? tako_read_varint(in) : 0;
    h->first = tako_read_varint(in);
    return in->failed || h->flags > SYNC_SYMBOLS_FLAGS ||
                   h->many > TAKO_SYNC_WIDE_MAX
               ? tako_fail(e, TAKO_CORRUPT, "malformed SYMBOLS")
               : TAKO_OK;
}

static tako_err take_burst(sync_session *s, sync_sub *sub,
                           const symbols_head *h, tako_reader *in,
                           tako_errbuf *e)
{
    bool last = (h->flags & SYNC_SYMBOLS_LAST) != 0;
    uint64_t about = 0;

    if (h->first !=
        (sub->burst != NULL ? sub->burst_count : sub->decoder->count))
        return tako_fail(e, TAKO_CORRUPT, "SYMBOLS that do not follow");
    if (sub->burst != NULL)
        return keep_burst(sub, in, last, e);
    if ((h->flags & SYNC_SYMBOLS_SKETCHED) != 0)
        about = sync_sketch_estimate(h->sketch,
                                     sync_table_summary(sub->table)->sketch);
    TAKO_TRY(decode(s, sub, in, e));
    if (sub->decoder != NULL && last)
        want_more(s, sub, about);
    return TAKO_OK;
}

tako_err sync_on_symbols(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    symbols_head h;
    bool ready = true;

    TAKO_TRY(get_head(in, &h, e));
    if (sub == NULL)
        return TAKO_OK; /* dropped, or asked anew, meanwhile */
    /* More than it took may still come. */
    if (sub->state == SUB_DECODED || sub->state == SUB_TELLING || sub->early ||
        (sub->state == SUB_ASKED && !sub->open))
        return TAKO_OK;
    if (sub->state != SUB_ASKED || sub->named || decoding_another(s, sub))
        return tako_fail(e, TAKO_CORRUPT, "SYMBOLS that nobody asked for");
    if (sub->decoder == NULL)
        TAKO_TRY(decode_begin(s, sub, h.many, &ready, e));
    if (!ready) {
        decode_give_up(s, sub);
        return TAKO_OK;
    }
    if (h.joined <= UINT32_MAX)
        join(s, sub, h.joined);
    return take_burst(s, sub, &h, in, e);
}

/* ---- which ------------------------------------------------------------------------- */

static bool wide_due(const sync_sub *sub)
{
    return sync_table_look(sub->table) == SYNC_TABLE_BUILDING ||
           (sub->burst_over && sync_table_look(sub->table) == SYNC_TABLE_READY);
}

static bool sub_due(const sync_session *s, const sync_sub *sub)
{
    switch (sub->state) {
    case SUB_NEW:
    case SUB_AGAIN:
        return sub->table == NULL ||
               sync_table_look(sub->table) != SYNC_TABLE_PENDING;
    case SUB_LISTING:
        return true;
    case SUB_DECODED:
    case SUB_TELLING:
        return s->cleared;
    case SUB_ASKED:
        return sub->burst != NULL && wide_due(sub);
    case SUB_CLOSING:
    case SUB_IN_SYNC:
    case SUB_REFUSED:
        break;
    }
    return false;
}

static tako_err ask_one(sync_session *s, sync_sub *sub, uint64_t now_ms,
                        sync_lane *lane, tako_buf *out, tako_errbuf *e)
{
    *lane = sub->state == SUB_NEW ? SYNC_CONTROL : SYNC_CATCHUP;
    switch (sub->state) {
    case SUB_NEW:
    case SUB_AGAIN:
        return ask(s, sub, now_ms, out, e);
    case SUB_LISTING:
        return ask_list(s, sub, out, e);
    case SUB_DECODED:
    case SUB_TELLING:
        return sync_tell_step(s, sub, out, e);
    case SUB_ASKED:
        return decode_wide(s, sub, e);
    case SUB_CLOSING:
    case SUB_IN_SYNC:
    case SUB_REFUSED:
        break;
    }
    return TAKO_OK;
}

tako_err sync_ask_step(sync_session *s, uint64_t now_ms, sync_lane *lane,
                       tako_buf *out, tako_errbuf *e)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        tako_err err;

        if (!sub_due(s, &s->subs[i]))
            continue;
        err = ask_one(s, &s->subs[i], now_ms, lane, out, e);
        if (err == TAKO_OK && out->failed)
            err = tako_fail(e, TAKO_NOMEM, "out of memory");
        return err;
    }
    return TAKO_OK;
}

bool sync_ask_due(const sync_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (sub_due(s, &s->subs[i]))
            return true;
    return false;
}

tako_err sync_on_fed(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));

    if (!tako_reader_done(in))
        return tako_fail(e, TAKO_CORRUPT, "malformed FED");
    if (sub == NULL)
        return TAKO_OK;
    if (sub->state != SUB_ASKED || !sub->named)
        return tako_fail(e, TAKO_CORRUPT, "FED that nobody asked for");
    sync_sub_rest(s, sub);
    sub->state = SUB_AGAIN;
    return sync_inbox_fed(s, e);
}
