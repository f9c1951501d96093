// SPDX-License-Identifier: Apache-2.0
/* Each checker is shown what it is for: a world in which somebody cheats. */
#include "sim/support_plan.h"

#include "store/deaths.h"

#define KEPT_MS 10000u /* until who keeps a document is in the file */

static void start(pair *p, store_durability durability)
{
    pair_init(p, 7, durability);
    pair_run(p, 1000);
    assert_true(pair_op(p, p->a, SIM_OP_INSERT, 1));
    assert_true(pair_op(p, p->a, SIM_OP_INCREMENT, 1));
    pair_run(p, 1000);
    assert_false(p->w->failed);
}

static void finish(pair *p, const char *checker)
{
    assert_true(p->w->failed);
    assert_string_equal(p->w->checker, checker);
    pair_fini(p);
}

static void test_checkers__a_token_that_goes_is_a_lost_write(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    assert_int_equal(pair_do(p.b, "UPDATE orders UNSET w.t0"), TAKO_OK);
    finish(&p, "no write is lost");
}

static void test_checkers__a_counter_is_the_sum_of_its_tokens(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    assert_int_equal(pair_do(p.b, "UPDATE orders APPLY n INCREMENT BY 1"),
                     TAKO_OK);
    finish(&p, "counters are exact");
}

static void test_checkers__a_document_does_not_come_back(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    p.m->seen[p.b->index][1].generation = 3; /* it was deleted once, says b */
    assert_true(pair_op(&p, p.a, SIM_OP_UPDATE, 1));
    pair_run(&p, 1000);
    finish(&p, "P8 no resurrection");
}

static void read_row(const sim_node *n, store_row *row)
{
    uint32_t coll;

    assert_int_equal(
        store_coll_find(n->reader, tako_slice_str(SIM_COLLECTION), &coll),
        TAKO_OK);
    assert_int_equal(
        store_get(n->reader, coll, tako_slice_of("\x62k2", 3), row), TAKO_OK);
}

static crdt_dot birth_at(pair *p, const sim_node *n)
{
    tako_arena a = tako_arena_on(&p->t.env);
    crdt_context c;
    store_row row;
    crdt_dot dot;

    read_row(n, &row);
    assert_int_equal(crdt_meta_context(&a, row.meta, &c), TAKO_OK);
    assert_int_equal(c.count, 1);
    dot = c.dots[0];
    tako_arena_fini(&a);
    return dot;
}

static void bury(const sim_node *n, crdt_dot birth)
{
    store_grave g = { birth, store_grave_mark(tako_slice_of("\x62k2", 3)) };
    uint32_t coll;
    bool fresh;

    assert_int_equal(
        store_coll_find(n->reader, tako_slice_str(SIM_COLLECTION), &coll),
        TAKO_OK);
    assert_int_equal(store_begin(n->store, NULL), TAKO_OK);
    assert_int_equal(store_bury(n->store, coll, &g, &fresh, NULL), TAKO_OK);
    assert_int_equal(store_commit(n->store, NULL, NULL), TAKO_OK);
}

/* Both insert one key; a knows that what b made of it died elsewhere. */
static void test_checkers__another_life_may_follow_a_death(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    sim_link_cut(p.link, 2);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 2));
    assert_true(pair_op(&p, p.b, SIM_OP_INSERT, 2));
    bury(p.a, birth_at(&p, p.b));
    sim_link_mend(p.link, 2);
    pair_run(&p, 60000);
    assert_false(p.w->failed);
    assert_int_equal(crdt_dot_cmp(birth_at(&p, p.a), birth_at(&p, p.b)), 0);
    pair_fini(&p);
}

static void test_checkers__nobody_takes_what_may_not_be_written(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    p.a->reads_only = true; /* b was told otherwise */
    assert_true(pair_op(&p, p.a, SIM_OP_UPDATE, 1));
    pair_run(&p, 1000);
    finish(&p, "nobody takes what may not be written");
}

