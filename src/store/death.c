// SPDX-License-Identifier: Apache-2.0
/* DEATH -- which documents are dead, and what becomes of one that is.
 *
 * What identifies a life of a document is its births: the dots of the INSERTs
 * that made its generation. A state with a birth of its present life in the
 * graveyard is dead, and the check is made before anything is merged, so that
 * nothing of it ever gets in. Neither clock nor coverage enters into it.
 *
 * DYING. Of a document here that turns out to be dead the births that are
 * buried are kept in a notice in its row, for the sessions to pass on. Buried
 * with them are the births of the lives that our copy knew to have ended, but
 * no others of the present one: that copy is gone, but a document which has
 * only those lives on wherever it is, and is taken like a new one. (A tombstone
 * in its stead would kill it: it would end the whole generation.) The epoch
 * rises above the generation that went, so that the next INSERT here does not
 * share one with anything that is still on its way.
 *
 * OWN CHANGES that whoever buried the birth need not have seen, those above
 * our buried births, go to the quarantine (P1: who knows one of our events
 * knows our earlier ones).
 *
 * LEFT BEHIND. Births that a merge drops, because a later life began where all
 * before was reaped, and those of lives that ended before a document is evicted
 * are buried as well: from then on nothing here remembers them.
 *
 * SWEEP. Graves that come from a peer say nothing about rows: the collection
 * is walked once for documents that they concern. Where it stands is kept in
 * `yard.sweep`, so that a restart does not end it. */
#include "store/internal.h"

#include <stdio.h>

bool store_row_is_notice(const store_row *row)
{
    return row->body.len == 0 && crdt_meta_is_notice(row->meta);
}

/* ---- judging ---------------------------------------------------------------- */

static tako_err judge_floor(store *s, uint32_t coll, crdt_dot dot, bool *below,
                            tako_errbuf *e)
{
    uint64_t floor;

    TAKO_TRY(floor_of(s, coll, dot.actor, &floor, e));
    *below = dot.hlc <= floor;
    return TAKO_OK;
}

/* The births of the present life that are dead, or below a floor. */
static tako_err judge_births(store *s, uint32_t coll, uint64_t mark,
                             const crdt_doc *d, bool floors, crdt_dot *out,
                             size_t *count, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d, NULL, 0);
    bool ended, hit;

    *count = 0;
    for (size_t i = 0; i < n; i++) {
        store_grave g = { crdt_doc_birth(d, i, &ended), mark };

        if (ended)
            continue;
        if (floors)
            TAKO_TRY(judge_floor(s, coll, g.dot, &hit, e));
        else
            TAKO_TRY(grave_has(s, coll, &g, &hit, e));
        if (hit)
            out[(*count)++] = g.dot;
    }
    return TAKO_OK;
}

