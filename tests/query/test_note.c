// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void note_is(test_db *db, const char *text, const char *want)
{
    query *q = NULL;

    if (query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q, &db->e) !=
        TAKO_OK)
        fail_msg("%s: %s", text, db->e.text);
    if (strcmp(query_note(q), want) != 0)
        fail_msg("%s\n  want %s\n  got  %s", text, want, query_note(q));
    query_free(q);
}

static void test_note__names_the_nearest(void **state)
{
    static const struct {
        const char *text, *note;
    } rows[] = {
        { "SELECT * FROM orders", "" },
        { "SELECT * FROM ordres",
          "there is no collection ordres; did you mean orders?" },
        { "SELECT * FROM ORDERS", /* names mind the case */
          "there is no collection ORDERS; did you mean orders?" },
        { "SELECT * FROM orders o JOIN stok s ON s.x = o.x",
          "there is no collection stok; did you mean stock?" },
        { "SELECT * FROM orders WHERE _id IN (SELECT x FROM quite_other)",
          "there is no collection quite_other" },
        { "DELETE FROM ordrs WHERE x = 1",
          "there is no collection ordrs; did you mean orders?" },
        { "UPDATE ordrs SET x = 1",
          "there is no collection ordrs; did you mean orders?" },
        { "INSERT INTO ordrs DOCUMENTS ({})", "" }, /* makes it */
        { "CREATE INDEX i ON ordrs (x)", "" },
        { "EXPLAIN SELECT * FROM ordrs",
          "there is no collection ordrs; did you mean orders?" },
        { "WITH w AS (SELECT 1 AS x) SELECT * FROM w", "" },
        { "SELECT * FROM orders USE INDEX 'by_statsu' WHERE status = 1",
          "there is no index by_statsu on orders; did you mean by_status?" },
        { "SELECT * FROM orders USE INDEX 'by_status' WHERE status = 1", "" },
        { "SELECT * FROM system:links", "" },
    };
    test_db *db = *state;

    (void)must(db, "INSERT INTO orders DOCUMENTS ({})", NULL);
    (void)must(db, "INSERT INTO stock DOCUMENTS ({})", NULL);
    (void)must(db, "CREATE INDEX by_status ON orders (status)", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        note_is(db, rows[i].text, rows[i].note);
    expect(db, "DROP INDEX by_statu ON orders", NULL,
           "ERROR TAKO_NOTFOUND: there is no index by_statu on orders; did you "
           "mean by_status?");
    expect(db, "DROP INDEX other ON orders", NULL,
           "ERROR TAKO_NOTFOUND: there is no index other on orders");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_note__names_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
