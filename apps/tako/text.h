// SPDX-License-Identifier: Apache-2.0
/* TEXT -- where a statement ends, and where in a text a place is.
 *
 * Only as much of TQL's lexis as decides about semicolons: strings in single
 * or double quotes with backslash escapes, backtick names, both comments. */
#ifndef TAKO_APP_TEXT_H
#define TAKO_APP_TEXT_H

#include "base/err.h"
#include "base/slice.h"

/* The offset just after the first `;` outside strings, names and comments.
 * False when there is none: the statement may go on. */
bool text_statement_end(tako_slice text, size_t *end);

/* True when there is nothing but white space, comments and semicolons. */
bool text_is_blank(tako_slice text);

/* TAKO_INVALID (e: where the second begins) when text holds more than one
 * statement, or none. */
tako_err text_one_statement(tako_slice text, tako_errbuf *e);

/* The line (from 1) of an offset, and the column in characters (from 1). */
void text_place(tako_slice text, size_t offset, unsigned *line,
                unsigned *column);

#endif /* TAKO_APP_TEXT_H */