tako_err death_check(store *s, uint32_t coll, tako_slice id,
                     const crdt_doc *remote, bool known, tako_arena *a,
                     crdt_merge_info *info, tako_errbuf *e)
{
    uint64_t mark;
    crdt_dot *dots;
    yard *y;

    TAKO_TRY(yard_of(s, coll, &y, e));
    if ((y->graves == 0 && !y->floors) || !crdt_doc_alive(remote))
        return TAKO_OK;
    mark = store_grave_mark(id);
    dots = tako_arena_array(a, crdt_doc_births(remote, NULL, 0), sizeof *dots);
    if (dots == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    info->births = dots;
    TAKO_TRY(judge_births(s, coll, mark, remote, false, dots,
                          &info->birth_count, e));
    info->dead = info->birth_count > 0;
    if (info->dead || known || !s->yards.at[coll - 1].floors)
        return TAKO_OK;
    TAKO_TRY(
        judge_births(s, coll, mark, remote, true, dots, &info->birth_count, e));
    info->doubtful = info->birth_count > 0;
    return TAKO_OK;
}

tako_err death_check_fresh(store *s, uint32_t coll, tako_slice id, crdt_dot dot,
                           bool *slow, crdt_merge_info *info, tako_errbuf *e)
{
    store_grave g = { dot, 0 };
    yard *y;

    *slow = false;
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (y->graves == 0 && !y->floors)
        return TAKO_OK;
    g.mark = store_grave_mark(id);
    TAKO_TRY(grave_has(s, coll, &g, &info->dead, e));
    if (info->dead) {
        s->dead_dot = dot;
        info->births = &s->dead_dot;
        info->birth_count = 1;
        return TAKO_OK;
    }
    return judge_floor(s, coll, dot, slow, e);
}

tako_err death_all_buried(store *s, uint32_t coll, tako_slice id,
                          const crdt_doc *d, bool *all, bool *some,
                          tako_errbuf *e)
{
    size_t n = crdt_doc_births(d, NULL, 0);
    bool ended, hit;
    yard *y;

    *all = *some = false;
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (y->graves == 0 || n == 0)
        return TAKO_OK;
    *all = true;
    for (size_t i = 0; i < n; i++) {
        store_grave g = { crdt_doc_birth(d, i, &ended), store_grave_mark(id) };

        TAKO_TRY(grave_has(s, coll, &g, &hit, e));
        *all = *all && hit;
        *some = *some || hit;
    }
    return TAKO_OK;
}

tako_err death_bury_left(store *s, uint32_t coll, tako_slice id,
                         const crdt_merge_info *info, tako_errbuf *e)
{
    store_grave g = { .mark = store_grave_mark(id) };
    bool fresh;

    for (size_t i = 0; i < info->left_count; i++) {
        g.dot = info->left[i];
        TAKO_TRY(store_bury(s, coll, &g, &fresh, e));
    }
    return TAKO_OK;
}

tako_err death_bury_ended(store *s, const doc_edit *d, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d->doc, NULL, 0);
    store_grave g = { .mark = store_grave_mark(d->key.id) };
    bool ended, fresh;

    for (size_t i = 0; i < n; i++) {
        g.dot = crdt_doc_birth(d->doc, i, &ended);
        if (ended)
            TAKO_TRY(store_bury(s, d->coll, &g, &fresh, e));
    }
    return TAKO_OK;
}

tako_err death_bury_followed(store *s, const doc_edit *d, tako_errbuf *e)
{
    crdt_merge_info info = { .changed = false };
    crdt_doc *was;

    TAKO_TRY(crdt_marker_read(&s->edit_memory.arena, d->meta, &was, e));
    if (crdt_doc_left(was, d->doc, &info) != TAKO_OK)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    return death_bury_left(s, d->coll, d->key.id, &info, e);
}

/* ---- dying ------------------------------------------------------------------- */

/* Buries what the copy knew to have ended, and lists all of it that is buried,
 * the present life's births first. */
static tako_err bury_lives(store *s, const doc_edit *d, crdt_dot *out,
                           size_t *count, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d->doc, NULL, 0);
    uint64_t mark = store_grave_mark(d->key.id);
    bool ended, fresh;

    TAKO_TRY(judge_births(s, d->coll, mark, d->doc, false, out, count, e));
    for (size_t i = 0; i < n; i++) {
        store_grave g = { crdt_doc_birth(d->doc, i, &ended), mark };

        if (!ended)
            continue;
        TAKO_TRY(store_bury(s, d->coll, &g, &fresh, e));
        out[(*count)++] = g.dot;
    }
    return TAKO_OK;
}

static tako_err quarantine_own(store *s, const doc_edit *d,
                               const crdt_dot *dead, size_t count, bool *done,
                               tako_errbuf *e)
{
    if (d->marker)
        return TAKO_OK;
    TAKO_TRY(
        actor_own_beyond(s, crdt_doc_context(d->doc), dead, count, done, e));
    return *done ? quarantine_put(s, d->coll, d->key.id, STORE_WHY_DEAD,
                                  d->body, e)
                 : TAKO_OK;
}

