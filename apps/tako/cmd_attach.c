// SPDX-License-Identifier: Apache-2.0
/* attach: files beside documents. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"
#include "wire.h"

typedef struct attach {
    const program *p;
    bool json;
    bool told; /* progress stands on the terminal */
    const char *from, *to;
    table *rows;
} attach;

/* ---- what comes back ---------------------------------------------------------- */

static uint64_t number_in(const program *p, tako_slice json, const char *key)
{
    tako_buf b = tako_buf_on(&p->env);
    tako_reader r;
    cbor_item item = { .integer = 0 };

    if (json_to_cbor(json, TAKO_JSON_DEPTH_MAX, &b, NULL) == TAKO_OK) {
        r = tako_reader_of(
            cbor_map_get(tako_buf_slice(&b), tako_slice_str(key)));
        (void)cbor_read(&r, &item);
    }
    tako_buf_fini(&b);
    return item.integer > 0 ? (uint64_t)item.integer : 0;
}

static void print_progress(attach *a, tako_slice json)
{
    uint64_t done = number_in(a->p, json, "done");
    uint64_t all = number_in(a->p, json, "all");

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%llu of %llu KB, from %llu ",
            (unsigned long long)done / 1024, (unsigned long long)all / 1024,
            (unsigned long long)number_in(a->p, json, "sources"));
    a->told = true;
}

static tako_err answer(void *ctx, const char *kind, tako_slice json)
{
    attach *a = ctx;

    if (strcmp(kind, "note") == 0) {
        print_progress(a, json);
        return TAKO_OK;
    }
    if (strcmp(kind, "row") == 0 && a->rows != NULL)
        return table_row(a->rows, json);
    if (strcmp(kind, "row") == 0)
        return print_line(json) ? TAKO_OK : TAKO_IO;
    if (a->rows != NULL || a->from == NULL)
        return TAKO_OK;
    if (a->told)
        fputc('\n', stderr);
    if (a->json)
        return print_line(json) ? TAKO_OK : TAKO_IO;
    if (a->to != NULL)
        printf("%s: %llu bytes in %s\n", a->from,
               (unsigned long long)number_in(a->p, json, "bytes"), a->to);
    return TAKO_OK;
}

/* ---- the request ---------------------------------------------------------------- */

static void put_text(tako_buf *b, const char *key, const char *value)
{
    tako_put_fmt(b, ",\"%s\":", key);
    json_put_string(b, tako_slice_str(value));
}

/* An _id as it stands: JSON where it is that, else a text. */
static void put_id(const program *p, tako_buf *b, const char *id)
{
    tako_buf cbor = tako_buf_on(&p->env);

    tako_put_str(b, ",\"id\":");
    if (json_to_cbor(tako_slice_str(id), TAKO_VALUE_DEPTH_MAX, &cbor, NULL) ==
        TAKO_OK)
        tako_put_str(b, id);
    else
        json_put_string(b, tako_slice_str(id));
    tako_buf_fini(&cbor);
}

static int ask(attach *a, const char *db, tako_buf *request)
{
    tako_errbuf e = { "" };
    session *s;
    tako_err err = TAKO_NOMEM;
    int status = session_start(a->p, db, false, &s);

    if (status != STATUS_OK)
        return status;
    if (!request->failed)
        err = session_call(s, tako_buf_slice(request), answer, a, &e);
    session_close(s);
    if (err == TAKO_OK)
        return STATUS_OK;
    if (a->told)
        fputc('\n', stderr);
    print_failure(db, print_reason(err, e.text));
    return STATUS_FAILED;
}

/* ---- put -------------------------------------------------------------------------- */

