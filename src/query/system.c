// SPDX-License-Identifier: Apache-2.0
/* tql_system(name): the documents of system:<name> as rows, an eponymous
 * virtual table. What a collection has is read at its first use in a run of a
 * statement and stands still until the run's end, however often a join comes
 * back to it; system:conflicts, which can be as large as the database, is read
 * as it is asked for, and again for each row it is joined with. */
#include "query/system.h"

#include "base/limits.h"

/* What was read of one collection; a cursor may outlive the run's list. */
struct system_docs {
    const tako_env *env;
    unsigned refs;
    uint64_t run;
    tako_buf name, docs;
    system_docs *next;
};

typedef struct system_tab {
    sqlite3_vtab base;
    fn_state *state;
} system_tab;

typedef struct system_cursor {
    sqlite3_vtab_cursor base;
    system_docs *held; /* NULL: none, or scanned */
    bool scans;
    system_scan scan;
    tako_buf part; /* of a scan */
    tako_reader in;
    tako_slice doc;
    bool done;
    sqlite3_int64 at;
} system_cursor;

enum { SYSTEM_VALUE, SYSTEM_NAME };

/* ---- what was read in this run --------------------------------------------- */

static void docs_drop(system_docs *d)
{
    if (d == NULL || --d->refs > 0)
        return;
    tako_buf_fini(&d->name);
    tako_buf_fini(&d->docs);
    tako_env_free(d->env, d, sizeof *d);
}

void query_system_forget(fn_state *s)
{
    while (s->system != NULL) {
        system_docs *d = s->system;

        s->system = d->next;
        docs_drop(d);
    }
}

static tako_err docs_new(fn_state *s, tako_slice name, system_docs **out,
                         tako_errbuf *e)
{
    system_docs *d = tako_env_alloc(s->env, sizeof *d);
    tako_err err;

    if (d == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    *d = (system_docs){ .env = s->env, .refs = 1, .run = s->run };
    d->name = d->docs = tako_buf_on(s->env);
    tako_put_bytes(&d->name, name);
    err = system_docs_read(s, name, &d->docs, e);
    if (err == TAKO_OK && (d->name.failed || d->docs.failed))
        err = tako_fail(e, TAKO_NOMEM, "out of memory");
    if (err != TAKO_OK)
        docs_drop(d);
    else
        *out = d;
    return err;
}

/* The documents as they were read first in this run. */
static tako_err docs_take(fn_state *s, tako_slice name, system_docs **out,
                          tako_errbuf *e)
{
    system_docs *d;

    if (s->system != NULL && s->system->run != s->run)
        query_system_forget(s);
    for (d = s->system; d != NULL; d = d->next) {
        if (tako_slice_eq(tako_buf_slice(&d->name), name))
            break;
    }
    if (d == NULL) {
        TAKO_TRY(docs_new(s, name, &d, e));
        d->next = s->system;
        s->system = d;
    }
    d->refs++;
    *out = d;
    return TAKO_OK;
}

/* ---- the table ------------------------------------------------------------- */

static int system_connect(sqlite3 *db, void *aux, int argc,
                          const char *const *argv, sqlite3_vtab **out,
                          char **err)
{
    int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(value, name HIDDEN)");
    system_tab *tab;

    (void)argc;
    (void)argv;
    (void)err;
    if (rc != SQLITE_OK)
        return rc;
    tab = sqlite3_malloc(sizeof *tab);
    if (tab == NULL)
        return SQLITE_NOMEM;
    memset(tab, 0, sizeof *tab);
    tab->state = aux;
    *out = &tab->base;
    return sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
}

static int system_disconnect(sqlite3_vtab *tab)
{
    sqlite3_free(tab);
    return SQLITE_OK;
}

static int system_best_index(sqlite3_vtab *tab, sqlite3_index_info *info)
{
    (void)tab;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn == SYSTEM_NAME &&
            info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ &&
            info->aConstraint[i].usable) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            info->estimatedCost = 1000;
            info->estimatedRows = 50;
            return SQLITE_OK;
        }
    }
    return SQLITE_CONSTRAINT;
}

