// SPDX-License-Identifier: Apache-2.0
/* The checkers of attachments are shown what they are for. */
#include "sim/support_plan.h"

#include <stdio.h>

#include "sim/blobs.h"
#include "sim/workload.h"
#include "store/internal.h"

#define LEN   100000u
#define GRACE 60000u

typedef struct desk {
    pair p;
    sim_workload work;
    sim_blobs *b;
} desk;

static void begin(desk *d)
{
    memset(d, 0, sizeof *d);
    pair_init(&d->p, 7, STORE_FULL);
    d->p.a->grace_ms = d->p.b->grace_ms = GRACE;
    d->work = (sim_workload){ .world = d->p.w, .model = d->p.m };
    d->b = d->work.blobs = sim_blobs_new(d->p.w, sim_work_attach, &d->work);
    pair_run(&d->p, 1000);
}

static void end(desk *d, const char *checker)
{
    assert_string_equal(d->p.w->checker, checker);
    d->p.w->quiet = true;
    sim_node_end(d->p.a, SIM_DISK_KILL, 0);
    sim_node_end(d->p.b, SIM_DISK_KILL, 0);
    sim_blobs_free(d->b);
    pair_fini(&d->p);
}

static void attach(desk *d, sim_node *n, uint32_t key, uint32_t len)
{
    sim_action a = { .kind = SIM_DO, .a = n->index, .step_count = 1 };

    a.steps[0] = (sim_op_step){ SIM_OP_ATTACH, key, (int32_t)len };
    sim_work(&d->work, &a);
    pair_run(&d->p, 3000);
}

static void sql(sim_node *n, const char *text)
{
    sim_enter(n);
    assert_int_equal(
        sqlite3_exec(store_writer(n->store)->db, text, NULL, NULL, NULL),
        SQLITE_OK);
    sim_leave(n);
}

/* All that is to be checked at the end. */
static void finish(desk *d)
{
    sim_blobs_settle(d->b, 60 * SIM_SECOND);
    if (!d->p.w->failed)
        sim_blobs_final(d->b);
}

static void test_blobs__that_arrive_are_good(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    d.p.b->fetches = true;
    attach(&d, d.p.a, 1, LEN);
    attach(&d, d.p.a, 1, LEN + 1); /* nobody refers to the first any more */
    finish(&d);
    assert_int_equal(sim_blobs_counted(d.b)->put, 2);
    assert_int_equal(sim_blobs_counted(d.b)->fetched, 2);
    assert_in_range(sim_blobs_counted(d.b)->collected, 1, 2);
    assert_true(sim_blobs_counted(d.b)->checked >= 2);
    end(&d, "");
}

static void test_blobs__that_are_asked_for_arrive(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    finish(&d);
    assert_int_equal(sim_blobs_counted(d.b)->fetched, 0);
    sim_blobs_get(d.b, d.p.b, 1);
    finish(&d);
    assert_int_equal(sim_blobs_counted(d.b)->fetched, 1);
    end(&d, "");
}

static void test_blobs__that_do_not_come_are_missed(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    sim_blobs_get(d.b, d.p.b, 1);
    sql(d.p.a, "UPDATE blob_part SET data=zeroblob(9)");
    finish(&d);
    end(&d, "attachments arrive");
}

static void test_blobs__nobody_has_are_said_to_be_unavailable(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    d.p.w->nodes[0]->skew_ms = 1; /* what goes now was not promised */
    sql(d.p.a, "DELETE FROM blob_part; DELETE FROM blob");
    sim_blobs_get(d.b, d.p.b, 1);
    finish(&d);
    assert_int_equal(sim_blobs_counted(d.b)->unavailable, 1);
    end(&d, "");
}

static void test_blobs__that_are_other_bytes_are_found(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    sql(d.p.a, "UPDATE blob_part SET data=zeroblob(length(data))");
    sim_blobs_get(d.b, d.p.a, 1);
    end(&d, "attachments are what they are");
}

static void test_blobs__that_an_end_takes_are_missed(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    sql(d.p.a, "DELETE FROM blob_part; DELETE FROM blob");
    sim_node_end(d.p.a, SIM_DISK_KILL, SIM_SECOND);
    pair_run(&d.p, 3000);
    end(&d, "what is committed survives");
}

