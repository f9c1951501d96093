// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_ROWS -- the rows of two results as values, to see that they are the
 * same whatever their order: a row is its cells by name, objects and arrays
 * are cells by path, null and what is missing is no cell. Integers and texts
 * must be equal; floats to 1e-9, as the two sides add up in other orders. */
#ifndef TAKO_BENCH_SUPPORT_ROWS_H
#define TAKO_BENCH_SUPPORT_ROWS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct bench_cell {
    char *path;
    char *text; /* NULL: a number */
    double number;
} bench_cell;

typedef struct bench_row {
    bench_cell *cells;
    size_t count;
} bench_row;

typedef struct bench_rows {
    bench_row *at;
    size_t count, cap;
} bench_rows;

/* A row that is a JSON object. db: any connection; it takes JSON apart. */
void bench_rows_json(bench_rows *r, sqlite3 *db, const char *json);
/* The row that a statement stands on. A column called doc is a JSON object
 * whose fields are cells of the row. */
void bench_rows_step(bench_rows *r, sqlite3_stmt *s);
/* Sorts both. False: why says where they differ. */
bool bench_rows_equal(bench_rows *a, bench_rows *b, char *why, size_t cap);
void bench_rows_free(bench_rows *r);

#endif /* TAKO_BENCH_SUPPORT_ROWS_H */
