// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <stdio.h>
#include <string.h>

#include "crdt/fields.h"
#include "crdt/tree.h"

enum { ASKER, ASKED, OTHER };

/* What `r` asks of who had the context `seen`; nothing when it would ask for
 * the whole document. */
static tako_slice question_of(world *w, const crdt_doc *r,
                              const crdt_context *seen)
{
    tako_buf out = tako_buf_on(&w->t.env);
    tako_slice bytes = TAKO_SLICE_NONE;
    tako_err err = crdt_fields_ask(r, seen, world_key, &out);

    assert_true(err == TAKO_OK || err == TAKO_UNSUPPORTED);
    if (err == TAKO_OK)
        bytes = tako_arena_copy(&w->arena, tako_buf_slice(&out));
    else
        assert_int_equal(out.len, 0);
    tako_buf_fini(&out);
    return bytes;
}

/* The answer; nothing when the whole state would be sent. */
static tako_slice answer_of(world *w, const crdt_doc *d, tako_slice question)
{
    tako_buf out = tako_buf_on(&w->t.env);
    tako_slice bytes = TAKO_SLICE_NONE;
    crdt_fields asked;

    assert_int_equal(crdt_fields_read(&w->arena, question, &asked, NULL),
                     TAKO_OK);
    if (crdt_fields_fit(d, &asked)) {
        assert_int_equal(crdt_fields_answer(d, &asked, world_key,
                                            &crdt_names_plain_out, &out),
                         TAKO_OK);
        bytes = tako_arena_copy(&w->arena, tako_buf_slice(&out));
    }
    tako_buf_fini(&out);
    return bytes;
}

/* Writes and merges of a few replicas. */
static void live(world *w, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        unsigned r = (unsigned)test_below(&w->t, 3);

        if (test_below(&w->t, 4) != 0)
            world_random_write(w, r);
        else
            (void)world_merge(w, r, (unsigned)test_below(&w->t, 3));
    }
}

typedef struct counts {
    unsigned applied, stale, refused, whole, unlike;
} counts;

static void run_history(world *w, counts *c)
{
    uint64_t seed = w->t.seed;
    crdt_doc *past, *expected;
    tako_slice question, answer;

    world_clear(w);
    live(w, 2 + (unsigned)test_below(&w->t, 24));
    past = world_joined(w, w->doc[ASKED], NULL);
    live(w, (unsigned)test_below(&w->t, 8));
    question = question_of(w, w->doc[ASKER], crdt_doc_context(past));
    if (question.len == 0) {
        c->whole++;
        return;
    }
    live(w, (unsigned)test_below(&w->t, 8)); /* the question is on its way */
    answer = answer_of(w, w->doc[ASKED], question);
    if (answer.len == 0) {
        c->whole++;
        return;
    }
    expected = world_joined(w, w->doc[ASKED], NULL);
    live(w, (unsigned)test_below(&w->t, 8)); /* and the answer */
    past = world_joined(w, w->doc[ASKER], NULL);
    expected = world_joined(w, past, expected);
    switch (world_apply(w->doc[ASKER], answer)) {
    case CRDT_DELTA_APPLIED:
        c->applied++;
        c->unlike += !world_same(w, past, expected);
        break;
    case CRDT_DELTA_STALE:
        c->stale++;
        break;
    case CRDT_DELTA_NEEDS: /* only of what was forgotten meanwhile */
        c->refused++;
        expected = past;
        break;
    }
    world_expect_same(w, seed, "by fields", w->doc[ASKER], expected);
}

/* P2, P5: whatever happened before the question, on its way and on the way of
 * the answer, it does what the whole state would do. */
static void test_fields__the_answer_does_what_the_whole_would(void **state)
{
    counts c = { 0 };
    world w;

    (void)state;
    world_init(&w, test_seed(20267));
    w.rare = 64;
    for (unsigned i = 0; i < 40000; i++) {
        w.keeps = i % 8 != 0;
        run_history(&w, &c);
    }
    assert_true(c.applied > 10000);
    assert_true(c.unlike > 5000);
    assert_true(c.stale > 500);
    assert_true(c.whole > 500);
    assert_true(c.refused > 0);
    world_fini(&w);
}

/* A write of one's own over what the other has still makes every sum over the
 * whole disagree, also after the answer. By fields it is told once. */
