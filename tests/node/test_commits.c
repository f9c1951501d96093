// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_commits__passes_changes_on(void **state)
{
    world w;

    (void)state;
    world_init(&w, 5, 3);
    for (size_t i = 0; i < 3; i++)
        world_subscribe(&w, i, 1, WORLD_ALL);
    world_listen(&w, 1, "tcp://b:1");
    world_dial(&w, 0, "tcp://b:1");
    world_dial(&w, 2, "tcp://b:1");
    world_run(&w, 100);
    for (unsigned i = 0; i < 30; i++)
        world_insert(&w, i % 3, i, "open");
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 2), 30);
    (void)world_do(&w, 0, "DELETE FROM orders WHERE _id < 10");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 2), 20);
    assert_true(world_equal(&w));
    world_fini(&w);
}

static void test_commits__commits_that_come_late_are_put_in_order(void **state)
{
    world w;
    node_commit *late;

    (void)state;
    world_init(&w, 6, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_insert(&w, 0, 1, "open");
    world_run(&w, 100);
    world_insert(&w, 0, 2, "open");
    /* A merge (of 3) overtakes the app's commit (of 4). */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 4, 's': 'open'})");
    world_insert(&w, 1, 3, "open");
    world_run(&w, 10);
    node_on_commit(w.nodes[0].n, late);
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 4);
    /* One that never comes is found by summaries. */
    late = world_do_quietly(
        &w, 0, "INSERT INTO orders DOCUMENTS ({'_id': 5, 's': 'open'})");
    node_commit_free(late);
    world_insert(&w, 0, 6, "open");
    world_run(&w, 1000);
    assert_true(world_equal(&w));
    assert_int_equal(world_count(&w, 1), 6);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commits__passes_changes_on),
        cmocka_unit_test(test_commits__commits_that_come_late_are_put_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
