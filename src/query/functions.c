// SPDX-License-Identifier: Apache-2.0
/* Registration, and the functions that reach into documents. INNOCUOUS lets
 * them stand in indexes although the schema is not trusted; DETERMINISTIC
 * lets SQLite compute them once per run where their arguments do not change,
 * which is how parameters, and clock(), become bounds of index searches. That
 * clock() is in no index is checked with fn_is_volatile(). */
#include "query/functions.h"

#include "base/check.h"
#include "query/ast.h"
#include "query/query.h"

#define FN_FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

static const fn_entry *const public_tables[] = {
    fn_cond,   fn_text,   fn_regexp,    fn_date,
    fn_object, fn_number, fn_aggregate, fn_request,
};
static const fn_entry *const internal_tables[] = {
    fn_core, fn_compare, fn_arith, fn_list, fn_similar, fn_begin, fn_state_at,
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const fn_entry *fn_find(tako_slice name)
{
    for (size_t t = 0; t < COUNT(public_tables); t++) {
        for (const fn_entry *f = public_tables[t]; f->name != NULL; f++) {
            if (tako_slice_eq(name, tako_slice_str(f->name)))
                return f;
        }
    }
    return NULL;
}

const char *fn_name(size_t i)
{
    for (size_t t = 0; t < COUNT(public_tables); t++) {
        for (const fn_entry *f = public_tables[t]; f->name != NULL; f++) {
            if (i-- == 0)
                return f->name;
        }
    }
    return NULL;
}

bool fn_is_volatile(const fn_entry *f)
{
    for (const fn_entry *v = fn_request; v->name != NULL; v++) {
        if (v == f)
            return true;
    }
    return false;
}

tako_slice fn_nearest(tako_slice name)
{
    tako_slice best = TAKO_SLICE_NONE;
    unsigned least = 3;

    for (size_t t = 0; t < COUNT(public_tables); t++) {
        for (const fn_entry *f = public_tables[t]; f->name != NULL; f++)
            query_word_nearer(name, tako_slice_str(f->name), &least, &best);
    }
    return best;
}

void fn_state_drop(void *state)
{
    fn_state *s = state;

    if (--s->refs > 0)
        return;
    query_system_forget(s);
    fn_regexps_free(s);
    tako_buf_fini(&s->statement);
    tako_buf_fini(&s->out);
    tako_env_free(s->env, s, sizeof *s);
}

/* SQLite's code. */
static int register_table(fn_state *s, sqlite3 *db, const fn_entry *f)
{
    int rc = SQLITE_OK;

    for (; f->name != NULL && rc == SQLITE_OK; f++) {
        char name[64] = "tql_";

        TAKO_ASSERT(strlen(f->name) < sizeof name - 5);
        memcpy(name + 4, f->name, strlen(f->name) + 1);
        s->refs++; /* SQLite drops it on failure too */
        rc = sqlite3_create_function_v2(
            db, name, f->min == f->max ? f->min : -1, FN_FLAGS, s, f->run,
            f->step, f->final, fn_state_drop);
    }
    return rc;
}

static int look_up(void *state)
{
    fn_state *s = state;

    return s->stop != NULL && s->stop(s->stop_ctx);
}

tako_err query_register(void *env, sqlite3 *db)
{
    fn_state *s = tako_env_alloc(env, sizeof *s);
    int rc = SQLITE_OK;

    if (s == NULL)
        return TAKO_NOMEM;
    s->env = env;
    s->out = tako_buf_on(env);
    s->statement = tako_buf_on(env);
    s->refs = 1; /* this function's own, given back at the end */
    for (size_t t = 0; t < COUNT(internal_tables) && rc == SQLITE_OK; t++)
        rc = register_table(s, db, internal_tables[t]);
    for (size_t t = 0; t < COUNT(public_tables) && rc == SQLITE_OK; t++)
        rc = register_table(s, db, public_tables[t]);
    if (rc == SQLITE_OK)
        rc = query_each_register(db);
    if (rc == SQLITE_OK)
        rc = query_system_register(s, db);
    if (rc == SQLITE_OK)
        sqlite3_progress_handler(db, FN_STOP_STEPS, look_up, s);
    fn_state_drop(s);
    return rc == SQLITE_OK ? TAKO_OK
                           : (rc == SQLITE_NOMEM ? TAKO_NOMEM : TAKO_IO);
}

/* ---- from a connection to its state ---------------------------------------- */

#define STATE_POINTER "tako fn_state **"

/* tql_state(pointer to where the state is wanted) */
static void run_state(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state **out = sqlite3_value_pointer(argv[0], STATE_POINTER);

    (void)argc;
    if (out != NULL)
        *out = sqlite3_user_data(ctx);
}

/* tql_seen(number, row): counts; always true. */
static void run_seen(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);
    int64_t i = sqlite3_value_int64(argv[0]);

    (void)argc;
    if (s->seen != NULL && i >= 0 && i < (int64_t)s->seen_count)
        s->seen[i]++;
    sqlite3_result_int(ctx, 1);
}

