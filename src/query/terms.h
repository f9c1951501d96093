// SPDX-License-Identifier: Apache-2.0
/* TERMS -- what a condition requires of single paths: that one has one of some
 * values, or stands in an order to one. A document that misses one of them
 * cannot match, and where they are the whole condition it needs no SQLite. By
 * equalities predicates are found by a document's values (live.h) instead of
 * being tried.
 *
 * Taken from the operands of the topmost AND, with constants alone:
 *   equality   path = c (either side), path IN (c, ...), an OR of such on one
 *              path. Values are equal when their keys are: a value's CBOR,
 *              with whole floats as integers. null and MISSING equal nothing
 *              and have no key
 *   order      path < c and the like, path <> c, path BETWEEN c AND c, for
 *              numbers and texts: of the same kind, and value_compare_cbor
 * This is what SQLite's operators over query.h's representation do, with the
 * bounds of kind that the emitter adds. Values are read by value_get. */
#ifndef TAKO_QUERY_TERMS_H
#define TAKO_QUERY_TERMS_H

#include "query/ast.h"

#define TERM_SCRATCH_BYTES 9u /* the longest number */

typedef struct query_term {
    bool id;         /* the path begins at the _id, else at the body */
    bool order;      /* else an equality */
    uint8_t op[2];   /* order: compare_op to each key */
    tako_slice path; /* as value_get's; empty: the _id itself */
    tako_slice *keys;
    size_t count; /* of keys; of an equality ascending, each once */
} query_term;

typedef struct query_terms {
    const tako_env *env;
    query_term *at;
    size_t count;
    bool exact; /* they are the whole condition */
    void *block;
    size_t bytes; /* of the block, which holds all that is pointed to */
} query_terms;

/* The terms of a condition without parameters (NULL: none). */
tako_err query_terms_init(query_terms *t, query_parse *p, const node *where);
void query_terms_fini(query_terms *t);

/* The key of the document's value at the path of an equality, borrowed from it
 * or from scratch; empty where nothing can be equal. */
tako_slice query_term_key(const query_term *t, tako_slice id, tako_slice body,
                          uint8_t scratch[TERM_SCRATCH_BYTES]);
bool query_term_holds(const query_term *t, tako_slice id, tako_slice body);

#endif /* TAKO_QUERY_TERMS_H */
