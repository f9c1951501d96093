// SPDX-License-Identifier: Apache-2.0
/* SEEN -- the greatest hlc of each other actor that was merged here.
 *
 * A peer hears from us how much of it we know when a session begins; if that
 * is more than it knows itself, it was rolled back (SYNC.md 1). A merging
 * transaction gathers what it meets and writes one row for each actor that
 * went up, in the commit that has the documents. Local commits write nothing.
 *
 * The table is bounded: beyond TAKO_SEEN_ACTORS_MAX the actors with the least
 * hlcs go, an eighth at a time. Those wrote nothing for the longest time; if
 * one of them is rolled back, only its own documents will tell it. */
#include "store/internal.h"

#define SEEN_HLC_MAX (uint64_t) INT64_MAX /* what a column can order */

tako_err seen_note(store *s, crdt_dot dot)
{
    if (dot.hlc <= s->seen_last.hlc &&
        crdt_actor_cmp(dot.actor, s->seen_last.actor) == 0)
        return TAKO_OK;
    s->seen_last = dot;
    return crdt_context_add(&s->seen_arena, &s->seen, dot);
}

void seen_reset(store *s)
{
    if (s->seen.count == 0)
        return;
    tako_arena_reset(&s->seen_arena);
    s->seen = (crdt_context){ NULL, 0, 0 };
    memset(&s->seen_last, 0, sizeof s->seen_last);
}

static tako_err seen_step(store *s, const char *sql, crdt_dot dot,
                          tako_errbuf *e)
{
    store_conn *c = &s->writer;
    uint64_t hlc = dot.hlc < SEEN_HLC_MAX ? dot.hlc : SEEN_HLC_MAX;
    sqlite3_stmt *stmt = store_sql(c, sql, e);

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table seen", e);
    (void)conn_bind(stmt, 1, tako_slice_of(dot.actor.id, 16));
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)hlc);
    return conn_step(c, stmt, "writing table seen", e);
}

/* *fresh: the actor was not there. */
static tako_err seen_one(store *s, crdt_dot dot, bool *fresh, tako_errbuf *e)
{
    *fresh = false;
    TAKO_TRY(seen_step(s, "UPDATE seen SET hlc=?2 WHERE actor=?1 AND hlc<?2",
                       dot, e));
    if (sqlite3_changes(s->writer.db) > 0)
        return TAKO_OK;
    TAKO_TRY(seen_step(s, "INSERT OR IGNORE INTO seen(actor,hlc)VALUES(?1,?2)",
                       dot, e));
    *fresh = sqlite3_changes(s->writer.db) > 0;
    return TAKO_OK;
}

static tako_err seen_bound(store *s, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int64_t rows = 0;
    int rc;

    TAKO_TRY(conn_int(c, "SELECT count(*) FROM seen", &rows, e));
    if (rows <= (int64_t)TAKO_SEEN_ACTORS_MAX)
        return TAKO_OK;
    stmt = store_sql(c,
                     "DELETE FROM seen WHERE actor IN"
                     "(SELECT actor FROM seen ORDER BY hlc LIMIT ?1)",
                     e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table seen", e);
    (void)sqlite3_bind_int64(stmt, 1,
                             rows - (int64_t)(TAKO_SEEN_ACTORS_MAX / 8u * 7u));
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE ? TAKO_OK
                             : conn_fail(c, rc, "cutting table seen", e);
}

tako_err seen_write(store *s, tako_errbuf *e)
{
    bool fresh, any = false;

    for (size_t i = 0; i < s->seen.count; i++) {
        TAKO_TRY(seen_one(s, s->seen.dots[i], &fresh, e));
        any = any || fresh;
    }
    return any ? seen_bound(s, e) : TAKO_OK;
}

tako_err seen_put(store *s, crdt_dot dot, tako_errbuf *e)
{
    bool fresh;

    return dot.hlc == 0 ? TAKO_OK : seen_one(s, dot, &fresh, e);
}

/* The feed is looked at for our own actor only, and there at its last row: a
 * join of both would look through all of it for any other. */
tako_err store_seen_hlc(store_conn *c, crdt_actor actor, uint64_t *hlc)
{
    sqlite3_stmt *stmt;
    int rc;

    TAKO_ARG(c != NULL && hlc != NULL);
    *hlc = 0;
    stmt = store_sql(c,
                     "SELECT max(hlc) FROM (SELECT hlc FROM seen WHERE actor=?1"
                     " UNION ALL SELECT(SELECT own FROM feed WHERE lsn>since"
                     " ORDER BY lsn DESC LIMIT 1) FROM state WHERE actor=?1)",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "seen", NULL);
    (void)conn_bind(stmt, 1, tako_slice_of(actor.id, 16));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *hlc = (uint64_t)sqlite3_column_int64(stmt, 0);
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading table seen", NULL);
}
