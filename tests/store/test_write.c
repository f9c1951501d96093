// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdlib.h>

static void test_write__insert_edit_delete_insert_again(void **state)
{
    test_world w;
    store *s;
    store_conn *c;
    store_row row;
    uint32_t coll;
    const char *ids[] = { "\"text\"",
                          "17",
                          "true",
                          "[1,\"x\"]",
                          "{\"a\":1}",
                          "{\"$bytes\":\"AAEC\"}",
                          "\"01HF7YAT00ABCDEFGHJKMNPQRS\"",
                          "\"01hf7yat00abcdefghjkmnpqrs\"" };

    (void)state;
    world_init(&w, 1);
    s = world_open(&w, "a");
    c = store_writer(s);
    coll = coll_of(&w, s, "orders");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        tako_slice id = cb(&w, ids[i]);

        put_commit(&w, s, coll, id, "{\"a\":1,\"o\":{\"p\":[true,null]}}");
        assert_string_equal(show(&w, c, coll, id),
                            "{\"a\":1,\"o\":{\"p\":[true,null]}}");
        must(&w, store_get(c, coll, id, &row));
        assert_true(tako_slice_eq(row.id, id));
        assert_true((row.row > 0) == (i == 6)); /* only a canonical ULID */
        must(&w, store_begin(s, &w.e));
        assert_int_equal(store_insert(s, coll, id, cb(&w, "{}"), &w.e),
                         TAKO_EXISTS);
        set_one(&w, s, coll, id, "a", "2");
        must(&w, store_commit(s, NULL, &w.e));
        assert_string_equal(show(&w, c, coll, id),
                            "{\"a\":2,\"o\":{\"p\":[true,null]}}");
        must(&w, store_begin(s, &w.e));
        delete_one(&w, s, coll, id);
        must(&w, store_commit(s, NULL, &w.e));
        assert_string_equal(show(&w, c, coll, id), "-");
        put_commit(&w, s, coll, id, "{\"b\":1}");
        assert_string_equal(show(&w, c, coll, id), "{\"b\":1}");
        must(&w, store_get(c, coll, id, &row));
        assert_int_equal(crdt_meta_generation(row.meta), 3);
    }
    store_close(s);
    world_fini(&w);
}

static void test_write__refuses_ids_that_are_none(void **state)
{
    static const char *const bad[] = { "null", "1.5", "-0.0" };
    test_world w;
    store *s;
    uint32_t coll;
    uint8_t big[TAKO_ID_BYTES_MAX + 4];
    tako_buf b;

    (void)state;
    world_init(&w, 2);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    b = tako_buf_on(&w.t.env);
    memset(big, 'x', sizeof big);
    must(&w, store_begin(s, &w.e));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            store_insert(s, coll, cb(&w, bad[i]), cb(&w, "{}"), &w.e),
            TAKO_INVALID);
    for (size_t n = TAKO_ID_BYTES_MAX - 3; n <= TAKO_ID_BYTES_MAX; n++) {
        tako_buf_reset(&b);
        cbor_put_text(&b, tako_slice_of(big, n));
        assert_int_equal(
            store_insert(s, coll, tako_buf_slice(&b), cb(&w, "{}"), &w.e),
            b.len <= TAKO_ID_BYTES_MAX ? TAKO_OK : TAKO_INVALID);
    }
    assert_int_equal(store_insert(s, coll, TAKO_SLICE_NONE, cb(&w, "{}"), &w.e),
                     TAKO_INVALID);
    assert_int_equal(/* not CBOR */
                     store_insert(s, coll, tako_slice_str("\x62x"),
                                  cb(&w, "{}"), &w.e),
                     TAKO_INVALID);
    assert_int_equal(store_insert(s, coll, cb(&w, "1"), cb(&w, "[]"), &w.e),
                     TAKO_INVALID);
    assert_int_equal(store_insert(s, 9, cb(&w, "1"), cb(&w, "{}"), &w.e),
                     TAKO_NOTFOUND);
    assert_int_equal(store_insert(s, 0, id_at(&w, 1), cb(&w, "{}"), &w.e),
                     TAKO_NOTFOUND);
    must(&w, store_commit(s, NULL, &w.e));
    tako_buf_fini(&b);
    store_close(s);
    world_fini(&w);
}

