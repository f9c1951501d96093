// SPDX-License-Identifier: Apache-2.0
/* RUN -- a database kept open: in sync with others, and open to the other
 * sub-commands through its control socket.
 *
 * The signals that end it are blocked before any thread exists and taken by
 * sigwait, so that stopping is plain code on the main thread. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "args.h"
#include "codec/json.h"
#include "control.h"
#include "options.h"
#include "print.h"
#include "session.h"

#define SECRET_FILE_BYTES_MAX 4096u
#define SECRET_BYTES_MIN      16u

typedef struct run {
    const program *p;
    const char *path;
    const char *name;
    const char *secret_file;
    option_list listen, peers, subscribe, keep;
    bool archive, read_only;
    unsigned level;      /* of the log, a tako_level */
    unsigned durability; /* a tako_durability */
    bool json;
    tako_buf secret;
} run;

/* ---- the log ------------------------------------------------------------------ */

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static void log_line(void *ctx, tako_level level, const char *event,
                     const char *fields)
{
    const run *r = ctx;
    struct timespec now;
    struct tm utc;
    char time_text[32];
    size_t len = strlen(fields);

    if ((unsigned)level > r->level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
    /* The fields come as an object: its inside goes on in ours. */
    if (len >= 2 && fields[0] == '{') {
        fields++;
        len -= 2;
    }
    fprintf(
        stderr,
        "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"%s%.*s}\n",
        time_text, now.tv_nsec / 1000000, level_names[level], event,
        len == 0 ? "" : ",", (int)len, fields);
}

/* ---- starting ------------------------------------------------------------------- */

static int fail(const char *what, const char *where)
{
    print_problem(what, where);
    return STATUS_FAILED;
}

static int read_secret(run *r)
{
    tako_errbuf e = { "" };
    struct stat st;

    if (r->secret_file == NULL)
        return STATUS_OK;
    if (args_read_file(r->secret_file, SECRET_FILE_BYTES_MAX, &r->secret, &e) !=
        TAKO_OK)
        return fail("the mesh secret cannot be read", e.text);
    /* An editor's line end is not part of a secret. */
    while (r->secret.len > 0 && (r->secret.ptr[r->secret.len - 1] == '\n' ||
                                 r->secret.ptr[r->secret.len - 1] == '\r'))
        r->secret.len--;
    if (r->secret.len < SECRET_BYTES_MIN)
        return fail("the mesh secret is shorter than 16 bytes; make one "
                    "with `tako secret`",
                    r->secret_file);
    if (stat(r->secret_file, &st) == 0 && (st.st_mode & 077) != 0)
        log_line(r, TAKO_LEVEL_WARN, "secret_not_private",
                 "{\"hint\":\"others may read the file: chmod 600\"}");
    return STATUS_OK;
}

static int subscribe_to(tako_db *db, const option_list *list, uint32_t flags)
{
    for (size_t i = 0; i < list->count; i++) {
        tako_err err =
            tako_subscribe_with(db, list->items[i], NULL, flags, NULL);

        if (err != TAKO_OK) {
            print_statement_error(list->items[i], err, tako_last_error(db));
            return STATUS_FAILED;
        }
    }
    return STATUS_OK;
}

static int subscribe(run *r, tako_db *db)
{
    int status = subscribe_to(db, &r->subscribe, 0);

    if (status == STATUS_OK)
        status = subscribe_to(db, &r->keep, TAKO_SUBSCRIBE_KEEP);
    if (status != STATUS_OK)
        return status;
    if (r->subscribe.count + r->keep.count == 0)
        log_line(r, TAKO_LEVEL_WARN, "no_subscription",
                 "{\"hint\":\"nothing is asked of others: --subscribe\"}");
    return STATUS_OK;
}

