// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/value.h"

#define PAIRS_MAX 40

/* A map in order with keys of all lengths and values of all kinds. */
typedef struct any_map {
    tako_buf bytes;
    tako_slice keys[PAIRS_MAX], values[PAIRS_MAX]; /* into bytes */
    size_t count;
} any_map;

static void put_any(tako_buf *b, test_env *t, unsigned depth)
{
    static const int64_t wholes[] = { 0,      23,        24,       255, 256,
                                      65535,  65536,     1 << 30,  -1,  -25,
                                      -70000, INT64_MAX, INT64_MIN };
    static const double reals[] = { 0.5, 1e-3, 3.4e38, 1e300, -0.0 };
    static const char text[] =
        "a text that is long enough for every head .....";
    uint64_t n = test_below(t, 48);

    switch (test_below(t, depth > 0 ? 8 : 6)) {
    case 0:
        cbor_put_int(b, wholes[n % 13]);
        break;
    case 1:
        cbor_put_float(b, reals[n % 5]);
        break;
    case 2:
        cbor_put_bytes(b, tako_slice_of(text, n));
        break;
    case 3:
        cbor_put_bool(b, n % 2 != 0);
        break;
    case 4:
    case 5:
        cbor_put_text(b, tako_slice_of(text, n));
        break;
    case 6:
        n %= 30;
        cbor_put_array(b, n);
        for (uint64_t i = 0; i < n; i++)
            put_any(b, t, depth - 1);
        break;
    default:
        n %= 30;
        cbor_put_map(b, n);
        for (uint64_t i = 0; i < n; i++) {
            cbor_put_text(b, tako_slice_of(text, i)); /* ascending */
            put_any(b, t, depth - 1);
        }
        break;
    }
}

static void map_make(any_map *m, test_env *t)
{
    size_t at[2 * PAIRS_MAX + 1];

    m->count = (size_t)test_below(t, PAIRS_MAX);
    m->bytes = tako_buf_on(&t->env);
    cbor_put_map(&m->bytes, m->count);
    for (size_t i = 0; i < m->count; i++) {
        char key[64];
        int len;

        /* Two keys of each length; even numbers, so that odd ones lack. */
        len = snprintf(key, sizeof key, "%0*zu", (int)(i / 2 + 2), 2 * i);
        at[2 * i] = m->bytes.len;
        cbor_put_text(&m->bytes, tako_slice_of(key, (size_t)len));
        at[2 * i + 1] = m->bytes.len;
        put_any(&m->bytes, t, 2);
    }
    at[2 * m->count] = m->bytes.len;
    for (size_t i = 0; i < m->count; i++) {
        const uint8_t *p = m->bytes.ptr;

        m->keys[i] = tako_slice_of(p + at[2 * i], at[2 * i + 1] - at[2 * i]);
        m->values[i] =
            tako_slice_of(p + at[2 * i + 1], at[2 * i + 2] - at[2 * i + 1]);
    }
}

static void test_value__finds_each_key_and_no_other(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(7));
    for (unsigned round = 0; round < 300; round++) {
        any_map m;
        tako_slice all;

        map_make(&m, &t);
        all = tako_buf_slice(&m.bytes);
        assert_ptr_equal(value_skip(all.ptr, all.ptr + all.len),
                         all.ptr + all.len);
        for (size_t i = 0; i < m.count; i++) {
            tako_slice got = value_get(all, m.keys[i]), v = m.values[i];
            uint8_t other[80];

            assert_ptr_equal(got.ptr, v.ptr);
            assert_int_equal(got.len, v.len);
            assert_ptr_equal(value_skip(v.ptr, v.ptr + v.len), v.ptr + v.len);
            memcpy(other, m.keys[i].ptr, m.keys[i].len);
            other[m.keys[i].len - 1]++; /* an odd number */
            assert_int_equal(
                value_get(all, tako_slice_of(other, m.keys[i].len)).len, 0);
        }
        tako_buf_fini(&m.bytes);
    }
    test_env_check_empty(&t);
}

/* Cut anywhere, or with a wrong byte, a map gives what lies in it or nothing.
 * Each is in memory of its own size, for the sanitizer. */
static void test_value__never_leaves_damaged_bytes(void **state)
{
    test_env t;

    (void)state;
    test_env_init(&t, test_seed(7));
    for (unsigned round = 0; round < 60; round++) {
        any_map m;

        map_make(&m, &t);
        for (unsigned k = 0; k < 200 && m.count > 0; k++) {
            size_t len = 1 + (size_t)test_below(&t, m.bytes.len);
            uint8_t *copy = malloc(len);
            tako_slice got;

            assert_non_null(copy);
            memcpy(copy, m.bytes.ptr, len);
            if (k % 2 != 0)
                copy[test_below(&t, len)] = (uint8_t)test_random(&t);
            got = value_get(tako_slice_of(copy, len),
                            m.keys[test_below(&t, m.count)]);
            if (got.len > 0)
                assert_true(got.ptr >= copy && got.ptr + got.len <= copy + len);
            free(copy);
        }
        tako_buf_fini(&m.bytes);
    }
    test_env_check_empty(&t);
}

static void test_value__orders_kinds_as_the_language_says(void **state)
{
    test_db *db = *state;

    insert_kinds(db);
    for (int indexed = 0; indexed < 2; indexed++) {
        expect(
            db, "SELECT _id FROM p ORDER BY v", NULL,
            "{\"_id\":\"10\"} {\"_id\":\"4\"} {\"_id\":\"1\"} {\"_id\":\"2\"} "
            "{\"_id\":\"9\"} {\"_id\":\"3\"} {\"_id\":\"7\"} {\"_id\":\"8\"} "
            "{\"_id\":\"5\"} {\"_id\":\"6\"}");
        expect(db, "SELECT _id FROM p ORDER BY v DESC LIMIT 3", NULL,
               "{\"_id\":\"6\"} {\"_id\":\"5\"} {\"_id\":\"8\"}");
        expect(db, "SELECT _id FROM p ORDER BY v LIMIT :n OFFSET 8",
               "{\"n\":1}", "{\"_id\":\"5\"}");
        expect(db, "SELECT _id FROM p ORDER BY k DESC, v OFFSET 9", NULL,
               "{\"_id\":\"5\"}");
        (void)must(db, "CREATE INDEX IF NOT EXISTS byv ON p (v)", NULL);
    }
    assert_non_null(
        strstr(plan_of(db, "SELECT * FROM p ORDER BY v", NULL), "USING INDEX"));
    assert_null(strstr(plan_of(db, "SELECT * FROM p ORDER BY v DESC", NULL),
                       "TEMP B-TREE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_value__orders_kinds_as_the_language_says),
        cmocka_unit_test(test_value__finds_each_key_and_no_other),
        cmocka_unit_test(test_value__never_leaves_damaged_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
