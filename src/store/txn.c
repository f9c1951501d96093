// SPDX-License-Identifier: Apache-2.0
/* TXN -- transactions, savepoints, and the dot of a transaction.
 *
 * A commit writes the documents and one feed row: two dirty pages for one
 * small document, as plain SQLite has. The clock and the lsn cost nothing,
 * because both were reserved ahead (actor.c), before BEGIN.
 *
 * A write that fails rolls everything back at once and leaves the
 * transaction `broken`: later calls repeat the reason until the caller ends
 * it by commit (which fails) or rollback. */
#include "store/internal.h"

#define TXN_WAL_PAGES_MAX 16384 /* a commit then checkpoints by itself */

tako_err txn_check(const store *s, tako_errbuf *e)
{
    if (!s->txn.open)
        return tako_fail(e, TAKO_MISUSE, "no transaction is open");
    if (s->txn.broken != TAKO_OK)
        return tako_fail(e, s->txn.broken,
                         "an earlier failure rolled the transaction back");
    /* SQLite ends a transaction by itself when reading or memory fails; what is
     * written after that would be committed, each by itself. */
    if (sqlite3_get_autocommit(s->writer.db) != 0)
        return tako_fail(e, TAKO_IO,
                         "SQLite rolled the transaction back after a failure");
    return TAKO_OK;
}

/* Rolls SQLite back and drops what the transaction left in memory. */
static void txn_undo(store *s)
{
    store_conn *c = &s->writer;

    if (sqlite3_get_autocommit(c->db) == 0)
        (void)conn_run(c, "ROLLBACK", NULL);
    change_reset(&s->changes);
    coll_forget(c, s->txn.coll_count);
    coll_rows_forget(c);
    yards_forget(s);
    forgot_unknown(s);
    held_forget(s);
}

static void txn_end(store *s)
{
    s->txn.open = false;
    s->txn.broken = TAKO_OK;
    s->txn.mark_count = 0;
    s->edit.open = false;
    seen_reset(s);
    tako_arena_reset(&s->edit_memory.arena);
    tako_arena_reset(&s->merge_memory.arena);
    conn_buf_reset(&s->edit_memory.bytes);
    conn_buf_reset(&s->merge_memory.bytes);
    conn_buf_reset(&s->meta);
    conn_buf_reset(&s->body);
    conn_buf_reset(&s->blob);
    if (conn_shrink(&s->writer))
        s->shrunk = true;
}

tako_err txn_break(store *s, tako_err err)
{
    if (s->txn.open && s->txn.broken == TAKO_OK) {
        txn_undo(s);
        s->txn.broken = err;
        s->edit.open = false;
    }
    return err;
}

tako_err store_begin(store *s, tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    if (s->txn.open || s->writer.snapshots > 0)
        return tako_fail(e, TAKO_MISUSE, "a transaction is open already");
    change_reset(&s->changes);
    TAKO_TRY(clock_restart(s, e));
    if (s->pending_hlc != 0) {
        (void)crdt_clock_observe(&s->clock, s->pending_hlc, clock_time(s).ms);
        s->pending_hlc = 0;
    }
    /* P1: never write under a name that went on, or claims too much. */
    if (s->foreign != 0 || s->retired)
        TAKO_TRY(store_renew_actor(s, e));
    TAKO_TRY(log_settle(s, e));
    TAKO_TRY(actor_reserve(s, e));
    TAKO_TRY(conn_run(&s->writer, "BEGIN IMMEDIATE", e));
    s->txn.open = true;
    s->txn.broken = TAKO_OK;
    s->txn.dotted = false;
    s->txn.retired = false;
    s->txn.ahead_told = false;
    s->txn.lost = false;
    s->txn.lsn = s->next_lsn;
    s->txn.coll_count = s->writer.coll_count;
    s->txn.mark_count = 0;
    return TAKO_OK;
}

tako_err store_commit(store *s, uint64_t *lsn, tako_errbuf *e)
{
    tako_err err;
    bool wrote;

    TAKO_ARG(s != NULL);
    if (lsn != NULL)
        *lsn = 0;
    err = txn_check(s, e);
    if (err == TAKO_OK && s->changes.count > 0)
        err = feed_write(s, e);
    if (err == TAKO_OK && s->changes.count > 0)
        err = seen_write(s, e);
    if (err == TAKO_OK)
        err = lost_bound(s, e);
    if (err == TAKO_OK)
        err = conn_run(&s->writer, "COMMIT", e);
    if (err != TAKO_OK) {
        store_rollback(s);
        return err;
    }
    wrote = s->changes.count > 0;
    if (wrote) {
        if (s->txn.dotted)
            s->own_kept = s->txn.dot.hlc;
        s->lsn = s->txn.lsn;
        s->next_lsn = s->lsn + 1;
        if (lsn != NULL)
            *lsn = s->lsn;
    }
    s->retired = s->retired || s->txn.retired;
    s->lost_changed = s->lost_changed || s->txn.lost;
    s->wrote = true;
    if (s->durability == STORE_NORMAL)
        s->unsynced = true;
    txn_end(s);
    /* Nobody may call store_checkpoint(); the log must not fill the disk. */
    if (s->wal_pages >= TXN_WAL_PAGES_MAX)
        (void)store_checkpoint(s, STORE_FOLD_LONG, NULL);
    return TAKO_OK;
}

