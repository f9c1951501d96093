// SPDX-License-Identifier: Apache-2.0
/* PROBE -- the codecs and the query engine from standard input to standard
 * output, for tests by others: 0 accepted, 1 refused with the reason. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "base/hash.h"
#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"
#include "splitter.h"

static int refuse(tako_err err, const tako_errbuf *e)
{
    print_problem("refused", print_reason(err, e->text));
    return STATUS_FAILED;
}

static bool put_out(const tako_buf *b)
{
    return fwrite(b->ptr, 1, b->len, stdout) == b->len;
}

/* Writes a checked value, as JSON with a line end or as CBOR. */
static tako_err put_value(const tako_env *env, tako_slice value, bool cbor)
{
    tako_buf out = tako_buf_on(env);
    tako_err err = TAKO_OK;

    if (cbor) {
        tako_put_bytes(&out, value);
    } else {
        err = json_from_cbor(value, &out);
        tako_put_u8(&out, '\n');
    }
    if (err == TAKO_OK && (out.failed || !put_out(&out)))
        err = out.failed ? TAKO_NOMEM : TAKO_IO;
    tako_buf_fini(&out);
    return err;
}

static int probe_json(const program *p, bool to_cbor)
{
    tako_buf in = tako_buf_on(&p->env);
    tako_buf value = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    tako_err err = args_read_file("-", TAKO_VALUE_BYTES_MAX, &in, &e);

    if (err == TAKO_OK)
        err =
            json_to_cbor(tako_buf_slice(&in), TAKO_JSON_DEPTH_MAX, &value, &e);
    if (err == TAKO_OK)
        err = put_value(&p->env, tako_buf_slice(&value), to_cbor);
    tako_buf_fini(&in);
    tako_buf_fini(&value);
    return err == TAKO_OK ? STATUS_OK : refuse(err, &e);
}

static int probe_cbor(const program *p, bool to_cbor)
{
    tako_buf in = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    tako_err err = args_read_file("-", TAKO_VALUE_BYTES_MAX, &in, &e);

    if (err == TAKO_OK)
        err = cbor_check(tako_buf_slice(&in), TAKO_JSON_DEPTH_MAX, &e);
    if (err == TAKO_OK)
        err = put_value(&p->env, tako_buf_slice(&in), to_cbor);
    tako_buf_fini(&in);
    return err == TAKO_OK ? STATUS_OK : refuse(err, &e);
}

/* A hash in hex for each JSON text of the input. */
static int probe_hash(const program *p)
{
    tako_buf in = tako_buf_on(&p->env);
    tako_buf value = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    tako_err err = args_read_file("-", TAKO_VALUE_BYTES_MAX, &in, &e);
    size_t at = 0;
    size_t used;

    while (err == TAKO_OK) {
        uint8_t hash[32];

        tako_buf_reset(&value);
        err = json_next_to_cbor(tako_slice_of(in.ptr + at, in.len - at),
                                TAKO_JSON_DEPTH_MAX, &value, &used, &e);
        if (err != TAKO_OK)
            break;
        at += used;
        tako_hash32(tako_buf_slice(&value), hash);
        for (size_t i = 0; i < sizeof hash; i++)
            printf("%02x", hash[i]);
        putchar('\n');
    }
    tako_buf_fini(&in);
    tako_buf_fini(&value);
    return err == TAKO_NOTFOUND ? STATUS_OK : refuse(err, &e);
}

/* ---- statements ------------------------------------------------------------------ */

typedef struct probe_answer {
    tako_buf line; /* what one statement answered so far */
    bool rows;
} probe_answer;

static void put_end(probe_answer *a, tako_slice done)
{
    tako_buf note = tako_buf_on(a->line.env);

    print_put_note(done, &note);
    tako_put_u8(&a->line, ']');
    if (note.len > 0)
        tako_put_str(&a->line, ",\"note\":");
    tako_put_bytes(&a->line, tako_buf_slice(&note));
    tako_put_u8(&a->line, '}');
    a->line.failed = a->line.failed || note.failed;
    tako_buf_fini(&note);
}

static tako_err take_answer(void *ctx, const char *kind, tako_slice json)
{
    probe_answer *a = ctx;
    tako_slice rows = tako_slice_str("{\"rows\":");

    if (strcmp(kind, "row") == 0) {
        tako_put_str(&a->line, a->rows ? "," : "{\"items\":[");
        tako_put_bytes(&a->line, json);
        a->rows = true;
    } else if (strcmp(kind, "done") == 0) {
        bool select =
            json.len > rows.len && memcmp(json.ptr, rows.ptr, rows.len) == 0;
        tako_slice mutated = service_after_rows(json);

        if (select && !a->rows)
            tako_put_str(&a->line, "{\"items\":[");
        if (mutated.len > 0)
            tako_put_str(&a->line, "],");
        if (select && mutated.len == 0)
            put_end(a, json);
        else
            tako_put_bytes(&a->line, select ? mutated : json);
    }
    return a->line.failed ? TAKO_NOMEM : TAKO_OK;
}

