// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/json.h"
#include "query/internal.h"

void test_db_bare(test_db *db, uint64_t seed)
{
    memset(db, 0, sizeof *db);
    test_env_init(&db->t, seed);
    db->out = tako_buf_on(&db->t.env);
    db->arena = tako_arena_on(&db->t.env);
}

void test_db_open(test_db *db, uint64_t seed)
{
    store_opts o = { 0 };

    test_db_bare(db, seed);
    (void)snprintf(db->dir, sizeof db->dir, "/tmp/tako-query-XXXXXX");
    assert_non_null(mkdtemp(db->dir));
    (void)snprintf(db->path, sizeof db->path, "%s/db", db->dir);
    test_files_init(&db->files, &db->boot);
    o.env = &db->t.env;
    o.files = &db->files;
    o.path = db->path;
    o.create = true;
    o.on_connect = query_register;
    o.on_connect_ctx = &db->t.env;
    if (store_open(&o, &db->s, &db->e) != TAKO_OK)
        fail_msg("open: %s", db->e.text);
    db->conn = store_writer(db->s);
}

void test_db_close(test_db *db)
{
    char command[160];

    store_close(db->s);
    if (db->dir[0] != '\0') {
        (void)snprintf(command, sizeof command, "rm -rf %s", db->dir);
        assert_int_equal(system(command), 0);
    }
    tako_buf_fini(&db->out);
    tako_arena_fini(&db->arena);
    test_env_check_empty(&db->t);
}