static void test_fields__an_own_write_is_no_reason_to_ask_again(void **state)
{
    world w;
    tako_slice question;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':{'c':2,'d':3},'e':4}");
    (void)world_merge(&w, 1, 0);
    world_set(&w, ASKED, "a", "5");
    world_unset(&w, ASKED, "b.c");
    world_set(&w, ASKER, "e", "6");
    question = question_of(&w, w.doc[ASKER], crdt_doc_context(w.doc[ASKED]));
    assert_int_equal(
        world_apply(w.doc[ASKER], answer_of(&w, w.doc[ASKED], question)),
        CRDT_DELTA_APPLIED);
    world_expect(&w, ASKER, "{'a':5,'b':{'d':3},'e':6}");
    (void)world_merge(&w, ASKED, ASKER);
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    world_fini(&w);
}

/* A field of which nothing is left at the other side has no sum there. */
static void test_fields__a_field_that_is_gone_is_told(void **state)
{
    world w;
    tako_slice question;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':2,'z':0}");
    (void)world_merge(&w, 1, 0);
    world_unset(&w, ASKED, "a");
    world_set(&w, ASKED, "b", "{'c':1}");
    question = question_of(&w, w.doc[ASKER], crdt_doc_context(w.doc[ASKED]));
    assert_int_equal(
        world_apply(w.doc[ASKER], answer_of(&w, w.doc[ASKED], question)),
        CRDT_DELTA_APPLIED);
    world_expect(&w, ASKER, "{'b':{'c':1},'z':0}");
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    world_fini(&w);
}

/* A document of 64 KiB, of which one field is missing. */
static void test_fields__one_field_of_many_is_short(void **state)
{
    char path[16], text[480];
    world w;
    tako_slice question, answer;
    crdt_doc *before;
    tako_buf meta, body;

    (void)state;
    world_init(&w, 1);
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 2] = '\'';
    text[sizeof text - 1] = '\0';
    world_insert(&w, ASKED, "{'missing':1}");
    for (unsigned i = 0; i < 140; i++) {
        (void)snprintf(path, sizeof path, "f%u", i);
        world_set(&w, ASKED, path, text);
    }
    (void)world_merge(&w, ASKER, ASKED);
    before = world_joined(&w, w.doc[ASKED], NULL);
    world_unset(&w, ASKED, "missing");
    world_set(&w, ASKED, "new", "1");
    question = question_of(&w, w.doc[ASKER], crdt_doc_context(before));
    answer = answer_of(&w, w.doc[ASKED], question);
    assert_int_equal(crdt_doc_encode(w.doc[ASKED], &meta, &body), TAKO_OK);
    assert_true(meta.len + body.len > 65536);
    assert_true(question.len < 2048);
    assert_true(answer.len < 128);
    assert_int_equal(world_apply(w.doc[ASKER], answer), CRDT_DELTA_APPLIED);
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

static void test_fields__asks_for_the_whole_where_it_has_to(void **state)
{
    char path[16];
    crdt_context none = { 0 };
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 1, "{'a':1}");
    /* nothing here, */
    assert_int_equal(question_of(&w, w.doc[0], crdt_doc_context(w.doc[1])).len,
                     0);
    /* nothing that both have seen, */
    assert_int_equal(question_of(&w, w.doc[1], &none).len, 0);
    /* deleted, */
    (void)world_merge(&w, 0, 1);
    world_delete(&w, 0);
    assert_int_equal(question_of(&w, w.doc[0], crdt_doc_context(w.doc[1])).len,
                     0);
    /* or with too many fields. */
    for (unsigned i = 1; i < TAKO_FIELD_SUMS_MAX; i++) {
        (void)snprintf(path, sizeof path, "f%u", i);
        world_set(&w, 1, path, "1");
    }
    assert_true(question_of(&w, w.doc[1], crdt_doc_context(w.doc[1])).len > 0);
    world_set(&w, 1, "one more", "1");
    assert_int_equal(question_of(&w, w.doc[1], crdt_doc_context(w.doc[1])).len,
                     0);
    world_fini(&w);
}

static void test_fields__is_sent_whole_where_it_does_not_fit(void **state)
{
    world w;
    tako_slice question;
    crdt_doc *old;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1}");
    (void)world_merge(&w, 1, 0);
    old = world_joined(&w, w.doc[1], NULL);
    world_set(&w, 0, "a", "2");
    question = question_of(&w, w.doc[0], crdt_doc_context(w.doc[0]));
    /* It has not all that it was asked about, */
    assert_int_equal(answer_of(&w, old, question).len, 0);
    (void)world_merge(&w, 1, 0);
    assert_true(answer_of(&w, w.doc[1], question).len > 0);
    /* is deleted, */
    world_delete(&w, 1);
    assert_int_equal(answer_of(&w, w.doc[1], question).len, 0);
    /* or lives again. */
    world_insert(&w, 1, "{'a':3}");
    assert_int_equal(answer_of(&w, w.doc[1], question).len, 0);
    world_fini(&w);
}

