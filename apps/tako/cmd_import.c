// SPDX-License-Identifier: Apache-2.0
/* IMPORT -- documents from a file in batches, each one transaction. A batch
 * that fails is not there at all; those before it are. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"
#include "splitter.h"

#define IMPORT_BATCH_MAX       10000u
#define IMPORT_BATCH_BYTES_MAX (8u << 20)

typedef struct import {
    const program *p;
    session *s;
    splitter in;
    const char *collection;
    const char *conflict; /* fail, skip, update */
    uint64_t batch;
    tako_buf request; /* begun, not ended */
    tako_buf cbor;    /* of one document */
    uint64_t docs;    /* in the request */
    uint64_t read, written;
    uint64_t culprit; /* place in the batch of the one that failed */
    uint64_t line[IMPORT_BATCH_MAX];
} import;

/* Learns from the answer: {"count":n}, or the note {"document":n}. */
static tako_err take_answer(void *ctx, const char *kind, tako_slice json)
{
    import *m = ctx;
    unsigned long long n;
    char text[64];

    if (json.len >= sizeof text)
        return TAKO_OK;
    memcpy(text, json.ptr, json.len);
    text[json.len] = '\0';
    if (strcmp(kind, "done") == 0 && sscanf(text, "{\"count\":%llu}", &n) == 1)
        m->written += n;
    if (strcmp(kind, "note") == 0 &&
        sscanf(text, "{\"document\":%llu}", &n) == 1)
        m->culprit = n;
    return TAKO_OK;
}

static void begin_batch(import *m)
{
    tako_buf_reset(&m->request);
    tako_put_str(&m->request, "{\"op\":\"import\",\"collection\":");
    json_put_string(&m->request, tako_slice_str(m->collection));
    tako_put_fmt(&m->request, ",\"on_conflict\":\"%s\",\"docs\":[",
                 m->conflict);
    m->docs = 0;
}

static tako_err end_batch(import *m, tako_errbuf *e)
{
    tako_errbuf why = { "" };
    tako_err err = TAKO_NOMEM;

    if (m->docs == 0)
        return TAKO_OK;
    tako_put_str(&m->request, "]}");
    m->culprit = UINT64_MAX;
    if (!m->request.failed)
        err = session_call(m->s, tako_buf_slice(&m->request), take_answer, m,
                           &why);
    if (err != TAKO_OK && m->culprit < m->docs)
        return tako_fail(e, err, "line %llu: %s",
                         (unsigned long long)m->line[m->culprit],
                         print_reason(err, why.text));
    if (err != TAKO_OK)
        return tako_fail(e, err, "lines %llu to %llu: %s",
                         (unsigned long long)m->line[0],
                         (unsigned long long)m->line[m->docs - 1],
                         print_reason(err, why.text));
    m->read += m->docs;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%llu documents", (unsigned long long)m->read);
    begin_batch(m);
    return TAKO_OK;
}

/* "line 2 column 7: what" in a value that begins in `line` of the file. */
static tako_err not_json(tako_errbuf *e, tako_err err, uint64_t line,
                         const char *why)
{
    unsigned inner, column;
    const char *what = strstr(why, ": ");

    if (what == NULL || sscanf(why, "line %u column %u", &inner, &column) != 2)
        return tako_fail(e, err, "line %llu: %s", (unsigned long long)line,
                         print_reason(err, why));
    return tako_fail(e, err, "line %llu column %u: %s",
                     (unsigned long long)(line + inner - 1), column, what + 2);
}

