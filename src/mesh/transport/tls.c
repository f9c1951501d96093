// SPDX-License-Identifier: Apache-2.0
/* OpenSSL without sockets.
 *
 * A session reads from a borrowed slice and writes to a tako_buf through a BIO
 * of our own, so no bytes are buffered between OpenSSL and the link; with
 * SSL_MODE_RELEASE_BUFFERS an idle session holds no record buffers either.
 *
 * The certificate's key is Ed25519 and its dates cover everything: nobody
 * checks them, devices without a clock must be able to connect, and its size
 * is always the same, which a deterministic simulation likes. No tickets, no
 * resumption, no early data, no client certificates, one ALPN protocol. */
#include "mesh/transport/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/check.h"

#define TLS_CERTIFICATE_BYTES_MAX 4096

static const char exporter_label[] = "EXPORTER-tako-auth";
static const unsigned char alpn_list[] = { 6, 't', 'a', 'k', 'o', '/', '1' };

struct tls_context {
    const tako_env *env;
    SSL_CTX *ctx;
    BIO_METHOD *bio;
};

struct tls_session {
    const tako_env *env;
    SSL *ssl;
    tako_slice in;
    uint64_t consumed;
    tako_buf *sink; /* for the call under way, else NULL */
};

/* ---- our BIO ------------------------------------------------------------ */

