// SPDX-License-Identifier: Apache-2.0
/* tests/sec/test_grant.c mirrors src/sec/grant.c. */
#include "support/test_env.h"

#include <sodium.h>
#include <string.h>

#include "sec/sec.h"

#define NOW 1700000000000u

typedef struct world {
    test_env t;
    sec_mesh mesh;
    sec_claims claims;
    tako_buf grant;
} world;

static void begin(world *w)
{
    test_env_init(&w->t, 1);
    assert_int_equal(sec_mesh_from_secret(tako_slice_str("0123456789abcdef"),
                                          &w->mesh, NULL),
                     TAKO_OK);
    memset(&w->claims, 0, sizeof w->claims);
    memset(w->claims.device, 9, 32);
    w->claims.subject = tako_slice_str("kitchen");
    w->claims.roles = SEC_ROLE_READ | SEC_ROLE_RELAY;
    w->claims.issued_ms = NOW;
    w->claims.expires_ms = NOW + 3600000;
    w->grant = tako_buf_on(&w->t.env);
}

static void end(world *w)
{
    tako_buf_fini(&w->grant);
    test_env_check_empty(&w->t);
}

static tako_err issue(world *w)
{
    tako_buf_reset(&w->grant);
    return sec_grant_issue(&w->mesh, &w->claims, &w->grant, NULL);
}

static tako_err check_at(world *w, uint64_t wall_ms, tako_errbuf *e)
{
    sec_claims c;

    return sec_grant_check(&w->mesh, tako_buf_slice(&w->grant), wall_ms, &c, e);
}

static void test_grant__what_is_issued_is_read_back(void **state)
{
    static const uint64_t expiries[] = { UINT64_MAX, NOW, NOW + 1000,
                                         SEC_TIME_MS_MAX };
    world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < sizeof expiries / sizeof expiries[0]; i++) {
        sec_claims c;

        w.claims.expires_ms = expiries[i];
        assert_int_equal(issue(&w), TAKO_OK);
        assert_int_equal(
            sec_grant_check(&w.mesh, tako_buf_slice(&w.grant), NOW, &c, NULL),
            TAKO_OK);
        assert_true(tako_slice_eq(c.subject, w.claims.subject));
        assert_memory_equal(c.device, w.claims.device, 32);
        assert_memory_equal(c.mesh, w.mesh.id, 16);
        assert_int_equal(c.roles, w.claims.roles);
        assert_true(c.issued_ms == NOW && c.expires_ms == expiries[i]);
        assert_true(w.grant.len < 200);
    }
    end(&w);
}

static void
test_grant__times_are_kept_with_five_minutes_of_tolerance(void **state)
{
    static const struct {
        int64_t at_ms; /* after NOW */
        tako_err want;
    } rows[] = {
        { 0, TAKO_OK },
        { 3600000, TAKO_OK },
        { 3600000 + 300000, TAKO_OK },
        { 3600000 + 300001, TAKO_DENIED },
        { 360000000, TAKO_DENIED },
        { -300000, TAKO_OK },
        { -300001, TAKO_DENIED },
        { -(int64_t)NOW, TAKO_DENIED },
    };
    world w;

    (void)state;
    begin(&w);
    assert_int_equal(issue(&w), TAKO_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_errbuf e = { "" };

        assert_int_equal(
            check_at(&w, (uint64_t)((int64_t)NOW + rows[i].at_ms), &e),
            rows[i].want);
        assert_int_equal(e.text[0] != '\0', rows[i].want != TAKO_OK);
    }
    end(&w);
}

static void test_grant__subjects_are_names(void **state)
{
    char long_name[SEC_SUBJECT_BYTES_MAX + 1];
    static const struct {
        const char *subject;
        tako_err want;
    } rows[] = {
        { "K\xc3\xbc"
          "che 1",
          TAKO_OK },
        { "", TAKO_INVALID },
        { "a\nb", TAKO_INVALID },
        { "a\x7f", TAKO_INVALID },
        { "\xff", TAKO_INVALID },
    };
    world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        w.claims.subject = tako_slice_str(rows[i].subject);
        assert_int_equal(issue(&w), rows[i].want);
    }
    memset(long_name, 'n', sizeof long_name);
    w.claims.subject = tako_slice_of(long_name, sizeof long_name);
    assert_int_equal(issue(&w), TAKO_INVALID);
    w.claims.subject.len--;
    assert_int_equal(issue(&w), TAKO_OK);
    assert_int_equal(check_at(&w, NOW, NULL), TAKO_OK);
    w.claims.subject = tako_slice_of("a\0b", 3);
    assert_int_equal(issue(&w), TAKO_INVALID);
    end(&w);
}

static void test_grant__times_beyond_the_calendar_are_not_issued(void **state)
{
    world w;

    (void)state;
    begin(&w);
    w.claims.expires_ms = SEC_TIME_MS_MAX + 1;
    assert_int_equal(issue(&w), TAKO_INVALID);
    w.claims.expires_ms = UINT64_MAX;
    w.claims.issued_ms = UINT64_MAX;
    assert_int_equal(issue(&w), TAKO_INVALID);
    end(&w);
}

