// SPDX-License-Identifier: Apache-2.0
/* ROLLBACK -- what we said and no longer know (SYNC.md 1).
 *
 * A peer knows our event h. If we never committed h, this file was rolled
 * back: history up to some own event p < h is common, then the branch that
 * was lost went on to h and further, and so did we, to other events under the
 * same name. Hlcs only grow, and an unclean end skips what was reserved, so,
 * unless the wall clock was set back with the file, what we wrote since is
 * above h. Each such write claims, by its document's context, to have seen
 * what the lost branch did to that document, and would remove it everywhere.
 *
 * So a new actor takes over, and where nothing written since can have left
 * this database (`sent`) the dots above h become the new actor's, and the old
 * actor's place in those contexts goes back to p: all our own events up to p
 * were made here, so that each document has seen those that concern it.
 * The two branches are then concurrent, which is what they were.
 *
 * LEFT AS IT IS, and so lost to the lost branch where both wrote the same
 * document: what was sent before this was known (renaming it would make it
 * two events, and count increments twice); what was committed before the
 * database was opened last (nobody remembers whether it was sent); a document
 * in which a counter of before h was incremented since (its sum cannot be
 * split); and everything at or below h, where the clock was set back too. */
#include "store/internal.h"

void store_note_sent(store_conn *c, uint64_t lsn)
{
    _Atomic(uint64_t) *sent = &c->store->sent;
    uint64_t before = atomic_load(sent);

    while (before < lsn && !atomic_compare_exchange_weak(sent, &before, lsn))
        ;
}

tako_err store_self(store_conn *c, crdt_actor *actor, uint8_t incarnation[16],
                    tako_errbuf *e)
{
    tako_err err = TAKO_CORRUPT;
    sqlite3_stmt *stmt;
    int rc;

    TAKO_ARG(c != NULL && actor != NULL && incarnation != NULL);
    stmt = store_sql(c, "SELECT actor,incarnation FROM state", e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "its state", e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        tako_slice a = conn_column(stmt, 0), i = conn_column(stmt, 1);

        if (a.len == 16 && i.len == 16) {
            memcpy(actor->id, a.ptr, 16);
            memcpy(incarnation, i.ptr, 16);
            err = TAKO_OK;
        }
    } else if (rc != SQLITE_DONE) {
        err = conn_fail(c, rc, "reading its state", e);
    }
    store_done(c, stmt);
    return err;
}

/* A column of one row under two numbers; *found: there is one, not NULL. */
static tako_err one_number(store_conn *c, const char *sql, tako_slice actor,
                           uint64_t at, uint64_t *out, bool *found,
                           tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, sql, e);
    uint64_t bound = at < (uint64_t)INT64_MAX ? at : (uint64_t)INT64_MAX;
    int rc;

    *out = 0;
    *found = false;
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "its feed", e);
    (void)conn_bind(stmt, 1, actor);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)bound);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *found = sqlite3_column_type(stmt, 0) != SQLITE_NULL;
        *out = (uint64_t)sqlite3_column_int64(stmt, 0);
    }
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading its feed", e);
}

/* The greatest own hlc of a commit that is not above `hlc`. */
static const char own_below[] =
    "SELECT own FROM feed,state WHERE actor=?1 AND feed.lsn>since AND own<=?2"
    " ORDER BY feed.lsn DESC LIMIT 1";
/* Own hlcs that count as committed though no row says so. */
static const char own_untold[] = "SELECT CASE WHEN floor>since THEN"
                                 "(SELECT own FROM feed ORDER BY lsn LIMIT 1)"
                                 "ELSE taken END FROM state WHERE actor=?1";

tako_err store_own_known(store_conn *c, crdt_actor actor, uint64_t hlc,
                         bool *ours)
{
    tako_slice id = tako_slice_of(actor.id, sizeof actor.id);
    uint64_t untold, below;
    bool present, found;

    TAKO_ARG(c != NULL && ours != NULL);
    *ours = true;
    if (hlc == 0)
        return TAKO_OK;
    TAKO_TRY(one_number(c, own_untold, id, 0, &untold, &present, NULL));
    if (!present || hlc <= untold)
        return TAKO_OK;
    TAKO_TRY(one_number(c, own_below, id, hlc, &below, &found, NULL));
    *ours = found && below == hlc;
    return TAKO_OK;
}

/* ---- under another name -------------------------------------------------- */

typedef struct redo {
    store *s;
    crdt_redot what;
    uint64_t sent;  /* commits up to it stay */
    uint64_t count; /* documents */
    tako_arena ids; /* of those that are to be looked at */
    tako_errbuf *e;
} redo;

typedef struct redo_id {
    struct redo_id *next;
    tako_slice id;
} redo_id;