void store_rollback(store *s)
{
    if (!s->txn.open)
        return;
    if (s->txn.broken == TAKO_OK)
        txn_undo(s);
    txn_end(s);
}

bool store_shrunk(store *s)
{
    bool was = s->shrunk;

    s->shrunk = false;
    return was;
}

bool store_in_transaction(const store *s)
{
    return s->txn.open;
}

/* ---- savepoints ---------------------------------------------------------- */

tako_err store_savepoint(store *s, tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    if (s->txn.mark_count == STORE_SAVEPOINTS_MAX)
        return tako_fail(e, TAKO_LIMIT, "more than %u savepoints",
                         STORE_SAVEPOINTS_MAX);
    TAKO_TRY(conn_run(&s->writer, "SAVEPOINT s", e));
    s->txn.marks[s->txn.mark_count++] =
        (store_savepoint_mark){ change_here(&s->changes),
                                s->writer.coll_count };
    return TAKO_OK;
}

void store_savepoint_keep(store *s)
{
    if (!s->txn.open || s->txn.broken != TAKO_OK)
        return;
    TAKO_ASSERT(s->txn.mark_count > 0);
    s->txn.mark_count--;
    (void)conn_run(&s->writer, "RELEASE s", NULL);
}

void store_savepoint_undo(store *s)
{
    store_savepoint_mark *mark;
    tako_err err;

    if (!s->txn.open || s->txn.broken != TAKO_OK)
        return;
    TAKO_ASSERT(s->txn.mark_count > 0);
    mark = &s->txn.marks[--s->txn.mark_count];
    s->edit.open = false;
    err = conn_run(&s->writer, "ROLLBACK TO s", NULL);
    if (err == TAKO_OK)
        err = conn_run(&s->writer, "RELEASE s", NULL);
    if (err != TAKO_OK) {
        (void)txn_break(s, err);
        return;
    }
    change_undo(&s->changes, mark->changes);
    coll_forget(&s->writer, mark->coll_count);
    coll_rows_forget(&s->writer);
    yards_forget(s);
    forgot_unknown(s);
    held_forget(s);
}

/* ---- dots and clocks ----------------------------------------------------- */

tako_err store_dot(store *s, crdt_dot *out, tako_errbuf *e)
{
    uint64_t wall, hlc;

    TAKO_ARG(s != NULL && out != NULL);
    TAKO_TRY(txn_check(s, e));
    if (!s->txn.dotted) {
        if (s->foreign != 0 || s->txn.retired)
            return tako_fail(e, TAKO_BUSY,
                             "the next transaction has a new actor");
        wall = clock_time(s).ms;
        if (wall > CRDT_HLC_MS(s->clock.reserved))
            wall = CRDT_HLC_MS(s->clock.reserved);
        hlc = crdt_clock_next(&s->clock, wall);
        if (hlc > s->clock.reserved)
            return tako_fail(e, TAKO_LIMIT, "the clock's reservation is used");
        s->clock.last = hlc;
        s->own_last = hlc;
        s->txn.dot = (crdt_dot){ s->state.actor, hlc };
        s->txn.dotted = true;
    }
    *out = s->txn.dot;
    return TAKO_OK;
}

bool store_observe_hlc(store *s, uint64_t hlc)
{
    uint64_t wall;

    if (hlc <= s->clock.last)
        return true;
    wall = clock_time(s).ms;
    if (!s->txn.open || hlc < s->clock.reserved - CRDT_HLC_OF_MS(500))
        return crdt_clock_observe(&s->clock, hlc, wall);
    /* Beyond what is reserved: a dot of this transaction could not follow it.
     * The next one will; meanwhile causality orders, not the clock. */
    if (CRDT_HLC_MS(hlc) > wall &&
        CRDT_HLC_MS(hlc) - wall > TAKO_CLOCK_AHEAD_MS_MAX)
        return false;
    if (s->pending_hlc < hlc)
        s->pending_hlc = hlc;
    return true;
}
