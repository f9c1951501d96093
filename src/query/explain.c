// SPDX-License-Identifier: Apache-2.0
/* EXPLAIN and PROFILE: SQLite's plan of the emitted statement as a tree of
 * operators, with the names of TQL put back: t3 is a source of the statement,
 * i5_6162 an index of a collection, tql_each a list.
 *
 * SQLite describes a step in English, in words that its documentation does
 * not promise. What is not known here is given as it stands, as "Other".
 *
 * PROFILE runs what reads, also of an UPDATE or DELETE, and writes nothing.
 * The statement is emitted with a call that counts beside the first condition
 * of each collection, so "documents" is what was met there, before WHERE. */
#include "query/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"

/* ---- small parts ----------------------------------------------------------- */

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void put_text(tako_buf *json, const char *key, tako_slice text)
{
    tako_put_fmt(json, ",\"%s\":", key);
    json_put_string(json, text);
}

static tako_slice span(const query_parse *p, const node *n)
{
    return tako_slice_of(p->text.ptr + n->pos, n->end - n->pos);
}

/* The source that SQL calls t<number>, or NULL. */
static const query_source *source_of(const plan *p, const char *name, int len)
{
    unsigned number = 0;

    if (len < 2 || name[0] != 't')
        return NULL;
    for (int i = 1; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NULL;
        number = number * 10 + (unsigned)(name[i] - '0');
    }
    for (const query_source *f = p->q->parse.sources; f != NULL;
         f = f->next_all) {
        if (f->number == number)
            return f;
    }
    return NULL;
}

/* ---- indexes ------------------------------------------------------------------ */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

bool plan_index_name(const char *sql, int len, uint32_t *coll, tako_buf *name)
{
    int i = 1;

    *coll = 0;
    if (len < 2 || sql[0] != 'i')
        return false;
    for (; i < len && sql[i] >= '0' && sql[i] <= '9'; i++)
        *coll = *coll * 10 + (uint32_t)(sql[i] - '0');
    if (i >= len || sql[i] != '_')
        return false;
    for (i++; i + 1 < len; i += 2) {
        int a = hex_digit(sql[i]), b = hex_digit(sql[i + 1]);

        if (a < 0 || b < 0)
            return false;
        tako_put_u8(name, (uint8_t)(a << 4 | b));
    }
    return true;
}

/* The statement that made an index, as the user wrote it. */
static tako_slice index_text(const plan *p, uint32_t coll, tako_slice name)
{
    for (size_t i = 0; i < p->index_count; i++) {
        if (p->indexes[i].coll == coll &&
            tako_slice_eq(p->indexes[i].name, name))
            return p->indexes[i].text;
    }
    return TAKO_SLICE_NONE;
}

/* One of SQLite's terms, "<expr>=?": of the column-th of an index's columns,
 * which are the kind and the value of each of its keys. */
static void put_term(const query_parse *index, unsigned column,
                     const char *term, int len, tako_buf *out)
{
    const node *key = ast_kid(index->stmt.index_keys, column / 2);
    const char *op = memchr(term, '>', (size_t)len) != NULL   ? " > ?"
                     : memchr(term, '<', (size_t)len) != NULL ? " < ?"
                                                              : " = ?";
    tako_slice text;

    if (starts(term, "<expr>") && term[6] != '=' && len > 6)
        op = term[6] == '>' ? " > ?" : " < ?";
    else if (starts(term, "<expr>"))
        op = " = ?";
    if (key == NULL)
        return;
    text = span(index, key->first);
    if (out->len > 0)
        tako_put_str(out, " AND ");
    if (column % 2 == 0)
        tako_put_str(out, "type of ");
    tako_put_bytes(out, text);
    tako_put_str(out, op);
}

/* "(<expr>=? AND <expr>>?)" in the words of the index. A kind is only worth
 * saying when nothing is said of the value after it. */
