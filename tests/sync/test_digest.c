// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "sync/state.h"

static void test_digest__folding_keeps_every_sum(void **state)
{
    static sync_digest d, copy; /* 32 KiB each */
    static uint64_t out[SYNC_BUCKETS_MAX];
    static const uint8_t key[16] = { 5 };
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(3));
    memset(&d, 0, sizeof d);
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t id[5] = { 0x1a, 0, 0, (uint8_t)(i >> 8), (uint8_t)i };
        uint8_t version[16];

        t.env.random(t.env.ctx, version, sizeof version);
        sync_digest_add(&d, sync_item_of(key, tako_slice_of(id, 5), version));
    }
    assert_int_equal(d.count, 5000);
    for (unsigned bits = 0; bits <= TAKO_SYNC_BUCKETS_BITS_MAX; bits++) {
        uint64_t sum = 0;

        sync_digest_fold(&d, bits, out);
        for (uint32_t i = 0; i < 1u << bits; i++)
            sum += out[i];
        assert_true(sum == d.sum);
        copy = d;
        sync_digest_fold(&copy, bits, copy.buckets); /* in place */
        assert_memory_equal(copy.buckets, out, sizeof(uint64_t) << bits);
    }
}

static void test_digest__buckets_grow_with_the_set(void **state)
{
    (void)state;
    assert_int_equal(sync_digest_bits(0), 0);
    assert_int_equal(sync_digest_bits(SYNC_BUCKET_DOCS), 0);
    assert_int_equal(sync_digest_bits(1000), 8);
    assert_int_equal(sync_digest_bits(UINT64_MAX), TAKO_SYNC_BUCKETS_BITS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__folding_keeps_every_sum),
        cmocka_unit_test(test_digest__buckets_grow_with_the_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
