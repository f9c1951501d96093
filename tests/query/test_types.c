// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

/* One field of each kind. */
static void insert_one_of_each(test_db *db)
{
    (void)must(db,
               "INSERT INTO c (reg REGISTER, cnt COUNTER, map MAP, att "
               "ATTACHMENT, deep.cnt COUNTER) DOCUMENTS ({'_id': 1, 'reg': "
               "{'a': 1}, 'cnt': 5, 'map': {'a': 1}, 'att': {'token': 'x'}, "
               "'deep': {'cnt': 1}, 'str': 'x', 'num': 2, 'flt': 2.5, 'arr': "
               "[1], 'nul': null, 'yes': true})",
               NULL);
}

/* Rows: what is declared and then done, and what is said of it. */
static void test_types__a_declaration_holds_to_what_the_field_is(void **state)
{
    static const struct {
        const char *types, *does, *want;
    } rows[] = {
        { "str COUNTER", "APPLY str INCREMENT BY 1",
          "str: declared a COUNTER, but it is a string" },
        { "str COUNTER", "SET x = 1",
          "str: declared a COUNTER, but it is a string" },
        { "yes COUNTER", "SET x = 1",
          "yes: declared a COUNTER, but it is a boolean" },
        { "map COUNTER", "APPLY map INCREMENT BY 1",
          "map: declared a COUNTER, but it is a MAP" },
        { "reg COUNTER", "SET x = 1",
          "reg: declared a COUNTER, but it is a REGISTER" },
        { "att COUNTER", "SET x = 1",
          "att: declared a COUNTER, but it is an ATTACHMENT" },
        { "cnt MAP", "SET cnt = {'a': 1}",
          "cnt: declared a MAP, but it is a COUNTER" },
        { "arr MAP", "SET arr.x = 1",
          "arr: declared a MAP, but it is an array" },
        { "reg MAP", "SET reg.b = 1",
          "reg: declared a MAP, but it is a REGISTER" },
        { "cnt REGISTER", "SET cnt = 1",
          "cnt: declared a REGISTER, but it is a COUNTER" },
        { "deep.cnt REGISTER", "SET deep.cnt = 1",
          "deep.cnt: declared a REGISTER, but it is a COUNTER" },
        { "att REGISTER", "SET att = 1",
          "att: declared a REGISTER, but it is an ATTACHMENT" },
        { "num ATTACHMENT", "SET num = {'token': 'y'}",
          "num: declared an ATTACHMENT, but it is a number" },
        { "map ATTACHMENT", "SET map = {'token': 'y'}",
          "map: declared an ATTACHMENT, but it is a MAP" },
        { "att ATTACHMENT", "SET att = 'y'",
          "att: declared an ATTACHMENT, whose token is an object, and set to "
          "a string" },
        { "map MAP", "SET map = [1]",
          "map: declared a MAP, and set to an array" },
        { "cnt COUNTER", "SET cnt = 7",
          "cnt: a COUNTER changes by INCREMENT and RESTART, not by SET to a "
          "number" },
        { "deep.cnt COUNTER", "SET deep = {'cnt': 7}",
          "deep.cnt: a COUNTER changes by INCREMENT and RESTART, not by SET "
          "to a number" },
        { "num REGISTER", "APPLY num INCREMENT BY 1",
          "num: only a COUNTER is incremented or restarted" },
        { "x COUNTER", "APPLY str INCREMENT BY 1",
          "str: the path holds what is no number" },
        { "x COUNTER", "APPLY map RESTART", /* also undeclared */
          "map: the path holds what is no number" },
        { "x COUNTER", "APPLY cnt INCREMENT BY 9223372036854775807",
          "cnt: the counter would pass int64" },
    };
    test_db *db = *state;
    char text[200], want[200];

    insert_one_of_each(db);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, "UPDATE c (%s) %s", rows[i].types,
                       rows[i].does);
        (void)snprintf(want, sizeof want, "ERROR TAKO_%s: %s",
                       strstr(rows[i].want, "int64") != NULL ? "LIMIT"
                                                             : "INVALID",
                       rows[i].want);
        expect(db, text, NULL, want);
    }
    expect(db, "SELECT * FROM c", NULL,
           "{\"_id\":1,\"arr\":[1],\"att\":{\"token\":\"x\"},\"cnt\":5,\"flt\":"
           "2.5,"
           "\"map\":{\"a\":1},\"nul\":null,\"num\":2,\"reg\":{\"a\":1},\"str\":"
           "\"x\",\"yes\":true,\"deep\":{\"cnt\":1}}");
}

