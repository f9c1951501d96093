// SPDX-License-Identifier: Apache-2.0
/* SERVICE -- what sub-commands can ask of an open database, as requests.
 *
 * A sub-command that opened the database itself and one that talks to a
 * running process make the same requests, and the same code answers them:
 * that is why they behave alike. A request is a map (JSON on the wire):
 *
 *   op           other keys                       rows, notes       done
 *   execute      statement, params, announce?     rows              {"rows":n}
 *                  or, for a mutation         {"mutated":[ids],"commit":n}
 *                  with RETURNING: rows, {"rows":n,"mutated":[ids],"commit":n}
 *                  and a "note" for the user; announce: first a note
 *                  {"request":n}, the number to cancel it by
 *   cancel       request                                            {}
 *   import       collection, docs, on_conflict                      {"count":n}
 *   collections                                                     [names]
 *   status                                                          the status
 *   hash         collection?                           {"hash":h,"documents":n}
 *   check                                         findings          {"ok":true}
 *   backup       to                         {"done":n,"all":n}      {}
 *   compact                                                         {}
 *   peer_add, peer_remove   address                                 {}
 *   wait         commit, peer?, timeout_ms                          {}
 *   attach_put   collection, id, path, file, type?, name?   progress
 *                                          {"bytes":n,"commit":n,"token":t}
 *   attach_get   collection, id, path, file, timeout_ms?    progress
 *                                                     {"bytes":n,"token":t}
 *   watch        statement, params?, diff?, count?   deliveries     {"count":n}
 *
 * A row of watch is what an observer is told (tako.h): the whole result, or
 * with "diff":true what changed; count 0, or none, goes on until the caller
 * leaves. The next diff is asked for when the last has been sent.
 *
 * BEGIN, COMMIT and ROLLBACK are statements: a service holds at most one
 * transaction, rolled back with it. */
#ifndef TAKO_APP_SERVICE_H
#define TAKO_APP_SERVICE_H

#include "base/buf.h"
#include "base/err.h"
#include "tako/tako.h"

/* kind: "row", "note", "done". Not TAKO_OK: stop, and return that. */
typedef tako_err service_emit(void *ctx, const char *kind, tako_slice json);

/* Now and then while a call waits for something to tell: sends what was
 * emitted. Not TAKO_OK: the caller has left. */
typedef tako_err service_pause(void *ctx);

typedef struct service {
    const tako_env *env;
    tako_db *db;
    tako_tx *tx;          /* NULL: none open */
    service_pause *pause; /* NULL: nothing to do; ctx as emit's */
} service;

void service_init(service *v, const tako_env *env, tako_db *db);
void service_fini(service *v); /* rolls back; does not close */

/* Answers one request (JSON text), ending with one "done", or with a failure
 * whose detail is in e. */
tako_err service_call(service *v, tako_slice request, service_emit *emit,
                      void *ctx, tako_errbuf *e);

/* Of a "done" that has a mutation beside rows: `"mutated":...}`, the part after
 * the rows. Empty for any other. */
tako_slice service_after_rows(tako_slice done);

/* Rolls back what is open; true when there was something. */
bool service_rollback(service *v);

/* Appends a collection's name as TQL wants it. TAKO_INVALID: no name. */
tako_err service_put_name(tako_buf *out, tako_slice name, tako_errbuf *e);

#endif /* TAKO_APP_SERVICE_H */