/* What one byte changes is refused, or a question that gets an answer which
 * can be read. */
static void test_fields__survives_damage(void **state)
{
    unsigned read = 0;
    world w;

    (void)state;
    world_init(&w, test_seed(20268));
    for (unsigned i = 0; i < 3000; i++) {
        tako_slice bytes;
        crdt_fields asked;

        world_clear(&w);
        world_insert(&w, 0, "{'a':{'b':1},'cc':4,'d':5}");
        (void)world_merge(&w, 1, 0);
        for (unsigned k = 0; k < 6; k++)
            world_random_write(&w, k & 1);
        bytes = question_of(&w, w.doc[0], crdt_doc_context(w.doc[1]));
        if (bytes.len == 0)
            continue;
        ((uint8_t *)(uintptr_t)bytes.ptr)[test_below(&w.t, bytes.len)] ^=
            (uint8_t)(1u << test_below(&w.t, 8));
        if (crdt_fields_read(&w.arena, bytes, &asked, NULL) != TAKO_OK)
            continue;
        read++;
        bytes = answer_of(&w, w.doc[1], bytes);
        if (bytes.len > 0)
            (void)world_apply(w.doc[0], bytes);
        (void)world_copy(&w, w.doc[0]);
    }
    assert_true(read > 0);
    world_fini(&w);
}

static void test_fields__refuses_what_is_malformed(void **state)
{
    world w;
    tako_slice good;
    crdt_fields asked;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':2}");
    good = question_of(&w, w.doc[0], crdt_doc_context(w.doc[0]));
    assert_int_equal(crdt_fields_read(&w.arena, good, &asked, NULL), TAKO_OK);
    assert_int_equal(asked.count, 2);
    for (size_t n = 0; n < good.len; n++)
        assert_int_equal(crdt_fields_read(&w.arena, tako_slice_of(good.ptr, n),
                                          &asked, NULL),
                         TAKO_CORRUPT);
    /* Keys that do not ascend. */
    memcpy((uint8_t *)(uintptr_t)good.ptr + good.len - 9, "a", 1);
    assert_int_equal(crdt_fields_read(&w.arena, good, &asked, NULL),
                     TAKO_CORRUPT);
    world_fini(&w);
}

static void test_fields__survives_lack_of_memory(void **state)
{
    tako_err err = TAKO_NOMEM;
    tako_buf meta, body;
    world w;

    (void)state;
    world_init(&w, 1);
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    world_insert(&w, 0, "{'a':{'b':1},'cc':4}");
    world_set(&w, 0, "a.b", "{'q':1}");
    assert_int_equal(crdt_doc_encode(w.doc[0], &meta, &body), TAKO_OK);
    for (long n = 0; err == TAKO_NOMEM; n++) {
        test_env t;
        tako_arena a;
        tako_buf asked, answer;
        crdt_fields f;
        crdt_doc *d;

        assert_true(n < 1000);
        test_env_init(&t, 1);
        t.fail_after = n;
        a = tako_arena_on(&t.env);
        asked = tako_buf_on(&t.env);
        answer = tako_buf_on(&t.env);
        err = crdt_doc_decode(&a, tako_buf_slice(&meta), tako_buf_slice(&body),
                              &d, NULL);
        if (err == TAKO_OK)
            err = crdt_fields_ask(d, crdt_doc_context(d), world_key, &asked);
        if (err == TAKO_OK)
            err = crdt_fields_read(&a, tako_buf_slice(&asked), &f, NULL);
        if (err == TAKO_OK)
            err = crdt_fields_answer(d, &f, world_key, &crdt_names_plain_out,
                                     &answer);
        assert_true(err == TAKO_OK || err == TAKO_NOMEM);
        tako_buf_fini(&asked);
        tako_buf_fini(&answer);
        tako_arena_fini(&a);
        test_env_check_empty(&t);
    }
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields__an_own_write_is_no_reason_to_ask_again),
        cmocka_unit_test(test_fields__a_field_that_is_gone_is_told),
        cmocka_unit_test(test_fields__one_field_of_many_is_short),
        cmocka_unit_test(test_fields__asks_for_the_whole_where_it_has_to),
        cmocka_unit_test(test_fields__is_sent_whole_where_it_does_not_fit),
        cmocka_unit_test(test_fields__survives_damage),
        cmocka_unit_test(test_fields__refuses_what_is_malformed),
        cmocka_unit_test(test_fields__survives_lack_of_memory),
        cmocka_unit_test(test_fields__the_answer_does_what_the_whole_would),
    };

    return cmocka_run_group_tests_name("crdt/fields", tests, NULL, NULL);
}
