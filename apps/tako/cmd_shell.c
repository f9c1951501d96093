// SPDX-License-Identifier: Apache-2.0
/* SHELL -- statements by hand.
 *
 * Text collects until a `;` outside strings and comments; then each statement
 * runs. On a terminal: line editing and history (~/.tako_history), tables.
 * Else: JSON lines, and the first failure ends it. */
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "interrupt.h"
#include "options.h"
#include "print.h"
#include "session.h"
#include "text.h"
#include "tree.h"

#define SHELL_HISTORY_LINES 2000

typedef enum shell_mode { MODE_TABLE, MODE_JSON } shell_mode;

typedef struct shell {
    const program *p;
    session *s;
    interrupt *interrupt;
    shell_mode mode;
    bool terminal;
    bool transaction; /* as far as the answers say */
    bool quit;
    table *table;
    tako_buf text; /* not yet a whole statement */
    tako_buf request;
    EditLine *edit; /* NULL: not a terminal */
    History *history;
    char history_path[4096];
} shell;

/* ---- answers -------------------------------------------------------------------- */

static tako_err take_row(shell *h, tako_slice json)
{
    tako_buf tree = tako_buf_on(&h->p->env);
    tako_err err =
        h->mode == MODE_TABLE ? tree_put(json, &tree) : TAKO_NOTFOUND;

    if (err == TAKO_OK && fwrite(tree.ptr, 1, tree.len, stdout) != tree.len)
        err = TAKO_IO;
    tako_buf_fini(&tree);
    if (err != TAKO_NOTFOUND)
        return err;
    if (h->mode == MODE_TABLE)
        return table_row(h->table, json);
    return print_line(json) ? TAKO_OK : TAKO_IO;
}

static tako_err take_done(shell *h, tako_slice json)
{
    tako_slice yes = tako_slice_str("{\"transaction\":true");
    tako_slice no = tako_slice_str("{\"transaction\":false");
    tako_slice rows = tako_slice_str("{\"rows\":");
    tako_slice mutated = service_after_rows(json);

    if (json.len >= yes.len && memcmp(json.ptr, yes.ptr, yes.len) == 0)
        h->transaction = true;
    if (json.len >= no.len && memcmp(json.ptr, no.ptr, no.len) == 0)
        h->transaction = false;
    print_note(&h->p->env, json);
    if (mutated.len > 0) {
        if (h->mode == MODE_TABLE)
            TAKO_TRY(table_flush(h->table));
        return print_object(mutated) ? TAKO_OK : TAKO_IO;
    }
    if (json.len >= rows.len && memcmp(json.ptr, rows.ptr, rows.len) == 0) {
        if (h->mode == MODE_JSON)
            return TAKO_OK;
        TAKO_TRY(table_flush(h->table));
        if (!h->terminal)
            return TAKO_OK;
    }
    return print_line(json) ? TAKO_OK : TAKO_IO;
}

static tako_err take_answer(void *ctx, const char *kind, tako_slice json)
{
    shell *h = ctx;

    if (strcmp(kind, "done") == 0)
        return take_done(h, json);
    return strcmp(kind, "row") == 0 ? take_row(h, json) : TAKO_OK;
}

/* False when it failed; that has been explained. */
static bool run_statement(shell *h, tako_slice statement)
{
    tako_errbuf e = { "" };
    tako_buf shown = tako_buf_on(&h->p->env);
    tako_err err = TAKO_NOMEM;

    tako_buf_reset(&h->request);
    session_put_execute(&h->request, statement, TAKO_SLICE_NONE);
    if (!h->request.failed)
        err = interrupt_call(h->interrupt, tako_buf_slice(&h->request),
                             take_answer, h, &e);
    if (err != TAKO_OK) {
        (void)table_flush(h->table);
        tako_put_bytes(&shown, statement);
        print_statement_error(tako_buf_cstr(&shown), err, e.text);
    }
    if (err == TAKO_TIMEOUT && strstr(e.text, "rolled back") != NULL)
        h->transaction = false;
    if (err == TAKO_CLOSED)
        h->quit = true;
    tako_buf_fini(&shown);
    fflush(stdout);
    return err == TAKO_OK;
}

