// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "options.h"
#include "print.h"
#include "session.h"

typedef struct findings {
    bool json;
    unsigned count;
} findings;

static tako_err print_finding(void *ctx, const char *kind, tako_slice json)
{
    findings *f = ctx;

    if (strcmp(kind, "note") != 0)
        return TAKO_OK;
    if (f->json)
        printf("%s", f->count == 0 ? "{\"findings\":[" : ",");
    f->count++;
    return fwrite(json.ptr, 1, json.len, stdout) == json.len &&
                   (f->json || putchar('\n') != EOF)
               ? TAKO_OK
               : TAKO_IO;
}

int cmd_check(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    findings found = { false, 0 };
    const option_spec specs[] = {
        { "json", OPTION_FLAG, &found.json, NULL, "one JSON object" },
        OPTION_SPEC_END,
    };
    session *s;
    tako_errbuf e;
    tako_err err;
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    status = session_start(p, operand[0], false, &s);
    if (status != STATUS_OK)
        return status;
    err = session_ask(s, p, "check", NULL, NULL, print_finding, &found, &e);
    if (found.json)
        printf("%s],\"ok\":%s}\n", found.count == 0 ? "{\"findings\":[" : "",
               err == TAKO_OK ? "true" : "false");
    else if (err == TAKO_OK)
        printf("ok\n");
    if (err != TAKO_OK) {
        print_failure(operand[0], print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}
