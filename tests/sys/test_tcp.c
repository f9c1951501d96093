// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_tcp.c mirrors src/sys/tcp.c, over real loopback sockets. A
 * `world` is one loop with a listener whose streams echo, drop or flood. All
 * of its state is for the loop's thread; the test thread polls atomics. */
#include "support/test_env.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/sys.h"

#define END_MAX 600

typedef enum mode { ECHO, DROP, REFUSE, CLOSE_FLUSHED, SLOW } mode;

typedef struct world world;

/* One end of a connection. */
typedef struct end {
    world *w;
    tako_stream *stream;
    bool accepted;
    bool open;
    int opens, closes, after_close;
    size_t received, to_send;
    uint64_t sum; /* of received bytes, position-weighted */
    tako_err why;
    char detail[200];
} end;

struct world {
    tako_env env;
    tako_net net;
    sys_loop *loop;
    tako_listener *listener;
    mode mode;
    char bound[TAKO_ADDRESS_BYTES_MAX];
    end ends[END_MAX];
    int end_count;
    _Atomic int opened, closed, accepted;
    _Atomic size_t received, drained;
    _Atomic unsigned reads, reads_before_post; /* SLOW */
    const char *dial;
    size_t dial_send;
    bool dial_close;
    tako_err dial_err;
    tako_errbuf e;
};

static void on_open(void *user)
{
    end *x = user;

    x->open = true;
    x->opens++;
    x->w->opened++;
}

static void note_reads(void *arg)
{
    world *w = arg;

    w->reads_before_post = w->reads;
}

/* Bytes come faster than they are taken. */
static void read_slowly(world *w)
{
    struct timespec t = { 0, 4000000 };

    if (w->reads++ == 0 && w->net.post(w->net.ctx, note_reads, w) != TAKO_OK)
        abort();
    (void)nanosleep(&t, NULL);
}

static void on_data(void *user, tako_slice data)
{
    end *x = user;

    if (x->w->mode == SLOW)
        read_slowly(x->w);
    x->after_close += x->closes;
    for (size_t i = 0; i < data.len; i++)
        x->sum += (uint64_t)data.ptr[i] * (x->received + i + 1);
    x->received += data.len;
    x->w->received += data.len;
    if (x->accepted && x->w->mode == ECHO)
        (void)x->w->net.send(x->stream, data);
    if (x->accepted && x->w->mode == CLOSE_FLUSHED) {
        static uint8_t big[3 << 20];
        (void)x->w->net.send(x->stream, tako_slice_of(big, sizeof big));
        x->w->net.close(x->stream, true);
        if (x->w->net.send(x->stream, data) != TAKO_CLOSED)
            abort();
    }
}

static void on_drain(void *user)
{
    end *x = user;

    if (x->w->net.queued(x->stream) != 0)
        abort();
    x->w->drained++;
}

static void on_close(void *user, tako_err why, const char *detail)
{
    end *x = user;

    x->closes++;
    x->why = why;
    (void)snprintf(x->detail, sizeof x->detail, "%s", detail);
    x->stream = NULL;
    x->w->closed++;
}

static const tako_stream_events events = { on_open, on_data, on_drain,
                                           on_close };

static end *end_new(world *w)
{
    end *x = &w->ends[w->end_count++];

    if (w->end_count == END_MAX)
        abort();
    x->w = w;
    return x;
}

static void *on_accept(void *ctx, tako_stream *stream, const char *remote,
                       const tako_stream_events **out)
{
    world *w = ctx;
    end *x;

    if (strncmp(remote, "tcp://", 6) != 0)
        abort();
    w->accepted++;
    if (w->mode == REFUSE)
        return NULL;
    x = end_new(w);
    x->stream = stream;
    x->accepted = x->open = true;
    *out = &events;
    return x;
}

static void do_listen(void *arg)
{
    world *w = arg;

    w->dial_err = w->net.listen(w->net.ctx, w->dial, on_accept, w, &w->listener,
                                w->bound, &w->e);
}

