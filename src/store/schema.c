// SPDX-License-Identifier: Apache-2.0
/* SCHEMA -- what kind of file this is, making a new one, migrating old ones.
 *
 * The file's header carries application_id "tako" and, as user_version, the
 * number of the format. Nothing is written, not even the journal mode,
 * before both are known to be ours. docs/storage.md describes the tables. */
#include "store/internal.h"

#include <stdio.h>

static const char schema_sql[] =
    "CREATE TABLE state("
    "one INTEGER PRIMARY KEY CHECK(one=1), actor BLOB NOT NULL,"
    "incarnation BLOB NOT NULL, seal BLOB NOT NULL, hlc INTEGER NOT NULL,"
    "lsn INTEGER NOT NULL, since INTEGER NOT NULL DEFAULT 0,"
    "taken INTEGER NOT NULL DEFAULT 0, dirty BLOB,"
    "floor INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE kv(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE coll(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE feed(lsn INTEGER PRIMARY KEY, own INTEGER NOT NULL,"
    "touched BLOB NOT NULL, priors BLOB);"
    "CREATE TABLE seen(actor BLOB PRIMARY KEY, hlc INTEGER NOT NULL)"
    "WITHOUT ROWID;"
    "CREATE TABLE checkpoint(n INTEGER PRIMARY KEY, peer BLOB NOT NULL,"
    "text BLOB NOT NULL, coll BLOB NOT NULL, incarnation BLOB NOT NULL,"
    "lsn INTEGER NOT NULL, row INTEGER, UNIQUE(peer, text));"
    "CREATE TABLE lost(n INTEGER PRIMARY KEY AUTOINCREMENT,"
    "kind INTEGER NOT NULL, ms INTEGER NOT NULL, coll INTEGER NOT NULL,"
    "id BLOB NOT NULL, path BLOB NOT NULL, actor BLOB NOT NULL,"
    "hlc INTEGER NOT NULL, value BLOB, kept BLOB,"
    "UNIQUE(coll, id, path, actor, hlc, kind));"
    "CREATE TABLE idx(coll INTEGER NOT NULL, name TEXT NOT NULL,"
    "text TEXT NOT NULL, PRIMARY KEY(coll, name)) WITHOUT ROWID;"
    "CREATE TABLE keeper(device BLOB NOT NULL, text TEXT NOT NULL,"
    "lsn INTEGER NOT NULL, archive INTEGER NOT NULL,"
    "PRIMARY KEY(device, text)) WITHOUT ROWID;"
    "CREATE TABLE leaving(coll INTEGER NOT NULL, row INTEGER NOT NULL,"
    "since INTEGER NOT NULL, why INTEGER NOT NULL,"
    "PRIMARY KEY(coll, row)) WITHOUT ROWID;"
    "CREATE TABLE blob(number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB,"
    "len INTEGER NOT NULL, have INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "bits BLOB, free INTEGER);"
    "CREATE UNIQUE INDEX blob_id ON blob(id) WHERE id IS NOT NULL;"
    "CREATE INDEX blob_free ON blob(free) WHERE free IS NOT NULL;"
    "CREATE TABLE blob_part(at INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE blob_ref(coll INTEGER NOT NULL, row INTEGER NOT NULL,"
    "id BLOB NOT NULL, len INTEGER NOT NULL, PRIMARY KEY(coll, row, id))"
    "WITHOUT ROWID;"
    "CREATE INDEX blob_ref_id ON blob_ref(id);"
    "CREATE TABLE yard(coll INTEGER PRIMARY KEY, epoch INTEGER NOT NULL,"
    "graves INTEGER NOT NULL, sum INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "below INTEGER NOT NULL, floors INTEGER NOT NULL, sweep INTEGER);"
    "CREATE TABLE grave(coll INTEGER NOT NULL, key BLOB NOT NULL,"
    "dead BLOB NOT NULL, PRIMARY KEY(coll, key)) WITHOUT ROWID;"
    "CREATE TABLE tomb(coll INTEGER NOT NULL, row INTEGER NOT NULL,"
    "day INTEGER NOT NULL, PRIMARY KEY(coll, row)) WITHOUT ROWID;"
    "CREATE TABLE forgot(coll INTEGER NOT NULL, mark INTEGER NOT NULL,"
    "generation INTEGER NOT NULL, own INTEGER NOT NULL,"
    "PRIMARY KEY(coll, mark)) WITHOUT ROWID;"
    "CREATE TABLE quarantine(number INTEGER PRIMARY KEY,"
    "coll INTEGER NOT NULL, id BLOB NOT NULL, why INTEGER NOT NULL,"
    "at INTEGER NOT NULL, body BLOB);"
    "CREATE TABLE held(coll BLOB NOT NULL, text BLOB NOT NULL,"
    "v BLOB NOT NULL, target BLOB NOT NULL, why INTEGER NOT NULL,"
    "PRIMARY KEY(coll, text)) WITHOUT ROWID;";

