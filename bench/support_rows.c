// SPDX-License-Identifier: Apache-2.0
#include "support_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support_bench.h"

#define NEAR 1e-9 /* of the greater of two floats */

static bench_row *row_new(bench_rows *r)
{
    if (r->count == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 64;
        r->at = realloc(r->at, r->cap * sizeof *r->at);
        bench_need(r->at != NULL, "memory", NULL);
    }
    r->at[r->count] = (bench_row){ 0 };
    return &r->at[r->count++];
}

/* value: column `at` of the statement. */
static void cell_add(bench_row *row, const char *path, const char *name,
                     sqlite3_stmt *s, int at)
{
    size_t len = strlen(path) + strlen(name) + 2;
    bench_cell *c;

    if (sqlite3_column_type(s, at) == SQLITE_NULL)
        return;
    row->cells = realloc(row->cells, (row->count + 1) * sizeof *row->cells);
    bench_need(row->cells != NULL, "memory", NULL);
    c = &row->cells[row->count++];
    *c = (bench_cell){ .path = malloc(len) };
    bench_need(c->path != NULL, "memory", NULL);
    (void)snprintf(c->path, len, "%s %s", path, name);
    if (sqlite3_column_type(s, at) != SQLITE_TEXT) {
        c->number = sqlite3_column_double(s, at);
        return;
    }
    c->text = strdup((const char *)sqlite3_column_text(s, at));
    bench_need(c->text != NULL, "memory", NULL);
}

static void cells_of_json(bench_row *row, sqlite3 *db, const char *json)
{
    sqlite3_stmt *s = NULL;

    bench_need(sqlite3_prepare_v2(db,
                                  "SELECT path, key, atom FROM json_tree(?1) "
                                  "WHERE atom IS NOT NULL",
                                  -1, &s, NULL) == SQLITE_OK,
               "json_tree", sqlite3_errmsg(db));
    (void)sqlite3_bind_text(s, 1, json, -1, SQLITE_STATIC);
    while (sqlite3_step(s) == SQLITE_ROW)
        cell_add(row, (const char *)sqlite3_column_text(s, 0),
                 (const char *)sqlite3_column_text(s, 1), s, 2);
    bench_need(sqlite3_finalize(s) == SQLITE_OK, "json_tree", json);
}

static int cell_cmp(const void *a, const void *b)
{
    return strcmp(((const bench_cell *)a)->path, ((const bench_cell *)b)->path);
}

static void row_end(bench_row *row)
{
    if (row->count > 1)
        qsort(row->cells, row->count, sizeof *row->cells, cell_cmp);
}

void bench_rows_json(bench_rows *r, sqlite3 *db, const char *json)
{
    bench_row *row = row_new(r);

    cells_of_json(row, db, json);
    row_end(row);
}

void bench_rows_step(bench_rows *r, sqlite3_stmt *s)
{
    bench_row *row = row_new(r);

    for (int i = 0; i < sqlite3_column_count(s); i++) {
        const char *name = sqlite3_column_name(s, i);

        if (strcmp(name, "doc") == 0)
            cells_of_json(row, sqlite3_db_handle(s),
                          (const char *)sqlite3_column_text(s, i));
        else
            cell_add(row, "$", name, s, i);
    }
    row_end(row);
}

/* near: floats that are close are equal. */
static int value_cmp(const bench_cell *a, const bench_cell *b, bool near)
{
    int c = strcmp(a->path, b->path);

    if (c != 0)
        return c;
    if ((a->text != NULL) != (b->text != NULL))
        return a->text != NULL ? 1 : -1;
    if (a->text != NULL)
        return strcmp(a->text, b->text);
    if (near && fabs(a->number - b->number) <=
                    NEAR * fmax(fabs(a->number), fabs(b->number)))
        return 0;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int row_cmp_by(const bench_row *a, const bench_row *b, bool near)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int c = value_cmp(&a->cells[i], &b->cells[i], near);

        if (c != 0)
            return c;
    }
    return a->count < b->count ? -1 : a->count > b->count;
}

static int row_cmp(const void *a, const void *b)
{
    return row_cmp_by(a, b, false);
}

static void row_print(const bench_row *row, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < row->count && n < cap; i++) {
        const bench_cell *c = &row->cells[i];

        n += (size_t)(c->text != NULL ? snprintf(out + n, cap - n, "%s=%s;",
                                                 c->path, c->text)
                                      : snprintf(out + n, cap - n, "%s=%.17g;",
                                                 c->path, c->number));
    }
}

bool bench_rows_equal(bench_rows *a, bench_rows *b, char *why, size_t cap)
{
    char x[256] = "", y[256] = "";

    if (a->count != b->count) {
        (void)snprintf(why, cap, "%zu rows, %zu rows", a->count, b->count);
        return false;
    }
    if (a->count > 1) {
        qsort(a->at, a->count, sizeof *a->at, row_cmp);
        qsort(b->at, b->count, sizeof *b->at, row_cmp);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (row_cmp_by(&a->at[i], &b->at[i], true) == 0)
            continue;
        row_print(&a->at[i], x, sizeof x);
        row_print(&b->at[i], y, sizeof y);
        (void)snprintf(why, cap, "row %zu: %s and %s", i, x, y);
        return false;
    }
    return true;
}

void bench_rows_free(bench_rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        for (size_t k = 0; k < r->at[i].count; k++) {
            free(r->at[i].cells[k].path);
            free(r->at[i].cells[k].text);
        }
        free(r->at[i].cells);
    }
    free(r->at);
    *r = (bench_rows){ 0 };
}
