// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "crdt/doc.h"

static void test_notice__is_read_as_it_was_put(void **state)
{
    crdt_dot births[2] = { { { { 1, 2 } }, 77 },
                           { { { 9 } }, UINT64_C(1) << 60 } };
    test_env t;
    tako_buf meta;
    tako_arena a;
    crdt_dot *out;
    crdt_doc *d;
    tako_errbuf e;
    size_t count;

    (void)state;
    test_env_init(&t, 1);
    meta = tako_buf_on(&t.env);
    a = tako_arena_on(&t.env);
    crdt_notice_put(births, 2, &meta);
    assert_true(crdt_meta_is_notice(tako_buf_slice(&meta)));
    assert_false(crdt_meta_is_marker(tako_buf_slice(&meta)));
    assert_int_equal(crdt_notice_read(&a, tako_buf_slice(&meta), &out, &count),
                     TAKO_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(out, births, sizeof births);
    /* it is no state, and cut or lengthened no notice */
    assert_int_equal(
        crdt_doc_decode(&a, tako_buf_slice(&meta), TAKO_SLICE_NONE, &d, &e),
        TAKO_CORRUPT);
    for (size_t cut = 0; cut < meta.len; cut++)
        assert_int_equal(
            crdt_notice_read(&a, tako_slice_of(meta.ptr, cut), &out, &count),
            TAKO_CORRUPT);
    tako_put_u8(&meta, 0);
    assert_int_equal(crdt_notice_read(&a, tako_buf_slice(&meta), &out, &count),
                     TAKO_CORRUPT);
    tako_buf_fini(&meta);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_notice__may_name_nobody(void **state)
{
    crdt_dot birth = { { { 1 } }, 7 }, *out = &birth;
    test_env t;
    tako_buf meta;
    tako_arena a;
    size_t count = 1;

    (void)state;
    test_env_init(&t, 1);
    meta = tako_buf_on(&t.env);
    a = tako_arena_on(&t.env);
    crdt_notice_put(&birth, 1, &meta);
    assert_false(crdt_notice_is_bare(tako_buf_slice(&meta)));
    tako_buf_reset(&meta);
    crdt_notice_put(NULL, 0, &meta);
    assert_true(crdt_meta_is_notice(tako_buf_slice(&meta)));
    assert_true(crdt_notice_is_bare(tako_buf_slice(&meta)));
    assert_int_equal(crdt_notice_read(&a, tako_buf_slice(&meta), &out, &count),
                     TAKO_OK);
    assert_true(out == NULL && count == 0);
    tako_put_u8(&meta, 0);
    assert_int_equal(crdt_notice_read(&a, tako_buf_slice(&meta), &out, &count),
                     TAKO_CORRUPT);
    tako_buf_fini(&meta);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notice__is_read_as_it_was_put),
        cmocka_unit_test(test_notice__may_name_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
