// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static void report(void *ctx, const char *text)
{
    tako_errbuf *e = ctx;

    (void)snprintf(e->text, sizeof e->text, "%s", text);
}

/* Findings of a check; the last one's text is left in the world. */
static uint64_t check(world_store *x)
{
    uint64_t findings = 99;

    x->w.e.text[0] = '\0';
    must(&x->w, store_check(x->c, report, &x->w.e, &findings, NULL));
    return findings;
}

static void test_check__a_flipped_byte_is_found(void **state)
{
    static const char *const columns[] = { "body", "meta", "version" };
    world_store x;
    test_world *w = &x.w;

    (void)state;
    world_begin(&x, 1);
    for (size_t i = 0; i < 3; i++) {
        tako_slice id = id_at(w, i);
        char sql[128];
        sqlite3_stmt *stmt;
        tako_slice old;

        put_commit(w, x.s, x.coll, id, "{\"field\":\"a longer text to flip\"}");
        assert_int_equal(check(&x), 0);
        (void)snprintf(sql, sizeof sql, "SELECT %s FROM c1 ORDER BY lsn DESC",
                       columns[i]);
        stmt = store_sql(x.c, sql, &w->e);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        old = tako_arena_copy(
            &w->arena, tako_slice_of(sqlite3_column_blob(stmt, 0),
                                     (size_t)sqlite3_column_bytes(stmt, 0)));
        store_done(x.c, stmt);
        store_close(x.s);
        assert_true(world_flip(w, "a", old)); /* on the disk itself */
        x.s = world_open(w, "a");
        x.c = store_writer(x.s);
        assert_int_equal(check(&x), 1);
        assert_non_null(strstr(w->e.text, "orders"));
        assert_non_null(strstr(w->e.text, "01HF"));
        ((uint8_t *)(uintptr_t)old.ptr)[old.len - 1] ^= 1;
        store_close(x.s);
        assert_true(world_flip(w, "a", old));
        x.s = world_open(w, "a");
        x.c = store_writer(x.s);
        assert_int_equal(check(&x), 0);
    }
    world_end(&x);
}

static void test_check__malformed_rows_and_feeds_are_found(void **state)
{
    static const char *const damage[] = {
        "UPDATE c1 SET id=x'ffff' WHERE row<0",
        "UPDATE c1 SET id=x'04' WHERE row>0",
        "UPDATE c1 SET version=x'00' WHERE row<0",
        "UPDATE feed SET touched=x'00'",
        "UPDATE c1 SET body=NULL WHERE row<0",
    };
    world_store x;
    test_world *w = &x.w;

    (void)state;
    world_begin(&x, 2);
    put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    put_commit(w, x.s, x.coll, cb(w, "\"other\""), "{\"a\":1}");
    assert_int_equal(check(&x), 0);
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        sqlite3 *db = store_conn_db(x.c);

        assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damage[i], NULL, NULL, NULL),
                         SQLITE_OK);
        assert_true(check(&x) >= 1);
        assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL),
                         SQLITE_OK);
    }
    world_end(&x);
}

static void hash_of(test_world *w, store *s, uint32_t coll, uint8_t out[32])
{
    must(w, store_hash(store_writer(s), coll, out, NULL, &w->e));
}

static void test_check__hash_is_of_states_not_of_order(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store *b;
    uint32_t coll_b;
    uint8_t ha[32], hb[32], hc[32];
    char json[16];

    (void)state;
    world_begin(&x, 3);
    b = world_open(w, "b");
    (void)coll_of(w, b, "first"); /* other numbers, other rows */
    coll_b = coll_of(w, b, "orders");
    for (unsigned i = 0; i < 30; i++) {
        (void)snprintf(json, sizeof json, "%u", i);
        put_commit(w, x.s, x.coll, i % 2 != 0 ? cb(w, json) : id_at(w, i),
                   "{\"a\":1}");
    }
    for (unsigned i = 30; i-- > 0;) {
        store_row row;
        tako_slice id;

        (void)snprintf(json, sizeof json, "%u", i);
        id = i % 2 != 0 ? cb(w, json) : id_at(w, i);
        must(w, store_get(x.c, x.coll, id, &row));
        hash_of(w, b, coll_b, hb);
        hash_of(w, x.s, x.coll, ha);
        assert_memory_not_equal(ha, hb, 32);
        must(w, store_get(x.c, x.coll, id, &row));
        must(w, store_begin(b, &w->e));
        must(w, store_merge(b, coll_b, id, row.meta, row.body, NULL, &w->e));
        must(w, store_commit(b, NULL, &w->e));
    }
    hash_of(w, b, coll_b, hb);
    assert_memory_equal(ha, hb, 32);
    hash_of(w, b, 0, hb); /* an empty collection more changes nothing */
    hash_of(w, x.s, 0, ha);
    assert_memory_equal(ha, hb, 32);
    must(w, store_begin(b, &w->e));
    set_one(w, b, coll_b, id_at(w, 0), "a", "1"); /* same body, other state */
    must(w, store_commit(b, NULL, &w->e));
    hash_of(w, b, 0, hc);
    assert_memory_not_equal(ha, hc, 32);
    hash_of(w, x.s, 0, ha); /* nor does who is remembered as deleted */
    put_commit(w, x.s, x.coll, id_at(w, 99), "{}");
    must(w, store_begin(x.s, &w->e));
    delete_one(w, x.s, x.coll, id_at(w, 99));
    must(w, store_commit(x.s, NULL, &w->e));
    hash_of(w, x.s, 0, hc);
    assert_memory_equal(ha, hc, 32);
    assert_int_equal(store_hash(x.c, 55, ha, NULL, NULL), TAKO_NOTFOUND);
    store_close(b);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__a_flipped_byte_is_found),
        cmocka_unit_test(test_check__malformed_rows_and_feeds_are_found),
        cmocka_unit_test(test_check__hash_is_of_states_not_of_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
