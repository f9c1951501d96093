// SPDX-License-Identifier: Apache-2.0
#include "sim/disk.h"

#include <sqlite3.h>
#include <stdio.h>

#include "support/test_env.h"

typedef struct fixture {
    test_env t;
    sim_disk *disk;
} fixture;

static void fixture_init(fixture *f, uint64_t seed)
{
    test_env_init(&f->t, seed);
    f->disk = sim_disk_new(&f->t.env, seed);
}

static void fixture_fini(fixture *f)
{
    sim_disk_free(f->disk);
    test_env_check_empty(&f->t);
}

static sqlite3 *open_db(fixture *f)
{
    sqlite3 *db = NULL;
    int rc =
        sqlite3_open_v2("a.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                        sim_disk_vfs(f->disk));

    assert_int_equal(rc, SQLITE_OK);
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int64_t value = -1;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return value;
}

static void make(sqlite3 *db, const char *synchronous)
{
    char sql[80];

    assert_int_equal(run(db, "PRAGMA journal_mode=WAL"), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "PRAGMA synchronous=%s", synchronous);
    assert_int_equal(run(db, sql), SQLITE_OK);
    assert_int_equal(run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)"),
                     SQLITE_OK);
}

/* An end, and the next start. */
static sqlite3 *restart(fixture *f, sqlite3 *db, sim_disk_end how)
{
    sim_disk_stop(f->disk, how);
    (void)sqlite3_close_v2(db);
    sim_disk_start(f->disk);
    return open_db(f);
}

static void test_disk__carries_sqlite_in_wal_mode(void **state)
{
    fixture f;
    sqlite3 *db, *reader;

    (void)state;
    fixture_init(&f, 1);
    db = open_db(&f);
    make(db, "NORMAL");
    reader = open_db(&f);
    assert_int_equal(run(db, "INSERT INTO t VALUES(1,'x')"), SQLITE_OK);
    assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(reader, "BEGIN; SELECT * FROM t"), SQLITE_OK);
    assert_int_equal(run(db, "INSERT INTO t VALUES(2,'y')"), SQLITE_OK);
    assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(reader, "COMMIT"), SQLITE_OK);
    assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 2);
    assert_int_equal(run(db, "BEGIN IMMEDIATE"), SQLITE_OK);
    assert_int_equal(run(reader, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    assert_int_equal(run(db, "COMMIT"), SQLITE_OK);
    assert_int_equal(run(db, "PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    (void)sqlite3_close(reader);
    (void)sqlite3_close(db);
    db = open_db(&f);
    assert_int_equal(ask(db, "SELECT count(*) FROM t"), 2);
    (void)sqlite3_close(db);
    fixture_fini(&f);
}

static void test_disk__a_killed_process_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fixture f;
        sqlite3 *db;

        fixture_init(&f, seed);
        db = open_db(&f);
        make(db, "NORMAL");
        assert_int_equal(run(db, "INSERT INTO t VALUES(1,'x')"), SQLITE_OK);
        db = restart(&f, db, SIM_DISK_KILL);
        assert_int_equal(ask(db, "SELECT count(*) FROM t"), 1);
        (void)sqlite3_close(db);
        fixture_fini(&f);
    }
}

/* Synced commits survive any power failure; unsynced ones some, and a prefix:
 * the log's checksums stop at what is torn. */
static void test_disk__power_takes_what_is_not_synced(void **state)
{
    int all = 0, some = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        bool full = seed % 2 == 0;
        fixture f;
        sqlite3 *db;
        int64_t n;

        fixture_init(&f, seed);
        db = open_db(&f);
        make(db, "FULL");
        assert_int_equal(run(db, full ? "PRAGMA synchronous=FULL"
                                      : "PRAGMA synchronous=NORMAL"),
                         SQLITE_OK);
        for (int i = 1; i <= 8; i++) {
            char sql[80];

            (void)snprintf(sql, sizeof sql,
                           "INSERT INTO t VALUES(%d,zeroblob(900))", i);
            assert_int_equal(run(db, sql), SQLITE_OK);
        }
        db = restart(&f, db, SIM_DISK_POWER);
        assert_int_equal(
            ask(db,
                "SELECT integrity_check = 'ok' FROM pragma_integrity_check"),
            1);
        n = ask(db, "SELECT count(*) FROM t");
        assert_int_equal(ask(db, "SELECT ifnull(max(a),0) FROM t"), n);
        if (full)
            assert_int_equal(n, 8);
        all += !full && n == 0;
        some += !full && n > 0 && n < 8;
        (void)sqlite3_close(db);
        fixture_fini(&f);
    }
    assert_true(all > 5 && some > 5);
}