static void put_terms(const plan *p, tako_slice text, const char *terms,
                      tako_buf *out)
{
    query_parse index;
    unsigned column = 0;

    if (query_parse_init(&index, p->q->env, text, NULL) == TAKO_OK &&
        index.stmt.index_keys != NULL) {
        while (*terms != '\0' && *terms != ')') {
            const char *end = strstr(terms, " AND ");
            int len =
                end != NULL ? (int)(end - terms) : (int)strcspn(terms, ")");
            bool equal = len > 2 && terms[len - 2] == '=';
            bool more = end != NULL;

            if (column % 2 != 0 || !equal || !more)
                put_term(&index, column, terms, len, out);
            column += equal || starts(terms, "ANY(");
            terms = end != NULL ? end + 5 : terms + len;
        }
    }
    query_parse_fini(&index);
}

/* ---- reading one source ---------------------------------------------------------- */

static void put_source_name(const plan *p, const query_source *f,
                            tako_buf *json)
{
    switch (f->kind) {
    case SOURCE_COLLECTION:
        put_text(json, "collection", f->name);
        break;
    case SOURCE_SYSTEM:
        tako_put_str(json, ",\"collection\":\"system:");
        tako_put_bytes(json, f->name); /* one of ours: nothing to escape */
        tako_put_u8(json, '"');
        break;
    case SOURCE_WITH:
        put_text(json, "with", f->name);
        break;
    case SOURCE_UNNEST:
    case SOURCE_VARIABLE:
        put_text(json, "list", span(&p->q->parse, f->expr));
        break;
    case SOURCE_SELECT:
        break;
    }
    if (f->alias.len > 0 &&
        (f->kind == SOURCE_UNNEST || !tako_slice_eq(f->alias, f->name)))
        put_text(json, "alias", f->alias);
}

static const char *source_op(const query_source *f)
{
    if (f == NULL)
        return NULL;
    switch (f->kind) {
    case SOURCE_SYSTEM:
        return "SystemScan";
    case SOURCE_SELECT:
    case SOURCE_WITH:
        return "SubqueryScan";
    case SOURCE_UNNEST:
    case SOURCE_VARIABLE:
        return "ListScan";
    case SOURCE_COLLECTION:
        break;
    }
    return NULL;
}

static void put_index(const plan *p, const char *name, int len,
                      const char *terms, tako_buf *json)
{
    tako_buf index = tako_buf_on(p->q->env), on = tako_buf_on(p->q->env);
    uint32_t coll;

    if (plan_index_name(name, len, &coll, &index)) {
        tako_slice shown = tako_buf_slice(&index);

        put_text(json, "index", shown);
        if (terms != NULL)
            put_terms(p, index_text(p, coll, shown), terms, &on);
    }
    if (on.len > 0)
        put_text(json, "on", tako_buf_slice(&on));
    json->failed = json->failed || index.failed || on.failed;
    tako_buf_fini(&index);
    tako_buf_fini(&on);
}

/* The collection's own table, where no alias was given: c<number>. */
static void put_table(const plan *p, const char *name, int len, tako_buf *json)
{
    tako_slice collection;

    if (len < 2 || name[0] != 'c')
        return;
    collection =
        store_coll_name(p->q->conn, (uint32_t)strtoul(name + 1, NULL, 10));
    if (collection.len > 0)
        put_text(json, "collection", collection);
}

