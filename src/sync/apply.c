// SPDX-License-Identifier: Apache-2.0
/* APPLY -- what the peer sends goes into the store, one message one
 * transaction.
 *
 * HELD CUTS. A delta whose base we do not have is refused, and with it the
 * whole cut: applying the rest would show half of a transaction. The cut is
 * kept (bounded by TAKO_SYNC_HELD_BYTES_MAX), the peer is asked for the whole
 * states of the refused documents (NEEDS), and later cuts queue up behind.
 * When all answers are here, in later cuts, everything is applied together: a
 * refusal counts no more once a later record of the same document was taken.
 * Whole states are never refused, so this ends.
 *
 * NO ECHO. A document whose context after the merge is what the peer sent
 * needs no way back; `known` remembers it until the commit comes round as
 * on_commit. A document that was new here needs none either.
 *
 * ROLLED BACK. A document that has an event of ours which we do not know would,
 * merged, lose to what we wrote since. So nothing of the message is kept, the
 * store takes another name (renew.c), and the message is applied again.
 *
 * DEAD states are not taken; what the peer is told then is in deaths.c.
 *
 * EVICTED here is what a marker stands for. A newer state of it is taken when
 * a subscription of this session matches it, or when it is a tombstone.
 *
 * Only collections that some subscription of this session named are taken:
 * a peer cannot fill a database with what nobody asked for. */
#include "sync/state.h"

/* ---- collections ------------------------------------------------------------ */

tako_err sync_coll_name(sync_session *s, tako_slice name, uint32_t *index)
{
    void *items = s->colls;
    uint8_t *copy;

    for (size_t i = 0; i < s->coll_count; i++)
        if (tako_slice_eq(tako_slice_of(s->colls[i].name, s->colls[i].len),
                          name)) {
            *index = (uint32_t)i;
            return TAKO_OK;
        }
    if (s->coll_count >= TAKO_COLLECTIONS_MAX)
        return TAKO_LIMIT;
    if (!sync_grow(s->env, &items, &s->coll_cap, s->coll_count,
                   sizeof *s->colls))
        return TAKO_NOMEM;
    s->colls = items;
    copy = tako_env_alloc(s->env, name.len);
    if (copy == NULL)
        return TAKO_NOMEM;
    memcpy(copy, name.ptr, name.len);
    *index = (uint32_t)s->coll_count;
    s->colls[s->coll_count++] = (sync_coll){ copy, name.len, 0 };
    return TAKO_OK;
}

bool sync_coll_named(const sync_session *s, tako_slice name)
{
    for (size_t i = 0; i < s->coll_count; i++)
        if (tako_slice_eq(tako_slice_of(s->colls[i].name, s->colls[i].len),
                          name))
            return true;
    return false;
}

/* Which of ours the peer's number means. */
static tako_err asked_coll(sync_session *s, sync_names *names, uint32_t slot,
                           uint32_t *index, tako_errbuf *e)
{
    sync_dict_entry *entry = sync_dict_at(&names->colls, slot);

    if (entry->extra != 0) {
        *index = entry->extra - 1u;
        return TAKO_OK;
    }
    for (size_t i = 0; i < s->coll_count; i++)
        if (s->colls[i].len == entry->len &&
            memcmp(s->colls[i].name, entry->bytes, entry->len) == 0) {
            *index = (uint32_t)i;
            entry->extra = *index + 1u;
            return TAKO_OK;
        }
    return tako_fail(e, TAKO_DENIED,
                     "a document of a collection that was not asked for");
}

static void colls_forget(sync_session *s)
{
    for (size_t i = 0; i < s->coll_count; i++)
        s->colls[i].coll = 0;
}

/* ---- known ------------------------------------------------------------------- */

/* In a commit's order of writing, and searched in that order: mostly the next
 * one is the one. */
