// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_NODES -- databases that sync, each in a process of its own.
 *
 * The program starts itself again with "--node": such a process opens a file,
 * fills it with W, subscribes to all, listens, dials, and then does what lines
 * on its standard input say; its answers are lines on its standard output.
 *
 *   line           answer               what
 *   ack            acked                waits until a peer has its last commit
 *   dial ADDRESS   dialled              one more peer
 *   observe QUERY  observing            observes it, and does nothing then
 *   diff QUERY     observing            the same, the changes of the result
 *   count          count N              documents
 *   change         changed A B C, twice what changes cost: payload, frames, TCP
 *   pace N US      paced                N changes of the probe, so far apart
 *   probe          probing              observes the probe
 *   latency        latency N P50 P99 P999   of what was observed since, ms
 *   work           working              writes and reads a document, each 2 ms
 *   rest           rested N W95 WMAX R95 RMAX   and has done so: ms
 *   quit           none                 ends
 *
 * "address ADDRESS" is said once it listens, "complete" when a count of the
 * documents, which it observes, has come to what was expected. */
#ifndef TAKO_BENCH_SUPPORT_NODES_H
#define TAKO_BENCH_SUPPORT_NODES_H

#include <stdio.h>
#include <sys/types.h>

#define BENCH_CHANGED 1000 /* documents that are changed */

/* argv: --node PATH DOCS-to-make EXPECTED [ADDRESS] */
int bench_node_main(int argc, char **argv);

typedef struct bench_child {
    pid_t pid;
    FILE *in, *out; /* its standard input and output */
} bench_child;

/* expected: 0: nothing is observed. address: whom to dial, or NULL. */
bench_child bench_child_start(const char *path, size_t docs, size_t expected,
                              const char *address);
/* Reads lines until one begins with `word`; the rest of it goes to `rest`,
 * which may be NULL. */
void bench_child_hear(bench_child *c, const char *word, char rest[256]);
void bench_child_ask(bench_child *c, const char *line, const char *word,
                     char rest[256]);
void bench_child_end(bench_child *c);

/* What a process has resident, in MB, as the system counts it: all of it, what
 * is its own alone, and pages of files (libraries, maps, shared memory). */
typedef struct bench_memory {
    double all, own, files;
} bench_memory;

bench_memory bench_memory_of(pid_t pid);

/* The most that two processes had while they were watched. `all` is the
 * system's own high-water mark, the rest was looked at each 10 ms. */
typedef struct bench_watch bench_watch;
bench_watch *bench_watch_start(const pid_t pids[2]);
void bench_watch_stop(bench_watch *w, bench_memory most[2]);

#endif /* TAKO_BENCH_SUPPORT_NODES_H */
