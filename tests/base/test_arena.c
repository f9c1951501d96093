// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdalign.h>

#include "base/arena.h"

#define OBJECTS 2000u

/* Objects are zeroed, aligned and apart from each other. */
static void test_arena__objects_do_not_overlap(void **state)
{
    test_env t;
    tako_arena a;
    uint8_t *objects[OBJECTS];
    size_t sizes[OBJECTS];
    (void)state;

    test_env_init(&t, test_seed(120));
    a = tako_arena_on(&t.env);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < OBJECTS; i++) {
            sizes[i] = 1 + test_below(&t, i % 100 == 0 ? 20000 : 100);
            objects[i] = tako_arena_alloc(&a, sizes[i]);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(objects[i][j], 0);
            memset(objects[i], (int)(i % 251) + 1, sizes[i]);
        }
        for (unsigned i = 0; i < OBJECTS; i++)
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(objects[i][j], i % 251 + 1);
        tako_arena_reset(&a);
    }
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_arena__a_reset_keeps_a_block_for_the_next_use(void **state)
{
    test_env t;
    tako_arena a;
    (void)state;

    test_env_init(&t, 0);
    a = tako_arena_on(&t.env);
    for (int i = 0; i < 100; i++)
        assert_non_null(tako_arena_alloc(&a, 20));
    tako_arena_reset(&a);
#ifdef TAKO_ARENA_PASSTHROUGH
    assert_int_equal(t.live_blocks, 0);
#else
    assert_int_equal(t.live_blocks, 1);
    t.fail_after = 0;
    for (int i = 0; i < 100; i++)
        assert_non_null(tako_arena_alloc(&a, 20));
    t.fail_after = -1;
#endif
    /* a huge block is not kept */
    assert_non_null(tako_arena_alloc(&a, 10u << 20));
    tako_arena_reset(&a);
    assert_true(t.live_bytes < 1u << 20);
    tako_arena_reset(&a);
    tako_arena_fini(&a);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_arena__absurd_sizes_give_null(void **state)
{
    test_env t;
    tako_arena a;
    (void)state;

    test_env_init(&t, 0);
    a = tako_arena_on(&t.env);
    assert_null(tako_arena_alloc(&a, 0));
    assert_null(tako_arena_alloc(&a, SIZE_MAX));
    assert_null(tako_arena_alloc(&a, SIZE_MAX - 8));
    assert_null(tako_arena_alloc(&a, SIZE_MAX / 2));
    assert_null(tako_arena_array(&a, 0, 8));
    assert_null(tako_arena_array(&a, 8, 0));
    assert_null(tako_arena_array(&a, SIZE_MAX, 2));
    assert_null(tako_arena_array(&a, 2, SIZE_MAX));
    assert_null(tako_arena_array(&a, (size_t)1 << 33, (size_t)1 << 33));
    assert_null(tako_arena_copy(&a, tako_slice_of("", SIZE_MAX)).ptr);
    assert_int_equal(t.live_blocks, 0);
    assert_non_null(tako_arena_array(&a, 3, 8));
    assert_non_null(TAKO_NEW(&a, tako_slice));
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_arena__copies_end_in_nul(void **state)
{
    test_env t;
    tako_arena a;
    char text[64];
    (void)state;

    test_env_init(&t, 0);
    a = tako_arena_on(&t.env);
    memset(text, 'x', sizeof text);
    for (size_t n = 0; n <= sizeof text; n++) {
        tako_slice s = tako_arena_copy(&a, tako_slice_of(text, n));

        assert_int_equal(s.len, n);
        assert_true(s.ptr != (const uint8_t *)text);
        assert_int_equal(s.ptr[n], 0);
        assert_true(tako_slice_eq(s, tako_slice_of(text, n)));
    }
    assert_non_null(tako_arena_copy(&a, TAKO_SLICE_NONE).ptr);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_arena__every_allocation_may_fail(void **state)
{
    test_env t;
    (void)state;

    test_env_init(&t, 0);
    for (long n = 0;; n++) {
        tako_arena a = tako_arena_on(&t.env);
        bool failed = false;

        t.fail_after = n;
        t.failed_once = false;
        for (int i = 0; i < 500; i++) {
            tako_slice s = tako_arena_copy(&a, tako_slice_str("some text"));

            failed = failed || s.ptr == NULL;
            failed = tako_arena_array(&a, 10, 10) == NULL || failed;
        }
        assert_int_equal(failed, t.failed_once);
        t.fail_after = -1;
        /* one failure leaves the arena usable */
        assert_non_null(tako_arena_alloc(&a, 100000));
        tako_arena_fini(&a);
        test_env_check_empty(&t);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__objects_do_not_overlap),
        cmocka_unit_test(test_arena__a_reset_keeps_a_block_for_the_next_use),
        cmocka_unit_test(test_arena__absurd_sizes_give_null),
        cmocka_unit_test(test_arena__copies_end_in_nul),
        cmocka_unit_test(test_arena__every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