typedef struct schema_facts {
    int64_t app, version, tables, pages;
} schema_facts;

static tako_err schema_look(store_conn *c, schema_facts *f, tako_errbuf *e)
{
    TAKO_TRY(conn_int(c, "PRAGMA application_id", &f->app, e));
    TAKO_TRY(conn_int(c, "PRAGMA user_version", &f->version, e));
    TAKO_TRY(conn_int(c, "SELECT count(*) FROM sqlite_schema", &f->tables, e));
    return conn_int(c, "PRAGMA page_count", &f->pages, e);
}

static tako_err wal_mode(store_conn *c, tako_errbuf *e)
{
    sqlite3_stmt *stmt = store_sql(c, "PRAGMA journal_mode=WAL", e);
    tako_err err = TAKO_OK;
    const char *mode;
    int rc;

    if (stmt == NULL)
        return conn_fail(c, sqlite3_extended_errcode(c->db), "WAL mode", e);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        err = conn_fail(c, rc, "WAL mode", e);
    } else {
        mode = (const char *)sqlite3_column_text(stmt, 0);
        if (mode == NULL || strcmp(mode, "wal") != 0)
            err = tako_fail(e, TAKO_IO, "%s: this disk does not support WAL",
                            c->store->path);
    }
    store_done(c, stmt);
    return err;
}

static tako_err state_insert(store *s, tako_errbuf *e)
{
    sqlite3_stmt *stmt;
    actor_state first;
    tako_err err = TAKO_OK;
    int rc;

    actor_random(s->env, &first);
    stmt = store_sql(&s->writer,
                     "INSERT INTO state(one,actor,incarnation,seal,hlc,lsn)"
                     "VALUES(1,?1,?2,?3,0,0)",
                     e);
    if (stmt == NULL)
        return conn_fail(&s->writer, sqlite3_extended_errcode(s->writer.db),
                         "making a database", e);
    (void)conn_bind(stmt, 1, tako_slice_of(first.actor.id, 16));
    (void)conn_bind(stmt, 2, tako_slice_of(first.incarnation, 16));
    (void)conn_bind(stmt, 3, tako_slice_of(first.seal, 16));
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        err = conn_fail(&s->writer, rc, "making a database", e);
    store_done(&s->writer, stmt);
    return err;
}

static tako_err schema_make(store *s, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    char head[96];
    tako_err err;

    (void)snprintf(head, sizeof head,
                   "PRAGMA application_id=%d;PRAGMA user_version=%u;",
                   STORE_APP_ID, STORE_FORMAT);
    TAKO_TRY(conn_exec(c, "PRAGMA page_size=4096;PRAGMA encoding='UTF-8'", e));
    TAKO_TRY(wal_mode(c, e));
    TAKO_TRY(conn_exec(c, "BEGIN IMMEDIATE", e));
    err = conn_exec(c, schema_sql, e);
    if (err == TAKO_OK)
        err = state_insert(s, e);
    if (err == TAKO_OK)
        err = conn_exec(c, head, e);
    if (err == TAKO_OK)
        err = conn_exec(c, "COMMIT", e);
    if (err != TAKO_OK && sqlite3_get_autocommit(c->db) == 0)
        (void)conn_exec(c, "ROLLBACK", NULL);
    return err;
}

tako_err schema_open(store *s, bool create, bool *fresh, tako_errbuf *e)
{
    store_conn *c = &s->writer;
    schema_facts f = { 0, 0, 0, 0 };

    *fresh = false;
    TAKO_TRY(schema_look(c, &f, e));
    if (f.app == 0 && f.version == 0 && f.tables == 0) {
        if (!create && f.pages == 0)
            return tako_fail(e, TAKO_NOTFOUND, "%s is empty", s->path);
        if (!create)
            return tako_fail(e, TAKO_CORRUPT, "%s is not a tako database",
                             s->path);
        *fresh = true;
        return schema_make(s, e);
    }
    if (f.app != STORE_APP_ID)
        return tako_fail(e, TAKO_CORRUPT, "%s is not a tako database", s->path);
    if (f.version > (int64_t)STORE_FORMAT)
        return tako_fail(e, TAKO_UNSUPPORTED,
                         "%s has format %lld; this version reads up to %u",
                         s->path, (long long)f.version, STORE_FORMAT);
    if (f.version < 1)
        return tako_fail(e, TAKO_CORRUPT, "%s has format %lld", s->path,
                         (long long)f.version);
    /* Format 1 is the first: there is nothing to migrate from yet. */
    return wal_mode(c, e);
}
