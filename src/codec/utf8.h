// SPDX-License-Identifier: Apache-2.0
/* UTF8 -- well-formed UTF-8 (RFC 3629), and text made fit for a message.
 * utf8_check() is in codec/cbor.h. */
#ifndef TAKO_CODEC_UTF8_H
#define TAKO_CODEC_UTF8_H

#include "base/slice.h"

#define UTF8_SHOW_BYTES 72u

/* The length of the longest beginning of `text` that is whole well-formed
 * characters; text.len when all of it is. */
size_t utf8_valid_bytes(tako_slice text);

/* Well-formed text for an error message: control characters and quotes as
 * '?', cut at a character with "..." where too long. Returns out. */
const char *utf8_show(tako_slice text, char out[UTF8_SHOW_BYTES]);

/* Writes the UTF-8 of a code point (not a surrogate); returns 1 to 4. */
size_t utf8_put(uint32_t cp, uint8_t out[4]);

#endif /* TAKO_CODEC_UTF8_H */
