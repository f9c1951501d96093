// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/test_assembly.c mirrors src/mesh/assembly.c; test_lanes.c has the
 * round trips. */
#include "support/test_env.h"

#include "mesh/assembly.h"

static tako_err take(assembly *a, mesh_lane lane, const char *text, bool last,
                     tako_slice *m, bool *done)
{
    frame_reader r = { .kind = FRAME_PAYLOAD, .lane = lane, .last = last };
    frame_part part = { tako_slice_str(text), true, true };

    return assembly_take(a, &r, &part, m, done, NULL);
}

static void test_assembly__one_piece_is_handed_on_without_a_copy(void **state)
{
    test_env t;
    assembly a;
    tako_slice m;
    bool done;
    const char *text = "whole";

    (void)state;
    test_env_init(&t, 1);
    assembly_init(&a, &t.env);
    t.fail_after = 0;
    assert_int_equal(take(&a, MESH_LIVE, text, true, &m, &done), TAKO_OK);
    assert_true(done && m.ptr == (const uint8_t *)text);
    assembly_release(&a, MESH_LIVE);
    test_env_check_empty(&t);
}

static void test_assembly__lanes_do_not_mix(void **state)
{
    test_env t;
    assembly a;
    tako_slice m;
    bool done;

    (void)state;
    test_env_init(&t, 1);
    assembly_init(&a, &t.env);
    assert_int_equal(take(&a, MESH_LIVE, "li", false, &m, &done), 0);
    assert_false(done);
    assert_int_equal(take(&a, MESH_BLOBS, "bl", false, &m, &done), 0);
    assert_int_equal(take(&a, MESH_LIVE, "ve", true, &m, &done), 0);
    assert_true(done && tako_slice_eq(m, tako_slice_str("live")));
    assembly_release(&a, MESH_LIVE);
    assert_int_equal(a.held, 2);
    assert_int_equal(take(&a, MESH_BLOBS, "ob", true, &m, &done), 0);
    assert_true(done && tako_slice_eq(m, tako_slice_str("blob")));
    assembly_release(&a, MESH_BLOBS);
    assert_int_equal(a.held, 0);
    test_env_check_empty(&t);
}

static void test_assembly__no_memory_is_told(void **state)
{
    test_env t;
    assembly a;
    tako_slice m;
    bool done;

    (void)state;
    test_env_init(&t, 1);
    assembly_init(&a, &t.env);
    t.fail_after = 0;
    assert_int_equal(take(&a, MESH_LIVE, "x", false, &m, &done), TAKO_NOMEM);
    assembly_fini(&a);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assembly__one_piece_is_handed_on_without_a_copy),
        cmocka_unit_test(test_assembly__lanes_do_not_mix),
        cmocka_unit_test(test_assembly__no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