/* "SCAN t1 ..." and "SEARCH t1 ..." */
static void put_read(const plan *p, const char *what, bool search,
                     tako_buf *json)
{
    int len = (int)strcspn(what, " ");
    const query_source *f = source_of(p, what, len);
    const char *index = strstr(what, "INDEX ");
    const char *terms = strchr(what, '(');
    bool by_id = strstr(what, "INTEGER PRIMARY KEY") != NULL;
    bool own = strstr(what, "AUTOMATIC") != NULL;
    const char *op = source_op(f);

    if (strstr(what, "VIRTUAL TABLE") != NULL)
        index = NULL;
    if (index != NULL && !own && index[6] == 'c')
        by_id = true; /* c<number>_id */
    if (op == NULL && starts(what, "tql_"))
        op = "ListScan";
    if (op == NULL || own)
        op = own      ? "TemporaryIndexSearch"
             : by_id  ? (search ? "IdSearch" : "Scan")
             : search ? "IndexSearch"
             : index  ? "IndexScan"
                      : "Scan";
    tako_put_fmt(json, "\"op\":\"%s\"", op);
    if (f != NULL)
        put_source_name(p, f, json);
    else
        put_table(p, what, len, json);
    if (by_id && search)
        tako_put_str(json, ",\"on\":\"_id = ?\"");
    else if (index != NULL && !own)
        put_index(p, index + 6, (int)strcspn(index + 6, " "),
                  terms != NULL ? terms + 1 : NULL, json);
    if (strstr(what, "COVERING") != NULL && !own)
        tako_put_str(json, ",\"covering\":true");
    if (strstr(what, "LEFT-JOIN") != NULL)
        tako_put_str(json, ",\"join\":\"left\"");
    if (f != NULL && p->seen != NULL && f->kind == SOURCE_COLLECTION)
        tako_put_fmt(json, ",\"documents\":%llu",
                     (unsigned long long)p->seen[f->number]);
}

/* ---- the other steps ------------------------------------------------------------ */

static void put_lower(tako_buf *json, const char *key, const char *text)
{
    tako_buf low = tako_buf_on(json->env);

    for (; *text != '\0'; text++)
        tako_put_u8(&low,
                    (uint8_t)(*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a'
                                                           : *text));
    put_text(json, key, tako_buf_slice(&low));
    json->failed = json->failed || low.failed;
    tako_buf_fini(&low);
}

static void put_named(const plan *p, const char *op, const char *name,
                      tako_buf *json)
{
    const query_source *f = source_of(p, name, (int)strcspn(name, " "));

    tako_put_fmt(json, "\"op\":\"%s\"", op);
    if (f != NULL)
        put_source_name(p, f, json);
}

static void put_sort(const char *what, tako_buf *json)
{
    bool distinct = strstr(what, "DISTINCT") != NULL;
    bool group = strstr(what, "GROUP BY") != NULL;

    tako_put_fmt(json, "\"op\":\"%s\"",
                 distinct ? "Distinct"
                 : group  ? "Group"
                          : "Sort");
    if (starts(what, "tql_"))
        what += 4; /* of an aggregate */
    put_lower(json, "by", what);
}

static void put_step(const plan *p, const char *detail, tako_buf *json)
{
    static const char sort[] = "USE TEMP B-TREE FOR ";
    bool correlated = starts(detail, "CORRELATED ");

    if (starts(detail, "SCAN ") && strstr(detail, "CONSTANT ROW") != NULL) {
        tako_put_str(json, "\"op\":\"Values\"");
    } else if (starts(detail, "SCAN ")) {
        put_read(p, detail + 5, false, json);
    } else if (starts(detail, "SEARCH ")) {
        put_read(p, detail + 7, true, json);
    } else if (starts(detail, sort)) {
        put_sort(detail + sizeof sort - 1, json);
    } else if (strstr(detail, "SCALAR SUBQUERY") != NULL ||
               strstr(detail, "LIST SUBQUERY") != NULL) {
        tako_put_fmt(json, "\"op\":\"Subquery\",\"gives\":\"%s\"",
                     strstr(detail, "LIST") != NULL ? "list" : "value");
        if (correlated)
            tako_put_str(json, ",\"for_each_row\":true");
        if (starts(detail, "REUSE"))
            tako_put_str(json, ",\"again\":true");
    } else if (starts(detail, "CO-ROUTINE ")) {
        put_named(p, "Subquery", detail + 11, json);
    } else if (starts(detail, "MATERIALIZE ")) {
        put_named(p, "Materialize", detail + 12, json);
    } else if (starts(detail, "MULTI-INDEX OR")) {
        tako_put_str(json, "\"op\":\"Or\"");
    } else if (starts(detail, "INDEX ")) {
        tako_put_str(json, "\"op\":\"Branch\"");
    } else if (starts(detail, "COMPOUND QUERY") || starts(detail, "MERGE") ||
               starts(detail, "UNION") || starts(detail, "INTERSECT") ||
               starts(detail, "EXCEPT") || starts(detail, "LEFT-MOST") ||
               strcmp(detail, "LEFT") == 0 || strcmp(detail, "RIGHT") == 0) {
        tako_put_str(json, "\"op\":\"SetOperation\"");
        put_lower(json, "what", detail);
    } else if (starts(detail, "BLOOM FILTER ON ")) {
        put_named(p, "BloomFilter", detail + 16, json);
    } else {
        tako_put_str(json, "\"op\":\"Other\"");
        put_text(json, "detail", tako_slice_str(detail));
    }
}

