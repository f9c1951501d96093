// SPDX-License-Identifier: Apache-2.0
/* DELTA_FORM -- the bytes of a delta; private to this folder.
 *
 *   delta    = flags, actors, [ROOT: generation, births], [alive: inside],
 *              [SUM: 8 bytes]
 *   actors   = [form "counts": changed, new, equal], the changed, the new,
 *              then the equal ones: each its dot in the new context, as the
 *              caller names it; a changed one then its hlc in base, as the
 *              difference to the new
 *   births   = how many lives back the first remembered one is, count, each
 *              (lives back from the last, dot)
 *   inside   = count, children: key as the caller names it, slot
 *   slot     = flags, [listing], [GEN: generation, maker], [INSIDE: inside],
 *              [COUNTER: counter]
 *   listing  = ONE: a value. LIST: count, values (dot, and where base has not
 *              that dot: type, value), count, marks (dot)
 *   counter  = generation, [maker], [alive: starts (dot, number), sums (dot,
 *              inc, dec), baselines (actor, inc, dec), each with its count]
 *   dot      = 2 * actor, at its hlc in the new context, or 2 * actor + 1 and
 *              the difference to that. Actors are numbered as they came.
 *
 * A delta that leaves no more than it takes: a field of a document with one
 * writer is flags, dot, hlc, count, key, flags, value. */
#ifndef TAKO_CRDT_DELTA_FORM_H
#define TAKO_CRDT_DELTA_FORM_H

#include "crdt/delta.h"
#include "crdt/tree.h"

#define DELTA_ROOT       0x01u /* else generation 1, no births beyond base, first 1 */
#define DELTA_SUM        0x02u
#define DELTA_ALL        0x04u /* no entry that base has is alive */
#define DELTA_FORM_SHIFT 4
#define DELTA_MASK       0x37u

/* How many actors are changed, new and equal. */
typedef enum delta_form_actors {
    DELTA_ONE_CHANGED,
    DELTA_CHANGED_AND_EQUAL,
    DELTA_ONE_NEW,
    DELTA_COUNTS,
} delta_form_actors;

#define DELTA_LISTING_MASK 0x03u
typedef enum delta_listing {
    DELTA_UNLISTED, /* nothing is said of values and marks */
    DELTA_ONE,      /* one register of dot 0, no mark */
    DELTA_LIST,
    DELTA_NONE, /* no value; no mark, or with MARK one of dot 0 */
} delta_listing;
#define DELTA_MARK       0x04u
#define DELTA_GEN        0x08u /* the map's generation is not 1 */
#define DELTA_INSIDE     0x10u
#define DELTA_ALL_INSIDE 0x20u /* no entry in the map that base has is alive */
#define DELTA_COUNTER    0x40u
#define DELTA_SLOT_MASK  0x7fu

/* The keyed sum over (path, dot) of the live entries that base has. */
uint64_t crdt_delta_sum(const crdt_doc *d, const crdt_context *base,
                        const uint8_t key[16]);

/* The part of it that is below a top-level key. */
uint64_t crdt_delta_field_sum(const crdt_slot *field, const crdt_context *base,
                              const uint8_t key[16]);

/* As crdt_delta_encode, but without a sum: the fields that are children of
 * `told` (only their keys count) are told in full (fields.c). */
tako_err crdt_delta_encode_told(const crdt_doc *d, const crdt_context *base,
                                const crdt_map *told,
                                const crdt_names_out *names, tako_buf *out);

/* Where base is not covered by `full`, what both cover. May share memory. */
tako_err crdt_context_meet(tako_arena *a, const crdt_context *base,
                           const crdt_context *full, crdt_context *out);

#endif /* TAKO_CRDT_DELTA_FORM_H */
