// SPDX-License-Identifier: Apache-2.0
/* tql_each(list): the elements of an array as rows (none of anything else), so that lists of any length, bound as parameters, become
 * the right side of IN and drive index searches. An eponymous virtual table
 * without storage; the list is copied for the time of a scan. */
#include "query/functions.h"

typedef struct each_cursor {
    sqlite3_vtab_cursor base;
    sqlite3_value *list;
    value_iter it;
    bool done;
    sqlite3_int64 at;
} each_cursor;

enum { EACH_VALUE, EACH_LIST };

static int each_connect(sqlite3 *db, void *aux, int argc,
                        const char *const *argv, sqlite3_vtab **out, char **err)
{
    int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(value, list HIDDEN)");

    (void)aux;
    (void)argc;
    (void)argv;
    (void)err;
    if (rc != SQLITE_OK)
        return rc;
    *out = sqlite3_malloc(sizeof **out);
    if (*out == NULL)
        return SQLITE_NOMEM;
    memset(*out, 0, sizeof **out);
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

    sqlite3_value_free(c->list);
    sqlite3_free(c);
    return SQLITE_OK;
}

static int each_next(sqlite3_vtab_cursor *cur)
{
    each_cursor *c = (each_cursor *)cur;

    c->at++;
    c->done = !value_iter_next(&c->it);
    return SQLITE_OK;
}

static int each_filter(sqlite3_vtab_cursor *cur, int num, const char *str,
                       int argc, sqlite3_value **argv)
{
    each_cursor *c = (each_cursor *)cur;
    uint64_t n;

    (void)num;
    (void)str;
    sqlite3_value_free(c->list);
    c->list = NULL;
    c->at = -1;
    c->done = true;
    if (argc < 1 || value_rank_of(argv[0]) != RANK_ARRAY)
        return SQLITE_OK;
    c->list = sqlite3_value_dup(argv[0]);
    if (c->list == NULL)
        return SQLITE_NOMEM;
    if (value_iter_init(&c->it, value_blob(c->list), &n))
        return each_next(cur);
    return SQLITE_OK;
}

static int each_eof(sqlite3_vtab_cursor *cur)
{
    return ((each_cursor *)cur)->done;
}

static int each_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int i)
{
    each_cursor *c = (each_cursor *)cur;

    if (i != EACH_VALUE)
        return SQLITE_OK;
    value_result(ctx, c->it.value);
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
    return sqlite3_create_module_v2(db, "tql_each", &each_module, NULL, NULL);
}