bool sync_known_has(const sync_session *s, uint64_t lsn, uint32_t coll,
                    int64_t row)
{
    size_t lo = 0, hi = s->known_count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const sync_known *k = &s->known[mid];
        int c = k->lsn != lsn     ? (k->lsn < lsn ? -1 : 1)
                : k->coll != coll ? (k->coll < coll ? -1 : 1)
                : k->row != row   ? (k->row < row ? -1 : 1)
                                  : 0;

        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

tako_err sync_known_add(sync_session *s, uint32_t coll, int64_t row)
{
    void *items = s->known;

    if (!sync_grow(s->env, &items, &s->known_cap, s->known_count,
                   sizeof *s->known))
        return TAKO_NOMEM;
    s->known = items;
    s->known[s->known_count++] = (sync_known){ UINT64_MAX, coll, row };
    return TAKO_OK;
}

void sync_known_forget(sync_session *s, uint64_t lsn)
{
    size_t n = 0;

    while (n < s->known_count && s->known[n].lsn <= lsn)
        n++;
    if (n == 0)
        return;
    s->known_count -= n;
    memmove(s->known, s->known + n, s->known_count * sizeof *s->known);
    if (s->known_count == 0 && s->known_cap > 1024) {
        tako_env_free(s->env, s->known, s->known_cap * sizeof *s->known);
        s->known = NULL;
        s->known_cap = 0;
    }
}

/* ---- one transaction ------------------------------------------------------------ */

typedef struct apply {
    sync_session *s;
    store *st;
    tako_errbuf *e;
    bool cold;   /* the peer fills an empty collection */
    bool loose;  /* what is refused does not hold the rest */
    bool pushed; /* the peer did not know what we have */
    sync_lane lane;
    sync_sub *place_of; /* whose first download goes up to `place` */
    store_checkpoint_at place;
    size_t known; /* entries of `known` before */
    sync_need *refused;
    bool forged, lost;
    bool again;       /* after a rollback was found: commit whatever it says */
    uint64_t foreign; /* an event of ours that we do not know */
} apply;

static tako_err coll_here(apply *a, uint32_t name, uint32_t *coll)
{
    sync_coll *c = &a->s->colls[name];

    if (c->coll == 0)
        TAKO_TRY(store_coll_create(a->st, tako_slice_of(c->name, c->len),
                                   &c->coll, a->e));
    *coll = c->coll;
    return TAKO_OK;
}

/* Remembers a document that is now what the peer sent; or, where nothing
 * changed because we have more, sees to it that the peer learns of it. */
static tako_err note_known(apply *a, uint32_t coll, tako_slice id,
                           const crdt_context *sent, bool changed)
{
    sync_session *s = a->s;
    crdt_context now = { NULL, 0, 0 };
    store_row row;
    tako_err err;

    err = store_get(store_writer(a->st), coll, id, &row);
    if (err == TAKO_NOTFOUND || (err == TAKO_OK && store_row_is_notice(&row)))
        return TAKO_OK; /* a tombstone of what was reaped here */
    TAKO_TRY(err);
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &now));
    if (!changed && !crdt_context_eq(&now, sent))
        sync_tell_behind(s, coll, &row, a->pushed);
    if (!changed || !crdt_context_eq(&now, sent))
        return TAKO_OK;
    return sync_known_add(s, coll, row.row);
}

static sync_need *need_find(sync_need *list, uint32_t name, tako_slice id)
{
    while (list != NULL && (list->name != name || !tako_slice_eq(list->id, id)))
        list = list->next;
    return list;
}

static void need_remove(sync_need **list, uint32_t name, tako_slice id)
{
    for (; *list != NULL; list = &(*list)->next)
        if ((*list)->name == name && tako_slice_eq((*list)->id, id)) {
            *list = (*list)->next;
            return;
        }
}

static tako_err refuse(apply *a, const sync_held *h)
{
    sync_need *need;

    if (need_find(a->refused, h->name, h->record.id) != NULL)
        return TAKO_OK;
    need = TAKO_NEW(&a->s->arena, sync_need);
    if (need == NULL)
        return TAKO_NOMEM;
    *need = (sync_need){ a->refused, h->name, h->record.id, false };
    a->refused = need;
    return TAKO_OK;
}

