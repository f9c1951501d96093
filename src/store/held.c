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
 * was written here is here any more. What went since one archive keeps it is
 * noted apart, in `target` behind the archive's name: of all others it is gone.
 * That archive, the first that kept something, has it.
 *
 * KEPT. Each cut that is applied reads this table, and next to nothing else
 * writes it: so what the writer's connection shows of it is in memory, as long as
 * it is not much, in the table's order. It is that exactly, also inside a
 * transaction, since each write goes through held_put or held_former, and
 * whatever rolls one back forgets it (held_forget) until it is read again.
 * Readers, which see snapshots of their own, read the table. */
#include "store/internal.h"

#define HELD_ENTRY_BYTES    24u
#define HELD_KEPT_BYTES_MAX (64u << 10)

static void entry_set_hlc(uint8_t *entry, uint64_t hlc)
{
    for (size_t i = 0; i < 8; i++)
        entry[16 + i] = (uint8_t)(hlc >> (56 - 8 * i));
}

static void held_read(sqlite3_stmt *stmt, store_held *out)
{
    out->text = conn_column(stmt, 0);
    out->v = conn_column(stmt, 1);
    out->target = conn_column(stmt, 2);
    out->why = (uint8_t)sqlite3_column_int64(stmt, 3);
    out->gone = out->text.len == 0 && sqlite3_column_int64(stmt, 4) != 0;
    out->archive = TAKO_SLICE_NONE;
}

/* As it is told: of what is gone, the archive's name and what it has. */
static void held_split(store_held *held)
{
    tako_reader in = tako_reader_of(held->target);

    if (!held->gone || held->target.len == 0)
        return;
    held->archive = tako_read_block(&in);
    held->target =
        tako_slice_of(held->target.ptr + in.pos, held->target.len - in.pos);
}

/* ---- kept ------------------------------------------------------------------ */

void held_forget(store *s)
{
    s->held.known = false;
    (void)atomic_fetch_add(&s->held.moves, 1u);
}

static void kept_put(tako_buf *b, tako_slice coll, const store_held *held)
{
    tako_put_block(b, coll);
    tako_put_block(b, held->text);
    tako_put_block(b, held->v);
    tako_put_block(b, held->target);
    tako_put_u8(b, held->why);
}

/* False at the end. */
static bool kept_next(tako_reader *in, tako_slice *coll, store_held *out)
{
    if (tako_reader_left(in) == 0)
        return false;
    *coll = tako_read_block(in);
    out->text = tako_read_block(in);
    out->v = tako_read_block(in);
    out->target = tako_read_block(in);
    out->why = tako_read_u8(in);
    out->gone = out->text.len == 0 && coll->len > 0;
    out->archive = TAKO_SLICE_NONE;
    TAKO_ASSERT(!in->failed);
    return true;
}

static tako_err kept_load(store *s)
{
    store_conn *c = &s->writer;
    tako_buf *b = &s->held.rows;
    sqlite3_stmt *stmt =
        store_sql(c,
                  "SELECT text,v,target,why,coll<>x'',coll FROM held"
                  " ORDER BY coll,text",
                  NULL);
    store_held held;
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "held", NULL);
    tako_buf_reset(b);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && !b->failed &&
           b->len <= HELD_KEPT_BYTES_MAX) {
        held_read(stmt, &held);
        kept_put(b, conn_column(stmt, 5), &held);
    }
    s->held.much = rc == SQLITE_ROW && !b->failed;
    store_done(c, stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return conn_fail(c, rc, "held", NULL);
    s->held.known = rc == SQLITE_DONE && !b->failed;
    if (!s->held.known)
        tako_buf_fini(b);
    return TAKO_OK;
}

static int key_cmp(tako_slice coll, tako_slice text, tako_slice coll2,
                   tako_slice text2)
{
    int d = tako_slice_cmp(coll, coll2);

    return d != 0 ? d : tako_slice_cmp(text, text2);
}

