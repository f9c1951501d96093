// SPDX-License-Identifier: Apache-2.0
/* CONTROL -- lets other sub-commands use the database that `tako run` has.
 *
 * A socket beside the file, one thread for it and one for each caller, at
 * most CONTROL_CALLERS_MAX: those beyond wait in the socket's queue. A
 * transaction whose caller is silent for CONTROL_IDLE_TX_MS is rolled back,
 * because it holds up every other writer. */
#ifndef TAKO_APP_CONTROL_H
#define TAKO_APP_CONTROL_H

#include "base/env.h"
#include "base/err.h"
#include "tako/tako.h"

#define CONTROL_CALLERS_MAX 64u
#define CONTROL_IDLE_TX_MS  30000

typedef struct control control;

/* TAKO_EXISTS, TAKO_LIMIT (the name is too long), TAKO_IO, TAKO_NOMEM */
tako_err control_start(const tako_env *env, tako_db *db, const char *path,
                       control **out, tako_errbuf *e);

/* Hangs up, cancels what statements run, also those of the program itself,
 * waits for the callers' threads, removes the socket. */
void control_stop(control *c);

#endif /* TAKO_APP_CONTROL_H */
