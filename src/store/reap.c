// SPDX-License-Identifier: Apache-2.0
/* REAP -- tombstones go after some days, and what days are here (SYNC.md 4).
 *
 * DAYS. Reaping late costs some bytes; reaping what nobody has heard of yet is
 * what the rest of SYNC.md 4 makes harmless, but not free. So a day is not a
 * difference of wall clocks: it is a counter on disk that goes up by one when
 * the wall clock shows a later day than it did, at most once in DAY_REST_MS
 * of the monotonic clock, or once for each opening. A clock that leaps a year
 * ahead counts as one day, and when it is set right again counting goes on
 * from there; one that stands still counts nothing.
 *
 * ARRIVAL. Table `tomb` has the day on which a row last became a tombstone, or
 * a notice, written with it. Rows that came alive again are found out when
 * their turn comes.
 *
 * EPOCH. An INSERT of a key of which nothing is stored begins above it, and that
 * birth says that nothing before is remembered (crdt/births.c). It rises when a tombstone is reaped, not before: as long as it is
 * here it tells itself of the generation that ended, and two devices that
 * insert one new key at once must begin the same one, whatever else either of
 * them has deleted (P3).
 *
 * REAPING walks `tomb`, some rows at a time. The births of all lives that the
 * tombstone ended go to the graveyard, the row goes. What stays: a tombstone whose context has a seed (any device may
 * seed it again, and nobody would know), and the row that another ULID with
 * the same first bits gave way to, as long as that is there. The numbers of
 * negative rows are not used again (`yard.below`).
 *
 * No document changes by it: such a transaction has no commit number. */
#include "store/internal.h"

#include <stdio.h>

#define DAY_KEY     "care.day"
#define DAY_MS      UINT64_C(86400000)
#define DAY_REST_MS (20u * 3600u * 1000u)

/* ---- days ------------------------------------------------------------------ */

static tako_err day_load(store *s, tako_errbuf *e)
{
    reaper *r = &s->reaper;
    tako_buf value = tako_buf_on(s->env);
    tako_reader in;
    tako_err err;

    if (r->day_known)
        return TAKO_OK;
    err = store_kv_get(&s->writer, DAY_KEY, &value);
    in = tako_reader_of(tako_buf_slice(&value));
    if (err == TAKO_OK) {
        r->day = tako_read_u64(&in);
        r->wall_day = tako_read_u64(&in);
        err = tako_reader_done(&in) ? TAKO_OK : TAKO_CORRUPT;
    } else if (err == TAKO_NOTFOUND) {
        r->day = 0;
        r->wall_day = 0; /* the first look counts as a day */
        err = TAKO_OK;
    }
    tako_buf_fini(&value);
    r->day_known = err == TAKO_OK;
    return err == TAKO_OK ? err : tako_fail(e, err, "reading the day failed");
}

tako_err day_read(store *s, uint64_t *day, tako_errbuf *e)
{
    TAKO_TRY(day_load(s, e));
    *day = s->reaper.day;
    return TAKO_OK;
}

static tako_err day_save(store *s, uint64_t day, uint64_t wall_day,
                         tako_errbuf *e)
{
    tako_buf value = tako_buf_on(s->env);
    tako_err err;

    tako_put_u64(&value, day);
    tako_put_u64(&value, wall_day);
    err = value.failed ? TAKO_NOMEM
                       : store_kv_put(s, DAY_KEY, tako_buf_slice(&value));
    tako_buf_fini(&value);
    if (err != TAKO_OK)
        return tako_fail(e, err, "writing the day failed");
    s->reaper.day = day;
    s->reaper.wall_day = wall_day;
    return TAKO_OK;
}

tako_err store_day(store *s, uint64_t *day, tako_errbuf *e)
{
    reaper *r = &s->reaper;
    uint64_t wall, mono;
    tako_err err = TAKO_OK;

    TAKO_ARG(s != NULL && day != NULL && !s->txn.open);
    TAKO_TRY(day_load(s, e));
    wall = s->env->wall_ms(s->env->ctx) / DAY_MS;
    mono = s->env->mono_ms(s->env->ctx);
    if (wall < r->wall_day) {
        err = day_save(s, r->day, wall, e);
    } else if (wall > r->wall_day &&
               (!r->moved || mono - r->moved_ms >= DAY_REST_MS)) {
        err = day_save(s, r->day + 1, wall, e);
        r->moved = r->moved || err == TAKO_OK;
        r->moved_ms = err == TAKO_OK ? mono : r->moved_ms;
    }
    *day = r->day;
    return err;
}

/* ---- arrival ------------------------------------------------------------------ */

