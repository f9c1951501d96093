// SPDX-License-Identifier: Apache-2.0
/* SIM -- scenarios in the simulator, one seed or many.
 *
 * Many seeds run in --jobs processes at once, each started for one seed after
 * the other, so that a seed that ends its process (an assertion, a sanitizer)
 * is a failure of that seed and not of the run. A child sends its result
 * through a pipe, in one write. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "options.h"
#include "print.h"
#include "sim/run.h"

#define JOBS_MAX          64u
#define SEEDS_MAX         10000000u
#define SCENARIO_MAX      SIM_SCENARIO_BYTES
#define MINIMISE_RUNS     400u
#define SHOWN_FAILURES    5u
#define SEED_ALARM_SECOND 600u /* real time of one seed */

typedef struct asked {
    const program *p;
    const char *path;
    tako_slice text;
    uint64_t from, to;
    uint64_t jobs;
    bool json, quiet, trace, minimise;
    const char *history, *out;
    FILE *history_file;
} asked;

typedef struct totals {
    uint64_t seeds, failed;
    uint64_t operations, acked, ends, virtual_ms, bytes, converged_ms;
    uint64_t cuts, order, states;
} totals;

/* ---- one seed -------------------------------------------------------------- */

static void on_line(void *ctx, const char *line)
{
    if (((const asked *)ctx)->trace)
        fprintf(stderr, "%s\n", line);
}

static void on_history(void *ctx, const char *json)
{
    fprintf(((const asked *)ctx)->history_file, "%s\n", json);
}

static int run_plan(const asked *a, const sim_plan *plan, uint64_t seed,
                    sim_result *out)
{
    sim_run_opts o = { .env = &a->p->env,
                       .seed = seed,
                       .plan = plan,
                       .line = a->trace ? on_line : NULL,
                       .history = a->history_file != NULL ? on_history : NULL,
                       .ctx = (void *)(uintptr_t)a };

    sim_run(&o, out);
    return out->failed ? STATUS_FAILED : STATUS_OK;
}

static bool plan_of(const asked *a, uint64_t seed, sim_plan **out)
{
    sim_scenario_error e;
    char where[400];

    if (sim_plan_new(&a->p->env, a->text, seed, out, &e) == TAKO_OK)
        return true;
    snprintf(where, sizeof where, "%s:%u:%u", a->path, e.line, e.column);
    print_problem(where, e.text);
    return false;
}

static void show_failure(const asked *a, const sim_result *r, bool whole)
{
    fprintf(stderr, "FAIL seed %llu at %llu.%03llu s: %s\n  %s\n",
            (unsigned long long)r->seed,
            (unsigned long long)(r->failed_us / SIM_SECOND),
            (unsigned long long)(r->failed_us / SIM_MS % 1000), r->checker,
            r->failure);
    if (whole)
        fprintf(stderr, "  what happened last:\n");
    for (size_t i = 0; whole && i < SIM_LAST_LINES; i++)
        if (r->last[i][0] != '\0')
            fprintf(stderr, "    %s\n", r->last[i]);
    fprintf(stderr, "  replay: tako sim %s --seed %llu --trace\n", a->path,
            (unsigned long long)r->seed);
}

static void on_progress(void *ctx, size_t left, size_t all)
{
    (void)ctx;
    fprintf(stderr, "  %zu of %zu events are left\n", left, all);
}

static void minimise(const asked *a, const sim_plan *plan,
                     const sim_result *failing)
{
    sim_run_opts o = { .env = &a->p->env, .seed = failing->seed, .plan = plan };
    tako_buf text = tako_buf_on(&a->p->env);
    sim_plan *less;
    char name[64];
    const char *path = a->out;
    FILE *f;

    fprintf(stderr, "  looking for a smaller scenario\n");
    less = sim_minimise(&o, failing, MINIMISE_RUNS, on_progress, NULL);
    tako_put_fmt(&text, "# Fails with --seed %llu: %s\n",
                 (unsigned long long)failing->seed, failing->checker);
    sim_plan_print(less, &text);
    snprintf(name, sizeof name, "seed-%llu.sim",
             (unsigned long long)failing->seed);
    path = path != NULL ? path : name;
    f = fopen(path, "w");
    if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len)
        print_problem(path, strerror(errno));
    else
        fprintf(stderr,
                "  %zu nodes, %zu events: tako sim %s --seed %llu --trace\n",
                less->node_count, less->action_count, path,
                (unsigned long long)failing->seed);
    if (f != NULL)
        (void)fclose(f);
    sim_plan_free(less);
    tako_buf_fini(&text);
}

static void print_result(const asked *a, const sim_result *r)
{
    tako_buf out = tako_buf_on(&a->p->env);

    if (a->json) {
        sim_result_json(r, &out);
        (void)print_line(tako_buf_slice(&out));
    } else {
        printf("%s seed %llu: %zu nodes, %llu operations (%llu acknowledged), "
               "%llu ends, %llu virtual s, in sync after %llu ms, trace "
               "%016llx\n",
               r->failed ? "FAIL" : "ok", (unsigned long long)r->seed, r->nodes,
               (unsigned long long)r->operations, (unsigned long long)r->acked,
               (unsigned long long)r->ends,
               (unsigned long long)(r->virtual_us / SIM_SECOND),
               (unsigned long long)(r->converged_us / SIM_MS),
               (unsigned long long)r->trace);
    }
    tako_buf_fini(&out);
}

