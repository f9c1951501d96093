// SPDX-License-Identifier: Apache-2.0
/* APPLY -- what the peer sends goes into the store: what inbox.c says belongs
 * together in one transaction, with what it makes complete (cover.c).
 *
 * REFUSED is a delta whose base we do not have, and with it all of the
 * transaction. A refusal counts no more once a later record of the same
 * document was taken. What is taken though it is not whole (torn) is taken
 * without what is refused.
 *
 * NO ECHO. A document whose context after the merge is what the peer sent
 * needs no way back; `known` remembers it until the commit comes round as
 * on_commit. A document that was new here needs none either.
 *
 * ROLLED BACK. A document that has an event of ours which we do not know would,
 * merged, lose to what we wrote since. So nothing of the message is kept, the
 * store takes another name (renew.c), and the message is applied again.
 *
 * DENIED is what the peer may not write, or may not pass on: denied.c.
 *
 * DEAD states are not taken; what the peer is told then is in deaths.c.
 *
 * EVICTED here is what a marker stands for. A newer state of it is taken when
 * a subscription of this session matches it, or when it is a tombstone.
 *
 * A state that matches nothing of ours, of a document that is not here, is not
 * kept; a tombstone is, for what may come.
 *
 * Only collections that some subscription of this session named are taken:
 * a peer cannot fill a database with what nobody asked for. */
#include "crdt/tree.h"
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
    s->colls[s->coll_count++] = (sync_coll){ .name = copy, .len = name.len };
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
    sync_lane lane; /* of the present list, */
    bool cold;      /* which fills an empty collection */
    bool torn;      /* taken though it is not whole; what is refused likewise */
    sync_verdict verdict;
    size_t known; /* entries of `known` before */
    sync_need *refused;
    bool forged, lost;
    bool silent;      /* what is complete rose, and there is no commit */
    bool again;       /* after a rollback was found: commit whatever it says */
    bool rejudge;     /* what is complete with it is not what was judged */
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

/* Has the document here other bytes than came, though their contexts are
 * equal? */
static bool differs(const sync_held *h, const store_row *row)
{
    return !h->record.delta && !store_row_is_marker(row) &&
           (!tako_slice_eq(row->meta, h->record.meta) ||
            !tako_slice_eq(row->body, h->record.body));
}

/* Remembers a document that is now what the peer sent; or, where nothing
 * changed because we have more, sees to it that the peer learns of it. So also
 * where the contexts are equal and the states are not: merging settles it, but
 * only where both are merged (SYNC.md 2). */
static tako_err note_known(apply *a, uint32_t coll, const sync_held *h,
                           const crdt_context *sent, bool changed)
{
    sync_session *s = a->s;
    crdt_context now = { NULL, 0, 0 };
    store_row row;
    bool same, jumped;
    tako_err err = TAKO_OK;

    if (!store_wrote(a->st, coll, h->record.id, &row))
        err = store_get(store_writer(a->st), coll, h->record.id, &row);
    if (err == TAKO_NOTFOUND || (err == TAKO_OK && store_row_is_notice(&row)))
        return TAKO_OK; /* a tombstone of what was reaped here */
    TAKO_TRY(err);
    TAKO_TRY(crdt_meta_context(&s->arena, row.meta, &now));
    same = crdt_context_eq(&now, sent);
    if (!changed && !same)
        sync_tell_behind(s, coll, &row, h->pushed);
    if (same && differs(h, &row)) {
        sync_tell_differing(s, coll, row.row);
        same = false;
    }
    if (!changed)
        return TAKO_OK;
    jumped = h->record.jump || a->lane == SYNC_CATCHUP;
    if (jumped || !same)
        TAKO_TRY(store_change_came(a->st, coll, row.row, !same, jumped));
    return same ? sync_known_add(s, coll, row.row) : TAKO_OK;
}

sync_need *sync_need_find(sync_need *list, uint32_t name, tako_slice id)
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

