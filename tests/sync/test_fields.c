// SPDX-License-Identifier: Apache-2.0
#include "sync/support_net.h"

#include <stdio.h>

#include "sync/state.h"

static const char *padding(size_t len)
{
    static char pad[(64u << 10) + 1];

    memset(pad, 'x', len);
    pad[len] = '\0';
    return pad;
}

static sync_counts counts_of(net *n, int end)
{
    sync_counts c;

    sync_session_counts(n->links[0].ends[end].session, &c);
    return c;
}

/* Two nodes that both have document 1, with so much in it. */
static void init(net *n, uint64_t seed, size_t bytes)
{
    net_init(n, seed, 2);
    net_subscribe_all(n, "orders");
    net_insert(n, 0, "orders", 1, "v0", padding(bytes));
    net_insert(n, 0, "orders", 2, "v0", "pad");
    net_connect(n, 0, 1);
    net_settle(n);
}

/* A write of each, at the same time: each removed what the other still has, so
 * that no sum over the whole agrees. */
static void write_both(net *n, const char *zero, const char *one)
{
    n->t.wall_ms += 10;
    net_set(n, 0, "orders", 1, "s", zero);
    net_set(n, 1, "orders", 1, "n", one);
}

static uint64_t live_bytes(net *n)
{
    return counts_of(n, 0).live_bytes_out + counts_of(n, 1).live_bytes_out;
}

/* SYNC.md section 2: over 4 KiB, sums per top-level field first. */
static void test_fields__one_field_of_a_long_document_is_short(void **state)
{
    net n;
    uint64_t before;

    (void)state;
    init(&n, 1, 64u << 10);
    before = live_bytes(&n);
    write_both(&n, "v1", "v2");
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_string_equal(net_get(&n, 0, "orders", 1, "n"), "v2");
    assert_string_equal(net_get(&n, 1, "orders", 1, "s"), "v1");
    net_check_equal(&n, "orders");
    assert_true(counts_of(&n, 0).needs_out + counts_of(&n, 1).needs_out > 0);
    assert_int_equal(counts_of(&n, 0).fields_out + counts_of(&n, 1).fields_out,
                     counts_of(&n, 0).needs_out + counts_of(&n, 1).needs_out);
    assert_true(live_bytes(&n) - before < 1024);
    net_fini(&n);
}

/* Also after a catch-up; what is not longer than the limit is asked for whole. */
static void test_fields__a_short_document_is_asked_for_whole(void **state)
{
    net n;

    (void)state;
    init(&n, 2, 8192);
    net_disconnect(&n, &n.links[0]);
    write_both(&n, "v1", "v2");
    net_set(&n, 0, "orders", 2, "s", "v1");
    net_set(&n, 1, "orders", 2, "n", "v2");
    net_reconnect(&n, &n.links[0]); /* what was written meanwhile: by sums */
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_check_equal(&n, "orders");
    assert_int_equal(
        counts_of(&n, 0).needs_out + counts_of(&n, 1).needs_out,
        2 * (counts_of(&n, 0).fields_out + counts_of(&n, 1).fields_out));
    assert_true(counts_of(&n, 0).fields_out + counts_of(&n, 1).fields_out > 0);
    net_fini(&n);
}

/* Node 0 sends, node 1 refuses and asks; nothing is answered yet. */
static void until_asked(net *n)
{
    net_link *l = &n->links[0];

    for (int i = 0; i < 50 && counts_of(n, 1).needs_out == 0; i++) {
        (void)net_tell(n, 0);
        (void)net_tell(n, 1);
        (void)net_send(n, l, 0);
        (void)net_deliver(n, l, 0, SYNC_LIVE);
    }
    assert_int_equal(counts_of(n, 1).fields_out, 1);
}

/* SYNC.md section 5: the cut waits for the answer, which is part of a later
 * one; they are applied together. */
static void test_fields__the_cut_waits_for_the_answer(void **state)
{
    net n;
    net_link *l;

    (void)state;
    init(&n, 3, 8192);
    l = &n.links[0];
    n.t.wall_ms += 10;
    net_begin(&n, 0);
    net_set(&n, 0, "orders", 1, "s", "v1");
    net_set(&n, 0, "orders", 2, "s", "v1");
    net_commit_now(&n, 0);
    net_set(&n, 1, "orders", 1, "n", "v2");
    until_asked(&n);
    assert_true(counts_of(&n, 1).held_bytes > 0);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "v0");
    /* Writes while it waits are no reason to ask again. */
    net_set(&n, 1, "orders", 1, "n", "mine");
    net_set(&n, 0, "orders", 1, "q", "theirs");
    for (int i = 0; i < 50 && counts_of(&n, 1).held_bytes > 0; i++) {
        (void)net_tell(&n, 0);
        (void)net_tell(&n, 1);
        (void)net_send(&n, l, 1);
        (void)net_deliver(&n, l, 1, SYNC_CONTROL);
        (void)net_send(&n, l, 0);
        (void)net_deliver(&n, l, 0, SYNC_LIVE);
    }
    assert_int_equal(counts_of(&n, 1).held_bytes, 0);
    assert_int_equal(counts_of(&n, 1).needs_out, 1);
    assert_string_equal(net_get(&n, 1, "orders", 2, "s"), "v1");
    assert_string_equal(net_get(&n, 1, "orders", 1, "q"), "theirs");
    assert_string_equal(net_get(&n, 1, "orders", 1, "n"), "mine");
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* An answer to what is not here any more is refused, and the whole is asked
 * for: once. */