static tako_err add(import *m, tako_slice text, uint64_t line, tako_errbuf *e)
{
    tako_errbuf why = { "" };
    tako_err err;

    tako_buf_reset(&m->cbor);
    err = json_to_cbor(text, TAKO_VALUE_DEPTH_MAX, &m->cbor, &why);
    if (err != TAKO_OK)
        return not_json(e, err, line, why.text);
    if (cbor_kind_of(tako_buf_slice(&m->cbor)) != CBOR_MAP)
        return tako_fail(e, TAKO_INVALID, "line %llu: not an object",
                         (unsigned long long)line);
    if (m->docs > 0)
        tako_put_u8(&m->request, ',');
    (void)json_from_cbor(tako_buf_slice(&m->cbor), &m->request);
    m->line[m->docs++] = line;
    if (m->docs == m->batch || m->request.len > IMPORT_BATCH_BYTES_MAX)
        return end_batch(m, e);
    return TAKO_OK;
}

static tako_err import_all(import *m, tako_errbuf *e)
{
    tako_slice text;
    uint64_t line;
    tako_err err;

    begin_batch(m);
    while ((err = splitter_next(&m->in, &text, &line, e)) == TAKO_OK)
        TAKO_TRY(add(m, text, line, e));
    if (err != TAKO_NOTFOUND) {
        tako_errbuf why = *e;

        return tako_fail(e, err, "line %llu: %s",
                         (unsigned long long)m->in.line,
                         print_reason(err, why.text));
    }
    return end_batch(m, e);
}

/* Runs an import whose session is open and prints how it went. */
static int finish(import *m, const char *name, bool json)
{
    tako_errbuf e = { "" };
    tako_err err = import_all(m, &e);

    if (isatty(STDERR_FILENO) && m->read > 0)
        fputc('\n', stderr);
    if (err != TAKO_OK) {
        print_problem(name, print_reason(err, e.text));
        fprintf(stderr, "      %llu documents before it were imported\n",
                (unsigned long long)m->read);
        return STATUS_FAILED;
    }
    printf(json ? "{\"read\":%llu,\"written\":%llu}\n"
                : "%llu documents read, %llu written\n",
           (unsigned long long)m->read, (unsigned long long)m->written);
    return STATUS_OK;
}

static int import_file(import *m, const char *db, const char *path, bool json)
{
    bool own = path != NULL && strcmp(path, "-") != 0;
    FILE *f = own ? fopen(path, "rbe") : stdin;
    int status;

    if (f == NULL) {
        print_problem(path, strerror(errno));
        return STATUS_FAILED;
    }
    status = session_start(m->p, db, true, &m->s);
    if (status == STATUS_OK) {
        splitter_init(&m->in, &m->p->env, f);
        status = finish(m, own ? path : "standard input", json);
        splitter_fini(&m->in);
        session_close(m->s);
    }
    if (own)
        fclose(f);
    return status;
}

int cmd_import(const program *p, const command *self, int argc, char **argv)
{
    static const char *const modes[] = { "fail", "skip", "update" };
    const char *operand[3];
    uint64_t batch = 1000;
    unsigned conflict = 0;
    bool json = false;
    const option_spec specs[] = {
        { "batch", OPTION_NUMBER, &batch, "N",
          "documents per transaction (1000; 10000 at most)" },
        { "on-conflict", OPTION_CHOICE, &conflict, "fail|skip|update",
          "for an _id that is there already (fail)" },
        { "json", OPTION_FLAG, &json, NULL, "say how it went in JSON" },
        OPTION_SPEC_END,
    };
    import *m;
    int status = options_parse(self, specs, argc, argv, 2, 3, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (batch == 0 || batch > IMPORT_BATCH_MAX)
        return options_wrong(self, "--batch", "1 to 10000 is wanted");
    m = tako_env_alloc(&p->env, sizeof *m);
    if (m == NULL) {
        print_problem("out of memory", NULL);
        return STATUS_FAILED;
    }
    m->p = p;
    m->collection = operand[1];
    m->conflict = modes[conflict];
    m->batch = batch;
    m->request = tako_buf_on(&p->env);
    m->cbor = tako_buf_on(&p->env);
    status = import_file(m, operand[0], operand[2], json);
    tako_buf_fini(&m->request);
    tako_buf_fini(&m->cbor);
    tako_env_free(&p->env, m, sizeof *m);
    return status;
}
