// SPDX-License-Identifier: Apache-2.0
/* FORGOT -- that we had a hand in what is not stored here any more.
 *
 * A write claims, by its document's context, that its state holds or has ended
 * all that its actor did to that document before. Where the row is gone, reaped
 * or dead or long since left, and another's state of the document comes that
 * has not those events, the next write here would claim them falsely: elsewhere
 * they are there, under the same context (P2). So of each such row with events
 * of the present actor stays a line: the hash of its _id, its generation, and
 * our last hlc in it.
 *
 *   A state comes        that remembers nothing up to that generation
 *                        (crdt/births.c), or has seen that hlc: nothing is
 *                        claimed falsely. Else the actor writes no more, and
 *                        the next transaction has another (actor_retire).
 *   An INSERT here       begins above that generation: it forgets what we
 *                        forgot.
 *
 * A new actor has done nothing yet, so it begins with no lines; and one with
 * more than TAKO_FORGOT_MAX of them gives its place to a new one. */
#include "store/internal.h"

typedef struct forgotten {
    uint64_t generation, own;
} forgotten;

static tako_err forgot_fail(store *s, int rc, tako_errbuf *e)
{
    return conn_fail(&s->writer, rc, "table forgot", e);
}

void forgot_unknown(store *s)
{
    s->forgot_known = false;
}

static tako_err count_of(store *s, uint64_t *count, tako_errbuf *e)
{
    int64_t rows = 0;

    if (!s->forgot_known) {
        TAKO_TRY(conn_int(&s->writer, "SELECT count(*) FROM forgot", &rows, e));
        s->forgot_count = (uint64_t)rows;
        s->forgot_known = true;
    }
    *count = s->forgot_count;
    return TAKO_OK;
}

tako_err forgot_clear(store *s, tako_errbuf *e)
{
    s->forgot_known = false;
    return conn_run(&s->writer, "DELETE FROM forgot", e);
}

static tako_err forgot_get(store *s, uint32_t coll, tako_slice id,
                           forgotten *out, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    uint64_t count;
    int rc;

    *out = (forgotten){ 0, 0 };
    TAKO_TRY(count_of(s, &count, e));
    if (count == 0)
        return TAKO_OK;
    stmt = store_sql(
        c, "SELECT generation,own FROM forgot WHERE coll=?1 AND mark=?2", e);
    if (stmt == NULL)
        return forgot_fail(s, sqlite3_extended_errcode(c->db), e);
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)store_grave_mark(id));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = (forgotten){ (uint64_t)sqlite3_column_int64(stmt, 0),
                            (uint64_t)sqlite3_column_int64(stmt, 1) };
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? TAKO_OK
                                                 : forgot_fail(s, rc, e);
}

/* One more, or as many: they are counted anew when it matters. */
static tako_err bound(store *s, tako_errbuf *e)
{
    uint64_t count;

    s->forgot_known = s->forgot_known && ++s->forgot_count <= TAKO_FORGOT_MAX;
    TAKO_TRY(count_of(s, &count, e));
    return count > TAKO_FORGOT_MAX ? actor_retire(s, e) : TAKO_OK;
}

tako_err forgot_put(store *s, uint32_t coll, tako_slice id, const crdt_doc *d,
                    tako_errbuf *e)
{
    uint64_t own = crdt_context_get(crdt_doc_context(d), s->state.actor);
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int rc;

    if (own == 0)
        return TAKO_OK;
    stmt = store_sql(c,
                     "INSERT INTO forgot(coll,mark,generation,own)"
                     "VALUES(?1,?2,?3,?4)ON CONFLICT DO UPDATE SET "
                     "generation=max(generation,?3),own=max(own,?4)",
                     e);
    if (stmt == NULL)
        return txn_break(s, forgot_fail(s, sqlite3_extended_errcode(c->db), e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)store_grave_mark(id));
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)crdt_doc_generation(d));
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)own);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    if (rc != SQLITE_DONE)
        return txn_break(s, forgot_fail(s, rc, e));
    return bound(s, e);
}

tako_err forgot_meet(store *s, uint32_t coll, tako_slice id,
                     const crdt_doc *remote, tako_errbuf *e)
{
    forgotten f;

    TAKO_TRY(forgot_get(s, coll, id, &f, e));
    if (f.own == 0 || crdt_doc_first(remote) > f.generation ||
        crdt_context_get(crdt_doc_context(remote), s->state.actor) >= f.own)
        return TAKO_OK;
    return actor_retire(s, e);
}

tako_err forgot_own(store *s, uint32_t coll, tako_slice id, uint64_t *own,
                    tako_errbuf *e)
{
    forgotten f;

    TAKO_TRY(forgot_get(s, coll, id, &f, e));
    if (f.own > *own)
        *own = f.own;
    return TAKO_OK;
}

tako_err forgot_has(store *s, uint32_t coll, tako_slice id, bool *has,
                    tako_errbuf *e)
{
    forgotten f;

    TAKO_TRY(forgot_get(s, coll, id, &f, e));
    *has = f.own != 0;
    return TAKO_OK;
}

tako_err forgot_after(store *s, uint32_t coll, tako_slice id,
                      uint64_t *generation, tako_errbuf *e)
{
    forgotten f;

    TAKO_TRY(forgot_get(s, coll, id, &f, e));
    f.generation += f.generation & 1;
    if (f.generation > *generation && f.generation <= TAKO_EPOCH_MAX)
        *generation = f.generation;
    return TAKO_OK;
}
