// SPDX-License-Identifier: Apache-2.0
/* TLS -- a TLS 1.3 session between two slices of bytes (RFC 8446), by OpenSSL.
 *
 * It hides and protects; it does not say who the peer is: certificates are
 * throw-away and not verified. Identity is proven above it, by a signature
 * over the exporter (sec.h), so a session with a man in the middle ends
 * there. OpenSSL allocates for itself, outside tako_env. */
#ifndef TAKO_MESH_TLS_H
#define TAKO_MESH_TLS_H

#include "base/buf.h"
#include "base/err.h"
#include "sec/sec.h"

#define TLS_RECORD_BYTES_MAX    16384u /* plaintext of one record */
#define TLS_RECORD_OVERHEAD_MAX 64u    /* header, type, tag; rounded up */

typedef struct tls_context tls_context;
typedef struct tls_session tls_session;

/* Keys and settings for any number of sessions. The certificate's key comes
 * from env's random. TAKO_NOMEM, TAKO_IO (OpenSSL refuses; e says what) */
tako_err tls_context_new(const tako_env *env, tls_context **out,
                         tako_errbuf *e);
void tls_context_free(tls_context *c);

tako_err tls_session_new(tls_context *c, sec_side side, tls_session **out);
void tls_session_free(tls_session *s);

/* Bytes of the stream to be read by the calls below; borrowed until all are
 * consumed (TLS_MORE). */
void tls_feed(tls_session *s, tako_slice data);
/* Bytes consumed since the start. */
uint64_t tls_consumed(const tls_session *s);

typedef enum tls_status {
    TLS_DONE, /* the handshake is complete; or bytes were read or written */
    TLS_MORE, /* needs more input */
    TLS_END,  /* the peer ended the session in order */
    TLS_FAIL, /* e says why; only freeing is left (`sink` may hold an alert) */
} tls_status;

/* Each appends what must go out to `sink`, in which memory may run out
 * (TLS_FAIL, sink->failed). */
tls_status tls_handshake(tls_session *s, tako_buf *sink, tako_errbuf *e);
tls_status tls_read(tls_session *s, uint8_t *out, size_t cap, size_t *len,
                    tako_buf *sink, tako_errbuf *e);
/* One record of at most TLS_RECORD_BYTES_MAX. */
tls_status tls_write(tls_session *s, tako_slice plain, tako_buf *sink,
                     tako_errbuf *e);

/* The secret that only the two ends of this session share. */
bool tls_exporter(tls_session *s, uint8_t out[SEC_EXPORTER_BYTES]);

#endif /* TAKO_MESH_TLS_H */
