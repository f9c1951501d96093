// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_query.c mirrors src/query/query.c: statements from text to
 * rows. The tables are the meaning of the language. */
#include "support_query.h"

#include <stdio.h>

static int open_world(void **state)
{
    static test_db db; /* cmocka runs the tests of a group one by one */

    test_db_open(&db, 1);
    *state = &db;
    return 0;
}

static int close_world(void **state)
{
    test_db_close(*state);
    return 0;
}

/* An expression over one document; "" where the result is MISSING. */
typedef struct expr_row {
    const char *expr, *want;
} expr_row;

/* Prints what is wrong, so that one run shows all. */
static int wrong(const char *what, const expr_row *row, const char *got)
{
    print_message("%s %s\n  want %s\n  got  %s\n", what, row->expr, row->want,
                  got);
    return 1;
}

static int expect_expr(test_db *db, const expr_row *row)
{
    int bad = 0;
    char text[2048], want[2048];
    const char *got;

    (void)snprintf(text, sizeof text, "SELECT %s AS v FROM t", row->expr);
    if (row->want[0] == '\0')
        (void)snprintf(want, sizeof want, "{}");
    else
        (void)snprintf(want, sizeof want, "{\"v\":%s}", row->want);
    got = run(db, text, NULL);
    if (strcmp(got, want) != 0)
        bad += wrong("SELECT", row, got);
    /* As a condition it must agree: true keeps the row, all else does not. */
    (void)snprintf(text, sizeof text, "SELECT 1 AS v FROM t WHERE %s",
                   row->expr);
    got = run(db, text, NULL);
    if (strcmp(got, strcmp(row->want, "true") == 0 ? "{\"v\":1}" : "") != 0)
        bad += wrong("WHERE", row, got);
    (void)snprintf(text, sizeof text, "SELECT 1 AS v FROM t WHERE NOT (%s)",
                   row->expr);
    got = run(db, text, NULL);
    if (strcmp(got, strcmp(row->want, "false") == 0 ? "{\"v\":1}" : "") != 0)
        bad += wrong("WHERE NOT", row, got);
    return bad;
}

static void one_document(test_db *db)
{
    (void)must(db,
               "INSERT INTO t DOCUMENTS ({'_id': 'x', 'i': 5, 'f': 2.5, 's': "
               "'abc', 'yes': true, 'no': false, 'n': null, 'a': [1, 2, "
               "'three', [4], {'k': 6}], 'o': {'p': {'q': 7}, 'z': 1}})",
               NULL);
}

