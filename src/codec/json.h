// SPDX-License-Identifier: Apache-2.0
/* JSON -- text (RFC 8259) to and from tako's CBOR values, exactly.
 *
 *   integers in int64 stay integers; other numbers become float64 (1.0 and
 *   -0 are floats); a number beyond float64's range is refused;
 *   floats print as the shortest text that reads back equal, with a '.' or
 *   an exponent, so that kinds survive (1.0 prints 1.0);
 *   bytes are {"$bytes": "base64"} (RFC 4648 section 4, padded) both ways; an
 *   object that has just this key and text that is not base64 is refused.
 *   So that a map {"$bytes": text} survives too, a map whose only key is
 *   "bytes" behind one or more '$' and whose value is text has one '$' more
 *   in JSON: the map {"$bytes": "x"} is {"$$bytes": "x"} there. With other
 *   keys beside it, or a value that is not text, the key is as any other;
 *   invalid UTF-8, lone surrogates, duplicate keys (by name), trailing text
 *   and nesting over depth_max are refused. Iterative. */
#ifndef TAKO_CODEC_JSON_H
#define TAKO_CODEC_JSON_H

#include "codec/cbor.h"

/* Appends the deterministic CBOR of exactly one JSON text (white space
 * around it is fine). On failure `out` is as long as before and e says
 * "line L column C: what".
 *
 * TAKO_INVALID  not JSON as above     TAKO_LIMIT  depth or size
 * TAKO_NOMEM */
tako_err json_to_cbor(tako_slice text, unsigned depth_max, tako_buf *out,
                      tako_errbuf *e);

/* As json_to_cbor, but stops after one value and sets *used to the bytes
 * consumed with the white space after it, for a sequence of texts. An input
 * of nothing but white space gives TAKO_NOTFOUND. */
tako_err json_next_to_cbor(tako_slice text, unsigned depth_max, tako_buf *out,
                           size_t *used, tako_errbuf *e);

/* Appends compact JSON of a checked value. Only TAKO_NOMEM (also in
 * out->failed); for bytes that never passed cbor_check() also TAKO_CORRUPT,
 * with `out` as long as before. Map keys come in stored order. */
tako_err json_from_cbor(tako_slice value, tako_buf *out);

/* The same over several indented lines. */
tako_err json_pretty_from_cbor(tako_slice value, tako_buf *out);

/* Appends `text` (UTF-8) as a quoted, escaped JSON string. */
void json_put_string(tako_buf *out, tako_slice text);

/* Appends the shortest text of a finite double, as described above. */
void json_put_double(tako_buf *out, double v);

#endif /* TAKO_CODEC_JSON_H */
