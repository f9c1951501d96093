// SPDX-License-Identifier: Apache-2.0
/* The object and array functions. Results keep the order of keys that CBOR
 * prescribes: what is changed is merged in at its sorted place. */
#include "query/functions.h"

#include "codec/json.h"

static bool is_object(sqlite3_value *v)
{
    return value_rank_of(v) == RANK_OBJECT;
}

/* Keys or values of an object as an array. */
static void list(sqlite3_context *ctx, sqlite3_value *v, bool keys)
{
    tako_buf *out = fn_buf(ctx);
    value_iter it;
    uint64_t n;

    if (!is_object(v) || !value_iter_init(&it, value_blob(v), &n))
        return;
    cbor_put_array(out, n);
    while (value_iter_next(&it))
        tako_put_bytes(out, keys ? it.key : it.value);
    value_result_buf(ctx, out);
}

static void run_keys(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    list(ctx, argv[0], true);
}

static void run_values(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    list(ctx, argv[0], false);
}

static void run_length(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    value_iter it;
    uint64_t n;

    (void)argc;
    if (is_object(argv[0]) && value_iter_init(&it, value_blob(argv[0]), &n))
        sqlite3_result_int64(ctx, (int64_t)n);
}

/* Bytes of the encoding. */
static void run_size(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (is_object(argv[0]))
        sqlite3_result_int64(ctx, (int64_t)value_blob(argv[0]).len);
}

/* The pairs of two objects in order; of a key in both, b's. *count rises. */
static void merge_pairs(tako_buf *out, tako_slice a, tako_slice b,
                        uint64_t *count)
{
    value_iter x, y;
    uint64_t n;
    bool more_x, more_y;

    (void)value_iter_init(&x, a, &n);
    (void)value_iter_init(&y, b, &n);
    more_x = value_iter_next(&x);
    more_y = value_iter_next(&y);
    while (more_x || more_y) {
        int c = !more_x ? 1 : !more_y ? -1 : tako_slice_cmp(x.key, y.key);

        tako_put_bytes(out, c < 0 ? x.key : y.key);
        tako_put_bytes(out, c < 0 ? x.value : y.value);
        ++*count;
        if (c <= 0)
            more_x = value_iter_next(&x);
        if (c >= 0)
            more_y = value_iter_next(&y);
    }
}

/* Puts the head of a map before the pairs in out. */
static void put_head(tako_buf *out, uint64_t count)
{
    tako_buf head = tako_buf_on(out->env);

    cbor_put_map(&head, count);
    tako_buf_insert(out, 0, tako_buf_slice(&head));
    out->failed = out->failed || head.failed;
    tako_buf_fini(&head);
}

/* object_concat(o, ...): later objects win. */
static void run_concat(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_buf all = tako_buf_on(out->env);
    uint64_t n = 0;

    for (int i = 0; i < argc; i++) {
        if (!is_object(argv[i]))
            return;
    }
    cbor_put_map(&all, 0);
    for (int i = 0; i < argc; i++) {
        n = 0;
        tako_buf_reset(out);
        merge_pairs(out, tako_buf_slice(&all), value_blob(argv[i]), &n);
        put_head(out, n);
        if (out->failed || all.failed || out->len > TAKO_ROW_BYTES_MAX)
            break;
        tako_buf_reset(&all);
        tako_put_bytes(&all, tako_buf_slice(out));
    }
    out->failed = out->failed || all.failed;
    tako_buf_fini(&all);
    value_result_buf(ctx, out);
}

/* A copy of an object without `drop`, and with `key` = value when value is
 * not MISSING. Slices are contents of texts. */
static void change(sqlite3_context *ctx, tako_slice object, tako_slice drop,
                   tako_slice key, tako_slice value)
{
    tako_buf *out = fn_buf(ctx);
    value_iter it;
    uint64_t n, count = 0;
    bool more;

    (void)value_iter_init(&it, object, &n);
    do {
        tako_slice have;

        more = value_iter_next(&it);
        have = more ? value_content(it.key) : TAKO_SLICE_NONE;
        if (value.len > 0 && (!more || cbor_key_cmp(have, key) >= 0)) {
            cbor_put_text(out, key);
            tako_put_bytes(out, value);
            count++;
            value.len = 0;
            if (more && tako_slice_eq(have, key))
                continue;
        }
        if (more && !tako_slice_eq(have, drop)) {
            tako_put_bytes(out, it.key);
            tako_put_bytes(out, it.value);
            count++;
        }
    } while (more);
    put_head(out, count);
    value_result_buf(ctx, out);
}

static void run_set(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);
    tako_buf value = tako_buf_on(s->env);

    (void)argc;
    if (!is_object(argv[0]) || value_rank_of(argv[1]) != RANK_TEXT)
        return;
    value_put(&value, argv[2]);
    if (value.failed)
        sqlite3_result_error_nomem(ctx);
    else if (value.len == 0)
        sqlite3_result_value(ctx, argv[0]);
    else
        change(ctx, value_blob(argv[0]), value_text(argv[1]),
               value_text(argv[1]), tako_buf_slice(&value));
    tako_buf_fini(&value);
}

