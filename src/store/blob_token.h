// SPDX-License-Identifier: Apache-2.0
/* BLOB TOKEN -- what a document holds of an attachment: a CBOR map
 *
 *   "len"        length of the content
 *   "meta"       a map of the app's own; optional
 *   "name"       of the file, for people; optional
 *   "type"       media type; optional
 *   "tako_blob"  the id, 32 bytes
 *
 * and maybe keys of a later version. It is written under a path as a value of
 * type ATTACHMENT, whole: two tokens under one path are siblings. The key
 * "tako_blob" with 32 bytes is what makes a map a token. A name is a text and
 * never part of how content is found, so any name does. */
#ifndef TAKO_STORE_BLOB_TOKEN_H
#define TAKO_STORE_BLOB_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "store/blob_form.h"

typedef struct blob_token {
    uint8_t id[BLOB_ID_BYTES];
    uint64_t len;
    tako_slice name, type; /* text; empty: none */
    tako_slice meta;       /* a CBOR map; empty: none */
} blob_token;

/* False: the bytes hold no token anywhere; true: perhaps they do. */
bool blob_token_near(tako_slice bytes);
/* Is this checked value a token? */
bool blob_token_is(tako_slice value);
/* TAKO_INVALID (no token, or a malformed one), TAKO_LIMIT; e says what. Slices
 * point into value, which is checked CBOR. */
tako_err blob_token_read(tako_slice value, blob_token *out, tako_errbuf *e);
/* Appends it. TAKO_LIMIT, TAKO_INVALID (no UTF-8, no map) */
tako_err blob_token_put(const blob_token *t, tako_buf *out, tako_errbuf *e);

#endif /* TAKO_STORE_BLOB_TOKEN_H */