const fn_entry fn_state_at[] = {
    { "state", 1, 1, run_state, NULL, NULL },
    { "seen", 2, 2, run_seen, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};

tako_err fn_state_of(store_conn *c, fn_state **out, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, "SELECT tql_state(?1)", e);
    int rc;

    *out = NULL;
    if (stmt == NULL)
        return TAKO_IO;
    rc = sqlite3_bind_pointer(stmt, 1, out, STATE_POINTER, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    store_done(c, stmt);
    return *out != NULL ? TAKO_OK : tako_fail(e, TAKO_NOMEM, "out of memory");
}

tako_err query_host_set(store_conn *c, const query_host *host, tako_errbuf *e)
{
    fn_state *s;

    TAKO_TRY(fn_state_of(c, &s, e));
    s->host = host;
    return TAKO_OK;
}

/* ---- reaching into documents ---------------------------------------------- */

/* tql_get(value, path): see value_get. */
static void run_get(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const void *path = sqlite3_value_blob(argv[1]); /* always one */

    (void)argc;
    value_result(
        ctx,
        value_get(value_blob(argv[0]),
                  tako_slice_of(path, (size_t)sqlite3_value_bytes(argv[1]))));
}

/* tql_at(value, key): an element by number or a field by name. */
static void run_at(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice v = value_blob(argv[0]);
    value_rank r = value_rank_cbor(v);
    value_iter it;
    uint64_t n;

    (void)argc;
    if (r == RANK_ARRAY && sqlite3_value_type(argv[1]) == SQLITE_INTEGER) {
        value_result(ctx, value_at(v, sqlite3_value_int64(argv[1])));
    } else if (r == RANK_OBJECT && sqlite3_value_type(argv[1]) == SQLITE_TEXT) {
        tako_slice key = value_text(argv[1]);

        if (!value_iter_init(&it, v, &n))
            return;
        while (value_iter_next(&it)) {
            if (tako_slice_eq(value_content(it.key), key)) {
                value_result(ctx, it.value);
                return;
            }
        }
    }
}

/* tql_slice(array, from, to): elements from <= i < to; negative numbers count
 * from the end. to may be absent. */
static void run_slice(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice v = value_blob(argv[0]);
    value_iter it;
    uint64_t n;
    int64_t count, from, to;
    tako_buf *out;

    if (value_rank_cbor(v) != RANK_ARRAY || !value_iter_init(&it, v, &n) ||
        sqlite3_value_type(argv[1]) != SQLITE_INTEGER ||
        (argc > 2 && sqlite3_value_type(argv[2]) != SQLITE_INTEGER))
        return;
    count = (int64_t)n;
    from = sqlite3_value_int64(argv[1]);
    to = argc > 2 ? sqlite3_value_int64(argv[2]) : count;
    from = from < 0 ? (from < -count ? 0 : from + count) : from;
    to = to < 0 ? (to < -count ? 0 : to + count) : to;
    from = from > count ? count : from;
    to = to > count ? count : to;
    out = fn_buf(ctx);
    cbor_put_array(out, to > from ? (uint64_t)(to - from) : 0);
    for (int64_t i = 0; i < to && value_iter_next(&it); i++) {
        if (i >= from)
            tako_put_bytes(out, it.value);
    }
    value_result_buf(ctx, out);
}

/* tql_id(row, id): the _id of the columns. */
static void run_id(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);

    (void)argc;
    if (store_id_encode(sqlite3_value_int64(argv[0]), value_blob(argv[1]),
                        out) == TAKO_OK)
        value_result(ctx, tako_buf_slice(out));
}

/* tql_doc(_id, body): the whole document. */
static void run_doc(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    static const uint8_t key[4] = { 0x63, '_', 'i', 'd' };
    tako_buf *out = fn_buf(ctx);
    value_iter it;
    uint64_t n;
    bool put = false;

    (void)argc;
    if (!value_iter_init(&it, value_blob(argv[1]), &n) || it.key.ptr == NULL)
        return;
    cbor_put_map(out, n + 1);
    for (uint64_t i = 0; i <= n; i++) {
        bool more = i < n && value_iter_next(&it);

        if (!put &&
            (!more || tako_slice_cmp(it.key, tako_slice_of(key, 4)) > 0)) {
            tako_put_bytes(out, tako_slice_of(key, sizeof key));
            value_put(out, argv[0]);
            put = true;
        }
        if (more) {
            tako_put_bytes(out, it.key);
            tako_put_bytes(out, it.value);
        }
    }
    value_result_buf(ctx, out);
}

/* The row that an _id has of its own, or MISSING. */
static void run_idrow(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    int64_t row;
    uint8_t rest[9];

    (void)argc;
    value_put(out, argv[0]);
    if (!out->failed && store_id_row(tako_buf_slice(out), &row, rest))
        sqlite3_result_int64(ctx, row);
}

