// SPDX-License-Identifier: Apache-2.0
/* GRAVEYARD -- the births of what was deleted, for ever, small.
 *
 * Table `grave` has them in blocks of at most TAKO_GRAVE_BLOCK_BYTES_MAX, so
 * that one more rewrites one small blob. The key of a block is its first
 * grave; they ascend by (actor, hlc, mark):
 *
 *   key   = actor (16), hlc (8, big-endian), mark (8)
 *   dead  = per further grave: milliseconds since the one before (varint),
 *           low 16 bits of its hlc (varint), mark (8)
 *
 * A document costs about 12 bytes: 8 are the mark, without which one deleted
 * document would take all that its transaction made with it. The row with
 * hlc 0 is an actor's floor, 8 bytes.
 *
 * QUICK. Most collections have no graves, and most states that arrive are not
 * dead. For a collection with graves the writer keeps a filter of one bit in
 * sixteen, made when it is asked for first; only what that lets through is
 * looked up.
 *
 * FULL. Above TAKO_GRAVEYARD_BYTES_MAX each actor's oldest quarter (by its own
 * hlcs; those of different actors are not compared) goes, and its floor rises
 * to it. */
#include "store/internal.h"

#define KEY_BYTES   32u
#define ACTOR_BYTES 16u
#define GRAVE_MIN   10u /* bytes, in a block */
#define BLOCK_GRAVES                                                           \
    (TAKO_GRAVE_BLOCK_BYTES_MAX / GRAVE_MIN + 2u) /* before it is split */
#define FILTER_WORDS_MIN 64u
#define FILTER_SHARE     16u /* bits for one grave, when it is made */

uint64_t store_grave_mark(tako_slice id)
{
    static const uint8_t key[16] = "tako grave mark";
    uint64_t mark = tako_hash64(key, id);

    return mark != 0 ? mark : 1; /* 0 stands for a floor */
}

static void put_be(uint8_t *out, uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_be(const uint8_t *p)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static void key_put(uint8_t out[KEY_BYTES], const store_grave *g)
{
    memcpy(out, g->dot.actor.id, ACTOR_BYTES);
    put_be(out + 16, g->dot.hlc);
    put_be(out + 24, g->mark);
}

uint64_t store_grave_hash(const store_grave *g)
{
    static const uint8_t key[16] = "tako grave hash";
    uint8_t bytes[KEY_BYTES];

    key_put(bytes, g);
    return tako_hash64(key, tako_slice_of(bytes, sizeof bytes));
}

/* ---- statements ------------------------------------------------------------ */

/* Binds collection, key and, when not empty, the blob. */
static sqlite3_stmt *grave_sql(store_conn *c, const char *sql, uint32_t coll,
                               tako_slice key, tako_slice dead, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, sql, e);
    int rc;

    if (stmt == NULL)
        return NULL;
    rc = sqlite3_bind_int64(stmt, 1, coll);
    if (rc == SQLITE_OK && key.len > 0)
        rc = conn_bind(stmt, 2, key);
    if (rc == SQLITE_OK && dead.ptr != NULL)
        rc = conn_bind(stmt, 3, dead);
    if (rc == SQLITE_OK)
        return stmt;
    store_done(c, stmt);
    return NULL;
}

static tako_err grave_fail(store_conn *c, int rc, tako_errbuf *e)
{
    return conn_fail(c, rc, "table grave", e);
}

static tako_err grave_write(store *s, const char *sql, uint32_t coll,
                            tako_slice key, tako_slice dead, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt = grave_sql(c, sql, coll, key, dead, e);
    int rc;

    if (stmt == NULL)
        return txn_break(s, grave_fail(c, sqlite3_extended_errcode(c->db), e));
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE ? TAKO_OK : txn_break(s, grave_fail(c, rc, e));
}

/* ---- a block ----------------------------------------------------------------- */

typedef struct block {
    uint8_t key[KEY_BYTES];
    size_t bytes; /* as it is stored */
    uint32_t count;
    store_grave at[BLOCK_GRAVES];
} block;

static tako_err block_damaged(const store_conn *c, tako_errbuf *e)
{
    return tako_fail(e, TAKO_CORRUPT, "%s: table grave is damaged",
                     c->store->path);
}

