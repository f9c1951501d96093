// SPDX-License-Identifier: Apache-2.0
/* wait: until a commit is known elsewhere. */
#include <stdio.h>

#include "codec/json.h"
#include "options.h"
#include "print.h"
#include "session.h"

#define WAIT_SECONDS_MAX (UINT32_MAX / 1000u)

static tako_err ignore(void *ctx, const char *kind, tako_slice json)
{
    (void)ctx;
    (void)kind;
    (void)json;
    return TAKO_OK;
}

static tako_err ask(session *s, const program *p, uint64_t commit,
                    const char *peer, uint64_t keepers, uint64_t seconds,
                    tako_errbuf *e)
{
    tako_buf b = tako_buf_on(&p->env);
    tako_err err = TAKO_NOMEM;

    tako_put_fmt(&b, "{\"op\":\"wait\",\"commit\":%llu,\"timeout_ms\":%llu",
                 (unsigned long long)commit,
                 (unsigned long long)seconds * 1000u);
    if (peer != NULL) {
        tako_put_str(&b, ",\"peer\":");
        json_put_string(&b, tako_slice_str(peer));
    }
    if (keepers > 0)
        tako_put_fmt(&b, ",\"keepers\":%llu", (unsigned long long)keepers);
    tako_put_u8(&b, '}');
    if (!b.failed)
        err = session_call(s, tako_buf_slice(&b), ignore, NULL, e);
    tako_buf_fini(&b);
    return err;
}

static int wait_for(const program *p, const char *path, uint64_t commit,
                    const char *peer, uint64_t keepers, uint64_t seconds)
{
    session *s;
    tako_errbuf e = { "" };
    tako_err err;
    int status = session_start(p, path, false, &s);

    if (status != STATUS_OK)
        return status;
    if (!session_is_remote(s)) {
        print_problem("no `tako run` has this database", path);
        status = STATUS_FAILED;
    } else {
        err = ask(s, p, commit, peer, keepers, seconds, &e);
        if (err != TAKO_OK) {
            print_problem(path, print_reason(err, e.text));
            status = STATUS_FAILED;
        }
    }
    session_close(s);
    return status;
}

int cmd_wait(const program *p, const command *self, int argc, char **argv)
{
    const char *operand[1];
    const char *peer = NULL;
    uint64_t commit = UINT64_MAX, seconds = 10, keepers = 0;
    const option_spec specs[] = {
        { "commit", OPTION_NUMBER, &commit, "N",
          "as a mutation printed it; needed" },
        { "peer", OPTION_TEXT, &peer, "PEER",
          "its name, or its key in hex, also some devices away (any peer)" },
        { "keepers", OPTION_NUMBER, &keepers, "K",
          "until so many devices keep it on disk (0: acknowledged is enough)" },
        { "timeout", OPTION_NUMBER, &seconds, "SECONDS",
          "how long at most (10); 0: only look" },
        OPTION_SPEC_END,
    };
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (commit > INT64_MAX)
        return options_wrong(self, "--commit", "a commit number is wanted");
    if (seconds > WAIT_SECONDS_MAX)
        return options_wrong(self, "--timeout", "too many seconds");
    if (keepers > UINT32_MAX)
        return options_wrong(self, "--keepers", "too many");
    return wait_for(p, operand[0], commit, peer, keepers, seconds);
}