static void test_grant__no_changed_bit_is_accepted(void **state)
{
    world w;

    (void)state;
    begin(&w);
    assert_int_equal(issue(&w), TAKO_OK);
    for (size_t bit = 0; bit < w.grant.len * 8; bit++) {
        tako_err err;

        w.grant.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        err = check_at(&w, NOW, NULL);
        assert_true(err == TAKO_DENIED || err == TAKO_CORRUPT);
        w.grant.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < w.grant.len; len++) {
        sec_claims c;
        assert_int_equal(sec_grant_check(&w.mesh,
                                         tako_slice_of(w.grant.ptr, len), NOW,
                                         &c, NULL),
                         TAKO_CORRUPT);
    }
    tako_put_u8(&w.grant, 0);
    assert_int_equal(check_at(&w, NOW, NULL), TAKO_CORRUPT);
    end(&w);
}

static void test_grant__another_mesh_is_refused(void **state)
{
    world w;

    (void)state;
    begin(&w);
    assert_int_equal(issue(&w), TAKO_OK);
    assert_int_equal(sec_mesh_from_secret(tako_slice_str("another secret 123"),
                                          &w.mesh, NULL),
                     TAKO_OK);
    assert_int_equal(check_at(&w, NOW, NULL), TAKO_DENIED);
    end(&w);
    begin(&w);
    w.mesh.id[0] ^= 1; /* the right key, the wrong mesh */
    assert_int_equal(issue(&w), TAKO_OK);
    w.mesh.id[0] ^= 1;
    assert_int_equal(check_at(&w, NOW, NULL), TAKO_DENIED);
    end(&w);
}

static void test_grant__too_long_is_refused_unread(void **state)
{
    static uint8_t big[SEC_GRANT_BYTES_MAX + 1];
    world w;
    sec_claims c;

    (void)state;
    begin(&w);
    assert_int_equal(
        sec_grant_check(&w.mesh, tako_slice_of(big, sizeof big), NOW, &c, NULL),
        TAKO_LIMIT);
    end(&w);
}

/* ---- claims that an authority of another version signs ------------------ */

typedef struct raw {
    tako_buf claims;
    unsigned count;
} raw;

/* The format written out a second time, from docs/security.md. */
static tako_err check_raw(world *w, raw *r)
{
    static const uint8_t header[] = { 0xa1, 0x01, 0x27 };
    tako_buf s = tako_buf_on(&w->t.env);
    uint8_t signature[64];

    cbor_put_array(&s, 4);
    cbor_put_text(&s, tako_slice_str("Signature1"));
    cbor_put_bytes(&s, tako_slice_of(header, 3));
    cbor_put_bytes(&s, tako_slice_str("tako grant 1"));
    cbor_put_bytes(&s, tako_buf_slice(&r->claims));
    assert_int_equal(crypto_sign_detached(signature, NULL, s.ptr, s.len,
                                          w->mesh.authority_secret),
                     0);
    tako_buf_reset(&w->grant);
    cbor_put_array(&w->grant, 4);
    cbor_put_bytes(&w->grant, tako_slice_of(header, 3));
    cbor_put_map(&w->grant, 0);
    cbor_put_bytes(&w->grant, tako_buf_slice(&r->claims));
    cbor_put_bytes(&w->grant, tako_slice_of(signature, 64));
    tako_buf_fini(&s);
    tako_buf_fini(&r->claims);
    return check_at(w, NOW, NULL);
}

/* All the claims that are needed, but the one with key `without`, and with
 * `extra` (key and value as CBOR) in front of those from -65537 on. */
static raw raw_claims(world *w, int64_t without, const char *extra,
                      size_t extra_len, bool last)
{
    static const uint8_t cnf[] = { 0xa1, 0x01, 0xa3, 0x01, 0x01,
                                   0x20, 0x06, 0x21, 0x58, 0x20 };
    raw r = { tako_buf_on(&w->t.env), 0 };
    tako_buf *b = &r.claims;

    cbor_put_map(b, 5u - (without != 0) + (extra_len > 0));
    if (without != 2) {
        cbor_put_int(b, 2);
        cbor_put_text(b, tako_slice_str("x"));
    }
    if (without != 6) {
        cbor_put_int(b, 6);
        cbor_put_int(b, 5);
    }
    if (without != 8) {
        cbor_put_int(b, 8);
        tako_put_bytes(b, tako_slice_of(cnf, sizeof cnf));
        tako_put_bytes(b, tako_slice_of(w->claims.device, 32));
    }
    if (!last)
        tako_put_bytes(b, tako_slice_of(extra, extra_len));
    if (without != -65537) {
        cbor_put_int(b, -65537);
        cbor_put_bytes(b, tako_slice_of(w->mesh.id, 16));
    }
    if (without != -65538) {
        cbor_put_int(b, -65538);
        cbor_put_int(b, 7);
    }
    if (last)
        tako_put_bytes(b, tako_slice_of(extra, extra_len));
    return r;
}