static tako_err tomb_step(store *s, const char *sql, uint32_t coll, int64_t row,
                          uint64_t day, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = store_sql(c, sql, e);
    int rc;

    if (stmt == NULL)
        return txn_break(
            s, conn_fail(c, sqlite3_extended_errcode(c->db), "table tomb", e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, row);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)day);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE
               ? TAKO_OK
               : txn_break(s, conn_fail(c, rc, "writing table tomb", e));
}

static tako_err tomb_put(store *s, uint32_t coll, int64_t row, tako_errbuf *e)
{
    return tomb_step(s,
                     "INSERT OR REPLACE INTO tomb(coll,row,day)"
                     "VALUES(?1,?2,?3)",
                     coll, row, s->reaper.day, e);
}

static tako_err tomb_drop(store *s, uint32_t coll, int64_t row, tako_errbuf *e)
{
    /* ?3 is bound for the other statement. */
    return tomb_step(s, "DELETE FROM tomb WHERE coll=?1 AND row=?2 AND ?3>=0",
                     coll, row, 0, e);
}

tako_err tomb_note(store *s, uint32_t coll, int64_t row, tako_slice meta,
                   tako_errbuf *e)
{
    if (crdt_meta_is_marker(meta))
        return TAKO_OK;
    TAKO_TRY(day_load(s, e));
    return tomb_put(s, coll, row, e);
}

/* ---- a row goes ----------------------------------------------------------------- */

/* Does a document with the same first bits of its ULID stand elsewhere? Those
 * 62 bits are 12 characters and a part of the 13th. */
static tako_err gave_way(store *s, uint32_t coll, tako_slice id, bool *out,
                         tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    char sql[120];
    uint8_t last[14];
    int rc;

    TAKO_ASSERT(id.len > sizeof last);
    memcpy(last, id.ptr, sizeof last);
    last[13]++;
    (void)snprintf(sql, sizeof sql,
                   "SELECT 1 FROM c%u WHERE row<0 AND id>=?1 AND id<?2 LIMIT 1",
                   coll);
    stmt = store_sql(c, sql, e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "a collection", e);
    (void)conn_bind(stmt, 1, tako_slice_of(id.ptr, sizeof last));
    (void)conn_bind(stmt, 2, tako_slice_of(last, sizeof last));
    rc = sqlite3_step(stmt);
    *out = rc == SQLITE_ROW;
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading a collection", e);
}

tako_err row_remove(store *s, uint32_t coll, int64_t row, tako_slice id,
                    tako_errbuf *e)
{
    char sql[64];
    bool held = false;
    yard *y;
    sqlite3_stmt *stmt;
    int rc;

    if (row > 0)
        TAKO_TRY(gave_way(s, coll, id, &held, e));
    if (held)
        return TAKO_BUSY;
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (row < y->below) {
        y->below = row;
        TAKO_TRY(yard_save(s, coll, y, e));
    }
    (void)snprintf(sql, sizeof sql, "DELETE FROM c%u WHERE row=?1", coll);
    stmt = store_sql(&s->writer, sql, e);
    if (stmt == NULL)
        return txn_break(s, conn_fail(&s->writer,
                                      sqlite3_extended_errcode(s->writer.db),
                                      "a collection", e));
    (void)sqlite3_bind_int64(stmt, 1, row);
    rc = sqlite3_step(stmt);
    store_done(&s->writer, stmt);
    change_gone(&s->changes);
    return rc == SQLITE_DONE
               ? TAKO_OK
               : txn_break(s, conn_fail(&s->writer, rc, "removing a row", e));
}

/* ---- reaping -------------------------------------------------------------------- */

static tako_err bury_all(store *s, uint32_t coll, tako_slice id,
                         const crdt_doc *d, tako_errbuf *e)
{
    size_t n = crdt_doc_births(d, NULL, 0);
    store_grave g = { .mark = store_grave_mark(id) };
    bool ended, fresh;

    for (size_t i = 0; i < n; i++) {
        g.dot = crdt_doc_birth(d, i, &ended);
        TAKO_TRY(store_bury(s, coll, &g, &fresh, e));
    }
    return store_epoch_raise(s, coll, crdt_doc_generation(d), e);
}

