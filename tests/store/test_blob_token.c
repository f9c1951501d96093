// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "codec/json.h"
#include "store/blob_token.h"

#define ID "{\"$bytes\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}"

static void test_blob_token__reads_what_it_puts(void **state)
{
    world_store x;
    blob_token t = { .len = 7 }, u;
    tako_buf b;

    (void)state;
    world_begin(&x, 1);
    b = tako_buf_on(&x.w.t.env);
    for (unsigned have = 0; have < 8; have++) {
        for (unsigned i = 0; i < BLOB_ID_BYTES; i++)
            t.id[i] = (uint8_t)i;
        t.name = have & 1 ? tako_slice_str("a+b c/é.jpg") : TAKO_SLICE_NONE;
        t.type = have & 2 ? tako_slice_str("image/jpeg") : TAKO_SLICE_NONE;
        t.meta = have & 4 ? cb(&x.w, "{\"w\":3}") : TAKO_SLICE_NONE;
        tako_buf_reset(&b);
        must(&x.w, blob_token_put(&t, &b, &x.w.e));
        assert_int_equal(cbor_check(tako_buf_slice(&b), 64, NULL), TAKO_OK);
        assert_true(blob_token_is(tako_buf_slice(&b)));
        must(&x.w, blob_token_read(tako_buf_slice(&b), &u, &x.w.e));
        assert_int_equal(u.len, 7);
        assert_memory_equal(u.id, t.id, sizeof t.id);
        assert_true(tako_slice_eq(u.name, t.name));
        assert_true(tako_slice_eq(u.type, t.type));
        assert_true(tako_slice_eq(u.meta, t.meta));
    }
    tako_buf_fini(&b);
    world_end(&x);
}

static void test_blob_token__refuses_others(void **state)
{
    static const struct {
        const char *json;
        bool is;
        tako_err read;
    } rows[] = {
        { "{\"len\":1,\"tako_blob\":" ID "}", true, TAKO_OK },
        { "{\"len\":1,\"later\":[1],\"tako_blob\":" ID "}", true, TAKO_OK },
        { "{\"tako_blob\":" ID "}", true, TAKO_INVALID },
        { "{\"len\":-1,\"tako_blob\":" ID "}", true, TAKO_INVALID },
        { "{\"len\":1.0,\"tako_blob\":" ID "}", true, TAKO_INVALID },
        { "{\"len\":3221225473,\"tako_blob\":" ID "}", true, TAKO_LIMIT },
        { "{\"len\":1,\"tako_blob\":{\"$bytes\":\"AAEC\"}}", false,
          TAKO_INVALID },
        { "{\"len\":1,\"tako_blob\":\"text\"}", false, TAKO_INVALID },
        { "{\"a\":{\"len\":1,\"tako_blob\":" ID "}}", false, TAKO_INVALID },
        { "[{\"len\":1,\"tako_blob\":" ID "}]", false, TAKO_INVALID },
        { "{}", false, TAKO_INVALID },
        { "7", false, TAKO_INVALID },
    };
    world_store x;
    blob_token t;

    (void)state;
    world_begin(&x, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_slice v = cb(&x.w, rows[i].json);

        assert_int_equal(blob_token_is(v), rows[i].is);
        assert_int_equal(blob_token_read(v, &t, NULL), rows[i].read);
    }
    world_end(&x);
}

static void test_blob_token__has_limits(void **state)
{
    char long_text[300];
    world_store x;
    tako_buf b;
    blob_token t = { .len = 1 };

    (void)state;
    world_begin(&x, 3);
    b = tako_buf_on(&x.w.t.env);
    memset(long_text, 'n', sizeof long_text);
    t.name = tako_slice_of(long_text, 256);
    assert_int_equal(blob_token_put(&t, &b, NULL), TAKO_LIMIT);
    t.name = TAKO_SLICE_NONE;
    t.type = tako_slice_of(long_text, 128);
    assert_int_equal(blob_token_put(&t, &b, NULL), TAKO_LIMIT);
    t.type = tako_slice_of("\xff", 1);
    assert_int_equal(blob_token_put(&t, &b, NULL), TAKO_INVALID);
    t.type = TAKO_SLICE_NONE;
    t.meta = cb(&x.w, "[1]");
    assert_int_equal(blob_token_put(&t, &b, NULL), TAKO_INVALID);
    tako_buf_fini(&b);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_token__reads_what_it_puts),
        cmocka_unit_test(test_blob_token__refuses_others),
        cmocka_unit_test(test_blob_token__has_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