static void run_idrest(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    int64_t row;
    uint8_t rest[9];

    (void)argc;
    value_put(out, argv[0]);
    if (!out->failed && store_id_row(tako_buf_slice(out), &row, rest))
        sqlite3_result_blob(ctx, rest, sizeof rest, SQLITE_TRANSIENT);
}

/* The CBOR of an _id, as it is stored for rows below 0. */
static void run_idkey(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    double d;

    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_FLOAT) {
        /* An _id is never a float, but 1.0 equals the _id 1. */
        d = sqlite3_value_double(argv[0]);
        if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) ||
            (double)(int64_t)d != d)
            return;
        cbor_put_int(out, (int64_t)d);
    } else {
        value_put(out, argv[0]);
    }
    if (out->len > 0 || out->failed)
        value_result_buf(ctx, out);
}

/* ---- kinds for ORDER BY and index ranges -------------------------------------- */

static void run_rank(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    sqlite3_result_int(ctx, value_sql_rank(value_rank_of(argv[0])));
}

/* The rank of what can be compared at all. */
static void run_known_rank(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_rank r = value_rank_of(argv[0]);

    (void)argc;
    if (r < RANK_NULL)
        sqlite3_result_int(ctx, value_sql_rank(r));
}

/* The value, but nothing for null. */
static void run_known(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (value_rank_of(argv[0]) < RANK_NULL)
        sqlite3_result_value(ctx, argv[0]);
}

static void run_number(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (value_rank_of(argv[0]) == RANK_NUMBER)
        sqlite3_result_value(ctx, argv[0]);
}

/* A float that a literal may not hold. */
static void run_real(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    value_result(ctx, value_blob(argv[0]));
}

/* Text that a literal cannot hold. */
static void run_text(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice s = value_blob(argv[0]);

    (void)argc;
    sqlite3_result_text(ctx, (const char *)s.ptr, (int)s.len, SQLITE_TRANSIENT);
}

/* ---- making arrays and objects -------------------------------------------------- */

static void run_array(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);

    cbor_put_array(out, (uint64_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t before = out->len;

        value_put(out, argv[i]);
        if (out->len == before)
            cbor_put_null(out);
    }
    value_result_buf(ctx, out);
}

/* tql_object(key, value, ...): keys ascending, as their encodings. */
static void run_object(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    uint64_t n = 0;

    for (int i = 0; i + 1 < argc; i += 2)
        n += value_rank_of(argv[i + 1]) != RANK_MISSING;
    cbor_put_map(out, n);
    for (int i = 0; i + 1 < argc; i += 2) {
        if (value_rank_of(argv[i + 1]) == RANK_MISSING)
            continue;
        tako_put_bytes(out, value_blob(argv[i]));
        value_put(out, argv[i + 1]);
    }
    value_result_buf(ctx, out);
}

/* One array or object of several, which are in order. */
static void run_joined(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    value_iter it;
    uint64_t all = 0, n;
    bool map = false;

    for (int i = 0; i < argc; i++) {
        if (!value_iter_init(&it, value_blob(argv[i]), &n))
            return;
        map = it.key.ptr != NULL;
        all += n;
    }
    if (map)
        cbor_put_map(out, all);
    else
        cbor_put_array(out, all);
    for (int i = 0; i < argc; i++) {
        tako_slice v = value_blob(argv[i]);

        (void)value_iter_init(&it, v, &n);
        tako_put_bytes(out,
                       tako_slice_of(it.p, (size_t)(v.ptr + v.len - it.p)));
    }
    value_result_buf(ctx, out);
}

/* ---- lists -------------------------------------------------------------------- */

static void run_is_list(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_rank r = value_rank_of(argv[0]);

    (void)argc;
    sqlite3_result_int(ctx, r == RANK_ARRAY || r == RANK_OBJECT);
}

static void run_first(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    sqlite3_result_value(ctx, argv[0]);
}

const fn_entry fn_core[] = {
    { "get", 2, 2, run_get, NULL, NULL },
    { "at", 2, 2, run_at, NULL, NULL },
    { "slice", 2, 3, run_slice, NULL, NULL },
    { "id", 2, 2, run_id, NULL, NULL },
    { "doc", 2, 2, run_doc, NULL, NULL },
    { "idrow", 1, 1, run_idrow, NULL, NULL },
    { "idrest", 1, 1, run_idrest, NULL, NULL },
    { "idkey", 1, 1, run_idkey, NULL, NULL },
    { "rank", 1, 1, run_rank, NULL, NULL },
    { "known_rank", 1, 1, run_known_rank, NULL, NULL },
    { "known", 1, 1, run_known, NULL, NULL },
    { "number", 1, 1, run_number, NULL, NULL },
    { "text", 1, 1, run_text, NULL, NULL },
    { "real", 1, 1, run_real, NULL, NULL },
    { "array", 0, 100, run_array, NULL, NULL },
    { "object", 0, 100, run_object, NULL, NULL },
    { "joined", 1, 100, run_joined, NULL, NULL },
    { "is_list", 1, 1, run_is_list, NULL, NULL },
    { "first", 2, 2, run_first, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