/* Runs the whole statements in the collected text and keeps the rest. */
static bool run_collected(shell *h)
{
    size_t at = 0;
    size_t len;
    bool ok = true;

    while (ok && !h->quit &&
           text_statement_end(tako_slice_of(h->text.ptr + at, h->text.len - at),
                              &len)) {
        tako_slice one = tako_slice_of(h->text.ptr + at, len - 1);

        if (!text_is_blank(one))
            ok = run_statement(h, one);
        at += len;
    }
    if (!ok)
        at = h->text.len; /* what follows a failure was written before it */
    if (at > 0) {
        memmove(h->text.ptr, h->text.ptr + at, h->text.len - at);
        h->text.len -= at;
    }
    /* A slash may begin a comment that goes on in the next line. */
    if (text_is_blank(tako_buf_slice(&h->text)) &&
        memchr(h->text.ptr, '/', h->text.len) == NULL)
        tako_buf_reset(&h->text);
    return ok;
}

/* ---- dot-commands ----------------------------------------------------------------- */

static tako_err print_done(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    if (strcmp(kind, "done") == 0 && !print_line(json))
        return TAKO_IO;
    return TAKO_OK;
}

static void ask(shell *h, const char *op)
{
    tako_errbuf e;

    if (session_ask(h->s, h->p, op, NULL, NULL, print_done, NULL, &e) !=
        TAKO_OK)
        print_problem(op, e.text);
}

static bool dot_command(shell *h, const char *line)
{
    if (strcmp(line, ".quit") == 0 || strcmp(line, ".exit") == 0) {
        h->quit = true;
    } else if (strcmp(line, ".collections") == 0) {
        ask(h, "collections");
    } else if (strcmp(line, ".status") == 0) {
        ask(h, "status");
    } else if (strcmp(line, ".mode table") == 0) {
        h->mode = MODE_TABLE;
    } else if (strcmp(line, ".mode json") == 0) {
        h->mode = MODE_JSON;
    } else if (strcmp(line, ".help") == 0) {
        printf(".collections      the names of the collections\n"
               ".mode table|json  how rows are shown\n"
               ".status           the state of the database, as JSON\n"
               ".quit             leaves; an open transaction is rolled back\n"
               "statements end with `;`; BEGIN; COMMIT; ROLLBACK; "
               "make transactions\n");
    } else {
        print_problem("unknown command; .help lists them", line);
        return false;
    }
    fflush(stdout);
    return true;
}

/* One line of input, without its end. False: it failed. */
static bool take_line(shell *h, char *line)
{
    size_t len = strcspn(line, "\r\n");

    line[len] = '\0';
    if (line[0] == '.' && text_is_blank(tako_buf_slice(&h->text)))
        return dot_command(h, line);
    tako_put_str(&h->text, line);
    tako_put_u8(&h->text, '\n');
    if (h->text.failed || h->text.len > TAKO_STATEMENT_BYTES_MAX) {
        print_problem("the statement is too long", NULL);
        tako_buf_reset(&h->text);
        return false;
    }
    return run_collected(h);
}

/* ---- terminal ------------------------------------------------------------------------ */

static char *prompt(EditLine *edit)
{
    static char first[] = "tako> ";
    static char inside[] = "tako*> ";
    static char more[] = "  ...> ";
    shell *h = NULL;

    el_get(edit, EL_CLIENTDATA, &h);
    if (!text_is_blank(tako_buf_slice(&h->text)))
        return more;
    return h->transaction ? inside : first;
}