tako_slice cbor_of(test_db *db, const char *json)
{
    tako_buf b = tako_buf_on(&db->t.env);
    tako_slice s;

    if (json_to_cbor(tako_slice_str(json), TAKO_JSON_DEPTH_MAX, &b, &db->e) !=
        TAKO_OK)
        fail_msg("%s in %s", db->e.text, json);
    s = tako_arena_copy(&db->arena, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return s;
}

static tako_err select_rows(test_db *db, query *q)
{
    tako_buf row = tako_buf_on(&db->t.env);
    tako_err err;

    while ((err = query_step(q, &row, &db->e)) == TAKO_OK) {
        tako_errbuf why;

        if (cbor_check(tako_buf_slice(&row), TAKO_JSON_DEPTH_MAX, &why) !=
            TAKO_OK)
            fail_msg("a row is not CBOR: %s", why.text);
        if (db->out.len > 0)
            tako_put_u8(&db->out, ' ');
        err = json_from_cbor(tako_buf_slice(&row), &db->out);
        tako_buf_reset(&row);
        if (err != TAKO_OK)
            break;
    }
    tako_buf_fini(&row);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err write_rows(test_db *db, query *q)
{
    tako_buf ids = tako_buf_on(&db->t.env);
    bool own = !store_in_transaction(db->s);
    uint64_t lsn;
    tako_err err = own ? store_begin(db->s, &db->e) : TAKO_OK;
    tako_reader r;

    if (err == TAKO_OK)
        err = query_run(q, db->s, &ids, &db->count, &db->e);
    if (own && err == TAKO_OK)
        err = store_commit(db->s, &lsn, &db->e);
    else if (own)
        store_rollback(db->s);
    tako_put_fmt(&db->out, "%llu", (unsigned long long)db->count);
    r = tako_reader_of(tako_buf_slice(&ids));
    while (err == TAKO_OK && tako_reader_left(&r) > 0) {
        tako_put_u8(&db->out, ' ');
        err = json_from_cbor(cbor_read_value(&r), &db->out);
    }
    tako_buf_fini(&ids);
    return err == TAKO_OK && query_has_rows(q) ? select_rows(db, q) : err;
}

static tako_err run_kind(test_db *db, query *q)
{
    query_kind kind = query_kind_of(q);
    uint64_t lsn;
    tako_err err = TAKO_OK;

    if (query_kind_reads(kind))
        return select_rows(db, q);
    if (!query_kind_is_control(kind))
        return write_rows(db, q);
    if (kind == QUERY_BEGIN || kind == QUERY_BEGIN_READ_ONLY)
        err = store_begin(db->s, &db->e);
    else if (kind == QUERY_COMMIT)
        err = store_commit(db->s, &lsn, &db->e);
    else
        store_rollback(db->s);
    tako_put_str(&db->out, "ok");
    return err;
}

const char *run(test_db *db, const char *text, const char *params)
{
    query *q = NULL;
    tako_slice bound = TAKO_SLICE_NONE;
    tako_err err;

    tako_buf_reset(&db->out);
    if (params != NULL)
        bound = cbor_of(db, params);
    db->e.text[0] = '\0';
    err = query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q, &db->e);
    if (err == TAKO_OK)
        err = query_bind(q, bound, &db->e);
    if (err == TAKO_OK)
        err = run_kind(db, q);
    query_free(q);
    if (err != TAKO_OK) {
        tako_buf_reset(&db->out);
        tako_put_fmt(&db->out, "ERROR %s: %s", tako_err_name(err), db->e.text);
    }
    return tako_buf_cstr(&db->out);
}

const char *must(test_db *db, const char *text, const char *params)
{
    const char *got = run(db, text, params);

    if (strncmp(got, "ERROR", 5) == 0)
        fail_msg("%s\n  %s", text, got);
    return got;
}

void expect(test_db *db, const char *text, const char *params, const char *want)
{
    const char *got = run(db, text, params);

    if (strcmp(got, want) != 0)
        fail_msg("%s\n  want %s\n  got  %s", text, want, got);
}

const char *plan_of(test_db *db, const char *text, const char *params)
{
    query *q = NULL;
    sqlite3_stmt *stmt = NULL;
    tako_buf sql = tako_buf_on(&db->t.env);

    tako_buf_reset(&db->out);
    if (query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q, &db->e) !=
            TAKO_OK ||
        query_bind(q, params == NULL ? TAKO_SLICE_NONE : cbor_of(db, params),
                   &db->e) != TAKO_OK)
        fail_msg("%s: %s", text, db->e.text);
    tako_put_str(&sql, "EXPLAIN QUERY PLAN ");
    tako_put_str(&sql, sqlite3_sql(q->stmt));
    if (sqlite3_prepare_v2(store_conn_db(db->conn), tako_buf_cstr(&sql), -1,
                           &stmt, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(store_conn_db(db->conn)));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        tako_put_str(&db->out, (const char *)sqlite3_column_text(stmt, 3));
        tako_put_u8(&db->out, ';');
    }
    (void)sqlite3_finalize(stmt);
    tako_buf_fini(&sql);
    query_free(q);
    return tako_buf_cstr(&db->out);
}

/* ---- worlds and tables ---------------------------------------------------- */

int test_db_setup(void **state)
{
    static test_db db; /* cmocka runs the tests of a group one by one */

    test_db_open(&db, 1);
    *state = &db;
    return 0;
}

int test_db_teardown(void **state)
{
    test_db_close(*state);
    return 0;
}

/* Prints what is wrong, so that one run shows all. */
static int wrong(const char *what, const expr_row *row, const char *got)
{
    print_message("%s %s\n  want %s\n  got  %s\n", what, row->expr, row->want,
                  got);
    return 1;
}

