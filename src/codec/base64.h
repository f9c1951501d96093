// SPDX-License-Identifier: Apache-2.0
/* BASE64 -- RFC 4648 section 4: padded, one line, one text for each bytes. */
#ifndef TAKO_CODEC_BASE64_H
#define TAKO_CODEC_BASE64_H

#include "base/buf.h"

/* Appends the text of `bytes`. */
void base64_put(tako_buf *b, tako_slice bytes);

/* The number of bytes that `text` stands for, in *len; false when it is not
 * canonical base64 (padding in place, unused bits zero). */
bool base64_check(tako_slice text, size_t *len);

/* Decodes checked text. `out` may be the text's own memory or begin before
 * it: no byte is read after one at or before it was written. */
void base64_decode(tako_slice text, uint8_t *out);

#endif /* TAKO_CODEC_BASE64_H */
