// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "codec/ulid.h"

static tako_slice ulid_id(const uint8_t u[16], uint8_t out[28])
{
    out[0] = 0x78;
    out[1] = ULID_TEXT_BYTES;
    ulid_to_text(u, (char *)out + 2);
    return tako_slice_of(out, 28);
}

static void check_round(test_env *t, const uint8_t u[16])
{
    uint8_t cbor[28], rest[9];
    int64_t row = 0;
    tako_buf b = tako_buf_on(&t->env);
    tako_slice id = ulid_id(u, cbor);

    assert_true(store_id_row(id, &row, rest));
    assert_true(row >= 1 && row <= (int64_t)1 << 62);
    assert_int_equal(store_id_encode(row, tako_slice_of(rest, 9), &b), TAKO_OK);
    assert_true(tako_slice_eq(tako_buf_slice(&b), id));
    tako_buf_fini(&b);
}

static void test_id__every_ulid_goes_there_and_back(void **state)
{
    test_env t;
    uint8_t u[16];

    (void)state;
    test_env_init(&t, test_seed(1));
    memset(u, 0, sizeof u);
    check_round(&t, u);
    memset(u, 0xff, sizeof u);
    check_round(&t, u);
    for (int i = 0; i < 20000; i++) {
        t.env.random(&t, u, sizeof u);
        check_round(&t, u);
    }
    test_env_check_empty(&t);
}

static void test_id__rows_keep_the_order_of_ulids(void **state)
{
    test_env t;
    uint8_t a[16], b[16], ca[28], cb_[28], ra[9], rb[9];
    int64_t rowa = 0, rowb = 0;

    (void)state;
    test_env_init(&t, test_seed(2));
    for (int i = 0; i < 20000; i++) {
        t.env.random(&t, a, sizeof a);
        memcpy(b, a, sizeof b);
        b[test_below(&t, 16)] ^= (uint8_t)(1u << test_below(&t, 8));
        assert_true(store_id_row(ulid_id(a, ca), &rowa, ra));
        assert_true(store_id_row(ulid_id(b, cb_), &rowb, rb));
        if (rowa != rowb)
            assert_true((memcmp(a, b, 16) < 0) == (rowa < rowb));
        else
            assert_true((memcmp(a, b, 16) < 0) == (memcmp(ra, rb, 9) < 0));
    }
}

static void test_id__other_texts_are_no_ulids(void **state)
{
    static const char *const texts[] = {
        "01hf7yat00abcdefghjkmnpqrs",  "01HF7YAT00ABCDEFGHJKMNPQR",
        "01HF7YAT00ABCDEFGHJKMNPQRST", "81HF7YAT00ABCDEFGHJKMNPQRS",
        "01HF7YAT00ABCDEFGHIJKLMNOP",  ""
    };
    test_world w;
    int64_t row;
    uint8_t rest[9];
    tako_buf b;

    (void)state;
    world_init(&w, 3);
    b = tako_buf_on(&w.t.env);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tako_buf_reset(&b);
        cbor_put_text(&b, tako_slice_str(texts[i]));
        assert_false(store_id_row(tako_buf_slice(&b), &row, rest));
    }
    assert_false(store_id_row(TAKO_SLICE_NONE, &row, rest));
    tako_buf_fini(&b);
    world_fini(&w);
}

static void test_id__damaged_columns_are_refused(void **state)
{
    static const uint8_t nine[9] = { 4 }, ok[9] = { 3 };
    test_env t;
    tako_buf b;

    (void)state;
    test_env_init(&t, 4);
    b = tako_buf_on(&t.env);
    assert_int_equal(store_id_encode(1, tako_slice_of(nine, 9), &b),
                     TAKO_CORRUPT);
    assert_int_equal(store_id_encode(1, tako_slice_of(ok, 8), &b),
                     TAKO_CORRUPT);
    assert_int_equal(store_id_encode(0, tako_slice_of(ok, 9), &b),
                     TAKO_CORRUPT);
    assert_int_equal(
        store_id_encode(((int64_t)1 << 62) + 1, tako_slice_of(ok, 9), &b),
        TAKO_CORRUPT);
    assert_int_equal(store_id_encode(-1, TAKO_SLICE_NONE, &b), TAKO_CORRUPT);
    assert_int_equal(b.len, 0);
    assert_int_equal(
        store_id_encode((int64_t)1 << 62, tako_slice_of(ok, 9), &b), TAKO_OK);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id__every_ulid_goes_there_and_back),
        cmocka_unit_test(test_id__rows_keep_the_order_of_ulids),
        cmocka_unit_test(test_id__other_texts_are_no_ulids),
        cmocka_unit_test(test_id__damaged_columns_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
