// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include "support/test_env.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two ends of a connection, the first as a wire. */
static int pair(wire *w, const tako_env *env)
{
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    wire_init(w, env, fd[0]);
    return fd[1];
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void expect_line(wire *w, const char *text)
{
    tako_slice line;

    assert_int_equal(wire_read_line(w, 1000, &line), TAKO_OK);
    assert_true(tako_slice_eq(line, tako_slice_str(text)));
}

static void test_wire__reads_lines_however_they_come(void **state)
{
    test_env t;
    wire w;
    tako_slice line;
    int fd;

    (void)state;
    test_env_init(&t, 1);
    fd = pair(&w, &t.env);
    say(fd, "one\n\nthr");
    expect_line(&w, "one");
    expect_line(&w, "");
    assert_int_equal(wire_read_line(&w, 10, &line), TAKO_TIMEOUT);
    say(fd, "ee\nfour\nno end");
    expect_line(&w, "three");
    expect_line(&w, "four");
    close(fd);
    assert_int_equal(wire_read_line(&w, 1000, &line), TAKO_CLOSED);
    wire_fini(&w);
    test_env_check_empty(&t);
}

static void test_wire__writes_what_it_splits(void **state)
{
    test_env t;
    wire w, other;
    tako_slice line, json;
    char kind[16];

    (void)state;
    test_env_init(&t, 1);
    wire_init(&other, &t.env, pair(&w, &t.env));
    assert_int_equal(wire_put(&w, "row", tako_slice_str("{\"a\":[1]}")),
                     TAKO_OK);
    assert_int_equal(wire_put(&w, "done", tako_slice_str("7")), TAKO_OK);
    assert_int_equal(wire_read_line(&other, 10, &line), TAKO_TIMEOUT);
    assert_int_equal(wire_flush(&w), TAKO_OK);
    assert_int_equal(wire_read_line(&other, 1000, &line), TAKO_OK);
    assert_true(wire_split(line, kind, &json));
    assert_string_equal(kind, "row");
    assert_true(tako_slice_eq(json, tako_slice_str("{\"a\":[1]}")));
    assert_int_equal(wire_read_line(&other, 1000, &line), TAKO_OK);
    assert_true(wire_split(line, kind, &json));
    assert_string_equal(kind, "done");
    assert_int_equal(wire_put_error(&w, TAKO_BUSY, "a \"b\"\n"), TAKO_OK);
    expect_line(&other, "{\"error\":{\"code\":\"TAKO_BUSY\","
                        "\"text\":\"a \\\"b\\\"\\n\"}}");
    wire_fini(&other);
    /* the other side is gone: an error, not a signal */
    assert_int_equal(wire_put(&w, "row", tako_slice_str("1")), TAKO_OK);
    assert_int_equal(wire_flush(&w), TAKO_CLOSED);
    wire_fini(&w);
    test_env_check_empty(&t);
}

static void test_wire__refuses_lines_that_are_none(void **state)
{
    static const char *const rows[] = {
        "",
        "{}",
        "{\"\"}",
        "{\"a\"}",
        "[\"a\":1]",
        "{\"a\":1",
        "{\"abcdefghijklmnopq\":1}",
        "{\"a\" :1}",
        "{a:1}",
        "{\"a",
    };
    char kind[16];
    tako_slice json;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (wire_split(tako_slice_str(rows[i]), kind, &json))
            fail_msg("%s", rows[i]);
    assert_true(
        wire_split(tako_slice_str("{\"abcdefghijklmno\":1}"), kind, &json));
    assert_string_equal(kind, "abcdefghijklmno");
}

static void test_wire__survives_failing_allocations(void **state)
{
    test_env t;

    (void)state;
    for (long n = 0;; n++) {
        wire w;
        tako_slice line;
        tako_err err;
        int fd;

        test_env_init(&t, 1);
        t.fail_after = n;
        fd = pair(&w, &t.env);
        say(fd, "a line\n");
        err = wire_put(&w, "row", tako_slice_str("1"));
        if (err == TAKO_OK)
            err = wire_flush(&w);
        if (err == TAKO_OK)
            err = wire_read_line(&w, 1000, &line);
        wire_fini(&w);
        close(fd);
        test_env_check_empty(&t);
        if (!t.failed_once)
            break;
        assert_int_equal(err, TAKO_NOMEM);
    }
}

/* ---- sockets ------------------------------------------------------------- */

static int folder_setup(void **state)
{
    static char path[64];

    (void)snprintf(path, sizeof path, "/tmp/tako-wire-XXXXXX");
    *state = mkdtemp(path);
    return *state == NULL ? -1 : 0;
}

static int folder_teardown(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    return system(command);
}

static void in_folder(void **state, const char *name, char out[4096])
{
    (void)snprintf(out, 4096, "%s/%s", (const char *)*state, name);
}

static void test_wire__meets_at_a_socket_of_the_owners(void **state)
{
    char path[4096];
    struct stat st;
    int listener = -1, fd = -1, again = -1;
    tako_errbuf e = { "" };

    in_folder(state, "a.sock", path);
    assert_int_equal(wire_connect(path, &fd, &e), TAKO_NOTFOUND);
    assert_int_equal(wire_listen(path, &listener, &e), TAKO_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(wire_connect(path, &fd, &e), TAKO_OK);
    close(fd);
    close(listener); /* as a killed process leaves it */
    assert_int_equal(wire_connect(path, &fd, &e), TAKO_NOTFOUND);
    assert_int_equal(wire_listen(path, &again, &e), TAKO_OK);
    assert_int_equal(wire_connect(path, &fd, &e), TAKO_OK);
    close(fd);
    close(again);
}

static void test_wire__spares_what_is_no_socket(void **state)
{
    char path[4096];
    int fd;
    tako_errbuf e = { "" };

    in_folder(state, "b.sock", path);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(wire_listen(path, &fd, &e), TAKO_EXISTS);
    assert_non_null(strstr(e.text, "not a socket"));
    assert_int_equal(access(path, F_OK), 0);
    in_folder(state, "no/c.sock", path);
    assert_int_equal(wire_listen(path, &fd, &e), TAKO_NOTFOUND);
}

static void test_wire__takes_long_paths_and_links(void **state)
{
    char path[4096], link[4096], got[4096], name[128];
    int listener = -1, fd = -1;
    tako_errbuf e = { "" };

    memset(name, 'd', 110);
    name[110] = '\0';
    in_folder(state, name, path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)strcat(path, "/x.db");
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    in_folder(state, "link.db", link);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(wire_socket_path(link, got, &e), TAKO_OK);
    (void)strcat(path, ".sock");
    assert_string_equal(got, path);
    assert_int_equal(wire_listen(path, &listener, &e), TAKO_OK);
    assert_int_equal(wire_connect(got, &fd, &e), TAKO_OK);
    close(fd);
    close(listener);
    /* the file's own name is what has a limit */
    memset(name, 'e', 110);
    in_folder(state, name, path);
    assert_int_equal(wire_listen(path, &listener, &e), TAKO_LIMIT);
    assert_non_null(strstr(e.text, "too long"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__reads_lines_however_they_come),
        cmocka_unit_test(test_wire__writes_what_it_splits),
        cmocka_unit_test(test_wire__refuses_lines_that_are_none),
        cmocka_unit_test(test_wire__survives_failing_allocations),
        T(test_wire__meets_at_a_socket_of_the_owners),
        T(test_wire__spares_what_is_no_socket),
        T(test_wire__takes_long_paths_and_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
