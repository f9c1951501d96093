// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/test_backoff.c mirrors src/mesh/backoff.c. */
#include "support/test_env.h"

#include "mesh/link.h"

static uint64_t ceiling(unsigned n)
{
    uint64_t c = n < 20 ? (uint64_t)MESH_BACKOFF_FIRST_MS << n : UINT64_MAX;
    return c < MESH_BACKOFF_MAX_MS ? c : MESH_BACKOFF_MAX_MS;
}

static void test_backoff__grows_to_a_cap_with_jitter(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(4));
    for (int round = 0; round < 200; round++) {
        mesh_backoff b = { 0 };
        for (unsigned n = 0; n < 40; n++) {
            uint32_t ms = mesh_backoff_next_ms(&b, &t.env);
            assert_in_range(ms, ceiling(n) / 8, ceiling(n));
        }
        mesh_backoff_reset(&b);
        assert_in_range(mesh_backoff_next_ms(&b, &t.env), 1,
                        MESH_BACKOFF_FIRST_MS);
    }
}

static void test_backoff__draws_cover_the_range(void **state)
{
    test_env t;
    unsigned low = 0, high = 0;

    (void)state;
    test_env_init(&t, test_seed(4));
    for (int i = 0; i < 1000; i++) {
        mesh_backoff b = { UINT32_MAX };
        uint32_t ms = mesh_backoff_next_ms(&b, &t.env);

        assert_int_equal(b.failures, UINT32_MAX);
        low += ms < MESH_BACKOFF_MAX_MS / 3;
        high += ms > MESH_BACKOFF_MAX_MS * 2 / 3;
    }
    assert_true(low > 100 && high > 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff__grows_to_a_cap_with_jitter),
        cmocka_unit_test(test_backoff__draws_cover_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
