// SPDX-License-Identifier: Apache-2.0
/* OPTIONS -- one parser of long options for every sub-command.
 *
 * `--name value` and `--name=value`; options and operands in any order; `--`
 * ends the options; a lone `-` is an operand. `--help` prints usage, options
 * and examples. An unknown name is answered with the nearest known one. */
#ifndef TAKO_APP_OPTIONS_H
#define TAKO_APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program.h"

#define OPTION_LIST_MAX 256u

typedef struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
} option_list;

typedef enum option_kind {
    OPTION_FLAG,   /* to: bool */
    OPTION_TEXT,   /* to: const char * */
    OPTION_NUMBER, /* to: uint64_t */
    OPTION_CHOICE, /* to: unsigned, the place in `value`, as "a|b|c" */
    OPTION_LIST,   /* to: option_list; may be given many times */
} option_kind;

typedef struct option_spec {
    const char *name; /* without dashes; NULL ends an array */
    option_kind kind;
    void *to;
    const char *value; /* how the help names it; choices: the list */
    const char *about;
} option_spec;

#define OPTION_SPEC_END                                                        \
    {                                                                          \
        NULL, OPTION_FLAG, NULL, NULL, NULL                                    \
    }

#define OPTIONS_GO_ON (-1)

/* Parses argv (without the command's name). Operands go to `operands`, which
 * has room for max; unused places are set to NULL. Returns OPTIONS_GO_ON, or
 * the exit status to end with: 0 after --help, 2 after a mistake, which has
 * been explained on standard error. */
int options_parse(const command *c, const option_spec *specs, int argc,
                  char **argv, size_t min, size_t max, const char **operands);

/* The edit distance of two names, cut at 32 bytes each. */
unsigned options_distance(const char *a, const char *b);

/* Explains wrong usage: "tako: what: where", where to read on. Returns 2. */
int options_wrong(const command *c, const char *what, const char *where);

#endif /* TAKO_APP_OPTIONS_H */
