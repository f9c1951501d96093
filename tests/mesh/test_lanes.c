// SPDX-License-Identifier: Apache-2.0
/* tests/mesh/test_lanes.c mirrors src/mesh/lanes.c and src/mesh/assembly.c:
 * what is cut is put together again, in a fair order and within bounds. */
#include "support/test_env.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/assembly.h"
#include "mesh/lanes.h"

typedef struct wire {
    test_env t;
    lanes out;
    assembly in;
    frame_reader reader;
    size_t messages[MESH_LANES];
    size_t bytes[MESH_LANES];
    size_t held_max;
} wire;

static void begin(wire *w)
{
    memset(w, 0, sizeof *w);
    test_env_init(&w->t, 1);
    lanes_init(&w->out, &w->t.env);
    assembly_init(&w->in, &w->t.env);
}

static void end(wire *w)
{
    lanes_fini(&w->out);
    assembly_fini(&w->in);
    test_env_check_empty(&w->t);
}

static size_t pass(wire *w, size_t cap)
{
    static uint8_t buf[16384];
    uint64_t frames = 0;
    size_t n = lanes_cut(&w->out, buf, cap, &frames);
    tako_slice in = tako_slice_of(buf, n);
    bool got = n > 0;

    while (got) {
        frame_part part;
        tako_slice m;
        bool done;

        assert_int_equal(frame_read(&w->reader, &in, &part, &got, NULL), 0);
        if (!got)
            break;
        assert_int_equal(
            assembly_take(&w->in, &w->reader, &part, &m, &done, NULL), 0);
        w->held_max = w->in.held > w->held_max ? w->in.held : w->held_max;
        if (done) {
            w->messages[w->reader.lane]++;
            w->bytes[w->reader.lane] += m.len;
            assembly_release(&w->in, w->reader.lane);
        }
        if (in.len == 0)
            break;
    }
    return n;
}

static void put(wire *w, mesh_lane lane, size_t len)
{
    static uint8_t zeros[TAKO_MESSAGE_BYTES_MAX];

    assert_int_equal(lanes_put(&w->out, lane, tako_slice_of(zeros, len)),
                     TAKO_OK);
}

static void test_lanes__full_lanes_share_evenly(void **state)
{
    wire w;
    size_t left[MESH_LANES];

    (void)state;
    begin(&w);
    for (int lane = MESH_LIVE; lane < MESH_LANES; lane++)
        put(&w, (mesh_lane)lane, 3u << 20);
    for (int i = 0; i < 300; i++)
        (void)pass(&w, 16384);
    for (int lane = MESH_LIVE; lane < MESH_LANES; lane++)
        left[lane] = lanes_bytes(&w.out, (mesh_lane)lane);
    for (int lane = MESH_CATCHUP; lane < MESH_LANES; lane++) {
        size_t a = left[MESH_LIVE], b = left[lane];
        assert_true((a > b ? a - b : b - a) <= 32768);
    }
    end(&w);
}

static void
test_lanes__control_goes_first_and_live_waits_for_two_turns(void **state)
{
    wire w;
    size_t sent = 0;

    (void)state;
    begin(&w);
    put(&w, MESH_BLOBS, 1u << 20);
    put(&w, MESH_CATCHUP, 1u << 20);
    for (int i = 0; i < 7; i++)
        (void)pass(&w, 5000);
    put(&w, MESH_LIVE, 10);
    while (w.messages[MESH_LIVE] == 0)
        sent += pass(&w, 5000);
    assert_true(sent <= 3u * 16384);
    put(&w, MESH_CONTROL, 10);
    (void)pass(&w, 64);
    assert_int_equal(w.messages[MESH_CONTROL], 1);
    end(&w);
}

static void test_lanes__what_is_begun_fits_the_receiver(void **state)
{
    wire w;

    (void)state;
    begin(&w);
    put(&w, MESH_BLOBS, 50u << 20);
    put(&w, MESH_CATCHUP, 50u << 20);
    put(&w, MESH_LIVE, 30u << 20);
    for (int i = 0; i < 30; i++)
        put(&w, MESH_LIVE, 40);
    while (pass(&w, 16384) > 0)
        ;
    assert_true(w.held_max <= TAKO_MESSAGE_BYTES_MAX);
    assert_int_equal(w.messages[MESH_LIVE], 31);
    assert_int_equal(w.messages[MESH_CATCHUP], 1);
    assert_int_equal(w.messages[MESH_BLOBS], 1);
    assert_int_equal(lanes_bytes(&w.out, MESH_LANES), 0);
    assert_false(lanes_waiting(&w.out));
    end(&w);
}

static void test_lanes__any_sizes_through_any_windows(void **state)
{
    wire w;
    size_t put_bytes[MESH_LANES] = { 0 }, put_count[MESH_LANES] = { 0 };

    (void)state;
    begin(&w);
    w.t.seed = test_seed(9);
    for (int i = 0; i < 3000; i++) {
        mesh_lane lane = (mesh_lane)test_below(&w.t, MESH_LANES);
        size_t len = test_below(&w.t, (uint64_t)1 << test_below(&w.t, 18));

        put(&w, lane, len);
        put_bytes[lane] += len;
        put_count[lane]++;
        assert_true(lanes_room(&w.out) >= lanes_bytes(&w.out, MESH_LANES));
        for (uint64_t n = test_below(&w.t, 4); n > 0; n--)
            (void)pass(&w, LANES_CUT_BYTES_MIN + test_below(&w.t, 16000));
    }
    while (pass(&w, 16384) > 0)
        ;
    for (int lane = 0; lane < MESH_LANES; lane++) {
        assert_int_equal(w.messages[lane], put_count[lane]);
        assert_int_equal(w.bytes[lane], put_bytes[lane]);
    }
    assert_int_equal(w.in.held, 0);
    end(&w);
}

static void test_lanes__no_memory_changes_nothing(void **state)
{
    wire w;

    (void)state;
    begin(&w);
    w.t.fail_after = 0;
    assert_int_equal(lanes_put(&w.out, MESH_LIVE, tako_slice_str("x")),
                     TAKO_NOMEM);
    assert_false(lanes_waiting(&w.out));
    w.t.fail_after = -1;
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes__full_lanes_share_evenly),
        cmocka_unit_test(
            test_lanes__control_goes_first_and_live_waits_for_two_turns),
        cmocka_unit_test(test_lanes__what_is_begun_fits_the_receiver),
        cmocka_unit_test(test_lanes__any_sizes_through_any_windows),
        cmocka_unit_test(test_lanes__no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
