// SPDX-License-Identifier: Apache-2.0
/* VALUE -- TQL's values between CBOR and SQLite, and walks over CBOR that are
 * safe on any bytes (a damaged file must not bring us down) and allocate
 * nothing. The representation is query.h's. */
#ifndef TAKO_QUERY_VALUE_H
#define TAKO_QUERY_VALUE_H

#include <sqlite3.h>

#include "base/buf.h"
#include "codec/cbor.h"

/* Kinds in the order of ORDER BY (QUERY.md). */
typedef enum value_rank {
    RANK_FALSE,
    RANK_TRUE,
    RANK_NUMBER,
    RANK_BYTES,
    RANK_TEXT,
    RANK_ARRAY,
    RANK_OBJECT,
    RANK_NULL,
    RANK_MISSING,
} value_rank;

#define VALUE_FALSE 0xF4u
#define VALUE_TRUE  0xF5u
#define VALUE_NULL  0xF6u

/* The rank of CBOR bytes, by the first; empty or unknown: MISSING. */
value_rank value_rank_cbor(tako_slice v);
value_rank value_rank_of(sqlite3_value *v);
/* false and true are one kind; everything else is its own. */
static inline bool value_same_kind(value_rank a, value_rank b)
{
    return a == b || (a <= RANK_TRUE && b <= RANK_TRUE);
}

/* The rank in emitted SQL, where both booleans have 0: their bytes are in
 * order already. */
static inline int value_sql_rank(value_rank r)
{
    return r == RANK_TRUE ? 0 : (int)r;
}

/* Order of two values whose rank is known: by rank, and inside a rank numbers
 * exactly, strings by bytes, bytes, arrays and objects by their encoding. */
int value_compare(sqlite3_value *a, sqlite3_value *b);

/* A number apart from SQLite. */
typedef struct value_number {
    bool real;
    int64_t i;
    double d;
} value_number;
/* False when v is none. */
bool value_number_of(sqlite3_value *v, value_number *out);
/* Exactly, an integer against a float too. */
int value_number_compare(const value_number *a, const value_number *b);
/* The same of two encoded numbers, or two encoded texts. */
int value_compare_cbor(tako_slice a, tako_slice b);

/* Appends the CBOR of a value; a MISSING one appends nothing. */
void value_put(tako_buf *out, sqlite3_value *v);
/* The bytes of a BLOB value; empty for any other. */
tako_slice value_blob(sqlite3_value *v);
tako_slice value_text(sqlite3_value *v);

/* CBOR as the result of a function; empty: MISSING. */
void value_result(sqlite3_context *ctx, tako_slice cbor);
void value_result_bool(sqlite3_context *ctx, bool v);
/* What was written to a buffer; SQLITE_NOMEM when it failed. */
void value_result_buf(sqlite3_context *ctx, const tako_buf *b);
/* Binds CBOR, which must live until the statement is reset. SQLite's code. */
int value_bind(sqlite3_stmt *stmt, int index, tako_slice cbor);

/* Steps over one value: its end, or NULL when the bytes are malformed. */
const uint8_t *value_skip(const uint8_t *p, const uint8_t *end);
/* Length of head and content start of a head with a count; see value.c. */
const uint8_t *value_head(const uint8_t *p, const uint8_t *end, uint64_t *n);

/* What is at a path: keys as their CBOR text, indexes as CBOR integers
 * (negative ones count from the end), one after the other. Empty: MISSING. */
tako_slice value_get(tako_slice v, tako_slice path);
/* The element of an array. */
tako_slice value_at(tako_slice array, int64_t index);

/* Pairs of a map, or elements of an array, one after the other. */
typedef struct value_iter {
    const uint8_t *p, *end;
    uint64_t left;
    tako_slice key; /* with its head; empty in arrays */
    tako_slice value;
} value_iter;

/* False when v is neither. count: pairs or elements. */
bool value_iter_init(value_iter *it, tako_slice v, uint64_t *count);
bool value_iter_next(value_iter *it);
/* A text's content without its head. */
tako_slice value_content(tako_slice text);

#endif /* TAKO_QUERY_VALUE_H */
