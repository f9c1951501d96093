// SPDX-License-Identifier: Apache-2.0
/* ADVISE. Each idea (advise_find.c) is tried: in an empty database in memory
 * with the same tables and indexes, and all ideas as indexes too, SQLite plans
 * the statement; the ideas that the plan uses are the advice. Tables are empty
 * there, and have no statistics here either, so the plan is the same that the
 * real database would make. AND PROVISION then makes the indexes. */
#include "query/advise.h"

#include <stdio.h>

#include "codec/json.h"
#include "query/check.h"
#include "query/emit.h"
#include "query/explain.h"

#define ADVISED_NAME_BYTES 100u

/* ---- names, statements, SQL ------------------------------------------------ */

static void put_word(const node *n, tako_buf *out)
{
    tako_buf key = tako_buf_on(out->env);
    bool gap = true;

    advise_put_key(n, &key);
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '_';

        if (good)
            tako_put_u8(out, c);
        else if (!gap)
            tako_put_u8(out, '_');
        gap = !good;
    }
    while (out->len > 0 && out->ptr[out->len - 1] == '_')
        out->len--;
    out->failed = out->failed || key.failed;
    tako_buf_fini(&key);
}

static bool name_taken(const advice *a, const advised *idea, tako_slice name,
                       const store_index *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].coll == idea->source->coll &&
            tako_slice_eq(list[i].name, name))
            return true;
    }
    for (const advised *b = a->list; b != idea; b++) {
        if (b->source->coll == idea->source->coll &&
            tako_slice_eq(b->name, name))
            return true;
    }
    return false;
}

static tako_slice keep(advice *a, const tako_buf *b)
{
    tako_slice s = b->failed
                       ? TAKO_SLICE_NONE
                       : tako_arena_copy(&a->q->parse.arena, tako_buf_slice(b));

    if (s.ptr == NULL)
        a->err = tako_fail(a->e, TAKO_NOMEM, "out of memory");
    return s;
}

/* "by_status_total", with a number when there is another index of that name. */
static void find_name(advice *a, advised *idea, const store_index *list,
                      size_t count)
{
    tako_buf name = tako_buf_on(a->q->env);
    size_t plain;

    tako_put_str(&name, "by");
    for (size_t i = 0; i < idea->count; i++) {
        tako_put_u8(&name, '_');
        put_word(idea->keys[i], &name);
    }
    if (name.len > ADVISED_NAME_BYTES)
        name.len = ADVISED_NAME_BYTES;
    plain = name.len;
    for (unsigned n = 2;
         name_taken(a, idea, tako_buf_slice(&name), list, count); n++) {
        name.len = plain;
        tako_put_fmt(&name, "_%u", n);
        if (name.failed)
            break;
    }
    idea->name = keep(a, &name);
    tako_buf_fini(&name);
}

static void put_statement(advice *a, advised *idea)
{
    tako_buf text = tako_buf_on(a->q->env);

    tako_put_str(&text, "CREATE INDEX ");
    advise_put_name(idea->name, &text);
    tako_put_str(&text, " ON ");
    advise_put_name(idea->source->name, &text);
    tako_put_str(&text, " (");
    for (size_t i = 0; i < idea->count; i++) {
        if (i > 0)
            tako_put_str(&text, ", ");
        advise_put_key(idea->keys[i], &text);
        if (idea->desc[i])
            tako_put_str(&text, " DESC");
    }
    tako_put_u8(&text, ')');
    idea->statement = keep(a, &text);
    tako_buf_fini(&text);
}

/* The SQL of the statement, by the way that any CREATE INDEX takes. */
static void put_sql(advice *a, advised *idea)
{
    tako_buf name = tako_buf_on(a->q->env);
    query_parse p;
    emit m = { .p = &p,
               .sql = tako_buf_on(a->q->env),
               .body = "body",
               .id = "tql_id(row,id)" };

    a->err = query_parse_init(&p, a->q->env, idea->statement, a->e);
    if (a->err == TAKO_OK)
        a->err = query_check(&p);
    if (a->err == TAKO_OK) {
        store_index_sql_name(idea->source->coll, idea->name, &name);
        emit_index(&m, idea->source->coll, tako_buf_slice(&name));
        a->err = p.err;
    }
    if (a->err == TAKO_OK) {
        idea->sql = (const char *)keep(a, &m.sql).ptr;
        idea->sql_name = (const char *)keep(a, &name).ptr;
    }
    tako_buf_fini(&m.sql);
    tako_buf_fini(&name);
    query_parse_fini(&p);
}

