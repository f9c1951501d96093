// SPDX-License-Identifier: Apache-2.0
/* ACTOR -- who we are, and that we never say two things under one name.
 *
 * P1: a dot is never used twice, and each dot of an actor has seen all earlier
 * dots of that actor that any other node has. Three things can break it:
 *
 *   a crash   that loses unsynced commits: hlcs and lsns are used only up to
 *             a reservation that was written, synced, before. After an
 *             unclean end both go on above the reservation, hlcs a random
 *             stretch above it: a file that comes back twice, each time with
 *             its seal, would have two lives with the same hlcs, and no peer
 *             could tell one from the other (rollback.c).
 *   a loss    of commits that were already sent: before the first unsynced
 *             commit is sent, the *dirty* mark is set, synced, with the
 *             machine's boot id. Opened with the mark after another boot: new
 *             actor. (A killed process loses nothing: same boot id.)
 *   a copy    restored, cloned or rolled back. The file holds a random seal,
 *             renewed at each open, and at the close of a session that wrote;
 *             PATH.seal holds it too, with the machine, the path and the inode
 *             of the file. Where they disagree: new actor.
 * A fourth end of an actor breaks nothing: where its hlcs ran ahead of the time
 * that others confirm, the next one's begin at that time (clock.c).
 * With a new actor comes a new incarnation of the feed, before the first
 * write or send.
 *
 * The seal changes in three steps, each durable before the next: PATH.seal
 * with the old and the new seal (of a copy, whose seal is the original's: the
 * new one alone); the file with the new one; PATH.seal with the new one alone.
 * A crash between any two leaves a pair that agrees, and after
 * the third no older copy of the file agrees.
 *
 * WHAT WE SAID. What neither the mark nor the seal tells (a machine rolled back
 * with all that runs on it, a file with its running copy) shows when a peer
 * has an event of ours that we have not (rollback.c). So we must know what of
 * ours is in the file: each row of the feed has the greatest own hlc up to
 * that commit, and of those after `since` it is the present actor's.
 *
 * Device numbers are kept for people to read, but not compared: they change
 * between boots of the same machine. */
#include "store/internal.h"

#define HLC_AHEAD_MS    60000u /* reserved beyond the wall clock */
#define HLC_MARGIN      CRDT_HLC_OF_MS(1000u) /* and beyond the next hlc */
#define HLC_SKIP        (HLC_MARGIN / 2) /* at most, after an unclean end */
#define LSN_AHEAD       100000u
#define LSN_MARGIN      1u
#define SEAL_FILE_BYTES 4096u
#define SEAL_VERSION    1u

static const char seal_magic[] = "takoseal";

void actor_random(const tako_env *env, actor_state *out)
{
    memset(out, 0, sizeof *out);
    env->random(env->ctx, out->actor.id, sizeof out->actor.id);
    env->random(env->ctx, out->incarnation, sizeof out->incarnation);
    env->random(env->ctx, out->seal, sizeof out->seal);
}

static uint64_t add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* ---- the row of table state ---------------------------------------------- */

static bool take16(sqlite3_stmt *stmt, int at, uint8_t out[16])
{
    tako_slice v = conn_column(stmt, at);

    if (v.len != 16)
        return false;
    memcpy(out, v.ptr, 16);
    return true;
}

static tako_err state_read(store *s, actor_state *out, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    tako_err err = TAKO_OK;
    int rc;

    memset(out, 0, sizeof *out);
    stmt = store_sql(c,
                     "SELECT actor,incarnation,seal,hlc,lsn,since,taken,"
                     "dirty FROM state WHERE one=1",
                     e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "its state", e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        out->hlc = (uint64_t)sqlite3_column_int64(stmt, 3);
        out->lsn = (uint64_t)sqlite3_column_int64(stmt, 4);
        out->since = (uint64_t)sqlite3_column_int64(stmt, 5);
        out->taken = (uint64_t)sqlite3_column_int64(stmt, 6);
        out->dirty = sqlite3_column_type(stmt, 7) != SQLITE_NULL;
        if (!take16(stmt, 0, out->actor.id) ||
            !take16(stmt, 1, out->incarnation) || !take16(stmt, 2, out->seal) ||
            (out->dirty && !take16(stmt, 7, out->boot)) ||
            out->lsn > INT64_MAX / 2 || out->since > out->lsn)
            rc = SQLITE_DONE;
    }
    if (rc == SQLITE_DONE)
        err = tako_fail(e, TAKO_CORRUPT, "%s: table state is damaged", s->path);
    else if (rc != SQLITE_ROW)
        err = conn_fail(c, rc, "reading its state", e);
    store_done(c, stmt);
    return err;
}

