// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdio.h>

#include "api/api.h"

static void on_rows(void *ctx, const char *rows, size_t len, uint64_t commit)
{
    (void)ctx;
    (void)rows;
    (void)len;
    (void)commit;
}

/* Commits, reads between them and an observer: the log is checkpointed and
 * begins anew instead of growing for ever. */
static void test_write__keeps_the_log_short(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    tako_observer o;
    char text[96];

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 0})", NULL);
    db_ok(db, tako_observe(db, "SELECT * FROM c", NULL, on_rows, NULL, &o),
          "observe");
    for (unsigned i = 0; i < 1500; i++) {
        char *json = NULL;

        (void)snprintf(text, sizeof text, "UPDATE c SET v = %u WHERE _id = 1",
                       i + 1);
        db_run(db, text, NULL);
        db_ok(db, tako_get(db, "c", "1", &json), "get");
        tako_free(json);
    }
    assert_in_range(db_file_bytes(path, "-wal"), 1, 12l << 20);
    tako_close(db);
    assert_int_equal(db_file_bytes(path, "-wal"), 0);
}

/* ---- the loop's own commits -------------------------------------------------- */

typedef struct loop_posts {
    void (*fn)(void *arg);
    void *arg;
    unsigned count;
    tako_err err;
} loop_posts;

static tako_err post_kept(void *ctx, void (*fn)(void *arg), void *arg)
{
    loop_posts *p = ctx;

    p->fn = fn;
    p->arg = arg;
    p->count++;
    return p->err;
}

static void test_write__moves_the_epoch_by_two(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t before = atomic_load(&db->epoch);
    loop_posts posts = { .err = TAKO_NOMEM };
    store *s;

    db->sync.net.ctx = &posts;
    db->sync.net.post = post_kept;
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(atomic_load(&db->epoch), before + 2);
    db_refused(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL, TAKO_EXISTS,
               NULL);
    assert_int_equal(atomic_load(&db->epoch) % 2, 0);
    s = api_node_write_begin(db);
    assert_ptr_equal(s, db->store);
    assert_int_equal(atomic_load(&db->epoch) % 2, 1);
    api_node_write_end(db, 0);
    assert_int_equal(atomic_load(&db->epoch) % 2, 0);
    api_lock_refuse_loop(&db->writer, true);
    assert_null(api_node_write_begin(db));
    api_lock_refuse_loop(&db->writer, false);
    tako_close(db);
}

/* What a merge does: more than waits for a pause, by the loop's way. */
static void merge_much(tako_db *db)
{
    static uint8_t bytes[64 << 10];
    store *s = api_node_write_begin(db);
    tako_errbuf e = { "" };
    uint64_t lsn;
    char key[16];

    assert_non_null(s);
    assert_int_equal(store_begin(s, &e), TAKO_OK);
    for (unsigned i = 0; i < 150; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        bytes[0]++;
        assert_int_equal(
            store_kv_put(s, key, tako_slice_of(bytes, sizeof bytes)), TAKO_OK);
    }
    assert_int_equal(store_commit(s, &lsn, &e), TAKO_OK);
    api_node_write_end(db, store_lsn(s));
}

/* The node tells its links of what it merged after write_end(): they must not
 * wait for the syncs of a checkpoint. */
static void test_write__loop_checkpoints_after_it_has_told(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    loop_posts posts = { .err = TAKO_OK };
    long before;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db->sync.net.ctx = &posts;
    db->sync.net.post = post_kept;
    before = db_file_bytes(path, "");
    merge_much(db);
    merge_much(db);
    assert_int_equal(posts.count, 1);
    assert_int_equal(db_file_bytes(path, ""), before);
    posts.fn(posts.arg);
    assert_in_range(db_file_bytes(path, ""), before + (6l << 20), 100l << 20);
    tako_close(db);
}

static void test_write__loop_checkpoints_though_it_cannot_post(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    loop_posts posts = { .err = TAKO_NOMEM };

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db->sync.net.ctx = &posts;
    db->sync.net.post = post_kept;
    merge_much(db);
    assert_in_range(db_file_bytes(path, ""), 6l << 20, 100l << 20);
    tako_close(db);
}

/* Then the program's transaction sees to it when it commits. */
static void test_write__loop_does_not_wait_to_checkpoint(void **state)
{
    const char *path = db_path(*state, "a.tako");
    tako_db *db = db_open(path);
    loop_posts posts = { .err = TAKO_OK };
    tako_tx *tx = NULL;
    uint64_t lsn;
    long before;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db->sync.net.ctx = &posts;
    db->sync.net.post = post_kept;
    before = db_file_bytes(path, "");
    merge_much(db);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    posts.fn(posts.arg);
    assert_int_equal(db_file_bytes(path, ""), before);
    db_ok(
        db,
        tako_tx_execute(tx, "INSERT INTO c DOCUMENTS ({'_id': 2})", NULL, NULL),
        "insert");
    db_ok(db, tako_tx_commit(tx, &lsn), "commit");
    assert_in_range(db_file_bytes(path, ""), before + (6l << 20), 100l << 20);
    merge_much(db);
    assert_int_equal(posts.count, 2);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_write__keeps_the_log_short),
        T(test_write__moves_the_epoch_by_two),
        T(test_write__loop_checkpoints_after_it_has_told),
        T(test_write__loop_checkpoints_though_it_cannot_post),
        T(test_write__loop_does_not_wait_to_checkpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