static int expect_expr(test_db *db, const expr_row *row)
{
    int bad = 0;
    char text[2048], want[2048];
    const char *got;

    (void)snprintf(text, sizeof text, "SELECT %s AS v FROM t", row->expr);
    if (row->want[0] == '\0')
        (void)snprintf(want, sizeof want, "{}");
    else
        (void)snprintf(want, sizeof want, "{\"v\":%s}", row->want);
    got = run(db, text, NULL);
    if (strcmp(got, want) != 0)
        bad += wrong("SELECT", row, got);
    /* As a condition it must agree: true keeps the row, all else does not. */
    (void)snprintf(text, sizeof text, "SELECT 1 AS v FROM t WHERE %s",
                   row->expr);
    got = run(db, text, NULL);
    if (strcmp(got, strcmp(row->want, "true") == 0 ? "{\"v\":1}" : "") != 0)
        bad += wrong("WHERE", row, got);
    (void)snprintf(text, sizeof text, "SELECT 1 AS v FROM t WHERE NOT (%s)",
                   row->expr);
    got = run(db, text, NULL);
    if (strcmp(got, strcmp(row->want, "false") == 0 ? "{\"v\":1}" : "") != 0)
        bad += wrong("WHERE NOT", row, got);
    return bad;
}

static void one_document(test_db *db)
{
    (void)must(db,
               "INSERT INTO t DOCUMENTS ({'_id': 'x', 'i': 5, 'f': 2.5, 's': "
               "'abc', 'yes': true, 'no': false, 'n': null, 'a': [1, 2, "
               "'three', [4], {'k': 6}], 'o': {'p': {'q': 7}, 'z': 1}})",
               NULL);
}

void expect_exprs(test_db *db, const expr_row *rows, size_t count)
{
    int bad = 0;

    one_document(db);
    for (size_t i = 0; i < count; i++)
        bad += expect_expr(db, &rows[i]);
    assert_int_equal(bad, 0);
}

void insert_kinds(test_db *db)
{
    (void)must(db, "INSERT INTO p DOCUMENTS (:d)",
               "{\"d\":[{\"_id\":\"1\",\"k\":\"a\",\"v\":1},"
               "{\"_id\":\"2\",\"k\":\"b\",\"v\":2.5},"
               "{\"_id\":\"3\",\"k\":\"a\",\"v\":\"x\"},"
               "{\"_id\":\"4\",\"k\":\"b\",\"v\":true},"
               "{\"_id\":\"5\",\"k\":\"a\",\"v\":null},"
               "{\"_id\":\"6\",\"k\":\"c\"},"
               "{\"_id\":\"7\",\"k\":\"c\",\"v\":[1]},"
               "{\"_id\":\"8\",\"k\":\"c\",\"v\":{\"z\":1}},"
               "{\"_id\":\"9\",\"k\":\"c\",\"v\":{\"$bytes\":\"AA==\"}},"
               "{\"_id\":\"10\",\"k\":\"a\",\"v\":false}]}");
}

void insert_shop(test_db *db)
{
    (void)must(db,
               "INSERT INTO o DOCUMENTS "
               "({'_id': 'o1', 't': 1, 'sum': 10, 'who': 'ana', 'tags': ['a', "
               "'b'], 'items': {'taco': 2, 'maki': 1}}), "
               "({'_id': 'o2', 't': 2, 'sum': 20, 'who': 'bo', 'tags': ['b'], "
               "'items': {'taco': 1}, 'note': null}), "
               "({'_id': 'o3', 't': 1, 'sum': 30.5, 'tags': []})",
               NULL);
    (void)must(db,
               "INSERT INTO m DOCUMENTS ({'_id': 'taco', 'price': 3, 'kind': "
               "'hot'}), ({'_id': 'maki', 'price': 5, 'kind': 'cold'}), "
               "({'_id': 'soup', 'price': 4, 'kind': 'hot'})",
               NULL);
    (void)must(db, "INSERT INTO k DOCUMENTS ({'_id': 1})", NULL);
    (void)must(db, "DELETE FROM k", NULL);
}

int expect_rows(test_db *db, const statement_row *rows, size_t count)
{
    int bad = 0;

    for (size_t i = 0; i < count; i++) {
        const char *got = run(db, rows[i].text, "{\"p\":1,\"l\":[1,2]}");

        if (strcmp(got, rows[i].want) == 0)
            continue;
        print_message("%s\n  want %s\n  got  %s\n", rows[i].text, rows[i].want,
                      got);
        bad++;
    }
    return bad;
}
