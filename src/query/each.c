// SPDX-License-Identifier: Apache-2.0
/* tql_each(list): the elements of an array with their places from 0, or the
 * values of an object with their keys, as rows; no row for anything else. So
 * lists of any length, bound as parameters, become the right side of IN and
 * drive index searches, and lists in documents can be joined. tql_within(list)
 * goes on into the lists inside, each element before what is in it.
 *
 * Eponymous virtual tables without storage; the list is copied for the time
 * of a scan. A list inside is at most TAKO_JSON_DEPTH_MAX deep, which bounds
 * the stack of the walk; what is deeper (a damaged file) is not gone into. */
#include "query/functions.h"

#include "base/limits.h"

typedef struct each_tab {
    sqlite3_vtab base;
    bool within;
} each_tab;

typedef struct each_cursor {
    sqlite3_vtab_cursor base;
    uint8_t *list; /* a copy, in room that is used again */
    size_t room;
    value_iter *walks; /* of the lists around; the innermost last */
    size_t depth, cap; /* walks in use, and there is room for */
    int64_t *places;   /* in each */
    bool done;
    sqlite3_int64 at;
} each_cursor;

enum { EACH_VALUE, EACH_KEY, EACH_LIST };

static int each_connect(sqlite3 *db, void *aux, int argc,
                        const char *const *argv, sqlite3_vtab **out, char **err)
{
    int rc =
        sqlite3_declare_vtab(db, "CREATE TABLE x(value, key, list HIDDEN)");
    each_tab *tab;

    (void)argc;
    (void)argv;
    (void)err;
    if (rc != SQLITE_OK)
        return rc;
    tab = sqlite3_malloc(sizeof *tab);
    if (tab == NULL)
        return SQLITE_NOMEM;
    memset(tab, 0, sizeof *tab);
    tab->within = aux != NULL;
    *out = &tab->base;
    return sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
}

static int each_disconnect(sqlite3_vtab *tab)
{
    sqlite3_free(tab);
    return SQLITE_OK;
}

static int each_best_index(sqlite3_vtab *tab, sqlite3_index_info *info)
{
    (void)tab;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn == EACH_LIST &&
            info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ &&
            info->aConstraint[i].usable) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            info->estimatedCost = 10;
            info->estimatedRows = 10;
            return SQLITE_OK;
        }
    }
    return SQLITE_CONSTRAINT;
}

static int each_open(sqlite3_vtab *tab, sqlite3_vtab_cursor **out)
{
    each_cursor *c = sqlite3_malloc(sizeof *c);

    (void)tab;
    if (c == NULL)
        return SQLITE_NOMEM;
    memset(c, 0, sizeof *c);
    *out = &c->base;
    return SQLITE_OK;
}

static int each_close(sqlite3_vtab_cursor *cur)
{
    each_cursor *c = (each_cursor *)cur;

    sqlite3_free(c->list);
    sqlite3_free(c->walks);
    sqlite3_free(c->places);
    sqlite3_free(c);
    return SQLITE_OK;
}

static bool grow(each_cursor *c)
{
    size_t cap = c->cap == 0 ? 1 : c->cap * 4;
    value_iter *walks = sqlite3_realloc64(c->walks, cap * sizeof *walks);
    int64_t *places;

    if (walks == NULL)
        return false;
    c->walks = walks;
    places = sqlite3_realloc64(c->places, cap * sizeof *places);
    if (places == NULL)
        return false;
    c->places = places;
    c->cap = cap;
    return true;
}

static bool copy(each_cursor *c, tako_slice v, tako_slice *out)
{
    if (v.len > c->room) {
        uint8_t *more = sqlite3_realloc64(c->list, v.len);

        if (more == NULL)
            return false;
        c->list = more;
        c->room = v.len;
    }
    if (v.len > 0)
        memcpy(c->list, v.ptr, v.len);
    *out = tako_slice_of(c->list, v.len);
    return true;
}

/* Goes into a value, if it is a list. False: out of memory. */
static bool enter(each_cursor *c, tako_slice v)
{
    value_iter it;
    uint64_t n;

    if (c->depth >= TAKO_JSON_DEPTH_MAX || !value_iter_init(&it, v, &n))
        return true;
    if (c->depth == c->cap && !grow(c))
        return false;
    c->walks[c->depth] = it;
    c->places[c->depth] = -1;
    c->depth++;
    return true;
}

static int each_next(sqlite3_vtab_cursor *cur)
{
    each_cursor *c = (each_cursor *)cur;
    bool within = ((each_tab *)cur->pVtab)->within;

    if (within && c->at >= 0 && !enter(c, c->walks[c->depth - 1].value))
        return SQLITE_NOMEM;
    c->at++;
    while (c->depth > 0) {
        c->places[c->depth - 1]++;
        if (value_iter_next(&c->walks[c->depth - 1]))
            return SQLITE_OK;
        c->depth--;
    }
    c->done = true;
    return SQLITE_OK;
}

static int each_filter(sqlite3_vtab_cursor *cur, int num, const char *str,
                       int argc, sqlite3_value **argv)
{
    each_cursor *c = (each_cursor *)cur;
    tako_slice list;

    (void)num;
    (void)str;
    c->at = -1;
    c->depth = 0;
    c->done = true;
    if (argc < 1 || sqlite3_value_type(argv[0]) != SQLITE_BLOB)
        return SQLITE_OK;
    if (!copy(c, value_blob(argv[0]), &list) || !enter(c, list))
        return SQLITE_NOMEM;
    c->done = false;
    return each_next(cur);
}

static int each_eof(sqlite3_vtab_cursor *cur)
{
    return ((each_cursor *)cur)->done;
}

static int each_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int i)
{
    each_cursor *c = (each_cursor *)cur;
    const value_iter *it = &c->walks[c->depth - 1];

    if (i == EACH_VALUE)
        value_result(ctx, it->value);
    else if (i == EACH_KEY && it->key.ptr != NULL)
        value_result(ctx, it->key);
    else if (i == EACH_KEY)
        sqlite3_result_int64(ctx, c->places[c->depth - 1]);
    return SQLITE_OK;
}

static int each_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *row)
{
    *row = ((each_cursor *)cur)->at;
    return SQLITE_OK;
}

static const sqlite3_module each_module = {
    .xConnect = each_connect,
    .xBestIndex = each_best_index,
    .xDisconnect = each_disconnect,
    .xDestroy = each_disconnect,
    .xOpen = each_open,
    .xClose = each_close,
    .xFilter = each_filter,
    .xNext = each_next,
    .xEof = each_eof,
    .xColumn = each_column,
    .xRowid = each_rowid,
};

int query_each_register(sqlite3 *db)
{
    static char within;
    int rc = sqlite3_create_module_v2(db, "tql_each", &each_module, NULL, NULL);

    if (rc != SQLITE_OK)
        return rc;
    return sqlite3_create_module_v2(db, "tql_within", &each_module, &within,
                                    NULL);
}
