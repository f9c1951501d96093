// SPDX-License-Identifier: Apache-2.0
/* FIELDS -- what two copies of a document differ in, by top-level fields.
 *
 * Who refused a delta asks with this, where the whole document would be long:
 * what it has seen of what the other side has, and a keyed sum for each of its
 * top-level fields. The answer is a delta against that context which tells
 * every field whose sums differ in full, and says nothing of the others but
 * what is new. It is read by crdt_delta_apply. fields.c has the argument.
 *
 *   question = generation, count, dots (actor, hlc), count, fields (key, sum) */
#ifndef TAKO_CRDT_FIELDS_H
#define TAKO_CRDT_FIELDS_H

#include "crdt/delta.h"

typedef struct crdt_field {
    tako_slice key;
    uint64_t sum; /* as a delta's, of the entries below this key; never 0 */
} crdt_field;

typedef struct crdt_fields {
    uint64_t generation;  /* of the document */
    crdt_context context; /* the sums are over what this has */
    crdt_field *at;       /* ascending by key */
    uint32_t count;
} crdt_fields;

/* Appends the question about d to who has seen `seen`. sum_key: the one of
 * the deltas of who is asked. TAKO_UNSUPPORTED, with nothing appended: d has
 * more than TAKO_FIELD_SUMS_MAX such fields, is not alive or a marker's, or
 * has nothing of what was seen: ask for the whole document. TAKO_NOMEM */
tako_err crdt_fields_ask(const crdt_doc *d, const crdt_context *seen,
                         const uint8_t sum_key[16], tako_buf *out);

/* Reads a question. The bytes may be hostile, and stay in use. TAKO_CORRUPT,
 * TAKO_NOMEM */
tako_err crdt_fields_read(tako_arena *a, tako_slice question, crdt_fields *out,
                          tako_errbuf *e);

/* Can d be told by fields to who asked so? Else send it whole. */
bool crdt_fields_fit(const crdt_doc *d, const crdt_fields *asked);

/* Appends the answer, of a document that fits. TAKO_NOMEM: as
 * crdt_delta_encode. */
tako_err crdt_fields_answer(const crdt_doc *d, const crdt_fields *asked,
                            const uint8_t sum_key[16],
                            const crdt_names_out *names, tako_buf *out);

#endif /* TAKO_CRDT_FIELDS_H */
