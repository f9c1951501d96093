// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <stdio.h>
#include <string.h>

/* One replica: what each write makes of what is there. */
static void test_write__each_write_shows(void **state)
{
    static const struct {
        const char *before;
        char op; /* s(et) r(eplace) u(nset) i(ncrement) w(restart) */
        const char *path;
        const char *value;
        const char *after;
    } cases[] = {
        { "{}", 's', "a", "1", "{'a':1}" },
        { "{'a':1}", 's', "a", "'x'", "{'a':'x'}" },
        { "{}", 's', "a.b.c", "1", "{'a':{'b':{'c':1}}}" },
        { "{'a':5}", 's', "a.b", "1", "{'a':{'b':1}}" },
        { "{'a':{'b':1}}", 's', "a", "{'c':2}", "{'a':{'b':1,'c':2}}" },
        { "{'a':{'b':1}}", 's', "a", "{}", "{'a':{'b':1}}" },
        { "{'a':7}", 's', "a", "{}", "{'a':{}}" },
        { "{'a':{'b':1}}", 'r', "a", "{'c':2}", "{'a':{'c':2}}" },
        { "{'a':{'b':1}}", 's', "a", "[]", "{'a':[]}" },
        { "{'a':{'b':1}}", 's', "a", "null", "{'a':null}" },
        { "{'a':{'b':1},'c':0}", 'u', "a", "", "{'c':0}" },
        { "{'a':{'b':1}}", 'u', "a.b", "", "{'a':{}}" },
        { "{'a':1}", 'u', "a.b", "", "{'a':1}" },
        { "{'a':1}", 'u', "x.y", "", "{'a':1}" },
        { "{}", 'i', "n", "5", "{'n':5}" },
        { "{'n':10}", 'i', "n", "-4", "{'n':6}" },
        { "{'n':0.5}", 'i', "n", "2", "{'n':2.5}" },
        { "{}", 'i', "a.n", "5", "{'a':{'n':5}}" },
        { "{'n':10}", 'w', "n", "3", "{'n':3}" },
        { "{}", 'w', "n", "3", "{'n':3}" },
    };
    world w;

    (void)state;
    world_init(&w, 1);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int n = 0;

        world_clear(&w);
        world_insert(&w, 0, cases[i].before);
        (void)sscanf(cases[i].value, "%d", &n);
        switch (cases[i].op) {
        case 's':
            world_set(&w, 0, cases[i].path, cases[i].value);
            break;
        case 'r':
            world_replace(&w, 0, cases[i].path, cases[i].value);
            break;
        case 'u':
            world_unset(&w, 0, cases[i].path);
            break;
        case 'i':
            world_increment(&w, 0, cases[i].path, n);
            break;
        default:
            world_restart(&w, 0, cases[i].path, n);
        }
        world_expect(&w, 0, cases[i].after);
        w.doc[1] = world_copy(&w, w.doc[0]);
        world_expect(&w, 1, cases[i].after);
    }
    world_fini(&w);
}

/* All writes of one transaction carry one dot; the last one counts. */
static void test_write__one_transaction_writes_a_path_twice(void **state)
{
    world w;
    crdt_dot dot;
    crdt_path p;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'f':0}");
    (void)world_merge(&w, 1, 0);
    dot = world_dot(&w, 0);
    p = world_path(&w, "f");
    for (int i = 0; i < 3; i++)
        assert_int_equal(crdt_set(w.doc[0], dot, p, CRDT_AUTO,
                                  world_value(&w, i == 1 ? "{'x':1}" : "2"),
                                  NULL),
                         TAKO_OK);
    assert_int_equal(crdt_increment(w.doc[0], dot, p, 3, NULL), TAKO_OK);
    assert_int_equal(crdt_increment(w.doc[0], dot, p, 3, NULL), TAKO_OK);
    world_expect(&w, 0, "{'f':8}");
    assert_int_equal(crdt_delete(w.doc[0], dot), TAKO_OK);
    assert_int_equal(crdt_insert(w.doc[0], dot, world_value(&w, "{'g':1}")),
                     TAKO_OK);
    (void)world_delta(&w, 1, 0);
    world_expect(&w, 1, "{'g':1}");
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    world_fini(&w);
}

static tako_err set_as(world *w, const char *path, crdt_type type,
                       const char *json)
{
    return crdt_set(w->doc[0], world_dot(w, 0), world_path(w, path), type,
                    world_value(w, json), NULL);
}

