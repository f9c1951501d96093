// SPDX-License-Identifier: Apache-2.0
/* FEED -- which documents each commit touched.
 *
 * One row per commit, appended; no index leads from a document to its
 * commits, because each index would be one more dirty page per commit.
 *
 *   touched = groups to the end of the blob:
 *             varint collection, varint n >= 1, n rows, each a varint: zigzag
 *             of its difference to the row before (64 bits, wrapping; the
 *             first of a group against 0)
 *
 *   priors  = for each row, in that order, a varint: 0 for a new document, else
 *             by how much the lsn of its state before is less, and then the
 *             greatest hlc of that state: varint 2 * zigzag(ms - ms of the last
 *             one here; of `own` at first) + c, where c is 1 when a varint
 *             counter follows. NULL where all were new.
 *
 * So who has our documents as of a commit can be sent what they have seen
 * since: the first commit that touched a document says what was before.
 *
 * Beside it stands `own`: the greatest hlc of our own actor up to that commit
 * (actor.c, rollback.c).
 *
 * New documents have ULIDs in order of time, so their differences are short.
 *
 * The feed is a help and not the truth (DESIGN 5): it is cut at its old end
 * to TAKO_FEED_BYTES_MAX, and `state.floor` says up to which lsn. The last row
 * always stays: it says what the last commit was. */
#include "store/internal.h"

#define FEED_ROW_COST 24u /* bytes of a commit beside its blob, roughly */

static uint64_t zigzag(uint64_t d)
{
    return d << 1 ^ (0 - (d >> 63));
}

static uint64_t unzigzag(uint64_t z)
{
    return z >> 1 ^ (0 - (z & 1));
}

static void feed_encode(const change_list *l, tako_buf *out)
{
    size_t i = 0;

    while (i < l->count) {
        uint32_t coll = l->entries[i].coll_alive >> 1;
        size_t end = i;
        uint64_t last = 0;

        while (end < l->count && l->entries[end].coll_alive >> 1 == coll)
            end++;
        tako_put_varint(out, coll);
        tako_put_varint(out, end - i);
        for (; i < end; i++) {
            uint64_t row = (uint64_t)l->entries[i].row;

            tako_put_varint(out, zigzag(row - last));
            last = row;
        }
    }
}

static void priors_encode(const change_list *l, uint64_t lsn, uint64_t own,
                          tako_buf *out)
{
    uint64_t last = own;

    for (size_t i = 0; i < l->count && l->prior_count > 0; i++) {
        const change_prior *p;
        uint64_t top;

        if (l->entries[i].prior == 0) {
            tako_put_varint(out, 0);
            continue;
        }
        p = &l->priors[l->entries[i].prior - 1u];
        top = crdt_meta_top(p->meta);
        tako_put_varint(out, lsn - p->lsn);
        tako_put_varint(out, zigzag((top >> 16) - (last >> 16)) << 1 |
                                 ((top & 0xffffu) != 0));
        if ((top & 0xffffu) != 0)
            tako_put_varint(out, top & 0xffffu);
        last = top;
    }
}

tako_err feed_write(store *s, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    uint64_t own = s->txn.dotted ? s->txn.dot.hlc : s->own_kept;
    tako_err err = TAKO_OK;
    size_t touched;
    int rc;

    tako_buf_reset(&s->blob);
    feed_encode(&s->changes, &s->blob);
    touched = s->blob.len;
    priors_encode(&s->changes, s->txn.lsn, own, &s->blob);
    if (s->blob.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    stmt = store_sql(
        c, "INSERT INTO feed(lsn,own,touched,priors)VALUES(?1,?2,?3,?4)", e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "the feed", e);
    rc = sqlite3_bind_int64(stmt, 1, (int64_t)s->txn.lsn);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (int64_t)own);
    if (rc == SQLITE_OK)
        rc = conn_bind(stmt, 3, tako_slice_of(s->blob.ptr, touched));
    if (rc == SQLITE_OK && s->blob.len > touched)
        rc = conn_bind(
            stmt, 4,
            tako_slice_of(s->blob.ptr + touched, s->blob.len - touched));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(c, rc, "writing the feed", e);
    store_done(c, stmt);
    s->feed_bytes += s->blob.len + FEED_ROW_COST;
    return err;
}

/* ---- reading ------------------------------------------------------------- */

/* How many rows the blob names; false when it is damaged. */
static bool feed_count(tako_slice blob, size_t *count)
{
    tako_reader r = tako_reader_of(blob);

    *count = 0;
    while (!r.failed && tako_reader_left(&r) > 0) {
        uint64_t coll = tako_read_varint(&r);
        uint64_t n = tako_read_varint(&r);

        if (coll == 0 || coll > TAKO_COLLECTIONS_MAX || n == 0 ||
            n > tako_reader_left(&r)) /* a row has a byte at least */
            return false;
        *count += (size_t)n;
        for (; n > 0 && !r.failed; n--)
            (void)tako_read_varint(&r);
    }
    return tako_reader_done(&r) && *count > 0;
}