/* ---- the tree ------------------------------------------------------------------------ */

typedef struct step {
    int id, parent;
    const char *detail;
} step;

static void put_steps(const plan *p, const step *steps, size_t count, size_t at,
                      int parent, unsigned depth, tako_buf *json)
{
    bool first = true;

    tako_put_u8(json, '[');
    for (size_t i = at; i < count; i++) {
        bool inputs = false;

        if (steps[i].parent != parent)
            continue;
        tako_put_str(json, first ? "{" : ",{");
        first = false;
        put_step(p, steps[i].detail, json);
        for (size_t k = i + 1; k < count && !inputs; k++)
            inputs = steps[k].parent == steps[i].id;
        if (inputs && depth < PLAN_DEPTH_MAX) {
            tako_put_str(json, ",\"inputs\":");
            put_steps(p, steps, count, i + 1, steps[i].id, depth + 1, json);
        }
        tako_put_u8(json, '}');
    }
    tako_put_u8(json, ']');
}

static tako_err read_steps(const query *q, sqlite3_stmt *stmt, tako_arena *a,
                           step *steps, size_t *count, tako_errbuf *e)
{
    int rc = SQLITE_DONE;

    *count = 0;
    while (*count < PLAN_STEPS_MAX && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 3);
        step *s = &steps[(*count)++];
        tako_slice copy;

        s->id = sqlite3_column_int(stmt, 0);
        s->parent = sqlite3_column_int(stmt, 1);
        if (text == NULL)
            return TAKO_NOMEM;
        copy = tako_arena_copy(
            a, tako_slice_of((const uint8_t *)text, strlen(text) + 1));
        if (copy.ptr == NULL)
            return TAKO_NOMEM;
        s->detail = (const char *)copy.ptr;
    }
    return query_sql_error(store_conn_db(q->conn), rc, e);
}

