// SPDX-License-Identifier: Apache-2.0
/* WIRE -- lines over a Unix socket, between `tako run` and other sub-commands.
 *
 * PROTOCOL  The caller sends a request, one JSON object on one line:
 *     {"op":"execute","statement":"SELECT ...","params":{...}}
 * and reads lines until one of the last two kinds:
 *     {"row":{...}}    one row of a result
 *     {"note":...}     progress, or a finding
 *     {"done":{...}}   the end: what was done
 *     {"error":{"code":"TAKO_INVALID","text":"..."}}   the end: why not
 * Requests of one connection are answered in order. The operations are listed
 * in service.h. The socket lies beside the database file, is for its owner
 * alone, and is the only protection: whoever can open it, owns the database. */
#ifndef TAKO_APP_WIRE_H
#define TAKO_APP_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#define WIRE_LINE_BYTES_MAX TAKO_VALUE_BYTES_MAX
#define WIRE_PATH_BYTES_MAX 4096u

typedef struct wire {
    int fd; /* -1: none */
    tako_buf in;
    size_t used;    /* bytes of `in` that were handed out */
    size_t scanned; /* bytes of `in` known to hold no line end */
    tako_buf out;
} wire;

void wire_init(wire *w, const tako_env *env, int fd);
void wire_fini(wire *w); /* closes */

/* The next line without its end, valid until the next call. timeout_ms < 0:
 * waits for ever. TAKO_CLOSED, TAKO_TIMEOUT, TAKO_LIMIT, TAKO_IO, TAKO_NOMEM */
tako_err wire_read_line(wire *w, int timeout_ms, tako_slice *line);

/* Queues {"kind":json}, and sends when much is queued. */
tako_err wire_put(wire *w, const char *kind, tako_slice json);
tako_err wire_put_error(wire *w, tako_err code, const char *text);
/* TAKO_CLOSED when the other side is gone or does not read. */
tako_err wire_flush(wire *w);

/* Splits a line as wire_put made it. False: it is none. */
bool wire_split(tako_slice line, char kind[16], tako_slice *json);

/* The name of a file as the process that has the database finds it, which may
 * be in another folder. False: it is too long, or this folder has no name. */
bool wire_absolute(const char *path, char out[WIRE_PATH_BYTES_MAX]);

/* Where the socket of a database lies: "<file, links resolved>.sock". */
tako_err wire_socket_path(const char *db, char path[WIRE_PATH_BYTES_MAX],
                          tako_errbuf *e);

/* Listens at path, replacing what a killed process left; only to be called
 * by who holds the database's lock. TAKO_EXISTS: something there is no socket.
 * TAKO_IO */
tako_err wire_listen(const char *path, int *fd, tako_errbuf *e);
/* TAKO_NOTFOUND: nobody listens. */
tako_err wire_connect(const char *path, int *fd, tako_errbuf *e);

#endif /* TAKO_APP_WIRE_H */
