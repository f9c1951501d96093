// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "base/limits.h"
#include "sync/dict.h"

static tako_slice name_of(uint32_t i, uint8_t out[4])
{
    memcpy(out, &i, 4);
    return tako_slice_of(out, 4);
}

/* Both sides hold the same table however long it goes on. */
static void test_dict__receiver_follows_the_sender(void **state)
{
    test_env t;
    sync_dict out, in;
    uint8_t bytes[4];

    (void)state;
    test_env_init(&t, test_seed(1));
    sync_dict_init(&out, &t.env, 64);
    sync_dict_init(&in, &t.env, 64);
    for (uint32_t stamp = 1; stamp < 500; stamp++) {
        for (int i = 0; i < 20; i++) {
            tako_slice name = name_of((uint32_t)test_below(&t, 200), bytes);
            uint32_t slot = sync_dict_find(&out, name, stamp);
            bool replaced;

            if (slot == UINT32_MAX) {
                slot = sync_dict_add(&out, name, stamp);
                assert_true(slot < 64);
                assert_int_equal(sync_dict_define(&in, slot, name, &replaced),
                                 TAKO_OK);
            }
            assert_memory_equal(sync_dict_at(&in, slot)->bytes, name.ptr, 4);
        }
    }
    sync_dict_fini(&out);
    sync_dict_fini(&in);
    test_env_check_empty(&t);
}

static void test_dict__a_slot_in_use_is_not_replaced(void **state)
{
    test_env t;
    sync_dict d;
    uint8_t bytes[4];

    (void)state;
    test_env_init(&t, 1);
    sync_dict_init(&d, &t.env, 16);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(sync_dict_add(&d, name_of(i, bytes), 7), i);
    assert_int_equal(sync_dict_add(&d, name_of(99, bytes), 7), UINT32_MAX);
    assert_int_not_equal(sync_dict_add(&d, name_of(99, bytes), 8), UINT32_MAX);
    assert_int_equal(sync_dict_find(&d, name_of(0, bytes), 8), UINT32_MAX);
    sync_dict_fini(&d);
    test_env_check_empty(&t);
}

static void test_dict__refuses_hostile_definitions(void **state)
{
    static const uint8_t text[SYNC_DICT_NAME_BYTES_MAX + 1] = { 1 };
    test_env t;
    sync_dict d;
    bool replaced;

    (void)state;
    test_env_init(&t, 1);
    sync_dict_init(&d, &t.env, 16);
    assert_int_equal(sync_dict_define(&d, 1, tako_slice_of(text, 1), &replaced),
                     TAKO_CORRUPT);
    assert_int_equal(
        sync_dict_define(&d, UINT64_MAX, tako_slice_of(text, 1), &replaced),
        TAKO_CORRUPT);
    assert_int_equal(sync_dict_define(&d, 0, TAKO_SLICE_NONE, &replaced),
                     TAKO_CORRUPT);
    assert_int_equal(
        sync_dict_define(&d, 0, tako_slice_of(text, sizeof text), &replaced),
        TAKO_CORRUPT);
    assert_null(sync_dict_at(&d, 0));
    sync_dict_fini(&d);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dict__receiver_follows_the_sender),
        cmocka_unit_test(test_dict__a_slot_in_use_is_not_replaced),
        cmocka_unit_test(test_dict__refuses_hostile_definitions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
