// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/json.h"
#include "print.h"
#include "wire.h"

#define SESSION_TRY_MS 200u /* between looks for a running process */

struct session {
    const tako_env *env;
    tako_db *db; /* NULL: remote */
    service service;
    wire wire;
    char socket[WIRE_PATH_BYTES_MAX]; /* of the other process */
};

/* One look: is there a process to talk to, or can the file be opened? */
static tako_err try_open(session *s, const session_opts *o, uint32_t wait_ms,
                         tako_errbuf *e)
{
    tako_open_opts open = TAKO_OPEN_OPTS_INIT;
    int fd = -1;
    tako_err err;

    /* A file whose name leaves no room for a socket has no running process
     * to talk to either, so that a failure here decides nothing. */
    if (wire_socket_path(o->path, s->socket, e) == TAKO_OK &&
        wire_connect(s->socket, &fd, e) == TAKO_OK) {
        wire_init(&s->wire, s->env, fd);
        return TAKO_OK;
    }
    e->text[0] = '\0';
    open.path = o->path;
    open.must_exist = !o->create;
    open.durability = o->durability;
    open.busy_wait_ms = wait_ms;
    err = tako_open(&open, &s->db, e->text, sizeof e->text);
    if (err == TAKO_OK)
        service_init(&s->service, s->env, s->db);
    return err;
}

tako_err session_open(const program *p, const session_opts *o, session **out,
                      tako_errbuf *e)
{
    session *s = tako_env_alloc(&p->env, sizeof *s);
    uint64_t end = p->env.mono_ms(p->env.ctx) + o->wait_ms;
    tako_err err;

    if (s == NULL)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    s->env = &p->env;
    s->wire.fd = -1;
    do {
        err = try_open(s, o, SESSION_TRY_MS, e);
    } while (err == TAKO_BUSY && p->env.mono_ms(p->env.ctx) < end);
    if (err == TAKO_OK) {
        *out = s;
        return TAKO_OK;
    }
    if (err == TAKO_BUSY)
        (void)tako_fail(e, err,
                        "another process has it, and has no control socket "
                        "(waited %u ms)",
                        o->wait_ms);
    else if (e->text[0] == '\0')
        (void)tako_fail(e, err, "%s", tako_err_message(err));
    tako_env_free(&p->env, s, sizeof *s);
    return err;
}

void session_close(session *s)
{
    if (s == NULL)
        return;
    if (s->db != NULL) {
        service_fini(&s->service);
        tako_close(s->db);
    } else {
        wire_fini(&s->wire);
    }
    tako_env_free(s->env, s, sizeof *s);
}

bool session_is_remote(const session *s)
{
    return s->db == NULL;
}

