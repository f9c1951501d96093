// SPDX-License-Identifier: Apache-2.0
/* HELD -- what sync knows to be complete here, written with the documents.
 *
 * For each subscription, by collection and canonical text, two vectors (actor
 * -> hlc): `v`, up to which every change is or was here, and `target`, which
 * v must reach before the state is whole again (empty: it is whole). What is
 * in them is sync's business (src/sync/cover.c); here they are bytes, 24 for
 * an actor: its id and the hlc, big-endian.
 *
 * OUR OWN entry is written nowhere: a local commit costs nothing more. It is
 * the last own hlc of the feed, and for the actors that this file had before,
 * what was committed under them, which is gathered where an actor is minted:
 * the row of no collection and no text.
 *
 * GONE, the row of a collection and no text: the greatest hlc of each actor of
 * ours in documents that left it or were evicted. Up to there, not all that
 * was written here is here any more. */
#include "store/internal.h"

#define HELD_ENTRY_BYTES 24u

static void held_read(sqlite3_stmt *stmt, store_held *out)
{
    out->text = conn_column(stmt, 0);
    out->v = conn_column(stmt, 1);
    out->target = conn_column(stmt, 2);
    out->why = (uint8_t)sqlite3_column_int64(stmt, 3);
    out->gone = out->text.len == 0 && sqlite3_column_int64(stmt, 4) != 0;
}

tako_err store_held_each(store_conn *c, tako_slice coll,
                         tako_err (*fn)(void *ctx, const store_held *held),
                         void *ctx)
{
    sqlite3_stmt *stmt;
    store_held held;
    tako_err err = TAKO_OK;
    int rc = SQLITE_DONE;

    TAKO_ARG(c != NULL && fn != NULL);
    stmt = store_sql(c,
                     "SELECT text,v,target,why,1 FROM held WHERE coll=?1"
                     " UNION ALL "
                     "SELECT text,v,target,why,0 FROM held WHERE coll=x''",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "held", NULL);
    (void)conn_bind(stmt, 1, coll);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        held_read(stmt, &held);
        err = fn(ctx, &held);
    }
    if (err == TAKO_OK && rc != SQLITE_DONE)
        err = conn_fail(c, rc, "held", NULL);
    store_done(c, stmt);
    return err;
}

tako_err store_held_put(store *s, tako_slice coll, const store_held *held)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;

    TAKO_ARG(s != NULL && held != NULL);
    TAKO_TRY(txn_check(s, NULL));
    stmt = store_sql(c,
                     "INSERT OR REPLACE INTO held(coll,text,v,target,why)"
                     "VALUES(?1,?2,?3,?4,?5)",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "held", NULL);
    (void)conn_bind(stmt, 1, coll);
    (void)conn_bind(stmt, 2, held->text);
    (void)conn_bind(stmt, 3, held->v);
    (void)conn_bind(stmt, 4, held->target);
    (void)sqlite3_bind_int64(stmt, 5, held->why);
    return conn_step(c, stmt, "held", NULL);
}

tako_err store_own_last(store_conn *c, crdt_dot *out)
{
    sqlite3_stmt *stmt;
    tako_slice actor;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    memset(out, 0, sizeof *out);
    stmt = store_sql(c,
                     "SELECT actor,taken,(SELECT own FROM feed WHERE"
                     " feed.lsn>state.since ORDER BY feed.lsn DESC LIMIT 1)"
                     " FROM state",
                     NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "own", NULL);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        uint64_t taken = (uint64_t)sqlite3_column_int64(stmt, 1);
        uint64_t own = (uint64_t)sqlite3_column_int64(stmt, 2);

        actor = conn_column(stmt, 0);
        if (actor.len == sizeof out->actor.id)
            memcpy(out->actor.id, actor.ptr, actor.len);
        out->hlc = own > taken ? own : taken;
    }
    store_done(c, stmt);
    return rc == SQLITE_ROW ? TAKO_OK : conn_fail(c, rc, "own", NULL);
}

tako_err held_former(store *s, crdt_dot last, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    uint8_t entry[HELD_ENTRY_BYTES];
    sqlite3_stmt *stmt;

    if (last.hlc == 0)
        return TAKO_OK;
    memcpy(entry, last.actor.id, 16);
    for (size_t i = 0; i < 8; i++)
        entry[16 + i] = (uint8_t)(last.hlc >> (56 - 8 * i));
    stmt = store_sql(c,
                     "INSERT INTO held(coll,text,v,target,why)"
                     "VALUES(x'',x'',?1,x'',0) ON CONFLICT(coll,text) DO"
                     " UPDATE SET v=CAST(v||excluded.v AS BLOB)",
                     e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "held", e);
    (void)conn_bind(stmt, 1, tako_slice_of(entry, sizeof entry));
    return conn_step(c, stmt, "writing former actors", e);
}

/* ---- gone ---------------------------------------------------------------------- */

static uint64_t entry_hlc(const uint8_t *entry)
{
    uint64_t hlc = 0;

    for (size_t i = 0; i < 8; i++)
        hlc = hlc << 8 | entry[16 + i];
    return hlc;
}

static void gone_raise(tako_buf *v, crdt_actor actor, uint64_t hlc, bool *moved)
{
    size_t at = 0;

    if (hlc == 0 || v->failed)
        return;
    while (at < v->len && memcmp(v->ptr + at, actor.id, 16) != 0)
        at += HELD_ENTRY_BYTES;
    if (at < v->len && entry_hlc(v->ptr + at) >= hlc)
        return;
    *moved = true;
    if (at == v->len) {
        tako_put_bytes(v, tako_slice_of(actor.id, sizeof actor.id));
        tako_put_u64(v, hlc);
        return;
    }
    for (size_t i = 0; i < 8; i++)
        v->ptr[at + 16 + i] = (uint8_t)(hlc >> (56 - 8 * i));
}

typedef struct own_held {
    tako_buf gone, former;
} own_held;

static tako_err copy_own(void *ctx, const store_held *held)
{
    own_held *own = ctx;
    tako_buf *to = held->gone ? &own->gone : &own->former;

    if (held->text.len == 0)
        tako_put_bytes(to, held->v);
    return to->failed ? TAKO_NOMEM : TAKO_OK;
}

static tako_err gone_write(store *s, tako_slice coll, own_held *own,
                           const crdt_context *context)
{
    bool moved = false;
    crdt_actor actor = s->state.actor;

    gone_raise(&own->gone, actor, crdt_context_get(context, actor), &moved);
    for (size_t i = 0; i < own->former.len; i += HELD_ENTRY_BYTES) {
        memcpy(actor.id, own->former.ptr + i, sizeof actor.id);
        gone_raise(&own->gone, actor, crdt_context_get(context, actor), &moved);
    }
    if (own->gone.failed)
        return TAKO_NOMEM;
    if (!moved)
        return TAKO_OK;
    return store_held_put(s, coll,
                          &(store_held){ .v = tako_buf_slice(&own->gone) });
}

tako_err held_gone(store *s, tako_slice coll, const crdt_context *context,
                   tako_errbuf *e)
{
    own_held own = { tako_buf_on(s->env), tako_buf_on(s->env) };
    tako_err err = store_held_each(&s->writer, coll, copy_own, &own);

    if (err == TAKO_OK)
        err = gone_write(s, coll, &own, context);
    tako_buf_fini(&own.gone);
    tako_buf_fini(&own.former);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "noting what of our own goes failed");
}
