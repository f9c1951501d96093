// SPDX-License-Identifier: Apache-2.0
/* TCP streams over libuv.
 *
 *   dial:   LOOKUP -> CONNECT -> OPEN -> FLUSH -> CLOSING -> gone
 *   accept:                      OPEN    (any state may go to CLOSING)
 *
 * Writes. send() appends to `pending` and puts the stream on the loop's dirty
 * list; the list is worked off once per turn of the loop, so that many small
 * sends become one write(2). What the socket does not take at once moves to
 * `writing`, which belongs to libuv until its callback; meanwhile `pending`
 * fills again. on_drain is told when both are empty.
 *
 * Reads. One buffer a turn of the loop: libuv would go on for 32 while there is
 * more, and on a fast link with a slow receiver there always is. Then writes,
 * timers and posts, and other streams, would wait for all that is made of them.
 *
 * Close. With flush a stream writes what is queued, sends FIN and waits for
 * the peer's, reading and dropping meanwhile: closing a socket with unread
 * input would make the kernel send RST, and the peer would lose our last
 * words. At most SYS_FLUSH_MS. In all cases on_close is called once, from the
 * libuv close callback of the last of the two handles (socket, timer).
 *
 * Dial. Numeric addresses connect at once. A name goes to lookup.c, and its
 * addresses are tried one after the other; each try needs a new socket, so
 * the handle is closed and made again between tries. */
#include "sys/loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

typedef enum stream_state {
    STREAM_LOOKUP,
    STREAM_CONNECT,
    STREAM_OPEN,
    STREAM_FLUSH,
    STREAM_CLOSING,
    STREAM_STATES,
} stream_state;

#define TO(s) (1u << (STREAM_##s))
static const unsigned stream_allowed[STREAM_STATES] = {
    [STREAM_LOOKUP] = TO(CONNECT) | TO(CLOSING),
    [STREAM_CONNECT] = TO(CONNECT) | TO(OPEN) | TO(CLOSING),
    [STREAM_OPEN] = TO(FLUSH) | TO(CLOSING),
    [STREAM_FLUSH] = TO(CLOSING),
    [STREAM_CLOSING] = 0,
};
#undef TO

struct tako_stream {
    sys_loop *loop;
    tako_stream *next, *prev; /* in loop->streams */
    tako_stream *dirty_next;
    bool dirty;
    stream_state state;

    const tako_stream_events *events; /* NULL: closes silently */
    void *user;

    uv_tcp_t tcp;
    uv_timer_t timer; /* dial and flush time limits */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    bool tcp_live;  /* initialised and not closed */
    bool read_full; /* by the last read; the next is for another turn */
    bool write_busy;
    int handles;

    tako_buf pending, writing;
    size_t written; /* of `writing` */

    sys_lookup *lookup;
    struct sockaddr_storage ips[SYS_DIAL_TRIES_MAX];
    size_t ip_count, ip_next;
    uint64_t dial_end; /* on the loop's clock */

    tako_err why;
    tako_errbuf detail;
};

struct tako_listener {
    sys_loop *loop;
    tako_listener *next, *prev;
    uv_tcp_t tcp;
    tako_accept_fn *accept;
    void *accept_ctx;
};

static void stream_connect_next(tako_stream *s);
static void stream_write(tako_stream *s);

/* The only place that writes s->state. */
static void stream_move(tako_stream *s, stream_state next)
{
    TAKO_ASSERT((stream_allowed[s->state] & (1u << next)) != 0);
    s->state = next;
}

/* ---- birth and death ---------------------------------------------------- */

static tako_stream *stream_new(sys_loop *l, stream_state state)
{
    tako_stream *s = tako_env_alloc(l->env, sizeof *s);

    if (s == NULL)
        return NULL;
    s->loop = l;
    s->state = state;
    s->pending = tako_buf_on(l->env);
    s->writing = tako_buf_on(l->env);
    s->why = TAKO_CLOSED;
    (void)uv_timer_init(&l->uv, &s->timer);
    s->timer.data = s;
    s->handles = 1;
    s->next = l->streams;
    if (s->next != NULL)
        s->next->prev = s;
    l->streams = s;
    l->stream_count++;
    return s;
}

static tako_err stream_socket(tako_stream *s)
{
    if (uv_tcp_init(&s->loop->uv, &s->tcp) != 0)
        return TAKO_IO;
    s->tcp.data = s;
    s->tcp_live = true;
    s->handles++;
    return TAKO_OK;
}

