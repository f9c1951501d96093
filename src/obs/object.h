// SPDX-License-Identifier: Apache-2.0
/* OBJECT -- writes one JSON object, member by member, for status and logs. */
#ifndef TAKO_OBS_OBJECT_H
#define TAKO_OBS_OBJECT_H

#include "base/buf.h"

/* Appends the comma (unless a '{' or '[' came last), the quoted key and a
 * colon; the value is the caller's. Keys are literals of ours. */
void obs_put_key(tako_buf *b, const char *key);
void obs_put_str(tako_buf *b, const char *key, tako_slice value);
void obs_put_u64(tako_buf *b, const char *key, uint64_t value);
void obs_put_bool(tako_buf *b, const char *key, bool value);
/* Lower-case hex of the bytes, as a string. */
void obs_put_hex(tako_buf *b, const char *key, tako_slice value);

/* Lower-case hex of the bytes; out gets 2 * bytes.len + 1 characters. */
void obs_hex(tako_slice bytes, char *out);

#endif /* TAKO_OBS_OBJECT_H */