static void do_unlisten(void *arg)
{
    world *w = arg;

    w->net.unlisten(w->net.ctx, w->listener);
}

static void do_dial(void *arg)
{
    world *w = arg;
    end *x = end_new(w);

    w->dial_err =
        w->net.dial(w->net.ctx, w->dial, &events, x, &x->stream, &w->e);
    if (w->dial_err == TAKO_OK && w->dial_send > 0) {
        /* before it is open, in uneven pieces */
        uint8_t piece[1000];
        size_t left = w->dial_send, n;
        for (size_t i = 0; left > 0; i++, left -= n) {
            n = 1 + i * 37 % sizeof piece;
            n = n < left ? n : left;
            for (size_t j = 0; j < n; j++)
                piece[j] = (uint8_t)((w->dial_send - left + j) * 7);
            if (w->net.send(x->stream, tako_slice_of(piece, n)) != TAKO_OK)
                abort();
        }
    }
    if (w->dial_err == TAKO_OK && w->dial_close)
        w->net.close(x->stream, true);
}

static void do_close_all(void *arg)
{
    world *w = arg;

    for (int i = 0; i < w->end_count; i++)
        if (w->ends[i].stream != NULL) {
            w->net.close(w->ends[i].stream, false);
            w->net.close(w->ends[i].stream, true); /* no-op */
        }
}

static void world_start(world *w, const char *address, mode m)
{
    memset(w, 0, sizeof *w);
    w->mode = m;
    w->dial = address;
    sys_env_init(&w->env);
    assert_int_equal(sys_loop_start(&w->env, &w->loop, &w->net, NULL), 0);
    assert_int_equal(sys_loop_call(w->loop, do_listen, w), TAKO_OK);
    assert_int_equal(w->dial_err, TAKO_OK);
    w->dial = w->bound;
}

/* At the end every stream that ever was has closed once, and last. */
static void world_stop(world *w)
{
    sys_loop_stop(w->loop);
    for (int i = 0; i < w->end_count; i++) {
        assert_int_equal(w->ends[i].closes, w->ends[i].w != NULL ? 1 : 0);
        assert_int_equal(w->ends[i].after_close, 0);
        assert_true(w->ends[i].opens <= 1);
    }
}

static void nap(void)
{
    struct timespec t = { 0, 2000000 };

    (void)nanosleep(&t, NULL);
}

#define WAIT_FOR(cond)                                                         \
    do {                                                                       \
        for (int tries_ = 0; tries_ < 5000 && !(cond); tries_++)               \
            nap();                                                             \
        assert_true(cond);                                                     \
    } while (0)

static void dial(world *w)
{
    assert_int_equal(sys_loop_call(w->loop, do_dial, w), TAKO_OK);
}

static world the_world; /* too large for the stack of a test */

static void echo_over(const char *address)
{
    world *w = &the_world;
    uint64_t want = 0;

    world_start(w, address, ECHO);
    w->dial_send = 3000000;
    for (size_t i = 0; i < w->dial_send; i++)
        want += (uint64_t)(uint8_t)(i * 7) * (i + 1);
    dial(w);
    WAIT_FOR(w->received == 2 * w->dial_send);
    world_stop(w);
    assert_int_equal(w->end_count, 2);
    for (int i = 0; i < 2; i++)
        assert_true(w->ends[i].sum == want);
    assert_true(w->drained >= 2);
    assert_int_equal(w->ends[0].opens, 1);
}

static void test_tcp__bytes_arrive_whole_and_in_order(void **state)
{
    (void)state;
    echo_over("tcp://127.0.0.1:0");
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6,
                              .sin6_addr = in6addr_loopback };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static void test_tcp__over_ipv6_too(void **state)
{
    (void)state;
    if (has_ipv6())
        echo_over("tcp://[::1]:0");
    else
        skip();
}

/* "localhost" may resolve to ::1 first, where nobody listens: then the next
 * address is tried. */
