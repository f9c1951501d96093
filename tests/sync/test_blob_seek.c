// SPDX-License-Identifier: Apache-2.0
/* Sources of a content: how they share the work, and what they do wrong. */
#include "sync/support_blobs.h"

/* Two that got a part each and are told of each other's: neither has what the
 * other lacks, and both say so. */
static void test_blob_seek__nobody_has_the_rest(void **state)
{
    sync_blob_state s;
    uint8_t id[32];
    link *from[2];
    mesh m;

    (void)state;
    blobs_begin(&m, 1, 3);
    blobs_put(&m, 0, 3, BLOBS_LEN, id);
    (void)blobs_join(&m, 1, 2);
    from[0] = blobs_join(&m, 0, 1);
    from[1] = blobs_join(&m, 0, 2);
    blobs_fetch(&m, 1, id, BLOBS_LEN);
    blobs_fetch(&m, 2, id, BLOBS_LEN);
    for (unsigned i = 0; i < 60; i++)
        (void)blobs_move_any(&m);
    blobs_link_down(from[0]);
    blobs_link_down(from[1]);
    m.messages = 0;
    blobs_run(&m, 60000);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(sync_blobs_state(m.b[i], id, &s), TAKO_OK);
        assert_in_range(s.have, 2, s.parts - 1);
        assert_true(s.unavailable);
        /* Once more when what the other had came. */
        assert_in_range(m.events[i][SYNC_BLOB_UNAVAILABLE], 1, 2);
    }
    assert_true(m.messages < 500);
    blobs_link_up(from[1]);
    blobs_run(&m, 60000);
    assert_true(blobs_here(&m, 1, id, 3, BLOBS_LEN));
    assert_true(blobs_here(&m, 2, id, 3, BLOBS_LEN));
    blobs_end(&m);
}

static void test_blob_seek__several_sources_share_the_work(void **state)
{
    uint8_t id[32];
    mesh m;

    (void)state;
    blobs_begin(&m, 3, 4);
    for (unsigned i = 0; i < 3; i++) {
        (void)blobs_join(&m, i, 3);
        blobs_put(&m, i, 1, BLOBS_LEN, id);
    }
    blobs_fetch(&m, 3, id, BLOBS_LEN);
    blobs_run(&m, 1000);
    assert_true(blobs_here(&m, 3, id, 1, BLOBS_LEN));
    assert_int_equal(blobs_counts(&m, 3).parts_in, blobs_parts_of(BLOBS_LEN));
    for (unsigned i = 0; i < 3; i++)
        assert_true(blobs_counts(&m, i).parts_out >=
                    blobs_parts_of(BLOBS_LEN) / 6);
    blobs_end(&m);
}

/* What one sends is wrong: refused part by part, and the other gives it. */
static void test_blob_seek__a_liar_is_not_believed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint8_t id[32];
        mesh m;
        link *liar;

        blobs_begin(&m, seed, 3);
        liar = blobs_join(&m, 0, 2);
        liar->lies[0] = true;
        blobs_put(&m, 0, 1, BLOBS_LEN, id);
        blobs_put(&m, 1, 1, BLOBS_LEN, id);
        if (seed % 2 == 0) { /* alone, it gets nowhere */
            blobs_fetch(&m, 2, id, BLOBS_LEN);
            blobs_run(&m, 100000);
            assert_false(blobs_here(&m, 2, id, 1, BLOBS_LEN));
            assert_true(m.events[2][SYNC_BLOB_UNAVAILABLE] > 0);
            (void)blobs_join(&m, 1, 2);
        } else {
            (void)blobs_join(&m, 1, 2);
            blobs_fetch(&m, 2, id, BLOBS_LEN);
        }
        blobs_run(&m, 60000);
        assert_true(blobs_here(&m, 2, id, 1, BLOBS_LEN));
        assert_in_range(blobs_counts(&m, 2).parts_bad, seed % 2 == 0, 1);
        assert_true(liar->up); /* and nothing else of it is refused */
        blobs_end(&m);
    }
}

/* Who passes on checks, so the liar behind it does no harm, and it is not
 * taken for one. */