static tako_err block_read(store_conn *c, tako_slice key, tako_slice dead,
                           block *b, tako_errbuf *e)
{
    tako_reader r = tako_reader_of(dead);
    store_grave g;

    if (key.len != KEY_BYTES)
        return block_damaged(c, e);
    memcpy(b->key, key.ptr, KEY_BYTES);
    b->bytes = key.len + dead.len;
    memcpy(g.dot.actor.id, key.ptr, ACTOR_BYTES);
    g.dot.hlc = get_be(key.ptr + 16);
    g.mark = get_be(key.ptr + 24);
    b->at[0] = g;
    b->count = 1;
    while (tako_reader_left(&r) > 0) {
        uint64_t ms = CRDT_HLC_MS(g.dot.hlc) + tako_read_varint(&r);
        uint64_t low = tako_read_varint(&r);

        g.dot.hlc = CRDT_HLC_OF_MS(ms) | (low & 0xffff);
        g.mark = tako_read_u64(&r);
        if (r.failed || b->count == BLOCK_GRAVES)
            return block_damaged(c, e);
        b->at[b->count++] = g;
    }
    return TAKO_OK;
}

static void block_put(const store_grave *at, uint32_t count, tako_buf *dead)
{
    for (uint32_t i = 1; i < count; i++) {
        tako_put_varint(dead, CRDT_HLC_MS(at[i].dot.hlc) -
                                  CRDT_HLC_MS(at[i - 1].dot.hlc));
        tako_put_varint(dead, at[i].dot.hlc & 0xffff);
        tako_put_u64(dead, at[i].mark);
    }
}

/* Writes graves [at, at + count) as a block of their own. */
static tako_err block_write(store *s, uint32_t coll, const store_grave *at,
                            uint32_t count, yard *y, tako_errbuf *e)
{
    uint8_t key[KEY_BYTES];
    tako_buf dead = tako_buf_on(s->env);
    tako_err err;

    key_put(key, &at[0]);
    tako_put_u8(&dead, 0); /* never a NULL pointer */
    dead.len = 0;
    block_put(at, count, &dead);
    if (dead.failed) {
        tako_buf_fini(&dead);
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    }
    y->bytes += KEY_BYTES + dead.len;
    err = grave_write(s,
                      "INSERT OR REPLACE INTO grave(coll,key,dead)"
                      "VALUES(?1,?2,?3)",
                      coll, tako_slice_of(key, KEY_BYTES),
                      tako_slice_of(dead.ptr, dead.len), e);
    tako_buf_fini(&dead);
    return err;
}

static tako_err block_drop(store *s, uint32_t coll, const block *b, yard *y,
                           tako_errbuf *e)
{
    y->bytes -= b->bytes < y->bytes ? b->bytes : y->bytes;
    return grave_write(s, "DELETE FROM grave WHERE coll=?1 AND key=?2", coll,
                       tako_slice_of(b->key, KEY_BYTES), TAKO_SLICE_NONE, e);
}

/* The block in which the grave is, or would be put: the last that begins at
 * or before it, else the actor's first. TAKO_NOTFOUND: the actor has none. */
static tako_err block_find(store *s, uint32_t coll, const store_grave *g,
                           bool or_first, block *b, tako_errbuf *e)
{
    static const char *const sql[2] = {
        "SELECT key,dead FROM grave WHERE coll=?1 AND key<=?2"
        " ORDER BY key DESC LIMIT 1",
        "SELECT key,dead FROM grave WHERE coll=?1 AND key>?2"
        " ORDER BY key LIMIT 1",
    };
    store_conn *c = &s->writer;
    tako_err err = TAKO_NOTFOUND;
    uint8_t key[KEY_BYTES];

    key_put(key, g);
    for (int i = 0; i < (or_first ? 2 : 1) && err == TAKO_NOTFOUND; i++) {
        sqlite3_stmt *stmt = grave_sql(
            c, sql[i], coll, tako_slice_of(key, KEY_BYTES), TAKO_SLICE_NONE, e);
        tako_slice found;
        int rc;

        if (stmt == NULL)
            return grave_fail(c, sqlite3_extended_errcode(c->db), e);
        rc = sqlite3_step(stmt);
        found = rc == SQLITE_ROW ? conn_column(stmt, 0) : TAKO_SLICE_NONE;
        if (found.len == KEY_BYTES && get_be(found.ptr + 16) != 0 &&
            memcmp(found.ptr, key, ACTOR_BYTES) == 0)
            err = block_read(c, found, conn_column(stmt, 1), b, e);
        else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            err = grave_fail(c, rc, e);
        store_done(c, stmt);
    }
    return err;
}

