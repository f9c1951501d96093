// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hash_of(tako_db *db, const char *collection, char hex[65],
                    uint64_t *documents)
{
    db_ok(db, tako_hash(db, collection, hex, documents), "hash");
    assert_int_equal(strlen(hex), 64);
}

static void test_hash__is_of_the_live_documents(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char none[65], empty[65], one[65], all[65], again[65];
    uint64_t n = 99;

    hash_of(db, "c", none, &n);
    assert_int_equal(n, 0);
    hash_of(db, NULL, all, NULL);
    assert_string_equal(none, all);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    hash_of(db, "c", one, &n);
    assert_int_equal(n, 1);
    assert_string_not_equal(one, none);
    db_run(db, "UPDATE c SET v = 1", NULL);
    hash_of(db, "c", again, &n);
    assert_string_not_equal(one, again);
    db_run(db, "DELETE FROM c", NULL);
    hash_of(db, "c", empty, &n);
    assert_string_equal(empty, none); /* emptied is as never made */
    assert_int_equal(tako_hash(NULL, "c", one, &n), TAKO_MISUSE);
    assert_int_equal(tako_hash(db, "c", NULL, &n), TAKO_MISUSE);
    tako_close(db);
}

static void count_findings(void *ctx, const char *text)
{
    (void)text;
    (*(unsigned *)ctx)++;
}

static void test_check__finds_damage_and_only_damage(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    unsigned findings = 0;
    char command[512];

    db_fill(db, "c", 500);
    db_ok(db, tako_check(db, count_findings, &findings), "check");
    assert_int_equal(findings, 0);
    tako_close(db);
    (void)snprintf(command, sizeof command,
                   "printf 'UPDATE c1 SET version=zeroblob(16) WHERE rowid IN "
                   "(SELECT row FROM c1 LIMIT 1)' | sqlite3 '%s' 2>/dev/null",
                   path);
    if (system(command) != 0)
        skip(); /* no sqlite3 program here */
    db = db_open(path);
    assert_int_equal(tako_check(db, count_findings, &findings), TAKO_CORRUPT);
    assert_int_equal(findings, 1);
    assert_int_equal(tako_check(db, NULL, NULL), TAKO_CORRUPT);
    tako_close(db);
}

static void count_progress(void *ctx, uint64_t done, uint64_t all)
{
    assert_true(done <= all);
    (*(unsigned *)ctx)++;
}

static void actor_of(tako_db *db, char out[33])
{
    char *json = NULL, *at;

    db_ok(db, tako_status(db, &json), "status");
    at = strstr(json, "\"actor\":\"");
    assert_non_null(at);
    (void)snprintf(out, 33, "%.32s", at + strlen("\"actor\":\""));
    tako_free(json);
}

static void test_backup__restores_to_the_same_documents(void **state)
{
    const char *saved = db_path(*state, "saved file.tako?x=1%");
    const char *to = db_path(*state, "b.tako");
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char hash[65], other[65], actor[33], second[33], detail[256];
    unsigned steps = 0;
    struct stat st, after;

    db_fill(db, "c", 3000);
    hash_of(db, NULL, hash, NULL);
    actor_of(db, actor);
    db_ok(db, tako_backup(db, saved, count_progress, &steps), "backup");
    assert_true(steps > 0);
    assert_int_equal(tako_backup(db, saved, NULL, NULL), TAKO_EXISTS);
    assert_int_equal(tako_backup(db, NULL, NULL, NULL), TAKO_MISUSE);
    db_run(db, "DELETE FROM c", NULL);
    assert_int_equal(stat(saved, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    assert_int_equal(tako_restore(saved, to, detail, sizeof detail), TAKO_OK);
    assert_int_equal(tako_restore(saved, to, detail, sizeof detail),
                     TAKO_EXISTS);
    assert_non_null(strstr(detail, "b.tako"));
    assert_int_equal(stat(saved, &after), 0);
    assert_int_equal(st.st_mtime, after.st_mtime);
    assert_int_equal(st.st_size, after.st_size);
    tako_close(db);
    db = db_open(to);
    hash_of(db, NULL, other, NULL);
    assert_string_equal(hash, other);
    actor_of(db, second);
    assert_string_not_equal(actor, second);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 'more'})", NULL);
    tako_close(db);
}

static void test_restore__leaves_nothing_of_what_it_refuses(void **state)
{
    const char *bad = db_path(*state, "bad");
    const char *to = db_path(*state, "b.tako");
    char detail[256] = "";
    char noise[8192];
    int fd = open(bad, O_CREAT | O_WRONLY, 0600);

    memset(noise, 'x', sizeof noise);
    assert_int_equal(write(fd, noise, sizeof noise), (int)sizeof noise);
    (void)close(fd);
    assert_int_equal(tako_restore(bad, to, detail, sizeof detail),
                     TAKO_CORRUPT);
    assert_int_not_equal(detail[0], '\0');
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(tako_restore("/nonexistent/x", to, detail, sizeof detail),
                     TAKO_NOTFOUND);
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(tako_restore(bad, "/nonexistent/x", NULL, 0), TAKO_IO);
    assert_int_equal(tako_restore(NULL, to, NULL, 0), TAKO_MISUSE);
}

static void test_compact__gives_room_back(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    struct stat before, after;

    db_fill(db, "c", 5000);
    db_run(db, "DELETE FROM c WHERE n > 10", NULL);
    db_ok(db, tako_compact(db), "compact");
    assert_int_equal(stat(path, &before), 0);
    db_expect(db, "SELECT count(*) AS n FROM c", NULL, "[{\"n\":11}]");
    db_ok(db, tako_compact(db), "compact");
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size <= before.st_size);
    assert_int_equal(tako_compact(NULL), TAKO_MISUSE);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_hash__is_of_the_live_documents),
        T(test_check__finds_damage_and_only_damage),
        T(test_backup__restores_to_the_same_documents),
        T(test_restore__leaves_nothing_of_what_it_refuses),
        T(test_compact__gives_room_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