static int start_sync(run *r, tako_db *db)
{
    tako_sync_opts o = TAKO_SYNC_OPTS_INIT;

    if (r->secret_file == NULL)
        return STATUS_OK;
    o.name = r->name;
    o.secret = r->secret.ptr;
    o.secret_len = r->secret.len;
    o.listen = r->listen.items;
    o.listen_count = r->listen.count;
    o.peers = r->peers.items;
    o.peers_count = r->peers.count;
    o.archive = r->archive;
    o.read_only = r->read_only;
    if (tako_sync_start(db, &o) != TAKO_OK)
        return fail("cannot sync", tako_last_error(db));
    for (size_t i = 0; i < r->listen.count; i++) {
        char *address = NULL;

        if (tako_sync_address(db, i, &address) != TAKO_OK)
            continue;
        printf(r->json ? "{\"listening\":\"%s\"}\n" : "listening %s\n",
               address);
        tako_free(address);
    }
    return subscribe(r, db);
}

/* ---- running --------------------------------------------------------------------- */

static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static int serve(run *r, tako_db *db)
{
    control *c = NULL;
    sigset_t set;
    int signal_number = 0;
    tako_errbuf e = { "" };
    tako_err err = control_start(&r->p->env, db, r->path, &c, &e);
    int status;

    if (err != TAKO_OK)
        return fail("no control socket", print_reason(err, e.text));
    status = start_sync(r, db);
    if (status == STATUS_OK) {
        printf(r->json ? "{\"ready\":true}\n" : "ready\n");
        fflush(stdout);
        ending_signals(&set);
        (void)sigwait(&set, &signal_number);
    }
    tako_sync_stop(db); /* ends what callers wait for, too */
    control_stop(c);
    return status;
}

static int open_and_serve(run *r)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    char detail[512] = "";
    tako_db *db = NULL;
    sigset_t set;
    tako_err err;
    int status;

    ending_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    o.path = r->path;
    o.durability = (tako_durability)r->durability;
    o.log = log_line;
    o.log_ctx = r;
    err = tako_open(&o, &db, detail, sizeof detail);
    if (err != TAKO_OK) {
        session_explain(r->path, print_reason(err, detail));
        return STATUS_FAILED;
    }
    status = serve(r, db);
    tako_close(db);
    return status;
}

int cmd_run(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    run r = { .p = p, .level = TAKO_LEVEL_INFO };
    const option_spec specs[] = {
        { "name", OPTION_TEXT, &r.name, "NAME",
          "of this device, as others see it" },
        { "listen", OPTION_LIST, &r.listen, "tcp://HOST:PORT",
          "where others may connect; port 0: any" },
        { "peer", OPTION_LIST, &r.peers, "tcp://HOST:PORT",
          "whom to connect to, and reconnect to for ever" },
        { "secret-file", OPTION_TEXT, &r.secret_file, "FILE",
          "the mesh secret (see `tako secret`)" },
        { "subscribe", OPTION_LIST, &r.subscribe, "SELECT",
          "what is wanted of others: SELECT * FROM c [WHERE ...]" },
        { "keep", OPTION_LIST, &r.keep, "SELECT",
          "the same, and what stops matching stays here as it was" },
        { "archive", OPTION_FLAG, &r.archive, NULL,
          "no document leaves this device by itself" },
        { "read-only", OPTION_FLAG, &r.read_only, NULL,
          "others refuse what is written here: it goes to system:quarantine" },
        { "durability", OPTION_CHOICE, &r.durability, "normal|full",
          "commits survive a killed process, or power loss too" },
        { "log-level", OPTION_CHOICE, &r.level, "error|warn|info|debug",
          "of the JSON lines on standard error (info)" },
        { "json", OPTION_FLAG, &r.json, NULL,
          "what is said on standard output, in JSON" },
        OPTION_SPEC_END,
    };
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (r.secret_file == NULL && (r.listen.count > 0 || r.peers.count > 0))
        return options_wrong(
            self, "--listen and --peer need --secret-file FILE",
            "make one for the whole mesh: (umask 077; tako secret > FILE)");
    r.path = operand[0];
    r.secret = tako_buf_on(&p->env);
    status = read_secret(&r);
    if (status == STATUS_OK)
        status = open_and_serve(&r);
    if (r.secret.len > 0)
        memset(r.secret.ptr, 0, r.secret.len);
    tako_buf_fini(&r.secret);
    return status;
}