static int attach_put(const program *p, const command *self, int argc,
                      char **argv)
{
    const char *operand[5], *type = NULL, *name = NULL;
    char file[WIRE_PATH_BYTES_MAX];
    attach a = { .p = p };
    const option_spec specs[] = {
        { "type", OPTION_TEXT, &type, "TYPE", "its media type, as image/png" },
        { "name", OPTION_TEXT, &name, "NAME", "kept with it (the file's)" },
        { "json", OPTION_FLAG, &a.json, NULL,
          "prints {\"bytes\":...,\"commit\":...,\"token\":...}" },
        OPTION_SPEC_END,
    };
    tako_buf b = tako_buf_on(&p->env);
    int status = options_parse(self, specs, argc, argv, 5, 5, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (!wire_absolute(operand[4], file))
        return options_wrong(self, "the path is too long", operand[4]);
    a.from = operand[4];
    a.to = operand[3];
    tako_put_str(&b, "{\"op\":\"attach_put\"");
    put_text(&b, "collection", operand[1]);
    put_id(p, &b, operand[2]);
    put_text(&b, "path", operand[3]);
    put_text(&b, "file", file);
    if (type != NULL)
        put_text(&b, "type", type);
    if (name != NULL)
        put_text(&b, "name", name);
    tako_put_u8(&b, '}');
    status = ask(&a, operand[0], &b);
    tako_buf_fini(&b);
    return status;
}

/* ---- get -------------------------------------------------------------------------- */

/* A file of ours alone for what goes to standard output. */
static bool scratch_file(char out[WIRE_PATH_BYTES_MAX])
{
    const char *dir = getenv("TMPDIR");
    int n = snprintf(out, WIRE_PATH_BYTES_MAX, "%s/tako-attach-XXXXXX",
                     dir != NULL && dir[0] == '/' ? dir : "/tmp");
    int fd = n > 0 && (size_t)n < WIRE_PATH_BYTES_MAX ? mkstemp(out) : -1;

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int print_file(const char *path)
{
    char part[65536];
    FILE *f = fopen(path, "rb");
    size_t n;
    bool ok = f != NULL;

    while (ok && (n = fread(part, 1, sizeof part, f)) > 0)
        ok = fwrite(part, 1, n, stdout) == n;
    ok = ok && ferror(f) == 0;
    if (f != NULL)
        (void)fclose(f);
    return ok ? STATUS_OK : STATUS_FAILED;
}

static int attach_get(const program *p, const command *self, int argc,
                      char **argv)
{
    const char *operand[4], *output = NULL;
    char file[WIRE_PATH_BYTES_MAX];
    uint64_t seconds = 30;
    attach a = { .p = p };
    const option_spec specs[] = {
        { "output", OPTION_TEXT, &output, "FILE",
          "where to (standard output); -o for short" },
        { "timeout", OPTION_NUMBER, &seconds, "SECONDS",
          "how long nothing may come (30)" },
        { "json", OPTION_FLAG, &a.json, NULL,
          "with -o: prints {\"bytes\":...,\"token\":...}" },
        OPTION_SPEC_END,
    };
    tako_buf b = tako_buf_on(&p->env);
    int status = options_parse(self, specs, argc, argv, 4, 4, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (seconds > 86400u)
        return options_wrong(self, "--timeout", "too many seconds");
    if (output != NULL && !wire_absolute(output, file))
        return options_wrong(self, "the path is too long", output);
    if (output == NULL && !scratch_file(file)) {
        print_problem("no temporary file can be made", strerror(errno));
        return STATUS_FAILED;
    }
    a.from = operand[3];
    a.to = output;
    a.json = a.json && output != NULL;
    tako_put_str(&b, "{\"op\":\"attach_get\"");
    put_text(&b, "collection", operand[1]);
    put_id(p, &b, operand[2]);
    put_text(&b, "path", operand[3]);
    put_text(&b, "file", file);
    tako_put_fmt(&b, ",\"timeout_ms\":%llu}",
                 (unsigned long long)seconds * 1000u);
    status = ask(&a, operand[0], &b);
    tako_buf_fini(&b);
    if (output == NULL) {
        if (status == STATUS_OK)
            status = print_file(file);
        (void)unlink(file);
    }
    return status;
}

/* ---- list ------------------------------------------------------------------------- */

static int attach_list(const program *p, const command *self, int argc,
                       char **argv)
{
    static const char *const columns[] = { "_id", "bytes", "state",
                                           "stored_bytes", "documents" };
    const char *operand[1];
    attach a = { .p = p };
    const option_spec specs[] = {
        { "json", OPTION_FLAG, &a.json, NULL, "JSON lines" },
        OPTION_SPEC_END,
    };
    tako_buf b = tako_buf_on(&p->env);
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (!a.json && table_new(&p->env, &a.rows) != TAKO_OK)
        return STATUS_FAILED;
    if (a.rows != NULL)
        table_columns(a.rows, columns, sizeof columns / sizeof columns[0]);
    session_put_execute(&b, tako_slice_str("SELECT * FROM system:blobs"),
                        TAKO_SLICE_NONE);
    status = ask(&a, operand[0], &b);
    if (a.rows != NULL && status == STATUS_OK)
        (void)table_flush(a.rows);
    table_free(a.rows);
    tako_buf_fini(&b);
    return status;
}

int cmd_attach(const program *p, const command *self, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const program *, const command *, int, char **);
    } verbs[] = {
        { "put", attach_put },
        { "get", attach_get },
        { "list", attach_list },
    };
    static char output[] = "--output";

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = output;
    }
    for (size_t i = 0; argc > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[0], verbs[i].name) == 0)
            return verbs[i].run(p, self, argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "--help") == 0)
        return attach_get(p, self, argc, argv);
    return options_wrong(self, "one of put, get, list is wanted",
                         argc > 0 ? argv[0] : "nothing was given");
}