static tako_err state_write(store *s, const actor_state *next, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    tako_err err = TAKO_OK;
    int rc;

    stmt = store_sql(c,
                     "UPDATE state SET actor=?1,incarnation=?2,seal=?3,hlc=?4,"
                     "lsn=?5,since=?6,taken=?7,dirty=?8 WHERE one=1",
                     e);
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "its state", e);
    (void)conn_bind(stmt, 1, tako_slice_of(next->actor.id, 16));
    (void)conn_bind(stmt, 2, tako_slice_of(next->incarnation, 16));
    (void)conn_bind(stmt, 3, tako_slice_of(next->seal, 16));
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)next->hlc);
    (void)sqlite3_bind_int64(stmt, 5, (int64_t)next->lsn);
    (void)sqlite3_bind_int64(stmt, 6, (int64_t)next->since);
    (void)sqlite3_bind_int64(stmt, 7, (int64_t)next->taken);
    (void)conn_bind_or_null(stmt, 8,
                            tako_slice_of(next->boot, next->dirty ? 16 : 0));
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(c, rc, "writing its state", e);
    store_done(c, stmt);
    return err;
}

tako_err actor_save(store *s, const actor_state *next, tako_errbuf *e)
{
    tako_err err;

    if (s->txn.open || s->writer.snapshots > 0)
        return tako_fail(e, TAKO_MISUSE, "inside a transaction");
    TAKO_TRY(log_settle(s, e));
    /* A synced commit syncs the whole log before it, too. */
    if (s->durability == STORE_NORMAL)
        TAKO_TRY(conn_run(&s->writer, "PRAGMA synchronous=FULL", e));
    err = state_write(s, next, e);
    if (s->durability == STORE_NORMAL)
        (void)conn_run(&s->writer, "PRAGMA synchronous=NORMAL", NULL);
    if (err != TAKO_OK)
        return err;
    s->state = *next;
    s->unsynced = false;
    return TAKO_OK;
}

/* ---- reservation --------------------------------------------------------- */

tako_err actor_reserve(store *s, tako_errbuf *e)
{
    uint64_t wall = clock_time(s).ms;
    uint64_t next = crdt_clock_next(&s->clock, wall);
    actor_state want = s->state;
    uint64_t ahead;

    if (next >= UINT64_MAX - HLC_MARGIN || s->next_lsn >= INT64_MAX / 2)
        return tako_fail(e, TAKO_LIMIT, "%s: the clock is at its end", s->path);
    if (add_sat(next, HLC_MARGIN / 2) <= s->clock.reserved &&
        s->next_lsn + LSN_MARGIN <= s->state.lsn)
        return TAKO_OK;
    ahead = wall <= UINT64_MAX >> 17 ? CRDT_HLC_OF_MS(wall + HLC_AHEAD_MS) : 0;
    want.hlc = add_sat(next, HLC_MARGIN);
    if (want.hlc < ahead)
        want.hlc = ahead;
    if (want.hlc < s->clock.reserved)
        want.hlc = s->clock.reserved;
    if (want.lsn < s->next_lsn + LSN_AHEAD)
        want.lsn = s->next_lsn + LSN_AHEAD;
    TAKO_TRY(actor_save(s, &want, e));
    s->clock.reserved = want.hlc;
    s->wrote = true;
    return TAKO_OK;
}

/* ---- the seal ------------------------------------------------------------ */

typedef struct seal_file {
    uint8_t seals[2][16];
    size_t count;
    uint8_t machine[16];
    uint64_t inode;
    tako_slice path;
} seal_file;

