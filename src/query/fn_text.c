// SPDX-License-Identifier: Apache-2.0
/* The string functions. Positions and lengths count characters (code points)
 * from 0; letters change case in ASCII only, as in SQLite. */
#include "query/functions.h"

static bool is_text(sqlite3_value *v)
{
    return sqlite3_value_type(v) == SQLITE_TEXT;
}

static bool is_int(sqlite3_value *v)
{
    return sqlite3_value_type(v) == SQLITE_INTEGER;
}

/* The text in the buffer as the result. */
static void result_text(sqlite3_context *ctx, const tako_buf *b)
{
    if (b->failed)
        sqlite3_result_error_nomem(ctx);
    else if (b->len > TAKO_ROW_BYTES_MAX)
        sqlite3_result_error_toobig(ctx);
    else
        sqlite3_result_text(ctx, b->len > 0 ? (const char *)b->ptr : "",
                            (int)b->len, SQLITE_TRANSIENT);
}

static void result_slice(sqlite3_context *ctx, tako_slice s)
{
    sqlite3_result_text(ctx, s.len > 0 ? (const char *)s.ptr : "", (int)s.len,
                        SQLITE_TRANSIENT);
}

static size_t chars_in(tako_slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += (s.ptr[i] & 0xC0) != 0x80;
    return n;
}

/* Byte offset of character `at`; s.len beyond the end. */
static size_t char_offset(tako_slice s, uint64_t at)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] & 0xC0) != 0x80 && at-- == 0)
            return i;
    }
    return s.len;
}

static size_t find(tako_slice s, tako_slice part, size_t from)
{
    const void *p;

    if (part.len == 0)
        return from;
    if (from >= s.len)
        return SIZE_MAX;
    p = memmem(s.ptr + from, s.len - from, part.ptr, part.len);
    return p == NULL ? SIZE_MAX : (size_t)((const uint8_t *)p - s.ptr);
}

static void run_concat(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);

    for (int i = 0; i < argc; i++) {
        if (!is_text(argv[i]))
            return;
        tako_put_bytes(out, value_text(argv[i]));
    }
    result_text(ctx, out);
}

static void run_starts_with(sqlite3_context *ctx, int argc,
                            sqlite3_value **argv)
{
    tako_slice s, part;

    (void)argc;
    if (!is_text(argv[0]) || !is_text(argv[1]))
        return;
    s = value_text(argv[0]);
    part = value_text(argv[1]);
    value_result_bool(ctx, part.len <= s.len &&
                               memcmp(s.ptr, part.ptr, part.len) == 0);
}

static void run_ends_with(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice s, part;

    (void)argc;
    if (!is_text(argv[0]) || !is_text(argv[1]))
        return;
    s = value_text(argv[0]);
    part = value_text(argv[1]);
    value_result_bool(ctx,
                      part.len <= s.len && memcmp(s.ptr + s.len - part.len,
                                                  part.ptr, part.len) == 0);
}

static void run_contains(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (is_text(argv[0]) && is_text(argv[1]))
        value_result_bool(
            ctx, find(value_text(argv[0]), value_text(argv[1]), 0) != SIZE_MAX);
}

static void run_char_length(sqlite3_context *ctx, int argc,
                            sqlite3_value **argv)
{
    (void)argc;
    if (is_text(argv[0]))
        sqlite3_result_int64(ctx, (int64_t)chars_in(value_text(argv[0])));
}

/* Of a string or of bytes. */
static void run_byte_length(sqlite3_context *ctx, int argc,
                            sqlite3_value **argv)
{
    (void)argc;
    if (is_text(argv[0]))
        sqlite3_result_int64(ctx, (int64_t)value_text(argv[0]).len);
    else if (value_rank_of(argv[0]) == RANK_BYTES)
        sqlite3_result_int64(ctx,
                             (int64_t)value_content(value_blob(argv[0])).len);
}

static void change_case(sqlite3_context *ctx, sqlite3_value *v, uint8_t first)
{
    tako_buf *out = fn_buf(ctx);
    tako_slice s;

    if (!is_text(v))
        return;
    s = value_text(v);
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];

        tako_put_u8(out, c >= first && c < first + 26 ? c ^ 0x20 : c);
    }
    result_text(ctx, out);
}