static void test_grant__each_claim_is_needed(void **state)
{
    static const int64_t keys[] = { 2, 6, 8, -65537, -65538 };
    world w;
    raw r;

    (void)state;
    begin(&w);
    r = raw_claims(&w, 0, NULL, 0, false);
    assert_int_equal(check_raw(&w, &r), TAKO_OK);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        r = raw_claims(&w, keys[i], NULL, 0, false);
        assert_int_equal(check_raw(&w, &r), TAKO_CORRUPT);
    }
    end(&w);
}

static void test_grant__unknown_claims_are_skipped_unless_critical(void **state)
{
#define X(bytes) bytes, sizeof bytes - 1
    static const struct {
        const char *why;
        const char *bytes;
        size_t len;
        bool last;
        tako_err want;
    } rows[] = {
        { "a registered claim", X("\x18\x28\x63ote"), false, TAKO_OK },
        { "one with a map", X("\x18\x29\xa1\x61k\x80"), false, TAKO_OK },
        { "must be understood", X("\x3a\0\1\0\2\1"), true, TAKO_UNSUPPORTED },
        { "the last such key", X("\x3a\0\1\xff\xff\1"), true,
          TAKO_UNSUPPORTED },
        { "the first that need not", X("\x3a\0\2\0\0\1"), true, TAKO_OK },
        { "a text key", X("\x61z\1"), true, TAKO_OK },
        { "a key twice", X("\x08\1"), false, TAKO_CORRUPT },
        { "out of order", X("\x07\1"), false, TAKO_CORRUPT },
        { "a long key", X("\x18\x09\1"), false, TAKO_CORRUPT },
        { "a byte key", X("\x41\x09\1"), true, TAKO_CORRUPT },
        { "a value cut off", X("\x3a\0\2\0\0\x62z"), true, TAKO_CORRUPT },
        { "a value that is not shortest", X("\x18\x28\x18\1"), false,
          TAKO_CORRUPT },
        { "a tag", X("\x18\x28\xc1\1"), false, TAKO_CORRUPT },
    };
    world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        raw r = raw_claims(&w, 0, rows[i].bytes, rows[i].len, rows[i].last);
        tako_err err = check_raw(&w, &r);

        if (err != rows[i].want)
            fail_msg("%s: %s", rows[i].why, tako_err_name(err));
    }
    end(&w);
}

/* No claim may be of another kind than it should. */
static void test_grant__every_claim_is_checked(void **state)
{
    static const char *const wrong[] = { "\x20", "\x40", "\x61z", "\x80",
                                         "\xa0", "\xf6", "\xf5" };
    static const int64_t keys[] = { 2, 4, 5, 6, 8, -65537, -65538 };
    world w;

    (void)state;
    begin(&w);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            raw r = { tako_buf_on(&w.t.env), 0 };

            if (keys[k] == 2 && i == 2)
                continue; /* a name */
            cbor_put_map(&r.claims, 1);
            cbor_put_int(&r.claims, keys[k]);
            tako_put_str(&r.claims, wrong[i]);
            assert_int_equal(check_raw(&w, &r), TAKO_CORRUPT);
        }
    }
    end(&w);
}

static void test_grant__no_memory_leaves_the_output_as_it_was(void **state)
{
    world w;

    (void)state;
    begin(&w);
    for (long nth = 0;; nth++) {
        tako_buf b = tako_buf_on(&w.t.env);
        tako_err err;

        assert_true(nth < 50);
        tako_put_str(&b, "kept");
        w.t.fail_after = nth;
        err = sec_grant_issue(&w.mesh, &w.claims, &b, NULL);
        w.t.fail_after = -1;
        if (err == TAKO_OK)
            assert_true(b.len > 4);
        else
            assert_true(err == TAKO_NOMEM && b.len == 4);
        tako_buf_fini(&b);
        test_env_check_empty(&w.t);
        if (err == TAKO_OK)
            break;
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant__what_is_issued_is_read_back),
        cmocka_unit_test(
            test_grant__times_are_kept_with_five_minutes_of_tolerance),
        cmocka_unit_test(test_grant__subjects_are_names),
        cmocka_unit_test(test_grant__times_beyond_the_calendar_are_not_issued),
        cmocka_unit_test(test_grant__no_changed_bit_is_accepted),
        cmocka_unit_test(test_grant__another_mesh_is_refused),
        cmocka_unit_test(test_grant__too_long_is_refused_unread),
        cmocka_unit_test(test_grant__each_claim_is_needed),
        cmocka_unit_test(
            test_grant__unknown_claims_are_skipped_unless_critical),
        cmocka_unit_test(test_grant__every_claim_is_checked),
        cmocka_unit_test(test_grant__no_memory_leaves_the_output_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