/* Whether an index is there that begins with the same keys. */
static bool is_there(const advised *idea, tako_buf *columns)
{
    const char *at = strchr(idea->sql, '(');
    const char *end = strstr(idea->sql, ") WHERE body IS NOT NULL");

    if (idea->source->indexes == NULL || at == NULL || end == NULL)
        return false;
    tako_buf_reset(columns);
    tako_put_bytes(columns,
                   tako_slice_of((const uint8_t *)at, (size_t)(end - at)));
    return strstr(idea->source->indexes, tako_buf_cstr(columns)) != NULL;
}

/* Names and SQL for all ideas; those that are indexes already go. */
static void write_ideas(advice *a)
{
    tako_arena arena = tako_arena_on(a->q->env);
    tako_buf columns = tako_buf_on(a->q->env);
    store_index *list = NULL;
    size_t count = 0, kept = 0;

    a->err = store_index_list(a->q->conn, &arena, &list, &count);
    for (size_t i = 0; i < a->count && a->err == TAKO_OK; i++) {
        advised *idea = &a->list[kept];

        *idea = a->list[i];
        find_name(a, idea, list, count);
        if (a->err == TAKO_OK)
            put_statement(a, idea);
        if (a->err == TAKO_OK)
            put_sql(a, idea);
        if (a->err != TAKO_OK)
            break;
        if (is_there(idea, &columns))
            a->had++;
        else
            kept++;
    }
    a->count = kept;
    tako_buf_fini(&columns);
    tako_arena_fini(&arena);
}

/* ---- trying them -------------------------------------------------------------------- */

static tako_err exec(advice *a, sqlite3 *db, const char *sql)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return query_sql_error(db, rc, a->e);
}

/* The table and the indexes of one collection. */
static tako_err copy_schema(advice *a, sqlite3 *db, const query_source *f)
{
    sqlite3_stmt *stmt = store_sql(
        a->q->conn,
        "SELECT sql FROM sqlite_schema WHERE tbl_name=?1 AND sql IS NOT NULL "
        "ORDER BY type DESC",
        a->e);
    char name[16];
    tako_err err = TAKO_OK;
    int rc;

    if (stmt == NULL)
        return TAKO_IO;
    (void)snprintf(name, sizeof name, "c%u", f->coll);
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = exec(a, db, (const char *)sqlite3_column_text(stmt, 0));
    store_done(a->q->conn, stmt);
    return err;
}

static bool copied(const query *q, const query_source *f)
{
    for (const query_source *b = q->parse.sources; b != f; b = b->next_all) {
        if (b->kind == SOURCE_COLLECTION && b->coll == f->coll)
            return true;
    }
    return false;
}

static tako_err make_copy(advice *a, sqlite3 *db)
{
    const query *q = a->q;

    TAKO_TRY(query_register((void *)(uintptr_t)q->env, db));
    for (const query_source *f = q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind == SOURCE_COLLECTION && f->coll != 0 && !copied(q, f))
            TAKO_TRY(copy_schema(a, db, f));
    }
    for (size_t i = 0; i < a->count; i++)
        TAKO_TRY(exec(a, db, a->list[i].sql));
    return TAKO_OK;
}

/* The emitter looks at what is indexed: it is told of the ideas. */
static tako_err tell_emitter(advice *a)
{
    tako_buf all = tako_buf_on(a->q->env);

    for (query_source *f = a->q->parse.sources; f != NULL; f = f->next_all) {
        if (f->kind != SOURCE_COLLECTION || f->coll == 0)
            continue;
        tako_buf_reset(&all);
        if (f->indexes != NULL)
            tako_put_str(&all, f->indexes);
        for (size_t i = 0; i < a->count; i++) {
            if (a->list[i].source->coll != f->coll)
                continue;
            tako_put_str(&all, a->list[i].sql);
            tako_put_u8(&all, '\n');
        }
        if (all.len > 0)
            f->indexes = (const char *)keep(a, &all).ptr;
    }
    tako_buf_fini(&all);
    return a->err;
}

/* "SEARCH t1 USING INDEX i1_62 (<expr>=? AND <expr>>?)": is it by this one,
 * and how many of its keys does it compare? */
static void look_at(advised *idea, const char *detail)
{
    const char *at = strstr(detail, "INDEX ");
    size_t n = strlen(idea->sql_name), columns = 0;
    const char *terms;

    for (; at != NULL; at = strstr(at + 1, "INDEX ")) {
        if (strncmp(at + 6, idea->sql_name, n) == 0 &&
            (at[6 + n] == ' ' || at[6 + n] == '\0'))
            break;
    }
    if (at == NULL)
        return;
    terms = strchr(at, '(');
    for (const char *p = terms; p != NULL && *p != '\0'; p++) {
        if (p[0] == '=' && p[1] == '?')
            columns++;
    }
    if (terms != NULL && (strstr(terms, ">?") || strstr(terms, "<?")))
        columns++;
    idea->search = idea->search || columns > 0;
    if ((columns + 1) / 2 > idea->used_keys)
        idea->used_keys = (columns + 1) / 2;
    idea->used = true;
}