static tako_err seal_write(store *s, const uint8_t *a, const uint8_t *b)
{
    tako_machine machine;
    uint64_t device = 0, inode = 0;
    tako_buf *out = &s->blob;

    TAKO_TRY(s->files->identity(s->files->ctx, s->path, &device, &inode));
    s->files->machine(s->files->ctx, &machine);
    tako_buf_reset(out);
    tako_put_str(out, seal_magic);
    tako_put_u8(out, SEAL_VERSION);
    tako_put_u8(out, b != NULL ? 2 : 1);
    tako_put_bytes(out, tako_slice_of(a, 16));
    if (b != NULL)
        tako_put_bytes(out, tako_slice_of(b, 16));
    tako_put_bytes(out, tako_slice_of(machine.machine, 16));
    tako_put_u64(out, device);
    tako_put_u64(out, inode);
    tako_put_block(out, tako_slice_str(s->path));
    if (out->failed)
        return TAKO_NOMEM;
    return s->files->write(s->files->ctx, (const char *)s->seal_path.ptr,
                           tako_buf_slice(out));
}

static bool seal_parse(tako_slice in, seal_file *f)
{
    tako_reader r = tako_reader_of(in);
    tako_slice magic = tako_read_bytes(&r, sizeof seal_magic - 1);
    uint8_t version = tako_read_u8(&r);
    tako_slice part;

    f->count = tako_read_u8(&r);
    if (r.failed || !tako_slice_eq(magic, tako_slice_str(seal_magic)) ||
        version != SEAL_VERSION || f->count < 1 || f->count > 2)
        return false;
    for (size_t i = 0; i <= f->count; i++) {
        part = tako_read_bytes(&r, 16);
        if (!r.failed)
            memcpy(i < f->count ? f->seals[i] : f->machine, part.ptr, 16);
    }
    (void)tako_read_u64(&r); /* the device: not compared, see above */
    f->inode = tako_read_u64(&r);
    f->path = tako_read_block(&r);
    return tako_reader_done(&r);
}

/* Does the seal file say that this file is the original? */
static tako_err seal_agrees(store *s, const actor_state *state,
                            const char **why)
{
    tako_machine machine;
    seal_file f;
    uint64_t device = 0, inode = 0;
    bool known = false;
    tako_err err;

    *why = NULL;
    tako_buf_reset(&s->blob);
    err =
        s->files->read(s->files->ctx, (const char *)s->seal_path.ptr, &s->blob);
    if (err == TAKO_NOTFOUND || err == TAKO_LIMIT) {
        *why = "no seal";
        return TAKO_OK;
    }
    TAKO_TRY(err);
    TAKO_TRY(s->files->identity(s->files->ctx, s->path, &device, &inode));
    s->files->machine(s->files->ctx, &machine);
    if (!seal_parse(tako_buf_slice(&s->blob), &f)) {
        *why = "damaged seal";
        return TAKO_OK;
    }
    for (size_t i = 0; i < f.count; i++)
        known |= memcmp(f.seals[i], state->seal, 16) == 0;
    if (!known)
        *why = "another seal";
    else if (memcmp(f.machine, machine.machine, 16) != 0)
        *why = "another machine";
    else if (f.inode != inode)
        *why = "another file";
    else if (!tako_slice_eq(f.path, tako_slice_str(s->path)))
        *why = "another path";
    return TAKO_OK;
}

/* Renews the seal and saves the rest of `next` in the same commit. copy: the
 * seal in the file is another's, and nothing may vouch for it: who dies in
 * between is a copy still. */
static tako_err seal_renew(store *s, actor_state *next, bool copy,
                           tako_errbuf *e)
{
    uint8_t old[16];
    tako_err err;

    memcpy(old, s->state.seal, 16);
    s->env->random(s->env->ctx, next->seal, sizeof next->seal);
    err =
        copy ? seal_write(s, next->seal, NULL) : seal_write(s, old, next->seal);
    if (err != TAKO_OK)
        return tako_fail(e, err, "%s: writing it failed",
                         (const char *)s->seal_path.ptr);
    TAKO_TRY(actor_save(s, next, e));
    err = seal_write(s, next->seal, NULL);
    if (err != TAKO_OK) /* the old pair still agrees: weaker, not wrong */
        tako_log(s->env, TAKO_LOG_WARN, "seal_write_failed", "\"code\":\"%s\"",
                 tako_err_name(err));
    return TAKO_OK;
}