static void test_types__what_agrees_is_written_as_declared(void **state)
{
    test_db *db = *state;

    insert_one_of_each(db);
    expect(db,
           "UPDATE c (num COUNTER, cnt COUNTER, new COUNTER) APPLY num "
           "INCREMENT BY 1, cnt PN_INCREMENT BY -1, new INCREMENT BY 2 "
           "RETURNING num, cnt, new",
           NULL, "1 1 {\"cnt\":4,\"new\":2,\"num\":3}");
    expect(db,
           "UPDATE c APPLY cnt RESTART WITH 9, num RESTART RETURNING cnt, num",
           NULL, "1 1 {\"cnt\":9,\"num\":0}");
    /* REGISTER over a map is how a statement replaces whole */
    expect(db, "UPDATE c (map REGISTER) SET map = {'b': 2} RETURNING map", NULL,
           "1 1 {\"map\":{\"b\":2}}");
    expect(db, "UPDATE c (nul MAP) SET nul = {'a': 1} RETURNING nul", NULL,
           "1 1 {\"nul\":{\"a\":1}}");
    expect(db, "UPDATE c (nul MAP) SET nul = {'b': 1} RETURNING nul", NULL,
           "1 1 {\"nul\":{\"a\":1,\"b\":1}}");
    expect(db,
           "UPDATE c (att ATTACHMENT) SET att = {'token': 'z'} RETURNING att",
           NULL, "1 1 {\"att\":{\"token\":\"z\"}}");
    expect(db, "UPDATE c APPLY cnt INCREMENT BY :n", "{\"n\":1.5}",
           "ERROR TAKO_INVALID: cnt: a COUNTER moves by whole numbers");
}

/* Types inside an object that is set whole. */
static void
test_types__objects_are_written_as_their_insides_are_declared(void **state)
{
    test_db *db = *state;

    insert_one_of_each(db);
    expect(db,
           "INSERT INTO c (deep.cnt COUNTER, deep.reg REGISTER) DOCUMENTS "
           "({'_id': 1, 'deep': {'cnt': 8, 'reg': {'a': 1, 'b': 2}, 'x': 1}}) "
           "ON ID CONFLICT DO UPDATE RETURNING deep",
           NULL,
           "1 1 {\"deep\":{\"x\":1,\"cnt\":8,\"reg\":{\"a\":1,\"b\":2}}}");
    expect(db,
           "UPDATE c (deep.cnt COUNTER) APPLY deep.cnt INCREMENT BY 1 "
           "RETURNING deep.cnt",
           NULL, "1 1 {\"cnt\":9}");
    expect(db,
           "UPDATE c (deep.reg REGISTER) SET deep = {'reg': {'c': 3}} "
           "RETURNING deep",
           NULL, "1 1 {\"deep\":{\"x\":1,\"cnt\":9,\"reg\":{\"c\":3}}}");
    expect(db,
           "INSERT INTO c (str COUNTER) DOCUMENTS ({'_id': 1, 'x': 1}) ON ID "
           "CONFLICT DO UPDATE",
           NULL,
           "ERROR TAKO_INVALID: str: declared a COUNTER, but it is a string");
    expect(db, "INSERT INTO c (n COUNTER) DOCUMENTS ({'_id': 2, 'n': 'x'})",
           NULL,
           "ERROR TAKO_INVALID: n: a COUNTER starts with a whole number, not "
           "with a string");
    expect(db, "INSERT INTO c (m MAP) DOCUMENTS ({'_id': 2, 'm': 1})", NULL,
           "ERROR TAKO_INVALID: m: declared a MAP, and set to a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_types__a_declaration_holds_to_what_the_field_is),
        IN_DB(test_types__what_agrees_is_written_as_declared),
        IN_DB(test_types__objects_are_written_as_their_insides_are_declared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
