// SPDX-License-Identifier: Apache-2.0
/* SETTINGS -- what ALTER SYSTEM sets: whole numbers, kept with the database
 * and outside of sync. The table in settings.c is the list; who obeys them
 * reads them with query_settings_read() when it opens, and again after a
 * commit that set one. */
#ifndef TAKO_QUERY_SETTINGS_H
#define TAKO_QUERY_SETTINGS_H

#include "store/store.h"

typedef enum setting {
    SETTING_ATTACHMENT_FETCH,
    SETTING_ATTACHMENT_GRACE_S,
    SETTING_REQUESTS_RECENT_MAX,
    SETTING_RESULT_BYTES_MAX,
    SETTING_SLOW_REQUEST_MS,
    SETTING_STATEMENT_TIMEOUT_MS,
    SETTING_TOMBSTONE_TTL,
    SETTINGS, /* how many */
} setting;

typedef struct query_settings {
    int64_t value[SETTINGS];
} query_settings;

/* What holds on this connection; the default where nothing was set, or where
 * what a later version set is beyond our range. TAKO_IO, TAKO_NOMEM */
tako_err query_settings_read(const tako_env *env, store_conn *c,
                             query_settings *out);

/* ---- used inside the module ------------------------------------------------ */

/* SETTINGS when there is none of this name. */
setting query_setting_find(tako_slice name);
/* The nearest name for a message, or an empty slice. */
tako_slice query_setting_nearest(tako_slice name);
/* Keeps a value; inside the store's transaction. TAKO_INVALID (e: the range) */
tako_err query_setting_put(store *s, setting which, tako_slice value,
                           tako_errbuf *e);
/* Back to the default. */
tako_err query_setting_reset(store *s, setting which, tako_errbuf *e);
/* Appends a setting as a JSON object. */
void query_setting_json(const query_settings *now, setting which,
                        tako_buf *json);

#endif /* TAKO_QUERY_SETTINGS_H */
