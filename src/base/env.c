// SPDX-License-Identifier: Apache-2.0
#include "base/env.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void *tako_env_alloc(const tako_env *env, size_t n)
{
    void *p = env->realloc(env->ctx, NULL, 0, n);

    if (p != NULL)
        memset(p, 0, n);
    return p;
}

void tako_env_free(const tako_env *env, void *ptr, size_t n)
{
    if (ptr != NULL)
        (void)env->realloc(env->ctx, ptr, n, 0);
}

#define LOG_FIELDS_BYTES 1024u
#define LOG_CUT          "\"cut\":true"

/* `fields` was cut at its end: drops the field that is not whole, so that it
 * is still the inside of an object, and says that something is missing. */
static void log_cut(char fields[LOG_FIELDS_BYTES])
{
    size_t last = 0, depth = 0;
    bool quoted = false;

    for (size_t i = 0; fields[i] != '\0'; i++) {
        char c = fields[i];

        if (quoted && c == '\\' && fields[i + 1] != '\0')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && depth > 0 && (c == '}' || c == ']'))
            depth--;
        else if (!quoted && c == ',' && depth == 0 &&
                 i + sizeof LOG_CUT < LOG_FIELDS_BYTES)
            last = i + 1;
    }
    memcpy(fields + last, LOG_CUT, sizeof LOG_CUT);
}

void tako_log(const tako_env *env, tako_log_level level, const char *event,
              const char *fmt, ...)
{
    char fields[LOG_FIELDS_BYTES];
    va_list ap;
    int n;

    if (env->log == NULL)
        return;
    va_start(ap, fmt);
    n = vsnprintf(fields, sizeof fields, fmt, ap);
    va_end(ap);
    if (n < 0)
        fields[0] = '\0';
    if (n >= (int)sizeof fields)
        log_cut(fields);
    env->log(env->ctx, level, event, fields);
}

const char *tako_log_str(const char *text, char *out, size_t cap)
{
    size_t n = 0;

    if (cap < 3) {
        if (cap > 0)
            out[0] = '\0';
        return out;
    }
    out[n++] = '"';
    for (; *text != '\0' && n + 3 < cap; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            out[n++] = '\\';
        out[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
