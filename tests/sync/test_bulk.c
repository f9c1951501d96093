// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "sync/state.h"

static void fill(tako_buf *out, size_t n, test_env *t, bool random)
{
    tako_buf_reset(out);
    tako_put_u8(out, SYNC_MSG_STATES);
    for (size_t i = 1; i < n; i++)
        tako_put_u8(out, random ? (uint8_t)test_random(t) : (uint8_t)(i % 50));
}

static void test_bulk__what_is_packed_comes_out(void **state)
{
    sync_session s = { 0 };
    tako_errbuf e = { "" };
    tako_buf out, was;
    tako_reader in;
    tako_slice back;
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(1));
    s.env = &t.env;
    s.features = SYNC_FEATURE_PACKED;
    out = tako_buf_on(&t.env);
    was = tako_buf_on(&t.env);
    for (size_t n = 1000; n < 900000; n = n * 7 / 2) {
        fill(&out, n, &t, false);
        fill(&was, n, &t, false);
        assert_int_equal(sync_pack(&s, &out, &e), TAKO_OK);
        assert_int_equal(out.ptr[0], SYNC_MSG_PACKED);
        assert_in_range(out.len, 1, n / 3);
        in = tako_reader_of(tako_buf_slice(&out));
        (void)tako_read_u8(&in);
        assert_int_equal(sync_unpack(&s, &in, &back, &e), TAKO_OK);
        assert_true(tako_slice_eq(back, tako_buf_slice(&was)));
    }
    assert_true(t.live_blocks > 2);
    sync_bulk_rest(&s); /* nothing of it stays in an idle session */
    tako_buf_fini(&out);
    tako_buf_fini(&was);
    assert_int_equal(t.live_blocks, 0);
}

/* A cut has a message of its own, and a feature. */
static void test_bulk__cuts_go_on_their_lane(void **state)
{
    sync_session s = { 0 };
    tako_errbuf e = { "" };
    tako_buf out;
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(5));
    s.env = &t.env;
    out = tako_buf_on(&t.env);
    for (int k = 0; k < 3; k++) {
        s.features = k == 0 ? SYNC_FEATURE_PACKED
                            : SYNC_FEATURE_PACKED | SYNC_FEATURE_PACKED_CUTS;
        fill(&out, k == 1 ? 1000 : 5000, &t, false);
        out.ptr[0] = SYNC_MSG_CUT;
        assert_int_equal(sync_pack(&s, &out, &e), TAKO_OK);
        assert_int_equal(out.ptr[0],
                         k == 2 ? SYNC_MSG_PACKED_CUT : SYNC_MSG_CUT);
    }
    sync_bulk_rest(&s);
    tako_buf_fini(&out);
}

static void test_bulk__only_where_it_pays(void **state)
{
    sync_session s = { 0 };
    tako_errbuf e = { "" };
    tako_buf out;
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(2));
    s.env = &t.env;
    out = tako_buf_on(&t.env);
    for (int k = 0; k < 3; k++) {
        /* short; of no order; to a peer that cannot */
        size_t n = k == 0 ? 200 : 5000;

        s.features = k == 2 ? 0 : SYNC_FEATURE_PACKED;
        fill(&out, n, &t, k == 1);
        assert_int_equal(sync_pack(&s, &out, &e), TAKO_OK);
        assert_int_equal(out.ptr[0], SYNC_MSG_STATES);
        assert_int_equal(out.len, n);
    }
    sync_bulk_rest(&s);
    tako_buf_fini(&out);
}

/* A bomb, a lie about the length, and bytes of no sense. */
static void test_bulk__hostile_ones_end_the_session(void **state)
{
    sync_session s = { 0 };
    tako_errbuf e = { "" };
    tako_buf out, bad;
    tako_slice back;
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(3));
    s.env = &t.env;
    s.features = SYNC_FEATURE_PACKED;
    out = tako_buf_on(&t.env);
    bad = tako_buf_on(&t.env);
    fill(&out, 500000, &t, false);
    assert_int_equal(sync_pack(&s, &out, &e), TAKO_OK);
    for (int k = 0; k < 4; k++) {
        tako_reader in = tako_reader_of(tako_buf_slice(&out));
        static const uint64_t lengths[] = { 64u << 20, 1000, 600000, 500000 };

        (void)tako_read_u8(&in);
        (void)tako_read_varint(&in);
        tako_buf_reset(&bad);
        tako_put_varint(&bad, lengths[k]);
        tako_put_bytes(&bad, tako_read_bytes(&in, tako_reader_left(&in)));
        if (k == 3)
            bad.ptr[bad.len / 2] ^= 0x55;
        in = tako_reader_of(tako_buf_slice(&bad));
        if (k == 3)
            in.in.len -= 3;
        assert_int_equal(sync_unpack(&s, &in, &back, &e), TAKO_CORRUPT);
    }
    sync_bulk_rest(&s);
    tako_buf_fini(&out);
    tako_buf_fini(&bad);
}

static void test_bulk__memory_may_run_out(void **state)
{
    tako_errbuf e = { "" };
    tako_buf out;
    test_env t;
    long n = 0;
    tako_err err;

    (void)state;
    test_env_init(&t, test_seed(4));
    out = tako_buf_on(&t.env);
    do {
        sync_session s = { .env = &t.env, .features = SYNC_FEATURE_PACKED };

        t.fail_after = -1;
        fill(&out, 100000, &t, false);
        t.fail_after = n++;
        err = sync_pack(&s, &out, &e);
        t.fail_after = -1;
        assert_true(err == TAKO_OK || err == TAKO_NOMEM);
        sync_bulk_rest(&s);
    } while (err == TAKO_NOMEM);
    assert_in_range(n, 3, 30);
    tako_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk__what_is_packed_comes_out),
        cmocka_unit_test(test_bulk__cuts_go_on_their_lane),
        cmocka_unit_test(test_bulk__only_where_it_pays),
        cmocka_unit_test(test_bulk__hostile_ones_end_the_session),
        cmocka_unit_test(test_bulk__memory_may_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
