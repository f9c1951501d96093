// SPDX-License-Identifier: Apache-2.0
#include "support_byhand.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support_bench.h"

typedef struct pace {
    size_t count;
    unsigned us;
} pace;

typedef struct side {
    sqlite3 *db;
    sqlite3_stmt *update, *select;
} side;

static void all_of(ssize_t n, size_t len)
{
    bench_need(n == (ssize_t)len, "a process by hand ended early", NULL);
}

static void side_open(side *s, const char *dir, const char *name)
{
    char path[600];
    bool ok;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    ok = sqlite3_open(path, &s->db) == SQLITE_OK &&
         sqlite3_exec(s->db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                      "CREATE TABLE probe(id INTEGER PRIMARY KEY, doc TEXT);"
                      "INSERT INTO probe VALUES(1, '{\"at\":0}')",
                      NULL, NULL, NULL) == SQLITE_OK &&
         sqlite3_prepare_v2(s->db,
                            "UPDATE probe SET doc=json_set(doc,'$.at',?1)"
                            " WHERE id=1",
                            -1, &s->update, NULL) == SQLITE_OK &&
         sqlite3_prepare_v2(s->db, "SELECT doc->>'$.at' FROM probe", -1,
                            &s->select, NULL) == SQLITE_OK;
    bench_need(ok, "SQLite by hand", sqlite3_errmsg(s->db));
}

static void side_write(side *s, uint64_t at)
{
    (void)sqlite3_bind_int64(s->update, 1, (int64_t)at);
    bench_need(sqlite3_step(s->update) == SQLITE_DONE, "UPDATE by hand",
               sqlite3_errmsg(s->db));
    (void)sqlite3_reset(s->update);
}

static uint64_t side_read(side *s)
{
    uint64_t at;

    bench_need(sqlite3_step(s->select) == SQLITE_ROW, "SELECT by hand",
               sqlite3_errmsg(s->db));
    at = (uint64_t)sqlite3_column_int64(s->select, 0);
    (void)sqlite3_reset(s->select);
    return at;
}

static uint64_t nanoseconds(void)
{
    return (uint64_t)(bench_now() * 1e9);
}

/* ---- the two processes --------------------------------------------------------- */

static void no_delay(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

_Noreturn static void writer(const char *dir, int commands,
                             const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    side s;
    pace p;

    bench_need(connect(fd, (const struct sockaddr *)to, sizeof *to) == 0,
               "connect", NULL);
    no_delay(fd);
    side_open(&s, dir, "writer.db");
    while (read(commands, &p, sizeof p) == (ssize_t)sizeof p)
        for (size_t i = 0; i < p.count; i++) {
            struct timespec pause = { 0, (long)p.us * 1000 };
            uint64_t at;

            (void)nanosleep(&pause, NULL);
            at = nanoseconds();
            side_write(&s, at);
            all_of(write(fd, &at, sizeof at), sizeof at);
        }
    _exit(0);
}

_Noreturn static void reader(const char *dir, int listener, int results)
{
    int fd = accept(listener, NULL, NULL);
    side s;
    uint64_t at;

    no_delay(fd);
    side_open(&s, dir, "reader.db");
    while (read(fd, &at, sizeof at) == (ssize_t)sizeof at) {
        double ms;

        side_write(&s, at);
        ms = (double)(nanoseconds() - side_read(&s)) / 1e6;
        all_of(write(results, &ms, sizeof ms), sizeof ms);
    }
    _exit(0);
}

void bench_byhand_start(bench_byhand *b, const char *dir)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int commands[2], results[2];

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
                   listen(listener, 1) == 0 &&
                   getsockname(listener, (struct sockaddr *)&at, &len) == 0 &&
                   pipe2(commands, O_CLOEXEC) == 0 &&
                   pipe2(results, O_CLOEXEC) == 0,
               "a socket and pipes", NULL);
    b->reader = fork();
    if (b->reader == 0) {
        (void)close(commands[1]);
        reader(dir, listener, results[1]);
    }
    b->writer = fork();
    if (b->writer == 0) {
        (void)close(commands[1]);
        writer(dir, commands[0], &at);
    }
    bench_need(b->reader > 0 && b->writer > 0, "fork", NULL);
    (void)close(listener);
    (void)close(commands[0]);
    (void)close(results[1]);
    b->to_writer = commands[1];
    b->from_reader = results[0];
}

void bench_byhand_pace(bench_byhand *b, size_t count, unsigned us,
                       double out[2])
{
    pace p;
    double *ms = calloc(count, sizeof *ms);

    bench_need(ms != NULL, "memory", NULL);
    memset(&p, 0, sizeof p);
    p.count = count;
    p.us = us;
    all_of(write(b->to_writer, &p, sizeof p), sizeof p);
    for (size_t i = 0; i < count; i++)
        all_of(read(b->from_reader, &ms[i], sizeof ms[i]), sizeof ms[i]);
    out[0] = bench_percentile(ms, count, 0.5);
    out[1] = bench_percentile(ms, count, 0.99);
    free(ms);
}

void bench_byhand_end(bench_byhand *b)
{
    (void)close(b->to_writer);
    (void)waitpid(b->writer, NULL, 0);
    (void)close(b->from_reader);
    (void)waitpid(b->reader, NULL, 0);
}
