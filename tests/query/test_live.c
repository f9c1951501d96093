// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_live.c mirrors src/query/live.c, terms.c and pool.c: what
 * is found by values is what trying every statement on every document, by
 * SQLite alone, finds. */
#include "support_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "query/live.h"

#define WATCHES 150

/* ---- random conditions and documents ------------------------------------------ */

static const char *const values[] = {
    "0",
    "1",
    "-1",
    "1.0",
    "-0.0",
    "2.5",
    "300",
    "70000.0",
    "\"\"",
    "\"a\"",
    "\"ab\"",
    "\"1\"",
    "true",
    "false",
    "null",
    "[1]",
    "[1.0]",
    "{\"k\":1}",
    "{}",
    "9007199254740993",
    "9007199254740992.0",
    "-9223372036854775808",
    "1e300",
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *value_at(test_env *t)
{
    return values[test_below(t, COUNT(values))];
}

static const char *path_at(test_env *t)
{
    static const char *const paths[] = { "f",   "g",   "c.f",  "f.k",
                                         "_id", "g.k", "c._id" };

    return paths[test_below(t, COUNT(paths))];
}

static void random_term(test_env *t, const char *path, char *out, size_t cap)
{
    switch (test_below(t, 4)) {
    case 0:
        (void)snprintf(out, cap, "%s IN (%s, %s, %s)", path, value_at(t),
                       value_at(t), value_at(t));
        break;
    case 1:
        (void)snprintf(out, cap, "%s = %s", value_at(t), path);
        break;
    default:
        (void)snprintf(out, cap, "%s = %s", path, value_at(t));
        break;
    }
}

static void random_leaf(test_env *t, char *out, size_t cap)
{
    static const char *const ops[] = { "<", "<=", ">", ">=", "<>", "=" };
    char a[200], b[200];
    const char *path = path_at(t);

    switch (test_below(t, 13)) {
    case 0:
        (void)snprintf(out, cap, "%s %s %s", path,
                       ops[test_below(t, COUNT(ops))], value_at(t));
        break;
    case 1:
        (void)snprintf(out, cap, "NOT (%s %s %s)", value_at(t),
                       ops[test_below(t, COUNT(ops))], path);
        break;
    case 10:
    case 11:
        (void)snprintf(out, cap, "%s %s %s", value_at(t),
                       ops[test_below(t, COUNT(ops))], path);
        break;
    case 12:
        (void)snprintf(out, cap, "%s %sBETWEEN %s AND %s", path,
                       test_below(t, 4) ? "" : "NOT ", value_at(t),
                       value_at(t));
        break;
    case 2:
        (void)snprintf(out, cap, "%s IS MISSING", path);
        break;
    case 3:
    case 4: /* on one path or on two */
        random_term(t, path, a, sizeof a);
        random_term(t, test_below(t, 2) ? path : path_at(t), b, sizeof b);
        (void)snprintf(out, cap, "(%s OR %s)", a, b);
        break;
    case 5:
        (void)snprintf(out, cap, "%s NOT IN (%s)", path, value_at(t));
        break;
    case 6:
        (void)snprintf(out, cap, "%s[0] = %s", path, value_at(t));
        break;
    default:
        random_term(t, path, out, cap);
        break;
    }
}

static void random_select(test_env *t, char *out, size_t cap)
{
    unsigned n = (unsigned)test_below(t, 4);
    size_t len = (size_t)snprintf(out, cap, "SELECT _id FROM c");

    for (unsigned i = 0; i < n; i++) {
        char leaf[700];

        random_leaf(t, leaf, sizeof leaf);
        len += (size_t)snprintf(out + len, cap - len, "%s %s",
                                i == 0 ? " WHERE" : " AND", leaf);
    }
}

static tako_slice random_body(test_db *db, tako_arena *a)
{
    char json[300];
    const char *f = value_at(&db->t), *g = value_at(&db->t);
    tako_buf b = tako_buf_on(&db->t.env);
    tako_slice s;

    switch (test_below(&db->t, 5)) {
    case 0:
        (void)snprintf(json, sizeof json, "{\"f\":%s}", f);
        break;
    case 1:
        (void)snprintf(json, sizeof json, "{\"f\":{\"k\":%s},\"g\":%s}", f, g);
        break;
    case 2:
        return TAKO_SLICE_NONE; /* not there */
    default:
        (void)snprintf(json, sizeof json, "{\"f\":%s,\"g\":%s}", f, g);
        break;
    }
    if (json_to_cbor(tako_slice_str(json), TAKO_JSON_DEPTH_MAX, &b, &db->e) !=
        TAKO_OK)
        fail_msg("%s: %s", json, db->e.text);
    s = tako_arena_copy(a, tako_buf_slice(&b));
    tako_buf_fini(&b);
    return s;
}

/* ---- a world of watches ------------------------------------------------------------ */

typedef struct watch {
    char text[2400];
    live_watch *w; /* NULL: none */
    query *q;      /* tries it on a document by SQLite */
    unsigned matched;
    unsigned times;
} watch;

typedef struct world {
    test_db db;
    query_pool *pool, *judges;
    live *l;
    live_coll *coll;
    watch all[WATCHES];
} world;

static void watch_add(world *w, watch *a)
{
    query_predicate *p = NULL;

    random_select(&w->db.t, a->text, sizeof a->text);
    if (query_predicate_of(w->pool, tako_slice_str(a->text), TAKO_SLICE_NONE,
                           &p, &w->db.e) != TAKO_OK ||
        query_project_prepare(w->judges, tako_slice_str(a->text), &a->q,
                              &w->db.e) != TAKO_OK)
        fail_msg("%s: %s", a->text, w->db.e.text);
    assert_int_equal(live_add(w->l, tako_slice_str("c"), p, a, &a->w), TAKO_OK);
}

static void watch_remove(world *w, watch *a)
{
    live_remove(w->l, a->w);
    query_free(a->q);
    memset(a, 0, sizeof *a);
}

static void world_open(world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    test_db_open(&w->db, test_seed(seed));
    (void)must(&w->db, "INSERT INTO other DOCUMENTS ({'_id': 1})", NULL);
    (void)must(&w->db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(query_pool_new(&w->db.t.env, &w->pool, NULL), TAKO_OK);
    assert_int_equal(query_pool_new(&w->db.t.env, &w->judges, NULL), TAKO_OK);
    assert_int_equal(live_new(&w->db.t.env, &w->l), TAKO_OK);
}

static void world_close(world *w)
{
    for (size_t i = 0; i < WATCHES; i++)
        watch_remove(w, &w->all[i]);
    live_free(w->l);
    query_pool_free(w->pool);
    query_pool_free(w->judges);
    test_db_close(&w->db);
}

static bool on_match(void *ctx, void *owner, unsigned matched)
{
    watch *a = owner;

    (void)ctx;
    a->matched |= matched;
    a->times++;
    return true;
}

static bool tried(world *w, query *q, tako_slice id, tako_slice body)
{
    tako_buf row = tako_buf_on(&w->db.t.env);
    tako_err err;

    if (body.len == 0)
        return false;
    assert_int_equal(query_bind(q, TAKO_SLICE_NONE, &w->db.e), TAKO_OK);
    assert_int_equal(query_project_document(w->judges, -1, id, body, &w->db.e),
                     TAKO_OK);
    err = query_step(q, &row, &w->db.e);
    query_reset(q);
    tako_buf_fini(&row);
    assert_true(err == TAKO_OK || err == TAKO_NOTFOUND);
    return err == TAKO_OK;
}

static void check_document(world *w, tako_slice id, tako_slice before,
                           tako_slice after)
{
    live_commit(w->l);
    live_match(w->l, w->coll, id, before, after, on_match, NULL);
    for (size_t i = 0; i < WATCHES; i++) {
        watch *a = &w->all[i];
        unsigned want = 0;

        if (a->w == NULL)
            continue;
        want |= tried(w, a->q, id, before) ? LIVE_BEFORE : 0u;
        want |= tried(w, a->q, id, after) ? LIVE_AFTER : 0u;
        if (a->matched != want || a->times != (want != 0))
            fail_msg("%s\n  want %u, got %u in %u calls", a->text, want,
                     a->matched, a->times);
        a->matched = a->times = 0;
    }
}

static void test_live__finds_what_trying_all_finds(void **state)
{
    static world w;
    static const char *const ids[] = { "1", "\"a\"", "-1", "\"zz\"", "0" };
    uint32_t c = 0;

    (void)state;
    world_open(&w, 21);
    assert_int_equal(store_coll_find(w.db.conn, tako_slice_str("c"), &c),
                     TAKO_OK);
    assert_null(live_coll_of(w.l, w.db.conn, c));
    for (int i = 0; i < 300; i++) {
        tako_arena a = tako_arena_on(&w.db.t.env);

        for (int k = 0; k < 8; k++) { /* some come, some go */
            watch *x = &w.all[test_below(&w.db.t, WATCHES)];

            if (x->w == NULL || test_below(&w.db.t, 3) == 0) {
                if (x->w != NULL)
                    watch_remove(&w, x);
                watch_add(&w, x);
            }
        }
        w.coll = live_coll_of(w.l, w.db.conn, c);
        assert_non_null(w.coll);
        check_document(&w, cbor_of(&w.db, ids[test_below(&w.db.t, COUNT(ids))]),
                       random_body(&w.db, &a), random_body(&w.db, &a));
        tako_arena_fini(&a);
    }
    assert_null(live_coll_of(w.l, w.db.conn, c == 1 ? 2 : 1));
    world_close(&w);
}

/* ---- the rest ------------------------------------------------------------------------- */

static bool once(void *ctx, void *owner, unsigned matched)
{
    (void)owner;
    (void)matched;
    (*(unsigned *)ctx)++;
    return false;
}

static void test_live__a_watch_that_has_heard_enough_is_left_alone(void **state)
{
    static world w;
    unsigned calls = 0;
    tako_slice id, body;
    live_watch *all, *one;
    query_predicate *p = NULL;

    (void)state;
    world_open(&w, 1);
    id = cbor_of(&w.db, "7");
    body = cbor_of(&w.db, "{\"f\":1}");
    assert_int_equal(query_predicate_of(w.pool,
                                        tako_slice_str("SELECT count(*) AS n "
                                                       "FROM c WHERE f = 1"),
                                        TAKO_SLICE_NONE, &p, &w.db.e),
                     TAKO_OK);
    assert_int_equal(live_add(w.l, tako_slice_str("c"), p, NULL, &one),
                     TAKO_OK);
    assert_int_equal(live_add(w.l, tako_slice_str("c"), NULL, NULL, &all),
                     TAKO_OK);
    w.coll = live_coll_of(w.l, w.db.conn, 2);
    for (int i = 1; i <= 3; i++) {
        live_commit(w.l);
        for (int k = 0; k < 4; k++)
            live_match(w.l, w.coll, id, TAKO_SLICE_NONE, body, once, &calls);
        live_lost(w.l, w.coll, once, &calls);
        assert_int_equal(calls, 2 * i);
    }
    live_commit(w.l);
    live_lost(w.l, w.coll, once, &calls);
    assert_int_equal(calls, 8);
    live_remove(w.l, one);
    live_remove(w.l, all);
    live_remove(w.l, NULL);
    assert_null(live_coll_of(w.l, w.db.conn, 2));
    world_close(&w);
}

static void test_live__refuses_what_one_collection_does_not_decide(void **state)
{
    static world w;
    query_predicate *p = NULL;
    query *q = NULL;

    (void)state;
    world_open(&w, 1);
    assert_int_equal(query_predicate_of(w.pool, tako_slice_str("SELECT 1 AS x"),
                                        TAKO_SLICE_NONE, &p, &w.db.e),
                     TAKO_UNSUPPORTED);
    assert_null(p);
    assert_int_equal(
        query_project_prepare(w.judges,
                              tako_slice_str("SELECT count(*) AS n FROM c"), &q,
                              &w.db.e),
        TAKO_UNSUPPORTED);
    assert_null(q);
    world_close(&w);
}

/* A predicate that was finalized because many others came is prepared anew. */
static void test_pool__prepares_again_what_was_let_go(void **state)
{
    static world w;
    enum { MANY = TAKO_PREDICATES_PREPARED_MAX + 50 };
    static query_predicate *p[MANY];
    tako_slice id, body;

    (void)state;
    world_open(&w, 1);
    id = cbor_of(&w.db, "7");
    body = cbor_of(&w.db, "{\"f\":40}");
    for (int i = 0; i < MANY; i++) {
        char text[80];

        (void)snprintf(text, sizeof text, "SELECT * FROM c WHERE f + 0 > %d",
                       i);
        assert_int_equal(query_predicate_new_in(w.pool, tako_slice_str(text),
                                                TAKO_SLICE_NONE, &p[i],
                                                &w.db.e),
                         TAKO_OK);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 60; i++)
            assert_int_equal(query_predicate_match(p[i], id, body), i < 40);
    for (int i = 0; i < MANY; i++)
        query_predicate_free(p[i]);
    world_close(&w);
}

static void test_live__survives_every_failed_allocation(void **state)
{
    static world w;

    (void)state;
    world_open(&w, 1);
    for (long nth = 0;; nth++) {
        query_predicate *p = NULL;
        live_watch *a = NULL;
        tako_err err;

        w.db.t.failed_once = false;
        w.db.t.fail_after = nth;
        err = query_predicate_of(
            w.pool,
            tako_slice_str("SELECT f FROM c WHERE lower(f) <> '' AND f IN (1, "
                           "2.0, 'x') AND "
                           "g.k = 'y' AND h > 3 ORDER BY f"),
            TAKO_SLICE_NONE, &p, &w.db.e);
        if (err == TAKO_OK)
            err = live_add(w.l, tako_slice_str("c"), p, NULL, &a);
        w.db.t.fail_after = -1;
        live_remove(w.l, a);
        if (!w.db.t.failed_once) {
            assert_int_equal(err, TAKO_OK);
            break;
        }
        assert_int_equal(err, TAKO_NOMEM);
        assert_true(nth < 1000);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live__finds_what_trying_all_finds),
        cmocka_unit_test(
            test_live__a_watch_that_has_heard_enough_is_left_alone),
        cmocka_unit_test(
            test_live__refuses_what_one_collection_does_not_decide),
        cmocka_unit_test(test_pool__prepares_again_what_was_let_go),
        cmocka_unit_test(test_live__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