/* seen: the context that came with it, where it could be read. */
static tako_err refuse(apply *a, const sync_held *h, crdt_context seen)
{
    sync_need *need;

    if (sync_need_find(a->refused, h->name, h->record.id) != NULL)
        return TAKO_OK;
    need = TAKO_NEW(&a->s->arena, sync_need);
    if (need == NULL)
        return TAKO_NOMEM;
    *need = (sync_need){ .next = a->refused,
                         .name = h->name,
                         .id = tako_arena_copy(&a->s->arena, h->record.id),
                         .seen = seen };
    a->refused = need;
    return need->id.ptr != NULL ? TAKO_OK : TAKO_NOMEM;
}

/* A delta brought nothing. Where a later state left here, the peer may never
 * have heard of that. */
static tako_err tell_left(apply *a, const sync_held *h, uint32_t coll,
                          const crdt_context *seen)
{
    const sync_coll *c = &a->s->colls[h->name];
    crdt_context ours = { NULL, 0, 0 };
    store_row row;
    tako_err err = store_get(store_writer(a->st), coll, h->record.id, &row);

    if (err == TAKO_NOTFOUND || (err == TAKO_OK && !store_row_is_left(&row)))
        return TAKO_OK;
    TAKO_TRY(err);
    TAKO_TRY(
        crdt_meta_context(&a->s->arena, crdt_marker_meta(row.meta), &ours));
    if (!crdt_context_covers(seen, &ours))
        sync_tell_past(a->s, tako_slice_of(c->name, c->len), h->record.id, seen,
                       true);
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

    if (h->nameless)
        return refuse(a, h, d.seen);
    if (h->record.answer) {
        bool stands;

        TAKO_TRY(sync_fields_stand(s, store_writer(a->st), h->name, coll,
                                   h->record.id, &stands));
        if (!stands)
            return refuse(a, h, d.seen);
    }
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
    if (result == CRDT_DELTA_NEEDS)
        return refuse(a, h, d.seen);
    if (result == CRDT_DELTA_STALE)
        TAKO_TRY(tell_left(a, h, coll, &d.seen));
    err = note_known(a, coll, h, &d.seen, info->changed);
    need_remove(&a->refused, h->name, h->record.id);
    return err;
}

/* Does a subscription of ours match a document? */
static bool is_asked(sync_session *s, uint32_t coll, tako_slice id,
                     tako_slice body)
{
    const sync_coll *c = &s->colls[coll];
    tako_slice name = tako_slice_of(c->name, c->len);

    for (size_t i = 0; i < s->sub_count; i++)
        if (tako_slice_eq(s->subs[i].collection, name) &&
            s->host->predicate_match(s->host->ctx, s->subs[i].predicate, id,
                                     body))
            return true;
    return false;
}

/* What is absent here, of which something comes. */
typedef struct absence {
    bool nothing; /* neither that, nor more than a marker or notice */
    bool later;   /* of what left after it had seen all that, and more; */
    bool denied;  /* of what was let go with denied writes */
    bool lacks;   /* or what we do not ask for, or a tombstone, without it */
} absence;

/* Of what died here, is what comes another life? */
static tako_err is_other_life(apply *a, const store_row *row,
                              const sync_record *r, bool *other)
{
    tako_arena *arena = &a->s->arena;
    crdt_doc *d = NULL;
    crdt_dot *births;
    size_t count;
    bool ended;

    TAKO_TRY(crdt_notice_read(arena, row->meta, &births, &count));
    TAKO_TRY(crdt_doc_decode(arena, r->meta, r->body, &d, a->e));
    *other = true;
    for (size_t i = 0; i < crdt_doc_births(d, NULL, 0); i++) {
        crdt_dot birth = crdt_doc_birth(d, i, &ended);

        for (size_t k = 0; k < count && !ended; k++)
            *other = *other && crdt_dot_cmp(birth, births[k]) != 0;
    }
    return TAKO_OK;
}