/* ---- opening, closing, renewing ------------------------------------------ */

/* From the file, whatever was reserved or given out besides. */
static tako_err own_read(store *s, uint64_t *own, tako_errbuf *e)
{
    int64_t found = 0;

    TAKO_TRY(conn_int(&s->writer,
                      "SELECT own FROM feed,state WHERE feed.lsn>since"
                      " ORDER BY feed.lsn DESC LIMIT 1",
                      &found, e));
    *own = (uint64_t)found > s->state.taken ? (uint64_t)found : s->state.taken;
    return TAKO_OK;
}

/* The new actor's commits begin above `since`. */
static void mint(store *s, actor_state *next, uint64_t since, const char *why)
{
    s->env->random(s->env->ctx, next->actor.id, sizeof next->actor.id);
    s->env->random(s->env->ctx, next->incarnation, sizeof next->incarnation);
    next->since = since;
    next->taken = 0;
    tako_log(s->env, TAKO_LOG_INFO, "actor_minted", "\"reason\":\"%s\"", why);
}

/* ---- an actor that writes no more ---------------------------------------- */

#define ACTOR_RETIRED_KEY "actor.retired"

tako_err actor_retire(store *s, tako_errbuf *e)
{
    tako_err err = store_kv_put(s, ACTOR_RETIRED_KEY,
                                tako_slice_of(s->state.actor.id, 16));

    if (err != TAKO_OK)
        return tako_fail(e, err, "writing that the actor retires failed");
    s->txn.retired = true;
    return TAKO_OK;
}

static tako_err is_retired(store *s, const actor_state *now, bool *out)
{
    tako_buf key = tako_buf_on(s->env);
    tako_err err = store_kv_get(&s->writer, ACTOR_RETIRED_KEY, &key);

    *out = err == TAKO_OK &&
           tako_slice_eq(tako_buf_slice(&key),
                         tako_slice_of(now->actor.id, sizeof now->actor.id));
    tako_buf_fini(&key);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

/* ---- actors that were this file's ------------------------------------------ */

/* Their ids, the latest last: of all, and of those that the present one follows
 * in the same file, without it having been copied or rolled back. */
#define ACTOR_FORMER_KEY "actor.former"
#define ACTOR_LINE_KEY   "actor.line"

static tako_err list_read(store_conn *c, const char *key, tako_buf *out)
{
    tako_err err = store_kv_get(c, key, out);

    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

tako_err store_former_actors(store_conn *c, tako_buf *out)
{
    return list_read(c, ACTOR_FORMER_KEY, out);
}

static tako_err list_add(store *s, const char *key, crdt_actor actor,
                         tako_errbuf *e)
{
    tako_buf list = tako_buf_on(s->env);
    tako_err err = list_read(&s->writer, key, &list);
    tako_slice all;

    tako_put_bytes(&list, tako_slice_of(actor.id, sizeof actor.id));
    all = tako_buf_slice(&list);
    if (all.len > TAKO_FORMER_ACTORS_MAX * sizeof actor.id)
        all =
            tako_slice_of(all.ptr + sizeof actor.id, all.len - sizeof actor.id);
    if (err == TAKO_OK)
        err = list.failed ? TAKO_NOMEM : store_kv_put(s, key, all);
    tako_buf_fini(&list);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "remembering its former actor failed");
}

/* The present actor is about to be another. heir: the same device goes on. */
static tako_err former_add(store *s, crdt_actor actor, bool heir,
                           tako_errbuf *e)
{
    tako_err err;

    TAKO_TRY(list_add(s, ACTOR_FORMER_KEY, actor, e));
    if (heir)
        return list_add(s, ACTOR_LINE_KEY, actor, e);
    err = store_kv_put(s, ACTOR_LINE_KEY, TAKO_SLICE_NONE);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "forgetting its former actors failed");
}

bool actor_listed(const tako_buf *list, crdt_actor actor)
{
    for (size_t i = 0; i + sizeof actor.id <= list->len; i += sizeof actor.id)
        if (memcmp(list->ptr + i, actor.id, sizeof actor.id) == 0)
            return true;
    return false;
}