static void test_checkers__equal_contexts_have_equal_bytes(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    for (size_t i = 0; i < p.m->state_cap; i++)
        p.m->states[i].version++; /* every state seen so far was another */
    sim_node_end(p.b, SIM_DISK_KILL, 100);
    pair_run(&p, 1000);
    finish(&p, "P2 equal contexts, equal bytes");
}

static void test_checkers__half_a_transaction_is_seen(void **state)
{
    pair p;
    sim_action both = { .step_count = 2,
                        .steps = { { SIM_OP_INSERT, 5, 0 },
                                   { SIM_OP_INSERT, 6, 0 } } };
    size_t token;

    (void)state;
    start(&p, STORE_NORMAL);
    token = sim_model_begin(p.m, p.a, &both);
    p.m->running = SIM_NONE;
    p.m->writes[token].docs[0].generation = 1;
    p.m->writes[token].docs[1].generation = 1;
    sim_model_end(p.m, token, true, false);
    assert_int_equal(pair_do(p.a, "INSERT INTO orders DOCUMENTS ({'_id': "
                                  "'k5', 'w': {'t2': 0}})"),
                     TAKO_OK);
    pair_run(&p, 1000);
    finish(&p, "P7 whole transactions");
}

static void test_checkers__an_effect_before_its_cause_is_seen(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 7));
    pair_run(&p, 1000);
    p.m->writes[2].docs[0].holders = 1; /* only a has it, they say */
    p.m->seen[p.b->index][7].generation = 0;
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 8));
    pair_run(&p, 1000);
    finish(&p, "causal order");
}

/* Both insert one key; a goes on with its own, and with something else. b wants
 * a part. Returns that last write. */
static size_t insert_apart(pair *p)
{
    start(p, STORE_NORMAL);
    sim_link_cut(p->link, 2);
    p->m->whole = 0;
    assert_true(pair_op(p, p->a, SIM_OP_INSERT, 2));
    assert_true(pair_op(p, p->b, SIM_OP_INSERT, 2));
    assert_true(pair_op(p, p->a, SIM_OP_UPDATE, 2));
    assert_true(pair_op(p, p->a, SIM_OP_INSERT, 8));
    return p->m->write_count - 1;
}

/* What a wrote since may come to b past all who could have put them together. */
static void test_checkers__two_inserts_of_a_key_may_be_apart(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = insert_apart(&p);
    p.m->checked_order = 0;
    sim_check_order(p.m, p.b, last);
    assert_int_equal(p.m->checked_order, 1);
    assert_false(p.w->failed);
    pair_fini(&p);
}

static void test_checkers__who_wants_all_has_both_inserts(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = insert_apart(&p);
    p.m->whole = 1u << p.b->index;
    sim_check_order(p.m, p.b, last);
    finish(&p, "causal order");
}

static void test_checkers__what_was_put_together_is_not_apart(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = insert_apart(&p);
    p.m->writes[last - 2].docs[0].holders |= 1u << p.a->index;
    sim_check_order(p.m, p.b, last);
    finish(&p, "causal order");
}

static void test_checkers__who_has_some_of_a_document_is_not_apart(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = insert_apart(&p);
    p.m->writes[last - 3].docs[0].holders |= 1u << p.b->index;
    sim_check_order(p.m, p.b, last);
    finish(&p, "causal order");
}

/* Where b has finished an order, a has written to it, open, and to another one;
 * c, who wants open ones, has nothing of the first. Returns a's last write. */
static size_t finished_meanwhile(pair *p)
{
    pair_init_beside(p, 7, "SELECT * FROM orders WHERE s = 'open'");
    pair_run(p, 1000);
    assert_true(pair_op(p, p->a, SIM_OP_INSERT, 2));
    pair_run(p, 1000);
    sim_link_cut(p->link, 2);
    assert_true(pair_op(p, p->a, SIM_OP_INCREMENT, 2));
    assert_int_equal(pair_do(p->b, "UPDATE orders SET s = 'done'"), TAKO_OK);
    assert_true(pair_op(p, p->a, SIM_OP_INSERT, 8));
    assert_false(p->w->failed);
    return p->m->write_count - 1;
}

