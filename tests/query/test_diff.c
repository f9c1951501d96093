// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_diff.c mirrors src/query/diff.c: what is told leads from
 * the old rows to the new ones, as tako.h says it is applied. */
#include "support_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/diff.h"

#define ROWS_MAX 24

static const uint8_t key[16] = { 7 };

static void random_rows(test_db *db, row_list *l, bool ids)
{
    unsigned n = (unsigned)test_below(&db->t, ROWS_MAX);
    bool used[40] = { false };

    row_list_reset(l);
    for (unsigned i = 0; i < n; i++) {
        unsigned id = (unsigned)test_below(&db->t, 40);
        char json[80];

        if (ids && used[id])
            continue;
        used[id] = true;
        if (ids)
            (void)snprintf(json, sizeof json, "{\"_id\":%u,\"v\":%u}", id,
                           (unsigned)test_below(&db->t, 3));
        else
            (void)snprintf(json, sizeof json, "{\"v\":%u}", id % 7);
        assert_int_equal(row_list_add(l, cbor_of(db, json)), TAKO_OK);
    }
}

/* A list of rows that is worked on. */
typedef struct model {
    tako_slice at[2 * ROWS_MAX];
    size_t count;
} model;

static void take_out(model *m, size_t at)
{
    assert_true(at < m->count);
    memmove(m->at + at, m->at + at + 1, (--m->count - at) * sizeof m->at[0]);
}

static void put_in(model *m, size_t at, tako_slice row)
{
    assert_true(at <= m->count);
    memmove(m->at + at + 1, m->at + at, (m->count++ - at) * sizeof m->at[0]);
    m->at[at] = row;
}

static size_t apply(const row_list *was, const row_list *is, const row_diff *d,
                    model *m)
{
    size_t moves = 0;

    m->count = 0;
    for (size_t i = 0; i < was->count; i++)
        m->at[m->count++] = row_list_at(was, i);
    for (size_t i = was->count; i-- > 0;)
        if (d->new_of[i] == 0 || d->moved[d->new_of[i] - 1])
            take_out(m, i);
    for (size_t i = 0; i < is->count; i++) {
        if (d->old_of[i] != 0 && !d->moved[i])
            continue;
        moves += d->old_of[i] != 0;
        put_in(m, i,
               d->old_of[i] == 0 ? row_list_at(is, i)
                                 : row_list_at(was, d->old_of[i] - 1));
    }
    for (size_t i = 0; i < is->count; i++) {
        if (d->old_of[i] == 0)
            continue;
        assert_int_equal(d->new_of[d->old_of[i] - 1], i + 1);
        assert_true(
            tako_slice_eq(m->at[i], row_list_at(was, d->old_of[i] - 1)));
        m->at[i] = row_list_at(is, i);
    }
    return moves;
}

static void test_diff__leads_from_one_list_to_the_other(void **state)
{
    test_db db;
    row_list was, is;

    (void)state;
    test_db_bare(&db, test_seed(5));
    was = row_list_on(&db.t.env);
    is = row_list_on(&db.t.env);
    for (int i = 0; i < 3000; i++) {
        bool ids = test_below(&db.t, 2) == 0;
        row_diff d;
        model m;

        random_rows(&db, &was, ids);
        random_rows(&db, &is, ids);
        assert_int_equal(row_diff_init(&d, &was, &is, key), TAKO_OK);
        (void)apply(&was, &is, &d, &m);
        assert_int_equal(m.count, is.count);
        for (size_t k = 0; k < m.count; k++)
            assert_true(tako_slice_eq(m.at[k], row_list_at(&is, k)));
        row_diff_fini(&d);
        tako_arena_reset(&db.arena);
    }
    row_list_fini(&was);
    row_list_fini(&is);
    test_db_close(&db);
}

static void fill(test_db *db, row_list *l, const char *const *rows, size_t n)
{
    row_list_reset(l);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(row_list_add(l, cbor_of(db, rows[i])), TAKO_OK);
}

static void test_diff__moves_as_few_as_can_be(void **state)
{
    static const char *const one[] = { "{\"_id\":1}", "{\"_id\":2}",
                                       "{\"_id\":3}", "{\"_id\":4}" };
    static const char *const two[] = { "{\"_id\":4}", "{\"_id\":1}",
                                       "{\"_id\":2}", "{\"_id\":3}" };
    static const char *const sum[] = { "{\"n\":1}" };
    static const char *const other[] = { "{\"n\":2}" };
    test_db db;
    row_list was, is;
    row_diff d;
    model m;

    (void)state;
    test_db_bare(&db, 1);
    was = row_list_on(&db.t.env);
    is = row_list_on(&db.t.env);
    fill(&db, &was, one, 4);
    fill(&db, &is, two, 4);
    assert_int_equal(row_diff_init(&d, &was, &is, key), TAKO_OK);
    assert_int_equal(apply(&was, &is, &d, &m), 1);
    assert_true(d.moved[0]);
    row_diff_fini(&d);
    fill(&db, &was, sum, 1); /* one row that changed */
    fill(&db, &is, other, 1);
    assert_int_equal(row_diff_init(&d, &was, &is, key), TAKO_OK);
    assert_int_equal(d.old_of[0], 1);
    row_diff_fini(&d);
    row_list_reset(&is);
    assert_int_equal(row_diff_init(&d, &was, &is, key), TAKO_OK);
    assert_int_equal(d.new_of[0], 0);
    row_diff_fini(&d);
    db.t.fail_after = 0;
    assert_int_equal(row_diff_init(&d, &was, &is, key), TAKO_NOMEM);
    db.t.fail_after = -1;
    row_diff_fini(&d);
    row_list_fini(&was);
    row_list_fini(&is);
    test_db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diff__leads_from_one_list_to_the_other),
        cmocka_unit_test(test_diff__moves_as_few_as_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