/* Two ULIDs that share their first 62 bits. */
static void test_write__forced_collisions_of_rows(void **state)
{
    static const char *const ids[] = {
        "\"01HF7YAT00ABC0000000000000\"",
        "\"01HF7YAT00ABC0000000000001\"",
        "\"01HF7YAT00ABCZZZZZZZZZZZZZ\"",
        "\"01HF7YAT00ABC7ZZZZZZZZZZZZ\"",
    };
    test_world w;
    store *s;
    store_conn *c;
    uint32_t coll;
    char json[16] = "{\"a\":0}";
    int64_t rows[4];
    store_row row;

    (void)state;
    world_init(&w, 3);
    s = world_open(&w, "a");
    c = store_writer(s);
    coll = coll_of(&w, s, "orders");
    for (size_t i = 0; i < 4; i++) {
        json[5] = (char)('0' + i);
        put_commit(&w, s, coll, cb(&w, ids[i]), json);
    }
    for (size_t i = 0; i < 4; i++) {
        json[5] = (char)('0' + i);
        assert_string_equal(show(&w, c, coll, cb(&w, ids[i])), json);
        must(&w, store_get(c, coll, cb(&w, ids[i]), &row));
        assert_true(tako_slice_eq(row.id, cb(&w, ids[i])));
        rows[i] = row.row;
        must(&w, store_get_row(c, coll, rows[i], &row));
        assert_true(tako_slice_eq(row.id, cb(&w, ids[i])));
        must(&w, store_begin(s, &w.e));
        assert_int_equal(
            store_insert(s, coll, cb(&w, ids[i]), cb(&w, "{}"), &w.e),
            TAKO_EXISTS);
        set_one(&w, s, coll, cb(&w, ids[i]), "b", "7");
        must(&w, store_commit(s, NULL, &w.e));
    }
    assert_true(rows[0] > 0 && rows[1] < 0 && rows[3] < 0);
    assert_string_equal(show(&w, c, coll, cb(&w, ids[1])), "{\"a\":1,\"b\":7}");
    assert_string_equal(
        show(&w, c, coll, cb(&w, "\"01HF7YAT00ABC0000000000002\"")), "");
    store_close(s);
    world_fini(&w);
}

static void test_write__limits_the_size_of_local_writes(void **state)
{
    test_world w;
    store *s;
    uint32_t coll;
    tako_buf b;
    uint8_t *big = calloc(1, TAKO_DOC_BYTES_MAX);

    (void)state;
    assert_non_null(big);
    world_init(&w, 4);
    b = tako_buf_on(&w.t.env);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    must(&w, store_begin(s, &w.e));
    for (size_t over = 0; over < 2; over++) {
        tako_buf_reset(&b);
        cbor_put_map(&b, 1);
        cbor_put_text(&b, tako_slice_str("b"));
        cbor_put_bytes(&b, tako_slice_of(big, TAKO_DOC_BYTES_MAX - 8 + over));
        assert_int_equal(b.len, TAKO_DOC_BYTES_MAX + over);
        assert_int_equal(
            store_insert(s, coll, id_at(&w, over), tako_buf_slice(&b), &w.e),
            over ? TAKO_LIMIT : TAKO_OK);
    }
    {
        tako_slice key = tako_slice_str("more");
        crdt_path path = { &key, 1 };
        crdt_doc *doc;
        crdt_dot dot;

        must(&w, store_edit(s, coll, id_at(&w, 0), &doc, &w.e));
        must(&w, store_dot(s, &dot, &w.e));
        must(&w, crdt_set(doc, dot, path, CRDT_AUTO, cb(&w, "1"), &w.e));
        assert_int_equal(store_edit_save(s, &w.e), TAKO_LIMIT);
        key = tako_slice_str("b"); /* to shrink is always possible */
        must(&w, store_edit(s, coll, id_at(&w, 0), &doc, &w.e));
        must(&w, crdt_unset(doc, dot, path));
        must(&w, store_edit_save(s, &w.e));
    }
    must(&w, store_commit(s, NULL, &w.e));
    assert_string_equal(show(&w, store_writer(s), coll, id_at(&w, 0)), "{}");
    tako_buf_fini(&b);
    store_close(s);
    world_fini(&w);
    free(big);
}