static void test_checkers__what_the_writer_shows_is_wanted(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = finished_meanwhile(&p);
    sim_check_order(p.m, p.c, last);
    finish(&p, "causal order");
}

/* But c may have heard of the two as b has put them together. */
static void test_checkers__what_was_finished_meanwhile_is_not(void **state)
{
    size_t last;
    pair p;

    (void)state;
    last = finished_meanwhile(&p);
    p.m->writes[last - 1].docs[0].holders |= 1u << p.b->index;
    p.m->checked_order = 0;
    sim_check_order(p.m, p.c, last);
    assert_int_equal(p.m->checked_order, 1);
    assert_false(p.w->failed);
    pair_fini(&p);
}

/* A disk that says "synced" and has not. */
static void test_checkers__a_full_commit_survives_the_power(void **state)
{
    pair p;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        start(&p, STORE_FULL);
        for (uint64_t i = 0; i < seed; i++)
            (void)sim_random_next(&p.w->random);
        (void)sqlite3_exec(store_conn_db(store_writer(p.a->store)),
                           "PRAGMA synchronous=OFF", NULL, NULL, NULL);
        for (uint32_t i = 10; i < 14 + seed; i++)
            assert_true(pair_op(&p, p.a, SIM_OP_INSERT, i));
        sim_node_end(p.a, SIM_DISK_POWER, 100);
        pair_run(&p, 200);
        if (p.w->failed) {
            finish(&p, "what is committed survives");
            return;
        }
        pair_fini(&p);
    }
    fail_msg("nothing was lost in 20 power failures without a sync");
}

static void test_checkers__an_acknowledged_write_is_everywhere(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    sim_link_cut(p.link, 2);
    assert_true(pair_op(&p, p.a, SIM_OP_UPDATE, 1));
    pair_run(&p, 1000);
    assert_false(pair_equal(&p));
    sim_model_final(p.m);
    finish(&p, "no acknowledged write is lost");
}

/* One's own goes where it is somewhere else; another's, whenever one pleases. */
static void test_checkers__the_last_copy_of_own_writes_stays(void **state)
{
    pair p;

    (void)state;
    start(&p, STORE_NORMAL);
    pair_run(&p, KEPT_MS);
    assert_int_equal(pair_do(p.a, "EVICT FROM orders"), TAKO_OK);
    assert_int_equal(pair_do(p.b, "EVICT FROM orders"), TAKO_OK);
    assert_false(p.w->failed);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 2));
    assert_int_equal(pair_do(p.a, "EVICT FROM orders FORCE"), TAKO_OK);
    finish(&p, "the last copy does not leave");
}

static void test_checkers__what_was_evicted_is_the_state_of_all(void **state)
{
    pair p;
    char why[240] = "";

    (void)state;
    start(&p, STORE_NORMAL);
    pair_run(&p, KEPT_MS);
    assert_true(pair_equal(&p));
    assert_int_equal(pair_do(p.a, "EVICT FROM orders"), TAKO_OK);
    pair_run(&p, 1000);
    assert_true(pair_equal(&p));
    sim_link_cut(p.link, 0);
    sim_link_cut(p.link, 1);
    assert_true(pair_op(&p, p.b, SIM_OP_UPDATE, 1));
    assert_false(sim_model_converged(p.m, why, sizeof why));
    assert_non_null(strstr(why, "at a is not what b has"));
    sim_link_mend(p.link, 0);
    sim_link_mend(p.link, 1);
    pair_run(&p, 30000);
    assert_true(pair_equal(&p));
    assert_true(sim_model_alive(p.m, p.a, 1)); /* newer, and wanted */
    pair_fini(&p);
}

