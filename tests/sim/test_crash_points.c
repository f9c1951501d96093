// SPDX-License-Identifier: Apache-2.0
/* Crash points: every write, sync, rename, deletion and truncation of six
 * scripts, through the simulated disk.
 *
 * For each of them, and each n: the process is killed in the middle of the
 * n-th change, or the power fails there, with several dice each about what of
 * the unsynced sectors survives, and in what order. For a sample the recovery
 * ends in the same way once more. What must hold is told in support_crash.h;
 * the sixth script, of two devices that sync, is in test_crash_sync.c.
 *
 * And each call fails, once and for good, with EIO and ENOSPC: a step that
 * fails has changed nothing, and works when the disk does again.
 *
 * The short form takes every third change, and two dice; the long one
 * (TAKO_CRASH_POINTS=all, `make soak`) all, and eight. Both print how many.
 * TAKO_CRASH_SCRIPT="*backup*" runs the tests of that name alone. */
#include "sim/support_crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct tally {
    uint64_t points, power, twice, failing, failed;
} tally;

static void each_end(const crash_plan *p, tally *t)
{
    uint64_t stride = crash_stride(3), dice = crash_dice(2, 8);

    for (uint64_t at = 1; at <= p->changes; at += stride) {
        crash_end end = { SIM_DISK_KILL, at, at, 0 };

        crash_run(p, &end);
        t->points++;
        end.how = SIM_DISK_POWER;
        for (uint64_t i = 1; i <= dice; i++, t->power++) {
            end.dice = at * 1000 + i;
            crash_run(p, &end);
        }
    }
}

/* The recovery itself, at each of its first changes in turn. */
static void each_end_twice(const crash_plan *p, tally *t)
{
    uint64_t stride = crash_stride(13);

    for (uint64_t at = 1; at <= p->changes; at += stride)
        for (int how = 0; how < 2; how++, t->twice++) {
            crash_end end = { (sim_disk_end)how, at, at * 7 + 5,
                              1 + at / stride % 24 };

            crash_run(p, &end);
        }
}

static void each_failure(const crash_plan *p, tally *t)
{
    uint64_t stride = crash_stride(11);

    for (unsigned op = 0; op < SIM_DISK_OPS; op++)
        for (uint64_t n = 1; n <= p->calls[op]; n += stride)
            for (unsigned kind = 0; kind < 4; kind++, t->failing++) {
                crash_fault f = { (sim_disk_op)op, n,
                                  kind % 2 == 0 ? TAKO_IO : TAKO_FULL, kind < 2,
                                  op == SIM_DISK_SYNC && kind != 2 };

                t->failed += crash_fail(p, &f);
            }
}

static void run_script(const crash_script *script)
{
    clock_t start = clock();
    tally t = { 0 };
    crash_plan p;

    crash_plan_init(&p, script);
    each_end(&p, &t);
    each_end_twice(&p, &t);
    each_failure(&p, &t);
    print_message(
        "%s: %zu steps, %llu changes; killed at %llu, power failed %llu times, "
        "twice in a row %llu; %llu failing calls, %llu failed steps; %.1f s\n",
        script->name, p.count, (unsigned long long)p.changes,
        (unsigned long long)t.points, (unsigned long long)t.power,
        (unsigned long long)t.twice, (unsigned long long)t.failing,
        (unsigned long long)t.failed,
        (double)(clock() - start) / CLOCKS_PER_SEC);
    assert_true(t.failed > 0);
    crash_plan_fini(&p);
}

/* ---- the scripts -------------------------------------------------------------- */

#define ORDER(id, n)                                                           \
    "INSERT INTO orders DOCUMENTS ({'_id': '" id "', 'n': " #n                 \
    ", 'guest': {'name': 'Ana', 'seat': " #n "}, 'items': ['taco', 'mochi']})"
#define ULID_1 "01HF7YAT00000000000000000A"
#define ULID_2 "01HF7YAT00000000000000000B"

