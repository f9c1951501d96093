// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"

static void test_open__makes_a_private_file_and_opens_it_again(void **state)
{
    const char *path = db_path(*state, "a.tako");
    struct stat st;
    tako_db *db = db_open(path);

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 'x'})", NULL);
    tako_close(db);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    db = db_open(path);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"v\":\"x\",\"_id\":1}]");
    tako_close(db);
}

static void test_open__refuses_what_it_cannot_open(void **state)
{
    const char *path = db_path(*state, "none.tako");
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    tako_db *db = (tako_db *)(void *)&o;
    char detail[128];
    int fd;

    o.path = path;
    o.must_exist = 1;
    assert_int_equal(tako_open(&o, &db, detail, sizeof detail), TAKO_NOTFOUND);
    assert_null(db);
    assert_non_null(strstr(detail, "none.tako"));
    assert_int_equal(access(path, F_OK), -1);

    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "this is not a database at all, but text", 39),
                     39);
    (void)close(fd);
    o.must_exist = 0;
    assert_int_equal(tako_open(&o, &db, detail, sizeof detail), TAKO_CORRUPT);
    assert_null(db);

    o.path = "/nonexistent-folder/a.tako";
    assert_int_equal(tako_open(&o, &db, detail, sizeof detail), TAKO_IO);
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_IO);
}

static void test_open__says_misuse(void **state)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;
    char detail[16] = "";

    (void)state;
    assert_int_equal(tako_open(NULL, &db, detail, sizeof detail), TAKO_MISUSE);
    assert_int_equal(strlen(detail), sizeof detail - 1);
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_MISUSE); /* no path */
    o.path = "x";
    assert_int_equal(tako_open(&o, NULL, detail, sizeof detail), TAKO_MISUSE);
    o.size = 3;
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_MISUSE);
    o.size = sizeof o;
    o.durability = (tako_durability)7;
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_MISUSE);
    tako_close(NULL);
    tako_free(NULL);
    tako_result_free(NULL);
    tako_tx_rollback(NULL);
    tako_sync_stop(NULL);
    assert_string_equal(tako_last_error(NULL), "");
}

static void test_open__is_busy_for_the_second_handle(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path), *second = NULL;
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;

    o.path = path;
    o.busy_wait_ms = 10;
    assert_int_equal(tako_open(&o, &second, NULL, 0), TAKO_BUSY);
    assert_null(second);
    tako_close(db);
    second = db_open(path);
    tako_close(second);
}

static void test_open__keeps_two_databases_apart(void **state)
{
    tako_db *a = db_open(db_path(*state, "a.tako"));
    tako_db *b = db_open(db_path(*state, "b.tako"));

    db_run(a, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_expect(b, "SELECT * FROM c", NULL, "[]");
    db_refused(a, "SELEC", NULL, TAKO_INVALID, NULL);
    assert_string_equal(tako_last_error(b), "");
    tako_close(a);
    tako_close(b);
}

typedef struct failing {
    tako_db *db;
    char text[64];
    char seen[256];
} failing;

static void fail_on_thread(void *arg)
{
    failing *f = arg;
    tako_result *r = NULL;

    (void)snprintf(f->seen, sizeof f->seen, "%s", tako_last_error(f->db));
    if (f->seen[0] != '\0')
        return;
    (void)tako_execute(f->db, f->text, NULL, &r);
    (void)snprintf(f->seen, sizeof f->seen, "%s", tako_last_error(f->db));
}

static void test_last_error__is_the_calling_threads(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_env env;
    failing f = { db, "DELETE FORM c", "" };
    sys_thread *t = NULL;
    char mine[256];

    sys_env_init(&env);
    assert_string_equal(tako_last_error(db), "");
    db_refused(db, "SELECT * FROM c WHERE ((", NULL, TAKO_INVALID, "line 1");
    (void)snprintf(mine, sizeof mine, "%s", tako_last_error(db));
    assert_int_equal(sys_thread_start(&env, fail_on_thread, &f, &t), TAKO_OK);
    sys_thread_join(t);
    assert_non_null(strstr(f.seen, "line 1"));
    assert_string_not_equal(f.seen, mine);
    assert_string_equal(tako_last_error(db), mine);
    /* a success does not take it away */
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_string_equal(tako_last_error(db), mine);
    tako_close(db);
}

static void test_last_error__is_there_for_many_threads_at_once(void **state)
{
    enum { THREADS = 70 };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_env env;
    static failing f[THREADS];
    sys_thread *t[THREADS];

    sys_env_init(&env);
    for (size_t i = 0; i < THREADS; i++) {
        f[i] = (failing){ db, "nonsense", "" };
        assert_int_equal(sys_thread_start(&env, fail_on_thread, &f[i], &t[i]),
                         TAKO_OK);
    }
    for (size_t i = 0; i < THREADS; i++) {
        sys_thread_join(t[i]);
        assert_int_not_equal(f[i].seen[0], '\0');
    }
    tako_close(db);
}

typedef struct log_seen {
    unsigned events;
    bool objects;
} log_seen;

static void on_log(void *ctx, tako_level level, const char *event,
                   const char *fields)
{
    log_seen *s = ctx;

    (void)level;
    s->events++;
    s->objects = s->objects && event[0] != '\0' && fields[0] == '{' &&
                 fields[strlen(fields) - 1] == '}';
}

static void test_log__hears_of_a_copied_file(void **state)
{
    const char *path = db_path(*state, "a.tako");
    const char *copy = db_path(*state, "copy.tako");
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    log_seen seen = { 0, true };
    tako_db *db = db_open(path);
    char command[512];

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    tako_close(db);
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", path, copy);
    assert_int_equal(system(command), 0);
    o.path = copy;
    o.log = on_log;
    o.log_ctx = &seen;
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_OK);
    tako_close(db);
    assert_true(seen.events > 0);
    assert_true(seen.objects);
}

static void test_version__is_three_numbers(void **state)
{
    int a, b, c;

    (void)state;
    assert_int_equal(sscanf(tako_version(), "%d.%d.%d", &a, &b, &c), 3);
}

static void test_close__rolls_open_transactions_back(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    tako_tx *tx = NULL, *reading = NULL;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_ok(db, tako_tx_begin(db, TAKO_TX_READ_ONLY, &reading), "begin");
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(
        db,
        tako_tx_execute(tx, "INSERT INTO c DOCUMENTS ({'_id': 2})", NULL, NULL),
        "insert");
    tako_close(db);
    db = db_open(path);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":1}]");
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_open__makes_a_private_file_and_opens_it_again),
        T(test_open__refuses_what_it_cannot_open),
        T(test_open__says_misuse),
        T(test_open__is_busy_for_the_second_handle),
        T(test_open__keeps_two_databases_apart),
        T(test_last_error__is_the_calling_threads),
        T(test_last_error__is_there_for_many_threads_at_once),
        T(test_log__hears_of_a_copied_file),
        T(test_version__is_three_numbers),
        T(test_close__rolls_open_transactions_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
