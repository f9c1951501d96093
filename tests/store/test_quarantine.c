// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/deaths.h"

typedef struct seen {
    unsigned count;
    uint64_t first, last;
} seen;

static bool see(void *ctx, const store_quarantined *q)
{
    seen *s = ctx;

    s->first = s->count == 0 ? q->number : s->first;
    s->last = q->number;
    s->count++;
    return true;
}

static seen look(world_store *x)
{
    seen s = { 0, 0, 0 };

    must(&x->w, store_quarantine_each(x->c, see, &s, &x->w.e));
    return s;
}

static bool doubt(world_store *x, tako_slice id)
{
    bool fresh;

    must(&x->w, store_doubtful(x->s, x->coll, id, &fresh, &x->w.e));
    return fresh;
}

static void test_quarantine__notes_a_doubtful_document_once(void **state)
{
    world_store x;

    (void)state;
    world_begin(&x, 1);
    must(&x.w, store_begin(x.s, &x.w.e));
    assert_true(doubt(&x, id_at(&x.w, 1)));
    assert_false(doubt(&x, id_at(&x.w, 1)));
    assert_true(doubt(&x, id_at(&x.w, 2)));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_int_equal(look(&x).count, 2);
    must(&x.w, store_quarantine_drop(x.s, look(&x).first, &x.w.e));
    assert_int_equal(look(&x).count, 1);
    assert_int_equal(store_quarantine_drop(x.s, 77, &x.w.e), TAKO_NOTFOUND);
    world_end(&x);
}

static void test_quarantine__is_bounded(void **state)
{
    world_store x;
    seen s;

    (void)state;
    world_begin(&x, 2);
    must(&x.w, store_begin(x.s, &x.w.e));
    for (uint64_t i = 0; i < TAKO_QUARANTINE_DOCS_MAX + 500; i++)
        (void)doubt(&x, id_at(&x.w, i));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    s = look(&x);
    assert_true(s.count <= TAKO_QUARANTINE_DOCS_MAX + 64);
    assert_int_equal(s.last, TAKO_QUARANTINE_DOCS_MAX + 500);
    assert_true(s.first > 400); /* the oldest left */
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine__notes_a_doubtful_document_once),
        cmocka_unit_test(test_quarantine__is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
