// SPDX-License-Identifier: Apache-2.0
/* VECTORS -- test vectors of docs/protocol.md: JSON files of the folder
 * tests/golden/protocol, one case a line, each an object with a "case". A test
 * makes the text anew and compares; with TAKO_VECTORS=write in the environment
 * it writes the file instead (tools/make_vectors). */
#ifndef TAKO_TESTS_VECTORS_H
#define TAKO_TESTS_VECTORS_H

#include "support/test_env.h"

#include "base/buf.h"

/* One case: open, any number of fields, close. */
void vectors_open(tako_buf *b, const char *kind, const char *name);
void vectors_hex(tako_buf *b, const char *field, tako_slice bytes);
void vectors_number(tako_buf *b, const char *field, uint64_t number);
void vectors_bool(tako_buf *b, const char *field, bool value);
/* Text in ASCII without control characters. */
void vectors_text(tako_buf *b, const char *field, tako_slice text);
void vectors_json(tako_buf *b, const char *field, const char *json);
void vectors_close(tako_buf *b);

/* Fails the test at the first line that differs. */
void vectors_check(tako_buf *b, const char *name);

#endif /* TAKO_TESTS_VECTORS_H */
