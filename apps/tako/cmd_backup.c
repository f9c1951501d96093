// SPDX-License-Identifier: Apache-2.0
/* backup, restore, compact: the care of the file. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "print.h"
#include "session.h"
#include "wire.h"

/* Progress on a terminal, from {"done":n,"all":n}. */
static tako_err print_progress(void *ctx, const char *kind, tako_slice json)
{
    unsigned long long so_far, all;
    char text[96];

    (void)ctx;
    if (strcmp(kind, "note") != 0 || !isatty(STDERR_FILENO) ||
        json.len >= sizeof text)
        return TAKO_OK;
    memcpy(text, json.ptr, json.len);
    text[json.len] = '\0';
    if (sscanf(text, "{\"done\":%llu,\"all\":%llu}", &so_far, &all) == 2)
        fprintf(stderr, "\r%llu of %llu pages%s", so_far, all,
                so_far >= all ? "\n" : "");
    return TAKO_OK;
}

static int ask(const program *p, const char *path, const char *op,
               const char *key, const char *value)
{
    session *s;
    tako_errbuf e;
    tako_err err;
    char what[80];
    int status = session_start(p, path, false, &s);

    if (status != STATUS_OK)
        return status;
    err = session_ask(s, p, op, key, value, print_progress, NULL, &e);
    if (err != TAKO_OK) {
        snprintf(what, sizeof what, "%s failed", op);
        print_problem(what, print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}

int cmd_backup(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    char to[WIRE_PATH_BYTES_MAX];
    const option_spec specs[] = { OPTION_SPEC_END };
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (!wire_absolute(operand[1], to)) {
        print_problem("the path is too long", operand[1]);
        return STATUS_FAILED;
    }
    return ask(p, operand[0], "backup", "to", to);
}

int cmd_compact(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    const option_spec specs[] = { OPTION_SPEC_END };
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    return ask(p, operand[0], "compact", NULL, NULL);
}

int cmd_restore(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    char detail[512] = "";
    const option_spec specs[] = { OPTION_SPEC_END };
    tako_err err;
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    (void)p;
    if (status != OPTIONS_GO_ON)
        return status;
    err = tako_restore(operand[0], operand[1], detail, sizeof detail);
    if (err == TAKO_OK)
        return STATUS_OK;
    print_problem("restore failed", print_reason(err, detail));
    return STATUS_FAILED;
}
