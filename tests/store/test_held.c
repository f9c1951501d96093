// SPDX-License-Identifier: Apache-2.0
/* What is complete here is at hand as the table has it, and what of our own is
 * gone is known. */
#include "store/internal.h"

#include <stdlib.h>

#include "store/support_files.h"

static const char *const names[] = { "", "orders", "probe" };

static tako_err gather(void *ctx, const store_held *held)
{
    tako_buf *b = ctx;

    tako_put_block(b, held->text);
    tako_put_block(b, held->v);
    tako_put_block(b, held->target);
    tako_put_u8(b, held->why);
    tako_put_u8(b, held->gone);
    return b->failed ? TAKO_NOMEM : TAKO_OK;
}

/* What is kept is what the table says, row by row; `conn` sees the same. */
static void agrees(world_store *x, store_conn *conn)
{
    test_world *w = &x->w;
    crdt_dot ours, theirs;

    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++) {
        tako_buf kept = tako_buf_on(&w->t.env), read = tako_buf_on(&w->t.env);
        tako_slice coll = tako_slice_str(names[i]);

        must(w, store_held_each(store_writer(x->s), coll, gather, &kept));
        must(w, store_held_each(conn, coll, gather, &read));
        assert_true(
            tako_slice_eq(tako_buf_slice(&kept), tako_buf_slice(&read)));
        tako_buf_fini(&kept);
        tako_buf_fini(&read);
    }
    must(w, store_own_last(store_writer(x->s), &ours));
    must(w, store_own_last(conn, &theirs));
    assert_true(crdt_actor_cmp(ours.actor, theirs.actor) == 0);
    assert_true(ours.hlc == theirs.hlc);
}

static void put_random(world_store *x, size_t longest)
{
    test_world *w = &x->w;
    uint8_t *bytes = calloc(1, longest);
    store_held row = { .why = (uint8_t)test_below(&w->t, 3) };
    char text[2] = { (char)('a' + (int)test_below(&w->t, 6)), 0 };
    tako_slice coll = tako_slice_str(names[1 + test_below(&w->t, 2)]);

    assert_non_null(bytes);
    bytes[0] = (uint8_t)test_below(&w->t, 256);
    row.text = tako_slice_str(text);
    row.v = tako_slice_of(bytes, test_below(&w->t, longest));
    row.target = tako_slice_of(bytes, test_below(&w->t, longest));
    must(w, store_held_put(x->s, coll, &row));
    free(bytes);
}

/* In any transaction, whatever is undone of it, and with any actor. */
static void run(size_t longest)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *reader;

    world_begin(&x, test_seed(longest));
    must(w, store_reader_open(x.s, &reader, &w->e));
    for (int i = 0; i < 200; i++) {
        must(w, store_begin(x.s, &w->e));
        if (test_below(&w->t, 2) == 0)
            put_one(w, x.s, x.coll, id_at(w, (uint64_t)i), "{}");
        for (uint64_t n = test_below(&w->t, 4); n > 0; n--) {
            bool saved = test_below(&w->t, 3) == 0;

            if (saved)
                must(w, store_savepoint(x.s, &w->e));
            put_random(&x, longest);
            if (saved && test_below(&w->t, 2) == 0)
                store_savepoint_undo(x.s);
            else if (saved)
                store_savepoint_keep(x.s);
        }
        if (test_below(&w->t, 4) == 0)
            store_rollback(x.s);
        else
            must(w, store_commit(x.s, NULL, &w->e));
        agrees(&x, reader);
        if (test_below(&w->t, 20) == 0) {
            must(w, store_renew_actor(x.s, &w->e));
            agrees(&x, reader);
        }
    }
    store_reader_close(reader);
    world_end(&x);
}

static void test_held__keeps_what_the_table_has(void **state)
{
    (void)state;
    run(200);
}

/* Too long to be kept, at first or later on. */
static void test_held__reads_what_is_too_long(void **state)
{
    (void)state;
    run(20000);
}

/* ---- gone ---------------------------------------------------------------- */

#define ENTRY 24u

static tako_err see_gone(void *ctx, const store_held *row)
{
    tako_buf *out = ctx;

    if (row->gone)
        tako_put_bytes(out, row->v);
    return TAKO_OK;
}

