// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/transport/test_tls.c mirrors src/mesh/transport/tls.c. The peers
 * that must be refused are made with OpenSSL directly. */
#include "support/test_env.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/transport/tls.h"

typedef struct ends {
    test_env t;
    tls_context *c;
    tls_session *s[2];
    tako_buf sink[2];
} ends;

static void begin(ends *x)
{
    memset(x, 0, sizeof *x);
    test_env_init(&x->t, 1);
    assert_int_equal(tls_context_new(&x->t.env, &x->c, NULL), TAKO_OK);
    assert_int_equal(tls_session_new(x->c, SEC_DIALLER, &x->s[0]), TAKO_OK);
    assert_int_equal(tls_session_new(x->c, SEC_ACCEPTER, &x->s[1]), TAKO_OK);
    x->sink[0] = x->sink[1] = tako_buf_on(&x->t.env);
}

static void end(ends *x)
{
    for (int i = 0; i < 2; i++) {
        tls_session_free(x->s[i]);
        tako_buf_fini(&x->sink[i]);
    }
    tls_context_free(x->c);
    test_env_check_empty(&x->t);
}

static void shake(ends *x)
{
    assert_int_equal(tls_handshake(x->s[0], &x->sink[0], NULL), TLS_MORE);
    tls_feed(x->s[1], tako_buf_slice(&x->sink[0]));
    assert_int_equal(tls_handshake(x->s[1], &x->sink[1], NULL), TLS_MORE);
    tako_buf_reset(&x->sink[0]);
    tls_feed(x->s[0], tako_buf_slice(&x->sink[1]));
    assert_int_equal(tls_handshake(x->s[0], &x->sink[0], NULL), TLS_DONE);
    tls_feed(x->s[1], tako_buf_slice(&x->sink[0]));
    assert_int_equal(tls_handshake(x->s[1], &x->sink[1], NULL), TLS_DONE);
    tako_buf_reset(&x->sink[0]);
    tako_buf_reset(&x->sink[1]);
}

static void test_tls__both_ends_share_an_exporter_and_no_one_else(void **state)
{
    uint8_t e[2][2][SEC_EXPORTER_BYTES];
    ends x;

    (void)state;
    for (int round = 0; round < 2; round++) {
        begin(&x);
        shake(&x);
        assert_true(tls_exporter(x.s[0], e[round][0]));
        assert_true(tls_exporter(x.s[1], e[round][1]));
        assert_memory_equal(e[round][0], e[round][1], SEC_EXPORTER_BYTES);
        end(&x);
    }
    assert_memory_not_equal(e[0][0], e[1][0], SEC_EXPORTER_BYTES);
}

static void test_tls__records_cost_22_bytes(void **state)
{
    static uint8_t plain[TLS_RECORD_BYTES_MAX], back[TLS_RECORD_BYTES_MAX];
    ends x;
    size_t len;

    (void)state;
    begin(&x);
    shake(&x);
    for (size_t n = 1; n <= sizeof plain; n = n * 3 + 1) {
        memset(plain, (int)n, n);
        assert_int_equal(
            tls_write(x.s[0], tako_slice_of(plain, n), &x.sink[0], NULL),
            TLS_DONE);
        assert_int_equal(x.sink[0].len, n + 22);
        tls_feed(x.s[1], tako_buf_slice(&x.sink[0]));
        assert_int_equal(
            tls_read(x.s[1], back, sizeof back, &len, &x.sink[1], NULL),
            TLS_DONE);
        assert_int_equal(len, n);
        assert_memory_equal(plain, back, n);
        assert_int_equal(
            tls_read(x.s[1], back, sizeof back, &len, &x.sink[1], NULL),
            TLS_MORE);
        assert_int_equal(x.sink[1].len, 0); /* nothing to say: no tickets */
        tako_buf_reset(&x.sink[0]);
    }
    end(&x);
}

/* A client of OpenSSL's own making says hello to our accepter. */
static tls_status hello_of(SSL_CTX *ctx, tako_errbuf *e)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char *bytes;
    long len;
    ends x;
    tls_status status;

    begin(&x);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    (void)SSL_do_handshake(ssl);
    len = BIO_get_mem_data(out, &bytes);
    tls_feed(x.s[1], tako_slice_of(bytes, (size_t)len));
    status = tls_handshake(x.s[1], &x.sink[1], e);
    assert_true(x.sink[1].len > 0); /* an alert, or our hello */
    SSL_free(ssl);
    end(&x);
    return status;
}

static void test_tls__only_1_3_and_only_our_protocol(void **state)
{
    static const unsigned char ours[] = { 6, 't', 'a', 'k', 'o', '/', '1' };
    static const unsigned char other[] = { 2, 'h', '2' };
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    tako_errbuf e;

    (void)state;
    (void)SSL_CTX_set_alpn_protos(ctx, ours, sizeof ours);
    assert_int_equal(hello_of(ctx, &e), TLS_MORE);
    (void)SSL_CTX_set_alpn_protos(ctx, other, sizeof other);
    assert_int_equal(hello_of(ctx, &e), TLS_FAIL);
    (void)SSL_CTX_set_alpn_protos(ctx, ours, sizeof ours);
    (void)SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    assert_int_equal(hello_of(ctx, &e), TLS_FAIL);
    assert_non_null(strstr(e.text, "TLS"));
    SSL_CTX_free(ctx);
}

static void test_tls__no_memory_is_a_failure_and_not_a_lost_byte(void **state)
{
    ends x;
    tls_context *c;
    tls_session *s;

    (void)state;
    begin(&x);
    shake(&x);
    tako_buf_fini(&x.sink[0]);
    x.t.fail_after = 0;
    assert_int_equal(tls_write(x.s[0], tako_slice_str("x"), &x.sink[0], NULL),
                     TLS_FAIL);
    assert_true(x.sink[0].failed);
    x.t.fail_after = 0;
    assert_int_equal(tls_session_new(x.c, SEC_DIALLER, &s), TAKO_NOMEM);
    x.t.fail_after = 0;
    assert_int_equal(tls_context_new(&x.t.env, &c, NULL), TAKO_NOMEM);
    x.t.fail_after = -1;
    end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls__both_ends_share_an_exporter_and_no_one_else),
        cmocka_unit_test(test_tls__records_cost_22_bytes),
        cmocka_unit_test(test_tls__only_1_3_and_only_our_protocol),
        cmocka_unit_test(test_tls__no_memory_is_a_failure_and_not_a_lost_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