static void
test_fields__an_answer_that_does_not_stand_asks_once_more(void **state)
{
    net n;

    (void)state;
    init(&n, 4, 8192);
    write_both(&n, "v1", "v2");
    until_asked(&n);
    net_evict(&n, 1, "orders", 1, true);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(counts_of(&n, 1).fields_out, 1);
    assert_int_equal(counts_of(&n, 1).needs_out, 2);
    assert_int_equal(counts_of(&n, 1).held_bytes, 0);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* Likewise where an older state was taken back: here as if more had been seen
 * when it was asked. What lives again in that was in no sum. */
static void
test_fields__an_answer_to_an_older_state_asks_once_more(void **state)
{
    crdt_dot dot = { .hlc = 1 };
    sync_session *s;
    net n;

    (void)state;
    init(&n, 6, 8192);
    write_both(&n, "v1", "v2");
    until_asked(&n);
    s = n.links[0].ends[1].session;
    assert_true(s->needs != NULL && s->needs->had.count > 0);
    assert_int_equal(crdt_context_add(&s->need_arena, &s->needs->had, dot),
                     TAKO_OK);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(counts_of(&n, 1).fields_out, 1);
    assert_int_equal(counts_of(&n, 1).needs_out, 2);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

/* Who is asked has deleted it meanwhile: the whole, which is short, comes. */
static void test_fields__what_was_deleted_comes_whole(void **state)
{
    net n;

    (void)state;
    init(&n, 5, 8192);
    write_both(&n, "v1", "v2");
    until_asked(&n);
    net_delete(&n, 0, "orders", 1);
    net_settle(&n);
    assert_int_equal(n.last_error, TAKO_OK);
    assert_int_equal(counts_of(&n, 1).needs_out, 1);
    net_check_equal(&n, "orders");
    net_fini(&n);
}

static bool is_there(net *n, size_t node, uint64_t id)
{
    const char *s = net_get(n, node, "orders", id, "s");

    return strcmp(s, "x") != 0 && strcmp(s, "-") != 0;
}

/* P2, with all that a link does to it. */
static void test_fields__long_documents_end_equal(void **state)
{
    static const char *const fields[] = { "s", "n", "o", "q", "r" };
    uint64_t asked = 0, again = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        net n;

        net_init(&n, seed, 3);
        net_subscribe_all(&n, "orders");
        for (uint64_t id = 1; id <= 4; id++)
            net_insert(&n, 0, "orders", id, "v0", padding(5000));
        net_connect(&n, 0, 1);
        net_connect(&n, 1, 2);
        net_settle(&n);
        for (uint32_t i = 0; i < 300; i++) {
            size_t node = test_below(&n.t, 3);
            uint64_t id = 1 + test_below(&n.t, 4);
            char v[16];

            (void)snprintf(v, sizeof v, "v%u", i);
            n.slow_commits = test_below(&n.t, 2) == 0;
            n.t.wall_ms += test_below(&n.t, 10);
            if (test_below(&n.t, 4) == 0 && is_there(&n, node, id))
                net_set(&n, node, "orders", id, fields[test_below(&n.t, 5)], v);
            else if (test_below(&n.t, 200) == 0)
                net_delete(&n, node, "orders", id);
            else if (test_below(&n.t, 20) == 0) /* where it is deleted */
                net_insert(&n, node, "orders", id, v, padding(6000));
            else
                net_step(&n);
        }
        net_settle(&n);
        for (size_t i = 0; i < n.link_count; i++)
            for (int end = 0; end < 2; end++) {
                sync_counts c;

                sync_session_counts(n.links[i].ends[end].session, &c);
                asked += c.fields_out;
                again += c.needs_out - c.fields_out;
            }
        assert_int_equal(n.last_error, TAKO_OK);
        net_check_equal(&n, "orders");
        net_fini(&n);
    }
    print_message("%llu by fields, %llu whole\n", (unsigned long long)asked,
                  (unsigned long long)again);
    assert_true(asked > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields__one_field_of_a_long_document_is_short),
        cmocka_unit_test(test_fields__a_short_document_is_asked_for_whole),
        cmocka_unit_test(test_fields__the_cut_waits_for_the_answer),
        cmocka_unit_test(
            test_fields__an_answer_that_does_not_stand_asks_once_more),
        cmocka_unit_test(
            test_fields__an_answer_to_an_older_state_asks_once_more),
        cmocka_unit_test(test_fields__what_was_deleted_comes_whole),
        cmocka_unit_test(test_fields__long_documents_end_equal),
    };

    return cmocka_run_group_tests_name("sync/fields", tests, NULL, NULL);
}