static void run_lower(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    change_case(ctx, argv[0], 'A');
}

static void run_upper(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    change_case(ctx, argv[0], 'a');
}

/* substr(s, from [, count]): from below 0 counts from the end. */
static void run_substr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice s;
    int64_t from, count = INT64_MAX, n;
    size_t a, b;

    if (!is_text(argv[0]) || !is_int(argv[1]) || (argc > 2 && !is_int(argv[2])))
        return;
    s = value_text(argv[0]);
    n = (int64_t)chars_in(s);
    from = sqlite3_value_int64(argv[1]);
    if (argc > 2)
        count = sqlite3_value_int64(argv[2]);
    if (from < 0)
        from = from < -n ? -n : from;
    from = from < 0 ? from + n : from;
    if (from > n || count < 0)
        return;
    count = count > n - from ? n - from : count;
    a = char_offset(s, (uint64_t)from);
    b = char_offset(s, (uint64_t)(from + count));
    result_slice(ctx, tako_slice_of(s.ptr + a, b - a));
}

/* pos(s, part): the character where part begins, -1 when it does not occur. */
static void run_pos(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_slice s;
    size_t at;

    (void)argc;
    if (!is_text(argv[0]) || !is_text(argv[1]))
        return;
    s = value_text(argv[0]);
    at = find(s, value_text(argv[1]), 0);
    sqlite3_result_int64(
        ctx, at == SIZE_MAX ? -1 : (int64_t)chars_in(tako_slice_of(s.ptr, at)));
}

/* split(s [, separator]): without one at runs of white space. */
static void run_split(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_buf head;
    tako_slice s, by;
    uint64_t n = 0;
    size_t at = 0, next;

    if (!is_text(argv[0]) || (argc > 1 && !is_text(argv[1])))
        return;
    s = value_text(argv[0]);
    by = argc > 1 ? value_text(argv[1]) : TAKO_SLICE_NONE;
    if (argc > 1 && by.len == 0)
        return;
    while (argc > 1) {
        next = find(s, by, at);
        n++;
        cbor_put_text(
            out,
            tako_slice_of(s.ptr + at, (next == SIZE_MAX ? s.len : next) - at));
        if (next == SIZE_MAX)
            break;
        at = next + by.len;
    }
    while (argc == 1) {
        while (at < s.len && s.ptr[at] <= ' ')
            at++;
        if (at == s.len)
            break;
        for (next = at; next < s.len && s.ptr[next] > ' '; next++)
            continue;
        cbor_put_text(out, tako_slice_of(s.ptr + at, next - at));
        n++;
        at = next;
    }
    head = tako_buf_on(out->env);
    cbor_put_array(&head, n);
    tako_buf_insert(out, 0, tako_buf_slice(&head));
    out->failed = out->failed || head.failed;
    tako_buf_fini(&head);
    value_result_buf(ctx, out);
}

/* joinstr(array, separator): its strings; anything else in it gives MISSING. */
static void run_joinstr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_slice array = value_blob(argv[0]);
    value_iter it;
    uint64_t n;
    bool first = true;

    (void)argc;
    if (value_rank_cbor(array) != RANK_ARRAY || !is_text(argv[1]) ||
        !value_iter_init(&it, array, &n))
        return;
    while (value_iter_next(&it)) {
        if (value_rank_cbor(it.value) != RANK_TEXT)
            return;
        if (!first)
            tako_put_bytes(out, value_text(argv[1]));
        first = false;
        tako_put_bytes(out, value_content(it.value));
    }
    result_text(ctx, out);
}

static bool char_in(tako_slice set, const uint8_t *c, size_t len)
{
    return memmem(set.ptr, set.len, c, len) != NULL;
}

/* trim(s [, characters]), also on one side. */
static void trim(sqlite3_context *ctx, int argc, sqlite3_value **argv,
                 bool left, bool right)
{
    tako_slice s, set = tako_slice_str(" \t\r\n\f\v");

    if (!is_text(argv[0]) || (argc > 1 && !is_text(argv[1])))
        return;
    s = value_text(argv[0]);
    if (argc > 1)
        set = value_text(argv[1]);
    while (left && s.len > 0) {
        size_t n = 1;

        while (n < s.len && (s.ptr[n] & 0xC0) == 0x80)
            n++;
        if (!char_in(set, s.ptr, n))
            break;
        s = tako_slice_of(s.ptr + n, s.len - n);
    }
    while (right && s.len > 0) {
        size_t n = 1;

        while (n < s.len && (s.ptr[s.len - n] & 0xC0) == 0x80)
            n++;
        if (!char_in(set, s.ptr + s.len - n, n))
            break;
        s.len -= n;
    }
    result_slice(ctx, s);
}