bool store_actor_follows(store *s, crdt_actor former)
{
    tako_buf list = tako_buf_on(s->env);
    bool follows = crdt_actor_cmp(former, s->state.actor) == 0 ||
                   (list_read(&s->writer, ACTOR_LINE_KEY, &list) == TAKO_OK &&
                    actor_listed(&list, former));

    tako_buf_fini(&list);
    return follows;
}

/* Of one actor of ours: has the context more than `births` say is known? */
static bool own_beyond(const crdt_context *context, crdt_actor actor,
                       const crdt_dot *births, size_t count)
{
    uint64_t told = 0;

    for (size_t i = 0; i < count; i++)
        if (crdt_actor_cmp(births[i].actor, actor) == 0 && births[i].hlc > told)
            told = births[i].hlc;
    return crdt_context_get(context, actor) > told;
}

tako_err actor_own_beyond(store *s, const crdt_context *context,
                          const crdt_dot *births, size_t count, bool *beyond,
                          tako_errbuf *e)
{
    tako_buf list = tako_buf_on(s->env);
    crdt_actor actor;
    tako_err err;

    *beyond = own_beyond(context, s->state.actor, births, count);
    err = *beyond ? TAKO_OK : store_former_actors(&s->writer, &list);
    for (size_t i = 0; err == TAKO_OK && i + 16 <= list.len; i += 16) {
        memcpy(actor.id, list.ptr + i, sizeof actor.id);
        *beyond = *beyond || own_beyond(context, actor, births, count);
    }
    tako_buf_fini(&list);
    return err == TAKO_OK
               ? err
               : tako_fail(e, err, "reading its former actors failed");
}

tako_err store_has_own(store *s, const crdt_context *context, bool *own,
                       tako_errbuf *e)
{
    return actor_own_beyond(s, context, NULL, 0, own, e);
}

/* Reserved lsns that no commit has are what an unclean end leaves. */
static tako_err clock_start(store *s, tako_errbuf *e)
{
    int64_t last = 0;
    uint64_t skip = 0;

    TAKO_TRY(conn_int(&s->writer, "SELECT max(lsn) FROM feed", &last, e));
    if (last < 0 || (uint64_t)last < s->state.lsn)
        s->env->random(s->env->ctx, &skip, sizeof skip);
    s->clock.reserved = s->state.hlc;
    s->clock.last = add_sat(s->state.hlc, skip % HLC_SKIP);
    return TAKO_OK;
}

tako_err actor_open(store *s, bool fresh, tako_errbuf *e)
{
    tako_machine machine;
    actor_state next;
    const char *why = NULL;
    crdt_dot last;
    bool copy, retired;
    tako_err err;

    TAKO_TRY(state_read(s, &s->state, e));
    next = s->state;
    last.actor = next.actor;
    TAKO_TRY(own_read(s, &last.hlc, e));
    if (!fresh) {
        err = seal_agrees(s, &s->state, &why);
        if (err != TAKO_OK)
            return tako_fail(e, err, "%s: reading it failed",
                             (const char *)s->seal_path.ptr);
    }
    copy = why != NULL;
    s->files->machine(s->files->ctx, &machine);
    err = is_retired(s, &next, &retired);
    if (err != TAKO_OK)
        return tako_fail(e, err, "reading its actor failed");
    if (why == NULL && retired)
        why = "documents came back without events of ours";
    if (why == NULL && next.dirty && memcmp(next.boot, machine.boot, 16) != 0)
        why = "sent commits may be lost";
    if (why != NULL) {
        TAKO_TRY(seen_put(s, last, e));
        TAKO_TRY(former_add(s, last.actor, false, e));
        TAKO_TRY(held_former(s, last, e));
        TAKO_TRY(forgot_clear(s, e));
        mint(s, &next, next.lsn, why);
        next.dirty = false;
        last.hlc = 0;
    }
    err = seal_renew(s, &next, copy, e);
    if (err == TAKO_FULL && why == NULL && !fresh) {
        /* A full disk must not keep people from their data. */
        tako_log(s->env, TAKO_LOG_WARN, "seal_not_renewed", "%s", "");
        err = TAKO_OK;
    }
    TAKO_TRY(err);
    TAKO_TRY(clock_start(s, e));
    s->own_last = s->own_kept = last.hlc;
    s->state_open = true;
    return TAKO_OK;
}