static void stream_clean(tako_stream *s)
{
    tako_stream **p = &s->loop->dirty;

    while (s->dirty && *p != s)
        p = &(*p)->dirty_next;
    if (s->dirty)
        *p = s->dirty_next;
    s->dirty = false;
}

static void stream_gone(tako_stream *s)
{
    sys_loop *l = s->loop;

    stream_clean(s);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        l->streams = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    l->stream_count--;
    if (s->events != NULL && s->user != NULL)
        s->events->on_close(s->user, s->why, s->detail.text);
    tako_buf_fini(&s->pending);
    tako_buf_fini(&s->writing);
    tako_env_free(l->env, s, sizeof *s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    tako_stream *s = handle->data;

    s->handles--;
    if (s->state != STREAM_CLOSING) {
        /* a try to connect failed and has made room for the next */
        stream_connect_next(s);
        return;
    }
    if (s->handles == 0)
        stream_gone(s);
}

static void stream_close_socket(tako_stream *s)
{
    if (!s->tcp_live)
        return;
    s->tcp_live = false;
    uv_close((uv_handle_t *)&s->tcp, on_handle_closed);
}

/* Every way to the end. The first reason given stays. */
static void stream_end(tako_stream *s, tako_err why, const char *detail)
{
    if (s->state == STREAM_CLOSING)
        return;
    if (s->state != STREAM_FLUSH)
        (void)tako_fail(&s->detail, s->why = why, "%s", detail);
    stream_move(s, STREAM_CLOSING);
    if (s->lookup != NULL)
        lookup_abandon(s->lookup);
    s->lookup = NULL;
    stream_clean(s);
    stream_close_socket(s);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

/* ---- reading ------------------------------------------------------------ */

/* A buffer of no length ends libuv's reading in this turn (UV_ENOBUFS). It asks
 * for another at once only after a read that filled the one before. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    tako_stream *s = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)s->loop->read_buf,
                       s->read_full ? 0 : SYS_READ_BYTES);
    s->read_full = false;
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    tako_stream *s = tcp->data;

    if (n == UV_ENOBUFS)
        return;
    s->read_full = n > 0 && (size_t)n == buf->len;
    if (n == UV_EOF)
        stream_end(s, TAKO_CLOSED, "the peer closed the connection");
    else if (n < 0)
        stream_end(s, TAKO_IO, uv_strerror((int)n));
    else if (n > 0 && s->state == STREAM_OPEN)
        s->events->on_data(s->user, tako_slice_of(buf->base, (size_t)n));
}

/* What is not under way yet stays with us, where what is urgent overtakes what
 * is not; the kernel would queue megabytes in front of it. */
static void unsent_low(tako_stream *s)
{
#ifdef TCP_NOTSENT_LOWAT
    int bytes = SYS_UNSENT_BYTES;
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
                         sizeof bytes);
#else
    (void)s;
#endif
}

static void stream_opened(tako_stream *s)
{
    int rc;

    (void)uv_timer_stop(&s->timer);
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, 60);
    unsent_low(s);
    rc = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
    if (rc != 0)
        stream_end(s, TAKO_IO, uv_strerror(rc));
}

/* ---- writing ------------------------------------------------------------ */

static void stream_set_dirty(tako_stream *s)
{
    sys_loop *l = s->loop;

    if (s->dirty)
        return;
    s->dirty = true;
    s->dirty_next = l->dirty;
    l->dirty = s;
    if (!l->closing)
        (void)uv_idle_start(&l->flush, tcp_flush_dirty);
}

void tcp_flush_dirty(uv_idle_t *handle)
{
    sys_loop *l = handle->data;
    size_t turn = l->stream_count; /* on_drain may make streams dirty again */

    while (l->dirty != NULL && turn-- > 0) {
        tako_stream *s = l->dirty;

        l->dirty = s->dirty_next;
        s->dirty = false;
        stream_write(s);
    }
    if (l->dirty == NULL)
        (void)uv_idle_stop(handle);
}

static void buf_empty(tako_buf *b)
{
    tako_buf_reset(b);
    if (b->cap > SYS_BUF_KEEP_BYTES)
        tako_buf_fini(b);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    tako_stream *s = req->data;

    if (status < 0)
        stream_end(s, TAKO_IO, uv_strerror(status));
}