static tako_err err_of_name(tako_slice name)
{
#define ERR_NAME(n, number, retry, msg)                                        \
    if (tako_slice_eq(name, tako_slice_str("TAKO_" #n)))                       \
        return TAKO_##n;
    TAKO_ERR_MAP(ERR_NAME)
#undef ERR_NAME
    return TAKO_IO;
}

static tako_err error_line(session *s, tako_slice json, tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(s->env);
    tako_slice text;
    tako_err err = json_to_cbor(json, TAKO_JSON_DEPTH_MAX, &cbor, e);

    if (err == TAKO_OK && cbor_kind_of(tako_buf_slice(&cbor)) == CBOR_MAP) {
        text = cbor_map_text(tako_buf_slice(&cbor), "text");
        err = tako_fail(
            e, err_of_name(cbor_map_text(tako_buf_slice(&cbor), "code")),
            "%.*s", (int)text.len, text.len == 0 ? "" : (const char *)text.ptr);
    }
    tako_buf_fini(&cbor);
    return err == TAKO_OK ? TAKO_IO : err;
}

static tako_err remote_call(session *s, wire *w, tako_slice request,
                            service_emit *emit, void *ctx, tako_errbuf *e)
{
    tako_slice line, json;
    char kind[16];
    tako_err err;

    tako_put_bytes(&w->out, request);
    tako_put_u8(&w->out, '\n');
    if (w->out.failed)
        return tako_fail(e, TAKO_NOMEM, "out of memory");
    /* A process that refuses callers says why before it hangs up: a failed
     * sending is followed by reading all the same. */
    (void)wire_flush(w);
    for (;;) {
        err = wire_read_line(w, -1, &line);
        if (err != TAKO_OK)
            return tako_fail(e, err,
                             "the process that has the database went away");
        if (!wire_split(line, kind, &json))
            return tako_fail(e, TAKO_IO, "an answer that is none");
        if (strcmp(kind, "error") == 0)
            return error_line(s, json, e);
        TAKO_TRY(emit(ctx, kind, json));
        if (strcmp(kind, "done") == 0)
            return TAKO_OK;
    }
}

tako_err session_call(session *s, tako_slice request, service_emit *emit,
                      void *ctx, tako_errbuf *e)
{
    tako_err err;

    e->text[0] = '\0';
    err = s->db == NULL ? remote_call(s, &s->wire, request, emit, ctx, e)
                        : service_call(&s->service, request, emit, ctx, e);
    if (err != TAKO_OK && e->text[0] == '\0')
        (void)tako_fail(e, err, "%s", tako_err_message(err));
    return err;
}

static tako_err ignore(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    (void)kind;
    (void)json;
    return TAKO_OK;
}

tako_err session_cancel(session *s, uint64_t request, tako_errbuf *e)
{
    char text[64];
    wire w;
    int fd = -1;
    tako_err err;

    e->text[0] = '\0';
    if (s->db != NULL) {
        err = tako_cancel(s->db, request);
        return err == TAKO_OK ? err
                              : tako_fail(e, err, "%s", tako_last_error(s->db));
    }
    snprintf(text, sizeof text, "{\"op\":\"cancel\",\"request\":%llu}",
             (unsigned long long)request);
    TAKO_TRY(wire_connect(s->socket, &fd, e));
    wire_init(&w, s->env, fd);
    err = remote_call(s, &w, tako_slice_str(text), ignore, NULL, e);
    wire_fini(&w);
    return err;
}

/* The folder of a path, as far as it fits. */
static void folder_of(const char *path, char out[WIRE_PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    if (len == 0 || len >= WIRE_PATH_BYTES_MAX)
        snprintf(out, WIRE_PATH_BYTES_MAX, ".");
    else
        snprintf(out, WIRE_PATH_BYTES_MAX, "%.*s", (int)len, path);
}

void session_explain(const char *path, const char *detail)
{
    static const char what[] = "cannot open the database";
    char where[WIRE_PATH_BYTES_MAX + 600];
    char folder[WIRE_PATH_BYTES_MAX];
    struct stat st;

    folder_of(path, folder);
    if (path[0] == '\0')
        snprintf(where, sizeof where, "its name is empty");
    else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        snprintf(where, sizeof where, "%s: it is a directory", path);
    else if (access(path, R_OK | W_OK) != 0 && errno != ENOENT)
        snprintf(where, sizeof where, "%s: %s", path, strerror(errno));
    else if (access(folder, W_OK | X_OK) != 0)
        snprintf(where, sizeof where, "%s: its folder: %s", path,
                 strerror(errno));
    else if (strstr(detail, path) != NULL)
        snprintf(where, sizeof where, "%s", detail);
    else
        snprintf(where, sizeof where, "%s: %s", path, detail);
    print_problem(what, where);
}

int session_start(const program *p, const char *path, bool create,
                  session **out)
{
    session_opts o = { path, create, TAKO_DURABILITY_NORMAL, SESSION_WAIT_MS };
    tako_errbuf e = { "" };

    if (session_open(p, &o, out, &e) == TAKO_OK)
        return STATUS_OK;
    session_explain(path, e.text);
    return STATUS_FAILED;
}

tako_err session_ask(session *s, const program *p, const char *op,
                     const char *key, const char *value, service_emit *emit,
                     void *ctx, tako_errbuf *e)
{
    tako_buf b = tako_buf_on(&p->env);
    tako_err err = TAKO_NOMEM;

    e->text[0] = '\0';
    tako_put_fmt(&b, "{\"op\":\"%s\"", op);
    if (value != NULL) {
        tako_put_fmt(&b, ",\"%s\":", key);
        json_put_string(&b, tako_slice_str(value));
    }
    tako_put_u8(&b, '}');
    if (!b.failed)
        err = session_call(s, tako_buf_slice(&b), emit, ctx, e);
    tako_buf_fini(&b);
    return err;
}

void session_put_execute(tako_buf *out, tako_slice statement, tako_slice params)
{
    tako_put_str(out, "{\"op\":\"execute\",\"announce\":true,\"statement\":");
    json_put_string(out, statement);
    if (params.len > 0) {
        tako_put_str(out, ",\"params\":");
        tako_put_bytes(out, params);
    }
    tako_put_u8(out, '}');
}
