// SPDX-License-Identifier: Apache-2.0
/* peer, secret: joining devices. */
#include <stdio.h>

#include "options.h"
#include "print.h"
#include "session.h"

#define SECRET_BYTES 32u

static tako_err ignore(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    (void)kind;
    (void)json;
    return TAKO_OK;
}

int cmd_peer(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[3];
    const option_spec specs[] = { OPTION_SPEC_END };
    session *s;
    tako_errbuf e;
    tako_err err;
    const char *op = NULL;
    int status = options_parse(self, specs, argc, argv, 3, 3, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (strcmp(operand[0], "add") == 0)
        op = "peer_add";
    else if (strcmp(operand[0], "remove") == 0)
        op = "peer_remove";
    else
        return options_wrong(self, "add or remove is wanted", operand[0]);
    status = session_start(p, operand[1], false, &s);
    if (status != STATUS_OK)
        return status;
    if (!session_is_remote(s)) {
        print_problem("no `tako run` has this database", operand[1]);
        status = STATUS_FAILED;
    } else {
        err = session_ask(s, p, op, "address", operand[2], ignore, NULL, &e);
        if (err != TAKO_OK) {
            print_problem(operand[2], print_reason(err, e.text));
            status = STATUS_FAILED;
        }
    }
    session_close(s);
    return status;
}

int cmd_secret(const program *p, const command *self, int argc, char **argv)
{
    const option_spec specs[] = { OPTION_SPEC_END };
    uint8_t bytes[SECRET_BYTES];
    int status = options_parse(self, specs, argc, argv, 0, 0, NULL);

    if (status != OPTIONS_GO_ON)
        return status;
    p->env.random(p->env.ctx, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
    return STATUS_OK;
}