static bool edit_start(shell *h)
{
    const char *home = getenv("HOME");
    HistEvent event;

    setlocale(LC_CTYPE, "");
    h->edit = el_init("tako", stdin, stdout, stderr);
    h->history = history_init();
    if (h->edit == NULL || h->history == NULL)
        return false;
    el_set(h->edit, EL_CLIENTDATA, h);
    el_set(h->edit, EL_PROMPT, prompt);
    el_set(h->edit, EL_EDITOR, "emacs");
    el_set(h->edit, EL_SIGNAL, 1);
    history(h->history, &event, H_SETSIZE, SHELL_HISTORY_LINES);
    history(h->history, &event, H_SETUNIQUE, 1);
    el_set(h->edit, EL_HIST, history, h->history);
    el_source(h->edit, NULL);
    if (home != NULL && strlen(home) < sizeof h->history_path - 16) {
        snprintf(h->history_path, sizeof h->history_path, "%s/.tako_history",
                 home);
        history(h->history, &event, H_LOAD, h->history_path);
    }
    return true;
}

static void edit_stop(shell *h)
{
    HistEvent event;

    if (h->history != NULL && h->history_path[0] != '\0')
        history(h->history, &event, H_SAVE, h->history_path);
    if (h->edit != NULL)
        el_end(h->edit);
    if (h->history != NULL)
        history_end(h->history);
}

static void run_terminal(shell *h)
{
    printf("tako %s; statements end with `;`, .help for more\n",
           tako_version());
    while (!h->quit) {
        HistEvent event;
        int n = 0;
        const char *line = el_gets(h->edit, &n);
        tako_buf copy = tako_buf_on(&h->p->env);

        if (line == NULL || n <= 0)
            break;
        if (!text_is_blank(tako_slice_str(line)))
            history(h->history, &event, H_ENTER, line);
        tako_put_str(&copy, line);
        tako_put_u8(&copy, '\0');
        if (!copy.failed)
            (void)take_line(h, (char *)copy.ptr);
        tako_buf_fini(&copy);
    }
    if (!h->quit)
        putchar('\n');
}

/* Standard input is a file or a pipe: the first failure ends it. */
static bool run_stream(shell *h)
{
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;

    while (ok && !h->quit && getline(&line, &cap, stdin) >= 0)
        ok = take_line(h, line);
    free(line);
    if (ok && ferror(stdin)) {
        print_problem("standard input", strerror(errno));
        return false;
    }
    if (ok && !h->quit && !text_is_blank(tako_buf_slice(&h->text)))
        ok = run_statement(h, tako_buf_slice(&h->text)); /* `;` was left out */
    if (ok && h->transaction) {
        print_problem("the input ended inside a transaction: rolled back",
                      NULL);
        ok = false;
    }
    return ok;
}

static int shell_run(shell *h)
{
    bool ok = true;

    h->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    h->mode = h->terminal ? MODE_TABLE : MODE_JSON;
    if (h->terminal && edit_start(h))
        run_terminal(h);
    else
        ok = run_stream(h);
    edit_stop(h);
    return ok ? STATUS_OK : STATUS_FAILED;
}

int cmd_shell(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    const option_spec specs[] = { OPTION_SPEC_END };
    shell *h;
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    h = tako_env_alloc(&p->env, sizeof *h);
    if (h == NULL || table_new(&p->env, &h->table) != TAKO_OK) {
        print_problem("out of memory", NULL);
        status = STATUS_FAILED;
        goto out;
    }
    h->p = p;
    h->text = tako_buf_on(&p->env);
    h->request = tako_buf_on(&p->env);
    status = session_start(p, operand[0], true, &h->s);
    if (status == STATUS_OK &&
        interrupt_new(p, h->s, &h->interrupt) != TAKO_OK) {
        print_problem("out of memory", NULL);
        status = STATUS_FAILED;
    }
    if (status == STATUS_OK)
        status = shell_run(h);
    interrupt_free(h->interrupt);
    session_close(h->s);
    tako_buf_fini(&h->text);
    tako_buf_fini(&h->request);
    table_free(h->table);
out:
    tako_env_free(&p->env, h, sizeof *h);
    return status;
}
