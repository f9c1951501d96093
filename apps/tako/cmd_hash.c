// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "options.h"
#include "print.h"
#include "session.h"

static tako_err print_hash(void *ctx, const char *kind, tako_slice json)
{
    const bool *whole = ctx;
    tako_slice line = json;

    if (strcmp(kind, "done") != 0)
        return TAKO_OK;
    /* {"hash":"<64 digits>",... */
    if (!*whole && json.len > 9 + 64)
        line = tako_slice_of(json.ptr + 9, 64);
    return print_line(line) ? TAKO_OK : TAKO_IO;
}

int cmd_hash(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    bool json = false;
    const option_spec specs[] = {
        { "json", OPTION_FLAG, &json, NULL, "with the number of documents" },
        OPTION_SPEC_END,
    };
    session *s;
    tako_errbuf e;
    tako_err err;
    int status = options_parse(self, specs, argc, argv, 1, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    status = session_start(p, operand[0], false, &s);
    if (status != STATUS_OK)
        return status;
    err = session_ask(s, p, "hash", "collection", operand[1], print_hash, &json,
                      &e);
    if (err != TAKO_OK) {
        print_failure(operand[0], print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}
