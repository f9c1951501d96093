// SPDX-License-Identifier: Apache-2.0
/* SESSION -- a database to make requests of, wherever it is open.
 *
 * Opens the file, or, when a `tako run` has it, talks to that process over its
 * socket; the caller sees no difference. While another short-lived process
 * has the file, waits for it. */
#ifndef TAKO_APP_SESSION_H
#define TAKO_APP_SESSION_H

#include "program.h"
#include "service.h"

typedef struct session session;

#define SESSION_WAIT_MS 5000u /* for another process to let go */

typedef struct session_opts {
    const char *path;
    bool create;
    tako_durability durability; /* when this process opens the file */
    uint32_t wait_ms;
} session_opts;

/* e says why not. */
tako_err session_open(const program *p, const session_opts *o, session **out,
                      tako_errbuf *e);
void session_close(session *s);

/* True when the requests go to another process. */
bool session_is_remote(const session *s);

/* Makes one request (service.h). e has the detail of a failure. */
tako_err session_call(session *s, tako_slice request, service_emit *emit,
                      void *ctx, tako_errbuf *e);

/* Stops a request by its number; from any thread, also while another is in
 * session_call(). TAKO_NOTFOUND: it does not run. */
tako_err session_cancel(session *s, uint64_t request, tako_errbuf *e);

/* Opens as above, without creating unless `create`; explains on standard
 * error. Returns 0 or an exit status. */
int session_start(const program *p, const char *path, bool create,
                  session **out);

/* Explains on standard error why a database could not be opened: what is wrong
 * with the file or its folder where that can be seen, else the detail. */
void session_explain(const char *path, const char *detail);

/* A request of one operation and one optional text, answered into `done`. */
tako_err session_ask(session *s, const program *p, const char *op,
                     const char *key, const char *value, service_emit *emit,
                     void *ctx, tako_errbuf *e);

/* Appends {"op":"execute","announce":true,"statement":...,"params":...};
 * params, a JSON object on one line, may be empty. */
void session_put_execute(tako_buf *out, tako_slice statement,
                         tako_slice params);

#endif /* TAKO_APP_SESSION_H */