static void test_write__an_edit_without_change_writes_nothing(void **state)
{
    test_world w;
    store *s;
    uint32_t coll;
    crdt_doc *doc;
    uint64_t lsn = 1;

    (void)state;
    world_init(&w, 5);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    put_commit(&w, s, coll, id_at(&w, 1), "{\"a\":1}");
    must(&w, store_begin(s, &w.e));
    must(&w, store_edit(s, coll, id_at(&w, 1), &doc, &w.e));
    must(&w, store_edit_save(s, &w.e));
    must(&w, store_edit(s, coll, id_at(&w, 2), &doc, &w.e)); /* unknown */
    assert_false(crdt_doc_alive(doc));
    must(&w, store_edit_save(s, &w.e));
    must(&w, store_commit(s, &lsn, &w.e));
    assert_true(lsn == 0);
    assert_string_equal(show(&w, store_writer(s), coll, id_at(&w, 2)), "");
    store_close(s);
    world_fini(&w);
}

/* One change, and what was before the first save. */
static void test_write__an_edit_that_is_saved_twice(void **state)
{
    test_world w;
    store *s;
    store_change c;
    uint32_t coll;
    crdt_doc *doc;
    crdt_dot dot;
    tako_slice key = tako_slice_str("a");
    crdt_path path = { &key, 1 };

    (void)state;
    world_init(&w, 7);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    put_commit(&w, s, coll, id_at(&w, 1), "{\"a\":1}");
    must(&w, store_begin(s, &w.e));
    must(&w, store_edit(s, coll, id_at(&w, 1), &doc, &w.e));
    must(&w, store_dot(s, &dot, &w.e));
    for (int i = 2; i <= 3; i++) {
        must(&w, crdt_set(doc, dot, path, CRDT_AUTO, cb(&w, i == 2 ? "2" : "3"),
                          &w.e));
        must(&w, store_edit_save(s, &w.e));
    }
    assert_int_equal(store_change_count(s), 1);
    store_change_at(s, 0, &c);
    assert_true(tako_slice_eq(c.body_before, cb(&w, "{\"a\":1}")));
    must(&w, store_commit(s, NULL, &w.e));
    assert_string_equal(show(&w, store_writer(s), coll, id_at(&w, 1)),
                        "{\"a\":3}");
    store_close(s);
    world_fini(&w);
}

/* The fast insert and the general one make the same bytes. */
static void test_write__insert_equals_edit_and_insert(void **state)
{
    static const char *const docs[] = {
        "{}", "{\"a\":{}}", "{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":1.5}",
        "{\"a\":{\"b\":{\"c\":null}},\"b\":\"x\"}"
    };
    test_world w;
    store *s;
    uint32_t coll;

    (void)state;
    world_init(&w, 6);
    s = world_open(&w, "a");
    coll = coll_of(&w, s, "orders");
    for (uint64_t i = 0; i < 4; i++) {
        crdt_doc *doc;
        crdt_dot dot;
        store_row row;
        uint8_t version[16];

        must(&w, store_begin(s, &w.e));
        must(&w, store_dot(s, &dot, &w.e));
        put_one(&w, s, coll, id_at(&w, 2 * i), docs[i]);
        must(&w, store_edit(s, coll, id_at(&w, 2 * i + 1), &doc, &w.e));
        must(&w, crdt_insert(doc, dot, cb(&w, docs[i])));
        must(&w, store_edit_save(s, &w.e));
        must(&w, store_commit(s, NULL, &w.e));
        must(&w, store_get(store_writer(s), coll, id_at(&w, 2 * i), &row));
        memcpy(version, row.version, 16);
        must(&w, store_get(store_writer(s), coll, id_at(&w, 2 * i + 1), &row));
        assert_memory_equal(version, row.version, 16);
    }
    store_close(s);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__insert_edit_delete_insert_again),
        cmocka_unit_test(test_write__refuses_ids_that_are_none),
        cmocka_unit_test(test_write__forced_collisions_of_rows),
        cmocka_unit_test(test_write__limits_the_size_of_local_writes),
        cmocka_unit_test(test_write__an_edit_without_change_writes_nothing),
        cmocka_unit_test(test_write__an_edit_that_is_saved_twice),
        cmocka_unit_test(test_write__insert_equals_edit_and_insert),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