static void run_unset(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (is_object(argv[0]) && value_rank_of(argv[1]) == RANK_TEXT)
        change(ctx, value_blob(argv[0]), value_text(argv[1]), TAKO_SLICE_NONE,
               TAKO_SLICE_NONE);
}

/* object_rename(o, old, new) */
static void run_rename(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice object, old;
    value_iter it;
    uint64_t n;

    (void)argc;
    if (!is_object(argv[0]) || value_rank_of(argv[1]) != RANK_TEXT ||
        value_rank_of(argv[2]) != RANK_TEXT)
        return;
    object = value_blob(argv[0]);
    old = value_text(argv[1]);
    (void)value_iter_init(&it, object, &n);
    while (value_iter_next(&it)) {
        if (tako_slice_eq(value_content(it.key), old)) {
            change(ctx, object, old, value_text(argv[2]), it.value);
            return;
        }
    }
    sqlite3_result_value(ctx, argv[0]);
}

/* ---- arrays ---------------------------------------------------------------- */

static bool is_array(sqlite3_value *v)
{
    return value_rank_of(v) == RANK_ARRAY;
}

static void run_array_length(sqlite3_context *ctx, int argc,
                             sqlite3_value **argv)
{
    value_iter it;
    uint64_t n;

    (void)argc;
    if (is_array(argv[0]) && value_iter_init(&it, value_blob(argv[0]), &n))
        sqlite3_result_int64(ctx, (int64_t)n);
}

static void run_array_contains(sqlite3_context *ctx, int argc,
                               sqlite3_value **argv)
{
    sqlite3_value *turned[2] = { argv[1], argv[0] };

    (void)argc;
    for (const fn_entry *f = fn_compare; f->name != NULL; f++) {
        if (strcmp(f->name, "in") == 0)
            f->run(ctx, 2, turned);
    }
}

static void run_array_contains_null(sqlite3_context *ctx, int argc,
                                    sqlite3_value **argv)
{
    value_iter it;
    uint64_t n;
    bool found = false;

    (void)argc;
    if (!is_array(argv[0]) || !value_iter_init(&it, value_blob(argv[0]), &n))
        return;
    while (!found && value_iter_next(&it))
        found = value_rank_cbor(it.value) == RANK_NULL;
    value_result_bool(ctx, found);
}

/* ---- JSON ------------------------------------------------------------------- */

static void run_serialize(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);
    tako_buf value = tako_buf_on(s->env);
    tako_buf *out = fn_buf(ctx);

    (void)argc;
    value_put(&value, argv[0]);
    if (value.failed) {
        sqlite3_result_error_nomem(ctx);
    } else if (value.len > 0 &&
               cbor_check(tako_buf_slice(&value), TAKO_JSON_DEPTH_MAX, NULL) ==
                   TAKO_OK) {
        if (json_from_cbor(tako_buf_slice(&value), out) != TAKO_OK)
            sqlite3_result_error_nomem(ctx);
        else if (out->len > TAKO_ROW_BYTES_MAX)
            sqlite3_result_error_toobig(ctx);
        else
            sqlite3_result_text(ctx, (const char *)out->ptr, (int)out->len,
                                SQLITE_TRANSIENT);
    }
    tako_buf_fini(&value);
}

static void run_deserialize(sqlite3_context *ctx, int argc,
                            sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_err err;

    (void)argc;
    if (value_rank_of(argv[0]) != RANK_TEXT)
        return;
    err = json_to_cbor(value_text(argv[0]), TAKO_VALUE_DEPTH_MAX, out, NULL);
    if (err == TAKO_NOMEM)
        sqlite3_result_error_nomem(ctx);
    else if (err == TAKO_OK)
        value_result(ctx, tako_buf_slice(out));
}

const fn_entry fn_object[] = {
    { "object_keys", 1, 1, run_keys, NULL, NULL },
    { "object_values", 1, 1, run_values, NULL, NULL },
    { "object_length", 1, 1, run_length, NULL, NULL },
    { "object_size", 1, 1, run_size, NULL, NULL },
    { "object_set", 3, 3, run_set, NULL, NULL },
    { "object_unset", 2, 2, run_unset, NULL, NULL },
    { "object_concat", 1, 100, run_concat, NULL, NULL },
    { "object_rename", 3, 3, run_rename, NULL, NULL },
    { "array_length", 1, 1, run_array_length, NULL, NULL },
    { "array_contains", 2, 2, run_array_contains, NULL, NULL },
    { "array_contains_null", 1, 1, run_array_contains_null, NULL, NULL },
    { "serialize_json", 1, 1, run_serialize, NULL, NULL },
    { "deserialize_json", 1, 1, run_deserialize, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