/* Could it have dots to be renamed? */
static bool is_suspect(redo *r, const store_row *row)
{
    tako_arena *a = &r->s->edit_memory.arena;
    crdt_context seen = { NULL, 0, 0 };

    if (row->lsn <= r->sent)
        return false;
    tako_arena_reset(a);
    return crdt_meta_context(a, row->meta, &seen) != TAKO_OK ||
           crdt_context_get(&seen, r->what.from) > r->what.above;
}

static tako_err suspects(redo *r, uint32_t coll, redo_id **out)
{
    store_cursor *k;
    store_row row;
    tako_err err;

    *out = NULL;
    TAKO_TRY(store_scan(&r->s->writer, coll, INT64_MIN, &k));
    while ((err = store_scan_next(k, &row)) == TAKO_OK) {
        redo_id *next;

        if (!is_suspect(r, &row))
            continue;
        next = TAKO_NEW(&r->ids, redo_id);
        if (next != NULL)
            *next = (redo_id){ *out, tako_arena_copy(&r->ids, row.id) };
        if (next == NULL || next->id.ptr == NULL) {
            err = TAKO_NOMEM;
            break;
        }
        *out = next;
    }
    store_scan_close(k);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

/* Of a marker only what it has seen is put under the new name. */
static tako_err redo_save(redo *r, doc_edit *d)
{
    if (!d->marker)
        return edit_save(r->s, d, false, r->e);
    conn_buf_reset(&r->s->meta);
    TAKO_TRY(crdt_marker_put(d->doc, &r->s->meta));
    return edit_replace(r->s, d, d->version, tako_buf_slice(&r->s->meta),
                        TAKO_SLICE_NONE, r->e);
}

static tako_err redo_coll(redo *r, uint32_t coll)
{
    redo_id *list;
    doc_edit d;
    bool done;

    TAKO_TRY(suspects(r, coll, &list));
    for (; list != NULL; list = list->next) {
        TAKO_TRY(edit_load(r->s, &r->s->edit_memory, coll, list->id, &d, r->e));
        TAKO_TRY(crdt_doc_redot(d.doc, &r->what, &done));
        if (!done)
            continue;
        TAKO_TRY(redo_save(r, &d));
        r->count++;
    }
    tako_arena_reset(&r->ids);
    return TAKO_OK;
}

static tako_err redo_all(redo *r, uint64_t *lsn)
{
    uint32_t max = store_coll_max(&r->s->writer);
    tako_err err = store_begin(r->s, r->e);

    if (err != TAKO_OK)
        return err;
    for (uint32_t coll = 1; coll <= max && err == TAKO_OK; coll++)
        if (store_coll_name(&r->s->writer, coll).len > 0)
            err = redo_coll(r, coll);
    if (err == TAKO_OK)
        return store_commit(r->s, lsn, r->e);
    store_rollback(r->s);
    return tako_fail(r->e, err, "writing it under a new actor failed");
}

tako_err store_rolled_back(store *s, uint64_t hlc, uint64_t *lsn,
                           uint64_t *redotted, tako_errbuf *e)
{
    redo r = { .s = s, .e = e };
    uint64_t own, point, last;
    tako_slice id;
    bool found, unsent;
    tako_err err;

    TAKO_ARG(s != NULL && !s->txn.open && lsn != NULL && redotted != NULL);
    *lsn = *redotted = 0;
    id = tako_slice_of(s->state.actor.id, 16);
    r.what.from = s->state.actor;
    r.what.above = hlc;
    r.sent = atomic_load(&s->sent);
    own = s->own_kept;
    TAKO_TRY(one_number(&s->writer, own_below, id, hlc, &point, &found, e));
    r.what.seen = point > s->state.taken ? point : s->state.taken;
    TAKO_TRY(one_number(&s->writer,
                        "SELECT own FROM feed,state WHERE actor=?1 AND"
                        " feed.lsn>since AND feed.lsn<=?2"
                        " ORDER BY feed.lsn DESC LIMIT 1",
                        id, r.sent, &last, &found, e));
    unsent = own > hlc && last <= hlc && r.what.seen <= hlc;
    TAKO_TRY(actor_renew(s, unsent ? own : 0, r.what.seen, e));
    if (!unsent)
        return TAKO_OK;
    r.what.to = s->state.actor;
    r.ids = tako_arena_on(s->env);
    err = redo_all(&r, lsn);
    tako_arena_fini(&r.ids);
    *redotted = *lsn != 0 ? r.count : 0;
    tako_log(s->env, TAKO_LOG_WARN, "rolled_back",
             "\"documents_put_under_a_new_actor\":%llu",
             (unsigned long long)*redotted);
    return err;
}
