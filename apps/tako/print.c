// SPDX-License-Identifier: Apache-2.0
#include "print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "program.h"

void print_problem(const char *what, const char *where)
{
    fflush(stdout);
    if (where == NULL)
        fprintf(stderr, "tako: %s\n", what);
    else
        fprintf(stderr, "tako: %s: %s\n", what, where);
}

void print_failure(const char *what, const char *where)
{
    if (!ferror(stdout))
        print_problem(what, where);
}

void print_put_note(tako_slice done, tako_buf *out)
{
    static const char key[] = "\"note\":";
    tako_buf cbor = tako_buf_on(out->env);
    tako_slice note = TAKO_SLICE_NONE;

    if (done.len == 0 ||
        memmem(done.ptr, done.len, key, sizeof key - 1) == NULL)
        return;
    if (json_to_cbor(done, TAKO_JSON_DEPTH_MAX, &cbor, NULL) == TAKO_OK)
        note = cbor_map_get(tako_buf_slice(&cbor), tako_slice_str("note"));
    if (note.len > 0)
        (void)json_from_cbor(note, out);
    tako_buf_fini(&cbor);
}

void print_note(const tako_env *env, tako_slice done)
{
    tako_buf note = tako_buf_on(env);

    print_put_note(done, &note);
    /* A text of ours: what is escaped in it are quotes at most. */
    if (note.len > 2)
        fprintf(stderr, "note: %.*s\n", (int)note.len - 2,
                (const char *)note.ptr + 1);
    tako_buf_fini(&note);
}

const char *print_reason(tako_err err, const char *detail)
{
    return detail != NULL && detail[0] != '\0' ? detail : tako_err_message(err);
}

/* The line-th line of text, without its end. */
static tako_slice line_of(const char *text, unsigned line)
{
    for (; line > 1; line--) {
        const char *end = strchr(text, '\n');

        if (end == NULL)
            return TAKO_SLICE_NONE;
        text = end + 1;
    }
    return tako_slice_of(text, strcspn(text, "\r\n"));
}

void print_statement_error(const char *statement, tako_err err,
                           const char *detail)
{
    const char *reason = print_reason(err, detail);
    const char *at = strstr(reason, "line ");
    unsigned line, column;
    tako_slice text;

    print_failure(reason, NULL);
    if (at == NULL || sscanf(at, "line %u column %u", &line, &column) != 2)
        return;
    text = line_of(statement, line);
    if (text.ptr == NULL || text.len > 2000)
        return;
    fprintf(stderr, "  %.*s\n  ", (int)text.len, (const char *)text.ptr);
    /* One space for each character before it; tabs stay tabs. */
    for (size_t i = 0; column > 1 && i < text.len; i++) {
        if ((text.ptr[i] & 0xC0) == 0x80)
            continue;
        fputc(text.ptr[i] == '\t' ? '\t' : ' ', stderr);
        column--;
    }
    fputs("^\n", stderr);
}

bool print_line(tako_slice line)
{
    return fwrite(line.ptr, 1, line.len, stdout) == line.len &&
           putchar('\n') != EOF;
}

bool print_object(tako_slice rest)
{
    return putchar('{') != EOF && print_line(rest);
}

int print_finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    print_problem("cannot write to standard output", strerror(errno));
    return STATUS_FAILED;
}