static tako_err apply_delta(apply *a, const sync_held *h, uint32_t coll,
                            crdt_merge_info *info)
{
    sync_session *s = a->s;
    sync_delta_in d = {
        &s->names_in[a->lane], &s->arena, h->record.ref, { NULL, 0, 0 }, false
    };
    tako_reader in = tako_reader_of(h->record.body);
    crdt_names_in names;
    crdt_delta_result result = CRDT_DELTA_STALE;
    tako_err err;

    sync_delta_names(&d, &names);
    err = store_merge_delta(a->st, coll, h->record.id, &in, s->peer_sum_key,
                            &names, &result, info, a->e);
    if (d.nomem)
        return tako_fail(a->e, TAKO_NOMEM, "out of memory");
    if (err != TAKO_OK)
        return err;
    s->counts.deltas_in++;
    if (info->dead) {
        need_remove(&a->refused, h->name, h->record.id);
        return sync_answer_dead(s, a->st, coll, h->record.id, info, a->e);
    }
    switch (result) {
    case CRDT_DELTA_NEEDS:
        return refuse(a, h);
    case CRDT_DELTA_APPLIED:
    case CRDT_DELTA_STALE:
        err = note_known(a, coll, h->record.id, &d.seen, info->changed);
        break;
    }
    need_remove(&a->refused, h->name, h->record.id);
    return err;
}

/* Does a subscription of ours match what was sent? */
static bool is_asked(sync_session *s, const sync_held *h)
{
    const sync_coll *c = &s->colls[h->name];
    tako_slice name = tako_slice_of(c->name, c->len);

    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(s->subs[i].collection, name) &&
            s->host->predicate_match(s->host->ctx, s->subs[i].predicate,
                                     h->record.id, h->record.body))
            return true;
    return false;
}

static tako_err apply_state(apply *a, const sync_held *h, uint32_t coll,
                            crdt_merge_info *info)
{
    crdt_context sent = { NULL, 0, 0 };

    TAKO_TRY(store_merge(a->st, coll, h->record.id, h->record.meta,
                         h->record.body, info, a->e));
    if (info->evicted && is_asked(a->s, h))
        TAKO_TRY(store_merge_back(a->st, coll, h->record.id, h->record.meta,
                                  h->record.body, info, a->e));
    need_remove(&a->refused, h->name, h->record.id);
    if (info->dead || info->doubtful)
        return sync_answer_dead(a->s, a->st, coll, h->record.id, info, a->e);
    if (a->cold)
        return TAKO_OK;
    TAKO_TRY(crdt_meta_context(&a->s->arena, h->record.meta, &sent));
    return note_known(a, coll, h->record.id, &sent, info->changed);
}

static tako_err apply_record(apply *a, const sync_held *h)
{
    crdt_merge_info info = { 0 };
    uint32_t coll;
    tako_err err;

    TAKO_TRY(coll_here(a, h->name, &coll));
    err = h->record.delta ? apply_delta(a, h, coll, &info)
                          : apply_state(a, h, coll, &info);
    a->s->counts.documents_in++;
    a->forged = a->forged || info.forged;
    a->lost = a->lost || info.lost;
    return err;
}