static tako_err is_absent(apply *a, const sync_held *h, uint32_t coll,
                          absence *out)
{
    crdt_context ours = { NULL, 0, 0 }, theirs = { NULL, 0, 0 };
    tako_slice meta;
    store_row row;
    tako_err err = TAKO_NOTFOUND; /* where nothing was, nothing is looked for */
    bool left;

    if (!a->cold)
        err = store_get(store_writer(a->st), coll, h->record.id, &row);
    left = err == TAKO_OK && store_row_is_left(&row);
    *out = (absence){ .nothing = err == TAKO_NOTFOUND || left };
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    out->denied = store_row_is_denied(&row);
    out->nothing = out->nothing || out->denied;
    if (store_row_is_notice(&row) && !out->denied && h->record.body.len > 0)
        return is_other_life(a, &row, &h->record, &out->nothing);
    if (store_row_is_notice(&row) || (store_row_is_marker(&row) && !left) ||
        (row.body.len > 0 && is_asked(a->s, h->name, row.id, row.body)))
        return TAKO_OK;
    meta = left ? crdt_marker_meta(row.meta) : row.meta;
    TAKO_TRY(crdt_meta_context(&a->s->arena, meta, &ours));
    TAKO_TRY(crdt_meta_context(&a->s->arena, h->record.meta, &theirs));
    out->later = left && crdt_context_covers(&ours, &theirs) &&
                 !crdt_context_covers(&theirs, &ours);
    out->lacks = !left && !crdt_context_covers(&ours, &theirs);
    return TAKO_OK;
}

/* It is absent, and that is as it should be: it is past (past.c), or nothing that
 * we ask for. */
static tako_err is_no_matter(apply *a, const sync_held *h, uint32_t coll,
                             bool *no_matter)
{
    const sync_coll *c = &a->s->colls[h->name];
    tako_slice name = tako_slice_of(c->name, c->len);
    const sync_holds *holds = a->verdict.holds;
    crdt_context seen = { NULL, 0, 0 };
    absence here;

    *no_matter = false;
    TAKO_TRY(is_absent(a, h, coll, &here));
    if (!here.nothing && !here.lacks)
        return TAKO_OK;
    *no_matter = here.nothing && h->record.body.len > 0 &&
                 !is_asked(a->s, h->name, h->record.id, h->record.body);
    if (*no_matter)
        return TAKO_OK;
    while (holds != NULL && !tako_slice_eq(holds->coll, name))
        holds = holds->next;
    *no_matter = here.later && h->record.body.len > 0;
    if (holds != NULL && !*no_matter)
        TAKO_TRY(sync_is_past(a->s, holds, &h->record, here.denied, no_matter));
    if (*no_matter) {
        TAKO_TRY(crdt_meta_context(&a->s->arena, h->record.meta, &seen));
        sync_tell_past(a->s, name, h->record.id, &seen, here.later);
        return TAKO_OK;
    }
    return a->lane == SYNC_CATCHUP && holds != NULL
               ? sync_tell_older(a->s, holds, name, &h->record)
               : TAKO_OK;
}

static tako_err apply_state(apply *a, const sync_held *h, uint32_t coll,
                            crdt_merge_info *info)
{
    crdt_context sent = { NULL, 0, 0 };
    bool no_matter;

    TAKO_TRY(is_no_matter(a, h, coll, &no_matter));
    if (no_matter) {
        need_remove(&a->refused, h->name, h->record.id);
        return TAKO_OK;
    }
    TAKO_TRY(store_merge(a->st, coll, h->record.id, h->record.meta,
                         h->record.body, info, a->e));
    if (info->evicted && is_asked(a->s, h->name, h->record.id, h->record.body))
        TAKO_TRY(store_merge_back(a->st, coll, h->record.id, h->record.meta,
                                  h->record.body, info, a->e));
    need_remove(&a->refused, h->name, h->record.id);
    if (info->dead || info->doubtful)
        return sync_answer_dead(a->s, a->st, coll, h->record.id, info, a->e);
    if (a->cold)
        return TAKO_OK;
    TAKO_TRY(crdt_meta_context(&a->s->arena, h->record.meta, &sent));
    return note_known(a, coll, h, &sent, info->changed);
}