void actor_close(store *s)
{
    actor_state next = s->state;
    tako_errbuf e = { "" };

    if (!s->state_open || !s->wrote)
        return;
    next.hlc = s->clock.last;
    next.lsn = s->next_lsn - 1;
    next.dirty = false;
    if (seal_renew(s, &next, false, &e) != TAKO_OK)
        tako_log(s->env, TAKO_LOG_WARN, "close_unclean", "%s", "");
}

crdt_actor store_actor(const store *s)
{
    return s->state.actor;
}

const uint8_t *store_incarnation(const store *s)
{
    return s->state.incarnation;
}

uint64_t store_foreign_self(const store *s)
{
    return s->foreign;
}

uint64_t store_own_hlc(const store *s)
{
    return s->own_last;
}

/* hlc: where the new actor's begin, 0: after the old one's. */
static tako_err renew(store *s, uint64_t taken, uint64_t whole, uint64_t hlc,
                      const char *why, tako_errbuf *e)
{
    crdt_dot last = { s->state.actor, s->own_kept };
    crdt_dot former = { s->state.actor, whole };
    actor_state next = s->state;

    TAKO_TRY(seen_put(s, last, e));
    TAKO_TRY(former_add(s, last.actor, hlc != 0 && s->foreign == 0, e));
    TAKO_TRY(held_former(s, former, e));
    TAKO_TRY(forgot_clear(s, e));
    /* What is sent under the new name is as unsynced as before: the dirty
     * mark stays. */
    mint(s, &next, s->next_lsn - 1, why);
    next.taken = taken;
    if (next.lsn < next.since)
        next.lsn = next.since;
    if (hlc != 0)
        next.hlc = hlc;
    TAKO_TRY(actor_save(s, &next, e));
    if (hlc != 0)
        s->clock = (crdt_clock){ .last = hlc, .reserved = hlc };
    s->own_last = s->own_kept = taken;
    s->foreign = 0;
    s->retired = false;
    s->wrote = true;
    return TAKO_OK;
}

tako_err actor_renew(store *s, uint64_t taken, uint64_t whole, tako_errbuf *e)
{
    return renew(s, taken, whole, 0,
                 s->retired ? "documents came back without events of ours"
                            : "our own later events came from elsewhere",
                 e);
}

tako_err actor_restart(store *s, uint64_t hlc, tako_errbuf *e)
{
    return renew(s, 0, s->foreign != 0 ? 0 : s->own_kept, hlc,
                 "its clock was ahead", e);
}

tako_err store_renew_actor(store *s, tako_errbuf *e)
{
    TAKO_ARG(s != NULL && !s->txn.open);
    return actor_renew(s, 0, s->foreign != 0 ? 0 : s->own_kept, e);
}

/* ---- the dirty mark ------------------------------------------------------ */

tako_err store_mark_dirty(store *s)
{
    tako_machine machine;
    actor_state next;

    TAKO_ARG(s != NULL && !s->txn.open);
    if (s->state.dirty || s->durability == STORE_FULL)
        return TAKO_OK;
    next = s->state;
    s->files->machine(s->files->ctx, &machine);
    next.dirty = true;
    memcpy(next.boot, machine.boot, sizeof next.boot);
    s->wrote = true;
    return actor_save(s, &next, NULL);
}

/* SQLite writes nothing where an UPDATE changes nothing, and then syncs
 * nothing: so a little more is reserved. */
static tako_err sync_log(store *s, bool dirty)
{
    actor_state next = s->state;

    next.dirty = dirty;
    next.hlc = add_sat(next.hlc, 1);
    return actor_save(s, &next, NULL);
}

tako_err store_sync(store *s)
{
    TAKO_ARG(s != NULL && !s->txn.open);
    if (!s->unsynced && !s->state.dirty)
        return TAKO_OK;
    return sync_log(s, false);
}

tako_err store_flush(store *s)
{
    TAKO_ARG(s != NULL && !s->txn.open);
    if (!s->unsynced)
        return TAKO_OK;
    return sync_log(s, s->state.dirty);
}