/* {"statement":...,"args":{...}} into a request. */
static tako_err request_of(tako_slice line, tako_buf *request, tako_errbuf *e)
{
    tako_buf cbor = tako_buf_on(request->env);
    tako_buf args = tako_buf_on(request->env);
    cbor_item item = { .kind = CBOR_NULL };
    tako_slice given;
    tako_reader r;
    tako_err err = json_to_cbor(line, TAKO_JSON_DEPTH_MAX, &cbor, e);

    if (err != TAKO_OK)
        goto out;
    given = cbor_map_get(tako_buf_slice(&cbor), tako_slice_str("statement"));
    r = tako_reader_of(given);
    if (given.len == 0 || !cbor_read(&r, &item) || item.kind != CBOR_TEXT) {
        err = tako_fail(e, TAKO_INVALID,
                        "{\"statement\":TEXT,\"args\":OBJECT} is wanted");
        goto out;
    }
    given = cbor_map_get(tako_buf_slice(&cbor), tako_slice_str("args"));
    if (given.len > 0 && cbor_kind_of(given) != CBOR_MAP) {
        err = tako_fail(e, TAKO_INVALID, "\"args\" is not an object");
        goto out;
    }
    if (given.len > 0)
        err = json_from_cbor(given, &args);
    session_put_execute(request, item.str, tako_buf_slice(&args));
    if (err == TAKO_OK && request->failed)
        err = TAKO_NOMEM;
out:
    tako_buf_fini(&cbor);
    tako_buf_fini(&args);
    return err;
}

/* Answers one line of input with one line of output. */
static tako_err probe_statement(session *s, const tako_env *env,
                                tako_slice line)
{
    tako_buf request = tako_buf_on(env);
    probe_answer a = { tako_buf_on(env), false };
    tako_errbuf e = { "" };
    tako_err err = request_of(line, &request, &e);

    if (err == TAKO_OK)
        err = session_call(s, tako_buf_slice(&request), take_answer, &a, &e);
    if (err != TAKO_OK) {
        tako_buf_reset(&a.line);
        tako_put_str(&a.line, "{\"error\":");
        json_put_string(&a.line, tako_slice_str(print_reason(err, e.text)));
        tako_put_fmt(&a.line, ",\"code\":\"%s\"}", tako_err_name(err));
    }
    tako_put_u8(&a.line, '\n');
    err = a.line.failed ? TAKO_NOMEM : TAKO_OK;
    if (err == TAKO_OK && (!put_out(&a.line) || fflush(stdout) != 0))
        err = TAKO_IO;
    tako_buf_fini(&request);
    tako_buf_fini(&a.line);
    return err;
}

static int probe_lines(const program *p, session *s)
{
    splitter in;
    tako_slice text;
    uint64_t line;
    tako_errbuf e = { "" };
    tako_err err = TAKO_OK;

    splitter_init(&in, &p->env, stdin);
    while (err == TAKO_OK) {
        err = splitter_next(&in, &text, &line, &e);
        if (err == TAKO_OK)
            err = probe_statement(s, &p->env, text);
    }
    splitter_fini(&in);
    return err == TAKO_NOTFOUND ? STATUS_OK : refuse(err, &e);
}

/* Removes the temporary database with all files beside it. */
static void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL)
        (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL)
        closedir(d);
    if (rmdir(folder) != 0)
        print_problem(folder, strerror(errno));
}

static int probe_query(const program *p, const char *db)
{
    char folder[] = "/tmp/tako-probe-XXXXXX";
    char path[256];
    session *s = NULL;
    int status;

    if (db == NULL && mkdtemp(folder) == NULL) {
        print_problem(folder, strerror(errno));
        return STATUS_FAILED;
    }
    snprintf(path, sizeof path, "%s/probe.db", folder);
    status = session_start(p, db == NULL ? path : db, true, &s);
    if (status == STATUS_OK)
        status = probe_lines(p, s);
    session_close(s);
    if (db == NULL)
        remove_folder(folder);
    return status;
}

int cmd_probe(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[2];
    unsigned to = 0;
    const option_spec specs[] = {
        { "to", OPTION_CHOICE, &to, "json|cbor",
          "what `probe json` and `probe cbor` write (json)" },
        OPTION_SPEC_END,
    };
    int status = options_parse(self, specs, argc, argv, 1, 2, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (strcmp(operand[0], "query") == 0)
        return probe_query(p, operand[1]);
    if (operand[1] != NULL)
        return options_wrong(self, "too many arguments", operand[1]);
    if (strcmp(operand[0], "json") == 0)
        return probe_json(p, to == 1);
    if (strcmp(operand[0], "cbor") == 0)
        return probe_cbor(p, to == 1);
    if (strcmp(operand[0], "hash") == 0)
        return probe_hash(p);
    return options_wrong(self, "json, cbor, hash or query is wanted",
                         operand[0]);
}
