// SPDX-License-Identifier: Apache-2.0
/* conflicts: what merging could not keep, as a table or as JSON lines; with
 * --watch what comes and goes, and with --dismiss off the list. All of it is
 * system:conflicts, by statements that any program could make. */
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"

#define ALL_OF_IT "SELECT * FROM system:conflicts"
#define FOR_PEOPLE                                                             \
    "SELECT kind, collection, id, path, shown, "                               \
    "ARRAY l.`value` FOR l IN losers END AS lost, _id FROM system:conflicts"

static const char *const columns[] = { "kind",  "collection", "id", "path",
                                       "shown", "lost",       "_id" };

typedef struct showing {
    const tako_env *env;
    table *rows; /* NULL: JSON lines */
    uint64_t count;
} showing;

static tako_err show(void *ctx, const char *kind, tako_slice json)
{
    showing *s = ctx;

    if (strcmp(kind, "row") != 0)
        return TAKO_OK;
    s->count++;
    if (s->rows != NULL)
        return table_row(s->rows, json);
    return print_line(json) && fflush(stdout) == 0 ? TAKO_OK : TAKO_IO;
}

static tako_err list(session *s, const program *p, bool json, tako_errbuf *e)
{
    showing shown = { &p->env, NULL, 0 };
    tako_buf request = tako_buf_on(&p->env);
    tako_err err = TAKO_OK;

    if (!json)
        err = table_new(&p->env, &shown.rows);
    if (err == TAKO_OK && !json)
        table_columns(shown.rows, columns, sizeof columns / sizeof columns[0]);
    session_put_execute(&request, tako_slice_str(json ? ALL_OF_IT : FOR_PEOPLE),
                        TAKO_SLICE_NONE);
    if (err == TAKO_OK)
        err = request.failed
                  ? TAKO_NOMEM
                  : session_call(s, tako_buf_slice(&request), show, &shown, e);
    if (err == TAKO_OK && !json)
        err = table_flush(shown.rows);
    table_free(shown.rows);
    tako_buf_fini(&request);
    if (err == TAKO_OK && !json && shown.count == 0)
        (void)print_line(tako_slice_str("no conflicts"));
    return err;
}

/* A line of JSON for each change: tako_observe_diff(). */
static tako_err watch(session *s, const program *p, uint64_t count,
                      tako_errbuf *e)
{
    showing shown = { &p->env, NULL, 0 };
    tako_buf request = tako_buf_on(&p->env);
    tako_err err = TAKO_NOMEM;

    tako_put_str(&request, "{\"op\":\"watch\",\"statement\":");
    json_put_string(&request, tako_slice_str(ALL_OF_IT));
    tako_put_fmt(&request, ",\"diff\":true,\"count\":%llu}",
                 (unsigned long long)count);
    if (!request.failed)
        err = session_call(s, tako_buf_slice(&request), show, &shown, e);
    tako_buf_fini(&request);
    return err;
}

static tako_err show_dismissed(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    if (strcmp(kind, "done") != 0)
        return TAKO_OK;
    return print_line(json) ? TAKO_OK : TAKO_IO;
}

/* One by its _id, or all that can be. */
static tako_err dismiss(session *s, const program *p, const char *which,
                        tako_errbuf *e)
{
    bool all = strcmp(which, "all") == 0;
    tako_buf request = tako_buf_on(&p->env), params = tako_buf_on(&p->env);
    tako_err err = TAKO_NOMEM;

    tako_put_str(&params, "{\"id\":");
    json_put_string(&params, tako_slice_str(which));
    tako_put_u8(&params, '}');
    session_put_execute(
        &request,
        tako_slice_str(all ? "DELETE FROM system:conflicts WHERE kind <> "
                             "'sibling'"
                           : "DELETE FROM system:conflicts WHERE _id = :id"),
        all ? TAKO_SLICE_NONE : tako_buf_slice(&params));
    if (!request.failed && !params.failed)
        err =
            session_call(s, tako_buf_slice(&request), show_dismissed, NULL, e);
    tako_buf_fini(&request);
    tako_buf_fini(&params);
    return err;
}

int cmd_conflicts(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    option_list gone = { { NULL }, 0 };
    bool json = false, watching = false;
    uint64_t count = 0;
    const option_spec specs[] = {
        { "json", OPTION_FLAG, &json, NULL, "JSON lines, with all there is" },
        { "watch", OPTION_FLAG, &watching, NULL,
          "goes on: a line of JSON for each change" },
        { "count", OPTION_NUMBER, &count, "N",
          "with --watch: ends after N lines" },
        { "dismiss", OPTION_LIST, &gone, "ID",
          "takes one that was lost off the list; `all`: all of them" },
        OPTION_SPEC_END,
    };
    session *s;
    tako_errbuf e = { "" };
    tako_err err = TAKO_OK;
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    status = session_start(p, operand[0], false, &s);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < gone.count && err == TAKO_OK; i++)
        err = dismiss(s, p, gone.items[i], &e);
    if (err == TAKO_OK && watching)
        err = watch(s, p, count, &e);
    else if (err == TAKO_OK && gone.count == 0)
        err = list(s, p, json, &e);
    if (err != TAKO_OK) {
        print_failure(operand[0], print_reason(err, e.text));
        status = STATUS_FAILED;
    }
    session_close(s);
    return status;
}