static void stream_drained(tako_stream *s)
{
    buf_empty(&s->pending);
    buf_empty(&s->writing);
    s->written = 0;
    if (s->state == STREAM_FLUSH) {
        s->shutdown.data = s;
        if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown) != 0)
            stream_end(s, TAKO_IO, "");
    } else if (s->events->on_drain != NULL) {
        s->events->on_drain(s->user);
    }
}

static void on_written(uv_write_t *req, int status)
{
    tako_stream *s = req->data;

    s->write_busy = false;
    if (s->state == STREAM_CLOSING)
        return;
    if (status < 0) {
        stream_end(s, TAKO_IO, uv_strerror(status));
        return;
    }
    tako_buf_reset(&s->writing);
    s->written = 0;
    if (s->pending.len > 0)
        stream_write(s);
    else
        stream_drained(s);
}

static uv_buf_t rest_of(const tako_buf *b, size_t from)
{
    return uv_buf_init((char *)b->ptr + from, (unsigned)(b->len - from));
}

/* Gives `pending` to the socket. */
static void stream_write(tako_stream *s)
{
    uv_stream_t *tcp = (uv_stream_t *)&s->tcp;
    tako_buf swap;
    uv_buf_t part;
    int n, rc;

    if ((s->state != STREAM_OPEN && s->state != STREAM_FLUSH) || s->write_busy)
        return;
    if (s->pending.len == 0)
        return;
    part = rest_of(&s->pending, 0);
    n = uv_try_write(tcp, &part, 1);
    if (n < 0 && n != UV_EAGAIN) {
        stream_end(s, TAKO_IO, uv_strerror(n));
        return;
    }
    s->written = n > 0 ? (size_t)n : 0;
    if (s->written == s->pending.len) {
        stream_drained(s);
        return;
    }
    swap = s->writing;
    s->writing = s->pending;
    s->pending = swap;
    part = rest_of(&s->writing, s->written);
    s->write.data = s;
    rc = uv_write(&s->write, tcp, &part, 1, on_written);
    if (rc != 0) {
        stream_end(s, rc == UV_ENOMEM ? TAKO_NOMEM : TAKO_IO, uv_strerror(rc));
        return;
    }
    s->write_busy = true;
}

static tako_err tcp_send(tako_stream *s, tako_slice data)
{
    if (s->state == STREAM_CLOSING || s->state == STREAM_FLUSH)
        return TAKO_CLOSED;
    if (data.len == 0)
        return TAKO_OK;
    if (data.len > UINT32_MAX - s->pending.len) /* libuv counts in 32 bits */
        return TAKO_NOMEM;
    tako_put_bytes(&s->pending, data);
    if (s->pending.failed) {
        s->pending.failed = false; /* what was queued before is still whole */
        return TAKO_NOMEM;
    }
    if (s->state == STREAM_OPEN)
        stream_set_dirty(s);
    return TAKO_OK;
}

static size_t tcp_queued(const tako_stream *s)
{
    size_t writing = s->writing.len - s->written;

    if (s->write_busy)
        writing = uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp);
    return s->pending.len + writing;
}

static void on_flush_timer(uv_timer_t *timer)
{
    stream_end(timer->data, TAKO_TIMEOUT, "");
}

static void tcp_close(tako_stream *s, bool flush)
{
    if (s->state == STREAM_CLOSING || (flush && s->state == STREAM_FLUSH))
        return;
    if (!flush || s->state != STREAM_OPEN || s->loop->closing) {
        stream_end(s, TAKO_CLOSED, "closed here");
        return;
    }
    (void)tako_fail(&s->detail, s->why = TAKO_CLOSED, "closed here");
    stream_move(s, STREAM_FLUSH);
    uv_update_time(&s->loop->uv);
    (void)uv_timer_start(&s->timer, on_flush_timer, SYS_FLUSH_MS, 0);
    if (tcp_queued(s) == 0)
        stream_drained(s);
}

/* ---- dialling ----------------------------------------------------------- */

static void dial_failed(tako_stream *s, tako_err why, const char *text)
{
    char where[TAKO_ADDRESS_BYTES_MAX];
    tako_errbuf detail;

    if (s->ip_next < s->ip_count && s->state == STREAM_CONNECT) {
        stream_close_socket(s); /* on_handle_closed tries the next */
        return;
    }
    if (s->ip_next == 0) {
        stream_end(s, why, text);
        return;
    }
    address_print(&s->ips[s->ip_next - 1], where);
    (void)tako_fail(&detail, why, "%s: %s", where, text);
    stream_end(s, why, detail.text);
}