static int grave_cmp(const store_grave *a, const store_grave *b)
{
    if (a->dot.hlc != b->dot.hlc)
        return a->dot.hlc < b->dot.hlc ? -1 : 1;
    return a->mark < b->mark ? -1 : a->mark > b->mark;
}

/* Where it is, or belongs. */
static uint32_t block_place(const block *b, const store_grave *g, bool *found)
{
    uint32_t lo = 0, hi = b->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (grave_cmp(&b->at[mid], g) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < b->count && grave_cmp(&b->at[lo], g) == 0;
    return lo;
}

/* ---- the yard in memory ---------------------------------------------------------- */

static void filter_drop(store *s, yard *y)
{
    tako_env_free(s->env, y->filter, y->filter_words * sizeof *y->filter);
    y->filter = NULL;
    y->filter_words = 0;
}

void yards_forget(store *s)
{
    for (size_t i = 0; i < s->yards.count; i++) {
        filter_drop(s, &s->yards.at[i]);
        s->yards.at[i].loaded = false;
    }
}

void yards_fini(store *s)
{
    yards_forget(s);
    tako_env_free(s->env, s->yards.at, s->yards.count * sizeof(yard));
    s->yards = (yards){ NULL, 0 };
}

static tako_err yard_room(store *s, uint32_t coll, tako_errbuf *e)
{
    size_t want = s->yards.count == 0 ? 16 : s->yards.count;
    yard *at;

    while (want < coll)
        want *= 2;
    if (want == s->yards.count)
        return TAKO_OK;
    at = tako_env_alloc(s->env, want * sizeof *at);
    if (at == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    if (s->yards.count > 0)
        memcpy(at, s->yards.at, s->yards.count * sizeof *at);
    tako_env_free(s->env, s->yards.at, s->yards.count * sizeof *at);
    s->yards = (yards){ at, want };
    return TAKO_OK;
}

static const char yard_sql[] =
    "SELECT epoch,graves,sum,bytes,below,floors FROM yard WHERE coll=?1";

static tako_err yard_load(store_conn *c, uint32_t coll, yard *y, tako_errbuf *e)
{
    sqlite3_stmt *stmt =
        grave_sql(c, yard_sql, coll, TAKO_SLICE_NONE, TAKO_SLICE_NONE, e);
    int rc;

    *y = (yard){ .loaded = true };
    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "table yard", e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        y->epoch = (uint64_t)sqlite3_column_int64(stmt, 0);
        y->graves = (uint64_t)sqlite3_column_int64(stmt, 1);
        y->sum = (uint64_t)sqlite3_column_int64(stmt, 2);
        y->bytes = (uint64_t)sqlite3_column_int64(stmt, 3);
        y->below = sqlite3_column_int64(stmt, 4);
        y->floors = sqlite3_column_int64(stmt, 5) != 0;
    }
    store_done(c, stmt);
    if (y->epoch > TAKO_GENERATION_MAX || (y->epoch & 1) != 0)
        return tako_fail(e, TAKO_CORRUPT, "%s: table yard is damaged",
                         c->store->path);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? TAKO_OK
               : conn_fail(c, rc, "reading table yard", e);
}

tako_err yard_of(store *s, uint32_t coll, yard **out, tako_errbuf *e)
{
    yard *y;

    if (coll == 0 || coll > TAKO_COLLECTIONS_MAX)
        return tako_fail(e, TAKO_NOTFOUND, "there is no collection number %u",
                         coll);
    if (coll > s->yards.count)
        TAKO_TRY(yard_room(s, coll, e));
    y = &s->yards.at[coll - 1];
    if (!y->loaded) {
        tako_err err = yard_load(&s->writer, coll, y, e);

        if (err != TAKO_OK) {
            y->loaded = false;
            return err;
        }
    }
    *out = y;
    return TAKO_OK;
}

tako_err yard_save(store *s, uint32_t coll, const yard *y, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt =
        store_sql(c,
                  "INSERT INTO yard(coll,epoch,graves,sum,bytes,below,floors)"
                  "VALUES(?1,?2,?3,?4,?5,?6,?7)ON CONFLICT(coll)DO UPDATE SET "
                  "epoch=?2,graves=?3,sum=?4,bytes=?5,below=?6,floors=?7",
                  e);
    int rc;

    if (stmt == NULL)
        return txn_break(
            s, conn_fail(c, sqlite3_extended_errcode(c->db), "table yard", e));
    (void)sqlite3_bind_int64(stmt, 1, coll);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)y->epoch);
    (void)sqlite3_bind_int64(stmt, 3, (int64_t)y->graves);
    (void)sqlite3_bind_int64(stmt, 4, (int64_t)y->sum);
    (void)sqlite3_bind_int64(stmt, 5, (int64_t)y->bytes);
    (void)sqlite3_bind_int64(stmt, 6, y->below);
    (void)sqlite3_bind_int64(stmt, 7, y->floors);
    rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return rc == SQLITE_DONE
               ? TAKO_OK
               : txn_break(s, conn_fail(c, rc, "writing table yard", e));
}

