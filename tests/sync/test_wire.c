// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "sync/wire.h"

static const char *const ids[] = {
    "\x78\x1a"
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "\x18\x64",
    "\x63"
    "abc",
    "\x78\x1a"
    "01arz3ndektsv4rrffq69g5fav", /* lower case: no ULID of ours */
};

static void test_wire__ids_come_back(void **state)
{
    static const size_t lens[] = { 17, 3, 5, 29 };
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < 4; i++) {
        tako_buf b = tako_buf_on(&t.env);
        tako_arena a = tako_arena_on(&t.env);
        tako_reader in;

        sync_put_id(&b, tako_slice_str(ids[i]));
        assert_int_equal(b.len, lens[i]);
        in = tako_reader_of(tako_buf_slice(&b));
        assert_true(
            tako_slice_eq(sync_get_id(&in, &a), tako_slice_str(ids[i])));
        assert_true(tako_reader_done(&in));
        tako_arena_fini(&a);
        tako_buf_fini(&b);
    }
    test_env_check_empty(&t);
}

/* A state comes back as it was; the second time its names are numbers. */
static void test_wire__states_come_back(void **state)
{
    static const uint8_t meta[] = { 1, 9, 9, 9, 9, 9, 9, 9, 9, 9,
                                    9, 9, 9, 9, 9, 9, 9, 5, 6, 7 };
    static const uint8_t body[] = { 0xa0 };
    test_env t;
    tako_buf out, scratch;
    tako_arena a;
    sync_names names_out, names_in;
    sync_doc_name name = { 1, tako_slice_str("orders"), 5,
                           tako_slice_str(ids[1]) };
    size_t first = 0;

    (void)state;
    test_env_init(&t, 1);
    out = tako_buf_on(&t.env);
    scratch = tako_buf_on(&t.env);
    a = tako_arena_on(&t.env);
    sync_names_init(&names_out, &t.env);
    sync_names_init(&names_in, &t.env);
    for (int round = 0; round < 2; round++) {
        sync_writer w = { &names_out, &out, &scratch, 0, false };
        sync_record r;
        tako_reader in;
        bool replaced = false;
        tako_errbuf e = { "" };

        tako_buf_reset(&out);
        assert_int_equal(sync_put_state(&w, &name, true,
                                        tako_slice_of(meta, sizeof meta),
                                        tako_slice_of(body, 1)),
                         TAKO_OK);
        in = tako_reader_of(tako_buf_slice(&out));
        assert_int_equal(sync_get_record(&names_in, &a, &in, &r, &replaced, &e),
                         TAKO_OK);
        assert_false(r.delta || replaced);
        assert_true(tako_slice_eq(r.id, name.id));
        assert_true(tako_slice_eq(r.meta, tako_slice_of(meta, sizeof meta)));
        assert_true(tako_slice_eq(r.body, tako_slice_of(body, 1)));
        assert_int_equal(sync_get_record(&names_in, &a, &in, &r, &replaced, &e),
                         TAKO_NOTFOUND);
        if (round == 0)
            first = out.len;
        else
            assert_true(out.len == 9 && out.len < first);
    }
    sync_names_fini(&names_out);
    sync_names_fini(&names_in);
    tako_arena_fini(&a);
    tako_buf_fini(&out);
    tako_buf_fini(&scratch);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__ids_come_back),
        cmocka_unit_test(test_wire__states_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