/* *stays: for ever. */
static tako_err bury_row(store *s, uint32_t coll, const store_row *row,
                         bool *stays, tako_errbuf *e)
{
    tako_arena *a = &s->merge_memory.arena;
    crdt_context births = { NULL, 0, 0 };
    crdt_doc *d;

    *stays = false;
    tako_arena_reset(a);
    if (crdt_meta_is_notice(row->meta)) { /* all are buried already */
        TAKO_TRY(crdt_notice_read(a, row->meta, &births.dots, &births.count));
        *stays = crdt_context_seeded(&births);
        return TAKO_OK;
    }
    TAKO_TRY(crdt_doc_decode_trusted(a, row->meta, row->body, &d, e));
    *stays = crdt_context_seeded(crdt_doc_context(d));
    if (*stays)
        return TAKO_OK;
    TAKO_TRY(forgot_put(s, coll, row->id, d, e));
    return bury_all(s, coll, row->id, d, e);
}

static tako_err reap_row(store *s, uint32_t coll, int64_t at, uint64_t *reaped,
                         tako_errbuf *e)
{
    store_row row;
    bool stays = true;
    tako_err err = store_get_row(&s->writer, coll, at, &row);

    if (err == TAKO_OK && row.body.len == 0 && !store_row_is_marker(&row))
        err = bury_row(s, coll, &row, &stays, e);
    else if (err == TAKO_NOTFOUND)
        err = TAKO_OK;
    if (err == TAKO_OK && !stays) {
        err = row_remove(s, coll, at, row.id, e);
        if (err == TAKO_BUSY)
            return tomb_put(s, coll, at, e); /* again in so many days */
        *reaped += err == TAKO_OK;
    }
    return err == TAKO_OK ? tomb_drop(s, coll, at, e)
                          : tako_fail(e, err, "reaping a document failed");
}

typedef struct tomb {
    uint32_t coll;
    int64_t row;
    uint64_t day;
} tomb;

/* The next tombstones after where the reaper stands. */
static tako_err tombs_read(store *s, tomb *out, uint32_t max, uint32_t *count,
                           tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt =
        store_sql(c,
                  "SELECT coll,row,day FROM tomb WHERE(coll,row)>(?1,?2)"
                  "ORDER BY coll,row LIMIT ?3",
                  e);
    int rc = SQLITE_DONE;

    *count = 0;
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table tomb", e);
    (void)sqlite3_bind_int64(stmt, 1, s->reaper.coll);
    (void)sqlite3_bind_int64(stmt, 2, s->reaper.row);
    (void)sqlite3_bind_int64(stmt, 3, max);
    while (*count < max && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        out[(*count)++] = (tomb){ (uint32_t)sqlite3_column_int64(stmt, 0),
                                  sqlite3_column_int64(stmt, 1),
                                  (uint64_t)sqlite3_column_int64(stmt, 2) };
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading table tomb", e);
}

#define REAP_PIECE 256u /* tombstones of one transaction */

static tako_err reap_piece(store *s, uint32_t ttl, uint32_t budget,
                           uint32_t *looked, uint64_t *reaped, tako_errbuf *e)
{
    tomb tombs[REAP_PIECE];
    uint32_t max = budget < REAP_PIECE ? budget : REAP_PIECE;
    uint64_t before = *reaped;
    tako_err err;

    TAKO_TRY(tombs_read(s, tombs, max, looked, e));
    if (*looked == 0)
        return TAKO_OK;
    TAKO_TRY(store_begin(s, e));
    err = TAKO_OK;
    for (uint32_t i = 0; i < *looked && err == TAKO_OK; i++)
        if (tombs[i].day + ttl <= s->reaper.day)
            err = reap_row(s, tombs[i].coll, tombs[i].row, reaped, e);
    if (err == TAKO_OK)
        err = store_commit(s, NULL, e);
    else
        store_rollback(s);
    if (err != TAKO_OK) {
        *reaped = before;
        return err;
    }
    s->reaper.coll = tombs[*looked - 1].coll;
    s->reaper.row = tombs[*looked - 1].row;
    return TAKO_OK;
}

tako_err store_reap(store *s, uint32_t ttl, uint32_t budget, uint64_t *reaped,
                    bool *more, tako_errbuf *e)
{
    reaper *r = &s->reaper;
    uint32_t looked;
    uint64_t day;

    TAKO_ARG(s != NULL && reaped != NULL && more != NULL);
    TAKO_ARG(!s->txn.open && budget > 0);
    *reaped = 0;
    *more = false;
    TAKO_TRY(store_day(s, &day, e));
    if (r->rests && r->done_day == day && r->done_ttl == ttl)
        return TAKO_OK;
    for (; budget > 0; budget -= looked) {
        TAKO_TRY(reap_piece(s, ttl, budget, &looked, reaped, e));
        if (looked == 0) {
            r->coll = 0;
            r->row = 0;
            r->rests = true;
            r->done_day = day;
            r->done_ttl = ttl;
            return TAKO_OK;
        }
    }
    *more = true;
    return TAKO_OK;
}
