// SPDX-License-Identifier: Apache-2.0
#include <limits.h>

#include "support_db.h"

#include "api/api.h"

static unsigned mapped_count(tako_db *db)
{
    unsigned n;

    sys_mutex_lock(db->readers.mutex);
    n = db->readers.mapped_count;
    sys_mutex_unlock(db->readers.mutex);
    return n;
}

/* One of the keeper's. */
static bool is_set(tako_db *db, const bool *flag)
{
    bool set;

    sys_mutex_lock(db->readers.mutex);
    set = *flag;
    sys_mutex_unlock(db->readers.mutex);
    return set;
}

static bool heap_high(tako_db *db)
{
    return is_set(db, &db->readers.keeper.heap_high);
}

static bool log_is_due(tako_db *db)
{
    return is_set(db, &db->readers.keeper.log_due);
}

/* A reader that comes back after `missed` pages. */
static void use_reader(tako_db *db, unsigned missed)
{
    api_reader *r = NULL;
    tako_errbuf e = { "" };

    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    r->missed = missed;
    api_reader_give(db, r);
}

static void test_keeper__maps_come_with_use_and_go_with_rest(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t until;

    (void)db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    use_reader(db, 0);
    assert_int_equal(mapped_count(db), 0);
    assert_null(db->readers.keeper.thread);
    use_reader(db, UINT_MAX - 1); /* and what it misses besides */
    assert_int_equal(mapped_count(db), 1);
    until = db->env.mono_ms(db->env.ctx) + 1500;
    while (db->env.mono_ms(db->env.ctx) < until) {
        (void)db_run(db, "UPDATE c SET x = 1", NULL); /* while commits come */
        db_expect(db, "SELECT x FROM c", NULL, "[{\"x\":1}]");
    }
    assert_int_equal(mapped_count(db), 1); /* in use */
    until = db->env.mono_ms(db->env.ctx) + 10000;
    while (mapped_count(db) > 0 && db->env.mono_ms(db->env.ctx) < until)
        sleep_ms(10);
    assert_int_equal(mapped_count(db), 0);
    db_expect(db, "SELECT x FROM c", NULL, "[{\"x\":1}]");
    use_reader(db, UINT_MAX);
    assert_int_equal(mapped_count(db), 1); /* again */
    tako_close(db);
}

static void
test_keeper__the_heap_is_trimmed_after_large_transactions(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t until;

    (void)db_run(db, "INSERT INTO d DOCUMENTS ({'_id': 1})", NULL);
    assert_false(heap_high(db));
    db_fill(db, "c", 60000); /* much over 2 MB of pages */
    assert_true(heap_high(db));
    until = db->env.mono_ms(db->env.ctx) + 10000;
    while (heap_high(db) && db->env.mono_ms(db->env.ctx) < until)
        sleep_ms(10);
    assert_false(heap_high(db));
    tako_close(db);
}

static void test_keeper__maps_go_with_their_reader(void **state)
{
    enum { MANY = TAKO_READERS_IDLE_MAX + 1 };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    api_reader *r[MANY];
    tako_errbuf e = { "" };

    use_reader(db, UINT_MAX);
    assert_int_equal(mapped_count(db), 1);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(api_reader_take(db, &r[i], &e), TAKO_OK);
    for (size_t i = MANY; i-- > 0;) /* the mapped one comes last: closed */
        api_reader_give(db, r[i]);
    assert_int_equal(mapped_count(db), 0);
    tako_close(db);
}

/* The log is worth two syncs after 1000 pages, but nobody waits for them: they
 * come when commits pause, as those of a test that is kept waiting do. */
static void test_keeper__the_log_is_folded_in_a_pause(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    long first, before;
    uint64_t until;

    db_fill(db, "c", 10);
    first = before = db_file_bytes(path, "");
    for (unsigned i = 0; !log_is_due(db); i++) {
        uint64_t start = db->env.mono_ms(db->env.ctx);
        long bytes;

        assert_true(i < 1000);
        db_fill(db, "d", 50);
        db_run(db, "DELETE FROM d", NULL);
        bytes = db_file_bytes(path, "");
        if (db->env.mono_ms(db->env.ctx) - start > 40)
            before = bytes; /* there was a pause */
        assert_int_equal(bytes, before);
    }
    until = db->env.mono_ms(db->env.ctx) + 10000;
    while ((db_file_bytes(path, "") == first || log_is_due(db)) &&
           db->env.mono_ms(db->env.ctx) < until)
        sleep_ms(5);
    assert_true(db_file_bytes(path, "") > first);
    assert_false(log_is_due(db));
    tako_close(db);
}

/* A transaction that stays open keeps the keeper out; it does not wait. */
static void test_keeper__leaves_the_log_to_who_holds_the_writer(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    tako_tx *tx = NULL;
    long before = db_file_bytes(path, "");
    uint64_t until;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    api_keeper_log(db);
    until = db->env.mono_ms(db->env.ctx) + 10000;
    while (log_is_due(db) && db->env.mono_ms(db->env.ctx) < until)
        sleep_ms(5);
    assert_false(log_is_due(db));
    assert_int_equal(db_file_bytes(path, ""), before);
    tako_tx_rollback(tx);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_keeper__maps_come_with_use_and_go_with_rest),
        T(test_keeper__the_heap_is_trimmed_after_large_transactions),
        T(test_keeper__maps_go_with_their_reader),
        T(test_keeper__the_log_is_folded_in_a_pause),
        T(test_keeper__leaves_the_log_to_who_holds_the_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