static tako_err look_at_plan(advice *a, sqlite3 *db)
{
    tako_buf sql = tako_buf_on(a->q->env), text = tako_buf_on(a->q->env);
    sqlite3_stmt *stmt = NULL;
    tako_err err;
    int rc = SQLITE_DONE;

    query_emit_reading(a->q, &sql, false);
    (void)tako_buf_cstr(&sql);
    err = sql.failed ? TAKO_NOMEM
                     : plan_read(db, (const char *)sql.ptr, &text, &stmt, a->e);
    while (err == TAKO_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(stmt, 3);

        for (size_t i = 0; i < a->count && detail != NULL; i++)
            look_at(&a->list[i], detail);
    }
    if (err == TAKO_OK)
        err = query_sql_error(db, rc, a->e);
    (void)sqlite3_finalize(stmt);
    tako_buf_fini(&sql);
    tako_buf_fini(&text);
    return err;
}

static tako_err try_ideas(advice *a)
{
    sqlite3 *db = NULL;
    tako_err err;

    if (a->count == 0)
        return TAKO_OK;
    for (query_source *f = a->q->parse.sources; f != NULL; f = f->next_all)
        f->indexes_real = f->indexes;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) {
        (void)sqlite3_close(db);
        return tako_fail(a->e, TAKO_NOMEM, "out of memory");
    }
    err = make_copy(a, db);
    if (err == TAKO_OK)
        err = tell_emitter(a);
    if (err == TAKO_OK)
        err = look_at_plan(a, db);
    for (query_source *f = a->q->parse.sources; f != NULL; f = f->next_all)
        f->indexes = f->indexes_real; /* the query may run again */
    (void)sqlite3_close(db);
    return err;
}

/* ---- rows --------------------------------------------------------------------------- */

static void put_why(const advised *idea, tako_buf *why)
{
    if (!idea->search) {
        tako_put_str(why, "gives the documents in the order that is wanted");
        return;
    }
    tako_put_str(why, "finds the documents by ");
    for (size_t i = 0; i < idea->used_keys && i < idea->count; i++) {
        if (i > 0)
            tako_put_str(why, ", ");
        advise_put_key(idea->keys[i], why);
    }
    if (idea->used_keys < idea->count)
        tako_put_str(why, ", and gives them in order");
}

static tako_err leave(advice *a, const advised *idea, bool made)
{
    tako_buf json = tako_buf_on(a->q->env), why = tako_buf_on(a->q->env);
    tako_err err;

    put_why(idea, &why);
    tako_put_str(&json, "{\"collection\":");
    json_put_string(&json, idea->source->name);
    tako_put_str(&json, ",\"index\":");
    json_put_string(&json, idea->name);
    tako_put_str(&json, ",\"statement\":");
    json_put_string(&json, idea->statement);
    tako_put_str(&json, ",\"why\":");
    json_put_string(&json, tako_buf_slice(&why));
    if (made)
        tako_put_str(&json, ",\"created\":true");
    tako_put_u8(&json, '}');
    json.failed = json.failed || why.failed;
    err = query_leave_json(a->q, &json, a->e);
    tako_buf_fini(&json);
    tako_buf_fini(&why);
    return err;
}

static tako_err leave_nothing(advice *a)
{
    tako_buf json = tako_buf_on(a->q->env);
    tako_err err;

    tako_put_fmt(&json, "{\"why\":\"%s\"}",
                 a->had > 0 ? "the indexes that there are serve it already"
                 : a->count > 0
                     ? "no index was found that would serve it"
                     : "there is nothing in it that an index could find or "
                       "order by");
    err = query_leave_json(a->q, &json, a->e);
    tako_buf_fini(&json);
    return err;
}

tako_err query_advise(query *q, store *s, tako_errbuf *e)
{
    advice a = { .q = q, .e = e };
    size_t left = 0;

    a.list =
        tako_arena_array(&q->parse.arena, TAKO_ADVISED_MAX, sizeof *a.list);
    if (a.list == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    advise_find(&a);
    write_ideas(&a);
    TAKO_TRY(a.err);
    TAKO_TRY(try_ideas(&a));
    for (size_t i = 0; i < a.count; i++) {
        const advised *idea = &a.list[i];

        if (!idea->used)
            continue;
        if (s != NULL)
            TAKO_TRY(store_index_create(s, idea->source->coll, idea->name,
                                        idea->statement, idea->sql, e));
        TAKO_TRY(leave(&a, idea, s != NULL));
        left++;
    }
    return left == 0 ? leave_nothing(&a) : TAKO_OK;
}