static void test_tcp__names_are_resolved_and_each_address_tried(void **state)
{
    world *w = &the_world;
    char name[TAKO_ADDRESS_BYTES_MAX];

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", DROP);
    (void)snprintf(name, sizeof name, "tcp://localhost:%s",
                   strrchr(w->bound, ':') + 1);
    w->dial = name;
    w->dial_send = 10;
    dial(w);
    WAIT_FOR(w->received == 10 || w->closed > 0);
    assert_int_equal(w->received, 10);
    world_stop(w);
}

static void test_tcp__a_refused_dial_closes_once_with_the_reason(void **state)
{
    world *w = &the_world;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", DROP);
    assert_int_equal(sys_loop_call(w->loop, do_unlisten, w), TAKO_OK);
    for (int i = 0; i < 20; i++)
        dial(w);
    WAIT_FOR(w->closed == 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(w->ends[i].why, TAKO_UNREACH);
        assert_non_null(strstr(w->ends[i].detail, "refused"));
        assert_non_null(strstr(w->ends[i].detail, w->bound));
    }
    assert_int_equal(w->opened, 0);
    world_stop(w);
}

/* ".invalid" never resolves (RFC 6761). Where the resolver is slow the stop
 * must still not wait for it. */
static void test_tcp__a_name_that_does_not_resolve(void **state)
{
    world *w = &the_world;
    uint64_t from;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", DROP);
    w->dial = "tcp://no-such-host.invalid:1";
    for (int i = 0; i < 40; i++)
        dial(w); /* more than may be looked up at once */
    for (int i = 0; i < 500 && w->closed < 40; i++)
        nap();
    from = w->env.mono_ms(NULL);
    world_stop(w);
    assert_true(w->env.mono_ms(NULL) - from < 2000);
    for (int i = 0; i < 40; i++)
        assert_true(w->ends[i].why == TAKO_UNREACH ||
                    w->ends[i].why == TAKO_CLOSED);
}

static void test_tcp__wrong_addresses_are_told_at_once(void **state)
{
    static const char *const wrong[] = { "", "tcp://", "tcp://1.2.3.4:0",
                                         "http://a:1" };
    world *w = &the_world;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", DROP);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        w->dial = wrong[i];
        dial(w);
        assert_int_equal(w->dial_err, TAKO_INVALID);
        w->end_count--;
    }
    w->dial = w->bound; /* in use */
    assert_int_equal(sys_loop_call(w->loop, do_listen, w), TAKO_OK);
    assert_int_equal(w->dial_err, TAKO_IO);
    assert_non_null(strstr(w->e.text, "in use"));
    memset(w->ends, 0, sizeof w->ends);
    world_stop(w);
}

static void test_tcp__a_refusing_accepter_leaves_no_stream(void **state)
{
    world *w = &the_world;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", REFUSE);
    for (int i = 0; i < 10; i++)
        dial(w);
    WAIT_FOR(w->closed == 10);
    assert_int_equal(w->accepted, 10);
    for (int i = 0; i < 10; i++)
        assert_true(w->ends[i].why == TAKO_CLOSED || w->ends[i].why == TAKO_IO);
    world_stop(w);
}

/* The accepter answers 3 MB and closes while the dialler still sends. */
static void test_tcp__close_with_flush_sends_all_that_was_queued(void **state)
{
    world *w = &the_world;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", CLOSE_FLUSHED);
    w->dial_send = 300000;
    dial(w);
    WAIT_FOR(w->closed == 2);
    assert_int_equal(w->ends[0].received, 3u << 20);
    world_stop(w);
}

static void test_tcp__streams_closed_while_they_write(void **state)
{
    world *w = &the_world;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", ECHO);
    w->dial_send = 2000000;
    for (int round = 0; round < 10; round++) {
        dial(w);
        while (w->received < (size_t)round * 1000)
            nap();
        assert_int_equal(sys_loop_call(w->loop, do_close_all, w), TAKO_OK);
    }
    w->dial_close = true; /* also before they are open */
    for (int round = 0; round < 10; round++)
        dial(w);
    world_stop(w);
}