static void on_dial_timer(uv_timer_t *timer)
{
    dial_failed(timer->data, TAKO_TIMEOUT, "no answer in time");
}

static void on_connect(uv_connect_t *req, int status)
{
    tako_stream *s = req->data;

    /* Cancelled: the socket was closed here, by the end or by the timer. */
    if (status == UV_ECANCELED || s->state != STREAM_CONNECT || !s->tcp_live)
        return;
    if (status < 0) {
        dial_failed(s, TAKO_UNREACH, uv_strerror(status));
        return;
    }
    stream_move(s, STREAM_OPEN);
    stream_opened(s);
    if (s->state != STREAM_OPEN)
        return;
    if (s->pending.len > 0)
        stream_set_dirty(s);
    s->events->on_open(s->user);
}

static void stream_connect_next(tako_stream *s)
{
    const struct sockaddr *ip = (const void *)&s->ips[s->ip_next];
    uint64_t now, limit;
    int rc;

    TAKO_ASSERT(s->ip_next < s->ip_count);
    s->ip_next++;
    uv_update_time(&s->loop->uv);
    now = uv_now(&s->loop->uv);
    limit = s->dial_end > now ? s->dial_end - now : 0;
    if (s->ip_next < s->ip_count && limit > SYS_DIAL_TRY_MS)
        limit = SYS_DIAL_TRY_MS;
    if (limit == 0) {
        s->ip_next = s->ip_count;
        dial_failed(s, TAKO_TIMEOUT, "no answer in time");
        return;
    }
    (void)uv_timer_start(&s->timer, on_dial_timer, limit, 0);
    stream_move(s, STREAM_CONNECT);
    if (stream_socket(s) != TAKO_OK) {
        s->ip_next = s->ip_count;
        dial_failed(s, TAKO_IO, "no socket");
        return;
    }
    s->connect.data = s;
    rc = uv_tcp_connect(&s->connect, &s->tcp, ip, on_connect);
    if (rc != 0)
        dial_failed(s, TAKO_UNREACH, uv_strerror(rc));
}

static void on_lookup(void *user, const struct sockaddr_storage *ips,
                      size_t count, const char *reason)
{
    tako_stream *s = user;

    s->lookup = NULL;
    if (count == 0) {
        dial_failed(s, TAKO_UNREACH, reason);
        return;
    }
    memcpy(s->ips, ips, count * sizeof *ips);
    s->ip_count = count;
    stream_connect_next(s);
}

/* A failure that is known at once is still told later, by on_close. */
static void on_fail_soon(uv_timer_t *timer)
{
    dial_failed(timer->data, TAKO_UNREACH, "too many names are looked up");
}

static tako_err tcp_dial(void *ctx, const char *address,
                         const tako_stream_events *events, void *user,
                         tako_stream **out, tako_errbuf *e)
{
    sys_loop *l = ctx;
    sys_address parsed;
    tako_stream *s;
    tako_err err;

    TAKO_ARG(events != NULL && user != NULL && out != NULL);
    TAKO_TRY(address_parse(address, &parsed, e));
    if (parsed.port == 0)
        return tako_fail(e, TAKO_INVALID, "port 0 cannot be dialled");
    if (l->closing)
        return TAKO_CLOSED;
    s = stream_new(l, STREAM_LOOKUP);
    if (s == NULL)
        return TAKO_NOMEM;
    uv_update_time(&l->uv);
    s->dial_end = uv_now(&l->uv) + SYS_DIAL_MS;
    if (parsed.numeric) {
        s->ips[0] = parsed.ip;
        s->ip_count = 1;
        stream_connect_next(s);
    } else {
        (void)uv_timer_start(&s->timer, on_dial_timer, SYS_DIAL_MS, 0);
        err = lookup_start(l, &parsed, on_lookup, s, &s->lookup);
        if (err == TAKO_LIMIT) {
            (void)uv_timer_start(&s->timer, on_fail_soon, 0, 0);
        } else if (err != TAKO_OK) {
            stream_end(s, err, ""); /* events are not set: no on_close */
            return err;
        }
    }
    s->events = events;
    s->user = user;
    *out = s;
    return TAKO_OK;
}

/* ---- listening ---------------------------------------------------------- */

