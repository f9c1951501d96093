// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_aggregate__counts_sums_and_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
