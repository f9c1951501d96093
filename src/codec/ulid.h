// SPDX-License-Identifier: Apache-2.0
/* ULID -- time-ordered identifiers, 26 characters of Crockford base32 over
 * 48 bits of milliseconds and 80 random bits (github.com/ulid/spec). */
#ifndef TAKO_CODEC_ULID_H
#define TAKO_CODEC_ULID_H

#include "base/slice.h"

#define ULID_TEXT_BYTES 26u

/* Upper-case text of 16 bytes. */
void ulid_to_text(const uint8_t in[16], char out[ULID_TEXT_BYTES]);

/* Bytes of a canonical (26 upper-case characters, at most 2^128-1) text;
 * false for anything else, so that text -> bytes -> text is exact. */
bool ulid_from_text(tako_slice text, uint8_t out[16]);

/* Fills `out` from a time and 10 random bytes. */
void ulid_make(uint64_t wall_ms, const uint8_t random[10], uint8_t out[16]);

#endif /* TAKO_CODEC_ULID_H */
