// SPDX-License-Identifier: Apache-2.0
/* PRINT -- what people see: errors, tables. */
#ifndef TAKO_APP_PRINT_H
#define TAKO_APP_PRINT_H

#include "base/buf.h"
#include "base/err.h"

/* "tako: what: where" on standard error; where may be NULL. */
void print_problem(const char *what, const char *where);

/* The same for a command that was printing: says nothing when standard output
 * is what failed, of which print_finish tells. */
void print_failure(const char *what, const char *where);

/* A failure of a statement: the detail and, when it names a line and column,
 * that line with a caret under the column. */
void print_statement_error(const char *statement, tako_err err,
                           const char *detail);

/* Appends the "note" of what a statement answered at its end, if there is one,
 * as a JSON text. */
void print_put_note(tako_slice done, tako_buf *out);
/* Shows it on standard error. */
void print_note(const tako_env *env, tako_slice done);

/* The detail where there is one, else the general meaning. */
const char *print_reason(tako_err err, const char *detail);

/* Writes a line to standard output. False when it cannot be written. */
bool print_line(tako_slice line);
/* The same of an object without its first brace. */
bool print_object(tako_slice rest);

/* 0, or 1 after saying so when standard output could not be written. */
int print_finish(int status);

/* ---- tables -------------------------------------------------------------- */

#define TABLE_COLUMNS_MAX 64u
#define TABLE_CELL_MAX    60u /* characters of one cell */

/* Rows are JSON objects, collected, then printed with a column for each key.
 * Rows of 1000 are one table: a longer result is several. */
typedef struct table table;
tako_err table_new(const tako_env *env, table **out);
void table_free(table *t);
/* Shows these columns alone, in this order (names must outlive the table);
 * before the first row. */
void table_columns(table *t, const char *const *names, size_t count);
/* Takes a row as JSON text; prints when the table is full. */
tako_err table_row(table *t, tako_slice json);
/* Takes a row as a CBOR map. */
tako_err table_row_cbor(table *t, tako_slice map);
/* Prints what is left; the next row begins another table. */
tako_err table_flush(table *t);

#endif /* TAKO_APP_PRINT_H */