static void on_connection(uv_stream_t *server, int status)
{
    tako_listener *ls = server->data;
    sys_loop *l = ls->loop;
    struct sockaddr_storage ip = { 0 };
    int len = sizeof ip;
    char remote[TAKO_ADDRESS_BYTES_MAX];
    tako_stream *s;

    if (status < 0 || l->closing)
        return;
    s = stream_new(l, STREAM_OPEN);
    if (s == NULL)
        return; /* libuv keeps the connection and tries again */
    if (stream_socket(s) != TAKO_OK ||
        uv_accept(server, (uv_stream_t *)&s->tcp) != 0 ||
        l->stream_count > TAKO_LINKS_MAX ||
        uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&ip, &len) != 0) {
        stream_end(s, TAKO_LIMIT, "");
        return;
    }
    address_print(&ip, remote);
    s->user = ls->accept(ls->accept_ctx, s, remote, &s->events);
    if (s->user == NULL) {
        s->events = NULL;
        stream_end(s, TAKO_CLOSED, "");
        return;
    }
    if (s->state == STREAM_OPEN || s->state == STREAM_FLUSH)
        stream_opened(s);
}

static void on_listener_closed(uv_handle_t *handle)
{
    tako_listener *ls = handle->data;

    tako_env_free(ls->loop->env, ls, sizeof *ls);
}

static void tcp_unlisten(void *ctx, tako_listener *ls)
{
    sys_loop *l = ctx;

    if (ls == NULL)
        return;
    if (ls->prev != NULL)
        ls->prev->next = ls->next;
    else
        l->listeners = ls->next;
    if (ls->next != NULL)
        ls->next->prev = ls->prev;
    uv_close((uv_handle_t *)&ls->tcp, on_listener_closed);
}

/* Binds and listens; the handle is initialised whatever comes out. */
static int listener_bind(tako_listener *ls, const struct sockaddr_storage *ip,
                         char bound[TAKO_ADDRESS_BYTES_MAX])
{
    struct sockaddr_storage name = { 0 };
    int len = sizeof name;
    int rc = uv_tcp_bind(&ls->tcp, (const struct sockaddr *)ip, 0);

    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&ls->tcp, SYS_BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&ls->tcp, (struct sockaddr *)&name, &len);
    if (rc == 0)
        address_print(&name, bound);
    return rc;
}

static tako_err tcp_listen(void *ctx, const char *address,
                           tako_accept_fn *accept, void *accept_ctx,
                           tako_listener **out,
                           char bound[TAKO_ADDRESS_BYTES_MAX], tako_errbuf *e)
{
    sys_loop *l = ctx;
    sys_address parsed;
    tako_listener *ls;
    int rc;

    TAKO_TRY(address_parse(address, &parsed, e));
    /* The name of an own interface: rare, local, and waited for. */
    if (!parsed.numeric)
        TAKO_TRY(lookup_now(&parsed, e));
    if (l->closing)
        return TAKO_CLOSED;
    ls = tako_env_alloc(l->env, sizeof *ls);
    if (ls == NULL)
        return TAKO_NOMEM;
    ls->loop = l;
    ls->accept = accept;
    ls->accept_ctx = accept_ctx;
    rc = uv_tcp_init(&l->uv, &ls->tcp);
    if (rc != 0) {
        tako_env_free(l->env, ls, sizeof *ls);
        return tako_fail(e, TAKO_IO, "%s", uv_strerror(rc));
    }
    ls->tcp.data = ls;
    ls->next = l->listeners;
    if (ls->next != NULL)
        ls->next->prev = ls;
    l->listeners = ls;
    rc = listener_bind(ls, &parsed.ip, bound);
    if (rc != 0) {
        tcp_unlisten(l, ls);
        return tako_fail(e, TAKO_IO, "cannot listen on %s: %s", address,
                         uv_strerror(rc));
    }
    *out = ls;
    return TAKO_OK;
}

void tcp_close_all(sys_loop *l)
{
    while (l->listeners != NULL)
        tcp_unlisten(l, l->listeners);
    for (tako_stream *s = l->streams; s != NULL; s = s->next)
        stream_end(s, TAKO_CLOSED, "the node stops");
}

void tcp_net_init(tako_net *net)
{
    *net = (tako_net){
        .listen = tcp_listen,
        .unlisten = tcp_unlisten,
        .dial = tcp_dial,
        .send = tcp_send,
        .queued = tcp_queued,
        .close = tcp_close,
    };
}