tako_err plan_read(sqlite3 *db, const char *sql, tako_buf *text,
                   sqlite3_stmt **out, tako_errbuf *e)
{
    tako_buf_reset(text);
    tako_put_str(text, "EXPLAIN QUERY PLAN ");
    tako_put_str(text, sql);
    sql = tako_buf_cstr(text);
    if (text->failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    return query_sql_error(db, sqlite3_prepare_v2(db, sql, -1, out, NULL), e);
}

/* Appends the plan of the query's statement as a JSON array. */
static tako_err put_plan(plan *p, tako_buf *json, tako_errbuf *e)
{
    query *q = p->q;
    tako_arena arena = tako_arena_on(q->env);
    tako_buf text = tako_buf_on(q->env);
    step *steps = tako_arena_array(&arena, PLAN_STEPS_MAX, sizeof *steps);
    sqlite3_stmt *stmt = NULL;
    size_t count = 0;
    tako_err err = steps == NULL ? TAKO_NOMEM : TAKO_OK;

    if (err == TAKO_OK)
        err = store_index_list(q->conn, &arena, &p->indexes, &p->index_count);
    if (err == TAKO_OK)
        err = plan_read(store_conn_db(q->conn), sqlite3_sql(q->stmt), &text,
                        &stmt, e);
    if (err == TAKO_OK)
        err = read_steps(q, stmt, &arena, steps, &count, e);
    if (err == TAKO_OK)
        put_steps(p, steps, count, 0, 0, 0, json);
    (void)sqlite3_finalize(stmt);
    tako_buf_fini(&text);
    tako_arena_fini(&arena);
    return err;
}

/* ---- PROFILE ------------------------------------------------------------------------ */

typedef struct profile {
    uint64_t rows, run_ms;
    uint64_t *seen;
} profile;

static tako_err run_profile(query *q, profile *f, tako_errbuf *e)
{
    fn_state *s = q->fn;
    uint64_t begin = q->env->mono_ms(q->env->ctx);
    tako_err err = TAKO_OK;
    int rc;

    f->seen = tako_arena_array(&q->parse.arena, q->parse.source_count + 2,
                               sizeof *f->seen);
    if (f->seen == NULL)
        return TAKO_NOMEM;
    memset(f->seen, 0, (q->parse.source_count + 2) * sizeof *f->seen);
    if (q->by_id != NULL)
        TAKO_TRY(query_bind_stmt(q, q->stmt, e));
    s->seen = f->seen;
    s->seen_count = q->parse.source_count + 2;
    while ((rc = query_sql_step(q, q->stmt)) == SQLITE_ROW && err == TAKO_OK) {
        f->rows++;
        err = query_begin(q, e);
    }
    s->seen = NULL;
    f->run_ms = q->env->mono_ms(q->env->ctx) - begin;
    if (err == TAKO_OK)
        err = query_sql_error(store_conn_db(q->conn), rc, e);
    (void)sqlite3_reset(q->stmt);
    return err;
}

static void put_count(tako_buf *json, const char *key, uint64_t n)
{
    tako_put_fmt(json, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void put_profile(const query *q, const profile *f, tako_buf *json)
{
    static const struct {
        const char *key;
        int what;
    } counters[] = {
        { "scan_steps", SQLITE_STMTSTATUS_FULLSCAN_STEP },
        { "sorts", SQLITE_STMTSTATUS_SORT },
        { "temporary_index_rows", SQLITE_STMTSTATUS_AUTOINDEX },
        { "machine_steps", SQLITE_STMTSTATUS_VM_STEP },
    };
    uint64_t documents = 0;

    for (uint32_t i = 0; i < q->parse.source_count + 2; i++)
        documents += f->seen[i];
    put_count(json, "rows", f->rows);
    put_count(json, "documents", documents);
    put_count(json, "prepare_ms", q->prepare_ms);
    put_count(json, "run_ms", f->run_ms);
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        put_count(json, counters[i].key,
                  (uint64_t)sqlite3_stmt_status(q->stmt, counters[i].what, 1));
}

/* ---- both ------------------------------------------------------------------------------ */

tako_err query_explain(query *q, tako_errbuf *e)
{
    bool run = q->parse.stmt.explain == EXPLAIN_PROFILE;
    tako_buf json = tako_buf_on(q->env), sql = tako_buf_on(q->env);
    plan p = { .q = q };
    profile f = { 0 };
    tako_err err = TAKO_OK;

    if (run)
        err = run_profile(q, &f, e);
    p.seen = f.seen;
    tako_put_str(&json, "{\"plan\":");
    if (err == TAKO_OK)
        err = put_plan(&p, &json, e);
    if (err == TAKO_OK && run)
        put_profile(q, &f, &json);
    query_emit_reading(q, &sql, false);
    put_text(&json, "sql", tako_buf_slice(&sql));
    tako_put_u8(&json, '}');
    json.failed = json.failed || sql.failed;
    if (err == TAKO_OK)
        err = query_leave_json(q, &json, e);
    tako_buf_fini(&json);
    tako_buf_fini(&sql);
    return err;
}
