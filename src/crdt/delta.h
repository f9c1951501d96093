// SPDX-License-Identifier: Apache-2.0
/* DELTA -- what a document has seen that an older context has not.
 *
 * A delta holds its base and its new context; each slot that has a value or a
 * mark with a dot beyond base, with all values and marks of that slot (content
 * for those beyond base, dots alone for the others, so that what else was
 * there is known to be gone); each generation that is not 1 of these, and each
 * whose maker is beyond base; each counter with any dot beyond base, whole;
 * for each slot and for the whole, whether anything that base has is still
 * alive inside; and a keyed 8-byte sum over (path, dot) of all live entries
 * whose dots base has, which reveals removals that left no entry behind.
 * Without the sum, when nothing that base has is alive (a whole document) or
 * the state at base is known: then also slots that only lost something are
 * named. What it is known to differ in may be told in full instead: fields.h.
 * SYNC.md section 2 has the rules and the schedules that break simpler ones;
 * delta_form.h the bytes.
 *
 * Actors, keys and hlcs are written through the caller's names, so that a
 * session can send each once and then by number. Each dot of the new context
 * is named once, each key as often as it occurs, in a fixed order; the reader
 * asks in the same order, also for a delta that then is stale. */
#ifndef TAKO_CRDT_DELTA_H
#define TAKO_CRDT_DELTA_H

#include "crdt/doc.h"

/* How names are written. dot is for contexts and entries alike. */
typedef struct crdt_names_out {
    void *ctx;
    void (*dot)(void *ctx, tako_buf *out, crdt_dot dot);
    void (*key)(void *ctx, tako_buf *out, tako_slice key);
} crdt_names_out;

/* The inverse. Each returns false (and fails the reader) on bad input. A key
 * stays valid as long as the delta is worked on. */
typedef struct crdt_names_in {
    void *ctx;
    bool (*dot)(void *ctx, tako_reader *in, crdt_dot *dot);
    bool (*key)(void *ctx, tako_reader *in, tako_slice *key);
} crdt_names_in;

/* Plain names: 16 + varint bytes, and length-prefixed text. For tests and
 * for deltas outside sessions. */
extern const crdt_names_out crdt_names_plain_out;
extern const crdt_names_in crdt_names_plain_in;

/* Appends delta(d, base). sum_key: the session's. `before`, when not NULL, is
 * the state at base: removals are then named exactly, not summed (a state at
 * another context than base is ignored). TAKO_NOMEM: `out` is as it was, but
 * names may have been given out. */
tako_err crdt_delta_encode(const crdt_doc *d, const crdt_context *base,
                           const crdt_doc *before, const uint8_t sum_key[16],
                           const crdt_names_out *names, tako_buf *out);

typedef enum crdt_delta_result {
    CRDT_DELTA_APPLIED,
    CRDT_DELTA_STALE, /* we have all of it already */
    CRDT_DELTA_NEEDS, /* base is not covered, the sum disagrees, or d is a
                       * marker's: ask for the whole document; d is
                       * unchanged */
} crdt_delta_result;

/* Reads one delta from `in` (to its end; more may follow) and applies it. What
 * d takes of it is copied into d's arena. On TAKO_CORRUPT, TAKO_LIMIT and
 * CRDT_DELTA_NEEDS d is unchanged; after TAKO_NOMEM throw it away. The bytes may
 * be hostile. info may be NULL. */
tako_err crdt_delta_apply(crdt_doc *d, tako_reader *in,
                          const uint8_t sum_key[16], const crdt_names_in *names,
                          crdt_delta_result *result, crdt_merge_info *info,
                          tako_errbuf *e);

#endif /* TAKO_CRDT_DELTA_H */
