// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdio.h>

const char *tako_err_message(tako_err code)
{
    switch (code) { /* no default: a new code must fail the build here */
#define X(name, num, retry, msg)                                               \
    case TAKO_##name:                                                          \
        return msg;
        TAKO_ERR_MAP(X)
#undef X
    }
    return "unknown error code";
}

const char *tako_err_name(tako_err code)
{
    switch (code) {
#define X(name, num, retry, msg)                                               \
    case TAKO_##name:                                                          \
        return "TAKO_" #name;
        TAKO_ERR_MAP(X)
#undef X
    }
    return "TAKO_UNKNOWN";
}

int tako_err_is_transient(tako_err code)
{
    switch (code) {
#define X(name, num, retry, msg)                                               \
    case TAKO_##name:                                                          \
        return retry;
        TAKO_ERR_MAP(X)
#undef X
    }
    return 0;
}

tako_err tako_fail(tako_errbuf *e, tako_err code, const char *fmt, ...)
{
    va_list ap;

    if (e == NULL)
        return code;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return code;
}