/* The peer may not send it: it is answered. */
static tako_err is_denied(apply *a, const sync_held *h, uint32_t coll,
                          bool *denied)
{
    const sync_coll *c = &a->s->colls[h->name];
    sync_right right = { .denied = false };

    if (!h->nameless) /* else it is asked for whole */
        TAKO_TRY(sync_judge_right(a->s, a->st, coll, a->lane, &h->record,
                                  &right, a->e));
    *denied = right.denied;
    if (!right.denied)
        return TAKO_OK;
    need_remove(&a->refused, h->name, h->record.id);
    return sync_answer_denied(a->s, tako_slice_of(c->name, c->len),
                              h->record.id, &right, &a->rejudge, a->e);
}

static tako_err apply_record(apply *a, const sync_held *h)
{
    crdt_merge_info info = { 0 };
    uint32_t coll;
    bool denied;
    tako_err err;

    TAKO_TRY(coll_here(a, h->name, &coll));
    TAKO_TRY(is_denied(a, h, coll, &denied));
    if (denied)
        return TAKO_OK;
    err = h->record.delta ? apply_delta(a, h, coll, &info)
                          : apply_state(a, h, coll, &info);
    a->s->counts.documents_in++;
    a->s->taken++;
    a->s->fresh += info.changed;
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

tako_err sync_write_begin(sync_session *s, store **st, tako_errbuf *e)
{
    const sync_host *host = s->host;
    tako_err err;

    *st = host->write_begin(host->ctx);
    if (*st == NULL)
        return tako_fail(e, TAKO_CLOSED, "shutting down");
    err = store_begin(*st, e);
    if (err != TAKO_OK)
        host->write_end(host->ctx, 0);
    return err;
}

tako_err sync_write_end(sync_session *s, store *st, size_t known, tako_err err,
                        tako_errbuf *e)
{
    uint64_t lsn = 0;

    if (err == TAKO_OK)
        err = store_commit(st, &lsn, e);
    else
        store_rollback(st);
    if (lsn == 0)
        s->known_count = known;
    else
        sync_known_commit(s, known, lsn);
    s->host->write_end(s->host->ctx, lsn);
    return err;
}

static void tell(apply *a)
{
    const sync_host *host = a->s->host;

    if (a->forged)
        host->event(host->ctx, SYNC_EVENT_FORGED, 0, "");
    if (a->lost)
        host->event(host->ctx, SYNC_EVENT_LOST, 0, "");
}

static tako_err apply_records(apply *a, const sync_list *lists, size_t count)
{
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < count; i++) {
        a->cold = lists[i].cold;
        a->lane = lists[i].lane;
        for (const sync_held *h = lists[i].first; h != NULL && err == TAKO_OK;
             h = h->next)
            err = apply_record(a, h);
    }
    return err;
}

/* How far the first downloads are that are not over. */
static tako_err put_places(apply *a)
{
    sync_session *s = a->s;
    tako_err err = TAKO_OK;

    for (size_t i = 0; i < s->sub_count && err == TAKO_OK; i++) {
        const sync_sub *sub = &s->subs[i];

        if (sub->placed && sub->state != SUB_CLOSING &&
            sub->state != SUB_IN_SYNC)
            err =
                store_checkpoint_put(a->st, tako_slice_of(s->peer, s->peer_len),
                                     tako_slice_of(sub->text, sub->text_len),
                                     sub->collection, &sub->place, a->e);
    }
    return err;
}

/* Not where nobody may bring what is missing, neither another link nor the
 * answer to a question of ours, nor on_commit, or where it took too long; nor
 * where DENIED is owed, without which nothing becomes whole. */
