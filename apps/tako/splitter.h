// SPDX-License-Identifier: Apache-2.0
/* SPLITTER -- a stream of JSON values, cut out of a file one at a time.
 *
 * A file whose first character is `[` is one array, and its elements are the
 * values; any other holds one value a line (blank lines are skipped). Only the
 * value at hand is in memory, TAKO_VALUE_BYTES_MAX at most. The values are cut
 * by brackets and quotes alone: the reader of each says whether it is JSON. */
#ifndef TAKO_APP_SPLITTER_H
#define TAKO_APP_SPLITTER_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

typedef struct splitter {
    FILE *f; /* borrowed */
    tako_buf in;
    size_t pos;    /* what is before it was handed out */
    uint64_t line; /* of pos, from 1 */
    bool eof;
    bool begun;
    bool array;
    bool first; /* no element of the array was seen */
    bool ended; /* its closing bracket was */
} splitter;

void splitter_init(splitter *s, const tako_env *env, FILE *f);
void splitter_fini(splitter *s);

/* The next value, valid until the next call, and the line it begins in.
 * TAKO_NOTFOUND at the end; TAKO_INVALID, TAKO_LIMIT, TAKO_IO with s->line
 * where it is and e */
tako_err splitter_next(splitter *s, tako_slice *text, uint64_t *line,
                       tako_errbuf *e);

#endif /* TAKO_APP_SPLITTER_H */
