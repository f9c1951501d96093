// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service.h"
#include "sys/sys.h"
#include "wire.h"

typedef struct caller {
    control *control;
    sys_thread *thread; /* NULL: the place is free */
    int fd;
    bool ended; /* the thread is about to return */
} caller;

struct control {
    const tako_env *env;
    tako_db *db;
    sys_mutex *mutex;  /* guards callers and stopping */
    sys_cond *changed; /* a caller ended, or stopping */
    sys_thread *thread;
    int fd;
    int wake[2]; /* a pipe: closed at one end to stop accepting */
    bool stopping;
    caller callers[CONTROL_CALLERS_MAX];
    char path[WIRE_PATH_BYTES_MAX];
};

/* ---- one caller ------------------------------------------------------------- */

typedef struct line_out {
    wire *wire;
    tako_err failed; /* of the wire: there is nobody to tell */
} line_out;

static tako_err put_line(void *ctx, const char *kind, tako_slice json)
{
    line_out *out = ctx;

    out->failed = wire_put(out->wire, kind, json);
    /* A note is about what goes on: it is of no use after it. */
    if (out->failed == TAKO_OK && strcmp(kind, "note") == 0)
        out->failed = wire_flush(out->wire);
    return out->failed;
}

/* Sends what a watch has told; looks whether its caller is still there. */
static tako_err flush_or_leave(void *ctx)
{
    line_out *out = ctx;
    struct pollfd p = { out->wire->fd, POLLRDHUP, 0 };

    out->failed = wire_flush(out->wire);
    if (out->failed == TAKO_OK && poll(&p, 1, 0) > 0)
        out->failed = TAKO_CLOSED;
    return out->failed;
}

static tako_err answer(service *v, wire *w, tako_slice line)
{
    line_out out = { w, TAKO_OK };
    tako_errbuf e = { "" };
    tako_err err = service_call(v, line, put_line, &out, &e);

    if (out.failed == TAKO_CLOSED)
        return out.failed;
    if (err != TAKO_OK)
        return wire_put_error(w, err,
                              e.text[0] ? e.text : tako_err_message(err));
    return wire_flush(w);
}

static void serve(control *c, int fd)
{
    wire w;
    service v;
    tako_slice line;
    bool lost_tx = false;
    tako_err err = TAKO_OK;

    wire_init(&w, c->env, fd);
    service_init(&v, c->env, c->db);
    v.pause = flush_or_leave;
    while (err == TAKO_OK) {
        err = wire_read_line(&w, v.tx != NULL ? CONTROL_IDLE_TX_MS : -1, &line);
        if (err == TAKO_TIMEOUT) {
            lost_tx = service_rollback(&v);
            err = TAKO_OK;
        } else if (err == TAKO_LIMIT) {
            (void)wire_put_error(&w, err, "the request is too long");
        } else if (err == TAKO_OK && lost_tx) {
            lost_tx = false;
            err = wire_put_error(&w, TAKO_TIMEOUT,
                                 "the transaction was idle for too long and "
                                 "has been rolled back");
        } else if (err == TAKO_OK) {
            err = answer(&v, &w, line);
        }
    }
    service_fini(&v);
    w.fd = -1; /* closed by who forgets the caller, under the lock */
    wire_fini(&w);
}

static void caller_main(void *arg)
{
    caller *k = arg;
    control *c = k->control;

    serve(c, k->fd);
    sys_mutex_lock(c->mutex);
    (void)shutdown(k->fd, SHUT_RDWR); /* tells the caller now; closed later */
    k->ended = true;
    sys_cond_broadcast(c->changed);
    sys_mutex_unlock(c->mutex);
}

/* ---- the socket ---------------------------------------------------------------- */

static void forget(caller *k)
{
    sys_thread_join(k->thread);
    close(k->fd);
    k->thread = NULL;
    k->ended = false;
    k->fd = -1;
}

/* A free place, waiting for one; NULL when stopping. Locked. */
static caller *free_place(control *c)
{
    while (!c->stopping) {
        for (size_t i = 0; i < CONTROL_CALLERS_MAX; i++) {
            caller *k = &c->callers[i];

            if (k->thread != NULL && k->ended)
                forget(k);
            if (k->thread == NULL)
                return k;
        }
        sys_cond_wait(c->changed, c->mutex, UINT64_MAX);
    }
    return NULL;
}

static void admit(control *c, int fd)
{
    caller *k;

    sys_mutex_lock(c->mutex);
    k = free_place(c);
    if (k != NULL) {
        k->control = c;
        k->fd = fd;
        if (sys_thread_start(c->env, caller_main, k, &k->thread) == TAKO_OK) {
            sys_mutex_unlock(c->mutex);
            return;
        }
        k->thread = NULL;
    }
    sys_mutex_unlock(c->mutex);
    close(fd);
}

static void control_main(void *arg)
{
    control *c = arg;

    for (;;) {
        struct pollfd p[2] = { { c->fd, POLLIN, 0 },
                               { c->wake[0], POLLIN, 0 } };
        int fd;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents != 0)
            return;
        if (p[0].revents == 0)
            continue;
        fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(c, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            (void)poll(NULL, 0, 100); /* until somebody else closes one */
    }
}

static void control_free(control *c)
{
    if (c->fd >= 0)
        close(c->fd);
    for (int i = 0; i < 2; i++) {
        if (c->wake[i] >= 0)
            close(c->wake[i]);
    }
    sys_cond_free(c->changed);
    sys_mutex_free(c->mutex);
    tako_env_free(c->env, c, sizeof *c);
}

tako_err control_start(const tako_env *env, tako_db *db, const char *path,
                       control **out, tako_errbuf *e)
{
    control *c = tako_env_alloc(env, sizeof *c);
    tako_err err;

    if (c == NULL)
        return TAKO_NOMEM;
    c->env = env;
    c->db = db;
    c->fd = -1;
    c->wake[0] = c->wake[1] = -1;
    err = sys_mutex_new(env, &c->mutex);
    if (err == TAKO_OK)
        err = sys_cond_new(env, &c->changed);
    if (err == TAKO_OK && pipe2(c->wake, O_CLOEXEC) != 0)
        err = tako_fail(e, TAKO_IO, "pipe: %s", strerror(errno));
    if (err == TAKO_OK)
        err = wire_socket_path(path, c->path, e);
    if (err == TAKO_OK)
        err = wire_listen(c->path, &c->fd, e);
    if (err == TAKO_OK) {
        err = sys_thread_start(env, control_main, c, &c->thread);
        if (err != TAKO_OK)
            (void)unlink(c->path);
    }
    if (err != TAKO_OK) {
        control_free(c);
        return err;
    }
    *out = c;
    return TAKO_OK;
}

void control_stop(control *c)
{
    if (c == NULL)
        return;
    (void)unlink(c->path);
    sys_mutex_lock(c->mutex);
    c->stopping = true;
    sys_cond_broadcast(c->changed);
    for (size_t i = 0; i < CONTROL_CALLERS_MAX; i++) {
        if (c->callers[i].thread != NULL)
            (void)shutdown(c->callers[i].fd, SHUT_RDWR);
    }
    sys_mutex_unlock(c->mutex);
    (void)tako_cancel(c->db, 0); /* nobody hears what they would say */
    close(c->wake[1]);
    c->wake[1] = -1;
    sys_thread_join(c->thread);
    for (size_t i = 0; i < CONTROL_CALLERS_MAX; i++) {
        if (c->callers[i].thread != NULL)
            forget(&c->callers[i]);
    }
    control_free(c);
}