/* What was written is in its place; without memory nothing is known. */
static void kept_write(store *s, tako_slice coll, const store_held *held)
{
    tako_buf *b = &s->held.rows, row = tako_buf_on(s->env);
    tako_reader in = tako_reader_of(tako_buf_slice(b));
    size_t at = 0, end = 0;
    tako_slice coll2;
    store_held old;
    int d = -1;

    if (!s->held.known)
        return;
    while (d < 0 && kept_next(&in, &coll2, &old)) {
        d = key_cmp(coll2, old.text, coll, held->text);
        at = d < 0 ? in.pos : at;
        end = d <= 0 ? in.pos : at;
    }
    kept_put(&row, coll, held);
    if (end > at) {
        memmove(b->ptr + at, b->ptr + end, b->len - end);
        b->len -= end - at;
    }
    tako_buf_insert(b, at, tako_buf_slice(&row));
    if (row.failed || b->failed || b->len > HELD_KEPT_BYTES_MAX)
        held_forget(s);
    tako_buf_fini(&row);
}

/* Those of `coll`. */
static tako_err kept_each(tako_slice kept, tako_slice coll,
                          tako_err (*fn)(void *ctx, const store_held *held),
                          void *ctx)
{
    tako_reader in = tako_reader_of(kept);
    tako_slice of;
    store_held held;

    while (kept_next(&in, &of, &held)) {
        if (!tako_slice_eq(of, coll))
            continue;
        held_split(&held);
        TAKO_TRY(fn(ctx, &held));
    }
    return TAKO_OK;
}

tako_err store_held_in(tako_slice kept, tako_slice coll,
                       tako_err (*fn)(void *ctx, const store_held *held),
                       void *ctx)
{
    TAKO_TRY(kept_each(kept, coll, fn, ctx));
    return kept_each(kept, TAKO_SLICE_NONE, fn, ctx);
}

bool store_held_kept(store *s, tako_slice *out)
{
    if (!s->held.known && (s->held.much || kept_load(s) != TAKO_OK))
        return false;
    *out = tako_buf_slice(&s->held.rows);
    return s->held.known;
}

uint64_t store_held_moves(const store_conn *c)
{
    return atomic_load(&c->store->held.moves);
}

/* ---- reading and writing ---------------------------------------------------- */

tako_err store_held_each(store_conn *c, tako_slice coll,
                         tako_err (*fn)(void *ctx, const store_held *held),
                         void *ctx)
{
    store *s = c->store;
    sqlite3_stmt *stmt;
    tako_slice kept;
    store_held held;
    tako_err err = TAKO_OK;
    int rc = SQLITE_DONE;

    TAKO_ARG(c != NULL && fn != NULL);
    if (c == &s->writer && store_held_kept(s, &kept))
        return store_held_in(kept, coll, fn, ctx);
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
        held_split(&held);
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
    (void)atomic_fetch_add(&s->held.moves, 1u);
    TAKO_TRY(conn_step(c, stmt, "held", NULL));
    kept_write(s, coll, held);
    return TAKO_OK;
}

tako_err store_own_last(store_conn *c, crdt_dot *out)
{
    sqlite3_stmt *stmt;
    tako_slice actor;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    memset(out, 0, sizeof *out);
    if (c == &c->store->writer) {
        *out = (crdt_dot){ c->store->state.actor, c->store->own_kept };
        return TAKO_OK;
    }
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

tako_err store_former_last(store_conn *c, tako_buf *out)
{
    sqlite3_stmt *stmt;
    int rc;

    TAKO_ARG(c != NULL && out != NULL);
    stmt = store_sql(c, "SELECT v FROM held WHERE coll=x'' AND text=x''", NULL);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "held", NULL);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        tako_put_bytes(out, conn_column(stmt, 0));
    store_done(c, stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return conn_fail(c, rc, "held", NULL);
    return out->failed ? TAKO_NOMEM : TAKO_OK;
}

static uint64_t entry_hlc(const uint8_t *entry)
{
    tako_reader in = tako_reader_of(tako_slice_of(entry + 16, 8));

    return tako_read_u64(&in);
}

static void entry_raise(tako_buf *v, crdt_actor actor, uint64_t hlc,
                        bool *moved)
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
    entry_set_hlc(v->ptr + at, hlc);
}

