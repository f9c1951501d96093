// SPDX-License-Identifier: Apache-2.0
#include "store/internal.h"
#include "store/support_files.h"

#include <sys/stat.h>

static void progress(void *ctx, uint64_t done, uint64_t all)
{
    uint64_t *last = ctx;

    assert_true(done >= *last && done <= all);
    *last = done;
}

static void fill(world_store *x, uint64_t n)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    for (uint64_t i = 0; i < n; i++)
        put_one(&x->w, x->s, x->coll, id_at(&x->w, i),
                "{\"a\":\"some text that takes its room\",\"b\":[1,2,3]}");
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void test_care__backup_opens_as_another_actor(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store *b;
    store_conn *r = NULL;
    uint8_t ha[32], hb[32];
    uint64_t seen = 0, n = 0;
    struct stat st;
    const char *path;

    (void)state;
    world_begin(&x, 1);
    fill(&x, 3000);
    must(w, store_reader_open(x.s, &r, &w->e));
    path = world_path(w, "backup");
    must(w, store_backup(r, path, progress, &seen, &w->e));
    assert_true(seen > 50);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_int_equal(store_backup(r, path, NULL, NULL, &w->e), TAKO_EXISTS);
    must(w, store_backup(x.c, world_path(w, "backup2"), NULL, NULL, &w->e));
    must(w, store_hash(r, 0, ha, &n, &w->e));
    assert_int_equal(n, 3000);
    b = world_open(w, "backup");
    assert_int_not_equal(crdt_actor_cmp(store_actor(b), store_actor(x.s)), 0);
    assert_memory_not_equal(store_incarnation(b), store_incarnation(x.s), 16);
    must(w, store_hash(store_writer(b), 0, hb, &n, &w->e));
    assert_memory_equal(ha, hb, 32);
    store_close(b);
    store_reader_close(r);
    world_end(&x);
}

static void test_care__a_restored_backup_mints_an_actor(void **state)
{
    world_store x;
    test_world *w = &x.w;
    crdt_actor a;

    (void)state;
    world_begin(&x, 2);
    fill(&x, 10);
    must(w, store_backup(x.c, world_path(w, "backup"), NULL, NULL, &w->e));
    a = store_actor(x.s);
    put_commit(w, x.s, x.coll, id_at(w, 99), "{}");
    store_close(x.s);
    world_remove(w, "a-wal");
    world_copy(w, "backup", "a"); /* over the original, same inode */
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    assert_int_not_equal(crdt_actor_cmp(store_actor(x.s), a), 0);
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 99)), "");
    world_end(&x);
}

static void test_care__compact_gives_room_back(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_facts before, after;
    crdt_actor a;
    uint8_t h1[32], h2[32];

    (void)state;
    world_begin(&x, 3);
    fill(&x, 4000);
    a = store_actor(x.s);
    must(w, store_begin(x.s, &w->e));
    for (uint64_t i = 0; i < 3900; i++)
        delete_one(w, x.s, x.coll, id_at(w, i));
    must(w, store_commit(x.s, NULL, &w->e));
    must(w, store_hash(x.c, 0, h1, NULL, &w->e));
    must(w, store_facts_read(x.c, &before, &w->e));
    must(w, store_compact(x.s, &w->e));
    must(w, store_facts_read(x.c, &after, &w->e));
    assert_true(after.file_bytes < before.file_bytes);
    assert_true(after.free_bytes == 0 && after.wal_bytes == 0);
    must(w, store_hash(x.c, 0, h2, NULL, &w->e));
    assert_memory_equal(h1, h2, 32);
    store_close(x.s);
    x.s = world_open(w, "a");
    assert_int_equal(crdt_actor_cmp(a, store_actor(x.s)), 0);
    world_end(&x);
}

static void test_care__checkpoints_pass_by_readers(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *r = NULL;
    store_facts f;

    (void)state;
    world_begin(&x, 4);
    fill(&x, 100);
    must(w, store_reader_open(x.s, &r, &w->e));
    must(w, store_snapshot_begin(r, NULL, &w->e));
    put_commit(w, x.s, x.coll, id_at(w, 1000), "{}");
    must(w, store_checkpoint(x.s, STORE_FOLD_REST, &w->e));
    assert_string_equal(show(w, r, x.coll, id_at(w, 1000)), "");
    store_snapshot_end(r);
    must(w, store_checkpoint(x.s, STORE_FOLD_ALL, &w->e));
    must(w, store_facts_read(x.c, &f, &w->e));
    assert_true(f.wal_bytes == 0);
    assert_string_equal(show(w, r, x.coll, id_at(w, 1000)), "{}");
    store_reader_close(r);
    world_end(&x);
}

/* An attempt costs two syncs: while a reader holds the log, not every commit
 * makes one. */
static void test_care__a_held_log_is_not_tried_at_each_commit(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *r = NULL;
    int tries = 0;

    (void)state;
    world_begin(&x, 5);
    must(w, store_reader_open(x.s, &r, &w->e));
    must(w, store_snapshot_begin(r, NULL, &w->e));
    for (uint64_t i = 0; i < 1500; i++) {
        int before = x.s->wal_tried;

        put_commit(w, x.s, x.coll, id_at(w, i), "{}");
        must(w, store_checkpoint(x.s, STORE_FOLD_REST, &w->e));
        tries += x.s->wal_tried != before;
    }
    assert_true(x.s->wal_pages >= 3000);
    assert_in_range(tries, 2, 1 + x.s->wal_pages / 1000);
    store_snapshot_end(r);
    /* free again, the log begins anew */
    must(w, store_checkpoint(x.s, STORE_FOLD_ALL, &w->e));
    put_commit(w, x.s, x.coll, id_at(w, 2000), "{}");
    assert_true(x.s->wal_pages < 100);
    must(w, store_checkpoint(x.s, STORE_FOLD_REST, &w->e));
    assert_int_equal(x.s->wal_tried, 0);
    store_reader_close(r);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_care__backup_opens_as_another_actor),
        cmocka_unit_test(test_care__a_restored_backup_mints_an_actor),
        cmocka_unit_test(test_care__compact_gives_room_back),
        cmocka_unit_test(test_care__checkpoints_pass_by_readers),
        cmocka_unit_test(test_care__a_held_log_is_not_tried_at_each_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