/* Wherever it ends, what was acknowledged with FULL is there. */
static void test_disk__every_change_can_be_the_last(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        for (int how = 0; how < 2; how++) {
            int64_t acked = 0;
            fixture f;
            sqlite3 *db;

            fixture_init(&f, n);
            db = open_db(&f);
            make(db, "FULL");
            sim_disk_stop_at(f.disk, (sim_disk_end)how, n);
            for (int i = 1; i <= 10; i++) {
                if (run(db, "INSERT INTO t(b) VALUES(zeroblob(3000))") !=
                    SQLITE_OK)
                    break;
                acked = i;
                if (i == 5)
                    (void)run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
            }
            db = restart(&f, db, (sim_disk_end)how);
            assert_in_range(ask(db, "SELECT count(*) FROM t"), acked,
                            acked + 1);
            (void)sqlite3_close(db);
            fixture_fini(&f);
        }
    }
}

static void test_disk__fails_as_asked(void **state)
{
    fixture f;
    sqlite3 *db;

    (void)state;
    fixture_init(&f, 3);
    db = open_db(&f);
    make(db, "FULL");
    sim_disk_fail_at(f.disk, SIM_DISK_SYNC, 1, TAKO_IO);
    assert_int_equal(run(db, "INSERT INTO t VALUES(1,1)"), SQLITE_IOERR);
    assert_int_equal(run(db, "INSERT INTO t VALUES(1,1)"), SQLITE_OK);
    sim_disk_fail_at(f.disk, SIM_DISK_WRITE, 1, TAKO_FULL);
    assert_int_equal(run(db, "INSERT INTO t VALUES(2,1)"), SQLITE_FULL);
    sim_disk_faults_of(f.disk)->quota_bytes = sim_disk_bytes(f.disk);
    assert_int_equal(run(db, "INSERT INTO t VALUES(2,zeroblob(9000))"),
                     SQLITE_FULL);
    assert_int_equal(ask(db, "SELECT count(*) FROM t"), 1);
    sim_disk_faults_of(f.disk)->quota_bytes = 0;
    assert_int_equal(run(db, "INSERT INTO t VALUES(2,zeroblob(9000))"),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    fixture_fini(&f);
}

static void test_disk__small_files_are_replaced_whole(void **state)
{
    fixture f;
    const tako_files *files;
    tako_buf out;
    uint64_t device, first, second;
    tako_machine before, after;

    (void)state;
    fixture_init(&f, 4);
    files = sim_disk_files(f.disk);
    out = tako_buf_on(&f.t.env);
    assert_int_equal(files->read(files->ctx, "s", &out), TAKO_NOTFOUND);
    assert_int_equal(files->write(files->ctx, "s", tako_slice_str("one")),
                     TAKO_OK);
    assert_int_equal(files->identity(files->ctx, "s", &device, &first),
                     TAKO_OK);
    assert_int_equal(files->write(files->ctx, "s", tako_slice_str("two")),
                     TAKO_OK);
    assert_int_equal(files->identity(files->ctx, "s", &device, &second),
                     TAKO_OK);
    assert_int_not_equal(first, second);
    files->machine(files->ctx, &before);
    sim_disk_stop(f.disk, SIM_DISK_POWER);
    assert_int_equal(files->write(files->ctx, "s", tako_slice_str("no")),
                     TAKO_IO);
    sim_disk_start(f.disk);
    files->machine(files->ctx, &after);
    assert_memory_equal(before.machine, after.machine, 16);
    assert_memory_not_equal(before.boot, after.boot, 16);
    assert_int_equal(files->read(files->ctx, "s", &out), TAKO_OK);
    assert_true(tako_slice_eq(tako_buf_slice(&out), tako_slice_str("two")));
    tako_buf_fini(&out);
    fixture_fini(&f);
}

/* Until the folder is synced, the old content or the new is there: one of
 * them, whole. */
static void test_disk__a_rename_is_safe_once_the_folder_is(void **state)
{
    int olds = 0, news = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f;
        const tako_files *files;
        tako_buf out;

        fixture_init(&f, seed);
        files = sim_disk_files(f.disk);
        out = tako_buf_on(&f.t.env);
        (void)files->write(files->ctx, "s", tako_slice_str("old"));
        sim_disk_stop_at(f.disk, SIM_DISK_POWER, 4); /* the folder's sync */
        assert_int_equal(files->write(files->ctx, "s", tako_slice_str("new")),
                         TAKO_IO);
        sim_disk_start(f.disk);
        assert_int_equal(files->read(files->ctx, "s", &out), TAKO_OK);
        olds += tako_slice_eq(tako_buf_slice(&out), tako_slice_str("old"));
        news += tako_slice_eq(tako_buf_slice(&out), tako_slice_str("new"));
        tako_buf_fini(&out);
        fixture_fini(&f);
    }
    assert_true(olds > 10 && news > 10 && olds + news == 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__carries_sqlite_in_wal_mode),
        cmocka_unit_test(test_disk__a_killed_process_loses_nothing),
        cmocka_unit_test(test_disk__power_takes_what_is_not_synced),
        cmocka_unit_test(test_disk__every_change_can_be_the_last),
        cmocka_unit_test(test_disk__fails_as_asked),
        cmocka_unit_test(test_disk__small_files_are_replaced_whole),
        cmocka_unit_test(test_disk__a_rename_is_safe_once_the_folder_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
