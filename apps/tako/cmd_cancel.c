// SPDX-License-Identifier: Apache-2.0
/* cancel: stops a statement of a running database. */
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "print.h"
#include "session.h"

int cmd_cancel(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    const option_spec specs[] = { OPTION_SPEC_END };
    session *s;
    tako_errbuf e = { "" };
    char *end;
    uint64_t request;
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    request = strtoull(operand[1], &end, 10);
    if (end == operand[1] || *end != '\0')
        return options_wrong(self, "the number of a request is wanted",
                             operand[1]);
    status = session_start(p, operand[0], false, &s);
    if (status != STATUS_OK)
        return status;
    if (!session_is_remote(s)) {
        print_problem("no `tako run` has this database", operand[0]);
        status = STATUS_FAILED;
    } else {
        tako_err err = session_cancel(s, request, &e);

        if (err != TAKO_OK) {
            print_problem(operand[1], print_reason(err, e.text));
            status = STATUS_FAILED;
        }
    }
    session_close(s);
    return status;
}
