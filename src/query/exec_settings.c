// SPDX-License-Identifier: Apache-2.0
/* ALTER SYSTEM SET, ALTER COLLECTION SET, RESET and SHOW. The value of a SET is any expression that
 * reads nothing; SHOW is a SELECT of system:settings. */
#include "query/internal.h"

#include "codec/json.h"
#include "query/emit.h"
#include "query/retention.h"
#include "query/settings.h"

static tako_err unknown(query *q)
{
    tako_slice name = q->parse.stmt.setting;
    tako_slice near = query_setting_nearest(name);

    return query_fail_at(
        &q->parse, q->parse.stmt.setting_pos, TAKO_INVALID,
        "there is no setting %.*s%s%.*s%s", name.len > 64 ? 64 : (int)name.len,
        (const char *)name.ptr, near.len > 0 ? "; did you mean " : "",
        (int)near.len, near.len > 0 ? (const char *)near.ptr : "",
        near.len > 0 ? "?" : "");
}

/* SELECT value ... of the settings that are wanted. */
static void emit_show(query *q, emit *m)
{
    const query_stmt *st = &q->parse.stmt;
    tako_buf key = tako_buf_on(q->env);

    cbor_put_text(&key, tako_slice_str("name"));
    tako_put_str(&m->sql, "SELECT value FROM tql_system('settings')");
    if (st->setting.len > 0 || st->setting_like != NULL) {
        tako_put_str(&m->sql, st->setting.len > 0 ? " WHERE tql_get(value,"
                                                  : " WHERE tql_like(tql_get("
                                                    "value,");
        emit_blob(m, tako_buf_slice(&key));
        tako_put_u8(&m->sql, ')');
    }
    if (st->setting.len > 0) {
        tako_put_u8(&m->sql, '=');
        emit_string(m, st->setting);
    } else if (st->setting_like != NULL) {
        tako_put_u8(&m->sql, ',');
        emit_value(m, st->setting_like);
        tako_put_str(&m->sql, ")=x'f5'");
    }
    m->sql.failed = m->sql.failed || key.failed;
    tako_buf_fini(&key);
}

tako_err query_prepare_setting(query *q, tako_errbuf *e)
{
    const query_stmt *st = &q->parse.stmt;
    emit m = { .p = &q->parse, .sql = tako_buf_on(q->env) };
    tako_err err;

    if (st->setting_coll.len > 0 &&
        !tako_slice_eq(st->setting, tako_slice_str("evict")))
        return query_fail_at(&q->parse, st->setting_pos, TAKO_INVALID,
                             "of a collection evict can be set");
    if (st->setting_coll.len == 0 && st->setting.len > 0 &&
        query_setting_find(st->setting) == SETTINGS)
        return unknown(q);
    if (st->kind == QUERY_RESET)
        return TAKO_OK;
    if (st->kind == QUERY_SHOW) {
        q->plan.whole = true;
        emit_show(q, &m);
    } else {
        tako_put_str(&m.sql, "SELECT ");
        emit_value(&m, st->setting_value);
    }
    err = q->parse.err;
    if (err == TAKO_OK)
        err = query_sql_prepare(q, &m.sql, true, &q->stmt, e);
    tako_buf_fini(&m.sql);
    return err;
}

/* The rule of a collection, checked. */
static tako_err put_rule(query *q, store *s, tako_slice value, tako_errbuf *e)
{
    tako_slice coll = q->parse.stmt.setting_coll;
    query_pool *pool = NULL;
    query_retention rule;
    uint32_t number;
    tako_err err = query_pool_new(q->env, &pool, e);

    if (err != TAKO_OK)
        return err;
    err = query_retention_read(pool, coll, value, &rule, e);
    if (err == TAKO_OK) {
        query_retention_free(&rule);
        err = store_coll_create(s, coll, &number, e);
    }
    if (err == TAKO_OK)
        err = query_retention_put(s, coll, value, e);
    query_pool_free(pool);
    return err;
}

static tako_err set(query *q, store *s, setting which, tako_errbuf *e)
{
    tako_buf value = tako_buf_on(q->env);
    int rc = query_sql_step(q, q->stmt);
    tako_err err;

    if (rc == SQLITE_ROW)
        value_put(&value, sqlite3_column_value(q->stmt, 0));
    err = query_sql_error(sqlite3_db_handle(q->stmt), rc, e);
    (void)sqlite3_reset(q->stmt);
    if (err == TAKO_OK && value.failed)
        err = TAKO_NOMEM;
    if (err == TAKO_OK && q->parse.stmt.setting_coll.len > 0)
        err = put_rule(q, s, tako_buf_slice(&value), e);
    else if (err == TAKO_OK)
        err = query_setting_put(s, which, tako_buf_slice(&value), e);
    tako_buf_fini(&value);
    return err;
}

tako_err query_run_setting(query *q, store *s, tako_errbuf *e)
{
    const query_stmt *st = &q->parse.stmt;
    setting which = query_setting_find(st->setting);

    if (st->kind == QUERY_SET)
        return set(q, s, which, e);
    if (st->setting_coll.len > 0)
        return query_retention_put(s, st->setting_coll, TAKO_SLICE_NONE, e);
    for (unsigned i = 0; i < SETTINGS; i++) {
        if (st->setting.len == 0 || i == (unsigned)which)
            TAKO_TRY(query_setting_reset(s, (setting)i, e));
    }
    return TAKO_OK;
}