static void test_query__expressions_have_the_values_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* literals */
        { "1", "1" },
        { "0xFF", "255" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "9223372036854775807", "9223372036854775807" },
        { "1.5e3", "1500.0" },
        { "1.0", "1.0" },
        { "'it''s'", "\"it's\"" },
        { "\"a\\u00e9\\n\"", "\"a\xC3\xA9\\n\"" },
        { "'\\ud83d\\ude00'", "\"\xF0\x9F\x98\x80\"" },
        { "true", "true" },
        { "FALSE", "false" },
        { "null", "null" },
        { "[1, 'x', [true], {}]", "[1,\"x\",[true],{}]" },
        { "{'b': 1, 'a': i, 'c': nothing}", "{\"a\":5,\"b\":1}" },
        { "[i, nothing, n]", "[5,null,null]" },
        /* paths */
        { "i", "5" },
        { "t.i", "5" },
        { "t.o.p.q", "7" },
        { "o.p.q", "7" },
        { "o.p.nothing.q", "" },
        { "nothing", "" },
        { "n", "null" },
        { "`i`", "5" },
        { "_id", "\"x\"" },
        { "t._id", "\"x\"" },
        { "a[0]", "1" },
        { "a[-1].k", "6" },
        { "a[i - 3]", "\"three\"" },
        { "a[99]", "" },
        { "o['z']", "1" },
        { "a[1:3]", "[2,\"three\"]" },
        { "a[3:]", "[[4],{\"k\":6}]" },
        { "a['x']", "" },
        /* comparison: kinds do not mix, null and MISSING with nothing */
        { "i = 5", "true" },
        { "i == 5.0", "true" },
        { "5 = i", "true" },
        { "i != 5", "false" },
        { "i <> 6", "true" },
        { "i < 6", "true" },
        { "6 > i", "true" },
        { "i >= 5", "true" },
        { "i <= 4.5", "false" },
        { "i = '5'", "" },
        { "i < 'a'", "" },
        { "s > 5", "" },
        { "s = 'abc'", "true" },
        { "s < 'abd'", "true" },
        { "s >= 'abc'", "true" },
        { "s < ''", "false" },
        { "yes = true", "true" },
        { "yes = 1", "" },
        { "no < yes", "true" },
        { "no < true", "true" },
        { "yes > false", "true" },
        { "n = null", "" },
        { "n != null", "" },
        { "nothing = nothing", "" },
        { "n = n", "" },
        { "a = [1, 2, 'three', [4], {'k': 6}]", "true" },
        { "o = {'z': 1, 'p': {'q': 7}}", "true" },
        { "o = {'z': 1}", "false" },
        { "o != i", "" },
        { "9007199254740993 = 9007199254740992.0", "false" },
        { "9007199254740993 > 9007199254740992.0", "true" },
        /* null and MISSING */
        { "n IS NULL", "true" },
        { "n IS MISSING", "false" },
        { "nothing IS MISSING", "true" },
        { "nothing IS NULL", "false" },
        { "nothing IS NOT NULL", "true" },
        { "nothing IS NOT MISSING", "false" },
        { "i IS NOT NULL", "true" },
        /* logic */
        { "yes AND i = 5", "true" },
        { "yes AND no", "false" },
        { "no AND nothing", "false" },
        { "yes AND nothing", "" },
        { "yes AND n", "" },
        { "yes OR nothing", "true" },
        { "no OR nothing", "" },
        { "no OR no", "false" },
        { "NOT yes", "false" },
        { "NOT nothing", "" },
        { "NOT n", "" },
        { "NOT i", "" },
        { "i AND yes", "" },
        { "NOT (no OR i = 4)", "true" },
        { "(i = 5) = yes", "true" },
        { "yes AND yes AND yes OR no", "true" },
        /* IN, BETWEEN, LIKE */
        { "i IN [1, 5]", "true" },
        { "i IN (1, 5.0)", "true" },
        { "i IN (1, '5', null)", "false" },
        { "i NOT IN (1, 2)", "true" },
        { "nothing IN (1)", "" },
        { "n IN (null)", "" },
        { "i IN a", "false" },
        { "2 IN a", "true" },
        { "i IN 'x'", "" },
        { "[4] IN a", "true" },
        { "i IN (i, 2)", "true" },
        { "i BETWEEN 1 AND 5", "true" },
        { "i NOT BETWEEN 1 AND 5", "false" },
        { "i BETWEEN 6 AND 'x'", "false" },
        { "i BETWEEN 1 AND 'x'", "" },
        { "s BETWEEN 'a' AND 'b'", "true" },
        { "s LIKE 'a%'", "true" },
        { "s LIKE 'A%'", "false" },
        { "s ILIKE 'A%'", "true" },
        { "s LIKE '_b_'", "true" },
        { "s LIKE 'abc'", "true" },
        { "s LIKE 'ab'", "false" },
        { "s LIKE '%c'", "true" },
        { "s LIKE '%'", "true" },
        { "s LIKE 'a%b%c'", "true" },
        { "s NOT LIKE 'x%'", "true" },
        { "i LIKE '5'", "" },
        { "'50%' LIKE '50\\\\%'", "true" },
        { "'500' LIKE '50\\\\%'", "false" },
        { "'\xC3\xA4' LIKE '_'", "true" },
        /* arithmetic */
        { "i + 1", "6" },
        { "i - 7", "-2" },
        { "i * f", "12.5" },
        { "i / 2", "2" },
        { "i / 2.0", "2.5" },
        { "i % 3", "2" },
        { "-i", "-5" },
        { "i / 0", "" },
        { "i % 0", "" },
        { "i + s", "" },
        { "i + n", "" },
        { "9223372036854775807 + 1", "9.223372036854776e18" },
        { "1e308 * 10", "" },
        { "s || 'd'", "\"abcd\"" },
        { "s || 1", "" },
        { "2 + 3 * 4", "14" },
        { "'a' || 'b' = 'ab'", "true" },
        /* CASE */
        { "CASE WHEN i = 4 THEN 'four' WHEN i = 5 THEN 'five' END",
          "\"five\"" },
        { "CASE WHEN nothing THEN 1 ELSE 2 END", "2" },
        { "CASE i WHEN 5.0 THEN 'y' ELSE 'n' END", "\"y\"" },
        { "CASE n WHEN null THEN 1 ELSE 2 END", "2" },
        { "CASE i WHEN 4 THEN 1 END", "" },
    };
    test_db *db = *state;
    int bad = 0;

    one_document(db);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        bad += expect_expr(db, &rows[i]);
    assert_int_equal(bad, 0);
}

