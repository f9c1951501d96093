// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "base/hash.h"
#include "store/blob_form.h"

static void test_blob_form__cuts_any_length(void **state)
{
    static const struct {
        uint64_t len;
        uint32_t chunks, nodes;
        size_t last;
    } rows[] = {
        { 0, 0, 0, 0 },
        { 1, 1, 1, 1 },
        { 15360, 1, 1, 15360 },
        { 15361, 2, 1, 1 },
        { 480u * 15360u, 480, 1, 15360 },
        { 480u * 15360u + 1, 481, 2, 1 },
    };
    blob_form f;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(blob_form_of(rows[i].len, &f));
        assert_int_equal(f.chunks, rows[i].chunks);
        assert_int_equal(f.nodes, rows[i].nodes);
        assert_int_equal(f.parts, 1 + f.nodes + f.chunks);
        if (f.chunks > 0)
            assert_int_equal(blob_part_len(&f, f.parts - 1), rows[i].last);
    }
    assert_true(blob_form_of(TAKO_BLOB_BYTES_MAX, &f));
    assert_true(f.nodes <= BLOB_NODE_MAX);
    assert_false(blob_form_of(TAKO_BLOB_BYTES_MAX + 1, &f));
    assert_false(blob_form_of(UINT64_MAX, &f));
}

/* Every part has one parent, a place in it of its own, and together chunks
 * have the length of the content. */
static void test_blob_form__every_part_hangs_somewhere(void **state)
{
    static const uint64_t lens[] = { 1, 15360, 99999, 480u * 15360u * 2 + 77 };

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        blob_form f;
        uint64_t sum = 0;
        uint32_t before = UINT32_MAX;
        size_t at, at_before = 0;

        assert_true(blob_form_of(lens[i], &f));
        for (uint32_t p = 1; p < f.parts; p++) {
            uint32_t parent = blob_part_parent(&f, p, &at);

            assert_true(parent < p && !blob_part_is_chunk(&f, parent));
            assert_true(at + BLOB_HASH_BYTES <= blob_part_len(&f, parent));
            if (parent == before)
                assert_int_equal(at, at_before + BLOB_HASH_BYTES);
            else
                assert_int_equal(at, 0);
            before = parent;
            at_before = at;
            if (blob_part_is_chunk(&f, p))
                sum += blob_part_len(&f, p);
        }
        assert_int_equal(sum, lens[i]);
    }
}

/* Golden: BLAKE2b as published gives these; a change of them is a change of
 * every token. */
static void test_blob_form__ids_are_as_documented(void **state)
{
    static const uint8_t empty_id[4] = { 0x5c, 0x3c, 0xd7, 0xb6 };
    uint8_t id[32], hash[32], again[32];
    tako_slice hello = tako_slice_str("hello");
    blob_form f;

    (void)state;
    blob_id_of(0, TAKO_SLICE_NONE, id);
    assert_memory_equal(id, empty_id, sizeof empty_id);
    assert_true(blob_form_of(5, &f));
    blob_hash_chunk(hello, hash);
    tako_hash32(tako_slice_of("\0hello", 6), again);
    assert_memory_equal(hash, again, 32);
    assert_true(blob_part_is(&f, 2, hash, hello));
    assert_false(blob_part_is(&f, 2, hash, tako_slice_str("hellp")));
    assert_false(blob_part_is(&f, 2, hash, tako_slice_str("hell")));
    /* A chunk does not pass for a node, nor with another length. */
    blob_hash_node(hello, again);
    assert_memory_not_equal(hash, again, 32);
    blob_hash_node(tako_slice_of(hash, 32), again);
    blob_id_of(5, tako_slice_of(again, 32), id);
    assert_true(blob_root_is(&f, id, tako_slice_of(again, 32)));
    assert_true(blob_form_of(6, &f));
    assert_false(blob_root_is(&f, id, tako_slice_of(again, 32)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_form__cuts_any_length),
        cmocka_unit_test(test_blob_form__every_part_hangs_somewhere),
        cmocka_unit_test(test_blob_form__ids_are_as_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
