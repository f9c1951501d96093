// SPDX-License-Identifier: Apache-2.0
/* Random histories of two replicas; after each step the table of references
 * must say exactly what the documents hold, which store_check() finds by
 * decoding every document. */
#include "store/support_files.h"

#include <stdio.h>

#include "store/support_blob.h"

#define DOCS   4
#define TOKENS 3

typedef struct two {
    test_world w;
    store *s[2];
    uint32_t coll[2];
} two;

static void two_begin(two *p, uint64_t seed)
{
    static const char *const names[] = { "a", "b" };

    world_init(&p->w, seed);
    for (int i = 0; i < 2; i++) {
        p->s[i] = world_open(&p->w, names[i]);
        p->coll[i] = coll_of(&p->w, p->s[i], "menu");
    }
}

static void two_end(two *p)
{
    store_close(p->s[0]);
    store_close(p->s[1]);
    world_fini(&p->w);
}

static void found(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

static void two_check(two *p)
{
    for (int i = 0; i < 2; i++) {
        must(&p->w,
             store_blob_check(store_writer(p->s[i]), found, NULL, &p->w.e));
    }
}

static tako_slice token(two *p, unsigned n)
{
    tako_buf b = tako_buf_on(&p->w.t.env);
    blob_token t = { .len = n };
    tako_slice out;

    memset(t.id, (int)n + 1, sizeof t.id);
    must(&p->w, blob_token_put(&t, &b, &p->w.e));
    out = tako_arena_copy(&p->w.arena, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return out;
}

static uint64_t refs(two *p, int side, unsigned n)
{
    uint8_t id[32];
    uint64_t count;

    memset(id, (int)n + 1, sizeof id);
    must(&p->w, store_blob_refs(store_writer(p->s[side]), id, &count, &p->w.e));
    return count;
}

static void set_at(two *p, int side, tako_slice id, const char *a,
                   const char *b, crdt_type type, tako_slice value)
{
    tako_slice keys[2] = { tako_slice_str(a), tako_slice_str(b) };
    crdt_path path = { keys, b[0] == '\0' ? 1 : 2 };
    crdt_doc *d = NULL;
    crdt_dot dot;

    must(&p->w, store_edit(p->s[side], p->coll[side], id, &d, &p->w.e));
    must(&p->w, store_dot(p->s[side], &dot, &p->w.e));
    if (value.len > 0)
        must(&p->w, crdt_set(d, dot, path, type, value, &p->w.e));
    else
        must(&p->w, crdt_unset(d, dot, path));
    must(&p->w, store_edit_save(p->s[side], &p->w.e));
}

static void copy_over(two *p, int from, tako_slice id)
{
    store_row row;
    tako_err err = store_get(store_writer(p->s[from]), p->coll[from], id, &row);
    crdt_merge_info info;
    tako_slice meta, body;

    if (err == TAKO_NOTFOUND || store_row_is_marker(&row))
        return;
    must(&p->w, err);
    meta = tako_arena_copy(&p->w.arena, row.meta);
    body = row.body.len > 0 ? tako_arena_copy(&p->w.arena, row.body)
                            : TAKO_SLICE_NONE;
    must(&p->w, store_begin(p->s[!from], &p->w.e));
    must(&p->w,
         (test_below(&p->w.t, 2) ? store_merge : store_merge_back)(
             p->s[!from], p->coll[!from], id, meta, body, &info, &p->w.e));
    must(&p->w, store_commit(p->s[!from], NULL, &p->w.e));
}

static bool alive(two *p, int side, tako_slice id)
{
    store_row row;

    return store_get(store_writer(p->s[side]), p->coll[side], id, &row) ==
               TAKO_OK &&
           row.body.len > 0;
}

static void write_some(two *p, int side, tako_slice id)
{
    static const char *const keys[] = { "a", "b" };
    static const char *const inner[] = { "", "c", "d" };
    unsigned writes = 1 + (unsigned)test_below(&p->w.t, 3);

    for (unsigned i = 0; i < writes; i++) {
        const char *a = keys[test_below(&p->w.t, 2)];
        const char *b = inner[test_below(&p->w.t, 3)];
        unsigned n = (unsigned)test_below(&p->w.t, TOKENS);

        switch (test_below(&p->w.t, 4)) {
        case 0:
            set_at(p, side, id, a, b, CRDT_AUTO, TAKO_SLICE_NONE);
            break;
        case 1: /* looks like one, and is none */
            set_at(p, side, id, a, b, CRDT_REGISTER, token(p, n));
            break;
        default:
            set_at(p, side, id, a, b, CRDT_ATTACHMENT, token(p, n));
            break;
        }
    }
}

static void step(two *p)
{
    int side = (int)test_below(&p->w.t, 2);
    tako_slice id = id_at(&p->w, test_below(&p->w.t, DOCS));
    store *s = p->s[side];
    tako_err err = TAKO_OK;
    uint64_t what = test_below(&p->w.t, 10);

    p->w.t.wall_ms++;
    if (what >= 6) {
        copy_over(p, side, id);
        return;
    }
    must(&p->w, store_begin(s, &p->w.e));
    if (!alive(p, side, id))
        put_one(&p->w, s, p->coll[side], id, "{\"x\":1}");
    if (what == 5)
        delete_one(&p->w, s, p->coll[side], id);
    else if (what == 4)
        err = store_evict(s, p->coll[side], id, true, &p->w.e);
    else
        write_some(p, side, id);
    must(&p->w, err);
    if (test_below(&p->w.t, 8) == 0)
        store_rollback(s);
    else
        must(&p->w, store_commit(s, NULL, &p->w.e));
}

static void test_blob_ref__says_what_documents_hold(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        two p;

        two_begin(&p, test_seed(seed));
        for (unsigned i = 0; i < 120; i++) {
            step(&p);
            two_check(&p);
        }
        two_end(&p);
    }
}

/* Both sides set the same path apart: after merging one shows, and both are
 * kept, until a write has seen them. */
static void test_blob_ref__siblings_count(void **state)
{
    tako_slice id;
    two p;

    (void)state;
    two_begin(&p, 1);
    id = id_at(&p.w, 0);
    must(&p.w, store_begin(p.s[0], &p.w.e));
    put_one(&p.w, p.s[0], p.coll[0], id, "{\"x\":1}");
    must(&p.w, store_commit(p.s[0], NULL, &p.w.e));
    copy_over(&p, 0, id);
    for (int side = 0; side < 2; side++) {
        must(&p.w, store_begin(p.s[side], &p.w.e));
        set_at(&p, side, id, "photo", "", CRDT_ATTACHMENT,
               token(&p, (unsigned)side));
        must(&p.w, store_commit(p.s[side], NULL, &p.w.e));
    }
    copy_over(&p, 0, id);
    assert_int_equal(refs(&p, 1, 0), 1);
    assert_int_equal(refs(&p, 1, 1), 1);
    must(&p.w, store_begin(p.s[1], &p.w.e));
    set_at(&p, 1, id, "photo", "", CRDT_ATTACHMENT, token(&p, 2));
    must(&p.w, store_commit(p.s[1], NULL, &p.w.e));
    assert_int_equal(refs(&p, 1, 0) + refs(&p, 1, 1), 0);
    assert_int_equal(refs(&p, 1, 2), 1);
    two_check(&p);
    two_end(&p);
}

/* A token that lost against something else stands in meta alone. */
static void test_blob_ref__a_loser_alone_counts(void **state)
{
    tako_slice id;
    two p;

    (void)state;
    two_begin(&p, 3);
    id = id_at(&p.w, 0);
    must(&p.w, store_begin(p.s[0], &p.w.e));
    put_one(&p.w, p.s[0], p.coll[0], id, "{\"x\":1}");
    must(&p.w, store_commit(p.s[0], NULL, &p.w.e));
    copy_over(&p, 0, id);
    for (int side = 0; side < 2; side++) {
        p.w.t.wall_ms += 1000; /* so that the number shows */
        must(&p.w, store_begin(p.s[side], &p.w.e));
        if (side == 0)
            set_at(&p, side, id, "photo", "", CRDT_ATTACHMENT, token(&p, 0));
        else
            set_one(&p.w, p.s[side], p.coll[side], id, "photo", "5");
        must(&p.w, store_commit(p.s[side], NULL, &p.w.e));
    }
    copy_over(&p, 0, id);
    assert_int_equal(refs(&p, 1, 0), 1);
    copy_over(&p, 1, id);
    assert_int_equal(refs(&p, 0, 0), 1);
    must(&p.w, store_begin(p.s[1], &p.w.e));
    set_one(&p.w, p.s[1], p.coll[1], id, "photo", "6");
    must(&p.w, store_commit(p.s[1], NULL, &p.w.e));
    assert_int_equal(refs(&p, 1, 0), 0);
    two_check(&p);
    two_end(&p);
}

/* Two saves of one edit: what the first one said must not stay. */
static void test_blob_ref__two_saves_of_one_edit(void **state)
{
    tako_slice id, key = tako_slice_str("photo");
    crdt_doc *d = NULL;
    crdt_dot dot;
    two p;

    (void)state;
    two_begin(&p, 2);
    id = id_at(&p.w, 0);
    must(&p.w, store_begin(p.s[0], &p.w.e));
    put_one(&p.w, p.s[0], p.coll[0], id, "{\"x\":1}");
    must(&p.w, store_commit(p.s[0], NULL, &p.w.e));
    must(&p.w, store_begin(p.s[0], &p.w.e));
    must(&p.w, store_edit(p.s[0], p.coll[0], id, &d, &p.w.e));
    must(&p.w, store_dot(p.s[0], &dot, &p.w.e));
    must(&p.w, crdt_set(d, dot, (crdt_path){ &key, 1 }, CRDT_ATTACHMENT,
                        token(&p, 0), &p.w.e));
    must(&p.w, store_edit_save(p.s[0], &p.w.e));
    must(&p.w, crdt_unset(d, dot, (crdt_path){ &key, 1 }));
    must(&p.w, store_edit_save(p.s[0], &p.w.e));
    must(&p.w, store_commit(p.s[0], NULL, &p.w.e));
    assert_int_equal(refs(&p, 0, 0), 0);
    two_check(&p);
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_ref__says_what_documents_hold),
        cmocka_unit_test(test_blob_ref__siblings_count),
        cmocka_unit_test(test_blob_ref__a_loser_alone_counts),
        cmocka_unit_test(test_blob_ref__two_saves_of_one_edit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