/* ---- all of them -------------------------------------------------------------------- */

tako_err store_graves_each(store_conn *c, uint32_t coll, store_grave_fn *fn,
                           void *ctx, tako_errbuf *e)
{
    sqlite3_stmt *stmt =
        grave_sql(c, "SELECT key,dead FROM grave WHERE coll=?1 ORDER BY key",
                  coll, TAKO_SLICE_NONE, TAKO_SLICE_NONE, e);
    tako_err err = TAKO_OK;
    int rc = SQLITE_DONE;
    block b;

    if (stmt == NULL)
        return grave_fail(c, sqlite3_extended_errcode(c->db), e);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        tako_slice key = conn_column(stmt, 0), dead = conn_column(stmt, 1);

        if (key.len == KEY_BYTES && get_be(key.ptr + 16) == 0) {
            store_grave g = { .dot = { .hlc = 0 }, .mark = 0 };

            if (dead.len != 8) {
                err = block_damaged(c, e);
                break;
            }
            memcpy(g.dot.actor.id, key.ptr, ACTOR_BYTES);
            g.dot.hlc = get_be(dead.ptr);
            fn(ctx, &g, true);
            continue;
        }
        err = block_read(c, key, dead, &b, e);
        for (uint32_t i = 0; err == TAKO_OK && i < b.count; i++)
            fn(ctx, &b.at[i], false);
    }
    store_done(c, stmt);
    if (err == TAKO_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        err = grave_fail(c, rc, e);
    return err;
}

static void add_floor(void *ctx, const store_grave *g, bool floor)
{
    if (floor)
        *(uint64_t *)ctx += store_grave_hash(g);
}

tako_err store_yard_read(store_conn *c, uint32_t coll, store_yard *out,
                         tako_errbuf *e)
{
    yard y;

    TAKO_ARG(c != NULL && out != NULL);
    TAKO_TRY(yard_load(c, coll, &y, e));
    *out = (store_yard){ y.epoch, y.graves, y.sum, 0 };
    return y.floors ? store_graves_each(c, coll, add_floor, &out->floors, e)
                    : TAKO_OK;
}

/* ---- asking ---------------------------------------------------------------------------- */

static void filter_add(void *ctx, const store_grave *g, bool floor)
{
    yard *y = ctx;
    uint64_t bit = store_grave_hash(g) & (y->filter_words * 64u - 1u);

    if (!floor)
        y->filter[bit / 64u] |= UINT64_C(1) << bit % 64u;
}