static bool may_wait(const sync_session *s)
{
    bool asked = false, regain = false;

    for (size_t i = 0; i < s->sub_count; i++) {
        asked = asked || (s->subs[i].state != SUB_IN_SYNC &&
                          s->subs[i].state != SUB_REFUSED);
        regain = regain || s->subs[i].regain;
    }
    asked = asked && !s->peer_bars.write; /* its answer makes nothing whole */
    return !s->impatient && !regain &&
           (asked || s->unheard || s->host->others(s->host->ctx) > 0);
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
    s->unheard = store_lsn(a->st) > s->heard;
    sync_dead_drop(s);
    err = sync_judge(s, store_writer(a->st), lists, count, a->torn, &a->verdict,
                     a->e);
    a->verdict.wait = a->verdict.wait && may_wait(s);
    if (err == TAKO_OK && !a->verdict.wait)
        err = apply_records(a, lists, count);
    if (err == TAKO_OK && !a->again)
        a->foreign = store_foreign_self(a->st);
    whole = (a->refused == NULL || a->torn) && a->foreign == 0 &&
            !a->verdict.wait && !a->rejudge;
    if (err == TAKO_OK && whole)
        err = put_places(a);
    if (err == TAKO_OK && whole)
        err = sync_verdict_write(s, a->st, &a->verdict, a->e);
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
    a->silent = a->verdict.rose && lsn == 0;
    if (err == TAKO_OK && whole) /* also of what changed nothing */
        tell(a);
    return err;
}

static void tell_held(sync_session *s, const sync_verdict *verdict)
{
    static const char *const states[] = { "whole", "catching up", "loose" };

    for (const sync_holds *h = verdict->holds; h != NULL; h = h->next)
        for (const sync_hold *o = h->first; o != NULL; o = o->next)
            if (o->sub != NULL)
                s->host->event(s->host->ctx, SYNC_EVENT_HELD, o->sub->user,
                               states[o->why]);
}

/* Once more where that took another name, or what is complete is less. */
static tako_err apply_again(apply *a, const sync_list *lists, size_t count)
{
    sync_session *s = a->s;
    uint64_t foreign;
    tako_err err;

    do {
        a->foreign = 0;
        a->refused = NULL;
        a->rejudge = false;
        s->taken = s->fresh = 0;
        a->st = s->host->write_begin(s->host->ctx);
        if (a->st == NULL)
            return tako_fail(a->e, TAKO_CLOSED, "shutting down");
        err = apply_lists(a, lists, count);
        if (a->st != NULL)
            s->host->write_end(s->host->ctx, 0);
        foreign = err == TAKO_OK ? a->foreign : 0;
        if (foreign != 0)
            err = sync_rolled_back(s, foreign, a->e);
        a->again = a->again || foreign != 0;
    } while ((foreign != 0 || a->rejudge) && err == TAKO_OK);
    return err;
}

tako_err sync_apply(sync_session *s, const sync_list *lists, size_t count,
                    bool torn, sync_need **refused, bool *wait, tako_errbuf *e)
{
    apply a = { .s = s, .e = e, .torn = torn };
    tako_err err = apply_again(&a, lists, count);

    *refused = a.refused;
    *wait = a.verdict.wait;
    if (err != TAKO_OK || *wait || (a.refused != NULL && !torn))
        return err;
    sync_dead_send(s);
    if (a.silent)
        s->host->event(s->host->ctx, SYNC_EVENT_ROSE, 0, "");
    if (a.verdict.changed)
        tell_held(s, &a.verdict);
    return TAKO_OK;
}

tako_err sync_read_records(sync_session *s, sync_names *names, tako_reader *in,
                           sync_list *out, bool *replaced, tako_errbuf *e)
{
    *out =
        (sync_list){ .tail = &out->first,
                     .lane = names == &s->names_in[SYNC_CATCHUP] ? SYNC_CATCHUP
                                                                 : SYNC_LIVE };
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