static void feed_decode(tako_slice blob, store_touch *out)
{
    tako_reader r = tako_reader_of(blob);

    while (tako_reader_left(&r) > 0) {
        uint32_t coll = (uint32_t)tako_read_varint(&r);
        uint64_t n = tako_read_varint(&r);
        uint64_t row = 0;

        for (; n > 0; n--) {
            row += unzigzag(tako_read_varint(&r));
            *out++ = (store_touch){ .coll = coll, .row = (int64_t)row };
        }
    }
}

/* False when they are damaged. */
static bool priors_decode(tako_slice blob, uint64_t lsn, uint64_t own,
                          store_touch *out, size_t count)
{
    tako_reader r = tako_reader_of(blob);
    uint64_t ms = own >> 16;

    for (size_t i = 0; i < count && blob.len > 0; i++) {
        uint64_t back = tako_read_varint(&r), step;

        if (back == 0)
            continue;
        if (back >= lsn)
            return false;
        step = tako_read_varint(&r);
        ms += unzigzag(step >> 1);
        out[i].lsn_before = lsn - back;
        out[i].top_before = ms << 16;
        if ((step & 1u) != 0)
            out[i].top_before |= tako_read_varint(&r) & 0xffffu;
    }
    return tako_reader_done(&r);
}

static tako_err feed_take(store_conn *c, sqlite3_stmt *stmt, uint64_t after,
                          tako_arena *a, uint64_t *lsn, store_touch **touched,
                          size_t *count)
{
    int rc = sqlite3_step(stmt);
    tako_slice blob;

    if (rc == SQLITE_DONE)
        return TAKO_NOTFOUND;
    if (rc != SQLITE_ROW)
        return conn_fail(c, rc, "reading the feed", NULL);
    if ((uint64_t)sqlite3_column_int64(stmt, 2) > after)
        return TAKO_UNSUPPORTED;
    blob = conn_column(stmt, 1);
    if (!feed_count(blob, count))
        return TAKO_CORRUPT;
    *touched = tako_arena_array(a, *count, sizeof **touched);
    if (*touched == NULL)
        return TAKO_NOMEM;
    feed_decode(blob, *touched);
    *lsn = (uint64_t)sqlite3_column_int64(stmt, 0);
    return priors_decode(conn_column(stmt, 3), *lsn,
                         (uint64_t)sqlite3_column_int64(stmt, 4), *touched,
                         *count)
               ? TAKO_OK
               : TAKO_CORRUPT;
}

tako_err store_feed_next(store_conn *c, uint64_t after, tako_arena *a,
                         uint64_t *lsn, store_touch **touched, size_t *count)
{
    sqlite3_stmt *stmt;
    tako_err err;

    TAKO_ARG(c != NULL && a != NULL && lsn != NULL && touched != NULL &&
             count != NULL);
    if (after > INT64_MAX)
        return TAKO_NOTFOUND;
    stmt = store_sql(c,
                     "SELECT lsn,touched,(SELECT floor FROM state),priors,own"
                     " FROM feed WHERE lsn>?1 ORDER BY lsn LIMIT 1",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "feed", NULL);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)after);
    err = feed_take(c, stmt, after, a, lsn, touched, count);
    store_done(c, stmt);
    return err;
}

/* ---- pruning ------------------------------------------------------------- */

/* The greatest lsn to go, from the new end backwards; 0: nothing. */
static tako_err feed_cut(store_conn *c, int64_t *cut, tako_errbuf *e)
{
    uint64_t bytes = 0;
    sqlite3_stmt *stmt;
    bool last = true;
    int rc;

    *cut = 0;
    stmt = store_sql(
        c,
        "SELECT lsn,length(touched)+ifnull(length(priors),0) FROM feed"
        " ORDER BY lsn DESC",
        e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "the feed", e);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        bytes += (uint64_t)sqlite3_column_int64(stmt, 1) + FEED_ROW_COST;
        if (bytes > TAKO_FEED_BYTES_MAX && !last) {
            *cut = sqlite3_column_int64(stmt, 0);
            break;
        }
        last = false;
    }
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading the feed", e);
}

static tako_err feed_remove(store_conn *c, int64_t cut, tako_errbuf *e)
{
    static const char *const sql[] = { "UPDATE state SET floor=?1",
                                       "DELETE FROM feed WHERE lsn<=?1" };

    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *stmt = store_sql(c, sql[i], e);

        if (stmt == NULL)
            return conn_fail(c, sqlite3_extended_errcode(c->db), "feed", e);
        (void)sqlite3_bind_int64(stmt, 1, cut);
        TAKO_TRY(conn_step(c, stmt, "cutting the feed", e));
    }
    return TAKO_OK;
}

tako_err feed_prune(store *s, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    int64_t cut;
    tako_err err;

    TAKO_TRY(feed_cut(c, &cut, e));
    s->feed_bytes = 0;
    if (cut == 0)
        return TAKO_OK;
    TAKO_TRY(conn_run(c, "BEGIN IMMEDIATE", e));
    err = feed_remove(c, cut, e);
    if (err == TAKO_OK)
        err = conn_run(c, "COMMIT", e);
    if (err != TAKO_OK && sqlite3_get_autocommit(c->db) == 0)
        (void)conn_run(c, "ROLLBACK", NULL);
    return err;
}
