// SPDX-License-Identifier: Apache-2.0
/* TABLE -- rows of JSON as columns for a terminal.
 *
 * The columns are the keys in order of first sight, _id first; each cell is
 * cut to TABLE_CELL_MAX characters. Widths count code points, so that accents
 * line up; wide characters do not. */
#include "print.h"

#include <stdio.h>

#include "base/arena.h"
#include "codec/cbor.h"
#include "codec/json.h"

#define TABLE_ROWS_MAX 1000u

struct table {
    const tako_env *env;
    tako_arena arena; /* rows and names of columns, until a flush */
    tako_buf scratch;
    size_t rows;
    size_t columns;
    bool fixed; /* the columns were given */
    tako_slice row[TABLE_ROWS_MAX];
    tako_slice name[TABLE_COLUMNS_MAX];
    size_t width[TABLE_COLUMNS_MAX];
};

tako_err table_new(const tako_env *env, table **out)
{
    table *t = tako_env_alloc(env, sizeof *t);

    if (t == NULL)
        return TAKO_NOMEM;
    t->env = env;
    t->arena = tako_arena_on(env);
    t->scratch = tako_buf_on(env);
    *out = t;
    return TAKO_OK;
}

void table_free(table *t)
{
    if (t == NULL)
        return;
    tako_arena_fini(&t->arena);
    tako_buf_fini(&t->scratch);
    tako_env_free(t->env, t, sizeof *t);
}

static size_t characters(tako_slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += (s.ptr[i] & 0xC0) != 0x80;
    return n;
}

/* The text of a cell, in t->scratch: texts without quotes, the rest as JSON;
 * control characters show as spaces. */
static tako_slice cell(table *t, tako_slice value)
{
    size_t shown = 0;
    size_t i;

    tako_buf_reset(&t->scratch);
    if (value.len == 0)
        return TAKO_SLICE_NONE;
    if (cbor_kind_of(value) == CBOR_TEXT) {
        tako_reader r = tako_reader_of(value);
        cbor_item item;

        if (cbor_read(&r, &item))
            tako_put_bytes(&t->scratch, item.str);
    } else if (json_from_cbor(value, &t->scratch) != TAKO_OK) {
        return TAKO_SLICE_NONE;
    }
    for (i = 0; i < t->scratch.len; i++) {
        if (t->scratch.ptr[i] < ' ' || t->scratch.ptr[i] == 0x7F)
            t->scratch.ptr[i] = ' ';
        if ((t->scratch.ptr[i] & 0xC0) != 0x80 && shown++ == TABLE_CELL_MAX)
            break;
    }
    if (i < t->scratch.len) {
        t->scratch.len = i;
        tako_put_str(&t->scratch, "\xE2\x80\xA6"); /* an ellipsis */
    }
    return tako_buf_slice(&t->scratch);
}

static size_t column_of(table *t, tako_slice key)
{
    for (size_t i = 0; i < t->columns; i++) {
        if (tako_slice_eq(t->name[i], key))
            return i;
    }
    if (t->fixed || t->columns == TABLE_COLUMNS_MAX)
        return TABLE_COLUMNS_MAX;
    t->name[t->columns] = tako_arena_copy(&t->arena, key);
    t->width[t->columns] = characters(key);
    return t->columns++;
}

void table_columns(table *t, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && i < TABLE_COLUMNS_MAX; i++) {
        t->name[i] = tako_slice_str(names[i]);
        t->width[i] = characters(t->name[i]);
        t->columns = i + 1;
    }
    t->fixed = true;
}

static void learn_columns(table *t, tako_slice map)
{
    tako_reader r = tako_reader_of(map);
    cbor_item head, key;
    tako_slice id = cbor_map_get(map, tako_slice_str("_id"));

    if (id.len > 0)
        column_of(t, tako_slice_str("_id"));
    if (!cbor_read(&r, &head) || head.kind != CBOR_MAP)
        return;
    for (uint64_t i = 0; i < head.count && cbor_read(&r, &key); i++) {
        size_t c = column_of(t, key.str);
        size_t width = characters(cell(t, cbor_read_value(&r)));

        if (c < TABLE_COLUMNS_MAX && width > t->width[c])
            t->width[c] = width;
    }
}

tako_err table_row_cbor(table *t, tako_slice map)
{
    tako_slice copy = tako_arena_copy(&t->arena, map);

    if (copy.ptr == NULL)
        return TAKO_NOMEM;
    t->row[t->rows++] = copy;
    learn_columns(t, copy);
    return t->rows == TABLE_ROWS_MAX ? table_flush(t) : TAKO_OK;
}

tako_err table_row(table *t, tako_slice json)
{
    tako_buf cbor = tako_buf_on(t->env);
    tako_err err = json_to_cbor(json, TAKO_JSON_DEPTH_MAX, &cbor, NULL);

    if (err == TAKO_OK)
        err = table_row_cbor(t, tako_buf_slice(&cbor));
    tako_buf_fini(&cbor);
    return err;
}

static void put_cell(table *t, size_t column, tako_slice text)
{
    size_t pad = t->width[column] - characters(text);

    printf("%s%.*s", column == 0 ? "" : "  ", (int)text.len,
           text.len == 0 ? "" : (const char *)text.ptr);
    if (column + 1 < t->columns)
        printf("%*s", (int)pad, "");
}

static void put_rule(const table *t)
{
    for (size_t c = 0; c < t->columns; c++) {
        fputs(c == 0 ? "" : "  ", stdout);
        for (size_t i = 0; i < t->width[c]; i++)
            putchar('-');
    }
    putchar('\n');
}

tako_err table_flush(table *t)
{
    if (t->rows > 0) {
        for (size_t c = 0; c < t->columns; c++)
            put_cell(t, c, t->name[c]);
        putchar('\n');
        put_rule(t);
    }
    for (size_t i = 0; i < t->rows; i++) {
        for (size_t c = 0; c < t->columns; c++)
            put_cell(t, c, cell(t, cbor_map_get(t->row[i], t->name[c])));
        putchar('\n');
    }
    t->rows = 0;
    if (!t->fixed)
        t->columns = 0;
    tako_arena_reset(&t->arena);
    return ferror(stdout) ? TAKO_IO : TAKO_OK;
}