static void test_query__functions_have_the_values_of_the_table(void **state)
{
    static const expr_row rows[] = {
        { "coalesce(nothing, n, 3)", "3" },
        { "coalesce(nothing, n)", "null" },
        { "coalesce(nothing)", "" },
        { "nvl(n, 'x')", "\"x\"" },
        { "ifmissing(nothing, n, 1)", "null" },
        { "ifnull(n, 4)", "4" },
        { "ifmissingornull(n, nothing, 4)", "4" },
        { "ismissing(nothing)", "true" },
        { "isnull(nothing)", "false" },
        { "isnull(n)", "true" },
        { "ismissingornull(n)", "true" },
        { "nullif(i, 5)", "null" },
        { "nullif(i, 6)", "5" },
        { "missingif(i, 5)", "" },
        { "decode(i, 4, 'a', 5, 'b', 'c')", "\"b\"" },
        { "decode(s, 4, 'a', 'c')", "\"c\"" },
        { "decode(n, null, 'nul')", "\"nul\"" },
        { "type(i)", "\"number\"" },
        { "type(nothing)", "\"missing\"" },
        { "type(n)", "\"null\"" },
        { "type(yes)", "\"boolean\"" },
        { "json_type(f)", "\"real\"" },
        { "json_type(no)", "\"false\"" },
        { "json_type(nothing)", "" },
        { "is_number(f)", "true" },
        { "is_string(f)", "false" },
        { "is_boolean(no)", "true" },
        { "cast('12', 'integer')", "12" },
        { "cast('1.5', 'number')", "1.5" },
        { "cast(2.9, 'integer')", "2" },
        { "cast(3, 'float')", "3.0" },
        { "cast(f, 'string')", "\"2.5\"" },
        { "cast('x', 'number')", "" },
        { "cast('TRUE', 'boolean')", "true" },
        { "concat(s, 'd', 'e')", "\"abcde\"" },
        { "concat(s, 1)", "" },
        { "starts_with(s, 'ab')", "true" },
        { "ends_with(s, 'ab')", "false" },
        { "contains(s, 'b')", "true" },
        { "char_length('\xC3\xA4z')", "2" },
        { "character_length('')", "0" },
        { "byte_length('\xC3\xA4z')", "3" },
        { "lower('ABC')", "\"abc\"" },
        { "upper(s)", "\"ABC\"" },
        { "substr(s, 1)", "\"bc\"" },
        { "substr(s, -2, 1)", "\"b\"" },
        { "substr(s, 9)", "" },
        { "pos(s, 'c')", "2" },
        { "position(s, 'x')", "-1" },
        { "split('a,b,,c', ',')", "[\"a\",\"b\",\"\",\"c\"]" },
        { "split('  a b ')", "[\"a\",\"b\"]" },
        { "joinstr(['a', 'b'], '-')", "\"a-b\"" },
        { "joinstr(['a', 1], '-')", "" },
        { "trim('  x ')", "\"x\"" },
        { "ltrim('xxy', 'x')", "\"y\"" },
        { "rtrim('yxx', 'x')", "\"y\"" },
        { "lpad('7', 3, '0')", "\"007\"" },
        { "rpad('ab', 5, 'xy')", "\"abxyx\"" },
        { "lpad('abc', 2)", "\"ab\"" },
        { "repeat('ab', 3)", "\"ababab\"" },
        { "repeat('ab', -1)", "" },
        { "object_keys(o)", "[\"p\",\"z\"]" },
        { "object_values(o)", "[{\"q\":7},1]" },
        { "object_length(o)", "2" },
        { "object_length(i)", "" },
        { "object_size({'a': 1})", "4" },
        { "object_set(o, 'b', 2)", "{\"b\":2,\"p\":{\"q\":7},\"z\":1}" },
        { "object_set(o, 'z', 2)", "{\"p\":{\"q\":7},\"z\":2}" },
        { "object_set(o, 'zz', 2)", "{\"p\":{\"q\":7},\"z\":1,\"zz\":2}" },
        { "object_unset(o, 'p')", "{\"z\":1}" },
        { "object_concat({'a': 1}, {'a': 2, 'b': 3})", "{\"a\":2,\"b\":3}" },
        { "object_rename(o, 'z', 'a')", "{\"a\":1,\"p\":{\"q\":7}}" },
        { "object_rename(o, 'nope', 'a')", "{\"p\":{\"q\":7},\"z\":1}" },
        { "array_length(a)", "5" },
        { "array_length(o)", "" },
        { "array_contains(a, 2.0)", "true" },
        { "array_contains(a, 9)", "false" },
        { "array_contains_null([1, null])", "true" },
        { "abs(-3)", "3" },
        { "abs(-2.5)", "2.5" },
        { "ceil(1.2)", "2.0" },
        { "floor(-1.2)", "-2.0" },
        { "floor(7)", "7" },
        { "round(2.5)", "3.0" },
        { "round(2.345, 2)", "2.35" },
        { "round(1234, -2)", "1200" },
        { "round(s)", "" },
        { "serialize_json({'a': [1, 2.0]})", "\"{\\\"a\\\":[1,2.0]}\"" },
        { "deserialize_json('{\"b\": [1]}')", "{\"b\":[1]}" },
        { "deserialize_json('{')", "" },
    };
    test_db *db = *state;
    int bad = 0;

    one_document(db);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        bad += expect_expr(db, &rows[i]);
    assert_int_equal(bad, 0);
}