static void test_tcp__stop_closes_what_is_open(void **state)
{
    world *w = &the_world;

    (void)state;
    for (int round = 0; round < 5; round++) {
        world_start(w, "tcp://127.0.0.1:0", ECHO);
        w->dial_send = (size_t)round * 500000;
        for (int i = 0; i < 20; i++)
            dial(w);
        for (int i = 0; i < round; i++)
            nap();
        world_stop(w);
    }
}

/* A peer that resets the connection: our next writes fail, and the signal that
 * the kernel sends for it must not reach the program (its default is death). */
static void test_tcp__a_reset_is_an_error_and_not_a_signal(void **state)
{
    world *w = &the_world;
    struct sockaddr_in a = { .sin_family = AF_INET };
    struct linger hard = { 1, 0 };

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", CLOSE_FLUSHED);
    a.sin_port = htons((uint16_t)atoi(strrchr(w->bound, ':') + 1));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(write(fd, "x", 1), 1);
        if (i % 2 == 0)
            nap();
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        (void)close(fd);
    }
    WAIT_FOR(w->closed == w->accepted);
    world_stop(w);
}

/* A stream that always has more gives the loop no more than one buffer a turn:
 * what others posted, wrote or timed does not wait for it. */
static void test_tcp__a_flood_does_not_hold_up_the_loop(void **state)
{
    static const uint8_t flood[4 << 20];
    world *w = &the_world;
    struct sockaddr_in a = { .sin_family = AF_INET };
    size_t sent = 0;
    int fd;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", SLOW);
    a.sin_port = htons((uint16_t)atoi(strrchr(w->bound, ':') + 1));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    while (sent < sizeof flood) {
        ssize_t n = write(fd, flood + sent, sizeof flood - sent);

        assert_true(n > 0);
        sent += (size_t)n;
    }
    WAIT_FOR(w->received == sizeof flood);
    assert_in_range(w->reads_before_post, 1, 2);
    (void)close(fd);
    WAIT_FOR(w->closed == 1);
    world_stop(w);
}

static void test_tcp__no_more_streams_than_the_limit(void **state)
{
    static int fds[TAKO_LINKS_MAX + 20];
    world *w = &the_world;
    struct sockaddr_in a = { .sin_family = AF_INET };
    int cut = 0;
    char c;

    (void)state;
    world_start(w, "tcp://127.0.0.1:0", DROP);
    a.sin_port = htons((uint16_t)atoi(strrchr(w->bound, ':') + 1));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < TAKO_LINKS_MAX + 20; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof a), 0);
    }
    WAIT_FOR(w->accepted == TAKO_LINKS_MAX);
    for (size_t i = TAKO_LINKS_MAX; i < TAKO_LINKS_MAX + 20; i++)
        cut += read(fds[i], &c, 1) <= 0;
    assert_int_equal(cut, 20);
    for (size_t i = 0; i < TAKO_LINKS_MAX + 20; i++)
        (void)close(fds[i]);
    WAIT_FOR(w->closed == TAKO_LINKS_MAX);
    world_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp__bytes_arrive_whole_and_in_order),
        cmocka_unit_test(test_tcp__over_ipv6_too),
        cmocka_unit_test(test_tcp__names_are_resolved_and_each_address_tried),
        cmocka_unit_test(test_tcp__a_refused_dial_closes_once_with_the_reason),
        cmocka_unit_test(test_tcp__a_name_that_does_not_resolve),
        cmocka_unit_test(test_tcp__wrong_addresses_are_told_at_once),
        cmocka_unit_test(test_tcp__a_refusing_accepter_leaves_no_stream),
        cmocka_unit_test(test_tcp__close_with_flush_sends_all_that_was_queued),
        cmocka_unit_test(test_tcp__streams_closed_while_they_write),
        cmocka_unit_test(test_tcp__stop_closes_what_is_open),
        cmocka_unit_test(test_tcp__a_reset_is_an_error_and_not_a_signal),
        cmocka_unit_test(test_tcp__a_flood_does_not_hold_up_the_loop),
        cmocka_unit_test(test_tcp__no_more_streams_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
