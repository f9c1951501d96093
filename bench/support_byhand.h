// SPDX-License-Identifier: Apache-2.0
/* SUPPORT_BYHAND -- what somebody would write who needs one document to be the
 * same in two processes, and nothing else: SQLite with JSON text on each side,
 * a transaction a change, and a TCP socket over loopback without TLS. The peer
 * of a live change: it has what cannot be left out (two commits, one way, a
 * process that wakes up), so its latency is this machine's today. */
#ifndef TAKO_BENCH_SUPPORT_BYHAND_H
#define TAKO_BENCH_SUPPORT_BYHAND_H

#include <stddef.h>
#include <sys/types.h>

typedef struct bench_byhand {
    pid_t writer, reader;
    int to_writer, from_reader;
} bench_byhand;

/* Files `writer.db` and `reader.db` in the folder. */
void bench_byhand_start(bench_byhand *b, const char *dir);
/* `count` changes, one each `us` microseconds: the 50th and 99th percentile of
 * the milliseconds from before a change to its being read on the other side. */
void bench_byhand_pace(bench_byhand *b, size_t count, unsigned us,
                       double out[2]);
void bench_byhand_end(bench_byhand *b);

#endif /* TAKO_BENCH_SUPPORT_BYHAND_H */
