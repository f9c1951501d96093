// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"

typedef struct status_print {
    const tako_env *env;
    bool json;
} status_print;

/* What of a list is for people; --json has all of it. */
static const struct {
    const char *list;
    size_t count;
    const char *columns[9];
} views[] = {
    { "links",
      8,
      { "peer", "address", "state", "rtt_ms", "acknowledged",
        "waiting_documents", "bytes_in", "bytes_out" } },
    { "peers", 5, { "address", "linked", "failures", "retry_ms", "error" } },
    { "subscriptions",
      5,
      { "id", "statement", "state", "complete_with", "behind_documents" } },
};

static void choose_columns(table *t, tako_slice key)
{
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        if (tako_slice_eq(key, tako_slice_str(views[i].list)))
            table_columns(t, views[i].columns, views[i].count);
    }
}

/* An array of objects as a table under its name; false when it is something
 * else. */
static bool print_list(const tako_env *env, tako_slice key, tako_slice list)
{
    tako_reader r = tako_reader_of(list);
    cbor_item head;
    table *t;

    if (!cbor_read(&r, &head) || head.kind != CBOR_ARRAY)
        return false;
    printf("\n%.*s:%s\n", (int)key.len, (const char *)key.ptr,
           head.count == 0 ? " none" : "");
    if (head.count == 0 || table_new(env, &t) != TAKO_OK)
        return true;
    choose_columns(t, key);
    for (uint64_t i = 0; i < head.count; i++) {
        tako_slice row = cbor_read_value(&r);

        if (cbor_kind_of(row) == CBOR_MAP) {
            (void)table_row_cbor(t, row);
        } else {
            tako_buf b = tako_buf_on(env);

            if (json_from_cbor(row, &b) == TAKO_OK)
                (void)print_line(tako_buf_slice(&b));
            tako_buf_fini(&b);
        }
    }
    (void)table_flush(t);
    table_free(t);
    return true;
}

static void print_value(const tako_env *env, tako_slice key, tako_slice value)
{
    tako_buf b = tako_buf_on(env);
    tako_reader r = tako_reader_of(value);
    cbor_item item;
    tako_slice text = TAKO_SLICE_NONE;

    if (cbor_kind_of(value) == CBOR_TEXT && cbor_read(&r, &item))
        text = item.str;
    else if (json_from_cbor(value, &b) == TAKO_OK)
        text = tako_buf_slice(&b);
    printf("%-14.*s  %.*s\n", (int)key.len, (const char *)key.ptr,
           (int)text.len, text.len == 0 ? "" : (const char *)text.ptr);
    tako_buf_fini(&b);
}

/* What people look for first; the rest follows as it comes. */
static const char *const first_keys[] = {
    "name",        "documents",  "tombstones", "evicted",
    "collections", "quarantine", "lost",       "commit",
    "file_bytes",  "wal_bytes",  "free_bytes", "syncing",
    "actor",       "key",        "version",    "listeners",
};

#define FIRST_KEYS (sizeof first_keys / sizeof first_keys[0])

static bool is_first(tako_slice key)
{
    for (size_t i = 0; i < FIRST_KEYS; i++) {
        if (tako_slice_eq(key, tako_slice_str(first_keys[i])))
            return true;
    }
    return false;
}

/* The rest: lists, or what has one value. */
static void print_rest(const tako_env *env, tako_slice map, bool lists)
{
    tako_reader r = tako_reader_of(map);
    cbor_item head, key;

    if (!cbor_read(&r, &head) || head.kind != CBOR_MAP)
        return;
    for (uint64_t i = 0; i < head.count && cbor_read(&r, &key); i++) {
        tako_slice value = cbor_read_value(&r);
        bool list = cbor_kind_of(value) == CBOR_ARRAY;

        if (list != lists || is_first(key.str))
            continue;
        if (list)
            (void)print_list(env, key.str, value);
        else
            print_value(env, key.str, value);
    }
}

static void print_status(const tako_env *env, tako_slice map)
{
    for (size_t i = 0; i < FIRST_KEYS; i++) {
        tako_slice key = tako_slice_str(first_keys[i]);
        tako_slice value = cbor_map_get(map, key);

        if (value.len > 0)
            print_value(env, key, value);
    }
    print_rest(env, map, false);
    print_rest(env, map, true);
}

static tako_err print_done(void *ctx, const char *kind, tako_slice json)
{
    const status_print *o = ctx;
    tako_buf cbor = tako_buf_on(o->env);
    tako_err err;

    if (strcmp(kind, "done") != 0)
        return TAKO_OK;
    if (o->json)
        return print_line(json) ? TAKO_OK : TAKO_IO;
    err = json_to_cbor(json, TAKO_JSON_DEPTH_MAX, &cbor, NULL);
    if (err == TAKO_OK)
        print_status(o->env, tako_buf_slice(&cbor));
    tako_buf_fini(&cbor);
    return err;
}

int cmd_status(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    status_print o = { &p->env, false };
    const option_spec specs[] = {
        { "json", OPTION_FLAG, &o.json, NULL, "one JSON object" },
        OPTION_SPEC_END,
    };
    session *s;
    tako_errbuf e;
    tako_err err;
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    status = session_start(p, operand[0], false, &s);
    if (status != STATUS_OK)
        return status;
    if (!o.json)
        printf("%-14s  %s\n", "running",
               session_is_remote(s) ? "yes: tako run has it open" : "no");
    err = session_ask(s, p, "status", NULL, NULL, print_done, &o, &e);
    if (err != TAKO_OK) {
        print_failure(operand[0], print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}