/* A document or marker here, of which a present birth is buried. */
static tako_err die(store *s, doc_edit *d, bool *quarantined, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d->doc, NULL, 0), count = 0;
    crdt_dot *dead = tako_arena_array(&s->edit_memory.arena, n, sizeof *dead);
    uint64_t generation = crdt_doc_generation(d->doc);
    uint8_t version[16];

    if (dead == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    TAKO_TRY(bury_lives(s, d, dead, &count, e));
    TAKO_TRY(store_epoch_raise(s, d->coll, generation + (generation & 1), e));
    TAKO_TRY(quarantine_own(s, d, dead, count, quarantined, e));
    TAKO_TRY(forgot_put(s, d->coll, d->key.id, d->doc, e));
    conn_buf_reset(&s->meta);
    crdt_notice_put(dead,
                    count < TAKO_SYNC_BIRTHS_MAX ? count : TAKO_SYNC_BIRTHS_MAX,
                    &s->meta);
    if (s->meta.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    crdt_version(tako_buf_slice(&s->meta), TAKO_SLICE_NONE, version);
    return edit_replace(s, d, version, tako_buf_slice(&s->meta),
                        TAKO_SLICE_NONE, e);
}

/* Has the present life of what is stored a birth in the graveyard? */
static tako_err is_dead(store *s, const doc_edit *d, bool *dead, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d->doc, NULL, 0);
    uint64_t mark = store_grave_mark(d->key.id);
    bool ended;

    *dead = false;
    for (size_t i = 0; i < n && !*dead; i++) {
        store_grave g = { crdt_doc_birth(d->doc, i, &ended), mark };

        if (!ended)
            TAKO_TRY(grave_has(s, d->coll, &g, dead, e));
    }
    return TAKO_OK;
}

/* Lets the document go if it is dead. */
static tako_err die_if_dead(store *s, uint32_t coll, tako_slice id,
                            store_death *out, tako_errbuf *e)
{
    doc_edit d;

    s->edit.open = false; /* its memory is used here */
    TAKO_TRY(edit_load(s, &s->edit_memory, coll, id, &d, e));
    if (!d.stored || d.notice || !crdt_doc_alive(d.doc))
        return TAKO_OK;
    TAKO_TRY(is_dead(s, &d, &out->removed, e));
    return out->removed ? die(s, &d, &out->quarantined, e) : TAKO_OK;
}

tako_err store_die(store *s, uint32_t coll, tako_slice id,
                   const crdt_dot *births, size_t count, uint64_t epoch,
                   store_death *out, tako_errbuf *e)
{
    store_grave g = { { { { 0 } }, 0 }, 0 };
    doc_key key;
    bool fresh;

    TAKO_ARG(s != NULL && out != NULL);
    *out = (store_death){ false, false };
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(doc_key_of(id, &key, e));
    g.mark = store_grave_mark(id);
    for (size_t i = 0; i < count; i++) {
        g.dot = births[i];
        TAKO_TRY(store_bury(s, coll, &g, &fresh, e));
    }
    TAKO_TRY(store_epoch_raise(s, coll, epoch, e));
    return die_if_dead(s, coll, id, out, e);
}

/* ---- the sweep ------------------------------------------------------------------ */

