// SPDX-License-Identifier: Apache-2.0
/* The checkers of receipts are shown what they are for: a node that says more
 * than is so, and one that never comes to know. */
#include "sim/support_plan.h"

#include "node/internal.h"
#include "sim/workload.h"

static uint64_t insert(pair *p, sim_receipts *r, const char *statement)
{
    tako_errbuf e;
    uint64_t lsn;

    assert_int_equal(sim_node_run(p->a, &statement, 1, &lsn, NULL, &e),
                     TAKO_OK);
    sim_receipts_note(r, p->a, lsn);
    return lsn;
}

static void start(pair *p, sim_receipts *r)
{
    memset(r, 0, sizeof *r);
    pair_init(p, 7, STORE_NORMAL);
    sim_receipts_watch(r, p->m);
    pair_run(p, 1000);
}

static void test_receipts__that_are_true_hold(void **state)
{
    pair p;
    sim_receipts r;

    (void)state;
    start(&p, &r);
    (void)insert(&p, &r, "INSERT INTO orders DOCUMENTS ({'_id': 'k1'})");
    sim_receipts_settle(&r);
    assert_false(p.w->failed);
    assert_true(r.claims > 0);
    pair_fini(&p);
}

static void test_receipts__of_who_has_it_not_are_found(void **state)
{
    pair p;
    sim_receipts r;
    uint64_t lsn;

    (void)state;
    start(&p, &r);
    (void)insert(&p, &r, "INSERT INTO orders DOCUMENTS ({'_id': 'k1'})");
    pair_run(&p, 5000);
    assert_false(p.w->failed);
    sim_link_cut(p.link, 2);
    lsn = insert(&p, &r, "UPDATE orders SET v = 1");
    p.a->node->receipts.first->lsn = lsn; /* as if b had said so */
    pair_run(&p, 2000);
    assert_true(p.w->failed);
    assert_string_equal(p.w->checker, "a keeper has it");
    pair_fini(&p);
}

static void op(pair *p, sim_receipts *r, sim_node *n, sim_op_kind kind)
{
    sim_workload work = { p->w, p->m, NULL, NULL, 0, r, NULL };
    sim_action a = { .kind = SIM_DO, .a = n->index, .step_count = 1 };
    uint64_t before = p->m->acked;

    a.steps[0] = (sim_op_step){ kind, 1, 3 };
    sim_work(&work, &a);
    assert_true(p->m->acked > before);
}

/* a is told that b keeps a document, which b lets go; who knows nothing of it
 * begins it anew. */
static void begin_anew(pair *p, sim_receipts *r)
{
    start(p, r);
    op(p, r, p->a, SIM_OP_INSERT);
    pair_run(p, 5000);
    assert_true(r->claims > 0);
    sim_link_cut(p->link, 2);
    assert_int_equal(pair_do(p->b, "EVICT FROM orders"), TAKO_OK);
    op(p, r, p->b, SIM_OP_INSERT);
}

static void test_receipts__of_who_let_it_go_say_what_was(void **state)
{
    pair p;
    sim_receipts r;
    uint64_t claims;

    (void)state;
    begin_anew(&p, &r);
    claims = r.claims;
    pair_run(&p, 2000);
    assert_true(r.claims > claims);
    assert_false(p.w->failed);
    pair_fini(&p);
}

static void test_receipts__of_more_than_was_let_go_are_found(void **state)
{
    pair p;
    sim_receipts r;

    (void)state;
    begin_anew(&p, &r);
    op(&p, &r, p.a, SIM_OP_UPDATE);
    p.a->node->receipts.first->lsn += 100; /* as if b had said so */
    pair_run(&p, 2000);
    assert_true(p.w->failed);
    assert_string_equal(p.w->checker, "a keeper has it");
    pair_fini(&p);
}

static void test_receipts__that_never_come_are_missed(void **state)
{
    pair p;
    sim_receipts r;

    (void)state;
    start(&p, &r);
    sim_link_cut(p.link, 2);
    (void)insert(&p, &r, "INSERT INTO orders DOCUMENTS ({'_id': 'k1'})");
    sim_receipts_settle(&r);
    assert_true(p.w->failed);
    assert_string_equal(p.w->checker, "every keeper becomes known");
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts__that_are_true_hold),
        cmocka_unit_test(test_receipts__of_who_has_it_not_are_found),
        cmocka_unit_test(test_receipts__of_who_let_it_go_say_what_was),
        cmocka_unit_test(test_receipts__of_more_than_was_let_go_are_found),
        cmocka_unit_test(test_receipts__that_never_come_are_missed),
    };

    return cmocka_run_group_tests_name("sim/receipts", tests, NULL, NULL);
}