static void many(test_db *db)
{
    (void)must(db, "INSERT INTO p DOCUMENTS (:d)",
               "{\"d\":[{\"_id\":\"1\",\"k\":\"a\",\"v\":1},"
               "{\"_id\":\"2\",\"k\":\"b\",\"v\":2.5},"
               "{\"_id\":\"3\",\"k\":\"a\",\"v\":\"x\"},"
               "{\"_id\":\"4\",\"k\":\"b\",\"v\":true},"
               "{\"_id\":\"5\",\"k\":\"a\",\"v\":null},"
               "{\"_id\":\"6\",\"k\":\"c\"},"
               "{\"_id\":\"7\",\"k\":\"c\",\"v\":[1]},"
               "{\"_id\":\"8\",\"k\":\"c\",\"v\":{\"z\":1}},"
               "{\"_id\":\"9\",\"k\":\"c\",\"v\":{\"$bytes\":\"AA==\"}},"
               "{\"_id\":\"10\",\"k\":\"a\",\"v\":false}]}");
}

static void test_query__orders_kinds_as_the_language_says(void **state)
{
    test_db *db = *state;

    many(db);
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

static void test_query__groups_and_aggregates(void **state)
{
    test_db *db = *state;

    expect(db, "SELECT count(*), sum(v) AS s FROM p", NULL, "{\"count(*)\":0}");
    many(db);
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

static void test_query__projects_whole_documents(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 7, 'b': 1, 'name': 'x'})",
               NULL);
    expect(db, "SELECT * FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT c.* FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT d.*, d.b + 1 AS b2 FROM c AS d", NULL,
           "{\"b\":1,\"b2\":2,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT *, MISSING name, 2 AS b FROM c", NULL,
           "{\"b\":2,\"_id\":7}");
    expect(db, "SELECT *, MISSING _id FROM c", NULL,
           "{\"b\":1,\"name\":\"x\"}");
    expect(db, "SELECT c FROM c", NULL,
           "{\"c\":{\"b\":1,\"_id\":7,\"name\":\"x\"}}");
    expect(db, "SELECT *, zz AS b FROM c", NULL, "{\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT * FROM nowhere", NULL, "");
}

