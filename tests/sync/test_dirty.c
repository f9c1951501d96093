// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "sync/state.h"

static void test_dirty__is_a_set_in_order_of_first_change(void **state)
{
    static const uint8_t base[100] = { 1 };
    test_env t;
    sync_dirty d;
    bool fresh;

    (void)state;
    test_env_init(&t, 1);
    sync_dirty_init(&d, &t.env);
    for (int round = 0; round < 3; round++) {
        for (int64_t i = 0; i < 1000; i++) {
            sync_dirty_doc *doc = sync_dirty_touch(&d, 1, i % 500, &fresh);

            assert_non_null(doc);
            assert_true(fresh == (i < 500));
            assert_true(doc->jumped == !fresh);
            if (fresh)
                sync_dirty_base(&d, doc, tako_slice_of(base, 60),
                                tako_slice_of(base, 40));
        }
        assert_int_equal(d.bytes, 500 * 100);
        for (int64_t i = 0; i < 500; i++) {
            assert_true(sync_dirty_first(&d)->row == i);
            sync_dirty_pop(&d);
        }
        assert_null(sync_dirty_first(&d));
        assert_int_equal(d.bytes, 0);
    }
    sync_dirty_fini(&d);
    test_env_check_empty(&t);
}

/* What the peer asked takes the place of the base, and is given back with it. */
static void test_dirty__a_question_takes_the_place_of_the_base(void **state)
{
    static const uint8_t bytes[100] = { 1 };
    test_env t;
    sync_dirty d;
    sync_dirty_doc *doc;
    bool fresh;

    (void)state;
    test_env_init(&t, 1);
    sync_dirty_init(&d, &t.env);
    doc = sync_dirty_touch(&d, 1, 1, &fresh);
    sync_dirty_base(&d, doc, tako_slice_of(bytes, 60),
                    tako_slice_of(bytes, 40));
    sync_dirty_ask(&d, doc, tako_slice_of(bytes, 30));
    assert_true(doc->asked && doc->base != NULL && !doc->has_body);
    assert_int_equal(d.bytes, 30);
    sync_dirty_ask(&d, doc, tako_slice_of(bytes, 50));
    assert_int_equal(d.bytes, 50);
    sync_dirty_ask(&d, doc, TAKO_SLICE_NONE); /* the whole is asked for */
    assert_true(!doc->asked && doc->base == NULL);
    assert_int_equal(d.bytes, 0);
    d.bytes = TAKO_SYNC_DIRTY_BYTES_MAX - 10; /* no room for it */
    sync_dirty_ask(&d, doc, tako_slice_of(bytes, 30));
    assert_false(doc->asked);
    d.bytes = 0;
    sync_dirty_ask(&d, doc, tako_slice_of(bytes, 30));
    sync_dirty_pop(&d);
    assert_int_equal(d.bytes, 0);
    sync_dirty_fini(&d);
    test_env_check_empty(&t);
}

/* One that was sent changes again: it waits anew, however the set has grown. */
static void test_dirty__what_was_sent_is_in_it_no_more(void **state)
{
    test_env t;
    sync_dirty d;
    bool fresh;

    (void)state;
    test_env_init(&t, 1);
    sync_dirty_init(&d, &t.env);
    for (int64_t i = 0; i < 300; i++) {
        assert_non_null(sync_dirty_touch(&d, 1, i, &fresh));
        assert_true(fresh);
        if (i % 2 == 0)
            sync_dirty_pop(&d); /* 0, 1, 2 ... */
    }
    for (int64_t i = 0; i < 150; i++) {
        assert_non_null(sync_dirty_touch(&d, 1, i, &fresh));
        assert_true(fresh);
    }
    assert_int_equal(sync_dirty_left(&d), 300);
    sync_dirty_fini(&d);
    test_env_check_empty(&t);
}

static void test_dirty__is_bounded(void **state)
{
    test_env t;
    sync_dirty d;
    bool fresh;

    (void)state;
    test_env_init(&t, 1);
    sync_dirty_init(&d, &t.env);
    for (int64_t i = 0; i < TAKO_SYNC_DIRTY_MAX; i++)
        assert_non_null(sync_dirty_touch(&d, 1, i, &fresh));
    assert_null(sync_dirty_touch(&d, 2, 1, &fresh));
    assert_non_null(sync_dirty_touch(&d, 1, 1, &fresh));
    sync_dirty_fini(&d);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dirty__a_question_takes_the_place_of_the_base),
        cmocka_unit_test(test_dirty__is_a_set_in_order_of_first_change),
        cmocka_unit_test(test_dirty__what_was_sent_is_in_it_no_more),
        cmocka_unit_test(test_dirty__is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