static int system_open(sqlite3_vtab *tab, sqlite3_vtab_cursor **out)
{
    system_cursor *c = sqlite3_malloc(sizeof *c);

    if (c == NULL)
        return SQLITE_NOMEM;
    memset(c, 0, sizeof *c);
    c->part = tako_buf_on(((system_tab *)tab)->state->env);
    c->done = true;
    *out = &c->base;
    return SQLITE_OK;
}

static void cursor_let_go(system_cursor *c)
{
    docs_drop(c->held);
    c->held = NULL;
    if (c->scans)
        system_scan_end(&c->scan);
    c->scans = false;
}

static int system_close(sqlite3_vtab_cursor *cur)
{
    system_cursor *c = (system_cursor *)cur;

    cursor_let_go(c);
    tako_buf_fini(&c->part);
    sqlite3_free(c);
    return SQLITE_OK;
}

/* A failure as SQLite's, so that query_sql_error() finds it again. */
static int fail(sqlite3_vtab_cursor *cur, tako_err err, const tako_errbuf *e)
{
    if (err == TAKO_NOMEM)
        return SQLITE_NOMEM;
    sqlite3_free(cur->pVtab->zErrMsg);
    cur->pVtab->zErrMsg = sqlite3_mprintf("%s", e->text);
    if (err == TAKO_BUSY)
        return SQLITE_BUSY;
    if (err == TAKO_CANCELED)
        return SQLITE_INTERRUPT;
    if (err == TAKO_INVALID)
        return SQLITE_AUTH;
    return err == TAKO_CORRUPT ? SQLITE_CORRUPT : SQLITE_ERROR;
}

static int system_next(sqlite3_vtab_cursor *cur)
{
    system_cursor *c = (system_cursor *)cur;
    tako_errbuf e = { "" };

    c->at++;
    if (c->scans && tako_reader_left(&c->in) == 0) {
        tako_err err;

        tako_buf_reset(&c->part);
        err = system_scan_next(&c->scan, &c->part, &e);
        if (err == TAKO_OK && c->part.failed)
            err = TAKO_NOMEM;
        if (err != TAKO_OK && err != TAKO_NOTFOUND)
            return fail(cur, err, &e);
        c->in = tako_reader_of(tako_buf_slice(&c->part));
    }
    c->done = tako_reader_left(&c->in) == 0;
    c->doc = c->done ? TAKO_SLICE_NONE : cbor_read_value(&c->in);
    return SQLITE_OK;
}

static int system_filter(sqlite3_vtab_cursor *cur, int num, const char *str,
                         int argc, sqlite3_value **argv)
{
    system_cursor *c = (system_cursor *)cur;
    fn_state *s = ((system_tab *)cur->pVtab)->state;
    tako_slice name = argc > 0 ? value_text(argv[0]) : TAKO_SLICE_NONE;
    tako_errbuf e = { "" };
    tako_err err;

    (void)num;
    (void)str;
    cursor_let_go(c);
    c->at = -1;
    c->in = tako_reader_of(TAKO_SLICE_NONE);
    c->scans = tako_slice_eq(name, tako_slice_str("conflicts"));
    if (c->scans) {
        system_scan_begin(&c->scan, s);
        return system_next(cur);
    }
    err = docs_take(s, name, &c->held, &e);
    if (err != TAKO_OK)
        return fail(cur, err, &e);
    c->in = tako_reader_of(tako_buf_slice(&c->held->docs));
    return system_next(cur);
}

static int system_eof(sqlite3_vtab_cursor *cur)
{
    return ((system_cursor *)cur)->done;
}

static int system_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int i)
{
    if (i == SYSTEM_VALUE)
        value_result(ctx, ((system_cursor *)cur)->doc);
    return SQLITE_OK;
}

static int system_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *row)
{
    *row = ((system_cursor *)cur)->at;
    return SQLITE_OK;
}

static const sqlite3_module system_module = {
    .xConnect = system_connect,
    .xBestIndex = system_best_index,
    .xDisconnect = system_disconnect,
    .xDestroy = system_disconnect,
    .xOpen = system_open,
    .xClose = system_close,
    .xFilter = system_filter,
    .xNext = system_next,
    .xEof = system_eof,
    .xColumn = system_column,
    .xRowid = system_rowid,
};

int query_system_register(fn_state *s, sqlite3 *db)
{
    s->refs++; /* SQLite drops it on failure too */
    return sqlite3_create_module_v2(db, "tql_system", &system_module, s,
                                    fn_state_drop);
}