static void test_checkers__rules_of_retention_hold_in_the_end(void **state)
{
    pair p;
    char why[240] = "";

    (void)state;
    start(&p, STORE_NORMAL);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 2));
    pair_run(&p, KEPT_MS);
    assert_true(pair_equal(&p));
    assert_int_equal(pair_do(p.a, "ALTER COLLECTION orders SET evict = "
                                  "{'documents': 1}"),
                     TAKO_OK);
    assert_false(sim_model_converged(p.m, why, sizeof why));
    assert_string_equal(why, "a has 1 documents beyond its rule");
    pair_run(&p, 120000);
    assert_true(sim_model_converged(p.m, why, sizeof why));
    assert_false(sim_model_alive(p.m, p.a, 1)); /* the older one */
    assert_true(sim_model_alive(p.m, p.a, 2));
    assert_int_equal(pair_do(p.b, "ALTER COLLECTION orders SET evict = "
                                  "{'after': '1h'}"),
                     TAKO_OK);
    assert_true(sim_model_converged(p.m, why, sizeof why));
    p.b->skew_ms = 7200000;
    assert_false(sim_model_converged(p.m, why, sizeof why));
    assert_string_equal(why, "b has 2 documents beyond its rule");
    assert_int_equal(pair_do(p.b, "ALTER COLLECTION orders SET evict = "
                                  "{'bytes': 1000}"),
                     TAKO_OK);
    assert_true(sim_model_converged(p.m, why, sizeof why));
    assert_int_equal(pair_do(p.b, "ALTER COLLECTION orders SET evict = "
                                  "{'bytes': 20}"),
                     TAKO_OK);
    assert_false(sim_model_converged(p.m, why, sizeof why));
    assert_non_null(strstr(why, "bytes beyond its rule"));
    pair_fini(&p);
}

static void test_checkers__memory_that_is_kept_is_seen(void **state)
{
    pair p;
    void *leak;

    (void)state;
    start(&p, STORE_NORMAL);
    leak = tako_env_alloc(&p.a->env, 10);
    sim_node_end(p.a, SIM_DISK_KILL, 0);
    assert_true(p.w->failed);
    assert_string_equal(p.w->checker, "all memory is given back");
    tako_env_free(&p.a->env, leak, 10);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkers__a_token_that_goes_is_a_lost_write),
        cmocka_unit_test(test_checkers__a_counter_is_the_sum_of_its_tokens),
        cmocka_unit_test(test_checkers__a_document_does_not_come_back),
        cmocka_unit_test(test_checkers__another_life_may_follow_a_death),
        cmocka_unit_test(test_checkers__nobody_takes_what_may_not_be_written),
        cmocka_unit_test(test_checkers__equal_contexts_have_equal_bytes),
        cmocka_unit_test(test_checkers__half_a_transaction_is_seen),
        cmocka_unit_test(test_checkers__an_effect_before_its_cause_is_seen),
        cmocka_unit_test(test_checkers__two_inserts_of_a_key_may_be_apart),
        cmocka_unit_test(test_checkers__who_wants_all_has_both_inserts),
        cmocka_unit_test(test_checkers__what_was_put_together_is_not_apart),
        cmocka_unit_test(
            test_checkers__who_has_some_of_a_document_is_not_apart),
        cmocka_unit_test(test_checkers__what_the_writer_shows_is_wanted),
        cmocka_unit_test(test_checkers__what_was_finished_meanwhile_is_not),
        cmocka_unit_test(test_checkers__a_full_commit_survives_the_power),
        cmocka_unit_test(test_checkers__an_acknowledged_write_is_everywhere),
        cmocka_unit_test(test_checkers__the_last_copy_of_own_writes_stays),
        cmocka_unit_test(test_checkers__what_was_evicted_is_the_state_of_all),
        cmocka_unit_test(test_checkers__rules_of_retention_hold_in_the_end),
        cmocka_unit_test(test_checkers__memory_that_is_kept_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
