// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

static void test_fn_aggregate__counts_sums_and_groups(void **state)
{
    test_db *db = *state;

    expect(db, "SELECT count(*), sum(v) AS s FROM p", NULL, "{\"count(*)\":0}");
    insert_kinds(db);
    expect(db,
           "SELECT count(*) AS n, count(v) AS v, sum(v) AS s, avg(v) AS a, "
           "min(v) AS lo, max(v) AS hi FROM p",
           NULL,
           "{\"a\":1.75,\"n\":10,\"s\":3.5,\"v\":8,\"hi\":{\"z\":1},"
           "\"lo\":false}");
    expect(db,
           "SELECT k, count(DISTINCT k) AS d, count(*) AS n FROM p GROUP BY k "
           "HAVING n > 2 ORDER BY n DESC, k",
           NULL, "{\"d\":1,\"k\":\"a\",\"n\":4} {\"d\":1,\"k\":\"c\",\"n\":4}");
    expect(db, "SELECT DISTINCT k FROM p ORDER BY k", NULL,
           "{\"k\":\"a\"} {\"k\":\"b\"} {\"k\":\"c\"}");
    expect(db,
           "SELECT upper(k) AS u, count(*) AS n FROM p GROUP BY u ORDER BY u",
           NULL,
           "{\"n\":4,\"u\":\"A\"} {\"n\":2,\"u\":\"B\"} {\"n\":4,\"u\":\"C\"}");
    expect(db, "SELECT sum(:x) AS s FROM p", "{\"x\":9223372036854775807}",
           "{\"s\":9.223372036854776e19}");
    expect(db, "SELECT 1 + 1 AS two", NULL, "{\"two\":2}");
}

static void test_fn_aggregate__over_nothing_only_count_is_there(void **state)
{
    test_db *db = *state;
    const char *all = "SELECT count(*) AS n, count(v) AS c, sum(v) AS s, "
                      "avg(v) AS a, min(v) AS i, max(v) AS x, median(v) AS m, "
                      "array_agg(v) AS l FROM q";
    const char *distinct =
        "SELECT count(DISTINCT v) AS c, sum(DISTINCT v) AS s, avg(DISTINCT v) "
        "AS a, min(DISTINCT v) AS i, max(DISTINCT v) AS x, median(DISTINCT v) "
        "AS m, array_agg(DISTINCT v) AS l FROM q";

    expect(db, all, NULL, "{\"c\":0,\"n\":0}");
    expect(db, distinct, NULL, "{\"c\":0}");
    (void)must(db, "INSERT INTO q DOCUMENTS (:d)",
               "{\"d\":[{\"_id\":1,\"v\":2},{\"_id\":2,\"v\":2.0},"
               "{\"_id\":3,\"v\":5},{\"_id\":4,\"v\":null},{\"_id\":5},"
               "{\"_id\":6,\"v\":[1]},{\"_id\":7,\"v\":[1]},"
               "{\"_id\":8,\"v\":[1.0]}]}");
    expect(db, all, NULL,
           "{\"a\":3.0,\"c\":6,\"i\":2.0,\"l\":[[1.0],[1],[1],null,5,2.0,2],"
           "\"m\":2.0,\"n\":8,\"s\":9.0,\"x\":[1.0]}");
    expect(db, distinct, NULL,
           "{\"a\":3.5,\"c\":4,\"i\":2.0,\"l\":[[1.0],[1],null,5,2.0],"
           "\"m\":3.5,\"s\":7.0,\"x\":[1.0]}");
}

static void test_fn_aggregate__median_is_the_middle(void **state)
{
    static const struct {
        const char *values, *want;
    } rows[] = {
        { "[]", "" },
        { "[null,\"x\",[1]]", "" },
        { "[7]", "7" },
        { "[3,1,2]", "2" },
        { "[3,1,2.5]", "2.5" },
        { "[4,1,2,3]", "2.5" },
        { "[2,2,2,2]", "2.0" },
        { "[9223372036854775807,9223372036854775807]", "9.223372036854776e18" },
        { "[9223372036854775807,9223372036854775806,9223372036854775805]",
          "9223372036854775806" },
        { "[1.7e308,1.7e308]", "1.7e308" },
        { "[5e-324,5e-324]", "5e-324" },
        { "[1,\"x\",5,null]", "3.0" },
    };
    test_db *db = *state;
    tako_buf json = tako_buf_on(&db->t.env), want = tako_buf_on(&db->t.env);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *doc = rows[i].values;

        (void)must(db, "DELETE FROM m", NULL);
        tako_buf_reset(&json);
        tako_put_str(&json, "{\"d\":[");
        for (const char *from = doc + 1; *from != '\0' && from[0] != ']';) {
            size_t n = strcspn(from + 1, ",") + 1;

            if (from + n == doc + strlen(doc))
                n--;
            tako_put_fmt(&json, "%s{\"v\":%.*s}", from > doc + 1 ? "," : "",
                         (int)n, from);
            from += n + (from[n] == ',');
        }
        tako_put_str(&json, "]}");
        (void)must(db, "INSERT INTO m DOCUMENTS (:d)", tako_buf_cstr(&json));
        tako_buf_reset(&want);
        if (rows[i].want[0] != '\0')
            tako_put_fmt(&want, "{\"m\":%s}", rows[i].want);
        else
            tako_put_str(&want, "{}");
        expect(db, "SELECT median(v) AS m FROM m", NULL, tako_buf_cstr(&want));
    }
    tako_buf_fini(&json);
    tako_buf_fini(&want);
}

