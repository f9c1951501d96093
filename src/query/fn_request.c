// SPDX-License-Identifier: Apache-2.0
/* What a statement can ask about its own run. The one who runs a statement
 * that asks says tql_begin(now, text) before each step of it, so that the time
 * is one for all of the run, also where it is several SQLite statements or
 * is interleaved with another. */
#include "query/functions.h"

static void run_begin(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);

    (void)argc;
    s->now_ms = sqlite3_value_int64(argv[0]);
    tako_buf_reset(&s->statement);
    tako_put_bytes(&s->statement, value_text(argv[1]));
    if (s->statement.failed)
        sqlite3_result_error_nomem(ctx);
}

/* clock([form [, offset]]) */
static void run_clock(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);

    fn_date_result(ctx, s->now_ms, argc, argv);
}

/* request_info([field]): an object, or one field of it. */
static void run_request_info(sqlite3_context *ctx, int argc,
                             sqlite3_value **argv)
{
    fn_state *s = sqlite3_user_data(ctx);
    const struct {
        const char *key; /* in the order of CBOR */
        tako_slice text;
    } fields[] = {
        { "engine", tako_slice_str("tako") },
        { "version", tako_slice_str(TAKO_VERSION) },
        { "statement", tako_buf_slice(&s->statement) },
    };
    tako_buf *out = fn_buf(ctx);
    tako_slice only = TAKO_SLICE_NONE;

    if (argc > 0) {
        if (value_rank_of(argv[0]) != RANK_TEXT)
            return;
        only = value_text(argv[0]);
    }
    if (argc == 0)
        cbor_put_map(out, sizeof fields / sizeof fields[0] + 1);
    if (argc == 0)
        cbor_put_text(out, tako_slice_str("time"));
    if (argc == 0 || tako_slice_eq(only, tako_slice_str("time")))
        cbor_put_int(out, s->now_ms);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (argc == 0)
            cbor_put_text(out, tako_slice_str(fields[i].key));
        if (argc == 0 || tako_slice_eq(only, tako_slice_str(fields[i].key)))
            cbor_put_text(out, fields[i].text);
    }
    if (out->failed)
        sqlite3_result_error_nomem(ctx);
    else
        value_result(ctx, tako_buf_slice(out));
}

const fn_entry fn_begin[] = {
    { "begin", 2, 2, run_begin, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};

const fn_entry fn_request[] = {
    { "clock", 0, 2, run_clock, NULL, NULL },
    { "request_info", 0, 1, run_request_info, NULL, NULL },
    { NULL, 0, 0, NULL, NULL, NULL },
};
