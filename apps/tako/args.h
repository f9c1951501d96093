// SPDX-License-Identifier: Apache-2.0
/* ARGS -- values for a statement's parameters, and reading whole small files. */
#ifndef TAKO_APP_ARGS_H
#define TAKO_APP_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "options.h"

/* Appends one JSON object on one line from `name=JSON` texts or from the file
 * `path` ("-": standard input); nothing when both are empty.
 * TAKO_INVALID, TAKO_IO, TAKO_LIMIT (e says which and why) */
tako_err args_read(const option_list *pairs, const char *path, tako_buf *out,
                   tako_errbuf *e);

/* Appends a file, or standard input for "-", of at most `max` bytes.
 * TAKO_NOTFOUND, TAKO_IO, TAKO_LIMIT, TAKO_NOMEM */
tako_err args_read_file(const char *path, size_t max, tako_buf *out,
                        tako_errbuf *e);

#endif /* TAKO_APP_ARGS_H */