static void run_trim(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    trim(ctx, argc, argv, true, true);
}

static void run_ltrim(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    trim(ctx, argc, argv, true, false);
}

static void run_rtrim(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    trim(ctx, argc, argv, false, true);
}

/* lpad(s, width [, fill]): exactly `width` characters. */
static void pad(sqlite3_context *ctx, int argc, sqlite3_value **argv, bool left)
{
    tako_buf *out = fn_buf(ctx);
    tako_slice s, fill = tako_slice_str(" ");
    int64_t width, have, wanted;
    size_t at = 0;

    if (!is_text(argv[0]) || !is_int(argv[1]) ||
        (argc > 2 && !is_text(argv[2])))
        return;
    s = value_text(argv[0]);
    if (argc > 2)
        fill = value_text(argv[2]);
    width = sqlite3_value_int64(argv[1]);
    have = (int64_t)chars_in(s);
    if (width < 0 || width > (int64_t)TAKO_ROW_BYTES_MAX || fill.len == 0)
        return;
    wanted = width > have ? width - have : 0;
    s.len = char_offset(s, (uint64_t)width);
    if (!left)
        tako_put_bytes(out, s);
    for (int64_t i = 0; i < wanted && !out->failed; i++) {
        do {
            tako_put_u8(out, fill.ptr[at++]);
        } while (at < fill.len && (fill.ptr[at] & 0xC0) == 0x80);
        at = at == fill.len ? 0 : at;
    }
    if (left)
        tako_put_bytes(out, s);
    result_text(ctx, out);
}

static void run_lpad(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    pad(ctx, argc, argv, true);
}

static void run_rpad(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    pad(ctx, argc, argv, false);
}

static void run_repeat(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    tako_buf *out = fn_buf(ctx);
    tako_slice s;
    int64_t n;

    (void)argc;
    if (!is_text(argv[0]) || !is_int(argv[1]))
        return;
    s = value_text(argv[0]);
    n = sqlite3_value_int64(argv[1]);
    if (n < 0)
        return;
    if (s.len > 0 && (uint64_t)n > TAKO_ROW_BYTES_MAX / s.len) {
        sqlite3_result_error_toobig(ctx);
        return;
    }
    for (int64_t i = 0; s.len > 0 && i < n && !out->failed; i++)
        tako_put_bytes(out, s);
    result_text(ctx, out);
}

const fn_entry fn_text[] = {
    { "concat", 1, 100, run_concat, NULL, NULL },
    { "starts_with", 2, 2, run_starts_with, NULL, NULL },
    { "ends_with", 2, 2, run_ends_with, NULL, NULL },
    { "contains", 2, 2, run_contains, NULL, NULL },
    { "char_length", 1, 1, run_char_length, NULL, NULL },
    { "character_length", 1, 1, run_char_length, NULL, NULL },
    { "byte_length", 1, 1, run_byte_length, NULL, NULL },
    { "lower", 1, 1, run_lower, NULL, NULL },
    { "upper", 1, 1, run_upper, NULL, NULL },
    { "substr", 2, 3, run_substr, NULL, NULL },
    { "pos", 2, 2, run_pos, NULL, NULL },
    { "position", 2, 2, run_pos, NULL, NULL },
    { "split", 1, 2, run_split, NULL, NULL },
    { "joinstr", 2, 2, run_joinstr, NULL, NULL },
    { "trim", 1, 2, run_trim, NULL, NULL },
    { "ltrim", 1, 2, run_ltrim, NULL, NULL },
    { "rtrim", 1, 2, run_rtrim, NULL, NULL },
    { "lpad", 2, 3, run_lpad, NULL, NULL },
    { "rpad", 2, 3, run_rpad, NULL, NULL },
    { "repeat", 2, 2, run_repeat, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