static const char *const edits[] = {
    ORDER("o1", 1) "\n" ORDER("o2", 2),
    ORDER(ULID_1, 3),
    "UPDATE orders SET n = 10, guest.seat = 4 WHERE _id = 'o1'",
    "UPDATE orders SET both = 1 WHERE _id IN ('o1', 'o2')",
    ORDER("o3", 4) "\nUPDATE orders APPLY total INCREMENT BY 5\n"
                   "INSERT INTO stock DOCUMENTS ({'_id': 1, 'left': 7})",
    "UPDATE stock APPLY left INCREMENT BY -2 WHERE _id = 1\n"
    "UPDATE orders APPLY total RESTART WITH 3 WHERE _id = 'o3'",
    "UPDATE orders UNSET guest WHERE _id = 'o2'\n"
    "UPDATE orders SET guest = {'name': 'Hiro'} WHERE _id = 'o3'",
    "INSERT INTO orders DOCUMENTS ({'_id': 'o1', 'n': 11}) ON ID CONFLICT DO "
    "UPDATE",
    "INSERT INTO menu INITIAL VERSION 2 DOCUMENTS ({'_id': 'taco', 'price': "
    "4.5}), ({'_id': 'tako', 'price': 6})",
    "UPDATE menu SET price = 5 WHERE _id = 'taco'",
    "INSERT INTO big DOCUMENTS ({'_id': 'b1', 'pad': REPEAT('x', 9000)}), "
    "({'_id': 'b2', 'pad': REPEAT('y', 5000)})",
    "UPDATE big SET pad = REPEAT('z', 20000) WHERE _id = 'b2'",
    "@checkpoint",
    ORDER(ULID_2, 5) "\nDELETE FROM orders WHERE _id = 'o2'",
    "UPDATE orders SET n = n + 1",
    "DELETE FROM big WHERE _id = 'b1'\n"
    "INSERT INTO big DOCUMENTS ({'_id': 'b1', 'pad': 'short'})",
    "@reopen",
    "UPDATE orders SET late = true WHERE _id IN ('o1', 'o3')",
    NULL,
};

static const char *const deletes[] = {
    "INSERT INTO orders SELECT n AS _id, n, REPEAT('p', 300) AS pad "
    "FROM UNNEST date_range(0, 30, 'millisecond') AS n",
    "CREATE INDEX by_n ON orders (n)",
    "DELETE FROM orders WHERE n < 5",
    "CREATE INDEX big_n ON orders (n DESC, pad) WHERE n > 10",
    "DELETE FROM orders WHERE n IN (7, 9, 11)\n"
    "UPDATE orders SET n = n + 100 WHERE n > 20",
    "SELECT * FROM orders WHERE n > 100 ORDER BY n",
    "INSERT INTO orders DOCUMENTS ({'_id': 1, 'n': 1000})",
    "DROP INDEX by_n ON orders",
    "DELETE FROM orders WHERE _id = 1",
    "@checkpoint",
    "INSERT INTO orders DOCUMENTS ({'_id': 1, 'n': 2000, 'life': 3})\n"
    "DELETE FROM orders WHERE n BETWEEN 12 AND 15",
    "CREATE INDEX by_n ON orders (n)\nCREATE INDEX by_life ON orders (life)",
    "DELETE FROM orders",
    "INSERT INTO orders DOCUMENTS ({'_id': 'new', 'n': 1})",
    "@reopen",
    "DROP INDEX big_n ON orders\nDROP INDEX by_life ON orders",
    NULL,
};