static void test_query__finds_by_id_without_a_scan(void **state)
{
    static const char *const queries[] = {
        "SELECT * FROM c WHERE _id = :x",
        "SELECT * FROM c WHERE _id = 'k3'",
        "SELECT * FROM c WHERE _id IN ('k3', 'k4')",
        "SELECT * FROM c WHERE _id IN :l AND v > 0",
        "SELECT * FROM c USE IDS 'k3', 'k4'",
        "SELECT * FROM c USE IDS LIST :l WHERE v = 4",
    };
    test_db *db = *state;
    char text[200];
    const char *plan;

    for (int i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof text,
                       "INSERT INTO c DOCUMENTS ({'_id':'k%d','v':%d}), "
                       "({'v': %d, '_id': '01ARZ3NDEKTSV4RRFFQ69G5F%d0'})",
                       i, i, i, i);
        (void)must(db, text, NULL);
    }
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        plan = plan_of(db, queries[i], "{\"x\":\"k3\",\"l\":[\"k4\"]}");
        if (strstr(plan, "SCAN t0") != NULL)
            fail_msg("%s scans: %s", queries[i], plan);
    }
    expect(db, queries[0], "{\"x\":\"01ARZ3NDEKTSV4RRFFQ69G5F60\"}",
           "{\"v\":6,\"_id\":\"01ARZ3NDEKTSV4RRFFQ69G5F60\"}");
    expect(db, queries[0], "{\"x\":\"k5\"}", "{\"v\":5,\"_id\":\"k5\"}");
    expect(db, queries[0], "{\"x\":5}", "");
    expect(db, "SELECT v FROM c WHERE _id IN :l ORDER BY v",
           "{\"l\":[\"k4\",\"01ARZ3NDEKTSV4RRFFQ69G5F20\",\"no\",9,\"k4\"]}",
           "{\"v\":2} {\"v\":4}");
    expect(db, queries[5], "{\"l\":[\"k4\",\"k5\"]}",
           "{\"v\":4,\"_id\":\"k4\"}");
}

static void test_query__parameters_are_values(void **state)
{
    test_db *db = *state;

    many(db);
    expect(db, "SELECT _id FROM p WHERE v = :v", "{\"v\":null}", "");
    expect(db, "SELECT _id FROM p WHERE v = :v", "{\"v\":true}",
           "{\"_id\":\"4\"}");
    expect(db, "SELECT _id FROM p WHERE v IN :v ORDER BY _id",
           "{\"v\":[1,true,null]}", "{\"_id\":\"1\"} {\"_id\":\"4\"}");
    expect(db, "SELECT _id FROM p WHERE v IN :v", "{\"v\":1}", "");
    expect(db, "SELECT :a AS a, :A AS b", "{\"a\":{\"k\":1},\"A\":2}",
           "{\"a\":{\"k\":1},\"b\":2}");
    expect(db, "SELECT :a AS a", NULL,
           "ERROR TAKO_INVALID: the parameter :a has no value");
    expect(db, "SELECT * FROM p LIMIT :a", "{\"a\":-1}",
           "ERROR TAKO_INVALID: the parameter :a of LIMIT must be a whole "
           "number from 0");
}

/* Runs the examples of docs/query.md: statements of a ```tql block, each
 * ended by its "-- =>" line. */
static void test_query__the_examples_of_the_manual_hold(void **state)
{
    test_db *db = *state;
    FILE *f = fopen(TAKO_SOURCE_DIR "/docs/query.md", "r");
    char line[1000], text[4000] = "";
    bool inside = false;
    unsigned seen = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```tql") == 0;
        } else if (inside && strncmp(line, "-- => ", 6) == 0) {
            expect(db, text, NULL, line + 6);
            text[0] = '\0';
            seen++;
        } else if (inside) {
            assert_true(strlen(text) + strlen(line) + 2 < sizeof text);
            strcat(strcat(text, line), "\n");
        }
    }
    (void)fclose(f);
    assert_true(seen > 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(test_query__expressions_have_the_values_of_the_table),
        T(test_query__functions_have_the_values_of_the_table),
        T(test_query__orders_kinds_as_the_language_says),
        T(test_query__groups_and_aggregates),
        T(test_query__projects_whole_documents),
        T(test_query__finds_by_id_without_a_scan),
        T(test_query__parameters_are_values),
        T(test_query__the_examples_of_the_manual_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
