// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/test_frame.c mirrors src/mesh/frame.c. What a peer may not send
 * is in test_link.c's table; here is the law of reading what was written. */
#include "support/test_env.h"

#include <string.h>

#include "mesh/frame.h"

static void test_frame__heads_are_as_short_as_they_can_be(void **state)
{
    static const struct {
        size_t len;
        size_t want;
        uint8_t bytes[4];
    } rows[] = {
        { 0, 2, { 0, 5, 0, 0 } },           { 127, 2, { 0x7f, 5, 0, 0 } },
        { 128, 3, { 0x80, 1, 5, 0 } },      { 16383, 3, { 0xff, 0x7f, 5, 0 } },
        { 16384, 4, { 0x80, 0x80, 1, 5 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t out[FRAME_HEAD_BYTES_MAX] = { 0 };

        assert_int_equal(
            frame_head(out, rows[i].len, frame_payload_byte(MESH_LIVE, true)),
            rows[i].want);
        assert_memory_equal(out, rows[i].bytes, 4);
    }
}

/* Frames of all kinds and lengths, the stream cut anywhere: the parts of a
 * body are the body, and its first and last are marked. */
static void test_frame__cuts_of_the_stream_do_not_matter(void **state)
{
    static uint8_t stream[400000];
    static const uint8_t kinds[] = { 0, 1,          2,    3,    4,    5,   6,
                                     7, FRAME_AUTH, 0x11, 0x13, 0x08, 0x7f };
    test_env t;
    size_t len = 0, lens[300], at = 0;
    uint8_t kind[300];
    frame_reader r = { 0 };
    size_t index = 0, got_bytes = 0;

    (void)state;
    test_env_init(&t, test_seed(3));
    for (size_t i = 0; i < 300; i++) {
        lens[i] = i % 10 == 0 ? test_below(&t, TAKO_FRAME_BYTES_MAX + 1)
                              : test_below(&t, 200);
        kind[i] = kinds[test_below(&t, sizeof kinds)];
        if (kind[i] < 4 && lens[i] == 0)
            lens[i] = 1;
        if (len + lens[i] + 4 > sizeof stream)
            lens[i] = 1;
        len += frame_head(stream + len, lens[i], kind[i]);
        memset(stream + len, (int)i, lens[i]);
        len += lens[i];
    }
    while (at < len) {
        size_t n = 1 + test_below(&t, 3000);
        tako_slice in;
        bool got = true;

        n = n < len - at ? n : len - at;
        in = tako_slice_of(stream + at, n);
        at += n;
        while (in.len > 0 || got) {
            frame_part part;

            assert_int_equal(frame_read(&r, &in, &part, &got, NULL), TAKO_OK);
            if (!got)
                break;
            assert_int_equal(part.first, got_bytes == 0);
            got_bytes += part.body.len;
            for (size_t i = 0; i < part.body.len; i++)
                assert_int_equal(part.body.ptr[i], (uint8_t)index);
            assert_int_equal(part.end, got_bytes == lens[index]);
            if (kind[index] < 8) {
                assert_int_equal(r.kind, FRAME_PAYLOAD);
                assert_int_equal(r.lane, kind[index] & 3);
                assert_int_equal(r.last, kind[index] >> 2);
            } else if (kind[index] == 0x08 || kind[index] == 0x7f) {
                assert_int_equal(r.kind, FRAME_SKIP);
            } else {
                assert_int_equal(r.kind, kind[index]);
            }
            if (part.end) {
                index++;
                got_bytes = 0;
            }
        }
    }
    assert_int_equal(index, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame__heads_are_as_short_as_they_can_be),
        cmocka_unit_test(test_frame__cuts_of_the_stream_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
