// SPDX-License-Identifier: Apache-2.0
/* watch: a live query, each delivery a line. */
#include <stdio.h>

#include "args.h"
#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"

static tako_err print_delivery(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    if (strcmp(kind, "row") != 0)
        return TAKO_OK;
    /* Whoever reads a pipe wants each line when it comes. */
    return print_line(json) && fflush(stdout) == 0 ? TAKO_OK : TAKO_IO;
}

static void put_request(tako_buf *out, const char *statement, tako_slice params,
                        bool diff, uint64_t count)
{
    tako_put_str(out, "{\"op\":\"watch\",\"statement\":");
    json_put_string(out, tako_slice_str(statement));
    if (params.len > 0) {
        tako_put_str(out, ",\"params\":");
        tako_put_bytes(out, params);
    }
    tako_put_fmt(out, ",\"diff\":%s,\"count\":%llu}", diff ? "true" : "false",
                 (unsigned long long)count);
}

static int watch(const program *p, const char *path, const char *statement,
                 tako_slice request)
{
    session *s;
    tako_errbuf e = { "" };
    tako_err err;
    int status = session_start(p, path, false, &s);

    if (status != STATUS_OK)
        return status;
    err = session_call(s, request, print_delivery, NULL, &e);
    if (err != TAKO_OK) {
        if (err == TAKO_IO || err == TAKO_CORRUPT || err == TAKO_FULL ||
            err == TAKO_CLOSED)
            print_failure(path, print_reason(err, e.text));
        else
            print_statement_error(statement, err, e.text);
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}

int cmd_watch(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    const char *file = NULL;
    option_list pairs = { { NULL }, 0 };
    bool diff = false;
    uint64_t count = 0;
    const option_spec specs[] = {
        { "diff", OPTION_FLAG, &diff, NULL,
          "only what changed: inserted, updated, removed, moved" },
        { "count", OPTION_NUMBER, &count, "N",
          "ends after N lines (0: goes on until it is stopped)" },
        { "arg", OPTION_LIST, &pairs, "NAME=JSON",
          "the value of the parameter :NAME" },
        { "args", OPTION_TEXT, &file, "FILE",
          "an object with all parameters; -: standard input" },
        OPTION_SPEC_END,
    };
    tako_buf params = tako_buf_on(&p->env), request = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (args_read(&pairs, file, &params, &e) == TAKO_OK) {
        put_request(&request, operand[1], tako_buf_slice(&params), diff, count);
        status = request.failed ? STATUS_FAILED
                                : watch(p, operand[0], operand[1],
                                        tako_buf_slice(&request));
    } else {
        status = options_wrong(self, "a parameter is wrong", e.text);
    }
    tako_buf_fini(&params);
    tako_buf_fini(&request);
    return status;
}