/* An end that may take it takes the document too, which comes back from others:
 * another end, before anybody looked, took nothing. */
static void test_blobs__are_not_taken_twice(void **state)
{
    static const char others[] = /* twice: as it was */
        "UPDATE blob_ref SET id=CAST(substr(id,17)||substr(id,1,16) AS BLOB)";
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    sql(d.p.a, "DELETE FROM blob_part; DELETE FROM blob");
    sql(d.p.a, others);
    d.p.a->skew_ms = 1; /* what goes now was not promised */
    sim_node_end(d.p.a, SIM_DISK_KILL, SIM_SECOND / 10);
    pair_run(&d.p, 200);
    sql(d.p.a, others);
    d.p.a->skew_ms = 0;
    sim_node_end(d.p.a, SIM_DISK_KILL, SIM_SECOND / 10);
    pair_run(&d.p, 200);
    end(&d, "");
}

static void test_blobs__that_nobody_refers_to_must_go(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    assert_int_equal(pair_do(d.p.a, "DELETE FROM orders WHERE _id = 'k1'"),
                     TAKO_OK);
    sql(d.p.a, "UPDATE blob SET free=NULL");
    finish(&d);
    end(&d, "what is not referred to is collected");
}

static void test_blobs__that_are_referred_to_must_stay(void **state)
{
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    sql(d.p.a, "UPDATE blob SET free=1");
    finish(&d);
    end(&d, "what is referred to stays");
}

static void test_blobs__are_not_kept_by_who_does_not_want_them(void **state)
{
    blob_facts f;
    tako_errbuf e;
    desk d;

    (void)state;
    begin(&d);
    attach(&d, d.p.a, 1, LEN);
    assert_int_equal(store_blob_next(d.p.a->reader, 0, &f, &e), TAKO_OK);
    sim_enter(d.p.b);
    assert_int_equal(node_blob_fetch(d.p.b->node, f.id, LEN, &e), TAKO_OK);
    sim_leave(d.p.b);
    pair_run(&d.p, 2000);
    end(&d, "nobody keeps what it only passes on");
}

/* An order's change beside it, in a line that it fills: the limit is one that
 * is broken where attachments queue in the line. */
static void test_blobs__delay_is_measured(void **state)
{
    static const char text[] =
        "time 20s\n"
        "node a\n"
        "node b fetches\n"
        "subscribe * \"SELECT * FROM orders\"\n"
        "link a b latency 20ms jitter 0ms bandwidth 1mbit\n"
        "do a at 1s attach 9 by 1500000\n"
        "work a operations 100 keys 5 delete 0 read 0\n"
        "expect delay <= ";
    char all[500];
    test_env t;
    const sim_result *r;

    (void)state;
    test_env_init(&t, 1);
    (void)snprintf(all, sizeof all, "%s170ms\n", text);
    r = run_text(&t, all, 1);
    assert_string_equal(r->failure, "");
    assert_in_range(r->delay_us, 100000, 170000);
    (void)snprintf(all, sizeof all, "%s100ms\n", text);
    r = run_text(&t, all, 1);
    assert_string_equal(r->checker, "what the scenario expects");
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs__that_arrive_are_good),
        cmocka_unit_test(test_blobs__that_are_asked_for_arrive),
        cmocka_unit_test(test_blobs__that_do_not_come_are_missed),
        cmocka_unit_test(test_blobs__nobody_has_are_said_to_be_unavailable),
        cmocka_unit_test(test_blobs__that_are_other_bytes_are_found),
        cmocka_unit_test(test_blobs__that_an_end_takes_are_missed),
        cmocka_unit_test(test_blobs__are_not_taken_twice),
        cmocka_unit_test(test_blobs__that_nobody_refers_to_must_go),
        cmocka_unit_test(test_blobs__that_are_referred_to_must_stay),
        cmocka_unit_test(test_blobs__are_not_kept_by_who_does_not_want_them),
        cmocka_unit_test(test_blobs__delay_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
