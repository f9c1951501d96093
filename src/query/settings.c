// SPDX-License-Identifier: Apache-2.0
/* See settings.h. Each is a value of the store under "setting.<name>"; an
 * empty one stands for the default. */
#include "query/settings.h"

#include <stdio.h>

#include "codec/json.h"
#include "query/ast.h"

static const struct {
    const char *name;
    int64_t fallback, min, max;
    const char *about;
    const char *effect;
} table[SETTINGS] = {
    [SETTING_ATTACHMENT_FETCH] = { "attachment_fetch", 0, 0, 1,
                                   "1: attachments of documents that are here "
                                   "are fetched by themselves; 0: when they "
                                   "are opened",
                                   "within some seconds" },
    [SETTING_ATTACHMENT_GRACE_S] = { "attachment_grace_s", 86400, 60,
                                     366 * 86400,
                                     "an attachment that no document here "
                                     "refers to is kept so many seconds",
                                     "at once" },
    [SETTING_REQUESTS_RECENT_MAX] = { "requests_recent_max", 100, 0,
                                      TAKO_REQUESTS_RECENT_MAX,
                                      "how many ended requests system:requests "
                                      "remembers",
                                      "at once" },
    [SETTING_RESULT_BYTES_MAX] = { "result_bytes_max", 256 << 20, 64 << 10,
                                   INT64_C(1) << 40,
                                   "bytes of a result that is held in memory "
                                   "whole: of a writing "
                                   "transaction, and of an observer",
                                   "for statements that begin later" },
    [SETTING_SLOW_REQUEST_MS] = { "slow_request_ms", 500, 0, 86400000,
                                  "a request that ran so long is marked slow, "
                                  "and logged; 0: none",
                                  "for requests that end later" },
    [SETTING_STATEMENT_TIMEOUT_MS] = { "statement_timeout_ms", 0, 0, 86400000,
                                       "a statement that runs longer is "
                                       "stopped and undone; 0: none",
                                       "for statements that begin later" },
    [SETTING_TOMBSTONE_TTL] = { "tombstone_ttl", 30, 1, 36500,
                                "days for which a deleted document leaves a "
                                "tombstone; after that only its births are "
                                "remembered",
                                "within an hour, while syncing" },
};

setting query_setting_find(tako_slice name)
{
    unsigned i = 0;

    while (i < SETTINGS && !tako_slice_eq(name, tako_slice_str(table[i].name)))
        i++;
    return (setting)i;
}

tako_slice query_setting_nearest(tako_slice name)
{
    tako_slice best = TAKO_SLICE_NONE;
    unsigned least = 6;

    for (unsigned i = 0; i < SETTINGS; i++)
        query_word_nearer(name, tako_slice_str(table[i].name), &least, &best);
    return best;
}

static void put_key(unsigned which, char key[64])
{
    (void)snprintf(key, 64, "setting.%s", table[which].name);
}

static bool in_range(tako_slice value, unsigned which, int64_t *out)
{
    tako_reader r = tako_reader_of(value);
    cbor_item item;

    if (value.len == 0 || !cbor_read(&r, &item) || item.kind != CBOR_INT ||
        item.integer < table[which].min || item.integer > table[which].max)
        return false;
    *out = item.integer;
    return true;
}

tako_err query_settings_read(const tako_env *env, store_conn *c,
                             query_settings *out)
{
    tako_buf b = tako_buf_on(env);
    tako_err err = TAKO_OK;
    char key[64];

    for (unsigned i = 0; i < SETTINGS && err == TAKO_OK; i++) {
        out->value[i] = table[i].fallback;
        put_key(i, key);
        tako_buf_reset(&b);
        err = store_kv_get(c, key, &b);
        if (err == TAKO_OK)
            (void)in_range(tako_buf_slice(&b), i, &out->value[i]);
        if (err == TAKO_NOTFOUND)
            err = TAKO_OK;
    }
    tako_buf_fini(&b);
    return err;
}

static tako_err put(store *s, setting which, tako_slice value, tako_errbuf *e)
{
    char key[64];
    tako_err err;

    put_key(which, key);
    err = store_kv_put(s, key, value);
    return err == TAKO_OK ? err : tako_fail(e, err, "%s: cannot be kept", key);
}

tako_err query_setting_put(store *s, setting which, tako_slice value,
                           tako_errbuf *e)
{
    int64_t v;

    if (!in_range(value, (unsigned)which, &v))
        return tako_fail(e, TAKO_INVALID,
                         "%s is a whole number from %lld to %lld",
                         table[which].name, (long long)table[which].min,
                         (long long)table[which].max);
    return put(s, which, value, e);
}

tako_err query_setting_reset(store *s, setting which, tako_errbuf *e)
{
    return put(s, which, TAKO_SLICE_NONE, e);
}

static void put_text(tako_buf *json, const char *key, const char *text)
{
    tako_put_fmt(json, ",\"%s\":", key);
    json_put_string(json, tako_slice_str(text));
}

void query_setting_json(const query_settings *now, setting which,
                        tako_buf *json)
{
    tako_put_fmt(json,
                 "{\"_id\":\"%s\",\"name\":\"%s\",\"value\":%lld,"
                 "\"default\":%lld,\"type\":\"integer\",\"minimum\":%lld,"
                 "\"maximum\":%lld",
                 table[which].name, table[which].name,
                 (long long)now->value[which], (long long)table[which].fallback,
                 (long long)table[which].min, (long long)table[which].max);
    put_text(json, "description", table[which].about);
    put_text(json, "takes_effect", table[which].effect);
    tako_put_u8(json, '}');
}