static int one_seed(const asked *a)
{
    sim_result *r = tako_env_alloc(&a->p->env, sizeof *r);
    sim_plan *plan = NULL;
    int status = STATUS_FAILED;

    if (r == NULL)
        return STATUS_FAILED;
    if (!plan_of(a, a->from, &plan)) {
        status = STATUS_USAGE;
    } else {
        status = run_plan(a, plan, a->from, r);
        print_result(a, r);
        if (r->failed)
            show_failure(a, r, !a->trace);
        if (r->failed && a->minimise)
            minimise(a, plan, r);
    }
    sim_plan_free(plan);
    tako_env_free(&a->p->env, r, sizeof *r);
    return status;
}

/* ---- many seeds ---------------------------------------------------------------- */

typedef struct job {
    pid_t pid;
    int fd; /* -1: free */
    uint64_t seed;
} job;

static _Noreturn void child(const asked *a, uint64_t seed, int fd)
{
    sim_result *r = tako_env_alloc(&a->p->env, sizeof *r);
    sim_plan *plan = NULL;
    const char *at;
    size_t left = sizeof *r;

    (void)alarm(SEED_ALARM_SECOND);
    if (r == NULL || !plan_of(a, seed, &plan))
        _exit(STATUS_USAGE);
    (void)run_plan(a, plan, seed, r);
    for (at = (const char *)r; left > 0;) {
        ssize_t n = write(fd, at, left);

        if (n < 0)
            _exit(STATUS_FAILED);
        at += n;
        left -= (size_t)n;
    }
    sim_plan_free(plan);
    tako_env_free(&a->p->env, r, sizeof *r);
    exit(STATUS_OK); /* sanitizers look for leaks */
}

static bool start(const asked *a, job *j, uint64_t seed)
{
    int ends[2];

    if (pipe(ends) != 0)
        return false;
    j->pid = fork();
    if (j->pid == 0) {
        (void)close(ends[0]);
        child(a, seed, ends[1]);
    }
    (void)close(ends[1]);
    j->fd = ends[0];
    j->seed = seed;
    return j->pid > 0;
}

