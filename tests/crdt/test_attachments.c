// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include "crdt/attachments.h"

static tako_err count(void *ctx, tako_slice token)
{
    assert_true(token.len > 0);
    ++*(unsigned *)ctx;
    return TAKO_OK;
}

static tako_err stop(void *ctx, tako_slice token)
{
    (void)token;
    ++*(unsigned *)ctx;
    return TAKO_LIMIT;
}

static unsigned tokens(const crdt_doc *d)
{
    unsigned n = 0;

    assert_int_equal(crdt_attachments(d, count, &n), TAKO_OK);
    return n;
}

static void attach(world *w, unsigned r, const char *path, const char *json)
{
    tako_errbuf e;

    assert_int_equal(crdt_set(w->doc[r], world_dot(w, r), world_path(w, path),
                              CRDT_ATTACHMENT, world_value(w, json), &e),
                     TAKO_OK);
}

static void test_attachments__are_found_wherever_they_are(void **state)
{
    unsigned n = 0;
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':{'b':{'c':1}},'plain':{'len':1}}");
    assert_int_equal(tokens(w.doc[0]), 0);
    attach(&w, 0, "photo", "{'t':1}");
    attach(&w, 0, "a.b.d", "{'t':2}");
    attach(&w, 0, "n", "null");
    assert_int_equal(tokens(w.doc[0]), 3);
    assert_int_equal(crdt_attachments(w.doc[0], stop, &n), TAKO_LIMIT);
    assert_int_equal(n, 1);
    world_unset(&w, 0, "a");
    assert_int_equal(tokens(w.doc[0]), 2);
    world_delete(&w, 0);
    assert_int_equal(tokens(w.doc[0]), 0);
    world_fini(&w);
}

static void test_attachments__siblings_count(void **state)
{
    world w;

    (void)state;
    world_init(&w, 2);
    world_insert(&w, 0, "{'x':1}");
    (void)world_merge(&w, 1, 0);
    attach(&w, 0, "x", "{'t':1}");
    attach(&w, 1, "x", "{'t':2}");
    (void)world_merge(&w, 1, 0);
    assert_int_equal(tokens(w.doc[1]), 2);
    world_set(&w, 1, "x", "5");
    assert_int_equal(tokens(w.doc[1]), 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attachments__are_found_wherever_they_are),
        cmocka_unit_test(test_attachments__siblings_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
