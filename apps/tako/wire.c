// SPDX-License-Identifier: Apache-2.0
/* Socket addresses hold some hundred bytes only, so a socket is reached
 * through its folder, opened, as /proc/self/fd/N/name: paths of any length
 * work, only the file's own name is limited. */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "codec/json.h"

#define WIRE_CHUNK_BYTES 65536u
#define WIRE_SEND_WAIT_S 60 /* for a caller that does not read */
#define WIRE_BACKLOG     128

void wire_init(wire *w, const tako_env *env, int fd)
{
    struct timeval wait = { WIRE_SEND_WAIT_S, 0 };

    w->fd = fd;
    w->in = tako_buf_on(env);
    w->out = tako_buf_on(env);
    w->used = 0;
    w->scanned = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

void wire_fini(wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    tako_buf_fini(&w->in);
    tako_buf_fini(&w->out);
}

static void drop_used(wire *w)
{
    if (w->used == 0)
        return;
    memmove(w->in.ptr, w->in.ptr + w->used, w->in.len - w->used);
    w->in.len -= w->used;
    w->scanned -= w->used;
    w->used = 0;
}

static tako_err fill(wire *w, int timeout_ms)
{
    struct pollfd p = { w->fd, POLLIN, 0 };
    ssize_t n;

    drop_used(w);
    if (w->in.len >= WIRE_LINE_BYTES_MAX)
        return TAKO_LIMIT;
    if (!tako_buf_reserve(&w->in, WIRE_CHUNK_BYTES))
        return TAKO_NOMEM;
    do {
        n = poll(&p, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return TAKO_TIMEOUT;
    do {
        n = recv(w->fd, w->in.ptr + w->in.len, WIRE_CHUNK_BYTES, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? TAKO_CLOSED : TAKO_IO;
    if (n == 0)
        return TAKO_CLOSED;
    w->in.len += (size_t)n;
    return TAKO_OK;
}

tako_err wire_read_line(wire *w, int timeout_ms, tako_slice *line)
{
    for (;;) {
        const uint8_t *end = NULL;

        if (w->in.len > w->scanned)
            end = memchr(w->in.ptr + w->scanned, '\n', w->in.len - w->scanned);
        if (end != NULL) {
            size_t at = (size_t)(end - w->in.ptr);

            *line = tako_slice_of(w->in.ptr + w->used, at - w->used);
            w->used = at + 1;
            w->scanned = at + 1;
            return TAKO_OK;
        }
        w->scanned = w->in.len;
        TAKO_TRY(fill(w, timeout_ms));
    }
}

tako_err wire_put(wire *w, const char *kind, tako_slice json)
{
    tako_put_fmt(&w->out, "{\"%s\":", kind);
    tako_put_bytes(&w->out, json);
    tako_put_str(&w->out, "}\n");
    if (w->out.failed)
        return TAKO_NOMEM;
    return w->out.len >= WIRE_CHUNK_BYTES ? wire_flush(w) : TAKO_OK;
}

tako_err wire_put_error(wire *w, tako_err code, const char *text)
{
    /* After a failed growth the queue is empty: the error fits again. */
    if (w->out.failed)
        tako_buf_reset(&w->out);
    tako_put_fmt(&w->out,
                 "{\"error\":{\"code\":\"%s\",\"text\":", tako_err_name(code));
    json_put_string(&w->out, tako_slice_str(text));
    tako_put_str(&w->out, "}}\n");
    return w->out.failed ? TAKO_NOMEM : wire_flush(w);
}

tako_err wire_flush(wire *w)
{
    size_t sent = 0;

    while (sent < w->out.len) {
        ssize_t n =
            send(w->fd, w->out.ptr + sent, w->out.len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return TAKO_CLOSED;
        sent += (size_t)n;
    }
    tako_buf_reset(&w->out);
    return TAKO_OK;
}

bool wire_split(tako_slice line, char kind[16], tako_slice *json)
{
    size_t n = 2;

    if (line.len < 6 || line.ptr[0] != '{' || line.ptr[1] != '"' ||
        line.ptr[line.len - 1] != '}')
        return false;
    while (n < line.len && n < 18 && line.ptr[n] != '"')
        n++;
    if (n >= 18 || n + 2 >= line.len || line.ptr[n + 1] != ':')
        return false;
    memcpy(kind, line.ptr + 2, n - 2);
    kind[n - 2] = '\0';
    *json = tako_slice_of(line.ptr + n + 2, line.len - n - 3);
    return true;
}

bool wire_absolute(const char *path, char out[WIRE_PATH_BYTES_MAX])
{
    char here[WIRE_PATH_BYTES_MAX];
    int n;

    if (path[0] == '/')
        n = snprintf(out, WIRE_PATH_BYTES_MAX, "%s", path);
    else if (getcwd(here, sizeof here) == NULL)
        return false;
    else
        n = snprintf(out, WIRE_PATH_BYTES_MAX, "%s/%s", here, path);
    return n >= 0 && (size_t)n < WIRE_PATH_BYTES_MAX;
}

tako_err wire_socket_path(const char *db, char path[WIRE_PATH_BYTES_MAX],
                          tako_errbuf *e)
{
    char real[WIRE_PATH_BYTES_MAX];
    const char *use = realpath(db, real) == NULL ? db : real;
    int n = snprintf(path, WIRE_PATH_BYTES_MAX, "%s.sock", use);

    if (n < 0 || (size_t)n >= WIRE_PATH_BYTES_MAX)
        return tako_fail(e, TAKO_LIMIT, "the path is too long: %.80s...", db);
    return TAKO_OK;
}

/* Opens the folder and fills the address. *folder is to be closed. */
static tako_err address_of(const char *path, struct sockaddr_un *a, int *folder,
                           tako_errbuf *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char dir[WIRE_PATH_BYTES_MAX];
    int n;

    if (slash == NULL)
        snprintf(dir, sizeof dir, ".");
    else
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path) + 1, path);
    *folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0)
        return tako_fail(e, errno == ENOENT ? TAKO_NOTFOUND : TAKO_IO, "%s: %s",
                         dir, strerror(errno));
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    n = snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s",
                 *folder, name);
    if (n >= 0 && (size_t)n < sizeof a->sun_path)
        return TAKO_OK;
    close(*folder);
    return tako_fail(e, TAKO_LIMIT,
                     "the file's name is too long for its control socket "
                     "(%zu bytes, 80 at most): %s",
                     strlen(name), name);
}

/* Makes room at path for a socket of ours. */
static tako_err remove_stale(const char *path, tako_errbuf *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return TAKO_OK;
    if (!S_ISSOCK(st.st_mode))
        return tako_fail(e, TAKO_EXISTS, "%s is in the way and is not a socket",
                         path);
    if (unlink(path) != 0)
        return tako_fail(e, TAKO_IO, "%s: %s", path, strerror(errno));
    return TAKO_OK;
}

tako_err wire_listen(const char *path, int *fd, tako_errbuf *e)
{
    struct sockaddr_un a;
    int folder;
    int bound, s;
    mode_t mask;
    tako_err err = TAKO_OK;

    TAKO_TRY(remove_stale(path, e));
    TAKO_TRY(address_of(path, &a, &folder, e));
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The socket must never exist with more rights than its owner's. */
    mask = umask(0177);
    bound = s < 0 ? -1 : bind(s, (struct sockaddr *)&a, sizeof a);
    umask(mask);
    if (bound != 0 || listen(s, WIRE_BACKLOG) != 0) {
        err = tako_fail(e, TAKO_IO, "%s: %s", path, strerror(errno));
        if (s >= 0)
            close(s);
    } else {
        *fd = s;
    }
    close(folder);
    return err;
}

tako_err wire_connect(const char *path, int *fd, tako_errbuf *e)
{
    struct sockaddr_un a;
    int folder, s, rc;
    tako_err err;

    TAKO_TRY(address_of(path, &a, &folder, e));
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    do {
        rc = s < 0 ? -1 : connect(s, (struct sockaddr *)&a, sizeof a);
    } while (rc != 0 && s >= 0 && errno == EINTR);
    close(folder);
    if (rc == 0) {
        *fd = s;
        return TAKO_OK;
    }
    err = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTSOCK
              ? TAKO_NOTFOUND
              : TAKO_IO;
    err = tako_fail(e, err, "%s: %s", path, strerror(errno));
    if (s >= 0)
        close(s);
    return err;
}
