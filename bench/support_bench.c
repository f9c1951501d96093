// SPDX-License-Identifier: Apache-2.0
#include "support_bench.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void bench_need(bool ok, const char *what, const char *detail)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench: %s failed: %s\n", what,
                  detail != NULL ? detail : "");
    exit(1);
}

void bench_usage(const char *program, const char *options, const char *argument)
{
    bool asked = strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;

    if (!asked)
        (void)fprintf(stderr, "%s: unknown option %s\n", program, argument);
    (void)fprintf(asked ? stdout : stderr, "usage: %s %s\n", program, options);
    exit(asked ? 0 : 2);
}

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- the workload ------------------------------------------------------------ */

static const char *const states[] = { "open", "cooking", "ready", "served",
                                      "paid" };
static const char *const kitchens[] = { "grill", "cold", "bar", "oven" };
static const char *const dishes[] = { "tacos al pastor", "quesadilla", "mole",
                                      "ceviche",         "horchata",   "flan",
                                      "guacamole",       "enchiladas" };

#define PICK(list, r) ((list)[(r) % (sizeof(list) / sizeof((list)[0]))])

void bench_ulid(uint64_t ms, uint64_t *seed, char out[27])
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t high = bench_random(seed), low = bench_random(seed);

    for (int i = 9; i >= 0; i--, ms >>= 5)
        out[i] = letters[ms & 31u];
    for (int i = 10; i < 18; i++, high >>= 5)
        out[i] = letters[high & 31u];
    for (int i = 18; i < 26; i++, low >>= 5)
        out[i] = letters[low & 31u];
    out[26] = '\0';
}

static void order_make(bench_order *o, size_t index, uint64_t *seed)
{
    uint64_t ms = 1763890000000u + index * 37u;
    size_t items = 2 + bench_random(seed) % 2;
    unsigned total = 0;
    char text[512];
    int n;

    bench_ulid(ms, seed, o->id);
    n = snprintf(text, sizeof text,
                 "{\"_id\":\"%s\",\"table\":%u,\"status\":\"%s\","
                 "\"kitchen\":\"%s\",\"items\":{",
                 o->id, (unsigned)(bench_random(seed) % BENCH_TABLES),
                 PICK(states, bench_random(seed)),
                 PICK(kitchens, bench_random(seed)));
    for (size_t i = 0; i < items; i++) {
        unsigned qty = 1 + (unsigned)(bench_random(seed) % 4);
        unsigned cents = 350 + (unsigned)(bench_random(seed) % 1200);

        total += qty * cents;
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "%s\"i%zu\":{\"name\":\"%s\",\"qty\":%u,\"cents\":%u}",
                      i > 0 ? "," : "", i + 1, PICK(dishes, bench_random(seed)),
                      qty, cents);
    }
    (void)snprintf(text + n, sizeof text - (size_t)n,
                   "},\"total\":%u.%02u,\"createdAt\":\"2026-11-%02uT%02u:%02u:"
                   "%02u.%03uZ\"}",
                   total / 100, 1 + total % 99,
                   (unsigned)(ms / 86400000u % 30) + 1,
                   (unsigned)(ms / 3600000u % 24), (unsigned)(ms / 60000u % 60),
                   (unsigned)(ms / 1000u % 60), (unsigned)(ms % 1000u));
    o->json = strdup(text);
    bench_need(o->json != NULL, "memory", NULL);
}

void bench_work_make(bench_work *w, size_t count, uint64_t seed)
{
    size_t bytes = 0;

    w->count = count;
    w->orders = calloc(count, sizeof *w->orders);
    w->shuffled = calloc(count, sizeof *w->shuffled);
    bench_need(w->orders != NULL && w->shuffled != NULL, "memory", NULL);
    for (size_t i = 0; i < count; i++) {
        order_make(&w->orders[i], i, &seed);
        bytes += strlen(w->orders[i].json);
        w->shuffled[i] = i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t j = bench_random(&seed) % i, t = w->shuffled[i - 1];

        w->shuffled[i - 1] = w->shuffled[j];
        w->shuffled[j] = t;
    }
    w->json_bytes = (double)bytes / (double)count;
}

void bench_work_free(bench_work *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->orders[i].json);
    free(w->orders);
    free(w->shuffled);
}

/* ---- numbers --------------------------------------------------------------------- */

double bench_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double bench_percentile(double *values, size_t count, double p)
{
    size_t at;

    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    at = (size_t)((double)count * p);
    return values[at < count ? at : count - 1];
}

double bench_median(const double *values, size_t count)
{
    double copy[BENCH_ROUNDS_MAX];

    bench_need(count > 0 && count <= BENCH_ROUNDS_MAX, "median", NULL);
    memcpy(copy, values, count * sizeof *values);
    qsort(copy, count, sizeof *copy, by_value);
    return count % 2 != 0 ? copy[count / 2]
                          : (copy[count / 2 - 1] + copy[count / 2]) / 2;
}

/* ---- lines ------------------------------------------------------------------------ */

void bench_head(const bench_out *o)
{
    if (!o->json)
        (void)printf("%-28s %12s %12s %7s %7s\n", "name", "ours", "peer",
                     "ratio", "goal");
}

void bench_pair_line(const bench_out *o, const char *name, const char *unit,
                     const bench_pair *p, double goal)
{
    double ours = bench_median(p->ours, p->rounds);
    double peer = bench_median(p->peer, p->rounds);

    if (o->json)
        (void)printf("{\"name\":\"%s\",\"unit\":\"%s\",\"ours\":%.1f,"
                     "\"peer\":%.1f,\"ratio\":%.3f,\"goal\":%.2f}\n",
                     name, unit, ours, peer, ours / peer, goal);
    else
        (void)printf("%-28s %12.0f %12.0f %7.2f %6.2fx  %s%s\n", name, ours,
                     peer, ours / peer, goal, unit,
                     ours / peer < goal ? "  BELOW" : "");
    (void)fflush(stdout);
}

void bench_value_line(const bench_out *o, const char *name, const char *unit,
                      double value, double goal, bool at_most)
{
    bool bad = goal > 0 && (at_most ? value > goal : value < goal);

    if (o->json)
        (void)printf("{\"name\":\"%s\",\"unit\":\"%s\",\"ours\":%.3f,"
                     "\"goal\":%.3f,\"at_most\":%s}\n",
                     name, unit, value, goal, at_most ? "true" : "false");
    else
        (void)printf("%-28s %12.2f %12s %7s %7.2f  %s%s\n", name, value, "-",
                     "-", goal, unit, bad ? "  MISSED" : "");
    (void)fflush(stdout);
}

/* ---- files ------------------------------------------------------------------------- */

void bench_dir_make(char *out, size_t cap, const char *parent)
{
    (void)snprintf(out, cap, "%s/tako-bench-XXXXXX", parent);
    bench_need(mkdtemp(out) != NULL, "making a folder in", parent);
}

void bench_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[1024];

    while (d != NULL && (e = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}

void bench_file_remove(const char *path)
{
    static const char *const suffixes[] = { "",      "-wal",  "-shm",
                                            ".seal", ".lock", "-journal" };
    char name[1024];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

double bench_file_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (double)st.st_size : 0;
}