static int bio_read(BIO *bio, char *out, int cap)
{
    tls_session *s = BIO_get_data(bio);
    size_t n = cap > 0 ? (size_t)cap : 0;

    BIO_clear_retry_flags(bio);
    if (n > s->in.len)
        n = s->in.len;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, s->in.ptr, n);
    s->in = tako_slice_of(s->in.ptr + n, s->in.len - n);
    s->consumed += n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    tls_session *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (s->sink == NULL)
        return -1;
    tako_put_bytes(s->sink, tako_slice_of(data, (size_t)len));
    return s->sink->failed ? -1 : len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tako");

    if (m == NULL)
        return NULL;
    if (BIO_meth_set_read(m, bio_read) != 1 ||
        BIO_meth_set_write(m, bio_write) != 1 ||
        BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

/* ---- context ------------------------------------------------------------ */

/* A self-signed certificate, valid from 1970 to 9999. */
static X509 *certificate_new(EVP_PKEY *key)
{
    X509 *x = X509_new();

    if (x == NULL)
        return NULL;
    if (X509_set_version(x, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
        ASN1_TIME_set_string(X509_getm_notBefore(x), "19700101000000Z") == 1 &&
        ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z") == 1 &&
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                   (const unsigned char *)"tako", -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
        X509_set_pubkey(x, key) == 1 && X509_sign(x, key, NULL) > 0)
        return x;
    X509_free(x);
    return NULL;
}

static bool certificate_use(const tako_env *env, SSL_CTX *ctx)
{
    uint8_t seed[32];
    EVP_PKEY *key;
    X509 *x = NULL;
    bool ok;

    env->random(env->ctx, seed, sizeof seed);
    key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    sec_wipe(seed, sizeof seed);
    if (key != NULL)
        x = certificate_new(key);
    ok = x != NULL && SSL_CTX_use_certificate(ctx, x) == 1 &&
         SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(x);
    EVP_PKEY_free(key);
    return ok;
}

/* The accepter's choice: our protocol or an alert. */
static int alpn_select(SSL *ssl, const unsigned char **out,
                       unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, alpn_list, sizeof alpn_list, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool context_set(SSL_CTX *ctx)
{
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:"
                                      "TLS_CHACHA20_POLY1305_SHA256:"
                                      "TLS_AES_256_GCM_SHA384") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
        SSL_CTX_set_alpn_protos(ctx, alpn_list, sizeof alpn_list) != 0)
        return false;
    SSL_CTX_set_alpn_select_cb(ctx, alpn_select, NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_max_cert_list(ctx, TLS_CERTIFICATE_BYTES_MAX);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return true;
}

static tako_err fail_openssl(tako_errbuf *e, tako_err code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return tako_fail(e, code, "%s: %s", what,
                     reason != NULL ? reason : "no reason given");
}

tako_err tls_context_new(const tako_env *env, tls_context **out, tako_errbuf *e)
{
    tls_context *c = tako_env_alloc(env, sizeof *c);

    if (c == NULL)
        return TAKO_NOMEM;
    c->env = env;
    ERR_clear_error();
    c->ctx = SSL_CTX_new(TLS_method());
    c->bio = bio_method_new();
    if (c->ctx == NULL || c->bio == NULL || !context_set(c->ctx) ||
        !certificate_use(env, c->ctx)) {
        tls_context_free(c);
        return fail_openssl(e, TAKO_IO, "TLS cannot be set up");
    }
    *out = c;
    return TAKO_OK;
}

void tls_context_free(tls_context *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    BIO_meth_free(c->bio);
    tako_env_free(c->env, c, sizeof *c);
}

/* ---- session ------------------------------------------------------------ */

tako_err tls_session_new(tls_context *c, sec_side side, tls_session **out)
{
    tls_session *s = tako_env_alloc(c->env, sizeof *s);
    BIO *bio;

    if (s == NULL)
        return TAKO_NOMEM;
    s->env = c->env;
    s->ssl = SSL_new(c->ctx);
    bio = BIO_new(c->bio);
    if (s->ssl == NULL || bio == NULL) {
        (void)BIO_free(bio);
        tls_session_free(s);
        return TAKO_NOMEM;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    if (side == SEC_DIALLER)
        SSL_set_connect_state(s->ssl);
    else
        SSL_set_accept_state(s->ssl);
    *out = s;
    return TAKO_OK;
}

void tls_session_free(tls_session *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    tako_env_free(s->env, s, sizeof *s);
}

void tls_feed(tls_session *s, tako_slice data)
{
    TAKO_ASSERT(s->in.len == 0);
    s->in = data;
}

uint64_t tls_consumed(const tls_session *s)
{
    return s->consumed;
}

static tls_status status_of(tls_session *s, int rc, tako_errbuf *e)
{
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        (void)fail_openssl(e, TAKO_CORRUPT, "TLS");
        return TLS_FAIL;
    }
}

static bool alpn_agreed(const tls_session *s)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return len == alpn_list[0] && memcmp(name, alpn_list + 1, len) == 0;
}

tls_status tls_handshake(tls_session *s, tako_buf *sink, tako_errbuf *e)
{
    tls_status status;

    ERR_clear_error();
    s->sink = sink;
    status = status_of(s, SSL_do_handshake(s->ssl), e);
    s->sink = NULL;
    if (status == TLS_DONE && !alpn_agreed(s)) {
        (void)tako_fail(e, TAKO_CORRUPT, "TLS: the peer does not speak tako/1");
        return TLS_FAIL;
    }
    return status;
}

tls_status tls_read(tls_session *s, uint8_t *out, size_t cap, size_t *len,
                    tako_buf *sink, tako_errbuf *e)
{
    tls_status status;

    *len = 0;
    ERR_clear_error();
    s->sink = sink;
    status = status_of(s, SSL_read_ex(s->ssl, out, cap, len), e);
    s->sink = NULL;
    return status;
}

tls_status tls_write(tls_session *s, tako_slice plain, tako_buf *sink,
                     tako_errbuf *e)
{
    tls_status status;
    size_t written = 0;

    TAKO_ASSERT(plain.len > 0 && plain.len <= TLS_RECORD_BYTES_MAX);
    ERR_clear_error();
    s->sink = sink;
    status =
        status_of(s, SSL_write_ex(s->ssl, plain.ptr, plain.len, &written), e);
    s->sink = NULL;
    if (status == TLS_DONE && written == plain.len)
        return TLS_DONE;
    return TLS_FAIL;
}

bool tls_exporter(tls_session *s, uint8_t out[SEC_EXPORTER_BYTES])
{
    return SSL_export_keying_material(s->ssl, out, SEC_EXPORTER_BYTES,
                                      exporter_label, sizeof exporter_label - 1,
                                      NULL, 0, 0) == 1;
}