/* With durability normal: what was synced last is the least. */
static const char *const lives[] = {
    "INSERT INTO log DOCUMENTS ({'_id': 1})",
    "@reopen",
    "INSERT INTO log DOCUMENTS ({'_id': 2})",
    "@later 70000", /* beyond what was reserved */
    "INSERT INTO log DOCUMENTS ({'_id': 3})",
    "INSERT INTO log DOCUMENTS ({'_id': 4})\nUPDATE log SET a = 1",
    "@dirty",
    "INSERT INTO log DOCUMENTS ({'_id': 5})",
    "INSERT INTO log DOCUMENTS ({'_id': 6})",
    "@sync",
    "INSERT INTO log DOCUMENTS ({'_id': 7})",
    "@renew",
    "INSERT INTO log DOCUMENTS ({'_id': 8})\nDELETE FROM log WHERE _id = 1",
    "@later 3600000",
    "INSERT INTO log DOCUMENTS ({'_id': 9})",
    "@checkpoint",
    "@reopen",
    "@reopen",
    "@dirty",
    "INSERT INTO log DOCUMENTS ({'_id': 10})",
    "@reopen",
    "UPDATE log SET b = 2",
    "INSERT INTO log DOCUMENTS ({'_id': 11})\nUPDATE log SET c = 3",
    NULL,
};

static const char *const copies[] = {
    "INSERT INTO orders SELECT n AS _id, n, REPEAT('p', 200) AS pad "
    "FROM UNNEST date_range(0, 20, 'millisecond') AS n",
    "@backup first.db",
    "DELETE FROM orders WHERE n < 12",
    "@compact",
    "@backup second.db",
    "@copy first.db",
    "UPDATE orders SET pad = 'x'",
    "@compact",
    "@copy second.db",
    "INSERT INTO orders DOCUMENTS ({'_id': 'last'})",
    NULL,
};

static const char *const schema[] = {
    "ALTER SYSTEM SET slow_request_ms = 100",
    "INSERT INTO items SELECT n AS _id, n, n % 3 AS kind FROM UNNEST "
    "date_range(0, 25, 'millisecond') AS n",
    "SELECT kind, count(*) AS n FROM items GROUP BY kind ORDER BY kind",
    "CREATE INDEX by_kind ON items (kind)",
    "EVICT FROM items WHERE n < 5 FORCE",
    "SELECT * FROM items WHERE kind = 1",
    "INSERT INTO items DOCUMENTS ({'_id': 1, 'n': 1, 'back': true})",
    "ALTER SYSTEM SET slow_request_ms = 200\n"
    "ALTER SYSTEM SET result_bytes_max = 100000",
    "INSERT INTO summary SELECT kind AS _id, count(*) AS n FROM items WHERE n "
    "> "
    "4 GROUP BY kind",
    "EVICT FROM items WHERE kind = 2 FORCE\n"
    "UPDATE summary SET stale = true WHERE _id = 2",
    "EXPLAIN SELECT * FROM items WHERE kind = 1",
    "@reopen",
    "INSERT INTO a DOCUMENTS ({'_id': 1})\nINSERT INTO b DOCUMENTS ({'_id': "
    "1})\nINSERT INTO c DOCUMENTS ({'_id': 1})",
    "RESET ALL",
    "CREATE INDEX by_both ON items (kind, n)\nDROP INDEX by_kind ON items",
    "@checkpoint",
    "UPDATE items SET n = -n WHERE kind = 0",
    NULL,
};

static void test_crash_points__edits(void **state)
{
    (void)state;
    run_script(&(crash_script){ "edits", STORE_FULL, edits });
}

static void test_crash_points__deletes_and_indexes(void **state)
{
    (void)state;
    run_script(&(crash_script){ "deletes", STORE_FULL, deletes });
}

static void test_crash_points__the_life_of_a_file(void **state)
{
    (void)state;
    run_script(&(crash_script){ "lives", STORE_NORMAL, lives });
}

static void test_crash_points__backup_and_compact(void **state)
{
    (void)state;
    run_script(&(crash_script){ "copies", STORE_FULL, copies });
}

static void test_crash_points__settings_and_evictions(void **state)
{
    (void)state;
    run_script(&(crash_script){ "schema", STORE_FULL, schema });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_points__edits),
        cmocka_unit_test(test_crash_points__deletes_and_indexes),
        cmocka_unit_test(test_crash_points__the_life_of_a_file),
        cmocka_unit_test(test_crash_points__backup_and_compact),
        cmocka_unit_test(test_crash_points__settings_and_evictions),
    };

    cmocka_set_test_filter(getenv("TAKO_CRASH_SCRIPT")); /* NULL: all */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
