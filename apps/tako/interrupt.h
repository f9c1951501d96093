// SPDX-License-Identifier: Apache-2.0
/* INTERRUPT -- ctrl-C stops the statement that runs, not the program; a second
 * one while that takes its time stops the program. */
#ifndef TAKO_APP_INTERRUPT_H
#define TAKO_APP_INTERRUPT_H

#include "session.h"

typedef struct interrupt interrupt;

/* One of a process at a time; s must outlive it. */
tako_err interrupt_new(const program *p, session *s, interrupt **out);
void interrupt_free(interrupt *i); /* NULL is a no-op */

/* session_call() for a statement as session_put_execute() makes it. */
tako_err interrupt_call(interrupt *i, tako_slice request, service_emit *emit,
                        void *ctx, tako_errbuf *e);

#endif /* TAKO_APP_INTERRUPT_H */
