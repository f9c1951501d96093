// SPDX-License-Identifier: Apache-2.0
/* ERR -- one list of error codes for the whole library.
 *
 * The list lives in the public header, because its names, numbers and
 * messages are part of the library's promise; this header only makes them
 * available below api. A function has two or three expected errors. Detail
 * text (what, where) travels in a tako_errbuf that the caller passes in. */
#ifndef TAKO_BASE_ERR_H
#define TAKO_BASE_ERR_H

#include <stdarg.h>
#include "tako/tako_err.h"

/* Detail of a failure: always NUL-terminated, cut where too long. */
typedef struct tako_errbuf {
    char text[512];
} tako_errbuf;

/* Formats into e->text when e is not NULL and returns `code`, so that a
 * failing function can end with `return tako_fail(e, TAKO_CORRUPT, ...)`. */
tako_err tako_fail(tako_errbuf *e, tako_err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns from the calling function when `expr` fails. Only where nothing is
 * owned; elsewhere use one `out:` label. */
#define TAKO_TRY(expr)                                                         \
    do {                                                                       \
        tako_err try_err_ = (expr);                                            \
        if (try_err_ != TAKO_OK)                                               \
            return try_err_;                                                   \
    } while (0)

#endif /* TAKO_BASE_ERR_H */