/* The hlc of the actor among what is gone; 0: none. */
static uint64_t gone_of(world_store *x, crdt_actor actor)
{
    tako_buf v = tako_buf_on(&x->w.t.env);
    uint64_t hlc = 0;

    must(&x->w,
         store_held_each(x->c, store_coll_name(x->c, x->coll), see_gone, &v));
    assert_int_equal(v.len % ENTRY, 0);
    for (size_t at = 0; at < v.len; at += ENTRY) {
        tako_reader in = tako_reader_of(tako_slice_of(v.ptr + at + 16, 8));

        if (memcmp(v.ptr + at, actor.id, 16) == 0)
            hlc = tako_read_u64(&in);
    }
    tako_buf_fini(&v);
    return hlc;
}

static crdt_dot own_last(world_store *x)
{
    crdt_dot dot;

    must(&x->w, store_own_last(x->c, &dot));
    return dot;
}

static void leave(world_store *x, tako_slice id)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_leave(x->s, x->coll, id, TAKO_SLICE_NONE, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void evict(world_store *x, tako_slice id)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_evict(x->s, x->coll, id, true, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void test_held__what_went_is_known_up_to_its_last_own_event(void **state)
{
    world_store x;
    crdt_dot first, second, third;

    (void)state;
    world_begin(&x, 1);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 1), "{\"a\":1}");
    first = own_last(&x);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{\"a\":1}");
    second = own_last(&x);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 3), "{\"a\":1}");
    third = own_last(&x);
    assert_int_equal(gone_of(&x, first.actor), 0);
    leave(&x, id_at(&x.w, 2));
    assert_int_equal(gone_of(&x, first.actor), second.hlc);
    leave(&x, id_at(&x.w, 1)); /* it does not fall */
    assert_int_equal(gone_of(&x, first.actor), second.hlc);
    evict(&x, id_at(&x.w, 3));
    assert_int_equal(gone_of(&x, first.actor), third.hlc);
    world_end(&x);
}

/* What one archive keeps is noted apart; another one has not got that. */
typedef struct kept_at {
    char archive[32];
    size_t len;
    uint64_t hlc;
} kept_at;

static tako_err see_kept(void *ctx, const store_held *row)
{
    kept_at *k = ctx;
    tako_reader in = tako_reader_of(row->target);

    if (!row->gone || row->archive.len == 0)
        return TAKO_OK;
    assert_int_equal(row->target.len, ENTRY);
    k->len = row->archive.len;
    memcpy(k->archive, row->archive.ptr, k->len);
    (void)tako_read_bytes(&in, 16);
    k->hlc = tako_read_u64(&in);
    return TAKO_OK;
}

static void test_held__what_an_archive_keeps_is_noted_apart(void **state)
{
    static const char *const to[] = { "one", "two", "one" };
    crdt_dot dots[3];
    world_store x;
    kept_at k = { .len = 0 };

    (void)state;
    world_begin(&x, 7);
    for (int i = 0; i < 3; i++) {
        (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 1u + (unsigned)i),
                         "{\"a\":1}");
        dots[i] = own_last(&x);
    }
    for (int i = 0; i < 3; i++) {
        must(&x.w, store_begin(x.s, &x.w.e));
        must(&x.w, store_leave(x.s, x.coll, id_at(&x.w, 1u + (unsigned)i),
                               tako_slice_str(to[i]), &x.w.e));
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        must(&x.w,
             store_held_each(x.c, store_coll_name(x.c, x.coll), see_kept, &k));
        assert_int_equal(k.len, 3);
        assert_memory_equal(k.archive, "one", 3);
        assert_int_equal(k.hlc, dots[i == 1 ? 0 : i].hlc);
        assert_int_equal(gone_of(&x, dots[0].actor), i == 0 ? 0 : dots[1].hlc);
    }
    world_end(&x);
}

/* Of all that this file wrote, under whichever name. */
static void test_held__former_actors_count(void **state)
{
    world_store x;
    crdt_dot before, after;

    (void)state;
    world_begin(&x, 2);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 1), "{\"a\":1}");
    before = own_last(&x);
    store_close(x.s);
    assert_true(world_copy(&x.w, "a", "copy"));
    x.s = world_open(&x.w, "copy");
    x.c = store_writer(x.s);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{\"a\":1}");
    after = own_last(&x);
    assert_memory_not_equal(before.actor.id, after.actor.id, 16);
    leave(&x, id_at(&x.w, 1));
    assert_int_equal(gone_of(&x, before.actor), before.hlc);
    assert_int_equal(gone_of(&x, after.actor), 0);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held__keeps_what_the_table_has),
        cmocka_unit_test(test_held__reads_what_is_too_long),
        cmocka_unit_test(
            test_held__what_went_is_known_up_to_its_last_own_event),
        cmocka_unit_test(test_held__what_an_archive_keeps_is_noted_apart),
        cmocka_unit_test(test_held__former_actors_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
