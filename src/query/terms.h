// SPDX-License-Identifier: Apache-2.0
/* TERMS -- the equalities that a condition requires: "this path has one of
 * these values". A document that misses one of them cannot match, so that
 * predicates can be found by a document's values instead of being tried.
 *
 * Taken from the operands of the topmost AND: `path = constant` (either side),
 * `path IN (constants)`, and an OR of such on one path. Values are read from
 * a document by value_get, and a value's key is its CBOR, with whole floats as
 * integers: exactly what SQLite's = over query.h's representation calls equal
 * (numbers by value, texts and everything else by bytes). null and MISSING
 * equal nothing and have no key. */
#ifndef TAKO_QUERY_TERMS_H
#define TAKO_QUERY_TERMS_H

#include "query/ast.h"

#define TERM_SCRATCH_BYTES 9u /* the longest number */

typedef struct query_term {
    bool id;         /* the path begins at the _id, else at the body */
    tako_slice path; /* as value_get's; empty: the _id itself */
    tako_slice *keys;
    size_t count; /* of keys, ascending, each once */
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

/* The key of the document's value at the term's path, borrowed from it or
 * from scratch; empty where nothing can be equal. */
tako_slice query_term_key(const query_term *t, tako_slice id, tako_slice body,
                          uint8_t scratch[TERM_SCRATCH_BYTES]);
bool query_term_holds(const query_term *t, tako_slice key);

#endif /* TAKO_QUERY_TERMS_H */
