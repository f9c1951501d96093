// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

static const char *text_of(test_db *db, const char *text, const char *params)
{
    query_predicate *p;
    tako_slice bound = params == NULL ? TAKO_SLICE_NONE : cbor_of(db, params);

    tako_buf_reset(&db->out);
    if (query_predicate_new(&db->t.env, tako_slice_str(text), bound, &p,
                            &db->e) != TAKO_OK) {
        tako_put_fmt(&db->out, "ERROR: %s", db->e.text);
        return tako_buf_cstr(&db->out);
    }
    tako_put_bytes(&db->out, query_predicate_text(p));
    query_predicate_free(p);
    return tako_buf_cstr(&db->out);
}

static void test_print__equal_interests_have_equal_text(void **state)
{
    static const struct {
        const char *text, *params, *want;
    } rows[] = {
        { "select * from c", NULL, "SELECT * FROM `c`" },
        { "SELECT * FROM c AS d WHERE d.x = 5", NULL,
          "SELECT * FROM `c` WHERE (`x`=5)" },
        { "SELECT c.* FROM c WHERE 5 = c.x", NULL,
          "SELECT * FROM `c` WHERE (`x`=5)" },
        { "SELECT * FROM c WHERE x = :p", "{\"p\":5}",
          "SELECT * FROM `c` WHERE (`x`=5)" },
        { "SELECT * FROM c WHERE b = 2 AND a = 1", NULL,
          "SELECT * FROM `c` WHERE ((`a`=1) AND (`b`=2))" },
        { "SELECT * FROM c WHERE a = 1 AND b = 2 AND a = 1", NULL,
          "SELECT * FROM `c` WHERE ((`a`=1) AND (`b`=2))" },
        { "SELECT * FROM c WHERE (c = 3 AND b) AND (a = 1 OR 1 OR 1)", NULL,
          "SELECT * FROM `c` WHERE (((`a`=1) OR 1) AND (`c`=3) AND `b`)" },
        { "SELECT * FROM c WHERE NOT (1 AND :p)", "{\"p\":1}",
          "SELECT * FROM `c` WHERE (NOT (1 AND 1))" },
        { "SELECT * FROM c WHERE x IN (:a, 2)", "{\"a\":1}",
          "SELECT * FROM `c` WHERE (`x` IN [1,2])" },
        { "SELECT * FROM c WHERE x = -:p", "{\"p\":2}",
          "SELECT * FROM `c` WHERE (`x`=-2)" },
        { "SELECT * FROM c WHERE x = -:p", "{\"p\":-9223372036854775808}",
          "SELECT * FROM `c` WHERE (`x`=(- -9223372036854775808))" },
        { "SELECT * FROM c WHERE x - :p > -x", "{\"p\":-1}",
          "SELECT * FROM `c` WHERE ((`x`- -1)>(- `x`))" },
        { "SELECT * FROM c WHERE ANY v IN x SATISFIES v.a = y AND c.v = 1 END",
          NULL,
          "SELECT * FROM `c` WHERE ANY `system:1` IN `x` SATISFIES "
          "((`c`.`v`=1) AND (`system:1`.`a`=`c`.`y`)) END" },
        { "SELECT * FROM c WHERE ARRAY v || y FOR v WITHIN c WHEN ANY w IN v "
          "SATISFIES w = v END END[0] = 1",
          NULL,
          "SELECT * FROM `c` WHERE (ARRAY (`system:1`||`c`.`y`) FOR `system:1` "
          "WITHIN `c` WHEN ANY `system:2` IN `system:1` SATISFIES "
          "(`system:2`=`system:1`) END END[0]=1)" },
        { "SELECT * FROM c WHERE s SIMILAR TO 'a|b'", NULL,
          "SELECT * FROM `c` WHERE (`s` SIMILAR TO \"a|b\")" },
        { "SELECT * FROM orders o WHERE orders = 1 AND o.orders.x < 2", NULL,
          "SELECT * FROM `orders` WHERE ((`orders`.`orders`.`x`<2) AND "
          "(`orders`.`orders`=1))" },
        { "SELECT * FROM c WHERE x = :p", "{\"p\":{\"$bytes\":\"AQ==\"}}",
          "SELECT * FROM `c` WHERE "
          "(`x`=deserialize_json(\"{\\\"$bytes\\\":\\\"AQ==\\\"}\"))" },
        { "SELECT * FROM c ORDER BY x", NULL,
          "ERROR: ORDER BY cannot be a subscription or permission: each "
          "document is judged alone" },
        { "SELECT x FROM c", NULL,
          "ERROR: a result other than * cannot be a subscription or "
          "permission: each document is judged alone" },
        { "DELETE FROM c", NULL,
          "ERROR: a statement other than SELECT cannot be a subscription or "
          "permission: each document is judged alone" },
        { "SELECT * FROM c WHERE x = :p", NULL,
          "ERROR: line 1 column 27: the parameter :p has no value" },
    };
    test_db db;

    (void)state;
    test_db_bare(&db, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char again[512];

        assert_string_equal(text_of(&db, rows[i].text, rows[i].params),
                            rows[i].want);
        if (strncmp(rows[i].want, "ERROR", 5) == 0)
            continue;
        /* The canonical text is its own canonical text. */
        (void)snprintf(again, sizeof again, "%s", rows[i].want);
        assert_string_equal(text_of(&db, again, NULL), rows[i].want);
    }
    test_db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print__equal_interests_have_equal_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
