// SPDX-License-Identifier: Apache-2.0
#include "options.h"
#include "print.h"
#include "session.h"

static tako_err print_row(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    if (strcmp(kind, "row") == 0 && !print_line(json))
        return TAKO_IO;
    return TAKO_OK;
}

static int export(const program *p, const char *path, const char *collection)
{
    session *s;
    tako_errbuf e = { "" };
    tako_buf statement = tako_buf_on(&p->env);
    tako_buf request = tako_buf_on(&p->env);
    tako_err err;
    int status = session_start(p, path, false, &s);

    if (status != STATUS_OK)
        return status;
    tako_put_str(&statement, "SELECT * FROM ");
    err = service_put_name(&statement, tako_slice_str(collection), &e);
    session_put_execute(&request, tako_buf_slice(&statement), TAKO_SLICE_NONE);
    if (err == TAKO_OK)
        err = request.failed ? TAKO_NOMEM
                             : session_call(s, tako_buf_slice(&request),
                                            print_row, NULL, &e);
    if (err != TAKO_OK) {
        print_failure(path, print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    tako_buf_fini(&request);
    tako_buf_fini(&statement);
    session_close(s);
    return status;
}

int cmd_export(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    const option_spec specs[] = { OPTION_SPEC_END };
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    return export(p, operand[0], operand[1]);
}
