// SPDX-License-Identifier: Apache-2.0
/* LOG -- tako_env.log to tako_log_fn.
 *
 * The environment that everything below runs in is wrapped: same memory,
 * clocks and random, but events go to the program. An event's fields come as
 * the inside of a JSON object, cut where they were too long; a cut object
 * would not parse, so the program then gets {"cut":true} in its place. */
#include "obs/log.h"

#include <string.h>

#define LOG_FIELDS_BYTES_MAX 1024u /* of tako_log(), with the NUL */

static void *log_realloc(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    const tako_env *inner = &((obs_log *)ctx)->inner;

    return inner->realloc(inner->ctx, ptr, old_size, new_size);
}

static uint64_t log_wall_ms(void *ctx)
{
    const tako_env *inner = &((obs_log *)ctx)->inner;

    return inner->wall_ms(inner->ctx);
}

static uint64_t log_mono_ms(void *ctx)
{
    const tako_env *inner = &((obs_log *)ctx)->inner;

    return inner->mono_ms(inner->ctx);
}

static void log_random(void *ctx, void *buf, size_t len)
{
    const tako_env *inner = &((obs_log *)ctx)->inner;

    inner->random(inner->ctx, buf, len);
}

static tako_level level_of(tako_log_level level)
{
    switch (level) {
    case TAKO_LOG_ERROR:
        return TAKO_LEVEL_ERROR;
    case TAKO_LOG_WARN:
        return TAKO_LEVEL_WARN;
    case TAKO_LOG_INFO:
        return TAKO_LEVEL_INFO;
    case TAKO_LOG_DEBUG:
        return TAKO_LEVEL_DEBUG;
    }
    return TAKO_LEVEL_ERROR;
}

static void log_event(void *ctx, tako_log_level level, const char *event,
                      const char *fields)
{
    const obs_log *log = ctx;
    char object[LOG_FIELDS_BYTES_MAX + 2];
    size_t n = strlen(fields);

    if (n + 1 >= LOG_FIELDS_BYTES_MAX) {
        fields = "\"cut\":true";
        n = strlen(fields);
    }
    object[0] = '{';
    memcpy(object + 1, fields, n);
    memcpy(object + 1 + n, "}", 2);
    log->fn(log->ctx, level_of(level), event, object);
}

void obs_log_env(obs_log *log, const tako_env *inner, tako_log_fn *fn,
                 void *ctx, tako_env *out)
{
    *log = (obs_log){ *inner, fn, ctx };
    *out =
        (tako_env){ log,         log_realloc, log_wall_ms,
                    log_mono_ms, log_random,  fn != NULL ? log_event : NULL };
}
