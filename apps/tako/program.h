// SPDX-License-Identifier: Apache-2.0
/* PROGRAM -- what every sub-command is given, and how one describes itself.
 *
 * Exit status: 0 done, 1 failed (the reason is on standard error), 2 the
 * command line was wrong. */
#ifndef TAKO_APP_PROGRAM_H
#define TAKO_APP_PROGRAM_H

#include "base/env.h"

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

typedef struct program {
    tako_env env; /* memory, clocks, random */
} program;

typedef struct command {
    const char *name;
    const char *operands; /* as the usage line shows them */
    const char *about;    /* one line, for the list of commands */
    const char *examples; /* whole lines, each beginning "  tako " */
    int (*run)(const program *p, const struct command *self, int argc,
               char **argv);
} command;

int cmd_query(const program *p, const command *self, int argc, char **argv);
int cmd_shell(const program *p, const command *self, int argc, char **argv);
int cmd_import(const program *p, const command *self, int argc, char **argv);
int cmd_export(const program *p, const command *self, int argc, char **argv);
int cmd_run(const program *p, const command *self, int argc, char **argv);
int cmd_watch(const program *p, const command *self, int argc, char **argv);
int cmd_conflicts(const program *p, const command *self, int argc, char **argv);
int cmd_peer(const program *p, const command *self, int argc, char **argv);
int cmd_cancel(const program *p, const command *self, int argc, char **argv);
int cmd_wait(const program *p, const command *self, int argc, char **argv);
int cmd_secret(const program *p, const command *self, int argc, char **argv);
int cmd_status(const program *p, const command *self, int argc, char **argv);
int cmd_hash(const program *p, const command *self, int argc, char **argv);
int cmd_check(const program *p, const command *self, int argc, char **argv);
int cmd_compact(const program *p, const command *self, int argc, char **argv);
int cmd_backup(const program *p, const command *self, int argc, char **argv);
int cmd_restore(const program *p, const command *self, int argc, char **argv);
int cmd_probe(const program *p, const command *self, int argc, char **argv);
int cmd_attach(const program *p, const command *self, int argc, char **argv);
int cmd_sim(const program *p, const command *self, int argc, char **argv);

#endif /* TAKO_APP_PROGRAM_H */