static void test_write__declared_types_are_held_to(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'m':{'a':1},'t':'x'}");
    world_increment(&w, 0, "c", 1);
    w.doc[1] = world_copy(&w, w.doc[0]);
    assert_int_equal(set_as(&w, "x", CRDT_COUNTER, "1"), TAKO_INVALID);
    assert_int_equal(set_as(&w, "c", CRDT_REGISTER, "1"), TAKO_INVALID);
    assert_int_equal(set_as(&w, "c", CRDT_MAP, "{}"), TAKO_INVALID);
    assert_int_equal(set_as(&w, "x", CRDT_MAP, "1"), TAKO_INVALID);
    assert_int_equal(crdt_increment(w.doc[0], world_dot(&w, 0),
                                    world_path(&w, "t"), 1, NULL),
                     TAKO_INVALID);
    assert_int_equal(
        crdt_restart(w.doc[0], world_dot(&w, 0), world_path(&w, "m"), 1, NULL),
        TAKO_INVALID);
    assert_true(world_same(&w, w.doc[0], w.doc[1])); /* nothing happened */
    assert_int_equal(set_as(&w, "m", CRDT_ATTACHMENT, "{'token':'x'}"),
                     TAKO_OK);
    assert_int_equal(set_as(&w, "t", CRDT_MAP, "{'a':1}"), TAKO_OK);
    assert_int_equal(set_as(&w, "c", CRDT_AUTO, "4"), TAKO_OK);
    world_expect(&w, 0, "{'c':4,'m':{'token':'x'},'t':{'a':1}}");
    (void)world_copy(&w, w.doc[0]);
    world_fini(&w);
}

static tako_err increment(world *w, const char *path, int64_t by)
{
    return crdt_increment(w->doc[0], world_dot(w, 0), world_path(w, path), by,
                          NULL);
}

static void test_write__counters_stay_in_int64(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'n':9223372036854775807}");
    assert_int_equal(increment(&w, "n", 1), TAKO_LIMIT);
    assert_int_equal(increment(&w, "n", 0), TAKO_OK);
    assert_int_equal(increment(&w, "n", INT64_MIN), TAKO_OK);
    world_expect(&w, 0, "{'n':-1}");
    assert_int_equal(increment(&w, "n", INT64_MIN), TAKO_LIMIT);
    assert_int_equal(increment(&w, "n", -INT64_MAX), TAKO_OK);
    assert_int_equal(increment(&w, "n", -1), TAKO_LIMIT);
    world_expect(&w, 0, "{'n':-9223372036854775808}");
    /* Concurrent ones can pass it: modulo 2^64, and equal everywhere. */
    (void)world_merge(&w, 1, 0);
    assert_int_equal(increment(&w, "n", 5), TAKO_OK);
    world_increment(&w, 1, "n", INT64_MAX);
    (void)world_merge(&w, 1, 0);
    (void)world_merge(&w, 0, 1);
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    world_fini(&w);
}