static tako_err former_raise(store *s, crdt_dot upto, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    tako_buf v = tako_buf_on(s->env);
    sqlite3_stmt *stmt = NULL;
    bool moved = false;
    tako_err err = store_former_last(c, &v);

    entry_raise(&v, upto.actor, upto.hlc, &moved);
    if (err == TAKO_OK && v.failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK && moved) {
        held_forget(s);
        stmt = store_sql(c,
                         "INSERT OR REPLACE INTO held(coll,text,v,target,why)"
                         "VALUES(x'',x'',?1,x'',0)",
                         e);
        if (stmt == NULL)
            err = conn_fail(c, sqlite3_extended_errcode(c->db), "held", e);
    }
    if (stmt != NULL) {
        (void)conn_bind(stmt, 1, tako_buf_slice(&v));
        err = conn_step(c, stmt, "writing former actors", e);
    }
    tako_buf_fini(&v);
    return err;
}

tako_err held_former(store *s, crdt_dot last, tako_errbuf *e)
{
    held_forget(s); /* the actor goes, whatever it wrote */
    return former_raise(s, last, e);
}

tako_err store_former_give_up(store *s, crdt_dot upto, tako_errbuf *e)
{
    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    return former_raise(s, upto, e);
}

/* ---- gone ---------------------------------------------------------------------- */

typedef struct own_held {
    tako_buf gone, former;
    tako_buf archive, kept; /* what it has of what went */
} own_held;

static tako_err copy_own(void *ctx, const store_held *held)
{
    own_held *own = ctx;
    tako_buf *to = held->gone ? &own->gone : &own->former;

    if (held->text.len > 0)
        return TAKO_OK;
    tako_put_bytes(to, held->v);
    tako_put_bytes(&own->archive, held->archive);
    if (held->gone)
        tako_put_bytes(&own->kept, held->target);
    return to->failed || own->archive.failed || own->kept.failed ? TAKO_NOMEM
                                                                 : TAKO_OK;
}

static tako_err gone_put(store *s, tako_slice coll, const own_held *own)
{
    tako_buf target = tako_buf_on(s->env);
    store_held row = { .v = tako_buf_slice(&own->gone) };
    tako_err err;

    if (own->archive.len > 0) {
        tako_put_block(&target, tako_buf_slice(&own->archive));
        tako_put_bytes(&target, tako_buf_slice(&own->kept));
    }
    row.target = tako_buf_slice(&target);
    err = target.failed ? TAKO_NOMEM : store_held_put(s, coll, &row);
    tako_buf_fini(&target);
    return err;
}

static tako_err gone_write(store *s, tako_slice coll, own_held *own,
                           const crdt_context *context, tako_slice archive)
{
    bool moved = false;
    crdt_actor actor = s->state.actor;
    tako_buf *to = &own->gone;

    if (own->archive.len == 0)
        tako_put_bytes(&own->archive, archive);
    if (archive.len > 0 &&
        tako_slice_eq(tako_buf_slice(&own->archive), archive))
        to = &own->kept;
    entry_raise(to, actor, crdt_context_get(context, actor), &moved);
    for (size_t i = 0; i < own->former.len; i += HELD_ENTRY_BYTES) {
        memcpy(actor.id, own->former.ptr + i, sizeof actor.id);
        entry_raise(to, actor, crdt_context_get(context, actor), &moved);
    }
    if (to->failed || own->archive.failed)
        return TAKO_NOMEM;
    return moved ? gone_put(s, coll, own) : TAKO_OK;
}

tako_err held_gone(store *s, tako_slice coll, const crdt_context *context,
                   tako_slice archive, tako_errbuf *e)
{
    own_held own = { tako_buf_on(s->env), tako_buf_on(s->env),
                     tako_buf_on(s->env), tako_buf_on(s->env) };
    tako_err err = store_held_each(&s->writer, coll, copy_own, &own);

    if (err == TAKO_OK)
        err = gone_write(s, coll, &own, context, archive);
    tako_buf_fini(&own.gone);
    tako_buf_fini(&own.former);
    tako_buf_fini(&own.archive);
    tako_buf_fini(&own.kept);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "noting what of our own goes failed");
}