static tako_err sweep_write(store *s, uint32_t coll, bool going, int64_t after,
                            tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt =
        store_sql(c, "UPDATE yard SET sweep=?2 WHERE coll=?1", e);
    int rc;

    if (stmt == NULL)
        return txn_break(
            s, conn_fail(c, sqlite3_extended_errcode(c->db), "table yard", e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    if (going)
        (void)sqlite3_bind_int64(stmt, 2, after);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE
               ? TAKO_OK
               : txn_break(s, conn_fail(c, rc, "writing table yard", e));
}

tako_err store_sweep_begin(store *s, uint32_t coll, tako_errbuf *e)
{
    yard *y;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(yard_of(s, coll, &y, e));
    TAKO_TRY(yard_save(s, coll, y, e));
    return sweep_write(s, coll, true, INT64_MIN, e);
}

tako_err store_sweep_due(store *s, uint32_t *coll, tako_errbuf *e)
{
    int64_t found = 0;

    TAKO_ARG(s != NULL && coll != NULL);
    TAKO_TRY(conn_int(&s->writer,
                      "SELECT coll FROM yard WHERE sweep IS NOT NULL LIMIT 1",
                      &found, e));
    *coll = found > 0 && found <= (int64_t)TAKO_COLLECTIONS_MAX
                ? (uint32_t)found
                : 0;
    return TAKO_OK;
}

typedef struct dead_id {
    struct dead_id *next;
    tako_slice id;
} dead_id;

typedef struct sweep {
    store *s;
    uint32_t coll;
    tako_arena ids;
    dead_id *dead;
    tako_errbuf *e;
} sweep;

static tako_err sweep_row(sweep *w, const store_row *row)
{
    tako_arena *a = &w->s->merge_memory.arena;
    doc_edit d = { .coll = w->coll, .key = { .id = row->id } };
    dead_id *next;
    crdt_dot dot;
    bool dead = false;

    if (row->body.len == 0 && !crdt_meta_is_marker(row->meta))
        return TAKO_OK;
    if (crdt_meta_is_fresh(row->meta, &dot)) {
        store_grave g = { dot, store_grave_mark(row->id) };

        TAKO_TRY(grave_has(w->s, w->coll, &g, &dead, w->e));
    } else {
        tako_arena_reset(a);
        TAKO_TRY(crdt_meta_is_marker(row->meta)
                     ? crdt_marker_read(a, row->meta, &d.doc, w->e)
                     : crdt_doc_decode_trusted(a, row->meta, row->body, &d.doc,
                                               w->e));
        TAKO_TRY(is_dead(w->s, &d, &dead, w->e));
    }
    if (!dead)
        return TAKO_OK;
    next = TAKO_NEW(&w->ids, dead_id);
    if (next == NULL)
        return TAKO_NOMEM;
    *next = (dead_id){ w->dead, tako_arena_copy(&w->ids, row->id) };
    w->dead = next;
    return next->id.ptr != NULL ? TAKO_OK : TAKO_NOMEM;
}

/* *after: where it stood, and stands. */
static tako_err sweep_rows(sweep *w, uint32_t rows, int64_t *after, bool *more)
{
    store_cursor *k = NULL;
    store_row row;
    tako_err err = store_scan(&w->s->writer, w->coll, *after, &k);

    *more = false;
    if (err != TAKO_OK)
        return err == TAKO_NOTFOUND ? TAKO_OK : err;
    while ((err = store_scan_next(k, &row)) == TAKO_OK) {
        if (rows-- == 0) {
            *more = true;
            break;
        }
        err = sweep_row(w, &row);
        if (err != TAKO_OK)
            break;
        *after = row.row;
    }
    store_scan_close(k);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err sweep_from(sweep *w, uint32_t rows, int64_t after,
                           uint32_t *died, bool *more)
{
    tako_err err = sweep_rows(w, rows, &after, more);

    for (; err == TAKO_OK && w->dead != NULL; w->dead = w->dead->next) {
        store_death death = { false, false };

        err = die_if_dead(w->s, w->coll, w->dead->id, &death, w->e);
        *died += death.removed;
    }
    if (err != TAKO_OK)
        return tako_fail(w->e, err, "looking for the dead failed");
    return sweep_write(w->s, w->coll, *more, after, w->e);
}

tako_err store_sweep(store *s, uint32_t coll, uint32_t rows, uint32_t *died,
                     bool *more, tako_errbuf *e)
{
    sweep w = { .s = s, .coll = coll, .e = e };
    char sql[80];
    int64_t after = 0, going = 0;
    tako_err err;

    TAKO_ARG(s != NULL && died != NULL && more != NULL);
    *died = 0;
    *more = false;
    TAKO_TRY(txn_check(s, e));
    (void)snprintf(sql, sizeof sql,
                   "SELECT sweep IS NOT NULL FROM yard WHERE coll=%u", coll);
    TAKO_TRY(conn_int(&s->writer, sql, &going, e));
    if (going == 0)
        return TAKO_OK;
    (void)snprintf(sql, sizeof sql, "SELECT sweep FROM yard WHERE coll=%u",
                   coll);
    TAKO_TRY(conn_int(&s->writer, sql, &after, e));
    w.ids = tako_arena_on(s->env);
    err = sweep_from(&w, rows, after, died, more);
    tako_arena_fini(&w.ids);
    return err;
}