static int known_cmp(const sync_known *a, const sync_known *b)
{
    if (a->coll != b->coll)
        return a->coll < b->coll ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static void known_sift(sync_known *k, size_t root, size_t n)
{
    for (size_t child; (child = root * 2 + 1) < n; root = child) {
        sync_known swap;

        if (child + 1 < n && known_cmp(&k[child], &k[child + 1]) < 0)
            child++;
        if (known_cmp(&k[root], &k[child]) >= 0)
            return;
        swap = k[root];
        k[root] = k[child];
        k[child] = swap;
    }
}

/* Gives the new entries their commit, and order (heap sort: no memory). */
void sync_known_commit(sync_session *s, size_t from, uint64_t lsn)
{
    sync_known *k;
    size_t n = s->known_count - from;

    if (n == 0)
        return;
    k = s->known + from;
    for (size_t i = 0; i < n; i++)
        k[i].lsn = lsn;
    for (size_t i = n / 2; i > 0; i--)
        known_sift(k, i - 1, n);
    for (size_t i = n; i > 1; i--) {
        sync_known swap = k[0];

        k[0] = k[i - 1];
        k[i - 1] = swap;
        known_sift(k, 0, i - 1);
    }
}

static void tell(apply *a)
{
    const sync_host *host = a->s->host;

    if (a->forged)
        host->event(host->ctx, SYNC_EVENT_FORGED, 0, "");
    if (a->lost)
        host->event(host->ctx, SYNC_EVENT_LOST, 0, "");
}

/* Applies lists in one transaction; when a document stays refused, nothing
 * is changed and *refused (in the arena) says which. */
static tako_err apply_lists(apply *a, const sync_list *lists, size_t count)
{
    sync_session *s = a->s;
    uint64_t lsn = 0;
    bool whole;
    tako_err err = store_begin(a->st, a->e);

    if (err != TAKO_OK)
        return err;
    a->known = s->known_count;
    sync_dead_drop(s);
    for (size_t i = 0; i < count; i++)
        for (const sync_held *h = lists[i].first; h != NULL && err == TAKO_OK;
             h = h->next)
            err = apply_record(a, h);
    if (err == TAKO_OK && !a->again)
        a->foreign = store_foreign_self(a->st);
    whole = (a->refused == NULL || a->loose) && a->foreign == 0;
    if (err == TAKO_OK && whole && a->place_of != NULL)
        err = store_checkpoint_put(
            a->st, tako_slice_of(s->peer, s->peer_len),
            tako_slice_of(a->place_of->text, a->place_of->text_len),
            a->place_of->collection, &a->place, a->e);
    if (err == TAKO_OK && whole)
        err = store_commit(a->st, &lsn, a->e);
    if (err != TAKO_OK || !whole) {
        if (store_in_transaction(a->st))
            store_rollback(a->st);
        colls_forget(s);
        s->known_count = a->known;
        lsn = 0;
    }
    if (lsn == 0)
        s->known_count = a->known;
    else
        sync_known_commit(s, a->known, lsn);
    s->host->write_end(s->host->ctx, lsn);
    a->st = NULL;
    if (lsn != 0)
        tell(a);
    return err;
}

static tako_err apply_again(apply *a, const sync_list *lists, size_t count)
{
    sync_session *s = a->s;
    uint64_t foreign;
    tako_err err;

    do {
        a->foreign = 0;
        a->refused = NULL;
        a->st = s->host->write_begin(s->host->ctx);
        if (a->st == NULL)
            return tako_fail(a->e, TAKO_CLOSED, "shutting down");
        err = apply_lists(a, lists, count);
        if (a->st != NULL)
            s->host->write_end(s->host->ctx, 0);
        foreign = err == TAKO_OK ? a->foreign : 0;
        if (foreign != 0)
            err = sync_rolled_back(s, foreign, a->e);
        a->again = true;
    } while (foreign != 0 && err == TAKO_OK);
    if (err == TAKO_OK && (a->refused == NULL || a->loose))
        sync_dead_send(s);
    return err;
}

static tako_err apply_all(sync_session *s, const sync_list *lists, size_t count,
                          sync_need **refused, tako_errbuf *e)
{
    apply a = { .s = s, .e = e, .lane = SYNC_LIVE };
    tako_err err = apply_again(&a, lists, count);

    *refused = a.refused;
    return err;
}

/* Reads all records of a message into the arena. */
static tako_err read_records(sync_session *s, sync_names *names,
                             tako_reader *in, sync_list *out, bool *replaced,
                             tako_errbuf *e)
{
    *out = (sync_list){ NULL, &out->first, 0 };
    *replaced = false;
    for (;;) {
        sync_held *h = TAKO_NEW(&s->arena, sync_held);
        tako_err err;

        if (h == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        err = sync_get_record(names, &s->arena, in, &h->record, replaced, e);
        if (err == TAKO_NOTFOUND)
            return TAKO_OK;
        if (err == TAKO_OK && ++out->count > TAKO_SYNC_RECORDS_MAX)
            err = tako_fail(e, TAKO_LIMIT, "more than %u records",
                            TAKO_SYNC_RECORDS_MAX);
        if (err == TAKO_OK)
            err = asked_coll(s, names, h->record.coll, &h->name, e);
        if (err != TAKO_OK)
            return err;
        *out->tail = h;
        out->tail = &h->next;
    }
}

/* ---- held cuts -------------------------------------------------------------------- */

void sync_held_drop(sync_session *s)
{
    tako_arena_reset(&s->held_arena);
    s->held = (sync_list){ NULL, &s->held.first, 0 };
    s->held_bytes = 0;
    s->needs = NULL;
}

/* Copies a cut to the end of those that wait. */
static tako_err hold(sync_session *s, const sync_list *list, tako_errbuf *e)
{
    tako_arena *a = &s->held_arena;

    for (const sync_held *h = list->first; h != NULL; h = h->next) {
        sync_held *copy = TAKO_NEW(a, sync_held);

        if (copy == NULL)
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        *copy = *h;
        copy->next = NULL;
        copy->record.id = tako_arena_copy(a, h->record.id);
        copy->record.meta = tako_arena_copy(a, h->record.meta);
        copy->record.body = tako_arena_copy(a, h->record.body);
        if ((h->record.id.len > 0 && copy->record.id.ptr == NULL) ||
            (h->record.meta.len > 0 && copy->record.meta.ptr == NULL) ||
            (h->record.body.len > 0 && copy->record.body.ptr == NULL))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        s->held_bytes += sizeof *copy + h->record.id.len + h->record.meta.len +
                         h->record.body.len;
        if (s->held_bytes > TAKO_SYNC_HELD_BYTES_MAX)
            return tako_fail(e, TAKO_LIMIT,
                             "cuts of %u bytes wait for an answer",
                             TAKO_SYNC_HELD_BYTES_MAX);
        *s->held.tail = copy;
        s->held.tail = &copy->next;
        s->held.count++;
    }
    return TAKO_OK;
}

/* Puts a document on the list of needs; *asked: it is there, unanswered. */
static bool need_note(sync_session *s, const sync_need *refused, bool *asked)
{
    sync_need *need = need_find(s->needs, refused->name, refused->id);

    *asked = need != NULL && !need->answered;
    if (need != NULL) {
        need->answered = false;
        return true;
    }
    need = TAKO_NEW(&s->held_arena, sync_need);
    if (need == NULL)
        return false;
    *need = (sync_need){ s->needs, refused->name,
                         tako_arena_copy(&s->held_arena, refused->id), false };
    s->needs = need;
    return need->id.ptr != NULL;
}

/* Asks for what was refused and not asked for before. */
static tako_err ask(sync_session *s, const sync_need *refused, tako_errbuf *e)
{
    tako_buf head = tako_buf_on(s->env);
    uint64_t count = 0;
    bool asked;

    tako_buf_reset(&s->scratch);
    for (; refused != NULL; refused = refused->next) {
        const sync_coll *c = &s->colls[refused->name];

        if (!need_note(s, refused, &asked))
            return tako_fail(e, TAKO_NOMEM, "out of memory");
        if (asked)
            continue;
        tako_put_block(&s->scratch, tako_slice_of(c->name, c->len));
        sync_put_id(&s->scratch, refused->id);
        if (++count > TAKO_SYNC_NEEDS_MAX)
            return tako_fail(e, TAKO_LIMIT, "too many refused deltas");
    }
    if (count == 0)
        return TAKO_OK;
    s->counts.needs_out += count;
    tako_put_varint(&head, count);
    if (!head.failed && !s->scratch.failed)
        tako_buf_insert(&s->scratch, 0, tako_buf_slice(&head));
    s->scratch.failed = s->scratch.failed || head.failed;
    tako_buf_fini(&head);
    sync_control(s, SYNC_MSG_NEEDS, tako_buf_slice(&s->scratch));
    return s->scratch.failed ? tako_fail(e, TAKO_NOMEM, "out of memory")
                             : TAKO_OK;
}

/* Are all answers here, with this cut? */
static bool answered(sync_session *s, const sync_list *list)
{
    bool all = true;

    for (const sync_held *h = list->first; h != NULL; h = h->next) {
        sync_need *need =
            h->record.delta ? NULL : need_find(s->needs, h->name, h->record.id);

        if (need != NULL)
            need->answered = true;
    }
    for (const sync_need *n = s->needs; n != NULL; n = n->next)
        all = all && n->answered;
    return all;
}

static tako_err apply_cut(sync_session *s, const sync_list *list,
                          tako_errbuf *e)
{
    sync_list lists[2] = { s->held, *list };
    sync_need *refused = NULL;
    bool ready = s->held.first == NULL || answered(s, list);
    bool nothing = list->first == NULL && s->held.first == NULL;
    tako_err err = TAKO_OK;

    if (ready && !nothing)
        err = apply_all(s, lists, 2, &refused, e);
    if (err != TAKO_OK)
        return err;
    if (ready && refused == NULL) {
        sync_held_drop(s);
        s->applied = s->close_in;
        if (s->close_in > s->ack_out)
            s->ack_due = s->close_in;
        return TAKO_OK;
    }
    TAKO_TRY(hold(s, list, e));
    return ask(s, refused, e);
}

/* ---- catching up ------------------------------------------------------------------ */

/* How far the message takes a first download, to be stored with it. */
static tako_err read_place(apply *a, sync_sub *sub, tako_reader *in)
{
    uint8_t flags = tako_read_u8(in);
    sync_session *s = a->s;

    if ((flags & SYNC_STATES_PLACED) != 0) {
        a->place = (store_checkpoint_at){ .lsn = tako_read_varint(in),
                                          .streaming = true };
        a->place.row = (int64_t)tako_read_u64(in);
        memcpy(a->place.incarnation, s->peer_incarnation, 16);
        if (sub != NULL && s->peer_len > 0 && a->place.lsn != 0)
            a->place_of = sub;
    }
    a->pushed = (flags & SYNC_STATES_PUSHED) != 0;
    return in->failed || flags > SYNC_STATES_PUSHED || a->place.lsn > INT64_MAX
               ? tako_fail(a->e, TAKO_CORRUPT, "malformed STATES")
               : TAKO_OK;
}

tako_err sync_on_states(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    apply a = { .s = s, .e = e, .loose = true, .lane = SYNC_CATCHUP };
    sync_sub *sub = sync_sub_find(s, tako_read_varint(in));
    sync_list list;
    bool replaced;
    tako_err err;

    TAKO_TRY(read_place(&a, sub, in));
    err = read_records(s, &s->names_in[SYNC_CATCHUP], in, &list, &replaced, e);
    if (err != TAKO_OK || list.first == NULL)
        return err;
    a.cold = sub != NULL && sub->empty;
    err = apply_again(&a, &list, 1);
    if (err != TAKO_OK)
        return err;
    if (sub != NULL)
        sub->documents += list.count;
    return ask(s, a.refused, e);
}

tako_err sync_on_cut(sync_session *s, tako_reader *in, tako_errbuf *e)
{
    uint64_t close = tako_read_varint(in);
    sync_list list;
    bool replaced;

    if (in->failed || (close > 0 && close - 1u > UINT64_MAX - s->close_in))
        return tako_fail(e, TAKO_CORRUPT, "malformed CUT");
    TAKO_TRY(read_records(s, &s->names_in[SYNC_LIVE], in, &list, &replaced, e));
    if (replaced && s->held.first != NULL)
        return tako_fail(e, TAKO_LIMIT,
                         "names were replaced while a cut waits for an answer");
    if (close > 0)
        s->close_in += close - 1u;
    s->counts.cuts_in++;
    return apply_cut(s, &list, e);
}
