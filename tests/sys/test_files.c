// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_files.c mirrors src/sys/files.c. */
#include "support/test_env.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/sys.h"

typedef struct folder {
    test_env t;
    tako_files f;
    char path[64];
    char file[128];
} folder;

static int setup(void **state)
{
    folder *d = calloc(1, sizeof *d);

    test_env_init(&d->t, 1);
    sys_files_init(&d->f, &d->t.env);
    (void)snprintf(d->path, sizeof d->path, "/tmp/tako-files-XXXXXX");
    assert_non_null(mkdtemp(d->path));
    (void)snprintf(d->file, sizeof d->file, "%s/a", d->path);
    *state = d;
    return 0;
}

static int entries(const char *path, bool remove_them)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int n = 0;
    char full[512];

    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        n++;
        (void)snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        if (remove_them)
            (void)unlink(full);
    }
    (void)closedir(dir);
    return n;
}

static int teardown(void **state)
{
    folder *d = *state;

    (void)entries(d->path, true);
    assert_int_equal(rmdir(d->path), 0);
    test_env_check_empty(&d->t);
    free(d);
    return 0;
}

static void test_files__write_replaces_whole_and_private(void **state)
{
    folder *d = *state;
    tako_buf b = tako_buf_on(&d->t.env);
    struct stat st;

    for (size_t len = 0; len <= 70000; len = len * 7 + 1) {
        uint8_t *data = calloc(1, len + 1);
        memset(data, (int)(len & 0xff), len);
        assert_int_equal(
            d->f.write(d->f.ctx, d->file, tako_slice_of(data, len)), TAKO_OK);
        tako_buf_reset(&b);
        assert_int_equal(d->f.read(d->f.ctx, d->file, &b), TAKO_OK);
        assert_int_equal(b.len, len);
        if (len > 0)
            assert_memory_equal(b.ptr, data, len);
        free(data);
    }
    assert_int_equal(stat(d->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(entries(d->path, false), 1); /* no temporary is left */
    tako_buf_fini(&b);
}

static void test_files__failures_have_their_codes(void **state)
{
    folder *d = *state;
    tako_buf b = tako_buf_on(&d->t.env);
    uint64_t dev, ino;
    char none[256];
    uint8_t *big = calloc(1, (1u << 20) + 1);

    (void)snprintf(none, sizeof none, "%s/no/where", d->path);
    assert_int_equal(d->f.read(d->f.ctx, none, &b), TAKO_NOTFOUND);
    assert_int_equal(d->f.identity(d->f.ctx, none, &dev, &ino), TAKO_NOTFOUND);
    assert_int_equal(d->f.remove(d->f.ctx, none), TAKO_NOTFOUND);
    assert_int_equal(d->f.write(d->f.ctx, none, TAKO_SLICE_NONE), TAKO_IO);
    assert_int_equal(d->f.read(d->f.ctx, d->path, &b), TAKO_IO); /* a folder */
    assert_int_equal(d->f.write(d->f.ctx, d->path, TAKO_SLICE_NONE), TAKO_IO);
    assert_int_equal(b.len, 0);
    assert_int_equal(
        d->f.write(d->f.ctx, d->file, tako_slice_of(big, (1u << 20) + 1)),
        TAKO_OK);
    assert_int_equal(d->f.read(d->f.ctx, d->file, &b), TAKO_LIMIT);
    assert_int_equal(b.len, 0);
    free(big);
    tako_buf_fini(&b);
}

static void test_files__read_appends_and_survives_no_memory(void **state)
{
    folder *d = *state;
    tako_buf b = tako_buf_on(&d->t.env);

    assert_int_equal(d->f.write(d->f.ctx, d->file, tako_slice_str("content")),
                     TAKO_OK);
    d->t.fail_after = 0;
    assert_int_equal(d->f.read(d->f.ctx, d->file, &b), TAKO_NOMEM);
    d->t.fail_after = -1;
    tako_buf_reset(&b);
    tako_put_str(&b, "x:");
    assert_int_equal(d->f.read(d->f.ctx, d->file, &b), TAKO_OK);
    assert_string_equal(tako_buf_cstr(&b), "x:content");
    assert_int_equal(d->f.remove(d->f.ctx, d->file), TAKO_OK);
    assert_int_equal(d->f.remove(d->f.ctx, d->file), TAKO_NOTFOUND);
    tako_buf_fini(&b);
}

static void test_files__a_copy_has_another_identity(void **state)
{
    folder *d = *state;
    char copy[256];
    uint64_t dev[3], ino[3];

    (void)snprintf(copy, sizeof copy, "%s/b", d->path);
    assert_int_equal(d->f.write(d->f.ctx, d->file, tako_slice_str("x")), 0);
    assert_int_equal(d->f.write(d->f.ctx, copy, tako_slice_str("x")), 0);
    assert_int_equal(d->f.identity(d->f.ctx, d->file, &dev[0], &ino[0]), 0);
    assert_int_equal(d->f.identity(d->f.ctx, copy, &dev[1], &ino[1]), 0);
    assert_int_equal(d->f.identity(d->f.ctx, d->file, &dev[2], &ino[2]), 0);
    assert_true(ino[0] == ino[2] && dev[0] == dev[2]);
    assert_true(ino[0] != ino[1]);
}

static uint64_t now_ms(void)
{
    tako_env env;

    sys_env_init(&env);
    return env.mono_ms(env.ctx);
}

static void test_files__a_lock_excludes_within_the_process(void **state)
{
    folder *d = *state;
    tako_file_lock *a, *b;
    uint64_t from;

    assert_int_equal(d->f.lock(d->f.ctx, d->file, 0, &a), TAKO_OK);
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 0, &b), TAKO_BUSY);
    from = now_ms();
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 60, &b), TAKO_BUSY);
    assert_true(now_ms() - from >= 60 && now_ms() - from < 2000);
    d->f.unlock(d->f.ctx, a);
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 0, &b), TAKO_OK);
    d->f.unlock(d->f.ctx, b);
    d->f.unlock(d->f.ctx, NULL);
    d->t.fail_after = 0;
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 0, &b), TAKO_NOMEM);
    d->t.fail_after = -1;
}

