// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <wchar.h>

#include "base/buf.h"

/* Any series of puts and inserts gives what a plain array would have. */
static void test_buf__behaves_as_an_array(void **state)
{
    static uint8_t model[1u << 16];
    test_env t;
    tako_buf b;
    size_t n = 0;
    (void)state;

    test_env_init(&t, test_seed(110));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t some[40];
        size_t len = test_below(&t, sizeof some), at;

        t.env.random(t.env.ctx, some, sizeof some);
        if (n + sizeof some > sizeof model) {
            assert_memory_equal(b.ptr, model, n);
            tako_buf_reset(&b);
            n = 0;
        }
        switch (test_below(&t, 4)) {
        case 0:
            tako_put_u8(&b, some[0]);
            model[n++] = some[0];
            break;
        case 1:
            tako_put_bytes(&b, tako_slice_of(some, len));
            memcpy(model + n, some, len);
            n += len;
            break;
        case 2:
            tako_put_u64(&b, 0x0102030405060708u);
            memcpy(model + n, "\1\2\3\4\5\6\7\10", 8);
            n += 8;
            break;
        default:
            at = test_below(&t, n + 1);
            tako_buf_insert(&b, at, tako_slice_of(some, len));
            memmove(model + at + len, model + at, n - at);
            memcpy(model + at, some, len);
            n += len;
            break;
        }
        assert_int_equal(b.len, n);
        assert_true(b.cap >= b.len && !b.failed);
    }
    assert_memory_equal(b.ptr, model, n);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_buf__formatted_text_of_any_length(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    for (int n = 0; n < 300; n++) {
        tako_buf_reset(&b);
        tako_put_fmt(&b, "%*s", n, "");
        assert_int_equal(b.len, n);
        tako_put_fmt(&b, "%d%%", n);
        assert_int_equal(b.ptr[b.len - 1], '%');
        assert_int_equal(strlen(tako_buf_cstr(&b)), b.len);
    }
    tako_buf_reset(&b);
    tako_put_fmt(&b, "%s", "");
    assert_string_equal(tako_buf_cstr(&b), "");
    assert_int_equal(b.len, 0);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

/* printf refuses a character that is none: a failure, not nothing. */
static void test_buf__a_format_that_fails_is_sticky(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    tako_put_str(&b, "x");
    tako_put_fmt(&b, "%lc", (wint_t)0x110000);
    assert_true(b.failed);
    assert_int_equal(b.len, 1);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void put_everything(tako_buf *b)
{
    tako_put_u8(b, 1);
    tako_put_u64(b, 2);
    tako_put_varint(b, UINT64_MAX);
    tako_put_str(b, "text of some length, so that the buffer has to grow");
    tako_put_block(b, tako_slice_str("a block, with its length before it"));
    tako_put_fmt(b, "%d %s", 3, "formatted, and long enough to grow again");
    tako_buf_insert(b, 0, tako_slice_str("in front of all that was put"));
    for (int i = 0; i < 1000; i++)
        tako_put_u64(b, (uint64_t)i);
}

static void test_buf__failure_is_sticky_until_reset(void **state)
{
    test_env t;
    long n;
    (void)state;

    test_env_init(&t, 0);
    for (n = 0;; n++) {
        tako_buf b = tako_buf_on(&t.env);
        size_t len;

        t.fail_after = n;
        t.failed_once = false;
        put_everything(&b);
        assert_int_equal(b.failed, t.failed_once);
        t.fail_after = -1;
        if (!b.failed) {
            tako_buf_fini(&b);
            break;
        }
        len = b.len;
        put_everything(&b); /* memory is back, but nothing is put */
        assert_int_equal(b.len, len);
        assert_false(tako_buf_reserve(&b, 0));
        assert_string_equal(tako_buf_cstr(&b), "");
        tako_buf_reset(&b);
        put_everything(&b);
        assert_true(!b.failed && b.len > 8000);
        tako_buf_fini(&b);
    }
    assert_true(n > 4);
    test_env_check_empty(&t);
}

static void test_buf__absurd_sizes_fail_without_allocating(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    assert_false(tako_buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    tako_buf_reset(&b);
    tako_put_u8(&b, 1);
    assert_false(tako_buf_reserve(&b, SIZE_MAX / 2));
    tako_buf_reset(&b);
    assert_false(tako_buf_reserve(&b, SIZE_MAX - 1));
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_buf__reset_keeps_memory_and_fini_gives_it_back(void **state)
{
    test_env t;
    tako_buf b;
    size_t cap;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    assert_int_equal(tako_buf_slice(&b).len, 0);
    tako_put_bytes(&b, TAKO_SLICE_NONE);
    tako_buf_insert(&b, 0, TAKO_SLICE_NONE);
    assert_int_equal(t.live_blocks, 0);
    put_everything(&b);
    cap = b.cap;
    tako_buf_reset(&b);
    t.fail_after = 0;
    put_everything(&b);
    assert_true(!b.failed && b.cap == cap);
    assert_int_equal(t.live_bytes, cap);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
    t.fail_after = -1;
    tako_put_u8(&b, 1); /* and it may be used again */
    assert_int_equal(b.len, 1);
    tako_buf_fini(&b);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__behaves_as_an_array),
        cmocka_unit_test(test_buf__formatted_text_of_any_length),
        cmocka_unit_test(test_buf__a_format_that_fails_is_sticky),
        cmocka_unit_test(test_buf__failure_is_sticky_until_reset),
        cmocka_unit_test(test_buf__absurd_sizes_fail_without_allocating),
        cmocka_unit_test(test_buf__reset_keeps_memory_and_fini_gives_it_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