/* Waits for a job to end. */
static void collect(job *j, sim_result *r)
{
    size_t got = 0;
    int status = 0;
    ssize_t n;

    memset(r, 0, sizeof *r);
    while (got < sizeof *r &&
           ((n = read(j->fd, (char *)r + got, sizeof *r - got)) > 0 ||
            (n < 0 && errno == EINTR)))
        got += n > 0 ? (size_t)n : 0;
    (void)close(j->fd);
    j->fd = -1;
    (void)waitpid(j->pid, &status, 0);
    if (got == sizeof *r && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (got < sizeof *r)
        memset(r, 0, sizeof *r);
    r->seed = j->seed;
    r->failed = true;
    snprintf(r->checker, sizeof r->checker, "the process lives");
    snprintf(r->failure, sizeof r->failure,
             WIFSIGNALED(status) ? "it ended by signal %d"
                                 : "it ended with status %d",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void add(const asked *a, totals *t, const sim_result *r)
{
    t->seeds++;
    t->failed += r->failed;
    t->operations += r->operations;
    t->acked += r->acked;
    t->ends += r->ends;
    t->virtual_ms += r->virtual_us / SIM_MS;
    t->bytes += r->bytes;
    t->cuts += r->checked_cuts;
    t->order += r->checked_order;
    t->states += r->checked_states;
    if (r->converged_us / SIM_MS > t->converged_ms)
        t->converged_ms = r->converged_us / SIM_MS;
    if (a->json || (!a->quiet && !r->failed))
        print_result(a, r);
    if (r->failed && t->failed <= SHOWN_FAILURES)
        show_failure(a, r, false);
    else if (r->failed)
        fprintf(stderr, "FAIL seed %llu: %s\n", (unsigned long long)r->seed,
                r->checker);
}

static void print_totals(const asked *a, const totals *t)
{
    if (a->json) {
        printf("{\"seeds\":%llu,\"failed\":%llu,\"operations\":%llu,"
               "\"acknowledged\":%llu,\"ends\":%llu,\"virtual_ms\":%llu,"
               "\"bytes\":%llu,\"slowest_converged_ms\":%llu,"
               "\"checked_states\":%llu,\"checked_cuts\":%llu,"
               "\"checked_order\":%llu}\n",
               (unsigned long long)t->seeds, (unsigned long long)t->failed,
               (unsigned long long)t->operations, (unsigned long long)t->acked,
               (unsigned long long)t->ends, (unsigned long long)t->virtual_ms,
               (unsigned long long)t->bytes,
               (unsigned long long)t->converged_ms,
               (unsigned long long)t->states, (unsigned long long)t->cuts,
               (unsigned long long)t->order);
        return;
    }
    printf("%llu seeds, %llu failed; %llu operations, %llu acknowledged, %llu "
           "kills and power failures, %llu virtual hours; slowest in sync "
           "after %llu ms\n",
           (unsigned long long)t->seeds, (unsigned long long)t->failed,
           (unsigned long long)t->operations, (unsigned long long)t->acked,
           (unsigned long long)t->ends,
           (unsigned long long)(t->virtual_ms / 3600000),
           (unsigned long long)t->converged_ms);
}

static int many_seeds(const asked *a)
{
    job jobs[JOBS_MAX];
    totals t = { 0 };
    sim_result *r = tako_env_alloc(&a->p->env, sizeof *r);
    uint64_t next = a->from, first = a->from;
    sim_plan *plan = NULL;

    /* A mistake in the text is told once, by this process. */
    if (r == NULL || !plan_of(a, a->from, &plan)) {
        tako_env_free(&a->p->env, r, sizeof *r);
        return STATUS_USAGE;
    }
    sim_plan_free(plan);
    (void)fflush(stdout);
    for (size_t i = 0; i < a->jobs; i++)
        jobs[i].fd = -1;
    /* Collected in the order of seeds: what is printed is the same each time. */
    while (first <= a->to) {
        while (next <= a->to && next < first + a->jobs) {
            if (!start(a, &jobs[next % a->jobs], next))
                break;
            next++;
        }
        if (next == first) {
            print_problem("starting a process", strerror(errno));
            break;
        }
        collect(&jobs[first % a->jobs], r);
        add(a, &t, r);
        (void)fflush(stdout);
        first++;
    }
    print_totals(a, &t);
    tako_env_free(&a->p->env, r, sizeof *r);
    return t.failed == 0 && t.seeds == a->to - a->from + 1 ? STATUS_OK
                                                           : STATUS_FAILED;
}

/* ---- the command -------------------------------------------------------------------- */

static bool seeds_of(const char *text, uint64_t *from, uint64_t *to)
{
    unsigned long long a, b;
    char tail;

    if (sscanf(text, "%llu..%llu%c", &a, &b, &tail) != 2 || b < a ||
        b - a >= SEEDS_MAX || text[0] == '-')
        return false;
    *from = a;
    *to = b;
    return true;
}

static int run_asked(asked *a, bool many)
{
    int status;

    if (a->history != NULL) {
        a->history_file = fopen(a->history, "w");
        if (a->history_file == NULL) {
            print_problem(a->history, strerror(errno));
            return STATUS_FAILED;
        }
    }
    status = many ? many_seeds(a) : one_seed(a);
    if (a->history_file != NULL && fclose(a->history_file) != 0) {
        print_problem(a->history, strerror(errno));
        status = STATUS_FAILED;
    }
    return status;
}

int cmd_sim(const program *p, const command *self, int argc, char **argv)
{
    asked a = { .p = p, .jobs = 2, .from = 1 };
    const char *operand[1], *seeds = NULL;
    tako_buf text = tako_buf_on(&p->env);
    tako_errbuf e = { "" };
    tako_err err;
    const option_spec specs[] = {
        { "seed", OPTION_NUMBER, &a.from, "N", "which run; 1" },
        { "seeds", OPTION_TEXT, &seeds, "A..B", "all of these, in processes" },
        { "jobs", OPTION_NUMBER, &a.jobs, "N", "processes at once; 2" },
        { "json", OPTION_FLAG, &a.json, NULL, "results as JSON lines" },
        { "quiet", OPTION_FLAG, &a.quiet, NULL, "failures and totals only" },
        { "trace", OPTION_FLAG, &a.trace, NULL,
          "everything that happens, on standard error" },
        { "history", OPTION_TEXT, &a.history, "FILE",
          "what apps did, as JSON lines" },
        { "minimise", OPTION_FLAG, &a.minimise, NULL,
          "of a failing seed: a smaller scenario that fails too" },
        { "out", OPTION_TEXT, &a.out, "FILE", "where that goes; seed-N.sim" },
        OPTION_SPEC_END,
    };
    int status = options_parse(self, specs, argc, argv, 1, 1, operand);

    if (status != OPTIONS_GO_ON)
        return status;
    if (seeds != NULL && !seeds_of(seeds, &a.from, &a.to))
        return options_wrong(self, "--seeds: A..B expected", seeds);
    if (seeds != NULL && (a.history != NULL || a.trace || a.minimise))
        return options_wrong(
            self, "--trace, --history and --minimise need one --seed", seeds);
    if (a.jobs < 1 || a.jobs > JOBS_MAX)
        return options_wrong(self, "--jobs: 1 to 64 expected", "");
    a.path = operand[0];
    err = args_read_file(a.path, SCENARIO_MAX, &text, &e);
    if (err != TAKO_OK) {
        print_failure(a.path, print_reason(err, e.text));
        tako_buf_fini(&text);
        return STATUS_FAILED;
    }
    a.text = tako_buf_slice(&text);
    status = run_asked(&a, seeds != NULL);
    tako_buf_fini(&text);
    return status;
}
