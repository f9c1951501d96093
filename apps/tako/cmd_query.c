// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "interrupt.h"
#include "options.h"
#include "print.h"
#include "session.h"
#include "tree.h"

typedef struct answer {
    const tako_env *env;
    bool trees; /* plans are for people */
    bool transaction;
} answer;

/* A row; a plan as a tree where that is wanted. */
static tako_err print_row(const answer *a, tako_slice json)
{
    tako_buf tree = tako_buf_on(a->env);
    bool fine;

    if (a->trees && tree_put(json, &tree) == TAKO_OK)
        fine = fwrite(tree.ptr, 1, tree.len, stdout) == tree.len;
    else
        fine = print_line(json);
    tako_buf_fini(&tree);
    return fine ? TAKO_OK : TAKO_IO;
}

static tako_err print_answer(void *ctx, const char *kind, tako_slice json)
{
    answer *a = ctx;
    tako_slice mutated = service_after_rows(json);

    if (strcmp(kind, "row") == 0)
        return print_row(a, json);
    if (strcmp(kind, "done") != 0)
        return TAKO_OK;
    print_note(a->env, json);
    if (mutated.len > 0)
        return print_object(mutated) ? TAKO_OK : TAKO_IO;
    if (json.len > 11 && memcmp(json.ptr, "{\"mutated\":", 11) == 0)
        return print_line(json) ? TAKO_OK : TAKO_IO;
    a->transaction =
        json.len > 15 && memcmp(json.ptr, "{\"transaction\":", 15) == 0;
    return TAKO_OK;
}

/* Of the statement, or of the database. */
static void explain(const char *path, const char *statement, tako_err err,
                    const char *detail)
{
    if (err == TAKO_IO || err == TAKO_CORRUPT || err == TAKO_FULL)
        print_failure(path, print_reason(err, detail));
    else
        print_statement_error(statement, err, detail);
}

static int query(const program *p, const char *path, const char *statement,
                 const tako_buf *params, bool trees)
{
    answer a = { &p->env, trees, false };
    interrupt *watch = NULL;
    session *s;
    tako_errbuf e = { "" };
    tako_buf request = tako_buf_on(&p->env);
    tako_err err = TAKO_NOMEM;
    int status = session_start(p, path, true, &s);

    if (status != STATUS_OK)
        return status;
    session_put_execute(&request, tako_slice_str(statement),
                        tako_buf_slice(params));
    if (!request.failed)
        err = interrupt_new(p, s, &watch);
    if (err == TAKO_OK)
        err = interrupt_call(watch, tako_buf_slice(&request), print_answer, &a,
                             &e);
    if (err != TAKO_OK) {
        explain(path, statement, err, e.text);
        status = STATUS_FAILED;
    } else if (a.transaction) {
        print_problem("a transaction needs `tako shell`: this one is over",
                      statement);
        status = STATUS_FAILED;
    }
    tako_buf_fini(&request);
    interrupt_free(watch);
    session_close(s);
    return status;
}

int cmd_query(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    const char *file = NULL;
    option_list pairs = { { NULL }, 0 };
    bool json = false;
    const option_spec specs[] = {
        { "arg", OPTION_LIST, &pairs, "NAME=JSON",
          "the value of the parameter :NAME" },
        { "args", OPTION_TEXT, &file, "FILE",
          "an object with all parameters; -: standard input" },
        { "json", OPTION_FLAG, &json, NULL,
          "JSON lines, also of plans on a terminal" },
        OPTION_SPEC_END,
    };
    tako_buf params = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    int status = options_parse(self, specs, argc, argv, 2, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (args_read(&pairs, file, &params, &e) == TAKO_OK)
        status = query(p, operand[0], operand[1], &params,
                       !json && isatty(STDOUT_FILENO));
    else
        status = options_wrong(self, "a parameter is wrong", e.text);
    tako_buf_fini(&params);
    return status;
}