static void test_blob_seek__a_liar_behind_another(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint8_t id[32];
        mesh m;

        blobs_begin(&m, seed, 4);
        blobs_join(&m, 0, 2)->lies[0] = true;
        (void)blobs_join(&m, 1, 2);
        (void)blobs_join(&m, 2, 3);
        blobs_put(&m, 0, 1, BLOBS_LEN, id);
        blobs_put(&m, 1, 1, BLOBS_LEN, id);
        blobs_fetch(&m, 3, id, BLOBS_LEN);
        blobs_run(&m, 60000);
        assert_true(blobs_here(&m, 3, id, 1, BLOBS_LEN));
        assert_int_equal(blobs_counts(&m, 3).parts_bad, 0);
        blobs_end(&m);
    }
}

/* Links break and the getter is killed, at random; what was kept is never
 * sent again. */
static void test_blob_seek__goes_on_where_it_was_cut_off(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint8_t id[32];
        uint64_t cuts = 0;
        mesh m;

        blobs_begin(&m, test_seed(seed), 4);
        (void)blobs_join(&m, 0, 1);
        (void)blobs_join(&m, 1, 3);
        (void)blobs_join(&m, 2, 3);
        blobs_put(&m, 0, 1, BLOBS_LEN, id);
        blobs_put(&m, 2, 1, BLOBS_LEN, id);
        while (!blobs_here(&m, 3, id, 1, BLOBS_LEN)) {
            uint64_t steps = test_below(&m.n.t, 60);

            (void)sync_blobs_fetch(m.b[3], m.now, id, BLOBS_LEN, NULL);
            while (steps-- > 0 && blobs_move_any(&m))
                continue;
            m.now += test_below(&m.n.t, 400);
            for (unsigned i = 0; i < 4; i++)
                sync_blobs_tick(m.b[i], m.now);
            assert_true(++cuts < 3000);
            assert_int_equal(blobs_counts(&m, 3).parts_again, 0);
            if (test_below(&m.n.t, 4) == 0) { /* killed */
                blobs_link_down(&m.links[1]);
                blobs_link_down(&m.links[2]);
                sync_blobs_free(m.b[3]);
                blobs_node_begin(&m, 3);
                blobs_link_up(&m.links[1]);
                blobs_link_up(&m.links[2]);
            } else {
                link *l = &m.links[test_below(&m.n.t, 3)];

                blobs_link_down(l);
                blobs_link_up(l);
            }
        }
        assert_int_equal(m.last, TAKO_OK);
        blobs_end(&m);
    }
}

/* A source falls silent: another gives what it owed, after a while. */
static void test_blob_seek__silence_is_not_waited_for(void **state)
{
    uint8_t id[32];
    sync_blob_state s;
    mesh m;
    link *quiet;

    (void)state;
    blobs_begin(&m, 1, 3);
    quiet = blobs_join(&m, 0, 2);
    (void)blobs_join(&m, 1, 2);
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    blobs_put(&m, 1, 1, BLOBS_LEN, id);
    blobs_fetch(&m, 2, id, BLOBS_LEN);
    for (unsigned i = 0; i < 12; i++)
        (void)blobs_move_any(&m);
    quiet->cut[0] = true;
    blobs_run(&m, 3000);
    if (sync_blobs_state(m.b[2], id, &s) == TAKO_OK)
        assert_true(s.have < s.parts);
    blobs_run(&m, 3000);
    assert_true(blobs_here(&m, 2, id, 1, BLOBS_LEN));
    blobs_end(&m);
}

/* One is slow and alone, one never answers: that is waited for, and without
 * haste: blobs_run() stops the test where time stands still. */
static void test_blob_seek__who_never_answers_costs_no_time(void **state)
{
    uint8_t id[32];
    mesh m;
    link *slow, *silent;

    (void)state;
    blobs_begin(&m, 1, 3);
    slow = blobs_join(&m, 0, 2);
    silent = blobs_join(&m, 1, 2);
    silent->cut[0] = silent->cut[1] = true;
    blobs_put(&m, 0, 1, BLOBS_LEN, id);
    blobs_fetch(&m, 2, id, BLOBS_LEN);
    for (unsigned i = 0; i < 12; i++)
        (void)blobs_move_any(&m);
    slow->cut[0] = true;
    blobs_run(&m, 30000);
    assert_false(blobs_here(&m, 2, id, 1, BLOBS_LEN));
    slow->cut[0] = false;
    blobs_run(&m, 120000);
    assert_true(blobs_here(&m, 2, id, 1, BLOBS_LEN));
    blobs_end(&m);
}

