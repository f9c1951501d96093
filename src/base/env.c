// SPDX-License-Identifier: Apache-2.0
#include "base/env.h"

#include <stdarg.h>
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

void tako_log(const tako_env *env, tako_log_level level, const char *event,
              const char *fmt, ...)
{
    char    fields[1024];
    va_list ap;

    if (env->log == NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(fields, sizeof fields, fmt, ap);
    va_end(ap);
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