static tako_err filter_ready(store *s, uint32_t coll, yard *y, tako_errbuf *e)
{
    size_t words = FILTER_WORDS_MIN;

    if (y->filter != NULL &&
        y->graves <= y->filter_words * (64u / (FILTER_SHARE / 2u)))
        return TAKO_OK;
    filter_drop(s, y);
    while (words * (64u / FILTER_SHARE) < y->graves)
        words *= 2;
    y->filter = tako_env_alloc(s->env, words * sizeof *y->filter);
    if (y->filter == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    y->filter_words = words;
    return store_graves_each(&s->writer, coll, filter_add, y, e);
}

tako_err grave_has(store *s, uint32_t coll, const store_grave *g, bool *buried,
                   tako_errbuf *e)
{
    uint64_t bit;
    tako_err err;
    block b;
    yard *y;

    *buried = false;
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (y->graves == 0)
        return TAKO_OK;
    TAKO_TRY(filter_ready(s, coll, y, e));
    bit = store_grave_hash(g) & (y->filter_words * 64u - 1u);
    if ((y->filter[bit / 64u] >> bit % 64u & 1u) == 0)
        return TAKO_OK;
    err = block_find(s, coll, g, false, &b, e);
    if (err == TAKO_OK)
        (void)block_place(&b, g, buried);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

tako_err floor_of(store *s, uint32_t coll, crdt_actor actor, uint64_t *hlc,
                  tako_errbuf *e)
{
    store_grave g = { { actor, 0 }, 0 };
    store_conn *c = &s->writer;
    uint8_t key[KEY_BYTES];
    sqlite3_stmt *stmt;
    yard *y;
    int rc;

    *hlc = 0;
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (!y->floors)
        return TAKO_OK;
    key_put(key, &g);
    stmt = grave_sql(c, "SELECT dead FROM grave WHERE coll=?1 AND key=?2", coll,
                     tako_slice_of(key, KEY_BYTES), TAKO_SLICE_NONE, e);
    if (stmt == NULL)
        return grave_fail(c, sqlite3_extended_errcode(c->db), e);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && conn_column(stmt, 0).len == 8)
        *hlc = get_be(conn_column(stmt, 0).ptr);
    store_done(c, stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? TAKO_OK
                                                 : grave_fail(c, rc, e);
}

/* ---- floors -------------------------------------------------------------------------------- */

/* Takes the actor's graves up to the floor out. */
static tako_err cut(store *s, uint32_t coll, crdt_dot floor, yard *y,
                    tako_errbuf *e)
{
    store_grave first = { { floor.actor, 0 }, 1 };
    tako_err err;
    block b;

    while ((err = block_find(s, coll, &first, true, &b, e)) == TAKO_OK &&
           b.at[0].dot.hlc <= floor.hlc) {
        uint32_t n = 0;

        TAKO_TRY(block_drop(s, coll, &b, y, e));
        for (; n < b.count && b.at[n].dot.hlc <= floor.hlc; n++) {
            y->sum -= store_grave_hash(&b.at[n]);
            y->graves--;
        }
        if (n < b.count)
            TAKO_TRY(block_write(s, coll, &b.at[n], b.count - n, y, e));
    }
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

tako_err store_floor_raise(store *s, uint32_t coll, crdt_dot floor,
                           tako_errbuf *e)
{
    store_grave g = { { floor.actor, 0 }, 0 };
    uint8_t key[KEY_BYTES], value[8];
    uint64_t before;
    yard *y;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    TAKO_TRY(floor_of(s, coll, floor.actor, &before, e));
    if (floor.hlc <= before)
        return TAKO_OK;
    TAKO_TRY(yard_of(s, coll, &y, e));
    TAKO_TRY(cut(s, coll, floor, y, e));
    y->floors = true;
    key_put(key, &g);
    put_be(value, floor.hlc);
    TAKO_TRY(grave_write(s,
                         "INSERT OR REPLACE INTO grave(coll,key,dead)"
                         "VALUES(?1,?2,?3)",
                         coll, tako_slice_of(key, KEY_BYTES),
                         tako_slice_of(value, sizeof value), e));
    return yard_save(s, coll, y, e);
}

/* The next actor after floor->actor, and where its oldest quarter ends. */
static tako_err fold_next(store *s, uint32_t coll, crdt_dot *floor, bool *found,
                          tako_errbuf *e)
{
    store_conn *c = &s->writer;
    sqlite3_stmt *stmt;
    int rc;

    stmt =
        grave_sql(c,
                  "WITH a(x)AS(SELECT min(substr(key,1,16))FROM grave WHERE "
                  "coll=?1 AND substr(key,1,16)>?2),"
                  "b(k,d)AS(SELECT key,dead FROM grave,a WHERE coll=?1 AND "
                  "substr(key,1,16)=x AND substr(key,17,8)<>zeroblob(8))"
                  "SELECT k,d FROM b ORDER BY k LIMIT 1 OFFSET "
                  "(SELECT count(*)/4 FROM b)",
                  coll, tako_slice_of(floor->actor.id, 16), TAKO_SLICE_NONE, e);
    if (stmt == NULL)
        return grave_fail(c, sqlite3_extended_errcode(c->db), e);
    rc = sqlite3_step(stmt);
    *found = rc == SQLITE_ROW;
    if (*found) {
        block b;
        tako_err err =
            block_read(c, conn_column(stmt, 0), conn_column(stmt, 1), &b, e);

        store_done(c, stmt);
        if (err == TAKO_OK)
            *floor = b.at[b.count - 1].dot;
        return err;
    }
    store_done(c, stmt);
    return rc == SQLITE_DONE ? TAKO_OK : grave_fail(c, rc, e);
}

static tako_err fold(store *s, uint32_t coll, tako_errbuf *e)
{
    crdt_dot floor = { .hlc = 0 };
    bool found;

    tako_log(s->env, TAKO_LOG_WARN, "graveyard_folded", "\"collection\":%u",
             coll);
    for (;;) {
        TAKO_TRY(fold_next(s, coll, &floor, &found, e));
        if (!found)
            return TAKO_OK;
        TAKO_TRY(store_floor_raise(s, coll, floor, e));
    }
}

/* ---- burying -------------------------------------------------------------------------------- */

static tako_err block_add(store *s, uint32_t coll, block *b,
                          const store_grave *g, uint32_t at, yard *y,
                          tako_errbuf *e)
{
    uint32_t half;

    TAKO_TRY(block_drop(s, coll, b, y, e));
    memmove(&b->at[at + 1], &b->at[at], (b->count - at) * sizeof *g);
    b->at[at] = *g;
    b->count++;
    half = b->count;
    if (b->bytes + GRAVE_MIN + 8u > TAKO_GRAVE_BLOCK_BYTES_MAX)
        /* What comes in order fills blocks; what comes between halves them. */
        half = at + 1 == b->count ? at : b->count / 2;
    TAKO_TRY(block_write(s, coll, b->at, half, y, e));
    return half == b->count
               ? TAKO_OK
               : block_write(s, coll, &b->at[half], b->count - half, y, e);
}

static tako_err grave_add(store *s, uint32_t coll, const store_grave *g,
                          bool *fresh, tako_errbuf *e)
{
    bool found = false;
    uint32_t at = 0;
    tako_err err;
    block b;
    yard *y;

    *fresh = false;
    TAKO_TRY(yard_of(s, coll, &y, e));
    err = block_find(s, coll, g, true, &b, e);
    if (err == TAKO_OK)
        at = block_place(&b, g, &found);
    if (found)
        return TAKO_OK;
    if (err == TAKO_OK)
        err = block_add(s, coll, &b, g, at, y, e);
    else if (err == TAKO_NOTFOUND)
        err = block_write(s, coll, g, 1, y, e);
    TAKO_TRY(err);
    *fresh = true;
    y->graves++;
    y->sum += store_grave_hash(g);
    if (y->filter != NULL)
        filter_add(y, g, false);
    return yard_save(s, coll, y, e);
}

tako_err store_bury(store *s, uint32_t coll, const store_grave *g, bool *fresh,
                    tako_errbuf *e)
{
    uint64_t floor;
    yard *y;

    TAKO_ARG(s != NULL && g != NULL && fresh != NULL);
    *fresh = false;
    TAKO_TRY(txn_check(s, e));
    if (g->mark == 0 || g->dot.hlc == 0)
        return tako_fail(e, TAKO_CORRUPT, "a grave of nothing");
    TAKO_TRY(floor_of(s, coll, g->dot.actor, &floor, e));
    if (g->dot.hlc <= floor)
        return TAKO_OK; /* folded: what is below is doubtful already */
    TAKO_TRY(grave_add(s, coll, g, fresh, e));
    TAKO_TRY(yard_of(s, coll, &y, e));
    return y->bytes > TAKO_GRAVEYARD_BYTES_MAX ? fold(s, coll, e) : TAKO_OK;
}

tako_err store_epoch_raise(store *s, uint32_t coll, uint64_t epoch,
                           tako_errbuf *e)
{
    yard *y;

    TAKO_ARG(s != NULL);
    TAKO_TRY(txn_check(s, e));
    if ((epoch & 1) != 0)
        return tako_fail(e, TAKO_CORRUPT, "an epoch that is none");
    TAKO_TRY(yard_of(s, coll, &y, e));
    if (epoch <= y->epoch || epoch > TAKO_EPOCH_MAX)
        return TAKO_OK;
    y->epoch = epoch;
    return yard_save(s, coll, y, e);
}