/* Half of it is kept; the process starts anew, so nothing of it is in memory. */
static void half_fetched(mesh *m, link **l, uint8_t id[32])
{
    sync_blob_state s;

    blobs_begin(m, 1, 2);
    *l = blobs_join(m, 0, 1);
    blobs_put(m, 0, 1, BLOBS_LEN, id);
    blobs_fetch(m, 1, id, BLOBS_LEN);
    for (unsigned i = 0; i < 60; i++)
        (void)blobs_move_any(m);
    blobs_link_down(*l);
    sync_blobs_free(m->b[1]);
    blobs_node_begin(m, 1);
    blobs_fetch(m, 1, id, BLOBS_LEN);
    assert_int_equal(sync_blobs_state(m->b[1], id, &s), TAKO_OK);
    assert_in_range(s.have, 3, s.parts - 1);
}

/* Nobody referred to what is fetched for a while, and it was collected: all of
 * it is wanted again, nothing more often than that. */
static void test_blob_seek__what_was_collected_is_wanted_again(void **state)
{
    blob_collected c = { .more = true };
    uint8_t id[32];
    uint64_t in;
    store *s;
    mesh m;
    link *l;

    (void)state;
    half_fetched(&m, &l, id);
    s = m.n.nodes[1].st;
    assert_int_equal(store_begin(s, NULL), TAKO_OK);
    assert_int_equal(store_blob_collect(s, UINT64_MAX / 2, 1, 1000, &c, NULL),
                     TAKO_OK);
    assert_int_equal(store_commit(s, NULL, NULL), TAKO_OK);
    assert_int_equal(c.blobs, 1);
    in = blobs_counts(&m, 1).parts_in;
    blobs_link_up(l);
    for (unsigned i = 0; i < 2000; i++)
        (void)blobs_move_any(&m);
    assert_true(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    in = blobs_counts(&m, 1).parts_in - in;
    assert_in_range(in, blobs_parts_of(BLOBS_LEN),
                    blobs_parts_of(BLOBS_LEN) + 8);
    blobs_end(&m);
}

/* The node by which parts are checked is damaged on disk: it is wanted again,
 * and replaced. */
static void test_blob_seek__what_is_damaged_is_wanted_again(void **state)
{
    static const char sql[] = "UPDATE blob_part SET data=zeroblob(length(data))"
                              "WHERE length(data)=1312"; /* 41 hashes */
    uint8_t id[32];
    uint64_t in;
    mesh m;
    link *l;

    (void)state;
    half_fetched(&m, &l, id);
    assert_int_equal(sqlite3_exec(store_conn_db(store_writer(m.n.nodes[1].st)),
                                  sql, NULL, NULL, NULL),
                     SQLITE_OK);
    in = blobs_counts(&m, 1).parts_in;
    blobs_link_up(l);
    for (unsigned i = 0; i < 2000; i++)
        (void)blobs_move_any(&m);
    assert_true(blobs_here(&m, 1, id, 1, BLOBS_LEN));
    in = blobs_counts(&m, 1).parts_in - in;
    assert_true(in <= blobs_parts_of(BLOBS_LEN));
    blobs_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_seek__nobody_has_the_rest),
        cmocka_unit_test(test_blob_seek__several_sources_share_the_work),
        cmocka_unit_test(test_blob_seek__a_liar_is_not_believed),
        cmocka_unit_test(test_blob_seek__a_liar_behind_another),
        cmocka_unit_test(test_blob_seek__goes_on_where_it_was_cut_off),
        cmocka_unit_test(test_blob_seek__silence_is_not_waited_for),
        cmocka_unit_test(test_blob_seek__who_never_answers_costs_no_time),
        cmocka_unit_test(test_blob_seek__what_was_collected_is_wanted_again),
        cmocka_unit_test(test_blob_seek__what_is_damaged_is_wanted_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