/* Against sorting: many numbers, many equal. */
static void test_fn_aggregate__median_of_random_numbers(void **state)
{
    test_db *db = *state;
    tako_buf json = tako_buf_on(&db->t.env);
    char want[80];

    db->t.seed = test_seed(15);
    for (unsigned round = 0; round < 30; round++) {
        size_t n = 1 + (size_t)test_below(&db->t, 60);
        unsigned count[20] = { 0 };
        int middle[2] = { -1, -1 };
        size_t seen = 0;

        (void)must(db, "DELETE FROM m", NULL);
        tako_buf_reset(&json);
        for (size_t i = 0; i < n; i++) {
            unsigned v = (unsigned)test_below(&db->t, 20);

            count[v]++;
            tako_put_fmt(&json, "%s{\"v\":%u}", i > 0 ? "," : "{\"d\":[", v);
        }
        tako_put_str(&json, "]}");
        (void)must(db, "INSERT INTO m DOCUMENTS (:d)", tako_buf_cstr(&json));
        for (int v = 0; v < 20; v++) {
            for (unsigned i = 0; i < count[v]; i++, seen++) {
                if (seen == (n - 1) / 2)
                    middle[0] = v;
                if (seen == n / 2)
                    middle[1] = v;
            }
        }
        if (n % 2 == 1)
            (void)snprintf(want, sizeof want, "{\"m\":%d}", middle[0]);
        else
            (void)snprintf(want, sizeof want, "{\"m\":%.1f}",
                           (middle[0] + middle[1]) / 2.0);
        expect(db, "SELECT median(v) AS m FROM m", NULL, want);
    }
    tako_buf_fini(&json);
}

/* The order of rows is that of a SELECT without ORDER BY. */
static void test_fn_aggregate__array_agg_keeps_the_order_of_rows(void **state)
{
    test_db *db = *state;

    insert_kinds(db);
    expect(db, "SELECT v FROM p USE IDS '1','5','6','9'", NULL,
           "{\"v\":{\"$bytes\":\"AA==\"}} {} {\"v\":null} {\"v\":1}");
    expect(db, "SELECT array_agg(v) AS l FROM p USE IDS '1','5','6','9'", NULL,
           "{\"l\":[{\"$bytes\":\"AA==\"},null,1]}");
    expect(db,
           "SELECT k, array_agg(_id) AS l FROM p USE IDS "
           "'1','2','3','4','5','6' GROUP BY k ORDER BY k",
           NULL,
           "{\"k\":\"a\",\"l\":[\"5\",\"3\",\"1\"]} "
           "{\"k\":\"b\",\"l\":[\"4\",\"2\"]} "
           "{\"k\":\"c\",\"l\":[\"6\"]}");
    expect(db, "SELECT array_agg({'v': v}) AS l FROM p USE IDS '1','5','6'",
           NULL, "{\"l\":[{},{\"v\":null},{\"v\":1}]}");
    expect(db, "SELECT array_agg(nothing) AS l FROM p", NULL, "{}");
}

/* 64 MiB is as much as one group may hold. */
static void test_fn_aggregate__what_is_held_is_bounded(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO b DOCUMENTS ({'v': repeat('x', 1000000)})",
               NULL);
    for (int i = 0; i < 7; i++) /* 128 documents by doubling */
        for (int k = 0; k < 1 << i; k++)
            (void)must(db,
                       "INSERT INTO b DOCUMENTS ({'v': repeat('x', 1000000)})",
                       NULL);
    expect(db, "SELECT array_length(array_agg(v)) AS n FROM b WHERE false",
           NULL, "{}");
    expect(db, "SELECT array_length(array_agg(v)) AS n FROM b", NULL,
           "ERROR TAKO_LIMIT: string or blob too big");
    expect(db, "SELECT median(char_length(v)) AS n FROM b", NULL,
           "{\"n\":1000000.0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_aggregate__counts_sums_and_groups),
        IN_DB(test_fn_aggregate__over_nothing_only_count_is_there),
        IN_DB(test_fn_aggregate__median_is_the_middle),
        IN_DB(test_fn_aggregate__median_of_random_numbers),
        IN_DB(test_fn_aggregate__array_agg_keeps_the_order_of_rows),
        IN_DB(test_fn_aggregate__what_is_held_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
