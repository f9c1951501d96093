// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_BENCH -- timing, medians, the workload W, and lines of results.
 *
 * W: orders of a restaurant as JSON, 259.5 bytes on average, each with a
 * 26-character ULID as _id, table, status, kitchen, two or three items as a
 * map, total and createdAt. The same seed gives the same bytes. */
#ifndef TAKO_BENCH_SUPPORT_BENCH_H
#define TAKO_BENCH_SUPPORT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ROUNDS_MAX 31
#define BENCH_TABLES     41 /* with 5 states: 1 order in 205 matches both */

typedef struct bench_order {
    char id[27];
    char *json; /* with _id */
} bench_order;

typedef struct bench_work {
    bench_order *orders;
    size_t *shuffled; /* 0..count-1 in random order */
    size_t count;
    double json_bytes; /* on average */
} bench_work;

/* Stops the program when something fails: a benchmark has no other way. */
void bench_need(bool ok, const char *what, const char *detail);

/* An argument that is no option: --help prints how the program is called and
 * ends it well, anything else is told, and ends it with 2. `options`: as in
 * "[--docs N] [--json]". */
_Noreturn void bench_usage(const char *program, const char *options,
                           const char *argument);

void bench_work_make(bench_work *w, size_t count, uint64_t seed);
void bench_work_free(bench_work *w);
uint64_t bench_random(uint64_t *state); /* splitmix64 */
/* A ULID as text: 48 bits of time, 80 random ones, five bits a character. */
void bench_ulid(uint64_t ms, uint64_t *seed, char out[27]);

double bench_now(void);                                  /* seconds */
double bench_median(const double *values, size_t count); /* count odd or even */
double bench_percentile(double *values, size_t count, double p); /* sorts */

/* One measurement of ours beside the peer's, in rounds. */
typedef struct bench_pair {
    double ours[BENCH_ROUNDS_MAX], peer[BENCH_ROUNDS_MAX];
    size_t rounds;
} bench_pair;

/* How results are printed: "name ours peer ratio goal" in columns, or one
 * JSON object a line. ratio: medians of ours by the peer's. */
typedef struct bench_out {
    bool json;
} bench_out;
void bench_head(const bench_out *o);
/* goal: least ratio; 0: none. unit: of both values. */
void bench_pair_line(const bench_out *o, const char *name, const char *unit,
                     const bench_pair *p, double goal);
/* at_most: the goal is an upper bound. */
void bench_value_line(const bench_out *o, const char *name, const char *unit,
                      double value, double goal, bool at_most);

/* A folder for the run's files; removed, with its files, by the second. */
void bench_dir_make(char *out, size_t cap, const char *parent);
void bench_dir_remove(const char *dir);
void bench_file_remove(const char *path); /* with what lies beside it */
double bench_file_bytes(const char *path);

#endif /* TAKO_BENCH_SUPPORT_BENCH_H */