/* Whoever counted before: what shows is what may not pass it. */
static void test_write__counters_stop_at_both_ends(void **state)
{
    static const struct {
        const char *before;
        int64_t by;
        tako_err err;
    } rows[] = {
        { "{'n':9223372036854775804}", 3, TAKO_OK },
        { "{'n':9223372036854775804}", 4, TAKO_LIMIT },
        { "{'n':-9223372036854775808}", -1, TAKO_LIMIT },
        { "{'n':-9223372036854775805}", -3, TAKO_OK },
        { "{'n':-9223372036854775805}", -4, TAKO_LIMIT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w;

        world_init(&w, 1);
        world_insert(&w, 0, rows[i].before);
        assert_int_equal(increment(&w, "n", rows[i].by), rows[i].err);
        if (rows[i].err != TAKO_OK)
            world_expect(&w, 0, rows[i].before);
        world_fini(&w);
    }
}

static void test_write__depth_is_limited(void **state)
{
    world w;
    char path[2 * TAKO_VALUE_DEPTH_MAX + 4] = "a";

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{}");
    for (unsigned i = 1; i < TAKO_VALUE_DEPTH_MAX; i++)
        strcat(path, ".a");
    assert_int_equal(set_as(&w, path, CRDT_AUTO, "[]"), TAKO_LIMIT);
    assert_int_equal(set_as(&w, path, CRDT_AUTO, "1"), TAKO_OK);
    assert_int_equal(increment(&w, path, 1), TAKO_OK);
    w.doc[1] = world_copy(&w, w.doc[0]);
    strcat(path, ".a");
    assert_int_equal(set_as(&w, path, CRDT_AUTO, "1"), TAKO_LIMIT);
    assert_int_equal(increment(&w, path, 1), TAKO_LIMIT);
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    world_fini(&w);
}

static void test_write__needs_an_alive_document_and_a_new_dot(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    assert_int_equal(set_as(&w, "a", CRDT_AUTO, "1"), TAKO_NOTFOUND);
    assert_int_equal(increment(&w, "a", 1), TAKO_NOTFOUND);
    assert_int_equal(crdt_delete(w.doc[0], world_dot(&w, 0)), TAKO_NOTFOUND);
    world_insert(&w, 0, "{'a':0}");
    assert_int_equal(
        crdt_insert(w.doc[0], world_dot(&w, 0), world_value(&w, "{}")),
        TAKO_EXISTS);
    assert_int_equal(
        crdt_unset(w.doc[0], world_dot_at(0, 5), world_path(&w, "a")),
        TAKO_MISUSE);
    assert_int_equal(crdt_insert_at(w.doc[1], world_dot(&w, 1), 7,
                                    world_value(&w, "{'b':1}")),
                     TAKO_OK);
    assert_int_equal(crdt_doc_generation(world_copy(&w, w.doc[1])), 7);
    (void)world_delta(&w, 0, 1);
    world_expect(&w, 0, "{'b':1}");
    world_fini(&w);
}

static void test_write__survives_lack_of_memory(void **state)
{
    tako_err err = TAKO_NOMEM;

    (void)state;
    for (long n = 0; err == TAKO_NOMEM; n++) {
        static const uint8_t map[] = { 0xa1, 0x61, 'a', 0xa1, 0x61, 'b', 1 };
        tako_slice keys[2] = { tako_slice_str("a"), tako_slice_str("x") };
        tako_slice fields = tako_slice_of(map, sizeof map);
        tako_buf meta;
        tako_buf body;
        tako_arena a;
        test_env t;
        crdt_doc *d;

        assert_true(n < 1000);
        test_env_init(&t, 1);
        t.fail_after = n;
        a = tako_arena_on(&t.env);
        meta = tako_buf_on(&t.env);
        body = tako_buf_on(&t.env);
        err = crdt_doc_new(&a, &d);
        if (err == TAKO_OK)
            err = crdt_insert(d, world_dot_at(0, 5), fields);
        for (unsigned i = 0; i < 6 && err == TAKO_OK; i++)
            err = crdt_set(d, world_dot_at(i, 6 + i), (crdt_path){ keys, 2 },
                           i & 1 ? CRDT_REGISTER : CRDT_AUTO, fields, NULL);
        if (err == TAKO_OK)
            err = crdt_unset(d, world_dot_at(1, 30), (crdt_path){ keys, 2 });
        if (err == TAKO_OK)
            err = crdt_increment(d, world_dot_at(1, 31), (crdt_path){ keys, 2 },
                                 4, NULL);
        if (err == TAKO_OK)
            err = crdt_doc_encode(d, &meta, &body);
        assert_true(err == TAKO_OK || err == TAKO_NOMEM);
        tako_buf_fini(&meta);
        tako_buf_fini(&body);
        tako_arena_fini(&a);
        test_env_check_empty(&t);
    }
}

/* An event that changes nothing is one all the same: the document is another. */
static void test_write__a_touch_is_an_event(void **state)
{
    crdt_context before = { NULL, 0, 0 };
    crdt_dot dot;
    world w;

    (void)state;
    world_init(&w, 2);
    world_insert(&w, 0, "{'a':1}");
    assert_int_equal(
        crdt_context_join(&w.arena, &before, crdt_doc_context(w.doc[0])),
        TAKO_OK);
    dot = world_dot(&w, 0);
    assert_int_equal(crdt_touch(w.doc[0], dot), TAKO_OK);
    assert_false(crdt_context_covers(&before, crdt_doc_context(w.doc[0])));
    assert_true(crdt_context_has(crdt_doc_context(w.doc[0]), dot));
    world_expect(&w, 0, "{'a':1}");
    world_delete(&w, 0);
    assert_int_equal(crdt_touch(w.doc[0], world_dot(&w, 0)), TAKO_NOTFOUND);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__each_write_shows),
        cmocka_unit_test(test_write__one_transaction_writes_a_path_twice),
        cmocka_unit_test(test_write__declared_types_are_held_to),
        cmocka_unit_test(test_write__counters_stay_in_int64),
        cmocka_unit_test(test_write__counters_stop_at_both_ends),
        cmocka_unit_test(test_write__depth_is_limited),
        cmocka_unit_test(test_write__needs_an_alive_document_and_a_new_dot),
        cmocka_unit_test(test_write__a_touch_is_an_event),
        cmocka_unit_test(test_write__survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("crdt/write", tests, NULL, NULL);
}