/* A child takes the lock, says so through a pipe, and lives until told. */
static void
test_files__a_lock_excludes_processes_and_dies_with_them(void **state)
{
    folder *d = *state;
    int ready[2], go[2];
    char c;
    pid_t pid;
    tako_file_lock *lock;

    assert_int_equal(pipe(ready) | pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        if (d->f.lock(d->f.ctx, d->file, 0, &lock) != TAKO_OK)
            _exit(1);
        (void)!write(ready[1], "r", 1);
        (void)!read(go[0], &c, 1);
        _exit(0); /* without unlock */
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 30, &lock), TAKO_BUSY);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(d->f.lock(d->f.ctx, d->file, 10000, &lock), TAKO_OK);
    d->f.unlock(d->f.ctx, lock);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(ready[0]), (void)close(ready[1]);
    (void)close(go[0]), (void)close(go[1]);
}

/* Four processes add to a number 25 times each, reading and writing it only
 * under the lock, while one of them now and then removes the lock's file. */
static void test_files__contended_locks_lose_nothing(void **state)
{
    folder *d = *state;
    char lock_path[256];
    tako_buf b = tako_buf_on(&d->t.env);
    int status;

    (void)snprintf(lock_path, sizeof lock_path, "%s/lock", d->path);
    assert_int_equal(d->f.write(d->f.ctx, d->file, tako_slice_str("0")), 0);
    for (int child = 0; child < 4; child++) {
        if (fork() != 0)
            continue;
        for (int i = 0; i < 25; i++) {
            tako_file_lock *lock;
            char text[32];

            if (d->f.lock(d->f.ctx, lock_path, 15000, &lock) != TAKO_OK)
                _exit(1);
            tako_buf_reset(&b);
            if (d->f.read(d->f.ctx, d->file, &b) != TAKO_OK)
                _exit(2);
            (void)snprintf(text, sizeof text, "%d",
                           atoi(tako_buf_cstr(&b)) + 1);
            if (d->f.write(d->f.ctx, d->file, tako_slice_str(text)) != 0)
                _exit(3);
            if (child == 0 && i % 5 == 0)
                (void)d->f.remove(d->f.ctx, lock_path);
            d->f.unlock(d->f.ctx, lock);
        }
        _exit(0);
    }
    for (int child = 0; child < 4; child++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    tako_buf_reset(&b);
    assert_int_equal(d->f.read(d->f.ctx, d->file, &b), TAKO_OK);
    assert_string_equal(tako_buf_cstr(&b), "100");
    tako_buf_fini(&b);
}

static void test_files__machine_and_boot_are_stable(void **state)
{
    folder *d = *state;
    tako_machine a, b;
    static const uint8_t zero[16];

    d->f.machine(d->f.ctx, &a);
    d->f.machine(d->f.ctx, &b);
    assert_memory_equal(&a, &b, sizeof a);
    if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0)
        assert_memory_not_equal(a.boot, zero, 16);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(test_files__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(write_replaces_whole_and_private),
        T(failures_have_their_codes),
        T(read_appends_and_survives_no_memory),
        T(a_copy_has_another_identity),
        T(a_lock_excludes_within_the_process),
        T(a_lock_excludes_processes_and_dies_with_them),
        T(contended_locks_lose_nothing),
        T(machine_and_boot_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
